//! What an undo would touch: for each file its head, what was there before, and whether it can be put back.
//!
//! ```text
//! operation  files it changed   before = newest version older than the operation's first of that file
//! process    files it changed   before = newest version that is not of that process
//! version    its file           before = that version
//! ```
//!
//! A file is left (`untouched` false) when its head was made by another, and also when putting it back would
//! harm what stands there now: its old name is taken, its old directory is gone, or it is a directory in
//! which others have put something. What the same undo takes away or brings back counts as done. Never here:
//! a write.

use crate::{
    Trouble, conflict,
    schema::{Db, Flow},
    tree::{self, Names, When},
    version::{self, number, select_version},
};
use abi::{
    FileId, OpId, Pid, ROOT, VersionId,
    call::Undo,
    limits,
    path::TreePath,
    tree::{Node, UndoRow, Version},
};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet};

/// One file an undo speaks of: the row to answer, and what would stand in its way.
struct Plan {
    row: UndoRow,
    node: Node,
    /// It comes to a name where it is not: which directory must stand, and who has the name.
    needs: Option<Needs>,
    /// What stands in it, if it is a directory that goes.
    holds: Vec<FileId>,
}

/// What must be so for a file to come to a place.
struct Needs {
    dir: FileId,
    name: String,
    stands: bool,
    taken_by: Option<FileId>,
}

/// The rows; none when it never wrote.
pub(crate) fn rows(db: &Db, undo: &Undo) -> Result<Option<Vec<UndoRow>>, Trouble> {
    let found = match undo {
        Undo::Operation(op) => operation(db, *op)?,
        Undo::Process(pid) => process(db, *pid)?,
        Undo::Version(id) => one(db, *id)?,
    };
    let Some(found) = found else { return Ok(None) };
    let mut plans = Vec::new();
    for (head, untouched, before, made) in found {
        let before = before.filter(|before| before.node != Node::Gone);
        // What was not there before and is not there now is as it should be.
        if head.node == Node::Gone && before.is_none() {
            continue;
        }
        // What is not kept any more cannot come back.
        let lost = match &before {
            Some(before) => !conflict::kept(db, before.id)?,
            None => false,
        };
        let (untouched, made) = (untouched && !lost, made.filter(|_| !lost));
        let keeps = matches!(undo, Undo::Version(_));
        let spot = if keeps { Spot::Last } else { Spot::OfBefore };
        // A directory that got another label only is as it was.
        let is_dir = |version: &Version| version.node == Node::Dir && version.mode == head.mode;
        let relabelled = is_dir(&head) && before.as_ref().is_some_and(is_dir);
        let plan = plan(db, (head, untouched), before, made, spot)?;
        if !relabelled || plan.row.moved_from.is_some() {
            plans.push(plan);
        }
    }
    leave(&mut plans);
    Ok(Some(plans.into_iter().map(|plan| plan.row).collect()))
}

/// A file's head, whether that is what is to be undone, and what was before.
type Found = (Version, bool, Option<Version>, Option<Version>);

fn operation(db: &Db, op: OpId) -> Result<Option<Vec<Found>>, Trouble> {
    let sql = "SELECT file, min(id) FROM versions WHERE op = ? AND id <> 0 GROUP BY file ORDER BY 2 LIMIT ?";
    let read = |row: &rusqlite::Row<'_>| Ok((FileId(number(row, 0)?), VersionId(number(row, 1)?)));
    let files = db.all(sql, params![op.0.cast_signed(), limits::OPERATION_ENTRIES_MAX as i64], read)?;
    let mut all = Vec::new();
    for (file, first) in &files {
        if let Some(head) = tree::head(db, *file, None)? {
            let sql = select_version!(
                " FROM versions v WHERE v.file = ? AND v.op = ? AND v.diverged = 0 ORDER BY v.id DESC LIMIT 1"
            );
            let made = db.one(sql, [file.0.cast_signed(), op.0.cast_signed()], version::read)?;
            let untouched = head.op == op || made.as_ref().is_some_and(|made| is_same_dir(made, &head));
            all.push((head, untouched, tree::earlier(db, *file, *first)?, made));
        }
    }
    Ok((!files.is_empty()).then_some(all))
}

/// Whether all that came to a directory since is another label.
fn is_same_dir(made: &Version, head: &Version) -> bool {
    let both = made.node == Node::Dir && head.node == Node::Dir;
    both && made.mode == head.mode && made.path == head.path
}

fn process(db: &Db, pid: Pid) -> Result<Option<Vec<Found>>, Trouble> {
    // Heads of its own first: if there are more than one operation can take, asking again goes on.
    let sql = "SELECT DISTINCT v.file, h.pid = ?1 AS own FROM versions v JOIN heads USING(file)
               JOIN versions h ON h.id = heads.version
               WHERE v.pid = ?1 AND v.diverged = 0 AND v.id <> 0 ORDER BY own DESC, v.file LIMIT ?2";
    let read = |row: &rusqlite::Row<'_>| number(row, 0).map(FileId);
    let files = db.all(sql, params![pid.0.cast_signed(), limits::OPERATION_ENTRIES_MAX as i64], read)?;
    let mut all = Vec::new();
    for file in &files {
        let Some(head) = tree::head(db, *file, None)? else { continue };
        // Version 0 is the root as it was made, by nobody.
        let sql = select_version!(
            " FROM versions v WHERE v.file = ? AND v.diverged = 0 AND (v.pid <> ? OR v.id = 0)
             ORDER BY v.id DESC LIMIT 1"
        );
        let before = db.one(sql, [file.0.cast_signed(), pid.0.cast_signed()], version::read)?;
        let untouched = head.pid == pid;
        all.push((head, untouched, before, None));
    }
    Ok((!files.is_empty()).then_some(all))
}

fn one(db: &Db, id: VersionId) -> Result<Option<Vec<Found>>, Trouble> {
    let Some(version) = version::get(db, id)? else { return Ok(None) };
    let head = tree::head(db, version.file, None)?;
    Ok(Some(head.into_iter().map(|head| (head, true, Some(version.clone()), None)).collect()))
}

/// Where a file is put back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// Where it stood when the version before was made.
    OfBefore,
    /// Where it stands, or stood last.
    Last,
}

fn plan(
    db: &Db,
    (head, untouched): (Version, bool),
    before: Option<Version>,
    made: Option<Version>,
    back: Spot,
) -> Result<Plan, Trouble> {
    let now = tree::spot(db, head.file, When::Now)?;
    let old = match (&before, back) {
        (Some(before), Spot::OfBefore) if untouched => tree::spot(db, head.file, When::At(before.seq))?,
        _ => None,
    };
    let last = match &now {
        Some(now) => Some(now.clone()),
        None => tree::spot(db, head.file, When::Last)?,
    };
    // What stands is said where it stands; what is gone, where it would come back.
    let here = if now.is_some() { last } else { old.clone().or(last) };
    let moved = old.filter(|old| now.as_ref().is_some_and(|now| now != old));
    let comes = if now.is_none() { here.clone() } else { moved.clone() };
    let root = (ROOT, String::new());
    let (dir, name) = here.unwrap_or(root);
    let path = named(db, dir, &name, &head.path)?;
    let moved_from = match (moved, &before) {
        (Some((dir, name)), Some(before)) => Some((named(db, dir, &name, &before.path)?, dir)),
        _ => None,
    };
    let needs = match comes {
        Some((dir, name)) if untouched && before.is_some() && head.file != ROOT => {
            Some(needs(db, head.file, dir, &name)?)
        }
        _ => None,
    };
    let stays_dir = before.as_ref().is_some_and(|before| before.node == Node::Dir);
    let goes = untouched && head.node == Node::Dir && !stays_dir;
    let holds = if goes { inside(db, head.file)? } else { Vec::new() };
    let (file, label, node) = (head.file, head.label, head.node);
    let of_file = |version: &Version| version.node == Node::File && version.id != head.id;
    let made_content = made.as_ref().filter(|made| of_file(made) && now.is_some()).map(|made| made.content);
    let head_content = (head.node == Node::File).then_some((head.content, head.mode));
    let (made, made_label) = made.map_or((head.id, head.label), |made| (made.id, made.label));
    let named = tree::named(db, [head.file], Names::Own)?;
    let told = tree::named(db, [head.file], Names::Above)?;
    let mut homes = Vec::new();
    for dir in [Some(dir), moved_from.as_ref().map(|(_, dir)| *dir).filter(|old| *old != dir)] {
        homes.extend(dir.map(|dir| tree::home_of(db, dir)).transpose()?.flatten());
    }
    let row = UndoRow {
        path,
        file,
        dir,
        head: head.id,
        untouched,
        made,
        made_label,
        made_content,
        head_content,
        before,
        label,
        moved_from,
        named,
        told,
        homes,
    };
    Ok(Plan { row, node, needs, holds })
}

/// The path of a name in a directory; as it was last said, if the directory does not stand.
fn named(db: &Db, dir: FileId, name: &str, said: &TreePath) -> Result<TreePath, Trouble> {
    let path = match tree::path_of(db, dir)? {
        Some(path) if name.is_empty() => Some(path),
        Some(path) => path.join(name).ok(),
        None => None,
    };
    Ok(path.unwrap_or_else(|| said.clone()))
}

fn needs(db: &Db, file: FileId, dir: FileId, name: &str) -> Result<Needs, Trouble> {
    let above = tree::above(db, dir)?;
    // A directory must not come to stand below itself.
    let stands = above.is_some_and(|above| above.iter().all(|(one, _)| *one != file));
    let taken_by = tree::occupant(db, dir, name)?.filter(|other| *other != file);
    Ok(Needs { dir, name: name.to_owned(), stands, taken_by })
}

/// Files in a directory: one more than an undo can take is as good as all.
fn inside(db: &Db, dir: FileId) -> Result<Vec<FileId>, Trouble> {
    let mut all = Vec::new();
    tree::children(db, dir, None, |_, version| {
        all.push(version.file);
        if all.len() <= limits::OPERATION_ENTRIES_MAX { Flow::Go } else { Flow::Stop }
    })?;
    Ok(all)
}

/// Who gets each place that something comes back to: of several that stood there one after the other, the
/// last.
fn claims(plans: &[Plan]) -> BTreeMap<(FileId, String), FileId> {
    let mut claims: BTreeMap<(FileId, String), (VersionId, FileId)> = BTreeMap::new();
    for plan in plans.iter().filter(|plan| plan.row.untouched) {
        let (Some(needs), Some(before)) = (&plan.needs, &plan.row.before) else { continue };
        let claim = claims.entry((needs.dir, needs.name.clone())).or_insert((before.id, plan.row.file));
        *claim = (*claim).max((before.id, plan.row.file));
    }
    claims.into_iter().map(|(place, (_, file))| (place, file)).collect()
}

/// Leaves what cannot be put back; and, since that may be in the way of others, looks again until nothing
/// changes.
fn leave(plans: &mut [Plan]) {
    loop {
        let mut going: BTreeSet<FileId> = BTreeSet::new();
        let mut coming: BTreeMap<FileId, Node> = BTreeMap::new();
        for plan in plans.iter().filter(|plan| plan.row.untouched) {
            match &plan.row.before {
                None => _ = going.insert(plan.row.file),
                Some(before) => _ = coming.insert(plan.row.file, before.node),
            }
            if plan.row.moved_from.is_some() {
                going.insert(plan.row.file);
            }
        }
        let claims = claims(plans);
        let mut changed = false;
        for plan in plans.iter_mut().filter(|plan| plan.row.untouched) {
            let free = plan.needs.as_ref().is_none_or(|needs| {
                let stands = match coming.get(&needs.dir) {
                    Some(node) => *node == Node::Dir,
                    None => needs.stands && !going.contains(&needs.dir),
                };
                let first = claims.get(&(needs.dir, needs.name.clone())) == Some(&plan.row.file);
                first && stands && needs.taken_by.is_none_or(|other| going.contains(&other))
            });
            let empties = plan.node != Node::Dir || plan.holds.iter().all(|file| going.contains(file));
            if !(free && empties) {
                plan.row.untouched = false;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
