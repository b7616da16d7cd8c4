//! Backup and restore.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_backup_of_a_workspace_that_is_written_to_is_one_moment_of_it() {
    let hive = Hive::new();
    let file = hive.around().join("a backup.skep");
    let (go_on, socket) = (AtomicBool::new(true), hive.socket());
    let written: u64 = std::thread::scope(|scope| {
        let write = |writer: usize| {
            let mut client = Client::connect(&socket);
            let mut count = 0;
            while go_on.load(Ordering::Relaxed) {
                let (path, text) = (format!("/data/{writer}/{}", count % 50), format!("{count} of {writer}"));
                client.ok("write", json!({ "path": path, "text": text, "origin": "argument" }));
                count += 1;
            }
            count
        };
        let writers: Vec<_> = (0..4).map(|writer| scope.spawn(move || write(writer))).collect();
        let mut client = hive.client();
        crate::hive::retry("some writes", || {
            let log = client.ok("trace", json!({ "from": 150, "limit": 1 }));
            (!log["records"].as_array().unwrap().is_empty()).then_some(())
        });
        let ran = hive.cli(&["backup", shown(&file)]).fine();
        assert!(ran.out.starts_with(shown(&file)), "{ran:?}");
        go_on.store(false, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert!(written > 0);
    let said = manifest(&file);
    let seq = said["seq"].as_u64().unwrap();
    assert_eq!((&said["name"], &said["format"]), (&json!("home"), &json!(1)));
    assert_eq!(names(hive.around()).iter().filter(|path| shown(path).contains(".skep")).count(), 1);

    hive.cli(&["restore", shown(&file), "--as", "copy"]).fine();
    let mut client = hive.client();
    let (ours, theirs) = (client.log("home"), client.log("copy"));
    let until = |log: &[Value]| -> Vec<Value> {
        log.iter().filter(|record| record["seq"].as_u64().unwrap() <= seq).cloned().collect()
    };
    assert_eq!(until(&ours).len() as u64, seq);
    assert_eq!(until(&ours), until(&theirs), "its log is the log at that moment");
    let (then, now) =
        (tree(&mut client, "home", "/data", Some(seq)), tree(&mut client, "copy", "/data", None));
    assert!(then.len() > 4 && then == now, "the tree is the tree at that moment");
    // It is a workspace like any other.
    hive.cli(&["-w", "copy", "write", "/data/0/0", "mine"]).fine();
    assert_eq!(hive.cli(&["-w", "copy", "cat", "/data/0/0"]).fine().out, "mine");
    assert_ne!(client.text("/data/0/0"), "mine");
    let rows = client.text("/sys/workspaces");
    assert_eq!(rows.lines().filter(|row| row.starts_with("copy ")).count(), 1, "{rows}");
}

#[test]
fn nothing_of_a_copy_acts_by_itself() {
    let hive = Hive::new();
    let mut client = hive.client();
    client.control("mount box ram");
    let file = hive.around().join("one");
    hive.cli(&["backup", shown(&file)]).fine();
    hive.cli(&["restore", shown(&file), "--as", "copy"]).fine();
    let mounts = client.ok("read", json!({ "path": "/sys/mounts", "workspace": "copy" }));
    assert_eq!(mounts["text"], "", "what it had mounted it has no more");
    assert!(client.text("/sys/mounts").contains("box"), "the original goes on");
    let unmounted =
        client.log("copy").iter().filter(|row| row["body"]["unmounted"]["mount"] == "box").count();
    assert_eq!(unmounted, 1, "and its log says so");
}

#[test]
fn a_restore_never_takes_the_place_of_anything() {
    let mut hive = Hive::new();
    let file = hive.around().join("one");
    hive.cli(&["write", "/data/a", "one"]).fine();
    hive.cli(&["backup", shown(&file)]).fine();
    hive.cli(&["restore", shown(&file), "--as", "copy"]).fine();
    let before = client_tree(&hive, "copy");
    // Awake, and asleep after a restart.
    for _ in 0..2 {
        for name in ["home", "copy"] {
            let ran = hive.cli(&["restore", shown(&file), "--as", name]).failed(1);
            assert!(ran.err.contains(&format!("there is a workspace {name} already")), "{ran:?}");
        }
        hive.stop();
        hive.start();
    }
    assert_eq!(client_tree(&hive, "copy"), before);
    let again = hive.cli(&["backup", shown(&file)]).failed(1);
    assert!(again.err.contains("is there already"), "{again:?}");
}

fn client_tree(hive: &Hive, workspace: &str) -> Tree {
    tree(&mut hive.client(), workspace, "/data", None)
}

#[test]
fn a_bad_backup_leaves_nothing_behind() {
    let hive = Hive::new();
    hive.cli(&["write", "/data/a", "one"]).fine();
    let (file, bad) = (hive.around().join("one"), hive.around().join("bad"));
    hive.cli(&["backup", shown(&file)]).fine();
    let whole = fs::read(&file).unwrap();
    let mut garbled = whole.clone();
    garbled[whole.len() / 2] ^= 1;
    let places = || (names(&hive.home().join("workspaces")), hive.home().join("restoring"));
    let before = places().0;
    for bytes in [&whole[..whole.len() / 3], &whole[..whole.len() - 4096], &garbled, b"", b"no tar at all"] {
        fs::write(&bad, bytes).unwrap();
        let ran = hive.cli(&["restore", shown(&bad), "--as", "copy"]).failed(1);
        assert!(ran.err.contains("hint:"), "{ran:?}");
        let (after, begun) = places();
        assert_eq!(after, before);
        assert!(!begun.exists() || names(&begun).is_empty(), "something is left in {}", begun.display());
    }
    for (args, says) in [
        (vec!["restore", "/no/such/file", "--as", "copy"], "is not there"),
        (vec!["restore", "/dev/zero", "--as", "copy"], "is not a file"),
        (vec!["backup", "/no/such/dir/file"], "is not there"),
    ] {
        let ran = hive.cli(&args).failed(1);
        assert!(ran.err.contains(says), "{ran:?}");
    }
    // The name is free again.
    hive.cli(&["restore", shown(&file), "--as", "copy"]).fine();
    assert_eq!(hive.cli(&["-w", "copy", "cat", "/data/a"]).fine().out, "one");
}

#[test]
fn a_word_that_names_no_host_file_is_refused() {
    let hive = Hive::new();
    let mut client = hive.client();
    for words in ["backup relative", "backup", "restore copy relative", "restore a/b /x"] {
        let error = client.refused("write", json!({ "path": "/sys/ctl", "text": words }));
        assert_eq!(error["data"]["code"], "Invalid", "{words}: {error}");
    }
}
