//! Models by name: tiers and their fallbacks, and what a token costs. `/sys/models.yaml`, parsed.
//!
//! ```text
//! smart                      a tier: its models in order, the first that can be had
//! anthropic/claude-opus-4-5  a provider of the file, and the model as the provider names it
//! ```
//! Never here: an address of a provider, or a secret; those stay in the machine.

use crate::{Error, limits, money::Price, wire};
use alloc::{format, string::String, vec, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What the file says, as far as decisions depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Models {
    /// Names of the providers.
    pub providers: Vec<String>,
    /// Tiers, in the order of the file.
    pub tiers: Vec<Tier>,
    /// Prices: the file's own rows before those of the dated table.
    pub prices: Vec<PriceRow>,
}

/// A name that agents ask for, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Tier {
    /// As in `model: smart`.
    pub name: String,
    /// `PROVIDER/NAME`; the first, then its fallbacks.
    pub models: Vec<String>,
}

/// What the tokens of a model cost.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PriceRow {
    /// `PROVIDER/NAME`, or `PROVIDER/*` for all of a provider.
    pub model: String,
    /// Of one token each.
    pub price: Price,
}

impl Models {
    /// What a name stands for: a tier's models, or itself.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        match self.tiers.iter().find(|tier| tier.name == name) {
            Some(tier) => tier.models.clone(),
            None => vec![String::from(name)],
        }
    }

    /// Whether it names a tier.
    pub fn is_tier(&self, name: &str) -> bool {
        self.tiers.iter().any(|tier| tier.name == name)
    }

    /// The price of a model: by its whole name, else by the pattern of its provider. The first row counts.
    pub fn price(&self, model: &str) -> Option<Price> {
        let provider = provider_of(model);
        let whole = |row: &&PriceRow| row.model == model;
        let all = |row: &&PriceRow| row.model.strip_suffix("/*") == Some(provider);
        let found = self.prices.iter().find(whole).or_else(|| self.prices.iter().find(all));
        found.map(|row| row.price)
    }
}

/// What stands before the first `/`.
pub fn provider_of(model: &str) -> &str {
    model.split('/').next().unwrap_or(model)
}

/// Checks the name of a model: a tier, or `PROVIDER/NAME`, where a provider's own names may have `/` and `:`
/// in them.
pub fn name(argument: &str, text: &str) -> Result<String, Error> {
    let (provider, rest) = text.split_once('/').unwrap_or((text, "x"));
    wire::word(argument, provider)?;
    let ok = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
    // A name may stand in the path of a request: none leads out of it.
    let step = |part: &str| matches!(part, "" | "." | "..");
    let bad = rest.split('/').any(step) || !rest.chars().all(ok);
    if bad || text.len() > limits::WORD_BYTES_MAX {
        let shown: String = text.chars().take(64).collect();
        return Err(Error::invalid(argument, format!("{shown:?} is not the name of a model"))
            .hint("a tier, or PROVIDER/NAME: letters, digits, . _ - / : and at most 64 of them"));
    }
    Ok(String::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Nano;

    fn row(model: &str, token_in: i64) -> PriceRow {
        let price = Price { token_in: Nano(token_in), ..Price::default() };
        PriceRow { model: model.into(), price }
    }

    #[test]
    fn the_whole_name_counts_before_the_pattern_and_the_first_row_before_a_later_one() {
        let prices = vec![row("a/*", 1), row("a/big", 2), row("a/big", 3), row("s/*", 4)];
        let models = Models { prices, ..Models::default() };
        let of = |name: &str| models.price(name).map(|price| price.token_in.0);
        for (name, nano) in
            [("a/big", Some(2)), ("a/x", Some(1)), ("s", Some(4)), ("ab/x", None), ("b", None)]
        {
            assert_eq!(of(name), nano, "{name}");
        }
    }

    #[test]
    fn names_of_models() {
        for good in ["smart", "scripted/default", "ollama/qwen3:8b", "openrouter/anthropic/claude-sonnet-4.5"]
        {
            assert_eq!(name("model", good).as_deref(), Ok(good));
        }
        for bad in ["", "/", "a/", "a//b", "a/b//c", "a/../b", "a/.", "a b", "a/b c", "é/x", "a/*", "a:b"] {
            assert!(name("model", bad).is_err(), "{bad:?}");
        }
    }
}
