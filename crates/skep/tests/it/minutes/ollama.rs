//! A server on a free port of the loopback that speaks what Ollama speaks of interest here: `/api/tags`, and
//! below `/v1` the list of models and chat completions, streamed. It counts what it was asked, and refuses
//! who shows a key.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// The one model that it has.
pub const MODEL: &str = "qwen3:8b";

/// A running one; it ends with the test.
pub struct Ollama {
    /// Its address, as `OLLAMA_HOST` has it.
    pub host: String,
    /// First lines of the requests that came.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Ollama {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = asked.clone();
        let serve = move || {
            for socket in listener.incoming().flatten() {
                let seen = seen.clone();
                let one = move || while answer(&socket, &seen).is_some() {};
                std::thread::Builder::new().spawn(one).unwrap();
            }
        };
        std::thread::Builder::new().spawn(serve).unwrap();
        Self { host, asked }
    }

    /// How often this path was asked for.
    pub fn count(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|first| first.split(' ').nth(1) == Some(path)).count()
    }
}

fn answer(socket: &TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let (mut first, mut length, mut key) = (String::new(), 0_usize, false);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        key |= line.starts_with("authorization:");
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.lock().unwrap().push(first.clone());
    let (status, kind, text) = match first.split(' ').nth(1)? {
        _ if key => (401, "application/json", json!({"error": "nobody asked for a key"}).to_string()),
        "/api/tags" => (200, "application/json", json!({"models": [{"name": MODEL}]}).to_string()),
        "/v1/models" => {
            let row = json!({"id": MODEL, "object": "model", "owned_by": "library"});
            (200, "application/json", json!({"object": "list", "data": [row]}).to_string())
        }
        "/v1/chat/completions" => {
            let body: Value = serde_json::from_slice(&body).ok()?;
            match body["model"] == MODEL && body["stream"] == true {
                true => (200, "text/event-stream", stream()),
                false => (404, "application/json", json!({"error": {"message": "not here"}}).to_string()),
            }
        }
        _ => (404, "text/plain", "404 page not found".to_owned()),
    };
    let head =
        format!("HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", text.len());
    let mut out = socket;
    out.write_all(head.as_bytes()).ok()?;
    out.write_all(text.as_bytes()).ok()
}

fn stream() -> String {
    let part = |delta: Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": MODEL, "choices": choices})
    };
    let usage = json!({"prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127});
    let mut last = part(Value::Null, Value::Null);
    (last["choices"], last["usage"]) = (json!([]), usage);
    let parts = [
        part(json!({"role": "assistant", "content": "Good "}), Value::Null),
        part(json!({"role": "assistant", "content": "morning."}), Value::Null),
        part(json!({"role": "assistant", "content": ""}), json!("stop")),
        last,
    ];
    let lines: String = parts.iter().map(|part| format!("data: {part}\n\n")).collect();
    lines + "data: [DONE]\n\n"
}
