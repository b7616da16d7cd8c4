//! The node's secrets: sealed by the machine before they come here, so that this file alone opens nothing.
//!
//! Name and origin are bound to the sealed bytes by whoever sealed them: a row that is changed by hand does
//! not open. Never here: a key, or a value in the clear.

use super::{Node, signed};
use crate::Trouble;
use abi::Micros;
use rusqlite::params;

/// What is told of a secret without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// Where it may go: scheme, host and port; empty until it was used or a provider names it.
    pub origin: String,
    /// When it was set.
    pub set: Micros,
}

/// A secret as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Where it may go.
    pub origin: String,
    /// When it was set.
    pub set: Micros,
    /// The sealed value.
    pub bytes: Vec<u8>,
}

impl Node {
    /// All of them, by name.
    pub fn secrets(&self) -> Result<Vec<SecretRow>, Trouble> {
        self.db.all("SELECT name, origin, set_at FROM secret ORDER BY name", [], |row| {
            let set: i64 = row.get(2)?;
            Ok(SecretRow { name: row.get(0)?, origin: row.get(1)?, set: u64::try_from(set).unwrap_or(0) })
        })
    }

    /// One of them.
    pub fn sealed(&self, name: &str) -> Result<Option<Sealed>, Trouble> {
        let sql = "SELECT origin, set_at, sealed FROM secret WHERE name = ?1";
        self.db.one(sql, params![name], |row| {
            let set: i64 = row.get(1)?;
            Ok(Sealed { origin: row.get(0)?, set: u64::try_from(set).unwrap_or(0), bytes: row.get(2)? })
        })
    }

    /// Keeps one, in place of what stood under this name.
    pub fn set_sealed(&mut self, name: &str, sealed: &Sealed) -> Result<(), Trouble> {
        let sql = "INSERT OR REPLACE INTO secret (name, origin, set_at, sealed) VALUES (?1, ?2, ?3, ?4)";
        self.db.run(sql, params![name, sealed.origin, signed(sealed.set), sealed.bytes]).map(drop)
    }

    /// Destroys one; whether there was one.
    pub fn forget_sealed(&mut self, name: &str) -> Result<bool, Trouble> {
        self.db.run("DELETE FROM secret WHERE name = ?1", params![name]).map(|changed| changed > 0)
    }
}
