//! Which records name an effect, a proposal, a label or a process: a fold of the log by which `why` finds
//! them again.
//!
//! ```text
//! what = one letter, then the id: e hash · p, l, s, r, f and eight bytes, lowest first
//!        e effect · p proposal · l label · of a process: s how it began, r what it saw, f what became of it
//! ```

use crate::{Trouble, schema::Db, version::bound};
use abi::{
    EffectId, LabelId, Pid, ProposalId, Seq,
    record::{Entry, Record},
};
use rusqlite::params;

/// The key of an effect, a model call too.
pub(crate) fn effect(id: &EffectId) -> Vec<u8> {
    [b"e", id.0.as_slice()].concat()
}

/// The key of a proposal.
pub(crate) fn proposal(id: ProposalId) -> Vec<u8> {
    [b"p", id.0.to_le_bytes().as_slice()].concat()
}

/// The key of a label.
pub(crate) fn label(id: LabelId) -> Vec<u8> {
    [b"l", u64::from(id.0).to_le_bytes().as_slice()].concat()
}

/// The key of what a process was started or steered with.
pub(crate) fn start(id: Pid) -> Vec<u8> {
    [b"s", id.0.to_le_bytes().as_slice()].concat()
}

/// The key of what a process saw.
pub(crate) fn seen(id: Pid) -> Vec<u8> {
    [b"r", id.0.to_le_bytes().as_slice()].concat()
}

/// The key of what became of a process: it was frozen, it ended.
pub(crate) fn fate(id: Pid) -> Vec<u8> {
    [b"f", id.0.to_le_bytes().as_slice()].concat()
}

/// What a record names, and its place.
pub(crate) fn of(record: &Record) -> Vec<(Vec<u8>, Seq)> {
    let named = match &record.body {
        Entry::ModelIntended { effect: id, .. }
        | Entry::ModelExtended { effect: id, .. }
        | Entry::ModelAnswered { effect: id, .. }
        | Entry::ModelFailed { effect: id, .. }
        | Entry::ModelLost { effect: id, .. }
        | Entry::Dispatched { effect: id }
        | Entry::EffectEnded { effect: id, .. }
        | Entry::InDoubt { effect: id } => vec![effect(id)],
        Entry::Intended { effect: id, proposal: of, .. } => {
            [effect(id)].into_iter().chain(of.map(proposal)).collect()
        }
        Entry::Proposed { effect: id, proposal: of, .. } => vec![effect(id), proposal(*of)],
        Entry::Decided { proposal: id, .. } | Entry::Lapsed { proposal: id } => vec![proposal(*id)],
        Entry::LabelDefined { id, .. } => vec![label(*id)],
        Entry::Saw { joined, .. } => vec![label(*joined), seen(record.pid)],
        Entry::Tool { seen: versions, .. } if versions.iter().any(|one| one.version.is_some()) => {
            vec![seen(record.pid)]
        }
        Entry::Exited { pid, .. } => vec![fate(*pid)],
        Entry::Frozen { pids, .. } => pids.iter().map(|pid| fate(*pid)).collect(),
        Entry::Spawned { pid, .. } | Entry::Steered { pid, .. } => vec![start(*pid)],
        _ => Vec::new(),
    };
    named.into_iter().map(|what| (what, record.seq)).collect()
}

/// Remembers what a record names.
pub(crate) fn fold(db: &Db, record: &Record) -> Result<(), Trouble> {
    of(record).iter().try_for_each(|(what, seq)| insert(db, what, *seq))
}

pub(crate) fn insert(db: &Db, what: &[u8], seq: Seq) -> Result<(), Trouble> {
    db.run("INSERT INTO mentions(what, seq) VALUES(?,?)", params![what, seq.0.cast_signed()]).map(drop)
}

/// Where records after one and up to another name it, oldest first, at most `limit`.
pub(crate) fn between(
    db: &Db,
    what: &[u8],
    (after, upto): (Seq, Seq),
    limit: usize,
) -> Result<Vec<Seq>, Trouble> {
    let sql = "SELECT seq FROM mentions WHERE what = ? AND seq > ? AND seq <= ? ORDER BY id LIMIT ?";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let bounds = params![what, bound(after), bound(upto), limit];
    db.all(sql, bounds, |row| crate::version::number(row, 0).map(Seq))
}

/// Where records name it, oldest first, at most `limit`.
pub(crate) fn places(db: &Db, what: &[u8], limit: usize) -> Result<Vec<Seq>, Trouble> {
    let sql = "SELECT seq FROM mentions WHERE what = ? ORDER BY id LIMIT ?";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.all(sql, params![what, limit], |row| crate::version::number(row, 0).map(Seq))
}
