//! `skep budget`.

use crate::{
    card,
    fail::{Exit, Outcome},
    figures,
    session::Session,
    table::Table,
};
use abi::money::{Nano, Resource};
use serde_json::json;

/// What is used, reserved and allowed; `budget set` changes a money limit
#[derive(Debug, clap::Args)]
pub struct Budget {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Set a money limit of an account: workspace, agent:NAME or process:PID
    Set {
        /// Which account
        account: String,
        /// Over what time
        #[arg(value_parser = ["run", "day"])]
        window: String,
        /// How much, as 0.05
        amount: String,
    },
}

impl Budget {
    pub fn run(self, session: &mut Session) -> Outcome {
        match self.act {
            None => show(session),
            Some(Act::Set { account, window, amount }) => {
                let amount: Nano = amount.parse()?;
                let exact = amount.to_string();
                let answer = session.control(&format!("budget {account} {window} {exact}"))?;
                if session.is_json() {
                    session.object(&answer)?;
                } else {
                    session.say(&format!("{account}: money {exact} a {window}"))?;
                }
                Ok(Exit::Fine)
            }
        }
    }
}

fn show(session: &mut Session) -> Outcome {
    if session.is_json() {
        let answer = session.call("read", json!({"path": "/sys/budget"}))?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(&["ACCOUNT", "RESOURCE", "WINDOW", "USED>", "RESERVED>", "LIMIT>"]);
    for row in card::rows(&session.read("/sys/budget")?) {
        let cell = |ix: usize| row.get(ix).map(String::as_str).unwrap_or_default();
        let is_money = cell(1) == Resource::Money.word();
        let amount = |ix: usize| match (cell(ix), is_money) {
            ("-", _) => String::new(),
            (text, true) => figures::money_text(text),
            (text, false) => text.parse().map_or_else(|_| text.to_owned(), figures::count),
        };
        table.row([cell(0), cell(1), cell(2), &amount(3), &amount(4), &amount(5)]);
    }
    session.print(&table.print())?;
    session.hint("skep budget set ACCOUNT run|day AMOUNT");
    Ok(Exit::Fine)
}
