//! The tree as it should be, held in memory without any index: one whole copy after each record.

use abi::{
    FileId, LabelId, ROOT, Seq, VersionId,
    fact::Place,
    path::TreePath,
    record::{Entry, Record},
    tree::{Change, Home, Node, Version},
};
use std::collections::BTreeMap;

/// What stands at one moment.
#[derive(Clone, Default)]
pub struct State {
    /// Directory and name to file.
    pub entries: BTreeMap<(FileId, String), FileId>,
    /// File to its head.
    pub heads: BTreeMap<FileId, Version>,
    /// File to the label of the version by which it came to its name.
    pub names: BTreeMap<FileId, LabelId>,
}

/// All moments, and all versions.
pub struct Model {
    /// After record n.
    pub past: Vec<State>,
    pub versions: BTreeMap<VersionId, Version>,
}

impl Model {
    pub fn new(root: Version) -> Self {
        let heads = BTreeMap::from([(ROOT, root.clone())]);
        let first = State { entries: BTreeMap::new(), heads, names: BTreeMap::new() };
        Self { past: vec![first], versions: BTreeMap::from([(root.id, root)]) }
    }

    pub fn now(&self) -> &State {
        self.past.last().unwrap()
    }

    pub fn at(&self, at: Option<Seq>) -> &State {
        let last = self.past.len() - 1;
        &self.past[at.map_or(last, |at| last.min(at.0 as usize))]
    }

    pub fn fold(&mut self, record: &Record) {
        let mut state = self.now().clone();
        if let Entry::Wrote { op, changes, message, .. } = &record.body {
            for change in changes.iter().filter(|change| !change.diverged) {
                if change.node == Node::Gone || change.moved_from.is_some() {
                    state.entries.retain(|_, file| *file != change.file);
                }
            }
            for change in changes {
                let version = Version {
                    id: change.version,
                    file: change.file,
                    node: change.node,
                    content: change.content,
                    mode: change.mode,
                    mtime: change.mtime,
                    label: change.label,
                    actor: record.actor.clone(),
                    pid: record.pid,
                    op: *op,
                    seq: record.seq,
                    diverged: change.diverged,
                    parents: change.parents.clone(),
                    message: *message,
                    path: change.path.clone(),
                };
                self.versions.insert(version.id, version.clone());
                // An operation is one act: its first version of a file says who gave it the name.
                let first = changes.iter().find(|one| !one.diverged && one.file == change.file);
                if let (true, Some(first)) = (state.stand(change, version), first) {
                    state.names.insert(change.file, first.label);
                }
            }
        }
        self.past.push(state);
    }
}

impl State {
    /// Whether it came to a name by this.
    pub fn stand(&mut self, change: &Change, version: Version) -> bool {
        if change.diverged {
            return false;
        }
        self.heads.insert(change.file, version);
        if change.node == Node::Gone || change.moved_from.is_some() {
            self.entries.retain(|_, file| *file != change.file);
        }
        let stands = self.entries.values().any(|file| *file == change.file);
        let comes = change.node != Node::Gone && change.file != ROOT && !stands;
        if comes {
            let place = (change.dir, change.path.name().to_owned());
            self.names.insert(change.file, change.label);
            assert_eq!(self.entries.insert(place, change.file), None, "{} was taken", change.path);
        }
        comes
    }

    pub fn place(&self, path: &TreePath) -> Place {
        let mut place = Place { dirs: vec![ROOT], head: self.heads.get(&ROOT).cloned(), ..Place::default() };
        let mut above = TreePath::root();
        for (ix, name) in path.names().enumerate() {
            place.head = None;
            let dir = place.dirs[ix];
            let in_dir = ix.checked_sub(1).map_or(ROOT, |ix| place.dirs[ix]);
            place.home = Some(Home { dir: in_dir, path: above.clone(), head: self.heads[&dir].clone() });
            let Some(file) = self.entries.get(&(dir, name.to_owned())) else { return place };
            let head = self.heads[file].clone();
            if ix + 1 == path.names().count() {
                place.head = Some(head);
            } else if head.node == Node::Dir {
                place.dirs.push(*file);
                above = above.join(name).unwrap();
            } else {
                place.blocked = true;
                return place;
            }
        }
        place
    }

    /// Path, directory and head of everything below a directory, parents first, by name.
    pub fn below(&self, path: &TreePath, dir: FileId) -> Vec<(TreePath, FileId, Version)> {
        let mut all = Vec::new();
        for ((parent, name), file) in &self.entries {
            if *parent == dir {
                let path = path.join(name).unwrap();
                all.push((path.clone(), dir, self.heads[file].clone()));
                all.extend(self.below(&path, *file));
            }
        }
        all
    }

    /// Every file that stands, stands in a directory that stands; so the walk from the root finds all.
    pub fn check(&self) {
        let reached = self.below(&TreePath::root(), ROOT);
        assert_eq!(reached.len(), self.entries.len(), "something stands where nothing leads");
        for (_, dir, version) in reached {
            assert_eq!(self.heads[&dir].node, Node::Dir);
            assert_ne!(version.node, Node::Gone);
        }
    }
}
