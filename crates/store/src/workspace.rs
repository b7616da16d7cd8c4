//! `workspace.db`: one workspace's log, tree and blobs. One writer; everything is written inside a [`Batch`].

use crate::{
    Batch, Options, Trouble, blob,
    chain::{self, Head},
    retain,
    schema::{self, Db},
    scrub,
    version::{bound, hash, number},
};
use abi::{Hash, Pid, Seq, record::Record};
use rusqlite::{hooks::Wal, params};
use std::{
    collections::BTreeSet,
    ffi::c_int,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Name of the file in the workspace's directory.
pub(crate) const FILE: &str = "workspace.db";

/// An open workspace.
pub struct Workspace {
    pub(crate) db: Db,
    pub(crate) head: Head,
    /// Frames of the write-ahead log, as the last commit told.
    pub(crate) frames: Arc<AtomicU32>,
}

impl Workspace {
    /// Makes one where there is none, and opens it.
    pub fn create(dir: &Path, options: &Options) -> Result<Self, Trouble> {
        schema::create(&dir.join(FILE))?;
        Self::open(dir, options)
    }

    /// Opens one that is there.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, Trouble> {
        let mut db = schema::open(&dir.join(FILE), options)?;
        scrub::run(&db)?;
        let head = chain::head(&db)?;
        let frames = Arc::new(AtomicU32::new(0));
        let told = frames.clone();
        // In the place of SQLite's own hook, which would carry the log over inside of a commit.
        let hook = move |_: &mut Wal, count: c_int| {
            told.store(count.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        db.connection.wal_hook(Some(hook)).map_err(|error| Trouble::of(&db.file, error))?;
        Ok(Self { db, head, frames })
    }

    /// Place and hash of the last record; 0 and zeros when there is none.
    pub fn head(&self) -> (Seq, Hash) {
        self.head
    }

    /// The newest snapshot that is whole, and after which record it was taken.
    pub fn snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, Trouble> {
        let sql = "SELECT seq, hash, bytes FROM snapshots WHERE seq <= ? ORDER BY seq DESC LIMIT 2";
        let read = |row: &rusqlite::Row<'_>| Ok((number(row, 0)?, hash(row, 1)?, row.get::<_, Vec<u8>>(2)?));
        let all = self.db.all(sql, [bound(self.head.0)], read)?;
        let whole = all.into_iter().find(|(_, hash, bytes)| Hash::of(bytes) == *hash);
        Ok(whole.map(|(seq, _, bytes)| (Seq(seq), bytes)))
    }

    /// Keeps a snapshot of the state after this record, and the one before it.
    pub fn save_snapshot(&mut self, seq: Seq, bytes: &[u8]) -> Result<(), Trouble> {
        let batch = self.begin()?;
        let db = batch.db();
        let row = params![seq.0.cast_signed(), Hash::of(bytes).0, bytes];
        db.run("INSERT OR REPLACE INTO snapshots VALUES(?,?,?)", row)?;
        db.run(
            "DELETE FROM snapshots WHERE seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT 2)",
            [],
        )?;
        batch.commit()
    }

    /// Hands over every record after `after`, oldest first, and proves the chain; says how many.
    pub fn replay(&self, after: Seq, each: &mut dyn FnMut(Record)) -> Result<u64, Trouble> {
        chain::replay(&self.db, after, each)
    }

    /// Takes the bytes of versions that need not be kept; says how many contents went.
    pub fn sweep(&mut self) -> Result<u64, Trouble> {
        let batch = self.begin()?;
        let went = retain::sweep(batch.db())?;
        batch.commit()?;
        Ok(went)
    }

    /// Takes purged bytes out of every file of the workspace.
    pub fn scrub(&mut self) -> Result<(), Trouble> {
        scrub::run(&self.db)
    }

    /// Starts a transaction. Nothing of it is there until it is committed.
    pub fn begin(&mut self) -> Result<Batch<'_>, Trouble> {
        Batch::begin(self)
    }

    /// Bytes of a blob, if it is kept.
    pub fn blob(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Trouble> {
        blob::get(&self.db, hash)
    }

    /// At most `limit` records after `from`, oldest first, with their hashes; of these processes or of all.
    pub fn records(
        &self,
        from: Seq,
        limit: u32,
        pids: Option<&BTreeSet<Pid>>,
    ) -> Result<Vec<(Record, Hash)>, Trouble> {
        chain::records(&self.db, from, limit, pids)
    }
}
