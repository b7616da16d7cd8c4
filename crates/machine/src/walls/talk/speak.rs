//! The speaker: what a program is asked, from who it is to the end of its last turn.

use super::{State, Talk, Wait, line::Line};
use crate::{guard::guard, turn::Input};
use abi::{
    Content,
    event::{Body, Claimed},
    money::Usage,
    record::Finish,
};
use drivers::acp::{self, LOGIN_FIRST, NOT_FOUND, Server, Stop, Wrong};
use serde_json::{Value, json};
use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::Duration,
};

/// How long a program may take to say who it is, and to make or load a session.
const START: Duration = Duration::from_secs(60);
/// How its process ends that was told to stop, as a shell has it: 128 and the number of the signal.
pub(super) const INTERRUPTED: i32 = 130;
/// Where a directory names servers for those who work there.
const SERVERS: &str = ".mcp.json";

/// Why a turn came to no end of its own.
enum Fault {
    /// The agent says so.
    Said(String),
    /// It does not keep to the protocol.
    Broken(String),
}

impl Fault {
    fn said(what: &str, wrong: &Wrong) -> Self {
        Self::Said(format!("{what}: {}", acp::one_line(&wrong.message)))
    }

    fn broken(why: &str) -> Self {
        Self::Broken(why.to_owned())
    }
}

impl Talk {
    /// Leads it, and says how it ended.
    pub(super) fn speak(&self, task: &str) -> Finish {
        let turn = self.turns(task);
        let cancelled = guard(&self.state).cancelled.is_some();
        let why = match turn {
            Ok(Stop::End) => return Finish::Exited(0),
            Ok(Stop::Cancelled) => return Finish::Exited(INTERRUPTED),
            Err(_) if cancelled => return Finish::Exited(INTERRUPTED),
            Ok(Stop::Short(why)) => format!("it stopped: {why}"),
            Err(Fault::Said(why)) => why,
            Err(Fault::Broken(why)) if guard(&self.state).deaf => why,
            Err(Fault::Broken(why)) => return Finish::Stopped(why),
        };
        self.note(&format!("[acp] {why}"));
        Finish::Exited(1)
    }

    /// Leads it through its turns, until nothing waits.
    fn turns(&self, task: &str) -> Result<Stop, Fault> {
        let answer = self
            .ask(acp::initialize(self.offer), Some(START))?
            .map_err(|wrong| Fault::said("initialize", &wrong))?;
        let session = self.session(&answer)?;
        {
            let mut state = guard(&self.state);
            state.session = Some(session.clone());
            if state.cancelled.is_some() {
                return Ok(Stop::Cancelled);
            }
        }
        self.tells(&session, 0);
        let (mut words, mut used, mut turns) = (task.to_owned(), Usage::default(), 0_u32);
        loop {
            let stop = self.turn(&session, &words, &mut used)?;
            turns = turns.saturating_add(1);
            self.breaks();
            match (self.next(&session, turns), stop) {
                (None, _) => return Ok(stop),
                (Some(more), Stop::Short(why)) => {
                    self.note(&format!("[acp] it stopped: {why}"));
                    words = more;
                }
                (Some(more), _) => words = more,
            }
        }
    }

    /// One of them. What it says it used in each is added up, as the ledger does.
    fn turn(&self, session: &str, words: &str, used: &mut Usage) -> Result<Stop, Fault> {
        let answer = self.ask(acp::prompt(session, words), None)?;
        let answer = answer.map_err(|wrong| Fault::said("session/prompt", &wrong))?;
        let (stop, usage) =
            acp::stopped(&answer).ok_or_else(|| Fault::broken("it does not say why it stopped"))?;
        if let Some(usage) = usage {
            used.tokens_in = used.tokens_in.saturating_add(usage.tokens_in);
            used.tokens_out = used.tokens_out.saturating_add(usage.tokens_out);
            used.tokens_cached = used.tokens_cached.saturating_add(usage.tokens_cached);
            used.tokens_written = used.tokens_written.saturating_add(usage.tokens_written);
            let body = Body::ExecClaimed { exec: self.exec, usage: Claimed::new(*used) };
            let input = Input::now(&*self.node.clock, body, Vec::new());
            self.node.brought(&self.cell, self.generation, input);
        }
        Ok(stop)
    }

    /// What it is told next. None: nothing waits, it was told to stop, or nobody waits for it.
    fn next(&self, session: &str, turns: u32) -> Option<String> {
        if guard(&self.state).cancelled.is_some() || !self.tells(session, turns) {
            return None;
        }
        let waits = |state: &mut State| state.more.is_none() && state.cancelled.is_none() && !state.over;
        let state = self.changed.wait_while(guard(&self.state), waits);
        state.unwrap_or_else(std::sync::PoisonError::into_inner).more.take().flatten()
    }

    /// The kernel hears what it calls its session, and that so many turns of it have ended.
    fn tells(&self, session: &str, turns: u32) -> bool {
        let name = session.as_bytes().to_vec();
        let body = Body::ExecTurned { exec: self.exec, session: Content::of(&name), turns };
        self.node.brought(&self.cell, self.generation, Input::now(&*self.node.clock, body, vec![name]))
    }

    /// A session: the one that it goes on with, where it can. Logged in before, in one of these ways, where
    /// it wants that.
    fn session(&self, hello: &Value) -> Result<String, Fault> {
        let logins = acp::logins(hello).map_err(Fault::Broken)?;
        let (mut logins, servers) = (logins.iter(), self.servers());
        let mut known = self.known.as_deref();
        if known.is_some() && !acp::loads(hello) {
            self.note("[acp] it loads no session: it begins anew");
            known = None;
        }
        loop {
            let question = match known {
                Some(name) => acp::load_session(name, &self.dir, &servers),
                None => acp::new_session(&self.dir, &servers),
            };
            match (self.ask(question, Some(START))?, known) {
                (Ok(_), Some(name)) => return Ok(name.to_owned()),
                (Ok(answer), None) => {
                    return acp::session(&answer).ok_or_else(|| Fault::broken("its session has no name"));
                }
                (Err(wrong), _) if wrong.number == LOGIN_FIRST => {
                    let none = || Fault::Said("it wants somebody to log in".to_owned());
                    // Whether that helped shows at the next try.
                    let _ = self.ask(acp::authenticate(logins.next().ok_or_else(none)?), Some(START))?;
                }
                (Err(wrong), Some(_)) => {
                    let why = acp::one_line(&wrong.message);
                    self.note(&format!("[acp] session/load: {why}: it begins anew"));
                    known = None;
                }
                (Err(wrong), None) => return Err(Fault::said("session/new", &wrong)),
            }
        }
    }

    /// What the directory names for those who work there: read at the door as its process, started by it.
    fn servers(&self) -> Vec<Server> {
        let path = format!("{}/{SERVERS}", self.dir.trim_end_matches('/'));
        let read =
            Line::open(self, Wait::Door).and_then(|mut door| door.ask("read", &json!({ "path": path })));
        let found = match read {
            Err(wrong) if wrong.number == NOT_FOUND => return Vec::new(),
            Err(wrong) => Err(wrong.message),
            Ok(answer) => match answer.get("text").and_then(Value::as_str) {
                Some(text) => acp::servers(text),
                None => Err("it is no text".to_owned()),
            },
        };
        let (servers, left) = found.unwrap_or_else(|why| (Vec::new(), vec![why]));
        left.iter().for_each(|why| self.note(&format!("[acp] {SERVERS}: {}", acp::one_line(why))));
        servers
    }

    /// Asks, and waits for the answer: at most so long.
    fn ask(
        &self,
        (method, params): (&str, Value),
        most: Option<Duration>,
    ) -> Result<Result<Value, Wrong>, Fault> {
        let gone = || Fault::Broken(format!("it ended, and had not answered {method}"));
        let (id, answer): (u64, Receiver<_>) = {
            let mut state = guard(&self.state);
            if state.deaf {
                return Err(gone());
            }
            let (told, answer) = sync_channel(1);
            let id = state.next;
            state.next += 1;
            state.asked.insert(id, told);
            (id, answer)
        };
        self.send(&acp::request(id, method, &params));
        let answer = match most {
            None => answer.recv().map_err(|_| gone()),
            Some(most) => loop {
                match answer.recv_timeout(most) {
                    Ok(answer) => break Ok(answer),
                    Err(RecvTimeoutError::Disconnected) => break Err(gone()),
                    // While it stands still its time does too.
                    Err(RecvTimeoutError::Timeout) if self.is_frozen() => {}
                    Err(RecvTimeoutError::Timeout) => {
                        break Err(Fault::Broken(format!("it does not answer {method}")));
                    }
                }
            },
        };
        guard(&self.state).asked.remove(&id);
        answer
    }
}
