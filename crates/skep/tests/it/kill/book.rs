//! An independent reader of `workspace.db`: it opens the file read only, proves the chain itself, folds the
//! records itself and compares. It shares the words of the format with the writer (`abi`), and no code.
//!
//! ```text
//! body = musli wire of the record        hash = BLAKE3("skep-record", prev, body), each after its length
//! ```
//!
//! Never here: a panic. What is wrong is said, so that a control can see that it is said.

use super::{
    fold::{Fold, Version},
    ledger::{Effect, Ledger},
    load::{Ack, Put},
};
use abi::{EffectId, Hash, record::Record};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, config::DbConfig};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

/// Reads a whole file and everything that belongs to it.
pub fn audit(file: &Path, acks: &[Ack], outbox: &Path) -> Result<Book, String> {
    let mut book = Book::new(file);
    book.follow()?;
    book.holds(acks)?;
    book.rows()?;
    book.bytes()?;
    book.ledger.closed()?;
    book.sent(outbox)?;
    Ok(book)
}

/// What was read of a file so far.
pub struct Book {
    file: PathBuf,
    seq: u64,
    hash: Hash,
    pub ledger: Ledger,
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

/// The hash of a record, in the words of the format.
pub fn digest(prev: &[u8], body: &[u8]) -> Hash {
    Hash::of_fields("skep-record", &[prev, body])
}

impl Book {
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), seq: 0, hash: Hash::default(), ledger: Ledger::default() }
    }

    fn open(&self) -> Result<Connection, String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.file, flags).map_err(said)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(said)?;
        Ok(db)
    }

    /// Reads on from where the last reading ended, which must still be what it was.
    pub fn follow(&mut self) -> Result<(), String> {
        let db = self.open()?;
        if self.seq > 0 {
            let sql = "SELECT hash FROM records WHERE seq = ?";
            let now: Option<Vec<u8>> =
                db.query_row(sql, [self.seq.cast_signed()], |row| row.get(0)).optional().map_err(said)?;
            if now.as_deref() != Some(&self.hash.0) {
                return Err(format!("record {}, read before, is not what it was", self.seq));
            }
        }
        let sql = "SELECT seq, pid, prev, hash, body FROM records WHERE seq > ? ORDER BY seq";
        let mut statement = db.prepare(sql).map_err(said)?;
        let mut rows = statement.query([self.seq.cast_signed()]).map_err(said)?;
        while let Some(row) = rows.next().map_err(said)? {
            let place = self.seq + 1;
            self.take(row).map_err(|what| format!("record {place}: {what}"))?;
        }
        Ok(())
    }

    fn take(&mut self, row: &Row<'_>) -> Result<(), String> {
        let (seq, pid): (i64, i64) = (row.get(0).map_err(said)?, row.get(1).map_err(said)?);
        let blob = |column: usize| row.get::<_, Vec<u8>>(column).map_err(said);
        let (prev, hash, body) = (blob(2)?, blob(3)?, blob(4)?);
        if seq.cast_unsigned() != self.seq + 1 {
            return Err(format!("a gap: the next is {seq}"));
        }
        if prev != self.hash.0 {
            return Err("it does not follow the record before it".to_owned());
        }
        let digest = digest(&prev, &body);
        if hash != digest.0 {
            return Err("its bytes do not give its hash".to_owned());
        }
        let record: Record = musli::wire::from_slice(&body).map_err(said)?;
        if (record.seq.0.cast_signed(), record.pid.0.cast_signed()) != (seq, pid) {
            return Err(format!("its row says {seq} of process {pid}, it says {record:?}"));
        }
        (self.seq, self.hash) = (record.seq.0, digest);
        self.ledger.take(&record)
    }

    /// Whether every acknowledged write has its record, its row and its bytes.
    pub fn holds(&self, acks: &[Ack]) -> Result<(), String> {
        let db = self.open()?;
        for ack in acks {
            self.hold(&db, ack).map_err(|what| format!("acknowledged {ack:?}: {what}"))?;
        }
        Ok(())
    }

    fn hold(&self, db: &Connection, ack: &Ack) -> Result<(), String> {
        let id = ack.version.cast_signed();
        let told = self.ledger.fold.versions.get(&id).ok_or("no record made it")?;
        let row = row_of(db, id)?.ok_or("it has no row")?;
        if row != *told {
            return Err(format!("its row is {row:?}, its record says {told:?}"));
        }
        let parent = || match row.parents.as_slice().try_into() {
            Ok(id) => self.ledger.fold.versions.get(&i64::from_le_bytes(id)),
            Err(_) => None,
        };
        if let Put::Gone = ack.what {
            return if row.node == 3 { Ok(()) } else { Err("it is not gone".to_owned()) };
        }
        if row.path != ack.path {
            return Err(format!("it stands at {}", row.path));
        }
        let bytes = blob(db, &row.hash)?;
        let right = match &ack.what {
            Put::Whole(hash) => row.hash == hash.0,
            Put::Tail(tail) => {
                let before = parent().map(|version| blob(db, &version.hash)).transpose()?;
                bytes == [&before.unwrap_or_default(), tail.as_bytes()].concat()
            }
            Put::Moved => parent().is_none_or(|version| version.hash == row.hash),
            Put::Gone => true,
        };
        if right { Ok(()) } else { Err("its bytes are not what was written".to_owned()) }
    }

    /// Whether the rows of the tree are what the records make.
    pub fn rows(&self) -> Result<(), String> {
        let db = self.open()?;
        let Fold { versions, heads, entries, .. } = &self.ledger.fold;
        same(
            "version",
            versions,
            &all(&db, &format!("SELECT {VERSION}, id FROM versions"), |row| {
                Ok((row.get(16)?, version(row)?))
            })?,
        )?;
        same(
            "head of file",
            heads,
            &all(&db, "SELECT file, version FROM heads", |row| Ok((row.get(0)?, row.get(1)?)))?,
        )?;
        same(
            "entry of file",
            entries,
            &all(&db, "SELECT file, from_seq, parent, name, to_seq FROM entries", |row| {
                Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?, row.get(4)?)))
            })?,
        )
    }

    /// Whether every blob is what its name says, every version of a file has one, and the file is sound.
    pub fn bytes(&self) -> Result<(), String> {
        let db = self.open()?;
        let blobs = all(&db, "SELECT hash, bytes FROM blobs", |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        for (hash, bytes) in &blobs {
            if *hash != Hash::of(bytes).0 {
                return Err(format!("a blob of {} bytes is not what its name says", bytes.len()));
            }
        }
        for (id, version) in &self.ledger.fold.versions {
            let held = || blobs.get(&version.hash).map(|bytes| bytes.len() as i64);
            if matches!(version.node, 0 | 2) && held() != Some(version.bytes) {
                return Err(format!("version {id} has no bytes: {version:?}"));
            }
        }
        let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(said)?;
        if sound == "ok" { Ok(()) } else { Err(sound) }
    }

    /// After a kill: no mail that was not dispatched, and all of those that are recorded as done.
    pub fn sent_so_far(&self, outbox: &Path) -> Result<(), String> {
        let found = mails(outbox)?;
        let (may, must) = (self.names(|row| self.ledger.dispatched(row)), self.names(is_done));
        if let Some(name) = found.iter().find(|name| !may.contains(*name) && name.ends_with(".eml")) {
            return Err(format!("{name} was sent, and no record says that it would be"));
        }
        match must.iter().find(|name| !found.contains(*name)) {
            Some(name) => Err(format!("{name} is recorded as sent and is not there")),
            None => Ok(()),
        }
    }

    /// At the end: one mail for each effect that is done and none besides, each only once.
    pub fn sent(&self, outbox: &Path) -> Result<(), String> {
        let (found, must) = (mails(outbox)?, self.names(is_done));
        if let Some(name) = found.symmetric_difference(&must).next() {
            return Err(format!("mail {name}: {} are there, {} are recorded", found.len(), must.len()));
        }
        let mut subjects = BTreeSet::new();
        for name in found {
            let text = fs::read_to_string(outbox.join(&name)).map_err(said)?;
            let subject = text.lines().find(|line| line.starts_with("Subject: ")).unwrap_or_default();
            if !subjects.insert(subject.to_owned()) {
                return Err(format!("{name} says again: {subject}"));
            }
        }
        Ok(())
    }

    fn names(&self, which: impl Fn(&Effect) -> bool) -> BTreeSet<String> {
        let name = |id: &EffectId| format!("{}.eml", &id.to_string()[..16]);
        let rows = self.ledger.effects.iter().filter(|(_, row)| which(row));
        rows.map(|(id, _)| name(id)).collect()
    }
}

fn is_done(effect: &Effect) -> bool {
    matches!(effect.ended, Some((true, _)))
}

fn mails(outbox: &Path) -> Result<BTreeSet<String>, String> {
    let entries = fs::read_dir(outbox).map_err(said)?;
    entries.map(|entry| Ok(entry.map_err(said)?.file_name().to_string_lossy().into_owned())).collect()
}

const VERSION: &str = "file, node, hash, bytes, mode, mtime, label, actor, pid, op, seq, diverged, path, \
    message, message_bytes, parents";

fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        file: row.get(0)?,
        node: row.get(1)?,
        hash: row.get(2)?,
        bytes: row.get(3)?,
        mode: row.get(4)?,
        mtime: row.get(5)?,
        label: row.get(6)?,
        actor: row.get(7)?,
        pid: row.get(8)?,
        op: row.get(9)?,
        seq: row.get(10)?,
        diverged: row.get(11)?,
        path: row.get(12)?,
        message: row.get(13)?,
        message_bytes: row.get(14)?,
        parents: row.get(15)?,
    })
}

fn row_of(db: &Connection, id: i64) -> Result<Option<Version>, String> {
    let sql = format!("SELECT {VERSION} FROM versions WHERE id = ?");
    let mut statement = db.prepare_cached(&sql).map_err(said)?;
    statement.query_row([id], version).optional().map_err(said)
}

/// The bytes of this name, which must be theirs.
fn blob(db: &Connection, hash: &[u8]) -> Result<Vec<u8>, String> {
    let mut statement = db.prepare_cached("SELECT bytes FROM blobs WHERE hash = ?").map_err(said)?;
    let bytes: Option<Vec<u8>> = statement.query_row([hash], |row| row.get(0)).optional().map_err(said)?;
    let bytes = bytes.ok_or("its bytes are not there")?;
    if Hash::of(&bytes).0 == hash { Ok(bytes) } else { Err("its bytes do not give their name".to_owned()) }
}

fn all<K: Ord, V>(
    db: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<(K, V)>,
) -> Result<BTreeMap<K, V>, String> {
    let mut statement = db.prepare(sql).map_err(said)?;
    let rows = statement.query_map([], read).map_err(said)?;
    rows.collect::<Result<_, _>>().map_err(said)
}

/// The first row that differs.
fn same<K: Ord + Debug + Clone, V: PartialEq + Debug>(
    what: &str,
    told: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) -> Result<(), String> {
    let keys: BTreeSet<K> = told.keys().chain(found.keys()).cloned().collect();
    match keys.iter().find(|key| told.get(key) != found.get(key)) {
        Some(key) => {
            let (told, found) = (told.get(key), found.get(key));
            Err(format!("{what} {key:?}: the records make {told:?}, the row is {found:?}"))
        }
        None => Ok(()),
    }
}
