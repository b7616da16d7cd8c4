//! Rows for the module above, and lines of nobody's making.
use super::*;
use proptest::prelude::*;

fn told(update: &Value) -> News {
    let params = json!({ "sessionId": "s", "update": update });
    let line = json!({ "jsonrpc": "2.0", "method": "session/update", "params": params }).to_string();
    match hear(line.as_bytes()) {
        Ok(Heard::Told { session, news }) if session == "s" => news,
        other => panic!("{other:?}"),
    }
}

fn asked(method: &str, params: &Value) -> Result<Ask, Wrong> {
    let line = json!({ "jsonrpc": "2.0", "id": "i", "method": method, "params": params }).to_string();
    match hear(line.as_bytes()) {
        Ok(Heard::Asked { id, ask, .. }) if id == Id(json!("i")) => ask,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_message_is_none() {
    for (line, why) in [
        ("", "no JSON object"),
        ("hello", "no JSON object"),
        ("[1]", "no JSON object"),
        (r#"{"id":1,"result":1}"#, "no JSON-RPC 2.0"),
        (r#"{"jsonrpc":"2.0","id":"1","result":1}"#, "answers nothing"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "neither a result nor an error"),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, "neither a result nor an error"),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "method is no text"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, "params are no object"),
        (r#"{"jsonrpc":"2.0","id":[],"method":"x"}"#, "no number or short text"),
    ] {
        assert!(hear(line.as_bytes()).is_err_and(|said| said.contains(why)), "{line}");
    }
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#, "i".repeat(257));
    assert!(hear(long.as_bytes()).is_err());
    let deep =
        format!(r#"{{"jsonrpc":"2.0","method":"x","params":{{"a":{}1{}}}}}"#, "[".repeat(90), "]".repeat(90));
    assert_eq!(hear(deep.as_bytes()), Err("it is nested too deep"));
}

#[test]
fn answers_are_results_or_errors() {
    let hear = |line: &str| hear(line.as_bytes()).unwrap();
    let wrong = Wrong::new(LOGIN_FIRST, "log in");
    for (line, answer) in [
        (r#"{"jsonrpc":"2.0","id":7,"result":null}"#, Ok(Value::Null)),
        (r#"{"jsonrpc":"2.0","id":7,"result":{"a":1},"error":null}"#, Ok(json!({"a": 1}))),
        (r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"log in"}}"#, Err(wrong)),
        (r#"{"jsonrpc":"2.0","id":7,"error":{}}"#, Err(Wrong::new(INTERNAL, ""))),
    ] {
        assert_eq!(hear(line), Heard::Answered { id: 7, answer }, "{line}");
    }
    assert_eq!(hear(r#"{"jsonrpc":"2.0","method":"_x/y"}"#), Heard::Other);
}

#[test]
fn news_is_cut_and_nobody_draws_with_it() {
    let said = |text: &str| {
        let block = json!({"type": "text", "text": text});
        json!({"sessionUpdate": "agent_message_chunk", "content": block})
    };
    assert_eq!(told(&said("hi\n")), News::Said("hi\n".to_owned()));
    assert_eq!(told(&said("")), News::Other);
    let image = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "image", "data": "x"}});
    assert_eq!(told(&image), News::Other);
    let title = format!("a\n\u{1b}[2J\u{202e}{}", "x".repeat(500));
    let call = json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": title, "status": "pending"});
    let News::Act(act) = told(&call) else { panic!("a tool call") };
    assert!(act.title.starts_with("a  [2Jx") && act.title.chars().count() == limits::ACP_TITLE_CHARS_MAX);
    let steps: Vec<Value> =
        (0..99).map(|n| json!({"content": format!("{n}"), "status": "pending"})).collect();
    let News::Plan(plan) = told(&json!({"sessionUpdate": "plan", "entries": steps})) else {
        panic!("a plan")
    };
    assert_eq!((plan.len(), &plan[1]), (limits::ACP_STEPS_MAX, &("pending".to_owned(), "1".to_owned())));
    for other in [json!({"sessionUpdate": "x"}), json!(5), json!({"sessionUpdate": "plan"})] {
        assert_eq!(told(&other), News::Other, "{other}");
    }
}

#[test]
fn a_yes_is_for_this_time_where_there_is_such_an_option() {
    let ask = |kinds: &[&str]| {
        let options: Vec<Value> = kinds
            .iter()
            .map(|kind| json!({"optionId": format!("o-{kind}"), "name": "", "kind": kind}))
            .collect();
        let call = json!({"toolCallId": "t", "title": "T", "rawInput": {"a": [1]}});
        match asked("session/request_permission", &json!({"options": options, "toolCall": call})) {
            Ok(Ask::Permission(ask)) => ask,
            other => panic!("{other:?}"),
        }
    };
    for (kinds, yes, no) in [
        (&["allow_always", "allow_once", "reject_once"][..], Some("o-allow_once"), Some("o-reject_once")),
        (&["allow_always", "reject_always"], Some("o-allow_always"), Some("o-reject_always")),
        (&["allow_once"], Some("o-allow_once"), None),
        (&["yes_please"], None, None),
    ] {
        let ask = ask(kinds);
        assert_eq!((ask.yes(), ask.no()), (yes, no), "{kinds:?}");
        assert_eq!(ask.input, r#"{"a":[1]}"#);
    }
    let many: Vec<Value> = (0..17).map(|_| json!({"optionId": "o", "kind": "allow_once"})).collect();
    assert!(asked("session/request_permission", &json!({"options": many, "toolCall": {}})).is_err());
    assert!(asked("session/request_permission", &json!({"options": []})).is_err());
}

#[test]
fn what_it_asks_for_is_whole_or_refused() {
    let read = asked("fs/read_text_file", &json!({"path": "/a", "line": 2, "limit": null}));
    assert_eq!(read, Ok(Ask::Read { path: "/a".to_owned(), line: Some(2), limit: None }));
    let params =
        json!({"command": "ls", "args": ["-l"], "env": [{"name": "A", "value": "b"}], "cwd": "/data"});
    let words = vec!["ls".to_owned(), "-l".to_owned()];
    let (dir, env) = (Some("/data".to_owned()), vec![("A".to_owned(), "b".to_owned())]);
    assert_eq!(asked("terminal/create", &params), Ok(Ask::Create { words, dir, env, keep: None }));
    for (method, params, number) in [
        ("fs/read_text_file", json!({}), INVALID_PARAMS),
        ("fs/write_text_file", json!({"path": "/a"}), INVALID_PARAMS),
        ("terminal/create", json!({"command": "ls", "args": [1]}), INVALID_PARAMS),
        ("terminal/create", json!({"command": "ls", "env": [{"name": "A=B", "value": ""}]}), INVALID_PARAMS),
        ("terminal/create", json!({"command": "ls", "args": vec!["x"; 257]}), INVALID_PARAMS),
        ("terminal/output", json!({"terminalId": "t".repeat(300)}), INVALID_PARAMS),
        ("elicitation/create", json!({}), METHOD_NOT_FOUND),
    ] {
        assert_eq!(asked(method, &params).unwrap_err().number, number, "{method} {params:.80}");
    }
}

#[test]
fn the_agents_first_answers_are_claims() {
    assert_eq!(logins(&json!({"protocolVersion": 1})), Ok(vec![]));
    assert!(logins(&json!({"protocolVersion": 2})).is_err_and(|why| why.contains("version 2")));
    assert!(logins(&json!("x")).is_err());
    let methods = json!([{"id": "a"}, {"id": "b", "type": "terminal"}, {"id": "c", "type": "agent"}, 5]);
    let found = logins(&json!({"protocolVersion": 1, "authMethods": methods}));
    assert_eq!(found, Ok(vec!["a".to_owned(), "c".to_owned()]));
    assert_eq!(session(&json!({"sessionId": "s"})), Some("s".to_owned()));
    assert_eq!((session(&json!({"sessionId": ""})), session(&json!({"sessionId": 1}))), (None, None));
    let used = Usage { tokens_in: 4, tokens_out: 7, tokens_cached: 1, tokens_written: 0 };
    let usage = json!({"inputTokens": 4, "outputTokens": 5, "thoughtTokens": 2, "cachedReadTokens": 1});
    assert_eq!(stopped(&json!({"stopReason": "end_turn", "usage": usage})), Some((Stop::End, Some(used))));
    assert_eq!(stopped(&json!({"stopReason": "refusal"})), Some((Stop::Short("refusal"), None)));
    let odd = json!({"stopReason": "cancelled", "usage": {"inputTokens": -1}});
    assert_eq!(stopped(&odd), Some((Stop::Cancelled, None)));
    assert_eq!((stopped(&json!({"stopReason": "because"})), stopped(&Value::Null)), (None, None));
}

/// JSON of any shape, with the words of the protocol in it.
fn shapes() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "2.0",
        "session/update",
        "session/request_permission",
        "terminal/create",
        "plan",
        "tool_call",
        "agent_message_chunk",
        "text",
        "diff",
        "allow_once",
        "end_turn",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "jsonrpc",
        "id",
        "method",
        "params",
        "result",
        "error",
        "code",
        "sessionId",
        "update",
        "content",
        "sessionUpdate",
        "toolCall",
        "toolCallId",
        "options",
        "optionId",
        "kind",
        "locations",
        "path",
        "text",
        "type",
        "newText",
        "command",
        "args",
        "env",
        "name",
        "value",
        "entries",
        "status",
        "stopReason",
        "usage",
        "inputTokens",
        "outputTokens",
        "authMethods",
        "protocolVersion",
        "title",
        "rawInput",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..8).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

#[test]
fn servers_are_told_of_as_the_protocol_has_them() {
    let many: Vec<String> = (0..33).map(|ix| format!(r#""{ix}":{{"command":"a"}}"#)).collect();
    let long = vec!["x"; 257];
    for (text, told, left) in [
        (
            r#"{"mcpServers":{"a":{"command":"npx","args":["-y","x"],"env":{"K":"v"}}}}"#.to_owned(),
            json!([{"name":"a","command":"npx","args":["-y","x"],"env":[{"name":"K","value":"v"}]}]),
            "",
        ),
        (
            r#"{"mcpServers":{"a":{"type":"stdio","command":"b"},"c":{"type":"http","url":"x"}}}"#.to_owned(),
            json!([{"name":"a","command":"b","args":[],"env":[]}]),
            "c: only those are told of",
        ),
        (r#"{"mcpServers":{"a\u001b[2J":{"command":""}}}"#.to_owned(), json!([]), "a [2J: it has no command"),
        (r#"{"mcpServers":{"a":{"command":"b","args":[1]}}}"#.to_owned(), json!([]), "a: a word is a text"),
        (
            json!({"mcpServers":{"a":{"command":"b","args":long}}}).to_string(),
            json!([]),
            "a: it has more than 256",
        ),
        (r#"{"mcpServers":{"a":7}}"#.to_owned(), json!([]), "a: a server is an object"),
        ("{}".to_owned(), json!([]), ""),
        ("[]".to_owned(), json!("mcpServers is an object"), ""),
        ("{".to_owned(), json!("it is no JSON: EOF while parsing an object at line 1 column 1"), ""),
        (format!("{{\"mcpServers\":{{{}}}}}", many.join(",")), json!("it names more than 32 servers"), ""),
        ("[".repeat(5000), json!("it is nested too deep"), ""),
        (" ".repeat(70_000), json!("it is larger than 64 KiB"), ""),
    ] {
        match servers(&text) {
            Ok((servers, lines)) => {
                assert_eq!(new_session("/data", &servers).1["mcpServers"], told, "{text}");
                assert!(
                    lines.join("\n").starts_with(left) && lines.is_empty() == left.is_empty(),
                    "{lines:?}"
                );
            }
            Err(why) => assert_eq!(json!(why), told, "{text}"),
        }
    }
}

#[test]
fn a_session_is_loaded_where_that_can_be() {
    for (answer, can) in [
        (json!({"agentCapabilities": {"loadSession": true}}), true),
        (json!({"agentCapabilities": {"loadSession": "true"}}), false),
        (json!({"loadSession": true}), false),
        (json!(null), false),
    ] {
        assert_eq!(loads(&answer), can, "{answer}");
    }
    let params = json!({"sessionId": "s", "cwd": "/data", "mcpServers": []});
    assert_eq!(load_session("s", "/data", &[]), ("session/load", params));
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = (hear(&bytes), servers(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn any_shape_is_taken_and_answered_on_one_line(method in "[a-z_/]{0,30}", mut shape in shapes()) {
        if let Value::Object(map) = &mut shape {
            map.insert("jsonrpc".to_owned(), json!("2.0"));
            if !method.is_empty() {
                map.entry("method").or_insert(json!(method));
            }
        }
        let _ = (logins(&shape), session(&shape), stopped(&shape), loads(&shape));
        let whole = json!({"mcpServers": shape});
        let _ = (servers(&shape.to_string()), servers(&whole.to_string()));
        if let Ok(Heard::Asked { id, ask, .. }) = hear(shape.to_string().as_bytes()) {
            let line = answer(&id, &ask.map(|_| Value::Null));
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        }
    }
}
