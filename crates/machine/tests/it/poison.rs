//! An event that panics the kernel: its workspace fails and comes back, the third time the event is set
//! aside.

use crate::client::Rig;
use serde_json::json;
use std::sync::atomic::Ordering;

#[test]
fn a_poison_event_is_set_aside_after_three_kills() {
    let _alone = alone();
    let mut rig = Rig::new();
    let mut client = rig.client();
    client.ok("write", json!({ "path": "/data/kept", "text": "kept" }));
    client.ok("write", json!({ "path": "/sys/ctl", "text": "workspace other" }));
    kernel::plant::BUG.store(kernel::plant::PANIC_ON_POISON, Ordering::Relaxed);
    let mut told = Vec::new();
    loop {
        let answer = client.ask("write", json!({ "path": "/data/poison", "text": "x" }));
        assert_eq!(answer["error"]["data"]["code"], "Unavailable", "{answer}");
        let message = answer["error"]["message"].as_str().unwrap().to_owned();
        let last = message.contains("set aside");
        told.push(message);
        if last {
            break;
        }
        rig.client().ok("list", json!({ "path": "/", "workspace": "other" }));
    }
    assert!(told.len() > 3, "{told:?}");
    let read = client.until_available("read", json!({ "path": "/data/kept" }));
    assert_eq!(read["result"]["text"], "kept");
    let quarantined = |client: &mut crate::client::Client| {
        let trace = client.ok("trace", json!({}));
        let records = trace["records"].as_array().unwrap().clone();
        records.iter().filter(|record| !record["body"]["quarantined"].is_null()).count()
    };
    assert_eq!(quarantined(&mut client), 1);
    rig.stop();
    rig.start();
    let mut client = rig.client();
    let answer = client.until_available("read", json!({ "path": "/data/kept" }));
    assert_eq!(answer["result"]["text"], "kept");
    let answer = client.ask("write", json!({ "path": "/data/poison", "text": "x" }));
    assert!(answer["error"]["message"].as_str().unwrap().contains("set aside"), "{answer}");
    assert_eq!(quarantined(&mut client), 1);
    kernel::plant::BUG.store(0, Ordering::Relaxed);
}

/// What runs outside outlives a failure of its workspace: it is not bought again, and its end is decided.
#[test]
fn a_model_call_outlives_its_workspace() {
    let _alone = alone();
    let rig = Rig::new();
    let rules = r#"{"rules": [{"when": {}, "then": {"say": "done", "takes_ms": 1500}}]}"#;
    std::fs::create_dir_all(rig.home.path().join("scripted")).unwrap();
    std::fs::write(rig.home.path().join("scripted/default.json"), rules).unwrap();
    let (mut client, mut other) = (rig.client(), rig.client());
    let mut follower = rig.client();
    follower.ok("trace", json!({ "follow": true }));
    let params = json!({ "model": "scripted", "text": "hello" });
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": "complete", "params": params });
    client.send(format!("{request}\n").as_bytes());
    let is = |line: &serde_json::Value, word: &str| !line["params"]["record"]["body"][word].is_null();
    while !is(&follower.line().unwrap(), "model_intended") {}
    kernel::plant::BUG.store(kernel::plant::PANIC_ON_POISON, Ordering::Relaxed);
    let told = other.ask("write", json!({ "path": "/data/poison", "text": "once" }));
    assert!(told["error"]["data"]["hint"].as_str().unwrap().contains("nothing of it was done"), "{told}");
    // The call was recorded: nobody may say that nothing was done.
    let told = client.line().unwrap();
    assert_eq!((&told["id"], &told["error"]["data"]["code"]), (&json!(7), &json!("Interrupted")), "{told}");
    while !is(&follower.line().unwrap(), "model_answered") {}
    let trace = other.ok("trace", json!({}));
    let words: Vec<&str> = trace["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|record| record["body"].as_object()?.keys().next().map(String::as_str))
        .collect();
    let count = |word: &str| words.iter().filter(|found| **found == word).count();
    let counts = ["woke", "model_intended", "model_lost", "model_answered"].map(count);
    assert_eq!(counts, [2, 1, 0, 1], "{words:?}");
    kernel::plant::BUG.store(0, Ordering::Relaxed);
}

/// The planted bug is one for the whole process.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
