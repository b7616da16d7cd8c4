//! The seed of the key that checkpoints are signed with: 32 random bytes of this node, for its whole life.
//!
//! Its table came after format 1 and is made when it is first asked for; who does not know it does not need
//! it. Never here: signing.

use super::Node;
use crate::Trouble;
use rusqlite::{OptionalExtension, params};

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS signer (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seed BLOB NOT NULL CHECK (length(seed) = 32)
) STRICT";

impl Node {
    /// The seed, which is this one if there was none. Durable when this returns.
    pub fn signer(&mut self, seed: [u8; 32]) -> Result<[u8; 32], Trouble> {
        self.change(|within| {
            within.0.execute(TABLE, [])?;
            let sql = "SELECT seed FROM signer";
            if let Some(kept) = within.0.query_row(sql, [], |row| row.get(0)).optional()? {
                return Ok(kept);
            }
            within.0.execute("INSERT INTO signer (only, seed) VALUES (1, ?1)", params![seed])?;
            Ok(seed)
        })
    }
}
