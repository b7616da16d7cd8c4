//! Lines on the daemon's socket: one connection is an operator's, or, once it has shown a token, a
//! process's.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// A daemon that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub struct Door {
    to: UnixStream,
    from: BufReader<UnixStream>,
    workspace: String,
    token: Option<String>,
    sent: u64,
}

/// What a call was refused with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code's word.
    pub code: String,
    /// The sentence.
    pub message: String,
}

impl Door {
    /// Connects, for calls to this workspace; with a token, as that process.
    pub fn connect(socket: &Path, workspace: &str, token: Option<String>) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", socket.display());
        let to = UnixStream::connect(socket).map_err(failed)?;
        to.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let from = BufReader::new(to.try_clone().map_err(failed)?);
        Ok(Self { to, from, workspace: workspace.to_owned(), token, sent: 0 })
    }

    /// A call that may be refused.
    pub fn ask(&mut self, method: &str, mut params: Value) -> Result<Result<Value, Refused>, String> {
        let failed = |error: std::io::Error| format!("{method}: {error}");
        self.sent += 1;
        params["workspace"] = json!(self.workspace);
        if let Some(token) = &self.token {
            params["token"] = json!(token);
        }
        let line = json!({ "jsonrpc": "2.0", "id": self.sent, "method": method, "params": params });
        self.to.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
        loop {
            let mut line = String::new();
            if self.from.read_line(&mut line).map_err(failed)? == 0 {
                return Err(format!("{method}: the daemon closed the connection"));
            }
            let mut answer: Value =
                serde_json::from_str(&line).map_err(|error| format!("{method}: {error}"))?;
            if answer["id"] != self.sent {
                continue;
            }
            let error = &answer["error"];
            if error.is_null() {
                return Ok(Ok(answer["result"].take()));
            }
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            return Ok(Err(Refused { code: word(&error["data"]["code"]), message: word(&error["message"]) }));
        }
    }

    /// A call that must succeed.
    pub fn ok(&mut self, method: &str, params: Value) -> Result<Value, String> {
        let told = params.to_string();
        let refused = |refused: Refused| {
            let told: String = told.chars().take(200).collect();
            format!("{method} {told}: {} ({})", refused.message, refused.code)
        };
        self.ask(method, params)?.map_err(refused)
    }

    /// The text of a file, if it stands.
    pub fn text(&mut self, path: &str) -> Result<Option<String>, String> {
        let answer = self.ask("read", json!({ "path": path }))?;
        Ok(answer.ok().and_then(|answer| answer["text"].as_str().map(str::to_owned)))
    }
}
