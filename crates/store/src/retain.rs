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
    path::TreePath,
    record::{Entry, Record},
    tree::{Keep, Node, Retain},
};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet};

const DAY_US: u64 = 24 * 3600 * 1_000_000;
/// Versions that one sweep looks at: a pass over all versions and records takes as long for a few.
const SWEPT_MAX: u32 = 50_000;
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

/// What a sweep came to.
pub(crate) struct Swept {
    /// Contents that went.
    pub went: u64,
    /// Versions that are left for the next.
    pub left: u64,
}

/// Whether versions wait whose bytes need not be kept.
pub(crate) fn due(db: &Db) -> Result<bool, Trouble> {
    Ok(db.one("SELECT 1 FROM thin WHERE swept = 0 LIMIT 1", [], |_| Ok(()))?.is_some())
}

/// Takes the bytes of versions that need not be kept, unless another version has the same, a head or an open
/// conflict needs them, or a text of the log is the same bytes. One pass over versions and records.
pub(crate) fn sweep(db: &Db) -> Result<Swept, Trouble> {
    let sql = "SELECT v.id, v.hash, t.seq FROM thin t JOIN versions v ON v.id = t.version
               WHERE t.swept = 0 ORDER BY t.version LIMIT ?";
    let read =
        |row: &rusqlite::Row<'_>| Ok((VersionId(number(row, 0)?), hash(row, 1)?, Seq(number(row, 2)?)));
    let mut rows = db.all(sql, [SWEPT_MAX], read)?;
    let all = rows.len();
    let needed = needed(db)?;
    rows.retain(|(id, ..)| !needed.contains(id));
    let mut going: BTreeMap<Hash, Seq> = rows.iter().map(|(_, hash, seq)| (*hash, *seq)).collect();
    let sql = "SELECT v.id, v.hash, EXISTS(SELECT 1 FROM thin t WHERE t.version = v.id) FROM versions v";
    db.each(sql, [], |row| {
        let of = |error| Trouble::of(&db.file, error);
        let (id, thin) = (VersionId(number(row, 0).map_err(of)?), number(row, 2).map_err(of)?);
        if thin == 0 || needed.contains(&id) {
            going.remove(&hash(row, 1).map_err(of)?);
        }
        Ok(Flow::Go)
    })?;
    spare_texts(db, &mut going)?;
    for (hash, seq) in &going {
        drop_bytes(db, hash, *seq)?;
    }
    for (id, ..) in &rows {
        db.run("UPDATE thin SET swept = 1 WHERE version = ?", [id.0.cast_signed()])?;
    }
    let left = if rows.is_empty() { 0 } else { all.saturating_sub(SWEPT_MAX as usize - 1) };
    Ok(Swept { went: going.len() as u64, left: left as u64 })
}

/// Thinned versions that are a head, an open conflict or what one was made from: they stay for now.
fn needed(db: &Db) -> Result<BTreeSet<VersionId>, Trouble> {
    let id = |row: &rusqlite::Row<'_>| number(row, 0).map(VersionId);
    let sql =
        "SELECT t.version FROM thin t JOIN versions v ON v.id = t.version JOIN heads h ON h.file = v.file
               WHERE t.swept = 0 AND h.version = t.version";
    let mut all: BTreeSet<VersionId> = db.all(sql, [], id)?.into_iter().collect();
    let open = select_version!(" FROM conflicts c JOIN versions v ON v.id = c.version");
    for version in db.all(open, [], version::read)? {
        all.insert(version.id);
        all.extend(version.parents);
    }
    Ok(all)
}

/// Leaves out what a record names other than as a version's content: a task, an argument, an answer that
/// happens to be the same bytes is a text of the log, and stays.
fn spare_texts(db: &Db, going: &mut BTreeMap<Hash, Seq>) -> Result<(), Trouble> {
    let mut starts = vec![0_u64; 1 << 14];
    let place = |bytes: &[u8; 3]| {
        let bits = usize::from(bytes[0]) << 12 | usize::from(bytes[1]) << 4 | usize::from(bytes[2] >> 4);
        (bits >> 6, 1_u64 << (bits & 63))
    };
    for hash in going.keys() {
        if let Some((word, bit)) = hash.0.first_chunk().map(place)
            && let Some(word) = starts.get_mut(word)
        {
            *word |= bit;
        }
    }
    chain::bodies(db, &mut |body| {
        for window in body.windows(32) {
            let (word, bit) = window.first_chunk().map(place).unwrap_or_default();
            if starts.get(word).is_none_or(|word| word & bit == 0) {
                continue;
            }
            let Ok(hash) = window.try_into().map(Hash) else { continue };
            if going.contains_key(&hash) && is_text(body, &hash) {
                going.remove(&hash);
            }
        }
        Ok(())
    })
}

/// Whether a record that names this hash names it as a text.
fn is_text(body: &[u8], hash: &Hash) -> bool {
    match musli::wire::from_slice::<Record>(body).map(|record| record.body) {
        Ok(Entry::Wrote { message, .. }) => message.is_some_and(|message| message.hash == *hash),
        Ok(_) | Err(_) => true,
    }
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
        if is_dir {
            continue;
        }
        if let Some(elsewhere) = tree::path_of(db, file)?.filter(|stands| stands != path) {
            let error = Error::invalid("path", format!("what stood at {path} stands at {elsewhere} now"));
            return Ok(
                Err(error.hint("purge it there: that destroys all its versions, those from here too")),
            );
        }
        files.push(file);
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

/// Versions that no rule keeps any more, oldest first: of several rules that match a file, each thins.
pub(crate) fn surplus(
    db: &Db,
    rules: &[Retain],
    now: Micros,
    seen: &BTreeSet<VersionId>,
) -> Result<Vec<VersionId>, Trouble> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = BTreeSet::new();
    let sql = "SELECT file FROM versions GROUP BY file HAVING count(*) > 1";
    for file in db.all(sql, [], |row| number(row, 0).map(FileId))? {
        let stands = tree::path_of(db, file)?.or(last_path(db, file)?);
        let Some(path) = stands else { continue };
        for rule in rules.iter().filter(|rule| rule.pattern.matches(path.as_str())) {
            all.extend(of_file(db, file, rule.keep, now)?.difference(seen));
        }
        if all.len() >= limits::THINNED_MAX {
            break;
        }
    }
    Ok(all.into_iter().take(limits::THINNED_MAX).collect())
}

fn last_path(db: &Db, file: FileId) -> Result<Option<TreePath>, Trouble> {
    Ok(tree::head(db, file, None)?.map(|head| head.path))
}

/// Versions of one file that this rule does not keep. The head, open conflicts and what they were made from
/// always are. What was the head at any time in the last so many days is not older than that.
fn of_file(db: &Db, file: FileId, keep: Keep, now: Micros) -> Result<BTreeSet<VersionId>, Trouble> {
    let (count, end) = match keep {
        Keep::All => return Ok(BTreeSet::new()),
        Keep::Last(count) => (u64::from(count), None),
        Keep::Days(days) => (0, Some(now.saturating_sub(u64::from(days).saturating_mul(DAY_US)))),
    };
    let sql = "SELECT v.id, v.mtime, v.diverged, v.node, EXISTS(SELECT 1 FROM thin t WHERE t.version = v.id)
               OR EXISTS(SELECT 1 FROM heads h WHERE h.file = v.file AND h.version = v.id)
               OR EXISTS(SELECT 1 FROM conflicts c WHERE c.version = v.id)
               FROM versions v WHERE v.file = ? ORDER BY v.id DESC";
    let of = |error| Trouble::of(&db.file, error);
    let (mut surplus, mut rank, mut replaced) = (BTreeSet::new(), 0_u64, Micros::MAX);
    db.each(sql, [bound(Seq(file.0))], |row| {
        let column = |ix: usize| number(row, ix).map_err(of);
        let (id, at, diverged, node, stays) = (column(0)?, column(1)?, column(2)?, column(3)?, column(4)?);
        // Files and links have bytes of their own; what was removed has none.
        let holds = node == 0 || node == 2;
        rank += u64::from(holds && diverged == 0);
        let over = match end {
            None => rank > count || (diverged == 1 && rank >= count),
            Some(end) => (if diverged == 1 { at } else { replaced }) < end,
        };
        if holds && over && stays == 0 {
            surplus.insert(VersionId(id));
        }
        if diverged == 0 {
            replaced = at;
        }
        Ok(Flow::Go)
    })?;
    for base in bases(db, file)? {
        surplus.remove(&base);
    }
    Ok(surplus)
}

/// What the open conflicts of a file were made from.
fn bases(db: &Db, file: FileId) -> Result<BTreeSet<VersionId>, Trouble> {
    let sql = select_version!(" FROM conflicts c JOIN versions v ON v.id = c.version WHERE c.file = ?");
    let open = db.all(sql, [bound(Seq(file.0))], version::read)?;
    Ok(open.into_iter().flat_map(|version| version.parents).collect())
}
