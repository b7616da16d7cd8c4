//! `skep top` on a terminal: it takes all of the screen, and gives it back.

use crate::door::{Rows, typed};
use serde_json::{Value, json};

fn text(text: &str) -> Value {
    json!({"text": text})
}

fn rows() -> Rows {
    vec![
        (
            "read",
            "/sys/status",
            text("seq 0\nrunning 1\nproposals 0\nmoney_today $0.10\nmoney_limit $5.00\n"),
        ),
        ("list", "/proc", json!({"entries": [{"name": "7", "node": "dir"}, {"name": "8", "node": "dir"}]})),
        ("read", "/proc/7/status", text("pid 7\nparent 0\nagent boss\nstate running\nmoney $0.10\n")),
        ("read", "/proc/8/status", text("pid 8\nparent 7\nagent x\nstate exited\nexit exited 0\n")),
        ("read", "/proc/7/budget", text("process:7 money run $0.10 $0.00 $1.00 fine\n")),
        ("signal", "7", json!({"ok": true})),
        ("trace", "0", json!({"records": [], "next": 0})),
    ]
}

/// The keys of a screen of its own: it is entered, and left again when it ends.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

#[test]
fn keys_act_on_what_is_pointed_at_and_the_terminal_is_given_back() {
    for (keys, signals) in [
        ("q", vec![]),
        ("fq", vec!["freeze"]),
        ("ftq", vec!["freeze", "thaw"]),
        ("knq", vec![]),
        ("kyq", vec!["kill"]),
        ("cTaiiq", vec![]),
        ("\r\rq", vec![]),
    ] {
        let (shown, asked) = typed(&["top"], keys, rows());
        let (enter, leave) = (shown.find(ENTER), shown.rfind(LEAVE));
        assert!(enter.is_some() && leave > enter, "{keys:?}: {shown:?}");
        let sent = asked.iter().filter(|(method, _)| method == "signal");
        let sent: Vec<&str> = sent.map(|(_, params)| params["signal"].as_str().unwrap()).collect();
        assert_eq!(sent, signals, "{keys:?}");
        // What has ended is read once.
        let reads = |path: &str| asked.iter().filter(|(_, params)| params["path"] == path).count();
        assert_eq!(reads("/proc/8/status"), 1, "{keys:?}");
    }
}

/// A daemon that goes, or refuses, is an error on a terminal as it was.
#[test]
fn an_error_ends_it() {
    let mut refused = rows();
    refused.retain(|(_, about, _)| *about != "/sys/status");
    let (shown, _) = typed(&["top"], "q", refused);
    assert!(shown.contains("exit 1") && !shown.contains(ENTER), "{shown:?}");
    let mut late = rows();
    late.retain(|(method, ..)| *method != "trace");
    let (shown, _) = typed(&["top"], "q", late);
    assert!(shown.contains("exit 1") && shown.find(ENTER) <= shown.find(LEAVE), "{shown:?}");
}
