//! What a view has become, as steps against the tree below it.

use super::Told;
use abi::{Content, view::Change};
use std::{
    io::{self, Read},
    sync::Arc,
};

/// What came of a view.
#[derive(Default)]
pub struct Drained {
    /// Its changes, in an order in which they can be carried out: each path is that of its moment, so a file
    /// below a moved directory is named by where it stands then. Places that were exchanged take a move to a
    /// name beside it and a second one.
    pub steps: Vec<Step>,
    /// What its programs were told.
    pub told: Told,
}

/// One change, with its bytes if they are new.
pub struct Step {
    /// The change. A move has the content it had, or new one if it was written too. Where `bytes` are, the
    /// content's length is theirs and its hash is not known yet.
    pub change: Change,
    /// Bytes that are not below yet: of a file, or the target of a link.
    pub bytes: Option<Bytes>,
}

impl Step {
    /// The change, whose bytes were found to be this content.
    pub fn sealed(mut self, content: Content) -> Change {
        self.change.content = content;
        self.change
    }
}

/// Bytes of a view, readable while it goes on.
#[derive(Clone)]
pub struct Bytes {
    small: Arc<str>,
}

impl Bytes {
    /// How many they were when the view was drained.
    pub fn bytes(&self) -> u64 {
        self.small.len() as u64
    }

    /// From the first on.
    pub fn reader(&self) -> impl Read + use<> {
        io::Cursor::new(Arc::<[u8]>::from(self.small.as_bytes()))
    }
}
