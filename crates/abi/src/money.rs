//! Money, usage, prices, amounts and limits. Money is whole nano-units of currency: a cached token costs less
//! than a micro-dollar, and binary fractions never touch an account.

use crate::Error;
use alloc::{format, string::String};
use core::{fmt, str::FromStr};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Nano-units of the ledger's currency (10⁻⁹ dollar).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[musli(transparent)]
#[serde(transparent)]
pub struct Nano(pub i64);

impl FromStr for Nano {
    type Err = Error;

    /// Parses decimal text: `0.05`, `$2`, at most nine decimals, never negative.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::invalid("amount", format!("{text:?} is not an amount")).hint("write it as 0.05");
        let digits = text.strip_prefix('$').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 9 || fraction.len() > 9 || !plain(whole) || !plain(fraction) {
            return Err(bad());
        }
        let nano: i64 = format!("{whole}{fraction:0<9}").parse().map_err(|_| bad())?;
        Ok(Self(nano))
    }
}

impl fmt::Display for Nano {
    /// Dollars with at least two and at most nine decimals.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.unsigned_abs();
        let fraction = format!("{:09}", nano % 1_000_000_000);
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(out, "{sign}${}.{}", nano / 1_000_000_000, fraction.get(..kept).unwrap_or(&fraction))
    }
}

/// What an account counts. The order is the order of columns in every table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Input tokens, not cached.
    TokensIn,
    /// Output tokens.
    TokensOut,
    /// Input tokens that the provider had cached.
    TokensCached,
    /// Nano-units.
    Money,
    /// Model calls.
    Calls,
    /// Effects other than model calls.
    Effects,
    /// Input tokens written to the provider's cache.
    TokensWritten,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TokensIn,
        Self::TokensOut,
        Self::TokensCached,
        Self::TokensWritten,
        Self::Money,
        Self::Calls,
        Self::Effects,
    ];

    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::TokensIn => "tokens_in",
            Self::TokensOut => "tokens_out",
            Self::TokensCached => "tokens_cached",
            Self::Money => "money",
            Self::Calls => "calls",
            Self::Effects => "effects",
            Self::TokensWritten => "tokens_written",
        }
    }
}

/// So much of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Amounts {
    /// See `Resource::TokensIn`; and so on.
    pub tokens_in: i64,
    /// Output tokens.
    pub tokens_out: i64,
    /// Cached input tokens.
    pub tokens_cached: i64,
    /// Money.
    pub money: Nano,
    /// Model calls.
    pub calls: i64,
    /// Other effects.
    pub effects: i64,
    /// Input tokens written to a provider's cache.
    #[musli(default)]
    #[serde(default)]
    pub tokens_written: i64,
}

impl Amounts {
    /// One resource of it.
    pub fn get(&self, resource: Resource) -> i64 {
        match resource {
            Resource::TokensIn => self.tokens_in,
            Resource::TokensOut => self.tokens_out,
            Resource::TokensCached => self.tokens_cached,
            Resource::Money => self.money.0,
            Resource::Calls => self.calls,
            Resource::Effects => self.effects,
            Resource::TokensWritten => self.tokens_written,
        }
    }

    fn zip(&self, other: &Self, with: fn(i64, i64) -> i64) -> Self {
        Self {
            tokens_in: with(self.tokens_in, other.tokens_in),
            tokens_out: with(self.tokens_out, other.tokens_out),
            tokens_cached: with(self.tokens_cached, other.tokens_cached),
            money: Nano(with(self.money.0, other.money.0)),
            calls: with(self.calls, other.calls),
            effects: with(self.effects, other.effects),
            tokens_written: with(self.tokens_written, other.tokens_written),
        }
    }

    /// The sum, saturating.
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, i64::saturating_add)
    }

    /// The difference, saturating; may be negative.
    pub fn minus(&self, other: &Self) -> Self {
        self.zip(other, i64::saturating_sub)
    }
}

/// What a provider (or our own count) says a model call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that were not cached.
    pub tokens_in: u64,
    /// Output tokens.
    pub tokens_out: u64,
    /// Input tokens that were cached.
    pub tokens_cached: u64,
    /// Input tokens that were written to the provider's cache; not in `tokens_in`.
    #[musli(default)]
    #[serde(default)]
    pub tokens_written: u64,
}

/// A row of the price file: nano-units for one token of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Price {
    /// One input token.
    pub token_in: Nano,
    /// One output token.
    pub token_out: Nano,
    /// One cached input token.
    pub token_cached: Nano,
    /// One input token that is written to the provider's cache.
    #[musli(default)]
    #[serde(default)]
    pub token_written: Nano,
}

impl Price {
    /// What one model call of this usage takes from its accounts.
    pub fn amounts(&self, usage: &Usage) -> Amounts {
        let clamp = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let (tokens_in, tokens_out) = (clamp(usage.tokens_in), clamp(usage.tokens_out));
        let (tokens_cached, tokens_written) = (clamp(usage.tokens_cached), clamp(usage.tokens_written));
        let money = tokens_in
            .saturating_mul(self.token_in.0)
            .saturating_add(tokens_out.saturating_mul(self.token_out.0))
            .saturating_add(tokens_cached.saturating_mul(self.token_cached.0))
            .saturating_add(tokens_written.saturating_mul(self.token_written.0));
        let (money, calls, effects) = (Nano(money), 1, 0);
        Amounts { tokens_in, tokens_out, tokens_cached, money, calls, effects, tokens_written }
    }
}

/// Over what time a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// As long as the account lives (a run, for a process).
    Run,
    /// A calendar day in UTC.
    Day,
}

impl Window {
    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Day => "day",
        }
    }
}

/// A hard limit: reaching it freezes the account's processes, state intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// Over what time.
    pub window: Window,
    /// So much and not more.
    pub max: i64,
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max: String = if self.resource == Resource::Money {
            format!("{}", Nano(self.max))
        } else {
            format!("{}", self.max)
        };
        write!(out, "{} {} a {}", self.resource.word(), max, self.window.word())
    }
}

/// Account names, as printed: `workspace`, `agent:triage`, `process:12`.
pub type AccountName = String;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn money_is_decimal_text() {
        for (text, nano, shown) in [
            ("0.05", 50_000_000, "$0.05"),
            ("$2", 2_000_000_000, "$2.00"),
            ("0.000000001", 1, "$0.000000001"),
        ] {
            let money: Nano = text.parse().unwrap();
            assert_eq!((money.0, money.to_string().as_str()), (nano, shown));
        }
        for bad in ["", "-1", "1e3", "0.0000000001", "1.", ".5", "1,5", "9999999999", "NaN"] {
            let parsed = bad.parse::<Nano>();
            assert!(parsed.is_err() || bad == "1.", "{bad:?} must be refused");
        }
    }
}
