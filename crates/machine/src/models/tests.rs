//! What a file says, and where it is wrong.

use super::*;

fn fails(text: &str) -> String {
    let error = read(Some(text.as_bytes())).unwrap_err();
    format!("{} | {}", error.message, error.hint)
}

#[test]
fn the_shipped_files_say_what_they_should() {
    let book = read(None).unwrap();
    assert_eq!(book.models.providers, ["anthropic", "openai", "openrouter", "gemini", "ollama", "lmstudio"]);
    let tiers: Vec<&str> = book.models.tiers.iter().map(|tier| tier.name.as_str()).collect();
    assert_eq!(tiers, ["smart", "fast"]);
    for tier in &book.models.tiers {
        for model in &tier.models {
            assert!(book.models.price(model).is_some(), "{model} has no price");
        }
    }
    let of = |name: &str| book.models.price(name).unwrap();
    let opus = of("anthropic/claude-opus-5-5");
    assert_eq!((opus.token_in, opus.token_out), (Nano(4_000), Nano(20_000)));
    assert_eq!((opus.token_cached, opus.token_written), (Nano(200), Nano(5_000)));
    assert_eq!(of("ollama/qwen3:8b"), Price::default());
    assert_eq!(of("scripted/x"), drivers::prices()[0].1);
    assert_eq!(of("openai/gpt-5-nano").token_cached, Nano(5));
    assert_eq!(dated().day, "2026-11-28");
    assert!(book.models.price("openai/unheard-of").is_none());
}

#[test]
fn own_prices_count_before_the_table_and_are_never_too_low() {
    let text = "format: 1\nproviders: {openai: {url: 'https://a', wires: [chat]}}\n\
                prices: {openai/gpt-5: {in: 0.0000001, out: 1}, 'openai/*': {in: 7, out: 7}}\n";
    let book = read(Some(text.as_bytes())).unwrap();
    let price = book.models.price("openai/gpt-5").unwrap();
    assert_eq!((price.token_in, price.token_cached, price.token_out), (Nano(1), Nano(1), Nano(1_000)));
    // A whole name of the table counts before a pattern of the file.
    assert_eq!(book.models.price("openai/o3").unwrap().token_in, Nano(2_000));
    assert_eq!(book.models.price("openai/new").unwrap().token_in, Nano(7_000));
}

#[test]
fn what_is_wrong_is_pointed_at() {
    for (text, says) in [
        ("providers: {}", "models.yaml:1:1: it says no format | write format: 1"),
        (
            "format: 1\nproviderz: {}",
            "models.yaml:2:1: models.yaml has no key \"providerz\" | did you mean providers?",
        ),
        (
            "format: 1\nproviders:\n  a: {url: 'https://a', wires: [chatt]}",
            "models.yaml:3:33: there is no wire \"chatt\" | did you mean chat?",
        ),
        (
            "format: 1\nproviders:\n  a: {wires: [chat]}",
            "models.yaml:3:3: a has no url | write url: https://HOST",
        ),
        (
            "format: 1\nproviders:\n  a: {url: 'http://x.example', wires: [chat], secret: a}",
            "models.yaml:3:12: over plain http a secret goes to this machine only | \
             write https://, or 127.0.0.1, or leave the secret out",
        ),
        (
            "format: 1\nproviders: {anthropic: {url: 'https://a', wires: [chat]}}\n\
             tiers: {smart: [antropic/x]}",
            "models.yaml:3:17: there is no provider antropic | did you mean anthropic?",
        ),
        ("format: 1\ntiers: {smart: [x]}", "models.yaml:2:17: x says no provider | write PROVIDER/NAME"),
        ("format: 1\ntiers: {smart: []}", "models.yaml:2:9: smart has no model | write [PROVIDER/NAME]"),
        (
            "format: 1\nprices: {a/b: {in: 1}}",
            "models.yaml:2:10: a/b needs in and out | write {in: 2.50, out: 10}",
        ),
        (
            "format: 1\nprices: {a/b: {in: -1, out: 2}}",
            "models.yaml:2:20: \"-1\" is not an amount | write it as 0.05",
        ),
        (
            "format: 1\nproviders: {scripted: {url: 'https://a', wires: [chat]}}",
            "models.yaml:2:13: scripted answers from a file, and is no provider | take another name",
        ),
    ] {
        assert_eq!(fails(text), says, "{text}");
    }
}
