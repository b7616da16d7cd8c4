//! Taking purged bytes out of every file of a workspace.
//!
//! ```text
//! record Purged ─ one transaction: rows gone, `gone` says by which record, meta `scrub` = it is begun
//!        └─▶ run: index.db and old copies removed · VACUUM (no page keeps a remnant) · write-ahead log
//!                 truncated · chunk files that nothing names removed · meta `scrub` gone
//! ```
//!
//! Cut off anywhere, the next opening goes on with it. Never here: which bytes go.

use crate::{
    Trouble, blob,
    schema::{self, Db, Flow},
    version::hash,
};
use abi::{Hash, Seq};
use rusqlite::params;
use std::{collections::BTreeMap, fs, io::ErrorKind};

/// How often, and how long between, the log is tried to be cut off while another connection is in the way.
const TRIES: u32 = 200;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// A shorter content is not looked for inside other texts: it would be found in what it never was.
const SOUGHT_BYTES_MIN: u64 = 8;
/// Text inside text inside text: a tool's outcome holds a file, an answer holds arguments, a record holds
/// both.
const NESTED_MAX: usize = 3;

/// Hands over the names of blobs that hold one of these contents whole, as bytes or inside JSON, and are no
/// file's content themselves.
pub(crate) fn texts(
    db: &Db,
    contents: &BTreeMap<Hash, u64>,
    take: &mut dyn FnMut(&Hash) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut sought = Vec::new();
    for (hash, _) in contents.iter().filter(|(_, bytes)| **bytes >= SOUGHT_BYTES_MIN) {
        sought.extend(blob::get(db, hash)?.filter(|bytes| !bytes.is_empty()));
    }
    if sought.is_empty() {
        return Ok(());
    }
    let sql = "SELECT b.hash, b.bytes FROM blobs b
               WHERE NOT EXISTS(SELECT 1 FROM versions v WHERE v.hash = b.hash)";
    let of = |error| Trouble::of(&db.file, error);
    let mut found = Vec::new();
    db.each(sql, [], |row| {
        let bytes = row.get_ref(1).map_err(of)?.as_blob().map_err(|error| db.corrupt(error.to_string()))?;
        if sought.iter().any(|content| holds(bytes, content)) {
            found.push(hash(row, 0).map_err(of)?);
        }
        Ok(Flow::Go)
    })?;
    found.iter().try_for_each(take)
}

/// Whether the text holds the content as it is, or as a string of JSON.
fn holds(text: &[u8], content: &[u8]) -> bool {
    abi::scan::has_text(text, content)
        || std::str::from_utf8(content).is_ok_and(|content| said(text, content, NESTED_MAX))
}

fn said(text: &[u8], content: &str, deeper: usize) -> bool {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(text) else { return false };
    inside(&value, content, deeper)
}

fn inside(value: &serde_json::Value, content: &str, deeper: usize) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => {
            text.contains(content) || (deeper > 0 && said(text.as_bytes(), content, deeper - 1))
        }
        Value::Array(values) => values.iter().any(|value| inside(value, content, deeper)),
        Value::Object(map) => map.values().any(|value| inside(value, content, deeper)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Remembers that bytes have to go out of the files.
pub(crate) fn begin(db: &Db, seq: Seq) -> Result<(), Trouble> {
    db.run("INSERT OR REPLACE INTO meta VALUES('scrub', ?)", params![seq.0.to_string()]).map(drop)
}

/// Takes them out, if any have to go; outside of any transaction.
pub(crate) fn run(db: &Db) -> Result<(), Trouble> {
    let due = db.one("SELECT value FROM meta WHERE key = 'scrub'", [], |row| row.get::<_, String>(0))?;
    if due.is_none() {
        return Ok(());
    }
    if let Some(dir) = db.file.parent() {
        for name in ["index.db", "index.db-wal", "index.db-shm"] {
            remove(&dir.join(name))?;
        }
    }
    for format in 1..schema::FORMAT {
        remove(&schema::beside(&db.file, &format!(".format-{format}")))?;
    }
    db.run("VACUUM", [])?;
    truncate(db)?;
    blob::sweep(db)?;
    db.run("DELETE FROM meta WHERE key = 'scrub'", [])?;
    truncate(db)
}

/// Everything in the file itself, and nothing in the log beside it.
fn truncate(db: &Db) -> Result<(), Trouble> {
    for _ in 0..TRIES {
        let busy = db.one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?;
        if busy == Some(0) {
            return Ok(());
        }
        // Somebody beside carries the log over, or looks at the file; SQLite's own patience is not for that.
        std::thread::sleep(PAUSE);
    }
    Err(Trouble::Locked { file: db.file.clone() })
}

fn remove(file: &std::path::Path) -> Result<(), Trouble> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(schema::refused(file, &error)),
        _ => Ok(()),
    }
}
