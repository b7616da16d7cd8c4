//! The node: every workspace's cell, and the running of them. A cell is run by whoever brings it something
//! while nobody else does; what is left over goes to the pool. A workspace's failure is its own: its room is
//! dropped, its clients are told, and it is loaded again after a pause, while all others go on.

use crate::{
    annex::Annex,
    away::Errand,
    ballast::{self, Ballast},
    cell::{Cell, Down, State, Ticket},
    checkpoint::{self, Point},
    clock::Clock,
    connection::{Connection, Id, gone, interrupted},
    daemon::Options,
    door::Door,
    endpoint::Endpoint,
    failure::undone,
    fold::Fold,
    guard::guard,
    job, journal,
    lease::{self, Lent},
    models::resolve::Drivers,
    mounts,
    pool::Pool,
    post::{Post, notice},
    presets::Presets,
    random,
    registry::{Bed, Registry, Stays},
    timer::{Due, SWEEP_US, Timer},
    turn::{Failed, Failure, Input, Log, Room, Turned},
    upload::Begun,
    vault::{Value as Open, Vault},
    wake::{Begin, Birth, Setup},
    workers::{Work, Workers},
};
use abi::{
    Code, Error, Micros, Pid, ReplyTo, Seq,
    event::{Body, Caller},
    limits,
    money::Nano,
    wire::{self, Decoded},
};
use drivers::Provider;
use sandbox::jail::Wall;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use store::{Blobs, Manifest};

/// At the end: batches, or waits for one that runs, before what is left is told that the daemon stops.
const REST_TRIES: u32 = 500;
const REST_WAIT_US: u64 = 1_000;
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
    pub ballast: Ballast,
    pub pool: Pool,
    pub workers: Workers,
    pub timer: Timer,
    pub cells: Mutex<BTreeMap<String, Arc<Cell>>>,
    models: Mutex<BTreeMap<String, Arc<dyn Provider>>>,
    pub providers: Mutex<Drivers>,
    pub vault: Vault,
    /// What makes sandboxes.
    pub wall: Wall,
    pub door: Arc<Door>,
    pub endpoint: Arc<Endpoint>,
    pub presets: Presets,
    pub annex: Annex,
    pub replies: AtomicU64,
    pub awake: AtomicUsize,
    sweeping: AtomicBool,
    pub stopping: AtomicBool,
    /// Held while a line is added to a file of checkpoints.
    pub signing: Mutex<()>,
    down: Mutex<bool>,
    asked: Condvar,
}

impl Node {
    pub fn new(home: PathBuf, clock: Arc<dyn Clock>, registry: Registry, options: Options) -> Arc<Self> {
        Arc::new(Self {
            ballast: Ballast::of(&home),
            vault: Vault::of(&home),
            wall: Wall::new("/proc/self/exe"),
            door: Arc::default(),
            endpoint: Arc::default(),
            presets: Presets::default(),
            annex: Annex::of(&home),
            home,
            clock,
            options,
            registry,
            pool: Pool::default(),
            workers: Workers::new(),
            timer: Timer::default(),
            cells: Mutex::default(),
            models: Mutex::default(),
            providers: Mutex::default(),
            replies: AtomicU64::new(0),
            awake: AtomicUsize::new(0),
            sweeping: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            signing: Mutex::default(),
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
                .hint(format!("skep write /sys/ctl \"workspace {shown}\" makes it")));
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
            return Err(taken(name));
        }
        guard(&cell.state).running = true;
        cells.insert(name.to_owned(), cell.clone());
        drop(cells);
        let mut post = Post { node: self, cell: &cell, generation: 0 };
        let made = catch_unwind(AssertUnwindSafe(|| self.wake(&cell, &mut post)));
        match made.unwrap_or_else(|_| Err(nobody_knows())) {
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

    /// Takes a name for a workspace that is not there yet. Whoever calls it is told so.
    pub fn reserve(&self, name: &str) -> Result<Arc<Cell>, Error> {
        let mut cells = guard(&self.cells);
        let known = self.registry.knows(name).map_err(|trouble| trouble.to_error())?;
        if known || cells.contains_key(name) {
            return Err(taken(name));
        }
        let cell = Cell::asleep(name, None);
        let error = gone(&format!("workspace {name} is being restored")).hint("try again when it is done");
        {
            let mut state = guard(&cell.state);
            (state.running, state.down) = (true, Some(Down { until: Micros::MAX, error }));
        }
        cells.insert(name.to_owned(), cell.clone());
        Ok(cell)
    }

    /// It is there now, asleep.
    pub fn open_reserved(&self, cell: &Cell) {
        let mut state = guard(&cell.state);
        (state.running, state.down) = (false, None);
    }

    /// It never came to be, unless it was opened.
    pub fn drop_reserved(&self, cell: &Arc<Cell>) {
        let mut cells = guard(&self.cells);
        let never = guard(&cell.state).down.as_ref().is_some_and(|down| down.until == Micros::MAX);
        if never && cells.get(&cell.name).is_some_and(|held| Arc::ptr_eq(held, cell)) {
            cells.remove(&cell.name);
        }
    }

    /// The model of this name; made once, since a scripted one counts.
    pub fn model(&self, name: &str) -> Result<Arc<dyn Provider>, Error> {
        if let Some(model) = guard(&self.models).get(name) {
            return Ok(model.clone());
        }
        let model: Arc<dyn Provider> = drivers::model(name, &self.home)?.into();
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
        (decoded, upload, secret): (Decoded, Option<Box<Manifest>>, Option<Open>),
    ) {
        let begun = Begun::of(cell, &caller, &decoded.call);
        let reply = ReplyTo(self.replies.fetch_add(1, Ordering::Relaxed) + 1);
        let body = Body::Call { caller, reply, call: decoded.call };
        if self.ballast.is_short() && !ballast::admits(&body) {
            return client.answer(&id, Err(self.ballast.refusal()));
        }
        let uploads = upload.into_iter().map(|upload| *upload).collect();
        let input = Input { uploads, ..Input::now(&*self.clock, body, decoded.blobs) };
        let run = {
            let mut state = guard(&cell.state);
            if let Err(error) = self.takes(cell, &state) {
                drop(state);
                return client.answer(&id, Err(error));
            }
            guard(&cell.desk)
                .waiting
                .insert(reply, Ticket::Line { client: client.clone(), id, begun, secret });
            client.depart(reply, cell);
            state.used = input.event.mono;
            state.inbox.push_back(input);
            claim(&mut state)
        };
        if run {
            self.batch(cell);
        }
    }

    /// Where a workspace lies.
    pub fn dir(&self, cell: &Cell) -> PathBuf {
        self.home.join("workspaces").join(&cell.name)
    }

    /// Where an upload into a workspace puts its bytes, if the disk has room for any.
    pub fn blobs(&self, cell: &Cell) -> Result<Blobs, Error> {
        if self.ballast.is_short() {
            return Err(self.ballast.refusal());
        }
        Ok(Blobs::new(&self.dir(cell), &store::Options::default(), cell.pins.clone()))
    }

    pub(crate) fn takes(&self, cell: &Cell, state: &State) -> Result<(), Error> {
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

    /// Something a worker or a timer brings; whether it was taken. What happened outside is true for every
    /// room, all else only for the one it was asked by.
    pub fn ended(self: &Arc<Self>, cell: &Arc<Cell>, generation: u64, (body, blobs): job::Ended) -> bool {
        let lasts = Errand::of(&body).is_some() || matches!(body, Body::ModelProgress { .. });
        if !lasts && guard(&cell.state).generation != generation {
            return false;
        }
        self.push(cell, Input::now(&*self.clock, body, blobs));
        true
    }

    /// What a command came to; whether it was taken. It is true only for the room that asked for it.
    pub fn brought(self: &Arc<Self>, cell: &Arc<Cell>, generation: u64, input: Input) -> bool {
        let holds = guard(&cell.state).generation == generation;
        if holds {
            self.push(cell, input);
        }
        holds
    }

    /// Something that happens, whoever waits.
    pub fn push(self: &Arc<Self>, cell: &Arc<Cell>, input: Input) {
        let run = {
            let mut state = guard(&cell.state);
            state.used = input.event.mono;
            if let Some(errand) = Errand::of(&input.event.body) {
                guard(&cell.away).back(errand);
            }
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

    pub fn enqueue(&self, cell: &Arc<Cell>, state: &mut State) {
        if !state.queued && !state.running {
            state.queued = true;
            self.pool.push(cell.clone());
        }
    }

    /// What the pool does with a cell.
    pub fn run_queued(self: &Arc<Self>, cell: &Arc<Cell>) {
        let (run, fold) = {
            let mut state = guard(&cell.state);
            state.queued = false;
            let work = state.has_work(self.ballast.space()) || (state.wanted && state.room.is_none());
            let fold = !work && state.fold == Fold::Due && state.room.is_some();
            let run = (work && !self.rests(&state) || fold) && claim(&mut state);
            (run, fold)
        };
        match (run, fold) {
            (true, true) => self.fold(cell),
            (true, false) => self.batch(cell),
            (false, _) => {}
        }
    }

    /// Runs one batch; the caller has claimed the cell. Whatever panics on the way, the cell is free again
    /// after it.
    pub fn batch(self: &Arc<Self>, cell: &Arc<Cell>) {
        if catch_unwind(AssertUnwindSafe(|| self.run(cell))).is_err() {
            self.fail_blindly(cell);
        }
    }

    fn run(self: &Arc<Self>, cell: &Arc<Cell>) {
        let (room, inputs, generation) = {
            let mut state = guard(&cell.state);
            let inputs = state.next_batch(self.ballast.space());
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

    fn settle(self: &Arc<Self>, cell: &Arc<Cell>, mut room: Box<Room>, turned: Turned) {
        cell.decided(&turned.done);
        mounts::attach_opened(self, cell, &turned.done);
        cell.accept(&turned.done, &std::mem::take(&mut room.unkept));
        if room.snapshot_due()
            && !self.ballast.is_short()
            && let Err(trouble) = room.snapshot()
        {
            self.heard(&trouble);
            journal::say(&cell.name, &format!("no snapshot: {trouble}"));
        }
        self.tend_log(cell, &mut room);
        if let Some(trouble) = room.hindered.take() {
            self.heard(&trouble);
            journal::say(&cell.name, &format!("purged bytes are still in its files: {trouble}"));
        }
        let mut state = guard(&cell.state);
        for input in turned.rest.into_iter().rev() {
            state.inbox.push_front(input);
        }
        state.seq = room.kernel().seq();
        let point = Point::of(&room);
        let sign = state.stands(point, limits::CHECKPOINT_RECORDS);
        state.room = Some(room);
        state.running = false;
        state.down = None;
        state.birth = None;
        self.fold_later(cell, &mut state);
        if state.has_work(self.ballast.space()) {
            self.enqueue(cell, &mut state);
        }
        drop(state);
        if sign {
            self.workers.submit(self, cell, 0, Work::Sign(point));
        }
    }

    /// Keeps the store's log from growing: by a worker, and by this thread if none keeps up.
    fn tend_log(self: &Arc<Self>, cell: &Arc<Cell>, room: &mut Room) {
        match room.log() {
            Log::Short => {}
            Log::Long => self.workers.submit(self, cell, 0, Work::Carry),
            Log::TooLong => self.carried(cell, room.cut_log()),
        }
    }

    /// What a worker does for a log that is long.
    pub fn carry(&self, cell: &Cell) {
        self.carried(cell, store::carry(&self.home.join("workspaces").join(&cell.name)));
    }

    fn carried(&self, cell: &Cell, done: Result<(), store::Trouble>) {
        if let Err(trouble) = done {
            self.heard(&trouble);
            journal::say(&cell.name, &format!("its write-ahead log was not carried over: {trouble}"));
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
            dir: self.dir(cell),
            options: store::Options::default(),
            pins: cell.pins.clone(),
            clock: self.clock.clone(),
            around: self.clone(),
            secret: *self.registry.secret(),
            prices: Vec::new(),
            lease: Nano(0),
            set_aside: self.registry.set_aside(&cell.name).map_err(store)?,
        };
        let mut room = Room::load(&setup, begin)?;
        if room.kernel().seq() > Seq(0) {
            let id = room.kernel().workspace_id();
            self.registry.recognise(&cell.name, id, &setup.dir).map_err(store)?;
        }
        let (mark, reserved) = (lease::mark(room.kernel()), room.kernel().reserved());
        let (wall, mono) = (self.clock.wall(), self.clock.mono());
        setup.lease = self.registry.wake(&cell.name, mark, reserved, wall).map_err(store)?;
        guard(&cell.state).lent = Lent::of(setup.lease, reserved, wall, mono);
        mounts::attach(self, cell, room.kernel().mounts());
        room.under_way = guard(&cell.away).effects();
        room.wake(&setup, self.birth(born.unwrap_or_default()).map_err(store)?, post)?;
        self.registry.keep_id(&cell.name, room.kernel().workspace_id()).map_err(store)?;
        let mut state = guard(&cell.state);
        state.set_aside = setup.set_aside;
        state.wanted = false;
        state.used = self.clock.mono();
        state.awake = true;
        state.point = Some(Point::of(&room));
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

    /// Something's time has come.
    pub fn due(self: &Arc<Self>, due: Due) {
        match due {
            Due::Fire { cell, generation, timer } => {
                self.ended(&cell, generation, (Body::TimerFired { timer }, Vec::new()));
            }
            Due::Wake(cell) => self.want(&cell),
            Due::Fold(cell) => self.fold_due(&cell),
            Due::Poll { cell, turn } => mounts::begin_poll(self, &cell, turn),
            Due::Sweep => self.sweep(),
            Due::Room => self.look_for_room(),
        }
    }

    pub fn all(&self) -> Vec<Arc<Cell>> {
        guard(&self.cells).values().cloned().collect()
    }

    fn sweep(self: &Arc<Self>) {
        let long_ago = self.clock.mono().saturating_sub(IDLE_US);
        for cell in self.all() {
            if !self.sleep(&cell, Until::UsedBefore(long_ago)) {
                self.tend(&cell);
            }
        }
        if self.awake.load(Ordering::Relaxed) > 0 {
            self.timer.at(self.clock.mono().saturating_add(SWEEP_US), Due::Sweep);
        } else {
            self.sweeping.store(false, Ordering::Relaxed);
        }
    }

    /// What is not urgent, while nobody asks anything of a workspace; who does meanwhile waits for it.
    fn tend(self: &Arc<Self>, cell: &Arc<Cell>) {
        let mut room = {
            let mut state = guard(&cell.state);
            let busy = state.running || state.queued || state.closed || !state.inbox.is_empty();
            let untidy = state.room.as_ref().is_some_and(|room| room.untidy);
            let Some(room) = state.room.take_if(|_| untidy && !busy && !self.ballast.is_short()) else {
                return;
            };
            state.running = true;
            room
        };
        match catch_unwind(AssertUnwindSafe(|| room.tend())) {
            Ok(Ok(())) => {}
            Ok(Err(trouble)) => {
                self.heard(&trouble);
                journal::say(&cell.name, &format!("not all could be tidied up: {trouble}"));
            }
            Err(_) => return self.fail_blindly(cell),
        }
        let mut state = guard(&cell.state);
        state.room = Some(room);
        state.running = false;
        if state.has_work(self.ballast.space()) {
            self.enqueue(cell, &mut state);
        }
    }

    /// The least recently used of those that may sleep does.
    fn sleep_oldest(self: &Arc<Self>) {
        let mut cells = self.all();
        // Cached, since others go on using them meanwhile.
        cells.sort_by_cached_key(|cell| guard(&cell.state).used);
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
        match catch_unwind(AssertUnwindSafe(|| self.put_to_bed(cell, &mut room))) {
            Ok(Ok(())) => {}
            Ok(Err(trouble)) => journal::say(&cell.name, &format!("not put to sleep well: {trouble}")),
            Err(_) => journal::say(&cell.name, "not put to sleep well: a panic"),
        }
        let (due, point) = (room.kernel().next_due(), Point::of(&room));
        drop(room);
        self.sign_off(cell, point, until);
        self.timer.forget(cell);
        cell.walls.end_all();
        cell.bounds.end();
        let mut state = guard(&cell.state);
        state.running = false;
        if std::mem::take(&mut state.awake) {
            self.awake.fetch_sub(1, Ordering::Relaxed);
        }
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

    /// The last checkpoint before a sleep, if there is something that none signs.
    fn sign_off(self: &Arc<Self>, cell: &Arc<Cell>, point: Point, until: Until) {
        if !guard(&cell.state).stands(point, 1) {
            return;
        }
        match until {
            // No worker runs any more.
            Until::DaemonEnds => checkpoint::keep(self, cell, point),
            Until::UsedBefore(_) => self.workers.submit(self, cell, 0, Work::Sign(point)),
        }
    }

    fn put_to_bed(&self, cell: &Cell, room: &mut Room) -> Result<(), store::Trouble> {
        if room.since.0 > 0 && !self.ballast.is_short() {
            room.snapshot()?;
        }
        self.carried(cell, room.cut_log());
        // The end of the daemon does not wait for it: a room begins untidy.
        if !self.stopping.load(Ordering::Relaxed) && room.untidy && !self.ballast.is_short() {
            room.tend()?;
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
            self.decide_rest(&cell);
            guard(&cell.state).closed = true;
            self.sleep(&cell, Until::DaemonEnds);
            let undone = guard(&cell.state).inbox.iter().filter_map(undone).collect::<BTreeSet<ReplyTo>>();
            for (reply, ticket) in std::mem::take(&mut guard(&cell.desk).waiting) {
                let stopping = "the daemon is stopping";
                let told = if undone.contains(&reply) { gone(stopping) } else { interrupted(stopping) };
                ticket.answer(reply, Err(told));
            }
        }
        guard(&self.cells).clear();
    }

    /// Decides what has come in already, so that who asked hears it: nobody is read from any more, no worker
    /// and no pool runs. Bounded, since a turn may bring itself more and more to do.
    fn decide_rest(self: &Arc<Self>, cell: &Arc<Cell>) {
        for _ in 0..REST_TRIES {
            let mut state = guard(&cell.state);
            if state.inbox.is_empty() && !state.running {
                return;
            }
            let free = !state.running;
            if free {
                (state.queued, state.running) = (false, true);
            }
            drop(state);
            if free {
                self.batch(cell);
            } else {
                // A client's thread still runs the batch it was asked for.
                std::thread::sleep(Duration::from_micros(REST_WAIT_US));
            }
        }
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

fn taken(name: &str) -> Error {
    let message = format!("there is a workspace {name} already");
    Error::new(Code::Exists, message).argument("name").hint("take another name: nothing is ever overwritten")
}

/// Takes the cell, if nobody has it.
pub(crate) fn claim(state: &mut State) -> bool {
    let free = !state.running && !state.queued && !state.closed;
    state.running |= free;
    free
}

/// A panic of which nobody knows how far it came.
pub(crate) fn nobody_knows() -> Failed {
    Failed { failure: Failure::Panic { at: usize::MAX }, lost: Vec::new() }
}
