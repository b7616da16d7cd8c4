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

/// The smallest manifest: one kind that sends.
fn manifest(steering: &str) -> String {
    json!({"kinds": [{
        "name": "send", "class": "external-irreversible", "steering": [steering], "payload": ["body"],
        "recovery": "repeat",
    }]})
    .to_string()
}

#[test]
fn a_mount_is_what_it_was_mounted_as() {
    let mut hive = Hive::new();
    let mut client = hive.client();
    let dir = hive.around().join("site");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("manifest.json"), manifest("to")).unwrap();
    client.control(&format!("mount site rehearse {}", dir.display()));
    let send = json!({"mount": "site", "kind": "send", "args": {"to": "tom", "body": "b"}});
    assert_eq!(client.ok("propose", send.clone())["done"], true);

    // It comes back and says that nothing steers any more: it is not attached, and the doctor says why.
    hive.stop();
    std::fs::write(
        dir.join("manifest.json"),
        manifest("body").replace("\"payload\":[\"body\"],", "\"payload\":[\"to\"],"),
    )
    .unwrap();
    hive.start();
    let mut client = hive.client();
    let health = retry("the workspace to wake", || {
        client.ok("list", json!({"path": "/data"}));
        let health = client.text("/sys/health");
        health.contains("mount home/site").then_some(health)
    });
    let want =
        "mount home/site bad not attached: rehearse declares something else than when site was mounted";
    assert!(health.contains(want), "{health}");
    let told = hive.cli(&["doctor"]).out;
    assert!(told.contains("unmount it, and mount it again to accept what it declares now"), "{told}");

    // Mounting it again is the operator's word.
    client.control("unmount site");
    client.control(&format!("mount site rehearse {}", dir.display()));
    assert!(!client.text("/sys/health").contains("mount home/site"));
    assert_eq!(client.ok("propose", send)["done"], true);
}

#[test]
fn a_manifest_that_contradicts_itself_is_not_mounted() {
    let hive = Hive::new();
    let dir = hive.around().join("site");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("manifest.json"), manifest("to").replace("external-irreversible", "reversible"))
        .unwrap();
    let told = hive.client().refused("write", json!({
        "path": "/sys/ctl", "text": format!("mount site rehearse {}", dir.display()), "origin": "argument",
    }));
    assert_eq!(told["message"], "the kind \"send\" is reversible and nothing undoes it");
}
