//! Programs that take all they can get: each is held, told apart from what ends by itself, and leaves a
//! sandbox that goes on. The control of each is the same program with a limit that is above what it takes.

use crate::cell::{Cell, DEADLINE};
use sandbox::jail::{Hit, How, Limits};
use std::{
    process::Command,
    time::{Duration, Instant},
};

fn cell(change: impl FnOnce(&mut Limits)) -> Cell {
    Cell::with(|spec| change(&mut spec.limits))
}

#[test]
fn memory() {
    let take = ["python3", "-c", "x = bytearray(100 << 20); print('taken')"];
    let held = cell(|limits| limits.memory_bytes = 50 << 20);
    let ran = held.run(&take);
    assert_eq!((ran.out.as_str(), ran.ended.how), ("", How::Signal(libc::SIGKILL)));
    assert_eq!(ran.ended.hit, Hit { memory: 1, ..Hit::default() });
    assert!(held.jail.memory_bytes().unwrap() < 50 << 20);
    assert_eq!(held.bash("kill -9 $$").ended.hit, Hit::default(), "killed, but not for memory");
    let fine = cell(|limits| limits.memory_bytes = 300 << 20).run(&take);
    assert_eq!((fine.out.as_str(), fine.ended.hit), ("taken\n", Hit::default()));
}

#[test]
fn memory_in_files() {
    let fill = "head -c 100M /dev/zero > /dev/shm/x; head -c 100M /dev/zero > /tmp/x; echo $?";
    let held = cell(|limits| limits.memory_bytes = 50 << 20);
    assert!(held.bash(fill).ended.hit.memory > 0, "what lies in memory counts");
    assert_eq!(cell(|limits| limits.memory_bytes = 400 << 20).bash(fill).out, "0\n");
}

#[test]
fn processes() {
    let start = "import os, time\nn = 0\nfor i in range(60):\n  try:\n    if os.fork() == 0: time.sleep(100)\n    n += 1\n  \
                 except OSError as e: print(n, e.errno); break\nelse: print(n)\nos.kill(-1, 9)";
    let held = cell(|limits| limits.processes = 30);
    let ran = held.run(&["python3", "-c", start]);
    // Init and the one that forks are two of them.
    assert_eq!(ran.out.trim(), format!("28 {}", libc::EAGAIN), "{ran:?}");
    assert!(ran.ended.hit.processes > 0 || ran.ended.hit == Hit::default(), "counted by group or by user");
    assert_eq!(cell(|limits| limits.processes = 100).run(&["python3", "-c", start]).out.trim(), "60");
}

#[test]
fn a_fork_bomb_stops_nobody_and_dies_at_once() {
    let bomb = cell(|limits| limits.processes = 200);
    let (_running, _out) = bomb.spawn(&["bash", "-c", "b() { b | b & }; b 2>/dev/null; sleep 1000"]);
    bomb.wait_processes(100);
    let other = Cell::new();
    let begun = Instant::now();
    assert_eq!(other.bash("echo on").out, "on\n");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let left = bomb.end();
    assert!(left < Duration::from_millis(500), "{left:?}");
}

#[test]
fn a_tree_of_two_hundred_that_will_not_die_dies() {
    let cell = Cell::new();
    let tree = "import os, signal, time\nfor s in (15, 1, 2, 3): signal.signal(s, signal.SIG_IGN)\n\
                for i in range(199):\n  pid = os.fork()\n  if pid == 0:\n    if i % 3 == 0: os.setsid()\n    \
                if i % 2 == 0 and os.fork(): os._exit(0)\n    time.sleep(1000)\n  \
                if i % 2 == 0: os.waitpid(pid, 0)\nprint('up', flush=True)\ntime.sleep(1000)";
    let (running, out) = cell.spawn(&["python3", "-c", tree]);
    std::io::Read::read_exact(&mut std::fs::File::from(out), &mut [0; 3]).unwrap();
    let all = cell.jail.processes();
    assert_eq!(all.len(), 200);
    cell.jail.signal(-1, libc::SIGTERM).unwrap();
    assert_eq!(cell.jail.processes().len(), all.len(), "they ignore it");
    let left = cell.end();
    println!("{left:?} from the kill until all are dead and taken");
    assert!(left < Duration::from_millis(500), "{left:?}");
    assert_eq!(running.wait().how, How::Gone);
    let alive = |pid: i32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert_eq!(all.iter().filter(|one| alive(one.outside)).count(), 0);
}

#[test]
fn disk() {
    let held = cell(|limits| (limits.tmp_bytes, limits.tmp_files) = (10 << 20, 100));
    for place in ["/tmp", "/run", "/var", "/dev/shm"] {
        let ran = held
            .bash(&format!("cd {place} && LANG=C head -c 11M /dev/zero > x; rm -f x; seq 200 | xargs touch"));
        assert_eq!(
            ran.out.matches("No space left on device").count(),
            1 + ran.out.matches("touch: ").count()
        );
        assert!(ran.out.matches("touch: ").count() > 90, "{place}: {ran:?}");
        assert_eq!(
            held.bash(&format!("cd {place} && seq 200 | xargs rm -f; echo ok > y && cat y")).out,
            "ok\n"
        );
    }
    let wide = cell(|limits| limits.tmp_bytes = 20 << 20);
    assert_eq!(
        wide.bash("cd /tmp && head -c 11M /dev/zero > x; seq 200 | xargs touch; ls | wc -l").out,
        "201\n"
    );
}

#[test]
fn home() {
    let fill = "cd ~; for i in $(seq 100); do head -c 1M /dev/urandom > f$i || exit 3; done; sync; \
                sleep 2; echo full";
    let held = cell(|limits| limits.home_bytes = 20 << 20);
    let ran = held.bash(fill);
    assert_eq!(
        (ran.ended.how, ran.out.as_str(), ran.ended.hit.home > 0),
        (How::Signal(libc::SIGKILL), "", true)
    );
    let emptied = held.bash("cd ~; rm -rf f*; echo on");
    assert_eq!((emptied.out.as_str(), emptied.ended.hit), ("on\n", Hit::default()));
    let files =
        cell(|limits| limits.home_files = 2000).bash("cd ~; seq 5000 | xargs touch; sleep 5; echo full");
    assert!(files.ended.hit.home > 0 && files.out.is_empty(), "{files:?}");
    assert_eq!(cell(|limits| limits.home_bytes = 200 << 20).bash(fill).out, "full\n");
}

/// What a program made of its home goes, also what neither its owner nor a walk by path could remove.
#[test]
fn a_home_of_any_shape_goes() {
    let room = tempfile::tempdir().unwrap();
    let home = room.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let make = "import os\nfor n in range(6000): os.mkdir('d'); open('f', 'w'); os.chdir('d')\n\
                os.chdir(os.environ['AT']); os.mkdir('.1'); os.symlink('/etc', 'l'); os.mkdir('shut')\n\
                open('shut/f', 'w'); os.chmod('shut', 0); os.chmod('.', 0)";
    let python = Command::new("python3").args(["-c", make]).current_dir(&home).env("AT", &home).status();
    assert!(python.unwrap().success());
    sandbox::jail::remove_home(&home).unwrap();
    assert!(!home.exists() && std::path::Path::new("/etc/passwd").exists());
    sandbox::jail::remove_home(&home).unwrap();
}

#[test]
fn one_file() {
    let fill = "exec 2>/dev/null; head -c 3M /dev/zero > ~/x; echo $?; stat -c %s ~/x";
    assert_eq!(cell(|limits| limits.file_bytes = 1 << 20).bash(fill).out, "153\n1048576\n");
    assert_eq!(cell(|limits| limits.file_bytes = 4 << 20).bash(fill).out, "0\n3145728\n");
}

#[test]
fn descriptors() {
    let open = "import os\nn = 0\ntry:\n  while n < 500: os.open('/dev/null', 0); n += 1\n\
                except OSError as e: print(e.errno)\nprint(n)";
    let few = cell(|limits| limits.files = 100).run(&["python3", "-c", open]).out;
    assert_eq!(few, format!("{}\n97\n", libc::EMFILE));
    assert_eq!(cell(|_| {}).run(&["python3", "-c", open]).out, "500\n");
    // What commands are held to is not what holds their sandbox.
    let held = cell(|limits| limits.files = 10);
    let many: Vec<_> = (0..20).map(|_| held.spawn(&["sleep", "1000"])).collect();
    assert_eq!((many.len(), held.jail.processes().len()), (20, 20));
}

#[test]
fn processor_time() {
    let spin = "while :; do :; done";
    let ended = cell(|limits| limits.cpu_seconds = 1).bash(spin).ended;
    assert!(matches!(ended.how, How::Signal(libc::SIGXCPU | libc::SIGKILL)), "{ended:?}");
    assert!(ended.usage.user_us + ended.usage.system_us < 1_500_000, "{ended:?}");
}

#[test]
fn share_of_a_processor() {
    let work = "timeout 1 bash -c 'while :; do :; done'; times | tail -1";
    let used = |percent| {
        let ended = cell(|limits| limits.cpu_percent = percent).bash(work).ended;
        ended.usage.user_us + ended.usage.system_us
    };
    let few = used(10);
    assert!(few < 350_000, "{few}");
}

#[test]
fn a_flood_that_nobody_reads_stands_still() {
    let cell = cell(|limits| limits.memory_bytes = 50 << 20);
    let (running, out) = cell.spawn(&["bash", "-c", "yes; echo over"]);
    let mut begun = [rustix::event::PollFd::new(&out, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut begun, None).unwrap();
    assert!(cell.jail.memory_bytes().is_none_or(|bytes| bytes < 50 << 20));
    // Who stops reading ends it.
    drop(out);
    let ended = running.wait_for(DEADLINE).ok().unwrap();
    assert_eq!((ended.how, ended.hit), (How::Signal(libc::SIGPIPE), Hit::default()));
}
