//! The files under Skep: `workspace.db` (log, tree, blobs of one workspace) and `node.db`.
//!
//! ```text
//! Workspace ── begin ──▶ Batch: append · put_blob · answer · readers · commit
//!     │                    │
//!   chain  (records)     tree (fold) · lookup (facts) · undo · blob (content by its name)
//!   segment (old records)  large (an upload) ── chunk (files of 1 MiB)
//!   backup (a workspace in one file, and back)
//!     └──────── schema (connection, pragmas, tables) ── trouble (what can go wrong)
//! ```
//!
//! One writer for each file; nothing of a workspace is written outside a batch. It decides nothing: whether a
//! change may be made is the kernel's, here it is only carried out.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used))]

pub mod backup;
mod batch;
mod blob;
mod chain;
mod chunk;
mod conflict;
mod cost;
mod index;
mod inspect;
mod large;
mod lookup;
mod mention;
mod migrate;
mod named;
pub mod node;
#[cfg(feature = "plant")]
pub mod plant;
mod reader;
mod retain;
mod schema;
mod scrub;
mod segment;
mod shape;
mod spot;
mod steps;
mod tree;
mod trouble;
mod undo;
mod version;
mod wal;
mod why;
mod workspace;

pub use batch::Batch;
pub use blob::Kept;
pub use index::{Ask, Found, Hit};
pub use inspect::{Depth, Inspection, inspect};
pub use large::{Blobs, Manifest, Pins, Upload};
pub use lookup::Listing;
pub use node::Node;
pub use reader::{Named, Reader};
pub use schema::{Durable, Options};
pub use trouble::Trouble;
pub use version::Shown;
pub use wal::{Cut, carry};
pub use why::Reasons;
pub use workspace::Workspace;
