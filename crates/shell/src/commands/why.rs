//! `skep why`: from a held effect, or from a process, back to the bytes that had a part in it.
//!
//! A process's label changes when it opens or lists something (`saw` records). A path that no process wrote,
//! or that lies below an integration, is a source; a path that another process wrote leads on to what that
//! one saw; and what a process was started with leads on to what its parent saw before.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Row},
    session::{Session, Tone},
    strace,
};
use abi::{
    Pid, ProposalId, Seq, VersionId,
    call::Ruling,
    record::{Entry, Exit as End},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Processes a chain is followed through.
const DEPTH_MAX: usize = 16;

/// Why something is held or was done: rule, label, the files it came from, and who decided
#[derive(Debug, clap::Args)]
pub struct Why {
    /// A proposal (3), or a process (pid:12; a number that is no proposal is a process)
    #[arg(value_name = "PROPOSAL|PID")]
    what: String,
}

/// One thing a process saw, and from where it can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How many processes away.
    pub depth: usize,
    /// Who saw it.
    pub pid: Pid,
    /// The path.
    pub path: String,
    /// Its version; none for a listing.
    pub version: Option<VersionId>,
    /// Label of it.
    pub label: String,
    /// The record.
    pub seq: Seq,
    /// Whether it came from outside; not from a process of this workspace.
    pub is_origin: bool,
}

impl Why {
    pub fn run(self, session: &mut Session) -> Outcome {
        let rows = journal::all(session)?;
        let bad = || {
            Fail::usage(format!("{:?} is neither a proposal nor a process", self.what))
                .hint("skep why 3, skep why pid:12; skep inbox and skep ps list them")
        };
        let id = self.what.strip_prefix("pid:").unwrap_or(&self.what);
        let id: u64 = id.parse().map_err(|_| bad())?;
        let proposed = rows.iter().find(
            |row| matches!(&row.record.body, Entry::Proposed { proposal, .. } if *proposal == ProposalId(id)),
        );
        match proposed.filter(|_| !self.what.starts_with("pid:")) {
            Some(row) => proposal(session, &rows, row, ProposalId(id)),
            None => process(session, &rows, Pid(id)),
        }
    }
}

fn proposal(session: &mut Session, rows: &[Row], row: &Row, id: ProposalId) -> Outcome {
    let Entry::Proposed { kind, mount, rule, about, label, effect, .. } = &row.record.body else {
        return Ok(Exit::Bad);
    };
    let sources = sources(rows, row.record.pid, row.record.seq);
    if session.is_json() {
        for source in &sources {
            session.object(&object(source))?;
        }
        return Ok(Exit::Fine);
    }
    let place = if mount.is_empty() { about.clone() } else { format!("at {mount}") };
    session.say(&format!("proposal {id}  {} {}", escape::line(kind), escape::line(&place)))?;
    let pid = row.record.pid;
    session.say(&format!(
        "by          {}, process {pid}{}",
        escape::line(&row.record.actor),
        task(rows, pid)
    ))?;
    let tone = session.paint(rule.word(), Tone::Held);
    session.say(&format!("held by     {tone}: {}", rule.sentence()))?;
    let text = row.label.clone().unwrap_or_else(|| format!("label {label}"));
    session.say(&format!("label       {}", escape::line(&text)))?;
    decided(session, rows, id, effect)?;
    chain(session, &sources)?;
    session.hint(&format!("skep inbox {id} shows the exact arguments; skep cat PATH reads a source"));
    Ok(Exit::Fine)
}

fn process(session: &mut Session, rows: &[Row], pid: Pid) -> Outcome {
    let spawned =
        rows.iter().find(|row| matches!(&row.record.body, Entry::Spawned { pid: it, .. } if *it == pid));
    let Some(row) = spawned else {
        return Err(Fail::new(format!("neither a proposal nor a process {pid} was ever here"))
            .hint("skep inbox, skep ps --all"));
    };
    let end = rows.last().map_or(Seq(0), |row| row.record.seq);
    let sources = sources(rows, pid, end.next());
    if session.is_json() {
        for source in &sources {
            session.object(&object(source))?;
        }
        return Ok(Exit::Fine);
    }
    let Entry::Spawned { agent, parent, own_words, .. } = &row.record.body else { return Ok(Exit::Bad) };
    session.say(&format!("process {pid}  {}{}", escape::line(agent), task(rows, pid)))?;
    let by =
        if *parent == abi::ids::WORKSPACE { row.record.actor.clone() } else { format!("process {parent}") };
    let whose = if *own_words { ", in the operator's own words" } else { "" };
    session.say(&format!("started by  {}{whose}", escape::line(&by)))?;
    for row in rows.iter().filter(|row| row.concerns().contains(&pid)) {
        match &row.record.body {
            Entry::Frozen { why, .. } => {
                session.say(&format!("frozen by   {}", escape::line(&strace::frozen(why))))?
            }
            Entry::Exited { pid: it, exit, verdict, .. } if *it == pid => {
                let text = match exit {
                    End::Exited(0) => verdict.word().to_owned(),
                    other => format!("{}, {}", strace::ended(other), verdict.word()),
                };
                session.say(&format!("ended       {}", escape::line(&text)))?;
            }
            _ => {}
        }
    }
    chain(session, &sources)?;
    Ok(Exit::Fine)
}

fn task(rows: &[Row], pid: Pid) -> String {
    let text = rows.iter().find_map(|row| match &row.record.body {
        Entry::Spawned { pid: it, task, .. } if *it == pid => row.text(task),
        _ => None,
    });
    text.map(|text| format!(", task \"{}\"", figures::cut(&escape::line(text), 60))).unwrap_or_default()
}

/// Who decided on it, and what came of it.
fn decided(session: &mut Session, rows: &[Row], id: ProposalId, effect: &abi::EffectId) -> Result<(), Fail> {
    let mut open = true;
    for row in rows {
        let said = match &row.record.body {
            Entry::Decided { proposal, ruling, reason } if *proposal == id => {
                open = false;
                let word = match ruling {
                    Ruling::Approve => "approved",
                    Ruling::Reject => "rejected",
                };
                let why = reason.as_ref().and_then(|reason| row.text(reason));
                format!(
                    "decided     {word} by {}{}",
                    row.record.actor,
                    why.map(|why| format!(": {why}")).unwrap_or_default()
                )
            }
            Entry::Lapsed { proposal } if *proposal == id => {
                open = false;
                "decided     by nobody in time: rejected".to_owned()
            }
            Entry::EffectEnded { effect: it, done, outcome } if it == effect => {
                let word = if *done { "done" } else { "failed" };
                format!("effect      {word} {}", row.text(outcome).unwrap_or_default())
            }
            _ => continue,
        };
        session.say(&escape::line(&said))?;
    }
    if open {
        session.say("decided     not yet: it waits for you")?;
    }
    Ok(())
}

fn chain(session: &mut Session, sources: &[Source]) -> Result<(), Fail> {
    if sources.is_empty() {
        return session.say("sources     none: nothing it opened changed its label");
    }
    session.say("sources     what it opened or listed, first to last")?;
    for source in sources {
        let indent = "  ".repeat(source.depth);
        let what = match (source.version, source.is_origin) {
            (None, _) => "names of",
            (Some(_), true) => "bytes of",
            (Some(_), false) => "written by a process",
        };
        let label = escape::line(&source.label);
        session.say(&format!("  {indent}{what:9} {}   {label}", escape::line(&source.path)))?;
    }
    Ok(())
}

fn object(source: &Source) -> serde_json::Value {
    json!({"pid": source.pid, "path": source.path, "version": source.version, "label": source.label,
        "seq": source.seq, "origin": source.is_origin, "depth": source.depth})
}

/// All that a process saw before a record, and what those saw that wrote it or started it.
pub fn sources(rows: &[Row], pid: Pid, before: Seq) -> Vec<Source> {
    let mut labels = BTreeMap::new();
    let mut writers = BTreeMap::new();
    for row in rows {
        match &row.record.body {
            Entry::LabelDefined { id, label } => drop(labels.insert(*id, label.to_string())),
            Entry::Wrote { changes, .. } => {
                writers
                    .extend(changes.iter().map(|change| (change.version, (row.record.pid, row.record.seq))));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    let mut done = BTreeSet::new();
    // Depth first: what stands below a source explains it.
    let mut walk = Walk { rows, labels: &labels, writers: &writers, done: &mut done, found: &mut found };
    walk.process(pid, before, 0);
    found
}

struct Walk<'a> {
    rows: &'a [Row],
    labels: &'a BTreeMap<abi::LabelId, String>,
    writers: &'a BTreeMap<VersionId, (Pid, Seq)>,
    done: &'a mut BTreeSet<Pid>,
    found: &'a mut Vec<Source>,
}

impl Walk<'_> {
    fn process(&mut self, pid: Pid, before: Seq, depth: usize) {
        if depth > DEPTH_MAX || !self.done.insert(pid) {
            return;
        }
        for row in self.rows.iter().filter(|row| row.record.seq < before) {
            match &row.record.body {
                Entry::Spawned { pid: it, parent, .. } if *it == pid && *parent != abi::ids::WORKSPACE => {
                    self.process(*parent, row.record.seq, depth + 1);
                }
                Entry::Saw { path, version, label, .. } if row.record.pid == pid => {
                    let writer = version.and_then(|version| self.writers.get(&version)).copied();
                    let writer = writer.filter(|(writer, _)| *writer != abi::ids::WORKSPACE);
                    let is_origin = writer.is_none() || strace::is_mounted(path);
                    let label = self.labels.get(label).cloned().or_else(|| row.label.clone());
                    self.found.push(Source {
                        depth,
                        pid,
                        path: path.to_string(),
                        version: *version,
                        label: label.unwrap_or_default(),
                        seq: row.record.seq,
                        is_origin,
                    });
                    if let Some((writer, seq)) = writer.filter(|_| !is_origin) {
                        self.process(writer, seq, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }
}
