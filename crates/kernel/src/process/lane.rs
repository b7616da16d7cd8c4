//! Lanes: one an agent, and one a session of it. A dispatch begins a turn, waits for the one that runs, joins
//! it, or ends it and goes first. In a conversation with a program that hears more, what waits joins it.

use super::{
    Birth, INPUTS, agent_of, birth, born, ceiling_of, interrupt, may_signal, of_file, spawn, with_inputs,
};
use crate::{
    session,
    step::{Found, Step},
    talk,
};
use abi::{
    Code, Content, Error, Pid, WORKSPACE,
    answer::Answer,
    call::{Lane, ProcessKind, Text},
    effect::{Item, Role},
    fact::Fact,
    limits,
    record::{Entry, TimerFor},
    session::LaneName,
};
use alloc::{format, vec, vec::Vec};

/// The call `dispatch`: the agent, the slug of a session of the caller's, the text, and what to do when
/// somebody has the lane.
pub fn dispatch(
    step: &mut Step<'_>,
    pid: Pid,
    (agent, slug, text, lane): (&str, Option<&str>, Text, Lane),
    facts: &mut Found,
) -> Result<Answer, Error> {
    let of = session::lane_of(step, pid, agent, slug);
    session::is_above(step.kernel, &of, ceiling_of(step.state(), pid))?;
    let busy = session::busy(step.state(), &of);
    let Some(busy) = busy.or_else(|| talk::hears(step.kernel, pid, (&of, lane))) else {
        let from = agent_of(step, pid, facts).map_err(|error| of_file(pid, error))?;
        let text = with_inputs(text, &from.0);
        let mut birth = birth(step, pid, from, text, (vec![], None));
        birth.lane = true;
        birth.session = of.session;
        return born(step, pid, birth);
    };
    let text = match facts.any() {
        // Words that join a turn are no task: its inputs were settled when it began.
        Some(Fact::Agent(_)) if lane == Lane::Steer => text,
        Some(Fact::Agent(Ok(def))) => with_inputs(text, &def),
        Some(Fact::Agent(Err(error))) if error.argument == INPUTS => return Err(of_file(pid, error)),
        _ => text,
    };
    let label = step.kernel.label_of_text(pid, &step.actor, text.origin);
    let hides = step.kernel.hides_label(busy, &label);
    let joins = talk::joins(step.kernel, (pid, busy), (&of, lane))?;
    if lane == Lane::Steer && joins && hides {
        let (is, ceiling) = (label.integrity.word(), step.kernel.ceiling(busy).word());
        let message = format!("the text is {is}, below the ceiling of process {busy}, {ceiling}");
        return Err(Error::new(Code::Denied, message)
            .argument("text")
            .hint("it can wait for the process's end: mode follow_up"));
    }
    if lane == Lane::Interrupt {
        may_signal(step.kernel, pid, busy)?;
    }
    if joins && !hides {
        let pending = step.state().processes.get(&busy).map_or(0, |process| process.turn.pending.len());
        if pending >= limits::LANE_MAX {
            return Err(Error::new(
                Code::Busy,
                format!("{pending} items wait for the next step of {agent} already"),
            ));
        }
        steer(step, busy, text.content, &label);
        let place = u32::try_from(pending + 1).unwrap_or(u32::MAX);
        return Ok(if lane == Lane::Steer { Answer::DONE } else { Answer::Queued { queued: place } });
    }
    let waiting = step.state().lanes.get(&of).map_or(0, Vec::len);
    if waiting >= limits::LANE_MAX {
        return Err(Error::new(Code::Busy, format!("{waiting} dispatches wait for {agent} already")));
    }
    let all: usize = step.state().lanes.values().map(Vec::len).sum();
    if all >= limits::LANES_MAX {
        return Err(Error::new(Code::Busy, format!("{all} dispatches wait in this workspace already")));
    }
    let label = step.intern(&label);
    let LaneName { agent, session } = of;
    step.emit(Entry::Queued { agent, text: text.content, origin: text.origin, label, lane, session });
    if lane == Lane::Interrupt {
        if !talk::interrupted(step, busy) {
            interrupt(step, busy);
        }
        return Ok(Answer::Queued { queued: 1 });
    }
    Ok(Answer::Queued { queued: u32::try_from(waiting + 1).unwrap_or(u32::MAX) })
}

/// Words join a running turn; its label joins theirs.
pub fn steer(step: &mut Step<'_>, pid: Pid, content: Content, label: &abi::label::Label) {
    let Some(process) = step.state().processes.get(&pid) else { return };
    let joined = step.kernel.meaning(process.label).join(label);
    let joined = step.intern(&joined);
    step.emit(Entry::Steered { pid, item: Item { role: Role::User, content }, joined });
}

/// Somebody has left a lane: the next in it is called, if there is one.
pub fn beckon(step: &mut Step<'_>, lane: &LaneName) {
    if !step.state().lanes.contains_key(lane) {
        return;
    }
    let purpose = match lane.session {
        None => TimerFor::Lane(lane.agent.clone()),
        Some(_) => TimerFor::Session(lane.clone()),
    };
    step.set_timer(purpose, 0);
}

/// The next dispatch of a lane begins, if nobody has it.
pub fn next(step: &mut Step<'_>, lane: &LaneName, facts: &mut Found) {
    let queued = step.state().lanes.get(lane).and_then(|queue| queue.first()).cloned();
    let Some(queued) = queued.filter(|_| session::busy(step.state(), lane).is_none()) else { return };
    step.emit(Entry::Dequeued { agent: lane.agent.clone(), session: lane.session.clone() });
    let parent = queued.from;
    let lives = parent == WORKSPACE || step.state().processes.contains_key(&parent);
    let gone = || Error::new(Code::Dead, format!("process {parent}, which dispatched it, has ended"));
    let from = if lives { agent_of(step, parent, facts) } else { Err(gone()) };
    let begun = from.and_then(|(def, standing)| {
        let birth = Birth {
            given: false,
            parent,
            def,
            standing,
            task: queued.text,
            label: queued.label,
            own_words: parent == WORKSPACE && queued.origin.is_own_words(),
            post: vec![],
            budget: None,
            restarts: 0,
            lane: true,
            ceiling: ceiling_of(step.state(), parent),
            sends: 0,
            by: queued.by,
            kind: ProcessKind::Turn,
            session: lane.session.clone(),
            talks: None,
        };
        spawn(step, birth)
    });
    if let Err(error) = begun {
        step.alarm(format!("a dispatch to {lane} could not begin: {error}"));
        beckon(step, lane);
    }
}
