//! How a process and how a command ended, and what it used.

use alloc::string::String;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signal(i32),
    /// It took too long.
    TimedOut,
    /// It used more than it may: `memory`, `files`, `bytes`.
    Over(String),
    /// It was ended, and why.
    Stopped(String),
    /// It could not begin; what is missing, and what would help.
    Refused {
        /// What.
        message: String,
        /// What helps.
        hint: String,
    },
}

/// What a command used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Used {
    /// From its start to its end.
    pub wall_us: u64,
    /// Processor time of all its processes.
    pub cpu_us: u64,
    /// Memory at its largest, as far as that is known.
    pub memory_bytes: u64,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself.
    Exited(i32),
    /// By somebody.
    Killed(String),
    /// By its own fault.
    Faulted(String),
}
