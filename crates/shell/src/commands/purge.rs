//! `skep purge`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    session::Session,
};
use serde_json::Value;
use std::io::{BufRead, IsTerminal};

/// Destroy the bytes of every version of a file, for ever; hash, size, author and reason stay
#[derive(Debug, clap::Args)]
pub struct Purge {
    /// Which file; one that stands there no more too
    path: String,
    /// Say that every version goes: there is no purge of one
    #[arg(long)]
    all_versions: bool,
    /// Why; it stays in the log, so it must not hold what is purged
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Purge {
    pub fn run(self, session: &mut Session) -> Outcome {
        if !self.all_versions {
            return Err(Fail::usage("a purge takes every version of a file, and says so")
                .hint("add --all-versions; for one version there is skep retain, or write a new one"));
        }
        let path = abi::path::TreePath::parse(&self.path)?;
        if self.reason.trim().is_empty() {
            return Err(Fail::usage("the reason is empty").hint("say why: it is all that stays"));
        }
        if !self.yes && !agreed(session, path.as_str())? {
            return Err(Fail::new("nothing was purged"));
        }
        let quoted = path.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        let answer = session.control(&format!("purge \"{quoted}\" {}", self.reason))?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        told(session, &answer)
    }
}

/// Asks whoever sits there; nobody can be asked through a pipe.
fn agreed(session: &mut Session, path: &str) -> Result<bool, Fail> {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::usage("a purge asks first, and nobody is here to answer")
            .hint("add --yes, if it is to be done"));
    }
    session.note(&format!("The bytes of every version of {} go, for ever.", escape::line(path)));
    session.note("Exports, backups and what a provider of models keeps are not reached.");
    session.note("Type yes to go on:");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn told(session: &mut Session, answer: &Value) -> Outcome {
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    let versions = figures::plural(number("versions"), "version");
    session.say(&format!("purged    {versions}, {}", figures::bytes(number("bytes"))))?;
    let kept: Vec<String> = answer
        .get("kept")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(escape::line)
        .collect();
    for path in &kept {
        session.say(&format!("kept      {path}   (has some of the same bytes)"))?;
    }
    if !kept.is_empty() {
        session.hint("purge these too, if the bytes are to be gone everywhere");
    }
    session.hint("backups and exports made before still hold them");
    Ok(Exit::Fine)
}
