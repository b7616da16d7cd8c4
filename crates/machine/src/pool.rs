//! The fixed pool: two threads that run cells nobody else runs, one batch each, then to the back of the
//! queue.

use crate::{cell::Cell, guard::guard, journal, node::Node, spawn};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// More would not help: a batch is mostly one core's work and one disk's barrier.
const THREADS: usize = 2;

#[derive(Default)]
struct Ready {
    cells: VecDeque<Arc<Cell>>,
    threads: usize,
    stopped: bool,
}

/// Cells with work that nobody runs.
#[derive(Default)]
pub(crate) struct Pool {
    ready: Mutex<Ready>,
    changed: Condvar,
}

impl Pool {
    /// To the back of the queue; the caller has marked it `queued`.
    pub fn push(&self, cell: Arc<Cell>) {
        guard(&self.ready).cells.push_back(cell);
        self.changed.notify_one();
    }

    /// Starts the threads.
    pub fn run(node: &Arc<Node>) {
        for _ in 0..THREADS {
            let own = node.clone();
            if spawn::thread("loop", move || own.pool.work(&own)) {
                guard(&node.pool.ready).threads += 1;
            }
        }
    }

    /// Ends the threads, each after the batch it runs, and waits for them.
    pub fn stop(&self) {
        let mut ready = guard(&self.ready);
        ready.stopped = true;
        self.changed.notify_all();
        while ready.threads > 0 {
            ready = self.changed.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, node: &Arc<Node>) {
        while let Some(cell) = self.next() {
            // A cell's failure is told by the cell; what is left must not cost a thread.
            if catch_unwind(AssertUnwindSafe(|| node.run_queued(&cell))).is_err() {
                journal::say(&cell.name, "a panic outside of a turn");
            }
        }
        guard(&self.ready).threads -= 1;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<Arc<Cell>> {
        let mut ready = guard(&self.ready);
        loop {
            if ready.stopped {
                return None;
            }
            match ready.cells.pop_front() {
                Some(cell) => return Some(cell),
                None => ready = self.changed.wait(ready).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
