//! A program that speaks the Agent Client Protocol is spoken to: it is given its task, what it asks for is
//! asked at the door as its process, and why its turn stopped is how it ended (docs/decisions/0041).
//!
//! ```text
//! speaker   initialize ─▶ session/load, new ─▶ session/prompt … ─▶ end   asks, and waits for the answers
//! hearer    what it writes, line by line: answers to the speaker, news to its output, requests to
//! askers    a thread each, a connection to our own door each: what the door answers goes back
//! ```
//! Whatever it says counts as what any program in its sandbox says. Where it writes, it is waited for as at a
//! pipe; where it does not read, who writes to it waits until it ends. Never here: what it may do.

use super::Sandbox;
use crate::{
    cell::Cell,
    connection::{Line, Lines},
    door::Inside,
    guard::guard,
    node::Node,
    spawn,
};
use abi::{ExecId, Micros, limits, record::Finish};
use asks::Terminals;
use drivers::acp::{self, Act, Heard, INTERNAL, INVALID_PARAMS, News, Offer, Wrong};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd},
    fd::OwnedFd,
};
use serde_json::Value;
use speak::INTERRUPTED;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, Weak, mpsc::SyncSender},
    time::Duration,
};

mod asks;
mod line;
mod speak;

/// How long one may go on that was told to stop, or whose turn is over: it ends by itself, or is ended.
const GRACE_US: u64 = 5_000_000;

/// See the file's head.
pub(crate) struct Talk {
    node: Arc<Node>,
    cell: Arc<Cell>,
    generation: u64,
    inside: Inside,
    exec: ExecId,
    sandbox: Weak<Sandbox>,
    dir: String,
    offer: Offer,
    /// What it calls the session that it goes on with.
    known: Option<String>,
    /// Where it reads from; none once nothing more is said to it.
    to: Mutex<Option<File>>,
    /// Its output, and whether a line has begun there.
    out: Mutex<(File, bool)>,
    state: Mutex<State>,
    changed: Condvar,
    /// Who watches it has something to do.
    wake: OwnedFd,
    terminals: Terminals,
}

#[derive(Default)]
struct State {
    session: Option<String>,
    /// Requests of ours that wait, each under its number.
    asked: BTreeMap<u64, SyncSender<Result<Value, Wrong>>>,
    next: u64,
    /// Connections on which requests of its wait; the last is cut when it is told to stop.
    lines: BTreeMap<u64, (Wait, UnixStream)>,
    /// So many of its requests are under way.
    busy: usize,
    /// When it was told to stop.
    cancelled: Option<Micros>,
    /// How its turn ended, and when that was known.
    end: Option<(Finish, Micros)>,
    /// What it is told next, as the kernel says; none: nothing waits.
    more: Option<Option<String>>,
    /// It says no more.
    deaf: bool,
    /// Nobody waits for anything of it.
    over: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Something that goes on when it is told to stop.
    Door,
    /// An operator's decision, which nobody needs then.
    Decision,
}

impl Talk {
    /// For the program of this command, which is not spoken to yet.
    pub fn new(
        (node, cell, generation): (&Arc<Node>, &Arc<Cell>, u64),
        sandbox: &Arc<Sandbox>,
        (exec, dir, offer): (ExecId, &str, Offer),
        known: Option<String>,
        (to, out): (File, File),
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            node: node.clone(),
            cell: cell.clone(),
            generation,
            inside: Inside { workspace: cell.name.clone(), pid: sandbox.pid },
            exec,
            sandbox: Arc::downgrade(sandbox),
            dir: dir.to_owned(),
            offer,
            known,
            to: Mutex::new(Some(to)),
            out: Mutex::new((out, false)),
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            terminals: Terminals::default(),
        }))
    }

    /// It runs: it is listened to, and told what to do.
    pub fn begin(self: &Arc<Self>, from: File, task: String) {
        let hearer = self.clone();
        let hears = spawn::thread("acp", move || {
            hearer.listen(from);
            hearer.is_deaf();
        });
        let speaker = self.clone();
        let speaks = hears && spawn::thread("acp", move || speaker.end(speaker.speak(&task)));
        if !speaks {
            self.end(Finish::Stopped("the system gives no thread to speak to it".to_owned()));
        }
    }

    /// It is told to stop. What waits for an operator is answered, as the protocol has it, with `cancelled`.
    pub fn cancel(self: &Arc<Self>) {
        let (session, held) = {
            let mut state = guard(&self.state);
            let now = self.node.clock.mono();
            state.cancelled.get_or_insert(now);
            let held = state.lines.values().filter(|(wait, _)| *wait == Wait::Decision);
            let held: Vec<UnixStream> = held.filter_map(|(_, line)| line.try_clone().ok()).collect();
            (state.session.clone(), held)
        };
        self.changed.notify_all();
        held.iter().for_each(|line| _ = line.shutdown(Shutdown::Both));
        let Some(session) = session else { return };
        // Where it does not read, who tells it waits; nobody else does.
        let teller = self.clone();
        spawn::thread("acp", move || teller.send(&acp::cancel(&session)));
    }

    /// How it ended, if it has to be ended now: its turn is over, or it was told to stop, and it goes on.
    pub fn overdue(&self) -> Option<Finish> {
        let (state, now) = (guard(&self.state), self.node.clock.mono());
        let past = |since: Micros| now.saturating_sub(since) > GRACE_US;
        match (&state.end, state.cancelled) {
            (Some((how @ Finish::Stopped(_), _)), _) => Some(how.clone()),
            (Some((how, since)), _) => past(*since).then(|| how.clone()),
            (None, Some(since)) => past(since).then_some(Finish::Exited(INTERRUPTED)),
            (None, None) => None,
        }
    }

    /// How it ended, of a program that has: what it said last may still be on the way.
    pub fn ended(&self, how: Finish) -> Finish {
        let waits = |state: &mut State| state.end.is_none() && !state.deaf;
        let most = Duration::from_micros(GRACE_US);
        let state = self.changed.wait_timeout_while(guard(&self.state), most, waits);
        let state = state.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        // The speaker hears of it in a moment.
        let told = |state: &mut State| state.end.is_none();
        let state = self.changed.wait_timeout_while(state, most, told);
        let end = state.unwrap_or_else(std::sync::PoisonError::into_inner).0.end.clone();
        match (how, end) {
            (how @ Finish::Over(_), _) => how,
            (_, Some((how, _))) => how,
            // It left others behind that hold its streams, and has said nothing.
            (Finish::Exited(0), None) => Finish::Exited(1),
            (how, None) => how,
        }
    }

    /// Whether it is the program of this command.
    pub fn is_of(&self, exec: ExecId) -> bool {
        self.exec == exec
    }

    /// It is told more when its turn has ended, or nothing waits.
    pub fn hears(&self, words: Option<Vec<u8>>) {
        let words = words.map(|words| String::from_utf8_lossy(&words).into_owned());
        guard(&self.state).more = Some(words);
        self.changed.notify_all();
    }

    /// Its command is over: nobody waits for anything of it any more.
    pub fn over(&self) {
        self.close();
        let lines = {
            let mut state = guard(&self.state);
            state.over = true;
            std::mem::take(&mut state.lines)
        };
        self.changed.notify_all();
        lines.values().for_each(|(_, line)| _ = line.shutdown(Shutdown::Both));
        self.terminals.end();
    }

    /// What becomes readable when who watches it has something to do.
    pub fn wakes(&self) -> PollFd<'_> {
        PollFd::new(&self.wake, PollFlags::IN)
    }

    /// Who watches it is awake.
    pub fn awake(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut count);
    }

    fn rouse(&self) {
        // A counter that is full wakes as well.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn is_frozen(&self) -> bool {
        self.sandbox.upgrade().is_some_and(|sandbox| guard(&sandbox.control).frozen)
    }

    /// What it wrote as files is kept, and it sees what others wrote, from here on.
    fn settle(&self) -> bool {
        self.sandbox.upgrade().is_some_and(|sandbox| sandbox.keeps_now(|| self.rouse()))
    }

    fn end(&self, how: Finish) {
        let now = self.node.clock.mono();
        {
            let mut state = guard(&self.state);
            if state.end.is_some() {
                return;
            }
            state.end = Some((how.clone(), now));
        }
        if let Finish::Stopped(why) = &how {
            self.note(&format!("[acp] {why}"));
        }
        // It has nothing more to read: well-behaved programs end by that.
        self.close();
        self.changed.notify_all();
        self.rouse();
    }

    /// Nothing more is said to it. Who writes to one that does not read is not waited for: they go with it.
    fn close(&self) {
        if let Ok(mut to) = self.to.try_lock() {
            to.take();
        }
    }

    fn is_deaf(&self) {
        let mut state = guard(&self.state);
        state.deaf = true;
        // Who waits for an answer hears that there is none.
        state.asked.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn send(&self, line: &str) {
        if let Some(to) = &mut *guard(&self.to) {
            // It has ended, or closed what it reads from: that shows elsewhere.
            let _ = to.write_all(line.as_bytes());
        }
        // Who ended it meanwhile did not wait for this.
        let ended = guard(&self.state).end.is_some();
        if ended {
            self.close();
        }
    }

    /// Words of its answer.
    fn words(&self, text: &str) {
        let mut out = guard(&self.out);
        out.1 = !text.ends_with('\n');
        let _ = out.0.write_all(text.as_bytes());
    }

    /// What comes now is another answer.
    fn breaks(&self) {
        let mut out = guard(&self.out);
        if std::mem::take(&mut out.1) {
            let _ = out.0.write_all(b"\n");
        }
    }

    /// A line of ours between them.
    fn note(&self, line: &str) {
        let mut out = guard(&self.out);
        let before = if std::mem::take(&mut out.1) { "\n" } else { "" };
        let _ = out.0.write_all(format!("{before}{line}\n").as_bytes());
    }
}

/// The hearer.
impl Talk {
    fn listen(self: &Arc<Self>, from: File) {
        let mut lines = Lines::new(from);
        let (mut acts, mut stray) = (BTreeMap::new(), 0);
        loop {
            let line = match lines.next() {
                Ok(Line::Full(line)) => line,
                Ok(Line::TooLong) => {
                    return self
                        .stop(&format!("a line of it is longer than {} bytes", limits::LINE_BYTES_MAX));
                }
                Ok(Line::End) | Err(_) => return,
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match acp::hear(&line) {
                Ok(Heard::Asked { id, session, ask }) => self.asked(id, &session, ask),
                Ok(Heard::Answered { id, answer }) => {
                    let told = guard(&self.state).asked.get(&id).cloned();
                    // What nobody asked for, or asks for no more, is an answer to nobody.
                    let _ = told.map(|told| told.try_send(answer));
                }
                Ok(Heard::Told { session, news }) if self.is_ours(&session) => self.told(news, &mut acts),
                Ok(Heard::Told { .. } | Heard::Other) => {}
                Err(why) => {
                    stray += 1;
                    if stray > limits::ACP_STRAY_MAX {
                        return self.stop(&format!("it does not speak the protocol: {why}"));
                    }
                    // Some print what is meant for people.
                    self.note(&acp::one_line(&String::from_utf8_lossy(&line)));
                }
            }
        }
    }

    fn is_ours(&self, session: &str) -> bool {
        guard(&self.state).session.as_deref() == Some(session)
    }

    /// It is not listened to any more.
    fn stop(&self, why: &str) {
        self.end(Finish::Stopped(why.to_owned()));
    }

    /// News are a part of its output: what it says, and a line for what it does.
    fn told(&self, news: News, acts: &mut BTreeMap<String, String>) {
        match news {
            News::Said(text) => self.words(&text),
            News::Plan(steps) => {
                steps.iter().for_each(|(status, step)| self.note(&format!("[plan] {status}: {step}")));
            }
            News::Act(Act { id, title, status }) => {
                let known = acts.get(&id).cloned();
                let name = if title.is_empty() { known.clone().unwrap_or_default() } else { title };
                if known.as_deref() != Some(&name) && acts.len() < limits::ACP_ACTS_MAX {
                    self.note(&format!("[tool] {name}"));
                    acts.insert(id.clone(), name.clone());
                }
                if ["completed", "failed"].contains(&status.as_str()) {
                    acts.remove(&id);
                    self.note(&format!("[tool] {name}: {status}"));
                }
            }
            News::Other => {}
        }
    }

    /// It asks for something: that takes a while, and it may ask for more meanwhile.
    fn asked(self: &Arc<Self>, id: acp::Id, session: &str, ask: Result<acp::Ask, Wrong>) {
        let ask = match ask {
            Ok(_) if !self.is_ours(session) => Err(Wrong::new(INVALID_PARAMS, "there is no such session")),
            ask => ask,
        };
        let ask = match ask {
            Ok(ask) => ask,
            Err(wrong) => return self.send(&acp::answer(&id, &Err(wrong))),
        };
        {
            let mut state = guard(&self.state);
            if state.busy >= limits::ACP_ASKS_MAX {
                drop(state);
                let wrong = Wrong::new(INTERNAL, format!("{} requests wait already", limits::ACP_ASKS_MAX));
                return self.send(&acp::answer(&id, &Err(wrong)));
            }
            state.busy += 1;
        }
        let (asker, name) = (self.clone(), id.clone());
        let asks = spawn::thread("acp", move || {
            let answer = asker.serve(ask);
            asker.send(&acp::answer(&name, &answer));
            guard(&asker.state).busy -= 1;
        });
        if !asks {
            guard(&self.state).busy -= 1;
            self.send(&acp::answer(&id, &Err(Wrong::new(INTERNAL, "the system gives no thread for it"))));
        }
    }
}
