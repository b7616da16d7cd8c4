//! Agents that are programs, through the real daemon and the real wall: the examples of this repository.

use crate::{
    decisions::desk,
    exec::{home_of, running, text},
    hive::{Hive, retry},
    labels::label,
};
use serde_json::json;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Stdio,
};

/// Puts an example in; its process.
fn start(hive: &Hive, name: &str, example: &str) -> u64 {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/programs").join(example);
    for file in fs::read_dir(from).unwrap().flatten() {
        let (content, named) = (fs::read_to_string(file.path()).unwrap(), file.file_name());
        let path = format!("/agents/{name}/{}", named.to_str().unwrap());
        hive.client().ok("write", json!({"path": path, "text": content, "origin": "argument"}));
    }
    let born = hive.client().ok("spawn", json!({"agent": name, "text": "go", "origin": "argument"}));
    born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"))
}

fn reads(hive: &Hive, path: &str, want: &str) {
    retry(path, || (hive.cli(&["cat", path]).out.trim_end() == want).then_some(()));
}

fn beat(hive: &Hive, pid: u64) -> u64 {
    let read = || fs::read_to_string(home_of(hive, pid)?.join("beat")).ok()?.trim().parse().ok();
    retry("a beat", read)
}

fn state(hive: &Hive, pid: u64) -> String {
    let lines = hive.cli(&["ps", "-a"]).fine().out;
    let line = lines.lines().find(|line| line.split_whitespace().next() == Some(&pid.to_string()));
    line.unwrap_or_default().to_owned()
}

#[test]
fn a_program_in_bash_stands_still_goes_on_and_comes_back() {
    let mut hive = Hive::new();
    let pid = start(&hive, "beat", "bash");
    reads(&hive, "/data/bash.md", "bash was here");
    reads(&hive, "/data/bash.txt", &format!("as a file: process {pid} of home"));
    // What it wrote as a file is of its own process.
    let log = hive.cli(&["log", "/data/bash.txt"]).fine().out;
    assert!(log.contains("beat"), "{log}");
    hive.cli(&["freeze", &pid.to_string()]).fine();
    let still = beat(&hive, pid);
    for _ in 0..3 {
        // Time in which it would have beaten: each command takes longer than a beat.
        hive.cli(&["exec", "--", "sleep 0.05"]).fine();
    }
    assert_eq!(beat(&hive, pid), still, "it went on while it was frozen");
    hive.cli(&["thaw", &pid.to_string()]).fine();
    retry("it to go on", || (beat(&hive, pid) > still).then_some(()));
    // The daemon is killed: it ends, and the next daemon starts it anew.
    hive.kill();
    retry("its end", || (running("/agents/beat/main.sh") == 0).then_some(()));
    hive.start();
    retry("its return", || (running("/agents/beat/main.sh") > 0).then_some(()));
    let pid = retry("its new number", || {
        let lines = hive.cli(&["ps"]).fine().out;
        let numbers = lines.lines().filter(|line| line.contains("beat"));
        numbers.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).find(|new| *new != pid)
    });
    hive.cli(&["kill", &pid.to_string()]).fine();
    retry("its end", || (running("/agents/beat/main.sh") == 0).then_some(()));
    retry("its home to go", || home_of(&hive, pid).is_none().then_some(()));
}

#[test]
fn a_program_in_python_serves_and_is_ill_when_it_does_not() {
    let hive = Hive::new();
    let pid = start(&hive, "page", "python");
    reads(&hive, "/data/python.md", "python serves");
    let ports = retry("its port", || Some(hive.cli(&["ports"]).out).filter(|ports| ports.contains("8080")));
    // Who owns it says so too, and since when is in the log.
    let status = hive.client().text(&format!("/proc/{pid}/status"));
    assert!(status.lines().any(|line| line.starts_with("listens ") && line.contains(":8080")), "{status}");
    let line = ports.lines().find(|line| line.contains("8080")).unwrap();
    assert!(line.contains(&pid.to_string()) && line.contains("page") && line.contains("python3"), "{ports}");
    retry("its health", || state(&hive, pid).contains("works").then_some(()));
    // Nobody outside of the wall reaches the port.
    assert!(TcpStream::connect("127.0.0.1:8080").is_err());
    let inside = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/').read().decode())";
    let order =
        json!({"pid": pid, "dir": "/data", "wall": "native", "text": format!("python3 -c \"{inside}\"")});
    let ran = hive.client().ok("exec", order);
    assert_eq!(text(&ran, "output").trim(), "hello", "{ran}");
    // It says it serves, and does not.
    hive.client()
        .ok("exec", json!({"pid": pid, "dir": "/data", "wall": "native", "text": "touch /data/broken"}));
    retry("it to be red", || state(&hive, pid).contains("faulted").then_some(()));
    let log =
        hive.cli(&["trace", "--pid", &pid.to_string()]).out + &hive.cli(&["logs", &pid.to_string()]).out;
    assert!(log.contains("it does not work"), "{log}");
    // What a command wrote beside it was kept, and so the next one is red too, until it is put right.
    hive.cli(&["rm", "/data/broken"]).fine();
    let next = retry("one that works", || {
        let lines = hive.cli(&["ps"]).fine().out;
        let line = lines.lines().find(|line| line.contains("page") && line.contains("works"))?;
        line.split_whitespace().next().map(str::to_owned)
    });
    hive.cli(&["kill", &next]).fine();
    // What was said to be ended has ended, and what it listened at is closed with it.
    assert!(!hive.cli(&["ports"]).out.contains("8080"));
    let log = hive.cli(&["trace", "--pid", &next]).fine().out;
    assert!(log.contains("listens") && log.contains("no more"), "{log}");
    assert_eq!(running("/agents/page/main.py"), 0);
}

#[test]
fn a_program_in_node_answers_over_its_socket() {
    let hive = Hive::new();
    let pid = start(&hive, "echo", "node");
    hive.cli(&["write", "/data/ask.md", "anybody there"]).fine();
    reads(&hive, "/data/answer.md", "ANYBODY THERE");
    // It dies: it is started anew, and answers what was asked since.
    let text = "pkill -9 node || kill -9 $(pidof node)";
    hive.client().ok("exec", json!({"pid": pid, "dir": "/data", "wall": "native", "text": text}));
    hive.cli(&["write", "/data/ask.md", "and now"]).fine();
    reads(&hive, "/data/answer.md", "AND NOW");
}

/// What a program reads of the outside counts for what it says over its socket, as if a model had read it.
/// It writes a file before it reads and one after; only what it read makes the difference.
#[test]
fn what_a_program_read_from_outside_is_with_what_it_writes_over_its_socket() {
    let (hive, mut client, _) = desk();
    let call = |name: &str| {
        let params = json!({"path": format!("/data/{name}"), "text": "x", "origin": "argument"});
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": "write", "params": params});
        format!(
            "perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ENV{{SKEP_SOCKET}}); \
             print $s $ARGV[0],\"\\n\"; $s->flush; print scalar <$s>' '{line}'"
        )
    };
    let script = format!(
        "{}\ncat /integrations/mail/inbox/order.md\n{}\nsleep 1000\n",
        call("before.md"),
        call("after.md")
    );
    let agent = "---\nname: reader\nrun: {command: [bash, /agents/reader/main.sh]}\nneeds: [read /agents/**, read \
                 /integrations/**, read /data/**, write /data/**, exec /data/**]\n---\n";
    for (name, text) in [("AGENT.md", agent), ("main.sh", &script)] {
        let path = format!("/agents/reader/{name}");
        client.ok("write", json!({"path": path, "text": text, "origin": "argument"}));
    }
    let born = client.ok("spawn", json!({"agent": "reader", "text": "go", "origin": "argument"}));
    assert_eq!(born["withheld"], json!([]), "{born}");
    reads(&hive, "/data/after.md", "x");
    assert!(!label(&mut client, "/data", "before.md").starts_with("external"));
    assert!(label(&mut client, "/data", "after.md").starts_with("external"));
}

/// What it waited for is in the log and in the tree when it hears so, whatever happens then; what it only
/// wrote is not. Many that wait, and one that asks for it again and again, make no more commits than it
/// takes.
#[test]
fn what_a_program_waits_for_is_lasting_when_it_goes_on() {
    let mut hive = Hive::new();
    let main = r#"
import os, threading, time
def put(name, text, wait):
    with open("/data/" + name, "w") as file:
        file.write(text)
        file.flush()
        if wait: os.fsync(file.fileno())
def often(name):
    for n in range(20): put(name, str(n), True)
threads = [threading.Thread(target=often, args=(f"{n}.txt",)) for n in range(4)]
for one in threads: one.start()
for one in threads: one.join()
put("first.txt", "kept", False)
os.rename("/data/first.txt", "/data/kept.txt")
os.fsync(os.open("/data", os.O_RDONLY))
put("lost.txt", "lost", False)
os.rename("/data/kept.txt", "/data/moved.txt")
open(os.environ["HOME"] + "/said", "w").close()
time.sleep(1000)
"#;
    let agent = "---\nname: keeper\nrun: {command: [python3, /agents/keeper/main.py]}\nneeds: [read /agents/**, \
                 read /data/**, write /data/**, exec /data/**]\n---\n";
    for (name, text) in [("AGENT.md", agent), ("main.py", main)] {
        let path = format!("/agents/keeper/{name}");
        hive.client().ok("write", json!({"path": path, "text": text, "origin": "argument"}));
    }
    let born = hive.client().ok("spawn", json!({"agent": "keeper", "text": "go", "origin": "argument"}));
    let pid = born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"));
    retry("it to say so", || home_of(&hive, pid).filter(|home| home.join("said").exists()));
    hive.kill();
    hive.start();
    assert_eq!(hive.cli(&["cat", "/data/kept.txt"]).fine().out, "kept");
    for n in 0..4 {
        assert_eq!(hive.cli(&["cat", &format!("/data/{n}.txt")]).fine().out, "19");
    }
    hive.cli(&["cat", "/data/lost.txt"]).failed(1);
    hive.cli(&["cat", "/data/moved.txt"]).failed(1);
}

/// A program that waits all the time stands still, goes on, sees what others wrote and ends like any other.
#[test]
fn a_program_that_always_waits_is_frozen_and_ended() {
    let hive = Hive::new();
    let main = r#"
import os, threading
home = os.environ["HOME"]
dir = os.open("/data", os.O_RDONLY)
def names():
    while True:
        open("/data/name", "w").close()
        os.fsync(dir)
        os.remove("/data/name")
        os.fsync(dir)
threading.Thread(target=names, daemon=True).start()
n = 0
while True:
    n += 1
    with open("/data/count", "w") as file:
        file.write(str(n))
        file.flush()
        os.fsync(file.fileno())
    try: seen = len([name for name in os.listdir("/data") if name.startswith("other")])
    except OSError: seen = 0
    with open(home + "/new", "w") as file: file.write(f"{n} {seen}")
    os.rename(home + "/new", home + "/beat")
"#;
    let agent = "---\nname: waits\nrun: {command: [python3, /agents/waits/main.py]}\nneeds: [read /agents/**, \
                 read /data/**, write /data/**, exec /data/**]\n---\n";
    for (name, text) in [("AGENT.md", agent), ("main.py", main)] {
        let path = format!("/agents/waits/{name}");
        hive.client().ok("write", json!({"path": path, "text": text, "origin": "argument"}));
    }
    let born = hive.client().ok("spawn", json!({"agent": "waits", "text": "go", "origin": "argument"}));
    let pid = born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"));
    let beat = || {
        let text = fs::read_to_string(home_of(&hive, pid)?.join("beat")).ok()?;
        let (n, seen) = text.split_once(' ')?;
        Some((n.parse::<u64>().ok()?, seen.parse::<u64>().ok()?))
    };
    retry("it to wait", || beat().filter(|(n, _)| *n > 3));
    for n in 0..5 {
        hive.cli(&["write", &format!("/data/other-{n}"), "x"]).fine();
    }
    retry("it to see what others wrote", || beat().filter(|(_, seen)| *seen == 5));
    hive.cli(&["freeze", &pid.to_string()]).fine();
    let still = retry("it to stand still", || {
        let before = beat()?;
        hive.cli(&["exec", "--", "sleep 0.1"]).fine();
        beat().filter(|after| *after == before)
    });
    hive.cli(&["thaw", &pid.to_string()]).fine();
    retry("it to go on", || beat().filter(|(n, _)| *n > still.0 + 3));
    hive.cli(&["kill", &pid.to_string()]).fine();
    retry("its end", || (running("/agents/waits/main.py") == 0).then_some(()));
}

/// What a server at this address says to a browser.
fn fetch(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /page.txt HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map(|_| text)
}

/// An operator's browser reaches what a process serves, as long as the operator keeps that open and the
/// process lives. Nobody reaches it otherwise, and no process opens anything.
#[test]
fn what_a_process_serves_is_reached_while_an_operator_keeps_it_open() {
    let hive = Hive::new();
    let mut client = hive.client();
    client.ok("write", json!({"path": "/data/page.txt", "text": "hello from inside", "origin": "argument"}));
    let words = ["python3", "-m", "http.server", "8097", "--bind", "127.0.0.1"];
    let given = json!({"command": words, "stdio": "pipe", "dir": "/data"});
    let params = json!({"agent": "guest", "text": "serve", "origin": "argument", "program": given});
    let pid = client.ok("spawn", params)["pid"].as_u64().unwrap();
    retry("its port", || hive.cli(&["ports"]).out.contains(":8097").then_some(()));
    assert!(fetch("127.0.0.1:8097").is_err(), "it is reached without being opened");
    let open = || {
        let mut child = hive.command(&["open", &format!("{pid}:8097")]);
        let mut child =
            child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        (child, address.unwrap_or_else(|| panic!("{line:?}")).to_owned())
    };
    let (mut child, address) = open();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| fetch(&address).unwrap())).collect();
        for one in all {
            assert!(one.join().unwrap().ends_with("hello from inside"));
        }
    });
    // Who sits before it leaves: it is closed.
    child.kill().unwrap();
    child.wait().unwrap();
    retry("it to be closed", || fetch(&address).is_err().then_some(()));
    // The process ends: it is closed, and who sat before it is told.
    let (child, address) = open();
    assert!(fetch(&address).unwrap().ends_with("hello from inside"));
    let held = TcpStream::connect(&address).unwrap();
    let ctl = |text: &str| json!({"path": format!("/proc/{pid}/ctl"), "text": text, "origin": "argument"});
    assert_eq!(client.refused("write", ctl("open 8098 at 18098"))["data"]["code"], "NotFound");
    let taken = address.rsplit(':').next().unwrap();
    assert_eq!(client.refused("write", ctl(&format!("open 8097 at {taken}")))["data"]["code"], "Busy");
    let mut inside = ctl("open 8097 at 18097");
    inside["token"] = json!(client.text(&format!("/proc/{pid}/token")).trim());
    assert_eq!(hive.client().refused("write", inside)["data"]["code"], "Denied");
    client.ok("signal", json!({"pid": pid, "signal": "kill"}));
    assert!(TcpStream::connect(&address).is_err());
    assert_eq!((&held).read(&mut [0; 8]).unwrap_or(0), 0);
    let ended = child.wait_with_output().unwrap();
    assert!(
        ended.status.success() && String::from_utf8_lossy(&ended.stderr).contains("has ended"),
        "{ended:?}"
    );
    let log = hive.cli(&["trace", "--pid", &pid.to_string()]).fine().out;
    assert!(log.contains("port 8097") && log.contains(&address), "{log}");
}

/// A health check that cannot even be made has failed: a program that leaves no room for one is ill.
#[test]
fn a_program_that_leaves_no_room_for_its_health_check_is_ill() {
    let hive = Hive::new();
    let main = "import os, signal\nwhile True:\n  try:\n    if os.fork() == 0: signal.pause()\n  except OSError: break\n\
                open(os.environ['HOME'] + '/full', 'w').close()\nsignal.pause()\n";
    let agent = "---\nname: full\nrun:\n  command: [python3, /agents/full/main.py]\n  healthcheck: {test: ['true'], \
                 interval: 1s, timeout: 5s, retries: 2, start_period: 1s}\nneeds: [read /agents/**, read /data/**, exec \
                 /data/**]\nrestart: on-failure:1\n---\n";
    for (name, text) in [("AGENT.md", agent), ("main.py", main)] {
        let path = format!("/agents/full/{name}");
        hive.client().ok("write", json!({"path": path, "text": text, "origin": "argument"}));
    }
    let born = hive.client().ok("spawn", json!({"agent": "full", "text": "go", "origin": "argument"}));
    let pid = born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"));
    retry("it to be full", || home_of(&hive, pid).filter(|home| home.join("full").exists()));
    retry("it to be red", || state(&hive, pid).contains("faulted").then_some(()));
    let log = hive.cli(&["logs", &pid.to_string()]).out;
    assert!(log.contains("could not be run"), "{log}");
    hive.cli(&["estop"]).fine();
}

/// What others write it sees in a while, also if it writes nothing; what fails beside it is not its fault.
#[test]
fn a_program_sees_what_others_write_and_goes_on_when_a_command_beside_it_does_not() {
    let hive = Hive::new();
    let line = "while :; do cat /data/in.md > $HOME/now && mv $HOME/now $HOME/seen; [ -e $HOME/say ] && \
                cp $HOME/say /data/said.md; sleep 0.05; done";
    let agent = format!(
        "---\nname: watch\nrun: {{command: '{line}'}}\n\
         needs: [read /data/**, write /data/**, exec /data/**]\n---\n"
    );
    hive.cli(&["write", "/data/in.md", "first\n"]).fine();
    hive.client().ok("write", json!({"path": "/agents/watch/AGENT.md", "text": agent, "origin": "argument"}));
    let born = hive.client().ok("spawn", json!({"agent": "watch", "text": "go", "origin": "argument"}));
    let pid = born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"));
    let sees = |want: &str| {
        let seen = || fs::read_to_string(home_of(&hive, pid)?.join("seen")).ok().filter(|seen| seen == want);
        retry(want, seen);
    };
    sees("first\n");
    let order = |dir: &str, text: &str| json!({"pid": pid, "dir": dir, "wall": "native", "text": text});
    hive.client().refused("exec", order("/data/none", "true"));
    let mut gone = hive.client();
    gone.post("exec", &order("/data", "touch $HOME/beside; sleep 8888.25")).unwrap();
    retry("a command beside it", || home_of(&hive, pid).filter(|home| home.join("beside").exists()));
    drop(gone);
    retry("its end", || (running("sleep\x008888.25") == 0).then_some(()));
    hive.cli(&["write", "/data/in.md", "second\n"]).fine();
    sees("second\n");
    fs::write(home_of(&hive, pid).unwrap().join("say"), "still here\n").unwrap();
    reads(&hive, "/data/said.md", "still here");
    hive.cli(&["write", "/data/in.md", "third\n"]).fine();
    sees("third\n");
    assert!(!state(&hive, pid).contains("killed"), "{}", state(&hive, pid));
    hive.cli(&["kill", &pid.to_string()]).fine();
}
