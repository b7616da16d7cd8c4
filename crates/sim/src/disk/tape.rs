//! What SQLite did to the files of one directory, in order, and the one operation of it that shall fail.
//!
//! ```text
//! Made · Write · Cut · Synced · Gone · Renamed      by `vfs`, on whichever thread SQLite runs
//! Began(n) · Stands(n)                              by the workload: step n was begun, was acknowledged
//! ```
//!
//! The rename of a new database is done by the store outside of SQLite; the tape sees it when a name that
//! nobody made is opened and the same name with `.new` was. Never here: what a crash makes of it (`image`).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Name of a file below the watched directory.
pub type Name = Arc<str>;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A file came to be, empty.
    Made { file: Name },
    /// Bytes were written.
    Write { file: Name, offset: u64, bytes: Vec<u8> },
    /// A file was made this long.
    Cut { file: Name, size: u64 },
    /// Everything written to it before is to be on the disk.
    Synced { file: Name },
    /// A name was taken away; with the directory synced, or not.
    Gone { file: Name, synced: bool },
    /// A file has another name, and the directory was synced.
    Renamed { from: Name, to: Name },
    /// The workload begins a step.
    Began(usize),
    /// A step was acknowledged.
    Stands(usize),
}

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `xRead`.
    Read,
    /// `xWrite`.
    Write,
    /// `xTruncate`.
    Cut,
    /// `xSync`.
    Sync,
    /// `xDelete`.
    Delete,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// EIO; nothing was done.
    Refused,
    /// ENOSPC; nothing was done.
    Full,
    /// Half of it was written.
    Short,
}

/// A directory that is watched, until this is dropped.
pub struct Watch(Arc<Tape>);

struct Tape {
    dir: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    ops: Vec<Op>,
    acts: Vec<Act>,
    fault: Option<(usize, Answer)>,
}

/// All that are watched in this process.
static TAPES: Mutex<Vec<Arc<Tape>>> = Mutex::new(Vec::new());

fn tapes() -> MutexGuard<'static, Vec<Arc<Tape>>> {
    TAPES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Watches a directory; the n-th act in it (from 0) fails, if that is asked for.
    pub fn on(dir: &Path, fault: Option<(usize, Answer)>) -> std::io::Result<Self> {
        crate::vfs::install();
        let inner = Mutex::new(Inner { fault, ..Inner::default() });
        let tape = Arc::new(Tape { dir: fs::canonicalize(dir)?, inner });
        tapes().push(tape.clone());
        Ok(Self(tape))
    }

    /// Writes down what the workload is at.
    pub fn mark(&self, op: Op) {
        self.0.inner().ops.push(op);
    }

    /// What happened, and every act that could have failed.
    pub fn take(&self) -> (Vec<Op>, Vec<Act>) {
        let mut inner = self.0.inner();
        (std::mem::take(&mut inner.ops), std::mem::take(&mut inner.acts))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        tapes().retain(|tape| !Arc::ptr_eq(tape, &self.0));
    }
}

impl Tape {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watched file.
pub(crate) struct Spot {
    tape: Arc<Tape>,
    /// Its name on the tape.
    pub name: Name,
}

/// The watched file of this path, if its directory is watched.
pub(crate) fn spot(path: &str) -> Option<Spot> {
    tapes().iter().find_map(|tape| {
        let name = Path::new(path).strip_prefix(&tape.dir).ok()?.to_str()?;
        Some(Spot { tape: tape.clone(), name: Arc::from(name) })
    })
}

impl Spot {
    /// Whether the file is there.
    pub fn stood(&self) -> bool {
        self.tape.dir.join(&*self.name).exists()
    }

    /// It was opened; `stood` says whether it was there before.
    pub fn opened(&self, stood: bool) {
        let file = self.name.clone();
        let mut inner = self.tape.inner();
        let op = match stood {
            false => Op::Made { file },
            true if inner.knows(&file) => return,
            true => Op::Renamed { from: Arc::from(format!("{file}.new")), to: file },
        };
        inner.ops.push(op);
    }

    /// Writes down what happened.
    pub fn note(&self, op: Op) {
        self.tape.inner().ops.push(op);
    }

    /// Counts an act, and says whether it is the one that fails.
    pub fn fate(&self, act: Act) -> Option<Answer> {
        let mut inner = self.tape.inner();
        let number = inner.acts.len();
        inner.acts.push(act);
        inner.fault.filter(|(at, _)| *at == number).map(|(_, answer)| answer)
    }
}

impl Inner {
    fn knows(&self, name: &Name) -> bool {
        self.ops.iter().any(|op| match op {
            Op::Made { file } | Op::Renamed { to: file, .. } => file == name,
            Op::Write { .. } | Op::Cut { .. } | Op::Synced { .. } | Op::Gone { .. } => false,
            Op::Began(_) | Op::Stands(_) => false,
        })
    }
}
