//! The HOME of an agent that lasts between its runs: a fold of what they were told.
//!
//! ```text
//! Spawned {home} ─▶ held, its label counts    Saw ─▶ that label counts, too    Exited ─▶ free
//! ```
//! What programs keep there has no versions and no labels, so all of it bears the join of what its runs were
//! told: a later run begins with that. One process has it at a time. Of one that did not end by itself nobody
//! knows what it was told last: then every label there was counts. Never here: where it lies.

use crate::{
    Kernel,
    state::{HomeRow, State},
};
use abi::{
    LabelId, Pid,
    agent::{AgentDef, Home},
    label::Label,
    record::{Entry, Exit, Record},
};
use alloc::format;

/// The label with which a run in it begins, if the agent's program asks for it and may have it.
pub fn lent(kernel: &Kernel, def: &mut AgentDef) -> Option<Label> {
    let program = def.run.as_mut().filter(|program| program.guest.home == Home::Kept)?;
    let none = HomeRow::default();
    let row = kernel.state.homes.get(&def.name).unwrap_or(&none);
    if let Some(pid) = row.held {
        program.guest.home = Home::Sandbox;
        def.withheld.push(format!("the home of {} that lasts: process {pid} has it", def.name));
        return None;
    }
    row.labels.iter().map(|id| kernel.meaning(*id)).reduce(|all, label| all.join(&label))
}

/// It has it from now on.
pub fn begun(state: &mut State, record: &Record) {
    if let Entry::Spawned { pid, agent, label, home: true, .. } = &record.body {
        let row = state.homes.entry(agent.clone()).or_default();
        row.held = Some(*pid);
        row.labels.insert(*label);
    }
}

/// It was told something.
pub fn told(state: &mut State, pid: Pid, label: LabelId) {
    if let Some(row) = state.homes.values_mut().find(|row| row.held == Some(pid)) {
        row.labels.insert(label);
    }
}

/// It has it no more.
pub fn ended(state: &mut State, (pid, agent): (Pid, &str), exit: &Exit) {
    let Some(row) = state.homes.get_mut(agent).filter(|row| row.held == Some(pid)) else { return };
    row.held = None;
    if !matches!(exit, Exit::Exited(_)) {
        row.labels.extend(state.labels.keys());
    }
}
