//! `skep undo`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    session::Session,
};
use serde_json::{Value, json};

/// Take back what a process wrote, or one operation, from under later changes too
#[derive(Debug, clap::Args)]
pub struct Undo {
    /// A process (12) or an operation (op:34)
    #[arg(value_name = "PID|op:OPERATION")]
    what: String,
}

impl Undo {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (key, id) = match self.what.strip_prefix("op:") {
            Some(id) => ("operation", id),
            None => ("pid", self.what.strip_prefix("pid:").unwrap_or(&self.what)),
        };
        let id: u64 = id.parse().map_err(|_| {
            Fail::usage(format!("{:?} is neither a process nor an operation", self.what))
                .hint("skep undo 12 takes back process 12, skep undo op:34 operation 34; skep log lists them")
        })?;
        let answer = session.call("write", undoing(key, id))?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        told(session, &answer)
    }
}

/// The arguments of the `write` that takes something back.
pub fn undoing(key: &str, id: u64) -> Value {
    json!({"path": "/", "mode": "restore", key: id, "origin": "argument"})
}

fn told(session: &mut Session, answer: &Value) -> Outcome {
    let paths = |key: &str| -> Vec<String> {
        let list = answer.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(escape::line).collect()
    };
    let (restored, left) = (paths("restored"), paths("left"));
    let (merged, diverged) = (paths("merged"), paths("diverged"));
    for path in &restored {
        session.say(&format!("restored  {path}"))?;
    }
    for path in &merged {
        session.say(&format!("merged    {path}   (later changes stay)"))?;
    }
    for path in &diverged {
        session.say(&format!(
            "diverged  {path}   (later changes contradict it; what stood before is kept beside)"
        ))?;
    }
    for path in &left {
        session.say(&format!("left      {path}   (changed by somebody since)"))?;
    }
    match answer.get("operation").and_then(Value::as_u64) {
        Some(operation) => {
            let back = restored.len().saturating_add(merged.len()) as u64;
            if back > 0 {
                session.note(&format!("{} taken back", figures::plural(back, "path")));
            }
            session.hint(&format!("skep undo op:{operation} brings it again"));
            if !diverged.is_empty() {
                session.hint("skep inbox shows how to resolve what diverged");
            }
        }
        None => session.note("nothing to take back"),
    }
    Ok(Exit::Fine)
}
