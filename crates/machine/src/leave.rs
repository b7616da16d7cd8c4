//! A workspace leaves as one file, and comes back under another name. Runs on worker threads.
//!
//! ```text
//! restore   reserve the name → home/restoring/ID/workspace: unpack, prove, still (`Restored`)
//!           → home/restoring/ID/name → rename to home/workspaces/NAME → its row in node.db → clean
//! ```
//!
//! A daemon that ends on the way leaves a workspace or none: `sweep`, before the door opens, takes away what
//! was begun, and a directory that got its place but no row. Never here: the format of the file.

use crate::{
    cell::Cell,
    journal,
    node::Node,
    random,
    turn::{Failure, Input, Out, Room, Sink},
    wake::{Begin, Setup},
};
use abi::{Code, Error, event::Body, money::Nano};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use store::backup;

/// What to do about a bad backup.
const ANOTHER: &str = "take another backup; nothing was restored from this one";

/// Where restores are begun, in the home.
const BEGUN: &str = "restoring";

/// Backs a workspace up to a host file.
pub(crate) fn backup(node: &Arc<Node>, cell: &Cell, file: &str) -> Result<(), Error> {
    let dir = place(node, &cell.name);
    let mark = random::id().map_err(|error| host(Path::new("random"), &error))?;
    let source = backup::Source { dir: &dir, name: &cell.name, at: node.clock.wall(), mark };
    let written = backup::write(&source, Path::new(file));
    written.map(drop).map_err(|trouble| blame(&trouble, "try again; if it stays so, skep doctor"))
}

/// Makes a workspace of a backup.
pub(crate) fn restore(node: &Arc<Node>, name: &str, file: &str) -> Result<(), Error> {
    let reserved = Reserved { node, cell: node.reserve(name)? };
    let begun = Begun::new(&node.home).map_err(|error| host(&node.home.join(BEGUN), &error))?;
    let from = begun.dir.join("workspace");
    backup::unpack(Path::new(file), &from).map_err(|trouble| blame(&trouble, ANOTHER))?;
    let id = still(node, name, &from)?;
    let to = place(node, name);
    begun.hand_over(name, &to).map_err(|error| host(&to, &error))?;
    if let Err(trouble) = node.registry.add(name, id) {
        let _ = fs::remove_dir_all(&to);
        return Err(trouble.to_error());
    }
    drop(begun);
    reserved.stands();
    journal::say(name, &format!("restored from {file}"));
    Ok(())
}

fn place(node: &Node, name: &str) -> PathBuf {
    node.home.join("workspaces").join(name)
}

/// The store's trouble with a file that the operator named; and what to do when it is damaged.
fn blame(trouble: &store::Trouble, damaged: &str) -> Error {
    let code = match trouble {
        store::Trouble::Exists { .. } => Code::Exists,
        store::Trouble::Missing { .. } => Code::NotFound,
        store::Trouble::Corrupt { .. } => Code::Invalid,
        _ => trouble.to_error().code,
    };
    let hint = match trouble {
        store::Trouble::Exists { .. } => {
            "name a file that is not there yet: a backup never overwrites".into()
        }
        store::Trouble::Missing { .. } => "check the path; the directory must exist".into(),
        store::Trouble::Corrupt { .. } => damaged.into(),
        _ => trouble.hint(),
    };
    Error::new(code, trouble.to_string()).argument("file").hint(hint)
}

fn host(path: &Path, error: &io::Error) -> Error {
    Error::new(Code::Unavailable, format!("{}: {error}", path.display()))
        .hint("check the disk, then try again")
}

/// Takes from the copy all that would act by itself, before anybody can wake it. Says with which id it was
/// born.
fn still(node: &Arc<Node>, name: &str, dir: &Path) -> Result<[u8; 16], Error> {
    let setup = Setup {
        name: name.to_owned(),
        dir: dir.to_path_buf(),
        options: store::Options::default(),
        pins: store::Pins::default(),
        clock: node.clock.clone(),
        around: node.clone(),
        secret: *node.registry.secret(),
        prices: Vec::new(),
        lease: Nano(0),
        set_aside: BTreeSet::new(),
    };
    let told = Room::load(&setup, Begin::Never).and_then(|mut room| {
        room.turn(vec![Input::now(&*node.clock, Body::Restored, Vec::new())], &mut Nowhere)?;
        Ok(room.kernel().workspace_id())
    });
    told.map_err(|failed| match failed.failure {
        Failure::Store(trouble) => blame(&trouble, ANOTHER),
        Failure::Panic { .. } => Error::new(Code::Invalid, "the log of this backup cannot be replayed")
            .argument("file")
            .hint(ANOTHER),
    })
}

/// Nothing leaves a workspace that nobody has woken.
struct Nowhere;

impl Sink for Nowhere {
    fn ordered(&mut self, _: Out) {}

    fn durable(&mut self, _: Out) {}

    fn follows(&self) -> bool {
        false
    }
}

/// A name that is taken as long as this is, and free again if nothing came of it.
struct Reserved<'a> {
    node: &'a Node,
    cell: Arc<Cell>,
}

impl Reserved<'_> {
    /// Something came of it.
    fn stands(self) {
        self.node.open_reserved(&self.cell);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.node.drop_reserved(&self.cell);
    }
}

/// A directory that is gone when this is.
struct Begun {
    dir: PathBuf,
}

impl Begun {
    fn new(home: &Path) -> io::Result<Self> {
        let id: String = random::id()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let begun = Self { dir: home.join(BEGUN).join(id) };
        DirBuilder::new().recursive(true).mode(0o700).create(begun.dir.join("workspace"))?;
        Ok(begun)
    }

    /// The workspace gets its place. From the name on, a directory there without a row is one of ours.
    fn hand_over(&self, name: &str, to: &Path) -> io::Result<()> {
        let parent = to.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        if fs::symlink_metadata(to).is_ok() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "there is such a directory already"));
        }
        let mut note = File::create_new(self.dir.join("name"))?;
        note.write_all(name.as_bytes())?;
        note.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        renameat_with(CWD, self.dir.join("workspace"), CWD, to, RenameFlags::NOREPLACE)?;
        File::open(&self.dir)?.sync_all()?;
        File::open(parent)?.sync_all()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        clean(&self.dir);
    }
}

/// The note goes first: without it, nothing outside this directory is anybody's business.
fn clean(dir: &Path) {
    let _ = fs::remove_file(dir.join("name"));
    let _ = fs::remove_dir_all(dir);
}

/// Takes away what restores left that a daemon's end cut off. To be called before any can begin.
pub(crate) fn sweep(node: &Node) {
    let begun = node.home.join(BEGUN);
    let Ok(all) = fs::read_dir(&begun) else { return };
    for dir in all.flatten().map(|entry| entry.path()) {
        if let Some(name) = unfinished(node, &dir) {
            journal::say(&name, "a restore was cut off; what it left is taken away");
            let _ = fs::remove_dir_all(place(node, &name));
        }
        clean(&dir);
    }
    let _ = fs::remove_dir(&begun);
}

/// The workspace that got its place and no row.
fn unfinished(node: &Node, dir: &Path) -> Option<String> {
    let name = fs::read_to_string(dir.join("name")).ok()?;
    let name = abi::wire::word("name", &name).ok()?;
    let moved = fs::symlink_metadata(dir.join("workspace")).is_err();
    // If node.db cannot say, nothing is taken away.
    (moved && !node.registry.knows(&name).unwrap_or(true)).then_some(name)
}

#[cfg(test)]
mod tests;
