//! A workspace as a git repository: every operation a commit on `main`, in order, bare.
//!
//! ```text
//! operation 7 of agent:triage, "sorted"  ─▶  tree      the whole tree after it
//! at 1700000000.123456                       parent    the operation before it
//!                                            author    agent:triage <agent.triage@skep.invalid>
//!                                            time      1700000000 +0000
//!                                            message   sorted, and what git has no field for
//! ```
//!
//! Executable bits, links, moves and removals are git's own. Left out, and counted: names that git refuses,
//! empty directories, diverged versions (they never stood in the tree), content that was destroyed.

use super::{
    content::{self, Piece},
    object::{Objects, Oid, is_name},
    record::{self, Operation},
    shape::{Shape, What},
    target::{Target, fail},
};
use crate::{fail::Fail, session::Session};
use abi::{
    Content, FileId, Hash, ROOT, WORKSPACE,
    call::Undo,
    tree::{Change, Node},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

/// What was made.
#[derive(Debug, Default)]
pub struct Made {
    pub commits: u64,
    pub contents: u64,
    pub destroyed: u64,
    pub diverged: u64,
    pub names_left: u64,
}

impl Made {
    pub fn to_json(&self) -> Value {
        json!({
            "commits": self.commits, "contents": self.contents, "destroyed": self.destroyed,
            "diverged": self.diverged, "names_left_out": self.names_left,
        })
    }
}

/// Makes the repository at a directory that is new or empty.
pub fn export(session: &mut Session, dir: &Path) -> Result<Made, Fail> {
    let target = Target::new(dir)?;
    let mut repository = Repository::new(target.path()).map_err(|error| fail(dir, &error))?;
    let end = record::end(session)?;
    record::pages(session, end, &mut |session, page| {
        let operations: Vec<Operation> = page.iter().filter_map(Operation::of).collect();
        repository.fetch(session, &operations)?;
        let messages = messages(session, &operations)?;
        for operation in &operations {
            let message = operation.message.and_then(|content| messages.get(&content.hash));
            repository.commit(operation, message.map(String::as_str)).map_err(|error| fail(dir, &error))?;
        }
        Ok(())
    })?;
    let made = repository.end(target.path()).map_err(|error| fail(dir, &error))?;
    target.finish()?;
    Ok(made)
}

/// The messages of these operations, whole.
fn messages(session: &mut Session, operations: &[Operation]) -> Result<BTreeMap<Hash, String>, Fail> {
    let wanted: BTreeSet<Content> = operations.iter().filter_map(|operation| operation.message).collect();
    let wanted: Vec<Content> = wanted.into_iter().filter(content::is_small).collect();
    let mut texts = BTreeMap::new();
    content::small(session, &wanted, &mut |content, bytes| {
        texts.extend(bytes.map(|bytes| (content.hash, String::from_utf8_lossy(&bytes).into_owned())));
        Ok(())
    })?;
    Ok(texts)
}

struct Repository {
    objects: Objects,
    /// The blob of each content; none for what is not kept any more.
    blobs: BTreeMap<Hash, Option<Oid>>,
    shape: Shape,
    /// Of directories that are as they were; none for those that hold nothing git keeps.
    trees: BTreeMap<FileId, Option<Oid>>,
    left_out: BTreeSet<FileId>,
    last: Option<Oid>,
    made: Made,
}

impl Repository {
    fn new(at: &Path) -> io::Result<Self> {
        for dir in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            fs::create_dir_all(at.join(dir))?;
        }
        fs::write(at.join("HEAD"), "ref: refs/heads/main\n")?;
        fs::write(
            at.join("config"),
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
        )?;
        Ok(Self {
            objects: Objects::new(at.join("objects")),
            blobs: BTreeMap::new(),
            shape: Shape::default(),
            trees: BTreeMap::new(),
            left_out: BTreeSet::new(),
            last: None,
            made: Made::default(),
        })
    }

    /// Brings the contents of these operations that are not here yet.
    fn fetch(&mut self, session: &mut Session, operations: &[Operation]) -> Result<(), Fail> {
        let changes = operations.iter().flat_map(|operation| &operation.changes);
        let mut wanted: BTreeMap<Hash, Piece> = BTreeMap::new();
        for change in changes.filter(|change| !change.diverged && has_bytes(change)) {
            let Change { content, version, .. } = *change;
            if !self.blobs.contains_key(&content.hash) {
                wanted.entry(content.hash).or_insert(Piece { content, version, path: change.path.clone() });
            }
        }
        let (small, large): (Vec<Piece>, Vec<Piece>) =
            wanted.into_values().partition(|piece| content::is_small(&piece.content));
        let small: Vec<Content> = small.iter().map(|piece| piece.content).collect();
        content::small(session, &small, &mut |content, bytes| {
            let blob = bytes.map(|bytes| self.objects.put("blob", &bytes)).transpose()?;
            self.known(content.hash, blob);
            Ok(())
        })?;
        for piece in large {
            let mut coming = self.objects.begin("blob", piece.content.bytes)?;
            let whole = content::large(session, &piece, &mut |_, part| Ok(coming.take(part)?))?;
            let blob = if whole { Some(self.objects.keep(coming)?) } else { None };
            self.known(piece.content.hash, blob);
        }
        Ok(())
    }

    fn known(&mut self, hash: Hash, blob: Option<Oid>) {
        self.made.contents += u64::from(blob.is_some());
        self.made.destroyed += u64::from(blob.is_none());
        self.blobs.insert(hash, blob);
    }

    fn commit(&mut self, operation: &Operation, message: Option<&str>) -> io::Result<()> {
        for dir in self.shape.apply(&operation.changes) {
            self.trees.remove(&dir);
        }
        self.made.diverged += operation.changes.iter().filter(|change| change.diverged).count() as u64;
        let tree = match self.tree(ROOT)? {
            Some(tree) => tree,
            None => self.objects.put("tree", b"")?,
        };
        let who = signature(&operation.actor, operation.at / 1_000_000);
        let parent = self.last.map(|oid| format!("parent {oid}\n")).unwrap_or_default();
        let text = words(operation, message);
        let commit = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{text}");
        self.last = Some(self.objects.put("commit", commit.as_bytes())?);
        self.made.commits += 1;
        Ok(())
    }

    /// The tree object of a directory; none when it holds nothing.
    fn tree(&mut self, dir: FileId) -> io::Result<Option<Oid>> {
        if let Some(known) = self.trees.get(&dir) {
            return Ok(*known);
        }
        let mut rows: Vec<(Vec<u8>, &str, String, Oid)> = Vec::new();
        for (name, file, what) in self.shape.children(dir) {
            if !is_name(&name, what.content.bytes) {
                self.left_out.insert(file);
                continue;
            }
            let Some(oid) = self.oid(file, &what)? else { continue };
            // Git sorts a directory as if its name ended with a slash.
            let end: &[u8] = if what.node == Node::Dir { b"/" } else { b"" };
            rows.push(([name.as_bytes(), end].concat(), mode(&what), name, oid));
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let mut bytes = Vec::new();
        for (_, mode, name, oid) in &rows {
            bytes.extend(format!("{mode} {name}\0").bytes().chain(oid.0));
        }
        let tree = if rows.is_empty() { None } else { Some(self.objects.put("tree", &bytes)?) };
        self.trees.insert(dir, tree);
        Ok(tree)
    }

    fn oid(&mut self, file: FileId, what: &What) -> io::Result<Option<Oid>> {
        match what.node {
            Node::Dir => self.tree(file),
            Node::File | Node::Link => Ok(self.blobs.get(&what.content.hash).copied().flatten()),
            Node::Gone => Ok(None),
        }
    }

    /// The branch comes last.
    fn end(mut self, at: &Path) -> io::Result<Made> {
        if let Some(last) = self.last {
            fs::write(at.join("refs/heads/main"), format!("{last}\n"))?;
        }
        self.made.names_left = self.left_out.len() as u64;
        Ok(self.made)
    }
}

fn has_bytes(change: &Change) -> bool {
    matches!(change.node, Node::File | Node::Link)
}

fn mode(what: &What) -> &'static str {
    match what.node {
        Node::Dir => "40000",
        Node::Link => "120000",
        Node::File | Node::Gone if what.mode & 0o111 != 0 => "100755",
        Node::File | Node::Gone => "100644",
    }
}

/// `agent:triage <agent.triage@skep.invalid> 1700000000 +0000`; what git could misread becomes a line.
fn signature(actor: &str, seconds: u64) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-:".contains(c) { c } else { '-' };
    let name: String = actor.chars().map(plain).collect();
    format!("{name} <{}@skep.invalid> {seconds} +0000", name.replace(':', "."))
}

/// The message and, below it, what git has no field for.
fn words(operation: &Operation, message: Option<&str>) -> String {
    // A zero would end the message for git.
    let said = message.map(|text| text.replace('\0', "\u{fffd}")).unwrap_or_default();
    let said = match said.trim_end() {
        "" => plain(operation),
        text => text.to_owned(),
    };
    let mut text = format!("{said}\n\nSkep-Operation: {}\nSkep-Record: {}\n", operation.op, operation.seq);
    if operation.pid != WORKSPACE {
        text.push_str(&format!("Skep-Process: {}\n", operation.pid));
    }
    if !operation.label.is_empty() {
        text.push_str(&format!("Skep-Label: {}\n", operation.label.replace('\n', " ")));
    }
    text
}

/// What it did, in a line.
fn plain(operation: &Operation) -> String {
    let of = |change: &Change| {
        let path = crate::escape::line(change.path.as_str());
        match (&change.moved_from, change.node) {
            _ if change.diverged => format!("keep a diverged version of {path}"),
            (Some(from), _) => format!("move {} to {path}", crate::escape::line(from.as_str())),
            (None, Node::Gone) => format!("remove {path}"),
            (None, Node::Dir) => format!("make directory {path}"),
            (None, Node::Link) => format!("link {path}"),
            (None, Node::File) => format!("write {path}"),
        }
    };
    let own: Vec<&Change> =
        operation.changes.iter().filter(|change| !change.only_marks(operation.at)).collect();
    let did = match own.as_slice() {
        [] => "change nothing".to_owned(),
        [one] => of(one),
        // The directories above a new file come with it.
        [first @ .., last] if first.iter().all(|change| change.node == Node::Dir) => of(last),
        [first, rest @ ..] => format!("{} and {} more", of(first), rest.len()),
    };
    match operation.undoes {
        None => did,
        Some(Undo::Operation(op)) => format!("undo operation {op}: {did}"),
        Some(Undo::Process(pid)) => format!("undo process {pid}: {did}"),
        Some(Undo::Version(version)) => format!("restore version {version}: {did}"),
    }
}
