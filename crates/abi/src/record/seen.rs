//! What a turn knows of a path.

use crate::{VersionId, path::TreePath};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A version of a path that a turn has seen, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Seen {
    /// The path.
    pub path: TreePath,
    /// Its version; none when the turn took away what stood there.
    pub version: Option<VersionId>,
}
