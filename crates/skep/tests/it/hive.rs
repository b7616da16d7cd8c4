//! A home with a real daemon: started from the built binary, spoken to through its socket and its command
//! line, ended by its process id when the test is over. Every wait here has an end; nothing sleeps but
//! `retry`.
//!
//! ```text
//! TempDir ─┬─ home/        SKEP_HOME: node.db, lock, sock, workspaces/…
//!          └─ daemon.err   what a daemon said that `start` started
//! ```

use abi::result::{Field, Form, Holds, There, forms};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use serde_json::{Map, Value, json};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The binary under test.
pub const SKEP: &str = env!("CARGO_BIN_EXE_skep");
/// What no single wait may exceed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Tries until there is an answer; panics with what was waited for when there is none in time.
pub fn retry<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        // The one pause of these tests: what is waited for belongs to another process and cannot wake us.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Ran {
    /// The same, if it ended well.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The same, if it ended with this code.
    #[track_caller]
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// A directory of work that can be bound: not below what a wall lays something over, wherever tests are.
pub fn place_of_work(prefix: &str) -> TempDir {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(own).unwrap();
    let covered = ["/tmp", "/var", "/opt", "/run", "/usr"];
    let places = [own, Path::new("/srv"), Path::new("/home"), Path::new("/root")];
    let open = places.iter().filter_map(|place| place.canonicalize().ok());
    let open = open.filter(|place| !covered.iter().any(|above| place.starts_with(above)));
    let made = open.map(|place| tempfile::Builder::new().prefix(prefix).tempdir_in(place));
    let dir = made.flatten().next().expect("a directory that can be bound, as /srv or /home");
    // Other users go in and out, as in a home.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), mode).unwrap();
    dir
}

/// Runs a command to its end, without a terminal, within a minute.
pub fn run(command: &mut Command) -> Ran {
    run_on(command, "")
}

/// The same with this for its standard input, a few lines.
pub fn run_on(command: &mut Command, input: &str) -> Ran {
    let started = Instant::now();
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Who ends before having read it all says so by its exit code.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let (out, err) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if started.elapsed() > PATIENCE * 2 => break None,
            None => std::thread::park_timeout(Duration::from_millis(1)),
        }
    };
    let Some(status) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} does not end");
    };
    let took = started.elapsed();
    Ran { code: status.code().unwrap_or(-1), out: out.join().unwrap(), err: err.join().unwrap(), took }
}

fn gather(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::Builder::new()
        .spawn(move || {
            let mut bytes = Vec::new();
            from.unwrap().read_to_end(&mut bytes).unwrap();
            String::from_utf8(bytes).expect("output is UTF-8")
        })
        .unwrap()
}

/// A state directory of its own, with or without a daemon.
pub struct Hive {
    dir: TempDir,
    child: Option<Child>,
    /// Where the socket is when it is not in the home.
    elsewhere: Option<PathBuf>,
}

impl Hive {
    /// An empty one: nothing runs, the home does not exist yet.
    pub fn bare() -> Self {
        Self { dir: TempDir::with_prefix("skep-").unwrap(), child: None, elsewhere: None }
    }

    /// The same, but its daemon is to be started with this socket, outside the home.
    pub fn with_socket_outside() -> Self {
        let mut hive = Self::bare();
        hive.elsewhere = Some(hive.around().join("sock"));
        hive
    }

    /// One with a daemon that answers.
    pub fn new() -> Self {
        let mut hive = Self::bare();
        hive.start();
        hive
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The directory around the home, for mailboxes and the like.
    pub fn around(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.elsewhere.clone().unwrap_or_else(|| self.home().join("sock"))
    }

    /// The file of a workspace.
    pub fn file(&self, workspace: &str) -> PathBuf {
        self.home().join("workspaces").join(workspace).join("workspace.db")
    }

    /// The binary with the environment of this home and nothing else of ours.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SKEP);
        command.args(args).env_clear().env("SKEP_HOME", self.home()).env("HOME", self.dir.path());
        // Where a program is run becomes part of a workspace: never where the tests are.
        command.current_dir(self.dir.path());
        command
    }

    /// Runs a command line to its end. It starts a daemon if it needs one.
    pub fn cli(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Starts the daemon as a child of ours and waits until it answers.
    pub fn start(&mut self) {
        let command = self.command(&["up"]);
        self.start_as(command);
    }

    /// The same with a command that becomes, or starts, the daemon of this home.
    pub fn start_as(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "a daemon runs already");
        let err = File::options().append(true).create(true).open(self.dir.path().join("daemon.err")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let up = retry("a daemon that answers", || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            UnixStream::connect(self.socket()).is_ok().then_some(true)
        });
        assert!(up, "the daemon ended: {}", self.said());
        self.child = Some(child);
    }

    /// What daemons of `start` wrote to their standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("daemon.err")).unwrap_or_default()
    }

    /// The process id of the daemon that `start` started.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("no daemon was started").id()
    }

    /// Whether that daemon still runs.
    pub fn alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("no daemon was started");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the daemon in order, whoever started it, and waits until its lock is free.
    pub fn stop(&mut self) {
        end(&self.home());
        if let Some(mut child) = self.child.take() {
            let code = retry("the daemon's exit", || child.try_wait().unwrap());
            assert!(code.success(), "{code}: {}", self.said());
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket())
    }
}

impl Drop for Hive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- daemon.err\n{}---", self.said());
        }
        // A daemon in a mount namespace of its own shows no lock here: it is known as a child only.
        end(&self.home());
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The demo's home lies beside ours and may have a daemon too.
        end(&self.dir.path().join("home-demo"));
    }
}

/// The process id of the daemon that holds a home. The lock decides whether there is one: a process id in a
/// file may be anybody's by now.
pub fn holder(home: &Path) -> Option<Pid> {
    let lock = File::open(home.join("lock")).ok()?;
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let pid = fs::read_to_string(home.join("lock")).ok()?.trim().parse().ok()?;
    Pid::from_raw(pid)
}

/// Ends the daemon that holds a home, if there is one, and waits until it has gone.
pub fn end(home: &Path) {
    if let Some(pid) = holder(home) {
        let _ = kill_process(pid, Signal::TERM);
        retry("the daemon to let go of its lock", || holder(home).is_none().then_some(()));
    }
}

/// One connection that speaks lines.
pub struct Client {
    pub socket: UnixStream,
    lines: BufReader<UnixStream>,
    next: u64,
}

impl Client {
    pub fn connect(socket: &Path) -> Self {
        let stream = retry("a socket that takes us", || UnixStream::connect(socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { lines: BufReader::new(stream.try_clone().unwrap()), socket: stream, next: 0 }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next line; none when the daemon has closed or died.
    pub fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) if !line.ends_with('\n') => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if is_gone(&error) => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Sends a request and answers its id; the caller reads the answer.
    pub fn post(&mut self, method: &str, params: &Value) -> io::Result<u64> {
        self.next += 1;
        self.socket.write_all(request(self.next, method, params).as_bytes())?;
        Ok(self.next)
    }

    /// One request and its answer; none when the daemon has gone.
    pub fn try_ask(&mut self, method: &str, params: &Value) -> Option<Value> {
        let id = match self.post(method, params) {
            Ok(id) => id,
            Err(error) if is_gone(&error) => return None,
            Err(error) => panic!("{method}: {error}"),
        };
        loop {
            let answer = self.line()?;
            if answer["id"] == id {
                fits(method, &answer["result"]);
                return Some(answer);
            }
        }
    }

    #[track_caller]
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.try_ask(method, params).unwrap_or_else(|| panic!("the daemon closed at {method} {params}"))
    }

    /// The result of a call that must succeed.
    #[track_caller]
    pub fn ok(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, &params);
        assert!(answer["error"].is_null(), "{method} {params}: {answer}");
        answer["result"].take()
    }

    /// The error object of a call that must fail.
    #[track_caller]
    pub fn refused(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, &params);
        assert!(answer["result"].is_null(), "{method} {params:.200}: {answer}");
        answer["error"].take()
    }

    /// The text of a file.
    #[track_caller]
    pub fn text(&mut self, path: &str) -> String {
        let answer = self.ok("read", json!({ "path": path }));
        answer["text"].as_str().unwrap_or_else(|| panic!("{path} is no text: {answer}")).to_owned()
    }

    /// Words to `/sys/ctl`.
    #[track_caller]
    pub fn control(&mut self, words: &str) -> Value {
        self.ok("write", json!({ "path": "/sys/ctl", "text": words, "origin": "argument" }))
    }

    /// Every record of a workspace.
    #[track_caller]
    pub fn log(&mut self, workspace: &str) -> Vec<Value> {
        let (mut records, mut from) = (Vec::new(), 0);
        loop {
            let page = self.ok("trace", json!({ "from": from, "workspace": workspace }));
            let fresh = page["records"].as_array().unwrap();
            let Some(last) = fresh.last() else { return records };
            from = last["seq"].as_u64().unwrap();
            records.extend(fresh.iter().cloned());
        }
    }
}

/// Every answer that any of these tests asks for has one of the forms of the table, whole.
#[track_caller]
fn fits(method: &str, result: &Value) {
    // No call, but keys for a program.
    if method == "terminal" {
        return;
    }
    let fits = |form: &Form| result.as_object().is_some_and(|map| has_fields(form.fields, map));
    assert!(result.is_null() || forms(method).any(fits), "{method} answers in no known form: {result}");
}

fn has_fields(fields: &[Field], map: &Map<String, Value>) -> bool {
    let holds = |holds: Holds, value: &Value| match holds {
        Holds::Text => value.is_string(),
        Holds::Number => value.is_u64(),
        Holds::Flag => value.is_boolean(),
        Holds::Texts => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        Holds::Numbers => value.as_array().is_some_and(|all| all.iter().all(Value::is_u64)),
        Holds::Logged => value.is_object() || value.is_string(),
        Holds::LoggedRows => value.as_array().is_some_and(|all| all.iter().all(Value::is_object)),
        Holds::Pairs => value.as_array().is_some_and(|all| all.iter().all(Value::is_array)),
        Holds::Rows(fields) => value.as_array().is_some_and(|all| {
            all.iter().all(|row| row.as_object().is_some_and(|map| has_fields(fields, map)))
        }),
    };
    let known = map.keys().all(|key| fields.iter().any(|field| field.name == key));
    known
        && fields.iter().all(|field| match map.get(field.name) {
            None => field.there == There::Sometimes,
            Some(Value::Null) => field.there == There::OrNull,
            Some(value) => holds(field.holds, value),
        })
}

/// A request as a line.
pub fn request(id: u64, method: &str, params: &Value) -> String {
    format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

/// The value of a line `key value` of a status file.
pub fn field<'a>(card: &'a str, key: &str) -> &'a str {
    let found = card.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {key} in {card}")).trim()
}
