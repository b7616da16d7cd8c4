//! The write-ahead log: no commit carries it over, somebody beside does, and the owner can cut it off unless
//! somebody reads.

use crate::story::{QUICK, other};
use abi::{Hash, Seq};
use std::{fs, path::Path};
use store::{Cut, Workspace, carry};
use tempfile::TempDir;

const BATCHES: u64 = 60;

/// Commits of a 60 KiB blob each that nobody has written before, after this record.
fn write(workspace: &mut Workspace, from: u64, count: u64) {
    for seq in from + 1..=from + count {
        let mut batch = workspace.begin().unwrap();
        let piece = Hash::of(&seq.to_le_bytes()).0;
        batch.put_blob(&piece.repeat(60 * 1024 / piece.len())).unwrap();
        batch.append(&other(seq, 1)).unwrap();
        batch.commit().unwrap();
    }
}

fn bytes(dir: &Path, name: &str) -> u64 {
    fs::metadata(dir.join(name)).map_or(0, |found| found.len())
}

#[test]
fn it_grows_until_it_is_carried_over_and_begins_anew() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    let small = bytes(dir.path(), "workspace.db");
    assert_eq!(workspace.log_bytes(), 0);
    write(&mut workspace, 0, 2 * BATCHES);
    // SQLite would have carried it over at 4 MB.
    let long = workspace.log_bytes();
    assert!(long > 7_000_000 && long <= bytes(dir.path(), "workspace.db-wal"), "{long}");
    assert_eq!(bytes(dir.path(), "workspace.db"), small);

    carry(dir.path()).unwrap();
    assert!(bytes(dir.path(), "workspace.db") > 7_000_000);
    write(&mut workspace, 2 * BATCHES, 1);
    assert!(workspace.log_bytes() < 200_000, "{}", workspace.log_bytes());
    assert_eq!(workspace.replay(Seq(0), &mut |_| {}).unwrap(), 2 * BATCHES + 1);
}

#[test]
fn it_is_cut_off_unless_somebody_reads() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    write(&mut workspace, 0, BATCHES);
    let reader = rusqlite::Connection::open(dir.path().join("workspace.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM records").unwrap();
    write(&mut workspace, BATCHES, 1);
    assert_eq!(workspace.cut_log().unwrap(), Cut::Part);
    write(&mut workspace, BATCHES + 1, 1);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(workspace.cut_log().unwrap(), Cut::All);
    assert_eq!((workspace.log_bytes(), bytes(dir.path(), "workspace.db-wal")), (0, 0));
    assert_eq!(workspace.replay(Seq(0), &mut |_| {}).unwrap(), BATCHES + 2);
}

#[test]
fn a_workspace_that_is_gone_or_another_file_is_not_carried() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(carry(dir.path()), Err(store::Trouble::Missing { .. })));
    fs::write(dir.path().join("workspace.db"), b"hello".repeat(1_000)).unwrap();
    assert!(matches!(carry(dir.path()), Err(store::Trouble::Corrupt { .. })));
}
