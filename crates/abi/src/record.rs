//! The log's entries: decisions, not events. `apply(record)` is the only thing that changes kernel state, so
//! replaying them is recovery, and reading them is the audit.
//!
//! A record holds ids, hashes, amounts, names and paths. All free text is a blob named by hash, so that after
//! a purge the chain still verifies. On disk it is musli's wire format with numbered fields: a field is added
//! at the end with `#[musli(default)]` and never renumbered; a reader skips what it does not know.

use crate::{
    AccountId, CapId, Code, Content, EffectId, FileId, Hash, LabelId, Micros, OpId, Pid, ProposalId, Seq,
    TimerId, VersionId,
    agent::{Policy, Postcondition, Restart, Verdict},
    call::{Lane, Origin, Ruling, Undo},
    cap::Cap,
    effect::Item,
    event::Stop,
    label::{Integrity, Label},
    manifest::{Manifest, Recovery},
    money::{AccountName, Amounts, Limit, Nano, Price, Usage},
    path::TreePath,
    tree::{Change, Retain},
};
use alloc::{string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// One entry of the log. The store adds the hash of the one before and of the bytes themselves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Record {
    /// Its place; the first is 1.
    pub seq: Seq,
    /// Wall time; never before that of the record before it.
    pub at: Micros,
    /// Principal: `operator:anna`, `agent:triage`, `mount:mail`, `system:kernel`.
    pub actor: String,
    /// Acting as which process.
    pub pid: Pid,
    /// The record that led to it; itself when nothing did.
    pub cause: Seq,
    /// What was decided.
    pub body: Entry,
}

/// Why a sink decided as it did: the rules of the table, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// 1: the capability or the policy says ask.
    AskedByPolicy,
    /// 2: pure, or undoable and only the operator sees it.
    Undoable,
    /// 5: the label is at least `workspace`.
    Trusted,
    /// 6: the label is external and a steering argument is not vouched for.
    Unvouched,
    /// 6a: every steering argument stands in the operator's own words of this run.
    OperatorsWords,
    /// 6c: approved before, for this kind in this run.
    ApprovedBefore,
    /// Under an external label, and the rule that could allow it is not in this version.
    External,
    /// A steering place, written under an external label.
    SteeringPlace,
    /// A crash left it open whether it happened; approving does it again.
    InDoubt,
    /// The rule that would have held it is missing from this workspace's ruleset (demonstrations only).
    RuleLacking,
    /// The autonomy dial stands at manual: every effect asks.
    Manual,
    /// The autonomy dial stands at autonomous, and it can be taken back.
    Autonomous,
    /// 3: account data, and the operator's words do not hold every value of it.
    AccountData,
    /// 4: money, and its payee or its amount is not vouched for.
    Money,
    /// 4: money to a vouched payee, in the operator's words or within the mount's limit.
    MoneyVouched,
    /// 6b: every steering argument stands in the operator's own directory of that mount.
    Directory,
    /// 6c: a standing rule of the operator's names every steering argument.
    Standing,
    /// 7: the payload holds a link, an attachment or markup that nobody vouched for.
    Payload,
    /// 7: the receiver is not among the readers of what had a part in it.
    Readers,
    /// 7: more than five such sends in this run.
    Brake,
    /// GET: the whole URL stood in the operator's words or in one item that was read.
    Quoted,
    /// GET: a URL that was composed under an external label.
    Composed,
    /// A question to the operator.
    Question,
    /// The operator is asked to vouch for a version.
    Endorse,
}

/// The rules a workspace can be made without, for a demonstration or a test: number, word, what it says.
pub const RULES: [(u8, &str, &str); 16] = [
    (1, "1", "policy says ask, or the dial stands at manual"),
    (2, "2", "what can be undone and only the operator sees applies"),
    (3, "3", "account data only in the operator's own words"),
    (4, "4", "money only to a vouched payee, within words or limit"),
    (5, "5", "a label of at least workspace applies"),
    (6, "6", "under an external label every steering argument is vouched for"),
    (7, "7", "no unvouched link, attachment or markup"),
    (8, "6a", "the operator's own words vouch"),
    (9, "6b", "the operator's own directory of the mount vouches"),
    (10, "6c", "an approval in this run vouches; so does a standing rule"),
    (11, "7 readers", "the receiver is among the readers"),
    (12, "7 brake", "five sends in a run"),
    (13, "get", "a URL is quoted, not composed"),
    (14, "steering", "steering places are not files like others"),
    (15, "ceiling", "what lies below a process's ceiling is invisible to it"),
    (16, "answer", "who hears what the other side answered has seen it"),
];

impl Rule {
    /// The rule as people cite it.
    pub fn word(self) -> &'static str {
        match self {
            Self::AskedByPolicy => "rule 1",
            Self::Undoable => "rule 2",
            Self::Trusted => "rule 5",
            Self::Unvouched => "rule 6",
            Self::OperatorsWords => "rule 6a",
            Self::ApprovedBefore => "rule 6c",
            Self::External => "rule 6",
            Self::SteeringPlace => "steering place",
            Self::InDoubt => "in doubt",
            Self::RuleLacking => "a rule is lacking",
            Self::Manual => "autonomy: manual",
            Self::Autonomous => "autonomy: autonomous",
            Self::AccountData => "rule 3",
            Self::Money | Self::MoneyVouched => "rule 4",
            Self::Directory => "rule 6b",
            Self::Standing => "rule 6c",
            Self::Payload | Self::Readers | Self::Brake => "rule 7",
            Self::Quoted | Self::Composed => "the GET rule",
            Self::Question => "question",
            Self::Endorse => "endorsement",
        }
    }

    /// What it says, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::AskedByPolicy => "policy says ask",
            Self::Undoable => "it can be undone and only the operator sees it",
            Self::Trusted => "nothing external had a part in the decision",
            Self::Unvouched => "external text had a part in it, and nobody vouched for where it goes",
            Self::OperatorsWords => "the operator's own words name where it goes",
            Self::ApprovedBefore => "the operator approved this receiver in this run",
            Self::External => "external text had a part in it, and nothing says where it goes",
            Self::SteeringPlace => "external text would steer agents or tools from there",
            Self::InDoubt => "a crash left it open whether it happened",
            Self::RuleLacking => "this workspace was made without the rule that would hold it",
            Self::Manual => "every effect asks",
            Self::Autonomous => "it can be taken back",
            Self::AccountData => {
                "it changes account data, and not every value of it is in the operator's words"
            }
            Self::Money => "it moves money, and the payee or the amount is not vouched for",
            Self::MoneyVouched => "the payee is vouched for, and the amount is in words or within the limit",
            Self::Directory => "the operator's own directory names where it goes",
            Self::Standing => "a standing rule of the operator names where it goes",
            Self::Payload => "external text had a part in it, and it holds a link, an attachment or markup",
            Self::Readers => "whoever it goes to is not among the readers of what had a part in it",
            Self::Brake => "five such sends have gone out in this run already",
            Self::Quoted => "the whole URL was quoted from one thing that was read",
            Self::Composed => "external text had a part in it, and the URL was composed",
            Self::Question => "an answer is wanted",
            Self::Endorse => "the operator is asked to vouch for it",
        }
    }
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

/// Why a process was frozen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// By an operator or a parent.
    Asked,
    /// A limit was reached.
    Limit {
        /// Of which account.
        account: AccountName,
        /// Which limit.
        limit: Limit,
    },
    /// It repeats itself without getting on.
    Loop {
        /// Calls without progress.
        calls: u32,
    },
    /// A model call was bought twice and both times the outcome was lost; thawing buys it once more.
    Lost {
        /// Which.
        effect: EffectId,
    },
}

/// What a turn waits for before its tool call has an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitOn {
    /// A process ends.
    Process(Pid),
    /// A proposal is decided.
    Proposal(ProposalId),
    /// An effect ends.
    Effect(EffectId),
    /// Time passes.
    Time,
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerFor {
    /// A proposal expires.
    Proposal(ProposalId),
    /// A turn's `wait` ends.
    Wait(Pid),
    /// A turn goes on after a pause.
    Pause(Pid),
    /// An ended agent is started again with the task it had.
    Restart(Pid),
    /// The next dispatch of an agent's lane begins.
    Lane(String),
    /// Versions that no rule keeps any more are thinned.
    Thin,
}

/// A version of a path that a turn has seen, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Seen {
    /// The path.
    pub path: TreePath,
    /// Its version; none when the turn took away what stood there.
    pub version: Option<VersionId>,
}

/// What was decided. Numbered in order, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The workspace begins.
    Genesis {
        /// Random 128 bits.
        id: [u8; 16],
        /// Format of the log.
        format: u32,
        /// Rules of the sink table that are lacking.
        lacks: Vec<u8>,
    },
    /// It was loaded; money it may spend until it sleeps.
    Woke {
        /// Limit of the root account.
        lease: Nano,
    },
    /// Policy and budget are these from now on.
    PolicyLoaded {
        /// Of the bytes of `/sys/policy.yaml`.
        digest: Hash,
        /// Parsed.
        policy: Policy,
    },
    /// A price row.
    Priced {
        /// Model.
        model: String,
        /// Row.
        price: Price,
    },
    /// A mount stands.
    Mounted {
        /// Where.
        mount: String,
        /// By which driver.
        driver: String,
        /// With which argument.
        argument: String,
        /// What it declares.
        manifest: Manifest,
    },
    /// And no more.
    Unmounted {
        /// Which.
        mount: String,
    },
    /// An interned label.
    LabelDefined {
        /// Its number.
        id: LabelId,
        /// Its meaning.
        label: Label,
    },
    /// An account of the budget tree.
    AccountOpened {
        /// Its id.
        account: AccountId,
        /// Below which.
        parent: Option<AccountId>,
        /// Name.
        name: AccountName,
        /// Hard limits.
        limits: Vec<Limit>,
    },
    /// An account's limit was changed by an operator.
    LimitSet {
        /// Which account.
        account: AccountId,
        /// The limit now.
        limit: Limit,
    },
    /// A process began.
    Spawned {
        /// Its id.
        pid: Pid,
        /// Who started it.
        parent: Pid,
        /// The process at the root of this run: whose task holds the operator's words.
        run: Pid,
        /// Agent name.
        agent: String,
        /// What it spends from.
        account: AccountId,
        /// Its label at the start.
        label: LabelId,
        /// The task's text.
        task: Content,
        /// Whether that text is an operator's own words.
        own_words: bool,
        /// The prompt's text.
        prompt: Content,
        /// Model.
        model: String,
        /// Tools.
        tools: Vec<String>,
        /// What must be so at the end.
        post: Vec<Postcondition>,
        /// Restart policy.
        restart: Restart,
        /// How many times this task was restarted before.
        restarts: u32,
        /// Whether it came from the agent's lane (a dispatch).
        lane: bool,
        /// Needs that policy did not grant, as words.
        withheld: Vec<String>,
        /// Standing intent: `/AGENTS.md` as it was then.
        standing: Option<Content>,
        /// Money that was asked for this run; it can only lower.
        budget: Option<Nano>,
        /// What lies below it is invisible to the process.
        #[musli(default)]
        #[serde(default)]
        ceiling: Integrity,
        /// What the process that it restarts had sent in its run.
        #[musli(default)]
        #[serde(default)]
        sends: u32,
        /// The operator on whose behalf it runs; empty where nobody knows.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// A capability was derived.
    Granted {
        /// It.
        cap: Cap,
    },
    /// A subtree of capabilities is gone.
    Revoked {
        /// All of them.
        caps: Vec<CapId>,
    },
    /// A process saw something that changed its label.
    Saw {
        /// What.
        path: TreePath,
        /// Which version; none for a listing.
        version: Option<VersionId>,
        /// Its label.
        label: LabelId,
        /// The process's label now.
        joined: LabelId,
    },
    /// The tree changed.
    Wrote {
        /// The operation.
        op: OpId,
        /// Its changes.
        changes: Vec<Change>,
        /// Why.
        message: Option<Content>,
        /// What it takes back, if it is an undo.
        undoes: Option<Undo>,
    },
    /// A call was refused.
    Refused {
        /// Which call.
        call: String,
        /// How.
        code: Code,
        /// Path, agent, mount or kind it was about.
        about: String,
    },
    /// A model call is about to be made.
    ModelIntended {
        /// Its name.
        effect: EffectId,
        /// Which attempt.
        attempt: u32,
        /// Step of the turn; 0 for a bare `complete`.
        step: u32,
        /// Which model.
        model: String,
        /// The request before it, of which `keep` items are kept.
        prev: Option<EffectId>,
        /// So many.
        keep: u32,
        /// And these added.
        add: Vec<Item>,
        /// Reserved at every account.
        reserved: Amounts,
        /// Output tokens reserved.
        reserved_out: u64,
        /// Output tokens at most.
        max_out: u64,
    },
    /// More was reserved while the answer streams.
    ModelExtended {
        /// Which.
        effect: EffectId,
        /// So much more.
        reserved: Amounts,
        /// Output tokens reserved in all.
        reserved_out: u64,
    },
    /// A model answered.
    ModelAnswered {
        /// Which call.
        effect: EffectId,
        /// The answer.
        answer: Content,
        /// Tool calls in it.
        tools: u32,
        /// Why it stopped.
        stop: Stop,
        /// What is charged.
        usage: Usage,
        /// The same as amounts.
        charged: Amounts,
        /// Whether the provider's claim was too low to believe.
        disbelieved: bool,
    },
    /// A model call failed.
    ModelFailed {
        /// Which.
        effect: EffectId,
        /// What went wrong.
        message: Content,
        /// Whether it may be tried again.
        again: bool,
        /// What is charged all the same.
        charged: Amounts,
    },
    /// A model call's outcome is unknown after a crash; what was reserved is booked as spent.
    ModelLost {
        /// Which.
        effect: EffectId,
        /// Booked.
        charged: Amounts,
    },
    /// A tool call of a turn has an outcome.
    Tool {
        /// Step.
        step: u32,
        /// Index within the step.
        index: u32,
        /// Tool name as the model wrote it.
        name: String,
        /// Arguments as the model wrote them.
        args: Content,
        /// What the model will be told.
        outcome: Content,
        /// Error code, if it is one.
        code: Option<Code>,
        /// Whether it got on: a new version, a new source.
        fresh: bool,
        /// What it was about: a path, a mount and kind.
        about: String,
        /// Versions of paths that the turn knows by it, and bases its next writes on; none: the path is free.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        seen: Vec<Seen>,
    },
    /// A tool call of a turn waits for something before it has an outcome.
    ToolWaits {
        /// Step.
        step: u32,
        /// Index.
        index: u32,
        /// Tool.
        name: String,
        /// Arguments.
        args: Content,
        /// For what.
        on: WaitOn,
        /// What it is about.
        about: String,
    },
    /// Something waits for an operator.
    Proposed {
        /// Its id.
        proposal: ProposalId,
        /// The effect's name, fixed now; for a held write the hash of the call.
        effect: EffectId,
        /// Mount; empty for a held write.
        mount: String,
        /// Kind, or the name of the held call.
        kind: String,
        /// Argument bytes (musli of `Fields`, or of the held `Call`).
        args: Content,
        /// Digest of what the operator is shown and decides on.
        digest: Hash,
        /// The label it was decided under.
        label: LabelId,
        /// Why it is held.
        rule: Rule,
        /// What it is about, to be shown.
        about: String,
        /// Paths that a held call touches; none for an effect.
        paths: Vec<TreePath>,
        /// Hashes of (kind, steering value), one a receiver.
        steering: Vec<Hash>,
        /// Until when.
        expires: Micros,
        /// The bytes that a held write would put there.
        content: Option<Content>,
        /// The first proposal of the same process, step and kind: one prompt for all of them.
        #[musli(default)]
        #[serde(default)]
        group: Option<ProposalId>,
        /// The step of the turn that asked; 0 for a client.
        #[musli(default)]
        #[serde(default)]
        step: u32,
    },
    /// An operator decided.
    Decided {
        /// On what.
        proposal: ProposalId,
        /// How.
        ruling: Ruling,
        /// Why.
        reason: Option<Content>,
    },
    /// Nobody decided in time: it is rejected.
    Lapsed {
        /// Which.
        proposal: ProposalId,
    },
    /// An effect will be carried out.
    Intended {
        /// Its name.
        effect: EffectId,
        /// Mount.
        mount: String,
        /// Kind.
        kind: String,
        /// Argument bytes.
        args: Content,
        /// What to do after a crash.
        recovery: Recovery,
        /// By which rule.
        rule: Rule,
        /// By which approval.
        proposal: Option<ProposalId>,
        /// Reserved.
        reserved: Amounts,
        /// Money that it moves at its mount.
        #[musli(default)]
        #[serde(default)]
        moves: Nano,
    },
    /// It is handed to the driver now.
    Dispatched {
        /// Which.
        effect: EffectId,
    },
    /// It happened, or did not.
    EffectEnded {
        /// Which.
        effect: EffectId,
        /// Whether it happened.
        done: bool,
        /// What the other side said.
        outcome: Content,
    },
    /// Nobody can know whether it happened; an operator is asked.
    InDoubt {
        /// Which.
        effect: EffectId,
    },
    /// A process ended.
    Exited {
        /// Which.
        pid: Pid,
        /// How.
        exit: Exit,
        /// Whether its task is done.
        verdict: Verdict,
        /// Its last words.
        result: Option<Content>,
    },
    /// Processes stand still.
    Frozen {
        /// Which.
        pids: Vec<Pid>,
        /// Why.
        why: Freeze,
    },
    /// And go on.
    Thawed {
        /// Which.
        pids: Vec<Pid>,
    },
    /// A dispatch waits in an agent's lane.
    Queued {
        /// Which agent.
        agent: String,
        /// What.
        text: Content,
        /// Where from.
        origin: Origin,
        /// With which label.
        label: LabelId,
        /// How it came.
        lane: Lane,
    },
    /// The lane's first is taken out.
    Dequeued {
        /// Which agent.
        agent: String,
    },
    /// Words join a running turn at its next step.
    Steered {
        /// Which turn.
        pid: Pid,
        /// The words.
        item: Item,
        /// The turn's label now.
        joined: LabelId,
    },
    /// The kernel wrote down that a process does not get on.
    Stalled {
        /// Which.
        pid: Pid,
        /// Same call with the same outcome, so many times.
        repeats: u32,
    },
    /// A timer runs.
    TimerSet {
        /// Its id.
        timer: TimerId,
        /// For what.
        purpose: TimerFor,
        /// Until when; wall time.
        due: Micros,
    },
    /// And has ended, or is not needed.
    TimerGone {
        /// Which.
        timer: TimerId,
    },
    /// The wall clock jumped.
    ClockJumped {
        /// Microseconds forward; negative means it ran back (and the log's time stood still).
        by: i64,
    },
    /// An event was set aside.
    Quarantined {
        /// Hash of it.
        digest: Hash,
        /// What it was.
        what: String,
    },
    /// The node lends anew.
    Leased {
        /// Limit of the root account, counted from when the workspace woke.
        lease: Nano,
    },
    /// The bytes of every version of these files are destroyed; hashes, sizes, names and authors stay.
    Purged {
        /// Where the files stood.
        path: TreePath,
        /// Which.
        files: Vec<FileId>,
        /// The last version whose bytes go.
        upto: VersionId,
        /// Why.
        reason: Content,
    },
    /// An operator's rule about how many versions are kept.
    RetainSet {
        /// It.
        rule: Retain,
    },
    /// The bytes of these versions went by a rule.
    Thinned {
        /// Which.
        versions: Vec<VersionId>,
    },
    /// An endorsing channel let so much through in this run.
    Endorsed {
        /// Which run.
        run: Pid,
        /// Bits of choice.
        bits: u32,
    },
    /// This is a copy from here on: what was approved in the original vouches for nothing.
    Forked,
}

impl Entry {
    /// A word for what it is.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Genesis { .. } => "genesis",
            Self::Woke { .. } => "woke",
            Self::PolicyLoaded { .. } => "policy",
            Self::Priced { .. } => "priced",
            Self::Mounted { .. } => "mounted",
            Self::Unmounted { .. } => "unmounted",
            Self::LabelDefined { .. } => "label",
            Self::AccountOpened { .. } => "account",
            Self::LimitSet { .. } => "limit",
            Self::Spawned { .. } => "spawned",
            Self::Granted { .. } => "granted",
            Self::Revoked { .. } => "revoked",
            Self::Saw { .. } => "saw",
            Self::Wrote { .. } => "wrote",
            Self::Refused { .. } => "refused",
            Self::ModelIntended { .. } => "model",
            Self::ModelExtended { .. } => "model-extended",
            Self::ModelAnswered { .. } => "answered",
            Self::ModelFailed { .. } => "model-failed",
            Self::ModelLost { .. } => "model-lost",
            Self::Tool { .. } => "tool",
            Self::ToolWaits { .. } => "tool-waits",
            Self::Proposed { .. } => "proposed",
            Self::Decided { .. } => "decided",
            Self::Lapsed { .. } => "lapsed",
            Self::Intended { .. } => "intended",
            Self::Dispatched { .. } => "dispatched",
            Self::EffectEnded { .. } => "effect-ended",
            Self::InDoubt { .. } => "in-doubt",
            Self::Exited { .. } => "exited",
            Self::Frozen { .. } => "frozen",
            Self::Thawed { .. } => "thawed",
            Self::Queued { .. } => "queued",
            Self::Dequeued { .. } => "dequeued",
            Self::Steered { .. } => "steered",
            Self::Stalled { .. } => "stalled",
            Self::TimerSet { .. } => "timer",
            Self::TimerGone { .. } => "timer-gone",
            Self::ClockJumped { .. } => "clock-jumped",
            Self::Quarantined { .. } => "quarantined",
            Self::Leased { .. } => "leased",
            Self::Purged { .. } => "purged",
            Self::RetainSet { .. } => "retain",
            Self::Thinned { .. } => "thinned",
            Self::Endorsed { .. } => "endorsed",
            Self::Forked => "forked",
        }
    }
}
