//! A text page by page, for who sits at a terminal; at once for who does not. What asks is on stderr, the
//! text on stdout. Never here: what the text is, or what being shown all of it allows.

use crate::{
    fail::Fail,
    session::{Desk, Session},
};
use abi::limits::PAGE_LINES;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Every page was shown.
    All,
    /// The reader left before the last.
    Left,
}

/// Shows rows.
pub fn show(session: &mut Session, rows: &[String]) -> Result<Seen, Fail> {
    let pages = rows.len().div_ceil(PAGE_LINES);
    for (at, page) in rows.chunks(PAGE_LINES).enumerate() {
        page.iter().try_for_each(|row| session.say(row))?;
        if at + 1 == pages || session.desk == Desk::Nobody {
            continue;
        }
        session.out.flush()?;
        let asked = format!("page {} of {pages}: Enter turns it, q leaves ", at + 1);
        match session.ask(&asked)?.as_deref() {
            Some("") => {}
            Some(_) | None => return Ok(Seen::Left),
        }
    }
    Ok(Seen::All)
}

/// Whether the one at the terminal says yes; nobody does not.
pub fn agreed(session: &mut Session, question: &str) -> Result<bool, Fail> {
    session.out.flush()?;
    let said = session.ask(&format!("{question} [y/N] "))?;
    Ok(said.is_some_and(|said| ["y", "yes"].contains(&said.to_lowercase().as_str())))
}
