//! A moment of the past, as people write it: the place of a record in the log, or a time.
//!
//! `1204` is record 1204. A time is RFC 3339 (`2026-11-20T14:02:11Z`, or with an offset), a date and a time
//! or a date alone (UTC, as everything that is printed), or so long ago: `10m`, `2h ago`, `3d`. Never here:
//! the clock; what now is comes from who asks.

use crate::fail::Fail;
use abi::{Micros, Seq};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// Which moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After this record.
    Seq(Seq),
    /// Wall time in microseconds since the epoch.
    Micros(Micros),
}

impl Moment {
    /// The argument of a call that says so: `at`, or `at_us`.
    pub fn argument(self) -> (&'static str, u64) {
        match self {
            Self::Seq(seq) => ("at", seq.0),
            Self::Micros(us) => ("at_us", us),
        }
    }
}

/// A record's place or a time; `now` is what "ago" counts from.
pub fn parse(text: &str, now: Micros) -> Result<Moment, Fail> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(|seq| Moment::Seq(Seq(seq))).map_err(|_| wrong(text));
    }
    time(text, now).map(Moment::Micros)
}

/// A time; the place of a record is none.
pub fn time(text: &str, now: Micros) -> Result<Micros, Fail> {
    let text = text.trim();
    if let Some(length) = ago(text) {
        return Ok(now.saturating_sub(length));
    }
    let utc = |at: DateTime| TimeZone::UTC.to_timestamp(at).ok();
    let stamp = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| text.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))));
    stamp.and_then(|stamp| Micros::try_from(stamp.as_microsecond()).ok()).ok_or_else(|| wrong(text))
}

/// `10m`, `2h ago` in microseconds; none when it is no length.
fn ago(text: &str) -> Option<u64> {
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds: u64 = match unit.trim_start() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds)?.checked_mul(1_000_000)
}

fn wrong(text: &str) -> Fail {
    Fail::usage(format!("{text:?} is no moment"))
        .hint("a record's number, 2026-11-20, 2026-11-20T14:02:11Z, or 10m, 2h, 3d ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_795_183_331_000_000; // 2026-11-20T14:02:11Z

    #[test]
    fn what_people_write() {
        let rows = [
            ("1204", Moment::Seq(Seq(1204))),
            (" 0 ", Moment::Seq(Seq(0))),
            ("2026-11-20T14:02:11Z", Moment::Micros(NOW)),
            ("2026-11-20T15:02:11+01:00", Moment::Micros(NOW)),
            ("2026-11-20 14:02:11", Moment::Micros(NOW)),
            ("2026-11-20T14:02", Moment::Micros(NOW - 11_000_000)),
            ("2026-11-20T14:02:11.5Z", Moment::Micros(NOW + 500_000)),
            ("2026-11-20", Moment::Micros(NOW - (14 * 3600 + 2 * 60 + 11) * 1_000_000)),
            ("10m", Moment::Micros(NOW - 600_000_000)),
            ("10m ago", Moment::Micros(NOW - 600_000_000)),
            ("2h ago", Moment::Micros(NOW - 7_200_000_000)),
            ("3 d ago", Moment::Micros(NOW - 3 * 86_400_000_000)),
            ("1w", Moment::Micros(NOW - 7 * 86_400_000_000)),
            ("90s", Moment::Micros(NOW - 90_000_000)),
            ("100000w", Moment::Micros(0)),
        ];
        for (text, moment) in rows {
            assert_eq!(parse(text, NOW).unwrap(), moment, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_said() {
        let rows = [
            "",
            "ago",
            "m",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "1969-12-31",
            "-5",
            "99999999999999999999",
            "99999999999999999999w",
            "10x ago",
            "10m later",
        ];
        for text in rows {
            let fail = parse(text, NOW).unwrap_err();
            assert_eq!((fail.exit, fail.hint.is_empty()), (2, false), "{text}");
        }
        assert!(time("1204", NOW).is_err(), "a record's number is no time");
    }

    #[test]
    fn as_an_argument() {
        assert_eq!(Moment::Seq(Seq(7)).argument(), ("at", 7));
        assert_eq!(Moment::Micros(8).argument(), ("at_us", 8));
    }
}
