//! What lies below the ceiling of who asks is not there for it: left out of everything, before every limit,
//! and counted where a count tells no more than the listing does.

use crate::story::{Story, path};
use abi::{
    LabelId, OpId,
    call::Sought,
    fact::{Fact, Lookup, View},
};
use std::collections::BTreeSet;
use store::{Ask, Batch};

/// The label of a version is its number modulo 3 here: those of label 1 lie below.
fn seen() -> View {
    View { below: BTreeSet::from([LabelId(1)]), ..View::everything() }
}

fn story() -> Story {
    // /a v1 hidden, /a/x v2, /a/y v3, /z v4 hidden, /z v5, /z v6, /z v7 hidden beside it, /w v8. What is
    // called z is seen, but not what it is called: v4 gave the name.
    Story::of(
        "1 dir /a\n 1 file /a/x tile\n 1 file /a/y tile\n 1 file /z tile\n 1 file /z tile two\n
         1 file /z tile three\n 1 stale /z tile four\n 1 file /w tile",
    )
}

fn ids(shown: &store::Shown) -> (Vec<u64>, u64) {
    (shown.versions.iter().map(|version| version.id.0).collect(), shown.below)
}

fn names(batch: &mut Batch<'_>, at: &str, view: &View) -> (Vec<String>, u64) {
    let listing = batch.list(&path(at), None, view).unwrap();
    (listing.entries.into_iter().map(|entry| entry.name).collect(), listing.below)
}

#[test]
fn a_listing_leaves_it_out_and_says_how_much() {
    let mut story = story();
    let mut batch = story.workspace.begin().unwrap();
    assert_eq!(names(&mut batch, "/", &View::everything()), (vec!["a".into(), "w".into(), "z".into()], 0));
    assert_eq!(names(&mut batch, "/", &seen()), (vec!["w".into()], 2));
    assert_eq!(names(&mut batch, "/a", &seen()), (vec!["x".into(), "y".into()], 0));
}

#[test]
fn a_history_has_as_many_as_were_asked_for() {
    let mut story = story();
    let mut batch = story.workspace.begin().unwrap();
    let mut history = |limit, view: &View| ids(&batch.history(&path("/z"), (None, limit), view).unwrap());
    assert_eq!(history(9, &View::everything()), (vec![7, 6, 5, 4], 0));
    assert_eq!(history(9, &seen()), (vec![6, 5], 2));
    assert_eq!(history(1, &seen()), (vec![6], 1));
    // Of a file of which nothing is seen, nothing is told.
    let hidden = batch.history(&path("/a"), (None, 9), &seen()).unwrap();
    assert_eq!(hidden, batch.history(&path("/none"), (None, 9), &seen()).unwrap());
}

#[test]
fn operations_and_conflicts_leave_it_out() {
    let mut story = Story::of("1 file /a one; file /b two; file /c three\n 1 file /a four\n 1 stale /b five");
    ["1 file /d six", "1 stale /d seven", "1 stale /d eight"].into_iter().for_each(|line| story.line(line));
    let mut batch = story.workspace.begin().unwrap();
    assert_eq!(ids(&batch.operation(OpId(1), &seen(), 9).unwrap()), (vec![2, 3], 1));
    assert_eq!(ids(&batch.operation(OpId(1), &seen(), 1).unwrap()), (vec![2], 1));
    assert_eq!(ids(&batch.operation(OpId(2), &seen(), 9).unwrap()), (vec![], 0));
    let all = batch.conflicts(&View::everything()).unwrap();
    let hidden = |label: LabelId| label == LabelId(1);
    let want: Vec<_> =
        all.iter().filter(|(_, ours, head)| !hidden(ours.label) && !hidden(head.label)).cloned().collect();
    assert!(!want.is_empty() && want.len() < all.len(), "{all:?}");
    assert_eq!(batch.conflicts(&seen()).unwrap(), want);
}

#[test]
fn a_search_fills_its_limit_with_what_is_seen() {
    let mut story = Story::of("1 file /a tile\n 1 file /b tile\n 1 file /c tile\n 1 file /d tile");
    let find = |story: &mut Story, limit| {
        let (path, author, label, since, until) = (None, None, None, None, None);
        let sought = Sought { query: "tile".into(), path, author, label, since, until, at: None, limit };
        let view = seen();
        let ask = Ask { sought: &sought, view: &view, suits: &|_| true };
        let found = story.workspace.begin().unwrap().search(&ask, &mut || false).unwrap();
        let mut all: Vec<u64> = found.hits.iter().map(|hit| hit.version.id.0).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(find(&mut story, 9), [2, 3]);
    assert_eq!(find(&mut story, 2), [2, 3]);
}

#[test]
fn the_kernel_is_told_a_count() {
    let mut story = story();
    let below = seen().below;
    let rows = [("/", 2), ("/a", 0), ("/none", 0), ("/z", 0)];
    for (at, want) in rows {
        let lookup = Lookup::Hidden { path: path(at), at: None, below: below.clone() };
        assert_eq!(story.ask(lookup), Fact::Count(want), "{at}");
    }
}
