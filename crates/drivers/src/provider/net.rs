//! Connections: the one runtime, name look-up, TLS, and what is kept of a connection for the next request.
//!
//! ```text
//! block_on (the caller's thread) ─▶ Pool::sender ─▶ TCP ─▶ TLS (rustls, ring) ─▶ hyper, HTTP/1.1
//!                                                    one thread, "skep-net", drives all sockets
//! ```
//! The runtime is made at the first request: a daemon that asks nobody pays nothing. Proxy variables of the
//! environment are not read. Never here: what is asked or answered.

use super::{address::Address, trouble};
use crate::ModelError;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// Connections kept for the next request to one provider: as many turns as one person runs at once.
const IDLE_MAX: usize = 8;
/// Providers whose connections are shared by all who ask them; more than anybody has accounts with.
const POOLS_MAX: usize = 64;
/// How long one is kept: shorter than the minute after which common servers close it themselves.
const IDLE: Duration = Duration::from_secs(50);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// How long one of several is waited for, so that a dead one does not use up the time of the others.
const ADDRESS: Duration = Duration::from_secs(3);
/// Header lines of an answer. Real ones have about thirty.
const HEADERS_MAX: usize = 100;
/// Bytes of the head of an answer, and of what is read at once.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection that takes a request.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// The runtime of all providers.
pub(super) fn runtime() -> Result<&'static Runtime, ModelError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        // One thread drives the sockets; requests run on the threads of their callers. Names are looked up on
        // threads that end when they are idle.
        #[allow(clippy::disallowed_methods)] // seam: threads of outbound connections
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(8).thread_name("skep-net");
        builder.enable_io().enable_time().build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(|error| trouble::again(format!("no network thread could be started: {error}")))
}

/// The system's certificates, read once.
pub(crate) fn system() -> Result<Arc<ClientConfig>, ModelError> {
    static SYSTEM: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    let made = SYSTEM.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() { None } else { trusting(roots) }
    });
    made.clone().ok_or_else(|| {
        trouble::never(
            "this system has no certificates to check a provider by; hint: install the package \
             ca-certificates"
                .to_owned(),
        )
    })
}

/// TLS that trusts these roots and nobody else.
pub(crate) fn trusting(roots: RootCertStore) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

/// Connections to one provider, and what was learned of it.
pub(super) struct Pool {
    address: Address,
    /// Whether the output limit of the chat format goes by the other name here; learned from a refusal.
    pub(super) renamed: AtomicBool,
    /// Other roots than the system's; tests have them.
    roots: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<(Instant, Sender)>>,
}

impl Pool {
    pub(super) fn new(address: Address, roots: Option<Arc<ClientConfig>>) -> Self {
        Self { address, renamed: AtomicBool::new(false), roots, idle: Mutex::new(Vec::new()) }
    }

    /// The one of an address: whoever makes a provider for one call finds the connection of the last.
    pub(super) fn of(address: Address) -> Arc<Self> {
        static POOLS: Mutex<BTreeMap<Address, Arc<Pool>>> = Mutex::new(BTreeMap::new());
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&address) {
            return pool.clone();
        }
        let pool = Arc::new(Self::new(address.clone(), None));
        if pools.len() < POOLS_MAX {
            pools.insert(address, pool.clone());
        }
        pool
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// One that was kept and is still open.
    pub(super) async fn kept(&self) -> Option<Sender> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (since, mut sender) = kept?;
            if since.elapsed() < IDLE && !sender.is_closed() && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    /// Keeps one whose answer was read to its end.
    pub(super) fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, sender)| since.elapsed() < IDLE && !sender.is_closed());
        if idle.len() < IDLE_MAX {
            idle.push((Instant::now(), sender));
        }
    }

    /// A new one.
    pub(super) async fn fresh(&self) -> Result<Sender, ModelError> {
        let Address { host, port, tls, .. } = &self.address;
        let failed = |why: String| trouble::again(format!("{} cannot be reached: {why}", self.address));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = lookup_host((bare, *port)).await.map_err(|error| failed(error.to_string()))?;
        let found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        let stream = dial(&found).await.map_err(failed)?;
        // Small writes go out at once: the request is one write, and its answer is waited for.
        let _ = stream.set_nodelay(true);
        if !tls {
            return shake(stream).await.map_err(failed);
        }
        let config = self.roots.clone().map_or_else(system, Ok)?;
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| trouble::never(format!("{} is not a name for TLS", self.address)))?;
        let secured = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            // A certificate that does not fit today will not fit in a minute.
            let made = format!("{}: no secure connection: {error}", self.address);
            match error.kind() {
                std::io::ErrorKind::InvalidData => trouble::never(made),
                _ => trouble::again(made),
            }
        })?;
        shake(secured).await.map_err(failed)
    }
}

/// The first of the addresses that takes the connection.
async fn dial(found: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut why = "its name has no address".to_owned();
    for (ix, at) in found.iter().enumerate() {
        let dialled = match ix + 1 == found.len() {
            true => TcpStream::connect(at).await,
            false => timeout(ADDRESS, TcpStream::connect(at)).await.unwrap_or_else(|_| {
                Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer to the connection"))
            }),
        };
        match dialled {
            Ok(stream) => return Ok(stream),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

async fn shake<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> Result<Sender, String> {
    let mut builder = Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with the sender and the body, whichever goes last; what went wrong is heard by the request.
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(sender)
}
