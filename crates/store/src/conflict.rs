//! Diverged versions that nobody has resolved, and the versions of an operation. A conflict is open from the
//! diverged version on until a version names it among those it was made from.

use crate::{
    Trouble,
    schema::{Db, Flow},
    tree::{self, Names, When},
    version::{self, Shown, number, select_version},
};
use abi::{
    OpId, VersionId,
    fact::{Conflict, View},
    limits,
    path::TreePath,
    tree::{Change, Version},
};

/// What a change opens or closes.
pub(crate) fn fold(db: &Db, change: &Change) -> Result<(), Trouble> {
    let id = change.version.0.cast_signed();
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::CONFLICT_UNLISTED) {
        return Ok(());
    }
    if change.diverged {
        let row = [id, change.file.0.cast_signed()];
        return db.run("INSERT INTO conflicts VALUES(?,?)", row).map(drop);
    }
    // Only a merge or a resolution has a second parent.
    for parent in change.parents.iter().skip(1) {
        db.run("DELETE FROM conflicts WHERE version = ?", [parent.0.cast_signed()])?;
    }
    Ok(())
}

/// A diverged version and where it would go.
pub(crate) fn get(db: &Db, id: VersionId) -> Result<Option<Conflict>, Trouble> {
    let Some(version) = version::get(db, id)?.filter(|version| version.diverged) else { return Ok(None) };
    let open =
        db.one("SELECT 1 FROM conflicts WHERE version = ?", [id.0.cast_signed()], |_| Ok(()))?.is_some();
    let Some(head) = tree::head(db, version.file, None)? else { return Ok(None) };
    let now = tree::spot(db, version.file, When::Now)?;
    let Some((dir, name)) = now.clone().or(tree::spot(db, version.file, When::Last)?) else {
        return Ok(None);
    };
    let stands = tree::path_below(db, dir, &name)?;
    let free = stands.is_some() && tree::occupant(db, dir, &name)?.is_none_or(|other| other == version.file);
    let path = stands.unwrap_or_else(|| head.path.clone());
    let named = tree::named(db, [version.file], Names::Own)?;
    let told = tree::named(db, [version.file], Names::Above)?;
    let home = tree::home_of(db, dir)?.map(Box::new);
    Ok(Some(Conflict { version, open, head, path, dir, free, named, told, home }))
}

/// The open conflicts that a view shows, oldest first: the diverged version and the head beside it.
pub(crate) fn open(db: &Db, view: &View) -> Result<Vec<(TreePath, Version, Version)>, Trouble> {
    let sql = select_version!(" FROM conflicts c JOIN versions v ON v.id = c.version ORDER BY v.id DESC");
    let mut found = Vec::new();
    // Filtered before the limit, newest first: nobody hides another's conflicts behind many of its own.
    db.each(sql, [], |row| {
        let version = version::read(row).map_err(|error| Trouble::of(&db.file, error))?;
        let shown = view.shows_version(version.path.as_str(), version.label);
        if !shown || tree::hides_path(db, &view.below, (version.file, Names::Above))? {
            return Ok(Flow::Go);
        }
        let path = tree::path_of(db, version.file)?.unwrap_or_else(|| version.path.clone());
        let shown = |head: &Version| view.shows_version(path.as_str(), head.label);
        if let Some(head) = tree::head(db, version.file, None)?.filter(shown) {
            found.push((path, version, head));
        }
        Ok(if found.len() < limits::LISTING_MAX as usize { Flow::Go } else { Flow::Stop })
    })?;
    found.reverse();
    Ok(found)
}

/// The versions of an operation that a view shows, in their order.
pub(crate) fn operation(db: &Db, op: OpId, view: &View, limit: u32) -> Result<Shown, Trouble> {
    let sql = select_version!(" FROM versions v WHERE v.op = ? AND v.id <> 0 ORDER BY v.id");
    let mut shown = Shown::default();
    db.each(sql, [op.0.cast_signed()], |row| {
        let version = version::read(row).map_err(|error| Trouble::of(&db.file, error))?;
        let hides = tree::hides_path(db, &view.below, (version.file, Names::Above))?;
        if hides && view.shows(version.path.as_str()) {
            shown.below = shown.below.saturating_add(1);
            return Ok(Flow::Go);
        }
        Ok(shown.take(version, view, limit))
    })?;
    Ok(shown.said())
}

/// Whether the bytes of a version are still kept.
pub(crate) fn kept(db: &Db, id: VersionId) -> Result<bool, Trouble> {
    let sql = "SELECT EXISTS(SELECT 1 FROM blobs b WHERE b.hash = v.hash)
               OR EXISTS(SELECT 1 FROM large l WHERE l.hash = v.hash) OR v.node = 1
               FROM versions v WHERE v.id = ?";
    let found = db.one(sql, [id.0.cast_signed()], |row| number(row, 0))?;
    Ok(found == Some(1))
}
