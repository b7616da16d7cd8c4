//! Files that somebody or a disk has changed: never a panic, and never a record that was not written.

use crate::story::{QUICK, Story, other, path};
use abi::{
    OpId, Pid, Seq, VersionId,
    call::{At, Undo},
    fact::{Lookup, View},
    path::TreePath,
    record::Record,
};
use proptest::prelude::*;
use rusqlite::Connection;
use std::{fs, path::Path};
use store::{Trouble, Workspace};
use tempfile::TempDir;

/// Bytes of a workspace's file and of the log beside it, and the records in them.
struct Sample {
    file: Vec<u8>,
    log: Vec<u8>,
    records: Vec<Record>,
}

const SCRIPT: &str =
    "1 dir /a; file /a/x one; link /l /a\n 2 file /a/x two\n 2 stale /a/x three\n 1 move /a /b
    3 file /b/y four\n 1 gone /l\n 2 undo op 2\n 3 dir /b/c\n 3 move /b/y /b/c/z\n 1 undo pid 3";

fn sample(checkpointed: bool) -> Sample {
    let mut story = Story::of(SCRIPT);
    let seq = story.workspace.head().0;
    story.workspace.save_snapshot(seq, &[7; 3000]).unwrap();
    story.put(&[8; 6000]);
    let mut records = Vec::new();
    story.workspace.replay(Seq(0), &mut |record| records.push(record)).unwrap();
    if checkpointed {
        let file = Connection::open(story.dir.path().join("workspace.db")).unwrap();
        file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
    let read = |name: &str| fs::read(story.dir.path().join(name)).unwrap_or_default();
    Sample { file: read("workspace.db"), log: read("workspace.db-wal"), records }
}

/// Asks everything there is to ask.
fn use_it(dir: &Path, wrote: &[Record]) -> Result<(), Trouble> {
    let mut workspace = Workspace::open(dir, &QUICK)?;
    let mut read = Vec::new();
    // Not all may be there, but what is there is what was written, in its order.
    let _ = workspace.replay(Seq(0), &mut |record| read.push(record));
    assert_eq!(Some(read.as_slice()), wrote.get(..read.len()), "a record that nobody wrote");
    let _ = workspace.snapshot().map(|found| assert!(found.is_none_or(|(_, bytes)| bytes == [7; 3000])));
    let next = workspace.head().0.0.saturating_add(1);
    let _ = workspace.save_snapshot(Seq(1), &[7; 3000]);
    let mut batch = workspace.begin()?;
    let _ = ask(&mut batch);
    let _ = batch.append(&other(next, 1));
    let _ = batch.put_blob(b"new");
    batch.commit()
}

fn ask(batch: &mut store::Batch<'_>) -> Result<(), Trouble> {
    let mut lookups = vec![
        Lookup::Undo { undo: Undo::Operation(OpId(2)) },
        Lookup::Undo { undo: Undo::Process(Pid(3)) },
        Lookup::Undo { undo: Undo::Version(VersionId(2)) },
    ];
    for path in ["/", "/b", "/b/x", "/b/c/z"].map(path) {
        lookups.push(Lookup::Below { path: path.clone() });
        for at in [None, Some(At::Seq(Seq(2)))] {
            lookups.push(Lookup::Path { path: path.clone(), at });
            lookups.push(Lookup::Names { path: path.clone(), at });
        }
        let _ = batch.history(&path, (None, 99), &View::everything());
        let _ = batch.list(&path, None, &View::everything());
    }
    for lookup in lookups {
        let _ = batch.answer(&lookup);
    }
    let _ = batch.records(Seq(0), 99, Some(&[Pid(1)].into()));
    batch.version(VersionId(1)).map(drop)
}

/// Puts the bytes into a new directory and uses them; says whether all went well.
fn tried(file: &[u8], log: &[u8], wrote: &[Record]) -> bool {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("workspace.db"), file).unwrap();
    if !log.is_empty() {
        fs::write(dir.path().join("workspace.db-wal"), log).unwrap();
    }
    use_it(dir.path(), wrote).is_ok()
}

#[test]
fn a_file_that_was_left_alone_is_whole() {
    for checkpointed in [true, false] {
        let sample = sample(checkpointed);
        assert_eq!(sample.log.is_empty(), checkpointed);
        assert!(tried(&sample.file, &sample.log, &sample.records));
    }
}

#[test]
fn a_byte_flipped_anywhere_is_survived() {
    let sample = sample(true);
    let mut survived = 0;
    // A prime step, so that every offset within a page is met by some page.
    for at in (0..sample.file.len()).step_by(307).chain(0..64) {
        let mut file = sample.file.clone();
        file[at] ^= 0xff;
        survived += u32::from(tried(&file, &[], &sample.records));
    }
    assert!(survived > 0, "the trial itself is broken");
}

#[test]
fn a_byte_flipped_in_the_log_beside_loses_only_the_end() {
    let sample = sample(false);
    for at in (0..sample.log.len()).step_by(2999).chain(0..64) {
        let mut log = sample.log.clone();
        log[at] ^= 0xff;
        tried(&sample.file, &log, &sample.records);
    }
}

#[test]
fn a_file_cut_anywhere_is_survived() {
    let sample = sample(true);
    for at in (0..sample.file.len()).step_by(1021) {
        tried(&sample.file[..at], &[], &sample.records);
    }
    assert!(!tried(&[], &[], &sample.records), "an empty file is no workspace");
}

#[test]
fn a_ring_of_directories_is_damage() {
    let mut story = Story::of("1 dir /a; dir /a/b; file /a/b/x one\n 2 file /a/b/x two");
    let file = Connection::open(story.dir.path().join("workspace.db")).unwrap();
    file.execute("UPDATE entries SET parent = 3 WHERE file = 2", []).unwrap();
    drop(file);
    let got = story.workspace.begin().unwrap().answer(&Lookup::Undo { undo: Undo::Operation(OpId(2)) });
    assert!(matches!(got, Err(Trouble::Corrupt { .. })), "{got:?}");
    story.workspace.begin().unwrap().answer(&Lookup::Below { path: TreePath::root() }).unwrap();
}

/// A schema that runs for ever, or that does what nobody asked for, is refused before the first question.
#[test]
fn a_schema_that_computes_is_no_workspace() {
    let forever = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
    let rows = [
        format!("DROP TABLE snapshots; CREATE VIEW snapshots AS {forever} SELECT x AS seq, x AS hash FROM c"),
        format!("DROP TABLE records; CREATE VIEW records AS {forever} SELECT x AS seq, x AS hash FROM c"),
        "CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM blobs; END".to_owned(),
        "CREATE INDEX i ON blobs(hex(bytes))".to_owned(),
        "CREATE VIRTUAL TABLE t USING fts5(x)".to_owned(),
        "CREATE TABLE t(x INTEGER CHECK (abs(x) < 3))".to_owned(),
    ];
    for sql in rows {
        let story = Story::of("1 dir /a; file /a/x one");
        let file = Connection::open(story.dir.path().join("workspace.db")).unwrap();
        let dir = story.dir;
        drop(story.workspace);
        file.execute_batch(&sql).unwrap();
        drop(file);
        let got = Workspace::open(dir.path(), &QUICK).map(drop);
        assert!(matches!(got, Err(Trouble::Corrupt { .. })), "{sql}: {got:?}");
    }
}

/// Pages of which many lead to one, a dozen deep: a walk over them has more rows than there is time.
fn endless(file: &mut Vec<u8>, root: usize) {
    const CELLS: u16 = 200;
    const DEEP: u32 = 12;
    let pages = u32::try_from(file.len() / 4096).unwrap();
    let leaf = file[(root - 1) * 4096..root * 4096].to_vec();
    let inner = |child: u32| {
        let mut page = vec![0; 4096];
        page[0] = 5; // an inner page of a table
        page[3..5].copy_from_slice(&CELLS.to_be_bytes());
        let first = 4096 - 5 * CELLS;
        page[5..7].copy_from_slice(&first.to_be_bytes());
        page[8..12].copy_from_slice(&child.to_be_bytes());
        for cell in 0..CELLS {
            let at = first + 5 * cell;
            let pointer = 12 + 2 * usize::from(cell);
            page[pointer..pointer + 2].copy_from_slice(&at.to_be_bytes());
            page[at.into()..usize::from(at) + 4].copy_from_slice(&child.to_be_bytes());
            page[usize::from(at) + 4] = 1;
        }
        page
    };
    file[(root - 1) * 4096..root * 4096].copy_from_slice(&inner(pages + 1));
    for page in pages + 1..=pages + DEEP {
        file.extend(inner(page + 1));
    }
    file.extend(leaf);
    file[28..32].copy_from_slice(&(pages + DEEP + 1).to_be_bytes());
}

#[test]
fn a_walk_without_end_is_stopped() {
    let mut story = Story::of("1 dir /a; file /a/x one");
    story.workspace.save_snapshot(Seq(1), &[7; 30]).unwrap();
    let path = story.dir.path().join("workspace.db");
    let open = Connection::open(&path).unwrap();
    open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots'";
    let root: i64 = open.query_row(sql, [], |row| row.get(0)).unwrap();
    drop(open);
    drop(story.workspace);
    let mut file = fs::read(&path).unwrap();
    endless(&mut file, root.try_into().unwrap());
    fs::write(&path, file).unwrap();
    let mut workspace = Workspace::open(story.dir.path(), &QUICK).unwrap();
    let got = workspace.save_snapshot(Seq(1), &[7; 30]);
    assert!(matches!(got, Err(Trouble::Corrupt { .. })), "{got:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_bytes_are_no_workspace(bytes in prop::collection::vec(any::<u8>(), 0..9000), with_header: bool) {
        let sample = if with_header { b"SQLite format 3\0".to_vec() } else { vec![] };
        prop_assert!(!tried(&[sample, bytes].concat(), &[], &[]));
    }
}
