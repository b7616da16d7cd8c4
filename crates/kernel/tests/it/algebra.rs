//! The two algebras that authority and flow stand on: patterns under inclusion, labels under join.

use abi::{
    label::{Integrity, Label, Readers},
    path::Pattern,
};
use proptest::prelude::*;

/// Names that patterns may hold, and one that none does.
const NAMES: [&str; 3] = ["a", "b", "z"];

fn pattern() -> impl Strategy<Value = Pattern> {
    let part = prop_oneof![Just("a"), Just("b"), Just("*"), Just("**")];
    prop::collection::vec(part, 0..4)
        .prop_map(|parts| Pattern::parse(&format!("/{}", parts.join("/"))).unwrap())
}

/// Every path of up to six names.
fn paths() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..6 {
        last = last.iter().flat_map(|path| NAMES.map(|name| format!("{path}/{name}"))).collect();
        all.extend(last.iter().cloned());
    }
    all[0] = "/".into();
    all
}

fn label() -> impl Strategy<Value = Label> {
    let integrity = prop_oneof![
        Just(Integrity::External),
        Just(Integrity::Workspace),
        Just(Integrity::Operator),
        Just(Integrity::System)
    ];
    let source =
        prop_oneof![Just("mount:m"), Just("mount:m/1"), Just("mount:m/2"), Just("operator:a"), Just("x/1")];
    let sources = prop::collection::btree_set(source.prop_map(String::from), 0..4);
    let names = prop::collection::btree_set("[abc]", 0..3);
    let readers = prop_oneof![Just(Readers::Any), names.prop_map(Readers::Only)];
    let bare = (integrity, sources, readers);
    let bare = bare.prop_map(|(integrity, sources, readers)| Label { integrity, sources, readers });
    // A label as it comes about: a join. Alone, `mount:m` beside `mount:m/1` is none.
    bare.prop_map(|label| Label { sources: Default::default(), ..label.clone() }.join(&label))
}

/// A label with so many sources that a join of a few collapses: items of some mounts, and many principals.
fn crowded() -> impl Strategy<Value = Label> {
    let source = prop_oneof![
        (0..3_u8, 0..60_u8).prop_map(|(mount, item)| format!("mount:m{mount}/{item}")),
        (0..90_u8).prop_map(|agent| format!("agent:a{agent}")),
    ];
    let sources = prop::collection::btree_set(source, 0..64);
    sources.prop_map(|sources| {
        let label = Label { integrity: Integrity::External, sources, readers: Readers::Any };
        Label { sources: Default::default(), ..label.clone() }.join(&label)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Inclusion says exactly what matching says of every path.
    #[test]
    fn inclusion_is_matching(outer in pattern(), inner in pattern()) {
        let all = paths();
        let counter = all.iter().find(|path| inner.matches(path) && !outer.matches(path));
        prop_assert_eq!(outer.includes(&inner), counter.is_none(), "{} {} {:?}", outer, inner, counter);
    }

    /// Join is a least upper bound: commutative, associative, idempotent, and both flow to it.
    #[test]
    fn join_is_a_lattice(a in label(), b in label(), c in label()) {
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(a.join(&a), a.clone());
        prop_assert!(a.flows_to(&a.join(&b)) && b.flows_to(&a.join(&b)));
        prop_assert!(!(a.flows_to(&c) && b.flows_to(&c)) || a.join(&b).flows_to(&c));
        prop_assert!(a.join(&b).integrity <= a.integrity);
    }

    /// Beyond 64 sources a join names mounts, then many: it stays idempotent, commutative and monotone.
    #[test]
    fn joins_collapse_and_lose_nothing(a in crowded(), b in crowded(), c in crowded()) {
        let ab = a.join(&b);
        prop_assert_eq!(&ab, &b.join(&a));
        prop_assert_eq!(&ab.join(&ab), &ab);
        prop_assert!(ab.sources.len() <= abi::limits::LABEL_SOURCES_MAX);
        prop_assert!(a.flows_to(&ab) && b.flows_to(&ab));
        let abc = ab.join(&c);
        prop_assert!(ab.flows_to(&abc) && c.flows_to(&abc) && a.flows_to(&abc));
    }
}
