//! A view goes on over another tree.
//!
//! From the root down, each directory in memory meets its entry in the new tree. What was drained is below
//! now; what was changed since stays as it is, over the new tree. The table is locked meanwhile: programs
//! that outlived their command wait as long as the directories that changed take to be read.

use super::{
    Base, BaseEntry, NodeId, ROOT, Sort, Stale, View,
    data::{Settle, Settled},
    table::{Below, Body, Slot, Table},
};
use abi::{Content, FileId, tree::Node, view::Plan};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, OnceLock},
};

impl View {
    /// Goes on over the tree that came of the last drain. `changed` are the directories in which the trees
    /// differ: in a name, or in what stands at one. What was written after that drain stays written.
    pub fn rebase(&self, base: Arc<dyn Base>, plan: Plan, changed: &[FileId]) -> io::Result<Vec<Stale>> {
        let mut table = self.lock();
        let was = &table.plan;
        let all = was.rights != plan.rights || was.denied != plan.denied || was.hidden != plan.hidden;
        table.spool.limit(plan.quota.bytes);
        table.plan = Arc::new(plan);
        let drained = table.drained;
        renew(&mut table, base, (changed.iter().copied().collect(), all), (drained, Settle::Keep))
    }

    /// The same where nobody can say in which directories the trees differ: all in memory are compared.
    pub fn rebase_whole(&self, base: Arc<dyn Base>, plan: Plan) -> io::Result<Vec<Stale>> {
        let mut table = self.lock();
        table.spool.limit(plan.quota.bytes);
        table.plan = Arc::new(plan);
        let drained = table.drained;
        renew(&mut table, base, (BTreeSet::new(), true), (drained, Settle::Keep))
    }

    /// Forgets all that was written.
    pub fn discard(&self) -> io::Result<Vec<Stale>> {
        let mut table = self.lock();
        let base = table.base.clone();
        renew(&mut table, base, (BTreeSet::new(), false), (u64::MAX, Settle::Drop))
    }
}

struct Renewal<'a> {
    table: &'a mut Table,
    old: Arc<dyn Base>,
    changed: BTreeSet<FileId>,
    all: bool,
    /// What was changed later stays.
    drained: u64,
    how: Settle,
    /// What was removed since the drain, as it was shown.
    removed: BTreeMap<FileId, (Arc<Below>, u64)>,
    /// What is not as below, by file.
    live: BTreeMap<FileId, NodeId>,
    /// What waits for an operator stays as it was written.
    waits: Waits,
    stale: Vec<Stale>,
}

fn renew(
    table: &mut Table,
    base: Arc<dyn Base>,
    (changed, all): (BTreeSet<FileId>, bool),
    (drained, how): (u64, Settle),
) -> io::Result<Vec<Stale>> {
    let root = base.root()?;
    let old = std::mem::replace(&mut table.base, base);
    table.epoch += 1;
    let mut removed = std::mem::take(&mut table.removed);
    let waits = if how == Settle::Keep { Waits::of(table) } else { Waits::default() };
    let wait = |below: &Below| !waits.paths.is_empty() && waits.paths.contains(&below.path());
    removed.retain(|_, (below, stamp)| *stamp > drained || wait(below));
    let (live, stale) = (table.dirty_files(), Vec::new());
    let mut renewal = Renewal { table, old, changed, all, drained, how, live, removed, waits, stale };
    let below = renewal.below(ROOT, root, None)?;
    renewal.attributes(ROOT, &below)?;
    renewal.dir(ROOT, below)?;
    let stale = renewal.stale;
    table.recount();
    Ok(stale)
}

/// What waits for an operator, in the table as it is.
#[derive(Default)]
struct Waits {
    paths: BTreeSet<String>,
    slots: BTreeSet<(NodeId, Arc<str>)>,
    nodes: BTreeSet<NodeId>,
}

impl Waits {
    fn of(table: &Table) -> Self {
        let mut waits = Self::default();
        for path in &table.plan.waits {
            waits.paths.insert(path.to_string());
            waits.find(table, path.names());
        }
        waits
    }

    fn find<'a>(&mut self, table: &Table, names: impl Iterator<Item = &'a str>) {
        let (mut at, mut last) = (Some(ROOT), None);
        for name in names {
            let Some(names) = at.and_then(|dir| table.names(dir).ok()) else { return };
            let Some((name, slot)) = names.slots.get_key_value(name) else { return };
            (last, at) = (at.map(|dir| (dir, name.clone())), slot.node);
        }
        self.slots.extend(last);
        self.nodes.extend(at.filter(|id| table.node(*id).is_ok_and(|node| node.sort() != Sort::Dir)));
    }
}

impl Renewal<'_> {
    /// What a node stands over from now on: the same object, if nothing of it differs.
    fn below(&self, id: NodeId, entry: BaseEntry, up: Option<&Arc<Below>>) -> io::Result<Arc<Below>> {
        let same_up = |was: &Below| match (&was.up, up) {
            (Some(was), Some(is)) => Arc::ptr_eq(was, is),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let was = self.table.node(id)?.below.clone();
        let kept = was.filter(|was| was.entry == entry && same_up(was));
        Ok(kept.unwrap_or_else(|| Below::new(entry, up.cloned())))
    }

    fn dir(&mut self, id: NodeId, below: Arc<Below>) -> io::Result<()> {
        let differs = self.all || self.changed.contains(&below.entry.file);
        let names = self.table.names_mut(id)?;
        let was = names.below.replace(below.clone());
        names.missed = None;
        self.table.node_mut(id)?.below = Some(below.clone());
        if differs {
            self.appeared(id, was.as_ref(), &below)?;
            self.stale.push(Stale::Node(id));
        }
        let slots: Vec<(Arc<str>, Option<NodeId>, u64)> = {
            let slots = self.table.names(id)?.slots.iter();
            slots.map(|(name, slot)| (name.clone(), slot.node, slot.stamp)).collect()
        };
        for (name, node, stamp) in slots {
            let clean = stamp == 0 && !differs && node.is_some_and(|node| !self.table.dirty.contains(&node));
            if clean && let Some(node) = node {
                self.rechain(node, &below)?;
            } else {
                self.slot(id, &below, &name, (node, stamp))?;
            }
        }
        Ok(())
    }

    /// Names that were not there: somebody may remember that.
    fn appeared(&mut self, id: NodeId, was: Option<&Arc<Below>>, is: &Arc<Below>) -> io::Result<()> {
        let Some(was) = was else { return Ok(()) };
        let before = self.old.list(was.entry.file)?;
        let before: BTreeMap<&str, FileId> =
            before.iter().map(|entry| (entry.name.as_str(), entry.file)).collect();
        for entry in self.table.base.clone().list(is.entry.file)? {
            let known = self.table.names(id)?.slots.contains_key(entry.name.as_str());
            let same = before.get(entry.name.as_str()) == Some(&entry.file);
            if !known && (self.all || !same) {
                self.stale.push(Stale::Entry { dir: id, name: entry.name });
            }
        }
        Ok(())
    }

    /// Nothing differs here; it may below.
    fn rechain(&mut self, id: NodeId, up: &Arc<Below>) -> io::Result<()> {
        let node = self.table.node(id)?;
        let Some(was) = node.below.clone() else { return Ok(()) };
        let below = self.below(id, was.entry.clone(), Some(up))?;
        if self.table.node(id)?.sort() == Sort::Dir {
            return self.dir(id, below);
        }
        self.table.node_mut(id)?.below = Some(below);
        Ok(())
    }

    fn slot(
        &mut self,
        dir: NodeId,
        up: &Arc<Below>,
        name: &Arc<str>,
        (node, stamp): (Option<NodeId>, u64),
    ) -> io::Result<()> {
        let entry = self.table.base.clone().child(up.entry.file, name)?;
        let covers = entry.is_some();
        let shown = match entry {
            Some(entry) if self.table.shown(dir, &entry)? => Some(entry),
            Some(_) | None => None,
        };
        let waits = self.waits.slots.contains(&(dir, name.clone()));
        if stamp > self.drained || waits || node.is_some_and(|id| self.stays(id)) {
            self.table.set_slot(dir, name, Slot { node, covers, stamp })?;
            return shown.map_or(Ok(()), |entry| self.covered(node, up, entry, stamp));
        }
        let stale = Stale::Entry { dir, name: name.to_string() };
        match (node, shown) {
            (None, shown) => {
                self.table.drop_slot(dir, name)?;
                self.stale.extend(shown.map(|_| stale));
            }
            (Some(id), Some(entry)) if self.is_it(id, &entry)? => {
                self.table.set_slot(dir, name, Slot { node, covers, stamp: 0 })?;
                self.adopt(id, up, entry)?;
            }
            (Some(id), _) if self.table.holds_mount(id) => {
                self.keep_point(id)?;
                self.table.set_slot(dir, name, Slot { node, covers, stamp: 1 })?;
                self.stale.push(Stale::Node(id));
            }
            (Some(id), _) => {
                self.table.orphan(id)?;
                self.table.drop_slot(dir, name)?;
                self.stale.push(stale);
            }
        }
        Ok(())
    }

    /// Something below that the view still lays something else over, or nothing.
    fn covered(
        &mut self,
        node: Option<NodeId>,
        up: &Arc<Below>,
        entry: BaseEntry,
        stamp: u64,
    ) -> io::Result<()> {
        match self.live.get(&entry.file) {
            Some(id) if self.is_it(*id, &entry)? => self.adopt(*id, up, entry),
            None if node.is_some_and(|id| self.table.is_point(id)) => Ok(()),
            Some(_) | None => self.goes(up, entry, stamp),
        }
    }

    /// It was removed here, with all below it; what was moved out of it stands elsewhere. What somebody else
    /// put there meanwhile does not go.
    fn goes(&mut self, up: &Arc<Below>, entry: BaseEntry, stamp: u64) -> io::Result<()> {
        let (file, mut entry) = (entry.file, entry);
        let dir = (entry.node == Node::Dir).then_some(file);
        let sent = self.table.sent.contains(&file);
        let removed = self.removed.get(&file);
        // What goes is the version that was shown, or what came of a change of it that was drained before.
        if let Some((was, _)) = removed.filter(|_| !sent) {
            entry.version = was.entry.version;
        }
        let below = Below::new(entry, Some(up.clone()));
        if !sent && removed.is_none() && !self.table.sent_new.contains(&below.path()) {
            return Ok(());
        }
        self.table.removed.insert(file, (below.clone(), stamp));
        let Some(dir) = dir else { return Ok(()) };
        for entry in self.table.base.clone().list(dir)? {
            self.covered(None, &below, entry, stamp)?;
        }
        Ok(())
    }

    /// What is of the view alone: places to be mounted on, pipes and sockets.
    fn stays(&self, id: NodeId) -> bool {
        let special = self.table.node(id).is_ok_and(|node| matches!(node.body, Body::Special(_)));
        self.table.is_point(id) || (special && self.how == Settle::Keep)
    }

    /// Whether this entry is what the node has become.
    fn is_it(&self, id: NodeId, entry: &BaseEntry) -> io::Result<bool> {
        let node = self.table.node(id)?;
        let same_file = node.below.as_ref().is_none_or(|below| below.entry.file == entry.file);
        Ok(same_file && node.sort() == Sort::from(entry.node))
    }

    fn adopt(&mut self, id: NodeId, up: &Arc<Below>, entry: BaseEntry) -> io::Result<()> {
        if self.waits.nodes.contains(&id) {
            return Ok(());
        }
        let below = self.below(id, entry, Some(up))?;
        self.attributes(id, &below)?;
        let (content, mtime) = (below.entry.content, below.entry.mtime);
        match &self.table.node(id)?.body {
            Body::File(data) => match data.clone().settle(content, mtime, self.how) {
                Settled::Same => {}
                Settled::Other => self.stale.push(Stale::Node(id)),
                Settled::Written { over } => {
                    // What it was written over is its base, unless that is just what is below now.
                    if over {
                        self.table.node_mut(id)?.below = Some(below);
                    }
                    return Ok(());
                }
            },
            Body::Link(target) => {
                let was = self.table.node(id)?.below.as_ref().map(|below| below.entry.content);
                let is = target.get().map(|target| Content::of(target.as_bytes())).or(was);
                if is != Some(content) {
                    self.table.node_mut(id)?.body = Body::Link(Arc::new(OnceLock::new()));
                    self.stale.push(Stale::Node(id));
                }
            }
            Body::Dir(_) => {
                self.settled(id);
                return self.dir(id, below);
            }
            Body::Special(_) => {}
        }
        self.table.node_mut(id)?.below = Some(below);
        self.settled(id);
        Ok(())
    }

    /// Mode, and times of what is no file.
    fn attributes(&mut self, id: NodeId, below: &Below) -> io::Result<()> {
        let (drained, entry) = (self.drained, &below.entry);
        let node = self.table.node_mut(id)?;
        if node.stamp > drained {
            return Ok(());
        }
        if node.mode != entry.mode {
            node.mode = entry.mode;
            self.stale.push(Stale::Node(id));
        }
        node.times.set = false;
        if entry.node == Node::Dir {
            node.times.mtime = node.times.mtime.max(entry.mtime);
        }
        Ok(())
    }

    fn settled(&mut self, id: NodeId) {
        let keeps = |node: &super::table::Node| node.stamp > self.drained || !node.xattrs.is_empty();
        if !self.table.node(id).is_ok_and(keeps) {
            self.table.dirty.remove(&id);
        }
    }

    /// The tree has this directory no more, but something is mounted in it: all else of it goes. (Forgetting
    /// the name would unmount it.)
    fn keep_point(&mut self, id: NodeId) -> io::Result<()> {
        let children: Vec<(Arc<str>, NodeId)> = {
            let slots = self.table.names(id)?.slots.iter();
            slots.filter_map(|(name, slot)| Some((name.clone(), slot.node?))).collect()
        };
        for (name, child) in children {
            if self.table.holds_mount(child) {
                self.keep_point(child)?;
                continue;
            }
            self.table.orphan(child)?;
            self.table.drop_slot(id, &name)?;
            self.stale.push(Stale::Entry { dir: id, name: name.to_string() });
        }
        let names = self.table.names_mut(id)?;
        (names.point, names.below) = (true, None);
        self.table.node_mut(id)?.below = None;
        self.table.dirty.remove(&id);
        Ok(())
    }
}
