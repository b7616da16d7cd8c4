//! `skep cat`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    session::Session,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// Bytes of a file; on a terminal, control characters in it are made visible
#[derive(Debug, clap::Args)]
pub struct Cat {
    /// Which file
    path: String,
    /// As it was after this record
    #[arg(long, value_name = "SEQ")]
    at: Option<u64>,
}

impl Cat {
    pub fn run(self, session: &mut Session) -> Outcome {
        let mut params = json!({"path": self.path});
        if let (Some(at), Some(map)) = (self.at, params.as_object_mut()) {
            map.insert("at".into(), json!(at));
        }
        let answer = session.call("read", params)?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        let bytes = bytes(&answer)?;
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

/// The bytes of a `read`.
fn bytes(answer: &Value) -> Result<Vec<u8>, Fail> {
    if let Some(text) = answer.get("text").and_then(Value::as_str) {
        return Ok(text.as_bytes().to_vec());
    }
    let text = answer.get("base64").and_then(Value::as_str).unwrap_or_default();
    STANDARD.decode(text).map_err(|_| Fail::new("the daemon sent bytes that are not base64"))
}
