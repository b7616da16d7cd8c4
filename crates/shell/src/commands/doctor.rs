//! `skep doctor`: what is wrong on this host, and what to do. Looks; changes and starts nothing.

use crate::{
    Mechanism, card, escape,
    fail::{Exit, Fail, Outcome},
    figures, journal,
    session::{self, Session, Tone},
};
use abi::record::Entry;
use serde_json::json;
use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

mod look;

/// Free space below which a disk counts as nearly full.
const FREE_BYTES_MIN: u64 = 512 * 1024 * 1024;
/// Workspaces that are opened to see whether they can be.
const WORKSPACES_MAX: usize = 256;
/// 2026-01-01: a clock before it has not been set.
const CLOCK_MIN: u64 = 1_767_225_600_000_000;

/// What is wrong on this host, and what to do
#[derive(Debug, clap::Args)]
pub struct Doctor {}

/// What a check found.
enum Finding {
    Ok(String),
    /// The rest goes on without it.
    Lacks(String, String),
    Bad(String, String),
}

use Finding::{Bad, Lacks, Ok as Good};

impl Doctor {
    pub fn run(self, session: &mut Session) -> Outcome {
        let mut findings = vec![
            ("home", home(&session.place.home)),
            ("space", space(&session.place.home)),
            ("clock", clock((session.clock)())),
        ];
        findings.push(walls(session));
        let running = match session.running() {
            Ok(client) => client.is_some(),
            Err(fail) => {
                findings.push(("daemon", Bad(fail.message, fail.hint)));
                return report(session, findings);
            }
        };
        findings.push(("socket", socket(session, running)));
        if running {
            findings.push(("daemon", daemon(session)));
            findings.extend(health(session));
            findings.extend(workspaces(session)?);
        } else {
            findings.extend(look::files(&session.place.home));
            findings.push(("daemon", Good("not running; the first command that needs it starts it".into())));
        }
        report(session, findings)
    }
}

/// Programs run only behind a wall that holds: each part of it is tried.
fn walls(session: &Session) -> (&'static str, Finding) {
    let all = (session.hands.walls)();
    let missing = |one: &Mechanism| one.missing.clone().map(|(why, fix)| (one.name.clone(), why, fix));
    let lacking: Vec<_> = all.iter().filter_map(missing).collect();
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    if lacking.is_empty() {
        return ("walls", Good(format!("tried, and they hold: {}", names.join(", "))));
    }
    let what: Vec<String> = lacking.iter().map(|(name, why, _)| format!("{name}: {why}")).collect();
    let mut fixes: Vec<&str> = lacking.iter().map(|(.., fix)| fix.as_str()).collect();
    fixes.dedup();
    let so = if all.iter().any(|one| one.required && one.missing.is_some()) {
        "no program can be run here"
    } else {
        "programs run, less closely held"
    };
    ("walls", Lacks(format!("{so}; {}", what.join("; ")), fixes.join("\n")))
}

fn report(session: &mut Session, findings: Vec<(&'static str, Finding)>) -> Outcome {
    let mut exit = Exit::Fine;
    for (name, finding) in findings {
        let (word, tone, text, hint) = match finding {
            Good(text) => ("ok", Tone::Good, text, String::new()),
            Lacks(text, hint) => ("lacks", Tone::Held, text, hint),
            Bad(text, hint) => ("bad", Tone::Bad, text, hint),
        };
        if tone == Tone::Bad {
            exit = Exit::Bad;
        }
        if session.is_json() {
            session.object(&json!({"check": name, "ok": tone == Tone::Good, "found": text, "hint": hint}))?;
            continue;
        }
        let word = session.paint(&format!("{word:5}"), tone);
        session.say(&format!("{word}  {name:10}  {}", escape::line(&text)))?;
        for (row, hint) in hint.lines().enumerate() {
            let lead = if row == 0 { "hint:" } else { "" };
            session.say(&format!("{:19}{lead:5} {}", "", escape::line(hint)))?;
        }
    }
    Ok(exit)
}

fn home(home: &Path) -> Finding {
    let shown = home.display().to_string();
    let meta = match fs::metadata(home) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Good(format!("{shown} is made by the first start"));
        }
        Err(error) => return Bad(format!("{shown}: {error}"), "choose another with --home DIR".into()),
    };
    if !meta.is_dir() {
        return Bad(
            format!("{shown} is not a directory"),
            "move it away, or choose another with --home DIR".into(),
        );
    }
    let beside = session::shared(home);
    if meta.uid() != rustix::process::geteuid().as_raw() && beside.parent().is_some_and(Path::is_dir) {
        return Good(format!("{shown} is another user's; who was added comes in at {}", beside.display()));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Bad(format!("{shown} belongs to another user"), "use the account it belongs to".into());
    }
    let mode = meta.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Bad(format!("{shown} is open to others (mode {mode:o})"), format!("chmod 700 {shown}"));
    }
    Good(format!("{shown}, yours alone"))
}

/// Free space where the home is, or would be.
fn space(home: &Path) -> Finding {
    let place = home.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(place) {
        Err(error) => Bad(format!("{}: {error}", place.display()), "is the file system mounted?".into()),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("{} MiB free at {}", figures::count(free / 1024 / 1024), place.display());
            match free < FREE_BYTES_MIN {
                true => Bad(text, "free some: when the disk is full, nothing new is accepted".into()),
                false => Good(text),
            }
        }
    }
}

fn clock(now: u64) -> Finding {
    if now < CLOCK_MIN {
        let text = format!("it says {}", figures::moment(now, u64::MAX));
        return Bad(text, "set the clock: expiries and daily budgets depend on it".into());
    }
    Good(format!("{} UTC", figures::moment(now, 0)))
}

fn socket(session: &Session, running: bool) -> Finding {
    let shown = session.place.socket.display().to_string();
    match (fs::metadata(&session.place.socket), running) {
        (Ok(meta), _) if meta.mode() & 0o077 != 0 => Bad(
            format!("{shown} is open to others (mode {:o})", meta.mode() & 0o777),
            format!("chmod 600 {shown}"),
        ),
        (Ok(_), true) => Good(format!("{shown}, yours alone")),
        (Ok(_), false) => Good(format!("{shown} is a left-over; the next start replaces it")),
        (Err(_), true) => Good(shown),
        (Err(_), false) => Good(format!("{shown} is made by the start")),
    }
}

fn daemon(session: &mut Session) -> Finding {
    match session.read("/sys/version") {
        Ok(text) => Good(format!("answers, version {}", text.lines().next().unwrap_or("unknown"))),
        Err(fail) => {
            let log = session.place.home.join("daemon.log").display().to_string();
            Bad(
                format!("does not answer: {}", fail.message),
                format!("{} (its last words: {log})", fail.hint),
            )
        }
    }
}

/// What the daemon finds in its files (`/sys/health`). Where no workspace can be asked they are looked at
/// plainly.
fn health(session: &mut Session) -> Vec<(&'static str, Finding)> {
    let asked = session.workspace.clone();
    let mut names = names(session);
    names.insert(0, asked.clone());
    let mut text = None;
    for name in names.iter().take(WORKSPACES_MAX) {
        session.workspace.clone_from(name);
        text = session.read("/sys/health").ok();
        if text.is_some() {
            break;
        }
    }
    session.workspace = asked;
    match text {
        None => look::files(&session.place.home),
        Some(text) => text.lines().filter_map(finding).collect(),
    }
}

/// A line of `/sys/health`.
fn finding(line: &str) -> Option<(&'static str, Finding)> {
    let (line, hint) = line.split_once('\t').unwrap_or((line, ""));
    let mut words = line.splitn(4, ' ');
    let (kind, name, word, text) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = match kind {
        "disk" => "disk",
        "workspace" => "files",
        "directory" => "directory",
        "mount" => "mount",
        _ => "node",
    };
    match word {
        "ok" => Some((kind, Good(format!("{name}: {text}")))),
        _ => Some((kind, Bad(format!("{name}: {text}"), hint.to_owned()))),
    }
}

/// The workspaces there are: as the daemon lists them, else as their directories stand in the home.
fn names(session: &mut Session) -> Vec<String> {
    let rows = card::rows(&session.read("/sys/workspaces").unwrap_or_default());
    let names: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next()).collect();
    if !names.is_empty() {
        return names;
    }
    let dirs = fs::read_dir(session.place.home.join("workspaces")).into_iter().flatten().flatten();
    let mut names: Vec<String> = dirs.map(|dir| dir.file_name().to_string_lossy().into_owned()).collect();
    if !names.contains(&session.workspace) {
        names.push(session.workspace.clone());
    }
    names.sort();
    names
}

/// Whether each workspace can be opened, and what its log says went wrong.
fn workspaces(session: &mut Session) -> Result<Vec<(&'static str, Finding)>, Fail> {
    let names = names(session);
    let asked = session.workspace.clone();
    let mut findings = Vec::new();
    for name in names.iter().take(WORKSPACES_MAX) {
        session.workspace.clone_from(name);
        findings.push(("workspace", workspace(session, name)));
    }
    session.workspace = asked;
    if names.len() > WORKSPACES_MAX {
        let text = format!("{} more were not opened", names.len() - WORKSPACES_MAX);
        findings.push(("workspace", Good(text)));
    }
    Ok(findings)
}

fn workspace(session: &mut Session, name: &str) -> Finding {
    let sys = match session.card("/sys/status") {
        Ok(sys) => sys,
        Err(fail) => return Bad(format!("{name}: {}", fail.message), fail.hint),
    };
    let (mut poison, mut jumps) = (0_u64, 0_u64);
    let read = journal::read(session, abi::Seq(0), &mut |row| {
        match row.record.body {
            Entry::Quarantined { .. } => poison += 1,
            Entry::ClockJumped { .. } => jumps += 1,
            _ => {}
        }
        Ok(())
    });
    if let Err(fail) = read {
        return Bad(format!("{name}: {}", fail.message), fail.hint);
    }
    let seq = figures::count(sys.number("seq"));
    match (poison, jumps) {
        (0, 0) => Good(format!("{name}: {seq} records, all read")),
        (0, _) => Good(format!("{name}: {seq} records, all read; the clock jumped {jumps} times")),
        _ => Bad(
            format!("{name}: {} set aside", figures::plural(poison, "event")),
            format!("skep trace -w {name} --call quarantine shows them; please report what they were"),
        ),
    }
}
