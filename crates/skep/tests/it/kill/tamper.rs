//! The control of the reader: copies of a sound file, each with one thing wrong, and what it must say of it.

use super::{
    book::{audit, digest},
    load::{Ack, Put},
};
use abi::record::{Entry, Record};
use rusqlite::{Connection, params};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A copy that may be spoiled.
struct Copy {
    dir: TempDir,
    db: Connection,
}

/// What is done to it, and what must be said.
type Spoil = (&'static str, fn(&Copy, &Ack));

const SPOILS: [Spoil; 14] = [
    ("its bytes do not give its hash", |copy, _| {
        let (seq, _, body) = copy.middle();
        copy.run("UPDATE records SET body = ? WHERE seq = ?", params![flip(body), seq]);
    }),
    ("it does not follow", |copy, _| {
        let (seq, prev, body) = copy.middle();
        let last = flip(prev);
        let sql = "UPDATE records SET prev = ?, hash = ?, body = ? WHERE seq = ?";
        copy.run(sql, params![last, digest(&last, &body).0, body, seq]);
    }),
    ("a gap", |copy, _| {
        copy.run("DELETE FROM records WHERE seq = ?", [copy.middle().0]);
    }),
    ("no record made it", |copy, _| {
        copy.run("DELETE FROM records WHERE seq > ?", [copy.middle().0]);
    }),
    ("it has no row", |copy, ack| {
        copy.run("DELETE FROM versions WHERE id = ?", [ack.version.cast_signed()]);
    }),
    ("its row is", |copy, ack| {
        copy.run("UPDATE versions SET mtime = mtime + 1 WHERE id = ?", [ack.version.cast_signed()]);
    }),
    ("its bytes are not there", |copy, ack| {
        let sql = "DELETE FROM blobs WHERE hash = (SELECT hash FROM versions WHERE id = ?)";
        copy.run(sql, [ack.version.cast_signed()]);
    }),
    ("its bytes do not give their name", |copy, ack| {
        let sql = "UPDATE blobs SET bytes = x'00' WHERE hash = (SELECT hash FROM versions WHERE id = ?)";
        copy.run(sql, [ack.version.cast_signed()]);
    }),
    ("head of file", |copy, _| {
        copy.run("UPDATE heads SET version = 0 WHERE file = (SELECT max(file) FROM heads)", []);
    }),
    ("entry of file", |copy, _| {
        copy.run("UPDATE entries SET to_seq = 5 WHERE id = (SELECT max(id) FROM entries)", []);
    }),
    ("is bought again", |copy, _| {
        let answered = copy.last(&|body| matches!(body, Entry::ModelAnswered { .. }));
        let Entry::ModelAnswered { effect: bought, .. } = answered.body else { return };
        let again = |body: &Entry| matches!(body, Entry::ModelIntended { effect, .. } if *effect == bought);
        copy.append(copy.last(&again));
    }),
    ("ended twice", |copy, _| {
        copy.append(copy.last(&|body| matches!(body, Entry::EffectEnded { .. })));
    }),
    ("is intended twice", |copy, _| {
        copy.append(copy.last(&|body| matches!(body, Entry::Intended { .. })));
    }),
    ("its time is before", |copy, _| {
        let mut last = copy.last(&|_| true);
        last.at -= 1_000_000;
        copy.append(last);
    }),
];

/// Spoils copies of a file that the reader has found to be sound.
pub fn control(file: &Path, acks: &[Ack], outbox: &Path) {
    let target = acks.iter().rfind(|ack| matches!(ack.what, Put::Whole(_))).unwrap();
    let sound = Copy::of(file);
    audit(&sound.file(), acks, outbox).map(drop).unwrap();
    for (said, spoil) in SPOILS {
        let copy = Copy::of(file);
        spoil(&copy, target);
        let found = audit(&copy.file(), acks, outbox).err().unwrap_or_else(|| panic!("not seen: {said}"));
        assert!(found.contains(said), "{said}: {found}");
    }
    mails(file, acks, outbox);
}

/// A mail too many and one too few.
fn mails(file: &Path, acks: &[Ack], outbox: &Path) {
    let spoiled = TempDir::new().unwrap();
    let names: Vec<_> = fs::read_dir(outbox).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for name in &names {
        fs::copy(outbox.join(name), spoiled.path().join(name)).unwrap();
    }
    let seen = || audit(file, acks, spoiled.path()).is_err_and(|what| what.contains("mail"));
    assert!(!seen(), "the copy is sound");
    let (first, more) = (spoiled.path().join(&names[0]), spoiled.path().join("0000000000000000.eml"));
    fs::copy(&first, &more).unwrap();
    assert!(seen(), "one too many");
    fs::remove_file(&more).unwrap();
    fs::remove_file(&first).unwrap();
    assert!(seen(), "one too few");
}

fn flip(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

impl Copy {
    fn of(file: &Path) -> Self {
        let dir = TempDir::new().unwrap();
        let wal = |file: &Path| PathBuf::from(format!("{}-wal", file.display()));
        let to = dir.path().join("workspace.db");
        fs::copy(file, &to).unwrap();
        if wal(file).exists() {
            fs::copy(wal(file), wal(&to)).unwrap();
        }
        let db = Connection::open(&to).unwrap();
        db.pragma_update(None, "synchronous", "OFF").unwrap();
        Self { dir, db }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("workspace.db")
    }

    fn run(&self, sql: &str, params: impl rusqlite::Params) {
        assert!(self.db.execute(sql, params).unwrap() > 0, "{sql}");
    }

    /// A record that is neither the first nor the last: place, hash before, bytes.
    fn middle(&self) -> (i64, Vec<u8>, Vec<u8>) {
        let sql = "SELECT seq, prev, body FROM records WHERE seq = (SELECT max(seq) / 2 FROM records)";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.db.query_row(sql, [], read).unwrap()
    }

    /// The last record that is such.
    fn last(&self, is: &dyn Fn(&Entry) -> bool) -> Record {
        let mut statement = self.db.prepare("SELECT body FROM records ORDER BY seq DESC").unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let body: Vec<u8> = row.get(0).unwrap();
            let record: Record = musli::wire::from_slice(&body).unwrap();
            if is(&record.body) {
                return record;
            }
        }
        panic!("no such record")
    }

    /// Adds a record in due form: its place, its time unless it is to be wrong, the chain.
    fn append(&self, mut record: Record) {
        let sql = "SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
        let (seq, prev) = self.db.query_row(sql, [], read).unwrap();
        let newest = self.last(&|_| true);
        let wrong = record.seq == newest.seq;
        record.at = if wrong { record.at } else { newest.at };
        record.seq = newest.seq.next();
        let body = musli::wire::to_vec(&record).unwrap();
        let row = params![seq + 1, record.pid.0.cast_signed(), prev, digest(&prev, &body).0, body];
        self.run("INSERT INTO records VALUES(?,?,?,?,?)", row);
    }
}
