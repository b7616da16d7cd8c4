//! The chain: every record's hash from its bytes, each following the one before, from 1 on without a gap.
//!
//! ```text
//! segments (first..last, log/NAME) … then records        one walk over all of them, oldest first
//! hash = BLAKE3("skep-record", hash before, body)        the body says its own seq and pid again
//! record 1 is the genesis: the id of the workspace       and no other record is one
//! ```
//!
//! What a record says of the tree and of contents goes on to `tree` as long as the chain holds: of a log that
//! is not the true one nothing follows.

use crate::{
    bound::{RECORD_BYTES_MAX, SEGMENTS_MAX},
    checkpoint::Marks,
    costs::Costs,
    digest::{Digest, record_hash},
    report::Report,
    source::{self, Source},
    tree::Tree,
    wire::{self, Value},
};
use rusqlite::Row;
use std::collections::BTreeSet;

/// Number of the entry that begins a log.
const GENESIS: u64 = 0;
const RECORDS: &str = "SELECT seq, pid, prev, hash, length(body), CASE WHEN length(body) <= 268435456
                       THEN body END FROM records ORDER BY seq";
const _: () = assert!(RECORD_BYTES_MAX == 268_435_456, "as in the statement");
const EDITED: &str = "somebody changed the file: restore a backup that verifies, and ask who had the disk";

/// Walks the log of an open database; answers the records by which bytes went on purpose.
pub fn check(source: &Source, marks: &mut Marks, report: &mut Report) -> BTreeSet<u64> {
    let (tree, costs) = (Tree::new(source), Costs::default());
    let mut walk = Walk { last: 0, hash: Some([0; 32]), shift: 0, marks, tree, costs };
    for segment in segments(source, report) {
        walk.segment(source, &segment, report);
    }
    source.rise(RECORDS, "records", report, |report, _, row| walk.record(row, report));
    let Walk { last, hash, tree, costs, .. } = walk;
    report.head = (last, hash.unwrap_or_default());
    if last == 0 {
        report.find(None, "the log is empty".to_owned(), EDITED);
    }
    let destroyers = tree.finish(report);
    if report.holds() {
        costs.finish(source, report);
    }
    destroyers
}

/// A sealed part of the log.
struct Segment {
    first: u64,
    last: u64,
    name: String,
    hash: Option<Digest>,
}

fn segments(source: &Source, report: &mut Report) -> Vec<Segment> {
    let mut all = Vec::new();
    if !source.has("segments") {
        return all;
    }
    let sql = "SELECT first, last, name, hash FROM segments ORDER BY first";
    source.rise(sql, "segments", report, |report, _, row| {
        let number = |column| source::number(row, column);
        let (Some(first), Some(last), Some(name)) = (number(0), number(1), source::text(row, 2)) else {
            return report.find(None, "a row of segments is none".to_owned(), EDITED);
        };
        if all.len() < SEGMENTS_MAX {
            all.push(Segment { first, last, name, hash: source::digest(row, 3) });
        } else {
            report.find(Some(first), "there are more segments than a log has".to_owned(), EDITED);
        }
    });
    all
}

/// How far the walk came.
struct Walk<'a, 'b> {
    last: u64,
    /// Of the last record; none when it could not be read.
    hash: Option<Digest>,
    /// By how much places and what the bytes say of them differ; told once, not for every record after it.
    shift: u64,
    marks: &'b mut Marks,
    tree: Tree<'a>,
    costs: Costs,
}

impl Walk<'_, '_> {
    fn segment(&mut self, source: &Source, segment: &Segment, report: &mut Report) {
        let Segment { first, last, name, hash } = segment;
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        let file = source.dir.join("log").join(name);
        let opened = if plain {
            source::segment(&file, &source.scratch)
        } else {
            Err("its name is none of a segment".to_owned())
        };
        match opened {
            Ok(opened) => {
                report.segments += 1;
                opened.rise(RECORDS, name, report, |report, _, row| self.record(row, report));
            }
            Err(what) => {
                let what = format!("the segment {name} of records {first} to {last} cannot be read: {what}");
                report.find(Some(*first), what, "bring its file back from a backup");
                (self.last, self.hash) = (*last, None);
                return;
            }
        }
        if self.last != *last || self.hash != *hash {
            let what = format!("the segment {name} does not end as it was sealed, with record {last}");
            report.find(Some(*last), what, EDITED);
        }
    }

    fn record(&mut self, row: &Row<'_>, report: &mut Report) {
        report.records = report.records.saturating_add(1);
        let seq = source::number(row, 0).unwrap_or_default();
        let want = self.last.saturating_add(1);
        if seq != want {
            let missing = if seq > want.saturating_add(1) {
                format!("records {want} to {} are missing before it", seq - 1)
            } else if seq > want {
                format!("record {want} is missing before it")
            } else {
                format!("it stands where record {want} should")
            };
            report.find(Some(seq), missing, EDITED);
        }
        self.last = seq;
        let prev = source::digest(row, 2);
        let (Some(prev), Some(hash)) = (prev, source::digest(row, 3)) else {
            self.hash = None;
            return report.find(Some(seq), "its hashes are none".to_owned(), EDITED);
        };
        let before = self.hash.replace(hash);
        let Some(body) = source::bytes(row, 5) else {
            return report.find(Some(seq), "its bytes are none, or too many".to_owned(), EDITED);
        };
        if let Some(what) = unlinked(before, &prev, &hash, body) {
            report.find(Some(seq), what.to_owned(), EDITED);
        }
        match wire::read(body) {
            Some(value) => self.meaning(row, seq, &value, report),
            None => report.find(Some(seq), "its bytes are no record".to_owned(), EDITED),
        }
        self.marks.see(seq, &hash, report);
    }

    /// What the body says of itself and of the rest.
    fn meaning(&mut self, row: &Row<'_>, seq: u64, value: &Value<'_>, report: &mut Report) {
        let number = |field| value.field(field).and_then(Value::number);
        let own = number(0).unwrap_or_default();
        if std::mem::replace(&mut self.shift, seq.wrapping_sub(own)) != seq.wrapping_sub(own) && seq != own {
            report.find(Some(seq), format!("by its own bytes it is record {own}"), EDITED);
        }
        if number(3) != source::number(row, 1) {
            report.find(Some(seq), "its process is another than its bytes say".to_owned(), EDITED);
        }
        let entry = value.field(5).and_then(Value::variant);
        match entry {
            None => report.find(Some(seq), "its bytes are no record".to_owned(), EDITED),
            Some((GENESIS, genesis)) if seq == 1 => report.workspace = id(genesis),
            Some((GENESIS, _)) => {
                report.find(Some(seq), "a second log begins within this one".to_owned(), EDITED);
            }
            Some(_) => {}
        }
        if seq == 1 && report.workspace.is_none() {
            report.find(Some(1), "the log does not begin with a workspace's id".to_owned(), EDITED);
        }
        if report.holds() {
            self.tree.record(seq, value, report);
            self.costs.record(value);
        }
    }
}

/// Why a record is not the one that was written after the one before it.
fn unlinked(before: Option<Digest>, prev: &Digest, hash: &Digest, body: &[u8]) -> Option<&'static str> {
    if record_hash(prev, body) != *hash {
        let follows = before.is_some_and(|before| record_hash(&before, body) == *hash);
        return Some(if follows {
            "the hash it names as the one before it was changed"
        } else {
            "its bytes are not those that its hash was made of"
        });
    }
    let before = before?;
    (before != *prev).then_some("it does not follow the record before it: its hash was made over another one")
}

/// Sixteen small numbers.
fn id(genesis: &Value<'_>) -> Option<[u8; 16]> {
    let list = genesis.field(0)?.list()?;
    let bytes: Vec<u8> =
        list.iter().map(|value| u8::try_from(value.number()?).ok()).collect::<Option<_>>()?;
    bytes.try_into().ok()
}
