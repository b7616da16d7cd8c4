//! `skep down`.

use crate::{
    clock::Deadline,
    fail::{Exit, Fail, Outcome},
    session::Session,
};
use std::time::Duration;

/// Running effects may take so long to end.
const DOWN_WAIT: Duration = Duration::from_secs(30);

/// Stop the daemon: running effects end first, every workspace is put to sleep
#[derive(Debug, clap::Args)]
pub struct Down {}

impl Down {
    pub fn run(self, session: &mut Session) -> Outcome {
        if stop(session)? == Stopped::WasNotRunning {
            session.note("the daemon is not running");
        }
        Ok(Exit::Fine)
    }
}

/// Whether there was something to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Yes.
    Now,
    /// No.
    WasNotRunning,
}

/// Stops the daemon and waits until it has gone.
pub fn stop(session: &mut Session) -> Result<Stopped, Fail> {
    if session.running()?.is_none() {
        return Ok(Stopped::WasNotRunning);
    }
    let daemon = session.client()?.peer()?;
    let asked = session.control("down");
    session.disconnect();
    // Who may not stop it need not wait for its end.
    if let Err(fail) = &asked
        && fail.is(abi::Code::Denied)
    {
        return Err(fail.clone());
    }
    let gone = daemon.ended(Deadline::after(DOWN_WAIT));
    match asked {
        // It may close the connection before its reply is read: that is an answer, too.
        Err(fail) if !fail.code.is_empty() => Err(fail),
        _ if gone => Ok(Stopped::Now),
        _ => {
            Err(Fail::new("the daemon has not ended within 30 s").hint("skep trace shows what it waits for"))
        }
    }
}
