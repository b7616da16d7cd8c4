//! Commands in a sandbox: what they say, how they end, what is told apart, and that a sandbox ends whole.

use crate::{
    cell::{Cell, DEADLINE, command},
    fuse,
};
use sandbox::jail::{Error, Hit, How, Need, Root, Spec, Terminal, Wall};
use std::{fs::File, io::Read, path::PathBuf, time::Duration};

#[test]
fn a_command_sees_its_own_world() {
    let cell = Cell::new();
    let ran = cell.bash(
        "echo $(id -u):$(id -g):$(id -un) $(hostname) $HOME $PWD; touch /data ~/kept /tmp/x /run/y; \
         cat /proc/1/comm 2>/dev/null; grep -cv 0000000000000000 <(grep ^Cap /proc/self/status); cat /proc/self/cgroup | \
         cut -d: -f3 | sort -u; ls /sys /home /root /boot 2>/dev/null",
    );
    let want = "1000:1000:agent skep /run/home /\n0\n/\n";
    assert_eq!((ran.out.as_str(), ran.ended.how), (want, How::Exit(2)), "{ran:?}");
    assert!(cell.root().join("data").exists() && cell.home().join("kept").exists());
}

#[test]
fn how_a_command_ends_is_told() {
    let cell = Cell::new();
    for (script, how) in [
        ("exit 0", How::Exit(0)),
        ("exit 77", How::Exit(77)),
        ("kill -TERM $$", How::Signal(libc::SIGTERM)),
        ("kill -KILL $$", How::Signal(libc::SIGKILL)),
    ] {
        assert_eq!(cell.bash(script).ended.how, how, "{script}");
    }
    let ended = cell.bash("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").ended;
    assert!(ended.usage.user_us > 1_000 && ended.usage.resident_bytes_max > 100_000, "{ended:?}");
    assert_eq!(ended.hit, Hit::default());
}

#[test]
fn what_cannot_start_says_why() {
    let cell = Cell::new();
    let error =
        |argv: &[&str]| cell.jail.exec(&command(argv).0).err().map(|error| error.to_string()).unwrap();
    assert_eq!(error(&["no-such-tool"]), "no-such-tool: No such file or directory");
    assert_eq!(error(&["/etc/passwd"]), "/etc/passwd: Permission denied");
    assert_eq!(error(&[]), "the command is empty: Invalid argument");
    let (mut lost, _out) = command(&["true"]);
    lost.cwd = PathBuf::from("/nowhere");
    assert_eq!(cell.jail.exec(&lost).err().unwrap().to_string(), "/nowhere: No such file or directory");
    let long = "x".repeat(sandbox::jail::MESSAGE_BYTES_MAX);
    assert_eq!(cell.jail.exec(&command(&["echo", &long]).0).err(), Some(Error::TooLong));
    let most = "x".repeat(120 * 1024);
    assert_eq!(cell.run(&["echo", &most]).out.len(), most.len() + 1);
}

#[test]
fn a_sandbox_dies_whole() {
    let cell = Cell::new();
    let script =
        "trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM; sleep 1000' & ) ; sleep 1000 & sleep 1000";
    let (running, _out) = cell.spawn(&["bash", "-c", script]);
    let all = cell.wait_processes(4);
    let outside: Vec<PathBuf> =
        all.iter().map(|one| PathBuf::from(format!("/proc/{}", one.outside))).collect();
    assert!(outside.iter().all(|path| path.exists()));
    let groups = cell.groups();
    assert!(!groups.is_empty());
    let left = cell.end();
    assert!(left < Duration::from_millis(500), "{left:?}");
    assert!(!outside.iter().any(|path| path.exists()), "{outside:?}");
    assert!(!groups.iter().any(|path| path.exists()), "{groups:?}");
    assert_eq!(running.wait().how, How::Gone);
}

#[test]
fn all_in_a_sandbox_can_be_ended_and_it_stands_on() {
    let cell = Cell::new();
    let (running, _out) = cell.spawn(&["bash", "-c", "trap '' TERM; (setsid sleep 1000 &); sleep 1000"]);
    cell.wait_processes(2);
    cell.jail.end_all().unwrap();
    assert_eq!(running.wait_for(DEADLINE).ok().unwrap().how, How::Signal(libc::SIGKILL));
    assert_eq!(cell.jail.processes(), []);
    assert_eq!(cell.bash("echo on").out, "on\n");
}

#[test]
fn a_signal_reaches_one_process_or_a_group_and_never_init() {
    let cell = Cell::new();
    let (running, _out) = cell.spawn(&["sleep", "1000"]);
    cell.jail.signal(running.pid(), libc::SIGTERM).unwrap();
    assert_eq!(running.wait_for(DEADLINE).ok().unwrap().how, How::Signal(libc::SIGTERM));
    let (running, _out) = cell.spawn(&["bash", "-c", "sleep 1000 & wait"]);
    cell.wait_processes(2);
    cell.jail.signal(-running.pid(), libc::SIGKILL).unwrap();
    assert_eq!(running.wait_for(DEADLINE).ok().unwrap().how, How::Signal(libc::SIGKILL));
    for pid in [0, 1] {
        assert!(cell.jail.signal(pid, libc::SIGKILL).is_err());
    }
    assert_eq!(cell.bash("echo on").out, "on\n");
}

#[test]
fn frozen_is_standing_still() {
    let cell = Cell::new();
    let (_running, out) = cell.spawn(&["bash", "-c", "while :; do echo x; done"]);
    let mut out = File::from(out);
    out.read_exact(&mut [0; 16]).unwrap();
    cell.jail.freeze().unwrap();
    rustix::io::ioctl_fionbio(&out, true).unwrap();
    // What was in the pipe, and then nothing.
    while out.read(&mut [0; 4096]).is_ok() {}
    let still = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut watched = [rustix::event::PollFd::new(&out, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut watched, Some(&still)), Ok(0));
    assert_eq!(cell.jail.exec(&command(&["true"]).0).err(), Some(Error::Frozen));
    cell.jail.thaw().unwrap();
    assert_eq!(rustix::event::poll(&mut watched, None), Ok(1));
    cell.jail.freeze().unwrap();
    assert!(cell.end() < Duration::from_millis(500), "the frozen die too");
}

#[test]
fn the_frozen_can_be_ended_without_another_step() {
    let cell = Cell::new();
    let (running, _out) = cell.spawn(&["bash", "-c", "i=0; while :; do i=$((i+1)); echo $i > ~/steps; done"]);
    let steps = || std::fs::read_to_string(cell.home().join("steps")).unwrap_or_default();
    let begun = std::time::Instant::now();
    while steps().trim().parse::<u32>().unwrap_or(0) < 100 {
        assert!(begun.elapsed() < DEADLINE);
    }
    cell.jail.freeze().unwrap();
    let before = steps();
    cell.jail.end_all().unwrap();
    assert_eq!((steps(), running.wait().how), (before, How::Signal(libc::SIGKILL)));
    assert_eq!(cell.bash("echo on").out, "on\n", "the sandbox goes on, thawed");
}

#[test]
fn a_command_can_lead_a_terminal() {
    let cell = Cell::new();
    let (master, slave) = cell.jail.terminal().unwrap();
    let script = "tty; stty size; ps -o tty= -p $$; echo ok >/dev/tty";
    let (mut leader, _out) = command(&["bash", "-c", script]);
    leader.terminal = Terminal::Controlling;
    leader.stdio = [slave.try_clone().unwrap(), slave.try_clone().unwrap(), slave];
    let running = cell.jail.exec(&leader).unwrap();
    drop(leader);
    assert_eq!(running.wait_for(DEADLINE).ok().unwrap().how, How::Exit(0));
    let (mut master, mut said, mut piece) = (File::from(master), Vec::new(), [0; 512]);
    // Its last writer is gone: what was written is there, and then EIO.
    while let Ok(length @ 1..) = master.read(&mut piece) {
        said.extend_from_slice(&piece[..length]);
    }
    assert_eq!(String::from_utf8_lossy(&said), "/dev/pts/0\r\n0 0\r\npts/0\r\nok\r\n");
}

#[test]
fn the_view_stands_at_the_root() {
    let wall = Wall::new(crate::cell::helper());
    let mut spec = Spec::new(Root::View);
    spec.need = Need::Cgroup;
    let mut starting = wall.start(&spec).unwrap();
    let server = fuse::serve(starting.take_fuse().unwrap());
    assert!(starting.take_fuse().is_none());
    let jail = starting.ready().unwrap();
    let (command, out) = command(&["bash", "-c", "cat /hello; touch /new 2>/dev/null || id -un"]);
    let running = jail.exec(&command).unwrap();
    drop(command);
    let mut text = String::new();
    File::from(out).read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the view\nagent\n");
    assert_eq!(running.wait().how, How::Exit(0));
    drop(jail);
    assert!(server.join().unwrap() > 10, "the server ends when the sandbox does");
}
