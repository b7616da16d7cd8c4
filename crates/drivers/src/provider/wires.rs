//! The formats: what each makes of a prompt, and how each reads an answer. One file a format; none knows of
//! connections, and none of another.
//!
//! ```text
//! Prompt ─▶ body(wire) ─▶ … ─▶ events ─▶ Reader::event ─▶ Told (text, tools, usage, stop)
//!                              whole body ─▶ Reader::whole ─▶ Told
//!                              told to stop ─▶ Reader::close ─▶ the format's own length stop
//! ```
//! A `Reader` takes any JSON: what it does not know, it passes over, as the formats ask of their clients.

use super::{address::Address, told::Told};
use crate::{Prompt, Wire};
use serde_json::Value;

mod chat;
pub(super) mod gemini;
mod messages;
mod responses;

/// What an event is to those who pass it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A part of the answer.
    Body,
    /// It belongs to the end.
    Closing,
    /// Nothing comes after it.
    Last,
    /// We asked for it and the client did not.
    Hidden,
}

/// The value tells of an error and is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broke;

/// Reads one answer.
pub(super) trait Reader {
    /// The next event of a stream.
    fn event(&mut self, event: &Value) -> Result<Class, Broke>;
    /// An answer that is not a stream.
    fn whole(&mut self, body: &Value) -> Result<(), Broke>;
    /// The events by which the provider itself would end the stream here, at its output limit.
    fn close(&mut self) -> Vec<u8>;
    /// So far.
    fn told(&mut self) -> &mut Told;
}

/// What a reader has to know of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// For a stream that ends before the provider has said its name for it.
    pub(super) model: String,
    /// Input tokens by our own count, for a usage that the provider can no longer tell.
    pub(super) tokens_in: u64,
    /// Whether the client did not ask for usage in the stream and we did.
    pub(super) hides_usage: bool,
}

/// A reader of the format.
pub(super) fn reader(wire: Wire, asked: Asked) -> Box<dyn Reader> {
    match wire {
        Wire::Messages => Box::new(messages::Reading::new(asked)),
        Wire::Chat => Box::new(chat::Reading::new(asked)),
        Wire::Responses => Box::new(responses::Reading::new(asked)),
        Wire::Gemini => Box::new(gemini::Reading::new(asked)),
    }
}

/// The name under which a server of the chat format takes the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// `max_tokens`: everybody but OpenAI.
    Tokens,
    /// `max_completion_tokens`: OpenAI, whose reasoning models refuse the other.
    CompletionTokens,
}

impl Limit {
    /// What the server at that address takes, as far as its name says.
    pub(super) fn of(address: &Address) -> Self {
        match address.is_of("openai.com") || address.is_of("openai.azure.com") {
            true => Self::CompletionTokens,
            false => Self::Tokens,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tokens => "max_tokens",
            Self::CompletionTokens => "max_completion_tokens",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Tokens => Self::CompletionTokens,
            Self::CompletionTokens => Self::Tokens,
        }
    }
}

/// The body of a streamed request for a prompt.
pub(super) fn body(wire: Wire, prompt: &Prompt, limit: Limit) -> Value {
    match wire {
        Wire::Messages => messages::body(prompt),
        Wire::Chat => chat::body(prompt, limit),
        Wire::Responses => responses::body(prompt),
        Wire::Gemini => gemini::body(prompt),
    }
}

/// A client's body with usage asked for, if the format has to be asked and it was not; and whether it was
/// changed.
pub(super) fn with_usage(wire: Wire, body: &[u8], streams: bool) -> (Vec<u8>, bool) {
    match (wire, streams) {
        (Wire::Chat, true) => chat::with_usage(body),
        (Wire::Messages | Wire::Responses | Wire::Gemini, _) | (Wire::Chat, false) => (body.to_vec(), false),
    }
}
