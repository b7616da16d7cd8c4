//! The proving ground: one workspace under the production loop (`machine::turn::Room`, its jobs, the real
//! store on a temporary directory), and everything around it simulated from one seed: time, chance, models,
//! mounts, clients, crashes, full and locked disks.
//!
//! ```text
//! plan ─▶ rig (steps, fates, crashes) ─▶ machine::turn ─▶ gate (what left, and when)
//!           │ crowd: hostile clients          │ the committed log
//!           │ mind: a model that means ill    ▼
//!           └ world: mounts with a ledger   ledger (a second fold, checks) · audit (files, kernel, world)
//! ```
//!
//! `day` and `runaway` have agents work in an `office`, where nothing fails: what grows, what goes round.
//! `host` is a directory that people, agents and crashes change at once: nothing of it is lost.
//! `planner` is apart: it plays a malicious model against a real daemon, over its socket.
//!
//! The same seed gives the same trace, byte for byte. Never here: a thread, the host's clock, chance of the
//! host, an order that comes from hashing.
#![deny(unsafe_code)] // but for `vfs`, which says why

pub mod audit;
pub mod chance;
pub mod crowd;
pub mod day;
pub mod disk;
pub mod gate;
pub mod host;
pub mod hostile;
pub mod known;
pub mod launder;
pub mod ledger;
pub mod mind;
pub mod office;
pub mod planner;
pub mod plant;
pub mod rig;
pub mod runaway;
mod vfs;
pub mod watch;
pub mod world;

use abi::Hash;
use ledger::Finding;
use std::collections::BTreeMap;

/// What the crowd mostly does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A little of everything.
    Mixed,
    /// Effects, and again effects.
    Once,
    /// Two hundred agents spend one budget.
    Overspend,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// All chance is drawn from it.
    pub seed: u64,
    /// How long it is.
    pub steps: u32,
    /// What happens in it.
    pub mode: Mode,
}

impl Plan {
    /// The default run of a seed.
    pub fn of(seed: u64) -> Self {
        Self { seed, steps: 90, mode: Mode::Mixed }
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// A hash over all records and all that left, in order.
    pub trace: Hash,
    /// Records in the log.
    pub records: u64,
    /// Batches decided.
    pub turns: u64,
    /// Crashes survived.
    pub crashes: u64,
    /// Effects recorded.
    pub effects: u64,
    /// That happened twice.
    pub duplicated: u64,
    /// That came to no end.
    pub lost: u64,
    /// Budgets passed by more than one top-up step and the lies.
    pub overspent: u64,
    /// What must not be.
    pub findings: Vec<Finding>,
    /// Records by word.
    pub words: BTreeMap<&'static str, u64>,
}

/// Runs a plan.
pub fn run(plan: &Plan) -> std::io::Result<Report> {
    rig::run(plan)
}

/// The sum of several runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Runs.
    pub seeds: u64,
    /// See [`Report`].
    pub effects: u64,
    /// See [`Report`].
    pub duplicated: u64,
    /// See [`Report`].
    pub lost: u64,
    /// See [`Report`].
    pub overspent: u64,
    /// See [`Report`].
    pub crashes: u64,
    /// See [`Report`].
    pub records: u64,
    /// Seeds with a finding.
    pub failed: Vec<u64>,
    /// Records by word: what the runs have reached.
    pub words: BTreeMap<&'static str, u64>,
}

impl Sum {
    /// One more run.
    pub fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.effects += report.effects;
        self.duplicated += report.duplicated;
        self.lost += report.lost;
        self.overspent += report.overspent;
        self.crashes += report.crashes;
        self.records += report.records;
        for (word, count) in &report.words {
            *self.words.entry(word).or_default() += count;
        }
        if !report.findings.is_empty() {
            self.failed.push(report.seed);
        }
    }

    /// One JSON object on one line.
    pub fn json(&self) -> String {
        format!(
            "{{\"seeds\":{},\"effects\":{},\"duplicated\":{},\"lost\":{},\"overspent\":{},\"failed\":{},\
             \"crashes\":{},\"records\":{}}}",
            self.seeds,
            self.effects,
            self.duplicated,
            self.lost,
            self.overspent,
            self.failed.len(),
            self.crashes,
            self.records
        )
    }
}
