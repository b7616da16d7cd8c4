//! `/sys/models.yaml` and the dated price table: parsed here; which model a call goes to is the kernel's.
//!
//! ```yaml
//! format: 1
//! providers:
//!   anthropic: {url: "https://api.anthropic.com", wires: [messages], secret: anthropic}
//! tiers: {smart: [anthropic/claude-opus-5-5]}      # the first, then its fallbacks
//! prices: {"ollama/*": {in: 0, out: 0}}            # dollars per million tokens; before the dated table
//! ```
//! The kernel is told names, tiers and prices; where a provider is and which secret it takes stays here.
//! Every error says file, line and column. A workspace whose file is missing (it is older than the file) has
//! what the shipped one says. Never here: a secret's value, a connection.

use crate::{
    policy::{self, tree::Node},
    shipped, street,
};
use abi::{
    Error, Hash, limits,
    model::{self, Models, PriceRow, Tier},
    money::{Nano, Price},
    path::TreePath,
    wire,
};
use drivers::Wire;
use std::sync::{Arc, OnceLock};
use store::{Batch, Trouble};

pub(crate) mod resolve;
pub(crate) mod url;

const FILE: &str = "models.yaml";
const TABLE: &str = "prices.yaml";
/// A price is for so many tokens.
const MILLION: i64 = 1_000_000;
/// What answers from a file, without a provider.
pub(crate) const SCRIPTED: &str = "scripted";

/// Where a provider is, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the file.
    pub name: String,
    /// Its base, which ends before `/v1`.
    pub url: String,
    /// What it speaks, the best first.
    pub wires: Vec<Wire>,
    /// Name of the secret that opens it; none for one that asks for none.
    pub secret: Option<String>,
}

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Of the file and of the dated table.
    pub digest: Hash,
    /// What the kernel is told.
    pub models: Models,
    /// What stays here.
    pub providers: Arc<[Provider]>,
}

impl Book {
    /// Names of the tiers.
    pub fn tiers(&self) -> Arc<[String]> {
        self.models.tiers.iter().map(|tier| tier.name.clone()).collect()
    }
}

/// Reads the file; without one, what the shipped one says.
pub fn read(bytes: Option<&[u8]>) -> Result<Book, Error> {
    let bytes = bytes.unwrap_or(shipped::MODELS);
    let file = Node::read(FILE, bytes)?;
    let (mut format, mut providers) = (None, Vec::new());
    let (mut tiers, mut prices) = (None, Vec::new());
    for (key, node) in file.section(FILE, &["format", "providers", "tiers", "prices"])? {
        match key {
            "format" => format = Some(node),
            "providers" => providers = providers_of(node)?,
            "tiers" => tiers = Some(node),
            _ => prices = prices_of(node)?,
        }
    }
    policy::is_format(&file, format)?;
    let tiers = tiers.map_or(Ok(Vec::new()), |node| tiers_of(node, &providers))?;
    prices.extend(dated().rows.iter().cloned());
    let names = providers.iter().map(|row| row.name.clone()).collect();
    Ok(Book {
        digest: Hash::of_fields("models", &[bytes, shipped::PRICES]),
        models: Models { providers: names, tiers, prices },
        providers: providers.into(),
    })
}

/// The same of the file at its head.
pub(crate) fn at_head(batch: &mut Batch<'_>) -> Result<Result<Book, Error>, Trouble> {
    let found = match TreePath::parse(shipped::MODELS_PATH) {
        Ok(path) => street::head(batch, &path)?,
        Err(_) => None,
    };
    Ok(read(found.as_ref().map(|(_, bytes)| bytes.as_slice())))
}

fn providers_of(node: &Node) -> Result<Vec<Provider>, Error> {
    let mut all = Vec::new();
    for (key, about) in policy::rows_of(node, "providers")? {
        let name = key.text("a provider's name")?;
        if name.starts_with("x-") {
            continue;
        }
        let name = wire::word(FILE, name).map_err(|error| key.mark.wrap(&error))?;
        if name == SCRIPTED {
            return Err(key
                .mark
                .error("scripted answers from a file, and is no provider")
                .hint("take another name"));
        }
        all.push(provider(key, name, about)?);
    }
    Ok(all)
}

fn provider(key: &Node, name: String, about: &Node) -> Result<Provider, Error> {
    let (mut url, mut wires, mut secret) = (None, Vec::new(), None);
    for (word, node) in about.section(&format!("providers: {name}"), &["url", "wires", "secret"])? {
        match word {
            "url" => {
                let text = node.text("url")?;
                url::check(text).map_err(|error| node.mark.wrap(&error))?;
                url = Some((text.to_owned(), node));
            }
            "wires" => {
                wires = policy::items_of(node, "wires")?.iter().map(speaks).collect::<Result<_, _>>()?
            }
            _ => {
                secret = Some(wire::word(FILE, node.text("secret")?).map_err(|error| node.mark.wrap(&error))?)
            }
        }
    }
    let Some((url, at)) = url else {
        return Err(key.mark.error(format!("{name} has no url")).hint("write url: https://HOST"));
    };
    if wires.is_empty() {
        return Err(key
            .mark
            .error(format!("{name} says not what it speaks"))
            .hint("write wires: [messages], [responses], [chat], [gemini] or several of them"));
    }
    if secret.is_some() && !url::may_carry_a_secret(&url) {
        return Err(at
            .mark
            .error("over plain http a secret goes to this machine only")
            .hint("write https://, or 127.0.0.1, or leave the secret out"));
    }
    Ok(Provider { name, url, wires, secret })
}

fn speaks(node: &Node) -> Result<Wire, Error> {
    let word = node.text("a wire")?;
    Wire::ALL.into_iter().find(|wire| wire.word() == word).ok_or_else(|| {
        let words = Wire::ALL.map(Wire::word);
        node.mark.error(format!("there is no wire {word:?}")).hint(wire::nearest_hint(word, &words))
    })
}

fn tiers_of(node: &Node, providers: &[Provider]) -> Result<Vec<Tier>, Error> {
    let mut names: Vec<&str> = providers.iter().map(|row| row.name.as_str()).collect();
    names.push(SCRIPTED);
    let mut all = Vec::new();
    for (key, list) in policy::rows_of(node, "tiers")? {
        let name = key.text("a tier's name")?;
        if name.starts_with("x-") {
            continue;
        }
        let name = wire::word(FILE, name).map_err(|error| key.mark.wrap(&error))?;
        if names.contains(&name.as_str()) {
            let error = key.mark.error(format!("{name} is a provider already"));
            return Err(error.hint("a tier is called otherwise: smart, fast"));
        }
        let items = policy::items_of(list, &name)?;
        if let Some(item) = items.get(limits::TIER_MODELS_MAX) {
            let most = limits::TIER_MODELS_MAX;
            return Err(item
                .mark
                .error(format!("{name} has more than {most} models"))
                .hint("leave some out"));
        }
        let models: Vec<String> = items.iter().map(|item| one(item, &names)).collect::<Result<_, _>>()?;
        if models.is_empty() {
            return Err(key.mark.error(format!("{name} has no model")).hint("write [PROVIDER/NAME]"));
        }
        all.push(Tier { name, models });
    }
    Ok(all)
}

/// `PROVIDER/NAME` of a provider of the file.
fn one(node: &Node, providers: &[&str]) -> Result<String, Error> {
    let name = model::name(FILE, node.text("a model")?).map_err(|error| node.mark.wrap(&error))?;
    let provider = model::provider_of(&name);
    if !name.contains('/') {
        return Err(node.mark.error(format!("{name} says no provider")).hint("write PROVIDER/NAME"));
    }
    if !providers.contains(&provider) {
        let error = node.mark.error(format!("there is no provider {provider}"));
        return Err(error.hint(wire::nearest_hint(provider, providers)));
    }
    Ok(name)
}

fn prices_of(node: &Node) -> Result<Vec<PriceRow>, Error> {
    let mut all = Vec::new();
    for (key, row) in policy::rows_of(node, "prices")? {
        let text = key.text("a model")?;
        if text.starts_with("x-") {
            continue;
        }
        let bare = text.strip_suffix("/*").unwrap_or(text);
        model::name(FILE, bare).map_err(|error| key.mark.wrap(&error))?;
        all.push(PriceRow { model: text.to_owned(), price: price(key, text, row)? });
    }
    Ok(all)
}

fn price(key: &Node, of: &str, row: &Node) -> Result<Price, Error> {
    let (mut token_in, mut token_out, mut token_cached, mut token_written) = (None, None, None, None);
    for (word, amount) in row.section(&format!("prices: {of}"), &["in", "out", "cached", "written"])? {
        let per_token = Some(a_token(policy::nano(amount)?));
        match word {
            "in" => token_in = per_token,
            "out" => token_out = per_token,
            "cached" => token_cached = per_token,
            _ => token_written = per_token,
        }
    }
    let (Some(token_in), Some(token_out)) = (token_in, token_out) else {
        return Err(key.mark.error(format!("{of} needs in and out")).hint("write {in: 2.50, out: 10}"));
    };
    let token_cached = token_cached.unwrap_or(token_in);
    Ok(Price { token_in, token_out, token_cached, token_written: token_written.unwrap_or(token_in) })
}

/// What one token costs where a million cost this; never less than that.
fn a_token(million: Nano) -> Nano {
    Nano(million.0.saturating_add(MILLION - 1) / MILLION)
}

/// The dated table.
#[derive(Default)]
pub(crate) struct Dated {
    /// The day it was made.
    pub day: String,
    pub rows: Vec<PriceRow>,
}

/// It ships with the binary, and a test reads it.
pub(crate) fn dated() -> &'static Dated {
    static READ: OnceLock<Dated> = OnceLock::new();
    READ.get_or_init(|| table(shipped::PRICES).unwrap_or_default())
}

fn table(bytes: &[u8]) -> Result<Dated, Error> {
    let file = Node::read(TABLE, bytes)?;
    let mut table = Dated::default();
    let mut format = None;
    for (key, node) in file.section(TABLE, &["format", "dated", "prices"])? {
        match key {
            "format" => format = Some(node),
            "dated" => table.day = node.text("dated")?.to_owned(),
            _ => table.rows = prices_of(node)?,
        }
    }
    policy::is_format(&file, format)?;
    let own = drivers::prices().into_iter();
    table.rows.extend(own.map(|(name, price)| PriceRow { model: format!("{name}/*"), price }));
    Ok(table)
}

/// Which of these servers answer on their ports of this machine: name and address.
pub fn servers(all: &[(&str, u16)]) -> Vec<(String, String)> {
    let here = all.iter().filter(|(_, port)| drivers::answers_here(*port));
    here.map(|(name, port)| ((*name).to_owned(), format!("127.0.0.1:{port}"))).collect()
}

#[cfg(test)]
mod tests;
