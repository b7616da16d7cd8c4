//! One request on its way, anew: to the pinned address, with our own framing, and back.

use super::{
    Ask, Egress,
    metered::{Any, Metered},
    place, request,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::BodyExt;
use hyper::{
    Request, Response, Uri, Version,
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
    header::{AUTHORIZATION, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Headers of an answer, and bytes of its head.
const HEADERS_MAX: usize = 200;
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Whether TLS is spoken to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// HTTP in the clear.
    Plain,
    /// HTTPS.
    Secure,
}

type Failed = (u16, String);

/// Sends it and brings the answer.
pub(super) async fn talk(
    egress: &Egress,
    (ask, private, way): (&Ask, bool, Way),
    secret: Option<&str>,
    asked: Request<Incoming>,
) -> Result<Response<Any>, Failed> {
    let stream = place::connect(egress, ask, private).await?;
    let broken = |why: String| (502, format!("{}:{}: {why}", ask.host, ask.port));
    let mut sender = match way {
        Way::Plain => shake(stream).await.map_err(broken)?,
        Way::Secure => {
            let name = ServerName::try_from(ask.host.as_str().to_owned())
                .map_err(|error| broken(error.to_string()))?;
            let config = trusted(egress).map_err(broken)?;
            let secured = TlsConnector::from(config).connect(name, stream);
            let secured = timeout(egress.patience.head, secured).await;
            let secured = secured.map_err(|_| broken("no handshake in time".to_owned()))?;
            shake(secured.map_err(|error| broken(error.to_string()))?).await.map_err(broken)?
        }
    };
    let mut request = anew(egress, ask, asked, way).map_err(|why| (400, why))?;
    if let Some(name) = secret {
        let value = lent(egress, ask, name).map_err(|why| (403, why))?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let answer = timeout(egress.patience.answer, sender.send_request(request)).await;
    let answer = answer.map_err(|_| (504, format!("{} did not answer in time", ask.host)))?;
    let (mut head, body) = answer.map_err(|error| broken(error.to_string()))?.into_parts();
    request::strip(&mut head.headers);
    head.version = Version::HTTP_11;
    Ok(Response::from_parts(head, Metered::new(body, None, egress.patience.idle).boxed()))
}

fn anew(egress: &Egress, ask: &Ask, asked: Request<Incoming>, way: Way) -> Result<Request<Any>, String> {
    let (mut head, body) = asked.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    head.uri = path.parse::<Uri>().map_err(|error| error.to_string())?;
    request::strip(&mut head.headers);
    let usual = if way == Way::Secure { 443 } else { 80 };
    let host = match ask.port {
        port if port == usual => ask.host.to_string(),
        port => format!("{}:{port}", ask.host),
    };
    head.headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| error.to_string())?);
    head.version = Version::HTTP_11;
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if !egress.meter.sends(bytes + path.len()) {
        return Err("this sandbox has sent all that it may".to_owned());
    }
    let body = Metered::new(body, Some(egress.meter.clone()), egress.patience.idle);
    Ok(Request::from_parts(head, body.boxed()))
}

/// A secret as the one header that carries it: `NAME:PASSWORD` as Basic (RFC 7617), anything else as Bearer
/// (RFC 6750).
fn lent(egress: &Egress, ask: &Ask, name: &str) -> Result<HeaderValue, String> {
    let mut value = None;
    egress.broker.lend(name, ask, &mut |secret| {
        let text = match secret.expose() {
            pair if pair.contains(':') => format!("Basic {}", STANDARD.encode(pair)),
            token => format!("Bearer {token}"),
        };
        value = HeaderValue::try_from(text).ok();
    })?;
    let mut value = value.ok_or_else(|| format!("the secret {name} is nothing that a header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn trusted(egress: &Egress) -> Result<std::sync::Arc<rustls::ClientConfig>, String> {
    let more = egress.broker.roots();
    if more.is_empty() {
        return crate::provider::system().map_err(|error| error.message);
    }
    let mut roots = RootCertStore::empty();
    for root in more {
        roots.add(root.into()).map_err(|error| error.to_string())?;
    }
    crate::provider::trusting(roots).ok_or_else(|| "no certificates to check by".to_owned())
}

async fn shake<S>(stream: S) -> Result<SendRequest<Any>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with the request and its answer, or with the runtime of the program's connection.
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(sender)
}
