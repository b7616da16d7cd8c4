//! What caches above a view are to forget, told by a thread of its own.
//!
//! The kernel takes the lock of a directory to forget a name in it. A program that waits until that directory
//! is lasting holds the lock meanwhile, and is answered by whoever commits the view: so that one never tells
//! it itself. A row that is told twice is told once; the order of rows is of no matter.

use crate::view::Stale;
use abi::limits;
use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
};

/// The thread. When it is dropped, what was not told is not told any more.
pub(super) struct Late {
    rows: Arc<Rows>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Rows {
    todo: Mutex<Todo>,
    changed: Condvar,
}

#[derive(Default)]
struct Todo {
    stale: BTreeSet<Stale>,
    /// Why a row could not be told.
    failed: Option<io::Error>,
    ends: bool,
}

impl Rows {
    fn todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next row; none when there will be no more.
    fn next(&self) -> Option<Stale> {
        let waits = |todo: &mut Todo| todo.stale.is_empty() && !todo.ends;
        let waited = self.changed.wait_while(self.todo(), waits);
        let mut todo = waited.unwrap_or_else(PoisonError::into_inner);
        if todo.ends { None } else { todo.stale.pop_first() }
    }
}

impl Late {
    pub(super) fn begin(device: Arc<OwnedFd>) -> io::Result<Self> {
        let rows = Arc::new(Rows::default());
        let told = rows.clone();
        let thread = Builder::new().name("view-late".to_owned());
        let thread = thread.spawn(move || {
            while let Some(row) = told.next() {
                if let Err(error) = super::tell(device.as_fd(), &row) {
                    told.todo().failed = Some(error);
                }
            }
        })?;
        Ok(Self { rows, thread: Some(thread) })
    }

    /// These rows are told soon. Fails if one before could not be, or if it is too far behind.
    pub(super) fn forget(&self, stale: Vec<Stale>) -> io::Result<()> {
        let mut todo = self.rows.todo();
        if let Some(error) = todo.failed.take() {
            return Err(error);
        }
        if todo.stale.len().saturating_add(stale.len()) > limits::VIEW_STALE_MAX {
            return Err(io::Error::other("the caches above a view are too far behind"));
        }
        todo.stale.extend(stale);
        self.rows.changed.notify_all();
        Ok(())
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        self.rows.todo().ends = true;
        self.rows.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
