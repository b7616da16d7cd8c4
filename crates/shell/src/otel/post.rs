//! A collector on this host, over HTTP/1.1: one request, one answer, then the connection is closed. What goes
//! further, and under which keys, is the collector's: nothing leaves the host from here.

use crate::{clock, escape, fail::Fail, figures};
use serde_json::Value;
use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// How long the collector may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// A collector that is busy or starts anew is asked again after these.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16)];
/// Where a collector listens that says nothing else.
const PORT: u16 = 4318;
const PATH: &str = "/v1/traces";

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    at: SocketAddr,
    host: String,
    path: String,
}

enum Wrong {
    /// It may be better in a moment.
    Now(Fail),
    /// It is no use to try again.
    Ever(Fail),
}

impl Collector {
    /// `http://localhost:4318`, with or without `/v1/traces`.
    pub fn parse(url: &str) -> Result<Self, Fail> {
        let shown = escape::line(url);
        let wrong = |what: &str| {
            let way =
                "name a collector on this host, as http://localhost:4318; it sends on, with TLS and keys";
            Fail::usage(format!("{shown:?} {what}")).hint(way)
        };
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("is no http:// address"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !plain(host) || !plain(path) || host.contains('@') {
            return Err(wrong("names no host"));
        }
        let at = address(host).ok_or_else(|| wrong("is not on this host"))?;
        let path = path.trim_end_matches('/');
        let path = if path.ends_with(PATH) { path.to_owned() } else { format!("{path}{PATH}") };
        Ok(Self { at, host: host.to_owned(), path })
    }

    /// Sends one request; a collector that is busy is asked again.
    pub fn send(&self, body: &Value) -> Result<u64, Fail> {
        let body = body.to_string();
        let mut pauses = PAUSES.iter();
        loop {
            match self.post(&body) {
                Ok(rejected) => return Ok(rejected),
                Err(Wrong::Ever(fail)) => return Err(fail),
                Err(Wrong::Now(fail)) => match pauses.next() {
                    Some(pause) => clock::pause(*pause),
                    None => return Err(fail),
                },
            }
        }
    }

    fn post(&self, body: &str) -> Result<u64, Wrong> {
        let answer = self.exchange(body).map_err(|error| {
            let what = format!("the collector at {} does not answer: {error}", self.host);
            Wrong::Now(Fail::new(what).hint("start it, or name the one that runs"))
        })?;
        let head = answer.split("\r\n").next().unwrap_or_default();
        let status: u16 = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let said = || Fail::new(format!("the collector said {}", escape::line(&figures::cut(head, 80))));
        match status {
            200..=299 => Ok(rejected(&answer)),
            429 | 502..=504 => Err(Wrong::Now(said())),
            _ => Err(Wrong::Ever(said().hint("it has to take OTLP over HTTP as JSON, at /v1/traces"))),
        }
    }

    fn exchange(&self, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.at, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.path,
            self.host,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// `localhost`, `127.0.0.1`, `[::1]`, each with or without a port.
fn address(host: &str) -> Option<SocketAddr> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && !port.ends_with(']') => (name, port.parse().ok()?),
        _ => (host, PORT),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let name = if name == "localhost" { "127.0.0.1" } else { name };
    let ip: IpAddr = name.parse().ok()?;
    ip.is_loopback().then_some(SocketAddr::new(ip, port))
}

/// How many spans a collector that took the request did not want.
fn rejected(answer: &str) -> u64 {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let object = body.find('{').and_then(|at| body.get(at..)).unwrap_or("");
    let value = serde_json::Deserializer::from_str(object).into_iter::<Value>().next();
    let value = value.and_then(Result::ok).unwrap_or(Value::Null);
    let count = &value["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_collectors_of_this_host() {
        let rows = [
            ("http://localhost", Some("127.0.0.1:4318 /v1/traces")),
            ("http://127.0.0.1:9/v1/traces", Some("127.0.0.1:9 /v1/traces")),
            ("http://[::1]:4318/otel/", Some("[::1]:4318 /otel/v1/traces")),
            ("http://[::1]", Some("[::1]:4318 /v1/traces")),
            ("https://localhost", None),
            ("http://192.0.2.1:4318", None),
            ("http://collector:4318", None),
            ("http://a@127.0.0.1", None),
            ("http://127.0.0.1:4318/a b", None),
            ("http://127.0.0.1.example", None),
            ("http://", None),
            ("localhost:4318", None),
        ];
        for (url, want) in rows {
            let got = Collector::parse(url).ok().map(|to| format!("{} {}", to.at, to.path));
            assert_eq!(got.as_deref(), want, "{url}");
        }
    }

    #[test]
    fn what_was_not_wanted_is_counted() {
        let answer = "HTTP/1.1 200 OK\r\n\r\n{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}";
        assert_eq!(rejected(answer), 3);
        assert_eq!(rejected("HTTP/1.1 200 OK\r\n\r\n{}"), 0);
        assert_eq!(rejected("HTTP/1.1 200 OK\r\n\r\nnot JSON {"), 0);
    }
}
