//! An event that panics the kernel: its workspace fails and comes back, the third time the event is set
//! aside.

use crate::client::Rig;
use serde_json::json;
use std::sync::atomic::Ordering;

#[test]
fn a_poison_event_is_set_aside_after_three_kills() {
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
