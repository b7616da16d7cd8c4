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
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Files that are written before the damage.
const FILES: usize = 60;
const PAGE_BYTES: usize = 4096;

fn content(ix: usize) -> String {
    format!("file {ix} {}", "y".repeat(1_000 + 53 * ix))
}

pub fn write(workspace: &str, path: &str, text: &str) -> Value {
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
pub fn is_refused(answer: &Value, file: &str) -> bool {
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
pub fn apart(hive: &Hive, script: &str) -> Command {
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

/// A small disk with a daemon on it, and a weight to take off: then there is room again. The first daemon
/// ends with who started it, for the test may be over before it.
const SMALL_DISK: &str = "mount -t tmpfs -o size=56m,mode=700 tmpfs \"$2\"\n\
    dd if=/dev/zero of=\"$2/weight-1\" bs=1048576 count=37 2>/dev/null\n\
    setpriv --pdeathsig KILL \"$1\" up --at \"$2\" \"$3\" || :\n\
    exec \"$1\" up --at \"$2\" \"$3\"";

/// A hive with a daemon on a small disk.
pub fn small() -> Hive {
    let mut hive = Hive::with_socket_outside();
    fs::create_dir_all(hive.home()).unwrap();
    let command = apart(&hive, SMALL_DISK);
    hive.start_as(command);
    let reserve = seen(&hive).join("reserve");
    retry("the reserve", || fs::metadata(&reserve).is_ok_and(|found| found.len() == RESERVE).then_some(()));
    hive
}

const RESERVE: u64 = 16 * 1024 * 1024;

/// The small disk as we see it from outside its namespace.
pub fn seen(hive: &Hive) -> PathBuf {
    let home = hive.home();
    Path::new(&format!("/proc/{}/root", hive.pid())).join(home.strip_prefix("/").unwrap())
}

/// Whether a write was refused because the disk is full: first by the file, then at the door.
#[track_caller]
fn is_full(answer: &Value) -> bool {
    if answer["error"]["data"]["code"] != "Exhausted" {
        return is_refused(answer, ".db");
    }
    let error = &answer["error"];
    assert!(error["message"].as_str().unwrap().starts_with("the disk of "), "{answer}");
    assert!(error["data"]["hint"].as_str().unwrap().starts_with("make room on it until 32 MiB"), "{answer}");
    true
}

/// Writes until there is no room; answers what was acknowledged.
pub fn fill(client: &mut Client, name: &str) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    loop {
        let ix = kept.len();
        let (path, text) = (format!("/data/{name}-{ix}"), content(ix % FILES));
        if is_full(&client.ask("write", &write("home", &path, &text))) {
            return kept;
        }
        kept.push((path, text));
        assert!(kept.len() < 8_000, "a disk of 56 MiB took it all");
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
    let mut hive = small();
    let mut client = hive.client();
    client.control("workspace other");
    client.ok("write", write("other", "/data/x", "of the other"));
    let mut kept = fill(&mut client, "a");
    assert!(kept.len() > 10, "{}", kept.len());
    let reserve = seen(&hive).join("reserve");
    assert!(!reserve.exists(), "the reserve was not freed");

    // While it is full everything is read, also from a workspace that has to wake for it.
    all_stand(&mut client, &kept);
    let other = client.ok("read", json!({ "path": "/data/x", "workspace": "other" }));
    assert_eq!(other["text"], "of the other");
    for workspace in ["home", "other"] {
        let answer = client.ask("write", &write(workspace, "/data/late", "no room"));
        assert_eq!(answer["error"]["data"]["code"], "Exhausted", "{answer}");
    }
    std::os::unix::fs::symlink(hive.socket(), hive.home().join("sock")).unwrap();
    let health = client.text("/sys/health");
    assert!(health.starts_with(&format!("disk {} bad ", hive.home().display())), "{health}");
    let doctor = hive.cli(&["doctor"]).failed(1);
    assert!(
        doctor.out.contains("the reserve is used") && doctor.out.contains("hint: make room"),
        "{doctor:?}"
    );

    // Room is made: all is served again by itself, and the reserve is held again.
    fs::remove_file(seen(&hive).join("weight-1")).unwrap();
    retry("everything to be served", || {
        let answer = client.ask("write", &write("home", "/data/late", "there is room"));
        (!is_full(&answer)).then_some(())
    });
    assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVE);
    kept.push(("/data/late".into(), "there is room".into()));
    all_stand(&mut client, &kept);

    // Filled again and killed while it is full: a new daemon on the same disk finds the same.
    let weight = vec![0; 34 * 1024 * 1024];
    fs::write(seen(&hive).join("weight-1"), weight).unwrap();
    kept.extend(fill(&mut client, "b"));
    killed_and_back(&hive, &kept);
    assert!(hive.alive(), "{}", hive.said());
}

/// Kills the daemon of a full disk; the next one has everything, and has it by itself.
fn killed_and_back(hive: &Hive, kept: &[(String, String)]) {
    let daemon = socket_peercred(&hive.client().socket).unwrap();
    kill_process(daemon.pid, Signal::KILL).unwrap();
    retry("the next daemon", || {
        let client = Client::connect(&hive.socket());
        let peer = socket_peercred(&client.socket).ok()?;
        (peer.pid != daemon.pid).then_some(())
    });
    let mut client = hive.client();
    retry("what was written", || {
        let answer = client.try_ask("read", &json!({ "path": kept[0].0 }))?;
        (!is_refused(&answer, ".db")).then_some(())
    });
    all_stand(&mut client, kept);
}

const SLEEPER: &str = "---\nname: sleeper\ndescription: Sleeps.\nmodel: scripted/full\ntools: [read, propose]\n\
    needs:\n  - read /integrations/mail/**\n  - apply mail.send\n  - model any\n---\nYou are sleeper.\n";
const MAIL: &[u8] = include_bytes!("../../../../examples/mail/new/01-opening-hours.eml");

/// One process that waits for its model, and one proposal that waits for its operator.
fn busy(hive: &Hive, client: &mut Client) -> u64 {
    let mail = json!({"name": "propose", "arguments": {"mount": "outbox", "kind": "mail.send", "args":
        {"to": "a@example.com", "subject": "Full", "body": "The disk is full.\n"}}});
    let path = "/integrations/mail/inbox/01-opening-hours.md";
    let read = json!({"name": "read", "arguments": {"path": path}});
    let rules = json!({"about": "A full disk.", "rules": [
        {"when": {"task": "Sleep", "step": 0}, "then": {"say": "Awake.", "takes_ms": 10_000}},
        {"when": {"task": "Send", "step": 0}, "then": {"say": "Reading.", "tools": [read]}},
        {"when": {"task": "Send", "step": 1}, "then": {"say": "Sending.", "tools": [mail]}},
        {"when": {"task": "Send", "step": 2}, "then": {"say": "Sent."}},
    ]});
    let dir = seen(hive).join("scripted");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("full.json"), rules.to_string()).unwrap();
    client.ok("write", write("home", "/agents/sleeper/AGENT.md", SLEEPER));
    client.control(&format!("mount outbox outbox {}", hive.around().join("outbox").display()));
    let mailbox = hive.around().join("mail");
    for part in ["tmp", "cur", "new"] {
        fs::create_dir_all(mailbox.join(part)).unwrap();
    }
    fs::write(mailbox.join("new/01-opening-hours.eml"), MAIL).unwrap();
    client.control(&format!("mount mail maildir {}", mailbox.display()));
    retry("the mail", || client.ask("read", &json!({ "path": path }))["error"].is_null().then_some(()));
    let spawn = |text: &str| json!({ "agent": "sleeper", "text": text, "origin": "argument" });
    let pid = client.ok("spawn", spawn("Sleep"))["pid"].as_u64().unwrap();
    client.ok("spawn", spawn("Send"));
    retry("a proposal", || {
        let found = client.ask("list", &json!({ "path": "/proposals" }));
        found["result"]["entries"].as_array().filter(|entries| !entries.is_empty()).map(drop)
    });
    pid
}

/// Takes every page that is left.
fn take_all(file: &Path) {
    let mut file = fs::File::options().append(true).create(true).open(file).unwrap();
    let page = [1; PAGE_BYTES];
    while file.write_all(&page).is_ok() {}
}

#[test]
fn what_stops_is_recorded_on_a_full_disk() {
    // Without the reserve, nothing can be: somebody has removed it, and its room is filled as well.
    for with_reserve in [true, false] {
        let hive = small();
        let mut client = hive.client();
        let pid = busy(&hive, &mut client);
        if !with_reserve {
            fs::remove_file(seen(&hive).join("reserve")).unwrap();
            take_all(&seen(&hive).join("weight-3"));
        }
        let kept = fill(&mut client, "a");
        if !with_reserve {
            take_all(&seen(&hive).join("weight-3"));
        }
        let freeze = client.ask("signal", &json!({ "pid": pid, "signal": "freeze" }));
        let reject = client.ask("decide", &json!({ "proposal": 1, "verdict": "reject" }));
        if !with_reserve {
            assert!(is_refused(&freeze, ".db"), "it was recorded where there is no room: {freeze}");
            assert!(is_refused(&reject, ".db"), "it was recorded where there is no room: {reject}");
            continue;
        }
        assert!(freeze["error"].is_null(), "{freeze}");
        assert!(reject["error"].is_null(), "{reject}");
        let thaw = client.ask("signal", &json!({ "pid": pid, "signal": "thaw" }));
        assert_eq!(thaw["error"]["data"]["code"], "Exhausted", "{thaw}");
        client.control("unmount outbox");
        // Recorded: it is so after a death too.
        killed_and_back(&hive, &kept);
        let mut client = hive.client();
        let status = client.text(&format!("/proc/{pid}/status"));
        assert!(status.contains("frozen"), "{status}");
        let proposals = client.ok("list", json!({ "path": "/proposals" }));
        assert_eq!(proposals["entries"], json!([]));
        client.ok("signal", json!({ "pid": pid, "signal": "kill" }));
    }
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
