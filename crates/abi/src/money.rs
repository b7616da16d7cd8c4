//! Money, usage, prices, amounts and limits. Money is whole nano-units of currency: a cached token costs less
//! than a micro-dollar, and binary fractions never touch an account.

use crate::{Error, Micros, calendar};
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
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Input tokens, not cached.
    TokensIn,
    /// Output tokens.
    TokensOut,
    /// Input tokens that the provider had cached.
    TokensCached,
    /// Nano-units.
    #[default]
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

    /// The resource of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.word() == word)
    }

    /// So much of it, as printed.
    pub fn show(self, amount: i64) -> String {
        if self == Self::Money { format!("{}", Nano(amount)) } else { format!("{amount}") }
    }

    /// An amount of it: money is decimal text, counts may end in `k` or `m`.
    pub fn amount(self, text: &str) -> Result<i64, Error> {
        if self == Self::Money { text.parse::<Nano>().map(|nano| nano.0) } else { count(text) }
    }
}

/// `400`, `400k`, `2m`: at most twelve digits, never negative.
pub fn count(text: &str) -> Result<i64, Error> {
    let bad = || Error::invalid("amount", format!("{text:?} is not a count")).hint("write it as 400k or 2m");
    let (digits, times) = match text.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => text.strip_suffix('m').map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let plain = !digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = if plain { digits.parse().map_err(|_| bad())? } else { return Err(bad()) };
    Ok(number.saturating_mul(times))
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
    /// An hour in UTC.
    Hour,
    /// A calendar month in UTC.
    Month,
}

/// One hour, one day in microseconds.
const HOUR_US: u64 = 3600 * 1_000_000;
/// Microseconds of a day.
pub const DAY_US: u64 = 24 * HOUR_US;

impl Window {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Run, Self::Hour, Self::Day, Self::Month];

    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Month => "month",
        }
    }

    /// The window of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.word() == word)
    }

    /// Which hour, day or month since 1970 this time lies in; a run is one.
    pub fn number(self, at: Micros) -> u64 {
        match self {
            Self::Run => 0,
            Self::Hour => at / HOUR_US,
            Self::Day => at / DAY_US,
            Self::Month => calendar::month(at / DAY_US),
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
        let article = if self.window == Window::Hour { "an" } else { "a" };
        let (resource, max) = (self.resource.word(), self.resource.show(self.max));
        write!(out, "{resource} {max} {article} {}", self.window.word())
    }
}

/// Account names, as printed: `workspace`, `agent:triage`, `process:12`.
pub type AccountName = String;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn counts_may_be_short() {
        for (text, number) in [("0", 0), ("400", 400), ("400k", 400_000), ("2m", 2_000_000)] {
            assert_eq!(count(text).unwrap(), number);
        }
        for bad in ["", "k", "-1", "1.5m", "1e3", "4kk", "1234567890123", "1 k", "٣"] {
            assert!(count(bad).is_err(), "{bad:?} must be refused");
        }
    }

    /// Against a calendar that counts day by day.
    #[test]
    fn windows_are_those_of_the_calendar() {
        let leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let mut day = 0;
        for months in 0..(430 * 12) {
            let (year, month) = (1970 + months / 12, months % 12);
            let days = match month {
                1 if leap(year) => 29,
                1 => 28,
                3 | 5 | 8 | 10 => 30,
                _ => 31,
            };
            for at in [day * DAY_US, (day + days) * DAY_US - 1] {
                assert_eq!(Window::Month.number(at), months, "{year}-{}", month + 1);
            }
            day += days;
        }
        let numbers = Window::ALL.map(|window| window.number(25 * HOUR_US));
        assert_eq!(numbers, [0, 25, 1, 0]);
        assert!(Window::ALL.iter().all(|window| window.number(u64::MAX) < u64::MAX));
    }

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
