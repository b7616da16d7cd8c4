//! The one clock-watching thread: timers of kernels, workspaces to load again or to wake when due, polls of
//! mounts, the sweep that puts idle workspaces to sleep, the look for room on a full disk. With nothing to do
//! it waits without a deadline.

use crate::{
    cell::Cell,
    guard::{guard, wait},
    journal,
    node::Node,
    spawn,
};
use abi::{Micros, TimerId};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex},
};

/// How often mounts are asked what has come.
pub(crate) const POLL_US: u64 = 2_000_000;
/// How often idle workspaces are looked for.
pub(crate) const SWEEP_US: u64 = 5_000_000;
/// How often room is looked for while the disk is full.
pub(crate) const SHORT_SWEEP_US: u64 = 1_000_000;
/// The thread never waits longer: cheap, and a missed notice would cost this much at most.
const WAIT_US_MAX: u64 = 3_600_000_000;

/// What to do when its time has come.
#[derive(Clone)]
pub(crate) enum Due {
    /// Tell the kernel, if it is still the same.
    Fire { cell: Arc<Cell>, generation: u64, timer: TimerId },
    /// Wake it, or load it again.
    Wake(Arc<Cell>),
    /// Fold its index.
    Fold(Arc<Cell>),
    /// Ask its mounts.
    Poll { cell: Arc<Cell>, turn: u64 },
    /// Look for idle workspaces.
    Sweep,
    /// Look for room on a full disk.
    Room,
}

struct Entry {
    at: Micros,
    order: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[derive(Default)]
struct Heap {
    entries: BinaryHeap<Reverse<Entry>>,
    made: u64,
    stopped: bool,
}

/// All that has a time.
#[derive(Default)]
pub(crate) struct Timer {
    heap: Mutex<Heap>,
    changed: Condvar,
}

impl Timer {
    /// Does this at a monotonic time.
    pub fn at(&self, at: Micros, due: Due) {
        let mut heap = guard(&self.heap);
        heap.made += 1;
        let entry = Entry { at, order: heap.made, due };
        let first = heap.entries.peek().is_none_or(|Reverse(next)| at < next.at);
        heap.entries.push(Reverse(entry));
        if first {
            self.changed.notify_all();
        }
    }

    /// What an older generation of a cell asked for is nobody's any more.
    pub fn forget(&self, cell: &Arc<Cell>) {
        guard(&self.heap).entries.retain(|Reverse(entry)| match &entry.due {
            Due::Fire { cell: of, .. } => !Arc::ptr_eq(of, cell),
            Due::Wake(_) | Due::Fold(_) | Due::Poll { .. } | Due::Sweep | Due::Room => true,
        });
    }

    /// Ends the thread.
    pub fn stop(&self) {
        guard(&self.heap).stopped = true;
        self.changed.notify_all();
    }

    /// Starts the thread.
    pub fn run(node: &Arc<Node>) {
        let node = node.clone();
        spawn::thread("timer", move || {
            while let Some(due) = node.timer.next(&node) {
                // Without this thread nothing would ever be due again.
                if catch_unwind(AssertUnwindSafe(|| node.due(due))).is_err() {
                    journal::say("timer", "a panic at what was due");
                }
            }
        });
    }

    /// Waits for what is due next; none at the end.
    fn next(&self, node: &Node) -> Option<Due> {
        let mut heap = guard(&self.heap);
        loop {
            if heap.stopped {
                return None;
            }
            let now = node.clock.mono();
            let left = heap.entries.peek().map_or(WAIT_US_MAX, |Reverse(next)| next.at.saturating_sub(now));
            if left == 0 {
                return heap.entries.pop().map(|Reverse(entry)| entry.due);
            }
            heap = wait(&self.changed, heap, left.min(WAIT_US_MAX));
        }
    }
}
