//! Drafts: what one holds is nowhere in the tree until an operator keeps it; then all of it is, by the
//! process that wrote it, in one operation.

use super::{Finding, execs::stays, finding};
use abi::{
    Content, Hash, OpId, Pid,
    record::{Entry, Record},
    view::{Commit, layer},
};
use std::collections::{BTreeMap, BTreeSet};

/// See the file's head.
#[derive(Default)]
pub struct Drafts {
    /// What each text holds that nothing else does.
    texts: BTreeMap<Content, BTreeSet<Hash>>,
    /// All of that.
    contents: BTreeSet<Hash>,
    open: BTreeMap<Pid, Content>,
    /// What came into the tree, and whose keeping of it is not recorded yet.
    wrote: BTreeMap<Pid, (OpId, BTreeSet<Hash>)>,
}

impl Drafts {
    /// What a program made, before anybody decided on it.
    pub fn promised(&mut self, made: &Commit) {
        // One that lies about what it changed is refused.
        let Some(layer) =
            made.layer.as_deref().copied().filter(|said| *said == Content::of(&layer(&made.changes)))
        else {
            return;
        };
        let files = made.changes.iter().filter(|change| stays(change));
        let files: BTreeSet<Hash> = files.map(|change| change.content.hash).collect();
        self.contents.extend(&files);
        self.texts.insert(layer, files);
    }

    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut wrong =
            |check, what: String| found.push(finding(check, format!("record {}: {what}", record.seq)));
        match &record.body {
            Entry::Drafted { changes: 0, .. } => drop(self.open.remove(&record.pid)),
            Entry::Drafted { layer, .. } => drop(self.open.insert(record.pid, *layer)),
            Entry::Wrote { op, changes, undoes: None, .. } => {
                let hashes = changes.iter().map(|change| change.content.hash);
                let of_draft: BTreeSet<Hash> = hashes.filter(|hash| self.contents.contains(hash)).collect();
                if of_draft.is_empty() {
                    return found;
                }
                match self.open.get(&record.pid).and_then(|layer| self.texts.get(layer)) {
                    Some(holds) if of_draft.is_subset(holds) => {
                        let of = self.wrote.entry(record.pid).or_insert((*op, BTreeSet::new()));
                        if of.0 != *op {
                            wrong("draft-whole", format!("{} and {op} keep one draft", of.0));
                        }
                        of.1.extend(of_draft);
                    }
                    _ => wrong("draft-waits", format!("op {op} has what a draft held, which nobody keeps")),
                }
            }
            Entry::DraftEnded { of, kept } => {
                let (_, came) = self.wrote.remove(of).unwrap_or_default();
                // From here on it moves, comes back and is taken over like anything else.
                self.contents.retain(|hash| !came.contains(hash));
                match self.open.remove(of).and_then(|layer| self.texts.get(&layer)) {
                    None => wrong("draft-once", format!("the draft of process {of} had ended")),
                    Some(holds) if *kept && came != *holds => {
                        wrong(
                            "draft-whole",
                            format!("of the draft of process {of} came {came:?}, not {holds:?}"),
                        );
                    }
                    Some(_) if !kept && !came.is_empty() => {
                        wrong("draft-waits", format!("the dropped draft of process {of} wrote {came:?}"));
                    }
                    Some(_) => {}
                }
            }
            _ => {}
        }
        found
    }

    /// What came into the tree and was not said to be kept.
    pub fn left(&self) -> Vec<Finding> {
        let row = |(pid, (op, _)): (&Pid, &(OpId, _))| {
            finding("draft-once", format!("op {op} keeps the draft of process {pid}, which nobody did"))
        };
        self.wrote.iter().map(row).collect()
    }
}
