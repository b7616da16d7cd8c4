//! Everything that can be done on the kernel's word: one closed enum, each with its gate.

use crate::{
    Content, EffectId, Error, ExecId, Hash, Pid, ReplyTo, Seq, TimerId,
    agent::{Guest, Probe},
    answer::Answer,
    call::Wall,
    control::Control,
    path::TreePath,
    record::Record,
    request::Asked,
    tree::Merge,
    view::{Bound, Plan},
};
use alloc::{boxed::Box, string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// When an effect may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// After the commit of its record.
    Durable,
    /// At once: it dies with the daemon.
    Ordered,
}

/// Whose words an item of a model's context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The agent's prompt.
    System,
    /// The task, a dispatch, a note of the kernel.
    User,
    /// An answer of the model (canonical JSON with its tool calls).
    Assistant,
    /// The result of the tool call of that index in the answer before it.
    Tool(u32),
}

/// One item of a model's context: a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Item {
    /// Whose.
    pub role: Role,
    /// The bytes.
    pub content: Content,
}

/// A model call, ready to be expanded from the blob table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCall {
    /// Its name.
    pub effect: EffectId,
    /// First or second attempt at it.
    pub attempt: u32,
    /// For which process.
    pub pid: Pid,
    /// The process at the root of its run; itself for a bare call.
    pub run: Pid,
    /// Which model.
    pub model: String,
    /// The whole context, in order.
    pub items: Vec<Item>,
    /// Tools it may call.
    pub tools: Vec<String>,
    /// Output tokens reserved so far; the stream asks for more by `ModelProgress`.
    pub reserved_out: u64,
    /// Output tokens at most.
    pub max_out: u64,
    /// Who asks, if it is a program's own request.
    pub asked: Option<(Asked, ReplyTo)>,
}

/// A command, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub exec: ExecId,
    /// In whose sandbox.
    pub pid: Pid,
    /// The agent, for whom it has a home that lasts.
    pub agent: String,
    /// What to run, a blob.
    pub text: Hash,
    /// Where.
    pub dir: TreePath,
    /// In which wall; `Auto` begins low and may go up to `Native`.
    pub wall: Wall,
    /// What it sees.
    pub plan: Plan,
    /// At most so long.
    pub timeout_us: u64,
    /// How one sees whether it works, if it is a service.
    pub probe: Option<Probe>,
    /// What it is given.
    pub guest: Guest,
    /// What it is told to do by the protocol that it speaks, a blob.
    pub task: Option<Hash>,
    /// What it calls the session that it goes on with, a blob.
    pub session: Option<Hash>,
    /// The client that wants its output as it comes.
    pub reply: Option<ReplyTo>,
}

/// What becomes of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxAct {
    /// Everything in it stands still.
    Freeze,
    /// And goes on.
    Thaw,
    /// Everything in it ends; nothing of it is left.
    End,
    /// It goes on; what its programs have open to others is cut.
    Cut,
    /// Its process, which speaks a protocol, is told to stop, and is ended if it does not.
    Interrupt,
}

/// What to do. Carried out by the machine, one arm each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a client.
    Reply {
        /// Which.
        to: ReplyTo,
        /// What.
        answer: Result<Answer, Error>,
    },
    /// Call a model.
    Model(ModelCall),
    /// More output is reserved for a running model call.
    Extend {
        /// Which.
        effect: EffectId,
        /// Output tokens reserved in all.
        reserved_out: u64,
    },
    /// End a model's stream as if it had reached its length.
    Cut {
        /// Which.
        effect: EffectId,
    },
    /// Run a command in a process's sandbox, and bring `ExecEnded`.
    Exec(Box<Command>),
    /// End a command; what it made is discarded.
    EndExec {
        /// Which.
        exec: ExecId,
    },
    /// What a command made is decided: kept whole, or discarded whole.
    ExecDecided {
        /// Which.
        exec: ExecId,
        /// In whose sandbox.
        pid: Pid,
        /// Whether it is kept.
        kept: bool,
        /// The tree that came of it and what is shown of that, where the program goes on.
        plan: Option<Box<Plan>>,
    },
    /// What was noticed in bound directories is decided.
    NoticeDecided {
        /// Who waits.
        number: u64,
        /// The tree that came of it is the one after this record.
        seq: Seq,
    },
    /// Let stand in bound directories what the record says, and bring `Placed`.
    Place {
        /// Which record.
        seq: Seq,
    },
    /// A process's sandbox and all that runs in it.
    Sandbox {
        /// Whose.
        pid: Pid,
        /// What becomes of it.
        act: SandboxAct,
    },
    /// Take tool call `index` out of the answer and bring it as `Body::Tool`.
    Tool {
        /// Of which turn.
        pid: Pid,
        /// In which step.
        step: u32,
        /// Which of the calls.
        index: u32,
        /// The answer.
        answer: Hash,
    },
    /// Say `Armed` when everything decided so far is durable.
    Arm {
        /// Which effect.
        effect: EffectId,
    },
    /// Have a driver do it.
    Dispatch {
        /// Which effect.
        effect: EffectId,
        /// At which mount.
        mount: String,
        /// What.
        kind: String,
        /// The recorded argument bytes (musli of `Fields`), a blob.
        args: Hash,
    },
    /// Ask a driver whether it happened.
    Probe {
        /// Which effect.
        effect: EffectId,
        /// At which mount.
        mount: String,
        /// What.
        kind: String,
        /// The recorded argument bytes.
        args: Hash,
    },
    /// Bring `TimerFired` after so long.
    Timer {
        /// Which.
        timer: TimerId,
        /// How long from now.
        after_us: u64,
    },
    /// Merge these on a worker and bring the same event again as `Body::Merged`.
    Merge(Vec<Merge>),
    /// What was purged is gone from the tables: take its bytes out of every file of the workspace, then bring
    /// `ControlEnded`.
    Scrub {
        /// Who waits.
        reply: ReplyTo,
    },
    /// Read what a draft changes, have noticed what stands in bound directories in its places, and bring
    /// `DraftRead`.
    ReadDraft {
        /// Who waits.
        reply: ReplyTo,
        /// Whose.
        pid: Pid,
        /// Its text.
        layer: Content,
        /// Directories of the host that stand in the tree.
        bound: Vec<Bound>,
    },
    /// Tell a program that speaks a protocol more.
    Tell {
        /// Whose program.
        pid: Pid,
        /// Its command.
        exec: ExecId,
        /// What, a blob; none: nothing waits, and it ends.
        words: Option<Hash>,
    },
    /// Carry out a control word of the machine's and bring `ControlEnded`.
    Control {
        /// Who waits.
        reply: ReplyTo,
        /// What.
        word: Control,
    },
}

impl Effect {
    /// When it may leave.
    pub fn gate(&self) -> Gate {
        match self {
            Self::Reply { .. } | Self::Model(_) | Self::Arm { .. } | Self::Dispatch { .. } => Gate::Durable,
            Self::Probe { .. } | Self::Control { .. } | Self::Scrub { .. } => Gate::Durable,
            Self::Place { .. } | Self::ReadDraft { .. } => Gate::Durable,
            Self::Extend { .. } | Self::Cut { .. } | Self::Tool { .. } | Self::Timer { .. } => Gate::Ordered,
            Self::Merge(_) | Self::Exec(_) | Self::EndExec { .. } | Self::Tell { .. } => Gate::Ordered,
            Self::ExecDecided { .. } | Self::NoticeDecided { .. } | Self::Sandbox { .. } => Gate::Ordered,
        }
    }
}

/// Something an operator should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// One sentence.
    pub message: String,
}

/// What `step` decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// For the log, in order. They carry every change of the tree; the store derives its rows from them.
    pub records: Vec<Record>,
    /// Bytes that the records name and that only the kernel knows (what it rendered).
    pub blobs: Vec<Vec<u8>>,
    /// What to do.
    pub effects: Vec<Effect>,
    /// What to tell the operator.
    pub alarms: Vec<Alarm>,
}
