//! Clients that do everything wrong. The daemon answers, or drops them, and goes on serving others.

use crate::client::{Client, Rig};
use machine::{Daemon, Error, Options};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};

fn request(id: u64, method: &str, params: &Value) -> String {
    format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

#[test]
fn what_is_no_request_is_told_so() {
    let rig = Rig::new();
    let mut client = rig.client();
    let deep = format!("{}{}\n", "[".repeat(5000), "]".repeat(5000));
    for (line, number) in [
        (&b"{nonsense\n"[..], -32700),
        (b"\xff\xfe\n", -32700),
        (deep.as_bytes(), -32700),
        (b"17\n", -32600),
        (b"[]\n", -32600),
        (b"{}\n", -32600),
        (b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"list\"}\n", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"list\"}\n", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}\n", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"params\":[]}\n", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"more\":1}\n", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"lst\"}\n", -33009),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"watch\"}\n", -33011),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"params\":{\"pth\":\"/\"}}\n", -33009),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"params\":{\"path\":\"/../x\"}}\n", -33009),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\
              \"params\":{\"path\":\"/\",\"workspace\":\"../x\"}}\n",
            -33009,
        ),
    ] {
        client.send(line);
        let answer = client.line().unwrap();
        assert_eq!(answer["error"]["code"], number, "{:?} {answer}", String::from_utf8_lossy(line));
    }
    client.ok("list", json!({ "path": "/" }));
}

#[test]
fn paths_that_are_none_are_invalid() {
    let rig = Rig::new();
    let mut client = rig.client();
    let long = format!("/{}", "x/".repeat(2500));
    for path in ["", "a", "/a//b", "/a/./b", "/a/../b", "/a\0b", "/e\u{301}", long.as_str()] {
        assert_eq!(client.code("read", json!({ "path": path })), "Invalid", "{path:.40?}");
    }
}

#[test]
fn half_a_line_waits_and_pieces_make_one() {
    let rig = Rig::new();
    let mut client = rig.client();
    let line = request(9, "list", &json!({ "path": "/" }));
    let (one, two) = line.split_at(20);
    client.send(one.as_bytes());
    rig.client().ok("list", json!({ "path": "/" }));
    client.send(two.as_bytes());
    assert_eq!(client.line().unwrap()["id"], 9);
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let rig = Rig::new();
    let mut client = rig.client();
    let all: String = (0..3000).map(|id| request(id, "list", &json!({ "path": "/" }))).collect();
    let mut writer = client.socket.try_clone().unwrap();
    let sender = std::thread::Builder::new().spawn(move || writer.write_all(all.as_bytes())).unwrap();
    let mut ids: Vec<u64> = (0..3000).map(|_| client.line().unwrap()["id"].as_u64().unwrap()).collect();
    sender.join().unwrap().unwrap();
    ids.sort_unstable();
    assert_eq!(ids, (0..3000).collect::<Vec<_>>());
}

#[test]
fn an_array_is_answered_as_one() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(
        b"[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"list\",\"params\":{\"path\":\"/\"}},7,\
          {\"jsonrpc\":\"2.0\",\"method\":\"list\",\"params\":{\"path\":\"/\"}},\
          {\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"nothing\"}]\n",
    );
    let answers = client.line().unwrap();
    let mut ids: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    assert_eq!(ids, [&json!("a"), &json!("b"), &Value::Null]);
}

#[test]
fn a_line_without_end_ends_the_connection() {
    let rig = Rig::new();
    let mut client = rig.client();
    let piece = vec![b'x'; 100_000];
    let mut refused = false;
    for _ in 0..20 {
        refused |= client.socket.write_all(&piece).is_err();
    }
    let said = client.line();
    assert!(refused || said.as_ref().is_some_and(|line| line["error"]["code"] == -32700), "{said:?}");
    rig.client().ok("list", json!({ "path": "/" }));
}

#[test]
fn values_larger_than_are_kept_are_refused() {
    let rig = Rig::new();
    let mut client = rig.client();
    for bytes in [1024 * 1024 + 1, 1_100_000] {
        let text = "x".repeat(bytes);
        assert_eq!(client.code("write", json!({ "path": "/data/x", "text": text })), "TooLarge");
    }
    let text = "x".repeat(1024 * 1024);
    client.ok("write", json!({ "path": "/data/x", "text": text }));
    let long = "x".repeat(70_000);
    let noted = json!({ "path": "/data/x", "text": "new", "message": long });
    assert_eq!(client.code("write", noted), "TooLarge");
}

#[test]
fn a_client_that_never_reads_is_dropped_and_harms_nobody() {
    let rig = Rig::new();
    let mut deaf = rig.client();
    let text = "x".repeat(60_000);
    deaf.ok("write", json!({ "path": "/data/large", "text": text }));
    deaf.socket.set_write_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let line = request(1, "read", &json!({ "path": "/data/large" }));
    let mut sent = 0;
    let ended = loop {
        match deaf.socket.write_all(line.as_bytes()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100_000, "a client that never reads was served for ever");
    };
    assert!(matches!(ended.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{ended}");
    rig.client().ok("list", json!({ "path": "/" }));
}

#[test]
fn a_client_that_leaves_early_leaves_nothing() {
    let rig = Rig::new();
    for _ in 0..50 {
        let mut client = rig.client();
        client.send(request(1, "wait", &json!({ "timeout_ms": 60_000 })).as_bytes());
        client.send(request(2, "list", &json!({ "path": "/" })).as_bytes());
        client.line().unwrap();
    }
    rig.client().ok("list", json!({ "path": "/" }));
}

#[test]
fn too_many_clients_are_told() {
    let rig = Rig::new();
    let mut held: Vec<Client> = Vec::new();
    let refused = loop {
        let mut client = rig.client();
        // Who is refused may be told, and the line closed, before this is written.
        let _ = client.socket.write_all(request(1, "list", &json!({ "path": "/" })).as_bytes());
        let answer = client.line();
        match answer {
            Some(answer) if answer["error"].is_null() => held.push(client),
            other => break other,
        }
        assert!(held.len() <= abi::limits::CLIENTS_MAX);
    };
    let refused = refused.unwrap();
    assert_eq!(refused["error"]["data"]["code"], "Busy", "{refused}");
    held.pop();
}

#[test]
fn a_second_daemon_is_refused() {
    let rig = Rig::new();
    let second = Daemon::start(rig.home.path(), &rig.home.path().join("sock2"), Options::default());
    let Err(Error::Running { pid, .. }) = second else { panic!("two daemons on one state directory") };
    assert_eq!(pid, std::process::id().to_string());
    rig.client().ok("list", json!({ "path": "/" }));
}

#[test]
fn garbage_after_a_request_does_not_stop_its_answer() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(request(1, "list", &json!({ "path": "/" })).as_bytes());
    client.send(b"half a li");
    assert_eq!(client.line().unwrap()["id"], 1);
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    client.socket.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}
