//! What goes in comes out, with nothing beside it; what may not pass does not.

use super::*;
use proptest::prelude::*;

fn whole(api: Api, body: &str, model: &str, limit: Option<u64>) -> String {
    let apart = apart(api, None, body.as_bytes()).unwrap();
    String::from_utf8(together(api, &apart.blobs, model, limit).unwrap().body).unwrap()
}

#[test]
fn a_request_is_sent_as_it_was_recorded() {
    let rows = [
        (
            Api::Messages,
            r#"{"stream":true,"model":"f","messages":[{"role":"user","content":"\u00e9"}],"max_tokens":9}"#,
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"\u00e9"}],"model":"m","stream":true}"#,
        ),
        (Api::Responses, r#"{"model":"x","input":"one text"}"#, r#"{"input":"one text","model":"m"}"#),
        (Api::Chat, r#"{"model":"x","messages":[]}"#, r#"{"messages":[],"model":"m"}"#),
        (Api::Chat, r#"{"model":"x","model":"y","messages":[1, 2]}"#, r#"{"messages":[1,2],"model":"m"}"#),
    ];
    for (api, body, want) in rows {
        assert_eq!(whole(api, body, "m", None), want, "{body}");
    }
}

#[test]
fn a_whole_answer_is_told_how_much_it_may_say() {
    for (api, body, want) in [
        (Api::Messages, r#"{"model":"x","messages":[],"max_tokens":128000}"#, r#""max_tokens":7,"#),
        (Api::Chat, r#"{"model":"x","messages":[],"max_tokens":128000}"#, r#""max_tokens":7,"#),
        (Api::Chat, r#"{"model":"x","messages":[]}"#, r#""max_completion_tokens":7,"#),
        (Api::Responses, r#"{"model":"x","input":[]}"#, r#""max_output_tokens":7,"#),
    ] {
        let sent = whole(api, body, "m", Some(7));
        assert!(sent.contains(want) && !sent.contains("128000"), "{sent}");
    }
}

#[test]
fn what_is_kept_elsewhere_or_runs_elsewhere_does_not_pass() {
    for (api, body, argument) in [
        (Api::Responses, r#"{"model":"x","input":[],"previous_response_id":"r"}"#, "previous_response_id"),
        (Api::Responses, r#"{"model":"x","input":[],"background":true}"#, "background"),
        (Api::Chat, r#"{"model":"x","messages":[],"n":2}"#, "n"),
        (Api::Chat, r#"{"messages":[]}"#, "model"),
        (Api::Chat, r#"{"model":"x"}"#, "messages"),
        (Api::Chat, r#"{"model":7,"messages":[]}"#, "model"),
        (Api::Chat, r#"{"model":"x","messages":[],"stream":"yes"}"#, "stream"),
        (Api::Messages, r#"{"model":"x","messages":[],"max_tokens":-1}"#, "max_tokens"),
        (Api::Messages, "[]", ""),
        (Api::Messages, "{", ""),
    ] {
        assert_eq!(apart(api, None, body.as_bytes()).unwrap_err().argument, argument, "{body}");
    }
    let tools = r#"{"model":"x","messages":[],"mcp_servers":[{"url":"u"}],"tools":[{"name":"a","input_schema":{}},
        {"type":"web_search_20250305","name":"w"},{"type":"bash_20250124","name":"bash"}]}"#;
    let found = apart(Api::Messages, None, tools.as_bytes()).unwrap();
    assert_eq!(found.withheld, ["mcp_servers", "web_search_20250305"]);
    let sent = String::from_utf8(together(Api::Messages, &found.blobs, "x", None).unwrap().body).unwrap();
    assert!(
        sent.contains("bash_20250124") && !sent.contains("web_search") && !sent.contains("mcp"),
        "{sent}"
    );
}

#[test]
fn the_next_request_shares_the_pieces_of_the_one_before() {
    let body = |messages: &[&str]| {
        let all: Vec<String> =
            messages.iter().map(|text| format!(r#"{{"role":"user","content":"{text}"}}"#)).collect();
        format!(r#"{{"model":"x","system":"s","messages":[{}]}}"#, all.join(","))
    };
    let long = "y".repeat(3 * limits::PIECE_BYTES);
    let first = apart(Api::Chat, None, body(&["a", &long]).as_bytes()).unwrap().request.pieces;
    let second = apart(Api::Chat, None, body(&["a", &long, "b"]).as_bytes()).unwrap().request.pieces;
    assert_eq!(second[..first.len()], first);
    assert_eq!((first.len(), second.len()), (6, 7));
}

#[test]
fn an_image_weighs_what_images_cost() {
    let data = "A".repeat(400_000);
    for (api, image) in [
        (Api::Messages, format!(r#"{{"type":"image","source":{{"type":"base64","data":"{data}"}}}}"#)),
        (Api::Responses, format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}"#)),
        (Api::Chat, format!(r#"{{"type":"image_url","image_url":{{"url":"{data}"}}}}"#)),
        (Api::Gemini, format!(r#"{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}"#)),
    ] {
        let key = list(api);
        let body = format!(r#"{{"model":"x","{key}":[{{"role":"user","content":[{image}]}}]}}"#);
        let place = Place { model: "x".into(), delivery: Delivery::Whole };
        let found = apart(api, is_gemini(api).then_some(&place), body.as_bytes()).unwrap();
        assert!((6_000..8_000).contains(&found.request.weight), "{}", found.request.weight);
        assert!(together(api, &found.blobs, "x", None).unwrap().plain < 1_000);
    }
    // Text that only looks like one weighs what it is.
    let body = format!(r#"{{"model":"x","messages":[{{"role":"user","content":"image {data}"}}]}}"#);
    assert!(apart(Api::Chat, None, body.as_bytes()).unwrap().request.weight > 400_000);
}

fn of_gemini(body: &str) -> Result<Apart, Error> {
    let place = Place { model: "x".into(), delivery: Delivery::Streamed };
    apart(Api::Gemini, Some(&place), body.as_bytes())
}

/// In either spelling; what stands in the path stands in no body.
#[test]
fn gemini_s_limit_stands_deeper_and_every_key_has_one_spelling() {
    let body = r#"{"model":"models/y","generation_config":{"max_output_tokens":9,"temperature":0},
        "system_instruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"text":"hi"}]}],
        "tools":[{"google_search":{},"function_declarations":[{"name":"a"}]},{"urlContext":{}}]}"#;
    let found = of_gemini(body).unwrap();
    assert_eq!((found.model.as_str(), found.max_out), ("x", 9));
    assert_eq!(found.request.delivery, Delivery::Streamed);
    assert_eq!(found.withheld, ["googleSearch", "urlContext"]);
    let sent = |limit| {
        let whole = together(Api::Gemini, &found.blobs, "m", limit).unwrap();
        String::from_utf8(whole.body).unwrap()
    };
    let want = [
        r#"{"contents":[{"parts":[{"text":"hi"}]}],"#,
        r#""generationConfig":{"maxOutputTokens":9,"temperature":0},"#,
        r#""systemInstruction":{"parts":[{"text":"s"}]},"tools":[{"functionDeclarations":[{"name":"a"}]}]}"#,
    ];
    assert_eq!(sent(None), want.concat());
    assert!(sent(Some(7)).contains(r#""generationConfig":{"maxOutputTokens":7,"temperature":0}"#));
    let bare = of_gemini(r#"{"contents":[]}"#).unwrap();
    let sent = together(Api::Gemini, &bare.blobs, "m", Some(7)).unwrap().body;
    assert_eq!(sent, br#"{"contents":[],"generationConfig":{"maxOutputTokens":7}}"#);
    // What a request to count has apart is what it is about.
    let counts = r#"{"generateContentRequest":{"model":"models/x","contents":[{"parts":[]}]}}"#;
    let place = Place { model: "x".into(), delivery: Delivery::Whole };
    let found = apart(Api::GeminiCount, Some(&place), counts.as_bytes()).unwrap();
    let sent = together(Api::GeminiCount, &found.blobs, "m", None).unwrap().body;
    assert_eq!(sent, br#"{"contents":[{"parts":[]}]}"#);
    for (body, argument) in [
        (r#"{"contents":[],"cached_content":"cachedContents/1"}"#, "cachedContent"),
        (r#"{"contents":[],"generationConfig":{"candidate_count":2}}"#, "candidateCount"),
        (r#"{"contents":[],"generationConfig":{"maxOutputTokens":-1}}"#, "maxOutputTokens"),
        (r#"{"contents":[],"generationConfig":[]}"#, "generationConfig"),
        (r#"{"contents":[],"tools":{}}"#, "tools"),
        (r#"{"generationConfig":{}}"#, "contents"),
    ] {
        assert_eq!(of_gemini(body).unwrap_err().argument, argument, "{body}");
    }
}

proptest! {
    #[test]
    fn what_passes_comes_back_and_nothing_panics(body in ".{0,200}", text in ".{0,80}", at in 0_usize..3) {
        let api = [Api::Messages, Api::Responses, Api::Chat][at];
        drop(apart(api, None, body.as_bytes()));
        drop(of_gemini(&body));
        drop(of_gemini(&format!(r#"{{"contents":[],"generation_config":{{{body}}},"tools":[{{{body}}}]}}"#)));
        let key = list(api);
        let body = serde_json::json!({"model": "x", key: [{"role": "user", "content": text}], "z": text});
        let back: Value = serde_json::from_str(&whole(api, &body.to_string(), "x", None)).unwrap();
        prop_assert_eq!(back, body);
    }
}
