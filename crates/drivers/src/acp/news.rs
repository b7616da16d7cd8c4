//! What an agent tells of its turn while it goes on.

use super::{ID_BYTES_MAX, one_line, text};
use abi::limits;
use serde_json::{Map, Value};

/// A piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Words of its answer.
    Said(String),
    /// A tool call: it begins, or something of it has changed.
    Act(Act),
    /// What it means to do: each step, and whether it is `pending`, `in_progress` or `completed`.
    Plan(Vec<(String, String)>),
    /// Anything else: what it thinks, its modes, its commands, what it guesses that this costs.
    Other,
}

/// A tool call, as far as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Act {
    pub id: String,
    /// In its own words, on one line.
    pub title: String,
    /// `pending`, `in_progress`, `completed` or `failed`.
    pub status: String,
}

pub(super) fn of(mut params: Map<String, Value>) -> News {
    let Some(Value::Object(mut update)) = params.remove("update") else { return News::Other };
    match update.get("sessionUpdate").and_then(Value::as_str) {
        Some("agent_message_chunk") => said(&mut update).map_or(News::Other, News::Said),
        Some("tool_call" | "tool_call_update") => act(&mut update).map_or(News::Other, News::Act),
        Some("plan") => plan(&mut update),
        _ => News::Other,
    }
}

/// Words; what is no text has none.
fn said(update: &mut Map<String, Value>) -> Option<String> {
    let Some(Value::Object(mut block)) = update.remove("content") else { return None };
    text(&mut block, "text").filter(|text| !text.is_empty())
}

fn act(update: &mut Map<String, Value>) -> Option<Act> {
    let id = text(update, "toolCallId").filter(|id| id.len() <= ID_BYTES_MAX)?;
    let mut short = |key: &str| one_line(&text(update, key).unwrap_or_default());
    Some(Act { id, title: short("title"), status: short("status") })
}

fn plan(update: &mut Map<String, Value>) -> News {
    let Some(Value::Array(entries)) = update.remove("entries") else { return News::Other };
    let step = |entry: Value| {
        let Value::Object(mut entry) = entry else { return None };
        Some((one_line(&text(&mut entry, "status")?), one_line(&text(&mut entry, "content")?)))
    };
    News::Plan(entries.into_iter().filter_map(step).take(limits::ACP_STEPS_MAX).collect())
}
