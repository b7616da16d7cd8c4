//! The default that a client was built with, as the client itself says it: run in a wall of its own, with no
//! network, no file of the operator, and little time.
//!
//! ```text
//! npm config get registry     → the registry
//! python3 -c …                → pip's index, and where the files are that it lists
//! cargo search x              → an error that names the index which it cannot reach
//! ```
//! Candidates are the programs that every sandbox shows, then those on the daemon's path, then where two
//! managers of versions keep theirs. Never here: what is done with an answer.

use super::{
    files::{Variable, stamp},
    url::Url,
};
use crate::node::Node;
use sandbox::jail::{self, Command, Need, Root, Running, Spec, Terminal};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// A client.
struct Client {
    /// Its program, and how it is asked.
    program: &'static str,
    words: &'static str,
    /// URLs of what it says that count.
    count: usize,
    /// Below HOME: directories, one for each of its versions, with a `bin` in them.
    versions: &'static str,
}

/// In the order of `CLIENTS`.
const ALL: [Client; 3] = [
    Client {
        program: "npm",
        words: "npm config get registry 2>/dev/null",
        count: 1,
        versions: ".nvm/versions/node",
    },
    Client {
        program: "python3",
        words: "python3 -c 'from pip._internal.models.index import PyPI; \
                print(PyPI.simple_url, \"https://\" + PyPI.file_storage_domain + \"/\")' 2>/dev/null",
        count: 2,
        versions: ".pyenv/versions",
    },
    Client {
        program: "cargo",
        words: "CARGO_NET_RETRY=0 CARGO_HTTP_TIMEOUT=2 cargo search x 2>&1",
        count: 1,
        versions: ".rustup/toolchains",
    },
];
/// Programs of one name that are tried.
const CANDIDATES_MAX: usize = 4;
/// How long all of it may take.
const WHOLE_US: u64 = 10_000_000;
/// After this it is tried again where nothing was found out.
const AGAIN_US: u64 = 60_000_000;
/// Bytes of an answer; a pipe holds more.
const ANSWER_BYTES: usize = 16 * 1024;
/// Walls so far: each has a directory of its own.
static WALLS: AtomicU64 = AtomicU64::new(0);

type Stamp = Option<(SystemTime, u64)>;

/// What a client said.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub found: Result<Vec<Url>, String>,
    /// When it was asked; monotonic.
    pub at: u64,
    /// Whether there is one.
    pub is_installed: bool,
    /// The programs of that name, as they were.
    programs: Vec<(PathBuf, Stamp)>,
}

impl Told {
    /// Whether it needs not be asked again.
    fn stands(&self, now: u64) -> bool {
        let is_old = self.found.is_err() && now.saturating_sub(self.at) > AGAIN_US;
        !is_old && self.programs.iter().all(|(path, was)| stamp(path) == *was)
    }
}

/// Asks those of whom it has to be known and is not.
pub(super) fn ask(node: &Node, which: [bool; 3], told: &mut [Option<Told>; 3]) {
    let now = node.clock.mono();
    let mut open = Vec::new();
    for (index, (client, slot)) in ALL.iter().zip(told.iter_mut()).enumerate() {
        if which.get(index) != Some(&true) || slot.as_ref().is_some_and(|told| told.stands(now)) {
            continue;
        }
        let candidates = candidates(client, node.options.variable);
        let programs = candidates.iter().map(|dir| dir.join(client.program));
        let programs: Vec<(PathBuf, Stamp)> = programs.map(|path| (path.clone(), stamp(&path))).collect();
        let is_installed = !programs.is_empty();
        let none = format!("{} is not on this host", client.program);
        *slot = Some(Told { found: Err(none), at: now, is_installed, programs });
        if is_installed {
            open.push((client, candidates, slot));
        }
    }
    if open.is_empty() {
        return;
    }
    let tools: BTreeSet<PathBuf> =
        open.iter().flat_map(|(_, dirs, _)| dirs.iter().filter_map(|dir| tool(dir))).collect();
    let asked = Asking::begin(node, &tools).map_err(|error| format!("no wall to ask it in: {error}"));
    for round in 0..CANDIDATES_MAX {
        let left = WHOLE_US.saturating_sub(node.clock.mono().saturating_sub(now));
        let wait = Duration::from_micros(left);
        let mut run = Vec::new();
        for (client, dirs, slot) in &mut open {
            let (Some(dir), Some(told)) = (dirs.get(round), slot.as_mut()) else { continue };
            if told.found.is_err() {
                let begun =
                    asked.as_ref().map_err(Clone::clone).and_then(|asking| asking.run(client.words, dir));
                run.push((client.count, begun, told));
            }
        }
        for (count, begun, told) in run {
            told.found = begun.and_then(|(running, output)| answer(running, output, wait, count));
        }
    }
}

/// Waits for an answer, and reads it.
fn answer(running: Running, mut output: File, wait: Duration, count: usize) -> Result<Vec<Url>, String> {
    // What does not end is ended with its wall.
    running.wait_for(wait).map_err(|_| "it did not say in time".to_owned())?;
    let mut bytes = vec![0; ANSWER_BYTES];
    let read = output.read(&mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes.get(..read).unwrap_or_default()).into_owned();
    let urls = urls(&text, count);
    if urls.is_empty() { Err("it does not say which registry it asks".to_owned()) } else { Ok(urls) }
}

/// The first URLs in a text.
fn urls(text: &str, count: usize) -> Vec<Url> {
    let words = text.split(|sign: char| sign.is_whitespace() || ['`', '"', '\'', '(', ')'].contains(&sign));
    words.filter_map(Url::parse).take(count).collect()
}

/// Directories in which a program of this name is.
fn candidates(client: &Client, variable: Variable) -> Vec<PathBuf> {
    let shown = jail::ENV.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| (*path).to_owned());
    let paths = shown.into_iter().chain(variable("PATH"));
    let mut dirs: Vec<PathBuf> =
        paths.flat_map(|path| path.split(':').map(PathBuf::from).collect::<Vec<_>>()).collect();
    let versions = variable("HOME").map(|home| Path::new(&home).join(client.versions));
    let below = versions.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    let mut below: Vec<PathBuf> = below.map(|dir| dir.path().join("bin")).collect();
    below.sort();
    dirs.extend(below);
    let has = |dir: &PathBuf| {
        let about = fs::metadata(dir.join(client.program));
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let mut seen = BTreeSet::new();
    let real = dirs.iter().filter(|dir| dir.is_absolute()).filter_map(|dir| fs::canonicalize(dir).ok());
    let home = variable("HOME").and_then(|home| fs::canonicalize(home).ok());
    let may = |dir: &PathBuf| is_shown(dir) || home.as_ref().is_none_or(|home| own_prefix(dir, home));
    real.filter(has).filter(may).filter(|dir| seen.insert(dir.clone())).take(CANDIDATES_MAX).collect()
}

fn is_shown(dir: &Path) -> bool {
    jail::host_parts().iter().any(|part| dir.starts_with(&part.source))
}

/// Whether a directory of programs belongs to a prefix of its own, in which nothing else of a home is: what
/// is directly below a home, as `.cargo` or `.local`, holds keys and words of the operator.
fn own_prefix(dir: &Path, home: &Path) -> bool {
    let Some(prefix) = dir.parent().filter(|_| dir.ends_with("bin")) else { return false };
    let direct = prefix.parent().is_none_or(|above| above == home);
    !direct && !home.starts_with(prefix)
}

/// What has to be shown for the programs of this directory.
fn tool(dir: &Path) -> Option<PathBuf> {
    if is_shown(dir) { None } else { dir.parent().map(Path::to_owned) }
}

/// A wall in which clients are asked.
struct Asking {
    jail: Option<jail::Jail>,
    dir: PathBuf,
}

impl Asking {
    fn begin(node: &Node, tools: &BTreeSet<PathBuf>) -> Result<Self, String> {
        let dir = node.home.join(format!("ask.{}", WALLS.fetch_add(1, Ordering::Relaxed)));
        let mut asking = Self { jail: None, dir: dir.clone() };
        let made = ["root", "home"].iter().try_for_each(|name| fs::create_dir_all(dir.join(name)));
        made.map_err(|error| error.to_string())?;
        let mut spec = Spec::new(Root::Dir(dir.join("root")));
        spec.home = Some(dir.join("home"));
        tools.iter().for_each(|dir| spec.tool(dir));
        let begun = node.wall.start(&spec);
        let alone = !rustix::process::geteuid().is_root() && matches!(begun, Err(jail::Error::Missing(_)));
        let begun = if alone { node.wall.start(&Spec { need: Need::EachProcess, ..spec }) } else { begun };
        let ready = begun.and_then(jail::Starting::ready).map_err(|error| error.to_string())?;
        asking.jail = Some(ready);
        Ok(asking)
    }

    /// Begins to ask.
    fn run(&self, words: &str, dir: &Path) -> Result<(Running, File), String> {
        let told = |error: io::Error| error.to_string();
        let (output, write) = io::pipe().map_err(told)?;
        let again = write.try_clone().map_err(told)?;
        let null = File::open("/dev/null").map_err(told)?;
        let path = format!("PATH={}:\"$PATH\"; {words}", abi::agent::quoted(&dir.display().to_string()));
        let order = Command {
            argv: ["/bin/sh", "-c", &path].map(Into::into).to_vec(),
            env: Vec::new(),
            cwd: jail::HOME.into(),
            stdio: [null.into(), write.into(), again.into()],
            terminal: Terminal::None,
            cpu_seconds: 10,
            file_bytes: 0,
        };
        let jail = self.jail.as_ref().ok_or("the wall has gone")?;
        let running = jail.exec(&order).map_err(|error| error.to_string())?;
        Ok((running, File::from(OwnedFd::from(output))))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(jail) = self.jail.take() {
            let _ = jail.kill();
        }
        let _ = jail::remove_home(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_found_in_what_a_client_says() {
        let of = |text: &str, count| urls(text, count).into_iter().map(|url| url.text).collect::<Vec<_>>();
        assert_eq!(of("https://r.example/\n", 1), ["https://r.example/"]);
        let two = "https://i.example/simple https://f.example/\n";
        assert_eq!(of(two, 2), ["https://i.example/simple", "https://f.example/"]);
        let cargo = "error: download of config.json failed\n\nCaused by:\n  failed to download from \
                     `https://i.example/config.json`\n\nCaused by: see https://other.example/\n";
        assert_eq!(of(cargo, 1), ["https://i.example/config.json"]);
        assert_eq!(of("no such option", 1), [""; 0]);
    }

    #[test]
    fn what_lies_directly_in_a_home_is_not_shown() {
        let home = Path::new("/home/anna");
        for (dir, may) in [
            ("/home/anna/.rustup/toolchains/stable/bin", true),
            ("/opt/python/3.12/bin", true),
            ("/home/anna/.cargo/bin", false),
            ("/home/anna/.local/bin", false),
            ("/home/anna/bin", false),
            ("/home/bin", false),
            ("/home/anna/.pyenv/shims", false),
        ] {
            assert_eq!(own_prefix(Path::new(dir), home), may, "{dir}");
        }
    }
}
