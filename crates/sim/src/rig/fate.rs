//! Turns, and how they can end: well, not at all, or in the middle. What the files say after each crash is
//! checked before anybody writes to them again.

use super::{LEASE, OPERATOR, OUTSIDE, Rig};
use crate::{
    audit,
    gate::{Followers, Gate},
    ledger::{Finding, finding},
    watch::Meant,
};
use abi::{
    Seq,
    call::Call,
    event::{Body, Caller},
    label::Integrity,
    limits,
    path::TreePath,
    record::{Entry, Record},
};
use machine::{
    clock::Clock,
    turn::{Failed, Failure, Input, Out, Room, Turned},
    wake::{Begin, Birth},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};
use store::{Durable, Options, Workspace};

/// Replies to the rig's own questions begin here.
pub const OWN_REPLIES: u64 = 1 << 40;
/// Times an opening may be interrupted before it is left in peace.
const OPENINGS_MAX: u32 = 4;

/// What becomes of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    None,
    /// The machine dies while it decides, when the clock is looked at for this time.
    DiesDeciding {
        /// Looks at the clock.
        looks: u64,
    },
    /// It dies after the commit, after so many outputs.
    DiesReleasing {
        /// Outputs that left.
        outs: u64,
    },
    /// Somebody else holds the file: nothing can be written.
    Locked,
}

/// Options of a simulated disk; a full one holds not a page more than it does.
pub fn options(pages_max: Option<u32>) -> Options {
    Options { durable: Durable::Null, pages_max, segment: None }
}

impl Rig {
    fn gate(&self, fate: Fate) -> Gate {
        let left = match fate {
            Fate::DiesReleasing { outs } => Some(outs),
            Fate::None | Fate::DiesDeciding { .. } | Fate::Locked => None,
        };
        Gate::new(self.dir.path().to_owned(), options(None), self.followers, left)
    }

    /// One batch through the production loop.
    pub(super) fn turn(&mut self, fate: Fate) {
        let most = if self.chance.one_in(3) { 1 + self.chance.below(3) } else { 64 };
        let count = self.inbox.len().min(usize::try_from(most).unwrap_or(1));
        if count == 0 {
            return;
        }
        let Some(mut room) = self.room.take() else {
            return self.report_finding([finding("open", "nobody has the workspace open")]);
        };
        self.turns += 1;
        let batch: Vec<Input> = self.inbox.drain(..count).collect();
        let mut gate = self.gate(fate);
        let came = self.under(fate, || room.turn(batch, &mut gate));
        match came {
            Ok(Ok(turned)) => {
                self.room = Some(room);
                self.done(turned, gate);
            }
            Ok(Err(failed)) => {
                drop(room);
                self.failed(failed, fate);
            }
            Err(why) => {
                drop(room);
                self.died(why, gate);
            }
        }
    }

    /// Does it under a fate.
    fn under<T>(&self, fate: Fate, act: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
        let mut holder = match fate {
            Fate::Locked => Workspace::open(self.dir.path(), &options(None)).ok(),
            Fate::None | Fate::DiesDeciding { .. } | Fate::DiesReleasing { .. } => None,
        };
        let lock = holder.as_mut().and_then(|store| store.begin().ok());
        if let Fate::DiesDeciding { looks } = fate {
            self.clock.set_fuse(looks);
        }
        let came = catch_unwind(AssertUnwindSafe(act));
        self.clock.set_fuse(0);
        drop(lock);
        came
    }

    fn done(&mut self, turned: Turned, gate: Gate) {
        self.accept(&turned.done);
        for input in turned.rest.into_iter().rev() {
            self.inbox.push_front(input);
        }
        self.read_log();
        self.check_outs(&gate.durable, gate.witness);
        self.take_ordered(gate.ordered);
        self.take_durable(gate.durable);
    }

    /// The batch failed: nothing of it is true. What ended outside, and what arrived, still is.
    fn failed(&mut self, failed: Failed, fate: Fate) {
        let meant = match (&failed.failure, fate) {
            (Failure::Panic { .. }, Fate::DiesDeciding { .. }) | (Failure::Store(_), Fate::Locked) => true,
            (Failure::Store(_), _) => self.full,
            (Failure::Panic { .. }, _) => false,
        };
        if !meant {
            let at = match &failed.failure {
                Failure::Panic { at } => failed.lost.get(*at).map_or("", |input| input.event.body.word()),
                Failure::Store(_) => "",
            };
            self.report_finding([finding("panic", format!("{:?} {at}", failed.failure))]);
            return;
        }
        let held = std::mem::take(&mut self.inbox);
        let kept: Vec<Input> = failed.lost.into_iter().chain(held).filter(still_true).collect();
        let before = self.ledger.head;
        self.crash_keeping(kept, Vec::new(), Some(before), None);
    }

    /// The machine died. What had left before, has left.
    fn died(&mut self, why: Box<dyn Any + Send>, gate: Gate) {
        if !why.is::<Meant>() {
            self.report_finding([finding("panic", "outside of what the loop catches")]);
            return;
        }
        self.crash_keeping(Vec::new(), gate.durable, None, gate.witness);
    }

    /// The machine dies between two turns.
    pub(super) fn crash(&mut self) {
        self.crash_keeping(Vec::new(), Vec::new(), Some(self.ledger.head), None);
    }

    fn crash_keeping(&mut self, kept: Vec<Input>, left: Vec<Out>, head: Option<Seq>, witness: Option<Seq>) {
        self.crashes += 1;
        self.generation += 1;
        self.room = None;
        self.mix(b"crash");
        self.inbox.clear();
        self.timers.clear();
        self.gauges.clear();
        self.waiting.clear();
        if let Some(head) = head {
            let found = audit::autopsy(self.dir.path(), &options(None), &self.ledger);
            let what = format!("the file goes to {}, the log to {head}", found.head);
            let more = (found.head > head).then(|| finding("failed-batch-stays", what));
            self.report_finding(found.findings.into_iter().chain(more));
        }
        // What had left before the end was begun, or is done; nobody hears of it.
        self.begun(left.clone());
        self.open();
        if self.has_failed() {
            return;
        }
        self.check_outs(&left, witness);
        self.inbox.extend(kept);
        self.look_at_the_living();
    }

    /// What left a machine that died: done, or not, before it is back.
    fn begun(&mut self, left: Vec<Out>) {
        self.take_durable(left);
        self.abandon();
        self.inbox.clear();
        self.gauges.clear();
    }

    /// Opens the workspace; that can be interrupted as well.
    pub(super) fn open(&mut self) {
        self.full = !self.calm && self.ledger.head > Seq(0) && self.chance.one_in(10);
        for nth in 0..OPENINGS_MAX {
            let last = nth + 1 == OPENINGS_MAX;
            let fate = if last || self.calm { Fate::None } else { self.draw_fate_of_opening() };
            self.full &= !last;
            if self.open_once(fate) || self.has_failed() {
                return;
            }
        }
        self.report_finding([finding("open", "it cannot be opened")]);
    }

    fn draw_fate_of_opening(&mut self) -> Fate {
        match self.chance.below(16) {
            0 => Fate::DiesDeciding { looks: 4 + self.chance.below(12) },
            1 => Fate::DiesReleasing { outs: self.chance.below(3) },
            _ => Fate::None,
        }
    }

    fn open_once(&mut self, fate: Fate) -> bool {
        let mut gate = self.gate(fate);
        let pages_max = self.full.then_some(1);
        let lease = if self.chance.one_in(12) { abi::money::Nano(LEASE.0 / 40) } else { LEASE };
        let setup = machine::wake::Setup { options: options(pages_max), lease, ..self.setup.clone() };
        let birth = Birth { id: [9; 16], lacks: Vec::new(), operator: OPERATOR.to_owned() };
        let begin = if self.ledger.head == Seq(0) { Begin::May } else { Begin::Never };
        let opened = self.under(fate, || Room::open(&setup, begin, birth, &mut gate));
        match opened {
            Ok(Ok(room)) => {
                self.room = Some(room);
                self.done(Turned { done: Vec::new(), rest: Vec::new() }, gate);
                true
            }
            Ok(Err(Failed { failure, .. })) => {
                if fate == Fate::None && !self.full {
                    self.report_finding([finding("open", format!("{failure:?}"))]);
                }
                self.full = false;
                self.begun(gate.durable);
                false
            }
            Err(why) => {
                if !why.is::<Meant>() {
                    self.report_finding([finding("panic", "while it was opened")]);
                }
                self.begun(gate.durable);
                false
            }
        }
    }

    /// `ceiling-leak`: no answer brings a word from outside below a ceiling that hides the outside.
    fn leak(&self, record: &Record) -> Option<Finding> {
        let Entry::Tool { name, outcome, .. } = &record.body else { return None };
        let process = self.ledger.processes.get(&record.pid)?;
        let bytes = self.room.as_ref()?.store().blob(&outcome.hash).ok()??;
        let told = String::from_utf8_lossy(&bytes).contains(OUTSIDE);
        let what = || format!("record {}: {name} told process {} of it", record.seq, record.pid);
        (told && process.ceiling > Integrity::External).then(|| finding("ceiling-leak", what()))
    }

    /// Feeds the oracle what has become durable.
    fn read_log(&mut self) {
        loop {
            let Some(room) = &self.room else { return };
            let from = self.ledger.head;
            let rows = match room.store().records(from, limits::LISTING_MAX, None) {
                Ok(rows) => rows,
                Err(trouble) => return self.report_finding([finding("chain", trouble.to_string())]),
            };
            if rows.is_empty() {
                break;
            }
            for (record, hash) in rows {
                self.mix(&hash.0);
                self.ledger.take(&record);
                let leak = self.leak(&record);
                self.report_finding(leak);
            }
            if self.has_failed() || self.ledger.head <= from {
                return;
            }
        }
        let acked = std::mem::take(&mut self.acked);
        let lost = acked.iter().find(|(op, version)| {
            !self.ledger.acts.ops.contains_key(op)
                || version.is_some_and(|version| !self.ledger.files.versions.contains_key(&version))
        });
        let lost = lost.map(|(op, _)| finding("acknowledged-lost", format!("operation {op}")));
        self.report_finding(lost);
    }

    /// Checks that need a kernel which lives.
    pub(super) fn look_at_the_living(&mut self) {
        let pids = self.pids();
        let at = self.ledger.at;
        let Some(room) = &self.room else { return };
        let mut chance = crate::chance::Chance::of(self.turns, b"asks");
        let found = audit::authority(room.kernel(), at, &pids, &mut chance);
        let replayed = audit::replay(room.store());
        let same = replayed.as_ref().is_ok_and(|bytes| *bytes == room.kernel().snapshot());
        let differs = (!same).then(|| finding("replay-is-state", format!("at record {}", self.ledger.head)));
        self.report_finding(found.into_iter().chain(differs));
        let sums = self.ledger.money.check_sums();
        self.report_finding(sums);
        self.look_at_budgets();
    }

    /// `budget-text`: what the kernel shows of its accounts is what the log sums up to.
    fn look_at_budgets(&mut self) {
        let Ok(path) = TreePath::parse("/sys/budget") else { return };
        if self.full {
            return;
        }
        let Some(mut room) = self.room.take() else { return };
        let caller = Caller::Operator(OPERATOR.to_owned());
        let reply = abi::ReplyTo(OWN_REPLIES);
        let body =
            Body::Call { caller, reply, call: Call::Read { path, at: None, version: None, part: None } };
        let at = self.ledger.at.max(self.clock.wall());
        let mut gate = Gate::new(self.dir.path().to_owned(), options(None), Followers::None, None);
        let turned = room.turn(vec![Input::now(&*self.clock, body, Vec::new())], &mut gate);
        self.room = Some(room);
        self.read_log();
        let shown = gate.durable.iter().find_map(|out| match out {
            Out::Reply { answer: Ok(answer), .. } => answer.get("text")?.as_str().map(str::to_owned),
            _ => None,
        });
        let due = self.ledger.money.text(at);
        if turned.is_err() || shown.as_ref() != Some(&due) {
            let shown = shown.unwrap_or_default();
            let odd = shown.lines().zip(due.lines()).find(|(a, b)| a != b);
            self.report_finding([finding("budget-text", format!("at {}: {odd:?}", self.ledger.head))]);
        }
    }

    /// Checks of the files alone, at the end.
    pub(super) fn look_at_the_files(&mut self) {
        let found = audit::autopsy(self.dir.path(), &options(None), &self.ledger);
        let short = (found.head != self.ledger.head)
            .then(|| finding("durable-was-lost", format!("{} instead of {}", found.head, self.ledger.head)));
        self.report_finding(found.findings.into_iter().chain(short));
    }
}

/// As the daemon decides after a failed batch: what ended outside and what arrived is brought to the next
/// room.
fn still_true(input: &Input) -> bool {
    matches!(&input.event.body, Body::ModelEnded { .. } | Body::EffectEnded { .. } | Body::Arrived { .. })
}
