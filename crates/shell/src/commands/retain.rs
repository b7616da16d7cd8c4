//! `skep retain`.

use crate::{
    escape,
    fail::{Exit, Outcome},
    session::Session,
};
use serde_json::json;

/// How many versions keep their bytes: the rules there are, or a new one
///
/// Everything is kept for ever unless a rule says otherwise. The newest version, open conflicts and what they
/// were made from always are; hash, size and author of every version stay.
#[derive(Debug, clap::Args)]
pub struct Retain {
    /// Of files at these paths, as "/data/**"
    #[arg(requires = "keep")]
    pattern: Option<String>,
    /// The newest so many: last N; those of so many days: days N; all again: all
    #[arg(num_args = 1..=2, value_names = ["last|days|all", "N"])]
    keep: Vec<String>,
}

impl Retain {
    pub fn run(self, session: &mut Session) -> Outcome {
        let Some(pattern) = self.pattern else { return show(session) };
        let words = format!("retain {pattern} {}", self.keep.join(" "));
        let answer = session.control(&words)?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        session.say(&escape::line(&format!("{pattern} {}", self.keep.join(" "))))?;
        if self.keep.first().is_none_or(|word| word != "all") {
            session.note("older versions lose their bytes soon, for ever; hash, size and author stay");
        }
        Ok(Exit::Fine)
    }
}

fn show(session: &mut Session) -> Outcome {
    if session.is_json() {
        let answer = session.call("read", json!({"path": "/sys/retain"}))?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let rules = session.read("/sys/retain")?;
    for rule in rules.lines() {
        session.say(&escape::line(rule))?;
    }
    if rules.is_empty() {
        session.note("no rule: every version is kept for ever");
    }
    session.hint("skep retain PATTERN all · skep retain PATTERN last N · skep retain PATTERN days N");
    Ok(Exit::Fine)
}
