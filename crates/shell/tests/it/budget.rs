//! Limits: shown, set, and what stands still because of one.

use crate::door::{Rows, transcript};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

fn check(words: &[&str], rows: Rows, want: &Expect) {
    want.assert_eq(&transcript(words, rows).0);
}

fn text(text: &str) -> Value {
    json!({"text": text})
}

#[test]
fn a_limit_is_set_and_what_changes_is_said() {
    let rows = |frozen: u64| -> Rows {
        vec![
            ("read", "/sys/budget", text("workspace money day $4.10 $0.00 $5.00 near\n")),
            ("read", "/sys/status", text(&format!("frozen {frozen}\n"))),
            ("write", "/sys/ctl", json!({"ok": true})),
        ]
    };
    let (printed, asked) = transcript(&["budget", "set", "today", "8"], rows(1));
    expect![[r#"
        | workspace: money $5.00 -> $8.00 a day; $4.10 used
        | exit 0
        ! hint: skep ps shows what stands frozen, skep thaw PID lets it go on
    "#]]
    .assert_eq(&printed);
    let said = |asked: &[(String, Value)]| {
        let found = asked.iter().find(|(method, _)| method == "write");
        found.map(|(_, params)| params["text"].clone())
    };
    assert_eq!(said(&asked), Some(json!("budget workspace money day $8.00")));
    let (printed, asked) = transcript(&["budget", "set", "agent:x", "tokens_out", "month", "400k"], rows(0));
    expect![[r#"
        | agent:x: tokens_out none -> 400000 a month
        | exit 0
    "#]]
    .assert_eq(&printed);
    assert_eq!(said(&asked), Some(json!("budget agent:x tokens_out month 400000")));
    check(
        &["budget", "set", "today", "day", "8"],
        rows(0),
        &expect![[r#"
        | exit 2
        ! error: "today day 8" sets no limit
        ! hint: skep budget set workspace day 8, skep budget set today 8
    "#]],
    );
    check(
        &["budget", "set", "workspace", "calls", "day", "8.5"],
        rows(0),
        &expect![[r#"
        | exit 2
        ! error: "8.5" is not a count
        ! hint: write it as 400k or 2m
    "#]],
    );
}

#[test]
fn budget_and_signals() {
    let rows = vec![(
        "read",
        "/sys/budget",
        text(
            "workspace money day 42100000 0 5000000000 fine\nprocess:7 calls run 3 1 4 near\n\
             process:7 effects run 3 1 - fine\n",
        ),
    )];
    check(
        &["budget"],
        rows,
        &expect![[r#"
            | ACCOUNT    RESOURCE  WINDOW     USED  RESERVED  LIMIT  STATE
            | workspace  money     day     $0.0421     $0.00  $5.00  -
            | process:7  calls     run           3         1      4  near
            | process:7  effects   run           3         1      -  -
            | exit 0
            ! hint: skep budget set today 8, skep budget set ACCOUNT day AMOUNT
        "#]],
    );
    check(
        &["freeze", "7"],
        vec![("signal", "7", json!({"ok": true}))],
        &expect![[r#"
            | 7 frozen
            | exit 0
            ! hint: skep thaw 7 lets it go on
        "#]],
    );
}
