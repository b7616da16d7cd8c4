//! A tree in memory to lay views over, for tests and measurements. It takes what comes of a view strictly:
//! each step must be possible when its turn comes, and start from the version that stands.

use super::{Base, BaseEntry, Drained};
use abi::{
    Content, FileId, Hash, LabelId, ROOT, Seq, VersionId,
    cap::Rights,
    path::{Pattern, TreePath},
    tree::Node,
    view::{Change, Kind, Plan, Quota},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    sync::{Arc, PoisonError, RwLock},
};

type Blobs = Arc<RwLock<BTreeMap<Hash, Arc<[u8]>>>>;

/// A plan of one command that may do this.
pub fn plan(rights: Vec<(Pattern, Rights)>, quota: Quota) -> Plan {
    Plan {
        kind: Kind::Command,
        seq: Seq(1),
        generation: 1,
        rights,
        denied: Vec::new(),
        hidden: BTreeSet::new(),
        quota,
        bound: Vec::new(),
        waits: BTreeSet::new(),
    }
}

/// A plan of one command that may do everything, and much of it.
pub fn everything() -> Plan {
    plan(vec![(Pattern::everything(), Rights::ALL)], Quota { bytes: 1 << 34, files: 1_000_000 })
}

/// A tree; a clone shares its bytes.
#[derive(Clone)]
pub struct Memory {
    entries: BTreeMap<FileId, BaseEntry>,
    names: BTreeMap<FileId, BTreeMap<String, FileId>>,
    blobs: Blobs,
    next: u64,
}

impl Default for Memory {
    fn default() -> Self {
        let root = BaseEntry {
            name: String::new(),
            file: ROOT,
            node: Node::Dir,
            content: Content::default(),
            mode: 0o755,
            mtime: 0,
            version: VersionId(1),
            label: LabelId(0),
            named: LabelId(0),
        };
        Self {
            entries: BTreeMap::from([(ROOT, root)]),
            names: BTreeMap::from([(ROOT, BTreeMap::new())]),
            blobs: Blobs::default(),
            next: 2,
        }
    }
}

fn wrong(path: &TreePath, what: &str) -> io::Error {
    io::Error::other(format!("{path}: {what}"))
}

impl Memory {
    /// Keeps bytes.
    pub fn keep(&self, bytes: Vec<u8>) -> Content {
        let content = Content::of(&bytes);
        let mut blobs = self.blobs.write().unwrap_or_else(PoisonError::into_inner);
        blobs.entry(content.hash).or_insert_with(|| Arc::from(bytes));
        content
    }

    /// The bytes of a content.
    pub fn bytes(&self, content: &Content) -> Option<Arc<[u8]>> {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).get(&content.hash).cloned()
    }

    /// What stands at a path.
    pub fn at(&self, path: &TreePath) -> Option<&BaseEntry> {
        let file = path.names().try_fold(ROOT, |dir, name| self.names.get(&dir)?.get(name).copied())?;
        self.entries.get(&file)
    }

    /// Every path and what stands there, parents first.
    pub fn all(&self) -> Vec<(String, &BaseEntry)> {
        let mut all = Vec::new();
        let mut todo = vec![(String::new(), ROOT)];
        while let Some((path, dir)) = todo.pop() {
            for (name, file) in self.names.get(&dir).into_iter().flatten() {
                let path = format!("{path}/{name}");
                all.extend(self.entries.get(file).map(|entry| (path.clone(), entry)));
                todo.push((path, *file));
            }
        }
        all
    }

    /// Puts something at a path, whose directory stands, and gives it these labels.
    pub fn put(&mut self, path: &str, node: Node, bytes: &[u8], label: LabelId) -> io::Result<FileId> {
        let path = TreePath::parse(path).map_err(|error| io::Error::other(error.message))?;
        let content = if node == Node::Dir { Content::default() } else { self.keep(bytes.to_owned()) };
        let mode = if node == Node::Dir { 0o755 } else { 0o644 };
        let (from, base) = (None, self.at(&path).map(|entry| entry.version));
        self.step(&Change { path: path.clone(), from, base, node, content, mode, mtime: 1 }, None)?;
        let file = self.at(&path).map(|entry| entry.file).ok_or_else(|| wrong(&path, "is not there"))?;
        if let Some(entry) = self.entries.get_mut(&file) {
            (entry.label, entry.named) = (label, label);
        }
        Ok(file)
    }

    /// The tree after this, and the directories in which it differs.
    pub fn with(&self, drained: Drained) -> io::Result<(Self, Vec<FileId>)> {
        let mut tree = self.clone();
        for step in drained.steps {
            let content = match &step.bytes {
                Some(bytes) => {
                    let mut read = Vec::new();
                    bytes.reader().read_to_end(&mut read)?;
                    tree.keep(read)
                }
                None => step.change.content,
            };
            tree.step(&step.sealed(content), Some(self))?;
        }
        let changed = tree.differs(self);
        Ok((tree, changed))
    }

    fn differs(&self, other: &Self) -> Vec<FileId> {
        let mut changed = BTreeSet::new();
        for (dir, names) in &self.names {
            let same = |(name, file): (&String, &FileId)| {
                let was = other.names.get(dir).and_then(|names| names.get(name));
                was == Some(file) && self.entries.get(file) == other.entries.get(file)
            };
            let count = other.names.get(dir).map(BTreeMap::len);
            if count != Some(names.len()) || !names.iter().all(same) {
                changed.insert(*dir);
            }
        }
        changed.into_iter().collect()
    }

    fn home(&self, path: &TreePath) -> io::Result<FileId> {
        let dir = path.parent().ok_or_else(|| wrong(path, "is the root"))?;
        let home = self.at(&dir).filter(|entry| entry.node == Node::Dir);
        home.map(|entry| entry.file).ok_or_else(|| wrong(path, "stands in no directory"))
    }

    /// `before` is the tree before all steps of the same operation: their bases are its versions.
    fn step(&mut self, change: &Change, before: Option<&Self>) -> io::Result<()> {
        let path = &change.path;
        let stood = self.at(change.from.as_ref().unwrap_or(path)).cloned();
        let stood_as = stood
            .as_ref()
            .map(|entry| before.and_then(|before| before.entries.get(&entry.file)).unwrap_or(entry).version);
        if stood_as != change.base {
            return Err(wrong(path, "was made from another version"));
        }
        self.next += 1;
        let version = VersionId(self.next);
        if change.node == Node::Gone {
            return self.remove(path, stood);
        }
        if let Some(from) = &change.from {
            let file = stood.as_ref().map(|entry| entry.file).ok_or_else(|| wrong(from, "is not there"))?;
            if self.at(path).is_some() {
                return Err(wrong(path, "is not free"));
            }
            if path.is_below(from) {
                return Err(wrong(path, "is below itself"));
            }
            let home = self.home(from)?;
            self.names.entry(home).or_default().remove(from.name());
            self.names.entry(self.home(path)?).or_default().insert(path.name().to_owned(), file);
        }
        let home = self.home(path)?;
        let file = stood.as_ref().map_or(FileId(self.next), |entry| entry.file);
        let dir = |node| node == Node::Dir;
        if stood.as_ref().is_some_and(|entry| dir(entry.node) != dir(change.node)) {
            return Err(wrong(path, "is a directory, or is to be one"));
        }
        if dir(change.node) {
            self.names.entry(file).or_default();
        }
        let Change { node, content, mode, mtime, .. } = *change;
        let name = path.name().to_owned();
        self.names.entry(home).or_default().insert(name.clone(), file);
        let (label, named) = stood.map_or((LabelId(0), LabelId(0)), |entry| (entry.label, entry.named));
        self.entries
            .insert(file, BaseEntry { name, file, node, content, mode, mtime, version, label, named });
        Ok(())
    }

    fn remove(&mut self, path: &TreePath, stood: Option<BaseEntry>) -> io::Result<()> {
        let entry = stood.ok_or_else(|| wrong(path, "is not there"))?;
        if self.names.get(&entry.file).is_some_and(|names| !names.is_empty()) {
            return Err(wrong(path, "is not empty"));
        }
        let home = self.home(path)?;
        self.names.entry(home).or_default().remove(path.name());
        self.names.remove(&entry.file);
        self.entries.remove(&entry.file);
        Ok(())
    }
}

impl Base for Memory {
    fn root(&self) -> io::Result<BaseEntry> {
        self.entries.get(&ROOT).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, dir: FileId) -> io::Result<Vec<BaseEntry>> {
        let names = self.names.get(&dir).ok_or(io::ErrorKind::NotFound)?;
        Ok(names.values().filter_map(|file| self.entries.get(file).cloned()).collect())
    }

    fn child(&self, dir: FileId, name: &str) -> io::Result<Option<BaseEntry>> {
        let names = self.names.get(&dir).ok_or(io::ErrorKind::NotFound)?;
        Ok(names.get(name).and_then(|file| self.entries.get(file).cloned()))
    }

    fn read(&self, content: &Content, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes(content).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = from.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}
