//! Files that are damaged or too new: that workspace only, with the file named and what to do.

use crate::client::Rig;
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Overwrites bytes of a file.
fn scribble(file: &Path, from: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(bytes).unwrap();
}

fn rig() -> Rig {
    let mut rig = Rig::new();
    let mut client = rig.client();
    client.ok("write", json!({ "path": "/sys/ctl", "text": "workspace other" }));
    for ix in 0..50 {
        let text = format!("{ix} {}", "y".repeat(2000));
        client.ok("write", json!({ "path": format!("/data/{ix}"), "text": text, "workspace": "other" }));
    }
    rig.stop();
    // All pages into the file itself, so that what is damaged is what is read.
    let db = rusqlite::Connection::open(rig.file("other")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    rig
}

fn refused(rig: &Rig, answer: &Value) {
    assert_eq!(answer["error"]["data"]["code"], "Unavailable", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("other/workspace.db"), "{message}");
    assert!(!answer["error"]["data"]["hint"].as_str().unwrap().is_empty());
    rig.client().ok("list", json!({ "path": "/" }));
}

#[test]
fn a_corrupted_page_takes_down_its_workspace_only() {
    let mut rig = rig();
    let file = rig.file("other");
    let bytes = File::open(&file).unwrap().metadata().unwrap().len();
    for page in 1..bytes / 4096 {
        scribble(&file, page * 4096, &[0xa5; 4096]);
    }
    rig.start();
    let answer = rig.client().ask("list", json!({ "path": "/data", "workspace": "other" }));
    refused(&rig, &answer);
}

#[test]
fn a_file_of_a_newer_release_is_left_as_it_is() {
    let mut rig = rig();
    let file = rig.file("other");
    // `user_version` stands at byte 60 of the header of every SQLite file (its file format, section 1.3).
    scribble(&file, 60, &99_u32.to_be_bytes());
    rig.start();
    let answer = rig.client().ask("list", json!({ "path": "/data", "workspace": "other" }));
    refused(&rig, &answer);
    assert!(answer["error"]["message"].as_str().unwrap().contains("99"), "{answer}");
    rig.stop();
    let mut held = [0; 4];
    let mut opened = File::open(&file).unwrap();
    opened.seek(SeekFrom::Start(60)).unwrap();
    opened.read_exact(&mut held).unwrap();
    assert_eq!(held, 99_u32.to_be_bytes());
}

#[test]
fn whoever_sleeps_leaves_all_of_it_in_one_file() {
    let mut rig = Rig::new();
    rig.client().ok("write", json!({ "path": "/data/x", "text": "kept" }));
    let log = rig.file("home").with_file_name("workspace.db-wal");
    assert_ne!(std::fs::metadata(&log).unwrap().len(), 0);
    rig.stop();
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
    rig.start();
    assert_eq!(rig.client().ok("read", json!({ "path": "/data/x" }))["text"], "kept");
}

#[test]
fn a_file_that_is_gone_is_never_made_anew() {
    let mut rig = rig();
    let file = rig.file("other");
    std::fs::remove_file(&file).unwrap();
    rig.start();
    let answer = rig.client().ask("list", json!({ "path": "/data", "workspace": "other" }));
    refused(&rig, &answer);
    assert!(!file.exists());
}
