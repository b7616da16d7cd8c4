//! Who an agent is and what policy grants, after parsing: the machine reads the files, the kernel these.

use crate::{Content, Error, LabelId, VersionId, cap::Grant, money::Limit, money::Nano, path::TreePath};
use alloc::{string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Front matter and body of an `AGENT.md`. It asks; policy grants; the intersection runs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AgentDef {
    /// Its name.
    pub name: String,
    /// Model it wants.
    pub model: String,
    /// Tools its turns may call; names of calls.
    pub tools: Vec<String>,
    /// What it asks for.
    pub needs: Vec<Grant>,
    /// Money for one run; can only lower what `/sys/budget.yaml` gives.
    pub budget_run: Option<Nano>,
    /// Money for one day.
    pub budget_day: Option<Nano>,
    /// What happens when a turn of it is faulted.
    pub restart: Restart,
    /// The body: its prompt.
    pub prompt: Content,
    /// Version of the file it was read from.
    pub version: VersionId,
    /// Flow label of that version.
    pub label: LabelId,
}

/// Restart policy of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When it ends by a fault or with an exit code other than 0, at most so many times in ten minutes.
    OnFailure(u32),
    /// Whenever it ends by itself, at most five times in ten minutes.
    Always,
}

/// What one row of policy says about agents of a name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PolicyRow {
    /// Agent name, or `*`.
    pub agent: String,
    /// Never.
    pub deny: Vec<Grant>,
    /// Only with an operator's decision.
    pub ask: Vec<Grant>,
    /// Yes.
    pub allow: Vec<Grant>,
}

/// `/sys/policy.yaml` and `/sys/budget.yaml`, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Policy {
    /// Rows in file order.
    pub rows: Vec<PolicyRow>,
    /// Limits of the workspace's account.
    pub workspace: Vec<Limit>,
    /// Limits of every agent's account.
    pub agent: Vec<Limit>,
    /// Limits of every process's account (a run).
    pub run: Vec<Limit>,
}

/// What must be so when a task ends, stated before the work; the kernel checks it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Postcondition {
    /// A file stands at the path.
    Exists(TreePath),
    /// And it contains this text.
    Contains(TreePath, String),
}

impl Postcondition {
    /// The path it is about.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Exists(path) | Self::Contains(path, _) => path,
        }
    }
}

/// Whether a task is done, as the kernel found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every postcondition holds.
    Done,
    /// One does not.
    Failed,
    /// None was stated, so nobody checked.
    Unverified,
}

impl Verdict {
    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unverified => "unverified",
        }
    }
}

/// What parsing an agent's file came to.
pub type Parsed = Result<AgentDef, Error>;
