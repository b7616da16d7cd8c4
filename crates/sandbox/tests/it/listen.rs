//! What listens inside for the daemon: there before the first program, reached from inside only, and no way
//! out for anything else.

use crate::cell::{Cell, DEADLINE, helper};
use sandbox::jail::{Root, Spec, Wall};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    thread,
};
use tempfile::TempDir;

/// Ports of the row: a fixed one and one that the kernel chooses.
const PORTS: [u16; 2] = [7537, 0];

/// Answers one connection with a word.
fn answer(listener: TcpListener, word: &'static str) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let (mut socket, peer) = listener.accept().unwrap();
        assert!(peer.ip().is_loopback(), "{peer}");
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut asked = [0; 2];
        socket.read_exact(&mut asked).unwrap();
        socket.write_all(word.as_bytes()).unwrap();
    })
}

/// What a program inside gets from a port of its loopback.
fn ask(port: u16) -> String {
    format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo q >&3 && cat <&3")
}

#[test]
fn programs_reach_the_daemon_and_nobody_else() {
    let (cell, mut listeners) = Cell::listening(&PORTS);
    let at: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    assert!(at.iter().all(|at| at.ip().is_loopback()) && at[0].port() == PORTS[0], "{at:?}");
    // The control: the same port outside is another network's, where nobody listens or somebody else does.
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    let second = answer(listeners.pop().unwrap(), "second");
    let first = answer(listeners.pop().unwrap(), "first");
    assert_eq!(cell.bash(&ask(at[1].port())).out, "second");
    assert_eq!(cell.bash(&ask(at[0].port())).out, "first");
    first.join().unwrap();
    second.join().unwrap();
    let ran = cell.bash(&ask(port));
    assert!(ran.out.contains("refused"), "{ran:?}");
    TcpStream::connect(outside.local_addr().unwrap()).unwrap();
    // Nor did they bring a device or a route along.
    assert_eq!(
        cell.bash("tail -n +3 /proc/net/dev | cut -d: -f1; wc -l < /proc/net/route").out,
        "    lo\n1\n"
    );
}

#[test]
fn no_program_inside_has_one_or_can_take_its_port() {
    let (cell, _listeners) = Cell::listening(&PORTS);
    let held = cell.bash("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c socket: ; true");
    assert_eq!(held.out, "0\n");
    let script = "python3 -c 'import socket as s; s.create_server((\"127.0.0.1\", 7537))' 2>&1 | tail -1";
    assert!(cell.bash(script).out.contains("Address already in use"));
    let script = "python3 -c 'import socket as s; s.create_server((\"127.0.0.1\", 7538)); print(1)'";
    assert_eq!(cell.bash(script).out, "1\n");
}

#[test]
fn a_port_that_cannot_be_had_ends_the_start() {
    let dir = TempDir::with_prefix("skep-wall-").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = Spec::new(Root::Dir(dir.path().into()));
    spec.listeners = vec![7537, 7537];
    let error = Wall::new(helper()).start(&spec).err().unwrap().to_string();
    assert!(error.contains("listening inside"), "{error}");
}
