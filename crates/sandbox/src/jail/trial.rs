//! One mechanism of the wall, tried in a process made for it: it does what the wall does, and then what the
//! wall forbids, which must fail. Nothing is read off a version number.

use super::{
    Fault, Here, init, lock, root,
    spec::{Limits, Need, Plan, Root, host_parts},
    sys::{self, Cloned},
    wire::{self, Writer},
};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io::Errno,
};

/// Bytes of memory that a trial of its limit may have, and how much it takes.
pub const MEMORY_BYTES: u64 = 16 << 20;
const TAKEN_BYTES: usize = 64 << 20;
/// Processes that a trial of their limit may have.
const PROCESSES: u32 = 4;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    User,
    Namespaces,
    View,
    Proc,
    Mounts,
    Capabilities,
    Landlock,
    Seccomp,
    Processes,
    Memory,
    Still,
}

const ALL: [Trial; 11] = [
    Trial::User,
    Trial::Namespaces,
    Trial::View,
    Trial::Proc,
    Trial::Mounts,
    Trial::Capabilities,
    Trial::Landlock,
    Trial::Seccomp,
    Trial::Processes,
    Trial::Memory,
    Trial::Still,
];

impl Trial {
    /// As it goes to the helper.
    pub fn body(self) -> Vec<u8> {
        let place = ALL.iter().position(|one| *one == self);
        vec![u8::try_from(place.unwrap_or_default()).unwrap_or_default()]
    }

    fn decode(body: &[u8]) -> Option<Self> {
        ALL.get(usize::from(*body.first()?)).copied()
    }
}

/// What a trial's process is cloned into.
pub fn namespaces(body: &[u8]) -> i32 {
    if Trial::decode(body) == Some(Trial::User) { libc::CLONE_NEWUSER } else { sys::NAMESPACES }
}

/// Tries, and says how it went.
pub fn run(body: &[u8], from_root: bool, control: &OwnedFd) -> Result<(), Fault> {
    match Trial::decode(body).ok_or(Errno::BADMSG).here("reading the trial")? {
        Trial::User | Trial::Namespaces => init::become_agent(from_root)?,
        Trial::View => view(from_root)?,
        Trial::Proc => root::proc().map(drop)?,
        Trial::Mounts => root::gather(&plan(Root::Dir("/".into()), from_root)).map(drop)?,
        Trial::Capabilities => capabilities()?,
        Trial::Landlock => landlock()?,
        Trial::Seccomp => seccomp()?,
        Trial::Processes => processes(from_root)?,
        Trial::Memory => drop(std::hint::black_box(vec![1_u8; TAKEN_BYTES])),
        Trial::Still => loop {
            rustix::thread::sched_yield();
        },
    }
    wire::send(control, &Writer::new(init::READY).0, &[]).here("saying how it went")
}

fn plan(root: Root, from_root: bool) -> Plan {
    let (parts, home, limits) = (host_parts(), None, Limits::default());
    Plan {
        root,
        from_root,
        parts,
        home,
        through: Vec::new(),
        listeners: Vec::new(),
        hostname: Vec::new(),
        limits,
        need: Need::Cgroup,
    }
}

fn view(from_root: bool) -> Result<(), Fault> {
    let mut plan = plan(Root::View, from_root);
    plan.parts.clear();
    let mut gathered = root::gather(&plan)?;
    init::become_agent(from_root)?;
    root::view(&mut gathered).map(drop)
}

/// What must be refused now.
fn refused<T>(done: Result<T, Errno>, by: Errno, what: &str) -> Result<(), Fault> {
    match done {
        Err(errno) if errno == by => Ok(()),
        Err(errno) => Err(errno).here(what),
        // It worked, so nothing held it.
        Ok(_) => Err(Errno::NOTSUP).here(format!("{what}: it worked all the same")),
    }
}

fn capabilities() -> Result<(), Fault> {
    rustix::system::sethostname(b"before").here("setting the host name with capabilities")?;
    lock::privileges()?;
    refused(rustix::system::sethostname(b"after"), Errno::PERM, "setting the host name without capabilities")
}

fn landlock() -> Result<(), Fault> {
    let open = || rustix::fs::open("/proc", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    open().here("opening /proc before it is refused")?;
    lock::privileges()?;
    lock::landlock("/dev")?;
    refused(open(), Errno::ACCESS, "opening /proc after it was refused")
}

fn seccomp() -> Result<(), Fault> {
    lock::privileges()?;
    lock::seccomp()?;
    refused(sys::trace_me(), Errno::PERM, "asking to be traced")?;
    refused(sys::hide_groups(), Errno::PERM, "making a namespace")
}

fn processes(from_root: bool) -> Result<(), Fault> {
    init::become_agent(from_root)?;
    lock::rlimits(&Limits { processes: PROCESSES, ..Limits::default() }, Need::Cgroup)?;
    lock::privileges()?;
    for _ in 0..PROCESSES {
        match sys::clone(0) {
            Ok(Cloned::Child) => loop {
                // It ends with this namespace.
                rustix::thread::sched_yield();
            },
            Ok(Cloned::Parent(..)) => {}
            Err(errno) => return refused::<()>(Err(errno), Errno::AGAIN, "starting processes"),
        }
    }
    refused(Ok(()), Errno::AGAIN, "starting a process too many")
}
