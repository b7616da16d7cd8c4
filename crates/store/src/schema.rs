//! The file format of `workspace.db`, version 3, and how a connection to a file of the store is made.
//!
//! ```text
//! meta       key ▸ value                                     what this file is, nothing of the log
//! records    seq ▸ pid prev hash body                        the log; body is musli wire, hash H(prev, body)
//! blobs      id ▸ hash* bytes                                content, at most 64 KiB, named by its BLAKE3
//! versions   id ▸ file node hash bytes mode mtime label actor pid op seq diverged path message parents
//! entries    id ▸ parent name file from_seq to_seq           where a file stands; to_seq null = now
//! heads      file ▸ version                                  newest version that is not diverged
//! snapshots  seq ▸ hash bytes                                kernel state after that record, the last two
//! conflicts  version ▸ file                                  diverged versions that nobody has resolved
//! mentions   id ▸ what seq                                   what `why` starts from: records that name an
//!                                                            effect, a proposal, a label, a new process
//! large      id ▸ hash* bytes chunks                         content above 64 KiB: names of its 1 MiB chunks
//! gone       id ▸ hash* seq                                  bytes that were destroyed, and by which record
//! thin       version ▸ seq swept                             versions whose bytes need not be kept
//! segments   first ▸ last name hash                          old records, sealed in files of their own
//! costs      id ▸ day* agent* model* calls failed lost       what model calls came to, in UTC days
//!            tokens_in tokens_out tokens_cached
//!            tokens_written money
//!                                                            ▸ rowid key   * unique index
//! ```
//!
//! `versions`, `entries`, `heads`, `conflicts`, `mentions`, `gone`, `costs`: a fold of `records`, in its
//! transactions. All are rowid tables with indexes beside, which write three times faster than tables that
//! are clustered by a hash. The file is made under another name and renamed when whole, so a crash leaves
//! none or all of it. A file of a later format, or of another program, is refused before anything is written
//! to it.

use crate::{
    Trouble,
    large::{Blobs, Pins},
    segment::Shelf,
    shape, steps,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row, config::DbConfig};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// How hard a commit tries to survive a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durable {
    /// `synchronous=FULL`: what was committed is on the disk.
    #[default]
    Full,
    /// `synchronous=OFF`: for simulation, and for measuring without barriers.
    Null,
}

/// How a file of the store is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// See [`Durable`].
    pub durable: Durable,
    /// Pages (of 4096 bytes) the file may have; none means as many as SQLite allows.
    pub pages_max: Option<u32>,
    /// Records in a sealed segment; none means `SEGMENT_RECORDS`.
    pub segment: Option<u64>,
}

/// Marks a file as a workspace's: "SkWs".
const APPLICATION: i32 = i32::from_be_bytes(*b"SkWs");
/// Latest format of `workspace.db` this program knows.
pub(crate) const FORMAT: u32 = abi::limits::WORKSPACE_FORMAT;
/// Statements kept prepared: more than this crate has.
const STATEMENTS: usize = 64;

/// The log, here and in a segment.
pub(crate) const RECORDS: &str = "
CREATE TABLE records(seq INTEGER PRIMARY KEY, pid INTEGER NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL,
  body BLOB NOT NULL) STRICT;
CREATE INDEX records_pid ON records(pid);
";

const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE blobs(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL) STRICT;
CREATE TABLE versions(id INTEGER PRIMARY KEY, file INTEGER NOT NULL, node INTEGER NOT NULL,
  hash BLOB NOT NULL, bytes INTEGER NOT NULL, mode INTEGER NOT NULL, mtime INTEGER NOT NULL,
  label INTEGER NOT NULL, actor TEXT NOT NULL, pid INTEGER NOT NULL, op INTEGER NOT NULL, seq INTEGER NOT NULL,
  diverged INTEGER NOT NULL, path TEXT NOT NULL, message BLOB, message_bytes INTEGER NOT NULL,
  parents BLOB NOT NULL) STRICT;
CREATE INDEX versions_file ON versions(file);
CREATE INDEX versions_op ON versions(op);
CREATE INDEX versions_pid ON versions(pid);
CREATE TABLE entries(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name TEXT NOT NULL,
  file INTEGER NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER) STRICT;
CREATE UNIQUE INDEX entries_live ON entries(parent, name) WHERE to_seq IS NULL;
CREATE INDEX entries_past ON entries(parent, name, from_seq);
CREATE INDEX entries_file ON entries(file);
CREATE TABLE heads(file INTEGER PRIMARY KEY, version INTEGER NOT NULL) STRICT;
CREATE TABLE snapshots(seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, bytes BLOB NOT NULL) STRICT;
";

/// What format 2 adds.
pub(crate) const SECOND: &str = "
CREATE TABLE conflicts(version INTEGER PRIMARY KEY, file INTEGER NOT NULL) STRICT;
CREATE INDEX conflicts_file ON conflicts(file);
CREATE TABLE mentions(id INTEGER PRIMARY KEY, what BLOB NOT NULL, seq INTEGER NOT NULL) STRICT;
CREATE INDEX mentions_what ON mentions(what);
CREATE TABLE large(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, bytes INTEGER NOT NULL,
  chunks BLOB NOT NULL) STRICT;
CREATE TABLE gone(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL) STRICT;
CREATE TABLE thin(version INTEGER PRIMARY KEY, seq INTEGER NOT NULL, swept INTEGER NOT NULL) STRICT;
CREATE INDEX thin_due ON thin(version) WHERE swept = 0;
CREATE TABLE segments(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, name TEXT NOT NULL,
  hash BLOB NOT NULL) STRICT;
";

/// What format 3 adds.
pub(crate) const THIRD: &str = "
CREATE TABLE costs(id INTEGER PRIMARY KEY, day INTEGER NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL,
  calls INTEGER NOT NULL, failed INTEGER NOT NULL, lost INTEGER NOT NULL, tokens_in INTEGER NOT NULL,
  tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL, tokens_written INTEGER NOT NULL,
  money INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX costs_key ON costs(day, agent, model);
";

/// A file of the store and the connection to it.
pub(crate) struct Db {
    pub file: PathBuf,
    pub connection: Connection,
    /// Sealed segments that belong to it; none of a file that has its records all in itself.
    pub shelf: Option<Shelf>,
    /// Where its large content lies.
    pub blobs: Blobs,
}

impl Db {
    /// To be read, or without large content.
    pub fn new(file: PathBuf, connection: Connection) -> Self {
        let dir = file.parent().unwrap_or(Path::new("."));
        let blobs = Blobs::new(dir, &Options::default(), Pins::default());
        Self { file, connection, shelf: None, blobs }
    }

    /// Runs a statement that answers no rows.
    pub fn run(&self, sql: &str, params: impl Params) -> Result<usize, Trouble> {
        steps::begin();
        let run = || self.connection.prepare_cached(sql)?.execute(params);
        run().map_err(|error| Trouble::of(&self.file, error))
    }

    /// The first row, if there is one.
    pub fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Trouble> {
        steps::begin();
        let run = || self.connection.prepare_cached(sql)?.query_row(params, read).optional();
        run().map_err(|error| Trouble::of(&self.file, error))
    }

    /// All rows; the statement has the limit.
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Trouble> {
        steps::begin();
        let run = || -> rusqlite::Result<Vec<T>> {
            self.connection.prepare_cached(sql)?.query_map(params, read)?.collect()
        };
        run().map_err(|error| Trouble::of(&self.file, error))
    }

    /// Hands over row after row until it is told to stop.
    pub fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(&Row<'_>) -> Result<Flow, Trouble>,
    ) -> Result<(), Trouble> {
        steps::begin();
        let of = |error| Trouble::of(&self.file, error);
        let mut statement = self.connection.prepare_cached(sql).map_err(of)?;
        let mut rows = statement.query(params).map_err(of)?;
        while let Some(row) = rows.next().map_err(of)? {
            if take(row)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Damage of this file.
    pub fn corrupt(&self, what: impl Into<String>) -> Trouble {
        Trouble::corrupt(&self.file, what)
    }
}

/// Whether more rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Go,
    Stop,
}

/// The system's refusal, as trouble with this file.
pub(crate) fn refused(file: &Path, error: &io::Error) -> Trouble {
    let file = file.to_path_buf();
    match error.kind() {
        io::ErrorKind::NotFound => Trouble::Missing { file },
        io::ErrorKind::AlreadyExists => Trouble::Exists { file },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly { file },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full { file },
        _ => Trouble::Io { file, what: error.to_string() },
    }
}

/// Opens a file that is there, of this kind and of a format up to this one. Any other is left as it is.
pub(crate) fn connect(file: &Path, kind: i32, known: u32, options: &Options) -> Result<Connection, Trouble> {
    let connection = attach(file)?;
    check(file, &connection, kind, known)?;
    tune(file, &connection, options)?;
    Ok(connection)
}

/// Opens a file that is there, and writes nothing to it.
pub(crate) fn attach(file: &Path) -> Result<Connection, Trouble> {
    if let Err(error) = fs::metadata(file) {
        return Err(refused(file, &error));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(|error| Trouble::of(file, error))?;
    guard(&connection).map_err(|error| Trouble::of(file, error))?;
    Ok(connection)
}

/// What must hold before the first page of a file is believed.
pub(crate) fn guard(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Else a kept statement is planned anew for every value bound to it, which costs ten times its running.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -1024)
}

/// The format a file says it has.
pub(crate) fn format(file: &Path, connection: &Connection) -> Result<u32, Trouble> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let found = found.map_err(|error| Trouble::of(file, error))?;
    u32::try_from(found).map_err(|_| Trouble::corrupt(file, format!("there is no format {found}")))
}

fn check(file: &Path, connection: &Connection, kind: i32, known: u32) -> Result<(), Trouble> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let found = number("application_id").map_err(|error| Trouble::of(file, error))?;
    if found != i64::from(kind) {
        return Err(Trouble::corrupt(file, "it was not made by this program"));
    }
    match format(file, connection)? {
        found if found > known => Err(Trouble::Newer { file: file.to_path_buf(), found, known }),
        0 => Err(Trouble::corrupt(file, "there is no format 0")),
        _ => Ok(()),
    }
}

/// Opens `workspace.db` to look at it from beside its owner: nothing of it is written.
pub(crate) fn look(file: &Path) -> Result<Db, Trouble> {
    let db = visit(file)?;
    db.connection.pragma_update(None, "query_only", "ON").map_err(|error| Trouble::of(file, error))?;
    Ok(db)
}

/// Opens `workspace.db` from beside its owner.
pub(crate) fn visit(file: &Path) -> Result<Db, Trouble> {
    let connection = attach(file)?;
    check_workspace(file, &connection)?;
    if connection.is_readonly("main").map_err(|error| Trouble::of(file, error))? {
        return Err(Trouble::ReadOnly { file: file.to_path_buf() });
    }
    let shelf = (format(file, &connection)? > 1).then(Shelf::default);
    Ok(Db { shelf, ..Db::new(file.to_path_buf(), connection) })
}

/// How it is written from here on. The first write to the file, if it was not in this mode before.
fn tune(file: &Path, connection: &Connection, options: &Options) -> Result<(), Trouble> {
    let of = |error| Trouble::of(file, error);
    if connection.is_readonly("main").map_err(of)? {
        return Err(Trouble::ReadOnly { file: file.to_path_buf() });
    }
    let synchronous = match options.durable {
        #[cfg(feature = "plant")]
        Durable::Full if crate::plant::is(crate::plant::SYNC_LIES) => "NORMAL",
        Durable::Full => "FULL",
        Durable::Null => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(of)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(of)?;
    if let Some(pages) = options.pages_max {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(of)?;
    }
    Ok(())
}

/// Makes a file of this kind: tables and first rows by `sql`, whole or not at all.
pub(crate) fn make(file: &Path, kind: i32, format: u32, sql: &str) -> Result<(), Trouble> {
    let (new, log) = (beside(file, ".new"), beside(file, "-wal"));
    // A log without its file belongs to a file that was lost; a new one must not inherit it.
    for there in [file, &log] {
        if fs::symlink_metadata(there).is_ok() {
            return Err(Trouble::Exists { file: there.to_path_buf() });
        }
    }
    let dir = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(|error| refused(dir, &error))?;
    for left in [new.clone(), beside(&new, "-journal")] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(&left, &error)),
            _ => {}
        }
    }
    let build = || -> rusqlite::Result<()> {
        let connection = Connection::open(&new)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; PRAGMA application_id={kind}; PRAGMA user_version={format}; {sql} COMMIT;"
        ))?;
        connection.close().map_err(|(_, error)| error)
    };
    build().map_err(|error| Trouble::of(&new, error))?;
    fs::rename(&new, file).map_err(|error| refused(file, &error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| refused(dir, &error))
}

/// A file of this name with something after it.
pub(crate) fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Makes `workspace.db`, with the root directory as version 0.
pub(crate) fn create(file: &Path) -> Result<(), Trouble> {
    let sql = format!(
        "{TABLES}{RECORDS}{SECOND}{THIRD}
        INSERT INTO versions VALUES(0, 1, 1, zeroblob(32), 0, 493, 0, 0, 'system:kernel', 0, 0, 0, 0, '/',
          NULL, 0, x'{}');
        INSERT INTO heads VALUES(1, 0);
        INSERT INTO meta VALUES('kind', 'workspace');",
        crate::version::NO_PARENTS
    );
    make(file, APPLICATION, FORMAT, &sql)
}

/// Refuses what is no workspace of a format up to this one.
pub(crate) fn check_workspace(file: &Path, connection: &Connection) -> Result<(), Trouble> {
    check(file, connection, APPLICATION, FORMAT)?;
    shape::check(file, connection)
}

/// Opens `workspace.db`.
pub(crate) fn open(file: &Path, options: &Options, pins: Pins) -> Result<Db, Trouble> {
    let mut connection = connect(file, APPLICATION, FORMAT, options)?;
    shape::check(file, &connection)?;
    steps::bound(file, &mut connection).map_err(|error| Trouble::of(file, error))?;
    let blobs = Blobs::new(file.parent().unwrap_or(Path::new(".")), options, pins);
    let mut db = Db { blobs, ..Db::new(file.to_path_buf(), connection) };
    crate::migrate::run(&mut db)?;
    db.shelf = Some(Shelf::default());
    Ok(db)
}
