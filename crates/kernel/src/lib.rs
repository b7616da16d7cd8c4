//! Decisions. The kernel is told what happened and says what shall be; it does nothing itself.
//!
//! Four functions on plain data:
//! - [`Kernel::plan`] looks at an event, checks authority first, and either refuses or names at most 16
//!   bounded questions to the store;
//! - [`Kernel::step`] takes the event with the answers and returns a [`Decision`]: records for the log,
//!   effects to carry out. It applies its own records and changes state in no other way;
//! - [`Kernel::apply`] is that one way: replaying the log is `apply` alone, so a release with other rules
//!   reads an old log unchanged;
//! - [`Kernel::snapshot`] and [`Kernel::restore`] shorten the replay.
//!
//! Reading order, front to back: `state` (the tables), `apply` (how records change them), `step` (the
//! street), `authority`, `role` and `twin` (who may), `label`, `home`, `name`, `sink` and `channel` (what
//! flows where), `account` (how much), `means` (what a process is given), `model` (of whom), `policy` (as
//! it is changed), `files`, `bound`, `arrival`, `conflict`, `undo`, `retain` (the tree), `process`, `turn`,
//! `complete`, `session`, `effect`, `exec`, `talk`, `net`, `commit`, `control`, `proposal`, `modify` (what),
//! `progress` (whether it gets on), `stop`, `wake` (after a crash), `render` (what can be read of it).
//!
//! Never here: a clock, a disk, a network, a thread, randomness, the environment, or iteration in hash order.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used))]

extern crate alloc;

mod account;
mod apply;
mod arrival;
mod authority;
mod bound;
pub mod channel;
mod commit;
mod complete;
mod conflict;
mod control;
mod draft;
mod effect;
mod ending;
mod exec;
mod files;
mod guarded;
mod home;
mod label;
mod login;
mod means;
mod model;
mod modify;
mod name;
mod net;
#[cfg(feature = "plant")]
pub mod plant;
mod policy;
mod port;
mod process;
mod progress;
mod proposal;
mod render;
mod retain;
mod role;
mod session;
mod sink;
mod state;
mod step;
mod stop;
mod talk;
mod turn;
pub mod twin;
mod undo;
mod vouch;
mod wake;

use abi::{
    Error, Hash, LabelId, Micros, Seq,
    effect::Decision,
    event::Event,
    fact::{Facts, Lookup},
    label::Label,
    money::Nano,
    record::Record,
};
use alloc::{string::String, vec::Vec};
pub use bound::OUTSIDE;

/// How an effect of a kind with these arguments is shown to who decides: the kernel's own rendering.
pub fn shown(kind: &abi::manifest::Kind, fields: &abi::call::Fields) -> String {
    render::effect(kind, fields)
}

/// A mount as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// At `/integrations/NAME`.
    pub name: String,
    /// By which driver.
    pub driver: String,
    /// With which argument.
    pub argument: String,
    /// Digest of the manifest it was accepted with.
    pub pinned: Hash,
}

/// One workspace's decisions.
#[derive(Clone, Default)]
pub struct Kernel {
    pub(crate) state: state::State,
    /// What a crash may lose: who waits for an answer, what was last seen. Not in snapshots.
    pub(crate) volatile: state::Volatile,
    /// Derived from `state`, for speed; rebuilt by `restore`.
    pub(crate) index: authority::Index,
}

impl Kernel {
    /// Directories of the host that are part of the tree.
    pub fn bound(&self) -> Vec<abi::view::Bound> {
        bound::rows(&self.state, abi::WORKSPACE)
    }

    /// A kernel before its genesis record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether these models are in force.
    pub fn has_models(&self, digest: &Hash) -> bool {
        self.state.models.as_ref().is_some_and(|loaded| loaded.digest == *digest)
    }

    /// What has to be known to decide this event; or that it is refused.
    pub fn plan(&self, event: &Event) -> Result<Vec<Lookup>, Error> {
        step::plan(self, event)
    }

    /// Decides the event and applies the decision.
    pub fn step(&mut self, event: &Event, facts: Facts) -> Decision {
        step::step(self, event, facts)
    }

    /// Applies one record of the log: the only thing that changes state.
    pub fn apply(&mut self, record: &Record) {
        apply::apply(self, record);
    }

    /// All state that a restart must bring back.
    pub fn snapshot(&self) -> Vec<u8> {
        // Encoding into memory cannot fail; an empty snapshot is refused by `restore` and replay starts at 1.
        musli::wire::to_vec(&self.state).unwrap_or_default()
    }

    /// A kernel as it was at the snapshot.
    pub fn restore(bytes: &[u8]) -> Result<Self, Error> {
        let state: state::State = musli::wire::from_slice(bytes)
            .map_err(|_| Error::new(abi::Code::Unavailable, "the snapshot cannot be read"))?;
        if state.shape != state::SHAPE {
            return Err(Error::new(abi::Code::Unavailable, "the snapshot is of another version"));
        }
        let index = authority::Index::of(&state);
        Ok(Self { state, volatile: state::Volatile::default(), index })
    }

    /// The workspace's id, from its genesis record.
    pub fn id(&self) -> [u8; 16] {
        self.state.id
    }

    /// The last record applied.
    pub fn seq(&self) -> Seq {
        self.state.seq
    }

    /// The meaning of an interned label.
    pub fn label(&self, id: LabelId) -> Option<&Label> {
        self.state.labels.get(&id)
    }

    /// Whether nothing runs and nobody waits, so that the workspace may sleep until the next timer.
    pub fn idle(&self) -> bool {
        let moves = self.state.stopped.is_none();
        let busy = |process: &state::Process| moves && process.frozen.is_none() && !process.sleeps();
        self.volatile.clients.is_empty()
            && self.state.model_calls.is_empty()
            && self.state.execs.is_empty()
            // What commands left running there goes on.
            && self.volatile.boxed.iter().all(|pid| *pid == abi::WORKSPACE)
            && !self.state.effects.values().any(|row| row.stage != state::Stage::InDoubt)
            && !self.state.processes.values().any(busy)
    }

    /// When the earliest timer is due.
    pub fn next_due(&self) -> Option<Micros> {
        let counts = |timer: &&state::Timer| !stop::holds(&self.state, &timer.purpose);
        self.state.timers.values().filter(counts).map(|timer| timer.due).min()
    }

    /// Money spent since `Woke`, settled: what is reserved is not in it and will be, once, when it is
    /// settled.
    pub fn spent(&self) -> Nano {
        Nano(self.state.lease_used)
    }

    /// Money reserved for what is under way.
    pub fn reserved(&self) -> Nano {
        Nano(self.root_reserved())
    }

    /// What of the lease is neither spent nor reserved.
    pub fn lease_left(&self) -> Nano {
        let taken = self.state.lease_used.saturating_add(self.root_reserved());
        Nano(self.state.lease.0.saturating_sub(taken))
    }

    /// Whether a policy is loaded; without one nothing starts.
    pub fn has_policy(&self) -> bool {
        self.state.policy.is_some()
    }

    /// The agent of a process that lives.
    pub fn agent_of(&self, pid: abi::Pid) -> Option<&str> {
        self.state.processes.get(&pid).map(|process| process.agent.as_str())
    }

    /// What is mounted: name, driver, argument.
    pub fn mounts(&self) -> Vec<Mounted> {
        let mounted = |(name, mount): (&String, &state::Mount)| Mounted {
            name: name.clone(),
            driver: mount.driver.clone(),
            argument: mount.argument.clone(),
            pinned: mount.manifest.digest(),
        };
        self.state.mounts.iter().map(mounted).collect()
    }

    /// The random id the workspace was born with.
    pub fn workspace_id(&self) -> [u8; 16] {
        self.state.id
    }

    fn root_reserved(&self) -> i64 {
        self.state.accounts.get(&state::ROOT_ACCOUNT).map_or(0, |account| account.reserved.money.0)
    }
}

#[cfg(test)]
mod tests;
