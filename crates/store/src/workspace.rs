//! `workspace.db`: one workspace's log, tree and blobs. One writer; everything is written inside a [`Batch`].

use crate::{
    Batch, Options, Trouble, blob,
    chain::{self, Head},
    index::Slot,
    large::Pins,
    retain,
    schema::{self, Db},
    scrub, segment,
    version::{bound, hash, number},
};
use abi::{Hash, Pid, Seq, limits, record::Record};
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
    segment: u64,
    pub(crate) index: Slot,
    pub(crate) options: Options,
}

impl Workspace {
    /// Makes one where there is none, and opens it.
    pub fn create(dir: &Path, options: &Options) -> Result<Self, Trouble> {
        Self::create_beside(dir, options, Pins::default())
    }

    /// The same, for one into which uploads may come that hold these chunks.
    pub fn create_beside(dir: &Path, options: &Options, pins: Pins) -> Result<Self, Trouble> {
        schema::create(&dir.join(FILE))?;
        Self::open_beside(dir, options, pins)
    }

    /// Opens one that is there.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, Trouble> {
        Self::open_beside(dir, options, Pins::default())
    }

    /// The same, while uploads into it go on that hold these chunks.
    pub fn open_beside(dir: &Path, options: &Options, pins: Pins) -> Result<Self, Trouble> {
        let mut db = schema::open(&dir.join(FILE), options, pins)?;
        // What hinders it (no room, somebody reading) hinders nothing else: it is tried again.
        let _ = scrub::run(&db);
        // What is left over does no harm but takes room: if it cannot go now, it goes another time.
        let _ = blob::sweep(&db);
        let head = chain::head(&db)?;
        let frames = Arc::new(AtomicU32::new(0));
        let told = frames.clone();
        // In the place of SQLite's own hook, which would carry the log over inside of a commit.
        let hook = move |_: &mut Wal, count: c_int| {
            told.store(count.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        db.connection.wal_hook(Some(hook)).map_err(|error| Trouble::of(&db.file, error))?;
        Ok(Self {
            db,
            head,
            frames,
            segment: options.segment.unwrap_or(limits::SEGMENT_RECORDS),
            index: Slot::Closed,
            options: options.clone(),
        })
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

    /// What is not urgent: purged bytes that could not go at once, bytes of versions that need not be kept,
    /// old records that are sealed. Each is done as far as it can be; the first trouble is told.
    pub fn tend(&mut self) -> Result<(), Trouble> {
        let scrubbed = self.scrub();
        let swept = self.sweep();
        let sealed = self.seal();
        scrubbed.and(swept.map(drop)).and(sealed.map(drop))
    }

    /// Takes the bytes of versions that need not be kept; says how many contents went.
    pub fn sweep(&mut self) -> Result<u64, Trouble> {
        let mut went = 0;
        while retain::due(&self.db)? {
            let batch = self.begin()?;
            let swept = retain::sweep(batch.db())?;
            batch.commit()?;
            went += swept.went;
            if swept.left == 0 {
                break;
            }
        }
        if went > 0 {
            blob::sweep(&self.db)?;
        }
        Ok(went)
    }

    /// Moves the oldest records that need not lie in the file into a segment, one segment at a time; whether
    /// there were any.
    pub fn seal(&mut self) -> Result<bool, Trouble> {
        let Some(range) = segment::due(&self.db, self.segment)? else { return Ok(false) };
        let sealed = segment::write(&self.db, range)?;
        let batch = self.begin()?;
        segment::name(batch.db(), &sealed)?;
        batch.commit()?;
        Ok(true)
    }

    /// How many segments old records are sealed in.
    pub fn segments(&self) -> Result<usize, Trouble> {
        Ok(segment::between(&self.db, Seq(0), Seq(u64::MAX))?.len())
    }

    /// Whether purged bytes are still to be taken out of the files.
    pub fn scrub_due(&self) -> Result<bool, Trouble> {
        scrub::due(&self.db)
    }

    /// Takes purged bytes out of every file of the workspace.
    pub fn scrub(&mut self) -> Result<(), Trouble> {
        self.index = Slot::Closed;
        scrub::run(&self.db)
    }

    /// Brings the index closer to the tree until it is there or is told to stop. It is never wrong to stop,
    /// or not to call this at all: a search says how far the index is.
    pub fn fold_index(&mut self, until: &mut dyn FnMut() -> bool) -> Result<(), Trouble> {
        self.index.fold((&self.db, self.head), &self.options, until)
    }

    /// Up to which record the index is folded; none when there can be no index: so nobody tries for ever.
    pub fn indexed(&self) -> Option<Seq> {
        self.index.settled()
    }

    /// Whether there is something to fold.
    pub fn is_index_behind(&self) -> bool {
        self.indexed().is_some_and(|settled| settled < self.head.0)
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
