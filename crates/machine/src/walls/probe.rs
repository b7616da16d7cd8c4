//! Whether a service works: tried inside its wall, again and again, whatever it says of itself.

use super::{Sandbox, native::Native};
use crate::{cell::Cell, guard::guard, node::Node, turn::Input};
use abi::{
    ExecId, Micros,
    agent::{Probe, Test},
    event::Body,
};
use sandbox::jail::{self, Command, How, Jail, Terminal};
use std::{fs::File, sync::Arc, time::Duration};

/// SIGKILL.
const KILL: i32 = 9;

/// What is tried, and of what.
pub(super) struct Prober {
    pub node: Arc<Node>,
    pub cell: Arc<Cell>,
    pub generation: u64,
    pub sandbox: Arc<Sandbox>,
    pub native: Arc<Native>,
    pub exec: ExecId,
    pub probe: Probe,
}

impl Prober {
    /// Tries until the program ends; says when it begins to work and when it does not any more.
    pub fn run(self) {
        let begun = self.node.clock.mono();
        let (mut works, mut failures) = (None, 0);
        while self.sandbox.rests(self.exec, self.probe.interval_us) {
            let Some(jail) = self.native.jail() else { return };
            let Some(tried) = self.attempt(&jail) else { continue };
            let starts = self.node.clock.mono().saturating_sub(begun) < self.probe.start_us;
            failures = match &tried {
                Ok(()) => 0,
                Err(_) if starts && works.is_none() => 0,
                Err(_) => failures + 1,
            };
            let now = match (&tried, failures >= self.probe.retries) {
                (Ok(()), _) => Some(true),
                (Err(_), true) => Some(false),
                (Err(_), false) => works,
            };
            if now != works {
                works = now;
                let body = Body::ExecChecked { exec: self.exec, why: tried.err() };
                let input = Input::now(&*self.node.clock, body, Vec::new());
                if !self.node.brought(&self.cell, self.generation, input) {
                    return;
                }
            }
        }
    }

    /// One try; none if there was nothing to be tried: what stands still is neither ill nor well, and what
    /// has ended is not asked. A try that cannot be made inside has failed: there is no room even for that.
    fn attempt(&self, jail: &Jail) -> Option<Result<(), String>> {
        if guard(&self.sandbox.control).frozen {
            return None;
        }
        let null = || File::options().read(true).write(true).open("/dev/null").map(Into::into);
        let stdio = [null().ok()?, null().ok()?, null().ok()?];
        let command = Command {
            argv: vec!["/bin/bash".into(), "-c".into(), text(&self.probe.test).into()],
            env: Vec::new(),
            cwd: "/".into(),
            stdio,
            terminal: Terminal::None,
            cpu_seconds: 0,
            file_bytes: 0,
        };
        let running = match jail.exec(&command) {
            Ok(running) => running,
            Err(jail::Error::Frozen | jail::Error::Gone) => return None,
            Err(error) => return Some(Err(format!("{} could not be run: {error}", name(&self.probe.test)))),
        };
        let pid = running.pid();
        match running.wait_for(Duration::from_micros(self.probe.timeout_us)) {
            Ok(ended) => Some(match ended.how {
                How::Exit(0) => Ok(()),
                How::Exit(status) => Err(format!("{} ended with status {status}", name(&self.probe.test))),
                How::Signal(signal) => {
                    Err(format!("{} was ended by signal {signal}", name(&self.probe.test)))
                }
                How::Gone => return None,
            }),
            Err(running) => {
                let _ = jail.signal(-pid, KILL);
                drop(running);
                Some(Err(format!(
                    "{} took longer than {} ms",
                    name(&self.probe.test),
                    ms(self.probe.timeout_us)
                )))
            }
        }
    }
}

fn ms(us: Micros) -> Micros {
    us / 1_000
}

fn name(test: &Test) -> String {
    match test {
        Test::Exec(_) => "its health check".to_owned(),
        Test::Tcp(port) => format!("a connection to port {port}"),
        Test::Http(port, path) => format!("a request of {path} at port {port}"),
    }
}

/// The try, in the words of bash, which connects by itself.
fn text(test: &Test) -> String {
    match test {
        Test::Exec(line) => line.clone(),
        Test::Tcp(port) => format!("exec 3<>/dev/tcp/127.0.0.1/{port}"),
        Test::Http(port, path) => format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port} || exit 1\n\
             printf 'GET %s HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' '{}' >&3\n\
             IFS=' ' read -r version status rest <&3\n\
             case $status in 2??|3??) exit 0;; *) exit 1;; esac",
            path.replace('\'', "'\\''")
        ),
    }
}
