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
    let sums = ["tokens_in", "tokens_out", "tokens_cached", "tokens_written", "money"].iter().zip(6..);
    let sums: Vec<String> = sums.map(|(column, ix)| saturating(column, ix)).collect();
    let sql = format!(
        "INSERT INTO costs(day, agent, model, calls, failed, lost, tokens_in, tokens_out, tokens_cached,
        tokens_written, money) VALUES(?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT(day, agent, model) DO UPDATE SET calls = calls + 1, failed = failed + ?4, lost = lost + ?5,
        {}",
        sums.join(", ")
    );
    let day = (at / DAY_US).cast_signed();
    let (failed, lost) = (matches!(end, End::Failed), matches!(end, End::Lost));
    db.run(
        &sql,
        params![
            day,
            bill.agent,
            bill.model,
            failed,
            lost,
            charged.tokens_in,
            charged.tokens_out,
            charged.tokens_cached,
            charged.tokens_written,
            charged.money.0
        ],
    )
    .map(drop)
}

/// A sum that stays at the largest number, as everywhere: a provider may claim any usage, and SQLite makes a
/// fraction of what is too large for it.
fn saturating(column: &str, ix: usize) -> String {
    let most = i64::MAX;
    format!("{column} = CASE WHEN {column} > {most} - ?{ix} THEN {most} ELSE {column} + ?{ix} END")
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
