//! Refusals in the providers' own words: a program does with a limit of ours what it does with theirs.
//!
//! | ours | status | messages | chat, responses |
//! | --- | --: | --- | --- |
//! | no key, a bad one | 401 | authentication_error | invalid_request_error, invalid_api_key |
//! | no right | 403 | permission_error | invalid_request_error |
//! | money, frozen | 429 | rate_limit_error | insufficient_quota, tokens |
//! | trouble | 503 | overloaded_error | server_error |
//!
//! Gemini's clients have a word for each status. With 429 goes `x-should-retry: false`: the official clients
//! ask again by themselves otherwise, and nothing changes before a person does something. Google's command
//! line looks for a reason instead: the one that says of an account that it is used up.

use super::reply::{self, Body};
use abi::{Code, Error, request::Api};
use hyper::{Response, StatusCode, header::HeaderValue};
use serde_json::{Value, json};

/// Status, and the type of the error in both families.
fn words(error: &Error) -> (u16, &'static str, &'static str) {
    match error.code {
        Code::Denied if error.argument == "token" => (401, "authentication_error", "invalid_request_error"),
        Code::Dead => (401, "authentication_error", "invalid_request_error"),
        Code::Denied => (403, "permission_error", "invalid_request_error"),
        Code::NotFound => (404, "not_found_error", "invalid_request_error"),
        Code::Exhausted => (429, "rate_limit_error", "insufficient_quota"),
        Code::Busy if stands(error) => (429, "rate_limit_error", "insufficient_quota"),
        Code::TooLarge => (413, "request_too_large", "invalid_request_error"),
        Code::Invalid | Code::Exists | Code::Stale | Code::Conflict => {
            (400, "invalid_request_error", "invalid_request_error")
        }
        Code::Busy | Code::Expired | Code::Unavailable | Code::Interrupted => {
            (503, "overloaded_error", "server_error")
        }
    }
}

/// Whether the process stands still, and so will until a person acts.
fn stands(error: &Error) -> bool {
    error.code == Code::Busy && error.argument == "pid"
}

/// What is, and what to do.
fn sentence(error: &Error) -> String {
    if error.hint.is_empty() {
        return error.message.clone();
    }
    format!("{} (hint: {})", error.message, error.hint)
}

/// The word that goes with a status, and why it does not pass by itself.
fn google(status: u16) -> (&'static str, Value) {
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    };
    let why = json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "skep",
                       "reason": "INSUFFICIENT_G1_CREDITS_BALANCE" }]);
    (word, if status == 429 { why } else { json!([]) })
}

fn body(api: Api, error: &Error) -> Value {
    let (status, messages, others) = words(error);
    let message = sentence(error);
    match api {
        Api::Messages | Api::CountTokens => {
            json!({"type": "error", "error": {"type": messages, "message": message}})
        }
        Api::Responses | Api::Chat => {
            let code = match error.code {
                Code::Exhausted => Value::from("insufficient_quota"),
                Code::Busy if stands(error) => Value::from("insufficient_quota"),
                Code::Denied if error.argument == "token" => Value::from("invalid_api_key"),
                _ => Value::Null,
            };
            json!({"error": {"message": message, "type": others, "param": null, "code": code}})
        }
        Api::Gemini | Api::GeminiCount => {
            let (word, why) = google(status);
            json!({"error": {"code": status, "message": message, "status": word, "details": why}})
        }
    }
}

/// As an answer.
pub(super) fn response(api: Api, error: &Error) -> Response<Body> {
    let (status, ..) = words(error);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = reply::json(status, body(api, error).to_string());
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}

/// In the middle of a stream.
pub(super) fn event(api: Api, error: &Error) -> String {
    let body = body(api, error);
    match api {
        Api::Messages | Api::CountTokens => format!("event: error\ndata: {body}\n\n"),
        Api::Chat => format!("data: {body}\n\n"),
        // Its clients look for an error that is no event.
        Api::Gemini | Api::GeminiCount => format!("{body}\n\n"),
        Api::Responses => {
            let (_, _, kind) = words(error);
            let body = json!({"type": "error", "code": kind, "message": sentence(error), "param": null});
            format!("event: error\ndata: {body}\n\n")
        }
    }
}

#[cfg(test)]
mod tests {
    //! Each code has its words in both families, and says the hint.
    use super::*;

    #[test]
    fn a_limit_is_a_rate_limit_that_is_not_tried_again() {
        let error = Error::new(Code::Exhausted, "the limit is reached").hint("skep budget");
        let response = response(Api::Messages, &error);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["x-should-retry"], "false");
        let message = "the limit is reached (hint: skep budget)";
        for (api, kind, code) in [
            (Api::Messages, "rate_limit_error", Value::Null),
            (Api::Chat, "insufficient_quota", Value::from("insufficient_quota")),
        ] {
            let told = body(api, &error);
            let want = (&Value::from(message), &Value::from(kind), &code);
            assert_eq!((&told["error"]["message"], &told["error"]["type"], &told["error"]["code"]), want);
        }
        let told = &body(Api::Gemini, &error)["error"];
        assert_eq!((&told["code"], &told["status"]), (&json!(429), &json!("RESOURCE_EXHAUSTED")));
        assert_eq!(told["details"][0]["reason"], "INSUFFICIENT_G1_CREDITS_BALANCE");
        let other = &body(Api::GeminiCount, &Error::invalid("model", "no"))["error"];
        assert_eq!((&other["status"], &other["details"]), (&json!("INVALID_ARGUMENT"), &json!([])));
    }
}
