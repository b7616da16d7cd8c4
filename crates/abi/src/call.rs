//! The 24 calls: the one table, what each takes, and the closed enum the kernel sees.

use crate::{
    CapId, Code, Content, EffectId, Error, Hash, LabelId, Micros, OpId, Pid, ProposalId, Seq, VersionId,
    agent::{Given, Postcondition},
    cap::Grant,
    control::Control,
    label::Integrity,
    money::Nano,
    path::TreePath,
    request::Request,
};
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

mod exec;

pub use exec::{BASH, BASH_SPEC, ProcessKind, Stdio, Wall};

/// What a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A normalised path.
    Path,
    /// Text, or bytes as base64 under the name `base64`; at most 1 MiB.
    Value,
    /// A word: a name, a mode.
    Word,
    /// A whole number, not negative.
    Number,
    /// `true` or `false`.
    Flag,
    /// Decimal money as text.
    Money,
    /// An object of text, numbers or lists of text.
    Fields,
    /// Two words with a colon between: a principal, a subject.
    Principal,
    /// A list of `{"exists": PATH}` or `{"contains": PATH, "text": TEXT}`.
    Postconditions,
}

/// One parameter of a call.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its key.
    pub name: &'static str,
    /// What it must be.
    pub shape: Shape,
    /// Whether the call is `Invalid` without it.
    pub required: bool,
    /// What it means.
    pub meaning: &'static str,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Number, for ever.
    pub number: u8,
    /// Name on the wire; also the name of the tool a model calls.
    pub name: &'static str,
    /// Whether this version serves it; others answer `Unavailable`.
    pub served: bool,
    /// One sentence.
    pub meaning: &'static str,
    /// What it takes.
    pub params: &'static [Param],
}

const fn must(name: &'static str, shape: Shape, meaning: &'static str) -> Param {
    Param { name, shape, required: true, meaning }
}

const fn may(name: &'static str, shape: Shape, meaning: &'static str) -> Param {
    Param { name, shape, required: false, meaning }
}

const fn served(number: u8, name: &'static str, meaning: &'static str, params: &'static [Param]) -> Spec {
    Spec { number, name, served: true, meaning, params }
}

const fn later(number: u8, name: &'static str, meaning: &'static str) -> Spec {
    Spec { number, name, served: false, meaning, params: &[] }
}

const PATH: Param = must("path", Shape::Path, "the path");
const AT: Param = may("at", Shape::Number, "as it was after this record");
const AT_US: Param =
    may("at_us", Shape::Number, "as it was at this time, in microseconds since 1970-01-01 UTC");
const BASE: Param = may("base", Shape::Number, "the version this change was made from");
const ORIGIN: Param =
    may("origin", Shape::Word, "typed, argument, pipe or file; only the first two are words of an operator");
const TEXT: Param = must("text", Shape::Value, "the text");
const INPUTS: Param = may("inputs", Shape::Fields, "values of inputs that its AGENT.md declares");
const LIMIT: Param = may("limit", Shape::Number, "at most so many");

/// Every call there will be. The number is its place for ever.
pub const CALLS: [Spec; 24] = [
    served(1, "list", "names in a directory, with what each is", &[PATH, AT, AT_US]),
    served(
        2,
        "read",
        "bytes of a file, and its version",
        &[
            PATH,
            AT,
            AT_US,
            may("version", Shape::Number, "this version of it, whatever stands there now"),
            may("offset", Shape::Number, "from this byte on"),
            may("length", Shape::Number, "at most so many bytes; 1 MiB is the most"),
        ],
    ),
    served(
        3,
        "write",
        "a new version of a file: whole, append, patch, dir, link, restore or resolve; or an upload in parts",
        &[
            PATH,
            may(
                "mode",
                Shape::Word,
                "whole (default), append, patch, dir, link, restore, resolve, begin, part, check",
            ),
            may(
                "text",
                Shape::Value,
                "the new content, what is appended, put in place, or the link's target",
            ),
            may("find", Shape::Value, "patch: the text to replace; it must stand exactly once"),
            BASE,
            may("exec", Shape::Flag, "whole: may be run as a program"),
            may("version", Shape::Number, "restore: this version; resolve: the diverged version"),
            may("take", Shape::Word, "resolve: ours (the diverged version), theirs (the head) or text"),
            may("upload", Shape::Number, "part: of this upload; whole: these uploaded bytes"),
            may("operation", Shape::Number, "restore: what stood before this operation"),
            may("pid", Shape::Number, "restore: what stood before this process wrote"),
            may(
                "effect",
                Shape::Word,
                "restore: take this effect back, by the kind its driver declares for that",
            ),
            may("message", Shape::Value, "why"),
            ORIGIN,
        ],
    ),
    served(
        4,
        "move",
        "give a file or directory another path; its history goes with it",
        &[must("from", Shape::Path, "where it is"), must("to", Shape::Path, "where it shall be"), BASE],
    ),
    served(
        5,
        "remove",
        "a version that says it is gone",
        &[PATH, BASE, may("tree", Shape::Flag, "also a directory that is not empty")],
    ),
    served(
        6,
        "search",
        "full text of the files you may read, best first",
        &[
            must("query", Shape::Value, "words that must all stand in it; \"a phrase\"; a* for a beginning"),
            may("path", Shape::Path, "at or below this path"),
            may("author", Shape::Principal, "whose head it is: a principal, as agent:triage"),
            may("label", Shape::Word, "only of this integrity: system, operator, workspace, external"),
            may("since_us", Shape::Number, "changed at or after this time, in microseconds since 1970"),
            may("until_us", Shape::Number, "changed before this time"),
            AT,
            AT_US,
            LIMIT,
        ],
    ),
    served(
        7,
        "history",
        "versions of a file, newest first; or all that an operation changed",
        &[
            may("path", Shape::Path, "the file"),
            may("before", Shape::Number, "path: only versions before this one, to page on"),
            may("operation", Shape::Number, "the versions of this operation instead"),
            LIMIT,
        ],
    ),
    later(8, "watch", "be told of changes"),
    served(
        9,
        "spawn",
        "start an agent on a task",
        &[
            must("agent", Shape::Word, "which agent"),
            TEXT,
            ORIGIN,
            may("post", Shape::Postconditions, "what must be so when it is done"),
            may("budget", Shape::Money, "money for this run; can only lower"),
            may(
                "ceiling",
                Shape::Word,
                "what lies below it is invisible: external (default: nothing is), workspace, operator",
            ),
            INPUTS,
            may("kind", Shape::Word, "turn (default), or client: a program that shows its token acts for it"),
            may("program", Shape::Fields, "by an operator: command, dir, stdio, tools, env of this run"),
        ],
    ),
    served(
        10,
        "wait",
        "until a process ends, a proposal is decided, or a time has passed",
        &[
            may("pid", Shape::Number, "this process"),
            may("proposal", Shape::Number, "this proposal"),
            may("timeout_ms", Shape::Number, "at most so long"),
        ],
    ),
    served(
        11,
        "signal",
        "freeze, thaw, interrupt or kill a process and what it started",
        &[must("pid", Shape::Number, "which"), must("signal", Shape::Word, "freeze, thaw, interrupt, kill")],
    ),
    served(
        12,
        "exec",
        "a command in a process's sandbox: what it changes is one operation, or none of it happened",
        &[
            must("text", Shape::Value, "what to run, in the words of a shell"),
            may("dir", Shape::Path, "in this directory; without one, where programs may run"),
            may("pid", Shape::Number, "in the sandbox of this process; without one, of the caller"),
            may("wall", Shape::Word, "auto (default), shell: no program of the host, native: real programs"),
            may("timeout_ms", Shape::Number, "at most so long; two minutes without one"),
            may("stdio", Shape::Word, "null (default), pipe or terminal[:ROWSxCOLS]: what operators send it"),
            ORIGIN,
        ],
    ),
    served(
        13,
        "dispatch",
        "text to an agent's session",
        &[
            must("agent", Shape::Word, "which agent"),
            TEXT,
            ORIGIN,
            may("mode", Shape::Word, "follow_up (default), steer, interrupt"),
            INPUTS,
            may("session", Shape::Word, "go on with this session; without one, nothing is remembered"),
        ],
    ),
    later(14, "send", "a message to a channel"),
    later(15, "receive", "the next message of a channel"),
    served(
        16,
        "complete",
        "one model call",
        &[
            must("model", Shape::Word, "which model"),
            TEXT,
            ORIGIN,
            may("max_out", Shape::Number, "output tokens"),
        ],
    ),
    served(
        17,
        "propose",
        "an effect outside, a question (operator ask), whether one may go on (operator permit), an endorsement \
         (operator endorse); applied, or held",
        &[
            must("mount", Shape::Word, "at which mount; operator for a question or an endorsement"),
            must("kind", Shape::Word, "which effect, as mail.send"),
            must("args", Shape::Fields, "its arguments"),
        ],
    ),
    served(
        18,
        "decide",
        "approve or reject a proposal, approve it with other arguments, or answer a question",
        &[
            must("proposal", Shape::Number, "which"),
            must("verdict", Shape::Word, "approve, reject, answer or modify"),
            may("reason", Shape::Value, "why; to a question, the answer"),
            may("digest", Shape::Word, "what was shown; that of its group decides all of the group"),
            may(
                "args",
                Shape::Fields,
                "modify: arguments that shall be others, an empty list for none; without a digest it is only \
                 shown what would be done",
            ),
        ],
    ),
    later(19, "fire", "start a trigger by name"),
    served(
        20,
        "grant",
        "give a process a part of a capability that you hold",
        &[
            must("pid", Shape::Number, "to whom"),
            must("need", Shape::Word, "what, as in an agent's needs: read /data/**"),
            may("expires_ms", Shape::Number, "for so long"),
        ],
    ),
    served(
        21,
        "revoke",
        "take a capability back, and all derived from it",
        &[must("cap", Shape::Number, "which")],
    ),
    later(22, "mount", "attach an integration; an operator's word to /sys/ctl in this version"),
    later(23, "hook", "register or answer a hook"),
    served(
        24,
        "trace",
        "records of the log",
        &[
            may("from", Shape::Number, "after this record"),
            LIMIT,
            may("pid", Shape::Number, "of this process and those below it"),
            may("follow", Shape::Flag, "and go on as they come"),
            may(
                "why",
                Shape::Principal,
                "instead: every record that led to version:N, operation:N, proposal:N, effect:HASH, pid:N \
                 or label:N",
            ),
        ],
    ),
];

/// The row of a call.
pub fn spec(name: &str) -> Option<&'static Spec> {
    CALLS.iter().find(|spec| spec.name == name)
}

/// What a call that is not served answers.
pub fn unavailable(spec: &Spec) -> Error {
    let served: Vec<&str> = CALLS.iter().filter(|spec| spec.served).map(|spec| spec.name).collect();
    Error::new(
        Code::Unavailable,
        format!("call {} ({}) is not served by this version", spec.name, spec.number),
    )
    .hint(format!("served: {}", served.join(" ")))
}

/// Where a text came from; decides whether it counts as an operator's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// At a terminal or in the cockpit.
    Typed,
    /// A command-line argument.
    Argument,
    /// Standard input from elsewhere.
    #[default]
    Pipe,
    /// A file of the operator's.
    File,
}

impl Origin {
    /// Whether it counts as an operator's own words.
    pub fn is_own_words(self) -> bool {
        matches!(self, Self::Typed | Self::Argument)
    }
}

/// A text given to a call: its blob, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Text {
    /// The bytes.
    pub content: Content,
    /// Where from.
    pub origin: Origin,
}

/// A moment of the past: the tree as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum At {
    /// After this record.
    Seq(Seq),
    /// After the last record that is not later than this wall time.
    Time(Micros),
}

/// A part of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Part {
    /// From this byte on.
    pub offset: u64,
    /// At most so many.
    pub length: u64,
}

/// What a `search` looks for. All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Sought {
    /// Words, phrases, beginnings.
    pub query: String,
    /// At or below this path.
    pub path: Option<TreePath>,
    /// Whose head.
    pub author: Option<String>,
    /// Of this integrity.
    pub label: Option<Integrity>,
    /// Changed at or after.
    pub since: Option<Micros>,
    /// Changed before.
    pub until: Option<Micros>,
    /// As of.
    pub at: Option<At>,
    /// At most so many.
    pub limit: u32,
}

/// What a `trace` explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Subject {
    /// A version.
    Version(VersionId),
    /// All versions of an operation.
    Operation(OpId),
    /// A proposal, and what was decided of it.
    Proposal(ProposalId),
    /// An effect, a model call too.
    Effect(EffectId),
    /// A process: why it has its label, and what it did.
    Process(Pid),
    /// A label: who came to have it.
    Label(LabelId),
}

/// How a conflict is resolved. Named as in the answer that told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// The diverged version becomes the head.
    Ours,
    /// The head stays what it is.
    Theirs,
    /// These bytes.
    Text(Content),
}

/// How a `write` changes the path.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Write {
    /// These bytes instead; with permission bits.
    Whole {
        /// The bytes.
        content: Content,
        /// 0o644 or 0o755.
        mode: u32,
    },
    /// These bytes after those of the head.
    Append(Content),
    /// `put` in place of `find`, which stands exactly once.
    Patch {
        /// What to replace.
        find: Content,
        /// By what.
        put: Content,
    },
    /// A directory.
    Dir,
    /// A symbolic link to this target.
    Link(Content),
    /// What stood before: a version, an operation or a process's writes.
    Restore(Undo),
    /// A diverged version is no conflict any more.
    Resolve {
        /// Which.
        version: VersionId,
        /// By what.
        take: Take,
    },
    /// May bytes be uploaded for this path? The answer names the upload; its parts go to the door, and
    /// `Whole` names what they came to.
    Begin,
    /// Nothing is written: what it would change if these bytes stood there. Of policy and budget only.
    Check(Content),
}

/// What an undo takes back, or a restore brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Undo {
    /// Bring this version of the path.
    Version(VersionId),
    /// Take back an operation.
    Operation(OpId),
    /// Take back all operations of a process whose versions are still heads.
    Process(Pid),
}

/// A signal to a process and all below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// No new step, no new effect.
    Freeze,
    /// Go on.
    Thaw,
    /// End the turn's present step and exit with what there is.
    Interrupt,
    /// End now.
    Kill,
}

/// What a dispatch does when the agent's lane is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Wait for its turn.
    #[default]
    FollowUp,
    /// Join the running turn at its next step.
    Steer,
    /// End the running turn and go first.
    Interrupt,
}

/// An operator's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// Do it, these bytes, once.
    Approve,
    /// Never.
    Reject,
    /// To a question: the reason is the answer.
    Answer,
    /// Do it with these arguments instead, once.
    Modify,
}

/// Arguments of an effect: every value a list of text, by name, so that one canonical form exists.
pub type Fields = BTreeMap<String, Vec<String>>;

/// A call, decoded and bounded. The closed list of all that a process may ask.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Call {
    /// Names in a directory.
    List {
        /// Which.
        path: TreePath,
        /// As of.
        at: Option<At>,
    },
    /// Bytes of a file.
    Read {
        /// Which.
        path: TreePath,
        /// As of.
        at: Option<At>,
        /// This version of it.
        version: Option<VersionId>,
        /// Only these of its bytes.
        part: Option<Part>,
    },
    /// A new version.
    Write {
        /// Of what.
        path: TreePath,
        /// How.
        write: Write,
        /// Made from.
        base: Option<VersionId>,
        /// Why.
        message: Option<Content>,
        /// Where the bytes come from.
        origin: Origin,
    },
    /// Words written to a control file.
    Control {
        /// The file.
        path: TreePath,
        /// The parsed words.
        word: Control,
    },
    /// Another path.
    Move {
        /// From.
        from: TreePath,
        /// To.
        to: TreePath,
        /// Made from.
        base: Option<VersionId>,
    },
    /// Gone.
    Remove {
        /// What.
        path: TreePath,
        /// Made from.
        base: Option<VersionId>,
        /// Also what is below.
        tree: bool,
    },
    /// Versions.
    History {
        /// Of what.
        path: TreePath,
        /// Only versions before this one.
        before: Option<VersionId>,
        /// How many.
        limit: u32,
    },
    /// Start an agent.
    Spawn {
        /// Which.
        agent: String,
        /// Its task.
        text: Text,
        /// What must be so at the end.
        post: Vec<Postcondition>,
        /// Money for the run.
        budget: Option<Nano>,
        /// What lies below it is invisible.
        #[musli(default)]
        #[serde(default)]
        ceiling: Integrity,
        /// Values of the inputs that it declares, as they were given.
        #[musli(default)]
        #[serde(default)]
        inputs: Fields,
        /// A turn, or a client's place.
        #[musli(default)]
        #[serde(default)]
        kind: ProcessKind,
        /// What an operator says of the program that this run is.
        #[musli(default)]
        #[serde(default)]
        program: Option<Box<Given>>,
    },
    /// Until something ends.
    Wait {
        /// A process.
        pid: Option<Pid>,
        /// A proposal.
        proposal: Option<ProposalId>,
        /// A time.
        timeout_us: Option<u64>,
    },
    /// To a process.
    Signal {
        /// Which.
        pid: Pid,
        /// What.
        signal: Signal,
    },
    /// To an agent's session.
    Dispatch {
        /// Which.
        agent: String,
        /// What.
        text: Text,
        /// How.
        lane: Lane,
        /// Values of the inputs that it declares, as they were given.
        #[musli(default)]
        #[serde(default)]
        inputs: Fields,
        /// In which session of the caller's.
        #[musli(default)]
        #[serde(default)]
        session: Option<String>,
    },
    /// One model call.
    Complete {
        /// Which model.
        model: String,
        /// The prompt.
        text: Text,
        /// Output tokens at most.
        max_out: u64,
        /// A program's own request, through the model endpoint; `text` is its first piece then.
        #[musli(default)]
        #[serde(default)]
        request: Option<Request>,
    },
    /// An effect.
    Propose {
        /// At which mount.
        mount: String,
        /// Which kind.
        kind: String,
        /// Its arguments.
        fields: Fields,
    },
    /// On a proposal.
    Decide {
        /// Which.
        proposal: ProposalId,
        /// How.
        ruling: Ruling,
        /// Why; the answer to a question.
        reason: Option<Content>,
        /// What was shown.
        #[musli(default)]
        #[serde(default)]
        digest: Option<Hash>,
        /// To modify: other values of these arguments.
        #[musli(default)]
        #[serde(default)]
        args: Option<Fields>,
    },
    /// Give.
    Grant {
        /// To whom.
        pid: Pid,
        /// What.
        grant: Grant,
        /// For how long.
        expires_us: Option<u64>,
    },
    /// Take back.
    Revoke {
        /// What.
        cap: CapId,
    },
    /// Records.
    Trace {
        /// After this one.
        from: Seq,
        /// How many.
        limit: u32,
        /// Of whom.
        pid: Option<Pid>,
        /// And go on.
        follow: bool,
    },
    /// Full text.
    Search(Sought),
    /// Versions of an operation.
    Operation {
        /// Which.
        op: OpId,
        /// How many.
        limit: u32,
    },
    /// Records that led to something.
    Why(Subject),
    /// An effect is taken back, by the kind that its driver declares for that.
    Revert {
        /// Which.
        effect: EffectId,
    },
    /// A command.
    Exec {
        /// In whose sandbox; none: the caller's.
        pid: Option<Pid>,
        /// In the words of a shell.
        text: Text,
        /// Where it begins; none: where its process may run programs.
        dir: Option<TreePath>,
        /// In which wall.
        wall: Wall,
        /// At most so long.
        timeout_us: u64,
        /// What it reads.
        #[musli(default)]
        #[serde(default)]
        stdio: Stdio,
    },
}

impl Call {
    /// Its name in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::List { .. } => "list",
            Self::Read { .. } => "read",
            Self::Write { .. } | Self::Control { .. } | Self::Revert { .. } => "write",
            Self::Move { .. } => "move",
            Self::Remove { .. } => "remove",
            Self::History { .. } | Self::Operation { .. } => "history",
            Self::Search(_) => "search",
            Self::Spawn { .. } => "spawn",
            Self::Wait { .. } => "wait",
            Self::Signal { .. } => "signal",
            Self::Dispatch { .. } => "dispatch",
            Self::Complete { .. } => "complete",
            Self::Propose { .. } => "propose",
            Self::Decide { .. } => "decide",
            Self::Grant { .. } => "grant",
            Self::Revoke { .. } => "revoke",
            Self::Trace { .. } | Self::Why(_) => "trace",
            Self::Exec { .. } => "exec",
        }
    }
}

const _: () = {
    let mut ix = 0;
    while ix < CALLS.len() {
        #[allow(clippy::indexing_slicing)] // a constant expression: out of bounds would not compile
        let number = CALLS[ix].number as usize;
        assert!(number == ix + 1, "calls stand in the order of their numbers");
        ix += 1;
    }
};
