//! Work at drivers: at most `DISPATCHES_MAX` threads, made when there is work and gone five seconds after. A
//! slow driver keeps one of them busy and nobody else waiting; what does not fit waits in order.

use crate::{
    away::Errand,
    cell::{Cell, Gauge, Ticket},
    checkpoint::{self, Point},
    draft::{self, DraftJob},
    guard::{guard, wait},
    job::{self, EffectJob, MergeJob, ModelJob},
    journal,
    models::resolve,
    mounts,
    node::Node,
    passed::{self, Target},
    spawn,
};
use abi::{
    Code, EffectId, Error, Micros, ReplyTo, control::Control, event::Body, limits, money::Usage,
    request::Asked,
};
use drivers::{Flow, Model, ModelError};
use serde_json::json;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex},
};

/// A model call ends by then, whatever its driver does with the stream.
const CALL_US_MAX: u64 = 600_000_000;
/// Previews of one call come no closer than this.
const PREVIEW_US: u64 = 50_000;
/// Bytes of one preview; what does not fit is not shown early.
const PREVIEW_BYTES_MAX: usize = 4096;
/// The kernel is asked for more when less than so many reserved tokens are left.
const MARGIN_TOKENS: u64 = limits::OUTPUT_STEP_TOKENS / 4;
/// A thread without work ends after this.
const LINGER_US: u64 = 5_000_000;

/// Something to do for a workspace.
pub(crate) enum Work {
    /// Call a model.
    Model(ModelJob, Arc<Gauge>),
    /// Have an effect done.
    Send(EffectJob),
    /// Ask whether it was.
    Probe(EffectJob),
    /// Merge texts.
    Merge(Box<MergeJob>),
    /// Read a draft.
    Draft(Box<DraftJob>),
    /// Carry out a control word.
    Control(ReplyTo, Control),
    /// Ask the mounts what has come.
    Poll,
    /// Sign where its log stands.
    Sign(Point),
    /// Carry the store's log over into its file.
    Carry,
}

struct Queue {
    waiting: VecDeque<(Arc<Cell>, u64, Work)>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

/// The threads that talk to drivers.
pub(crate) struct Workers {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Workers {
    pub fn new() -> Self {
        let queue = Queue { waiting: VecDeque::new(), threads: 0, idle: 0, stopped: false };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    /// Does this for a workspace of this generation.
    pub fn submit(&self, node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, work: Work) {
        let mut queue = guard(&self.queue);
        if queue.stopped {
            return;
        }
        queue.waiting.push_back((cell.clone(), generation, work));
        if queue.idle >= queue.waiting.len() {
            self.changed.notify_one();
            return;
        }
        if queue.threads < limits::DISPATCHES_MAX {
            let node = node.clone();
            if spawn::thread("worker", move || node.workers.run(&node)) {
                queue.threads += 1;
            }
        }
    }

    /// Waits until nothing runs, at most so long; what has not begun never will.
    pub fn drain(&self, at_most_us: u64, clock: &dyn crate::clock::Clock) {
        let end = clock.mono().saturating_add(at_most_us);
        let mut queue = guard(&self.queue);
        queue.stopped = true;
        queue.waiting.clear();
        self.changed.notify_all();
        while queue.threads > 0 && clock.mono() < end {
            queue = wait(&self.changed, queue, end.saturating_sub(clock.mono()));
        }
    }

    fn run(&self, node: &Arc<Node>) {
        while let Some((cell, generation, work)) = self.next() {
            perform(node, &cell, generation, work);
        }
        guard(&self.queue).threads -= 1;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<(Arc<Cell>, u64, Work)> {
        let mut queue = guard(&self.queue);
        if queue.waiting.is_empty() && !queue.stopped {
            queue.idle += 1;
            queue = wait(&self.changed, queue, LINGER_US);
            queue.idle -= 1;
        }
        queue.waiting.pop_front()
    }
}

/// Does the work; a panic of ours on the way there is a failure of that work and of nothing else.
fn perform(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, work: Work) {
    let instead = Instead::of(&work);
    if catch_unwind(AssertUnwindSafe(|| carry(node, cell, generation, work))).is_ok() {
        return;
    }
    journal::say(&cell.name, "a worker panicked");
    match instead {
        Instead::Event(ended) => drop(node.ended(cell, generation, *ended)),
        Instead::Forget(errand) => guard(&cell.away).end(errand),
        Instead::Nothing => {}
    }
}

/// What is said of work that panicked.
enum Instead {
    /// That it failed.
    Event(Box<job::Ended>),
    /// Nothing: nobody knows whether it happened. The next waking takes it up by the table of deaths.
    Forget(Errand),
    Nothing,
}

impl Instead {
    fn of(work: &Work) -> Self {
        match work {
            Work::Model(job, _) => {
                let ModelJob { effect, attempt, .. } = job;
                Self::Event(Box::new(job::lost(*effect, *attempt)))
            }
            Work::Send(job) => Self::Forget(Errand::Send(job.effect)),
            Work::Probe(job) => Self::Forget(Errand::Probe(job.effect)),
            Work::Control(reply, _) => {
                let error = Error::new(Code::Unavailable, "this failed while it was carried out");
                Self::Event(Box::new((Body::ControlEnded { reply: *reply, result: Err(error) }, Vec::new())))
            }
            Work::Draft(job) => {
                let error = Error::new(Code::Unavailable, "this failed while it was read");
                Self::Event(Box::new((job.found(Err(error)), Vec::new())))
            }
            Work::Merge(job) => Self::Event(Box::new(job.without())),
            Work::Poll | Work::Sign(_) | Work::Carry => Self::Nothing,
        }
    }
}

fn carry(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, work: Work) {
    let ended = match work {
        Work::Model(mut job, gauge) => {
            let ended = match job.asked {
                Some(asked) => pass_on(node, cell, generation, (&job, asked), &gauge),
                None => think(node, cell, generation, (&mut job, &gauge)),
            };
            let mut gauges = guard(&cell.gauges);
            if gauges.get(&job.effect).is_some_and(|held| Arc::ptr_eq(held, &gauge)) {
                gauges.remove(&job.effect);
            }
            ended
        }
        Work::Send(job) => job::run_dispatch(&job, cell.mount(&job.mount).as_deref()),
        Work::Probe(job) => job::run_probe(&job, cell.mount(&job.mount).as_deref()),
        Work::Control(reply, word) => {
            let result = mounts::control(node, cell, generation, (reply, word));
            (Body::ControlEnded { reply, result }, Vec::new())
        }
        Work::Draft(job) => draft::run(node, cell, generation, &job),
        Work::Merge(job) => job::run_merge(&job),
        Work::Poll => return mounts::poll(node, cell),
        Work::Sign(point) => return checkpoint::keep(node, cell, point),
        Work::Carry => return node.carry(cell),
    };
    node.ended(cell, generation, ended);
}

/// A call of a turn, or a bare one.
fn think(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    generation: u64,
    (job, gauge): (&mut ModelJob, &Gauge),
) -> job::Ended {
    match resolve::resolve(node, cell, &job.prompt.model, job.run) {
        Ok(resolved) => {
            job.prompt.model.clone_from(&resolved.name);
            call(node, cell, generation, job, &resolved, gauge)
        }
        Err(error) => job::failed(job, &error, Usage::default()),
    }
}

/// A program's own request: to its provider and back.
fn pass_on(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    generation: u64,
    (job, (asked, reply)): (&ModelJob, (Asked, ReplyTo)),
    gauge: &Gauge,
) -> job::Ended {
    let waiting = guard(&cell.desk).waiting.get(&reply).and_then(Ticket::exchange);
    // Whoever asked has gone before it began: nothing is bought.
    let Some(exchange) = waiting else {
        let message = "the program went before it was asked".to_owned();
        return job::failed(job, &ModelError { message, ..ModelError::default() }, Usage::default());
    };
    let resolved = match resolve::resolve(node, cell, &job.prompt.model, job.run) {
        Ok(resolved) => resolved,
        Err(error) => return passed::refused(job, &Error::new(Code::Denied, error.message), &exchange),
    };
    let mut meter = Meter::new(node, cell, generation, job, gauge);
    let target = Target { provider: &*resolved.provider, model: &resolved.name, secret: resolved.secret() };
    passed::run(job, asked, &target, &exchange, &mut |tokens_out| meter.pass(tokens_out))
}

/// Output as it streams: more is asked for before it is used, and a call ends in time.
struct Meter<'a> {
    node: &'a Arc<Node>,
    cell: &'a Arc<Cell>,
    generation: u64,
    effect: EffectId,
    gauge: &'a Gauge,
    end: Micros,
    asked: u64,
}

impl<'a> Meter<'a> {
    fn new(
        node: &'a Arc<Node>,
        cell: &'a Arc<Cell>,
        generation: u64,
        job: &ModelJob,
        gauge: &'a Gauge,
    ) -> Self {
        let end = node.clock.mono().saturating_add(CALL_US_MAX);
        Self { node, cell, generation, effect: job.effect, gauge, end, asked: 0 }
    }

    fn pass(&mut self, tokens_out: u64) -> Flow {
        let now = self.node.clock.mono();
        if now >= self.end {
            return Flow::Stop;
        }
        let reserved = self.gauge.reserved();
        if tokens_out.saturating_add(MARGIN_TOKENS) >= reserved && self.asked < reserved {
            self.asked = reserved;
            let progress = Body::ModelProgress { effect: self.effect, tokens_out };
            self.node.ended(self.cell, self.generation, (progress, Vec::new()));
        }
        self.gauge.pass(tokens_out, self.end - now)
    }
}

/// One model call: previews to whoever follows, more output asked for before it is used, and an end in time.
fn call(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    generation: u64,
    job: &ModelJob,
    model: &dyn Model,
    gauge: &Gauge,
) -> job::Ended {
    let mut meter = Meter::new(node, cell, generation, job, gauge);
    let mut preview = Preview { shown: 0, held: String::new() };
    let mut stream = |tokens_out: u64, piece: &str| {
        preview.push(node, cell, job, piece, node.clock.mono());
        meter.pass(tokens_out)
    };
    job::run_model(job, (model, None), &mut stream)
}

/// What has been streamed and not been shown.
struct Preview {
    shown: Micros,
    held: String,
}

impl Preview {
    fn push(&mut self, node: &Node, cell: &Cell, job: &ModelJob, piece: &str, now: Micros) {
        if self.held.len() + piece.len() <= PREVIEW_BYTES_MAX {
            self.held.push_str(piece);
        }
        if now.saturating_sub(self.shown) < PREVIEW_US || self.held.is_empty() {
            return;
        }
        self.shown = now;
        let params = json!({ "workspace": cell.name, "pid": job.pid, "text": self.held });
        node.tell(cell, job.pid, "preview", params);
        self.held.clear();
    }
}
