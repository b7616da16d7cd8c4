//! Programs that wait until what they wrote is lasting.
//!
//! ```text
//!   fsync ─▶ wait ─▶ waiting (before the view is drained) ─▶ drained, committed, durable ─▶ settle
//!                       └▶ dropped, or nobody commits any more ─▶ EIO
//! ```
//!
//! A command's view has none of this: who writes in a live one or in a draft goes on for days, and nobody
//! else says when it is kept. Who waits is answered once and by whoever commits, never on the thread that
//! heard of it. What is waited for is all that was written before the wait began, so whoever waits while a
//! commit is under way waits for the next.

use super::View;
use abi::limits;
use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// How one that waits is told.
pub type Tell = Box<dyn FnOnce(Result<(), Errno>) + Send>;

/// Who waits, of one view.
pub(super) struct Lasting {
    desk: Mutex<Desk>,
    /// Readable while somebody waits whom nobody has taken up.
    wakes: OwnedFd,
    /// How many are not answered yet.
    open: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Desk {
    waiting: Vec<Tell>,
    /// Nobody commits any more.
    closed: bool,
}

impl Lasting {
    pub(super) fn new() -> io::Result<Self> {
        let wakes = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { desk: Mutex::default(), wakes, open: Arc::default() })
    }

    fn take(&self, waiting: Vec<Tell>) -> Waiting {
        Waiting { waiting, open: self.open.clone() }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those that waited at one moment. When it is dropped unsettled, they hear that it is not lasting.
#[derive(Default)]
pub struct Waiting {
    waiting: Vec<Tell>,
    open: Arc<AtomicUsize>,
}

impl Waiting {
    /// Whether nobody waited.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// These wait, too.
    pub fn join(&mut self, mut more: Self) {
        self.open = more.open.clone();
        self.waiting.append(&mut more.waiting);
    }

    /// How many they are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// What they wrote before they waited is lasting, or is not.
    pub fn settle(mut self, result: Result<(), Errno>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<(), Errno>) {
        for tell in self.waiting.drain(..) {
            tell(result);
            self.open.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.tell(Err(Errno::IO));
    }
}

impl View {
    /// Whether programs may wait here. Where they may not, what is lasting is decided when their command
    /// ends.
    pub fn may_wait(&self) -> bool {
        self.lasting.is_some()
    }

    /// Tells when all that was written so far is lasting: soon, and from another thread, or now if it will
    /// never be.
    pub fn wait(&self, tell: Tell) {
        let Some(lasting) = &self.lasting else { return tell(Ok(())) };
        let refused = {
            let mut desk = lasting.desk();
            if desk.closed || desk.waiting.len() >= limits::VIEW_WAITING_MAX {
                Some(tell)
            } else {
                lasting.open.fetch_add(1, Relaxed);
                desk.waiting.push(tell);
                None
            }
        };
        match refused {
            Some(tell) => tell(Err(Errno::IO)),
            None => _ = rustix::io::write(&lasting.wakes, &1_u64.to_ne_bytes()),
        }
    }

    /// Those that wait now. To be asked for before the stamp is read and the view is drained.
    pub fn waiting(&self) -> Waiting {
        let Some(lasting) = &self.lasting else { return Waiting::default() };
        let _ = rustix::io::read(&lasting.wakes, &mut [0; 8]);
        lasting.take(std::mem::take(&mut lasting.desk().waiting))
    }

    /// Whether somebody waits who is not answered yet.
    pub fn is_awaited(&self) -> bool {
        self.lasting.as_ref().is_some_and(|lasting| lasting.open.load(Relaxed) > 0)
    }

    /// Readable while somebody waits whom nobody has taken up; none where nobody may.
    pub fn wakes(&self) -> Option<BorrowedFd<'_>> {
        self.lasting.as_ref().map(|lasting| lasting.wakes.as_fd())
    }

    /// Nobody commits any more: who waits hears so, now and from now on. A program that waits cannot die
    /// before it is answered, so this comes before its end.
    pub fn give_up(&self) {
        let Some(lasting) = &self.lasting else { return };
        let waiting = {
            let mut desk = lasting.desk();
            desk.closed = true;
            std::mem::take(&mut desk.waiting)
        };
        drop(lasting.take(waiting));
    }
}
