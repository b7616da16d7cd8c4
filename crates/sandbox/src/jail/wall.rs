//! The daemon's side of the wall: one `Wall` for a daemon, a `Jail` for each sandbox, a `Running` for each
//! command in it. Every order carries a socket of its own on which init answers, so no thread waits for
//! another.

use super::{
    Error, Mechanism, State,
    cgroup::{self, Base, Group, Want},
    home::{self, Init, Watched},
    init,
    ledger::{self, Listener, Process},
    probe, root,
    spec::{Command, Ids, OUTSIDE_ID, Order, Root, Spec},
    trial::Trial,
    wire::{self, Reader, Writer},
    zygote,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, Gid, Uid},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{Pid, Signal, pidfd_send_signal},
};
use std::{
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long init may take to build a sandbox: a view that is not served would hold it for ever.
const START_MAX: Duration = Duration::from_secs(30);
/// How long an order that starts nothing may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the killed may take to be dead; the promise is a tenth of it.
const DEATH_MAX: Duration = Duration::from_secs(5);

/// What makes sandboxes: the helper process, and where this daemon may set limits.
pub struct Wall {
    program: PathBuf,
    helper: Mutex<Option<Helper>>,
    base: Mutex<Option<Base>>,
}

struct Helper {
    socket: OwnedFd,
    process: process::Child,
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It ends when no request can come, after it has ended what it made; then it closes its side.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
        let _ = wait_for(self.socket.as_fd(), DEATH_MAX);
        let _ = self.process.wait();
    }
}

/// A sandbox that is being built.
pub struct Starting {
    life: Life,
    listeners: Vec<TcpListener>,
    view: Option<OwnedFd>,
}

/// A sandbox that stands. Dropped, everything in it is dead and nothing of it is left.
pub struct Jail {
    life: Life,
    env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    frozen: AtomicBool,
}

/// What a sandbox's life hangs on.
pub(super) struct Life {
    control: OwnedFd,
    pid: i32,
    pidfd: OwnedFd,
    group: Group,
    home: Option<Watched>,
    env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
}

/// A command that runs, or has ended and was not yet asked.
pub struct Running {
    report: OwnedFd,
    pid: i32,
    before: Hit,
    group: Group,
    home: Option<Arc<AtomicU64>>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// By itself or by a signal.
    pub how: How,
    /// Which limit of the sandbox was met while it ran.
    pub hit: Hit,
    /// What it and the children it waited for used.
    pub usage: Usage,
}

/// By itself or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Its exit status.
    Exit(u8),
    /// The signal that killed it.
    Signal(i32),
    /// The sandbox ended under it.
    Gone,
}

/// The limits that were met while a command ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hit {
    /// Processes killed since memory was used up.
    pub memory: u64,
    /// Forks refused since there were too many processes.
    pub processes: u64,
    /// How often everything in the sandbox was killed since its HOME was full.
    pub home: u64,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user code.
    pub user_us: u64,
    /// Processor time in the kernel.
    pub system_us: u64,
    /// Largest resident set of one process.
    pub resident_bytes_max: u64,
}

impl Wall {
    /// For a daemon; `program` is its own binary, whose `main` begins with `entry`. Starts nothing yet.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let (helper, base) = (Mutex::new(None), Mutex::new(None));
        Self { program: program.into(), helper, base }
    }

    /// Begins a sandbox. With a view, its descriptor is there when this comes back, and must be served
    /// before
    /// `Starting::ready`.
    pub fn start(&self, spec: &Spec) -> Result<Starting, Error> {
        let base = self.base();
        self.demand(spec, &base)?;
        let ids = outside();
        if let Root::Dir(dir) = &spec.root {
            root::mount_points(dir, &spec.parts).map_err(|error| failed(dir.display(), &error))?;
            give(dir, ids)?;
        }
        if let Some(home) = &spec.home {
            give(home, ids)?;
        }
        let group = base.make(&spec.limits).map_err(|(what, errno)| Error::Start { what, errno })?;
        let life = match self.ask(zygote::START, &spec.encode(ids), ids, &group) {
            Ok((control, pid, pidfd)) => {
                Life { control, pid, pidfd, group, home: None, env: spec.env.clone() }
            }
            Err(error) => {
                cgroup::remove(&group.dirs());
                return Err(self.explained(error));
            }
        };
        let mut life = life;
        if let Some(home) = &spec.home {
            let (bytes, files) = (spec.limits.home_bytes, spec.limits.home_files);
            let failed = |errno| Error::Start { what: format!("watching {}", home.display()), errno };
            let pidfd = rustix::io::fcntl_dupfd_cloexec(&life.pidfd, 0).map_err(failed)?;
            let watched = home::watch(home, bytes, files, Init { pid: life.pid, pidfd });
            life.home = Some(watched.map_err(failed)?);
        }
        let listeners = match spec.listeners.as_slice() {
            [] => Vec::new(),
            _ => life.handed(init::LISTENERS)?.into_iter().map(TcpListener::from).collect(),
        };
        if listeners.len() != spec.listeners.len() {
            return Err(Error::Gone);
        }
        let view = match spec.root {
            Root::View => Some(life.handed(init::VIEW)?.into_iter().next().ok_or(Error::Gone)?),
            Root::Dir(_) => None,
        };
        Ok(Starting { life, listeners, view })
    }

    /// What this host can enforce, each proved by trying it.
    pub fn probe(&self) -> Vec<Mechanism> {
        probe::all(self, &self.base())
    }

    /// A start that failed, by the mechanisms that are missing, if it is they.
    fn explained(&self, error: Error) -> Error {
        let missing = |one: &Mechanism| matches!(one.state, State::Missing { .. });
        let missing: Vec<Mechanism> = self.probe().into_iter().filter(missing).collect();
        if missing.is_empty() { error } else { Error::Missing(missing) }
    }

    /// Everything that the spec needs and that can be known before trying.
    fn demand(&self, spec: &Spec, base: &Base) -> Result<(), Error> {
        let missing = probe::limits(base, spec.need);
        let missing: Vec<Mechanism> =
            missing.into_iter().filter(|one| matches!(one.state, State::Missing { .. })).collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Missing(missing)) }
    }

    fn base(&self) -> Base {
        locked(&self.base).get_or_insert_with(Base::find).clone()
    }

    /// Tries one mechanism in a process of its own.
    pub(super) fn attempt(&self, trial: Trial, group: &Group) -> Result<(), Error> {
        let life = self.begin(trial, group)?;
        let (message, _) = life.listen()?;
        match Reader::new(&message) {
            Some((init::READY, _)) => Ok(()),
            Some((init::FAILED, read)) => {
                let (what, errno) = fault(read);
                Err(Error::Start { what, errno })
            }
            _ => Err(Error::Gone),
        }
    }

    /// Begins a trial; it ends when what comes back is dropped.
    pub(super) fn begin(&self, trial: Trial, group: &Group) -> Result<Life, Error> {
        let (control, pid, pidfd) = self.ask(zygote::TRY, &trial.body(), outside(), group)?;
        // The group is the caller's: it is asked what happened in it.
        Ok(Life { control, pid, pidfd, group: Group::default(), home: None, env: Vec::new() })
    }

    /// Has the helper make a process: its control socket, and itself by number and by descriptor.
    fn ask(&self, tag: u8, body: &[u8], ids: Ids, group: &Group) -> Result<(OwnedFd, i32, OwnedFd), Error> {
        let (control, inner) = pair()?;
        let doors = group.doors().map_err(|(what, errno)| Error::Start { what, errno })?;
        let dirs = if tag == zygote::START { group.dirs() } else { Vec::new() };
        let dirs = dirs.into_iter().map(|dir| dir.into_os_string().into_encoded_bytes());
        let request = Writer::new(tag)
            .list(&dirs.collect::<Vec<_>>())
            .u32(ids.root.into())
            .u32(ids.uid)
            .u32(ids.gid)
            .bytes(body);
        let fds: Vec<BorrowedFd<'_>> =
            [inner.as_fd()].into_iter().chain(doors.iter().map(AsFd::as_fd)).collect();
        let (reply, mut fds) = self.exchange(&request.0, &fds)?;
        let mut pidfd = fds.drain(..);
        match (Reader::new(&reply), pidfd.next()) {
            (Some((zygote::YES, mut read)), Some(pidfd)) => {
                let pid = read.i32().ok_or(Error::Gone)?;
                Ok((control, pid, pidfd))
            }
            (Some((_, read)), _) => {
                let (what, errno) = fault(read);
                Err(Error::Start { what, errno })
            }
            (None, _) => Err(Error::Gone),
        }
    }

    /// One request to the helper, which is started if there is none; once more if it had died.
    fn exchange(&self, request: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
        let mut helper = locked(&self.helper);
        for _ in 0..2 {
            if helper.is_none() {
                *helper = Some(Helper::start(&self.program)?);
            }
            let Some(alive) = helper.as_ref() else { break };
            let answer = wire::send(&alive.socket, request, fds).and_then(|()| wire::receive(&alive.socket));
            match answer {
                Ok((reply, fds)) if !reply.is_empty() => return Ok((reply, fds)),
                _ => *helper = None,
            }
        }
        Err(Error::Start { what: format!("starting {}", self.program.display()), errno: Errno::PIPE })
    }
}

impl Helper {
    #[allow(clippy::disallowed_methods)] // seam: the helper, which starts everything else
    fn start(program: &Path) -> Result<Self, Error> {
        let (ours, theirs) = pair()?;
        let mut command = process::Command::new(program);
        command.arg0(zygote::NAME).env_clear().current_dir("/");
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| failed(program.display(), &error))?;
        Ok(Self { socket: ours, process })
    }
}

impl Starting {
    /// The view's descriptor, once.
    pub fn take_fuse(&mut self) -> Option<OwnedFd> {
        self.view.take()
    }

    /// What listens inside for the daemon, in the order of the spec, once. The sandbox's network lives as
    /// long as one of them or a connection to it, its programs do not.
    pub fn take_listeners(&mut self) -> Vec<TcpListener> {
        std::mem::take(&mut self.listeners)
    }

    /// Waits until the sandbox stands.
    pub fn ready(self) -> Result<Jail, Error> {
        let (message, _) = self.life.listen()?;
        match Reader::new(&message) {
            Some((init::READY, _)) => {
                let env = self.life.env.clone();
                Ok(Jail { life: self.life, env, frozen: AtomicBool::new(false) })
            }
            Some((init::FAILED, read)) => {
                let (what, errno) = fault(read);
                Err(Error::Start { what, errno })
            }
            _ => Err(Error::Gone),
        }
    }
}

impl Jail {
    /// Starts a command. Comes back when its program runs.
    pub fn exec(&self, command: &Command) -> Result<Running, Error> {
        if self.frozen.load(Ordering::Acquire) {
            return Err(Error::Frozen);
        }
        let message = Order::encode(init::EXEC, &self.env, command);
        command.stdio.iter().try_for_each(lend)?;
        let home = self.life.home.as_ref().map(Watched::full);
        let before = hits(&self.life.group, home.as_ref());
        let stdio = command.stdio.iter().map(AsFd::as_fd).collect::<Vec<_>>();
        let report = self.life.order(&message, &stdio)?;
        let (reply, _) = wire::receive(&report).map_err(|_| Error::Gone)?;
        match Reader::new(&reply) {
            Some((init::STARTED, mut read)) => {
                let pid = read.i32().ok_or(Error::Gone)?;
                Ok(Running { report, pid, before, group: self.life.group.clone(), home })
            }
            Some((init::FAILED, read)) => {
                let (what, errno) = fault(read);
                Err(Error::Exec { what, errno })
            }
            _ => Err(Error::Gone),
        }
    }

    /// Sends a signal to a process inside, by its number there; negative is a group of processes. -1 is
    /// all.
    pub fn signal(&self, pid: i32, signal: i32) -> Result<(), Error> {
        self.ask(&Writer::new(init::SIGNAL).i32(pid).i32(signal).0).map(drop)
    }

    /// Kills everything in the sandbox, which stands on. Comes back when all are dead and taken.
    /// The frozen die where they stand: none of them takes another step.
    pub fn end_all(&self) -> Result<(), Error> {
        if self.frozen.load(Ordering::Acquire) {
            // Init is frozen with them and takes no order; they cannot go, so their numbers stay theirs.
            for process in self.processes() {
                if let Some(pid) = Pid::from_raw(process.outside) {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
            self.thaw()?;
        }
        self.ask(&Writer::new(init::END_ALL).0).map(drop)
    }

    /// Makes a terminal inside: the side to be read and written here, and the one that is to be a command's
    /// standard input, output and error.
    pub fn terminal(&self) -> Result<(OwnedFd, OwnedFd), Error> {
        let mut fds = self.ask(&Writer::new(init::TERMINAL).0)?.into_iter();
        fds.next().zip(fds.next()).ok_or(Error::Gone)
    }

    /// A socket of its network that connects to this address there; it does not block, and whether it is
    /// connected is to be waited for.
    pub fn connect(&self, address: SocketAddr) -> Result<OwnedFd, Error> {
        let order = Writer::new(init::CONNECT).bytes(address.to_string().as_bytes());
        self.ask(&order.0)?.pop().ok_or(Error::Gone)
    }

    /// Stops every process where it stands.
    pub fn freeze(&self) -> Result<(), Error> {
        self.frozen.store(true, Ordering::Release);
        match self.life.group.freeze(Want::Frozen) {
            Some(done) => done.map_err(|errno| Error::Start { what: "freezing".to_owned(), errno }),
            None => self.signal(-1, libc::SIGSTOP),
        }
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<(), Error> {
        let done = match self.life.group.freeze(Want::Thawed) {
            Some(done) => done.map_err(|errno| Error::Start { what: "thawing".to_owned(), errno }),
            None => self.signal(-1, libc::SIGCONT),
        };
        self.frozen.store(false, Ordering::Release);
        done
    }

    /// Its processes but init, parents before children.
    pub fn processes(&self) -> Vec<Process> {
        ledger::processes(self.life.pid)
    }

    /// Whether nothing runs in it now.
    pub fn is_alone(&self) -> bool {
        ledger::is_alone(self.life.pid)
    }

    /// The sockets that listen inside, read from its own network.
    pub fn listeners(&self) -> Vec<Listener> {
        ledger::listeners(self.life.pid)
    }

    /// Whose they are: numbers inside, where one is found.
    pub fn owners(&self, listeners: &[Listener]) -> Vec<Option<i32>> {
        ledger::owners(self.life.pid, listeners)
    }

    /// Bytes of memory it uses, if the host counts them.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.life.group.memory_bytes()
    }

    /// Number outside of its init.
    pub fn pid(&self) -> i32 {
        self.life.pid
    }

    /// Ends the sandbox and everything in it, and says whether it is gone; dropping does the same.
    pub fn kill(self) -> Result<(), Error> {
        self.life.end()
    }

    fn ask(&self, message: &[u8]) -> Result<Vec<OwnedFd>, Error> {
        let report = self.life.order(message, &[])?;
        wait_for(report.as_fd(), ANSWER_MAX)?;
        let (reply, fds) = wire::receive(&report).map_err(|_| Error::Gone)?;
        match Reader::new(&reply) {
            Some((init::DONE, _)) => Ok(fds),
            Some((init::FAILED, read)) => {
                let (what, errno) = fault(read);
                Err(Error::Exec { what, errno })
            }
            _ => Err(Error::Gone),
        }
    }
}

impl AsFd for Jail {
    /// Readable when the sandbox has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.life.pidfd.as_fd()
    }
}

impl Running {
    /// Its number inside.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for its end.
    pub fn wait(self) -> Ended {
        let reply = wire::receive(&self.report).map(|(reply, _)| reply).unwrap_or_default();
        let ended = Reader::new(&reply).and_then(|(tag, mut read)| {
            let status = read.i32().filter(|_| tag == init::ENDED)?;
            let usage =
                Usage { user_us: read.u64()?, system_us: read.u64()?, resident_bytes_max: read.u64()? };
            Some((how(status), usage))
        });
        let (how, usage) = ended.unwrap_or((How::Gone, Usage::default()));
        let now = hits(&self.group, self.home.as_ref());
        let hit = Hit {
            memory: now.memory.saturating_sub(self.before.memory),
            processes: now.processes.saturating_sub(self.before.processes),
            home: now.home.saturating_sub(self.before.home),
        };
        Ended { how, hit, usage }
    }

    /// Waits at most this long; gives itself back if it still runs.
    pub fn wait_for(self, most: Duration) -> Result<Ended, Self> {
        match wait_for(self.report.as_fd(), most) {
            Ok(()) => Ok(self.wait()),
            Err(_) => Err(self),
        }
    }
}

impl AsFd for Running {
    /// Readable when the command has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }
}

impl Life {
    /// What init says while it builds.
    fn listen(&self) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
        wait_for(self.control.as_fd(), START_MAX)?;
        wire::receive(&self.control).map_err(|_| Error::Gone)
    }

    /// What init hands over while it builds.
    fn handed(&self, what: u8) -> Result<Vec<OwnedFd>, Error> {
        let (message, fds) = self.listen()?;
        match Reader::new(&message) {
            Some((tag, _)) if tag == what => Ok(fds),
            Some((init::FAILED, read)) => {
                let (what, errno) = fault(read);
                Err(Error::Start { what, errno })
            }
            _ => Err(Error::Gone),
        }
    }

    /// Sends an order and gives back where it will be answered.
    fn order(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<OwnedFd, Error> {
        let (ours, theirs) = pair()?;
        let fds: Vec<BorrowedFd<'_>> = fds.iter().copied().chain([theirs.as_fd()]).collect();
        match wire::send(&self.control, message, &fds) {
            Ok(()) => Ok(ours),
            Err(Errno::MSGSIZE) => Err(Error::TooLong),
            Err(_) => Err(Error::Gone),
        }
    }

    fn end(&self) -> Result<(), Error> {
        let dirs = self.group.dirs();
        cgroup::thaw(&dirs);
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let dead = wait_for(self.pidfd.as_fd(), DEATH_MAX);
        match cgroup::remove(&dirs) {
            true => dead,
            false => Err(Error::Slow),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// How often each limit was met so far.
fn hits(group: &Group, home: Option<&Arc<AtomicU64>>) -> Hit {
    let cgroup::Hits { memory, processes } = group.hits();
    Hit { memory, processes, home: home.map_or(0, |full| full.load(Ordering::Acquire)) }
}

fn how(status: i32) -> How {
    if libc::WIFSIGNALED(status) {
        return How::Signal(libc::WTERMSIG(status));
    }
    How::Exit(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
}

/// Who a sandbox of this daemon is outside.
fn outside() -> Ids {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    match uid.is_root() {
        true => Ids { root: true, uid: OUTSIDE_ID, gid: OUTSIDE_ID },
        false => Ids { root: false, uid: uid.as_raw(), gid: gid.as_raw() },
    }
}

/// Lets the user outside own a directory that it is to write in.
fn give(dir: &Path, ids: Ids) -> Result<(), Error> {
    if !ids.root {
        return Ok(());
    }
    std::os::unix::fs::chown(dir, Some(ids.uid), Some(ids.gid)).map_err(|error| failed(dir.display(), &error))
}

/// Lets the user outside open a pipe again by its name (`/dev/stderr`): it belongs to whoever made it.
fn lend(fd: &OwnedFd) -> Result<(), Error> {
    let ids = outside();
    let pipe = rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_fifo());
    if !(ids.root && pipe) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    rustix::fs::fchown(fd, Some(uid), Some(gid))
        .map_err(|errno| Error::Exec { what: "giving a pipe to the sandbox".to_owned(), errno })
}

fn fault(mut read: Reader<'_>) -> (String, Errno) {
    let errno = read.i32().map_or(Errno::IO, Errno::from_raw_os_error);
    let what = read.bytes().map(|what| String::from_utf8_lossy(what).into_owned());
    (what.unwrap_or_default(), errno)
}

fn failed(what: impl std::fmt::Display, error: &std::io::Error) -> Error {
    Error::Start { what: what.to_string(), errno: Errno::from_io_error(error).unwrap_or(Errno::IO) }
}

fn pair() -> Result<(OwnedFd, OwnedFd), Error> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| Error::Start { what: "making a socket".to_owned(), errno })
}

/// Waits until something can be read, or the other side is gone.
fn wait_for(fd: BorrowedFd<'_>, most: Duration) -> Result<(), Error> {
    let most = Timespec::try_from(most).map_err(|_| Error::Slow)?;
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&most)) {
        Ok(0) | Err(_) => Err(Error::Slow),
        Ok(_) => Ok(()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
