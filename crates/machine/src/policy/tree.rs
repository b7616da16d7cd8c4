//! YAML as a tree that knows where everything stands: whoever finds fault with a word can point at it.
//!
//! ```text
//! operators: {tom: {role: membr}}   →   policy.yaml:1:25: "membr" is no role
//! ```
//! A scalar is its text as written: `250.00` is never a float, `no` never a boolean. What the reader's own
//! budget does not take (a bomb of aliases, a deep nest) is an error like any other. Nothing is decided here.

use super::unknown;
use abi::{Code, Error, limits};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// Bytes of one of these files.
const FILE_BYTES_MAX: usize = limits::ARGUMENT_BYTES_MAX as usize;
/// Nodes of one, aliases written out: more than 64 KiB of plain YAML can hold in lists of needs.
const NODES_MAX: usize = 32 * 1024;

/// Where something stands; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    file: &'static str,
    line: u64,
    column: u64,
}

impl Mark {
    /// `Invalid`, pointing here.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        let Self { file, line, column } = self;
        Error::invalid(file, format!("{file}:{line}:{column}: {message}"))
    }

    /// Somebody else's error, pointing here.
    pub fn wrap(&self, error: &Error) -> Error {
        Error { code: error.code, ..self.error(&error.message).hint(error.hint.clone()) }
    }
}

/// A part of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Empty,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Reads a whole file.
    pub fn read(file: &'static str, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(Error::new(Code::TooLarge, format!("{file} is larger than 64 KiB"))
                .argument(file)
                .hint("keep it to what is needed"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(file, bytes, error.valid_up_to()))?;
        let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_nodes: NODES_MAX } };
        let raw: Spanned<Raw> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| bad(file, &error))?;
        Ok(node(file, text, raw))
    }

    /// Its text.
    pub fn text(&self, what: &str) -> Result<&str, Error> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.mark.error(format!("{what} is missing, or is no text")).hint("write one word")),
        }
    }

    /// Its words: a list of them, or one text with commas between; a comma in brackets divides nothing.
    pub fn words(&self, what: &str) -> Result<Vec<(Mark, &str)>, Error> {
        let text = match &self.value {
            Value::Text(text) => text,
            _ => {
                let items = self.list(what)?.iter();
                return items.map(|item| Ok((item.mark, item.text(what)?))).collect();
            }
        };
        let mut depth = 0_u32;
        let parts = text.split(|c: char| {
            depth = match c {
                '(' => depth.saturating_add(1),
                ')' => depth.saturating_sub(1),
                _ => depth,
            };
            c == ',' && depth == 0
        });
        Ok(parts.map(str::trim).filter(|word| !word.is_empty()).map(|word| (self.mark, word)).collect())
    }

    /// Whether it is one text.
    pub fn is_text(&self) -> bool {
        matches!(self.value, Value::Text(_))
    }

    /// Its items; none of what is left empty.
    pub fn list(&self, what: &str) -> Result<&[Self], Error> {
        match &self.value {
            Value::Empty => Ok(&[]),
            Value::List(items) => Ok(items),
            _ => Err(self.mark.error(format!("{what} is no list")).hint("write [one, two], or - one")),
        }
    }

    /// Its keys and what stands under them, in the order of the file; none of what is left empty.
    pub fn map(&self, what: &str) -> Result<&[(Self, Self)], Error> {
        match &self.value {
            Value::Empty => Ok(&[]),
            Value::Map(rows) => Ok(rows),
            _ => Err(self.mark.error(format!("{what} is no map")).hint("write key: value")),
        }
    }

    /// The same as JSON: what is written as a number or a boolean is one.
    pub fn json(&self) -> Result<serde_json::Value, Error> {
        use serde_json::Value as Json;
        Ok(match &self.value {
            Value::Empty => Json::Null,
            Value::Text(text) => {
                let plain = serde_json::from_str(text).ok();
                plain
                    .filter(|one: &Json| one.is_boolean() || one.is_number())
                    .unwrap_or_else(|| text.clone().into())
            }
            Value::List(items) => Json::Array(items.iter().map(Self::json).collect::<Result<_, _>>()?),
            Value::Map(rows) => {
                let rows = rows.iter().map(|(key, value)| Ok((key.text("a key")?.to_owned(), value.json()?)));
                Json::Object(rows.collect::<Result<_, Error>>()?)
            }
        })
    }

    /// The same of a map that has these keys and, for notes, `x-` ones: those that are known.
    pub fn section<'a>(
        &'a self,
        what: &str,
        known: &[&str],
    ) -> Result<impl Iterator<Item = (&'a str, &'a Self)>, Error> {
        let mut rows = Vec::new();
        for (key, value) in self.map(what)? {
            let word = key.text("a key")?;
            if word.starts_with("x-") {
                continue;
            }
            if !known.contains(&word) {
                return Err(key.mark.wrap(&unknown(what, word, known)));
            }
            rows.push((word, value));
        }
        Ok(rows.into_iter())
    }
}

fn not_utf8(file: &'static str, bytes: &[u8], at: usize) -> Error {
    let before = bytes.get(..at).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
    let column = 1 + before.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len) as u64;
    Mark { file, line, column }.error("this byte is not UTF-8").hint("save the file as UTF-8")
}

/// What the reader says, where it says it, without its own advice to programmers.
fn bad(file: &'static str, error: &serde_saphyr::Error) -> Error {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or("not YAML");
    let words = match first.strip_prefix("error: line ") {
        Some(rest) => rest.split_once(": ").map_or(rest, |(_, words)| words),
        None => first.strip_prefix("error: ").unwrap_or(first),
    };
    let words = words.split(", set DuplicateKeyPolicy").next().unwrap_or(words);
    let shown: String = words.chars().take(200).collect();
    let place = error.location().map_or((1, 1), |at| (at.line().max(1), at.column().max(1)));
    let hint = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { .. } => "write each key once",
        _ => "it is YAML: key: value, lists with - or [a, b], text with : or # in quotes",
    };
    Mark { file, line: place.0, column: place.1 }.error(shown).hint(hint)
}

/// As the reader gives it: what it takes for a number or a boolean has no text of its own.
enum Raw {
    Empty,
    Plain,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn node(file: &'static str, source: &str, raw: Spanned<Raw>) -> Node {
    let of = |raw| node(file, source, raw);
    let value = match raw.value {
        Raw::Empty => Value::Empty,
        Raw::Plain => Value::Text(written(source, &raw.defined).unwrap_or_default().to_owned()),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => Value::List(items.into_iter().map(of).collect()),
        Raw::Map(rows) => Value::Map(rows.into_iter().map(|(key, value)| (of(key), of(value))).collect()),
    };
    let (line, column) = (raw.referenced.line().max(1), raw.referenced.column().max(1));
    Node { mark: Mark { file, line, column }, value }
}

fn written<'a>(source: &'a str, at: &Location) -> Option<&'a str> {
    let span = at.span();
    let from = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    source.get(from..from.checked_add(length)?)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Raw;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("YAML")
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rows: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = rows.next_key()? {
            map.push((key, rows.next_value()?));
        }
        Ok(Raw::Map(map))
    }
}
