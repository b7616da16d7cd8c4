//! Emergency stops and tiers: what may not begin while all stands still, and which model comes next when one
//! was given up.

use super::{Finding, finding};
use abi::{
    Pid,
    record::{Entry, Record},
};
use std::collections::BTreeMap;

/// See the file's head.
#[derive(Default)]
pub struct Rest {
    stopped: bool,
    tiers: BTreeMap<String, Vec<String>>,
    /// Of a process: the name it asks for, and what it has given up.
    asks: BTreeMap<Pid, (String, Vec<String>)>,
}

impl Rest {
    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Vec<Finding> {
        let found = self.estop(record).into_iter().chain(self.tier(record)).collect();
        match &record.body {
            Entry::Stopped => self.stopped = true,
            Entry::Lifted => self.stopped = false,
            Entry::ModelsLoaded { models, .. } => {
                let tiers = models.tiers.iter().map(|tier| (tier.name.clone(), tier.models.clone()));
                self.tiers = tiers.collect();
                // An edit gives another chance.
                self.asks.values_mut().for_each(|(_, given_up)| given_up.clear());
            }
            Entry::Spawned { pid, model, .. } => {
                self.asks.insert(*pid, (model.clone(), Vec::new()));
            }
            Entry::FellBack { from, .. } => {
                if let Some((_, given_up)) = self.asks.get_mut(&record.pid) {
                    given_up.push(from.clone());
                }
            }
            Entry::Exited { pid, .. } => drop(self.asks.remove(pid)),
            _ => {}
        }
        found
    }

    /// `estop`: while everything stands still, nothing is born, no model is asked, nothing leaves.
    fn estop(&self, record: &Record) -> Option<Finding> {
        let begins = matches!(
            record.body,
            Entry::Spawned { .. }
                | Entry::ModelIntended { .. }
                | Entry::ModelExtended { .. }
                | Entry::Dispatched { .. }
                | Entry::Dequeued { .. }
        );
        let what = || format!("record {}: {} while all stands still", record.seq, record.body.word());
        (self.stopped && begins).then(|| finding("estop", what()))
    }

    /// `tier`: a turn asks a model that the name it asks for stands for, and none that it has given up.
    fn tier(&self, record: &Record) -> Option<Finding> {
        let Entry::ModelIntended { model, step: 1.., .. } = &record.body else { return None };
        let (name, given_up) = self.asks.get(&record.pid)?;
        let own = [name.clone()];
        let models = self.tiers.get(name).map_or(&own[..], Vec::as_slice);
        let wrong = !models.contains(model) || given_up.contains(model);
        let what = || format!("record {}: {model} for {name}, {given_up:?} given up", record.seq);
        wrong.then(|| finding("tier", what()))
    }
}
