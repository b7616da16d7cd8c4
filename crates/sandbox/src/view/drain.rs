//! What a view has become, as steps against the tree below it.
//!
//! ```text
//!   mv a b; echo x > a          move /a → /b · put /a
//!   echo x > f.new; mv f.new f  put /f, a new version of what stood there
//!   mkdir d; mv a d/a; rm b     dir /d · move /a → /d/a · gone /b
//! ```
//!
//! The steps are found by carrying them out on a model of the names: a step is ready when its directory is
//! there and its place is free. If none is ready, places were exchanged, and one is moved out of the way.

use super::{
    Base, BaseEntry, NodeId, Told, View,
    data::Data,
    table::{Below, Body, Node as Held, Table},
};
use abi::{
    Content, FileId, Micros,
    path::{TreePath, is_scratch},
    tree::Node,
    view::Change,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    sync::Arc,
};

/// What came of a view.
#[derive(Default)]
pub struct Drained {
    /// Its changes, in an order in which they can be carried out: each path is that of its moment, so a file
    /// below a moved directory is named by where it stands then. Places that were exchanged take a move to a
    /// name beside it and a second one.
    pub steps: Vec<Step>,
    /// What its programs were told.
    pub told: Told,
}

/// One change, with its bytes if they are new.
pub struct Step {
    /// The change. A move has the content it had, or new one if it was written too. Where `bytes` are, the
    /// content's length is theirs and its hash is not known yet.
    pub change: Change,
    /// Bytes that are not below yet: of a file, or the target of a link.
    pub bytes: Option<Bytes>,
    /// What it was made over.
    over: Option<Arc<Below>>,
    /// All of its bytes, if it is a file or link, also where they are below.
    whole: Option<Bytes>,
    seal: Option<(Arc<Data>, u64)>,
}

impl Step {
    /// Where what it was made over stood below, and what that was.
    pub fn over(&self) -> Option<(String, &BaseEntry)> {
        self.over.as_ref().map(|over| (over.path(), &over.entry))
    }

    /// What stood below when it was first written over, if that was little and could change.
    pub fn stood(&self) -> Option<Arc<[u8]>> {
        let written = self.seal.as_ref().and_then(|(data, _)| data.stood());
        written.or_else(|| self.over.as_ref().and_then(|over| over.stood.get().cloned()))
    }

    /// That what it was made over goes.
    pub fn gone(&self, change: Change) -> Self {
        Self { change, bytes: None, over: self.over.clone(), whole: None, seal: None }
    }

    /// The same, as something new.
    pub fn renew(&mut self) {
        (self.change.from, self.change.base, self.over) = (None, None, None);
        self.bytes.clone_from(&self.whole);
        if let Some(Bytes(Source::File { data, size, .. })) = &self.whole {
            self.change.content = Content { bytes: *size, ..Content::default() };
            self.seal = Some((data.clone(), data.shape().writes));
        }
    }

    /// What knows its bytes again.
    pub fn mark(&self) -> Option<Mark> {
        self.seal.clone().map(|(data, writes)| Mark { data, writes })
    }

    /// All of its bytes, of a file or link.
    pub fn whole(&self) -> Option<&Bytes> {
        self.whole.as_ref()
    }

    /// The change, whose bytes were found to be this content. A rebase then knows them again.
    pub fn sealed(mut self, content: Content) -> Change {
        if let Some((data, writes)) = self.seal {
            data.seal(writes, content);
        }
        self.change.content = content;
        self.change
    }
}

/// The bytes of a step, to be known again where they have come to stand.
pub struct Mark {
    data: Arc<Data>,
    writes: u64,
}

impl Mark {
    /// They are this content below now.
    pub fn is(&self, content: Content) {
        self.data.seal(self.writes, content);
    }
}

/// Bytes of a view. They are read as they are at that moment: a program that still writes may change them, so
/// what is read is hashed and kept in one pass.
#[derive(Clone)]
pub struct Bytes(Source);

#[derive(Clone)]
enum Source {
    Text(Arc<str>),
    File { data: Arc<Data>, base: Arc<dyn Base>, size: u64 },
}

impl Bytes {
    /// How many they were when the view was drained.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Source::Text(text) => text.len() as u64,
            Source::File { size, .. } => *size,
        }
    }

    /// From the first on.
    pub fn reader(&self) -> impl Read + use<> {
        Reader { bytes: self.clone(), at: 0 }
    }
}

struct Reader {
    bytes: Bytes,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = match &self.bytes.0 {
            Source::Text(text) => {
                let rest = text.as_bytes().get(self.at as usize..).unwrap_or_default();
                let count = rest.len().min(to.len());
                to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                count
            }
            Source::File { data, base, size } => {
                let room = size.saturating_sub(self.at).min(to.len() as u64) as usize;
                data.read(&**base, self.at, to.get_mut(..room).unwrap_or_default())?
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl View {
    /// What its programs were told so far.
    pub fn told(&self) -> Told {
        self.lock().told()
    }

    /// The net difference to the base, in an order in which it can be carried out, and what was told so far.
    /// The view stays as it is: draining it again without a rebase gives the same and what came since.
    pub fn drain(&self) -> io::Result<Drained> {
        let mut table = self.lock();
        table.drained = table.stamp;
        table.cover();
        let (base, told) = (table.base.clone(), table.told());
        let mut work = Work::collect(&table, self.now());
        drop(table);
        let steps = work.steps(&base)?;
        Ok(Drained { steps, told })
    }
}

/// A directory, file or link, whether or not it is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Below(FileId),
    New(NodeId),
}

type Place = (Key, Arc<str>);

/// Something that is not as below.
struct Item {
    key: Key,
    place: Place,
    depth: usize,
    below: Option<Arc<Below>>,
    node: Node,
    mode: u32,
    mtime: Micros,
    /// Whether a program set that time.
    set: bool,
    data: Option<Arc<Data>>,
    target: Option<Arc<str>>,
}

/// What is left to be done.
#[derive(Clone, Copy)]
enum Todo {
    /// Something new, perhaps as a new version of what was removed from its place.
    New(usize, Option<FileId>),
    Move(usize),
    Remove(FileId),
}

/// The names as they are after the steps so far.
#[derive(Default)]
struct Names {
    below: BTreeMap<FileId, Arc<Below>>,
    place: BTreeMap<Key, Place>,
    at: BTreeMap<Place, Key>,
    count: BTreeMap<Key, usize>,
}

impl Names {
    /// Knows this and the directories above it.
    fn note(&mut self, below: &Arc<Below>) {
        let mut at = Some(below);
        while let Some(below) = at {
            if self.below.insert(below.entry.file, below.clone()).is_some() {
                return;
            }
            at = below.up.as_ref();
        }
    }

    fn place(&self, key: Key) -> Option<Place> {
        if let Some(place) = self.place.get(&key) {
            return Some(place.clone());
        }
        let Key::Below(file) = key else { return None };
        self.below.get(&file).and_then(origin)
    }

    fn path(&self, (dir, name): &Place) -> io::Result<TreePath> {
        let mut names = vec![name.clone()];
        let mut at = *dir;
        while let Some((up, name)) = self.place(at) {
            names.push(name);
            at = up;
        }
        let path = names.iter().rev().fold(String::new(), |path, name| path + "/" + name);
        TreePath::parse(&path).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidFilename, format!("{}: {path}", error.message))
        })
    }

    fn is_inside(&self, key: Key, dir: Key) -> bool {
        let mut at = key;
        loop {
            if at == dir {
                return true;
            }
            match self.place(at) {
                Some((up, _)) => at = up,
                None => return false,
            }
        }
    }

    fn put(&mut self, key: Key, place: Place) {
        self.take(key);
        *self.count.entry(place.0).or_default() += 1;
        self.at.insert(place.clone(), key);
        self.place.insert(key, place);
    }

    fn take(&mut self, key: Key) {
        let Some(place) = self.place.remove(&key) else { return };
        if self.at.get(&place) == Some(&key) {
            self.at.remove(&place);
        }
        if let Some(count) = self.count.get_mut(&place.0) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Where something stood below.
fn origin(below: &Arc<Below>) -> Option<Place> {
    let up = below.up.as_ref()?;
    Some((Key::Below(up.entry.file), Arc::from(below.entry.name.as_str())))
}

fn key(id: NodeId, node: &Held) -> Key {
    node.below.as_ref().map_or(Key::New(id), |below| Key::Below(below.entry.file))
}

#[derive(Default)]
struct Work {
    items: Vec<Item>,
    removed: BTreeMap<FileId, Arc<Below>>,
    names: Names,
    bound: Vec<TreePath>,
    now: Micros,
}

impl Work {
    fn collect(table: &Table, now: Micros) -> Self {
        let bound = table.plan.bound.iter().map(|bound| bound.dir.clone()).collect();
        let mut work = Self { now, bound, ..Self::default() };
        for (below, _) in table.removed.values() {
            work.names.note(below);
            work.removed.insert(below.entry.file, below.clone());
        }
        for id in &table.dirty {
            let Ok(node) = table.node(*id) else { continue };
            work.items.extend(work_item(table, *id, node));
            // Whatever is needed to say a path.
            let mut at = Some(node);
            while let Some(node) = at {
                node.below.iter().for_each(|below| work.names.note(below));
                at = node.place.as_ref().and_then(|(dir, _)| table.node(*dir).ok());
            }
        }
        work
    }

    fn steps(&mut self, base: &Arc<dyn Base>) -> io::Result<Vec<Step>> {
        let mut todo = self.todo();
        let mut steps = Vec::new();
        let mut parked = BTreeSet::new();
        while !todo.is_empty() {
            let before = todo.len();
            let mut left = Vec::new();
            for one in todo {
                if self.is_ready(one) {
                    steps.extend(self.carry_out(one, base)?);
                } else {
                    left.push(one);
                }
            }
            todo = left;
            if todo.len() == before {
                steps.push(self.park(&todo, &mut parked, base)?);
            }
        }
        for item in self.items.iter().filter(|item| item.below.is_some() && !self.moves(item)) {
            steps.extend(self.update(item, base)?);
        }
        Ok(steps)
    }

    fn moves(&self, item: &Item) -> bool {
        item.below.as_ref().is_some_and(|below| origin(below).is_some_and(|place| place != item.place))
    }

    fn todo(&mut self) -> Vec<Todo> {
        for (file, below) in &self.removed {
            if let Some(place) = origin(below) {
                self.names.put(Key::Below(*file), place);
            }
        }
        for item in &self.items {
            if let Some(place) = item.below.as_ref().and_then(origin).filter(|place| *place != item.place) {
                self.names.put(item.key, place);
            }
        }
        let mut new = Vec::new();
        let mut over = BTreeSet::new();
        let mut moves = Vec::new();
        for (ix, item) in self.items.iter().enumerate() {
            if item.below.is_some() {
                moves.extend(self.moves(item).then_some(Todo::Move(ix)));
                continue;
            }
            let stood = match self.names.at.get(&item.place) {
                Some(Key::Below(file)) if item.node != Node::Dir => self.removed.get(file),
                Some(Key::Below(_) | Key::New(_)) | None => None,
            };
            let stood = stood.filter(|below| below.entry.node != Node::Dir).map(|below| below.entry.file);
            over.extend(stood);
            new.push(Todo::New(ix, stood));
        }
        let depth = |todo: &Todo| match todo {
            Todo::New(ix, _) | Todo::Move(ix) => self.items.get(*ix).map_or(0, |item| item.depth),
            Todo::Remove(_) => 0,
        };
        new.sort_by_key(depth);
        moves.sort_by_key(depth);
        let mut gone: Vec<&Arc<Below>> =
            self.removed.values().filter(|below| !over.contains(&below.entry.file)).collect();
        gone.sort_by_key(|below| {
            std::cmp::Reverse(std::iter::successors(below.up.as_ref(), |up| up.up.as_ref()).count())
        });
        new.extend(moves);
        new.extend(gone.iter().map(|below| Todo::Remove(below.entry.file)));
        new
    }

    fn is_ready(&self, todo: Todo) -> bool {
        let (ix, over) = match todo {
            Todo::Remove(file) => {
                return self.names.count.get(&Key::Below(file)).is_none_or(|count| *count == 0);
            }
            Todo::New(ix, over) => (ix, over),
            Todo::Move(ix) => (ix, None),
        };
        let Some(item) = self.items.get(ix) else { return true };
        let dir = item.place.0;
        let stands = matches!(dir, Key::Below(_)) || self.names.place.contains_key(&dir);
        let free = match self.names.at.get(&item.place) {
            None => true,
            Some(Key::Below(file)) => over == Some(*file),
            Some(Key::New(_)) => false,
        };
        let moves = matches!(todo, Todo::Move(_));
        stands && free && !(moves && self.names.is_inside(dir, item.key))
    }

    fn carry_out(&mut self, todo: Todo, base: &Arc<dyn Base>) -> io::Result<Option<Step>> {
        match todo {
            Todo::Remove(file) => self.remove(file),
            Todo::New(ix, over) => {
                let Some(item) = self.items.get(ix) else { return Ok(None) };
                let over = over.and_then(|file| self.removed.get(&file)).cloned();
                if let Some(below) = &over {
                    self.names.take(Key::Below(below.entry.file));
                }
                self.names.put(item.key, item.place.clone());
                self.make(item, over, base)
            }
            Todo::Move(ix) => {
                let Some(item) = self.items.get(ix) else { return Ok(None) };
                let Some(from) = self.names.place(item.key) else { return Ok(None) };
                let from = self.names.path(&from)?;
                self.names.put(item.key, item.place.clone());
                let mut step = self.shaped(item, base)?;
                step.change.from = Some(from);
                Ok(Some(step))
            }
        }
    }

    fn remove(&mut self, file: FileId) -> io::Result<Option<Step>> {
        let key = Key::Below(file);
        let (Some(below), Some(place)) = (self.removed.get(&file), self.names.place(key)) else {
            return Ok(None);
        };
        let change = Change {
            path: self.names.path(&place)?,
            from: None,
            base: Some(below.entry.version),
            node: Node::Gone,
            content: Content::default(),
            mode: 0,
            mtime: self.now,
        };
        self.names.take(key);
        Ok(Some(Step { change, bytes: None, over: Some(below.clone()), whole: None, seal: None }))
    }

    /// Something new; nothing if it is what was removed from its place.
    fn make(&self, item: &Item, over: Option<Arc<Below>>, base: &Arc<dyn Base>) -> io::Result<Option<Step>> {
        let mut step = self.shaped(item, base)?;
        let Some(over) = over else { return Ok(Some(step)) };
        step.change.base = Some(over.entry.version);
        step.over = Some(over.clone());
        let same_bytes = match (&item.data, item.node == over.entry.node) {
            (Some(data), true) => data.is(&**base, over.entry.content)?,
            (None, true) => step.change.content == over.entry.content,
            (_, false) => false,
        };
        if !same_bytes {
            return Ok(Some(step));
        }
        step.change.content = over.entry.content;
        (step.bytes, step.seal) = (None, None);
        let same = item.mode == over.entry.mode && !self.counts(item, &over, &step.change.path);
        Ok(if same { None } else { Some(step) })
    }

    /// What stands where it stood, if anything else of it differs.
    fn update(&self, item: &Item, base: &Arc<dyn Base>) -> io::Result<Option<Step>> {
        let Some(below) = &item.below else { return Ok(None) };
        let step = self.shaped(item, base)?;
        let same = step.bytes.is_none() && item.mode == below.entry.mode;
        Ok(if same && !self.counts(item, below, &step.change.path) { None } else { Some(step) })
    }

    /// Whether tools go by nothing but times there: what is made anew, and what stands on the host.
    fn is_exact(&self, path: &TreePath) -> bool {
        is_scratch(path) || self.bound.iter().any(|dir| path.is_below(dir))
    }

    /// Whether a time alone is a change: if a program set it, and where tools go by nothing else.
    fn counts(&self, item: &Item, below: &Below, path: &TreePath) -> bool {
        let by_time = item.set || (item.node != Node::Dir && self.is_exact(path));
        by_time && item.mtime != below.entry.mtime
    }

    /// The change without where it came from.
    fn shaped(&self, item: &Item, base: &Arc<dyn Base>) -> io::Result<Step> {
        let path = self.names.path(&self.names.place(item.key).unwrap_or_else(|| item.place.clone()))?;
        let mut whole = None;
        let entry = item.below.as_ref().map(|below| &below.entry);
        let old = entry.map(|entry| entry.content).unwrap_or_default();
        let (mut content, mut bytes, mut seal) = (old, None, None);
        if let Some(data) = &item.data {
            let shape = data.shape();
            let source = Source::File { data: data.clone(), base: base.clone(), size: shape.size };
            whole = Some(Bytes(source));
            if entry.is_none() || !data.is(&**base, old)? {
                content = Content { bytes: shape.size, ..Content::default() };
                bytes = whole.clone();
                seal = Some((data.clone(), shape.writes));
            }
        }
        if let (Some(target), None) = (&item.target, entry) {
            content = Content::of(target.as_bytes());
            bytes = Some(Bytes(Source::Text(target.clone())));
        }
        if let Some(target) = &item.target {
            whole = Some(Bytes(Source::Text(target.clone())));
        }
        let as_below = entry.filter(|_| bytes.is_none() && !item.set).map(|entry| entry.mtime);
        let scratch = self.is_exact(&path);
        let change = Change {
            path,
            from: None,
            base: entry.map(|entry| entry.version),
            node: item.node,
            content,
            mode: item.mode,
            mtime: as_below.filter(|_| !scratch || item.node == Node::Dir).unwrap_or(item.mtime),
        };
        Ok(Step { change, bytes, over: item.below.clone(), whole, seal })
    }

    /// Moves something aside whose place-to-be waits for another to leave.
    fn park(&mut self, todo: &[Todo], parked: &mut BTreeSet<Key>, base: &Arc<dyn Base>) -> io::Result<Step> {
        let stuck = todo.iter().find_map(|todo| match todo {
            Todo::Move(ix) => self.items.get(*ix).filter(|item| !parked.contains(&item.key)),
            Todo::New(..) | Todo::Remove(_) => None,
        });
        let no_order = || io::Error::other("the changes of a view have no order");
        let item = stuck.ok_or_else(no_order)?;
        let (dir, name) = self.names.place(item.key).ok_or_else(no_order)?;
        let mut free = None;
        for number in 0..1000 {
            let name = format!(".skep-moved-{number}");
            let place = (dir, Arc::from(name.as_str()));
            let below = match dir {
                Key::Below(file) => base.child(file, &name)?,
                Key::New(_) => None,
            };
            if below.is_none() && !self.names.at.contains_key(&place) {
                free = Some(place);
                break;
            }
        }
        let place = free.ok_or_else(no_order)?;
        let entry = item.below.as_ref().map(|below| &below.entry).ok_or_else(no_order)?;
        let change = Change {
            path: self.names.path(&place)?,
            from: Some(self.names.path(&(dir, name))?),
            base: Some(entry.version),
            node: entry.node,
            content: entry.content,
            mode: entry.mode,
            mtime: entry.mtime,
        };
        let over = item.below.clone();
        parked.insert(item.key);
        self.names.put(item.key, place);
        Ok(Step { change, bytes: None, over, whole: None, seal: None })
    }
}

fn work_item(table: &Table, id: NodeId, node: &Held) -> Option<Item> {
    let (dir, name) = node.place.as_ref()?;
    table.path(id)?;
    let up = table.node(*dir).ok()?;
    let (mut data, mut target, mut times) = (None, None, node.times);
    let sort = match &node.body {
        Body::File(bytes) => {
            times = bytes.shape().times;
            data = Some(bytes.clone());
            Node::File
        }
        Body::Link(text) => {
            target = text.get().cloned();
            Node::Link
        }
        Body::Dir(names) if !names.point => Node::Dir,
        Body::Dir(_) | Body::Special(_) => return None,
    };
    Some(Item {
        key: key(id, node),
        place: (key(*dir, up), name.clone()),
        depth: table.depth(id),
        below: node.below.clone(),
        node: sort,
        mode: node.mode,
        mtime: times.mtime,
        set: times.set,
        data,
        target,
    })
}
