//! A request of an agent program, passed on to a provider as it is: the model endpoint's half of a driver.
//!
//! ```text
//! client ─▶ machine::endpoint ─▶ reserve ─▶ Provider::forward ─▶ the provider
//!        ◀── Piece::Head, Piece::Bytes … (as they came) ◀───────┘
//! ```
//! Bytes are passed on as they came; beside them the driver reads what they say, to count output, to learn
//! usage and the reason of the stop, and to end the stream in the provider's own way when it is told to.

use crate::{Flow, ModelError, Prompt, Said, Secret, provider::asked_at};
use std::fmt;

/// What a provider and its clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// Anthropic messages: `POST /v1/messages`.
    Messages,
    /// OpenAI responses: `POST /v1/responses`.
    Responses,
    /// OpenAI chat completions: `POST /v1/chat/completions`.
    Chat,
    /// Gemini: `POST /v1beta/models/MODEL:generateContent`, `:streamGenerateContent?alt=sse`.
    Gemini,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Responses, Self::Chat, Self::Gemini];

    /// The word, as configured.
    pub fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Chat => "chat",
            Self::Gemini => "gemini",
        }
    }

    /// Where this model is asked, below a base that ends before the version.
    pub(crate) fn path(self, model: &str, streams: bool) -> String {
        match (self, streams) {
            (Self::Messages, _) => "/v1/messages".to_owned(),
            (Self::Responses, _) => "/v1/responses".to_owned(),
            (Self::Chat, _) => "/v1/chat/completions".to_owned(),
            (Self::Gemini, true) => asked_at(model, "streamGenerateContent?alt=sse"),
            (Self::Gemini, false) => asked_at(model, "generateContent"),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A request to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// In which format.
    pub wire: Wire,
    /// The model as the provider names it; it stands in `body` already, where the format has it there.
    pub model: String,
    /// Headers of the client that go along, names in small letters: `anthropic-version`, `anthropic-beta`.
    pub headers: Vec<(String, String)>,
    /// The JSON body.
    pub body: Vec<u8>,
    /// Whether the client wants a stream.
    pub streams: bool,
    /// Output tokens at most: the stream is ended as the provider would end it there.
    pub max_out: u64,
}

/// What comes back, in order. Empty `Bytes` are a sign of life; they may come before the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Once, first: status and the content type. An error status is passed on like any other.
    Head {
        /// HTTP status.
        status: u16,
        /// Of the body.
        content_type: &'a str,
        /// Headers of the provider that go along (`retry-after`, `request-id`, rate limits).
        headers: &'a [(String, String)],
    },
    /// Bytes of the body: for a stream whole events.
    Bytes {
        /// As they came.
        bytes: &'a [u8],
        /// What they say to a reader (text, thinking, tool arguments), in bytes, to be counted as output.
        said: u64,
        /// These end the answer: they go out only after what they tell of is durable.
        last: bool,
    },
}

/// Somebody who sells answers.
pub trait Provider: Send + Sync {
    /// One call of a turn; as `Model::call`.
    fn call(
        &self,
        prompt: &Prompt,
        secret: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError>;

    /// Passes a request on; blocks until the answer is whole. `sink` answers `Stop` to have the stream ended
    /// as the provider's own length stop: the driver then brings the closing events as a last `Bytes` and
    /// returns; they follow on all that went to the sink, the piece it stopped at too. An answer that is no
    /// stream comes as one piece. `Said`: what was said, as far as it was said.
    ///
    /// `Err` before `Head`: nothing was answered, and the caller answers itself. `Err` after it, with a last
    /// piece: an error of the provider was passed on. Without one: the stream broke off, and the client sees
    /// that best if its connection does.
    fn forward(
        &self,
        request: &Forward,
        secret: Option<&Secret<'_>>,
        sink: &mut dyn FnMut(Piece<'_>) -> Flow,
    ) -> Result<Said, ModelError>;

    /// The models it has; also the check that the secret opens the door.
    fn models(&self, secret: Option<&Secret<'_>>) -> Result<Vec<String>, ModelError>;

    /// Input tokens of a request in the Messages or Gemini format, by the provider's own count, if it counts.
    fn count(&self, request: &Forward, secret: Option<&Secret<'_>>) -> Result<u64, ModelError>;
}
