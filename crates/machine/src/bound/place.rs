//! What a record says is put into its directory. What comes out of its place is compared with what was
//! expected there; anything else is somebody's work, and is told.

use super::{Bounds, Known, NoticeInput, Place, joined};
use crate::{cell::Cell, node::Node, turn::Input, walls::Readers};
use abi::{
    Content, Micros, Seq, VersionId,
    event::Body,
    path::TreePath,
    tree::{self, Change},
    view::{self, Bound},
};
use sandbox::host::{Beside, Name};
use std::{
    io::{self, Read, Write},
    sync::Arc,
};
use store::Blobs;

/// A record to be placed.
#[derive(Clone, Debug)]
pub struct PlaceJob {
    /// Which.
    pub seq: Seq,
    /// The directories.
    pub bound: Vec<Bound>,
    /// What it says, of what is not diverged.
    pub rows: Vec<Row>,
}

/// One change of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The change.
    pub change: Change,
    /// What may stand there before: the versions it was made from.
    pub before: Vec<(VersionId, tree::Node, Content)>,
}

/// Bytes of a version that are read at a time.
const PART_BYTES: usize = 1 << 20;

/// What was found instead, and where its only copy lies.
#[derive(Default)]
struct Found {
    notice: NoticeInput,
    beside: Vec<Beside>,
    failed: Vec<(TreePath, String)>,
}

/// Places it; what the kernel is told of that. What was found instead of what was expected is noticed first,
/// and its copy goes when that is durable: after a crash before, it is found again.
pub(super) fn place(
    (node, cell, generation): (&Arc<Node>, &Arc<Cell>, u64),
    job: PlaceJob,
) -> Result<Input, String> {
    let places = cell.bounds.open(&job.bound).map_err(|error| error.message)?;
    let blobs = node.blobs(cell).map_err(|error| error.message)?;
    let readers = Readers::of(node.dir(cell));
    let mut todo: Vec<(usize, &Row, Arc<Place>)> = Vec::new();
    for (ix, row) in job.rows.iter().enumerate() {
        let place = places.iter().find(|place| row.change.path.is_below(&place.dir));
        todo.extend(place.map(|place| (ix, row, place.clone())));
    }
    let (bounds, found, moves) = (&cell.bounds, Found::default(), Vec::new());
    let mut work = Placing { bounds, blobs: &blobs, readers: &readers, found, moves };
    // What lies beside a place came out of it before a crash.
    for (ix, row, place) in &todo {
        let tried = work.again(place, Name(job.seq.0, *ix), row);
        tried.map_err(|error| format!("{}: {error}", row.change.path))?;
    }
    tell((node, cell, generation), &mut work.found)?;
    // An undo says its changes in no order that could be carried out: what cannot be done yet waits for the
    // rest.
    let mut last = false;
    while !todo.is_empty() {
        let before = todo.len();
        let mut left = Vec::new();
        for (ix, row, place) in todo {
            match work.row(&place, (Name(job.seq.0, ix), last), row) {
                Ok(true) => {}
                Ok(false) => left.push((ix, row, place)),
                Err(error) => work.found.failed.push((row.change.path.clone(), error.to_string())),
            }
        }
        last = left.len() == before;
        todo = left;
    }
    tell((node, cell, generation), &mut work.found)?;
    let body = Body::Placed { seq: job.seq, failed: work.found.failed };
    Ok(Input::now(&*node.clock, body, Vec::new()))
}

/// Has noticed what was found; its only copy goes when that is durable.
fn tell((node, cell, generation): (&Arc<Node>, &Arc<Cell>, u64), found: &mut Found) -> Result<(), String> {
    let notice = std::mem::take(&mut found.notice);
    if !notice.commit.changes.is_empty() && !cell.bounds.notice(node, cell, generation, notice) {
        return Err("the workspace stopped".to_owned());
    }
    found.beside.drain(..).try_for_each(Beside::remove).map_err(|error| error.to_string())
}

struct Placing<'a> {
    bounds: &'a Bounds,
    blobs: &'a Blobs,
    readers: &'a Arc<Readers>,
    found: Found,
    /// What was moved so far.
    moves: Vec<(String, String)>,
}

fn home(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(home, _)| home)
}

impl Placing<'_> {
    /// After a crash: what came out of its place then, or was about to go there.
    fn again(&mut self, place: &Place, name: Name, row: &Row) -> io::Result<()> {
        let rest = place.rest(row.change.path.as_str()).unwrap_or_default();
        place.host.beside(rest, name)?.map_or(Ok(()), |beside| self.out(row, beside))
    }

    /// One change; false if it has to wait, which the last time it does not.
    fn row(&mut self, place: &Arc<Place>, (name, last): (Name, bool), row: &Row) -> io::Result<bool> {
        let change = &row.change;
        let mut rest = place.rest(change.path.as_str()).unwrap_or_default().to_owned();
        if change.node != tree::Node::Gone && place.host.look(home(&rest))?.is_none() {
            match self.moved(&rest) {
                Some(now) if place.host.look(home(&now))?.is_some() => rest = now,
                _ if !last => return Ok(false),
                _ => {}
            }
        }
        if let Some(from) = change.moved_from.as_ref().and_then(|from| place.rest(from.as_str())) {
            match place.host.rename(from, &rest) {
                Ok(true) => {
                    self.bounds.moved(place, from, &rest);
                    self.moves.push((from.to_owned(), rest.clone()));
                }
                Ok(false) => {}
                Err(error) if !last && error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match change.node {
            tree::Node::Dir => place.host.dir(&rest, change.mode)?,
            tree::Node::Gone if !self.remove(place, name, row, &rest)? => return Ok(last),
            tree::Node::Gone => {}
            tree::Node::Link | tree::Node::File => self.put(place, name, row, &rest)?,
        }
        if let Some(seen) = place.host.look(&rest)? {
            let file = self.bounds.number(place, &rest, &seen)?;
            let seen = joined::content(file, &seen);
            place.know(&rest, Known { seen, version: change.version, label: change.label });
        }
        Ok(true)
    }

    /// Where a path stands now that directories above it have moved.
    fn moved(&self, path: &str) -> Option<String> {
        self.moves.iter().rev().find_map(|(from, to)| {
            let rest = path.strip_prefix(from.as_str())?;
            rest.starts_with('/').then(|| format!("{to}{rest}"))
        })
    }

    fn put(&mut self, place: &Place, name: Name, row: &Row, rest: &str) -> io::Result<()> {
        let change = &row.change;
        if self.stands(place, change, rest)? {
            return Ok(());
        }
        let out = if change.node == tree::Node::Link {
            let mut target = Vec::new();
            self.copy(&change.content, &mut target)?;
            place.host.link(rest, name, &target)?
        } else {
            let (mode, mtime) = (change.mode, change.mtime);
            place.host.put(rest, name, (mode, mtime), &mut |file| self.copy(&change.content, file))?
        };
        match out {
            Some(out) => self.out(row, out),
            None => Ok(()),
        }
    }

    /// Whether it stands there already: it was placed before a crash.
    fn stands(&self, place: &Place, change: &Change, rest: &str) -> io::Result<bool> {
        let Some(seen) = place.host.look(rest)? else { return Ok(false) };
        if seen.node != change.node || seen.size != change.content.bytes || seen.mode != change.mode {
            return Ok(false);
        }
        match seen.node {
            tree::Node::Link => Ok(Content::of(&place.host.target(rest)?) == change.content),
            tree::Node::File if seen.mtime / 1000 == change.mtime / 1000 => {
                Ok(hash(place.host.file(rest)?.0)? == change.content)
            }
            _ => Ok(false),
        }
    }

    /// Whether it is gone; a directory that is not empty is not.
    fn remove(&mut self, place: &Place, name: Name, row: &Row, rest: &str) -> io::Result<bool> {
        match place.host.look(rest)? {
            None => return Ok(true),
            Some(seen) if seen.node == tree::Node::Dir => {
                return match place.host.rmdir(rest) {
                    // What has no versions is still in it, or somebody outside has put something there.
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
                    done => done.map(|_| true),
                };
            }
            Some(_) => {}
        }
        let Some(out) = place.host.take(rest, name)? else { return Ok(true) };
        out.is_quiet()?;
        let (content, node) = self.content(&out)?;
        if row.before.iter().any(|(_, was, before)| (*was, *before) == (node, content)) {
            return out.remove().map(|()| true);
        }
        // Somebody changed what is to go: it stays.
        self.keep(&out, node)?;
        if out.put_back(rest)? {
            let seen = place.host.look(rest)?;
            let (mode, mtime) = seen.map(|seen| (seen.mode, seen.mtime)).unwrap_or((0o644, row.change.mtime));
            let change = self.change(&row.change.path, None, (node, content), (mode, mtime));
            self.found.notice.commit.changes.push(change);
            return Ok(true);
        }
        self.out(row, out).map(|()| true)
    }

    /// What came out of its place: if it is not what was expected, it is told.
    fn out(&mut self, row: &Row, out: Beside) -> io::Result<()> {
        let change = &row.change;
        let Some(seen) = out.seen else { return out.remove() };
        // Whoever had it open goes on writing into it, and into nothing that anybody sees.
        out.is_quiet()?;
        let (content, node) = self.content(&out)?;
        let expected = row.before.iter().any(|(_, was, before)| (*was, *before) == (node, content));
        if !expected && (node, content) != (change.node, change.content) {
            let base = row.before.first().map(|(version, ..)| *version);
            self.keep(&out, node)?;
            let change = self.change(&change.path, base, (node, content), (seen.mode, seen.mtime));
            self.found.notice.commit.changes.push(change);
            self.found.beside.push(out);
            return Ok(());
        }
        out.remove()
    }

    fn change(
        &self,
        path: &TreePath,
        base: Option<VersionId>,
        (node, content): (tree::Node, Content),
        (mode, mtime): (u32, Micros),
    ) -> view::Change {
        view::Change { path: path.clone(), from: None, base, node, content, mode, mtime }
    }

    /// What lies beside a place.
    fn content(&self, out: &Beside) -> io::Result<(Content, tree::Node)> {
        let node = out.seen.map_or(tree::Node::Gone, |seen| seen.node);
        let content = match node {
            tree::Node::File => hash(out.file()?)?,
            tree::Node::Link => Content::of(&out.target()?),
            tree::Node::Dir | tree::Node::Gone => Content::default(),
        };
        Ok((content, node))
    }

    /// Its bytes come along with what is told.
    fn keep(&mut self, out: &Beside, node: tree::Node) -> io::Result<()> {
        let notice = &mut self.found.notice;
        match node {
            tree::Node::Link => notice.blobs.push(out.target()?),
            tree::Node::File => {
                super::publish::take(&mut out.file()?, self.blobs, notice)?;
            }
            tree::Node::Dir | tree::Node::Gone => {}
        }
        Ok(())
    }

    fn copy(&self, content: &Content, to: &mut dyn Write) -> io::Result<()> {
        let mut part = vec![0; PART_BYTES.min(usize::try_from(content.bytes).unwrap_or(PART_BYTES)).max(1)];
        let mut at = 0;
        while at < content.bytes {
            let count = self.readers.read(content, at, &mut part)?;
            if count == 0 {
                return Err(io::Error::other("its bytes are not kept any more"));
            }
            to.write_all(part.get(..count).unwrap_or_default())?;
            at += count as u64;
        }
        Ok(())
    }
}

/// What a file's bytes come to.
pub(super) fn hash(file: impl Read) -> io::Result<Content> {
    let mut file = file;
    let mut hasher = abi::hash::Hasher::default();
    let mut part = vec![0; 256 * 1024];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hasher.content()),
            count => hasher.push(part.get(..count).unwrap_or_default()),
        }
    }
}
