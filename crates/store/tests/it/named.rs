//! Who is named where: tokens of a text, the directory that a mount itself brought, URLs in items that were
//! seen; and the bounds of each. What lies beyond a bound names nothing.

use crate::story::{QUICK, path};
use abi::{
    Content, FileId, Hash, LabelId, OpId, Pid, ROOT, Seq, VersionId,
    fact::{Fact, Lookup},
    limits,
    path::Pattern,
    record::{Entry, Record},
    tree::{Change, Node},
};
use std::collections::{BTreeMap, BTreeSet};
use store::Workspace;
use tempfile::TempDir;

/// A tree to which anybody may bring something.
struct Shelf {
    _dir: TempDir,
    workspace: Workspace,
    seq: u64,
    records: u64,
    stands: BTreeMap<String, FileId>,
}

/// A text, tokens, URLs; and what stands in it.
type Row<'a> = (Hash, &'a [&'a str], &'a [&'a str], &'a [bool]);

const MOUNT: &str = "mount:box";

impl Shelf {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let workspace = Workspace::create(dir.path(), &QUICK).unwrap();
        let stands = BTreeMap::from([("/".to_owned(), ROOT)]);
        let mut shelf = Self { _dir: dir, workspace, seq: 0, records: 0, stands };
        for at in
            ["/integrations", "/integrations/box", "/integrations/box/contacts", "/integrations/box/own"]
        {
            shelf.bring(MOUNT, at, Node::Dir, Content::default());
        }
        shelf
    }

    fn bytes(&mut self, bytes: &[u8]) -> Content {
        let mut batch = self.workspace.begin().unwrap();
        let content = batch.put_blob(bytes).unwrap();
        batch.commit().unwrap();
        content
    }

    fn change(&mut self, at: &str, node: Node, content: Content) -> Change {
        self.seq += 1;
        let above = at.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
        let file = *self.stands.entry(at.to_owned()).or_insert(FileId(self.seq + 1));
        Change {
            file,
            dir: self.stands[above],
            path: path(at),
            moved_from: None,
            version: VersionId(self.seq),
            node,
            content,
            mode: 0o644,
            mtime: self.seq,
            label: LabelId((self.seq % 100) as u32),
            parents: vec![],
            diverged: false,
            scratch: false,
        }
    }

    fn wrote(&mut self, actor: &str, changes: Vec<Change>) {
        let last = changes.last().unwrap().version.0;
        let body = Entry::Wrote { op: OpId(last), changes, message: None, undoes: None };
        self.records += 1;
        let seq = Seq(self.records);
        let record =
            Record { seq, at: 1_000 + seq.0, actor: actor.to_owned(), pid: Pid(0), cause: seq, body };
        let mut batch = self.workspace.begin().unwrap();
        batch.append(&record).unwrap();
        batch.commit().unwrap();
    }

    fn bring(&mut self, actor: &str, at: &str, node: Node, content: Content) -> (VersionId, LabelId) {
        let change = self.change(at, node, content);
        let made = (change.version, change.label);
        self.wrote(actor, vec![change]);
        made
    }

    fn file(&mut self, actor: &str, at: &str, text: &str) -> (VersionId, LabelId) {
        let content = self.bytes(text.as_bytes());
        self.bring(actor, at, Node::File, content)
    }

    fn moved(&mut self, actor: &str, from: &str, to: &str, (node, content): (Node, Content)) {
        let file = self.stands[from];
        self.stands.insert(to.to_owned(), file);
        let mut change = self.change(to, node, content);
        change.moved_from = Some(path(from));
        self.wrote(actor, vec![change]);
    }

    fn ask(&mut self, lookup: Lookup) -> Fact {
        self.workspace.begin().unwrap().answer(&lookup).unwrap()
    }

    /// The labels of the files in which each of these stands.
    fn listed(&mut self, patterns: &[&str], literals: &[&str]) -> Vec<BTreeSet<LabelId>> {
        let patterns = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
        let literals = literals.iter().map(ToString::to_string).collect();
        match self.ask(Lookup::Directory { mount: "box".into(), patterns, literals }) {
            Fact::Listed(listed) => listed,
            other => panic!("{other:?}"),
        }
    }

    fn quotes(&mut self, words: Option<Hash>, versions: &[VersionId], literal: &str) -> bool {
        let (versions, literal) = (versions.to_vec(), literal.to_owned());
        self.ask(Lookup::Quoted { words, versions, literal }) == Fact::Holds(true)
    }
}

#[test]
fn tokens_of_a_text() {
    let mut shelf = Shelf::new();
    let text = shelf.bytes("Tell ANNA@tiles.example of https://x.example/a, once".as_bytes()).hash;
    let mut long = "x ".repeat(512 * 1024 - 3).into_bytes();
    long.extend(b" anna");
    let fits = shelf.bytes(&long).hash;
    let broken = shelf.bytes(b"\xff anna \xff\xfe").hash;
    let rows: [Row; 5] = [
        (
            text,
            &["anna@tiles.example", "tiles.example", "once"],
            &["https://x.example/a"],
            &[true, false, true, true],
        ),
        (text, &[], &["https://x.example/", "x.example"], &[false, false]),
        (fits, &["anna"], &[], &[true]),
        (broken, &["anna"], &[], &[true]),
        (Hash::of(b"never kept"), &["anna"], &["x.example"], &[false, false]),
    ];
    for (text, literals, urls, want) in rows {
        let own = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        let how = abi::fact::Match::Token;
        let lookup = Lookup::Tokens { text, literals: own(literals), how, urls: own(urls) };
        assert_eq!(shelf.ask(lookup), Fact::Named(want.to_vec()), "{literals:?}");
    }
}

#[test]
fn only_what_the_mount_brought_to_that_place_is_its_directory() {
    let mut shelf = Shelf::new();
    let (_, anna) = shelf.file(MOUNT, "/integrations/box/contacts/anna", "Anna anna@tiles.example");
    let (_, both) = shelf.file(MOUNT, "/integrations/box/contacts/all", "anna@tiles.example, bob@x.example");
    shelf.file("agent:triage", "/integrations/box/contacts/eve", "eve@x.example");
    shelf.file("operator:anna", "/integrations/box/contacts/dora", "dora@x.example");
    shelf.file("mount:other", "/integrations/box/contacts/fred", "fred@x.example");
    shelf.file(MOUNT, "/integrations/box/own/list", "gina@x.example");
    // A file, and a directory with what is in it, that were moved there.
    shelf.file(MOUNT, "/integrations/box/own/single", "hans@x.example");
    let content = shelf.bytes(b"hans@x.example");
    let to = "/integrations/box/contacts/single";
    shelf.moved("agent:triage", "/integrations/box/own/single", to, (Node::File, content));
    shelf.bring(MOUNT, "/integrations/box/own/deep", Node::Dir, Content::default());
    shelf.file(MOUNT, "/integrations/box/own/deep/one", "ines@x.example");
    let (from, to) = ("/integrations/box/own/deep", "/integrations/box/contacts/deep");
    shelf.moved("agent:triage", from, to, (Node::Dir, Content::default()));
    // Another's directory of the same name.
    shelf.bring(MOUNT, "/contacts", Node::Dir, Content::default());
    shelf.file(MOUNT, "/contacts/jo", "jo@x.example");

    let names = ["anna@tiles.example", "bob@x.example", "eve@x.example", "dora@x.example", "fred@x.example"];
    let listed = shelf.listed(&["/contacts/**"], &names);
    assert_eq!(listed, [[anna, both].into(), [both].into(), [].into(), [].into(), [].into()]);
    let names = ["gina@x.example", "hans@x.example", "ines@x.example", "jo@x.example", "tiles.example"];
    assert!(shelf.listed(&["/contacts/**"], &names).iter().all(BTreeSet::is_empty));

    // Patterns say where: one name, one level, nothing there.
    let rows: [(&[&str], usize); 5] = [
        (&["/contacts/anna"], 1),
        (&["/contacts/*"], 2),
        (&["/*/all"], 1),
        (&["/none/**", "/contacts/all"], 1),
        (&[], 0),
    ];
    for (patterns, want) in rows {
        assert_eq!(shelf.listed(patterns, &["anna@tiles.example"])[0].len(), want, "{patterns:?}");
    }

    // What an agent wrote over names nobody; what the mount brings again does.
    shelf.file("agent:triage", "/integrations/box/contacts/all", "bob@x.example");
    assert_eq!(shelf.listed(&["/contacts/**"], &["bob@x.example"]), [[].into()]);
    let (_, again) = shelf.file(MOUNT, "/integrations/box/contacts/all", "bob@x.example");
    assert_eq!(shelf.listed(&["/contacts/**"], &["bob@x.example"]), [[again].into()]);
}

#[test]
fn a_directory_is_looked_through_within_bounds() {
    let mut shelf = Shelf::new();
    let at = |name: &str| format!("/integrations/box/contacts/{name}");
    // Lost bytes, and a file that is too long: the others are looked at all the same.
    shelf.bring(MOUNT, &at("a-lost"), Node::File, Content::of(b"anna was here"));
    let content = Content { bytes: 1024 * 1024 + 1, ..shelf.bytes(b"anna") };
    shelf.bring(MOUNT, &at("b-long"), Node::File, content);
    let (_, label) = shelf.file(MOUNT, &at("c"), "anna");
    assert_eq!(shelf.listed(&["/contacts/**"], &["anna"]), [[label].into()]);
    // The first 4 MiB in the order of names.
    let part = "y ".repeat(512 * 1024 - 8);
    let fill = usize::try_from(limits::DIRECTORY_BYTES_MAX).unwrap() / (1024 * 1024);
    for ix in 0..fill {
        shelf.file(MOUNT, &at(&format!("d{ix}")), &format!("{part}{ix}"));
    }
    shelf.file(MOUNT, &at("e"), &format!("{part} berta"));
    assert_eq!(shelf.listed(&["/contacts/**"], &["anna", "berta"]), [[label].into(), [].into()]);
    // More literals than are looked for.
    let many: Vec<String> = (0..limits::VOUCHED_MAX + 5).map(|ix| format!("n{ix}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(shelf.listed(&["/contacts/**"], &many).len(), limits::VOUCHED_MAX);
}

#[test]
fn a_directory_of_very_many_files_is_none() {
    let mut shelf = Shelf::new();
    let content = shelf.bytes(b"anna");
    let mut changes = Vec::new();
    for ix in 0..=limits::OPERATION_ENTRIES_MAX {
        changes.push(shelf.change(&format!("/integrations/box/contacts/{ix}"), Node::File, content));
        if changes.len() == 5_000 {
            shelf.wrote(MOUNT, std::mem::take(&mut changes));
        }
    }
    shelf.wrote(MOUNT, changes);
    assert_eq!(shelf.listed(&["/contacts/**"], &["anna"]), [[].into()]);
    // One of them by its name, and another directory, are still found.
    assert_eq!(shelf.listed(&["/contacts/7"], &["anna"])[0].len(), 1);
    let (_, own) = shelf.file(MOUNT, "/integrations/box/own/a", "anna");
    assert_eq!(shelf.listed(&["/contacts/**", "/own/**"], &["anna"]), [[own].into()]);
}

#[test]
fn a_url_is_quoted_from_what_a_mount_brought() {
    let mut shelf = Shelf::new();
    let url = "https://x.example/Ab?c=1";
    let (came, _) = shelf.file(MOUNT, "/integrations/box/own/a", &format!("See {url}."));
    let (made, _) = shelf.file("agent:triage", "/integrations/box/own/b", url);
    let (approved, _) = shelf.file("operator:anna", "/integrations/box/own/c", url);
    let (lost, _) = shelf.bring(
        MOUNT,
        "/integrations/box/own/d",
        Node::File,
        Content::of(format!("{url} was here").as_bytes()),
    );
    // A name of a file is no item.
    let link = shelf.bytes(url.as_bytes());
    let (link, _) = shelf.bring(MOUNT, "/integrations/box/own/e", Node::Link, link);
    let none = VersionId(9_999);
    let words = shelf.bytes(b"fetch https://said.example/").hash;
    let gone = Hash::of(b"never kept");
    let rows: [(Option<Hash>, &[VersionId], &str, bool); 12] = [
        (None, &[came], url, true),
        (None, &[none, lost, made, came], url, true),
        (None, &[came], "https://x.example/ab?c=1", false),
        (None, &[came], "https://x.example/Ab", false),
        (None, &[came], "", false),
        (None, &[made], url, false),
        (None, &[approved], url, false),
        (None, &[lost], url, false),
        (None, &[link], url, false),
        (None, &[], url, false),
        (Some(words), &[], "https://said.example/", true),
        (Some(gone), &[made], "https://said.example/", false),
    ];
    for (words, versions, literal, want) in rows {
        assert_eq!(shelf.quotes(words, versions, literal), want, "{versions:?} {literal}");
    }
    // Only so many, and only so much of them.
    let many = vec![made; limits::QUOTED_VERSIONS_MAX];
    assert!(shelf.quotes(None, &[&many[1..], &[came]].concat(), url));
    assert!(!shelf.quotes(None, &[&many[..], &[came]].concat(), url));
    let part = shelf.bytes("y ".repeat(512 * 1024).as_bytes());
    let fill = usize::try_from(limits::QUOTED_BYTES_MAX).unwrap() / (1024 * 1024);
    let (large, _) = shelf.bring(MOUNT, "/integrations/box/own/f", Node::File, part);
    assert!(shelf.quotes(None, &[&vec![large; fill - 1][..], &[came]].concat(), url));
    assert!(!shelf.quotes(None, &[&vec![large; fill][..], &[came]].concat(), url));
}
