//! From the name of a model to somebody who answers: its provider, with the secret for one request.
//!
//! ```text
//! anthropic/claude-opus-5-5 ─▶ providers of the workspace ─▶ driver, kept for all calls to that address
//!                                                        └▶ secret, opened for this call
//! ```
//! What a provider says is heard without the secret in it, whatever it quotes. Never here: which model of a
//! tier, what it costs, or whether the process may; all that was decided.

use super::{Provider, SCRIPTED};
use crate::{
    cell::Cell,
    guard::guard,
    node::Node,
    secrets::{self, Key, Whose},
    vault::Sieve,
};
use abi::{Code, Error, Pid, ReplyTo, limits, model, wire};
use drivers::{Flow, Model, ModelError, Prompt, Said, Secret, ToolCall, Wire};
use std::{collections::BTreeMap, sync::Arc};

/// Somebody to ask, and what with.
pub(crate) struct Resolved {
    /// The driver.
    pub provider: Arc<dyn drivers::Provider>,
    /// The model as the provider names it.
    pub name: String,
    key: Option<Key>,
}

impl Resolved {
    /// The secret, for one request.
    pub fn secret(&self) -> Option<Secret<'_>> {
        self.key.as_ref().map(|key| key.value().lend())
    }

    /// The text without the secret.
    pub fn redact(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.value().redact(&text),
            None => text,
        }
    }

    fn said(&self, said: Said) -> Said {
        let tool = |tool: ToolCall| ToolCall {
            name: self.redact(tool.name),
            arguments: self.redact(tool.arguments),
        };
        Said { text: self.redact(said.text), tools: said.tools.into_iter().map(tool).collect(), ..said }
    }

    fn failed(&self, error: ModelError) -> ModelError {
        ModelError { message: self.redact(error.message), ..error }
    }
}

impl Model for Resolved {
    fn call(
        &self,
        prompt: &Prompt,
        _: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let secret = self.secret();
        let mut sieve = self.key.as_ref().map(|key| Sieve::of(key.value()));
        let mut heard = |piece: &str| match &mut sieve {
            Some(sieve) => stream(&sieve.pass(piece)),
            None => stream(piece),
        };
        let said = self.provider.call(prompt, secret.as_ref(), &mut heard);
        if let Some(rest) = sieve.map(Sieve::rest).filter(|rest| !rest.is_empty()) {
            stream(&rest);
        }
        said.map(|said| self.said(said)).map_err(|error| self.failed(error))
    }
}

/// Who answers a model of this name, for a run.
pub(crate) fn resolve(node: &Node, cell: &Cell, model: &str, run: Pid) -> Result<Resolved, ModelError> {
    let told = |error: Error| {
        let hint = if error.hint.is_empty() { String::new() } else { format!("; {}", error.hint) };
        ModelError { message: format!("{}{hint}", error.message), ..ModelError::default() }
    };
    if is_scripted(model) {
        let provider = node.model(model).map_err(told)?;
        return Ok(Resolved { provider, name: model.to_owned(), key: None });
    }
    let (provider, name) = model.split_once('/').unwrap_or((model, ""));
    let row = row(cell, provider).map_err(told)?;
    let resolved = with(node, cell, &row, (name, Whose::Run(run))).map_err(told)?;
    if resolved.key.is_none() && row.secret.is_some() {
        let message = format!("there is no key for {provider}; skep model add {provider}");
        return Err(ModelError { message, ..ModelError::default() });
    }
    Ok(resolved)
}

fn row(cell: &Cell, name: &str) -> Result<Provider, Error> {
    let providers = guard(&cell.providers).clone();
    let names: Vec<&str> = providers.iter().map(|row| row.name.as_str()).collect();
    providers.iter().find(|row| row.name == name).cloned().ok_or_else(|| {
        Error::new(Code::NotFound, format!("there is no provider {name} in /sys/models.yaml"))
            .argument("name")
            .hint(wire::nearest_hint(name, &names))
    })
}

fn with(node: &Node, cell: &Cell, row: &Provider, (name, whose): (&str, Whose)) -> Result<Resolved, Error> {
    let key = secrets::open(node, cell, row, whose)?;
    Ok(Resolved { provider: driver(node, row)?, name: name.to_owned(), key })
}

/// Drivers of providers, by address and what is spoken there.
pub(crate) type Drivers = BTreeMap<(String, Vec<Wire>), Arc<dyn drivers::Provider>>;

/// One driver for each address and what is spoken there: it keeps connections.
fn driver(node: &Node, row: &Provider) -> Result<Arc<dyn drivers::Provider>, Error> {
    let key = (row.url.clone(), row.wires.clone());
    if let Some(made) = guard(&node.providers).get(&key) {
        return Ok(made.clone());
    }
    let made: Arc<dyn drivers::Provider> = drivers::provider(&row.wires, &row.url)?.into();
    let mut providers = guard(&node.providers);
    if providers.len() >= limits::POLICY_ROWS_MAX {
        providers.clear();
    }
    Ok(providers.entry(key).or_insert(made).clone())
}

/// What a provider answered when it was asked which models it has.
pub(crate) type Has = Result<Vec<String>, String>;

/// Asks a provider which models it has: the check that the secret opens the door.
pub(crate) fn ask(node: &Node, cell: &Cell, reply: ReplyTo, name: &str) -> Result<(), Error> {
    let row = row(cell, name)?;
    let resolved = with(node, cell, &row, ("", Whose::Client(reply)))?;
    if resolved.key.is_none() && row.secret.is_some() {
        return Err(Error::new(Code::NotFound, format!("there is no key for {name}"))
            .hint(format!("skep model add {name}")));
    }
    let has = resolved.provider.models(resolved.secret().as_ref());
    let has = has.map_err(|error| resolved.failed(error).message);
    let has: Has = has.map(|models| {
        let fits = |model: &String| model::name("model", &format!("{name}/{model}")).is_ok();
        models.into_iter().map(|model| resolved.redact(model)).filter(fits).take(HAS_MAX).collect()
    });
    let hint = match resolved.secret() {
        Some(_) => format!("check the key and the url: skep model add {name}"),
        None => format!("start it, or see where it is looked for: skep cat {}", "/sys/models.yaml"),
    };
    let told = has.as_ref().map(|_| ()).map_err(|message| {
        Error::new(Code::Unavailable, format!("{name} does not answer: {message}")).hint(hint)
    });
    let mut all = guard(&cell.has);
    if all.len() >= limits::POLICY_ROWS_MAX {
        all.clear();
    }
    all.insert(name.to_owned(), has);
    told
}

/// Models of one provider that are shown.
const HAS_MAX: usize = 256;

/// Providers one a line, whether their secrets are kept, and the models of those that were asked.
pub(crate) fn page(node: &Node, cell: &Cell) -> String {
    let kept: Vec<String> =
        node.registry.secrets().unwrap_or_default().into_iter().map(|row| row.name).collect();
    let has = guard(&cell.has).clone();
    let mut text = String::new();
    for row in guard(&cell.providers).iter() {
        let wires: Vec<&str> = row.wires.iter().map(|wire| wire.word()).collect();
        let (secret, key) = match &row.secret {
            None => ("-", "open"),
            Some(name) if kept.contains(name) => (name.as_str(), "kept"),
            Some(name) => (name.as_str(), "none"),
        };
        text.push_str(&format!("provider {} {key} {secret} {} {}\n", row.name, wires.join(","), row.url));
        if let Some(Ok(models)) = has.get(&row.name) {
            models.iter().for_each(|model| text.push_str(&format!("model {}/{model}\n", row.name)));
        }
    }
    text.push_str(&format!("dated {}\n", super::dated().day));
    text
}

/// Whether a model of this name answers from a file: it speaks every format, and needs no provider.
pub(crate) fn is_scripted(name: &str) -> bool {
    model::provider_of(name) == SCRIPTED
}
