//! A model server that is not ours: aimock, started on a free port of the loopback with a plan of answers,
//! and ended by its process id. Tests of other crates take this file in by its path:
//!
//! ```text
//! #[path = "../../../drivers/tests/aimock/start.rs"]
//! mod aimock;
//! let server = aimock::Aimock::start(Path::new("plan.json"), None);   // server.url
//! ```
//! It is installed with npm once, from the lock file beside this one, into the target directory. Without node
//! and npm a test fails and says what to do. Never here: anything of ours but the standard library.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::Builder;

/// What pins the version.
const PACKAGE: &str = include_str!("package.json");
/// And every byte of it.
const LOCK: &str = include_str!("package-lock.json");
/// What starts it, below where it was installed.
const PROGRAM: &str = "node_modules/@copilotkit/aimock/dist/cli.cjs";

/// A running one.
pub struct Aimock {
    /// Its base URL, without `/v1`.
    pub url: String,
    child: Child,
}

impl Aimock {
    /// Starts one that answers by a file of fixtures. With a key, it opens to nobody else.
    pub fn start(plan: &Path, key: Option<&str>) -> Self {
        let mut command = Command::new("node");
        command.arg(installed().join(PROGRAM));
        command.args(["--port", "0", "--validate-on-load", "--fixtures"]).arg(plan);
        command.env_remove("AIMOCK_API_KEYS").envs(key.map(|key| ("AIMOCK_API_KEYS", key)));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("node: {error}; {HINT}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("listening on ")?.1.trim().to_owned()));
        let url = url.unwrap_or_else(|| panic!("aimock did not start with {}", plan.display()));
        // What it says of each request is read, so that it never waits for a reader.
        Builder::new().spawn(move || lines.for_each(drop)).unwrap();
        Self { url, child }
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HINT: &str = "hint: apt-get install nodejs npm, or make test, which does it";

/// Where it is installed; does it first if it is not, one process at a time.
fn installed() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (dir, lock) = (base.join("aimock"), File::create(base.join("aimock.lock")).unwrap());
    lock.lock().unwrap();
    // Written last: what says this was installed whole.
    let mark = dir.join("installed.json");
    if fs::read_to_string(&mark).is_ok_and(|text| text == LOCK) {
        return dir;
    }
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("package.json"), PACKAGE).unwrap();
    fs::write(dir.join("package-lock.json"), LOCK).unwrap();
    let mut command = Command::new("npm");
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]);
    let status = command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("npm: {error}; {HINT}"));
    assert!(status.success(), "npm ci failed ({status}); {HINT}");
    fs::write(&mark, LOCK).unwrap();
    dir
}
