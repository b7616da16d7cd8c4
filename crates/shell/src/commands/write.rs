//! `skep write`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    session::Session,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

/// Write a new version of a file: TEXT, a host file, or standard input
#[derive(Debug, clap::Args)]
pub struct Write {
    /// Which file
    path: String,
    /// The text
    #[arg(conflicts_with = "file")]
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    /// The bytes of this host file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The version this change was made from
    #[arg(long, value_name = "VERSION")]
    base: Option<u64>,
    /// Put it after what is there
    #[arg(short, long)]
    append: bool,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

impl Write {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (bytes, origin) = match (self.text, self.file) {
            (Some(text), _) => (text.into_bytes(), "argument"),
            (None, Some(file)) => (read_file(&file)?, "file"),
            (None, None) => {
                let origin = if std::io::stdin().is_terminal() { "typed" } else { "pipe" };
                (bounded(&mut std::io::stdin())?, origin)
            }
        };
        let mut params = json!({"path": self.path, "origin": origin});
        let Some(map) = params.as_object_mut() else { return Err(Fail::new("no arguments")) };
        match String::from_utf8(bytes) {
            Ok(text) => map.insert("text".into(), json!(text)),
            Err(error) => map.insert("base64".into(), json!(STANDARD.encode(error.as_bytes()))),
        };
        if self.append {
            map.insert("mode".into(), json!("append"));
        }
        map.extend(self.base.map(|base| ("base".into(), json!(base))));
        map.extend(self.message.map(|message| ("message".into(), json!(message))));
        let answer = session.call("write", params)?;
        told(session, &self.path, &answer)
    }
}

fn told(session: &mut Session, path: &str, answer: &Value) -> Outcome {
    let number = |key: &str| answer.get(key).and_then(Value::as_u64);
    let path = escape::line(path);
    let merged = answer.get("merged").is_some();
    let diverged = number("ours").filter(|_| !merged);
    if session.is_json() {
        session.object(answer)?;
    } else if let (true, Some(operation), Some(version), Some(theirs)) =
        (merged, number("operation"), number("version"), number("theirs"))
    {
        session.say(&format!("{path} version {version} op:{operation}, merged with version {theirs}"))?;
    } else if let Some(ours) = diverged {
        session.say(&format!("{path} kept as version {ours} beside the head; not the head"))?;
    } else if let Some(proposal) = number("proposal") {
        session.say(&format!("{path} held as proposal {proposal}"))?;
    } else if answer.get("unchanged").is_some() {
        session.say(&format!("{path} unchanged, version {}", number("version").unwrap_or(0)))?;
    } else if let (Some(operation), Some(version)) = (number("operation"), number("version")) {
        session.say(&format!("{path} version {version} op:{operation}"))?;
    } else {
        session.say("ok")?;
    }
    if diverged.is_some() {
        let theirs = number("theirs").unwrap_or(0);
        session.note(&format!("somebody wrote version {theirs} meanwhile; nothing is lost"));
        session.hint(&format!("skep resolve {path} --take ours|theirs|edit"));
        return Ok(Exit::Bad);
    }
    Ok(Exit::Fine)
}

pub fn read_file(file: &Path) -> Result<Vec<u8>, Fail> {
    let shown = escape::line(&file.display().to_string());
    let mut open = std::fs::File::open(file).map_err(|error| Fail::new(format!("{shown}: {error}")))?;
    bounded(&mut open)
}

/// All of it, if a message can carry it.
pub fn bounded(from: &mut dyn Read) -> Result<Vec<u8>, Fail> {
    let max = abi::limits::VALUE_BYTES_MAX;
    let mut bytes = Vec::new();
    from.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(Fail::new("that is more than 1 MiB").hint("write it in parts: the first, then --append"));
    }
    Ok(bytes)
}
