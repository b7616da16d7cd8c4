//! `skep freeze`, `skep thaw`, `skep kill`.

use crate::{
    fail::{Exit, Outcome},
    session::Session,
};
use serde_json::json;

/// Stop a process and all below it where they stand: no new step, no new effect
#[derive(Debug, clap::Args)]
pub struct Freeze {
    /// Which
    #[arg(value_name = "PID")]
    pid: u64,
}

/// Let a frozen process go on, or everything after `estop`
#[derive(Debug, clap::Args)]
pub struct Thaw {
    /// Which
    #[arg(value_name = "PID", required_unless_present = "all", conflicts_with = "all")]
    pid: Option<u64>,
    /// Lift an estop of this workspace; what was frozen by itself stays frozen
    #[arg(long)]
    all: bool,
}

/// End a process and all below it now
#[derive(Debug, clap::Args)]
pub struct Kill {
    /// Which
    #[arg(value_name = "PID")]
    pid: u64,
}

impl Freeze {
    pub fn run(self, session: &mut Session) -> Outcome {
        send(session, self.pid, "freeze", "frozen")?;
        session.hint(&format!("skep thaw {} lets it go on", self.pid));
        Ok(Exit::Fine)
    }
}

impl Thaw {
    pub fn run(self, session: &mut Session) -> Outcome {
        if let Some(pid) = self.pid {
            return send(session, pid, "thaw", "goes on");
        }
        let name = session.workspace.clone();
        super::estop::say(session, std::slice::from_ref(&name), "thaw")?;
        if !session.is_json() {
            session.say(&format!("{name} goes on"))?;
        }
        Ok(Exit::Fine)
    }
}

impl Kill {
    pub fn run(self, session: &mut Session) -> Outcome {
        send(session, self.pid, "kill", "killed")
    }
}

fn send(session: &mut Session, pid: u64, signal: &str, said: &str) -> Outcome {
    let answer = session.call("signal", json!({"pid": pid, "signal": signal}))?;
    if session.is_json() {
        session.object(&answer)?;
    } else {
        session.say(&format!("{pid} {said}"))?;
    }
    Ok(Exit::Fine)
}
