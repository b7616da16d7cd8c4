//! Programs of every day work in a sandbox: what the list of system calls and the mounts must leave alone.

use crate::cell::{Cell, DEADLINE, command};
use sandbox::jail::How;
use std::{fs::File, io::Write, net::TcpStream};

/// What runs, what it says, and the package that has it.
const PROGRAMS: [(&str, &str, &str); 17] = [
    ("python3 -c 'import threading as t; t.Thread(target=print,args=(7,)).start()'", "7\n", "python3"),
    ("python3 -c 'import multiprocessing as m; print(m.Pool(2).map(abs, [-1, -2]))'", "[1, 2]\n", "python3"),
    (
        "cd ~; python3 -c 'import sqlite3 as s; print(s.connect(\"db\").execute(\"select 1\").fetchone())'",
        "(1,)\n",
        "python3",
    ),
    ("node -e 'setTimeout(() => console.log([1, 2].map(x => x * 2)), 1)'", "[ 2, 4 ]\n", "nodejs"),
    ("perl -e 'print sort(qw(b a)), qq(\\n)'", "ab\n", "perl"),
    (
        "cd ~ && git init -q r && cd r && echo a > f && git add f && git -c user.name=a -c user.email=a@b commit -qm m \
         && git log --format=%s",
        "m\n",
        "git",
    ),
    ("cd ~ && echo 'int main(){return 3;}' > m.c && cc m.c -o m && ./m; echo $?", "3\n", "gcc"),
    ("ulimit -c; ulimit -n 100; ulimit -n; ulimit -v 1000000; echo ok", "0\n100\nok\n", "bash"),
    ("cd /tmp && mkdir d && echo x > d/f && tar cz d | tar tz", "d/\nd/f\n", "tar"),
    ("seq 100000 | sort -rn --parallel=4 -S 1M | head -1", "100000\n", "coreutils"),
    ("script -qc 'echo in a terminal' /dev/null", "in a terminal\r\n", "bsdutils"),
    ("mkfifo ~/p && (echo through > ~/p &) && cat ~/p", "through\n", "coreutils"),
    (
        "exec 3<<<here; cat <&3; cat /dev/fd/3 | wc -c; echo err > /dev/stderr; cat /dev/stdin",
        "here\n0\nerr\n",
        "bash",
    ),
    ("awk 'BEGIN { \"date +%s\" | getline t; print (t > 1e9) }'", "1\n", "gawk"),
    ("flock ~/lock -c 'echo locked'; ln ~/lock ~/lock2 && stat -c %h ~/lock", "locked\n2\n", "util-linux"),
    ("find /usr/bin -maxdepth 1 -name env -exec {} echo found \\;", "found\n", "findutils"),
    ("nproc >/dev/null && free >/dev/null && ps -o comm= -p $$", "ps\n", "procps"),
];

#[test]
fn programs_of_every_day_work() {
    let cell = Cell::new();
    for (script, says, package) in PROGRAMS {
        let ran = cell.bash(script);
        assert_eq!(ran.out, says, "{script}\n(apt-get install {package}) {ran:?}");
    }
}

#[test]
fn a_server_inside_is_seen_and_cannot_be_reached() {
    let cell = Cell::new();
    let serve = "import http.server as h, socket, threading\n\
                 class S(h.HTTPServer): address_family = socket.AF_INET6\n\
                 a = h.HTTPServer(('127.0.0.1', 80), h.SimpleHTTPRequestHandler)\n\
                 b = S(('::', 18081), h.SimpleHTTPRequestHandler)\n\
                 print('up', flush=True)\nthreading.Thread(target=a.serve_forever).start()\nb.serve_forever()";
    let (running, out) = cell.spawn(&["python3", "-c", serve]);
    let mut out = File::from(out);
    std::io::Read::read_exact(&mut out, &mut [0; 3]).unwrap();
    let mut ports = cell.jail.listeners();
    ports.sort_by_key(|port| port.address.port());
    let owners = cell.jail.owners(&ports);
    let seen: Vec<(String, Option<i32>)> =
        ports.iter().map(|port| port.address.to_string()).zip(owners).collect();
    let pid = Some(running.pid());
    assert_eq!(seen, [("127.0.0.1:80".to_owned(), pid), ("[::]:18081".to_owned(), pid)]);
    assert!(TcpStream::connect("127.0.0.1:18081").is_err(), "it listens in a network of its own");
    let ran =
        cell.bash("exec 3<>/dev/tcp/127.0.0.1/80; printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3");
    assert!(ran.out.contains("200 OK"), "{ran:?}");
    cell.jail.end_all().unwrap();
    assert_eq!(cell.jail.listeners(), []);
}

#[test]
fn input_goes_in_and_the_working_directory_may_be_gone() {
    let cell = Cell::new();
    let (mut order, out) =
        command(&["bash", "-c", "mkdir ~/gone; cd ~/gone; rmdir ~/gone; cat; pwd -P || true"]);
    let (input, mut write) = std::io::pipe().unwrap();
    order.stdio[0] = input.into();
    let running = cell.jail.exec(&order).unwrap();
    drop(order);
    write.write_all(b"typed\n").unwrap();
    drop(write);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut File::from(out), &mut text).unwrap();
    assert!(text.starts_with("typed\n"), "{text}");
    assert_eq!(running.wait_for(DEADLINE).ok().unwrap().how, How::Exit(0));
}
