//! `skep cost`.

use crate::{
    card,
    fail::{Exit, Fail, Outcome},
    figures, moment,
    session::Session,
    table::Table,
};
use abi::{
    calendar,
    money::{Amounts, DAY_US, Nano},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// What model calls came to, by agent, model or day (UTC), out of the ledger
#[derive(Debug, clap::Args)]
pub struct Cost {
    /// What is summed up
    #[arg(long, value_enum, default_value_t = By::Agent)]
    by: By,
    /// From this day on: 2026-11-20, or so long ago: 7d; the first of this month if not given
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// Up to this day and with it; today if not given
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Agent,
    Model,
    Day,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Day => "day",
        }
    }
}

/// Settled calls, and what was charged for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    calls: u64,
    failed: u64,
    lost: u64,
    charged: Amounts,
}

impl Sum {
    fn plus(&self, other: &Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            failed: self.failed.saturating_add(other.failed),
            lost: self.lost.saturating_add(other.lost),
            charged: self.charged.plus(&other.charged),
        }
    }

    /// All input tokens, cached or not.
    fn input(&self) -> i64 {
        let Amounts { tokens_in, tokens_cached, tokens_written, .. } = self.charged;
        tokens_in.saturating_add(tokens_cached).saturating_add(tokens_written)
    }

    fn json(&self) -> serde_json::Map<String, Value> {
        let charged = &self.charged;
        let value = json!({
            "calls": self.calls,
            "failed": self.failed,
            "lost": self.lost,
            "tokens_in": charged.tokens_in,
            "tokens_cached": charged.tokens_cached,
            "tokens_written": charged.tokens_written,
            "tokens_out": charged.tokens_out,
            "cost": charged.money.to_string(),
        });
        value.as_object().cloned().unwrap_or_default()
    }
}

/// A line of a file of `/sys/cost`.
struct Line {
    day: u64,
    agent: String,
    model: String,
    sum: Sum,
}

impl Line {
    fn of(row: &[String]) -> Option<Self> {
        let [day, agent, model, calls, failed, lost, tokens_in, tokens_out, cached, written, money] = row
        else {
            return None;
        };
        let charged = Amounts {
            tokens_in: tokens_in.parse().ok()?,
            tokens_out: tokens_out.parse().ok()?,
            tokens_cached: cached.parse().ok()?,
            tokens_written: written.parse().ok()?,
            money: money.parse::<Nano>().ok()?,
            ..Amounts::default()
        };
        let (calls, failed, lost) = (calls.parse().ok()?, failed.parse().ok()?, lost.parse().ok()?);
        let sum = Sum { calls, failed, lost, charged };
        let (day, _) = calendar::days(day)?;
        Some(Self { day, agent: agent.clone(), model: model.clone(), sum })
    }

    fn key(&self, by: By) -> String {
        match by {
            By::Agent => self.agent.clone(),
            By::Model => self.model.clone(),
            By::Day => calendar::day_name(self.day),
        }
    }
}

impl Cost {
    pub fn run(self, session: &mut Session) -> Outcome {
        let days = self.days((session.clock)())?;
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        let mut total = Sum::default();
        for line in booked(session, &days)? {
            let sum = sums.entry(line.key(self.by)).or_default();
            *sum = sum.plus(&line.sum);
            total = total.plus(&line.sum);
        }
        let mut rows: Vec<(String, Sum)> = sums.into_iter().collect();
        if self.by != By::Day {
            rows.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.charged.money));
        }
        let [from, to] = [*days.start(), *days.end()].map(calendar::day_name);
        if session.is_json() {
            let row = |(name, sum): &(String, Sum)| {
                let mut row = sum.json();
                row.insert(self.by.word().into(), name.as_str().into());
                row
            };
            let rows: Vec<_> = rows.iter().map(row).collect();
            session.object(&json!({ "from": from, "to": to, "rows": rows, "total": total.json() }))?;
            return Ok(Exit::Fine);
        }
        if rows.is_empty() {
            session.note(&format!("no model was called from {from} to {to}"));
            return Ok(Exit::Fine);
        }
        session.print(&table(self.by, &rows, &total))?;
        session.note(&format!("from {from} to {to}, in UTC"));
        if total.lost > 0 {
            let calls = figures::plural(total.lost, "call");
            session.note(&format!("{calls} ended unknown in a crash: what was set aside is charged"));
        }
        Ok(Exit::Fine)
    }

    /// The days that are asked for, by their count since 1970.
    fn days(&self, now: u64) -> Result<RangeInclusive<u64>, Fail> {
        let day = |text: &String| moment::time(text, now).map(|at| at / DAY_US);
        let today = now / DAY_US;
        let (_, _, of_month) = calendar::civil(today);
        let first = self.since.as_ref().map(day).transpose()?;
        let last = self.until.as_ref().map(day).transpose()?.unwrap_or(today);
        let first = first.unwrap_or((today + 1).saturating_sub(of_month).min(last));
        if first > last {
            let [from, to] = [first, last].map(calendar::day_name);
            return Err(Fail::usage(format!("{from} is after {to}")).hint("skep cost --since 7d"));
        }
        Ok(first..=last)
    }
}

/// The lines of the months in which these days lie.
fn booked(session: &mut Session, days: &RangeInclusive<u64>) -> Result<Vec<Line>, Fail> {
    let listed = session.call("list", json!({ "path": "/sys/cost" }))?;
    let months = listed.get("entries").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for month in months.iter().filter_map(|entry| entry.get("name")?.as_str()) {
        let Some((first, after)) = calendar::days(month) else { continue };
        if after <= *days.start() || first > *days.end() {
            continue;
        }
        let read = match session.read(&format!("/sys/cost/{month}")) {
            Ok(text) => vec![text],
            // One month may be more than one reply.
            Err(fail) if fail.is(abi::Code::TooLarge) => {
                let names = (first..after).map(calendar::day_name);
                names.map(|day| session.read(&format!("/sys/cost/{day}"))).collect::<Result<_, _>>()?
            }
            Err(fail) => return Err(fail),
        };
        let rows = read.iter().flat_map(|text| card::rows(text));
        let found: Option<Vec<Line>> = rows.map(|row| Line::of(&row)).collect();
        let found = found.ok_or_else(|| {
            Fail::new(format!("/sys/cost/{month} has a line that this program does not know"))
                .hint("the daemon may be of a later version: skep version")
        })?;
        lines.extend(found.into_iter().filter(|line| days.contains(&line.day)));
    }
    Ok(lines)
}

fn table(by: By, rows: &[(String, Sum)], total: &Sum) -> String {
    let head = match by {
        By::Agent => "AGENT",
        By::Model => "MODEL",
        By::Day => "DAY",
    };
    let mut table = Table::new(&[head, "CALLS>", "FAILED>", "TOKENS IN>", "CACHED>", "TOKENS OUT>", "COST>"]);
    let total = ("total".to_owned(), *total);
    for (name, sum) in rows.iter().chain((rows.len() > 1).then_some(&total)) {
        let tokens = |count: i64| figures::count(count.unsigned_abs());
        let [calls, failed] = [sum.calls, sum.failed.saturating_add(sum.lost)].map(figures::count);
        let failed = if failed == "0" { String::new() } else { failed };
        let Amounts { tokens_cached, tokens_out, money, .. } = sum.charged;
        table.row([
            name,
            &calls,
            &failed,
            &tokens(sum.input()),
            &tokens(tokens_cached),
            &tokens(tokens_out),
            &figures::money(money),
        ]);
    }
    table.print()
}
