//! The eight classes, each with its control: the true file passes, and what only a checkpoint can find passes
//! without one.

use crate::tamper::{Bench, CLASSES, Class, SEED, begin, grow, line};
use audit::{Options, Report, verify};
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::{fs, path::Path};

const RECORDS: u64 = 60;

fn bench() -> (tempfile::TempDir, Bench) {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path(), RECORDS).unwrap();
    (dir, bench)
}

fn key() -> String {
    audit::to_hex(Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap().public_key().as_ref())
}

fn whats(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.what.as_str()).collect()
}

#[test]
fn the_true_file_holds() {
    let (_dir, bench) = bench();
    bench.restore().unwrap();
    let before = fs::read(&bench.file).unwrap();
    for checkpoint in [None, Some(bench.checkpoint.as_path())] {
        let report = bench.verify(checkpoint);
        assert_eq!(whats(&report), [] as [&str; 0]);
        assert_eq!((report.records, report.head.0, report.versions), (RECORDS, RECORDS, RECORDS - 1));
        assert_eq!(report.workspace, Some([1; 16]));
    }
    assert_eq!(fs::read(&bench.file).unwrap(), before);
    assert_eq!(fs::read_dir(bench.file.parent().unwrap()).unwrap().count(), 4, "nothing is made beside it");
}

#[test]
fn every_class_is_found_at_every_record() {
    let (_dir, bench) = bench();
    for class in CLASSES {
        for at in 1..RECORDS {
            bench.tamper(class, at).unwrap();
            let report = bench.verify(Some(&bench.checkpoint));
            assert!(!report.holds(), "{class:?} at {at}");
            assert!(report.findings.iter().all(|one| !one.hint.is_empty() && !one.what.is_empty()));
        }
    }
}

/// The controls: these are as good as true without a checkpoint from elsewhere.
#[test]
fn only_a_checkpoint_finds_what_is_chained_well() {
    let (_dir, bench) = bench();
    for (class, at) in [(Class::Rehash, 7), (Class::RollBack, 7), (Class::Truncate, 7)] {
        bench.tamper(class, at).unwrap();
        assert_eq!(whats(&bench.verify(None)), [] as [&str; 0], "{class:?}");
        let report = bench.verify(Some(&bench.checkpoint));
        let seqs: Vec<Option<u64>> = report.findings.iter().map(|one| one.seq).collect();
        assert_eq!(seqs, [Some(RECORDS)], "{class:?}: {report}");
    }
}

#[test]
fn what_is_found_names_the_record() {
    let (_dir, bench) = bench();
    let rows = [
        (Class::Flip, Some(6), "its bytes are not those that its hash was made of"),
        (
            Class::Insert,
            Some(8),
            "it does not follow the record before it: its hash was made over another one",
        ),
        (Class::Delete, Some(7), "record 6 is missing before it"),
        (
            Class::Reorder,
            Some(6),
            "it does not follow the record before it: its hash was made over another one",
        ),
        (Class::Truncate, None, "version 7 stands in no record"),
        (Class::Swap, Some(6), "it does not follow the record before it: its hash was made over another one"),
    ];
    for (class, seq, what) in rows {
        bench.tamper(class, 6).unwrap();
        let report = bench.verify(None);
        let told = report.findings.iter().any(|one| one.seq == seq && one.what == what);
        assert!(told, "{class:?}: {report}");
    }
}

/// While it is open elsewhere, after a crash, as a copy without its index: one answer, and no byte changed.
#[test]
fn a_live_workspace_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let home = dir.path().join("live");
    let options = Options { scratch: scratch.path().to_path_buf(), ..Options::default() };
    let mut workspace = begin(&home).unwrap();
    for to in [1, 2, 30] {
        grow(&mut workspace, 1, to).unwrap();
        let report = verify(&home, &options);
        assert_eq!((whats(&report), report.head.0), (vec![], to));
    }
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["workspace.db", "workspace.db-wal"] {
        fs::copy(home.join(name), copy.join(name)).unwrap();
    }
    drop(workspace);
    for place in [&home, &copy] {
        let before = bytes(place);
        let report = verify(place, &options);
        assert_eq!((whats(&report), report.head.0), (vec![], 30));
        assert_eq!(bytes(place), before);
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the private copy has gone");
}

fn bytes(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> = entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn checkpoints_are_believed_only_as_they_were_signed() {
    let (dir, bench) = bench();
    bench.restore().unwrap();
    let true_line = fs::read_to_string(&bench.checkpoint).unwrap();
    let foreign = line([9; 16], RECORDS, &abi::Hash::of(b"x")).unwrap();
    let later = line([1; 16], RECORDS + 1, &abi::Hash::of(b"x")).unwrap();
    let rows: [(String, Option<String>, &[&str]); 11] = [
        (true_line.clone(), Some(key()), &[]),
        (true_line.clone(), Some(key().to_uppercase()), &[]),
        (true_line.clone() + &true_line[..40], Some(key()), &[]),
        (true_line.clone(), Some("00".repeat(32)), &["line 1 of the checkpoints is signed with another key"]),
        (true_line.clone(), Some("00".into()), &["the key that was named is none"]),
        (
            true_line.replace("\"at\":5", "\"at\":6"),
            None,
            &["line 1 of the checkpoints is not signed with its key"],
        ),
        (true_line.clone() + "nonsense\n" + &true_line, None, &["line 2 of the checkpoints is none"]),
        (String::new(), None, &["there is no checkpoint in the file of checkpoints"]),
        (
            foreign.clone() + &foreign,
            None,
            &["line 1 of the checkpoints is of workspace 09090909090909090909090909090909, not of this"],
        ),
        (
            true_line.clone() + &later,
            None,
            &["the log ends at record 60, and a checkpoint signs record 61: 61 on are gone"],
        ),
        ("[".repeat(3000) + "\n", None, &["line 1 of the checkpoints is none"]),
    ];
    for (text, key, wanted) in rows {
        let file = dir.path().join("some.jsonl");
        fs::write(&file, &text).unwrap();
        let options = Options { checkpoint: Some(file), key, ..Options::default() };
        assert_eq!(whats(&verify(&bench.file, &options)), wanted, "{text}");
    }
    let lone = Options { key: Some(key()), ..Options::default() };
    assert_eq!(whats(&verify(&bench.file, &lone)), ["a key alone proves nothing"]);
}

#[test]
fn a_report_reads_the_same_for_people_and_for_programs() {
    let (_dir, bench) = bench();
    bench.tamper(Class::Flip, 6).unwrap();
    let report = bench.verify(Some(&bench.checkpoint));
    let (text, json) = (report.to_string(), report.to_json());
    assert!(text.ends_with("verdict      it does not hold\n"), "{text}");
    assert_eq!((json["holds"].as_bool(), json["findings"][0]["seq"].as_u64()), (Some(false), Some(6)));
    assert_eq!(json["checkpoints"]["newest"].as_u64(), Some(RECORDS));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any two of them, one after the other, are found as well.
    #[test]
    fn tampering_twice_is_found(first in 0..7_usize, second in 1..RECORDS) {
        let (_dir, bench) = bench();
        bench.tamper(CLASSES[first], second).unwrap();
        let db = rusqlite::Connection::open(&bench.file).unwrap();
        db.execute("UPDATE records SET hash = zeroblob(32) WHERE seq = ?", [second.cast_signed()]).unwrap();
        drop(db);
        prop_assert!(!bench.verify(Some(&bench.checkpoint)).holds());
    }
}
