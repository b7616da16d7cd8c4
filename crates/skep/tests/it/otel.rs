//! `skep otel` against a collector that is a listener of our own: it takes OTLP over HTTP as JSON, is busy at
//! first, and holds every name against the GenAI semantic conventions.

use crate::{
    decisions::{desk, spawn},
    hive::{Client, Hive, field, retry},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

/// Names of the conventions (core, and GenAI as of 1.40) that we use; all others are ours.
const NAMES: [&str; 21] = [
    "error.type",
    "gen_ai.agent.name",
    "gen_ai.conversation.id",
    "gen_ai.input.messages",
    "gen_ai.operation.name",
    "gen_ai.output.messages",
    "gen_ai.provider.name",
    "gen_ai.request.max_tokens",
    "gen_ai.request.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "service.instance.id",
    "service.name",
    "service.version",
];

/// What a collector was sent.
struct Collector {
    url: String,
    bodies: Arc<Mutex<Vec<Value>>>,
    _taker: JoinHandle<()>,
}

impl Collector {
    /// One that answers so, in order, and then always takes what comes.
    fn new(first: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        let take = move || {
            let mut answers = first.iter();
            while let Ok((stream, _)) = listener.accept() {
                let status = answers.next().copied().unwrap_or("200 OK");
                exchange(stream, status, &kept);
            }
        };
        let _taker = thread::Builder::new().name("collector".into()).spawn(take).unwrap();
        Self { url, bodies, _taker }
    }

    fn spans(&self) -> Vec<Value> {
        let bodies = self.bodies.lock().unwrap();
        let of =
            |body: &Value| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
        bodies.iter().flat_map(of).collect()
    }

    fn text(&self) -> String {
        self.bodies.lock().unwrap().iter().map(Value::to_string).collect()
    }
}

fn exchange(mut stream: TcpStream, status: &str, kept: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    assert_eq!(head[0], "POST /v1/traces HTTP/1.1");
    assert!(head.contains(&"Content-Type: application/json".to_owned()), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    if status.starts_with("200") {
        kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    }
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes()).unwrap();
}

/// An agent asks, is answered, and ends.
fn play(hive: &Hive, client: &mut Client) -> u64 {
    let pid = spawn(client, "ask");
    retry("the agent to wait", || {
        (field(&client.text(&format!("/proc/{pid}/status")), "why") == "proposal 1").then_some(())
    });
    hive.cli(&["answer", "1", "2"]).fine();
    let answer = client.ok("wait", json!({"pid": pid, "timeout_ms": 20_000}));
    assert_eq!(answer["exit"], json!({"exited": 0}), "{answer}");
    pid
}

/// Attributes of a span, as the text or number that each is.
fn about(span: &Value) -> BTreeMap<String, Value> {
    let rows = span["attributes"].as_array().unwrap();
    let value = |row: &Value| {
        let value = row["value"].as_object().unwrap().values().next().unwrap().clone();
        (row["key"].as_str().unwrap().to_owned(), value)
    };
    rows.iter().map(value).collect()
}

/// The shape that OTLP asks for, and names that the conventions know.
fn check(spans: &[Value]) {
    let digits = |value: &Value, length: usize| {
        let text = value.as_str().unwrap();
        assert!(text.len() == length && text.chars().all(|c| c.is_ascii_hexdigit()), "{text}");
        text.to_owned()
    };
    let ids: BTreeSet<String> = spans.iter().map(|span| digits(&span["spanId"], 16)).collect();
    assert_eq!(ids.len(), spans.len(), "a span came twice");
    for span in spans {
        digits(&span["traceId"], 32);
        if !span["parentSpanId"].is_null() {
            assert!(ids.contains(&digits(&span["parentSpanId"], 16)), "{span}");
        }
        let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
        for key in about(span).keys() {
            assert!(key.starts_with("skep.") || NAMES.contains(&key.as_str()), "{key}");
        }
        let operation = about(span)["gen_ai.operation.name"].as_str().unwrap().to_owned();
        let kind = if operation == "chat" { 3 } else { 1 };
        assert_eq!(span["kind"], json!(kind), "{span}");
        assert!(span["name"].as_str().unwrap().starts_with(&operation), "{span}");
    }
}

#[test]
fn runs_model_calls_and_tool_calls_are_spans_and_no_text_leaves() {
    let (hive, mut client, _) = desk();
    let pid = play(&hive, &mut client);
    let collector = Collector::new(&["503 Service Unavailable"]);
    let sent = hive.cli(&["--json", "otel", &collector.url]).fine();
    let spans = collector.spans();
    check(&spans);
    let told: Value = serde_json::from_str(&sent.out).unwrap();
    assert_eq!((told["sent"].as_u64(), told["rejected"].as_u64()), (Some(spans.len() as u64), Some(0)));
    let mut names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let chats = ["chat clerk"; 4];
    let tools = ["execute_tool propose", "execute_tool wait", "execute_tool write", "invoke_agent clerk"];
    assert_eq!(names, [&chats[..], &tools[..]].concat());
    let runs: Vec<&Value> = spans.iter().filter(|span| span["parentSpanId"].is_null()).collect();
    assert_eq!(runs.len(), 1, "one root: the run");
    let run = about(runs[0]);
    assert_eq!((&run["skep.pid"], &run["skep.verdict"]), (&json!(pid.to_string()), &json!("unverified")));
    assert_eq!(run["gen_ai.agent.name"], json!("clerk"));
    // What a collector adds up is what the log says.
    let of = |key: &str| -> u64 {
        let count = |span: &Value| about(span).get(key).and_then(|text| text.as_str()?.parse::<u64>().ok());
        spans.iter().filter_map(count).sum()
    };
    let log = client.log("home");
    let used = |keys: &[&str]| -> u64 {
        let usage = log.iter().filter_map(|record| record["body"]["model_answered"]["usage"].as_object());
        usage.flat_map(|usage| keys.iter().map(|key| usage[*key].as_u64().unwrap())).sum()
    };
    assert_eq!(of("gen_ai.usage.output_tokens"), used(&["tokens_out"]));
    assert_eq!(of("gen_ai.usage.input_tokens"), used(&["tokens_in", "tokens_cached", "tokens_written"]));
    assert_eq!(of("gen_ai.usage.cache_read.input_tokens"), used(&["tokens_cached"]));
    assert!(of("gen_ai.usage.cache_read.input_tokens") > 0);
    let waited = spans.iter().find(|span| span["name"] == "execute_tool wait").unwrap();
    assert_ne!(waited["startTimeUnixNano"], waited["endTimeUnixNano"], "it waited for a person");
    for text in ["colour", "Which", "scripted] "] {
        assert!(!collector.text().contains(text), "{text} left");
    }

    // What was sent once is not sent again; with the texts only who asks for them.
    let again = Collector::new(&[]);
    let last = told["last"].as_u64().unwrap().to_string();
    hive.cli(&["otel", &again.url, "--from", &last]).fine();
    assert!(again.spans().is_empty());
    hive.cli(&["otel", &again.url, "--content"]).fine();
    for text in ["Which colour?", "[scripted] Done.", "\\\"role\\\":\\\"user\\\"", "/data/colour.md"] {
        assert!(again.text().contains(text), "{text} lacks: {}", again.text());
    }
    let ids = |spans: &[Value]| -> BTreeSet<String> {
        spans.iter().map(|span| span["spanId"].to_string()).collect()
    };
    assert_eq!(ids(&again.spans()), ids(&spans), "the same spans by the same names");
}

#[test]
fn a_collector_that_refuses_or_is_elsewhere_is_an_error_with_a_way_on() {
    let (hive, mut client, _) = desk();
    play(&hive, &mut client);
    let refusing = Collector::new(&["400 Bad Request"]);
    let failed = hive.cli(&["otel", &refusing.url]).failed(1);
    assert!(failed.err.contains("400 Bad Request") && failed.err.contains("--from 0"), "{failed:?}");
    let elsewhere = hive.cli(&["otel", "http://192.0.2.1:4318"]).failed(2);
    assert!(elsewhere.err.contains("not on this host"), "{elsewhere:?}");
}

#[test]
fn who_follows_exports_as_things_end() {
    let (hive, mut client, _) = desk();
    let collector = Collector::new(&[]);
    let mut child = hive.command(&["otel", &collector.url, "--follow"]).spawn().unwrap();
    let pid = spawn(&mut client, "chat");
    client.ok("wait", json!({"pid": pid, "timeout_ms": 20_000}));
    retry("the run's span", || {
        collector.spans().iter().any(|span| span["name"] == "invoke_agent clerk").then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    check(&collector.spans());
}
