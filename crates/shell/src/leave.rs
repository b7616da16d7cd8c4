//! Taking everything along in open forms: what `skep export` makes of a workspace, over the socket only.
//!
//! ```text
//! record  pages of the log to one moment      ─▶ git   (object)   commits
//! content bytes by hash, or by version        ─▶ open             files and lines of JSON
//! shape   the tree as a fold of the changes      target           a directory that is whole or not there
//! ```
//!
//! Memory is that of the names of the tree and of 60 bytes a content, whatever the contents weigh. Never
//! here: a change of the workspace, a program that is run.

pub mod content;
mod git;
mod object;
mod open;
mod record;
mod shape;
mod target;

pub use git::export as git;
pub use open::export as open;
