//! Very many of one thing: versions of one path, files in one directory. What is asked of them takes as long
//! as its answer is, and everything can be reached.

use crate::story::{QUICK, path, record};
use abi::{
    Content, FileId, LabelId, OpId, Seq, VersionId,
    call::At,
    fact::{Fact, Lookup, View},
    path::{Pattern, TreePath},
    record::Entry,
    tree::{Change, Keep, Node, Retain},
};
use std::collections::BTreeSet;
use store::Workspace;
use tempfile::TempDir;

fn change(file: u64, dir: u64, at: &TreePath, version: u64, node: Node, content: Content) -> Change {
    Change {
        file: FileId(file),
        dir: FileId(dir),
        path: at.clone(),
        moved_from: None,
        version: VersionId(version),
        node,
        content,
        mode: 0o644,
        mtime: 1_000 + version,
        label: LabelId(0),
        parents: vec![],
        diverged: false,
        scratch: false,
    }
}

fn wrote(seq: u64, changes: Vec<Change>) -> abi::record::Record {
    record(seq, 1, Entry::Wrote { op: OpId(seq), changes, message: None, undoes: None })
}

/// So many versions of one file, one record each.
fn versions(dir: &TempDir, count: u64) -> Workspace {
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    let mut seq = 0;
    while seq < count {
        let mut batch = workspace.begin().unwrap();
        for _ in 0..256.min(count - seq) {
            seq += 1;
            let content = batch.put_blob(format!("text {seq}").as_bytes()).unwrap();
            batch.append(&wrote(seq, vec![change(2, 1, &path("/a"), seq, Node::File, content)])).unwrap();
        }
        batch.commit().unwrap();
    }
    workspace
}

#[test]
fn versions_of_one_path() {
    let (count, dir) = (4_000, TempDir::new().unwrap());
    let mut workspace = versions(&dir, count);
    let mut batch = workspace.begin().unwrap();
    let (mut pages, mut before) = (0, None);
    loop {
        let page = batch.history(&path("/a"), (before, 1_000), &View::everything()).unwrap().versions;
        let Some(last) = page.last() else { break };
        (pages, before) = (pages + 1, Some(last.id));
    }
    assert_eq!((pages, before), (4, Some(VersionId(1))));
    for seq in [1, count / 2, count] {
        let at = Some(At::Seq(Seq(seq)));
        let found = batch.answer(&Lookup::Path { path: path("/a"), at }).unwrap();
        let Fact::Place(place) = found else { panic!("another fact") };
        assert_eq!(place.head.map(|head| head.id), Some(VersionId(seq)));
    }
    drop(batch);
    // Thinned to the last two, a thousand a record.
    let rule = Retain { pattern: Pattern::parse("/a").unwrap(), keep: Keep::Last(2) };
    let mut records = 0;
    loop {
        let lookup = Lookup::Surplus { rules: vec![rule.clone()], now: 1, seen: BTreeSet::new() };
        let mut batch = workspace.begin().unwrap();
        let Fact::Surplus(versions) = batch.answer(&lookup).unwrap() else { panic!() };
        if versions.is_empty() {
            break;
        }
        records += 1;
        batch.append(&record(count + records, 0, Entry::Thinned { versions })).unwrap();
        batch.commit().unwrap();
    }
    assert_eq!((records, workspace.sweep()), (4, Ok(count - 2)));
    let kept = [1, count - 2, count - 1, count]
        .map(|seq| workspace.blob(&abi::Hash::of(format!("text {seq}").as_bytes())).unwrap().is_some());
    assert_eq!(kept, [false, false, true, true]);
}

#[test]
fn files_in_one_directory() {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
    let (count, mut version) = (25_000, 1);
    for seq in 1..=count / 5_000 {
        let mut batch = workspace.begin().unwrap();
        let content = batch.put_blob(b"").unwrap();
        let mut changes = Vec::new();
        if seq == 1 {
            changes.push(change(2, 1, &path("/d"), version, Node::Dir, Content::default()));
        }
        for _ in 0..5_000 {
            version += 1;
            let at = path(&format!("/d/{version:07}"));
            changes.push(change(version + 1, 2, &at, version, Node::File, content));
        }
        batch.append(&wrote(seq, changes)).unwrap();
        batch.commit().unwrap();
    }
    let mut batch = workspace.begin().unwrap();
    let Fact::Place(place) = batch.answer(&Lookup::Path { path: path("/d/0012345"), at: None }).unwrap()
    else {
        panic!()
    };
    assert_eq!(place.head.map(|head| head.id), Some(VersionId(12_345)));
    let names = batch.answer(&Lookup::Names { path: path("/d"), at: None }).unwrap();
    assert_eq!(names, Fact::Labels(count, BTreeSet::from([LabelId(0)])));
    // More than one operation takes: it is refused, not begun.
    let below = batch.answer(&Lookup::Below { path: path("/d") }).unwrap();
    let Fact::Below(Err(error)) = below else { panic!("{below:?}") };
    assert_eq!((error.code, error.hint.as_str()), (abi::Code::TooLarge, "take its parts one by one"));
    // A listing is the first 10,000 names; every file is reached by its own.
    let listed = batch.list(&path("/d"), None, &View::everything()).unwrap().entries;
    assert_eq!((listed.len(), listed[9_999].name.as_str()), (10_000, "0010001"));
}
