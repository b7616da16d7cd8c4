//! Backups: what goes in comes out, and what was not written by a backup never gets further than its own
//! directory.

use crate::story::{QUICK, Story, other};
use abi::{Content, Seq, record::Record};
use rusqlite::Connection;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use store::{
    Trouble, Workspace,
    backup::{self, Manifest, Source},
};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

const SCRIPT: &str = "1 dir /a; file /a/x one; link /l /a\n 2 file /a/x two\n 1 move /a /b\n 3 file /b/y four
    1 gone /l\n 2 undo op 2";

/// A workspace, a place for backups, and one made.
struct Made {
    story: Story,
    around: TempDir,
    file: PathBuf,
    manifest: Manifest,
}

fn source(dir: &Path) -> Source<'_> {
    Source { dir, name: "home", at: 1_000_000, mark: [5; 16] }
}

fn made() -> Made {
    let mut story = Story::new();
    story.append(&other(1, 0));
    SCRIPT.lines().for_each(|line| story.line(line.trim()));
    story.put(&[8; 6000]);
    let around = TempDir::new().unwrap();
    let file = around.path().join("one.skep");
    let manifest = backup::write(&source(story.dir.path()), &file).unwrap();
    Made { story, around, file, manifest }
}

fn records(workspace: &Workspace) -> Vec<Record> {
    let mut all = Vec::new();
    workspace.replay(Seq(0), &mut |record| all.push(record)).unwrap();
    all
}

/// Unpacks in a new directory; everything around it must stay as it was.
fn unpack(file: &Path) -> (TempDir, Result<Manifest, Trouble>) {
    let dir = TempDir::new().unwrap();
    let into = dir.path().join("in");
    fs::create_dir(&into).unwrap();
    let unpacked = backup::unpack(file, &into);
    let around: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(around, [into], "something was written outside");
    (dir, unpacked)
}

#[test]
fn what_goes_in_comes_out() {
    let made = made();
    let head = made.story.workspace.head();
    assert_eq!((made.manifest.seq, made.manifest.head), head);
    assert_eq!((made.manifest.workspace.as_str(), made.manifest.name.as_str()), (&*"07".repeat(16), "home"));
    assert_eq!(fs::metadata(&made.file).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(made.around.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, std::slice::from_ref(&made.file), "nothing but the backup");
    let (dir, unpacked) = unpack(&made.file);
    assert_eq!(unpacked, Ok(made.manifest));
    let copy = Workspace::open(&dir.path().join("in"), &QUICK).unwrap();
    assert_eq!((copy.head(), records(&copy)), (head, records(&made.story.workspace)));
    assert_eq!(copy.blob(&Content::of(&[8; 6000]).hash).unwrap(), Some(vec![8; 6000]));
}

#[test]
fn a_file_that_is_there_is_never_touched() {
    let made = made();
    let before = fs::read(&made.file).unwrap();
    let taken = made.around.path().join("taken");
    std::os::unix::fs::symlink("nowhere", &taken).unwrap();
    for file in [&made.file, &taken] {
        let again = backup::write(&source(made.story.dir.path()), file);
        assert_eq!(again, Err(Trouble::Exists { file: file.clone() }));
    }
    assert_eq!(fs::read(&made.file).unwrap(), before);
    let nowhere = made.around.path().join("no/such/dir");
    let missing = backup::write(&source(made.story.dir.path()), &nowhere).unwrap_err();
    assert!(matches!(missing, Trouble::Missing { .. }), "{missing}");
}

#[test]
fn a_cut_or_changed_backup_is_refused_or_is_what_was_written() {
    let made = made();
    let whole = fs::read(&made.file).unwrap();
    let file = made.around.path().join("bad");
    for cut in (0..whole.len()).step_by(whole.len() / 60) {
        fs::write(&file, &whole[..cut]).unwrap();
        assert!(unpack(&file).1.is_err(), "cut at {cut} of {}", whole.len());
    }
    for at in (0..whole.len()).step_by(whole.len() / 120 + 1) {
        let mut bad = whole.clone();
        bad[at] ^= 0x41;
        fs::write(&file, &bad).unwrap();
        // Only bytes between the members say nothing.
        if let (dir, Ok(manifest)) = unpack(&file) {
            let copy = Workspace::open(&dir.path().join("in"), &QUICK).unwrap();
            assert_eq!((copy.head(), manifest.name.len()), (made.story.workspace.head(), 4), "byte {at}");
        }
    }
}

/// A member of a tar that somebody made by hand.
struct Forged {
    name: Vec<u8>,
    kind: EntryType,
    bytes: Vec<u8>,
    /// What the header says; none is the truth.
    says: Option<u64>,
}

fn forged(name: &str, bytes: &[u8]) -> Forged {
    Forged { name: name.into(), kind: EntryType::Regular, bytes: bytes.to_vec(), says: None }
}

fn forge(to: &Path, members: &[Forged]) {
    let mut tar = Builder::new(fs::File::create(to).unwrap());
    for member in members {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..member.name.len()].copy_from_slice(&member.name);
        header.set_entry_type(member.kind);
        header.set_size(member.says.unwrap_or(member.bytes.len() as u64));
        header.set_cksum();
        tar.append(&header, member.bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
}

/// The members of a real backup.
fn members(file: &Path) -> Vec<Forged> {
    let mut tar = tar::Archive::new(fs::File::open(file).unwrap());
    let entries = tar.entries().unwrap();
    let read = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        forged(entry.path().unwrap().to_str().unwrap(), &bytes)
    };
    entries.map(read).collect()
}

/// The members of a real backup after a change.
fn with(made: &Made, change: impl FnOnce(&mut Vec<Forged>)) -> Vec<Forged> {
    let mut all = members(&made.file);
    change(&mut all);
    all
}

/// The same with another manifest.
fn saying(made: &Made, edit: impl FnOnce(&mut Manifest)) -> Vec<Forged> {
    let mut one = made.manifest.clone();
    edit(&mut one);
    with(made, |all| all[0].bytes = serde_json::to_vec(&one).unwrap())
}

type Rows = Vec<(&'static str, Vec<Forged>)>;

fn hostile_members(made: &Made) -> Rows {
    let named = |name: &[u8]| with(made, |all| all[1].name = name.to_vec());
    let kind = |kind: EntryType| with(made, |all| all[1].kind = kind);
    let more = |name: &str| with(made, |all| all.push(forged(name, b"x")));
    let long = Forged { kind: EntryType::GNULongName, ..forged("././@LongLink", b"../../x\0") };
    vec![
        ("nothing", vec![]),
        ("a name that climbs", named(b"../workspace.db")),
        ("an absolute name", named(b"/tmp/workspace.db")),
        ("a link", kind(EntryType::Symlink)),
        ("a hard link", kind(EntryType::Link)),
        ("a directory", kind(EntryType::Directory)),
        ("a sparse file", kind(EntryType::GNUSparse)),
        ("a long name", with(made, |all| all.insert(0, long))),
        ("the same member twice", more("workspace.db")),
        ("one more member", more("../../evil")),
        ("a chunk nobody announced", more(&format!("blobs/00/{}", "0".repeat(64)))),
        ("another order", with(made, |all| all.swap(0, 1))),
        ("an absurd size", with(made, |all| all[1].says = Some(1 << 62))),
    ]
}

fn hostile_manifests(made: &Made) -> Rows {
    let member = |name: &str| backup::Member { name: name.into(), ..made.manifest.members[0].clone() };
    vec![
        ("no manifest", with(made, |all| drop(all.remove(0)))),
        ("a manifest that is none", with(made, |all| all[0].bytes = b"[]".to_vec())),
        ("an endless manifest", with(made, |all| all[0].bytes = vec![b' '; 1024 * 1024 + 1])),
        ("a member that climbs", saying(made, |one| one.members.push(member("log/../../x")))),
        ("members out of order", saying(made, |one| one.members.extend(["log/b", "log/a"].map(member)))),
        ("no members", saying(made, |one| one.members.clear())),
        ("another head", saying(made, |one| one.seq = Seq(one.seq.0 - 1))),
        ("more chunks than there are", saying(made, |one| one.chunks = u64::MAX)),
    ]
}

#[test]
fn a_hostile_tar_writes_nothing_outside_and_is_refused() {
    let made = made();
    let file = made.around.path().join("forged");
    forge(&file, &members(&made.file));
    assert_eq!(unpack(&file).1, Ok(made.manifest.clone()), "the control");
    for (what, all) in hostile_members(&made).into_iter().chain(hostile_manifests(&made)) {
        forge(&file, &all);
        let refused = unpack(&file).1;
        assert!(matches!(refused, Err(Trouble::Corrupt { .. })), "{what}: {refused:?}");
    }
    let newer = with(&made, |all| all[0].bytes = br#"{"format": 2, "other": true}"#.to_vec());
    forge(&file, &newer);
    assert_eq!(unpack(&file).1, Err(Trouble::Newer { file: file.clone(), found: 2, known: 1 }));
}

/// A real backup whose database was changed by this, with a manifest that says so.
fn doctored(made: &Made, sql: &str) -> PathBuf {
    let mut all = members(&made.file);
    let db = made.around.path().join("doctored.db");
    fs::write(&db, &all[1].bytes).unwrap();
    let open = Connection::open(&db).unwrap();
    open.execute_batch(sql).unwrap();
    drop(open);
    all[1].bytes = fs::read(&db).unwrap();
    let mut manifest = made.manifest.clone();
    let content = Content::of(&all[1].bytes);
    (manifest.members[0].bytes, manifest.members[0].blake3) = (content.bytes, content.hash);
    all[0].bytes = serde_json::to_vec(&manifest).unwrap();
    let file = made.around.path().join("doctored");
    forge(&file, &all);
    file
}

#[test]
fn a_database_that_acts_by_itself_or_lies_is_refused() {
    let made = made();
    let rows = [
        ("CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM blobs; END", "none of this program"),
        ("CREATE VIEW v AS SELECT * FROM records", "none of this program"),
        ("UPDATE records SET body = zeroblob(9) WHERE seq = 3", "the bytes of record 3"),
        ("DELETE FROM records WHERE seq = 3", "does not follow"),
        ("DELETE FROM records WHERE seq > 3", "does not end where"),
        ("PRAGMA application_id = 1", "not made by this program"),
    ];
    for (sql, says) in rows {
        let refused = unpack(&doctored(&made, sql)).1.unwrap_err();
        assert!(refused.to_string().contains(says), "{sql}: {refused}");
    }
    let newer = unpack(&doctored(&made, "PRAGMA user_version = 999")).1;
    assert!(matches!(newer, Err(Trouble::Newer { found: 999, .. })), "{newer:?}");
    assert!(unpack(&doctored(&made, "SELECT 1")).1.is_ok(), "the control");
}

/// Puts large content beside a workspace, of one chunk: its list, and the file of the chunk.
fn put_large(dir: &Path, bytes: &[u8]) -> PathBuf {
    let hash = Content::of(bytes).hash;
    let hex = hash.to_string();
    let chunk = dir.join("blobs").join(&hex[..2]).join(&hex);
    fs::create_dir_all(chunk.parent().unwrap()).unwrap();
    fs::write(&chunk, bytes).unwrap();
    let db = Connection::open(dir.join("workspace.db")).unwrap();
    let sql = "INSERT INTO large(hash, bytes, chunks) VALUES(?1, ?2, ?1)";
    db.execute(sql, rusqlite::params![hash.0, bytes.len() as i64]).unwrap();
    chunk
}

#[test]
fn chunks_go_with_it_and_each_is_what_its_name_says() {
    let made = made();
    let dir = made.story.dir.path();
    let chunks: Vec<PathBuf> = (0..20_u8).map(|of| put_large(dir, &[of; 100_000])).collect();
    let file = made.around.path().join("with chunks");
    let manifest = backup::write(&source(dir), &file).unwrap();
    assert_eq!(manifest.chunks, 20);
    let (into, unpacked) = unpack(&file);
    assert_eq!(unpacked, Ok(manifest.clone()));
    for chunk in &chunks {
        let there = into.path().join("in").join(chunk.strip_prefix(dir).unwrap());
        assert_eq!(fs::read(there).unwrap(), fs::read(chunk).unwrap());
    }
    let with = |change: fn(&mut Vec<Forged>)| {
        let mut all = members(&file);
        change(&mut all);
        all
    };
    let rows = [
        ("is not what was backed up", with(|all| all[5].bytes[7] ^= 1)),
        ("not in order", with(|all| all.swap(5, 6))),
        ("stands where a chunk should", with(|all| all[5].name = b"blobs/00/../../../x".to_vec())),
        ("ends before its last chunk", with(|all| drop(all.pop()))),
    ];
    let forged = made.around.path().join("forged");
    for (says, all) in rows {
        forge(&forged, &all);
        let refused = unpack(&forged).1.unwrap_err();
        assert!(refused.to_string().contains(says), "{says}: {refused}");
    }
    // One that the database names and nobody brought.
    let mut all = members(&file);
    all.pop();
    let short = Manifest { chunks: 19, ..manifest };
    all[0].bytes = serde_json::to_vec(&short).unwrap();
    forge(&forged, &all);
    let refused = unpack(&forged).1.unwrap_err();
    assert!(refused.to_string().contains("is missing"), "{refused}");
    fs::remove_file(&chunks[0]).unwrap();
    let lost = backup::write(&source(dir), &made.around.path().join("never")).unwrap_err();
    assert!(lost.to_string().contains("it was destroyed"), "{lost}");
    assert!(!made.around.path().join("never").exists());
}
