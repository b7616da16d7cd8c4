//! Disks and files that fail: pages that are damaged, a file of a later release, no room, a home that cannot
//! be written. Each is refused in words that name the file and say what to do; nothing that was acknowledged
//! is lost, no wrong byte is ever served, and other workspaces go on.

use crate::hive::{Client, Hive, Ran, retry, run};
use rustix::{
    net::sockopt::socket_peercred,
    process::{Signal, kill_process},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Files that are written before the damage.
const FILES: usize = 60;
const PAGE_BYTES: usize = 4096;

fn content(ix: usize) -> String {
    format!("file {ix} {}", "y".repeat(1_000 + 53 * ix))
}

fn write(workspace: &str, path: &str, text: &str) -> Value {
    json!({ "path": path, "text": text, "origin": "argument", "workspace": workspace })
}

/// A home with files in two workspaces, stopped, every page in the files themselves.
fn filled() -> Hive {
    let mut hive = Hive::new();
    let mut client = hive.client();
    client.control("workspace other");
    for ix in 0..FILES {
        client.ok("write", write("home", &format!("/data/{ix}"), &content(ix)));
    }
    client.ok("write", write("other", "/data/x", "of the other"));
    hive.stop();
    let db = rusqlite::Connection::open(hive.file("home")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    hive
}

/// What a damage does to the bytes of a file.
type Damage = fn(&mut Vec<u8>);

/// Whether somebody who reads everything is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Never,
    /// What was hit may be a version that nothing reads any more, or no content at all.
    Perhaps,
    /// At least once.
    Surely,
    /// At every call.
    Always,
}

/// What it is, what it does, and who is told. The first is the control.
const DAMAGES: [(&str, Damage, Told); 7] = [
    ("nothing", |_| {}, Told::Never),
    ("every page but the first", |bytes| bytes[PAGE_BYTES..].fill(0xa5), Told::Always),
    ("a byte in the middle of each page", |bytes| flip(bytes, From::Second, usize::MAX), Told::Surely),
    ("a byte in one page in the middle", |bytes| flip(bytes, From::Middle, 1), Told::Perhaps),
    ("eight pages in the middle", |bytes| flip(bytes, From::Middle, 8), Told::Surely),
    ("half of the file", |bytes| bytes.truncate(bytes.len() / 2), Told::Surely),
    ("no database at all", |bytes| *bytes = b"hello".repeat(10_000), Told::Always),
];

/// Which page is the first to be damaged.
enum From {
    Second,
    Middle,
}

/// Flips bytes in the middle of so many pages.
fn flip(bytes: &mut [u8], from: From, pages: usize) {
    let from = match from {
        From::Second => 1,
        From::Middle => bytes.len() / PAGE_BYTES / 2,
    };
    for page in bytes.chunks_mut(PAGE_BYTES).skip(from).take(pages) {
        page.iter_mut().skip(PAGE_BYTES / 2).take(16).for_each(|byte| *byte ^= 0x5a);
    }
}

/// Whether a call was refused for the file's sake, in the words that a person needs.
#[track_caller]
fn is_refused(answer: &Value, file: &str) -> bool {
    if answer["error"].is_null() {
        return false;
    }
    let error = &answer["error"];
    assert_eq!(error["data"]["code"], "Unavailable", "{answer}");
    assert!(error["message"].as_str().unwrap().contains(file), "it names no file: {answer}");
    assert!(!error["data"]["hint"].as_str().unwrap().is_empty(), "it says not what to do: {answer}");
    true
}

#[test]
fn damage_is_told_and_never_read() {
    for (what, damage, told) in DAMAGES {
        let mut hive = filled();
        let file = hive.file("home");
        let mut bytes = fs::read(&file).unwrap();
        assert!(bytes.len() > 30 * PAGE_BYTES, "{} bytes", bytes.len());
        damage(&mut bytes);
        fs::write(&file, &bytes).unwrap();
        hive.start();
        let mut client = hive.client();
        let mut refused = 0;
        for ix in 0..FILES {
            let answer = client.ask("read", &json!({ "path": format!("/data/{ix}") }));
            // A flipped name in a row of the tree has no checksum of its own: that file is not found, which
            // is wrong but no wrong byte. The log still holds it, and reading the damaged pages is what
            // tells.
            let is_hidden =
                matches!(told, Told::Surely | Told::Perhaps) && answer["error"]["data"]["code"] == "NotFound";
            if is_hidden {
                continue;
            }
            match is_refused(&answer, "home/workspace.db") {
                true => refused += 1,
                false => assert_eq!(answer["result"]["text"], content(ix), "{what}: a wrong byte of {ix}"),
            }
        }
        refused += usize::from(is_refused(&client.ask("trace", &json!({})), "home/workspace.db"));
        let right = match told {
            Told::Never => refused == 0,
            Told::Perhaps => true,
            Told::Surely => refused > 0,
            Told::Always => refused == FILES + 1,
        };
        assert!(right, "{what}: refused {refused} times");
        // The other workspace reads and writes as if nothing were.
        assert_eq!(
            client.ok("read", json!({ "path": "/data/x", "workspace": "other" }))["text"],
            "of the other"
        );
        client.ok("write", write("other", "/data/y", "goes on"));
        if told == Told::Always {
            said_on_the_command_line(&hive, what, "home/workspace.db", "");
        }
        assert!(hive.alive(), "{what}: {}", hive.said());
    }
}

/// `cat` and `doctor` name the file and what to do, and answer that they failed.
fn said_on_the_command_line(hive: &Hive, what: &str, file: &str, word: &str) {
    let cat = hive.cli(&["cat", "/data/1"]).failed(1);
    assert_eq!(cat.out, "", "{what}");
    let doctor = hive.cli(&["doctor"]).failed(1);
    for text in [&cat.err, &doctor.out] {
        assert!(text.contains(file) && text.contains("hint: ") && text.contains(word), "{what}: {text}");
    }
    hive.cli(&["-w", "other", "cat", "/data/x"]).fine();
}

#[test]
fn a_file_of_a_later_release_is_left_as_it_is() {
    let mut hive = filled();
    let file = hive.file("home");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&file).unwrap();
    hive.start();
    let mut client = hive.client();
    for (method, params) in [
        ("read", json!({ "path": "/data/1" })),
        ("write", write("home", "/data/1", "overwritten")),
        ("trace", json!({})),
    ] {
        let answer = client.ask(method, &params);
        assert!(is_refused(&answer, "home/workspace.db"), "{method} was carried out: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("99"), "{answer}");
    }
    client.ok("write", write("other", "/data/y", "goes on"));
    said_on_the_command_line(&hive, "format 99", "home/workspace.db", "99");
    hive.stop();
    assert!(fs::read(&file).unwrap() == before, "it was changed");

    // The node's own file: then there is no daemon at all, and it says why.
    let node = hive.home().join("node.db");
    rusqlite::Connection::open(&node).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Ran { err, .. } = run(&mut hive.command(&["up"])).failed(1);
    assert!(err.contains("node.db") && err.contains("99") && err.contains("hint: "), "{err}");
}

/// A shell in a mount namespace of its own, with rights to mount in it.
fn apart(hive: &Hive, script: &str) -> Command {
    let sound = |flags: &str| run(Command::new("unshare").args([flags, "true"])).code == 0;
    let flags = if sound("-m") { "-m" } else { "-Urm" };
    assert!(sound(flags), "this host lets nobody make a mount namespace: a full disk cannot be tried");
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-euc", script, "sh"]).args([
        crate::hive::SKEP.into(),
        hive.home(),
        hive.socket(),
    ]);
    command
}

/// A small disk with a daemon on it, and two ballasts to throw off.
const SMALL_DISK: &str = "mount -t tmpfs -o size=3m,mode=700 tmpfs \"$2\"\n\
    dd if=/dev/zero of=\"$2/ballast-1\" bs=1024 count=512 2>/dev/null\n\
    dd if=/dev/zero of=\"$2/ballast-2\" bs=1024 count=256 2>/dev/null\n\
    \"$1\" up --at \"$2\" \"$3\" || :\n\
    exec \"$1\" up --at \"$2\" \"$3\"";

/// The small disk as we see it from outside its namespace.
fn seen(hive: &Hive) -> PathBuf {
    let home = hive.home();
    Path::new(&format!("/proc/{}/root", hive.pid())).join(home.strip_prefix("/").unwrap())
}

/// Writes until there is no room; answers what was acknowledged.
fn fill(client: &mut Client) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    loop {
        let ix = kept.len();
        let (path, text) = (format!("/data/{ix}"), content(ix % FILES));
        let answer = client.ask("write", &write("home", &path, &text));
        if is_refused(&answer, "workspaces/home/workspace.db") {
            let hint = answer["error"]["data"]["hint"].as_str().unwrap();
            assert!(hint.starts_with("make room on the disk"), "{hint}");
            return kept;
        }
        kept.push((path, text));
        assert!(kept.len() < 3_000, "a disk of 3 MiB took it all");
    }
}

#[track_caller]
fn all_stand(client: &mut Client, kept: &[(String, String)]) {
    for (path, text) in kept {
        assert_eq!(client.text(path), *text, "{path}");
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let mut hive = Hive::with_socket_outside();
    fs::create_dir_all(hive.home()).unwrap();
    let command = apart(&hive, SMALL_DISK);
    hive.start_as(command);
    let mut client = hive.client();
    client.control("workspace other");
    client.ok("write", write("other", "/data/x", "of the other"));
    let mut kept = fill(&mut client);
    assert!(kept.len() > 10, "{}", kept.len());

    // While it is full: what is read is true or refused with a reason, never wrong and never gone; nothing
    // hangs.
    for (path, text) in &kept {
        let answer = client.ask("read", &json!({ "path": path }));
        let refused = is_refused(&answer, ".db");
        assert!(refused || answer["result"]["text"] == *text, "{path}: {answer:.200}");
        let other = client.ok("read", json!({ "path": "/data/x", "workspace": "other" }));
        assert_eq!(other["text"], "of the other");
    }
    let answer = client.ask("write", &write("home", "/data/late", "no room"));
    assert!(is_refused(&answer, ".db"), "{answer}");
    assert!(hive.alive());

    // Room is made: it comes back by itself, with all that was acknowledged.
    fs::remove_file(seen(&hive).join("ballast-1")).unwrap();
    retry("the workspace to come back", || {
        let answer = client.ask("write", &write("home", "/data/late", "there is room"));
        (!is_refused(&answer, ".db")).then_some(())
    });
    kept.push(("/data/late".into(), "there is room".into()));
    all_stand(&mut client, &kept);

    // Filled again and killed while it is full: a new daemon on the same disk finds the same.
    let before = kept.len();
    loop {
        let (path, text) = (format!("/data/more-{}", kept.len()), content(1));
        if is_refused(&client.ask("write", &write("home", &path, &text)), ".db") {
            break;
        }
        kept.push((path, text));
    }
    assert!(kept.len() > before, "nothing was written after room was made");
    killed_and_back(&hive, &kept);
    assert!(hive.alive(), "{}", hive.said());
}

/// Kills the daemon of a full disk; the next one needs a little room, then has everything.
fn killed_and_back(hive: &Hive, kept: &[(String, String)]) {
    let daemon = socket_peercred(&hive.client().socket).unwrap();
    let grown = seen(hive).join("workspaces/home/workspace.db-wal");
    assert!(fs::metadata(&grown).unwrap().len() > 1024 * 1024, "the disk is not full of what was written");
    kill_process(daemon.pid, Signal::KILL).unwrap();
    retry("the next daemon", || {
        let client = Client::connect(&hive.socket());
        let peer = socket_peercred(&client.socket).ok()?;
        (peer.pid != daemon.pid).then_some(())
    });
    // It comes up and says what is wrong; it goes on once there is room for the little that a start writes.
    let mut client = hive.client();
    let answer = client.ask("read", &json!({ "path": kept[0].0 }));
    assert!(is_refused(&answer, ".db") || answer["result"]["text"] == kept[0].1, "{answer:.200}");
    fs::remove_file(seen(hive).join("ballast-2")).unwrap();
    retry("what was written", || {
        let answer = client.try_ask("read", &json!({ "path": kept[0].0 }))?;
        (!is_refused(&answer, ".db")).then_some(())
    });
    all_stand(&mut client, kept);
}

#[test]
fn a_home_that_cannot_be_written_is_refused_with_a_reason() {
    let mut hive = Hive::with_socket_outside();
    let (home, socket) = (hive.home(), hive.socket());
    let args = ["up", "--at", home.to_str().unwrap(), socket.to_str().unwrap()];
    let command = hive.command(&args);
    hive.start_as(command);
    hive.client().ok("write", write("home", "/data/x", "kept"));
    hive.stop();
    let script =
        "mount --bind \"$2\" \"$2\"; mount -o remount,ro,bind \"$2\"; exec \"$1\" up --at \"$2\" \"$3\"";
    let ran = run(&mut apart(&hive, script)).failed(1);
    assert_eq!(ran.out, "");
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[0].starts_with(&format!("error: {}", hive.home().display())), "{ran:?}");
    assert!(lines[0].to_lowercase().contains("read-only") && lines[1].starts_with("hint: "), "{ran:?}");
    let command = hive.command(&args);
    hive.start_as(command);
    assert_eq!(hive.client().text("/data/x"), "kept");
}
