//! What a search finds against a naive look through the model: views, filters, moments; and an index that is
//! lost, damaged, somebody else's or behind.

use crate::story::{QUICK, Story, path, record};
use abi::{
    LabelId, OpId, Seq, VersionId,
    call::{At, Sought},
    fact::View,
    label::Integrity,
    path::{Pattern, TreePath, is_unindexed},
    record::Entry,
    tree::{Node, Version},
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use store::{Ask, Found, Hit, Options, Workspace};

fn sought(query: &str) -> Sought {
    let query = query.to_owned();
    Sought { query, path: None, author: None, label: None, since: None, until: None, at: None, limit: 1_000 }
}

/// Labels of these tests: 0 is external, 1 and 2 are not.
fn is_external(label: LabelId) -> bool {
    label == LabelId(0)
}

fn search(workspace: &mut Workspace, sought: &Sought, view: &View) -> Found {
    let suits = |label| is_external(label) == (sought.label == Some(Integrity::External));
    let ask = Ask { sought, view, suits: &suits };
    workspace.begin().unwrap().search(&ask, &mut || false).unwrap()
}

fn shown(found: &Found) -> Vec<String> {
    let mut all: Vec<String> = found.hits.iter().map(|hit| hit.path.to_string()).collect();
    all.sort();
    all
}

/// By the index, and all of it.
fn finds(story: &mut Story, query: &str) -> Vec<String> {
    let found = search(&mut story.workspace, &sought(query), &View::everything());
    assert_eq!((story.workspace.indexed(), found.indexed), (Some(found.seq), found.seq));
    shown(&found)
}

fn index(story: &Story) -> PathBuf {
    story.dir.path().join("index.db")
}

fn reopen(story: &mut Story, options: &Options) {
    // Drops the open one, with its index, before the file is opened again.
    let elsewhere = tempfile::TempDir::new().unwrap();
    story.workspace = Workspace::create(elsewhere.path(), &QUICK).unwrap();
    story.workspace = Workspace::open(story.dir.path(), options).unwrap();
}

/// Whether the words stand one after the other.
fn has(words: &[String], term: &str) -> bool {
    let (term, open) = (term.trim_end_matches('*'), term.ends_with('*'));
    let term: Vec<&str> = term.trim_matches('"').split(' ').collect();
    words.windows(term.len()).any(|part| {
        let last = part.len() - 1;
        part.iter()
            .zip(&term)
            .enumerate()
            .all(|(ix, (word, want))| if open && ix == last { word.starts_with(want) } else { word == want })
    })
}

fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(str::to_ascii_lowercase).collect()
}

/// Terms of the queries these tests make: words, and phrases in quotes.
fn terms(query: &str) -> Vec<String> {
    query.split('&').map(str::to_owned).collect()
}

/// Every file that stood at a moment and holds the terms, by looking at each.
fn naive(story: &Story, sought: &Sought, view: &View) -> Vec<String> {
    let at = sought.at.map(|at| match at {
        At::Seq(seq) => seq,
        At::Time(_) => panic!("not asked"),
    });
    let state = story.model.at(at);
    let wants = |path: &TreePath, head: &Version| {
        head.node == Node::File
            && sought.path.as_ref().is_none_or(|top| path.is_below(top))
            && sought.author.as_ref().is_none_or(|author| *author == head.actor)
            && sought.label.is_none_or(|label| is_external(head.label) == (label == Integrity::External))
            && sought.since.is_none_or(|since| head.mtime >= since)
            && sought.until.is_none_or(|until| head.mtime < until)
            && view.shown.iter().any(|pattern| pattern.matches(path.as_str()))
            && !view.denied.iter().any(|pattern| pattern.matches(path.as_str()))
            && !is_unindexed(path)
    };
    let holds = |path: &TreePath, head: &Version| {
        let text = story.workspace.blob(&head.content.hash).unwrap().unwrap();
        let (name, text) = (words(path.name()), words(&String::from_utf8(text).unwrap()));
        terms(&sought.query).iter().all(|term| has(&name, term) || has(&text, term))
    };
    let all = state.below(&TreePath::root(), abi::ROOT);
    let found = all.into_iter().filter(|(path, _, head)| wants(path, head) && holds(path, head));
    let mut found: Vec<String> = found.map(|(path, ..)| path.to_string()).collect();
    found.sort();
    found
}

#[test]
fn words_phrases_beginnings_and_names() {
    let mut story = Story::of(
        "1 dir /d; file /d/tile.md Use,Thin-Set:adhesive; file /fliese.txt Übermut,maß,中文
         1 file /d/other.md set.thin,adhere; file /bin \u{1}\u{2}tile",
    );
    let rows: &[(&str, &[&str])] = &[
        ("adhesive", &["/d/tile.md"]),
        ("ADHE*", &["/d/other.md", "/d/tile.md"]),
        ("thin set", &["/d/other.md", "/d/tile.md"]),
        ("\"thin set\"", &["/d/tile.md"]),
        ("thin-set", &["/d/tile.md"]),
        ("tile", &["/bin", "/d/tile.md"]),
        ("md", &["/d/other.md", "/d/tile.md"]),
        ("md adhesive", &["/d/tile.md"]),
        ("ubermut", &["/fliese.txt"]),
        ("maß", &["/fliese.txt"]),
        ("中*", &["/fliese.txt"]),
        ("nothing", &[]),
        ("adhesive nothing", &[]),
        // No syntax of the index reaches it.
        ("adhesive OR nothing", &[]),
        ("NOT adhesive", &[]),
        ("name:tile", &[]),
        ("\"", &[]),
        ("*", &[]),
        ("^tile", &["/bin", "/d/tile.md"]),
        ("{name}: (tile)", &[]),
        ("tile'); DROP TABLE text;--", &[]),
        ("\"thin set", &["/d/tile.md"]),
    ];
    for (query, want) in rows {
        assert_eq!(finds(&mut story, query), *want, "{query}");
    }
    let found = search(&mut story.workspace, &sought("thin adhesive"), &View::everything());
    let [Hit { snippet, marks, .. }] = &found.hits[..] else { panic!("{found:?}") };
    assert_eq!((snippet.as_str(), &marks[..]), ("Use,Thin-Set:adhesive", &[(4, 8), (13, 21)][..]));
}

#[test]
fn a_name_counts_more_than_a_text_and_the_limit_comes_last() {
    let mut story = Story::of("1 file /b tile,tile; file /c x,tile,y,z; file /tile.md other");
    let found = search(&mut story.workspace, &sought("tile"), &View::everything());
    let order: Vec<&str> = found.hits.iter().map(|hit| hit.path.as_str()).collect();
    assert_eq!((order[0], order.len(), found.cut), ("/tile.md", 3, false));
    let view = View {
        shown: vec![Pattern::everything()],
        denied: vec![Pattern::parse("/tile.md").unwrap()],
        below: BTreeSet::new(),
    };
    let one = Sought { limit: 1, ..sought("tile") };
    let seen = search(&mut story.workspace, &one, &View::everything());
    assert_eq!(shown(&seen), ["/tile.md"], "control: this is what the view hides");
    // With the best one hidden the next takes its place: the view is applied before the limit.
    let found = search(&mut story.workspace, &one, &view);
    assert_eq!((shown(&found), found.cut), (vec![order[1].to_owned()], true));
}

#[test]
fn what_changes_is_found_as_it_stands() {
    let mut story = Story::of("1 dir /a; file /a/x needle; file /y needle");
    let rows: &[(&str, &[&str])] = &[
        ("1 file /a/x straw", &["/y"]),
        ("1 undo op 2", &["/a/x", "/y"]),
        ("1 move /a /b", &["/b/x", "/y"]),
        ("2 stale /y straw", &["/b/x", "/y"]),
        ("1 move /b/x /needle.md", &["/needle.md", "/y"]),
        ("1 gone /y", &["/needle.md"]),
        ("1 file /needle.md other", &["/needle.md"]),
        ("1 move /needle.md /b/z", &[]),
        ("1 undo op 9", &["/needle.md"]),
        ("1 undo op 7", &["/needle.md", "/y"]),
        ("1 dir /node_modules; move /y /node_modules/y", &["/needle.md"]),
        // What leaves a directory of scratch is indexed again, whole.
        ("1 dir /node_modules/deep; file /node_modules/deep/z needle", &["/needle.md"]),
        ("1 move /node_modules /kept", &["/kept/deep/z", "/kept/y", "/needle.md"]),
        ("1 move /kept /.git", &["/needle.md"]),
        ("1 move /.git /kept", &["/kept/deep/z", "/kept/y", "/needle.md"]),
        ("1 gone /kept", &["/needle.md"]),
    ];
    for (line, want) in rows {
        story.line(line);
        assert_eq!(finds(&mut story, "needle"), *want, "{line}");
        let found = search(&mut story.workspace, &sought("needle"), &View::everything());
        assert_eq!((found.indexed, found.cut), (found.seq, false));
    }
    // And made anew it says the same.
    let file = index(&story);
    fs::remove_file(&file).unwrap();
    reopen(&mut story, &QUICK);
    assert_eq!(finds(&mut story, "needle"), ["/needle.md"]);
}

#[test]
fn what_was_purged_is_not_found_and_the_index_is_made_anew() {
    let mut story = Story::of("1 file /x secret; file /y other");
    assert_eq!(finds(&mut story, "secret"), ["/x"]);
    let reason = story.put(b"asked for");
    let file = story.model.now().heads.values().find(|head| head.path == path("/x")).unwrap().file;
    story.line("1 gone /x");
    let seq = story.model.past.len() as u64;
    let purged = Entry::Purged { path: path("/x"), files: vec![file], upto: VersionId(3), reason };
    story.append(&record(seq, 0, purged));
    story.workspace.scrub().unwrap();
    assert!(!index(&story).exists());
    assert_eq!((finds(&mut story, "secret"), finds(&mut story, "other")), (vec![], vec!["/y".to_owned()]));
    let bytes = fs::read(index(&story)).unwrap();
    assert!(!abi::scan::has_text(&bytes, b"secret"));
}

#[test]
fn a_lag_is_told_and_a_rebuild_begins_at_nothing() {
    let mut story = Story::of("1 file /x needle; file /y needle");
    assert!(story.workspace.is_index_behind());
    story.workspace.fold_index(&mut || false).unwrap();
    assert!(!story.workspace.is_index_behind());
    story.line("1 file /z needle");
    let view = View::everything();
    let ask = Ask { sought: &sought("needle"), view: &view, suits: &|_| true };
    let found = story.workspace.begin().unwrap().search(&ask, &mut || true).unwrap();
    // One step was made, which read the record; the file itself was not taken.
    assert_eq!((shown(&found), found.indexed, found.seq), (vec!["/x".into(), "/y".into()], Seq(1), Seq(2)));
    let mut steps = 0;
    while story.workspace.is_index_behind() {
        steps += 1;
        story.workspace.fold_index(&mut || true).unwrap();
    }
    assert!((1..8).contains(&steps), "{steps}");
    let found = story.workspace.begin().unwrap().search(&ask, &mut || true).unwrap();
    assert_eq!((shown(&found).len(), found.indexed), (3, Seq(2)));
}

#[test]
fn a_batch_that_is_dropped_leaves_nothing_in_the_index() {
    let mut story = Story::of("1 file /x needle");
    assert_eq!(finds(&mut story, "needle"), ["/x"]);
    let change = story.model.now().heads.values().find(|head| head.path == path("/x")).unwrap().clone();
    let content = story.put(b"straw");
    let change = abi::tree::Change {
        file: change.file,
        dir: abi::ROOT,
        path: change.path.clone(),
        moved_from: None,
        version: VersionId(99),
        node: Node::File,
        content,
        mode: 0o644,
        mtime: 5,
        label: LabelId(0),
        parents: vec![change.id],
        diverged: false,
        scratch: false,
    };
    let wrote = Entry::Wrote { op: OpId(9), changes: vec![change], message: None, undoes: None };
    let view = View::everything();
    let suits = |_| true;
    {
        let mut batch = story.workspace.begin().unwrap();
        batch.append(&record(2, 1, wrote)).unwrap();
        let straw = sought("straw");
        let found = batch.search(&Ask { sought: &straw, view: &view, suits: &suits }, &mut || false).unwrap();
        assert_eq!(shown(&found), ["/x"], "an event sees what the ones before it decided");
    }
    assert_eq!((finds(&mut story, "straw"), finds(&mut story, "needle")), (vec![], vec!["/x".to_owned()]));
}

/// Ways to lose an index.
fn harm(file: &Path, how: u8) {
    let wal = PathBuf::from(format!("{}-wal", file.display()));
    let bytes = fs::read(file).unwrap();
    match how {
        0 => {
            fs::remove_file(file).unwrap();
            fs::remove_file(wal).ok();
        }
        1 => {
            fs::remove_file(wal).ok();
            fs::write(file, b"no database at all, but long enough to be read as one: it has no header")
                .unwrap();
        }
        2 => {
            fs::remove_file(wal).ok();
            fs::write(file, b"").unwrap();
        }
        3 => fs::write(file, &bytes[..bytes.len() / 2]).unwrap(),
        // Pages full of nonsense behind a header that is right.
        _ => {
            fs::remove_file(wal).ok();
            let mut bytes = bytes;
            bytes.iter_mut().skip(4096).step_by(3).for_each(|byte| *byte ^= 0x5a);
            fs::write(file, bytes).unwrap();
        }
    }
}

#[test]
fn an_index_that_is_lost_or_damaged_is_made_anew() {
    for how in 0..5 {
        let mut story = Story::of("1 dir /a; file /a/x needle,one; file /y needle,two");
        for ix in 0..60 {
            story.line(&format!("1 file /f{ix} straw{ix}"));
        }
        assert_eq!(finds(&mut story, "needle"), ["/a/x", "/y"]);
        let file = index(&story);
        reopen(&mut story, &QUICK);
        // Everything in the file itself, where it is harmed.
        let settle = rusqlite::Connection::open(&file).unwrap();
        settle.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(settle);
        harm(&file, how);
        assert_eq!(finds(&mut story, "needle"), ["/a/x", "/y"], "{how}");
        assert_eq!(finds(&mut story, "straw7"), ["/f7"], "{how}");
        story.line("1 file /z needle");
        assert_eq!(finds(&mut story, "needle"), ["/a/x", "/y", "/z"], "{how}");
    }
}

#[test]
fn an_index_of_another_workspace_is_not_believed() {
    let mut mine = Story::of("1 file /x needle");
    let mut theirs = Story::of("2 file /x straw");
    assert_eq!((finds(&mut mine, "needle").len(), finds(&mut theirs, "straw").len()), (1, 1));
    let (from, to) = (index(&theirs), index(&mine));
    reopen(&mut theirs, &QUICK);
    reopen(&mut mine, &QUICK);
    for end in ["", "-wal"] {
        fs::copy(format!("{}{end}", from.display()), format!("{}{end}", to.display())).unwrap();
    }
    assert_eq!((finds(&mut mine, "straw"), finds(&mut mine, "needle")), (vec![], vec!["/x".to_owned()]));
}

#[test]
fn where_no_index_can_be_the_tree_is_searched() {
    let mut story = Story::of("1 dir /a; file /a/x needle; file /y needle,straw");
    // A directory in its place cannot be removed as a file, whoever runs this test.
    fs::create_dir(index(&story)).unwrap();
    let found = search(&mut story.workspace, &sought("needle"), &View::everything());
    assert_eq!((shown(&found).len(), found.indexed, found.cut), (2, found.seq, false));
    assert!(!story.workspace.is_index_behind(), "nobody tries for ever");
    fs::remove_dir(index(&story)).unwrap();
    assert_eq!(finds(&mut story, "straw"), ["/y"]);
    assert!(index(&story).exists());
    assert_eq!(fs::metadata(index(&story)).unwrap().permissions().mode() & 0o777, 0o644 & umask());
}

/// What a new file may be here.
fn umask() -> u32 {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("f"), b"").unwrap();
    fs::metadata(dir.path().join("f")).unwrap().permissions().mode() & 0o777
}

#[test]
fn no_room_for_the_index_is_no_trouble_of_the_workspace() {
    let mut story = Story::of("1 file /x needle");
    for ix in 0..40 {
        story.line(&format!("1 file /f{ix} {}", format!("word{ix}.").repeat(400)));
    }
    // Too few pages for the index, which counts its own.
    reopen(&mut story, &Options { pages_max: Some(12), ..QUICK });
    let found = search(&mut story.workspace, &sought("needle"), &View::everything());
    assert_eq!((shown(&found), found.indexed), (vec!["/x".to_owned()], found.seq));
}

/// A corpus and a question of it.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let at = || "(/[ab]){1,3}|/node_modules/[ab]|/\\.git/a";
    let text = || "(xy|yx|x|y|xyz|XY)([.,](xy|yx|x|y|xyz)){0,3}";
    let act = prop_oneof![
        5 => (at(), text()).prop_map(|(at, text)| format!("file {at} {text}")),
        4 => "(/[ab]){1,2}|/node_modules|/\\.git".prop_map(|at| format!("dir {at}")),
        1 => at().prop_map(|at| format!("link {at} /xy")),
        2 => at().prop_map(|at| format!("gone {at}")),
        3 => (at(), at()).prop_map(|(from, to)| format!("move {from} {to}")),
        1 => ("(/[ab]){1,2}", Just("/node_modules")).prop_map(|(from, to)| format!("move {from} {to}")),
        1 => ("(/[ab]){1,2}", Just("/node_modules")).prop_map(|(to, from)| format!("move {from} {to}")),
        1 => (at(), text()).prop_map(|(at, text)| format!("stale {at} {text}")),
    ];
    let acts = (1..4_u8, prop::collection::vec(act, 1..4))
        .prop_map(|(pid, acts)| format!("{pid} {}", acts.join("; ")));
    let undo =
        (1..4_u8, "(op|version) 1?[0-9]|pid [0-3]").prop_map(|(pid, what)| format!("{pid} undo {what}"));
    prop::collection::vec(prop_oneof![6 => acts, 1 => undo], 4..20)
}

fn questions() -> impl Strategy<Value = (Sought, View)> {
    let term = "xy|yx|x|y|a|xyz|xy\\*|\"x y\"|\"xy x\"|\"y yx\"";
    let query = prop::collection::vec(term, 1..3).prop_map(|terms| terms.join("&"));
    let pattern = "(/[ab*]){1,2}|/[ab]/\\*\\*|/\\*\\*|/\\*\\*/[ab]";
    let patterns = |least, most| {
        prop::collection::vec(pattern.prop_map(|text| Pattern::parse(&text).unwrap()), least..most)
    };
    let filter = (
        prop::option::weighted(0.3, "(/[ab]){1,2}".prop_map(|text| path(&text))),
        prop::option::weighted(0.2, "agent:[123]"),
        prop::option::weighted(0.2, prop_oneof![Just(Integrity::External), Just(Integrity::Workspace)]),
        prop::option::weighted(0.2, 1_000..1_030_u64),
        prop::option::weighted(0.2, 1_000..1_030_u64),
        prop::option::weighted(0.4, 0..20_u64),
    );
    (query, patterns(1, 3), patterns(0, 2), filter).prop_map(|(query, shown, denied, filter)| {
        let (path, author, label, since, until, at) = filter;
        let at = at.map(|seq| At::Seq(Seq(seq)));
        (
            Sought { path, author, label, since, until, at, ..sought(&query) },
            View { shown, denied, below: BTreeSet::new() },
        )
    })
}

/// The same question as it is typed.
fn typed(sought: &Sought) -> Sought {
    Sought { query: sought.query.replace('&', " "), ..sought.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn a_search_finds_what_looking_at_each_file_finds(
        script in lines(),
        asked in prop::collection::vec(questions(), 6),
        stops in prop::collection::vec(0..3_u8, 20),
    ) {
        let mut story = Story::new();
        for (ix, line) in script.iter().enumerate() {
            story.line(line);
            // Folded at any time, in any parts.
            match stops[ix % stops.len()] {
                0 => {}
                1 => story.workspace.fold_index(&mut || true).unwrap(),
                _ => story.workspace.fold_index(&mut || false).unwrap(),
            }
        }
        for (question, view) in &asked {
            let found = search(&mut story.workspace, &typed(question), view);
            prop_assert_eq!(shown(&found), naive(&story, question, view), "{:?} {:?}", question, view);
            prop_assert!(!found.cut && found.indexed == found.seq);
            let by_index = question.at.is_some() || story.workspace.indexed() == Some(found.seq);
            prop_assert!(by_index, "there was no index");
            for hit in &found.hits {
                let at = question.at.map(|at| match at { At::Seq(seq) => seq, At::Time(_) => Seq(0) });
                let stood = story.model.at(at).place(&hit.path).head;
                prop_assert_eq!(Some(&hit.version), stood.as_ref());
            }
            // A limit keeps the best of them, and says that there are more.
            let all: Vec<_> = found.hits.iter().map(|hit| hit.path.clone()).collect();
            let few = search(&mut story.workspace, &Sought { limit: 1, ..typed(question) }, view);
            prop_assert_eq!(few.hits.iter().map(|hit| &hit.path).collect::<Vec<_>>(),
                all.iter().take(1).collect::<Vec<_>>());
            prop_assert_eq!(few.cut, all.len() > 1);
        }
    }

    #[test]
    fn the_index_and_the_matcher_agree_on_any_text(
        text in "[aAbBéÉeç ßÄaø.ΣσЙй中\u{301}0-2_-]{0,40}",
        query in "[aAbBéÉeç ßÄaø.ΣσЙй中\u{301}0-2\"_-]{1,6}\\*?",
    ) {
        let Ok(parsed) = abi::query::Query::parse(&query) else { return Ok(()) };
        let mut story = Story::new();
        let content = story.put(text.as_bytes());
        story.line("1 file /x needle");
        let head = story.model.now().heads.values().find(|head| head.path == path("/x")).unwrap().clone();
        let change = abi::tree::Change {
            file: head.file, dir: abi::ROOT, path: head.path, moved_from: None, version: VersionId(9),
            node: Node::File, content, mode: 0o644, mtime: 5, label: LabelId(0), parents: vec![head.id],
            diverged: false, scratch: false,
        };
        story.write(1, vec![change]);
        let found = finds(&mut story, &query);
        prop_assert_eq!(found.len() == 1, parsed.holds("x", &text), "{:?} in {:?}", query, text);
    }

    #[test]
    fn no_query_is_an_error(query in "\\PC{1,40}|[\"*^:(){}+\\-~ab ]{1,60}") {
        let mut story = Story::of("1 file /x a,b");
        finds(&mut story, &query);
        prop_assert_eq!(story.workspace.indexed(), Some(Seq(1)));
    }
}
