//! A workload of the store drawn from a seed, and a plain oracle in memory: what must be there after each
//! step.
//!
//! ```text
//! step 0   the workspace is made
//! step n   a batch (records, blobs; sometimes dropped) · a snapshot · a checkpoint of the log · open anew
//! ```
//!
//! The oracle is a map from path to head, kept while the steps are drawn: it knows no row, no index and no
//! fold of the store. Never here: a crash, a failure.

use crate::chance::Chance;
use abi::{
    Code, Content, FileId, Hash, LabelId, OpId, Pid, ROOT, Seq, VersionId,
    path::TreePath,
    record::{Entry, Record},
    tree::{Change, Node, Version},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Steps after the first. More than 26, so that a bug that shows at every 13th commit shows.
const STEPS: usize = 34;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Records and bytes in one batch.
    Batch(Vec<Record>, Vec<Vec<u8>>),
    /// The same, dropped before it is committed.
    Dropped(Vec<Record>, Vec<Vec<u8>>),
    /// A snapshot after this record.
    Snapshot(Seq, Vec<u8>),
    /// A checkpoint of the write-ahead log, in this mode of SQLite's.
    Checkpoint(&'static str),
    /// Closed and opened anew.
    Reopen,
}

/// What must be there after a step.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// Records.
    pub records: usize,
    /// Path to head and kind.
    pub tree: BTreeMap<String, (VersionId, Node)>,
    /// Every version there ever was, but for the root's first.
    pub versions: BTreeMap<VersionId, Version>,
    /// Every blob.
    pub blobs: BTreeMap<Hash, Arc<[u8]>>,
    /// The newest snapshot.
    pub snapshot: Option<(Seq, Vec<u8>)>,
}

/// The workload.
pub struct Work {
    /// Steps 1 and on.
    pub steps: Vec<Step>,
    /// Everything any step of it appends and commits.
    pub records: Vec<Record>,
    /// After step n.
    pub moments: Vec<Moment>,
}

impl Work {
    /// The workload of a seed.
    pub fn of(seed: u64) -> Self {
        let mut drawn = Drawn { chance: Chance::of(seed, b"disk work"), ..Drawn::default() };
        let mut work = Self { steps: Vec::new(), records: Vec::new(), moments: vec![Moment::default()] };
        for number in 0..STEPS {
            let step = match (number, drawn.chance.below(12)) {
                // The log is emptied and filled again, whatever the seed: its hardest moment.
                (11, _) => Step::Checkpoint("RESTART"),
                (22, _) => Step::Checkpoint("TRUNCATE"),
                (6 | 17, _) => Step::Snapshot(drawn.seq, drawn.bytes(9000)),
                (_, 0) => Step::Checkpoint("PASSIVE"),
                (_, 1) => Step::Reopen,
                (_, 2) => drawn.dropped(),
                (..) => drawn.batch(),
            };
            match &step {
                Step::Batch(records, _) => work.records.extend(records.iter().cloned()),
                Step::Snapshot(seq, bytes) => drawn.now.snapshot = Some((*seq, bytes.clone())),
                Step::Dropped(..) | Step::Checkpoint(_) | Step::Reopen => {}
            }
            work.steps.push(step);
            work.moments.push(drawn.now.clone());
        }
        work
    }
}

/// A file as it stands.
#[derive(Clone, Copy)]
struct Here {
    file: FileId,
    version: VersionId,
    node: Node,
    content: Content,
}

/// Everything drawn so far.
#[derive(Clone)]
struct Drawn {
    chance: Chance,
    seq: Seq,
    op: u64,
    version: u64,
    file: u64,
    here: BTreeMap<String, Here>,
    now: Moment,
}

impl Default for Drawn {
    fn default() -> Self {
        let (here, now) = (BTreeMap::new(), Moment::default());
        Self { chance: Chance::of(0, b""), seq: Seq(0), op: 0, version: 0, file: ROOT.0, here, now }
    }
}

impl Drawn {
    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let (length, salt) = (1 + self.chance.below(most), self.chance.draw());
        (0..length).map(|at| (at.wrapping_mul(31).wrapping_add(salt) >> 3) as u8).collect()
    }

    fn batch(&mut self) -> Step {
        let mut blobs = Vec::new();
        let records = (0..1 + self.chance.below(3)).map(|_| self.record(&mut blobs)).collect();
        for bytes in &blobs {
            self.now.blobs.insert(Hash::of(bytes), Arc::from(bytes.as_slice()));
        }
        self.now.tree =
            self.here.iter().map(|(path, here)| (path.clone(), (here.version, here.node))).collect();
        self.now.records = self.seq.0 as usize;
        Step::Batch(records, blobs)
    }

    /// A batch that leaves no trace, not even in what is drawn next.
    fn dropped(&mut self) -> Step {
        let mut other = self.clone();
        self.chance.draw();
        match other.batch() {
            Step::Batch(records, blobs) => Step::Dropped(records, blobs),
            step => step,
        }
    }

    fn record(&mut self, blobs: &mut Vec<Vec<u8>>) -> Record {
        self.seq = self.seq.next();
        let pid = 1 + self.chance.below(3);
        let body = if self.chance.one_in(4) {
            let about = format!("/x{}", self.chance.below(1000));
            Entry::Refused { call: "write".to_owned(), code: Code::Denied, about }
        } else {
            self.op += 1;
            let mut touched = BTreeSet::new();
            let acts = 1 + self.chance.below(3);
            let changes = (0..acts).flat_map(|_| self.changes(&mut touched, blobs)).collect();
            let message = self.chance.one_in(3).then(|| self.keep(blobs, 60));
            Entry::Wrote { op: OpId(self.op), changes, message, undoes: None }
        };
        let actor = format!("agent:{pid}");
        let record =
            Record { seq: self.seq, at: 1_000 + self.seq.0, actor, pid: Pid(pid), cause: self.seq, body };
        self.remember(&record);
        record
    }

    fn keep(&mut self, blobs: &mut Vec<Vec<u8>>, most: u64) -> Content {
        let bytes = self.bytes(most);
        let content = Content::of(&bytes);
        blobs.push(bytes);
        content
    }

    /// The changes of one act; none when what is drawn cannot be, or its file was touched in this operation.
    fn changes(&mut self, touched: &mut BTreeSet<FileId>, blobs: &mut Vec<Vec<u8>>) -> Vec<Change> {
        let path = self.spot();
        let old = self.here.get(&path).copied();
        let most = if self.chance.one_in(8) { 20_000 } else { 2_000 };
        let (act, file) = (self.chance.below(10), old.map(|old| old.file));
        if file.is_some_and(|file| touched.contains(&file)) {
            return Vec::new();
        }
        let changes = match (act, old) {
            (0..=3, old) if old.is_none_or(|old| old.node != Node::Dir) => {
                let (node, content) = (Node::File, self.keep(blobs, most));
                vec![self.change(&path, old, node, content)]
            }
            (4, None) => {
                let content = self.keep(blobs, 20);
                vec![self.change(&path, None, Node::Link, content)]
            }
            (5 | 6, None) => vec![self.change(&path, None, Node::Dir, Content::default())],
            (7, Some(old)) => self.moved(&path, old),
            (8, Some(_)) => self.removed(&path, touched),
            (9, Some(old)) if old.node == Node::File => {
                let content = self.keep(blobs, most);
                let mut change = self.change(&path, Some(old), Node::File, content);
                self.here.insert(path, old);
                change.diverged = true;
                vec![change]
            }
            _ => Vec::new(),
        };
        touched.extend(changes.iter().map(|change| change.file));
        changes
    }

    /// A name in a directory that stands.
    fn spot(&mut self) -> String {
        let dirs = self.here.iter().filter(|(_, here)| here.node == Node::Dir).map(|(path, _)| path.clone());
        let dirs: Vec<String> = dirs.chain([String::new()]).collect();
        let name = self.chance.word(&["a", "b", "c", "d", "e.md"]);
        format!("{}/{name}", self.chance.pick(&dirs).map_or("", String::as_str))
    }

    fn change(&mut self, path: &str, old: Option<Here>, node: Node, content: Content) -> Change {
        self.version += 1;
        let file = old.map_or_else(
            || {
                self.file += 1;
                FileId(self.file)
            },
            |old| old.file,
        );
        let version = VersionId(self.version);
        let path = TreePath::parse(path).unwrap_or_else(|_| TreePath::root());
        match node {
            Node::Gone => _ = self.here.remove(path.as_str()),
            _ => _ = self.here.insert(path.to_string(), Here { file, version, node, content }),
        }
        let above = path.parent().and_then(|dir| self.here.get(dir.as_str()));
        Change {
            file,
            dir: above.map_or(ROOT, |dir| dir.file),
            path,
            moved_from: None,
            version,
            node,
            content,
            mode: if self.version.is_multiple_of(5) { 0o755 } else { 0o644 },
            mtime: 2_000 + self.version,
            label: LabelId((self.version % 3) as u32),
            parents: old.map(|old| old.version).into_iter().collect(),
            diverged: false,
            scratch: false,
        }
    }

    fn moved(&mut self, from: &str, old: Here) -> Vec<Change> {
        let to = self.spot();
        if self.here.contains_key(&to) || to.starts_with(&format!("{from}/")) {
            return Vec::new();
        }
        self.here.remove(from);
        let inside: Vec<String> =
            self.here.keys().filter(|path| path.starts_with(&format!("{from}/"))).cloned().collect();
        for path in inside {
            let here = self.here.remove(&path);
            let end = path.get(from.len()..).unwrap_or("").to_owned();
            self.here.extend(here.map(|here| (format!("{to}{end}"), here)));
        }
        let mut change = self.change(&to, Some(old), old.node, old.content);
        change.moved_from = TreePath::parse(from).ok();
        vec![change]
    }

    fn removed(&mut self, path: &str, touched: &BTreeSet<FileId>) -> Vec<Change> {
        let below = format!("{path}/");
        let all = self.here.iter().filter(|(one, _)| *one == path || one.starts_with(&below));
        let all: Vec<(String, Here)> = all.map(|(path, here)| (path.clone(), *here)).collect();
        if all.iter().any(|(_, here)| touched.contains(&here.file)) {
            return Vec::new();
        }
        let gone =
            |(path, here): &(String, Here)| self.change(path, Some(*here), Node::Gone, Content::default());
        all.iter().rev().map(gone).collect()
    }

    fn remember(&mut self, record: &Record) {
        let Entry::Wrote { op, changes, message, .. } = &record.body else { return };
        for change in changes {
            let version = Version {
                id: change.version,
                file: change.file,
                node: change.node,
                content: change.content,
                mode: change.mode,
                mtime: change.mtime,
                label: change.label,
                actor: record.actor.clone(),
                pid: record.pid,
                op: *op,
                seq: record.seq,
                diverged: change.diverged,
                parents: change.parents.clone(),
                message: *message,
                path: change.path.clone(),
            };
            self.now.versions.insert(version.id, version);
        }
    }
}
