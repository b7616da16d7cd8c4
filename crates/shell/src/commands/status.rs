//! `skep status`.

use crate::{
    card, escape,
    fail::{Exit, Outcome},
    figures, halts, past,
    session::Session,
    table::Table,
};
use serde_json::json;

/// State of the daemon and of a workspace
#[derive(Debug, clap::Args)]
pub struct Status {}

impl Status {
    pub fn run(self, session: &mut Session) -> Outcome {
        if session.is_json() {
            for path in ["/sys/status", "/sys/mounts", "/sys/workspaces", "/sys/version"] {
                let answer = session.call("read", json!({"path": path}))?;
                session.object(&answer)?;
            }
            halts::say(session)?;
            return Ok(Exit::Fine);
        }
        let sys = session.card("/sys/status")?;
        let version = session.read("/sys/version")?;
        let home = session.place.home.display().to_string();
        session.say(&format!("home        {}", escape::line(&home)))?;
        session.say(&format!("socket      {}", escape::line(&session.place.socket.display().to_string())))?;
        let version = version.lines().next().unwrap_or_default();
        session.say(&format!("version     {}", escape::line(version)))?;
        session.say(&format!(
            "workspace   {}, record {}",
            session.workspace,
            figures::count(sys.number("seq"))
        ))?;
        if !["", "none"].contains(&sys.get("lacks")) {
            session.say(&format!("lacks       rules {}", escape::line(sys.get("lacks"))))?;
        }
        session.say(&format!("processes   {}", super::here::processes(&sys)))?;
        halts::say(session)?;
        let waiting = sys.number("proposals");
        let inbox = if waiting > 0 { "; skep inbox" } else { "" };
        session.say(&format!("proposals   {waiting} waiting{inbox}"))?;
        if sys.number("drafts") > 0 {
            session.say(&format!("drafts      {} waiting; skep keep", sys.number("drafts")))?;
        }
        let conflicts = past::conflicts(session)?.len();
        if conflicts > 0 {
            session.say(&format!("conflicts   {conflicts} open; skep inbox"))?;
        }
        if sys.number("in_doubt") > 0 {
            session.say(&format!("in doubt    {} effects; skep trace --errors", sys.number("in_doubt")))?;
        }
        if !sys.get("money_today").is_empty() {
            session.say(&format!("money       {}", super::here::money(&sys)))?;
        }
        let mut mounts = Table::new(&["MOUNT", "DRIVER", "ARGUMENT"]);
        for row in card::rows(&session.glance("/sys/mounts")?) {
            let cell = |ix: usize| row.get(ix).map(String::as_str).unwrap_or_default();
            mounts.row([cell(0), cell(1), &row.get(2..).unwrap_or_default().join(" ")]);
        }
        if !mounts.is_empty() {
            session.print(&format!("\n{}", mounts.print()))?;
        }
        let mut workspaces = Table::new(&["WORKSPACE", "STATE", "RECORD>"]);
        for row in card::rows(&session.glance("/sys/workspaces")?) {
            let cell = |ix: usize| row.get(ix).map(String::as_str).unwrap_or_default();
            workspaces.row([cell(0), cell(1), cell(2)]);
        }
        if !workspaces.is_empty() {
            session.print(&format!("\n{}", workspaces.print()))?;
        }
        Ok(Exit::Fine)
    }
}
