//! `skep blame`: line by line, which version brought it. What an undo or a resolution brought back belongs to
//! whoever wrote it first; a rename changes nothing.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    lines::{self, Origin, Parents, Past},
    moment,
    past::{self, Body, Version},
    session::Session,
    table::{Side, fill},
};
use serde_json::json;
use std::collections::BTreeMap;

/// Versions that are looked at; what is older is said to be older.
const VERSIONS_MAX: u32 = abi::limits::LISTING_MAX;

/// For each line: who brought it, by which version, acting as which process
#[derive(Debug, clap::Args)]
pub struct Blame {
    /// Which file, or one of its versions
    #[arg(value_name = "PATH|PATH@VERSION")]
    path: String,
    /// As it was then: a record's number, a time, or 10m, 2h, 3d ago
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
}

impl Blame {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (path, head) = self.head(session)?;
        let head = past::version(session, &path, head)?;
        let text = match past::content(session, &head)?.body {
            Body::Text(text) => text,
            Body::Nothing => String::new(),
            Body::Binary(_) | Body::Large(_) => {
                return Err(Fail::new(format!("{path} is no text of at most 1 MiB and 50,000 lines"))
                    .hint(format!("skep log {path} shows its versions")));
            }
            Body::Lost(why) => return Err(Fail::new(why)),
        };
        let before = Some(head.id.saturating_add(1));
        let versions = past::history(session, &path, before, VERSIONS_MAX)?;
        let whole = versions.len() < VERSIONS_MAX as usize;
        let mut file = File::of(session, versions, whole);
        let origins = lines::origins(&mut file, head.id)?;
        let File { session, versions, .. } = file;
        print(session, &versions, &origins, &text)?;
        Ok(Exit::Fine)
    }

    /// The version that is asked for.
    fn head(&self, session: &mut Session) -> Result<(String, u64), Fail> {
        let (path, version) = match past::Named::parse(&self.path)? {
            past::Named::Path(path) => (path, None),
            past::Named::Version(path, id) => (path, Some(id)),
            past::Named::Operation(id) => {
                return Err(Fail::usage(format!("op:{id} is no path")).hint("skep log op:34"));
            }
        };
        let id = match (version, &self.at) {
            (Some(id), None) => id,
            (None, None) => past::head(session, &path)?.id,
            (None, Some(at)) => {
                let (key, value) = moment::parse(at, (session.clock)())?.argument();
                let which = [(key.to_owned(), json!(value))].into_iter().collect();
                past::read(session, &path, which)?.version
            }
            (Some(_), Some(_)) => {
                return Err(
                    Fail::usage("a version has no moment").hint("PATH@VERSION, or PATH --at SEQ|TIME")
                );
            }
        };
        Ok((path, id))
    }
}

/// The versions of one file, by number.
struct File<'s, 'a> {
    session: &'s mut Session<'a>,
    versions: BTreeMap<u64, Version>,
    /// Versions with the same bytes as an earlier one, and that one.
    again: BTreeMap<u64, u64>,
    whole: bool,
}

impl<'s, 'a> File<'s, 'a> {
    fn of(session: &'s mut Session<'a>, versions: Vec<Version>, whole: bool) -> Self {
        let versions: BTreeMap<u64, Version> =
            versions.into_iter().map(|version| (version.id, version)).collect();
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let mut again = BTreeMap::new();
        for (id, version) in versions.iter().filter(|(_, version)| version.node == "file") {
            if let Some(earlier) = last.insert(&version.hash, *id) {
                again.insert(*id, earlier);
            }
        }
        Self { session, again, versions, whole }
    }
}

impl Past for File<'_, '_> {
    fn text(&mut self, version: u64) -> Result<Option<String>, Fail> {
        let Some(version) = self.versions.get(&version) else { return Ok(None) };
        if version.node == "gone" {
            return Ok(Some(String::new()));
        }
        Ok(match past::content(self.session, version)?.body {
            Body::Text(text) => Some(text),
            Body::Nothing => Some(String::new()),
            Body::Binary(_) | Body::Large(_) | Body::Lost(_) => None,
        })
    }

    fn parents(&self, version: u64) -> Parents {
        let Some(row) = self.versions.get(&version) else { return Parents::Unknown };
        let in_sight = row.parents.iter().all(|parent| self.versions.contains_key(parent));
        if !in_sight && !self.whole {
            return Parents::Unknown;
        }
        // The same bytes stood there before: they came back, and are whose they were.
        let again = self.again.get(&version).copied();
        Parents::Known(again.into_iter().chain(row.parents.iter().copied()).collect())
    }
}

fn print(
    session: &mut Session,
    versions: &BTreeMap<u64, Version>,
    origins: &[Origin],
    text: &str,
) -> Result<(), Fail> {
    let now = (session.clock)();
    let nobody = Version::default();
    let mut rows = Vec::new();
    for (ix, (line, origin)) in text.lines().zip(origins).enumerate() {
        let (id, mark) = match origin {
            Origin::Of(id) => (id, ""),
            Origin::Older(id) => (id, "≤"),
        };
        let version = versions.get(id).unwrap_or(&nobody);
        if session.is_json() {
            session.object(&json!({"line": ix + 1, "version": id, "older": !mark.is_empty(),
                "operation": version.operation, "actor": version.actor, "pid": version.pid,
                "path": version.path, "mtime": version.mtime, "text": line}))?;
            continue;
        }
        let cells = [
            format!("{mark}{id}"),
            format!("op:{}", version.operation),
            escape::line(&version.actor),
            version.process(),
            figures::moment(version.mtime, now),
            (ix + 1).to_string(),
        ];
        rows.push((cells, escape::escape(line, Keep::Lines)));
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|(cells, _)| cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    let sides = [Side::Right, Side::Left, Side::Left, Side::Right, Side::Left, Side::Right];
    for (cells, line) in &rows {
        let cells =
            cells.iter().zip(&widths).zip(sides).map(|((cell, width), side)| fill(cell, *width, side));
        let head: Vec<String> = cells.collect();
        session.say(format!("{}  {line}", head.join("  ")).trim_end())?;
    }
    if origins.iter().any(|origin| matches!(origin, Origin::Older(_))) {
        session
            .note("≤ stood there already in that version; older ones are not kept, or more than 10,000 away");
    }
    if !session.is_json() {
        session.hint("skep why PATH@VERSION says what led to it");
    }
    Ok(())
}
