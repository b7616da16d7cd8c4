//! Seeds hold, seeds repeat, and the rig itself is tested: a history that must be reported is.

use abi::{
    AccountId, CapId, Content, EffectId, FileId, Hash, LabelId, OpId, Pid, Seq, VersionId,
    agent::Restart,
    cap::{Cap, Grant},
    effect::Item,
    label::{Integrity, Label},
    manifest::Recovery,
    money::{Amounts, Limit, Nano, Resource, Window},
    path::TreePath,
    record::{Entry, Record, Rule},
    tree::{Change, Node},
};
use sim::{Mode, Plan, Sum, ledger::Ledger};

/// Seeds of the default run; `cargo xtask torture` runs 10,000.
const SEEDS: u64 = 20;

/// Every loop that the ladder can see is stopped after at most twelve wasted calls of its own, and of the
/// honest runs none is. The control: what it cannot see goes on.
#[test]
fn loops_are_stopped_and_honest_runs_are_not() {
    let sum = sim::runaway::run().unwrap();
    println!("{}", sum.json());
    assert_eq!((sum.late.as_slice(), sum.stopped.as_slice()), (&[][..], &[][..]), "{sum:?}");
    assert!(sum.loops >= 30 && sum.honest >= 30, "{sum:?}");
    for case in sim::runaway::LOOPS.iter().filter(|case| case.unseen) {
        let fate = sim::runaway::play(case).unwrap();
        assert!(!fate.stopped && !fate.is_in_time(), "{}: {fate:?}", case.name);
    }
}

#[test]
fn an_hour_of_work_leaves_what_it_wrote_and_little_more() {
    let day = sim::day::run(1).unwrap();
    let [hour] = day.0[..] else { panic!("{day:?}") };
    // Of 50 agents four notes of 2 KiB, each of them read too, beside the first ones and the letters.
    assert!(hour.content > 450 * 2048, "{hour:?}");
    assert!(hour.records > 200 * 10, "{hour:?}");
    assert!(day.factor() < 3.0, "{} {hour:?}", day.factor());
}

#[test]
fn seeds_hold() {
    let _together = crate::SOIL.read().unwrap();
    let mut sum = Sum::default();
    for seed in 1..=SEEDS {
        let report = sim::run(&Plan::of(seed)).unwrap();
        assert_eq!(report.findings, [], "seed {seed}: cargo xtask sim --seed {seed}");
        sum.add(&report);
    }
    assert_eq!((sum.duplicated, sum.lost, sum.overspent), (0, 0, 0));
    // A run that reaches nothing proves nothing: every kind of record but the rarest must have been made.
    let reached: Vec<&str> = sum.words.keys().copied().collect();
    for word in [
        "answered",
        "decided",
        "dispatched",
        "effect-ended",
        "exited",
        "frozen",
        "in-doubt",
        "intended",
        "limit",
        "model-extended",
        "model-failed",
        "model-lost",
        "proposed",
        "queued",
        "refused",
        "revoked",
        "saw",
        "steered",
        "thawed",
        "tool",
        "tool-waits",
        "wrote",
    ] {
        assert!(reached.contains(&word), "no seed has reached {word}; reached: {reached:?}");
    }
    assert!(sum.crashes > 5 * SEEDS, "{} crashes", sum.crashes);
}

#[test]
fn same_seed_same_trace() {
    let _together = crate::SOIL.read().unwrap();
    for seed in [3, 8] {
        let plan = Plan { steps: 50, ..Plan::of(seed) };
        assert_eq!(sim::run(&plan).unwrap(), sim::run(&plan).unwrap());
    }
    let trace = |seed| sim::run(&Plan { steps: 2, ..Plan::of(seed) }).unwrap().trace;
    assert_ne!(trace(1), trace(2));
}

#[test]
fn effects_and_races_hold() {
    let _together = crate::SOIL.read().unwrap();
    for mode in [Mode::Once, Mode::Overspend] {
        let report = sim::run(&Plan { seed: 1, steps: 20, mode }).unwrap();
        assert_eq!(report.findings, [], "{mode:?}");
        assert_eq!((report.duplicated, report.lost, report.overspent), (0, 0, 0), "{mode:?}");
    }
}

fn record(seq: u64, pid: u64, body: Entry) -> Record {
    Record { seq: Seq(seq), at: 1000 + seq, actor: "agent:a".into(), pid: Pid(pid), cause: Seq(seq), body }
}

fn labelled(id: u32, integrity: Integrity) -> Entry {
    Entry::LabelDefined { id: LabelId(id), label: Label::new(integrity, "mount:mail") }
}

fn spawned(label: u32) -> Entry {
    Entry::Spawned {
        pid: Pid(1),
        parent: Pid(0),
        run: Pid(1),
        agent: "a".into(),
        account: AccountId(1),
        label: LabelId(label),
        task: Content::default(),
        own_words: false,
        prompt: Content::default(),
        model: "sim".into(),
        tools: vec![],
        post: vec![],
        restart: Restart::No,
        restarts: 0,
        lane: false,
        withheld: vec![],
        ceiling: Default::default(),
        sends: 0,
        by: String::new(),
        kind: Default::default(),
        wall_us: None,
        session: None,
        history: Vec::new(),
        after: None,
        home: false,
        draft: false,
        own_login: false,
        budget: None,
        standing: Default::default(),
    }
}

fn wrote(op: u64, version: u64, path: &str, parents: &[u64]) -> Entry {
    let change = Change {
        file: FileId(9),
        dir: abi::ROOT,
        path: TreePath::parse(path).unwrap(),
        moved_from: None,
        version: VersionId(version),
        node: Node::File,
        content: Content::of(b"x"),
        mode: 0o644,
        mtime: 0,
        label: LabelId(1),
        parents: parents.iter().map(|id| VersionId(*id)).collect(),
        diverged: false,
        scratch: false,
    };
    Entry::Wrote { op: OpId(op), changes: vec![change], message: None, undoes: None }
}

fn bought(effect: &[u8], step: u32, attempt: u32, money: i64) -> Entry {
    let reserved = Amounts { money: Nano(money), calls: 1, ..Amounts::default() };
    Entry::ModelIntended {
        effect: Hash::of(effect),
        attempt,
        step,
        model: "sim".into(),
        prev: None,
        keep: 0,
        add: Vec::<Item>::new(),
        reserved,
        reserved_out: 1,
        max_out: 1,
        asked: None,
    }
}

fn lost(effect: &[u8]) -> Entry {
    Entry::ModelLost { effect: Hash::of(effect), charged: Amounts::default(), bill: Default::default() }
}

fn intended(effect: EffectId, rule: Rule) -> Entry {
    Entry::Intended {
        effect,
        mount: "mail".into(),
        kind: "mail.send".into(),
        args: Content::default(),
        recovery: Recovery::Opaque,
        rule,
        proposal: None,
        reserved: Amounts::default(),
        moves: Nano(0),
    }
}

fn opened(max: i64) -> Entry {
    let limits = vec![Limit { resource: Resource::Money, window: Window::Run, max }];
    Entry::AccountOpened { account: AccountId(1), parent: None, name: "workspace".into(), limits }
}

/// The canary: each of these histories is broken in one way, and must be reported by the check of that name.
#[test]
fn canary() {
    let effect = Hash::of(b"effect");
    let opaque = || vec![spawned(1), intended(effect, Rule::OperatorsWords), Entry::Dispatched { effect }];
    let orphan_cap =
        Cap { id: CapId(7), parent: None, holder: Pid(1), grant: Grant::parse("read /a").unwrap() };
    let raise = Entry::Saw { path: TreePath::root(), version: None, label: LabelId(2), joined: LabelId(2) };
    let rows: Vec<(&str, Vec<Entry>)> = vec![
        ("labels-fall", vec![spawned(1), raise]),
        ("authority", vec![Entry::Granted { cap: orphan_cap }]),
        ("lost-update", vec![wrote(1, 1, "/a", &[]), wrote(2, 2, "/a", &[])]),
        ("version-reused", vec![wrote(1, 1, "/a", &[]), wrote(2, 1, "/a", &[1])]),
        ("steering", vec![spawned(1), wrote(1, 1, "/AGENTS.md", &[])]),
        ("model-rebought", vec![bought(b"m", 0, 1, 1), bought(b"m", 0, 2, 1)]),
        (
            "lost-twice",
            vec![
                spawned(1),
                bought(b"m", 1, 1, 1),
                lost(b"m"),
                bought(b"m", 1, 2, 1),
                lost(b"m"),
                bought(b"m", 1, 3, 1),
            ],
        ),
        ("turn-order", vec![spawned(1), bought(b"m", 2, 1, 1)]),
        ("admission", vec![opened(10), bought(b"m", 0, 1, 11)]),
        ("sink", vec![spawned(1), intended(effect, Rule::Trusted)]),
        ("effect-order", vec![Entry::Dispatched { effect }]),
        ("redispatch", opaque().into_iter().chain([Entry::Dispatched { effect }]).collect()),
    ];
    for (check, entries) in rows {
        let mut ledger = Ledger::default();
        let first = [
            Entry::Woke { lease: Nano(1_000) },
            labelled(1, Integrity::External),
            labelled(2, Integrity::Operator),
        ];
        for (entry, seq) in first.into_iter().chain(entries).zip(1..) {
            let pid = u64::from(!matches!(entry, Entry::AccountOpened { .. }));
            ledger.take(&record(seq, pid, entry));
        }
        let found: Vec<&str> = ledger.findings.iter().map(|found| found.check).collect();
        assert_eq!(found, [check]);
    }
    let mut ledger = Ledger::default();
    ledger.take(&record(1, 0, labelled(1, Integrity::External)));
    ledger.take(&record(3, 0, labelled(2, Integrity::External)));
    let back = Record { at: 1, ..record(4, 0, labelled(3, Integrity::External)) };
    ledger.take(&back);
    let found: Vec<&str> = ledger.findings.iter().map(|found| found.check).collect();
    assert_eq!(found, ["order", "time"]);
}
