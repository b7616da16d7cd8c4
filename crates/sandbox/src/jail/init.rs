//! Process 1 of a sandbox: builds its root, gives everything up, then starts commands when it is told to and
//! takes every dead process. It ends when the daemon's end of its socket closes, and all others with it.
//!
//! ```text
//! to the daemon    L + listeners     V + descriptor of the view     R ready     N · errno i32 · bytes what
//! orders           X command + stdin, stdout, stderr, report     K signal · pid i32 · signal i32 + report
//!                  A end all others + report     T make a terminal + report     C · bytes address connect +
//! report reports          P · pid u32 started     N · errno i32 · bytes what     E · status i32 · times u64
//! u64 · rss u64
//!                  O done     O + both sides of a terminal     O + a socket that connects
//! ```

use super::{
    Fault, Here, lock, root,
    spec::{INSIDE_ID, Order, Plan, Terminal},
    sys::{self, Cloned},
    wire::{self, Reader, Writer},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType},
    process::Resource,
    thread::{Gid, Uid},
};
use std::{
    ffi::CString,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

pub const LISTENERS: u8 = b'L';
pub const VIEW: u8 = b'V';
pub const READY: u8 = b'R';
pub const EXEC: u8 = b'X';
pub const SIGNAL: u8 = b'K';
pub const END_ALL: u8 = b'A';
pub const TERMINAL: u8 = b'T';
pub const CONNECT: u8 = b'C';
pub const STARTED: u8 = b'P';
pub const FAILED: u8 = b'N';
pub const ENDED: u8 = b'E';
pub const DONE: u8 = b'O';
/// Processes of a sandbox are the first to go when the host runs out of memory.
const OOM_SCORE: &str = "500";

/// A command whose end somebody waits for.
struct Main {
    pid: i32,
    report: OwnedFd,
    /// Until its program runs: from where it says why it cannot.
    starting: Option<OwnedFd>,
}

/// Says why there will be no sandbox.
pub fn tell_fault(to: &OwnedFd, fault: &Fault) {
    let message = Writer::new(FAILED).i32(fault.errno.raw_os_error()).bytes(fault.what.as_bytes());
    let _ = wire::send(to, &message.0, &[]);
}

/// The life of init. Comes back only if it could not begin, or at its end.
pub fn run(plan: &[u8], control: &OwnedFd) -> Result<(), Fault> {
    let plan = Plan::decode(plan).ok_or(Errno::BADMSG).here("reading the plan")?;
    build(&plan, control)?;
    lock::down(&plan.limits, plan.need)?;
    let children = sys::child_signals().here("waiting for children")?;
    wire::send(control, &Writer::new(READY).0, &[]).here("saying that all is ready")?;
    obey(control, &children, plan.limits.files);
    Ok(())
}

fn build(plan: &Plan, control: &OwnedFd) -> Result<(), Fault> {
    // After the groups are entered: what is above them is not shown.
    sys::hide_groups().here("making a cgroup namespace")?;
    rustix::system::sethostname(&plan.hostname).here("setting the host name")?;
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
    sys::loopback_up(socket.here("opening a socket")?.as_fd()).here("switching the loopback device on")?;
    listen(&plan.listeners, control)?;
    // There is one user, and no other whom the low ports could be kept from.
    fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0").here("opening the low ports")?;
    fs::write("/proc/self/oom_score_adj", OOM_SCORE).here("being the first to go")?;
    let mut gathered = root::gather(plan)?;
    become_agent(plan.from_root)?;
    let (fuse, mount) = root::view(&mut gathered)?;
    if let Some(fuse) = fuse {
        wire::send(control, &Writer::new(VIEW).0, &[fuse.as_fd()]).here("handing the view over")?;
    }
    root::place(&mount, gathered, &plan.limits)
}

/// Makes the daemon's listeners in this network and hands them over; nothing here keeps one.
fn listen(ports: &[u16], control: &OwnedFd) -> Result<(), Fault> {
    if ports.is_empty() {
        return Ok(());
    }
    let one = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).map(OwnedFd::from);
    let made = ports.iter().map(one).collect::<std::io::Result<Vec<OwnedFd>>>();
    let made = made.here("listening inside")?;
    let fds: Vec<BorrowedFd<'_>> = made.iter().map(AsFd::as_fd).collect();
    wire::send(control, &Writer::new(LISTENERS).0, &fds).here("handing the listeners over")
}

/// User and group 1000. Capabilities stay, in this namespace: user 0 is not part of it, so the kernel sees
/// no step down from root.
pub fn become_agent(from_root: bool) -> Result<(), Fault> {
    let what = "becoming the agent's user";
    let (uid, gid) = (Uid::from_raw(INSIDE_ID), Gid::from_raw(INSIDE_ID));
    if from_root {
        rustix::thread::set_thread_groups(&[]).here(what)?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid).here(what)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).here(what)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

fn obey(control: &OwnedFd, children: &OwnedFd, files: u64) {
    let mut mains: Vec<Main> = Vec::new();
    let mut enders: Vec<OwnedFd> = Vec::new();
    loop {
        let mut watched = vec![PollFd::new(control, PollFlags::IN), PollFd::new(children, PollFlags::IN)];
        let starting = mains.iter().filter_map(|main| main.starting.as_ref());
        watched.extend(starting.map(|fd| PollFd::new(fd, PollFlags::IN)));
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let ordered = watched.first().is_some_and(|fd| !fd.revents().is_empty());
        // A program that runs says so before it can say that it ended.
        mains.retain_mut(begun);
        let _ = rustix::io::read(children, &mut [0; 128]);
        if bury(&mut mains) {
            enders.drain(..).for_each(|report| tell(&report, Writer::new(DONE)));
        }
        if ordered && !order(control, files, &mut mains, &mut enders) {
            return;
        }
    }
}

fn tell(report: &OwnedFd, message: Writer) {
    // Who asked may be gone: then nobody wants to know.
    let _ = wire::send(report, &message.0, &[]);
}

/// Looks whether a command's program runs by now; false if it never will.
fn begun(main: &mut Main) -> bool {
    let Some(pipe) = &main.starting else { return true };
    let mut text = [0; 512];
    match rustix::io::read(pipe, &mut text) {
        Err(Errno::AGAIN | Errno::INTR) => true,
        Ok(0) | Err(_) => {
            main.starting = None;
            tell(&main.report, Writer::new(STARTED).u32(main.pid.unsigned_abs()));
            true
        }
        Ok(length) => {
            let mut message = vec![FAILED];
            message.extend(text.iter().take(length));
            let _ = wire::send(&main.report, &message, &[]);
            false
        }
    }
}

/// Takes the dead and reports those that somebody waits for; true if nobody is left.
fn bury(mains: &mut Vec<Main>) -> bool {
    loop {
        match sys::reap() {
            Ok(Some(dead)) => {
                let Some(ix) = mains.iter().position(|main| main.pid == dead.pid) else { continue };
                let mut main = mains.swap_remove(ix);
                if begun(&mut main) {
                    let message = Writer::new(ENDED).i32(dead.status).u64(dead.user_us).u64(dead.system_us);
                    tell(&main.report, message.u64(dead.resident_bytes_max));
                }
            }
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// One order; false when there will be none again.
fn order(control: &OwnedFd, files: u64, mains: &mut Vec<Main>, enders: &mut Vec<OwnedFd>) -> bool {
    let Ok((message, mut fds)) = wire::receive(control) else { return false };
    let Some((tag, mut read)) = Reader::new(&message) else { return false };
    let Some(report) = fds.pop() else { return true };
    match tag {
        EXEC => match Order::decode(read).ok_or(Errno::BADMSG).here("reading the order") {
            Ok(order) => match launch(&order, &fds, files) {
                Ok((pid, starting)) => mains.push(Main { pid, report, starting: Some(starting) }),
                Err(fault) => tell_fault(&report, &fault),
            },
            Err(fault) => tell_fault(&report, &fault),
        },
        SIGNAL => match (read.i32(), read.i32()) {
            // Init must not be the one that is meant, nor the group it is in.
            (Some(pid), Some(signal)) if !matches!(pid, 0 | 1) => match sys::kill(pid, signal) {
                Ok(()) => tell(&report, Writer::new(DONE)),
                Err(errno) => tell_fault(&report, &Fault { what: format!("process {pid}"), errno }),
            },
            _ => tell_fault(&report, &Fault { what: "reading the order".to_owned(), errno: Errno::INVAL }),
        },
        TERMINAL => match sys::terminal() {
            Ok((master, slave)) => {
                let _ = wire::send(&report, &Writer::new(DONE).0, &[master.as_fd(), slave.as_fd()]);
            }
            Err(errno) => tell_fault(&report, &Fault { what: "making a terminal".to_owned(), errno }),
        },
        CONNECT => match read.bytes().ok_or(Errno::BADMSG).and_then(connect) {
            Ok(socket) => drop(wire::send(&report, &Writer::new(DONE).0, &[socket.as_fd()])),
            Err(errno) => tell_fault(&report, &Fault { what: "connecting inside".to_owned(), errno }),
        },
        END_ALL => {
            let _ = sys::kill(-1, libc::SIGKILL);
            match bury(mains) {
                true => tell(&report, Writer::new(DONE)),
                false => enders.push(report),
            }
        }
        _ => {}
    }
    true
}

/// A socket of this network that connects. Init never waits for it: whoever does not accept holds only those
/// up who want to reach them.
fn connect(address: &[u8]) -> Result<OwnedFd, Errno> {
    let address = str::from_utf8(address).ok().and_then(|text| text.parse::<SocketAddr>().ok());
    let address = address.ok_or(Errno::INVAL)?;
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Forks a command: its process, and where it says why it could not become its program.
fn launch(order: &Order, stdio: &[OwnedFd], files: u64) -> Result<(i32, OwnedFd), Fault> {
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (why, tell) = rustix::pipe::pipe_with(flags).here("starting the command")?;
    rustix::io::ioctl_fionbio(&why, true).here("starting the command")?;
    match sys::clone(0).here("starting the command")? {
        Cloned::Parent(pid, _) => Ok((pid, why)),
        Cloned::Child => {
            let fault = become_command(order, stdio, &tell, files);
            let mut text = fault.errno.raw_os_error().to_le_bytes().to_vec();
            let what: Vec<u8> = fault.what.bytes().take(400).collect();
            text.extend(u32::try_from(what.len()).unwrap_or(0).to_le_bytes());
            text.extend(what);
            let _ = rustix::io::write(&tell, &text);
            sys::end(127)
        }
    }
}

fn become_command(order: &Order, stdio: &[OwnedFd], why: &OwnedFd, files: u64) -> Fault {
    let prepared = prepare(order, stdio, why).and_then(|words| {
        lock::limit(Resource::Nofile, files).here("setting resource limits").map(|()| words)
    });
    match prepared {
        Ok((argv, env)) => execute(&argv, &env),
        Err(fault) => fault,
    }
}

type Words = (Vec<CString>, Vec<CString>);

fn prepare(order: &Order, stdio: &[OwnedFd], why: &OwnedFd) -> Result<Words, Fault> {
    let words = |list: &[Vec<u8>], what: &str| {
        let words = list.iter().map(|word| CString::new(word.as_slice()));
        words.collect::<Result<Vec<CString>, _>>().map_err(|_| Errno::INVAL).here(what)
    };
    let argv = words(&order.argv, "an argument has a zero byte")?;
    let env = words(&order.env, "the environment has a zero byte")?;
    rustix::process::setsid().here("making a session")?;
    // `stdio` and `why` have numbers above these: 0 to 2 are /dev/null in init.
    for (number, fd) in (0..).zip(stdio) {
        let own = null_of_ours(fd).here("placing standard input and output")?;
        sys::place(own.as_ref().unwrap_or(fd).as_fd(), number).here("placing standard input and output")?;
    }
    sys::close_all_but(&[0, 1, 2, rustix::fd::AsRawFd::as_raw_fd(why)]).here("closing descriptors")?;
    if order.terminal == Terminal::Controlling {
        sys::lead_terminal().here("taking the terminal")?;
    }
    if order.cpu_seconds > 0 {
        lock::limit(Resource::Cpu, order.cpu_seconds).here("setting resource limits")?;
    }
    if order.file_bytes > 0 {
        lock::limit(Resource::Fsize, order.file_bytes).here("setting resource limits")?;
    }
    let cwd = String::from_utf8_lossy(&order.cwd).into_owned();
    rustix::process::chdir(order.cwd.as_slice()).at(cwd)?;
    sys::plain_signals();
    Ok((argv, env))
}

/// The host's null device is a path outside, which `/dev/stdin` would lead to and Landlock refuse: ours
/// instead.
fn null_of_ours(fd: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    let stat = rustix::fs::fstat(fd)?;
    let device = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_char_device();
    let null = device && (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (1, 3);
    if !null {
        return Ok(None);
    }
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map(Some)
}

/// As a shell finds a program: by its path, or in the directories of PATH.
fn execute(argv: &[CString], env: &[CString]) -> Fault {
    let Some(name) = argv.first() else {
        return Fault { what: "the command is empty".to_owned(), errno: Errno::INVAL };
    };
    let said = name.to_string_lossy().into_owned();
    if name.as_bytes().contains(&b'/') {
        let errno = sys::execute(name, argv, env);
        return Fault { what: said, errno };
    }
    let path = env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
    let mut errno = Errno::NOENT;
    for dir in path.unwrap_or(b"/usr/bin:/bin").split(|byte| *byte == b':').filter(|dir| !dir.is_empty()) {
        let Ok(path) = CString::new([dir, b"/", name.as_bytes()].concat()) else { continue };
        match sys::execute(&path, argv, env) {
            Errno::NOENT | Errno::NOTDIR => {}
            // Something by this name is there: later directories may do better, else this is what to say.
            Errno::ACCESS => errno = Errno::ACCESS,
            other => return Fault { what: said, errno: other },
        }
    }
    Fault { what: said, errno }
}
