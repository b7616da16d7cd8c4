//! One request and its answer, with every wait bounded: the only place that sends anything to a provider.
//!
//! ```text
//! connect ≤ 10 s ─▶ head of the answer ≤ 300 s ─▶ bytes, ≤ 120 s apart ─▶ end, ≤ 3600 s in all
//!          └──── each half second of silence: Heard::Alive, so that the caller can end the call ────┘
//! ```
//! The caller's thread runs all of it (`block_on`). Redirects are never followed: a key goes where the
//! operator said and nowhere else. A request that may have arrived is not sent again here: it may have been
//! paid for, and buying it again is the kernel's decision.

use super::{
    net::{self, Pool, Sender},
    trouble,
};
use crate::{ModelError, Secret};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, header::HeaderValue};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A sign of life at least so often.
    pub(super) beat: Duration,
    /// A connection, with TLS.
    pub(super) connect: Duration,
    /// The head of a stream.
    pub(super) head: Duration,
    /// The head of an answer that comes as a whole.
    pub(super) whole_head: Duration,
    /// The next bytes.
    pub(super) silence: Duration,
    /// All of a call.
    pub(super) call: Duration,
    /// The end of a body whose last event has come, so that the connection can be kept.
    pub(super) drain: Duration,
}

/// What is waited in earnest.
pub(super) const PATIENCE: Patience = Patience {
    // Half of the second that callers are promised.
    beat: Duration::from_millis(500),
    // Three round trips: a second is slow.
    connect: Duration::from_secs(10),
    // It comes with the first token: after the whole input was read, and at a server on this machine after
    // the model was loaded from a disk.
    head: Duration::from_secs(300),
    // It comes when all is there; the makers' own clients give it ten minutes.
    whole_head: Duration::from_secs(600),
    // Providers send a ping every few seconds.
    silence: Duration::from_secs(120),
    // 128,000 tokens, the longest answer sold, at 40 a second.
    call: Duration::from_secs(3600),
    drain: Duration::from_millis(200),
};

/// Bytes of one answer on the wire: the longest one, a token an event, at 1 KiB an event.
const BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What is asked.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// From its version on: `/v1/messages`.
    pub(super) path: &'a str,
    /// Names in small letters.
    pub(super) headers: Vec<(&'static str, HeaderValue)>,
    /// Headers of a client that go along.
    pub(super) along: &'a [(String, String)],
    pub(super) body: Bytes,
    pub(super) streams: bool,
    pub(super) secret: Option<&'a Secret<'a>>,
    pub(super) patience: Patience,
}

/// What is heard, in order.
pub(super) enum Heard<'a> {
    /// Nothing for half a second.
    Alive,
    /// The head, once.
    Head(u16, &'a HeaderMap),
    /// Bytes of the body.
    Bytes(&'a [u8]),
    /// It is whole.
    End,
}

/// What the one who hears answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Go on.
    More,
    /// All that matters has come.
    Done,
    /// No more of it, whatever comes.
    Drop,
}

/// The one who hears.
pub(super) type Ear<'e> = dyn FnMut(Heard<'_>) -> Result<Next, ModelError> + 'e;

/// Headers of a client that are the connection's or a key's: they never go along.
const NOT_ALONG: [&str; 14] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
];

/// Asks, and hears the answer out.
pub(super) fn ask(pool: &Pool, ask: &Ask<'_>, ear: &mut Ear<'_>) -> Result<(), ModelError> {
    let runtime = net::runtime()?;
    let request = request(pool, ask)?;
    let late =
        || trouble::again(format!("{} was not done after {} s", pool.address(), ask.patience.call.as_secs()));
    runtime.block_on(async {
        timeout(ask.patience.call, exchange(pool, request, ask, ear)).await.unwrap_or_else(|_| Err(late()))
    })
}

fn request(pool: &Pool, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, ModelError> {
    let address = pool.address();
    if ask.secret.is_some() && !address.tls && !address.is_here() {
        return Err(trouble::never(format!(
            "a key is not sent to {address} over plain http, where others can read it; hint: use https"
        )));
    }
    let mut builder = Request::builder().method(ask.method.clone()).uri(address.path(ask.path));
    if let Some(headers) = builder.headers_mut() {
        for (name, value) in ask.along {
            let parsed = (name.parse::<hyper::header::HeaderName>(), HeaderValue::from_str(value));
            // What is no header of HTTP is dropped: the client's own server would have refused it.
            if let (Ok(name), Ok(value)) = parsed
                && !NOT_ALONG.contains(&name.as_str())
                && !name.as_str().starts_with("proxy-")
            {
                headers.append(name, value);
            }
        }
        for (name, value) in &ask.headers {
            headers.insert(*name, value.clone());
        }
        let accept = if ask.streams { "text/event-stream, application/json" } else { "application/json" };
        headers.insert("accept", HeaderValue::from_static(accept));
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        headers.insert("user-agent", HeaderValue::from_static(concat!("skep/", env!("CARGO_PKG_VERSION"))));
        if ask.method == Method::POST {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        if let Ok(host) = HeaderValue::from_str(&address.authority()) {
            headers.insert("host", host);
        }
    }
    let body = Full::new(ask.body.clone());
    builder.body(body).map_err(|error| trouble::never(format!("{address} cannot be asked: {error}")))
}

/// A value for a header that holds a key; it is never shown.
pub(super) fn sealed(value: &str) -> Result<HeaderValue, ModelError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| trouble::never("the key holds characters that no header can carry".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn exchange(
    pool: &Pool,
    request: Request<Full<Bytes>>,
    ask: &Ask<'_>,
    ear: &mut Ear<'_>,
) -> Result<(), ModelError> {
    let (address, patience) = (pool.address(), &ask.patience);
    let silent =
        |what: &str, wait: Duration| trouble::again(format!("{address} {what} for {} s", wait.as_secs()));
    let (mut sender, response) = match start(pool, request, ask, ear).await? {
        Started::Answered(sender, response) => (sender, response),
        Started::Dropped => return Ok(()),
        Started::Late(what, wait) => return Err(silent(what, wait)),
    };
    let (parts, mut body) = response.into_parts();
    let mut next = ear(Heard::Head(parts.status.as_u16(), &parts.headers))?;
    let mut bytes = 0_u64;
    while next == Next::More {
        let frame = match wait(body.frame(), patience.silence, (patience.beat, ear)).await? {
            Waited::Came(frame) => frame,
            Waited::Dropped => return Ok(()),
            Waited::Late => return Err(silent("said nothing more", patience.silence)),
        };
        let Some(frame) = frame else {
            if let Ok(Ok(())) = timeout(patience.drain, sender.ready()).await {
                pool.keep(sender);
            }
            return ear(Heard::End).map(|_| ());
        };
        let frame = frame.map_err(|error| broken(pool, "broke the answer off", &error))?;
        // Trailers say nothing that is needed.
        let Ok(data) = frame.into_data() else { continue };
        bytes = bytes.saturating_add(data.len() as u64);
        if bytes > BYTES_MAX {
            return Err(trouble::never(format!("{address} answered with more than 128 MiB")));
        }
        next = ear(Heard::Bytes(&data))?;
    }
    if next == Next::Done && timeout(patience.drain, drained(&mut body)).await == Ok(true) {
        sender.ready().await.map_or_else(|_| (), |()| pool.keep(sender));
    }
    Ok(())
}

/// Whether the rest of the body is only its end.
async fn drained(body: &mut Incoming) -> bool {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > 4096 {
            return false;
        }
    }
    true
}

enum Started {
    Answered(Sender, Response<Incoming>),
    Dropped,
    Late(&'static str, Duration),
}

/// A connection, the request on it, the head of its answer.
async fn start(
    pool: &Pool,
    request: Request<Full<Bytes>>,
    ask: &Ask<'_>,
    ear: &mut Ear<'_>,
) -> Result<Started, ModelError> {
    let Patience { beat, connect, head, whole_head, .. } = ask.patience;
    let head = if ask.streams { head } else { whole_head };
    let mut request = Some(request);
    let mut kept = pool.kept().await;
    while let Some(ready) = request.take() {
        let old = kept.is_some();
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => match wait(pool.fresh(), connect, (beat, ear)).await? {
                Waited::Came(sender) => sender?,
                Waited::Dropped => return Ok(Started::Dropped),
                Waited::Late => return Ok(Started::Late("took no connection", connect)),
            },
        };
        let answer = match wait(sender.try_send_request(ready), head, (beat, ear)).await? {
            Waited::Came(answer) => answer,
            Waited::Dropped => return Ok(Started::Dropped),
            Waited::Late => return Ok(Started::Late("did not begin to answer", head)),
        };
        match answer {
            Ok(response) => return Ok(Started::Answered(sender, response)),
            // A kept connection that had died: nothing of the request left, so it goes out on a new one.
            Err(mut error) if old && error.message().is_some() => request = error.take_message(),
            Err(error) => return Err(broken(pool, "gave no answer", error.error())),
        }
    }
    Err(trouble::again(format!("{} could not be asked", pool.address())))
}

fn broken(pool: &Pool, what: &str, error: &hyper::Error) -> ModelError {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        why = format!("{why}: {deeper}");
        source = deeper.source();
    }
    let message = format!("{} {what}: {}", pool.address(), trouble::clean(&why, None));
    // What is not HTTP now will not be in a moment; a connection that breaks may be.
    ModelError { message, again: !error.is_parse(), after_us: None }
}

enum Waited<T> {
    Came(T),
    Dropped,
    Late,
}

/// Waits, with a sign of life at each beat.
async fn wait<T>(
    what: impl Future<Output = T>,
    most: Duration,
    (beat, ear): (Duration, &mut Ear<'_>),
) -> Result<Waited<T>, ModelError> {
    let mut what = pin!(what);
    let beats = most.as_millis() / beat.as_millis().max(1);
    for _ in 0..beats {
        if let Ok(came) = timeout(beat, what.as_mut()).await {
            return Ok(Waited::Came(came));
        }
        if ear(Heard::Alive)? != Next::More {
            return Ok(Waited::Dropped);
        }
    }
    Ok(Waited::Late)
}
