//! A program's own request as a job: put together from its pieces, passed on, counted, and kept as it came
//! back. The bytes go to the program while they come; what ends the answer waits for the log.
//!
//! What is kept of an answer is its body as the program got it, packed (RFC 1950) and in pieces: a stream of
//! events is nine tenths envelope.

use crate::{
    apart,
    exchange::Exchange,
    job::{self, Came, Ended, ModelJob},
};
use abi::{
    Error,
    event::Stop,
    limits,
    request::{Api, Asked, Delivery},
};
use drivers::{Flow, Forward, ModelError, Piece, Provider, RawUsage, Said, Secret, Wire};
use flate2::{Compression, write::ZlibEncoder};
use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Whom a request is passed on to.
pub(crate) struct Target<'a> {
    /// Who answers.
    pub provider: &'a dyn Provider,
    /// The model, as the provider names it.
    pub model: &'a str,
    /// What opens the door.
    pub secret: Option<Secret<'a>>,
}

/// Passes it on. `gate` hears the output tokens counted so far, and may end the stream.
pub(crate) fn run(
    job: &ModelJob,
    asked: Asked,
    target: &Target<'_>,
    exchange: &Exchange,
    gate: &mut dyn FnMut(u64) -> Flow,
) -> Ended {
    let pieces: Vec<Vec<u8>> = job.prompt.items.iter().map(|(_, bytes)| bytes.clone()).collect();
    let limit = (asked.delivery == Delivery::Whole).then_some(job.prompt.max_out);
    let whole = match apart::together(asked.api, &pieces, target.model, limit) {
        Ok(whole) => whole,
        Err(error) => return refused(job, &error, exchange),
    };
    let request = Forward {
        wire: wire(asked.api),
        model: target.model.to_owned(),
        headers: exchange.headers().to_vec(),
        body: whole.body,
        streams: asked.delivery == Delivery::Streamed && !asked.api.only_counts(),
        max_out: job.prompt.max_out,
    };
    let mut heard = Heard { exchange, gate, body: Packed::new(), said: 0, stopped: false };
    let called = catch_unwind(AssertUnwindSafe(|| match asked.api {
        Api::CountTokens | Api::GeminiCount => count(&request, target, whole.plain, &mut heard),
        Api::Messages | Api::Responses | Api::Chat | Api::Gemini => {
            target.provider.forward(&request, target.secret.as_ref(), &mut |piece| heard.piece(&piece))
        }
    }));
    let Heard { body, said: spoken, stopped, .. } = heard;
    // What only counts says nothing that could be charged.
    let plain = if asked.api.only_counts() { 0 } else { whole.plain };
    match called {
        Ok(Ok(said)) => {
            let came = Came { asked: plain, said: spoken, body: body.pieces() };
            job::answered(job, said, stopped, came)
        }
        Ok(Err(error)) => {
            exchange.fails(&error.message);
            job::failed(job, &error, job::counted(plain, spoken))
        }
        Err(_) => {
            let message = "the model's driver panicked".to_owned();
            let error = ModelError { message, ..ModelError::default() };
            job::failed(job, &error, job::counted(plain, spoken))
        }
    }
}

/// A request that is not passed on.
pub(crate) fn refused(job: &ModelJob, error: &Error, exchange: &Exchange) -> Ended {
    let message = if error.hint.is_empty() {
        error.message.clone()
    } else {
        format!("{} (hint: {})", error.message, error.hint)
    };
    exchange.fails(&message);
    job::failed(job, &ModelError { message, ..ModelError::default() }, job::counted(0, 0))
}

/// What a provider has to speak.
pub(crate) fn wire(api: Api) -> Wire {
    match api {
        Api::Messages | Api::CountTokens => Wire::Messages,
        Api::Responses => Wire::Responses,
        Api::Chat => Wire::Chat,
        Api::Gemini | Api::GeminiCount => Wire::Gemini,
    }
}

/// The provider's own count, else ours.
fn count(
    request: &Forward,
    target: &Target<'_>,
    plain: u64,
    heard: &mut Heard<'_>,
) -> Result<Said, ModelError> {
    let counted = target.provider.count(request, target.secret.as_ref());
    let tokens = counted.unwrap_or_else(|_| job::tokens(plain));
    let key = if request.wire == Wire::Gemini { "totalTokens" } else { "input_tokens" };
    let text = serde_json::json!({ key: tokens }).to_string();
    heard.piece(&Piece::Head { status: 200, content_type: "application/json", headers: &[] });
    heard.piece(&Piece::Bytes { bytes: text.as_bytes(), said: 0, last: true });
    // The number is no output: it is kept with the body, and nothing of it is charged.
    Ok(Said { text: String::new(), tools: Vec::new(), stop: Stop::End, usage: RawUsage::default() })
}

/// What comes back, on its way to the program.
struct Heard<'a> {
    exchange: &'a Exchange,
    gate: &'a mut dyn FnMut(u64) -> Flow,
    body: Packed,
    said: u64,
    stopped: bool,
}

impl Heard<'_> {
    fn piece(&mut self, piece: &Piece<'_>) -> Flow {
        let mut flow = self.exchange.piece(piece);
        if let Piece::Bytes { bytes, said, .. } = piece {
            self.said = self.said.saturating_add(*said);
            if self.body.add(bytes) == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        // Asked also for a piece that says nothing: a silent call ends in time.
        if (self.gate)(job::tokens(self.said)) == Flow::Stop {
            flow = Flow::Stop;
        }
        self.stopped |= flow == Flow::Stop;
        flow
    }
}

/// A body, packed as it comes.
struct Packed {
    into: ZlibEncoder<Vec<u8>>,
    bytes: u64,
}

impl Packed {
    fn new() -> Self {
        Self { into: ZlibEncoder::new(Vec::new(), Compression::fast()), bytes: 0 }
    }

    fn add(&mut self, bytes: &[u8]) -> Flow {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        // Writing into memory cannot fail.
        let kept = self.into.write_all(bytes).is_ok();
        if kept && self.bytes <= limits::BODY_BYTES_MAX { Flow::Go } else { Flow::Stop }
    }

    fn pieces(self) -> Vec<Vec<u8>> {
        let packed = self.into.finish().unwrap_or_default();
        packed.chunks(limits::PIECE_BYTES).map(<[u8]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests;
