//! The emergency stop of a workspace: while it holds, nothing starts. No process is born, no turn takes a
//! step, no model is asked, no effect is handed to a driver, no dispatch or restart begins; streams that run
//! are cut. All of that is put off and nothing is lost: when an operator lifts it, each goes on from where it
//! stood. It is a record, so it holds across a restart. What is looked at, arrives, expires or is refused
//! goes on.

use crate::{
    Kernel, effect,
    state::{Phase, Stage, State, Stopped},
    step::Step,
    turn,
};
use abi::{
    Code, EffectId, Error, Pid, TimerId,
    answer::Answer,
    effect::Effect,
    halt,
    record::{Entry, TimerFor},
};
use alloc::{format, vec::Vec};

/// Refuses whatever would start something.
pub fn admits(kernel: &Kernel) -> Result<(), Error> {
    match &kernel.state.stopped {
        None => Ok(()),
        Some(Stopped { by, .. }) => {
            Err(Error::new(Code::Busy, halt::stopped(by)).hint(format!("{} lets it go on", halt::LIFT)))
        }
    }
}

/// Whether this is put off until the stop is lifted.
pub fn holds(state: &State, purpose: &TimerFor) -> bool {
    let begins = match purpose {
        TimerFor::Restart(_) | TimerFor::Lane(_) | TimerFor::Session(_) => true,
        TimerFor::Proposal(_)
        | TimerFor::Wait(_)
        | TimerFor::Pause(_)
        | TimerFor::Thin
        | TimerFor::Wall(_)
        | TimerFor::LoginDay(_) => false,
    };
    begins && state.stopped.is_some()
}

/// Everything stands still from now on.
pub fn stop(step: &mut Step<'_>) -> Answer {
    if step.state().stopped.is_none() {
        step.emit(Entry::Stopped);
    }
    let streams: Vec<EffectId> = step.state().model_calls.keys().copied().collect();
    streams.into_iter().for_each(|effect| step.effect(Effect::Cut { effect }));
    Answer::DONE
}

/// It goes on. What an operator or a limit froze by itself stays frozen.
pub fn lift(step: &mut Step<'_>) -> Result<Answer, Error> {
    if step.state().stopped.is_none() {
        return Err(Error::invalid("text", "nothing is stopped here").hint("skep thaw PID thaws one process"));
    }
    step.emit(Entry::Lifted);
    let (actor, by) = (step.actor.clone(), step.pid);
    let timers = step.state().timers.iter();
    let begins = |purpose: &TimerFor| {
        matches!(purpose, TimerFor::Restart(_) | TimerFor::Lane(_) | TimerFor::Session(_))
    };
    let timers = timers.filter(|(_, row)| begins(&row.purpose));
    let timers: Vec<(TimerId, u64)> = timers.map(|(id, row)| (*id, row.due)).collect();
    for (timer, due) in timers {
        step.effect(Effect::Timer { timer, after_us: due.saturating_sub(step.at) });
    }
    // First those of which a restart had to find out, then those that no driver has seen.
    for effect in core::mem::take(&mut step.kernel.volatile.put_off) {
        effect::recover(step, effect);
    }
    let effects = step.state().effects.iter().filter(|(_, row)| row.stage == Stage::Intended);
    let unsent: Vec<EffectId> = effects.map(|(id, _)| *id).collect();
    unsent.into_iter().for_each(|effect| step.effect(Effect::Arm { effect }));
    let stands = |phase: &Phase| matches!(phase, Phase::Ready | Phase::Tools { .. });
    let rows = step.state().processes.iter().filter(|(_, row)| stands(&row.turn.phase));
    let pids: Vec<Pid> = rows.map(|(pid, _)| *pid).collect();
    for pid in pids {
        turn::proceed(step, pid);
    }
    step.act_as(by, actor);
    Ok(Answer::DONE)
}
