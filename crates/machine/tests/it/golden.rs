//! The golden workspaces (see the store's tests) as the kernel sees them: each is woken, its log replayed to
//! the same state, and written on. That of the present format is made here when it is not there.

use crate::bench::Bench;
use rusqlite::Connection;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

fn golden(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../store/tests/golden/format-{format}"))
}

fn copy(from: &Path, to: &Path) {
    for dir in ["", "log"] {
        let Ok(all) = fs::read_dir(from.join(dir)) else { continue };
        fs::create_dir_all(to.join(dir)).unwrap();
        for file in all.map(|entry| entry.unwrap().path()).filter(|file| file.is_file()) {
            fs::copy(&file, to.join(dir).join(file.file_name().unwrap())).unwrap();
        }
    }
}

/// A workspace in which everything happened that format 3 has words for.
fn make(to: &Path) {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path(), Some(10));
    for ix in 0..12 {
        bench.write("/data/kept.md", &format!("# Kept\n\nversion {ix}\n"));
        bench.write("/data/.cache/scratch", &format!("scratch {ix}"));
    }
    bench.write("/data/secret.txt", "the first secret of them all");
    bench.write("/data/secret.txt", "the second secret of them all");
    bench.control("purge /data/secret.txt it was never meant to be here");
    bench.control("retain /data/kept.md last 3");
    bench.pass(1_000_000);
    let first = bench.write("/data/torn.bin", "one");
    bench.write("/data/torn.bin", "two");
    let stale =
        json!({"path": "/data/torn.bin", "text": "three", "base": first["version"], "origin": "argument"});
    assert_eq!(bench.ok("write", stale)["code"], "Conflict");
    for _ in 0..2 {
        bench.write("/data/last", &format!("{:?}", bench.room.kernel().seq()));
        bench.room.snapshot().unwrap();
    }
    // Nobody carries it out, and waking finds it lost: that is booked.
    let asked = json!({"model": "scripted", "text": "what it costs", "origin": "argument"});
    assert!(bench.ask("complete", asked).is_err());
    drop(bench);
    let mut bench = Bench::open(dir.path(), Some(10));
    while bench.room.store().segments().unwrap() < 3 {
        bench.room.tend().unwrap();
    }
    drop(bench);
    let db = Connection::open(dir.path().join("workspace.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    db.execute_batch("VACUUM").unwrap();
    drop(db);
    for left in ["workspace.db-wal", "workspace.db-shm"] {
        let _ = fs::remove_file(dir.path().join(left));
    }
    copy(dir.path(), to);
}

#[test]
fn each_is_woken_replayed_and_written_on() {
    if !golden(3).join("workspace.db").exists() {
        make(&golden(3));
        panic!("the golden workspace of format 3 was not there: it is made, look at it and commit it");
    }
    for format in [1, 2, 3] {
        let dir = TempDir::new().unwrap();
        copy(&golden(format), dir.path());
        let mut bench = Bench::open_at(dir.path(), None, 1_900_000_000_000_000);
        assert_eq!(bench.replayed().seq(), bench.room.kernel().seq(), "format {format}");
        assert_eq!(bench.replayed().snapshot(), bench.room.kernel().snapshot(), "format {format}");
        bench.write("/data/new", "written by a later program");
        assert_eq!(bench.read("/data/new", None).as_deref(), Ok("written by a later program"));
    }
}
