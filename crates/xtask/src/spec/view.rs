//! view: a mounted view and a directory on disk, the same work in each, in the same run, alternating; what is
//! told is the ratio of the medians. The tree below the view lies in memory, so that it is the view that is
//! measured: what the store adds is in the promises of `command`. Takes root, and `/dev/fuse`.

use super::{Rig, Row, Target, Times};
use sandbox::{
    fuse::{self, Server},
    view::{
        Setup, View,
        memory::{Memory, everything},
    },
};
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

const DIRS: usize = 100;
const FILES: usize = 100;
const FILE_BYTES: usize = 1024;
const LARGE_MIB: usize = 1024;
const ROUNDS: usize = 5;
const POSIX: &str = "0.2.2";

fn clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// A mounted view, which goes when it is dropped.
struct Mount {
    view: Arc<View>,
    server: Option<Server>,
    root: PathBuf,
}

impl Mount {
    fn new(tree: &Memory, place: &Path) -> Result<Self, String> {
        let base = Arc::new(tree.clone());
        let (spool, owner) = (place.to_owned(), (0, 0));
        let setup = Setup { plan: everything(), base, spool, mount_points: Vec::new(), owner, now: clock };
        let view = Arc::new(View::new(setup).map_err(text)?);
        let root = place.join("view");
        fs::create_dir_all(&root).map_err(text)?;
        let device = fuse::mount_at(&root, owner).map_err(|error| format!("mounting (as root?): {error}"))?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let server = Some(fuse::serve(device, view.clone(), cores).map_err(text)?);
        Ok(Self { view, server, root })
    }

    /// What was written is hashed, stored and below.
    fn commit(&self, tree: &Memory) -> Result<Memory, String> {
        let (next, changed) = self.view.drain().and_then(|drained| tree.with(drained)).map_err(text)?;
        let stale = self.view.rebase(Arc::new(next.clone()), everything(), &changed).map_err(text)?;
        if let Some(server) = &self.server {
            server.forget(&stale).map_err(text)?;
        }
        Ok(next)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.root, rustix::mount::UnmountFlags::DETACH);
        drop(self.server.take());
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Times of one kind of work, on disk and in the view.
#[derive(Default)]
struct Pair {
    disk: Times,
    view: Times,
}

impl Pair {
    fn ratio(&mut self) -> f64 {
        self.view.percentile_us(0.5) / self.disk.percentile_us(0.5)
    }
}

/// Measures `view`.
pub fn view(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let place = tempfile::tempdir_in(rig.root.join("target")).map_err(text)?;
    let [mut create, mut read, mut again, mut walk] = [(); 4].map(|()| Pair::default());
    for _ in 0..ROUNDS {
        small(place.path(), [&mut create, &mut read, &mut again, &mut walk])?;
    }
    let mut large = large(place.path())?;
    let mut status = status(place.path())?;
    let works = [
        ("create and commit 10,000 files", &mut create),
        ("read them", &mut read),
        ("read them again", &mut again),
        ("walk them", &mut walk),
        ("read 1 GB again", &mut large),
        ("git status of them", &mut status),
    ];
    for (work, Pair { disk, view }) in works {
        rig.beside(work, disk, view);
    }
    let row = |part, target, measured, n| Row {
        name: "view",
        part,
        target: Target::AtMost(target),
        measured,
        unit: "× ext4",
        barriers: 0,
        n,
    };
    let n = (ROUNDS * DIRS * FILES) as u64;
    let failures = posix(rig, place.path())?;
    Ok(vec![
        row("create and commit", 10.0, create.ratio(), n),
        row("read", 5.0, read.ratio(), n),
        row("read again", 1.5, again.ratio(), n),
        row("walk", 3.0, walk.ratio(), n),
        row("1 GB again", 1.5, large.ratio(), ROUNDS as u64),
        row("git status", 3.0, status.ratio(), ROUNDS as u64),
        Row {
            unit: "tests",
            target: Target::Exactly(0.0),
            ..row("failures of pjdfstest", 0.0, failures.0, failures.1)
        },
    ])
}

/// Ten thousand small files: made, then read and walked where nobody has looked yet.
fn small(place: &Path, [create, read, again, walk]: [&mut Pair; 4]) -> Result<(), String> {
    let disk = place.join("disk");
    fs::create_dir(&disk).map_err(text)?;
    create.disk.push(timed(|| make_small(&disk))?);
    read.disk.push(timed(|| read_small(&disk))?);
    again.disk.push(timed(|| read_small(&disk))?);
    walk.disk.push(timed(|| walked(&disk).map(|_| ()))?);
    let mut tree = Memory::default();
    let mount = Mount::new(&tree, place)?;
    create.view.push(timed(|| {
        make_small(&mount.root)?;
        tree = mount.commit(&tree).map_err(std::io::Error::other)?;
        Ok(())
    })?);
    drop(mount);
    let mount = Mount::new(&tree, place)?;
    read.view.push(timed(|| read_small(&mount.root))?);
    again.view.push(timed(|| read_small(&mount.root))?);
    drop(mount);
    let mount = Mount::new(&tree, place)?;
    let mut found = 0;
    walk.view.push(timed(|| walked(&mount.root).map(|count| found = count))?);
    if found != DIRS * FILES {
        return Err(format!("a walk of the view found {found} files"));
    }
    fs::remove_dir_all(&disk).map_err(text)
}

fn timed(work: impl FnOnce() -> std::io::Result<()>) -> Result<Duration, String> {
    let begun = Instant::now();
    work().map_err(text)?;
    Ok(begun.elapsed())
}

fn make_small(root: &Path) -> std::io::Result<()> {
    for dir in 0..DIRS {
        let dir = root.join(dir.to_string());
        fs::create_dir(&dir)?;
        for file in 0..FILES {
            let mut bytes = [b'x'; FILE_BYTES];
            bytes[..8].copy_from_slice(&(file as u64).to_le_bytes());
            fs::write(dir.join(file.to_string()), bytes)?;
        }
    }
    Ok(())
}

fn read_small(root: &Path) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    for dir in 0..DIRS {
        let dir = root.join(dir.to_string());
        for file in 0..FILES {
            let mut file = fs::File::open(dir.join(file.to_string()))?;
            if file.read(&mut bytes)? != FILE_BYTES {
                return Err(std::io::Error::other("a file is too short"));
            }
        }
    }
    Ok(())
}

fn walked(dir: &Path) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        count += if meta.is_dir() { walked(&entry.path())? } else { usize::from(meta.len() > 0) };
    }
    Ok(count)
}

/// One large file, read when it is in memory.
fn large(place: &Path) -> Result<Pair, String> {
    let mount = Mount::new(&Memory::default(), place)?;
    let mut pair = Pair::default();
    let paths = [place.join("large"), mount.root.join("large")];
    for path in &paths {
        let mut file = fs::File::create(path).map_err(text)?;
        let piece = vec![b'y'; 1 << 20];
        (0..LARGE_MIB).try_for_each(|_| file.write_all(&piece)).map_err(text)?;
        read_large(path).map_err(text)?;
    }
    for _ in 0..ROUNDS {
        pair.disk.push(timed(|| read_large(&paths[0]))?);
        pair.view.push(timed(|| read_large(&paths[1]))?);
    }
    fs::remove_file(&paths[0]).map_err(text)?;
    Ok(pair)
}

fn read_large(path: &Path) -> std::io::Result<()> {
    let mut file = fs::File::open(path)?;
    let mut piece = vec![0; 1 << 20];
    while file.read(&mut piece)? > 0 {}
    Ok(())
}

/// `git status` of ten thousand files that are all committed, in a view of the tree that has them.
fn status(place: &Path) -> Result<Pair, String> {
    let disk = place.join("repo");
    fs::create_dir(&disk).map_err(text)?;
    let repository = |root: &Path| -> Result<(), String> {
        make_small(root).map_err(text)?;
        git(root, &["init", "-q"])?;
        git(root, &["add", "-A"])?;
        git(root, &["-c", "user.name=n", "-c", "user.email=n@example.com", "commit", "-qm", "all"])
    };
    repository(&disk)?;
    let tree = Memory::default();
    let mount = Mount::new(&tree, place)?;
    repository(&mount.root)?;
    let tree = mount.commit(&tree)?;
    drop(mount);
    let mount = Mount::new(&tree, place)?;
    let mut pair = Pair::default();
    let status = |root: &Path| timed(|| git(root, &["status", "--porcelain"]).map_err(std::io::Error::other));
    // The first refreshes what git knows of its files.
    for root in [&disk, &mount.root] {
        status(root)?;
    }
    for _ in 0..ROUNDS {
        pair.disk.push(status(&disk)?);
        pair.view.push(status(&mount.root)?);
    }
    Ok(pair)
}

fn git(root: &Path, args: &[&str]) -> Result<(), String> {
    let mut git = Command::new("git");
    git.args(args).current_dir(root).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let ran = git.output().map_err(|error| format!("git: {error}"))?;
    if ran.status.success() && ran.stdout.is_empty() {
        return Ok(());
    }
    Err(format!(
        "git {args:?}: {}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    ))
}

/// Failures of pjdfstest that `crates/sandbox/tests/pjdfstest.txt` does not explain, and how many tests ran.
fn posix(rig: &Rig<'_>, place: &Path) -> Result<(f64, u64), String> {
    let tools = rig.root.join("target/tools");
    let program = tools.join("bin/pjdfstest");
    if !program.exists() {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "pjdfstest", "--locked", "--version", POSIX, "--root"]).arg(&tools);
        let status = cargo.status().map_err(text)?;
        if !status.success() {
            return Err("pjdfstest could not be installed".to_owned());
        }
    }
    let explained = fs::read_to_string(rig.root.join("crates/sandbox/tests/pjdfstest.txt")).map_err(text)?;
    let patterns: Vec<&str> = explained
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let config = place.join("pjdfstest.toml");
    let settings = "[features]\nposix_fallocate = {}\nrename_ctime = {}\nutimensat = {}\nutime_now = {}\n\
        [settings]\nnaptime = 0.01\nallow_remount = false\n\
        [dummy_auth]\nentries = [[\"nobody\", \"nogroup\"], [\"daemon\", \"daemon\"]]\n";
    fs::write(&config, settings).map_err(text)?;
    let mount = Mount::new(&Memory::default(), place)?;
    let ran = Command::new(&program).arg("-c").arg(&config).arg("-p").arg(&mount.root).output();
    let said = String::from_utf8_lossy(&ran.map_err(text)?.stdout).into_owned();
    let (mut count, mut failed) = (0, 0);
    for line in said.lines() {
        let mut words = line.split_whitespace();
        let (Some(test), Some(result)) = (words.next(), words.next()) else { continue };
        count += u64::from(matches!(result, "ok" | "FAILED") && test.contains("::"));
        if result == "FAILED" && !patterns.iter().any(|pattern| fits(pattern, test)) {
            eprintln!("pjdfstest: {test} failed");
            failed += 1;
        }
    }
    if count < 300 {
        return Err(format!("pjdfstest ran {count} tests: {said}"));
    }
    Ok((f64::from(failed), count))
}

/// A star at one end is anything.
fn fits(pattern: &str, test: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => test.ends_with(end),
        (None, Some(start)) => test.starts_with(start),
        (None, None) => pattern == test,
    }
}
