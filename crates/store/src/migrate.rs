//! From an older format of `workspace.db` to the present one, when it is opened.
//!
//! A copy of the file is kept beside it first (`workspace.db.format-1`); then the new tables are made and
//! filled from what stands, in one transaction. A migration that is cut off begins again. Never here: a
//! change of what was written.

use crate::{
    Trouble, chain, cost, mention,
    schema::{self, Db, FORMAT},
    segment::Shelf,
};
use abi::Seq;
use std::{fs::File, path::Path};

/// Brings the file to the present format, if it is older.
pub(crate) fn run(db: &mut Db) -> Result<(), Trouble> {
    let found = db.connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let found = found.map_err(|error| Trouble::of(&db.file, error))?;
    if found == i64::from(FORMAT) {
        return Ok(());
    }
    keep(db, found)?;
    db.run("BEGIN IMMEDIATE", [])?;
    let done = steps(db, found).and_then(|()| db.run("COMMIT", []).map(drop));
    if done.is_err() && !db.connection.is_autocommit() {
        // The file has nothing of it, whether or not this says so.
        let _ = db.run("ROLLBACK", []);
    }
    done
}

/// A whole copy beside the file; an older one of a migration that was cut off is replaced.
fn keep(db: &Db, format: i64) -> Result<(), Trouble> {
    let copy = schema::beside(&db.file, &format!(".format-{format}"));
    match std::fs::remove_file(&copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(schema::refused(&copy, &error));
        }
        _ => {}
    }
    let name = copy.to_string_lossy().into_owned();
    db.run("VACUUM INTO ?", [name])?;
    let dir = copy.parent().unwrap_or(Path::new("."));
    for file in [copy.as_path(), dir] {
        File::open(file).and_then(|file| file.sync_all()).map_err(|error| schema::refused(file, &error))?;
    }
    Ok(())
}

/// Each step from the format that was found.
fn steps(db: &mut Db, found: i64) -> Result<(), Trouble> {
    if found < 2 {
        second(db)?;
    }
    db.shelf = Some(Shelf::default());
    third(db)?;
    db.connection.pragma_update(None, "user_version", FORMAT).map_err(|error| Trouble::of(&db.file, error))
}

/// From format 1: tables for conflicts, for `why`, for large content, for what is not kept.
fn second(db: &Db) -> Result<(), Trouble> {
    make(db, schema::SECOND)?;
    db.run("INSERT INTO conflicts SELECT id, file FROM versions WHERE diverged = 1", [])?;
    let mut folded = Ok(());
    chain::replay(db, Seq(0), &mut |record| {
        if folded.is_ok() {
            folded = mention::fold(db, &record);
        }
    })?;
    folded
}

/// From format 2: what model calls came to. Who has lost an old segment opens the rest as before; what calls
/// in there cost is not known any more.
fn third(db: &Db) -> Result<(), Trouble> {
    make(db, schema::THIRD)?;
    let mut folded = Ok(());
    chain::survey(db, &mut |record| {
        if folded.is_ok() {
            folded = cost::fold(db, &record);
        }
    })?;
    folded
}

fn make(db: &Db, tables: &str) -> Result<(), Trouble> {
    db.connection.execute_batch(tables).map_err(|error| Trouble::of(&db.file, error))
}
