//! What the log says of money, model calls and effects, kept by a reader that objects to what may never be.
//!
//! ```text
//! model call   intended ▸ answered | failed | lost; after lost once more, after answered never
//! effect       intended once ▸ dispatched, again only after a restart ▸ ended once
//! ```

use super::fold::Fold;
use abi::{
    EffectId, Pid,
    money::Amounts,
    record::{Entry, Record},
};
use std::collections::{BTreeMap, BTreeSet};

const DAY_US: u64 = 24 * 3600 * 1_000_000;

/// A model call, over all attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Call {
    intended: u32,
    lost: u32,
    failed: u32,
    answered: bool,
    place: (Pid, u32),
}

impl Call {
    fn open(&self) -> bool {
        self.intended > self.lost + self.failed + u32::from(self.answered)
    }
}

/// An effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// The wakings under which it was dispatched.
    dispatched: Vec<u64>,
    /// Whether it happened, and the waking under which that was known.
    pub ended: Option<(bool, u64)>,
}

/// See the head of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub fold: Fold,
    /// Money charged, by UTC day.
    pub spent: BTreeMap<u64, i64>,
    pub effects: BTreeMap<EffectId, Effect>,
    calls: BTreeMap<EffectId, Call>,
    /// Steps of turns that have their answer.
    answered: BTreeSet<(Pid, u32)>,
    at: u64,
    wakings: u64,
}

impl Ledger {
    /// Model calls that were answered.
    pub fn completed(&self) -> u64 {
        self.calls.values().filter(|call| call.answered).count() as u64
    }

    /// Attempts that were lost.
    pub fn lost(&self) -> u64 {
        self.calls.values().map(|call| u64::from(call.lost)).sum()
    }

    /// Calls that were bought a second time.
    pub fn again(&self) -> u64 {
        self.calls.values().map(|call| u64::from(call.intended.saturating_sub(1))).sum()
    }

    /// Effects that were at their driver when a kill came.
    pub fn across(&self) -> usize {
        let across =
            |row: &&Effect| row.ended.is_some_and(|(_, at)| row.dispatched.iter().any(|on| *on < at));
        self.effects.values().filter(across).count()
    }

    /// Whether nothing is left open: what must be so when all runs have ended.
    pub fn closed(&self) -> Result<(), String> {
        if let Some((id, call)) = self.calls.iter().find(|(_, call)| call.open()) {
            return Err(format!("model call {id} is open: {call:?}"));
        }
        let done = |effect: &Effect| matches!(effect.ended, Some((true, _)));
        match self.effects.iter().find(|(_, effect)| !done(effect)) {
            Some((id, effect)) => Err(format!("effect {id} is not done: {effect:?}")),
            None => Ok(()),
        }
    }

    /// The next record.
    pub fn take(&mut self, record: &Record) -> Result<(), String> {
        if record.at < self.at {
            return Err("its time is before that of the record before it".to_owned());
        }
        if record.cause > record.seq {
            return Err(format!("its cause is record {}, which comes after it", record.cause));
        }
        self.at = record.at;
        match &record.body {
            Entry::Genesis { .. } if record.seq.0 != 1 => Err("the workspace begins again".to_owned()),
            Entry::Woke { .. } => {
                self.wakings += 1;
                Ok(())
            }
            Entry::Wrote { op, changes, message, .. } => self.fold.take(record, *op, changes, *message),
            Entry::Quarantined { what, .. } => Err(format!("a kill was blamed on an innocent event: {what}")),
            Entry::InDoubt { effect } => Err(format!("effect {effect} can be asked for and is in doubt")),
            Entry::ModelIntended { .. }
            | Entry::ModelAnswered { .. }
            | Entry::ModelFailed { .. }
            | Entry::ModelLost { .. } => self.model(record),
            Entry::Intended { .. } | Entry::Dispatched { .. } | Entry::EffectEnded { .. } => {
                self.effect(&record.body)
            }
            _ => Ok(()),
        }
    }

    fn model(&mut self, record: &Record) -> Result<(), String> {
        match &record.body {
            Entry::ModelIntended { effect, attempt, step, .. } => {
                let call = self.calls.entry(*effect).or_default();
                call.place = (record.pid, *step);
                if call.answered || self.answered.contains(&call.place) {
                    return Err(format!("model call {effect} has its answer and is bought again"));
                }
                if call.open() || call.intended > 1 || *attempt != call.intended + 1 {
                    return Err(format!("attempt {attempt} of model call {effect}: {call:?}"));
                }
                call.intended += 1;
                Ok(())
            }
            Entry::ModelAnswered { effect, charged, .. } => {
                let call = self.outcome(*effect, charged)?;
                call.answered = true;
                let place = call.place;
                if place.1 > 0 && !self.answered.insert(place) {
                    return Err(format!("step {} of process {} is answered again", place.1, place.0));
                }
                Ok(())
            }
            Entry::ModelFailed { effect, charged, .. } => {
                self.outcome(*effect, charged)?.failed += 1;
                Ok(())
            }
            Entry::ModelLost { effect, charged, .. } => {
                self.outcome(*effect, charged)?.lost += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The open call of this name, and what it cost.
    fn outcome(&mut self, effect: EffectId, charged: &Amounts) -> Result<&mut Call, String> {
        *self.spent.entry(self.at / DAY_US).or_default() += charged.money.0;
        let open = self.calls.get_mut(&effect).filter(|call| call.open());
        open.ok_or_else(|| format!("an outcome of model call {effect}, which is not open"))
    }

    fn effect(&mut self, body: &Entry) -> Result<(), String> {
        let now = self.wakings;
        match body {
            Entry::Intended { effect, .. } => match self.effects.insert(*effect, Effect::default()) {
                Some(_) => Err(format!("effect {effect} is intended twice")),
                None => Ok(()),
            },
            Entry::Dispatched { effect } => {
                let row = self.effects.get_mut(effect).filter(|row| row.ended.is_none());
                let row = row.ok_or_else(|| format!("effect {effect} is dispatched and not intended"))?;
                if row.dispatched.last() == Some(&now) {
                    return Err(format!("effect {effect} is dispatched twice without a restart"));
                }
                row.dispatched.push(now);
                Ok(())
            }
            Entry::EffectEnded { effect, done, .. } => {
                let row = self.effects.get_mut(effect).filter(|row| !row.dispatched.is_empty());
                let row = row.ok_or_else(|| format!("effect {effect} ended and was not dispatched"))?;
                match row.ended.replace((*done, now)) {
                    Some(_) => Err(format!("effect {effect} ended twice")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether the driver may have been given this effect.
    pub fn dispatched(&self, effect: &Effect) -> bool {
        !effect.dispatched.is_empty()
    }
}
