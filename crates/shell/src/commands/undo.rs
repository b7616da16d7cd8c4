//! `skep undo`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures, journal,
    session::Session,
    settle::settle,
};
use abi::{EffectId, Pid, record::Entry};
use serde_json::{Value, json};

/// Take back what a process wrote and did, one operation, or one effect, from under later changes too
#[derive(Debug, clap::Args)]
pub struct Undo {
    /// A process (12), an operation (op:34) or an effect (effect:HASH)
    #[arg(value_name = "PID|op:OPERATION|effect:HASH")]
    what: String,
}

impl Undo {
    pub fn run(self, session: &mut Session) -> Outcome {
        if let Some(effect) = self.what.strip_prefix("effect:") {
            let answer = reverted(session, effect)?;
            if session.is_json() {
                session.object(&answer)?;
                return Ok(Exit::Fine);
            }
            session.say(&format!("taken back  {}", escape::line(&self.what)))?;
            return Ok(Exit::Fine);
        }
        let (key, id) = match self.what.strip_prefix("op:") {
            Some(id) => ("operation", id),
            None => ("pid", self.what.strip_prefix("pid:").unwrap_or(&self.what)),
        };
        let id: u64 = id.parse().map_err(|_| {
            Fail::usage(format!("{:?} is neither a process nor an operation", self.what))
                .hint("skep undo 12 takes back process 12, skep undo op:34 operation 34; skep log lists them")
        })?;
        let deeds = if key == "pid" { effects(session, Pid(id))? } else { Vec::new() };
        let answer = match session.call("write", undoing(key, id)) {
            // It wrote nothing, but it did something outside.
            Err(_) if !deeds.is_empty() => json!({}),
            answer => answer?,
        };
        settle(session)?;
        let mut deeds = deeds.into_iter().map(|deed| back(session, deed)).collect::<Result<Vec<_>, _>>()?;
        if session.is_json() {
            let mut answer = answer;
            deeds.retain(|deed| deed.why.is_empty());
            answer["effects"] = deeds.iter().map(|deed| deed.effect.to_string()).collect();
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        for deed in &deeds {
            match deed.why.as_str() {
                "" => session.say(&format!("taken back  {}", deed.what))?,
                why => session.say(&format!("stays       {}   ({})", deed.what, escape::line(why)))?,
            }
        }
        if answer.get("restored").is_none() {
            return Ok(Exit::Fine);
        }
        told(session, &answer)
    }
}

/// Something a process did outside.
struct Deed {
    effect: EffectId,
    /// Kind and mount.
    what: String,
    /// Why it could not be taken back; empty when it was.
    why: String,
}

/// What the process did outside and was done, newest first.
fn effects(session: &mut Session, pid: Pid) -> Result<Vec<Deed>, Fail> {
    let rows = journal::all(session)?;
    let mut deeds = Vec::new();
    for row in &rows {
        match &row.record.body {
            Entry::Intended { effect, mount, kind, .. } if row.record.pid == pid => {
                let what = escape::line(&format!("{kind} at {mount}"));
                deeds.push(Deed { effect: *effect, what, why: String::new() });
            }
            Entry::EffectEnded { effect, done: false, .. } => deeds.retain(|deed| deed.effect != *effect),
            _ => {}
        }
    }
    deeds.reverse();
    Ok(deeds)
}

/// Takes one back, or says why it stays.
fn back(session: &mut Session, deed: Deed) -> Result<Deed, Fail> {
    let why = match reverted(session, &deed.effect.to_string()) {
        Ok(_) => String::new(),
        Err(fail) => fail.message,
    };
    Ok(Deed { why, ..deed })
}

fn reverted(session: &mut Session, effect: &str) -> Result<Value, Fail> {
    let answer = session
        .call("write", json!({"path": "/", "mode": "restore", "effect": effect, "origin": "argument"}))?;
    match answer.get("done").and_then(Value::as_bool) {
        Some(false) => Err(Fail::new("the other side refused to take it back").hint("skep trace")),
        _ => Ok(answer),
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
