//! Types of channels: a subset of JSON Schema, and how many bits of choice a message of one holds.
//!
//! ```text
//! {"enum": ["yes", "no", 3, true, null]}      one of these
//! {"type": "boolean"}                         one of two
//! {"type": "integer", "minimum": 0, "maximum": 9}
//! {"type": "string", "format": "date", "formatMinimum": "2026-01-01", "formatMaximum": "2026-12-31"}
//! {"type": "string", "list": "/data/rooms"}   a line of that file
//! {"type": "string"}                          any text
//! {"type": "array", "items": …, "minItems": 2, "maxItems": 2}
//! {"type": "object", "properties": {…}, "required": […], "additionalProperties": false}
//! ```
//!
//! `title`, `description` and `$schema` say nothing here; any other word is refused, since what it would
//! forbid would not be forbidden. A message is handed on in one spelling only: spaces, the order of fields
//! and the ways to write a number would be words beside the words. Never here: whether a message endorses,
//! which the kernel decides.

use crate::{Error, Seq, calendar::day, label::Integrity, limits, path::TreePath, wire};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Map, Value};

/// What a message may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// One of these strings, integers, `true`, `false`, `null`; each stands here once.
    Choice(Vec<Value>),
    /// An integer; without both ends it is unbounded.
    Integer(Option<i64>, Option<i64>),
    /// A day, `YYYY-MM-DD`, counted from 1970-01-01; without both ends it is unbounded.
    Date(Option<i64>, Option<i64>),
    /// A line of a file.
    Id(TreePath),
    /// Any text.
    Text,
    /// Of these, at least and at most so many.
    Array(Box<Schema>, u32, Option<u32>),
    /// These fields and no others; whether each must be there.
    Object(BTreeMap<String, (Schema, Need)>),
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It may.
    Optional,
}

/// A list of ids, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its lines.
    pub ids: BTreeSet<String>,
    /// The record that wrote it.
    pub seq: Seq,
    /// How far it is trusted.
    pub integrity: Integrity,
}

/// The lists that a schema names.
pub type Lists = BTreeMap<TreePath, List>;

/// How many messages there are: exactly, or at most a power of two.
#[derive(Clone, Copy)]
struct Size {
    exact: Option<u128>,
    bits: u32,
}

impl Size {
    fn of(count: u128) -> Self {
        let bits = count.checked_sub(1).map_or(0, |most| u128::BITS - most.leading_zeros());
        Self { exact: Some(count), bits }
    }

    /// Both, chosen apart from one another. Where the number is too large to be held, the bits add up: that
    /// is never less than there are.
    fn times(self, other: Self) -> Self {
        let exact = self.exact.zip(other.exact).and_then(|(a, b)| a.checked_mul(b));
        exact.map_or(Self { exact: None, bits: self.bits.saturating_add(other.bits) }, Self::of)
    }

    /// The same, or nothing at all.
    fn or_none(self) -> Self {
        let more = self.exact.and_then(|count| count.checked_add(1));
        more.map_or(Self { exact: None, bits: self.bits.saturating_add(1) }, Self::of)
    }
}

impl Schema {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > limits::SCHEMA_BYTES_MAX {
            return Err(bad("", format!("a schema has at most {} bytes", limits::SCHEMA_BYTES_MAX)));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|error| bad("", format!("it is no JSON: {error}")))?;
        schema(&value, "", 0)
    }

    /// Bits of choice that one message holds: the logarithm of the number of messages there are, rounded up.
    /// None: there is no bound, or a list that it names is not known.
    pub fn bits(&self, lists: &Lists) -> Option<u32> {
        self.size(lists).map(|size| size.bits)
    }

    fn size(&self, lists: &Lists) -> Option<Size> {
        match self {
            Self::Choice(all) => Some(Size::of(all.len() as u128)),
            Self::Integer(Some(min), Some(max)) | Self::Date(Some(min), Some(max)) => {
                let count = i128::from(*max) - i128::from(*min) + 1;
                Some(Size::of(u128::try_from(count).unwrap_or(0)))
            }
            Self::Integer(..) | Self::Date(..) | Self::Text => None,
            Self::Id(path) => lists.get(path).map(|list| Size::of(list.ids.len() as u128)),
            Self::Array(item, min, max) if Some(*min) == *max => {
                let item = item.size(lists)?;
                Some((0..*min).fold(Size::of(1), |all, _| all.times(item)))
            }
            Self::Array(..) => None,
            Self::Object(fields) => fields.values().try_fold(Size::of(1), |all, (field, need)| {
                let field = field.size(lists)?;
                Some(all.times(if *need == Need::Required { field } else { field.or_none() }))
            }),
        }
    }

    /// The files whose lines it names.
    pub fn lists(&self) -> BTreeSet<&TreePath> {
        match self {
            Self::Id(path) => BTreeSet::from([path]),
            Self::Array(item, ..) => item.lists(),
            Self::Object(fields) => fields.values().flat_map(|(field, _)| field.lists()).collect(),
            Self::Choice(_) | Self::Integer(..) | Self::Date(..) | Self::Text => BTreeSet::new(),
        }
    }

    /// The message in its one spelling; an error names the place that does not fit.
    pub fn admit(&self, message: &[u8], lists: &Lists) -> Result<Vec<u8>, Error> {
        if message.len() > limits::MESSAGE_BYTES_MAX {
            return Err(bad("", format!("a message has at most {} bytes", limits::MESSAGE_BYTES_MAX)));
        }
        let value: Value =
            serde_json::from_slice(message).map_err(|error| bad("", format!("it is no JSON: {error}")))?;
        let value = self.fit(&value, lists, "")?;
        // A value that was read can be written; an empty message is refused by whoever reads it.
        Ok(serde_json::to_vec(&value).unwrap_or_default())
    }

    fn fit(&self, value: &Value, lists: &Lists, at: &str) -> Result<Value, Error> {
        let fits = match self {
            Self::Choice(all) => all.contains(value),
            Self::Integer(min, max) => value.as_i64().is_some_and(|number| within(number, *min, *max)),
            Self::Date(min, max) => value.as_str().and_then(day).is_some_and(|day| within(day, *min, *max)),
            Self::Id(path) => {
                let list = lists.get(path);
                value.as_str().zip(list).is_some_and(|(id, list)| list.ids.contains(id))
            }
            Self::Text => value.is_string(),
            Self::Array(item, min, max) => return fit_items((item, *min, *max), value, lists, at),
            Self::Object(fields) => return fit_fields(fields, value, lists, at),
        };
        if fits { Ok(value.clone()) } else { Err(bad(at, format!("it is not {}", self.word()))) }
    }

    fn word(&self) -> String {
        let ends = |min: &Option<String>, max: &Option<String>| {
            let end = |end: &Option<String>| end.clone().unwrap_or_else(|| String::from("…"));
            format!("{} to {}", end(min), end(max))
        };
        match self {
            Self::Choice(all) => {
                let all: Vec<String> = all.iter().take(8).map(ToString::to_string).collect();
                format!("one of {}", all.join(" "))
            }
            Self::Integer(min, max) => {
                format!(
                    "an integer, {}",
                    ends(&min.map(|end| end.to_string()), &max.map(|end| end.to_string()))
                )
            }
            Self::Date(..) => String::from("a date YYYY-MM-DD within the bounds"),
            Self::Id(path) => format!("a line of {path}"),
            Self::Text => String::from("a string"),
            Self::Array(..) => String::from("an array"),
            Self::Object(..) => String::from("an object"),
        }
    }
}

fn within(number: i64, min: Option<i64>, max: Option<i64>) -> bool {
    min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
}

fn fit_items(
    (item, min, max): (&Schema, u32, Option<u32>),
    value: &Value,
    lists: &Lists,
    at: &str,
) -> Result<Value, Error> {
    let Value::Array(items) = value else { return Err(bad(at, "it is not an array")) };
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if !within(count, Some(i64::from(min)), max.map(i64::from)) {
        return Err(bad(at, format!("it has {count} items")));
    }
    let items = items.iter().enumerate().map(|(ix, value)| item.fit(value, lists, &format!("{at}/{ix}")));
    Ok(Value::Array(items.collect::<Result<_, _>>()?))
}

fn fit_fields(
    fields: &BTreeMap<String, (Schema, Need)>,
    value: &Value,
    lists: &Lists,
    at: &str,
) -> Result<Value, Error> {
    let Value::Object(map) = value else { return Err(bad(at, "it is not an object")) };
    if let Some(name) = map.keys().find(|name| !fields.contains_key(*name)) {
        let known: Vec<&str> = fields.keys().map(String::as_str).collect();
        return Err(
            bad(&format!("{at}/{name}"), "there is no such field").hint(wire::nearest_hint(name, &known))
        );
    }
    let mut all = Map::new();
    for (name, (field, need)) in fields {
        let at = format!("{at}/{name}");
        match map.get(name) {
            Some(value) => _ = all.insert(name.clone(), field.fit(value, lists, &at)?),
            None if *need == Need::Required => return Err(bad(&at, "it is missing")),
            None => {}
        }
    }
    Ok(Value::Object(all))
}

/// An error of a schema or of a message, which names the place: `/rooms/2`; empty is all of it.
fn bad(at: &str, what: impl Into<String>) -> Error {
    let at = if at.is_empty() { "/" } else { at };
    Error::invalid(at, what)
}

/// Words that say nothing of what a message may be.
const SILENT: [&str; 3] = ["$schema", "description", "title"];

fn schema(value: &Value, at: &str, depth: u32) -> Result<Schema, Error> {
    if depth > limits::SCHEMA_DEPTH_MAX {
        return Err(bad(at, format!("a schema is at most {} deep", limits::SCHEMA_DEPTH_MAX)));
    }
    let Value::Object(map) = value else { return Err(bad(at, "a schema is an object")) };
    if map.contains_key("enum") {
        only(map, &["enum"], at)?;
        return choice(map, at);
    }
    match map.get("type").and_then(Value::as_str) {
        Some("boolean") => {
            only(map, &["type"], at)?;
            Ok(Schema::Choice(Vec::from([Value::Bool(false), Value::Bool(true)])))
        }
        Some("integer") => {
            only(map, &["maximum", "minimum", "type"], at)?;
            let end = |name: &str| match map.get(name) {
                None => Ok(None),
                Some(end) => end.as_i64().map(Some).ok_or_else(|| {
                    bad(&format!("{at}/{name}"), "it is an integer between -2^63 and 2^63 - 1")
                }),
            };
            let (min, max) = in_order(end("minimum")?, end("maximum")?, at)?;
            Ok(Schema::Integer(min, max))
        }
        Some("string") => string(map, at),
        Some("array") => array(map, at, depth),
        Some("object") => object(map, at, depth),
        Some(other) => {
            let known = ["array", "boolean", "integer", "object", "string"];
            let what = format!("type {other:?} is not among those a channel has");
            Err(bad(&format!("{at}/type"), what).hint(wire::nearest_hint(other, &known)))
        }
        None => Err(bad(at, "it has neither a type nor an enum").hint("{\"type\": \"integer\", …}")),
    }
}

fn only(map: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Error> {
    let strange = |name: &&String| !known.contains(&name.as_str()) && !SILENT.contains(&name.as_str());
    match map.keys().find(strange) {
        Some(name) => {
            let what = "a channel's schema has no such word here";
            Err(bad(&format!("{at}/{name}"), what).hint(wire::nearest_hint(name, known)))
        }
        None => Ok(()),
    }
}

fn in_order(min: Option<i64>, max: Option<i64>, at: &str) -> Result<(Option<i64>, Option<i64>), Error> {
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(bad(at, "its end is before its beginning: nothing fits")),
        both => Ok(both),
    }
}

fn choice(map: &Map<String, Value>, at: &str) -> Result<Schema, Error> {
    let at = format!("{at}/enum");
    let Some(Value::Array(all)) = map.get("enum") else { return Err(bad(&at, "it is a list of values")) };
    let plain = |value: &Value| value.is_string() || value.is_boolean() || value.is_null() || value.is_i64();
    if all.is_empty() || all.len() > limits::SCHEMA_CHOICES_MAX || !all.iter().all(plain) {
        let most = limits::SCHEMA_CHOICES_MAX;
        return Err(bad(&at, format!("1 to {most} strings, integers, true, false or null")));
    }
    let mut once: Vec<Value> = Vec::new();
    all.iter().for_each(|value| {
        if !once.contains(value) {
            once.push(value.clone());
        }
    });
    Ok(Schema::Choice(once))
}

fn string(map: &Map<String, Value>, at: &str) -> Result<Schema, Error> {
    if let Some(list) = map.get("list") {
        only(map, &["list", "type"], at)?;
        let path = list.as_str().ok_or_else(|| bad(&format!("{at}/list"), "it is the path of a file"))?;
        return TreePath::parse(path)
            .map(Schema::Id)
            .map_err(|error| bad(&format!("{at}/list"), error.message));
    }
    match map.get("format").map(Value::as_str) {
        None => only(map, &["format", "list", "type"], at).map(|()| Schema::Text),
        Some(Some("date")) => {
            only(map, &["format", "formatMaximum", "formatMinimum", "type"], at)?;
            let end = |name: &str| match map.get(name) {
                None => Ok(None),
                Some(end) => end
                    .as_str()
                    .and_then(day)
                    .map(Some)
                    .ok_or_else(|| bad(&format!("{at}/{name}"), "it is a date that exists, YYYY-MM-DD")),
            };
            let (min, max) = in_order(end("formatMinimum")?, end("formatMaximum")?, at)?;
            Ok(Schema::Date(min, max))
        }
        Some(_) => Err(bad(&format!("{at}/format"), "a channel knows the format \"date\" only")),
    }
}

fn array(map: &Map<String, Value>, at: &str, depth: u32) -> Result<Schema, Error> {
    only(map, &["items", "maxItems", "minItems", "type"], at)?;
    let items = map.get("items").ok_or_else(|| bad(at, "an array says of what: items"))?;
    let count = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(count) => {
            let count = count.as_u64().and_then(|count| u32::try_from(count).ok());
            let most = limits::SCHEMA_ITEMS_MAX;
            count
                .filter(|count| *count <= most)
                .map(Some)
                .ok_or_else(|| bad(&format!("{at}/{name}"), format!("it is a number from 0 to {most}")))
        }
    };
    let (min, max) = (count("minItems")?.unwrap_or(0), count("maxItems")?);
    in_order(Some(i64::from(min)), max.map(i64::from), at)?;
    Ok(Schema::Array(Box::new(schema(items, &format!("{at}/items"), depth + 1)?), min, max))
}

fn object(map: &Map<String, Value>, at: &str, depth: u32) -> Result<Schema, Error> {
    only(map, &["additionalProperties", "properties", "required", "type"], at)?;
    if map.get("additionalProperties") != Some(&Value::Bool(false)) {
        let at = format!("{at}/additionalProperties");
        return Err(bad(&at, "a channel names every field").hint("\"additionalProperties\": false"));
    }
    let required: BTreeSet<&str> = match map.get("required") {
        None => BTreeSet::new(),
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            names.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => return Err(bad(&format!("{at}/required"), "it is a list of names")),
    };
    let none = Map::new();
    let properties = match map.get("properties") {
        None => &none,
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err(bad(&format!("{at}/properties"), "it is an object of schemas")),
    };
    if let Some(name) = required.iter().find(|name| !properties.contains_key(**name)) {
        return Err(bad(&format!("{at}/required"), format!("there is no property {name:?}")));
    }
    let mut fields = BTreeMap::new();
    for (name, value) in properties {
        let need = if required.contains(name.as_str()) { Need::Required } else { Need::Optional };
        let field = schema(value, &format!("{at}/properties/{name}"), depth + 1)?;
        fields.insert(name.clone(), (field, need));
    }
    Ok(Schema::Object(fields))
}

#[cfg(test)]
mod tests;
