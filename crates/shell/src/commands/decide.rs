//! `skep approve`, `skep reject`.

use crate::{
    fail::{Exit, Outcome},
    session::Session,
};
use serde_json::{Value, json};

/// Let what a proposal holds happen, exactly as shown, once
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// Which
    #[arg(value_name = "ID")]
    proposal: u64,
}

/// Refuse what a proposal holds, for good
#[derive(Debug, clap::Args)]
pub struct Reject {
    /// Which
    #[arg(value_name = "ID")]
    proposal: u64,
    /// Why; the agent is told
    #[arg(value_name = "REASON")]
    reason: Option<String>,
}

impl Approve {
    pub fn run(self, session: &mut Session) -> Outcome {
        let answer = session.call("decide", json!({"proposal": self.proposal, "verdict": "approve"}))?;
        told(session, self.proposal, "approved", &answer)
    }
}

impl Reject {
    pub fn run(self, session: &mut Session) -> Outcome {
        let mut params = json!({"proposal": self.proposal, "verdict": "reject"});
        if let (Some(reason), Some(map)) = (self.reason, params.as_object_mut()) {
            map.insert("reason".into(), json!(reason));
        }
        let answer = session.call("decide", params)?;
        told(session, self.proposal, "rejected", &answer)
    }
}

fn told(session: &mut Session, proposal: u64, said: &str, answer: &Value) -> Outcome {
    if session.is_json() {
        session.object(answer)?;
        return Ok(Exit::Fine);
    }
    let state = answer.get("state").and_then(Value::as_str).unwrap_or(said);
    session.say(&format!("proposal {proposal} {}", crate::escape::line(state)))?;
    Ok(Exit::Fine)
}
