//! What an agent asks of its client.

use super::{ID_BYTES_MAX, INVALID_PARAMS, METHOD_NOT_FOUND, Wrong, one_line, text};
use abi::limits;
use serde_json::{Map, Value};

/// What it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Whether it may do something that it is about to do.
    Permission(Permission),
    /// A file's text: from this line on, counted from 1, and so many of them.
    Read { path: String, line: Option<u64>, limit: Option<u64> },
    /// A file shall hold this text.
    Write { path: String, text: String },
    /// A command shall run; its words, its directory, more environment, bytes of its output that are kept.
    Create { words: Vec<String>, dir: Option<String>, env: Vec<(String, String)>, keep: Option<u64> },
    /// What the command of this terminal has said so far.
    Output { terminal: String },
    /// How it ended, when it has.
    Wait { terminal: String },
    /// It shall end; what it said can still be asked for.
    Kill { terminal: String },
    /// And is asked for no more.
    Release { terminal: String },
}

/// What it wants to do, and what it takes for a yes and for a no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// In its own words.
    pub title: String,
    /// `read`, `edit`, `execute`, …: what it says it is.
    pub kind: String,
    /// Files that it says it is about.
    pub paths: Vec<String>,
    /// The arguments of its tool, as JSON.
    pub input: String,
    /// How files would change.
    pub changes: Vec<Change>,
    options: Vec<(String, Kind)>,
}

/// A file as it is, if it is there, and as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub path: String,
    pub old: Option<String>,
    pub new: String,
}

/// What choosing an option means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    AllowOnce,
    AllowAlways,
    RejectOnce,
    RejectAlways,
}

impl Permission {
    /// What says yes: this time, if there is such an option, since what holds always is policy's to say.
    pub fn yes(&self) -> Option<&str> {
        self.option([Kind::AllowOnce, Kind::AllowAlways])
    }

    /// What says no.
    pub fn no(&self) -> Option<&str> {
        self.option([Kind::RejectOnce, Kind::RejectAlways])
    }

    fn option(&self, kinds: [Kind; 2]) -> Option<&str> {
        let of = |wanted: &Kind| self.options.iter().find(|(_, kind)| kind == wanted);
        kinds.iter().find_map(of).map(|(id, _)| id.as_str())
    }
}

/// Reads a request.
pub(super) fn of(method: &str, mut params: Map<String, Value>) -> Result<Ask, Wrong> {
    let params = &mut params;
    match method {
        "session/request_permission" => permission(params).map(Ask::Permission),
        "fs/read_text_file" => Ok(Ask::Read {
            path: must(params, "path")?,
            line: number(params, "line"),
            limit: number(params, "limit"),
        }),
        "fs/write_text_file" => {
            Ok(Ask::Write { path: must(params, "path")?, text: must(params, "content")? })
        }
        "terminal/create" => create(params),
        "terminal/output" => Ok(Ask::Output { terminal: name(params, "terminalId")? }),
        "terminal/wait_for_exit" => Ok(Ask::Wait { terminal: name(params, "terminalId")? }),
        "terminal/kill" => Ok(Ask::Kill { terminal: name(params, "terminalId")? }),
        "terminal/release" => Ok(Ask::Release { terminal: name(params, "terminalId")? }),
        other => Err(Wrong::new(METHOD_NOT_FOUND, format!("{} is not served", one_line(other)))),
    }
}

fn bad(message: &str) -> Wrong {
    Wrong::new(INVALID_PARAMS, message)
}

fn must(params: &mut Map<String, Value>, key: &str) -> Result<String, Wrong> {
    text(params, key).ok_or_else(|| bad(&format!("{key} is text")))
}

fn name(params: &mut Map<String, Value>, key: &str) -> Result<String, Wrong> {
    let name = must(params, key)?;
    if name.len() <= ID_BYTES_MAX { Ok(name) } else { Err(bad(&format!("{key} is too long"))) }
}

fn number(params: &Map<String, Value>, key: &str) -> Option<u64> {
    params.get(key).and_then(Value::as_u64)
}

fn list(params: &mut Map<String, Value>, key: &str, most: usize) -> Result<Vec<Value>, Wrong> {
    match params.remove(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(all)) if all.len() <= most => Ok(all),
        Some(_) => Err(bad(&format!("{key} is a list of at most {most}"))),
    }
}

fn create(params: &mut Map<String, Value>) -> Result<Ask, Wrong> {
    let mut words = vec![must(params, "command")?];
    for word in list(params, "args", limits::ACP_WORDS_MAX)? {
        let Value::String(word) = word else { return Err(bad("args are texts")) };
        words.push(word);
    }
    let mut env = Vec::new();
    for pair in list(params, "env", limits::ACP_WORDS_MAX)? {
        let Value::Object(mut pair) = pair else { return Err(bad("env is a list of name and value")) };
        let (name, value) = (must(&mut pair, "name")?, must(&mut pair, "value")?);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(plain) {
            return Err(bad("the name of a variable has letters, digits and _"));
        }
        env.push((name, value));
    }
    Ok(Ask::Create { words, dir: text(params, "cwd"), env, keep: number(params, "outputByteLimit") })
}

fn permission(params: &mut Map<String, Value>) -> Result<Permission, Wrong> {
    let mut options = Vec::new();
    for option in list(params, "options", limits::ACP_OPTIONS_MAX)? {
        let Value::Object(mut option) = option else { return Err(bad("an option is an object")) };
        let kind = match option.get("kind").and_then(Value::as_str) {
            Some("allow_once") => Kind::AllowOnce,
            Some("allow_always") => Kind::AllowAlways,
            Some("reject_once") => Kind::RejectOnce,
            Some("reject_always") => Kind::RejectAlways,
            // What it means nobody here knows, so it is never chosen.
            _ => continue,
        };
        options.push((name(&mut option, "optionId")?, kind));
    }
    let Some(Value::Object(mut call)) = params.remove("toolCall") else {
        return Err(bad("toolCall is an object"));
    };
    let mut all = Permission { options, ..Permission::default() };
    all.title = text(&mut call, "title").unwrap_or_default();
    all.kind = text(&mut call, "kind").unwrap_or_default();
    for place in list(&mut call, "locations", limits::ACP_PATHS_MAX)? {
        let Value::Object(mut place) = place else { return Err(bad("a location is an object")) };
        all.paths.push(must(&mut place, "path")?);
    }
    if let Some(input) = call.remove("rawInput").filter(|input| !input.is_null()) {
        all.input = input.to_string();
    }
    for part in list(&mut call, "content", limits::ACP_PATHS_MAX)? {
        let Value::Object(mut part) = part else { return Err(bad("content is a list of objects")) };
        if part.get("type").and_then(Value::as_str) == Some("diff") {
            let (path, new) = (must(&mut part, "path")?, must(&mut part, "newText")?);
            all.changes.push(Change { path, old: text(&mut part, "oldText"), new });
        }
    }
    Ok(all)
}
