//! The workspace in which chains run: the production loop and the real store, one mount with every class of
//! sink, a model that says what the chain wants said. Calls are decoded as the door decodes them; a process
//! calls as a program would, or through its model's answer as a turn.
//!
//! Nothing fails here and nothing is random: what is tested is where bytes may go.

use super::Start;
use crate::office::{Alone, Tray};
use abi::{
    Content, EffectId, Hash, Pid, ReplyTo, TimerId,
    agent::{Policy, PolicyRow},
    call::Fields,
    cap::Grant,
    effect::SandboxAct,
    event::{Body, Caller, Probed, Stop},
    label::Integrity,
    manifest::{Audience, Class, Kind, Manifest, Recovery},
    money::{Nano, Price},
    path::TreePath,
    wire,
};
use drivers::{Delivery, Flow, Model, ModelError, Mount, Prompt, RawUsage, Said, Secret, ToolCall};
use machine::{
    clock::{Clock, Given},
    job::{self, ModelJob},
    turn::{Input, Out, Room},
    wake::{Begin, Birth, Setup},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Debug,
    path::Path,
    sync::Arc,
};
use tempfile::TempDir;

/// Where everything is mounted.
pub const MOUNT: &str = "ram";
const BEGIN: u64 = 1_790_000_000_000_000;
const OPERATOR: &str = "anna";
const WORKER: &str = "---\nname: worker\nmodel: sim\ntools: [list, read, write, move, remove, history, search, \
    spawn, dispatch, wait, propose, grant, trace]\nneeds:\n  - read /**\n  - write /**\n  - apply *\n  \
    - model any\n  - spawn any\n---\nKeep the papers.\n";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The operator.
    Operator,
    /// A process.
    Process(Pid),
}

/// An answer, or the words and code of a refusal.
pub type Told = Result<Value, String>;

/// What the mount declares.
fn manifest() -> Manifest {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let kind = |name: &str, class, steering: &[&str], payload: &[&str]| Kind {
        steering: names(steering),
        payload: names(payload),
        answer: Some(Integrity::Workspace),
        ..Kind::new(name, class, Recovery::Keyed)
    };
    let kinds = vec![
        kind("mail.send", Class::ExternalIrreversible, &["to"], &["body"]),
        Kind { amount: Some("amount".to_owned()), ..kind("pay", Class::Money, &["to"], &["amount"]) },
        Kind { answer: None, ..kind("fetch", Class::Get, &["url"], &[]) },
        kind("echo", Class::Pure, &[], &["text"]),
        Kind { audience: Audience::Operator, ..kind("post", Class::ExternalIrreversible, &[], &["text"]) },
    ];
    Manifest { kinds, ..Manifest::default() }
}

/// The other side: `echo` answers what it was told.
struct Desk;

impl Mount for Desk {
    fn manifest(&self) -> Manifest {
        manifest()
    }

    fn poll(&self) -> Result<Vec<Delivery>, String> {
        Ok(Vec::new())
    }

    fn accept(&self, _: &Delivery) {}

    fn send(&self, _: &EffectId, _: &str, fields: &Fields) -> Result<Vec<u8>, String> {
        Ok(fields.get("text").and_then(|all| all.first()).cloned().unwrap_or_default().into_bytes())
    }

    fn probe(&self, _: &EffectId, _: &str, _: &Fields) -> Probed {
        Probed::Absent
    }
}

/// Says one thing.
struct Saying(Said);

impl Model for Saying {
    fn call(
        &self,
        _: &Prompt,
        _: Option<&Secret<'_>>,
        _: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        Ok(self.0.clone())
    }
}

/// A workspace.
pub struct Town {
    _home: TempDir,
    setup: Setup,
    birth: Birth,
    clock: Arc<Given>,
    room: Option<Room>,
    inbox: VecDeque<Input>,
    timers: BTreeSet<(u64, TimerId)>,
    replies: u64,
    answers: BTreeMap<ReplyTo, Told>,
    models: BTreeMap<Pid, ModelJob>,
    living: Vec<Pid>,
}

fn words(error: impl Debug) -> String {
    format!("{error:?}")
}

impl Town {
    /// A new one, with one agent and one mount.
    pub fn new(start: Start) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let home = tempfile::Builder::new().prefix("skep-launder-").tempdir_in(parent).map_err(words)?;
        let clock = Arc::new(Given::at(BEGIN, 1_000_000));
        let setup = Setup {
            name: "town".to_owned(),
            dir: home.path().to_owned(),
            options: store::Options { durable: store::Durable::Null, pages_max: None, segment: None },
            pins: store::Pins::default(),
            clock: clock.clone(),
            around: Arc::new(Alone),
            secret: [7; 32],
            prices: vec![("sim".to_owned(), Price::default())],
            lease: Nano(i64::MAX / 4),
            set_aside: BTreeSet::new(),
        };
        let birth = Birth { id: [5; 16], lacks: start.lacks(), operator: OPERATOR.to_owned() };
        let mut town = Self {
            _home: home,
            setup,
            birth,
            clock,
            room: None,
            inbox: VecDeque::new(),
            timers: BTreeSet::new(),
            replies: 0,
            answers: BTreeMap::new(),
            models: BTreeMap::new(),
            living: Vec::new(),
        };
        town.open(Begin::May)?;
        town.push(Body::PolicyLoaded { digest: Hash::of(b"town"), policy: policy()? }, Vec::new());
        let (driver, argument) = (MOUNT.to_owned(), String::new());
        let mount = MOUNT.to_owned();
        town.push(Body::Mounted { mount, driver, argument, manifest: manifest() }, Vec::new());
        town.tell(Who::Operator, "write", json!({"path": "/agents/worker/AGENT.md", "text": WORKER}))?;
        Ok(town)
    }

    fn open(&mut self, begin: Begin) -> Result<(), String> {
        let mut tray = Tray::default();
        self.room = Some(Room::open(&self.setup, begin, self.birth.clone(), &mut tray).map_err(words)?);
        self.take(tray);
        self.work()
    }

    /// The machine dies between two turns and is back. A model call that was under way is bought anew.
    pub fn restart(&mut self) -> Result<(), String> {
        self.room = None;
        self.inbox.clear();
        self.timers.clear();
        self.models.clear();
        self.open(Begin::Never)?;
        // One whose model call was lost twice waits for the operator.
        for pid in self.living.clone() {
            let _ = self.tell(Who::Operator, "signal", json!({"pid": pid.0, "signal": "thaw"}));
        }
        Ok(())
    }

    /// A snapshot, so that the next start does not replay the log.
    pub fn snapshot(&mut self) -> Result<(), String> {
        self.room.as_mut().map_or(Ok(()), |room| room.snapshot().map_err(words))
    }

    /// Everything that runs ends.
    pub fn clear(&mut self) -> Result<(), String> {
        for pid in std::mem::take(&mut self.living) {
            self.push_call(Who::Operator, "signal", json!({"pid": pid.0, "signal": "kill"}))?;
        }
        self.models.clear();
        self.work()?;
        self.answers.clear();
        Ok(())
    }

    /// Hours go by.
    pub fn sleep(&mut self, hours: u64) -> Result<(), String> {
        self.clock.advance(hours * 3_600_000_000);
        let now = self.clock.mono();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.timers).into_iter().partition(|row| row.0 <= now);
        self.timers = later.into_iter().collect();
        due.into_iter().for_each(|(_, timer)| self.push(Body::TimerFired { timer }, Vec::new()));
        self.work()
    }

    fn push(&mut self, body: Body, blobs: Vec<Vec<u8>>) {
        self.inbox.push_back(Input::now(&*self.clock, body, blobs));
    }

    fn push_call(&mut self, who: Who, name: &str, mut params: Value) -> Result<ReplyTo, String> {
        let says = ["write", "spawn", "dispatch"].contains(&name) && params.get("origin").is_none();
        if let (true, Some(map)) = (says && who == Who::Operator, params.as_object_mut()) {
            map.insert("origin".into(), "typed".into());
        }
        let decoded = wire::decode(name, params).map_err(|error| format!("{name}: {error}"))?;
        let caller = match who {
            Who::Operator => Caller::Operator(OPERATOR.to_owned()),
            Who::Process(pid) => Caller::Process(pid),
        };
        self.replies += 1;
        let reply = ReplyTo(self.replies);
        self.push(Body::Call { caller, reply, call: decoded.call }, decoded.blobs);
        Ok(reply)
    }

    /// A call and what it was answered.
    pub fn tell(&mut self, who: Who, name: &str, params: Value) -> Told {
        let shown = params.to_string();
        let reply = self.push_call(who, name, params)?;
        self.work()?;
        let none = || Err("nobody answered".to_owned());
        let told = self.answers.remove(&reply).unwrap_or_else(none);
        told.map_err(|error| format!("{name} {shown:.200} by {who:?}: {error}"))
    }

    /// A mount brings a file.
    pub fn deliver(&mut self, path: &str, text: &str) -> Result<(), String> {
        let path = TreePath::parse(path).map_err(words)?;
        let (bytes, mount) = (text.as_bytes().to_vec(), MOUNT.to_owned());
        self.push(Body::Arrived { mount, path, content: Content::of(&bytes) }, vec![bytes]);
        self.work()
    }

    /// The operator gives the worker a task.
    pub fn begin(&mut self, task: &str) -> Result<Pid, String> {
        self.spawn(Who::Operator, task)
    }

    /// Somebody gives the worker a task.
    pub fn spawn(&mut self, who: Who, task: &str) -> Result<Pid, String> {
        let told = self.tell(who, "spawn", json!({"agent": "worker", "text": task}))?;
        self.born(&told)
    }

    /// The process of an answer.
    pub fn born(&mut self, told: &Value) -> Result<Pid, String> {
        let pid = told["pid"].as_u64().map(Pid).ok_or_else(|| format!("no process: {told}"))?;
        self.living.push(pid);
        Ok(pid)
    }

    /// What the model of a process is shown now.
    pub fn prompt(&self, pid: Pid) -> Result<String, String> {
        let job = self.models.get(&pid).ok_or_else(|| format!("the model of {pid} is not asked"))?;
        let items = job.prompt.items.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
        Ok(items.collect::<Vec<_>>().join("\n"))
    }

    /// The model of a process says this, and wants this tool run; without a tool it ends.
    pub fn say(&mut self, pid: Pid, text: &str, tool: Option<(&str, Value)>) -> Result<(), String> {
        let job = self.models.remove(&pid).ok_or_else(|| format!("the model of {pid} is not asked"))?;
        let stop = if tool.is_some() { Stop::Tools } else { Stop::End };
        let tools = tool
            .map(|(name, arguments)| ToolCall { name: name.to_owned(), arguments: arguments.to_string() });
        let usage = RawUsage { tokens_in: 1, tokens_out: 1, tokens_cached: 0, tokens_written: 0 };
        let said = Said { text: text.to_owned(), tools: tools.into_iter().collect(), stop, usage };
        let (body, blobs) = job::run_model(&job, (&Saying(said), None), &mut |_, _| Flow::Go);
        self.push(body, blobs);
        self.work()
    }

    /// Decides until nothing is left to do; models wait to be told what to say.
    fn work(&mut self) -> Result<(), String> {
        while !self.inbox.is_empty() {
            let batch: Vec<Input> = self.inbox.drain(..).collect();
            let mut tray = Tray::default();
            let room = self.room.as_mut().ok_or("the workspace is closed")?;
            let turned = room.turn(batch, &mut tray).map_err(|failed| words(failed.failure))?;
            turned.rest.into_iter().rev().for_each(|input| self.inbox.push_front(input));
            self.take(tray);
        }
        Ok(())
    }

    fn take(&mut self, tray: Tray) {
        for out in tray.0 {
            match out {
                Out::Reply { to, answer } => {
                    let told = answer.map_err(|error| format!("{}: {error}", error.code.word()));
                    self.answers.insert(to, told);
                }
                Out::Model(job) => {
                    self.models.insert(job.pid, job);
                }
                Out::Dispatch(job) => {
                    let (body, blobs) = job::run_dispatch(&job, Some(&Desk));
                    self.push(body, blobs);
                }
                Out::Probe(job) => {
                    let (body, blobs) = job::run_probe(&job, Some(&Desk));
                    self.push(body, blobs);
                }
                Out::Merge(job) => {
                    let (body, blobs) = job::run_merge(&job);
                    self.push(body, blobs);
                }
                Out::Control { reply, .. } => {
                    self.push(Body::ControlEnded { reply, result: Ok(()) }, Vec::new());
                }
                Out::Next(input) => self.inbox.push_back(*input),
                // Nobody else changes anything in this moment.
                Out::Look(job) => self.inbox.push_back(job.seen(Default::default())),
                Out::Timer { timer, after_us } => {
                    self.timers.insert((self.clock.mono().saturating_add(after_us), timer));
                }
                Out::Follow { .. }
                | Out::Records(_)
                | Out::Providers(..)
                | Out::Alarm(_)
                | Out::Upload { .. } => {}
                Out::Extend { .. } | Out::Cut { .. } => {}
                Out::Sandbox { pid, act: SandboxAct::End } => {
                    self.push(Body::SandboxEnded { pid }, Vec::new());
                }
                Out::Exec(_) | Out::EndExec { .. } | Out::Tell { .. } => {}
                Out::ExecDecided { .. } | Out::Sandbox { .. } => {}
                Out::NoticeDecided { .. } | Out::Place(_) | Out::ReadDraft(_) => {}
            }
        }
    }
}

/// Everything is allowed, but to post asks at any label: what asks then is the table of sinks.
fn policy() -> Result<Policy, String> {
    let grants = |words: &[&str]| {
        words.iter().map(|need| Grant::parse(need).map_err(words_of)).collect::<Result<Vec<_>, _>>()
    };
    let allow = grants(&["read /**", "write /**", "apply *", "model any", "spawn any"])?;
    let ask = grants(&["apply post"])?;
    let row = PolicyRow { agent: "*".to_owned(), ask, allow, ..PolicyRow::default() };
    Ok(Policy { rows: vec![row], ..Policy::default() })
}

fn words_of(error: abi::Error) -> String {
    error.to_string()
}
