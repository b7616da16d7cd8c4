//! What is its own in a request of the Gemini format: model and delivery stand in its path, its limit below
//! `generationConfig`, a tool is an object of kinds, and every key may be spelt in two ways.
//!
//! ```text
//! {"contents":[A],"generation_config":{"max_output_tokens":9},"tools":[{"google_search":{}}]}
//!   ─▶ {"contents":[A],"generationConfig":{"maxOutputTokens":9},"tools":[]}          withheld: googleSearch
//! ```
//! One spelling is left, the documented one, so that nobody reads a limit that we did not.

use super::{Head, get, invalid};
use abi::{Error, limits, request::Delivery};
use serde_json::value::{RawValue, to_raw_value};

/// What of a request stands in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The model as the program named it.
    pub model: String,
    /// How the answer comes.
    pub delivery: Delivery,
}

const CONFIG: &str = "generationConfig";
const LIMIT: &str = "maxOutputTokens";
/// What a program runs itself.
const OWN_TOOLS: [&str; 2] = ["functionDeclarations", "computerUse"];

/// Leaves one spelling, and what is counted where a request to count has it apart. A model that the body
/// names goes: the path does that.
pub(super) fn plain(head: &mut Head) -> Result<(), Error> {
    *head = spelt(std::mem::take(head));
    if let Some(counted) = get::<Head>(head, "generateContentRequest")? {
        *head = spelt(counted);
    }
    head.remove("model");
    if let Some(config) = get::<Head>(head, CONFIG)? {
        head.insert(CONFIG.to_owned(), written(&spelt(config))?);
    }
    Ok(())
}

/// `max_output_tokens` is `maxOutputTokens` to whoever reads protocol buffers as JSON.
fn spelt(head: Head) -> Head {
    let one = |key: String| {
        let mut parts = key.split('_');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |name, part| {
            let mut rest = part.chars();
            let large = rest.next().map(|c| c.to_ascii_uppercase());
            name + &large.into_iter().chain(rest).collect::<String>()
        })
    };
    head.into_iter().map(|(key, value)| (one(key), value)).collect()
}

fn written<T: serde::Serialize>(value: &T) -> Result<Box<RawValue>, Error> {
    to_raw_value(value).map_err(|_| invalid("", "the request cannot be written"))
}

/// Output tokens at most. More than one answer cannot be held to it.
pub(super) fn max_out(head: &Head) -> Result<u64, Error> {
    let config = get::<Head>(head, CONFIG)?.unwrap_or_default();
    if get::<u64>(&config, "candidateCount")?.is_some_and(|count| count > 1) {
        let error = invalid("candidateCount", "one answer a request can be held to a limit");
        return Err(error.hint("leave candidateCount out"));
    }
    Ok(get(&config, LIMIT)?.unwrap_or(limits::REQUEST_OUT_MAX).clamp(1, limits::REQUEST_OUT_MAX))
}

/// Says how much a whole answer may say.
pub(super) fn limit(head: &mut Head, most: u64) -> Result<(), Error> {
    let mut config = get::<Head>(head, CONFIG)?.unwrap_or_default();
    config.insert(LIMIT.to_owned(), written(&most)?);
    head.insert(CONFIG.to_owned(), written(&config)?);
    Ok(())
}

/// Takes out what the provider would run itself; answers what.
pub(super) fn withhold(head: &mut Head) -> Result<Vec<String>, Error> {
    let Some(tools) = get::<Vec<Head>>(head, "tools")? else { return Ok(Vec::new()) };
    let (mut kept, mut withheld) = (Vec::with_capacity(tools.len()), Vec::new());
    for tool in tools {
        let own = |key: &String| OWN_TOOLS.contains(&key.as_str());
        let (tool, theirs): (Head, Head) = spelt(tool).into_iter().partition(|(key, _)| own(key));
        withheld.extend(theirs.into_keys());
        if !tool.is_empty() {
            kept.push(tool);
        }
    }
    head.insert("tools".to_owned(), written(&kept)?);
    Ok(withheld)
}
