//! Programs that speak a protocol: what they are told, one turn after the other, how they are told to stop,
//! and what they claim.
//!
//! ```text
//! ExecTurned 0 ─▶ ExecPrompted {session}        it has its task; the session bears the program's own name
//! Steered …       ExecTurned n ─▶ ExecPrompted {words}, Tell   the words that have waited longest
//!                 ExecTurned n ─▶ Tell none     nothing waits: it ends, and what comes waits for another
//! ```
//! What it calls its session is handed to the next process of the same agent that goes on with the same
//! conversation and has the same HOME, and is used for nothing else. Never here: what is said (`machine`).

use crate::{
    Kernel, session,
    state::{Phase, Speech, State},
    step::Step,
};
use abi::{
    Code, Content, Error, ExecId, Pid,
    call::Lane,
    effect::{Effect, SandboxAct},
    event::Claimed,
    money::Usage,
    record::Entry,
    session::LaneName,
};
use alloc::format;

/// Has a program that speaks a protocol told to stop, once: it has a while to end well. Whether it is one.
pub fn interrupted(step: &mut Step<'_>, pid: Pid) -> bool {
    let moves = step.state().processes.get(&pid).is_some_and(|process| process.frozen.is_none());
    match step.kernel.volatile.spoken.get_mut(&pid) {
        Some(speech) if moves && *speech != Speech::Stops => *speech = Speech::Stops,
        _ => return false,
    }
    step.effect(Effect::Sandbox { pid, act: SandboxAct::Interrupt });
    true
}

/// Whether it was told to stop.
pub fn is_stopped(kernel: &Kernel, pid: Pid) -> bool {
    kernel.volatile.spoken.get(&pid) == Some(&Speech::Stops)
}

/// The process outside of all lanes that words for its agent join: the last that the caller began and that
/// hears more.
pub fn hears(kernel: &Kernel, by: Pid, (name, lane): (&LaneName, Lane)) -> Option<Pid> {
    let processes = &kernel.state.processes;
    let is_it = |pid: &Pid| {
        let own = processes.get(pid).filter(|process| process.parent == by && !process.lane);
        own.is_some_and(|process| process.agent == name.agent)
    };
    let speech = kernel.volatile.spoken.iter().filter(|(_, speech)| **speech == Speech::Goes);
    let last = speech.map(|(pid, _)| *pid).filter(is_it).max();
    last.filter(|_| lane == Lane::Steer && name.session.is_none())
}

/// Whether a dispatch from this process joins what another is at: what is said in a conversation of the same
/// owner is told to the same program, which need not load what it knows.
pub fn joins(
    kernel: &Kernel,
    (by, busy): (Pid, Pid),
    (name, lane): (&LaneName, Lane),
) -> Result<bool, Error> {
    let process = kernel.state.processes.get(&busy);
    let is_own = process.is_some_and(|process| process.parent == by) && name.session.is_some();
    let is_program = process.is_some_and(|process| process.turn.phase == Phase::Native);
    match (lane, kernel.volatile.spoken.get(&busy)) {
        (Lane::Steer, None) if is_program => {
            let message = format!("process {busy} is a program that hears nothing while it runs");
            Err(Error::new(Code::Invalid, message)
                .argument("mode")
                .hint("it can wait for the process's end: mode follow_up"))
        }
        (Lane::Steer, None | Some(Speech::Goes)) => Ok(true),
        (Lane::FollowUp, Some(Speech::Goes)) => Ok(is_own),
        (Lane::FollowUp | Lane::Steer, None | Some(Speech::Stops | Speech::Over)) => Ok(false),
        (Lane::Interrupt, _) => Ok(false),
    }
}

/// It has a session, or has ended so many turns in it: it is told what has waited longest, or that nothing
/// does.
pub fn turned(step: &mut Step<'_>, exec: ExecId, (session, turns): (Content, u32)) {
    let Some(row) = step.state().execs.get(&exec).cloned().filter(|row| row.main) else { return };
    let Some(process) = step.state().processes.get(&row.of) else { return };
    let words = process.turn.pending.first().map(|item| item.content).filter(|_| turns > 0);
    step.act_as(row.of, row.actor);
    step.cause = Some(row.seq);
    if turns == 0 || words.is_some() {
        step.emit(Entry::ExecPrompted { exec, session, words });
    }
    if turns == 0 {
        return;
    }
    if words.is_none()
        && let Some(speech) = step.kernel.volatile.spoken.get_mut(&row.of)
    {
        *speech = Speech::Over;
    }
    step.effect(Effect::Tell { pid: row.of, exec, words: words.map(|words| words.hash) });
}

/// It is told something in this session: who goes on with the conversation goes on with that.
pub fn told(state: &mut State, exec: ExecId, (name, words): (Content, Option<Content>)) {
    let Some(pid) = state.execs.get(&exec).map(|row| row.of) else { return };
    let Some(process) = state.processes.get_mut(&pid) else { return };
    if words.is_some() && !process.turn.pending.is_empty() {
        process.turn.pending.remove(0);
    }
    if state.homes.get(&process.agent).is_some_and(|home| home.held == Some(pid)) {
        process.talks = Some(name);
        session::talks(state, pid, name);
    }
}

/// A program says what its models used. What is charged is what went through the endpoint: a claim that is
/// far below that is told, and so is one where nothing went through it.
pub fn claimed(step: &mut Step<'_>, exec: ExecId, usage: Claimed<Usage>) {
    let Some(row) = step.state().execs.get(&exec).cloned().filter(|row| row.main) else { return };
    let Some(process) = step.state().processes.get(&row.of).cloned() else { return };
    let used = step.state().accounts.get(&process.account).map(|account| account.used).unwrap_or_default();
    let tokens = |count: i64| u64::try_from(count).unwrap_or(0);
    let counted = Usage {
        tokens_in: tokens(used.tokens_in),
        tokens_out: tokens(used.tokens_out),
        tokens_cached: tokens(used.tokens_cached),
        tokens_written: tokens(used.tokens_written),
    };
    let (claimed, (_, disbelieved)) = (usage.said(), usage.check(&counted));
    step.act_as(row.of, row.actor);
    step.cause = Some(row.seq);
    step.emit(Entry::ExecClaimed { exec, claimed, counted, disbelieved });
    let who = format!("process {} ({})", row.of, process.agent);
    if disbelieved {
        step.alarm(format!("{who} claims less than went through the endpoint; that is charged"));
    } else if counted == Usage::default() && claimed != counted {
        step.alarm(format!(
            "{who} claims tokens, and none went through the endpoint: nobody here counts them"
        ));
    }
}
