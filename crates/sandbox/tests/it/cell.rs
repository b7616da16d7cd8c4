//! A sandbox for a test: a directory for its root, one for its HOME, and commands whose output is wanted.

use rustix::{
    fd::OwnedFd,
    pipe::{PipeFlags, pipe_with},
};
use sandbox::jail::{Command, Ended, Error, Jail, Process, Root, Running, Spec, Terminal, Wall};
use std::{
    fs::{self, File},
    io::Read,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The helper of these tests; an ordinary user is given a copy that it can reach.
pub fn helper() -> PathBuf {
    std::env::var_os("SKEP_WALL_HELPER").map_or_else(|| env!("CARGO_BIN_EXE_skep-wall").into(), PathBuf::from)
}

/// After this a command is held to hang.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A sandbox and the directories that it stands on.
pub struct Cell {
    pub jail: Jail,
    _wall: Arc<Wall>,
    dir: TempDir,
}

/// Whether this run is root's; else it is an ordinary user's.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub out: String,
    pub ended: Ended,
}

/// What a command's standard input, output and error are: nothing, and one pipe for both.
pub fn stdio() -> ([OwnedFd; 3], OwnedFd) {
    let (out, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let null = File::open("/dev/null").unwrap();
    ([null.into(), write.try_clone().unwrap(), write], out)
}

pub fn command(argv: &[&str]) -> (Command, OwnedFd) {
    let (stdio, out) = stdio();
    let argv = argv.iter().map(|word| (*word).into()).collect();
    let command = Command {
        argv,
        env: Vec::new(),
        cwd: PathBuf::from("/"),
        stdio,
        terminal: Terminal::None,
        cpu_seconds: 0,
        file_bytes: 0,
    };
    (command, out)
}

impl Cell {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With a spec that is changed before the start.
    pub fn with(change: impl FnOnce(&mut Spec)) -> Self {
        Self::start(change).unwrap_or_else(|error| panic!("{error}\nhint: {}", error.hint()))
    }

    pub fn start(change: impl FnOnce(&mut Spec)) -> Result<Self, Error> {
        Self::on(&Arc::new(Wall::new(helper())), change)
    }

    /// Beside others of the same daemon.
    pub fn on(wall: &Arc<Wall>, change: impl FnOnce(&mut Spec)) -> Result<Self, Error> {
        Self::build(wall, change).map(|(cell, _)| cell)
    }

    /// With listeners of ours inside.
    pub fn listening(ports: &[u16]) -> (Self, Vec<TcpListener>) {
        Self::build(&Arc::new(Wall::new(helper())), |spec| spec.listeners = ports.into()).unwrap()
    }

    fn build(wall: &Arc<Wall>, change: impl FnOnce(&mut Spec)) -> Result<(Self, Vec<TcpListener>), Error> {
        let dir = TempDir::with_prefix("skep-wall-").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["root", "home"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let mut spec = Spec::new(Root::Dir(dir.path().join("root")));
        spec.home = Some(dir.path().join("home"));
        change(&mut spec);
        let mut starting = wall.start(&spec)?;
        let listeners = starting.take_listeners();
        let jail = starting.ready()?;
        Ok((Self { jail, _wall: wall.clone(), dir }, listeners))
    }

    /// Where its root is on the host.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Where its HOME is on the host.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Its processes, when there are this many.
    pub fn wait_processes(&self, count: usize) -> Vec<Process> {
        let begun = Instant::now();
        loop {
            let all = self.jail.processes();
            if all.len() >= count {
                return all;
            }
            assert!(begun.elapsed() < DEADLINE, "{all:?}");
            std::thread::yield_now();
        }
    }

    /// The control groups of its init.
    pub fn groups(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", self.jail.pid())).unwrap();
        let paths =
            text.lines().filter_map(|line| line.rsplit_once(':')).filter(|(_, path)| path.contains("skep-"));
        let dir = |(left, path): (&str, &str)| {
            let name = left.split_once(':').map_or("", |(_, name)| name);
            let name = if name.is_empty() { "unified" } else { name };
            PathBuf::from(format!("/sys/fs/cgroup/{name}{path}"))
        };
        paths.map(dir).collect()
    }

    /// Ends it: how long until it was gone.
    pub fn end(self) -> Duration {
        let begun = Instant::now();
        self.jail.kill().unwrap();
        begun.elapsed()
    }

    pub fn spawn(&self, argv: &[&str]) -> (Running, OwnedFd) {
        let (command, out) = command(argv);
        let running = self.jail.exec(&command).unwrap_or_else(|error| panic!("{argv:?}: {error}"));
        (running, out)
    }

    pub fn run(&self, argv: &[&str]) -> Ran {
        let (running, out) = self.spawn(argv);
        let mut text = Vec::new();
        File::from(out).read_to_end(&mut text).unwrap();
        let ended = running.wait_for(DEADLINE).unwrap_or_else(|_| panic!("{argv:?} hangs"));
        Ran { out: String::from_utf8_lossy(&text).into_owned(), ended }
    }

    /// A script in bash.
    pub fn bash(&self, script: &str) -> Ran {
        self.run(&["bash", "-c", script])
    }
}
