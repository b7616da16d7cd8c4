//! A program's request, taken apart into pieces and put together again (`abi::request` draws it).
//!
//! Before → after, in the messages format:
//! ```text
//! {"stream":true,"model":"fast","messages":[{"role":"user","content":"hi"}],"max_tokens":9}
//!   ─▶ model fast · 9 tokens · streamed · {"max_tokens":9,"model":"fast","stream":true} · {"role":…}
//!   ─▶ {"max_tokens":9,"model":"claude-x","stream":true,"messages":[{"role":"user","content":"hi"}]}
//! ```
//! Keys are sorted and given once, so that nobody can read two things; what stands in them is not touched.
//! Tools that a provider would run itself are taken out: they reach the network where nobody sees it.
//! What refers to something a provider keeps is refused: nobody could say how much of it is paid again.
//! What is its own in the Gemini format stands in `gemini`.

use abi::{
    Code, Content, Error, limits,
    request::{Api, Delivery, Request},
    wire,
};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

pub(crate) mod gemini;

use gemini::Place;

/// Levels of a request: tool schemas are nested deeper than our own messages.
const DEPTH_MAX: usize = 120;
/// A message shorter than this is not searched for images.
const IMAGE_BYTES_MIN: usize = 4096;

type Head = BTreeMap<String, Box<RawValue>>;

/// A request, understood as far as we have to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// The model as the program named it.
    pub model: String,
    /// Output tokens at most.
    pub max_out: u64,
    /// Its pieces.
    pub request: Request,
    /// Their bytes, one each.
    pub blobs: Vec<Vec<u8>>,
    /// Tools that were taken out, by their types.
    pub withheld: Vec<String>,
}

/// Takes a body apart; what its path says of it counts.
pub(crate) fn apart(api: Api, place: Option<&Place>, body: &[u8]) -> Result<Apart, Error> {
    if wire::deeper_than(body, DEPTH_MAX) {
        return Err(invalid("", "the request is nested too deep"));
    }
    let text = std::str::from_utf8(body).map_err(|_| invalid("", "the request is not UTF-8"))?;
    let mut head: Head = serde_json::from_str(text)
        .map_err(|error| invalid("", format!("the request is not a JSON object: {error}")))?;
    if is_gemini(api) {
        gemini::plain(&mut head)?;
    }
    refuse_kept(api, &head)?;
    let (model, delivery) = match place {
        Some(place) => (place.model.clone(), place.delivery),
        None => named(api, &head)?,
    };
    let max_out = max_out(api, &head)?;
    let withheld = withhold(api, &mut head)?;
    let parts = parts(api, &mut head)?;
    let mut weight = 0;
    let mut blobs = Vec::new();
    let text = serde_json::to_string(&head).map_err(|_| invalid("", "the request cannot be written"))?;
    for part in std::iter::once(text.as_str()).chain(parts.iter().map(|part| part.get())) {
        let (plain, images) = measure(part);
        weight += plain + images * limits::IMAGE_WEIGHT_BYTES;
        cut(part.as_bytes(), &mut blobs);
    }
    if blobs.len() > limits::REQUEST_PIECES_MAX {
        return Err(Error::new(Code::TooLarge, "the request has too many messages"));
    }
    let pieces = blobs.iter().map(|blob| Content::of(blob)).collect();
    let request = Request { api, delivery, pieces, weight };
    Ok(Apart { model, max_out, request, blobs, withheld })
}

/// What the body itself says of model and delivery.
fn named(api: Api, head: &Head) -> Result<(String, Delivery), Error> {
    let model = get(head, "model")?.ok_or_else(|| invalid("model", "the request names no model"))?;
    let streams = get(head, "stream")?.unwrap_or(false) && !api.only_counts();
    Ok((model, if streams { Delivery::Streamed } else { Delivery::Whole }))
}

fn is_gemini(api: Api) -> bool {
    matches!(api, Api::Gemini | Api::GeminiCount)
}

fn invalid(argument: &str, message: impl Into<String>) -> Error {
    Error::invalid(argument, message.into())
}

fn get<T: serde::de::DeserializeOwned>(head: &Head, key: &str) -> Result<Option<T>, Error> {
    let Some(raw) = head.get(key).filter(|raw| raw.get() != "null") else { return Ok(None) };
    serde_json::from_str(raw.get()).map(Some).map_err(|_| invalid(key, format!("{key} is not of its type")))
}

/// Where the messages stand.
fn list(api: Api) -> &'static str {
    match api {
        Api::Messages | Api::Chat | Api::CountTokens => "messages",
        Api::Responses => "input",
        Api::Gemini | Api::GeminiCount => "contents",
    }
}

/// Keys that name the limit of the output, the one to set first.
fn limit_keys(api: Api) -> &'static [&'static str] {
    match api {
        Api::Messages => &["max_tokens"],
        Api::Responses => &["max_output_tokens"],
        Api::Chat => &["max_completion_tokens", "max_tokens"],
        // Gemini's stands deeper.
        Api::CountTokens | Api::Gemini | Api::GeminiCount => &[],
    }
}

fn max_out(api: Api, head: &Head) -> Result<u64, Error> {
    if is_gemini(api) {
        return gemini::max_out(head);
    }
    let mut most = limits::REQUEST_OUT_MAX;
    for key in limit_keys(api) {
        most = most.min(get(head, key)?.unwrap_or(most));
    }
    Ok(most.max(1))
}

/// What a provider keeps, or would do later, is not counted by what stands in the request.
fn refuse_kept(api: Api, head: &Head) -> Result<(), Error> {
    let keys: &[&str] = match api {
        Api::Responses => &["previous_response_id", "conversation", "background", "prompt"],
        Api::Gemini | Api::GeminiCount => &["cachedContent"],
        Api::Messages | Api::Chat | Api::CountTokens => &[],
    };
    let is_set =
        |key: &&&str| head.get(**key).is_some_and(|raw| !matches!(raw.get(), "null" | "false" | "\"\""));
    if let Some(key) = keys.iter().find(is_set) {
        let message = format!("{key} refers to what the provider keeps, which cannot be counted or replayed");
        return Err(invalid(key, message).hint("send the whole input with each request"));
    }
    if api == Api::Chat && get::<u64>(head, "n")?.is_some_and(|n| n > 1) {
        return Err(invalid("n", "one answer a request can be held to a limit").hint("leave n out"));
    }
    Ok(())
}

/// Takes out what the provider would run itself; answers what.
fn withhold(api: Api, head: &mut Head) -> Result<Vec<String>, Error> {
    let mut withheld = Vec::new();
    for key in ["mcp_servers", "container", "web_search_options"] {
        if head.remove(key).is_some_and(|raw| raw.get() != "null") {
            withheld.push(key.to_owned());
        }
    }
    withheld.extend(if is_gemini(api) { gemini::withhold(head)? } else { withhold_by_type(api, head)? });
    let shown = |kind: String| kind.chars().filter(char::is_ascii_graphic).take(64).collect();
    Ok(withheld.into_iter().map(shown).collect())
}

fn withhold_by_type(api: Api, head: &mut Head) -> Result<Vec<String>, Error> {
    let mut withheld = Vec::new();
    let Some(tools) = get::<Vec<Box<RawValue>>>(head, "tools")? else { return Ok(withheld) };
    let mut kept = Vec::with_capacity(tools.len());
    let all = tools.len();
    for tool in tools {
        let kind = kind(&tool)?;
        if runs_here(api, &kind) {
            kept.push(tool);
        } else {
            withheld.push(kind);
        }
    }
    if kept.len() < all {
        let kept = serde_json::value::to_raw_value(&kept);
        head.insert("tools".into(), kept.map_err(|_| invalid("tools", "tools cannot be written"))?);
    }
    Ok(withheld)
}

fn kind(tool: &RawValue) -> Result<String, Error> {
    #[derive(serde::Deserialize)]
    struct Kind {
        #[serde(default, rename = "type")]
        kind: Option<String>,
    }
    let kind: Kind =
        serde_json::from_str(tool.get()).map_err(|_| invalid("tools", "a tool is not an object"))?;
    Ok(kind.kind.unwrap_or_default())
}

/// Whether the program itself runs tools of this type.
fn runs_here(api: Api, kind: &str) -> bool {
    match api {
        Api::Messages | Api::CountTokens => {
            let own = ["bash_", "text_editor_", "computer_", "memory_"];
            kind.is_empty() || kind == "custom" || own.iter().any(|prefix| kind.starts_with(prefix))
        }
        Api::Responses => ["function", "custom", "local_shell", "shell", "apply_patch"].contains(&kind),
        Api::Chat => ["function", "custom"].contains(&kind),
        // Its tools have no types.
        Api::Gemini | Api::GeminiCount => false,
    }
}

/// Takes the messages out of the head.
fn parts(api: Api, head: &mut Head) -> Result<Vec<Box<RawValue>>, Error> {
    let key = list(api);
    let Some(raw) = head.get(key) else {
        return Err(invalid(key, format!("the request has no {key}")));
    };
    // An input may be one text; it stays where it is.
    if !raw.get().starts_with('[') {
        return Ok(Vec::new());
    }
    let parts = get(head, key)?.unwrap_or_default();
    head.remove(key);
    Ok(parts)
}

/// Cuts a part into pieces: full ones, and one that is shorter.
fn cut(part: &[u8], into: &mut Vec<Vec<u8>>) {
    let mut chunks = part.chunks(limits::PIECE_BYTES).peekable();
    while let Some(chunk) = chunks.next() {
        into.push(chunk.to_vec());
        if chunk.len() == limits::PIECE_BYTES && chunks.peek().is_none() {
            into.push(Vec::new());
        }
    }
}

/// Bytes of a part without its images, and how many images there are.
fn measure(part: &str) -> (u64, u64) {
    let bytes = part.len() as u64;
    if part.len() < IMAGE_BYTES_MIN || !part.contains("image") {
        return (bytes, 0);
    }
    let Ok(value) = serde_json::from_str::<Value>(part) else { return (bytes, 0) };
    let (mut images, mut data) = (0, 0);
    images_of(&value, &mut |length| {
        images += 1;
        data += length as u64;
    });
    (bytes.saturating_sub(data), images)
}

/// Finds images in the four formats: `{"type": "image", "source": {"data"}}`, `{"type": "input_image",
/// "image_url"}`, `{"type": "image_url", "image_url": {"url"}}`, `{"inlineData": {"mimeType": "image/…",
/// "data"}}`.
fn images_of(value: &Value, found: &mut dyn FnMut(usize)) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| images_of(value, found)),
        Value::Object(map) => {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::len);
            let data = match map.get("type").and_then(Value::as_str) {
                Some("image") => text(map.get("source").and_then(|source| source.get("data"))),
                Some("input_image") => text(map.get("image_url")),
                Some("image_url") => text(map.get("image_url").and_then(|image| image.get("url"))),
                _ => text(inline(map)),
            };
            match data {
                Some(length) => found(length),
                None => map.values().for_each(|value| images_of(value, found)),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The data of an image that stands in its part as the Gemini format has it, in either spelling.
fn inline(part: &serde_json::Map<String, Value>) -> Option<&Value> {
    let data = part.get("inlineData").or_else(|| part.get("inline_data"))?;
    let media = data.get("mimeType").or_else(|| data.get("mime_type"))?;
    media.as_str().filter(|media| media.starts_with("image/")).and_then(|_| data.get("data"))
}

/// A request put together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// The body.
    pub body: Vec<u8>,
    /// Bytes of it that are no image.
    pub plain: u64,
}

/// Puts pieces together again, for this model; a limit is what a whole answer may say.
pub(crate) fn together(
    api: Api,
    pieces: &[Vec<u8>],
    model: &str,
    limit: Option<u64>,
) -> Result<Whole, Error> {
    let lost = || Error::new(Code::Unavailable, "the pieces of the request are damaged");
    let mut parts = Vec::new();
    let mut open = Vec::new();
    for piece in pieces {
        open.extend_from_slice(piece);
        if piece.len() < limits::PIECE_BYTES {
            parts.push(String::from_utf8(std::mem::take(&mut open)).map_err(|_| lost())?);
        }
    }
    let mut parts = parts.into_iter();
    let mut head: Head = serde_json::from_str(&parts.next().ok_or_else(lost)?).map_err(|_| lost())?;
    let raw = |text: String| RawValue::from_string(text).map_err(|_| lost());
    if !is_gemini(api) {
        head.insert("model".into(), raw(Value::from(model).to_string())?);
    }
    if api == Api::Gemini
        && let Some(limit) = limit
    {
        gemini::limit(&mut head, limit)?;
    }
    if let Some(limit) = limit {
        let keys = limit_keys(api);
        let key = keys.iter().find(|key| head.contains_key(**key)).or(keys.first());
        if let Some(key) = key {
            head.insert((*key).to_owned(), raw(limit.to_string())?);
        }
    }
    let parts: Vec<String> = parts.collect();
    let plain = parts.iter().map(|part| measure(part).0).sum::<u64>();
    if !head.contains_key(list(api)) {
        head.insert(list(api).to_owned(), raw(format!("[{}]", parts.join(",")))?);
    }
    let text = serde_json::to_string(&head).map_err(|_| lost())?;
    let headless = text.len() as u64 - parts.iter().map(|part| part.len() as u64).sum::<u64>();
    Ok(Whole { plain: plain + headless, body: text.into_bytes() })
}

#[cfg(test)]
mod tests;
