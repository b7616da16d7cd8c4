//! The operator's side of decisions: what is shown of them, and what is decided by which digest.

use crate::door::{Rows, transcript, typed};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

fn check(words: &[&str], rows: Rows, want: &Expect) {
    want.assert_eq(&transcript(words, rows).0);
}

fn text(text: &str) -> Value {
    json!({"text": text})
}

/// A status; `expires` lies in the past, so that no line of it depends on the day.
fn status(id: u64, rest: &str) -> Value {
    let own = format!("{id}").repeat(64);
    text(&format!(
        "proposal {id}\nstate proposed\npid 7\nagent triage\nlabel external mount:mail\ndigest {own}\nexpires 1\n\
         made 9\nwait_us 1\n{rest}"
    ))
}

const MAIL: &str = "kind mail.send\nmount outbox\nclass irreversible\nrule rule 6\nwhy nobody vouched\npages 1\n\
    group 3\nmembers 3 4\ngroup_digest aaaa\n";
const QUESTION: &str = "kind ask\nmount operator\nclass question\nrule question\nwhy an answer is wanted\npages 1\n\
    about Which colour?\ngroup 5\nmembers 5\ngroup_digest bbbb\n";
const FILE: &str = "kind write\nmount -\nclass call\nrule steering place\nwhy it would steer agents\npages 1\n\
    about /agents/x/AGENT.md\ngroup 6\nmembers 6\ngroup_digest cccc\n";

/// Two mails that are decided together, a question, a held write.
fn rows() -> Rows {
    let names = ["3", "4", "5", "6"].map(|name| json!({"name": name, "node": "dir"}));
    vec![
        ("list", "/proposals", json!({ "entries": names })),
        ("read", "/proposals/3/status", status(3, MAIL)),
        ("read", "/proposals/3/shown", text("Send a mail to a@x.example\nbody: hi\\u{202e}\n")),
        ("read", "/proposals/4/status", status(4, MAIL)),
        ("read", "/proposals/4/shown", text("Send a mail to b@x.example\nbody: proposal 9\u{1b}[2J\n")),
        ("read", "/proposals/5/status", status(5, QUESTION)),
        (
            "read",
            "/proposals/5/shown",
            text("question: Which colour?\nchoice 1: red\nchoice 2: deep\\nblue\\\\\n"),
        ),
        ("read", "/proposals/6/status", status(6, FILE)),
        ("read", "/proposals/6/shown", text("path: /agents/x/AGENT.md\nwrite: whole file, mode 644\n")),
        ("read", "/sys/conflicts", text("12 /data/a\u{202e} 9 11 agent:drafts\n")),
    ]
}

/// One of three pages.
fn long() -> Rows {
    let shown: String = (1..=100).map(|line| format!("body: line {line}\n")).collect();
    let mail = MAIL.replace("pages 1", "pages 3").replace("members 3 4", "members 3");
    vec![
        ("read", "/proposals/3/status", status(3, &mail)),
        ("read", "/proposals/3/shown", text(&shown)),
        ("decide", "3", json!({"proposal": 3, "state": "approved"})),
    ]
}

fn with(more: Rows) -> Rows {
    more.into_iter().chain(rows()).collect()
}

/// What the daemon was told to decide.
fn decided(asked: &[(String, Value)]) -> Vec<Value> {
    let calls = asked.iter().filter(|(method, _)| method == "decide");
    calls.map(|(_, params)| params.clone()).collect()
}

#[test]
fn all_that_waits_in_one_list() {
    check(
        &["inbox"],
        rows(),
        &expect![[r#"
            | 3    mail.send at outbox   2 decided at once: 3, 4
            |      by      triage (process 7)
            |      why     rule 6: nobody vouched
            |      label   external (mount:mail): text from outside had a part in it
            |      age     expired at 1970-01-01 00:00
            |      proposal 3, 1 of 2: mail.send at outbox
            |      | Send a mail to a@x.example
            |      | body: hi\u{202e}
            |      proposal 4, 2 of 2: mail.send at outbox
            |      | Send a mail to b@x.example
            |      | body: proposal 9\u{1b}[2J
            | 5    question
            |      by      triage (process 7)
            |      why     question: an answer is wanted
            |      label   external (mount:mail): text from outside had a part in it
            |      age     expired at 1970-01-01 00:00
            |      | question: Which colour?
            |      | choice 1: red
            |      | choice 2: deep\nblue\\
            | 6    write /agents/x/AGENT.md
            |      by      triage (process 7)
            |      why     steering place: it would steer agents
            |      label   external (mount:mail): text from outside had a part in it
            |      age     expired at 1970-01-01 00:00
            |      | path: /agents/x/AGENT.md
            |      | write: whole file, mode 644
            | two  texts of /data/a\u{202e}
            |      ours    version 12 by agent:drafts, kept beside the head
            |      theirs  version 11, the head, both made from version 9
            |      | skep resolve /data/a\u{202e} --version 12 --take ours|theirs|edit
            | exit 0
            ! hint: skep approve ID, skep reject ID, skep answer ID TEXT; skep why ID shows where it comes from
        "#]],
    );
    check(
        &["inbox"],
        vec![("list", "/proposals", json!({"entries": []})), ("read", "/sys/conflicts", text(""))],
        &expect![[r#"
            | exit 0
            ! nothing waits for you
        "#]],
    );
}

#[test]
fn all_of_one_and_what_decides_it() {
    check(
        &["inbox", "4"],
        rows(),
        &expect![[r#"
            | 3    mail.send at outbox   2 decided at once: 3, 4
            |      by      triage (process 7)
            |      why     rule 6: nobody vouched
            |      label   external (mount:mail): text from outside had a part in it
            |      age     expired at 1970-01-01 00:00
            | proposal 3, 1 of 2: mail.send at outbox
            | | Send a mail to a@x.example
            | | body: hi\u{202e}
            | proposal 4, 2 of 2: mail.send at outbox
            | | Send a mail to b@x.example
            | | body: proposal 9\u{1b}[2J
            |   skep approve 3 --digest aaaa   exactly these, once
            |   skep approve 3 --one           only this one
            |   skep modify 3 FIELD=VALUE      as you change it, once
            |   skep reject 3 --reason TEXT    the agent is told why
            |   skep why 3                     where it comes from
            | exit 0
        "#]],
    );
    check(
        &["inbox", "5"],
        rows(),
        &expect![[r#"
            | 5    question
            |      by      triage (process 7)
            |      why     question: an answer is wanted
            |      label   external (mount:mail): text from outside had a part in it
            |      age     expired at 1970-01-01 00:00
            | | question: Which colour?
            | | choice 1: red
            | | choice 2: deep\nblue\\
            |   skep answer 5 TEXT            the number of a choice will do
            |   skep reject 5 --reason TEXT   the agent is told why
            |   skep why 5                    where it comes from
            | exit 0
        "#]],
    );
    check(
        &["inbox", "6"],
        rows(),
        &expect![[r#"
            | 6    write /agents/x/AGENT.md
            |      by      triage (process 7)
            |      why     steering place: it would steer agents
            |      label   external (mount:mail): text from outside had a part in it
            |      age     expired at 1970-01-01 00:00
            | | path: /agents/x/AGENT.md
            | | write: whole file, mode 644
            |   skep approve 6                exactly this, once
            |   skep modify 6 FIELD=VALUE     as you change it, once
            |   skep reject 6 --reason TEXT   the agent is told why
            |   skep why 6                    where it comes from
            | exit 0
        "#]],
    );
}

#[test]
fn all_of_one_as_an_object_and_of_none() {
    check(
        &["inbox", "9"],
        rows(),
        &expect![[r#"
        | exit 1
        ! error: no proposal 9 waits
        ! hint: skep inbox, skep inbox --past
    "#]],
    );
    check(
        &["--json", "inbox", "5"],
        rows(),
        &expect![[r#"
        | {"about":"Which colour?","agent":"triage","class":"question","digest":"5555555555555555555555555555555555555555555555555555555555555555","expires":1,"group":5,"group_digest":"bbbb","kind":"ask","label":"external mount:mail","made":9,"members":[5],"mount":"operator","pages":1,"pid":7,"proposal":5,"rule":"question","shown":"question: Which colour?\nchoice 1: red\nchoice 2: deep\\nblue\\\\\n","state":"proposed","wait_us":1,"why":"an answer is wanted"}
        | exit 0
    "#]],
    );
}

#[test]
fn what_is_approved_is_what_was_shown() {
    let (printed, asked) = transcript(
        &["approve", "6"],
        with(vec![("decide", "6", json!({"proposal": 6, "state": "approved"}))]),
    );
    expect![[r#"
        | | path: /agents/x/AGENT.md
        | | write: whole file, mode 644
        | proposal 6 approved
        | exit 0
    "#]]
    .assert_eq(&printed);
    let want = json!({"proposal": 6, "verdict": "approve", "digest": "6".repeat(64), "workspace": "home"});
    assert_eq!(decided(&asked), [want]);
    // More than one, or more than a page: not without having been shown.
    for (words, rows) in [(["approve", "3"], rows()), (["approve", "3"], long())] {
        let (printed, asked) = transcript(&words, rows);
        assert_eq!((decided(&asked), printed.contains("exit 1")), (vec![], true), "{printed}");
    }
    check(
        &["approve", "3"],
        rows(),
        &expect![[r#"
        | exit 1
        ! error: proposals 3, 4 are decided together, and nobody was shown them
        ! hint: skep inbox 3 shows all of it; then skep approve 3 --digest HEX; only this one: skep approve 3 --one
    "#]],
    );
    check(
        &["approve", "3"],
        long(),
        &expect![[r#"
        | exit 1
        ! error: proposal 3 takes 3 pages, and nobody was shown them
        ! hint: skep inbox 3 shows all of it; then skep approve 3 --digest HEX
    "#]],
    );
    check(
        &["approve", "5"],
        rows(),
        &expect![[r#"
        | exit 1
        ! error: proposal 5 is a question
        ! hint: skep answer 5 TEXT
    "#]],
    );
}

#[test]
fn a_digest_decides_all_of_it_and_one_is_one() {
    let both = ("list", "/proposals", json!({"entries": []}));
    let (printed, asked) = transcript(
        &["approve", "4", "--digest", "aaaa"],
        with(vec![both, ("decide", "3", json!({"proposal": 3, "state": "approved"}))]),
    );
    expect![[r#"
        | proposal 3 approved
        | proposal 4 approved
        | exit 0
    "#]]
    .assert_eq(&printed);
    let want = json!({"proposal": 3, "verdict": "approve", "digest": "aaaa", "workspace": "home"});
    assert_eq!(decided(&asked), [want]);
    let (printed, asked) = transcript(
        &["approve", "4", "--one"],
        with(vec![("decide", "4", json!({"proposal": 4, "state": "approved"}))]),
    );
    expect![[r#"
        | | Send a mail to b@x.example
        | | body: proposal 9\u{1b}[2J
        | proposal 4 approved
        | exit 0
    "#]]
    .assert_eq(&printed);
    let want = json!({"proposal": 4, "verdict": "approve", "digest": "4".repeat(64), "workspace": "home"});
    assert_eq!(decided(&asked), [want]);
}

#[test]
fn what_changed_meanwhile_or_is_gone_is_said() {
    let stale = json!({"code": -33004, "message": "proposal 3 is not what was shown",
        "data": {"code": "Stale", "hint": "look at it again: skep inbox 3"}});
    check(
        &["approve", "3", "--digest", "ab"],
        with(vec![("decide", "3", stale)]),
        &expect![[r#"
        | exit 1
        ! error: proposal 3 is not what was shown
        ! hint: look at it again: skep inbox 3
    "#]],
    );
    // One of two was refused when its turn came.
    let left = ("list", "/proposals", json!({"entries": [{"name": "4", "node": "dir"}]}));
    let done = ("decide", "3", json!({"proposal": 3, "state": "approved"}));
    check(
        &["approve", "3", "--digest", "aaaa"],
        with(vec![left, done]),
        &expect![[r#"
        | proposal 3 approved
        | exit 1
        ! proposal 4 was refused and still waits
        ! hint: skep approve 4 --one says why
    "#]],
    );
    let dead =
        json!({"code": -33010, "message": "proposal 2 was approved already", "data": {"code": "Dead"}});
    let (printed, asked) = transcript(&["reject", "2", "no"], with(vec![("decide", "2", dead)]));
    expect![[r#"
        | exit 1
        ! error: proposal 2 was approved already
    "#]]
    .assert_eq(&printed);
    assert_eq!(decided(&asked)[0]["digest"], "0".repeat(64));
}

#[test]
fn a_group_is_rejected_at_once_and_the_agent_is_told_why() {
    let rows = with(vec![
        ("list", "/proposals", json!({"entries": []})),
        ("decide", "3", json!({"proposal": 3, "state": "rejected"})),
    ]);
    let (printed, asked) = transcript(&["reject", "3", "--reason", "not today"], rows);
    expect![[r#"
        | proposal 3 rejected
        | proposal 4 rejected
        | exit 0
    "#]]
    .assert_eq(&printed);
    let want = json!({"proposal": 3, "verdict": "reject", "digest": "aaaa", "reason": "not today",
        "workspace": "home"});
    assert_eq!(decided(&asked), [want]);
}

#[test]
fn a_question_is_answered_in_words_or_by_the_number_of_a_choice() {
    let answered = || with(vec![("decide", "5", json!({"proposal": 5, "state": "answered"}))]);
    for (word, sent) in [("2", "deep\nblue\\"), ("green", "green"), ("2 of them", "2 of them")] {
        let (_, asked) = transcript(&["answer", "5", word], answered());
        let want = json!({"proposal": 5, "verdict": "answer", "reason": sent, "digest": "5".repeat(64),
            "workspace": "home"});
        assert_eq!(decided(&asked), [want]);
    }
    check(
        &["answer", "5", "2"],
        answered(),
        &expect![[r#"
        | proposal 5 answered
        | exit 0
        ! choice 2: deep\nblue\
    "#]],
    );
    check(
        &["answer", "5", "3"],
        answered(),
        &expect![[r#"
        | exit 2
        ! error: there is no choice 3: there are 2
        ! hint: skep inbox 5 lists them; any other text is taken as it is
    "#]],
    );
    check(
        &["answer", "6", "yes"],
        rows(),
        &expect![[r#"
        | exit 1
        ! error: proposal 6 is no question
        ! hint: skep inbox 6 shows it; skep approve 6, skep reject 6
    "#]],
    );
}

#[test]
fn on_a_terminal_pages_are_turned_and_the_last_one_asks() {
    let calls = |keys: &str| {
        let (shown, asked) = typed(&["approve", "3"], keys, long());
        (shown, decided(&asked).len())
    };
    let (shown, count) = calls("\n\ny\n");
    let ends = |line: u64| shown.contains(&format!("| body: line {line}\n"));
    assert!(ends(1) && ends(40) && ends(41) && ends(100), "{shown}");
    assert!(
        shown.contains("| body: line 40\npage 1 of 3: Enter turns it, q leaves | body: line 41\n"),
        "{shown}"
    );
    assert!(shown.ends_with("approve proposal 3? [y/N] proposal 3 approved\nexit 0"), "{shown}");
    assert_eq!(count, 1);
    // Leaving, saying no, and the end of input decide nothing.
    for (keys, last, said) in [
        ("\nq\n", 80, "not all of it was shown; nothing was decided"),
        ("\n\n\n", 100, "nothing was decided"),
        ("\n\nn\n", 100, "nothing was decided"),
        ("\u{4}", 40, "not all of it was shown; nothing was decided"),
    ] {
        let (shown, count) = calls(keys);
        assert!(shown.contains(&format!("| body: line {last}\n")), "{shown}");
        assert!(!shown.contains(&format!("| body: line {}\n", last + 1)), "{shown}");
        assert!(shown.contains(said), "{shown}");
        assert_eq!(count, 0, "{shown}");
    }
    // A group is asked about even when it is short; what fits a page and is one is not.
    let answer = || vec![("decide", "3", json!({"proposal": 3, "state": "approved"}))];
    let (shown, asked) = typed(&["approve", "3"], "n\n", with(answer()));
    assert!(shown.contains("approve all 2 of it: 3, 4? [y/N] nothing was decided"), "{shown}");
    assert_eq!(decided(&asked).len(), 0);
    let (shown, _) = typed(&["inbox", "3"], "", rows());
    assert!(shown.contains("skep approve 3 --digest aaaa") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn an_operator_vouches_for_what_was_read() {
    let version = |id: u64, label: &str| {
        json!({"version": id, "operation": id, "path": "/data/a.md", "mtime": 1, "actor": "agent:x", "pid": 7,
            "node": "file", "bytes": 5, "label": label, "diverged": false, "message": null})
    };
    let history = |rows: &[Value]| ("history", "/data/a.md", json!({"versions": rows}));
    let (old, new) = (version(7, "external mount:mail"), version(8, "workspace mount:mail operator:anna"));
    let rows = || -> Rows {
        vec![
            history(&[old.clone(), new.clone()]),
            ("read", "/data/a.md", json!({"text": "hi\u{202e}\n", "version": 7, "bytes": 5})),
            ("propose", "", json!({"operation": 9, "version": 8, "path": "/data/a.md"})),
        ]
    };
    let (printed, asked) = transcript(&["endorse", "/data/a.md"], rows());
    expect![[r#"
        | /data/a.md version 8 op:9
        |   before  external (mount:mail): text from outside had a part in it
        |   after   workspace (mount:mail, operator:anna): made here, or vouched for
        | exit 0
        ! hint: skep undo op:9 takes it back
    "#]]
    .assert_eq(&printed);
    let want = json!({"mount": "operator", "kind": "endorse", "args": {"path": "/data/a.md", "version": "7"},
        "workspace": "home"});
    assert_eq!(asked.iter().find(|(method, _)| method == "propose").map(|(_, params)| params), Some(&want));
    let (shown, asked) = typed(&["endorse", "/data/a.md"], "n\n", rows());
    assert!(shown.contains("| hi\\u{202e}\nvouch for it? [y/N] nothing was endorsed"), "{shown}");
    assert!(asked.iter().all(|(method, _)| method != "propose"));
    check(
        &["endorse", "/data/a.md"],
        vec![history(std::slice::from_ref(&new))],
        &expect![[r#"
            | exit 0
            ! /data/a.md needs no word of yours
            ! hint: its label is workspace (mount:mail, operator:anna): made here, or vouched for
        "#]],
    );
}

#[test]
fn what_raised_a_label_and_what_was_decided() {
    let records: Vec<Value> = include_str!("night.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();
    let rows = vec![("trace", "pid:7", json!({"records": records, "cut": false}))];
    check(
        &["why", "label", "7"],
        rows.clone(),
        &expect![[r#"
            | TIME              SAW                                        ITS LABEL            LABEL AFTER
            | 2026-11-20 14:02  began, by operator:anna                    label:1              label:1
            | 2026-11-20 14:02  /integrations/mail/inbox/07.md version 40  external mount:mail  external mount:mail
            | exit 0
            ! hint: skep why 7 shows who wrote what it saw; skep why label:N one label
        "#]],
    );
    check(
        &["why", "label", "8"],
        rows.clone(),
        &expect![[r#"
        | exit 1
        ! error: trace pid:8
    "#]],
    );
    check(
        &["why", "pid", "8"],
        rows,
        &expect![[r#"
        | exit 2
        ! error: "pid" takes no second word
        ! hint: skep why label 8
    "#]],
    );
    let record = |seq: u64, actor: &str, body: Value| {
        json!({"seq": seq, "at": 1, "actor": actor, "pid": 0, "cause": seq, "body": body,
            "texts": {"a".repeat(64): "not today"}})
    };
    let mut past = records;
    let reason = json!({"hash": "a".repeat(64), "bytes": 9});
    past.push(record(
        9,
        "operator:anna",
        json!({"decided": {"proposal": 3, "ruling": "reject", "reason": reason}}),
    ));
    past.push(record(10, "system:kernel", json!({"lapsed": {"proposal": 2}})));
    let rows = vec![
        ("read", "/sys/status", text("seq 10\n")),
        ("trace", "0", json!({ "records": past })),
        ("trace", "10", json!({"records": []})),
    ];
    check(
        &["inbox", "--past"],
        rows,
        &expect![[r#"
        | ID  WHAT                 BY            DECIDED   WHOM           WHEN              WITH
        |  2  -                    -             expired   -              1970-01-01 00:00  -
        |  3  mail.send at outbox  agent:triage  rejected  operator:anna  1970-01-01 00:00  not today
        | exit 0
    "#]],
    );
}
