//! Bytes that go out are counted against what a sandbox may send, and no body stands still for ever.

use super::Meter;
use abi::limits;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    error::Error,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// Why a body breaks off.
pub(super) type Broken = Box<dyn Error + Send + Sync>;
/// Any body.
pub(super) type Any = BoxBody<Bytes, Broken>;

impl Meter {
    /// So many more are to go out; whether they may.
    pub(super) fn sends(&self, bytes: usize) -> bool {
        let before = self.0.fetch_add(bytes as u64, Ordering::Relaxed);
        before.saturating_add(bytes as u64) <= limits::EGRESS_BYTES_MAX
    }

    /// Whether any more may.
    pub(super) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= limits::EGRESS_BYTES_MAX
    }
}

/// A body that is watched.
pub(super) struct Metered<B> {
    pub body: B,
    /// Where its bytes count, if they go out.
    pub meter: Option<Arc<Meter>>,
    pub idle: Duration,
    pub timer: Pin<Box<Sleep>>,
}

impl<B> Metered<B> {
    pub(super) fn new(body: B, meter: Option<Arc<Meter>>, idle: Duration) -> Self {
        Self { body, meter, idle, timer: Box::pin(sleep(idle)) }
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Broken>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let own = self.get_mut();
        match Pin::new(&mut own.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if own.meter.as_ref().is_some_and(|meter| !meter.sends(bytes)) {
                    let full = io::Error::other("this sandbox has sent all that it may");
                    return Poll::Ready(Some(Err(full.into())));
                }
                own.timer.as_mut().reset(Instant::now() + own.idle);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match own.timer.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
