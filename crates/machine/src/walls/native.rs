//! The native wall of one sandbox: its root is the view, its programs are the host's.

use super::{
    Forward, Sandbox, Screen, Talk,
    probe::Prober,
    run::Ended,
    said::{PIECE_BYTES, Said},
    ways::{self, Ways},
};
use crate::{
    cell::Cell,
    door::{self, Inside},
    guard::guard,
    job::ExecJob,
    journal,
    node::Node,
    presets::MARK,
    spawn,
};
use abi::{
    Code, Error, ExecId, Pid, WORKSPACE,
    agent::{self, Guest},
    call::Stdio,
    record::{Finish, Used},
    view::{Bound, Kind},
};
use drivers::{acp::Offer, egress::Authority};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    termios::{Winsize, tcsetwinsize},
};
use sandbox::{
    fuse::{self, Server},
    jail::{self, Access, Command, Hit, How, Jail, MOUNT_POINTS, Need, Part, Root, Running, Spec, Terminal},
    view::{Stale, View},
};
use std::{
    ffi::OsString,
    fs::{File, Permissions},
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStringExt, unix::fs::PermissionsExt, unix::net::UnixListener},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// SIGKILL.
const KILL: i32 = 9;
/// Threads that serve one view: one a core of a small machine.
const READERS: usize = 2;
/// A command is looked after at least so often.
const LOOK_US: u64 = 200_000;
/// A pipe holds at most so much, unless root says otherwise (pipe(7)).
const PIPE_BYTES_MAX: usize = 1024 * 1024;
/// It is looked whether who hears a command has caught up.
const CATCH_UP_US: u64 = 10_000;
/// Directories of a workspace: what is HOME inside, and where each sandbox's socket is.
const HOMES: &str = "homes";
const KEPT: &str = "kept";
const SOCKETS: &str = "run";
/// Sandboxes so far: each has a name of its own.
static STANDS: AtomicU64 = AtomicU64::new(0);
/// Where programs inside find the daemon.
const SOCKET: &str = "/run/skep.sock";
/// Shells of the host, the better one first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// Stands for the directory in which a program begins.
const CWD: &str = "$cwd";
/// Stands for the model endpoint, as programs of that provider write it.
const OPENAI: &str = "$openai";
/// What writes a file that is not there, or that begins with a line of ours.
const FURNISH: &str = r#"if [ -e "$1" ]; then read -r first < "$1"; [ "$first" = "$3" ] || exit 0; fi
mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1""#;

/// A wall that stands.
pub(crate) struct Native {
    jail: Mutex<Option<Arc<Jail>>>,
    server: Mutex<Option<Server>>,
    view: Arc<View>,
    runs: Mutex<Option<ExecId>>,
    /// Ports of it that are reached from the host.
    forwards: Mutex<Vec<Arc<Forward>>>,
    /// Held while it is ended: whoever ends it again comes back when it has.
    ends: Mutex<()>,
    _gate: Option<Gate>,
    ways: Option<Ways>,
    _home: Home,
}

/// What programs keep that is no part of the workspace. It has no label, so it lasts no longer than the
/// sandbox whose programs it is of, and nothing goes through it from one process to another; or the kernel
/// keeps a label for all of it, and lends it to one process at a time.
struct Home {
    dir: PathBuf,
    /// Of one that lasts: nobody else has it as long as this is open.
    held: Option<File>,
}

impl Home {
    fn make(node: &Node, cell: &Cell, (name, command): (&str, &abi::effect::Command)) -> io::Result<Self> {
        let home = match command.guest.home {
            agent::Home::Sandbox => Self { dir: node.dir(cell).join(HOMES).join(name), held: None },
            agent::Home::Kept => {
                let kept = node.dir(cell).join(KEPT).join(&command.agent);
                std::fs::create_dir_all(&kept)?;
                let held = File::create(kept.join("lock"))?;
                // The sandbox before it may still be ending.
                held.lock()?;
                Self { dir: kept.join("home"), held: Some(held) }
            }
        };
        std::fs::create_dir_all(&home.dir)?;
        Ok(home)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.held.is_none() {
            clear(&self.dir);
        }
    }
}

/// Removes what an earlier daemon left that had no time to.
pub(crate) fn sweep(node: &Node, cell: &Cell) {
    [HOMES, SOCKETS].iter().for_each(|name| clear(&node.dir(cell).join(name)));
}

fn clear(dir: &Path) {
    if let Err(error) = jail::remove_home(dir) {
        journal::say("walls", &format!("{} is left: {error}", dir.display()));
    }
}

/// The socket by which programs inside speak to the daemon, as their process.
struct Gate {
    listener: UnixListener,
    path: PathBuf,
}

impl Gate {
    fn open(node: &Arc<Node>, cell: &Cell, (pid, name): (Pid, &str)) -> io::Result<Self> {
        let dir = node.dir(cell).join(SOCKETS);
        std::fs::create_dir_all(&dir)?;
        let path = dir.join(name);
        let listener = UnixListener::bind(&path)?;
        // Who gets here has been let in: the directory above is closed, the sandbox shows nothing else of it.
        std::fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        let taken = listener.try_clone()?;
        let (node, inside) = (node.clone(), Inside { workspace: cell.name.clone(), pid });
        spawn::thread("inside", move || node.door.accept(&node, &taken, Some(&inside)));
        Ok(Self { listener, path })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        door::shut(&self.listener);
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Native {
    /// Whether this command runs in it now.
    pub fn runs(&self, exec: ExecId) -> bool {
        *guard(&self.runs) == Some(exec)
    }

    /// Its sandbox, while it stands.
    pub fn jail(&self) -> Option<Arc<Jail>> {
        guard(&self.jail).clone()
    }

    /// What its programs have open to others is cut.
    pub fn cut(&self) {
        if let Some(ways) = &self.ways {
            ways.cut();
        }
    }

    /// Whether its programs may speak to somebody at all.
    fn leads_out(&self) -> bool {
        self.ways.is_some()
    }

    /// Everything in it ends, and nothing of it is left.
    pub fn end(&self) {
        // Who waits for what it wrote cannot die before it is answered.
        self.view.give_up();
        let _ends = guard(&self.ends);
        std::mem::take(&mut *guard(&self.forwards)).iter().for_each(|forward| forward.shut());
        let jail = guard(&self.jail).take();
        if let Some(jail) = jail {
            // Frozen processes take no order but this one.
            let _ = jail.end_all();
        }
        let server = guard(&self.server).take();
        drop(server);
    }

    /// One of its ports is reached from the host, until it ends; those that are not any more are let go.
    pub fn keeps(&self, forward: Arc<Forward>) {
        let mut forwards = guard(&self.forwards);
        forwards.retain(|forward| forward.is_open());
        forwards.push(forward);
        drop(forwards);
        if self.jail().is_none() {
            // It has ended meanwhile.
            std::mem::take(&mut *guard(&self.forwards)).iter().for_each(|forward| forward.shut());
        }
    }

    /// Everything in it stands still, or goes on.
    pub fn freeze(&self, frozen: bool) {
        let Some(jail) = self.jail() else { return };
        let done = if frozen { jail.freeze() } else { jail.thaw() };
        if let Err(error) = done {
            journal::say(
                "walls",
                &format!("a sandbox did not {}: {error}", if frozen { "stop" } else { "go on" }),
            );
        }
    }

    /// The same, soon: for whoever is waited for.
    pub fn forget_soon(&self, stale: Vec<Stale>) -> io::Result<()> {
        guard(&self.server).as_mut().map_or(Ok(()), |server| server.forget_soon(stale))
    }

    /// The kernel's caches of the view forget this.
    pub fn forget(&self, stale: &[Stale]) {
        if let Some(server) = &*guard(&self.server)
            && let Err(error) = server.forget(stale)
        {
            journal::say(
                "walls",
                &format!("a view was carried on, and a cache above it was not told: {error}"),
            );
        }
    }
}

/// What is done from time to time while a command runs, and when somebody waits for it; whether it may go on.
pub(crate) type Look<'a> = dyn FnMut(&mut Said) -> bool + 'a;

/// Runs a command.
pub(crate) fn run(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    (sandbox, generation): (&Arc<Sandbox>, u64),
    (view, job): (&Arc<View>, &ExecJob),
    said: &mut Said,
    look: &mut Look<'_>,
) -> Result<Ended, Error> {
    let standing = guard(&sandbox.control).native.clone();
    let native = match standing {
        Some(native) => native,
        None => {
            let native = Arc::new(stand(node, cell, view, job)?);
            furnish(node, &native, job)?;
            let mut control = guard(&sandbox.control);
            if control.ended {
                // It was ended before it stood, and nobody else knows of it.
                drop(control);
                native.end();
                return Err(Error::new(Code::Interrupted, "the sandbox has ended"));
            }
            if control.frozen {
                native.freeze(true);
            }
            control.native = Some(native.clone());
            drop(control);
            sandbox.changed.notify_all();
            native
        }
    };
    let exec = job.command.exec;
    if let Some(probe) = job.command.probe.clone() {
        let (node, cell, sandbox, native) = (node.clone(), cell.clone(), sandbox.clone(), native.clone());
        let prober = Prober { node, cell, generation, sandbox, native, exec, probe };
        spawn::thread("prober", move || prober.run());
    }
    *guard(&native.runs) = Some(exec);
    let ran = command((node, cell, generation), sandbox, (&native, job, Reach::All(view)), said, look);
    *guard(&native.runs) = None;
    ran
}

/// Runs a command beside the program that the process is.
pub(crate) fn join(
    of: (&Arc<Node>, &Arc<Cell>, u64),
    sandbox: &Arc<Sandbox>,
    job: &ExecJob,
    said: &mut Said,
) -> Result<Ended, Error> {
    let native = guard(&sandbox.control).native.clone();
    let native = native.ok_or_else(|| Error::new(Code::Busy, "its sandbox does not stand yet"))?;
    command(of, sandbox, (&native, job, Reach::Own), said, &mut |_| true)
}

/// Builds it.
fn stand(node: &Arc<Node>, cell: &Arc<Cell>, view: &Arc<View>, job: &ExecJob) -> Result<Native, Error> {
    let mut spec = Spec::new(Root::View);
    // The one before may still be ending, and takes its own things along.
    let name = format!("{}.{}", job.command.pid, STANDS.fetch_add(1, Ordering::Relaxed));
    let home = Home::make(node, cell, (&name, &job.command)).map_err(|error| broken(&error))?;
    spec.home = Some(home.dir.clone());
    spec.hostname = cell.name.clone();
    spec.env.push(("SKEP_WORKSPACE".into(), cell.name.clone().into()));
    for dir in &job.command.guest.tools {
        spec.tool(Path::new(dir));
    }
    spec.through = through(&job.command.plan.bound);
    let pid = job.command.pid;
    spec.env.push(("SKEP_PID".into(), pid.to_string().into()));
    // The operator's own programs act as nobody.
    let gate = (pid != WORKSPACE).then(|| Gate::open(node, cell, (pid, &name))).transpose();
    let gate = gate.map_err(|error| broken(&error))?;
    if let Some(gate) = &gate {
        spec.env.push(("SKEP_SOCKET".into(), SOCKET.into()));
        let (source, target) = (gate.path.clone(), PathBuf::from(SOCKET));
        spec.parts.push(Part { source, target, access: Access::ReadWrite });
    }
    let trusts = gate.is_some().then(|| lead_out(node, cell, &name, &mut spec)).transpose()?;
    let begun = node.wall.start(&spec);
    // An ordinary user to whom no control group is delegated: memory is held for each process by itself.
    let alone = !rustix::process::geteuid().is_root() && matches!(begun, Err(jail::Error::Missing(_)));
    let begun = if alone { node.wall.start(&Spec { need: Need::EachProcess, ..spec }) } else { begun };
    let mut starting = begun.map_err(told)?;
    let fd = starting.take_fuse().ok_or_else(|| Error::new(Code::Unavailable, "the sandbox has no view"))?;
    let server = fuse::serve(fd, view.clone(), READERS).map_err(|error| broken(&error))?;
    let listeners = starting.take_listeners();
    let ways = trusts.map(|(authority, bundle)| Ways::open(node, cell, pid, (listeners, authority, bundle)));
    let ways = ways.transpose().map_err(|error| broken(&error))?;
    let jail = starting.ready().map_err(told)?;
    Ok(Native {
        jail: Mutex::new(Some(Arc::new(jail))),
        server: Mutex::new(Some(server)),
        view: view.clone(),
        runs: Mutex::new(None),
        ends: Mutex::default(),
        forwards: Mutex::default(),
        _gate: gate,
        ways,
        _home: home,
    })
}

/// Writes what a recipe puts into a HOME and is not there yet: from within, since what stands in it is
/// whatever programs left there.
fn furnish(node: &Node, native: &Native, job: &ExecJob) -> Result<(), Error> {
    let Some(jail) = native.jail() else { return Ok(()) };
    let lasts = job.command.guest.home == agent::Home::Kept;
    // One that says nothing only takes the place of an earlier one, in a HOME that lasts.
    let says = |(_, text): &(String, String)| lasts || text.lines().count() > 1;
    let presets = node.presets.seeds(node.options.variable).into_iter().filter(says);
    let presets = presets.filter(|_| native.leads_out());
    for (path, text) in presets.chain(job.command.guest.seed.iter().cloned()) {
        let null = || File::open("/dev/null").map(OwnedFd::from);
        let out = || File::options().write(true).open("/dev/null").map(OwnedFd::from);
        let stdio = null().and_then(|read| Ok([read, out()?, out()?])).map_err(|error| broken(&error))?;
        let openai = ways::endpoint("openai").unwrap_or_default();
        let text = text.replace(CWD, job.command.dir.as_str()).replace(OPENAI, &openai);
        let order = Command {
            argv: [SHELLS[1], "-c", FURNISH, "seed", &path, &text, MARK].map(Into::into).to_vec(),
            env: Vec::new(),
            cwd: jail::HOME.into(),
            stdio,
            terminal: Terminal::None,
            cpu_seconds: 0,
            file_bytes: 0,
        };
        let ended = jail.exec(&order).map_err(told)?.wait();
        if !matches!(ended.how, How::Exit(0)) {
            let message = format!("{path} could not be written into its HOME");
            return Err(Error::new(Code::Unavailable, message).hint("skep doctor"));
        }
    }
    Ok(())
}

/// Gives a sandbox its ways out, and the certificates by which it trusts them.
fn lead_out(
    node: &Node,
    cell: &Cell,
    name: &str,
    spec: &mut Spec,
) -> Result<(Arc<Authority>, PathBuf), Error> {
    let authority = cell.walls.authority(&cell.name)?;
    let bundle = node.dir(cell).join(SOCKETS).join(format!("{name}.pem"));
    let named = (node.options.variable)("SSL_CERT_FILE");
    ways::bundle(&authority, named.as_deref(), &bundle).map_err(|error| broken(&error))?;
    spec.listeners = ways::PORTS.to_vec();
    spec.env.extend(ways::environment());
    spec.env.extend(node.presets.environment(node.options.variable));
    let (source, target) = (bundle.clone(), PathBuf::from(ways::BUNDLE));
    spec.parts.push(Part { source, target, access: Access::ReadOnly });
    Ok((authority, bundle))
}

fn told(error: jail::Error) -> Error {
    Error::new(Code::Unavailable, error.to_string()).hint(error.hint())
}

fn broken(error: &io::Error) -> Error {
    Error::new(Code::Unavailable, format!("the sandbox could not be built: {error}")).hint("skep doctor")
}

fn command(
    of: (&Arc<Node>, &Arc<Cell>, u64),
    sandbox: &Arc<Sandbox>,
    (native, job, reach): (&Native, &ExecJob, Reach<'_>),
    said: &mut Said,
    look: &mut Look<'_>,
) -> Result<Ended, Error> {
    let gone = || Error::new(Code::Interrupted, "the sandbox has ended");
    let jail = native.jail().ok_or_else(gone)?;
    let screen = sandbox.screen(job.command.exec);
    let node = of.0;
    let Wires { stdio, output, input, spoken } = match job.task {
        Some(_) => Wires::spoken()?,
        None => Wires::of(&jail, screen.as_deref())?,
    };
    let shell = SHELLS.iter().find(|shell| Path::new(shell).exists()).unwrap_or(&SHELLS[1]);
    let text = OsString::from_vec(job.text.clone());
    let order = Command {
        argv: vec![(*shell).into(), "-c".into(), text],
        env: environment(&job.command.guest),
        cwd: job.command.dir.as_str().into(),
        stdio,
        terminal: match job.command.guest.stdio {
            Stdio::Terminal { .. } => Terminal::Controlling,
            Stdio::Null | Stdio::Pipe => Terminal::None,
        },
        cpu_seconds: 0,
        file_bytes: 0,
    };
    let began = node.clock.mono();
    let running = loop {
        match jail.exec(&order) {
            Err(jail::Error::Frozen) if sandbox.wait_thawed() => {}
            ran => break ran.map_err(told)?,
        }
    };
    // The write ends are the command's now.
    drop(order);
    let output = Output(output);
    output.never_wait().map_err(|error| broken(&error))?;
    if let (Some(screen), Some(input)) = (&screen, input) {
        screen.begin(input).map_err(|error| broken(&error))?;
    }
    let screen = screen.as_deref();
    let talk =
        spoken.map(|ends| speak(of, sandbox, job, ends)).transpose().map_err(|error| broken(&error))?;
    let talk = talk.as_deref();
    let watch = Watch { node, sandbox, jail: &jail, job, reach, screen, talk };
    let (how, ended) = watch.until_it_ends(running, &output, said, look);
    if let Some(talk) = talk {
        guard(&sandbox.control).talk = None;
        talk.over();
    }
    output.rest(said);
    let usage = ended.as_ref().map(|ended| ended.usage).unwrap_or_default();
    let used = Used {
        wall_us: node.clock.mono().saturating_sub(began),
        cpu_us: usage.user_us.saturating_add(usage.system_us),
        memory_bytes: usage.resident_bytes_max,
    };
    Ok(Ended { how, used })
}

/// Begins to speak to a program that is a process.
fn speak(
    of: (&Arc<Node>, &Arc<Cell>, u64),
    sandbox: &Arc<Sandbox>,
    job: &ExecJob,
    Spoken { to, from, words }: Spoken,
) -> io::Result<Arc<Talk>> {
    // What waits beside the tree is not what calls show, nor what they may change.
    let offer = if job.command.plan.kind == Kind::Draft { Offer::Nothing } else { Offer::All };
    let about = (job.command.exec, job.command.dir.as_str(), offer);
    let known = job.session.clone().and_then(|name| String::from_utf8(name).ok());
    let talk = Talk::new(of, sandbox, about, known, (to, words))?;
    let interrupted = {
        let mut control = guard(&sandbox.control);
        control.talk = Some(talk.clone());
        control.interrupted
    };
    if interrupted {
        talk.cancel();
    }
    let task = String::from_utf8_lossy(job.task.as_deref().unwrap_or_default()).into_owned();
    talk.begin(from, task);
    Ok(talk)
}

/// What a command finds in its environment beside what its sandbox gives.
fn environment(guest: &Guest) -> Vec<(OsString, OsString)> {
    // One that is logged in at its own service is left alone.
    let ways = guest.endpoint.iter().filter(|_| !guest.own_login);
    let ways = ways.filter_map(|(kind, name)| Some((name.into(), ways::endpoint(kind)?.into())));
    let given = guest.env.iter().map(|(name, value)| (name.into(), value.into())).chain(ways);
    let term = ("TERM".into(), "xterm-256color".into());
    let has_term = guest.env.iter().any(|(name, _)| name == "TERM");
    let term = (!has_term && matches!(guest.stdio, Stdio::Terminal { .. })).then_some(term);
    given.chain(term).collect()
}

/// What a command reads and writes, and this side of it.
struct Wires {
    stdio: [OwnedFd; 3],
    output: File,
    /// Where to is written what it reads.
    input: Option<File>,
    /// Of one that speaks a protocol.
    spoken: Option<Spoken>,
}

/// This side of a program that speaks a protocol.
struct Spoken {
    to: File,
    from: File,
    /// What of it are words goes where its errors go.
    words: File,
}

impl Wires {
    fn of(jail: &Jail, screen: Option<&Screen>) -> Result<Self, Error> {
        if let Some(Stdio::Terminal { rows, cols }) = screen.map(Screen::stdio) {
            let (master, slave) = jail.terminal().map_err(told)?;
            // Before the program can ask.
            let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&master, size).map_err(|errno| broken(&errno.into()))?;
            let output = master.try_clone().map_err(|error| broken(&error))?;
            let twice = slave.try_clone().and_then(|second| Ok((second, slave.try_clone()?)));
            let (second, third) = twice.map_err(|error| broken(&error))?;
            let stdio = [slave, second, third];
            return Ok(Self { stdio, output: output.into(), input: Some(master.into()), spoken: None });
        }
        let pipe = || io::pipe().map_err(|error| broken(&error));
        let (output, writes) = pipe()?;
        let writes = OwnedFd::from(writes);
        let again = writes.try_clone().map_err(|error| broken(&error))?;
        let (reads, input) = match screen {
            Some(_) => {
                let (reads, input) = pipe()?;
                (reads.into(), Some(OwnedFd::from(input).into()))
            }
            None => (File::open("/dev/null").map_err(|error| broken(&error))?.into(), None),
        };
        let output = OwnedFd::from(output).into();
        Ok(Self { stdio: [reads, writes, again], output, input, spoken: None })
    }

    /// Of one that speaks a protocol on its standard streams.
    fn spoken() -> Result<Self, Error> {
        let pipe = || io::pipe().map_err(|error| broken(&error));
        let ((reads, to), (from, writes), (output, errors)) = (pipe()?, pipe()?, pipe()?);
        let words = errors.try_clone().map_err(|error| broken(&error))?;
        let file = |fd: OwnedFd| File::from(fd);
        let spoken = Spoken { to: file(to.into()), from: file(from.into()), words: file(words.into()) };
        let stdio = [reads.into(), writes.into(), errors.into()];
        Ok(Self { stdio, output: file(output.into()), input: None, spoken: Some(spoken) })
    }
}

/// What a command says.
struct Output(File);

impl Output {
    fn never_wait(&self) -> io::Result<()> {
        let flags = fcntl_getfl(&self.0)?;
        Ok(fcntl_setfl(&self.0, flags | OFlags::NONBLOCK)?)
    }

    /// Takes what is there; whether more may come.
    fn take(&self, said: &mut Said) -> bool {
        let mut piece = vec![0; PIECE_BYTES];
        // A flood is taken in turns with all else.
        for _ in 0..16 {
            if said.waits() {
                return true;
            }
            match (&self.0).read(&mut piece) {
                Ok(0) => return false,
                Ok(read) => said.push(piece.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // Nobody has the terminal open any more.
                Err(_) => return false,
            }
        }
        true
    }

    /// Takes what its pipe held when it ended; what lives on may go on writing, and is not waited for.
    fn rest(&self, said: &mut Said) {
        let mut piece = vec![0; PIECE_BYTES];
        let mut left = PIPE_BYTES_MAX;
        while left > 0 {
            catch_up(said);
            match (&self.0).read(&mut piece) {
                Ok(0) => return,
                Ok(read) => {
                    said.push(piece.get(..read).unwrap_or_default());
                    left = left.saturating_sub(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

fn micros(us: u64) -> Timespec {
    Timespec { tv_sec: 0, tv_nsec: i64::try_from(us).unwrap_or(0).saturating_mul(1000) }
}

/// Waits until who hears it has caught up.
pub(crate) fn catch_up(said: &Said) {
    while said.waits() {
        let _ = poll(&mut [], Some(&micros(CATCH_UP_US)));
    }
}

/// A command while it runs.
struct Watch<'a> {
    node: &'a Node,
    sandbox: &'a Sandbox,
    jail: &'a Jail,
    job: &'a ExecJob,
    reach: Reach<'a>,
    screen: Option<&'a Screen>,
    talk: Option<&'a Talk>,
}

/// What ends with a command that is ended.
#[derive(Clone, Copy)]
enum Reach<'a> {
    /// Everything in the sandbox, which sees this: it is all of this command's making.
    All(&'a View),
    /// Its own processes.
    Own,
}

impl Watch<'_> {
    /// Reads what it says until its first process has ended, or it has to be ended.
    fn until_it_ends(
        &self,
        running: Running,
        output: &Output,
        said: &mut Said,
        look: &mut Look<'_>,
    ) -> (Finish, Option<jail::Ended>) {
        let mut left_us = self.job.command.timeout_us;
        let mut last = self.node.clock.mono();
        let mut open = true;
        loop {
            let now = self.node.clock.mono();
            // While it stands still its time does too.
            if !guard(&self.sandbox.control).frozen {
                left_us = left_us.saturating_sub(now.saturating_sub(last));
            }
            last = now;
            let goes_on = look(said);
            let overdue = self.talk.and_then(Talk::overdue);
            let stops = self.sandbox.is_stopped(self.job.command.exec) || overdue.is_some();
            if !goes_on || stops || left_us == 0 {
                let _ = match self.reach {
                    Reach::All(view) => {
                        view.give_up();
                        self.jail.end_all()
                    }
                    Reach::Own => self.jail.signal(-running.pid(), KILL),
                };
                let ended = running.wait();
                let stopped = Finish::Stopped("it was ended; nothing of it was kept".to_owned());
                let how = overdue.unwrap_or(if left_us == 0 { Finish::TimedOut } else { stopped });
                return (how, Some(ended));
            }
            let held = said.waits();
            let typed = self.screen.is_some_and(Screen::flush);
            let wait = micros(left_us.min(if held || typed { CATCH_UP_US } else { LOOK_US }));
            let mut watched = vec![PollFd::new(&running, PollFlags::IN)];
            if open && !held {
                watched.push(PollFd::new(&output.0, PollFlags::IN));
            }
            if let Reach::All(view) = self.reach
                && let Some(wakes) = view.wakes()
            {
                watched.push(PollFd::from_borrowed_fd(wakes, PollFlags::IN));
            }
            watched.extend(self.talk.map(Talk::wakes));
            match poll(&mut watched, Some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => journal::say("walls", &format!("a command cannot be watched: {error}")),
            }
            let done = watched.first().is_some_and(|fd| !fd.revents().is_empty());
            drop(watched);
            self.talk.iter().for_each(|talk| talk.awake());
            if open {
                open = output.take(said);
            }
            if done {
                let ended = running.wait();
                if let Reach::All(view) = self.reach
                    && self.job.command.guest.home == agent::Home::Kept
                {
                    view.give_up();
                    // What it left running would read on and write there, when nobody counts it any more.
                    let _ = self.jail.end_all();
                }
                let how = finish(&ended);
                return (self.talk.map_or(how.clone(), |talk| talk.ended(how)), Some(ended));
            }
        }
    }
}

fn finish(ended: &jail::Ended) -> Finish {
    let Hit { memory, home, .. } = ended.hit;
    match ended.how {
        _ if memory > 0 => Finish::Over("memory".to_owned()),
        _ if home > 0 => Finish::Over("room in its home".to_owned()),
        How::Exit(status) => Finish::Exited(status.into()),
        How::Signal(signal) => Finish::Signal(signal),
        How::Gone => Finish::Stopped("its sandbox ended under it; nothing of it was kept".to_owned()),
    }
}

/// What must be there to be mounted on.
pub(crate) fn mount_points(guest: &Guest) -> Vec<String> {
    let tools = guest.tools.iter().map(|dir| dir.trim_matches('/').to_owned());
    MOUNT_POINTS.iter().map(|name| (*name).to_owned()).chain(tools).collect()
}

/// Bound directories that memory would lie over.
pub(crate) fn through(bound: &[Bound]) -> Vec<PathBuf> {
    let dirs = bound.iter().map(|bound| PathBuf::from(bound.dir.as_str()));
    dirs.filter(|dir| jail::is_covered(dir)).collect()
}

/// Whose everything in a view is.
pub(crate) fn owner() -> (u32, u32) {
    (jail::INSIDE_ID, jail::INSIDE_ID)
}
