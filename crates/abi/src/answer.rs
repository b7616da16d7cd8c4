//! What a call answers when it is carried out; its JSON form is what clients and models read.

use crate::{
    CapId, Content, EffectId, ExecId, Hash, OpId, Pid, ProposalId, VersionId,
    agent::Verdict,
    call::{Fields, Wall},
    fact::Query,
    money::Usage,
    path::TreePath,
    record::{Exit, Rule, Used},
};
use alloc::{format, string::String, vec::Vec};
use serde::Serialize;

/// One path that a command changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Where.
    pub path: TreePath,
    /// `new`, `changed`, `moved` or `removed`.
    pub change: &'static str,
    /// Its version.
    pub version: VersionId,
}

/// A path at which a command met another's change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clash {
    /// Where.
    pub path: TreePath,
    /// What became of both.
    pub message: String,
}

/// An answer. `Query` is filled by the machine; the others are JSON objects as they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Done, nothing to say: `{"ok": true}`.
    Done {
        /// Always true.
        ok: bool,
    },
    /// Bytes the kernel rendered.
    Text {
        /// The text.
        text: String,
    },
    /// Names of a rendered directory.
    Names {
        /// Each with what it is.
        entries: Vec<Name>,
        /// So many were left out, since they lie below the ceiling of who asks.
        #[serde(skip_serializing_if = "is_none")]
        below: u64,
    },
    /// The machine fills this from the same transaction.
    #[serde(skip)]
    Query(Query),
    /// The tree changed.
    Wrote {
        /// As this operation.
        operation: OpId,
        /// The new version of the path that was named.
        version: VersionId,
        /// Where.
        path: TreePath,
    },
    /// It was so already; no version was made.
    Same {
        /// The version that stands.
        version: VersionId,
        /// Always true.
        unchanged: bool,
    },
    /// The path had changed, and both changes went together.
    Merged {
        /// Always true.
        merged: bool,
        /// As this operation.
        operation: OpId,
        /// The new head, made of both.
        version: VersionId,
        /// The version of your text.
        ours: VersionId,
        /// The head before.
        theirs: VersionId,
        /// Where.
        path: TreePath,
        /// In words.
        message: String,
    },
    /// Bytes may be uploaded under this number, on this connection.
    Upload {
        /// The number.
        upload: u64,
    },
    /// Bytes were destroyed.
    Purged {
        /// By this operation a version says so; none when the file was gone already.
        operation: Option<OpId>,
        /// So many versions.
        versions: u64,
        /// Bytes of their contents.
        bytes: u64,
        /// Other paths that hold some of the same bytes: there they stay.
        kept: Vec<TreePath>,
    },
    /// The write was kept beside the head: nothing is lost, somebody has to resolve it.
    Diverged {
        /// Code word, `Conflict`.
        code: &'static str,
        /// What happened, in a sentence.
        message: String,
        /// As this operation.
        operation: OpId,
        /// Made from.
        base: VersionId,
        /// The version it made.
        ours: VersionId,
        /// The head.
        theirs: VersionId,
    },
    /// An undo took back what nobody had touched since.
    Undone {
        /// As this operation; none when there was nothing to take back.
        operation: Option<OpId>,
        /// Taken back.
        restored: Vec<TreePath>,
        /// Left, since somebody has changed them.
        left: Vec<TreePath>,
        /// Taken back from under later changes, which stay.
        merged: Vec<TreePath>,
        /// What stood before is kept beside later changes that contradict it.
        diverged: Vec<TreePath>,
    },
    /// A process began.
    Spawned {
        /// Its id.
        pid: Pid,
        /// Needs that policy did not grant.
        withheld: Vec<String>,
    },
    /// A dispatch waits in the lane, at this place (1 is next).
    Queued {
        /// Place.
        queued: u32,
    },
    /// It waits for an operator's decision.
    Held {
        /// Always true.
        held: bool,
        /// Under this id.
        proposal: ProposalId,
        /// By this rule.
        rule: Rule,
        /// In words.
        message: String,
    },
    /// An effect happened.
    Effected {
        /// Its name.
        effect: EffectId,
        /// Whether it happened.
        done: bool,
        /// What the other side said, a blob.
        outcome: Content,
    },
    /// A command ended.
    Ran {
        /// Its name.
        exec: ExecId,
        /// Its status, as a shell has it: 128 and the number of the signal that ended it, 124 if it was too
        /// long.
        status: i32,
        /// The same in words.
        how: String,
        /// In which wall it ran.
        wall: Wall,
        /// What it said, both streams as they came; the middle of a long one is left out.
        output: String,
        /// Bytes that it said.
        bytes: u64,
        /// The blob of all that, if it is more.
        #[serde(skip_serializing_if = "Option::is_none")]
        whole: Option<Hash>,
        /// Whether what it made is kept: all of it, or none.
        kept: bool,
        /// As this operation.
        #[serde(skip_serializing_if = "Option::is_none")]
        operation: Option<OpId>,
        /// What it changed; the first of them.
        changed: Vec<Changed>,
        /// So many more.
        #[serde(skip_serializing_if = "is_none")]
        more: u64,
        /// Where somebody else had changed the same: both are kept.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        conflicts: Vec<Clash>,
        /// What it changed in guarded places waits for an operator, as these proposals.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        waits: Vec<ProposalId>,
        /// What it used.
        used: Used,
    },
    /// A draft was kept.
    Kept {
        /// As this operation; none where all of it stands already.
        #[serde(skip_serializing_if = "Option::is_none")]
        operation: Option<OpId>,
        /// What it changed; the first of them.
        changed: Vec<Changed>,
        /// So many more.
        #[serde(skip_serializing_if = "is_none")]
        more: u64,
        /// Where somebody else had changed the same: merged, or both are kept.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        conflicts: Vec<Clash>,
        /// What it changed in guarded places waits for an operator, as these proposals.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        waits: Vec<ProposalId>,
    },
    /// A process has ended.
    Ended {
        /// Which.
        pid: Pid,
        /// How.
        exit: Exit,
        /// Whether its task is done.
        verdict: Verdict,
        /// Its last words, a blob.
        result: Option<Content>,
    },
    /// A proposal was decided.
    Ruled {
        /// Which.
        proposal: ProposalId,
        /// `approved`, `rejected`, `expired`, `answered`, `modified`.
        state: &'static str,
        /// To a question; why it was rejected; what was done instead.
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
    },
    /// What a proposal would become; nothing is decided.
    Preview {
        /// Which.
        proposal: ProposalId,
        /// All its arguments.
        args: Fields,
        /// What is shown of it.
        shown: String,
        /// What decides it.
        digest: Hash,
        /// Pages that it takes.
        pages: u64,
    },
    /// The time is over and it has not happened.
    TimedOut {
        /// Always true.
        timed_out: bool,
    },
    /// A model answered.
    Completed {
        /// The answer, a blob; the machine adds its text.
        answer: Content,
        /// Charged.
        usage: Usage,
    },
    /// A program may connect.
    Connect {
        /// Whether each request is to be looked into, since not all are allowed; else bytes go both ways.
        inspect: bool,
        /// Whether the name may lead to an address that is not public.
        private: bool,
        /// The secret that is put into it, by name.
        #[serde(skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
    /// A capability was given.
    Granted {
        /// Its id.
        cap: CapId,
    },
    /// A subtree was taken back.
    Revoked {
        /// How many.
        revoked: u32,
    },
}

/// Nothing was left out.
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// One name of a rendered directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    /// It.
    pub name: String,
    /// `file` or `dir`.
    pub node: &'static str,
}

impl Answer {
    /// Done, nothing to say.
    pub const DONE: Self = Self::Done { ok: true };

    /// The JSON that clients and models read.
    pub fn to_json(&self) -> String {
        // Answers have text keys only, so encoding them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Held, in the words a model and a person read.
    pub fn held(proposal: ProposalId, rule: Rule) -> Self {
        let message = format!("held for the operator as proposal {proposal}: {}", rule.sentence());
        Self::Held { held: true, proposal, rule, message }
    }
}

/// The JSON a model reads when its tool call was refused.
pub fn error_json(error: &crate::Error) -> String {
    let body = serde_json::json!({ "error": error });
    serde_json::to_string(&body).unwrap_or_default()
}
