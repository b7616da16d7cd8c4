//! The tree as a fold of the log's changes, and the walks over it: now, or as of a record.
//!
//! ```text
//! change ──▶ versions (always)  heads (unless diverged)  entries (if it came, moved or went)
//! walk:      entries (parent, name) ▸ file ▸ head version, component by component from the root
//! as of n:   entries with from_seq ≤ n < to_seq; newest version, not diverged, with seq ≤ n
//! ```
//!
//! Never here: whether a change may be made; paths that do not come out of `entries`.

use crate::{
    Trouble, conflict, retain,
    schema::{Db, Flow},
    version::{self, AFTER, Shown, bound, number, select_version},
};
use abi::{
    Content, FileId, LabelId, OpId, ROOT, Seq, VersionId,
    call::At,
    fact::{Place, View},
    limits,
    path::TreePath,
    record::{Entry, Record},
    tree::{Change, Home, Node, Version},
};
use rusqlite::{Row, params};
use std::collections::BTreeSet;

/// Carries out what a record says of the tree, if it says anything.
pub(crate) fn fold(db: &Db, record: &Record) -> Result<(), Trouble> {
    let Entry::Wrote { op, changes, message, .. } = &record.body else { return Ok(()) };
    let changes = changes.iter().enumerate().filter(|(ix, _)| !dropped(*ix)).map(|(_, change)| change);
    // All leave before any arrives, so that files may change places whatever the order.
    for change in changes.clone().filter(|change| !change.diverged && leaves(change)) {
        close(db, change.file, record.seq)?;
    }
    for change in changes {
        stand(db, record, *op, change, *message)?;
    }
    Ok(())
}

fn dropped(_ix: usize) -> bool {
    #[cfg(feature = "plant")]
    return _ix == 1 && crate::plant::is(crate::plant::FOLD_DROPS_SECOND);
    #[cfg(not(feature = "plant"))]
    false
}

fn leaves(change: &Change) -> bool {
    change.node == Node::Gone || change.moved_from.is_some()
}

/// One change: its version, the head, and its entry.
fn stand(
    db: &Db,
    record: &Record,
    op: OpId,
    change: &Change,
    message: Option<Content>,
) -> Result<(), Trouble> {
    let replaced = if change.scratch { head(db, change.file, None)? } else { None };
    version::insert(db, record, op, change, message)?;
    conflict::fold(db, change)?;
    if change.diverged {
        return Ok(());
    }
    if let Some(replaced) = replaced {
        retain::spare(db, replaced.id, record.seq)?;
    }
    let (file, id) = (change.file.0.cast_signed(), change.version.0.cast_signed());
    db.run(
        "INSERT INTO heads VALUES(?,?) ON CONFLICT(file) DO UPDATE SET version = excluded.version",
        [file, id],
    )?;
    if change.file == ROOT {
        return Ok(());
    }
    if leaves(change) {
        close(db, change.file, record.seq)?;
    }
    if change.node == Node::Gone || spot(db, change.file, When::Now)?.is_some() {
        return Ok(());
    }
    let (dir, seq) = (change.dir.0.cast_signed(), record.seq.0.cast_signed());
    let row = params![dir, change.path.name(), file, seq];
    db.run("INSERT INTO entries(parent, name, file, from_seq) VALUES(?,?,?,?)", row).map(drop)
}

fn close(db: &Db, file: FileId, seq: Seq) -> Result<(), Trouble> {
    let row = [seq.0.cast_signed(), file.0.cast_signed()];
    db.run("UPDATE entries SET to_seq = ? WHERE file = ? AND to_seq IS NULL", row).map(drop)
}

/// Which of a file's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The one it stands at.
    Now,
    /// The one it stood at after this record.
    At(Seq),
    /// The one it stands or stood at last.
    Last,
}

/// Where a file stands: directory and name.
pub(crate) fn spot(db: &Db, file: FileId, when: When) -> Result<Option<(FileId, String)>, Trouble> {
    let file = file.0.cast_signed();
    let read = |row: &Row<'_>| Ok((FileId(number(row, 0)?), row.get(1)?));
    match when {
        When::Now => {
            db.one("SELECT parent, name FROM entries WHERE file = ? AND to_seq IS NULL", [file], read)
        }
        When::At(seq) => db.one(
            "SELECT parent, name FROM entries WHERE file = ?1 AND from_seq <= ?2
             AND (to_seq IS NULL OR to_seq > ?2) ORDER BY id DESC LIMIT 1",
            [file, bound(seq)],
            read,
        ),
        When::Last => {
            db.one("SELECT parent, name FROM entries WHERE file = ? ORDER BY id DESC LIMIT 1", [file], read)
        }
    }
}

/// The file that stands at this name now.
pub(crate) fn occupant(db: &Db, dir: FileId, name: &str) -> Result<Option<FileId>, Trouble> {
    let sql = "SELECT file FROM entries WHERE parent = ? AND name = ? AND to_seq IS NULL";
    db.one(sql, params![dir.0.cast_signed(), name], |row| number(row, 0).map(FileId))
}

/// Head of a file, now or as of a record; gone is a head too.
pub(crate) fn head(db: &Db, file: FileId, at: Option<Seq>) -> Result<Option<Version>, Trouble> {
    let file = file.0.cast_signed();
    match at {
        None => {
            let sql = select_version!(" FROM heads h JOIN versions v ON v.id = h.version WHERE h.file = ?");
            db.one(sql, [file], version::read)
        }
        Some(at) => {
            let sql = select_version!(
                " FROM versions v WHERE v.file = ? AND v.diverged = 0 AND v.seq <= ?
                 ORDER BY v.id DESC LIMIT 1"
            );
            db.one(sql, [file, bound(at)], version::read)
        }
    }
}

/// Head of what stands at this name of a directory.
pub(crate) fn step(db: &Db, dir: FileId, name: &str, at: Option<Seq>) -> Result<Option<Version>, Trouble> {
    let dir = dir.0.cast_signed();
    let Some(at) = at else {
        let sql = select_version!(
            " FROM entries e JOIN heads h ON h.file = e.file JOIN versions v ON v.id = h.version
             WHERE e.parent = ? AND e.name = ? AND e.to_seq IS NULL"
        );
        return db.one(sql, params![dir, name], version::read);
    };
    let sql = "SELECT file FROM entries WHERE parent = ?1 AND name = ?2 AND from_seq <= ?3
               AND (to_seq IS NULL OR to_seq > ?3) ORDER BY from_seq DESC, id DESC LIMIT 1";
    match db.one(sql, params![dir, name, bound(at)], |row| number(row, 0).map(FileId))? {
        Some(file) => head(db, file, Some(at)),
        None => Ok(None),
    }
}

/// Kind of what stands at this name now, and its file: a step of a walk that only passes.
fn pass(db: &Db, dir: FileId, name: &str) -> Result<Option<(FileId, Node)>, Trouble> {
    let sql = "SELECT e.file, v.node FROM entries e JOIN heads h ON h.file = e.file
               JOIN versions v ON v.id = h.version WHERE e.parent = ? AND e.name = ? AND e.to_seq IS NULL";
    let read = |row: &Row<'_>| Ok((FileId(number(row, 0)?), version::node(row, 1)?));
    db.one(sql, params![dir.0.cast_signed(), name], read)
}

/// What stands at a path.
pub(crate) fn place(db: &Db, path: &TreePath, at: Option<Seq>) -> Result<Place, Trouble> {
    let mut place = Place { dirs: vec![ROOT], ..Place::default() };
    let Some(parent) = path.parent() else {
        place.head = head(db, ROOT, at)?;
        return Ok(place);
    };
    let mut dir = ROOT;
    let mut above = TreePath::root();
    for name in parent.names() {
        let found = match at {
            None => pass(db, dir, name)?,
            Some(_) => step(db, dir, name, at)?.map(|version| (version.file, version.node)),
        };
        match found {
            Some((file, Node::Dir)) => dir = file,
            found => {
                place.blocked = found.is_some_and(|(_, node)| node != Node::Gone);
                place.home = home(db, &place.dirs, above, at)?;
                return Ok(place);
            }
        }
        place.dirs.push(dir);
        above = above.join(name).map_err(|_| db.corrupt("a path is no path"))?;
    }
    place.home = home(db, &place.dirs, above, at)?;
    place.head = step(db, dir, path.name(), at)?.filter(|version| version.node != Node::Gone);
    Ok(place)
}

/// The last of these directories.
fn home(db: &Db, dirs: &[FileId], path: TreePath, at: Option<Seq>) -> Result<Option<Home>, Trouble> {
    let (dir, file) = match dirs {
        [.., dir, file] => (*dir, *file),
        _ => (ROOT, ROOT),
    };
    Ok(head(db, file, at)?.map(|head| Home { dir, path, head }))
}

/// A directory, if it stands.
pub(crate) fn home_of(db: &Db, file: FileId) -> Result<Option<Home>, Trouble> {
    let Some(head) = head(db, file, None)?.filter(|head| head.node == Node::Dir) else { return Ok(None) };
    let Some(path) = path_of(db, file)? else { return Ok(None) };
    let dir = if file == ROOT { Some(ROOT) } else { spot(db, file, When::Now)?.map(|(dir, _)| dir) };
    Ok(dir.map(|dir| Home { dir, path, head }))
}

/// Labels of the names that these files have and had. A name's label is that of the version by which the
/// file came to it: whoever writes the file later did not choose its name.
pub(crate) fn named(
    db: &Db,
    files: impl IntoIterator<Item = FileId>,
    which: Names,
) -> Result<BTreeSet<LabelId>, Trouble> {
    let (mut labels, mut known) = (BTreeSet::new(), BTreeSet::from([ROOT]));
    let mut todo: Vec<FileId> = files.into_iter().collect();
    while let Some(file) = todo.pop() {
        if !known.insert(file) {
            continue;
        }
        // Of most files the first version gave the name, so the first that is looked at is it.
        let sql = match which {
            Names::Now => {
                "SELECT e.parent, n.label FROM entries e JOIN versions n ON n.id = (SELECT m.id
                 FROM versions m WHERE m.file = e.file AND m.diverged = 0 AND m.seq >= e.from_seq
                 ORDER BY m.id LIMIT 1) WHERE e.file = ? AND e.to_seq IS NULL"
            }
            Names::Own | Names::Above => {
                "SELECT e.parent, n.label FROM entries e JOIN versions n ON n.id = (SELECT m.id
                 FROM versions m WHERE m.file = e.file AND m.diverged = 0 AND m.seq >= e.from_seq
                 ORDER BY m.id LIMIT 1) WHERE e.file = ?"
            }
        };
        let read = |row: &Row<'_>| Ok((FileId(number(row, 0)?), LabelId(row.get(1)?)));
        for (parent, label) in db.all(sql, [file.0.cast_signed()], read)? {
            labels.insert(label);
            if which != Names::Own {
                todo.push(parent);
            }
        }
    }
    Ok(labels)
}

/// Label of the name that a file had after this record.
pub(crate) fn name_label(db: &Db, file: FileId, at: Seq) -> Result<Option<LabelId>, Trouble> {
    let sql = "SELECT n.label FROM entries e JOIN versions n ON n.id = (SELECT m.id FROM versions m
               WHERE m.file = e.file AND m.diverged = 0 AND m.seq >= e.from_seq ORDER BY m.id LIMIT 1)
               WHERE e.file = ?1 AND e.from_seq <= ?2 AND (e.to_seq IS NULL OR e.to_seq > ?2)";
    db.one(sql, [file.0.cast_signed(), bound(at)], |row| row.get(0).map(LabelId))
}

/// Directories in which anything changed between two records; none if so many versions were made that it is
/// quicker to look at all.
pub(crate) fn changed(
    db: &Db,
    (after, upto): (Seq, Seq),
    most: usize,
) -> Result<Option<Vec<FileId>>, Trouble> {
    let (mut files, mut count) = (BTreeSet::new(), 0);
    // Versions are numbered as they were made.
    db.each("SELECT file, seq FROM versions ORDER BY id DESC", [], |row| {
        let read = || Ok((FileId(number(row, 0)?), number(row, 1)?));
        let (file, seq) = read().map_err(|error| Trouble::of(&db.file, error))?;
        if seq <= after.0 || count > most {
            return Ok(Flow::Stop);
        }
        count += 1;
        if seq <= upto.0 {
            files.insert(file);
        }
        Ok(Flow::Go)
    })?;
    if count > most {
        return Ok(None);
    }
    let mut dirs = BTreeSet::new();
    for file in files {
        let sql = "SELECT parent FROM entries WHERE file = ?1 AND (to_seq IS NULL OR to_seq > ?2)";
        let row = [file.0.cast_signed(), bound(after)];
        dirs.extend(db.all(sql, row, |row| number(row, 0).map(FileId))?);
    }
    Ok(Some(dirs.into_iter().collect()))
}

/// Whether a head, or its name, bears one of the labels that are hidden from who asks.
pub(crate) fn hides(
    db: &Db,
    below: &BTreeSet<LabelId>,
    version: &Version,
    at: Option<Seq>,
) -> Result<bool, Trouble> {
    if below.is_empty() || below.contains(&version.label) {
        return Ok(!below.is_empty());
    }
    let file = version.file.0.cast_signed();
    let read = |row: &Row<'_>| row.get(0).map(LabelId);
    let label = match at {
        None => {
            let sql = "SELECT n.label FROM entries e JOIN versions n ON n.id = (SELECT m.id FROM versions m
                       WHERE m.file = e.file AND m.diverged = 0 AND m.seq >= e.from_seq ORDER BY m.id LIMIT 1)
                       WHERE e.file = ? AND e.to_seq IS NULL";
            db.one(sql, [file], read)?
        }
        Some(at) => name_label(db, version.file, at)?,
    };
    Ok(label.is_some_and(|label| below.contains(&label)))
}

/// Whether the path of a file says a name that is hidden from who asks.
pub(crate) fn hides_path(
    db: &Db,
    below: &BTreeSet<LabelId>,
    (file, which): (FileId, Names),
) -> Result<bool, Trouble> {
    Ok(!below.is_empty() && !named(db, [file], which)?.is_disjoint(below))
}

/// Whose names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The file's own, that it has and had.
    Own,
    /// Those of the directories above, too: all that its paths say.
    Above,
    /// Those of its path as it is now.
    Now,
}

impl Names {
    /// Those that are shown with what was found at a moment.
    pub fn shown(at: Option<At>) -> Self {
        if at.is_some() { Self::Above } else { Self::Now }
    }
}

/// The directories above a file and their names, the file's own first, up to the root; none when one of them
/// does not stand in the tree.
pub(crate) fn above(db: &Db, file: FileId) -> Result<Option<Vec<(FileId, String)>>, Trouble> {
    let mut all = Vec::new();
    let mut file = file;
    while file != ROOT {
        // Moves can make a tree deeper than a path may be; a damaged one could be a ring.
        if all.len() > limits::PATH_BYTES_MAX {
            return Err(db.corrupt("its directories stand in a ring"));
        }
        let Some((dir, name)) = spot(db, file, When::Now)? else { return Ok(None) };
        all.push((file, name));
        file = dir;
    }
    Ok(Some(all))
}

/// The path a file stands at; none when it stands nowhere, or deeper than a path can say.
pub(crate) fn path_of(db: &Db, file: FileId) -> Result<Option<TreePath>, Trouble> {
    let Some(above) = above(db, file)? else { return Ok(None) };
    let names: Vec<&str> = above.iter().rev().map(|(_, name)| name.as_str()).collect();
    Ok(TreePath::parse(&format!("/{}", names.join("/"))).ok())
}

/// The path of a name in a directory that stands.
pub(crate) fn path_below(db: &Db, dir: FileId, name: &str) -> Result<Option<TreePath>, Trouble> {
    Ok(path_of(db, dir)?.and_then(|path| path.join(name).ok()))
}

/// Hands over name and head of each entry of a directory, by name, until it is told to stop.
pub(crate) fn children(
    db: &Db,
    dir: FileId,
    at: Option<Seq>,
    mut take: impl FnMut(String, Version) -> Flow,
) -> Result<(), Trouble> {
    let dir = dir.0.cast_signed();
    let mut each = |row: &Row<'_>| {
        let read = || Ok((row.get(AFTER)?, version::read(row)?));
        let (name, version) = read().map_err(|error| Trouble::of(&db.file, error))?;
        Ok(take(name, version))
    };
    match at {
        None => {
            let sql = select_version!(
                ", e.name FROM entries e JOIN heads h ON h.file = e.file JOIN versions v ON v.id = h.version
                 WHERE e.parent = ? AND e.to_seq IS NULL ORDER BY e.name"
            );
            db.each(sql, [dir], &mut each)
        }
        Some(at) => {
            let sql = select_version!(
                ", e.name FROM entries e JOIN versions v ON v.id = (SELECT w.id FROM versions w WHERE
                 w.file = e.file AND w.diverged = 0 AND w.seq <= ?2 ORDER BY w.id DESC LIMIT 1)
                 WHERE e.parent = ?1 AND e.from_seq <= ?2 AND (e.to_seq IS NULL OR e.to_seq > ?2)
                 ORDER BY e.name"
            );
            db.each(sql, [dir, bound(at)], &mut each)
        }
    }
}

/// How many entries a directory has, and the labels of their heads and of their names ([`named`]).
pub(crate) fn labels(db: &Db, dir: FileId, at: Option<Seq>) -> Result<(u64, BTreeSet<LabelId>), Trouble> {
    let (mut count, mut labels) = (0_u64, BTreeSet::new());
    let dir = dir.0.cast_signed();
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, number(row, 2)?));
    let rows: Vec<(u32, u32, u64)> = match at {
        None => {
            let sql = "SELECT v.label, n.label, count(*) FROM entries e JOIN heads h ON h.file = e.file
                       JOIN versions v ON v.id = h.version
                       JOIN versions n ON n.id = (SELECT m.id FROM versions m WHERE m.file = e.file
                       AND m.diverged = 0 AND m.seq >= e.from_seq ORDER BY m.id LIMIT 1)
                       WHERE e.parent = ? AND e.to_seq IS NULL GROUP BY v.label, n.label";
            db.all(sql, [dir], read)?
        }
        Some(at) => {
            let sql = "SELECT v.label, n.label, count(*) FROM entries e
                       JOIN versions v ON v.id = (SELECT w.id FROM versions w WHERE w.file = e.file
                       AND w.diverged = 0 AND w.seq <= ?2 ORDER BY w.id DESC LIMIT 1)
                       JOIN versions n ON n.id = (SELECT m.id FROM versions m WHERE m.file = e.file
                       AND m.diverged = 0 AND m.seq >= e.from_seq ORDER BY m.id LIMIT 1)
                       WHERE e.parent = ?1 AND e.from_seq <= ?2 AND (e.to_seq IS NULL OR e.to_seq > ?2)
                       GROUP BY v.label, n.label";
            db.all(sql, [dir, bound(at)], read)?
        }
    };
    for (head, name, of) in rows {
        count = count.saturating_add(of);
        labels.extend([LabelId(head), LabelId(name)]);
    }
    Ok((count, labels))
}

/// Versions of the file that stands at a path, or stood there last, that the view shows; newest first,
/// diverged ones too.
pub(crate) fn history(
    db: &Db,
    path: &TreePath,
    (before, limit): (Option<VersionId>, u32),
    view: &View,
) -> Result<Shown, Trouble> {
    let mut file = ROOT;
    for name in path.names() {
        let sql = "SELECT file FROM entries WHERE parent = ? AND name = ?
                   ORDER BY to_seq IS NULL DESC, to_seq DESC, id DESC LIMIT 1";
        match db.one(sql, params![file.0.cast_signed(), name], |row| number(row, 0).map(FileId))? {
            Some(found) => file = found,
            None => return Ok(Shown::default()),
        }
    }
    let sql = select_version!(" FROM versions v WHERE v.file = ? AND v.id < ? ORDER BY v.id DESC");
    let before = before.map_or(i64::MAX, |id| i64::try_from(id.0).unwrap_or(i64::MAX));
    let mut shown = Shown::default();
    db.each(sql, [file.0.cast_signed(), before], |row| {
        let version = version::read(row).map_err(|error| Trouble::of(&db.file, error))?;
        Ok(shown.take(version, view, limit))
    })?;
    Ok(shown.said())
}

/// Everything at and below a path: path, directory, head; parents before what is in them.
pub(crate) type Below = Vec<(TreePath, FileId, Version)>;

/// See [`Below`].
pub(crate) fn below(db: &Db, path: &TreePath) -> Result<Result<Below, abi::Error>, Trouble> {
    let place = place(db, path, None)?;
    let (Some(top), Some(dir)) = (place.head, place.dirs.last()) else { return Ok(Ok(Vec::new())) };
    let mut all: Below = Vec::new();
    let mut todo = vec![(path.clone(), *dir, top)];
    while let Some((path, dir, version)) = todo.pop() {
        if all.len() + todo.len() >= limits::OPERATION_ENTRIES_MAX {
            let what = format!("more than {} files stand there", limits::OPERATION_ENTRIES_MAX);
            return Ok(Err(abi::Error::new(abi::Code::TooLarge, what).hint("take its parts one by one")));
        }
        if version.node == Node::Dir {
            let first = todo.len();
            if let Err(error) = push_children(db, &path, version.file, &mut todo)? {
                return Ok(Err(error));
            }
            if let Some(new) = todo.get_mut(first..) {
                new.reverse();
            }
        }
        all.push((path, dir, version));
    }
    Ok(Ok(all))
}

/// Adds the entries of a directory, but no more than an operation could take.
fn push_children(
    db: &Db,
    path: &TreePath,
    dir: FileId,
    todo: &mut Below,
) -> Result<Result<(), abi::Error>, Trouble> {
    let mut bad = Ok(());
    children(db, dir, None, |name, version| {
        match path.join(&name) {
            Ok(path) => todo.push((path, dir, version)),
            Err(error) => bad = Err(error),
        }
        let more = bad.is_ok() && todo.len() <= limits::OPERATION_ENTRIES_MAX;
        if more { Flow::Go } else { Flow::Stop }
    })?;
    Ok(bad)
}

/// The newest version of a file, not diverged, that is older than `before`.
pub(crate) fn earlier(db: &Db, file: FileId, before: VersionId) -> Result<Option<Version>, Trouble> {
    let sql = select_version!(
        " FROM versions v WHERE v.file = ? AND v.diverged = 0 AND v.id < ? ORDER BY v.id DESC LIMIT 1"
    );
    db.one(sql, [file.0.cast_signed(), before.0.cast_signed()], version::read)
}
