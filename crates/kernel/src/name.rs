//! Names tell, and so do those that are not there.
//!
//! ```text
//! P has read a secret, readers=anna; creates /data/bit-0-is-0   → /data gets a version: readers=anna
//! Q reads /data/bit-0-is-1: there is none                       → Q has been told of /data: readers=anna
//! ```
//!
//! Readers only. The integrity of a name lies on the name itself: nobody chose the text of one that is not
//! there (docs/decisions/0021). Operators are told everything and decide for themselves. Never here: whether
//! a change may be made.

use crate::step::Step;
use abi::{
    Error, LabelId, Pid, VersionId, WORKSPACE,
    fact::Place,
    label::{Integrity, Label, Readers},
    path::{self, TreePath},
    tree::{Change, Home, Node, Version},
};
use alloc::{collections::BTreeSet, format, vec, vec::Vec};

impl Step<'_> {
    /// A process was told what stands at a path, or that nothing does: from now on it has at most the readers
    /// of the directory, and of what a mount would bring there.
    pub fn told_of(&mut self, pid: Pid, path: &TreePath, place: &Place) {
        if let Some(home) = &place.home {
            self.told_of_home(pid, home);
        }
        let mut names = path.names();
        let (Some("integrations"), Some(mount), None) = (names.next(), names.next(), &place.head) else {
            return;
        };
        let inside = path.as_str().strip_prefix(&format!("/integrations/{mount}")).unwrap_or_default();
        let brings = self.state().mounts.get(mount).and_then(|row| row.manifest.brings(inside));
        let readers = brings.map(|row| row.readers.clone()).unwrap_or_default();
        if readers != Readers::Any && self.state().processes.contains_key(&pid) {
            let label = Label { readers, ..Label::new(Integrity::System, format!("mount:{mount}")) };
            let label = self.intern(&label);
            self.saw(pid, path, None, label);
        }
    }

    /// A process was told of a name in this directory.
    pub fn told_of_home(&mut self, pid: Pid, home: &Home) {
        self.learned_of(pid, &home.path, (Some(home.head.id), home.head.label));
    }

    /// A process was told something that only what stands there could tell: its kind, its version, whether it
    /// is the same or has moved on.
    pub fn told_all_of(&mut self, pid: Pid, path: &TreePath, version: &Version) {
        // Of the root nothing is known but what the program made.
        if version.id != VersionId(0) {
            self.saw(pid, path, Some(version.id), version.label);
        }
    }

    /// A process was told names, whose labels these are.
    pub fn told_names(&mut self, pid: Pid, path: &TreePath, labels: &BTreeSet<LabelId>) {
        let seen = labels.iter().filter(|label| !self.kernel.hides(pid, **label));
        seen.copied().collect::<Vec<_>>().into_iter().for_each(|label| self.saw(pid, path, None, label));
    }

    /// Adds to an operation of a process what its names tell: each directory in which one comes or goes gets
    /// a version for the readers of those changes only, whatever else it was.
    pub fn mark<'a>(
        &mut self,
        pid: Pid,
        changes: &mut Vec<Change>,
        homes: impl IntoIterator<Item = &'a Home>,
    ) {
        // What an operator decides tells nothing of what a process read.
        if pid == WORKSPACE && self.approved.is_none() {
            return;
        }
        let of = |change: &Change| self.kernel.meaning(change.label).readers;
        let readers = changes.iter().map(of).fold(Readers::Any, |all, readers| all.meet(&readers));
        let Some(mut version) = changes.iter().map(|change| change.version).max() else { return };
        if readers == Readers::Any {
            return;
        }
        let mut done: BTreeSet<_> = changes.iter().map(|change| change.file).collect();
        for home in homes {
            let Home { dir, path, head } = home;
            let old = if head.id == VersionId(0) { Label::system() } else { self.kernel.meaning(head.label) };
            let new = Label { readers: old.readers.meet(&readers), ..old.clone() };
            if new == old || !done.insert(head.file) {
                continue;
            }
            version = version.next();
            let label = self.intern(&new);
            changes.push(Change {
                file: head.file,
                dir: *dir,
                path: path.clone(),
                moved_from: None,
                version,
                node: Node::Dir,
                content: head.content,
                mode: head.mode,
                mtime: head.mtime,
                label,
                parents: vec![head.id],
                diverged: false,
                scratch: path::is_scratch(path),
            });
        }
    }
}

/// Where an agent's file stands.
pub fn of_agent(agent: &str) -> Result<TreePath, Error> {
    TreePath::parse(&format!("/agents/{agent}/AGENT.md"))
}
