//! `skep ports`.

use crate::{
    escape,
    fail::{Exit, Outcome},
    figures,
    session::Session,
    table::Table,
};
use serde_json::json;

/// What listens in sandboxes, read from each one's own network: nothing of it can be reached from outside
#[derive(Debug, clap::Args)]
pub struct Ports {}

impl Ports {
    pub fn run(self, session: &mut Session) -> Outcome {
        let text = session.read("/sys/ports")?;
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.splitn(5, ' ').collect()).collect();
        let mut table = Table::new(&["PID>", "AGENT", "ADDRESS", "PROGRAM", "SINCE"]);
        for row in &rows {
            let [pid, agent, address, since, program] = row.as_slice() else { continue };
            if session.is_json() {
                let [pid, since] = [*pid, *since].map(|number| number.parse::<u64>().unwrap_or_default());
                let row = json!({
                    "pid": pid, "agent": agent, "address": address, "program": program, "since": since,
                });
                session.object(&row)?;
            } else {
                let since = figures::moment(since.parse().unwrap_or_default(), (session.clock)());
                let cells = [*pid, *agent, *address, *program, since.as_str()].map(escape::line);
                table.row(cells.each_ref().map(String::as_str));
            }
        }
        if !session.is_json() && rows.is_empty() {
            session.note("nothing listens");
        } else if !session.is_json() {
            session.print(&table.print())?;
        }
        Ok(Exit::Fine)
    }
}
