//! The faces of Skep: here the command line. It speaks to the daemon through its socket and to nothing else.
//!
//! Layers, outer first: `arguments` (words to one command), `commands` (one file each), `session` (where, as
//! whom, printing to where), `journal` (records of the log), `client` (lines on the socket). `demo` is one
//! command of several files. Data goes to stdout, all else to stderr; what others wrote is escaped before it
//! is printed. Never here: the kernel, the store, drivers, the machine, a file of a workspace.
#![forbid(unsafe_code)]

mod arguments;
mod board;
mod card;
mod cause;
mod client;
mod clock;
mod commands;
mod compare;
mod demo;
mod escape;
mod fail;
mod figures;
mod guest;
mod halts;
mod journal;
mod leave;
mod lines;
pub mod manual;
mod matter;
mod models;
mod moment;
#[cfg(feature = "otel")]
mod otel;
mod pager;
mod past;
mod rules;
mod session;
mod settle;
mod splice;
mod strace;
mod table;
mod terminal;
mod typed;
mod upload;
mod watch;

pub use arguments::command;

use arguments::World;
use session::{Desk, Ink};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

/// Where the daemon of one operator lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The state directory.
    pub home: PathBuf,
    /// The socket.
    pub socket: PathBuf,
}

/// How a daemon is to be started at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In this process; returns when it has ended.
    Foreground,
    /// Apart from this process, which it outlives; returns at once.
    Background,
    /// The same, and it may make workspaces that lack rules.
    Demo,
}

/// What a proof of a log is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// A workspace's directory or database.
    pub path: PathBuf,
    /// Signed checkpoints that were kept elsewhere.
    pub checkpoint: Option<PathBuf>,
    /// The key they are to be signed with.
    pub key: Option<String>,
}

/// What a proof came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Whether all that was looked at is as it was written.
    pub holds: bool,
    /// For people, ready to be printed.
    pub text: String,
    /// For programs: one object.
    pub json: String,
}

/// Something of models on this host: its name, and its place: an address or a path.
pub type Found = (String, String);
/// A look at this host for programs, and for those of these servers, by name and port, that answer.
pub type Look<'a> = dyn Fn(&[(&str, u16)]) -> Vec<Found> + 'a;

/// What a face cannot do itself, since it links nothing that could: its door hands it in.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// Starts a daemon.
    pub start: &'a dyn Fn(&Place, Start) -> io::Result<()>,
    /// Reads the files of a workspace, without a daemon.
    pub prove: &'a dyn Fn(&Proof) -> Proved,
    /// A variable of the environment: a key that may be lent or kept.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// What of models is found on this host: those of these servers that answer on their ports, and programs.
    pub look: &'a Look<'a>,
    /// What this host can enforce of a wall, each mechanism tried.
    pub walls: &'a dyn Fn() -> Vec<Mechanism>,
    /// Has the operator's own browser show an address, if there is one; nobody waits for it.
    pub browse: &'a dyn Fn(&str),
    /// Installs a package into a directory with the operator's own npm; whether that went well.
    pub npm: &'a dyn Fn(&Path, &str) -> io::Result<bool>,
}

/// A part of the wall around programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// What it is called.
    pub name: String,
    /// Why it does not work here and the command that provides it; none if it was tried and held.
    pub missing: Option<(String, String)>,
    /// Whether no program can be run without it.
    pub required: bool,
}

/// Runs one command line (the program's name first) and answers the exit code: 0 ok, 1 refused or failed,
/// 2 usage.
pub fn main(args: Vec<String>, place: Place, hands: Hands<'_>) -> i32 {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    // The two variables that are about a command line, not about a place.
    #[allow(clippy::disallowed_methods)]
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
    let ink = if terminal && variable("NO_COLOR").is_none() { Ink::Colour } else { Ink::Plain };
    let desk = if terminal && io::stdin().is_terminal() { Desk::Terminal } else { Desk::Nobody };
    let world = World { place, hands, workspace: variable("SKEP_WORKSPACE"), ink, clock: clock::now, desk };
    arguments::run(args, world, &mut out, &mut err)
}
