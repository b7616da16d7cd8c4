//! Planted bugs, one at a time, chosen at run time: the proving ground must find each of them. Compiled only
//! with the feature `plant`, which nothing but the proving ground turns on.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Which bug is alive; 0 is none.
pub static BUG: AtomicU8 = AtomicU8::new(0);

/// The fold drops the second change of an operation of several.
pub const FOLD_DROPS_SECOND: u8 = 1;
/// Every 13th commit is rolled back and says it is done.
pub const COMMIT_LIES: u8 = 2;
/// Files are opened as if durability had not been asked for: a commit is acknowledged before it is synced.
pub const SYNC_LIES: u8 = 3;

/// A conflict that was opened is not listed.
pub const CONFLICT_UNLISTED: u8 = 4;

/// What a lost call costs is in no sum.
pub const LOST_UNCOUNTED: u8 = 5;

static COMMITS: AtomicU64 = AtomicU64::new(0);

/// Whether this bug is alive.
pub(crate) fn is(bug: u8) -> bool {
    BUG.load(Ordering::Relaxed) == bug
}

/// Whether this commit is one that lies.
pub(crate) fn lies() -> bool {
    is(COMMIT_LIES) && COMMITS.fetch_add(1, Ordering::Relaxed) % 13 == 12
}
