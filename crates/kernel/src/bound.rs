//! Directories of the host that are part of the tree. The host is the truth of what stands in them, the log
//! of who changed what: a version is kept of what stood there before, and what is decided is placed there
//! once it is durable.
//!
//! ```text
//! Noticed ─▶ Wrote (system:outside)        what people and their tools did
//! Wrote below one ─▶ Effect::Place … Noticed (what was found instead) … Body::Placed ─▶ Placed
//! ```
//! What was found where something else was expected is a change by somebody outside over what was expected:
//! merged, or kept beside, as any other. Its only copy goes when that is durable, and not before.

use crate::{
    Kernel, commit,
    state::State,
    step::{Found, Step},
};
use abi::{
    Code, Error, LabelId, Pid, Seq, WORKSPACE,
    answer::Answer,
    bound::{self, names_below},
    cap::{Grant, Object, Rights},
    effect::Effect,
    fact::{Fact, Facts, Lookup},
    label::{Integrity, Label},
    limits,
    path::{Pattern, TreePath},
    record::{Entry, Record},
    tree,
    view::{Bound, Change, Commit, Spot},
};
use alloc::{format, string::String, vec, vec::Vec};

/// Who changes a bound directory from outside: nobody can say which person or program it was.
pub const OUTSIDE: &str = "system:outside";

/// Where the tree has things of its own; and what the wall lays over the tree.
const TAKEN: [&str; 17] = [
    "agents",
    "bin",
    "channels",
    "dev",
    "etc",
    "integrations",
    "lib",
    "lib32",
    "lib64",
    "memory",
    "proc",
    "programs",
    "proposals",
    "sbin",
    "skills",
    "sys",
    "usr",
];

/// What programs have of their own, where what is below stays what it is on the host.
const OWN: [&str; 4] = ["/opt", "/run", "/tmp", "/var"];
/// And where nothing does: what is theirs in it.
const OWN_WHOLE: [&str; 3] = ["/run/home", "/run/skep", "/var/tmp"];

/// Whether this directory can be bound beside those that are.
pub fn may_bind(state: &State, dir: &TreePath) -> Result<(), Error> {
    let invalid = |message: String| Error::invalid("dir", message).hint("bind the directory of one project");
    let first = dir.names().next();
    if first.is_none() {
        return Err(invalid(String::from("/ is not a directory of work")));
    }
    if let Some(top) = first.filter(|top| TAKEN.contains(top)) {
        return Err(invalid(format!("/{top} is something else inside")));
    }
    let text = dir.as_str();
    if OWN.contains(&text) || OWN_WHOLE.iter().any(|own| text.starts_with(own)) {
        return Err(invalid(format!("{dir} is something else inside")));
    }
    if state.bound.len() >= limits::BOUND_MAX && !state.bound.contains_key(dir) {
        let message = format!("{} directories are bound already", limits::BOUND_MAX);
        return Err(Error::new(Code::Busy, message).hint("skep unbind DIR"));
    }
    let other =
        state.bound.keys().find(|other| *other != dir && (dir.is_below(other) || other.is_below(dir)));
    match other {
        Some(other) if dir.is_below(other) => {
            Err(Error::new(Code::Exists, format!("{dir} is part of {other}, which is bound already"))
                .argument("dir"))
        }
        Some(other) => {
            Err(Error::new(Code::Exists, format!("{other}, which is part of {dir}, is bound already"))
                .argument("dir")
                .hint(format!("skep unbind {other}")))
        }
        None => Ok(()),
    }
}

/// The machine has looked at it.
pub fn bound(step: &mut Step<'_>, dir: &TreePath, external: bool) {
    if may_bind(step.state(), dir).is_err() {
        return;
    }
    let integrity = if external { Integrity::External } else { Integrity::Workspace };
    let label = step.intern(&Label::new(integrity, format!("bound:{}", dir.as_str())));
    if step.state().bound.get(dir) != Some(&label) {
        step.emit(Entry::Bound { dir: dir.clone(), label });
    }
}

/// `unbind`
pub fn unbind(step: &mut Step<'_>, dir: &TreePath) -> Result<Answer, Error> {
    if !step.state().bound.contains_key(dir) {
        return Err(Error::new(Code::NotFound, format!("{dir} is not bound")).argument("dir"));
    }
    step.emit(Entry::Unbound { dir: dir.clone() });
    Ok(Answer::DONE)
}

/// For a view. What programs of agents write where agents or tools outside obey waits (`guarded`).
pub fn rows(state: &State, pid: Pid) -> Vec<Bound> {
    let row = |(dir, label): (&TreePath, &LabelId)| Bound {
        dir: dir.clone(),
        label: *label,
        guards: pid != WORKSPACE,
    };
    state.bound.iter().map(row).collect()
}

/// A program that an operator begins in a bound directory may read, write and run what is in it: they said so
/// by beginning it there. What policy denies it may not.
pub fn lend(step: &mut Step<'_>, pid: Pid, dir: &TreePath) {
    let Some(pattern) = of(step.state(), dir).and_then(|(dir, _)| Pattern::parse(&format!("{dir}/**")).ok())
    else {
        return;
    };
    for rights in [Rights::READING, Rights::WRITING, Rights::EXEC] {
        let grant = Grant::new(Object::Fs(pattern.clone()), rights);
        if let Some(within) = step.kernel.parent_of(WORKSPACE, &grant) {
            step.give(pid, Some(within), grant);
        }
    }
}

/// Whether what stands there steers agents, or is run or obeyed by tools outside.
pub fn is_guarded(state: &State, path: &TreePath) -> bool {
    of(state, path).and_then(|(dir, _)| names_below(path, dir)).is_some_and(bound::is_guarded)
}

pub fn of<'a>(state: &'a State, path: &TreePath) -> Option<(&'a TreePath, LabelId)> {
    state.bound.iter().find(|(dir, _)| path.is_below(dir)).map(|(dir, label)| (dir, *label))
}

/// Whether a record says something that does not stand in a bound directory yet. What somebody outside did
/// stands there, unless it was merged.
pub fn is_to_be_placed(state: &State, record: &Record) -> bool {
    let Entry::Wrote { changes, .. } = &record.body else { return false };
    let outside = record.actor == OUTSIDE;
    let stands = |change: &tree::Change| change.diverged || (outside && change.parents.len() < 2);
    changes.iter().any(|change| !stands(change) && of(state, &change.path).is_some())
}

/// Has the machine place it.
pub fn follow(step: &mut Step<'_>, seq: Seq) {
    if step.state().unplaced.contains(&seq) {
        step.effect(Effect::Place { seq });
    }
}

/// The workspace was loaded: what was under way is done again.
pub fn woke(step: &mut Step<'_>) {
    let unplaced: Vec<Seq> = step.state().unplaced.iter().copied().collect();
    unplaced.into_iter().for_each(|seq| step.effect(Effect::Place { seq }));
}

/// This is a copy: the directories are the original's.
pub fn restored(step: &mut Step<'_>) {
    let dirs: Vec<TreePath> = step.state().bound.keys().cloned().collect();
    for dir in dirs {
        step.emit(Entry::Unbound { dir });
    }
}

/// Questions of what was noticed or found.
pub fn plan(kernel: &Kernel, commit: &Commit) -> Vec<Lookup> {
    if commit.changes.is_empty() { vec![] } else { commit::plan(kernel, WORKSPACE, commit) }
}

/// Somebody outside changed something.
pub fn noticed(step: &mut Step<'_>, number: u64, commit: &Commit, facts: Facts) {
    if take(step, commit, facts) {
        let seq = step.state().seq;
        step.effect(Effect::NoticeDecided { number, seq });
    }
}

/// A record is placed, as far as it could be.
pub fn placed(step: &mut Step<'_>, seq: Seq, failed: &[(TreePath, String)]) {
    if !step.state().unplaced.contains(&seq) {
        return;
    }
    step.act_as(WORKSPACE, String::from("system:kernel"));
    step.cause = Some(seq);
    for (path, why) in failed {
        step.alarm(format!("{path} is not as the tree says: {why}"));
    }
    let failed = failed.iter().map(|(path, why)| (path.clone(), step.blob(why.as_bytes().to_vec())));
    let failed = failed.collect();
    step.emit(Entry::Placed { placed: seq, failed });
}

/// The label of what somebody outside put there.
pub fn label(step: &Step<'_>, commit: &Commit) -> Label {
    let labels = commit.changes.iter().filter_map(|change| of(step.state(), &change.path));
    labels.fold(Label::system(), |all, (_, id)| all.join(&step.kernel.meaning(id)))
}

/// Nobody outside can have changed a version that does not stand there yet: who places it finds what does.
fn placed_only(state: &State, commit: &Commit, facts: Facts) -> (Commit, Facts) {
    let (mut commit, mut facts) = (commit.clone(), facts);
    let spots = match &mut facts {
        Facts::Found(found) => found.iter_mut().find_map(|fact| match fact {
            Fact::Spots(spots) => Some(spots),
            _ => None,
        }),
        Facts::Refused(_) => None,
    };
    let Some(spots) = spots.filter(|spots| spots.len() == commit.changes.len()) else {
        return (commit, facts);
    };
    let waits = |change: &Change, spot: &Spot| {
        let here = spot.here.as_ref().filter(|here| change.base == Some(here.id));
        here.is_some_and(|here| state.unplaced.contains(&here.seq))
    };
    let stands: Vec<bool> =
        commit.changes.iter().zip(spots.iter()).map(|(change, spot)| !waits(change, spot)).collect();
    let (mut changes, mut places) = (stands.iter(), stands.iter());
    commit.changes.retain(|_| changes.next().copied().unwrap_or(true));
    spots.retain(|_| places.next().copied().unwrap_or(true));
    (commit, facts)
}

/// Records what stands there; whether it is decided.
fn take(step: &mut Step<'_>, commit: &Commit, facts: Facts) -> bool {
    let (commit, facts) = placed_only(step.state(), commit, facts);
    let commit = &commit;
    let within = |change: &Change| of(step.state(), &change.path).is_some();
    if commit.changes.is_empty() || !commit.changes.iter().all(within) {
        return true;
    }
    step.act_as(WORKSPACE, String::from(OUTSIDE));
    let decided = match facts {
        Facts::Found(facts) => commit::decide(step, (WORKSPACE, false), commit, &mut Found::of(facts)),
        Facts::Refused(error) => Err(error),
    };
    if !step.wants.is_empty() {
        return false;
    }
    if let Err(error) = decided {
        step.alarm(format!("what somebody changed outside could not be recorded: {}", error.message));
    }
    true
}
