//! The log: what was committed is there again, what was not is not, and what was changed is found.

use crate::story::{QUICK, Story, other};
use abi::{Content, Hash, Pid, Seq, record::Record};
use proptest::prelude::*;
use rusqlite::Connection;
use std::{collections::BTreeSet, fs, path::Path};
use store::{Options, Trouble, Workspace};
use tempfile::TempDir;

fn all(workspace: &Workspace, after: u64) -> Result<Vec<Record>, Trouble> {
    let mut all = Vec::new();
    let count = workspace.replay(Seq(after), &mut |record| all.push(record))?;
    assert_eq!(count, all.len() as u64);
    Ok(all)
}

fn fill(workspace: &mut Workspace, records: impl IntoIterator<Item = Record>) {
    let mut batch = workspace.begin().unwrap();
    records.into_iter().for_each(|record| batch.append(&record).unwrap());
    batch.commit().unwrap();
}

fn damage(dir: &Path, sql: &str) {
    assert_ne!(Connection::open(dir.join("workspace.db")).unwrap().execute(sql, []).unwrap(), 0, "{sql}");
}

#[test]
fn a_record_is_hashed_with_the_one_before_it() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    assert_eq!(workspace.head(), (Seq(0), Hash::default()));
    let records = [other(1, 0), other(2, 7)];
    let mut prev = Hash::default();
    let mut chained = Vec::new();
    for record in records {
        prev = Hash::of_fields("skep-record", &[&prev.0, &musli::wire::to_vec(&record).unwrap()]);
        fill(&mut workspace, [record.clone()]);
        chained.push((record, prev));
    }
    assert_eq!(workspace.head(), (Seq(2), prev));
    assert_eq!(workspace.records(Seq(0), 10, None).unwrap(), chained);
}

#[test]
fn records_are_found_by_place_and_process() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    fill(&mut workspace, (1..=9).map(|seq| other(seq, seq % 3)));
    type Row<'a> = (u64, u32, Option<&'a [u64]>, &'a [u64]);
    let rows: &[Row<'_>] = &[
        (0, 99, None, &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (0, 2, None, &[1, 2]),
        (7, 9, None, &[8, 9]),
        (9, 9, None, &[]),
        (u64::MAX, u32::MAX, None, &[]),
        (0, 99, Some(&[1]), &[1, 4, 7]),
        (1, 3, Some(&[0, 1]), &[3, 4, 6]),
        (0, 99, Some(&[]), &[]),
        (0, 99, Some(&[u64::MAX]), &[]),
        (0, 0, Some(&[1]), &[]),
    ];
    for (from, limit, pids, want) in rows {
        let pids: Option<BTreeSet<Pid>> = pids.map(|pids| pids.iter().map(|pid| Pid(*pid)).collect());
        let got = workspace.records(Seq(*from), *limit, pids.as_ref()).unwrap();
        let got: Vec<u64> = got.iter().map(|(record, _)| record.seq.0).collect();
        assert_eq!(got, *want, "{from} {limit} {pids:?}");
    }
}

#[test]
fn a_dropped_batch_leaves_nothing() {
    let mut story = Story::of("1 file /x one");
    let head = story.workspace.head();
    let mut batch = story.workspace.begin().unwrap();
    let content = batch.put_blob(b"lost").unwrap();
    batch.append(&other(2, 1)).unwrap();
    assert_eq!(batch.blob(&content.hash).unwrap(), Some(b"lost".to_vec()));
    drop(batch);
    assert_eq!(story.workspace.head(), head);
    drop(story.workspace);
    let mut workspace = Workspace::open(story.dir.path(), &QUICK).unwrap();
    assert_eq!(workspace.head(), head);
    assert_eq!(workspace.blob(&content.hash).unwrap(), None);
    fill(&mut workspace, [other(2, 1)]);
    assert_eq!(all(&workspace, 1).unwrap(), [other(2, 1)]);
}

#[test]
fn a_batch_that_failed_cannot_be_committed() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    let mut batch = workspace.begin().unwrap();
    batch.append(&other(1, 0)).unwrap();
    let trouble = batch.append(&other(3, 0)).unwrap_err();
    let what = "record 3 does not follow record 1".to_owned();
    assert_eq!(trouble, Trouble::Corrupt { file: dir.path().join("workspace.db"), what });
    assert_eq!(batch.commit(), Err(trouble));
    assert_eq!(workspace.head(), (Seq(0), Hash::default()));
    assert_eq!(all(&workspace, 0).unwrap(), []);
}

#[test]
fn a_blob_that_is_too_large_spoils_nothing() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    let mut batch = workspace.begin().unwrap();
    let largest = vec![7; 1024 * 1024];
    assert_eq!(batch.put_blob(&largest), Ok(Content::of(&largest)));
    assert_eq!(
        batch.put_blob(&[largest, vec![7]].concat()),
        Err(Trouble::TooLarge { bytes: 1024 * 1024 + 1 })
    );
    batch.commit().unwrap();
}

#[test]
fn a_change_of_any_column_of_the_log_is_found() {
    let rows = [
        "UPDATE records SET body = zeroblob(length(body)) WHERE seq = 2",
        "UPDATE records SET body = substr(body, 1, length(body) - 1) WHERE seq = 2",
        "UPDATE records SET hash = zeroblob(32) WHERE seq = 2",
        "UPDATE records SET hash = x'00' WHERE seq = 2",
        "UPDATE records SET prev = zeroblob(32) WHERE seq = 2",
        "UPDATE records SET pid = pid + 1 WHERE seq = 2",
        "UPDATE records SET seq = 9 WHERE seq = 3",
        "DELETE FROM records WHERE seq = 2",
        "DELETE FROM records WHERE seq = 1",
    ];
    for sql in rows {
        let dir = TempDir::new().unwrap();
        let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
        fill(&mut workspace, (1..=3).map(|seq| other(seq, 5)));
        damage(dir.path(), sql);
        assert!(matches!(all(&workspace, 0), Err(Trouble::Corrupt { .. })), "{sql}");
    }
}

#[test]
fn every_bit_of_a_body_counts() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    fill(&mut workspace, [other(1, 5)]);
    let file = Connection::open(dir.path().join("workspace.db")).unwrap();
    let body: Vec<u8> = file.query_row("SELECT body FROM records", [], |row| row.get(0)).unwrap();
    for bit in 0..body.len() * 8 {
        let mut bad = body.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        file.execute("UPDATE records SET body = ?", [bad]).unwrap();
        assert!(matches!(all(&workspace, 0), Err(Trouble::Corrupt { .. })), "bit {bit}");
    }
}

#[test]
fn a_blob_that_changed_is_not_handed_on() {
    let mut story = Story::of("1 file /x one");
    damage(story.dir.path(), "UPDATE blobs SET bytes = x'00'");
    let got = story.workspace.begin().unwrap().blob(&Hash::of(b"one"));
    assert!(matches!(got, Err(Trouble::Corrupt { .. })), "{got:?}");
}

#[test]
fn two_snapshots_are_kept_and_a_bad_one_is_passed_over() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    assert_eq!(workspace.snapshot(), Ok(None));
    fill(&mut workspace, (1..=3).map(|seq| other(seq, 0)));
    for seq in 1..=3 {
        workspace.save_snapshot(Seq(seq), &[seq as u8; 9]).unwrap();
        assert_eq!(workspace.snapshot(), Ok(Some((Seq(seq), vec![seq as u8; 9]))));
    }
    damage(dir.path(), "UPDATE snapshots SET bytes = x'00' WHERE seq = 3");
    assert_eq!(workspace.snapshot(), Ok(Some((Seq(2), vec![2; 9]))));
    damage(dir.path(), "UPDATE snapshots SET hash = zeroblob(32) WHERE seq = 2");
    assert_eq!(workspace.snapshot(), Ok(None));
    // A later state than the log's end is not a state of this log.
    workspace.save_snapshot(Seq(4), b"later").unwrap();
    assert_eq!(workspace.snapshot(), Ok(None));
}

#[test]
fn what_is_not_ours_is_refused_and_left_as_it_is() {
    type Row = (&'static str, fn(&Path) -> Trouble);
    let rows: [Row; 4] = [
        ("PRAGMA user_version=4", |file| Trouble::Newer { file: file.into(), found: 4, known: 3 }),
        ("PRAGMA user_version=0", |file| Trouble::Corrupt {
            file: file.into(),
            what: "there is no format 0".into(),
        }),
        ("PRAGMA user_version=-5", |file| Trouble::Corrupt {
            file: file.into(),
            what: "there is no format -5".into(),
        }),
        ("PRAGMA application_id=5", |file| Trouble::Corrupt {
            file: file.into(),
            what: "it was not made by this program".into(),
        }),
    ];
    for (sql, want) in rows {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("workspace.db");
        drop(Workspace::create(dir.path(), &QUICK).unwrap());
        let made = Connection::open(&file).unwrap();
        made.execute_batch(&format!("PRAGMA journal_mode=DELETE; {sql}")).unwrap();
        drop(made);
        let before = fs::read(&file).unwrap();
        assert_eq!(Workspace::open(dir.path(), &QUICK).err(), Some(want(&file)), "{sql}");
        assert_eq!(fs::read(&file).unwrap(), before, "{sql}");
    }
}

#[test]
fn there_and_not_there() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("workspace.db");
    assert_eq!(Workspace::open(dir.path(), &QUICK).err(), Some(Trouble::Missing { file: file.clone() }));
    // A crash while it was made leaves this; it is made anew.
    fs::write(dir.path().join("workspace.db.new"), b"half").unwrap();
    drop(Workspace::create(dir.path(), &QUICK).unwrap());
    assert_eq!(Workspace::create(dir.path(), &QUICK).err(), Some(Trouble::Exists { file: file.clone() }));
    fs::remove_file(&file).unwrap();
    fs::write(dir.path().join("workspace.db-wal"), b"").unwrap();
    let log = dir.path().join("workspace.db-wal");
    assert_eq!(Workspace::create(dir.path(), &QUICK).err(), Some(Trouble::Exists { file: log }));
}

#[test]
fn one_writes_at_a_time() {
    let dir = TempDir::new().unwrap();
    let mut one = Workspace::create(dir.path(), &QUICK).unwrap();
    let mut two = Workspace::open(dir.path(), &QUICK).unwrap();
    let batch = one.begin().unwrap();
    let file = dir.path().join("workspace.db");
    assert_eq!(two.begin().err(), Some(Trouble::Locked { file }));
    drop(batch);
    assert!(two.begin().is_ok());
}

#[test]
fn a_full_disk_takes_nothing_that_was_there() {
    let dir = TempDir::new().unwrap();
    drop(Workspace::create(dir.path(), &QUICK).unwrap());
    let tight = Options { pages_max: Some(64), ..QUICK };
    let mut workspace = Workspace::open(dir.path(), &tight).unwrap();
    let mut kept = 0;
    let trouble = loop {
        let mut batch = workspace.begin().unwrap();
        let wrote = batch.append(&other(kept + 1, 0)).and_then(|()| batch.put_blob(&[kept as u8; 9000]));
        match wrote.and_then(|_| batch.commit()) {
            Ok(()) => kept += 1,
            Err(trouble) => break trouble,
        }
    };
    assert_eq!(trouble, Trouble::Full { file: dir.path().join("workspace.db") });
    assert!(kept > 3, "{kept}");
    let want: Vec<Record> = (1..=kept).map(|seq| other(seq, 0)).collect();
    assert_eq!((workspace.head().0, all(&workspace, 0).unwrap()), (Seq(kept), want.clone()));
    drop(workspace);
    let mut workspace = Workspace::open(dir.path(), &QUICK).unwrap();
    assert_eq!(all(&workspace, 0).unwrap(), want);
    assert_eq!(workspace.blob(&Hash::of(&[0; 9000])).unwrap(), Some(vec![0; 9000]));
    fill(&mut workspace, [other(kept + 1, 0)]);
}

#[test]
fn every_trouble_says_what_to_do() {
    let file = Path::new("/w/workspace.db").to_path_buf();
    let what = "x".to_owned();
    let rows = [
        Trouble::Missing { file: file.clone() },
        Trouble::Exists { file: file.clone() },
        Trouble::Corrupt { file: file.clone(), what: what.clone() },
        Trouble::Newer { file: file.clone(), found: 2, known: 1 },
        Trouble::Full { file: file.clone() },
        Trouble::ReadOnly { file: file.clone() },
        Trouble::Locked { file: file.clone() },
        Trouble::Io { file, what },
        Trouble::TooLarge { bytes: 70_000 },
    ];
    let said: String = rows.iter().map(|row| format!("{row}\n  {}\n", row.hint())).collect();
    expect_test::expect![[r#"
        /w/workspace.db is not there
          create it, or check the name and where the state directory is
        /w/workspace.db is there already
          take another name, or open what is there
        /w/workspace.db is damaged: x
          set the file aside and restore a backup; what was read is not trusted
        /w/workspace.db has format 2, this program knows 1
          run the newer program that wrote it; it was left as it is
        there is no room to write /w/workspace.db
          make room on the disk, then try again; nothing written before is lost
        /w/workspace.db cannot be written
          make the file and its directory writable for this user
        /w/workspace.db is open in another process
          stop the other process that has it open
        /w/workspace.db could not be read or written: x
          check the disk and the system's log
        70000 bytes are more than is kept as one
          one value is at most 1 MiB; upload more: skep write PATH --file FILE
    "#]]
    .assert_eq(&said);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn the_log_is_what_was_committed(
        batches in prop::collection::vec((1..5_u64, any::<bool>(), any::<bool>()), 1..12),
    ) {
        let dir = TempDir::new().unwrap();
        let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
        let mut kept = 0;
        for (count, commits, reopens) in batches {
            let mut batch = workspace.begin().unwrap();
            for seq in kept + 1..=kept + count {
                batch.append(&other(seq, count)).unwrap();
            }
            if commits {
                batch.commit().unwrap();
                kept += count;
            } else {
                drop(batch);
            }
            if reopens {
                drop(workspace);
                workspace = Workspace::open(dir.path(), &QUICK).unwrap();
            }
            prop_assert_eq!(workspace.head().0, Seq(kept));
            let seqs: Vec<Seq> = all(&workspace, 0).unwrap().iter().map(|record| record.seq).collect();
            prop_assert_eq!(seqs, (1..=kept).map(Seq).collect::<Vec<_>>());
        }
    }
}
