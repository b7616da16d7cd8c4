//! The tree at a moment, as a fold of the changes up to it: the same fold as the store's, in memory.
//!
//! ```text
//! change ─▶ all that leave let go of their names, then each stands where it says, unless it is diverged
//! ```
//!
//! A directory that moves keeps what is in it: names hang on files, not on paths.

use abi::{
    Content, FileId, Micros, ROOT,
    tree::{Change, Node},
};
use std::collections::{BTreeMap, BTreeSet};

/// What stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What {
    pub node: Node,
    pub content: Content,
    pub mode: u32,
    pub mtime: Micros,
}

#[derive(Clone, Debug)]
struct Spot {
    dir: FileId,
    name: String,
    what: What,
}

/// The tree.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    files: BTreeMap<FileId, Spot>,
    dirs: BTreeMap<FileId, BTreeMap<String, FileId>>,
}

impl Shape {
    /// Carries out the changes of an operation; says in which directories something is not as it was, all
    /// above them too.
    pub fn apply(&mut self, changes: &[Change]) -> BTreeSet<FileId> {
        let mut touched = BTreeSet::new();
        let standing = || changes.iter().filter(|change| !change.diverged && change.file != ROOT);
        for change in standing().filter(|change| leaves(change)) {
            touched.extend(self.detach(change.file));
        }
        for change in standing() {
            self.stand(change);
            touched.extend(self.files.get(&change.file).map(|spot| spot.dir));
        }
        let mut all = BTreeSet::new();
        for dir in touched {
            let mut next = Some(dir);
            while let Some(dir) = next.filter(|dir| all.insert(*dir)) {
                next = self.files.get(&dir).map(|spot| spot.dir);
            }
        }
        all
    }

    fn detach(&mut self, file: FileId) -> Option<FileId> {
        let spot = self.files.remove(&file)?;
        let names = self.dirs.get_mut(&spot.dir)?;
        if names.get(&spot.name) == Some(&file) {
            names.remove(&spot.name);
        }
        Some(spot.dir)
    }

    fn stand(&mut self, change: &Change) {
        if change.node == Node::Gone {
            return;
        }
        let Change { node, content, mode, mtime, .. } = *change;
        let what = What { node, content, mode, mtime };
        if let Some(spot) = self.files.get_mut(&change.file) {
            spot.what = what;
            return;
        }
        let name = change.path.name().to_owned();
        self.dirs.entry(change.dir).or_default().insert(name.clone(), change.file);
        self.files.insert(change.file, Spot { dir: change.dir, name, what });
    }

    /// What is in a directory, by name.
    pub fn children(&self, dir: FileId) -> Vec<(String, FileId, What)> {
        let names = self.dirs.get(&dir).into_iter().flatten();
        names.filter_map(|(name, file)| Some((name.clone(), *file, self.files.get(file)?.what))).collect()
    }
}

fn leaves(change: &Change) -> bool {
    change.node == Node::Gone || change.moved_from.is_some()
}
