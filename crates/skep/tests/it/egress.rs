//! Programs of a sandbox and somebody outside: real clients in the real wall, through the broker or not at
//! all. Each way past it is tried twice: inside, where it must fail, and outside, where it must succeed.

use crate::{
    exec::{home_of, text},
    hive::{Hive, retry},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What the server outside says.
const WORD: &str = "the word";

/// A server outside, which counts who asks it. Clients go to 127.0.0.1 and localhost without a proxy, which
/// is their own sandbox; this is another address of the host.
struct Outside {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Outside {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let (at, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path =
                    head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
                let moved = path.strip_prefix("/to/").map(|to| format!("Location: http://{to}/\r\n"));
                let status = if moved.is_some() { "302 Found" } else { "200 OK" };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n{WORD}",
                    moved.unwrap_or_default(),
                    WORD.len()
                );
            }
        });
        Self { at, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A process whose sandbox stands, and which may what these needs say.
fn process(hive: &Hive, needs: &str) -> u64 {
    process_with(hive, needs, &[])
}

/// The same, which also sees these directories of the host.
pub fn process_with(hive: &Hive, needs: &str, tools: &[PathBuf]) -> u64 {
    let run = "run:\n  command: [sh, -c, \"touch $HOME/up; exec sleep 1000\"]\n";
    let file = format!(
        "---\nname: net\ndescription: Stands.\n{run}needs: [read /data/**, exec /data/**{needs}]\n---\n"
    );
    let path = "/agents/net/AGENT.md";
    hive.client().ok("write", json!({"path": path, "text": file, "origin": "argument"}));
    let born = hive.client().ok(
        "spawn",
        json!({"agent": "net", "text": "go", "origin": "argument",
        "program": {"tools": tools}}),
    );
    let pid = born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"));
    retry("its program", || home_of(hive, pid).filter(|home| home.join("up").exists()));
    pid
}

/// What a command in its sandbox says.
pub fn inside(hive: &Hive, pid: u64, line: &str) -> String {
    let order = json!({"pid": pid, "dir": "/data", "wall": "native", "timeout_ms": 60_000, "text": line});
    let ran: Value = hive.client().ok("exec", order);
    text(&ran, "output").to_owned()
}

/// What the same says outside, where nothing is in its way.
fn outside(line: &str) -> String {
    let ran =
        Command::new("bash").args(["-c", line]).env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
    String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned()
}

/// Clients that ask a URL by way of the proxy of their environment; `$URL` is it.
const CLIENTS: [(&str, &str); 4] = [
    ("curl", "curl -sm20 $URL"),
    ("wget", "wget -nv -T20 -t1 -O- $URL 2>&1"),
    (
        "python3",
        "python3 -c 'import urllib.request as u, os; \
         print(u.urlopen(os.environ[\"URL\"], timeout=20).read().decode())' 2>&1",
    ),
    ("git", "git ls-remote $URL 2>&1"),
];

#[test]
fn without_a_capability_every_client_is_told_the_word_that_would_allow_it() {
    let hive = Hive::new();
    let server = Outside::new();
    let pid = process(&hive, "");
    let url = format!("http://{}/", server.at);
    for (name, line) in CLIENTS {
        let line = format!("export URL={url}; {line}");
        let said = inside(&hive, pid, &line);
        assert!(said.contains("403") || said.contains("skep allow"), "{name}: {said}");
        assert!(!said.contains(WORD), "{name}: {said}");
        // The control: the very line outside reaches the server.
        let before = server.asked();
        outside(&line);
        assert!(server.asked() > before, "{name} reaches nobody outside either");
    }
    let before = server.asked();
    let said = inside(&hive, pid, &format!("curl -sm20 -i {url}"));
    assert!(said.contains(&format!("skep allow {pid} net 127.0.0.2 {} read", server.at.port())), "{said}");
    let said = inside(&hive, pid, &format!("curl -sm20 -p -x $HTTP_PROXY -v {url} 2>&1 | grep skep"));
    assert!(said.contains("skep allow"), "{said}");
    assert_eq!(server.asked(), before);
    // Nor is there a way beside the proxy.
    for line in [
        format!("curl -sm5 --noproxy '*' {url}"),
        format!("exec 3<>/dev/tcp/127.0.0.2/{}", server.at.port()),
        format!("curl -sm5 --socks5 127.0.0.1:7538 {url}"),
        format!("printf 'GET / HTTP/1.1\\r\\nHost: {}\\r\\n\\r\\n' >/dev/tcp/127.0.0.1/7538", server.at),
    ] {
        let said = inside(&hive, pid, &line);
        assert!(!said.contains(WORD), "{line}: {said}");
    }
    assert_eq!(server.asked(), before);
    let log = hive.client().log("home");
    let refused = log.iter().filter(|record| record.to_string().contains("\"call\":\"net\"")).count();
    assert!(refused >= CLIENTS.len(), "each is in the log: {refused}");
}

#[test]
fn what_an_operator_allows_goes_and_no_further() {
    let hive = Hive::new();
    let (server, other) = (Outside::new(), Outside::new());
    let pid = process(&hive, "");
    let (port, url) = (server.at.port().to_string(), format!("http://{}/", server.at));
    let said = hive.cli(&["allow", &pid.to_string(), "net", "127.0.0.2", &port, "read"]).fine();
    assert!(said.out.contains("may net 127.0.0.2"), "{said:?}");
    for (name, line) in CLIENTS {
        let before = server.asked();
        inside(&hive, pid, &format!("export URL={url}; {line}"));
        assert!(server.asked() > before, "{name} does not reach what it may");
    }
    assert_eq!(inside(&hive, pid, &format!("curl -sm20 {url}")), WORD);
    // What it may not: to change something, to bring something along, another port, a redirect to one.
    let before = (server.asked(), other.asked());
    for line in [
        format!("curl -sm20 -w '%{{http_code}}' -o /dev/null -d x {url}"),
        format!("curl -sm20 -w '%{{http_code}}' -o /dev/null -X DELETE {url}"),
        format!("curl -sm20 -w '%{{http_code}}' -o /dev/null http://{}/", other.at),
        format!("curl -sm20 -w '%{{http_code}}' -o /dev/null -p -x $HTTP_PROXY http://{}/", other.at),
    ] {
        let said = inside(&hive, pid, &line);
        assert!(said.contains("403") || said == "000", "{line}: {said}");
    }
    let said = inside(&hive, pid, &format!("curl -sm20 -w '%{{http_code}}' -o /dev/null -X GET -d x {url}"));
    assert_eq!(said, "400");
    assert_eq!((server.asked(), other.asked()), before);
    let redirect = format!("http://{}/to/{}", server.at, other.at);
    let said = inside(&hive, pid, &format!("curl -sLm20 {redirect}"));
    assert!(said.contains("skep allow"), "{said}");
    assert_eq!(other.asked(), before.1);
    assert_eq!(outside(&format!("curl -sLm20 {redirect}")), WORD, "the control: outside it is followed");
    // Who spoke to somebody has heard what is external.
    let label = hive.client().text(&format!("/proc/{pid}/label"));
    assert!(label.contains("external") && label.contains("net:127.0.0.2"), "{label}");
}

/// Spellings of this host that are not the one allowed, and addresses that nobody may: none arrives.
const SPELLINGS: [&str; 22] = [
    "localhost",
    "127.2",
    "127.0.2",
    "2130706434",
    "0x7f000002",
    "0x7f.0.0.2",
    "0177.0.0.2",
    "017700000002",
    "127.0.0.2.",
    "127.0.0.02",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::ffff:127.0.0.2]",
    "[::ffff:7f00:2]",
    "[::127.0.0.2]",
    "127.0.0.1",
    "127.0.0.3",
    "user@127.0.0.2",
    "user:pass@127.0.0.2",
    "[::]",
    "169.254.169.254",
];

#[test]
fn one_spelling_is_allowed_and_no_other_arrives() {
    let hive = Hive::new();
    let server = Outside::new();
    let pid = process(&hive, "");
    let port = server.at.port();
    hive.cli(&["allow", &pid.to_string(), "net", "127.0.0.2", &port.to_string()]).fine();
    for spelling in SPELLINGS {
        let before = server.asked();
        for line in [
            format!("GET http://{spelling}:{port}/ HTTP/1.1\\r\\nHost: {spelling}:{port}"),
            format!("CONNECT {spelling}:{port} HTTP/1.1\\r\\nHost: {spelling}:{port}"),
        ] {
            let ask = format!(
                "exec 3<>/dev/tcp/127.0.0.1/7538; printf '{line}\\r\\nConnection: close\\r\\n\\r\\n' >&3; \
                 timeout 20 head -1 <&3"
            );
            let said = inside(&hive, pid, &ask);
            assert!(!said.contains(" 200"), "{line}: {said}");
        }
        assert_eq!(server.asked(), before, "{spelling}");
    }
    assert_eq!(inside(&hive, pid, &format!("curl -sm20 http://127.0.0.2:{port}/")), WORD, "the control");
}

#[test]
fn the_endpoint_inside_knows_whose_sandbox_it_is() {
    let hive = Hive::new();
    let pid = process(&hive, "");
    assert_eq!(inside(&hive, pid, "curl -sm20 $SKEP_ENDPOINT/api/hello"), "{}");
    let models = inside(&hive, pid, "curl -sm20 $SKEP_ENDPOINT/v1/models -H 'x-api-key: of nobody'");
    assert!(models.contains("\"object\":\"list\""), "{models}");
    // What listens for us is no port of its own.
    assert!(!hive.cli(&["ports"]).fine().out.contains("753"));
    let ended = hive.cli(&["kill", &pid.to_string()]).fine();
    assert!(ended.out.contains("killed"), "{ended:?}");
}

/// What was let go and does not get there is in the log, with what stood in its way.
#[test]
fn what_does_not_get_there_is_in_the_log() {
    let (hive, server) = (Hive::new(), Outside::new());
    let pid = process(&hive, "");
    let port = server.at.port().to_string();
    for host in ["localhost", "nobody.invalid"] {
        hive.cli(&["allow", &pid.to_string(), "net", host, &port]).fine();
        let line =
            format!("curl -sm20 --noproxy '' -x $HTTP_PROXY -w '%{{http_code}}' http://{host}:{port}/");
        let said = inside(&hive, pid, &line);
        assert!(said.ends_with("403") || said.ends_with("502"), "{said}");
    }
    assert_eq!(server.asked(), 0);
    for why in ["localhost leads to an address that is not public", "nobody.invalid has no address"] {
        retry(why, || {
            hive.cli(&["trace", "--json", "--pid", &pid.to_string()]).fine().out.contains(why).then_some(())
        });
    }
}

/// The last words of a program say how often it was refused.
#[test]
fn the_last_words_count_what_was_refused() {
    let hive = Hive::new();
    let line = "curl -sm5 http://a.example/; curl -sm5 https://b.example/; true";
    let ran = hive.cli(&["run", "--", "bash", "-c", line]).fine();
    assert!(ran.err.contains(" · 2 connections refused · "), "{}", ran.err);
}

/// The connections of a program that pays at its own service are counted, and the limit stops it. The
/// control is the same program without that login.
#[test]
fn who_pays_elsewhere_is_limited_in_connections() {
    let (hive, server) = (Hive::new(), Outside::new());
    let budget = "format: 1\nguests_with_own_login: {calls: {hour: 2}, wall: {day: 8h}}\n";
    hive.client().ok("write", json!({"path": "/sys/budget.yaml", "text": budget, "origin": "argument"}));
    let line = format!(
        "while [ ! -e /data/go ]; do sleep 0.05; done; for i in 1 2 3 4; do curl -sm20 http://{}/; done; \
         sleep 1000",
        server.at
    );
    let port = server.at.port().to_string();
    let run = |more: &[&str]| {
        let words = [&["run", "-d", "--live"], more, &["--", "bash", "-c", &line]].concat();
        let pid = hive.cli(&words).fine().out.trim().to_owned();
        hive.cli(&["allow", &pid, "net", "127.0.0.2", &port, "read"]).fine();
        pid
    };
    let (own, metered) = (run(&["--login", "own"]), run(&[]));
    hive.cli(&["write", "/data/go", "go"]).fine();
    let status = |pid: &str| hive.client().text(&format!("/proc/{pid}/status"));
    let stopped = retry("its limit", || Some(status(&own)).filter(|status| status.contains("frozen")));
    assert!(stopped.contains("limit of login:guest: calls 2 an hour"), "{stopped}");
    assert!(stopped.contains("skep budget set login:guest calls hour AMOUNT"), "{stopped}");
    retry("the other's four", || (server.asked() == 6).then_some(()));
    assert!(!status(&metered).contains("frozen"));
    // It goes on when an operator says so.
    hive.cli(&["budget", "set", "login:guest", "calls", "hour", "9"]).fine();
    hive.cli(&["thaw", &own]).fine();
    retry("the rest of it", || (server.asked() >= 7).then_some(()));
}

/// Before somebody who sits there stands what holds for such a program.
#[test]
fn who_pays_elsewhere_is_said_to() {
    let hive = Hive::new();
    let ran = hive.cli(&["run", "--login", "own", "--", "true"]).fine();
    for part in [
        "withheld: a limit of money: it pays at its own service",
        "limits     money: none, it pays at its own service · 0 of 300 connections an hour · ",
    ] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert_eq!(hive.cli(&["run", "--login", "mine", "--", "true"]).code, 2);
}
