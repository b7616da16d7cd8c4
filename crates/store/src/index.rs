//! `index.db`: which files hold which words. It is a fold of the tree and may be deleted at any time.
//!
//! ```text
//! text   rowid = file ▸ name body      FTS5 without the content: words and where they stand
//! docs   file ▸ hash name              the content and the name that are in `text`
//! todo   file ▸ below after            files to look at again; below: all that stands under it, after a name
//! meta   key ▸ value                   seq, hash: the last record that was read; cursor: a rebuild has come
//!                                      so far; settled: the last record after which nothing was left to do
//! ```
//!
//! What is not this program's, of another format, of another workspace (its record `seq` has another hash) or
//! damaged is removed and made anew: no trouble of the index is ever one of the workspace. It is behind the
//! tree, and says how far; what it finds is checked against the tree before it is a hit, so that it can hide
//! something, but never show what does not stand.
//!
//! Layers: this file (open, remove) → `fold` (what is in it) · `hits` (asking it) · `walk` (asking the tree
//! itself) · `snippet`.

mod fold;
mod hits;
mod snippet;
pub(crate) mod walk;

pub use hits::{Ask, Found, Hit};

use crate::{
    Durable, Options, Trouble,
    chain::{self, Head},
    schema::{self, Db, beside},
    version::{bound, hash, number},
};
use abi::{FileId, Hash, Seq};
use rusqlite::{Connection, OpenFlags, params};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Name of the file in the workspace's directory.
pub(crate) const FILE: &str = "index.db";
/// Marks a file as an index: "SkIx".
const APPLICATION: i32 = i32::from_be_bytes(*b"SkIx");
const FORMAT: i32 = 1;

const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE docs(file INTEGER PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL) STRICT;
CREATE TABLE todo(file INTEGER PRIMARY KEY, below INTEGER NOT NULL, after TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE text USING fts5(name, body, content='', contentless_delete=1,
  tokenize='unicode61 remove_diacritics 2');
";
/// What must be in the file, by name, and nothing else.
const NAMES: &str = "docs meta text text_config text_data text_docsize text_idx todo";

/// The index of a workspace, as far as it is there.
#[derive(Default)]
pub(crate) enum Slot {
    /// Nobody has asked for it yet.
    #[default]
    Closed,
    /// Open.
    Open(Box<Index>),
    /// It could not be made: the tree itself is searched, and it is tried again when somebody searches.
    Off,
}

/// An open index.
pub(crate) struct Index {
    db: Db,
    /// The last record that was read.
    upto: Head,
    /// The last file that a rebuild has taken; none when it is over.
    cursor: Option<FileId>,
    /// After this record nothing was left to do.
    settled: Seq,
}

impl Slot {
    /// Brings it closer to the tree until it is there or is told to stop. Only trouble of the tree's own file
    /// is an error.
    pub fn fold(
        &mut self,
        tree: (&Db, Head),
        options: &Options,
        until: &mut dyn FnMut() -> bool,
    ) -> Result<(), Trouble> {
        // What is broken is made anew once.
        for _ in 0..2 {
            let Some(index) = self.open(tree, options)? else { return Ok(()) };
            let file = index.db.file.clone();
            match index.fold(tree, until) {
                Err(trouble) if trouble.is_of(&file) => self.remove(tree.0),
                done => return done,
            }
        }
        *self = Self::Off;
        Ok(())
    }

    /// What is found, of the tree as it is, as far as it is indexed.
    pub fn find(
        &mut self,
        tree: (&Db, Head),
        options: &Options,
        ask: &Ask<'_>,
        until: &mut dyn FnMut() -> bool,
    ) -> Result<Found, Trouble> {
        if matches!(self, Self::Off) {
            *self = Self::Closed;
        }
        for _ in 0..2 {
            self.fold(tree, options, until)?;
            let Self::Open(index) = self else { break };
            match index.find(tree, ask) {
                Err(trouble) if trouble.is_of(&index.db.file) => self.remove(tree.0),
                found => return found,
            }
        }
        *self = Self::Off;
        walk::find(tree, None, ask)
    }

    /// The last record after which nothing was left to do.
    pub fn settled(&self) -> Option<Seq> {
        match self {
            Self::Closed => Some(Seq(0)),
            Self::Open(index) => Some(index.settled),
            Self::Off => None,
        }
    }

    fn open(&mut self, tree: (&Db, Head), options: &Options) -> Result<Option<&mut Index>, Trouble> {
        if matches!(self, Self::Closed) {
            *self = match Index::open(tree, options) {
                Ok(index) => Self::Open(Box::new(index)),
                Err(trouble) if trouble.is_of(&place(tree.0)) => Self::Off,
                Err(trouble) => return Err(trouble),
            };
        }
        match self {
            Self::Open(index) => Ok(Some(index)),
            Self::Closed | Self::Off => Ok(None),
        }
    }

    fn remove(&mut self, tree: &Db) {
        *self = Self::Closed;
        // What cannot be removed is found to be broken again, and then it is off.
        let _ = remove(&place(tree));
    }
}

fn place(tree: &Db) -> PathBuf {
    tree.file.with_file_name(FILE)
}

/// Removes an index and what lies beside it.
pub(crate) fn remove(file: &Path) -> Result<(), Trouble> {
    for file in [file.to_path_buf(), beside(file, "-wal"), beside(file, "-shm"), beside(file, "-journal")] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(schema::refused(&file, &error)),
            _ => {}
        }
    }
    Ok(())
}

impl Index {
    /// Opens what is there if it is this workspace's and sound, else makes a new one.
    fn open(tree: (&Db, Head), options: &Options) -> Result<Self, Trouble> {
        let file = place(tree.0);
        match Self::attach(tree.0, &file, options) {
            Ok(Some(index)) => return Ok(index),
            Err(trouble) if !trouble.is_of(&file) => return Err(trouble),
            Ok(None) | Err(_) => {}
        }
        remove(&file)?;
        let of = |error| Trouble::of(&file, error);
        let db = connect(&file, OpenFlags::SQLITE_OPEN_CREATE, options)?;
        db.connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; PRAGMA application_id={APPLICATION}; PRAGMA user_version={FORMAT};
                 {TABLES} COMMIT;"
            ))
            .map_err(of)?;
        let (seq, hash) = tree.1;
        let index = Self { db, upto: (seq, hash), cursor: Some(FileId(0)), settled: Seq(0) };
        index.note()?;
        Ok(index)
    }

    /// One that is there; none if it is of no use.
    fn attach(tree: &Db, file: &Path, options: &Options) -> Result<Option<Self>, Trouble> {
        if fs::metadata(file).is_err() {
            return Ok(None);
        }
        let db = connect(file, OpenFlags::empty(), options)?;
        let kind = |name: &str| {
            let value = db.connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
            value.map_err(|error| Trouble::of(file, error))
        };
        if (kind("application_id")?, kind("user_version")?) != (APPLICATION, FORMAT) {
            return Ok(None);
        }
        let sql = "SELECT coalesce(group_concat(name, ' '), '') FROM (SELECT name FROM sqlite_schema
                   WHERE type IN ('table', 'trigger', 'view') ORDER BY name)";
        if db.one(sql, [], |row| row.get::<_, String>(0))?.as_deref() != Some(NAMES) {
            return Ok(None);
        }
        let meta = |key: &str| {
            db.one("SELECT value FROM meta WHERE key = ?", [key], |row| number(row, 0))
                .map(Option::unwrap_or_default)
        };
        let (seq, cursor, settled) = (Seq(meta("seq")?), meta("cursor")?, Seq(meta("settled")?));
        let read = db.one("SELECT value FROM meta WHERE key = 'hash'", [], |row| hash(row, 0))?;
        let stands = match chain::one(tree, seq).ok().flatten() {
            Some((_, hash)) => hash,
            None if seq == Seq(0) => Hash::default(),
            None => return Ok(None),
        };
        if read != Some(stands) || settled > seq {
            return Ok(None);
        }
        let cursor = (cursor != u64::MAX).then_some(FileId(cursor));
        Ok(Some(Self { db, upto: (seq, stands), cursor, settled }))
    }

    /// Writes down how far it is.
    fn note(&self) -> Result<(), Trouble> {
        let cursor = self.cursor.map_or(u64::MAX, |file| file.0);
        for (key, value) in [("seq", self.upto.0.0), ("cursor", cursor), ("settled", self.settled.0)] {
            self.db.run("INSERT OR REPLACE INTO meta VALUES(?,?)", params![key, value.cast_signed()])?;
        }
        self.db.run("INSERT OR REPLACE INTO meta VALUES('hash',?)", [self.upto.1.0]).map(drop)
    }
}

/// A connection of its own. A power cut may take the last steps of the index, which are folded again; it does
/// not damage it (`NORMAL`: the log of writes is on disk before the file is changed).
fn connect(file: &Path, more: OpenFlags, options: &Options) -> Result<Db, Trouble> {
    let of = |error| Trouble::of(file, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let mut connection = Connection::open_with_flags(file, flags).map_err(of)?;
    schema::guard(&connection).map_err(of)?;
    crate::steps::bound(file, &mut connection).map_err(of)?;
    let synchronous = match options.durable {
        Durable::Full => "NORMAL",
        Durable::Null => "OFF",
    };
    let set = || -> rusqlite::Result<()> {
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Its only reader is its only writer: so no third file.
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        if let Some(pages) = options.pages_max {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        Ok(())
    };
    set().map_err(of)?;
    Ok(Db::new(file.to_path_buf(), connection))
}

/// A number as it is kept.
fn kept(file: FileId) -> i64 {
    bound(Seq(file.0))
}
