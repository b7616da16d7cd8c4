//! The tree follows from the log: what the records say was changed is what the tables must hold, row by row.
//!
//! ```text
//! record n "wrote": op, changes, message     → versions: one row a change, every column of it
//!   a change that is not diverged            → heads:    its file's newest version
//!   … that removes or moves                  → entries:  what stood is closed with n
//!   … of a file that stands nowhere          → entries:  a new one, from n
//!   … that is diverged                       → conflicts: open until a version has it as a second parent
//! every content a record names               → is kept (blobs, large), or was destroyed on purpose (gone)
//! ```
//!
//! Memory grows with the number of files and versions, not with their bytes.

use crate::{
    report::Report,
    source::{self, Source},
    wire::Value,
};
use rusqlite::{Row, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// Number of the entry that changes the tree.
const WROTE: u64 = 13;
/// Numbers of the entries by which bytes go: purged, thinned.
const DESTROY: [u64; 2] = [41, 43];
/// The root directory's file; it has no entry.
const ROOT: u64 = 1;
/// A node that is gone.
const GONE: u64 = 3;
const ROW: &str = "SELECT file, node, hash, bytes, mode, mtime, label, actor, pid, op, seq, diverged, path,
                   message, message_bytes, parents FROM versions WHERE id = ?";
const NAMES: [&str; 16] = [
    "file",
    "node",
    "hash",
    "bytes",
    "mode",
    "mtime",
    "label",
    "actor",
    "pid",
    "op",
    "seq",
    "diverged",
    "path",
    "message",
    "message_bytes",
    "parents",
];
const REBUILD: &str = "the log holds, so the tree's tables were changed: restore a backup that verifies";
const LOST: &str = "bring the bytes back from a backup";

/// A row of `entries`: directory, name, file, from, to.
type Stood = (u64, String, u64, u64, Option<u64>);

/// What follows from the records so far.
pub struct Tree<'a> {
    source: &'a Source,
    versions: BTreeSet<u64>,
    heads: BTreeMap<u64, u64>,
    /// File → directory, name, from.
    live: BTreeMap<u64, (u64, String, u64)>,
    past: BTreeMap<Stood, u32>,
    /// Diverged version → file, until a version names it as a second parent.
    conflicts: BTreeMap<u64, u64>,
    /// Which tables may hold content.
    kept: Vec<&'static str>,
    /// Records by which bytes went on purpose.
    destroy: BTreeSet<u64>,
}

/// A column as it lies in the file.
#[derive(Debug, PartialEq, Eq)]
enum Cell {
    Nothing,
    Number(u64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One change of a record.
struct Change<'a> {
    file: u64,
    dir: u64,
    path: &'a str,
    moved: bool,
    version: u64,
    node: u64,
    hash: [u8; 32],
    bytes: u64,
    mode: u64,
    mtime: u64,
    label: u64,
    parents: Vec<u8>,
    diverged: u64,
    /// Only the current content of it is kept; a field that older records lack.
    scratch: bool,
}

impl<'a> Change<'a> {
    fn read(value: &Value<'a>) -> Option<Self> {
        let number = |field| value.field(field)?.number();
        let (hash, bytes) = value.field(6)?.content()?;
        let mut parents = Vec::new();
        for parent in value.field(10)?.list()? {
            parents.extend(parent.number()?.to_le_bytes());
        }
        Some(Self {
            file: number(0)?,
            dir: number(1)?,
            path: value.field(2)?.text()?,
            moved: value.field(3)?.option()?.is_some(),
            version: number(4)?,
            node: number(5)?,
            hash,
            bytes,
            mode: number(7)?,
            mtime: number(8)?,
            label: number(9)?,
            parents,
            diverged: number(11)?,
            scratch: number(12).is_some_and(|scratch| scratch != 0),
        })
    }

    fn leaves(&self) -> bool {
        self.node == GONE || self.moved
    }
}

/// What a record says of all its changes together.
struct Operation<'a> {
    seq: u64,
    actor: &'a str,
    pid: u64,
    op: u64,
    message: Option<([u8; 32], u64)>,
    changes: Vec<Change<'a>>,
}

impl<'a> Operation<'a> {
    fn read(seq: u64, record: &Value<'a>, wrote: &Value<'a>) -> Option<Self> {
        let message = match wrote.field(2)?.option()? {
            Some(content) => Some(content.content()?),
            None => None,
        };
        Some(Self {
            seq,
            actor: record.field(2)?.text()?,
            pid: record.field(3)?.number()?,
            op: wrote.field(0)?.number()?,
            message,
            changes: wrote.field(1)?.list()?.iter().map(Change::read).collect::<Option<_>>()?,
        })
    }

    /// The row of `versions` that a change makes, in the order of [`ROW`].
    fn cells(&self, change: &Change<'_>) -> [Cell; 16] {
        [
            Cell::Number(change.file),
            Cell::Number(change.node),
            Cell::Bytes(change.hash.to_vec()),
            Cell::Number(change.bytes),
            Cell::Number(change.mode),
            Cell::Number(change.mtime),
            Cell::Number(change.label),
            Cell::Text(self.actor.to_owned()),
            Cell::Number(self.pid),
            Cell::Number(self.op),
            Cell::Number(self.seq),
            Cell::Number(change.diverged),
            Cell::Text(change.path.to_owned()),
            self.message.map_or(Cell::Nothing, |(hash, _)| Cell::Bytes(hash.to_vec())),
            Cell::Number(self.message.map_or(0, |(_, bytes)| bytes)),
            Cell::Bytes(change.parents.clone()),
        ]
    }
}

impl<'a> Tree<'a> {
    pub fn new(source: &'a Source) -> Self {
        let tables = ["blobs", "large", "gone"];
        Self {
            source,
            versions: BTreeSet::from([0]),
            heads: BTreeMap::from([(ROOT, 0)]),
            live: BTreeMap::new(),
            past: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            destroy: BTreeSet::new(),
            kept: tables.into_iter().filter(|table| source.has(table)).collect(),
        }
    }

    /// Takes in a record whose place in the chain is proved.
    pub fn record(&mut self, seq: u64, record: &Value<'_>, report: &mut Report) {
        let mut lost = None;
        record.contents(&mut |hash, _| {
            if lost.is_none() && hash != [0; 32] && !self.keeps(&hash) {
                lost = Some(hash);
            }
        });
        if let Some(hash) = lost {
            let name = crate::to_hex(&hash);
            report.find(Some(seq), format!("the bytes of {name}, which it names, are not kept"), LOST);
        }
        let Some((kind, wrote)) = record.field(5).and_then(Value::variant) else { return };
        if DESTROY.contains(&kind) {
            self.destroy.insert(seq);
        }
        if kind != WROTE {
            return;
        }
        match Operation::read(seq, record, wrote) {
            Some(operation) => self.fold(&operation, report),
            None => {
                let what =
                    "what it says of the tree is of a form that this verifier does not know".to_owned();
                report.find(Some(seq), what, "verify it with the program that wrote it");
            }
        }
    }

    /// Whether bytes of this name lie somewhere, or went on purpose. `content` finds what cannot be read.
    fn keeps(&self, hash: &[u8; 32]) -> bool {
        self.kept.iter().any(|table| {
            let sql = match *table {
                "blobs" => "SELECT 1 FROM blobs WHERE hash = ?",
                "large" => "SELECT 1 FROM large WHERE hash = ?",
                _ => "SELECT 1 FROM gone WHERE hash = ?",
            };
            let ask = || self.source.connection.prepare_cached(sql)?.query_row([hash.as_slice()], |_| Ok(()));
            !matches!(ask(), Err(rusqlite::Error::QueryReturnedNoRows))
        })
    }

    fn fold(&mut self, operation: &Operation<'_>, report: &mut Report) {
        let seq = operation.seq;
        if operation.changes.iter().any(|change| change.scratch) {
            self.destroy.insert(seq);
        }
        // All leave before any arrives: files may change places.
        for change in operation.changes.iter().filter(|change| change.diverged == 0 && change.leaves()) {
            self.close(change.file, seq);
        }
        for change in &operation.changes {
            self.compare(operation, change, report);
            self.versions.insert(change.version);
            if change.diverged != 0 {
                self.conflicts.insert(change.version, change.file);
                continue;
            }
            for parent in change.parents.as_chunks().0.iter().skip(1) {
                self.conflicts.remove(&u64::from_le_bytes(*parent));
            }
            self.heads.insert(change.file, change.version);
            if change.file == ROOT {
                continue;
            }
            if change.leaves() {
                self.close(change.file, seq);
            }
            if change.node != GONE {
                let name = change.path.rsplit('/').next().unwrap_or_default().to_owned();
                self.live.entry(change.file).or_insert((change.dir, name, seq));
            }
        }
    }

    fn close(&mut self, file: u64, to: u64) {
        if let Some((dir, name, from)) = self.live.remove(&file) {
            *self.past.entry((dir, name, file, from, Some(to))).or_default() += 1;
        }
    }

    /// The row that stands for a change against the change.
    fn compare(&self, operation: &Operation<'_>, change: &Change<'_>, report: &mut Report) {
        let id = change.version;
        let found =
            self.source.connection.prepare_cached(ROW).and_then(|mut statement| row(&mut statement, id));
        let what = match found {
            Ok(Some(found)) => {
                let wanted = operation.cells(change);
                let odd =
                    NAMES.iter().zip(found.iter().zip(&wanted)).find(|(_, (found, wanted))| found != wanted);
                odd.map(|(name, _)| format!("the row of version {id} has another {name} than it says"))
            }
            Ok(None) => Some(format!("version {id}, which it made, is missing")),
            Err(error) => Some(format!("the row of version {id} cannot be read: {error}")),
        };
        if let Some(what) = what {
            report.find(Some(operation.seq), what, REBUILD);
        }
    }

    /// Nothing may stand in the tables that does not follow, and nothing may lack. Of a broken log nothing
    /// follows, so then this is left. Answers the records by which bytes went.
    pub fn finish(mut self, report: &mut Report) -> BTreeSet<u64> {
        report.versions = self.versions.len() as u64 - 1;
        if !report.holds() {
            return self.destroy;
        }
        for (file, (dir, name, from)) in std::mem::take(&mut self.live) {
            *self.past.entry((dir, name, file, from, None)).or_default() += 1;
        }
        let source = self.source;
        source.rise("SELECT id FROM versions ORDER BY id", "versions", report, |report, id, _| {
            if !self.versions.contains(&id.cast_unsigned()) {
                report.find(None, format!("version {id} stands in no record"), REBUILD);
            }
        });
        source.rise("SELECT file, version FROM heads ORDER BY file", "heads", report, |report, file, row| {
            let due = self.heads.remove(&file.cast_unsigned());
            if due.is_none() || due != source::number(row, 1) {
                report.find(
                    None,
                    format!("the head of file {file} is another than its newest version"),
                    REBUILD,
                );
            }
        });
        if let Some(file) = self.heads.keys().next() {
            report.find(None, format!("the head of file {file} is missing"), REBUILD);
        }
        self.open_conflicts(report);
        let sql = "SELECT id, parent, name, file, from_seq, to_seq FROM entries ORDER BY id";
        source.rise(sql, "entries", report, |report, id, row| {
            if !stood(row).is_some_and(|stood| take(&mut self.past, &stood)) {
                report.find(None, format!("entry {id} of a directory does not follow from the log"), REBUILD);
            }
        });
        if let Some((_, name, file, from, _)) = self.past.keys().next() {
            let what = format!("the entry {name:?} of file {file} is missing");
            report.find(Some(*from), what, REBUILD);
        }
        self.destroy
    }

    /// Those that nobody has resolved, where the format has a table of them.
    fn open_conflicts(&mut self, report: &mut Report) {
        if !self.source.has("conflicts") {
            return;
        }
        let sql = "SELECT version, file FROM conflicts ORDER BY version";
        self.source.rise(sql, "conflicts", report, |report, version, row| {
            let due = self.conflicts.remove(&version.cast_unsigned());
            if due.is_none() || due != source::number(row, 1) {
                let what = format!("the conflict of version {version} does not follow from the log");
                report.find(None, what, REBUILD);
            }
        });
        if let Some(version) = self.conflicts.keys().next() {
            report.find(None, format!("the conflict of version {version} is missing"), REBUILD);
        }
    }
}

fn row(statement: &mut Statement<'_>, id: u64) -> rusqlite::Result<Option<Vec<Cell>>> {
    let mut rows = statement.query([id.cast_signed()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let cell = |column| {
        let text = || source::text(row, column).map(Cell::Text);
        let bytes = || source::bytes(row, column).map(|bytes| Cell::Bytes(bytes.to_vec()));
        source::number(row, column).map(Cell::Number).or_else(text).or_else(bytes).unwrap_or(Cell::Nothing)
    };
    Ok(Some((0..NAMES.len()).map(cell).collect()))
}

fn stood(row: &Row<'_>) -> Option<Stood> {
    let number = |column| source::number(row, column);
    Some((number(1)?, source::text(row, 2)?, number(3)?, number(4)?, number(5)))
}

/// Takes one of these away; false when there is none.
fn take(past: &mut BTreeMap<Stood, u32>, one: &Stood) -> bool {
    let Some(count) = past.get_mut(one) else { return false };
    *count -= 1;
    if *count == 0 {
        past.remove(one);
    }
    true
}
