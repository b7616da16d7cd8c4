//! The door of the binary: reads the environment once, into a place, and hands over. `skep up` is the daemon
//! (`machine`), everything else is a face (`shell`) that speaks to its socket. What a face cannot do itself
//! it is handed from here: to start a daemon, to prove a log (`audit`), to show a page,
//! to install a program for the demo. Nothing is decided
//! here.
#![forbid(unsafe_code)]

use machine::{Options, daemon::log_to};
use shell::{Hands, Mechanism, Place, Proof, Proved, Start};
use std::{
    env, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

fn main() -> ExitCode {
    machine::enter_wall();
    let args: Vec<String> = env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let Some(place) = place() else {
        eprintln!("error: neither SKEP_HOME nor HOME is set\nhint: export SKEP_HOME=DIR");
        return ExitCode::FAILURE;
    };
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["up"] => daemon(&place, Options { demo: false, variable }),
        ["up", "--demo"] => daemon(&place, Options { demo: true, variable }),
        // What `start` below runs: a place that need not be the environment's.
        ["up", "--at", home, socket] => daemon(&at(home, socket), Options { demo: false, variable }),
        ["up", "--demo", "--at", home, socket] => daemon(&at(home, socket), Options { demo: true, variable }),
        _ => {
            let (start, prove, variable) = (&start, &prove, &variable);
            let hands =
                Hands { start, prove, variable, look: &look, walls: &walls, browse: &browse, npm: &npm };
            let code = shell::main(args, place, hands);
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
    }
}

fn at(home: &str, socket: &str) -> Place {
    Place { home: home.into(), socket: socket.into() }
}

/// `$SKEP_HOME` with the socket in it; else the XDG state directory, and the socket in the XDG runtime
/// directory if there is one.
#[allow(clippy::disallowed_methods)] // seam: the environment
fn place() -> Option<Place> {
    let dir = |name: &str| env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if let Some(home) = dir("SKEP_HOME") {
        let home = std::path::absolute(home).ok()?;
        return Some(Place { socket: home.join("sock"), home });
    }
    let state = dir("XDG_STATE_HOME").or_else(|| Some(dir("HOME")?.join(".local/state")))?;
    let home = state.join("skep");
    let socket = dir("XDG_RUNTIME_DIR").map_or_else(|| home.join("sock"), |run| run.join("skep/sock"));
    Some(Place { home, socket })
}

fn daemon(place: &Place, options: Options) -> ExitCode {
    match machine::up(&place.home, &place.socket, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint());
            ExitCode::FAILURE
        }
    }
}

/// Starts a daemon at a place: here, or as a process of its own that outlives this one and writes to
/// `daemon.log`.
fn start(place: &Place, how: Start) -> io::Result<()> {
    let options: &[&str] = match how {
        Start::Foreground => {
            let ended = machine::up(&place.home, &place.socket, Options { demo: false, variable });
            return ended.map_err(|error| io::Error::other(format!("{error} ({})", error.hint())));
        }
        Start::Background => &["up", "--at"],
        Start::Demo => &["up", "--demo", "--at"],
    };
    let log = log_to(&place.home).map_err(io::Error::other)?;
    #[allow(clippy::disallowed_methods)] // seam: skep starts itself and nothing else
    let mut skep = Command::new(env::current_exe()?);
    skep.args(options).arg(&place.home).arg(&place.socket).process_group(0);
    skep.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().map(drop)
}

/// Has the operator's desktop show an address. One without a desktop has been told it.
fn browse(url: &str) {
    #[allow(clippy::disallowed_methods)] // seam: the operator's own browser, at the operator's own word
    let mut open = Command::new("xdg-open");
    let null =
        open.arg(url).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = null.spawn();
}

/// Installs a package into a directory of its own.
fn npm(dir: &Path, package: &str) -> io::Result<bool> {
    #[allow(clippy::disallowed_methods)] // seam: the operator's own npm, at the operator's own word
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix"]).arg(dir).arg(package);
    Ok(npm.stdin(Stdio::null()).stdout(Stdio::null()).status()?.success())
}

/// Reads the files of a workspace.
fn prove(proof: &Proof) -> Proved {
    let Proof { path, checkpoint, key } = proof.clone();
    let report = audit::verify(&path, &audit::Options { checkpoint, key, scratch: env::temp_dir() });
    Proved { holds: report.holds(), text: report.to_string(), json: report.to_json().to_string() }
}

/// A variable of the environment.
#[allow(clippy::disallowed_methods)] // seam: the environment
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// What this host can enforce of a wall.
fn walls() -> Vec<Mechanism> {
    let all = machine::prove_walls().into_iter();
    all.map(|one| Mechanism {
        name: one.name.to_owned(),
        missing: one.fix().map(|fix| (one.why().to_owned(), fix.to_owned())),
        required: one.required(machine::LEAST),
    })
    .collect()
}

/// What of models is found on this host: servers that answer on their ports here, programs on the path.
#[allow(clippy::disallowed_methods)] // seam: the environment
fn look(servers: &[(&str, u16)]) -> Vec<(String, String)> {
    let mut found = machine::models::servers(servers);
    let path = env::var_os("PATH").unwrap_or_default();
    for program in ["claude", "codex"] {
        let place = env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file());
        found.extend(place.map(|file| (program.to_owned(), file.display().to_string())));
    }
    found
}
