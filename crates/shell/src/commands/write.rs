//! `skep write`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    session::Session,
    settle::settle,
    upload,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

/// More than this goes in parts.
const ONE_MESSAGE_MAX: u64 = 512 * 1024;
/// How often it is said how far an upload is.
const PROGRESS_BYTES: u64 = 16 * 1024 * 1024;

/// Write a new version of a file: TEXT, a host file, or standard input
#[derive(Debug, clap::Args)]
pub struct Write {
    /// Which file
    path: String,
    /// The text; - is standard input, as if none were given
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
        let text = self.text.as_deref().filter(|text| *text != "-");
        let (mut from, origin): (Box<dyn Read>, _) = match (text, &self.file) {
            (Some(text), _) => (Box::new(text.as_bytes()), "argument"),
            (None, Some(file)) => (Box::new(open(file)?), "file"),
            (None, None) => {
                let origin = if std::io::stdin().is_terminal() { "typed" } else { "pipe" };
                (Box::new(std::io::stdin()), origin)
            }
        };
        let mut params = json!({"path": self.path, "origin": origin});
        let Some(map) = params.as_object_mut() else { return Err(Fail::new("no arguments")) };
        map.extend(self.base.map(|base| ("base".into(), json!(base))));
        map.extend(self.message.as_ref().map(|message| ("message".into(), json!(message))));
        let mut bytes = upload::some(&mut from, ONE_MESSAGE_MAX + 1)?;
        let more = bytes.len() as u64 > ONE_MESSAGE_MAX;
        if more {
            let full = abi::limits::CHUNK_BYTES - bytes.len() as u64;
            bytes.extend(upload::some(&mut from, full)?);
        }
        let answer = if self.append {
            if more && !upload::some(&mut from, 1)?.is_empty() {
                return Err(Fail::new("more than 1 MiB cannot be appended")
                    .hint("write the file whole: skep write PATH --file FILE"));
            }
            map.insert("mode".into(), json!("append"));
            upload::put(&mut params, bytes);
            session.call("write", params)?
        } else if more {
            self.send(session, (bytes, &mut from), params)?
        } else {
            upload::put(&mut params, bytes);
            session.call("write", params)?
        };
        settle(session)?;
        told(session, &self.path, &answer)
    }

    /// In parts; on a terminal a line says how far it is.
    fn send(
        &self,
        session: &mut Session,
        (first, rest): (Vec<u8>, &mut dyn Read),
        last: Value,
    ) -> Result<Value, Fail> {
        let shown = std::io::stderr().is_terminal();
        let path = escape::line(&self.path);
        let mut progress = |session: &mut Session, bytes: u64| {
            if shown && bytes % PROGRESS_BYTES < abi::limits::CHUNK_BYTES {
                let mib = bytes / 1024 / 1024;
                // Nobody is to blame when a line that is no data cannot be written.
                let _ = write!(session.err, "\r{path}: {mib} MiB").and_then(|()| session.err.flush());
            }
        };
        let sent = upload::send(session, (first, rest), last, &mut progress);
        if shown {
            let _ = write!(session.err, "\r\x1b[K");
        }
        sent.map(|(_, answer)| answer)
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
    } else if let Some(pid) = number("pid") {
        session.say(&format!("said; process {pid} answers"))?;
        session.hint(&format!("skep attach {pid}, skep cat {path}"));
    } else if let Some(place) = number("queued") {
        session.say(&format!("said; {place} in line for an answer"))?;
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

/// The bytes of a host file.
pub fn read_file(file: &Path) -> Result<Vec<u8>, Fail> {
    bounded(&mut open(file)?)
}

/// All of it, if a message can carry it.
pub fn bounded(from: &mut dyn Read) -> Result<Vec<u8>, Fail> {
    let max = abi::limits::VALUE_BYTES_MAX;
    let bytes = upload::some(from, max as u64 + 1)?;
    if bytes.len() > max {
        return Err(Fail::new("that is more than 1 MiB").hint("write it whole: skep write PATH --file FILE"));
    }
    Ok(bytes)
}

fn open(file: &Path) -> Result<File, Fail> {
    let shown = escape::line(&file.display().to_string());
    File::open(file).map_err(|error| Fail::new(format!("{shown}: {error}")))
}
