//! A secret goes to its provider and nowhere else: a canary is kept, used and echoed, then every file, answer
//! and line of the node is searched for it. The control: the same search finds one written as a file.

use crate::hive::{Client, Hive};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
};

const CANARY: &str = "sk-canary-7Q4m2ZpXw9";
const CONTROL: &str = "sk-control-5Rt8LkVb3N";

/// A provider on the loopback that speaks the Messages format and writes down which keys it was shown.
struct Shop {
    url: String,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(Vec::new()));
        let seen = keys.clone();
        let serve = move || {
            for socket in listener.incoming().flatten() {
                let seen = seen.clone();
                let one = move || while answer(&socket, &seen).is_some() {};
                std::thread::Builder::new().spawn(one).unwrap();
            }
        };
        std::thread::Builder::new().spawn(serve).unwrap();
        Self { url, keys }
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }
}

fn answer(socket: &TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let (mut first, mut key, mut length) = (String::new(), String::new(), 0_usize);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "x-api-key" => key = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.lock().unwrap().push(key.clone());
    let body = String::from_utf8_lossy(&body);
    let (status, kind, text) = if first.starts_with("GET") {
        ("200 OK", "application/json", json!({"data": [{"id": "tiny"}], "has_more": false}).to_string())
    } else if body.contains("refuse") {
        let why = json!({"type": "authentication_error", "message": format!("bad key {key}")});
        ("401 Unauthorized", "application/json", json!({"type": "error", "error": why}).to_string())
    } else {
        (
            "200 OK",
            "text/event-stream",
            stream(if body.contains("echo") { &key } else { "no business of yours" }),
        )
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", text.len());
    let mut out = socket;
    out.write_all(head.as_bytes()).ok()?;
    out.write_all(text.as_bytes()).ok()
}

/// An answer that tells the key to everybody, in two pieces.
fn stream(key: &str) -> String {
    let (half, rest) = key.split_at(key.len() / 2);
    let piece = |text: &str| {
        let delta = json!({"type": "text_delta", "text": text});
        json!({"type": "content_block_delta", "index": 0, "delta": delta})
    };
    let usage = json!({"input_tokens": 10, "output_tokens": 1});
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
            "model": "tiny", "content": [], "stop_reason": null, "usage": usage}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        piece(&format!("your key is {half}")),
        piece(&format!("{rest}, is it not?")),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

const AGENT: &str =
    "---\nname: asker\nmodel: smart\nneeds: [read /data/**]\ntools: [read]\n---\nYou answer.\n";

fn models(url: &str) -> String {
    format!(
        "format: 1\nproviders:\n  shop: {{url: \"{url}\", wires: [messages], secret: shop}}\n\
         tiers: {{smart: [shop/tiny]}}\nprices: {{shop/*: {{in: 1, out: 1}}}}\n"
    )
}

fn set_up(client: &mut Client, url: &str) {
    client.ok("write", json!({"path": "/sys/models.yaml", "text": models(url), "origin": "argument"}));
    client.ok("write", json!({"path": "/agents/asker/AGENT.md", "text": AGENT, "origin": "argument"}));
}

/// How a run of `asker` ended, and what it was charged for.
fn ask(client: &mut Client, task: &str) -> Value {
    let answer = client.ok("spawn", json!({"agent": "asker", "text": task, "origin": "argument"}));
    client.ok("wait", json!({"pid": answer["pid"], "timeout_ms": 20_000}))
}

/// Files below a directory whose bytes hold the text.
fn holds(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(holds(&path, text));
        } else if kind.is_file()
            && fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Has the node write and say all that it can.
fn leave_everywhere(hive: &Hive, client: &mut Client, hear: &dyn Fn(String)) {
    // The control, in a place that everything of the workspace is copied from.
    client.ok("write", json!({"path": "/data/control.txt", "text": CONTROL, "origin": "argument"}));
    for path in
        ["/sys/secrets", "/sys/secrets/shop", "/sys/models", "/sys/models.yaml", "/sys/status", "/sys/health"]
    {
        hear(client.ask("read", &json!({"path": path})).to_string());
    }
    hear(client.ask("trace", &json!({"limit": 10_000})).to_string());
    hear(client.ask("list", &json!({"path": "/sys/secrets"})).to_string());
    let backup = hive.around().join("copy.tar");
    client.ok("write", json!({"path": "/sys/ctl", "text": format!("backup {}", backup.display())}));
    let export = hive.around().join("export");
    hive.cli(&["export", "--all", &export.display().to_string()]).fine();
    for words in [
        &["trace", "--all"][..],
        &["logs", "1"],
        &["logs", "2"],
        &["logs", "3"],
        &["doctor"],
        &["status"],
        &["ps", "-a"],
    ] {
        let ran = hive.cli(words);
        hear(format!("{}{}", ran.out, ran.err));
    }
    let cores = fs::read_to_string(format!("/proc/{}/limits", hive.pid())).unwrap();
    let cores = cores.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
}

#[test]
fn a_canary_goes_to_its_provider_and_stands_nowhere() {
    let (mut hive, shop) = (Hive::new(), Shop::open());
    let mut client = hive.client();
    set_up(&mut client, &shop.url);
    let told: Mutex<Vec<String>> = Mutex::default();
    let hear = |text: String| told.lock().unwrap().push(text);
    let say = |client: &mut Client, method: &str, params: Value| {
        let answer = client.ask(method, &params);
        hear(answer.to_string());
        answer
    };
    let kept =
        say(&mut client, "write", json!({"path": "/sys/secrets/shop", "text": CANARY, "origin": "argument"}));
    assert_eq!(kept["result"]["ok"], true, "{kept}");
    assert!(
        say(&mut client, "write", json!({"path": "/sys/ctl", "text": "provider shop"}))["error"].is_null()
    );
    let done = ask(&mut client, "say something");
    hear(done.to_string());
    assert_eq!(done["exit"], json!({"exited": 0}), "{done}");
    // Who tells it to everybody, in an answer or in an error, is heard no further.
    let echoed = ask(&mut client, "echo");
    hear(echoed.to_string());
    assert!(echoed["exit"]["faulted"].is_string(), "{echoed}");
    let refused = ask(&mut client, "refuse");
    hear(refused.to_string());
    assert!(refused["exit"]["faulted"].is_string(), "{refused}");
    assert!(shop.keys().len() >= 4 && shop.keys().iter().all(|key| key == CANARY), "{:?}", shop.keys());

    leave_everywhere(&hive, &mut client, &hear);
    let everywhere = hive.around().to_path_buf();
    assert_eq!(holds(&everywhere, CANARY), Vec::<String>::new(), "while it runs");
    hive.stop();
    assert_eq!(holds(&everywhere, CANARY), Vec::<String>::new());
    let told = told.into_inner().unwrap();
    assert!(told.len() > 18 && told.iter().all(|text| !text.contains(CANARY)), "{told:#?}");
    let control = holds(&everywhere, CONTROL);
    for part in ["workspace.db", "copy.tar", "export"] {
        assert!(
            control.iter().any(|path| path.contains(part)),
            "the search does not look into {part}: {control:?}"
        );
    }
    drop(client);
    hive.start();
    // It is still there after a restart, and opens.
    let mut client = hive.client();
    assert_eq!(ask(&mut client, "again")["exit"], json!({"exited": 0}));
    assert!(client.ask("remove", &json!({"path": "/sys/secrets/shop"}))["error"].is_null());
    let none = ask(&mut client, "once more");
    assert!(none["exit"]["faulted"].is_string(), "{none}");
}

#[test]
fn a_lent_key_serves_the_runs_of_its_connection_as_long_as_that_is_open() {
    let (hive, shop) = (Hive::new(), Shop::open());
    let (mut other, mut lender) = (hive.client(), hive.client());
    set_up(&mut other, &shop.url);
    let lent = json!({"path": "/sys/secrets/shop", "text": CANARY, "mode": "lend"});
    assert!(lender.ask("write", &lent)["error"].is_null());
    assert_eq!(ask(&mut lender, "mine")["exit"], json!({"exited": 0}));
    assert_eq!(shop.keys(), [CANARY]);
    // Whoever else starts a run has no key, and nothing is asked of anybody.
    let refused = ask(&mut other, "theirs");
    assert!(refused["exit"]["faulted"].is_string(), "{refused}");
    // Nor has a run of the connection that lent it, once it is closed.
    let held = json!({"agent": "asker", "text": "later", "origin": "argument"});
    let pid = lender.ok("spawn", held)["pid"].clone();
    lender.ok("wait", json!({"pid": pid, "timeout_ms": 20_000}));
    drop(lender);
    assert_eq!(other.text("/sys/secrets"), "");
    assert!(ask(&mut other, "after")["exit"]["faulted"].is_string());
    assert_eq!(shop.keys().len(), 2);
    assert_eq!(holds(&hive.home(), CANARY), Vec::<String>::new());
}

#[test]
fn a_kept_key_goes_nowhere_else_and_is_nobodys_but_an_operators() {
    let (hive, shop, thief) = (Hive::new(), Shop::open(), Shop::open());
    let mut client = hive.client();
    set_up(&mut client, &shop.url);
    client.ok("write", json!({"path": "/sys/secrets/shop", "text": CANARY, "origin": "argument"}));
    assert_eq!(ask(&mut client, "one")["exit"], json!({"exited": 0}));
    client.ok("write", json!({"path": "/sys/models.yaml", "text": models(&thief.url), "origin": "argument"}));
    assert!(ask(&mut client, "two")["exit"]["faulted"].is_string());
    assert!(client.ask("write", &json!({"path": "/sys/ctl", "text": "provider shop"}))["error"].is_object());
    assert_eq!((shop.keys().len(), thief.keys().len()), (1, 0));
    // Set again, it is for where the provider is now.
    client.ok("write", json!({"path": "/sys/secrets/shop", "text": CONTROL, "origin": "argument"}));
    assert_eq!(ask(&mut client, "three")["exit"], json!({"exited": 0}));
    assert_eq!(thief.keys(), [CONTROL]);
    for (params, says) in [
        (json!({"path": "/sys/secrets/shop", "text": "two words"}), "this cannot be a secret"),
        (
            json!({"path": "/sys/secrets/shop", "text": CANARY, "mode": "append"}),
            "a secret is written whole, or lent",
        ),
        (json!({"path": "/sys/secrets/shop", "base64": "c2s="}), "a secret is text"),
        (
            json!({"path": "/sys/secrets/shop", "text": CANARY, "message": "x"}),
            "a secret takes no \"message\"",
        ),
        (json!({"path": "/sys/secrets/a/b", "text": CANARY}), "\"a/b\" is not a name"),
    ] {
        let error = client.ask("write", &params);
        assert_eq!(error["error"]["message"], says, "{params}");
        assert!(!error.to_string().contains(CANARY), "{error}");
    }
    // A process shows its token: it is told no, and the value goes nowhere.
    let spawned = client.ok("spawn", json!({"agent": "asker", "text": "four", "origin": "argument"}));
    let token = client.text(&format!("/proc/{}/token", spawned["pid"]));
    let stolen = json!({"path": "/sys/secrets/shop", "text": CANARY, "token": token.trim()});
    assert!(hive.client().ask("write", &stolen)["error"].is_object());
    assert_eq!(holds(&hive.home(), CANARY), Vec::<String>::new());
}
