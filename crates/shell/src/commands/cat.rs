//! `skep cat`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    leave::content::{self, Piece},
    moment, past,
    session::Session,
};
use abi::{Code, Content, VersionId, path::TreePath};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// Bytes of a file; on a terminal, control characters in it are made visible
#[derive(Debug, clap::Args)]
pub struct Cat {
    /// Which file
    path: String,
    /// As it was then: a record's number, a time, or 10m, 2h, 3d ago
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
}

impl Cat {
    pub fn run(self, session: &mut Session) -> Outcome {
        let mut params = json!({"path": self.path});
        if let (Some(at), Some(map)) = (&self.at, params.as_object_mut()) {
            let (key, value) = moment::parse(at, (session.clock)())?.argument();
            map.insert(key.into(), json!(value));
        }
        let answer = match session.call("read", params.clone()) {
            Err(fail) if fail.is(Code::TooLarge) && !session.is_json() => return self.large(session, params),
            answer => answer?,
        };
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        let mut screen = Screen::new();
        screen.show(session, &past::bytes(&answer)?)?;
        screen.end(session)
    }

    /// More than one message carries: in parts, all of the version that the first answer names.
    fn large(&self, session: &mut Session, mut params: Value) -> Outcome {
        if let Some(map) = params.as_object_mut() {
            map.extend([("offset".to_owned(), json!(0)), ("length".to_owned(), json!(0))]);
        }
        let answer = session.call("read", params)?;
        let number = |key: &str| answer.get(key).and_then(Value::as_u64);
        let (Some(version), Some(bytes)) = (number("version"), number("bytes")) else {
            return Err(Fail::new("the daemon did not say how long the file is").hint("skep version"));
        };
        let content = Content { bytes, ..Content::default() };
        let piece = Piece { content, version: VersionId(version), path: TreePath::parse(&self.path)? };
        let mut screen = Screen::new();
        let kept = content::large(session, &piece, &mut |session, part| screen.show(session, part))?;
        if !kept {
            return Err(Fail::new(format!("the bytes of version {version} are not kept any more")));
        }
        screen.end(session)
    }
}

/// Standard output: bytes as they are, or on a terminal a text in which nothing is hidden.
struct Screen {
    is_terminal: bool,
    /// The first bytes of a character whose rest comes with the next part.
    begun: Vec<u8>,
    last: u8,
}

impl Screen {
    fn new() -> Self {
        Self { is_terminal: std::io::stdout().is_terminal(), begun: Vec::new(), last: 0 }
    }

    fn show(&mut self, session: &mut Session, bytes: &[u8]) -> Result<(), Fail> {
        if !self.is_terminal {
            return Ok(session.out.write_all(bytes)?);
        }
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        if let Err(error) = std::str::from_utf8(&all)
            && error.error_len().is_none()
        {
            self.begun = all.split_off(error.valid_up_to());
        }
        self.text(session, &all)
    }

    fn text(&mut self, session: &mut Session, bytes: &[u8]) -> Result<(), Fail> {
        self.last = bytes.last().copied().unwrap_or(self.last);
        session.print(&escape::escape(&String::from_utf8_lossy(bytes), Keep::Lines))
    }

    fn end(mut self, session: &mut Session) -> Outcome {
        if self.is_terminal {
            let rest = std::mem::take(&mut self.begun);
            self.text(session, &rest)?;
            if self.last != b'\n' {
                session.print("\n")?;
            }
        }
        Ok(Exit::Fine)
    }
}
