//! A request that a program makes at the model endpoint, taken apart so that a session of N calls costs O(N).
//!
//! ```text
//! {"model":"m","max_tokens":9,"messages":[A,B,C],"tools":[…]}
//!   ─▶ {"model":"m","max_tokens":9,"messages":[],"tools":[…]} · A · B · C
//! ```
//! Each part is one piece, or several: a piece of `PIECE_BYTES` goes on in the next, so a part ends with the
//! first piece that is shorter (an empty one, if need be). The pieces are blobs; a record names those that
//! the request before it did not have. What is sent on is put together from them again, so what was recorded
//! is what was sent.

use crate::Content;
use alloc::{format, string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// In which format a program asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Anthropic messages.
    Messages,
    /// OpenAI responses.
    Responses,
    /// OpenAI chat completions.
    Chat,
    /// How many tokens a request in the messages format has; nothing is said.
    CountTokens,
    /// Gemini, `generateContent`: model and delivery stand in the path.
    Gemini,
    /// How many tokens a request in the Gemini format has; nothing is said.
    GeminiCount,
}

impl Api {
    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Chat => "chat",
            Self::CountTokens => "count_tokens",
            Self::Gemini => "gemini",
            Self::GeminiCount => "gemini_count_tokens",
        }
    }

    /// Whether it only asks for a number: nothing is said, and nothing is streamed.
    pub fn only_counts(self) -> bool {
        match self {
            Self::CountTokens | Self::GeminiCount => true,
            Self::Messages | Self::Responses | Self::Chat | Self::Gemini => false,
        }
    }
}

/// How the answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// As it is said: output is reserved in steps, and ended where no more can be.
    Streamed,
    /// At once: as much output is reserved before as can be, and no more is asked for.
    Whole,
}

/// A request in pieces.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Request {
    /// In which format.
    pub api: Api,
    /// How the answer comes.
    pub delivery: Delivery,
    /// All of it, in order.
    pub pieces: Vec<Content>,
    /// Bytes of input that are reserved for: its own, with a fixed number for each image.
    pub weight: u64,
}

/// What a record keeps of a request beside its pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Asked {
    /// In which format.
    pub api: Api,
    /// How the answer comes.
    pub delivery: Delivery,
}

/// What the name of the directory ends with that holds the socket of operators who were added: it lies
/// beside the home, is called like it, and holds nothing else.
pub const SHARED: &str = ".shared";

/// Name of the model endpoint's socket, which lies beside the door's. Not longer than that one where it is
/// named as usual, so that both fit an address or none does.
pub fn socket_name(door: &str) -> String {
    if door == "sock" { String::from("api") } else { format!("{door}.api") }
}
