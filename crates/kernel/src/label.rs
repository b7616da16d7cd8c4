//! What flows where: interning labels, raising a process's label when it sees something, the label of what it
//! writes. A process's label never falls while it lives, and never below its ceiling: what lies there is
//! invisible to it, so nothing can lower it so far.

use crate::{Kernel, state::Process, step::Step};
use abi::{
    Code, Error, LabelId, Pid, VersionId, WORKSPACE,
    call::{At, Origin},
    fact::Lookup,
    label::{Integrity, Label, Readers},
    path::TreePath,
    record::{Entry, Seen},
};
use alloc::{collections::BTreeSet, format, string::String};

impl Kernel {
    /// The meaning of a label id; unknown is external from nowhere.
    pub(crate) fn meaning(&self, id: LabelId) -> Label {
        self.state.labels.get(&id).cloned().unwrap_or_default()
    }

    /// The label a process decides under, or decided under when it ended; an operator's is that of the
    /// operator's own words, and of a process nobody remembers nothing is known.
    pub(crate) fn label_of(&self, pid: Pid, principal: &str) -> Label {
        match self.state.processes.get(&pid) {
            Some(process) => self.meaning(process.label),
            None if pid == WORKSPACE => Label::new(Integrity::Operator, principal),
            None => self.state.ended.get(&pid).map(|ended| self.meaning(ended.label)).unwrap_or_default(),
        }
    }

    /// What lies below this is invisible to the process; `External` for one that sees everything.
    pub(crate) fn ceiling(&self, pid: Pid) -> Integrity {
        let living = self.state.processes.get(&pid).map(|process| process.ceiling);
        // What comes to one that has ended is told to those above it.
        let own = living.or_else(|| self.state.ended.get(&pid).map(|ended| ended.ceiling));
        own.filter(|_| self.has(crate::sink::rule::CEILING)).unwrap_or_default()
    }

    /// Labels that a process must not see: those below its ceiling.
    pub(crate) fn below(&self, pid: Pid) -> BTreeSet<LabelId> {
        let ceiling = self.ceiling(pid);
        if ceiling == Integrity::External {
            return BTreeSet::new();
        }
        let below = |label: &Label| label.integrity < ceiling;
        self.state.labels.iter().filter(|(_, label)| below(label)).map(|(id, _)| *id).collect()
    }

    /// Whether the process must not see what bears this label. The root, as it was made, bears none.
    pub(crate) fn hides(&self, pid: Pid, label: LabelId) -> bool {
        label != LabelId::default() && self.hides_label(pid, &self.meaning(label))
    }

    /// The same of a label that may have no name yet.
    pub(crate) fn hides_label(&self, pid: Pid, label: &Label) -> bool {
        label.integrity < self.ceiling(pid)
    }

    /// Whether a process may touch what stands somewhere: what lies below its ceiling is not overwritten,
    /// moved or taken away unseen. That a name is taken is all it learns.
    pub(crate) fn may_touch(&self, pid: Pid, path: &TreePath, label: LabelId) -> Result<(), Error> {
        if !self.hides(pid, label) {
            return Ok(());
        }
        let ceiling = self.ceiling(pid).word();
        let message = format!("what stands at {path} lies below the ceiling of process {pid}, {ceiling}");
        Err(Error::new(Code::Denied, message)
            .argument("path")
            .hint("take another name; an operator can endorse what stands: skep endorse PATH"))
    }

    /// Asked along with a path that may not be there: how much of its directory lies below the ceiling.
    pub(crate) fn plan_hidden(&self, pid: Pid, path: &TreePath, at: Option<At>) -> Option<Lookup> {
        let below = self.below(pid);
        let path = path.parent().filter(|_| !below.is_empty())?;
        Some(Lookup::Hidden { path, at, below })
    }

    /// The answer for what is not there. What lies below the ceiling has the same: that something is hidden
    /// in the directory is told, not what, and not whether it was this.
    pub(crate) fn missing(&self, pid: Pid, path: &TreePath, hidden: u64) -> Error {
        let error = Error::new(Code::NotFound, format!("{path} does not exist"));
        if hidden == 0 {
            return error;
        }
        let ceiling = self.ceiling(pid).word();
        error.hint(format!("{hidden} in that directory lie below the ceiling of process {pid}, {ceiling}"))
    }

    /// The label of bytes that come with a call of this caller.
    pub(crate) fn label_of_text(&self, pid: Pid, principal: &str, origin: Origin) -> Label {
        if pid != WORKSPACE {
            // Whatever a model or program made is at most `workspace`.
            let own = Label::new(Integrity::Workspace, principal);
            return self.label_of(pid, principal).join(&own);
        }
        let integrity = match origin {
            Origin::Typed | Origin::Argument => Integrity::Operator,
            Origin::File => Integrity::Workspace,
            Origin::Pipe => Integrity::External,
        };
        Label::new(integrity, principal)
    }
}

impl Kernel {
    /// The version of the path that the process saw last.
    pub(crate) fn last_seen(&self, pid: Pid, path: &TreePath) -> Option<VersionId> {
        let by_client = self.volatile.seen.get(&pid).and_then(|seen| seen.get(path));
        let by_turn = || self.state.processes.get(&pid).and_then(|process| process.seen.get(path)).copied();
        by_client.copied().unwrap_or_else(by_turn)
    }
}

impl Step<'_> {
    /// The label of what is written now: that of an approved call, or of the caller and its text.
    pub fn label_for(&self, pid: Pid, origin: Origin) -> Label {
        match self.approved {
            Some(label) => self.kernel.meaning(label),
            None => self.kernel.label_of_text(pid, &self.actor, origin),
        }
    }

    /// The id of a label; a new one is a record.
    pub fn intern(&mut self, label: &Label) -> LabelId {
        if let Some(id) = self.kernel.index.labels.get(label) {
            return *id;
        }
        let id = self.state().next.label.next();
        self.emit(Entry::LabelDefined { id, label: label.clone() });
        id
    }

    /// A process saw a version, or names: its label rises to the join. A record is made only if it changed.
    pub fn saw(&mut self, pid: Pid, path: &TreePath, version: Option<VersionId>, label: LabelId) {
        let living = self.state().processes.get(&pid).map(|process| process.label);
        // One that has ended is told nothing any more, but others are told what came to it.
        let Some(before) = living.or_else(|| self.state().ended.get(&pid).map(|ended| ended.label)) else {
            return;
        };
        if before == label {
            return;
        }
        let joined = self.kernel.meaning(before).join(&self.kernel.meaning(label));
        let joined = self.intern(&joined);
        if joined == before {
            return;
        }
        let (actor, as_pid) = (self.actor.clone(), self.pid);
        if as_pid != pid {
            self.act_as_process(pid);
        }
        self.emit(Entry::Saw { path: path.clone(), version, label, joined });
        if as_pid != pid {
            self.act_as(as_pid, actor);
        }
    }

    /// A process was told something that depends on what stands there, one bit of it perhaps, but none of its
    /// text: from now on it has at most the same readers. What it says is as trusted as before.
    pub fn learned_of(&mut self, pid: Pid, path: &TreePath, (version, label): (Option<VersionId>, LabelId)) {
        let label = self.kernel.meaning(label);
        if !self.state().processes.contains_key(&pid) || label.readers == Readers::Any {
            return;
        }
        let label = self.intern(&Label { integrity: Integrity::System, ..label });
        self.saw(pid, path, version, label);
    }

    /// A process saw records of these processes: it has seen what they saw.
    pub fn saw_processes(&mut self, pid: Pid, of: Option<&BTreeSet<Pid>>) {
        if pid == WORKSPACE {
            return;
        }
        let state = self.state();
        let living = state.processes.iter().map(|(of, row)| (*of, row.label));
        let all = living.chain(state.ended.iter().map(|(of, row)| (*of, row.label)));
        let labels: BTreeSet<LabelId> =
            all.filter(|(row, _)| of.is_none_or(|of| of.contains(row))).map(|(_, label)| label).collect();
        let Ok(path) = TreePath::parse(&format!("/proc/{pid}/log")) else { return };
        labels.into_iter().for_each(|label| self.saw(pid, &path, None, label));
    }

    /// Remembers the version as the base of the process's next write of the path: of a turn in the record of
    /// its tool call, of a client as long as the daemon lives.
    pub fn remember(&mut self, pid: Pid, path: &TreePath, version: VersionId) {
        self.learn(pid, path, Some(version));
    }

    /// The process knows that the path is free: its next write of it has no base.
    pub fn forget(&mut self, pid: Pid, path: &TreePath) {
        self.learn(pid, path, None);
    }

    fn learn(&mut self, pid: Pid, path: &TreePath, version: Option<VersionId>) {
        if pid == WORKSPACE {
            return;
        }
        if self.turn == Some(pid) {
            self.seen.push(Seen { path: path.clone(), version });
            return;
        }
        let seen = self.kernel.volatile.seen.entry(pid).or_default();
        if seen.len() >= abi::limits::SEEN_PATHS_MAX && !seen.contains_key(path) {
            seen.pop_first();
        }
        seen.insert(path.clone(), version);
    }
}

/// The principal of a process, as its records carry it.
pub fn principal(process: &Process) -> String {
    format!("agent:{}", process.agent)
}
