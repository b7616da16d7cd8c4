//! A model server that is not ours, with a model that says nothing: llama-cpp-python from PyPI serves a llama
//! of random weights (`llama/tiny.py`), and an agent's run goes through it. In `torture` only: it is built
//! from source, and needs PyPI.

use serde_json::Value;
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What is installed, beside what it brings along.
const PACKAGES: [&str; 5] = ["cmake", "ninja", "numpy", "gguf", "llama-cpp-python[server]"];
/// How long the server may take to begin.
const BEGIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Ended with whoever holds it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Installs, serves, runs; says what does not hold.
pub fn llama(root: &Path) -> Result<(), String> {
    let dir = root.join("target/llama");
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let python = installed(&dir)?;
    let model = dir.join("tiny.gguf");
    ran(Command::new(&python).arg(root.join("crates/xtask/llama/tiny.py")).arg(&model))?;
    ran(Command::new("cargo").args(["build", "--locked", "-q", "-p", "skep"]).current_dir(root))?;
    let (_server, port) = serve(&python, &model)?;
    talk(&root.join("target/debug/skep"), &dir, port)
}

fn installed(dir: &Path) -> Result<PathBuf, String> {
    let python = dir.join("venv/bin/python");
    if !python.exists() {
        ran(Command::new("python3").args(["-m", "venv"]).arg(dir.join("venv")))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "-q"]).args(PACKAGES);
    ran(&mut pip).map_err(|error| format!("{error}\nhint: it needs PyPI and a C++ compiler"))?;
    Ok(python)
}

fn serve(python: &Path, model: &Path) -> Result<(Server, u16), String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = free.map_err(|error| error.to_string())?.port();
    let mut command = Command::new(python);
    command.args(["-m", "llama_cpp.server", "--host", "127.0.0.1", "--n_ctx", "16384"]);
    command
        .args(["--chat_format", "chatml", "--model_alias", "tiny", "--port", &port.to_string(), "--model"])
        .arg(model);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = command.spawn().map(Server).map_err(|error| format!("the server: {error}"))?;
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > BEGIN {
            return Err(format!("the server does not listen after {BEGIN:?}"));
        }
        thread::sleep(POLL);
    }
    Ok((server, port))
}

/// A provider is added by its URL, an agent runs on it, and the ledger says so.
fn talk(skep: &Path, dir: &Path, port: u16) -> Result<(), String> {
    let home = dir.join("home");
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    }
    let run = |args: &[&str]| said(Command::new(skep).args(args).env("SKEP_HOME", &home).env("HOME", &home));
    let url = format!("http://127.0.0.1:{port}");
    let added = run(&["model", "add", &url, "--name", "llama"]);
    let ran = added.and_then(|_| run(&["run", "Say something."]));
    let cost = ran.and_then(|_| run(&["cost", "--by", "model", "--json"]));
    let down = run(&["down"]);
    let cost: Value = serde_json::from_str(cost?.trim()).map_err(|error| error.to_string())?;
    down?;
    let total = &cost["total"];
    eprintln!("llama: {total}");
    let count = |key: &str| total[key].as_u64().unwrap_or_default();
    match (count("calls"), count("failed"), count("tokens_out")) {
        (1.., 0, 1..) => Ok(()),
        _ => Err(format!("the ledger of a run on a real server: {cost}")),
    }
}

fn ran(command: &mut Command) -> Result<(), String> {
    said(command).map(drop)
}

/// What it printed, if it ended well.
fn said(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?} failed\n{}", String::from_utf8_lossy(&output.stderr)))
}
