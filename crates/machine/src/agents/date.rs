//! Dates as people write them, in UTC as everything that is printed: `2026-11-28`, `28 Nov 2026`,
//! `November 28`, `28.11.2026`, `today`, `yesterday`, `3 days ago`, `in 2 weeks`, `monday` (the last one that
//! was, today counts), `last monday`, `next monday`. `11/12/2026` means two days, and is none.

use abi::Micros;
use jiff::{
    Span, Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// The date, if it is one of our era.
pub fn parse(text: &str, now: Micros) -> Option<Date> {
    read(text, now).filter(|date| date.year() > 0)
}

fn read(text: &str, now: Micros) -> Option<Date> {
    let text = text.trim().to_ascii_lowercase();
    let today = today(now)?;
    if let Ok(date) = text.parse::<Date>() {
        return Some(date);
    }
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["today"] => Some(today),
        ["yesterday"] => today.yesterday().ok(),
        ["tomorrow"] => today.tomorrow().ok(),
        [count, unit, "ago"] => today.checked_sub(span(count, unit)?).ok(),
        ["in", count, unit] => today.checked_add(span(count, unit)?).ok(),
        ["last", day] => today.nth_weekday(-1, weekday(day)?).ok(),
        ["next", day] => today.nth_weekday(1, weekday(day)?).ok(),
        [day] if weekday(day) == Some(today.weekday()) => Some(today),
        [one] => match weekday(one) {
            Some(day) => today.nth_weekday(-1, day).ok(),
            None => dotted(one),
        },
        [day, month] if this(month).is_some() => date(day, month, today.year()),
        [month, day] => date(day, month, today.year()),
        [day, month, year] if this(month).is_some() => date(day, month, year.parse().ok()?),
        [month, day, year] => date(day, month, year.parse().ok()?),
        _ => None,
    }
}

fn today(now: Micros) -> Option<Date> {
    let stamp = Timestamp::from_microsecond(i64::try_from(now).ok()?).ok()?;
    Some(TimeZone::UTC.to_datetime(stamp).date())
}

fn span(count: &str, unit: &str) -> Option<Span> {
    let count: i64 = if ["a", "one"].contains(&count) { 1 } else { count.parse().ok()? };
    if !(0..=100_000).contains(&count) {
        return None;
    }
    Some(match unit.strip_suffix('s').unwrap_or(unit) {
        "day" => count.days(),
        "week" => count.weeks(),
        "month" => count.months(),
        "year" if count <= 9_000 => count.years(),
        _ => return None,
    })
}

fn weekday(word: &str) -> Option<Weekday> {
    DAYS.iter().find(|(name, _)| *name == word || name.get(..3) == Some(word)).map(|(_, day)| *day)
}

/// A month by its name, or the first three letters of it.
fn this(word: &str) -> Option<i8> {
    let word = word.trim_end_matches('.');
    let at = MONTHS.iter().position(|name| *name == word || name.get(..3) == Some(word))?;
    i8::try_from(at + 1).ok()
}

fn date(day: &str, month: &str, year: i16) -> Option<Date> {
    let day = day.trim_end_matches(['.', 't', 'h', 's', 'n', 'd', 'r']).parse().ok()?;
    Date::new(year, this(month)?, day).ok()
}

/// Day, month, year with dots between.
fn dotted(word: &str) -> Option<Date> {
    let mut parts = word.split('.').map(|part| part.parse::<i16>().ok());
    let (day, month, year) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturday, 2026-11-28, 05:40 UTC.
    const NOW: Micros = 1_795_844_400_000_000;

    #[test]
    fn what_people_write() {
        let rows = [
            ("2026-11-20", "2026-11-20"),
            ("today", "2026-11-28"),
            (" Yesterday ", "2026-11-27"),
            ("tomorrow", "2026-11-29"),
            ("3 days ago", "2026-11-25"),
            ("a week ago", "2026-11-21"),
            ("in 2 weeks", "2026-12-12"),
            ("2 months ago", "2026-09-28"),
            ("saturday", "2026-11-28"),
            ("mon", "2026-11-23"),
            ("last saturday", "2026-11-21"),
            ("next monday", "2026-11-30"),
            ("28 Nov 2025", "2025-11-28"),
            ("November 3rd, 2026", "2026-11-03"),
            ("3 November", "2026-11-03"),
            ("Feb 29 2028", "2028-02-29"),
            ("28.11.2026", "2026-11-28"),
        ];
        for (text, want) in rows {
            assert_eq!(parse(text, NOW).map(|date| date.to_string()).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "soon",
            "11/12/2026",
            "2026-02-30",
            "29 Feb 2026",
            "99999999999 days ago",
            "-3 days ago",
            "200000 days ago",
            "32.1.2026",
            "1.2.3.4",
            "9000 years ago",
            "next",
            "28 28 28",
            "in days 3",
        ] {
            assert_eq!(parse(text, NOW), None, "{text}");
        }
    }
}
