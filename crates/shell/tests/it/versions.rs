//! Rows about versions: histories, diffs, blame, conflicts, moments.

use crate::door::{Rows, transcript};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

fn check(words: &[&str], rows: Rows, want: &Expect) {
    want.assert_eq(&transcript(words, rows).0);
}

/// A version of `/data/a`, by number, parents and what else it has.
fn version(id: u64, parents: &[u64], more: Value) -> Value {
    let mut row = json!({"version": id, "operation": id, "mtime": 1, "actor": "agent:x", "pid": 7,
        "node": "file", "bytes": 5, "label": "workspace", "diverged": false, "message": null,
        "path": "/data/a", "hash": format!("h{id}"), "parents": parents});
    if let (Some(row), Some(more)) = (row.as_object_mut(), more.as_object()) {
        row.extend(more.clone());
    }
    row
}

fn text(version: u64, text: &str) -> Value {
    json!({"version": version, "bytes": text.len(), "text": text})
}

#[test]
fn a_log_marks_merges_divergence_and_moves() {
    let versions = json!({"versions": [
        version(9, &[8], json!({"diverged": true, "message": "late\u{1b}[2J"})),
        version(8, &[6, 7], json!({})),
        version(7, &[5], json!({"diverged": true})),
        version(6, &[5], json!({"actor": "operator:anna", "pid": 0})),
        version(5, &[4], json!({"path": "/data/a"})),
        version(4, &[], json!({"path": "/data/old"})),
    ]});
    check(
        &["log", "/data/a"],
        vec![("history", "/data/a", versions)],
        &expect![[r#"
        | VERSION  OPERATION  CHANGED           ACTOR          PID  WHAT            BYTES  LABEL      MOVED TO  MESSAGE
        |       9  op:9       1970-01-01 00:00  agent:x          7  diverged            5  workspace  -         late\u{1b}[2J
        |       8  op:8       1970-01-01 00:00  agent:x          7  merge 6+7           5  workspace  -         -
        |       7  op:7       1970-01-01 00:00  agent:x          7  diverged, in 8      5  workspace  -         -
        |       6  op:6       1970-01-01 00:00  operator:anna    -  file                5  workspace  -         -
        |       5  op:5       1970-01-01 00:00  agent:x          7  file                5  workspace  /data/a   -
        |       4  op:4       1970-01-01 00:00  agent:x          7  file                5  workspace  -         -
        | exit 0
        ! hint: version 9 is kept beside the head: skep resolve /data/a --take ours|theirs|edit
    "#]],
    );
}

#[test]
fn a_log_has_pages() {
    let versions = json!({"versions": [version(9, &[8], json!({})), version(8, &[], json!({}))]});
    let (printed, asked) =
        transcript(&["log", "/data/a", "-n", "1", "--before", "10"], vec![("history", "/data/a", versions)]);
    expect![[r#"
        | VERSION  OPERATION  CHANGED           ACTOR    PID  WHAT  BYTES  LABEL      MOVED TO  MESSAGE
        |       9  op:9       1970-01-01 00:00  agent:x    7  file      5  workspace  -         -
        | exit 0
        ! hint: older ones: skep log /data/a --before 9
        ! hint: skep undo op:OPERATION takes one back; skep diff PATH@VERSION shows what it changed
    "#]]
    .assert_eq(&printed);
    let want = json!({"path": "/data/a", "limit": 2, "before": 10, "workspace": "home"});
    assert_eq!(asked.first().map(|(_, params)| params), Some(&want));
}

#[test]
fn an_operation_is_what_it_made() {
    let made =
        json!({"versions": [version(7, &[5], json!({"diverged": true})), version(8, &[6, 7], json!({}))]});
    check(
        &["log", "op:4"],
        vec![("history", "", made)],
        &expect![[r#"
        | VERSION  WHAT      BYTES  MADE FROM  LABEL      PATH
        |       7  diverged      5  5          workspace  /data/a
        |       8  file          5  6+7        workspace  /data/a
        | exit 0
        ! op:4 by agent:x, process 7 at 1970-01-01 00:00
        ! hint: skep diff op:4 shows its lines; skep why op:4 what led to it
    "#]],
    );
    check(
        &["log", "op:5"],
        vec![("history", "", json!({"versions": []}))],
        &expect![[r#"
        | exit 1
        ! error: there is no operation 5
        ! hint: skep log
    "#]],
    );
}

#[test]
fn a_diff_is_of_two_contents() {
    let head = json!({"versions": [version(6, &[5], json!({})), version(5, &[], json!({}))]});
    let rows: Rows =
        vec![("history", "/data/a", head.clone()), ("read", "/data/a", text(6, "one\ntwo\u{202e}\n"))];
    // The door answers one text for every version, so that nothing differs.
    check(
        &["diff", "/data/a@6"],
        rows,
        &expect![[r#"
        | --- /data/a@5  agent:x  1970-01-01 00:00
        | +++ /data/a@6  agent:x  1970-01-01 00:00
        | no line differs
        | exit 0
    "#]],
    );
    let binary = json!({"version": 6, "bytes": 3, "base64": "AAEC"});
    let rows: Rows = vec![("history", "/data/a", head), ("read", "/data/a", binary)];
    check(
        &["diff", "/data/a@5", "/data/a"],
        rows,
        &expect![[r#"
        | --- /data/a@5  agent:x  1970-01-01 00:00
        | +++ /data/a@6  agent:x  1970-01-01 00:00
        | not compared by line: binary, 3 B -> binary, 3 B
        | exit 0
    "#]],
    );
    check(
        &["diff", "op:x"],
        vec![],
        &expect![[r#"
        | exit 2
        ! error: "op:x" is no operation
        ! hint: write it as op:34; skep log lists them
    "#]],
    );
    check(
        &["diff", "op:1", "/data/a"],
        vec![],
        &expect![[r#"
        | exit 2
        ! error: an operation is compared with what was there before it
        ! hint: skep diff op:34; two versions: skep diff PATH@12 PATH@14
    "#]],
    );
}

#[test]
fn moments_become_arguments() {
    let rows: [(&[&str], &str, Value); 3] = [
        (&["ls", "/data", "--at", "12"], "list", json!({"path": "/data", "at": 12, "workspace": "home"})),
        (
            &["cat", "/data/a", "--at", "1970-01-02"],
            "read",
            json!({"path": "/data/a", "at_us": 86_400_000_000_u64, "workspace": "home"}),
        ),
        (
            &["diff", "/data/a", "--at", "12"],
            "read",
            json!({"path": "/data/a", "at": 12, "offset": 0, "length": 1_048_576, "workspace": "home"}),
        ),
    ];
    for (words, method, want) in rows {
        let (_, asked) = transcript(words, vec![]);
        assert_eq!(asked.first(), Some(&(method.to_owned(), want)), "{words:?}");
    }
    check(
        &["cat", "/data/a", "--at", "soon"],
        vec![],
        &expect![[r#"
        | exit 2
        ! error: "soon" is no moment
        ! hint: a record's number, 2026-11-20, 2026-11-20T14:02:11Z, or 10m, 2h, 3d ago
    "#]],
    );
}

#[test]
fn conflicts_are_resolved_by_name() {
    let open = json!({"text": "12 /data/a 9 11 agent:x\n14 /data/a 9 11 agent:x\n15 /data/b 9 13 agent:x\n"});
    let rows = || -> Rows { vec![("read", "/sys/conflicts", open.clone())] };
    check(
        &["resolve", "/data/a", "--take", "ours"],
        rows(),
        &expect![[r#"
        | exit 2
        ! error: /data/a has 2 open conflicts
        ! hint: name one with --version: 12, 14
    "#]],
    );
    check(
        &["resolve", "/data/c", "--take", "ours"],
        rows(),
        &expect![[r#"
        | exit 1
        ! error: no conflict is open at /data/c
        ! hint: skep inbox lists all
    "#]],
    );
    check(
        &["resolve", "/data/a", "--version", "15", "--take", "ours"],
        rows(),
        &expect![[r#"
        | exit 1
        ! error: no conflict of version 15 is open at /data/a
        ! hint: skep inbox lists all
    "#]],
    );
    let wrote = json!({"operation": 9, "version": 16, "path": "/data/b"});
    let mut all = rows();
    all.push(("write", "/data/b", wrote));
    let (printed, asked) = transcript(&["resolve", "/data/b", "--take", "theirs", "-m", "x"], all);
    expect![[r#"
        | /data/b version 16 op:9, made of 15 and 13
        | exit 0
        ! hint: skep diff /data/b@16; skep undo op:9 takes it back
        ! 3 conflicts are open; skep inbox shows how to resolve
    "#]]
    .assert_eq(&printed);
    let want = json!({"path": "/data/b", "mode": "resolve", "version": 15, "take": "theirs", "base": 13,
        "origin": "file", "message": "x", "workspace": "home"});
    assert_eq!(asked.iter().find(|(method, _)| method == "write").map(|(_, params)| params), Some(&want));
}

#[test]
fn moving_and_removing() {
    let rows: Rows = vec![("move", "/data/a", json!({"operation": 9, "version": 16, "path": "/data/old/a"}))];
    let (printed, asked) = transcript(&["mv", "/data/a", "/data/old/"], rows);
    expect![[r#"
        | /data/a -> /data/old/a op:9
        | exit 0
        ! hint: skep undo op:9 takes it back
    "#]]
    .assert_eq(&printed);
    let want = json!({"from": "/data/a", "to": "/data/old/a", "workspace": "home"});
    assert_eq!(asked.first().map(|(_, params)| params), Some(&want));
    let rows: Rows = vec![("remove", "/data/a", json!({"operation": 9, "version": 16, "path": "/data/a"}))];
    check(
        &["rm", "/data/a"],
        rows,
        &expect![[r#"
        | /data/a removed op:9
        | exit 0
        ! hint: skep undo op:9 takes it back
    "#]],
    );
}
