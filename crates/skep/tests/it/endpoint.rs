//! The model endpoint with programs and servers that are not ours: the official clients of three providers,
//! unmodified, through `skep endpoint` to aimock and back.

use crate::hive::{Hive, PATIENCE, retry, run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

#[path = "../../../drivers/tests/aimock/start.rs"]
pub mod aimock;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients");
const HINT: &str = "hint: make test installs what is missing (python3-pip, npm)";

/// Where the clients are installed, once, from what pins them.
fn clients() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (dir, lock) = (base.join("clients"), File::create(base.join("clients.lock")).unwrap());
    lock.lock().unwrap();
    let pins = ["requirements.txt", "package.json", "package-lock.json"];
    let text: String =
        pins.iter().map(|name| fs::read_to_string(format!("{HERE}/{name}")).unwrap()).collect();
    let mark = dir.join("installed");
    let scripts = || {
        for name in ["ask.py", "ask.mjs"] {
            fs::copy(format!("{HERE}/{name}"), dir.join(name)).unwrap();
        }
    };
    if fs::read_to_string(&mark).is_ok_and(|kept| kept == text) {
        scripts();
        return dir;
    }
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    for name in pins {
        fs::copy(format!("{HERE}/{name}"), dir.join(name)).unwrap();
    }
    scripts();
    let pip =
        ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", "python"];
    install(Command::new("python3").args(pip).args(["-r", "requirements.txt"]).current_dir(&dir));
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    install(Command::new("npm").args(npm).current_dir(&dir));
    fs::write(&mark, text).unwrap();
    dir
}

fn install(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}; {HINT}"));
    assert!(status.success(), "{command:?} failed ({status}); {HINT}");
}

/// A daemon whose models are those of this server, at these prices.
fn hive(server: &str, price: &Value) -> Hive {
    let mut hive = Hive::new();
    let mut client = hive.client();
    let models = json!({
        "format": 1,
        "providers": {
            "mock": {"url": server, "wires": ["messages", "responses", "chat", "gemini"]},
            "talk": {"url": server, "wires": ["chat"]},
        },
        "tiers": {"smart": ["mock/m"], "fast": ["talk/m"]},
        "prices": {"mock/*": price, "talk/*": price},
    });
    client.ok("write", json!({"path": "/sys/models.yaml", "text": models.to_string(), "origin": "argument"}));
    let _ = hive.alive();
    hive
}

/// `skep endpoint`, while it runs.
struct Open {
    child: Child,
    told: Value,
}

impl Open {
    fn new(hive: &Hive, budget: &str) -> Self {
        let mut command = hive.command(&["endpoint", "--budget", budget, "--json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        Self { child, told }
    }

    fn word(&self, key: &str) -> String {
        self.told[key].as_str().unwrap().to_owned()
    }

    /// Runs one of the clients; what it said, a row a thing.
    fn ask(&self, dir: &Path, program: &str, only: &str) -> Vec<Value> {
        let script = if program == "node" { "ask.mjs" } else { "ask.py" };
        let mut command = Command::new(program);
        command.current_dir(dir).arg(script).args([self.word("url"), self.word("key"), "smart".into()]);
        for name in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY"] {
            command.env_remove(name);
        }
        let ran = run(command.env("PYTHONPATH", "python").env("ONLY", only)).fine();
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Ctrl-C; what was printed then.
    fn close(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "skep endpoint does not end");
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        }
        let mut text = String::new();
        std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut text).unwrap();
        text
    }
}

/// Google's client is asked in one of the two languages.
fn expected(program: &str) -> Vec<Value> {
    let google = json!([
        ["gemini count", true],
        ["gemini models", [true, true]],
        ["gemini", ["Good day.", "STOP"]],
        ["gemini streamed", ["Good day.", "STOP", true]],
        ["gemini tool", ["get_weather"]],
    ]);
    let google = if program == "node" { google.as_array().unwrap().clone() } else { Vec::new() };
    let rows = json!([
        ["count", true],
        ["models", [true, true]],
        ["messages", ["Good day.", "end_turn", "assistant"]],
        ["messages streamed", ["Good day.", "end_turn"]],
        ["messages tool", [["get_weather"], "tool_use"]],
        ["chat", ["Good day.", "stop"]],
        ["chat streamed", ["Good day.", "stop"]],
        ["chat tool", [["get_weather"], "tool_calls"]],
        ["responses", ["Good day.", "completed"]],
        ["responses streamed", ["Good day.", "completed"]],
    ]);
    [rows.as_array().unwrap().clone(), google].concat()
}

#[test]
fn official_clients_are_served_metered_and_replayed() {
    let (dir, server) = (clients(), aimock::Aimock::start(Path::new(&format!("{HERE}/plan.json")), None));
    let hive = hive(&server.url, &json!({"in": 1, "out": 5}));
    let open = Open::new(&hive, "2.00");
    let pid = open.told["pid"].as_u64().unwrap();
    for program in ["python3", "node"] {
        assert_eq!(open.ask(&dir, program, ""), expected(program), "{program}");
    }
    // Each made nine calls: one counts tokens, eight say something; Google's four more.
    let said = open.close();
    assert!(said.contains("22 model calls"), "{said}");
    let rows: Vec<Value> = hive
        .cli(&["replay", &pid.to_string(), "--json"])
        .fine()
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 22);
    assert!(rows.iter().all(|row| row["missing"] == 0), "{rows:#?}");
    let formats: Vec<&str> = rows.iter().take(9).map(|row| row["format"].as_str().unwrap()).collect();
    assert_eq!(
        formats,
        [
            "count_tokens",
            "messages",
            "messages",
            "messages",
            "chat",
            "chat",
            "chat",
            "responses",
            "responses"
        ]
    );
    let googles: Vec<&str> = rows.iter().skip(18).map(|row| row["format"].as_str().unwrap()).collect();
    assert_eq!(googles, ["gemini_count_tokens", "gemini", "gemini", "gemini"]);
    // The same request again names nothing new.
    let again: Vec<u64> = rows.iter().skip(9).map(|row| row["new"].as_u64().unwrap()).collect();
    assert!(again.iter().all(|new| *new <= 2), "{again:?}");
    let shown = hive.cli(&["replay", &pid.to_string(), "3"]).fine().out;
    assert!(shown.contains("event: message_stop") && shown.contains("\"content\":\"hello\""), "{shown}");
    retry("the process has ended", || {
        let status = hive.cli(&["ps", "--all", "--json"]).fine().out;
        status.contains("exited").then_some(())
    });
}

#[test]
fn a_limit_is_the_provider_s_own_refusal_and_its_own_length_stop() {
    let (dir, dirs) = (clients(), tempfile::TempDir::new().unwrap());
    let plan = dirs.path().join("plan.json");
    let long = "word ".repeat(4_000);
    let fixtures = json!({"fixtures": [
        {"match": {"userMessage": "hello"}, "response": {"content": "Good day."}},
        {"match": {"userMessage": "everything"}, "response": {"content": long}},
    ]});
    fs::write(&plan, fixtures.to_string()).unwrap();
    let server = aimock::Aimock::start(&plan, None);
    // Five cents a step: the first fits the limit, the second does not.
    let hive = hive(&server.url, &json!({"in": 0, "out": 50}));
    for (program, format, want) in [
        ("python3", "messages", json!("max_tokens")),
        ("python3", "chat", json!("length")),
        ("python3", "responses", json!(["response.incomplete", "max_output_tokens"])),
        ("node", "responses", json!(["response.incomplete", "max_output_tokens"])),
        ("node", "messages", json!("max_tokens")),
        ("node", "gemini", json!("MAX_TOKENS")),
    ] {
        let open = Open::new(&hive, "0.09");
        // It is cut, then it stands still, and says which limit and what would help.
        let formats = ["messages", "chat", "responses", "gemini"];
        let formats = formats.iter().take(if program == "node" { 4 } else { 3 });
        let refused: Vec<Value> = formats.map(|format| json!([format, [429, true, true]])).collect();
        let want = [vec![json!(["cut", want])], refused].concat();
        assert_eq!(open.ask(&dir, program, format), want, "{program} {format}");
        assert!(open.close().contains("frozen"), "{program} {format}");
    }
    let trace = hive.cli(&["trace", "--json"]).fine().out;
    let charged = |line: &str| line.contains("model_answered") && line.contains("\"cut\"");
    assert_eq!(trace.lines().filter(|line| charged(line)).count(), 6, "every cut answer is in the ledger");
}

/// The scripted model is asked by the same clients, in every format: no provider and no key.
#[test]
fn a_scripted_model_speaks_every_format() {
    let (dir, hive) = (clients(), hive("http://127.0.0.1:9", &json!({"in": 1, "out": 5})));
    let rules = json!({"rules": [
        {"when": {"says": "weather", "role": "user"}, "then": {"tools": [{"name": "get_weather"}]}},
        {"when": {"says": "everything"}, "then": {"misbehave": "endless"}},
        {"then": {"say": "Good day."}},
    ]});
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    fs::write(hive.home().join("scripted/talk.json"), rules.to_string()).unwrap();
    let models = json!({"format": 1, "providers": {"mock": {"url": "http://127.0.0.1:9", "wires": ["chat"]}},
                        "tiers": {"smart": ["scripted/talk"]}});
    hive.cli(&["write", "/sys/models.yaml", &models.to_string()]).fine();
    let open = Open::new(&hive, "2.00");
    for program in ["python3", "node"] {
        let want = expected(program).into_iter().map(|row| {
            serde_json::from_str(&row.to_string().replace("Good day.", "[scripted] Good day.")).unwrap()
        });
        assert_eq!(open.ask(&dir, program, ""), want.collect::<Vec<Value>>(), "{program}");
    }
    assert!(open.close().contains("22 model calls"));
    for (program, format, want) in [
        ("python3", "messages", json!("max_tokens")),
        ("python3", "chat", json!("length")),
        ("python3", "responses", json!(["response.incomplete", "max_output_tokens"])),
        ("node", "gemini", json!("MAX_TOKENS")),
    ] {
        let open = Open::new(&hive, "0.02");
        let said = open.ask(&dir, program, format);
        assert_eq!(said[0], json!(["cut", want]), "{format}");
        assert!(open.close().contains("frozen"), "{format}");
    }
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}")
}

#[test]
fn who_shows_no_key_or_asks_for_what_is_not_there_is_told_so() {
    let hive = hive("http://127.0.0.1:9", &json!({"in": 1, "out": 5}));
    let open = Open::new(&hive, "2.00");
    let (url, key) = (open.word("url"), open.word("key"));
    let ask = |path: &str, key: &str, body: &Value| -> (u16, Value) {
        let key = if path.contains("v1beta") { format!("x-goog-api-key: {key}") } else { bearer(key) };
        let (host, body) = (url.trim_start_matches("http://"), body.to_string());
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\n{key}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
    };
    let hello = json!({"model": "smart", "max_tokens": 9, "messages": []});
    let contents = json!({"contents": [{"parts": [{"text": "hello"}]}]});
    let other = if key.ends_with('0') { '1' } else { '0' };
    let bad = format!("{}{other}", &key[..key.len() - 1]);
    for (path, key, body, status) in [
        ("/v1/messages", "", &hello, 401),
        ("/v1/messages", bad.as_str(), &hello, 401),
        ("/v1/messages", &format!("other/{key}"), &hello, 401),
        ("/v1/files", &key, &hello, 404),
        ("/v1/messages", &key, &json!({"messages": []}), 400),
        ("/v1/messages", &key, &json!({"model": "no such", "max_tokens": 9, "messages": []}), 400),
        // Nobody listens there: trouble of the provider's, which a client may try again.
        ("/v1/messages", &key, &hello, 503),
        // It speaks another format: to ask again does not help.
        ("/v1/messages", &key, &json!({"model": "fast", "max_tokens": 9, "messages": []}), 400),
        ("/v1beta/models/smart:generateContent", "", &hello, 401),
        ("/v1beta/models/smart:generateContent", bad.as_str(), &hello, 401),
        (&format!("/v1/models/smart:generateContent?key={bad}"), "", &contents, 401),
        (&format!("/v1beta/models/smart:generateContent?key={key}"), "", &json!({}), 400),
        ("/v1beta/models/smart:embedContent", &key, &contents, 404),
        ("/v1beta/models/smart:streamGenerateContent", &key, &contents, 400),
        ("/v1beta/models/smart:generateContent", &key, &json!({"contents": [], "cached_content": "x"}), 400),
        ("/v1beta/models/smart:generateContent", &key, &contents, 503),
        ("/v1beta/models/talk%2Fm:generateContent", &key, &contents, 400),
    ] {
        let (got, said) = ask(path, key, body);
        assert_eq!(got, status, "{path} {body}: {said}");
        let is_google = path.contains("v1beta") || path.contains("?key");
        assert_eq!(said["error"]["code"].as_u64(), is_google.then_some(status.into()), "{said}");
        assert!(said["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{said}");
    }
    open.close();
}
