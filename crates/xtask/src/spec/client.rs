//! The real daemon in a home of its own, and a client of its socket. The home lies on a memory file system
//! where there is one, so that no measured time contains a durable barrier.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const MEMORY: &str = "/dev/shm";
/// A daemon that has not answered by then will not.
const START_MAX: Duration = Duration::from_secs(30);
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Between two tries to connect: well below what is measured.
const RETRY: Duration = Duration::from_micros(100);

/// A directory that goes away.
pub fn home() -> Result<TempDir, String> {
    let parent = if Path::new(MEMORY).is_dir() { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
    let made = tempfile::Builder::new().prefix("skep-spec-").tempdir_in(parent);
    made.map_err(|error| format!("a home: {error}"))
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    /// Process id on this host.
    pub pid: Pid,
    /// Its state directory.
    home: PathBuf,
    /// Whether its pid is nobody's any more.
    ended: bool,
}

impl Daemon {
    /// Starts it and waits for its first answer; says how long that took from `exec`.
    pub fn start(skep: &Path, home: &Path) -> Result<(Self, Duration), String> {
        Self::start_as(skep, &["up"], home)
    }

    /// The same for one that may make workspaces which lack a rule.
    pub fn start_demo(skep: &Path, home: &Path) -> Result<(Self, Duration), String> {
        Self::start_as(skep, &["up", "--demo"], home)
    }

    fn start_as(skep: &Path, words: &[&str], home: &Path) -> Result<(Self, Duration), String> {
        let begun = Instant::now();
        let mut command = Command::new(skep);
        command.args(words).env("SKEP_HOME", home).env_remove("SKEP_WORKSPACE");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", skep.display()))?;
        let mut client = loop {
            match Client::connect(home) {
                Ok(client) => break client,
                Err(message) if begun.elapsed() > START_MAX => return Err(message),
                Err(_) => std::thread::sleep(RETRY),
            }
        };
        client.call("list", json!({"path": "/"}))?;
        let took = begun.elapsed();
        let daemon = Self { pid: client.peer()?, home: home.to_owned(), ended: false };
        // `up` may stay in the foreground or start the daemon and leave: either way somebody must reap it.
        std::thread::spawn(move || child.wait());
        Ok((daemon, took))
    }

    /// Ends it as an operator would: workspaces are put to sleep first.
    pub fn down(mut self) -> Result<(), String> {
        let mut client = Client::connect(&self.home)?;
        client.call("write", json!({"path": "/sys/ctl", "text": "down"}))?;
        self.gone();
        Ok(())
    }

    /// Waits until nobody listens, and remembers that there is nobody left to kill.
    fn gone(&mut self) {
        let begun = Instant::now();
        while Client::connect(&self.home).is_ok() && begun.elapsed() < START_MAX {
            std::thread::sleep(RETRY);
        }
        self.ended = begun.elapsed() < START_MAX;
    }
}

impl Drop for Daemon {
    /// Ends it as a power cut would.
    fn drop(&mut self) {
        if !self.ended {
            // It may be dead already, which is what is wanted.
            kill_process(self.pid, Signal::KILL).ok();
            self.gone();
        }
    }
}

/// One connection.
pub struct Client {
    from: BufReader<UnixStream>,
    to: UnixStream,
    sent: u64,
}

impl Client {
    /// Connects to the daemon of a home.
    pub fn connect(home: &Path) -> Result<Self, String> {
        let to = UnixStream::connect(home.join("sock")).map_err(|error| format!("the socket: {error}"))?;
        to.set_read_timeout(Some(ANSWER_MAX)).map_err(|error| error.to_string())?;
        let from = BufReader::new(to.try_clone().map_err(|error| error.to_string())?);
        Ok(Self { from, to, sent: 0 })
    }

    /// The process at the other end.
    fn peer(&self) -> Result<Pid, String> {
        let peer = rustix::net::sockopt::socket_peercred(&self.to).map_err(|error| error.to_string())?;
        Ok(peer.pid)
    }

    /// Sends a request and does not wait.
    pub fn send(&mut self, method: &str, params: Value) -> Result<(), String> {
        self.sent += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.sent, "method": method, "params": params});
        let line = format!("{request}\n");
        self.to.write_all(line.as_bytes()).map_err(|error| format!("sending {method}: {error}"))
    }

    /// The next answer, notifications passed over.
    pub fn receive(&mut self) -> Result<Value, String> {
        loop {
            let mut line = String::new();
            let n = self.from.read_line(&mut line).map_err(|error| format!("an answer: {error}"))?;
            if n == 0 {
                return Err("the daemon closed the connection".to_owned());
            }
            let answer: Result<Value, _> = serde_json::from_str(&line);
            let mut answer = answer.map_err(|error| format!("an answer: {error}"))?;
            match (&answer["id"], &answer["error"]) {
                (Value::Null, Value::Null) => continue,
                (_, Value::Null) => return Ok(answer["result"].take()),
                (_, error) => return Err(error.to_string()),
            }
        }
    }

    /// Asks and waits.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.send(method, params)?;
        self.receive()
    }
}
