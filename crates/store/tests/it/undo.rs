//! Undo: what comes back, what is left, and that the tree stays a tree whatever is undone.

use crate::story::{Story, scripts};
use abi::{OpId, Pid, VersionId, call::Undo};
use proptest::prelude::*;

fn op(number: u64) -> Undo {
    Undo::Operation(OpId(number))
}

fn pid(number: u64) -> Undo {
    Undo::Process(Pid(number))
}

#[test]
fn an_undo_puts_back_what_was() {
    let rows: &[(&str, Undo, &[&str], &[&str])] = &[
        ("1 file /x one\n 2 file /x two", op(2), &["/x file one"], &[]),
        ("1 file /x one", op(1), &[], &[]),
        ("1 dir /a; file /a/x one\n 2 gone /a", op(2), &["/a dir", "/a/x file one"], &[]),
        ("1 file /x one\n 2 move /x /y", op(2), &["/x file one"], &[]),
        (
            "1 dir /a; file /a/x one\n 2 move /a /b\n 3 file /b/x two",
            op(2),
            &["/a dir", "/a/x file two"],
            &[],
        ),
        // Somebody wrote it since.
        ("1 file /x one\n 2 file /x two\n 3 file /x three", op(2), &["/x file three"], &["/x"]),
        ("1 file /x one\n 2 file /x two; file /y two\n 3 file /x three", op(2), &["/x file three"], &["/x"]),
        // All of a process, back to what others made.
        ("1 file /x one\n 2 file /x two\n 2 move /x /y\n 2 file /y three", pid(2), &["/x file one"], &[]),
        ("1 file /x one\n 2 move /x /y\n 2 gone /y\n 2 file /z two", pid(2), &["/x file one"], &[]),
        ("1 file /x one\n 2 file /x two\n 3 file /y one", pid(2), &["/x file one", "/y file one"], &[]),
        ("2 file /x two\n 2 gone /x", pid(2), &[], &[]),
        // The old name is taken.
        ("1 file /x one\n 2 move /x /y\n 3 file /x two", op(2), &["/x file two", "/y file one"], &["/y"]),
        ("1 file /x one\n 2 gone /x\n 3 file /x two", op(2), &["/x file two"], &["/x"]),
        // Two stood there, one after the other: the last comes back.
        ("1 file /x one\n 2 gone /x\n 1 file /x two\n 2 gone /x", pid(2), &["/x file two"], &["/x"]),
        // The old directory is gone, or another stands there now.
        ("1 dir /a; file /a/x one\n 2 gone /a/x\n 3 gone /a", op(2), &[], &["/a/x"]),
        ("1 dir /a; file /a/x one\n 2 gone /a/x\n 3 gone /a\n 3 dir /a", op(2), &["/a dir"], &["/a/x"]),
        // The directory it stood in has another name by now.
        ("1 dir /a; file /a/x one\n 2 gone /a/x\n 3 move /a /b", op(2), &["/b dir", "/b/x file one"], &[]),
        // Others have put something into the directory.
        ("2 dir /a\n 2 file /a/x two\n 3 file /a/y one", pid(2), &["/a dir", "/a/y file one"], &["/a"]),
        // Going back would put a directory below itself.
        (
            "1 dir /a; dir /b\n 1 move /a /b/a\n 2 move /b/a /a\n 3 move /b /a/b",
            op(3),
            &["/a dir", "/a/b dir"],
            &["/a"],
        ),
        // A version that was brought back, also of what is gone.
        (
            "1 file /x one\n 1 file /x two\n 2 file /x three",
            Undo::Version(VersionId(1)),
            &["/x file one"],
            &[],
        ),
        ("1 file /x one\n 1 move /x /y\n 1 gone /y", Undo::Version(VersionId(1)), &["/y file one"], &[]),
        ("1 file /x one\n 2 stale /x two", Undo::Version(VersionId(2)), &["/x file two"], &[]),
        // The root is as old as the workspace.
        ("0 file /x one", pid(0), &[], &[]),
    ];
    for (script, undo, want, want_left) in rows {
        let mut story = Story::of(script);
        let left: Vec<_> = story.undo(9, *undo).iter().map(ToString::to_string).collect();
        assert_eq!((story.tree(), left), (own(want), own(want_left)), "{script}\n{undo:?}");
    }
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn what_never_wrote_cannot_be_undone() {
    let mut story = Story::of("1 file /x one");
    let unknown = [op(0), op(2), pid(0), pid(2), Undo::Version(VersionId(9)), op(u64::MAX), pid(u64::MAX)];
    assert_eq!(unknown.map(|undo| story.rows(undo)), [const { None }; 7]);
}

#[test]
fn a_row_says_head_and_before_and_the_move() {
    let mut story = Story::of("1 dir /a\n 1 file /a/x one\n 2 move /a/x /y");
    let rows = story.rows(op(3)).unwrap();
    let versions = &story.model.versions;
    let (old, new) = (versions[&VersionId(2)].clone(), versions[&VersionId(3)].clone());
    let want = abi::tree::UndoRow {
        path: new.path,
        file: new.file,
        dir: abi::ROOT,
        head: new.id,
        untouched: true,
        made: new.id,
        made_label: new.label,
        made_content: None,
        head_content: Some((new.content, new.mode)),
        label: new.label,
        moved_from: Some((old.path.clone(), versions[&VersionId(1)].file)),
        named: [old.label, new.label].into(),
        told: [old.label, new.label, versions[&VersionId(1)].label].into(),
        homes: rows[0].homes.clone(),
        before: Some(old),
    };
    assert_eq!(rows, [want]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn the_last_operation_leaves_no_trace(script in scripts()) {
        let mut story = Story::new();
        let mut before = vec![];
        for line in &script {
            before = story.tree();
            story.line(line);
        }
        let last = story.model.past.len() as u64 - 1;
        let left = story.undo(9, op(last));
        // A version kept beside the head was never what stands there; it is said to be left.
        prop_assert!(left.is_empty() || script.last().is_some_and(|line| line.contains("stale")), "{left:?}");
        prop_assert_eq!(story.tree(), before);
    }
}
