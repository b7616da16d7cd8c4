//! Power cuts and failing disks under the real store: one workload recorded, then cut and failed everywhere.
//!
//! ```text
//! work (steps, oracle) ─▶ store ─▶ SQLite ─▶ vfs ─▶ tape ─▶ image (what a cut leaves) ─▶ store: the same?
//!                                            └ the n-th act fails ─▶ trouble of its kind, open anew, write
//! ```
//!
//! What must hold after a cut: every step that was acknowledged is there whole, the one under way is there
//! whole or not at all, the chain proves itself, the tree is the oracle's, every blob gives its hash. Chunk
//! files of large content do not go through SQLite; they are outside of this.

pub mod image;
pub mod purge;
pub mod tape;
pub mod work;

use crate::chance::Chance;
use abi::{
    Hash, Pid, Seq, VersionId,
    fact::View,
    path::TreePath,
    record::{Entry, Record},
    tree::Node,
};
use image::{Cut, Disk, Image, SECTOR};
use rusqlite::Connection;
use std::{collections::BTreeMap, fs, io, path::Path};
use store::{Durable, Options, Trouble, Workspace};
use tape::{Act, Answer, Op, Watch};
use tempfile::TempDir;
use work::{Moment, Step, Work};

const FULL: Options = Options { durable: Durable::Full, pages_max: None, segment: None };
/// For looking at images: they stand no power cut of their own.
const NULL: Options = Options { durable: Durable::Null, pages_max: None, segment: None };

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The workload, and which of the trials are drawn.
    pub seed: u64,
    /// One of so many is tried; 1 is all of them.
    pub share: u64,
}

/// What was tried and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Operations on the tape.
    pub ops: u64,
    /// Images opened, or runs with a failure.
    pub tried: u64,
    /// Runs in which the failure was told as trouble; the others failed where nothing was promised. Of a
    /// purge: images that still held what it takes.
    pub told: u64,
    /// What must not be, the first few.
    pub findings: Vec<String>,
}

const FINDINGS_MAX: usize = 5;

impl Sum {
    fn add(&mut self, what: impl FnOnce() -> String, found: Result<(), String>) {
        self.tried += 1;
        if let Err(found) = found
            && self.findings.len() < FINDINGS_MAX
        {
            self.findings.push(format!("{}: {found}", what()));
        }
    }
}

/// Up to where a workload came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reached {
    began: usize,
    /// The last step that was acknowledged; none before the first.
    stands: Option<usize>,
}

impl Reached {
    fn take(&mut self, op: &Op) {
        match op {
            Op::Began(step) => self.began = *step,
            Op::Stands(step) => self.stands = Some(*step),
            Op::Made { .. } | Op::Write { .. } | Op::Cut { .. } => {}
            Op::Synced { .. } | Op::Gone { .. } | Op::Renamed { .. } => {}
        }
    }
}

/// Cuts the power after every operation of a workload, in every way of [`Cut`].
pub fn cuts(trial: Trial) -> io::Result<Sum> {
    let work = Work::of(trial.seed);
    let dir = TempDir::new()?;
    let watch = Watch::on(dir.path(), None)?;
    let mut sum = Sum::default();
    let run = perform(&work, dir.path(), &|op| watch.mark(op));
    let (ops, _) = watch.take();
    if let Err((step, trouble)) = run {
        sum.add(|| format!("seed {} step {step}", trial.seed), Err(trouble.to_string()));
    }
    let (mut disk, mut reached) = (Disk::default(), Reached::default());
    let mut chance = Chance::of(trial.seed, b"which cuts");
    let spot = TempDir::new()?;
    for (at, op) in ops.iter().enumerate() {
        // A name that was not synced may be the old one or the new one.
        let early = matches!(op, Op::Renamed { .. }).then(|| {
            let mut early = disk.clone();
            early.take(op);
            early.image(Cut::Lost)
        });
        disk.take(op);
        reached.take(op);
        sum.ops += 1;
        let cuts = ways(op, &mut chance, trial);
        let images = cuts.into_iter().map(|cut| (cut, shown(&disk, op, cut)));
        for (cut, image) in images.chain(early.map(|image| (Cut::Lost, image))) {
            lay(spot.path(), &image)?;
            let found = check(spot.path(), &work, reached);
            sum.add(|| format!("seed {} cut at op {at} ({}) {cut:?}", trial.seed, told(op)), found);
        }
    }
    Ok(sum)
}

/// What a cut leaves after an operation, which the disk has taken.
fn shown(disk: &Disk, op: &Op, cut: Cut) -> Image {
    match (cut, op) {
        (Cut::Torn(bytes), Op::Write { file, .. }) => disk.torn(file, bytes),
        _ => disk.image(cut),
    }
}

/// The cuts that are tried after an operation.
fn ways(op: &Op, chance: &mut Chance, trial: Trial) -> Vec<Cut> {
    let mut all = match op {
        Op::Write { bytes, .. } => {
            let inside = 1 + chance.index(bytes.len().saturating_sub(1).max(1));
            let sectors = inside / SECTOR * SECTOR;
            let odd = if inside == sectors { inside - 1 } else { inside };
            vec![
                Cut::Kept,
                Cut::Torn(sectors),
                Cut::Torn(odd),
                Cut::Some(chance.draw()),
                Cut::Some(chance.draw()),
            ]
        }
        Op::Made { .. } | Op::Cut { .. } | Op::Gone { .. } => vec![Cut::Kept, Cut::Some(chance.draw())],
        Op::Synced { .. } | Op::Renamed { .. } | Op::Began(_) | Op::Stands(_) => vec![],
    };
    // What is lost changes only when something was synced, or acknowledged, or a name went.
    if !matches!(op, Op::Write { .. } | Op::Cut { .. } | Op::Began(_)) {
        all.push(Cut::Lost);
    }
    let acknowledged = matches!(op, Op::Stands(_));
    all.retain(|_| acknowledged || chance.one_in(trial.share));
    all
}

fn told(op: &Op) -> String {
    match op {
        Op::Write { file, offset, bytes } => format!("{} bytes at {offset} of {file}", bytes.len()),
        op => format!("{op:?}"),
    }
}

/// Makes each act of a workload fail, one a run, in every way it can fail.
pub fn failures(trial: Trial) -> io::Result<Sum> {
    let work = Work::of(trial.seed);
    let mut chance = Chance::of(trial.seed, b"which failures");
    let mut sum = Sum::default();
    let acts = {
        let dir = TempDir::new()?;
        let watch = Watch::on(dir.path(), None)?;
        let run = perform(&work, dir.path(), &|op| watch.mark(op));
        let (_, acts) = watch.take();
        sum.add(
            || format!("seed {} undisturbed", trial.seed),
            run.map_err(|(_, trouble)| trouble.to_string()),
        );
        acts
    };
    for (at, act) in acts.iter().enumerate() {
        sum.ops += 1;
        let answers: &[Answer] = match act {
            Act::Write => &[Answer::Refused, Answer::Full, Answer::Short],
            Act::Read | Act::Cut | Act::Sync | Act::Delete => &[Answer::Refused],
        };
        for answer in answers {
            if chance.one_in(trial.share) {
                let (told, found) = failed(&work, at, *answer)?;
                sum.told += u64::from(told);
                sum.add(|| format!("seed {} act {at} ({act:?}) {answer:?}", trial.seed), found);
            }
        }
    }
    Ok(sum)
}

/// One run with one failure: whether it was told, and what is wrong.
fn failed(work: &Work, at: usize, answer: Answer) -> io::Result<(bool, Result<(), String>)> {
    let dir = TempDir::new()?;
    let watch = Watch::on(dir.path(), Some((at, answer)))?;
    let run = perform(work, dir.path(), &|op| watch.mark(op));
    let mut reached = Reached::default();
    watch.take().0.iter().for_each(|op| reached.take(op));
    drop(watch);
    if let Err((step, trouble)) = &run {
        let right = match answer {
            Answer::Refused => matches!(trouble, Trouble::Io { .. }),
            Answer::Full | Answer::Short => matches!(trouble, Trouble::Full { .. }),
        };
        if !right {
            return Ok((true, Err(format!("step {step} says: {trouble:?}"))));
        }
    }
    Ok((run.is_err(), check(dir.path(), work, reached)))
}

/// Leaves the workspace of a seed's whole workload in a directory, unwatched.
pub(crate) fn settle(seed: u64, dir: &Path) -> Result<(), Trouble> {
    perform(&Work::of(seed), dir, &drop).map_err(|(_, trouble)| trouble)
}

/// Carries out a workload; stops at the first trouble and says at which step.
fn perform(work: &Work, dir: &Path, mark: &dyn Fn(Op)) -> Result<(), (usize, Trouble)> {
    mark(Op::Began(0));
    let mut workspace = Workspace::create(dir, &FULL).map_err(|trouble| (0, trouble))?;
    mark(Op::Stands(0));
    for (number, step) in (1..).zip(&work.steps) {
        mark(Op::Began(number));
        match step {
            Step::Checkpoint(mode) => checkpoint(dir, mode),
            Step::Reopen => {
                drop(workspace);
                workspace = Workspace::open(dir, &FULL).map_err(|trouble| (number, trouble))?;
            }
            step => act(&mut workspace, step).map_err(|trouble| (number, trouble))?,
        }
        mark(Op::Stands(number));
    }
    Ok(())
}

fn act(workspace: &mut Workspace, step: &Step) -> Result<(), Trouble> {
    let (records, blobs) = match step {
        Step::Batch(records, blobs) | Step::Dropped(records, blobs) => (records, blobs),
        Step::Snapshot(seq, bytes) => return workspace.save_snapshot(*seq, bytes),
        Step::Checkpoint(_) | Step::Reopen => return Ok(()),
    };
    let mut batch = workspace.begin()?;
    for bytes in blobs {
        batch.put_blob(bytes)?;
    }
    for record in records {
        batch.append(record)?;
    }
    match step {
        Step::Dropped(..) => Ok(()),
        _ => batch.commit(),
    }
}

/// By a connection of its own. It promises nothing, so whether it fails is nobody's loss.
fn checkpoint(dir: &Path, mode: &str) {
    let run = || {
        let file = Connection::open(dir.join("workspace.db"))?;
        file.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
    };
    let _: rusqlite::Result<()> = run();
}

/// Puts an image into a directory, and nothing else.
fn lay(dir: &Path, image: &Image) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
    }
    image.iter().try_for_each(|(name, bytes)| fs::write(dir.join(&**name), bytes))
}

/// Whether what lies in a directory is what must be there; and whether it can be written again.
fn check(dir: &Path, work: &Work, reached: Reached) -> Result<(), String> {
    let mut workspace = match (Workspace::open(dir, &NULL), reached.stands) {
        (Ok(workspace), _) => workspace,
        // It was not made yet: what is left of the attempt must not be in the way of the next.
        (Err(Trouble::Missing { .. }), None) => {
            return Workspace::create(dir, &NULL)
                .map(drop)
                .map_err(|trouble| format!("made anew: {trouble}"));
        }
        (Err(trouble), _) => return Err(trouble.to_string()),
    };
    let first = reached.stands.unwrap_or(0);
    let mut odd = None;
    for step in first..=reached.began.max(first) {
        let Some(moment) = work.moments.get(step) else { continue };
        match same(&mut workspace, work, moment) {
            Ok(()) => return again(dir, workspace),
            Err(what) => odd = odd.or(Some(what)),
        }
    }
    Err(format!("{reached:?}: {}", odd.unwrap_or_default()))
}

/// Whether the workspace is what it was at this moment, and has nothing more.
fn same(workspace: &mut Workspace, work: &Work, moment: &Moment) -> Result<(), String> {
    let say = |trouble: Trouble| trouble.to_string();
    let mut read: Vec<Record> = Vec::new();
    workspace.replay(Seq(0), &mut |record| read.push(record)).map_err(say)?;
    if work.records.get(..moment.records) != Some(&read) {
        return Err(format!("{} records are there, not {}", read.len(), moment.records));
    }
    let snapshot = workspace.snapshot().map_err(say)?;
    if snapshot != moment.snapshot {
        let seq = snapshot.map(|(seq, _)| seq);
        return Err(format!("snapshot {seq:?}, not {:?}", moment.snapshot.as_ref().map(|(seq, _)| seq)));
    }
    let mut batch = workspace.begin().map_err(say)?;
    let mut tree: BTreeMap<String, (VersionId, Node)> = BTreeMap::new();
    let mut todo = vec![TreePath::root()];
    while let Some(dir) = todo.pop() {
        for entry in batch.list(&dir, None, &View::everything()).map_err(say)?.entries {
            let path = dir.join(&entry.name).map_err(|error| error.to_string())?;
            tree.insert(path.to_string(), (entry.version, entry.node));
            if entry.node == Node::Dir {
                todo.push(path);
            }
        }
    }
    if tree != moment.tree {
        return Err(format!("the tree is {tree:?}, not {:?}", moment.tree));
    }
    let last = work.moments.last().map_or(0, |last| last.versions.len() as u64);
    for id in (1..=last).map(VersionId) {
        let kept = batch.version(id).map_err(say)?;
        if kept.as_ref() != moment.versions.get(&id) {
            return Err(format!("version {id} is {kept:?}"));
        }
    }
    for hash in work.moments.last().iter().flat_map(|last| last.blobs.keys()) {
        let kept = batch.blob(hash).map_err(say)?;
        if kept.as_deref() != moment.blobs.get(hash).map(|bytes| &**bytes) {
            return Err(format!("blob {hash} has {:?} bytes", kept.map(|bytes| bytes.len())));
        }
    }
    Ok(())
}

/// Writes one more record, and finds it after opening anew.
fn again(dir: &Path, mut workspace: Workspace) -> Result<(), String> {
    let say = |trouble: Trouble| format!("written again: {trouble}");
    let seq = workspace.head().0.next();
    let body = Entry::Genesis { id: [7; 16], format: 1, lacks: vec![] };
    let record = Record { seq, at: 9_000, actor: "system:kernel".to_owned(), pid: Pid(1), cause: seq, body };
    let mut batch = workspace.begin().map_err(say)?;
    batch.append(&record).and_then(|()| batch.put_blob(b"again")).map_err(say)?;
    batch.commit().map_err(say)?;
    drop(workspace);
    let workspace = Workspace::open(dir, &NULL).map_err(say)?;
    let blob = workspace.blob(&Hash::of(b"again")).map_err(say)?;
    if workspace.head().0 != seq || blob.is_none() {
        return Err(format!("what was written after it is not there: {}", workspace.head().0));
    }
    Ok(())
}
