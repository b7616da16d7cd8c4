//! proxy: what the model endpoint adds to the first byte of an answer, against the same request without it.
//!
//! Both go over one connection that stays open, in turns, to a provider on loopback that answers at once with
//! a stream of events; the home lies in memory, so the one durable barrier on the way costs nothing.

use super::{
    Rig, Row, Target, Times,
    client::{self, Client, Daemon},
};
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    thread,
    time::Instant,
};

const REPEATS: usize = 1_000;
const WARM: usize = 50;

/// What the provider says: a whole answer in the messages format, an event a line.
const EVENTS: [&str; 6] = [
    concat!(
        r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","#,
        r#""content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#,
    ),
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Good day."}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
    r#"{"type":"message_stop"}"#,
];

/// Measures it.
pub fn proxy(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let provider = provide()?;
    let home = client::home()?;
    let (daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    let models = json!({
        "format": 1,
        "providers": {"near": {"url": format!("http://{provider}"), "wires": ["messages"]}},
        "prices": {"near/*": {"in": 0, "out": 0}},
    });
    let file = json!({"path": "/sys/models.yaml", "text": models.to_string(), "origin": "argument"});
    client.call("write", file)?;
    let spawn = json!({"agent": "helper", "text": "a program", "origin": "argument", "kind": "client"});
    let pid = client.call("spawn", spawn)?["pid"].clone();
    let token = client.call("read", json!({"path": format!("/proc/{pid}/token")}))?;
    let key = token["text"].as_str().unwrap_or_default().trim().to_owned();
    let direct = TcpStream::connect(&provider).map_err(said)?;
    direct.set_nodelay(true).map_err(said)?;
    let through = UnixStream::connect(home.path().join("api")).map_err(said)?;
    let (mut direct, mut through) = (Line::new(direct), Line::new(through));
    let (mut bare, mut added) = (Times::default(), Times::default());
    for round in 0..WARM + REPEATS {
        let (near, far) = (direct.first_byte(&key)?, through.first_byte(&key)?);
        if round >= WARM {
            bare.push(near);
            added.push(far.saturating_sub(near));
        }
    }
    daemon.down()?;
    let row = |part, target, measured| Row {
        name: "proxy",
        part,
        target: Target::AtMost(target),
        measured,
        unit: "ms",
        barriers: 1,
        n: REPEATS as u64,
    };
    Ok(vec![row("added to the first byte, p50", 1.0, added.percentile_us(0.5) / 1e3)])
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A connection that stays open.
struct Line<S> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Line<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Asks, and reads the answer to its end; how long until its body began.
    fn first_byte(&mut self, key: &str) -> Result<std::time::Duration, String> {
        let body = json!({
            "model": "near/m", "max_tokens": 64, "stream": true,
            "messages": [{"role": "user", "content": "hello"}],
        })
        .to_string();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: near\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let begun = Instant::now();
        self.stream.get_mut().write_all([head, body].concat().as_bytes()).map_err(said)?;
        let status = self.line()?;
        if !status.contains(" 200 ") {
            return Err(format!("the answer was {status:?}"));
        }
        while !self.line()?.trim().is_empty() {}
        let mut took = None;
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(said)?;
            took.get_or_insert_with(|| begun.elapsed());
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).map_err(said)?;
            if size == 0 {
                return took.ok_or_else(|| "no byte came".to_owned());
            }
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(said)?;
        if line.is_empty() { Err("the connection was closed".to_owned()) } else { Ok(line) }
    }
}

/// A provider that answers at once; where it listens. It ends with this process.
fn provide() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(said)?;
    let address = listener.local_addr().map_err(said)?.to_string();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(client));
        }
    });
    Ok(address)
}

fn answer(client: TcpStream) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(client);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        lines.read_exact(&mut vec![0; length]).ok()?;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut text = head.to_owned();
        for event in EVENTS {
            let kind: serde_json::Value = serde_json::from_str(event).ok()?;
            let block = format!("event: {}\ndata: {event}\n\n", kind["type"].as_str()?);
            text.push_str(&format!("{:x}\r\n{block}\r\n", block.len()));
        }
        text.push_str("0\r\n\r\n");
        lines.get_mut().write_all(text.as_bytes()).ok()?;
    }
}
