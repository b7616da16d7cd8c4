//! Everybody who does everything wrong, on a real daemon: lines that are no requests, paths that are none, a
//! bad token, a client that never reads, a second daemon. Each is answered or dropped, and others are served
//! meanwhile.

use crate::hive::{Client, Hive, PATIENCE, request, retry, run};
use abi::limits;
use serde_json::{Value, json};
use std::{
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

mod mail;
mod model;

/// A line that the daemon refuses: what it is, its bytes, the JSON-RPC number, and words of the message or
/// hint.
type Row = (&'static str, Vec<u8>, i32, &'static str);

const PARSE: i32 = -32700;
const NO_REQUEST: i32 = -32600;
const INVALID: i32 = -33009;
const UNAVAILABLE: i32 = -33011;

fn call(method: &str, params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#).into_bytes()
}

fn rows() -> Vec<Row> {
    let nested = |open: &str, close: &str| [open.repeat(10_000), close.repeat(10_000)].concat().into_bytes();
    let deep = call("list", &format!(r#"{{"path":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000)));
    vec![
        ("malformed", b"{\"jsonrpc\":\"2.0\",".to_vec(), PARSE, "not JSON"),
        ("two in a line", [call("list", "{}"), call("list", "{}")].concat(), PARSE, "not JSON"),
        ("no JSON at all", b"GET / HTTP/1.1\r".to_vec(), PARSE, "not JSON"),
        ("not UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}".to_vec(), PARSE, "UTF-8"),
        ("NUL bytes", vec![0; 100], PARSE, "not JSON"),
        ("lone surrogate", call("list", r#"{"path":"/\ud800"}"#), PARSE, "not JSON"),
        ("10,000 arrays", nested("[", "]"), PARSE, "nested deeper than 32"),
        ("10,000 objects", nested("{\"a\":", "}"), PARSE, "nested deeper than 32"),
        ("10,000 deep in a request", deep, PARSE, "nested deeper than 32"),
        ("a number", b"17".to_vec(), NO_REQUEST, "a request is an object"),
        ("an empty array", b"[]".to_vec(), NO_REQUEST, "an array holds"),
        ("an empty object", b"{}".to_vec(), NO_REQUEST, "jsonrpc is"),
        ("no version", br#"{"id":1,"method":"list"}"#.to_vec(), NO_REQUEST, "jsonrpc is"),
        (
            "another key",
            br#"{"jsonrpc":"2.0","id":1,"method":"list","x":1}"#.to_vec(),
            NO_REQUEST,
            "no key \"x\"",
        ),
        (
            "an id that is none",
            br#"{"jsonrpc":"2.0","id":[],"method":"list"}"#.to_vec(),
            NO_REQUEST,
            "the id is",
        ),
        ("params that are none", call("list", "[1]"), NO_REQUEST, "params is an object"),
        ("unknown call", call("lst", "{}"), INVALID, "did you mean list?"),
        ("unknown argument", call("list", r#"{"path":"/","pth":"/"}"#), INVALID, "pth"),
        ("missing argument", call("list", "{}"), INVALID, "path"),
        ("a number for a path", call("list", r#"{"path":7}"#), INVALID, "path"),
        ("a huge number", call("read", r#"{"path":"/","at":1e400}"#), PARSE, "not JSON"),
        ("a negative number", call("read", r#"{"path":"/","at":-1}"#), INVALID, "at"),
        ("not served", call("watch", r#"{"text":"x"}"#), UNAVAILABLE, "served: list read"),
        ("bad base64", call("write", r#"{"path":"/data/x","base64":"%%%"}"#), INVALID, "base64"),
        (
            "another workspace's name",
            call("list", r#"{"path":"/","workspace":"../x"}"#),
            INVALID,
            "workspace",
        ),
        ("a workspace that is no text", call("list", r#"{"path":"/","workspace":{}}"#), INVALID, "workspace"),
    ]
}

#[test]
fn each_bad_line_is_told_what_is_wrong() {
    let hive = Hive::new();
    let mut client = hive.client();
    for (what, line, number, words) in rows() {
        client.send(&[line.as_slice(), b"\n"].concat());
        let answer = client.line().unwrap_or_else(|| panic!("{what}: the daemon closed"));
        assert_eq!(answer["error"]["code"], number, "{what}: {answer}");
        assert!(answer["error"].to_string().replace("\\\"", "\"").contains(words), "{what}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().len() < 300, "{what}: an echo: {answer}");
    }
    client.ok("list", json!({ "path": "/" }));
}

#[test]
fn paths_that_are_none_are_refused_by_every_call() {
    let hive = Hive::new();
    let mut client = hive.client();
    let long = format!("/{}", "x/".repeat(2499) + "x");
    let name = format!("/{}", "n".repeat(limits::NAME_BYTES_MAX + 1));
    let deep = "/d".repeat(limits::PATH_DEPTH_MAX + 1);
    assert_eq!(long.len(), 5_000);
    let odd =
        ["", "data", "/data/..", "/../etc/passwd", "/data/../sys/ctl", "/./data", "//", "/data//x", "/data/"];
    let odd = odd.into_iter().chain(["/data/a\0b", "/data/e\u{301}", &long, &name, &deep]);
    let before = client.log("home").len();
    for path in odd {
        for (method, params) in [
            ("list", json!({ "path": path })),
            ("read", json!({ "path": path })),
            ("write", json!({ "path": path, "text": "x", "origin": "argument" })),
            ("remove", json!({ "path": path })),
            ("history", json!({ "path": path })),
            ("move", json!({ "from": path, "to": "/data/y" })),
            ("move", json!({ "from": "/data", "to": path })),
        ] {
            let error = client.refused(method, params);
            assert_eq!(error["data"]["code"], "Invalid", "{method} {path:.60?}: {error}");
            let hidden = error["message"].as_str().unwrap().contains('\0');
            assert!(!hidden, "{error}");
        }
    }
    assert_eq!(client.log("home").len(), before, "nothing of it was written");
}

#[test]
fn a_line_that_is_too_long_ends_its_connection_only() {
    let hive = Hive::new();
    let mut bystander = hive.client();
    for line_end in ["", "\n"] {
        let mut client = hive.client();
        let line = [vec![b'['; limits::LINE_BYTES_MAX + 100_000], line_end.as_bytes().to_vec()].concat();
        // The daemon may close before all is written.
        let written = client.socket.write_all(&line);
        match client.line() {
            Some(answer) => assert_eq!(answer["error"]["data"]["code"], "TooLarge", "{answer}"),
            None => assert!(written.is_err()),
        }
        assert_eq!(client.line(), None, "the connection is closed");
        bystander.ok("list", json!({ "path": "/" }));
    }
    // The longest that may be is read as a line and judged as one.
    let text = "x".repeat(limits::LINE_BYTES_MAX - 200);
    let error = bystander.refused("write", json!({ "path": "/data/x", "text": text }));
    assert_eq!(error["data"]["code"], "TooLarge", "{error}");
}

#[test]
fn a_request_may_come_in_pieces() {
    let hive = Hive::new();
    let mut client = hive.client();
    let line = request(7, "write", &json!({ "path": "/data/ü", "text": "half", "origin": "argument" }));
    for at in 1..line.len() {
        client.send(&line.as_bytes()[at - 1..at]);
    }
    // Another is served while half a line waits, and nothing of it has happened yet.
    let mut other = hive.client();
    assert_eq!(other.refused("read", json!({ "path": "/data/ü" }))["data"]["code"], "NotFound");
    client.send(&line.as_bytes()[line.len() - 1..]);
    assert_eq!(client.line().unwrap()["id"], 7);
    assert_eq!(other.text("/data/ü"), "half");
}

#[test]
fn five_hundred_requests_at_once_are_answered_in_their_order() {
    let hive = Hive::new();
    let mut client = hive.client();
    let at_once = |id: u64| match id % 2 {
        0 => {
            request(id, "write", &json!({ "path": "/data/n", "text": id.to_string(), "origin": "argument" }))
        }
        _ => request(id, "read", &json!({ "path": "/data/n" })),
    };
    let all: String = (0..500).map(at_once).collect();
    let mut writer = client.socket.try_clone().unwrap();
    let sender = std::thread::Builder::new().spawn(move || writer.write_all(all.as_bytes())).unwrap();
    let answers: Vec<Value> = (0..500).map(|_| client.line().unwrap()).collect();
    sender.join().unwrap().unwrap();
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], id);
        let wrote = (id % 2 == 1).then(|| (id - 1).to_string());
        assert_eq!(answer["result"]["text"].as_str(), wrote.as_deref(), "each read sees the write before it");
    }
}

#[test]
fn a_connection_that_showed_a_token_is_no_operators_any_more() {
    let hive = Hive::new();
    for token in [json!("nonsense"), json!(""), json!(7), Value::Null, json!("1.".repeat(5000))] {
        let mut client = hive.client();
        client.ok("list", json!({ "path": "/" }));
        let error = client.refused("list", json!({ "path": "/", "token": token }));
        assert_eq!((&error["data"]["code"], &error["data"]["argument"]), (&json!("Denied"), &json!("token")));
        for (method, params) in [
            ("list", json!({ "path": "/" })),
            ("write", json!({ "path": "/sys/ctl", "text": "down" })),
            ("decide", json!({ "proposal": 1, "verdict": "approve" })),
        ] {
            let error = client.refused(method, params);
            assert_eq!(error["data"]["code"], "Denied", "{method}: {error}");
            assert!(error["data"]["hint"].as_str().unwrap().contains("another connection"), "{error}");
        }
    }
    hive.client().ok("list", json!({ "path": "/" }));
}

#[test]
fn a_client_that_never_reads_is_dropped_and_nobody_waits_for_it() {
    let hive = Hive::new();
    let mut other = hive.client();
    other.ok("write", json!({ "path": "/data/large", "text": "x".repeat(60_000), "origin": "argument" }));
    let mut deaf = hive.client();
    let deafness = std::thread::Builder::new().spawn(move || {
        let line = request(1, "read", &json!({ "path": "/data/large" }));
        for sent in 0..100_000 {
            if let Err(error) = deaf.socket.write_all(line.as_bytes()) {
                return (sent, error.kind());
            }
        }
        panic!("a client that never reads was served for ever");
    });
    let deafness = deafness.unwrap();
    let mut served = 0;
    let started = Instant::now();
    while !deafness.is_finished() || served < 100 {
        let asked = Instant::now();
        other.ok("read", json!({ "path": "/data/large" }));
        assert!(asked.elapsed() < Duration::from_secs(2), "somebody waited {:?}", asked.elapsed());
        assert!(started.elapsed() < PATIENCE);
        served += 1;
    }
    let (sent, ended) = deafness.join().unwrap();
    assert!(matches!(ended, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{ended} after {sent}");
    assert!(sent * 60_000 > limits::CLIENT_BACKLOG_BYTES_MAX / 2, "dropped too early: {sent}");
}

#[test]
fn clients_that_leave_at_once_leave_nothing() {
    let hive = Hive::new();
    for _ in 0..300 {
        let mut client = hive.client();
        client.send(request(1, "wait", &json!({ "timeout_ms": 60_000 })).as_bytes());
        client.send(b"{\"jsonrpc\":");
    }
    // More than may be connected at once: each of them has to be let go.
    retry("a place at the door", || {
        let answer = hive.client().try_ask("list", &json!({ "path": "/" }))?;
        answer["error"].is_null().then_some(())
    });
}

#[test]
fn a_second_daemon_is_refused_and_harms_nothing() {
    let mut hive = Hive::new();
    hive.client().ok("write", json!({ "path": "/data/x", "text": "x", "origin": "argument" }));
    let second = run(&mut hive.command(&["up"])).failed(1);
    assert_eq!(second.out, "");
    let want = format!(
        "error: a daemon with process id {} already holds {}\n\
         hint: skep down stops it; SKEP_HOME names another state directory\n",
        hive.pid(),
        hive.home().display()
    );
    assert_eq!(second.err, want);
    // Nor does another socket help: it is the directory that is held.
    let elsewhere = hive.around().join("sock2");
    let args = ["up", "--at", hive.home().to_str().unwrap(), elsewhere.to_str().unwrap()].map(str::to_owned);
    run(&mut hive.command(&args.each_ref().map(String::as_str))).failed(1);
    assert!(!elsewhere.exists());
    assert!(hive.alive());
    assert_eq!(hive.client().text("/data/x"), "x");
}

#[test]
fn a_socket_that_a_dead_daemon_left_is_taken_over() {
    let mut hive = Hive::new();
    hive.client().ok("write", json!({ "path": "/data/x", "text": "x", "origin": "argument" }));
    hive.kill();
    assert!(hive.socket().exists());
    hive.start();
    assert_eq!(Client::connect(&hive.socket()).text("/data/x"), "x");
}
