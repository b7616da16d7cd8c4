//! From an answer on the wire to what a call or a client of the endpoint gets.
//!
//! ```text
//! Heard ─▶ Listener: status, content type, size ─▶ events (sse) or one body ─▶ Reader ─▶ Told
//!                                                         └─▶ Receiver: Piece by Piece, or text
//! ```
//! Everything that a provider can do wrong ends here in a sentence: garbage, too much, too little, the wrong
//! type, a compressed body, a redirect. Never here: a format, a connection.

use super::{
    http::{Heard, Next},
    sse::{Cutter, Event},
    told::Told,
    trouble,
    wires::{Class, Reader},
};
use crate::{Flow, ModelError, Secret};
use hyper::HeaderMap;
use serde_json::Value;

/// Bytes of an answer that is not a stream. Half a megabyte of text, with room for images that are made.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the body of an error that are read; the rest is not.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Headers that go along to a client, by their beginnings: what its own library acts on.
const ALONG: [&str; 8] = [
    "anthropic-",
    "openai-",
    "request-id",
    "retry-after",
    "x-ratelimit-",
    "x-request-id",
    "x-should-retry",
    "x-retry-",
];
/// Bytes of all of them, of which real ones take one.
const ALONG_BYTES_MAX: usize = 8 * 1024;

/// Who gets what is heard.
pub(super) trait Receiver {
    /// Nothing came for a while.
    fn alive(&mut self) -> Flow;
    /// The answer begins.
    fn head(&mut self, status: u16, content_type: &str, headers: &[(String, String)]) -> Flow;
    /// Bytes as they came, what they say, whether they are the end. Called after `told` was brought up.
    fn bytes(&mut self, bytes: &[u8], said: u64, last: Last, told: &mut Told) -> Flow;
}

/// Whether bytes are the end of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// More may come.
    No,
    /// They are.
    Yes,
}

/// What the body is.
enum Body {
    /// Not known yet.
    None,
    Stream(Cutter),
    Whole(Vec<u8>),
    /// An error status.
    Refused(u16, HeaderMap, Vec<u8>),
}

/// Hears an answer out.
pub(super) struct Listener<'a> {
    /// Whose answer, for messages.
    pub(super) pool: &'a super::net::Pool,
    pub(super) secret: Option<&'a Secret<'a>>,
    pub(super) reader: Box<dyn Reader>,
    pub(super) receiver: &'a mut dyn Receiver,
    body: Body,
    /// Status, content type and headers of a good answer, until it begins at the receiver.
    first: (u16, String, Vec<(String, String)>),
    /// Events of the end, until the last of them is there.
    held: Vec<u8>,
    /// What was said up to the last bytes that went out.
    passed: u64,
    over: bool,
    /// The receiver wanted no more.
    pub(super) stopped: bool,
    /// The answer was begun at the receiver.
    pub(super) begun: bool,
}

impl<'a> Listener<'a> {
    pub(super) fn new(
        pool: &'a super::net::Pool,
        secret: Option<&'a Secret<'a>>,
        reader: Box<dyn Reader>,
        receiver: &'a mut dyn Receiver,
    ) -> Self {
        Self {
            pool,
            secret,
            reader,
            receiver,
            body: Body::None,
            first: (0, String::new(), Vec::new()),
            held: Vec::new(),
            passed: 0,
            over: false,
            stopped: false,
            begun: false,
        }
    }

    fn wrong(&self, what: &str) -> ModelError {
        trouble::never(format!("{} {what}", self.pool.address()))
    }

    /// Takes what is heard.
    pub(super) fn hear(&mut self, heard: Heard<'_>) -> Result<Next, ModelError> {
        match heard {
            Heard::Alive => Ok(self.flow(Flow::Go)),
            Heard::Head(status, headers) => self.head(status, headers),
            Heard::Bytes(bytes) => self.bytes(bytes),
            Heard::End => self.end().map(|()| Next::Done),
        }
    }

    fn flow(&mut self, before: Flow) -> Next {
        if before == Flow::Stop || self.receiver.alive() == Flow::Stop {
            self.stopped = true;
            return Next::Drop;
        }
        Next::More
    }

    fn head(&mut self, status: u16, headers: &HeaderMap) -> Result<Next, ModelError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        if (300..400).contains(&status) {
            let to = trouble::clean(text("location"), self.secret);
            return Err(self.wrong(&format!(
                "answered {status}, a redirect to {to:?}; redirects are not followed; hint: is the URL right?"
            )));
        }
        let encoding = text("content-encoding").trim().to_ascii_lowercase();
        if !matches!(encoding.as_str(), "" | "identity") {
            let shown = trouble::clean(&encoding, self.secret);
            return Err(
                self.wrong(&format!("answered in the encoding {shown:?}, though plain was asked for"))
            );
        }
        let full = trouble::clean(text("content-type"), self.secret);
        let kind = full.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if !(200..300).contains(&status) {
            self.body = Body::Refused(status, headers.clone(), Vec::new());
            return Ok(Next::More);
        }
        self.body = match kind.as_str() {
            "text/event-stream" => Body::Stream(Cutter::default()),
            // A server that cannot stream answers with the whole; one that names no type means that too.
            "application/json" | "" => Body::Whole(Vec::new()),
            kind if kind.ends_with("+json") => Body::Whole(Vec::new()),
            _ => {
                let what =
                    format!("answered with {full:?} and not with JSON or a stream; hint: is the URL right?");
                return Err(self.wrong(&what));
            }
        };
        self.first = (status, full, self.along(headers));
        // A whole answer is looked at before it is passed on.
        if matches!(self.body, Body::Stream(_)) && self.begin() == Flow::Stop {
            self.stopped = true;
            return Ok(Next::Drop);
        }
        Ok(Next::More)
    }

    fn begin(&mut self) -> Flow {
        self.begun = true;
        let (status, kind, along) = std::mem::take(&mut self.first);
        self.receiver.head(status, &kind, &along)
    }

    fn along(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let mut bytes = 0;
        let mut along = Vec::new();
        for (name, value) in headers {
            let name = name.as_str();
            let wanted = ALONG.iter().any(|start| name.starts_with(start));
            let Some(value) = value.to_str().ok().filter(|_| wanted) else { continue };
            bytes += name.len() + value.len();
            if bytes > ALONG_BYTES_MAX {
                break;
            }
            along.push((name.to_owned(), trouble::hide(value, self.secret)));
        }
        along
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<Next, ModelError> {
        match &mut self.body {
            Body::None => Ok(Next::Drop),
            Body::Refused(_, _, body) => {
                let room = ERROR_BYTES_MAX.saturating_sub(body.len());
                body.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                if bytes.len() < room {
                    return Ok(Next::More);
                }
                self.end()?;
                Ok(Next::Drop)
            }
            Body::Whole(body) => {
                if body.len() + bytes.len() > BODY_BYTES_MAX {
                    return Err(self.wrong("answered with more than 16 MiB"));
                }
                body.extend_from_slice(bytes);
                Ok(Next::More)
            }
            Body::Stream(cutter) => {
                if cutter.feed(bytes).is_err() {
                    return Err(self.wrong("sent an event of more than 4 MiB"));
                }
                self.events()
            }
        }
    }

    /// All whole events that are there; what they came to goes out together.
    fn events(&mut self) -> Result<Next, ModelError> {
        let mut out = Vec::new();
        while !self.over {
            let Body::Stream(cutter) = &mut self.body else { break };
            let Some(event) = cutter.next() else { break };
            self.event(event, &mut out)?;
        }
        if out.is_empty() && !self.over {
            return Ok(self.flow(Flow::Go));
        }
        if !out.is_empty() && self.pass(&out, Last::No) == Flow::Stop {
            self.stopped = true;
            return Ok(Next::Drop);
        }
        if self.over {
            self.finish();
            return Ok(Next::Done);
        }
        Ok(Next::More)
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), ModelError> {
        let done = event.data.trim_ascii() == b"[DONE]";
        let class = match (event.data.is_empty(), done) {
            (true, _) if self.held.is_empty() => Class::Body,
            (true, _) => Class::Closing,
            (_, true) => Class::Last,
            (false, false) => self.read(&event, out)?,
        };
        match class {
            Class::Hidden => {}
            // What comes after the beginning of the end stays behind it.
            Class::Body if self.held.is_empty() => out.extend(event.raw),
            Class::Body | Class::Closing => self.held.extend(event.raw),
            Class::Last => {
                self.held.extend(event.raw);
                self.over = true;
            }
        }
        if self.held.len() > super::sse::EVENT_BYTES_MAX * 2 {
            return Err(self.wrong("does not end its answer"));
        }
        Ok(())
    }

    /// What an event says. One that says that all failed goes out as the last, and the call fails.
    fn read(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<Class, ModelError> {
        let value: Value = match serde_json::from_slice(&event.data) {
            Ok(value) => value,
            Err(error) => {
                let _ = self.pass(&std::mem::take(out), Last::No);
                return Err(self.wrong(&format!("sent an event that is not JSON: {error}")));
            }
        };
        match self.reader.event(&value) {
            Ok(class) => Ok(class),
            Err(super::wires::Broke) => {
                let mut all = std::mem::take(out);
                all.append(&mut self.held);
                all.extend(veiled(&event.raw, self.secret));
                let _ = self.pass(&all, Last::Yes);
                Err(trouble::of_value(&self.pool.address().to_string(), &value, self.secret))
            }
        }
    }

    fn pass(&mut self, bytes: &[u8], last: Last) -> Flow {
        let bytes = veiled(bytes, self.secret);
        let told = self.reader.told();
        let said = told.said.saturating_sub(self.passed);
        self.passed = told.said;
        self.receiver.bytes(&bytes, said, last, told)
    }

    /// The closing events go out as one, the last.
    fn finish(&mut self) {
        let held = std::mem::take(&mut self.held);
        let _ = self.pass(&held, Last::Yes);
    }

    /// The body is whole.
    fn end(&mut self) -> Result<(), ModelError> {
        match std::mem::replace(&mut self.body, Body::None) {
            Body::None => Ok(()),
            Body::Refused(status, headers, body) => {
                let error = trouble::of_status(self.pool.address(), (status, &headers), &body, self.secret);
                let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
                self.first = (status, trouble::clean(kind, self.secret), self.along(&headers));
                if self.begin() == Flow::Go {
                    let _ = self.pass(&body, Last::Yes);
                }
                Err(error)
            }
            Body::Whole(body) => self.whole(&body),
            Body::Stream(mut cutter) => {
                let mut out = Vec::new();
                if let Some(event) = cutter.rest().filter(|_| !self.over) {
                    self.event(event, &mut out)?;
                }
                if !out.is_empty() {
                    let _ = self.pass(&out, Last::No);
                }
                // Some servers end without their own last word; the reason of the stop is enough.
                if !self.over && self.reader.told().stop.is_none() {
                    let address = self.pool.address();
                    return Err(trouble::again(format!("{address} broke off in the middle of its answer")));
                }
                self.over = true;
                self.finish();
                Ok(())
            }
        }
    }

    fn whole(&mut self, body: &[u8]) -> Result<(), ModelError> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| self.wrong(&format!("answered with what is not JSON: {error}")))?;
        if !value.is_object() {
            return Err(self.wrong("answered with JSON that is no object"));
        }
        if self.reader.whole(&value).is_err() {
            return Err(trouble::of_value(&self.pool.address().to_string(), &value, self.secret));
        }
        if self.reader.told().stop.is_none() {
            return Err(self.wrong("answered with an object that is no answer of its format"));
        }
        self.over = true;
        if self.begin() == Flow::Go {
            let _ = self.pass(body, Last::Yes);
        }
        Ok(())
    }
}

/// The bytes without the secret; stars of the same number, since they stand in JSON.
fn veiled(bytes: &[u8], secret: Option<&Secret<'_>>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(secret) = secret.map(|secret| secret.expose().as_bytes()).filter(|secret| !secret.is_empty())
    else {
        return bytes;
    };
    let found: Vec<usize> = memchr::memmem::find_iter(&bytes, secret).collect();
    for at in found {
        bytes.iter_mut().skip(at).take(secret.len()).for_each(|byte| *byte = b'*');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_back_is_covered() {
        let secret = Secret::lend("sk-1");
        assert_eq!(veiled(b"a sk-1 b sk-1", Some(&secret)), b"a **** b ****");
        assert_eq!(veiled(b"sk-", Some(&secret)), b"sk-");
        assert_eq!(veiled(b"sk-1", None), b"sk-1");
        // A key of stars would cover itself for ever.
        assert_eq!(veiled(b"****", Some(&Secret::lend("**"))), b"****");
    }
}
