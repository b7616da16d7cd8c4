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
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
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
    /// What a program shows on its terminal.
    Screen {
        /// Which command it is.
        exec: u64,
        /// As it came.
        bytes: Vec<u8>,
    },
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

/// What waiting for one of several came to.
#[derive(Debug)]
pub enum Came {
    /// A message, or the end of the time.
    Got(Got),
    /// The stream of this place in the list can be read.
    Wake(usize),
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
            match self.read(None, &[])? {
                Came::Got(Got::Reply(other, reply)) => drop(self.early.insert(other, reply)),
                Came::Got(Got::Note(note)) => self.notes.push_back(note),
                Came::Got(Got::Woken | Got::TimedOut) | Came::Wake(_) => {}
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
        let wakes: Vec<BorrowedFd<'_>> = wake.map(|wake| wake.as_fd()).into_iter().collect();
        match self.next_of(until, &wakes)? {
            Came::Got(got) => Ok(got),
            Came::Wake(_) => Ok(Got::Woken),
        }
    }

    /// The same, until one of several streams can be read.
    pub fn next_of(&mut self, until: Option<Deadline>, wakes: &[BorrowedFd<'_>]) -> Result<Came, Fail> {
        if let Some(note) = self.notes.pop_front() {
            return Ok(Came::Got(Got::Note(note)));
        }
        if let Some((id, reply)) = self.early.pop_first() {
            return Ok(Came::Got(Got::Reply(id, reply)));
        }
        self.read(until, wakes)
    }

    fn read(&mut self, until: Option<Deadline>, wakes: &[BorrowedFd<'_>]) -> Result<Came, Fail> {
        let mut searched = 0;
        loop {
            let found = self.buffer.iter().skip(searched).position(|byte| *byte == b'\n');
            if let Some(at) = found {
                let line: Vec<u8> = self.buffer.drain(..=searched + at).collect();
                return parse(&line).map(Came::Got);
            }
            searched = self.buffer.len();
            if searched > REPLY_BYTES_MAX {
                return Err(Fail::new("the daemon sent a line longer than 64 MiB"));
            }
            match self.ready(until, wakes)? {
                Ready::Message => self.fill()?,
                Ready::Wake(which) => return Ok(Came::Wake(which)),
                Ready::Late => return Ok(Came::Got(Got::TimedOut)),
            }
        }
    }

    fn ready(&self, until: Option<Deadline>, wakes: &[BorrowedFd<'_>]) -> Result<Ready, Fail> {
        let timeout = match until.map(|deadline| deadline.left()) {
            None => None,
            Some(Some(left)) => Some(timespec(left)),
            Some(None) => return Ok(Ready::Late),
        };
        let mut fds = vec![PollFd::new(&self.stream, PollFlags::IN)];
        fds.extend(wakes.iter().map(|wake| PollFd::new(wake, PollFlags::IN)));
        let count = match poll(&mut fds, timeout.as_ref()) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => return self.ready(until, wakes),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let woken = fds.iter().skip(1).position(|fd| !fd.revents().is_empty());
        Ok(match (count, woken) {
            (0, _) => Ready::Late,
            (_, Some(which)) => Ready::Wake(which),
            (_, None) => Ready::Message,
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
    Wake(usize),
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
        if method == "screen" {
            let params = message.get("params");
            let exec = params.and_then(|params| params.get("exec")?.as_u64()).unwrap_or_default();
            let text = params.and_then(|params| params.get("base64")?.as_str()).unwrap_or_default();
            let bytes = abi::wire::from_base64("base64", text)?;
            return Ok(Got::Note(Note::Screen { exec, bytes }));
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
