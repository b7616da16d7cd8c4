//! One room on real files and a clock that is set: calls go in as a client's would, what it asks of itself
//! comes back at once, and time passes when a test says so.

use abi::{
    Code, Error, Micros, ReplyTo, TimerId,
    event::{Body, Caller},
    money::{Nano, Price},
    wire,
};
use kernel::Kernel;
use machine::{
    clock::{Clock, Given},
    render::Around,
    turn::{Input, Out, Room, Sink},
    wake::{Begin, Birth, Setup},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};
use store::{Durable, Options};

struct Nothing;

impl Around for Nothing {
    fn health(&self) -> String {
        String::new()
    }

    fn key(&self) -> String {
        String::new()
    }

    fn workspaces(&self) -> String {
        String::new()
    }
}

/// What came out of turns.
#[derive(Default)]
struct Tray {
    next: Vec<Input>,
    replies: BTreeMap<ReplyTo, Result<Value, Error>>,
    timers: Vec<(Micros, TimerId)>,
    now: Micros,
}

impl Sink for Tray {
    fn ordered(&mut self, out: Out) {
        self.durable(out);
    }

    fn durable(&mut self, out: Out) {
        match out {
            Out::Reply { to, answer } => drop(self.replies.insert(to, answer)),
            Out::Next(input) => self.next.push(*input),
            Out::Timer { timer, after_us } => self.timers.push((self.now + after_us, timer)),
            _ => {}
        }
    }

    fn follows(&self) -> bool {
        false
    }
}

/// See the file's head.
pub struct Bench {
    pub room: Room,
    clock: Arc<Given>,
    tray: Tray,
    replies: u64,
}

impl Bench {
    /// Opens the workspace of a directory, or makes it; so many records go into a sealed segment.
    pub fn open(dir: &Path, segment: Option<u64>) -> Self {
        Self::open_at(dir, segment, 1_790_000_000_000_000)
    }

    /// The same at a time.
    pub fn open_at(dir: &Path, segment: Option<u64>, now: Micros) -> Self {
        let clock = Arc::new(Given::at(now, 1));
        let setup = Setup {
            name: "w".to_owned(),
            dir: dir.to_owned(),
            options: Options { durable: Durable::Null, segment, ..Options::default() },
            pins: store::Pins::default(),
            clock: clock.clone(),
            around: Arc::new(Nothing),
            secret: [1; 32],
            prices: vec![("scripted".to_owned(), Price::default())],
            lease: Nano(1_000_000_000),
            set_aside: BTreeSet::new(),
        };
        let birth = Birth { id: [3; 16], lacks: Vec::new(), operator: "op".to_owned() };
        let mut tray = Tray { now: 1, ..Tray::default() };
        let opened = Room::open(&setup, Begin::May, birth, &mut tray);
        let room = opened.unwrap_or_else(|failed| panic!("{:?}", failed.failure));
        let mut bench = Self { room, clock, tray, replies: 100 };
        bench.settle(Vec::new());
        bench
    }

    /// Turns until nothing is left to decide.
    fn settle(&mut self, mut todo: Vec<Input>) {
        loop {
            todo.append(&mut self.tray.next);
            if todo.is_empty() {
                return;
            }
            self.tray.now = self.clock.mono();
            let turned = self.room.turn(std::mem::take(&mut todo), &mut self.tray);
            todo = turned.unwrap_or_else(|failed| panic!("{:?}", failed.failure)).rest;
        }
    }

    /// Time goes on, and what is due by then happens.
    pub fn pass(&mut self, us: Micros) {
        self.clock.advance(us);
        let now = self.clock.mono();
        for _ in 0..100 {
            let (due, later) =
                std::mem::take(&mut self.tray.timers).into_iter().partition(|(at, _)| *at <= now);
            self.tray.timers = later;
            let due: Vec<(Micros, TimerId)> = due;
            if due.is_empty() {
                return;
            }
            let fire = |(_, timer)| Input::now(&*self.clock, Body::TimerFired { timer }, Vec::new());
            let inputs = due.into_iter().map(fire).collect();
            self.settle(inputs);
        }
        panic!("something is due again and again");
    }

    /// One call of the operator.
    pub fn ask(&mut self, method: &str, params: Value) -> Result<Value, Error> {
        self.clock.advance(1_000);
        let decoded = wire::decode(method, params)?;
        self.replies += 1;
        let reply = ReplyTo(self.replies);
        let body = Body::Call { caller: Caller::Operator("op".to_owned()), reply, call: decoded.call };
        self.settle(vec![Input::now(&*self.clock, body, decoded.blobs)]);
        self.tray
            .replies
            .remove(&reply)
            .unwrap_or_else(|| Err(Error::new(Code::Unavailable, "no answer came")))
    }

    #[track_caller]
    pub fn ok(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params.clone()).unwrap_or_else(|error| panic!("{method} {params}: {error:?}"))
    }

    #[track_caller]
    pub fn write(&mut self, path: &str, text: &str) -> Value {
        self.ok("write", json!({"path": path, "text": text, "origin": "argument"}))
    }

    #[track_caller]
    pub fn control(&mut self, words: &str) -> Value {
        self.write("/sys/ctl", words)
    }

    /// The text of a version, or why it cannot be read.
    pub fn read(&mut self, path: &str, version: Option<u64>) -> Result<String, String> {
        let mut params = json!({"path": path});
        if let Some(version) = version {
            params["version"] = json!(version);
        }
        let answer = self.ask("read", params).map_err(|error| error.message)?;
        Ok(answer["text"].as_str().unwrap().to_owned())
    }

    /// What the whole log, replayed from its first record, comes to.
    pub fn replayed(&self) -> Kernel {
        let mut kernel = Kernel::default();
        self.room.store().replay(abi::Seq(0), &mut |record| kernel.apply(&record)).unwrap();
        kernel
    }
}
