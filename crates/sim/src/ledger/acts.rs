//! Models, effects and turns, folded anew: what was bought, what was sent, in which order, on whose word.

use super::{Finding, finding};
use abi::{
    EffectId, OpId, Pid, ProposalId, Seq,
    call::Ruling,
    label::{Integrity, Label},
    limits,
    manifest::{Class, Manifest, Recovery},
    money::Usage,
    record::{Entry, Record, Rule},
};
use std::collections::{BTreeMap, BTreeSet};

/// How far an effect has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Recorded.
    Intended,
    /// At its driver.
    Dispatched,
    /// It happened.
    Done,
    /// It did not.
    Failed,
    /// Nobody knows.
    InDoubt,
}

/// An effect.
#[derive(Clone, Debug)]
pub struct Act {
    /// Whose.
    pub pid: Pid,
    /// Where.
    pub mount: String,
    /// After a crash.
    pub recovery: Recovery,
    /// How far.
    pub stage: Stage,
    /// Times it was handed over.
    pub dispatched: u32,
    /// Where it was recorded.
    pub seq: Seq,
    /// Where it was first handed over.
    pub dispatched_at: Option<Seq>,
    woke: u32,
}

#[derive(Clone, Debug, Default)]
struct Bought {
    pid: Pid,
    /// 0: not a turn's.
    step: u32,
    attempt: u32,
    live: bool,
    answered: bool,
    /// Outcomes lost since its process was last thawed.
    lost: u32,
}

#[derive(Clone, Debug, Default)]
struct Turn {
    step: u32,
    answered: bool,
    tools: u32,
    made: u32,
}

/// All of them.
#[derive(Default)]
pub struct Acts {
    /// Effects by name.
    pub effects: BTreeMap<EffectId, Act>,
    /// Operations and the record that made them.
    pub ops: BTreeMap<OpId, Seq>,
    /// What each answer must be charged as, from what was claimed and counted.
    pub claims: BTreeMap<(EffectId, u32), Usage>,
    models: BTreeMap<EffectId, Bought>,
    bought: BTreeMap<(EffectId, u32), Seq>,
    turns: BTreeMap<Pid, Turn>,
    mounts: BTreeMap<String, Manifest>,
    approved: BTreeSet<ProposalId>,
    /// Who asked whether they may go on, and waits.
    permits: BTreeMap<ProposalId, Pid>,
    woke: u32,
    probed_absent: BTreeSet<EffectId>,
}

impl Acts {
    /// Where a model call of this attempt was recorded.
    pub fn bought_at(&self, effect: &EffectId, attempt: u32) -> Option<Seq> {
        self.bought.get(&(*effect, attempt)).copied()
    }

    /// The other side said that it had not happened: it may be handed over again.
    pub fn absent(&mut self, effect: EffectId) {
        self.probed_absent.insert(effect);
    }

    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record, label: Option<&Label>) -> Option<Finding> {
        match &record.body {
            Entry::Woke { .. } => self.woke += 1,
            Entry::Mounted { mount, manifest, .. } => {
                self.mounts.insert(mount.clone(), manifest.clone());
            }
            Entry::Wrote { op, .. } => {
                self.ops.insert(*op, record.seq);
            }
            Entry::Proposed { proposal, rule: Rule::Permit, .. } => {
                self.permits.insert(*proposal, record.pid);
            }
            Entry::Decided { proposal, ruling, .. } => {
                self.permits.remove(proposal);
                if matches!(ruling, Ruling::Approve | Ruling::Modify) {
                    self.approved.insert(*proposal);
                }
            }
            Entry::Lapsed { proposal } => _ = self.permits.remove(proposal),
            Entry::Exited { pid, .. } => return self.left(record, *pid),
            Entry::Thawed { pids } => {
                self.models.values_mut().filter(|row| pids.contains(&row.pid)).for_each(|row| row.lost = 0);
            }
            Entry::Spawned { pid, .. } => {
                self.turns.insert(*pid, Turn::default());
            }
            Entry::ModelIntended { .. } => return self.intend_model(record),
            Entry::ModelAnswered { effect, tools, usage, .. } => {
                return self.answered(record, effect, *tools, usage);
            }
            Entry::ModelFailed { effect, .. } => {
                self.models.entry(*effect).and_modify(|row| row.live = false);
            }
            Entry::ModelLost { effect, .. } => {
                self.models.entry(*effect).and_modify(|row| {
                    row.live = false;
                    row.lost += 1;
                });
            }
            Entry::Tool { step, index, .. } => return self.tool(record, *step, *index),
            Entry::Intended { .. } => return self.intend(record, label),
            Entry::Dispatched { effect } => return self.dispatched(record, effect),
            Entry::EffectEnded { effect, done, .. } => return self.ended(record, effect, *done),
            Entry::InDoubt { effect } => {
                self.effects.entry(*effect).and_modify(|act| act.stage = Stage::InDoubt);
            }
            _ => {}
        }
        None
    }

    /// `asked-by-nobody`: what a process asked before it went on goes with it.
    fn left(&mut self, record: &Record, pid: Pid) -> Option<Finding> {
        let left = self.permits.iter().find(|(_, of)| **of == pid)?;
        Some(finding(
            "asked-by-nobody",
            format!("record {}: proposal {} of process {pid}", record.seq, left.0),
        ))
    }

    /// `model-rebought`: a call whose answer is durable is never bought again. `lost-twice`: one of unknown
    /// outcome at most once more, unless somebody thawed its process. `turn-order`: a step follows the one
    /// before it, after all tool calls of that have an outcome.
    fn intend_model(&mut self, record: &Record) -> Option<Finding> {
        let Entry::ModelIntended { effect, attempt, step, .. } = &record.body else { return None };
        let row = self.models.entry(*effect).or_default();
        let (answered, live, lost) = (row.answered, row.live, row.lost);
        (row.pid, row.step, row.attempt, row.live) = (record.pid, *step, *attempt, true);
        self.bought.insert((*effect, *attempt), record.seq);
        let which = format!("record {}: process {} step {step}", record.seq, record.pid);
        if answered || live {
            return Some(finding("model-rebought", which));
        }
        if lost >= limits::MODEL_ATTEMPTS_MAX {
            return Some(finding("lost-twice", which));
        }
        if *step == 0 {
            return None;
        }
        let turn = self.turns.entry(record.pid).or_default();
        let follows = (*step == turn.step && !turn.answered)
            || (*step == turn.step + 1 && (turn.step == 0 || turn.answered) && turn.made >= turn.tools);
        let before = turn.clone();
        if *step != turn.step {
            *turn = Turn { step: *step, ..Turn::default() };
        }
        (!follows).then(|| finding("turn-order", format!("{which} after {before:?}")))
    }

    /// `charged`: an answer is charged by what was claimed and counted.
    fn answered(&mut self, record: &Record, effect: &EffectId, tools: u32, usage: &Usage) -> Option<Finding> {
        let row = self.models.entry(*effect).or_default();
        (row.live, row.answered) = (false, true);
        let (pid, attempt, step) = (row.pid, row.attempt, row.step);
        if let Some(turn) = self.turns.get_mut(&pid).filter(|_| step > 0) {
            (turn.answered, turn.tools) = (true, tools.min(limits::TOOLS_PER_STEP_MAX));
        }
        let due = self.claims.get(&(*effect, attempt))?;
        (due != usage)
            .then(|| finding("charged", format!("record {}: {usage:?} instead of {due:?}", record.seq)))
    }

    fn tool(&mut self, record: &Record, step: u32, index: u32) -> Option<Finding> {
        let turn = self.turns.entry(record.pid).or_default();
        let due = (turn.step, turn.made);
        turn.made += 1;
        let what = || format!("record {}: tool {step}.{index} instead of {due:?}", record.seq);
        (due != (step, index)).then(|| finding("turn-order", what()))
    }

    /// `sink`: nothing irreversible leaves under an external label but by rules 6a, 6c and an operator's
    /// approval.
    fn intend(&mut self, record: &Record, label: Option<&Label>) -> Option<Finding> {
        let Entry::Intended { effect, mount, kind, recovery, rule, proposal, .. } = &record.body else {
            return None;
        };
        let act = Act {
            pid: record.pid,
            mount: mount.clone(),
            recovery: *recovery,
            stage: Stage::Intended,
            dispatched: 0,
            dispatched_at: None,
            seq: record.seq,
            woke: self.woke,
        };
        let which = format!("record {}: {kind} at {mount} by {} ({rule:?})", record.seq, record.pid);
        if self.effects.insert(*effect, act).is_some() {
            return Some(finding("effect-order", format!("{which} has the id of another")));
        }
        if let Some(proposal) = proposal {
            return (!self.approved.contains(proposal))
                .then(|| finding("sink", format!("{which}: unapproved")));
        }
        let class = self.mounts.get(mount).and_then(|manifest| manifest.kind(kind)).map(|kind| kind.class);
        let external = label.is_some_and(|label| label.integrity == Integrity::External);
        let may = match rule {
            Rule::OperatorsWords | Rule::ApprovedBefore => true,
            Rule::Undoable => class != Some(Class::ExternalIrreversible),
            Rule::Trusted => !external,
            _ => false,
        };
        (!may).then(|| finding("sink", which))
    }

    /// `redispatch`: an effect is handed over once; again only after a restart, as its recovery class says.
    fn dispatched(&mut self, record: &Record, effect: &EffectId) -> Option<Finding> {
        let absent = self.probed_absent.remove(effect);
        let Some(act) = self.effects.get_mut(effect) else {
            return Some(finding(
                "effect-order",
                format!("record {}: dispatched out of nothing", record.seq),
            ));
        };
        let again = match act.recovery {
            Recovery::Repeat | Recovery::Keyed => act.woke < self.woke,
            Recovery::Probe => act.woke < self.woke && absent,
            Recovery::Opaque => false,
        };
        let may = act.stage == Stage::Intended || (act.stage == Stage::Dispatched && again);
        let what = format!("record {}: {:?} at {:?}", record.seq, act.recovery, act.stage);
        (act.stage, act.woke) = (Stage::Dispatched, self.woke);
        act.dispatched_at.get_or_insert(record.seq);
        act.dispatched += 1;
        (!may).then(|| finding("redispatch", what))
    }

    fn ended(&mut self, record: &Record, effect: &EffectId, done: bool) -> Option<Finding> {
        let act = self.effects.get_mut(effect)?;
        // One that was never handed over can be withdrawn.
        let withdrawn = act.stage == Stage::Intended && !done;
        let may = withdrawn || matches!(act.stage, Stage::Dispatched | Stage::InDoubt);
        let what = format!("record {}: ended at {:?}", record.seq, act.stage);
        act.stage = if done { Stage::Done } else { Stage::Failed };
        (!may).then(|| finding("effect-order", what))
    }
}
