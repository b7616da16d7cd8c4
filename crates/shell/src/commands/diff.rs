//! `skep diff`: a unified diff of two contents, each with its path, version and writer in the head of it.

use crate::{
    compare,
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures, journal, moment,
    past::{self, Body, Named, Version},
    session::{Session, Tone},
};
use abi::{Content, Pid, record::Entry, tree::Node, view::Change};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// What changed: a file against the one before, two versions, two paths, all of an operation or of a process
///
/// Of a process with a draft, what would come of keeping it; of any other, all that it wrote.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// A path (its head against the version before), one of its versions, an operation, or a process
    #[arg(value_name = "PATH|PATH@VERSION|op:OPERATION|PID")]
    what: String,
    /// Against this instead
    #[arg(value_name = "PATH|PATH@VERSION")]
    other: Option<String>,
    /// From this version of PATH [default: the one that --to was made from]
    #[arg(long, value_name = "VERSION", conflicts_with = "other")]
    from: Option<u64>,
    /// To this version of PATH [default: the head]
    #[arg(long, value_name = "VERSION", conflicts_with = "other")]
    to: Option<u64>,
    /// From PATH as it was then, to now: a record's number, a time, or 10m, 2h, 3d ago
    #[arg(long, value_name = "SEQ|TIME", conflicts_with_all = ["other", "from", "to"])]
    at: Option<String>,
}

/// One content that is compared.
struct Side {
    name: String,
    version: Option<u64>,
    body: Body,
}

impl Side {
    fn nothing() -> Self {
        Self { name: "nothing".to_owned(), version: None, body: Body::Nothing }
    }

    fn of(session: &mut Session, version: &Version) -> Result<Self, Fail> {
        let now = (session.clock)();
        let when = figures::moment(version.mtime, now);
        let name = format!("{}@{}  {}  {when}", version.path, version.id, version.actor);
        let body = past::content(session, version)?.body;
        Ok(Self { name, version: Some(version.id), body })
    }
}

impl Diff {
    pub fn run(self, session: &mut Session) -> Outcome {
        if let Ok(pid) = self.what.parse() {
            return process(session, Pid(pid));
        }
        let named = Named::parse(&self.what)?;
        if let Named::Operation(id) = named {
            let others =
                self.other.is_some() || self.from.is_some() || self.to.is_some() || self.at.is_some();
            if others {
                return Err(Fail::usage("an operation is compared with what was there before it")
                    .hint("skep diff op:34; two versions: skep diff PATH@12 PATH@14"));
            }
            return operation(session, id);
        }
        let (from, to) = self.sides(session, named)?;
        show(session, &from, &to)?;
        Ok(Exit::Fine)
    }

    fn sides(&self, session: &mut Session, named: Named) -> Result<(Side, Side), Fail> {
        if let Some(other) = &self.other {
            return Ok((chosen(session, &named)?, chosen(session, &Named::parse(other)?)?));
        }
        let (path, version) = match named {
            Named::Version(path, id) => (path, Some(id)),
            Named::Path(path) => (path, None),
            Named::Operation(id) => return Err(Fail::usage(format!("op:{id} is no path"))),
        };
        if let Some(at) = &self.at {
            let (key, value) = moment::parse(at, (session.clock)())?.argument();
            let which = [(key.to_owned(), json!(value))].into_iter().collect();
            let then = past::read(session, &path, which)?;
            let from = Side {
                name: format!("{path}@{}  as of {at}", then.version),
                version: Some(then.version),
                body: then.body,
            };
            let head = past::head(session, &path)?;
            return Ok((from, Side::of(session, &head)?));
        }
        let to = match self.to.or(version) {
            Some(id) => past::version(session, &path, id)?,
            None => past::head(session, &path)?,
        };
        let from = match self.from {
            Some(id) => {
                let version = past::version(session, &path, id)?;
                Side::of(session, &version)?
            }
            None => before(session, &to)?,
        };
        Ok((from, Side::of(session, &to)?))
    }
}

fn chosen(session: &mut Session, named: &Named) -> Result<Side, Fail> {
    let version = match named {
        Named::Path(path) => past::head(session, path)?,
        Named::Version(path, id) => past::version(session, path, *id)?,
        Named::Operation(id) => {
            return Err(Fail::usage(format!("op:{id} is no path")).hint("skep diff op:34 alone"));
        }
    };
    Side::of(session, &version)
}

/// What a version was made from; nothing when it was the first.
fn before(session: &mut Session, version: &Version) -> Result<Side, Fail> {
    let Some(parent) = version.parents.first() else { return Ok(Side::nothing()) };
    match past::version(session, &version.path, *parent) {
        Ok(parent) => Side::of(session, &parent),
        // The path has another file now, so that the history of this one is not found by it.
        Err(fail) if fail.code.is_empty() => Ok(Side {
            name: format!("version {parent}"),
            version: Some(*parent),
            body: Body::Lost(fail.message),
        }),
        Err(fail) => Err(fail),
    }
}

/// What a process left as a draft, or all that it wrote.
fn process(session: &mut Session, pid: Pid) -> Outcome {
    if let Some(changes) = past::draft(session, pid)? {
        let mut rows = changes.iter().filter(|change| change.node != Node::Dir).peekable();
        if rows.peek().is_none() {
            session.note("the draft changes no file");
        }
        for change in rows {
            let (from, to) = drafted(session, change)?;
            show(session, &from, &to)?;
        }
        return Ok(Exit::Fine);
    }
    let mut operations = Vec::new();
    journal::of(session, pid, &mut |row| {
        if let Entry::Wrote { op, undoes: None, .. } = &row.record.body
            && row.record.pid == pid
            && operations.last() != Some(op)
        {
            operations.push(*op);
        }
        Ok(())
    })?;
    let mut made = Vec::new();
    for op in operations {
        made.extend(past::operation(session, op.0)?);
    }
    if made.is_empty() {
        session.note(&format!("process {pid} wrote nothing, and left no draft"));
    }
    all(session, &made)
}

/// Both sides of a change of a draft.
fn drafted(session: &mut Session, change: &Change) -> Result<(Side, Side), Fail> {
    let path = change.path.to_string();
    let before = change.from.as_ref().unwrap_or(&change.path).to_string();
    let from = match change.base {
        Some(base) => match past::version(session, &before, base.0) {
            Ok(version) => Side::of(session, &version)?,
            Err(fail) => Side { name: before, version: Some(base.0), body: Body::Lost(fail.message) },
        },
        None => Side::nothing(),
    };
    let to = match change.node {
        Node::Gone => Side::nothing(),
        _ if change.content == Content::default() && change.from.is_some() => {
            Side { name: path, version: None, body: from.body.clone() }
        }
        _ => Side { name: path, version: None, body: past::blob(session, &change.content)? },
    };
    Ok((from, to))
}

/// All that an operation changed.
fn operation(session: &mut Session, id: u64) -> Outcome {
    let made = past::operation(session, id)?;
    if let Some(first) = made.first().filter(|_| !session.is_json()) {
        let when = figures::moment(first.mtime, (session.clock)());
        let why = if first.message.is_empty() { String::new() } else { format!(": {}", first.message) };
        session.note(&escape::line(&format!("op:{id} by {} at {when}{why}", first.actor)));
    }
    all(session, &made)
}

/// What came of several versions. What a merge took in stands in the merge.
fn all(session: &mut Session, made: &[Version]) -> Outcome {
    let inner: Vec<u64> = made.iter().flat_map(|version| version.parents.iter().copied()).collect();
    for version in made.iter().filter(|version| version.node != "dir" && !inner.contains(&version.id)) {
        if version.diverged && !session.is_json() {
            let path = escape::line(&version.path);
            session.note(&format!("version {} is kept beside the head of {path}", version.id));
        }
        // Of several versions of one operation the last is what came of it, the first says from what.
        let first = first_of(made, version);
        let (from, to) = (before(session, first)?, Side::of(session, version)?);
        show(session, &from, &to)?;
    }
    Ok(Exit::Fine)
}

fn first_of<'a>(made: &'a [Version], last: &'a Version) -> &'a Version {
    let mut first = last;
    while let Some(earlier) = first.parents.first().and_then(|id| made.iter().find(|one| one.id == *id)) {
        first = earlier;
    }
    first
}

fn show(session: &mut Session, from: &Side, to: &Side) -> Result<(), Fail> {
    let (said, patch) = compared(from, to);
    if session.is_json() {
        let side = |side: &Side| json!({"name": side.name, "version": side.version});
        let patch = patch.map_or(Value::Null, Value::String);
        return session.object(&json!({"from": side(from), "to": side(to), "patch": patch, "said": said}));
    }
    session.say(&session.paint(&escape::line(&format!("--- {}", from.name)), Tone::Bad))?;
    session.say(&session.paint(&escape::line(&format!("+++ {}", to.name)), Tone::Good))?;
    let keep_raw = !std::io::stdout().is_terminal();
    for line in patch.iter().flat_map(|patch| patch.split_inclusive('\n')) {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let shown = if keep_raw { line.to_owned() } else { escape::escape(line, Keep::Lines) };
        let shown = match line.chars().next() {
            Some('+') => session.paint(&shown, Tone::Good),
            Some('-') => session.paint(&shown, Tone::Bad),
            Some('@') => session.paint(&shown, Tone::Held),
            _ => shown,
        };
        session.say(&shown)?;
    }
    if !said.is_empty() {
        session.say(&escape::line(&said))?;
    }
    Ok(())
}

/// A sentence where lines cannot tell, and the lines where they can.
fn compared(from: &Side, to: &Side) -> (String, Option<String>) {
    let text = |body: &'_ Body| match body {
        Body::Text(text) => Some(text.clone()),
        Body::Nothing => Some(String::new()),
        Body::Binary(_) | Body::Large(_) | Body::Lost(_) => None,
    };
    if let (Some(old), Some(new)) = (text(&from.body), text(&to.body)) {
        let patch = compare::patch(&old, &new);
        let said = match (&from.body, &to.body) {
            (Body::Text(_), Body::Nothing) if patch.is_empty() => "an empty file is removed",
            (Body::Nothing, Body::Text(_)) if patch.is_empty() => "a new, empty file",
            _ if patch.is_empty() => "no line differs",
            _ => "",
        };
        return (said.to_owned(), (!patch.is_empty()).then_some(patch));
    }
    let said = |body: &Body| match body {
        Body::Text(text) => format!("a text of {}", figures::bytes(text.len() as u64)),
        Body::Binary(bytes) => format!("binary, {}", figures::bytes(*bytes)),
        Body::Large(bytes) => format!("large, {}", figures::bytes(*bytes)),
        Body::Nothing => "nothing".to_owned(),
        Body::Lost(why) => format!("not kept ({why})"),
    };
    (format!("not compared by line: {} -> {}", said(&from.body), said(&to.body)), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(body: Body) -> Side {
        Side { name: "x".into(), version: None, body }
    }

    #[test]
    fn what_is_no_text_says_so() {
        let text = || side(Body::Text("a\n".into()));
        let rows = [
            (text(), side(Body::Binary(7)), "not compared by line: a text of 2 B -> binary, 7 B"),
            (side(Body::Large(2_000_000)), text(), "not compared by line: large, 2.0 MB -> a text of 2 B"),
            (
                text(),
                side(Body::Lost("purged".into())),
                "not compared by line: a text of 2 B -> not kept (purged)",
            ),
            (text(), text(), "no line differs"),
            (Side::nothing(), side(Body::Text(String::new())), "a new, empty file"),
        ];
        for (from, to, want) in rows {
            assert_eq!(compared(&from, &to), (want.to_owned(), None));
        }
        let (said, patch) = compared(&text(), &Side::nothing());
        assert_eq!((said.as_str(), patch.as_deref()), ("", Some("@@ -1 +0,0 @@\n-a\n")));
    }
}
