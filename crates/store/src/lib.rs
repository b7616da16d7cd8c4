//! The files under Skep: `workspace.db` (log, tree, blobs of one workspace) and `node.db`.
//!
//! ```text
//! Workspace ── begin ──▶ Batch: append · put_blob · answer · readers · commit
//!     │                    │
//!   chain  (records)     tree (fold) · lookup (facts) · undo
//!     └──────── schema (connection, pragmas, tables) ── trouble (what can go wrong)
//! ```
//!
//! One writer for each file; nothing is written outside a batch but snapshots. It decides nothing: whether a
//! change may be made is the kernel's, here it is only carried out.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used))]

mod trouble;

pub use trouble::Trouble;
