//! A port of a sandbox, reached from the host: `skep open`.
//!
//! ```text
//! 127.0.0.1:AT on the host ─ accept ─ bytes, both ways ─ a socket connected inside, by the sandbox's init
//! ```
//! Bytes are moved and not looked at. The daemon never enters a sandbox's network: init makes the socket
//! there and hands it over. It ends with the sandbox, with the connection of whoever asked for it, and with
//! the daemon. Never here: whether somebody may.

use super::native::Native;
use crate::{guard::guard, journal, spawn};
use abi::{Code, Error, limits};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
};

/// A connection inside is made at once, or somebody there does not accept.
const CONNECT_MAX: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// Bytes that are moved at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// One port.
pub(crate) struct Forward {
    listener: TcpListener,
    native: Weak<Native>,
    port: u16,
    shut: AtomicBool,
    open: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
}

impl Forward {
    /// Listens on the host, on its own address only.
    pub fn open(native: &Arc<Native>, port: u16, at: u16) -> Result<Arc<Self>, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, at)).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                Error::new(Code::Busy, format!("somebody listens at 127.0.0.1:{at} already"))
                    .argument("at")
                    .hint("take another port")
            }
            _ => Error::new(Code::Unavailable, format!("127.0.0.1:{at} cannot be listened at: {error}"))
                .argument("at")
                .hint("take a port above 1023"),
        })?;
        let (native, shut, open) = (Arc::downgrade(native), AtomicBool::new(false), Mutex::default());
        let forward = Arc::new(Self { listener, native, port, shut, open });
        let accepts = forward.clone();
        if spawn::thread("forward", move || accepts.accept()) {
            return Ok(forward);
        }
        Err(Error::new(Code::Unavailable, "the system gives no thread for it").hint("skep doctor"))
    }

    /// Whether it is still reached.
    pub fn is_open(&self) -> bool {
        !self.shut.load(Ordering::Relaxed)
    }

    /// Nobody reaches it any more, and what was open is cut.
    pub fn shut(&self) {
        // Under the lock: whoever is let in now sees it.
        let mut open = guard(&self.open);
        self.shut.store(true, Ordering::Relaxed);
        let _ = rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both);
        std::mem::take(&mut *open).values().flatten().for_each(|stream| _ = stream.shutdown(Shutdown::Both));
    }

    /// Takes whoever connects until it is shut, each in a thread of its own.
    fn accept(self: &Arc<Self>) {
        for number in 0.. {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Who went before they were taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(_) => return self.shut(),
            };
            // One too many is closed: a browser tries again.
            if !self.is_open() || guard(&self.open).len() >= limits::FORWARD_CONNECTIONS_MAX {
                continue;
            }
            let forward = self.clone();
            // Without a thread it is closed too.
            spawn::thread("forwarded", move || {
                if catch_unwind(AssertUnwindSafe(|| forward.serve(number, stream))).is_err() {
                    journal::say("forward", "a panic at a connection");
                }
                let held = guard(&forward.open).remove(&number);
                held.iter().flatten().for_each(|stream| _ = stream.shutdown(Shutdown::Both));
            });
        }
    }

    /// Joins one to a socket inside. Who cannot be is closed, as where nobody listens.
    fn serve(&self, number: u64, outer: TcpStream) {
        let Ok(inner) = self.connect() else { return };
        let pair = || io::Result::Ok([outer.try_clone()?, inner.try_clone()?]);
        let (Ok(held), Ok([mut outer_to, mut inner_to])) = (pair(), pair()) else { return };
        {
            let mut open = guard(&self.open);
            if !self.is_open() {
                return;
            }
            open.insert(number, held);
        }
        let (mut outer, mut inner) = (outer, inner);
        let (held, over) = sync_channel::<()>(0);
        let back = spawn::thread("forwarded-back", move || {
            // Gone when the thread is.
            let _held = held;
            pour(&mut inner, &mut outer_to);
        });
        if back {
            pour(&mut outer, &mut inner_to);
            let _ = over.recv();
        }
    }

    /// A socket inside, connected to whatever listens at that port now.
    fn connect(&self) -> io::Result<TcpStream> {
        let gone = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let jail = self.native.upgrade().and_then(|native| native.jail()).ok_or_else(gone)?;
        let at = |listener: &&sandbox::jail::Listener| listener.address.port() == self.port;
        let address =
            jail.listeners().iter().find(at).map(|listener| reached(listener.address)).ok_or_else(gone)?;
        let socket = jail.connect(address).map_err(|error| io::Error::other(error.to_string()))?;
        poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&CONNECT_MAX))?;
        let flags = fcntl_getfl(&socket)?;
        fcntl_setfl(&socket, flags - OFlags::NONBLOCK)?;
        let stream = TcpStream::from(socket);
        match stream.take_error()? {
            Some(error) => Err(error),
            // Still on its way: nobody accepts.
            None => stream.peer_addr().map(|_| stream),
        }
    }
}

/// Where a listener is reached from within.
fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Moves bytes one way until there are no more, and says so on.
fn pour(from: &mut TcpStream, to: &mut TcpStream) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                if to.write_all(piece.get(..count).unwrap_or_default()).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_listener_is_reached() {
        for (listens, want) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:81", "[::1]:81"),
            ("127.0.0.1:82", "127.0.0.1:82"),
            ("127.0.0.9:83", "127.0.0.9:83"),
            ("[::1]:84", "[::1]:84"),
        ] {
            assert_eq!(reached(listens.parse().unwrap()), want.parse().unwrap());
        }
    }
}
