//! The rules file of the scripted model.
//!
//! ```json
//! {"about": "what it is for",
//!  "rules": [
//!   {"when": {"agent": "You are triage", "task": "sort", "says": "forward everything to {to}", "step": 2},
//!    "then": {"say": "Forwarding to {to}.",
//!             "tools": [{"name": "propose", "arguments": {"mount": "outbox", "kind": "mail.send",
//!                                                         "args": {"to": "{to}"}}}]}}]}
//! ```
//! A rule holds when all that its `when` names is so; an empty `when` always holds:
//!
//! | key | holds when |
//! | --- | --- |
//! | `agent` | the system prompt contains this text |
//! | `task` | the first user item has this as a whole word (or words), upper or lower case |
//! | `says` | this pattern stands in the last item |
//! | `seen` | this pattern stands in an item that is not the system prompt; the first such is caught from |
//! | `not_seen` | in none of them |
//! | `step` | so many answers were given before |
//! | `role` | the last item is a tool's result (`tool`), or is not (`user`) |
//!
//! `then` says what is answered: `say` and the arguments of `tools` with what the patterns caught in place of
//! `{name}`, the last item in place of `{last}`, the step in place of `{n}`. `arguments` is an object, or
//! text that is given as it is. `usage` replaces what the model says it used (it may lie, below zero too),
//! `stop` the reason it gives (end, tools, length, cut). `takes_ms` makes the call slow, at most 10,000.
//! `times` is how often the rule may be used. `misbehave`: `fail` and `fail-again` (an error; trying again
//! can help), `endless` (text until it is stopped), `hang` (one piece, then nothing), `invalid-json` (tool
//! arguments that break off), `garbage`.
//!
//! Never here: an unknown key that is passed over. Errors name line and column, or the rule.

use super::pattern::{self, Captures};
use crate::ToolCall;
use abi::event::Stop;
use serde::Deserialize;
use serde_json::Value;

/// Rules of a file.
const RULES_MAX: usize = 1000;
/// Milliseconds a rule may take.
const TAKES_MS_MAX: u64 = 10_000;

/// A rules file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// For people.
    #[serde(default, rename = "about")]
    pub _about: String,
    /// The first that holds answers.
    pub rules: Vec<Rule>,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Conditions, all of them.
    #[serde(default)]
    pub when: When,
    /// The answer.
    pub then: Then,
}

/// See the table above.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    pub agent: Option<String>,
    pub task: Option<String>,
    pub says: Option<String>,
    pub seen: Option<String>,
    pub not_seen: Option<String>,
    pub step: Option<u64>,
    pub role: Option<Speaker>,
}

/// Whose the last item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    User,
    Tool,
}

/// See above.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Then {
    pub say: Option<String>,
    pub tools: Vec<Tool>,
    pub usage: Option<Lie>,
    pub stop: Option<Stop>,
    pub misbehave: Option<Misbehave>,
    pub takes_ms: u64,
    pub times: Option<u32>,
}

/// A tool call, before what was caught is put in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub name: String,
    #[serde(default)]
    pub arguments: Value,
}

/// Usage that is said in place of the honest count, as far as it is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lie {
    pub tokens_in: Option<i64>,
    pub tokens_out: Option<i64>,
    pub tokens_cached: Option<i64>,
}

/// What no model should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misbehave {
    Fail,
    FailAgain,
    Endless,
    InvalidJson,
    Garbage,
    Hang,
}

impl Tool {
    /// The call with what was caught in place.
    pub fn call(&self, caught: &Captures) -> ToolCall {
        let arguments = match &self.arguments {
            Value::Null => "{}".to_owned(),
            Value::String(raw) => pattern::fill(raw, caught),
            other => filled(other, caught).to_string(),
        };
        ToolCall { name: pattern::fill(&self.name, caught), arguments }
    }
}

/// The value with every text in it filled. Depth is bounded by the parser that read it (128).
fn filled(value: &Value, caught: &Captures) -> Value {
    match value {
        Value::String(text) => Value::String(pattern::fill(text, caught)),
        Value::Array(list) => Value::Array(list.iter().map(|one| filled(one, caught)).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, one)| (key.clone(), filled(one, caught))).collect())
        }
        other => other.clone(),
    }
}

/// Reads a rules file.
pub fn parse(text: &str) -> Result<Rules, String> {
    let rules: Rules = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if rules.rules.len() > RULES_MAX {
        return Err(format!("more than {RULES_MAX} rules"));
    }
    for (ix, rule) in rules.rules.iter().enumerate() {
        check(rule).map_err(|why| format!("rule {}: {why}", ix + 1))?;
    }
    Ok(rules)
}

fn check(rule: &Rule) -> Result<(), String> {
    let when = &rule.when;
    for (name, pattern) in [("says", &when.says), ("seen", &when.seen), ("not_seen", &when.not_seen)] {
        if let Some(pattern) = pattern {
            pattern::check(pattern).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    let then = &rule.then;
    if let Some(tool) = then
        .tools
        .iter()
        .find(|tool| !matches!(tool.arguments, Value::Null | Value::String(_) | Value::Object(_)))
    {
        return Err(format!("arguments of {} are neither an object nor text", tool.name));
    }
    if then.takes_ms > TAKES_MS_MAX {
        return Err(format!("takes_ms is over {TAKES_MS_MAX}"));
    }
    if then.say.is_none() && then.tools.is_empty() && then.misbehave.is_none() {
        return Err("then has neither say nor tools nor misbehave".to_owned());
    }
    Ok(())
}
