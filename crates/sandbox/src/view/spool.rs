//! Where written bytes lie that are too many for memory: one file without a name for the whole view, sparse,
//! addressed by a counter that only grows; what is not needed any more is punched out of it. Also what counts
//! how much a view has written.

use abi::limits;
use rustix::{
    fs::{FallocateFlags, Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// What a range of its own costs beside its bytes, so that bytes written one by one far apart count too.
const RANGE_BYTES: u64 = 64;

/// Bytes of a view that were written.
pub(super) struct Spool {
    dir: PathBuf,
    file: OnceLock<File>,
    next: AtomicU64,
    used: AtomicU64,
    limit: AtomicU64,
    memory: AtomicU64,
    ranges: AtomicU64,
}

impl Spool {
    pub(super) fn new(dir: PathBuf, limit: u64) -> Self {
        let zero = || AtomicU64::new(0);
        let limit = AtomicU64::new(limit);
        Self { dir, file: OnceLock::new(), next: zero(), used: zero(), limit, memory: zero(), ranges: zero() }
    }

    /// Lets the view write so much from now on.
    pub(super) fn limit(&self, bytes: u64) {
        self.limit.store(bytes, Relaxed);
    }

    /// Bytes written, and how many may be.
    pub(super) fn usage(&self) -> (u64, u64) {
        (self.used.load(Relaxed), self.limit.load(Relaxed))
    }

    /// Takes so many bytes of what may be written.
    pub(super) fn charge(&self, bytes: u64) -> Result<(), Errno> {
        let limit = self.limit.load(Relaxed);
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Relaxed, Relaxed, take).map(|_| ()).map_err(|_| Errno::DQUOT)
    }

    /// Gives them back.
    pub(super) fn release(&self, bytes: u64) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// The same for what a range costs, of which there are not endlessly many either.
    pub(super) fn charge_range(&self) -> Result<(), Errno> {
        let take = |ranges: u64| Some(ranges + 1).filter(|sum| *sum <= limits::VIEW_RANGES_MAX);
        self.ranges.fetch_update(Relaxed, Relaxed, take).map_err(|_| Errno::DQUOT)?;
        self.charge(RANGE_BYTES).inspect_err(|_| {
            let _ = self.ranges.fetch_update(Relaxed, Relaxed, |ranges| ranges.checked_sub(1));
        })
    }

    /// Gives it back.
    pub(super) fn release_ranges(&self, ranges: u64) {
        let _ = self.ranges.fetch_update(Relaxed, Relaxed, |all| Some(all.saturating_sub(ranges)));
        self.release(RANGE_BYTES.saturating_mul(ranges));
    }

    /// Whether so many more bytes may lie in memory; they count from now on.
    pub(super) fn remember(&self, bytes: u64) -> bool {
        let take = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= limits::VIEW_MEMORY_BYTES_MAX);
        self.memory.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// They do not any more.
    pub(super) fn forget(&self, bytes: u64) {
        let _ = self.memory.fetch_update(Relaxed, Relaxed, |held| Some(held.saturating_sub(bytes)));
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let made = unnamed(&self.dir)?;
        Ok(self.file.get_or_init(|| made))
    }

    /// So much room that nobody else writes to.
    pub(super) fn reserve(&self, bytes: u64) -> Result<u64, Errno> {
        let take = |next: u64| next.checked_add(bytes).filter(|end| *end <= limits::SPOOL_BYTES_MAX);
        self.next.fetch_update(Relaxed, Relaxed, take).map_err(|_| Errno::NOSPC)
    }

    /// Fills what was reserved.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(bytes, at)
    }

    /// Reads what was written.
    pub(super) fn read(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        self.file()?.read_exact_at(to, at)
    }

    /// What lies there is not needed any more. If the file system cannot do it, the room comes back when the
    /// view ends.
    pub(super) fn free(&self, at: u64, bytes: u64) {
        if let Some(file) = self.file.get() {
            let _ = rustix::fs::fallocate(
                file,
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                at,
                bytes,
            );
        }
    }
}

/// A file in this directory that has no name, or loses it at once.
fn unnamed(dir: &std::path::Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(dir, flags | OFlags::TMPFILE, mode) {
        Ok(file) => return Ok(file.into()),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    for number in 0..64 {
        let path = dir.join(format!("spool-{number}"));
        match rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file.into());
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("no name is free for the spool of a view"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted_whatever_they_hold() {
        let spool = Spool::new(std::env::temp_dir(), u64::MAX);
        spool.ranges.store(limits::VIEW_RANGES_MAX - 1, Relaxed);
        assert_eq!(spool.charge_range(), Ok(()));
        assert_eq!(spool.charge_range(), Err(Errno::DQUOT));
        spool.release_ranges(1);
        assert_eq!(spool.charge_range(), Ok(()));
        assert_eq!(spool.usage().0, RANGE_BYTES);
    }
}
