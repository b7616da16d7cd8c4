//! A prompt as every provider's format has it: a system text and turns, each tool call with its one result.
//!
//! ```text
//! System "be brief", User "what is in /a?",           system: "be brief"
//! Assistant {"text": "", "tools": [{"name": "list",   User [Text]
//!   "arguments": "{\"path\":\"/a\"}"}]},          ─▶  Assistant { uses: [call_1_0 list {path: /a}] }
//! Tool(0) {"entries": …}                              Results [call_1_0 [Text]]
//! ```
//! Providers refuse a conversation in which a call has no result, a result no call, or a text is empty; what
//! comes out of here never has that. Names of calls are made from their place, so the same prompt is the same
//! request, and a provider's cache finds it. Never here: a provider's format.

use crate::Prompt;
use abi::{call, effect::Role};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// Bytes of an image: the most that the strictest provider takes (as base64, 5 MB).
const IMAGE_BYTES_MAX: usize = 3_750_000;
/// Characters of a tool's name that providers take.
const NAME_CHARS_MAX: usize = 64;

/// A piece of what somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Image { media: &'static str, base64: String },
}

/// A tool call that the model made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
}

/// What came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) id: String,
    pub(super) parts: Vec<Part>,
}

/// One turn. After an `Assistant` with uses stand `Results`, one for each, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    User(Vec<Part>),
    Assistant { text: String, uses: Vec<Use> },
    Results(Vec<Outcome>),
}

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Talk {
    pub(super) system: String,
    pub(super) turns: Vec<Turn>,
}

impl Talk {
    pub(super) fn of(prompt: &Prompt) -> Self {
        let mut talk = Self::default();
        let mut steps = 0;
        for (role, bytes) in &prompt.items {
            match role {
                Role::System => {
                    if !talk.system.is_empty() {
                        talk.system.push_str("\n\n");
                    }
                    talk.system.push_str(&String::from_utf8_lossy(bytes));
                }
                Role::User => talk.user(parts(bytes)),
                Role::Assistant => {
                    steps += 1;
                    talk.assistant(steps, bytes);
                }
                Role::Tool(index) => talk.result(steps, *index, parts(bytes)),
            }
        }
        // A conversation begins with a user, for every provider.
        if !matches!(talk.turns.first(), Some(Turn::User(_))) {
            talk.turns.insert(0, Turn::User(vec![Part::Text("(the conversation goes on)".to_owned())]));
        }
        talk
    }

    fn user(&mut self, mut said: Vec<Part>) {
        if said.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(Turn::User(parts)) => parts.append(&mut said),
            _ => self.turns.push(Turn::User(said)),
        }
    }

    fn assistant(&mut self, step: u32, bytes: &[u8]) {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        // An answer that is not in its canonical form is text: it may be an older one, or somebody else's.
        let text = match value.get("text").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => String::from_utf8_lossy(bytes).into_owned(),
        };
        let rows = value.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let uses: Vec<Use> = rows.iter().enumerate().map(|(ix, row)| used(&id(step, ix), row)).collect();
        if text.trim().is_empty() && uses.is_empty() {
            return;
        }
        let results = uses.iter().map(|one| Outcome { id: one.id.clone(), parts: Vec::new() }).collect();
        let calls = !uses.is_empty();
        let text = if text.trim().is_empty() { String::new() } else { text };
        self.turns.push(Turn::Assistant { text, uses });
        if calls {
            self.turns.push(Turn::Results(results));
        }
    }

    /// The result goes to its call; one without a call is told as a note.
    fn result(&mut self, step: u32, index: u32, mut said: Vec<Part>) {
        let id = id(step, usize::try_from(index).unwrap_or(usize::MAX));
        let open = self.turns.iter_mut().rev().find_map(|turn| match turn {
            Turn::Results(results) => Some(results),
            Turn::User(_) | Turn::Assistant { .. } => None,
        });
        match open.and_then(|results| results.iter_mut().find(|outcome| outcome.id == id)) {
            Some(outcome) => outcome.parts.append(&mut said),
            None => self.user(said),
        }
    }
}

/// The name of a call: which answer, and which of its calls.
fn id(step: u32, index: usize) -> String {
    format!("call_{step}_{index}")
}

fn used(id: &str, row: &Value) -> Use {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or("");
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = text("name").chars().take(NAME_CHARS_MAX).map(plain).collect();
    let name = if name.is_empty() { "unknown".to_owned() } else { name };
    // Providers take an object only. What was none is shown to the model under a name that says so.
    let arguments = match serde_json::from_str(text("arguments")) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::from_iter([("not_json".to_owned(), json!(text("arguments")))]),
    };
    Use { id: id.to_owned(), name, arguments }
}

/// Bytes as parts: an image by its first bytes, a result that holds one as base64, else text.
fn parts(bytes: &[u8]) -> Vec<Part> {
    if let Some(image) = image(bytes) {
        return vec![image];
    }
    let text = |text: String| if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] };
    let looks = bytes.first() == Some(&b'{') && memchr::memmem::find(bytes, b"\"base64\"").is_some();
    if looks && let Ok(Value::Object(mut map)) = serde_json::from_slice(bytes) {
        let found = map.get("base64").and_then(Value::as_str).and_then(|value| STANDARD.decode(value).ok());
        if let Some(image) = found.as_deref().and_then(image) {
            map.remove("base64");
            return vec![Part::Text(Value::Object(map).to_string()), image];
        }
    }
    text(String::from_utf8_lossy(bytes).into_owned())
}

/// The image these bytes are, in one of the formats that every provider reads.
fn image(bytes: &[u8]) -> Option<Part> {
    let media = match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => return None,
    };
    if bytes.len() > IMAGE_BYTES_MAX {
        let text = format!("(an {media} of {} bytes: too large to be shown)", bytes.len());
        return Some(Part::Text(text));
    }
    Some(Part::Image { media, base64: STANDARD.encode(bytes) })
}

/// Only the text of some parts, with a word where an image is.
pub(super) fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) => text.as_str(),
        Part::Image { .. } => "(an image: it follows)",
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The tools of a prompt: name, meaning, JSON Schema of the arguments. A name that is no call is left out.
pub(super) fn tools(prompt: &Prompt) -> impl Iterator<Item = (&'static str, &'static str, Value)> {
    let specs = prompt.tools.iter().filter_map(|name| match name.as_str() {
        call::BASH => Some(&call::BASH_SPEC),
        name => call::spec(name),
    });
    specs.map(|spec| (spec.name, spec.meaning, abi::schema::tool(spec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: [u8; 12] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 1, 2, 3, 4];

    fn talk(items: &[(Role, &[u8])]) -> Talk {
        let items = items.iter().map(|(role, bytes)| (*role, bytes.to_vec())).collect();
        Talk::of(&Prompt { model: "m".into(), items, tools: Vec::new(), max_out: 1 })
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn every_call_has_one_result_whatever_the_prompt_lacks() {
        let answer = br#"{"text":"","tools":[{"name":"list","arguments":"{\"path\":\"/a\"}"},
            {"name":"\u0000 ../","arguments":"no json"},{"name":"","arguments":"[]"}]}"#;
        let made = talk(&[
            (Role::System, b"one"),
            (Role::System, b"two"),
            (Role::User, b"do"),
            (Role::Assistant, answer),
            (Role::Tool(1), b"second"),
            (Role::Tool(0), b"first"),
            (Role::Tool(9), b"nobody's"),
            (Role::User, b"a note"),
        ]);
        assert_eq!(made.system, "one\n\ntwo");
        let Turn::Assistant { uses, .. } = &made.turns[1] else { panic!("{made:?}") };
        let names: Vec<(&str, &str)> = uses.iter().map(|one| (one.id.as_str(), one.name.as_str())).collect();
        assert_eq!(names, [("call_1_0", "list"), ("call_1_1", "_____"), ("call_1_2", "unknown")]);
        assert_eq!(Value::from(uses[1].arguments.clone()), json!({ "not_json": "no json" }));
        let Turn::Results(results) = &made.turns[2] else { panic!("{made:?}") };
        let said: Vec<&[Part]> = results.iter().map(|outcome| outcome.parts.as_slice()).collect();
        assert_eq!(said, [&[text("first")][..], &[text("second")], &[]]);
        assert_eq!(made.turns[3], Turn::User(vec![text("nobody's"), text("a note")]));
    }

    #[test]
    fn nothing_empty_and_nothing_that_begins_in_the_middle() {
        let made = talk(&[
            (Role::Assistant, br#"{"text":"hello","tools":[]}"#),
            (Role::User, b""),
            (Role::Assistant, br#"{"text":" ","tools":[]}"#),
            (Role::Assistant, b"plain \xff words"),
        ]);
        let said = |text: &str| Turn::Assistant { text: text.to_owned(), uses: Vec::new() };
        assert_eq!(made.turns[0], Turn::User(vec![text("(the conversation goes on)")]));
        assert_eq!(made.turns[1..], [said("hello"), said("plain \u{fffd} words")]);
    }

    #[test]
    fn images_are_known_by_their_bytes() {
        let shown = |bytes: &[u8]| match parts(bytes).pop() {
            Some(Part::Image { media, .. }) => media.to_owned(),
            Some(Part::Text(text)) => text,
            None => String::new(),
        };
        for (bytes, want) in [
            (&PNG[..], "image/png"),
            (b"\xff\xd8\xff\xe0..", "image/jpeg"),
            (b"GIF89a..", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"\x89PN", "\u{fffd}PN"),
            (b"{\"base64\":\"AAAA\"}", "{\"base64\":\"AAAA\"}"),
            (b"{\"base64\":", "{\"base64\":"),
        ] {
            assert_eq!(shown(bytes), want);
        }
        let result = json!({ "version": 3, "base64": STANDARD.encode(PNG) }).to_string();
        let image = Part::Image { media: "image/png", base64: STANDARD.encode(PNG) };
        assert_eq!(parts(result.as_bytes()), [text("{\"version\":3}"), image]);
        let large = [&PNG[..], &vec![0; IMAGE_BYTES_MAX]].concat();
        assert_eq!(shown(&large), "(an image/png of 3750012 bytes: too large to be shown)");
    }

    #[test]
    fn tools_are_the_calls_by_that_name() {
        let tools_of = |names: &[&str]| {
            let wanted = names.iter().map(|name| (*name).to_owned()).collect();
            let prompt = Prompt { model: "m".into(), items: Vec::new(), tools: wanted, max_out: 1 };
            tools(&prompt).map(|(name, _, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(tools_of(&["read", "no such", "write"]), ["read", "write"]);
    }
}
