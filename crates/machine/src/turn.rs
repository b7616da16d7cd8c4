//! The synchronous heart: one awake workspace and the street every change of it walks.
//!
//! `turn(batch, sink)` takes events through plan → facts → step → append inside one transaction. What may
//! leave at once (`ordered`) goes to the sink as it is decided; all else (`durable`) goes there after the
//! commit, in the order it was decided. A panic or a store's trouble fails the whole batch: nothing of it is
//! true, and the room must be dropped. No clock but the given one, no thread, no socket: the simulator drives
//! exactly this.

use crate::{
    bound::{LookJob, Looked, PlaceJob, Row},
    clock::Clock,
    draft::DraftJob,
    job::{EffectJob, ExecJob, MergeJob, ModelJob},
    models::{self, Book, Provider},
    render::{self, Around},
    street::{self, Street},
};
use abi::{
    Code, EffectId, Error, ExecId, Hash, Pid, ReplyTo, Seq, TimerId,
    call::Fields,
    control::Control,
    effect::{ModelCall, SandboxAct},
    event::{Body, Event},
    limits,
    path::TreePath,
    record::{Entry, Record},
    view::Plan,
};
use drivers::Prompt;
use kernel::Kernel;
use serde_json::Value;
use std::{
    collections::{BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use store::{Manifest, Trouble, Workspace};

/// An event and the bytes it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What happened.
    pub event: Event,
    /// The bytes.
    pub blobs: Vec<Vec<u8>>,
    /// Bytes that lie in the blob store already, as they came: an upload, what a command made.
    pub uploads: Vec<Manifest>,
    /// What was found in bound directories where it looks; none if nobody has looked yet.
    pub looked: Option<Looked>,
}

impl Input {
    /// Something that happens now.
    pub fn now(clock: &dyn Clock, body: Body, blobs: Vec<Vec<u8>>) -> Self {
        Self {
            event: Event { at: clock.wall(), mono: clock.mono(), body },
            blobs,
            uploads: Vec::new(),
            looked: None,
        }
    }

    /// A name for what it is, whenever it happens and whoever waits for it: a poison event is known again by
    /// it.
    pub fn digest(&self) -> Hash {
        // One that comes again with its merges is still the same.
        let body = match &self.event.body {
            Body::Merged { of, .. } => of,
            body => body,
        };
        let text = match body {
            Body::Call { caller, call, .. } => format!("{caller:?} {call:?}"),
            body => format!("{body:?}"),
        };
        Hash::of_fields("skep event", &[text.as_bytes()])
    }
}

/// What leaves a turn.
#[derive(Clone, Debug)]
pub enum Out {
    /// To a waiting client.
    Reply {
        /// Which.
        to: ReplyTo,
        /// What.
        answer: Result<Value, Error>,
    },
    /// The client that waits for this reply wants records as they come.
    Follow {
        /// Which.
        to: ReplyTo,
        /// Of whom; none means of all.
        pids: Option<BTreeSet<Pid>>,
    },
    /// Records that are durable now, as JSON; only made when somebody follows.
    Records(Vec<(Record, Value)>),
    /// Whom models are asked of from now on.
    Providers(Arc<[Provider]>, Arc<[String]>),
    /// Call a model.
    Model(ModelJob),
    /// Have a mount do it.
    Dispatch(EffectJob),
    /// Ask a mount whether it happened.
    Probe(EffectJob),
    /// Merge, and bring the event again.
    Merge(Box<MergeJob>),
    /// Look at what stands where a call looks, and bring it again.
    Look(Box<LookJob>),
    /// Run a command.
    Exec(Box<ExecJob>),
    /// End one.
    EndExec {
        /// Which.
        exec: ExecId,
    },
    /// Tell a program that speaks a protocol more.
    Tell {
        /// Whose program.
        pid: Pid,
        /// Its command.
        exec: ExecId,
        /// What; none: nothing waits.
        words: Option<Vec<u8>>,
    },
    /// What a command made is kept, or is not.
    ExecDecided {
        /// Which.
        exec: ExecId,
        /// In whose sandbox.
        pid: Pid,
        /// Whether.
        kept: bool,
        /// The tree that came of it and what is shown of that, where the program goes on.
        plan: Option<Box<Plan>>,
    },
    /// What was noticed in bound directories is decided.
    NoticeDecided {
        /// Who waits.
        number: u64,
        /// The tree that came of it.
        seq: Seq,
    },
    /// Put into bound directories what a record says.
    Place(PlaceJob),
    /// A sandbox stands still, goes on or ends.
    Sandbox {
        /// Whose.
        pid: Pid,
        /// What.
        act: SandboxAct,
    },
    /// The client that waits for this reply may upload under its number.
    Upload {
        /// Which.
        to: ReplyTo,
    },
    /// This happens next, in the same workspace.
    Next(Box<Input>),
    /// More output is reserved.
    Extend {
        /// Of which call.
        effect: EffectId,
        /// In all.
        reserved_out: u64,
    },
    /// End a model's stream.
    Cut {
        /// Of which call.
        effect: EffectId,
    },
    /// Wake me after so long.
    Timer {
        /// Which.
        timer: TimerId,
        /// From now.
        after_us: u64,
    },
    /// Read a draft that is to be kept.
    ReadDraft(Box<DraftJob>),
    /// Carry out a control word.
    Control {
        /// Who waits.
        reply: ReplyTo,
        /// What.
        word: Control,
    },
    /// Tell the operator.
    Alarm(String),
}

/// Where what leaves a turn goes.
pub trait Sink {
    /// It dies with the daemon: now.
    fn ordered(&mut self, out: Out);
    /// Its record is durable.
    fn durable(&mut self, out: Out);
    /// Whether anybody wants records.
    fn follows(&self) -> bool;
}

/// What a turn came to.
#[derive(Debug)]
pub struct Turned {
    /// Decided and durable.
    pub done: Vec<Input>,
    /// For the next turn, in order.
    pub rest: Vec<Input>,
}

/// Why a batch failed.
#[derive(Debug)]
pub enum Failure {
    /// A panic, or bytes too large to keep, while this input (an index into `lost`; none of them if there is
    /// none) was decided.
    Panic {
        /// Which.
        at: usize,
    },
    /// The store could not.
    Store(Trouble),
}

/// A batch that never happened. The room it happened in must be dropped.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// All its inputs.
    pub lost: Vec<Input>,
}

/// How the store's write-ahead log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Nothing is to be done.
    Short,
    /// Somebody beside the loop should carry it over.
    Long,
    /// The loop should.
    TooLong,
}

/// One awake workspace.
pub struct Room {
    pub(crate) name: String,
    pub(crate) kernel: Kernel,
    pub(crate) store: Workspace,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) around: Arc<dyn Around>,
    pub(crate) secret: [u8; 32],
    /// Digests of events that are not tried again.
    pub(crate) set_aside: BTreeSet<Hash>,
    /// Records and their bytes since the last snapshot.
    pub(crate) since: (u64, u64),
    /// Bytes of the store's log when it was last said to be long.
    pub(crate) long: u64,
    /// Deliveries that the kernel refused, of turns that are durable.
    pub(crate) unkept: BTreeSet<(String, TreePath)>,
    /// Something waits for a quiet moment: bytes that may go, records to seal.
    pub(crate) untidy: bool,
    /// Why purged bytes are still in the files, until the node has heard it.
    pub(crate) hindered: Option<Trouble>,
    /// What outlived the room before this one; waking leaves it alone.
    pub(crate) under_way: Vec<EffectId>,
}

/// What leaves after the commit; what has to be read from the store first is not yet expanded.
pub(crate) enum Later {
    Out(Out),
    Records(Vec<Record>),
    Model(ModelCall),
    /// What a record says goes to its directories.
    Place(Seq),
    Effect {
        job: EffectJob,
        args: Hash,
        verb: Verb,
    },
    /// Purged bytes go out of the files; who waits.
    Scrub(ReplyTo),
}

/// What a mount is asked.
#[derive(Clone, Copy)]
pub(crate) enum Verb {
    Send,
    Probe,
}

impl Room {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it decides with; to look at.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What it keeps; to look at.
    pub fn store(&self) -> &Workspace {
        &self.store
    }

    /// Takes events through the street, in one transaction.
    pub fn turn(&mut self, batch: Vec<Input>, sink: &mut dyn Sink) -> Result<Turned, Failed> {
        let mut todo: VecDeque<Input> = batch.into();
        let mut done = Vec::with_capacity(todo.len());
        match self.decide(&mut todo, &mut done, sink) {
            Ok(later) => {
                self.release(later, sink);
                Ok(Turned { done, rest: todo.into() })
            }
            Err(failure) => {
                done.extend(todo);
                Err(Failed { failure, lost: done })
            }
        }
    }

    fn decide(
        &mut self,
        todo: &mut VecDeque<Input>,
        done: &mut Vec<Input>,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Later>, Failure> {
        let started = self.clock.mono();
        let mut street = Street {
            batch: self.store.begin().map_err(Failure::Store)?,
            kernel: &mut self.kernel,
            clock: &*self.clock,
            around: &*self.around,
            secret: &self.secret,
            set_aside: &self.set_aside,
            name: &self.name,
            todo,
            later: Vec::new(),
            follows: sink.follows(),
            weight: (0, 0),
            thinned: false,
            wrote: false,
            unkept: Vec::new(),
            kept: None,
            looked: Vec::new(),
        };
        while let Some(input) = street.todo.pop_front() {
            done.push(input);
            let at = done.len() - 1;
            let Some(input) = done.last() else { break };
            match catch_unwind(AssertUnwindSafe(|| street.walk(input, sink))) {
                Ok(Ok(())) => {}
                // It would come again and again, and the file is sound: the event is to blame.
                Ok(Err(Trouble::TooLarge { .. })) => return Err(Failure::Panic { at }),
                Ok(Err(trouble)) => return Err(Failure::Store(trouble)),
                Err(_) => return Err(Failure::Panic { at }),
            }
            let worked = self.clock.mono().saturating_sub(started);
            if done.len() >= limits::BATCH_EVENTS_MAX || worked > limits::BATCH_WORK_US_MAX {
                break;
            }
        }
        let Street { batch, later, weight, unkept, thinned, .. } = street;
        batch.commit().map_err(Failure::Store)?;
        self.unkept.extend(unkept);
        self.since = (self.since.0 + weight.0, self.since.1 + weight.1);
        self.untidy |= thinned;
        Ok(later)
    }

    /// Purged bytes go out of the files, on the loop's own thread: nothing of the workspace is read
    /// meanwhile.
    fn scrub(&mut self, reply: ReplyTo) -> Out {
        let result = self.store.scrub().map_err(|trouble| {
            self.untidy = true;
            let message = format!(
                "the purge is recorded and nobody can read these bytes any more, but they are not out of the \
                 files yet: {trouble}"
            );
            let hint = "they go by themselves as soon as it can be done: say nothing again";
            self.hindered = Some(trouble);
            Error::new(Code::Unavailable, message).hint(hint)
        });
        Out::Next(Box::new(Input::now(&*self.clock, Body::ControlEnded { reply, result }, Vec::new())))
    }

    /// Lets out what waited for the commit.
    fn release(&mut self, later: Vec<Later>, sink: &mut dyn Sink) {
        for one in later {
            let out = match one {
                Later::Out(out) => out,
                Later::Records(records) => Out::Records(self.shown(records)),
                Later::Model(call) => self.model(call),
                Later::Scrub(reply) => self.scrub(reply),
                Later::Place(seq) => match self.placing(seq) {
                    Ok(job) => Out::Place(job),
                    Err(trouble) => Out::Alarm(format!("record {seq} is not placed: {trouble}")),
                },
                Later::Effect { job, args, verb } => {
                    let bytes = self.store.blob(&args).ok().flatten();
                    let fields = bytes.and_then(|bytes| musli::wire::from_slice::<Fields>(&bytes).ok());
                    match verb {
                        Verb::Send => Out::Dispatch(EffectJob { fields, ..job }),
                        Verb::Probe => Out::Probe(EffectJob { fields, ..job }),
                    }
                }
            };
            sink.durable(out);
        }
    }

    /// What is to be placed of a record.
    fn placing(&mut self, seq: Seq) -> Result<PlaceJob, Trouble> {
        let before = Seq(seq.0.saturating_sub(1));
        let found = self.store.records(before, 1, None)?;
        let mut rows = Vec::new();
        if let Some((Record { body: Entry::Wrote { changes, .. }, .. }, _)) = found.into_iter().next() {
            let mut batch = self.store.begin()?;
            for change in changes.into_iter().filter(|change| !change.diverged) {
                let mut before = Vec::new();
                for parent in &change.parents {
                    let parent = batch.version(*parent)?;
                    before.extend(parent.map(|version| (version.id, version.node, version.content)));
                }
                rows.push(Row { change, before });
            }
        }
        Ok(PlaceJob { seq, bound: self.kernel.bound(), rows })
    }

    fn shown(&self, records: Vec<Record>) -> Vec<(Record, Value)> {
        let show = |record: Record| {
            let shown = render::record(&self.kernel, &record, &mut |hash| self.store.blob(hash)).ok()?;
            Some((record, shown))
        };
        records.into_iter().filter_map(show).collect()
    }

    /// A model call with its context, or the event that it cannot be made.
    fn model(&self, call: ModelCall) -> Out {
        let mut items = Vec::with_capacity(call.items.len());
        for item in &call.items {
            match self.store.blob(&item.content.hash) {
                Ok(Some(bytes)) => items.push((item.role, bytes)),
                Ok(None) | Err(_) => items.push((item.role, b"(lost)".to_vec())),
            }
        }
        Out::Model(ModelJob {
            effect: call.effect,
            attempt: call.attempt,
            pid: call.pid,
            run: call.run,
            prompt: Prompt { model: call.model, items, tools: call.tools, max_out: call.max_out },
            reserved_out: call.reserved_out,
            asked: call.asked,
        })
    }

    /// Brings the index closer to the tree, until it is there or is told to stop.
    pub(crate) fn fold_index(&mut self, until: &mut dyn FnMut() -> bool) -> Result<(), Trouble> {
        self.store.fold_index(until)
    }

    /// The head of a file and its bytes.
    pub fn head(&mut self, path: &TreePath) -> Result<Option<Vec<u8>>, Trouble> {
        let mut batch = self.store.begin()?;
        street::head(&mut batch, path).map(|found| found.map(|(_, bytes)| bytes))
    }

    /// The models at the head of their file.
    pub(crate) fn models_at_head(&mut self) -> Result<Result<Book, Error>, Trouble> {
        models::at_head(&mut self.store.begin()?)
    }

    /// The policy at the heads of its files.
    pub(crate) fn policy_at_heads(&mut self) -> Result<Option<Result<Body, Error>>, Trouble> {
        street::loaded(&mut self.store.begin()?)
    }

    /// Whether so much has been recorded that a snapshot is due.
    pub fn snapshot_due(&self) -> bool {
        self.since.0 >= limits::SNAPSHOT_RECORDS || self.since.1 >= limits::SNAPSHOT_BYTES
    }

    /// Whether the store's log should be carried over into its file now, and by whom. Told once for every so
    /// many bytes.
    pub fn log(&mut self) -> Log {
        let bytes = self.store.log_bytes();
        // It has begun anew since.
        self.long = if bytes < self.long { 0 } else { self.long };
        if bytes < self.long.saturating_add(limits::LOG_CARRY_BYTES) {
            return Log::Short;
        }
        self.long = bytes;
        if bytes < limits::LOG_BYTES_MAX { Log::Long } else { Log::TooLong }
    }

    /// Carries the store's log over and cuts it off, if nobody is in the way.
    pub fn cut_log(&mut self) -> Result<(), Trouble> {
        self.store.cut_log().map(drop)
    }

    /// Writes a snapshot of what is durable.
    pub fn snapshot(&mut self) -> Result<(), Trouble> {
        let bytes = self.kernel.snapshot();
        self.store.save_snapshot(self.kernel.seq(), &bytes)?;
        self.since = (0, 0);
        self.untidy = true;
        Ok(())
    }

    /// What is not urgent, in a quiet moment: bytes go that need not be kept, old records are sealed.
    pub fn tend(&mut self) -> Result<(), Trouble> {
        self.untidy = false;
        let tended = self.store.tend();
        self.untidy = self.store.scrub_due().unwrap_or(true);
        tended
    }
}
