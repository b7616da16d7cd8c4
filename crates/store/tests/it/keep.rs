//! Any mix of writes, rules, thinning and sweeping: what must stay readable does, and what a version is
//! stays told.

use crate::story::{Story, path, record, scripts};
use abi::{
    Hash, Seq, VersionId,
    fact::{Fact, Lookup, View},
    path::Pattern,
    record::Entry,
    tree::{Keep, Node, Retain},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Thins as the kernel would, by these rules at this time.
fn thin(story: &mut Story, rules: &[Retain], now: u64) {
    let lookup = Lookup::Surplus { rules: rules.to_vec(), now, seen: BTreeSet::new() };
    let Fact::Surplus(versions) = story.ask(lookup) else { panic!("another fact") };
    if !versions.is_empty() {
        let seq = story.model.past.len() as u64;
        story.append(&record(seq, 0, Entry::Thinned { versions }));
    }
}

fn rules() -> impl Strategy<Value = Vec<Retain>> {
    let keep = prop_oneof![(1..4_u32).prop_map(Keep::Last), (0..2_u32).prop_map(Keep::Days),];
    let rule = ("/[ab]|/\\*\\*|/a/\\*\\*", keep)
        .prop_map(|(pattern, keep)| Retain { pattern: Pattern::parse(&pattern).unwrap(), keep });
    prop::collection::vec(rule, 0..3)
}

/// Which versions must be readable, whatever the rules: heads, open conflicts, what these were made from.
fn needed(story: &mut Story) -> BTreeSet<VersionId> {
    let mut all: BTreeSet<VersionId> = story.model.now().heads.values().map(|head| head.id).collect();
    for (_, ours, _) in story.workspace.begin().unwrap().conflicts(&View::everything()).unwrap() {
        all.insert(ours.id);
        all.extend(ours.parents);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn what_is_needed_stays_and_what_it_was_is_told(
        parts in prop::collection::vec((scripts(), rules(), 0..3_u64), 1..4)
    ) {
        let mut story = Story::new();
        // Versions that were needed when they might have gone; once gone, nothing brings them back.
        let mut swept: BTreeMap<Hash, Seq> = BTreeMap::new();
        for (script, rules, days) in parts {
            script.iter().for_each(|line| story.line(line));
            // Bases that an earlier sweep took cannot be needed again: the kernel keeps what was seen.
            thin(&mut story, &rules, days * 24 * 3600 * 1_000_000);
            let before = needed(&mut story);
            story.workspace.sweep().unwrap();
            for (id, version) in story.model.versions.clone() {
                let told = story.workspace.begin().unwrap().version(id).unwrap();
                prop_assert_eq!(told.as_ref(), Some(&version));
                if !matches!(version.node, Node::File | Node::Link) {
                    continue;
                }
                let hash = version.content.hash;
                match story.workspace.blob(&hash).unwrap() {
                    Some(bytes) => {
                        prop_assert_eq!(bytes.len() as u64, version.content.bytes);
                        swept.remove(&hash);
                    }
                    None => {
                        let gone = story.workspace.begin().unwrap().gone(&hash).unwrap();
                        let seq = gone.map(|record| record.seq);
                        prop_assert!(seq.is_some(), "nobody knows why {} has no bytes", id);
                        let early = swept.insert(hash, seq.unwrap_or_default()).is_some();
                        prop_assert!(early || !before.contains(&id), "{} was needed", id);
                    }
                }
            }
        }
        let whole = story.workspace.replay(Seq(0), &mut |_| {}).unwrap();
        prop_assert_eq!(whole, story.workspace.head().0.0);
    }
}

#[test]
fn shared_bytes_stay_while_anyone_kept_needs_them() {
    let mut story = Story::of("1 file /a x\n 1 file /a y\n 1 file /a z\n 2 file /b x\n 2 file /b y");
    let last = Retain { pattern: Pattern::parse("/**").unwrap(), keep: Keep::Last(1) };
    thin(&mut story, std::slice::from_ref(&last), 1);
    // x is an old version of both, y is the head of /b, z that of /a.
    assert_eq!(story.workspace.sweep(), Ok(1));
    let kept =
        ["x", "y", "z"].map(|text| story.workspace.blob(&Hash::of(text.as_bytes())).unwrap().is_some());
    assert_eq!(kept, [false, true, true]);
    // Written again, it is there again, and nothing goes twice.
    story.line("1 file /c x");
    assert_eq!(story.workspace.sweep(), Ok(0));
    assert_eq!(story.workspace.blob(&Hash::of(b"x")), Ok(Some(b"x".to_vec())));
    assert_eq!(story.ask(Lookup::Kept { version: VersionId(1) }), Fact::Holds(true));
    assert_eq!(
        story
            .workspace
            .begin()
            .unwrap()
            .history(&path("/a"), (None, 9), &View::everything())
            .unwrap()
            .versions
            .len(),
        3
    );
}
