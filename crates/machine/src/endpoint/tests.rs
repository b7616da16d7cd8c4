//! Which path is what, and what may go along.

use super::*;
use hyper::{Method, header::HeaderValue};

#[test]
fn paths_are_known_with_and_without_their_version() {
    let name = |method: &Method, path: &str| match route::route(method, &path.parse().unwrap()) {
        None => "-".to_owned(),
        Some(Route::Hello) => "hello".to_owned(),
        Some(Route::Models(name)) => format!("models {}", name.unwrap_or_default()),
        Some(Route::Ask(api, None)) => api.word().to_owned(),
        Some(Route::Ask(api, Some(place))) => {
            format!("{} {} {:?}", api.word(), place.model, place.delivery)
        }
    };
    for (method, path, want) in [
        (Method::POST, "/v1/messages", "messages"),
        (Method::POST, "/messages", "messages"),
        (Method::POST, "/v1/messages/count_tokens", "count_tokens"),
        (Method::POST, "/v1/responses", "responses"),
        (Method::POST, "/chat/completions", "chat"),
        (Method::GET, "/v1/models", "models "),
        (Method::GET, "/v1/models/anthropic/x", "models anthropic/x"),
        (Method::HEAD, "/api/hello", "hello"),
        (Method::POST, "/v1beta/models/fast:generateContent", "gemini fast Whole"),
        (Method::POST, "/v1/models/a%2Fb:c:streamGenerateContent?alt=sse", "gemini a/b:c Streamed"),
        (Method::POST, "/models/a/b%3AcountTokens", "gemini_count_tokens a/b Whole"),
        (Method::GET, "/v1beta/models?pageSize=9", "models "),
        (Method::GET, "/v1beta/models/a%zz%2", "models a%zz%2"),
        (Method::POST, "/v1beta/models/x:embedContent", "-"),
        (Method::POST, "/v1beta/models/x", "-"),
        (Method::POST, "/v1beta/messages", "-"),
        (Method::GET, "/v1beta", "-"),
        (Method::GET, "/v1/modelsx", "-"),
        (Method::GET, "/v1/messages", "-"),
        (Method::POST, "/v1/files", "-"),
        (Method::DELETE, "/v1/models/x", "-"),
    ] {
        assert_eq!(name(&method, path), want, "{method} {path}");
    }
}

#[test]
fn who_shows_a_key_as_google_s_clients_do_is_answered_as_they_are() {
    let uri = |text: &str| text.parse::<Uri>().unwrap();
    let (none, mut shown) = (HeaderMap::new(), HeaderMap::new());
    shown.insert("x-goog-api-key", HeaderValue::from_static("k"));
    for (path, headers, want) in [
        ("/v1/models", &none, Api::Chat),
        ("/v1/models", &shown, Api::Gemini),
        ("/v1/models?alt=sse&key=other%2F12.ab", &none, Api::Gemini),
        ("/v1/messages", &none, Api::Messages),
        ("/v1beta/models", &none, Api::Gemini),
    ] {
        assert_eq!(route::family(&uri(path), headers), want, "{path}");
    }
    let word = |text: &str| route::word(&uri(text), "key");
    assert_eq!(word("/x?alt=sse&key=other%2F12.ab").as_deref(), Some("other/12.ab"));
    assert_eq!((word("/x?keys=1&key"), word("/x")), (None, None));
    let place = Place { model: "m".into(), delivery: abi::request::Delivery::Streamed };
    let comes = |text: &str| route::comes_as_events(&uri(text), Some(&place));
    assert_eq!((comes("/x?alt=sse"), comes("/x").is_err()), (Ok(()), true));
}

#[test]
fn only_what_asks_for_versions_goes_along() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("anthropic-beta", "a"),
        ("anthropic-beta", "b"),
        ("x-api-key", "secret"),
        ("authorization", "Bearer secret"),
        ("cookie", "c"),
        ("x-forwarded-for", "1.2.3.4"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    assert_eq!(passed(&headers), [("anthropic-beta".to_owned(), "a,b".to_owned())]);
}
