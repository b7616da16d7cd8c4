//! The way of a secret into the node, and out of it again.
//!
//! ```text
//! write /sys/secrets/NAME ─▶ caught here, before it is a blob: the value waits at the client's ticket
//!                         ─▶ the word `secret NAME keep|lend|forget` walks the street: may it? recorded
//!                         ─▶ durable: sealed and kept, or lent to the connection; the ticket is gone with it
//! ```
//! A lent secret lives as long as its connection and serves the runs that this connection starts, and what
//! they start. Kept or lent, it goes to the origin that the provider had when it came, and to no other: an
//! edit of models.yaml sends no key anywhere else. Never here: whether somebody may, or a value in an answer.

use crate::{
    cell::{Cell, Ticket},
    connection::Connection,
    guard::guard,
    models::{Provider, url},
    node::Node,
    vault::Value,
};
use abi::{
    Code, Error, Pid, ReplyTo,
    call::Call,
    control::{self, Control, SecretAct},
    path::TreePath,
    wire::{self, Decoded},
};
use serde_json::{Map, Value as Json};
use std::sync::{Arc, Weak};
use store::{Trouble, node::Sealed};

/// A secret that a connection lends.
pub(crate) struct Lent {
    value: Value,
    origin: String,
}

/// Takes a write or a removal of a secret out of a request, before anything else sees its arguments: the word
/// that it comes to, and the value.
pub(crate) fn catch(
    method: &str,
    params: &mut Map<String, Json>,
) -> Result<Option<(Decoded, Option<Value>)>, Error> {
    if !["write", "remove"].contains(&method) {
        return Ok(None);
    }
    let path = params.get("path").and_then(Json::as_str).and_then(|path| TreePath::parse(path).ok());
    let Some(path) = path.filter(|path| control::secret_of(path).is_some()) else { return Ok(None) };
    let name = wire::word("path", control::secret_of(&path).unwrap_or_default())?;
    params.remove("path");
    params.remove("origin");
    let (value, act) = if method == "write" { write(params)? } else { (None, SecretAct::Forget) };
    if let Some(key) = params.keys().next() {
        let shown: String = key.chars().take(64).collect();
        return Err(Error::invalid(&shown, format!("a secret takes no {shown:?}"))
            .hint("text, and mode: whole keeps it, lend lends it to this connection"));
    }
    let call = Call::Control { path, word: Control::Secret { name, act } };
    Ok(Some((Decoded { call, blobs: Vec::new(), upload: None }, value)))
}

fn write(params: &mut Map<String, Json>) -> Result<(Option<Value>, SecretAct), Error> {
    let text = match params.remove("text") {
        Some(Json::String(text)) => Value::of(text)?,
        _ => return Err(Error::invalid("text", "a secret is text").hint("write it under text")),
    };
    let act = match params.remove("mode") {
        None => SecretAct::Keep,
        Some(Json::String(mode)) if mode == "whole" => SecretAct::Keep,
        Some(Json::String(mode)) if mode == "lend" => SecretAct::Lend,
        Some(_) => {
            return Err(Error::invalid("mode", "a secret is written whole, or lent").hint("whole, lend"));
        }
    };
    Ok((Some(text), act))
}

/// Carries out what the kernel has let through.
pub(crate) fn carry(
    node: &Node,
    cell: &Cell,
    reply: ReplyTo,
    (name, act): (&str, SecretAct),
) -> Result<(), Error> {
    let waiting = match guard(&cell.desk).waiting.get_mut(&reply) {
        Some(Ticket::Line { client, secret, .. }) => Some((client.clone(), secret.take())),
        Some(Ticket::Program(_) | Ticket::Connect(_)) | None => None,
    };
    let gone =
        || Error::new(Code::Unavailable, "the client that wrote the secret has gone").hint("write it again");
    if act == SecretAct::Forget {
        let was = node.registry.forget_secret(name).map_err(|trouble| trouble.to_error())?;
        let none = || {
            let error = Error::new(Code::NotFound, format!("there is no secret {name}")).argument("path");
            error.hint("skep secret list")
        };
        return if was { Ok(()) } else { Err(none()) };
    }
    let Some((client, Some(value))) = waiting else { return Err(gone()) };
    let origin = origin_of(&guard(&cell.providers), name);
    if act == SecretAct::Lend {
        return client.lend(name, Lent { value, origin });
    }
    let bytes = node.vault.seal((name, &origin), &value)?;
    let sealed = Sealed { origin, set: node.clock.wall(), bytes };
    node.registry.keep_secret(name, &sealed).map_err(|trouble| trouble.to_error())
}

/// Where a secret of this name goes now.
fn origin_of(providers: &[Provider], name: &str) -> String {
    let takes = |row: &&Provider| row.secret.as_deref() == Some(name);
    providers.iter().find(takes).map(|row| url::origin(&row.url)).unwrap_or_default()
}

/// The secret that a provider takes, for a run: lent by the connection that began it, else kept by the node.
/// None if there is neither.
pub(crate) fn open(
    node: &Node,
    cell: &Cell,
    provider: &Provider,
    whose: Whose,
) -> Result<Option<Key>, Error> {
    let Some(name) = &provider.secret else { return Ok(None) };
    let origin = url::origin(&provider.url);
    let lender = match whose {
        Whose::Run(run) => guard(&cell.lenders).get(&run).and_then(Weak::upgrade),
        Whose::Client(reply) => guard(&cell.desk).waiting.get(&reply).and_then(Ticket::client).cloned(),
    };
    if let Some(lent) = lender.and_then(|client| client.lent(name)) {
        return if lent.origin == origin {
            Ok(Some(Key::Lent(lent)))
        } else {
            Err(elsewhere(name, &lent.origin))
        };
    }
    kept(node, name, &origin).map(|value| value.map(Key::Kept))
}

/// For whom a secret is opened.
#[derive(Clone, Copy)]
pub(crate) enum Whose {
    /// A run, by its root.
    Run(Pid),
    /// A client that waits.
    Client(ReplyTo),
}

/// An open secret.
pub(crate) enum Key {
    /// Opened for one request.
    Kept(Value),
    /// Lent by a connection.
    Lent(Arc<Lent>),
}

impl Key {
    /// Its value.
    pub fn value(&self) -> &Value {
        match self {
            Self::Kept(value) => value,
            Self::Lent(lent) => &lent.value,
        }
    }
}

/// One that was kept before any provider named it, or any capability, belongs to the first that asks for it.
pub(crate) fn kept(node: &Node, name: &str, origin: &str) -> Result<Option<Value>, Error> {
    let told = |trouble: Trouble| trouble.to_error();
    let Some(sealed) = node.registry.sealed_secret(name).map_err(told)? else { return Ok(None) };
    if sealed.origin == origin {
        return node.vault.open((name, origin), &sealed.bytes).map(Some);
    }
    if !sealed.origin.is_empty() {
        return Err(elsewhere(name, &sealed.origin));
    }
    let value = node.vault.open((name, ""), &sealed.bytes)?;
    let bytes = node.vault.seal((name, origin), &value)?;
    let bound = Sealed { origin: origin.to_owned(), set: sealed.set, bytes };
    node.registry.keep_secret(name, &bound).map_err(told)?;
    Ok(Some(value))
}

fn elsewhere(name: &str, origin: &str) -> Error {
    let to = if origin.is_empty() { "no provider" } else { origin };
    Error::new(Code::Denied, format!("the secret {name} is kept for {to}, and goes nowhere else"))
        .hint(format!("skep secret add {name} keeps it for where it is needed now"))
}

/// Whoever began a run lends to it what the connection lends.
pub(crate) fn began(cell: &Cell, client: &Arc<Connection>, answer: &Json) {
    let Some(pid) = answer.get("pid").and_then(Json::as_u64).filter(|_| client.lends()) else { return };
    let mut lenders = guard(&cell.lenders);
    lenders.retain(|_, client| client.strong_count() > 0);
    lenders.insert(Pid(pid), Arc::downgrade(client));
}

/// The names, one a line, with when each was set and where it may go.
pub(crate) fn list(node: &Node) -> String {
    let rows = node.registry.secrets().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let origin = if row.origin.is_empty() { "-" } else { &row.origin };
        text.push_str(&format!("{} {} {origin}\n", row.name, row.set));
    }
    text
}
