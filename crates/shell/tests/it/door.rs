//! A daemon that is a table: for each method and path the JSON it answers. It keeps what it was asked.

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr},
};
use serde_json::{Value, json};
use shell::{Hands, Place, Proof, Proved, Start};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

/// What was asked: method and arguments.
pub type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// Rows: method, the path (or another telling argument), answer. One with `code` and `message` is an error.
pub type Rows = Vec<(&'static str, &'static str, Value)>;

/// Listens at the socket until the test ends.
pub fn open(socket: &Path, rows: Rows) -> Asked {
    let listener = UnixListener::bind(socket).expect("a socket");
    let asked: Asked = Arc::default();
    let kept = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (rows, asked) = (rows.clone(), kept.clone());
            thread::spawn(move || serve(&stream.expect("a client"), &rows, &asked));
        }
    });
    asked
}

fn serve(stream: &UnixStream, rows: &Rows, asked: &Asked) {
    let mut out = stream.try_clone().expect("the same stream");
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let request: Value = serde_json::from_str(&line).expect("a request is JSON");
        let method = request["method"].as_str().expect("a method").to_owned();
        let params = request["params"].clone();
        let key = ["path", "pid", "proposal", "agent", "from", "why"]
            .iter()
            .find_map(|key| params.get(key))
            .cloned();
        let key =
            key.map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned)).unwrap_or_default();
        asked.lock().expect("one writer").push((method.clone(), params));
        let row = rows.iter().find(|(name, about, _)| *name == method && *about == key);
        let missing =
            json!({"code": -33002, "message": format!("{method} {key}"), "data": {"code": "NotFound"}});
        let answer = row.map_or(missing, |(_, _, answer)| answer.clone());
        let id = &request["id"];
        let reply = match answer.get("code").is_some() && answer.get("message").is_some() {
            true => json!({"jsonrpc": "2.0", "id": id, "error": answer}),
            false => json!({"jsonrpc": "2.0", "id": id, "result": answer}),
        };
        if writeln!(out, "{reply}").is_err() {
            return;
        }
        if let Some(Value::Array(notes)) = answer.get("then") {
            for note in notes {
                let note = json!({"jsonrpc": "2.0", "method": "record", "params": {"record": note}});
                writeln!(out, "{note}").expect("the client reads");
            }
        }
    }
}

/// Runs the shell in a process of its own against a door with these rows; answers the transcript and what
/// was asked.
pub fn transcript(words: &[&str], rows: Rows) -> (String, Vec<(String, Value)>) {
    let home = tempfile::tempdir().expect("a directory");
    let asked = open(&home.path().join("sock"), rows);
    let text = run(words, home.path());
    let asked = asked.lock().expect("one writer").clone();
    (text, asked)
}

/// The same on a terminal at which this was typed: what it shows, lines ended as text is.
pub fn typed(words: &[&str], keys: &str, rows: Rows) -> (String, Vec<(String, Value)>) {
    let home = tempfile::tempdir().expect("a directory");
    let asked = open(&home.path().join("sock"), rows);
    let mut master = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal"));
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal of ours");
    let name = ptsname(&master, Vec::new()).expect("its name").into_string().expect("a path");
    let desk = File::options().read(true).write(true).open(name).expect("its other end");
    let mut modes = tcgetattr(&desk).expect("its modes");
    modes.local_modes -= LocalModes::ECHO;
    tcsetattr(&desk, OptionalActions::Now, &modes).expect("no echo");
    master.write_all(keys.as_bytes()).expect("typed");
    let end = || Stdio::from(desk.try_clone().expect("the terminal"));
    let mut command = shell(words, home.path());
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it runs");
    // The command keeps its ends as long as it lives.
    drop((command, desk));
    // Reading fails when nobody holds the other end any more.
    let mut shown = Vec::new();
    let _ = master.read_to_end(&mut shown);
    child.wait().expect("it ends");
    let shown = String::from_utf8(shown).expect("text").replace("\r\n", "\n");
    let text =
        shown.split(MARK).nth(1).unwrap_or("(no mark)").replace(&*home.path().to_string_lossy(), "HOME");
    let asked = asked.lock().expect("one writer").clone();
    (text, asked)
}

/// Runs the shell where no daemon is; starting one fails.
pub fn alone(words: &[&str]) -> String {
    let home = tempfile::tempdir().expect("a directory");
    run(words, home.path())
}

/// The shell prints to the real stdout, so this test program runs itself as the shell.
fn run(words: &[&str], home: &Path) -> String {
    let done = shell(words, home).output().expect("it runs");
    let clean = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).expect("text").replace(&*home.to_string_lossy(), "HOME")
    };
    let out = clean(&done.stdout);
    let out = out.split(MARK).nth(1).unwrap_or("(no mark)").to_owned();
    let mut text = String::new();
    for (sign, part) in [('|', out.as_str()), ('!', clean(&done.stderr).as_str())] {
        for line in part.lines().filter(|line| !line.is_empty()) {
            text.push_str(format!("{sign} {line}").trim_end());
            text.push('\n');
        }
    }
    text
}

fn shell(words: &[&str], home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["door::as_shell", "--exact", "--nocapture", "--test-threads=1"])
        .env("SHELL_UNDER_TEST", serde_json::to_string(words).expect("words"))
        .env("SHELL_HOME", home)
        .env("NO_COLOR", "1")
        .env_remove("SKEP_WORKSPACE");
    command
}

/// Where the shell's own output begins and ends between the test program's.
const MARK: &str = "\u{1e}";

/// Not a test of its own: the shell, when a test has asked for it.
#[test]
fn as_shell() {
    let Ok(words) = std::env::var("SHELL_UNDER_TEST") else { return };
    let words: Vec<String> = serde_json::from_str(&words).expect("words");
    let home = std::path::PathBuf::from(std::env::var("SHELL_HOME").expect("a home"));
    let place = Place { socket: home.join("sock"), home };
    let start = |_: &Place, _: Start| Err(std::io::Error::other("this test starts no daemon"));
    print!("{MARK}");
    let args = std::iter::once("skep".to_owned()).chain(words).collect();
    let prove = |proof: &Proof| {
        let json = format!("{{\"holds\":{}}}", proof.key.is_none());
        Proved { holds: proof.key.is_none(), text: format!("{proof:?}\n"), json }
    };
    let exit = shell::main(
        args,
        place,
        Hands {
            start: &start,
            prove: &prove,
            variable: &|_| None,
            look: &|_| Vec::new(),
            walls: &Vec::new,
            browse: &|_| {},
            npm: &|_, _| Ok(false),
        },
    );
    println!("exit {exit}{MARK}");
}
