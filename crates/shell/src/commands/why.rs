//! `skep why`: from a held effect, or from a process, back to the bytes that had a part in it.
//!
//! A process's label changes when it opens or lists something (`saw` records); what a turn read besides
//! stands in the records of its tool calls. A path that no process wrote, or that lies below an
//! integration, is a source; a path that another process wrote leads on to what that one saw; and what a
//! process was started with leads on to what its parent saw before.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Row},
    session::{Session, Tone},
    strace,
};
use abi::{
    LabelId, Pid, ProposalId, Seq, VersionId, WORKSPACE,
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
    let by = if *parent == WORKSPACE { row.record.actor.clone() } else { format!("process {parent}") };
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
    let mut walk = Walk {
        rows,
        labels: BTreeMap::new(),
        writers: BTreeMap::new(),
        done: BTreeSet::new(),
        found: vec![],
    };
    for row in rows {
        match &row.record.body {
            Entry::LabelDefined { id, label } => drop(walk.labels.insert(*id, label.to_string())),
            Entry::Wrote { changes, .. } => {
                let by = (row.record.pid, row.record.seq);
                walk.writers.extend(changes.iter().map(|change| (change.version, by)));
            }
            _ => {}
        }
    }
    walk.process(pid, before, 0);
    walk.found
}

/// A walk from process to process, depth first, so that what stands below a source explains it.
struct Walk<'a> {
    rows: &'a [Row],
    labels: BTreeMap<LabelId, String>,
    writers: BTreeMap<VersionId, (Pid, Seq)>,
    done: BTreeSet<Pid>,
    found: Vec<Source>,
}

impl Walk<'_> {
    fn process(&mut self, pid: Pid, before: Seq, depth: usize) {
        if depth > DEPTH_MAX || !self.done.insert(pid) {
            return;
        }
        for row in self.rows.iter().take_while(|row| row.record.seq < before) {
            match &row.record.body {
                Entry::Spawned { pid: it, parent, .. } if *it == pid && *parent != WORKSPACE => {
                    self.process(*parent, row.record.seq, depth + 1);
                }
                Entry::Saw { path, version, label, .. } if row.record.pid == pid => {
                    let label = self.labels.get(label).cloned().or_else(|| row.label.clone());
                    self.source(row, depth, path.as_str(), *version, label.unwrap_or_default());
                }
                // What changed no label was read all the same.
                Entry::Tool { name, code: None, about, .. } if row.record.pid == pid && name == "read" => {
                    // What was rendered at that moment, as a status, has no version and came from nobody.
                    if let (Some(version), label) = self.head(about, row.record.seq) {
                        self.source(row, depth, about, Some(version), label);
                    }
                }
                _ => {}
            }
        }
    }

    /// The version that stood at a path, and its label.
    fn head(&self, path: &str, before: Seq) -> (Option<VersionId>, String) {
        let past = self.rows.iter().take_while(|row| row.record.seq < before);
        let changes = past.filter_map(|row| match &row.record.body {
            Entry::Wrote { changes, .. } => Some(changes),
            _ => None,
        });
        let head = changes.flatten().filter(|change| change.path.as_str() == path && !change.diverged).last();
        let label = head.and_then(|change| self.labels.get(&change.label)).cloned();
        (head.map(|change| change.version), label.unwrap_or_default())
    }

    fn source(&mut self, row: &Row, depth: usize, path: &str, version: Option<VersionId>, label: String) {
        let pid = row.record.pid;
        if self
            .found
            .iter()
            .any(|source| source.pid == pid && source.path == path && source.version == version)
        {
            return;
        }
        let writer = version.and_then(|version| self.writers.get(&version)).copied();
        let writer = writer.filter(|(writer, _)| *writer != WORKSPACE);
        let is_origin = writer.is_none() || strace::is_mounted(path);
        let (path, seq) = (path.to_owned(), row.record.seq);
        self.found.push(Source { depth, pid, path, version, label, seq, is_origin });
        if let Some((writer, seq)) = writer.filter(|_| !is_origin) {
            self.process(writer, seq, depth + 1);
        }
    }
}
