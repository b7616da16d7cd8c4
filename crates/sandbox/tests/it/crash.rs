//! A daemon that is killed takes everything with it: sandboxes that run, that ignore every signal, that
//! stand frozen; and its helper, and the groups. The daemon is this test's binary once more.

use crate::cell::{Cell, DEADLINE, helper};
use sandbox::jail::Wall;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Instant,
};
use tempfile::TempDir;

/// Set for the one that is to be killed.
const DAEMON: &str = "SKEP_WALL_TEST_DAEMON";

/// A daemon of three sandboxes, and what of it must be gone: processes, then groups.
struct Daemon {
    process: Child,
    processes: Vec<PathBuf>,
    groups: Vec<PathBuf>,
    helper: i32,
    /// Who is killed removes no directories of its own.
    _dir: TempDir,
}

/// What the daemon does: three sandboxes, one frozen; says what there is, and waits to be killed.
fn be_a_daemon() {
    let wall = Arc::new(Wall::new(helper()));
    let cells = [(); 3].map(|()| Cell::on(&wall, |_| {}).unwrap());
    for cell in &cells {
        let script = "trap '' TERM HUP PIPE; (setsid sleep 1000 &); sleep 1000 & echo up; wait";
        let (_running, out) = cell.spawn(&["bash", "-c", script]);
        fs::File::from(out).read_exact(&mut [0; 3]).unwrap();
        let all = cell.jail.processes();
        all.iter().for_each(|one| println!("process {}", one.outside));
        println!("process {}", cell.jail.pid());
        cell.groups().iter().for_each(|path| println!("group {}", path.display()));
    }
    cells[1].jail.freeze().unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", cells[0].jail.pid())).unwrap();
    let helper = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
    println!("helper {helper}\nready");
    let _ = std::io::stdin().read(&mut [0; 1]);
}

impl Daemon {
    fn start(test: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(DAEMON, "1");
        let dir = TempDir::with_prefix("skep-crash-").unwrap();
        command.env("TMPDIR", dir.path());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut daemon = Self { process, processes: Vec::new(), groups: Vec::new(), helper: 0, _dir: dir };
        for line in said.lines().map(Result::unwrap).take_while(|line| line != "ready") {
            match line.split_once(' ') {
                Some(("process", pid)) => daemon.processes.push(Path::new("/proc").join(pid)),
                Some(("group", path)) => daemon.groups.push(path.into()),
                Some(("helper", pid)) => daemon.helper = pid.parse().unwrap(),
                _ => {}
            }
        }
        // Each has init, its command, what that waits for, and what ran away.
        assert!(daemon.processes.len() == 12 && daemon.groups.len() >= 6 && daemon.helper > 1);
        daemon
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn gone(paths: &[PathBuf]) {
    let begun = Instant::now();
    loop {
        let left: Vec<&PathBuf> = paths.iter().filter(|path| path.exists() && !is_dead(path)).collect();
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "{left:?}");
        std::thread::yield_now();
    }
}

/// Dead, and whoever inherited it has not looked.
fn is_dead(process: &Path) -> bool {
    fs::read_to_string(process.join("status")).is_ok_and(|text| text.contains("State:\tZ"))
}

#[test]
fn a_killed_daemon_leaves_nothing() {
    if std::env::var_os(DAEMON).is_some() {
        return be_a_daemon();
    }
    let mut daemon = Daemon::start("crash::a_killed_daemon_leaves_nothing");
    assert!(
        daemon.processes.iter().chain(&daemon.groups).all(|path| path.exists()),
        "the control: they live"
    );
    daemon.kill();
    gone(&daemon.processes);
    gone(&daemon.groups);
    gone(&[Path::new("/proc").join(daemon.helper.to_string())]);
}

#[test]
fn what_one_leaves_that_is_killed_with_its_helper_the_next_ends() {
    if std::env::var_os(DAEMON).is_some() {
        return be_a_daemon();
    }
    let mut daemon = Daemon::start("crash::what_one_leaves_that_is_killed_with_its_helper_the_next_ends");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(daemon.helper).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    daemon.kill();
    // Nobody is left who could thaw the frozen, of which there are four, nor remove groups.
    gone(&[&daemon.processes[..4], &daemon.processes[8..]].concat());
    assert!(daemon.processes[4..8].iter().all(|path| path.exists()), "the control: they stand");
    assert!(daemon.groups.iter().all(|path| path.exists()), "the control: nobody removed them");
    drop(Cell::new());
    gone(&daemon.processes);
    gone(&daemon.groups);
}
