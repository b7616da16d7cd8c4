//! `skep version`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Outcome},
    session::Session,
};
use serde_json::json;

/// Version of this program, and of the daemon if one runs
#[derive(Debug, clap::Args)]
pub struct Version {}

impl Version {
    pub fn run(self, session: &mut Session) -> Outcome {
        let own = env!("CARGO_PKG_VERSION");
        let daemon = match session.running()? {
            Some(_) => Some(session.read("/sys/version")?),
            None => None,
        };
        if session.is_json() {
            session.object(&json!({"skep": own, "daemon": daemon}))?;
            return Ok(Exit::Fine);
        }
        session.say(&format!("skep {own}"))?;
        if let Some(text) = daemon {
            let text = escape::escape(text.trim_end(), Keep::Lines);
            for line in text.lines() {
                session.say(&format!("daemon {line}"))?;
            }
        }
        Ok(Exit::Fine)
    }
}
