//! The tree, folded anew from the log's changes: which file stands where, which version is its head.

use super::{Finding, finding};
use abi::{
    FileId, LabelId, OpId, ROOT, VersionId, WORKSPACE,
    call::Undo,
    label::{Integrity, Label},
    path::TreePath,
    record::{Entry, Record},
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
    /// Label of the version by which it came to its name.
    named: LabelId,
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
    /// Which operation made a version.
    made_by: BTreeMap<VersionId, OpId>,
    /// Versions whose bytes were destroyed or thinned.
    pub destroyed: BTreeSet<VersionId>,
    open: BTreeMap<VersionId, String>,
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
        found.extend(self.merge(record, changes, meaning));
        found.extend(self.undo(record, changes));
        for change in changes {
            let which = format!("record {}: version {} of {}", record.seq, change.version, change.path);
            if let Some(check) = self.wrong(record, change, label, meaning) {
                found.push(finding(check, which));
            }
            self.put(change);
            self.made_by.insert(change.version, op);
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
        // That it is gone says who took it away; its version bears what stood there too.
        let by = if change.node == Node::Gone { label.unwrap_or(&written) } else { &written };
        let external = by.integrity == Integrity::External && record.pid != WORKSPACE;
        (external && steers(&change.path)).then_some("steering")
    }

    fn put(&mut self, change: &Change) {
        self.version = self.version.max(change.version);
        self.versions.insert(change.version, change.clone());
        if change.diverged {
            self.open.insert(change.version, change.path.to_string());
            return;
        }
        for parent in change.parents.iter().skip(1) {
            self.open.remove(parent);
        }
        // Whoever writes a file later did not choose its name.
        let stood = self.files.get(&change.file).filter(|file| {
            file.node != Node::Gone && change.moved_from.is_none() && file.name == change.path.name()
        });
        let stood = stood.map(|file| file.named);
        let file = File {
            dir: change.dir,
            name: change.path.name().to_owned(),
            head: change.version,
            node: change.node,
            label: change.label,
            named: stood.unwrap_or(change.label),
        };
        self.files.insert(change.file, file);
    }

    /// `merge`: an operation that keeps a writer's version and makes a head beside it makes that head of
    /// both, and whoever had a part in either had a part in it.
    fn merge(
        &self,
        record: &Record,
        changes: &[Change],
        meaning: &dyn Fn(LabelId) -> Label,
    ) -> Option<Finding> {
        let [ours, merge] = changes else { return None };
        if !ours.diverged || merge.diverged || ours.file != merge.file {
            return None;
        }
        let head = self.files.get(&ours.file)?;
        let of_both = merge.parents == [head.head, ours.version];
        let label = meaning(merge.label);
        let carries = |id: LabelId| meaning(id).flows_to(&label);
        let fine = of_both && carries(head.label) && carries(ours.label);
        (!fine).then(|| finding("merge", format!("record {}: {merge:?} of {ours:?}", record.seq)))
    }

    /// `undo-overwrites`: an undo of an operation replaces a head of another only by a merge.
    fn undo(&self, record: &Record, changes: &[Change]) -> Option<Finding> {
        let Entry::Wrote { undoes: Some(Undo::Operation(of)), .. } = &record.body else { return None };
        let wrong = |change: &&Change| {
            let head = self.files.get(&change.file).map(|file| file.head);
            let others = head.is_some_and(|head| self.made_by.get(&head) != Some(of));
            // Who may read a directory is no content of it.
            let marks = change.only_marks(record.at);
            others && !marks && !change.diverged && change.parents.len() < 2
        };
        let change = changes.iter().find(wrong)?;
        let what = format!("record {}: version {} of {}", record.seq, change.version, change.path);
        Some(finding("undo-overwrites", what))
    }

    /// Bytes that a record destroys or lets go.
    pub fn destroy(&mut self, record: &Record) {
        match &record.body {
            Entry::Purged { files, upto, .. } => {
                let gone = self.versions.values().filter(|row| files.contains(&row.file));
                let gone: Vec<VersionId> =
                    gone.map(|row| row.version).filter(|version| version <= upto).collect();
                self.open.retain(|version, _| !gone.contains(version));
                self.destroyed.extend(gone);
            }
            Entry::Thinned { versions } => self.destroyed.extend(versions),
            _ => {}
        }
    }

    /// Diverged versions that nobody has resolved.
    pub fn conflicts(&self) -> BTreeMap<VersionId, String> {
        self.open.clone()
    }

    /// What an operation changed.
    pub fn of_operation(&self, op: u64) -> impl Iterator<Item = &Change> {
        let made = self.made_by.iter().filter(move |(_, by)| by.0 == op);
        made.filter_map(|(version, _)| self.versions.get(version))
    }

    /// The last versions of texts that can be merged.
    pub fn texts(&self) -> Vec<(String, VersionId)> {
        let texts = self.versions.values().rev().filter(|row| {
            row.node == Node::File && (row.path.name().ends_with(".md") || row.path.name().ends_with(".txt"))
        });
        texts.take(8).map(|row| (row.path.to_string(), row.version)).collect()
    }

    /// The head at a path.
    pub fn head_of(&self, path: &str) -> Option<VersionId> {
        self.at(path).and_then(|id| self.files.get(&id)).map(|file| file.head)
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

    /// Labels of all heads in a directory, each with that of its name.
    pub fn labels_below(&self, path: &str) -> BTreeSet<[LabelId; 2]> {
        let Some(dir) = self.at(path) else { return BTreeSet::new() };
        let inside = self.files.values().filter(|file| file.dir == dir && file.node != Node::Gone);
        inside.map(|file| [file.label, file.named]).collect()
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
