//! The log's entries: decisions, not events. `apply(record)` is the only thing that changes kernel state, so
//! replaying them is recovery, and reading them is the audit.
//!
//! A record holds ids, hashes, amounts, names and paths. All free text is a blob named by hash, so that after
//! a purge the chain still verifies. On disk it is musli's wire format with numbered fields: a field is added
//! at the end with `#[musli(default)]` and never renumbered; a reader skips what it does not know.

use crate::{
    AccountId, CapId, Code, Content, EffectId, ExecId, FileId, Hash, LabelId, Micros, OpId, Pid, ProposalId,
    Seq, TimerId, VersionId,
    agent::{Policy, Postcondition, Restart, Verdict},
    call::{Lane, Origin, ProcessKind, Ruling, Undo, Wall},
    cap::Cap,
    control::SecretAct,
    effect::Item,
    event::Stop,
    label::{Integrity, Label},
    manifest::{Manifest, Recovery},
    model::Models,
    money::{AccountName, Amounts, Limit, Nano, Price, Usage},
    net::Asked as Connection,
    path::TreePath,
    request::Asked,
    session::SessionName,
    tree::{Change, Retain},
};
use alloc::{string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

mod bill;
mod finish;
mod freeze;
mod port;
mod rule;
mod seen;
mod wait;
mod word;

pub use bill::{Bill, SetBy};
pub use finish::{Exit, Finish, Used};
pub use freeze::Freeze;
pub use port::Port;
pub use rule::{RULES, Rule};
pub use seen::Seen;
pub use wait::{TimerFor, WaitOn};

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
        /// By whom.
        #[musli(default)]
        #[serde(default)]
        by: SetBy,
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
        /// Who thinks for it.
        #[musli(default)]
        #[serde(default)]
        kind: ProcessKind,
        /// How long it may take.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wall_us: Option<u64>,
        /// The session that its turn goes on with.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionName>,
        /// What was said in it before, as its context begins.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        history: Vec<Item>,
        /// The process of the turn before it in the session, as far as that is remembered.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Pid>,
        /// It has the HOME of its agent, which holds what its runs were told.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        home: bool,
        /// What its program writes is a draft.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        draft: bool,
        /// Its program pays at its own service.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        own_login: bool,
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
        /// A program's own request: its pieces are the items.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<Asked>,
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
        /// The answer to a program as it came, packed, in pieces.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        body: Vec<Content>,
        /// Whose it is, at what price.
        #[musli(default)]
        #[serde(default)]
        bill: Bill,
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
        /// Whose it is, at what price.
        #[musli(default)]
        #[serde(default)]
        bill: Bill,
    },
    /// A model call's outcome is unknown after a crash; what was reserved is booked as spent.
    ModelLost {
        /// Which.
        effect: EffectId,
        /// Booked.
        charged: Amounts,
        /// Whose it is, at what price.
        #[musli(default)]
        #[serde(default)]
        bill: Bill,
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
        /// Modified: the argument bytes instead.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Content>,
        /// The name of what is done instead.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effect: Option<EffectId>,
        /// Digest of what the operator was shown of it.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Hash>,
        /// Hashes of (kind, steering value), one a receiver.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        steering: Vec<Hash>,
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
        /// In which session.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionName>,
    },
    /// The lane's first is taken out.
    Dequeued {
        /// Which agent.
        agent: String,
        /// Of which session.
        #[musli(default)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionName>,
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
    /// Tiers, fallbacks and prices are these from now on.
    ModelsLoaded {
        /// Of the bytes of `/sys/models.yaml` and of the dated price table.
        digest: Hash,
        /// Parsed.
        models: Models,
    },
    /// A model could not be had, and the turn goes on with the next of its tier.
    FellBack {
        /// Which was given up.
        from: String,
        /// What comes next.
        to: String,
    },
    /// An operator keeps, lends or destroys a secret; its value is nowhere in the log.
    SecretSet {
        /// Its name.
        name: String,
        /// What happens to it.
        act: SecretAct,
    },
    /// An operator stopped everything; nothing starts until it is lifted.
    Stopped,
    /// And lifted it.
    Lifted,
    /// A limit comes near: used and reserved have passed the share of it that `warn` names.
    Warned {
        /// Of which account.
        account: AccountName,
        /// Which limit.
        limit: Limit,
    },
    /// A user of this host was let in as an operator of the node, or is no more.
    OperatorSet {
        /// What they are called.
        name: String,
        /// Which user; none when they are no operator any more.
        uid: Option<u32>,
    },
    /// A command begins. Its view shows the tree as it is after this record.
    ExecBegun {
        /// Its name.
        exec: ExecId,
        /// In whose sandbox.
        of: Pid,
        /// What it runs, a blob.
        text: Content,
        /// Where.
        dir: TreePath,
        /// In which wall.
        wall: Wall,
        /// How long it may take.
        timeout_us: u64,
        /// How often it was begun before: the daemon died under it.
        again: u32,
        /// Whether it is the process itself: what it writes is kept as it goes, and its end is that of the
        /// process.
        #[musli(default)]
        #[serde(default)]
        main: bool,
    },
    /// It ended. What it made is in a record `wrote` before this one.
    ExecEnded {
        /// Which.
        exec: ExecId,
        /// How.
        how: Finish,
        /// The wall it ran in.
        wall: Wall,
        /// Whether what it made was kept.
        kept: bool,
        /// What it said, cut; a blob.
        output: Content,
        /// All of that, if it is more.
        whole: Option<Content>,
        /// What it used.
        used: Used,
    },
    /// A program that is a process has said something.
    ExecSaid {
        /// Its command.
        exec: ExecId,
        /// What, cut; a blob.
        output: Content,
    },
    /// A service was tried, and it works again, or does not any more.
    ExecChecked {
        /// Its command.
        exec: ExecId,
        /// Why it does not, a blob; none: it works.
        why: Option<Content>,
    },
    /// A directory of the host is part of the tree from now on.
    Bound {
        /// Which.
        dir: TreePath,
        /// The label of what nobody has changed in it.
        label: LabelId,
    },
    /// And no more.
    Unbound {
        /// Which.
        dir: TreePath,
    },
    /// What a record says stands in bound directories.
    Placed {
        /// Which record.
        placed: Seq,
        /// What could not be done, and why; a blob each.
        failed: Vec<(TreePath, Content)>,
    },
    /// A program in the process's sandbox may speak to somebody, and does.
    Connected {
        /// To whom, and what it asks there.
        asked: Connection,
        /// The secret that was put into it, by name.
        #[musli(default)]
        secret: Option<String>,
    },
    /// A program that is a process says what its models used, and what they did use by the ledger. What is
    /// charged is the ledger's.
    ExecClaimed {
        /// Its command.
        exec: ExecId,
        /// What it says.
        claimed: Usage,
        /// What went through the endpoint.
        counted: Usage,
        /// Whether the claim is too low to believe.
        disbelieved: bool,
    },
    /// A program in the process's sandbox listens: the process owns that.
    PortOpened {
        /// Where, and which program.
        port: Port,
    },
    /// Nobody there listens at this address any more.
    PortClosed {
        /// Where.
        address: String,
    },
    /// An operator has a port of the process's sandbox reached from the host, until their connection ends.
    Forwarded {
        /// Where programs there listen.
        port: u16,
        /// The port of the host's own address.
        at: u16,
    },
    /// What the process's program has written so far waits beside the tree: all of it, not what is new of it.
    Drafted {
        /// Its changes as text ([`crate::view::layer`]), a blob.
        layer: Content,
        /// How many.
        changes: u64,
        /// The label of what it wrote.
        label: LabelId,
    },
    /// An operator has kept or dropped a draft. What was kept is in a record `wrote` after this one.
    DraftEnded {
        /// Whose.
        of: Pid,
        /// Whether it was kept.
        kept: bool,
    },
    /// A program that speaks a protocol is told something, in a session of its own.
    ExecPrompted {
        /// Its command.
        exec: ExecId,
        /// What it calls that session, a blob.
        session: Content,
        /// Words that joined; none: its task.
        words: Option<Content>,
    },
}
