//! `skep attach`.

use crate::{
    fail::Outcome,
    guest,
    session::Session,
    watch::{Grip, Watch},
};
use abi::Pid;

/// Go back to a process that runs, and wait for its end as `run` does
///
/// Of a program with a terminal, that: what it showed last, then all it shows, and keys go to it; several
/// may look at it. `Ctrl-\` then `d` leaves it running, `Ctrl-\` twice types one. Of a turn, its last
/// lines, then its steps; Ctrl-C interrupts it.
#[derive(Debug, clap::Args)]
pub struct Attach {
    /// Which
    #[arg(value_name = "PID")]
    pid: u64,
    /// Only look: Ctrl-C leaves it as it is
    #[arg(long)]
    watch: bool,
}

impl Attach {
    pub fn run(self, session: &mut Session) -> Outcome {
        let pid = Pid(self.pid);
        if !self.watch && guest::attach(session, pid)? {
            return guest::stay(session, pid);
        }
        let grip = if self.watch { Grip::Looks } else { Grip::Holds };
        let watch = Watch::late(session, pid, grip)?;
        if watch.lives() {
            let does = if self.watch { "leaves it as it is" } else { "interrupts it" };
            session.note(&format!("pid {pid}; Ctrl-C {does}"));
        }
        watch.run(session)
    }
}
