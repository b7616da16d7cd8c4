//! Outside bytes against the words: whatever comes over the wire, out of a file or out of a model, parsing it
//! answers or refuses, never panics, and what it accepts is as it must be.

use abi::{
    Hash,
    cap::Grant,
    control,
    money::Nano,
    path::{Pattern, TreePath},
    record::Record,
    scan, wire,
};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[/a-zü*. \\n\u{0}]{0,12}".prop_map(Value::from),
        prop_oneof![Just("/sys/ctl"), Just("/proc/1/ctl"), Just("/a/b"), Just("append")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..7).prop_map(object),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let names: Vec<&str> = abi::call::CALLS
        .iter()
        .flat_map(|call| call.params)
        .map(|param| param.name)
        .chain(["base64"])
        .collect();
    prop_oneof![4 => prop::sample::select(names).prop_map(String::from), 1 => "[a-z]{0,6}"]
}

fn object(pairs: Vec<(String, Value)>) -> Value {
    Value::Object(pairs.into_iter().collect::<Map<_, _>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_arguments_decode_or_are_refused(
        ix in 0..abi::call::CALLS.len(),
        pairs in prop::collection::vec((key(), json()), 0..8),
    ) {
        let name = abi::call::CALLS[ix].name;
        if let Ok(decoded) = wire::decode(name, object(pairs)) {
            prop_assert_eq!(decoded.call.name(), name);
            let bytes = musli::wire::to_vec(&decoded.call).unwrap();
            prop_assert_eq!(musli::wire::from_slice::<abi::call::Call>(&bytes).unwrap(), decoded.call);
        }
    }

    #[test]
    fn any_text_is_a_path_or_is_refused(text in "[/a-cü\u{308}.* \u{0}]{0,20}") {
        if let Ok(path) = TreePath::parse(&text) {
            prop_assert_eq!(path.as_str(), text.as_str());
            prop_assert!(path.names().all(|name| !name.is_empty() && name != "." && name != ".."));
            if let Some(parent) = path.parent() {
                prop_assert_eq!(parent.join(path.name()).unwrap(), path.clone());
                prop_assert!(path.is_below(&parent));
            }
        }
        let _ = Pattern::parse(&text);
        let _ = Pattern::word(&text);
    }

    #[test]
    fn any_words_are_parsed_or_refused(
        text in "(mount|budget|workspace|read|write|ask|apply|)[ a-z0-9/*.:$-]{0,40}",
    ) {
        let ctl = TreePath::parse("/sys/ctl").unwrap();
        let _ = control::parse(&ctl, &text);
        let _ = text.parse::<Nano>();
        if let Ok(grant) = Grant::parse(&text) {
            prop_assert!(grant.includes(&grant));
            prop_assert_eq!(grant.meet(&grant), Some(grant));
        }
    }

    #[test]
    fn money_survives_being_shown(nano in 0..i64::MAX / 2) {
        let shown = Nano(nano).to_string();
        if nano / 1_000_000_000 < 1_000_000_000 {
            prop_assert_eq!(shown.parse::<Nano>().unwrap(), Nano(nano));
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = musli::wire::from_slice::<Record>(&bytes);
        let _ = std::str::from_utf8(&bytes).map(str::parse::<Hash>);
    }

    #[test]
    fn a_token_is_found_where_it_stands(
        before in "[ ,;<(]",
        word in "[a-z]{1,8}@[a-z]{1,8}\\.example",
        after in "[ ,;>)]?",
    ) {
        let text = format!("x{before}{word}{after}");
        prop_assert!(scan::has_token(&text, &word));
        prop_assert!(scan::has_token(&text, &word.to_uppercase()));
        let longer = format!("y{word}z");
        prop_assert!(!scan::has_token(&longer, &word));
    }

    #[test]
    fn the_nearest_word_is_a_known_one(unknown in "\\PC{0,80}") {
        prop_assert!(!wire::nearest_hint(&unknown, &["read", "write"]).is_empty());
    }
}

/// Seconds that all of the scanner takes over a text.
#[allow(clippy::disallowed_methods)] // seam: measures
fn scanned(text: &str) -> f64 {
    let begun = std::time::Instant::now();
    let folded = scan::Folded::of(text);
    let half = text.get(..text.len() / 2).unwrap_or("a");
    let found =
        (scan::links(text), scan::has_markup(text), scan::quotes_url(text, half), folded.has_url(half));
    let tokens =
        ["a", "@", "a@a", "1", half].map(|literal| (folded.has_token(literal), folded.has_quoted(literal)));
    let bytes = scan::has_text(text.as_bytes(), format!("{half}z").as_bytes());
    std::hint::black_box((found, tokens, bytes));
    begun.elapsed().as_secs_f64()
}

#[test]
fn scanning_takes_time_as_the_text_is_long() {
    let parts = [
        "@", ".", ":", "/", "a.", "@a", "a@", "www.", "<", "\u{200b}", "\u{301}", "a\u{301}", "a:", ":a",
        "1:", "a/", "//", "'", "\"a\"", "a", "1", "1 ", "1,", "。", "a。", "例。", "-", "+a:", "%2", "\\",
        "&", "a@a.", "@a/",
    ];
    for part in parts {
        let of = |bytes: usize, times: usize| {
            let text = part.repeat(bytes / part.len());
            (0..times).map(|_| scanned(&text)).fold(f64::MAX, f64::min)
        };
        // Sixteen times the text: as much time again, with much to spare; its square would be 256 times.
        let (short, long) = (of(4 * 1024, 3), of(64 * 1024, 1));
        assert!(long < short * 64.0 + 0.02, "{part:?}: {short} s, sixteen times as much {long} s");
    }
}
