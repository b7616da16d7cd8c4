//! `skep ports`.

use crate::{
    escape,
    fail::{Exit, Outcome},
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
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.splitn(4, ' ').collect()).collect();
        let mut table = Table::new(&["PID>", "AGENT", "ADDRESS", "PROGRAM"]);
        for row in &rows {
            let [pid, agent, address, program] = row.as_slice() else { continue };
            if session.is_json() {
                let pid = pid.parse::<u64>().unwrap_or_default();
                let row = json!({"pid": pid, "agent": agent, "address": address, "program": program});
                session.object(&row)?;
            } else {
                let cells = [*pid, *agent, *address, *program].map(escape::line);
                table.row([&cells[0], &cells[1], &cells[2], &cells[3]]);
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
