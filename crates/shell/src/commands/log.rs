//! `skep log`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures, journal,
    past::{self, Named, Version},
    session::Session,
    strace,
    table::Table,
};
use abi::{call::Undo, record::Entry};
use std::collections::BTreeMap;

/// Columns of a history.
const HEAD: [&str; 10] =
    ["VERSION>", "OPERATION", "CHANGED", "ACTOR", "PID>", "WHAT", "BYTES>", "LABEL", "MOVED TO", "MESSAGE"];

/// Versions of a path, newest first, across renames; without a path, the workspace's operations
#[derive(Debug, clap::Args)]
pub struct Log {
    /// A path, or an operation: all that it changed
    #[arg(value_name = "PATH|op:OPERATION")]
    what: Option<String>,
    /// Only versions before this one
    #[arg(long, value_name = "VERSION")]
    before: Option<u64>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "COUNT")]
    limit: u32,
}

impl Log {
    pub fn run(self, session: &mut Session) -> Outcome {
        let Some(what) = self.what else { return operations(session, self.limit as usize) };
        match Named::parse(&what)? {
            Named::Operation(id) => operation(session, id),
            Named::Path(_) => versions(session, &what, self.limit, self.before),
            Named::Version(path, id) => versions(session, &path, self.limit, Some(id.saturating_add(1))),
        }
    }
}

fn versions(session: &mut Session, path: &str, mut left: u32, mut before: Option<u64>) -> Outcome {
    let mut shown = Shown::default();
    while left > 0 {
        // One more than is shown: whether the last one was moved stands in the one before it.
        let page = left.min(past::PAGE);
        let mut rows = past::history(session, path, before, page + 1)?;
        let more = rows.len() > page as usize;
        let earlier = if more { rows.pop() } else { None };
        before = rows.last().map(|row| row.id);
        left -= page;
        shown.page(session, &rows, earlier.as_ref())?;
        if !more || before.is_none() {
            break;
        }
        shown.more = left == 0;
    }
    if session.is_json() {
        return Ok(Exit::Fine);
    }
    if shown.rows == 0 {
        session.note("no version");
        return Ok(Exit::Fine);
    }
    if let (true, Some(last)) = (shown.more, before) {
        session.hint(&format!("older ones: skep log {} --before {last}", escape::line(path)));
    }
    match shown.open {
        Some(version) => session.hint(&format!(
            "version {version} is kept beside the head: skep resolve {} --take ours|theirs|edit",
            escape::line(path)
        )),
        None => session
            .hint("skep undo op:OPERATION takes one back; skep diff PATH@VERSION shows what it changed"),
    }
    Ok(Exit::Fine)
}

/// What has been shown of a history.
#[derive(Default)]
struct Shown {
    rows: usize,
    more: bool,
    /// The newest diverged version that nothing was made of.
    open: Option<u64>,
    /// Versions that came into another one, and which.
    joined: BTreeMap<u64, u64>,
}

impl Shown {
    fn page(
        &mut self,
        session: &mut Session,
        rows: &[Version],
        earlier: Option<&Version>,
    ) -> Result<(), Fail> {
        let now = (session.clock)();
        let mut table = Table::new(&HEAD);
        for (ix, row) in rows.iter().enumerate() {
            self.rows += 1;
            if session.is_json() {
                session.object(&row.raw)?;
                continue;
            }
            let before = rows.get(ix + 1).or(earlier);
            let moved = before.is_some_and(|before| before.path != row.path);
            let what = self.what(row);
            table.row([
                &row.id.to_string(),
                &format!("op:{}", row.operation),
                &figures::moment(row.mtime, now),
                &row.actor,
                &row.process(),
                &what,
                &figures::count(row.bytes),
                &figures::cut(&row.label, 32),
                if moved { &row.path } else { "" },
                &figures::cut(&row.message, 40),
            ]);
        }
        if session.is_json() || table.is_empty() {
            return Ok(());
        }
        let text = table.print();
        let skip = if self.rows > rows.len() { text.find('\n').map_or(0, |at| at + 1) } else { 0 };
        session.print(text.get(skip..).unwrap_or_default())
    }

    fn what(&mut self, row: &Version) -> String {
        for parent in row.parents.iter().skip(1) {
            self.joined.insert(*parent, row.id);
        }
        if let [first, second, ..] = row.parents.as_slice() {
            return format!("merge {first}+{second}");
        }
        match (row.diverged, self.joined.get(&row.id)) {
            (true, Some(into)) => format!("diverged, in {into}"),
            (true, None) => {
                self.open = self.open.or(Some(row.id));
                "diverged".to_owned()
            }
            (false, _) => row.node.clone(),
        }
    }
}

/// What one operation made.
fn operation(session: &mut Session, id: u64) -> Outcome {
    let made = past::operation(session, id)?;
    if session.is_json() {
        made.iter().try_for_each(|version| session.object(&version.raw))?;
        return Ok(Exit::Fine);
    }
    if let Some(first) = made.first() {
        let when = figures::moment(first.mtime, (session.clock)());
        let by = if first.pid == 0 { String::new() } else { format!(", process {}", first.pid) };
        let why = if first.message.is_empty() { String::new() } else { format!(": {}", first.message) };
        session.note(&escape::line(&format!("op:{id} by {}{by} at {when}{why}", first.actor)));
    }
    let mut table = Table::new(&["VERSION>", "WHAT", "BYTES>", "MADE FROM", "LABEL", "PATH"]);
    for version in &made {
        let what = if version.diverged { "diverged" } else { &version.node };
        let parents: Vec<String> = version.parents.iter().map(u64::to_string).collect();
        table.row([
            &version.id.to_string(),
            what,
            &figures::count(version.bytes),
            &parents.join("+"),
            &figures::cut(&version.label, 32),
            &version.path,
        ]);
    }
    session.print(&table.print())?;
    session.hint(&format!("skep diff op:{id} shows its lines; skep why op:{id} what led to it"));
    Ok(Exit::Fine)
}

fn operations(session: &mut Session, limit: usize) -> Outcome {
    let now = (session.clock)();
    let rows = journal::all(session)?;
    let wrote = rows.iter().rev().filter(|row| matches!(row.record.body, Entry::Wrote { .. })).take(limit);
    let mut table = Table::new(&["OPERATION", "AT", "ACTOR", "PID>", "PATHS", "MESSAGE"]);
    for row in wrote {
        let Entry::Wrote { op, changes, message, undoes } = &row.record.body else { continue };
        if session.is_json() {
            session.object(&row.raw)?;
            continue;
        }
        let message = message.as_ref().and_then(|message| row.text(message)).unwrap_or_default();
        let message = match undoes {
            Some(undo) => format!("{} {message}", undone(*undo)),
            None => message.to_owned(),
        };
        let pid =
            if row.record.pid == abi::ids::WORKSPACE { String::new() } else { row.record.pid.to_string() };
        let diverged = changes.iter().any(|change| change.diverged);
        let paths = format!("{}{}", strace::changed(changes), if diverged { " (diverged)" } else { "" });
        table.row([
            &format!("op:{op}"),
            &figures::moment(row.record.at, now),
            &row.record.actor,
            &pid,
            &figures::cut(&paths, 60),
            &figures::cut(message.trim(), 40),
        ]);
    }
    if !session.is_json() {
        session.print(&table.print())?;
        session.hint("skep undo op:OPERATION takes one back; skep log PATH shows the versions of a path");
    }
    Ok(Exit::Fine)
}

fn undone(undo: Undo) -> String {
    match undo {
        Undo::Version(version) => format!("restores version {version}"),
        Undo::Operation(op) => format!("takes back op:{op}"),
        Undo::Process(pid) => format!("takes back process {pid}"),
    }
}
