//! Uploads over the socket: what comes in comes out, numbers that are not one's own, clients that go.

use crate::client::{Client, Rig};
use abi::{
    limits::{CHUNK_BYTES, UPLOADS_MAX, VALUE_BYTES_MAX},
    wire::to_base64,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

const CHUNK: usize = CHUNK_BYTES as usize;

/// Bytes that differ everywhere and are no text.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn begin(client: &mut Client, path: &str) -> Value {
    client.ok("write", json!({ "path": path, "mode": "begin" }))["upload"].clone()
}

fn part(path: &str, upload: &Value, bytes: &[u8]) -> Value {
    json!({ "path": path, "mode": "part", "upload": upload, "base64": to_base64(bytes) })
}

fn whole(path: &str, upload: &Value) -> Value {
    json!({ "path": path, "mode": "whole", "upload": upload })
}

/// Chunk files of a workspace.
fn chunks(rig: &Rig) -> usize {
    let dir = rig.file("home").with_file_name("blobs");
    let all = |dir: &Path| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    all(&dir).map(|first| all(&first).count()).sum()
}

/// Whether a read answers these bytes.
fn reads(client: &mut Client, (offset, length): (usize, usize), want: &[u8]) -> bool {
    let answer = client.ok("read", json!({ "path": "/data/big", "offset": offset, "length": length }));
    match std::str::from_utf8(want) {
        Ok(text) => answer["text"] == text,
        Err(_) => answer["base64"] == to_base64(want),
    }
}

#[test]
fn what_comes_in_by_parts_comes_out_by_parts() {
    let rig = Rig::new();
    let mut client = rig.client();
    let plain = bytes(3 * CHUNK + 70_000);
    let upload = begin(&mut client, "/data/big");
    let mut sent = 0;
    for piece in plain.chunks(VALUE_BYTES_MAX - 1) {
        sent += piece.len();
        let answer = client.ok("write", part("/data/big", &upload, piece));
        assert_eq!(answer, json!({ "upload": upload, "bytes": sent }));
    }
    let wrote = client.ok("write", whole("/data/big", &upload));
    let told = client.ok("history", json!({ "path": "/data/big" }))["versions"][0].clone();
    assert_eq!((&told["version"], &told["bytes"]), (&wrote["version"], &json!(plain.len())));
    assert_eq!(told["hash"], json!(abi::Hash::of(&plain)));
    assert_eq!(chunks(&rig), 4);
    for (offset, length) in [(0, CHUNK), (CHUNK - 1, 2), (3 * CHUNK, CHUNK), (plain.len() - 1, 9)] {
        let end = plain.len().min(offset + length);
        assert!(reads(&mut client, (offset, length), &plain[offset..end]), "{offset}+{length}");
    }
    assert_eq!(client.code("read", json!({ "path": "/data/big" })), "TooLarge");
    // The control: the same bytes as one value are refused.
    let value = json!({ "path": "/data/value", "base64": to_base64(&plain[..VALUE_BYTES_MAX + 1]) });
    assert_eq!(client.code("write", value), "TooLarge");
    // One value of up to 1 MiB is read whole; few bytes that came as an upload are as if written.
    client.ok("write", json!({ "path": "/data/value", "base64": to_base64(&plain[..VALUE_BYTES_MAX]) }));
    assert!(client.ok("read", json!({ "path": "/data/value" }))["base64"] == to_base64(&plain[..CHUNK]));
    let upload = begin(&mut client, "/data/small");
    client.ok("write", part("/data/small", &upload, b"few"));
    client.ok("write", whole("/data/small", &upload));
    assert_eq!(client.ok("read", json!({ "path": "/data/small" }))["text"], "few");
}

#[test]
fn a_number_is_of_use_to_who_got_it_only() {
    let rig = Rig::new();
    let (mut client, mut other) = (rig.client(), rig.client());
    let mine = begin(&mut client, "/data/mine");
    let foreign = begin(&mut other, "/data/mine");
    client.ok("write", part("/data/mine", &mine, b"one "));
    let n = mine.as_u64().unwrap();
    for (number, path) in [
        (json!(0), "/data/mine"),
        (json!(n + 1000), "/data/mine"),
        (json!(u64::MAX), "/data/mine"),
        (json!(-1), "/data/mine"),
        (json!("1"), "/data/mine"),
        (json!([n]), "/data/mine"),
        (Value::Null, "/data/mine"),
        (foreign.clone(), "/data/mine"),
        (mine.clone(), "/data/other"),
        (mine.clone(), "/sys/policy.yaml"),
    ] {
        assert_eq!(client.code("write", part(path, &number, b"x")), "Invalid", "{number} {path}");
        if !number.is_null() {
            assert_eq!(client.code("write", whole(path, &number)), "Invalid", "{number} {path}");
        }
    }
    let elsewhere = json!({
        "workspace": "nowhere", "path": "/data/mine", "mode": "part", "upload": mine, "text": "x",
    });
    assert_eq!(client.code("write", elsewhere), "NotFound");
    let long = part("/data/mine", &mine, &vec![0; VALUE_BYTES_MAX + 1]);
    assert_eq!(client.code("write", long), "TooLarge");
    // None of it harmed the upload.
    client.ok("write", part("/data/mine", &mine, b"two"));
    client.ok("write", whole("/data/mine", &mine));
    assert_eq!(client.ok("read", json!({ "path": "/data/mine" }))["text"], "one two");
    // It is over.
    assert_eq!(client.code("write", part("/data/mine", &mine, b"x")), "Invalid");
    assert_eq!(client.code("write", whole("/data/mine", &mine)), "Invalid");
}

#[test]
fn a_connection_has_a_few_uploads_at_once() {
    let rig = Rig::new();
    let mut client = rig.client();
    let open: Vec<Value> = (0..UPLOADS_MAX).map(|_| begin(&mut client, "/data/x")).collect();
    let more = json!({ "path": "/data/x", "mode": "begin" });
    assert_eq!(client.code("write", more.clone()), "Busy");
    assert!(rig.client().ok("write", more.clone())["upload"].is_u64());
    client.ok("write", part("/data/x", &open[3], b"x"));
    client.ok("write", whole("/data/x", &open[3]));
    client.ok("write", more);
}

#[test]
fn what_a_client_leaves_behind_goes_with_it() {
    let rig = Rig::new();
    let mut client = rig.client();
    let upload = begin(&mut client, "/data/x");
    for piece in bytes(3 * CHUNK).chunks(CHUNK) {
        client.ok("write", part("/data/x", &upload, piece));
    }
    assert_eq!(chunks(&rig), 3);
    drop(client);
    let gone = (0..100_000).any(|_| {
        rig.client().ok("list", json!({ "path": "/" }));
        chunks(&rig) == 0
    });
    assert!(gone, "what was begun still lies there");
}

#[test]
fn a_refused_whole_leaves_nothing() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    let was = client.ok("write", json!({ "path": "/data/x", "text": "old" }))["version"].clone();
    client.ok("remove", json!({ "path": "/data/x" }));
    let upload = begin(&mut client, "/data/x");
    let plain = bytes(2 * CHUNK);
    plain.chunks(CHUNK).for_each(|piece| drop(client.ok("write", part("/data/x", &upload, piece))));
    let mut last = whole("/data/x", &upload);
    last["base"] = was;
    assert_eq!(client.code("write", last), "Stale");
    drop(client);
    rig.stop();
    let rows = |sql: &str| {
        let db = rusqlite::Connection::open(rig.file("home")).unwrap();
        db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(rows("SELECT count(*) FROM large"), 0);
    rig.start();
    rig.client().ok("list", json!({ "path": "/" }));
    assert_eq!(chunks(&rig), 0);
}

#[test]
fn who_may_not_write_stages_nothing() {
    let rig = Rig::new();
    let mut client = rig.client();
    for (path, code) in [("/sys/log", "Denied"), ("/", "Denied"), ("/proc/1/status", "Denied")] {
        assert_eq!(client.code("write", json!({ "path": path, "mode": "begin" })), code, "{path}");
    }
    let bad = json!({ "path": "/data/x", "mode": "begin", "token": "no token" });
    assert_eq!(client.code("write", bad), "Denied");
    assert_eq!(chunks(&rig), 0);
}

#[test]
fn a_lost_chunk_is_said_and_stops_nobody() {
    let rig = Rig::new();
    let mut client = rig.client();
    let upload = begin(&mut client, "/data/x");
    for piece in bytes(2 * CHUNK).chunks(CHUNK) {
        client.ok("write", part("/data/x", &upload, piece));
    }
    client.ok("write", whole("/data/x", &upload));
    fs::remove_dir_all(rig.file("home").with_file_name("blobs")).unwrap();
    for _ in 0..5 {
        let error =
            client.ask("read", json!({ "path": "/data/x", "offset": 0, "length": 9 }))["error"].clone();
        assert_eq!(error["data"]["code"], "Unavailable", "{error}");
        assert!(error["message"].as_str().unwrap().contains("/blobs/"), "{error}");
    }
    client.ok("list", json!({ "path": "/data" }));
}
