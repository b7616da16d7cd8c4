//! What left a turn, and what comes back of it: in any order, late, or never.

use super::{Fate, Rig, desk::Desk, program};
use crate::{chance::Chance, ledger::finding, mind::Mind};
use abi::{
    Code, EffectId, Error, OpId, ReplyTo, Seq, VersionId,
    call::Part,
    effect::SandboxAct,
    event::{Body, ModelOutcome, Probed},
    limits,
    view::{self, Change, Kind},
};
use drivers::{Flow, Model, ModelError, Mount, Prompt, RawUsage, Said, Secret};
use machine::{
    clock::Clock,
    draft::DraftJob,
    job::{self, EffectJob, ExecJob, MergeJob, ModelJob},
    turn::{Input, Out},
};
use store::Reader;

/// The kernel is asked for more when less than so many reserved tokens are left.
const MARGIN_TOKENS: u64 = limits::OUTPUT_STEP_TOKENS / 4;

/// Work that left.
#[derive(Clone)]
pub enum Job {
    /// Call a model.
    Model(ModelJob),
    /// Have an effect done.
    Send(EffectJob),
    /// Ask whether it was.
    Probe(EffectJob),
    /// Merge texts.
    Merge(Box<MergeJob>),
    /// A control word.
    Control(ReplyTo),
    /// Run a command.
    Exec(Box<ExecJob>),
    /// Read a draft.
    Draft(Box<DraftJob>),
    /// Place what a record says in the bound directory.
    Place(Seq),
    /// A call that was looked at.
    Looked(Box<Input>),
}

/// Ends every turn at once.
struct Brief;

impl Model for Brief {
    fn call(
        &self,
        _: &Prompt,
        _: Option<&Secret<'_>>,
        _: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let usage = RawUsage { tokens_in: 1, tokens_out: 1, tokens_cached: 0, tokens_written: 0 };
        Ok(Said { text: "done".to_owned(), tools: Vec::new(), stop: abi::event::Stop::End, usage })
    }
}

impl Rig {
    /// Takes up what left before the commit and dies with the daemon.
    pub(super) fn take_ordered(&mut self, outs: Vec<Out>) {
        for out in outs {
            self.mix(format!("{out:?}").as_bytes());
            match out {
                Out::Extend { effect, reserved_out } => {
                    self.gauges.entry(effect).and_modify(|gauge| gauge.0 = gauge.0.max(reserved_out));
                }
                Out::Cut { effect } => {
                    self.gauges.entry(effect).and_modify(|gauge| gauge.1 = true);
                }
                Out::Timer { timer, after_us } => {
                    let late = self.chance.below(50_000);
                    let due = self.clock.mono().saturating_add(after_us).saturating_add(late);
                    self.timers.push((due, timer));
                }
                Out::Merge(job) => self.jobs.push(Job::Merge(job)),
                Out::Look(job) => self.jobs.push(Job::Looked(Box::new(job.seen(Default::default())))),
                Out::Exec(job) => self.jobs.push(Job::Exec(job)),
                Out::EndExec { exec } if self.chance.one_in(2) => {
                    // The other half ends as it is told to: the kernel hears of it too late.
                    self.jobs.retain(|job| !matches!(job, Job::Exec(job) if job.command.exec == exec));
                }
                Out::Sandbox { pid, act: SandboxAct::End } => {
                    self.push(Body::SandboxEnded { pid }, Vec::new());
                }
                Out::EndExec { .. } | Out::Tell { .. } | Out::Sandbox { .. } => {}
                out => self.report_finding([finding("gate", format!("{out:?} left before its commit"))]),
            }
        }
    }

    /// Takes up what left after the commit.
    pub(super) fn take_durable(&mut self, outs: Vec<Out>) {
        for out in outs {
            self.mix(format!("{out:?}").as_bytes());
            match out {
                Out::Reply { to, answer } => {
                    let number = |key: &str| answer.as_ref().ok()?.get(key)?.as_u64();
                    self.answered(to, number("operation").map(OpId), number("version").map(VersionId));
                }
                Out::Model(job) => {
                    self.gauges.insert(job.effect, (job.reserved_out, false));
                    self.jobs.push(Job::Model(job));
                }
                Out::Dispatch(job) => self.jobs.push(Job::Send(job)),
                // The tree it reads had to be committed first.
                Out::Exec(job) => self.jobs.push(Job::Exec(job)),
                Out::Probe(job) => self.jobs.push(Job::Probe(job)),
                Out::Next(input) => self.inbox.push_back(*input),
                Out::Control { reply, .. } => self.jobs.push(Job::Control(reply)),
                Out::ReadDraft(job) => self.jobs.push(Job::Draft(job)),
                Out::Place(job) => self.jobs.push(Job::Place(job.seq)),
                Out::ExecDecided { exec, plan, .. } => {
                    let job = self.desks.get_mut(&exec).and_then(|desk| desk.decided(*plan?));
                    self.jobs.extend(job.map(Job::Exec));
                }
                Out::Follow { .. }
                | Out::Records(_)
                | Out::Providers(..)
                | Out::Alarm(_)
                | Out::NoticeDecided { .. }
                | Out::Upload { .. } => {}
                Out::Extend { .. }
                | Out::Cut { .. }
                | Out::Timer { .. }
                | Out::Merge(_)
                | Out::Look(_)
                | Out::EndExec { .. }
                | Out::Tell { .. }
                | Out::Sandbox { .. } => {
                    self.report_finding([finding("gate", format!("{out:?} waited for a commit"))]);
                }
            }
        }
    }

    /// A client was told; an operation that it was told of is acknowledged.
    fn answered(&mut self, to: ReplyTo, op: Option<OpId>, version: Option<VersionId>) {
        self.waiting.remove(&to);
        if let Some(op) = op {
            self.acked.push((op, version));
        }
    }

    /// `out-before-record`: whatever left after a commit has its record in what another reader saw on the
    /// disk then.
    pub(super) fn check_outs(&mut self, outs: &[Out], witness: Option<Seq>) {
        let seen = witness.unwrap_or_default();
        for out in outs {
            let due = match out {
                Out::Model(job) => self.ledger.acts.bought_at(&job.effect, job.attempt),
                Out::Dispatch(job) | Out::Probe(job) => {
                    self.ledger.acts.effects.get(&job.effect).and_then(|act| act.dispatched_at)
                }
                Out::Reply { answer: Ok(answer), .. } => {
                    match answer.get("operation").and_then(|op| op.as_u64()) {
                        Some(op) => self.ledger.acts.ops.get(&OpId(op)).copied(),
                        None => continue,
                    }
                }
                Out::Next(input) => match &input.event.body {
                    Body::Armed { effect } => self.effect_at(effect),
                    _ => continue,
                },
                _ => continue,
            };
            if due.is_none_or(|due| due > seen) {
                let what = format!("{out:.200?} left at {seen}, its record is {due:?}");
                self.report_finding([finding("out-before-record", what)]);
            }
        }
    }

    fn effect_at(&self, effect: &EffectId) -> Option<Seq> {
        self.ledger.acts.effects.get(effect).map(|act| act.seq)
    }

    /// Does a job and brings what came of it, unless the room it was for is no more.
    pub(super) fn perform(&mut self, job: Job) {
        let generation = self.generation;
        let (body, blobs) = match job {
            Job::Model(job) => self.think(&job),
            Job::Send(job) => job::run_dispatch(&job, self.site(&job.mount)),
            Job::Probe(job) => {
                let ended = job::run_probe(&job, self.site(&job.mount));
                if let Body::EffectProbed { effect, found: Probed::Absent } = &ended.0 {
                    self.ledger.acts.absent(*effect);
                }
                ended
            }
            Job::Merge(job) => job::run_merge(&job),
            Job::Draft(job) => (job.found(self.read_draft(&job)), Vec::new()),
            Job::Exec(job) => match self.run_program(&job) {
                Some(ended) => ended,
                None => return,
            },
            Job::Place(seq) => (Body::Placed { seq, failed: Vec::new() }, Vec::new()),
            Job::Looked(input) => {
                self.inbox.push_back(*input);
                return;
            }
            Job::Control(reply) => (Body::ControlEnded { reply, result: Ok(()) }, Vec::new()),
        };
        if generation == self.generation {
            self.push(body, blobs);
        }
    }

    fn run_program(&mut self, job: &ExecJob) -> Option<job::Ended> {
        let (exec, pid) = (job.command.exec.0.to_le_bytes(), job.command.pid);
        let mut chance = Chance::of(self.plan.seed, &[&b"ports"[..], &exec].concat());
        if let Some(ports) = program::ports(&mut chance) {
            self.push(Body::Listens { pid, ports }, Vec::new());
        }
        let mut chance = Chance::of(self.plan.seed, &[&b"exec"[..], &exec].concat());
        let known = self.ledger.known();
        let (id, kind) = (job.command.exec, job.command.plan.kind);
        let drawn = if kind == Kind::Command { &mut chance } else { &mut self.chance };
        let mut desk = Desk::default();
        let desk = if kind == Kind::Live { self.desks.entry(id).or_default() } else { &mut desk };
        let at = (self.dir.path(), &mut *desk);
        let (body, blobs) = match kind {
            // It says all that it has written each time, and goes on.
            Kind::Draft => program::sketch(at, job, drawn, &known),
            Kind::Live if !self.calm => program::keep(at, job, drawn, &known),
            Kind::Live | Kind::Command => program::run(at, job, drawn, &known),
        }?;
        let (Body::ExecWrote { commit, .. } | Body::ExecEnded { commit, .. }) = &body else {
            return Some((body, blobs));
        };
        match kind {
            Kind::Draft => self.ledger.drafts.promised(commit),
            // What one that goes on writes is many operations, each for itself.
            Kind::Live => {}
            Kind::Command => self.ledger.execs.promised(id, commit),
        }
        let goes_on = matches!(body, Body::ExecWrote { .. });
        if kind == Kind::Draft && goes_on {
            self.jobs.push(Job::Exec(Box::new(job.clone())));
        }
        if kind == Kind::Live && goes_on {
            desk.told(job.clone());
        }
        Some((body, blobs))
    }

    /// What a draft changes, as the store has it.
    fn read_draft(&self, job: &DraftJob) -> Result<Vec<Change>, Error> {
        let gone = || Error::new(Code::Unavailable, "its text is gone");
        let reader = Reader::open(self.dir.path()).map_err(|_| gone())?;
        let part = Part { offset: 0, length: job.layer.bytes };
        let text = reader.part(&job.layer, part).ok().flatten().ok_or_else(gone)?;
        view::parse_layer(&text)
    }

    fn site(&self, mount: &str) -> Option<&dyn Mount> {
        self.sites.get(mount).map(|site| &**site as &dyn Mount)
    }

    /// One model call, streaming as a worker lets it stream.
    fn think(&mut self, job: &ModelJob) -> job::Ended {
        let purpose = [&job.effect.0[..], &job.attempt.to_le_bytes()].concat();
        let mind = Mind::new(Chance::of(self.plan.seed, &purpose), self.ledger.known());
        let model: &dyn Model = if self.calm { &Brief } else { &mind };
        let generation = self.generation;
        let mut asked = 0;
        let ended = job::run_model(job, (model, None), &mut |tokens, _| {
            self.stream(generation, job, tokens, &mut asked)
        });
        self.gauges.remove(&job.effect);
        let (Body::ModelEnded { effect, attempt, outcome }, _) = &ended else { return ended };
        if let ModelOutcome::Answered { usage, counted, .. } = outcome {
            self.ledger.acts.claims.insert((*effect, *attempt), usage.check(counted).0);
        }
        ended
    }

    fn stream(&mut self, generation: u32, job: &ModelJob, tokens: u64, asked: &mut u64) -> Flow {
        if generation != self.generation {
            return Flow::Stop;
        }
        let (reserved, _) = self.gauges.get(&job.effect).copied().unwrap_or_default();
        if tokens + MARGIN_TOKENS >= reserved && *asked < reserved {
            *asked = reserved;
            self.push(Body::ModelProgress { effect: job.effect, tokens_out: tokens }, Vec::new());
            let fate = self.draw_fate();
            self.turn(fate);
        }
        let gauge = self.gauges.get(&job.effect).copied();
        let (reserved, cut) = gauge.unwrap_or((0, true));
        if cut || tokens > reserved || generation != self.generation { Flow::Stop } else { Flow::Go }
    }

    /// The machine has died: of what was in flight some happened and nobody heard of it.
    pub(super) fn abandon(&mut self) {
        self.desks.clear();
        for job in std::mem::take(&mut self.jobs) {
            if let Job::Send(job) = job
                && self.chance.one_in(2)
            {
                job::run_dispatch(&job, self.site(&job.mount));
            }
        }
    }

    /// What a turn may do now.
    pub(super) fn draw_fate(&mut self) -> Fate {
        if self.calm || self.full {
            return Fate::None;
        }
        match self.chance.below(48) {
            0..3 => Fate::DiesDeciding { looks: 1 + self.chance.below(12) },
            3..7 => Fate::DiesReleasing { outs: self.chance.below(5) },
            7 => Fate::Locked,
            _ => Fate::None,
        }
    }
}
