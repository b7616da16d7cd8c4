//! `skep mv` and `skep rm`.

use crate::{
    escape,
    fail::{Exit, Outcome},
    session::Session,
    settle::settle,
};
use serde_json::{Value, json};

/// Give a file or directory another path; its versions go with it
#[derive(Debug, clap::Args)]
pub struct Mv {
    /// Where it is
    from: String,
    /// Where it shall be; a path that ends in / is the directory it goes to
    to: String,
}

/// Remove a file; its versions stay, and skep undo brings it back
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// What
    path: String,
    /// Also a directory that is not empty
    #[arg(short, long)]
    recursive: bool,
}

impl Mv {
    pub fn run(self, session: &mut Session) -> Outcome {
        let name = self.from.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let to = if self.to.ends_with('/') { format!("{}{name}", self.to) } else { self.to };
        let answer = session.call("move", json!({"from": self.from, "to": to}))?;
        told(session, &answer, &format!("{} -> {}", escape::line(&self.from), escape::line(&to)))
    }
}

impl Rm {
    pub fn run(self, session: &mut Session) -> Outcome {
        let answer = session.call("remove", json!({"path": self.path, "tree": self.recursive}))?;
        told(session, &answer, &format!("{} removed", escape::line(&self.path)))
    }
}

fn told(session: &mut Session, answer: &Value, what: &str) -> Outcome {
    settle(session)?;
    if session.is_json() {
        session.object(answer)?;
        return Ok(Exit::Fine);
    }
    match answer.get("operation").and_then(Value::as_u64) {
        Some(operation) => {
            session.say(&format!("{what} op:{operation}"))?;
            session.hint(&format!("skep undo op:{operation} takes it back"));
        }
        None => session.say(what)?,
    }
    Ok(Exit::Fine)
}
