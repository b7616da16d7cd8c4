//! Rows for the module above.
use super::*;
use crate::Code;
use serde_json::json;

#[test]
fn good_calls_decode() {
    let decoded = decode("write", json!({"path": "/a", "text": "x", "origin": "argument"})).unwrap();
    assert_eq!(decoded.blobs, [b"x".to_vec()]);
    assert!(matches!(decoded.call, Call::Write { write: Write::Whole { mode: 0o644, .. }, .. }));
    let decoded = decode("write", json!({"path": "/proc/7/ctl", "text": "freeze\n"})).unwrap();
    assert!(matches!(decoded.call, Call::Control { .. }));
    let decoded =
        decode("propose", json!({"mount": "outbox", "kind": "mail.send", "args": {"to": ["a", "b"]}}));
    assert!(matches!(decoded.unwrap().call, Call::Propose { .. }));
}

#[test]
fn bad_calls_say_what_and_what_to_do() {
    let rows = [
        ("raed", json!({"path": "/a"}), Code::Invalid, "did you mean read?"),
        ("watch", json!({}), Code::Unavailable, "served: list read"),
        ("exec", json!({}), Code::Invalid, ""),
        ("exec", json!({"text": ""}), Code::Invalid, ""),
        ("exec", json!({"text": "ls", "wall": "nativ"}), Code::Invalid, "did you mean native?"),
        ("exec", json!({"text": "ls", "timeout_ms": 0}), Code::Invalid, ""),
        ("exec", json!({"text": "x".repeat(65_537)}), Code::TooLarge, "write it to a file"),
        ("read", json!({"path": "/a", "pth": 1}), Code::Invalid, "did you mean path?"),
        ("read", json!({}), Code::Invalid, ""),
        ("read", json!([1]), Code::Invalid, ""),
        ("read", json!({"path": "/a/../b"}), Code::Invalid, ""),
        ("read", json!({"path": "/a", "at": -1}), Code::Invalid, ""),
        ("write", json!({"path": "/a", "base64": "%%"}), Code::Invalid, ""),
        ("write", json!({"path": "/a", "text": "x", "mode": "wohle"}), Code::Invalid, "did you mean whole?"),
        ("write", json!({"path": "/sys/ctl", "text": "explode"}), Code::Invalid, "mount NAME"),
        ("write", json!({"path": "/a", "text": "x".repeat(limits::VALUE_BYTES_MAX + 1)}), Code::TooLarge, ""),
        ("wait", json!({}), Code::Invalid, ""),
        ("spawn", json!({"agent": "../x", "text": "t"}), Code::Invalid, ""),
    ];
    for (name, params, code, hint) in rows {
        let error = decode(name, params.clone()).unwrap_err();
        assert_eq!(error.code, code, "{name} {error:?}");
        assert!(error.hint.contains(hint), "{name}: {:?} lacks {hint:?}", error.hint);
    }
}

#[test]
fn depth_counts_outside_strings_only() {
    for (json, deep) in [
        ("[[]]", false),
        ("[[[]]]", true),
        (r#"["[[[["]"#, false),
        (r#"["\"[[[["]"#, false),
        (r#"["\\",[[1]]]"#, true),
        ("]]]][[", false),
    ] {
        assert_eq!(deeper_than(json.as_bytes(), 2), deep, "{json}");
    }
}
