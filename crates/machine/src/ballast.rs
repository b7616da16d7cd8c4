//! The ballast: 16 MiB of the disk that nobody uses, in the file `reserve` of the home. When the disk is full
//! it is thrown off, once, so that whoever wants to free or to stop something can still have it recorded.
//!
//! ```text
//! start ─ make ─▶ held ── a commit finds no room ──▶ short: the file is gone, the door is narrow
//!                  ▲                                    │
//!                  └─ twice as much is free (each sweep) ┘
//! ```
//!
//! While the disk is short only reads, signals that stop, rejections and the words that free or stop are
//! admitted; what happens by itself (a model's answer, a timer, a delivery) waits in memory. Another program
//! can take what was freed before we use it: then nothing can be recorded until there is room. Never here: a
//! decision about an agent.

use crate::{cell::Cell, guard::guard, journal, node::Node, timer::Due, timer::SHORT_SWEEP_US};
use abi::{
    Code, Error,
    call::{Call, Ruling, Signal},
    control::Control,
    event::Body,
    limits::{RESERVE_AGAIN_BYTES, RESERVE_BYTES},
};
use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use store::Trouble;

const FILE: &str = "reserve";
/// Zeros are written in pieces of this.
const PIECE: usize = 64 * 1024;
/// When so little is free, a refusal of the system that names no reason is taken for a full disk.
const NEARLY_FULL_BYTES: u64 = 512 * 1024;

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Not made yet: the daemon has just begun.
    Unmade,
    /// It lies on the disk.
    Held,
    /// It was thrown off, or there is no room to make it.
    Gone,
    /// It cannot be made, for a reason other than room; nothing is held back for it.
    Without(String),
}

/// Whether there is room for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// There is.
    Enough,
    /// Only for what frees or stops.
    Short,
}

/// What throwing it off came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thrown {
    /// The disk was found full just now.
    Now,
    /// Long ago.
    Before,
}

/// The ballast of a home.
pub(crate) struct Ballast {
    home: PathBuf,
    standing: Mutex<Standing>,
    short: AtomicBool,
}

impl Ballast {
    /// That of this home, not made yet.
    pub fn of(home: &Path) -> Self {
        Self { home: home.to_owned(), standing: Mutex::new(Standing::Unmade), short: AtomicBool::new(false) }
    }

    /// Whether the disk is full, or was and has not enough room yet.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// The same in a word.
    pub fn space(&self) -> Space {
        if self.is_short() { Space::Short } else { Space::Enough }
    }

    /// Takes it up, or makes it. Without room for it the disk counts as full.
    pub fn make(&self) {
        let mut standing = guard(&self.standing);
        if *standing == Standing::Held {
            return;
        }
        let (now, words) = match allocate(&self.home.join(FILE)) {
            Ok(()) => (Standing::Held, None),
            Err(error) if is_room(&error) => (Standing::Gone, Some(self.words())),
            Err(error) => {
                let words = format!("there is no reserve for a full disk: {error}");
                (Standing::Without(error.to_string()), Some(words))
            }
        };
        self.short.store(now == Standing::Gone, Ordering::Relaxed);
        *standing = now;
        if let Some(words) = words {
            journal::say("disk", &words);
        }
    }

    /// The disk is full: frees what is held, if it is.
    pub fn throw(&self) -> Thrown {
        let mut standing = guard(&self.standing);
        self.short.store(true, Ordering::Relaxed);
        if *standing == Standing::Gone {
            return Thrown::Before;
        }
        *standing = Standing::Gone;
        match discard(&self.home) {
            Ok(()) => journal::say("disk", &format!("{}; the reserve is used now", self.words())),
            Err(error) => {
                journal::say("disk", &format!("{}; the reserve is not there: {error}", self.words()));
            }
        }
        Thrown::Now
    }

    /// Whether this says that the disk is full. Some refusals do not say why: then the free space does.
    pub fn is_full(&self, trouble: &Trouble) -> bool {
        match trouble {
            Trouble::Full { .. } => true,
            Trouble::Io { .. } => self.free().is_some_and(|free| free < NEARLY_FULL_BYTES),
            Trouble::Missing { .. } | Trouble::Exists { .. } | Trouble::Corrupt { .. } => false,
            Trouble::Newer { .. } | Trouble::ReadOnly { .. } | Trouble::Locked { .. } => false,
            Trouble::Mistaken { .. } | Trouble::TooLarge { .. } | Trouble::Segment { .. } => false,
        }
    }

    /// Whether it was short and is so no more.
    pub fn look(&self) -> bool {
        if !self.is_short() || self.free().is_none_or(|free| free < RESERVE_AGAIN_BYTES) {
            return false;
        }
        self.make();
        let again = !self.is_short();
        if again {
            journal::say("disk", "there is room again; everything is served");
        }
        again
    }

    /// Free bytes of the disk, for whoever is not root.
    fn free(&self) -> Option<u64> {
        let disk = statvfs(&self.home).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn words(&self) -> String {
        format!("the disk of {} is full", self.home.display())
    }

    fn hint(&self) -> String {
        let wanted = RESERVE_AGAIN_BYTES / 1024 / 1024;
        format!(
            "make room on it until {wanted} MiB are free, then all is served again; reading, freezing, \
             killing, rejecting, unmounting and purging go on"
        )
    }

    /// What a call is told that is not admitted now.
    pub fn refusal(&self) -> Error {
        let message = format!("{}, and this would write to it; nothing was done", self.words());
        Error::new(Code::Exhausted, message).hint(self.hint())
    }

    /// Its line in `/sys/health`.
    pub fn line(&self) -> String {
        let standing = guard(&self.standing).clone();
        let free = self.free().map_or("unknown".to_owned(), |free| (free / 1024 / 1024).to_string());
        let (word, text, hint) = match standing {
            Standing::Unmade | Standing::Held => ("ok", format!("{free} MiB free, a reserve held"), None),
            Standing::Gone => {
                let text = format!("{}: {free} MiB free, the reserve is used", self.words());
                ("bad", text, Some(self.hint()))
            }
            Standing::Without(why) => {
                let text = format!("{free} MiB free, but no reserve: {why}");
                let hint = format!("see why {} cannot be made", self.home.join(FILE).display());
                ("bad", text, Some(hint))
            }
        };
        crate::health::line("disk", &self.home.display().to_string(), word, &text, hint.as_deref())
    }
}

/// Frees what the ballast of a home holds, whoever made it.
pub(crate) fn discard(home: &Path) -> io::Result<()> {
    fs::remove_file(home.join(FILE))
}

/// Makes the file with all its blocks, or leaves none. One that is whole is left as it is.
fn allocate(path: &Path) -> io::Result<()> {
    // A block of `stat` is 512 bytes, whatever the disk's is (stat(2)). A file with holes holds no room.
    let whole = |found: &fs::Metadata| found.len() == RESERVE_BYTES && found.blocks() >= RESERVE_BYTES / 512;
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && whole(&found)) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let filled = fill(&mut file);
    if filled.is_err() {
        // Half of it would only take room from others.
        let _ = fs::remove_file(path);
    }
    filled
}

fn fill(file: &mut File) -> io::Result<()> {
    match fallocate(&*file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let zeros = [0; PIECE];
    let mut left = RESERVE_BYTES;
    while left > 0 {
        let piece = left.min(PIECE as u64);
        file.write_all(zeros.get(..piece as usize).unwrap_or(&zeros))?;
        left -= piece;
    }
    // A file system that allocates late has promised nothing before this.
    file.sync_all()
}

fn is_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether an event is decided while the disk is full.
pub(crate) fn admits(body: &Body) -> bool {
    match body {
        Body::Call { call, .. } => frees_or_stops(call),
        // Of a word that was admitted; of a client that left; of what killed the workspace.
        Body::ControlEnded { .. } | Body::Left { .. } | Body::Quarantined { .. } => true,
        Body::SandboxEnded { .. } => true,
        // A room begins with these.
        Body::Genesis { .. } | Body::Restored | Body::Woke { .. } | Body::Leased { .. } => true,
        Body::Priced { .. } | Body::PolicyLoaded { .. } | Body::ModelsLoaded { .. } => true,
        // These are still true when there is room again.
        Body::ModelProgress { .. } | Body::ModelEnded { .. } => false,
        Body::EffectEnded { .. } | Body::EffectProbed { .. } | Body::Armed { .. } => false,
        Body::Arrived { .. } | Body::Mounted { .. } | Body::Tool { .. } | Body::TimerFired { .. } => false,
        Body::Merged { .. } | Body::ExecEnded { .. } => false,
        Body::Bound { .. } | Body::Noticed { .. } | Body::Placed { .. } | Body::DraftRead { .. } => false,
        Body::ExecWrote { .. } | Body::ExecChecked { .. } | Body::ExecTold { .. } => false,
        Body::ExecClaimed { .. } | Body::ExecTurned { .. } => false,
        Body::Connect { .. } | Body::Unreached { .. } | Body::Listens { .. } => false,
    }
}

/// Whether a call reads, frees room or stops something.
pub(crate) fn frees_or_stops(call: &Call) -> bool {
    match call {
        Call::List { .. } | Call::Read { .. } | Call::History { .. } => true,
        Call::Wait { .. } | Call::Trace { .. } => true,
        Call::Search(_) | Call::Operation { .. } | Call::Why(_) => true,
        Call::Signal { signal, .. } => stops(*signal),
        Call::Decide { ruling, .. } => *ruling == Ruling::Reject,
        Call::Control { word, .. } => match word {
            Control::Stop
            | Control::Unmount { .. }
            | Control::Unbind { .. }
            | Control::Down
            | Control::Purge { .. } => true,
            Control::Lift | Control::Retain(_) | Control::Checkpoint { .. } => false,
            Control::Backup { .. } | Control::Restore { .. } => false,
            Control::Signal { signal, .. } => stops(*signal),
            Control::Secret { .. } | Control::Provider { .. } => false,
            Control::Attach { .. } | Control::Open { .. } => false,
            Control::Operator { uid, .. } => uid.is_none(),
            Control::Draft { keep, .. } => !keep,
            Control::Mount { .. } | Control::Bind { .. } => false,
            Control::Workspace { .. } | Control::Budget { .. } => false,
        },
        Call::Write { .. } | Call::Move { .. } | Call::Remove { .. } => false,
        Call::Spawn { .. } | Call::Dispatch { .. } | Call::Complete { .. } | Call::Propose { .. } => false,
        Call::Grant { .. } | Call::Revoke { .. } | Call::Revert { .. } | Call::Exec { .. } => false,
    }
}

fn stops(signal: Signal) -> bool {
    match signal {
        Signal::Freeze | Signal::Interrupt | Signal::Kill => true,
        Signal::Thaw => false,
    }
}

impl Node {
    /// Something could not be written: if the disk is full the ballast goes. Whether it is full.
    pub(crate) fn heard(&self, trouble: &Trouble) -> bool {
        let full = self.ballast.is_full(trouble);
        if full && self.ballast.throw() == Thrown::Now {
            self.timer.at(self.clock.mono().saturating_add(SHORT_SWEEP_US), Due::Room);
        }
        full
    }

    /// Makes the ballast, or sees to it that room is looked for.
    pub(crate) fn load_ballast(&self) {
        self.ballast.make();
        if self.ballast.is_short() {
            self.timer.at(self.clock.mono().saturating_add(SHORT_SWEEP_US), Due::Room);
        }
    }

    /// Looks whether there is room again; then what waited goes on.
    pub(crate) fn look_for_room(self: &Arc<Self>) {
        if self.ballast.look() {
            self.all().iter().for_each(|cell| self.go_on(cell));
        } else if self.ballast.is_short() {
            self.timer.at(self.clock.mono().saturating_add(SHORT_SWEEP_US), Due::Room);
        }
    }

    fn go_on(&self, cell: &Arc<Cell>) {
        let mut state = guard(&cell.state);
        if state.running {
            // Whoever runs it looks again after this batch.
            return;
        }
        // It may have failed for want of room only; if not, it fails again and says so.
        state.down = None;
        state.failures = 0;
        if !state.inbox.is_empty() || (state.wanted && state.room.is_none()) {
            self.enqueue(cell, &mut state);
        }
    }
}

#[cfg(test)]
mod tests;
