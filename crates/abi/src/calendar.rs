//! Days and months of the Gregorian calendar in UTC, counted from 1970, and how they are written. The
//! arithmetic is Hinnant's ("chrono-compatible low-level date algorithms", 2014): years begin in March, so
//! that the leap day is the last of its year.

use alloc::{format, string::String};

/// Days from 1970-01-01 to a date of the Gregorian calendar that exists, spelled `YYYY-MM-DD`.
pub fn day(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().try_fold(0, |all, byte| byte.is_ascii_digit().then(|| all * 10 + i64::from(byte - b'0')))
    };
    if bytes.len() != 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of the month of a day.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// Months from January 1970 to the month of a day.
pub fn month(day: u64) -> u64 {
    let (year, month, _) = civil(day);
    (year.saturating_mul(12) + month - 1).saturating_sub(1970 * 12)
}

/// The days of a month (`2026-11`) or of one day (`2026-11-28`), counted since 1970: the first, and the one
/// after the last.
pub fn days(name: &str) -> Option<(u64, u64)> {
    let count = |date: &str| day(date).and_then(|day| u64::try_from(day).ok());
    if let Some(day) = count(name) {
        return Some((day, day + 1));
    }
    let first = count(&format!("{name}-01"))?;
    // No month has more than 31 days, and no two together fewer than 59.
    let next = month(first + 31);
    Some((first, count(&format!("{}-01", month_name(next)))?))
}

/// A month as it is written, `2026-11`, by its count since January 1970.
pub fn month_name(count: u64) -> String {
    format!("{:04}-{:02}", 1970 + count / 12, count % 12 + 1)
}

/// A day as it is written, `2026-11-28`.
pub fn day_name(count: u64) -> String {
    let (year, month, day) = civil(count);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_days_by_name() {
        let rows = [
            ("1970-01", Some((0, 31))),
            ("1970-02", Some((31, 59))),
            ("1972-02", Some((761, 790))),
            ("1970-12", Some((334, 365))),
            ("1970-01-31", Some((30, 31))),
            ("1969-12", None),
            ("1970-13", None),
            ("1970-1", None),
            ("1970-02-29", None),
            ("9999-12", None),
            ("", None),
        ];
        for (name, want) in rows {
            assert_eq!(days(name), want, "{name}");
        }
        for count in 0..9_000 {
            let name = month_name(count);
            let (first, after) = days(&name).unwrap();
            assert_eq!([first, after - 1, after].map(month), [count, count, count + 1], "{name}");
            assert_eq!(days(&day_name(after - 1)), Some((after - 1, after)));
        }
    }
}
