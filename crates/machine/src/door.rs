//! The door: JSON-RPC 2.0 on a Unix socket, one message a line (docs/how/speak-to-the-socket.md).
//!
//! Who is there is found out once a connection, by the peer's user id; a request may show a token instead,
//! and then the connection is never an operator's again, even if the token was bad. Every request is bounded
//! before it is parsed. No decision is made here.

use crate::{
    connection::{Array, Connection, Id, Line, failure},
    guard::guard,
    journal,
    node::{HOME, Node},
    operators, secrets, spawn, token, tool,
    upload::{From, Uploads},
    walls::Walls,
};
use abi::{
    Code, Error, ExecId, Pid, ReplyTo,
    event::Caller,
    limits,
    wire::{self, Upload},
};
use rustix::net::sockopt::socket_peercred;
use serde_json::{Map, Value, json};
use std::{
    io,
    os::unix::net::{UnixListener, UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, atomic::Ordering},
};
use zeroize::Zeroize;

/// JSON-RPC 2.0, section 5.1.
const PARSE: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
/// Bytes of a request's id: it is sent back.
const ID_BYTES_MAX: usize = 256;

/// What is typed into a program: no call, since it goes to the program and into no log.
const TERMINAL: &str = "terminal";

/// The user id under which connections out of sandboxes are held: no user has it (POSIX reserves it).
const INSIDE_UID: u32 = u32::MAX;

/// A process, from whose sandbox somebody connects: the socket in it is nobody else's.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub workspace: String,
    pub pid: Pid,
}

/// The connected clients.
#[derive(Default)]
pub(crate) struct Door {
    clients: Mutex<Vec<(u32, Arc<Connection>)>>,
    left: Condvar,
}

impl Door {
    /// Takes clients until the listener is shut down: whoever the peer is, or the process in whose sandbox
    /// the listener is.
    pub fn accept(self: &Arc<Self>, node: &Arc<Node>, listener: &UnixListener, inside: Option<&Inside>) {
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if node.stopping.load(Ordering::Relaxed) => return,
                // It was shut.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
                Err(error) => {
                    // Out of descriptors, most likely: those who are here must go first.
                    journal::say("door", &format!("a client could not be taken: {error}"));
                    let held = guard(&self.clients);
                    drop(crate::guard::wait(&self.left, held, 100_000));
                    continue;
                }
            };
            if node.stopping.load(Ordering::Relaxed) {
                return;
            }
            self.admit(node, socket, inside.cloned());
        }
    }

    /// The user at the other end of a connection, unless it is a program's in a sandbox.
    pub fn user(&self, client: &Arc<Connection>) -> Option<u32> {
        let clients = guard(&self.clients);
        let found = clients.iter().find(|(_, other)| Arc::ptr_eq(other, client));
        found.map(|(user, _)| *user)
    }

    /// Takes one client: whoever the peer is, or a program of this sandbox.
    pub fn admit(self: &Arc<Self>, node: &Arc<Node>, socket: UnixStream, inside: Option<Inside>) {
        let caller = match &inside {
            Some(inside) => Ok((INSIDE_UID, Caller::Process(inside.pid))),
            None => operator(node, &socket),
        };
        let client = Connection::new(socket, node.clock.clone());
        let full = guard(&self.clients).len() >= limits::CLIENTS_MAX;
        let refused = match (&caller, full) {
            (_, true) => {
                Some(Error::new(Code::Busy, "too many clients are connected").hint("close some of them"))
            }
            (Err(error), false) => Some(error.clone()),
            (Ok(_), false) => None,
        };
        if let Some(error) = refused {
            client.send_line(failure(&Value::Null, error.code.number(), &error));
            client.close();
            return;
        }
        let Ok((uid, caller)) = caller else { return };
        guard(&self.clients).push((uid, client.clone()));
        // Who was removed meanwhile was not yet there to be cut.
        if inside.is_none() && !matches!(node.registry.operator(uid), Ok(Some(_))) {
            client.close();
            return self.forget(&client);
        }
        let (door, node) = (self.clone(), node.clone());
        let held = client.clone();
        let started = spawn::thread("client", move || {
            let mut session = Session {
                node: &node,
                client: &client,
                operator: caller,
                inside,
                tainted: false,
                uploads: Uploads::default(),
                caught: false,
            };
            if catch_unwind(AssertUnwindSafe(|| session.serve())).is_err() {
                journal::say("door", "a panic at a client's request");
            }
            // At the end of the daemon nobody has left: what is still answered goes out before `close` cuts.
            if node.stopping.load(Ordering::Relaxed) {
                return;
            }
            for (reply, cell) in client.close() {
                node.left(&cell, reply);
            }
            door.forget(&client);
        });
        if !started {
            held.close();
            self.forget(&held);
        }
    }

    fn forget(&self, client: &Arc<Connection>) {
        guard(&self.clients).retain(|(_, held)| !Arc::ptr_eq(held, client));
        self.left.notify_all();
    }

    /// No client is read from any more.
    pub fn stop_reading(&self) {
        guard(&self.clients).iter().for_each(|(_, client)| client.stop_reading());
    }

    /// Cuts every connection of this user; that which waits for this answer, when it has it.
    pub fn cut(&self, uid: u32, (reply, waits): (ReplyTo, Option<&Arc<Connection>>)) {
        for (_, client) in guard(&self.clients).iter().filter(|(of, _)| *of == uid) {
            match waits {
                Some(waits) if Arc::ptr_eq(waits, client) => client.ends_with(reply),
                _ => client.cut(),
            }
        }
    }

    /// Waits until what was answered has gone out, at most so long, then cuts all off.
    pub fn close(&self, at_most_us: u64, clock: &dyn crate::clock::Clock) {
        let end = clock.mono().saturating_add(at_most_us);
        let mut clients = guard(&self.clients);
        while clients.iter().any(|(_, client)| client.is_behind()) && clock.mono() < end {
            clients = crate::guard::wait(&self.left, clients, 10_000);
        }
        for (_, client) in clients.drain(..) {
            client.close();
        }
    }
}

/// Makes `accept` return.
pub(crate) fn shut(listener: &UnixListener) {
    let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
}

/// The operator at the other end, and which user that is.
fn operator(node: &Node, socket: &UnixStream) -> Result<(u32, Caller), Error> {
    let unknown = |what: &str| {
        Error::new(Code::Denied, format!("{what} is no operator of this node"))
            .hint("connect as the user who runs the daemon, or have them add you: skep operator add NAME")
    };
    let uid = socket_peercred(socket).map_err(|_| unknown("this peer"))?.uid.as_raw();
    let name = node.registry.operator(uid).map_err(|trouble| trouble.to_error())?;
    let name = name.ok_or_else(|| unknown(&format!("user id {uid}")))?;
    let caller = if node.registry.owns(uid) { Caller::Operator } else { Caller::Added };
    Ok((uid, caller(name)))
}

/// One connection's requests.
struct Session<'a> {
    node: &'a Arc<Node>,
    client: &'a Arc<Connection>,
    operator: Caller,
    /// It comes out of a sandbox.
    inside: Option<Inside>,
    /// A token was shown: it is nobody's but the token's.
    tainted: bool,
    uploads: Uploads,
    /// The line that is read now held a secret.
    caught: bool,
}

impl Session<'_> {
    fn serve(&mut self) {
        let mut lines = self.client.lines();
        loop {
            self.client.make_room();
            match lines.next() {
                Ok(Line::Full(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Line::Full(mut line)) => {
                    self.line(&line);
                    if std::mem::take(&mut self.caught) {
                        line.zeroize();
                    }
                }
                Ok(Line::TooLong) => {
                    let message = format!("a line is longer than {} bytes", limits::LINE_BYTES_MAX);
                    self.refuse(PARSE, &Error::new(Code::TooLarge, message).hint("the connection is closed"));
                    return;
                }
                Ok(Line::End) | Err(_) => return,
            }
            if self.client.is_dead() {
                return;
            }
        }
    }

    fn refuse(&self, number: i32, error: &Error) {
        self.client.send_line(failure(&Value::Null, number, error));
    }

    fn line(&mut self, line: &[u8]) {
        let bad = |message: String| Error::new(Code::Invalid, message);
        if std::str::from_utf8(line).is_err() {
            return self.refuse(PARSE, &bad("the message is not UTF-8".into()));
        }
        if wire::deeper_than(line, limits::JSON_DEPTH_MAX) {
            let message = format!("the message is nested deeper than {}", limits::JSON_DEPTH_MAX);
            return self.refuse(PARSE, &bad(message));
        }
        match serde_json::from_slice(line) {
            Err(error) => self.refuse(PARSE, &bad(format!("the message is not JSON: {error}"))),
            Ok(Value::Array(requests)) => self.array(requests),
            Ok(request) => self.request(request, None),
        }
    }

    fn array(&mut self, requests: Vec<Value>) {
        if requests.is_empty() || requests.len() > limits::CLIENT_REQUESTS_MAX {
            let message = format!("an array holds 1 to {} requests", limits::CLIENT_REQUESTS_MAX);
            return self.refuse(INVALID_REQUEST, &Error::new(Code::Invalid, message));
        }
        let array = Array::of(requests.len());
        for request in requests {
            self.request(request, Some(&array));
        }
    }

    fn request(&mut self, request: Value, array: Option<&Arc<Array>>) {
        let (id, request) = match envelope(request) {
            Ok((id, request)) => (id, Ok(request)),
            Err((id, error)) => (Some(id), Err(error)),
        };
        let place = match (array, id) {
            (None, None) => Id::None,
            (None, Some(id)) => Id::One(id),
            (Some(array), id) => Id::Part(id, array.clone()),
        };
        match request {
            Err(error) => self.client.refuse(&place, INVALID_REQUEST, &error),
            Ok((method, params)) => {
                if let Err(error) = self.call(&method, params, &place) {
                    self.client.answer(&place, Err(error));
                }
            }
        }
    }

    fn call(&mut self, method: &str, mut params: Map<String, Value>, id: &Id) -> Result<(), Error> {
        if self.client.is_leaving() {
            return Err(Error::new(Code::Denied, "this user is no operator of this node any more"));
        }
        let token = params.remove("token");
        self.tainted |= token.is_some();
        let workspace = match params.remove("workspace") {
            None => self.inside.as_ref().map_or_else(|| HOME.to_owned(), |inside| inside.workspace.clone()),
            Some(Value::String(name)) => wire::word("workspace", &name)?,
            Some(_) => return Err(Error::invalid("workspace", "workspace is text")),
        };
        if self.inside.as_ref().is_some_and(|inside| inside.workspace != workspace) {
            let message = format!("from this sandbox, workspace {workspace} cannot be reached");
            return Err(Error::new(Code::Denied, message).argument("workspace"));
        }
        let caller = self.caller(token.as_ref(), &workspace)?;
        if method == TERMINAL {
            let done = self.terminal(&workspace, &params, &caller);
            return done.map(|()| self.client.answer(id, Ok(json!({ "done": true }))));
        }
        let (mut decoded, secret) = match secrets::catch(method, &mut params)? {
            Some(caught) => caught,
            None => (wire::decode(method, Value::Object(params))?, None),
        };
        self.caught |= secret.is_some();
        tool::fits(&decoded)?;
        operators::may_leave(self.node, &decoded.call)?;
        let cell = self.node.cell(&workspace)?;
        if let Some(inside) = &self.inside {
            Walls::before_call(self.node, &cell, inside.pid);
        }
        let from = From { node: self.node, client: self.client, cell: &cell, caller: &caller };
        let upload = match decoded.upload {
            None => None,
            Some(Upload::Part(number)) => {
                let bytes = self.uploads.part(&from, number, &decoded)?;
                self.client.answer(id, Ok(json!({ "upload": number, "bytes": bytes })));
                return Ok(());
            }
            Some(Upload::Whole(number)) => {
                Some(Box::new(self.uploads.whole(&from, number, &mut decoded.call)?))
            }
        };
        self.node.call(&cell, self.client, id.clone(), caller, (decoded, upload, secret));
        Ok(())
    }

    /// Keys for a program whose terminal this connection looks at, as the kernel let it, or how large its
    /// window is. They go to the program and nowhere else.
    fn terminal(&self, workspace: &str, params: &Map<String, Value>, caller: &Caller) -> Result<(), Error> {
        if matches!(caller, Caller::Process(_)) {
            return Err(Error::new(Code::Denied, "only an operator types into a program"));
        }
        let number = |key: &str| params.get(key).and_then(Value::as_u64);
        let exec = number("exec").map(ExecId).ok_or_else(|| Error::invalid("exec", "which terminal"))?;
        let screen = self.client.screen(workspace, exec).ok_or_else(|| {
            Error::new(Code::NotFound, format!("this connection looks at no terminal {exec}"))
                .argument("exec")
                .hint("write attach to /proc/PID/ctl")
        })?;
        if let (Some(rows), Some(cols)) = (number("rows"), number("cols")) {
            let size = |count: u64| u16::try_from(count).ok().filter(|count| *count > 0);
            let size = size(rows).zip(size(cols));
            let size =
                size.ok_or_else(|| Error::invalid("rows", "a window has 1 to 65535 rows and columns"))?;
            screen.resize(self.client, size);
        }
        let typed = params.get("base64").and_then(Value::as_str).unwrap_or_default();
        let ends = params.get("end").and_then(Value::as_bool).unwrap_or(false);
        if typed.is_empty() && !ends {
            return Ok(());
        }
        screen.input(&wire::from_base64("base64", typed)?, ends)
    }

    fn caller(&self, token: Option<&Value>, workspace: &str) -> Result<Caller, Error> {
        let denied = |message: &str| Error::new(Code::Denied, message).argument("token");
        match token {
            None if self.tainted => {
                Err(denied("this connection has shown a token and is no operator's any more")
                    .hint("open another connection, or show the token with every request"))
            }
            None => Ok(self.operator.clone()),
            Some(token) => {
                let shown = token.as_str().unwrap_or("");
                let pid = token::check(self.node.registry.secret(), workspace, shown);
                pid.map(Caller::Process).ok_or_else(|| denied("the token names no process of this workspace"))
            }
        }
    }
}

/// What a request says: its id (none for a notification), method and arguments.
type Request = (Option<Value>, (String, Map<String, Value>));

/// Checks a request's envelope; what is wrong is told under the id it gave, if it gave one that can be.
fn envelope(request: Value) -> Result<Request, (Value, Error)> {
    let wrong = |id: &Option<Value>, message: &str| {
        (id.clone().unwrap_or(Value::Null), Error::new(Code::Invalid, message))
    };
    let Value::Object(mut map) = request else {
        return Err(wrong(&None, "a request is an object"));
    };
    let id = match map.remove("id") {
        Some(Value::String(id)) if id.len() > ID_BYTES_MAX => {
            return Err(wrong(&None, "the id is longer than 256 bytes"));
        }
        id @ (None | Some(Value::String(_) | Value::Number(_) | Value::Null)) => id,
        Some(_) => return Err(wrong(&None, "the id is text or a number")),
    };
    if map.remove("jsonrpc").as_ref().and_then(Value::as_str) != Some("2.0") {
        return Err(wrong(&id, "jsonrpc is \"2.0\""));
    }
    let Some(Value::String(method)) = map.remove("method") else {
        return Err(wrong(&id, "method is text"));
    };
    let params = match map.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(wrong(&id, "params is an object")),
    };
    if let Some(key) = map.keys().next() {
        let shown: String = key.chars().take(64).collect();
        return Err(wrong(&id, &format!("a request has no key {shown:?}")));
    }
    Ok((id, (method, params)))
}
