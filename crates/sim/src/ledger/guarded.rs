//! Guarded places of bound directories: what a process changes there is in no record of the tree but as what
//! an operator has approved, with exactly those bytes; it is asked once.

use super::{Finding, finding};
use abi::{
    Content, Pid, ProposalId, Seq, WORKSPACE,
    call::Ruling,
    path::TreePath,
    record::{Entry, Record, Rule},
    tree::{Change, Node},
};
use std::collections::{BTreeMap, BTreeSet};

struct Asked {
    pid: Pid,
    path: TreePath,
    /// What shall stand there; none: nothing.
    bytes: Option<Content>,
}

/// See the file's head.
#[derive(Default)]
pub struct Guarded {
    dirs: BTreeSet<TreePath>,
    waits: BTreeMap<ProposalId, Asked>,
    /// What was written, by one event.
    wrote: (Seq, Vec<Change>),
    /// What waited when it came into the tree, and is not said to be approved yet.
    came: Vec<(Seq, TreePath, Content)>,
}

impl Guarded {
    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut wrong =
            |check, what: String| found.push(finding(check, format!("record {}: {what}", record.seq)));
        let late = |(of, ..): &mut (Seq, TreePath, Content)| *of != record.cause;
        for (_, path, _) in self.came.extract_if(.., late) {
            wrong("guarded-waits", format!("{path} has what waits, before it"));
        }
        match &record.body {
            Entry::Bound { dir, .. } => drop(self.dirs.insert(dir.clone())),
            Entry::Unbound { dir } => drop(self.dirs.remove(dir)),
            Entry::Wrote { op, changes, .. } => {
                for change in changes {
                    let paths = [Some(&change.path), change.moved_from.as_ref()];
                    let touched = paths.into_iter().flatten().find(|path| self.is_guarded(path));
                    if let Some(path) = touched.filter(|_| record.pid != WORKSPACE) {
                        wrong("guarded", format!("op {op} of process {} changes {path}", record.pid));
                    }
                }
                self.came(record.cause, changes);
            }
            Entry::Proposed { proposal, kind, rule: Rule::Guarded, paths, content, .. } => {
                let Some(path) = paths.first().cloned() else { return found };
                let pid = record.pid;
                if self.waits.values().any(|row| row.pid == pid && row.path == path) {
                    wrong("guarded-once", format!("{path} of process {pid} waits already ({proposal})"));
                }
                let bytes = content.filter(|_| kind != "remove");
                self.waits.insert(*proposal, Asked { pid, path, bytes });
            }
            Entry::Decided { proposal, ruling, .. } => {
                let Some(asked) = self.waits.remove(proposal) else { return found };
                if *ruling == Ruling::Approve
                    && let Some(what) = self.approved(record.cause, &asked)
                {
                    wrong("guarded-bytes", format!("proposal {proposal}: {what}"));
                }
            }
            Entry::Lapsed { proposal } => drop(self.waits.remove(proposal)),
            _ => {}
        }
        found
    }

    /// Whatever waits and is in an operation was approved at that moment.
    fn came(&mut self, of: Seq, changes: &[Change]) {
        if self.wrote.0 != of {
            self.wrote = (of, Vec::new());
        }
        self.wrote.1.extend(changes.iter().cloned());
        for change in changes.iter().filter(|change| change.node == Node::File) {
            let waits = |row: &&Asked| row.path == change.path && row.bytes == Some(change.content);
            let rows = self.waits.values().filter(waits);
            self.came.extend(rows.map(|row| (of, row.path.clone(), change.content)));
        }
    }

    /// Of what was written for it, something is exactly what was asked.
    fn approved(&mut self, of: Seq, asked: &Asked) -> Option<String> {
        self.came.retain(|(_, path, bytes)| *path != asked.path || Some(*bytes) != asked.bytes);
        let (by, changes) = &self.wrote;
        let mut there = changes.iter().filter(|change| *by == of && change.path == asked.path).peekable();
        there.peek()?;
        let same = |change: &Change| match asked.bytes {
            Some(bytes) => change.node == Node::File && change.content == bytes,
            None => change.node == Node::Gone,
        };
        (!there.any(same)).then(|| format!("{} became something else", asked.path))
    }

    fn is_guarded(&self, path: &TreePath) -> bool {
        let below = self.dirs.iter().find_map(|dir| path.as_str().strip_prefix(&format!("{dir}/")));
        below.is_some_and(places)
    }
}

/// The places, as far as these runs have any.
fn places(below: &str) -> bool {
    let names: Vec<&str> = below.split('/').collect();
    let obeyed = |name: &&str| ["AGENTS.md", "CLAUDE.md", ".envrc", ".husky", ".claude"].contains(name);
    let git = |pair: &[&str]| matches!(pair, [".git", "hooks" | "config" | "info"]);
    names.iter().any(obeyed) || names.windows(2).any(git)
}
