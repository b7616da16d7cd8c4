//! Content by its name. What is read is hashed again, so that bytes the disk changed are never handed on.

use crate::{Trouble, schema::Db};
use abi::{Content, Hash, limits};
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
