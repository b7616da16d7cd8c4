//! Large content on its way in: bytes become chunk files before any record names them.
//!
//! ```text
//! Blobs::upload ─▶ Upload: push · push · … ─ finish ─▶ Manifest ─ Batch::put_large ─▶ a row of `large`
//!                    │ each full MiB is a chunk file       │
//!                    └──────── its chunks are pinned ──────┘ until both are gone
//! ```
//!
//! A pinned chunk is not swept. One that an upload wrote and that no row came to name goes when nobody pins
//! it any more, so that what was begun and left costs no room. Works on any thread and knows no database.
//! Never here: whether somebody may.

use crate::{Durable, Options, Trouble, chunk};
use abi::{Content, Hash, limits};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One chunk somebody holds.
#[derive(Default)]
struct Pin {
    holders: u32,
    /// An upload wrote it, or it was found without a name: nobody's, once nobody holds it.
    stray: bool,
    /// A row names it, or is about to.
    named: bool,
}

#[derive(Default)]
struct Table {
    pins: BTreeMap<Hash, Pin>,
    serial: u64,
}

/// The chunks of one workspace that uploads under way hold; outlives the workspace's being open.
#[derive(Clone, Default)]
pub struct Pins(Arc<Mutex<Table>>);

impl Pins {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a chunk; answers a number that nobody else gets.
    fn hold(&self, chunk: Hash) -> u64 {
        let mut table = self.table();
        let pin = table.pins.entry(chunk).or_default();
        pin.holders = pin.holders.saturating_add(1);
        table.serial = table.serial.wrapping_add(1);
        table.serial
    }

    /// It was not there before this upload wrote it.
    fn wrote(&self, chunk: &Hash) {
        if let Some(pin) = self.table().pins.get_mut(chunk) {
            pin.stray = true;
        }
    }

    /// A row is about to name it.
    pub(crate) fn name(&self, chunk: &Hash) {
        if let Some(pin) = self.table().pins.get_mut(chunk) {
            pin.named = true;
        }
    }

    /// One holder less; the last of a stray chunk takes it away.
    fn free(&self, chunk: &Hash, dir: &Path) {
        let mut table = self.table();
        let Some(pin) = table.pins.get_mut(chunk) else { return };
        pin.holders = pin.holders.saturating_sub(1);
        if pin.holders > 0 {
            return;
        }
        let goes = pin.stray && !pin.named;
        table.pins.remove(chunk);
        if goes {
            // Under the lock, so that nobody finds it there who then has it not. If it fails, the sweep
            // finds it.
            let _ = chunk::remove(&dir.join(chunk::name(chunk)));
        }
    }

    /// Takes away a file of a chunk that no row names; if it is held, when it is held no more.
    fn sweep(&self, chunk: &Hash, file: &Path) -> Result<(), Trouble> {
        let mut table = self.table();
        match table.pins.get_mut(chunk) {
            None => chunk::remove(file),
            Some(pin) => {
                (pin.stray, pin.named) = (true, false);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Pins({})", self.table().pins.len())
    }
}

/// Where a workspace's chunks lie.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
    durable: Durable,
    pins: Pins,
}

impl Blobs {
    /// Those of the workspace in this directory.
    pub fn new(dir: &Path, options: &Options, pins: Pins) -> Self {
        Self { dir: dir.to_path_buf(), durable: options.durable, pins }
    }

    /// The workspace's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins to take bytes.
    pub fn upload(&self) -> Upload {
        Upload {
            held: Vec::new(),
            whole: blake3::Hasher::new(),
            bytes: 0,
            chunks: Vec::new(),
            firsts: BTreeSet::new(),
            pinned: Pinned { blobs: self.clone(), chunks: Vec::new() },
        }
    }

    /// Removes chunk files that are not among those named.
    pub(crate) fn sweep(&self, named: &BTreeSet<Hash>) -> Result<(), Trouble> {
        chunk::each(&self.dir, &mut |chunk, file| {
            let unfinished = file.extension().is_some();
            if named.contains(chunk) && !unfinished {
                return Ok(());
            }
            if unfinished {
                let held = self.pins.table().pins.contains_key(chunk);
                return if held { Ok(()) } else { chunk::remove(file) };
            }
            self.pins.sweep(chunk, file)
        })
    }
}

/// Chunks that are held as long as this is.
struct Pinned {
    blobs: Blobs,
    chunks: Vec<Hash>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.chunks.iter().for_each(|chunk| self.blobs.pins.free(chunk, &self.blobs.dir));
    }
}

/// Bytes on their way in; at most one chunk of them is in memory. Dropped, it leaves nothing.
pub struct Upload {
    held: Vec<u8>,
    whole: blake3::Hasher,
    bytes: u64,
    chunks: Vec<Hash>,
    /// First bytes of the chunks' names: the directories to make durable.
    firsts: BTreeSet<u8>,
    pinned: Pinned,
}

impl Upload {
    /// How many have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes. After an error it is of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let total = self.bytes.saturating_add(bytes.len() as u64);
        if total > limits::FILE_BYTES_MAX {
            return Err(Trouble::TooLarge { bytes: total });
        }
        self.bytes = total;
        self.whole.update(bytes);
        let full = usize::try_from(limits::CHUNK_BYTES).unwrap_or(usize::MAX);
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.held.is_empty()
                && let Some((chunk, more)) = rest.split_at_checked(full)
            {
                self.keep(chunk)?;
                rest = more;
                continue;
            }
            let (some, more) = rest.split_at(rest.len().min(full.saturating_sub(self.held.len())));
            self.held.extend_from_slice(some);
            rest = more;
            if self.held.len() == full {
                let chunk = std::mem::take(&mut self.held);
                self.keep(&chunk)?;
            }
        }
        Ok(())
    }

    /// Puts a chunk on the disk, unless it lies there. One whose bytes have changed is put right.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let Pinned { blobs, chunks } = &mut self.pinned;
        let hash = Hash::of(bytes);
        let serial = blobs.pins.hold(hash);
        chunks.push(hash);
        let found = chunk::read(&blobs.dir, &hash, bytes.len() as u64);
        let stood = match &found {
            Ok(_) => true,
            Err(Trouble::Corrupt { .. }) => chunk::stands(&blobs.dir, &hash, bytes.len() as u64)?,
            Err(trouble) => return Err(trouble.clone()),
        };
        if found.is_err() {
            chunk::write(&blobs.dir, &hash, bytes, (serial, blobs.durable))?;
        }
        if !stood {
            blobs.pins.wrote(&hash);
        }
        self.firsts.extend(hash.0.first());
        self.chunks.push(hash);
        Ok(())
    }

    /// That was all. Durable when this returns.
    pub fn finish(mut self) -> Result<Manifest, Trouble> {
        let rest = std::mem::take(&mut self.held);
        let content = Content { hash: Hash(*self.whole.finalize().as_bytes()), bytes: self.bytes };
        let small = content.bytes <= limits::BLOB_INLINE_BYTES_MAX;
        if !small && !rest.is_empty() {
            self.keep(&rest)?;
        }
        let Self { chunks, firsts, pinned, .. } = self;
        chunk::sync(&pinned.blobs.dir, &firsts, pinned.blobs.durable)?;
        let small = if small { rest } else { Vec::new() };
        Ok(Manifest { content, chunks, small, pinned: Arc::new(pinned) })
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Upload({} bytes)", self.bytes)
    }
}

/// What an upload came to: a content that no record names yet.
#[derive(Clone)]
pub struct Manifest {
    content: Content,
    chunks: Vec<Hash>,
    /// The bytes themselves, if they are few: they go into the database.
    small: Vec<u8>,
    pinned: Arc<Pinned>,
}

impl Manifest {
    /// Its name and length.
    pub fn content(&self) -> Content {
        self.content
    }

    /// Its chunks, in order; none if it is small.
    pub fn chunks(&self) -> &[Hash] {
        &self.chunks
    }

    pub(crate) fn small(&self) -> &[u8] {
        &self.small
    }

    /// Says of its chunks that a row names them.
    pub(crate) fn name(&self) {
        self.chunks.iter().for_each(|chunk| self.pinned.blobs.pins.name(chunk));
    }
}

impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        (self.content, &self.chunks) == (other.content, &other.chunks)
    }
}

impl Eq for Manifest {}

impl fmt::Debug for Manifest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Manifest({:?}, {} bytes)", self.content.hash, self.content.bytes)
    }
}
