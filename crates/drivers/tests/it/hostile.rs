//! Providers that mean harm, or are broken: each row is one, and what is said of it. Nothing panics, memory
//! stays bounded, the sentence says what was wrong, and the key never comes back.

use crate::server::{
    Answer, KEY, OPEN, Server, Stream, call, events, forward, json, prompt, stream, with_length,
};
use abi::event::Stop;
use drivers::{Flow, Secret, Wire};

const CHAT: &str = r#"{"choices":[{"index":0,"delta":{"content":"hello"}}]}"#;
const END: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const BODY: &str = r#"{"model":"m-1","stream":true,"stream_options":{"include_usage":true}}"#;

fn raw(text: &str) -> Answer {
    Answer::Ends(text.as_bytes().to_vec())
}

fn bytes(status: &str, kind: &str, body: &[u8]) -> Answer {
    Answer::Says(with_length(status, kind, body))
}

/// Why a call fails and a request passed on does, which is the same; and whether it may be tried again.
fn fails(answer: &Answer) -> (String, bool) {
    let server = Server::says(vec![answer.clone(), answer.clone()]);
    let provider = server.provider(Wire::Chat);
    let (said, _) = call(&*provider, &prompt("hi"));
    let error = said.unwrap_err();
    let (said, _) = forward(&*provider, (Wire::Chat, BODY, Stream::Yes), u64::MAX);
    assert_eq!(said.unwrap_err(), error);
    assert!(error.message.starts_with("127.0.0.1:"), "{error:?}");
    assert!(error.message.len() < 600 && !error.message.contains(char::is_control), "{error:?}");
    (error.message, error.again)
}

#[test]
fn what_is_no_answer_is_said_in_one_sentence() {
    let deep = format!("{{\"choices\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let flood: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    let broken =
        [b"data: {\"choices\":[{\"delta\":{\"content\":\"", &[0xff, 0xfe][..], b"\"}}]}\n\n"].concat();
    let both = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\
                content-length: 7\r\n\r\n{}";
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let html = "text/html; charset=utf-8";
    for (answer, why, again) in [
        (raw("SSH-2.0-OpenSSH_9.9\r\n"), "gave no answer", false),
        (raw("\0\0\0\u{7f}"), "gave no answer", false),
        (raw(""), "gave no answer", true),
        (raw("HTTP/1.1 200 OK\r\n"), "gave no answer", true),
        (raw("HTTP/1.1 999999 What\r\n\r\n"), "gave no answer", false),
        (raw(&format!("HTTP/1.1 200 OK\r\n{flood}\r\n")), "gave no answer", false),
        (raw(&long), "gave no answer", false),
        (raw(both), "gave no answer", false),
        (raw(&format!("{chunked}FFFFFFFFFFFFFFFFF\r\nx")), "broke the answer off", true),
        (raw(&format!("{chunked}zz\r\nx")), "broke the answer off", true),
        (raw(&format!("{chunked}-1\r\nx")), "broke the answer off", true),
        (raw(&format!("{chunked}7;{}\r\nx", "e".repeat(100_000))), "broke the answer off", true),
        (raw(&format!("{chunked}20\r\n{CHAT}")), "broke the answer off", true),
        (bytes("200 OK", html, b"<html>"), "and not with JSON or a stream", false),
        (bytes("200 OK", "image/png", b"\x89PNG"), "and not with JSON or a stream", false),
        (json("200 OK", "hello"), "what is not JSON", false),
        (json("200 OK", "[]"), "JSON that is no object", false),
        (json("200 OK", "{}"), "no answer of its format", false),
        (json("200 OK", &deep), "what is not JSON: recursion limit", false),
        (json("200 OK", r#"{"error":{"message":"no money"}}"#), "broke off: no money", true),
        (bytes("200 OK", "application/json", b"{\"a\":\"\xff\"}"), "what is not JSON", false),
        (stream(&events(&["{not json"])), "an event that is not JSON", false),
        (stream(&events(&[&deep])), "an event that is not JSON", false),
        (bytes("200 OK", "text/event-stream", &broken), "an event that is not JSON", false),
        (stream(""), "in the middle of its answer", true),
        (stream(&events(&[CHAT])), "in the middle of its answer", true),
        (stream(&events(&[CHAT, r#"{"error":{"message":"gone","code":502}}"#])), "broke off: gone", true),
        (bytes("404 No", html, &vec![b'x'; 100_000]), "answered 404: xxx", false),
        (bytes("503 No", "text/plain", b"\0\x1b[2J"), "answered 503: [2J", true),
        (bytes("204 None", "", b""), "what is not JSON", false),
    ] {
        let (message, may) = fails(&answer);
        assert!(message.contains(why), "{message} / {why}");
        assert_eq!(may, again, "{message}");
    }
}

#[test]
fn redirects_are_not_followed_with_the_key_or_without() {
    let trap = Server::says(vec![json("200 OK", "{}")]);
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let head = format!("HTTP/1.1 {status}\r\nlocation: {}/{KEY}\r\ncontent-length: 0\r\n\r\n", trap.url);
        let (message, again) = fails(&raw(&head));
        assert!(message.contains("redirects are not followed") && !again, "{message}");
        assert!(message.contains("[secret]"), "{message}");
    }
    assert!(trap.asked.try_recv().is_err(), "somebody came");
    let _ = std::net::TcpStream::connect(trap.url.trim_start_matches("http://"));
}

#[test]
fn a_compressed_body_is_not_taken_apart() {
    // A body that would be a gigabyte is never looked at.
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\r\n\x1f\x08";
    let (message, again) = fails(&raw(head));
    assert!(message.contains("in the encoding \"gzip\"") && !again, "{message}");
}

/// Bytes that a server could send before it was hung up on: what is read, and what lies in sockets between.
fn sent(first: &str, again: &[u8], why: &str) -> u64 {
    let answer = Answer::Repeats(first.as_bytes().to_vec(), again.to_vec(), 2 << 30);
    let server = Server::says(vec![answer]);
    let (said, _) = call(&*server.provider(Wire::Chat), &prompt("hi"));
    let error = said.unwrap_err();
    assert!(error.message.contains(why) && !error.again, "{error:?}");
    server.written()
}

#[test]
fn a_gigabyte_is_hung_up_on_early() {
    const MIB: u64 = 1024 * 1024;
    let block = vec![b'x'; 256 * 1024];
    let whole = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n";
    assert!(sent(whole, &block, "more than 16 MiB") < 40 * MIB);
    assert!(sent(OPEN, &block, "an event of more than 4 MiB") < 24 * MIB);
    let error = whole.replace("200 OK", "500 No");
    let answer = Answer::Repeats(error.into_bytes(), block, 2 << 30);
    let server = Server::says(vec![answer]);
    let (said, got) = forward(&*server.provider(Wire::Chat), (Wire::Chat, BODY, Stream::Yes), u64::MAX);
    assert!(said.unwrap_err().message.contains("answered 500"));
    assert_eq!((got.status, got.bytes.len()), (500, 64 * 1024));
    assert!(server.written() < 24 * MIB);
}

#[test]
fn a_stream_without_end_is_ended_whatever_it_says() {
    let talks = events(&[CHAT]).repeat(1000);
    let answer = Answer::Repeats(OPEN.as_bytes().to_vec(), talks.into_bytes(), 2 << 30);
    let server = Server::says(vec![answer.clone(), answer]);
    let provider = server.provider(Wire::Chat);
    let (said, pieces) = call(&*provider, &prompt("hi"));
    let said = said.unwrap();
    assert_eq!((said.stop, said.text.clone()), (Stop::Length, pieces.concat()));
    assert!(said.text.len() < 200_000, "{}", said.text.len());
    // Passed on, it is ended when it has said several times what it may.
    let (said, got) = forward(&*provider, (Wire::Chat, BODY, Stream::Yes), u64::MAX);
    assert_eq!(said.unwrap().stop, Stop::Length);
    assert!(got.said < 2_000_000 && got.end().contains("\"length\""), "{}", got.said);
    assert!(server.written() < 64 << 20);
}

#[test]
fn a_stream_of_nothing_is_ended_too() {
    let pings = format!(": {}\n\n", "ping ".repeat(200)).repeat(256).into_bytes();
    let bytes = sent(OPEN, &pings, "more than 128 MiB");
    assert!(bytes < 160 << 20, "{bytes}");
}

#[test]
fn a_line_of_megabytes_is_an_event_like_any_other() {
    let long = format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}", "y".repeat(3_000_000));
    let server = Server::says(vec![stream(&events(&[&long, END, "[DONE]"]))]);
    let (said, got) = forward(&*server.provider(Wire::Chat), (Wire::Chat, BODY, Stream::Yes), u64::MAX);
    // All of it was said and passed on; what is kept of it is bounded.
    assert_eq!(got.said, 3_000_000);
    assert!(said.unwrap().text.len() <= 1024 * 1024);
}

#[test]
fn lies_about_usage_arrive_as_lies() {
    for (usage, tokens_in, tokens_out) in [
        ("{\"prompt_tokens\":-5,\"completion_tokens\":-9223372036854775808}", -5, i64::MIN),
        ("{\"prompt_tokens\":1e999,\"completion_tokens\":18446744073709551615}", 0, 0),
        ("{\"prompt_tokens\":18446744073709551615,\"completion_tokens\":1e30}", i64::MAX, i64::MAX),
        ("{\"prompt_tokens\":\"many\",\"completion_tokens\":{}}", 0, 0),
        (
            "{\"prompt_tokens\":-9223372036854775808,\"prompt_tokens_details\":{\"cached_tokens\":1}}",
            i64::MIN,
            0,
        ),
        ("[]", 0, 0),
    ] {
        let data = format!("{{\"choices\":[],\"usage\":{usage}}}");
        let server = Server::says(vec![stream(&events(&[CHAT, END, &data, "[DONE]"]))]);
        let (said, _) = call(&*server.provider(Wire::Chat), &prompt("hi"));
        match said {
            Ok(said) => assert_eq!((said.usage.tokens_in, said.usage.tokens_out), (tokens_in, tokens_out)),
            // 1e999 is no number of JSON's readers.
            Err(error) => assert!(usage.contains("1e999"), "{error:?}"),
        }
    }
}

#[test]
fn tool_calls_of_all_kinds_are_kept_as_they_were_written() {
    let calls = |rows: &str| format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":{rows}}}}}]}}");
    let many: String = (0..500)
        .map(|n| {
            format!(
                "{{\"index\":{n},\"id\":\"same\",\"function\":{{\"name\":\"n\",\"arguments\":\"{{}}\"}}}},"
            )
        })
        .collect();
    for (rows, count, first) in [
        (r#"[{"index":0,"function":{"name":"read","arguments":"{not json"}}]"#, 1, ("read", "{not json")),
        (r#"[{"index":18446744073709551615,"function":{"name":"a\u0000b"}}]"#, 1, ("a\u{0}b", "{}")),
        (r#"[{"index":-1,"function":{"name":7,"arguments":[1]}}]"#, 1, ("", "[1]")),
        (r#"[{"index":3,"id":"x"},{"index":3,"id":"x"},7,null,"x",{}]"#, 1, ("", "{}")),
        ("{}", 0, ("", "")),
        (&format!("[{}7]", many), 65, ("n", "{}")),
    ] {
        let server = Server::says(vec![stream(&events(&[&calls(rows), END, "[DONE]"]))]);
        let (said, _) = call(&*server.provider(Wire::Chat), &prompt("hi"));
        let said = said.unwrap();
        let found = said.tools.first().map_or(("", ""), |tool| (&tool.name, &tool.arguments));
        assert_eq!((said.tools.len(), found), (count, first), "{rows:.60}");
    }
}

#[test]
fn events_of_the_wrong_shape_are_passed_over() {
    let odd =
        ["7", "null", "\"x\"", "[]", "{}", "{\"type\":7}", "{\"choices\":{}}", "{\"choices\":[7,null,[]]}"];
    let types = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "ping",
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.delta",
        "response.function_call_arguments.delta",
    ];
    let keys = ["message", "content_block", "delta", "response", "item", "part", "index", "output_index"];
    let mut data: Vec<String> = odd.iter().map(|odd| (*odd).to_owned()).collect();
    for (kind, key) in types.iter().flat_map(|kind| keys.iter().map(move |key| (kind, key))) {
        for value in ["7", "\"x\"", "[]", "null", "{\"type\":[],\"text\":{},\"content\":7}", "-1", "1e30"] {
            data.push(format!("{{\"type\":\"{kind}\",\"{key}\":{value}}}"));
        }
    }
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    for wire in Wire::ALL {
        let answer = Answer::Hangs(format!("{OPEN}{}", events(&data)).into_bytes());
        let server = Server::says(vec![answer]);
        let (mut bytes, mut seen) = (Vec::new(), 0);
        let request = drivers::Forward {
            wire,
            model: "m".to_owned(),
            headers: Vec::new(),
            body: BODY.as_bytes().to_vec(),
            streams: true,
            max_out: 1000,
        };
        let all = events(&data).len();
        let said = server.provider(wire).forward(&request, None, &mut |piece| {
            if let drivers::Piece::Bytes { bytes: more, .. } = piece {
                bytes.extend_from_slice(more);
                seen = bytes.len();
            }
            if seen >= all { Flow::Stop } else { Flow::Go }
        });
        assert_eq!(said.unwrap().stop, Stop::Length, "{wire}");
        assert!(bytes.starts_with(events(&data).as_bytes()), "{wire}");
    }
}

#[test]
fn a_key_that_comes_back_ends_the_call() {
    let (half, rest) = KEY.split_at(9);
    let says = |text: &str| format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}");
    let tool = format!(
        "{{\"choices\":[{{\"delta\":{{\"tool_calls\":[\
         {{\"function\":{{\"name\":\"x\",\"arguments\":\"{KEY}\"}}}}]}}}}]}}"
    );
    for data in [vec![says(&format!("it is {KEY}!"))], vec![says(half), says(rest)], vec![tool]] {
        let mut data: Vec<&str> = data.iter().map(String::as_str).collect();
        data.extend([END, "[DONE]"]);
        let server = Server::says(vec![stream(&events(&data))]);
        let (said, pieces) = call(&*server.provider(Wire::Chat), &prompt("hi"));
        let error = said.unwrap_err();
        assert!(error.message.contains("sent the key back"), "{error:?}");
        assert!(!pieces.concat().contains(half), "{pieces:?}");
    }
    // What only begins like it is said in the end.
    let server = Server::says(vec![stream(&events(&[&says(half), END, "[DONE]"]))]);
    assert_eq!(call(&*server.provider(Wire::Chat), &prompt("hi")).1.concat(), half);
}

#[test]
fn a_key_in_what_is_passed_on_is_covered() {
    let says = format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"it is {KEY}!\"}}}}]}}");
    let server = Server::says(vec![stream(&events(&[&says, END, "[DONE]"]))]);
    // `forward` looks at all of it for the key.
    let (said, got) = forward(&*server.provider(Wire::Chat), (Wire::Chat, BODY, Stream::Yes), u64::MAX);
    assert_eq!(said.unwrap().text, "it is [secret]!");
    assert!(got.text().contains("it is ********************!"), "{}", got.text());
}

#[test]
fn a_slow_one_is_ended_by_the_caller() {
    for says in [String::new(), OPEN.to_owned(), format!("{OPEN}{}", events(&[CHAT]))] {
        let server = Server::says(vec![Answer::Hangs(says.into_bytes())]);
        let mut beats = 0;
        let said = server.provider(Wire::Chat).call(&prompt("hi"), Some(&Secret::lend(KEY)), &mut |piece| {
            beats += u32::from(piece.is_empty());
            if beats > 1 { Flow::Stop } else { Flow::Go }
        });
        assert_eq!(said.unwrap().stop, Stop::Cut);
        server.written();
    }
}
