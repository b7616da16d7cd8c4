//! What changes make of the tree: rows, and any script against the model.

use crate::story::{Story, path, scripts};
use abi::{
    Seq,
    call::At,
    fact::{Fact, Lookup, View},
    path::TreePath,
    tree::{Entry, Node},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn a_script_makes_a_tree() {
    let rows: &[(&str, &[&str])] = &[
        ("1 dir /a\n 1 file /a/x one", &["/a dir", "/a/x file one"]),
        ("1 file /x one\n 1 file /x two", &["/x file two"]),
        ("1 file /x one\n 2 stale /x two", &["/x file one"]),
        ("1 file /x one; file /y two; link /z /x", &["/x file one", "/y file two", "/z link /x"]),
        ("1 dir /a; file /a/x one\n 1 move /a /b", &["/b dir", "/b/x file one"]),
        ("1 dir /a; file /a/x one\n 1 move /a/x /x\n 1 file /x two", &["/a dir", "/x file two"]),
        ("1 dir /a; file /a/x one\n 1 gone /a", &[]),
        ("1 file /x one\n 1 gone /x\n 1 file /x two", &["/x file two"]),
        // Two change places in one operation.
        (
            "1 file /x one; file /y two\n 1 move /x /t; move /y /x; move /t /y",
            &["/x file two", "/y file one"],
        ),
        // What replaces a thing in the operation that removes it.
        ("1 file /x one\n 1 gone /x; dir /x; file /x/y two", &["/x dir", "/x/y file two"]),
    ];
    for (script, want) in rows {
        assert_eq!(Story::of(script).tree(), *want, "{script}");
    }
}

#[test]
fn a_directory_is_renamed_by_one_row_and_the_past_keeps_its_name() {
    let mut story = Story::of("1 dir /a\n 1 file /a/x one\n 1 move /a /b\n 1 file /b/x two");
    let mut at = |text: &str, seq: u64| {
        let place = story.ask(Lookup::Path { path: path(text), at: Some(At::Seq(Seq(seq))) });
        let Fact::Place(place) = place else { panic!("another fact") };
        place.head.map(|head| story.shown(&path(text), &head))
    };
    let got: Vec<_> = (0..6).map(|seq| (at("/a/x", seq), at("/b/x", seq))).collect();
    let (one, two) = (Some("/a/x file one".to_owned()), Some("/b/x file two".to_owned()));
    let renamed = Some("/b/x file one".to_owned());
    let want = [(None, None), (None, None), (one, None), (None, renamed), (None, two.clone()), (None, two)];
    assert_eq!(got, want);
}

#[test]
fn a_name_is_given_by_an_operations_first_version_of_a_file() {
    let mut story = Story::of("1 dir /a; move /a /b");
    compare(&mut story, &TreePath::root(), None);
}

/// Every path the scripts can name, and one they cannot.
fn universe() -> Vec<TreePath> {
    let names = ["a", "b"];
    let mut all = vec![TreePath::root(), path("/a/none/x")];
    for one in names {
        all.push(path(&format!("/{one}")));
        for two in names {
            all.push(path(&format!("/{one}/{two}")));
            all.extend(names.map(|three| path(&format!("/{one}/{two}/{three}"))));
        }
    }
    all
}

/// All that can be asked of a path at a moment, against the model.
fn compare(story: &mut Story, path: &TreePath, at: Option<Seq>) {
    let state = story.model.at(at).clone();
    let place = state.place(path);
    let here = place.head.clone().filter(|head| head.node == Node::Dir);
    let inside: Vec<(String, _)> = here.map_or_else(Vec::new, |dir| {
        let own = state.entries.iter().filter(|((parent, _), _)| *parent == dir.file);
        own.map(|((_, name), file)| (name.clone(), state.heads[file].clone())).collect()
    });
    let own = inside.iter().map(|(_, head)| head.label);
    let labels: BTreeSet<_> = own.chain(inside.iter().map(|(_, head)| state.names[&head.file])).collect();
    let at = at.map(At::Seq);
    let names = story.ask(Lookup::Names { path: path.clone(), at });
    assert_eq!(names, Fact::Labels(inside.len() as u64, labels), "{path} {at:?}");
    assert_eq!(story.ask(Lookup::Path { path: path.clone(), at }), Fact::Place(place), "{path} {at:?}");
    let listed = story.workspace.begin().unwrap().list(path, at, &View::everything()).unwrap();
    let entry = |(name, head): (String, abi::tree::Version)| Entry {
        name,
        node: head.node,
        bytes: head.content.bytes,
        mode: head.mode,
        mtime: head.mtime,
        version: head.id,
        label: head.label,
        actor: head.actor,
    };
    assert_eq!(listed.entries, inside.into_iter().map(entry).collect::<Vec<_>>(), "{path} {at:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn the_store_says_what_the_model_says(script in scripts()) {
        let mut story = Story::new();
        script.iter().for_each(|line| story.line(line));
        let moments = (0..=story.model.past.len() as u64 + 1).map(|seq| Some(Seq(seq)));
        for at in moments.chain([None, Some(Seq(u64::MAX))]) {
            for path in universe() {
                compare(&mut story, &path, at);
            }
        }
        for path in universe() {
            let state = story.model.now().clone();
            let place = state.place(&path);
            let below = match (place.head, place.dirs.last()) {
                (Some(head), Some(dir)) => {
                    let below = state.below(&path, head.file);
                    [vec![(path.clone(), *dir, head.clone())], below].concat()
                }
                _ => vec![],
            };
            prop_assert_eq!(story.ask(Lookup::Below { path: path.clone() }), Fact::Below(Ok(below.clone())));
            if let Some((_, _, head)) = below.first() {
                let own = story.model.versions.values().filter(|version| version.file == head.file);
                let mut want: Vec<_> = own.cloned().collect();
                want.sort_by_key(|version| std::cmp::Reverse(version.id));
                let mut batch = story.workspace.begin().unwrap();
                let got = batch.history(&path, (None, u32::MAX), &View::everything()).unwrap().versions;
                prop_assert_eq!(got, want);
            }
        }
        for (id, version) in story.model.versions.clone() {
            prop_assert_eq!(story.workspace.begin().unwrap().version(id).unwrap(), Some(version));
        }
    }
}
