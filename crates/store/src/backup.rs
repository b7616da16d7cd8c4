//! A backup: all of one workspace in one host file, and the way back.
//!
//! ```text
//! plain tar (POSIX ustar, no compression), every member a regular file, in this order:
//! skep-backup.json     Manifest: format, workspace, name, seq, head, time, members with their BLAKE3
//! workspace.db         a consistent copy (VACUUM INTO), so without free pages and without a log beside it
//! log/NAME             sealed segments of the log that the copy names, by name
//! blobs/ab/HEX         chunks that the copy names, by HEX, which is their BLAKE3
//! ```
//!
//! Chunks are not listed one by one: their names are their hashes, and the copy says which there must be.
//! Memory is flat but for 32 bytes a chunk, which is a 32,768th of the content. Not in it: the index,
//! `node.db`, secrets, anything of another workspace. Never here: whether one may be made, or where a
//! workspace lies.

mod source;
mod unpack;

pub use source::{Source, write};
pub use unpack::unpack;

use crate::{
    Trouble,
    schema::{Db, refused},
    version::hash,
};
use abi::{Hash, Micros, Seq};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Format of the file.
const FORMAT: u32 = 1;
/// First member.
const MANIFEST: &str = "skep-backup.json";
/// Second member.
const COPY: &str = "workspace.db";
/// Bytes of the first member: some 6,000 sealed segments, which is thousands of millions of records.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes read at a time.
const PART_BYTES: usize = 64 * 1024;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the file, not of the workspace's.
    pub format: u32,
    /// What made it.
    pub program: String,
    /// The workspace's id, hexadecimal.
    pub workspace: String,
    /// What it was called.
    pub name: String,
    /// The last record in it.
    pub seq: Seq,
    /// Hash of that record.
    pub head: Hash,
    /// When it was made.
    pub at: Micros,
    /// The copy, then the sealed segments.
    pub members: Vec<Member>,
    /// How many chunks come after them.
    pub chunks: u64,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the tar, and in the workspace's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub blake3: Hash,
}

/// Takes bytes on their way and keeps their hash and number.
struct Hashing<R> {
    from: R,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    fn new(from: R) -> Self {
        Self { from, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    fn end(&self) -> (Hash, u64) {
        (Hash(*self.hasher.finalize().as_bytes()), self.bytes)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.hasher.update(into.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Name, length and hash of a file of a workspace.
fn measure(file: &Path, name: &str) -> Result<Member, Trouble> {
    let of = |error: io::Error| refused(file, &error);
    let mut from = Hashing::new(File::open(file).map_err(of)?);
    let mut part = vec![0; PART_BYTES];
    while from.read(&mut part).map_err(of)? > 0 {}
    let (blake3, bytes) = from.end();
    Ok(Member { name: name.to_owned(), bytes, blake3 })
}

/// Whether the file has this table; formats differ.
fn has(db: &Db, table: &str) -> Result<bool, Trouble> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
    Ok(db.one(sql, [table], |_| Ok(()))?.is_some())
}

/// Names of the sealed segments, in order of name.
fn segments(db: &Db) -> Result<Vec<String>, Trouble> {
    if !has(db, "segments")? {
        return Ok(Vec::new());
    }
    let names: Vec<String> = db.all("SELECT name FROM segments ORDER BY name", [], |row| row.get(0))?;
    match names.iter().find(|name| !is_segment(name)) {
        Some(odd) => Err(db.corrupt(format!("{odd:?} is no name of a segment"))),
        None => Ok(names),
    }
}

/// One component, nothing hidden, nothing that a file system or a path could take for something else.
fn is_segment(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(plain)
}

/// Every chunk that large content is made of.
pub(crate) fn chunks(db: &Db) -> Result<BTreeSet<Hash>, Trouble> {
    let mut all = BTreeSet::new();
    if !has(db, "large")? {
        return Ok(all);
    }
    db.each("SELECT hash, chunks FROM large", [], |row| {
        let of = |error| Trouble::of(&db.file, error);
        let name = hash(row, 0).map_err(of)?;
        let list: Vec<u8> = row.get(1).map_err(of)?;
        let (parts, rest) = list.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(db.corrupt(format!("the list of the chunks of {name} is cut")));
        }
        all.extend(parts.iter().copied().map(Hash));
        Ok(crate::schema::Flow::Go)
    })?;
    Ok(all)
}

/// A file made by `VACUUM INTO`, opened for reading.
fn open_copy(file: &Path) -> Result<Db, Trouble> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let of = |error| Trouble::of(file, error);
    let mut connection = Connection::open_with_flags(file, flags).map_err(of)?;
    crate::schema::guard(&connection).map_err(of)?;
    crate::steps::bound(file, &mut connection).map_err(of)?;
    crate::schema::check_workspace(file, &connection)?;
    Ok(Db::new(file.to_path_buf(), connection))
}
