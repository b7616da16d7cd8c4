//! Opens a database of the store without changing a byte of it, its log, or the directory it lies in.
//!
//! ```text
//! no -wal                 nobody has it open: read as it is, no lock, nothing made beside it
//! -wal and -shm           somebody may: SQLite's protocol, read-only; one snapshot for the whole proof
//! -wal without -shm       a copy, or after a crash: SQLite would make files beside it, so both are copied
//!                         to a private place and read there
//! ```
//!
//! A file that is not the store's, is of a later format, or holds views or triggers (which could make a
//! reading run for ever) is refused.

use crate::{
    bound::{BUSY_MS, VALUE_BYTES_MAX},
    report::Report,
};
use rusqlite::{Connection, OpenFlags, config::DbConfig, types::ValueRef};
use std::{
    fs::{self, DirBuilder},
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// Marks a workspace's file.
const KIND: i64 = i32::from_be_bytes(*b"SkWs") as i64;
/// The newest format this verifier knows.
const FORMAT: i64 = 3;
/// Names tried for a private copy before that is given up.
const COPIES_MAX: u32 = 1000;

/// An open database, and where its other files are.
pub struct Source {
    pub connection: Connection,
    pub file: PathBuf,
    /// Chunks and segments lie below it.
    pub dir: PathBuf,
    /// Where private copies are made.
    pub scratch: PathBuf,
    _copy: Option<Copied>,
}

/// A private copy; it goes when the source does.
struct Copied(PathBuf);

impl Drop for Copied {
    fn drop(&mut self) {
        // Left behind it only takes room in a place for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Opens the file, or the `workspace.db` in this directory; what hinders it is found.
pub fn open(path: &Path, scratch: &Path, report: &mut Report) -> Option<Source> {
    let file = if path.is_dir() { path.join("workspace.db") } else { path.to_path_buf() };
    match attach(&file, scratch) {
        Ok(source) => check(source, report),
        Err(what) => {
            let what = format!("{} cannot be read: {what}", file.display());
            report.find(None, what, "name the directory of a workspace, or its workspace.db");
            None
        }
    }
}

/// Opens a file of records beside the database.
pub fn segment(file: &Path, scratch: &Path) -> Result<Source, String> {
    let source = attach(file, scratch)?;
    match foreign(&source) {
        Some(what) => Err(what),
        None => Ok(source),
    }
}

fn attach(file: &Path, scratch: &Path) -> Result<Source, String> {
    let dir = file.parent().unwrap_or(Path::new("")).to_path_buf();
    let found = fs::metadata(file).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is not a file".to_owned());
    }
    let (mut at, mut how, mut copied) = (file.to_path_buf(), "immutable=1", None);
    if beside(file, "-wal").exists() {
        how = "readonly_shm=1";
        if !beside(file, "-shm").exists() {
            let copy = Copied(private(scratch).map_err(|error| format!("no copy could be made: {error}"))?);
            at = copy.0.join("workspace.db");
            for end in ["", "-wal"] {
                fs::copy(beside(file, end), beside(&at, end)).map_err(|error| error.to_string())?;
            }
            (how, copied) = ("cache=private", Some(copy));
        }
    }
    let connection = connect(&at, how).map_err(|error| error.to_string())?;
    Ok(Source { connection, file: file.to_path_buf(), dir, scratch: scratch.to_path_buf(), _copy: copied })
}

fn connect(file: &Path, how: &str) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{}?{how}", escape(file)), flags)?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // One snapshot: the first reading below fixes it, and nothing ends it before the connection does.
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

/// A path as the middle of a URI.
fn escape(file: &Path) -> String {
    let mut text = String::new();
    for byte in file.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                text.push(char::from(*byte))
            }
            other => text.push_str(&format!("%{other:02x}")),
        }
    }
    text
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A directory of our own that was not there.
fn private(scratch: &Path) -> std::io::Result<PathBuf> {
    let mut refused = std::io::Error::other("every name is taken");
    for ix in 0..COPIES_MAX {
        let dir = scratch.join(format!("skep-audit-{}-{ix}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

/// Whether this is a file we know how to read.
fn check(source: Source, report: &mut Report) -> Option<Source> {
    let pragma = |name: &str| source.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let refused = match (pragma("application_id"), pragma("user_version")) {
        (Err(error), _) | (_, Err(error)) => Some((error.to_string(), "restore it from a backup")),
        (Ok(kind), _) if kind != KIND => {
            Some(("it is not a workspace's".to_owned(), "name a workspace's directory, or its workspace.db"))
        }
        (_, Ok(format)) if format > FORMAT => Some((
            format!("it has format {format}, and this program knows up to {FORMAT}"),
            "verify it with the program that wrote it",
        )),
        (_, Ok(format)) if lacking(&source, format).is_some() => Some((
            format!("it has no table {}", lacking(&source, format).unwrap_or_default()),
            "whoever took it away had the file: use another copy",
        )),
        _ => foreign(&source).map(|what| (what, "whoever put it there had the file: use another copy")),
    };
    let Some((what, hint)) = refused else { return Some(source) };
    report.find(None, format!("{} cannot be verified: {what}", source.file.display()), hint);
    None
}

/// Tables that later formats have besides those of format 1, and from which on.
const LATER: [(&str, i64); 7] = [
    ("conflicts", 2),
    ("mentions", 2),
    ("large", 2),
    ("gone", 2),
    ("thin", 2),
    ("segments", 2),
    ("costs", 3),
];

/// A table that the format has and this file has not.
fn lacking(source: &Source, format: i64) -> Option<&'static str> {
    let due = LATER.into_iter().filter(|(_, since)| format >= *since);
    due.map(|(table, _)| table).find(|table| !source.has(table))
}

/// What stands in the schema that no writer of ours puts there.
fn foreign(source: &Source) -> Option<String> {
    let sql = "SELECT type, name FROM pragma_table_list WHERE schema = 'main' AND type <> 'table'
               UNION ALL SELECT type, name FROM sqlite_schema WHERE type NOT IN ('table', 'index') LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    match source.connection.query_row(sql, [], read) {
        Ok((kind, name)) => Some(format!("it holds the {kind} {name}, which this program never writes")),
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(error) => Some(error.to_string()),
    }
}

impl Source {
    /// Whether this table stands: later formats have more.
    pub fn has(&self, table: &str) -> bool {
        let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
        self.connection.query_row(sql, [table], |_| Ok(())).is_ok()
    }

    /// Whether pages, tables and indexes belong together: what is asked through an index is what stands.
    pub fn whole(&self, report: &mut Report) {
        let said = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.connection.prepare("PRAGMA integrity_check(10)")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let said = said().unwrap_or_else(|error| vec![error.to_string()]);
        for what in said.iter().flat_map(|text| text.lines()).filter(|line| *line != "ok") {
            report.find(None, format!("the file is damaged: {what}"), "restore it from a backup");
        }
    }

    /// Hands over the rows of a statement that is ordered by its first column, a number that only rises: a
    /// damaged file that comes round to a row again ends the reading. False if reading failed.
    pub fn rise(
        &self,
        sql: &str,
        what: &str,
        report: &mut Report,
        mut each: impl FnMut(&mut Report, i64, &rusqlite::Row<'_>),
    ) -> bool {
        let mut last = i64::MIN;
        let mut read = |report: &mut Report| -> rusqlite::Result<bool> {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                if id <= last {
                    return Ok(false);
                }
                last = id;
                each(report, id, row);
                if report.is_full() {
                    break;
                }
            }
            Ok(true)
        };
        let said = match read(report) {
            Ok(true) => return true,
            Ok(false) => "its rows come round again".to_owned(),
            Err(error) => error.to_string(),
        };
        let after = if last == i64::MIN { String::new() } else { format!(" after row {last}") };
        report.find(
            None,
            format!("the table {what} cannot be read{after}: {said}"),
            "restore it from a backup",
        );
        false
    }
}

/// Bytes of a column, if it has some and they are not too many.
pub fn bytes<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Option<&'a [u8]> {
    match row.get_ref(column) {
        Ok(ValueRef::Blob(bytes)) if i64::try_from(bytes.len()).is_ok_and(|n| n <= VALUE_BYTES_MAX) => {
            Some(bytes)
        }
        _ => None,
    }
}

/// 32 bytes of a column.
pub fn digest(row: &rusqlite::Row<'_>, column: usize) -> Option<[u8; 32]> {
    bytes(row, column)?.try_into().ok()
}

/// A number of a column; unsigned ones are kept by their bits.
pub fn number(row: &rusqlite::Row<'_>, column: usize) -> Option<u64> {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => Some(number.cast_unsigned()),
        _ => None,
    }
}

/// Text of a column.
pub fn text(row: &rusqlite::Row<'_>, column: usize) -> Option<String> {
    match row.get_ref(column) {
        Ok(ValueRef::Text(text)) => std::str::from_utf8(text).ok().map(str::to_owned),
        _ => None,
    }
}
