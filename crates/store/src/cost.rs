//! What model calls came to: a fold of the ledger's rows, which are the records of settled calls, into sums
//! of a day, an agent and a model. Days are those of UTC, counted from 1970. Never here: what a limit is.

use crate::{Trouble, schema::Db};
use abi::{
    Micros,
    fact::Cost,
    money::{Amounts, DAY_US, Nano},
    record::{Bill, Entry, Record},
};
use rusqlite::{Row, params};

/// How a call ended.
enum End {
    Answered,
    Failed,
    Lost,
}

/// Books a settled call.
pub(crate) fn fold(db: &Db, record: &Record) -> Result<(), Trouble> {
    match &record.body {
        #[cfg(feature = "plant")]
        Entry::ModelLost { .. } if crate::plant::is(crate::plant::LOST_UNCOUNTED) => Ok(()),
        Entry::ModelAnswered { charged, bill, .. } => book(db, record.at, (End::Answered, charged, bill)),
        Entry::ModelFailed { charged, bill, .. } => book(db, record.at, (End::Failed, charged, bill)),
        Entry::ModelLost { charged, bill, .. } => book(db, record.at, (End::Lost, charged, bill)),
        _ => Ok(()),
    }
}

fn book(db: &Db, at: Micros, (end, charged, bill): (End, &Amounts, &Bill)) -> Result<(), Trouble> {
    let day = (at / DAY_US).cast_signed();
    let stands = "SELECT calls, failed, lost, tokens_in, tokens_out, tokens_cached, tokens_written, money
        FROM costs WHERE day = ? AND agent = ? AND model = ?";
    let sums = db.one(stands, params![day, bill.agent, bill.model], |row| {
        let mut sums = [0_i64; 8];
        for (ix, sum) in sums.iter_mut().enumerate() {
            *sum = row.get(ix)?;
        }
        Ok(sums)
    })?;
    let more = [
        1,
        i64::from(matches!(end, End::Failed)),
        i64::from(matches!(end, End::Lost)),
        charged.tokens_in,
        charged.tokens_out,
        charged.tokens_cached,
        charged.tokens_written,
        charged.money.0,
    ];
    // Added here, where a sum stops at its end: a provider may say any number, again and again.
    let mut sums = sums.unwrap_or_default();
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    let [calls, failed, lost, tokens_in, tokens_out, cached, written, money] = sums;
    let sql =
        "INSERT INTO costs(day, agent, model, calls, failed, lost, tokens_in, tokens_out, tokens_cached,
        tokens_written, money) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT(day, agent, model) DO UPDATE SET calls = excluded.calls, failed = excluded.failed,
        lost = excluded.lost, tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out,
        tokens_cached = excluded.tokens_cached, tokens_written = excluded.tokens_written,
        money = excluded.money";
    let row = params![
        day, bill.agent, bill.model, calls, failed, lost, tokens_in, tokens_out, cached, written, money
    ];
    db.run(sql, row).map(drop)
}

/// The sums of the days from one up to, not with, another, oldest first; at most `limit`.
pub(crate) fn between(db: &Db, (from, to): (u64, u64), limit: u32) -> Result<Vec<Cost>, Trouble> {
    let sql = "SELECT day, agent, model, calls, failed, lost, tokens_in, tokens_out, tokens_cached,
        tokens_written, money FROM costs WHERE day >= ? AND day < ? ORDER BY day, agent, model LIMIT ?";
    let bound = |day: u64| i64::try_from(day).unwrap_or(i64::MAX);
    db.all(sql, params![bound(from), bound(to), limit], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Cost> {
    let count = |ix: usize| row.get::<_, i64>(ix).map(i64::cast_unsigned);
    Ok(Cost {
        day: count(0)?,
        agent: row.get(1)?,
        model: row.get(2)?,
        calls: count(3)?,
        failed: count(4)?,
        lost: count(5)?,
        charged: Amounts {
            tokens_in: row.get(6)?,
            tokens_out: row.get(7)?,
            tokens_cached: row.get(8)?,
            tokens_written: row.get(9)?,
            money: Nano(row.get(10)?),
            calls: row.get(3)?,
            effects: 0,
        },
    })
}

/// The first and the last day on which something was booked.
pub(crate) fn days(db: &Db) -> Result<Option<(u64, u64)>, Trouble> {
    let ends = |sql: &str| db.one(sql, [], |row| row.get::<_, i64>(0).map(i64::cast_unsigned));
    let first = ends("SELECT day FROM costs ORDER BY day LIMIT 1")?;
    let last = ends("SELECT day FROM costs ORDER BY day DESC LIMIT 1")?;
    Ok(first.zip(last))
}
