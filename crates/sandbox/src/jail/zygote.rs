//! The helper: a process of the daemon's binary that does nothing but make sandboxes. It has one thread and
//! holds nothing of the daemon's, so a copy of it may become the first process of a sandbox. It outlives the
//! daemon by as long as it takes to kill what is left and to remove its groups.
//!
//! ```text
//! request  S · list of group directories · root? u32 · uid u32 · gid u32 · bytes of the plan
//!          T · the same, with the number of a trial
//!          + control socket of the sandbox, cgroup.procs of each group
//! answer   Y · pid u32 + pidfd        N · errno i32 · bytes what
//! ```

use super::{
    Fault, Here, cgroup, init,
    spec::INSIDE_ID,
    sys::{self, Cloned},
    trial,
    wire::{self, Reader, Writer},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, AsRawFd, OwnedFd},
    io::Errno,
    process::{Signal, pidfd_send_signal},
};
use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::PathBuf};

/// By this name, as first word of its command line, a process knows that it is the helper.
pub const NAME: &str = "skep-wall";
pub const START: u8 = b'S';
pub const TRY: u8 = b'T';
pub const YES: u8 = b'Y';
pub const NO: u8 = b'N';

/// A sandbox that lives.
struct Child {
    pid: i32,
    pidfd: OwnedFd,
    groups: Vec<PathBuf>,
}

/// First thing in `main`: goes on if this is no helper, else never comes back.
pub fn entry() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) {
        serve();
        sys::end(0);
    }
}

fn serve() {
    // What the daemon left open over execve is not ours.
    if sys::close_all_but(&[0, 1, 2]).is_err() {
        return;
    }
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"skep-wall");
    let socket = sys::inherited(0);
    // The number 0 goes to every copy; what speaks to the daemon must not.
    let Ok(socket) = rustix::io::fcntl_dupfd_cloexec(&socket, 3) else { return };
    if let Ok(null) = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()) {
        let _ = sys::place(null.as_fd(), 0);
    }
    let mut children: Vec<Child> = Vec::new();
    loop {
        let mut watched = vec![PollFd::new(&socket, PollFlags::IN)];
        watched.extend(children.iter().map(|child| PollFd::new(&child.pidfd, PollFlags::IN)));
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
        let called = watched.first().is_some_and(|fd| !fd.revents().is_empty());
        bury(&mut children);
        if called && !answer(&socket, &mut children) {
            break;
        }
    }
    end_all(children);
}

/// Takes the dead, and removes their groups.
fn bury(children: &mut Vec<Child>) {
    while let Some(dead) = sys::reap().ok().flatten() {
        if let Some(ix) = children.iter().position(|child| child.pid == dead.pid) {
            cgroup::remove(&children.swap_remove(ix).groups);
        }
    }
}

/// The daemon is gone: so is everything it started.
fn end_all(mut children: Vec<Child>) {
    for child in &children {
        cgroup::thaw(&child.groups);
        let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
    }
    while let Some(child) = children.first() {
        let wait = Timespec { tv_sec: 5, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&child.pidfd, PollFlags::IN)], Some(&wait));
        bury(&mut children);
        if ended != Ok(1) {
            return;
        }
    }
}

/// One request; false when there will be none again.
fn answer(socket: &OwnedFd, children: &mut Vec<Child>) -> bool {
    let Ok((message, fds)) = wire::receive(socket) else { return false };
    if message.is_empty() {
        return false;
    }
    let sent = match start(&message, fds) {
        Ok(child) => {
            let reply = Writer::new(YES).u32(child.pid.unsigned_abs()).0;
            let sent = wire::send(socket, &reply, &[child.pidfd.as_fd()]);
            children.push(child);
            sent
        }
        Err(fault) => {
            let reply = Writer::new(NO).i32(fault.errno.raw_os_error()).bytes(fault.what.as_bytes());
            wire::send(socket, &reply.0, &[])
        }
    };
    sent.is_ok()
}

/// What a request asks for.
struct Request<'a> {
    tag: u8,
    groups: Vec<PathBuf>,
    root: bool,
    uid: u32,
    gid: u32,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn decode(message: &'a [u8]) -> Option<Self> {
        let (tag, mut read) = Reader::new(message)?;
        let groups = read.list()?.into_iter().map(|path| PathBuf::from(OsString::from_vec(path)));
        Some(Self {
            tag,
            groups: groups.collect(),
            root: read.u32()? == 1,
            uid: read.u32()?,
            gid: read.u32()?,
            body: read.bytes()?,
        })
    }

    fn namespaces(&self) -> i32 {
        match self.tag {
            TRY => trial::namespaces(self.body),
            _ => sys::NAMESPACES,
        }
    }
}

fn start(message: &[u8], mut fds: Vec<OwnedFd>) -> Result<Child, Fault> {
    let request = Request::decode(message).filter(|_| !fds.is_empty());
    let request = request.ok_or(Errno::BADMSG).here("reading the request")?;
    let control = fds.remove(0);
    let (gate, go) = rustix::pipe::pipe().here("making a pipe")?;
    match sys::clone(request.namespaces()).here("making namespaces")? {
        Cloned::Child => {
            let keep: Vec<i32> = fds.iter().chain([&control, &gate]).map(AsRawFd::as_raw_fd).collect();
            let closed = sys::close_all_but(&[&[0, 1, 2], keep.as_slice()].concat());
            let ended =
                closed.here("closing descriptors").and_then(|()| begin(&request, &control, &gate, fds));
            if let Err(fault) = ended {
                init::tell_fault(&control, &fault);
            }
            sys::end(1)
        }
        Cloned::Parent(pid, pidfd) => {
            let mapped = map(pid, request.root, request.uid, request.gid);
            let child = Child { pid, pidfd, groups: request.groups };
            let gone =
                mapped.and_then(|()| rustix::io::write(&go, b"g").map(drop).here("letting the sandbox go"));
            if gone.is_err() {
                let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
            }
            gone.map(|()| child)
        }
    }
}

/// In the new process: its user is mapped when the gate opens; then it enters its groups.
fn begin(
    request: &Request<'_>,
    control: &OwnedFd,
    gate: &OwnedFd,
    groups: Vec<OwnedFd>,
) -> Result<(), Fault> {
    let opened = rustix::io::read(gate, &mut [0; 1]).here("waiting for the user")?;
    if opened == 0 {
        return Ok(());
    }
    for group in &groups {
        rustix::io::write(group, b"0").here("entering a control group")?;
    }
    drop(groups);
    match request.tag {
        TRY => trial::run(request.body, request.root, control),
        _ => init::run(request.body, control),
    }
}

/// One user, one group; no way for an ordinary user's sandbox to change groups.
fn map(pid: i32, root: bool, uid: u32, gid: u32) -> Result<(), Fault> {
    let what = "mapping the user";
    if !root {
        fs::write(format!("/proc/{pid}/setgroups"), "deny").here(what)?;
    }
    fs::write(format!("/proc/{pid}/uid_map"), format!("{INSIDE_ID} {uid} 1\n")).here(what)?;
    fs::write(format!("/proc/{pid}/gid_map"), format!("{INSIDE_ID} {gid} 1\n")).here(what)
}
