//! Typed ids. Each comes from a counter of its workspace and is never reused, so a stale id is `Dead`, never
//! a stranger. They order as they were made.

use core::fmt;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty)),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Encode, Decode, Serialize, Deserialize)]
        #[musli(transparent)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}", self.0)
            }
        }

        impl $name {
            /// The id after this one.
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }
    )*};
}

ids! {
    /// A process of this workspace. `Pid(0)` is the workspace itself (operators act as it).
    Pid(u64),
    /// Position of a record in the log; the genesis record is 1.
    Seq(u64),
    /// A capability in the derivation tree.
    CapId(u64),
    /// An account in the budget tree.
    AccountId(u64),
    /// An interned flow label; 4 bytes in every version and record.
    LabelId(u32),
    /// A file, directory or link; survives renames. `FileId(1)` is the root directory.
    FileId(u64),
    /// One content of one file.
    VersionId(u64),
    /// An atomic set of versions with one cause.
    OpId(u64),
    /// Something that waits for a decision.
    ProposalId(u64),
    /// A timer the kernel asked for.
    TimerId(u64),
    /// A command in a process's sandbox.
    ExecId(u64),
    /// Where an answer goes: given by the machine to a waiting client, meaningless after a restart.
    ReplyTo(u64),
}

/// The workspace acting as itself: parent of all processes, pid of what operators write.
pub const WORKSPACE: Pid = Pid(0);
/// The root directory.
pub const ROOT: FileId = FileId(1);

/// Wall time: microseconds since the Unix epoch. Never runs backwards inside one workspace.
pub type Micros = u64;
