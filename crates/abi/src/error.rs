//! The codes that go back to a caller. The other kind of error, a fault, stops the one to blame and is a
//! record.

use alloc::string::{String, ToString};
use core::fmt;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        /// Why a call was not carried out. The one table: number on the wire, name, meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
        pub enum Code {$(
            #[doc = $meaning]
            $name,
        )*}

        impl Code {
            /// Every code with its number and meaning, for manuals and schemas.
            pub const TABLE: &'static [(Code, i32, &'static str)] = &[$((Code::$name, $number, $meaning)),*];

            /// The number in a JSON-RPC error object (application range).
            pub fn number(self) -> i32 {
                match self { $(Code::$name => $number,)* }
            }

            /// The word, as printed.
            pub fn word(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }
        }
    };
}

codes! {
    Denied = -33001, "no capability allows it, or a rule forbids it";
    NotFound = -33002, "nothing of that name that the caller may see";
    Exists = -33003, "something of that name stands already";
    Stale = -33004, "the base is not the head any more; nothing was written";
    Conflict = -33005, "the base was not the head; the write is kept as a diverged version";
    Busy = -33006, "another holds it; try again";
    Exhausted = -33007, "a limit or budget is reached";
    Expired = -33008, "it waited longer than it may";
    Invalid = -33009, "an argument cannot be what it must be";
    Dead = -33010, "the id named something that has ended";
    Unavailable = -33011, "not served here or not now; nothing was done";
    TooLarge = -33012, "larger than the limit in `abi::limits`";
    Interrupted = -33013, "ended by somebody before it was finished";
}

/// A code with a sentence, what to do about it, and the argument to blame.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Error {
    /// Which of the codes.
    pub code: Code,
    /// One sentence: what is.
    pub message: String,
    /// What to do next; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// Name of the offending argument; empty when none is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub argument: String,
}

impl Error {
    /// An error with a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new(), argument: String::new() }
    }

    /// The same with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with the argument to blame.
    pub fn argument(mut self, argument: &str) -> Self {
        self.argument = argument.to_string();
        self
    }

    /// `Invalid`, blaming an argument.
    pub fn invalid(argument: &str, message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message).argument(argument)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code.word(), self.message)
    }
}

impl core::error::Error for Error {}
