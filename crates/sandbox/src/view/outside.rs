//! What stands in directories of the host that are part of the tree: it changes without being asked, so it is
//! looked at again whenever it is asked for. What programs of the view wrote over it stays theirs.

use super::{
    BaseEntry, NodeId, Sort, View,
    data::Settle,
    names::{Found, Locked},
    table::{Below, Body, Table},
};
use abi::{FileId, bound, limits, tree::Node};
use rustix::io::Errno;
use std::{collections::BTreeSet, sync::Arc};

/// Numbers of files in directories of the host begin here, far above all others.
pub const OUTSIDE: u64 = 1 << 60;

/// Files up to here are kept before they are changed, so that both changes can be merged.
const KEPT_BYTES: u64 = limits::MERGE_BYTES_MAX;

/// Whether this file stands in a directory of the host.
pub fn is_outside(file: FileId) -> bool {
    file.0 >= OUTSIDE
}

impl View {
    /// Looks again at a name of a directory of the host.
    pub(super) fn meet(&self, dir: NodeId, name: &str) -> Result<(), Errno> {
        loop {
            let mut table = self.lock();
            let names = table.standing(dir)?;
            let below = names.below.clone().filter(|below| is_outside(below.entry.file));
            if below.is_some() && !names.slots.contains_key(name) {
                // Who finds it asks anyway, unless it was missed before.
                table.names_mut(dir)?.missed = None;
                return Ok(());
            }
            let Some(below) = below.filter(|_| !table.is_ours(dir, name)) else { return Ok(()) };
            let base = table.base.clone();
            drop(table);
            let entry = base.child(below.entry.file, name).map_err(|_| Errno::IO)?;
            let mut table = self.lock();
            let same = Arc::ptr_eq(&base, &table.base) && !table.is_ours(dir, name);
            let names = table.standing(dir)?;
            if same && names.below.as_ref().is_some_and(|now| Arc::ptr_eq(now, &below)) {
                return table.met(dir, &below, name, entry);
            }
        }
    }

    /// The same of a node, where it stands.
    pub(super) fn meet_node(&self, node: NodeId) -> Result<(), Errno> {
        let table = self.lock();
        let Ok(held) = table.node(node) else { return Err(Errno::STALE) };
        let stands = held.below.as_ref().is_some_and(|below| is_outside(below.entry.file));
        let Some((dir, name)) = held.place.clone().filter(|_| stands) else { return Ok(()) };
        drop(table);
        self.meet(dir, &name)
    }

    /// The same as `find`, of a name that is about to be taken away or replaced: where that may change by
    /// itself, its bytes are kept, if they are few and can be read.
    pub(super) fn find_to_go(&self, dir: NodeId, name: &str) -> Result<(Locked<'_>, Found), Errno> {
        let (table, found) = self.find(dir, name)?;
        let node = found.node.and_then(|id| table.node(id).ok()).filter(|node| node.sort() == Sort::File);
        let below = node.and_then(|node| node.below.clone()).filter(|below| is_outside(below.entry.file));
        let few = |below: &Arc<Below>| below.entry.content.bytes <= KEPT_BYTES && below.stood.get().is_none();
        let Some(below) = below.filter(few) else { return Ok((table, found)) };
        let base = table.base.clone();
        drop(table);
        let content = below.entry.content;
        let mut bytes = vec![0; content.bytes as usize];
        if base.read(&content, 0, &mut bytes).is_ok_and(|count| count == bytes.len()) {
            let _ = below.stood.set(bytes.into());
        }
        self.find(dir, name)
    }

    /// Whether a path is in a directory of the host that is part of the tree.
    pub fn is_bound(&self, path: &str) -> bool {
        let below =
            |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.lock().plan.bound.iter().any(|bound| below(bound.dir.as_str()))
    }

    /// Whether a directory's names, or a file, may change without being asked.
    pub fn is_outside(&self, node: NodeId) -> bool {
        self.lock().node(node).is_ok_and(|node| node.outside)
    }

    /// Whether a file's bytes are those of its last opening, as far as anybody knows; remembers them.
    pub fn is_as_opened(&self, node: NodeId) -> bool {
        let mut table = self.lock();
        let Ok(node) = table.node_mut(node) else { return false };
        let content = node.below.as_ref().map(|below| below.entry.content);
        !node.outside || std::mem::replace(&mut node.opened, content) == content
    }
}

impl Table {
    /// Whether programs of the view changed what stands at a name.
    fn is_ours(&self, dir: NodeId, name: &str) -> bool {
        let slot = self.names(dir).ok().and_then(|names| names.slots.get(name));
        let Some(slot) = slot else { return false };
        let mounted = |id: NodeId| self.names(id).is_ok_and(|names| names.mounted || names.point);
        let dirty = |id: NodeId| self.dirty.contains(&id) || mounted(id);
        slot.stamp != 0 || slot.node.is_some_and(dirty)
    }

    fn met(
        &mut self,
        dir: NodeId,
        up: &Arc<Below>,
        name: &str,
        entry: Option<BaseEntry>,
    ) -> Result<(), Errno> {
        let names = self.names_mut(dir)?;
        names.missed = None;
        let Some(id) = names.slots.get(name).and_then(|slot| slot.node) else {
            names.slots.remove(name);
            return Ok(());
        };
        let node = self.node(id)?;
        let was = node.below.clone();
        let same = |entry: &BaseEntry| {
            was.as_ref().is_some_and(|was| was.entry.file == entry.file)
                && node.sort() == Sort::from(entry.node)
        };
        let Some(entry) = entry.filter(same) else {
            // What is written in it is of a directory that is gone: it goes to nobody.
            self.orphan(id)?;
            return self.drop_slot(dir, &Arc::from(name));
        };
        if was.is_some_and(|was| was.entry == entry) {
            return Ok(());
        }
        let below = Below::new(entry, Some(up.clone()));
        let node = self.node_mut(id)?;
        node.mode = below.entry.mode;
        match &mut node.body {
            Body::File(data) => {
                let _ = data.settle(below.entry.content, below.entry.mtime, Settle::Keep);
            }
            Body::Link(target) => *target = Arc::default(),
            Body::Dir(names) => {
                names.below = Some(below.clone());
                node.times.mtime = below.entry.mtime;
            }
            Body::Special(_) => {}
        }
        self.node_mut(id)?.below = Some(below);
        Ok(())
    }

    /// What stands below a directory of the host is listed as it is now: what is known of it and gone, goes.
    pub(super) fn lists(&mut self, dir: NodeId, entries: &[BaseEntry]) -> Result<(), Errno> {
        if !self.names(dir)?.below.as_ref().is_some_and(|below| is_outside(below.entry.file)) {
            return Ok(());
        }
        let there: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let slots = &self.names(dir)?.slots;
        let gone = slots.keys().filter(|name| !there.contains(&***name));
        let gone: Vec<Arc<str>> = gone.cloned().collect();
        for name in gone {
            if self.is_ours(dir, &name) {
                continue;
            }
            if let Some(id) = self.names(dir)?.slots.get(&name).and_then(|slot| slot.node) {
                self.orphan(id)?;
            }
            self.drop_slot(dir, &name)?;
        }
        Ok(())
    }

    /// Whether what is put at a name of a bound directory waits for an operator: files may be written there,
    /// and go; nothing else comes to be there or leaves it.
    pub(super) fn guards(&self, dir: NodeId, name: &str, node: Node) -> bool {
        self.watched(dir, name).is_some_and(|names| bound::is_guarded_as(names.into_iter(), node))
    }

    /// Whether a name of a directory stays where it is: what stands below would be guarded or not by it.
    pub(super) fn keeps_place(&self, dir: NodeId, name: &str) -> bool {
        bound::is_part(name)
            && self.watched(dir, name).is_some_and(|names| !bound::is_spared(names.into_iter()))
    }

    /// Whether a directory is, or lies in, one where nothing is guarded.
    pub(super) fn spares(&self, dir: NodeId, name: &str) -> bool {
        self.watched(dir, name).is_some_and(|names| bound::is_spared(names.into_iter()))
    }

    /// Its names below a bound directory where something may have to wait.
    fn watched<'a>(&'a self, dir: NodeId, name: &'a str) -> Option<Vec<&'a str>> {
        let guards = |row: &&abi::view::Bound| row.guards;
        if !self.node(dir).ok()?.outside || !self.plan.bound.iter().any(|row| guards(&row)) {
            return None;
        }
        let mut names = vec![name];
        let mut at = dir;
        while let Some((up, name)) = self.node(at).ok().and_then(|node| node.place.as_ref()) {
            names.push(name);
            at = *up;
        }
        names.reverse();
        let below = |row: &abi::view::Bound| {
            let mut rest = names.iter();
            row.dir.names().all(|name| rest.next() == Some(&name)).then(|| rest.copied().collect())
        };
        self.plan.bound.iter().filter(guards).find_map(below)
    }
}
