//! The workspaces of a node: where each lies, whether it may have effects in flight, when it wants to wake.
//!
//! A workspace is marked awake before its first effect and asleep after its last record: what boot finds
//! awake was cut off and is loaded again. Never here: opening one, or a name's meaning; names come in
//! checked.

use super::{Node, signed};
use crate::Trouble;
use abi::Micros;
use rusqlite::{Row, params};

/// Whether a workspace may have effects in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awakeness {
    /// It may.
    Awake,
    /// Files on disk and nothing else.
    Asleep,
}

/// One registered workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// Unique on the node.
    pub name: String,
    /// Its directory, as registered; no two share one.
    pub dir: String,
    /// It was marked awake and not yet asleep.
    pub awake: bool,
    /// When its next timer is due.
    pub next_due: Option<Micros>,
    /// The random id it was born with; none until it was awake once.
    pub id: Option<[u8; 16]>,
}

const EVERY: &str = "SELECT name, dir, awake, next_due, id FROM workspace ORDER BY name";
const NAMED: &str = "SELECT name, dir, awake, next_due, id FROM workspace WHERE name = ?1";
/// Two halves instead of an OR, so that each is read through its own index.
pub(super) const AWAKE_OR_DUE: &str = "
    SELECT name, dir, awake, next_due, id FROM workspace WHERE awake = 1
    UNION SELECT name, dir, awake, next_due, id FROM workspace WHERE next_due IS NOT NULL AND next_due <= ?1
    ORDER BY name";

fn row(row: &Row<'_>) -> rusqlite::Result<WorkspaceRow> {
    let due: Option<i64> = row.get(3)?;
    Ok(WorkspaceRow {
        name: row.get(0)?,
        dir: row.get(1)?,
        awake: row.get::<_, i64>(2)? != 0,
        // Never written negative; a damaged one is due at once, which is the harmless reading.
        next_due: due.map(|due| u64::try_from(due).unwrap_or(0)),
        id: row.get(4)?,
    })
}

impl Node {
    /// Adds a workspace, asleep. `Exists` if the name or the directory is taken.
    pub fn register(&mut self, name: &str, dir: &str) -> Result<(), Trouble> {
        let sql = "INSERT INTO workspace (name, dir) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        match self.db.run(sql, params![name, dir])? {
            0 => Err(Trouble::Exists { file: self.place(name) }),
            _ => Ok(()),
        }
    }

    /// One workspace.
    pub fn workspace(&self, name: &str) -> Result<Option<WorkspaceRow>, Trouble> {
        self.db.one(NAMED, params![name], row)
    }

    /// All of them, by name.
    pub fn workspaces(&self) -> Result<Vec<WorkspaceRow>, Trouble> {
        self.db.all(EVERY, [], row)
    }

    /// Those that boot must wake: cut off while awake, or with a timer due by now. By name. Costs what it
    /// answers, not what is registered.
    pub fn awake_or_due(&self, now: Micros) -> Result<Vec<WorkspaceRow>, Trouble> {
        self.db.all(AWAKE_OR_DUE, params![signed(now)], row)
    }

    /// Marks it; durable when this returns. `Missing` if it is not registered.
    pub fn set_awake(&mut self, name: &str, to: Awakeness) -> Result<(), Trouble> {
        let awake = i64::from(to == Awakeness::Awake);
        let changed = self.db.run("UPDATE workspace SET awake = ?2 WHERE name = ?1", params![name, awake])?;
        self.known(name, changed)
    }

    /// When to wake it next, if ever. `Missing` if it is not registered.
    pub fn set_next_due(&mut self, name: &str, due: Option<Micros>) -> Result<(), Trouble> {
        let due = due.map(signed);
        let changed =
            self.db.run("UPDATE workspace SET next_due = ?2 WHERE name = ?1", params![name, due])?;
        self.known(name, changed)
    }

    /// The same for one made of a backup: it is known by its original's id from the first.
    pub fn register_copy(&mut self, name: &str, dir: &str, id: [u8; 16]) -> Result<(), Trouble> {
        let sql = "INSERT INTO workspace (name, dir, id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        match self.db.run(sql, params![name, dir, id])? {
            0 => Err(Trouble::Exists { file: self.place(name) }),
            _ => Ok(()),
        }
    }

    /// Which workspace was born with this id; the first by name, if there are copies of it.
    pub fn of_id(&self, id: [u8; 16]) -> Result<Option<String>, Trouble> {
        let sql = "SELECT name FROM workspace WHERE id = ?1 ORDER BY name LIMIT 1";
        self.db.one(sql, params![id], |row| row.get(0))
    }

    /// Keeps the id it was born with, by which its file is known again; one that is kept stays.
    pub fn set_id(&mut self, name: &str, id: [u8; 16]) -> Result<(), Trouble> {
        let sql = "UPDATE workspace SET id = coalesce(id, ?2) WHERE name = ?1";
        let changed = self.db.run(sql, params![name, id])?;
        self.known(name, changed)
    }

    fn known(&self, name: &str, changed: usize) -> Result<(), Trouble> {
        if changed == 0 { Err(Trouble::Missing { file: self.place(name) }) } else { Ok(()) }
    }

    /// Where a workspace of this name is looked for; for messages.
    pub(super) fn place(&self, name: &str) -> std::path::PathBuf {
        self.home.join("workspaces").join(name)
    }
}
