//! A view as ordinary files: the server of a FUSE mount.
//!
//! ```text
//!   a program ── VFS ── /dev/fuse ── reader ── View        one reader per core, each with its own queue
//! ```
//!
//! A request is answered on the thread that read it, but for one that waits until what was written is
//! lasting: that is answered by whoever commits the view, into the queue it came from. A reader that finds
//! none polls for a moment before it sleeps, since most programs ask again at once. What was answered is
//! remembered by the kernel for ever: nothing changes but through it, or by a rebase, which says what is
//! stale.
//!
//! Writes go through (no writeback cache): when a program has closed or unmapped a file, or ended, all that
//! it wrote is in the view. Locks are the kernel's own.

mod answer;
mod device;
mod late;
mod reply;
pub mod wire;

pub use device::{mount_at, mount_options};

use crate::view::{Stale, View};
use answer::Answer;
use late::Late;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::OFlags,
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

/// The most that is written by one request.
const WRITE_BYTES_MAX: usize = 1024 * 1024;
/// Room for a request: what is written, and what is said of it.
const REQUEST_BYTES: usize = WRITE_BYTES_MAX + 64 * 1024;
/// How long a reader polls before it sleeps.
const POLL: Duration = Duration::from_micros(20);

/// Readers of one mount. When it is dropped they end, and what is asked then fails.
pub struct Server {
    device: Option<Arc<OwnedFd>>,
    view: Arc<View>,
    late: Option<Late>,
    stop: Arc<Stop>,
    readers: Vec<JoinHandle<()>>,
}

/// Tells readers to end: those that sleep, and those that always find something to do.
struct Stop {
    told: AtomicBool,
    wakes: OwnedFd,
}

/// Serves a view through the descriptor of a mount, with so many readers.
pub fn serve(device: OwnedFd, view: Arc<View>, readers: usize) -> io::Result<Server> {
    let wakes = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let stop = Arc::new(Stop { told: AtomicBool::new(false), wakes });
    let mut server =
        Server { device: None, view: view.clone(), late: None, stop: stop.clone(), readers: Vec::new() };
    for number in 0..readers.max(1) {
        let queue = device::clone(device.as_fd())?;
        rustix::fs::fcntl_setfl(&queue, OFlags::NONBLOCK)?;
        let queue = Arc::new(queue);
        let (view, stop) = (view.clone(), stop.clone());
        let thread = Builder::new().name(format!("view-{number}"));
        server.readers.push(thread.spawn(move || Reader { queue, stop, view }.run())?);
    }
    server.device = Some(Arc::new(device));
    Ok(server)
}

impl Server {
    /// Tells the kernel what a rebase made stale. Not to be called by a reader: the kernel may wait for one.
    pub fn forget(&self, stale: &[Stale]) -> io::Result<()> {
        let Some(device) = &self.device else { return Ok(()) };
        stale.iter().try_for_each(|one| tell(device.as_fd(), one))
    }

    /// The same, soon, by a thread of its own: for whoever commits a live view. The kernel holds a directory
    /// while a program waits for that to be lasting, so who answers it cannot wait for the directory.
    pub fn forget_soon(&mut self, stale: Vec<Stale>) -> io::Result<()> {
        let Some(device) = self.device.clone().filter(|_| !stale.is_empty()) else { return Ok(()) };
        if self.late.is_none() {
            self.late = Some(Late::begin(device)?);
        }
        self.late.as_ref().map_or(Ok(()), |late| late.forget(stale))
    }

    /// Whether the mount is gone, so that nobody can ask any more.
    pub fn is_over(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }

    fn end(&mut self) {
        // Whoever is waited for is served until nobody waits.
        self.view.give_up();
        drop(self.late.take());
        self.stop.told.store(true, Ordering::Relaxed);
        let _ = rustix::io::write(&self.stop.wakes, &1_u64.to_ne_bytes());
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }

    /// Ends the readers. Programs that still ask are told that the mount is gone.
    pub fn stop(mut self) {
        self.end();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// One notice.
fn tell(device: BorrowedFd<'_>, stale: &Stale) -> io::Result<()> {
    match rustix::io::write(device, &reply::notice(stale)) {
        // It knew nothing of it.
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

struct Reader {
    queue: Arc<OwnedFd>,
    stop: Arc<Stop>,
    view: Arc<View>,
}

impl Reader {
    fn run(self) {
        let mut request = vec![0; REQUEST_BYTES];
        let mut answer = Vec::with_capacity(REQUEST_BYTES);
        while let Some(count) = self.next(&mut request) {
            let asked = request.get(..count).unwrap_or_default();
            match answer::answer(&self.view, asked, &mut answer) {
                // The program that asked may be gone: then nobody waits for it.
                Answer::Now(bytes) => _ = rustix::io::write(&self.queue, bytes),
                Answer::Lasting(unique) => self.wait(unique),
                Answer::Nothing => {}
            }
        }
    }

    /// It is answered later, where it was asked: other queues do not know it.
    fn wait(&self, unique: u64) {
        let queue = self.queue.clone();
        self.view.wait(Box::new(move |result| {
            let _ = rustix::io::write(&queue, &reply::ended(unique, result));
        }));
    }

    /// The next request; none when there will be no more.
    #[allow(clippy::disallowed_methods)] // seam: how long a reader polls; nothing is decided by it
    fn next(&self, request: &mut [u8]) -> Option<usize> {
        let mut since = None;
        while !self.stop.told.load(Ordering::Relaxed) {
            match rustix::io::read(&self.queue, &mut *request) {
                Ok(count) => return Some(count),
                // A request that was interrupted before it was read.
                Err(Errno::NOENT | Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let now = Instant::now();
                    if now.duration_since(*since.get_or_insert(now)) >= POLL {
                        self.sleep()?;
                        since = None;
                    } else {
                        // Whoever was just answered goes on at once, on the same core.
                        std::thread::yield_now();
                    }
                }
                Err(_) => return None,
            }
        }
        None
    }

    fn sleep(&self) -> Option<()> {
        let mut fds = [PollFd::new(&self.queue, PollFlags::IN), PollFd::new(&self.stop.wakes, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
        let [_, stop] = fds;
        if stop.revents().is_empty() { Some(()) } else { None }
    }
}

#[cfg(test)]
mod tests;
