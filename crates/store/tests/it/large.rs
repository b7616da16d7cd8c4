//! Content above 64 KiB: chunk files against plain bytes, equal chunks, crashes, damage, uploads that go.

use crate::story::{QUICK, Story, path, record};
use abi::{
    Code, Content, FileId, Hash, OpId, Seq,
    call::Part,
    fact::{Edit, Fact, Lookup},
    limits::{BLOB_INLINE_BYTES_MAX, CHUNK_BYTES, FILE_BYTES_MAX, VALUE_BYTES_MAX},
    record::Entry,
    tree::{Change, Node},
};
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use store::{Blobs, Durable, Kept, Manifest, Options, Pins, Trouble, Workspace};
use tempfile::TempDir;

const CHUNK: usize = CHUNK_BYTES as usize;
const INLINE: usize = BLOB_INLINE_BYTES_MAX as usize;

/// Bytes that differ everywhere, so that a chunk out of place is seen.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut all: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    all.truncate(length);
    all
}

/// Chunk files that lie there, by name in their order.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let Ok(all) = fs::read_dir(dir.join("blobs")) else { return BTreeSet::new() };
    all.flat_map(|first| fs::read_dir(first.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

struct Place {
    dir: TempDir,
    pins: Pins,
    workspace: Workspace,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let pins = Pins::default();
        drop(Workspace::create(dir.path(), &QUICK).unwrap());
        let workspace = Workspace::open_beside(dir.path(), &QUICK, pins.clone()).unwrap();
        Self { dir, pins, workspace }
    }

    fn blobs(&self) -> Blobs {
        Blobs::new(self.dir.path(), &QUICK, self.pins.clone())
    }

    fn upload(&self, pieces: &[&[u8]]) -> Manifest {
        let mut upload = self.blobs().upload();
        pieces.iter().for_each(|piece| upload.push(piece).unwrap());
        upload.finish().unwrap()
    }

    fn put(&mut self, manifest: &Manifest) -> Kept {
        let mut batch = self.workspace.begin().unwrap();
        let kept = batch.put_large(manifest).unwrap().unwrap();
        batch.commit().unwrap();
        kept
    }

    fn part(&mut self, content: &Content, offset: u64, length: u64) -> Result<Option<Vec<u8>>, Trouble> {
        self.workspace.begin().unwrap().part(content, Part { offset, length })
    }

    /// Opened anew, as another program or as the same one.
    fn again(&mut self, pins: &Pins) {
        self.workspace = Workspace::open_beside(self.dir.path(), &QUICK, pins.clone()).unwrap();
    }
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![
        (INLINE - 3)..(INLINE + 3),
        (CHUNK - 3)..(CHUNK + 3),
        (2 * CHUNK - 3)..(2 * CHUNK + 3),
        0..(3 * CHUNK),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever its length and however it comes, every part of it is the same part of the plain bytes.
    #[test]
    fn parts_are_those_of_the_plain_bytes(
        seed: u64,
        length in lengths(),
        piece in 1..(CHUNK + CHUNK / 2),
        parts in prop::collection::vec((0..(3 * CHUNK as u64 + 9), 0..(CHUNK as u64 + 9)), 1..6),
    ) {
        let plain = bytes(seed, length);
        let mut place = Place::new();
        let manifest = place.upload(&plain.chunks(piece).collect::<Vec<_>>());
        let content = Content::of(&plain);
        prop_assert_eq!(manifest.content(), content);
        place.put(&manifest);
        drop(manifest);
        place.again(&Pins::default());
        let border = CHUNK as u64;
        for (offset, length) in parts.into_iter().chain([(border - 1, 2), (0, 1), (u64::MAX, u64::MAX)]) {
            let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(plain.len());
            let most = length.min(VALUE_BYTES_MAX as u64);
            let want = &plain[at(offset)..at(offset.saturating_add(most))];
            let found = place.part(&content, offset, length).unwrap();
            prop_assert!(found.as_deref() == Some(want), "{}+{} of {}", offset, length, plain.len());
        }
        let whole = place.workspace.blob(&content.hash).unwrap();
        prop_assert_eq!(whole, (plain.len() <= VALUE_BYTES_MAX).then_some(plain));
    }

    /// The same of one value, which comes in one piece and is at most 1 MiB.
    #[test]
    fn a_value_is_kept_whatever_its_length(seed: u64, length in 0..=VALUE_BYTES_MAX + 3) {
        let plain = bytes(seed, length);
        let mut place = Place::new();
        let mut batch = place.workspace.begin().unwrap();
        let put = batch.put_blob(&plain);
        batch.commit().unwrap();
        if length > VALUE_BYTES_MAX {
            prop_assert_eq!(put, Err(Trouble::TooLarge { bytes: length as u64 }));
            return Ok(());
        }
        prop_assert_eq!(put, Ok(Content::of(&plain)));
        prop_assert_eq!(files(place.dir.path()).len(), usize::from(length > INLINE));
        prop_assert_eq!(place.workspace.blob(&Hash::of(&plain)).unwrap(), Some(plain));
    }
}

#[test]
fn equal_chunks_lie_there_once() {
    let mut place = Place::new();
    let (same, other) = (bytes(1, CHUNK), bytes(2, CHUNK));
    let first = place.upload(&[&same, &same, &other, &same[..100]]);
    let second = place.upload(&[&other, &same]);
    assert_eq!((first.chunks().len(), second.chunks().len()), (4, 2));
    assert_eq!(
        (place.put(&first), place.put(&second), place.put(&first)),
        (Kept::New, Kept::New, Kept::Before)
    );
    assert_eq!(files(place.dir.path()).len(), 3);
}

#[test]
fn what_was_begun_and_left_costs_nothing() {
    let mut place = Place::new();
    let (kept, gone) = (bytes(1, CHUNK), bytes(2, 2 * CHUNK));
    let manifest = place.upload(&[&kept]);
    place.put(&manifest);
    let mut upload = place.blobs().upload();
    upload.push(&kept).unwrap();
    upload.push(&gone).unwrap();
    assert_eq!((upload.bytes(), files(place.dir.path()).len()), (3 * CHUNK as u64, 3));
    drop((upload, place.upload(&[&gone]), manifest));
    assert_eq!(files(place.dir.path()).len(), 1, "only what a row names");
    // Two at once: the first to go leaves the other what both have.
    let (one, two) = (place.upload(&[&gone]), place.upload(&[&gone]));
    drop(one);
    assert_eq!(place.put(&two), Kept::New);
    drop(two);
    assert_eq!(files(place.dir.path()).len(), 3);
}

#[test]
fn a_cut_between_chunks_and_commit_leaves_no_half() {
    let mut place = Place::new();
    let plain = bytes(3, 2 * CHUNK + 5);
    let content = Content::of(&plain);
    let manifest = place.upload(&[&plain]);
    let mut batch = place.workspace.begin().unwrap();
    assert_eq!(batch.put_large(&manifest).unwrap(), Ok(Kept::New));
    drop(batch);
    assert_eq!(place.part(&content, 0, 1), Ok(None), "no row without a commit");
    // The power goes: what the uploader held is forgotten, its files are not.
    std::mem::forget(manifest);
    let odd = place.dir.path().join("blobs/ab/notes.txt");
    fs::create_dir_all(odd.parent().unwrap()).unwrap();
    fs::write(&odd, "not ours").unwrap();
    let file = files(place.dir.path()).into_iter().find(|file| *file != odd).unwrap();
    fs::write(format!("{}.7.new", file.display()), "half").unwrap();
    assert_eq!(files(place.dir.path()).len(), 5);
    // While the uploader is known it keeps its chunks, whoever opens the workspace.
    let pins = place.pins.clone();
    place.again(&pins);
    assert_eq!(files(place.dir.path()).len(), 5);
    place.again(&Pins::default());
    assert_eq!(files(place.dir.path()), BTreeSet::from([odd]));
    assert_eq!(place.part(&content, 0, 1), Ok(None));
}

#[test]
fn bytes_that_changed_on_the_disk_are_never_handed_on() {
    type Act = fn(&Path);
    let acts: [(&str, Act); 6] = [
        ("is missing", |file| fs::remove_file(file).unwrap()),
        ("of another length", |file| fs::write(file, &fs::read(file).unwrap()[1..]).unwrap()),
        ("of another length", |file| fs::write(file, [&fs::read(file).unwrap()[..], b"x"].concat()).unwrap()),
        ("not those that were written", |file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[77] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("is missing", |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }),
        ("is missing", |file| {
            fs::remove_file(file).unwrap();
            let _ = std::os::unix::net::UnixListener::bind(file);
        }),
    ];
    for (what, act) in acts {
        let mut place = Place::new();
        let plain = bytes(4, 3 * CHUNK);
        let content = Content::of(&plain);
        let manifest = place.upload(&[&plain]);
        place.put(&manifest);
        let middle = manifest.chunks()[1].to_string();
        let file = place.dir.path().join("blobs").join(&middle[..2]).join(&middle);
        act(&file);
        let whole = |at: usize| plain[at * CHUNK..(at + 1) * CHUNK].to_vec();
        let mut part = |at: u64| place.part(&content, at * CHUNK_BYTES, CHUNK_BYTES);
        let Err(Trouble::Corrupt { file: named, what: said }) = part(1) else { panic!("{what}") };
        assert_eq!(named, file);
        assert!(said.contains(what), "{said}");
        // What lies beside it is still good.
        assert_eq!((part(0), part(2)), (Ok(Some(whole(0))), Ok(Some(whole(2)))));
        if file.is_dir() || !file.exists() || what.contains("missing") {
            continue;
        }
        // The same bytes, brought again, put it right.
        let again = place.upload(&[&plain]);
        assert_eq!(place.put(&again), Kept::Before);
        assert_eq!(place.part(&content, CHUNK_BYTES, CHUNK_BYTES), Ok(Some(whole(1))));
    }
}

#[test]
fn what_was_taken_from_under_an_upload_has_to_be_uploaded_again() {
    let mut place = Place::new();
    let manifest = place.upload(&[&bytes(5, 2 * CHUNK)]);
    fs::remove_file(files(place.dir.path()).pop_first().unwrap()).unwrap();
    let mut batch = place.workspace.begin().unwrap();
    let error = batch.put_large(&manifest).unwrap().unwrap_err();
    assert_eq!((error.code, error.hint.as_str()), (Code::Unavailable, "upload it again"));
    batch.commit().unwrap();
}

#[test]
fn a_file_has_an_end() {
    let place = Place::new();
    let mut upload = place.blobs().upload();
    // Not as many bytes as that: the count alone decides.
    upload.push(b"x").unwrap();
    assert_eq!(upload.bytes(), 1);
    assert!(Trouble::TooLarge { bytes: FILE_BYTES_MAX + 1 }.hint().contains("16 GiB"));
    assert!(Trouble::TooLarge { bytes: VALUE_BYTES_MAX as u64 + 1 }.hint().contains("--file"));
}

#[test]
fn a_list_of_chunks_that_is_none_is_damage() {
    for sql in [
        "UPDATE large SET chunks = substr(chunks, 2)",
        "UPDATE large SET chunks = substr(chunks, 33)",
        "UPDATE large SET bytes = bytes + 2000000",
        "UPDATE large SET bytes = 9223372036854775807",
        "UPDATE large SET bytes = -1",
    ] {
        let mut place = Place::new();
        let plain = bytes(6, CHUNK + 1);
        let manifest = place.upload(&[&plain]);
        place.put(&manifest);
        rusqlite::Connection::open(place.dir.path().join("workspace.db")).unwrap().execute(sql, []).unwrap();
        let found = place.part(&Content::of(&plain), 0, 9);
        assert!(matches!(found, Err(Trouble::Corrupt { .. })), "{sql}: {found:?}");
    }
}

/// A version of `/x` with this content.
fn wrote(op: u64, content: Content) -> Entry {
    let (dir, node) = (abi::ROOT, Node::File);
    let change = Change {
        version: abi::VersionId(op),
        file: FileId(2),
        dir,
        path: path("/x"),
        node,
        content,
        mode: 0o644,
        mtime: 1,
        label: abi::LabelId(0),
        parents: Vec::new(),
        diverged: false,
        moved_from: None,
        scratch: false,
    };
    Entry::Wrote { op: OpId(op), changes: vec![change], message: None, undoes: None }
}

#[test]
fn purged_chunks_go_unless_another_content_has_them() {
    let mut story = Story::new();
    let (shared, own) = (bytes(7, CHUNK), bytes(8, CHUNK));
    let both = [shared.clone(), own.clone()].concat();
    let blobs = Blobs::new(story.dir.path(), &QUICK, Pins::default());
    let mut upload = blobs.upload();
    upload.push(&both).unwrap();
    let manifest = upload.finish().unwrap();
    let mut other = blobs.upload();
    other.push(&shared).unwrap();
    let other = other.finish().unwrap();
    let entry = wrote(1, manifest.content());
    let mut batch = story.workspace.begin().unwrap();
    batch.put_large(&manifest).unwrap().unwrap();
    batch.put_large(&other).unwrap().unwrap();
    batch.append(&record(1, 1, entry)).unwrap();
    let reason = batch.put_blob(b"a secret").unwrap();
    let purged = Entry::Purged { path: path("/x"), files: vec![FileId(2)], upto: abi::VersionId(1), reason };
    batch.append(&record(2, 0, purged)).unwrap();
    batch.commit().unwrap();
    story.workspace.scrub().unwrap();
    assert_eq!(files(story.dir.path()).len(), 1);
    let mut batch = story.workspace.begin().unwrap();
    let part = Part { offset: 0, length: 9 };
    assert_eq!(batch.part(&manifest.content(), part), Ok(None));
    assert_eq!(batch.part(&other.content(), part), Ok(Some(shared[..9].to_vec())));
    assert_eq!(batch.gone(&manifest.content().hash).unwrap().map(|record| record.seq), Some(Seq(2)));
}

#[test]
fn an_edit_works_up_to_one_value() {
    let mut story = Story::new();
    let big = bytes(9, VALUE_BYTES_MAX - 4);
    let content = story.put(&big);
    let entry = wrote(1, content);
    let mut batch = story.workspace.begin().unwrap();
    batch.append(&record(1, 1, entry)).unwrap();
    let (fits, over) = (batch.put_blob(b"four").unwrap(), batch.put_blob(b"fives").unwrap());
    let edit = |tail: Content| Lookup::Edit { path: path("/x"), base: None, edit: Edit::Append(tail.hash) };
    let whole = [&big[..], b"four"].concat();
    assert_eq!(batch.answer(&edit(fits)).unwrap(), Fact::Edited(Ok(Content::of(&whole))));
    let Fact::Edited(Err(error)) = batch.answer(&edit(over)).unwrap() else { panic!() };
    assert_eq!((error.code, error.hint.contains("--file")), (Code::TooLarge, true));
    batch.commit().unwrap();
}

#[test]
fn barriers_change_nothing_but_the_time() {
    let dir = TempDir::new().unwrap();
    let options = Options { durable: Durable::Full, ..QUICK };
    let mut workspace = Workspace::create(dir.path(), &options).unwrap();
    let mut upload = Blobs::new(dir.path(), &options, Pins::default()).upload();
    let plain = bytes(10, CHUNK + 7);
    upload.push(&plain).unwrap();
    let manifest = upload.finish().unwrap();
    let mut batch = workspace.begin().unwrap();
    batch.put_large(&manifest).unwrap().unwrap();
    let part = batch.part(&manifest.content(), Part { offset: CHUNK_BYTES - 1, length: 3 });
    assert_eq!(part, Ok(Some(plain[CHUNK - 1..CHUNK + 2].to_vec())));
    batch.commit().unwrap();
}
