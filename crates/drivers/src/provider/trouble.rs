//! Why a provider gave no answer: one sentence that names it, whether trying again can help, and when.
//!
//! ```text
//! 429, Retry-After: 7, {"error": {"message": "slow down"}}
//!   ─▶ "api.host answered 429: slow down", again, after 7 s
//! ```
//! Never here: the secret, which is taken out of whatever the other side said; a wait, which is the kernel's.

use super::address::Address;
use crate::{ModelError, Secret};
use hyper::HeaderMap;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

/// Characters of what a provider says about an error.
const SAID_CHARS_MAX: usize = 300;
/// What stands in place of a secret that came back.
const HIDDEN: &str = "[secret]";

/// Trying again can help.
pub(super) fn again(message: String) -> ModelError {
    ModelError { message, again: true, after_us: None }
}

/// It cannot.
pub(super) fn never(message: String) -> ModelError {
    ModelError { message, again: false, after_us: None }
}

/// Whether a status is one after which the same request may be answered (RFC 9110, section 15; 529 is
/// "overloaded" at Anthropic).
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 | 529)
}

/// An answer with an error status.
pub(super) fn of_status(
    address: &Address,
    (status, headers): (u16, &HeaderMap),
    body: &[u8],
    secret: Option<&Secret<'_>>,
) -> ModelError {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = match said(&value) {
        Some(said) => clean(said, secret),
        None => clean(&String::from_utf8_lossy(body.get(..1024).unwrap_or(body)), secret),
    };
    let said = if said.is_empty() { reason(status).to_owned() } else { said };
    let message = format!("{address} answered {status}: {said}");
    ModelError { message, again: may_pass(status), after_us: after(headers) }
}

/// An error that stands in an answer or a stream whose status was a good one.
pub(super) fn of_value(address: &str, value: &Value, secret: Option<&Secret<'_>>) -> ModelError {
    let error = place(value).unwrap_or(value);
    let word = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or("");
    let (kind, code) = (word("type"), word("code"));
    // An error within a stream has no status; these are the kinds for which it would have been a lasting one.
    let lasting = |word: &str| {
        let lasting =
            ["invalid_", "authentication", "permission", "not_found", "request_too_large", "billing"];
        lasting.iter().any(|part| word.contains(part)) || word == "insufficient_quota"
    };
    let number = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let said = clean(said(value).unwrap_or("it does not say why"), secret);
    let kind = clean(if kind.is_empty() { code } else { kind }, secret);
    let kind = if kind.is_empty() { String::new() } else { format!(" ({kind})") };
    let message = format!("{address} broke off{kind}: {said}");
    let again = !lasting(word("type")) && !lasting(code) && number.is_none_or(may_pass);
    ModelError { message, again, after_us: None }
}

/// Where an answer tells of an error.
fn place(value: &Value) -> Option<&Value> {
    let within = value.get("response").and_then(|response| response.get("error"));
    value.get("error").or(within).filter(|error| !error.is_null())
}

/// The provider's own words, wherever its kind puts them.
fn said(value: &Value) -> Option<&str> {
    let error = place(value);
    let places =
        [error.and_then(|error| error.get("message")), error, value.get("message"), value.get("detail")];
    places.into_iter().flatten().find_map(Value::as_str)
}

/// One line without control characters, not long, without the secret.
pub(super) fn clean(text: &str, secret: Option<&Secret<'_>>) -> String {
    let text = hide(text, secret);
    let visible = |c: char| if c.is_control() || abi::scan::is_hidden(c) { ' ' } else { c };
    let words: String = text.chars().take(4 * SAID_CHARS_MAX).map(visible).collect();
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SAID_CHARS_MAX) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or("")),
        None => line,
    }
}

/// The text without the secret.
pub(super) fn hide(text: &str, secret: Option<&Secret<'_>>) -> String {
    match secret.map(Secret::expose).filter(|value| !value.is_empty()) {
        Some(value) if text.contains(value) => text.replace(value, HIDDEN),
        _ => text.to_owned(),
    }
}

/// How long the other side wants to be left alone: `retry-after-ms`, or `Retry-After` as seconds or a date
/// (RFC 9110, section 10.2.3). A date is compared with the `Date` of the same answer: no clock of ours is
/// needed, and a wrong one there cancels out.
pub(super) fn after(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let scaled = |text: &str, unit: f64| {
        let count: f64 = text.parse().ok().filter(|count: &f64| count.is_finite() && *count >= 0.0)?;
        // A cast of a float saturates; what is absurd is bounded by the kernel.
        Some((count * unit) as u64)
    };
    if let Some(us) = text("retry-after-ms").and_then(|ms| scaled(ms, 1000.0)) {
        return Some(us);
    }
    let value = text("retry-after")?;
    scaled(value, 1_000_000.0).or_else(|| {
        let parse = |text: &str| DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok();
        let wait = parse(value)?.as_microsecond().saturating_sub(parse(text("date")?)?.as_microsecond());
        Some(u64::try_from(wait).unwrap_or(0))
    })
}

fn reason(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
        rows.iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>()
    }

    #[test]
    fn when_to_come_back() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (rows, want) in [
            (&[][..], None),
            (&[("retry-after", "7")], Some(7_000_000)),
            (&[("retry-after", "0.5")], Some(500_000)),
            (&[("retry-after-ms", "250"), ("retry-after", "7")], Some(250_000)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date], Some(30_000_000)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), date], Some(0)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], None),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "1e300")], Some(u64::MAX)),
        ] {
            assert_eq!(after(&headers(rows)), want, "{rows:?}");
        }
    }

    #[test]
    fn one_sentence_with_the_providers_words_and_without_the_secret() {
        let address = Address::parse("https://api.host/v1").unwrap();
        let secret = Secret::lend("sk-canary");
        for (status, body, want, again) in [
            (429, r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#, "slow down", true),
            (401, r#"{"error":{"message":"bad key sk-canary given"}}"#, "bad key [secret] given", false),
            (404, r#"{"error":"model not found"}"#, "model not found", false),
            (422, r#"{"detail":"no"}"#, "no", false),
            (500, "<html>\n oh\u{1b}[2J </html>", "<html> oh [2J </html>", true),
            (529, "", "no reason given", true),
            (503, "", "Service Unavailable", true),
            (418, "{\"error\":{}}", "{\"error\":{}}", false),
        ] {
            let error = of_status(&address, (status, &HeaderMap::new()), body.as_bytes(), Some(&secret));
            assert_eq!(error.message, format!("api.host answered {status}: {want}"));
            assert_eq!(error.again, again, "{status}");
        }
        let long = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "a ".repeat(5000));
        let error = of_status(&address, (400, &HeaderMap::new()), long.as_bytes(), None);
        assert!(error.message.len() < 700 && error.message.ends_with('…'));
    }

    #[test]
    fn an_error_in_a_stream_says_by_its_kind_whether_it_passes() {
        for (value, again) in [
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#, true),
            (r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#, false),
            (r#"{"error":{"code":400,"message":"no"}}"#, false),
            (r#"{"error":{"code":502,"message":"upstream"}}"#, true),
            (
                r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"x"}}}"#,
                true,
            ),
            (r#"{"error":"x"}"#, true),
        ] {
            let value: Value = serde_json::from_str(value).unwrap();
            let error = of_value("host", &value, None);
            assert_eq!(error.again, again, "{error:?}");
            assert!(error.message.starts_with("host broke off"), "{error:?}");
        }
    }
}
