//! A workspace as the node holds it: asleep, awake, or failed and waiting; its inbox; who waits for it.
//!
//! One thread at a time runs a cell. Whoever submits while nobody does runs one batch itself, so that a read
//! costs no thread hop; while one commits, the others only push, and their events share the next commit.

use crate::{
    away::{Away, Errand},
    ballast::{Space, admits},
    bound::Bounds,
    checkpoint::Point,
    connection::{Connection, Id},
    exchange::Exchange,
    fold::Fold,
    guard::guard,
    journal,
    lease::Lent,
    models::{Provider, resolve::Has},
    turn::{Input, Room},
    upload::Begun,
    vault,
    walls::Walls,
};
use abi::{EffectId, Error, Hash, Micros, Pid, ReplyTo, Seq, event::Body, limits, path::TreePath};
use drivers::{Delivery, Flow, Mount};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError, Weak, mpsc::SyncSender},
    time::Duration,
};
use store::Pins;

/// First pause after a second failure in a row; doubles up to `PAUSE_US_MAX`.
const PAUSE_US: u64 = 100_000;
const PAUSE_US_MAX: u64 = 30_000_000;
/// A failure that comes so long after the one before begins a new row.
const ROW_US: u64 = 60_000_000;

/// It failed; until it is loaded again clients are told so at once.
pub(crate) struct Down {
    pub until: Micros,
    pub error: Error,
}

/// What one thread at a time may touch.
#[derive(Default)]
pub(crate) struct State {
    pub inbox: VecDeque<Input>,
    pub room: Option<Box<Room>>,
    /// A thread runs it.
    pub running: bool,
    /// It stands in the pool's queue.
    pub queued: bool,
    /// It counts among the awake.
    pub awake: bool,
    /// The daemon ends: nobody runs it any more.
    pub closed: bool,
    /// Somebody wants it awake though its inbox is empty.
    pub wanted: bool,
    /// Whether its index waits to be folded.
    pub fold: Fold,
    /// Made anew when the room is dropped: what older workers and timers bring is nobody's any more.
    pub generation: u64,
    pub used: Micros,
    pub down: Option<Down>,
    pub failures: u32,
    pub failed_at: Micros,
    /// So many of the next inputs are decided one by one: one of them may have killed the room.
    pub single: usize,
    /// Digests of events that killed it too often.
    pub set_aside: BTreeSet<Hash>,
    /// Rules it is born without; none once it exists.
    pub birth: Option<Vec<u8>>,
    /// Money it was last lent.
    pub lent: Lent,
    /// Last record that is durable; 0 until it was awake once.
    pub seq: Seq,
    /// Where its log stands, durably; none until it was awake once.
    pub point: Option<Point>,
    /// Last record that was given to be signed.
    pub signed: Seq,
}

impl State {
    /// The next inputs to decide together.
    pub fn next_batch(&mut self, space: Space) -> Vec<Input> {
        let most = if self.single > 0 { 1 } else { limits::BATCH_EVENTS_MAX };
        self.single = self.single.saturating_sub(1);
        if space == Space::Enough {
            let count = self.inbox.len().min(most);
            return self.inbox.drain(..count).collect();
        }
        let mut taken = Vec::new();
        for input in std::mem::take(&mut self.inbox) {
            if taken.len() < most && admits(&input.event.body) {
                taken.push(input);
            } else {
                self.inbox.push_back(input);
            }
        }
        taken
    }

    /// Whether something waits that would be decided now.
    pub fn has_work(&self, space: Space) -> bool {
        match space {
            Space::Enough => !self.inbox.is_empty(),
            Space::Short => self.inbox.iter().any(|input| admits(&input.event.body)),
        }
    }

    /// Its log stands here now. Whether that is to be signed: when so many records are not.
    pub fn stands(&mut self, point: Point, many: u64) -> bool {
        self.point = Some(point);
        let due = point.seq.0.saturating_sub(self.signed.0) >= many;
        if due {
            self.signed = point.seq;
        }
        due
    }

    /// How long to wait before it is loaded again, counting this failure.
    pub fn pause(&mut self, now: Micros) -> u64 {
        if now.saturating_sub(self.failed_at) > ROW_US {
            self.failures = 0;
        }
        self.failed_at = now;
        self.failures = self.failures.saturating_add(1);
        match self.failures {
            1 => 0,
            more => PAUSE_US.saturating_mul(1 << more.saturating_sub(2).min(20)).min(PAUSE_US_MAX),
        }
    }
}

/// A request that waits for its answer.
pub(crate) enum Ticket {
    /// A line at the door.
    Line {
        client: Arc<Connection>,
        id: Id,
        /// What it may upload, if the kernel says yes.
        begun: Option<Begun>,
        /// The value it wrote to a secret, until that is carried out.
        secret: Option<vault::Value>,
    },
    /// A program at the model endpoint.
    Program(Arc<Exchange>),
    /// A program that wants to connect.
    Connect(SyncSender<Result<Value, Error>>),
}

impl Ticket {
    /// Answers it, as the one that waited under this number.
    pub fn answer(self, reply: ReplyTo, answer: Result<Value, Error>) {
        match self {
            Self::Line { client, id, .. } => {
                client.answer(&id, answer);
                client.land(reply);
            }
            Self::Program(exchange) => exchange.end(answer.map(drop)),
            // Who does not wait any more is not told.
            Self::Connect(waits) => _ = waits.try_send(answer),
        }
    }

    /// What a program's request comes back through.
    pub fn exchange(&self) -> Option<Arc<Exchange>> {
        match self {
            Self::Program(exchange) => Some(exchange.clone()),
            Self::Line { .. } | Self::Connect(_) => None,
        }
    }

    /// The connection of a line.
    pub fn client(&self) -> Option<&Arc<Connection>> {
        match self {
            Self::Line { client, .. } => Some(client),
            Self::Program(_) | Self::Connect(_) => None,
        }
    }
}

/// A client that gets records as they come.
pub(crate) struct Follower {
    pub client: Arc<Connection>,
    /// Grows by what they start.
    pub pids: Option<BTreeSet<Pid>>,
}

/// Who waits.
#[derive(Default)]
pub(crate) struct Desk {
    pub waiting: BTreeMap<ReplyTo, Ticket>,
    pub followers: Vec<Follower>,
}

/// What is attached to it.
#[derive(Default)]
pub(crate) struct Mounts {
    pub attached: BTreeMap<String, Arc<dyn Mount>>,
    /// Mounted, but not attached since the workspace woke, and why.
    pub detached: BTreeMap<String, String>,
    /// Opened, and attached as soon as that is durable.
    pub opened: BTreeMap<String, Arc<dyn Mount>>,
    /// Handed to the kernel, not yet durable.
    pub arriving: BTreeMap<(String, TreePath), Delivery>,
    /// Deliveries that were not taken, and their drivers' keys: they stay outside and are not offered again
    /// while the mount stands.
    pub refused: BTreeMap<(String, TreePath), String>,
    /// Counts polls that were set; only the last one set happens.
    pub turn: u64,
    /// A poll of it is under way.
    pub polling: bool,
}

impl Mounts {
    /// Whether something is attached under this name, or about to be.
    pub fn knows(&self, name: &str) -> bool {
        self.attached.contains_key(name) || self.opened.contains_key(name)
    }

    /// It was not taken. Whether that is new, and noted.
    pub fn refuse(&mut self, key: (String, TreePath), of: &str) -> bool {
        let room = self.refused.len() < limits::LISTING_MAX as usize;
        room && self.refused.insert(key, of.to_owned()).is_none()
    }

    /// Takes a delivery out of those that arrive; with its driver if that may hear of it. One source can
    /// bring several deliveries under one key: it may let go of it only if all of them were kept.
    fn take(&mut self, key: (String, TreePath), kept: bool) -> Option<(Delivery, Arc<dyn Mount>)> {
        let delivery = self.arriving.remove(&key)?;
        let driver = self.attached.get(&key.0).cloned();
        if !kept {
            self.refuse(key, &delivery.key);
            return None;
        }
        let whole = !self.refused.iter().any(|(other, of)| other.0 == key.0 && *of == delivery.key);
        driver.filter(|_| whole).map(|driver| (delivery, driver))
    }
}

/// A workspace.
pub(crate) struct Cell {
    pub name: String,
    pub state: Mutex<State>,
    pub desk: Mutex<Desk>,
    pub mounts: Mutex<Mounts>,
    /// Which models those have who were asked.
    pub has: Mutex<BTreeMap<String, Has>>,
    /// Connections that lend a secret to runs, by the roots of these.
    pub lenders: Mutex<BTreeMap<Pid, Weak<Connection>>>,
    /// Whom its models are asked of.
    pub providers: Mutex<Arc<[Provider]>>,
    /// Names of the tiers.
    pub tiers: Mutex<Arc<[String]>>,
    pub gauges: Mutex<BTreeMap<EffectId, Arc<Gauge>>>,
    pub away: Mutex<Away>,
    /// Chunks that uploads under way hold, whether it is awake or not.
    pub pins: Pins,
    /// Where programs run.
    pub walls: Walls,
    pub bounds: Arc<Bounds>,
}

impl Cell {
    /// One that exists, asleep; or one to be born without these rules.
    pub fn asleep(name: &str, birth: Option<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            state: Mutex::new(State { birth, ..State::default() }),
            desk: Mutex::default(),
            mounts: Mutex::default(),
            has: Mutex::default(),
            lenders: Mutex::default(),
            providers: Mutex::new(Arc::new([])),
            tiers: Mutex::new(Arc::new([])),
            gauges: Mutex::default(),
            away: Mutex::default(),
            pins: Pins::default(),
            walls: Walls::default(),
            bounds: Arc::default(),
        })
    }

    /// The driver at a mount.
    pub fn mount(&self, name: &str) -> Option<Arc<dyn Mount>> {
        guard(&self.mounts).attached.get(name).cloned()
    }

    /// What became durable is told to the mounts it came from, but for what was refused.
    pub fn accept(&self, done: &[Input], unkept: &BTreeSet<(String, TreePath)>) {
        for input in done {
            let Body::Arrived { mount, path, .. } = &input.event.body else { continue };
            let key = (mount.clone(), path.clone());
            let kept = !unkept.contains(&key);
            let found = guard(&self.mounts).take(key, kept);
            let Some((delivery, driver)) = found else { continue };
            if catch_unwind(AssertUnwindSafe(|| driver.accept(&delivery))).is_err() {
                journal::say(&self.name, &format!("the driver of {mount} panicked at {path}"));
            }
        }
    }

    /// What ended outside and is decided is no longer away.
    pub fn decided(&self, done: &[Input]) {
        let mut away = guard(&self.away);
        done.iter().filter_map(|input| Errand::of(&input.event.body)).for_each(|errand| away.end(errand));
    }
}

/// How far a streaming model call may go: set by the kernel, read by the worker that streams.
pub(crate) struct Gauge {
    allowed: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl Gauge {
    pub fn new(reserved_out: u64) -> Arc<Self> {
        Arc::new(Self { allowed: Mutex::new((reserved_out, false)), changed: Condvar::new() })
    }

    /// Output tokens reserved in all.
    pub fn reserved(&self) -> u64 {
        guard(&self.allowed).0
    }

    /// More is reserved.
    pub fn extend(&self, reserved_out: u64) {
        let mut allowed = guard(&self.allowed);
        allowed.0 = allowed.0.max(reserved_out);
        self.changed.notify_all();
    }

    /// No more.
    pub fn cut(&self) {
        guard(&self.allowed).1 = true;
        self.changed.notify_all();
    }

    /// Waits until so many tokens may be streamed; no longer than the call has left.
    pub fn pass(&self, tokens: u64, at_most_us: u64) -> Flow {
        let most = Duration::from_micros(at_most_us);
        let short = |allowed: &mut (u64, bool)| tokens > allowed.0 && !allowed.1;
        let waited = self.changed.wait_timeout_while(guard(&self.allowed), most, short);
        let allowed = waited.unwrap_or_else(PoisonError::into_inner).0;
        if allowed.1 || tokens > allowed.0 { Flow::Stop } else { Flow::Go }
    }
}

/// Inputs that are still true after their batch failed: what ended outside, and what arrived. All else is
/// brought again by waking, or its client has been told.
pub(crate) fn still_true(input: &Input) -> bool {
    match &input.event.body {
        // Their errands count as away until they are decided, so waking leaves them alone.
        Body::ModelEnded { .. } | Body::EffectEnded { .. } | Body::EffectProbed { .. } => true,
        // The stream waits for an answer to it.
        Body::ModelProgress { .. } => true,
        Body::Arrived { .. } | Body::Quarantined { .. } => true,
        Body::Genesis { .. } | Body::Woke { .. } | Body::Leased { .. } | Body::Restored => false,
        Body::PolicyLoaded { .. } | Body::ModelsLoaded { .. } | Body::Priced { .. } => false,
        Body::Mounted { .. } | Body::ControlEnded { .. } | Body::Call { .. } | Body::Left { .. } => false,
        Body::Tool { .. } | Body::Armed { .. } | Body::TimerFired { .. } | Body::Merged { .. } => false,
        // Its sandbox died with the room.
        Body::ExecEnded { .. } | Body::ExecWrote { .. } | Body::ExecClaimed { .. } => false,
        Body::ExecChecked { .. } | Body::ExecTold { .. } | Body::ExecTurned { .. } => false,
        Body::Connect { .. } | Body::Unreached { .. } | Body::Listens { .. } => false,
        Body::SandboxEnded { .. } => false,
        // Who waked it does it again.
        Body::Bound { .. } | Body::Noticed { .. } | Body::Placed { .. } | Body::DraftRead { .. } => false,
    }
}

/// The client that waits for this input, if one does.
pub(crate) fn reply_of(input: &Input) -> Option<ReplyTo> {
    reply_in(&input.event.body)
}

fn reply_in(body: &Body) -> Option<ReplyTo> {
    match body {
        Body::Call { reply, .. }
        | Body::Connect { reply, .. }
        | Body::ControlEnded { reply, .. }
        | Body::DraftRead { reply, .. } => Some(*reply),
        Body::Merged { of, .. } => reply_in(of),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{
        Content,
        call::Fields,
        event::{Event, Probed},
        manifest::Manifest,
    };

    #[test]
    fn pauses_grow_and_start_anew() {
        let mut state = State::default();
        let row: Vec<u64> = (0..4).map(|_| state.pause(100_000_000)).collect();
        assert_eq!(row, [0, 100_000, 200_000, 400_000]);
        assert_eq!((0..40).map(|_| state.pause(100_000_000)).last(), Some(PAUSE_US_MAX));
        assert_eq!(state.pause(200_000_000), 0);
    }

    /// A driver that counts what it hears, and panics at one path.
    struct Ears(Mutex<Vec<String>>);

    impl Mount for Ears {
        fn manifest(&self) -> Manifest {
            Manifest::default()
        }

        fn poll(&self) -> Result<Vec<Delivery>, String> {
            Ok(Vec::new())
        }

        fn accept(&self, delivery: &Delivery) {
            guard(&self.0).push(delivery.path.to_string());
            assert_ne!(delivery.path.as_str(), "/bang");
        }

        fn send(&self, _: &EffectId, _: &str, _: &Fields) -> Result<Vec<u8>, String> {
            Err("no".to_owned())
        }

        fn probe(&self, _: &EffectId, _: &str, _: &Fields) -> Probed {
            Probed::Unknown
        }
    }

    #[test]
    fn only_what_was_kept_is_accepted_and_a_panic_of_a_driver_is_its_own() {
        let cell = Cell::asleep("w", None);
        let ears = Arc::new(Ears(Mutex::default()));
        guard(&cell.mounts).attached.insert("m".to_owned(), ears.clone());
        let path = |text: &str| TreePath::parse(text).unwrap();
        let key = |text: &str| ("m".to_owned(), path(text));
        let mut done = Vec::new();
        for (at, of) in [("/bang", "0"), ("/1.eml", "1"), ("/1.md", "1"), ("/2.eml", "2"), ("/2.md", "2")] {
            let delivery = Delivery { key: of.to_owned(), path: path(at), bytes: Vec::new() };
            guard(&cell.mounts).arriving.insert(key(at), delivery);
            let body = Body::Arrived { mount: "m".to_owned(), path: path(at), content: Content::of(b"") };
            done.push(Input {
                event: Event { at: 1, mono: 1, body },
                blobs: Vec::new(),
                uploads: Vec::new(),
                looked: None,
            });
        }
        cell.accept(&done, &BTreeSet::from([key("/1.eml")]));
        // One half of message 1 was refused: its source is not let go of.
        assert_eq!(*guard(&ears.0), ["/bang", "/2.eml", "/2.md"]);
        let mounts = guard(&cell.mounts);
        assert_eq!((mounts.arriving.len(), mounts.refused.get(&key("/1.eml"))), (0, Some(&"1".to_owned())));
    }

    #[test]
    fn a_gauge_lets_pass_what_is_reserved() {
        let gauge = Gauge::new(10);
        assert_eq!((gauge.pass(10, 0), gauge.pass(11, 0)), (Flow::Go, Flow::Stop));
        gauge.extend(20);
        gauge.extend(5);
        assert_eq!((gauge.reserved(), gauge.pass(20, 0)), (20, Flow::Go));
        gauge.cut();
        assert_eq!(gauge.pass(1, 0), Flow::Stop);
    }
}
