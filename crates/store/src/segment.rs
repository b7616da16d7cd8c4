//! Sealed segments: old records, moved out of `workspace.db` into files of their own and kept for ever.
//!
//! ```text
//! log/FIRST-LAST.db     an SQLite file with the table `records` and its index, as in `workspace.db`
//! segments              first ▸ last name hash       hash = that of record `last`, so the chain's own proof
//!
//! build log/.new.db ─▶ durable ─▶ its name ─▶ directory durable ─▶ one transaction of workspace.db: the row
//! of `segments`, and the records deleted that the file holds now
//! ```
//!
//! Cut off before that transaction, the file is nobody's and is written again; after it, all is done. Only
//! what lies before both snapshots is sealed, so that waking never needs a segment, and the tree never does.
//! A segment that is lost or garbled is the trouble of whoever asks for a record in it. Never here: what a
//! record means.

use crate::{
    Trouble, chain,
    schema::{self, Db, refused},
    shape,
    version::{bound, hash, number},
};
use abi::{Hash, Seq};
use rusqlite::{Connection, OpenFlags, params};
use std::{
    cell::RefCell,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Where they lie, in the workspace's directory.
const DIR: &str = "log";
/// Name of a segment that is not whole yet.
const NEW: &str = ".new.db";
/// Segments that are held open: a walk back through causes stays near where it is.
const OPEN_MAX: usize = 8;
/// Marks a file as a segment: "SkSg".
const APPLICATION: i32 = i32::from_be_bytes(*b"SkSg");

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub first: Seq,
    pub last: Seq,
    pub name: String,
    pub hash: Hash,
}

/// Segments held open, the last used last.
#[derive(Default)]
pub(crate) struct Shelf(RefCell<Vec<(String, Db)>>);

/// Segments with records after one and up to another, oldest first; none of a file that has no such table.
pub(crate) fn between(db: &Db, after: Seq, upto: Seq) -> Result<Vec<Segment>, Trouble> {
    if db.shelf.is_none() {
        return Ok(Vec::new());
    }
    let sql = "SELECT first, last, name, hash FROM segments WHERE last > ? AND first <= ? ORDER BY first";
    db.all(sql, params![bound(after), bound(upto)], |row| {
        let (first, last) = (Seq(number(row, 0)?), Seq(number(row, 1)?));
        Ok(Segment { first, last, name: row.get(2)?, hash: hash(row, 3)? })
    })
}

/// The segment that holds a record.
pub(crate) fn of(db: &Db, seq: Seq) -> Result<Option<Segment>, Trouble> {
    if seq == Seq(0) {
        return Ok(None);
    }
    Ok(between(db, Seq(seq.0 - 1), seq)?.pop())
}

/// Asks a segment something.
pub(crate) fn with<T>(
    db: &Db,
    segment: &Segment,
    ask: impl FnOnce(&Db) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let Some(shelf) = &db.shelf else { return Err(db.corrupt("it has no segments")) };
    let held = {
        let mut all = shelf.0.borrow_mut();
        let place = all.iter().position(|(name, _)| *name == segment.name);
        place.map(|place| all.remove(place))
    };
    let (name, sealed) = match held {
        Some(held) => held,
        None => (segment.name.clone(), open(&db.file, segment)?),
    };
    let asked = ask(&sealed).map_err(|trouble| lost(&sealed.file, &trouble));
    if asked.is_ok() {
        let mut all = shelf.0.borrow_mut();
        all.push((name, sealed));
        let over = all.len().saturating_sub(OPEN_MAX);
        all.drain(..over);
    }
    asked
}

/// The same trouble, as that of a segment: only who asks for what is in it has it.
fn lost(file: &Path, trouble: &Trouble) -> Trouble {
    match trouble {
        Trouble::Segment { .. } => trouble.clone(),
        trouble => Trouble::Segment { file: file.to_path_buf(), what: trouble.to_string() },
    }
}

/// Opens a segment and sees that it ends as it was sealed.
fn open(main: &Path, segment: &Segment) -> Result<Db, Trouble> {
    let file = place(main).join(&segment.name);
    let bad = |what: &str| Trouble::Segment { file: file.clone(), what: what.to_owned() };
    if !is_name(&segment.name) {
        return Err(bad("its name is none of a segment"));
    }
    if let Err(error) = fs::metadata(&file) {
        return Err(lost(&file, &refused(&file, &error)));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connect = || -> Result<Db, Trouble> {
        let of = |error| Trouble::of(&file, error);
        let connection = Connection::open_with_flags(&file, flags).map_err(of)?;
        schema::guard(&connection).map_err(of)?;
        shape::check(&file, &connection)?;
        Ok(Db::new(file.clone(), connection))
    };
    let db = connect().map_err(|trouble| lost(&file, &trouble))?;
    let ends = chain::head(&db).map_err(|trouble| lost(&file, &trouble))?;
    if ends != (segment.last, segment.hash) {
        return Err(bad(&format!("it does not end as it was sealed, with record {}", segment.last)));
    }
    Ok(db)
}

/// Sees that every segment is there and ends as it was sealed.
pub(crate) fn check(db: &Db) -> Result<(), Trouble> {
    between(db, Seq(0), Seq(u64::MAX))?.iter().try_for_each(|segment| with(db, segment, |_| Ok(())))
}

/// One component, nothing hidden, nothing that a path could take for something else.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(plain)
}

fn place(main: &Path) -> PathBuf {
    main.parent().unwrap_or(Path::new(".")).join(DIR)
}

/// The records that are to be sealed next: the oldest of this many, if as many stay and both snapshots lie
/// behind them.
pub(crate) fn due(db: &Db, records: u64) -> Result<Option<(Seq, Seq)>, Trouble> {
    let ends = |sql: &str| db.one(sql, [], |row| number(row, 0));
    let first = ends("SELECT seq FROM records ORDER BY seq LIMIT 1")?;
    let last = ends("SELECT seq FROM records ORDER BY seq DESC LIMIT 1")?;
    let snapshot = ends("SELECT seq FROM snapshots ORDER BY seq LIMIT 1")?;
    let (Some(first), Some(last), Some(snapshot)) = (first, last, snapshot) else { return Ok(None) };
    let end = first.saturating_add(records.max(1)).saturating_sub(1);
    let stay = last.saturating_sub(end);
    Ok((stay >= records && end < snapshot).then_some((Seq(first), Seq(end))))
}

/// Writes the file of a segment, whole and durable under its name.
pub(crate) fn write(db: &Db, (first, last): (Seq, Seq)) -> Result<Segment, Trouble> {
    let dir = place(&db.file);
    fs::create_dir_all(&dir).map_err(|error| refused(&dir, &error))?;
    let new = dir.join(NEW);
    for left in [new.clone(), schema::beside(&new, "-journal")] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(refused(&left, &error)),
            _ => {}
        }
    }
    let hash = fill(db, &new, (first, last))?;
    let name = format!("{:012}-{:012}.db", first.0, last.0);
    let file = dir.join(&name);
    File::open(&new).and_then(|file| file.sync_all()).map_err(|error| refused(&new, &error))?;
    fs::rename(&new, &file).map_err(|error| refused(&file, &error))?;
    for dir in [dir.as_path(), dir.parent().unwrap_or(Path::new("."))] {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| refused(dir, &error))?;
    }
    Ok(Segment { first, last, name, hash })
}

/// Copies records, each proved; answers the hash of the last.
fn fill(db: &Db, new: &Path, (first, last): (Seq, Seq)) -> Result<Hash, Trouble> {
    let of = |error| Trouble::of(new, error);
    let connection = Connection::open(new).map_err(of)?;
    // Nobody reads it before it is whole and synced under its name.
    connection.pragma_update(None, "journal_mode", "OFF").map_err(of)?;
    connection.pragma_update(None, "synchronous", "OFF").map_err(of)?;
    connection.pragma_update(None, "application_id", APPLICATION).map_err(of)?;
    connection.execute_batch(&format!("BEGIN; {}", schema::RECORDS)).map_err(of)?;
    let mut ends = (Seq(first.0.saturating_sub(1)), Hash::default());
    {
        let mut insert = connection.prepare("INSERT INTO records VALUES(?,?,?,?,?)").map_err(of)?;
        chain::rows(db, (first, last), &mut |row| {
            ends = (row.seq, row.hash);
            let fields = params![row.seq.0.cast_signed(), row.pid, row.prev.0, row.hash.0, row.body];
            insert.execute(fields).map(drop).map_err(of)
        })?;
    }
    if ends.0 != last {
        return Err(db.corrupt(format!("records {first} to {last} are not all there")));
    }
    connection.execute_batch("COMMIT").map_err(of)?;
    connection.close().map_err(|(_, error)| of(error))?;
    Ok(ends.1)
}

/// Names a segment that was written, and lets go of what it holds; inside a transaction.
pub(crate) fn name(db: &Db, segment: &Segment) -> Result<(), Trouble> {
    let row = params![bound(segment.first), bound(segment.last), segment.name, segment.hash.0];
    db.run("INSERT INTO segments VALUES(?,?,?,?)", row)?;
    db.run("DELETE FROM records WHERE seq <= ?", [bound(segment.last)]).map(drop)
}
