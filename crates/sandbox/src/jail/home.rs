//! How much a HOME may hold in all. It is a directory of the host, where no limit of the kernel's holds for
//! an ordinary user: so it is weighed, at once when the disk below it has lost room and else every two
//! seconds, for others may make room on that disk meanwhile. What fills it is killed. Between two looks a
//! program can write more than its limit: as much as the disk takes in that time.

use super::ledger;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, StatVfs, chmodat, fstatvfs, openat, renameat_with,
        statat, unlinkat,
    },
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use std::{
    ffi::{CStr, CString},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::Builder,
};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How often the disk is looked at.
const LOOK_MS: u64 = 250;
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: LOOK_MS as i64 * 1_000_000 };
/// The disk must have lost this share of the limit before a home is weighed again.
const SHARE: u64 = 16;
/// It is weighed after so many looks whatever the disk says, or later if weighing takes long: of the time at
/// most one part in so many goes to it.
const LOOKS: u64 = 8;
const PART: u64 = 50;
/// Directories that are open at once while it is weighed: a tree that is deeper is held to be full.
const DEPTH_MAX: usize = 256;
/// A block of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

/// A home that is watched for as long as this is kept.
pub struct Watched {
    full: Arc<AtomicU64>,
    /// Closed to end the watch.
    _gate: OwnedFd,
}

impl Watched {
    /// How often everything in the sandbox was killed since its home was full.
    pub fn full(&self) -> Arc<AtomicU64> {
        self.full.clone()
    }
}

/// Watches a home of the sandbox that has this init.
pub fn watch(home: &Path, bytes_max: u64, files_max: u64, init: Init) -> Result<Watched, Errno> {
    let (ended, gate) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let full = Arc::new(AtomicU64::new(0));
    let home = rustix::fs::open(home, DIRECTORY, Mode::empty())?;
    let count = full.clone();
    let mut before = fstatvfs(&home)?;
    let look = move || {
        let (mut looks, mut rest) = (0, LOOKS);
        loop {
            match poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => {}
                _ => return,
            }
            looks += 1;
            if !lost(&home, &mut before, bytes_max / SHARE) && looks < rest {
                continue;
            }
            // Nobody is there who could have filled it, or be ended for it.
            if ledger::is_alone(init.pid) {
                continue;
            }
            let begun = now_ms();
            let over = over(&home, bytes_max, files_max);
            (looks, rest) = (0, LOOKS.max((now_ms() - begun) * PART / LOOK_MS));
            if over {
                count.fetch_add(1, Ordering::Release);
                init.end_others();
            }
        }
    };
    Builder::new().name("home".to_owned()).spawn(look).map_err(|_| Errno::AGAIN)?;
    Ok(Watched { full, _gate: gate })
}

#[allow(clippy::disallowed_methods)] // seam: how much of the time goes to weighing; nothing else follows
fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Whether the disk has this much less room, or fewer free files, than when the home was weighed last.
fn lost(home: &OwnedFd, before: &mut StatVfs, bytes: u64) -> bool {
    let Ok(now) = fstatvfs(home) else { return true };
    let room = |stat: &StatVfs| stat.f_bavail.saturating_mul(stat.f_frsize);
    let less = room(before).saturating_sub(room(&now)) >= bytes
        || before.f_ffree.saturating_sub(now.f_ffree) >= 1000;
    // What was freed is where it begins to count from.
    if less || room(&now) > room(before) {
        *before = now;
    }
    less
}

/// Whether it holds more than it may.
fn over(home: &OwnedFd, bytes_max: u64, files_max: u64) -> bool {
    let Ok(top) = openat(home, ".", DIRECTORY, Mode::empty()) else {
        return false;
    };
    let (mut bytes, mut files) = (0_u64, 0_u64);
    let mut open: Vec<Dir> = Dir::new(top).into_iter().collect();
    while let Some(dir) = open.last_mut() {
        let Some(Ok(entry)) = dir.next() else {
            open.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(at) = dir.fd() else { continue };
        // No link is followed: what is weighed is what lies here.
        let Ok(stat) = statat(at, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        files += 1;
        bytes = bytes.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK_BYTES));
        if bytes > bytes_max || files > files_max || open.len() >= DEPTH_MAX {
            return true;
        }
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            let Some(Ok(dir)) =
                open.last_mut().map(|dir| dir.fd().and_then(|at| openat(at, name, DIRECTORY, Mode::empty())))
            else {
                continue;
            };
            open.extend(Dir::new(dir));
        }
    }
    false
}

/// Removes it, whatever programs made of it: directories closed even to their owner, trees deeper than there
/// are descriptors. What lies deep is moved up first, so no more than two are open. Nobody may write to it
/// any more. One that is not there is removed.
pub fn remove(home: &Path) -> Result<(), Errno> {
    match rustix::fs::chmod(home, Mode::RWXU) {
        Err(Errno::NOENT) => return Ok(()),
        done => done?,
    }
    let top = rustix::fs::open(home, DIRECTORY, Mode::empty())?;
    let mut moved = 0_u64;
    loop {
        let mut dirs = false;
        for name in names(&top)? {
            if unlinked(&top, &name)? {
                continue;
            }
            dirs = true;
            let dir = entered(&top, &name)?;
            for inner in names(&dir)? {
                if unlinked(&dir, &inner)? {
                    continue;
                }
                // To be moved it has to be open to its owner.
                drop(entered(&dir, &inner)?);
                loop {
                    moved += 1;
                    match renameat_with(&dir, &inner, &top, format!(".{moved}"), RenameFlags::NOREPLACE) {
                        Err(Errno::EXIST) => {}
                        done => break done?,
                    }
                }
            }
            unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
        }
        if !dirs {
            return rustix::fs::rmdir(home);
        }
    }
}

/// What lies in it, but for itself and the one above.
fn names(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes it if it is no directory; whether it was none.
fn unlinked(dir: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A directory, made open to its owner.
fn entered(dir: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
    openat(dir, name, DIRECTORY, Mode::empty())
}

/// The init of a sandbox: by number, to find its processes, and by descriptor, to know that the number is
/// its.
pub struct Init {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

impl Init {
    /// Kills everything in its sandbox but itself.
    fn end_others(&self) {
        let dead = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&Timespec::default())) != Ok(0);
        let all = if dead { Vec::new() } else { ledger::processes(self.pid) };
        for pid in all.into_iter().filter_map(|process| Pid::from_raw(process.outside)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
