//! Rows: what is granted, and what each mistake is told.

use super::*;
use crate::shipped;
use abi::{
    agent::{AgentBudget, Budget, MountBudget, OwnLogin, UnknownPrice, WhenExhausted},
    money::{Limit, Resource, Window},
};

#[test]
fn the_shipped_files_parse() {
    let policy = parse(shipped::POLICY, shipped::BUDGET).unwrap();
    let row = &policy.rows[0];
    assert_eq!((row.agent.as_str(), row.deny.len(), row.ask.len(), row.allow.len()), ("*", 2, 1, 16));
    let money = |window, max| vec![Limit { resource: Resource::Money, window, max }];
    assert_eq!(policy.workspace, money(Window::Day, 5_000_000_000));
    assert_eq!(policy.agent, money(Window::Day, 2_000_000_000));
    assert_eq!(policy.run, money(Window::Run, 1_000_000_000));
    let calls = Limit { resource: Resource::Calls, window: Window::Hour, max: 300 };
    let own = OwnLogin { limits: vec![calls], wall_us: None, day_us: Some(8 * 3_600_000_000) };
    assert_eq!(policy.budget, Budget { warn: Some(800), own_login: Some(own), ..Budget::default() });
}

#[test]
fn a_budget_in_full() {
    let text = "format: 1\n\
        workspace: {day: 10.00, month: 150.00, hour: 2, warn: 0.8, processes: 64, tokens_out: {hour: 400k}}\n\
        agents:\n  \"*\": {run: 0.50, wall: 30m}\n  claude: {day: 5.00, tokens_out: {run: 400k, day: 2m}, calls: \
        {hour: 300}, wall: 2h}\n  x-note: whatever\n\
        mounts: {outbox: {effects: {day: 50}}, bank: {day: 250.00, effects: {hour: 3}}}\n\
        when_exhausted: kill\nunknown_price: count-tokens\n\
        guests_with_own_login: {calls: {hour: 5, run: 9}, wall: {run: 1h, day: 2h}}\n";
    let policy = parse(shipped::POLICY, text.as_bytes()).unwrap();
    let limit = |resource, window, max| Limit { resource, window, max };
    let money = |window, max| limit(Resource::Money, window, max);
    assert_eq!(
        policy.workspace,
        [
            money(Window::Day, 10_000_000_000),
            money(Window::Hour, 2_000_000_000),
            money(Window::Month, 150_000_000_000),
            limit(Resource::TokensOut, Window::Hour, 400_000),
        ]
    );
    assert_eq!((policy.run, policy.agent), (vec![money(Window::Run, 500_000_000)], vec![]));
    let claude = AgentBudget {
        agent: "claude".into(),
        limits: vec![
            limit(Resource::Calls, Window::Hour, 300),
            money(Window::Day, 5_000_000_000),
            limit(Resource::TokensOut, Window::Day, 2_000_000),
        ],
        run: vec![limit(Resource::TokensOut, Window::Run, 400_000)],
        wall_us: Some(7_200_000_000),
    };
    let effects = |window, max| limit(Resource::Effects, window, max);
    let outbox = MountBudget { mount: "outbox".into(), limits: vec![effects(Window::Day, 50)] };
    let limits = vec![effects(Window::Hour, 3), money(Window::Day, 250_000_000_000)];
    let bank = MountBudget { mount: "bank".into(), limits };
    let want = Budget {
        warn: Some(800),
        processes: Some(64),
        wall_us: Some(1_800_000_000),
        agents: vec![claude],
        mounts: vec![outbox, bank],
        when_exhausted: WhenExhausted::Kill,
        unknown_price: UnknownPrice::CountTokens,
        own_login: Some(OwnLogin {
            limits: vec![limit(Resource::Calls, Window::Hour, 5), limit(Resource::Calls, Window::Run, 9)],
            wall_us: Some(3_600_000_000),
            day_us: Some(7_200_000_000),
        }),
    };
    assert_eq!(policy.budget, want);
}

#[test]
fn money_is_text_and_never_a_float() {
    let budget = "format: 1\nworkspace: {day: 0.000000001, run: 123456789.123456789}\n";
    let policy = parse(shipped::POLICY, budget.as_bytes()).unwrap();
    let found: Vec<i64> = policy.workspace.iter().map(|limit| limit.max).collect();
    assert_eq!(found, [1, 123_456_789_123_456_789]);
}

#[test]
fn all_of_it_is_read() {
    let text = "format: 1\nautonomy: manual\nagents:\n  b: {allow: [read /b]}\n  a: {ask: [mail.send]}\n";
    let text = text.replace("[mail.send]", "[ask mail.send]");
    let text = format!(
        "{text}operators:\n  anna: {{role: admin}}\n  tom:\n    role: member\n    sees: [/data/marketing/**]\n    \
         decides:\n      - mail.send\nstanding:\n  - mail.send Anna@Tiles.example\n  - outbox mail.send \
         bo@tiles.example\nmoney: {{bank: {{day: 250.00}}, x-why: rent}}\n"
    );
    let policy = parse(text.as_bytes(), b"format: 1").unwrap();
    let word = |text: &str| Pattern::word(text).unwrap();
    let row = |name: &str, role, sees: &[&str], decides: &[&str]| OperatorRow {
        name: name.into(),
        role,
        sees: sees.iter().map(|path| Pattern::parse(path).unwrap()).collect(),
        decides: decides.iter().map(|kind| word(kind)).collect(),
    };
    let rule =
        |mount, value: &str| Standing { mount: word(mount), kind: word("mail.send"), value: value.into() };
    let agents: Vec<&str> = policy.rows.iter().map(|row| row.agent.as_str()).collect();
    assert_eq!((policy.autonomy, agents), (Autonomy::Manual, vec!["b", "a"]));
    let (anna, tom) = (("anna", Role::Admin), ("tom", Role::Member));
    let operators =
        [row(anna.0, anna.1, &[], &[]), row(tom.0, tom.1, &["/data/marketing/**"], &["mail.send"])];
    assert_eq!(policy.operators, operators);
    assert_eq!(policy.standing, [rule("*", "Anna@Tiles.example"), rule("outbox", "bo@tiles.example")]);
    assert_eq!(policy.money, [MoneyRow { mount: "bank".into(), day: Nano(250_000_000_000) }]);
}

/// What is wrong, where it is said to be, and what to write instead.
#[test]
fn mistakes_have_a_line_and_a_column() {
    let needs = "      - read /a\n".repeat(limits::POLICY_ROWS_MAX + 1);
    let needs = format!("format: 1\nagents:\n  \"*\":\n    allow:\n{needs}");
    told(&[
        ("format: 2\nagents: {\"*\": {}}", "1:9", "format 2", "newer skep"),
        ("agents: {\"*\": {}}", "1:1", "no format", "format: 1"),
        ("format: 1\nagent: {}", "2:1", "no key \"agent\"", "did you mean agents?"),
        ("format: 1", "1:1", "has no row", "add agents"),
        (&needs, "261:9", "more than 256 rows", "fewer"),
        ("- 1", "1:1", "is no map", "key: value"),
        ("", "1:1", "no format", "format: 1"),
        ("format: 1\nagents:\n  \"*\":\n    alow: []", "4:5", "no key \"alow\"", "did you mean allow?"),
        ("format: 1\nagents: {\"*\": {allow: [fly /x]}}", "2:24", "is not a need", "read PATH"),
        (
            "format: 1\nagents:\n  \"*\":\n    allow:\n      - read /a\n\n      - read a",
            "7:9",
            "not absolute",
            "start it with /",
        ),
        (
            "format: 1\nagents:\n  \"*\":\n    deny: [read /a*b]",
            "4:12",
            "is not a pattern",
            "whole components",
        ),
        ("format: 1\nagents: {\"*\": {allow: read /x}}", "2:23", "is no list", "[one, two]"),
        ("format: 1\nagents: {\"*\": {allow: [read /a/../b]}}", "2:24", "..", "read PATH"),
        ("format: 1\nagents: {\"a b\": {}}", "2:10", "is not a name", "letters"),
        ("format: 1\nagents: {\"*\": {}, \"*\": {}}", "2:19", "duplicate mapping key: *", "each key once"),
        ("format: 1\nagents: [", "2:9", "unclosed bracket", "it is YAML"),
        ("format: 1\nagents:\n\t- x", "3:2", "tabs disallowed", "it is YAML"),
    ]);
}

#[test]
fn mistakes_in_the_newer_sections_too() {
    let with = |rest: &str| format!("format: 1\nagents: {{\"*\": {{allow: [read /a]}}}}\n{rest}");
    let rules: Vec<String> =
        (0..=limits::POLICY_ROWS_MAX).map(|ix| format!("  - mail.send a{ix}\n")).collect();
    told(&[
        (&with("autonomy: bouned"), "3:11", "cannot be \"bouned\"", "did you mean bounded?"),
        (&with("autonomy: yes"), "3:11", "cannot be \"yes\"", "manual bounded autonomous"),
        (&with("operators:\n  tom: {role: membr}"), "4:15", "\"membr\" is no role", "did you mean member?"),
        (&with("operators:\n  tom: {sees: [/a]}"), "4:3", "tom has no role", "role: admin"),
        (&with("operators: {tom: {role: member}}"), "3:12", "no operator is an admin", "{role: admin}"),
        (&with("operators: {an na: {role: admin}}"), "3:13", "is not a name", "letters"),
        (&with("operators:\n  a: {role: admin}\n  a: {role: admin}"), "5:3", "duplicate", "each key once"),
        (&with("operators:\n  a: {role: admin, see: []}"), "4:20", "no key \"see\"", "did you mean sees?"),
        (&with("operators:\n  a: {role: admin, sees: [/x]}"), "4:3", "take nothing away", "role: member"),
        (
            &with("operators:\n  b: {role: admin}\n  a:\n    role: member\n    sees:\n      - data/x"),
            "8:9",
            "not absolute",
            "start it with /",
        ),
        (
            &with("operators:\n  a: {role: member, decides: [mail send]}"),
            "4:31",
            "not a word or *",
            "mail.send",
        ),
        (&with("standing:\n  - mail.send"), "4:5", "is no standing rule", "KIND VALUE"),
        (&with("standing:\n  - mail.send a@b\n  - mail.send *"), "5:5", "not one whole word", "no space"),
        (&with("standing: [mail.send a@b, mail.send a@b]"), "3:27", "stands already", "leave it out"),
        (&with("standing: [\"mail.send a\\u200bb\"]"), "3:12", "not one whole word", "as it stands"),
        (&with("money:\n  bank: {day: 1e3}"), "4:15", "is not an amount", "0.05"),
        (&with("money: {bank: {dya: 1}}"), "3:16", "no key \"dya\"", "did you mean day?"),
        (&with("money: {bank: {}}"), "3:9", "bank has no day", "250.00"),
        (&with(&format!("standing:\n{}", rules.concat())), "260:5", "more than 256 rows", "fewer"),
    ]);
}

fn told(rows: &[(&str, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (policy, at, message, hint) in rows {
        let error = parse(policy.as_bytes(), b"format: 1").unwrap_err();
        let placed = error.message.starts_with(&format!("policy.yaml:{at}: "));
        if !placed || !error.message.contains(message) || !error.hint.contains(hint) {
            wrong.push(format!("{at} {message:?} {hint:?}, but {error}; hint {:?}", error.hint));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn mistakes_in_the_budget_too() {
    let good = b"format: 1\nagents: {\"*\": {allow: [read /a]}}\n";
    for (budget, at, message, hint) in [
        ("format: 1\nworkspace: {dya: 1}", "2:13", "no key \"dya\"", "did you mean day?"),
        ("format: 1\nworkspace: {day: -1}", "2:18", "is not an amount", "0.05"),
        ("format: 1\nworkspace:\n  day: 1e3", "3:8", "is not an amount", "0.05"),
        ("format: 1\nagents: {x: {dey: 1}}", "2:14", "no key \"dey\"", "did you mean day?"),
        ("format: 1\nagents: {x y: {day: 1}}", "2:10", "\"x y\"", "letters"),
        ("format: 1\nagents: {x: {tokens_out: 5}}", "2:26", "is no map", "key: value"),
        ("format: 1\nagents: {x: {tokens_out: {year: 5}}}", "2:27", "no key \"year\"", "did you mean day?"),
        ("format: 1\nagents: {x: {tokens_out: {day: 1.5m}}}", "2:32", "is not a count", "400k"),
        ("format: 1\nagents: {x: {wall: 30}}", "2:20", "is no time", "30m"),
        ("format: 1\nagents: {x: {wall: 367d}}", "2:20", "is no time", "30m"),
        ("format: 1\nagents: {x: {wall: 0s}}", "2:20", "is no time", "30m"),
        ("format: 1\nagents: {x: {wall: ٣m}}", "2:20", "is no time", "30m"),
        ("format: 1\nguests_with_own_login: {day: 5.00}", "2:25", "no key \"day\"", "wall"),
        ("format: 1\nguests_with_own_login: {wall: 8h}", "2:31", "is no map", "key: value"),
        ("format: 1\nguests_with_own_login: {wall: {hour: 1h}}", "2:32", "no key \"hour\"", "run"),
        ("format: 1\nworkspace: {warn: 80}", "2:19", "is no share", "0.8"),
        ("format: 1\nworkspace: {warn: 0}", "2:19", "is no share", "0.8"),
        ("format: 1\nworkspace: {wall: 1h}", "2:13", "no key \"wall\"", ""),
        ("format: 1\nworkspace: {processes: 0}", "2:24", "cannot be 0 processes", "from 1"),
        ("format: 1\nmounts: {out: {run: 1}}", "2:16", "no key \"run\"", ""),
        ("format: 1\nmounts: {out: {effects: {run: 1}}}", "2:26", "no key \"run\"", ""),
        ("format: 1\nwhen_exhausted: frieze", "2:17", "cannot be \"frieze\"", "did you mean freeze?"),
        ("format: 1\nunknown_price: 0", "2:16", "cannot be \"0\"", "refuse"),
        ("format: 1\nagnts: {}", "2:1", "no key \"agnts\"", "did you mean agents?"),
        ("", "1:1", "no format", "format: 1"),
    ] {
        let error = parse(good, budget.as_bytes()).unwrap_err();
        let place = format!("budget.yaml:{at}: ");
        assert!(error.message.starts_with(&place) && error.message.contains(message), "{budget:?}: {error}");
        assert!(error.hint.contains(hint), "{budget:?}: hint {:?}", error.hint);
    }
}

#[test]
fn own_keys_are_free() {
    let policy = "format: 1\nx-note: [1, {a: b}]\nagents: {\"*\": {x-why: [y], allow: [read /a]}}\n";
    assert_eq!(parse(policy.as_bytes(), b"format: 1").unwrap().rows[0].allow.len(), 1);
}

#[test]
fn hostile_yaml_is_an_error() {
    let bomb =
        "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nagents: [*b,*b,*b,*b,*b,*b]\nformat: 1";
    let deep = format!("agents: {}{}", "[".repeat(5000), "]".repeat(5000));
    for text in [bomb.as_bytes(), deep.as_bytes(), b"\xff\xfe", b"agents: *x", b"%", b"{", b"\0"] {
        let error = parse(text, b"format: 1").unwrap_err();
        assert!(error.message.starts_with("policy.yaml:"), "{error}");
    }
    assert_eq!(parse(&[b' '; 70_000], b"format: 1").unwrap_err().code, Code::TooLarge);
}

proptest::proptest! {
    /// Whatever the bytes, it is a policy or an error that says where.
    #[test]
    fn any_bytes_are_a_policy_or_an_error(
        words in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..40),
    ) {
        let text: String = words.concat();
        for file in [(text.as_bytes(), &b"format: 1"[..]), (shipped::POLICY, text.as_bytes())] {
            if let Err(error) = parse(file.0, file.1) {
                proptest::prop_assert!(error.message.contains(".yaml:"), "{error}");
                proptest::prop_assert!(!error.hint.is_empty(), "{error}");
            }
        }
    }
}

/// What such a file is made of, and what breaks it.
const PIECES: [&str; 44] = [
    "format: 1\n",
    "agents:",
    "\"*\"",
    ": ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\n",
    "  ",
    "- ",
    "allow",
    "deny",
    "ask",
    "read /a",
    "ask any",
    "operators:",
    "tom",
    "role: ",
    "admin",
    "member",
    "sees: ",
    "/data/**",
    "decides: ",
    "standing:",
    "mail.send a@b",
    "money:",
    "bank",
    "day: ",
    "250.00",
    "1e9",
    "~",
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "| ",
    "x-note: ",
    "#",
    "'",
    "\"",
    "\t",
    "\u{202e}",
];
