//! One connection of a program, from its first request to its end.

use super::{
    Ask, Egress, Ruling,
    metered::{Any, Broken},
    place, request,
    talk::{Way, talk},
    tunnel,
};
use abi::limits;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::TcpStream, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Serves it, on this thread; comes back at its end, or when it is cut.
pub fn serve(egress: &Egress, stream: TcpStream) {
    // Before anything is decided: what is taken back meanwhile ends this one too.
    let cut = egress.cuts.next();
    #[allow(clippy::disallowed_methods)] // seam: the runtime of one connection, which ends with it
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(stream));
        let Ok(stream) = stream else { return };
        tokio::select! {
            () = cut => {}
            _ = timeout(egress.patience.whole, outside(egress, stream)) => {}
        }
    });
    // A look-up that hangs holds nobody up.
    runtime.shutdown_background();
}

/// What a `CONNECT` became, once its answer has gone out.
enum After {
    Tunnel(Ask, tokio::net::TcpStream),
    Inspect(Ask),
}

async fn outside(egress: &Egress, stream: tokio::net::TcpStream) {
    let (egress, after) = (egress.clone(), Arc::new(std::sync::Mutex::new(None)));
    let shared = egress.clone();
    let made = after.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (egress, made) = (shared.clone(), made.clone());
        async move {
            if request.method() != Method::CONNECT {
                return Ok::<_, Infallible>(plain(&egress, request).await);
            }
            let upgrade = hyper::upgrade::on(&mut request);
            Ok(match connect(&egress, &request).await {
                Ok(next) => {
                    *made.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((next, upgrade));
                    Response::new(empty())
                }
                Err((status, message)) => refused(status, &message),
            })
        }
    });
    let served = http(&egress).serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    let next = after.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let (Ok(()), Some((next, upgrade))) = (served, next) else { return };
    let Ok(upgraded) = upgrade.await else { return };
    let mut inner = TokioIo::new(upgraded);
    match next {
        After::Tunnel(ask, outer) => tunnel::carry(&egress, &ask, &mut inner, outer).await,
        After::Inspect(ask) => inspect(&egress, &ask, inner).await,
    }
}

fn http(egress: &Egress) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(egress.patience.head);
    http.max_headers(limits::EGRESS_HEADERS_MAX).max_buf_size(limits::EGRESS_HEAD_BYTES_MAX);
    http
}

/// Whether the head of a request is one that is passed on.
fn fits(request: &Request<Incoming>) -> Result<(), (u16, String)> {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    let bytes =
        headers.sum::<usize>() + request.uri().path().len() + request.uri().query().map_or(0, str::len);
    match bytes > limits::EGRESS_HEAD_BYTES_MAX {
        true => {
            Err((431, format!("the head of a request has at most {} bytes", limits::EGRESS_HEAD_BYTES_MAX)))
        }
        false => Ok(()),
    }
}

/// Whether it goes; no more goes out of a sandbox that has sent what it may.
fn decide(egress: &Egress, ask: &Ask) -> Result<(bool, bool, Option<String>), (u16, String)> {
    if egress.meter.is_full() {
        return Err((403, "this sandbox has sent all that it may".to_owned()));
    }
    match egress.broker.decide(ask) {
        Ruling::Go { inspect, private, secret } => Ok((inspect, private, secret)),
        Ruling::No { status, message } => Err((status, message)),
    }
}

async fn connect(egress: &Egress, request: &Request<Incoming>) -> Result<After, (u16, String)> {
    fits(request)?;
    let ask = request::connect(request.uri()).map_err(|why| (400, why))?;
    let (inspect, private, secret) = decide(egress, &ask)?;
    if secret.is_some() {
        return Err((403, "a secret is put into what is looked into, and nothing else".to_owned()));
    }
    if inspect {
        return Ok(After::Inspect(ask));
    }
    let outer = place::connect(egress, &ask, private).await?;
    Ok(After::Tunnel(ask, outer))
}

async fn plain(egress: &Egress, request: Request<Incoming>) -> Response<Any> {
    let ask = request::absolute(request.method(), request.uri(), request.headers());
    let answer = match ask {
        Ok(ask) => one(egress, ask, request, Way::Plain).await,
        Err(why) => Err((400, why)),
    };
    answer.unwrap_or_else(|(status, message)| refused(status, &message))
}

async fn one(
    egress: &Egress,
    ask: Ask,
    asked: Request<Incoming>,
    way: Way,
) -> Result<Response<Any>, (u16, String)> {
    fits(&asked)?;
    if request::smuggles(&ask, asked.headers()) {
        return Err((400, "what only looks brings nothing along".to_owned()));
    }
    let (_, private, secret) = decide(egress, &ask)?;
    if secret.is_some() && way != Way::Secure {
        return Err((403, "a secret goes over TLS and in no other way".to_owned()));
    }
    talk(egress, (&ask, private, way), secret.as_deref(), asked).await
}

/// Ends the program's TLS here, and decides on each request.
async fn inspect<S>(egress: &Egress, of: &Ask, inner: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Ok(config) = egress.authority.stand_for(&of.host) else { return };
    let Ok(Ok(secured)) = timeout(egress.patience.head, TlsAcceptor::from(config).accept(inner)).await else {
        return;
    };
    let service = service_fn(|asked: Request<Incoming>| async move {
        let ask = request::inside(asked.method(), asked.uri(), asked.headers(), of);
        let answer = match ask {
            Ok(ask) => one(egress, ask, asked, Way::Secure).await,
            Err(why) => Err((421, why)),
        };
        Ok::<_, Infallible>(answer.unwrap_or_else(|(status, message)| refused(status, &message)))
    });
    let _ = http(egress).serve_connection(TokioIo::new(secured), service).await;
}

fn empty() -> Any {
    Full::new(Bytes::new()).map_err(|never| -> Broken { match never {} }).boxed()
}

/// An answer of our own, which says so.
fn refused(status: u16, message: &str) -> Response<Any> {
    let text = Full::new(Bytes::from(format!("skep: {message}\n")));
    let mut response = Response::new(text.map_err(|never| -> Broken { match never {} }).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let clean: String = message.chars().filter(|sign| (' '..='~').contains(sign)).collect();
    if let Ok(value) = HeaderValue::from_str(&clean) {
        headers.insert("x-skep", value);
    }
    response
}
