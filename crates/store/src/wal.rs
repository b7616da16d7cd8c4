//! The write-ahead log beside a workspace's file: how long it is, and how it is carried over into the file.
//!
//! ```text
//! commits append ──▶ long: somebody else copies its pages into the file, on a connection of its own
//!                    too long: the owner does, and cuts it off; also when it goes to sleep
//! ```
//!
//! SQLite would do it inside of a commit, every 4 MB, while all who write wait. Somebody beside never waits
//! for the writer and is never waited for; the log begins anew when a commit finds all of it copied. Never
//! here: when to do it.

use crate::{
    Trouble, Workspace,
    schema::{self, Db},
    workspace::FILE,
};
use std::{path::Path, sync::atomic::Ordering};

/// Bytes of a page and of its header in the log.
const FRAME_BYTES: u64 = 4096 + 24;

/// Copies what the log of a workspace holds into its file, as far as nobody is in the way. For whoever does
/// not own the workspace.
pub fn carry(dir: &Path) -> Result<(), Trouble> {
    let db = schema::visit(&dir.join(FILE))?;
    run(&db, "PRAGMA wal_checkpoint(PASSIVE)").map(drop)
}

impl Workspace {
    /// Bytes of the log that count; what an older, longer one left behind them does not.
    pub fn log_bytes(&self) -> u64 {
        u64::from(self.frames.load(Ordering::Relaxed)) * FRAME_BYTES
    }

    /// Copies all of the log and cuts it off. Whether it could: not while another connection reads.
    pub fn cut_log(&mut self) -> Result<Cut, Trouble> {
        let cut = run(&self.db, "PRAGMA wal_checkpoint(TRUNCATE)")?;
        if cut == Cut::All {
            self.frames.store(0, Ordering::Relaxed);
        }
        Ok(cut)
    }
}

/// How far the log was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Whole.
    All,
    /// Somebody was in the way.
    Part,
}

fn run(db: &Db, sql: &str) -> Result<Cut, Trouble> {
    // Answers busy, frames in the log, frames copied (its documentation); busy is no error here.
    let busy = db.one(sql, [], |row| row.get::<_, i64>(0))?;
    Ok(if busy == Some(0) { Cut::All } else { Cut::Part })
}
