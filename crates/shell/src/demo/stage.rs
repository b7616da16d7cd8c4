//! What the demo plays on: a home of its own with a mailbox, the model's rules and a daemon that may make a
//! workspace without a rule. It removes an old home only if it finds the mark there that it made itself.

use super::play::{self, expect, line, tell};
use crate::{
    Place, Start,
    clock::Deadline,
    commands, escape,
    fail::Fail,
    journal::{Follower, Heard},
    session::Session,
};
use abi::{Seq, record::Entry};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The mark, and what it says.
const MARK: (&str, &str) = (
    "made-by-skep-demo",
    "This directory was made by `skep demo`; the next demo removes it and makes it again.\n",
);
/// The model's rules.
const RULES: &[u8] = include_bytes!("../../../../examples/scripted/demo.json");
/// The agents.
const AGENTS: [(&str, &str); 3] = [
    ("triage", include_str!("../../../../examples/demo/triage.md")),
    ("drafts", include_str!("../../../../examples/demo/drafts.md")),
    ("coder", include_str!("../../../../examples/demo/coder.md")),
];

/// Whom Anna deals with: what stands here was written by her, never taken from a mail.
const CONTACTS: &[u8] = include_bytes!("../../../../examples/demo/contacts.txt");

macro_rules! mails {
    ($($name:literal),* $(,)?) => {
        /// The mailbox, so that an installed binary has it.
        const MAILS: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../../../examples/mail/new/", $name)))),*];
    };
}

mails![
    "01-opening-hours.eml",
    "02-quote-request.eml",
    "03-thread-pool-1.eml",
    "04-invoice.eml",
    "05-umlauts.eml",
    "06-thread-pool-2.eml",
    "07-supplier-prices.eml",
    "08-newsletter.eml",
    "09-base64-tokyo.eml",
    "10-latin1-complaint.eml",
    "11-thread-pool-3.eml",
    "12-forwarded-lead.eml",
    "13-delivery-failed.eml",
    "14-invitation.eml",
    "15-cracked-tile.eml",
    "16-away.eml",
];

/// The directories on the host that the integrations of both workspaces use.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Where mail of the workspace `home` would be sent to.
    pub outbox: PathBuf,
    /// The same of the workspace `control`.
    pub control_outbox: PathBuf,
}

/// Where the demo lives: beside the operator's own home.
pub fn place(own: &Place) -> Result<Place, Fail> {
    let name = own.home.file_name().and_then(|name| name.to_str()).unwrap_or("skep");
    let home = std::path::absolute(own.home.with_file_name(format!("{name}-demo")))?;
    if home.to_str().is_none_or(|text| text.split_whitespace().count() != 1) {
        return Err(Fail::new(format!(
            "{} holds spaces; the demo mounts directories below it",
            home.display()
        ))
        .hint("skep --home DIR demo, with a DIR without spaces"));
    }
    Ok(Place { socket: home.join("sock"), home })
}

/// Sets the stage anew: home, daemon, workspaces, agents, mail.
pub fn set(session: &mut Session) -> Result<Stage, Fail> {
    clear(session)?;
    let home = session.place.home.clone();
    let stage = Stage { outbox: home.join("outbox"), control_outbox: home.join("control-outbox") };
    let trouble = |error: std::io::Error| {
        Fail::new(format!("{}: {error}", home.display())).hint("choose another place: skep --home DIR demo")
    };
    build(&home, &work(&session.place)).map_err(trouble)?;
    session.start_and_keep(Start::Demo)?;
    session.control("workspace control lacks 6")?;
    people(session, &home.join("mail"), &stage.outbox)?;
    play::within(session, "control", |session| {
        people(session, &home.join("control-mail"), &stage.control_outbox)
    })?;
    let mut arrived = delivered(session)?;
    arrived += play::within(session, "control", delivered)?;
    tell(session, &format!("home: {}", escape::line(&home.display().to_string())))?;
    line(
        session,
        &format!(
            "mail: {} messages, each as it came and decoded, in two workspaces: {arrived} deliveries",
            MAILS.len()
        ),
    )?;
    Ok(stage)
}

/// Refuses a place that stands already and that no demo made: nothing there is stopped, changed or removed.
pub fn check(place: &Place) -> Result<(), Fail> {
    let foreign = |dir: &PathBuf| dir.exists() && !dir.join(MARK.0).is_file();
    match [place.home.clone(), work(place)].into_iter().find(foreign) {
        None => Ok(()),
        Some(dir) => Err(Fail::new(format!("{} stands already and was not made by a demo", dir.display()))
            .hint("move it away, or choose another place: skep --home DIR demo")),
    }
}

/// Where the demo has a directory of this machine to work in: beside its home.
pub fn work(place: &Place) -> PathBuf {
    let name = place.home.file_name().and_then(|name| name.to_str()).unwrap_or("skep-demo");
    place.home.with_file_name(format!("{name}-work"))
}

/// Removes what an earlier demo left, and nothing else.
fn clear(session: &mut Session) -> Result<(), Fail> {
    check(&session.place)?;
    let home = session.place.home.clone();
    if home.exists() {
        commands::stop(session)?;
        session.disconnect();
    }
    // What was installed there stays.
    let work = work(&session.place);
    for dir in [home, work.join("repo"), work.join(".ssh")].into_iter().filter(|dir| dir.exists()) {
        fs::remove_dir_all(&dir)
            .map_err(|error| Fail::new(format!("{}: {error}", dir.display())).hint("remove it"))?;
    }
    Ok(())
}

fn build(home: &Path, work: &Path) -> std::io::Result<()> {
    let private = |dir: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    for dir in [home, work] {
        private(dir)?;
        fs::write(dir.join(MARK.0), MARK.1)?;
    }
    private(&home.join("scripted"))?;
    fs::write(home.join("scripted/demo.json"), RULES)?;
    for mailbox in ["mail", "control-mail"] {
        for part in ["tmp", "cur", "new"] {
            private(&home.join(mailbox).join(part))?;
        }
        for (name, bytes) in MAILS {
            fs::write(home.join(mailbox).join("new").join(name), bytes)?;
        }
    }
    for outbox in ["outbox", "control-outbox"] {
        private(&home.join(outbox))?;
        fs::write(home.join(outbox).join("contacts.txt"), CONTACTS)?;
    }
    Ok(())
}

/// Agents and integrations of one workspace.
fn people(session: &mut Session, mail: &Path, outbox: &Path) -> Result<(), Fail> {
    for (name, text) in AGENTS {
        let path = format!("/agents/{name}/AGENT.md");
        session.call("write", json!({"path": path, "text": text, "origin": "argument"}))?;
    }
    session.control(&format!("mount mail maildir {}", mail.display()))?;
    session.control(&format!("mount outbox outbox {}", outbox.display()))?;
    Ok(())
}

/// Waits until every message has arrived; answers how many files that made.
fn delivered(session: &mut Session) -> Result<usize, Fail> {
    // Each message twice, and the contacts of the outbox.
    let wanted = MAILS.len() * 2 + 1;
    let mut paths = BTreeSet::new();
    let mut follower = Follower::new(session, Seq(0))?;
    let deadline = Deadline::after(play::LOG_WAIT);
    while paths.len() < wanted {
        match follower.next(Some(deadline), None)? {
            Heard::Row(row) => {
                let Entry::Wrote { changes, .. } = &row.record.body else { continue };
                let new = changes.iter().map(|change| change.path.as_str());
                let is_mail = |path: &&str| path.starts_with("/integrations/") && path.contains('.');
                paths.extend(new.filter(is_mail).map(str::to_owned));
            }
            Heard::Late => break,
            Heard::Woken | Heard::Preview(..) => {}
        }
    }
    expect(paths.len() == wanted, &format!("{wanted} deliveries"), &format!("{}", paths.len()))?;
    Ok(paths.len() - 1)
}
