//! `skep budget`.

use crate::{
    card, escape,
    fail::{Exit, Fail, Outcome},
    figures,
    session::Session,
    table::Table,
};
use abi::money::{Resource, Window};
use serde_json::json;

/// What is used, reserved and allowed; `budget set` changes a limit
#[derive(Debug, clap::Args)]
pub struct Budget {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Set a limit of an account: workspace, agent:NAME, process:PID or mount:NAME. `set today 8` is short
    /// for `set workspace day 8`; a set limit stands until the row in /sys/budget.yaml changes
    Set {
        /// Which account; or hour, today, month: the workspace's
        account: String,
        /// Of what, if not of money; over what time: run, hour, day, month; how much, as 0.05 or 400k
        #[arg(required = true, num_args = 1..=3, value_parser = word, value_name = "RESOURCE|WINDOW|AMOUNT")]
        words: Vec<String>,
    },
}

/// A resource, a window or an amount.
fn word(text: &str) -> Result<String, String> {
    let amount = text.strip_prefix('$').unwrap_or(text).starts_with(|first: char| first.is_ascii_digit());
    if amount || Resource::of(text).is_some() || Window::of(text).is_some() {
        return Ok(text.to_owned());
    }
    let words = Resource::ALL.map(Resource::word).into_iter().chain(Window::ALL.map(Window::word));
    Err(format!("possible: an amount, {}", words.collect::<Vec<_>>().join(", ")))
}

/// What is to be set.
struct Set {
    account: String,
    resource: Resource,
    window: Window,
    max: i64,
}

impl Set {
    fn of(account: String, words: &[String]) -> Result<Self, Fail> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let short = match account.as_str() {
            "hour" => Some(Window::Hour),
            "today" => Some(Window::Day),
            "month" => Some(Window::Month),
            _ => None,
        };
        let parts = match (short, words.as_slice()) {
            (Some(window), [amount]) => Some(("workspace", Resource::Money, window, *amount)),
            (Some(window), [resource, amount]) => {
                Resource::of(resource).map(|resource| ("workspace", resource, window, *amount))
            }
            (None, [window, amount]) => {
                Window::of(window).map(|window| (account.as_str(), Resource::Money, window, *amount))
            }
            (None, [resource, window, amount]) => Resource::of(resource).and_then(|resource| {
                Window::of(window).map(|window| (account.as_str(), resource, window, *amount))
            }),
            _ => None,
        };
        let Some((account, resource, window, amount)) = parts else {
            let said = escape::line(&format!("{account} {}", words.join(" ")));
            return Err(Fail::usage(format!("{said:?} sets no limit"))
                .hint("skep budget set workspace day 8, skep budget set today 8"));
        };
        Ok(Self { account: account.to_owned(), resource, window, max: resource.amount(amount)? })
    }
}

impl Budget {
    pub fn run(self, session: &mut Session) -> Outcome {
        match self.act {
            None => show(session),
            Some(Act::Set { account, words }) => set(session, &Set::of(account, &words)?),
        }
    }
}

/// Sets a limit and says what changes.
fn set(session: &mut Session, set: &Set) -> Outcome {
    let (resource, window, max) = (set.resource.word(), set.window.word(), set.resource.show(set.max));
    let before = row_of(session, set)?;
    let answer = session.control(&format!("budget {} {resource} {window} {max}", set.account))?;
    if session.is_json() {
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let (old, used) = match &before {
        Some(row) => (row.get(5).map_or("none", String::as_str), row.get(3).map(String::as_str)),
        None => ("none", None),
    };
    let old = if old == "-" { "none" } else { old };
    let account = escape::line(&set.account);
    let article = if set.window == Window::Hour { "an" } else { "a" };
    let used = used.map(|used| format!("; {used} used")).unwrap_or_default();
    session.say(&format!("{account}: {resource} {old} -> {max} {article} {window}{used}"))?;
    if session.card("/sys/status")?.get("frozen").split_whitespace().next().is_some_and(|count| count != "0")
    {
        session.hint("skep ps shows what stands frozen, skep thaw PID lets it go on");
    }
    Ok(Exit::Fine)
}

/// The limit as it stands.
fn row_of(session: &mut Session, set: &Set) -> Result<Option<Vec<String>>, Fail> {
    let rows = card::rows(&session.read("/sys/budget")?);
    let want = [set.account.as_str(), set.resource.word(), set.window.word()];
    Ok(rows.into_iter().find(|row| row.iter().take(3).eq(want.iter())))
}

fn show(session: &mut Session) -> Outcome {
    if session.is_json() {
        let answer = session.call("read", json!({"path": "/sys/budget"}))?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(&["ACCOUNT", "RESOURCE", "WINDOW", "USED>", "RESERVED>", "LIMIT>", "STATE"]);
    for row in card::rows(&session.read("/sys/budget")?) {
        let cell = |ix: usize| row.get(ix).map(String::as_str).unwrap_or_default();
        let is_money = cell(1) == Resource::Money.word();
        let amount = |ix: usize| match (cell(ix), is_money) {
            ("-", _) => String::new(),
            (text, true) => figures::money_text(text),
            (text, false) => text.parse().map_or_else(|_| text.to_owned(), figures::count),
        };
        let state = if cell(6) == "fine" { "" } else { cell(6) };
        table.row([cell(0), cell(1), cell(2), &amount(3), &amount(4), &amount(5), state]);
    }
    session.print(&table.print())?;
    session.hint("skep budget set today 8, skep budget set ACCOUNT day AMOUNT");
    Ok(Exit::Fine)
}
