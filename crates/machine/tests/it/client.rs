//! A daemon in a temporary directory and a client that speaks lines.

use machine::{Daemon, Options};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// A state directory with a daemon on it.
pub struct Rig {
    pub home: TempDir,
    daemon: Option<Daemon>,
}

impl Rig {
    pub fn new() -> Self {
        let mut rig = Self { home: TempDir::new().unwrap(), daemon: None };
        rig.start();
        rig
    }

    pub fn start(&mut self) {
        let started =
            Daemon::start(self.home.path(), &self.socket(), Options { demo: true, ..Options::default() });
        self.daemon = Some(started.unwrap());
    }

    pub fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }

    /// Waits until an operator asks the daemon to end, and ends it.
    pub fn stop_when_asked(&mut self) {
        let daemon = self.daemon.take().unwrap();
        daemon.wait();
        daemon.stop();
    }

    pub fn socket(&self) -> PathBuf {
        self.home.path().join("sock")
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket())
    }

    /// The file of a workspace.
    pub fn file(&self, workspace: &str) -> PathBuf {
        self.home.path().join("workspaces").join(workspace).join("workspace.db")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }
}

/// One connection.
pub struct Client {
    pub socket: UnixStream,
    lines: BufReader<UnixStream>,
    next: u64,
}

impl Client {
    pub fn connect(socket: &Path) -> Self {
        let socket = UnixStream::connect(socket).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { lines: BufReader::new(socket.try_clone().unwrap()), socket, next: 0 }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next line; none when the daemon has closed.
    pub fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        self.send(format!("{request}\n").as_bytes());
        loop {
            let answer = self.line().expect("the daemon closed");
            if answer["id"] == self.next {
                return answer;
            }
        }
    }

    /// The result of a call that must succeed.
    pub fn ok(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params.clone());
        assert!(answer["error"].is_null(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// The code word of a call that must fail.
    pub fn code(&mut self, method: &str, params: Value) -> String {
        let answer = self.ask(method, params.clone());
        assert!(answer["result"].is_null(), "{method} {params}: {answer}");
        answer["error"]["data"]["code"].as_str().unwrap().to_owned()
    }

    #[cfg(feature = "plant")]
    /// The same call again until it is not `Unavailable` any more: its workspace is being loaded.
    pub fn until_available(&mut self, method: &str, params: Value) -> Value {
        loop {
            let answer = self.ask(method, params.clone());
            if answer["error"]["data"]["code"] != "Unavailable" {
                return answer;
            }
        }
    }
}
