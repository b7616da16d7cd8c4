//! The address of a registry as a client is told it, without what opens it.

use abi::{limits, net::Host};
use drivers::egress;

/// Where a registry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub host: Host,
    pub port: u16,
    /// As a client is told it.
    pub text: String,
}

impl Url {
    /// Of `http` or `https`, with `sparse+` before it or not. A name and a password, a query and a fragment
    /// are dropped; so is what is no such URL.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > limits::PATH_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let port = match scheme.strip_prefix("sparse+").unwrap_or(scheme) {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        // A query may follow the host at once.
        let authority = authority.split(['?', '#']).next().unwrap_or(authority);
        let path = path.split(['?', '#']).next().unwrap_or(path);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = egress::target(authority, Some(port)).ok()?;
        Some(Self { host, port, text: format!("{scheme}://{authority}{path}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_a_registry_is_no_part_of_where_it_is() {
        let of = |text: &str| Url::parse(text).map(|url| (url.host.to_string(), url.port, url.text));
        let all = |host: &str, port, text: &str| Some((host.to_owned(), port, text.to_owned()));
        for (text, is) in [
            ("https://r.example/", all("r.example", 443, "https://r.example/")),
            ("http://R.example:4873", all("r.example", 4873, "http://R.example:4873")),
            ("https://me:pa@ss@r.example/x?token=y#z", all("r.example", 443, "https://r.example/x")),
            ("https://token@r.example:8443", all("r.example", 8443, "https://r.example:8443")),
            ("https://r.example?token=a@b", all("r.example", 443, "https://r.example")),
            ("sparse+https://u:p@r.example/i/", all("r.example", 443, "sparse+https://r.example/i/")),
            ("http://[::1]:80/", all("[::1]", 80, "http://[::1]:80/")),
            ("file:///srv/simple", None),
            ("git+ssh://git@r.example/x", None),
            ("https://", None),
            ("https://a b/", None),
            ("https://r.example:0/", None),
            ("https://0177.1/", None),
        ] {
            assert_eq!(of(text), is, "{text}");
        }
    }
}
