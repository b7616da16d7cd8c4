//! `skep estop`.

use crate::{
    card,
    fail::{Exit, Fail, Outcome},
    session::Session,
};
use serde_json::json;

/// Stop everything at once: no step, no model call, no effect, also after a restart, until `skep thaw --all`
#[derive(Debug, clap::Args)]
pub struct Estop {
    /// In every workspace, not only in this one
    #[arg(long)]
    all: bool,
}

impl Estop {
    pub fn run(self, session: &mut Session) -> Outcome {
        let names = if self.all { every(session)? } else { vec![session.workspace.clone()] };
        say(session, &names, "estop")?;
        if !session.is_json() {
            session.say(&format!("stopped: {}", names.join(", ")))?;
            let all = if self.all { "each of them: skep -w NAME thaw --all" } else { "skep thaw --all" };
            session.hint(&format!("nothing starts before it is lifted; {all}"));
        }
        Ok(Exit::Fine)
    }
}

/// The names of all workspaces.
fn every(session: &mut Session) -> Result<Vec<String>, Fail> {
    let rows = card::rows(&session.read("/sys/workspaces")?);
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next()).collect())
}

/// Says a word in each of these workspaces; all hear it, also when one refuses.
pub fn say(session: &mut Session, names: &[String], word: &str) -> Result<(), Fail> {
    let words = |name: &String| json!({"path": "/sys/ctl", "text": word, "workspace": name});
    let replies = session.client()?.calls("write", names.iter().map(words).collect())?;
    for reply in replies {
        let answer = reply?;
        if session.is_json() {
            session.object(&answer)?;
        }
    }
    Ok(())
}
