//! Random events, sensible and not, in any order. After each: replaying the log gives the same state (the
//! runner asserts it), the accounts are exact to the nano-unit, labels have not fallen, the fast check of
//! authority agrees with the slow one, and nothing panics.

use crate::{ledger::Ledger, script::Run};
use abi::{
    Pid,
    cap::{Object, Rights},
    net::{Asked, Host, Ports},
    path::TreePath,
};
use kernel::{Kernel, twin::Ask};
use proptest::prelude::*;

/// Four small numbers make an event.
type Dice = (u8, u8, u8, u8);

const PATHS: [&str; 12] = [
    "/data/a",
    "/data/b",
    "/data/d",
    "/data/d/x",
    "/data/d/AGENTS.md",
    "/agents/worker/AGENT.md",
    "/agents/new",
    "/home/h",
    "/integrations/box/1",
    "/sys/policy.yaml",
    "/proc/1/status",
    "/data",
];
const AGENTS: [&str; 4] = ["worker", "boss", "mailer", "nobody"];
/// The first of the four to begin with holds all of these; the last two nobody else does, so that they go
/// from hand to hand.
const NEEDS: [&str; 16] = [
    "net *",
    "net *.example",
    "net a.example read",
    "net private",
    "net github",
    "read /data/**",
    "read /data/*",
    "write /data/d/**",
    "read /**",
    "write /data/d/x",
    "apply box mail.send",
    "ask mail.send",
    "read /home/**",
    "read /home/**",
    "read /home/**",
    "read /home/h",
];
const BEGIN: [&str; 14] = [
    "genesis",
    "allow * \"net *\"",
    "ask * \"net b.example write\"",
    "allow * \"read /**\"",
    "allow * \"write /**\"",
    "allow * \"apply *\"",
    "allow * \"model any\"",
    "allow * \"spawn any\"",
    "deny * \"read /data/b\"",
    "price m 1000 2000 10",
    "mount box opaque",
    "mount tin probe",
    "mount pan keyed",
    "mount jar repeat",
];
const DEFS: [&str; 3] = [
    "agent worker needs=\"read /data/**; write /data/**; read /integrations/**\" restart=on-failure:2",
    "agent boss needs=\"read /**; write /**; spawn any; apply *; net *\" restart=always",
    "agent mailer needs=\"apply mail.send; ask shout; apply draft; read /data/*\"",
];

const HOSTS: [&str; 5] = ["a.example", "b.example", "example", "10.0.0.5", "1.1.1.1"];
const METHODS: [&str; 3] = ["CONNECT", "GET", "POST"];

fn pick<'a>(from: &[&'a str], die: u8) -> &'a str {
    from[usize::from(die) % from.len()]
}

/// A call of somebody.
fn call((kind, a, b, c): Dice) -> String {
    let (path, other) = (pick(&PATHS, a), pick(&PATHS, b));
    let base = if c % 3 == 0 { format!(" base={}", c % 24) } else { String::new() };
    let origin = pick(&["typed", "pipe", "file", "argument"], b);
    match kind % 20 {
        0 | 1 => format!("write {path} text{b}{base} origin={origin}"),
        2 => format!("append {path} more{c}"),
        3 => format!("patch {path} put{b} find=text{c}{base}"),
        4 => format!("dir {path}"),
        5 => format!("restore {path} {}={}", pick(&["version", "operation", "pid"], b), c % 24),
        6 => format!("move {path} {other}{base}"),
        7 => format!("remove {path} {}", pick(&["tree", ""], b)),
        8 | 9 => format!("read {path}"),
        10 => format!("list {path}"),
        11 => format!("spawn {} task{b} budget=0.0{c} post=exists:{other}", pick(&AGENTS, a)),
        12 => format!("wait {}={}", pick(&["pid", "proposal"], a), b % 8),
        13 => format!("wait pid={} timeout={}s", a % 8, b % 40),
        14 => format!(
            "propose {} {} to={} body=x",
            pick(&["box", "tin", "pan", "jar"], a),
            pick(&["mail.send", "draft", "mail.send", "none"], b),
            pick(&["bob", "task1", "eve"], c)
        ),
        15 => format!(
            "dispatch {} words origin={origin} {} {}",
            pick(&AGENTS, a),
            pick(&["", "lane=steer", "lane=interrupt"], c),
            pick(&["", "session=s", "session=t"], b)
        ),
        16 => format!("grant {} \"{}\" {}", a % 6, pick(&NEEDS, b), pick(&["", "lasts=20s"], c)),
        17 => format!("revoke {}", a % 40),
        18 => format!("signal {} {}", a % 8, pick(&["freeze", "thaw", "thaw", "interrupt", "kill"], b)),
        _ => format!("history {path}"),
    }
}

/// One line of a script.
fn line((kind, a, b, c): Dice) -> String {
    match kind % 29 {
        0..=3 => format!("anna: {}", call((a, b, c, kind))),
        4 | 5 => format!("pid {}: {}", a % 6, call((b, c, kind, a))),
        6..=9 => {
            let (one, two) = (call((b, c, a, kind)), call((c, a, b, kind)));
            format!("model says said{a} in={b} out={c} ; {one} ; {two}")
        }
        10 | 11 => format!("model {} says only{a} ; {}", a % 6, call((c, a, b, kind))),
        12 => format!("model says end{a} in={b} out={c}"),
        13 => format!("model fails {}", pick(&["", "", "for-good"], a)),
        14 => format!("model streams {}", u32::from(a) * 40),
        15 => format!("effect {} said{b}", pick(&["done", "fails"], a)),
        16 => format!("probed {}", pick(&["happened", "absent", "unknown"], a)),
        17 => format!("arrive {} /{} text{b}", pick(&["box", "tin", "none"], a), a % 3),
        18 => format!("advance {}s", u32::from(a) * if b % 8 == 0 { 900 } else { 1 }),
        19 => String::from("crash"),
        20 => format!("anna: {} {}", pick(&["approve", "approve", "reject"], a), b % 8),
        21 => pick(&["manual", "automatic", "tool", "arm"], a).to_string(),
        22 => format!("anna: spawn {} task{b}", pick(&AGENTS, a)),
        23 => format!("clock {}{}s", pick(&["+", "-"], a), u32::from(b) * 30),
        24 => format!("nonsense {a}"),
        25 => String::from("starve"),
        27 => {
            format!("connect {} {} {} {}", a % 9, pick(&HOSTS, b), pick(&["443", "22"], c), pick(&METHODS, c))
        }
        26 => format!("{}: complete m bare{b}", pick(&["anna", "pid 1", "pid 2"], a)),
        _ => format!("anna: control /sys/ctl \"budget {} run 0.{b}\"", pick(&["workspace", "process:1"], a)),
    }
}

/// Lines that make and unmake capabilities; four processes are there to begin with.
fn authority((kind, a, b, c): Dice) -> String {
    let (from, to) = (a % 4 + 1, b % 4 + 1);
    match kind % 9 {
        0..=3 | 8 => {
            format!(
                "pid {from}: grant {to} \"{}\" {}",
                pick(&NEEDS, c),
                pick(&["", "", "lasts=20s"], kind / 9)
            )
        }
        4 => format!("anna: grant {to} \"{}\" {}", pick(&NEEDS, c), pick(&["", "lasts=9s"], a)),
        5 => format!("{}: revoke {}", pick(&["anna", "anna", "pid 1", "pid 2"], a), 6 + u16::from(b) % 30),
        6 => format!("pid {from}: spawn {} task", pick(&AGENTS, b)),
        _ => pick(&["advance 7s", "anna: signal 4 kill", "advance 5s", "crash"], a).to_string(),
    }
}

fn begin(tight: bool) -> Run {
    let mut run = Run::new();
    BEGIN.iter().for_each(|line| run.event(line));
    for of in ["workspace", "agent", "run"] {
        for resource in ["tokens_in", "tokens_out", "tokens_cached", "calls", "effects"] {
            let max = if tight && of == "run" { 4000 } else { 1_000_000_000 };
            run.event(&format!("limit {of} {resource} run {max}"));
        }
        run.event(&format!("limit {of} money run {}", if tight { "0.01" } else { "900" }));
        run.event(&format!("limit {of} calls day 40"));
    }
    run.event("policy");
    DEFS.iter().for_each(|line| run.event(line));
    run
}

/// What the kernel shows of its accounts, against the second bookkeeper.
fn balance(run: &mut Run, ledger: &Ledger) {
    run.shown.clear();
    run.event("anna: read /sys/budget");
    let mine = ledger.lines();
    for line in run.shown.join("\n").lines().filter_map(|line| line.trim().strip_prefix("| ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, resource, "run", used, reserved, ..] = words[..] else { continue };
        let (_, row) = mine.iter().find(|((n, r), _)| n == name && *r == resource).unwrap();
        assert_eq!((used, reserved), (row.0.as_str(), row.1.as_str()), "{line}");
    }
}

/// Fast and slow agree; what a child may, its parent may.
fn agrees(kernel: &Kernel, at: u64) {
    let paths = PATHS.map(|path| Ask::Path(TreePath::parse(path).unwrap()));
    let effects = ["mail.send", "draft"].map(|kind| Ask::Effect("box".into(), kind.into()));
    let net = |host: &&str| {
        Ask::Net(Asked {
            host: Host::parse(host).unwrap(),
            port: 443,
            method: None,
            presets: vec!["github".to_owned()],
            secure: false,
            fetches: false,
        })
    };
    let asks: Vec<Ask> = paths.into_iter().chain(effects).chain(HOSTS.iter().map(net)).collect();
    let chains = kernel.chains();
    let orphan = chains.iter().find(|(holder, parent, _)| parent.is_none() && *holder != abi::WORKSPACE);
    assert_eq!(orphan, None, "derived from nothing that lives");
    for ask in &asks {
        for right in (0..10).map(|bit| Rights(1 << bit)).chain([Rights::READING, Rights::WRITING]) {
            for pid in (0..10).map(Pid) {
                let (fast, slow) =
                    (kernel.fast_allows(pid, ask, right, at), kernel.slow_allows(pid, ask, right, at));
                assert_eq!(fast, slow, "{ask:?} {right} of {pid}");
            }
            for (_, parent, grant) in &chains {
                let given = match (&grant.object, ask) {
                    (Object::Fs(pattern), Ask::Path(path)) => pattern.matches(path.as_str()),
                    (Object::Effect { mount, kind }, Ask::Effect(m, k)) => {
                        mount.matches(m) && kind.matches(k)
                    }
                    (Object::Net { hosts, ports }, Ask::Net(asked)) => {
                        ports.includes(Ports::One(asked.port)) && hosts.has(&asked.host, &asked.presets)
                    }
                    _ => false,
                };
                let alive = grant.expires.is_none_or(|end| at < end) && grant.rights.contains(right);
                let may = parent.is_none_or(|parent| kernel.fast_allows(parent, ask, right, at));
                assert!(!(given && alive) || may, "{grant} is more than its parent's");
            }
        }
    }
}

/// Runs the lines; `tight` limits make freezes and debts.
fn play(lines: impl Iterator<Item = String>, tight: bool) -> Run {
    let mut run = begin(tight);
    let (mut ledger, mut read) = (Ledger::default(), 0);
    for line in lines {
        run.event(&line);
        run.log[read..].iter().for_each(|record| ledger.follow(record, &run.kernel));
        read = run.log.len();
        balance(&mut run, &ledger);
        let again = Kernel::restore(&run.kernel.snapshot()).unwrap();
        assert!(again.snapshot() == run.kernel.snapshot(), "restored after {line}");
        assert_eq!(again.next_due(), run.kernel.next_due());
    }
    run
}

fn dice(most: usize) -> impl Strategy<Value = Vec<Dice>> {
    prop::collection::vec(any::<Dice>(), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_events_in_any_order(dice in dice(120), tight in any::<bool>()) {
        let run = play(dice.into_iter().map(line), tight);
        agrees(&run.kernel, run.wall);
    }

    #[test]
    fn derivation_trees(dice in dice(100)) {
        let first = ["boss", "worker", "mailer", "worker"].map(|agent| format!("anna: spawn {agent} task"));
        let run = play(first.into_iter().chain(dice.into_iter().map(authority)), false);
        for later in [0, 10_000_000, 25_000_000] {
            agrees(&run.kernel, run.wall + later);
        }
    }
}
