//! `skep endpoint`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{Bill, Family, Follower, Heard},
    session::{Session, Tone},
    splice,
};
use abi::{Pid, Seq, halt, record::Entry, request::socket_name};
use serde_json::{Value, json};
use std::{ffi::OsStr, io::Read, net::SocketAddr, os::unix::net::UnixStream};

/// A model endpoint for an agent program of yours: metered, limited, recorded; the provider's key stays here
///
/// Opens a process for the program, listens on loopback while this command runs, and prints what to export.
/// It speaks Anthropic messages, OpenAI responses and chat completions. The program is not walled off: this
/// meters it and does not hold it. Ctrl-C ends the process and prints what it came to.
#[derive(Debug, clap::Args)]
pub struct Endpoint {
    /// Whose place it is: what AGENT.md says may be asked
    #[arg(value_name = "AGENT", default_value = "helper")]
    agent: String,
    /// Money for this run; can only lower what the agent has
    #[arg(long, value_name = "AMOUNT")]
    budget: Option<String>,
}

impl Endpoint {
    pub fn run(self, session: &mut Session) -> Outcome {
        let mut params = json!({
            "agent": self.agent, "text": "a program at the model endpoint", "origin": "argument",
            "kind": "client",
        });
        if let (Some(budget), Some(map)) = (&self.budget, params.as_object_mut()) {
            let _: abi::money::Nano = budget.parse()?;
            map.insert("budget".into(), json!(budget));
        }
        let seq = Seq(session.card("/sys/status")?.number("seq"));
        // Before anything is opened: a signal that comes early is not lost.
        let wake = signals()?;
        let answer = session.call("spawn", params)?;
        let pid = answer.get("pid").and_then(Value::as_u64).map(Pid);
        let pid = pid.ok_or_else(|| Fail::new("the process was not opened").hint("skep inbox"))?;
        let token = session.read(&format!("/proc/{pid}/token"))?;
        let door = &session.place.socket;
        let name = door.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let address = splice::listen(&door.with_file_name(socket_name(name)))?;
        let key = key(&session.workspace, token.trim());
        told(session, pid, address, &key)?;
        let bill = watch(session, pid, seq, &wake)?;
        if bill.ended.is_none() {
            session.call("signal", json!({"pid": pid.0, "signal": "interrupt"}))?;
        }
        session.note(&format!(
            "{} · {} in, {} out · {}",
            figures::plural(bill.calls, "model call"),
            figures::plural(bill.tokens_in, "token"),
            figures::count(bill.tokens_out),
            figures::money(bill.money),
        ));
        session.hint(&format!("skep trace {pid}, skep replay {pid}"));
        Ok(Exit::Fine)
    }
}

fn key(workspace: &str, token: &str) -> String {
    if workspace == "home" { token.to_owned() } else { format!("{workspace}/{token}") }
}

/// What the program needs to know.
fn told(session: &mut Session, pid: Pid, address: SocketAddr, key: &str) -> Result<(), Fail> {
    let base = format!("http://{address}");
    if session.is_json() {
        session.object(&json!({"pid": pid, "url": base, "key": key}))?;
    } else {
        session.note(&format!("pid {pid} · listens on {address} · Ctrl-C ends it"));
        for (name, value) in [
            ("ANTHROPIC_BASE_URL", base.as_str()),
            ("ANTHROPIC_AUTH_TOKEN", key),
            ("OPENAI_BASE_URL", &format!("{base}/v1")),
            ("OPENAI_API_KEY", key),
            ("GOOGLE_GEMINI_BASE_URL", &base),
            ("GEMINI_API_KEY", key),
        ] {
            session.say(&format!("export {name}={value}"))?;
        }
    }
    Ok(session.out.flush()?)
}

/// Adds up until Ctrl-C, or until the process has ended.
fn watch(session: &mut Session, pid: Pid, seq: Seq, wake: &UnixStream) -> Result<Bill, Fail> {
    let mut follower = Follower::new(session, seq)?;
    let (mut family, mut bill) = (Family::of(Some(pid)), Bill::default());
    loop {
        let row = match follower.next(None, Some(wake))? {
            Heard::Row(row) => row,
            Heard::Woken => {
                let _ = (&mut &*wake).read(&mut [0; 16])?;
                return Ok(bill);
            }
            Heard::Preview(..) | Heard::Late => continue,
        };
        if !family.has(&row) {
            continue;
        }
        bill.add(&row);
        match &row.record.body {
            Entry::Frozen { pids, why } if pids.contains(&pid) => {
                let word = session.paint("frozen", Tone::Held);
                session.note(&format!("{word} · {}", escape::line(&halt::why(why, None))));
                session.hint(&format!("{}; the program tries again", halt::way_out(why, pid, None)));
            }
            Entry::Exited { pid: of, exit, verdict, result } if *of == pid => {
                bill.ended = Some((exit.clone(), *verdict, *result));
                return Ok(bill);
            }
            _ => {}
        }
    }
}

/// A stream that can be read once somebody wants this to end.
fn signals() -> std::io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, write.try_clone()?)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGTERM, write)?;
    Ok(read)
}
