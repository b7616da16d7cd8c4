//! The factory tables and the argument check.

use super::*;
use std::collections::BTreeMap;

#[test]
fn drivers_and_models_are_made_by_name() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().to_str().unwrap();
    for part in ["new", "cur", "tmp"] {
        std::fs::create_dir(home.path().join(part)).unwrap();
    }
    for (driver, kinds) in [("ram", "ram.put ram.remove"), ("maildir", ""), ("outbox", "mail.send")] {
        let manifest = mount(driver, "x", place).unwrap().manifest();
        let names: Vec<String> = manifest.kinds.into_iter().map(|kind| kind.name).collect();
        assert_eq!(names.join(" "), kinds);
    }
    let error = mount("imap", "x", "").map(drop).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::NotFound, "there is no driver \"imap\""));
    for (name, good) in [
        ("scripted", true),
        ("scripted/demo", true),
        ("scripted/", false),
        ("scripted/../x", false),
        ("scripted/a/b", false),
        ("scriptedx", false),
        ("gpt", false),
        ("", false),
    ] {
        assert_eq!(model(name, home.path()).is_ok(), good, "{name:?}");
    }
}

#[test]
fn the_scripted_model_costs_a_dollar_and_five_a_million() {
    let usage = abi::money::Usage {
        tokens_in: 1_000_000,
        tokens_out: 1_000_000,
        tokens_cached: 1_000_000,
        tokens_written: 0,
    };
    let rows = prices();
    let costs: BTreeMap<&str, String> =
        rows.iter().map(|(name, price)| (name.as_str(), price.amounts(&usage).money.to_string())).collect();
    assert_eq!(costs, BTreeMap::from([("scripted", "$6.10".to_owned())]));
}
