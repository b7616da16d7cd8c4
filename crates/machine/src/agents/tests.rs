//! Rows: front matter and what comes of it.

use super::{input::given, *};
use abi::{
    LabelId, VersionId,
    agent::{Guest, Protocol},
    call::{Fields, Stdio},
    money::{Limit, Resource, Window},
};

/// Saturday, 2026-11-28, 05:40 UTC.
const NOW: Micros = 1_795_844_400_000_000;

fn version() -> (VersionId, LabelId) {
    (VersionId(7), LabelId(2))
}

fn sheet(front: &str) -> Result<Sheet, Error> {
    parse("x", format!("---\n{front}\n---\nbody").as_bytes(), version(), NOW)
}

#[test]
fn the_shipped_helper_parses() {
    let sheet = parse("helper", crate::shipped::HELPER, version(), NOW).unwrap();
    let (prompt, def) = (sheet.prompt(), sheet.def);
    assert_eq!((def.name.as_str(), def.model.as_str(), def.tools.len()), ("helper", "smart", 10));
    assert_eq!((def.version, def.label, def.prompt), (VersionId(7), LabelId(2), Content::of(&prompt)));
    assert!(prompt.starts_with(b"You do one task") && def.withheld.is_empty());
}

#[test]
fn every_key_counts() {
    let text = b"---\r\nname: x\nmodel: m.1\ntools: [read]\nneeds: [read /a/**, ask any]\n\
        budget: {run: 0.50, tokens_out: {day: 400k}, wall: 10m}\n\
        restart: on-failure:3\ndescription: d\nx-own: [1]\nskills: [pdf]\n---\nbody\n---\n";
    let sheet = parse("x", text, version(), NOW).unwrap();
    let want = AgentDef {
        name: "x".into(),
        model: "m.1".into(),
        tools: vec!["read".into()],
        needs: ["read /a/**", "ask *", "read /skills/pdf/**"].map(|need| Grant::parse(need).unwrap()).into(),
        limits: vec![
            Limit { resource: Resource::Money, window: Window::Run, max: 500_000_000 },
            Limit { resource: Resource::TokensOut, window: Window::Day, max: 400_000 },
        ],
        wall_us: Some(600_000_000),
        restart: Restart::OnFailure(3),
        prompt: Content::of(b"body\n---\n"),
        version: VersionId(7),
        label: LabelId(2),
        withheld: vec![],
        skills: vec![],
        task: None,
        run: None,
    };
    assert_eq!(
        (sheet.prompt().as_slice(), &sheet.skills),
        (b"body\n---\n".as_slice(), &vec!["pdf".to_owned()])
    );
    assert_eq!(sheet.def, want);
}

#[test]
fn mistakes_are_named() {
    let long = format!("---\nname: x\nmodel: m\ndescription: {}\n---\n", "y".repeat(17_000));
    for (text, message, hint) in [
        ("", "does not open", "start it with"),
        ("name: x\n", "does not open", "start it with"),
        ("---\nname: x\n", "does not end", "end it with"),
        ("---\nmodel: m\n---\n", "says no name", "write name: x"),
        ("---\nname: y\nmodel: m\n---\n", "AGENT.md:2:7: the AGENT.md of \"x\" names itself", "must agree"),
        (
            "---\nname: x\nmodel: m\ntool: [read]\n---\n",
            "AGENT.md:4:1: AGENT.md has no key \"tool\"",
            "did you mean tools?",
        ),
        ("---\nname: x\nmodel: m\ntools: [raed]\n---\n", "no tool \"raed\"", "did you mean read?"),
        ("---\nname: x\nmodel: m\ntools: Read, Bsah\n---\n", "no tool \"Bsah\"", "did you mean Bash?"),
        ("---\nname: x\nmodel: m\nneeds: [eat /x]\n---\n", "is not a need", "read PATH"),
        ("---\nname: x\nmodel: m\nbudget: {runn: 1}\n---\n", "no key \"runn\"", "did you mean run?"),
        ("---\nname: x\nmodel: m\nbudget: {run: .5}\n---\n", "is not an amount", "0.05"),
        ("---\nname: x\nmodel: m\nbudget: {wall: 1w}\n---\n", "AGENT.md:4:16: \"1w\" is no time", "30m"),
        ("---\nname: x\nmodel: m\nrestart: daily\n---\n", "restart is", "on-failure:5"),
        ("---\nname: x\nmodel: \"a b\"\n---\n", "is not a name", "letters"),
        ("---\nname: x\nmodel: a//b\n---\n", "is not the name of a model", "letters"),
        ("---\nname: x\nskills: [../x]\n---\n", "is not a name", "letters"),
        ("---\nname: x\ninputs: [a]\n---\n", "inputs is no map", "key: value"),
        ("---\nname: x\ninputs: {a: dat}\n---\n", "\"dat\" is no type", "did you mean date?"),
        ("---\nname: x\ninputs: {a: {}}\n---\n", "input a has no type", "text number"),
        ("---\nname: x\ninputs: {a: {typ: text}}\n---\n", "no key \"typ\"", "did you mean type?"),
        ("---\nname: x\ninputs: {a: {type: enum}}\n---\n", "an enum lists", "values: [low"),
        ("---\nname: x\ninputs: {a: {type: date, values: [b]}}\n---\n", "has no values", "type: enum"),
        ("---\nname: x\ninputs: {a: {values: []}}\n---\n", "one value to 32", "[low, high]"),
        (
            "---\nname: x\ninputs: {a: {type: date, default: soon}}\n---\n",
            "default of input a is not a date",
            "yesterday",
        ),
        (long.as_str(), "larger than 16 KiB", ""),
    ] {
        let error = parse("x", text.as_bytes(), version(), NOW).unwrap_err();
        assert!(error.message.contains(message), "{text:.80?}: {error}");
        assert!(error.hint.contains(hint), "{text:.80?}: hint {:?}", error.hint);
    }
}

/// Front matter, tools, needs, what is withheld.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

#[test]
fn a_subagent_file_is_an_agent_and_is_granted_nothing_for_what_it_is_not() {
    let data = ["read /AGENTS.md", "read /data/**", "write /data/**"];
    let rows: [Row<'_>; 6] = [
        (
            "tools: Read, Grep, Glob, Bash",
            &["read", "search", "list", "bash"],
            &["read /AGENTS.md", "read /data/**", "write /data/**", "exec /data/**"],
            &[],
        ),
        (
            "tools: [Edit, \"Bash(git diff:*, git log:*)\", mcp__x__y]\nmodel: haiku",
            &["write"],
            &data[2..],
            &[
                "tool Bash(git diff:*, git log:*): there is none of its kind here",
                "tool mcp__x__y: there is none of its kind here",
            ],
        ),
        ("color: red", &["list", "read", "search", "write"], &data, &["key color: it means nothing here"]),
        (
            "disallowedTools: Write, Grep\npermissionMode: bypassPermissions\nhooks: {a: [b]}",
            &["read"],
            &data[..2],
            &["key permissionMode: it means nothing here", "key hooks: it means nothing here"],
        ),
        // Ours says its needs, or has none.
        ("tools: [read, write]", &["read", "write"], &[], &[]),
        ("needs: [read /x]", &[], &["read /x"], &[]),
    ];
    for (front, tools, needs, withheld) in rows {
        let def = sheet(&format!("name: x\ndescription: d\n{front}")).unwrap().def;
        let needs: Vec<Grant> = needs.iter().map(|need| Grant::parse(need).unwrap()).collect();
        let all = (def.tools.as_slice(), def.needs.as_slice(), def.withheld.as_slice());
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(all, (&*owned(tools), needs.as_slice(), &*owned(withheld)), "{front}");
        assert_eq!(def.model, if front.contains("haiku") { "fast" } else { "smart" });
    }
}

#[test]
fn values_are_checked_and_become_canonical() {
    let front = "name: x\ninputs:\n  since: {type: date, default: yesterday}\n  to: text\n  n: {type: integer, \
                 default: 3}\n  f: {type: number, default: 0.10}\n  go: {type: boolean, default: no}\n  \
                 at: {type: path, default: /data}\n  how: {values: [fast, slow], default: fast}";
    let sheet = sheet(front).unwrap();
    let want =
        concat!(r#"{"at":"/data","f":0.10,"go":false,"how":"fast","#, r#""n":3,"since":"2026-11-27"}"#);
    assert!(String::from_utf8(sheet.prompt()).unwrap().ends_with(&format!("these hold: {want}\n")));
    let fields = |rows: &[(&str, &str)]| -> Fields {
        rows.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
    };
    let of = |rows: &[(&str, &str)]| given("x", &sheet.inputs, &fields(rows), NOW);
    let block = of(&[("to", "a\"b\n"), ("since", "3 days ago"), ("go", "YES"), ("n", "+7"), ("f", "-0.50")]);
    let want = r#"{"f":-0.50,"go":true,"n":7,"since":"2026-11-25","to":"a\"b\n"}"#;
    assert_eq!(block.unwrap().as_deref(), Some(want));
    for (rows, message, hint) in [
        (&[][..], "needs the input to, a text", "--input to=VALUE"),
        (&[("to", ""), ("sinc", "today")][..], "no input \"sinc\"", "did you mean since?"),
        (&[("to", ""), ("since", "soon")][..], "input since is not a date", "yesterday"),
        (&[("to", ""), ("n", "1.5")][..], "is not a whole number", "digits"),
        (&[("to", ""), ("f", "1e9")][..], "is not a number", "0.50"),
        (&[("to", ""), ("f", "007")][..], "is not a number", "0.50"),
        (&[("to", ""), ("go", "maybe")][..], "neither true nor false", "yes"),
        (&[("to", ""), ("at", "data")][..], "is not a path", ""),
        (&[("to", ""), ("how", "slw")][..], "none of its values", "did you mean slow?"),
        (&[("to", "x".repeat(5000).as_str())][..], "longer than 4 KiB", "a file"),
    ] {
        let error = of(rows).unwrap_err();
        assert!(error.message.contains(message) && error.argument == "inputs", "{rows:.80?}: {error:?}");
        assert!(error.hint.contains(hint), "{rows:.80?}: hint {:?}", error.hint);
    }
    assert_eq!(given("x", &[], &fields(&[]), NOW).unwrap(), None);
    assert!(given("x", &[], &fields(&[("a", "")]), NOW).unwrap_err().hint.contains("declares none"));
}

fn program(run: &str) -> Result<(abi::agent::Program, Vec<String>), Error> {
    let sheet = sheet(&format!("name: x\nneeds: []\nrun: {run}"))?;
    Ok((sheet.def.run.unwrap(), sheet.unattended))
}

#[test]
fn the_shipped_recipes_parse() {
    for (name, text) in crate::shipped::GUESTS {
        let sheet = parse(name, text, version(), NOW).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(sheet.def.tools.is_empty(), "{name}");
        let Some(run) = sheet.def.run else {
            assert_eq!(name, "guest");
            continue;
        };
        let guest = run.guest;
        assert_eq!(run.command, format!("exec '{name}'"));
        if guest.protocol == Protocol::None {
            assert_eq!(guest.stdio, Stdio::TERMINAL, "{name}");
            assert!(sheet.unattended.iter().any(|word| word == "$task"), "{name}");
        } else {
            // Nobody could answer it, if it might not ask.
            assert!(sheet.def.needs.contains(&Grant::parse("ask operator permit").unwrap()), "{name}");
        }
        // It is told where the endpoint is, or it pays by itself; none may say what of a host is shown.
        assert!(guest.endpoint.is_empty() == guest.own_login && guest.tools.is_empty(), "{name}");
    }
}

#[test]
fn a_recipe_says_what_a_program_is_given() {
    let (run, unattended) = program(
        "\n  command: [it, --own]\n  tty: true\n  args_unattended: [-p, \"do $task now\"]\n  \
         endpoint: {anthropic: A_URL, token: A_KEY}\n  environment: {N: \"1\"}\n  login: own\n  \
         seed:\n    .it.json: {asked: true, n: 3, s: no, $cwd: [a]}\n    .d/e: plain",
    )
    .unwrap();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(run.command, "exec 'it' '--own'");
    assert_eq!(run.guest.env, [pair("N", "1")]);
    assert_eq!(run.guest.endpoint, [pair("anthropic", "A_URL"), pair("token", "A_KEY")]);
    let json = r#"{"$cwd":["a"],"asked":true,"n":3,"s":"no"}"#;
    assert_eq!(run.guest.seed, [pair(".it.json", json), pair(".d/e", "plain")]);
    assert!(run.guest.own_login);
    let mut told = run.clone();
    program::set(&mut told, &unattended, "it's \"this\"; rm -rf /");
    assert_eq!(told.command, r#"exec 'it' '--own' '-p' 'do it'\''s "this"; rm -rf / now'"#);
    // One that speaks a protocol keeps its streams for that, whoever runs it.
    let (spoken, _) = program("{command: [it], protocol: acp}").unwrap();
    assert_eq!((spoken.guest.protocol, spoken.guest.stdio), (Protocol::Acp, Stdio::Pipe));
    let terminal = |of: &abi::agent::Program| {
        let given = abi::agent::Given {
            guest: Guest { stdio: Stdio::TERMINAL, ..Guest::default() },
            ..Default::default()
        };
        given.over(Some(of.clone())).unwrap().guest.stdio
    };
    assert_eq!((terminal(&spoken), terminal(&told)), (Stdio::Pipe, Stdio::TERMINAL));
    // What an operator says wins: where the program is, or which it is.
    let given = |rows: &[(&str, &[&str])]| {
        let rows = rows
            .iter()
            .map(|(key, all)| ((*key).to_owned(), all.iter().map(|one| (*one).to_owned()).collect()));
        abi::agent::Given::of(rows.collect())
    };
    let is = given(&[("path", &["/opt/it"]), ("stdio", &["pipe"]), ("env", &["N=2", "M="])]).unwrap();
    let over = is.over(Some(told.clone())).unwrap();
    assert!(over.command.starts_with("exec '/opt/it' '--own' '-p'"), "{}", over.command);
    assert_eq!(over.guest.env, [pair("N", "2"), pair("M", "")]);
    let other = given(&[("command", &["a b", "c"]), ("dir", &["/data"]), ("tools", &["/opt/x"])]).unwrap();
    let over = other.over(Some(told)).unwrap();
    assert_eq!((over.command.as_str(), over.dir.as_str()), ("exec 'a b' 'c'", "/data"));
    assert_eq!(over.guest.tools, ["/opt/x"]);
    assert_eq!(given(&[]).unwrap().over(None), None);
    for (key, values) in [
        ("tools", &["/a/../b"][..]),
        ("tools", &["a"]),
        ("env", &["=x"]),
        ("env", &["x"]),
        ("dir", &["/a", "/b"]),
        ("stdio", &["terminal:0x1"]),
        ("tool", &["/a"]),
    ] {
        assert!(given(&[(key, values)]).is_err(), "{key} {values:?}");
    }
}

#[test]
fn what_is_wrong_with_a_recipe_is_named() {
    for (run, want) in [
        ("{command: [a], ttl: true}", "tty"),
        ("{command: [a], tty: yes}", "tty is true or false"),
        ("{command: [a], seed: {/etc/x: y}}", "no path below HOME"),
        ("{command: [a], seed: {a/../b: y}}", "no path below HOME"),
        ("{command: [a], environment: {A-B: y}}", "no name of a variable"),
        ("{command: [a], endpoint: {antropic: A}}", "anthropic"),
        ("{command: [a], login: mine}", "login is own"),
        ("{command: [a], home: mine}", "home is kept or sandbox"),
        ("{command: [a], tools: [/home]}", "tools"),
        ("{tty: true}", "run needs a command"),
        ("{command: [a], protocol: mcp}", "protocol is acp"),
        ("{command: [a], protocol: acp, tty: true}", "there is no tty"),
        ("{command: [a], protocol: acp, args_unattended: [x]}", "there is no args_unattended"),
    ] {
        let error = program(run).unwrap_err();
        assert!(format!("{} {}", error.message, error.hint).contains(want), "{run}: {error:?}");
    }
}
