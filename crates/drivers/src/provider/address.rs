//! Where a provider is: the parts of its base URL.
//!
//! ```text
//! https://api.anthropic.com             ─▶ /v1/messages
//! http://127.0.0.1:11434/v1/            ─▶ /v1/chat/completions
//! https://openrouter.ai/api/v1          ─▶ /api/v1/chat/completions
//! https://host/api/paas/v4              ─▶ /api/paas/v4/chat/completions   (a version of its own)
//! https://host/v1beta/openai            ─▶ /v1beta/openai/chat/completions, /v1beta/models/x:generateContent
//! ```
//! Never here: a user and password in the URL, a query, another scheme than http and https.

use abi::Error;
use hyper::Uri;
use std::fmt;
use std::net::IpAddr;

/// Bytes of a base URL.
const URL_BYTES_MAX: usize = 1024;

/// A base URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    /// Name or address; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Before the path of a wire, up to and with a version if it has one.
    base: String,
    versioned: bool,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            let shown: String = url.chars().take(64).collect();
            // What stands before an @ may be a password.
            let shown = if url.contains('@') { "the URL".to_owned() } else { format!("{shown:?}") };
            Error::invalid("url", format!("{shown} is not a provider's address: {why}"))
                .hint("as https://api.anthropic.com or http://127.0.0.1:11434/v1")
        };
        if url.len() > URL_BYTES_MAX {
            return Err(bad("it is longer than 1024 bytes"));
        }
        if url.contains('#') {
            return Err(bad("it has a fragment"));
        }
        let uri: Uri = url.trim().parse().map_err(|_| bad("it cannot be read"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it begins with neither https:// nor http://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it holds a user; a key is given apart from it"));
        }
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() || host == "[]" {
            return Err(bad("it names no host"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or("") {
            "" => {
                if tls {
                    443
                } else {
                    80
                }
            }
            _ => authority.port_u16().filter(|port| *port > 0).ok_or_else(|| bad("its port is not one"))?,
        };
        let path = uri.path().trim_end_matches('/');
        let versioned = path.split('/').any(is_version);
        Ok(Self { host, port, tls, base: path.to_owned(), versioned })
    }

    /// The path of something below the version that stands before it, as `/v1/messages`. The base's own
    /// version counts. Google has OpenAI's format below its own: there its own stands beside it.
    pub(super) fn path(&self, below: &str) -> String {
        let native = below.starts_with("/v1beta/").then(|| self.base.strip_suffix("/openai")).flatten();
        let base = native.unwrap_or(&self.base);
        let rest = below.get(1..).and_then(|rest| rest.find('/')).and_then(|at| below.get(at + 1..));
        format!("{base}{}", rest.filter(|_| self.versioned).unwrap_or(below))
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether what is sent there stays on this machine.
    pub(super) fn is_here(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether the host is this domain or below it.
    pub(super) fn is_of(&self, domain: &str) -> bool {
        self.host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.authority())
    }
}

/// `v1`, `v4`, `v1beta`.
fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_taken_apart() {
        for (url, host, path) in [
            ("https://api.anthropic.com", "api.anthropic.com", "/v1/messages"),
            ("https://api.anthropic.com/", "api.anthropic.com", "/v1/messages"),
            ("https://API.anthropic.com:443/v1", "api.anthropic.com", "/v1/messages"),
            ("http://127.0.0.1:11434/v1/", "127.0.0.1:11434", "/v1/messages"),
            ("http://[::1]:8080", "[::1]:8080", "/v1/messages"),
            ("https://openrouter.ai/api/v1", "openrouter.ai", "/api/v1/messages"),
            ("https://openrouter.ai/api", "openrouter.ai", "/api/v1/messages"),
            ("https://host/api/paas/v4", "host", "/api/paas/v4/messages"),
            ("https://host/v1beta/openai/", "host", "/v1beta/openai/messages"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.authority().as_str(), address.path("/v1/messages").as_str()), (host, path));
        }
        for (url, path) in [
            ("https://generativelanguage.googleapis.com", "/v1beta/models/x:y?a=b/c"),
            ("https://generativelanguage.googleapis.com/v1beta/", "/v1beta/models/x:y?a=b/c"),
            ("https://generativelanguage.googleapis.com/v1beta/openai", "/v1beta/models/x:y?a=b/c"),
            ("http://127.0.0.1:4000/v1", "/v1/models/x:y?a=b/c"),
        ] {
            assert_eq!(Address::parse(url).unwrap().path("/v1beta/models/x:y?a=b/c"), path, "{url}");
        }
    }

    #[test]
    fn what_is_no_base_is_refused_and_shows_no_password() {
        for (url, why) in [
            ("", "cannot be read"),
            ("api.anthropic.com", "neither https"),
            ("ftp://host", "neither https"),
            ("https://", "cannot be read"),
            ("https://me:hunter2@host", "holds a user"),
            ("https://host/v1?key=hunter2", "a query"),
            ("https://host/v1#x", "a fragment"),
            ("https://host:99999", "port"),
            ("https://host:0", "port"),
            ("https://ho st", "cannot be read"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(error.message.contains(why), "{url}: {error}");
            assert!(!error.to_string().contains("me:hunter2"), "{error}");
        }
        assert!(Address::parse(&format!("https://{}", "a".repeat(2000))).is_err());
    }

    #[test]
    fn here_and_below_a_domain() {
        for (url, here) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(Address::parse(url).unwrap().is_here(), here, "{url}");
        }
        let of = |url: &str| Address::parse(url).unwrap().is_of("openai.com");
        assert_eq!((of("https://api.openai.com"), of("https://notopenai.com")), (true, false));
    }
}
