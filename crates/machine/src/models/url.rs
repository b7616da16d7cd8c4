//! Addresses of providers: what may stand under `url`, and to which a secret may go.
//!
//! ```text
//! https://api.anthropic.com                 yes, with a secret
//! http://127.0.0.1:11434                    yes, with a secret: it does not leave this machine
//! http://10.0.0.7:8000                      yes, without one
//! ftp://…  https://user:pw@host  https://host?key=…    no
//! ```
//! Never here: a name looked up, a connection.

use abi::{Error, limits};

/// Whether this can be a provider's base.
pub(crate) fn check(url: &str) -> Result<(), Error> {
    let bad = |what: &str| {
        Err(Error::invalid("url", what.to_owned()).hint("write https://HOST, or http://HOST:PORT"))
    };
    if url.len() > limits::PATH_BYTES_MAX || !url.chars().all(|sign| sign.is_ascii_graphic()) {
        return bad("a url is printable ASCII without spaces, and at most 4096 bytes");
    }
    let Some((_, rest)) = split(url) else { return bad("a url begins with https:// or http://") };
    if rest.contains(['@', '?', '#', '\\']) {
        return bad("a url holds no name, password, query or fragment");
    }
    let (name, port) = host_of(rest);
    let good = |sign: char| sign.is_ascii_alphanumeric() || ".-_:[]".contains(sign);
    if name.is_empty() || !name.chars().all(good) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return bad("a url names a host, and a port that is a number");
    }
    Ok(())
}

/// Whether a secret may go there: encrypted, or not away from this machine.
pub(crate) fn may_carry_a_secret(url: &str) -> bool {
    let Some((scheme, rest)) = split(url) else { return false };
    scheme == "https" || ["127.0.0.1", "localhost", "[::1]"].contains(&host_of(rest).0)
}

/// Scheme, host and port: whom a secret is kept for.
pub(crate) fn origin(url: &str) -> String {
    let Some((scheme, rest)) = split(url) else { return String::new() };
    let host = rest.split('/').next().unwrap_or(rest);
    format!("{scheme}://{}", host.to_ascii_lowercase())
}

fn split(url: &str) -> Option<(&str, &str)> {
    url.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))
}

fn host_of(rest: &str) -> (&str, Option<&str>) {
    let host = rest.split('/').next().unwrap_or(rest);
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_may_be_and_where_a_secret_may_go() {
        for (url, good, secret, of) in [
            ("https://api.anthropic.com", true, true, "https://api.anthropic.com"),
            ("https://OpenRouter.ai/api", true, true, "https://openrouter.ai"),
            ("http://127.0.0.1:11434", true, true, "http://127.0.0.1:11434"),
            ("http://localhost:1", true, true, "http://localhost:1"),
            ("http://[::1]:80/x", true, true, "http://[::1]:80"),
            ("http://10.0.0.7:8000", true, false, "http://10.0.0.7:8000"),
            ("http://127.0.0.1.evil.example", true, false, "http://127.0.0.1.evil.example"),
            ("https://127.0.0.1@evil.example", false, true, "https://127.0.0.1@evil.example"),
            ("ftp://a", false, false, ""),
            ("https://a?key=1", false, true, "https://a?key=1"),
            ("https://", false, true, "https://"),
            ("https://a:b", false, true, "https://a:b"),
            ("file:///etc/passwd", false, false, ""),
        ] {
            let found = (check(url).is_ok(), may_carry_a_secret(url), origin(url));
            assert_eq!(found, (good, secret, of.to_owned()), "{url}");
        }
    }
}
