//! Servers of the Model Context Protocol, as a directory's `.mcp.json` names them for those who work there.
//!
//! ```text
//! {"mcpServers": {"files": {"command": "npx", "args": ["-y", "x"], "env": {"ROOT": "."}}}}
//!      ─▶ files, which an agent starts itself, inside its wall
//! ```
//! Of those that are reached in another way nothing is told. Nothing is put in for `${NAME}`. Never here: a
//! process, a file.

use abi::{limits, wire};
use serde_json::{Map, Value, json};

/// A program that an agent may start and speak to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    name: String,
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Server {
    /// As `session/new` has it.
    pub(super) fn said(&self) -> Value {
        let pairs = self.env.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let env: Vec<Value> = pairs.collect();
        json!({ "name": self.name, "command": self.command, "args": self.args, "env": env })
    }
}

/// Reads the file: those that can be told of, and a line for each that cannot; or what is wrong with it.
pub fn servers(text: &str) -> Result<(Vec<Server>, Vec<String>), String> {
    if text.len() as u64 > limits::ARGUMENT_BYTES_MAX {
        return Err("it is larger than 64 KiB".to_owned());
    }
    if wire::deeper_than(text.as_bytes(), limits::JSON_DEPTH_MAX) {
        return Err("it is nested too deep".to_owned());
    }
    let whole: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let listed = match whole.get("mcpServers") {
        Some(Value::Object(listed)) => listed,
        None if whole.is_object() => return Ok((Vec::new(), Vec::new())),
        _ => return Err("mcpServers is an object".to_owned()),
    };
    if listed.len() > limits::ACP_SERVERS_MAX {
        return Err(format!("it names more than {} servers", limits::ACP_SERVERS_MAX));
    }
    let (mut told, mut left) = (Vec::new(), Vec::new());
    for (name, server) in listed {
        match one(name, server) {
            Ok(server) => told.push(server),
            Err(why) => left.push(format!("{}: {why}", super::one_line(name))),
        }
    }
    Ok((told, left))
}

fn one(name: &str, server: &Value) -> Result<Server, &'static str> {
    let Value::Object(server) = server else { return Err("a server is an object") };
    let kind = server.get("type").map(Value::as_str);
    if !matches!(kind, None | Some(Some("stdio"))) {
        return Err("only those are told of that speak on their standard streams");
    }
    let command = server.get("command").and_then(Value::as_str).filter(|command| !command.is_empty());
    let command = command.ok_or("it has no command")?;
    let args = match server.get("args") {
        None => Vec::new(),
        Some(Value::Array(args)) => texts(args.iter())?,
        Some(_) => return Err("args is a list of texts"),
    };
    let none = Map::new();
    let env = match server.get("env") {
        None => &none,
        Some(Value::Object(env)) => env,
        Some(_) => return Err("env is an object of texts"),
    };
    let env = env.keys().cloned().zip(texts(env.values())?).collect();
    Ok(Server { name: name.to_owned(), command: command.to_owned(), args, env })
}

fn texts<'a>(values: impl ExactSizeIterator<Item = &'a Value>) -> Result<Vec<String>, &'static str> {
    if values.len() > limits::ACP_WORDS_MAX {
        return Err("it has more than 256 words");
    }
    let texts = values.map(|value| value.as_str().map(str::to_owned).ok_or("a word is a text"));
    texts.collect()
}
