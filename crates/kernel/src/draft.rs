//! Drafts: what a program writes waits beside the tree until an operator keeps or drops it.
//!
//! ```text
//! Drafted ─▶ Drafted (all of it, each time) … Exited
//!    keep ─▶ ReadDraft ─▶ DraftRead ─▶ Wrote (as who wrote it), DraftEnded        drop ─▶ DraftEnded
//! ```
//! What a draft changes was made from versions that stood when it was written: keeping it is the decision of
//! a command's end, made later. Never here: the changes themselves; the log has them as a text.

use crate::{
    Kernel, commit, role,
    state::{Client, State},
    step::{Found, Outcome, Step},
};
use abi::{
    Code, Content, Error, Pid, ReplyTo, WORKSPACE,
    agent::AgentDef,
    answer::Answer,
    call::Origin,
    control::Control,
    fact::{Facts, Lookup},
    limits,
    record::Entry,
    view::{self, Change, Commit},
};
use alloc::{format, string::String, vec, vec::Vec};

/// Whether what this agent's program writes is a draft: its file, an operator or policy say so.
pub fn begins(kernel: &Kernel, def: &mut AgentDef) -> Result<bool, Error> {
    let always = kernel.policy_rows(&def.name).any(|row| row.draft);
    let Some(program) = &mut def.run else { return Ok(false) };
    program.guest.draft |= always;
    if program.guest.draft {
        room(&kernel.state)?;
    }
    Ok(program.guest.draft)
}

fn room(state: &State) -> Result<(), Error> {
    let begun = |pid: &&Pid| state.processes.get(pid).is_some_and(|process| process.draft);
    let living = state.processes.values().filter(|process| process.draft).count();
    let waiting = state.drafts.keys().filter(|pid| !begun(pid)).count();
    if living + waiting < limits::DRAFTS_MAX {
        return Ok(());
    }
    let message = format!("{} drafts wait to be kept or dropped", limits::DRAFTS_MAX);
    Err(Error::new(Code::Busy, message).hint("cat /sys/drafts; skep keep PID, skep drop PID"))
}

/// A process whose work is a draft changes nothing of the tree, and neither does what it starts: it would not
/// wait to be kept.
pub fn may_change(kernel: &Kernel, pid: Pid) -> Result<(), Error> {
    let mut at = pid;
    while let Some(process) = kernel.state.processes.get(&at) {
        if process.draft {
            let message = format!("what process {at} does to files is a draft");
            return Err(Error::new(Code::Denied, message)
                .hint("its programs write to files, which an operator then keeps or drops"));
        }
        at = process.parent;
    }
    Ok(())
}

/// All that the program of a process has written so far.
pub fn save(step: &mut Step<'_>, pid: Pid, made: &Commit) -> Result<(), Error> {
    commit::saw(step, (pid, true), &made.told);
    let text = view::layer(&made.changes);
    let layer = Content::of(&text);
    if made.layer.as_deref() != Some(&layer) {
        return Err(Error::new(Code::Unavailable, "the text of the draft is not what it changes"));
    }
    let own = step.label_for(pid, Origin::File);
    commit::permits(step, pid, (made, &own))?;
    let label = step.intern(&own);
    let changes = made.changes.len() as u64;
    let same = match step.state().drafts.get(&pid) {
        Some(row) => (row.layer, row.label) == (layer, label),
        None => changes == 0,
    };
    if !same {
        step.emit(Entry::Drafted { layer, changes, label });
    }
    Ok(())
}

/// Whether there is a draft of a process that can be kept or dropped.
pub fn plan(kernel: &Kernel, pid: Pid) -> Result<Vec<Lookup>, Error> {
    if kernel.state.processes.get(&pid).is_some_and(|process| process.draft) {
        return Err(Error::new(Code::Busy, format!("process {pid} still works on its draft"))
            .argument("pid")
            .hint(format!("skep attach {pid}, or skep kill {pid}: what it has written so far stays")));
    }
    if !kernel.state.drafts.contains_key(&pid) {
        return Err(Error::new(Code::NotFound, format!("process {pid} left no draft"))
            .argument("pid")
            .hint("cat /sys/drafts"));
    }
    Ok(vec![])
}

/// `keep` and `drop`.
pub fn end(step: &mut Step<'_>, word: &Control) -> Outcome {
    let Control::Draft { pid, keep } = *word else { return Outcome::Now(Err(Facts::mismatch())) };
    let Some(row) = step.state().drafts.get(&pid) else {
        return Outcome::Now(plan(step.kernel, pid).map(|_| Answer::DONE));
    };
    if keep {
        return Outcome::Draft { pid, layer: row.layer };
    }
    step.emit(Entry::DraftEnded { of: pid, kept: false });
    Outcome::Now(Ok(Answer::DONE))
}

/// Its changes as those of a command.
fn commit(read: &Result<Vec<Change>, Error>) -> Option<Commit> {
    read.as_ref().ok().map(|changes| Commit { changes: changes.clone(), ..Commit::default() })
}

/// Questions of what was read.
pub fn plan_read(kernel: &Kernel, read: &Result<Vec<Change>, Error>) -> Vec<Lookup> {
    commit(read).map(|commit| commit::plan(kernel, WORKSPACE, &commit)).unwrap_or_default()
}

/// The draft was read: it becomes one operation of who wrote it.
pub fn read(
    step: &mut Step<'_>,
    (reply, pid, layer): (ReplyTo, Pid, Content),
    read: &Result<Vec<Change>, Error>,
    facts: Facts,
) {
    // Who asked has gone: nobody would hear what became of it.
    let Some(Client::Keep(by)) = step.kernel.volatile.clients.get(&reply).cloned() else { return };
    let answer = match (read, facts) {
        (Err(error), _) => Err(error.clone()),
        (_, Facts::Refused(error)) => Err(error),
        (Ok(_), Facts::Found(facts)) => keep(step, (pid, layer, by), read, &mut Found::of(facts)),
    };
    if !step.wants.is_empty() {
        return;
    }
    step.forget_client(reply);
    step.reply(reply, answer);
}

fn keep(
    step: &mut Step<'_>,
    (pid, layer, by): (Pid, Content, String),
    read: &Result<Vec<Change>, Error>,
    facts: &mut Found,
) -> Result<Answer, Error> {
    let row = step.state().drafts.get(&pid).filter(|row| row.layer == layer).cloned();
    let gone = || Error::new(Code::NotFound, format!("the draft of process {pid} was ended meanwhile"));
    let (row, made) = row.zip(commit(read)).ok_or_else(gone)?;
    role::may_keep(step.kernel, &by, &made.changes)?;
    step.act_as(pid, row.actor);
    step.cause = Some(row.seq);
    step.approved = Some(row.label);
    step.keeps = true;
    let decided = commit::decide(step, (WORKSPACE, false), &made, facts);
    (step.approved, step.keeps) = (None, false);
    let made = decided?;
    if step.wants.is_empty() {
        step.act_as(WORKSPACE, by);
        step.emit(Entry::DraftEnded { of: pid, kept: true });
    }
    let commit::Made { operation, changed, more, clashes, waiting } = made;
    Ok(Answer::Kept { operation, changed, more, conflicts: clashes, waits: waiting.proposals })
}
