//! Why a command ended without doing what it was asked: one sentence, what to do next, and the exit code.

use serde_json::{Value, json};
use std::io;

/// How a command that ran ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As asked: 0.
    Fine,
    /// It ran, and what it reports is bad: 1.
    Bad,
    /// Another's status, passed on.
    Status(u8),
}

/// What every command answers.
pub type Outcome = Result<Exit, Fail>;

/// A refusal or failure, ready to be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    /// Exit code.
    pub exit: i32,
    /// The code word of the daemon's refusal; empty for our own.
    pub code: String,
    /// What is.
    pub message: String,
    /// What to do; empty when there is nothing to say.
    pub hint: String,
}

impl Fail {
    /// It failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self { exit: 1, code: String::new(), message: message.into(), hint: String::new() }
    }

    /// The words on the command line make no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: 2, ..Self::new(message) }
    }

    /// The same with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The reader of our output has gone: nothing to say, nothing to blame.
    fn quiet() -> Self {
        Self { exit: 0, ..Self::new("") }
    }

    /// Whether there is nothing to print.
    pub fn is_quiet(&self) -> bool {
        self.message.is_empty()
    }

    /// From a JSON-RPC error object.
    pub fn from_wire(error: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let data = error.get("data");
        let of = |key: &str| text(data.and_then(|data| data.get(key)));
        let message = text(error.get("message"));
        let message = if message.is_empty() { "the daemon refused without a reason".into() } else { message };
        Self { code: of("code"), hint: of("hint"), ..Self::new(message) }
    }

    /// Whether the daemon refused with this code.
    pub fn is(&self, code: abi::Code) -> bool {
        self.code == code.word()
    }

    /// For `--json`.
    pub fn to_json(&self) -> Value {
        json!({"error": {"code": self.code, "message": self.message, "hint": self.hint}})
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::quiet() } else { Self::new(error.to_string()) }
    }
}

impl From<abi::Error> for Fail {
    fn from(error: abi::Error) -> Self {
        Self { exit: 2, code: error.code.word().into(), message: error.message, hint: error.hint }
    }
}
