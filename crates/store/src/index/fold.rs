//! What is in the index: of every file its current head, if that is text.
//!
//! ```text
//! rebuild: heads by file, from the cursor on     log: records after the last one ─▶ todo ─▶ each file once
//! ```
//!
//! A file that was written a thousand times is taken once. Never here: a whole transaction of the tree; it
//! only reads that.

use super::{Index, kept};
use crate::{
    Trouble, blob, chain,
    chain::Head,
    schema::Db,
    tree::{self, When},
    version::{self, hash, number},
};
use abi::{
    FileId, Seq,
    call::Part,
    limits,
    path::{self, TreePath},
    record::{Entry, Record},
    tree::{Change, Node, Version},
};
use rusqlite::{Row, params};

/// Records read at once.
const RECORDS: u32 = 256;
/// Files looked up at once.
const FILES: u32 = 256;

/// Whether a fold goes on.
#[derive(PartialEq, Eq)]
enum Pace {
    More,
    Done,
}

impl Index {
    /// Goes on until it is there or is told to stop, in one transaction.
    pub(super) fn fold(&mut self, tree: (&Db, Head), until: &mut dyn FnMut() -> bool) -> Result<(), Trouble> {
        if self.settled == tree.1.0 && self.cursor.is_none() {
            return Ok(());
        }
        let before = (self.upto, self.cursor, self.settled);
        self.db.run("BEGIN IMMEDIATE", [])?;
        let mut steps = || -> Result<(), Trouble> {
            while self.step(tree, until)? == Pace::More && !until() {}
            self.note()
        };
        match steps().and_then(|()| self.db.run("COMMIT", []).map(drop)) {
            Ok(()) => Ok(()),
            Err(trouble) => {
                // Whoever hears of trouble with the index removes it; with the tree, it stays as it was.
                let _ = self.db.run("ROLLBACK", []);
                (self.upto, self.cursor, self.settled) = before;
                Err(trouble)
            }
        }
    }

    fn step(&mut self, tree: (&Db, Head), until: &mut dyn FnMut() -> bool) -> Result<Pace, Trouble> {
        if let Some(cursor) = self.cursor {
            return self.rebuild(tree.0, cursor, until);
        }
        let sql = "SELECT file, below, after FROM todo ORDER BY file LIMIT 1";
        let read = |row: &Row<'_>| Ok((FileId(number(row, 0)?), row.get(1)?, row.get::<_, String>(2)?));
        if let Some((file, below, after)) = self.db.one(sql, [], read)? {
            let more = below && self.below(tree.0, file, &after)?;
            if !more {
                self.db.run("DELETE FROM todo WHERE file = ?", [kept(file)])?;
                self.take(tree.0, file)?;
            }
            return Ok(Pace::More);
        }
        self.settled = self.upto.0;
        if self.upto.0 >= tree.1.0 {
            return Ok(Pace::Done);
        }
        let records = chain::records(tree.0, self.upto.0, RECORDS, None).unwrap_or_default();
        // Old records that are lost with their segment: what they said is in the heads.
        if records.first().is_none_or(|(record, _)| record.seq != self.upto.0.next()) {
            (self.upto, self.cursor, self.settled) = (tree.1, Some(FileId(0)), Seq(0));
            return Ok(Pace::More);
        }
        for (record, hash) in records {
            self.touched(tree.0, &record)?;
            self.upto = (record.seq, hash);
        }
        Ok(Pace::More)
    }

    /// The next files by their heads.
    fn rebuild(
        &mut self,
        tree: &Db,
        cursor: FileId,
        until: &mut dyn FnMut() -> bool,
    ) -> Result<Pace, Trouble> {
        let sql = "SELECT file FROM heads WHERE file > ? ORDER BY file LIMIT ?";
        let files = tree.all(sql, params![kept(cursor), FILES], |row| number(row, 0).map(FileId))?;
        if files.is_empty() {
            self.cursor = None;
        }
        for file in files {
            self.take(tree, file)?;
            self.cursor = Some(file);
            if until() {
                break;
            }
        }
        Ok(Pace::More)
    }

    /// The files of which a record says something.
    fn touched(&self, tree: &Db, record: &Record) -> Result<(), Trouble> {
        match &record.body {
            Entry::Wrote { changes, .. } => {
                let ours = changes.iter().filter(|change| !change.diverged);
                ours.into_iter().try_for_each(|change| self.due(change.file, crosses(change), ""))
            }
            Entry::Purged { files, .. } => files.iter().try_for_each(|file| self.due(*file, false, "")),
            Entry::Thinned { versions } => versions.iter().try_for_each(|id| {
                version::get(tree, *id)?.map_or(Ok(()), |version| self.due(version.file, false, ""))
            }),
            _ => Ok(()),
        }
    }

    fn due(&self, file: FileId, below: bool, after: &str) -> Result<(), Trouble> {
        let sql = "INSERT INTO todo VALUES(?,?,?) ON CONFLICT(file) DO UPDATE
                   SET below = max(below, excluded.below), after = excluded.after";
        self.db.run(sql, params![kept(file), below, after]).map(drop)
    }

    /// What stands in a directory is looked at again, some of it at a time; whether there is more.
    fn below(&self, tree: &Db, dir: FileId, after: &str) -> Result<bool, Trouble> {
        let sql = "SELECT e.name, e.file, v.node = 1 FROM entries e JOIN heads h ON h.file = e.file
                   JOIN versions v ON v.id = h.version
                   WHERE e.parent = ? AND e.to_seq IS NULL AND e.name > ? ORDER BY e.name LIMIT ?";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, FileId(number(row, 1)?), row.get(2)?));
        let rows: Vec<(String, FileId, bool)> = tree.all(sql, params![kept(dir), after, FILES], read)?;
        for (_, file, below) in &rows {
            self.due(*file, *below, "")?;
        }
        match rows.last() {
            Some((name, ..)) => self.due(dir, true, name).map(|()| true),
            None => Ok(false),
        }
    }

    /// Brings a file's current head into the index, or takes the file out of it.
    fn take(&self, tree: &Db, file: FileId) -> Result<(), Trouble> {
        let sql = "SELECT hash, name FROM docs WHERE file = ?";
        let read = |row: &Row<'_>| Ok((hash(row, 0)?, row.get::<_, String>(1)?));
        let there = self.db.one(sql, [kept(file)], read)?;
        let wanted = wanted(tree, file)?;
        if let (Some((hash, name)), Some((version, path))) = (&there, &wanted)
            && (*hash, name.as_str()) == (version.content.hash, path.name())
        {
            return Ok(());
        }
        if there.is_some() {
            self.db.run("DELETE FROM text WHERE rowid = ?", [kept(file)])?;
            self.db.run("DELETE FROM docs WHERE file = ?", [kept(file)])?;
        }
        let Some((version, path)) = wanted else { return Ok(()) };
        let Some(text) = text(tree, &version)? else { return Ok(()) };
        let row = params![kept(file), path.name(), text];
        self.db.run("INSERT INTO text(rowid, name, body) VALUES(?,?,?)", row)?;
        let row = params![kept(file), version.content.hash.0, path.name()];
        self.db.run("INSERT INTO docs VALUES(?,?,?)", row).map(drop)
    }
}

/// Whether all that stands below has to be looked at again: it came into the index, or left it.
fn crosses(change: &Change) -> bool {
    let out = |dir: &TreePath| dir.join("x").is_ok_and(|path| path::is_unindexed(&path));
    let moved = change.moved_from.as_ref().filter(|_| change.node == Node::Dir);
    moved.is_some_and(|from| out(from) != out(&change.path))
}

/// The head of a file that stands where files are indexed, and where that is.
fn wanted(tree: &Db, file: FileId) -> Result<Option<(Version, TreePath)>, Trouble> {
    let Some(head) = tree::head(tree, file, None)?.filter(|head| head.node == Node::File) else {
        return Ok(None);
    };
    if tree::spot(tree, file, When::Now)?.is_none() {
        return Ok(None);
    }
    let path = tree::path_of(tree, file)?.filter(|path| !path::is_unindexed(path));
    Ok(path.map(|path| (head, path)))
}

/// The text of a content, or the beginning of a long one; none if it is no text, or not kept, or not what was
/// written: whoever reads it hears of that.
pub(super) fn text(tree: &Db, version: &Version) -> Result<Option<String>, Trouble> {
    let part = Part { offset: 0, length: limits::INDEXED_BYTES_MAX };
    let bytes = match blob::part(tree, &version.content, part) {
        Ok(Some(bytes)) => bytes,
        Ok(None) | Err(Trouble::Corrupt { .. } | Trouble::Missing { .. }) => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        // A character that the end of the part cuts.
        Err(error) if version.content.bytes > limits::INDEXED_BYTES_MAX => {
            let whole = error.utf8_error();
            let cut = whole.error_len().is_none().then(|| whole.valid_up_to());
            let mut bytes = error.into_bytes();
            cut.and_then(|at| {
                bytes.truncate(at);
                String::from_utf8(bytes).ok()
            })
        }
        Err(_) => None,
    })
}
