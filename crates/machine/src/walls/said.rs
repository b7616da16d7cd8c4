//! What a command says: shown as it comes, its beginning and end kept for the answer, all of it for a blob as
//! far as that goes.

use super::Screen;
use crate::{connection::Connection, post::notice};
use abi::{Content, ExecId, limits};
use serde_json::json;
use std::{collections::VecDeque, sync::Arc};
use store::{Blobs, Manifest, Upload};

/// Half of what an answer tells.
const HALF: usize = limits::EXEC_OUTPUT_BYTES / 2;

/// What of a program's output is kept at a time, while it goes on.
const FRESH: usize = 4096;

/// What is taken of it at a time.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Who hears it as it comes.
pub(crate) enum Ear {
    /// The client that waits for its end.
    Client { client: Arc<Connection>, workspace: String, exec: ExecId },
    /// Whoever looks at its terminal.
    Screen(Arc<Screen>),
}

/// Output while it comes.
pub(crate) struct Said {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    bytes: u64,
    whole: Option<Upload>,
    ear: Option<Ear>,
    /// The beginning of a character whose end has not come.
    held: Vec<u8>,
    /// What came since it was last taken, and how much more.
    fresh: Vec<u8>,
    over: u64,
}

/// What there was to hear.
pub(crate) struct Heard {
    pub output: String,
    pub bytes: u64,
    pub whole: Option<(Content, Manifest)>,
}

impl Said {
    pub fn new(blobs: &Blobs, ear: Option<Ear>) -> Self {
        let whole = Some(blobs.upload());
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            bytes: 0,
            whole,
            ear,
            held: Vec::new(),
            fresh: Vec::new(),
            over: 0,
        }
    }

    /// Whether who hears it is behind: a program that says more waits for them, as at a pipe. Who does not
    /// read at all is dropped after a while, and is not waited for.
    pub fn waits(&self) -> bool {
        self.ear.as_ref().is_some_and(|ear| match ear {
            Ear::Client { client, .. } => client.is_slow(),
            Ear::Screen(screen) => screen.is_slow(),
        })
    }

    /// A piece of at most `PIECE_BYTES`, when nobody is waited for.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        let room = HALF.saturating_sub(self.head.len()).min(piece.len());
        let (first, rest) = piece.split_at(room);
        self.head.extend_from_slice(first);
        let skip = rest.len().saturating_sub(HALF);
        self.tail.extend(rest.get(skip..).unwrap_or_default());
        let over = self.tail.len().saturating_sub(HALF);
        self.tail.drain(..over);
        if let Some(whole) = &mut self.whole
            && (self.bytes > limits::EXEC_OUTPUT_BYTES_MAX || whole.push(piece).is_err())
        {
            self.whole = None;
        }
        let room = FRESH.saturating_sub(self.fresh.len()).min(piece.len());
        self.fresh.extend_from_slice(piece.get(..room).unwrap_or_default());
        self.over = self.over.saturating_add((piece.len() - room) as u64);
        self.show(piece);
    }

    /// Whether something came since it was last taken.
    pub fn is_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// What came since, cut.
    pub fn take_fresh(&mut self) -> String {
        let mut text = String::from_utf8_lossy(&std::mem::take(&mut self.fresh)).into_owned();
        let over = std::mem::take(&mut self.over);
        if over > 0 {
            text.push_str(&format!("\n[{over} bytes left out here]\n"));
        }
        text
    }

    fn show(&mut self, piece: &[u8]) {
        let (client, workspace, exec) = match &self.ear {
            None => return,
            Some(Ear::Screen(screen)) => return screen.push(piece),
            Some(Ear::Client { client, workspace, exec }) => (client, workspace, exec),
        };
        self.held.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.held) {
            Ok(text) => text.len(),
            // What cannot become a character any more is shown as what it is.
            Err(error) if error.error_len().is_some() => self.held.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = self.held.drain(..whole).collect();
        let text = String::from_utf8_lossy(&text);
        if !text.is_empty() {
            let params = json!({ "workspace": workspace, "exec": exec, "text": text });
            client.send_line(notice("output", &params));
        }
    }

    /// All there was.
    pub fn end(self) -> Heard {
        let left = self.bytes.saturating_sub((self.head.len() + self.tail.len()) as u64);
        let mut output = String::from_utf8_lossy(&self.head).into_owned();
        if left > 0 {
            output.push_str(&format!("\n[{left} bytes left out here]\n"));
        }
        let tail: Vec<u8> = self.tail.into_iter().collect();
        output.push_str(&String::from_utf8_lossy(&tail));
        let whole = self.whole.filter(|_| left > 0).and_then(|upload| upload.finish().ok());
        let whole = whole.map(|manifest| (manifest.content(), manifest));
        Heard { output, bytes: self.bytes, whole }
    }
}
