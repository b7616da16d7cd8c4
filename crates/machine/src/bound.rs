//! Directories of the host that are part of a workspace's tree.
//!
//! ```text
//! bind ─▶ looked at here ─▶ Bound            a view ─▶ joined (what stands there, as a base)
//! a view's changes ─▶ publish: what stood there is noticed first, then the command is decided
//! record ─▶ Place ─▶ place: put there in one step; what came out of it is told
//! ```
//! Placing is done by one thread a workspace, in the order of the log. What `.gitignore` names is placed like
//! the rest, and has no versions. Never here: whether somebody may.

use crate::{
    cell::{Cell, Ticket},
    guard::{guard, wait},
    journal,
    node::Node,
    spawn,
    turn::Input,
    users,
};
use abi::{
    Code, Content, Error, FileId, LabelId, ReplyTo, Seq, VersionId,
    bound::{is_guarded_as, names_below},
    control::Control,
    event::Body,
    path::{TreePath, is_scratch_below},
    tree::{self, Node as Kind},
    view::{Bound, Commit},
};
use publish::Loose;
use sandbox::{
    host::{HostDir, Seen},
    view::OUTSIDE,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex},
};
use store::Manifest;

mod ignored;
pub(crate) mod joined;
pub(crate) mod look;
mod place;
pub(crate) mod publish;

pub use look::{LookJob, Looked};
pub use place::{PlaceJob, Row};

/// So often is it looked whether who waits should go on.
const LOOK_US: u64 = 100_000;
/// Files of bound directories that have a number; each takes some 200 bytes.
const FILES_MAX: usize = 1_000_000;
/// Files that are held open to be read.
const OPEN_MAX: usize = 128;

/// What is known of a file that stands as a version says.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// What it was seen to be.
    pub seen: Content,
    pub version: VersionId,
    pub label: LabelId,
}

/// One directory.
pub(crate) struct Place {
    pub dir: TreePath,
    pub label: LabelId,
    pub host: HostDir,
    known: Mutex<BTreeMap<String, Known>>,
    /// What of it has a number.
    numbers: Mutex<BTreeMap<Arc<str>, (u64, tree::Node)>>,
    ignored: ignored::Ignored,
}

impl Place {
    /// The path below it.
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.dir.as_str())?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    /// The path in the tree.
    pub fn full(&self, rest: &str) -> Result<TreePath, Error> {
        TreePath::parse(&if rest.is_empty() { self.dir.to_string() } else { format!("{}/{rest}", self.dir) })
    }

    /// Whether it has no versions. What waits for an operator has, whatever is ignored.
    pub fn is_scratch(&self, path: &TreePath, dir: bool) -> bool {
        if self.is_guarded(path, if dir { Kind::Dir } else { Kind::File }) {
            return false;
        }
        names_below(path, &self.dir).is_some_and(is_scratch_below)
            || self.rest(path.as_str()).is_some_and(|rest| self.ignored.names(&self.host, rest, dir))
    }

    /// Whether what programs of agents change there waits for an operator.
    pub fn is_guarded(&self, path: &TreePath, node: Kind) -> bool {
        names_below(path, &self.dir).is_some_and(|names| is_guarded_as(names, node))
    }

    pub fn known(&self, rest: &str, seen: &Content) -> Option<Known> {
        guard(&self.known).get(rest).copied().filter(|known| known.seen == *seen)
    }

    pub fn know(&self, rest: &str, known: Known) {
        guard(&self.known).insert(rest.to_owned(), known);
    }
}

/// Numbers of files, and what is held open. A number is of a path: who writes a file anew beside it and puts
/// it in its place has changed it.
#[derive(Default)]
struct Files {
    next: u64,
    paths: BTreeMap<u64, (Arc<Place>, Arc<str>)>,
    open: VecDeque<(Content, Arc<File>)>,
}

/// What is to be placed.
enum Job {
    Record(PlaceJob),
    Loose(Vec<Loose>),
}

#[derive(Default)]
struct Work {
    todo: VecDeque<(u64, Job)>,
    runs: bool,
    /// Records that are not placed yet.
    open: BTreeSet<Seq>,
    /// Decided notices.
    decided: BTreeMap<u64, Seq>,
    next: u64,
    /// Grows when the workspace's room goes: who waits for something of it, waits no more.
    epoch: u64,
    /// Grows when something was not put where it belongs.
    failures: u64,
}

/// Those of a workspace.
#[derive(Default)]
pub(crate) struct Bounds {
    places: Mutex<BTreeMap<TreePath, Arc<Place>>>,
    files: Mutex<Files>,
    work: Mutex<Work>,
    changed: Condvar,
}

impl Bounds {
    /// The directories of a view, opened.
    pub fn open(&self, rows: &[Bound]) -> Result<Vec<Arc<Place>>, Error> {
        let mut places = guard(&self.places);
        places.retain(|dir, _| rows.iter().any(|row| row.dir == *dir));
        let open = |row: &Bound| {
            if let Some(place) = places.get(&row.dir).filter(|place| place.label == row.label) {
                return Ok(place.clone());
            }
            let host = HostDir::open(Path::new(row.dir.as_str())).map_err(|error| {
                let message = format!("{}, which is bound, cannot be opened: {error}", row.dir);
                Error::new(Code::Unavailable, message).hint(format!("skep unbind {}", row.dir))
            })?;
            let (known, numbers, ignored) = (Mutex::default(), Mutex::default(), ignored::Ignored::default());
            let (dir, label) = (row.dir.clone(), row.label);
            let place = Arc::new(Place { dir, label, host, known, numbers, ignored });
            places.insert(row.dir.clone(), place.clone());
            Ok(place)
        };
        rows.iter().map(open).collect()
    }

    /// The number of a file.
    fn number(&self, place: &Arc<Place>, rest: &str, seen: &Seen) -> io::Result<FileId> {
        let mut numbers = guard(&place.numbers);
        if let Some((number, _)) = numbers.get(rest).filter(|(_, node)| *node == seen.node) {
            return Ok(FileId(*number));
        }
        let mut files = guard(&self.files);
        if files.paths.len() >= FILES_MAX {
            return Err(io::Error::other("too many files of bound directories were looked at"));
        }
        files.next += 1;
        let (number, rest): (u64, Arc<str>) = (OUTSIDE + files.next, Arc::from(rest));
        numbers.insert(rest.clone(), (number, seen.node));
        files.paths.insert(number, (place.clone(), rest));
        Ok(FileId(number))
    }

    /// A file moved, with all that is below it: they keep their numbers.
    fn moved(&self, place: &Arc<Place>, from: &str, to: &str) {
        let mut numbers = guard(&place.numbers);
        let inside = |path: &Arc<str>| {
            let rest = path.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            Some((path.clone(), Arc::from(format!("{to}{rest}"))))
        };
        let old: Vec<(Arc<str>, Arc<str>)> = numbers.keys().filter_map(inside).collect();
        let mut files = guard(&self.files);
        for (was, is) in old {
            let Some(value) = numbers.remove(&was) else { continue };
            files.paths.insert(value.0, (place.clone(), is.clone()));
            numbers.insert(is, value);
        }
    }

    /// Where the file of a number was last seen.
    fn path(&self, file: FileId) -> Option<(Arc<Place>, Arc<str>)> {
        guard(&self.files).paths.get(&file.0).cloned()
    }

    /// A file, to be read, if it is still what was seen.
    fn file(&self, content: &Content) -> io::Result<Arc<File>> {
        let stale = || io::Error::from(io::ErrorKind::NotFound);
        if let Some((_, file)) = guard(&self.files).open.iter().find(|(of, _)| of == content) {
            return Ok(file.clone());
        }
        let number = joined::file_of(content).ok_or_else(stale)?;
        let (place, rest) = self.path(number).ok_or_else(stale)?;
        let (file, seen) = place.host.file(&rest)?;
        if joined::content(number, &seen) != *content {
            return Err(stale());
        }
        let file = Arc::new(file);
        let mut files = guard(&self.files);
        files.open.push_back((*content, file.clone()));
        if files.open.len() > OPEN_MAX {
            files.open.pop_front();
        }
        Ok(file)
    }

    /// What was noticed is decided.
    pub fn decided(&self, number: u64, seq: Seq) {
        guard(&self.work).decided.insert(number, seq);
        self.changed.notify_all();
    }

    /// Has the kernel decide what was noticed; false if that will not be.
    fn notice(&self, node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, input: NoticeInput) -> bool {
        let (number, epoch) = {
            let mut work = guard(&self.work);
            work.next += 1;
            (work.next, work.epoch)
        };
        let NoticeInput { commit, blobs, uploads } = input;
        let body = Body::Noticed { number, commit };
        let input = Input { uploads, ..Input::now(&*node.clock, body, blobs) };
        if !node.brought(cell, generation, input) {
            return false;
        }
        let mut work = guard(&self.work);
        loop {
            if work.epoch != epoch {
                return false;
            }
            if work.decided.remove(&number).is_some() {
                return true;
            }
            work = wait(&self.changed, work, LOOK_US);
        }
    }

    /// A record is to be placed.
    pub fn place(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, job: PlaceJob) {
        guard(&cell.bounds.work).open.insert(job.seq);
        Self::add(node, cell, generation, Job::Record(job));
    }

    /// What has no versions is to be placed, after all that came before it.
    pub fn place_loose(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, loose: Vec<Loose>) {
        if !loose.is_empty() {
            Self::add(node, cell, generation, Job::Loose(loose));
        }
    }

    fn add(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, job: Job) {
        let begins = {
            let mut work = guard(&cell.bounds.work);
            work.todo.push_back((generation, job));
            !std::mem::replace(&mut work.runs, true)
        };
        let (on, of) = (node.clone(), cell.clone());
        if begins && !spawn::thread("placer", move || Self::run(&on, &of)) {
            guard(&cell.bounds.work).runs = false;
        }
    }

    fn run(node: &Arc<Node>, cell: &Arc<Cell>) {
        let bounds = &cell.bounds;
        loop {
            let (generation, job) = {
                let mut work = guard(&bounds.work);
                match work.todo.pop_front() {
                    Some(next) => next,
                    None => {
                        work.runs = false;
                        drop(work);
                        return bounds.changed.notify_all();
                    }
                }
            };
            match job {
                Job::Loose(loose) => bounds.failed(publish::put(bounds, &cell.name, loose)),
                Job::Record(job) => {
                    let seq = job.seq;
                    match place::place((node, cell, generation), job) {
                        Ok(input) => {
                            if let Body::Placed { failed, .. } = &input.event.body {
                                bounds.failed(failed.len());
                            }
                            node.brought(cell, generation, input);
                        }
                        Err(error) => {
                            bounds.failed(1);
                            let what = format!("what record {seq} says is not in its directory yet");
                            journal::say(&cell.name, &format!("{what}: {error}"));
                        }
                    }
                    guard(&bounds.work).open.remove(&seq);
                }
            }
            bounds.changed.notify_all();
        }
    }

    /// Waits until all that is decided is placed.
    pub fn settled(&self) {
        let mut work = guard(&self.work);
        let epoch = work.epoch;
        while work.epoch == epoch && work.runs {
            work = wait(&self.changed, work, LOOK_US);
        }
    }

    /// So often something was not put where it belongs.
    pub fn failures(&self) -> u64 {
        guard(&self.work).failures
    }

    fn failed(&self, count: usize) {
        let mut work = guard(&self.work);
        work.failures = work.failures.saturating_add(count as u64);
    }

    /// The workspace's room goes, and with it what was asked of this one.
    pub fn end(&self) {
        let mut work = guard(&self.work);
        work.epoch += 1;
        work.failures = work.failures.saturating_add(work.todo.len() as u64);
        work.todo.clear();
        work.open.clear();
        self.changed.notify_all();
    }
}

/// What was noticed, and its bytes.
#[derive(Default)]
struct NoticeInput {
    commit: Commit,
    blobs: Vec<Vec<u8>>,
    uploads: Vec<Manifest>,
}

/// `bind`: the directory is there, it is theirs, and it is one of work.
pub(crate) fn carry(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    generation: u64,
    (reply, word): (ReplyTo, Control),
) -> Result<(), Error> {
    let Control::Bind { dir, external } = word else {
        return Err(Error::new(Code::Unavailable, "this word is the kernel's"));
    };
    let path = Path::new(dir.as_str());
    let cannot = |error: io::Error| {
        Error::invalid("dir", format!("{dir} cannot be bound: {error}"))
            .hint("the path of a directory, without symbolic links in it")
    };
    let host = HostDir::open(path).map_err(cannot)?;
    let owner = host.user().map_err(cannot)?;
    let asks = guard(&cell.desk).waiting.get(&reply).and_then(Ticket::client).cloned();
    let asks = asks.and_then(|client| node.door.user(&client));
    if asks.is_some_and(|user| user != 0 && user != owner) {
        return Err(Error::new(Code::Denied, format!("{dir} is not yours")).argument("dir"));
    }
    if users::home(owner).is_some_and(|home| home == path) {
        return Err(Error::invalid("dir", format!("{dir} is a home: what is private stands in it"))
            .hint("cd into the directory of one project"));
    }
    let store = node.dir(cell);
    if store.starts_with(path) {
        return Err(Error::invalid("dir", format!("{dir} holds what Skep keeps")).hint("bind another"));
    }
    node.ended(cell, generation, (Body::Bound { dir, external }, Vec::new()));
    Ok(())
}
