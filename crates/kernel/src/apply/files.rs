//! What the log says of files, as far as the kernel remembers it.

use crate::{
    bound, progress,
    state::{DraftRow, State},
};
use abi::{
    OpId, Pid,
    record::{Entry, Record},
    tree::Change,
};

/// A record about the tree, or about directories of the host that are part of it.
pub fn tree(state: &mut State, record: &Record) {
    match &record.body {
        Entry::Wrote { op, changes, .. } => {
            wrote(state, record.pid, *op, changes);
            if bound::is_to_be_placed(state, record) {
                state.unplaced.insert(record.seq);
            }
        }
        Entry::Bound { dir, label } => {
            state.bound.insert(dir.clone(), *label);
        }
        Entry::Unbound { dir } => {
            state.bound.remove(dir);
        }
        Entry::Placed { placed, .. } => {
            state.unplaced.remove(placed);
        }
        Entry::Drafted { changes: 0, .. } => {
            state.drafts.remove(&record.pid);
        }
        Entry::Drafted { layer, changes, label } => {
            let (layer, changes, label) = (*layer, *changes, *label);
            let (actor, seq, at) = (record.actor.clone(), record.seq, record.at);
            state.drafts.insert(record.pid, DraftRow { actor, layer, changes, label, seq, at });
        }
        Entry::DraftEnded { of, .. } => {
            state.drafts.remove(of);
        }
        _ => {}
    }
}

fn wrote(state: &mut State, pid: Pid, op: OpId, changes: &[Change]) {
    state.next.op = state.next.op.max(op);
    for change in changes {
        state.next.version = state.next.version.max(change.version);
        state.next.file = state.next.file.max(change.file);
    }
    if let Some(process) = state.processes.get_mut(&pid) {
        progress::made(&mut process.progress, changes);
    }
}
