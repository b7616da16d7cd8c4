//! One connection to the daemon: JSON-RPC 2.0, one message a line (docs/how/speak-to-the-socket.md). Replies
//! may come in any order and between notifications; what is not asked for yet is kept. Never here: what a
//! message means.

use crate::{clock::Deadline, fail::Fail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

/// Bytes of one reply: a listing of 10,000 entries and a page of records fit many times.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Requests sent before the first reply is read.
const PIPELINE_MAX: usize = 64;

/// What the daemon tells without being asked again.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A record of the log.
    Record(Value),
    /// What a model of this process is just saying.
    Preview(u64, String),
    /// What a command is just saying.
    Output(String),
    /// Something this version does not know.
    Other,
}

/// What waiting came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// An answer to the request of this number.
    Reply(u64, Result<Value, Fail>),
    /// A notification.
    Note(Note),
    /// The other stream can be read.
    Woken,
    /// The time is over.
    TimedOut,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
    last: u64,
    early: BTreeMap<u64, Result<Value, Fail>>,
    notes: VecDeque<Note>,
}

impl Client {
    /// Connects; does not start anything.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        Ok(Self { stream, buffer: Vec::new(), last: 0, early: BTreeMap::new(), notes: VecDeque::new() })
    }

    /// The daemon's process, held so that its end can be waited for.
    pub fn peer(&self) -> Result<Peer, Fail> {
        let peer = rustix::net::sockopt::socket_peercred(&self.stream).map_err(io::Error::from)?;
        let held = pidfd_open(peer.pid, PidfdFlags::empty()).map_err(io::Error::from)?;
        Ok(Peer { pid: peer.pid, held })
    }

    /// Sends a request and answers its number.
    pub fn send(&mut self, method: &str, params: Value) -> Result<u64, Fail> {
        self.last += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params});
        let mut line = message.to_string();
        line.push('\n');
        match self.stream.write_all(line.as_bytes()) {
            // A daemon that turns somebody away says why and closes: that is still to be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.map_err(gone)?,
        }
        Ok(self.last)
    }

    /// Waits for the reply to a request; notifications that come before it are kept.
    pub fn reply(&mut self, id: u64) -> Result<Value, Fail> {
        loop {
            if let Some(reply) = self.early.remove(&id) {
                return reply;
            }
            match self.read(None, None)? {
                Got::Reply(other, reply) => drop(self.early.insert(other, reply)),
                Got::Note(note) => self.notes.push_back(note),
                Got::Woken | Got::TimedOut => {}
            }
        }
    }

    /// Sends a request and waits for its reply.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Fail> {
        let id = self.send(method, params)?;
        self.reply(id)
    }

    /// The same for many at once; replies in the order of the requests.
    pub fn calls(&mut self, method: &str, params: Vec<Value>) -> Result<Vec<Result<Value, Fail>>, Fail> {
        let mut replies = Vec::new();
        let mut params = params.into_iter().peekable();
        while params.peek().is_some() {
            let batch = params.by_ref().take(PIPELINE_MAX);
            let ids = batch.map(|one| self.send(method, one)).collect::<Result<Vec<_>, _>>()?;
            replies.extend(ids.into_iter().map(|id| self.reply(id)));
        }
        Ok(replies)
    }

    /// The next message of any kind, until a deadline, or until another stream can be read.
    pub fn next(&mut self, until: Option<Deadline>, wake: Option<&UnixStream>) -> Result<Got, Fail> {
        if let Some(note) = self.notes.pop_front() {
            return Ok(Got::Note(note));
        }
        if let Some((id, reply)) = self.early.pop_first() {
            return Ok(Got::Reply(id, reply));
        }
        self.read(until, wake)
    }

    fn read(&mut self, until: Option<Deadline>, wake: Option<&UnixStream>) -> Result<Got, Fail> {
        let mut searched = 0;
        loop {
            let found = self.buffer.iter().skip(searched).position(|byte| *byte == b'\n');
            if let Some(at) = found {
                let line: Vec<u8> = self.buffer.drain(..=searched + at).collect();
                return parse(&line);
            }
            searched = self.buffer.len();
            if searched > REPLY_BYTES_MAX {
                return Err(Fail::new("the daemon sent a line longer than 64 MiB"));
            }
            match self.ready(until, wake)? {
                Ready::Message => self.fill()?,
                Ready::Wake => return Ok(Got::Woken),
                Ready::Late => return Ok(Got::TimedOut),
            }
        }
    }

    fn ready(&self, until: Option<Deadline>, wake: Option<&UnixStream>) -> Result<Ready, Fail> {
        let timeout = match until.map(|deadline| deadline.left()) {
            None => None,
            Some(Some(left)) => Some(timespec(left)),
            Some(None) => return Ok(Ready::Late),
        };
        let mut fds = vec![PollFd::new(&self.stream, PollFlags::IN)];
        fds.extend(wake.map(|wake| PollFd::new(wake, PollFlags::IN)));
        let count = match poll(&mut fds, timeout.as_ref()) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => return self.ready(until, wake),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let woken = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        Ok(match count {
            0 => Ready::Late,
            _ if woken => Ready::Wake,
            _ => Ready::Message,
        })
    }

    fn fill(&mut self) -> Result<(), Fail> {
        let mut part = [0; 64 * 1024];
        let count = self.stream.read(&mut part).map_err(gone)?;
        if count == 0 {
            return Err(gone(io::ErrorKind::UnexpectedEof.into()));
        }
        self.buffer.extend(part.iter().take(count));
        Ok(())
    }
}

/// A daemon's process.
#[derive(Debug)]
pub struct Peer {
    pid: Pid,
    held: OwnedFd,
}

impl Peer {
    /// Whether it is this very process.
    pub fn is_self(&self) -> bool {
        self.pid == rustix::process::getpid()
    }

    /// Ends it without asking.
    pub fn kill(&self) -> Result<(), Fail> {
        pidfd_send_signal(&self.held, Signal::KILL)
            .map_err(|error| Fail::new(format!("the daemon cannot be killed: {error}")))
    }

    /// Waits until it has ended, and with it its locks; answers whether it has.
    pub fn ended(&self, until: Deadline) -> bool {
        while let Some(left) = until.left() {
            let mut fds = [PollFd::new(&self.held, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
        false
    }
}

enum Ready {
    Message,
    Wake,
    Late,
}

fn timespec(left: Duration) -> Timespec {
    let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec: seconds, tv_nsec: i64::from(left.subsec_nanos()) }
}

/// The other end is not there any more.
fn gone(error: io::Error) -> Fail {
    let hint = "look at its last words: skep doctor names the file; any command starts it again";
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Fail::new("the daemon closed the connection").hint(hint)
        }
        _ => Fail::new(format!("the connection to the daemon failed: {error}")).hint(hint),
    }
}

fn parse(line: &[u8]) -> Result<Got, Fail> {
    let mut message: Value = serde_json::from_slice(line)
        .map_err(|_| Fail::new("the daemon sent a line that is not JSON").hint("skep version"))?;
    if let Some(method) = message.get("method").and_then(Value::as_str) {
        if method == "preview" {
            let params = message.get("params");
            let pid = params.and_then(|params| params.get("pid")?.as_u64()).unwrap_or_default();
            let text = params.and_then(|params| params.get("text")?.as_str()).unwrap_or_default();
            return Ok(Got::Note(Note::Preview(pid, text.to_owned())));
        }
        if method == "output" {
            let text = message.get("params").and_then(|params| params.get("text")?.as_str());
            return Ok(Got::Note(Note::Output(text.unwrap_or_default().to_owned())));
        }
        let is_record = method == "record";
        let record = message.get_mut("params").and_then(|params| params.get_mut("record"));
        return Ok(Got::Note(match record {
            Some(record) if is_record => Note::Record(record.take()),
            _ => Note::Other,
        }));
    }
    let result = message.get_mut("result").map(Value::take);
    let result = match message.get("error") {
        Some(error) => Err(Fail::from_wire(error)),
        None => Ok(result.unwrap_or(Value::Null)),
    };
    match message.get("id").and_then(Value::as_u64) {
        Some(id) => Ok(Got::Reply(id, result)),
        // An error without an id is about the connection as a whole.
        None => Err(result.err().unwrap_or_else(|| Fail::new("the daemon sent a reply to nothing"))),
    }
}
