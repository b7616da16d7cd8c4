//! The native wall: real programs on a root of their own, in namespaces, without privileges, within limits.
//!
//! ```text
//! daemon ── packets ──▶ helper `skep-wall`, one ── clone ──▶ init of a sandbox ── fork ──▶ command
//!   └──────── orders, each with a socket on which it is answered ────────▶┘
//! ```
//!
//! Reading order: `spec` (what is asked for), `wall` (the daemon's side: `Wall`, `Starting`, `Jail`,
//! `Running`), `zygote` (the helper: it has one thread, so it may fork), `init` (process 1 of a sandbox),
//! `root` (its mounts), `lock` (what it gives up), `syscalls` (the list), `cgroup` (limits, freezing), `home`
//! (what HOME may hold), `ledger` (processes and ports), `probe` and `trial` (what this host can enforce, by
//! trying), `wire`, `sys` (the `unsafe` blocks).
//!
//! A sandbox lives as long as the daemon's end of its socket. Every call blocks, and may be made from any
//! thread. Never here: a decision on what may be shown or how much may be used; a sandbox that lacks a
//! wall.

mod cgroup;
mod home;
mod init;
mod ledger;
mod lock;
mod probe;
mod root;
mod spec;
mod sys;
mod syscalls;
mod trial;
mod wall;
mod wire;
mod zygote;

pub use home::remove as remove_home;
pub use ledger::{Listener, Process};
pub use probe::{Mechanism, State};
pub use root::{is_covered, mount_points};
pub use spec::{
    Access, Command, ENV, HOME, INSIDE_ID, Limits, MOUNT_POINTS, Need, OUTSIDE_ID, Part, Root, Spec,
    Terminal, host_parts,
};
pub use wall::{Ended, Hit, How, Jail, Running, Starting, Usage, Wall};
pub use zygote::entry;

use rustix::io::Errno;
use std::fmt;

/// Bytes of one message to a helper or a sandbox; a command with its arguments and environment must fit. A
/// packet must fit the kernel's default buffer of a socket, 208 KiB.
pub const MESSAGE_BYTES_MAX: usize = 160 * 1024;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// This host lacks what the wall is made of; nothing was started.
    Missing(Vec<Mechanism>),
    /// A step of the start failed.
    Start { what: String, errno: Errno },
    /// The command could not be started in a sandbox that stands.
    Exec { what: String, errno: Errno },
    /// The command with its arguments and environment is too long.
    TooLong,
    /// The sandbox is frozen.
    Frozen,
    /// The sandbox is gone.
    Gone,
    /// The view was not served, or init hangs.
    Slow,
}

impl Error {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(list) => {
                let fixes: Vec<&str> = list.iter().filter_map(Mechanism::fix).collect();
                if fixes.is_empty() { "run: skep doctor".to_owned() } else { fixes.join("\n      ") }
            }
            Self::Start { .. } => "run: skep doctor".to_owned(),
            Self::Exec { errno: Errno::NOENT, .. } => {
                "it is not on this host's PATH: install it, or declare its directory as a tool".to_owned()
            }
            Self::Exec { errno: Errno::ACCESS, .. } => "make it executable: chmod +x".to_owned(),
            Self::Exec { errno: Errno::AGAIN, .. } => "end some processes of this sandbox".to_owned(),
            Self::Exec { .. } => "check the command and its directory".to_owned(),
            Self::TooLong => "write long input to a file or to standard input".to_owned(),
            Self::Frozen => "thaw it first".to_owned(),
            Self::Gone => "start it again".to_owned(),
            Self::Slow => "look at the daemon's log".to_owned(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(list) => {
                let names: Vec<String> =
                    list.iter().map(|one| format!("{} ({})", one.name, one.why())).collect();
                write!(out, "this host cannot enforce: {}", names.join(", "))
            }
            Self::Start { what, errno } => write!(out, "no sandbox: {what}: {}", said(*errno)),
            Self::Exec { what, errno } => write!(out, "{what}: {}", said(*errno)),
            Self::TooLong => {
                write!(
                    out,
                    "the command with its arguments and environment is over {MESSAGE_BYTES_MAX} bytes"
                )
            }
            Self::Frozen => write!(out, "the sandbox is frozen"),
            Self::Gone => write!(out, "the sandbox has ended"),
            Self::Slow => write!(out, "the sandbox did not answer in time"),
        }
    }
}

impl std::error::Error for Error {}

/// The kernel's words for an error, without its number.
fn said(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// A step that failed on this side of the wall.
#[derive(Debug)]
struct Fault {
    what: String,
    errno: Errno,
}

/// Says which step it was.
trait Here<T> {
    /// The step.
    fn here(self, what: impl Into<String>) -> Result<T, Fault>;
    /// The step is about this path.
    fn at(self, path: impl fmt::Display) -> Result<T, Fault>;
}

impl<T> Here<T> for Result<T, Errno> {
    fn here(self, what: impl Into<String>) -> Result<T, Fault> {
        self.map_err(|errno| Fault { what: what.into(), errno })
    }

    fn at(self, path: impl fmt::Display) -> Result<T, Fault> {
        self.here(path.to_string())
    }
}

impl<T> Here<T> for std::io::Result<T> {
    fn here(self, what: impl Into<String>) -> Result<T, Fault> {
        self.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)).here(what)
    }

    fn at(self, path: impl fmt::Display) -> Result<T, Fault> {
        self.here(path.to_string())
    }
}
