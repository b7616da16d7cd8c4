//! `skep open`.

use crate::{
    fail::{Exit, Fail, Outcome},
    session::{Desk, Session},
};
use abi::Code;
use serde_json::json;
use std::net::{Ipv4Addr, TcpListener};

/// Ports below are a system's own, and not tried unasked.
const LOW: u16 = 1024;
/// How many free ports are tried: somebody may take one between.
const TRIES: usize = 4;

/// Reach where a process's programs listen, from this machine: in a browser, say
///
/// A port of this machine's own 127.0.0.1 leads into the sandbox until the process ends or you leave
/// (Ctrl-C). Bytes are passed on as they are, and not looked at: whoever can use this machine reaches the
/// port too, what answers there is whatever the agent made, and your browser shows it as it shows any page.
#[derive(Debug, clap::Args)]
pub struct Open {
    /// Process and port, as `skep ports` shows them
    #[arg(value_name = "PID:PORT", value_parser = target)]
    target: (u64, u16),
    /// At this port of this machine [default: the same, if it is free]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    at: Option<u16>,
}

fn target(text: &str) -> Result<(u64, u16), String> {
    let parsed = text.split_once(':').and_then(|(pid, port)| Some((pid.parse().ok()?, port.parse().ok()?)));
    parsed.filter(|(_, port)| *port != 0).ok_or_else(|| "a process and a port, as 12:8080".to_owned())
}

impl Open {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (pid, port) = self.target;
        let at = self.reach(session)?;
        let url = format!("http://127.0.0.1:{at}/");
        if session.is_json() {
            session.object(&json!({"pid": pid, "port": port, "at": at, "url": url}))?;
        } else {
            session.say(&url)?;
        }
        session.out.flush()?;
        session
            .note(&format!("  leads to port {port} of process {pid}, until that ends or you press Ctrl-C"));
        session.note("  bytes are passed on and not looked at; whoever uses this machine reaches it too");
        if session.desk == Desk::Terminal {
            (session.hands.browse)(&url);
        }
        session.call("wait", json!({"pid": pid}))?;
        session.note(&format!("{pid} has ended; 127.0.0.1:{at} is closed"));
        Ok(Exit::Fine)
    }

    /// The port of this machine that leads there from now on.
    fn reach(&self, session: &mut Session) -> Result<u16, Fail> {
        if let Some(at) = self.at {
            return self.ask(session, at).map(|()| at);
        }
        let same = Some(self.target.1).filter(|port| *port >= LOW);
        let mut last = Fail::usage("this machine has no free port");
        for at in same.into_iter().map(Ok).chain((0..TRIES).map(|_| free())) {
            let at = at?;
            match self.ask(session, at) {
                Ok(()) => return Ok(at),
                Err(fail) if fail.is(Code::Busy) => last = fail,
                Err(fail) => return Err(fail),
            }
        }
        Err(last)
    }

    fn ask(&self, session: &mut Session, at: u16) -> Result<(), Fail> {
        let (pid, port) = self.target;
        let (path, text) = (format!("/proc/{pid}/ctl"), format!("open {port} at {at}"));
        session.call("write", json!({"path": path, "text": text, "origin": "argument"})).map(drop)
    }
}

/// One that nobody listens at now.
fn free() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
