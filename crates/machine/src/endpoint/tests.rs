//! Which path is what, and what may go along.

use super::*;
use hyper::header::HeaderValue;

#[test]
fn paths_are_known_with_and_without_their_version() {
    let name = |method: &Method, path: &str| match route(method, path) {
        None => "-".to_owned(),
        Some(Route::Hello) => "hello".to_owned(),
        Some(Route::Models(name)) => format!("models {}", name.unwrap_or_default()),
        Some(Route::Ask(api)) => api.word().to_owned(),
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
        (Method::GET, "/v1/messages", "-"),
        (Method::POST, "/v1/files", "-"),
        (Method::DELETE, "/v1/models/x", "-"),
    ] {
        assert_eq!(name(&method, path), want, "{method} {path}");
    }
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
