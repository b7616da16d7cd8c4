//! What a command made of its view becomes one operation, or none of it happens.
//!
//! Every change says which version it was made from. What stands there still: it is the new head. Something
//! else: both are merged where that is clean, else kept side by side, as with any write (`conflict`). Paths
//! that moved earlier in the same command are looked up where they stood before (`origin`).

use crate::{
    Kernel,
    authority::Want,
    bound,
    conflict::{self, Merged},
    draft, files,
    guarded::{self, Fate, Waiting},
    policy, sink,
    step::{Found, Step},
};
use abi::{
    Code, Content, Error, FileId, LabelId, Micros, OpId, Pid, ROOT, VersionId, WORKSPACE,
    answer::{Changed, Clash},
    call::Origin,
    cap::Rights,
    fact::{Fact, Facts, Lookup},
    label::Label,
    limits,
    path::{self, TreePath},
    record::Entry,
    tree::{self, Home, Merge, Node, Version},
    view::{Change, Commit, Spot, Stand, Told},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format, vec,
    vec::Vec,
};

/// Moves of directories that one command can make: each is a question to the store.
const MOVES_MAX: usize = 12;
/// Changes in one record.
const CHANGES_RECORD: usize = 2_000;
const DIR_MODE: u32 = 0o755;

/// What was made.
#[derive(Default)]
pub struct Made {
    pub operation: Option<OpId>,
    pub changed: Vec<Changed>,
    pub more: u64,
    pub clashes: Vec<Clash>,
    pub waiting: Waiting,
}

/// Questions: where each change meets the tree, and what stands below each directory that moves.
pub fn plan(kernel: &Kernel, pid: Pid, made: &Commit) -> Vec<Lookup> {
    let mut moves = Moves::default();
    let mut changes = Vec::with_capacity(made.changes.len());
    let mut below = Vec::new();
    let read = read(made);
    for change in &made.changes {
        changes.push((moves.origin(&change.path), base(kernel, pid, &read, change)));
        if let Some(from) = &change.from {
            if change.node == Node::Dir {
                below.push(Lookup::Below { path: moves.origin(from) });
            }
            moves.add(&change.path, from);
        }
    }
    below.truncate(MOVES_MAX);
    [Lookup::Spots { changes }].into_iter().chain(below).collect()
}

/// Versions that the command read, by path.
type Read<'a> = BTreeSet<(&'a TreePath, VersionId)>;

fn read(made: &Commit) -> Read<'_> {
    made.told.opened.iter().map(|opened| (&opened.path, opened.version)).collect()
}

/// Base of a change: what the command read; else what its process saw last; else what its view showed.
fn base(kernel: &Kernel, pid: Pid, read: &Read<'_>, change: &Change) -> Option<VersionId> {
    let shown = change.base?;
    let stays = change.node == Node::File && change.from.is_none();
    let blind = stays && !read.contains(&(&change.path, shown));
    let seen = kernel.last_seen(pid, &change.path).filter(|_| blind);
    Some(seen.unwrap_or(shown))
}

/// Moves of one command so far.
#[derive(Default)]
struct Moves(Vec<(TreePath, TreePath)>);

impl Moves {
    fn add(&mut self, to: &TreePath, from: &TreePath) {
        let from = self.origin(from);
        self.0.push((to.clone(), from));
    }

    /// Where what stands here now stood before the command.
    fn origin(&self, path: &TreePath) -> TreePath {
        for (to, from) in self.0.iter().rev() {
            if path == to {
                return from.clone();
            }
            if let Some(rest) = path.as_str().strip_prefix(to.as_str()).filter(|_| path.is_below(to)) {
                return TreePath::parse(&format!("{from}{rest}")).unwrap_or_else(|_| path.clone());
            }
        }
        path.clone()
    }
}

/// Decides what a command made in the sandbox of a process; whether the process itself had it run.
pub fn decide(
    step: &mut Step<'_>,
    (pid, own): (Pid, bool),
    made: &Commit,
    facts: &mut Found,
) -> Result<Made, Error> {
    let Some(Fact::Spots(spots)) = facts.any() else { return Err(Facts::mismatch()) };
    if spots.len() != made.changes.len() {
        return Err(Facts::mismatch());
    }
    // What it saw last before this: the base of what it wrote without reading it.
    let read = read(made);
    let bases = made.changes.iter().map(|change| base(step.kernel, pid, &read, change));
    let bases: Vec<Option<VersionId>> = bases.collect();
    saw(step, (pid, own), &made.told);
    if made.changes.is_empty() {
        return Ok(Made::default());
    }
    fits(made)?;
    draft::may_change(step.kernel, pid)?;
    for (change, spot) in made.changes.iter().zip(&spots) {
        may(step, pid, change)?;
        if let Some(here) = &spot.here {
            step.kernel.may_touch(pid, &change.path, here.label)?;
        }
        if let Some(home) = &spot.home {
            step.told_of_home(pid, home);
        }
    }
    let carried = moved(step, pid, made, facts)?;
    let label = label(step, pid, made);
    let whole = label.join(&carried);
    not_steering(step, pid, (made, &whole))?;
    let fates = guarded::sort(step, pid, &made.changes, (&bases, &spots));
    let mut layer = Layer::new(step, (pid, own), label);
    for (((change, base), spot), fate) in made.changes.iter().zip(bases).zip(&spots).zip(&fates) {
        if *fate == Fate::Free {
            layer.take(step, (change, base), spot)?;
        }
    }
    if !step.wants.is_empty() {
        return Ok(Made::default());
    }
    let homes: Vec<&Home> = spots.iter().filter_map(|spot| spot.home.as_deref()).collect();
    let written = layer.write(step, homes);
    let waiting = guarded::hold(step, &made.changes, fates, &whole);
    Ok(Made { waiting, ..written })
}

fn not_steering(step: &Step<'_>, pid: Pid, (made, label): (&Commit, &Label)) -> Result<(), Error> {
    let free = made.changes.iter().filter(|change| !guarded::touches(step, pid, change));
    let paths = free.flat_map(|change| [Some(&change.path), change.from.as_ref()]);
    let paths: Vec<&TreePath> = paths.flatten().collect();
    sink::not_asked(step, pid, label, paths.iter().copied())
}

/// Whether the process may change all this, as far as that can be said without looking at what stands there.
pub fn permits(step: &Step<'_>, pid: Pid, (made, label): (&Commit, &Label)) -> Result<(), Error> {
    fits(made)?;
    made.changes.iter().try_for_each(|change| may(step, pid, change))?;
    not_steering(step, pid, (made, label))
}

/// What programs of its sandbox were told, the process has seen; whether it knows of it itself.
pub fn saw(step: &mut Step<'_>, (pid, own): (Pid, bool), told: &Told) {
    if pid == WORKSPACE {
        // The operator has no label of their own, but what stands in the sandbox has.
        let labels = told.opened.iter().map(|opened| opened.label).chain(told.labels.iter().copied());
        step.kernel.volatile.opened.extend(labels);
        return;
    }
    let mut labels = told.labels.clone();
    for opened in &told.opened {
        labels.remove(&opened.label);
        step.saw(pid, &opened.path, Some(opened.version), opened.label);
        if own {
            step.remember(pid, &opened.path, opened.version);
        }
    }
    let root = TreePath::root();
    labels.into_iter().for_each(|label| step.saw(pid, &root, None, label));
    told.homes.iter().for_each(|label| step.learned_of(pid, &root, (None, *label)));
}

/// The label of what programs of this sandbox write.
fn label(step: &Step<'_>, pid: Pid, made: &Commit) -> Label {
    if step.actor == bound::OUTSIDE {
        return bound::label(step, made);
    }
    let own = step.label_for(pid, Origin::File);
    if pid != WORKSPACE || step.approved.is_some() {
        return own;
    }
    let opened = step.kernel.volatile.opened.iter();
    opened.fold(own, |all, label| all.join(&step.kernel.meaning(*label)))
}

fn fits(made: &Commit) -> Result<(), Error> {
    let many = |most: usize, what: &str| {
        let hint = "what need not be kept goes to /tmp or to $HOME, which are not part of the workspace";
        Error::new(Code::TooLarge, format!("it changed more than {most} {what}")).hint(hint)
    };
    if made.changes.len() > limits::COMMIT_CHANGES_MAX {
        return Err(many(limits::COMMIT_CHANGES_MAX, "files"));
    }
    let versioned = made.changes.iter().filter(|change| !path::is_scratch(&change.path)).count();
    if versioned > limits::OPERATION_ENTRIES_MAX {
        return Err(many(limits::OPERATION_ENTRIES_MAX, "files outside scratch directories"));
    }
    Ok(())
}

/// Whether the process may do this still; its view let it when the command ran.
fn may(step: &Step<'_>, pid: Pid, change: &Change) -> Result<(), Error> {
    policy::may_stand(step.kernel, pid, &change.path)?;
    guarded::may(step, pid, change)?;
    let right = match (change.node, change.base) {
        (Node::Gone, _) => Rights::REMOVE,
        (_, Some(_)) if change.from.is_none() => Rights::WRITE,
        _ => Rights::CREATE,
    };
    step.kernel.allow(pid, Want::Path(&change.path), right, step.at)?;
    let Some(from) = &change.from else { return Ok(()) };
    policy::may_stand(step.kernel, pid, from)?;
    step.kernel.allow(pid, Want::Path(from), Rights::READ.union(Rights::REMOVE), step.at)
}

/// What moves along with directories: each may be read and taken away there, and made here. The join of what
/// it carries.
fn moved(step: &mut Step<'_>, pid: Pid, made: &Commit, facts: &mut Found) -> Result<Label, Error> {
    let mut carried = Label::system();
    let dirs = made.changes.iter().filter(|change| change.from.is_some() && change.node == Node::Dir);
    for (ix, change) in dirs.enumerate() {
        if ix >= MOVES_MAX {
            let message = format!("it moved more than {MOVES_MAX} directories");
            return Err(Error::new(Code::TooLarge, message).hint("move them in several commands"));
        }
        let Some(Fact::Below(below)) = facts.any() else { return Err(Facts::mismatch()) };
        let Some(from) = &change.from else { continue };
        for (here, _, row) in below? {
            let top = from.as_str();
            let rest = here.as_str().strip_prefix(top).unwrap_or_default();
            let there = TreePath::parse(&format!("{}{rest}", change.path))?;
            step.kernel.may_touch(pid, &here, row.label)?;
            let taken = Rights::READ.union(Rights::REMOVE);
            step.kernel.allow(pid, Want::Path(&here), taken, step.at)?;
            step.kernel.allow(pid, Want::Path(&there), Rights::CREATE, step.at)?;
            files::may_change(step.kernel, pid, &there)?;
            carried = carried.join(&step.kernel.meaning(row.label));
            let paths = [here, there];
            sink::not_asked(step, pid, &carried, paths.iter())?;
        }
    }
    Ok(carried)
}

/// The operation while it is put together.
struct Layer {
    pid: Pid,
    /// Whether the process itself had it run: then it knows what it made.
    own: bool,
    /// Directories of the host: whoever looks there says what has no versions.
    bound: Vec<TreePath>,
    at: Micros,
    label: Label,
    id: LabelId,
    version: VersionId,
    file: FileId,
    rows: Vec<tree::Change>,
    /// What the command says of each path, for the answer.
    changed: Vec<Changed>,
    clashes: Vec<Clash>,
    moves: Moves,
    /// Directories that this command made or moved, by where they stand after it.
    dirs: BTreeMap<TreePath, FileId>,
    /// Files that left their names in it.
    left: BTreeSet<FileId>,
    /// Names that came to be in it.
    taken: BTreeSet<TreePath>,
    /// Names that went out of a directory by it.
    out: BTreeMap<FileId, u64>,
}

/// What a row is made of.
struct Row<'a> {
    path: &'a TreePath,
    at: (FileId, FileId),
    node: Node,
    content: Content,
    mode: u32,
    mtime: Micros,
    parents: Vec<VersionId>,
    label: LabelId,
    moved_from: Option<TreePath>,
    diverged: bool,
}

impl Layer {
    fn new(step: &mut Step<'_>, (pid, own): (Pid, bool), label: Label) -> Self {
        let id = step.intern(&label);
        let (version, file) = (step.state().next.version, step.state().next.file);
        Self {
            pid,
            own,
            bound: step.state().bound.keys().cloned().collect(),
            at: step.at,
            label,
            id,
            version,
            file,
            rows: vec![],
            changed: vec![],
            clashes: vec![],
            moves: Moves::default(),
            dirs: BTreeMap::new(),
            left: BTreeSet::new(),
            taken: BTreeSet::new(),
            out: BTreeMap::new(),
        }
    }

    fn push(&mut self, row: Row<'_>) {
        self.version = self.version.next();
        self.rows.push(tree::Change {
            file: row.at.0,
            dir: row.at.1,
            path: row.path.clone(),
            moved_from: row.moved_from,
            version: self.version,
            node: row.node,
            content: row.content,
            mode: row.mode,
            mtime: row.mtime,
            label: row.label,
            parents: row.parents,
            diverged: row.diverged,
            scratch: self.bound.iter().all(|dir| !row.path.is_below(dir)) && path::is_scratch(row.path),
        });
    }

    /// A row of what the command made, at this file and directory. A directory's time is that of the
    /// operation: of others the program says it.
    fn of<'a>(&self, change: &'a Change, at: (FileId, FileId), parents: Vec<VersionId>) -> Row<'a> {
        let Change { ref path, node, content, mode, mtime, .. } = *change;
        let mtime = if node == Node::Dir { self.at } else { mtime };
        Row {
            path,
            at,
            node,
            content,
            mode,
            mtime,
            parents,
            label: self.id,
            moved_from: None,
            diverged: false,
        }
    }

    fn say(&mut self, path: &TreePath, change: &'static str) {
        self.changed.push(Changed { path: path.clone(), change, version: self.version });
    }

    fn clash(&mut self, path: &TreePath, message: &str) {
        self.clashes.push(Clash { path: path.clone(), message: message.into() });
    }

    fn take(
        &mut self,
        step: &mut Step<'_>,
        (change, base): (&Change, Option<VersionId>),
        spot: &Spot,
    ) -> Result<(), Error> {
        match (change.node, &change.from) {
            (Node::Gone, _) => {
                self.remove(step, (change, base), spot);
                Ok(())
            }
            (_, Some(from)) => self.rename(step, (change, base), from, spot),
            _ => self.put(step, (change, base), spot),
        }
    }

    /// The file that the change was made from, if it stands where the command saw it.
    fn stands<'a>(&self, path: &TreePath, spot: &'a Spot) -> Option<&'a Stand> {
        spot.stands.as_ref().filter(|stand| stand.path == self.moves.origin(path))
    }

    /// What stands at the path now, but for what this very command took away from there.
    fn here<'a>(&self, spot: &'a Spot) -> Option<&'a Version> {
        spot.here.as_ref().filter(|here| !self.left.contains(&here.file))
    }

    /// The directory of a path: of this command's, or of the tree's; one that has gone meanwhile is made
    /// again.
    fn dir(&mut self, path: &TreePath, spot: &Spot) -> Result<FileId, Error> {
        let Some(parent) = path.parent().filter(|parent| parent.as_str() != "/") else { return Ok(ROOT) };
        if let Some(dir) = self.dirs.get(&parent) {
            return Ok(*dir);
        }
        let depth = self.moves.origin(&parent).names().count();
        if let Some(dir) = spot.dirs.get(depth).filter(|dir| !self.left.contains(dir)) {
            return Ok(*dir);
        }
        if spot.blocked && spot.dirs.len() == depth {
            let message = format!("something that is no directory has come to stand at {parent}");
            return Err(Error::new(Code::Conflict, message));
        }
        let dir = self.dir(&parent, spot)?;
        self.file = self.file.next();
        let file = self.file;
        self.claim(&parent)?;
        self.push(Row {
            path: &parent,
            at: (file, dir),
            node: Node::Dir,
            content: Content::default(),
            mode: DIR_MODE,
            mtime: self.at,
            parents: vec![],
            label: self.id,
            moved_from: None,
            diverged: false,
        });
        self.dirs.insert(parent, file);
        Ok(file)
    }

    /// A new or changed file, directory or link.
    fn put(
        &mut self,
        step: &mut Step<'_>,
        (change, base): (&Change, Option<VersionId>),
        spot: &Spot,
    ) -> Result<(), Error> {
        let path = &change.path;
        if let (Some(stand), Some(base)) = (self.stands(path, spot), base) {
            let like = (stand.head.node == Node::Dir) == (change.node == Node::Dir);
            if like && !self.left.contains(&stand.head.file) {
                self.over(step, change, (stand.head.clone(), stand.dir), (base, spot));
                return Ok(());
            }
        }
        match self.here(spot).cloned() {
            Some(here) if here.node == Node::Dir && change.node == Node::Dir => {
                self.dirs.insert(path.clone(), here.file);
                Ok(())
            }
            Some(here) if here.node == Node::Dir || change.node == Node::Dir => {
                let message = format!("a {} has come to stand at {path}", here.node.word());
                Err(Error::new(Code::Conflict, message).hint("run it again"))
            }
            Some(here) if here.content == change.content && here.node == change.node => Ok(()),
            Some(here) => {
                let dir = self.dir(path, spot)?;
                self.beside(change, (&here, dir), vec![]);
                self.clash(path, "another has made a file of this name meanwhile; yours is kept beside it");
                Ok(())
            }
            None => {
                if base.is_some() && !self.replaced(spot) {
                    self.clash(path, "it was moved or removed meanwhile; yours is written anew");
                }
                let dir = self.dir(path, spot)?;
                self.create(change, dir)
            }
        }
    }

    /// Whether this very command took away what the change was made from.
    fn replaced(&self, spot: &Spot) -> bool {
        spot.base.as_ref().is_some_and(|base| self.left.contains(&base.file))
    }

    /// A name that nothing else of this command has: a view never says otherwise.
    fn claim(&mut self, path: &TreePath) -> Result<(), Error> {
        if self.taken.insert(path.clone()) {
            return Ok(());
        }
        Err(Error::new(Code::Conflict, format!("two things of it would stand at {path}")))
    }

    fn create(&mut self, change: &Change, dir: FileId) -> Result<(), Error> {
        self.claim(&change.path)?;
        self.file = self.file.next();
        let file = self.file;
        self.push(self.of(change, (file, dir), vec![]));
        self.say(&change.path, "new");
        if change.node == Node::Dir {
            self.dirs.insert(change.path.clone(), file);
        }
        Ok(())
    }

    /// A version over the head of its file, or beside it.
    fn over(
        &mut self,
        step: &mut Step<'_>,
        change: &Change,
        (head, dir): (Version, FileId),
        (base, spot): (VersionId, &Spot),
    ) {
        let Change { ref path, node, content, mode, mtime, .. } = *change;
        let of_dir = node == Node::Dir;
        let same = (head.node, head.content, head.mode) == (node, content, mode);
        if same && (of_dir || head.mtime == mtime) {
            return;
        }
        if base == head.id || of_dir || same {
            let row = self.of(change, (head.file, dir), vec![head.id]);
            // Nobody knows what of it somebody outside left as it was.
            let label = if step.actor == bound::OUTSIDE { self.joined(step, &head) } else { row.label };
            self.push(Row { label, ..row });
            return self.say(path, "changed");
        }
        let from = spot.base.as_ref().filter(|from| from.id == base && from.node == Node::File);
        if let Some(from) = from.filter(|_| (node, head.node) == (Node::File, Node::File)) {
            let merge = Merge { path: path.clone(), base: from.content, ours: content, theirs: head.content };
            match conflict::merged(step, &merge) {
                Merged::Asked => return,
                Merged::Clean(both) => return self.together(step, change, (&head, dir), (base, both)),
                Merged::No => {}
            }
        }
        self.beside(change, (&head, dir), vec![base]);
        self.clash(path, "another has changed it meanwhile; yours is kept beside it");
    }

    fn joined(&self, step: &mut Step<'_>, head: &Version) -> LabelId {
        let label = self.label.join(&step.kernel.meaning(head.label));
        step.intern(&label)
    }

    /// Kept, but the head stays.
    fn beside(&mut self, change: &Change, (head, dir): (&Version, FileId), parents: Vec<VersionId>) {
        let row = self.of(change, (head.file, dir), parents);
        self.push(Row { diverged: true, ..row });
    }

    /// Both changes in one head.
    fn together(
        &mut self,
        step: &mut Step<'_>,
        change: &Change,
        (head, dir): (&Version, FileId),
        (base, content): (VersionId, Content),
    ) {
        self.beside(change, (head, dir), vec![base]);
        let own = self.version;
        let label = self.joined(step, head);
        let row = self.of(change, (head.file, dir), vec![head.id, own]);
        self.push(Row { content, label, ..row });
        self.say(&change.path, "changed");
        self.clash(&change.path, "another has changed it meanwhile; both changes are in it now");
    }

    fn remove(&mut self, step: &mut Step<'_>, (change, base): (&Change, Option<VersionId>), spot: &Spot) {
        let path = &change.path;
        let Some(stand) = self.stands(path, spot).filter(|stand| !self.left.contains(&stand.head.file))
        else {
            return;
        };
        let head = &stand.head;
        if head.node == Node::Dir {
            let out = self.out.get(&head.file).copied().unwrap_or(0);
            if spot.names > out {
                return self.clash(path, "another has put something there meanwhile; it stays");
            }
        } else if base != Some(head.id) {
            return self.clash(path, "another has changed it meanwhile; it stays");
        }
        // Its name goes on standing in the log, and who removed it need not have known it.
        let label = self.joined(step, head);
        let row = self.of(change, (head.file, stand.dir), vec![head.id]);
        let (content, mtime) = (Content::default(), self.at);
        self.push(Row { content, mode: head.mode, mtime, label, ..row });
        self.leave(head.file, stand.dir);
        if self.own {
            step.forget(self.pid, path);
        }
        self.say(path, "removed");
    }

    fn leave(&mut self, file: FileId, dir: FileId) {
        self.left.insert(file);
        *self.out.entry(dir).or_default() += 1;
    }

    fn rename(
        &mut self,
        step: &mut Step<'_>,
        (change, base): (&Change, Option<VersionId>),
        from: &TreePath,
        spot: &Spot,
    ) -> Result<(), Error> {
        let path = &change.path;
        let stand = spot.stands.as_ref().filter(|stand| stand.path == self.moves.origin(from)).cloned();
        let free = self.here(spot).is_none();
        let stand = match (stand.filter(|stand| !self.left.contains(&stand.head.file)), free) {
            (Some(stand), true) => stand,
            (None, true) => {
                self.clash(path, "what it moved was moved or removed meanwhile; yours is written anew");
                let dir = self.dir(path, spot)?;
                return self.create(change, dir);
            }
            (_, false) => {
                let message = format!("something has come to stand at {path} meanwhile");
                return Err(Error::new(Code::Conflict, message).hint("run it again"));
            }
        };
        let head = stand.head;
        self.claim(path)?;
        let dir = self.dir(path, spot)?;
        let label = self.joined(step, &head);
        // Another's change of it meanwhile moves along.
        let base_content = spot.base.as_ref().map_or(head.content, |base| base.content);
        let edits = change.node != Node::Dir && change.content != base_content;
        let stale = base != Some(head.id) && head.content != base_content;
        let content = if edits && !stale { change.content } else { head.content };
        let row = self.of(change, (head.file, dir), vec![head.id]);
        self.push(Row { node: head.node, content, label, moved_from: Some(from.clone()), ..row });
        self.leave(head.file, stand.dir);
        self.say(path, "moved");
        self.moves.add(path, from);
        if head.node == Node::Dir {
            self.dirs.insert(path.clone(), head.file);
        }
        if edits && stale {
            let parents = base.into_iter().collect();
            self.beside(change, (&head, dir), parents);
            self.clash(path, "another has changed it meanwhile; yours is kept beside it");
        }
        if self.own {
            step.forget(self.pid, from);
        }
        Ok(())
    }

    /// Writes it down.
    fn write(mut self, step: &mut Step<'_>, homes: Vec<&Home>) -> Made {
        let mut made = Made { clashes: self.clashes, ..Made::default() };
        if self.rows.is_empty() {
            return made;
        }
        step.mark(self.pid, &mut self.rows, homes);
        let op = step.state().next.op.next();
        for row in self.rows.iter().filter(|row| row.node != Node::Gone && !row.diverged) {
            if row.node == Node::File && self.own {
                step.remember(self.pid, &row.path, row.version);
            }
        }
        let mut rows = self.rows.into_iter().peekable();
        while rows.peek().is_some() {
            let changes = rows.by_ref().take(CHANGES_RECORD).collect();
            step.emit(Entry::Wrote { op, changes, message: None, undoes: None });
        }
        made.operation = Some(op);
        let over = self.changed.len().saturating_sub(limits::EXEC_PATHS_TOLD);
        self.changed.truncate(limits::EXEC_PATHS_TOLD);
        (made.changed, made.more) = (self.changed, over as u64);
        made
    }
}
