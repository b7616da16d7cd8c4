//! `base-is-seen`: a turn that writes a text without naming a base writes it from what it saw last, also
//! after a crash in between. In these runs models name no base for such texts and never append to them.

use super::{Files, Finding, finding};
use abi::{
    Pid, VersionId,
    call::Undo,
    record::{Entry, Record},
    tree::{Change, Node},
};
use std::collections::BTreeMap;

/// What every living turn saw last of each path, and the last operation of each.
#[derive(Default)]
pub struct Seen {
    last: BTreeMap<(Pid, String), VersionId>,
    wrote: BTreeMap<Pid, Wrote>,
}

/// One operation of a process.
struct Wrote {
    /// Its own record, and the one that led to it: the tool call's is led to by one of them.
    causes: [abi::Seq; 2],
    path: String,
    /// The version it was made from.
    base: VersionId,
    /// The version that holds its own text.
    own: VersionId,
    undoes: Option<Undo>,
    /// Whether it is kept beside the head.
    beside: bool,
}

impl Seen {
    /// Takes a record; the files are as they are after it.
    pub fn take(&mut self, record: &Record, files: &Files) -> Option<Finding> {
        match &record.body {
            Entry::Wrote { changes, undoes, .. } => {
                changes.iter().for_each(|change| self.left(change));
                if undoes.is_some() {
                    // An undo brings back what it will: the process goes on from there.
                    self.last.retain(|(pid, _), _| *pid != record.pid);
                }
                let change = changes.first()?;
                let base = *change.parents.first().unwrap_or(&VersionId(0));
                let (path, own, undoes) = (change.path.to_string(), change.version, *undoes);
                // Beside the head and with no merge, it is no base: the writer goes on from what it knew.
                let beside = change.diverged && changes.len() == 1;
                let wrote = Wrote { causes: [record.seq, record.cause], path, base, own, undoes, beside };
                self.wrote.insert(record.pid, wrote);
                None
            }
            Entry::Tool { name, code: None, about, .. } => self.tool(record, (name, about), files),
            Entry::Exited { pid, .. } => {
                self.last.retain(|(of, _), _| of != pid);
                None
            }
            _ => None,
        }
    }

    /// What went away from a path, or below it, is nobody's base there any more.
    fn left(&mut self, change: &Change) {
        let gone = (change.node == Node::Gone).then_some(&change.path);
        for path in gone.into_iter().chain(&change.moved_from) {
            let inside = |other: &str| {
                other.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            self.last.retain(|(_, other), _| !inside(other));
        }
    }

    fn tool(&mut self, record: &Record, (name, about): (&str, &str), files: &Files) -> Option<Finding> {
        let key = (record.pid, about.to_owned());
        match name {
            "read" => {
                if let Some(head) = files.head_of(about) {
                    self.last.insert(key, head);
                }
                None
            }
            "write" => {
                let wrote = self.wrote.remove(&record.pid)?;
                let own =
                    wrote.causes.contains(&record.cause) && wrote.path == *about && wrote.undoes.is_none();
                if !own {
                    return None;
                }
                let seen = self.last.get(&key).copied();
                if !wrote.beside {
                    self.last.insert(key, wrote.own);
                }
                let text = about.ends_with(".md") || about.ends_with(".txt");
                let wrong = seen.is_some_and(|seen| seen != wrote.base && wrote.base != VersionId(0));
                (text && wrong).then(|| {
                    let (base, own) = (wrote.base, wrote.own);
                    let what = format!(
                        "process {} saw {seen:?} of {about}; version {own} is from {base}",
                        record.pid
                    );
                    finding("base-is-seen", what)
                })
            }
            // They change what is known of more paths than this one.
            "move" | "remove" | "exec" => {
                self.last.retain(|(pid, _), _| *pid != record.pid);
                None
            }
            _ => None,
        }
    }
}
