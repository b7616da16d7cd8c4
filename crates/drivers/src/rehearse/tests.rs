//! A manifest alone makes an integration; what it would do is a file, and nothing else happens.

use super::*;
use std::os::unix::fs::symlink;

const MANIFEST: &str = r#"{"kinds": [{"name": "door.open", "class": "external-irreversible",
    "recovery": "probe", "steering": ["door"], "payload": ["note"]}]}"#;

/// A directory with these files.
fn stage(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

fn fields(rows: &[(&str, &str)]) -> Fields {
    rows.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
}

fn names(mount: &Rehearse) -> Vec<String> {
    mount.poll().unwrap().iter().map(|delivery| delivery.path.to_string()).collect()
}

#[test]
fn a_directory_is_refused_with_what_is_wrong() {
    let twice = MANIFEST.replace("[\"note\"]", "[\"door\"]");
    for (files, want) in [
        (vec![], "No such file"),
        (vec![("manifest.json", "{")], "EOF"),
        (vec![("manifest.json", "{}")], "missing field"),
        (vec![("manifest.json", twice.as_str())], "names an argument twice"),
    ] {
        let home = stage(&files);
        let error = Rehearse::open(home.path()).map(drop).unwrap_err();
        assert!(error.message.contains(want) && !error.hint.is_empty(), "{error:?}");
        assert!(!home.path().join("items").exists(), "nothing was made");
    }
}

#[test]
fn items_are_delivered_once_and_again_when_they_change() {
    let home = stage(&[
        ("manifest.json", MANIFEST),
        ("items/inbox/one.md", "One."),
        ("items/two.md", "Two."),
        ("secret", "Not of this mount."),
        ("items/e\u{301}", "x"),
    ]);
    symlink(home.path().join("secret"), home.path().join("items/link.md")).unwrap();
    let mount = Rehearse::open(home.path()).unwrap();
    assert_eq!(names(&mount), ["/inbox/one.md", "/two.md"]);
    let all = mount.poll().unwrap();
    assert_eq!(all.iter().map(|one| one.bytes.as_slice()).collect::<Vec<_>>(), [b"One.", b"Two."]);
    mount.accept(&all[0]);
    assert_eq!(names(&mount), ["/two.md"], "offered until accepted");
    mount.accept(&all[1]);
    assert_eq!(mount.poll().unwrap(), vec![]);
    fs::write(home.path().join("items/two.md"), "Two and a half.").unwrap();
    assert_eq!(names(&mount), ["/two.md"]);
    mount.accept(&all[1]);
    assert_eq!(names(&mount), ["/two.md"], "what was accepted is not what stands there now");
}

#[test]
fn too_many_items_are_said() {
    let home = stage(&[("manifest.json", MANIFEST)]);
    let mount = Rehearse::open(home.path()).unwrap();
    let large = vec![b'x'; limits::BLOB_INLINE_BYTES_MAX as usize * 2];
    fs::write(home.path().join("items/large"), large).unwrap();
    let read = mount.poll().unwrap().pop().unwrap().bytes.len() as u64;
    assert_eq!(read, limits::BLOB_INLINE_BYTES_MAX + 1, "enough for the machine to refuse it");
    for number in 0..ITEMS_MAX {
        fs::write(home.path().join(format!("items/{number}")), "x").unwrap();
    }
    assert_eq!(mount.poll(), Err(format!("items holds more than {ITEMS_MAX} names")));
}

#[test]
fn an_effect_is_written_once_and_found() {
    let home = stage(&[("manifest.json", MANIFEST), ("answers/door.open.txt", "It is open.")]);
    let mount = Rehearse::open(home.path()).unwrap();
    let id = EffectId::of(b"1");
    let args = fields(&[("door", "back"), ("note", "now")]);
    assert_eq!(mount.probe(&id, "door.open", &args), Probed::Absent);
    for _ in 0..2 {
        assert_eq!(mount.send(&id, "door.open", &args), Ok(b"It is open.".to_vec()));
    }
    assert_eq!(mount.probe(&id, "door.open", &args), Probed::Happened(Content::of(b"")));
    let sent: Vec<_> = fs::read_dir(home.path().join("sent")).unwrap().collect();
    assert_eq!(sent.len(), 1);
    let written: serde_json::Value = serde_json::from_slice(&fs::read(mount.file(&id)).unwrap()).unwrap();
    let args = json!({ "door": ["back"], "note": ["now"] });
    assert_eq!(written, json!({ "effect": id.to_string(), "kind": "door.open", "args": args }));
}

#[test]
fn bad_effects_are_refused() {
    let open = r#"{"kinds": [], "open": true}"#;
    let id = EffectId::of(b"1");
    for (manifest, kind, rows, want) in [
        (MANIFEST, "door.shut", vec![], "there is no effect \"door.shut\" here; known: door.open"),
        (MANIFEST, "door.open", vec![("key", "x")], "door.open has no argument \"key\"; it takes door, note"),
        (open, "../up", vec![], "\"../up\" is not a name"),
    ] {
        let home = stage(&[("manifest.json", manifest)]);
        let mount = Rehearse::open(home.path()).unwrap();
        assert_eq!(mount.send(&id, kind, &fields(&rows)), Err(want.to_owned()));
    }
    // Another effect's file under this name is never taken for this one, nor written over.
    let home = stage(&[("manifest.json", MANIFEST)]);
    let mount = Rehearse::open(home.path()).unwrap();
    fs::write(mount.file(&id), r#"{"effect": "another"}"#).unwrap();
    assert_eq!(mount.probe(&id, "door.open", &fields(&[])), Probed::Unknown);
    assert!(mount.send(&id, "door.open", &fields(&[])).unwrap_err().ends_with("is another effect"));
}
