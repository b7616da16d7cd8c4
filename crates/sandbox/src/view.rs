//! A compiled view: the tree as one process sees it, with what its programs write laid over it.
//!
//! ```text
//!   fuse, virtual shell          inode operations, paths
//!          │
//!         View ── scope          what the plan shows, and what may be done there
//!          │  ├── table          nodes in memory: those asked for, and those changed
//!          │  └── data, spool    bytes that were written; the rest is read below
//!         Base                   the tree at a seq (the machine implements it from the store)
//! ```
//!
//! A node is loaded when its name is first asked for; no directory is listed for one name of it. What was
//! written never reaches the base: [`View::drain`] gives the net difference as steps, the machine stores
//! their bytes and commits them, and [`View::rebase`] lets the view go on over the tree that came of it.
//!
//! No lock of the whole view is held while the base or the spool is read or written. Nothing here decides:
//! what the plan does not allow is refused, and what it allows is decided again where it is committed.

mod data;
mod drain;
mod extents;
mod file;
mod lasting;
mod list;
pub mod memory;
mod names;
mod outside;
mod rebase;
mod rename;
mod scope;
mod spool;
mod table;
mod walk;

pub use data::{Grow, Whence};
pub use drain::{Bytes, Drained, Mark, Step};
pub use file::{Access, Set, SetX, When};
pub use lasting::{Tell, Waiting};
pub use list::{Detail, Listed};
pub use outside::{OUTSIDE, is_outside};
pub use rename::Onto;
pub use walk::Last;

use abi::{
    Content, FileId, LabelId, Micros, VersionId,
    tree::Node,
    view::{Kind, Opened, Plan},
};
use lasting::Lasting;
use list::Handles;
use spool::Spool;
use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use table::Table;

/// One entry of the tree below a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseEntry {
    /// Its name; empty for the root.
    pub name: String,
    /// Which file.
    pub file: FileId,
    /// What it is; never `Gone`.
    pub node: Node,
    /// Its bytes, or its target.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// When it changed.
    pub mtime: Micros,
    /// Its head at the view's seq.
    pub version: VersionId,
    /// Label of that head.
    pub label: LabelId,
    /// Label of its name (docs/decisions/0021).
    pub named: LabelId,
}

/// The tree at one seq. Every view of it reads through this, from several threads.
pub trait Base: Send + Sync {
    /// The root directory.
    fn root(&self) -> io::Result<BaseEntry>;
    /// Everything in a directory, in any order.
    fn list(&self, dir: FileId) -> io::Result<Vec<BaseEntry>>;
    /// One name in it: must not cost a listing.
    fn child(&self, dir: FileId, name: &str) -> io::Result<Option<BaseEntry>>;
    /// Bytes from `offset` on into `to`; fewer only at the end of the content.
    fn read(&self, content: &Content, offset: u64, to: &mut [u8]) -> io::Result<usize>;
}

/// What a view is made from.
pub struct Setup {
    /// What it shows and allows.
    pub plan: Plan,
    /// The tree at `plan.seq`.
    pub base: Arc<dyn Base>,
    /// Where the file of large written contents lies; it has no name there.
    pub spool: PathBuf,
    /// Directories that must be there to be mounted on, as `usr` or `opt/tools`; with those above.
    pub mount_points: Vec<String>,
    /// Whose everything is: user and group.
    pub owner: (u32, u32),
    /// The wall clock.
    pub now: fn() -> Micros,
}

/// The number of a node in this view. Given out with a reference, which `forget` gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// The root directory.
pub const ROOT: NodeId = NodeId(1);

/// What a node is to programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Bytes.
    File,
    /// Names.
    Dir,
    /// A symbolic link.
    Link,
    /// A named pipe; only ever in the view.
    Fifo,
    /// A Unix socket; only ever in the view.
    Socket,
}

/// What `stat` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// The node.
    pub node: NodeId,
    /// The number that programs see: that of the file, or one far above all files for what is new.
    pub number: u64,
    /// What it is.
    pub sort: Sort,
    /// Bytes.
    pub size: u64,
    /// Bytes that it takes: fewer, if it has holes.
    pub kept: u64,
    /// Names that lead to it: one, or none if it was removed and is still open.
    pub links: u32,
    /// Permission bits.
    pub mode: u32,
    /// When it was read, as far as a program said so.
    pub atime: Micros,
    /// When its bytes changed.
    pub mtime: Micros,
    /// When anything of it changed.
    pub ctime: Micros,
    /// Whether it may change without being asked: it stands in a directory of the host.
    pub outside: bool,
}

/// What the programs of a view were told, for the label of what they write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Files opened for reading and directories listed: the first `SEEN_PATHS_MAX` of them.
    pub opened: Vec<Opened>,
    /// Labels of all those, and of every name that was found or listed: they are joined whole.
    pub labels: BTreeSet<LabelId>,
    /// Labels of the directories where a name was asked for, found or not: of them the readers count.
    pub homes: BTreeSet<LabelId>,
}

/// Something that a cache above the view must forget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stale {
    /// What stands at this name in that directory.
    Entry {
        /// The directory.
        dir: NodeId,
        /// The name.
        name: String,
    },
    /// Attributes, bytes and names of this node.
    Node(NodeId),
}

/// A process's view.
pub struct View {
    table: Mutex<Table>,
    handles: Mutex<Handles>,
    /// Of a live one.
    lasting: Option<Lasting>,
    owner: (u32, u32),
    now: fn() -> Micros,
}

impl View {
    /// A view without changes.
    pub fn new(setup: Setup) -> io::Result<Self> {
        let Setup { plan, base, spool, mount_points, owner, now } = setup;
        let root = base.root()?;
        let lasting = (plan.kind != Kind::Command).then(Lasting::new).transpose()?;
        let spool = Arc::new(Spool::new(spool, plan.quota.bytes));
        let table = Mutex::new(Table::new(plan, base, root, spool));
        let view = Self { table, handles: Mutex::default(), lasting, owner, now };
        view.place_points(&mount_points)?;
        Ok(view)
    }

    /// Whose everything is.
    pub fn owner(&self) -> (u32, u32) {
        self.owner
    }

    /// Grows with every change: what a live view looks at to know whether there is something to commit.
    pub fn stamp(&self) -> u64 {
        self.lock().stamp
    }

    fn now(&self) -> Micros {
        (self.now)()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
