//! `skep sh`.

use super::exec::{Order, status, sum_up};
use crate::{
    fail::{Exit, Outcome},
    session::{Desk, Session, Tone},
    settle::settle,
    terminal::Signals,
    typed::{Got, Typed},
};
use abi::path::TreePath;

/// A shell in the workspace: each line is one command in a sandbox, and one operation that can be undone
///
/// Between lines only the directory is remembered. On a terminal each line has it as its own, so that an
/// editor or a pager works; `bash` as a line is a shell with jobs, and one operation. `exit` or Ctrl-D ends
/// it.
#[derive(Debug, clap::Args)]
pub struct Sh {
    /// In the sandbox of this process, with what that may see and change [default: your own]
    #[arg(value_name = "PID")]
    pid: Option<u64>,
    /// Begin in this directory of the workspace
    #[arg(short = 'C', long, value_name = "PATH", default_value = "/")]
    dir: String,
}

impl Sh {
    pub fn run(self, session: &mut Session) -> Outcome {
        let mut dir = self.dir.clone();
        let mut last = 0;
        let mut typed = Typed::new(std::io::stdin());
        let signals = (session.desk == Desk::Terminal).then(Signals::new).transpose()?;
        loop {
            let place = session.paint(&format!("{}:{dir}", session.workspace), Tone::Strong);
            let _ = write!(session.err, "{place}$ ").and_then(|()| session.err.flush());
            let wake = signals.as_ref().map(|signals| &signals.leave);
            let Got::Line(line) = typed.next(wake)? else { break };
            let line = line.trim();
            if line == "exit" {
                break;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let moves = line.strip_prefix("cd").filter(|rest| rest.is_empty() || rest.starts_with(' '));
            let text = match moves {
                Some(to) => format!("cd {} && pwd", if to.trim().is_empty() { "/" } else { to.trim() }),
                None => line.to_owned(),
            };
            let timeout_us = abi::limits::EXEC_US_MAX;
            let order =
                Order { text, dir: Some(dir.clone()), pid: self.pid, wall: "native".to_owned(), timeout_us };
            let ran = match &signals {
                Some(signals) if moves.is_none() => match order.show(session, signals) {
                    Ok(None) => break,
                    Ok(Some(ran)) => Ok(ran),
                    Err(fail) => Err(fail),
                },
                _ => order.run(session, moves.is_none()),
            };
            match (ran, moves) {
                (Ok(ran), Some(_)) if status(&ran) == 0 => {
                    let to = ran.get("output").and_then(|output| output.as_str()).unwrap_or_default();
                    dir = TreePath::parse(to.trim()).map_or(dir, |path| path.to_string());
                    last = 0;
                }
                (Ok(ran), _) => {
                    last = status(&ran);
                    settle(session)?;
                    sum_up(session, &ran);
                }
                (Err(fail), _) => {
                    last = 1;
                    session.report(&fail);
                }
            }
        }
        Ok(Exit::Status(last))
    }
}
