//! Versions of files as the daemon tells them: histories page by page, operations, contents. What an argument
//! names is parsed here: `PATH`, `PATH@VERSION`, `op:OPERATION`. Never here: what to print.

use crate::{
    fail::{Exit, Fail},
    session::Session,
};
use abi::{Pid, view::Change};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// Versions asked for at a time.
pub const PAGE: u32 = 2000;
/// Bytes of a content that is looked at line by line: what one message carries.
const TEXT_BYTES_MAX: u64 = abi::limits::VALUE_BYTES_MAX as u64;
/// Lines of it: the time to compare two texts grows with their number times that of the changes.
const LINES_MAX: usize = 50_000;

/// A version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Version {
    pub id: u64,
    pub path: String,
    pub operation: u64,
    pub pid: u64,
    pub actor: String,
    pub mtime: u64,
    pub bytes: u64,
    pub hash: String,
    /// `file`, `dir`, `link`, `gone`.
    pub node: String,
    pub label: String,
    /// Kept beside the head.
    pub diverged: bool,
    /// Made from; the second is what came in by a merge or a resolution.
    pub parents: Vec<u64>,
    pub message: String,
    /// As it came, for `--json`.
    pub raw: Value,
}

impl Version {
    /// Reads one.
    pub fn parse(raw: &Value) -> Self {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| raw.get(key).and_then(Value::as_u64).unwrap_or_default();
        let parents = raw.get("parents").and_then(Value::as_array).into_iter().flatten();
        Self {
            id: number("version"),
            path: text("path"),
            operation: number("operation"),
            pid: number("pid"),
            actor: text("actor"),
            mtime: number("mtime"),
            bytes: number("bytes"),
            hash: text("hash"),
            node: text("node"),
            label: text("label"),
            diverged: raw.get("diverged").and_then(Value::as_bool).unwrap_or_default(),
            parents: parents.filter_map(Value::as_u64).collect(),
            message: text("message"),
            raw: raw.clone(),
        }
    }

    /// The process, as a cell of a table: nothing for the workspace itself.
    pub fn process(&self) -> String {
        if self.pid == 0 { String::new() } else { self.pid.to_string() }
    }
}

/// What an argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// What stands at a path.
    Path(String),
    /// A version of it.
    Version(String, u64),
    /// All that an operation made.
    Operation(u64),
}

impl Named {
    /// Parses it. A path that ends in `@` and digits is taken for a version.
    pub fn parse(text: &str) -> Result<Self, Fail> {
        let number = |digits: &str| digits.parse::<u64>().ok();
        if let Some(op) = text.strip_prefix("op:") {
            return number(op).map(Self::Operation).ok_or_else(|| {
                Fail::usage(format!("{text:?} is no operation"))
                    .hint("write it as op:34; skep log lists them")
            });
        }
        Ok(match text.rsplit_once('@').and_then(|(path, id)| Some((path, number(id)?))) {
            Some((path, id)) if !path.is_empty() => Self::Version(path.to_owned(), id),
            _ => Self::Path(text.to_owned()),
        })
    }
}

fn versions(answer: &Value) -> Vec<Version> {
    answer.get("versions").and_then(Value::as_array).into_iter().flatten().map(Version::parse).collect()
}

/// Versions of the file at a path, newest first, diverged ones too; only those before one, if it is given.
pub fn history(
    session: &mut Session,
    path: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Version>, Fail> {
    let mut params = json!({"path": path, "limit": limit});
    if let (Some(before), Some(map)) = (before, params.as_object_mut()) {
        map.insert("before".into(), json!(before));
    }
    Ok(versions(&session.call("history", params)?))
}

/// What an operation made.
pub fn operation(session: &mut Session, id: u64) -> Result<Vec<Version>, Fail> {
    let limit = abi::limits::LISTING_MAX;
    let made = versions(&session.call("history", json!({"operation": id, "limit": limit}))?);
    if made.is_empty() {
        return Err(Fail::new(format!("there is no operation {id}")).hint("skep log"));
    }
    Ok(made)
}

/// The version of this number, of the file at a path.
pub fn version(session: &mut Session, path: &str, id: u64) -> Result<Version, Fail> {
    let found = history(session, path, Some(id.saturating_add(1)), 1)?;
    found.into_iter().find(|version| version.id == id).ok_or_else(|| {
        Fail::new(format!("{path} has no version {id}")).hint(format!("skep log {path} shows its versions"))
    })
}

/// The newest version that counts.
pub fn head(session: &mut Session, path: &str) -> Result<Version, Fail> {
    let mut before = None;
    loop {
        let page = history(session, path, before, 64)?;
        let Some(last) = page.last() else {
            return Err(Fail::new(format!("nothing stands or stood at {path}")).hint("skep ls"));
        };
        before = Some(last.id);
        if let Some(head) = page.into_iter().find(|version| !version.diverged) {
            return Ok(head);
        }
    }
}

/// What a version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A text.
    Text(String),
    /// So many bytes that are no text.
    Binary(u64),
    /// So many bytes, too many to look at one by one.
    Large(u64),
    /// There was no file.
    Nothing,
    /// Its bytes are not kept any more, with the daemon's words.
    Lost(String),
}

/// What a process left as a draft; none if it left none.
pub fn draft(session: &mut Session, pid: Pid) -> Result<Option<Vec<Change>>, Fail> {
    let (path, mut text, mut all) = (format!("/proc/{pid}/draft"), Vec::new(), 1);
    while (text.len() as u64) < all {
        let params = json!({"path": path, "offset": text.len(), "length": TEXT_BYTES_MAX});
        let answer = match session.call("read", params) {
            Err(fail) if text.is_empty() && fail.is(abi::Code::NotFound) => return Ok(None),
            answer => answer?,
        };
        all = answer.get("bytes").and_then(Value::as_u64).unwrap_or_default();
        let part = bytes(&answer)?;
        if part.is_empty() && !text.is_empty() {
            return Err(Fail::new("the daemon gave less of the draft than there is").hint("skep doctor"));
        }
        text.extend(part);
    }
    Ok(Some(abi::view::parse_layer(&text)?))
}

/// What a content is, by its name.
pub fn blob(session: &mut Session, content: &abi::Content) -> Result<Body, Fail> {
    if content.bytes > abi::limits::BLOB_INLINE_BYTES_MAX {
        return Ok(Body::Large(content.bytes));
    }
    let answer = match session.call("read", json!({"path": format!("/sys/blobs/{}", content.hash)})) {
        Err(fail) if fail.is(abi::Code::NotFound) => return Ok(Body::Lost(fail.message)),
        answer => answer?,
    };
    Ok(match String::from_utf8(bytes(&answer)?) {
        Ok(text) if !text.contains('\0') => Body::Text(text),
        _ => Body::Binary(content.bytes),
    })
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Which version it is.
    pub version: u64,
    /// See there.
    pub body: Body,
}

/// The content of a version that a history told of.
pub fn content(session: &mut Session, version: &Version) -> Result<Content, Fail> {
    match version.node.as_str() {
        "gone" => return Ok(Content { version: version.id, body: Body::Nothing }),
        "dir" => {
            return Err(Fail::new(format!("{} is a directory", version.path)).hint("skep ls"));
        }
        _ => {}
    }
    let which = [("version".to_owned(), json!(version.id))].into_iter().collect();
    match read(session, &version.path, which) {
        Err(fail) if fail.is(abi::Code::NotFound) => {
            Ok(Content { version: version.id, body: Body::Lost(fail.message) })
        }
        read => read,
    }
}

/// What stands at a path, or stood there: `which` says at what moment, or which version.
pub fn read(session: &mut Session, path: &str, which: Map<String, Value>) -> Result<Content, Fail> {
    let mut params = json!({"path": path, "offset": 0, "length": TEXT_BYTES_MAX});
    if let Some(map) = params.as_object_mut() {
        map.extend(which);
    }
    let answer = session.call("read", params)?;
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    let length = number("bytes");
    let body = if length > TEXT_BYTES_MAX {
        Body::Large(length)
    } else {
        match answer.get("text").and_then(Value::as_str) {
            Some(text) if text.lines().count() > LINES_MAX => Body::Large(text.len() as u64),
            Some(text) if text.contains('\0') => Body::Binary(text.len() as u64),
            Some(text) => Body::Text(text.to_owned()),
            None => Body::Binary(length),
        }
    };
    Ok(Content { version: number("version"), body })
}

/// All bytes of an answer to `read`.
pub fn bytes(answer: &Value) -> Result<Vec<u8>, Fail> {
    if let Some(text) = answer.get("text").and_then(Value::as_str) {
        return Ok(text.as_bytes().to_vec());
    }
    let text = answer.get("base64").and_then(Value::as_str).unwrap_or_default();
    STANDARD.decode(text).map_err(|_| Fail::new("the daemon sent bytes that are not base64"))
}

/// A version kept beside the head that nobody has resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// It: ours, in the words of the daemon.
    pub version: u64,
    pub path: String,
    /// What both were made from.
    pub base: Option<u64>,
    /// The head: theirs.
    pub head: u64,
    /// Who wrote it.
    pub actor: String,
}

impl Conflict {
    /// A line of `/sys/conflicts`: `VERSION PATH BASE HEAD ACTOR`; only the path may hold spaces.
    fn parse(line: &str) -> Option<Self> {
        let (version, rest) = line.split_once(' ')?;
        let mut parts = rest.rsplitn(4, ' ');
        let (actor, head, base, path) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            version: version.parse().ok()?,
            path: path.to_owned(),
            base: base.parse().ok(),
            head: head.parse().ok()?,
            actor: actor.to_owned(),
        })
    }

    /// For `--json`.
    pub fn object(&self) -> Value {
        json!({"conflict": self.version, "path": self.path, "base": self.base, "head": self.head,
            "actor": self.actor})
    }

    /// The command that ends it.
    pub fn command(&self) -> String {
        format!("skep resolve {} --version {} --take ours|theirs|edit", self.path, self.version)
    }
}

/// The open conflicts, oldest first.
pub fn conflicts(session: &mut Session) -> Result<Vec<Conflict>, Fail> {
    Ok(session.read("/sys/conflicts")?.lines().filter_map(Conflict::parse).collect())
}

/// The one line that commands about other things say of them; nothing when there is none.
pub fn note_conflicts(session: &mut Session) -> Result<Exit, Fail> {
    let open = conflicts(session)?.len();
    if open > 0 {
        let are = if open == 1 { "conflict is" } else { "conflicts are" };
        session.note(&format!("{open} {are} open; skep inbox shows how to resolve"));
    }
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_argument_names() {
        let rows = [
            ("/a/b.md", Named::Path("/a/b.md".into())),
            ("/a/b.md@12", Named::Version("/a/b.md".into(), 12)),
            ("/a@x/b@", Named::Path("/a@x/b@".into())),
            ("/a@1@2", Named::Version("/a@1".into(), 2)),
            ("@7", Named::Path("@7".into())),
            ("op:34", Named::Operation(34)),
        ];
        for (text, want) in rows {
            assert_eq!(Named::parse(text).unwrap(), want, "{text}");
        }
        assert_eq!(Named::parse("op:x").unwrap_err().exit, 2);
    }

    #[test]
    fn a_conflict_is_a_line_whose_path_may_hold_spaces() {
        let got = Conflict::parse("12 /data/two words.md 9 11 agent:drafts").unwrap();
        let want = Conflict {
            version: 12,
            path: "/data/two words.md".into(),
            base: Some(9),
            head: 11,
            actor: "agent:drafts".into(),
        };
        assert_eq!(got, want);
        assert_eq!(Conflict::parse("12 /a - 11 agent:x").unwrap().base, None);
        assert_eq!(Conflict::parse("12 /a"), None);
    }
}
