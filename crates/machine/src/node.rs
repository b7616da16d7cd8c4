//! The node: every workspace's cell, and the running of them. A cell is run by whoever brings it something
//! while nobody else does; what is left over goes to the pool. A workspace's failure is its own: its room is
//! dropped, its clients are told, and it is loaded again after a pause, while all others go on.

use crate::{
    cell::{Cell, Down, State, Ticket, reply_of, still_true},
    clock::Clock,
    connection::{Connection, Id, gone},
    daemon::Options,
    guard::guard,
    job, journal,
    lease::{self, Lent},
    mounts,
    pool::Pool,
    post::{Post, notice},
    random,
    registry::{Bed, Registry, Stays},
    render::Around,
    timer::{Due, SWEEP_US, Timer},
    tool,
    turn::{Failed, Failure, Input, Room, Turned},
    wake::{Begin, Birth, Setup},
    workers::Workers,
};
use abi::{
    Code, Error, Micros, Pid, ReplyTo, Seq,
    event::{Body, Caller, ModelOutcome},
    limits,
    money::Nano,
    wire::{self, Decoded},
};
use drivers::Model;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// An idle workspace goes to sleep after this.
const IDLE_US: u64 = 30_000_000;
/// The workspace a request means that names none.
pub(crate) const HOME: &str = "home";

/// All workspaces of a state directory.
pub(crate) struct Node {
    pub home: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub options: Options,
    pub registry: Registry,
    pub pool: Pool,
    pub workers: Workers,
    pub timer: Timer,
    cells: Mutex<BTreeMap<String, Arc<Cell>>>,
    models: Mutex<BTreeMap<String, Arc<dyn Model>>>,
    replies: AtomicU64,
    awake: AtomicUsize,
    sweeping: AtomicBool,
    pub stopping: AtomicBool,
    down: Mutex<bool>,
    asked: Condvar,
}

impl Node {
    pub fn new(home: PathBuf, clock: Arc<dyn Clock>, registry: Registry, options: Options) -> Arc<Self> {
        Arc::new(Self {
            home,
            clock,
            options,
            registry,
            pool: Pool::default(),
            workers: Workers::new(),
            timer: Timer::default(),
            cells: Mutex::default(),
            models: Mutex::default(),
            replies: AtomicU64::new(0),
            awake: AtomicUsize::new(0),
            sweeping: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            down: Mutex::new(false),
            asked: Condvar::new(),
        })
    }

    /// Wakes what was awake when the daemon ended, sets the clock for what is due, and makes `home`.
    pub fn recover(self: &Arc<Self>) {
        let (wall, mono) = (self.clock.wall(), self.clock.mono());
        if let Ok(cell) = self.cell(HOME) {
            self.want(&cell);
        }
        let rows = self.registry.unfinished().unwrap_or_else(|trouble| {
            journal::say("node", &format!("no workspace is woken: {trouble}"));
            Vec::new()
        });
        for row in rows {
            let Ok(cell) = self.cell(&row.name) else { continue };
            if row.awake {
                self.want(&cell);
            } else if let Some(due) = row.next_due {
                self.timer.at(mono.saturating_add(due.saturating_sub(wall)), Due::Wake(cell));
            }
        }
    }

    /// The workspace of this name. `home` is made when it is first asked for, all others by an operator's
    /// word.
    pub fn cell(&self, name: &str) -> Result<Arc<Cell>, Error> {
        let mut cells = guard(&self.cells);
        if let Some(cell) = cells.get(name) {
            return Ok(cell.clone());
        }
        let known = self.registry.knows(name).map_err(|trouble| trouble.to_error())?;
        if !known && name != HOME {
            let shown = wire::word("workspace", name)?;
            return Err(Error::new(Code::NotFound, format!("there is no workspace {shown}"))
                .argument("workspace")
                .hint(format!("write \"workspace {shown}\" to /sys/ctl to make it")));
        }
        let cell = Cell::asleep(name, (!known).then(Vec::new));
        cells.insert(name.to_owned(), cell.clone());
        Ok(cell)
    }

    /// Makes a workspace.
    pub fn make(self: &Arc<Self>, name: &str, lacks: Vec<u8>) -> Result<(), Error> {
        if !lacks.is_empty() && !self.options.demo {
            return Err(Error::new(Code::Denied, "only a demo daemon makes workspaces that lack a rule")
                .argument("lacks")
                .hint("skep demo runs one, with its own state directory"));
        }
        let cell = Cell::asleep(name, Some(lacks));
        let mut cells = guard(&self.cells);
        let known = self.registry.knows(name).map_err(|trouble| trouble.to_error())?;
        if known || cells.contains_key(name) {
            let message = format!("there is a workspace {name} already");
            return Err(Error::new(Code::Exists, message).argument("name"));
        }
        guard(&cell.state).running = true;
        cells.insert(name.to_owned(), cell.clone());
        drop(cells);
        let mut post = Post { node: self, cell: &cell, generation: 0 };
        match self.wake(&cell, &mut post) {
            Ok(room) => {
                self.settle(&cell, room, Turned { done: Vec::new(), rest: Vec::new() });
                Ok(())
            }
            Err(failed) => {
                guard(&self.cells).remove(name);
                Err(match failed.failure {
                    Failure::Store(trouble) => trouble.to_error(),
                    Failure::Panic { .. } => gone(&format!("workspace {name} failed while it was made")),
                })
            }
        }
    }

    /// The model of this name; made once, since a scripted one counts.
    pub fn model(&self, name: &str) -> Result<Arc<dyn Model>, Error> {
        if let Some(model) = guard(&self.models).get(name) {
            return Ok(model.clone());
        }
        let model: Arc<dyn Model> = drivers::model(name, &self.home)?.into();
        let mut models = guard(&self.models);
        if models.len() >= limits::AWAKE_WORKSPACES_MAX {
            models.clear();
        }
        Ok(models.entry(name.to_owned()).or_insert(model).clone())
    }

    /// A client's call. The answer comes by its ticket, or at once if the workspace takes none now.
    pub fn call(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        client: &Arc<Connection>,
        id: Id,
        caller: Caller,
        decoded: Decoded,
    ) {
        let reply = ReplyTo(self.replies.fetch_add(1, Ordering::Relaxed) + 1);
        let body = Body::Call { caller, reply, call: decoded.call };
        let input = Input::now(&*self.clock, body, decoded.blobs);
        let run = {
            let mut state = guard(&cell.state);
            if let Err(error) = self.takes(cell, &state) {
                drop(state);
                return client.answer(&id, Err(error));
            }
            guard(&cell.desk).waiting.insert(reply, Ticket { client: client.clone(), id });
            client.depart(reply, cell);
            state.used = input.event.mono;
            state.inbox.push_back(input);
            claim(&mut state)
        };
        if run {
            self.batch(cell);
        }
    }

    fn takes(&self, cell: &Cell, state: &State) -> Result<(), Error> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(gone("the daemon is stopping").hint("start it again with skep up"));
        }
        if let Some(down) = state.down.as_ref().filter(|down| self.clock.mono() < down.until) {
            return Err(down.error.clone());
        }
        if state.inbox.len() >= limits::INBOX_EVENTS_MAX {
            return Err(Error::new(Code::Busy, format!("workspace {} has too much to decide", cell.name))
                .hint("try again in a moment"));
        }
        Ok(())
    }

    /// The client of this answer has gone.
    pub fn left(self: &Arc<Self>, cell: &Arc<Cell>, reply: ReplyTo) {
        if guard(&cell.desk).waiting.remove(&reply).is_some() {
            self.push(cell, Input::now(&*self.clock, Body::Left { reply }, Vec::new()));
        }
    }

    /// Something a worker brings; dropped if the room it worked for is no more.
    pub fn ended(self: &Arc<Self>, cell: &Arc<Cell>, generation: u64, (body, blobs): job::Ended) {
        if guard(&cell.state).generation == generation {
            self.push(cell, Input::now(&*self.clock, body, blobs));
        }
    }

    /// Something that happens, whoever waits.
    pub fn push(self: &Arc<Self>, cell: &Arc<Cell>, input: Input) {
        let run = {
            let mut state = guard(&cell.state);
            state.used = input.event.mono;
            state.inbox.push_back(input);
            !self.rests(&state) && claim(&mut state)
        };
        if run {
            self.batch(cell);
        }
    }

    /// Whether it failed and is not to be loaded yet.
    fn rests(&self, state: &State) -> bool {
        state.down.as_ref().is_some_and(|down| self.clock.mono() < down.until)
    }

    /// Has a cell awake soon, by the pool.
    pub fn want(&self, cell: &Arc<Cell>) {
        let mut state = guard(&cell.state);
        state.wanted = true;
        self.enqueue(cell, &mut state);
    }

    fn enqueue(&self, cell: &Arc<Cell>, state: &mut State) {
        if !state.queued && !state.running {
            state.queued = true;
            self.pool.push(cell.clone());
        }
    }

    /// What the pool does with a cell.
    pub fn run_queued(self: &Arc<Self>, cell: &Arc<Cell>) {
        let run = {
            let mut state = guard(&cell.state);
            state.queued = false;
            let work = !state.inbox.is_empty() || (state.wanted && state.room.is_none());
            work && !self.rests(&state) && claim(&mut state)
        };
        if run {
            self.batch(cell);
        }
    }

    /// Runs one batch; the caller has claimed the cell.
    fn batch(self: &Arc<Self>, cell: &Arc<Cell>) {
        let (room, inputs, generation) = {
            let mut state = guard(&cell.state);
            let inputs = state.next_batch();
            (state.room.take(), inputs, state.generation)
        };
        let mut post = Post { node: self, cell, generation };
        let room = match room {
            Some(room) => Ok(room),
            None => self.wake(cell, &mut post),
        };
        let turned = match room {
            Ok(mut room) => {
                let inputs = self.screen(cell, inputs);
                let turned = self.turn(cell, &mut room, inputs, &mut post);
                if turned.is_err() {
                    self.awake.fetch_sub(1, Ordering::Relaxed);
                }
                turned.map(|turned| (room, turned))
            }
            Err(mut failed) => {
                failed.lost.extend(inputs);
                Err(failed)
            }
        };
        match turned {
            Ok((room, turned)) => self.settle(cell, room, turned),
            Err(failed) => self.fail(cell, failed),
        }
    }

    fn turn(
        &self,
        cell: &Cell,
        room: &mut Room,
        inputs: Vec<Input>,
        post: &mut Post<'_>,
    ) -> Result<Turned, Failed> {
        if inputs.is_empty() {
            return Ok(Turned { done: inputs, rest: Vec::new() });
        }
        if let Err(mut failed) = self.renew(cell, room, post) {
            failed.lost.extend(inputs);
            return Err(failed);
        }
        room.turn(inputs, post)
    }

    fn settle(&self, cell: &Arc<Cell>, mut room: Box<Room>, turned: Turned) {
        cell.accept(&turned.done);
        if room.snapshot_due()
            && let Err(trouble) = room.snapshot()
        {
            journal::say(&cell.name, &format!("no snapshot: {trouble}"));
        }
        let mut state = guard(&cell.state);
        for input in turned.rest.into_iter().rev() {
            state.inbox.push_front(input);
        }
        state.seq = room.kernel().seq();
        state.room = Some(room);
        state.running = false;
        state.down = None;
        state.birth = None;
        if !state.inbox.is_empty() {
            self.enqueue(cell, &mut state);
        }
    }

    /// Loads a room and wakes it, with its mounts attached and its mark and lease durable before its first
    /// effect.
    fn wake(self: &Arc<Self>, cell: &Arc<Cell>, post: &mut Post<'_>) -> Result<Box<Room>, Failed> {
        if self.awake.load(Ordering::Relaxed) >= limits::AWAKE_WORKSPACES_MAX {
            self.sleep_oldest();
        }
        let store = |trouble| Failed { failure: Failure::Store(trouble), lost: Vec::new() };
        let born = guard(&cell.state).birth.clone();
        let begin = if born.is_some() { Begin::May } else { Begin::Never };
        let mut setup = Setup {
            name: cell.name.clone(),
            dir: self.home.join("workspaces").join(&cell.name),
            options: store::Options::default(),
            clock: self.clock.clone(),
            around: self.clone(),
            secret: *self.registry.secret(),
            prices: self.registry.prices().map_err(store)?,
            lease: Nano(0),
            set_aside: self.registry.set_aside(&cell.name).map_err(store)?,
        };
        let mut room = Room::load(&setup, begin)?;
        let (mark, reserved) = (lease::mark(room.kernel()), room.kernel().reserved());
        let (wall, mono) = (self.clock.wall(), self.clock.mono());
        setup.lease = self.registry.wake(&cell.name, mark, reserved, wall).map_err(store)?;
        guard(&cell.state).lent = Lent::of(setup.lease, reserved, wall, mono);
        mounts::attach(self, cell, room.kernel().mounts());
        room.wake(&setup, self.birth(born.unwrap_or_default()).map_err(store)?, post)?;
        let mut state = guard(&cell.state);
        state.set_aside = setup.set_aside;
        state.wanted = false;
        state.used = self.clock.mono();
        drop(state);
        self.awake.fetch_add(1, Ordering::Relaxed);
        if !self.sweeping.swap(true, Ordering::Relaxed) {
            self.timer.at(self.clock.mono().saturating_add(SWEEP_US), Due::Sweep);
        }
        Ok(Box::new(room))
    }

    fn birth(&self, lacks: Vec<u8>) -> Result<Birth, store::Trouble> {
        let id = random::id()
            .map_err(|error| store::Trouble::Io { file: "random".into(), what: error.to_string() })?;
        Ok(Birth { id, lacks, operator: self.registry.owner().to_owned() })
    }

    /// Takes out what has killed this workspace too often. A turn's call is refused instead, a model's answer
    /// has failed, a client is told; all else is left out.
    fn screen(self: &Arc<Self>, cell: &Arc<Cell>, inputs: Vec<Input>) -> Vec<Input> {
        let poison = guard(&cell.state).set_aside.clone();
        if poison.is_empty() {
            return inputs;
        }
        let tame = |input: Input| {
            if poison.contains(&input.digest()) { tamed(cell, input) } else { Some(input) }
        };
        inputs.into_iter().filter_map(tame).collect()
    }

    /// The room is gone. Whoever waited is told; what is still true is kept for the next room, one by one.
    fn fail(self: &Arc<Self>, cell: &Arc<Cell>, failed: Failed) {
        let (error, killer) = match &failed.failure {
            Failure::Panic { at } => {
                let message = format!("workspace {} failed while it decided, and is loaded again", cell.name);
                (gone(&message), failed.lost.get(*at).filter(|input| can_be_set_aside(input)))
            }
            Failure::Store(trouble) => (trouble.to_error(), None),
        };
        journal::say(
            &cell.name,
            &format!("{error} · {}", killer.map_or("", |input| input.event.body.word())),
        );
        let poison = killer.and_then(|killer| self.note(cell, killer));
        cell.cut_all();
        self.timer.forget(cell);
        let now = self.clock.mono();
        let waiting = {
            let mut state = guard(&cell.state);
            let waiting = std::mem::take(&mut guard(&cell.desk).waiting);
            let room = state.room.take();
            let held = std::mem::take(&mut state.inbox);
            let poison = poison.map(|body| Input::now(&*self.clock, body, Vec::new()));
            let kept = failed.lost.into_iter().chain(held).filter(still_true);
            state.inbox = poison.into_iter().chain(kept).collect();
            state.single = state.inbox.len();
            state.generation += 1;
            let pause = state.pause(now);
            state.down = Some(Down { until: now.saturating_add(pause), error: error.clone() });
            state.running = false;
            state.wanted = true;
            if pause == 0 {
                self.enqueue(cell, &mut state);
            } else {
                self.timer.at(now.saturating_add(pause), Due::Wake(cell.clone()));
            }
            drop(room);
            waiting
        };
        for (reply, Ticket { client, id }) in waiting {
            client.answer(&id, Err(error.clone()));
            client.land(reply);
        }
    }

    /// Notes that this event killed the workspace; once it has done so too often, the event that says so.
    fn note(&self, cell: &Cell, killer: &Input) -> Option<Body> {
        let digest = killer.digest();
        let what = killer.event.body.word();
        let kills = match self.registry.note_kill(&cell.name, &digest, what) {
            Ok(kills) => kills,
            Err(trouble) => {
                journal::say(&cell.name, &format!("a failure was not noted: {trouble}"));
                return None;
            }
        };
        if kills < limits::POISON_KILLS_MAX {
            return None;
        }
        guard(&cell.state).set_aside.insert(digest);
        (kills == limits::POISON_KILLS_MAX).then(|| Body::Quarantined { digest, what: what.to_owned() })
    }

    /// Something's time has come.
    pub fn due(self: &Arc<Self>, due: Due) {
        match due {
            Due::Fire { cell, generation, timer } => {
                self.ended(&cell, generation, (Body::TimerFired { timer }, Vec::new()));
            }
            Due::Wake(cell) => self.want(&cell),
            Due::Poll { cell, turn } => mounts::begin_poll(self, &cell, turn),
            Due::Sweep => self.sweep(),
        }
    }

    fn all(&self) -> Vec<Arc<Cell>> {
        guard(&self.cells).values().cloned().collect()
    }

    fn sweep(self: &Arc<Self>) {
        let long_ago = self.clock.mono().saturating_sub(IDLE_US);
        for cell in self.all() {
            self.sleep(&cell, Until::UsedBefore(long_ago));
        }
        if self.awake.load(Ordering::Relaxed) > 0 {
            self.timer.at(self.clock.mono().saturating_add(SWEEP_US), Due::Sweep);
        } else {
            self.sweeping.store(false, Ordering::Relaxed);
        }
    }

    /// The least recently used of those that may sleep does.
    fn sleep_oldest(self: &Arc<Self>) {
        let mut cells = self.all();
        cells.sort_by_key(|cell| guard(&cell.state).used);
        for cell in cells {
            if self.sleep(&cell, Until::UsedBefore(Micros::MAX)) {
                return;
            }
        }
    }

    /// Puts a workspace to sleep if it may: its state is written, its lease returned, its next timer noted.
    fn sleep(self: &Arc<Self>, cell: &Arc<Cell>, until: Until) -> bool {
        let room = {
            let mut state = guard(&cell.state);
            let busy = state.running || state.queued || !state.inbox.is_empty();
            let may = match (&state.room, until) {
                (None, _) => false,
                (Some(_), Until::DaemonEnds) => !state.running,
                (Some(room), Until::UsedBefore(when)) => !busy && state.used <= when && room.kernel().idle(),
            };
            if !may || (until != Until::DaemonEnds && !guard(&cell.gauges).is_empty()) {
                return false;
            }
            state.running = true;
            state.room.take()
        };
        let Some(mut room) = room else { return false };
        if let Err(trouble) = self.put_to_bed(cell, &mut room) {
            journal::say(&cell.name, &format!("not put to sleep well: {trouble}"));
        }
        let due = room.kernel().next_due();
        drop(room);
        self.awake.fetch_sub(1, Ordering::Relaxed);
        self.timer.forget(cell);
        let mut state = guard(&cell.state);
        state.running = false;
        state.generation += 1;
        if until == Until::DaemonEnds {
            return true;
        }
        if !state.inbox.is_empty() {
            self.enqueue(cell, &mut state);
        } else if let Some(due) = due {
            let after = due.saturating_sub(self.clock.wall());
            self.timer.at(self.clock.mono().saturating_add(after), Due::Wake(cell.clone()));
        }
        true
    }

    fn put_to_bed(&self, cell: &Cell, room: &mut Room) -> Result<(), store::Trouble> {
        if room.since.0 > 0 {
            room.snapshot()?;
        }
        // What still runs, or is fed by a mount, is woken again when the daemon starts.
        let busy = !room.kernel().idle() || !guard(&cell.mounts).attached.is_empty();
        let stays = if busy { Stays::Awake } else { Stays::Asleep };
        let bed = Bed { mark: lease::mark(room.kernel()), due: room.kernel().next_due(), stays };
        self.registry.sleep(&cell.name, &bed)
    }

    /// Puts everything to sleep, for ever.
    pub fn close(self: &Arc<Self>) {
        for cell in self.all() {
            self.sleep(&cell, Until::DaemonEnds);
            for (_, Ticket { client, id }) in std::mem::take(&mut guard(&cell.desk).waiting) {
                client.answer(&id, Err(gone("the daemon is stopping")));
            }
        }
        guard(&self.cells).clear();
    }

    /// An operator wants the daemon to end.
    pub fn ask_down(&self) {
        *guard(&self.down) = true;
        self.asked.notify_all();
    }

    /// Waits for that.
    pub fn wait_down(&self) {
        let mut down = guard(&self.down);
        while !*down {
            down = self.asked.wait(down).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Tells the followers of a process something.
    pub fn tell(&self, cell: &Cell, pid: Pid, method: &str, params: Value) {
        let clients: Vec<Arc<Connection>> = {
            let desk = guard(&cell.desk);
            let wants = |pids: &Option<std::collections::BTreeSet<Pid>>| {
                pids.as_ref().is_none_or(|pids| pids.contains(&pid))
            };
            desk.followers.iter().filter(|one| wants(&one.pids)).map(|one| one.client.clone()).collect()
        };
        if clients.is_empty() {
            return;
        }
        let line = notice(method, &params);
        clients.iter().for_each(|client| client.send_line(line.clone()));
    }
}

/// When a workspace may sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Idle, and not used since.
    UsedBefore(Micros),
    /// Whatever it does: it goes on at the next start.
    DaemonEnds,
}

impl Around for Node {
    fn workspaces(&self) -> String {
        let rows = self.registry.rows().unwrap_or_default();
        let mut text = String::new();
        for row in rows {
            let cell = guard(&self.cells).get(&row.name).cloned();
            let (awake, seq) = match &cell {
                None => ("asleep", Seq(0)),
                Some(cell) => {
                    let state = guard(&cell.state);
                    let awake = state.room.is_some() || state.running;
                    (if awake { "awake" } else { "asleep" }, state.seq)
                }
            };
            text.push_str(&format!("{} {awake} {seq}\n", row.name));
        }
        text
    }
}

/// Takes the cell, if nobody has it.
fn claim(state: &mut State) -> bool {
    let free = !state.running && !state.queued;
    state.running |= free;
    free
}

/// Waking cannot be left out: a workspace that dies of it stays down, with ever longer pauses.
fn can_be_set_aside(input: &Input) -> bool {
    !matches!(
        input.event.body,
        Body::Genesis { .. } | Body::Woke { .. } | Body::Leased { .. } | Body::Quarantined { .. }
    )
}

/// What stands in for an event that was set aside.
fn tamed(cell: &Cell, mut input: Input) -> Option<Input> {
    let error = tool::set_aside();
    if let Some(reply) = reply_of(&input) {
        let ticket = guard(&cell.desk).waiting.remove(&reply);
        if let Some(Ticket { client, id }) = ticket {
            client.answer(&id, Err(error));
            client.land(reply);
        }
        return None;
    }
    let body = match &input.event.body {
        body @ Body::Tool { .. } => tool::refused(body, error),
        Body::ModelEnded { effect, attempt, .. } => {
            let words = error.message.clone().into_bytes();
            let message = abi::Content::of(&words);
            input.blobs = vec![words];
            let outcome = ModelOutcome::Failed { message, again: false };
            Some(Body::ModelEnded { effect: *effect, attempt: *attempt, outcome })
        }
        _ => None,
    }?;
    input.event.body = body;
    Some(input)
}
