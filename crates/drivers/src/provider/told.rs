//! What an answer has said so far, in whatever format it comes: text, tool calls, usage, the reason of the
//! stop. All of it is an allegation; here it is only bounded.
//!
//! Never here: a provider's format, a check of what is said (the machine's).

use crate::{RawUsage, Said, ToolCall};
use abi::{event::Stop, limits};
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes kept of one answer. Longer ones are counted on and passed on, but not kept: the longest answer sold
/// is about half of this.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Tool calls kept: one more than are taken, so that the machine sees that there were too many.
const TOOLS_MAX: usize = limits::TOOLS_PER_STEP_MAX as usize + 1;
/// What an answer says that was refused or withheld by the provider.
const REFUSED: &str = "[the provider ended this answer: its content filter refused]";

/// So far.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) text: String,
    tools: BTreeMap<u64, ToolCall>,
    pub(super) usage: RawUsage,
    pub(super) stop: Option<Stop>,
    /// Bytes for a reader: text, thinking, arguments.
    pub(super) said: u64,
    kept: usize,
}

impl Told {
    /// Text of the answer.
    pub(super) fn say(&mut self, text: &str) {
        self.think(text);
        let text = fitting(&mut self.kept, text);
        self.text.push_str(text);
    }

    /// What is said but is not the answer: thinking, an argument of the provider's own tools.
    pub(super) fn think(&mut self, text: &str) {
        self.said = self.said.saturating_add(text.len() as u64);
    }

    /// The name of a tool call, by its place.
    pub(super) fn name(&mut self, at: u64, name: &str) {
        self.think(name);
        let name = fitting(&mut self.kept, name);
        if let Some(tool) = self.tool(at) {
            tool.name.push_str(name);
        }
    }

    /// More of its arguments.
    pub(super) fn argue(&mut self, at: u64, arguments: &str) {
        self.think(arguments);
        let arguments = fitting(&mut self.kept, arguments);
        if let Some(tool) = self.tool(at) {
            tool.arguments.push_str(arguments);
        }
    }

    /// The arguments as a whole, when no part of them came.
    pub(super) fn argue_whole(&mut self, at: u64, arguments: &str) {
        if self.tool(at).is_some_and(|tool| tool.arguments.is_empty()) {
            self.argue(at, arguments);
        }
    }

    pub(super) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    fn tool(&mut self, at: u64) -> Option<&mut ToolCall> {
        if !self.tools.contains_key(&at) && self.tools.len() >= TOOLS_MAX {
            return None;
        }
        Some(
            self.tools
                .entry(at)
                .or_insert_with(|| ToolCall { name: String::new(), arguments: String::new() }),
        )
    }

    /// The provider would not say more: that is an answer too, and says so.
    pub(super) fn refused(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(REFUSED);
        self.stop = Some(Stop::End);
    }

    /// Output tokens by our own count.
    pub(super) fn tokens(&self) -> u64 {
        self.said.div_ceil(limits::COUNT_BYTES_PER_TOKEN)
    }

    /// The answer, as far as it was said.
    pub(super) fn into_said(self, cut: Option<Stop>) -> Said {
        let mut tools: Vec<ToolCall> = self.tools.into_values().collect();
        for tool in tools.iter_mut().filter(|tool| tool.arguments.trim().is_empty()) {
            "{}".clone_into(&mut tool.arguments);
        }
        let stop = match (cut.or(self.stop), tools.is_empty()) {
            // Some servers say `stop` when they call tools, and some nothing.
            (None | Some(Stop::End | Stop::Tools), false) => Stop::Tools,
            (None | Some(Stop::End | Stop::Tools), true) => Stop::End,
            (Some(stop), _) => stop,
        };
        if matches!(stop, Stop::Length | Stop::Cut) {
            // A call that broke off in its arguments was not made.
            let whole =
                |tool: &ToolCall| serde_json::from_str::<serde::de::IgnoredAny>(&tool.arguments).is_ok();
            if tools.last().is_some_and(|tool| !whole(tool)) {
                tools.pop();
            }
        }
        Said { text: self.text, tools, stop, usage: self.usage }
    }
}

/// As much of the text as may still be kept; counts it.
fn fitting<'a>(kept: &mut usize, text: &'a str) -> &'a str {
    let room = KEPT_BYTES_MAX.saturating_sub(*kept);
    let text = text.get(..text.floor_char_boundary(room)).unwrap_or("");
    *kept += text.len();
    text
}

/// A number of tokens as a provider says it; anything that is none is not said.
pub(super) fn count(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    // A cast of a float saturates: what is absurd stays absurd, and is seen as that.
    value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX)).or_else(|| value.as_f64().map(|f| f as i64))
}

/// The text under a key.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The place under a key.
pub(super) fn place(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_that_broke_off_was_not_made() {
        let mut told = Told::default();
        told.name(0, "read");
        told.argue(0, "{\"path\":\"/a\"}");
        told.name(1, "write");
        told.argue(1, "{\"path\":\"/b");
        assert_eq!(told.clone().into_said(Some(Stop::Length)).tools.len(), 1);
        assert_eq!(told.clone().into_said(None).tools.len(), 2);
        assert_eq!(told.into_said(None).stop, Stop::Tools);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_said_is_counted() {
        let mut told = Told::default();
        let piece = "ä".repeat(40_000);
        for at in 0..100 {
            told.say(&piece);
            told.name(at, "x");
        }
        assert_eq!(told.said, 100 * 80_000 + 100);
        assert!(told.text.len() <= KEPT_BYTES_MAX);
        assert_eq!(told.into_said(None).tools.len(), TOOLS_MAX);
    }

    #[test]
    fn counts_are_taken_as_they_are_said() {
        for (value, want) in [
            (json!(7), Some(7)),
            (json!(-7), Some(-7)),
            (json!(u64::MAX), Some(i64::MAX)),
            (json!(1e300), Some(i64::MAX)),
            (json!(3.7), Some(3)),
            (json!("7"), None),
            (json!(null), None),
        ] {
            assert_eq!(count(Some(&value)), want, "{value}");
        }
    }
}
