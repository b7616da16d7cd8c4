//! One request of a program at the model endpoint: what the worker that passes it on and the thread that
//! answers it share.
//!
//! ```text
//! worker ── piece ──▶ Exchange ──▶ Frames ──▶ the program
//! loop ───── end ───▶    │ what ends the answer is held until what it tells of is durable
//! ```
//! A program that does not read, or has gone, ends the stream; nobody waits for it.

use crate::guard::guard;
use abi::{Error, limits};
use drivers::{Flow, Piece};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the program is sent, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The provider answers: status, content type, headers.
    Head(u16, String, Vec<(String, String)>),
    /// Bytes of its answer.
    Bytes(Vec<u8>),
    /// It failed, before or after its head.
    Failed(Error),
}

#[derive(Default)]
struct Held {
    /// Gone when the answer has ended.
    out: Option<UnboundedSender<Frame>>,
    /// The bytes that end the answer.
    last: Vec<u8>,
    /// Why it failed, in words; the log has them as a blob.
    why: Option<String>,
}

/// The two ends of an answer.
pub(crate) struct Exchange {
    /// Headers of the program that go along.
    headers: Vec<(String, String)>,
    held: Mutex<Held>,
    /// Bytes that were sent and not taken.
    behind: AtomicUsize,
    gone: AtomicBool,
}

/// The program's end.
pub(crate) struct Frames {
    from: UnboundedReceiver<Frame>,
    exchange: Arc<Exchange>,
}

impl Exchange {
    /// Both ends, for a request with these headers.
    pub fn open(headers: Vec<(String, String)>) -> (Arc<Self>, Frames) {
        let (out, from) = unbounded_channel();
        let held = Mutex::new(Held { out: Some(out), ..Held::default() });
        let (behind, gone) = (AtomicUsize::new(0), AtomicBool::new(false));
        let exchange = Arc::new(Self { headers, held, behind, gone });
        (exchange.clone(), Frames { from, exchange })
    }

    /// Headers of the program that go along.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// A piece of the provider's answer.
    pub fn piece(&self, piece: &Piece<'_>) -> Flow {
        if self.gone.load(Ordering::Relaxed) {
            return Flow::Stop;
        }
        let frame = match piece {
            Piece::Head { status, content_type, headers } => {
                Frame::Head(*status, (*content_type).to_owned(), headers.to_vec())
            }
            Piece::Bytes { bytes: [], .. } => return Flow::Go,
            Piece::Bytes { bytes, last: true, .. } => {
                guard(&self.held).last.extend_from_slice(bytes);
                return Flow::Go;
            }
            Piece::Bytes { bytes, .. } => Frame::Bytes(bytes.to_vec()),
        };
        self.send(frame)
    }

    fn send(&self, frame: Frame) -> Flow {
        let bytes = if let Frame::Bytes(bytes) = &frame { bytes.len() } else { 0 };
        let behind = self.behind.fetch_add(bytes, Ordering::Relaxed);
        let sent = guard(&self.held).out.as_ref().is_some_and(|out| out.send(frame).is_ok());
        let reads = behind <= limits::CLIENT_BACKLOG_BYTES_MAX;
        if sent && reads { Flow::Go } else { Flow::Stop }
    }

    /// It failed for this reason; told when it ends.
    pub fn fails(&self, why: &str) {
        guard(&self.held).why = Some(why.to_owned());
    }

    /// It is decided and durable how it ended.
    pub fn end(&self, how: Result<(), Error>) {
        let (last, why) = {
            let mut held = guard(&self.held);
            (std::mem::take(&mut held.last), held.why.take())
        };
        let how = how.map_err(|error| match why {
            Some(message) => Error { message, ..error },
            None => error,
        });
        match how {
            // A provider's own refusal has been passed on whole: that is the answer.
            Ok(()) | Err(_) if !last.is_empty() => drop(self.send(Frame::Bytes(last))),
            Ok(()) => {}
            Err(error) => drop(self.send(Frame::Failed(error))),
        }
        guard(&self.held).out = None;
    }
}

impl Frames {
    /// The next; none when the answer has ended.
    pub fn poll(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Frame>> {
        let polled = self.from.poll_recv(context);
        if let std::task::Poll::Ready(Some(Frame::Bytes(bytes))) = &polled {
            self.exchange.behind.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        polled
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.exchange.gone.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Code;

    fn taken(frames: &mut Frames) -> Vec<Frame> {
        std::iter::from_fn(|| frames.from.try_recv().ok()).collect()
    }

    #[test]
    fn the_end_of_an_answer_waits_until_it_is_decided() {
        let (exchange, mut frames) = Exchange::open(Vec::new());
        let bytes = |bytes: &'static [u8], last| Piece::Bytes { bytes, said: 0, last };
        for piece in [bytes(b"a", false), bytes(b"", false), bytes(b"z", true)] {
            assert_eq!(exchange.piece(&piece), Flow::Go);
        }
        assert_eq!(taken(&mut frames), [Frame::Bytes(b"a".to_vec())]);
        exchange.end(Ok(()));
        assert_eq!(taken(&mut frames), [Frame::Bytes(b"z".to_vec())]);
        assert_eq!(exchange.piece(&bytes(b"more", false)), Flow::Stop, "after the end nothing goes out");
    }

    #[test]
    fn a_failure_is_told_once_and_a_provider_s_own_words_are_enough() {
        let error = Error::new(Code::Unavailable, "cut");
        let (exchange, mut frames) = Exchange::open(Vec::new());
        exchange.end(Err(error.clone()));
        assert_eq!(taken(&mut frames), [Frame::Failed(error.clone())]);
        let (exchange, mut frames) = Exchange::open(Vec::new());
        exchange.piece(&Piece::Bytes { bytes: b"{\"error\":1}", said: 0, last: true });
        exchange.end(Err(error));
        assert_eq!(taken(&mut frames), [Frame::Bytes(b"{\"error\":1}".to_vec())]);
    }

    #[test]
    fn who_has_gone_or_does_not_read_ends_the_stream() {
        let (exchange, frames) = Exchange::open(Vec::new());
        drop(frames);
        assert_eq!(exchange.piece(&Piece::Bytes { bytes: b"a", said: 1, last: false }), Flow::Stop);
        let (exchange, _frames) = Exchange::open(Vec::new());
        let much = vec![b'x'; limits::CLIENT_BACKLOG_BYTES_MAX + 1];
        assert_eq!(exchange.piece(&Piece::Bytes { bytes: &much, said: 1, last: false }), Flow::Go);
        assert_eq!(exchange.piece(&Piece::Bytes { bytes: b"a", said: 1, last: false }), Flow::Stop);
    }
}
