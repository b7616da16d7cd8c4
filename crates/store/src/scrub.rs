//! Taking purged bytes out of every file of a workspace.
//!
//! ```text
//! record Purged ─ one transaction: rows gone, `gone` says by which record, meta `scrub` = it is begun
//!        └─▶ run: index.db and old copies removed · VACUUM (no page keeps a remnant) · write-ahead log
//!                 truncated · chunk files that nothing names removed · meta `scrub` gone
//! ```
//!
//! Cut off anywhere, it begins again: when the workspace is opened, and whenever it is tended. Sealed
//! segments hold records only, and no record holds text. Never here: which bytes go.

use crate::{
    Trouble, blob, index,
    schema::{self, Db, Flow},
    version::hash,
};
use abi::{Hash, Seq, limits};
use rusqlite::params;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
};

/// How often, and how long between, the log is tried to be cut off while another connection is in the way.
const TRIES: u32 = 200;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// A shorter content is not looked for inside other texts: it would be found in what it never was.
const SOUGHT_BYTES_MIN: u64 = 16;
/// Contents that are looked for at once: memory, and how often all texts are read.
const SOUGHT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Text inside text inside text: a tool's outcome holds a file, an answer holds arguments, a record holds
/// both.
const NESTED_MAX: usize = 3;
/// A file up to this is made anew in memory; a larger one needs a file on the way.
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Hands over the names of blobs that hold one of these contents whole, as bytes or inside JSON, and are no
/// file's content themselves.
pub(crate) fn texts(
    db: &Db,
    contents: &BTreeMap<Hash, u64>,
    take: &mut dyn FnMut(&Hash) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    // No text is longer than a blob, so none holds a content that is.
    let range = SOUGHT_BYTES_MIN..=limits::BLOB_INLINE_BYTES_MAX;
    let mut sought = Sought::default();
    let mut found = BTreeSet::new();
    for (hash, _) in contents.iter().filter(|(_, bytes)| range.contains(bytes)) {
        if let Some(bytes) = blob::get(db, hash)? {
            sought.add(bytes);
        }
        if sought.bytes >= SOUGHT_BYTES_MAX {
            holding(db, &std::mem::take(&mut sought), &mut found)?;
        }
    }
    holding(db, &sought, &mut found)?;
    found.iter().try_for_each(take)
}

/// One reading of all texts.
fn holding(db: &Db, sought: &Sought, found: &mut BTreeSet<Hash>) -> Result<(), Trouble> {
    if sought.bytes == 0 {
        return Ok(());
    }
    let sql = "SELECT hash, bytes FROM blobs";
    let of = |error| Trouble::of(&db.file, error);
    db.each(sql, [], |row| {
        let bytes = row.get_ref(1).map_err(of)?.as_blob().map_err(|error| db.corrupt(error.to_string()))?;
        if sought.is_in(bytes) {
            found.insert(hash(row, 0).map_err(of)?);
        }
        Ok(Flow::Go)
    })?;
    for hash in blob::loose(db)? {
        if blob::get(db, &hash)?.is_some_and(|bytes| sought.is_in(&bytes)) {
            found.insert(hash);
        }
    }
    // What is a file's content goes with its file or not at all.
    db.each("SELECT hash FROM versions", [], |row| {
        found.remove(&hash(row, 0).map_err(of)?);
        Ok(Flow::Go)
    })
}

/// Contents to be found inside texts, by their first bytes.
#[derive(Default)]
struct Sought {
    by_start: BTreeMap<[u8; SOUGHT_BYTES_MIN as usize], Vec<Vec<u8>>>,
    /// First two bytes of all.
    starts: BTreeSet<[u8; 2]>,
    bytes: usize,
}

impl Sought {
    /// A content, and what it looks like inside of texts that are no JSON as a whole: as base64, and as JSON
    /// that was quoted so many times.
    fn add(&mut self, content: Vec<u8>) {
        self.form(abi::wire::to_base64(&content).into_bytes());
        let mut text = std::str::from_utf8(&content).ok().map(str::to_owned);
        for _ in 0..NESTED_MAX {
            let quoted = text.as_ref().and_then(|text| serde_json::to_string(text).ok());
            let inner = quoted.as_deref().and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
            let inner = inner.filter(|inner| text.as_deref() != Some(*inner)).map(str::to_owned);
            let Some(inner) = inner else { break };
            self.form(inner.clone().into_bytes());
            text = Some(inner);
        }
        self.form(content);
    }

    fn form(&mut self, form: Vec<u8>) {
        let (Some(start), Some(two)) = (form.first_chunk(), form.first_chunk()) else { return };
        self.starts.insert(*two);
        self.bytes += form.len();
        self.by_start.entry(*start).or_default().push(form);
    }

    /// Whether the text holds one, as it is or in a string of JSON.
    fn is_in(&self, text: &[u8]) -> bool {
        self.plain(text) || self.said(text, NESTED_MAX)
    }

    fn plain(&self, text: &[u8]) -> bool {
        (0..text.len()).any(|at| {
            let rest = text.get(at..).unwrap_or_default();
            let begins = rest.first_chunk().is_some_and(|two| self.starts.contains(two));
            let same =
                begins.then(|| rest.first_chunk().and_then(|start| self.by_start.get(start))).flatten();
            same.is_some_and(|all| all.iter().any(|content| rest.starts_with(content)))
        })
    }

    fn said(&self, text: &[u8], deeper: usize) -> bool {
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        if !first.is_some_and(|byte| b"{[\"".contains(byte)) {
            return false;
        }
        serde_json::from_slice(text).is_ok_and(|value| self.inside(&value, deeper))
    }

    fn inside(&self, value: &serde_json::Value, deeper: usize) -> bool {
        use serde_json::Value;
        match value {
            Value::String(text) => {
                self.plain(text.as_bytes()) || (deeper > 0 && self.said(text.as_bytes(), deeper - 1))
            }
            Value::Array(values) => values.iter().any(|value| self.inside(value, deeper)),
            Value::Object(map) => {
                map.iter().any(|(key, value)| self.plain(key.as_bytes()) || self.inside(value, deeper))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// Remembers that bytes have to go out of the files.
pub(crate) fn begin(db: &Db, seq: Seq) -> Result<(), Trouble> {
    db.run("INSERT OR REPLACE INTO meta VALUES('scrub', ?)", params![seq.0.to_string()]).map(drop)
}

/// Whether any have to.
pub(crate) fn due(db: &Db) -> Result<bool, Trouble> {
    Ok(db.one("SELECT 1 FROM meta WHERE key = 'scrub'", [], |_| Ok(()))?.is_some())
}

/// One thing to do on the way, and no harm to do again.
type Step = fn(&Db) -> Result<(), Trouble>;
/// The way.
const STEPS: [Step; 6] = [forget, anew, truncate, blob::sweep, end, truncate];

/// Takes them out, if any have to go; outside of any transaction.
pub(crate) fn run(db: &Db) -> Result<(), Trouble> {
    if !due(db)? {
        return Ok(());
    }
    STEPS.iter().try_for_each(|step| step(db))
}

/// What can be made again, and what an older program wrote.
fn forget(db: &Db) -> Result<(), Trouble> {
    if let Some(dir) = db.file.parent() {
        index::remove(&dir.join(index::FILE))?;
    }
    for format in 1..schema::FORMAT {
        remove(&schema::beside(&db.file, &format!(".format-{format}")))?;
    }
    Ok(())
}

/// The file as if what stands in it had just been written.
fn anew(db: &Db) -> Result<(), Trouble> {
    let of = |error| Trouble::of(&db.file, error);
    let bytes = fs::metadata(&db.file).map_err(|error| schema::refused(&db.file, &error))?.len();
    let store = |place: &str| db.connection.pragma_update(None, "temp_store", place).map_err(of);
    if bytes > MEMORY_BYTES_MAX {
        store("FILE")?;
    }
    let made = db.run("VACUUM", []).map(drop);
    store("MEMORY")?;
    made
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

fn end(db: &Db) -> Result<(), Trouble> {
    db.run("DELETE FROM meta WHERE key = 'scrub'", []).map(drop)
}

fn remove(file: &std::path::Path) -> Result<(), Trouble> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(schema::refused(file, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
