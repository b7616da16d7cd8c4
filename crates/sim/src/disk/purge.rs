//! A purge cut off at every operation of the disk: it is done or it is not, and once it was acknowledged no
//! power cut brings a byte of it back.
//!
//! ```text
//! step 0 make · 1 a file with a secret, another file · 2 more of both · 3 purge of the first · 4 scrub
//! cut after 3   the record stands ▸ opening goes on with it ▸ no file holds the secret
//! cut after 4   no file holds the secret, not even before it is opened
//! ```

use super::{FULL, NULL, Reached, Sum, Trial, lay, shown, tape, told, ways};
use crate::chance::Chance;
use abi::{
    Content, FileId, Hash, LabelId, OpId, Pid, ROOT, Seq, VersionId,
    path::TreePath,
    record::{Entry, Record},
    scan,
    tree::{Change, Node},
};
use std::{fs, io, path::Path};
use store::{Trouble, Workspace};
use tape::{Op, Watch};
use tempfile::TempDir;

/// The file whose bytes go, and one whose bytes stay.
const FILES: [(u64, &str); 2] = [(2, "/secret"), (3, "/kept")];
const PURGE: usize = 3;
const SCRUB: usize = 4;

/// The two contents of the secret, then the two that stay.
type Contents = [Vec<u8>; 4];

/// Cuts the power after every operation of a purge and its scrub, in every way.
pub fn purges(trial: Trial) -> io::Result<Sum> {
    let mut chance = Chance::of(trial.seed, b"purge");
    let contents: Contents = std::array::from_fn(|_| {
        (0..900 + chance.below(9000)).map(|_| b'a' + (chance.below(26) as u8)).collect()
    });
    let dir = TempDir::new()?;
    let watch = Watch::on(dir.path(), None)?;
    let mut sum = Sum::default();
    if let Err(trouble) = perform(dir.path(), &contents, &watch) {
        sum.add(|| format!("seed {} undisturbed", trial.seed), Err(trouble.to_string()));
    }
    let (mut disk, mut reached) = (super::Disk::default(), Reached::default());
    let spot = TempDir::new()?;
    for (at, op) in watch.take().0.iter().enumerate() {
        disk.take(op);
        reached.take(op);
        sum.ops += 1;
        if reached.began < PURGE {
            continue;
        }
        for cut in ways(op, &mut chance, trial) {
            lay(spot.path(), &shown(&disk, op, cut))?;
            // Before the scrub the secret is there: the eye that looks for it is not blind.
            sum.told += u64::from(leak(spot.path(), &contents).is_ok_and(|file| file.is_some()));
            let found = check(spot.path(), &contents, reached);
            sum.add(|| format!("seed {} purge cut at op {at} ({}) {cut:?}", trial.seed, told(op)), found);
        }
    }
    Ok(sum)
}

fn record(seq: u64, body: Entry) -> Record {
    let actor = "operator:anna".to_owned();
    Record { seq: Seq(seq), at: 1_000 + seq, actor, pid: Pid(0), cause: Seq(seq), body }
}

/// Both files with these contents, as operation `op`.
fn wrote(op: u64, contents: [&[u8]; 2]) -> Record {
    let changes = (0..).zip(FILES).zip(contents).map(|((ix, (file, path)), bytes)| Change {
        file: FileId(file),
        dir: ROOT,
        path: TreePath::parse(path).unwrap_or_else(|_| TreePath::root()),
        moved_from: None,
        version: VersionId(2 * op - 1 + ix),
        node: Node::File,
        content: Content::of(bytes),
        mode: 0o644,
        mtime: op,
        label: LabelId(0),
        parents: if op == 1 { vec![] } else { vec![VersionId(2 * op - 3 + ix)] },
        diverged: false,
        scratch: false,
    });
    record(op, Entry::Wrote { op: OpId(op), changes: changes.collect(), message: None, undoes: None })
}

fn perform(dir: &Path, contents: &Contents, watch: &Watch) -> Result<(), Trouble> {
    let [secret, newer, kept, last] = contents;
    let mut workspace = Workspace::create(dir, &FULL)?;
    let purged = Entry::Purged {
        path: TreePath::parse(FILES[0].1).unwrap_or_else(|_| TreePath::root()),
        files: vec![FileId(FILES[0].0)],
        upto: VersionId(3),
        reason: Content::of(b"asked to"),
    };
    let batches: [(Record, Vec<&[u8]>); 3] = [
        (wrote(1, [secret, kept]), vec![secret, kept]),
        (wrote(2, [newer, last]), vec![newer, last]),
        (record(3, purged), vec![b"asked to"]),
    ];
    for (step, (record, blobs)) in (1..).zip(batches) {
        watch.mark(Op::Began(step));
        let mut batch = workspace.begin()?;
        blobs.into_iter().try_for_each(|bytes| batch.put_blob(bytes).map(drop))?;
        batch.append(&record)?;
        batch.commit()?;
        watch.mark(Op::Stands(step));
    }
    watch.mark(Op::Began(SCRUB));
    workspace.scrub()?;
    watch.mark(Op::Stands(SCRUB));
    Ok(())
}

/// Which file of a directory holds a piece of a secret.
fn leak(dir: &Path, contents: &Contents) -> Result<Option<String>, String> {
    let entries = fs::read_dir(dir).map_err(|error| error.to_string())?;
    for entry in entries.filter_map(Result::ok) {
        let bytes = fs::read(entry.path()).map_err(|error| error.to_string())?;
        // A page boundary may part a content anywhere, but not two pieces of it so far from each other.
        let pieces = contents[..2].iter().flat_map(|secret| [secret.get(100..164), secret.get(500..564)]);
        if pieces.flatten().any(|piece| scan::has_text(&bytes, piece)) {
            return Ok(Some(entry.file_name().to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

fn check(dir: &Path, contents: &Contents, reached: Reached) -> Result<(), String> {
    let say = |trouble: Trouble| trouble.to_string();
    let scrubbed = reached.stands == Some(SCRUB);
    if scrubbed && let Some(file) = leak(dir, contents)? {
        return Err(format!("{file} holds the secret after the scrub was acknowledged"));
    }
    let workspace = Workspace::open(dir, &NULL).map_err(say)?;
    let count = workspace.replay(Seq(0), &mut drop).map_err(say)?;
    let purged = count == 3;
    if count < 2 || !purged && reached.stands >= Some(PURGE) {
        return Err(format!("{count} records at {reached:?}"));
    }
    for (ix, bytes) in contents.iter().enumerate() {
        let there = workspace.blob(&Hash::of(bytes)).map_err(say)?;
        if there.as_ref() != Some(bytes).filter(|_| ix >= 2 || !purged) {
            return Err(format!(
                "purged: {purged}, content {ix} has {:?} bytes",
                there.map(|kept| kept.len())
            ));
        }
    }
    drop(workspace);
    match leak(dir, contents)?.filter(|_| purged) {
        Some(file) => Err(format!("{file} holds the secret after it was opened again")),
        None => Ok(()),
    }
}
