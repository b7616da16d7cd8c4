//! Egress: the one way of programs in a wall to somebody outside, an HTTP proxy on a socket inside it. It
//! moves bytes; what may go is decided elsewhere (`Broker`), before a byte leaves.
//!
//! ```text
//! CONNECT host:443 ─▶ decide ─┬▶ tunnel:  resolve, check, pin ─▶ 200 ─▶ ClientHello names this host ─▶ bytes
//!                             └▶ inspect: 200 ─▶ TLS ended here ─▶ each request: decide ─▶ TLS to the pinned
//! GET http://host/ ─▶ decide ─▶ resolve, check, pin ─▶ the request, anew
//! ```
//! A name is looked up once for a connection, and only an address that was checked is connected to: who
//! answers for the name cannot change it in between. A redirect is the program's next request. A secret is
//! put in when the host's certificate has been checked, into one request, over what the program sent in its
//! place. Every wait has an end, every count a most (`limits`). Reading order: `request` (what is asked,
//! strictly), `place` (where it goes), `hello` (whom a tunnel is for), `authority` (who we are to a program
//! that is looked into), `talk` (one request), `tunnel`. Never here: whether something may
//! go; a name of a host.

use crate::secret::Secret;
use abi::net::Host;
use std::{future::Future, io, net::SocketAddr, sync::Arc, sync::atomic::AtomicU64, time::Duration};
use tokio::sync::watch;

mod authority;
mod hello;
mod metered;
mod place;
mod request;
mod serve;
mod talk;
mod tunnel;

pub use authority::Authority;
pub use hello::{Hello, hello};
pub use place::System;
pub use request::authority as target;
pub use serve::serve;

/// A connection, or a request on it, that is to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where.
    pub host: Host,
    /// There.
    pub port: u16,
    /// What is asked there; none: bytes that nobody looks into.
    pub method: Option<String>,
    /// Whether it goes over TLS that ends here.
    pub secure: bool,
    /// A POST that only looks: git asks so for what a repository has.
    pub fetches: bool,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It goes.
    Go {
        /// Each request is to be decided by itself.
        inspect: bool,
        /// The name may lead to an address that is not public.
        private: bool,
        /// This secret is put into it, by name.
        secret: Option<String>,
    },
    /// It does not, or not yet: status, and what the program is told.
    No {
        /// Of the answer.
        status: u16,
        /// One line.
        message: String,
    },
}

/// Who decides, and how the world is reached.
pub trait Broker: Send + Sync {
    /// Comes back when it is decided and recorded.
    fn decide(&self, ask: &Ask) -> Ruling;
    /// What was let go does not get there: the name leads nowhere, or to where it may not.
    fn unreached(&self, ask: &Ask, why: &str) {
        let (_, _) = (ask, why);
    }
    /// Addresses of a name, at this port.
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
    /// Lends a secret to one request, when the host has shown who it is; or says why not.
    fn lend(&self, name: &str, ask: &Ask, to: &mut dyn FnMut(&Secret<'_>)) -> Result<(), String> {
        let (_, _) = (ask, to);
        Err(format!("no secret {name} is kept here"))
    }
    /// Where an address that was checked is dialled: itself, but for tests.
    fn dial(&self, pinned: SocketAddr) -> SocketAddr {
        pinned
    }
    /// Certificates that are trusted beside the system's; tests have some.
    fn roots(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// Bytes that programs of one sandbox have sent, of those that they may.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A request's head, a ClientHello, a handshake.
    pub head: Duration,
    /// Addresses of a name, and a connection to one.
    pub dial: Duration,
    /// The head of an answer.
    pub answer: Duration,
    /// The next bytes, either way.
    pub idle: Duration,
    /// All of a connection.
    pub whole: Duration,
}

/// What is waited in earnest.
pub const PATIENCE: Patience = Patience {
    head: Duration::from_secs(30),
    dial: Duration::from_secs(10),
    // A server that packs a repository thinks for a while.
    answer: Duration::from_secs(120),
    idle: Duration::from_secs(300),
    whole: Duration::from_secs(6 * 3600),
};

/// Ends what is open through one sandbox's way out.
#[derive(Clone, Debug)]
pub struct Cuts(watch::Sender<u64>);

impl Default for Cuts {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Cuts {
    /// Every connection that is open ends now, whatever is under way on it; later ones are not concerned.
    pub fn cut(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Comes back when that is done after this was called.
    fn next(&self) -> impl Future<Output = ()> + use<> {
        let mut seen = self.0.subscribe();
        async move {
            if seen.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}

/// One sandbox's way out.
#[derive(Clone)]
pub struct Egress {
    /// Who decides.
    pub broker: Arc<dyn Broker>,
    /// Who we are to programs that are looked into.
    pub authority: Arc<Authority>,
    /// What they sent.
    pub meter: Arc<Meter>,
    /// What ends it all.
    pub cuts: Cuts,
    /// How long is waited.
    pub patience: Patience,
    /// What an operator says so that addresses are met which are not public.
    pub private: String,
}
