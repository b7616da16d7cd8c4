//! A workspace written by a script, and the model beside it.
//!
//! ```text
//! line   PID act ; act …          one operation of that process; acts that cannot be are left out
//! act    file PATH TEXT | dir PATH | link PATH TARGET | gone PATH | move PATH PATH | stale PATH TEXT
//! line   PID undo op|pid|version N
//! ```

use crate::model::{Model, State};
use abi::{
    Content, FileId, LabelId, OpId, Pid, Seq, VersionId,
    call::Undo,
    fact::{Fact, Lookup},
    path::TreePath,
    record::{Entry, Record},
    tree::{Change, Node, UndoRow, Version},
};
use store::{Durable, Options, Workspace};
use tempfile::TempDir;

/// Without barriers: these tests kill no machine.
pub const QUICK: Options = Options { durable: Durable::Null, pages_max: None, segment: None };

pub struct Story {
    pub dir: TempDir,
    pub workspace: Workspace,
    pub model: Model,
    versions: u64,
    files: u64,
    ops: u64,
}

pub fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

pub fn record(seq: u64, pid: u64, body: Entry) -> Record {
    let actor = format!("agent:{pid}");
    Record { seq: Seq(seq), at: 1_000 + seq, actor, pid: Pid(pid), cause: Seq(seq), body }
}

/// A record that has nothing to do with the tree.
pub fn other(seq: u64, pid: u64) -> Record {
    record(seq, pid, Entry::Genesis { id: [7; 16], format: 1, lacks: vec![] })
}

impl Story {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut workspace = Workspace::create(dir.path(), &QUICK).unwrap();
        let root = workspace.begin().unwrap().version(VersionId(0)).unwrap().unwrap();
        Self { dir, workspace, model: Model::new(root), versions: 0, files: 1, ops: 0 }
    }

    pub fn of(script: &str) -> Self {
        let mut story = Self::new();
        script.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| story.line(line));
        story
    }

    pub fn line(&mut self, line: &str) {
        let (pid, rest) = line.split_once(' ').unwrap();
        let pid = pid.parse().unwrap();
        let words: Vec<&str> = rest.split(' ').collect();
        if let ["undo", what, number] = words[..] {
            let number = number.parse().unwrap();
            let undo = match what {
                "op" => Undo::Operation(OpId(number)),
                "pid" => Undo::Process(Pid(number)),
                "version" => Undo::Version(VersionId(number)),
                _ => panic!("{line}"),
            };
            self.undo(pid, undo);
            return;
        }
        let (mut scratch, mut changes) = (self.model.now().clone(), Vec::new());
        for act in rest.split(';') {
            let made = self.act(&scratch, act.trim());
            for change in &made {
                scratch.stand(change, as_version(change));
            }
            changes.extend(made);
        }
        self.write(pid, changes);
    }

    pub fn write(&mut self, pid: u64, changes: Vec<Change>) {
        self.ops += 1;
        let body = Entry::Wrote { op: OpId(self.ops), changes, message: None, undoes: None };
        self.append(&record(self.model.past.len() as u64, pid, body));
    }

    pub fn append(&mut self, record: &Record) {
        let mut batch = self.workspace.begin().unwrap();
        batch.append(record).unwrap();
        batch.commit().unwrap();
        self.model.fold(record);
        self.model.now().check();
    }

    /// The changes the kernel would make of an act.
    fn act(&mut self, state: &State, act: &str) -> Vec<Change> {
        let words: Vec<&str> = act.split(' ').collect();
        let at = path(words[1]);
        let place = state.place(&at);
        if place.dirs.len() < at.names().count() || at.name().is_empty() {
            return vec![];
        }
        let dir = *place.dirs.last().unwrap();
        match (words[0], place.head) {
            ("move", Some(head)) => {
                let to = path(words[2]);
                let there = state.place(&to);
                let free = there.head.is_none() && there.dirs.len() == to.names().count();
                if !free || to.is_below(&at) {
                    return vec![];
                }
                let mut change =
                    self.change(head.file, *there.dirs.last().unwrap(), &to, head.node, head.content);
                change.moved_from = Some(at);
                vec![change]
            }
            ("gone", Some(head)) => {
                let mut all = vec![(at.clone(), dir, head.clone())];
                all.extend(state.below(&at, head.file));
                let gone = |(at, dir, head): &(TreePath, FileId, Version)| {
                    self.change(head.file, *dir, at, Node::Gone, Content::default())
                };
                all.iter().rev().map(gone).collect()
            }
            ("stale", Some(head)) if head.node == Node::File => {
                let content = self.put(words[2].as_bytes());
                let mut change = self.change(head.file, dir, &at, Node::File, content);
                change.diverged = true;
                vec![change]
            }
            ("file" | "link", Some(head)) if head.node == Node::Dir => vec![],
            ("dir", Some(_)) | ("move" | "gone" | "stale", _) => vec![],
            (word, head) => {
                let node = match word {
                    "file" => Node::File,
                    "link" => Node::Link,
                    "dir" => Node::Dir,
                    _ => panic!("{act}"),
                };
                let content = words.get(2).map_or_else(Content::default, |text| self.put(text.as_bytes()));
                let file = head.map_or_else(|| self.new_file(), |head| head.file);
                vec![self.change(file, dir, &at, node, content)]
            }
        }
    }

    fn new_file(&mut self) -> FileId {
        self.files += 1;
        FileId(self.files)
    }

    fn change(&mut self, file: FileId, dir: FileId, path: &TreePath, node: Node, content: Content) -> Change {
        self.versions += 1;
        Change {
            file,
            dir,
            path: path.clone(),
            moved_from: None,
            version: VersionId(self.versions),
            node,
            content,
            mode: 0o644,
            mtime: 1_000 + self.versions,
            label: LabelId((self.versions % 3) as u32),
            parents: (1..=self.versions % 3).map(VersionId).collect(),
            diverged: false,
            scratch: false,
        }
    }

    pub fn put(&mut self, bytes: &[u8]) -> Content {
        let mut batch = self.workspace.begin().unwrap();
        let content = batch.put_blob(bytes).unwrap();
        batch.commit().unwrap();
        content
    }

    pub fn ask(&mut self, lookup: Lookup) -> Fact {
        self.workspace.begin().unwrap().answer(&lookup).unwrap()
    }

    pub fn rows(&mut self, undo: Undo) -> Option<Vec<UndoRow>> {
        let Fact::Undo(rows) = self.ask(Lookup::Undo { undo }) else { panic!("another fact") };
        rows
    }

    /// What the kernel makes of the rows; says which paths were left.
    pub fn undo(&mut self, pid: u64, undo: Undo) -> Vec<TreePath> {
        let rows = self.rows(undo).unwrap_or_default();
        let (mut left, mut changes) = (Vec::new(), Vec::new());
        for row in rows {
            if !row.untouched {
                left.push(row.path);
                continue;
            }
            let (node, content) =
                row.before.as_ref().map_or((Node::Gone, Content::default()), |old| (old.node, old.content));
            let (at, dir) = row.moved_from.clone().unwrap_or((row.path.clone(), row.dir));
            let mut change = self.change(row.file, dir, &at, node, content);
            change.moved_from = row.moved_from.is_some().then_some(row.path);
            changes.push(change);
        }
        self.write(pid, changes);
        left
    }

    /// Everything that stands, one a line: path, kind, text.
    pub fn tree(&mut self) -> Vec<String> {
        let Fact::Below(Ok(all)) = self.ask(Lookup::Below { path: TreePath::root() }) else {
            panic!("another fact")
        };
        all.into_iter().skip(1).map(|(path, _, version)| self.shown(&path, &version)).collect()
    }

    pub fn shown(&self, path: &TreePath, version: &Version) -> String {
        let text = match version.node {
            Node::File | Node::Link => self.workspace.blob(&version.content.hash).unwrap().unwrap(),
            Node::Dir | Node::Gone => Vec::new(),
        };
        format!("{path} {} {}", version.node.word(), String::from_utf8(text).unwrap()).trim().to_owned()
    }
}

/// Enough of a version for the state to go on planning with.
fn as_version(change: &Change) -> Version {
    Version {
        id: change.version,
        file: change.file,
        node: change.node,
        content: change.content,
        mode: change.mode,
        mtime: change.mtime,
        label: change.label,
        actor: String::new(),
        pid: Pid(0),
        op: OpId(0),
        seq: Seq(0),
        diverged: change.diverged,
        parents: vec![],
        message: None,
        path: change.path.clone(),
    }
}

/// Scripts that hit each other: few names, three levels, three processes.
pub fn scripts() -> impl proptest::strategy::Strategy<Value = Vec<String>> {
    use proptest::prelude::*;
    let at = || "(/[ab]){1,3}";
    let act = prop_oneof![
        4 => (at(), "[xyz]").prop_map(|(at, text)| format!("file {at} {text}")),
        4 => at().prop_map(|at| format!("dir {at}")),
        1 => at().prop_map(|at| format!("link {at} /a")),
        2 => at().prop_map(|at| format!("gone {at}")),
        3 => (at(), at()).prop_map(|(from, to)| format!("move {from} {to}")),
        1 => (at(), "[xyz]").prop_map(|(at, text)| format!("stale {at} {text}")),
    ];
    let acts = (1..4_u8, prop::collection::vec(act, 1..4))
        .prop_map(|(pid, acts)| format!("{pid} {}", acts.join("; ")));
    let undo =
        (1..4_u8, "(op|version) 1?[0-9]|pid [0-3]").prop_map(|(pid, what)| format!("{pid} undo {what}"));
    prop::collection::vec(prop_oneof![5 => acts, 1 => undo], 1..16)
}
