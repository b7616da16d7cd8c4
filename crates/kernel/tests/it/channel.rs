//! Which messages endorse: bits of the type, of the run, lists that stood before anything external was read.

use crate::script::Run;
use abi::{
    Pid, Seq,
    channel::{List, Lists, Schema},
    label::Integrity,
    path::TreePath,
    record::Record,
};
use kernel::channel::{Endorsed, endorses};
use proptest::prelude::*;

const BYTE: &str = r#"{"type": "integer", "minimum": 0, "maximum": 255}"#;
const WHOLE: &str = r#"{"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807}"#;

/// Process 1 has read a mail; the seq of the record that says so.
fn run() -> (Run, Seq) {
    let mut run = Run::new();
    let lines = [
        "genesis",
        "policy",
        "price m 1000 1000",
        "mount mail",
        "arrive mail /1 evil",
        "agent triage needs=\"read /**; write /data/**; spawn any\"",
        "anna: spawn triage task",
        "pid 1: read /integrations/mail/1",
    ];
    lines.into_iter().for_each(|line| run.event(line));
    let saw = run.log.iter().find(|record| record.body.word() == "saw").unwrap().seq;
    (run, saw)
}

fn count(run: &mut Run, said: &Endorsed) {
    let (seq, last) = (run.kernel.seq().next(), run.log.last().unwrap());
    let record = Record { seq, body: said.entry(), ..last.clone() };
    run.kernel.apply(&record);
}

fn rooms(seq: Seq, integrity: Integrity) -> Lists {
    let ids = ["a1", "a2"].into_iter().map(String::from).collect();
    [(TreePath::parse("/data/rooms").unwrap(), List { ids, seq, integrity })].into()
}

fn say(run: &Run, schema: &str, message: &str) -> Result<Endorsed, String> {
    let schema = Schema::parse(schema).unwrap();
    let said = endorses(&run.kernel, Pid(1), (&schema, &Lists::new()), message.as_bytes());
    said.map_err(|error| format!("{}: {}", error.code.word(), error.message))
}

#[test]
fn a_type_has_at_most_64_bits() {
    let (run, _) = run();
    let yes = |bits, bytes: &str| Ok(Endorsed { run: Pid(1), bits, bytes: bytes.into() });
    let pair = format!(r#"{{"type": "array", "items": {WHOLE}, "minItems": 2, "maxItems": 2}}"#);
    let no = |text: &str| Err(format!("Denied: a message of this type {text}"));
    let rows = [
        (BYTE, " 7 ", yes(8, "7")),
        (WHOLE, "-9223372036854775808", yes(64, "-9223372036854775808")),
        (r#"{"enum": ["done"]}"#, "\"done\"", yes(1, "\"done\"")),
        (&pair, "[1, 2]", no("holds 128 bits; at most 64 endorse")),
        (r#"{"type": "string"}"#, "\"hi\"", no("is not bounded, so it endorses nothing")),
        (BYTE, "256", Err("Invalid: it is not an integer, 0 to 255".into())),
    ];
    for (schema, message, want) in rows {
        assert_eq!(say(&run, schema, message), want, "{schema}");
    }
}

#[test]
fn a_run_has_at_most_256_bits() {
    let (mut run, _) = run();
    run.event("pid 1: spawn triage sub");
    run.event("anna: spawn triage other");
    for _ in 0..3 {
        let said = say(&run, WHOLE, "1").unwrap();
        count(&mut run, &said);
    }
    // What counts is the run: a child draws on the same.
    for _ in 0..8 {
        let schema = Schema::parse(BYTE).unwrap();
        let said = endorses(&run.kernel, Pid(2), (&schema, &Lists::new()), b"1").unwrap();
        assert_eq!(said.run, Pid(1));
        count(&mut run, &said);
    }
    let full = "Exhausted: run 1 has let 256 bits through, and 1 more would be over 256";
    assert_eq!(say(&run, r#"{"enum": ["done"]}"#, "\"done\""), Err(full.into()));
    // Counted in the log, it is there after a restart; another run has its own.
    run.kernel = kernel::Kernel::restore(&run.kernel.snapshot()).unwrap();
    assert_eq!(say(&run, r#"{"enum": ["done"]}"#, "\"done\""), Err(full.into()));
    let schema = Schema::parse(BYTE).unwrap();
    assert!(endorses(&run.kernel, Pid(3), (&schema, &Lists::new()), b"1").is_ok());
    assert!(endorses(&run.kernel, Pid(9), (&schema, &Lists::new()), b"1").is_err());
}

#[test]
fn a_list_stood_before_anything_external_was_read() {
    let (mut run, saw) = run();
    run.event("anna: spawn triage clean");
    let schema = Schema::parse(r#"{"type": "string", "list": "/data/rooms"}"#).unwrap();
    let before = Seq(saw.0 - 1);
    let rows = [
        (1, before, Integrity::Workspace, "\"a1\"", true),
        (1, saw, Integrity::Workspace, "\"a1\"", false),
        (1, Seq(saw.0 + 9), Integrity::Operator, "\"a1\"", false),
        (1, before, Integrity::External, "\"a1\"", false),
        (1, before, Integrity::Workspace, "\"a3\"", false),
        // A run that has read nothing external may have written the list itself.
        (2, Seq(saw.0 + 9), Integrity::Workspace, "\"a1\"", true),
    ];
    for (pid, seq, integrity, message, want) in rows {
        let lists = rooms(seq, integrity);
        let said = endorses(&run.kernel, Pid(pid), (&schema, &lists), message.as_bytes());
        assert_eq!(said.is_ok(), want, "{pid} {seq} {integrity:?} {message}");
    }
    assert!(endorses(&run.kernel, Pid(1), (&schema, &Lists::new()), b"\"a1\"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Whatever a run says, no more gets through than it may let.
    #[test]
    fn no_run_lets_more_through(sizes in prop::collection::vec((any::<i64>(), any::<i64>()), 1..40)) {
        let (mut run, _) = run();
        let mut sum = 0_u64;
        for (a, b) in sizes {
            let (min, max) = (a.min(b), a.max(b));
            let schema = format!(r#"{{"type": "integer", "minimum": {min}, "maximum": {max}}}"#);
            if let Ok(said) = say(&run, &schema, &min.to_string()) {
                prop_assert!(said.bits >= 1 && said.bits <= 64);
                sum += u64::from(said.bits);
                count(&mut run, &said);
            }
        }
        prop_assert!(sum <= 256, "{sum} bits");
    }
}
