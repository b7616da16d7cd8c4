//! `skep secret`.

use crate::{
    card, escape,
    fail::{Exit, Fail, Outcome},
    figures, models,
    session::Session,
    table::Table,
};
use serde_json::json;

/// Keys that open providers: sealed by the node, lent to one request, never read back
#[derive(Debug, clap::Args)]
pub struct Secret {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Keep a secret under this name; its value is typed unseen, or read from standard input
    Add {
        /// As models.yaml names it
        name: String,
        /// Never here: it would stand in the history of your shell
        #[arg(hide = true)]
        value: Option<String>,
    },
    /// Their names, when each was set, and where it may go
    List,
    /// Destroy one
    Rm {
        /// Which
        name: String,
    },
}

impl Secret {
    pub fn run(self, session: &mut Session) -> Outcome {
        match self.act {
            None | Some(Act::List) => list(session),
            Some(Act::Add { value: Some(_), .. }) => {
                Err(Fail::usage("a secret is no argument: it would stand in your shell's history")
                    .hint("type it when asked, or give it to standard input"))
            }
            Some(Act::Add { name, value: None }) => {
                let name = abi::wire::word("name", &name)?;
                let value = models::typed(session, &name)?;
                let answer = models::put(session, &name, &value, "whole")?;
                if session.is_json() {
                    session.object(&answer)?;
                } else {
                    session.note(&format!("kept: {name}"));
                }
                Ok(Exit::Fine)
            }
            Some(Act::Rm { name }) => {
                let name = abi::wire::word("name", &name)?;
                let answer = session.call("remove", json!({"path": format!("/sys/secrets/{name}")}))?;
                if session.is_json() {
                    session.object(&answer)?;
                } else {
                    session.note(&format!("destroyed: {name}"));
                }
                Ok(Exit::Fine)
            }
        }
    }
}

fn list(session: &mut Session) -> Outcome {
    if session.is_json() {
        let answer = session.call("read", json!({"path": "/sys/secrets"}))?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let rows = card::rows(&session.read("/sys/secrets")?);
    if rows.is_empty() {
        session.note("no secret is kept");
        session.hint("skep model add anthropic");
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(&["NAME", "SET", "GOES TO"]);
    for row in rows {
        let [name, set, origin] = row.as_slice() else { continue };
        let when = figures::moment(set.parse().unwrap_or(0), (session.clock)());
        table.row([&escape::line(name), &when, &escape::line(origin)]);
    }
    session.print(&table.print())?;
    Ok(Exit::Fine)
}
