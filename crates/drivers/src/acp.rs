//! The Agent Client Protocol, version 1, as its client speaks it: JSON-RPC 2.0 over the standard input and
//! output of a program, one message a line (docs/decisions/0041).
//!
//! ```text
//! we ask     initialize ─▶ session/new, load ─▶ session/prompt … ─▶ why it stopped   session/cancel is told
//! it asks    session/request_permission · fs/read_text_file · fs/write_text_file · terminal/…
//! it tells   session/update: words, thoughts, tool calls, a plan
//! ```
//! What an agent writes is outside bytes: a line is bounded before it comes here, its depth before it is
//! parsed, and of what it holds only what is named below is looked at, each text and list cut or refused by
//! its limit. Never here: a file, a process, a decision; whose session it is, who waits for an answer.

use abi::{limits, money::Usage, wire};
use serde_json::{Map, Value, json};

mod ask;
mod news;
mod servers;

pub use ask::{Ask, Change, Permission};
pub use news::{Act, News};
pub use servers::{Server, servers};

/// The version that is spoken.
pub const VERSION: u64 = 1;
/// JSON-RPC 2.0, section 5.1.
pub const INVALID_PARAMS: i64 = -32602;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INTERNAL: i64 = -32603;
/// What the protocol adds: log in first; there is no such thing.
pub const LOGIN_FIRST: i64 = -32000;
pub const NOT_FOUND: i64 = -32002;
/// Bytes of what identifies a request, a session, a terminal or an option: it is sent back.
const ID_BYTES_MAX: usize = 256;

/// Under what a request of the agent's waits for its answer: text or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(Value);

/// What was wrong with something, as JSON-RPC tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub number: i64,
    pub message: String,
}

impl Wrong {
    pub fn new(number: i64, message: impl Into<String>) -> Self {
        Self { number, message: message.into() }
    }
}

/// What a line came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// It asks for something in a session, and waits; or what it asks for cannot be read.
    Asked { id: Id, session: String, ask: Result<Ask, Wrong> },
    /// The answer to what was asked under this number.
    Answered { id: u64, answer: Result<Value, Wrong> },
    /// News of a session.
    Told { session: String, news: News },
    /// A notification that is of no use here: extensions, progress of others.
    Other,
}

/// Reads a line; why it is no message where it is none.
pub fn hear(line: &[u8]) -> Result<Heard, &'static str> {
    if wire::deeper_than(line, limits::JSON_DEPTH_MAX) {
        return Err("it is nested too deep");
    }
    let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else {
        return Err("it is no JSON object");
    };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err("it is no JSON-RPC 2.0");
    }
    let id = message.remove("id");
    let Some(method) = message.remove("method") else { return answered(id, message) };
    let Value::String(method) = method else { return Err("its method is no text") };
    let mut params = match message.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err("its params are no object"),
    };
    let session = text(&mut params, "sessionId").unwrap_or_default();
    match id {
        Some(id) => {
            let id = name_of(id).ok_or("its id is no number or short text")?;
            Ok(Heard::Asked { id, session, ask: ask::of(&method, params) })
        }
        None if method == "session/update" => Ok(Heard::Told { session, news: news::of(params) }),
        None => Ok(Heard::Other),
    }
}

fn answered(id: Option<Value>, mut message: Map<String, Value>) -> Result<Heard, &'static str> {
    let id = id.as_ref().and_then(Value::as_u64).ok_or("it answers nothing that was asked")?;
    let answer = match (message.remove("result"), message.remove("error")) {
        (Some(result), None | Some(Value::Null)) => Ok(result),
        (None | Some(Value::Null), Some(Value::Object(mut error))) => {
            let number = error.get("code").and_then(Value::as_i64).unwrap_or(INTERNAL);
            Err(Wrong::new(number, text(&mut error, "message").unwrap_or_default()))
        }
        _ => return Err("it holds neither a result nor an error"),
    };
    Ok(Heard::Answered { id, answer })
}

fn name_of(id: Value) -> Option<Id> {
    match &id {
        Value::Number(_) => Some(Id(id)),
        Value::String(text) if text.len() <= ID_BYTES_MAX => Some(Id(id)),
        _ => None,
    }
}

/// A text under this key, taken out.
fn text(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    match map.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The first characters of a text, on one line and without what a terminal would act upon.
pub fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().filter(|c| !abi::scan::is_hidden(*c)).map(plain).take(limits::ACP_TITLE_CHARS_MAX).collect()
}

/// A request of ours, as a line.
pub fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string() + "\n"
}

/// The answer to one of its requests, as a line.
pub fn answer(id: &Id, answer: &Result<Value, Wrong>) -> String {
    let line = match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id.0, "result": result }),
        Err(Wrong { number, message }) => {
            json!({ "jsonrpc": "2.0", "id": id.0, "error": { "code": number, "message": message } })
        }
    };
    line.to_string() + "\n"
}

/// The turn shall stop, as a line.
pub fn cancel(session: &str) -> String {
    json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": session } }).to_string()
        + "\n"
}

/// What a client does for an agent, beside asking who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Files and commands.
    All,
    /// Neither: it has its own.
    Nothing,
}

/// What a client says first: who it is and what it does for an agent.
pub fn initialize(offer: Offer) -> (&'static str, Value) {
    let all = offer == Offer::All;
    let can = json!({ "fs": { "readTextFile": all, "writeTextFile": all }, "terminal": all });
    let info = json!({ "name": "skep", "title": "Skep", "version": env!("CARGO_PKG_VERSION") });
    ("initialize", json!({ "protocolVersion": VERSION, "clientCapabilities": can, "clientInfo": info }))
}

/// Logs in, in a way that the agent offers and that needs nobody.
pub fn authenticate(method: &str) -> (&'static str, Value) {
    ("authenticate", json!({ "methodId": method }))
}

/// A session in this directory, with these servers.
pub fn new_session(dir: &str, servers: &[Server]) -> (&'static str, Value) {
    let servers: Vec<Value> = servers.iter().map(Server::said).collect();
    ("session/new", json!({ "cwd": dir, "mcpServers": servers }))
}

/// One that it had before, there, with these servers.
pub fn load_session(name: &str, dir: &str, servers: &[Server]) -> (&'static str, Value) {
    let servers: Vec<Value> = servers.iter().map(Server::said).collect();
    ("session/load", json!({ "sessionId": name, "cwd": dir, "mcpServers": servers }))
}

/// Whether it goes on with a session that it had before, as the answer to `initialize` says.
pub fn loads(answer: &Value) -> bool {
    answer.pointer("/agentCapabilities/loadSession").and_then(Value::as_bool) == Some(true)
}

/// A turn of the session.
pub fn prompt(session: &str, task: &str) -> (&'static str, Value) {
    let block = json!({ "type": "text", "text": task });
    ("session/prompt", json!({ "sessionId": session, "prompt": [block] }))
}

/// How one may log in, as the answer to `initialize` says; an error where it speaks another version.
pub fn logins(answer: &Value) -> Result<Vec<String>, String> {
    let version = answer.get("protocolVersion").and_then(Value::as_u64);
    if version != Some(VERSION) {
        let other = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
        return Err(format!("it speaks {other} of the protocol, not {VERSION}"));
    }
    // One of another type wants a terminal, a variable, somebody before a browser.
    let plain = |method: &&Value| match method.get("type") {
        None | Some(Value::Null) => true,
        Some(kind) => kind.as_str() == Some("agent"),
    };
    let listed = answer.get("authMethods").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let ids = listed.iter().filter(plain).filter_map(|method| method.get("id")?.as_str());
    Ok(ids.filter(|id| id.len() <= ID_BYTES_MAX).take(limits::ACP_LOGINS_MAX).map(str::to_owned).collect())
}

/// The session's name, as the answer to `session/new` says.
pub fn session(answer: &Value) -> Option<String> {
    let id = answer.get("sessionId").and_then(Value::as_str)?;
    (!id.is_empty() && id.len() <= ID_BYTES_MAX).then(|| id.to_owned())
}

/// Why a turn stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It has done what it was asked to do.
    End,
    /// It reached a limit of its own, or refused.
    Short(&'static str),
    /// It was told to stop.
    Cancelled,
}

/// Why the turn stopped and what the agent says it used, as the answer to `session/prompt` says.
pub fn stopped(answer: &Value) -> Option<(Stop, Option<Usage>)> {
    let stop = match answer.get("stopReason").and_then(Value::as_str)? {
        "end_turn" => Stop::End,
        "max_tokens" => Stop::Short("max_tokens"),
        "max_turn_requests" => Stop::Short("max_turn_requests"),
        "refusal" => Stop::Short("refusal"),
        "cancelled" => Stop::Cancelled,
        _ => return None,
    };
    Some((stop, answer.get("usage").and_then(usage)))
}

/// Tokens, as the agent counts them. What it leaves out is nothing.
fn usage(usage: &Value) -> Option<Usage> {
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    Some(Usage {
        tokens_in: count("inputTokens")?,
        tokens_out: count("outputTokens")?.saturating_add(count("thoughtTokens").unwrap_or(0)),
        tokens_cached: count("cachedReadTokens").unwrap_or(0),
        tokens_written: count("cachedWriteTokens").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests;
