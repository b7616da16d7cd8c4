//! `skep attach`.

use crate::{
    fail::Outcome,
    session::Session,
    watch::{Grip, Watch},
};
use abi::Pid;

/// Follow a process that runs, after its last lines, and wait for its end as `run` does; Ctrl-C interrupts it
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
        let grip = if self.watch { Grip::Looks } else { Grip::Holds };
        let watch = Watch::late(session, pid, grip)?;
        if watch.lives() {
            let does = if self.watch { "leaves it as it is" } else { "interrupts it" };
            session.note(&format!("pid {pid}; Ctrl-C {does}"));
        }
        watch.run(session)
    }
}
