//! What the kernel may ask of the store before it decides, and what it hears. At most 16 a time, each
//! bounded.

use crate::{
    Code, Content, EffectId, Error, FileId, Hash, LabelId, Micros, OpId, Pid, Seq, VersionId,
    agent::{Parsed, Policy},
    answer::Name,
    call::{At, Fields, Part, Sought, Subject, Undo},
    model::Models,
    money::Amounts,
    path::{Pattern, TreePath},
    tree::{Home, Retain, UndoRow, Version},
    view::Spot,
};
use alloc::{boxed::Box, collections::BTreeSet, string::String, vec, vec::Vec};

/// A question to the store, answered from the batch's open transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// What stands at the path → `Fact::Place`.
    Path {
        /// Where.
        path: TreePath,
        /// As of then; none means now.
        at: Option<At>,
    },
    /// A version by its name → `Fact::Version`.
    Version {
        /// Which.
        version: VersionId,
    },
    /// Labels of the heads and of the names of all entries of a directory → `Fact::Labels`.
    Names {
        /// Which directory.
        path: TreePath,
        /// As of.
        at: Option<At>,
    },
    /// How many entries of a directory bear one of these labels → `Fact::Count`; none of one that is not
    /// there, or bears one itself.
    Hidden {
        /// Which directory.
        path: TreePath,
        /// As of.
        at: Option<At>,
        /// Labels that the asker must not see.
        below: BTreeSet<LabelId>,
    },
    /// Labels of what a `history` shows of a file, diverged versions and names too → `Fact::Labels`.
    Past {
        /// Which.
        path: TreePath,
        /// Only versions before this one.
        before: Option<VersionId>,
        /// How many.
        limit: u32,
        /// What the caller may see: a version that was made elsewhere is seen by the right to read it there.
        view: View,
    },
    /// Everything at and below a path, at most `OPERATION_ENTRIES_MAX` → `Fact::Below` or `TooLarge`.
    Below {
        /// Where.
        path: TreePath,
    },
    /// Whether a literal stands in a text → `Fact::Holds`.
    Match {
        /// In which text.
        text: Haystack,
        /// What.
        literal: String,
        /// How.
        how: Match,
    },
    /// The head's bytes, changed → `Fact::Edited`; the machine has put the new bytes into the blob table.
    Edit {
        /// Of which file.
        path: TreePath,
        /// Against which version; none means the head.
        base: Option<VersionId>,
        /// How.
        edit: Edit,
    },
    /// Where the changes of a view meet the tree: the path, and the version that the view showed →
    /// `Fact::Spots`; at most `COMMIT_CHANGES_MAX`.
    Spots {
        /// In the order of the changes.
        changes: Vec<(TreePath, Option<VersionId>)>,
    },
    /// What an undo would touch → `Fact::Undo`.
    Undo {
        /// Of what.
        undo: Undo,
    },
    /// The answer of a query, rendered and put into the blob table → `Fact::Filled`. For callers whose answer
    /// must have a name in the log: turns.
    Fill {
        /// Which.
        query: Query,
    },
    /// `/agents/NAME/AGENT.md` at its head, parsed → `Fact::Agent`.
    Agent {
        /// Which.
        name: String,
        /// What it shall do; none where that was settled before.
        task: Option<Task>,
    },
    /// A diverged version and what stands where it was meant to stand → `Fact::Conflict`.
    Conflict {
        /// Which.
        version: VersionId,
    },
    /// Whether the bytes of a version are still kept → `Fact::Holds`.
    Kept {
        /// Which.
        version: VersionId,
    },
    /// The open conflicts that the view shows → `Fact::Hits`.
    Conflicts {
        /// What the caller may see.
        view: View,
    },
    /// The versions of an operation that the view shows → `Fact::Hits`.
    Operation {
        /// Which.
        op: OpId,
        /// What the caller may see.
        view: View,
    },
    /// What a search finds → `Fact::Hits`.
    Search {
        /// What.
        sought: Sought,
        /// What the caller may see: hits are filtered before the limit.
        view: View,
    },
    /// What a purge would destroy → `Fact::Purge`.
    Purge {
        /// Every file that ever stood here.
        path: TreePath,
    },
    /// Versions that no rule keeps any more, oldest first, at most `THINNED_MAX` → `Fact::Surplus`.
    Surplus {
        /// The rules.
        rules: Vec<Retain>,
        /// The time now.
        now: Micros,
        /// What live processes have seen last: a write of theirs is merged with it, so it stays.
        seen: BTreeSet<VersionId>,
    },
    /// Which of these stand in a blob as whole tokens, and which as whole URLs ([`crate::scan::Folded`]) →
    /// `Fact::Named`.
    Tokens {
        /// The text; lost or larger than 1 MiB: none does.
        text: Hash,
        /// At most `VOUCHED_MAX`.
        literals: Vec<String>,
        /// How these are looked for.
        how: Match,
        /// At most `VOUCHED_MAX`.
        urls: Vec<String>,
    },
    /// In which files that a mount itself delivered each of these stands as a whole token → `Fact::Listed`.
    Directory {
        /// Which mount.
        mount: String,
        /// Below it.
        patterns: Vec<Pattern>,
        /// At most `VOUCHED_MAX`.
        literals: Vec<String>,
    },
    /// Whether a URL stands whole, byte for byte, in a blob or in one of these versions → `Fact::Holds`.
    Quoted {
        /// The operator's words, if the run began with any.
        words: Option<Hash>,
        /// At most `QUOTED_VERSIONS_MAX`; of them no more than `QUOTED_BYTES_MAX` is read.
        versions: Vec<VersionId>,
        /// What.
        literal: String,
    },
    /// An effect that ended, with its arguments and what was answered → `Fact::Deed`.
    Deed {
        /// Which.
        effect: EffectId,
    },
    /// What policy and budget come to when one of the two files is changed so → `Fact::Policy`.
    Policy {
        /// Which of the two.
        path: TreePath,
        /// What it shall hold.
        put: Put,
    },
    /// Bytes of a blob, at most `ARGUMENT_BYTES_MAX` → `Fact::Bytes`.
    Bytes {
        /// Which.
        hash: Hash,
    },
    /// What `/sys/models.yaml` comes to when it is changed so → `Fact::Models`.
    Models {
        /// What it shall hold.
        put: Put,
    },
}

/// A task for an agent: the machine checks its inputs and appends them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The text.
    pub text: Hash,
    /// Inputs as they were given.
    pub inputs: Fields,
}

/// What a file of policy shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// These bytes.
    Bytes(Hash),
    /// Those of this version.
    Version(VersionId),
}

/// Where a literal is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Haystack {
    /// In a blob.
    Blob(Hash),
    /// In the head of a file (≤ 1 MiB); no file means no.
    Path(TreePath),
}

/// How a literal is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// As a whole token ([`crate::scan::has_token`]).
    Token,
    /// As a whole token that nobody writes by chance ([`crate::scan::Folded::has_quoted`]).
    Quoted,
    /// As bytes, anywhere.
    Bytes,
}

/// A change of a head's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// These after it.
    Append(Hash),
    /// `put` for the one place where `find` stands.
    Patch {
        /// What.
        find: Hash,
        /// By what.
        put: Hash,
    },
}

/// A part of a session as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Who speaks.
    Who(String),
    /// Words, or an answer in its canonical form.
    Words(Content),
    /// What the kernel says about it.
    Note(String),
}

/// A question whose answer goes to the caller, not to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Entries of a directory that match the view, by name.
    List {
        /// Which directory.
        path: TreePath,
        /// As of.
        at: Option<At>,
        /// What the caller may see; an entry is shown if it, or something below it, may be.
        view: View,
        /// What is rendered there, where nothing of that name stands.
        also: Vec<Name>,
    },
    /// A session, as Markdown.
    Session {
        /// The path.
        path: TreePath,
        /// Nobody has looked yet whether a file stands there: it comes first.
        unless_file: bool,
        /// What was said, in order.
        lines: Vec<Spoken>,
        /// Only these bytes.
        part: Option<Part>,
    },
    /// Bytes of the head, of what was the head, or of a version.
    Read {
        /// Of which path.
        path: TreePath,
        /// As of.
        at: Option<At>,
        /// Of this version.
        version: Option<VersionId>,
        /// Only these bytes.
        part: Option<Part>,
    },
    /// Versions of the file at a path, newest first, diverged ones too.
    History {
        /// Which.
        path: TreePath,
        /// Only versions before this one.
        before: Option<VersionId>,
        /// How many.
        limit: u32,
        /// What the caller may see.
        view: View,
    },
    /// Versions of an operation, oldest first.
    Operation {
        /// Which.
        op: OpId,
        /// What the caller may see.
        view: View,
        /// How many.
        limit: u32,
    },
    /// Full text: hits, the join of their labels, how far the index is.
    Search {
        /// What.
        sought: Sought,
        /// What the caller may see.
        view: View,
    },
    /// Open conflicts, one a line: version, path, base, head, actor.
    Conflicts {
        /// What the caller may see.
        view: View,
    },
    /// Every record that led to something, oldest first.
    Why {
        /// To what.
        subject: Subject,
    },
    /// Records, oldest first.
    Trace {
        /// After this one.
        from: Seq,
        /// How many.
        limit: u32,
        /// Of these processes; none means of all.
        pids: Option<BTreeSet<Pid>>,
        /// And go on as they come.
        follow: bool,
    },
    /// The node's workspaces, one a line: name, awake or asleep, seq.
    Workspaces,
    /// Providers, whether their secrets are kept, tiers and prices.
    Models {
        /// Tiers and prices, as the kernel has them.
        lines: Vec<String>,
    },
    /// The node's secrets, by name.
    Secrets,
    /// The months in which model calls were booked.
    Months,
    /// What the model calls of these days came to.
    Costs {
        /// From this day since 1970, in UTC.
        from: u64,
        /// Up to this one, without it.
        to: u64,
    },
    /// Its operators: user id, name, whether it is theirs, which of them asks.
    Operators {
        /// Who asks.
        me: String,
    },
    /// Content of any size.
    Content {
        /// Which.
        content: Content,
        /// Only these bytes.
        part: Option<Part>,
    },
    /// Content by its name.
    Blob {
        /// Which.
        hash: Hash,
    },
    /// The token by which a process of that pid shows who it is.
    Token {
        /// Which.
        pid: Pid,
    },
    /// What the daemon finds when it looks at its disk and at every workspace's files, one finding a line.
    Health,
    /// The public key that checkpoints are signed with.
    Key,
}

/// What the model calls of one agent to one model came to on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Days since 1970, in UTC.
    pub day: u64,
    /// The agent, or the principal that called by itself.
    pub agent: String,
    /// The model.
    pub model: String,
    /// Settled calls.
    pub calls: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them whose outcome is unknown; what was reserved is charged.
    pub lost: u64,
    /// What was charged.
    pub charged: Amounts,
}

/// What a caller may see of the tree: what one of `shown` matches and none of `denied` does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Patterns it may read.
    pub shown: Vec<Pattern>,
    /// Patterns that policy denies it.
    pub denied: Vec<Pattern>,
    /// Labels that lie below its ceiling, and in a search those of what nobody may be told: what bears one is
    /// not there for it.
    pub below: BTreeSet<LabelId>,
}

impl View {
    /// All of it.
    pub fn everything() -> Self {
        Self { shown: vec![Pattern::everything()], denied: Vec::new(), below: BTreeSet::new() }
    }

    /// Whether the path may be seen.
    pub fn shows(&self, path: &str) -> bool {
        self.shown.iter().any(|pattern| pattern.matches(path))
            && !self.denied.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether a version may be seen that was made at the path and bears the label.
    pub fn shows_version(&self, path: &str, label: LabelId) -> bool {
        self.shows(path) && !self.below.contains(&label)
    }
}

/// A diverged version and where it would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// It.
    pub version: Version,
    /// Whether nobody has resolved it yet.
    pub open: bool,
    /// Head of its file; a removed file's says so.
    pub head: Version,
    /// Where the file stands, or stood last.
    pub path: TreePath,
    /// In which directory.
    pub dir: FileId,
    /// Whether it could stand there: that directory stands and the name is the file's or free.
    pub free: bool,
    /// Labels of the names it has and had.
    pub named: BTreeSet<LabelId>,
    /// Those, and of the names of the directories above.
    pub told: BTreeSet<LabelId>,
    /// That directory, if it stands.
    pub home: Option<Box<Home>>,
}

/// An effect that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// At which mount.
    pub mount: String,
    /// Which kind.
    pub kind: String,
    /// Its recorded arguments (musli of `Fields`).
    pub args: Vec<u8>,
    /// Whether it happened.
    pub done: bool,
    /// What the other side answered.
    pub answer: Vec<u8>,
}

/// What a purge would destroy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doomed {
    /// Every file that ever stood at the path.
    pub files: Vec<FileId>,
    /// The file that stands there now, its directory and its head.
    pub standing: Option<(FileId, Version)>,
    /// How many versions.
    pub versions: u64,
    /// Bytes of their contents, each once.
    pub bytes: u64,
    /// Other paths that hold some of the same bytes: there they stay.
    pub kept: Vec<TreePath>,
}

/// What stands at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The directories above it that exist, root first; all of them when it exists itself.
    pub dirs: Vec<FileId>,
    /// Whether the walk was stopped by something that is not a directory.
    pub blocked: bool,
    /// The head, if there is one that is not gone.
    pub head: Option<Version>,
    /// The last of `dirs`, in which the name stands or would; none of the root.
    pub home: Option<Home>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// To `Path`.
    Place(Place),
    /// To `Version`.
    Version(Option<Version>),
    /// To `Names` and `Past`: how many, and their labels.
    Labels(u64, BTreeSet<LabelId>),
    /// To `Spots`, in their order.
    Spots(Vec<Spot>),
    /// To `Below`: path, directory, head.
    Below(Result<Vec<(TreePath, FileId, Version)>, Error>),
    /// To `Hidden`.
    Count(u64),
    /// To `Match` and `Quoted`.
    Holds(bool),
    /// To `Tokens`: of the literals, then of the URLs.
    Named(Vec<bool>),
    /// To `Directory`, in their order: labels of the files it stands in.
    Listed(Vec<BTreeSet<LabelId>>),
    /// To `Edit`.
    Edited(Result<Content, Error>),
    /// To `Undo`: none means no such operation or process ever wrote.
    Undo(Option<Vec<UndoRow>>),
    /// To `Fill`.
    Filled(Content),
    /// To `Agent`.
    Agent(Parsed),
    /// To `Conflicts`, `Operation` and `Search`: path, version, label; a version with names of other labels
    /// more than once.
    Hits(Vec<(TreePath, VersionId, LabelId)>),
    /// To `Conflict`: none means there is no such version.
    Conflict(Option<Conflict>),
    /// To `Deed`: none means that there is no such effect, or that it has not ended.
    Deed(Option<Deed>),
    /// To `Purge`: none means nothing ever stood there; a directory is `Invalid`.
    Purge(Result<Option<Doomed>, Error>),
    /// To `Surplus`.
    Surplus(Vec<VersionId>),
    /// To `Policy`: digest of both files and what they say; or what is wrong with them, and on which line.
    Policy(Result<(Hash, Box<Policy>), Error>),
    /// To `Bytes`; none when there is no such blob or it is too large.
    Bytes(Option<Vec<u8>>),
    /// To `Models`: digest and what the file says; or what is wrong with it, and on which line.
    Models(Result<(Hash, Box<Models>), Error>),
}

/// The answers to one plan, in its order; or that there was none to answer, since authority was missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facts {
    /// The plan refused: `step` records it and answers.
    Refused(Error),
    /// One fact for each lookup.
    Found(Vec<Fact>),
}

impl Facts {
    /// What to say when a fact is not of the kind that was asked for: a fault of the machine, never of a
    /// caller.
    pub fn mismatch() -> Error {
        Error::new(Code::Unavailable, "the machine answered another question than the kernel asked")
    }
}
