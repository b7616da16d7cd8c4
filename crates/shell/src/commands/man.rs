//! `skep man`.

use crate::{
    fail::{Exit, Fail, Outcome},
    manual::{self, Page},
    pager,
    session::Session,
    table::Table,
};
use abi::wire::nearest_hint;
use serde_json::{Value, json};

/// Columns of a page.
const COLUMNS: usize = 80;

/// The manual: its pages, or one of them, from 1 commands, 2 calls, 3 file trees, 5 protocol, 6 formats
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Which section, when a name is in several; or the name
    #[arg(value_name = "SECTION|NAME")]
    first: Option<String>,
    /// Which page: a command, a call, a tree, a format
    name: Option<String>,
    /// As man reads it: skep man --roff run | man -l -
    #[arg(long)]
    roff: bool,
}

impl Man {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (section, name) = words(self.first, self.name)?;
        let pages = manual::pages();
        let pages: Vec<&Page> =
            pages.iter().filter(|page| section.is_none_or(|section| section == page.section)).collect();
        let Some(name) = name else { return list(session, &pages) };
        let found: Vec<&Page> = pages.iter().copied().filter(|page| is_called(page, &name)).collect();
        let Some((page, others)) = found.split_first() else { return Err(unknown(&name, &pages)) };
        if session.is_json() {
            let mut object = row(page);
            object["text"] = page.plain(COLUMNS).into();
            session.object(&object)?;
        } else if self.roff {
            session.print(&page.roff())?;
        } else {
            let text = page.plain(COLUMNS);
            let rows: Vec<String> = text.lines().map(str::to_owned).collect();
            pager::show(session, &rows)?;
        }
        for other in others {
            session.hint(&format!("skep man {} {name}   {}", other.section, other.about));
        }
        Ok(Exit::Fine)
    }
}

/// `2 write`, `write`, `2`: section and name.
fn words(first: Option<String>, second: Option<String>) -> Result<(Option<u8>, Option<String>), Fail> {
    let section = |word: &str| match word.parse() {
        Ok(section @ (1..=3 | 5 | 6)) => Ok(Some(section)),
        _ => Err(Fail::usage(format!("there is no section {word:?}"))
            .hint("1 commands · 2 calls · 3 file trees · 5 protocol · 6 formats")),
    };
    match (first, second) {
        (None, _) => Ok((None, None)),
        (Some(first), Some(name)) => Ok((section(&first)?, Some(name))),
        (Some(word), None) if word.bytes().all(|byte| byte.is_ascii_digit()) => Ok((section(&word)?, None)),
        (Some(name), None) => Ok((None, Some(name))),
    }
}

/// A command is called by its own name or that of its page.
fn is_called(page: &Page, name: &str) -> bool {
    page.name == name || (page.section == 1 && page.name.strip_prefix("skep-") == Some(name))
}

fn unknown(name: &str, pages: &[&Page]) -> Fail {
    let names: Vec<&str> =
        pages.iter().map(|page| page.name.strip_prefix("skep-").unwrap_or(&page.name)).collect();
    let hint = nearest_hint(name, &names);
    let hint = if hint.starts_with("did you") { hint } else { "skep man".to_owned() };
    Fail::new(format!("there is no page {name:?}")).hint(hint)
}

fn row(page: &Page) -> Value {
    json!({"section": page.section, "name": page.name, "about": page.about})
}

fn list(session: &mut Session, pages: &[&Page]) -> Outcome {
    if session.is_json() {
        for page in pages {
            session.object(&row(page))?;
        }
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(&["PAGE", "WHAT"]);
    for page in pages {
        table.row([format!("{}({})", page.name, page.section).as_str(), page.about.as_str()]);
    }
    session.print(&table.print())?;
    session.hint("skep man NAME; skep man SECTION NAME");
    Ok(Exit::Fine)
}
