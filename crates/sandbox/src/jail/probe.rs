//! What this host can enforce, each proved by trying it.

use super::{
    Wall,
    cgroup::{Base, Controller},
    spec::Need,
};

/// One part of the wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// What it is called.
    pub name: &'static str,
    /// Whether it works here.
    pub state: State,
}

/// Whether a mechanism works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was tried and held.
    Proved,
    /// It does not.
    Missing {
        /// What was seen.
        why: String,
        /// The command that provides it.
        command: String,
    },
}

impl Mechanism {
    /// What was seen, if it is missing.
    pub fn why(&self) -> &str {
        match &self.state {
            State::Proved => "",
            State::Missing { why, .. } => why,
        }
    }

    /// The command that provides it, if it is missing.
    pub fn fix(&self) -> Option<&str> {
        match &self.state {
            State::Proved => None,
            State::Missing { command, .. } => Some(command),
        }
    }
}

const DELEGATE: &str = "systemd-run --user --scope -p Delegate=yes skep up";

/// The limits that a start needs.
pub fn limits(base: &Base, need: Need) -> Vec<Mechanism> {
    let state = match need == Need::EachProcess || base.has(Controller::Memory) {
        true => State::Proved,
        false => State::Missing {
            why: "no control group for memory is delegated to this user".to_owned(),
            command: DELEGATE.to_owned(),
        },
    };
    vec![Mechanism { name: "memory limit", state }]
}

/// Everything.
pub fn all(_wall: &Wall, base: &Base) -> Vec<Mechanism> {
    limits(base, Need::Cgroup)
}
