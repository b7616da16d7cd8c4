//! Whether a turn gets on: whether its tool calls bring anything new. News is
//!
//! ```text
//! a source               a record `saw`
//! a version              that it reads and has neither read nor made
//! of a call that it has not made before, with these arguments:
//! a content at a path    that it has not made there before
//! an answer              that it has not had; a refusal is none
//! ```
//!
//! The ladder: the same call with the same outcome three times is noted to the model, five times pauses it,
//! eight times freezes it; so do twelve calls, or half a dollar, without news. A wait that took its time is
//! no call. What is known is bounded: a circle of more calls than that looks like work.

use crate::{
    state::{Phase, Process, Progress},
    step::Step,
};
use abi::{
    Code, Content, Hash, Micros, Pid,
    effect::{Item, Role},
    limits,
    record::{Entry, Freeze, Seen, TimerFor},
    tree::Change,
};
use alloc::{format, vec, vec::Vec};

/// How long the pause of the second rung lasts.
const PAUSE_US: u64 = 30_000_000;

/// A tool call and what came of it.
pub struct Told<'a> {
    pub name: &'a str,
    pub args: &'a Content,
    pub outcome: &'a Content,
    pub code: Option<Code>,
    pub seen: &'a [Seen],
}

impl Told<'_> {
    fn call(&self) -> u64 {
        Hash::of_fields("call", &[self.name.as_bytes(), &self.args.hash.0]).short()
    }

    fn answer(&self) -> u64 {
        Hash::of_fields("answer", &[self.name.as_bytes(), &self.outcome.hash.0]).short()
    }

    fn triple(&self) -> u64 {
        let code = self.code.map_or(0, Code::number).to_le_bytes();
        let fields = [self.name.as_bytes(), &self.args.hash.0, &self.outcome.hash.0, &code];
        Hash::of_fields("triple", &fields).short()
    }

    /// Versions that it read; what a write has seen is what it wrote.
    fn read(&self) -> impl Iterator<Item = u64> {
        let read = self.seen.iter().filter(|_| self.name == "read");
        read.filter_map(|seen| Some(version(seen.version?.0)))
    }

    /// Whether it brings something that was not known.
    pub fn is_news(&self, progress: &Progress) -> bool {
        let new = |key: u64| !progress.known.contains(&key);
        let answered = progress.made_new || (self.code.is_none() && new(self.answer()));
        (answered && new(self.call())) || self.read().any(new)
    }
}

fn version(id: u64) -> u64 {
    Hash::of_fields("version", &[&id.to_le_bytes()]).short()
}

fn learn(progress: &mut Progress, key: u64) -> bool {
    let new = !progress.known.contains(&key);
    if new {
        let over = (progress.known.len() + 1).saturating_sub(limits::KNOWN_MAX);
        progress.known.drain(..over);
        progress.known.push(key);
    }
    new
}

/// A process changed the tree.
pub fn made(progress: &mut Progress, changes: &[Change]) {
    // A large operation must not make it forget all else.
    for change in changes.iter().filter(|change| !change.diverged).take(limits::NEWS_MAX) {
        let (path, node) = (change.path.as_str().as_bytes(), change.node.word().as_bytes());
        let content = Hash::of_fields("content", &[path, node, &change.content.hash.0]).short();
        learn(progress, version(change.version.0));
        progress.made_new |= learn(progress, content);
    }
}

/// A process began to wait for what it called.
pub fn waits(progress: &mut Progress, at: Micros) {
    progress.waits_since = at;
}

/// Counts one tool call.
pub fn count(progress: &mut Progress, told: &Told<'_>, fresh: bool, (phase, at): (&Phase, Micros)) {
    let waited = told.code.is_none()
        && matches!(phase, Phase::Waits { .. })
        && at.saturating_sub(progress.waits_since) >= limits::WAITED_US;
    progress.made_new = false;
    if told.code.is_none() {
        learn(progress, told.call());
        learn(progress, told.answer());
    }
    for key in told.read() {
        learn(progress, key);
    }
    if waited {
        return;
    }
    let triple = told.triple();
    progress.repeats = if triple == progress.last { progress.repeats.saturating_add(1) } else { 1 };
    progress.last = triple;
    if fresh {
        progress.idle_calls = 0;
        progress.idle_spend = 0;
    } else {
        progress.idle_calls = progress.idle_calls.saturating_add(1);
    }
}

/// What to do about a process after a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Fine,
    Note,
    Pause,
    Freeze,
}

fn rung(process: &Process) -> Rung {
    let progress = &process.progress;
    let stuck = progress.repeats >= limits::REPEATS_FREEZE
        || progress.idle_calls >= limits::IDLE_CALLS_FREEZE
        || progress.idle_spend >= limits::IDLE_SPEND_FREEZE;
    match progress.repeats {
        _ if stuck => Rung::Freeze,
        limits::REPEATS_BACKOFF => Rung::Pause,
        limits::REPEATS_NOTE => Rung::Note,
        _ => Rung::Fine,
    }
}

impl Step<'_> {
    /// Looks at a process after a tool call; true if its turn may go on at once.
    pub fn watch_progress(&mut self, pid: Pid) -> bool {
        let Some(process) = self.state().processes.get(&pid) else { return false };
        let (repeats, calls, label) = (process.progress.repeats, process.progress.idle_calls, process.label);
        match rung(process) {
            Rung::Fine => true,
            Rung::Note => {
                self.emit(Entry::Stalled { pid, repeats });
                let note = format!(
                    "Note from the kernel: the last {repeats} tool calls and their outcomes were the same."
                );
                let item = Item { role: Role::User, content: self.blob(note.into_bytes()) };
                self.emit(Entry::Steered { pid, item, joined: label });
                true
            }
            Rung::Pause => {
                self.emit(Entry::Stalled { pid, repeats });
                let ready = self.state().processes.get(&pid).map(|process| process.turn.phase.clone());
                if ready != Some(crate::state::Phase::Ready) {
                    return true;
                }
                self.set_timer(TimerFor::Pause(pid), PAUSE_US);
                false
            }
            Rung::Freeze => {
                let pids: Vec<Pid> = vec![pid];
                self.emit(Entry::Frozen { pids, why: Freeze::Loop { calls: calls.max(repeats) } });
                self.alarm(format!("process {pid} does not get on and was frozen"));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{FileId, LabelId, VersionId, path::TreePath, tree::Node};

    /// What it has called stays known after an operation with more changes than are remembered.
    #[test]
    fn a_large_operation_is_not_all_that_is_known() {
        let mut progress = Progress::default();
        let (args, outcome) = (Content::of(b"{}"), Content::of(b"[]"));
        let told = Told { name: "list", args: &args, outcome: &outcome, code: None, seen: &[] };
        count(&mut progress, &told, true, (&Phase::Ready, 0));
        let change = |id: u64| Change {
            file: FileId(id),
            dir: FileId(1),
            path: TreePath::parse(&format!("/data/{id}")).unwrap(),
            moved_from: None,
            version: VersionId(id),
            node: Node::File,
            content: Content::of(&id.to_le_bytes()),
            mode: 0o644,
            mtime: 0,
            label: LabelId(0),
            parents: vec![],
            diverged: false,
            scratch: false,
        };
        let many: Vec<Change> = (2..2 + 2 * limits::KNOWN_MAX as u64).map(change).collect();
        made(&mut progress, &many);
        assert!(progress.made_new && progress.known.len() < limits::KNOWN_MAX);
        progress.made_new = false;
        assert!(!told.is_news(&progress));
    }
}
