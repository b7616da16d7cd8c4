//! One client's connection: lines in, lines out.
//!
//! In: at most `LINE_BYTES_MAX` a line; a longer one ends the connection, half a line waits. Out: any thread
//! may write. A line that the socket takes at once is gone; else it waits in a bounded backlog that a writer
//! thread of this connection empties. A client whose backlog passes `CLIENT_BACKLOG_BYTES_MAX`, or does not
//! shrink for ten seconds, is dropped: nobody waits for somebody who does not read.

use crate::{
    cell::Cell,
    clock::Clock,
    guard::{guard, wait},
    secrets::Lent,
    spawn,
    upload::Begun,
    walls::{Forward, Screen},
};
use abi::{Code, Error, ExecId, ReplyTo, limits};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, send},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Read},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, Weak},
};

/// How long a backlog may stand without a byte taken.
const STALL_US: u64 = 10_000_000;
/// What is read at once.
const READ_BYTES: usize = 8 * 1024;

/// What a line came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its end.
    Full(Vec<u8>),
    /// Longer than the limit.
    TooLong,
    /// The other side has gone.
    End,
}

/// Takes lines out of a stream of bytes.
pub(crate) struct Lines<R> {
    from: R,
    held: Vec<u8>,
    /// Bytes of `held` that hold no line end.
    searched: usize,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, held: Vec::new(), searched: 0 }
    }

    /// The next line; waits for it.
    pub(crate) fn next(&mut self) -> io::Result<Line> {
        loop {
            let fresh = self.held.get(self.searched..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                let rest = self.held.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.held, rest);
                line.truncate(end);
                self.searched = 0;
                return Ok(if end > limits::LINE_BYTES_MAX { Line::TooLong } else { Line::Full(line) });
            }
            self.searched = self.held.len();
            if self.held.len() > limits::LINE_BYTES_MAX {
                return Ok(Line::TooLong);
            }
            let mut chunk = [0; READ_BYTES];
            match self.from.read(&mut chunk) {
                Ok(0) => return Ok(Line::End),
                Ok(got) => self.held.extend_from_slice(chunk.get(..got).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The answers of one JSON array of requests, until the last of them is there.
pub(crate) struct Array {
    open: Mutex<(usize, Vec<String>)>,
}

impl Array {
    pub(crate) fn of(requests: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::new((requests, Vec::new())) })
    }
}

/// Where in a client's stream an answer belongs.
#[derive(Clone)]
pub(crate) enum Id {
    /// A notification: nowhere.
    None,
    /// A line of its own.
    One(Value),
    /// A part of an array.
    Part(Option<Value>, Arc<Array>),
}

struct Out {
    bytes: Vec<u8>,
    /// When the backlog last shrank.
    moved: u64,
    writing: bool,
    dead: bool,
}

struct Flight {
    waiting: BTreeMap<ReplyTo, Arc<Cell>>,
    /// What it may upload, under which numbers; those begun are the session's.
    uploads: BTreeMap<u64, Option<Begun>>,
    closed: bool,
    /// It is cut when this is answered.
    last: Option<ReplyTo>,
    /// Terminals it looks at, as the kernel let it.
    screens: Vec<Weak<Screen>>,
    /// Ports of sandboxes that are reached from the host as long as it is open.
    forwards: Vec<Weak<Forward>>,
    /// Secrets it lends to the runs it starts, by name.
    lent: BTreeMap<String, Arc<Lent>>,
}

/// A connected client.
pub(crate) struct Connection {
    socket: UnixStream,
    clock: Arc<dyn Clock>,
    out: Mutex<Out>,
    flight: Mutex<Flight>,
    landed: Condvar,
}

impl Connection {
    pub(crate) fn new(socket: UnixStream, clock: Arc<dyn Clock>) -> Arc<Self> {
        let out = Out { bytes: Vec::new(), moved: 0, writing: false, dead: false };
        let flight = Flight {
            waiting: BTreeMap::new(),
            uploads: BTreeMap::new(),
            closed: false,
            last: None,
            screens: Vec::new(),
            forwards: Vec::new(),
            lent: BTreeMap::new(),
        };
        Arc::new(Self {
            socket,
            clock,
            out: Mutex::new(out),
            flight: Mutex::new(flight),
            landed: Condvar::new(),
        })
    }

    /// The kernel let it upload this under this number.
    pub(crate) fn may_upload(&self, upload: ReplyTo, begun: Begun) -> Result<(), Error> {
        let mut flight = guard(&self.flight);
        if flight.uploads.len() >= limits::UPLOADS_MAX {
            let message = format!("{} uploads are open on this connection", limits::UPLOADS_MAX);
            return Err(Error::new(Code::Busy, message).hint("end one of them: write mode whole"));
        }
        flight.uploads.insert(upload.0, Some(begun));
        Ok(())
    }

    /// What it may upload under this number, if it is this; told once.
    pub(crate) fn take_begun(&self, upload: u64, is: impl Fn(&Begun) -> bool) -> Option<Begun> {
        guard(&self.flight).uploads.get_mut(&upload)?.take_if(|begun| is(begun))
    }

    /// No more comes under this number.
    pub(crate) fn end_upload(&self, upload: u64) {
        guard(&self.flight).uploads.remove(&upload);
    }

    /// Lends a secret to the runs that it starts from now on.
    pub(crate) fn lend(&self, name: &str, lent: Lent) -> Result<(), Error> {
        let mut flight = guard(&self.flight);
        if flight.closed {
            return Err(Error::new(Code::Unavailable, "the connection has gone"));
        }
        if flight.lent.len() >= limits::LENT_MAX && !flight.lent.contains_key(name) {
            let message = format!("this connection lends {} secrets already", limits::LENT_MAX);
            return Err(Error::new(Code::Exhausted, message).hint("keep them: skep secret add NAME"));
        }
        flight.lent.insert(name.to_owned(), Arc::new(lent));
        Ok(())
    }

    /// The secret of this name that it lends.
    pub(crate) fn lent(&self, name: &str) -> Option<Arc<Lent>> {
        guard(&self.flight).lent.get(name).cloned()
    }

    /// It looks at this terminal from now on, and may type into it.
    pub(crate) fn looks_at(&self, screen: &Arc<Screen>) -> Result<(), Error> {
        let mut flight = guard(&self.flight);
        if flight.closed {
            return Err(Error::new(Code::Unavailable, "the connection has gone"));
        }
        flight.screens.retain(|held| held.upgrade().is_some_and(|held| !Arc::ptr_eq(&held, screen)));
        if flight.screens.len() >= limits::SCREENS_MAX {
            return Err(Error::new(Code::Busy, "this connection looks at 16 terminals already"));
        }
        flight.screens.push(Arc::downgrade(screen));
        Ok(())
    }

    /// A port of a sandbox is reached from the host as long as it is open.
    pub(crate) fn keeps(&self, forward: &Arc<Forward>) -> Result<(), Error> {
        let mut flight = guard(&self.flight);
        if flight.closed {
            return Err(Error::new(Code::Unavailable, "the connection has gone"));
        }
        flight.forwards.retain(|held| held.upgrade().is_some_and(|held| held.is_open()));
        if flight.forwards.len() >= limits::FORWARDS_MAX {
            return Err(Error::new(Code::Busy, "this connection keeps 16 ports open already"));
        }
        flight.forwards.push(Arc::downgrade(forward));
        Ok(())
    }

    /// The terminal of this command that it looks at.
    pub(crate) fn screen(&self, workspace: &str, exec: ExecId) -> Option<Arc<Screen>> {
        let flight = guard(&self.flight);
        flight.screens.iter().filter_map(Weak::upgrade).find(|screen| screen.is(workspace, exec))
    }

    /// It looks at it no more.
    pub(crate) fn looks_away(&self, workspace: &str, exec: ExecId) {
        let gone = |held: &Weak<Screen>| held.upgrade().is_none_or(|screen| screen.is(workspace, exec));
        guard(&self.flight).screens.retain(|held| !gone(held));
    }

    /// Whether it lends any.
    pub(crate) fn lends(&self) -> bool {
        !guard(&self.flight).lent.is_empty()
    }

    /// Where its lines come from.
    pub(crate) fn lines(&self) -> Lines<&UnixStream> {
        Lines::new(&self.socket)
    }

    /// Waits until fewer than `CLIENT_REQUESTS_MAX` of its requests are under way: the client is not read
    /// from until then, which is how it notices.
    pub(crate) fn make_room(&self) {
        let mut flight = guard(&self.flight);
        while flight.waiting.len() >= limits::CLIENT_REQUESTS_MAX && !flight.closed {
            flight = wait(&self.landed, flight, 1_000_000);
        }
    }

    /// A request of it is under way.
    pub(crate) fn depart(&self, reply: ReplyTo, cell: &Arc<Cell>) {
        guard(&self.flight).waiting.insert(reply, cell.clone());
    }

    /// And has been answered.
    pub(crate) fn land(&self, reply: ReplyTo) {
        let mut flight = guard(&self.flight);
        let full = flight.waiting.len() >= limits::CLIENT_REQUESTS_MAX;
        flight.waiting.remove(&reply);
        if full {
            self.landed.notify_one();
        }
        let is_last = flight.last == Some(reply);
        drop(flight);
        if is_last {
            self.cut();
        }
    }

    /// Nothing is taken from it any more, and it is cut when this is answered.
    pub(crate) fn ends_with(&self, reply: ReplyTo) {
        guard(&self.flight).last = Some(reply);
    }

    /// Whether nothing is taken from it any more.
    pub(crate) fn is_leaving(&self) -> bool {
        guard(&self.flight).last.is_some()
    }

    /// It is over: what was still under way.
    pub(crate) fn close(&self) -> BTreeMap<ReplyTo, Arc<Cell>> {
        self.cut();
        let mut flight = guard(&self.flight);
        flight.closed = true;
        flight.lent.clear();
        let screens = std::mem::take(&mut flight.screens);
        let forwards = std::mem::take(&mut flight.forwards);
        let waiting = std::mem::take(&mut flight.waiting);
        drop(flight);
        forwards.iter().filter_map(Weak::upgrade).for_each(|forward| forward.shut());
        screens.iter().filter_map(Weak::upgrade).for_each(|screen| screen.leave(self));
        waiting
    }

    /// No more is read from it; answers still go out.
    pub(crate) fn stop_reading(&self) {
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    /// Whether nothing can be sent to it any more.
    pub(crate) fn is_dead(&self) -> bool {
        guard(&self.out).dead
    }

    /// Whether a backlog stands.
    pub(crate) fn is_behind(&self) -> bool {
        let out = guard(&self.out);
        !out.dead && !out.bytes.is_empty()
    }

    /// Nothing goes in or out any more.
    pub(crate) fn cut(&self) {
        guard(&self.out).dead = true;
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Answers a request.
    pub(crate) fn answer(self: &Arc<Self>, id: &Id, answer: Result<Value, Error>) {
        self.put(id, |id| message(id, &answer));
    }

    /// Answers a request that is none, under this number.
    pub(crate) fn refuse(self: &Arc<Self>, id: &Id, number: i32, error: &Error) {
        self.put(id, |id| failure(id, number, error));
    }

    fn put(self: &Arc<Self>, id: &Id, message: impl Fn(&Value) -> String) {
        match id {
            Id::None => {}
            Id::One(id) => self.send_line(message(id)),
            Id::Part(id, array) => {
                let mut open = guard(&array.open);
                open.0 = open.0.saturating_sub(1);
                open.1.extend(id.as_ref().map(message));
                if open.0 == 0 && !open.1.is_empty() {
                    let all = std::mem::take(&mut open.1).join(",");
                    self.send_line(format!("[{all}]"));
                }
            }
        }
    }

    /// Sends one message as a line.
    pub(crate) fn send_line(self: &Arc<Self>, mut message: String) {
        message.push('\n');
        self.send(message.as_bytes());
    }

    /// Whether it lives and is slow to take what it is sent.
    pub(crate) fn is_slow(&self) -> bool {
        let out = guard(&self.out);
        !out.dead && out.bytes.len() >= limits::CLIENT_BACKLOG_BYTES_MAX / 4
    }

    /// Sends bytes that end with a line end.
    pub(crate) fn send(self: &Arc<Self>, line: &[u8]) {
        let mut out = guard(&self.out);
        if out.dead {
            return;
        }
        let sent = if out.bytes.is_empty() { self.push(line) } else { Some(0) };
        let rest = match sent {
            Some(sent) => line.get(sent..).unwrap_or_default(),
            None => {
                drop(out);
                return self.cut();
            }
        };
        if rest.is_empty() {
            return;
        }
        if out.bytes.is_empty() {
            out.moved = self.clock.mono();
        }
        out.bytes.extend_from_slice(rest);
        if out.bytes.len() > limits::CLIENT_BACKLOG_BYTES_MAX {
            drop(out);
            return self.cut();
        }
        if !out.writing {
            let client = self.clone();
            out.writing = spawn::thread("writer", move || client.write_backlog());
        }
    }

    /// Bytes that the socket takes without waiting; none when it is broken.
    fn push(&self, bytes: &[u8]) -> Option<usize> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match send(&self.socket, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(some) => sent += some,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(sent)
    }

    /// Empties the backlog, then ends.
    fn write_backlog(&self) {
        loop {
            let mut out = guard(&self.out);
            if out.dead {
                return;
            }
            let Some(sent) = self.push(&out.bytes) else {
                drop(out);
                return self.cut();
            };
            if sent > 0 {
                out.bytes.drain(..sent);
                out.moved = self.clock.mono();
            }
            if out.bytes.is_empty() {
                out.bytes = Vec::new();
                out.writing = false;
                return;
            }
            let stalled = self.clock.mono().saturating_sub(out.moved) > STALL_US;
            drop(out);
            if stalled {
                return self.cut();
            }
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            // A failed poll only means that the socket is tried again; the stall above bounds it.
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&second));
        }
    }
}

/// A JSON-RPC 2.0 response.
fn message(id: &Value, answer: &Result<Value, Error>) -> String {
    match answer {
        Ok(result) => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"),
        Err(error) => failure(id, error.code.number(), error),
    }
}

/// A JSON-RPC 2.0 error response under this number.
pub(crate) fn failure(id: &Value, number: i32, error: &Error) -> String {
    let mut data = json!({ "code": error.code.word() });
    if let Value::Object(map) = &mut data {
        for (key, text) in [("hint", &error.hint), ("argument", &error.argument)] {
            if !text.is_empty() {
                map.insert(key.into(), text.clone().into());
            }
        }
    }
    let error = json!({ "code": number, "message": error.message, "data": data });
    json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
}

/// What a client hears whose request ends with the daemon or its workspace.
pub(crate) fn gone(message: &str) -> Error {
    Error::new(Code::Unavailable, message).hint("nothing of it was done; try again")
}

/// What a client hears whose request had been decided, and whose workspace or daemon ends before the answer.
pub(crate) fn interrupted(message: &str) -> Error {
    Error::new(Code::Interrupted, message).hint("it may have been done; skep trace shows what came of it")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces one by one.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let mut piece = self.0.remove(0);
            let rest = piece.split_off(piece.len().min(into.len()));
            if !rest.is_empty() {
                self.0.insert(0, rest);
            }
            into[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new(Pieces(pieces.iter().map(|piece| piece.to_vec()).collect()));
        let mut found = Vec::new();
        loop {
            let line = lines.next().unwrap();
            let last = line == Line::End || line == Line::TooLong;
            found.push(line);
            if last {
                return found;
            }
        }
    }

    fn full(text: &str) -> Line {
        Line::Full(text.into())
    }

    #[test]
    fn lines_come_in_any_pieces() {
        for (pieces, want) in [
            (vec!["a\nb\n"], vec![full("a"), full("b")]),
            (vec!["a", "b", "\n", "\n"], vec![full("ab"), full("")]),
            (vec!["half"], vec![]),
            (vec!["x\nhalf"], vec![full("x")]),
        ] {
            let bytes: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let mut want = want;
            want.push(Line::End);
            assert_eq!(lines(&bytes), want, "{pieces:?}");
        }
    }

    #[test]
    fn a_line_is_bounded() {
        let max = limits::LINE_BYTES_MAX;
        let fits = [vec![b'x'; max], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&fits]).len(), 2);
        assert_eq!(lines(&[&vec![b'x'; max + 9000]]), [Line::TooLong]);
        let long = [vec![b'x'; max + 1], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&long]), [Line::TooLong]);
    }
}
