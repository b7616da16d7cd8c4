//! On real directories; what reaches outside has its control beside it.

use super::*;
use std::{
    fs::{read_dir, read_to_string, write},
    io::Write,
    os::unix::fs::{MetadataExt, symlink},
};

fn dir() -> (tempfile::TempDir, HostDir) {
    let temp = tempfile::tempdir().unwrap();
    let host = HostDir::open(&temp.path().canonicalize().unwrap()).unwrap();
    (temp, host)
}

fn put(host: &HostDir, path: &str, name: Name, text: &str) -> io::Result<Option<Beside>> {
    host.put(path, name, (0o640, 5_000_000), &mut |file| file.write_all(text.as_bytes()))
}

fn text(beside: &Beside) -> String {
    io::read_to_string(beside.file().unwrap()).unwrap()
}

#[test]
fn what_stood_there_comes_out() {
    let (temp, host) = dir();
    let path = temp.path().join("a/b.txt");
    assert!(put(&host, "a/b.txt", Name(1, 0), "one").unwrap().is_none());
    let meta = path.metadata().unwrap();
    assert_eq!((meta.mode() & 0o777, meta.mtime()), (0o640, 5));
    // An editor of the old school writes into the file, one of the new puts another in its place.
    write(&path, "theirs").unwrap();
    let out = put(&host, "a/b.txt", Name(2, 0), "two").unwrap().unwrap();
    assert_eq!((text(&out).as_str(), read_to_string(&path).unwrap().as_str()), ("theirs", "two"));
    // After a crash it is found by its name.
    drop(out);
    let again = host.beside("a/b.txt", Name(2, 0)).unwrap().unwrap();
    assert_eq!(text(&again), "theirs");
    // It hides from listings, and goes.
    assert_eq!(host.list("a").unwrap().len(), 1);
    again.remove().unwrap();
    assert_eq!(read_dir(temp.path().join("a")).unwrap().count(), 1);
    assert!(host.beside("a/b.txt", Name(2, 0)).unwrap().is_none());
}

#[test]
fn what_is_taken_can_go_back() {
    let (temp, host) = dir();
    write(temp.path().join("x"), "x").unwrap();
    let out = host.take("x", Name(1, 0)).unwrap().unwrap();
    assert!(!temp.path().join("x").exists());
    assert!(out.put_back("x").unwrap());
    let out = host.take("x", Name(1, 0)).unwrap().unwrap();
    write(temp.path().join("x"), "new").unwrap();
    assert!(!out.put_back("x").unwrap());
    assert_eq!(text(&out), "x");
    assert!(host.take("nothing/here", Name(1, 1)).unwrap().is_none());
}

/// Controls stand beside each: the plain call would have done it.
#[test]
fn nothing_is_reached_outside() {
    let (temp, host) = dir();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path().join("secret"), "s").unwrap();
    symlink(outside.path(), temp.path().join("out")).unwrap();
    symlink(outside.path().join("secret"), temp.path().join("file")).unwrap();
    assert_eq!(read_to_string(temp.path().join("out/secret")).unwrap(), "s");
    assert!(host.look("out/secret").unwrap().is_none());
    assert!(host.file("out/secret").is_err() && host.file("file").is_err());
    assert!(host.list("out").unwrap().is_empty());
    for path in ["out/new", "../new", "/tmp/new"] {
        assert!(put(&host, path, Name(1, 0), "n").is_err(), "{path}");
    }
    assert!(host.take("out/secret", Name(1, 0)).is_err());
    assert!(host.rename("out/secret", "mine").is_err());
    assert!(host.dir("out/dir", 0o755).is_err());
    // A link is replaced, not followed.
    let out = put(&host, "file", Name(3, 0), "n").unwrap().unwrap();
    assert_eq!(out.seen.unwrap().node, Node::Link);
    assert!(out.is_quiet().unwrap());
    assert_eq!(read_to_string(outside.path().join("secret")).unwrap(), "s");
    assert_eq!(host.target("out").unwrap(), outside.path().as_os_str().as_bytes());
}

#[test]
fn directories_are_not_replaced() {
    let (temp, host) = dir();
    std::fs::create_dir(temp.path().join("d")).unwrap();
    write(temp.path().join("d/in"), "in").unwrap();
    assert!(put(&host, "d", Name(1, 0), "n").is_err());
    assert_eq!(read_to_string(temp.path().join("d/in")).unwrap(), "in");
    assert!(host.rmdir("d").is_err());
    assert!(host.rename("d", "e/f").unwrap());
    assert_eq!(read_to_string(temp.path().join("e/f/in")).unwrap(), "in");
    assert!(!host.rename("d", "g").unwrap());
    host.dir("e", 0o700).unwrap();
    assert_eq!(host.look("e").unwrap().unwrap().mode, 0o700);
    assert_eq!(read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn what_no_tree_can_have_is_not_listed() {
    let (temp, host) = dir();
    write(temp.path().join("plain"), "").unwrap();
    write(temp.path().join("e\u{301}"), "").unwrap();
    write(temp.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    let listed = host.list("").unwrap();
    assert_eq!(listed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["plain"]);
}

#[test]
fn who_still_writes_is_seen() {
    let (temp, host) = dir();
    write(temp.path().join("x"), "x").unwrap();
    let writer = std::fs::OpenOptions::new().append(true).open(temp.path().join("x")).unwrap();
    let reader = std::fs::File::open(temp.path().join("x")).unwrap();
    let out = put(&host, "x", Name(1, 0), "new").unwrap().unwrap();
    assert!(!out.is_quiet().unwrap());
    drop(writer);
    assert!(out.is_quiet().unwrap(), "one that reads is nobody");
    drop(reader);
}
