//! What is not kept: versions that rules thin, current contents of scratch paths, and what an operator
//! purges.
//!
//! Records only say which; bytes go in [`sweep`] (thinned: one pass over the versions, in a transaction of
//! its own) and in the transaction of the record itself (purged). Hashes, sizes and authors always stay, and
//! `gone` names the record by which bytes went.

use crate::{
    Trouble, blob, chain,
    schema::{Db, Flow},
    tree,
    version::{self, bound, hash, number, select_version},
};
use abi::{
    Error, FileId, Hash, Micros, Seq, VersionId,
    fact::Doomed,
    limits,
    path::{Pattern, TreePath},
    record::{Entry, Record},
    tree::{Keep, Node, Retain, Version},
};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet};

const DAY_US: u64 = 24 * 3600 * 1_000_000;
/// Other paths that a purge names as holding the same bytes.
const NAMED_MAX: usize = 100;

/// Carries out what a record says of bytes.
pub(crate) fn fold(db: &Db, record: &Record) -> Result<(), Trouble> {
    match &record.body {
        Entry::Thinned { versions } => versions.iter().try_for_each(|id| spare(db, *id, record.seq)),
        Entry::Purged { files, upto, .. } => purge(db, files, *upto, record.seq),
        _ => Ok(()),
    }
}

/// The bytes of a version need not be kept.
pub(crate) fn spare(db: &Db, id: VersionId, seq: Seq) -> Result<(), Trouble> {
    let row = [id.0.cast_signed(), seq.0.cast_signed()];
    db.run("INSERT OR IGNORE INTO thin VALUES(?,?,0)", row).map(drop)
}

/// The record by which bytes went.
pub(crate) fn gone(db: &Db, hash: &Hash) -> Result<Option<Record>, Trouble> {
    let seq = db.one("SELECT seq FROM gone WHERE hash = ?", [hash.0], |row| number(row, 0).map(Seq))?;
    match seq {
        Some(seq) => Ok(chain::one(db, seq)?.map(|(record, _)| record)),
        None => Ok(None),
    }
}

/// Lets go of bytes, and remembers by which record.
fn drop_bytes(db: &Db, hash: &Hash, seq: Seq) -> Result<(), Trouble> {
    blob::remove(db, hash)?;
    let row = params![hash.0, seq.0.cast_signed()];
    db.run("INSERT OR REPLACE INTO gone(hash, seq) VALUES(?,?)", row).map(drop)
}

/// Takes the bytes of versions that need not be kept, unless another version has the same; says how many
/// contents went.
pub(crate) fn sweep(db: &Db) -> Result<u64, Trouble> {
    let sql = "SELECT v.hash, t.seq FROM thin t JOIN versions v ON v.id = t.version WHERE t.swept = 0";
    let rows = db.all(sql, [], |row| Ok((hash(row, 0)?, Seq(number(row, 1)?))))?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut going: BTreeMap<Hash, Seq> = rows.into_iter().collect();
    let sql = "SELECT v.hash FROM versions v WHERE NOT EXISTS(SELECT 1 FROM thin t WHERE t.version = v.id)";
    db.each(sql, [], |row| {
        going.remove(&hash(row, 0).map_err(|error| Trouble::of(&db.file, error))?);
        Ok(Flow::Go)
    })?;
    for (hash, seq) in &going {
        drop_bytes(db, hash, *seq)?;
    }
    db.run("UPDATE thin SET swept = 1 WHERE swept = 0", [])?;
    Ok(going.len() as u64)
}

/// Every file that ever stood at a path, whatever stands there now.
fn ever(db: &Db, path: &TreePath) -> Result<Vec<FileId>, Trouble> {
    let Some(parent) = path.parent() else { return Ok(Vec::new()) };
    let mut dirs = vec![abi::ROOT];
    for name in parent.names() {
        let mut next = BTreeSet::new();
        for dir in &dirs {
            next.extend(named(db, *dir, name)?);
        }
        dirs = next.into_iter().collect();
    }
    let mut files = BTreeSet::new();
    for dir in &dirs {
        files.extend(named(db, *dir, path.name())?);
    }
    Ok(files.into_iter().collect())
}

fn named(db: &Db, dir: FileId, name: &str) -> Result<Vec<FileId>, Trouble> {
    let sql = "SELECT DISTINCT file FROM entries WHERE parent = ? AND name = ? ORDER BY file";
    db.all(sql, params![dir.0.cast_signed(), name], |row| number(row, 0).map(FileId))
}

/// What a purge of the path would destroy.
pub(crate) fn doomed(db: &Db, path: &TreePath) -> Result<Result<Option<Doomed>, Error>, Trouble> {
    let mut files = Vec::new();
    for file in ever(db, path)? {
        let sql = "SELECT EXISTS(SELECT 1 FROM versions WHERE file = ? AND node = 1)";
        let is_dir = db.one(sql, [file.0.cast_signed()], |row| number(row, 0))? == Some(1);
        if !is_dir {
            files.push(file);
        }
    }
    let place = tree::place(db, path, None)?;
    if place.head.as_ref().is_some_and(|head| head.node == Node::Dir) {
        let error = Error::invalid("path", format!("{path} is a directory"));
        return Ok(Err(error.hint("purge its files one by one; skep ls shows them")));
    }
    if files.is_empty() {
        return Ok(Ok(None));
    }
    let standing = place.head.zip(place.dirs.last().copied()).map(|(head, dir)| (dir, head));
    let (contents, versions) = contents(db, &files, VersionId(u64::MAX))?;
    let bytes = contents.values().sum();
    let kept =
        shared(db, &files, &contents)?.into_values().flatten().take(NAMED_MAX).collect::<BTreeSet<_>>();
    Ok(Ok(Some(Doomed { files, standing, versions, bytes, kept: kept.into_iter().collect() })))
}

/// Contents of these files, with their lengths, and of how many versions.
fn contents(db: &Db, files: &[FileId], upto: VersionId) -> Result<(BTreeMap<Hash, u64>, u64), Trouble> {
    let (mut found, mut versions) = (BTreeMap::new(), 0);
    let upto = i64::try_from(upto.0).unwrap_or(i64::MAX);
    for file in files {
        let sql = "SELECT hash, bytes FROM versions WHERE file = ? AND id <= ? AND node IN (0, 2)";
        for (hash, bytes) in
            db.all(sql, [file.0.cast_signed(), upto], |row| Ok((hash(row, 0)?, number(row, 1)?)))?
        {
            found.insert(hash, bytes);
            versions += 1;
        }
    }
    Ok((found, versions))
}

/// Which of these contents versions of other files have too, and where.
fn shared(
    db: &Db,
    files: &[FileId],
    contents: &BTreeMap<Hash, u64>,
) -> Result<BTreeMap<Hash, Vec<TreePath>>, Trouble> {
    let mut found: BTreeMap<Hash, Vec<TreePath>> = BTreeMap::new();
    let of = |error| Trouble::of(&db.file, error);
    db.each("SELECT hash, file, path FROM versions WHERE node IN (0, 2)", [], |row| {
        let (hash, file) = (hash(row, 0).map_err(of)?, FileId(number(row, 1).map_err(of)?));
        if contents.contains_key(&hash) && !files.contains(&file) {
            let path = row.get_ref(2).map_err(of)?.as_str().ok().and_then(|path| TreePath::parse(path).ok());
            let paths = found.entry(hash).or_default();
            paths.extend(path.filter(|path| paths.len() < NAMED_MAX && !paths.contains(path)));
        }
        Ok(Flow::Go)
    })?;
    Ok(found)
}

/// Destroys the bytes of these files' versions, and of every text of the log that holds one of them whole.
fn purge(db: &Db, files: &[FileId], upto: VersionId, seq: Seq) -> Result<(), Trouble> {
    let (mut contents, _) = contents(db, files, upto)?;
    let shared = shared(db, files, &contents)?;
    contents.retain(|hash, _| !shared.contains_key(hash));
    crate::scrub::texts(db, &contents, &mut |hash| drop_bytes(db, hash, seq))?;
    for hash in contents.keys() {
        drop_bytes(db, hash, seq)?;
    }
    for file in files {
        let row = [file.0.cast_signed(), i64::try_from(upto.0).unwrap_or(i64::MAX)];
        db.run("DELETE FROM conflicts WHERE file = ? AND version <= ?", row)?;
    }
    crate::scrub::begin(db, seq)
}

/// Versions that no rule keeps any more, oldest first.
pub(crate) fn surplus(db: &Db, rules: &[Retain], now: Micros) -> Result<Vec<VersionId>, Trouble> {
    let mut all = BTreeSet::new();
    let sql = "SELECT file FROM heads ORDER BY file";
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    for file in db.all(sql, [], |row| number(row, 0).map(FileId))? {
        let several = "SELECT count(*) FROM (SELECT 1 FROM versions WHERE file = ? LIMIT 2)";
        if db.one(several, [file.0.cast_signed()], |row| number(row, 0))? != Some(2) {
            continue;
        }
        let stands = tree::path_of(db, file)?.or(last_path(db, file)?);
        let Some(path) = stands else { continue };
        let keeps = rules.iter().filter(|rule| matches(&rule.pattern, &path)).map(|rule| rule.keep);
        for keep in keeps {
            all.extend(of_file(db, file, keep, now)?);
        }
        if all.len() >= limits::THINNED_MAX {
            break;
        }
    }
    Ok(all.into_iter().take(limits::THINNED_MAX).collect())
}

fn matches(pattern: &Pattern, path: &TreePath) -> bool {
    pattern.matches(path.as_str())
}

fn last_path(db: &Db, file: FileId) -> Result<Option<TreePath>, Trouble> {
    Ok(tree::head(db, file, None)?.map(|head| head.path))
}

/// Versions of one file that this rule does not keep. The head, open conflicts and what they were made from
/// always are.
fn of_file(db: &Db, file: FileId, keep: Keep, now: Micros) -> Result<Vec<VersionId>, Trouble> {
    let sql = select_version!(
        " FROM versions v WHERE v.file = ? AND v.node IN (0, 2)
         AND NOT EXISTS(SELECT 1 FROM thin t WHERE t.version = v.id)
         AND NOT EXISTS(SELECT 1 FROM heads h WHERE h.version = v.id)
         AND NOT EXISTS(SELECT 1 FROM conflicts c WHERE c.version = v.id) ORDER BY v.id DESC LIMIT ? OFFSET ?"
    );
    let (offset, end) = match keep {
        Keep::All => return Ok(Vec::new()),
        // The head counts as the first of those kept.
        Keep::Last(count) => (i64::from(count).saturating_sub(1), Micros::MAX),
        Keep::Days(days) => (0, now.saturating_sub(u64::from(days).saturating_mul(DAY_US))),
    };
    let most = i64::try_from(limits::THINNED_MAX).unwrap_or(i64::MAX);
    let rows = db.all(sql, params![file.0.cast_signed(), most, offset], version::read)?;
    let bases = bases(db, file)?;
    let old = |row: &Version| row.mtime < end && !bases.contains(&row.id);
    Ok(rows.iter().filter(|row| old(row)).map(|row| row.id).collect())
}

/// What the open conflicts of a file were made from.
fn bases(db: &Db, file: FileId) -> Result<BTreeSet<VersionId>, Trouble> {
    let sql = select_version!(" FROM conflicts c JOIN versions v ON v.id = c.version WHERE c.file = ?");
    let open = db.all(sql, [bound(Seq(file.0))], version::read)?;
    Ok(open.into_iter().flat_map(|version| version.parents).collect())
}
