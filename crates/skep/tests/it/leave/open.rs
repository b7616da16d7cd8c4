//! Export to git, export of everything, import.

use super::*;
use std::{
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
};

/// Runs the real git on a repository.
fn git(repository: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(repository).args(args).env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("HOME", repository).env("LC_ALL", "C");
    let ran = command.output().unwrap_or_else(|error| panic!("git is needed by this test: {error}"));
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "git {args:?}: {err}{}", String::from_utf8_lossy(&ran.stdout));
    assert!(!err.contains("warning") && !err.contains("error"), "git {args:?}: {err}");
    String::from_utf8(ran.stdout).unwrap()
}

/// 500 operations of every kind, with names and contents as they come.
fn story(client: &mut Client) {
    let write = |client: &mut Client, params: Value| {
        client.ok("write", params);
    };
    write(client, json!({ "path": "/data/Käse 🧀/ünï.md", "text": "cheese\n", "message": "about cheese" }));
    write(client, json!({ "path": "/data/empty", "text": "" }));
    write(client, json!({ "path": "/data/binary", "base64": "AP+A/wAKDQ==" }));
    write(client, json!({ "path": "/data/run.sh", "text": "#!/bin/sh\n", "exec": true }));
    write(client, json!({ "path": "/data/link", "mode": "link", "text": "run.sh" }));
    write(client, json!({ "path": "/data/bare", "mode": "dir" }));
    write(client, json!({ "path": "/data/.git/config", "text": "[core]\n" }));
    write(client, json!({ "path": "/data/.gitmodules", "text": "[submodule \"x\"]\n" }));
    write(client, json!({ "path": "/data/odd\nname \"q\" \\ $", "text": "odd" }));
    for number in 0..500 {
        let (dir, file) = (number % 7, number % 23);
        let params = match number % 8 {
            0..5 => json!({ "path": format!("/data/{dir}/{file}"), "text": format!("{number}\n") }),
            5 => json!({ "path": format!("/data/{dir}/{file}"), "mode": "append", "text": "more\n" }),
            6 => {
                let path = format!("/data/deep/{dir}/{file}/x");
                json!({ "path": path, "text": "deep", "exec": number % 16 == 6 })
            }
            _ => json!({ "path": format!("/data/l{number}"), "mode": "link", "text": format!("../{file}") }),
        };
        write(client, params);
        if number % 10 == 9 {
            let (from, to) = (format!("/data/{dir}"), format!("/data/moved/{number}"));
            client.ask("move", &json!({ "from": from, "to": to }));
        }
        if number % 17 == 3 {
            client.ask("remove", &json!({ "path": format!("/data/deep/{dir}"), "tree": true }));
        }
    }
    let undone = client.ok("history", json!({ "path": "/data/binary" }));
    let operation = undone["versions"][0]["operation"].clone();
    write(client, json!({ "path": "/", "mode": "restore", "operation": operation }));
    // Kept beside the head: it never stood in the tree.
    let base = client.ok("write", json!({ "path": "/data/two", "text": "one" }))["version"].clone();
    write(client, json!({ "path": "/data/two", "text": "two" }));
    client.ask("write", &json!({ "path": "/data/two", "text": "three", "base": base }));
}

/// The tree of a commit: path → mode and content, as [`tree`] shows it.
fn git_tree(repository: &Path, commit: &str) -> Tree {
    let listing = git(repository, &["ls-tree", "-r", "-z", commit]);
    let rows: Vec<(Vec<&str>, &str)> = listing
        .split_terminator('\0')
        .map(|row| row.split_once('\t').unwrap())
        .map(|(head, path)| (head.split(' ').collect(), path))
        .collect();
    let names: String = rows.iter().map(|(words, _)| format!("{}\n", words[2])).collect();
    let asked = repository.join("asked");
    fs::write(&asked, names).unwrap();
    let mut command = Command::new("git");
    command.arg("-C").arg(repository).args(["cat-file", "--batch"]).stdin(fs::File::open(&asked).unwrap());
    let mut answers = command.output().unwrap().stdout;
    let mut all = Tree::new();
    for (words, path) in rows {
        // `OID blob SIZE`, the bytes, a line's end.
        let line = answers.iter().position(|byte| *byte == b'\n').unwrap();
        let head: Vec<u8> = answers.drain(..=line).collect();
        let head = String::from_utf8(head).unwrap();
        let size: usize = head.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let bytes: Vec<u8> = answers.drain(..size).collect();
        answers.remove(0);
        let (kind, mode) = match words[0] {
            "120000" => ("link", 0o777),
            "100755" => ("file", 0o755),
            "100644" => ("file", 0o644),
            other => panic!("{other} {path}"),
        };
        let content = String::from_utf8(bytes).unwrap_or_else(|raw| base64(raw.as_bytes()));
        all.insert(format!("/{path}"), (kind.to_owned(), mode, content));
    }
    fs::remove_file(asked).unwrap();
    all
}

fn base64(bytes: &[u8]) -> String {
    let table = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let number =
            part.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for ix in 0..4 {
            let digit = char::from(table[(number >> (18 - 6 * ix)) as usize & 63]);
            text.push(if ix > part.len() { '=' } else { digit });
        }
    }
    text
}

/// What git can hold of a tree.
fn for_git(mut tree: Tree) -> Tree {
    tree.retain(|path, (kind, _, _)| {
        kind != "dir" && !path.contains("/.git/") && !path.ends_with(".gitmodules")
    });
    tree
}

/// The operations of a log: number, record, actor, seconds.
fn operations(log: &[Value]) -> Vec<(u64, u64, String, u64)> {
    let of = |record: &Value| {
        let op = record["body"]["wrote"]["op"].as_u64()?;
        let actor = record["actor"].as_str().unwrap().to_owned();
        Some((op, record["seq"].as_u64().unwrap(), actor, record["at"].as_u64().unwrap() / 1_000_000))
    };
    log.iter().filter_map(of).collect()
}

#[test]
fn git_has_every_operation_as_a_commit() {
    let hive = Hive::new();
    let mut client = hive.client();
    story(&mut client);
    let repository = hive.around().join("out.git");
    let ran = hive.cli(&["export", "--git", shown(&repository)]).fine();
    git(&repository, &["fsck", "--strict", "--full"]);
    let log = client.log("home");
    let want: Vec<String> = operations(&log)
        .iter()
        .map(|(op, seq, actor, at)| {
            let mail = actor.replace(':', ".");
            format!("{actor} {mail}@skep.invalid {at} {at} {op} {seq}")
        })
        .collect();
    assert!(want.len() >= 500, "{} operations", want.len());
    let trailer = |key: &str| format!("%(trailers:key=Skep-{key},valueonly,separator=)");
    let trailers = format!("{} {}", trailer("Operation"), trailer("Record"));
    let format = format!("--format=%an %ae %at %ct {trailers}");
    let have = git(&repository, &["log", "--reverse", &format, "main"]);
    assert_eq!(have.lines().collect::<Vec<_>>(), want);
    let subjects = git(&repository, &["log", "--format=%s", "main"]);
    assert!(subjects.lines().any(|line| line == "about cheese"));
    assert!(subjects.lines().any(|line| line == "link /data/link"));
    assert!(subjects.lines().any(|line| line.starts_with("undo operation ")), "{subjects}");
    // Now, and at every hundredth operation.
    let commits = git(&repository, &["rev-list", "--reverse", "main"]);
    let commits: Vec<&str> = commits.lines().collect();
    for (commit, (_, seq, _, _)) in commits.iter().zip(operations(&log)).skip(20).step_by(100) {
        let then = for_git(tree(&mut client, "home", "/data", Some(seq)));
        let mut have = git_tree(&repository, commit);
        have.retain(|path, _| path.starts_with("/data/"));
        assert_eq!(have, then, "at record {seq}");
    }
    let mut have = git_tree(&repository, "main");
    have.retain(|path, _| path.starts_with("/data/"));
    assert_eq!(have, for_git(tree(&mut client, "home", "/data", None)));
    assert!(ran.err.contains("git takes no such name") && ran.err.contains("diverged"), "{ran:?}");
    git(hive.around(), &["clone", "-q", "out.git", "work"]);
    assert_eq!(fs::read_link(hive.around().join("work/data/link")).unwrap(), Path::new("run.sh"));
    let mode = fs::metadata(hive.around().join("work/data/run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
}

#[test]
fn an_export_of_everything_comes_back_by_import() {
    let hive = Hive::new();
    let mut client = hive.client();
    story(&mut client);
    let out = hive.around().join("out");
    fs::create_dir(&out).unwrap();
    hive.cli(&["export", "--all", shown(&out)]).fine();
    let log = client.log("home");
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(out.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(lines("log.jsonl"), log);
    let versions = lines("versions.jsonl");
    let count: usize =
        log.iter().filter_map(|record| record["body"]["wrote"]["changes"].as_array()).map(Vec::len).sum();
    assert_eq!(versions.len(), count);
    let mut contents = 0;
    for version in
        versions.iter().filter(|version| ["file", "link"].contains(&version["node"].as_str().unwrap()))
    {
        let hash = version["content"]["hash"].as_str().unwrap();
        let bytes = fs::read(out.join("blobs").join(hash)).unwrap();
        assert_eq!(abi::Hash::of(&bytes).to_string(), hash, "{version}");
        contents += 1;
    }
    assert!(contents > 400 && versions.iter().any(|version| version["diverged"] == true));
    assert!(fs::read_to_string(out.join("README.txt")).unwrap().contains("versions.jsonl"));
    // Not into a directory that holds something.
    let again = hive.cli(&["export", "--all", shown(&out)]).failed(1);
    assert!(again.err.contains("is not empty"), "{again:?}");

    let dry = hive.cli(&["import", shown(&out.join("tree/data")), "--to", "/data/back", "--dry-run"]).fine();
    assert!(dry.out.lines().any(|line| line == "/data/back/run.sh"));
    let seq = client.log("home").len();
    hive.cli(&["import", shown(&out.join("tree/data")), "--to", "/back"]).fine();
    assert!(client.log("home").len() > seq, "the dry run wrote nothing, the other did");
    let back = tree(&mut client, "home", "/back", None);
    let back: Tree =
        back.into_iter().map(|(path, what)| (path.replacen("/back", "/data", 1), what)).collect();
    assert_eq!(back, tree(&mut client, "home", "/data", None));
    let read = client.ok("read", json!({ "path": "/back/run.sh" }));
    assert!(read["label"].as_str().unwrap().starts_with("external"), "{read}");
}

#[test]
fn an_import_takes_what_it_can_and_says_what_not() {
    use std::os::unix::ffi::OsStrExt;
    let hive = Hive::new();
    let from = hive.around().join("from");
    fs::create_dir_all(from.join("a/b")).unwrap();
    fs::write(from.join("a/b/file"), "x").unwrap();
    fs::write(from.join("quotes"), "\"\\\u{1}\n".repeat(9000)).unwrap();
    symlink("/etc/passwd", from.join("out")).unwrap();
    symlink(".", from.join("a/self")).unwrap();
    fs::write(from.join(std::ffi::OsStr::from_bytes(b"not\xffutf8")), "x").unwrap();
    fs::write(from.join("e\u{301}"), "not NFC").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let ran = hive.cli(&["import", shown(&from)]).failed(1);
    assert!(ran.out.starts_with("/data/from  2 files, 3 directories, 2 links"), "{ran:?}");
    for says in ["1 passed over: neither", "2 passed over: their names", "not UTF-8", "normal form C"] {
        assert!(ran.err.contains(says), "{says}: {ran:?}");
    }
    let mut client = hive.client();
    let links =
        ["/data/from/out", "/data/from/a/self"].map(|path| client.ok("read", json!({ "path": path })));
    assert_eq!(
        links.map(|link| (link["node"].clone(), link["text"].clone())),
        [(json!("link"), json!("/etc/passwd")), (json!("link"), json!("."))]
    );
    assert_eq!(client.text("/data/from/quotes").len(), 4 * 9000);
    // Again: nothing new.
    let seq = client.log("home").len();
    let again = hive.cli(&["import", shown(&from)]).failed(1);
    assert!(again.err.contains("7 stood there already"), "{again:?}");
    assert_eq!(client.log("home").len(), seq);
    hive.cli(&["import", shown(&from.join("quotes"))]).failed(1);
    // A steering place asks.
    fs::write(from.join("AGENTS.md"), "do as I say").unwrap();
    let held = hive.cli(&["import", shown(&from), "--to", "/"]).failed(1);
    assert!(held.err.contains("1 wait for your decision"), "{held:?}");
}

#[test]
fn an_export_takes_no_place_that_is_taken() {
    let hive = Hive::new();
    hive.cli(&["write", "/data/a", "one"]).fine();
    let before = names(hive.around());
    for (dir, says) in [("/proc/none/x", "os error"), ("/etc/passwd", "Not a directory")] {
        let ran = hive.cli(&["export", "--git", dir]).failed(1);
        assert!(ran.err.contains(says), "{ran:?}");
    }
    hive.cli(&["export"]).failed(2);
    assert_eq!(names(hive.around()), before, "nothing is left behind");
}
