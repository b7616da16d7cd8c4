//! What led to something, as a tree out of the records that `trace {why}` answers.
//!
//! ```text
//! what happened
//!   what its process had read before, newest first
//!     who wrote that, and what that one had read
//!   how the process began: the oldest cause stands last
//! ```
//!
//! Every record is shown once, where it is met first. Never here: which records those are; the daemon has
//! looked them up.

use crate::{escape, figures, journal::Row, strace};
use abi::{
    EffectId, LabelId, Pid, ProposalId, Seq, VersionId, WORKSPACE,
    call::Ruling,
    halt,
    record::{Entry, Seen},
    tree::Change,
};
use std::collections::{BTreeMap, BTreeSet};

/// Lines below one process that are shown.
const WIDTH_MAX: usize = 64;
/// How far a chain is followed.
const DEPTH_MAX: usize = 32;

/// Something a process read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// By which record it is known.
    pub seq: Seq,
    /// Where it stood.
    pub path: String,
    /// Which version; none for a listing.
    pub version: Option<VersionId>,
    /// Its label.
    pub label: String,
    /// Who wrote it; nobody is known for a listing.
    pub actor: String,
}

/// Records by what they tell of.
pub struct Causes<'a> {
    rows: BTreeMap<Seq, &'a Row>,
    /// The records that made versions.
    wrote: BTreeMap<VersionId, Seq>,
    began: BTreeMap<Pid, Seq>,
    /// What each process read, or was told.
    read: BTreeMap<Pid, Vec<Seq>>,
    labels: BTreeMap<LabelId, String>,
    shown: BTreeSet<(Seq, Option<VersionId>)>,
    lines: Vec<String>,
}

impl<'a> Causes<'a> {
    /// Of these records.
    pub fn of(rows: &'a [Row]) -> Self {
        let mut causes = Self {
            rows: rows.iter().map(|row| (row.record.seq, row)).collect(),
            wrote: BTreeMap::new(),
            began: BTreeMap::new(),
            read: BTreeMap::new(),
            labels: BTreeMap::new(),
            shown: BTreeSet::new(),
            lines: Vec::new(),
        };
        for row in rows {
            let (seq, pid) = (row.record.seq, row.record.pid);
            match &row.record.body {
                Entry::LabelDefined { id, label } => _ = causes.labels.insert(*id, label.to_string()),
                Entry::Wrote { changes, .. } => {
                    causes.wrote.extend(changes.iter().map(|change| (change.version, seq)));
                }
                Entry::Spawned { pid, .. } => _ = causes.began.insert(*pid, seq),
                Entry::Saw { .. } | Entry::Tool { .. } => causes.read.entry(pid).or_default().push(seq),
                Entry::Steered { pid, .. } => causes.read.entry(*pid).or_default().push(seq),
                _ => {}
            }
        }
        causes
    }

    /// The record of this place.
    pub fn row(&self, seq: Seq) -> Option<&'a Row> {
        self.rows.get(&seq).copied()
    }

    /// The first record that is what is looked for.
    pub fn find(&self, mut is: impl FnMut(&Entry) -> bool) -> Option<&'a Row> {
        self.rows.values().copied().find(|row| is(&row.record.body))
    }

    /// What a process had read before a record, newest first; what it wrote itself is none.
    pub fn sources(&self, pid: Pid, before: Seq) -> Vec<Source> {
        let mut found: Vec<Source> = Vec::new();
        let seqs = self.read.get(&pid).into_iter().flatten().rev().filter(|seq| **seq < before);
        for row in seqs.filter_map(|seq| self.row(*seq)) {
            match &row.record.body {
                Entry::Saw { path, version, label, .. } => {
                    let known = version.and_then(|version| self.change(version));
                    let label = match known {
                        Some((writer, change)) => self.label(change.label, writer),
                        None => {
                            self.labels.get(label).cloned().or_else(|| row.label.clone()).unwrap_or_default()
                        }
                    };
                    let actor = known.map(|(writer, _)| writer.record.actor.clone()).unwrap_or_default();
                    let (seq, path) = (row.record.seq, path.to_string());
                    found.push(Source { seq, path, version: *version, label, actor });
                }
                Entry::Tool { seen, .. } => found.extend(self.of_tool(row, pid, seen)),
                _ => {}
            }
        }
        let mut once: BTreeSet<(String, Option<VersionId>)> = BTreeSet::new();
        found.retain(|source| once.insert((source.path.clone(), source.version)));
        found
    }

    fn of_tool(&self, row: &Row, pid: Pid, seen: &[Seen]) -> Vec<Source> {
        let source = |one: &Seen| {
            let version = one.version?;
            let (writer, change) = self.change(version)?;
            let (seq, path) = (row.record.seq, one.path.to_string());
            let (label, actor) = (self.label(change.label, writer), writer.record.actor.clone());
            (writer.record.pid != pid).then_some(Source { seq, path, version: Some(version), label, actor })
        };
        seen.iter().filter_map(source).collect()
    }

    fn change(&self, version: VersionId) -> Option<(&'a Row, &'a Change)> {
        let row = self.row(*self.wrote.get(&version)?)?;
        let Entry::Wrote { changes, .. } = &row.record.body else { return None };
        changes.iter().find(|change| change.version == version).map(|change| (row, change))
    }

    fn label(&self, id: LabelId, row: &Row) -> String {
        self.labels.get(&id).cloned().or_else(|| row.label.clone()).unwrap_or_default()
    }

    /// The tree below what a process did.
    pub fn of_process(mut self, pid: Pid, before: Seq) -> Vec<String> {
        self.process(pid, before, 0);
        self.lines
    }

    /// The tree of a version.
    pub fn of_version(mut self, version: VersionId) -> Vec<String> {
        self.version(version, "wrote", 0);
        self.lines
    }

    /// The tree of all that an operation wrote.
    pub fn of_changes(mut self, versions: &[VersionId]) -> Vec<String> {
        versions.iter().for_each(|version| self.version(*version, "wrote", 0));
        self.lines
    }

    /// The tree of an effect: what was done, who decided, what was known.
    pub fn of_effect(mut self, effect: &EffectId) -> Vec<String> {
        let mut by = None;
        let mut proposal = None;
        for row in self.rows.values().copied().collect::<Vec<_>>().into_iter().rev() {
            let told = match &row.record.body {
                Entry::EffectEnded { effect: it, done, .. } if it == effect => {
                    if *done { "done" } else { "failed" }.to_owned()
                }
                Entry::InDoubt { effect: it } if it == effect => "in doubt".to_owned(),
                Entry::Intended { effect: it, kind, mount, rule, proposal: of, .. } if it == effect => {
                    (by, proposal) = (Some((row.record.pid, row.record.seq)), proposal.or(*of));
                    format!("intended {kind} at {mount}, {}: {}", rule.word(), rule.sentence())
                }
                Entry::ModelIntended { effect: it, model, step, .. } if it == effect => {
                    by = by.or(Some((row.record.pid, row.record.seq)));
                    format!("model call {model}, step {step} of process {}", row.record.pid)
                }
                Entry::Proposed { effect: it, proposal: id, kind, rule, .. } if it == effect => {
                    (by, proposal) = (Some((row.record.pid, row.record.seq)), Some(*id));
                    format!(
                        "proposed {kind} as proposal {id} by {}, held by {}",
                        row.record.actor,
                        rule.word()
                    )
                }
                _ => continue,
            };
            self.say(0, &told);
        }
        for told in proposal.map(|id| self.decided(id)).unwrap_or_default() {
            self.say(0, &told);
        }
        if let Some((pid, seq)) = by {
            self.process(pid, seq, 1);
        }
        self.lines
    }

    /// Who decided on a proposal.
    pub fn decided(&self, id: ProposalId) -> Vec<String> {
        let told = self.rows.values().filter_map(|row| match &row.record.body {
            Entry::Decided { proposal, ruling, reason, args, .. } if *proposal == id => {
                let word = match ruling {
                    Ruling::Approve => "approved",
                    Ruling::Reject => "rejected",
                    Ruling::Answer => "answered",
                    Ruling::Modify => "modified and approved",
                };
                // Modified: what was done instead.
                let why = reason.as_ref().or(args.as_ref()).and_then(|text| row.text(text));
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                Some(format!("{word} by {}{why}", row.record.actor))
            }
            Entry::Lapsed { proposal } if *proposal == id => Some("by nobody in time: rejected".to_owned()),
            _ => None,
        });
        told.collect()
    }

    /// Who came to have a label, and from what.
    pub fn of_label(mut self, id: LabelId) -> Vec<String> {
        let rows: Vec<&Row> = self.rows.values().copied().collect();
        for row in rows.into_iter().rev() {
            match &row.record.body {
                Entry::Saw { path, version, joined, .. } if *joined == id => {
                    let pid = row.record.pid;
                    self.say(0, &format!("process {pid} ({}) by {path}", row.record.actor));
                    match version {
                        Some(version) => self.version(*version, "wrote", 1),
                        None => self.process(pid, row.record.seq, 1),
                    }
                }
                Entry::LabelDefined { id: it, .. } if *it == id => {
                    let by = format!("defined in record {} by {}", row.record.seq, row.record.actor);
                    self.say(0, &by);
                }
                _ => {}
            }
        }
        self.lines
    }

    fn say(&mut self, depth: usize, text: &str) {
        let line = format!("{}{text}", "  ".repeat(depth));
        self.lines.push(figures::cut(&escape::line(&line), 160));
    }

    /// A version: who made it, from what.
    fn version(&mut self, id: VersionId, verb: &str, depth: usize) {
        let Some((row, change)) = self.change(id) else { return };
        if depth > DEPTH_MAX {
            return;
        }
        if !self.shown.insert((row.record.seq, Some(id))) {
            // What it was made of is not said again; that it was read here too, is.
            if verb == "read" {
                self.say(depth, &format!("{verb:5}  {} version {id}, as above", change.path));
            }
            return;
        }
        let (pid, actor, seq) = (row.record.pid, &row.record.actor, row.record.seq);
        let op = match &row.record.body {
            Entry::Wrote { op, .. } => format!("op:{op}"),
            _ => String::new(),
        };
        let by = if pid == WORKSPACE { actor.clone() } else { format!("{actor}, process {pid}") };
        let label = self.label(change.label, row);
        self.say(depth, &format!("{verb:5}  {} version {id} {op} by {by}   {label}", change.path));
        if pid != WORKSPACE {
            self.process(pid, seq, depth + 1);
        }
        for parent in &change.parents {
            self.version(*parent, "from", depth + 1);
        }
    }

    /// What a process knew before a record.
    fn process(&mut self, pid: Pid, before: Seq, depth: usize) {
        if pid == WORKSPACE || depth > DEPTH_MAX {
            return;
        }
        let sources = self.sources(pid, before);
        let fresh: Vec<Source> =
            sources.into_iter().filter(|source| self.shown.insert((source.seq, source.version))).collect();
        for source in fresh.iter().take(WIDTH_MAX) {
            match source.version.filter(|version| self.change(*version).is_some()) {
                Some(version) => self.version(version, "read", depth),
                None => {
                    let verb = if source.version.is_some() { "read " } else { "names" };
                    self.say(depth, &format!("{verb}  {}   {}", source.path, source.label));
                }
            }
        }
        if let Some(more) = fresh.len().checked_sub(WIDTH_MAX).filter(|more| *more > 0) {
            self.say(depth, &format!("… and {more} more; --json has all"));
        }
        self.beginning(pid, before, depth);
    }

    /// The words it was given, and who started it.
    fn beginning(&mut self, pid: Pid, before: Seq, depth: usize) {
        let steered = self.read.get(&pid).into_iter().flatten().rev().filter(|seq| **seq < before);
        let steered: Vec<&Row> = steered.filter_map(|seq| self.row(*seq)).collect();
        for row in steered.into_iter().filter(|row| matches!(row.record.body, Entry::Steered { .. })) {
            if self.shown.insert((row.record.seq, None)) {
                self.say(depth, &format!("told   process {pid} by {}", row.record.actor));
            }
        }
        let Some(row) = self.began.get(&pid).and_then(|seq| self.row(*seq)) else { return };
        let Entry::Spawned { agent, parent, own_words, task, after, .. } = &row.record.body else { return };
        if !self.shown.insert((row.record.seq, None)) {
            return;
        }
        let whose = if *own_words { ", in the operator's own words" } else { "" };
        let task = row.text(task).map(|text| format!(": \"{}\"", figures::cut(&escape::line(text), 60)));
        let by = if *parent == WORKSPACE { row.record.actor.clone() } else { format!("process {parent}") };
        self.say(
            depth,
            &format!("began  process {pid} ({agent}) by {by}{whose}{}", task.unwrap_or_default()),
        );
        self.process(*parent, row.record.seq, depth + 1);
        // What was said before in its session it knew from its beginning.
        if let Some(after) = after {
            self.process(*after, row.record.seq, depth + 1);
        }
    }
}

/// What became of a process, in words.
pub fn fate(rows: &[Row], pid: Pid) -> Vec<String> {
    let told = rows.iter().filter_map(|row| match &row.record.body {
        Entry::Frozen { pids, why } if pids.contains(&pid) => {
            Some(format!("frozen by   {}", halt::why(why, None)))
        }
        Entry::Exited { pid: it, exit, verdict, .. } if *it == pid => Some(match exit {
            abi::record::Exit::Exited(0) => format!("ended       {}", verdict.word()),
            other => format!("ended       {}, {}", strace::ended(other), verdict.word()),
        }),
        _ => None,
    });
    told.map(|text| escape::line(&text)).collect()
}
