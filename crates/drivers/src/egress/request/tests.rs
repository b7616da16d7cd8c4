//! What is a request to a proxy, and every spelling in which one host passes for another.
use super::*;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use proptest::prelude::*;

fn uri(text: &str) -> Option<Uri> {
    text.parse().ok()
}

#[test]
fn connect_takes_a_host_and_a_port() {
    for (text, host, port) in [
        ("a.example:443", "a.example", 443),
        ("A.Example:22", "a.example", 22),
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("[::1]:8443", "::1", 8443),
    ] {
        let ask = connect(&uri(text).unwrap()).unwrap();
        assert_eq!((ask.host.as_str(), ask.port, ask.method), (host, port, None), "{text}");
    }
    for text in [
        "a.example",
        "a.example:",
        "a.example:0",
        "a.example:65536",
        "a.example:+1",
        "a.example:0x50",
        "u@a.example:443",
        "u:p@a.example:443",
        "a.example.:443",
        "2130706433:80",
        "0x7f.1:80",
        "127.1:80",
        "0177.0.0.1:80",
        "::1:80",
        "[fe80::1%25eth0]:80",
        "*.example:443",
        "http://a.example:443/",
        "/path",
        "a.example:443:80",
        "[::1]",
        "a..b:1",
    ] {
        assert!(uri(text).is_none_or(|uri| connect(&uri).is_err()), "{text}");
    }
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_of_plain_http() {
    let none = HeaderMap::new();
    let ask =
        |text: &str| uri(text).ok_or(String::new()).and_then(|uri| absolute(&Method::POST, &uri, &none));
    let good = ask("http://A.example/x?y").unwrap();
    assert_eq!((good.host.as_str(), good.port, good.method.as_deref()), ("a.example", 80, Some("POST")));
    assert_eq!(ask("http://a.example:8080/").unwrap().port, 8080);
    for text in [
        "/x",
        "*",
        "https://a.example/",
        "ftp://a.example/",
        "http://u@a.example/",
        "http://a.example@b.example/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://a.example.:80/",
        "http://a.example:/",
        "http:///x",
        "file:///etc",
    ] {
        assert!(ask(text).is_err(), "{text}");
    }
    for word in ["CONNECT", "TRACE", "get", "M-SEARCH", "AVERYLONGMETHODINDEEDX"] {
        let method: Method = word.parse().unwrap();
        assert!(absolute(&method, &uri("http://a.example/").unwrap(), &none).is_err(), "{word}");
    }
}

#[test]
fn a_request_inside_is_for_the_host_of_its_connection() {
    let of = connect(&uri("a.example:443").unwrap()).unwrap();
    let ask = |path: &str, hosts: &[&'static str]| {
        let mut headers = HeaderMap::new();
        hosts.iter().for_each(|host| _ = headers.append(HOST, HeaderValue::from_static(host)));
        inside(&Method::GET, &uri(path).unwrap(), &headers, &of).is_ok()
    };
    assert!(
        ask("/x", &["a.example"])
            && ask("/x", &["A.example:443"])
            && ask("https://a.example/x", &["a.example"])
    );
    for (path, hosts) in [
        ("/x", &["b.example"][..]),
        ("/x", &["a.example:80"]),
        ("/x", &["a.example", "b.example"]),
        ("/x", &["a.example."]),
        ("https://b.example/x", &["a.example"]),
        ("/x", &["a.example@b.example"]),
        ("/x", &["a.example, b.example"]),
    ] {
        assert!(!ask(path, hosts), "{path} {hosts:?}");
    }
}

#[test]
fn git_that_asks_for_what_there_is_only_looks() {
    const ASKS: (&str, &str) = ("content-type", "application/x-git-upload-pack-request");
    let short = ("content-length", "182");
    let of = connect(&uri("a.example:443").unwrap()).unwrap();
    let fetches = |method: Method, path: &str, lines: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        inside(&method, &uri(path).unwrap(), &headers, &of).unwrap().fetches
    };
    assert!(fetches(Method::POST, "/x/own.git/git-upload-pack", &[ASKS, short]));
    let path = "/own.git/git-upload-pack";
    for (method, path, lines) in [
        (Method::PUT, path, &[ASKS, short][..]),
        (Method::POST, "/own.git/git-receive-pack", &[ASKS, short]),
        (Method::POST, "/own.git/git-upload-pack/x", &[ASKS, short]),
        (Method::POST, "/own.git/git-upload-pack?x", &[ASKS, short]),
        (Method::POST, path, &[short]),
        (Method::POST, path, &[ASKS]),
        (Method::POST, path, &[ASKS, ("content-length", "262145")]),
        (Method::POST, path, &[ASKS, ("content-length", "x")]),
        (Method::POST, path, &[ASKS, short, ("transfer-encoding", "chunked")]),
        (Method::POST, path, &[ASKS, ("content-type", "text/plain"), short]),
        (Method::POST, path, &[("content-type", "application/x-git-receive-pack-request"), short]),
    ] {
        assert!(!fetches(method.clone(), path, lines), "{method} {path} {lines:?}");
    }
}

#[test]
fn what_is_of_one_connection_stays_there() {
    let mut headers = HeaderMap::new();
    headers.append(CONNECTION, HeaderValue::from_static("close, X-Own"));
    for name in ["x-own", "proxy-authorization", "upgrade", "te", "transfer-encoding", "accept"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
    }
    strip(&mut headers);
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
}

proptest! {
    #[test]
    fn any_authority_is_read(text in ".{0,60}") {
        if let Ok((host, port)) = authority(&text, Some(80)) {
            // It has one spelling, which is read the same.
            prop_assert_eq!(authority(&format!("{host}:{port}"), None), Ok((host, port)));
        }
    }
}
