//! A workspace at work under the production loop: calls of its operator go in, a model answers, time is what
//! a caller says it is. Nothing fails here but what the model does.

use abi::{
    Code, Content, Micros, ReplyTo, TimerId, VersionId,
    call::{Call, Origin, ProcessKind, Text, Write},
    event::{Body, Caller},
    label::Integrity,
    money::{Nano, Price},
    path::TreePath,
};
use drivers::{Flow, Model};
use machine::{
    clock::{Clock, Given},
    job,
    render::Around,
    turn::{Input, Log, Out, Room, Sink},
    wake::{Begin, Birth, Setup},
};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Debug,
    path::Path,
    sync::Arc,
};
use tempfile::TempDir;

const BEGIN: Micros = 1_790_000_000_000_000;
const OPERATOR: &str = "ada";

/// What only the node would know: nothing.
pub struct Alone;

impl Around for Alone {
    fn key(&self) -> String {
        String::new()
    }

    fn health(&self) -> String {
        String::new()
    }

    fn workspaces(&self) -> String {
        String::new()
    }
}

/// What left a turn.
#[derive(Default)]
pub struct Tray(pub Vec<Out>);

impl Sink for Tray {
    fn ordered(&mut self, out: Out) {
        self.0.push(out);
    }

    fn durable(&mut self, out: Out) {
        self.0.push(out);
    }

    fn follows(&self) -> bool {
        false
    }
}

/// A workspace at work.
pub struct Office {
    _home: TempDir,
    setup: Setup,
    model: Box<dyn Model>,
    /// What time it is.
    pub clock: Arc<Given>,
    /// The loop.
    pub room: Room,
    inbox: VecDeque<Input>,
    timers: BTreeSet<(Micros, TimerId)>,
    replies: u64,
    /// What it asks of bound directories.
    pub outside: Vec<Out>,
}

/// A failure as words.
pub fn words(error: impl Debug) -> String {
    format!("{error:?}")
}

impl Office {
    /// An empty one, in which this model answers, at this price.
    pub fn new(model: Box<dyn Model>, price: Price) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let home = tempfile::Builder::new().prefix("skep-office-").tempdir_in(parent).map_err(words)?;
        let clock = Arc::new(Given::at(BEGIN, 1_000_000));
        let setup = Setup {
            name: "office".to_owned(),
            dir: home.path().to_owned(),
            options: store::Options::default(),
            pins: store::Pins::default(),
            clock: clock.clone(),
            around: Arc::new(Alone),
            secret: [7; 32],
            prices: vec![("sim".to_owned(), price)],
            lease: Nano(i64::MAX / 4),
            set_aside: BTreeSet::new(),
        };
        let mut tray = Tray::default();
        let room = Room::open(&setup, Begin::May, birth(), &mut tray).map_err(words)?;
        let (inbox, timers) = (VecDeque::new(), BTreeSet::new());
        let (replies, outside) = (0, Vec::new());
        let mut office = Self { _home: home, setup, model, clock, room, inbox, timers, replies, outside };
        office.take(tray)?;
        Ok(office)
    }

    fn call(&mut self, call: Call, bytes: Vec<u8>) {
        self.replies += 1;
        let caller = Caller::Operator(OPERATOR.to_owned());
        let body = Body::Call { caller, reply: ReplyTo(self.replies), call };
        self.push(body, vec![bytes]);
    }

    /// Something happens.
    pub fn push(&mut self, body: Body, blobs: Vec<Vec<u8>>) {
        self.inbox.push_back(Input::now(&*self.clock, body, blobs));
    }

    /// The operator writes a file.
    pub fn write(&mut self, path: &str, text: String) {
        self.write_over(path, text, None);
    }

    /// The same, made from this version.
    pub fn write_over(&mut self, path: &str, text: String, base: Option<VersionId>) {
        let Ok(path) = TreePath::parse(path) else { return };
        let write = Write::Whole { content: Content::of(text.as_bytes()), mode: 0o644 };
        let origin = Origin::Argument;
        self.call(Call::Write { path, write, base, message: None, origin }, text.into_bytes());
    }

    /// The operator starts an agent on a task.
    pub fn task(&mut self, agent: &str, words: &str) {
        let text = Text { content: Content::of(words.as_bytes()), origin: Origin::Argument };
        let call = Call::Spawn {
            agent: agent.to_owned(),
            text,
            post: Vec::new(),
            budget: None,
            ceiling: Integrity::External,
            inputs: Default::default(),
            kind: ProcessKind::Turn,
            program: None,
        };
        self.call(call, words.as_bytes().to_vec());
    }

    /// Where its files lie.
    pub fn dir(&self) -> &Path {
        &self.setup.dir
    }

    /// Goes to sleep and wakes.
    pub fn sleep(&mut self) -> Result<(), String> {
        let mut tray = Tray::default();
        self.room = Room::open(&self.setup, Begin::Never, birth(), &mut tray).map_err(words)?;
        self.timers.clear();
        self.inbox.clear();
        self.take(tray)
    }

    /// Lets time go on to the next thing that is due; whether there was one.
    pub fn pass(&mut self) -> bool {
        let Some((at, _)) = self.timers.first().copied() else { return false };
        self.clock.advance(at.saturating_sub(self.clock.mono()));
        true
    }

    /// Decides until nothing is left to do.
    pub fn work(&mut self) -> Result<(), String> {
        self.fire();
        while !self.inbox.is_empty() {
            let batch: Vec<Input> = self.inbox.drain(..).collect();
            let mut tray = Tray::default();
            let turned = self.room.turn(batch, &mut tray).map_err(words)?;
            turned.rest.into_iter().rev().for_each(|input| self.inbox.push_front(input));
            self.take(tray)?;
            match self.room.log() {
                Log::Short => {}
                Log::Long => store::carry(&self.setup.dir).map_err(words)?,
                Log::TooLong => self.room.cut_log().map_err(words)?,
            }
            if self.room.snapshot_due() {
                self.room.snapshot().map_err(words)?;
            }
        }
        Ok(())
    }

    fn fire(&mut self) {
        let now = self.clock.mono();
        while let Some((at, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, timer));
            self.push(Body::TimerFired { timer }, Vec::new());
        }
    }

    fn take(&mut self, tray: Tray) -> Result<(), String> {
        for out in tray.0 {
            match out {
                Out::Model(job) => {
                    let (body, blobs) = job::run_model(&job, (&*self.model, None), &mut |_, _| Flow::Go);
                    self.push(body, blobs);
                }
                Out::Next(input) => self.inbox.push_back(*input),
                // Nobody else changes anything in this moment.
                Out::Look(job) => self.inbox.push_back(job.seen(Default::default())),
                Out::Timer { timer, after_us } => {
                    self.timers.insert((self.clock.mono().saturating_add(after_us), timer));
                }
                // What diverged is kept; whoever wrote it is told.
                Out::Reply { answer: Err(error), .. } if error.code == Code::Conflict => {}
                Out::Reply { answer: Err(error), .. } => return Err(format!("refused: {error}")),
                Out::Reply { .. } | Out::Extend { .. } | Out::Cut { .. } | Out::Alarm(_) => {}
                Out::Follow { .. } | Out::Records(_) | Out::Providers(..) => {}
                Out::Merge(job) => {
                    let (body, blobs) = job::run_merge(&job);
                    self.push(body, blobs);
                }
                Out::NoticeDecided { .. } | Out::Place(_) => self.outside.push(out),
                Out::Dispatch(_)
                | Out::Probe(_)
                | Out::Control { .. }
                | Out::ReadDraft(_)
                | Out::Exec(_)
                | Out::EndExec { .. }
                | Out::Tell { .. }
                | Out::ExecDecided { .. }
                | Out::Sandbox { .. }
                | Out::Upload { .. } => {
                    return Err(format!("nobody asked for it: {out:.80?}"));
                }
            }
        }
        Ok(())
    }
}

fn birth() -> Birth {
    Birth { id: [3; 16], lacks: Vec::new(), operator: OPERATOR.to_owned() }
}
