//! replay: read 1,000,000 records from disk, verify every hash, apply each. What an agent's file work leaves:
//! a version written, a label seen, in turn.

use super::{Rig, Row, Target, client, facts};
use abi::{
    FileId, OpId, ROOT, Seq, VersionId, WORKSPACE,
    path::TreePath,
    record::Entry,
    tree::{Change, Node},
};
use kernel::Kernel;
use std::{path::Path, time::Instant};
use store::{Durable, Options, Workspace};

const RECORDS: u64 = 1_000_000;
const BATCH: u64 = 1_000;
const FILES: u64 = 1_000;
const REPEATS: u64 = 3;

/// Measures it.
pub fn replay(_: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let options = Options { durable: Durable::Null, pages_max: None, segment: None };
    write(home.path(), &options)?;
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let begun = Instant::now();
        let workspace = Workspace::open(home.path(), &options).map_err(|trouble| trouble.to_string())?;
        let mut kernel = Kernel::new();
        let applied = workspace.replay(Seq(0), &mut |record| kernel.apply(&record));
        let applied = applied.map_err(|trouble| trouble.to_string())?;
        best = best.min(begun.elapsed().as_secs_f64());
        if applied != RECORDS || kernel.seq() != Seq(RECORDS) {
            return Err(format!("{applied} records were replayed, up to {}", kernel.seq()));
        }
    }
    let (part, target) = ("1,000,000 records, verified", Target::AtMost(2.0));
    Ok(vec![Row { name: "replay", part, target, measured: best, unit: "s", barriers: 0, n: REPEATS }])
}

/// A log of that many records.
fn write(dir: &Path, options: &Options) -> Result<(), String> {
    let mut workspace = Workspace::create(dir, options).map_err(|trouble| trouble.to_string())?;
    let mut first = facts::records(FILES);
    first.push(facts::record(first.len() as u64 + 1, "operator:anna", WORKSPACE, directory()));
    let made = first.len() as u64;
    let mut all = first.into_iter().chain((made + 1..=RECORDS).map(record));
    for _ in 0..RECORDS.div_ceil(BATCH) {
        let mut batch = workspace.begin().map_err(|trouble| trouble.to_string())?;
        batch.put_blob(b"content").map_err(|trouble| trouble.to_string())?;
        for record in all.by_ref().take(BATCH as usize) {
            batch.append(&record).map_err(|trouble| trouble.to_string())?;
        }
        batch.commit().map_err(|trouble| trouble.to_string())?;
    }
    Ok(())
}

/// `/data`.
fn directory() -> Entry {
    let path = TreePath::parse("/data").unwrap_or_else(|_| TreePath::root());
    let content = abi::Content::default();
    let change = Change {
        file: FileId(2),
        dir: ROOT,
        path,
        node: Node::Dir,
        mode: 0o755,
        ..facts::change(0, RECORDS + 1, content)
    };
    Entry::Wrote { op: OpId(RECORDS), changes: vec![change], message: None, undoes: None }
}

fn record(seq: u64) -> abi::record::Record {
    let ix = (seq / 2) % FILES;
    let body = if seq.is_multiple_of(2) {
        let mut change = facts::change(ix, seq, abi::Content::of(b"content"));
        let last = seq.checked_sub(2 * FILES).filter(|last| *last > 4 * FILES);
        change.parents = last.map(VersionId).into_iter().collect();
        Entry::Wrote { op: OpId(seq), changes: vec![change], message: None, undoes: None }
    } else {
        let label = facts::label(ix);
        Entry::Saw { path: facts::path(ix), version: None, label, joined: label }
    };
    facts::record(seq, "agent:triage", facts::PID, body)
}
