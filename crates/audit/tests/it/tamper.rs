//! What somebody with the disk can do to a log: eight classes, at any record, each done as well as it can be
//! without the signing key. Shared with `xtask spec tamper`, which measures all of them at 1,000 positions.
//!
//! A [`Bench`] holds two real workspaces as the store wrote them, and a checkpoint of the first one's end.

use abi::{
    Content, FileId, Hash, LabelId, OpId, Pid, ROOT, Seq, VersionId,
    path::TreePath,
    record::{Entry, Record},
    tree::{Change, Node},
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rusqlite::{Connection, params};
use std::{
    fs,
    path::{Path, PathBuf},
};
use store::{Durable, Workspace};

/// An error, as words.
pub type Told<T> = Result<T, String>;

/// The classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A bit of a record, or of a hash beside it.
    Flip,
    /// A record more, chained to the one before it.
    Insert,
    /// A record less; those after it close the gap or do not.
    Delete,
    /// Two records change places.
    Reorder,
    /// Nothing after a record, with or without what followed from it.
    Truncate,
    /// From a record on the log of another workspace, or the whole of it.
    Swap,
    /// A record edited, and every hash from it on made anew.
    Rehash,
    /// The file as it was after a record.
    RollBack,
}

/// All of them.
pub const CLASSES: [Class; 8] = [
    Class::Flip,
    Class::Insert,
    Class::Delete,
    Class::Reorder,
    Class::Truncate,
    Class::Swap,
    Class::Rehash,
    Class::RollBack,
];

/// The key of the node that signs.
pub const SEED: [u8; 32] = [42; 32];

/// See the file's head.
pub struct Bench {
    /// The true database, in one file.
    pub whole: Vec<u8>,
    other: PathBuf,
    /// Where one is tampered with.
    pub file: PathBuf,
    /// A checkpoint of its last record.
    pub checkpoint: PathBuf,
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A record of such a log: the genesis, then files that are made, edited, moved and removed in turn.
pub fn record(id: u8, seq: u64) -> (Record, Vec<Vec<u8>>) {
    let actor = if seq.is_multiple_of(3) { "operator:anna" } else { "agent:triage" };
    let (body, blobs) = if seq == 1 {
        (Entry::Genesis { id: [id; 16], format: 1, lacks: Vec::new() }, Vec::new())
    } else {
        wrote(seq)
    };
    let at = 1_790_000_000_000_000 + seq * 1_000;
    let record =
        Record { seq: Seq(seq), at, actor: actor.to_owned(), pid: Pid(seq % 4), cause: Seq(seq), body };
    (record, blobs)
}

/// Four records a file: made, edited, moved, removed (of every other one).
fn wrote(seq: u64) -> (Entry, Vec<Vec<u8>>) {
    let (round, step) = (seq / 4, seq % 4);
    let text = format!("{round} as of record {seq}\n").repeat(3).into_bytes();
    let message = format!("because of {seq}").into_bytes();
    let path =
        |name: &str| TreePath::parse(&format!("/{name}{round}.md")).unwrap_or_else(|_| TreePath::root());
    let gone = step == 3 && round.is_multiple_of(2);
    let change = Change {
        file: FileId(round + 2),
        dir: ROOT,
        path: if step < 2 { path("a") } else { path("b") },
        moved_from: (step == 2).then(|| path("a")),
        version: VersionId(seq),
        node: if gone { Node::Gone } else { Node::File },
        content: if gone { Content::default() } else { Content::of(&text) },
        mode: 0o644,
        mtime: 1_790_000_000_000_000 + seq * 1_000,
        label: LabelId(0),
        parents: if step == 0 { Vec::new() } else { vec![VersionId(seq - 1)] },
        diverged: step == 1 && round.is_multiple_of(5),
        scratch: seq == 4,
    };
    let body = Entry::Wrote {
        op: OpId(seq),
        changes: vec![change],
        message: Some(Content::of(&message)),
        undoes: None,
    };
    (body, vec![text, message])
}

/// Makes an empty workspace.
pub fn begin(dir: &Path) -> Told<Workspace> {
    let options = store::Options { durable: Durable::Null, ..store::Options::default() };
    Workspace::create(dir, &options).map_err(told)
}

/// Adds the records up to this one, each in its own transaction; the hash of the last.
pub fn grow(workspace: &mut Workspace, id: u8, to: u64) -> Told<Hash> {
    while workspace.head().0.0 < to {
        let (record, blobs) = record(id, workspace.head().0.0 + 1);
        let mut batch = workspace.begin().map_err(told)?;
        for bytes in &blobs {
            batch.put_blob(bytes).map_err(told)?;
        }
        batch.append(&record).map_err(told)?;
        batch.commit().map_err(told)?;
    }
    Ok(workspace.head().1)
}

/// A checkpoint, as a node with [`SEED`] signs it.
pub fn line(workspace: [u8; 16], seq: u64, hash: &Hash) -> Told<String> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).map_err(told)?;
    let signature = pair.sign(&audit::signed_bytes(&workspace, "home", seq, &hash.0, 5));
    Ok(format!(
        "{{\"format\":1,\"workspace\":\"{}\",\"name\":\"home\",\"seq\":{seq},\"hash\":\"{hash}\",\"at\":5,\
         \"key\":\"{}\",\"signature\":\"{}\"}}\n",
        audit::to_hex(&workspace),
        audit::to_hex(pair.public_key().as_ref()),
        audit::to_hex(signature.as_ref()),
    ))
}

/// A workspace of so many records as one file, without a write-ahead log; the hash of its end.
fn made(dir: &Path, id: u8, records: u64) -> Told<(PathBuf, Hash)> {
    let mut workspace = begin(dir)?;
    let hash = grow(&mut workspace, id, records)?;
    drop(workspace);
    let file = dir.join("workspace.db");
    let connection = Connection::open(&file).map_err(told)?;
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(told)?;
    Ok((file, hash))
}

impl Bench {
    /// Two workspaces of so many records in this directory.
    pub fn new(dir: &Path, records: u64) -> Told<Self> {
        let (whole, hash) = made(&dir.join("true"), 1, records)?;
        let (other, _) = made(&dir.join("other"), 2, records)?;
        let checkpoint = dir.join("checkpoints.jsonl");
        fs::write(&checkpoint, line([1; 16], records, &hash)?).map_err(told)?;
        let whole = fs::read(whole).map_err(told)?;
        Ok(Self { whole, other, file: dir.join("workspace.db"), checkpoint })
    }

    /// What the verifier says of the file that is tampered with.
    pub fn verify(&self, checkpoint: Option<&Path>) -> audit::Report {
        let options = audit::Options { checkpoint: checkpoint.map(Path::to_path_buf), ..Default::default() };
        audit::verify(&self.file, &options)
    }

    /// Puts the true file there.
    pub fn restore(&self) -> Told<()> {
        fs::write(&self.file, &self.whole).map_err(told)
    }

    /// Runs these statements on a true file.
    pub fn edit(&self, sql: &str) -> Told<()> {
        self.restore()?;
        self.open()?.execute_batch(sql).map_err(told)
    }

    fn open(&self) -> Told<Connection> {
        let db = Connection::open(&self.file).map_err(told)?;
        db.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(())).map_err(told)?;
        db.pragma_update(None, "synchronous", "OFF").map_err(told)?;
        Ok(db)
    }

    /// Does it at this record, which is not the last; the file is tampered with when this returns.
    pub fn tamper(&self, class: Class, at: u64) -> Told<()> {
        self.restore()?;
        let db = self.open()?;
        let row = at.cast_signed();
        match class {
            Class::Flip => flip(&db, row),
            Class::Insert => insert(&db, row),
            Class::Delete => delete(&db, row),
            Class::Reorder => {
                let next = at + 1;
                return self.edit(&format!(
                    "UPDATE records SET seq = -1 WHERE seq = {at};
                     UPDATE records SET seq = {at} WHERE seq = {next};
                     UPDATE records SET seq = {next} WHERE seq = -1;"
                ));
            }
            Class::Truncate if at.is_multiple_of(2) => {
                db.execute_batch(&format!("DELETE FROM records WHERE seq > {at}"))
            }
            Class::Truncate | Class::RollBack => cut(&db, row),
            Class::Swap => self.swap(&db, at),
            Class::Rehash => rehash(&db, row),
        }
        .map_err(told)
    }

    fn swap(&self, db: &Connection, at: u64) -> rusqlite::Result<()> {
        db.execute("ATTACH ? AS other", [self.other.to_string_lossy()])?;
        let from = if at.is_multiple_of(2) { at } else { 0 };
        db.execute_batch(&format!(
            "DELETE FROM records WHERE seq >= {from};
             INSERT INTO records SELECT * FROM other.records WHERE seq >= {from};"
        ))
    }
}

/// A bit of the body; of every fifth record of the hash, the hash before, or the process.
fn flip(db: &Connection, at: i64) -> rusqlite::Result<()> {
    let column = match at % 20 {
        4 => "hash",
        9 => "prev",
        14 => return db.execute("UPDATE records SET pid = pid + 1 WHERE seq = ?", [at]).map(drop),
        _ => "body",
    };
    let sql = format!("SELECT {column} FROM records WHERE seq = ?");
    let mut bytes: Vec<u8> = db.query_row(&sql, [at], |row| row.get(0))?;
    let place = usize::try_from(at * 31).unwrap_or(0) % bytes.len();
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1 << (at % 8);
    }
    db.execute(&format!("UPDATE records SET {column} = ? WHERE seq = ?"), params![bytes, at]).map(drop)
}

/// A forged record after this one: a copy of it that says the next number, chained to it.
fn insert(db: &Connection, at: i64) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "UPDATE records SET seq = -seq - 1 WHERE seq > {at}; UPDATE records SET seq = -seq WHERE seq < 0;"
    ))?;
    let (mut record, _) = record(1, at.cast_unsigned());
    record.seq = record.seq.next();
    let body = musli::wire::to_vec(&record).unwrap_or_default();
    let prev: [u8; 32] = db.query_row("SELECT hash FROM records WHERE seq = ?", [at], |row| row.get(0))?;
    let hash = audit::record_hash(&prev, &body);
    let row = params![at + 1, record.pid.0.cast_signed(), prev, hash, body];
    db.execute("INSERT INTO records VALUES(?,?,?,?,?)", row).map(drop)
}

fn delete(db: &Connection, at: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM records WHERE seq = ?", [at])?;
    if at % 2 == 0 {
        return Ok(());
    }
    db.execute_batch(&format!(
        "UPDATE records SET seq = -seq + 1 WHERE seq > {at}; UPDATE records SET seq = -seq WHERE seq < 0;"
    ))
}

/// The log and all that followed from what is cut: the same as an older copy of the file.
fn cut(db: &Connection, at: i64) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "DELETE FROM records WHERE seq > {at}; DELETE FROM versions WHERE seq > {at}; DELETE FROM heads;
         INSERT INTO heads SELECT file, max(id) FROM versions WHERE diverged = 0 GROUP BY file;
         DELETE FROM entries WHERE from_seq > {at}; UPDATE entries SET to_seq = NULL WHERE to_seq > {at};
         DELETE FROM snapshots WHERE seq > {at};
         DELETE FROM conflicts WHERE version NOT IN (SELECT id FROM versions);"
    ))
}

/// Another actor, in the record and in what follows from it, and every hash from there on.
fn rehash(db: &Connection, at: i64) -> rusqlite::Result<()> {
    let mut rows = db.prepare("SELECT seq, prev, body FROM records WHERE seq >= ? ORDER BY seq")?;
    let rows =
        rows.query_map([at], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))?;
    let rows: Vec<(i64, [u8; 32], Vec<u8>)> = rows.collect::<rusqlite::Result<_>>()?;
    let Some((_, mut prev, _)) = rows.first().cloned() else { return Ok(()) };
    let mut set = db.prepare("UPDATE records SET prev = ?, hash = ?, body = ? WHERE seq = ?")?;
    for (seq, _, mut body) in rows {
        if seq == at {
            let mut forged = record(1, seq.cast_unsigned()).0;
            forged.actor = "operator:eve".to_owned();
            db.execute("UPDATE versions SET actor = ? WHERE seq = ?", params![forged.actor, seq])?;
            body = musli::wire::to_vec(&forged).unwrap_or_default();
        }
        let hash = audit::record_hash(&prev, &body);
        set.execute(params![prev, hash, body, seq])?;
        prev = hash;
    }
    Ok(())
}
