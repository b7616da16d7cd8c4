//! The model endpoint: a second door, for agent programs as they are. It speaks what their providers speak,
//! over HTTP/1.1 on a Unix socket beside the first; the key is a process's token. Programs in a sandbox have
//! it on a port of their own, where they are who they are without a key.
//!
//! ```text
//! POST /v1/messages · /v1/messages/count_tokens · /v1/responses · /v1/chat/completions · GET /v1/models
//! POST /v1beta/models/NAME:generateContent · :streamGenerateContent · :countTokens · GET /v1beta/models
//!    key ─▶ process     body ─▶ apart ─▶ complete (the street: authority, reservation, record) ─▶ passed
//!    ◀── head and bytes as they come (`exchange`) ── the end, when what it tells of is durable ──┘
//! ```
//! A thread and a small runtime a connection, made when it comes: an endpoint nobody uses costs a socket.
//! Whatever is refused is told in the provider's own words (`refuse`), so that a program does with it what it
//! does with its provider's. Never here: a decision, a secret, an outbound connection.

use crate::{
    apart::{self, gemini::Place},
    exchange::{Exchange, Frame},
    guard::{guard, wait},
    journal,
    node::{HOME, Node},
    spawn, token,
};
use abi::{
    Code, Error, Pid,
    call::{Call, Origin, Text},
    limits,
    request::{Api, socket_name},
};
use http_body_util::BodyExt;
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use reply::Body;
use route::Route;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    ffi::OsStr,
    io,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};

mod enter;
mod refuse;
mod reply;
mod route;
mod whom;

/// How long a program may take for its headers, and for its body.
const HEADERS_TIME: Duration = Duration::from_secs(30);
const BODY_TIME: Duration = Duration::from_secs(120);
/// Headers of a request, and bytes of them.
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Headers that go along to the provider: versions and what a program asks for beyond them.
const PASSED: [&str; 8] = [
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "x-goog-api-client",
    "user-agent",
    "accept",
];

/// Where the endpoint's socket is.
pub(crate) fn beside(door: &Path) -> PathBuf {
    let name = door.file_name().and_then(OsStr::to_str).unwrap_or_default();
    door.with_file_name(socket_name(name))
}

/// The programs that are connected.
#[derive(Default)]
pub(crate) struct Endpoint {
    programs: Mutex<BTreeMap<u64, Socket>>,
    taken: AtomicU64,
    left: Condvar,
    /// Bytes of bodies in memory, of all of them.
    bodies: AtomicUsize,
}

/// A program's end of a connection.
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    fn again(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    fn shut(&self, how: Shutdown) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(how),
            Self::Tcp(stream) => stream.shutdown(how),
        };
    }
}

impl Endpoint {
    /// Takes programs of a sandbox until its listener is shut: they are the process whose it is.
    pub fn accept_inside(
        self: &Arc<Self>,
        node: &Arc<Node>,
        listener: &TcpListener,
        (workspace, pid): &(String, Pid),
    ) {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let key = Key { workspace: workspace.clone(), pid: *pid };
                    self.admit(node, Socket::Tcp(stream), Some(key));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }

    /// Takes programs until the listener is shut down.
    pub fn accept(self: &Arc<Self>, node: &Arc<Node>, listener: &UnixListener) {
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if node.stopping.load(Ordering::Relaxed) => return,
                Err(error) => {
                    journal::say("endpoint", &format!("a program could not be taken: {error}"));
                    drop(wait(&self.left, guard(&self.programs), 100_000));
                    continue;
                }
            };
            if node.stopping.load(Ordering::Relaxed) {
                return;
            }
            self.admit(node, Socket::Unix(socket), None);
        }
    }

    fn admit(self: &Arc<Self>, node: &Arc<Node>, socket: Socket, inside: Option<Key>) {
        let Ok(held) = socket.again() else { return };
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        {
            let mut programs = guard(&self.programs);
            // A connection too many is closed: whoever opened it tries again, as with any server.
            if programs.len() >= limits::PROGRAMS_MAX {
                return;
            }
            programs.insert(number, held);
        }
        let (own, node) = (self.clone(), node.clone());
        let started = spawn::thread("program", move || {
            if catch_unwind(AssertUnwindSafe(|| serve(&own, &node, socket, inside.as_ref()))).is_err() {
                journal::say("endpoint", "a panic at a program's request");
            }
            own.forget(number);
        });
        if !started {
            self.forget(number);
        }
    }

    fn forget(&self, number: u64) {
        guard(&self.programs).remove(&number);
        self.left.notify_all();
    }

    /// Lets what is answered go out, at most so long, then cuts all off.
    pub fn close(&self, at_most_us: u64, clock: &dyn crate::clock::Clock) {
        let end = clock.mono().saturating_add(at_most_us);
        let mut programs = guard(&self.programs);
        for socket in programs.values() {
            socket.shut(Shutdown::Read);
        }
        while !programs.is_empty() && clock.mono() < end {
            programs = wait(&self.left, programs, 10_000);
        }
        for socket in programs.values() {
            socket.shut(Shutdown::Both);
        }
    }
}

/// Serves one connection, with a runtime on its own thread that ends with it.
#[allow(clippy::disallowed_methods)] // seam: nothing of it outlives the connection
fn serve(endpoint: &Arc<Endpoint>, node: &Arc<Node>, socket: Socket, inside: Option<&Key>) {
    #[allow(clippy::disallowed_methods)] // seam: the runtime of one connection
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        match socket {
            Socket::Unix(stream) => {
                let stream =
                    stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(stream));
                let Ok(stream) = stream else { return };
                speak(endpoint, node, stream, inside).await;
            }
            Socket::Tcp(stream) => {
                let stream =
                    stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(stream));
                let Ok(stream) = stream else { return };
                speak(endpoint, node, stream, inside).await;
            }
        }
    });
}

async fn speak<S>(endpoint: &Arc<Endpoint>, node: &Arc<Node>, socket: S, inside: Option<&Key>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service =
        service_fn(
            |request| async move { Ok::<_, Infallible>(answer(endpoint, node, request, inside).await) },
        );
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIME);
    http.max_headers(HEADERS_MAX).max_buf_size(HEADER_BYTES_MAX);
    // A program that breaks off is told nothing; what it asked for has been taken care of.
    let _ = http.serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(
    endpoint: &Endpoint,
    node: &Arc<Node>,
    request: Request<Incoming>,
    inside: Option<&Key>,
) -> Response<Body> {
    let api = route::family(request.uri(), request.headers());
    let Some(route) = route::route(request.method(), request.uri()) else {
        let shown: String = request.uri().path().chars().take(64).collect();
        let error = Error::new(Code::NotFound, format!("there is nothing at {} {shown:?}", request.method()))
            .hint(
                "/v1/messages, /v1/responses, /v1/chat/completions, /v1/models, \
                 /v1beta/models/NAME:generateContent",
            );
        return refuse::response(api, &error);
    };
    if matches!(route, Route::Hello) {
        return reply::json(StatusCode::OK, "{}".into());
    }
    let key = match inside.cloned().map_or_else(|| key(node, request.uri(), request.headers()), Ok) {
        Ok(key) => key,
        Err(error) => return refuse::response(api, &error),
    };
    match route {
        Route::Hello => reply::json(StatusCode::OK, "{}".into()),
        Route::Models(name) => match models(node, (&key, api), name.as_deref()).await {
            Ok(text) => reply::json(StatusCode::OK, text),
            Err(error) => refuse::response(api, &error),
        },
        Route::Ask(api, place) => match ask(endpoint, node, (key, api, place), request).await {
            Ok(response) => response,
            Err(error) => refuse::response(api, &error),
        },
    }
}

/// Who asks: a process of a workspace.
#[derive(Clone)]
struct Key {
    workspace: String,
    pid: Pid,
}

/// The token, as a provider's key: a bearer, `x-api-key`, `x-goog-api-key`, or `key` in the query. A
/// workspace other than `home` stands before it: `WORKSPACE/PID.HEX`.
fn key(node: &Node, uri: &Uri, headers: &HeaderMap) -> Result<Key, Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let text = |name: &str| text(name).filter(|key| !key.is_empty());
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let denied = |message: &str| {
        Error::new(Code::Denied, message)
            .argument("token")
            .hint("the key is the token of a process: skep endpoint AGENT opens one")
    };
    // A program that has both, as one whose settings name an old key, means the bearer.
    let queried = route::word(uri, "key");
    let shown = bearer.or_else(|| text("x-api-key")).or_else(|| text("x-goog-api-key"));
    let shown = shown.or(queried.as_deref()).ok_or_else(|| denied("the request shows no key"))?;
    let (workspace, token) = shown.split_once('/').unwrap_or((HOME, shown));
    let pid = token::check(node.registry.secret(), workspace, token);
    let pid = pid.ok_or_else(|| denied("the key names no process of this node"))?;
    Ok(Key { workspace: workspace.to_owned(), pid })
}

async fn models(node: &Arc<Node>, (key, api): (&Key, Api), name: Option<&str>) -> Result<String, Error> {
    let cell = node.cell(&key.workspace)?;
    let names = whom::names(node, &cell).await;
    let known = |name: &str| names.iter().any(|known| known == name);
    match name {
        None => Ok(reply::models(api, &names)),
        Some(name) if known(name) => Ok(reply::model(api, name).to_string()),
        Some(name) => {
            let shown: String = name.chars().take(limits::WORD_BYTES_MAX).collect();
            let error = Error::new(Code::NotFound, format!("there is no model {shown:?}"));
            Err(error.argument("model").hint("GET /v1/models lists them"))
        }
    }
}

/// Takes a request through the street and streams what comes of it.
async fn ask(
    endpoint: &Endpoint,
    node: &Arc<Node>,
    (key, api, place): (Key, Api, Option<Place>),
    request: Request<Incoming>,
) -> Result<Response<Body>, Error> {
    route::comes_as_events(request.uri(), place.as_ref())?;
    let headers = passed(request.headers());
    let body = read(endpoint, request).await?;
    let apart = apart::apart(api, place.as_ref(), &body.bytes)?;
    drop(body);
    let cell = node.cell(&key.workspace)?;
    let model = whom::meant(node, &cell, api, &apart.model).await?;
    let first = apart.request.pieces.first().copied().unwrap_or_default();
    let text = Text { content: first, origin: Origin::Pipe };
    let call = Call::Complete { model, text, max_out: apart.max_out, request: Some(apart.request) };
    let (exchange, frames) = Exchange::open(headers);
    let number = node.program(&cell, (key.pid, call), apart.blobs, &exchange)?;
    let mut waiting = reply::Waiting { node: node.clone(), cell, number, frames };
    match waiting.next().await {
        Some(Frame::Head(status, content_type, headers)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut response = Response::builder().status(status).header(CONTENT_TYPE, content_type);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            if !apart.withheld.is_empty() {
                response = response.header("x-skep-withheld", apart.withheld.join(" "));
            }
            let response = response.body(Body::of(api, waiting));
            response.map_err(|_| Error::new(Code::Unavailable, "the provider's headers cannot be sent on"))
        }
        Some(Frame::Failed(error)) => Err(error),
        Some(Frame::Bytes(_)) | None => Err(reply::nothing()),
    }
}

fn passed(headers: &HeaderMap) -> Vec<(String, String)> {
    let one = |name: &&str| {
        let all: Vec<&str> = headers.get_all(*name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!all.is_empty()).then(|| ((*name).to_owned(), all.join(",")))
    };
    PASSED.iter().filter_map(one).collect()
}

/// A body in memory, counted as long as it is there.
struct Held<'a> {
    bytes: Vec<u8>,
    endpoint: &'a Endpoint,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.endpoint.bodies.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// Reads a body, within what one may have and what all together may.
async fn read<'a>(endpoint: &'a Endpoint, request: Request<Incoming>) -> Result<Held<'a>, Error> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        let error = Error::invalid("content-encoding", "a packed request is not taken");
        return Err(error.hint("send it as it is: it does not leave this machine"));
    }
    let mut held = Held { bytes: Vec::new(), endpoint };
    let mut body = request.into_body();
    let all = async {
        while let Some(frame) = body.frame().await {
            let broken = |_| Error::new(Code::Interrupted, "the request broke off");
            let Ok(bytes) = frame.map_err(broken)?.into_data() else { continue };
            if held.bytes.len() + bytes.len() > limits::REQUEST_BYTES_MAX {
                let message = format!("a request has at most {} bytes", limits::REQUEST_BYTES_MAX);
                return Err(Error::new(Code::TooLarge, message));
            }
            held.bytes.extend_from_slice(&bytes);
            let before = endpoint.bodies.fetch_add(bytes.len(), Ordering::Relaxed);
            if before + bytes.len() > limits::REQUESTS_BYTES_MAX {
                let error = Error::new(Code::Busy, "too many large requests at once");
                return Err(error.hint("try again in a moment"));
            }
        }
        Ok(())
    };
    let slow = |_| Error::new(Code::Interrupted, "the request did not come to its end in time");
    tokio::time::timeout(BODY_TIME, all).await.map_err(slow)??;
    Ok(held)
}

#[cfg(test)]
mod tests;
