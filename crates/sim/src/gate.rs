//! The sink of a turn: keeps what left, in order, and what the disk held when the first durable output left.
//! It can break after so many outputs, as a machine that loses its power does.

use crate::watch::Meant;
use abi::Seq;
use machine::turn::{Out, Sink};
use std::path::PathBuf;
use store::{Options, Workspace};

/// Whether records are shown to followers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followers {
    /// Nobody follows.
    None,
    /// Somebody does.
    Some,
}

/// A sink.
pub struct Gate {
    dir: PathBuf,
    options: Options,
    followers: Followers,
    /// Durable outputs that may leave before it breaks.
    left: Option<u64>,
    /// What another reader of the file saw as its head when the first durable output left.
    pub witness: Option<Seq>,
    /// What left after the commit.
    pub durable: Vec<Out>,
    /// What left before it.
    pub ordered: Vec<Out>,
}

impl Gate {
    /// A sink for a turn of the workspace in this directory, which breaks after so many durable outputs.
    pub fn new(dir: PathBuf, options: Options, followers: Followers, left: Option<u64>) -> Self {
        Self { dir, options, followers, left, witness: None, durable: Vec::new(), ordered: Vec::new() }
    }
}

impl Sink for Gate {
    fn ordered(&mut self, out: Out) {
        self.ordered.push(out);
    }

    fn durable(&mut self, out: Out) {
        if let Some(left) = &mut self.left {
            if *left == 0 {
                std::panic::resume_unwind(Box::new(Meant));
            }
            *left -= 1;
        }
        if self.witness.is_none() {
            // A connection of its own sees what is committed, and nothing else.
            let seen = Workspace::open(&self.dir, &self.options).map(|store| store.head().0);
            self.witness = Some(seen.unwrap_or_default());
        }
        self.durable.push(out);
    }

    fn follows(&self) -> bool {
        self.followers == Followers::Some
    }
}
