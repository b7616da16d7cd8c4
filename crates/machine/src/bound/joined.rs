//! The tree below a view, with what stands in bound directories in its place.

use super::{Bounds, Known, Place};
use crate::{guard::guard, walls::Tree};
use abi::{Content, FileId, Hash, LabelId, Seq, VersionId, path::TreePath, tree::Node};
use sandbox::{
    host::Seen,
    view::{Base, BaseEntry, OUTSIDE},
};
use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::{Arc, Mutex},
};

/// Directories that lead to a bound one have numbers from here on.
const WAY: u64 = OUTSIDE | 1 << 59;
/// What contents of bound directories begin with, which no hash of bytes does; then whether it is a link.
const MARK: [u8; 7] = [0; 7];
/// A file that the tree knows is compared with its version by its bytes, up to so many.
const COMPARED_MAX: u64 = 64 * 1024 * 1024;

/// What a file of a bound directory was seen to be, as a content: it changes with anything of it.
pub(crate) fn content(file: FileId, seen: &Seen) -> Content {
    let ((seconds, nanos), (changed, changed_nanos)) = seen.times;
    let numbers = [
        seen.place.0,
        seen.place.1,
        seen.size,
        seconds as u64,
        nanos.into(),
        changed as u64,
        changed_nanos.into(),
        seen.mode.into(),
    ];
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let seen_hash = Hash::of(&bytes);
    let mut hash = [0; 32];
    let is_link = u8::from(seen.node == Node::Link);
    let parts = MARK.into_iter().chain([is_link]).chain(file.0.to_le_bytes()).chain(seen_hash.0);
    hash.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    Content { hash: Hash(hash), bytes: seen.size }
}

/// The file that such a content is of, and whether it is a link.
fn marked(content: &Content) -> Option<(FileId, bool)> {
    let (mark, rest) = content.hash.0.split_first_chunk::<7>()?;
    let (link, rest) = rest.split_first()?;
    let (number, _) = rest.split_first_chunk::<8>()?;
    (*mark == MARK).then(|| (FileId(u64::from_le_bytes(*number)), *link == 1))
}

/// The file that such a content is of.
pub(crate) fn file_of(content: &Content) -> Option<FileId> {
    marked(content).map(|(file, _)| file)
}

/// A version that no record has made: what stands there.
fn version(content: &Content) -> VersionId {
    let bytes = content.hash.0.get(16..24).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    VersionId(1 << 62 | u64::from_le_bytes(bytes) >> 2)
}

/// Both.
pub(crate) struct Joined {
    pub tree: Tree,
    pub bounds: Arc<Bounds>,
    pub places: Vec<Arc<Place>>,
    /// Paths of directories that lead to a bound one.
    ways: Vec<String>,
    /// Directories of the tree, by path, as far as they were looked for.
    dirs: Mutex<BTreeMap<String, Option<FileId>>>,
    /// Under which versions the tree knows what stood there when a draft was made from it.
    pins: Arc<Mutex<BTreeMap<Content, (VersionId, Content)>>>,
}

impl Joined {
    pub fn new(tree: Tree, bounds: Arc<Bounds>, places: Vec<Arc<Place>>) -> Self {
        let mut ways: Vec<String> = Vec::new();
        for place in &places {
            let mut at = place.dir.parent();
            while let Some(dir) = at.filter(|dir| dir.as_str() != "/") {
                if !ways.contains(&dir.to_string()) {
                    ways.push(dir.to_string());
                }
                at = dir.parent();
            }
        }
        Self { tree, bounds, places, ways, dirs: Mutex::default(), pins: Arc::default() }
    }

    /// What stood there stays what a draft was made from, whatever comes to stand there.
    pub fn pin(&self, seen: Content, known: (VersionId, Content)) {
        guard(&self.pins).insert(seen, known);
    }

    pub fn pinned(&self, seen: &Content) -> Option<(VersionId, Content)> {
        guard(&self.pins).get(seen).copied()
    }

    /// The same at another record.
    pub fn at(&self, seq: Seq) -> Self {
        let tree = Tree { readers: self.tree.readers.clone(), at: seq };
        Self::new(tree, self.bounds.clone(), self.places.clone())
    }

    /// The same as the tree is now, whatever a view shows.
    pub fn now(&self) -> Self {
        self.at(Seq(i64::MAX as u64))
    }

    fn way(&self, path: &str) -> Option<BaseEntry> {
        let number = self.ways.iter().position(|way| way == path)? as u64;
        let name = path.rsplit_once('/').map_or("", |(_, name)| name).to_owned();
        let label = self.places.first().map_or(LabelId(0), |place| place.label);
        let stands = self.named(path);
        Some(BaseEntry {
            name,
            file: FileId(WAY + number),
            node: Node::Dir,
            content: Content::default(),
            mode: 0o755,
            mtime: 0,
            version: stands.as_ref().map_or(VersionId(1 << 61 | number), |entry| entry.version),
            label: stands.as_ref().map_or(label, |entry| entry.label),
            named: stands.as_ref().map_or(label, |entry| entry.named),
        })
    }

    fn named(&self, path: &str) -> Option<BaseEntry> {
        let (home, name) = path.rsplit_once('/')?;
        let home = self.dir(if home.is_empty() { "/" } else { home }).ok()??;
        self.tree.child(home, name).ok()?
    }

    /// The directory of the tree at a path.
    fn dir(&self, path: &str) -> io::Result<Option<FileId>> {
        if path == "/" {
            return Ok(Some(abi::ROOT));
        }
        if let Some(known) = guard(&self.dirs).get(path) {
            return Ok(*known);
        }
        let (home, name) = path.rsplit_once('/').unwrap_or(("", path));
        let home = self.dir(if home.is_empty() { "/" } else { home })?;
        let entry = home.map(|home| self.tree.child(home, name)).transpose()?.flatten();
        let dir = entry.filter(|entry| entry.node == Node::Dir).map(|entry| entry.file);
        guard(&self.dirs).insert(path.to_owned(), dir);
        Ok(dir)
    }

    /// What the tree says of a path.
    pub fn head(&self, path: &TreePath) -> io::Result<Option<BaseEntry>> {
        let home = path.parent().map(|home| self.dir(home.as_str())).transpose()?.flatten();
        home.map(|home| self.tree.child(home, path.name())).transpose().map(Option::flatten)
    }

    /// What stands at a path of a bound directory, as an entry.
    pub(super) fn outside(&self, place: &Arc<Place>, rest: &str, seen: &Seen) -> io::Result<BaseEntry> {
        let name = rest.rsplit_once('/').map_or(rest, |(_, name)| name);
        let name = if rest.is_empty() { place.dir.name() } else { name };
        let file = self.bounds.number(place, rest, seen)?;
        let was = content(file, seen);
        let known = match place.known(rest, &was) {
            Some(known) => Some(known),
            None => self.recognize(place, rest, seen, &was)?,
        };
        let label = known.map_or(place.label, |known| known.label);
        Ok(BaseEntry {
            name: name.to_owned(),
            file,
            node: seen.node,
            content: if seen.node == Node::Dir { Content::default() } else { was },
            mode: seen.mode,
            mtime: seen.mtime,
            version: known.map_or_else(|| version(&was), |known| known.version),
            label,
            named: label,
        })
    }

    /// Whether what stands there is what the tree says. What is not is still of the label that it had: nobody
    /// knows what of it somebody outside left as it was.
    fn recognize(
        &self,
        place: &Arc<Place>,
        rest: &str,
        seen: &Seen,
        was: &Content,
    ) -> io::Result<Option<Known>> {
        let Ok(path) = place.full(rest) else { return Ok(None) };
        let Some(head) = self.head(&path)? else { return Ok(None) };
        let is_it = head.node == seen.node
            && match seen.node {
                Node::Dir => true,
                Node::Link => Content::of(&place.host.target(rest)?) == head.content,
                Node::File if seen.size == head.content.bytes && seen.size <= COMPARED_MAX => {
                    let mut bytes = Vec::new();
                    place.host.file(rest)?.0.take(seen.size + 1).read_to_end(&mut bytes)?;
                    Content::of(&bytes) == head.content
                }
                Node::File | Node::Gone => false,
            };
        let version = if is_it { head.version } else { version(was) };
        let known = Known { seen: *was, version, label: head.label };
        place.know(rest, known);
        Ok(Some(known))
    }

    /// The bound directory of a path, and the path below it.
    pub fn place(&self, path: &TreePath) -> Option<(Arc<Place>, String)> {
        self.places.iter().find_map(|place| Some((place.clone(), place.rest(path.as_str())?.to_owned())))
    }

    fn place_at(&self, path: &str) -> Option<&Arc<Place>> {
        self.places.iter().find(|place| place.dir.as_str() == path)
    }

    /// The path of a directory that leads to a bound one, or has such a one in it.
    fn way_path(&self, dir: FileId) -> Option<String> {
        if dir == abi::ROOT {
            return Some(String::new());
        }
        let number = dir.0.checked_sub(WAY)?;
        self.ways.get(usize::try_from(number).ok()?).cloned()
    }

    /// The directories among these that views know by another number.
    pub fn as_shown(&self, changed: &[FileId]) -> Vec<FileId> {
        let shown = self
            .ways
            .iter()
            .enumerate()
            .filter(|(_, way)| self.dir(way).ok().flatten().is_some_and(|dir| changed.contains(&dir)));
        shown.map(|(number, _)| FileId(WAY + number as u64)).chain(changed.iter().copied()).collect()
    }
}

impl Base for Joined {
    fn root(&self) -> io::Result<BaseEntry> {
        self.tree.root()
    }

    fn list(&self, dir: FileId) -> io::Result<Vec<BaseEntry>> {
        if let Some(path) = self.way_path(dir) {
            let tree = self.dir(if path.is_empty() { "/" } else { &path })?;
            let mut all = tree.map(|tree| self.tree.list(tree)).transpose()?.unwrap_or_default();
            let of = self.places.iter().map(|place| place.dir.to_string()).chain(self.ways.iter().cloned());
            let names: Vec<String> = of
                .filter_map(|way| {
                    let (home, name) = way.rsplit_once('/')?;
                    (home == path).then(|| name.to_owned())
                })
                .collect();
            all.retain(|entry| !names.contains(&entry.name));
            for name in names {
                all.extend(self.child(dir, &name)?);
            }
            return Ok(all);
        }
        if dir.0 < OUTSIDE {
            return self.tree.list(dir);
        }
        let Some((place, rest)) = self.bounds.path(dir) else { return Ok(Vec::new()) };
        let listed = place.host.list(&rest)?;
        let join = |name: &str| if rest.is_empty() { name.to_owned() } else { format!("{rest}/{name}") };
        listed.iter().map(|(name, seen)| self.outside(&place, &join(name), seen)).collect()
    }

    fn child(&self, dir: FileId, name: &str) -> io::Result<Option<BaseEntry>> {
        if let Some(path) = self.way_path(dir) {
            let full = format!("{path}/{name}");
            if let Some(place) = self.place_at(&full) {
                let seen = place.host.look("")?;
                return seen.map(|seen| self.outside(place, "", &seen)).transpose();
            }
            if let Some(way) = self.way(&full) {
                return Ok(Some(way));
            }
            let tree = self.dir(if path.is_empty() { "/" } else { &path })?;
            return tree.map(|tree| self.tree.child(tree, name)).transpose().map(Option::flatten);
        }
        if dir.0 < OUTSIDE {
            return self.tree.child(dir, name);
        }
        if sandbox::host::is_beside(name) {
            return Ok(None);
        }
        let Some((place, rest)) = self.bounds.path(dir) else { return Ok(None) };
        let rest = if rest.is_empty() { name.to_owned() } else { format!("{rest}/{name}") };
        let Some(seen) = place.host.look(&rest)? else { return Ok(None) };
        self.outside(&place, &rest, &seen).map(Some)
    }

    fn read(&self, of: &Content, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        let Some((file, is_link)) = marked(of) else { return self.tree.read(of, offset, to) };
        if is_link {
            let (place, rest) = self.bounds.path(file).ok_or(io::ErrorKind::NotFound)?;
            let target = place.host.target(&rest)?;
            let from = target.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            let count = from.len().min(to.len());
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            return Ok(count);
        }
        if let Some((_, kept)) = self.pinned(of) {
            return self.tree.read(&kept, offset, to);
        }
        let left = usize::try_from(of.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(to.len());
        self.bounds.file(of)?.read_at(to.get_mut(..count).unwrap_or_default(), offset)
    }
}
