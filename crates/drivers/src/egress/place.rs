//! Where a connection goes: a name is looked up once, every address is checked, one is pinned and dialled.

use super::{Ask, Broker, Egress};
use abi::net::{Reach, reach};
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};
use tokio::{net::TcpStream, time::timeout};

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// The system's resolver.
pub struct System;

impl System {
    /// Addresses of a name.
    pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect())
    }
}

/// Whether an address may be connected to: the kernel has decided on one that the program named itself.
fn may(address: IpAddr, named: bool, private: bool) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Private => named || private,
        Reach::Metadata => named,
        Reach::Never => false,
    }
}

/// Connects to where it was decided that it may go; or says why not, with the status of the answer.
pub(super) async fn connect(egress: &Egress, ask: &Ask, private: bool) -> Result<TcpStream, (u16, String)> {
    let reached = reached(egress, ask, private).await;
    if let Err((_, why)) = &reached {
        egress.broker.unreached(ask, why);
    }
    reached
}

async fn reached(egress: &Egress, ask: &Ask, private: bool) -> Result<TcpStream, (u16, String)> {
    let most = egress.patience.dial;
    let found = match ask.host.address() {
        Some(address) => vec![SocketAddr::new(address, ask.port)],
        None => {
            let (broker, host, port) = (egress.broker.clone(), ask.host.as_str().to_owned(), ask.port);
            let looked = look_up(broker, host, port);
            let failed = |why: String| (502, format!("{} has no address: {why}", ask.host));
            let found = timeout(most, looked).await.map_err(|_| failed("nobody said in time".to_owned()))?;
            found.map_err(|error| failed(error.to_string()))?
        }
    };
    let named = ask.host.address().is_some();
    let fit =
        found.iter().take(ADDRESSES_MAX).filter(|at| may(at.ip(), named, private) && at.port() == ask.port);
    let fit: Vec<SocketAddr> = fit.copied().collect();
    if fit.is_empty() {
        let why = "leads to an address that is not public";
        return Err((403, format!("{} {why} (hint: {})", ask.host, egress.private)));
    }
    let mut why = String::new();
    for pinned in fit {
        match timeout(most, TcpStream::connect(egress.broker.dial(pinned))).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = "no answer to the connection".to_owned(),
        }
    }
    Err((502, format!("{}:{} cannot be reached: {why}", ask.host, ask.port)))
}

async fn look_up(broker: Arc<dyn Broker>, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let looked = tokio::task::spawn_blocking(move || broker.resolve(&host, port)).await;
    looked.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}
