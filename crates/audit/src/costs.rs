//! What model calls came to, folded anew from the records of their ends, against the table of it.

use crate::{
    report::Report,
    source::{self, Source},
    wire::Value,
};
use std::collections::BTreeMap;

/// Number of the entries in which a model call ends, and in each the field that says what was charged, that
/// says whose it was, and how many of it failed and were lost.
const ENDS: [(u64, u64, u64, [i64; 2]); 3] = [(17, 5, 8, [0, 0]), (18, 3, 4, [1, 0]), (19, 1, 2, [0, 1])];
/// Fields of an amount in the order of the table: tokens in, out, cached, written, money.
const AMOUNTS: [u64; 5] = [0, 1, 2, 6, 3];
const DAY_US: u64 = 86_400_000_000;
const REBUILD: &str = "restore the workspace from a backup; the log itself says what calls cost";

/// Day, agent, model.
type Key = (u64, String, String);

/// The sums as they follow from the log.
#[derive(Default)]
pub struct Costs(BTreeMap<Key, [i64; 8]>);

impl Costs {
    /// Takes in a record whose place in the chain is proved.
    pub fn record(&mut self, record: &Value<'_>) {
        let Some((kind, entry)) = record.field(5).and_then(Value::variant) else { return };
        let Some((_, charged, bill, [failed, lost])) = ENDS.into_iter().find(|end| end.0 == kind) else {
            return;
        };
        let of = |field| {
            let text = entry.field(bill).and_then(|bill| bill.field(field)).and_then(Value::text);
            text.unwrap_or_default().to_owned()
        };
        let at = record.field(1).and_then(Value::number).unwrap_or_default();
        let amount = |field| entry.field(charged).and_then(|all| all.field(field)).and_then(signed);
        let [tokens_in, tokens_out, cached, written, money] = AMOUNTS.map(|field| amount(field).unwrap_or(0));
        let row = [1, failed, lost, tokens_in, tokens_out, cached, written, money];
        let sum = self.0.entry((at / DAY_US, of(1), of(2))).or_default();
        for (sum, more) in sum.iter_mut().zip(row) {
            *sum = sum.saturating_add(more);
        }
    }

    /// Compares the table, where the format has one.
    pub fn finish(mut self, source: &Source, report: &mut Report) {
        if !source.has("costs") {
            return;
        }
        let sql = "SELECT id, day, agent, model, calls, failed, lost, tokens_in, tokens_out, tokens_cached,
            tokens_written, money FROM costs ORDER BY id";
        source.rise(sql, "costs", report, |report, id, row| {
            let key = || Some((source::number(row, 1)?, source::text(row, 2)?, source::text(row, 3)?));
            let due = key().and_then(|key| self.0.remove(&key));
            let column = |ix: usize| source::number(row, ix + 4).map(u64::cast_signed);
            let stands = |due: [i64; 8]| due.iter().enumerate().all(|(ix, sum)| column(ix) == Some(*sum));
            if !due.is_some_and(stands) {
                report.find(
                    None,
                    format!("row {id} of what calls cost does not follow from the log"),
                    REBUILD,
                );
            }
        });
        if let Some((day, agent, model)) = self.0.into_keys().next() {
            let what = format!("what {agent:?} spent on {model:?} on day {day} since 1970 is missing");
            report.find(None, what, REBUILD);
        }
    }
}

/// A signed number, which is written so that small ones stay short: 0, -1, 1, -2, …
fn signed(value: &Value<'_>) -> Option<i64> {
    let number = value.number()?;
    let half = (number >> 1).cast_signed();
    Some(if number & 1 == 0 { half } else { !half })
}
