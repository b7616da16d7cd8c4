//! Work that leaves the workspace: a model call, an effect at a mount, a probe. A job carries all it needs
//! and returns the body of the event that ends it, with its blobs. Whoever runs it (a worker thread, the
//! simulator) only chooses when.
//!
//! What a driver says is an allegation: its text is bounded, its tokens are counted by us as well, negative
//! numbers are nothing, and a driver that panics has failed.

use crate::tool;
use abi::{
    Content, EffectId, ReplyTo,
    call::Fields,
    effect::Command,
    event::{Body, Claimed, EffectOutcome, ModelOutcome, Probed, Stop},
    limits,
    money::Usage,
    request::Asked,
    tree::Merge,
};
use drivers::{Flow, Model, ModelError, Mount, Prompt, Said, Secret};
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What ended, and the bytes it names.
pub type Ended = (Body, Vec<Vec<u8>>);

/// Bytes of what a driver says about an effect.
const OUTCOME_BYTES_MAX: usize = limits::BLOB_INLINE_BYTES_MAX as usize;
/// Bytes of why something failed.
const MESSAGE_BYTES_MAX: usize = 1000;

/// A model call with its context expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelJob {
    /// Its name.
    pub effect: EffectId,
    /// First or second attempt.
    pub attempt: u32,
    /// For which process.
    pub pid: abi::Pid,
    /// The root of its run.
    pub run: abi::Pid,
    /// The whole context.
    pub prompt: Prompt,
    /// Output tokens reserved at the start.
    pub reserved_out: u64,
    /// A program's own request, of which the prompt's items are the pieces, and who waits for it.
    pub asked: Option<(Asked, ReplyTo)>,
}

/// An effect, or the question whether it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectJob {
    /// Its name.
    pub effect: EffectId,
    /// Where.
    pub mount: String,
    /// What.
    pub kind: String,
    /// With what; none if the recorded bytes cannot be read.
    pub fields: Option<Fields>,
}

/// A command and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecJob {
    /// It.
    pub command: Command,
    /// What to run.
    pub text: Vec<u8>,
    /// What it is told to do, if it is told that by a protocol.
    pub task: Option<Vec<u8>>,
    /// What it calls the session that it goes on with.
    pub session: Option<Vec<u8>>,
}

/// Merges that an event asked for, and the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeJob {
    /// It.
    pub of: Body,
    /// The bytes it names.
    pub blobs: Vec<Vec<u8>>,
    /// Merges made for it before.
    pub known: Vec<(Merge, Option<Content>)>,
    /// How often it came already.
    pub round: u32,
    /// What to merge, with base, ours and theirs; none where the bytes are not to be had.
    pub merges: Vec<(Merge, Option<[Vec<u8>; 3]>)>,
}

impl MergeJob {
    /// The event again, as if nothing could be merged.
    pub fn without(&self) -> Ended {
        let none = self.merges.iter().map(|(merge, _)| (merge.clone(), None));
        let merges = self.known.iter().cloned().chain(none).collect();
        (Body::Merged { of: Box::new(self.of.clone()), merges, round: self.round + 1 }, self.blobs.clone())
    }
}

/// Merges, and brings the event again.
pub fn run_merge(job: &MergeJob) -> Ended {
    let (mut merges, mut blobs) = (job.known.clone(), job.blobs.clone());
    for (merge, texts) in &job.merges {
        let made = texts.as_ref().and_then(|texts| crate::merge::clean(&merge.path, texts));
        merges.push((merge.clone(), made.as_ref().map(|bytes| Content::of(bytes))));
        blobs.extend(made);
    }
    (Body::Merged { of: Box::new(job.of.clone()), merges, round: job.round + 1 }, blobs)
}

/// So many bytes as tokens, by our own count.
pub fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(limits::COUNT_BYTES_PER_TOKEN)
}

/// Calls a model. `stream` hears each piece with the output tokens counted so far, and may end it.
pub fn run_model(
    job: &ModelJob,
    (model, secret): (&dyn Model, Option<&Secret<'_>>),
    stream: &mut dyn FnMut(u64, &str) -> Flow,
) -> Ended {
    let mut bytes = 0_u64;
    let mut ended = false;
    let mut receive = |piece: &str| {
        bytes = bytes.saturating_add(piece.len() as u64);
        let count = tokens(bytes);
        let full = bytes > limits::ANSWER_BYTES_MAX || count > job.prompt.max_out;
        if ended || full || stream(count, piece) == Flow::Stop {
            ended = true;
            return Flow::Stop;
        }
        Flow::Go
    };
    let called = catch_unwind(AssertUnwindSafe(|| model.call(&job.prompt, secret, &mut receive)));
    let outcome = match called {
        Ok(Ok(said)) => {
            return answered(job, said, ended, Came { asked: asked(job), said: bytes, body: Vec::new() });
        }
        Ok(Err(error)) => error,
        Err(_) => ModelError { message: "the model's driver panicked".to_owned(), ..ModelError::default() },
    };
    failed(job, &outcome, counted(asked(job), bytes))
}

/// Bytes that went in.
fn asked(job: &ModelJob) -> u64 {
    job.prompt.items.iter().map(|(_, bytes)| bytes.len() as u64).sum()
}

/// What we count of a failed call: nothing of one that said nothing.
pub(crate) fn counted(asked: u64, said: u64) -> Usage {
    match said {
        0 => Usage::default(),
        said => Usage { tokens_in: tokens(asked), tokens_out: tokens(said), ..Usage::default() },
    }
}

/// What went in and came of a call, for our own count of it.
pub(crate) struct Came {
    /// Bytes that went in, without those of images.
    pub asked: u64,
    /// Bytes that were said while it streamed.
    pub said: u64,
    /// The answer as a program got it, packed, in pieces.
    pub body: Vec<Vec<u8>>,
}

/// A model call that cannot be made at all.
pub fn failed(job: &ModelJob, error: &ModelError, counted: Usage) -> Ended {
    ended_badly((job.effect, job.attempt), error, counted)
}

/// A model call whose worker panicked.
pub(crate) fn lost(effect: EffectId, attempt: u32) -> Ended {
    let message = "the call failed on our side".to_owned();
    ended_badly((effect, attempt), &ModelError { message, ..ModelError::default() }, Usage::default())
}

fn ended_badly((effect, attempt): (EffectId, u32), error: &ModelError, counted: Usage) -> Ended {
    let bytes = tool::cut(&error.message, MESSAGE_BYTES_MAX).as_bytes().to_vec();
    let (again, after_us) = (error.again, error.after_us);
    let outcome = ModelOutcome::Failed { message: Content::of(&bytes), again, after_us, counted };
    (Body::ModelEnded { effect, attempt, outcome }, vec![bytes])
}

/// An answer.
pub(crate) fn answered(job: &ModelJob, said: Said, ended: bool, came: Came) -> Ended {
    let spoken: u64 = said.tools.iter().map(|tool| (tool.name.len() + tool.arguments.len()) as u64).sum();
    let text_bytes = came.said.max(said.text.len() as u64);
    let counted = Usage {
        tokens_in: tokens(came.asked),
        tokens_out: tokens(text_bytes.saturating_add(spoken)),
        ..Usage::default()
    };
    let count = |said: i64| u64::try_from(said).unwrap_or(0);
    let claimed = Usage {
        tokens_in: count(said.usage.tokens_in),
        tokens_out: count(said.usage.tokens_out),
        tokens_cached: count(said.usage.tokens_cached),
        tokens_written: count(said.usage.tokens_written),
    };
    let (bytes, tools, cut) = canonical(said.text, said.tools);
    let stop = match (ended, cut) {
        (true, _) => Stop::Cut,
        (false, true) => Stop::Length,
        (false, false) => said.stop,
    };
    let outcome = ModelOutcome::Answered {
        answer: Content::of(&bytes),
        tools,
        stop,
        usage: Claimed::new(claimed),
        counted,
        body: came.body.iter().map(|piece| Content::of(piece)).collect(),
    };
    let blobs = [vec![bytes], came.body].concat();
    (Body::ModelEnded { effect: job.effect, attempt: job.attempt, outcome }, blobs)
}

/// The canonical answer, how many tool calls it holds, and whether something had to be left out to fit.
fn canonical(text: String, tools: Vec<drivers::ToolCall>) -> (Vec<u8>, u32, bool) {
    let most = usize::try_from(limits::TOOLS_PER_STEP_MAX).unwrap_or(usize::MAX);
    let mut cut = tools.len() > most;
    let mut text = text;
    let mut rows: Vec<serde_json::Value> = tools
        .iter()
        .take(most)
        .map(|call| {
            let name = tool::cut(&call.name, limits::WORD_BYTES_MAX + 1);
            json!({ "name": name, "arguments": call.arguments })
        })
        .collect();
    loop {
        let bytes = json!({ "text": text, "tools": rows }).to_string().into_bytes();
        if bytes.len() as u64 <= limits::ANSWER_BYTES_MAX {
            return (bytes, u32::try_from(rows.len()).unwrap_or(u32::MAX), cut);
        }
        cut = true;
        // Halving ends: an empty text without tools is 22 bytes. The last tool goes first: it is the least
        // sure.
        if rows.pop().is_none() {
            text.truncate(text.floor_char_boundary(text.len() / 2));
        }
    }
}

/// Has a mount carry an effect out.
pub fn run_dispatch(job: &EffectJob, mount: Option<&dyn Mount>) -> Ended {
    let said = match (mount, &job.fields) {
        (None, _) => Err(format!("{} is not mounted", job.mount)),
        (_, None) => Err("the recorded arguments cannot be read".to_owned()),
        (Some(mount), Some(fields)) => {
            let send = || mount.send(&job.effect, &job.kind, fields);
            catch_unwind(AssertUnwindSafe(send)).unwrap_or_else(|_| Err("the driver panicked".to_owned()))
        }
    };
    let (bytes, done) = match said {
        Ok(bytes) => (bytes, true),
        Err(message) => (message.into_bytes(), false),
    };
    let bytes = bounded(bytes);
    let content = Content::of(&bytes);
    let outcome = if done { EffectOutcome::Done(content) } else { EffectOutcome::Failed(content) };
    (Body::EffectEnded { effect: job.effect, outcome }, vec![bytes])
}

/// Asks a mount whether an effect happened.
pub fn run_probe(job: &EffectJob, mount: Option<&dyn Mount>) -> Ended {
    let found = match (mount, &job.fields) {
        (Some(mount), Some(fields)) => {
            let probe = || mount.probe(&job.effect, &job.kind, fields);
            catch_unwind(AssertUnwindSafe(probe)).unwrap_or(Probed::Unknown)
        }
        (None, _) | (_, None) => Probed::Unknown,
    };
    // `Happened` names what the other side said; only its name came back, so the words are ours.
    let words = b"found at the other side".to_vec();
    let (found, blobs) = match found {
        Probed::Happened(_) => (Probed::Happened(Content::of(&words)), vec![words]),
        Probed::Absent => (Probed::Absent, Vec::new()),
        Probed::Unknown => (Probed::Unknown, Vec::new()),
    };
    (Body::EffectProbed { effect: job.effect, found }, blobs)
}

fn bounded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(OUTCOME_BYTES_MAX);
    bytes
}

#[cfg(test)]
mod tests;
