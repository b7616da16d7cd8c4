//! What a program asks a proxy for, read strictly: whatever two readers could take for two hosts is refused.

use super::Ask;
use abi::{
    limits,
    net::{Host, port_of},
};
use hyper::{HeaderMap, Method, Uri, header, http::uri::Authority};

/// Letters of a method: the longest there are have sixteen.
const METHOD_MAX: usize = 20;

/// A host and a port, as they stand in a request: `HOST:PORT`, or without a port this one.
pub fn authority(text: &str, port: Option<u16>) -> Result<(Host, u16), String> {
    if text.contains('@') {
        return Err("a user before the host is not taken".to_owned());
    }
    // In an address of version 6 the last colon stands in the brackets.
    let split = text.rsplit_once(':').filter(|(host, _)| !host.starts_with('[') || host.ends_with(']'));
    let (host, port) = match split {
        Some((host, port)) => (host, port_of(port)),
        None => (text, port),
    };
    let port = port.ok_or_else(|| "it names no port".to_owned())?;
    let bare = host.starts_with('[') || !host.contains(':');
    if !bare {
        return Err("an address of version 6 stands in brackets".to_owned());
    }
    let host = Host::parse(host).map_err(|error| error.message)?;
    Ok((host, port))
}

/// What `CONNECT` is for.
pub(super) fn connect(uri: &Uri) -> Result<Ask, String> {
    let whole = uri.authority().map(Authority::as_str).filter(|_| uri.scheme().is_none());
    let (host, port) = authority(whole.ok_or("CONNECT takes HOST:PORT")?, None)?;
    Ok(Ask { host, port, method: None, secure: false, fetches: false })
}

/// What a request to a proxy is for: the whole URL, of plain HTTP.
pub(super) fn absolute(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Ask, String> {
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err("https goes through CONNECT".to_owned()),
        Some(_) => return Err("only http and https go out".to_owned()),
        None => return Err("this is a proxy: ask it for the whole URL".to_owned()),
    }
    let whole = uri.authority().map(Authority::as_str).unwrap_or_default();
    let (host, port) = authority(whole, Some(80))?;
    let fetches = fetches(method, uri, headers);
    Ok(Ask { host, port, method: Some(word(method)?), secure: false, fetches })
}

/// What a request inside is for: of the host whose connection it is, and of no other.
pub(super) fn inside(method: &Method, uri: &Uri, headers: &HeaderMap, of: &Ask) -> Result<Ask, String> {
    let mut named: Vec<&str> = uri.authority().map(Authority::as_str).into_iter().collect();
    for value in headers.get_all(header::HOST) {
        named.push(value.to_str().map_err(|_| "the Host header is no host".to_owned())?);
    }
    for text in named {
        let (host, port) = authority(text, Some(of.port))?;
        if (&host, port) != (&of.host, of.port) {
            return Err(format!("this connection is to {}:{}, and the request is not", of.host, of.port));
        }
    }
    let fetches = fetches(method, uri, headers);
    Ok(Ask { method: Some(word(method)?), secure: true, fetches, ..of.clone() })
}

/// Whether git asks for what a repository has (gitprotocol-http(5)): a POST of few words, which changes
/// nothing there.
fn fetches(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let is = |name: header::HeaderName, value: &str| {
        let mut all = headers.get_all(name).iter();
        all.next().is_some_and(|one| one == value) && all.next().is_none()
    };
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next().and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let is_short = length.is_some_and(|length: u64| length <= limits::GIT_ASKS_BYTES_MAX);
    method == Method::POST
        && uri.path().ends_with("/git-upload-pack")
        && uri.query().is_none()
        && is(header::CONTENT_TYPE, "application/x-git-upload-pack-request")
        && is_short
        && !headers.contains_key(header::TRANSFER_ENCODING)
}

fn word(method: &Method) -> Result<String, String> {
    let text = method.as_str();
    let plain = text.len() <= METHOD_MAX && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if !plain || method == Method::CONNECT || method == Method::TRACE {
        return Err("this method is not taken".to_owned());
    }
    Ok(text.to_owned())
}

/// Whether what only looks brings something along.
pub(super) fn smuggles(ask: &Ask, headers: &HeaderMap) -> bool {
    let looks = ["GET", "HEAD", "OPTIONS"].contains(&ask.method.as_deref().unwrap_or_default());
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|value| value != "0");
    looks && (length || headers.contains_key(header::TRANSFER_ENCODING))
}

/// Headers that are of one connection (RFC 9110, section 7.6.1), and those that `Connection` names.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let own =
        ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection"];
    let own = own.into_iter().chain(["proxy-authorization", "proxy-authenticate"]);
    for name in own.chain(named.iter().map(String::as_str)) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
