//! Rows of schemas and messages, and the count of bits against all messages of small schemas.

use super::*;
use crate::calendar::day;
use alloc::vec;
use proptest::prelude::*;

fn rooms() -> Lists {
    let ids = ["a1", "a2", "b1"].into_iter().map(String::from).collect();
    let list = List { ids, seq: Seq(3), integrity: Integrity::Workspace };
    BTreeMap::from([(TreePath::parse("/data/rooms").unwrap(), list)])
}

#[test]
fn bits_are_the_logarithm_rounded_up() {
    let rows: &[(&str, Option<u32>)] = &[
        (r#"{"enum": ["yes"]}"#, Some(0)),
        (r#"{"enum": ["yes", "no"]}"#, Some(1)),
        (r#"{"enum": ["a", "a", 1, true, null]}"#, Some(2)),
        (r#"{"type": "boolean", "title": "on or off"}"#, Some(1)),
        (r#"{"type": "integer", "minimum": 0, "maximum": 0}"#, Some(0)),
        (r#"{"type": "integer", "minimum": -1, "maximum": 1}"#, Some(2)),
        (r#"{"type": "integer", "minimum": 0, "maximum": 255}"#, Some(8)),
        (r#"{"type": "integer", "minimum": 0, "maximum": 256}"#, Some(9)),
        (r#"{"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807}"#, Some(64)),
        (r#"{"type": "integer", "minimum": 0}"#, None),
        (r#"{"type": "integer"}"#, None),
        (r#"{"type": "string"}"#, None),
        (r#"{"type": "string", "list": "/data/rooms"}"#, Some(2)),
        (r#"{"type": "string", "list": "/data/none"}"#, None),
        (r#"{"type": "string", "format": "date"}"#, None),
        (
            r#"{"type": "string", "format": "date", "formatMinimum": "2028-02-28",
                "formatMaximum": "2028-03-02"}"#,
            Some(2),
        ),
        (r#"{"type": "array", "items": {"type": "boolean"}, "minItems": 64, "maxItems": 64}"#, Some(64)),
        (r#"{"type": "array", "items": {"enum": [1]}, "minItems": 1000, "maxItems": 1000}"#, Some(0)),
        (r#"{"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 2, "maxItems": 2}"#, Some(4)),
        // Beyond what can be counted, it is no less than there are.
        (r#"{"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 100, "maxItems": 100}"#, Some(167)),
        (r#"{"type": "array", "items": {"enum": [1, 2]}, "minItems": 0, "maxItems": 2}"#, None),
        (r#"{"type": "object", "additionalProperties": false}"#, Some(0)),
        (
            r#"{"type": "object", "additionalProperties": false, "required": ["a"],
                "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}}"#,
            Some(3),
        ),
        (
            r#"{"type": "object", "additionalProperties": false,
                "properties": {"a": {"type": "boolean"}, "b": {"type": "string"}}}"#,
            None,
        ),
    ];
    for (text, want) in rows {
        assert_eq!(Schema::parse(text).unwrap().bits(&rooms()), *want, "{text}");
    }
}

#[test]
fn what_it_does_not_know_is_refused_and_named() {
    let deep = "{\"type\":\"array\",\"items\":".repeat(40);
    let rows = [
        ("", "/"),
        ("[]", "/"),
        ("{}", "/"),
        (r#"{"enum": []}"#, "/enum"),
        (r#"{"enum": [1.5]}"#, "/enum"),
        (r#"{"enum": [{}]}"#, "/enum"),
        (r#"{"enum": [18446744073709551615]}"#, "/enum"),
        (r#"{"enum": [1], "type": "integer"}"#, "/type"),
        (r#"{"type": "number"}"#, "/type"),
        (r#"{"type": ["string", "null"]}"#, "/"),
        (r#"{"type": "integer", "minimum": 2, "maximum": 1}"#, "/"),
        (r#"{"type": "integer", "minimum": 0.5}"#, "/minimum"),
        (r#"{"type": "integer", "maximum": 9223372036854775808}"#, "/maximum"),
        (r#"{"type": "integer", "multipleOf": 2}"#, "/multipleOf"),
        (r#"{"type": "string", "maxLength": 2}"#, "/maxLength"),
        (r#"{"type": "string", "format": "uri"}"#, "/format"),
        (r#"{"type": "string", "format": "date", "formatMinimum": "2026-02-29"}"#, "/formatMinimum"),
        (r#"{"type": "string", "list": "data"}"#, "/list"),
        (r#"{"type": "array"}"#, "/"),
        (r#"{"type": "array", "items": {"type": "text"}}"#, "/items/type"),
        (r#"{"type": "array", "items": {"type": "string"}, "minItems": 4294967296}"#, "/minItems"),
        (r#"{"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 1}"#, "/"),
        (r#"{"type": "object"}"#, "/additionalProperties"),
        (r#"{"type": "object", "additionalProperties": false, "required": ["x"]}"#, "/required"),
        (r#"{"type": "object", "additionalProperties": false, "properties": {"a": 1}}"#, "/properties/a"),
        (&deep, "/"),
    ];
    for (text, at) in rows {
        assert_eq!(Schema::parse(text).unwrap_err().argument, at, "{text}");
    }
    let deep = "{\"type\":\"array\",\"items\":".repeat(12) + "{\"type\":\"string\"}" + &"}".repeat(12);
    assert!(Schema::parse(&deep).unwrap_err().message.contains("deep"));
}

#[test]
fn a_message_has_one_spelling() {
    let text = r#"{"type": "object", "additionalProperties": false, "required": ["n", "room"],
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}, "when": {"type": "string",
        "format": "date", "formatMinimum": "2026-01-01", "formatMaximum": "2026-12-31"},
        "room": {"type": "string", "list": "/data/rooms"}}}"#;
    let schema = Schema::parse(text).unwrap();
    let say = |message: &str| {
        let said = schema.admit(message.as_bytes(), &rooms());
        said.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| error.argument)
    };
    let fits = Ok(String::from(r#"{"n":1,"room":"a1"}"#));
    assert_eq!(say(r#"{"n": 1, "room": "a1"}"#), fits);
    assert_eq!(say(" {\"room\"\t: \"\\u0061\\u0031\" ,\n\"n\":1}"), fits);
    assert_eq!(say(r#"{"n": 7, "room": "a1", "n": 1}"#), fits);
    let rows = [
        (r#"{"n": 10, "room": "a1"}"#, "/n"),
        (r#"{"n": 1.0, "room": "a1"}"#, "/n"),
        (r#"{"n": 1e0, "room": "a1"}"#, "/n"),
        (r#"{"n": "1", "room": "a1"}"#, "/n"),
        (r#"{"n": 1, "room": "a3"}"#, "/room"),
        (r#"{"n": 1, "room": "a1 "}"#, "/room"),
        (r#"{"n": 1}"#, "/room"),
        (r#"{"n": 1, "room": "a1", "say": "hi"}"#, "/say"),
        (r#"{"n": 1, "room": "a1", "when": "2027-01-01"}"#, "/when"),
        (r#"{"n": 1, "room": "a1", "when": "2026-1-1"}"#, "/when"),
        (r#"{"n": 1, "room": "a1"} x"#, "/"),
        ("[]", "/"),
    ];
    for (message, at) in rows {
        assert_eq!(say(message), Err(at.into()), "{message}");
    }
}

#[test]
fn days_are_counted() {
    let rows = [
        ("1970-01-01", Some(0)),
        ("1969-12-31", Some(-1)),
        ("2000-02-29", Some(11_016)),
        ("2000-03-01", Some(11_017)),
        ("0000-03-01", Some(-719_468)),
        ("9999-12-31", Some(2_932_896)),
        ("1900-02-29", None),
        ("2026-13-01", None),
        ("2026-00-01", None),
        ("2026-04-31", None),
        ("2026-01-00", None),
        ("+026-01-01", None),
        ("2026/01/01", None),
        ("२०२६-01", None),
    ];
    for (text, want) in rows {
        assert_eq!(day(text), want, "{text}");
    }
}

/// Small schemas, and all messages they admit, made by another way than counting.
fn small() -> impl Strategy<Value = (Schema, Vec<Value>)> {
    let choice = prop::collection::btree_set(-3_i64..3, 1..5).prop_map(|all| {
        let all: Vec<Value> = all.into_iter().map(Value::from).collect();
        (Schema::Choice(all.clone()), all)
    });
    let integer = (-4_i64..4, 0_i64..6).prop_map(|(min, more)| {
        (Schema::Integer(Some(min), Some(min + more)), (min..=min + more).map(Value::from).collect())
    });
    let id = Just(()).prop_map(|()| {
        let all = rooms().into_values().flat_map(|list| list.ids).map(Value::from).collect();
        (Schema::Id(TreePath::parse("/data/rooms").unwrap()), all)
    });
    prop_oneof![choice, integer, id].prop_recursive(2, 6, 2, |inner| {
        let array = (inner.clone(), 0_u32..3).prop_map(|((item, all), count)| {
            let mut rows: Vec<Vec<Value>> = vec![vec![]];
            for _ in 0..count {
                rows = rows
                    .iter()
                    .flat_map(|row| all.iter().map(|one| [&row[..], core::slice::from_ref(one)].concat()))
                    .collect();
            }
            let schema = Schema::Array(Box::new(item), count, Some(count));
            (schema, rows.into_iter().take(5_000).map(Value::Array).collect())
        });
        let object = (inner.clone(), inner, any::<bool>()).prop_map(|((a, all), (b, more), optional)| {
            let need = if optional { Need::Optional } else { Need::Required };
            let fields = [("a".to_string(), (a, Need::Required)), ("b".to_string(), (b, need))];
            let one = |a: &Value, b: Option<&Value>| {
                let pairs = [("a", Some(a)), ("b", b)];
                let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name.into(), value?.clone())));
                Value::Object(pairs.collect())
            };
            let mut rows: Vec<Value> = Vec::new();
            for a in &all {
                rows.extend(more.iter().map(|b| one(a, Some(b))));
                rows.extend(optional.then(|| one(a, None)));
            }
            rows.truncate(5_000);
            (Schema::Object(fields.into_iter().collect()), rows)
        });
        prop_oneof![array, object]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// So many messages, told apart by their bytes, need so many bits: never fewer are counted.
    #[test]
    fn bits_are_never_too_few((schema, all) in small()) {
        let said = |value: &Value| schema.admit(&serde_json::to_vec(value).unwrap(), &rooms()).unwrap();
        let apart: BTreeSet<Vec<u8>> = all.iter().map(said).collect();
        let bits = schema.bits(&rooms()).unwrap();
        prop_assert!(apart.len() as u128 <= 1 << bits.min(64), "{} messages, {bits} bits", apart.len());
        if apart.len() < 5_000 {
            prop_assert_eq!(bits, Size::of(apart.len() as u128).bits);
        }
    }

    /// Whatever is said is no reason to panic, and what is admitted is admitted again as it is.
    #[test]
    fn any_bytes_are_a_schema_or_an_error(text in "\\PC{0,60}", (schema, _) in small()) {
        let _ = Schema::parse(&text);
        if let Ok(said) = schema.admit(text.as_bytes(), &rooms()) {
            prop_assert_eq!(schema.admit(&said, &rooms()).unwrap(), said);
        }
    }
}
