//! Proof: reads the files of a workspace as a stranger would, and says whether they are what was written.
//!
//! It shares no code with the writer: how a record is hashed, how its bytes are laid out and how the tree
//! follows from it are written here a second time, from their description. Reading order:
//!
//! ```text
//! source (open, change nothing) ─▶ log (chain, segments) ─▶ wire (bytes of a record, as values)
//!                                   │                        ├▶ tree (versions, heads, entries: a fold)
//! checkpoint (signed lines) ────────┘                        ├▶ costs (what model calls came to: a fold)
//!                                                            └▶ content (blobs, chunks: named by hash)
//!                                        report (findings) ◀── all of them
//! ```
//!
//! What it proves is said in SECURITY.md, what it does not in [`Report::uncovered`]. It never writes to a
//! file it reads, never believes a length or a number in one, never stops at the first thing that is wrong.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used))]

mod bound;
mod checkpoint;
mod content;
mod costs;
mod digest;
mod log;
mod report;
mod source;
mod tree;
mod wire;

pub use checkpoint::{SIGNED, signed_bytes};
pub use digest::{from_hex, record_hash, to_hex};
pub use report::{Finding, Report, Signed};

use std::path::{Path, PathBuf};

/// What a proof is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A file of signed checkpoints that was kept elsewhere.
    pub checkpoint: Option<PathBuf>,
    /// The key they have to be signed with, as 64 hexadecimal digits; else the key of the first line counts.
    pub key: Option<String>,
    /// Where a private copy is made of a database whose write-ahead log nobody has open.
    pub scratch: PathBuf,
}

/// Verifies a `workspace.db`, or the one in this directory. What is wrong stands in the report: there is no
/// other kind of failure.
pub fn verify(path: &Path, options: &Options) -> Report {
    let mut report = Report::new(path);
    let mut marks = checkpoint::read(options, &mut report);
    let Some(source) = source::open(path, &options.scratch, &mut report) else { return report };
    let destroyers = log::check(&source, &mut marks, &mut report);
    marks.finish(&mut report);
    content::check(&source, &destroyers, &mut report);
    content::snapshots(&source, &mut report);
    source.whole(&mut report);
    report
}
