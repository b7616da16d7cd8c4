//! The virtual shell: a command of bash run in this process over a view, without programs, network or host.
//!
//! ```text
//!   run ── screen          does the text ask for what only real programs can do?
//!    │     (words: the programs that are here)
//!    └─ thread ── Engine ── kit (bashkit) ── files ── View
//!                                   └─ memory: /dev, and /tmp where nothing else can hold it
//! ```
//!
//! A text that asks for more than is here is not run in part: the outcome is [`Outcome::NeedsNative`],
//! nothing was said, and what was written is only in the view, which the caller discards before it runs the
//! whole text behind the native wall. Where that may not be, the shell goes on as bash does without the
//! program.
//!
//! Each run is a new shell, as with `bash -c`. What differs from bash stands in docs/how/virtual-shell.md.
//! Never here: a process, a socket, a path of the host, the host's environment.

mod files;
mod kit;
mod ls;
mod options;
mod screen;
pub mod trial;
mod words;

pub use words::WORDS;

use crate::view::View;
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

/// Bytes of the stack of a run; it is only taken as it is used.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// How often the caller is asked whether to stop.
const LOOK: Duration = Duration::from_millis(5);
/// How long a run may go on after it was told to end; then it is left alone, and cannot reach the view.
const GRACE: Duration = Duration::from_millis(500);
/// How many runs that were left alone are borne before no more are started.
const STRAYS_MAX: usize = 4;

static STRAYS: AtomicUsize = AtomicUsize::new(0);

/// What may be used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands, and rounds of loops.
    pub commands: usize,
    /// From start to end.
    pub time: Duration,
    /// Bytes that are said.
    pub output: usize,
    /// Bytes that are held at once, about.
    pub memory: usize,
}

impl Default for Limits {
    /// What a short command needs; what is more is for the native wall.
    fn default() -> Self {
        let time = Duration::from_secs(20);
        Self { commands: 100_000, time, output: 1024 * 1024, memory: 64 * 1024 * 1024 }
    }
}

/// Whether the process may run real programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Native {
    /// What is not here ends the run with [`Outcome::NeedsNative`]; so does a path that only the native wall
    /// has (`/tmp`, `/etc`, `HOME`).
    May,
    /// What is not here is not found, and the shell goes on; `/tmp` is in memory and ends with the run.
    MayNot,
}

/// One command.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The script.
    pub text: &'a str,
    /// Where it starts: an absolute path of the tree.
    pub dir: &'a str,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Whether it could be run natively instead.
    pub native: Native,
    /// What may be used up.
    pub limits: Limits,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself.
    Ended {
        /// As of a process.
        status: i32,
    },
    /// Its time was over.
    TimedOut,
    /// It used up one of its limits, which is named.
    Over(&'static str),
    /// The caller said so.
    Stopped,
    /// It needs what is not here. Nothing was said.
    NeedsNative {
        /// A program, a path, or a word of bash.
        program: String,
    },
}

/// What a shell runs on and what stops it; shared by the run and who waits for it.
struct Gate {
    /// The text must not go on.
    end: AtomicBool,
    /// What the shell itself looks at between two commands.
    ear: OnceLock<Arc<AtomicBool>>,
    /// The view is out of reach.
    shut: AtomicBool,
    /// Why: what it needs.
    needs: Mutex<Option<String>>,
    /// Names that were not found, where nothing native can be had.
    missed: Mutex<Option<String>>,
    /// Whether a file may be run, whose first line has to be looked at.
    wary: AtomicBool,
    /// Whether something ran that stops at the first of several names that it cannot use; what failed then is
    /// not known to be all.
    hasty: AtomicBool,
    native: Native,
}

impl Gate {
    /// Ends the run, if it can be done natively.
    fn needs(&self, what: &str) {
        if self.native == Native::MayNot {
            return;
        }
        let mut needs = self.needs.lock().unwrap_or_else(PoisonError::into_inner);
        needs.get_or_insert_with(|| what.to_owned());
        self.stop();
    }

    /// Notes what is not here, for a hint.
    fn misses(&self, what: &str) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.get_or_insert_with(|| what.to_owned());
    }

    fn stop(&self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(ear) = self.ear.get() {
            ear.store(true, Ordering::Relaxed);
        }
    }

    fn needed(&self) -> Option<String> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a shell is given.
struct Job {
    text: String,
    dir: String,
    env: Vec<(String, String)>,
    limits: Limits,
}

/// How a shell ended, and all that it said.
struct Spoken {
    outcome: Outcome,
    said: Vec<u8>,
}

/// A shell. There is one now, and it can be replaced by another one.
trait Engine {
    /// Runs a text to its end, or until the gate says so.
    fn run(&self, view: Arc<View>, gate: Arc<Gate>, job: Job) -> Spoken;
}

/// Runs a command over a view. What it says comes at its end, standard output and error in one stream in the
/// order of the commands; `stopped` is asked every few milliseconds.
pub fn run(
    view: &Arc<View>,
    order: &Order<'_>,
    say: &mut dyn FnMut(&[u8]),
    stopped: &dyn Fn() -> bool,
) -> Outcome {
    let screened = screen::screen(order.text, order.native);
    let wary = match screened {
        screen::Screened::Needs(program) => return Outcome::NeedsNative { program },
        screen::Screened::Plain => false,
        screen::Screened::Wary => true,
    };
    if STRAYS.load(Ordering::Relaxed) >= STRAYS_MAX {
        return Outcome::Over("runs that do not end");
    }
    let gate = Arc::new(Gate {
        end: AtomicBool::new(false),
        ear: OnceLock::new(),
        shut: AtomicBool::new(false),
        needs: Mutex::default(),
        missed: Mutex::default(),
        wary: AtomicBool::new(wary),
        hasty: AtomicBool::new(false),
        native: order.native,
    });
    let Some(said) = start(view.clone(), gate.clone(), order) else {
        return Outcome::Over("threads of this host");
    };
    let Spoken { outcome, said } = wait(&said, &gate, order.limits.time, stopped);
    if let Some(program) = gate.needed() {
        return Outcome::NeedsNative { program };
    }
    if outcome != Outcome::Stopped {
        say(&said);
        let missed = gate.missed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(name) = missed {
            let hint = format!("hint: `{name}` as it stands here needs the native wall\n");
            say(hint.as_bytes());
        }
    }
    outcome
}

/// A thread of its own, for a stack whose size is known.
fn start(view: Arc<View>, gate: Arc<Gate>, order: &Order<'_>) -> Option<Receiver<Spoken>> {
    let job = Job {
        text: order.text.to_owned(),
        dir: order.dir.to_owned(),
        env: order.env.clone(),
        limits: order.limits,
    };
    let (tell, said) = channel();
    let thread = std::thread::Builder::new().name("skep-shell".to_owned()).stack_size(STACK_BYTES);
    let run = move || {
        let left = Left(gate.clone());
        let spoken = kit::Kit.run(view, gate, job);
        drop(left);
        let _ = tell.send(spoken);
    };
    thread.spawn(run).ok().map(|_| said)
}

/// Counts a run that was left alone out when it ends, however that is.
struct Left(Arc<Gate>);

impl Drop for Left {
    fn drop(&mut self) {
        if self.0.shut.swap(true, Ordering::Relaxed) {
            STRAYS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[allow(clippy::disallowed_methods)] // seam: how long the run of a thread is waited for
fn wait(said: &Receiver<Spoken>, gate: &Gate, time: Duration, stopped: &dyn Fn() -> bool) -> Spoken {
    let nothing = |outcome| Spoken { outcome, said: Vec::new() };
    let begun = Instant::now();
    let mut told: Option<(Instant, Outcome)> = None;
    loop {
        match said.recv_timeout(LOOK) {
            Ok(spoken) => {
                let why = told.map(|(_, why)| why).filter(|_| spoken.outcome == Outcome::Stopped);
                return Spoken { outcome: why.unwrap_or(spoken.outcome), said: spoken.said };
            }
            // It panicked, which it must not: bash itself may know better.
            Err(RecvTimeoutError::Disconnected) => {
                gate.needs("bash");
                return nothing(Outcome::Over("patience of the virtual shell"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        match &told {
            None if gate.end.load(Ordering::Relaxed) => told = Some((now, Outcome::Stopped)),
            None if stopped() => told = Some((now, Outcome::Stopped)),
            None if now.duration_since(begun) > time => told = Some((now, Outcome::TimedOut)),
            None => {}
            Some((since, why)) if now.duration_since(*since) > GRACE => {
                STRAYS.fetch_add(1, Ordering::Relaxed);
                if gate.shut.swap(true, Ordering::Relaxed) {
                    STRAYS.fetch_sub(1, Ordering::Relaxed);
                }
                return nothing(why.clone());
            }
            Some(_) => {}
        }
        if told.is_some() {
            gate.stop();
        }
    }
}

#[cfg(test)]
mod tests;
