//! `skep cat`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Outcome},
    moment, past,
    session::Session,
};
use serde_json::json;
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
        if let (Some(at), Some(map)) = (self.at, params.as_object_mut()) {
            let (key, value) = moment::parse(&at, (session.clock)())?.argument();
            map.insert(key.into(), json!(value));
        }
        let answer = session.call("read", params)?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        let bytes = past::bytes(&answer)?;
        if std::io::stdout().is_terminal() {
            let text = escape::escape(&String::from_utf8_lossy(&bytes), Keep::Lines);
            session.print(&text)?;
            if !text.ends_with('\n') {
                session.print("\n")?;
            }
        } else {
            session.out.write_all(&bytes)?;
        }
        Ok(Exit::Fine)
    }
}
