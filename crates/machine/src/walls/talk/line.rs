//! A connection of our own to the door, as the process in whose sandbox a program asks: what is asked there
//! is checked, decided and recorded as if the program itself had asked at its socket.

use super::{Talk, Wait};
use crate::{
    connection::{self, Lines},
    guard::guard,
};
use drivers::acp::{INTERNAL, NOT_FOUND, Wrong};
use serde_json::{Value, json};
use std::{io::Write, net::Shutdown, os::unix::net::UnixStream};

pub(super) struct Line<'a> {
    talk: &'a Talk,
    name: u64,
    socket: UnixStream,
    lines: Lines<UnixStream>,
}

impl<'a> Line<'a> {
    /// Opens one; it is cut when nobody needs it any more.
    pub fn open(talk: &'a Talk, wait: Wait) -> Result<Self, Wrong> {
        let broken = |error: std::io::Error| Wrong::new(INTERNAL, format!("no connection: {error}"));
        let (ours, theirs) = UnixStream::pair().map_err(broken)?;
        let (lines, held) =
            (Lines::new(ours.try_clone().map_err(broken)?), ours.try_clone().map_err(broken)?);
        let name = {
            let mut state = guard(&talk.state);
            let stops = state.end.is_some() || (wait == Wait::Decision && state.cancelled.is_some());
            if stops {
                return Err(Wrong::new(INTERNAL, "its turn is over"));
            }
            let name = state.next;
            state.next += 1;
            state.lines.insert(name, (wait, held));
            name
        };
        talk.node.door.admit(&talk.node, theirs, Some(talk.inside.clone()));
        Ok(Self { talk, name, socket: ours, lines })
    }

    /// Where it is cut.
    pub fn end(&self) -> std::io::Result<UnixStream> {
        self.socket.try_clone()
    }

    /// One call, and its answer.
    pub fn ask(&mut self, call: &str, params: &Value) -> Result<Value, Wrong> {
        self.hear(call, params, &mut |_| ())
    }

    /// The same of one that says something meanwhile.
    pub fn hear(&mut self, call: &str, params: &Value, said: &mut dyn FnMut(&str)) -> Result<Value, Wrong> {
        let gone = || Wrong::new(INTERNAL, "nobody waits for it any more");
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": call, "params": params });
        self.socket.write_all(format!("{request}\n").as_bytes()).map_err(|_| gone())?;
        loop {
            let Ok(connection::Line::Full(line)) = self.lines.next() else { return Err(gone()) };
            let mut message: Value = serde_json::from_slice(&line).map_err(|_| gone())?;
            if let Some(text) = message.pointer("/params/text").and_then(Value::as_str) {
                said(text);
            }
            if message.get("id").is_none() {
                continue;
            }
            return match (message.pointer_mut("/result").map(Value::take), message.get("error")) {
                (Some(result), None) => Ok(result),
                (_, error) => Err(wrong(error.unwrap_or(&Value::Null))),
            };
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        guard(&self.talk.state).lines.remove(&self.name);
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// What the door refused, as an agent is told.
fn wrong(error: &Value) -> Wrong {
    let text = |at: &str| error.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let code = text("/data/code");
    let hint = match text("/data/hint") {
        "" => String::new(),
        hint => format!(" ({hint})"),
    };
    let number = if code == "NotFound" { NOT_FOUND } else { INTERNAL };
    Wrong::new(number, format!("{code}: {}{hint}", text("/message")))
}
