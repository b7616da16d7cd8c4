//! Files of a home that lie where they should not, are cut, gone or closed: swapped between workspaces,
//! copied while awake, a torn write-ahead log, a disk that is read-only. That workspace only is refused, in
//! words that name the file and what to do, and `skep doctor` finds each, with a daemon and without.

use crate::{
    disks::{apart, is_refused, write},
    hive::{Hive, run},
};
use serde_json::json;
use std::{fs, path::Path};

/// A home with three workspaces, each with a file of its own, stopped in order.
fn filled() -> Hive {
    let mut hive = Hive::new();
    let mut client = hive.client();
    for name in ["home", "east", "west"] {
        if name != "home" {
            client.control(&format!("workspace {name}"));
        }
        client.ok("write", write(name, "/data/x", name));
    }
    hive.stop();
    hive
}

fn dir(hive: &Hive, workspace: &str) -> std::path::PathBuf {
    hive.home().join("workspaces").join(workspace)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What is done to a home at rest.
type Harm = fn(&Hive);

/// A harm: what it is, who is refused for it, what the words say; what the doctor says without a daemon.
struct Row {
    what: &'static str,
    harm: Harm,
    refused: &'static [&'static str],
    says: &'static str,
    offline: Option<&'static str>,
}

const ROWS: [Row; 6] = [
    Row { what: "nothing", harm: |_| {}, refused: &[], says: "", offline: None },
    Row {
        what: "swapped",
        harm: |hive| {
            let (east, west, aside) = (dir(hive, "east"), dir(hive, "west"), dir(hive, "aside"));
            fs::rename(&east, &aside).unwrap();
            fs::rename(&west, &east).unwrap();
            fs::rename(&aside, &west).unwrap();
        },
        refused: &["east", "west"],
        says: "is the file of workspace ",
        // An id stands in the log, which only a daemon reads.
        offline: None,
    },
    Row {
        what: "one copied over another",
        harm: |hive| {
            fs::remove_dir_all(dir(hive, "east")).unwrap();
            copy(&dir(hive, "west"), &dir(hive, "east"));
        },
        refused: &["east"],
        says: "is the file of workspace west, or a copy of it",
        offline: None,
    },
    Row {
        what: "gone",
        harm: |hive| fs::remove_file(hive.file("east")).unwrap(),
        refused: &["east"],
        says: "is not there",
        offline: Some("never made anew"),
    },
    Row {
        what: "emptied",
        harm: |hive| drop(fs::File::create(hive.file("east")).unwrap()),
        refused: &["east"],
        says: "east/workspace.db",
        offline: Some("restore a backup"),
    },
    Row {
        what: "of a later format",
        harm: |hive| {
            let db = rusqlite::Connection::open(hive.file("east")).unwrap();
            db.pragma_update(None, "user_version", 99).unwrap();
        },
        refused: &["east"],
        says: "has format 99",
        offline: Some("has format 99"),
    },
];

#[test]
fn what_lies_wrong_is_refused_alone_and_the_doctor_says_so() {
    for Row { what, harm, refused, says, offline } in ROWS {
        let mut hive = filled();
        harm(&hive);
        let doctor = hive.cli(&["doctor"]);
        assert_eq!(doctor.out.contains("\nbad    workspace"), offline.is_some(), "{what}: {doctor:?}");
        assert!(doctor.out.contains(offline.unwrap_or("")), "{what}: {doctor:?}");
        hive.start();
        let mut client = hive.client();
        for name in ["home", "east", "west"] {
            let answer = client.ask("read", &json!({ "path": "/data/x", "workspace": name }));
            if refused.contains(&name) {
                assert!(is_refused(&answer, &format!("{name}/workspace.db")), "{what}: {answer}");
                assert!(answer["error"]["message"].as_str().unwrap().contains(says), "{what}: {answer}");
            } else {
                assert_eq!(answer["result"]["text"], name, "{what}: {answer}");
            }
        }
        let doctor = hive.cli(&["doctor"]);
        assert_eq!(doctor.code, i32::from(!refused.is_empty()), "{what}: {doctor:?}");
        for name in refused {
            assert!(doctor.out.contains(&format!("bad    files       {name}: ")), "{what}: {doctor:?}");
        }
        assert!(doctor.out.contains(says), "{what}: {doctor:?}");
        assert!(hive.alive());
    }
}

#[test]
fn a_copy_made_while_awake_is_never_taken_for_a_workspace() {
    let mut hive = Hive::new();
    let mut client = hive.client();
    client.ok("write", write("home", "/data/x", "kept"));
    copy(&dir(&hive, "home"), &dir(&hive, "copy"));
    let told = hive.cli(&["doctor"]).failed(1);
    assert!(
        told.out.contains("is a copy of workspace home") && told.out.contains("hint: move it away"),
        "{told:?}"
    );
    // Even when somebody makes a workspace of that name.
    let made = json!({ "path": "/sys/ctl", "text": "workspace copy", "origin": "argument" });
    assert!(is_refused(&client.ask("write", &made), "copy/workspace.db"));
    client.ok("write", write("home", "/data/x", "goes on"));
    hive.stop();
    fs::remove_dir_all(dir(&hive, "copy")).unwrap();
    hive.start();
    let mut client = hive.client();
    client.control("workspace copy");
    client.ok("write", write("copy", "/data/x", "its own"));
    assert_eq!(client.text("/data/x"), "goes on");
    hive.cli(&["doctor"]).fine();
}

#[test]
fn a_torn_write_ahead_log_leaves_a_true_beginning() {
    for keep in [3, 7] {
        let mut hive = Hive::new();
        let mut client = hive.client();
        client.control("workspace other");
        client.ok("write", write("other", "/data/x", "of the other"));
        for ix in 0..40 {
            client.ok("write", write("home", &format!("/data/{ix}"), &format!("file {ix}")));
        }
        hive.kill();
        let log = hive.file("home").with_file_name("workspace.db-wal");
        let bytes = fs::metadata(&log).unwrap().len();
        assert!(bytes > 100_000, "{bytes}");
        fs::File::options().write(true).open(&log).unwrap().set_len(bytes * keep / 10 + 1).unwrap();
        let doctor = hive.cli(&["doctor"]).failed(1);
        assert!(doctor.out.contains("home/workspace.db-wal is torn"), "{doctor:?}");
        hive.start();
        let mut client = hive.client();
        let there: Vec<bool> = (0..40)
            .map(|ix| {
                let answer = client.ask("read", &json!({ "path": format!("/data/{ix}") }));
                let found = answer["error"].is_null();
                assert!(!found || answer["result"]["text"] == format!("file {ix}"), "{answer}");
                assert!(found || answer["error"]["data"]["code"] == "NotFound", "{answer}");
                found
            })
            .collect();
        assert!(there.is_sorted_by_key(|found| !found), "a hole: {there:?}");
        let other = client.ok("read", json!({ "path": "/data/x", "workspace": "other" }));
        assert_eq!(other["text"], "of the other");
        client.ok("write", write("home", "/data/late", "goes on"));
        hive.cli(&["doctor"]).fine();
    }
}

#[test]
fn the_doctor_sees_a_disk_that_is_read_only() {
    let hive = filled();
    let script =
        "mount --bind \"$2\" \"$2\"; mount -o remount,ro,bind \"$2\"; SKEP_HOME=\"$2\" exec \"$1\" doctor";
    let ran = run(&mut apart(&hive, script)).failed(1);
    assert!(
        ran.out.contains("is mounted read-only") && ran.out.contains("hint: the system's log"),
        "{ran:?}"
    );
    hive.cli(&["doctor"]).fine();
}
