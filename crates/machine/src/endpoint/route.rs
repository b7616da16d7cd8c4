//! What a path asks for, with and without its version: some programs add it, some have it in their base.
//!
//! ```text
//! POST /v1/messages                                       ─▶ Ask messages
//! POST /v1beta/models/fast:streamGenerateContent?alt=sse  ─▶ Ask gemini, of fast, streamed
//! GET  /v1beta/models/anthropic%2Fclaude-x                ─▶ Models anthropic/claude-x
//! ```
//! Never here: who asks, and whether they may.

use crate::apart::gemini::Place;
use abi::{
    Error,
    request::{Api, Delivery},
};
use hyper::{Method, Uri, header::HeaderMap};

/// What a request is for.
#[derive(Debug)]
pub(super) enum Route {
    Hello,
    Models(Option<String>),
    Ask(Api, Option<Place>),
}

/// Which it is; none if there is nothing.
pub(super) fn route(method: &Method, uri: &Uri) -> Option<Route> {
    let read = method == Method::GET || method == Method::HEAD;
    let post = method == Method::POST;
    let path = uri.path();
    if let Some(below) = path.strip_prefix("/v1beta") {
        return named(below, (read, post));
    }
    let below = path.strip_prefix("/v1").unwrap_or(path);
    match below {
        "/" | "" | "/api/hello" if read => Some(Route::Hello),
        "/messages" if post => Some(Route::Ask(Api::Messages, None)),
        "/messages/count_tokens" if post => Some(Route::Ask(Api::CountTokens, None)),
        "/responses" if post => Some(Route::Ask(Api::Responses, None)),
        "/chat/completions" if post => Some(Route::Ask(Api::Chat, None)),
        _ => named(below, (read, post)),
    }
}

/// Models, and what the Gemini format asks of one.
fn named(below: &str, (read, post): (bool, bool)) -> Option<Route> {
    let name = match below.strip_prefix("/models")? {
        "" if read => return Some(Route::Models(None)),
        rest => decoded(rest.strip_prefix('/')?),
    };
    if read {
        return Some(Route::Models(Some(name)));
    }
    let (model, verb) = name.rsplit_once(':').filter(|_| post)?;
    let (api, delivery) = match verb {
        "generateContent" => (Api::Gemini, Delivery::Whole),
        "streamGenerateContent" => (Api::Gemini, Delivery::Streamed),
        "countTokens" => (Api::GeminiCount, Delivery::Whole),
        _ => return None,
    };
    Some(Route::Ask(api, Some(Place { model: model.to_owned(), delivery })))
}

/// Whether who asks speaks as Google's clients do, where the path alone does not say so.
fn is_gemini(uri: &Uri, headers: &HeaderMap) -> bool {
    uri.path().starts_with("/v1beta") || headers.contains_key("x-goog-api-key") || word(uri, "key").is_some()
}

/// In whose words a request is refused before it is known what it is.
pub(super) fn family(uri: &Uri, headers: &HeaderMap) -> Api {
    match is_gemini(uri, headers) {
        true => Api::Gemini,
        false if uri.path().contains("/messages") => Api::Messages,
        false => Api::Chat,
    }
}

/// A stream of the Gemini format is one of events; its other form, one array, is not spoken here.
pub(super) fn comes_as_events(uri: &Uri, place: Option<&Place>) -> Result<(), Error> {
    let streams = place.is_some_and(|place| place.delivery == Delivery::Streamed);
    if streams && word(uri, "alt").as_deref() != Some("sse") {
        let error = Error::invalid("alt", "a stream comes as events");
        return Err(error.hint("ask streamGenerateContent?alt=sse"));
    }
    Ok(())
}

/// A word of the query.
pub(super) fn word(uri: &Uri, key: &str) -> Option<String> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| decoded(value))
}

/// Text of a path or a query as it was meant (RFC 3986, section 2.1). What is no escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let escape = (*first == b'%').then(|| Some(digit(0)? * 16 + digit(1)?)).flatten();
        let byte = escape.and_then(|value| u8::try_from(value).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
