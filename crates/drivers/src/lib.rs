//! The world: models and mounts, behind two traits and two factory tables.
//!
//! A **mount** brings files in (`poll`, `accept`) and carries effects out (`send`, `probe`); what its
//! manifest does not list, it does not do. A **model** answers a prompt, streaming. Both are called from
//! worker threads and may block there; a slow driver delays nobody but its own callers.
//!
//! An agent that speaks the Agent Client Protocol has its words in `acp`: who holds its streams hands over
//! the lines.
//!
//! To add a driver: copy `ram.rs`, the template, and add its row to `mount` below.
//!
//! Never here: the store, the kernel, a decision. A driver does not know who asks or why; whether an effect
//! may happen was decided before it arrives here. What a driver reads outside is data, and every byte of it
//! is bounded. Only `provider` and `egress` open connections.
#![forbid(unsafe_code)]

use abi::event::{Probed, Stop};
use abi::{
    Code, EffectId, Error, call::Fields, effect::Role, manifest::Manifest, money::Price, path::TreePath,
};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

pub mod acp;
pub mod egress;
mod forward;
mod maildir;
mod outbox;
mod provider;
mod ram;
mod rehearse;
mod scripted;
mod secret;

pub use forward::{Forward, Piece, Provider, Wire};
pub use provider::{fuzz, provider};
pub use secret::Secret;

/// What a model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Which model, as the agent named it.
    pub model: String,
    /// The context, in order.
    pub items: Vec<(Role, Vec<u8>)>,
    /// Names of the calls it may make.
    pub tools: Vec<String>,
    /// Output tokens at most.
    pub max_out: u64,
}

/// One tool call of an answer, as the model wrote it: nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Any text.
    pub name: String,
    /// Raw text, JSON if the model was well.
    pub arguments: String,
}

/// What the other side says the call used. It may lie, and it may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawUsage {
    /// Input tokens that were not cached.
    pub tokens_in: i64,
    /// Output tokens.
    pub tokens_out: i64,
    /// Input tokens that were cached.
    pub tokens_cached: i64,
    /// Input tokens that were written to its cache.
    pub tokens_written: i64,
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its text, the same that was streamed.
    pub text: String,
    /// The tools it wants run.
    pub tools: Vec<ToolCall>,
    /// Why it stopped.
    pub stop: Stop,
    /// What it says it used.
    pub usage: RawUsage,
}

/// Why there is no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelError {
    /// One sentence.
    pub message: String,
    /// Whether trying again can help.
    pub again: bool,
    /// The other side said not to come back before so long (`Retry-After`, RFC 9110, section 10.2.3).
    pub after_us: Option<u64>,
}

/// What the receiver of a stream answers to each piece of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Go,
    /// Say no more; what was said so far is the answer.
    Stop,
}

/// Something that answers prompts.
pub trait Model: Send + Sync {
    /// One call. `stream` gets the text piece by piece, also empty pieces as a sign of life.
    fn call(
        &self,
        prompt: &Prompt,
        secret: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError>;
}

/// A file that a mount brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The driver's own name for what it came from; several deliveries may share one.
    pub key: String,
    /// Where it belongs, below the mount.
    pub path: TreePath,
    /// The file.
    pub bytes: Vec<u8>,
}

/// An integration.
pub trait Mount: Send + Sync {
    /// The effects it can have; no others exist.
    fn manifest(&self) -> Manifest;
    /// What has come and was not accepted yet, in a fixed order; the same again until it is accepted.
    fn poll(&self) -> Result<Vec<Delivery>, String>;
    /// The delivery is durable in the tree.
    fn accept(&self, delivery: &Delivery);
    /// Does it, once for an id; what the other side said.
    fn send(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Result<Vec<u8>, String>;
    /// Whether it was done. `Happened` names the empty blob: only `send` hears what the other side said.
    fn probe(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Probed;
}

/// The drivers there are, with what the argument of each means.
const MOUNTS: [(&str, &str); 4] = [
    ("ram", "nothing"),
    ("maildir", "a host directory with new/ and cur/"),
    ("outbox", "a host directory, made if it is missing"),
    ("rehearse", "a host directory with manifest.json"),
];

/// How long a port of this machine is waited for: it takes microseconds, or nobody is there.
const HERE_WAIT: Duration = Duration::from_millis(200);

/// Attaches a driver under a name.
pub fn mount(driver: &str, name: &str, argument: &str) -> Result<Box<dyn Mount>, Error> {
    match driver {
        "ram" => Ok(Box::new(ram::Ram::new())),
        "maildir" => Ok(Box::new(maildir::Maildir::open(Path::new(argument))?)),
        "outbox" => Ok(Box::new(outbox::Outbox::open(name, Path::new(argument))?)),
        "rehearse" => Ok(Box::new(rehearse::Rehearse::open(Path::new(argument))?)),
        other => {
            let known: Vec<String> = MOUNTS.iter().map(|(name, takes)| format!("{name} ({takes})")).collect();
            let shown: String = other.chars().take(abi::limits::WORD_BYTES_MAX).collect();
            Err(Error::new(Code::NotFound, format!("there is no driver {shown:?}"))
                .argument("driver")
                .hint(format!("known: {}", known.join(", "))))
        }
    }
}

/// The model of a name. Made once and kept: how often a scripted rule was used is counted in it.
pub fn model(name: &str, home: &Path) -> Result<Box<dyn Provider>, Error> {
    match name.split_once('/').unwrap_or((name, "default")) {
        ("scripted", rules) => Ok(Box::new(scripted::Scripted::new(home, &abi::wire::word("model", rules)?))),
        _ => {
            let shown: String = name.chars().take(abi::limits::WORD_BYTES_MAX).collect();
            Err(Error::new(Code::NotFound, format!("there is no model {shown:?}"))
                .argument("model")
                .hint("known: scripted, scripted/NAME (answers from a rules file)"))
        }
    }
}

/// Whether something takes connections on this port of this machine.
pub fn answers_here(port: u16) -> bool {
    let place = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&place, HERE_WAIT).is_ok()
}

/// The price table: model name, and what a token of it costs. A row also prices `NAME/anything`.
pub fn prices() -> Vec<(String, Price)> {
    vec![("scripted".to_owned(), scripted::PRICE)]
}

/// `Err` unless the kind is in the manifest and every argument is one that it takes.
fn check(manifest: &Manifest, kind: &str, fields: &Fields) -> Result<(), String> {
    let Some(row) = manifest.kind_for(kind, fields.keys().cloned()) else {
        let known: Vec<&str> = manifest.kinds.iter().map(|row| row.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("there is no effect {:?} here; known: {known}", shown(kind)));
    };
    for name in fields.keys() {
        if !row.steering.contains(name) && !row.payload.contains(name) {
            let takes: Vec<&str> = row.steering.iter().chain(&row.payload).map(String::as_str).collect();
            return Err(format!("{kind} has no argument {:?}; it takes {}", shown(name), takes.join(", ")));
        }
    }
    let bytes: usize = fields.values().flatten().map(String::len).sum();
    if bytes as u64 > abi::limits::ARGUMENT_BYTES_MAX {
        return Err(format!("the arguments of {kind} are larger than 64 KiB"));
    }
    Ok(())
}

/// The one value of an argument; empty when it was not given.
fn single<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, String> {
    match fields.get(name).map(Vec::as_slice) {
        None | Some([]) => Ok(""),
        Some([value]) => Ok(value),
        Some(_) => Err(format!("{name} takes one value")),
    }
}

/// At most 64 characters of something said from outside, for a message.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
