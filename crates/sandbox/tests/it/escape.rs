//! Ways out, each tried in a sandbox, where none may work, and outside of one, where each must: a row that
//! fails outside proves nothing. Those of `attempts.c` are a system call or a path each; the rest are tools
//! at hand. Nothing is skipped: a tool that this host lacks fails the test and is named.

use crate::cell::{Cell, DEADLINE, command, is_root};
use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags},
    io::FdFlags,
};
use sandbox::jail::{Access, How, OUTSIDE_ID, Part};
use std::{
    fs::{self, File},
    io::Read,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{PermissionsExt, chown},
            net::{SocketAddr, UnixListener},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};
use tempfile::TempDir;

/// Who the control is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    /// The same user, without a wall.
    User,
    /// The same user with every right in namespaces of its own, so that it harms nobody.
    Namespaces,
    /// Root. An ordinary user cannot be root: for it the row's control is that of the run as root.
    Root,
}

/// What `attempts.c` tries, by who must be able to do it outside.
const ATTEMPTS: [(As, &str); 3] = [
    (
        As::User,
        "read_path write_path truncate_path dots proc_root proc_cwd init_root_path symlink_read symlink_write \
         symlink_race dir_race hard_link rename_in list_outside make_outside host_tmp host_shm leftover \
         tool_write tool_create tool_chmod tool_touch tool_xattr tool_truncate tool_link tool_fallocate tool_mmap \
         new_user new_user_clone new_user_clone3 proc_cmdline proc_kallsyms host_sys see_victim \
         victim_mem victim_environ victim_root victim_exe victim_fd init_environ init_maps init_exe init_root \
         init_fd init_ns trace_victim trace_init trace_child read_victim read_init steal_fd steal_init_fd compare \
         signal_victim signal_group queue_victim pidfd_victim limit_victim limit_init renice_victim pin_victim \
         tcp4 tcp6 udp route_out interface abstract socket_file vsock shared_memory message_queue semaphore \
         posix_queue io_uring userfault secret_memory key_add key_session key_request handle_name fanotify perf \
         clock_set clock_adjust pages execute_readable more_files more_processes ldt old_abi \
         core_limit core_limit_other discipline",
    ),
    (
        As::Namespaces,
        "mount_bind mount_tmpfs mount_proc mount_mqueue mount_devpts mount_cgroup mount_sysfs remount \
         mount_attributes unmount open_tree_ fsopen_ move_mount_ pivot chroot_out set_user cap_effective \
         cap_ambient new_mount_clone new_net_clone new_pid_clone new_ipc_clone new_uts_clone new_cgroup_clone \
         new_time join host_name raw packet loopback_down tiocsti",
    ),
    (
        As::Root,
        "mem_node disk_node dev_fuse dev_kmsg set_groups core_pattern sys_panic sys_modprobe kernel_log \
         proc_kmsg proc_timers release_agent cgroup_procs audit handle_open bpf_load restart swap accounting quota",
    ),
];

/// Tools that reach a server outside; `$URL` is its address. They succeed when they got its word.
const TOOLS: [(&str, &str, &str); 9] = [
    ("bash", "bash", "exec 3<>/dev/tcp/127.0.0.1/$LISTEN; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"),
    ("curl", "curl", "curl -sm5 $URL"),
    ("wget", "wget", "wget -qT5 -t1 -O- $URL"),
    (
        "python3",
        "python3",
        "python3 -c 'import urllib.request as u;print(u.urlopen(\"'$URL'\",timeout=5).read())'",
    ),
    (
        "perl",
        "perl",
        "perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(\"127.0.0.1:$ENV{LISTEN}\") or die $!; \
         print $s \"GET / HTTP/1.0\\r\\n\\r\\n\"; print <$s>'",
    ),
    ("node", "nodejs", "node -e 'fetch(process.env.URL).then(r=>r.text()).then(console.log)'"),
    ("git", "git", "git ls-remote $URL 2>&1"),
    ("openssl", "openssl", "echo | timeout 5 openssl s_client -connect 127.0.0.1:$LISTEN 2>&1"),
    (
        "tclsh",
        "tcl",
        "echo 'set s [socket 127.0.0.1 '$LISTEN']; puts $s \"GET / HTTP/1.0\\r\\n\\r\\n\"; flush $s; puts [read $s]' \
         | tclsh",
    ),
];
/// What the server says, and what `git` and `openssl` say when they met one that speaks neither.
const MET: [&str; 3] = ["the word", "not valid: ", "CONNECTED"];

/// What there is to reach outside.
struct Outside {
    dir: TempDir,
    markers: Vec<PathBuf>,
    victim: Child,
    env: Vec<(String, String)>,
    _held: (UnixListener, UnixListener, OwnedFd),
}

impl Outside {
    fn new() -> Self {
        let dir = TempDir::with_prefix("skep-out-").unwrap();
        let own = |path: &Path, mode| {
            if is_root() {
                chown(path, Some(OUTSIDE_ID), Some(OUTSIDE_ID)).unwrap();
            }
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["outside", "tools"] {
            fs::create_dir(at(name)).unwrap();
            own(&at(name), 0o777);
        }
        for name in ["outside/secret", "outside/moved", "tools/tool"] {
            fs::write(at(name), "secret").unwrap();
            own(&at(name), 0o666);
        }
        let mark = dir.path().file_name().unwrap().to_str().unwrap().replace("skep-out-", "skep-marker-");
        let markers: Vec<PathBuf> =
            ["/tmp", "/dev/shm"].iter().map(|top| Path::new(top).join(&mark)).collect();
        for path in &markers {
            fs::write(path, "secret").unwrap();
            own(path, 0o666);
        }
        compile(&at("attempt"));
        fs::copy(at("attempt"), at("tools/suid")).unwrap();
        fs::set_permissions(at("tools/suid"), fs::Permissions::from_mode(0o4755)).unwrap();
        let (tcp, tcp6) = (serve("127.0.0.1:0"), serve("[::1]:0"));
        let file = UnixListener::bind(at("outside/sock")).unwrap();
        own(&at("outside/sock"), 0o666);
        let name = SocketAddr::from_abstract_name(&mark).unwrap();
        let named = UnixListener::bind_addr(&name).unwrap();
        let word = format!("victim-{}", std::process::id());
        let victim =
            user(As::User, "bash").args(["-c", &format!("exec -a {word} sleep 1000")]).spawn().unwrap();
        // A descriptor that a careless daemon would leave open over execve, to a directory outside.
        let left = rustix::fs::openat(CWD, at("outside"), OFlags::RDONLY, Mode::empty()).unwrap();
        rustix::io::fcntl_setfd(&left, FdFlags::empty()).unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut env: Vec<(String, String)> = [
            ("SECRET", text(at("outside/secret"))),
            ("OUTSIDE", text(at("outside"))),
            ("MOVED", text(at("outside/moved"))),
            ("SOCKET", text(at("outside/sock"))),
            ("ABSTRACT", mark.clone()),
            ("HOST_TMP", text(markers[0].clone())),
            ("HOST_SHM", text(markers[1].clone())),
            ("LISTEN", tcp.to_string()),
            ("LISTEN6", tcp6.to_string()),
            ("UDP", echo().to_string()),
            ("URL", format!("http://127.0.0.1:{tcp}/")),
            ("VICTIM", victim.id().to_string()),
            ("WORD", word),
            ("MQ", format!("/{mark}")),
            ("MOST", "4096".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned()),
            ("CGROUP", "/sys/fs/cgroup/pids/cgroup.procs".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        env.push(("STACK".to_owned(), stack(victim.id())));
        let made = Command::new(at("attempt")).arg("setup").envs(env.iter().cloned()).output().unwrap();
        let made = String::from_utf8(made.stdout).unwrap();
        env.extend(
            made.split(' ').map(|pair| pair.split_once('=').unwrap()).map(|(a, b)| (a.into(), b.into())),
        );
        Self { dir, markers, victim, env, _held: (file, named, left) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where things are, inside or outside.
    fn env(&self, inside: bool) -> Vec<(String, String)> {
        let victim = self.victim.id().to_string();
        let here = |name: &str| self.at(name).to_str().unwrap().to_owned();
        let (beside, tools, init) = match inside {
            true => ("/run/home/beside".to_owned(), "/opt/tools".to_owned(), "1".to_owned()),
            false => (here("outside/beside"), here("tools"), victim),
        };
        let set_id = format!("{tools}/suid");
        let more = [("BESIDE", beside), ("TOOLS", tools), ("INIT", init), ("SETUID", set_id)];
        let more = more.into_iter().map(|(name, value)| (name.to_owned(), value));
        self.env.iter().cloned().chain(more).collect()
    }

    /// Puts back what an attempt may have moved.
    fn restore(&self) {
        let _ = fs::remove_file(self.at("outside/beside"));
        for name in ["outside/moved", "outside/secret", "tools/tool"] {
            fs::write(self.at(name), "secret").unwrap();
            fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o666)).unwrap();
        }
        if is_root() {
            chown(self.at("outside/moved"), Some(OUTSIDE_ID), Some(OUTSIDE_ID)).unwrap();
        }
    }

    /// The control: its exit status and what it said.
    fn control(&self, who: As, program: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let output =
            user(who, program).args(arguments).envs(self.env(false)).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    }

    /// The same inside.
    fn inside(&self, cell: &Cell, argv: &[&str]) -> (How, String) {
        let (mut order, out) = command(argv);
        order.env = self.env(true).into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let running = cell.jail.exec(&order).unwrap_or_else(|error| panic!("{argv:?}: {error}"));
        drop(order);
        let mut text = Vec::new();
        File::from(out).read_to_end(&mut text).unwrap();
        let ended = running.wait_for(DEADLINE).unwrap_or_else(|_| panic!("{argv:?} hangs"));
        (ended.how, String::from_utf8_lossy(&text).into_owned())
    }

    fn cell(&self) -> Cell {
        let cell = Cell::with(|spec| {
            let part = |source: &str, target: &str| Part {
                source: self.at(source),
                target: target.into(),
                access: Access::ReadOnly,
            };
            spec.parts.extend([part("tools", "/opt/tools"), part("attempt", "/opt/attempt")]);
        });
        assert_eq!(
            cell.bash("cat /opt/tools/tool; test -u /opt/tools/suid && echo -suid").out,
            "secret-suid\n"
        );
        cell
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        self.markers.iter().for_each(|path| drop(fs::remove_file(path)));
        let _ = Command::new(self.at("attempt")).arg("teardown").envs(self.env.iter().cloned()).output();
    }
}

fn compile(to: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/attempts.c");
    // The source is part of this binary: whoever runs a copy of it may not see the checkout.
    let copy = to.with_extension("c");
    fs::write(&copy, include_str!("attempts.c")).unwrap();
    let done = Command::new("cc").args(["-O1", "-o"]).args([to, copy.as_path()]).arg("-lrt").output();
    let done = done.unwrap_or_else(|error| panic!("cc: {error}; apt-get install gcc libc6-dev"));
    assert!(done.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&done.stderr));
}

/// An HTTP server that knows one word.
fn serve(address: &str) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::Builder::new()
        .spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 1024]);
                let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nthe word\n");
            }
        })
        .unwrap();
    port
}

fn echo() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::Builder::new()
        .spawn(move || {
            while let Ok((_, from)) = socket.recv_from(&mut [0; 16]) {
                let _ = socket.send_to(b"y", from);
            }
        })
        .unwrap();
    port
}

/// An address that can be read in a process.
fn stack(pid: u32) -> String {
    let begun = std::time::Instant::now();
    loop {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        // After its execve it is `sleep`; before, the address would be one of bash.
        if let Some(line) = maps.lines().find(|line| line.ends_with("/sleep")) {
            return format!("0x{}", line.split('-').next().unwrap());
        }
        assert!(begun.elapsed() < DEADLINE, "{maps}");
    }
}

/// A program as this kind of user.
fn user(who: As, program: &str) -> Command {
    let id = OUTSIDE_ID.to_string();
    let lower = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    let apart =
        ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts"];
    let mut words: Vec<&str> = Vec::new();
    if is_root() && who != As::Root {
        words.extend(lower);
    }
    if who == As::Namespaces {
        words.extend(apart);
        words.push("--cgroup");
    }
    words.push(program);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).process_group(0).current_dir("/");
    command
}

/// What a row's control runs: some need something first that the wall has by itself.
fn control(outside: &Outside, who: As, name: &str) -> (Option<i32>, String) {
    let program = outside.at("attempt");
    let program = program.to_str().unwrap();
    let before = match name {
        "remount" | "mount_attributes" | "unmount" => {
            "mount --bind $TOOLS $TOOLS; mount -o remount,ro,bind $TOOLS; "
        }
        "leftover" => "exec 9<$OUTSIDE; ",
        _ => return outside.control(who, program, &[name]),
    };
    outside.control(who, "bash", &["-c", &format!("{before} exec {program} {name}")])
}

#[test]
fn nothing_gets_out() {
    let outside = Outside::new();
    let cell = outside.cell();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (who, names) in ATTEMPTS {
        for name in names.split_whitespace() {
            count += 1;
            let (how, said) = outside.inside(&cell, &["/opt/attempt", name]);
            outside.restore();
            // Killed by the list of system calls is refused too.
            if !matches!(how, How::Exit(1) | How::Signal(libc::SIGSYS)) {
                wrong.push(format!("{name} inside: {how:?} {said}"));
            }
            if who == As::Root && !is_root() {
                continue;
            }
            let (code, said) = control(&outside, who, name);
            outside.restore();
            if code != Some(0) {
                wrong.push(format!("{name} outside: {code:?} {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 80, "{count}");
    assert_eq!(rustix::process::test_kill_process(rustix::process::Pid::from_child(&outside.victim)), Ok(()));
}

#[test]
fn no_tool_reaches_a_server_outside() {
    let outside = Outside::new();
    let cell = outside.cell();
    let met = |said: &str| MET.iter().any(|word| said.contains(word));
    for (tool, package, script) in TOOLS {
        let (_, found) = outside.control(As::User, "bash", &["-c", &format!("command -v {tool}")]);
        assert!(found.contains('/'), "{tool} is missing: apt-get install {package}");
        let (_, said) = outside.control(As::User, "bash", &["-c", script]);
        assert!(met(&said), "{tool} does not even work outside: {said}");
        let (how, said) = outside.inside(&cell, &["bash", "-c", script]);
        assert!(!met(&said) && how != How::Gone, "{tool}: {said}");
    }
}

#[test]
fn programs_with_the_rights_of_their_owner_have_none() {
    let outside = Outside::new();
    let cell = outside.cell();
    let (how, said) = outside.inside(&cell, &["/opt/attempt", "set_id_program"]);
    assert_eq!(how, How::Exit(1), "{said}");
    if is_root() {
        let (code, said) =
            outside.control(As::User, outside.at("attempt").to_str().unwrap(), &["set_id_program"]);
        assert_eq!(code, Some(0), "{said}");
    }
}
