//! A view's changes, where some of them stand in bound directories.
//!
//! What a program changed there was made from what stood there, which the tree may not know: that is noticed
//! first, as somebody else's, and then the change is one over it. What has no versions is put there as it is.

use super::{Bounds, NoticeInput, Place, joined, joined::Joined};
use crate::{cell::Cell, journal, node::Node, walls::Unsealed};
use abi::{Content, VersionId, limits, path::TreePath, tree, view::Change};
use sandbox::{
    host::{Name, Seen},
    view::{BaseEntry, Drained, Mark, OUTSIDE, Step},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    sync::Arc,
};
use store::Blobs;

/// What lies beside a place while it is put there without a record.
const LOOSE: u64 = u64::MAX;
/// Bytes that are read at a time.
const PART_BYTES: usize = 1 << 20;

/// A change that no version is kept of.
pub(crate) struct Loose {
    place: Arc<Place>,
    rest: String,
    /// Where it stood.
    from: Option<String>,
    act: Act,
}

enum Act {
    Put(Box<Step>),
    Gone,
}

/// What is known again once it is placed.
pub(crate) struct Placed {
    place: Arc<Place>,
    rest: String,
    mark: Mark,
}

impl Placed {
    /// It stands there, if nobody changed it since.
    pub fn settle(&self, bounds: &Bounds) -> io::Result<()> {
        if let Some(seen) = self.place.host.look(&self.rest)? {
            let content = joined::content(bounds.number(&self.place, &self.rest, &seen)?, &seen);
            if self.place.known(&self.rest, &content).is_some() {
                self.mark.is(content);
            }
        }
        Ok(())
    }
}

/// A view's changes, sorted.
#[derive(Default)]
pub(crate) struct Split {
    /// For the kernel.
    pub drained: Drained,
    pub loose: Vec<Loose>,
    pub placed: Vec<Placed>,
}

/// What a path stood for before: its version, and its bytes.
type Stood = BTreeMap<String, (Option<VersionId>, Content)>;

/// Sorts what a view has become, and has noticed what it was made from.
pub(crate) fn split(
    (node, cell, generation): (&Arc<Node>, &Arc<Cell>, u64),
    joined: &Joined,
    drained: Drained,
    blobs: &Blobs,
) -> Result<Split, Unsealed> {
    let mut split = Split::default();
    split.drained.told = drained.told;
    // What nobody has a version of was told as it is: its label counts.
    split.drained.told.opened.retain(|opened| opened.version.0 < OUTSIDE);
    if joined.places.is_empty() {
        split.drained.steps = drained.steps;
        return Ok(split);
    }
    for step in drained.steps {
        sort(joined, step, &mut split);
    }
    let notices = Notices { cell, node, generation, joined, blobs };
    let stood = notices.take(&split.drained.steps)?;
    for step in &mut split.drained.steps {
        let Some((path, entry)) = step.over() else { continue };
        if let Some((version, content)) = stood.get(&path) {
            if let (Some(version), Some(_)) = (version, joined::file_of(&entry.content)) {
                joined.pin(entry.content, (*version, *content));
            }
            let same = step.bytes.is_none() && step.change.node == entry.node;
            step.change.base = *version;
            if same && step.change.node != tree::Node::Dir {
                step.change.content = *content;
            }
        }
    }
    Ok(split)
}

/// Has noticed what stands where these changes are about to be put.
pub(crate) fn abreast(
    (node, cell, generation): (&Arc<Node>, &Arc<Cell>, u64),
    joined: &Joined,
    changes: &[Change],
    blobs: &Blobs,
) -> Result<(), Unsealed> {
    Notices { cell, node, generation, joined, blobs }.abreast(changes)
}

fn sort(joined: &Joined, mut step: Step, split: &mut Split) {
    let is_dir = step.change.node == tree::Node::Dir;
    let Some((place, rest)) = joined.place(&step.change.path) else {
        return split.drained.steps.push(step);
    };
    let gone = step.change.node == tree::Node::Gone;
    let was_dir = step.over().is_some_and(|(_, entry)| entry.node == tree::Node::Dir);
    let scratch = place.is_scratch(&step.change.path, is_dir || (gone && was_dir));
    let from = step.change.from.clone();
    let from_scratch = from.as_ref().map(|from| place.is_scratch(from, is_dir));
    match (scratch, from_scratch) {
        (true, None | Some(true)) => {
            let from = from.and_then(|from| place.rest(from.as_str()).map(str::to_owned));
            let act = if gone { Act::Gone } else { Act::Put(Box::new(step)) };
            split.loose.push(Loose { place, rest, from, act });
        }
        // A file that came to have no versions any more, or has some from now on, is made anew there.
        (true, Some(false)) if !is_dir => {
            let Some(from) = from else { return };
            let change = Change { path: from, from: None, node: tree::Node::Gone, ..step.change.clone() };
            split.drained.steps.push(step.gone(change));
            step.change.from = None;
            split.loose.push(Loose { place, rest, from: None, act: Act::Put(Box::new(step)) });
        }
        (false, Some(true)) if !is_dir => {
            let from = from.and_then(|from| place.rest(from.as_str()).map(str::to_owned));
            step.renew();
            split.drained.steps.push(step);
            if let Some(from) = from {
                split.loose.push(Loose { place, rest: from, from: None, act: Act::Gone });
            }
        }
        (false, _) | (true, Some(false)) => {
            if gone && was_dir {
                // Once what has no versions has gone out of it.
                split.loose.push(Loose {
                    place: place.clone(),
                    rest: rest.clone(),
                    from: None,
                    act: Act::Gone,
                });
            }
            // What waits is not what comes to stand there.
            if let Some(mark) = step.mark().filter(|_| !place.is_guarded(&step.change.path, step.change.node))
            {
                split.placed.push(Placed { place, rest, mark });
            }
            split.drained.steps.push(step);
        }
    }
}

struct Notices<'a> {
    node: &'a Arc<Node>,
    cell: &'a Arc<Cell>,
    generation: u64,
    joined: &'a Joined,
    blobs: &'a Blobs,
}

impl Notices<'_> {
    /// What the changes were made from, as versions.
    fn take(&self, steps: &[Step]) -> Result<Stood, Unsealed> {
        let mut stood = Stood::new();
        let now = self.joined.now();
        let mut notice = NoticeInput::default();
        let mut noticed = Vec::new();
        let mut dirs = BTreeSet::new();
        for step in steps {
            self.dirs(&now, &step.change.path, (&mut dirs, &mut notice))?;
            let Some((path, entry)) = step.over() else { continue };
            let tree_path = TreePath::parse(&path).map_err(|error| Unsealed::Trouble(error.message))?;
            let Some((place, rest)) = self.joined.place(&tree_path) else { continue };
            if stood.contains_key(&path) {
                continue;
            }
            if let Some((version, content)) = self.joined.pinned(&entry.content) {
                stood.insert(path, (Some(version), content));
                continue;
            }
            let head = now.head(&tree_path)?;
            if entry.version.0 < OUTSIDE {
                let known = head.filter(|head| head.version == entry.version).map(|head| head.content);
                let content = match known {
                    Some(content) => content,
                    None => self.bytes((&place, &rest), (entry, step), &mut notice)?,
                };
                stood.insert(path, (Some(entry.version), content));
                continue;
            }
            let Some((change, same)) = self.look((&place, &rest), (entry, step), &mut notice)? else {
                // It is gone outside: what was made of it is new.
                stood.insert(path, (None, Content::default()));
                continue;
            };
            let (node, content) = (change.node, change.content);
            let known = head.as_ref().filter(|head| (head.node, head.content) == (node, content));
            stood.insert(path.clone(), (known.map(|head| head.version).filter(|_| same), content));
            if known.is_none() {
                let base = head.map(|head| head.version);
                notice.commit.changes.push(Change { path: tree_path.clone(), base, ..change });
                noticed.extend(same.then_some((path, tree_path)));
            }
        }
        self.decide(notice)?;
        // Under which versions it is known now. What somebody outside has changed meanwhile is no base.
        let now = self.joined.now();
        for (path, tree_path) in noticed {
            let head = now.head(&tree_path)?;
            if let (Some(head), Some(row)) = (head, stood.get_mut(&path)) {
                row.0 = Some(head.version).filter(|_| head.content == row.1);
            }
        }
        Ok(stood)
    }

    /// Directories above a change that stand on the host and not in the tree are nobody's of ours.
    fn dirs(
        &self,
        now: &Joined,
        path: &TreePath,
        (known, notice): (&mut BTreeSet<TreePath>, &mut NoticeInput),
    ) -> io::Result<()> {
        let mut above = Vec::new();
        let mut at = path.parent();
        while let Some(dir) = at.filter(|dir| known.insert(dir.clone())) {
            at = dir.parent();
            above.push(dir);
        }
        for dir in above.into_iter().rev() {
            let Some((place, rest)) = self.joined.place(&dir) else { continue };
            let seen = place.host.look(&rest)?.filter(|seen| seen.node == tree::Node::Dir);
            if let Some(Seen { node, mode, mtime, .. }) = seen
                && now.head(&dir)?.is_none()
            {
                let (path, content) = (dir, Content::default());
                notice.commit.changes.push(Change {
                    path,
                    from: None,
                    base: None,
                    node,
                    content,
                    mode,
                    mtime,
                });
            }
        }
        Ok(())
    }

    /// What stood there when the change was made, and whether it still does; none if it is gone.
    fn look(
        &self,
        (place, rest): (&Arc<Place>, &str),
        (entry, step): (&BaseEntry, &Step),
        notice: &mut NoticeInput,
    ) -> io::Result<Option<(Change, bool)>> {
        let path = step.change.path.clone();
        let (mode, mtime) = (entry.mode, entry.mtime);
        let change = Change {
            path,
            from: None,
            base: None,
            node: entry.node,
            content: Content::default(),
            mode,
            mtime,
        };
        // What was written over is known by its bytes, whatever has come to stand there since.
        if let Some(bytes) = step.stood() {
            let content = Content::of(&bytes);
            notice.blobs.push(bytes.to_vec());
            return Ok(Some((Change { content, ..change }, true)));
        }
        let Some(seen) = place.host.look(rest)? else { return Ok(None) };
        let number = self.cell.bounds.number(place, rest, &seen)?;
        let same = seen.node == tree::Node::Dir || joined::content(number, &seen) == entry.content;
        let content = self.stands((place, rest), seen.node, notice)?;
        let Seen { node, mode, mtime, .. } = seen;
        Ok(Some((Change { node, content, mode, mtime, ..change }, same)))
    }

    /// The bytes of a version that the tree has gone on from, as they stand there: needed where only the mode
    /// or the place of a file changed.
    fn bytes(
        &self,
        (place, rest): (&Arc<Place>, &str),
        (entry, step): (&BaseEntry, &Step),
        notice: &mut NoticeInput,
    ) -> io::Result<Content> {
        if step.bytes.is_some() || entry.node != tree::Node::File {
            return Ok(Content::default());
        }
        let (mut file, seen) = place.host.file(rest)?;
        if joined::content(self.cell.bounds.number(place, rest, &seen)?, &seen) != entry.content {
            return Err(io::Error::other(format!("{} was changed meanwhile", step.change.path)));
        }
        take(&mut file, self.blobs, notice)
    }

    /// What stands in these places now, as far as the tree does not know it.
    fn abreast(&self, changes: &[Change]) -> Result<(), Unsealed> {
        let now = self.joined.now();
        let (mut notice, mut dirs, mut known) = (NoticeInput::default(), BTreeSet::new(), BTreeSet::new());
        for path in changes.iter().flat_map(|change| [Some(&change.path), change.from.as_ref()]).flatten() {
            let Some((place, rest)) = self.joined.place(path).filter(|_| known.insert(path)) else {
                continue;
            };
            self.dirs(&now, path, (&mut dirs, &mut notice))?;
            let (head, seen) = (now.head(path)?, place.host.look(&rest)?);
            let (from, base, path) = (None, head.as_ref().map(|head| head.version), path.clone());
            let Some(seen) = seen else {
                if let Some(head) = head {
                    let (node, content, mode, mtime) =
                        (tree::Node::Gone, Content::default(), head.mode, head.mtime);
                    notice.commit.changes.push(Change { path, from, base, node, content, mode, mtime });
                }
                continue;
            };
            let entry = now.outside(&place, &rest, &seen)?;
            if base == Some(entry.version) {
                continue;
            }
            let content = self.stands((&place, &rest), seen.node, &mut notice)?;
            let Seen { node, mode, mtime, .. } = seen;
            notice.commit.changes.push(Change { path, from, base, node, content, mode, mtime });
        }
        self.decide(notice)
    }

    /// What is in what stands there.
    fn stands(
        &self,
        (place, rest): (&Arc<Place>, &str),
        node: tree::Node,
        notice: &mut NoticeInput,
    ) -> io::Result<Content> {
        match node {
            tree::Node::Dir | tree::Node::Gone => Ok(Content::default()),
            tree::Node::Link => {
                let target = place.host.target(rest)?;
                let content = Content::of(&target);
                notice.blobs.push(target);
                Ok(content)
            }
            tree::Node::File => take(&mut place.host.file(rest)?.0, self.blobs, notice),
        }
    }

    fn decide(&self, notice: NoticeInput) -> Result<(), Unsealed> {
        if notice.commit.changes.is_empty() {
            return Ok(());
        }
        if self.cell.bounds.notice(self.node, self.cell, self.generation, notice) {
            return Ok(());
        }
        Err(Unsealed::Trouble("the workspace stopped".to_owned()))
    }
}

/// Bytes, kept for an event that names them.
pub(super) fn take(file: &mut dyn Read, blobs: &Blobs, notice: &mut NoticeInput) -> io::Result<Content> {
    let mut upload = blobs.upload();
    let mut part = vec![0; PART_BYTES];
    let mut small = Vec::new();
    loop {
        let count = file.read(&mut part)?;
        let piece = part.get(..count).unwrap_or_default();
        if count == 0 {
            break;
        }
        if small.len() as u64 <= limits::BLOB_INLINE_BYTES_MAX {
            small.extend_from_slice(piece);
        }
        upload.push(piece).map_err(|trouble| io::Error::other(trouble.to_string()))?;
    }
    if small.len() as u64 <= limits::BLOB_INLINE_BYTES_MAX {
        let content = Content::of(&small);
        notice.blobs.push(small);
        return Ok(content);
    }
    let manifest = upload.finish().map_err(|trouble| io::Error::other(trouble.to_string()))?;
    let content = manifest.content();
    notice.uploads.push(manifest);
    Ok(content)
}

/// Puts what has no versions where it stands; how much of it could not be.
pub(super) fn put(bounds: &Bounds, name: &str, loose: Vec<Loose>) -> usize {
    let mut failed = 0;
    for one in loose {
        if let Err(error) = put_one(bounds, &one) {
            failed += 1;
            let path = format!("{}/{}", one.place.dir, one.rest);
            journal::say(name, &format!("{path} is not as a program left it: {error}"));
        }
    }
    failed
}

fn put_one(bounds: &Bounds, loose: &Loose) -> io::Result<()> {
    let Loose { place, rest, from, act } = loose;
    let name = Name(LOOSE, 0);
    if let Some(from) = from
        && place.host.rename(from, rest)?
    {
        bounds.moved(place, from, rest);
    }
    let Act::Put(step) = act else {
        if place.host.look(rest)?.is_some_and(|seen| seen.node == tree::Node::Dir) {
            return match place.host.rmdir(rest) {
                // Somebody outside has put something there: it stays.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                done => done.map(|_| ()),
            };
        }
        return place.host.take(rest, name)?.map_or(Ok(()), |out| out.remove());
    };
    let Change { node, mode, mtime, .. } = step.change;
    let out = match (node, &step.bytes) {
        (tree::Node::Dir, _) => {
            place.host.dir(rest, mode)?;
            None
        }
        (tree::Node::File, None) => {
            place.host.set(rest, mode, mtime)?;
            None
        }
        (tree::Node::File, Some(_)) => {
            let bytes = step.whole().map(|bytes| bytes.reader());
            let Some(mut bytes) = bytes else { return Ok(()) };
            place.host.put(rest, name, (mode, mtime), &mut |file| copy(&mut bytes, file))?
        }
        (tree::Node::Link, Some(target)) => {
            let mut text = Vec::new();
            target.reader().read_to_end(&mut text)?;
            place.host.link(rest, name, &text)?
        }
        (tree::Node::Link | tree::Node::Gone, _) => None,
    };
    if let Some(out) = out {
        out.remove()?;
    }
    if let Some(mark) = step.mark()
        && let Some(seen) = place.host.look(rest)?
    {
        mark.is(joined::content(bounds.number(place, rest, &seen)?, &seen));
    }
    Ok(())
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut part = vec![0; PART_BYTES];
    loop {
        match from.read(&mut part)? {
            0 => return Ok(()),
            count => to.write_all(part.get(..count).unwrap_or_default())?,
        }
    }
}
