//! Where the changes of a view meet the tree as it is now.

use crate::{
    Trouble,
    schema::Db,
    tree::{self, When},
    version::{self, number},
};
use abi::{
    FileId, VersionId,
    path::TreePath,
    tree::Node,
    view::{Spot, Stand},
};

/// What stands at a path, and where the file of a version stands.
pub(crate) fn get(db: &Db, path: &TreePath, base: Option<VersionId>) -> Result<Spot, Trouble> {
    let place = tree::place(db, path, None)?;
    let base = base.map(|base| version::get(db, base)).transpose()?.flatten();
    let stands = match &base {
        // Most of the time it stands where it stood.
        Some(base) if place.head.as_ref().is_some_and(|head| head.file == base.file) => {
            let dir = place.dirs.last().copied().unwrap_or(abi::ROOT);
            let home = place.home.clone().map(Box::new);
            place.head.clone().map(|head| Stand { head, dir, path: path.clone(), home })
        }
        Some(base) => stand(db, base.file)?,
        None => None,
    };
    let dir = stands.as_ref().map(|stand| &stand.head).or(place.head.as_ref());
    let names = match dir.filter(|head| head.node == Node::Dir) {
        Some(head) => names(db, head.file)?,
        None => 0,
    };
    let home = place.home.map(Box::new);
    Ok(Spot { base, stands, here: place.head, dirs: place.dirs, blocked: place.blocked, home, names })
}

fn stand(db: &Db, file: FileId) -> Result<Option<Stand>, Trouble> {
    let Some((dir, name)) = tree::spot(db, file, When::Now)? else { return Ok(None) };
    let (Some(head), Some(path)) = (tree::head(db, file, None)?, tree::path_below(db, dir, &name)?) else {
        return Ok(None);
    };
    Ok(Some(Stand { head, dir, path, home: tree::home_of(db, dir)?.map(Box::new) }))
}

fn names(db: &Db, dir: FileId) -> Result<u64, Trouble> {
    let sql = "SELECT count(*) FROM entries WHERE parent = ? AND to_seq IS NULL";
    Ok(db.one(sql, [dir.0.cast_signed()], |row| number(row, 0))?.unwrap_or(0))
}
