//! lost-update: many writers on shared files, over the socket of a real daemon.
//!
//! ```text
//! file     a line for each writer, an empty line between, so that two lines go together in a text (.md)
//!          and never in bytes (.bin, which begins with one that is no text)
//! writer   reads a file, puts its next number into its own line, writes with what it read as the base
//!          stale .md: merged, or a conflict · stale .bin: a conflict; most are resolved onto the head
//! check    a writer's line in the head is its last accepted edit; every accepted version is an ancestor of
//!          the head; every other one is listed as an open conflict and holds its edit
//! ```
//!
//! Only its writer changes a line, so a line that is not its last accepted edit was lost. `SKEP_EDITS` is the
//! number of edits of each writer in a longer run (`cargo xtask spec lost-update`).

use crate::hive::{Client, Hive};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const WRITERS: usize = 64;
/// Edits of each writer, unless the environment says more.
const EDITS: u64 = 200;
const FILES: [&str; 8] = [
    "/data/0.md",
    "/data/1.bin",
    "/data/2.md",
    "/data/3.bin",
    "/data/4.md",
    "/data/5.bin",
    "/data/6.md",
    "/data/7.bin",
];
/// Every so many conflicts of a writer one is left open.
const LEFT_OPEN: u64 = 40;
/// Resolutions that are tried before a conflict is left open.
const TRIES: u32 = 100;

/// What the daemon acknowledged: this version of this file holds this edit of this writer.
#[derive(Clone, Debug)]
struct Ack {
    file: usize,
    version: u64,
    edit: u64,
    /// In the head; else kept beside it.
    accepted: bool,
}

/// One version as its history tells.
#[derive(Clone, Debug)]
struct Known {
    parents: Vec<u64>,
    diverged: bool,
}

/// All that is known of a file at the end.
struct Shelf {
    versions: BTreeMap<u64, Known>,
    lines: Vec<u64>,
    /// Open conflicts, with the line of each writer.
    open: BTreeMap<u64, Vec<u64>>,
}

fn begin(file: usize) -> Vec<u8> {
    let mark: &[u8] = if FILES[file].ends_with(".bin") { &[0xFF, b'\n'] } else { b"# Counts\n" };
    let lines = (0..WRITERS).map(|writer| format!("\nwriter {writer}: 0\n"));
    [mark, lines.collect::<String>().as_bytes()].concat()
}

fn bytes(answer: &Value) -> Vec<u8> {
    match answer["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(answer["base64"].as_str().unwrap()).unwrap(),
    }
}

fn value(bytes: &[u8]) -> (&'static str, String) {
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) => ("text", text),
        Err(_) => ("base64", STANDARD.encode(bytes)),
    }
}

/// Each writer's number.
fn lines(bytes: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(bytes);
    let number = |writer: usize| {
        let head = format!("writer {writer}: ");
        text.lines().find_map(|line| line.strip_prefix(&head)).and_then(|rest| rest.parse().ok())
    };
    (0..WRITERS).map(|writer| number(writer).unwrap_or(u64::MAX)).collect()
}

/// The bytes with the writer's line set.
fn edited(bytes: &[u8], writer: usize, edit: u64) -> Vec<u8> {
    let head = format!("writer {writer}: ").into_bytes();
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| match line.starts_with(&head) {
        true => [head.clone(), edit.to_string().into_bytes()].concat(),
        false => line.to_vec(),
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}

fn write(client: &mut Client, file: usize, (bytes, more): (&[u8], Value)) -> Value {
    let (key, text) = value(bytes);
    let mut params = json!({"path": FILES[file], key: text, "origin": "argument"});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.ask("write", &params)
}

/// One writer; what was acknowledged to it, in order.
fn work(socket: &Path, writer: usize, edits: u64) -> Vec<Ack> {
    let mut client = Client::connect(socket);
    let mut acks = Vec::new();
    let mut conflicts = 0;
    for edit in 1..=edits {
        let file = (writer + edit as usize) % FILES.len();
        let read = client.ok("read", json!({"path": FILES[file]}));
        let made = edited(&bytes(&read), writer, edit);
        let answer = write(&mut client, file, (&made, json!({"base": read["version"]})));
        let answer = &answer["result"];
        let number = |key: &str| answer[key].as_u64();
        if answer["code"] != "Conflict" {
            let version = number("ours").or(number("version")).unwrap_or_else(|| panic!("{answer}"));
            acks.push(Ack { file, version, edit, accepted: true });
            continue;
        }
        let ours = number("ours").unwrap();
        conflicts += 1;
        let accepted = conflicts % LEFT_OPEN != 0 && resolve(&mut client, (file, ours), (writer, edit));
        acks.push(Ack { file, version: ours, edit, accepted });
    }
    acks
}

/// Puts the edit onto the head, as a person does who resolves; false when the head moves too fast.
fn resolve(client: &mut Client, (file, ours): (usize, u64), (writer, edit): (usize, u64)) -> bool {
    for _ in 0..TRIES {
        let read = client.ok("read", json!({"path": FILES[file]}));
        let both = edited(&bytes(&read), writer, edit);
        let more = json!({"mode": "resolve", "version": ours, "take": "text", "base": read["version"]});
        let answer = write(client, file, (&both, more));
        if answer["error"].is_null() {
            return true;
        }
        assert_eq!(answer["error"]["data"]["code"], "Stale", "{answer}");
    }
    false
}

/// What the daemon tells of a file at the end.
fn shelf(client: &mut Client, file: usize, listed: &[(u64, String)]) -> Shelf {
    let mut versions = BTreeMap::new();
    let mut before = None;
    loop {
        let mut params = json!({"path": FILES[file], "limit": 5000});
        if let Some(before) = before {
            params["before"] = json!(before);
        }
        let page = client.ok("history", params);
        let rows = page["versions"].as_array().unwrap();
        for row in rows {
            let parents = row["parents"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
            let known = Known { parents, diverged: row["diverged"].as_bool().unwrap() };
            versions.insert(row["version"].as_u64().unwrap(), known);
        }
        match rows.last() {
            Some(last) => before = last["version"].as_u64(),
            None => break,
        }
    }
    let mut open = BTreeMap::new();
    for (version, _) in listed.iter().filter(|(_, path)| path == FILES[file]) {
        let read = client.ok("read", json!({"path": FILES[file], "version": version}));
        open.insert(*version, lines(&bytes(&read)));
    }
    let head = client.ok("read", json!({"path": FILES[file]}));
    Shelf { versions, lines: lines(&bytes(&head)), open }
}

/// Edits that were acknowledged and are nowhere.
fn lost(shelves: &[Shelf], acks: &[Vec<Ack>]) -> Vec<String> {
    let mut lost = Vec::new();
    for (file, shelf) in shelves.iter().enumerate() {
        let counts = shelf.versions.iter().rev().find(|(_, known)| !known.diverged);
        let mut ancestors = BTreeSet::new();
        let mut todo: Vec<u64> = counts.map(|(id, _)| *id).into_iter().collect();
        while let Some(id) = todo.pop() {
            if ancestors.insert(id) {
                todo.extend(shelf.versions.get(&id).into_iter().flat_map(|known| known.parents.clone()));
            }
        }
        for (writer, acks) in acks.iter().enumerate() {
            let here = || acks.iter().filter(|ack| ack.file == file);
            let last = here().filter(|ack| ack.accepted).map(|ack| ack.edit).max().unwrap_or(0);
            if shelf.lines[writer] != last {
                let stands = shelf.lines[writer];
                lost.push(format!("{}: writer {writer} stands at {stands}, not at {last}", FILES[file]));
            }
            for ack in here() {
                let kept = match ack.accepted {
                    true => ancestors.contains(&ack.version),
                    false => shelf.open.get(&ack.version).is_some_and(|lines| lines[writer] == ack.edit),
                };
                if !kept {
                    lost.push(format!("{}: {ack:?} of writer {writer} is nowhere", FILES[file]));
                }
            }
        }
    }
    lost
}

#[test]
fn of_many_writers_on_shared_files_no_edit_is_lost() {
    let edits = std::env::var("SKEP_EDITS").ok().and_then(|text| text.parse().ok()).unwrap_or(EDITS);
    let hive = Hive::new();
    let mut client = hive.client();
    for file in 0..FILES.len() {
        assert!(write(&mut client, file, (&begin(file), json!({})))["error"].is_null());
    }
    let socket = hive.socket();
    let begun = std::time::Instant::now();
    let acks: Vec<Vec<Ack>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let socket = socket.clone();
                scope.spawn(move || work(&socket, writer, edits))
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let took = begun.elapsed().as_secs_f64();
    let listed: Vec<(u64, String)> = client
        .text("/sys/conflicts")
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned())
        })
        .collect();
    let shelves: Vec<Shelf> = (0..FILES.len()).map(|file| shelf(&mut client, file, &listed)).collect();
    let lost = lost(&shelves, &acks);
    let open = acks.iter().flatten().filter(|ack| !ack.accepted).count();
    let merges = shelves.iter().flat_map(|shelf| shelf.versions.values());
    let merges = merges.filter(|known| known.parents.len() == 2).count();
    let told = json!({"edits": acks.iter().flatten().count(), "lost": lost.len(), "joined": merges,
        "open": open, "seconds": took});
    println!("{told}");
    assert!(merges > 0 && open > 0, "nobody met anybody: {told}");
    assert_eq!(listed.len(), open, "what is listed is what is open");
    assert!(lost.is_empty(), "{} lost, the first: {}", lost.len(), lost[0]);
}

/// The control: of a daemon that lets a stale write overwrite the head, the check says what was lost.
#[test]
fn an_edit_that_was_overwritten_is_found() {
    let known = |parents: &[u64]| Known { parents: parents.to_vec(), diverged: false };
    // Writer 1 wrote version 3 from version 1, as if version 2 of writer 0 had never been.
    let versions = BTreeMap::from([(1, known(&[])), (2, known(&[1])), (3, known(&[2]))]);
    let mut lines = vec![0; WRITERS];
    lines[1] = 1;
    let empty = || Shelf { versions: BTreeMap::new(), lines: vec![0; WRITERS], open: BTreeMap::new() };
    let mut shelves: Vec<Shelf> = (1..FILES.len()).map(|_| empty()).collect();
    shelves.insert(0, Shelf { versions, lines, open: BTreeMap::new() });
    let ack = |version, accepted| vec![Ack { file: 0, version, edit: 1, accepted }];
    let mut acks = vec![ack(2, true), ack(3, true)];
    acks.resize(WRITERS, Vec::new());
    assert_eq!(lost(&shelves, &acks), ["/data/0.md: writer 0 stands at 0, not at 1"]);
    shelves[0].lines[0] = 1;
    assert_eq!(lost(&shelves, &acks), [""; 0]);
    // One that was kept beside the head and is not listed.
    acks[2] = ack(4, false);
    assert_eq!(lost(&shelves, &acks).len(), 1);
}
