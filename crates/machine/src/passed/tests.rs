//! A request passed on: what goes out, what comes back, what is counted and kept.

use super::*;
use crate::exchange::Frame;
use abi::{
    Content, Hash, Pid, ReplyTo,
    effect::Role,
    event::{Body, ModelOutcome},
    money::Usage,
};
use drivers::Prompt;
use flate2::read::ZlibDecoder;
use std::{io::Read, sync::Mutex};

type Pieces = Vec<(&'static [u8], u64, bool)>;

/// Says these pieces, and what it was asked with.
struct Says {
    pieces: Pieces,
    fails: Option<ModelError>,
    heard: Mutex<Option<Forward>>,
}

impl Says {
    fn of(pieces: Pieces) -> Self {
        Self { pieces, fails: None, heard: Mutex::new(None) }
    }
}

impl Provider for Says {
    fn call(
        &self,
        _: &Prompt,
        _: Option<&Secret<'_>>,
        _: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        panic!("nobody asked for a turn's call")
    }

    fn forward(
        &self,
        request: &Forward,
        _: Option<&Secret<'_>>,
        sink: &mut dyn FnMut(Piece<'_>) -> Flow,
    ) -> Result<Said, ModelError> {
        *self.heard.lock().unwrap() = Some(request.clone());
        sink(Piece::Head { status: 200, content_type: "text/event-stream", headers: &[] });
        let mut flow = Flow::Go;
        for (bytes, said, last) in &self.pieces {
            if flow == Flow::Go || *last {
                flow = sink(Piece::Bytes { bytes, said: *said, last: *last });
            }
        }
        if let Some(error) = &self.fails {
            return Err(error.clone());
        }
        let usage = RawUsage { tokens_in: 90, tokens_out: 10, tokens_cached: 7, tokens_written: 5 };
        Ok(Said { text: "hi".into(), tools: Vec::new(), stop: Stop::End, usage })
    }

    fn models(&self, _: Option<&Secret<'_>>) -> Result<Vec<String>, ModelError> {
        Ok(Vec::new())
    }

    fn count(&self, _: &Forward, _: Option<&Secret<'_>>) -> Result<u64, ModelError> {
        Err(ModelError { message: "does not count".into(), ..ModelError::default() })
    }
}

fn job(api: Api, delivery: Delivery) -> (ModelJob, Asked) {
    let body = br#"{"model":"fast","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;
    let apart = apart::apart(api, None, body).unwrap();
    let items = apart.blobs.into_iter().map(|bytes| (Role::User, bytes)).collect();
    let prompt = Prompt { model: "p/fast".into(), items, tools: Vec::new(), max_out: 20 };
    let asked = Asked { api, delivery };
    let (effect, pid) = (Hash::of(b"e"), Pid(1));
    let asked_by = Some((asked, ReplyTo(1)));
    (ModelJob { effect, attempt: 1, pid, run: pid, prompt, reserved_out: 20, asked: asked_by }, asked)
}

fn run_with(says: &Says, api: Api, delivery: Delivery, most: u64) -> (Ended, Vec<Frame>) {
    let (job, asked) = job(api, delivery);
    let (exchange, mut frames) = Exchange::open(vec![("anthropic-beta".into(), "a,b".into())]);
    let target = Target { provider: says, model: "provider-fast", secret: None };
    let mut gate = |tokens: u64| if tokens > most { Flow::Stop } else { Flow::Go };
    let ended = run(&job, asked, &target, &exchange, &mut gate);
    exchange.end(Ok(()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut all = Vec::new();
    while let std::task::Poll::Ready(Some(frame)) = frames.poll(&mut context) {
        all.push(frame);
    }
    (ended, all)
}

fn body_of(ended: &Ended) -> Vec<u8> {
    let Body::ModelEnded { outcome: ModelOutcome::Answered { body, .. }, .. } = &ended.0 else {
        panic!("{:?}", ended.0)
    };
    let piece = |content: &Content| ended.1.iter().find(|blob| Content::of(blob) == *content).unwrap();
    let packed: Vec<u8> = body.iter().flat_map(piece).copied().collect();
    let mut out = Vec::new();
    ZlibDecoder::new(&packed[..]).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn what_the_program_got_is_what_is_kept_and_the_provider_hears_what_was_recorded() {
    let says = Says::of(vec![(b"one", 3, false), (b"", 0, false), (b"two", 3, false), (b"end", 0, true)]);
    let (ended, frames) = run_with(&says, Api::Messages, Delivery::Streamed, 100);
    let bytes: Vec<&[u8]> = frames
        .iter()
        .filter_map(|frame| if let Frame::Bytes(bytes) = frame { Some(&bytes[..]) } else { None })
        .collect();
    assert_eq!(bytes, [&b"one"[..], b"two", b"end"]);
    assert_eq!(body_of(&ended), b"onetwoend");
    let heard = says.heard.lock().unwrap().clone().unwrap();
    assert_eq!(
        String::from_utf8(heard.body).unwrap(),
        r#"{"max_tokens":50,"messages":[{"role":"user","content":"hi"}],"model":"provider-fast"}"#
    );
    assert_eq!(heard.headers, [("anthropic-beta".to_owned(), "a,b".to_owned())]);
    let Body::ModelEnded { outcome: ModelOutcome::Answered { usage, counted, stop, .. }, .. } = ended.0
    else {
        panic!()
    };
    let charged = Usage { tokens_in: 90, tokens_out: 10, tokens_cached: 7, tokens_written: 5 };
    assert_eq!((usage.check(&counted), stop), ((charged, false), Stop::End));
}

#[test]
fn a_stream_that_may_say_no_more_is_ended_and_that_is_recorded() {
    let says = Says::of(vec![(b"x", 400, false), (b"y", 400, false), (b"z", 4, false), (b"end", 0, true)]);
    let (ended, frames) = run_with(&says, Api::Messages, Delivery::Streamed, 150);
    assert_eq!(frames.last(), Some(&Frame::Bytes(b"end".to_vec())));
    assert!(!frames.contains(&Frame::Bytes(b"z".to_vec())));
    let Body::ModelEnded { outcome: ModelOutcome::Answered { stop, .. }, .. } = ended.0 else { panic!() };
    assert_eq!(stop, Stop::Cut);
}

#[test]
fn a_whole_answer_may_say_what_is_reserved() {
    let says = Says::of(vec![(b"{}", 2, true)]);
    run_with(&says, Api::Messages, Delivery::Whole, 100);
    let body = says.heard.lock().unwrap().clone().unwrap().body;
    assert!(String::from_utf8(body).unwrap().contains(r#""max_tokens":20,"#));
}

#[test]
fn a_failure_after_words_is_charged_and_one_before_is_not() {
    for (pieces, out) in [(vec![(&b"half"[..], 400, false)], 100), (vec![], 0)] {
        let error = ModelError { message: "cut".into(), again: true, after_us: None };
        let says = Says { fails: Some(error), ..Says::of(pieces) };
        let (ended, _) = run_with(&says, Api::Chat, Delivery::Streamed, 1_000);
        let Body::ModelEnded { outcome: ModelOutcome::Failed { counted, again, .. }, .. } = ended.0 else {
            panic!()
        };
        assert_eq!((counted.tokens_out, counted.tokens_in > 0, again), (out, out > 0, true));
    }
}

#[test]
fn who_does_not_count_is_counted_for() {
    let (ended, frames) = run_with(&Says::of(vec![]), Api::CountTokens, Delivery::Whole, 0);
    assert_eq!(frames.last(), Some(&Frame::Bytes(br#"{"input_tokens":22}"#.to_vec())));
    let Body::ModelEnded { outcome: ModelOutcome::Answered { usage, counted, .. }, .. } = ended.0 else {
        panic!()
    };
    assert_eq!(usage.check(&counted), (Usage::default(), false), "counting costs nothing");
}
