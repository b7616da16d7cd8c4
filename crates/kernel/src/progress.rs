//! Whether a turn gets on. Signals are the triple (tool, arguments, outcome), new versions, new sources. The
//! ladder: the same triple three times is noted to the model, five times pauses it, eight times freezes it;
//! so do twelve calls, or half a dollar, without anything new.

use crate::{state::Process, state::Progress, step::Step};
use abi::{
    Code, Content, Hash, Pid,
    effect::{Item, Role},
    limits,
    record::{Entry, Freeze, TimerFor},
};
use alloc::{format, vec, vec::Vec};

/// How long the pause of the second rung lasts.
const PAUSE_US: u64 = 30_000_000;

/// Counts one tool call.
pub fn count(
    progress: &mut Progress,
    name: &str,
    args: &Content,
    outcome: &Content,
    code: Option<Code>,
    fresh: bool,
) {
    let code = code.map_or(0, Code::number).to_le_bytes();
    let triple = Hash::of_fields("triple", &[name.as_bytes(), &args.hash.0, &outcome.hash.0, &code]).short();
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
