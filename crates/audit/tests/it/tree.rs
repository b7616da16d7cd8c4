//! What follows from the log, changed behind its back: every table, each with the true file as control.

use crate::tamper::{Bench, begin, grow};
use abi::{
    Content, Hash, Pid,
    event::Stop,
    money::{Amounts, Nano, Usage},
    record::{Bill, Entry, Record},
};
use audit::{Options, verify};
use rusqlite::Connection;
use std::fs;
use store::Workspace;

#[test]
fn rows_that_do_not_follow_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path(), 40).unwrap();
    let rows = [
        ("UPDATE records SET pid = pid WHERE seq = 3", None),
        ("UPDATE versions SET actor = 'operator:eve' WHERE id = 9", Some("another actor")),
        ("UPDATE versions SET path = '/z.md' WHERE id = 9", Some("another path")),
        ("UPDATE versions SET label = 7 WHERE id = 9", Some("another label")),
        ("UPDATE versions SET hash = zeroblob(32) WHERE id = 9", Some("another hash")),
        ("UPDATE versions SET parents = x'00' WHERE id = 9", Some("another parents")),
        ("UPDATE versions SET message = NULL WHERE id = 9", Some("another message")),
        ("DELETE FROM versions WHERE id = 9", Some("version 9, which it made, is missing")),
        (
            "INSERT INTO versions SELECT 900, file, node, hash, bytes, mode, mtime, label, actor, pid, op, seq,
             diverged, path, message, message_bytes, parents FROM versions WHERE id = 9",
            Some("version 900 stands in no record"),
        ),
        ("UPDATE heads SET version = 4 WHERE file = 3", Some("the head of file 3")),
        ("DELETE FROM heads WHERE file = 3", Some("the head of file 3 is missing")),
        ("INSERT INTO heads VALUES(77, 4)", Some("the head of file 77")),
        ("UPDATE entries SET name = 'z' WHERE id = 4", Some("entry 4")),
        ("UPDATE entries SET to_seq = NULL WHERE id = 1", Some("entry 1")),
        ("DELETE FROM entries WHERE id = 4", Some("is missing")),
        ("INSERT INTO entries VALUES(99, 1, 'z', 3, 2, NULL)", Some("entry 99")),
        ("DELETE FROM conflicts", Some("the conflict of version 21 is missing")),
        ("INSERT INTO conflicts VALUES(9, 3)", Some("the conflict of version 9 does not follow")),
        ("UPDATE conflicts SET file = 3", Some("the conflict of version 21 does not follow")),
        ("UPDATE blobs SET bytes = x'00' WHERE id = 3", Some("are not those of its name")),
        ("DELETE FROM blobs WHERE id = 1", Some("are not kept")),
        ("DELETE FROM records", Some("the log is empty")),
        ("DROP TABLE heads", Some("the table heads cannot be read")),
        ("DROP TABLE heads; CREATE VIEW heads AS SELECT 1 AS file, 2 AS version", Some("the view heads")),
        ("CREATE TRIGGER t AFTER INSERT ON heads BEGIN SELECT 1; END", Some("the trigger t")),
        (
            "PRAGMA writable_schema = 1; DELETE FROM sqlite_schema WHERE name = 'entries_live'",
            Some("is damaged"),
        ),
        ("PRAGMA user_version = 99", Some("it has format 99")),
        ("PRAGMA application_id = 99", Some("it is not a workspace's")),
        ("INSERT INTO snapshots VALUES(3, zeroblob(32), x'00')", Some("the snapshot after it is not whole")),
    ];
    for (sql, wanted) in rows {
        bench.edit(sql).unwrap();
        let report = bench.verify(None);
        match (wanted, report.findings.first()) {
            (None, None) => {}
            (Some(wanted), Some(found)) => assert!(found.what.contains(wanted), "{sql}: {report}"),
            _ => panic!("{sql}: {report}"),
        }
    }
}

/// A content in two chunk files, as the store lays it out.
#[test]
fn chunk_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path(), 8).unwrap();
    let (first, second) = (vec![1_u8; 1024 * 1024], vec![2_u8; 10]);
    let names = [&first, &second].map(|bytes| abi::Hash::of(bytes));
    let whole = abi::Hash::of(&[first.clone(), second.clone()].concat());
    let file = |ix: usize| {
        let name = names[ix].to_string();
        dir.path().join("blobs").join(&name[..2]).join(&name)
    };
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS large(hash BLOB PRIMARY KEY, bytes INTEGER, chunks BLOB) STRICT;
         INSERT INTO large(hash, bytes, chunks) VALUES(x'{whole}', 1048586, x'{}{}')",
        names[0], names[1]
    );
    let put = |ix: usize, bytes: &[u8]| {
        fs::create_dir_all(file(ix).parent().unwrap()).unwrap();
        fs::write(file(ix), bytes).unwrap();
    };
    bench.edit(&sql).unwrap();
    assert!(!bench.verify(None).holds(), "no chunk is there");
    put(0, &first);
    put(1, &second);
    let report = bench.verify(None);
    assert_eq!((report.holds(), report.large), (true, 1), "{report}");
    put(1, &[2; 11]);
    assert!(bench.verify(None).to_string().contains("are not those of its name"));
    put(1, &second);
    bench.edit(&sql.replace("1048586", "1048587")).unwrap();
    assert!(bench.verify(None).to_string().contains("its chunks together are not it"));
    fs::remove_file(file(1)).unwrap();
    fs::create_dir(file(1)).unwrap();
    assert!(bench.verify(None).to_string().contains("it is not a file"));
}

#[test]
fn what_was_destroyed_on_purpose_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path(), 8).unwrap();
    // Record 4 makes a file at a scratch path; record 3 removes one.
    let gone = |seq: u64| {
        format!(
            "INSERT INTO gone(hash, seq) SELECT hash, {seq} FROM blobs WHERE id = 1;
             DELETE FROM blobs WHERE id = 1"
        )
    };
    bench.edit(&gone(4)).unwrap();
    let report = bench.verify(None);
    assert_eq!((report.holds(), report.gone), (true, 1), "{report}");
    for seq in [3, 9] {
        bench.edit(&gone(seq)).unwrap();
        let report = bench.verify(None);
        assert!(report.to_string().contains("names a record that destroyed nothing"), "{report}");
    }
}

/// Calls of two models by two agents: answered, failed and lost; money and tokens of each kind.
fn settled(workspace: &mut Workspace) {
    let bill =
        |agent: &str, model: &str| Bill { agent: agent.into(), model: model.into(), ..Bill::default() };
    let charged = Amounts {
        tokens_in: 7,
        tokens_out: 300,
        tokens_cached: 5,
        money: Nano(-1_000),
        calls: 1,
        effects: 0,
        tokens_written: 2,
    };
    let effect = Hash([9; 32]);
    let answered = |bill: Bill| Entry::ModelAnswered {
        effect,
        answer: Content::default(),
        tools: 0,
        stop: Stop::End,
        usage: Usage::default(),
        charged,
        disbelieved: false,
        body: Vec::new(),
        bill,
    };
    let failed = Entry::ModelFailed {
        effect,
        message: Content::default(),
        again: true,
        charged: Amounts { money: Nano(4), ..charged },
        bill: bill("triage", "small"),
    };
    let lost = Entry::ModelLost { effect, charged, bill: bill("triage", "large") };
    let bodies = [
        answered(bill("triage", "small")),
        answered(bill("triage", "small")),
        failed,
        lost,
        answered(bill("clerk", "small")),
    ];
    for body in bodies {
        let seq = workspace.head().0.next();
        let at = 1_790_000_000_000_000 + seq.0;
        let record = Record { seq, at, actor: "agent:triage".into(), pid: Pid(1), cause: seq, body };
        let mut batch = workspace.begin().unwrap();
        batch.append(&record).unwrap();
        batch.commit().unwrap();
    }
}

#[test]
fn what_calls_cost_follows_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut workspace = begin(dir.path()).unwrap();
    grow(&mut workspace, 1, 6).unwrap();
    settled(&mut workspace);
    drop(workspace);
    let file = dir.path().join("workspace.db");
    let scratch = tempfile::tempdir().unwrap();
    let whole = {
        let db = Connection::open(&file).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(db);
        fs::read(&file).unwrap()
    };
    let rows = [
        ("UPDATE costs SET money = money", None),
        ("UPDATE costs SET money = money + 1 WHERE agent = 'clerk'", Some("does not follow from the log")),
        ("UPDATE costs SET lost = 0", Some("does not follow from the log")),
        ("UPDATE costs SET agent = 'eve' WHERE agent = 'clerk'", Some("does not follow from the log")),
        ("DELETE FROM costs WHERE model = 'large'", Some("\"triage\" spent on \"large\"")),
        (
            "INSERT INTO costs VALUES(99, 1, 'eve', 'x', 1, 0, 0, 0, 0, 0, 0, 0)",
            Some("row 99 of what calls cost does not follow"),
        ),
        ("DROP TABLE costs", Some("it has no table costs")),
    ];
    for (sql, wanted) in rows {
        fs::write(&file, &whole).unwrap();
        for left in ["workspace.db-wal", "workspace.db-shm"] {
            let _ = fs::remove_file(dir.path().join(left));
        }
        let db = Connection::open(&file).unwrap();
        db.execute_batch(sql).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(db);
        let options = Options { scratch: scratch.path().to_owned(), ..Options::default() };
        let report = verify(&file, &options);
        match (wanted, report.findings.first()) {
            (None, None) => {}
            (Some(wanted), Some(found)) => assert!(found.what.contains(wanted), "{sql}: {report}"),
            _ => panic!("{sql}: {report}"),
        }
    }
}
