//! A server on the loopback that says exactly the bytes it was told to, and remembers what it was asked.
//!
//! One `Answer` for each request, in order; on one connection as long as both sides keep it. It never
//! waits for time, only for bytes and for the other side to go away.

use drivers::{Flow, ModelError, Piece, Prompt, Provider, Said, Secret, Wire, provider};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};

/// What is said to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes, and the connection stays.
    Says(Vec<u8>),
    /// These bytes, and it is closed.
    Ends(Vec<u8>),
    /// The first bytes, then these over and over until the other side has gone or this many were sent.
    Repeats(Vec<u8>, Vec<u8>, u64),
    /// These bytes, then nothing until the other side has gone.
    Hangs(Vec<u8>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Request line and headers, in small letters.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// On which connection, from 0.
    pub connection: usize,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// It.
pub struct Server {
    pub url: String,
    pub asked: Receiver<Asked>,
    thread: JoinHandle<u64>,
}

impl Server {
    /// Says these answers to as many requests.
    pub fn says(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (send, asked) = channel();
        let serve = move || {
            let (mut answers, mut written) = (answers.into_iter().peekable(), 0);
            let mut connection = 0;
            while answers.peek().is_some() {
                let (mut stream, _) = listener.accept().unwrap();
                while answers.peek().is_some() {
                    let Some((head, body)) = request(&mut stream) else { break };
                    let _ = send.send(Asked { head, body, connection });
                    let Some(answer) = answers.next() else { break };
                    let (bytes, stays) = say(&mut stream, answer);
                    written += bytes;
                    if !stays {
                        break;
                    }
                }
                connection += 1;
            }
            written
        };
        Self { url, asked, thread: Builder::new().spawn(serve).unwrap() }
    }

    /// How many bytes it could say, once it has said all.
    pub fn written(self) -> u64 {
        self.thread.join().unwrap()
    }

    pub fn provider(&self, wire: Wire) -> Box<dyn Provider> {
        provider(&[wire], &self.url).unwrap()
    }
}

fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// How many bytes were written, and whether the connection stays.
fn say(stream: &mut TcpStream, answer: Answer) -> (u64, bool) {
    match answer {
        Answer::Says(bytes) => (bytes.len() as u64, stream.write_all(&bytes).is_ok()),
        Answer::Ends(bytes) => {
            let _ = stream.write_all(&bytes);
            (bytes.len() as u64, false)
        }
        Answer::Repeats(first, again, most) => {
            let mut written = 0;
            let mut open = stream.write_all(&first).is_ok();
            while open && written < most {
                open = stream.write_all(&again).is_ok();
                written += again.len() as u64;
            }
            (written, false)
        }
        Answer::Hangs(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.read(&mut [0; 1]);
            (bytes.len() as u64, false)
        }
    }
}

/// A stream of events that is whole, with its length.
pub fn stream(events: &str) -> Answer {
    Answer::Says(with_length("200 OK", "text/event-stream", events.as_bytes()))
}

/// A JSON answer.
pub fn json(status: &str, body: &str) -> Answer {
    Answer::Says(with_length(status, "application/json", body.as_bytes()))
}

pub fn with_length(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The head of a stream without a length.
pub const OPEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// Data as events, each on one line, however it stands in a test.
pub fn events(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {}\n\n", flat(data))).collect()
}

/// Lines without their breaks and indentation.
pub fn flat(text: &str) -> String {
    text.lines().map(str::trim_start).collect()
}

/// A prompt of one user's text.
pub fn prompt(text: &str) -> Prompt {
    Prompt {
        model: "m-1".to_owned(),
        items: vec![(abi::effect::Role::User, text.as_bytes().to_vec())],
        tools: vec!["read".to_owned()],
        max_out: 1000,
    }
}

/// The key of all these tests; it stands in nothing that comes back.
pub const KEY: &str = "sk-canary-0123456789";

/// A call, and the pieces of text that came.
pub fn call(provider: &dyn Provider, prompt: &Prompt) -> (Result<Said, ModelError>, Vec<String>) {
    let mut pieces = Vec::new();
    let said = provider.call(prompt, Some(&Secret::lend(KEY)), &mut |piece| {
        pieces.push(piece.to_owned());
        Flow::Go
    });
    assert!(!format!("{said:?} {pieces:?}").contains(KEY), "the key came back: {said:?}");
    (said, pieces)
}

/// What a client of the endpoint got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Got {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    pub said: u64,
    /// How many of the bytes came as the last.
    pub last: usize,
}

impl Got {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The bytes that were the last.
    pub fn end(&self) -> String {
        String::from_utf8_lossy(&self.bytes[self.bytes.len() - self.last..]).into_owned()
    }
}

/// Passes a request on; `most` bytes are said before the sink has enough.
pub fn forward(
    provider: &dyn Provider,
    (wire, body, streams): (Wire, &str, Stream),
    most: u64,
) -> (Result<Said, ModelError>, Got) {
    let mut got = Got::default();
    let request = drivers::Forward {
        wire,
        model: "m-1".to_owned(),
        headers: vec![("anthropic-beta".to_owned(), "x-1".to_owned()), ("cookie".to_owned(), "c".to_owned())],
        body: body.as_bytes().to_vec(),
        streams: streams == Stream::Yes,
        max_out: 100_000,
    };
    let said = provider.forward(&request, Some(&Secret::lend(KEY)), &mut |piece| {
        match piece {
            Piece::Head { status, content_type, headers } => {
                assert_eq!(got.status, 0, "one head, first");
                (got.status, got.content_type) = (status, content_type.to_owned());
                got.headers = headers.to_vec();
            }
            Piece::Bytes { bytes, said, last } => {
                assert!(bytes.is_empty() || got.status != 0, "bytes before a head");
                assert!(got.last == 0, "bytes after the last");
                got.bytes.extend_from_slice(bytes);
                got.said += said;
                got.last = if last { bytes.len() } else { 0 };
            }
        }
        if got.said > most { Flow::Stop } else { Flow::Go }
    });
    assert!(!format!("{said:?} {}", got.text()).contains(KEY), "the key came back: {said:?}");
    (said, got)
}

/// Whether a client wants a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Yes,
    No,
}
