//! The bytes of one file: what is below, and what was written over it.
//!
//! A small file is copied into memory at its first write. Of a large one only the written parts lie in the
//! spool, so that one byte written into a gigabyte costs one byte.

use super::{
    Base,
    extents::{Extents, Part, Source},
    spool::Spool,
};
use abi::{Content, Micros, limits};
use rustix::io::Errno;
use std::{
    io,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Files up to here lie in memory when they are written, while there is room.
const SMALL_BYTES: u64 = limits::BLOB_INLINE_BYTES_MAX;
/// Room is reserved in the spool in pieces from this size on, doubling: neighbours in a file stay neighbours.
const PIECE_BYTES: u64 = 128 * 1024;
const PIECE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// When something of a file changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub mtime: Micros,
    pub ctime: Micros,
    /// As a program set it; else the time of change is shown.
    pub atime: Option<Micros>,
    /// Whether a program set `mtime`.
    pub set: bool,
}

impl Times {
    pub(super) fn at(time: Micros) -> Self {
        Self { mtime: time, ctime: time, atime: None, set: false }
    }
}

/// What `lseek` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// Bytes.
    Data,
    /// Where there are none.
    Hole,
}

#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Small(Vec<u8>),
    Large(Large),
}

#[derive(Default)]
struct Large {
    extents: Extents,
    next: u64,
    left: u64,
    piece: u64,
}

/// What of a file a change shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub size: u64,
    /// Bytes that it takes: what was written, and what shows from below.
    pub kept: u64,
    pub times: Times,
    /// Grows with each change of its bytes.
    pub writes: u64,
}

struct Inner {
    size: u64,
    times: Times,
    below: Content,
    /// So much of what is below still shows.
    usable: u64,
    held: Held,
    writes: u64,
    sealed: Option<(u64, Content)>,
    /// What stood below when it was first written over, if that is little.
    stood: Option<Arc<[u8]>>,
}

/// The bytes of one file.
pub(super) struct Data {
    spool: Arc<Spool>,
    /// Whether what stood below is kept when it is written over: there it may change.
    keeps: bool,
    inner: RwLock<Inner>,
}

impl Data {
    /// Of a file that is below.
    pub(super) fn below(spool: Arc<Spool>, content: Content, mtime: Micros) -> Self {
        Self::with(spool, content, Times::at(mtime))
    }

    /// The same, where what is below may change by itself.
    pub(super) fn keeping(mut self) -> Self {
        self.keeps = true;
        self
    }

    /// What stood below when it was first written over.
    pub(super) fn stood(&self) -> Option<Arc<[u8]>> {
        self.read_lock().stood.clone()
    }

    /// Keeps what stands below, before the first write.
    fn keep(&self, inner: &mut Inner, base: &dyn Base) -> Result<(), Errno> {
        let first = inner.writes == 0 && matches!(inner.held, Held::Nothing);
        if self.keeps && first && inner.size <= limits::MERGE_BYTES_MAX {
            let mut bytes = vec![0; inner.size as usize];
            inner.read_below(base, 0, &mut bytes).map_err(|_| Errno::IO)?;
            inner.stood = Some(bytes.into());
        }
        Ok(())
    }

    /// Of a new file.
    pub(super) fn empty(spool: Arc<Spool>, now: Micros) -> Self {
        let data = Self::with(spool, Content::default(), Times::at(now));
        data.write_lock().writes = 1;
        data
    }

    fn with(spool: Arc<Spool>, below: Content, times: Times) -> Self {
        Self { spool, keeps: false, inner: RwLock::new(Inner::over(below, times)) }
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shape(&self) -> Shape {
        let inner = self.read_lock();
        Shape { size: inner.size, kept: inner.kept(), times: inner.times, writes: inner.writes }
    }

    pub(super) fn set_times(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.write_lock().times);
    }

    /// Bytes from `offset` on; how many there were.
    pub(super) fn read(&self, base: &dyn Base, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        let inner = self.read_lock();
        let end = offset.saturating_add(to.len() as u64).min(inner.size);
        let Some(count) = end.checked_sub(offset).filter(|count| *count > 0) else { return Ok(0) };
        let Some(to) = to.get_mut(..count as usize) else { return Ok(0) };
        match &inner.held {
            Held::Nothing => inner.read_below(base, offset, to)?,
            Held::Small(bytes) => {
                let from = bytes.get(offset as usize..end as usize);
                to.copy_from_slice(from.ok_or_else(|| io::Error::other("a file in memory is too short"))?);
            }
            Held::Large(large) => {
                let mut rest = to;
                for part in large.extents.parts(offset, end) {
                    let (here, after) = rest.split_at_mut((part.to - part.from) as usize);
                    match part.source {
                        Source::Spool(at) => self.spool.read(at, here)?,
                        Source::Zero => here.fill(0),
                        Source::Below => inner.read_below(base, part.from, here)?,
                    }
                    rest = after;
                }
            }
        }
        Ok(count as usize)
    }

    /// Writes at `offset`, or at the end if there is none; where it began.
    pub(super) fn write(
        &self,
        base: &dyn Base,
        offset: Option<u64>,
        bytes: &[u8],
        now: Micros,
    ) -> Result<u64, Errno> {
        let mut inner = self.write_lock();
        let offset = offset.unwrap_or(inner.size);
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= limits::FILE_BYTES_MAX);
        let end = end.ok_or(Errno::FBIG)?;
        if bytes.is_empty() {
            return Ok(offset);
        }
        let size = end.max(inner.size);
        self.prepare(&mut inner, base, size)?;
        let Inner { held, .. } = &mut *inner;
        match held {
            Held::Nothing => return Err(Errno::IO),
            Held::Small(held) => {
                let to = held.get_mut(offset as usize..end as usize).ok_or(Errno::IO)?;
                to.copy_from_slice(bytes);
            }
            Held::Large(large) => self.spill(large, offset, bytes)?,
        }
        inner.size = size;
        inner.changed(now);
        Ok(offset)
    }

    /// Cuts the file to this size, or lets it grow with zeros.
    pub(super) fn resize(&self, base: &dyn Base, size: u64, now: Micros) -> Result<(), Errno> {
        if size > limits::FILE_BYTES_MAX {
            return Err(Errno::FBIG);
        }
        let mut inner = self.write_lock();
        self.keep(&mut inner, base)?;
        if size == 0 {
            self.drop_held(&mut inner);
            inner.usable = 0;
        } else if size != inner.size {
            self.prepare(&mut inner, base, size)?;
            let old = inner.size;
            let Inner { held, usable, .. } = &mut *inner;
            match held {
                Held::Nothing => return Err(Errno::IO),
                Held::Small(held) => {
                    held.truncate(size as usize);
                    self.spool.release(old.saturating_sub(size));
                    self.spool.forget(old.saturating_sub(size));
                }
                Held::Large(large) => {
                    if size < old {
                        self.cut(large, size, old)?;
                        *usable = (*usable).min(size);
                    }
                }
            }
        }
        inner.size = size;
        inner.changed(now);
        Ok(())
    }

    /// Zeros in a range; beyond the end only if the file may grow.
    pub(super) fn zero(
        &self,
        base: &dyn Base,
        (offset, end): (u64, u64),
        grow: Grow,
        now: Micros,
    ) -> Result<(), Errno> {
        if end > limits::FILE_BYTES_MAX {
            return Err(Errno::FBIG);
        }
        let mut inner = self.write_lock();
        let size = if grow == Grow::Yes { inner.size.max(end) } else { inner.size };
        let end = end.min(size);
        if offset < end {
            self.prepare(&mut inner, base, size)?;
            let Inner { held, .. } = &mut *inner;
            match held {
                Held::Nothing => return Err(Errno::IO),
                Held::Small(held) => {
                    held.get_mut(offset as usize..end as usize).ok_or(Errno::IO)?.fill(0);
                }
                Held::Large(large) => {
                    self.spool.charge_range()?;
                    self.cut(large, offset, end).inspect_err(|_| self.spool.release_ranges(1))?;
                    if !large.extents.put(offset, end, None) {
                        self.spool.release_ranges(1);
                    }
                }
            }
        }
        inner.size = size;
        inner.changed(now);
        Ok(())
    }

    /// Keeps all of its bytes itself, whatever becomes of what is below. It is not changed by that.
    pub(super) fn hold(&self, base: &dyn Base) -> Result<(), Errno> {
        let mut inner = self.write_lock();
        let size = inner.size;
        self.prepare(&mut inner, base, size)?;
        match std::mem::take(&mut inner.held) {
            Held::Large(mut large) => {
                let held = self.hold_large(&inner, base, &mut large);
                inner.held = Held::Large(large);
                held
            }
            all => {
                inner.held = all;
                Ok(())
            }
        }
    }

    fn hold_large(&self, inner: &Inner, base: &dyn Base, large: &mut Large) -> Result<(), Errno> {
        let below =
            large.extents.parts(0, inner.size).into_iter().filter(|part| part.source == Source::Below);
        let mut piece = vec![0; PIECE_BYTES as usize];
        for Part { from, to, .. } in below.collect::<Vec<_>>() {
            let mut at = from;
            while at < to {
                let count = (to - at).min(PIECE_BYTES) as usize;
                let here = piece.get_mut(..count).unwrap_or_default();
                inner.read_below(base, at, here).map_err(|_| Errno::IO)?;
                self.spill(large, at, here)?;
                at += count as u64;
            }
        }
        Ok(())
    }

    /// The next byte or hole from `offset` on.
    pub(super) fn seek(&self, offset: u64, whence: Whence) -> Result<u64, Errno> {
        let inner = self.read_lock();
        if offset >= inner.size {
            return Err(Errno::NXIO);
        }
        let all = match &inner.held {
            Held::Small(_) => vec![Part { from: offset, to: inner.size, source: Source::Spool(0) }],
            Held::Nothing => vec![Part { from: offset, to: inner.size, source: Source::Below }],
            Held::Large(large) => large.extents.parts(offset, inner.size),
        };
        for part in all {
            let data = match part.source {
                Source::Spool(_) => part.to,
                Source::Zero => part.from,
                Source::Below => part.to.min(inner.usable).max(part.from),
            };
            match whence {
                Whence::Data if data > part.from => return Ok(part.from),
                Whence::Hole if data < part.to => return Ok(data),
                Whence::Data | Whence::Hole => {}
            }
        }
        if whence == Whence::Hole { Ok(inner.size) } else { Err(Errno::NXIO) }
    }

    /// Whether it shows this content, however often it was written. If so, it is sealed as that.
    pub(super) fn is(&self, base: &dyn Base, content: Content) -> io::Result<bool> {
        let (size, below, writes) = {
            let inner = self.read_lock();
            (inner.size, inner.below, inner.writes)
        };
        if writes == 0 {
            return Ok(below == content);
        }
        if size != content.bytes {
            return Ok(false);
        }
        let (mut ours, mut theirs) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
        let mut at = 0;
        while at < size {
            let count = self.read(base, at, &mut ours)?;
            let theirs = theirs.get_mut(..count).unwrap_or_default();
            if count == 0 || !fill(base, &content, at, theirs)? || ours.get(..count) != Some(theirs) {
                return Ok(false);
            }
            at += count as u64;
        }
        self.seal(writes, content);
        Ok(true)
    }

    /// Remembers what the bytes were found to be after so many writes.
    pub(super) fn seal(&self, writes: u64, content: Content) {
        self.write_lock().sealed = Some((writes, content));
    }

    /// Stands over this content from now on, unless it was written since it was drained; what shows then.
    pub(super) fn settle(&self, content: Content, mtime: Micros, how: Settle) -> Settled {
        let mut inner = self.write_lock();
        let sealed = inner.sealed.filter(|(writes, _)| *writes == inner.writes);
        let same = match (how, inner.writes, sealed) {
            (_, 0, _) => inner.below == content,
            (Settle::Drop, _, _) => false,
            (Settle::Keep, _, Some((_, sealed))) => sealed == content,
            (Settle::Keep, _, None) => {
                let drained = inner.sealed.map_or(inner.below, |(_, sealed)| sealed);
                let over = drained == content;
                return Settled::Written { over };
            }
        };
        self.drop_held(&mut inner);
        let times = if same { Times { set: false, ..inner.times } } else { Times::at(mtime) };
        *inner = Inner::over(content, times);
        if same { Settled::Same } else { Settled::Other }
    }

    /// Makes ready to be written up to this size: small in memory, large in the spool.
    fn prepare(&self, inner: &mut Inner, base: &dyn Base, size: u64) -> Result<(), Errno> {
        self.keep(inner, base)?;
        let size = size.max(inner.size);
        let have = match &inner.held {
            Held::Large(_) => return Ok(()),
            Held::Small(bytes) => bytes.len() as u64,
            Held::Nothing => 0,
        };
        let more = size.saturating_sub(have);
        if size > SMALL_BYTES || !self.spool.remember(more) {
            return self.to_spool(inner);
        }
        if let Err(error) = self.spool.charge(more) {
            self.spool.forget(more);
            return Err(error);
        }
        if matches!(inner.held, Held::Nothing) {
            let mut bytes = vec![0; inner.size as usize];
            if inner.read_below(base, 0, &mut bytes).is_err() {
                self.spool.forget(more);
                self.spool.release(more);
                return Err(Errno::IO);
            }
            inner.held = Held::Small(bytes);
        }
        if let Held::Small(bytes) = &mut inner.held {
            bytes.resize(size as usize, 0);
        }
        Ok(())
    }

    fn to_spool(&self, inner: &mut Inner) -> Result<(), Errno> {
        let mut large = Large::default();
        if let Held::Small(bytes) = &inner.held {
            let length = bytes.len() as u64;
            self.spool.release(length);
            if let Err(error) = self.spill(&mut large, 0, bytes) {
                let _ = self.spool.charge(length);
                return Err(error);
            }
            self.spool.forget(length);
            inner.usable = 0;
        }
        inner.held = Held::Large(large);
        Ok(())
    }

    /// Writes into the spool: over what lies there already, and beside it.
    fn spill(&self, large: &mut Large, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let io = |_| Errno::IO;
        let mut rest = bytes;
        for part in large.extents.parts(offset, offset + bytes.len() as u64) {
            let (here, after) = rest.split_at((part.to - part.from) as usize);
            rest = after;
            if let Source::Spool(at) = part.source {
                self.spool.write(at, here).map_err(io)?;
                continue;
            }
            let length = here.len() as u64;
            self.spool.charge(length)?;
            self.spool.charge_range().inspect_err(|_| self.spool.release(length))?;
            let laid = self.room(large, length).and_then(|at| {
                self.spool.write(at, here).map_err(disk)?;
                Ok(at)
            });
            let at = laid.inspect_err(|_| {
                self.spool.release(length);
                self.spool.release_ranges(1);
            })?;
            let before = large.extents.len();
            large.extents.cut(part.from, part.to);
            large.extents.put(part.from, part.to, Some(at));
            self.spool.release_ranges((before + 1).saturating_sub(large.extents.len()));
        }
        Ok(())
    }

    /// Room in the spool, next to the last if there is some.
    fn room(&self, large: &mut Large, length: u64) -> Result<u64, Errno> {
        if large.left < length {
            large.piece = (large.piece * 2).clamp(PIECE_BYTES, PIECE_BYTES_MAX).max(length);
            large.next = self.spool.reserve(large.piece)?;
            large.left = large.piece;
        }
        let at = large.next;
        large.next += length;
        large.left -= length;
        Ok(at)
    }

    fn cut(&self, large: &mut Large, from: u64, to: u64) -> Result<(), Errno> {
        // A row that is cut in the middle becomes two.
        self.spool.charge_range()?;
        let before = large.extents.len() + 1;
        for (at, bytes) in large.extents.cut(from, to) {
            self.spool.free(at, bytes);
            self.spool.release(bytes);
        }
        self.spool.release_ranges(before.saturating_sub(large.extents.len()));
        Ok(())
    }

    fn drop_held(&self, inner: &mut Inner) {
        match std::mem::take(&mut inner.held) {
            Held::Nothing => {}
            Held::Small(bytes) => {
                self.spool.release(bytes.len() as u64);
                self.spool.forget(bytes.len() as u64);
            }
            Held::Large(large) => {
                for (at, bytes) in large.extents.spooled() {
                    self.spool.free(at, bytes);
                    self.spool.release(bytes);
                }
                self.spool.release_ranges(large.extents.len());
            }
        }
    }
}

/// A write that the disk has no room for says so.
fn disk(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Whether zeros beyond the end let a file grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grow {
    /// They do.
    Yes,
    /// The size stays.
    No,
}

/// What becomes of what was written when the tree below is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settle {
    /// What was drained is below now; what was written since stays.
    Keep,
    /// It goes.
    Drop,
}

/// And what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The same bytes show.
    Same,
    /// Others do.
    Other,
    /// It was written since, and stays so; perhaps over what is below now.
    Written { over: bool },
}

impl Inner {
    fn over(below: Content, times: Times) -> Self {
        let (size, held) = (below.bytes, Held::Nothing);
        Self { size, times, below, usable: size, held, writes: 0, sealed: None, stood: None }
    }

    /// Of a file in very many pieces it is the size.
    fn kept(&self) -> u64 {
        const PIECES: u64 = 1024;
        match &self.held {
            Held::Nothing => self.usable,
            Held::Small(bytes) => bytes.len() as u64,
            Held::Large(large) if large.extents.len() > PIECES => self.size,
            Held::Large(large) => {
                let parts = large.extents.parts(0, self.size);
                let kept = parts.iter().map(|part| match part.source {
                    Source::Spool(_) => part.to - part.from,
                    Source::Zero => 0,
                    Source::Below => part.to.min(self.usable).saturating_sub(part.from),
                });
                kept.sum()
            }
        }
    }

    fn changed(&mut self, now: Micros) {
        self.writes += 1;
        self.times = Times { mtime: now, ctime: now, set: false, ..self.times };
    }

    fn read_below(&self, base: &dyn Base, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let there = self.usable.saturating_sub(offset).min(to.len() as u64) as usize;
        let (from_base, zeros) = to.split_at_mut(there);
        zeros.fill(0);
        let whole = fill(base, &self.below, offset, from_base)?;
        if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Reads all of these bytes of a content; whether there were as many.
fn fill(base: &dyn Base, content: &Content, offset: u64, to: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while done < to.len() {
        match base.read(content, offset + done as u64, to.get_mut(done..).unwrap_or_default())? {
            0 => return Ok(false),
            count => done += count,
        }
    }
    Ok(true)
}

impl Drop for Data {
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut last = std::mem::replace(inner, Inner::over(Content::default(), Times::default()));
        self.drop_held(&mut last);
    }
}
