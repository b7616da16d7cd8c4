//! The failure of a workspace: its room is dropped, its clients are told what is true, and what is still true
//! waits for the next room. What kills a room again and again is set aside.
//!
//! A failure can come from the store, from an event (a panic while it was decided), or from anything around a
//! turn; of the last nobody knows how far it came, so less is claimed. Never here: loading it again.

use crate::{
    away::Errand,
    ballast,
    cell::{Cell, Down, Ticket, reply_of, still_true},
    connection::{gone, interrupted},
    guard::guard,
    journal,
    node::{Node, nobody_knows},
    timer::Due,
    tool,
    turn::{Failed, Failure, Input},
};
use abi::{
    ReplyTo,
    event::{Body, ModelOutcome, Probed},
    limits,
    money::Usage,
    path::TreePath,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

impl Node {
    /// Takes out what has killed this workspace too often. A turn's call is refused instead, a model's answer
    /// has failed, a client is told; all else is left out.
    pub(crate) fn screen(self: &Arc<Self>, cell: &Arc<Cell>, inputs: Vec<Input>) -> Vec<Input> {
        let poison = guard(&cell.state).set_aside.clone();
        if poison.is_empty() {
            return inputs;
        }
        let tame = |input: Input| {
            if poison.contains(&input.digest()) { tamed(cell, input) } else { Some(input) }
        };
        inputs.into_iter().filter_map(tame).collect()
    }

    /// Notes that this event killed the workspace; once it has done so too often, the event that says so.
    fn note(&self, cell: &Cell, killer: &Input) -> Option<Body> {
        let digest = killer.digest();
        let what = killer.event.body.word();
        let kills = match self.registry.note_kill(&cell.name, &digest, what) {
            Ok(kills) => kills,
            Err(trouble) => {
                journal::say(&cell.name, &format!("a failure was not noted: {trouble}"));
                return None;
            }
        };
        if kills < limits::POISON_KILLS_MAX {
            return None;
        }
        guard(&cell.state).set_aside.insert(digest);
        (kills == limits::POISON_KILLS_MAX).then(|| Body::Quarantined { digest, what: what.to_owned() })
    }

    /// The room is gone. Whoever waited is told; what is still true is kept for the next room, one by one.
    pub(crate) fn fail(self: &Arc<Self>, cell: &Arc<Cell>, failed: Failed) {
        let (error, killer) = match &failed.failure {
            Failure::Panic { at } => {
                let message = format!("workspace {} failed while it decided, and is loaded again", cell.name);
                (gone(&message), failed.lost.get(*at).filter(|input| can_be_set_aside(input)))
            }
            Failure::Store(trouble) => (trouble.to_error(), None),
        };
        let full = matches!(&failed.failure, Failure::Store(trouble) if self.heard(trouble));
        journal::say(
            &cell.name,
            &format!("{error} · {}", killer.map_or("", |input| input.event.body.word())),
        );
        let poison = killer.and_then(|killer| self.note(cell, killer));
        self.timer.forget(cell);
        guard(&cell.mounts).opened.clear();
        let now = self.clock.mono();
        let (waiting, undone) = {
            let mut state = guard(&cell.state);
            let pause = state.pause(now);
            // Nothing of it was done, and with the reserve freed it may be: who waits for it goes on waiting.
            let again = |input: &Input| full && pause == 0 && ballast::admits(&input.event.body);
            let room = state.room.take();
            let held = std::mem::take(&mut state.inbox);
            let all = || failed.lost.iter().chain(&held);
            let undone: BTreeSet<ReplyTo> = all().filter_map(undone).collect();
            let patient: BTreeSet<ReplyTo> =
                all().filter(|input| again(input)).filter_map(reply_of).collect();
            let mut desk = guard(&cell.desk);
            let waiting = std::mem::take(&mut desk.waiting);
            let (kept, waiting): (BTreeMap<ReplyTo, Ticket>, BTreeMap<ReplyTo, Ticket>) =
                waiting.into_iter().partition(|(reply, _)| patient.contains(reply));
            desk.waiting = kept;
            drop(desk);
            let poison = poison.map(|body| Input::now(&*self.clock, body, Vec::new()));
            let kept = failed
                .lost
                .into_iter()
                .chain(held)
                .filter(|input| still_true(input) || is_patient(input, &patient));
            state.inbox = poison.into_iter().chain(kept).collect();
            state.single = state.inbox.len();
            state.generation += 1;
            state.down = Some(Down { until: now.saturating_add(pause), error: error.clone() });
            state.running = false;
            state.wanted = true;
            if std::mem::take(&mut state.awake) {
                self.awake.fetch_sub(1, Ordering::Relaxed);
            }
            if pause == 0 {
                self.enqueue(cell, &mut state);
            } else {
                self.timer.at(now.saturating_add(pause), Due::Wake(cell.clone()));
            }
            drop(room);
            (waiting, undone)
        };
        // What runs may hold answers that never became true.
        cell.walls.end_all();
        cell.bounds.end();
        let message = format!("workspace {} failed after it had taken this up", cell.name);
        for (reply, ticket) in waiting {
            let told = if undone.contains(&reply) { error.clone() } else { interrupted(&message) };
            ticket.answer(reply, Err(told));
        }
    }

    /// A panic around a turn: whether its inputs are decided nobody knows, so none of them is kept. Outcomes
    /// among them are asked for again, deliveries offered again.
    pub(crate) fn fail_blindly(self: &Arc<Self>, cell: &Arc<Cell>) {
        {
            let state = guard(&cell.state);
            guard(&cell.away).miss(&state.inbox);
            let held = |key: &(String, TreePath)| state.inbox.iter().any(|input| arrives(input, key));
            guard(&cell.mounts).arriving.retain(|key, _| held(key));
        }
        self.fail(cell, nobody_knows());
    }
}

fn arrives(input: &Input, key: &(String, TreePath)) -> bool {
    matches!(&input.event.body, Body::Arrived { mount, path, .. } if *mount == key.0 && *path == key.1)
}

fn is_patient(input: &Input, patient: &BTreeSet<ReplyTo>) -> bool {
    reply_of(input).is_some_and(|reply| patient.contains(&reply))
}

/// The client of a call of which nothing was done.
pub(crate) fn undone(input: &Input) -> Option<ReplyTo> {
    match &input.event.body {
        Body::Call { reply, .. } => Some(*reply),
        _ => None,
    }
}

/// Waking cannot be left out: a workspace that dies of it stays down, with ever longer pauses.
fn can_be_set_aside(input: &Input) -> bool {
    !matches!(
        input.event.body,
        Body::Genesis { .. }
            | Body::Woke { .. }
            | Body::Restored
            | Body::Leased { .. }
            | Body::Quarantined { .. }
    )
}

/// What stands in for an event that was set aside.
fn tamed(cell: &Cell, mut input: Input) -> Option<Input> {
    let error = tool::set_aside();
    if let Body::Merged { of, .. } = input.event.body {
        input.event.body = *of;
    }
    if let Some(reply) = reply_of(&input) {
        let ticket = guard(&cell.desk).waiting.remove(&reply);
        if let Some(ticket) = ticket {
            ticket.answer(reply, Err(error));
        }
        return None;
    }
    let body = match &input.event.body {
        body @ Body::Tool { .. } => tool::refused(body, error),
        // Nobody here can say what came of it: the operator is asked.
        Body::EffectEnded { effect, .. } | Body::EffectProbed { effect, .. } => {
            input.blobs.clear();
            guard(&cell.away).end(Errand::Send(*effect));
            Some(Body::EffectProbed { effect: *effect, found: Probed::Unknown })
        }
        Body::ModelEnded { effect, attempt, .. } => {
            let words = error.message.clone().into_bytes();
            let message = abi::Content::of(&words);
            input.blobs = vec![words];
            let counted = Usage::default();
            let outcome = ModelOutcome::Failed { message, again: false, after_us: None, counted };
            Some(Body::ModelEnded { effect: *effect, attempt: *attempt, outcome })
        }
        _ => None,
    }?;
    input.event.body = body;
    Some(input)
}
