//! Everything that can happen to a workspace: one closed enum. Time arrives inside events.

use crate::{
    Content, EffectId, Error, ExecId, Hash, Micros, Pid, ReplyTo, Seq, TimerId,
    agent::Policy,
    call::{Call, Wall},
    manifest::Manifest,
    model::Models,
    money::{Nano, Price, Usage},
    net::Asked,
    path::TreePath,
    record::{Finish, Port, Used},
    tree::Merge,
    view::{Change, Commit, Told},
};
use alloc::{boxed::Box, string::String, vec::Vec};

/// One thing that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Wall time, as the machine's clock said; the kernel never lets it run backwards.
    pub at: Micros,
    /// Monotonic time, for deadlines and for noticing that the wall clock jumped.
    pub mono: Micros,
    /// What.
    pub body: Body,
}

/// Who makes a call, as the door found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A person, by the peer's user id: who runs the node, or root.
    Operator(String),
    /// A person whom an admin has added: somebody only where policy lists them.
    Added(String),
    /// A process, by its token.
    Process(Pid),
}

/// What a provider alleges, until [`Claimed::check`] compared it with our own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed<T>(T);

impl<T> Claimed<T> {
    /// Something somebody said.
    pub fn new(said: T) -> Self {
        Self(said)
    }
}

impl Claimed<Usage> {
    /// The claim itself, for the log; nothing is decided by it.
    pub fn said(&self) -> Usage {
        self.0
    }

    /// The usage to charge, and whether the claim was too low to believe. Below half of our own count, ours
    /// is charged; absurdly high claims are charged as they are: the provider will bill them.
    pub fn check(&self, counted: &Usage) -> (Usage, bool) {
        let cached = self.0.tokens_cached.saturating_add(self.0.tokens_written);
        let said_in = self.0.tokens_in.saturating_add(cached);
        let low_in = said_in < counted.tokens_in / 2;
        let low_out = self.0.tokens_out < counted.tokens_out / 2;
        let mut usage = self.0;
        if low_in {
            usage.tokens_in = counted.tokens_in.saturating_sub(cached);
        }
        if low_out {
            usage.tokens_out = counted.tokens_out;
        }
        (usage, low_in || low_out)
    }
}

/// Why a model stopped.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, musli::Encode, musli::Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// It had said all.
    End,
    /// It wants tools run.
    Tools,
    /// It reached its output limit.
    Length,
    /// We ended the stream.
    Cut,
}

/// How a model call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelOutcome {
    /// With an answer, which lies in the blob table.
    Answered {
        /// The answer, canonical JSON.
        answer: Content,
        /// Tool calls in it.
        tools: u32,
        /// Why it stopped.
        stop: Stop,
        /// What the provider says it used.
        usage: Claimed<Usage>,
        /// What we counted.
        counted: Usage,
        /// The answer to a program as it came, packed, in pieces.
        body: Vec<Content>,
    },
    /// With none.
    Failed {
        /// What went wrong.
        message: Content,
        /// Whether trying again can help.
        again: bool,
        /// The other side said not to come back before so long.
        after_us: Option<u64>,
        /// What we counted before it failed: a provider charges what it began to say.
        counted: Usage,
    },
}

/// How another effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectOutcome {
    /// It happened; what the other side said.
    Done(Content),
    /// It did not happen; why.
    Failed(Content),
}

/// How a command ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub how: Finish,
    /// The wall it ran in.
    pub wall: Wall,
    /// What it said, both streams as they came; the middle is left out of a long one.
    pub output: String,
    /// All of it, if that is more.
    pub whole: Option<Content>,
    /// Bytes that it said.
    pub bytes: u64,
    /// What it used.
    pub used: Used,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It had happened.
    Happened(Content),
    /// It had not.
    Absent,
    /// The other side cannot say.
    Unknown,
}

/// What happened. Each has one arm in the kernel's `plan` and one in its `step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The first event of a new workspace.
    Genesis {
        /// Random; found in every file of it.
        id: [u8; 16],
        /// Rules of the sink table it lacks; empty but for demonstrations.
        lacks: Vec<u8>,
    },
    /// The workspace was loaded from disk (first event after every load, also after genesis). Effects that
    /// were under way are taken up again by the table of deaths.
    Woke {
        /// Money the node lends to the workspace until it sleeps or is lent more: the limit of its root
        /// account.
        lease: Nano,
        /// Effects and model calls that outlived the load: somebody still works at them, or what came of them
        /// is one of the next events. They are not taken up again.
        under_way: Vec<EffectId>,
    },
    /// The workspace was made of a backup, and its original may go on elsewhere: it is told once, before it
    /// wakes for the first time. Nothing of it acts by itself after that.
    Restored,
    /// The node lends anew.
    Leased {
        /// All that the workspace may spend, counted from when it woke.
        lease: Nano,
    },
    /// `/sys/policy.yaml` and `/sys/budget.yaml` were read.
    PolicyLoaded {
        /// Hash of the policy's bytes.
        digest: Hash,
        /// Both, parsed.
        policy: Policy,
    },
    /// The node's price table has this row.
    Priced {
        /// Model name.
        model: String,
        /// Its row.
        price: Price,
    },
    /// A driver was attached.
    Mounted {
        /// At `/integrations/NAME`.
        mount: String,
        /// Which driver.
        driver: String,
        /// What it needs to know.
        argument: String,
        /// What it declares.
        manifest: Manifest,
    },
    /// A directory of the host was looked at, and can be part of the tree.
    Bound {
        /// Which.
        dir: TreePath,
        /// Whether it is somebody else's work.
        external: bool,
    },
    /// Something in bound directories is not as the tree says: somebody outside changed it, or nobody had
    /// looked at it yet.
    Noticed {
        /// Who waits for it to be decided: a number of the machine's.
        number: u64,
        /// What stands there, over the heads that were looked at; in order.
        commit: Commit,
    },
    /// What a record says stands in bound directories. What stood there instead of what was expected has been
    /// noticed before.
    Placed {
        /// Which record.
        seq: Seq,
        /// What could not be done, in words.
        failed: Vec<(TreePath, String)>,
    },
    /// A draft that is to be kept was read.
    DraftRead {
        /// Who waits.
        reply: ReplyTo,
        /// Whose.
        pid: Pid,
        /// Its text.
        layer: Content,
        /// What it changes, or why that cannot be read.
        read: Result<Vec<Change>, Error>,
    },
    /// A control word that the machine carries out has been carried out, or not.
    ControlEnded {
        /// Who waits.
        reply: ReplyTo,
        /// How it went.
        result: Result<(), Error>,
    },
    /// A call came through the door.
    Call {
        /// From whom.
        caller: Caller,
        /// Where the answer goes.
        reply: ReplyTo,
        /// What.
        call: Call,
    },
    /// The client that waits for this answer has gone.
    Left {
        /// The answer nobody waits for.
        reply: ReplyTo,
    },
    /// A tool call was taken out of a durable model answer.
    Tool {
        /// By which turn.
        pid: Pid,
        /// In which step.
        step: u32,
        /// Which of the answer's tool calls.
        index: u32,
        /// The tool's name, as the model wrote it; at most 64 bytes.
        name: String,
        /// Its arguments as the model wrote them, a blob.
        args: Content,
        /// The same, decoded as the door decodes.
        call: Result<Call, Error>,
    },
    /// A model's answer is streaming.
    ModelProgress {
        /// Which call.
        effect: EffectId,
        /// Output tokens so far, by our count.
        tokens_out: u64,
    },
    /// A model call ended.
    ModelEnded {
        /// Which call.
        effect: EffectId,
        /// Which attempt at it.
        attempt: u32,
        /// How.
        outcome: ModelOutcome,
    },
    /// The record that announces the effect is durable.
    Armed {
        /// Which effect.
        effect: EffectId,
    },
    /// An effect ended.
    EffectEnded {
        /// Which effect.
        effect: EffectId,
        /// How.
        outcome: EffectOutcome,
    },
    /// The other side was asked whether an effect happened.
    EffectProbed {
        /// Which effect.
        effect: EffectId,
        /// What it said.
        found: Probed,
    },
    /// A mount delivered a file.
    Arrived {
        /// Which mount.
        mount: String,
        /// Path below `/integrations/MOUNT`.
        path: TreePath,
        /// Its bytes.
        content: Content,
    },
    /// A command ended.
    ExecEnded {
        /// Which.
        exec: ExecId,
        /// How.
        ran: Ran,
        /// What it made and was told.
        commit: Commit,
        /// Whether what it made is to be kept; what it was told counts in any case.
        keep: bool,
    },
    /// Programs in a process's sandbox have been told this, and one of them is about to call.
    ExecTold {
        /// Whose sandbox.
        pid: Pid,
        /// What.
        told: Told,
    },
    /// A program in a process's sandbox wants to speak to somebody.
    Connect {
        /// Whose sandbox.
        pid: Pid,
        /// Who waits to connect.
        reply: ReplyTo,
        /// To whom.
        asked: Asked,
    },
    /// A program in a process's sandbox was let go to somebody, and did not get there.
    Unreached {
        /// Whose sandbox.
        pid: Pid,
        /// To whom.
        asked: Asked,
        /// What stood in its way; a line.
        why: String,
    },
    /// A service was tried, and it works again, or does not any more.
    ExecChecked {
        /// Its command.
        exec: ExecId,
        /// Why it does not; none: it works.
        why: Option<String>,
    },
    /// A program that is a process has said and written so much, and goes on.
    ExecWrote {
        /// Its command.
        exec: ExecId,
        /// What it said since the last time, cut.
        said: String,
        /// What it made since.
        commit: Commit,
    },
    /// A program that is a process says what its models used.
    ExecClaimed {
        /// Its command.
        exec: ExecId,
        /// What it says.
        usage: Claimed<Usage>,
    },
    /// A program that speaks a protocol has a session, or has ended a turn in it: what is it told next?
    ExecTurned {
        /// Its command.
        exec: ExecId,
        /// What it calls that session, a blob.
        session: Content,
        /// Turns that it has ended.
        turns: u32,
    },
    /// Everything in a process's sandbox has ended, as was asked.
    SandboxEnded {
        /// Whose.
        pid: Pid,
    },
    /// Programs in a process's sandbox listen at these addresses now, and at no other.
    Listens {
        /// Whose sandbox.
        pid: Pid,
        /// Each once.
        ports: Vec<Port>,
    },
    /// A timer the kernel asked for has run out.
    TimerFired {
        /// Which.
        timer: TimerId,
    },
    /// An event comes again, with the merges that deciding it asked for.
    Merged {
        /// It.
        of: Box<Body>,
        /// Each with its result; none when it is not clean.
        merges: Vec<(Merge, Option<Content>)>,
        /// For the how-manieth time; the head may have moved meanwhile.
        round: u32,
    },
    /// An event killed its workspace too often and was set aside.
    Quarantined {
        /// Hash of the event.
        digest: Hash,
        /// What it was; a word.
        what: String,
    },
    /// `/sys/models.yaml` and the dated price table were read.
    ModelsLoaded {
        /// Hash of both.
        digest: Hash,
        /// What they say.
        models: Models,
    },
}

impl Body {
    /// A word for what it is, for alarms and traces.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Genesis { .. } => "genesis",
            Self::Woke { .. } => "woke",
            Self::Restored => "restored",
            Self::Leased { .. } => "leased",
            Self::PolicyLoaded { .. } => "policy-loaded",
            Self::Priced { .. } => "priced",
            Self::Mounted { .. } => "mounted",
            Self::Bound { .. } => "bound",
            Self::Noticed { .. } => "noticed",
            Self::Placed { .. } => "placed",
            Self::DraftRead { .. } => "draft-read",
            Self::ControlEnded { .. } => "control-ended",
            Self::Call { call, .. } => call.name(),
            Self::Left { .. } => "left",
            Self::Tool { .. } => "tool",
            Self::ModelProgress { .. } => "model-progress",
            Self::ModelEnded { .. } => "model-ended",
            Self::Armed { .. } => "armed",
            Self::EffectEnded { .. } => "effect-ended",
            Self::EffectProbed { .. } => "effect-probed",
            Self::Arrived { .. } => "arrived",
            Self::ExecEnded { .. } => "exec-ended",
            Self::ExecChecked { .. } => "exec-checked",
            Self::ExecWrote { .. } => "exec-wrote",
            Self::ExecTold { .. } => "exec-told",
            Self::ExecClaimed { .. } => "exec-claimed",
            Self::ExecTurned { .. } => "exec-turned",
            Self::Connect { .. } => "connect",
            Self::Unreached { .. } => "unreached",
            Self::Listens { .. } => "listens",
            Self::SandboxEnded { .. } => "sandbox-ended",
            Self::TimerFired { .. } => "timer-fired",
            Self::Merged { of, .. } => of.word(),
            Self::Quarantined { .. } => "quarantined",
            Self::ModelsLoaded { .. } => "models-loaded",
        }
    }
}
