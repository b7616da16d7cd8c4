//! `node.db`: what a node knows before any workspace is awake. Boot reads it and nothing else.
//!
//! ```text
//! node       one row: secret, budget of a day            (here)
//! signer     one row: seed of the key for checkpoints    (signer; made when it is first asked for)
//! operator   uid → name                                  (here)
//! secret     name → origin, when it was set, sealed bytes (secrets)
//! lease      workspace → day, granted, from where        (money)
//! spent      day → nano-units                            (money)
//! workspace  name → directory, awake, next timer, id     (registry)
//! kill       workspace, event → how often it killed      (poison)
//! ```
//!
//! Every change is one transaction and durable when its method returns. The node's own secret lies in it, so
//! the file is closed to others; the secrets of providers are sealed under a key that lies elsewhere. Never
//! here: anything of a workspace's inside, a clock, a decision.

mod money;
mod poison;
mod registry;
mod secrets;
mod signer;
#[cfg(test)]
mod tests;

pub use money::{BUDGET_DAY, Mark};
pub use poison::Quarantine;
pub use registry::{Awakeness, WorkspaceRow};
pub use secrets::{Sealed, SecretRow};

use crate::{
    Trouble,
    schema::{self, Db, Options},
};
use rusqlite::{Transaction, TransactionBehavior, params};
use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Marks a file as a node's: "SkNd".
const KIND: i32 = i32::from_be_bytes(*b"SkNd");
/// The latest format this program knows.
const FORMAT: u32 = abi::limits::NODE_FORMAT;

const TABLES: &str = "
CREATE TABLE node (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    secret BLOB NOT NULL CHECK (length(secret) = 32),
    budget_day INTEGER NOT NULL
) STRICT;
CREATE TABLE operator (uid INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    origin TEXT NOT NULL,
    set_at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE TABLE workspace (
    name TEXT PRIMARY KEY,
    dir TEXT NOT NULL UNIQUE,
    awake INTEGER NOT NULL DEFAULT 0,
    next_due INTEGER,
    id BLOB
) STRICT;
CREATE INDEX workspace_id ON workspace (id) WHERE id IS NOT NULL;
-- Partial, so that boot touches only the rows it wants, whatever number is registered.
CREATE INDEX workspace_awake ON workspace (awake) WHERE awake = 1;
CREATE INDEX workspace_due ON workspace (next_due) WHERE next_due IS NOT NULL;
CREATE TABLE lease (
    workspace TEXT PRIMARY KEY,
    day INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    base INTEGER NOT NULL
) STRICT;
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

/// From format 1: the id a workspace was born with. One transaction, and nothing of what was there changes,
/// so no copy is kept.
const FROM_1: &str = "
BEGIN IMMEDIATE;
ALTER TABLE workspace ADD COLUMN id BLOB;
CREATE INDEX workspace_id ON workspace (id) WHERE id IS NOT NULL;
PRAGMA user_version = 2;
COMMIT;
";

/// From format 2: prices stand in a dated file and in each workspace's own, and secrets are kept.
const FROM_2: &str = "
BEGIN IMMEDIATE;
DROP TABLE price;
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    origin TEXT NOT NULL,
    set_at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
PRAGMA user_version = 3;
COMMIT;
";

/// The open `node.db` of a home. One owner at a time; the machine keeps it behind a lock.
pub struct Node {
    db: Db,
    home: PathBuf,
    secret: [u8; 32],
}

impl Node {
    /// Opens the home's `node.db`. What is not there is made: the home for its user alone (0700), the file
    /// (0600), this seed as the node's secret. A file that exists keeps its secret, and loses any permission
    /// for others.
    pub fn open_or_create(home: &Path, options: &Options, seed: [u8; 32]) -> Result<Self, Trouble> {
        let file = home.join("node.db");
        found(home).map_err(|error| schema::refused(home, &error))?;
        make(&file)?;
        close(&file).map_err(|error| schema::refused(&file, &error))?;
        let connection = schema::connect(&file, KIND, FORMAT, options)?;
        let from = schema::format(&file, &connection)?;
        for (format, change) in [(1, FROM_1), (2, FROM_2)] {
            if from <= format {
                connection.execute_batch(change).map_err(|error| Trouble::of(&file, error))?;
            }
        }
        let mut node = Self { db: Db::new(file, connection), home: home.to_path_buf(), secret: seed };
        // The first row waits until the file is closed; a crash before it leaves a node still to be named.
        let sql = "INSERT INTO node (only, secret, budget_day) VALUES (1, ?1, ?2)";
        let secret = "SELECT secret FROM node";
        match node.db.one(secret, [], |row| row.get(0))? {
            Some(kept) => node.secret = kept,
            None => drop(node.db.run(sql, params![seed, BUDGET_DAY.0])?),
        }
        Ok(node)
    }

    /// 32 random bytes of this node, the same for its whole life.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// The principal this user is, if any.
    pub fn operator(&self, uid: u32) -> Result<Option<String>, Trouble> {
        self.db.one("SELECT name FROM operator WHERE uid = ?1", params![uid], |row| row.get(0))
    }

    /// Makes this user an operator under this name, or renames one.
    pub fn add_operator(&mut self, uid: u32, name: &str) -> Result<(), Trouble> {
        let sql = "INSERT INTO operator (uid, name) VALUES (?1, ?2)
            ON CONFLICT (uid) DO UPDATE SET name = excluded.name";
        self.db.run(sql, params![uid, name]).map(drop)
    }

    /// This user is none any more.
    pub fn remove_operator(&mut self, uid: u32) -> Result<(), Trouble> {
        self.db.run("DELETE FROM operator WHERE uid = ?1", params![uid]).map(drop)
    }

    /// All operators, by uid.
    pub fn operators(&self) -> Result<Vec<(u32, String)>, Trouble> {
        self.db.all("SELECT uid, name FROM operator ORDER BY uid", [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Several statements in one transaction: all of it is durable, or none of it happened.
    fn change<T>(&mut self, of: impl FnOnce(&Within<'_>) -> rusqlite::Result<T>) -> Result<T, Trouble> {
        let Db { file, connection, .. } = &mut self.db;
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let done = begun.and_then(|transaction| {
            let within = Within(transaction);
            let done = of(&within)?;
            within.0.commit()?;
            Ok(done)
        });
        done.map_err(|error| Trouble::of(file, error))
    }
}

/// An open transaction.
struct Within<'a>(Transaction<'a>);

/// Makes the file if it is not there. Without the secret: until `close` others may be able to read it.
fn make(file: &Path) -> Result<(), Trouble> {
    match fs::symlink_metadata(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => schema::make(file, KIND, FORMAT, TABLES),
        Err(error) => Err(schema::refused(file, &error)),
    }
}

/// Makes the home if it is not there, for its user alone, under a name that a power cut leaves.
fn found(home: &Path) -> io::Result<()> {
    if home.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    let parent = home.parent().filter(|parent| *parent != Path::new(""));
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Takes every permission from others.
fn close(file: &Path) -> io::Result<()> {
    if fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(file, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// SQLite's integers are signed: what does not fit is as far away as can be said.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
