//! The index of a workspace is folded while nothing else waits for it: some time after a change, so that one
//! fold takes in many, for `FOLD_US_MAX` at a time, by the pool. A call that comes meanwhile waits for one
//! file.
//!
//! ```text
//! a turn wrote ─ FOLD_AFTER_US ─▶ due ─▶ pool: fold until a call comes or the time is over ─▶ due again
//! ```
//!
//! Never here: trouble of the index, which is the index's own; a fold while the disk is full.

use crate::{
    cell::{Cell, State},
    guard::guard,
    journal,
    node::Node,
    timer::Due,
};
use abi::limits;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Whether a workspace's index waits to be folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fold {
    /// No.
    #[default]
    None,
    /// A timer is set.
    Set,
    /// By whoever runs the cell next without an event.
    Due,
}

impl Node {
    /// Sets the timer, if there is something to fold.
    pub(crate) fn fold_later(&self, cell: &Arc<Cell>, state: &mut State) {
        let behind = state.room.as_ref().is_some_and(|room| room.store().is_index_behind());
        if behind && state.fold != Fold::Set {
            state.fold = Fold::Set;
            let at = self.clock.mono().saturating_add(limits::FOLD_AFTER_US);
            self.timer.at(at, Due::Fold(cell.clone()));
        }
    }

    /// Its time has come; while it runs, or has something to decide, that goes first.
    pub(crate) fn fold_due(&self, cell: &Arc<Cell>) {
        let mut state = guard(&cell.state);
        state.fold = Fold::None;
        if state.room.is_none() && !state.running {
            return;
        }
        if state.running || state.queued || !state.inbox.is_empty() || self.ballast.is_short() {
            state.fold = Fold::Set;
            let at = self.clock.mono().saturating_add(limits::FOLD_AFTER_US);
            return self.timer.at(at, Due::Fold(cell.clone()));
        }
        state.fold = Fold::Due;
        self.enqueue(cell, &mut state);
    }

    /// Folds for a while; the caller has claimed the cell.
    pub(crate) fn fold(self: &Arc<Self>, cell: &Arc<Cell>) {
        let room = guard(&cell.state).room.take();
        let Some(mut room) = room else {
            let mut state = guard(&cell.state);
            (state.running, state.fold) = (false, Fold::None);
            return;
        };
        let started = self.clock.mono();
        let mut until = || {
            let took = self.clock.mono().saturating_sub(started);
            took > limits::FOLD_US_MAX || !guard(&cell.state).inbox.is_empty()
        };
        let Ok(folded) = catch_unwind(AssertUnwindSafe(|| room.fold_index(&mut until))) else {
            return self.fail_blindly(cell);
        };
        if let Err(trouble) = &folded {
            journal::say(&cell.name, &format!("the index is not folded: {trouble}"));
        }
        let mut state = guard(&cell.state);
        let more = folded.is_ok() && room.store().is_index_behind();
        state.room = Some(room);
        state.running = false;
        state.fold = if more { Fold::Due } else { Fold::None };
        if more || state.has_work(self.ballast.space()) {
            self.enqueue(cell, &mut state);
        }
    }
}
