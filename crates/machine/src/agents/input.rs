//! What a task may be given: inputs as an AGENT.md declares them, and values as people write them.
//!
//! ```text
//! inputs: {since: {type: date, default: yesterday}, to: text}     --input to=anna
//! → task:   …  inputs: {"to":"anna"}
//! → prompt: …  these hold: {"since":"2026-11-27"}
//! ```
//! A value is checked against its type and becomes canonical JSON; a number stays the text it was, never a
//! float. Types: text, number, integer, flag (or boolean), date, path, and enum, which lists its `values`.

use super::{cut, date};
use crate::policy::tree::Node;
use abi::{Error, Micros, call::Fields, limits, path::TreePath, wire};
use serde_json::Value;

/// The argument of a call that errors of values name.
const ARGUMENT: &str = "inputs";
/// Bytes of one value: what is larger is a file, and its path the input.
const VALUE_BYTES_MAX: usize = 4096;
const TYPES: [&str; 8] = ["text", "number", "integer", "flag", "boolean", "date", "path", "enum"];

/// One that is declared.
#[derive(Debug)]
pub struct Input {
    name: String,
    kind: Kind,
    /// As canonical JSON.
    default: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Text,
    Number,
    Integer,
    Flag,
    Date,
    Path,
    Enum(Vec<String>),
}

/// The key `inputs`.
pub fn declared(node: &Node, now: Micros) -> Result<Vec<Input>, Error> {
    let rows = node.map("inputs")?;
    if rows.len() > limits::INPUTS_MAX {
        return Err(node.mark.error(format!("there are more than {} inputs", limits::INPUTS_MAX)));
    }
    let mut inputs = Vec::new();
    for (key, about) in rows {
        let name = key.text("an input's name")?;
        if name.starts_with("x-") {
            continue;
        }
        let name = wire::word("inputs", name).map_err(|error| key.mark.wrap(&error))?;
        inputs.push(one(name, about, now)?);
    }
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

fn one(name: String, about: &Node, now: Micros) -> Result<Input, Error> {
    if about.is_text() {
        return Ok(Input { name, kind: kind(about, None)?, default: None });
    }
    let (mut word, mut values, mut default) = (None, None, None);
    let what = format!("inputs: {name}");
    for (key, node) in about.section(&what, &["type", "values", "default", "description"])? {
        match key {
            "type" => word = Some(node),
            "values" => values = Some(node),
            "default" => default = Some(node),
            _ => drop(node.text("description")?),
        }
    }
    let kind = match (word, values) {
        (Some(node), values) => kind(node, values)?,
        (None, Some(values)) => Kind::Enum(listed(values)?),
        (None, None) => {
            return Err(about.mark.error(format!("input {name} has no type")).hint(TYPES.join(" ")));
        }
    };
    let default = default.map(|node| {
        let value = kind.check(node.text("default")?, now);
        value
            .map_err(|(must, hint)| node.mark.error(format!("the default of input {name} {must}")).hint(hint))
    });
    Ok(Input { name, kind, default: default.transpose()? })
}

fn kind(node: &Node, values: Option<&Node>) -> Result<Kind, Error> {
    let word = node.text("type")?;
    if let (Some(values), true) = (values, word != "enum") {
        return Err(values
            .mark
            .error(format!("an input of type {word:.64} has no values"))
            .hint("type: enum"));
    }
    Ok(match word {
        "text" => Kind::Text,
        "number" => Kind::Number,
        "integer" => Kind::Integer,
        "flag" | "boolean" => Kind::Flag,
        "date" => Kind::Date,
        "path" => Kind::Path,
        "enum" => Kind::Enum(listed(values.ok_or_else(|| {
            node.mark.error("an enum lists its values").hint("{type: enum, values: [low, high]}")
        })?)?),
        other => {
            let error = node.mark.error(format!("{:?} is no type of an input", cut(other)));
            return Err(error.hint(wire::nearest_hint(other, &TYPES)));
        }
    })
}

fn listed(node: &Node) -> Result<Vec<String>, Error> {
    let values = node.list("values")?.iter().map(|item| item.text("a value").map(str::to_owned));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    if values.is_empty() || values.len() > limits::INPUTS_MAX {
        return Err(node.mark.error("an enum has one value to 32").hint("values: [low, high]"));
    }
    Ok(values)
}

/// What a value must be, and what to write.
type Wrong = (String, String);

impl Kind {
    fn word(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Number => "number".into(),
            Self::Integer => "integer".into(),
            Self::Flag => "flag".into(),
            Self::Date => "date".into(),
            Self::Path => "path".into(),
            Self::Enum(values) => values.join("|"),
        }
    }

    /// The value as canonical JSON.
    fn check(&self, text: &str, now: Micros) -> Result<String, Wrong> {
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        let wrong = |must: &str, hint: &str| (format!("{must}: {:?}", cut(text)), hint.to_owned());
        if text.len() > VALUE_BYTES_MAX {
            return Err(("is longer than 4 KiB".into(), "write it to a file and give its path".into()));
        }
        let text = if matches!(self, Self::Text) { text } else { text.trim() };
        match self {
            Self::Text => Ok(quoted(text)),
            Self::Number if is_number(text) => Ok(text.to_owned()),
            Self::Number => Err(wrong("is not a number", "digits, as -2 or 0.50")),
            Self::Integer => {
                let number = text.parse::<i64>().map(|number| number.to_string());
                number.map_err(|_| wrong("is not a whole number", "digits only, as 12 or -3"))
            }
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Ok("true".into()),
                "false" | "no" | "off" => Ok("false".into()),
                _ => Err(wrong("is neither true nor false", "true, yes, on, or false, no, off")),
            },
            Self::Date => date::parse(text, now).map(|date| quoted(&date.to_string())).ok_or_else(|| {
                wrong("is not a date", "2026-11-28, 28 November 2026, yesterday, 3 days ago, last monday")
            }),
            Self::Path => match TreePath::parse(text) {
                Ok(path) => Ok(quoted(path.as_str())),
                Err(error) => Err((format!("is not a path: {}", error.message), error.hint)),
            },
            Self::Enum(values) if values.iter().any(|value| value == text) => Ok(quoted(text)),
            Self::Enum(values) => {
                let known: Vec<&str> = values.iter().map(String::as_str).collect();
                Err(wrong("is none of its values", &wire::nearest_hint(text, &known)))
            }
        }
    }
}

/// A number as JSON writes it, without an exponent.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && rest.is_none_or(digits)
}

/// What a task is given, as canonical JSON; none when nothing is given. What is not given has a default.
pub fn given(agent: &str, inputs: &[Input], given: &Fields, now: Micros) -> Result<Option<String>, Error> {
    let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    if let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) {
        let error = Error::invalid(ARGUMENT, format!("agent {agent} has no input {:?}", cut(name)));
        return Err(match known.is_empty() {
            true => error.hint(format!("its file declares none: /agents/{agent}/AGENT.md")),
            false => error.hint(wire::nearest_hint(name, &known)),
        });
    }
    let mut rows = Vec::new();
    for input in inputs {
        let value = given.get(&input.name).and_then(|values| values.first());
        match (value, &input.default) {
            (Some(value), _) => {
                let value = input.kind.check(value, now).map_err(|(must, hint)| {
                    Error::invalid(ARGUMENT, format!("input {} {must}", input.name)).hint(hint)
                })?;
                rows.push((input.name.as_str(), value));
            }
            (None, Some(_)) => {}
            (None, None) => {
                let (name, kind) = (&input.name, input.kind.word());
                return Err(Error::invalid(
                    ARGUMENT,
                    format!("agent {agent} needs the input {name}, a {kind}"),
                )
                .hint(format!("skep run {agent} TASK --input {name}=VALUE")));
            }
        }
    }
    Ok((!rows.is_empty()).then(|| object(rows)))
}

/// What holds where nothing is given, as canonical JSON.
pub fn defaults(inputs: &[Input]) -> Option<String> {
    let of = |input: &Input| Some((input.name.clone(), input.default.clone()?));
    let rows: Vec<(String, String)> = inputs.iter().filter_map(of).collect();
    (!rows.is_empty()).then(|| object(rows.iter().map(|(name, value)| (name.as_str(), value.clone()))))
}

fn object<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<String> = rows.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", rows.join(","))
}
