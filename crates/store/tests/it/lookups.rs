//! The kernel's questions that are more than a walk: edits, matches, views, and their limits.

use crate::story::{Story, path};
use abi::{
    Code, Content, FileId, Hash, LabelId, ROOT, VersionId,
    fact::{Edit, Fact, Haystack, Lookup, Match, Place, View},
    limits,
    path::Pattern,
    tree::{Change, Node},
};
use store::Trouble;

#[test]
fn a_walk_stops_at_what_is_no_directory() {
    let mut story = Story::of("1 dir /a; file /f one; link /l /a");
    let rows: &[(&str, &[u64], bool)] = &[
        ("/", &[1], false),
        ("/a", &[1], false),
        ("/a/x", &[1, 2], false),
        ("/a/b/c", &[1, 2], false),
        ("/f/x", &[1], true),
        ("/l/x", &[1], true),
        ("/none/x", &[1], false),
    ];
    for (text, dirs, blocked) in rows {
        let Fact::Place(got) = story.ask(Lookup::Path { path: path(text), at: None }) else { panic!() };
        let dirs = dirs.iter().map(|dir| FileId(*dir)).collect();
        assert_eq!(
            got,
            Place { dirs, blocked: *blocked, head: got.head.clone(), home: got.home.clone() },
            "{text}"
        );
    }
}

fn in_file(at: &str) -> Haystack {
    Haystack::Path(path(at))
}

#[test]
fn a_literal_is_found_in_a_file_or_a_blob() {
    let mut story = Story::of("1 file /x anna@example.org,bert; dir /d");
    let blob = Haystack::Blob(Hash::of(b"anna@example.org,bert"));
    let rows = [
        (in_file("/x"), "anna@example.org", Match::Token, true),
        (in_file("/x"), "ANNA@example.org", Match::Token, true),
        (in_file("/x"), "example.org", Match::Token, false),
        (in_file("/x"), "example.org", Match::Bytes, true),
        (in_file("/x"), "", Match::Bytes, false),
        (in_file("/d"), "anna", Match::Bytes, false),
        (in_file("/none"), "anna", Match::Bytes, false),
        (blob, "bert", Match::Token, true),
        (Haystack::Blob(Hash::of(b"none")), "bert", Match::Token, false),
    ];
    for (text, literal, how, want) in rows {
        let lookup = Lookup::Match { text, literal: literal.to_owned(), how };
        assert_eq!(story.ask(lookup.clone()), Fact::Holds(want), "{lookup:?}");
    }
}

#[test]
fn an_edit_makes_new_bytes_and_keeps_them() {
    let mut story = Story::of("1 file /x one\n 1 file /x two\n 1 file /y three; dir /d");
    let [one, two, zero] = ["one", "two", "zero"].map(|text| story.put(text.as_bytes()).hash);
    let patch = |find, put| Edit::Patch { find, put };
    let rows = [
        ("/x", None, Edit::Append(zero), Ok("twozero")),
        ("/new", None, Edit::Append(zero), Ok("zero")),
        ("/d", None, Edit::Append(zero), Err(Code::Invalid)),
        ("/x", None, Edit::Append(Hash::of(b"none")), Err(Code::Unavailable)),
        ("/x", None, patch(two, zero), Ok("zero")),
        ("/x", None, patch(one, zero), Err(Code::Invalid)),
        ("/x", Some(1), patch(one, zero), Ok("zero")),
        ("/x", Some(2), patch(two, zero), Ok("zero")),
        // A version of another file, or none.
        ("/x", Some(3), patch(one, zero), Err(Code::NotFound)),
        ("/x", Some(0), patch(one, zero), Err(Code::NotFound)),
        ("/x", Some(99), patch(one, zero), Err(Code::NotFound)),
        ("/new", None, patch(one, zero), Err(Code::NotFound)),
    ];
    for (text, base, edit, want) in rows {
        let lookup = Lookup::Edit { path: path(text), base: base.map(VersionId), edit };
        let mut batch = story.workspace.begin().unwrap();
        let Fact::Edited(got) = batch.answer(&lookup).unwrap() else { panic!() };
        let got = got.map(|content| (content, batch.blob(&content.hash).unwrap().unwrap()));
        let want = want.map(|text| (Content::of(text.as_bytes()), text.as_bytes().to_vec()));
        assert_eq!(got.map_err(|error| error.code), want, "{lookup:?}");
    }
}

#[test]
fn an_edit_does_not_outgrow_a_value() {
    let mut story = Story::of("1 file /x one");
    let tail = story.put(&vec![b'x'; limits::VALUE_BYTES_MAX - 2]).hash;
    let mut batch = story.workspace.begin().unwrap();
    let lookup = Lookup::Edit { path: path("/x"), base: None, edit: Edit::Append(tail) };
    let Fact::Edited(Err(error)) = batch.answer(&lookup).unwrap() else { panic!() };
    assert_eq!(error, Trouble::TooLarge { bytes: limits::VALUE_BYTES_MAX as u64 + 1 }.to_error());
    assert_eq!(error.code, Code::TooLarge);
    batch.commit().unwrap();
}

#[test]
fn bytes_of_a_blob_or_nothing() {
    let mut story = Story::of("1 file /x one");
    assert_eq!(story.ask(Lookup::Bytes { hash: Hash::of(b"one") }), Fact::Bytes(Some(b"one".to_vec())));
    assert_eq!(story.ask(Lookup::Bytes { hash: Hash::of(b"none") }), Fact::Bytes(None));
}

#[test]
fn a_listing_shows_what_the_view_shows() {
    let mut story = Story::of("1 dir /a; dir /b; file /f one; dir /a/c; file /a/x one; file /a/c/y one");
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/**"], &["a", "b", "f"]),
        ("/", &["/a/x"], &["a"]),
        ("/", &["/*"], &["a", "b", "f"]),
        ("/", &["/f", "/b/**"], &["b", "f"]),
        ("/", &["/f/x"], &[]),
        ("/a", &["/a/x"], &["x"]),
        ("/a", &["/*/c/y"], &["c"]),
        ("/a", &["/b/**"], &[]),
        ("/", &[], &[]),
        ("/f", &["/**"], &[]),
        ("/none", &["/**"], &[]),
    ];
    for (at, view, want) in rows {
        let shown = view.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        let seen = View { shown, ..View::default() };
        let got = story.workspace.begin().unwrap().list(&path(at), None, &seen).unwrap();
        let got: Vec<_> = got.entries.into_iter().map(|entry| entry.name).collect();
        assert_eq!(got, *want, "{at} {view:?}");
    }
}

#[test]
fn a_history_outlives_its_path() {
    let mut story = Story::of(
        "1 dir /a; file /a/x one\n 1 file /a/x two\n 1 stale /a/x three\n 1 gone /a\n 1 dir /a
         2 file /b one\n 2 move /b /c",
    );
    let rows: &[(&str, u32, &[u64])] = &[
        ("/a/x", 9, &[]),
        ("/a", 9, &[7]),
        ("/b", 9, &[9, 8]),
        ("/c", 9, &[9, 8]),
        ("/c", 1, &[9]),
        ("/none", 9, &[]),
        ("/", 9, &[0]),
    ];
    for (at, limit, want) in rows {
        let got = story
            .workspace
            .begin()
            .unwrap()
            .history(&path(at), (None, *limit), &View::everything())
            .unwrap()
            .versions;
        let got: Vec<u64> = got.iter().map(|version| version.id.0).collect();
        assert_eq!(got, *want, "{at}");
    }
    let mut story = Story::of("1 dir /a; file /a/x one\n 1 stale /a/x three\n 1 gone /a");
    let got = story
        .workspace
        .begin()
        .unwrap()
        .history(&path("/a/x"), (None, 9), &View::everything())
        .unwrap()
        .versions;
    assert_eq!(got.iter().map(|version| version.id.0).collect::<Vec<_>>(), [4, 3, 2]);
}

#[test]
fn a_tree_too_large_for_an_operation_is_said_to_be() {
    let mut story = Story::new();
    let file = |id: u64| Change {
        file: FileId(id + 2),
        dir: ROOT,
        path: path(&format!("/{id}")),
        moved_from: None,
        version: VersionId(id),
        node: Node::File,
        content: Content::default(),
        mode: 0o644,
        mtime: 0,
        label: LabelId(0),
        parents: vec![],
        diverged: false,
        scratch: false,
    };
    let most = limits::OPERATION_ENTRIES_MAX as u64;
    let wrote = |ids: std::ops::Range<u64>, op: u64| abi::record::Entry::Wrote {
        op: abi::OpId(op),
        changes: ids.map(file).collect(),
        message: None,
        undoes: None,
    };
    let mut batch = story.workspace.begin().unwrap();
    // With the root they are as many as may be.
    batch.append(&crate::story::record(1, 1, wrote(1..most, 1))).unwrap();
    let below = Lookup::Below { path: path("/") };
    let Fact::Below(Ok(all)) = batch.answer(&below).unwrap() else { panic!() };
    assert_eq!(all.len() as u64, most);
    batch.append(&crate::story::record(2, 1, wrote(most..most + 1, 2))).unwrap();
    let Fact::Below(Err(error)) = batch.answer(&below).unwrap() else { panic!() };
    assert_eq!(error.code, Code::TooLarge);
    assert_eq!(batch.list(&path("/"), None, &View::everything()).unwrap().entries.len(), most as usize);
    batch.commit().unwrap();
}
