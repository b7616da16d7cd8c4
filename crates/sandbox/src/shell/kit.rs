//! The shell that is used now: bashkit, with its own file system, environment, limits and nothing of the
//! host. Only this file and `screen` know of it.
//!
//! It asks for files by whole paths without `.` and `..`, through a layer of its own that follows links.
//! `/dev` is a memory of its own in each run; so is `/tmp` where the native wall cannot be had.

use super::{Engine, Gate, Job, Native, Outcome, Spoken, files::Files, ls::Ls, options, screen, words};
use crate::{
    jail::MOUNT_POINTS,
    view::{Attr, Last, Sort, View},
};
use bashkit::{
    Bash, Builtin, CommandResolver, DirEntry, Error, ExecOptions, ExecutionBudgetExceeded, ExecutionLimits,
    FileSystem, FileSystemExt, FileType, FsLimits, InMemoryFs, LimitExceeded, MemoryLimits, Metadata, Result,
    SessionLimits, async_trait, hooks::HookAction,
};
use rustix::io::Errno;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Devices that a run has; those without an end are for the native wall.
const DEVICES: [&str; 5] = ["fd", "null", "stderr", "stdin", "stdout"];
/// What a word says when it stops short of what the real one does. Such an answer is not taken.
const COMPLAINTS: [&str; 12] = [
    "bashkit",
    "exceeded",
    "exceeds",
    "invalid date",
    "invalid option",
    "not implemented",
    "not supported",
    "truncated",
    "unknown option",
    "unknown predicate",
    "unrecognized option",
    "unsupported",
];

/// bashkit.
pub(super) struct Kit;

impl Engine for Kit {
    fn run(&self, view: Arc<View>, gate: Arc<Gate>, job: Job) -> Spoken {
        // seam: what waits in a script (`sleep`, jobs) waits on a runtime of this thread
        #[allow(clippy::disallowed_methods)]
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .thread_stack_size(super::STACK_BYTES)
            .build();
        let Ok(runtime) = runtime else {
            return Spoken { outcome: Outcome::Over("threads of this host"), said: Vec::new() };
        };
        let start = view.walk(&job.dir, Last::Follow).map(|dir| {
            view.forget(dir.node, 1);
            dir.sort
        });
        if start != Ok(Sort::Dir) {
            let said = format!("bash: {}: is not a directory\nhint: start in one that is there\n", job.dir);
            return Spoken { outcome: Outcome::Ended { status: 1 }, said: said.into_bytes() };
        }
        let said = Arc::new(Mutex::new(Said { bytes: Vec::new(), most: job.limits.output, over: false }));
        let mut bash = shell(view, &gate, &job);
        let end = gate.ear.get_or_init(|| bash.cancellation_token()).clone();
        if gate.end.load(Ordering::Relaxed) {
            gate.stop();
        }
        let (tell, over) = (said.clone(), end.clone());
        let heard = move |out: &bashkit::StreamData, error: &bashkit::StreamData| {
            let mut said = tell.lock().unwrap_or_else(PoisonError::into_inner);
            said.add(out.as_bytes());
            said.add(error.as_bytes());
            if said.over {
                over.store(true, Ordering::Relaxed);
            }
        };
        let options = ExecOptions::new().streaming(Box::new(heard));
        let watch = watch(&gate.end);
        let text = job.text.clone();
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = bash.exec_with_options(&text, options) => ended,
                () = watch => Err(Error::Cancelled),
            }
        });
        runtime.shutdown_background();
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = outcome(ended, &mut said, &job, &gate);
        if let Some(word) = complaint(&said.bytes, &job.text) {
            gate.needs(word);
        }
        Spoken { outcome, said: std::mem::take(&mut said.bytes) }
    }
}

/// What was said so far.
struct Said {
    bytes: Vec<u8>,
    most: usize,
    over: bool,
}

impl Said {
    fn add(&mut self, bytes: &[u8]) {
        let room = self.most.saturating_sub(self.bytes.len());
        self.over |= bytes.len() > room;
        self.bytes.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }
}

/// Who said that it cannot do what the real one can.
fn complaint<'a>(said: &'a [u8], text: &str) -> Option<&'a str> {
    said.split(|byte| *byte == b'\n').find_map(|line| {
        let line = str::from_utf8(line.get(..line.len().min(512))?).ok()?;
        let (word, rest) = line.split_once(": ")?;
        let ours = word == "bash" || words::known(word);
        // Words that name a file by its whole path stop at the first that they cannot read.
        let whole = rest.starts_with('/') && rest.split(": ").next().is_some_and(|path| !text.contains(path));
        let unable = word == "diff" && rest.ends_with("Is a directory");
        let complains = whole || unable || COMPLAINTS.iter().any(|what| rest.contains(what));
        (ours && complains).then_some(word)
    })
}

/// Ends when the run must: what sleeps does not look by itself.
async fn watch(end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn shell(view: Arc<View>, gate: &Arc<Gate>, job: &Job) -> Bash {
    let limits = job.limits;
    let whole = (limits.memory / 4) as u64;
    let files = Files::new(view, gate.clone(), whole);
    let room = FsLimits::new().max_total_bytes(whole).max_file_size(whole);
    let tree = Tree { files, memory: InMemoryFs::with_limits(room) };
    let names = Names(gate.clone());
    let before = gate.clone();
    let mut builder = Bash::builder()
        .fs(Arc::new(tree))
        .rootfs(false)
        .username("agent")
        .hostname("skep")
        .cwd(&job.dir)
        .builtin_filter(words::known)
        .builtin("ls", Box::new(Ls(gate.clone())))
        .command_resolver(Arc::new(names))
        .before_tool(Box::new(move |tool| {
            if options::hasty(&tool.name, &tool.args) {
                before.hasty.store(true, Ordering::Relaxed);
            }
            if !options::refused(&tool.name, &tool.args) {
                return HookAction::Continue(tool);
            }
            before.needs(&tool.name);
            before.misses(&tool.name);
            HookAction::Cancel(format!("{}: not with these arguments\n", tool.name))
        }))
        .session_limits(SessionLimits::unlimited())
        .memory_limits(
            MemoryLimits::new().max_total_variable_bytes(limits.memory / 4).max_array_entries(100_000),
        )
        .limits(
            ExecutionLimits::new()
                .max_commands(limits.commands)
                .max_loop_iterations(limits.commands)
                .max_total_loop_iterations(limits.commands)
                .timeout(limits.time)
                .max_input_bytes(1024 * 1024)
                .max_ast_depth(screen::DEPTH_MAX)
                .max_parser_operations(screen::FUEL)
                .max_stdout_bytes(limits.output)
                .max_stderr_bytes(limits.output)
                .max_work_units(1_000_000_000)
                .max_aggregate_input_bytes(16 * limits.memory as u64)
                .max_live_intermediate_bytes(limits.memory as u64)
                .max_word_split_bytes(limits.memory / 8),
        );
    for (name, value) in &job.env {
        builder = builder.env(name, value);
    }
    builder.build()
}

/// Asked for a word that is not here.
struct Names(Arc<Gate>);

impl CommandResolver for Names {
    fn resolve(&self, name: &str) -> Option<Arc<dyn Builtin>> {
        self.0.needs(name);
        self.0.misses(name);
        None
    }
}

fn outcome(ended: Result<bashkit::ExecResult>, said: &mut Said, job: &Job, gate: &Gate) -> Outcome {
    let over = |said: &Said| if said.over { Outcome::Over("output") } else { Outcome::Stopped };
    match ended {
        Ok(result) => {
            // What is never said in pieces is in the result.
            if said.bytes.is_empty() && !said.over {
                said.add(result.stdout.as_bytes());
                said.add(result.stderr.as_bytes());
            }
            said.over |= result.stdout_truncated || result.stderr_truncated;
            let status = result.exit_code & 0xff;
            if said.over { Outcome::Over("output") } else { Outcome::Ended { status } }
        }
        Err(Error::Cancelled) => over(said),
        Err(Error::ResourceLimit(limit)) => limited(&limit).unwrap_or_else(|| over(said)),
        Err(error @ Error::Parse { .. }) => {
            let report = error.syntax_report("bash: -c", &job.text).unwrap_or_default();
            said.add(report.as_bytes());
            Outcome::Ended { status: 2 }
        }
        // What it has no answer to, bash has.
        Err(error) => {
            gate.needs("bash");
            said.add(format!("bash: {error}\n").as_bytes());
            Outcome::Ended { status: 1 }
        }
    }
}

/// Which limit it was; none if it was told to end.
fn limited(limit: &LimitExceeded) -> Option<Outcome> {
    use ExecutionBudgetExceeded as Budget;
    Some(Outcome::Over(match limit {
        LimitExceeded::Timeout(_) | LimitExceeded::ParserTimeout(_) => return Some(Outcome::TimedOut),
        LimitExceeded::ExecutionBudget(Budget::Deadline { .. }) => return Some(Outcome::TimedOut),
        LimitExceeded::ExecutionBudget(Budget::Cancelled | Budget::RequestClosed) => return None,
        LimitExceeded::ExecutionBudget(Budget::WorkUnits { .. })
        | LimitExceeded::MaxCommands(_)
        | LimitExceeded::MaxLoopIterations(_)
        | LimitExceeded::MaxTotalLoopIterations(_)
        | LimitExceeded::SessionMaxCommands(_)
        | LimitExceeded::SessionMaxExecCalls(_) => "commands",
        LimitExceeded::ExecutionBudget(Budget::InputBytes { .. } | Budget::LiveBytes { .. })
        | LimitExceeded::Memory(_)
        | LimitExceeded::InputTooLarge(..)
        | LimitExceeded::MaxFileDescriptors(_) => "memory",
        LimitExceeded::MaxFunctionDepth(_)
        | LimitExceeded::MaxSubstDepth(_)
        | LimitExceeded::MaxSubshellDepth(_)
        | LimitExceeded::MaxPromptDepth(_)
        | LimitExceeded::MaxTrapDepth(_)
        | LimitExceeded::AstTooDeep(..)
        | LimitExceeded::ParserExhausted(..) => "depth",
        LimitExceeded::MaxConcurrentJobs(_) => "jobs",
    }))
}

/// Where a path is.
enum Place<'a> {
    /// In the view.
    View(&'a str),
    /// In the memory of the run.
    Memory,
}

/// The files of a run, as bashkit asks for them.
struct Tree {
    files: Files,
    memory: InMemoryFs,
}

fn failed(errno: Errno) -> Error {
    io::Error::from_raw_os_error(errno.raw_os_error()).into()
}

fn metadata(attr: &Attr) -> Metadata {
    let modified = UNIX_EPOCH + Duration::from_micros(attr.mtime);
    let file_type = match attr.sort {
        Sort::File => FileType::File,
        Sort::Dir => FileType::Directory,
        Sort::Link => FileType::Symlink,
        Sort::Fifo | Sort::Socket => FileType::Fifo,
    };
    Metadata { file_type, size: attr.size, mode: attr.mode, modified, created: modified }
}

impl Tree {
    fn failed(&self, path: &str, errno: Errno) -> Error {
        failed(self.files.fails(path, errno))
    }

    fn place<'a>(&self, path: &'a Path) -> Result<Place<'a>> {
        let path = path.to_str().ok_or_else(|| failed(Errno::ILSEQ))?;
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let top = names.next().unwrap_or_default();
        let name = names.next();
        let native = self.files.native() == Native::May;
        if !native && self.files.is_bound(path) {
            return Ok(Place::View(path));
        }
        match top {
            "dev" if name.is_none_or(|name| DEVICES.contains(&name)) => return Ok(Place::Memory),
            "tmp" if !native => return Ok(Place::Memory),
            top if native && MOUNT_POINTS.contains(&top) => {
                let dir = ["/bin/", "/sbin/"].iter().any(|part| path.contains(part));
                let what = if dir { path.rsplit('/').next().unwrap_or(path) } else { path };
                self.files.needs(what);
                return Err(failed(Errno::NOENT));
            }
            _ => {}
        }
        Ok(Place::View(path))
    }
}

#[async_trait]
impl FileSystemExt for Tree {
    fn limits(&self) -> FsLimits {
        FsLimits::unlimited()
    }
}

#[async_trait]
impl FileSystem for Tree {
    async fn read_file(&self, path: &Path) -> Result<Vec<u8>> {
        match self.place(path)? {
            Place::View(path) => self.files.read(path).map_err(|errno| self.failed(path, errno)),
            Place::Memory => self.memory.read_file(path).await,
        }
    }

    async fn write_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        match self.place(path)? {
            Place::View(path) => self.files.write(path, content).map_err(|errno| self.failed(path, errno)),
            Place::Memory => self.memory.write_file(path, content).await,
        }
    }

    async fn append_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        match self.place(path)? {
            Place::View(path) => self.files.append(path, content).map_err(|errno| self.failed(path, errno)),
            Place::Memory => self.memory.append_file(path, content).await,
        }
    }

    async fn mkdir(&self, path: &Path, recursive: bool) -> Result<()> {
        let path = match self.place(path)? {
            Place::View(path) => path,
            Place::Memory => return self.memory.mkdir(path, recursive).await,
        };
        if !recursive {
            return self.files.mkdir(path).map_err(|errno| self.failed(path, errno));
        }
        let mut at = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = format!("{at}/{name}");
            match self.files.stat(&at) {
                Ok(attr) if attr.sort == Sort::Dir => {}
                Ok(_) => return Err(failed(Errno::EXIST)),
                Err(Errno::NOENT) => self.files.mkdir(&at).map_err(failed)?,
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    async fn remove(&self, path: &Path, recursive: bool) -> Result<()> {
        match self.place(path)? {
            Place::View(path) if recursive => self.files.remove_all(path).map_err(failed),
            Place::View(path) => self.files.remove(path).map_err(|errno| self.failed(path, errno)),
            Place::Memory => self.memory.remove(path, recursive).await,
        }
    }

    async fn stat(&self, path: &Path) -> Result<Metadata> {
        match self.place(path)? {
            Place::View(path) => self.files.stat(path).map(|attr| metadata(&attr)).map_err(failed),
            Place::Memory => self.memory.stat(path).await,
        }
    }

    async fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        match self.place(path)? {
            Place::View(path) => {
                let names = self.files.list(path).map_err(failed)?;
                let entry = |(name, attr)| DirEntry { name, metadata: metadata(&attr) };
                Ok(names.into_iter().map(entry).collect())
            }
            Place::Memory => self.memory.read_dir(path).await,
        }
    }

    async fn exists(&self, path: &Path) -> Result<bool> {
        match self.place(path)? {
            Place::View(path) => match self.files.stat(path) {
                Ok(_) => Ok(true),
                Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
                Err(error) => Err(failed(error)),
            },
            Place::Memory => self.memory.exists(path).await,
        }
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        match (self.place(from)?, self.place(to)?) {
            (Place::View(from), Place::View(to)) => {
                self.files.rename(from, to).map_err(|errno| self.failed(from, errno))
            }
            (Place::Memory, Place::Memory) => self.memory.rename(from, to).await,
            (Place::View(_), Place::Memory) | (Place::Memory, Place::View(_)) => {
                self.copy(from, to).await?;
                self.remove(from, false).await
            }
        }
    }

    async fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let mode = self.stat(from).await?.mode;
        let bytes = self.read_file(from).await?;
        let new = !self.exists(to).await?;
        self.write_file(to, &bytes).await?;
        if new { self.chmod(to, mode).await } else { Ok(()) }
    }

    async fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        match self.place(link)? {
            Place::View(link) => {
                let target = target.to_str().ok_or_else(|| failed(Errno::ILSEQ))?;
                self.files.symlink(target, link).map_err(failed)
            }
            Place::Memory => self.memory.symlink(target, link).await,
        }
    }

    async fn read_link(&self, path: &Path) -> Result<PathBuf> {
        match self.place(path)? {
            Place::View(path) => {
                let target = self.files.readlink(path).map_err(failed)?;
                Ok(PathBuf::from(&*target))
            }
            Place::Memory => self.memory.read_link(path).await,
        }
    }

    async fn chmod(&self, path: &Path, mode: u32) -> Result<()> {
        match self.place(path)? {
            Place::View(path) => self.files.chmod(path, mode).map_err(|errno| self.failed(path, errno)),
            Place::Memory => self.memory.chmod(path, mode).await,
        }
    }

    async fn set_modified_time(&self, path: &Path, time: SystemTime) -> Result<()> {
        match self.place(path)? {
            Place::View(path) => {
                let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
                self.files.touch(path, u64::try_from(micros).unwrap_or(u64::MAX)).map_err(failed)
            }
            Place::Memory => self.memory.set_modified_time(path, time).await,
        }
    }
}
