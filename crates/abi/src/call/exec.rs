//! What is said with the call `exec`: in which wall, and as which tool of a model.

use super::{Shape, Spec, may, must, served};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// The tool under which models know `exec`: its text is called `command`.
pub const BASH: &str = "bash";

/// The arguments of that tool.
pub const BASH_SPEC: Spec = Spec {
    params: &[
        must(
            "command",
            Shape::Value,
            "what to run; the workspace is the root directory, there is no network",
        ),
        may("dir", Shape::Path, "in this directory; / without one"),
        may("timeout_ms", Shape::Number, "at most so long; two minutes without one"),
    ],
    ..served(12, BASH, "run a command of bash; what it changes is one operation, or none of it happened", &[])
};

/// In which wall a command runs; the higher the number, the more it can do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Wall {
    /// In the lowest one that can run it and that the process may use.
    #[default]
    Auto,
    /// A shell inside the daemon, over the tree and nothing else.
    Shell,
    /// Real programs of the host, walled off.
    Native,
}
