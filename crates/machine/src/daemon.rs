//! The daemon: one process a state directory, from the lock to the drain.
//!
//! lock → `node.db` → socket → clients are served at once; what was awake is recovered in the background. The
//! end: no client is read from, effects that run may end within five seconds, every workspace is put to
//! sleep, the socket is removed, the lock goes with the process.

use crate::{
    ballast,
    clock::{Clock, Real},
    door::{self, Door},
    endpoint, journal, leave,
    node::Node,
    operators,
    pool::Pool,
    random,
    registry::{Registry, Seeds},
    spawn,
    timer::Timer,
};
use abi::limits;
use rustix::{
    fs::{FlockOperation, flock},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::Trouble;

/// How long effects that run may take to end.
const DRAIN_US: u64 = 5_000_000;
/// How long answers may take to go out at the end.
const FAREWELL_US: u64 = 500_000;
/// How long a daemon that is on its way out is waited for, and how often it is looked at.
const LEAVING_US: u64 = DRAIN_US + 2 * FAREWELL_US;
const LEAVING_STEP_US: u64 = 2_000;
/// The longest path a Unix socket's address holds, with its NUL (unix(7)).
const SOCKET_BYTES_MAX: usize = 107;

/// A larger log is put aside when a daemon starts.
const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// How the daemon runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Workspaces may be made that lack rules.
    pub demo: bool,
    /// Looks up a variable of its environment: what the operator's own clients are set to.
    pub variable: fn(&str) -> Option<String>,
}

impl Default for Options {
    /// Nothing of it is known.
    fn default() -> Self {
        Self { demo: false, variable: |_| None }
    }
}

/// Why there is no daemon.
#[derive(Debug)]
pub enum Error {
    /// Another one holds the state directory.
    Running {
        /// Its process id, as it wrote it.
        pid: String,
        /// The directory.
        home: PathBuf,
    },
    /// A file or directory.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The store.
    Store(Trouble),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Running { .. } => "skep down stops it; SKEP_HOME names another state directory".into(),
            Self::File { .. } => "check that the directory exists and belongs to you".into(),
            Self::Store(trouble) => trouble.hint(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { pid, home } => {
                write!(out, "a daemon with process id {pid} already holds {}", home.display())
            }
            Self::File { path, error } => write!(out, "{}: {error}", path.display()),
            Self::Store(trouble) => write!(out, "{trouble}"),
        }
    }
}

impl std::error::Error for Error {}

/// As many descriptors as the system lets us have, up to what all awake workspaces and clients can need: the
/// soft limit of a login shell is for programs that use `select`.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    let need = limits::DESCRIPTORS_MAX;
    let most = limit.maximum.map_or(need, |hard| hard.min(need));
    if limit.current.is_some_and(|soft| soft < most) {
        limit.current = Some(most);
        // Refused, it stays what it is, and opening says so when it is reached.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// What is in memory stays there: no core file, and no other process of this user may read it.
fn keep_memory() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let cores = setrlimit(Resource::Core, none);
    let readers = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if cores.is_err() || readers.is_err() {
        journal::say("daemon", "this system may write its memory into a core file");
    }
}

/// Runs a daemon until a signal or an operator ends it.
pub fn up(home: &Path, socket: &Path, options: Options) -> Result<(), Error> {
    raise_descriptors();
    keep_memory();
    let signals = Signals::new([SIGTERM, SIGINT]);
    let signals = signals.map_err(|error| Error::File { path: PathBuf::from("signals"), error })?;
    let daemon = Daemon::start(home, socket, options)?;
    let node = daemon.node.clone();
    let mut signals = signals;
    spawn::thread("signals", move || {
        if signals.forever().next().is_some() {
            node.ask_down();
        }
    });
    daemon.node.wait_down();
    daemon.stop();
    Ok(())
}

/// A running daemon.
pub struct Daemon {
    node: Arc<Node>,
    door: Arc<Door>,
    listener: Arc<UnixListener>,
    socket: PathBuf,
    programs: Arc<UnixListener>,
    /// Held until the end.
    lock: File,
}

impl Daemon {
    /// Starts it; clients may connect when this returns.
    pub fn start(home: &Path, socket: &Path, options: Options) -> Result<Self, Error> {
        make_dir(home)?;
        let lock = hold(home, socket)?;
        let seed = || random::secret().map_err(|error| Error::File { path: "random".into(), error });
        let seeds = Seeds { secret: seed()?, signer: seed()? };
        let uid = rustix::process::getuid().as_raw();
        let registry = open_registry(home, &seeds, uid).map_err(Error::Store)?;
        let clock: Arc<dyn Clock> = Arc::new(Real::new());
        let node = Node::new(home.to_path_buf(), clock, registry, options);
        leave::sweep(&node);
        let listener = Arc::new(bind(socket)?);
        let door = node.door.clone();
        let (own, taken, gate) = (node.clone(), listener.clone(), door.clone());
        spawn::thread("door", move || gate.accept(&own, &taken, None));
        operators::open_door(&node);
        let programs = Arc::new(bind(&endpoint::beside(socket))?);
        let (own, taken, gate) = (node.clone(), programs.clone(), node.endpoint.clone());
        spawn::thread("endpoint", move || gate.accept(&own, &taken));
        Pool::run(&node);
        Timer::run(&node);
        let own = node.clone();
        spawn::thread("recover", move || {
            // Not before the socket: making it takes some milliseconds, and a first call needs none of it.
            own.load_ballast();
            own.recover();
        });
        let socket = socket.to_path_buf();
        Ok(Self { node, door, listener, socket, programs, lock })
    }

    /// Waits until an operator asks it to end.
    pub fn wait(&self) {
        self.node.wait_down();
    }

    /// Ends it in order.
    pub fn stop(self) {
        let node = &self.node;
        node.stopping.store(true, Ordering::Relaxed);
        door::shut(&self.listener);
        door::shut(&self.programs);
        node.annex.shut();
        self.door.stop_reading();
        node.workers.drain(DRAIN_US, &*node.clock);
        node.timer.stop();
        node.pool.stop();
        node.close();
        self.door.close(FAREWELL_US, &*node.clock);
        node.endpoint.close(FAREWELL_US, &*node.clock);
        // Removed under the lock, so it is ours and not that of a daemon that came after.
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_file(endpoint::beside(&self.socket));
        journal::say("daemon", "down");
        drop(self.lock);
    }
}

/// Opens `node.db`. On a full disk the reserve of the daemon before is given for it; the next commit that
/// finds no room narrows the door.
fn open_registry(home: &Path, seeds: &Seeds, uid: u32) -> Result<Registry, Trouble> {
    let opened = Registry::open(home, seeds, uid);
    if !matches!(opened, Err(Trouble::Full { .. } | Trouble::Io { .. })) || ballast::discard(home).is_err() {
        return opened;
    }
    journal::say("disk", "node.db could not be opened; the reserve for a full disk is freed for it");
    Registry::open(home, seeds, uid)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |error| Error::File { path, error }
}

/// Makes a directory for its user alone. One that is there keeps its mode.
pub(crate) fn make_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))
}

/// Takes the lock of the state directory and writes our process id into it. A daemon that holds it but
/// answers nobody any more is on its way out: it gets the time it may need for that.
fn hold(home: &Path, socket: &Path) -> Result<File, Error> {
    let path = home.join("lock");
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open.map_err(at(&path))?;
    let mut tries = LEAVING_US / LEAVING_STEP_US;
    let held = loop {
        let held = flock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
        if !held || tries == 0 || UnixStream::connect(socket).is_ok() {
            break held;
        }
        tries -= 1;
        std::thread::sleep(Duration::from_micros(LEAVING_STEP_US));
    };
    if held {
        let mut pid = String::new();
        let _ = Read::by_ref(&mut file).take(20).read_to_string(&mut pid);
        let pid = pid.trim().to_owned();
        let pid = if pid.is_empty() { "unknown".to_owned() } else { pid };
        return Err(Error::Running { pid, home: home.to_path_buf() });
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    written.map_err(at(&path))?;
    Ok(file)
}

/// The listening socket, for its user alone. What a dead daemon left is removed: we hold the lock.
pub(crate) fn bind(socket: &Path) -> Result<UnixListener, Error> {
    if socket.as_os_str().len() > SOCKET_BYTES_MAX {
        let error = io::Error::other("the path is too long for a socket (107 bytes)");
        return Err(Error::File { path: socket.to_path_buf(), error });
    }
    if let Some(dir) = socket.parent() {
        make_dir(dir)?;
    }
    match fs::remove_file(socket) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(socket)(error)),
    }
    let listener = UnixListener::bind(socket).map_err(at(socket))?;
    fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(at(socket))?;
    Ok(listener)
}

/// Where a daemon in the background writes its lines: `daemon.log`, begun anew when it is large.
pub fn log_to(home: &Path) -> Result<File, Error> {
    make_dir(home)?;
    let path = home.join("daemon.log");
    if fs::metadata(&path).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        fs::rename(&path, home.join("daemon.log.old")).map_err(at(&path))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(at(&path))
}
