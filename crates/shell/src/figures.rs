//! How times, lengths, counts and money are written. Times are UTC: the log's own, the same on every machine.

use abi::{Micros, calendar, money::Nano};

/// `14:02:11.123`.
pub fn time(at: Micros) -> String {
    let ms = at / 1000 % 86_400_000;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// `2026-11-20 14:02`, or only the time of day when it is the day of `now`.
pub fn moment(at: Micros, now: Micros) -> String {
    const DAY: u64 = 86_400_000_000;
    let clock =
        format!("{:02}:{:02}:{:02}", at / 3_600_000_000 % 24, at / 60_000_000 % 60, at / 1_000_000 % 60);
    if at / DAY == now / DAY {
        return clock;
    }
    let (year, month, day) = calendar::civil(at / DAY);
    format!("{year:04}-{month:02}-{day:02} {}", clock.get(..5).unwrap_or(&clock))
}

/// `812 ms`, `4.2 s`, `31 m`, `23 h`, `3 d`.
pub fn length(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
        60_000_000..7_200_000_000 => format!("{} m", us / 60_000_000),
        7_200_000_000..172_800_000_000 => format!("{} h", us / 3_600_000_000),
        _ => format!("{} d", us / 86_400_000_000),
    }
}

/// `1,204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (ix, digit) in digits.chars().enumerate() {
        if ix > 0 && (digits.len() - ix).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `3 files`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// An amount of bytes, with the unit that keeps it short (powers of 1,000).
pub fn bytes(number: u64) -> String {
    let mut amount = number as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if amount < 999.5 {
            return if unit == "B" { format!("{number} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1000.0;
    }
    format!("{amount:.1} TB")
}

/// Money as people read it: cut to a hundredth of a cent, upwards; exact when asked of `Nano` itself.
pub fn money(amount: Nano) -> String {
    let rounded = amount.0.saturating_add(99_999).div_euclid(100_000).saturating_mul(100_000);
    Nano(rounded).to_string()
}

/// Money out of a status file, where it may stand as text or as a count of nano-units.
pub fn money_text(text: &str) -> String {
    let nano = text.parse::<i64>().map(Nano).ok();
    let exact = nano.or_else(|| text.parse::<Nano>().ok());
    exact.map_or_else(|| text.to_owned(), money)
}

/// The first so many characters of a line, with a mark when something was left out.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Parses `90s`, `10m`, `2h`, `3d` to microseconds.
pub fn parse_length(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    number.checked_mul(seconds * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_795_183_331_123_456;

    #[test]
    fn times_and_lengths() {
        assert_eq!(time(NOW), "14:02:11.123");
        assert_eq!(moment(NOW, NOW), "14:02:11");
        assert_eq!(moment(NOW - 86_400_000_000, NOW), "2026-11-19 14:02");
        assert_eq!(moment(951_782_400_000_000, NOW), "2000-02-29 00:00");
        let rows = [
            (12, "12 us"),
            (812_400, "812 ms"),
            (4_210_000, "4.2 s"),
            (1_860_000_000, "31 m"),
            (82_800_000_000, "23 h"),
            (259_200_000_000, "3 d"),
        ];
        for (us, shown) in rows {
            assert_eq!(length(us), shown);
        }
    }

    #[test]
    fn counts_money_and_cuts() {
        assert_eq!([0, 999, 1204, 1_000_000].map(count), ["0", "999", "1,204", "1,000,000"]);
        assert_eq!((plural(1, "file"), plural(2, "file")), ("1 file".into(), "2 files".into()));
        assert_eq!(money(Nano(4_123_456)), "$0.0042");
        assert_eq!((money_text("50000000"), money_text("$0.05"), money_text("x")).0, "$0.05");
        assert_eq!((cut("abcdef", 4), cut("abc", 4)), ("abc…".into(), "abc".into()));
    }

    #[test]
    fn lengths_are_parsed() {
        let rows = [
            ("90s", Some(90_000_000)),
            ("10m", Some(600_000_000)),
            ("2h", Some(7_200_000_000)),
            ("", None),
            ("m", None),
            ("10", None),
            ("10x", None),
            ("99999999999999999999d", None),
            ("18446744073709d", None),
        ];
        for (text, want) in rows {
            assert_eq!(parse_length(text), want, "{text:?}");
        }
    }
}
