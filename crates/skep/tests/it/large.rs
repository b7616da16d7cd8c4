//! A file much larger than any message: in and out through the command line, byte for byte, while the memory
//! of the daemon stays flat. The control: as one value the same bytes are refused.

use crate::{
    hive::{Hive, SKEP, run},
    search::waiting,
};
use serde_json::json;
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

const MIB: usize = 1024 * 1024;
const FILE_BYTES: usize = 48 * MIB + 12_345;
/// How far the daemon's memory may rise meanwhile.
const GROWTH_KIB: u64 = 24 * 1024;

/// Bytes that differ everywhere and are no text.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut all: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    all.truncate(length);
    all
}

/// The most memory a process ever had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Runs a command with these files for its standard input and output.
fn piped(hive: &Hive, args: &[&str], from: Option<&Path>, to: &Path) {
    let mut command: Command = hive.command(args);
    command.stdin(from.map_or_else(Stdio::null, |file| File::open(file).unwrap().into()));
    command.stdout(File::create(to).unwrap()).stderr(Stdio::inherit());
    let status = command.status().unwrap_or_else(|error| panic!("{SKEP}: {error}"));
    assert!(status.success(), "{args:?}: {status}");
}

#[test]
fn a_large_file_goes_in_and_out_with_flat_memory() {
    let mut hive = Hive::new();
    let (plain, out, said) =
        (hive.around().join("plain"), hive.around().join("out"), hive.around().join("said"));
    let all = bytes(FILE_BYTES);
    fs::write(&plain, &all).unwrap();
    hive.cli(&["write", "/data/warm", "up"]).fine();
    let before = peak(hive.pid());
    hive.cli(&["write", "/data/big", "--file", plain.to_str().unwrap(), "-m", "a disk image"]).fine();
    piped(&hive, &["cat", "/data/big"], None, &out);
    assert!(fs::read(&out).unwrap() == all, "other bytes came out");
    piped(&hive, &["write", "/data/piped"], Some(&plain), &said);
    let grown = peak(hive.pid()).saturating_sub(before);
    assert!(grown < GROWTH_KIB, "the daemon grew by {grown} KiB");
    // It is the same content, so it lies there once.
    let blobs = hive.file("home").with_file_name("blobs");
    let entries = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(entries(&blobs).map(|dir| entries(&dir).count()).sum::<usize>(), 49);
    hive.cli(&["write", "/data/big", "small now"]).fine();
    assert_eq!(hive.cli(&["cat", "/data/big"]).fine().out, "small now");
    // The daemon of tomorrow reads the same.
    hive.kill();
    hive.start();
    piped(&hive, &["cat", "/data/piped"], None, &out);
    assert!(fs::read(&out).unwrap() == all, "other bytes came out after a restart");
    refused_as_one(&hive, &all);
}

/// The control: without parts it cannot be done.
fn refused_as_one(hive: &Hive, all: &[u8]) {
    let mut client = hive.client();
    let text = abi::wire::to_base64(all);
    let line =
        json!({"jsonrpc": "2.0", "id": 1, "method": "write", "params": {"path": "/data/x", "base64": text}});
    // The daemon does not read to the end of it.
    let _ = client.socket.write_all(format!("{line}\n").as_bytes());
    if let Some(answer) = client.line() {
        assert_eq!(answer["error"]["data"]["code"], "TooLarge", "{answer}");
    }
    assert_eq!(hive.cli(&["cat", "/data/x"]).code, 1);
}

#[test]
fn what_is_too_long_to_be_appended_says_what_to_do() {
    let hive = Hive::new();
    let file = hive.around().join("long");
    fs::write(&file, bytes(MIB + 1)).unwrap();
    let ran = run(&mut hive.command(&["write", "/data/x", "--append", "--file", file.to_str().unwrap()]));
    assert!(ran.code != 0 && ran.err.contains("skep write PATH --file FILE"), "{ran:?}");
    fs::write(&file, bytes(MIB)).unwrap();
    hive.cli(&["write", "/data/x", "--append", "--file", file.to_str().unwrap()]).fine();
    let ran = hive.cli(&["write", "/data/x", "more", "--append"]);
    assert!(ran.code != 0 && ran.err.contains("--file FILE"), "{ran:?}");
}

#[test]
fn a_process_uploads_where_it_may_write_and_nowhere_else() {
    let hive = Hive::new();
    let mut client = hive.client();
    let pid = waiting(&hive, &mut client, "  - write /data/open/**\n");
    let token = client.text(&format!("/proc/{pid}/token")).trim().to_owned();
    let mut process = hive.client();
    let write = |path: &str, more: serde_json::Value| {
        let mut params = json!({"path": path, "token": token});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let refused = process.refused("write", write("/data/closed/x", json!({"mode": "begin"})));
    assert_eq!(refused["data"]["code"], "Denied");
    let begun = process.ok("write", write("/data/open/x", json!({"mode": "begin"})))["upload"].clone();
    let part = |path: &str| write(path, json!({"mode": "part", "upload": begun, "base64": coded(MIB)}));
    // Neither another path nor an operator's number nor a guessed one takes a byte of it.
    assert_eq!(process.refused("write", part("/data/closed/x"))["data"]["code"], "Invalid");
    let theirs = client.ok("write", json!({"path": "/data/closed/x", "mode": "begin"}))["upload"].clone();
    for number in [theirs, json!(0), json!(u64::MAX)] {
        let stolen = write("/data/closed/x", json!({"mode": "part", "upload": number, "base64": coded(MIB)}));
        assert_eq!(process.refused("write", stolen)["data"]["code"], "Invalid");
    }
    let blobs = hive.file("home").with_file_name("blobs");
    assert!(!blobs.exists(), "a byte was staged");
    // The control: where it may, it can.
    process.ok("write", part("/data/open/x"));
    process.ok("write", write("/data/open/x", json!({"mode": "whole", "upload": begun})));
    let answer = client.ok("read", json!({"path": "/data/open/x"}));
    assert_eq!((&answer["bytes"], &answer["base64"]), (&json!(MIB), &json!(coded(MIB))));
}

/// So many bytes as base64.
fn coded(length: usize) -> String {
    abi::wire::to_base64(&bytes(length))
}
