//! Sealed segments: the log is one whatever file a record lies in; a segment that is lost or changed is told
//! to who asks for it, and to nobody else.

use crate::story::{QUICK, Story, other, record};
use abi::{
    LabelId, Pid, Seq,
    call::{At, Subject},
    record::{Entry, Record},
};
use std::{collections::BTreeSet, fs, path::PathBuf};
use store::{Options, Trouble, Workspace, backup};
use tempfile::TempDir;

/// Records in a segment.
const EACH: u64 = 20;
const SMALL: Options = Options { segment: Some(EACH), ..QUICK };

/// A workspace of so many records; three processes took turns.
fn long(records: u64) -> Story {
    let mut story = Story::new();
    story.workspace = Workspace::open(story.dir.path(), &SMALL).unwrap();
    story.append(&other(1, 0));
    for seq in 2..=records {
        match seq % 3 {
            0 => story.line(&format!("1 file /f{} text{seq}", seq % 7)),
            1 => {
                let (path, joined) = (crate::story::path("/f0"), LabelId(1));
                let saw = Entry::Saw { path, version: None, label: LabelId(1), joined };
                story.append(&record(seq, 2, saw));
            }
            _ => story.append(&other(seq, 3)),
        }
    }
    story
}

fn all(workspace: &Workspace) -> Vec<Record> {
    let mut all = Vec::new();
    workspace.replay(Seq(0), &mut |record| all.push(record)).unwrap();
    all
}

/// Everything the log can be asked, as text.
fn answers(workspace: &mut Workspace) -> Vec<String> {
    let mut told = vec![format!("{:?}", workspace.head()), format!("{:?}", all(workspace))];
    let pids = [Some(BTreeSet::from([Pid(2)])), Some(BTreeSet::from([Pid(1), Pid(3)])), None];
    for from in [0, 1, 19, 20, 21, 39, 40, 63, 99, 100] {
        for limit in [1, 7, 45] {
            for pids in &pids {
                told.push(format!("{:?}", workspace.records(Seq(from), limit, pids.as_ref())));
            }
        }
        told.push(format!("{:?}", workspace.replay(Seq(from), &mut |_| {})));
    }
    let mut batch = workspace.begin().unwrap();
    for time in [0, 1_001, 1_020, 1_021, 1_050, 2_000] {
        let path = crate::story::path("/f0");
        let at = Some(At::Time(time));
        told.push(format!("{:?}", batch.answer(&abi::fact::Lookup::Path { path, at })));
    }
    for subject in [Subject::Label(LabelId(1)), Subject::Version(abi::VersionId(3))] {
        let found = batch.why(subject).unwrap().unwrap();
        told.push(format!("{:?}", found.records));
    }
    told
}

/// Seals all that may be, after two snapshots.
fn seal(workspace: &mut Workspace) -> u64 {
    let last = workspace.head().0;
    workspace.save_snapshot(Seq(last.0 - 1), b"one").unwrap();
    workspace.save_snapshot(last, b"two").unwrap();
    let mut made = 0;
    while workspace.seal().unwrap() {
        made += 1;
    }
    made
}

#[test]
fn the_log_is_the_same_across_files() {
    let mut story = long(100);
    let before = answers(&mut story.workspace);
    assert_eq!(seal(&mut story.workspace), 4);
    let after = answers(&mut story.workspace);
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after, before);
    }
    drop(story.workspace);
    let mut again = Workspace::open(story.dir.path(), &SMALL).unwrap();
    assert!(answers(&mut again) == before, "after opening it again");
    let mut names: Vec<_> =
        fs::read_dir(story.dir.path().join("log")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names[0], "000000000001-000000000020.db");
    assert_eq!(names.len(), 4);
    // It goes on after the joint.
    let mut batch = again.begin().unwrap();
    batch.append(&other(101, 1)).unwrap();
    batch.commit().unwrap();
    assert_eq!(all(&again).len(), 101);
}

#[test]
fn nothing_is_sealed_before_a_snapshot_lies_behind_it() {
    let mut story = long(100);
    assert_eq!(story.workspace.seal(), Ok(false));
    story.workspace.save_snapshot(Seq(20), b"early").unwrap();
    assert_eq!(story.workspace.seal(), Ok(false));
    story.workspace.save_snapshot(Seq(90), b"late").unwrap();
    // The older of the two may be needed yet.
    assert_eq!(story.workspace.seal(), Ok(false));
    story.workspace.save_snapshot(Seq(91), b"later").unwrap();
    assert_eq!((story.workspace.seal(), story.workspace.segments()), (Ok(true), Ok(1)));
    // Short logs stay whole.
    assert_eq!(seal(&mut long(39).workspace), 0);
}

/// What can happen to a segment's file.
type Harm = (&'static str, fn(&mut Vec<u8>));

const HARMS: [Harm; 6] = [
    ("empty", Vec::clear),
    ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
    ("no database", |bytes| *bytes = b"hello".repeat(1000)),
    ("a page of zeros", |bytes| bytes[4096..8192].fill(0)),
    ("a byte of each record", |bytes| flip(bytes)),
    ("another version of SQLite's header", |bytes| bytes[19] = 9),
];

/// A byte of every record.
fn flip(bytes: &mut [u8]) {
    let named = |at: &usize| bytes[*at..].starts_with(b"agent:");
    let places: Vec<usize> = (0..bytes.len()).filter(named).collect();
    places.into_iter().for_each(|at| bytes[at] ^= 1);
}

fn second(story: &Story) -> PathBuf {
    story.dir.path().join("log/000000000021-000000000040.db")
}

#[test]
fn a_lost_segment_is_the_trouble_of_who_asks_for_it() {
    for harm in 0..=HARMS.len() {
        let mut story = long(100);
        seal(&mut story.workspace);
        let file = second(&story);
        let name = HARMS.get(harm).map_or("missing", |(name, _)| name);
        match HARMS.get(harm) {
            None => fs::remove_file(&file).unwrap(),
            Some((_, harm)) => {
                let mut bytes = fs::read(&file).unwrap();
                harm(&mut bytes);
                fs::write(&file, bytes).unwrap();
            }
        }
        drop(story.workspace);
        story.workspace = Workspace::open(story.dir.path(), &SMALL).unwrap();
        let told = |trouble: Result<u64, Trouble>| match trouble {
            Err(Trouble::Segment { file: of, .. }) => assert_eq!(of, file, "{name}"),
            other => panic!("{name}: {other:?}"),
        };
        told(story.workspace.replay(Seq(0), &mut |_| {}));
        told(story.workspace.replay(Seq(30), &mut |_| {}));
        told(story.workspace.records(Seq(25), 15, None).map(|rows| rows.len() as u64));
        // What lies elsewhere is served, and the workspace goes on.
        assert_eq!(story.workspace.replay(Seq(99), &mut |_| {}), Ok(1), "{name}");
        assert_eq!(story.workspace.records(Seq(3), 9, None).unwrap().len(), 9, "{name}");
        assert_eq!(story.workspace.records(Seq(90), 100, None).unwrap().len(), 10, "{name}");
        story.line("1 file /new text");
        assert!(story.tree().contains(&"/new file text".to_owned()), "{name}");
        // A batch that asked for it goes on too.
        let mut batch = story.workspace.begin().unwrap();
        assert!(batch.records(Seq(25), 10, None).is_err(), "{name}");
        batch.append(&other(102, 1)).unwrap();
        batch.commit().unwrap();
        let looked = store::inspect(story.dir.path(), u64::MAX);
        assert!(
            matches!(looked, Err(Trouble::Segment { .. })) || harm == 3 || harm == 4,
            "{name}: {looked:?}"
        );
    }
}

/// Whatever the end of the daemon leaves on the way, the next sealing makes it whole.
#[test]
fn what_a_crash_leaves_is_harmless() {
    let want = answers(&mut long(100).workspace);
    let whole = {
        let mut story = long(100);
        seal(&mut story.workspace);
        fs::read(second(&story)).unwrap()
    };
    type Leave = fn(&std::path::Path, &[u8]);
    let rows: [(&str, Leave); 4] = [
        ("an empty directory", |_, _| {}),
        ("a part under the other name", |log, whole| fs::write(log.join(".new.db"), &whole[..5000]).unwrap()),
        ("a journal of it", |log, whole| {
            fs::write(log.join(".new.db"), whole).unwrap();
            fs::write(log.join(".new.db-journal"), &whole[..512]).unwrap();
        }),
        ("a file that no row names", |log, _| {
            fs::write(log.join("000000000001-000000000020.db"), b"of nobody").unwrap();
        }),
    ];
    for (name, leave) in rows {
        let mut story = long(100);
        let log = story.dir.path().join("log");
        fs::create_dir(&log).unwrap();
        leave(&log, &whole);
        assert_eq!(seal(&mut story.workspace), 4, "{name}");
        assert!(answers(&mut story.workspace) == want, "{name}");
        assert!(!log.join(".new.db").exists(), "{name}");
    }
}

#[test]
fn a_backup_takes_the_segments_along() {
    let mut story = long(100);
    let want = answers(&mut story.workspace);
    seal(&mut story.workspace);
    let around = TempDir::new().unwrap();
    let (file, into) = (around.path().join("b"), around.path().join("in"));
    let source = backup::Source { dir: story.dir.path(), name: "home", at: 1, mark: [5; 16] };
    let manifest = backup::write(&source, &file).unwrap();
    assert_eq!((manifest.members.len(), manifest.workspace), (5, "07".repeat(16)));
    fs::create_dir(&into).unwrap();
    backup::unpack(&file, &into).unwrap();
    let mut copy = Workspace::open(&into, &SMALL).unwrap();
    assert!(answers(&mut copy) == want);
}
