//! Content by its name. Up to 64 KiB it is a row of `blobs`; beyond, a row of `large` names its chunk files.
//! What is read is hashed again, so that bytes the disk changed are never handed on.

use crate::{
    Trouble, backup, chunk,
    large::Manifest,
    schema::Db,
    version::{hash as hash_at, number},
};
use abi::{Code, Content, Error, Hash, call::Part, limits};
use rusqlite::params;

/// Whether a content is new here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was not named before.
    New,
    /// It was.
    Before,
}

/// Keeps these bytes, once: of one value, so at most 1 MiB.
pub(crate) fn put(db: &Db, bytes: &[u8]) -> Result<Content, Trouble> {
    let content = Content::of(bytes);
    if bytes.len() > limits::VALUE_BYTES_MAX {
        return Err(Trouble::TooLarge { bytes: content.bytes });
    }
    if content.bytes <= limits::BLOB_INLINE_BYTES_MAX {
        db.run("INSERT OR IGNORE INTO blobs(hash, bytes) VALUES(?,?)", params![content.hash.0, bytes])?;
        return Ok(content);
    }
    let mut upload = db.blobs.upload();
    upload.push(bytes)?;
    name(db, &upload.finish()?)?;
    Ok(content)
}

/// Names what was uploaded, if all of its chunk files still stand; that they do not is for who uploaded it to
/// hear.
pub(crate) fn put_large(db: &Db, manifest: &Manifest) -> Result<Result<Kept, Error>, Trouble> {
    let content = manifest.content();
    if manifest.chunks().is_empty() {
        return put(db, manifest.small()).map(|_| Ok(Kept::Before));
    }
    for (index, hash) in (0..).zip(manifest.chunks()) {
        if !chunk::stands(db.blobs.dir(), hash, chunk::length(index, content.bytes))? {
            let what = format!("part {index} of what was uploaded is not there any more");
            return Ok(Err(Error::new(Code::Unavailable, what).argument("upload").hint("upload it again")));
        }
    }
    name(db, manifest).map(Ok)
}

fn name(db: &Db, manifest: &Manifest) -> Result<Kept, Trouble> {
    manifest.name();
    let chunks: Vec<u8> = manifest.chunks().iter().flat_map(|chunk| chunk.0).collect();
    let Content { hash, bytes } = manifest.content();
    let row = params![hash.0, bytes.cast_signed(), chunks];
    let new = db.run("INSERT OR IGNORE INTO large(hash, bytes, chunks) VALUES(?,?,?)", row)?;
    Ok(if new > 0 { Kept::New } else { Kept::Before })
}

/// Some of the bytes of this name, at most 1 MiB of them, if they are kept.
pub(crate) fn part(db: &Db, content: &Content, part: Part) -> Result<Option<Vec<u8>>, Trouble> {
    if let Some(bytes) = inline(db, &content.hash)? {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (place(part.offset), place(part.offset.saturating_add(part.length)));
        return Ok(Some(bytes.get(from..to).unwrap_or_default().to_vec()));
    }
    let Some(bytes) = length(db, &content.hash)? else { return Ok(None) };
    let most = part.length.min(limits::VALUE_BYTES_MAX as u64);
    let from = part.offset.min(bytes);
    let to = from.saturating_add(most).min(bytes);
    cut(db, content, bytes, (from, to)).map(Some)
}

/// Bytes `from..to` of a large content of so many, from the chunks that hold them.
fn cut(db: &Db, content: &Content, bytes: u64, (from, to): (u64, u64)) -> Result<Vec<u8>, Trouble> {
    let first = from / limits::CHUNK_BYTES;
    let several = chunk::count(to).saturating_sub(first);
    let mut found = Vec::with_capacity(usize::try_from(to.saturating_sub(from)).unwrap_or(0));
    for (index, hash) in (first..).zip(chunks(db, &content.hash, (first, several))?) {
        let begins = index.saturating_mul(limits::CHUNK_BYTES);
        let held = chunk::read(db.blobs.dir(), &hash, chunk::length(index, bytes))?;
        let place =
            |at: u64| usize::try_from(at.saturating_sub(begins)).unwrap_or(usize::MAX).min(held.len());
        found.extend_from_slice(held.get(place(from)..place(to)).unwrap_or_default());
    }
    Ok(found)
}

/// Length of a large content; its list of chunks is as long as that asks for.
fn length(db: &Db, hash: &Hash) -> Result<Option<u64>, Trouble> {
    let sql = "SELECT bytes, length(chunks) FROM large WHERE hash = ?";
    let found = db.one(sql, [hash.0], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    let Some((bytes, list)) = found else { return Ok(None) };
    if bytes > limits::FILE_BYTES_MAX || list != chunk::count(bytes).saturating_mul(32) {
        return Err(db.corrupt(format!("the list of the chunks of {hash} is not as long as it should be")));
    }
    Ok(Some(bytes))
}

/// Names of several chunks of a large content.
fn chunks(db: &Db, hash: &Hash, (first, several): (u64, u64)) -> Result<Vec<Hash>, Trouble> {
    let sql = "SELECT substr(chunks, 1 + 32 * ?2, 32 * ?3) FROM large WHERE hash = ?1";
    let row = params![hash.0, first.cast_signed(), several.cast_signed()];
    let list: Vec<u8> = db.one(sql, row, |row| row.get(0))?.unwrap_or_default();
    Ok(list.as_chunks::<32>().0.iter().copied().map(Hash).collect())
}

/// Lets go of the bytes of this name. Chunk files go in [`sweep`], when that is durable.
pub(crate) fn remove(db: &Db, hash: &Hash) -> Result<(), Trouble> {
    db.run("DELETE FROM blobs WHERE hash = ?", [hash.0])?;
    db.run("DELETE FROM large WHERE hash = ?", [hash.0]).map(drop)
}

/// Removes chunk files that nothing names; outside of any transaction.
pub(crate) fn sweep(db: &Db) -> Result<(), Trouble> {
    db.blobs.sweep(&backup::chunks(db)?)
}

/// The bytes of this name, if they are kept and are not more than one value holds.
pub(crate) fn get(db: &Db, hash: &Hash) -> Result<Option<Vec<u8>>, Trouble> {
    if let Some(bytes) = inline(db, hash)? {
        return Ok(Some(bytes));
    }
    let Some(bytes) = length(db, hash)?.filter(|bytes| *bytes <= limits::VALUE_BYTES_MAX as u64) else {
        return Ok(None);
    };
    let found = cut(db, &Content { hash: *hash, bytes }, bytes, (0, bytes))?;
    if Hash::of(&found) != *hash {
        return Err(db.corrupt(format!("the chunks of {hash} are those of another content")));
    }
    Ok(Some(found))
}

fn inline(db: &Db, hash: &Hash) -> Result<Option<Vec<u8>>, Trouble> {
    let found: Option<Vec<u8>> =
        db.one("SELECT bytes FROM blobs WHERE hash = ?", [hash.0], |row| row.get(0))?;
    match found {
        Some(bytes) if Hash::of(&bytes) != *hash => {
            Err(db.corrupt(format!("the bytes of blob {hash} are not those that were written")))
        }
        found => Ok(found),
    }
}

/// Large contents that are no file's, and not more than one value holds.
pub(crate) fn loose(db: &Db) -> Result<Vec<Hash>, Trouble> {
    let sql = "SELECT l.hash FROM large l WHERE l.bytes <= ?
               AND NOT EXISTS(SELECT 1 FROM versions v WHERE v.hash = l.hash)";
    let most = i64::try_from(limits::VALUE_BYTES_MAX).unwrap_or(i64::MAX);
    db.all(sql, [most], |row| hash_at(row, 0))
}
