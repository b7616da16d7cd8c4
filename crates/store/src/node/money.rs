//! Money of the node: the budget of a day, and the slices of it lent to workspaces.
//!
//! ```text
//! lease  ──▶ open (workspace, day, granted) ──▶ settle: what was spent goes to that day
//!                     │
//!                 crash: a leftover ──▶ settle, when replay knows what was spent
//!                                  └──▶ lease again: all of it goes to that day
//! ```
//!
//! What is out on lease counts as spent until it is settled, whatever day it is from, so all workspaces
//! together never get more of a day than its budget. A lease belongs to the day it was taken for: when the
//! day turns, or it is used up, it is renewed. It carries the place in the workspace's log at which it was
//! taken, so that nothing is settled twice wherever a crash falls. Never here: a clock, or what a workspace
//! does with its slice.

use super::{Node, Within, signed};
use crate::Trouble;
use abi::{Seq, money::Nano};
use rusqlite::{OptionalExtension, params};

/// A place in a workspace's log, and what the workspace has spent there, by its own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last record.
    pub seq: Seq,
    /// Counted from when it woke.
    pub spent: Nano,
}

/// What a new node may spend in a day: $5.
pub const BUDGET_DAY: Nano = Nano(5_000_000_000);
/// Days whose spending is kept: a year, for looking back. By number of days, not by age, so that one jump of
/// the clock does not wipe them.
const DAYS_KEPT: i64 = 366;

impl Node {
    /// What all workspaces together may spend in a day.
    pub fn budget_day(&self) -> Result<Nano, Trouble> {
        let found = self.db.one("SELECT budget_day FROM node", [], |row| row.get(0).map(Nano))?;
        found.ok_or_else(|| self.db.corrupt("its budget is gone"))
    }

    /// Sets it; less than nothing is nothing. Leases that are out stay as granted.
    pub fn set_budget_day(&mut self, budget: Nano) -> Result<(), Trouble> {
        self.db.run("UPDATE node SET budget_day = ?1", params![budget.0.max(0)]).map(drop)
    }

    /// What was settled, or lost to a crash, on this day (a number of days since 1970, UTC).
    pub fn spent_day(&self, day: u64) -> Result<Nano, Trouble> {
        let found =
            self.db.one("SELECT nano FROM spent WHERE day = ?1", params![signed(day)], |row| row.get(0))?;
        Ok(Nano(found.unwrap_or(0)))
    }

    /// What of a day's budget is neither spent nor out; below nothing when more was spent than lent.
    pub fn left(&mut self, day: u64) -> Result<Nano, Trouble> {
        self.change(|within| within.left(signed(day)).map(Nano))
    }

    /// Lends this workspace what is left of the day, at most `want`, maybe nothing; durable when this
    /// returns. Spending is counted from `from`. A lease it still had open is first closed as spent in full.
    /// `Missing` if it is not registered.
    pub fn lease(&mut self, name: &str, want: Nano, day: u64, from: Mark) -> Result<Nano, Trouble> {
        self.lend(name, want, day, (from, None))
    }

    /// Settles what is open as of `from` and lends anew from there, as one change: what comes back can be
    /// lent again.
    pub fn renew(&mut self, name: &str, want: Nano, day: u64, from: Mark) -> Result<Nano, Trouble> {
        self.lend(name, want, day, (from, Some(from)))
    }

    fn lend(
        &mut self,
        name: &str,
        want: Nano,
        day: u64,
        (from, settled): (Mark, Option<Mark>),
    ) -> Result<Nano, Trouble> {
        let missing = Trouble::Missing { file: self.place(name) };
        let day = signed(day);
        let granted = self.change(|within| {
            let sql = "SELECT 1 FROM workspace WHERE name = ?1";
            if within.0.query_row(sql, [name], |_| Ok(())).optional()?.is_none() {
                return Ok(None);
            }
            within.close(name, settled)?;
            let granted = want.0.min(within.left(day)?).max(0);
            let sql = "INSERT INTO lease (workspace, day, granted, seq, base) VALUES (?1, ?2, ?3, ?4, ?5)";
            within.0.execute(sql, params![name, day, granted, signed(from.seq.0), from.spent.0])?;
            Ok(Some(Nano(granted)))
        })?;
        granted.ok_or(missing)
    }

    /// Closes this workspace's open lease with what was really spent since it was taken, be it more than was
    /// granted. Without an open lease nothing happens, so a settling that was cut off can be made again.
    pub fn settle(&mut self, name: &str, now: Mark) -> Result<(), Trouble> {
        self.change(|within| within.close(name, Some(now)))
    }

    /// What this workspace has open. Before it is loaded: what a crash left, to be settled after replay.
    pub fn leftover(&self, name: &str) -> Result<Option<Nano>, Trouble> {
        self.db
            .one("SELECT granted FROM lease WHERE workspace = ?1", params![name], |row| row.get(0).map(Nano))
    }
}

impl Within<'_> {
    /// Closes an open lease as spent up to a mark, or in full. A mark at the very record the lease was taken
    /// at says that nothing was spent: the workspace had not even begun to count.
    fn close(&self, name: &str, now: Option<Mark>) -> rusqlite::Result<()> {
        let sql = "DELETE FROM lease WHERE workspace = ?1 RETURNING day, granted, seq, base";
        let mut closing = self.0.prepare_cached(sql)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let open: Option<(i64, i64, i64, i64)> = closing.query_row([name], row).optional()?;
        let Some((day, granted, seq, base)) = open else { return Ok(()) };
        let spent = match now {
            None => granted,
            Some(now) if signed(now.seq.0) == seq => 0,
            Some(now) => now.spent.0.saturating_sub(base).max(0),
        };
        let total = self.spent(day)?.saturating_add(spent);
        self.0.execute("INSERT OR REPLACE INTO spent (day, nano) VALUES (?1, ?2)", [day, total])?;
        let sql = "DELETE FROM spent WHERE day <> ?1
            AND day NOT IN (SELECT day FROM spent ORDER BY day DESC LIMIT ?2)";
        self.0.execute(sql, [day, DAYS_KEPT])?;
        Ok(())
    }

    fn spent(&self, day: i64) -> rusqlite::Result<i64> {
        let mut query = self.0.prepare_cached("SELECT nano FROM spent WHERE day = ?1")?;
        Ok(query.query_row([day], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// What of the day's budget is neither spent nor out.
    fn left(&self, day: i64) -> rusqlite::Result<i64> {
        let budget: i64 = self.0.query_row("SELECT budget_day FROM node", [], |row| row.get(0))?;
        let mut query = self.0.prepare_cached("SELECT granted FROM lease")?;
        let mut left = budget.saturating_sub(self.spent(day)?);
        for granted in query.query_map([], |row| row.get::<_, i64>(0))? {
            left = left.saturating_sub(granted?);
        }
        Ok(left)
    }
}
