//! How long a statement may take: by what it does, not by a clock.
//!
//! A file that was tampered with can hold a tree of pages in which many lead to the same one; walking it
//! ends, but not in this world. No statement of this crate needs more than some steps for each byte there is,
//! so one that takes more is stopped, and the file is damaged.
//!
//! Never here: a limit on a whole batch, or on what is handed over row by row and checked on the way.

use crate::schema::beside;
use abi::limits;
use rusqlite::Connection;
use std::{cell::Cell, fs, path::Path};

/// Steps of SQLite's machine between two looks.
const EVERY: i32 = 1_000_000;

thread_local! {
    /// Steps of the statement that runs on this thread.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// A statement begins.
pub(crate) fn begin() {
    TAKEN.set(0);
}

/// Stops every statement of the connection that takes too many.
pub(crate) fn bound(file: &Path, connection: &mut Connection) -> rusqlite::Result<()> {
    let files = [file.to_path_buf(), beside(file, "-wal")];
    let over = move || {
        let taken = TAKEN.get().saturating_add(u64::from(EVERY.unsigned_abs()));
        TAKEN.set(taken);
        if taken <= limits::STATEMENT_STEPS {
            return false;
        }
        // The file grows while it is open, so it is measured when it matters.
        let bytes: u64 = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|data| data.len()).sum();
        taken > limits::STATEMENT_STEPS.saturating_add(bytes.saturating_mul(limits::STATEMENT_STEPS_A_BYTE))
    };
    connection.progress_handler(EVERY, Some(over))
}
