//! `skep up`.

use crate::{
    Start,
    fail::{Exit, Outcome},
    session::Session,
};

/// Start the daemon, here or in the background
#[derive(Debug, clap::Args)]
pub struct Up {
    /// In the background; without it, until Ctrl-C
    #[arg(short, long)]
    detach: bool,
}

impl Up {
    pub fn run(self, session: &mut Session) -> Outcome {
        if session.running()?.is_some() {
            session.note("the daemon runs already");
            return Ok(Exit::Fine);
        }
        if self.detach {
            session.start_and_keep(Start::Background)?;
            let socket = session.place.socket.display().to_string();
            session.note(&format!("the daemon listens on {socket}"));
        } else {
            (session.hands.start)(&session.place, Start::Foreground)?;
        }
        Ok(Exit::Fine)
    }
}
