//! Events that killed their workspace, counted where the next attempt can read it before it is made.
//!
//! An event is known by the hash of its content: after a restart it comes again under another number. One
//! that killed `POISON_KILLS_MAX` times is in quarantine and stays. Never here: the event itself, or setting
//! it aside.

use super::Node;
use crate::Trouble;
use abi::{Hash, limits::POISON_KILLS_MAX};
use rusqlite::{OptionalExtension, params};

/// Events of one workspace that killed it, but too seldom for quarantine: the longest not seen again is
/// forgotten. Those in quarantine are not counted: each is three crashes that someone looks at.
const SUSPECTS_MAX: i64 = 256;
/// Bytes kept of what an event was; it is for a line on a screen.
const WHAT_BYTES_MAX: usize = 256;

/// An event that is not tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The workspace it killed.
    pub workspace: String,
    /// The event.
    pub digest: Hash,
    /// What it was, when it killed last.
    pub what: String,
    /// How often.
    pub kills: u32,
}

impl Node {
    /// Counts one kill; how many that makes. Durable when this returns.
    pub fn note_kill(&mut self, workspace: &str, digest: &Hash, what: &str) -> Result<u32, Trouble> {
        let what = what.get(..what.floor_char_boundary(WHAT_BYTES_MAX)).unwrap_or(what);
        self.change(|within| {
            let sql = "SELECT kills FROM kill WHERE workspace = ?1 AND digest = ?2";
            let before: Option<u32> =
                within.0.query_row(sql, params![workspace, digest.0], |row| row.get(0)).optional()?;
            let kills = before.unwrap_or(0).saturating_add(1);
            let sql = "INSERT OR REPLACE INTO kill (workspace, digest, what, kills, turn)
                VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(turn), 0) + 1 FROM kill WHERE workspace = ?1))";
            within.0.execute(sql, params![workspace, digest.0, what, kills])?;
            let sql = "DELETE FROM kill WHERE rowid IN (SELECT rowid FROM kill
                WHERE workspace = ?1 AND kills < ?2 ORDER BY turn DESC LIMIT -1 OFFSET ?3)";
            within.0.execute(sql, params![workspace, POISON_KILLS_MAX, SUSPECTS_MAX])?;
            Ok(kills)
        })
    }

    /// How often this event killed this workspace.
    pub fn kills(&self, workspace: &str, digest: &Hash) -> Result<u32, Trouble> {
        let sql = "SELECT kills FROM kill WHERE workspace = ?1 AND digest = ?2";
        Ok(self.db.one(sql, params![workspace, digest.0], |row| row.get(0))?.unwrap_or(0))
    }

    /// Every event in quarantine, by workspace, the latest last.
    pub fn quarantined(&self) -> Result<Vec<Quarantine>, Trouble> {
        let sql =
            "SELECT workspace, digest, what, kills FROM kill WHERE kills >= ?1 ORDER BY workspace, turn";
        self.db.all(sql, params![POISON_KILLS_MAX], |row| {
            Ok(Quarantine {
                workspace: row.get(0)?,
                digest: Hash(row.get(1)?),
                what: row.get(2)?,
                kills: row.get(3)?,
            })
        })
    }
}
