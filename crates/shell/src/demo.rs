//! `skep demo`: a bad night on purpose. Real mails, a real daemon, real kill -9, a real ledger; the only
//! actor is a scripted model that is gullible, and it says so.
//!
//! Layers: `stage` (a home of its own, embedded files, the daemon), `play` (spawn, wait, read the log),
//! `acts`, `crash`, `walls` and `guest` (one function an act). Every number that is printed was read from the
//! log or from a file; every act checks what it claims and ends the demo when it is not so.

mod acts;
mod crash;
mod guest;
mod night;
mod play;
mod stage;
mod walls;

use crate::{
    clock::Deadline,
    commands, escape,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Bill},
    session::Session,
};
use play::{expect, tell};
use std::time::Duration;

/// Workspaces the demo plays in: the second lacks the rule that the first act is about.
const WORKSPACES: [&str; 2] = ["home", "control"];
/// How often the demo may be slower than anybody wants to wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bad night on purpose: ten seconds, no key, no network, a directory of its own
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Leave the demo's daemon running at the end
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub fn run(self, session: &mut Session) -> Outcome {
        let place = stage::place(&session.place)?;
        let mut own = Session::new(place, session.hands, &mut *session.out, &mut *session.err);
        (own.ink, own.desk) = (session.ink, session.desk);
        stage::check(&own.place)?;
        let played = play_all(&mut own);
        let stopped = if self.keep && played.is_ok() { Ok(()) } else { commands::stop(&mut own).map(drop) };
        if let Err(fail) = played {
            let log = own.place.home.join("daemon.log");
            let hint = match (fail.hint.as_str(), log.is_file()) {
                (hint, false) => hint.to_owned(),
                ("", true) => format!("the demo's daemon wrote {}", log.display()),
                (hint, true) => format!("{hint}\nhint: the demo's daemon wrote {}", log.display()),
            };
            return Err(Fail { hint, ..fail });
        }
        stopped.map(|()| Exit::Fine)
    }
}

fn play_all(session: &mut Session) -> Result<(), Fail> {
    let time = Deadline::after(PATIENCE);
    tell(
        session,
        "A bad night on purpose. The mails are real, so are the daemon, the kill -9, the log and the ledger. \
         The only actor is a scripted model: it is gullible, it repeats itself and it lies, and it says so.",
    )?;
    let set = stage::set(session)?;
    night::injection(session, &set)?;
    let looping = acts::looping(session)?;
    acts::two_writers(session)?;
    crash::crash(session)?;
    acts::lie(session)?;
    acts::undo(session)?;
    walls::walls(session)?;
    guest::guest(session)?;
    close(session, looping, time)
}

/// What waits, what it cost, and what to try.
fn close(session: &mut Session, frozen: abi::Pid, time: Deadline) -> Result<(), Fail> {
    let mut bill = Bill::default();
    let mut records = 0_u64;
    for workspace in WORKSPACES {
        play::within(session, workspace, |session| {
            for row in journal::all(session)? {
                bill.add(&row);
                records += 1;
            }
            Ok(())
        })?;
    }
    let waiting = session.names("/proposals")?;
    expect(!waiting.is_empty(), "the held mail still waits for a decision", "nothing waits")?;
    let waits = escape::line(&waiting.join(", "));
    session.say("")?;
    session
        .say(&format!("   waits for you   proposal {waits} · process {frozen} stands frozen at its limit"))?;
    let took = u64::try_from(time.elapsed().as_micros()).unwrap_or(u64::MAX);
    let tokens = bill.tokens_in.saturating_add(bill.tokens_out);
    session.say(&format!(
        "   cost            {} at list price (scripted: nobody is paid)",
        figures::money(bill.money)
    ))?;
    session.say(&format!(
        "   tokens          {} in {}",
        figures::count(tokens),
        figures::plural(bill.calls, "model call")
    ))?;
    session.say(&format!("   log             {}", figures::plural(records, "record")))?;
    session.say(&format!("   time            {}", figures::length(took)))?;
    let home = session.place.home.display().to_string();
    let home = escape::line(&home);
    let proposal = waiting.first().cloned().unwrap_or_default();
    let rows = [
        (format!("skep --home {home} inbox"), "the exact mail that was held; approve or reject it"),
        (format!("skep --home {home} why {proposal}"), "which mail had a part in it"),
        (format!("skep --home {home} trace"), "the whole night, call by call"),
        (format!("skep --home {home} log /data/summary.md"), "both edits of the same line"),
    ];
    let rows: Vec<(&str, &str)> =
        rows.iter().map(|(command, meaning)| (command.as_str(), *meaning)).collect();
    commands::offer(session, &rows)
}
