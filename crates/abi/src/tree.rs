//! The tree's rows: what a version is, and one change of it. The tree is a fold of the log's changes.

use crate::{
    Content, FileId, LabelId, Micros, OpId, Pid, Seq, VersionId,
    path::{Pattern, TreePath},
};
use alloc::{collections::BTreeSet, string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    /// Bytes.
    File,
    /// Names.
    Dir,
    /// A symbolic link; the content is its target.
    Link,
    /// Removed; the version that says so.
    Gone,
}

impl Node {
    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Link => "link",
            Self::Gone => "gone",
        }
    }
}

/// One change of one file: a new version, and where it stands in the tree. Everything the store keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Change {
    /// Which file; a new one when the path was free.
    pub file: FileId,
    /// The directory it stands in.
    pub dir: FileId,
    /// Its whole path at that moment.
    pub path: TreePath,
    /// Where it stood before, if this moves it. The version it makes has the content it had.
    pub moved_from: Option<TreePath>,
    /// The new version.
    pub version: VersionId,
    /// What it is now.
    pub node: Node,
    /// Its bytes, or its target.
    pub content: Content,
    /// Permission bits (0o644, 0o755).
    pub mode: u32,
    /// Wall time of the change.
    pub mtime: Micros,
    /// Flow label.
    pub label: LabelId,
    /// The versions it was made from.
    pub parents: Vec<VersionId>,
    /// True: kept, but the head stays as it was; somebody has to resolve it.
    pub diverged: bool,
    /// True: a scratch path, where only the current content is kept: the bytes of the version it replaces go.
    #[musli(default)]
    #[serde(default)]
    pub scratch: bool,
}

impl Change {
    /// Whether all it changes is who may read a directory, in an operation of that time: what stands there is
    /// as old as it was.
    pub fn only_marks(&self, at: Micros) -> bool {
        let same = self.node == Node::Dir && self.moved_from.is_none() && !self.parents.is_empty();
        same && self.mtime != at
    }
}

/// Three contents to be merged into one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Merge {
    /// The file, whose name says how its bytes are read.
    pub path: TreePath,
    /// What both were made from.
    pub base: Content,
    /// One.
    pub ours: Content,
    /// And the other.
    pub theirs: Content,
}

/// How many versions of some files are kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Retain {
    /// Of files that stand at these paths.
    pub pattern: Pattern,
    /// So many.
    pub keep: Keep,
}

/// What a rule keeps; the head and open conflicts are always kept, and hash, size and author of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// All: the default, and how a rule is taken back.
    All,
    /// The newest so many.
    Last(u32),
    /// Those not older than so many days.
    Days(u32),
}

/// A version as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Version {
    /// Its name.
    pub id: VersionId,
    /// Of which file.
    pub file: FileId,
    /// What it is.
    pub node: Node,
    /// Its bytes.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// When.
    pub mtime: Micros,
    /// Flow label.
    pub label: LabelId,
    /// Who, as a principal.
    pub actor: String,
    /// Acting as which process.
    pub pid: Pid,
    /// As part of which operation.
    pub op: OpId,
    /// The record that made it.
    pub seq: Seq,
    /// Kept beside the head.
    pub diverged: bool,
    /// Made from.
    pub parents: Vec<VersionId>,
    /// Why, a blob of text.
    pub message: Option<Content>,
    /// Path it stood at when it was made.
    pub path: TreePath,
}

/// A directory that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// In which directory; the root in itself.
    pub dir: FileId,
    /// Where.
    pub path: TreePath,
    /// Its head, whose readers are those of every name that stands in it, and of every one that does not.
    pub head: Version,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it is.
    pub node: Node,
    /// Length in bytes (names, for a directory: 0).
    pub bytes: u64,
    /// Permission bits.
    pub mode: u32,
    /// When it changed last.
    pub mtime: Micros,
    /// Its head.
    pub version: VersionId,
    /// Flow label of that head.
    pub label: LabelId,
    /// Who made that head.
    pub actor: String,
}

/// One path that an undo would touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoRow {
    /// Where the file stands now.
    pub path: TreePath,
    /// The file.
    pub file: FileId,
    /// The directory it stands in.
    pub dir: FileId,
    /// Its head now.
    pub head: VersionId,
    /// Whether that head was made by what is to be undone; if not, it is merged in reverse, or left.
    pub untouched: bool,
    /// The last version that what is to be undone made of it.
    pub made: VersionId,
    /// Its label.
    pub made_label: LabelId,
    /// Its content; of a file only.
    pub made_content: Option<Content>,
    /// Content and mode of the head; of a file only.
    pub head_content: Option<(Content, u32)>,
    /// What was there before; none means nothing was, so undoing removes it.
    pub before: Option<Version>,
    /// Label of the head.
    pub label: LabelId,
    /// Where it stood before, if what is to be undone moved it.
    pub moved_from: Option<(TreePath, FileId)>,
    /// Labels of the names it has and had.
    pub named: BTreeSet<LabelId>,
    /// Those, and of the names of the directories above.
    pub told: BTreeSet<LabelId>,
    /// The directories of `dir` and `moved_from`, as far as they stand.
    pub homes: Vec<Home>,
}
