//! What this host can enforce, each proved by trying it, and the command that provides what is missing.

use super::{
    Error, Wall,
    cgroup::{Base, Controller, Group, Want},
    spec::{Limits, Need},
    trial::{self, Trial},
};
use rustix::io::Errno;
use std::fs;

/// One part of the wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// What it is called.
    pub name: &'static str,
    /// Whether it works here.
    pub state: State,
}

/// Whether a mechanism works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was tried and held.
    Proved,
    /// It does not.
    Missing {
        /// What was seen.
        why: String,
        /// The command that provides it.
        command: String,
    },
}

impl Mechanism {
    /// Whether nothing starts without it. What stands still only by signals can run; memory that is limited
    /// for each process alone is accepted or not by who starts the sandbox.
    pub fn required(&self, need: Need) -> bool {
        self.name != FREEZING && (self.name != MEMORY || need == Need::Cgroup)
    }

    /// What was seen, if it is missing.
    pub fn why(&self) -> &str {
        match &self.state {
            State::Proved => "",
            State::Missing { why, .. } => why,
        }
    }

    /// The command that provides it, if it is missing.
    pub fn fix(&self) -> Option<&str> {
        match &self.state {
            State::Proved => None,
            State::Missing { command, .. } => Some(command),
        }
    }
}

const MEMORY: &str = "memory limit";
const FREEZING: &str = "freezing";
const DELEGATE: &str = "systemd-run --user --scope -p Delegate=yes skep up";
const NOT_DELEGATED: &str = "no control group of this kind can be made by this user";
/// A kernel that lacks it cannot be told to have it.
const LANDLOCK: &str = "add landlock to lsm= on the kernel's command line (Linux 5.19 or later), and restart";
const SECCOMP: &str = "use a kernel with CONFIG_SECCOMP_FILTER";
const PROC: &str = "in a container, run it with --security-opt systempaths=unconfined";
const FUSE_ABSENT: &str = "sudo modprobe fuse";
const FUSE_CLOSED: &str = "sudo chmod 666 /dev/fuse";
const NONE: &str = "run as another user or on another host; this one refuses it to this user";
const CLONE_OFF: &str = "sudo sysctl -w kernel.unprivileged_userns_clone=1";
const NO_SPACES: &str = "sudo sysctl -w user.max_user_namespaces=15000";
/// What Ubuntu's AppArmor needs so that this program may make user namespaces. `{}` is its path.
const PROFILE: &str = "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>' \
     'profile skep \"{}\" flags=(unconfined) { userns, }' \
     | sudo tee /etc/apparmor.d/skep && sudo apparmor_parser -r /etc/apparmor.d/skep";

/// What is tried by itself, in the order in which a sandbox needs it.
const TRIALS: [(Trial, &str); 9] = [
    (Trial::User, "user namespaces"),
    (Trial::Namespaces, "mount, process, network, IPC and host name namespaces"),
    (Trial::View, "the view's mount (FUSE)"),
    (Trial::Proc, "a /proc of its own"),
    (Trial::Mounts, "read-only parts of the host"),
    (Trial::Capabilities, "no capabilities, no new privileges"),
    (Trial::Landlock, "paths (Landlock)"),
    (Trial::Seccomp, "system calls (seccomp)"),
    (Trial::Processes, "process limit"),
];

/// The limits that a start needs, as far as they can be known before it.
pub fn limits(base: &Base, need: Need) -> Vec<Mechanism> {
    let there = need == Need::EachProcess || base.has(Controller::Memory);
    vec![Mechanism { name: MEMORY, state: if there { State::Proved } else { undelegated() } }]
}

/// Everything.
pub fn all(wall: &Wall, base: &Base) -> Vec<Mechanism> {
    let tried = TRIALS.iter().map(|(trial, name)| {
        let state = wall
            .attempt(*trial, &Group::default())
            .map_or_else(|error| lacking(*trial, &error), |()| State::Proved);
        Mechanism { name, state }
    });
    let held = [
        Mechanism { name: MEMORY, state: memory(wall, base) },
        Mechanism { name: FREEZING, state: freezing(wall, base) },
    ];
    tried.chain(held).collect()
}

fn undelegated() -> State {
    State::Missing { why: NOT_DELEGATED.to_owned(), command: DELEGATE.to_owned() }
}

/// Takes more than there is, in a group: the kernel must end it.
fn memory(wall: &Wall, base: &Base) -> State {
    if !base.has(Controller::Memory) {
        return undelegated();
    }
    let limits = Limits { memory_bytes: trial::MEMORY_BYTES, ..Limits::default() };
    let tried = in_group(base, &limits, |group| {
        let done = wall.attempt(Trial::Memory, group);
        Ok(done == Err(Error::Gone) && group.hits().memory > 0)
    });
    held(tried, "what took more memory than its limit went on")
}

/// Stops a process that never waits.
fn freezing(wall: &Wall, base: &Base) -> State {
    if !base.has(Controller::Freezer) {
        return undelegated();
    }
    let tried = in_group(base, &Limits::default(), |group| {
        let runs = wall.begin(Trial::Still, group)?;
        let frozen = group.freeze(Want::Frozen) == Some(Ok(()));
        drop(runs);
        Ok(frozen)
    });
    held(tried, "a process in a frozen group went on")
}

fn in_group(
    base: &Base,
    limits: &Limits,
    work: impl Fn(&Group) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let group = base.make(limits).map_err(|(what, errno)| Error::Start { what, errno })?;
    let done = work(&group);
    super::cgroup::remove(&group.dirs());
    done
}

fn held(tried: Result<bool, Error>, otherwise: &str) -> State {
    match tried {
        Ok(true) => State::Proved,
        Ok(false) => State::Missing { why: otherwise.to_owned(), command: DELEGATE.to_owned() },
        Err(error) => State::Missing { why: error.to_string(), command: DELEGATE.to_owned() },
    }
}

fn lacking(trial: Trial, error: &Error) -> State {
    let errno = match error {
        Error::Start { errno, .. } => *errno,
        _ => Errno::IO,
    };
    let command = match (trial, errno) {
        (Trial::View, Errno::NOENT | Errno::NODEV | Errno::NXIO) => FUSE_ABSENT.to_owned(),
        (Trial::View, Errno::ACCESS | Errno::PERM) if closed() => FUSE_CLOSED.to_owned(),
        (Trial::Landlock, _) => LANDLOCK.to_owned(),
        (Trial::Seccomp, _) => SECCOMP.to_owned(),
        (Trial::Proc, Errno::PERM) => userns().unwrap_or_else(|| PROC.to_owned()),
        _ => userns().unwrap_or_else(|| NONE.to_owned()),
    };
    let why = error.to_string();
    State::Missing { why: why.strip_prefix("no sandbox: ").unwrap_or(&why).to_owned(), command }
}

/// Whether the device of FUSE is not open to this user.
fn closed() -> bool {
    let both = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    rustix::fs::access("/dev/fuse", both).is_err()
}

/// What gives an ordinary user namespaces, if it is known what holds them back.
fn userns() -> Option<String> {
    let is = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return Some(NO_SPACES.to_owned());
    }
    if rustix::process::geteuid().is_root() {
        return None;
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return Some(CLONE_OFF.to_owned());
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        let program = fs::read_link("/proc/self/exe").ok()?;
        return Some(PROFILE.replace("{}", &program.to_string_lossy()));
    }
    None
}
