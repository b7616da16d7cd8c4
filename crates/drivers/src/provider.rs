//! Model providers over HTTP: four formats, one connection stack.
//!
//! ```text
//! call:    Prompt ─▶ wires ─▶ http ─▶ listen ─▶ text, piece by piece ─▶ Said
//! forward: body as it came ─▶ http ─▶ listen ─▶ bytes as they came, what they say beside ─▶ Said
//! ```
//! Reading order: `address` (where), `net` (connections), `http` (one exchange and its limits of time), `sse`
//! (events), `wires` (the formats: `messages`, `chat`, `responses`, `gemini`), `told` (an answer so far),
//! `listen` (all that can be wrong with an answer), `talk` (a prompt before it has a format), `trouble`
//! (errors).
//!
//! A method blocks its thread until the answer is whole; it may not be called from within an async runtime.
//! Never here: a retry (the kernel decides that), a price, the choice of a model, a redirect followed, a
//! variable of the environment read.

use crate::{Flow, Forward, ModelError, Piece, Prompt, Provider, Said, Secret, Wire};
use abi::{Error, event::Stop, limits};
use bytes::Bytes;
use hyper::{Method, header::HeaderValue};
use listen::{Last, Listener, Receiver};
use rustls::ClientConfig;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use told::Told;
use wires::{Asked, Limit};

mod address;
mod http;
mod listen;
mod net;
mod sse;
mod talk;
mod told;
mod trouble;
mod wires;

pub mod fuzz;

pub(crate) use net::{system, trusting};
pub(crate) use sse::event;
pub(crate) use wires::gemini::path as asked_at;

/// The version of the Messages format that is spoken.
const VERSION: &str = "2023-06-01";
/// Bytes of a list of models. The longest real one is about a megabyte.
const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many times the output limit, by our own count, a provider that was told it may seem to say: our count
/// is right within a factor of two on any text, and a stream that is ended too early costs a client its work.
const LIES: u64 = 4;
/// Models of a list that are taken.
const MODELS_MAX: usize = 4096;

/// A provider that speaks these formats at this base URL, which may end in `/v1`. Turns use the first of
/// them. Nothing is connected yet.
pub fn provider(wires: &[Wire], url: &str) -> Result<Box<dyn Provider>, Error> {
    Ok(Box::new(Remote::new(wires, url, None)?))
}

struct Remote {
    wires: Vec<Wire>,
    pool: Arc<net::Pool>,
    patience: http::Patience,
}

impl Remote {
    fn new(wires: &[Wire], url: &str, roots: Option<Arc<ClientConfig>>) -> Result<Self, Error> {
        if wires.is_empty() {
            return Err(Error::invalid("wire", "a provider speaks at least one format")
                .hint(format!("known: {}", Wire::ALL.map(Wire::word).join(", "))));
        }
        let address = address::Address::parse(url)?;
        let pool = match roots {
            None => net::Pool::of(address),
            roots => Arc::new(net::Pool::new(address, roots)),
        };
        Ok(Self { wires: wires.to_vec(), pool, patience: http::PATIENCE })
    }

    fn limit(&self) -> Limit {
        let limit = Limit::of(self.pool.address());
        if self.pool.renamed.load(Ordering::Relaxed) { limit.other() } else { limit }
    }

    /// Headers by which a request of that format shows the key.
    fn headers(
        &self,
        wire: Wire,
        secret: Option<&Secret<'_>>,
    ) -> Result<Vec<(&'static str, HeaderValue)>, ModelError> {
        let mut headers = Vec::new();
        if let Some(secret) = secret {
            let own = match wire {
                Wire::Messages => Some(("x-api-key", "anthropic.com")),
                Wire::Gemini => Some(("x-goog-api-key", "googleapis.com")),
                Wire::Responses | Wire::Chat => None,
            };
            if let Some((name, _)) = own {
                headers.push((name, http::sealed(secret.expose())?));
            }
            // Others who speak the format take the key as they do elsewhere.
            if own.is_none_or(|(_, domain)| !self.pool.address().is_of(domain)) {
                headers.push(("authorization", http::sealed(&format!("Bearer {}", secret.expose()))?));
            }
        }
        Ok(headers)
    }

    /// Asks and hears out.
    fn listen(&self, ask: &http::Ask<'_>, listener: &mut Listener<'_>) -> Result<(), ModelError> {
        http::ask(&self.pool, ask, &mut |heard| listener.hear(heard))
    }

    fn once(
        &self,
        prompt: &Prompt,
        secret: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let (wire, patience) = (self.wire(), self.patience);
        let mut headers = self.headers(wire, secret)?;
        if wire == Wire::Messages {
            headers.push(("anthropic-version", HeaderValue::from_static(VERSION)));
        }
        let body = Bytes::from(wires::body(wire, prompt, self.limit()).to_string());
        let ask = http::Ask {
            method: Method::POST,
            path: &wire.path(&prompt.model, true),
            headers,
            along: &[],
            body,
            streams: true,
            secret,
            patience,
        };
        let asked = Asked { model: prompt.model.clone(), ..Asked::default() };
        let mut caller = Caller { stream, sent: 0, max_out: prompt.max_out, secret, cut: None, shown: false };
        let mut listener = Listener::new(&self.pool, secret, wires::reader(wire, asked), &mut caller);
        self.listen(&ask, &mut listener)?;
        let told = std::mem::take(listener.reader.told());
        caller.done(told, self.pool.address())
    }

    fn wire(&self) -> Wire {
        self.wires.first().copied().unwrap_or(Wire::Chat)
    }

    /// A small answer as JSON.
    fn json(&self, ask: &http::Ask<'_>) -> Result<Value, ModelError> {
        let address = self.pool.address();
        let (mut status, mut head, mut body) = (0, hyper::HeaderMap::new(), Vec::new());
        http::ask(&self.pool, ask, &mut |heard| {
            match heard {
                http::Heard::Alive | http::Heard::End => {}
                http::Heard::Head(came, headers) => (status, head) = (came, headers.clone()),
                http::Heard::Bytes(bytes) if body.len() + bytes.len() > LIST_BYTES_MAX => {
                    return Err(trouble::never(format!("{address} answered with more than 4 MiB")));
                }
                http::Heard::Bytes(bytes) => body.extend_from_slice(bytes),
            }
            Ok(http::Next::More)
        })?;
        if !(200..300).contains(&status) {
            return Err(trouble::of_status(address, (status, &head), &body, ask.secret));
        }
        serde_json::from_slice(&body)
            .map_err(|error| trouble::never(format!("{address} answered with what is not JSON: {error}")))
    }
}

impl Provider for Remote {
    fn call(
        &self,
        prompt: &Prompt,
        secret: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let limit = self.limit();
        let called = self.once(prompt, secret, stream);
        // A server refuses the name of the limit before it does anything, and says which one it wants.
        let renames = |error: &ModelError| {
            !error.again
                && error.message.contains(" 400: ")
                && error.message.contains(limit.name())
                && error.message.contains(limit.other().name())
        };
        match called {
            Err(error) if self.wire() == Wire::Chat && renames(&error) => {
                self.pool.renamed.fetch_xor(true, Ordering::Relaxed);
                self.once(prompt, secret, stream)
            }
            other => other,
        }
    }

    fn forward(
        &self,
        request: &Forward,
        secret: Option<&Secret<'_>>,
        sink: &mut dyn FnMut(Piece<'_>) -> Flow,
    ) -> Result<Said, ModelError> {
        let wire = request.wire;
        if !self.wires.contains(&wire) {
            let spoken: Vec<&str> = self.wires.iter().map(|wire| wire.word()).collect();
            let (address, spoken) = (self.pool.address(), spoken.join(", "));
            return Err(trouble::never(format!("{address} does not speak {wire}, but {spoken}")));
        }
        let (body, hides_usage) = wires::with_usage(wire, &request.body, request.streams);
        let tokens_in = (body.len() as u64).div_ceil(limits::COUNT_BYTES_PER_TOKEN);
        let mut headers = self.headers(wire, secret)?;
        let versioned = request.headers.iter().any(|(name, _)| name == "anthropic-version");
        if wire == Wire::Messages && !versioned {
            headers.push(("anthropic-version", HeaderValue::from_static(VERSION)));
        }
        let (streams, along, patience) = (request.streams, request.headers.as_slice(), self.patience);
        let body = Bytes::from(body);
        let ask = http::Ask {
            method: Method::POST,
            path: &wire.path(&request.model, streams),
            headers,
            along,
            body,
            streams,
            secret,
            patience,
        };
        let asked = Asked { model: request.model.clone(), tokens_in, hides_usage };
        let mut passer = Passer { sink, max_out: request.max_out };
        let mut listener = Listener::new(&self.pool, secret, wires::reader(wire, asked), &mut passer);
        let heard = self.listen(&ask, &mut listener);
        let (stopped, begun) = (listener.stopped, listener.begun);
        let closing = if stopped && begun { listener.reader.close() } else { Vec::new() };
        let told = std::mem::take(listener.reader.told());
        heard?;
        if stopped && !begun {
            let address = self.pool.address();
            return Err(trouble::never(format!("the call was ended before {address} answered")));
        }
        if stopped {
            let _ = (passer.sink)(Piece::Bytes { bytes: &closing, said: 0, last: true });
        }
        Ok(unveiled(told.into_said(stopped.then_some(Stop::Length)), secret))
    }

    fn models(&self, secret: Option<&Secret<'_>>) -> Result<Vec<String>, ModelError> {
        let (wire, patience) = (self.wire(), self.patience);
        let mut headers = self.headers(wire, secret)?;
        let path = match wire {
            Wire::Messages => "/v1/models?limit=1000",
            Wire::Gemini => "/v1beta/models?pageSize=1000",
            Wire::Responses | Wire::Chat => "/v1/models",
        };
        if wire == Wire::Messages {
            headers.push(("anthropic-version", HeaderValue::from_static(VERSION)));
        }
        let body = Bytes::new();
        let ask = http::Ask {
            method: Method::GET,
            path,
            headers,
            along: &[],
            body,
            streams: false,
            secret,
            patience,
        };
        let value = self.json(&ask)?;
        let rows = value.get("data").or_else(|| value.get("models")).and_then(Value::as_array);
        let rows = rows.ok_or_else(|| {
            trouble::never(format!("{} answered with no list of models", self.pool.address()))
        })?;
        let name = |row: &Value| {
            let name = row.get("id").or_else(|| row.get("name")).and_then(Value::as_str)?;
            // Only what it would be asked by: Gemini's say of each that it is one.
            Some(name.strip_prefix("models/").unwrap_or(name).to_owned())
        };
        let plain = |name: &String| name.len() <= 256 && !name.chars().any(char::is_control);
        Ok(rows.iter().take(MODELS_MAX).filter_map(name).filter(plain).collect())
    }

    fn count(&self, request: &Forward, secret: Option<&Secret<'_>>) -> Result<u64, ModelError> {
        let (address, wire) = (self.pool.address(), request.wire);
        let counts = match wire {
            Wire::Messages => Some(("/v1/messages/count_tokens".to_owned(), "input_tokens")),
            Wire::Gemini => Some((asked_at(&request.model, "countTokens"), "totalTokens")),
            Wire::Responses | Wire::Chat => None,
        };
        let Some((path, number)) = counts.filter(|_| self.wires.contains(&wire)) else {
            return Err(trouble::never(format!("{address} does not count tokens")));
        };
        let mut headers = self.headers(wire, secret)?;
        if wire == Wire::Messages && !request.headers.iter().any(|(name, _)| name == "anthropic-version") {
            headers.push(("anthropic-version", HeaderValue::from_static(VERSION)));
        }
        let body = match wire {
            Wire::Gemini => wires::gemini::counted(&request.model, &request.body),
            Wire::Messages | Wire::Responses | Wire::Chat => request.body.clone(),
        };
        let ask = http::Ask {
            method: Method::POST,
            path: &path,
            headers,
            along: &request.headers,
            body: Bytes::from(body),
            streams: false,
            secret,
            patience: self.patience,
        };
        let value = self.json(&ask)?;
        value
            .get(number)
            .and_then(Value::as_u64)
            .ok_or_else(|| trouble::never(format!("{address} answered with no number of tokens")))
    }
}

/// What was said, without the key.
fn unveiled(mut said: Said, secret: Option<&Secret<'_>>) -> Said {
    said.text = trouble::hide(&said.text, secret);
    for tool in &mut said.tools {
        tool.name = trouble::hide(&tool.name, secret);
        tool.arguments = trouble::hide(&tool.arguments, secret);
    }
    said
}

/// The receiver of a turn: it gets text.
struct Caller<'a> {
    stream: &'a mut dyn FnMut(&str) -> Flow,
    /// Bytes of the text that went out.
    sent: usize,
    max_out: u64,
    secret: Option<&'a Secret<'a>>,
    cut: Option<Stop>,
    /// The answer holds the key.
    shown: bool,
}

impl Caller<'_> {
    /// How far the text may go out: not into what may become the key.
    fn safe(&mut self, text: &str) -> usize {
        let Some(key) = self.secret.map(Secret::expose).filter(|key| !key.is_empty()) else {
            return text.len();
        };
        let from = text.floor_char_boundary(self.sent.saturating_sub(key.len()));
        self.shown |= text.get(from..).is_some_and(|new| new.contains(key));
        let begins = |bytes: &usize| key.get(..*bytes).is_some_and(|start| text.ends_with(start));
        text.len() - (1..key.len()).rev().find(begins).unwrap_or(0)
    }

    fn say(&mut self, text: &str, to: usize) -> Flow {
        let new = text.get(self.sent..to).unwrap_or("");
        self.sent = self.sent.max(to);
        (self.stream)(new)
    }

    fn done(mut self, told: Told, address: &address::Address) -> Result<Said, ModelError> {
        let key = self.secret.map(Secret::expose).filter(|key| !key.is_empty());
        let cut = self.cut;
        let said = {
            if cut != Some(Stop::Cut) && !self.shown {
                let _ = self.say(&told.text, told.text.len());
            }
            told.into_said(cut)
        };
        let holds = |text: &str| key.is_some_and(|key| text.contains(key));
        let shown =
            holds(&said.text) || said.tools.iter().any(|tool| holds(&tool.name) || holds(&tool.arguments));
        if shown || self.shown {
            return Err(trouble::never(format!(
                "{address} sent the key back in its answer; the call was ended"
            )));
        }
        Ok(said)
    }
}

impl Receiver for Caller<'_> {
    fn alive(&mut self) -> Flow {
        let flow = (self.stream)("");
        if flow == Flow::Stop {
            self.cut = Some(Stop::Cut);
        }
        flow
    }

    fn head(&mut self, _: u16, _: &str, _: &[(String, String)]) -> Flow {
        Flow::Go
    }

    fn bytes(&mut self, _: &[u8], _: u64, last: Last, told: &mut Told) -> Flow {
        let to = self.safe(&told.text);
        if self.shown {
            return Flow::Stop;
        }
        if last == Last::No || to > self.sent {
            let flow = self.say(&told.text, to);
            if flow == Flow::Stop {
                self.cut = Some(Stop::Cut);
                return flow;
            }
        }
        // A provider that was told a limit and goes on: the answer could not be kept.
        if told.said > limits::ANSWER_BYTES_MAX || told.tokens() > self.max_out.saturating_mul(LIES) {
            self.cut = Some(Stop::Length);
            return Flow::Stop;
        }
        Flow::Go
    }
}

/// The receiver of a client of the endpoint: it gets bytes.
struct Passer<'a> {
    sink: &'a mut dyn FnMut(Piece<'_>) -> Flow,
    max_out: u64,
}

impl Receiver for Passer<'_> {
    fn alive(&mut self) -> Flow {
        (self.sink)(Piece::Bytes { bytes: &[], said: 0, last: false })
    }

    fn head(&mut self, status: u16, content_type: &str, headers: &[(String, String)]) -> Flow {
        (self.sink)(Piece::Head { status, content_type, headers })
    }

    fn bytes(&mut self, bytes: &[u8], said: u64, last: Last, told: &mut Told) -> Flow {
        let flow = (self.sink)(Piece::Bytes { bytes, said, last: last == Last::Yes });
        if last == Last::No && told.tokens() > self.max_out.saturating_mul(LIES) {
            return Flow::Stop;
        }
        flow
    }
}

#[cfg(test)]
mod tests;
