//! A view by paths: what a shell does with files. Each operation names the whole path and follows no link in
//! it; who wants links followed asks for their targets. Nothing is open between two operations.

use super::{Gate, Native};
use crate::view::{Access, Attr, Detail, Onto, ROOT, Set, Sort, View, When};
use abi::{Micros, limits};
use rustix::io::Errno;
use std::{
    ops::Deref,
    sync::{Arc, atomic::Ordering},
};

/// What the shell has of its own at `/`, where nothing native can be had.
const IN_MEMORY: [&str; 2] = ["dev", "tmp"];

/// The files of a run.
pub(super) struct Files {
    view: Arc<View>,
    gate: Arc<Gate>,
    /// A file that is larger is not read whole.
    whole_bytes: u64,
}

/// A node that is referred to.
struct Held<'a> {
    view: &'a View,
    attr: Attr,
}

impl Deref for Held<'_> {
    type Target = Attr;

    fn deref(&self) -> &Attr {
        &self.attr
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.attr.node != ROOT {
            self.view.forget(self.attr.node, 1);
        }
    }
}

impl Files {
    pub fn new(view: Arc<View>, gate: Arc<Gate>, whole_bytes: u64) -> Self {
        Self { view, gate, whole_bytes }
    }

    fn hold(&self, attr: Attr) -> Held<'_> {
        Held { view: &self.view, attr }
    }

    /// Whether the path is in a directory of the host that is part of the tree.
    pub fn is_bound(&self, path: &str) -> bool {
        self.view.is_bound(path)
    }

    /// What stands at a path.
    fn at(&self, path: &str) -> Result<Held<'_>, Errno> {
        if self.gate.shut.load(Ordering::Relaxed) {
            return Err(Errno::IO);
        }
        if path.len() > limits::PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let mut at = self.hold(self.view.getattr(ROOT)?);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if at.sort != Sort::Dir {
                return Err(Errno::NOTDIR);
            }
            at = self.hold(self.view.lookup(at.node, name.as_bytes())?);
        }
        Ok(at)
    }

    /// The directory of a path and the name in it.
    fn home<'a>(&self, path: &'a str) -> Result<(Held<'_>, &'a str), Errno> {
        let (home, name) = path.trim_end_matches('/').rsplit_once('/').ok_or(Errno::EXIST)?;
        let home = self.at(home)?;
        match home.sort {
            Sort::Dir if name.is_empty() => Err(Errno::EXIST),
            Sort::Dir => Ok((home, name)),
            Sort::File | Sort::Link | Sort::Fifo | Sort::Socket => Err(Errno::NOTDIR),
        }
    }

    /// What stands at a path.
    pub fn stat(&self, path: &str) -> Result<Attr, Errno> {
        self.at(path).map(|held| held.attr)
    }

    /// All bytes of a file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let file = self.at(path)?;
        match file.sort {
            Sort::File => {}
            Sort::Dir => return Err(Errno::ISDIR),
            Sort::Link => return Err(Errno::LOOP),
            Sort::Fifo | Sort::Socket => return Err(Errno::NXIO),
        }
        self.view.open(file.node, Access { read: true, ..Access::default() })?;
        if file.size > self.whole_bytes {
            self.gate.needs(path);
            return Err(Errno::FBIG);
        }
        let mut bytes = vec![0; usize::try_from(file.size).map_err(|_| Errno::FBIG)?];
        let mut done = 0;
        while let Some(room) = bytes.get_mut(done..).filter(|room| !room.is_empty()) {
            match self.view.read(file.node, done as u64, room)? {
                0 => break,
                count => done += count,
            }
        }
        bytes.truncate(done);
        if self.gate.wary.load(Ordering::Relaxed) && file.mode & 0o111 != 0 && !for_bash(&bytes) {
            self.gate.needs(path);
        }
        Ok(bytes)
    }

    /// A file for writing, made if it is not there; whether it was made.
    fn written(&self, path: &str) -> Result<(Held<'_>, bool), Errno> {
        match self.at(path) {
            Ok(file) => match file.sort {
                Sort::File => {
                    self.view.open(file.node, Access { write: true, ..Access::default() })?;
                    Ok((file, false))
                }
                Sort::Dir => Err(Errno::ISDIR),
                Sort::Link => Err(Errno::LOOP),
                Sort::Fifo | Sort::Socket => Err(Errno::NXIO),
            },
            Err(Errno::NOENT) => {
                let (home, name) = self.home(path)?;
                Ok((self.hold(self.view.create(home.node, name.as_bytes(), 0o644)?), true))
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces the bytes of a file. There is room for all of them, or it stays as it was.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Errno> {
        let (file, _) = self.written(path)?;
        let [(used, most), _] = self.view.usage();
        let room = most.saturating_sub(used).saturating_add(file.kept);
        if bytes.len() as u64 > room {
            return Err(Errno::DQUOT);
        }
        self.view.open(file.node, Access { write: true, truncate: true, read: false })?;
        if bytes.is_empty() { Ok(()) } else { self.view.write(file.node, 0, bytes) }
    }

    /// Adds bytes to a file.
    pub fn append(&self, path: &str, bytes: &[u8]) -> Result<(), Errno> {
        let (file, _) = self.written(path)?;
        if bytes.is_empty() { Ok(()) } else { self.view.append(file.node, bytes).map(|_| ()) }
    }

    /// A new directory.
    pub fn mkdir(&self, path: &str) -> Result<(), Errno> {
        let (home, name) = self.home(path)?;
        let made = self.view.mkdir(home.node, name.as_bytes(), 0o755)?;
        drop(self.hold(made));
        Ok(())
    }

    /// Removes a name; of a directory only if it is empty.
    pub fn remove(&self, path: &str) -> Result<(), Errno> {
        let (home, name) = self.home(path)?;
        let found = self.hold(self.view.lookup(home.node, name.as_bytes())?);
        let sort = found.sort;
        drop(found);
        match sort {
            Sort::Dir => self.view.rmdir(home.node, name.as_bytes()),
            Sort::File | Sort::Link | Sort::Fifo | Sort::Socket => {
                self.view.unlink(home.node, name.as_bytes())
            }
        }
    }

    /// Removes a directory and all in it; the first thing that may not go stays, with what is above it.
    pub fn remove_all(&self, path: &str) -> Result<(), Errno> {
        let mut first = None;
        if self.stat(path)?.sort == Sort::Dir {
            for (name, _) in self.list(path)? {
                let done = self.remove_all(&format!("{}/{name}", path.trim_end_matches('/')));
                first = first.or(done.err());
            }
        }
        first.map_or_else(|| self.remove(path), Err)
    }

    /// Names of a directory and what they are. Places that wait for a wall which cannot be had are none, but
    /// for those that the shell itself has something at.
    pub fn list(&self, path: &str) -> Result<Vec<(String, Attr)>, Errno> {
        let dir = self.at(path)?;
        if dir.sort != Sort::Dir {
            return Err(Errno::NOTDIR);
        }
        let handle = self.view.opendir(dir.node)?;
        let mut names = Vec::new();
        let read = self.view.readdir(handle, 2, Detail::Attributes, &mut |listed| {
            if let Some(attr) = listed.attr {
                drop(self.hold(attr));
                let empty = self.gate.native == Native::MayNot && self.view.is_for_mount(attr.node);
                if empty && !IN_MEMORY.contains(&listed.name) {
                    return true;
                }
                names.push((listed.name.to_owned(), attr));
            }
            true
        });
        self.view.releasedir(handle);
        read.map(|()| names)
    }

    /// Moves a name.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        let (dir, name) = self.home(from)?;
        let (new_dir, new_name) = self.home(to)?;
        let ends = ((dir.node, name.as_bytes()), (new_dir.node, new_name.as_bytes()));
        self.view.rename(ends.0, ends.1, Onto::Replace)
    }

    /// A new symbolic link.
    pub fn symlink(&self, target: &str, path: &str) -> Result<(), Errno> {
        let (home, name) = self.home(path)?;
        let made = self.view.symlink(home.node, name.as_bytes(), target.as_bytes())?;
        drop(self.hold(made));
        Ok(())
    }

    /// The target of one.
    pub fn readlink(&self, path: &str) -> Result<Arc<str>, Errno> {
        let link = self.at(path)?;
        self.view.readlink(link.node)
    }

    /// Sets permission bits.
    pub fn chmod(&self, path: &str, mode: u32) -> Result<(), Errno> {
        let file = self.at(path)?;
        self.view.setattr(file.node, Set { mode: Some(mode), ..Set::default() }).map(|_| ())
    }

    /// Sets the time of the last change.
    pub fn touch(&self, path: &str, mtime: Micros) -> Result<(), Errno> {
        let file = self.at(path)?;
        self.view.setattr(file.node, Set { mtime: Some(When::At(mtime)), ..Set::default() }).map(|_| ())
    }

    /// An operation failed; where that may have cut something short, the run ends.
    pub fn fails(&self, path: &str, errno: Errno) -> Errno {
        if self.gate.hasty.load(Ordering::Relaxed) {
            self.gate.needs(path);
        }
        errno
    }

    /// Ends the run, if this can be had natively.
    pub fn needs(&self, what: &str) {
        self.gate.needs(what);
    }

    /// Whether paths of the native wall can be had.
    pub fn native(&self) -> Native {
        self.gate.native
    }
}

/// Whether bash would run a file of these bytes itself.
fn for_bash(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(words) = line.strip_prefix(b"#!") else {
        return !bytes.iter().take(128).any(|byte| *byte == 0);
    };
    let words = String::from_utf8_lossy(words);
    let mut words = words.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let name = if first.ends_with("/env") { words.next().unwrap_or_default() } else { first };
    matches!(name.rsplit('/').next(), Some("bash" | "sh"))
}
