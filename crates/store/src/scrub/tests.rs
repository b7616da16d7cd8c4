//! A purge that ends at any step is finished by the next opening.

use super::*;
use crate::{Options, Workspace};
use abi::{
    Content, FileId, LabelId, OpId, Pid, VersionId,
    path::TreePath,
    record::{Entry, Record},
    tree::{Change, Node},
};
use std::path::Path;
use tempfile::TempDir;

const SECRET: &[u8] = b"what nobody may know any more";

fn record(seq: u64, body: Entry) -> Record {
    Record { seq: Seq(seq), at: seq, actor: "operator:op".into(), pid: Pid(0), cause: Seq(seq), body }
}

/// A workspace with a file, a text that holds it, an older copy and an index beside it, and the record of
/// its purge, committed: the power goes before anything else happens.
fn purged() -> TempDir {
    let dir = TempDir::new().unwrap();
    let mut workspace = Workspace::create(dir.path(), &Options::default()).unwrap();
    for left in ["index.db", "index.db-wal", "workspace.db.format-1"] {
        fs::write(dir.path().join(left), SECRET).unwrap();
    }
    let mut batch = workspace.begin().unwrap();
    let content = batch.put_blob(SECRET).unwrap();
    let text = serde_json::json!({ "said": String::from_utf8_lossy(SECRET) }).to_string();
    batch.put_blob(text.as_bytes()).unwrap();
    let path = TreePath::parse("/secret").unwrap();
    let change = Change {
        file: FileId(2),
        dir: FileId(1),
        path: path.clone(),
        moved_from: None,
        version: VersionId(1),
        node: Node::File,
        content,
        mode: 0o644,
        mtime: 1,
        label: LabelId(0),
        parents: vec![],
        diverged: false,
        scratch: false,
    };
    batch
        .append(&record(1, Entry::Wrote { op: OpId(1), changes: vec![change], message: None, undoes: None }))
        .unwrap();
    batch.commit().unwrap();
    let mut batch = workspace.begin().unwrap();
    let purged =
        Entry::Purged { path, files: vec![FileId(2)], upto: VersionId(1), reason: Content::default() };
    batch.append(&record(2, purged)).unwrap();
    batch.commit().unwrap();
    dir
}

fn holds(dir: &Path) -> bool {
    let mut files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.any(|file| fs::read(file).unwrap().windows(SECRET.len()).any(|window| window == SECRET))
}

#[test]
fn cut_off_at_any_step_it_is_finished_by_the_next_opening() {
    for done in 0..=STEPS.len() {
        let dir = purged();
        assert!(holds(dir.path()), "the control: before, it is there");
        let db =
            schema::open(&dir.path().join("workspace.db"), &Options::default(), Default::default()).unwrap();
        STEPS.iter().take(done).for_each(|step| step(&db).unwrap());
        drop(db);
        let workspace = Workspace::open(dir.path(), &Options::default()).unwrap();
        assert_eq!((holds(dir.path()), workspace.scrub_due()), (false, Ok(false)), "after {done} steps");
        let blob = workspace.blob(&Hash::of(SECRET)).unwrap();
        assert_eq!((blob, workspace.head().0), (None, Seq(2)));
    }
}

#[test]
fn what_hinders_it_hinders_nothing_else_and_it_goes_on_later() {
    let dir = purged();
    let file = dir.path().join("workspace.db");
    let reader = schema::look(&file).unwrap();
    reader.connection.execute_batch("BEGIN; SELECT count(*) FROM records").unwrap();
    let mut workspace = Workspace::open(dir.path(), &Options::default()).unwrap();
    assert_eq!((workspace.scrub(), workspace.scrub_due()), (Err(Trouble::Locked { file }), Ok(true)));
    drop(reader);
    assert_eq!((workspace.tend(), workspace.scrub_due(), holds(dir.path())), (Ok(()), Ok(false), false));
}

#[test]
fn a_content_is_found_however_deep_it_is_quoted() {
    let content = "say \"yes\"\nand go";
    let once = serde_json::to_string(content).unwrap();
    let twice =
        serde_json::json!({ "out": serde_json::json!([{ "text": content }]).to_string() }).to_string();
    let mut sought = Sought::default();
    sought.add(content.as_bytes().to_vec());
    let rows = [
        (content.to_owned(), true),
        (format!("before {content} after"), true),
        (once.clone(), true),
        (format!(" {{\"a\": {once}}}"), true),
        (twice, true),
        (serde_json::json!({ content: 1 }).to_string(), true),
        (format!("it said {once} to me"), true),
        (format!("it said {} to me", serde_json::to_string(&once).unwrap()), true),
        (abi::wire::to_base64(content.as_bytes()), true),
        ("say \"yes\" and go".to_owned(), false),
        (content[..10].to_owned(), false),
        (String::new(), false),
        ("{not json".to_owned(), false),
    ];
    let got: Vec<_> = rows.iter().map(|(text, _)| (text.clone(), sought.is_in(text.as_bytes()))).collect();
    assert_eq!(got, rows);
}
