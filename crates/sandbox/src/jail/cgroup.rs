//! Control groups of a sandbox: limits of memory, processes and processor, freezing. Version 2 where a part
//! of it was delegated to the daemon, version 1 controller by controller where they are mounted, both at
//! once where a host has them so. A group is a directory; nothing here is kept but paths.
//!
//! ```text
//! BASE          where the daemon itself is, in each hierarchy
//! BASE/skep-PID-N       one sandbox; PID is the daemon's
//! BASE/skep-daemon      version 2 only: the daemon's own, since a group with limits below has no process
//! itself
//! ```

use super::spec::Limits;
use rustix::{
    event::{PollFd, Timespec, poll},
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// What a sandbox's limits need of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Memory,
    Pids,
    Cpu,
    Freezer,
}

const ALL: [(Controller, &str); 4] = [
    (Controller::Memory, "memory"),
    (Controller::Pids, "pids"),
    (Controller::Cpu, "cpu"),
    (Controller::Freezer, "freezer"),
];
/// How often, and how long each time, a group is asked whether it stands still or is empty: a second.
const ROUNDS: u32 = 200;
const ROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
const PERIOD_US: u64 = 100_000;
/// A sandbox's share of processors where others want them too: that of one process beside it, however many
/// processes and sessions it has. In the units of version 2 and of version 1.
const WEIGHT: u32 = 100;
const SHARES: u32 = 1024;

/// Where this daemon may make groups.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// The delegated directory of version 2: freezing needs no controller.
    unified: Option<PathBuf>,
    /// Its controllers that are on for groups below it.
    enabled: Vec<Controller>,
    /// Directories of version 1.
    old: Vec<(Controller, PathBuf)>,
}

/// The groups of one sandbox.
#[derive(Clone, Debug, Default)]
pub struct Group {
    unified: Option<PathBuf>,
    enabled: Vec<Controller>,
    old: Vec<(Controller, PathBuf)>,
}

/// How often a limit was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Processes killed for memory.
    pub memory: u64,
    /// Forks refused.
    pub processes: u64,
}

impl Base {
    /// Looks where groups can be made, by making one in each hierarchy.
    pub fn find() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (mounts, own) = (text("/proc/self/mountinfo"), text("/proc/self/cgroup"));
        let mut base = Self::default();
        if let Some(dir) = unified(&mounts, &own).filter(|dir| can_make(dir)) {
            base.enabled = enable(&dir);
            sweep(&dir);
            base.unified = Some(dir);
        }
        for (controller, name) in ALL {
            let here =
                old(&mounts, &own, name).filter(|dir| !base.enabled.contains(&controller) && can_make(dir));
            if let Some(dir) = here {
                sweep(&dir);
                base.old.push((controller, dir));
            }
        }
        base
    }

    /// Whether a sandbox can have this.
    pub fn has(&self, controller: Controller) -> bool {
        let core = controller == Controller::Freezer && self.unified.is_some();
        core || self.enabled.contains(&controller) || self.old.iter().any(|(one, _)| *one == controller)
    }

    /// Makes the groups of a sandbox with its limits. What was made is removed again if one cannot be.
    pub fn make(&self, limits: &Limits) -> Result<Group, (String, Errno)> {
        let mut group = Group { enabled: self.enabled.clone(), ..Group::default() };
        let made = self.fill(&mut group, &fresh_name(), limits);
        if let Err(error) = made {
            remove(&group.dirs());
            return Err(error);
        }
        Ok(group)
    }

    fn fill(&self, group: &mut Group, name: &str, limits: &Limits) -> Result<(), (String, Errno)> {
        let make = |dir: &Path| {
            let dir = dir.join(name);
            fs::create_dir(&dir).map_err(|error| said(&dir, &error)).map(|()| dir)
        };
        if let Some(dir) = &self.unified {
            let dir = make(dir)?;
            group.unified = Some(dir.clone());
            for controller in &self.enabled {
                set_unified(&dir, *controller, limits)?;
            }
        }
        for (controller, dir) in &self.old {
            let wanted = match controller {
                Controller::Memory | Controller::Pids | Controller::Cpu => true,
                Controller::Freezer => self.unified.is_none(),
            };
            if wanted {
                let dir = make(dir)?;
                group.old.push((*controller, dir.clone()));
                set_old(&dir, *controller, limits)?;
            }
        }
        Ok(())
    }
}

impl Group {
    /// Its directories.
    pub fn dirs(&self) -> Vec<PathBuf> {
        self.unified.iter().chain(self.old.iter().map(|(_, dir)| dir)).cloned().collect()
    }

    /// Opens what a process writes to when it enters.
    pub fn doors(&self) -> Result<Vec<OwnedFd>, (String, Errno)> {
        let open = |dir: PathBuf| {
            let path = dir.join("cgroup.procs");
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| (path.display().to_string(), errno))
        };
        self.dirs().into_iter().map(open).collect()
    }

    fn dir(&self, controller: Controller) -> Option<&PathBuf> {
        let unified = self.unified.as_ref().filter(|_| self.enabled.contains(&controller));
        unified.or_else(|| Some(&self.old.iter().find(|(one, _)| *one == controller)?.1))
    }

    /// How often its limits were met so far.
    pub fn hits(&self) -> Hits {
        let read = |controller, file: &str, key: &str| {
            let text = fs::read_to_string(self.dir(controller)?.join(file)).ok()?;
            value(&text, key)
        };
        let memory = read(Controller::Memory, "memory.events", "oom_kill")
            .or_else(|| read(Controller::Memory, "memory.oom_control", "oom_kill"));
        let processes = read(Controller::Pids, "pids.events", "max");
        Hits { memory: memory.unwrap_or(0), processes: processes.unwrap_or(0) }
    }

    /// Bytes of memory it uses now, if that is counted.
    pub fn memory_bytes(&self) -> Option<u64> {
        let dir = self.dir(Controller::Memory)?;
        let file = if self.enabled.contains(&Controller::Memory) {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        };
        fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
    }

    /// Stops every process of it where it stands, or lets all go on. Comes back when they all stand still;
    /// `None` if the host has nothing to freeze with.
    pub fn freeze(&self, want: Want) -> Option<Result<(), Errno>> {
        if let Some(dir) = &self.unified {
            let word = if want == Want::Frozen { "1" } else { "0" };
            let wanted = if want == Want::Frozen { 1 } else { 0 };
            return Some(write(&dir.join("cgroup.freeze"), word).and_then(|()| {
                settle(|| value(&text(&dir.join("cgroup.events")), "frozen") == Some(wanted))
            }));
        }
        let dir = self.dir(Controller::Freezer)?;
        let word = if want == Want::Frozen { "FROZEN" } else { "THAWED" };
        let state = dir.join("freezer.state");
        Some(write(&state, word).and_then(|()| settle(|| text(&state).trim() == word)))
    }
}

/// What `freeze` is to bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Frozen,
    Thawed,
}

/// Lets whatever is in these groups go on, so that it can die: version 1 holds even the killed.
pub fn thaw(dirs: &[PathBuf]) {
    for dir in dirs {
        for (file, word) in [("cgroup.freeze", "0"), ("freezer.state", "THAWED")] {
            if dir.join(file).exists() {
                let _ = write(&dir.join(file), word);
            }
        }
    }
}

/// Removes groups of the dead. True when none of them is there any more.
pub fn remove(dirs: &[PathBuf]) -> bool {
    let gone = |dir: &Path| match rustix::fs::rmdir(dir) {
        Ok(()) | Err(Errno::NOENT) => true,
        Err(_) => false,
    };
    settle(|| dirs.iter().rev().all(|dir| gone(dir))).is_ok()
}

fn set_unified(dir: &Path, controller: Controller, limits: &Limits) -> Result<(), (String, Errno)> {
    match controller {
        Controller::Memory => {
            set(dir, "memory.max", &limits.memory_bytes.to_string())?;
            if dir.join("memory.swap.max").exists() {
                set(dir, "memory.swap.max", "0")?;
            }
            Ok(())
        }
        Controller::Pids => set(dir, "pids.max", &limits.processes.to_string()),
        Controller::Cpu => {
            set(dir, "cpu.weight", &WEIGHT.to_string())?;
            match limits.cpu_percent {
                0 => Ok(()),
                _ => set(dir, "cpu.max", &format!("{} {PERIOD_US}", quota_us(limits))),
            }
        }
        Controller::Freezer => Ok(()),
    }
}

fn set_old(dir: &Path, controller: Controller, limits: &Limits) -> Result<(), (String, Errno)> {
    match controller {
        Controller::Memory => {
            let bytes = limits.memory_bytes.to_string();
            set(dir, "memory.limit_in_bytes", &bytes)?;
            if dir.join("memory.memsw.limit_in_bytes").exists() {
                set(dir, "memory.memsw.limit_in_bytes", &bytes)?;
            }
            Ok(())
        }
        Controller::Pids => set(dir, "pids.max", &limits.processes.to_string()),
        Controller::Cpu => {
            set(dir, "cpu.shares", &SHARES.to_string())?;
            if limits.cpu_percent == 0 {
                return Ok(());
            }
            set(dir, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            set(dir, "cpu.cfs_quota_us", &quota_us(limits).to_string())
        }
        Controller::Freezer => Ok(()),
    }
}

fn quota_us(limits: &Limits) -> u64 {
    (u64::from(limits.cpu_percent) * PERIOD_US / 100).max(1000)
}

/// Switches the controllers of version 2 on for groups below a directory: those that are on then.
fn enable(dir: &Path) -> Vec<Controller> {
    let offered = text(&dir.join("cgroup.controllers"));
    let wanted = ALL.iter().filter(|(_, name)| offered.split_whitespace().any(|word| word == *name));
    let wanted: Vec<_> = wanted.collect();
    let on = |(controller, name): &&(Controller, &str)| {
        write(&dir.join("cgroup.subtree_control"), &format!("+{name}")).ok().map(|()| *controller)
    };
    let enabled: Vec<Controller> = wanted.iter().filter_map(on).collect();
    if enabled.len() == wanted.len() {
        return enabled;
    }
    // A group that has processes cannot hand limits down: ours go into one beside the sandboxes.
    let own = dir.join("skep-daemon");
    if fs::create_dir(&own).is_ok() || own.is_dir() {
        for pid in text(&dir.join("cgroup.procs")).lines() {
            let _ = write(&own.join("cgroup.procs"), pid);
        }
    }
    wanted.iter().filter_map(on).collect()
}

/// Where this process is in version 2.
fn unified(mounts: &str, own: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    // After `enable` the daemon is one below: the place is the same.
    let path = path.strip_suffix("/skep-daemon").unwrap_or(path);
    let mount = mounts.lines().find_map(|line| mounted(line, |kind, _| kind == "cgroup2"))?;
    Some(inside(mount, path))
}

/// Where this process is in a hierarchy of version 1.
fn old(mounts: &str, own: &str, name: &str) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|word| word == name);
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        parts.next().filter(|list| has(list)).and_then(|_| parts.next())
    })?;
    let mount =
        mounts.lines().find_map(|line| mounted(line, |kind, options| kind == "cgroup" && has(options)))?;
    Some(inside(mount, path))
}

/// Root and place of a mount whose kind and options are wanted.
fn mounted(line: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<(&str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let mut left = left.split(' ').skip(3);
    wanted(kind, options).then_some(())?;
    Some((left.next()?, left.next()?))
}

fn inside((root, place): (&str, &str), path: &str) -> PathBuf {
    let below = if root == "/" { path } else { path.strip_prefix(root).unwrap_or(path) };
    Path::new(place).join(below.trim_start_matches('/'))
}

/// A name that this process gives once.
fn fresh_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("skep-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether a group can be made here, by making one.
fn can_make(dir: &Path) -> bool {
    let trial = dir.join(fresh_name());
    let made = fs::create_dir(&trial).is_ok();
    let _ = rustix::fs::rmdir(&trial);
    made
}

/// Removes what a daemon left that died together with its helper. What still lives there stands frozen: it
/// could not see its daemon go.
fn sweep(dir: &Path) {
    let names = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names {
        let daemon = name.strip_prefix("skep-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if daemon.is_none_or(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
            continue;
        }
        let left = dir.join(name);
        for pid in text(&left.join("cgroup.procs")).lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        {
            let _ = kill_process(pid, Signal::KILL);
        }
        let left = [left];
        thaw(&left);
        remove(&left);
    }
}

/// Asks until it is so, a second at most.
fn settle(so: impl Fn() -> bool) -> Result<(), Errno> {
    for _ in 0..ROUNDS {
        if so() {
            return Ok(());
        }
        let none: &mut [PollFd<'_>] = &mut [];
        let _ = poll(none, Some(&ROUND));
    }
    Err(Errno::TIMEDOUT)
}

fn set(dir: &Path, file: &str, value: &str) -> Result<(), (String, Errno)> {
    let path = dir.join(file);
    write(&path, value).map_err(|errno| (path.display().to_string(), errno))
}

/// One write of a kernel file; never creates one.
fn write(path: &Path, value: &str) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `key value`, one a line.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn said(path: &Path, error: &std::io::Error) -> (String, Errno) {
    (path.display().to_string(), Errno::from_io_error(error).unwrap_or(Errno::IO))
}
