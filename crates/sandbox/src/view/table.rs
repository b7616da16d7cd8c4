//! The nodes of a view that are in memory: those that somebody asked for, and those that are not as below.
//!
//! A directory has slots: names of it that are known. A slot holds a node, or says that the name is gone,
//! which only one that covers a name below has to say. All other names are as below.

use super::{
    Attr, Base, BaseEntry, NodeId, ROOT, Sort, Told,
    data::{Data, Times},
    is_outside,
    scope::{self, Scope},
    spool::Spool,
};
use abi::{
    Content, FileId, LabelId, VersionId, cap::Rights, limits, path::TreePath, tree, view::Opened, view::Plan,
};
use rustix::io::Errno;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Where a node stands below, and what it is there.
pub(super) struct Below {
    pub entry: BaseEntry,
    /// The directory; none for the root.
    pub up: Option<Arc<Self>>,
    /// Whether a program opened it; once is enough.
    opened: AtomicBool,
    /// Its bytes, if a program took it away from where it may change.
    pub stood: OnceLock<Arc<[u8]>>,
}

impl Below {
    pub(super) fn new(entry: BaseEntry, up: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { entry, up, opened: AtomicBool::new(false), stood: OnceLock::new() })
    }

    /// Its path below.
    pub(super) fn path(&self) -> String {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(up) = &at.up {
            names.push(at.entry.name.as_str());
            at = up;
        }
        if names.is_empty() {
            return "/".to_owned();
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
    }
}

/// A name of a directory.
pub(super) struct Slot {
    pub node: Option<NodeId>,
    /// Whether the tree below has this name, shown or not.
    pub covers: bool,
    /// When it was last changed here; 0 if it is as below.
    pub stamp: u64,
}

/// The names of a directory.
#[derive(Default)]
pub(super) struct Names {
    pub slots: BTreeMap<Arc<str>, Slot>,
    /// The directory below whose other names show.
    pub below: Option<Arc<Below>>,
    /// Made to be mounted on, where the tree has nothing.
    pub point: bool,
    /// Something is mounted on it: it stays where it is, whatever becomes of the tree.
    pub mounted: bool,
    /// A name that was looked for and not found: it is often made next.
    pub missed: Option<Arc<str>>,
    pub scope: Option<(u64, Scope)>,
}

/// What a node has.
pub(super) enum Body {
    File(Arc<Data>),
    Link(Arc<OnceLock<Arc<str>>>),
    Dir(Names),
    Special(Sort),
}

/// A file, directory, link, pipe or socket.
pub(super) struct Node {
    /// Directory and name; none for the root, and for what was removed and is still open.
    pub place: Option<(NodeId, Arc<str>)>,
    pub number: u64,
    pub below: Option<Arc<Below>>,
    pub body: Body,
    pub mode: u32,
    /// Of all but files, which have their own.
    pub times: Times,
    /// When mode, owner or place changed last; 0 if never.
    pub stamp: u64,
    /// References given out.
    pub references: u64,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Whether it stands in a directory of the host.
    pub outside: bool,
    /// What a file there was when it was last opened.
    pub opened: Option<Content>,
    /// Made in this view, also if it was committed since.
    pub own: bool,
}

impl Node {
    pub(super) fn sort(&self) -> Sort {
        match &self.body {
            Body::File(_) => Sort::File,
            Body::Link(_) => Sort::Link,
            Body::Dir(_) => Sort::Dir,
            Body::Special(sort) => *sort,
        }
    }

    pub(super) fn xattr_bytes(&self) -> usize {
        self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub(super) fn names(&self) -> Result<&Names, Errno> {
        if let Body::Dir(names) = &self.body { Ok(names) } else { Err(Errno::NOTDIR) }
    }
}

/// What `stat` shows of a node, but for what its bytes know.
pub(super) struct Face {
    attr: Attr,
    data: Option<Arc<Data>>,
}

impl Face {
    /// To be asked for when the table is not locked.
    pub(super) fn attr(self) -> Attr {
        let Some(data) = self.data else { return self.attr };
        let shape = data.shape();
        let Times { mtime, ctime, atime, .. } = shape.times;
        Attr {
            size: shape.size,
            kept: shape.kept,
            atime: atime.unwrap_or(mtime),
            mtime,
            ctime: ctime.max(self.attr.ctime),
            ..self.attr
        }
    }
}

/// Numbers of what is new begin here, far above all files.
const NUMBERS: u64 = 1 << 48;

/// All nodes in memory.
pub(super) struct Table {
    nodes: BTreeMap<NodeId, Node>,
    next: u64,
    pub plan: Arc<Plan>,
    /// Grows when paths or rights change as a whole.
    pub epoch: u64,
    pub base: Arc<dyn Base>,
    pub spool: Arc<Spool>,
    /// Nodes that are not as below, and stand somewhere.
    pub dirty: BTreeSet<NodeId>,
    /// What stood below and was removed here.
    pub removed: BTreeMap<FileId, (Arc<Below>, u64)>,
    pub stamp: u64,
    /// The stamp of the last drain.
    pub drained: u64,
    /// Files that the last drain may have changed.
    pub sent: BTreeSet<FileId>,
    /// And where it made something new.
    pub sent_new: BTreeSet<String>,
    /// Nodes that are new.
    pub made: u64,
    /// New ones that stand nowhere and are still open.
    pub loose: u64,
    /// Bytes of all extended attributes.
    pub xattr_bytes: usize,
    opened: BTreeMap<(TreePath, VersionId), LabelId>,
    labels: BTreeSet<LabelId>,
    homes: BTreeSet<LabelId>,
}

impl Table {
    pub(super) fn new(plan: Plan, base: Arc<dyn Base>, root: BaseEntry, spool: Arc<Spool>) -> Self {
        let mut table = Self {
            nodes: BTreeMap::new(),
            next: ROOT.0,
            plan: Arc::new(plan),
            epoch: 1,
            base,
            spool,
            dirty: BTreeSet::new(),
            removed: BTreeMap::new(),
            stamp: 0,
            drained: 0,
            sent: BTreeSet::new(),
            sent_new: BTreeSet::new(),
            made: 0,
            loose: 0,
            xattr_bytes: 0,
            opened: BTreeMap::new(),
            labels: BTreeSet::new(),
            homes: BTreeSet::new(),
        };
        let below = Below::new(root, None);
        let root = table.over(below, None);
        table.insert(Node { references: 1, ..root });
        table
    }

    /// A node for something below.
    pub(super) fn over(&self, below: Arc<Below>, place: Option<(NodeId, Arc<str>)>) -> Node {
        let entry = &below.entry;
        let body = match entry.node {
            tree::Node::Dir => Body::Dir(Names { below: Some(below.clone()), ..Names::default() }),
            tree::Node::Link => Body::Link(Arc::default()),
            tree::Node::File | tree::Node::Gone => {
                let keeps = is_outside(entry.file);
                let data = Data::below(self.spool.clone(), entry.content, entry.mtime);
                Body::File(Arc::new(if keeps { data.keeping() } else { data }))
            }
        };
        Node {
            place,
            number: entry.file.0,
            body,
            mode: entry.mode,
            times: Times::at(entry.mtime),
            stamp: 0,
            references: 0,
            xattrs: BTreeMap::new(),
            outside: is_outside(entry.file),
            opened: None,
            own: false,
            below: Some(below),
        }
    }

    /// A node that is new.
    pub(super) fn fresh(
        &mut self,
        place: Option<(NodeId, Arc<str>)>,
        body: Body,
        mode: u32,
        times: Times,
    ) -> Node {
        self.stamp += 1;
        let (number, stamp) = (NUMBERS + self.next, self.stamp);
        let outside = place.as_ref().and_then(|(dir, _)| self.nodes.get(dir)).is_some_and(|dir| dir.outside);
        let (below, opened, references, xattrs) = (None, None, 0, BTreeMap::new());
        let own = true;
        Node { place, number, below, body, mode, times, stamp, references, xattrs, outside, opened, own }
    }

    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    pub(super) fn node(&self, id: NodeId) -> Result<&Node, Errno> {
        self.nodes.get(&id).ok_or(Errno::STALE)
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&id).ok_or(Errno::STALE)
    }

    pub(super) fn names(&self, id: NodeId) -> Result<&Names, Errno> {
        self.node(id)?.names()
    }

    pub(super) fn names_mut(&mut self, id: NodeId) -> Result<&mut Names, Errno> {
        if let Body::Dir(names) = &mut self.node_mut(id)?.body { Ok(names) } else { Err(Errno::NOTDIR) }
    }

    /// The names of a directory that still stands somewhere.
    pub(super) fn standing(&self, id: NodeId) -> Result<&Names, Errno> {
        let node = self.node(id)?;
        if node.place.is_none() && id != ROOT { Err(Errno::NOENT) } else { node.names() }
    }

    /// Where a node stands now; none for what was removed.
    pub(super) fn path(&self, id: NodeId) -> Option<String> {
        let mut names: Vec<&str> = Vec::new();
        let mut at = id;
        while at != ROOT {
            let (dir, name) = self.nodes.get(&at)?.place.as_ref()?;
            names.push(name);
            at = *dir;
        }
        if names.is_empty() {
            return Some("/".to_owned());
        }
        Some(names.iter().rev().fold(String::new(), |path, name| path + "/" + name))
    }

    /// How many directories are above it.
    pub(super) fn depth(&self, id: NodeId) -> usize {
        let up = |id: NodeId| self.nodes.get(&id)?.place.as_ref().map(|(dir, _)| *dir);
        std::iter::successors(up(id), |dir| up(*dir)).count()
    }

    /// The path of a name in a directory.
    pub(super) fn path_in(&self, dir: NodeId, name: &str) -> Result<String, Errno> {
        let path = self.path(dir).ok_or(Errno::NOENT)?;
        Ok(if dir == ROOT { format!("/{name}") } else { format!("{path}/{name}") })
    }

    /// What the plan says of everything below a directory.
    pub(super) fn scope(&mut self, dir: NodeId) -> Result<Scope, Errno> {
        let epoch = self.epoch;
        if let Some((at, scope)) = self.names(dir)?.scope
            && at == epoch
        {
            return Ok(scope);
        }
        let scope = scope::below(&self.plan, &self.path(dir).ok_or(Errno::NOENT)?);
        self.names_mut(dir)?.scope = Some((epoch, scope));
        Ok(scope)
    }

    /// What may be done with a name in a directory.
    pub(super) fn rights_in(&mut self, dir: NodeId, name: &str) -> Result<Rights, Errno> {
        Ok(match self.scope(dir)? {
            Scope::Same(rights) => rights,
            Scope::Mixed => self.plan.rights(&self.path_in(dir, name)?),
        })
    }

    /// What may be done with a node. What was removed and is still open may be done what could be.
    pub(super) fn rights(&mut self, id: NodeId) -> Result<Rights, Errno> {
        match self.node(id)?.place.clone() {
            Some((dir, name)) => self.rights_in(dir, &name),
            None if id == ROOT => Ok(self.plan.rights("/")),
            None => Ok(Rights::ALL),
        }
    }

    /// Whether an entry below is shown.
    pub(super) fn shown(&mut self, dir: NodeId, entry: &BaseEntry) -> Result<bool, Errno> {
        if self.plan.hidden.contains(&entry.label) || self.plan.hidden.contains(&entry.named) {
            return Ok(false);
        }
        let scope = self.scope(dir)?;
        if let Scope::Same(rights) = scope {
            return Ok(scope::shows(rights));
        }
        let path = self.path_in(dir, &entry.name)?;
        let way = entry.node == tree::Node::Dir && scope::leads(&self.plan, &path);
        Ok(way || scope::shows(self.plan.rights(&path)))
    }

    /// Whether it is listed: what may only be read is found by who knows its name, if its directory is listed
    /// at all.
    pub(super) fn listed(&mut self, dir: NodeId, entry: &BaseEntry) -> Result<bool, Errno> {
        if !self.shown(dir, entry)? {
            return Ok(false);
        }
        match self.scope(dir)? {
            Scope::Same(rights) => Ok(rights.contains(Rights::LIST)),
            Scope::Mixed => {
                let path = self.path_in(dir, &entry.name)?;
                let way = entry.node == tree::Node::Dir && scope::leads(&self.plan, &path);
                Ok(way || self.plan.rights(&path).contains(Rights::LIST))
            }
        }
    }

    /// Puts an entry below into its directory, where no slot is; none if it is not shown.
    pub(super) fn load(
        &mut self,
        dir: NodeId,
        up: &Arc<Below>,
        entry: BaseEntry,
    ) -> Result<Option<NodeId>, Errno> {
        if !self.shown(dir, &entry)? {
            return Ok(None);
        }
        let name: Arc<str> = Arc::from(entry.name.as_str());
        let below = Below::new(entry, Some(up.clone()));
        let node = self.over(below, Some((dir, name.clone())));
        let id = self.insert(node);
        self.names_mut(dir)?.slots.insert(name, Slot { node: Some(id), covers: true, stamp: 0 });
        Ok(Some(id))
    }

    /// Gives a reference to a node.
    pub(super) fn refer(&mut self, id: NodeId) -> Result<Face, Errno> {
        self.node_mut(id)?.references += 1;
        self.face(id)
    }

    pub(super) fn face(&self, id: NodeId) -> Result<Face, Errno> {
        let node = self.node(id)?;
        let Times { mtime, ctime, atime, .. } = node.times;
        let (size, data) = match &node.body {
            Body::File(data) => (0, Some(data.clone())),
            Body::Link(target) => {
                let below = node.below.as_ref().map_or(0, |below| below.entry.content.bytes);
                (target.get().map_or(below, |target| target.len() as u64), None)
            }
            Body::Dir(_) | Body::Special(_) => (0, None),
        };
        let atime = atime.unwrap_or(mtime);
        let (sort, mode, number, outside) = (node.sort(), node.mode, node.number, node.outside);
        let links = u32::from(id == ROOT || node.place.is_some());
        Ok(Face {
            attr: Attr { node: id, number, sort, size, kept: 0, links, mode, atime, mtime, ctime, outside },
            data,
        })
    }

    /// Takes references back, and lets go what nobody needs.
    pub(super) fn forget(&mut self, id: NodeId, references: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.references = node.references.saturating_sub(references);
        }
        self.let_go(id);
    }

    /// Drops a node that nobody refers to and that is as below, and its directory if that was all of it.
    pub(super) fn let_go(&mut self, id: NodeId) {
        let mut at = id;
        while at != ROOT && !self.dirty.contains(&at) {
            let Some(node) = self.nodes.get(&at) else { return };
            let names = if let Body::Dir(names) = &node.body { Some(names) } else { None };
            if node.references > 0
                || names.is_some_and(|names| !names.slots.is_empty() || names.point || names.mounted)
            {
                return;
            }
            let Some(node) = self.nodes.remove(&at) else { return };
            self.xattr_bytes = self.xattr_bytes.saturating_sub(node.xattr_bytes());
            if node.place.is_none() && node.below.is_none() {
                self.loose = self.loose.saturating_sub(1);
            }
            let Some((dir, name)) = node.place else { return };
            if let Ok(names) = self.names_mut(dir) {
                names.slots.remove(&name);
            }
            at = dir;
        }
    }

    /// It is not as below any more.
    pub(super) fn soil(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_some_and(|node| node.place.is_some() || id == ROOT) {
            self.dirty.insert(id);
        }
    }

    /// One more that is new, if that many may be.
    pub(super) fn make_room(&mut self) -> Result<(), Errno> {
        self.has_room()?;
        self.made += 1;
        Ok(())
    }

    /// What stands nowhere counts while it is open.
    pub(super) fn has_room(&self) -> Result<(), Errno> {
        let room = self.made + self.loose < self.plan.quota.files;
        if room { Ok(()) } else { Err(Errno::DQUOT) }
    }

    /// A file or link that was made in this view and is to take the place of another: what was written beside
    /// is a new content of what stood there, also if it has been committed in between.
    pub(super) fn is_beside(&self, id: NodeId) -> bool {
        self.node(id).is_ok_and(|node| node.own && node.below.is_some() && node.sort() != Sort::Dir)
    }

    /// It is new again, and what was committed of it goes.
    pub(super) fn renew(&mut self, id: NodeId) -> Result<(), Errno> {
        self.stamp += 1;
        let stamp = self.stamp;
        if let Some(below) = self.node_mut(id)?.below.take() {
            self.removed.insert(below.entry.file, (below, stamp));
            self.made += 1;
        }
        Ok(())
    }

    /// Takes a node out of its directory; it lives on while somebody refers to it.
    pub(super) fn unlink(&mut self, id: NodeId) -> Result<(), Errno> {
        self.stamp += 1;
        let stamp = self.stamp;
        let node = self.node_mut(id)?;
        let Some((dir, name)) = node.place.take() else { return Err(Errno::NOENT) };
        node.stamp = stamp;
        match node.below.clone() {
            Some(below) => {
                self.removed.insert(below.entry.file, (below, stamp));
            }
            None => (self.made, self.loose) = (self.made.saturating_sub(1), self.loose + 1),
        }
        self.dirty.remove(&id);
        self.vacate(dir, &name, stamp)?;
        self.let_go(id);
        Ok(())
    }

    /// A name is free now.
    pub(super) fn vacate(&mut self, dir: NodeId, name: &Arc<str>, stamp: u64) -> Result<(), Errno> {
        let names = self.names_mut(dir)?;
        if let Some(slot) = names.slots.get_mut(name) {
            if slot.covers {
                *slot = Slot { node: None, covers: true, stamp };
            } else {
                names.slots.remove(name);
            }
        }
        Ok(())
    }

    /// A name is this node's now, whatever was there.
    pub(super) fn occupy(
        &mut self,
        dir: NodeId,
        name: Arc<str>,
        id: NodeId,
        covers: bool,
    ) -> Result<(), Errno> {
        let stamp = self.stamp;
        let names = self.names_mut(dir)?;
        let covers = covers || names.slots.get(&name).is_some_and(|slot| slot.covers);
        names.missed = None;
        names.slots.insert(name, Slot { node: Some(id), covers, stamp });
        Ok(())
    }

    pub(super) fn set_slot(&mut self, dir: NodeId, name: &Arc<str>, slot: Slot) -> Result<(), Errno> {
        if slot.node.is_none() && !slot.covers {
            return self.drop_slot(dir, name);
        }
        self.names_mut(dir)?.slots.insert(name.clone(), slot);
        Ok(())
    }

    pub(super) fn drop_slot(&mut self, dir: NodeId, name: &Arc<str>) -> Result<(), Errno> {
        self.names_mut(dir)?.slots.remove(name);
        Ok(())
    }

    /// What was drained will be below: who removes it from now on has to say so.
    pub(super) fn cover(&mut self) {
        self.sent = self.dirty_files().into_keys().collect();
        let new = self.dirty.iter().filter(|id| self.nodes.get(id).is_some_and(|node| node.below.is_none()));
        self.sent_new = new.filter_map(|id| self.path(*id)).collect();
        for id in self.dirty.clone() {
            let Some((dir, name)) = self.nodes.get(&id).and_then(|node| node.place.clone()) else { continue };
            if let Ok(names) = self.names_mut(dir)
                && let Some(slot) = names.slots.get_mut(&name)
            {
                slot.covers = true;
            }
        }
    }

    /// What is not as below and stands below, by file.
    pub(super) fn dirty_files(&self) -> BTreeMap<FileId, NodeId> {
        let file = |id: &NodeId| Some((self.nodes.get(id)?.below.as_ref()?.entry.file, *id));
        self.dirty.iter().filter_map(file).collect()
    }

    /// Counts again what is new.
    pub(super) fn recount(&mut self) {
        let new = |id: &&NodeId| self.nodes.get(id).is_some_and(|node| node.below.is_none());
        self.made = self.dirty.iter().filter(new).count() as u64;
    }

    /// A node that stands nowhere any more, and all below it.
    pub(super) fn orphan(&mut self, id: NodeId) -> Result<(), Errno> {
        let mut all = vec![id];
        while let Some(id) = all.pop() {
            if let Ok(names) = self.names_mut(id) {
                let slots = std::mem::take(&mut names.slots);
                all.extend(slots.into_values().filter_map(|slot| slot.node));
            }
            self.dirty.remove(&id);
            let node = self.node_mut(id)?;
            let was = node.place.take();
            let new = was.is_some() && node.below.is_none();
            self.loose += u64::from(new);
            self.let_go(id);
        }
        Ok(())
    }

    /// Something stands here or below.
    pub(super) fn is_inside(&self, id: NodeId, dir: NodeId) -> bool {
        let mut at = id;
        loop {
            if at == dir {
                return true;
            }
            match self.nodes.get(&at).and_then(|node| node.place.as_ref()) {
                Some((up, _)) => at = *up,
                None => return false,
            }
        }
    }

    /// A program opened or listed it: it was told what it is.
    pub(super) fn tell_opened(&mut self, id: NodeId) {
        let Some(below) = self.nodes.get(&id).and_then(|node| node.below.clone()) else { return };
        if below.opened.swap(true, Relaxed) {
            return;
        }
        self.tell(&below.entry);
        if self.opened.len() >= limits::SEEN_PATHS_MAX {
            return;
        }
        if let Ok(path) = TreePath::parse(&below.path()) {
            self.opened.insert((path, below.entry.version), below.entry.label);
        }
    }

    /// A program was shown this name.
    pub(super) fn tell(&mut self, entry: &BaseEntry) {
        self.labels.insert(entry.label);
        self.labels.insert(entry.named);
    }

    /// A program asked for a name of this directory.
    pub(super) fn tell_home(&mut self, dir: NodeId) {
        if let Ok(Names { below: Some(below), .. }) = self.names(dir) {
            let label = below.entry.label;
            self.homes.insert(label);
        }
    }

    pub(super) fn told(&self) -> Told {
        let opened = self.opened.iter();
        let opened = opened
            .map(|((path, version), label)| Opened { path: path.clone(), version: *version, label: *label })
            .collect();
        Told { opened, labels: self.labels.clone(), homes: self.homes.clone() }
    }
}
