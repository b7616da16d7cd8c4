//! The log: records as bytes, each hashed with the hash of the one before it; old ones in segments, which
//! every function here but `head`, `append` and `rows` reads as if they still lay in the file.
//!
//! ```text
//! body = musli wire of the record        hash = BLAKE3("skep-record", prev, body), fields by length
//! ```
//!
//! A record is believed only when its bytes give its hash and its `prev` is the hash before it. Never here:
//! what a record means.

use crate::{
    Trouble,
    schema::{Db, Flow},
    segment,
    version::{bound, hash, number},
};
use abi::{Hash, Pid, Seq, call::At, limits, record::Record};
use rusqlite::{Row, params};
use std::collections::BTreeSet;

/// Where a log ends: the last record's place and hash; 0 and zeros before the first.
pub(crate) type Head = (Seq, Hash);

fn digest(prev: &Hash, body: &[u8]) -> Hash {
    Hash::of_fields("skep-record", &[&prev.0, body])
}

/// The end of the log in the file.
pub(crate) fn head(db: &Db) -> Result<Head, Trouble> {
    let sql = "SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1";
    let last = db.one(sql, [], |row| Ok((Seq(number(row, 0)?), hash(row, 1)?)))?;
    Ok(last.unwrap_or_default())
}

/// Adds a record after `last`; says where the log ends then.
pub(crate) fn append(db: &Db, last: Head, record: &Record) -> Result<Head, Trouble> {
    let (seq, prev) = last;
    if record.seq != seq.next() || i64::try_from(record.seq.0).is_err() {
        return Err(db.corrupt(format!("record {} does not follow record {seq}", record.seq)));
    }
    let body = musli::wire::to_vec(record).map_err(|error| db.corrupt(error.to_string()))?;
    let hash = digest(&prev, &body);
    let row = params![record.seq.0.cast_signed(), record.pid.0.cast_signed(), prev.0, hash.0, body];
    db.run("INSERT INTO records VALUES(?,?,?,?,?)", row)?;
    Ok((record.seq, hash))
}

/// Reads the columns `seq, pid, prev, hash, body`, checking all of them but that `prev` is what it should be.
fn read(db: &Db, row: &Row<'_>) -> Result<(Record, Hash, Hash), Trouble> {
    let of = |error| Trouble::of(&db.file, error);
    let seq = number(row, 0).map_err(of)?;
    let pid = number(row, 1).map_err(of)?;
    let (prev, hash) = (hash(row, 2).map_err(of)?, hash(row, 3).map_err(of)?);
    let body = row.get_ref(4).map_err(of)?.as_blob().map_err(|error| db.corrupt(error.to_string()))?;
    if digest(&prev, body) != hash {
        return Err(db.corrupt(format!("the bytes of record {seq} are not those that were written")));
    }
    let record: Record =
        musli::wire::from_slice(body).map_err(|error| db.corrupt(format!("record {seq}: {error}")))?;
    if (record.seq, record.pid) != (Seq(seq), Pid(pid)) {
        return Err(db.corrupt(format!("record {} stands in the place of record {seq}", record.seq)));
    }
    Ok((record, prev, hash))
}

/// A record as it lies in the file, its bytes proved.
pub(crate) struct Raw<'a> {
    pub seq: Seq,
    pub pid: i64,
    pub prev: Hash,
    pub hash: Hash,
    pub body: &'a [u8],
}

/// Hands over these records of this file as they lie in it, each proved to follow the one before.
pub(crate) fn rows(
    db: &Db,
    (first, last): (Seq, Seq),
    take: &mut dyn FnMut(Raw<'_>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let sql = "SELECT seq, pid, prev, hash, body FROM records WHERE seq BETWEEN ? AND ? ORDER BY seq";
    let mut before: Option<Head> = None;
    db.each(sql, [bound(first), bound(last)], |row| {
        let (record, prev, hash) = read(db, row)?;
        follows(db, before, &record, prev)?;
        before = Some((record.seq, hash));
        let of = |error| Trouble::of(&db.file, error);
        let body = row.get_ref(4).map_err(of)?.as_blob().map_err(|error| db.corrupt(error.to_string()))?;
        take(Raw { seq: record.seq, pid: record.pid.0.cast_signed(), prev, hash, body })?;
        Ok(Flow::Go)
    })
}

fn follows(db: &Db, before: Option<Head>, record: &Record, prev: Hash) -> Result<(), Trouble> {
    match before {
        Some((seq, hash)) if record.seq != seq.next() || prev != hash => {
            Err(db.corrupt(format!("record {} does not follow record {seq}", record.seq)))
        }
        _ => Ok(()),
    }
}

/// Hands over every record after `after`, oldest first, and proves the chain; says how many.
pub(crate) fn replay(db: &Db, after: Seq, each: &mut dyn FnMut(Record)) -> Result<u64, Trouble> {
    let mut last = (after, Hash::default());
    if after != Seq(0) {
        last.1 = hash_of(db, after)?;
    }
    let mut count = 0;
    for segment in segment::between(db, after, Seq(u64::MAX))? {
        count += segment::with(db, &segment, |sealed| walk(sealed, &mut last, each))?;
    }
    Ok(count + walk(db, &mut last, each)?)
}

/// Hands over every record that can be read, oldest first, and proves the chain; what a lost segment held is
/// left out.
pub(crate) fn survey(db: &Db, each: &mut dyn FnMut(Record)) -> Result<(), Trouble> {
    let mut last = (Seq(0), Hash::default());
    for segment in segment::between(db, Seq(0), Seq(u64::MAX))? {
        match segment::with(db, &segment, |sealed| walk(sealed, &mut last, each)) {
            Ok(_) => {}
            Err(Trouble::Segment { .. }) => last = (segment.last, segment.hash),
            Err(trouble) => return Err(trouble),
        }
    }
    walk(db, &mut last, each).map(drop)
}

/// The hash of a record that must be there.
fn hash_of(db: &Db, seq: Seq) -> Result<Hash, Trouble> {
    let sql = "SELECT hash FROM records WHERE seq = ?";
    let here = |db: &Db| db.one(sql, [bound(seq)], |row| hash(row, 0));
    let found = match (here(db)?, segment::of(db, seq)?) {
        (None, Some(segment)) => segment::with(db, &segment, here)?,
        (found, _) => found,
    };
    found.ok_or_else(|| db.corrupt(format!("record {seq} is not there")))
}

/// Goes on through one file, after `last`.
fn walk(db: &Db, last: &mut Head, each: &mut dyn FnMut(Record)) -> Result<u64, Trouble> {
    let sql = "SELECT seq, pid, prev, hash, body FROM records WHERE seq > ? ORDER BY seq";
    let mut count = 0;
    db.each(sql, [bound(last.0)], |row| {
        let (record, prev, hash) = read(db, row)?;
        follows(db, Some(*last), &record, prev)?;
        *last = (record.seq, hash);
        count += 1;
        each(record);
        Ok(Flow::Go)
    })?;
    Ok(count)
}

/// One record, with its hash.
pub(crate) fn one(db: &Db, seq: Seq) -> Result<Option<(Record, Hash)>, Trouble> {
    match here(db, seq)? {
        Some(found) => Ok(Some(found)),
        None => match segment::of(db, seq)? {
            Some(segment) => segment::with(db, &segment, |sealed| here(sealed, seq)),
            None => Ok(None),
        },
    }
}

fn here(db: &Db, seq: Seq) -> Result<Option<(Record, Hash)>, Trouble> {
    let mut found = None;
    db.each("SELECT seq, pid, prev, hash, body FROM records WHERE seq = ?", [bound(seq)], |row| {
        let (record, _, hash) = read(db, row)?;
        found = Some((record, hash));
        Ok(Flow::Stop)
    })?;
    Ok(found)
}

/// Asks each file that has records after one and up to another, oldest first, until it is told to stop.
fn files(
    db: &Db,
    (after, upto): (Seq, Seq),
    ask: &mut dyn FnMut(&Db) -> Result<Flow, Trouble>,
) -> Result<(), Trouble> {
    for segment in segment::between(db, after, upto)? {
        if segment::with(db, &segment, |sealed| ask(sealed))? == Flow::Stop {
            return Ok(());
        }
    }
    ask(db).map(drop)
}

/// The last record that is not later than this moment.
pub(crate) fn seq_at(db: &Db, at: At) -> Result<Seq, Trouble> {
    let time = match at {
        At::Seq(seq) => return Ok(seq),
        At::Time(time) => time,
    };
    // Time never runs backwards in the log, so halving finds it. Sealed records are only asked when the
    // moment lies among them.
    let first = db.one("SELECT seq FROM records ORDER BY seq LIMIT 1", [], |row| number(row, 0))?;
    let (mut low, mut high) = (0, head(db)?.0.0);
    if let Some(first) = first {
        match here(db, Seq(first))? {
            Some((record, _)) if record.at <= time => low = first,
            _ => high = first - 1,
        }
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match one(db, Seq(middle))? {
            Some((record, _)) if record.at <= time => low = middle,
            _ => high = middle - 1,
        }
    }
    Ok(Seq(low))
}

/// At most `limit` records after `from`, oldest first, with their hashes; of these processes or of all.
pub(crate) fn records(
    db: &Db,
    from: Seq,
    limit: u32,
    pids: Option<&BTreeSet<Pid>>,
) -> Result<Vec<(Record, Hash)>, Trouble> {
    let limit = limit.min(limits::LISTING_MAX) as usize;
    let mut found = Vec::new();
    files(db, (from, Seq(u64::MAX)), &mut |db| {
        let left = limit - found.len();
        page(db, from, left, pids, &mut found)?;
        Ok(if found.len() < limit { Flow::Go } else { Flow::Stop })
    })?;
    Ok(found)
}

/// The same of one file.
fn page(
    db: &Db,
    from: Seq,
    limit: usize,
    pids: Option<&BTreeSet<Pid>>,
    found: &mut Vec<(Record, Hash)>,
) -> Result<(), Trouble> {
    let mut take = |row: &Row<'_>| {
        let (record, _, hash) = read(db, row)?;
        found.push((record, hash));
        Ok(Flow::Go)
    };
    let Some(pids) = pids else {
        let sql = "SELECT seq, pid, prev, hash, body FROM records WHERE seq > ? ORDER BY seq LIMIT ?";
        return db.each(sql, params![bound(from), limit as i64], take);
    };
    for seq in places(db, from, limit, pids)? {
        db.each("SELECT seq, pid, prev, hash, body FROM records WHERE seq = ?", [seq], &mut take)?;
    }
    Ok(())
}

/// Where the first `limit` records of these processes stand in one file.
fn places(db: &Db, from: Seq, limit: usize, pids: &BTreeSet<Pid>) -> Result<BTreeSet<i64>, Trouble> {
    let mut seqs: BTreeSet<i64> = BTreeSet::new();
    for pid in pids {
        let sql = "SELECT seq FROM records WHERE pid = ? AND seq > ? ORDER BY seq LIMIT ?";
        let row = params![pid.0.cast_signed(), bound(from), limit as i64];
        seqs.extend(db.all(sql, row, |row| row.get::<_, i64>(0))?);
        while seqs.len() > limit {
            seqs.pop_last();
        }
    }
    Ok(seqs)
}

/// Hands over the bytes of every record, sealed ones first, unproved: for looking which ones are worth a
/// closer look.
pub(crate) fn bodies(db: &Db, take: &mut dyn FnMut(&[u8]) -> Result<(), Trouble>) -> Result<(), Trouble> {
    files(db, (Seq(0), Seq(u64::MAX)), &mut |db| {
        db.each("SELECT body FROM records", [], |row| {
            let of = |error| Trouble::of(&db.file, error);
            take(row.get_ref(0).map_err(of)?.as_blob().map_err(|error| db.corrupt(error.to_string()))?)?;
            Ok(Flow::Go)
        })?;
        Ok(Flow::Go)
    })
}
