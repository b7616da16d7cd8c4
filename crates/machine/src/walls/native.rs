//! The native wall of one sandbox.

use super::{Sandbox, run::Ended, said::Said};
use crate::{cell::Cell, job::ExecJob, node::Node};
use abi::{Code, Error, ExecId};
use sandbox::view::{Stale, View};
use std::sync::Arc;

/// A wall that stands.
pub(crate) struct Native;

impl Native {
    pub fn runs(&self, _exec: ExecId) -> bool {
        false
    }

    pub fn end(&self) {}

    pub fn freeze(&self, _frozen: bool) {}

    pub fn forget(&self, _stale: &[Stale]) {}
}

/// Runs a command.
pub(crate) fn run(
    _node: &Arc<Node>,
    _cell: &Arc<Cell>,
    _sandbox: &Arc<Sandbox>,
    (_view, _job): (&Arc<View>, &ExecJob),
    _said: &mut Said,
) -> Result<Ended, Error> {
    Err(Error::new(Code::Unavailable, "there is no wall yet"))
}

pub(crate) fn mount_points() -> Vec<String> {
    Vec::new()
}

pub(crate) fn owner() -> (u32, u32) {
    (1000, 1000)
}
