//! What is said with the call `exec`: in which wall, from where its programs read, and as which tool of a
//! model.

use super::{Shape, Spec, may, must, served};
use crate::Error;
use alloc::format;
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

/// Who thinks for a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessKind {
    /// Its turn: the model and tools loop.
    #[default]
    Turn,
    /// A program outside that shows its token; there is no turn.
    Client,
    /// A program in a sandbox, that is the process: the agent's file says which.
    Native,
}

/// Lines and columns of a terminal that nobody looks at.
const SIZE: (u16, u16) = (24, 80);

/// From where a program reads, and where to it writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdio {
    /// It reads nothing.
    #[default]
    Null,
    /// What an operator sends it; it cannot tell from a pipe.
    Pipe,
    /// A terminal of its own, which operators may look at and type into.
    Terminal {
        /// Lines, until who looks says another number.
        rows: u16,
        /// Columns.
        cols: u16,
    },
}

impl Stdio {
    /// A terminal before anybody looks at it.
    pub const TERMINAL: Self = Self::Terminal { rows: SIZE.0, cols: SIZE.1 };

    /// `null`, `pipe`, `terminal` or `terminal:ROWSxCOLS`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let size = |size: &str| {
            let (rows, cols) = size.split_once('x')?;
            let (rows, cols) = (rows.parse().ok()?, cols.parse().ok()?);
            (rows > 0 && cols > 0).then_some(Self::Terminal { rows, cols })
        };
        let said = match text.split_once(':') {
            None if text == "null" => Some(Self::Null),
            None if text == "pipe" => Some(Self::Pipe),
            None if text == "terminal" => Some(Self::TERMINAL),
            Some(("terminal", of)) => size(of),
            _ => None,
        };
        said.ok_or_else(|| {
            let shown: alloc::string::String = text.chars().take(64).collect();
            Error::invalid("stdio", format!("{shown:?} is not null, pipe, terminal or terminal:ROWSxCOLS"))
        })
    }
}
