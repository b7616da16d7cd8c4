//! What was done outside is taken back by the kind that the driver declares for that.

use crate::{
    hive::{Hive, retry},
    search::waiting,
};
use serde_json::{Value, json};

/// Kinds that were carried out, oldest first.
fn done(log: &[Value]) -> Vec<String> {
    let ended = |effect: &Value| {
        log.iter().any(|row| {
            row["body"]["effect_ended"]["effect"] == *effect && row["body"]["effect_ended"]["done"] == true
        })
    };
    let intended = log.iter().map(|row| &row["body"]["intended"]).filter(|row| ended(&row["effect"]));
    intended.map(|row| row["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_effect_and_all_of_a_process_are_taken_back() {
    let hive = Hive::new();
    let mut client = hive.client();
    client.control("mount shelf ram");
    let put = |name: &str| json!({"mount": "shelf", "kind": "ram.put", "args": {"name": name, "text": "x"}});
    let effect = client.ok("propose", put("a"))["effect"].as_str().unwrap().to_owned();
    let told = hive.cli(&["undo", &format!("effect:{effect}")]).fine().out;
    assert_eq!(told, format!("taken back  effect:{effect}\n"));
    assert_eq!(done(&client.log("home")), ["ram.put", "ram.remove"]);

    // Policy lets an agent only ask for it; what was approved is taken back with the process.
    let pid = waiting(&hive, &mut client, "  - ask ram.put\n");
    let mut agent = hive.client();
    let token = client.text(&format!("/proc/{pid}/token"));
    let held = agent.ok("propose", {
        let mut params = put("b");
        params["token"] = json!(token.trim());
        params
    });
    assert_eq!((&held["held"], &held["rule"]), (&json!(true), &json!("asked_by_policy")));
    client.ok("decide", json!({"proposal": held["proposal"], "verdict": "approve"}));
    retry("the effect", || (done(&client.log("home")).len() == 3).then_some(()));
    let told = hive.cli(&["undo", &pid.to_string()]).fine().out;
    assert_eq!(told, "taken back  ram.put at shelf\n");
    assert_eq!(done(&client.log("home")), ["ram.put", "ram.remove", "ram.put", "ram.remove"]);

    // A mail cannot be taken back, and it says so.
    let outbox = hive.around().join("outbox");
    client.control(&format!("mount box outbox {}", outbox.display()));
    let args = json!({"to": "tom@arch-nord.example", "subject": "s", "body": "b"});
    let sent = client.ok("propose", json!({"mount": "box", "kind": "mail.send", "args": args}));
    let told = hive.cli(&["undo", &format!("effect:{}", sent["effect"].as_str().unwrap())]).failed(1).err;
    assert!(told.contains("box declares nothing that takes mail.send back"), "{told}");
}
