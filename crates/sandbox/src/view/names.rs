//! Names: what stands where, made and removed.

use super::{
    Attr, NodeId, ROOT, Sort, View,
    data::{Data, Times},
    table::{Body, Names, Table},
};
use abi::{cap::Rights, limits, path::TreePath, tree::Node, view::Plan};
use rustix::io::Errno;
use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard},
};

/// The table, locked.
pub(super) type Locked<'a> = MutexGuard<'a, Table>;

/// What is known of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// What stands there, as far as it is shown.
    pub node: Option<NodeId>,
    /// Whether the tree below has the name.
    pub covers: bool,
}

/// A name that somebody looks for. One that no file can have is not there.
pub(super) fn sought(name: &[u8]) -> Result<&str, Errno> {
    if name.len() > limits::NAME_BYTES_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    str::from_utf8(name).map_err(|_| Errno::NOENT)
}

/// A name for something new.
pub(super) fn wanted(name: &[u8]) -> Result<&str, Errno> {
    if name.len() > limits::NAME_BYTES_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let name = str::from_utf8(name).map_err(|_| Errno::ILSEQ)?;
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Errno::INVAL);
    }
    // What is not ASCII has to be in normal form; the check stands where paths are defined.
    if !name.is_ascii() && TreePath::parse(&format!("/{name}")).is_err() {
        return Err(Errno::ILSEQ);
    }
    Ok(name)
}

impl Table {
    /// Whether a name may be made in a directory.
    pub(super) fn may_make(&mut self, dir: NodeId, name: &str) -> Result<(), Errno> {
        if self.names(dir)?.point {
            return Err(Errno::ROFS);
        }
        if !self.rights_in(dir, name)?.contains(Rights::CREATE) {
            return Err(Errno::ACCESS);
        }
        let mut depth = 1;
        let mut bytes = name.len() + 1;
        let mut at = dir;
        while at != ROOT {
            let (up, name) = self.node(at)?.place.as_ref().ok_or(Errno::NOENT)?;
            depth += 1;
            bytes += name.len() + 1;
            at = *up;
        }
        let fits = depth <= limits::PATH_DEPTH_MAX && bytes <= limits::PATH_BYTES_MAX;
        if fits { Ok(()) } else { Err(Errno::NAMETOOLONG) }
    }

    /// Whether what stands there may be changed so. What is new may be anything to who made it.
    pub(super) fn allow(&mut self, id: NodeId, rights: Rights) -> Result<(), Errno> {
        if self.is_point(id) {
            return Err(Errno::ROFS);
        }
        let new = self.node(id)?.below.is_none();
        if new || self.rights(id)?.contains(rights) { Ok(()) } else { Err(Errno::ACCESS) }
    }

    pub(super) fn is_point(&self, id: NodeId) -> bool {
        self.names(id).is_ok_and(|names| names.point)
    }

    /// Whether something is mounted here or below.
    pub(super) fn holds_mount(&self, id: NodeId) -> bool {
        let Ok(names) = self.names(id) else { return false };
        names.mounted || names.slots.values().filter_map(|slot| slot.node).any(|id| self.holds_mount(id))
    }

    /// How many names stand below each other in it at most, and the bytes of its longest path, as far as it
    /// is in memory: what is only below fits where it stands, and nothing can be made in it that does not.
    pub(super) fn extent(&self, id: NodeId) -> (usize, usize) {
        let (mut depth_max, mut bytes_max) = (0, 0);
        let mut open = vec![(id, 0, 0)];
        while let Some((id, depth, bytes)) = open.pop() {
            (depth_max, bytes_max) = (depth_max.max(depth), bytes_max.max(bytes));
            let Ok(names) = self.names(id) else { continue };
            let inner = names.slots.iter().filter_map(|(name, slot)| Some((name, slot.node?)));
            open.extend(inner.map(|(name, id)| (id, depth + 1, bytes + 1 + name.len())));
        }
        (depth_max, bytes_max)
    }

    /// Something in the directory was changed.
    pub(super) fn touch(&mut self, dir: NodeId, now: u64) {
        if let Ok(node) = self.node_mut(dir) {
            node.times = Times { mtime: now, ctime: now, ..node.times };
        }
    }

    fn tell_node(&mut self, id: NodeId) {
        if let Some(below) = self.node(id).ok().and_then(|node| node.below.clone()) {
            self.tell(&below.entry);
        }
    }
}

impl View {
    /// What stands at a name, with the table locked: nothing changes until it is let go.
    pub(super) fn find(&self, dir: NodeId, name: &str) -> Result<(Locked<'_>, Found), Errno> {
        self.meet(dir, name)?;
        loop {
            let table = self.lock();
            let names = table.standing(dir)?;
            if let Some(slot) = names.slots.get(name) {
                let found = Found { node: slot.node, covers: slot.covers };
                return Ok((table, found));
            }
            let missed = names.missed.as_deref() == Some(name);
            let Some(below) = names.below.clone().filter(|_| !missed) else {
                return Ok((table, Found { node: None, covers: false }));
            };
            let base = table.base.clone();
            drop(table);
            let entry = base.child(below.entry.file, name).map_err(|_| Errno::IO)?;
            let mut table = self.lock();
            let same = Arc::ptr_eq(&base, &table.base);
            let names = table.standing(dir)?;
            let same = same && names.below.as_ref().is_some_and(|now| Arc::ptr_eq(now, &below));
            if !same || names.slots.contains_key(name) {
                continue;
            }
            let Some(entry) = entry else {
                table.names_mut(dir)?.missed = Some(Arc::from(name));
                return Ok((table, Found { node: None, covers: false }));
            };
            let node = table.load(dir, &below, entry)?;
            return Ok((table, Found { node, covers: true }));
        }
    }

    /// What stands at a name; with a reference.
    pub fn lookup(&self, dir: NodeId, name: &[u8]) -> Result<Attr, Errno> {
        let (mut table, found) = self.find(dir, sought(name)?)?;
        table.tell_home(dir);
        let id = found.node.ok_or(Errno::NOENT)?;
        table.tell_node(id);
        let face = table.refer(id)?;
        drop(table);
        Ok(face.attr())
    }

    /// Takes references back.
    pub fn forget(&self, node: NodeId, references: u64) {
        self.lock().forget(node, references);
    }

    /// Whether it is only there to be mounted on: the tree has nothing at its path.
    pub fn is_for_mount(&self, node: NodeId) -> bool {
        self.lock().is_point(node)
    }

    /// What a node is.
    pub fn getattr(&self, node: NodeId) -> Result<Attr, Errno> {
        self.meet_node(node)?;
        let face = self.lock().face(node)?;
        Ok(face.attr())
    }

    /// Something new at a free name; with a reference.
    fn make(
        &self,
        dir: NodeId,
        name: &[u8],
        mode: u32,
        body: impl FnOnce(&Table, u64) -> Body,
    ) -> Result<Attr, Errno> {
        let name = wanted(name)?;
        let now = self.now();
        let (mut table, found) = self.find(dir, name)?;
        table.tell_home(dir);
        if let Some(id) = found.node {
            table.tell_node(id);
            return Err(Errno::EXIST);
        }
        table.may_make(dir, name)?;
        table.make_room()?;
        let name: Arc<str> = Arc::from(name);
        let body = body(&table, now);
        let node = table.fresh(Some((dir, name.clone())), body, mode & 0o777, Times::at(now));
        let id = table.insert(node);
        table.occupy(dir, name, id, found.covers)?;
        table.soil(id);
        table.touch(dir, now);
        let face = table.refer(id)?;
        drop(table);
        Ok(face.attr())
    }

    /// A new file, open for all.
    pub fn create(&self, dir: NodeId, name: &[u8], mode: u32) -> Result<Attr, Errno> {
        self.make(dir, name, mode, |table, now| Body::File(Arc::new(Data::empty(table.spool.clone(), now))))
    }

    /// A new file that no name leads to.
    pub fn tmpfile(&self, dir: NodeId, mode: u32) -> Result<Attr, Errno> {
        let now = self.now();
        let mut table = self.lock();
        table.standing(dir)?;
        table.may_make(dir, "tmp")?;
        table.has_room()?;
        table.loose += 1;
        let data = Arc::new(Data::empty(table.spool.clone(), now));
        let node = table.fresh(None, Body::File(data), mode & 0o777, Times::at(now));
        let id = table.insert(node);
        let face = table.refer(id)?;
        drop(table);
        Ok(face.attr())
    }

    /// A new directory.
    pub fn mkdir(&self, dir: NodeId, name: &[u8], mode: u32) -> Result<Attr, Errno> {
        self.make(dir, name, mode, |_, _| Body::Dir(Names::default()))
    }

    /// A new symbolic link; its target is text, and need not be a path.
    pub fn symlink(&self, dir: NodeId, name: &[u8], target: &[u8]) -> Result<Attr, Errno> {
        let target = str::from_utf8(target).map_err(|_| Errno::ILSEQ)?;
        match target.len() {
            0 => return Err(Errno::NOENT),
            length if length >= limits::PATH_BYTES_MAX => return Err(Errno::NAMETOOLONG),
            _ => {}
        }
        let target = Arc::new(std::sync::OnceLock::from(Arc::from(target)));
        if self.lock().guards(dir, sought(name)?, Node::Link) {
            return Err(Errno::ACCESS);
        }
        self.make(dir, name, 0o777, |_, _| Body::Link(target))
    }

    /// A new named pipe or socket; it stays in the view.
    pub fn mknod(&self, dir: NodeId, name: &[u8], mode: u32, sort: Sort) -> Result<Attr, Errno> {
        match sort {
            Sort::File => self.create(dir, name, mode),
            Sort::Dir => self.mkdir(dir, name, mode),
            Sort::Link => Err(Errno::INVAL),
            Sort::Fifo | Sort::Socket => self.make(dir, name, mode, |_, _| Body::Special(sort)),
        }
    }

    /// Removes a name of something that is no directory.
    pub fn unlink(&self, dir: NodeId, name: &[u8]) -> Result<(), Errno> {
        let (mut table, found) = self.find_to_go(dir, sought(name)?)?;
        table.tell_home(dir);
        let id = found.node.ok_or(Errno::NOENT)?;
        if table.node(id)?.sort() == Sort::Dir {
            return Err(Errno::ISDIR);
        }
        table.allow(id, Rights::REMOVE)?;
        table.unlink(id)?;
        let now = self.now();
        table.touch(dir, now);
        Ok(())
    }

    /// Removes an empty directory. One that only seems empty is not: what is not shown does not go.
    pub fn rmdir(&self, dir: NodeId, name: &[u8]) -> Result<(), Errno> {
        let name = sought(name)?;
        let (table, found) = self.find(dir, name)?;
        let id = found.node.ok_or(Errno::NOENT)?;
        table.names(id)?;
        drop(table);
        let mut table = self.emptied(id)?;
        if table.node(id)?.place.as_ref().is_none_or(|(at, called)| *at != dir || **called != *name) {
            return Err(Errno::NOENT);
        }
        table.tell_home(dir);
        table.allow(id, Rights::REMOVE)?;
        if table.holds_mount(id) {
            return Err(Errno::BUSY);
        }
        table.unlink(id)?;
        let now = self.now();
        table.touch(dir, now);
        Ok(())
    }

    /// The table, locked while this directory is empty.
    pub(super) fn emptied(&self, id: NodeId) -> Result<Locked<'_>, Errno> {
        loop {
            let table = self.lock();
            let names = table.names(id)?;
            if names.point {
                return Err(Errno::ROFS);
            }
            if names.slots.values().any(|slot| slot.node.is_some()) {
                return Err(Errno::NOTEMPTY);
            }
            let Some(below) = names.below.clone() else { return Ok(table) };
            let gone: BTreeSet<Arc<str>> = names.slots.keys().cloned().collect();
            let base = table.base.clone();
            drop(table);
            let listed = base.list(below.entry.file).map_err(|_| Errno::IO)?;
            if listed.iter().any(|entry| !gone.contains(entry.name.as_str())) {
                return Err(Errno::NOTEMPTY);
            }
            let table = self.lock();
            let names = table.names(id)?;
            let same = Arc::ptr_eq(&base, &table.base) && names.slots.len() == gone.len();
            if same && names.slots.values().all(|slot| slot.node.is_none()) {
                return Ok(table);
            }
        }
    }

    /// Makes the directories to be mounted on, where the tree has none.
    pub(super) fn place_points(&self, paths: &[String]) -> Result<(), Errno> {
        for path in paths {
            let mut at = ROOT;
            for name in path.split('/').filter(|name| !name.is_empty()) {
                let (mut table, found) = self.find(at, wanted(name.as_bytes())?)?;
                if let Some(id) = found.node
                    && table.names(id).is_ok()
                {
                    at = id;
                    continue;
                }
                let name: Arc<str> = Arc::from(name);
                let body = Body::Dir(Names { point: true, ..Names::default() });
                let node = table.fresh(Some((at, name.clone())), body, 0o755, Times::at(self.now()));
                let id = table.insert(node);
                table.occupy(at, name, id, found.covers)?;
                at = id;
            }
            self.lock().names_mut(at)?.mounted = true;
        }
        Ok(())
    }

    /// How much is written, and how much may be: bytes, then files.
    pub fn usage(&self) -> [(u64, u64); 2] {
        let table = self.lock();
        let Plan { quota, .. } = &*table.plan;
        [table.spool.usage(), (table.made + table.loose, quota.files)]
    }
}
