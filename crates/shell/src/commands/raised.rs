//! `skep why label PID`: what raised the label of a process, in the order it happened. A label never falls
//! while its process lives, so the last line is the label it has.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::Row,
    session::Session,
    table::Table,
};
use abi::{LabelId, Pid, record::Entry};
use std::collections::BTreeMap;

/// A moment at which the label changed.
struct Join {
    at: u64,
    what: String,
    label: String,
    after: String,
}

/// Prints it, of the records that `trace {why: pid:N}` answers.
pub fn run(session: &mut Session, rows: &[Row], pid: Pid) -> Outcome {
    let joins = joins(rows, pid);
    if session.is_json() {
        let of_it = |row: &&Row| joined(row, pid).is_some();
        rows.iter().filter(of_it).try_for_each(|row| session.object(&row.raw))?;
        return Ok(Exit::Fine);
    }
    if joins.is_empty() {
        return Err(
            Fail::new(format!("nothing is known of the label of process {pid}")).hint("skep ps --all")
        );
    }
    let now = (session.clock)();
    let mut table = Table::new(&["TIME", "SAW", "ITS LABEL", "LABEL AFTER"]);
    for join in &joins {
        let when = figures::moment(join.at, now);
        table.row([&when, &figures::cut(&join.what, 60), &join.label, &join.after]);
    }
    session.print(&table.print())?;
    session.hint(&format!("skep why {pid} shows who wrote what it saw; skep why label:N one label"));
    Ok(Exit::Fine)
}

/// The label a process has after a record, if the record changed it.
fn joined(row: &Row, pid: Pid) -> Option<LabelId> {
    match &row.record.body {
        Entry::Spawned { pid: it, label, .. } if *it == pid => Some(*label),
        Entry::Saw { joined, .. } if row.record.pid == pid => Some(*joined),
        Entry::Steered { pid: it, joined, .. } if *it == pid => Some(*joined),
        _ => None,
    }
}

fn joins(rows: &[Row], pid: Pid) -> Vec<Join> {
    let mut known: BTreeMap<LabelId, String> = BTreeMap::new();
    let mut joins = Vec::new();
    let mut last = None;
    for row in rows {
        if let Entry::LabelDefined { id, label } = &row.record.body {
            known.insert(*id, label.to_string());
        }
        let Some(after) = joined(row, pid) else { continue };
        if last.replace(after) == Some(after) {
            continue;
        }
        let own = row.label.clone().unwrap_or_else(|| format!("label:{after}"));
        let after = known.get(&after).cloned().unwrap_or(own);
        let name = |id: &LabelId| known.get(id).cloned().unwrap_or_else(|| format!("label:{id}"));
        let (what, label) = match &row.record.body {
            Entry::Saw { path, version: Some(version), label, .. } => {
                (format!("{path} version {version}"), name(label))
            }
            Entry::Saw { path, version: None, label, .. } => (format!("{path} (names)"), name(label)),
            Entry::Spawned { session: Some(session), after: Some(pid), .. } => {
                (format!("began in session {}, after process {pid}", session.slug), after.clone())
            }
            Entry::Spawned { .. } => (format!("began, by {}", row.record.actor), after.clone()),
            _ => (format!("told by {}", row.record.actor), String::new()),
        };
        joins.push(Join { at: row.record.at, what: escape::line(&what), label, after });
    }
    joins
}
