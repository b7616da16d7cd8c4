//! Looks at a workspace's file without taking part: whose it is, how far its log goes, whether its pages are
//! sound. On a connection of its own, so that it may be awake meanwhile. Writes nothing, repairs nothing.

use crate::{
    Trouble, chain,
    schema::{self, Db},
    segment,
};
use abi::{Seq, record::Entry};
use std::{fs, path::Path};

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The random id it was born with; none when its first record is not in this file.
    pub id: Option<[u8; 16]>,
    /// Its last record.
    pub seq: Seq,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether every page was looked at.
    pub depth: Depth,
}

/// How deep to look, or how deep it was looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At the header and both ends of the log.
    Ends,
    /// At every page too.
    Pages,
}

/// Looks at the workspace in a directory; at its pages only if the file is not larger than this.
pub fn inspect(dir: &Path, pages_bytes_max: u64) -> Result<Inspection, Trouble> {
    let db = schema::look(&dir.join(crate::workspace::FILE))?;
    let bytes = fs::metadata(&db.file).map_err(|error| schema::refused(&db.file, &error))?.len();
    let depth = if bytes <= pages_bytes_max { Depth::Pages } else { Depth::Ends };
    let (seq, _) = chain::head(&db)?;
    segment::check(&db)?;
    let first = chain::records(&db, Seq(0), 1, None)?.into_iter().next();
    let id = first.and_then(|(record, _)| match record.body {
        Entry::Genesis { id, .. } => Some(id),
        _ => None,
    });
    if depth == Depth::Pages {
        pages(&db)?;
    }
    Ok(Inspection { id, seq, bytes, depth })
}

/// SQLite's own check of every page, but for the order of the indexes.
fn pages(db: &Db) -> Result<(), Trouble> {
    let said = db.one("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))?;
    match said.as_deref() {
        Some("ok") => Ok(()),
        Some(words) => Err(db.corrupt(words.lines().next_back().unwrap_or("its pages are not sound"))),
        None => Err(db.corrupt("its pages cannot be checked")),
    }
}
