//! Bytes both ways that nobody looks into, after the first of them said whom they are for.

use super::{
    Ask, Egress,
    hello::{HELLO_BYTES_MAX, Hello, hello},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PIECE_BYTES: usize = 16 * 1024;

/// Carries a tunnel until one side ends it, or it stands still for too long.
pub(super) async fn carry<S>(egress: &Egress, ask: &Ask, inner: &mut S, mut outer: TcpStream)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(Some(first)) = timeout(egress.patience.head, first(ask, inner)).await else { return };
    if !egress.meter.sends(first.len()) || outer.write_all(&first).await.is_err() {
        return;
    }
    let idle = egress.patience.idle;
    let (mut up, mut down) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let (mut from_inner, mut to_inner) = tokio::io::split(inner);
    let (mut from_outer, mut to_outer) = outer.split();
    let (mut sends, mut hears) = (true, true);
    while sends || hears {
        // A side that takes nothing holds both up; the time of a piece is the time of all of them.
        let step = async {
            tokio::select! {
                read = from_inner.read(&mut up), if sends => match read {
                    Ok(0) => { sends = false; to_outer.shutdown().await.is_ok() }
                    Ok(read) => {
                        let piece = up.get(..read).unwrap_or_default();
                        egress.meter.sends(read) && to_outer.write_all(piece).await.is_ok()
                    }
                    Err(_) => false,
                },
                read = from_outer.read(&mut down), if hears => match read {
                    Ok(0) => { hears = false; to_inner.shutdown().await.is_ok() }
                    Ok(read) => to_inner.write_all(down.get(..read).unwrap_or_default()).await.is_ok(),
                    Err(_) => false,
                },
            }
        };
        if !timeout(idle, step).await.unwrap_or(false) {
            return;
        }
    }
}

/// The hello, if it is for the host that was decided on.
async fn first<S: AsyncRead + Unpin>(ask: &Ask, inner: &mut S) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match hello(&bytes) {
            Hello::Bad(_) => return None,
            Hello::For(name) => {
                // An address is never named in a hello (RFC 6066, section 3).
                let fits = match (&name, ask.host.address()) {
                    (Some(name), None) => name.eq_ignore_ascii_case(ask.host.as_str()),
                    (None, Some(_)) => true,
                    (Some(_), Some(_)) | (None, None) => false,
                };
                return fits.then_some(bytes);
            }
            Hello::More if bytes.len() > 2 * HELLO_BYTES_MAX => return None,
            Hello::More => {}
        }
        let mut piece = [0; 4096];
        match inner.read(&mut piece).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(piece.get(..read)?),
            _ => return None,
        }
    }
}
