//! The oracle: a second, plain fold of the committed log, made by other code than the kernel's, that checks
//! every record as it comes. It sees only what is durable.
//!
//! | part    | checks                                                                                     |
//! | ------- | ------------------------------------------------------------------------------------------ |
//! | (here)  | `order`, `time`, `labels-fall`, `seen-is-joined`, `ceiling`, `authority`, `exits-once`     |
//! | `money` | `admission`, `overspend`, `bill`, `charge`, `costs`, and the text of every account         |
//! | `acts`  | `model-rebought`, `lost-twice`, `turn-order`, `effect-order`, `redispatch`, `sink`         |
//! | `files` | `lost-update`, `label-of-write`, `steering`, `orphan`, `version-reused`, `merge`,         |
//! |         | `undo-overwrites`; the expected tree and conflicts                                         |
//! | `seen`  | `base-is-seen`                                                                             |
//! | `rest`  | `estop`, `tier`                                                                            |
//! | `talk`  | `history`                                                                                  |
//! | `execs` | `exec-once`, `exec-whole`, `exec-of-dead`, `exec-left`                                     |
//! | `drafts` | `draft-waits`, `draft-whole`, `draft-once`                                               |
//! | `guarded` | `guarded`, `guarded-once`, `guarded-bytes`, `guarded-waits`                              |

mod acts;
mod drafts;
mod execs;
mod files;
mod guarded;
mod money;
mod rest;
mod seen;
mod talk;

pub use acts::{Acts, Stage};
use drafts::Drafts;
use execs::Execs;
pub use files::Files;
use guarded::Guarded;
pub use money::Money;
use rest::Rest;
pub use seen::Seen;
pub use talk::Talk;

use crate::known::Known;
use abi::{
    CapId, LabelId, Micros, Pid, ProposalId, Seq,
    cap::{Cap, Object, Rights},
    label::{Integrity, Label},
    record::{Entry, Record},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.check, self.what)
    }
}

/// A finding.
pub fn finding(check: &'static str, what: impl Into<String>) -> Finding {
    Finding { check, what: what.into() }
}

/// A process, as the log tells it.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its label now.
    pub label: LabelId,
    /// Frozen.
    pub frozen: bool,
    /// What lies below it is invisible to it.
    pub ceiling: Integrity,
}

/// The fold.
#[derive(Default)]
pub struct Ledger {
    /// Last record seen.
    pub head: Seq,
    /// Its time.
    pub at: Micros,
    /// Meanings of labels.
    pub labels: BTreeMap<LabelId, Label>,
    /// Living processes.
    pub processes: BTreeMap<Pid, Process>,
    /// Living capabilities.
    pub caps: BTreeMap<CapId, Cap>,
    /// Proposals that wait.
    pub proposals: BTreeSet<ProposalId>,
    /// Budgets.
    pub money: Money,
    /// Models, effects, turns.
    pub acts: Acts,
    /// The tree.
    pub files: Files,
    /// What turns have seen.
    pub seen: Seen,
    /// What was said in sessions.
    pub talk: Talk,
    /// Stops and tiers.
    rest: Rest,
    /// Commands.
    pub execs: Execs,
    /// What waits to be kept.
    pub drafts: Drafts,
    /// What waits where agents or tools outside obey.
    guarded: Guarded,
    /// Everything that must not be.
    pub findings: Vec<Finding>,
    /// Records by word: what a run has reached.
    pub words: BTreeMap<&'static str, u64>,
    pids: Pid,
}

impl Ledger {
    /// What clients may know of it.
    pub fn known(&self) -> Known {
        Known {
            pids: self.processes.keys().copied().collect(),
            pid: self.pids,
            version: self.files.version,
            op: self.files.op,
            cap: self.caps.last_key_value().map(|(id, _)| *id).unwrap_or_default(),
            caps: self.caps.values().filter(|cap| cap.parent.is_some()).map(|cap| cap.id).collect(),
            proposals: self.proposals.iter().copied().collect(),
            texts: self.files.texts(),
            conflicts: self.files.conflicts().into_iter().map(|(id, path)| (path, id)).collect(),
        }
    }

    /// The meaning of a label.
    pub fn meaning(&self, id: LabelId) -> Label {
        self.labels.get(&id).cloned().unwrap_or_default()
    }

    /// The label a record's process has at that record; none for the workspace itself.
    pub fn label_at(&self, record: &Record) -> Option<Label> {
        self.processes.get(&record.pid).map(|process| self.meaning(process.label))
    }

    /// The policy of these runs lists nobody: whom an admin added is refused, whatever they ask.
    fn check_added(&mut self, record: &Record) {
        let is_added = record.actor.strip_prefix("operator:") == Some(crate::rig::ADDED);
        if is_added && !matches!(record.body, Entry::Refused { .. }) {
            let what = format!("record {} ({}) is {}'s", record.seq, record.body.word(), record.actor);
            self.findings.push(finding("added-is-nobody", what));
        }
    }

    /// Takes one more record of the committed log.
    pub fn take(&mut self, record: &Record) {
        *self.words.entry(record.body.word()).or_default() += 1;
        self.check_order(record);
        self.check_flow(record);
        self.check_added(record);
        self.head = record.seq;
        self.at = record.at;
        let label = self.label_at(record);
        let mut found = self.money.take(record);
        found.extend(self.acts.take(record, label.as_ref()));
        self.apply(record);
        if let Entry::Wrote { op, changes, .. } = &record.body {
            let labels = &self.labels;
            let meaning = |id: LabelId| labels.get(&id).cloned().unwrap_or_default();
            found.extend(self.files.take(record, (*op, changes), label.as_ref(), &meaning));
        }
        found.extend(self.seen.take(record, &self.files));
        found.extend(self.rest.take(record));
        found.extend(self.talk.take(record));
        found.extend(self.execs.take(record));
        found.extend(self.drafts.take(record));
        found.extend(self.guarded.take(record));
        self.files.destroy(record);
        self.findings.extend(found);
    }

    fn apply(&mut self, record: &Record) {
        match &record.body {
            Entry::LabelDefined { id, label } => {
                self.labels.insert(*id, label.clone());
            }
            Entry::Spawned { pid, label, ceiling, .. } => {
                self.pids = self.pids.max(*pid);
                self.processes.insert(*pid, Process { label: *label, frozen: false, ceiling: *ceiling });
                self.check_ceiling(*pid);
            }
            Entry::Exited { pid, .. } => self.exited(*pid),
            Entry::Frozen { pids, .. } => self.set_frozen(pids, Process::freeze),
            Entry::Thawed { pids } => self.set_frozen(pids, Process::thaw),
            Entry::Granted { cap } => {
                self.check_grant(cap);
                self.caps.insert(cap.id, cap.clone());
            }
            Entry::Revoked { caps } => self.caps.retain(|id, _| !caps.contains(id)),
            Entry::Proposed { proposal, .. } => {
                self.proposals.insert(*proposal);
            }
            Entry::Decided { proposal, .. } | Entry::Lapsed { proposal } => {
                self.proposals.remove(proposal);
            }
            Entry::Saw { joined, .. } => self.raise(record.pid, *joined),
            Entry::Steered { pid, joined, .. } => self.raise(*pid, *joined),
            _ => {}
        }
    }

    /// `exits-once`: a process ends once.
    fn exited(&mut self, pid: Pid) {
        if self.processes.remove(&pid).is_none() {
            let what = format!("record {}: process {pid} had ended", self.head);
            self.findings.push(finding("exits-once", what));
        }
    }

    fn set_frozen(&mut self, pids: &[Pid], change: fn(&mut Process)) {
        pids.iter().for_each(|pid| {
            self.processes.entry(*pid).and_modify(change);
        });
    }

    /// The chain's places have no gap, and time never runs backwards.
    fn check_order(&mut self, record: &Record) {
        if record.seq != self.head.next() || record.cause > record.seq {
            let what = format!("record {} (cause {}) after {}", record.seq, record.cause, self.head);
            self.findings.push(finding("order", what));
        }
        if record.at < self.at {
            let what =
                format!("record {} is {} us before the one before it", record.seq, self.at - record.at);
            self.findings.push(finding("time", what));
        }
    }

    /// A process's label never falls while it lives.
    fn raise(&mut self, pid: Pid, joined: LabelId) {
        let Some(process) = self.processes.get(&pid) else { return };
        let (before, after) = (self.meaning(process.label), self.meaning(joined));
        if !before.flows_to(&after) {
            let what = format!("process {pid}: {before} became {after} at record {}", self.head);
            self.findings.push(finding("labels-fall", what));
        }
        self.processes.entry(pid).and_modify(|process| process.label = joined);
        self.check_ceiling(pid);
    }

    /// What a turn has listed or read has joined its label.
    fn check_flow(&mut self, record: &Record) {
        let Entry::Tool { name, code: None, about, .. } = &record.body else { return };
        let seen = match name.as_str() {
            "list" => self.files.labels_below(about),
            "read" => self.files.label_of(about).into_iter().map(|id| [id, id]).collect(),
            "history" if about.starts_with("op:") => {
                self.of_operation(record.pid, about).into_iter().map(|id| [id, id]).collect()
            }
            _ => return,
        };
        let Some(process) = self.processes.get(&record.pid) else { return };
        let (label, ceiling) = (self.meaning(process.label), process.ceiling);
        // What lies below its ceiling was left out of what it was told.
        let seen = seen.into_iter().map(|both| both.map(|id| self.meaning(id)));
        let shown = seen.filter(|both| both.iter().all(|one| one.integrity >= ceiling));
        let lacking = shown.flatten().find(|seen| label.join(seen) != label);
        if let Some(seen) = lacking {
            let what = format!("process {} did {name} {about} ({seen}) and is {label}", record.pid);
            self.findings.push(finding("seen-is-joined", what));
        }
    }

    /// What lies below its ceiling is invisible to a process, so nothing takes it there.
    fn check_ceiling(&mut self, pid: Pid) {
        let Some(process) = self.processes.get(&pid) else { return };
        let (label, ceiling) = (self.meaning(process.label), process.ceiling);
        if label.integrity < ceiling {
            let what = format!("process {pid} is {label}, below its ceiling {}", ceiling.word());
            self.findings.push(finding("ceiling", what));
        }
    }

    /// Labels of the versions of an operation that the process may read.
    fn of_operation(&self, pid: Pid, about: &str) -> BTreeSet<LabelId> {
        let op = about.trim_start_matches("op:").parse().unwrap_or_default();
        let reads = |path: &str| {
            let sees = |cap: &&Cap| match &cap.grant.object {
                Object::Fs(pattern) => cap.grant.rights.contains(Rights::READ) && pattern.matches(path),
                _ => false,
            };
            let caps = self.caps.values().filter(|cap| cap.holder == pid);
            caps.filter(sees).any(|cap| cap.grant.expires.is_none_or(|end| self.at < end))
        };
        self.files
            .of_operation(op)
            .filter(|change| reads(change.path.as_str()))
            .map(|row| row.label)
            .collect()
    }

    /// A capability lies inside its parent, and only the workspace has some without one.
    fn check_grant(&mut self, cap: &Cap) {
        let parent = cap.parent.map(|parent| self.caps.get(&parent));
        let inside = match parent {
            None => cap.holder == abi::WORKSPACE,
            Some(None) => false,
            Some(Some(parent)) => parent.grant.includes(&cap.grant),
        };
        if !inside {
            let what = format!("capability {} of process {} ({})", cap.id, cap.holder, cap.grant);
            self.findings.push(finding("authority", format!("{what} lies in no parent")));
        }
    }
}

impl Process {
    fn freeze(&mut self) {
        self.frozen = true;
    }

    fn thaw(&mut self) {
        self.frozen = false;
    }
}
