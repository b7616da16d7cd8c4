//! The tree, folded anew from the log's changes: which file stands where, which version is its head.

use super::{Finding, finding};
use abi::{
    FileId, LabelId, OpId, ROOT, VersionId, WORKSPACE,
    label::{Integrity, Label},
    path::TreePath,
    record::Record,
    tree::{Change, Node},
};
use std::collections::{BTreeMap, BTreeSet};

/// A file as it stands.
#[derive(Clone, Debug)]
struct File {
    dir: FileId,
    name: String,
    head: VersionId,
    node: Node,
    label: LabelId,
}

/// The tree.
#[derive(Default)]
pub struct Files {
    files: BTreeMap<FileId, File>,
    /// Every version there ever was.
    pub versions: BTreeMap<VersionId, Change>,
    /// The last version.
    pub version: VersionId,
    /// The last operation.
    pub op: OpId,
}

impl Files {
    /// Takes an operation; says what is wrong with it.
    pub fn take(
        &mut self,
        record: &Record,
        (op, changes): (OpId, &[Change]),
        label: Option<&Label>,
        meaning: &dyn Fn(LabelId) -> Label,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        self.op = self.op.max(op);
        for change in changes {
            let which = format!("record {}: version {} of {}", record.seq, change.version, change.path);
            if let Some(check) = self.wrong(record, change, label, meaning) {
                found.push(finding(check, which));
            }
            self.put(change);
        }
        found.extend(self.orphan(record));
        found
    }

    /// `version-reused`; `lost-update`: a new head was made from the head before it; `label-of-write`: what a
    /// process writes carries its label; `steering`: nothing external steers without an operator.
    fn wrong(
        &self,
        record: &Record,
        change: &Change,
        label: Option<&Label>,
        meaning: &dyn Fn(LabelId) -> Label,
    ) -> Option<&'static str> {
        if self.versions.contains_key(&change.version) {
            return Some("version-reused");
        }
        let before = self.files.get(&change.file);
        if before.is_some_and(|file| !change.diverged && !change.parents.contains(&file.head)) {
            return Some("lost-update");
        }
        let written = meaning(change.label);
        if label.is_some_and(|label| !label.flows_to(&written)) {
            return Some("label-of-write");
        }
        let external = written.integrity == Integrity::External && record.pid != WORKSPACE;
        (external && steers(&change.path)).then_some("steering")
    }

    fn put(&mut self, change: &Change) {
        self.version = self.version.max(change.version);
        self.versions.insert(change.version, change.clone());
        if change.diverged {
            return;
        }
        let file = File {
            dir: change.dir,
            name: change.path.name().to_owned(),
            head: change.version,
            node: change.node,
            label: change.label,
        };
        self.files.insert(change.file, file);
    }

    /// `orphan`: whatever stands, stands in a directory that stands.
    fn orphan(&self, record: &Record) -> Option<Finding> {
        let stands =
            |dir: FileId| dir == ROOT || self.files.get(&dir).is_some_and(|file| file.node == Node::Dir);
        let lost = self.files.values().find(|file| file.node != Node::Gone && !stands(file.dir))?;
        Some(finding("orphan", format!("record {}: {} is in no directory", record.seq, lost.name)))
    }

    fn at(&self, path: &str) -> Option<FileId> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |dir, name| {
            let here = |file: &File| file.dir == dir && file.name == name && file.node != Node::Gone;
            self.files.iter().find(|(_, file)| here(file)).map(|(id, _)| *id)
        })
    }

    /// The label of the head at a path.
    pub fn label_of(&self, path: &str) -> Option<LabelId> {
        self.at(path).and_then(|id| self.files.get(&id)).map(|file| file.label)
    }

    /// Labels of all heads in a directory.
    pub fn labels_below(&self, path: &str) -> BTreeSet<LabelId> {
        let Some(dir) = self.at(path) else { return BTreeSet::new() };
        let inside = self.files.values().filter(|file| file.dir == dir && file.node != Node::Gone);
        inside.map(|file| file.label).collect()
    }

    /// Every path that stands, with its head and kind.
    pub fn tree(&self) -> BTreeMap<String, (VersionId, Node)> {
        let mut below: BTreeMap<FileId, Vec<(FileId, &File)>> = BTreeMap::new();
        for (id, file) in self.files.iter().filter(|(_, file)| file.node != Node::Gone) {
            below.entry(file.dir).or_default().push((*id, file));
        }
        let mut all = BTreeMap::new();
        let mut todo = vec![(ROOT, String::new())];
        while let Some((dir, path)) = todo.pop() {
            for (id, file) in below.remove(&dir).unwrap_or_default() {
                let path = format!("{path}/{}", file.name);
                all.insert(path.clone(), (file.head, file.node));
                todo.push((id, path));
            }
        }
        all
    }
}

/// The steering places, as the specification lists them.
fn steers(path: &TreePath) -> bool {
    let text = path.as_str();
    let dirs = ["/agents", "/skills", "/programs", "/triggers", "/memory/constraints", "/sys"];
    let names = ["AGENTS.md", "CLAUDE.md", ".mcp.json", ".agents", ".claude"];
    dirs.iter().any(|dir| text == *dir || text.starts_with(&format!("{dir}/")))
        || path.names().any(|name| names.contains(&name))
}
