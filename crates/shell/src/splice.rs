//! A listener on loopback for a Unix socket of the daemon: bytes in, bytes out, while this process runs.
//!
//! For programs that can only be given an address. Any user of this machine can connect; what they may do
//! without a key is what the endpoint answers those who show none. Never here: a look at the bytes.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::Builder,
};

/// Connections at once; a program keeps a few.
const MOST: usize = 64;

/// Listens on a port that the system chooses and carries what comes to this socket; where.
pub fn listen(socket: &Path) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let socket = socket.to_path_buf();
    Builder::new().name("loopback".into()).spawn(move || accept(&listener, &socket))?;
    Ok(address)
}

fn accept(listener: &TcpListener, socket: &Path) {
    let open = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        if open.fetch_add(1, Ordering::Relaxed) >= MOST {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (socket, held) = (socket.to_path_buf(), open.clone());
        let started = Builder::new().name("program".into()).spawn(move || {
            // Whoever broke off, the other end is told by the closing.
            let _ = carry(&client, &socket);
            held.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Carries bytes both ways until both ends have said all.
fn carry(client: &TcpStream, socket: &Path) -> io::Result<()> {
    client.set_nodelay(true)?;
    let daemon = UnixStream::connect(socket)?;
    let (mut from, mut to) = (client.try_clone()?, daemon.try_clone()?);
    let up = Builder::new().name("up".into()).spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    })?;
    let copied = io::copy(&mut &daemon, &mut &*client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = daemon.shutdown(Shutdown::Both);
    let _ = up.join();
    copied.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixListener,
    };

    #[test]
    fn what_goes_in_at_the_port_comes_out_at_the_socket_and_back() {
        let dir = tempfile::TempDir::new().unwrap();
        let socket = dir.path().join("api");
        let daemon = UnixListener::bind(&socket).unwrap();
        let address = listen(&socket).unwrap();
        assert!(address.ip().is_loopback());
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"asked").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut served, _) = daemon.accept().unwrap();
        let mut heard = String::new();
        served.read_to_string(&mut heard).unwrap();
        served.write_all(b"answered").unwrap();
        drop(served);
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert_eq!((heard.as_str(), said.as_str()), ("asked", "answered"));
    }
}
