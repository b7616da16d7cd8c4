//! Whether a message of a typed channel endorses: whether it may come out of a run that has read what is
//! external, and be trusted as `workspace` all the same.
//!
//! ```text
//! schema admits ≤ 64 bits ─▶ every list it names is trusted, and stood before the run read anything external
//! ─▶ the message fits, in its one spelling ─▶ the run's bits with it ≤ 256 ─▶ endorsed, counted in the log
//! ```
//!
//! A message that is a choice of one among one is news too: that it came. So each costs a bit at least. The
//! calls `send` and `receive` will ask here once they are served, and write down the record; until then tests
//! do. Never here: what is done with a message that does not endorse. It keeps the label of who sent it.

use crate::{Kernel, state::State};
use abi::{
    Code, Error, LabelId, Pid, Seq,
    channel::{Lists, Schema},
    label::Integrity,
    limits,
    record::Entry,
};
use alloc::{format, string::String, vec::Vec};

/// A message that endorses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsed {
    /// Of which run.
    pub run: Pid,
    /// What it costs of what the run may let through.
    pub bits: u32,
    /// What is handed on, and nothing else of what was sent.
    pub bytes: Vec<u8>,
}

impl Endorsed {
    /// The record by which it is counted.
    pub fn entry(&self) -> Entry {
        Entry::Endorsed { run: self.run, bits: self.bits }
    }
}

/// Whether this message of a process endorses; an error says why not.
pub fn endorses(
    kernel: &Kernel,
    pid: Pid,
    (schema, lists): (&Schema, &Lists),
    message: &[u8],
) -> Result<Endorsed, Error> {
    let dead = || Error::new(Code::Dead, format!("process {pid} has ended")).argument("pid");
    let run = kernel.state.processes.get(&pid).ok_or_else(dead)?.run;
    let used = kernel.state.runs.get(&run).ok_or_else(dead)?.bits;
    let denied = |what| Err(Error::new(Code::Denied, what).argument("schema"));
    let Some(bits) = schema.bits(lists) else {
        return denied(String::from("a message of this type is not bounded, so it endorses nothing"));
    };
    let most = limits::ENDORSED_BITS_MESSAGE;
    if bits > most {
        return denied(format!("a message of this type holds {bits} bits; at most {most} endorse"));
    }
    let first = first_external(&kernel.state, run);
    for path in schema.lists() {
        let list = lists.get(path);
        if list.is_none_or(|list| list.integrity < Integrity::Workspace) {
            return denied(format!("{path} itself is external, so its lines are anybody's words"));
        }
        if list.is_some_and(|list| first.is_some_and(|first| list.seq >= first)) {
            return denied(format!("{path} was written after the run had read what is external"));
        }
    }
    let bytes = schema.admit(message, lists)?;
    let bits = bits.max(1);
    let most = limits::ENDORSED_BITS_RUN;
    if used.saturating_add(bits) > most {
        let what = format!("run {run} has let {used} bits through, and {bits} more would be over {most}");
        return Err(Error::new(Code::Exhausted, what).hint("an operator can endorse what it wrote"));
    }
    Ok(Endorsed { run, bits, bytes })
}

/// The record by which a run first read what is external. Of one that had, before this was kept, it is not
/// known when: then nothing is older.
fn first_external(state: &State, run: Pid) -> Option<Seq> {
    let known = state.runs.get(&run).and_then(|run| run.external);
    let is_external = |label: LabelId| trusted(state, label).is_none_or(|is| is == Integrity::External);
    let mut rows = state.processes.values().filter(|process| process.run == run);
    known.or_else(|| rows.any(|process| is_external(process.label)).then_some(Seq(0)))
}

fn trusted(state: &State, label: LabelId) -> Option<Integrity> {
    state.labels.get(&label).map(|label| label.integrity)
}

/// A process came to bear this label: what lists of ids are measured by.
pub(crate) fn notice(state: &mut State, pid: Pid, label: LabelId, seq: Seq) {
    if trusted(state, label).is_some_and(|is| is > Integrity::External) {
        return;
    }
    let living = state.processes.get(&pid).map(|process| process.run);
    let run = living.or_else(|| state.ended.get(&pid).map(|ended| ended.run));
    if let Some(run) = run.and_then(|run| state.runs.get_mut(&run)) {
        run.external.get_or_insert(seq);
    }
}
