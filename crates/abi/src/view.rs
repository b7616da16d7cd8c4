//! What a process sees of the tree while a program of it runs, and what the program made of it.
//!
//! The kernel compiles a [`Plan`] when a command starts; who serves it (FUSE, the virtual shell) asks nobody
//! again. What the program changed comes back as one list, against the versions that it saw.

use crate::{
    Code, Content, Error, FileId, LabelId, Micros, Seq, VersionId,
    cap::Rights,
    limits,
    path::{Pattern, TreePath},
    tree::{Home, Node, Version},
};
use alloc::{boxed::Box, collections::BTreeSet, format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// How long what is written in a view stays in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Until its first process exits: then all of it is one operation, or none of it happened.
    #[default]
    Command,
    /// A few seconds.
    Live,
    /// Until an operator keeps or drops it.
    Draft,
}

/// How much may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, directories and links.
    pub files: u64,
}

/// A process's view, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What becomes of what is written.
    pub kind: Kind,
    /// The tree as it was after this record.
    pub seq: Seq,
    /// Grows with each revocation: what was compiled before is not served any more.
    pub generation: u64,
    /// What it may do where; what none of them lets it read or list is not there.
    pub rights: Vec<(Pattern, Rights)>,
    /// What it may not, whatever `rights` says.
    pub denied: Vec<(Pattern, Rights)>,
    /// Labels below its ceiling: what bears one is not there.
    pub hidden: BTreeSet<LabelId>,
    /// How much may be written.
    pub quota: Quota,
    /// Directories of the host that stand in the tree.
    pub bound: Vec<Bound>,
    /// What programs of a view that goes on have changed in guarded places, and waits for an operator:
    /// there it stands as they left it.
    pub waits: BTreeSet<TreePath>,
}

/// A directory of the host that is part of the tree, at its own path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Which.
    pub dir: TreePath,
    /// The label of what nobody has changed in it.
    pub label: LabelId,
    /// Whether what is changed where agents or tools outside obey waits for an operator.
    pub guards: bool,
}

impl Plan {
    /// What may be done with the path.
    pub fn rights(&self, path: &str) -> Rights {
        let of = |rows: &[(Pattern, Rights)]| {
            let here = rows.iter().filter(|(pattern, _)| pattern.matches(path));
            here.fold(Rights::default(), |all, (_, rights)| all.union(*rights))
        };
        of(&self.rights).without(of(&self.denied))
    }
}

/// One change of a view, in the order in which they can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Where it stands now, or stood.
    pub path: TreePath,
    /// Where it stood, if this moves it; what is below a directory goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<TreePath>,
    /// The version of it that the view showed; none where it showed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<VersionId>,
    /// What it is now; `Gone` removes it.
    pub node: Node,
    /// Its bytes, or its target.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// When its bytes changed, as the program may have set it.
    pub mtime: Micros,
}

/// Something that a program of the view opened or listed: it was told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opened {
    /// Where.
    pub path: TreePath,
    /// Which version.
    pub version: VersionId,
    /// Its label.
    pub label: LabelId,
}

/// All that a command made of its view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// In order.
    pub changes: Vec<Change>,
    /// What its programs were told.
    pub told: Told,
    /// Of a draft: the text of `changes` ([`layer`]), which is all that the log knows of them.
    pub layer: Option<Box<Content>>,
}

/// The changes of a draft as text: a line of JSON each.
pub fn layer(changes: &[Change]) -> Vec<u8> {
    let mut text = Vec::new();
    for change in changes {
        // Changes have text keys only, so encoding them cannot fail.
        text.extend(serde_json::to_vec(change).unwrap_or_default());
        text.push(b'\n');
    }
    text
}

/// Reads them again.
pub fn parse_layer(text: &[u8]) -> Result<Vec<Change>, Error> {
    let bad = |ix: usize, why: String| {
        Error::new(Code::Unavailable, format!("line {} of what the draft changed {why}", ix + 1))
    };
    let mut changes = Vec::new();
    for (ix, line) in text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        if changes.len() >= limits::COMMIT_CHANGES_MAX {
            return Err(bad(ix, format!("is more than {} of them", limits::COMMIT_CHANGES_MAX)));
        }
        changes.push(serde_json::from_slice(line).map_err(|error| bad(ix, format!("is damaged: {error}")))?);
    }
    Ok(changes)
}

/// What programs of a view were told, whatever became of what they made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What was opened or listed, as far as it is remembered by path.
    pub opened: Vec<Opened>,
    /// Labels of all that was, and of every name that was found or listed.
    pub labels: BTreeSet<LabelId>,
    /// Labels of the directories where a name was asked for, found or not: of them the readers count.
    pub homes: BTreeSet<LabelId>,
}

/// Where a change of a view meets the tree as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// What the view showed; none where it showed nothing, or nobody knows any more.
    pub base: Option<Version>,
    /// Where the file of that version stands now; none if it is gone.
    pub stands: Option<Stand>,
    /// What stands at the path.
    pub here: Option<Version>,
    /// The directories above the path that exist, root first.
    pub dirs: Vec<FileId>,
    /// Whether the walk was stopped by something that is no directory.
    pub blocked: bool,
    /// The last of `dirs`.
    pub home: Option<Box<Home>>,
    /// Names in it, if it is a directory.
    pub names: u64,
}

/// A file where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its head.
    pub head: Version,
    /// In which directory.
    pub dir: FileId,
    /// Its path.
    pub path: TreePath,
    /// That directory.
    pub home: Option<Box<Home>>,
}
