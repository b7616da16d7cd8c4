//! `node.db`: what a node knows before any workspace is awake. Boot reads it and nothing else.
//!
//! ```text
//! node       one row: secret, budget of a day            (here)
//! operator   uid → name                                  (here)
//! price      model → nano-units of a token               (money)
//! lease      workspace → day, granted: the open ones     (money)
//! spent      day → nano-units                            (money)
//! workspace  name → directory, awake, next timer         (registry)
//! kill       workspace, event → how often it killed      (poison)
//! ```
//!
//! Every change is one transaction and durable when its method returns. The secret lies in it, so the file is
//! closed to others. Never here: anything of a workspace's inside, a clock, a decision.

mod money;
mod poison;
mod registry;
#[cfg(test)]
mod tests;

pub use money::BUDGET_DAY;
pub use poison::Quarantine;
pub use registry::{Awakeness, WorkspaceRow};

use crate::{
    Trouble,
    schema::{self, Durable, Options},
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, TransactionBehavior, params};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// In the header of the file, so that `file` and we tell it from any other database: "SkpN".
const APPLICATION: i64 = 0x536b_704e;
/// The latest format this program knows.
const FORMAT: u32 = 1;

const TABLES: &str = "
CREATE TABLE node (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    secret BLOB NOT NULL CHECK (length(secret) = 32),
    budget_day INTEGER NOT NULL
) STRICT;
CREATE TABLE operator (uid INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE price (
    model TEXT PRIMARY KEY,
    token_in INTEGER NOT NULL,
    token_out INTEGER NOT NULL,
    token_cached INTEGER NOT NULL
) STRICT;
CREATE TABLE workspace (
    name TEXT PRIMARY KEY,
    dir TEXT NOT NULL UNIQUE,
    awake INTEGER NOT NULL DEFAULT 0,
    next_due INTEGER
) STRICT;
-- Partial, so that boot touches only the rows it wants, whatever number is registered.
CREATE INDEX workspace_awake ON workspace (awake) WHERE awake = 1;
CREATE INDEX workspace_due ON workspace (next_due) WHERE next_due IS NOT NULL;
CREATE TABLE lease (workspace TEXT PRIMARY KEY, day INTEGER NOT NULL, granted INTEGER NOT NULL) STRICT;
CREATE TABLE spent (day INTEGER PRIMARY KEY, nano INTEGER NOT NULL) STRICT;
CREATE TABLE kill (
    workspace TEXT NOT NULL,
    digest BLOB NOT NULL,
    what TEXT NOT NULL,
    kills INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    PRIMARY KEY (workspace, digest)
) STRICT;
";

/// The open `node.db` of a home. One owner at a time; the machine keeps it behind a lock.
pub struct Node {
    db: Connection,
    home: PathBuf,
    file: PathBuf,
    secret: [u8; 32],
}

impl Node {
    /// Opens the home's `node.db`. What is not there is made: the home for its user alone (0700), the file
    /// (0600), this seed as the node's secret. A file that exists keeps its secret, and loses any permission
    /// for others.
    pub fn open_or_create(home: &Path, options: &Options, seed: [u8; 32]) -> Result<Self, Trouble> {
        let file = home.join("node.db");
        DirBuilder::new().recursive(true).mode(0o700).create(home).map_err(|error| refused(home, &error))?;
        let made = close(&file).map_err(|error| refused(&file, &error))?;
        let db = schema::connect(&file, options)?;
        let mut node = Self { db, home: home.to_path_buf(), file, secret: seed };
        node.change(|within| prepare(within, &seed))??;
        // SQLite syncs the home with its first write-ahead log; the home's own name is its parent's.
        if made && matches!(options.durable, Durable::Full) {
            for dir in [Some(home), home.parent()].into_iter().flatten().filter(|dir| *dir != Path::new("")) {
                File::open(dir).and_then(|open| open.sync_all()).map_err(|error| refused(dir, &error))?;
            }
        }
        let read = |row: &Row<'_>| row.get::<_, [u8; 32]>(0);
        node.secret = node
            .one("SELECT secret FROM node", &[], read)?
            .ok_or_else(|| Trouble::corrupt(&node.file, "its secret is gone"))?;
        Ok(node)
    }

    /// 32 random bytes of this node, the same for its whole life.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// The principal this user is, if any.
    pub fn operator(&self, uid: u32) -> Result<Option<String>, Trouble> {
        self.one("SELECT name FROM operator WHERE uid = ?1", &[&uid], |row| row.get(0))
    }

    /// Makes this user an operator under this name, or renames one.
    pub fn add_operator(&mut self, uid: u32, name: &str) -> Result<(), Trouble> {
        let sql = "INSERT INTO operator (uid, name) VALUES (?1, ?2)
            ON CONFLICT (uid) DO UPDATE SET name = excluded.name";
        self.run(sql, &[&uid, &name]).map(drop)
    }

    /// All operators, by uid.
    pub fn operators(&self) -> Result<Vec<(u32, String)>, Trouble> {
        self.all("SELECT uid, name FROM operator ORDER BY uid", &[], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// At most one row.
    fn one<T>(
        &self,
        sql: &str,
        with: &[&dyn ToSql],
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Trouble> {
        let found = self.db.prepare_cached(sql).and_then(|mut query| query.query_row(with, read).optional());
        found.map_err(|error| self.trouble(error))
    }

    /// Every row.
    fn all<T>(
        &self,
        sql: &str,
        with: &[&dyn ToSql],
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Trouble> {
        let found = self.db.prepare_cached(sql).and_then(|mut query| query.query_map(with, read)?.collect());
        found.map_err(|error| self.trouble(error))
    }

    /// One statement that is its own transaction; how many rows it changed.
    fn run(&mut self, sql: &str, with: &[&dyn ToSql]) -> Result<usize, Trouble> {
        let ran = self.db.prepare_cached(sql).and_then(|mut change| change.execute(with));
        ran.map_err(|error| self.trouble(error))
    }

    /// Several statements in one transaction: all of it is durable, or none of it happened.
    fn change<T>(&mut self, of: impl FnOnce(&Within<'_>) -> rusqlite::Result<T>) -> Result<T, Trouble> {
        let Self { db, file, .. } = self;
        let begun = db.transaction_with_behavior(TransactionBehavior::Immediate);
        let done = begun.and_then(|transaction| {
            let within = Within { db: transaction, file };
            let done = of(&within)?;
            within.db.commit()?;
            Ok(done)
        });
        done.map_err(|error| Trouble::of(file, error))
    }

    fn trouble(&self, error: rusqlite::Error) -> Trouble {
        Trouble::of(&self.file, error)
    }
}

/// An open transaction and the file it is in.
struct Within<'a> {
    db: Transaction<'a>,
    file: &'a Path,
}

/// Makes the tables in an empty file, refuses one that is not ours to write.
fn prepare(within: &Within<'_>, seed: &[u8; 32]) -> rusqlite::Result<Result<(), Trouble>> {
    let pragma = |name: &str| within.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = within.db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    // A crash between making the file and committing its tables leaves it empty: still to be made.
    if (application, format, tables) == (0, 0, 0) {
        within.db.execute_batch(TABLES)?;
        within.db.pragma_update(None, "application_id", APPLICATION)?;
        within.db.pragma_update(None, "user_version", FORMAT)?;
        let sql = "INSERT INTO node (only, secret, budget_day) VALUES (1, ?1, ?2)";
        within.db.execute(sql, params![seed, BUDGET_DAY.0])?;
        return Ok(Ok(()));
    }
    if application != APPLICATION {
        return Ok(Err(Trouble::corrupt(within.file, "it is a database, but not of a node")));
    }
    let found = u32::try_from(format).unwrap_or(0);
    Ok(match found {
        FORMAT => Ok(()),
        0 => Err(Trouble::corrupt(within.file, format!("it has no format {format}"))),
        _ => Err(Trouble::Newer { file: within.file.to_path_buf(), found, known: FORMAT }),
    })
}

/// Makes the file if it is not there, and closes it to others; whether it was made.
fn close(file: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    if fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(file, Permissions::from_mode(0o600))?;
    }
    Ok(false)
}

/// What the system said, as trouble with this file.
fn refused(file: &Path, error: &io::Error) -> Trouble {
    let file = file.to_path_buf();
    match error.kind() {
        ErrorKind::NotFound => Trouble::Missing { file },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Trouble::Full { file },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly { file },
        _ => Trouble::Io { file, what: error.to_string() },
    }
}

/// SQLite's integers are signed: what does not fit is as far away as can be said.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
