//! Planted bugs, one at a time, chosen at run time: the proving ground must find each of them. Compiled only
//! with the feature `plant`, which nothing but the proving ground turns on.

use core::sync::atomic::{AtomicU8, Ordering};

/// Which bug is alive; 0 is none.
pub static BUG: AtomicU8 = AtomicU8::new(0);

/// A write to `/data/poison` panics.
pub const PANIC_ON_POISON: u8 = 1;
/// Settling forgets the accounts below the root.
pub const SETTLE_ONLY_ROOT: u8 = 2;
/// Listing does not raise the reader's label.
pub const LIST_KEEPS_LABEL: u8 = 3;
/// Revoking stops after one level of the derivation tree.
pub const REVOKE_ONE_LEVEL: u8 = 4;
/// A model call of a finished step is made again after a restart.
pub const REBUY_ANSWERED: u8 = 5;
/// A stale write becomes the head.
pub const STALE_OVERWRITES: u8 = 6;
/// A dispatched effect is dispatched again after a restart, whatever its recovery class.
pub const REDISPATCH_ALWAYS: u8 = 7;
/// A reservation is checked at the process's own account only.
pub const CHECK_LEAF_ONLY: u8 = 8;
/// A merge has the label of the head alone.
pub const MERGE_KEEPS_LABEL: u8 = 9;
/// A merge does not say that it resolved the writer's version.
pub const MERGE_FORGETS_PARENT: u8 = 10;
/// Searching does not raise the searcher's label.
pub const SEARCH_KEEPS_LABEL: u8 = 11;
/// What a turn has seen is forgotten: its next write is made from the head, whatever that is.
pub const FORGETS_SEEN: u8 = 12;
/// An undo puts back what was before, whoever wrote since.
pub const UNDO_OVERWRITES: u8 = 13;

/// What lies below a ceiling is found by searches, histories and the like.
pub const CEILING_UNFILTERED: u8 = 14;

/// A limit over a month holds nothing.
pub const MONTH_UNCHECKED: u8 = 15;
/// What a provider writes to its cache is not charged.
pub const CACHE_WRITES_FREE: u8 = 16;

/// A turn goes on with another session of its agent.
pub const SESSIONS_MIXED: u8 = 17;

/// Who was added to the node acts where nobody is listed.
pub const ADDED_ANYWHERE: u8 = 18;
/// A turn goes on although everything stands still.
pub const STOP_UNHEARD: u8 = 19;
/// A model that was given up is asked again.
pub const GIVES_UP_NOTHING: u8 = 20;
/// What a process's programs listen at stays open when it ends.
pub const PORTS_STAY: u8 = 21;

/// What a program asked before it went on outlives it.
pub const PERMITS_LEFT: u8 = 22;

/// What a program removes in a guarded place does not wait.
pub const REMOVALS_UNGUARDED: u8 = 23;

/// Whether this bug is alive.
pub fn is(bug: u8) -> bool {
    BUG.load(Ordering::Relaxed) == bug
}
