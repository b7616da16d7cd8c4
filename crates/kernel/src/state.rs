//! The tables. All that is alive and must survive a restart is in [`State`]; what is closed lives in the log.
//! Ordered maps only. Fields are numbered by position on disk: add at the end, never reorder.

use abi::{
    AccountId, CapId, Content, EffectId, ExecId, FileId, Hash, LabelId, Micros, OpId, Pid, ProposalId,
    ReplyTo, Seq, TimerId, VersionId, WORKSPACE,
    agent::{Policy, Postcondition, Restart, Verdict},
    answer::Answer,
    call::{Origin, Wall},
    cap::Cap,
    effect::Item,
    label::{Integrity, Label},
    manifest::{Manifest, Recovery},
    model::Models,
    money::{AccountName, Amounts, Limit, Nano, Price, Resource, Window},
    path::TreePath,
    record::{Exit, Freeze, Rule, TimerFor, WaitOn},
    session::{LaneName, SessionName},
    tree::Retain,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use musli::{Decode, Encode};

/// The workspace's own account, above all others.
pub const ROOT_ACCOUNT: AccountId = AccountId(1);

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct State {
    pub id: [u8; 16],
    /// Rules of the sink table this workspace was made without.
    pub lacks: Vec<u8>,
    pub seq: Seq,
    /// Time of the last record; never runs backwards.
    pub at: Micros,
    pub next: Counters,
    pub labels: BTreeMap<LabelId, Label>,
    pub policy: Option<Loaded>,
    pub prices: BTreeMap<String, Price>,
    pub mounts: BTreeMap<String, Mount>,
    pub accounts: BTreeMap<AccountId, Account>,
    /// Money the node lends, and what of it is spent since.
    pub lease: Nano,
    pub lease_used: i64,
    pub caps: BTreeMap<CapId, Cap>,
    pub processes: BTreeMap<Pid, Process>,
    pub runs: BTreeMap<Pid, Run>,
    /// The last processes that ended; bounded.
    pub ended: BTreeMap<Pid, Ended>,
    pub lanes: BTreeMap<LaneName, Vec<Queued>>,
    pub model_calls: BTreeMap<EffectId, ModelRow>,
    pub effects: BTreeMap<EffectId, EffectRow>,
    pub proposals: BTreeMap<ProposalId, Proposal>,
    /// How the last proposals were decided; bounded.
    pub ruled: BTreeMap<ProposalId, Ruled>,
    pub timers: BTreeMap<TimerId, Timer>,
    /// How many versions are kept, by path.
    #[musli(default)]
    pub retain: Vec<Retain>,
    /// Money that moved, and on which UTC day, at mounts that are taken away: it counts when they come back.
    #[musli(default)]
    pub moved: BTreeMap<String, (Nano, u64)>,
    /// HOMEs that last, by agent.
    #[musli(default)]
    pub homes: BTreeMap<String, HomeRow>,
    /// What `apply` made of the log when this was written; see `SHAPE`.
    #[musli(default)]
    pub shape: u32,
    /// Tiers and prices.
    #[musli(default)]
    pub models: Option<LoadedModels>,
    /// Nothing starts.
    #[musli(default)]
    pub stopped: Option<Stopped>,
    /// The accounts of mounts, by mount: they stand beside the tree, and count effects and money that moves.
    #[musli(default)]
    pub mount_accounts: BTreeMap<String, AccountId>,
    /// What was said in sessions; bounded.
    #[musli(default)]
    pub sessions: BTreeMap<LaneName, Session>,
    /// Commands that run.
    #[musli(default)]
    pub execs: BTreeMap<ExecId, ExecRow>,
    /// Directories of the host that are part of the tree, and the label of what stands there.
    #[musli(default)]
    pub bound: BTreeMap<TreePath, LabelId>,
    /// Records of which not everything stands in bound directories yet.
    #[musli(default)]
    pub unplaced: BTreeSet<Seq>,
    /// What programs wrote and nobody has kept or dropped yet, by the process that did.
    #[musli(default)]
    pub drafts: BTreeMap<Pid, DraftRow>,
    /// Where programs in sandboxes listen, by the process that owns that.
    #[musli(default)]
    pub ports: BTreeMap<Pid, Ports>,
    /// Of each agent whose programs pay at their own service.
    #[musli(default)]
    pub login_time: BTreeMap<String, DayTime>,
}

/// Where programs of one sandbox listen.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Ports {
    /// By address: the program, and since when.
    pub open: BTreeMap<String, (String, Micros)>,
    /// The hour since the epoch in which the last ones were recorded, and how many.
    pub hour: (u64, u32),
}

/// Counts what a new version of `apply` derives from records that were there before. A snapshot of another
/// shape is not taken: the log is replayed, and everything derived is there.
pub const SHAPE: u32 = 4;

/// A draft.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct DraftRow {
    /// Who wrote it; a principal.
    pub actor: String,
    /// Its changes, as text.
    pub layer: Content,
    /// How many.
    pub changes: u64,
    /// The label of what was written.
    pub label: LabelId,
    /// The last record of it, and when that was.
    pub seq: Seq,
    pub at: Micros,
}

/// An emergency stop that holds.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Stopped {
    /// Since when.
    pub at: Micros,
    /// Who said so; a principal.
    pub by: String,
}

/// The last id of each kind that was given away.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Counters {
    pub pid: Pid,
    pub cap: CapId,
    pub account: AccountId,
    pub label: LabelId,
    pub file: FileId,
    pub version: VersionId,
    pub op: OpId,
    pub proposal: ProposalId,
    pub timer: TimerId,
    #[musli(default)]
    pub exec: ExecId,
}

/// The policy in force.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Loaded {
    pub digest: Hash,
    pub policy: Policy,
}

/// The models in force.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct LoadedModels {
    /// Of `/sys/models.yaml` and the dated table.
    pub digest: Hash,
    pub models: Models,
}

/// An integration.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Mount {
    pub driver: String,
    pub argument: String,
    pub manifest: Manifest,
    /// Money that moved here without or with a prompt on the UTC day `moved_day`.
    #[musli(default)]
    pub moved: Nano,
    #[musli(default)]
    pub moved_day: u64,
}

/// A node of the budget tree.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Account {
    pub parent: Option<AccountId>,
    pub name: AccountName,
    pub limits: Vec<Limit>,
    /// Settled, as long as the account lives.
    pub used: Amounts,
    /// The UTC day `day_used` counts.
    pub day: u64,
    pub day_used: Amounts,
    /// Reserved and not yet settled.
    pub reserved: Amounts,
    /// What is settled in the present hour and month.
    #[musli(default)]
    pub hour: Counted,
    #[musli(default)]
    pub month: Counted,
    /// Limits that an operator's word set; the files leave them alone until they say something new.
    #[musli(default)]
    pub worded: Vec<(Resource, Window)>,
    /// Of which limits the operator has been told in which window that they come near.
    #[musli(default)]
    pub warned: Vec<(Resource, Window, u64)>,
}

/// What was settled in one hour, or one month.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Counted {
    /// Which: see `Window::number`.
    pub number: u64,
    pub used: Amounts,
}

/// What all processes of one run share: the words at its root.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Run {
    pub task: Content,
    /// Whether the task is an operator's own words.
    pub own_words: bool,
    /// Hashes of (mount, kind, steering value) that an operator approved in this run.
    pub approved: BTreeSet<Hash>,
    /// Effects that went out under an external label because somebody vouched for where they go.
    #[musli(default)]
    pub sends: u32,
    /// Bits of choice that endorsing channels let through.
    #[musli(default)]
    pub bits: u32,
    /// The record by which it first read what is external.
    #[musli(default)]
    pub external: Option<Seq>,
}

/// A living process.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Process {
    pub parent: Pid,
    pub run: Pid,
    pub agent: String,
    pub account: AccountId,
    pub label: LabelId,
    pub task: Content,
    pub model: String,
    pub tools: Vec<String>,
    pub post: Vec<Postcondition>,
    pub restart: Restart,
    pub restarts: u32,
    pub lane: bool,
    pub frozen: Option<Freeze>,
    pub started: Micros,
    /// Its last record: cause of the next.
    pub seq: Seq,
    pub turn: Turn,
    pub progress: Progress,
    pub budget: Option<Nano>,
    /// Version of a path that its turn saw last: the base of its next write. Durable, since the turn outlives
    /// the daemon, and its text was made from what it saw before.
    #[musli(default)]
    pub seen: BTreeMap<TreePath, VersionId>,
    /// What lies below it is invisible to it.
    #[musli(default)]
    pub ceiling: Integrity,
    /// The operator on whose behalf it runs.
    #[musli(default)]
    pub by: String,
    /// How long it may take.
    #[musli(default)]
    pub wall_us: Option<u64>,
    /// The session that its turn goes on with.
    #[musli(default)]
    pub session: Option<SessionName>,
    /// What its program writes is a draft.
    #[musli(default)]
    pub draft: bool,
    /// Its program pays at its own service.
    #[musli(default)]
    pub own_login: bool,
    /// What its program calls the session that it speaks in, a blob; of one whose HOME lasts.
    #[musli(default)]
    pub talks: Option<Content>,
}

/// How long processes that ended were there, on one day.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DayTime {
    /// Which: see `Window::number`.
    pub day: u64,
    pub us: Micros,
}

/// Whether a program that speaks a protocol is told more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Once its turn has ended.
    Goes,
    /// It was told to stop.
    Stops,
    /// It was told that nothing waits.
    Over,
}

/// A HOME that lasts: what lies in it has no label of its own, so it bears what its runs were told.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct HomeRow {
    /// Labels of what they were told, each.
    pub labels: BTreeSet<LabelId>,
    /// The process that has it now: one at a time, so that nothing goes through it between two.
    pub held: Option<Pid>,
}

/// A conversation with an agent, as far as it is remembered.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Session {
    /// Oldest first.
    pub exchanges: Vec<Exchange>,
    /// Whether older ones were left out.
    pub cut: bool,
    /// The join of all that its turns saw.
    pub label: LabelId,
    /// The record by which its last turn began or ended.
    pub seq: Seq,
    /// What a program that speaks a protocol calls it, a blob.
    #[musli(default)]
    pub talks: Option<Content>,
}

/// One turn of it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Exchange {
    pub pid: Pid,
    /// The words it began with, and those that joined.
    pub said: Vec<Content>,
    /// Its last words.
    pub answer: Option<Content>,
    /// How it ended; none while it lives.
    pub exit: Option<Exit>,
}

/// The model + tools loop of a process.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Turn {
    pub step: u32,
    /// Attempts at the present step's model call.
    pub attempt: u32,
    /// Failed model calls in a row.
    pub failures: u32,
    /// Model calls of the present step whose outcome was lost.
    pub lost: u32,
    /// The last request, which the next one builds on.
    pub prev: Option<EffectId>,
    /// What the last request contained.
    pub items: Vec<Item>,
    /// What the next request adds.
    pub pending: Vec<Item>,
    pub phase: Phase,
    /// Models of its tier that failed for good.
    #[musli(default)]
    pub given_up: Vec<String>,
}

/// Where a turn stands; every crash resumes here.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Phase {
    /// The next model call may start.
    Ready,
    /// A model call is under way.
    Model { effect: EffectId },
    /// Tool calls of an answer are being made; `next` is the one to make.
    Tools { answer: Content, count: u32, next: u32 },
    /// A tool call waits for its outcome.
    Waits { answer: Content, count: u32, index: u32, name: String, args: Content, on: WaitOn, about: String },
    /// A pause before the next model call, until a timer fires.
    Paused,
    /// It has no turn: a program that shows its token acts for it.
    Client,
    /// It has no turn: it is a program.
    Native,
}

/// Whether a turn gets on.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Progress {
    /// Short hash of the last (tool, arguments, outcome).
    pub last: u64,
    pub repeats: u32,
    pub idle_calls: u32,
    pub idle_spend: i64,
    /// Short hashes of calls, answers, versions and contents, the oldest first.
    pub known: Vec<u64>,
    /// Whether something new was made since the last tool call.
    pub made_new: bool,
    /// When it began to wait.
    pub waits_since: Micros,
}

/// What is left of a process that ended.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Ended {
    pub parent: Pid,
    pub run: Pid,
    pub agent: String,
    pub label: LabelId,
    pub step: u32,
    pub used: Amounts,
    pub exit: Exit,
    pub verdict: Verdict,
    pub result: Option<Content>,
    pub started: Micros,
    pub at: Micros,
    pub task: Content,
    /// What a restart needs.
    pub restarts: u32,
    pub own_words: bool,
    pub post: Vec<Postcondition>,
    pub task_label: LabelId,
    pub budget: Option<Nano>,
    #[musli(default)]
    pub ceiling: Integrity,
    /// What its run had sent, if it was the root of it: whoever is restarted goes on counting.
    #[musli(default)]
    pub sends: u32,
    #[musli(default)]
    pub by: String,
    #[musli(default)]
    pub session: Option<SessionName>,
    #[musli(default)]
    pub talks: Option<Content>,
}

/// A dispatch in an agent's lane.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Queued {
    /// Who dispatched it: its run begins inside that one's rights and money.
    pub from: Pid,
    pub text: Content,
    pub origin: Origin,
    pub label: LabelId,
    /// On whose behalf.
    #[musli(default)]
    pub by: String,
}

/// A model call under way.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ModelRow {
    pub pid: Pid,
    /// 0: a bare `complete`, not a turn's.
    pub step: u32,
    pub attempt: u32,
    pub model: String,
    pub account: AccountId,
    pub items: Vec<Item>,
    pub reserved: Amounts,
    pub reserved_out: u64,
    pub max_out: u64,
    pub seq: Seq,
    /// The run it belongs to, and the agent or the principal that called by itself.
    #[musli(default)]
    pub run: Pid,
    #[musli(default)]
    pub agent: String,
}

/// How far an effect has come.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub enum Stage {
    /// Recorded; the driver has not seen it.
    Intended,
    /// The driver may have seen it.
    Dispatched,
    /// Nobody knows.
    InDoubt,
}

/// Another effect under way.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct EffectRow {
    pub pid: Pid,
    pub account: AccountId,
    pub mount: String,
    pub kind: String,
    pub args: Content,
    pub recovery: Recovery,
    pub stage: Stage,
    pub reserved: Amounts,
    pub proposal: Option<ProposalId>,
    pub seq: Seq,
    /// Money that it moves at its mount.
    #[musli(default)]
    pub moves: Nano,
    /// The UTC day on which that was counted.
    #[musli(default)]
    pub moves_day: u64,
    /// The agent that asked for it, also when its process has ended.
    #[musli(default)]
    pub agent: String,
    /// The mount's account, if it had one when this was decided.
    #[musli(default)]
    pub mount_account: Option<AccountId>,
}

/// A command that runs.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ExecRow {
    /// In whose sandbox.
    pub of: Pid,
    /// Who asked for it; a principal.
    pub actor: String,
    pub text: Content,
    pub dir: TreePath,
    pub wall: Wall,
    pub timeout_us: u64,
    pub again: u32,
    pub seq: Seq,
    /// It is the process itself.
    #[musli(default)]
    pub main: bool,
    /// Whether it works, as far as that was tried.
    #[musli(default)]
    pub works: Option<bool>,
    /// The host that was first sent something which it may have acted upon.
    #[musli(default)]
    pub sent: Option<String>,
}

/// Something that waits for an operator.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Proposal {
    pub effect: EffectId,
    pub pid: Pid,
    pub run: Pid,
    pub agent: String,
    /// Empty for a held call.
    pub mount: String,
    pub kind: String,
    pub args: Content,
    pub digest: Hash,
    pub label: LabelId,
    pub rule: Rule,
    pub about: String,
    pub paths: Vec<TreePath>,
    pub steering: Vec<Hash>,
    pub expires: Micros,
    pub made: Seq,
    pub content: Option<Content>,
    /// The first of its group: asks of one process, step and kind are one prompt.
    #[musli(default)]
    pub group: Option<ProposalId>,
    /// The step of the turn that asked; 0 for a client.
    #[musli(default)]
    pub step: u32,
}

/// How a proposal was decided.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub enum Ruled {
    Approved,
    Rejected,
    Expired,
    Answered,
    Modified,
}

impl Ruled {
    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Answered => "answered",
            Self::Modified => "modified",
        }
    }
}

/// A timer that runs.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Timer {
    pub purpose: TimerFor,
    pub due: Micros,
}

/// What a crash may lose.
#[derive(Clone, Debug, Default)]
pub struct Volatile {
    /// The same of a process that calls through a client, and dies with the daemon.
    pub seen: BTreeMap<Pid, BTreeMap<TreePath, Option<VersionId>>>,
    /// Clients that wait.
    pub clients: BTreeMap<ReplyTo, Client>,
    /// Timers of clients; ids from the upper half, so that they never meet those of the log.
    pub timers: BTreeMap<TimerId, ReplyTo>,
    pub timers_made: u64,
    /// Effects whose outcome a restart has to find out once a stop is lifted.
    pub put_off: BTreeSet<EffectId>,
    /// Processes that have a sandbox.
    pub boxed: BTreeSet<Pid>,
    /// Those of them that are programs which speak a protocol.
    pub spoken: BTreeMap<Pid, Speech>,
    /// Labels of what programs in the operator's sandbox were told, as long as it stands.
    pub opened: BTreeSet<LabelId>,
    /// Grows with each revocation.
    pub generation: u64,
    /// When what a sandbox shows, or may speak to, was given until, and whose it is.
    pub ends: BTreeSet<(Micros, Pid)>,
    /// Connections that an operator said no to, by process and what would allow them: until when nobody is
    /// asked again. They end with the daemon, as the programs do that would try.
    pub turned_down: BTreeMap<(Pid, Hash), Micros>,
    /// Changes of guarded places by programs that go on, by what their proposals named: where, and whether
    /// the answer was no.
    pub closed: BTreeMap<(Pid, Hash), (TreePath, bool)>,
    /// Wall and monotonic time of the last event, to notice a jump.
    pub clocks: Option<(Micros, Micros)>,
}

/// What a client waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Client {
    /// The end of a process, a proposal, or a time; who asks sees the result, so its label rises.
    On { by: Pid, pid: Option<Pid>, proposal: Option<ProposalId> },
    /// A model call of its own.
    Model(EffectId),
    /// An effect of its own.
    Effect(EffectId),
    /// A command that it had run; who asks hears what it said, so its label rises.
    Exec { by: Pid, exec: ExecId },
    /// The same event, with the merges it asked for.
    Merge,
    /// A control word that the machine carries out.
    Control,
    /// A draft that this operator keeps.
    Keep(String),
    /// What runs in these sandboxes is to end; what it answers when it has.
    Ends { pids: BTreeSet<Pid>, answer: Box<Answer> },
    /// A purge; what it answers when the bytes are out of every file.
    Scrub(Box<Answer>),
}

impl Client {
    /// Who waits for a process, if a process does.
    pub fn by(&self) -> Option<abi::Pid> {
        match self {
            Self::On { by, .. } => Some(*by),
            Self::Model(_)
            | Self::Effect(_)
            | Self::Exec { .. }
            | Self::Control
            | Self::Keep(_)
            | Self::Merge
            | Self::Ends { .. }
            | Self::Scrub(_) => None,
        }
    }
}

impl Process {
    /// Whether it waits for something that needs no memory: a person, or a time that a timer will bring.
    pub fn sleeps(&self) -> bool {
        match &self.turn.phase {
            Phase::Ready | Phase::Model { .. } | Phase::Tools { .. } | Phase::Native => false,
            Phase::Paused | Phase::Client => true,
            Phase::Waits { on, .. } => !matches!(on, WaitOn::Effect(_) | WaitOn::Exec(_)),
        }
    }
}

impl State {
    /// Whether the sink table has this rule here.
    pub fn has_rule(&self, rule: u8) -> bool {
        !self.lacks.contains(&rule)
    }

    /// The process and all below it, parents first.
    pub fn subtree(&self, top: Pid) -> Vec<Pid> {
        let mut found = Vec::new();
        let mut todo = alloc::vec![top];
        while let Some(pid) = todo.pop() {
            if self.processes.contains_key(&pid) {
                found.push(pid);
            }
            // Children have higher ids than their parent, so the range is all that can be below.
            let children = self.processes.range(pid.next()..).filter(|(_, process)| process.parent == pid);
            todo.extend(children.map(|(child, _)| *child));
        }
        found
    }

    /// Whether `above` is `pid` or one of those above it.
    pub fn is_above(&self, above: Pid, pid: Pid) -> bool {
        let mut at = pid;
        for _ in 0..=abi::limits::PROCESS_DEPTH_MAX {
            if at == above {
                return true;
            }
            let parent = self.processes.get(&at).map(|process| process.parent);
            match parent.or_else(|| self.ended.get(&at).map(|ended| ended.parent)) {
                Some(parent) if at != WORKSPACE => at = parent,
                _ => return false,
            }
        }
        false
    }
}
