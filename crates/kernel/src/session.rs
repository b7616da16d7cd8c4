//! Sessions: what was said between somebody and an agent goes on from one turn to the next.
//!
//! ```text
//! dispatch ─▶ Spawned {session, history}   the turn's context begins with the history, its label with the
//!                                          session's; its own words stay those of this dispatch
//! Steered  ─▶ words that joined it         Exited ─▶ its last words, the label it came to
//! ```
//! What is remembered is a fold of these records. It is bounded by whole exchanges, oldest first; the log
//! has them all. A session is its owner's: an operator's, or an agent's on an operator's behalf; so nobody
//! is told in one what another may know. What a model said in it is at most `workspace`, whoever asked.
//!
//! It is read at `/home/AGENT/chat/SLUG.md`, and what is appended there is dispatched. A file that stands
//! there stays what it is. Never here: how a turn runs.

use crate::{
    Kernel, files, process, role, sink,
    state::{Exchange, Process, Session, State},
    step::{Found, Step},
};
use abi::{
    Code, Content, Error, Pid, WORKSPACE,
    answer::{Answer, Name},
    call::{Call, Lane, Text, Write},
    effect::{Item, Role},
    fact::{Facts, Lookup, Query, Spoken, Task},
    label::{Integrity, Label},
    limits,
    path::TreePath,
    record::{Entry, Exit, Record},
    session::{LaneName, SessionName, of_path},
};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};

/// A process began: in a session, with what it was told.
pub fn begun(state: &mut State, record: &Record) {
    let Entry::Spawned { pid, agent, session: Some(name), task, label, restarts, home, .. } = &record.body
    else {
        return;
    };
    let key = LaneName { agent: agent.clone(), session: Some(name.clone()) };
    let session = state.sessions.entry(key.clone()).or_default();
    session.begin(*pid, *task, *restarts);
    (session.label, session.seq) = (*label, record.seq);
    // It says so again when it goes on with it: what makes it fall is not tried for ever.
    session.talks = session.talks.filter(|_| !home);
    forget(state, &key);
}

/// Words joined its turn.
pub fn joined(state: &mut State, pid: Pid, content: Content) {
    let key = state.processes.get(&pid).and_then(Process::in_session);
    let Some(session) = key.and_then(|key| state.sessions.get_mut(&key)) else { return };
    let Some(exchange) = session.of(pid) else { return };
    exchange.said.push(content);
    // What it began with stays.
    if exchange.said.len() > limits::SESSION_ITEMS_MAX {
        exchange.said.remove(1);
        session.cut = true;
    }
}

/// What its program calls the session.
pub fn talks(state: &mut State, pid: Pid, name: Content) {
    let key = state.processes.get(&pid).and_then(Process::in_session);
    if let Some(session) = key.and_then(|key| state.sessions.get_mut(&key)) {
        session.talks = Some(name);
    }
}

/// Its turn ended.
pub fn ended(state: &mut State, (pid, process): (Pid, &Process), record: &Record) {
    let Entry::Exited { exit, result, .. } = &record.body else { return };
    let Some(session) = process.in_session().and_then(|key| state.sessions.get_mut(&key)) else { return };
    if let Some(exchange) = session.of(pid) {
        (exchange.answer, exchange.exit) = (*result, Some(exit.clone()));
    }
    (session.label, session.seq) = (process.label, record.seq);
    session.fit(1);
}

/// Of more than may be remembered the oldest that rests goes: first of those that agents began, so that no
/// agent makes an operator's be forgotten.
fn forget(state: &mut State, new: &LaneName) {
    while state.sessions.len() > limits::SESSIONS_MAX {
        let rests =
            |key: &LaneName| key != new && !state.lanes.contains_key(key) && busy(state, key).is_none();
        let operators = |key: &LaneName| key.session.as_ref().is_some_and(|name| name.from.is_empty());
        let rows = state.sessions.iter().filter(|(key, _)| rests(key));
        let oldest = rows.min_by_key(|(key, row)| (operators(key), row.seq)).map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return };
        state.sessions.remove(&oldest);
    }
}

/// The process that has a lane.
pub fn busy(state: &State, lane: &LaneName) -> Option<Pid> {
    let has =
        |process: &Process| process.lane && process.agent == lane.agent && process.session == lane.session;
    state.processes.iter().find(|(_, process)| has(process)).map(|(pid, _)| *pid)
}

/// Whether something was said in a session since a turn of it ended: nobody waits for that one any more.
pub fn has_gone_on(state: &State, lane: &LaneName, pid: Pid) -> bool {
    let last = state.sessions.get(lane).and_then(|session| session.exchanges.last());
    last.is_some_and(|last| last.pid != pid)
}

impl Process {
    fn in_session(&self) -> Option<LaneName> {
        let session = Some(self.session.clone()?);
        Some(LaneName { agent: self.agent.clone(), session })
    }
}

impl Session {
    fn begin(&mut self, pid: Pid, task: Content, restarts: u32) {
        // A turn that is begun again takes the place of the one that failed.
        let failed = |row: &&Exchange| row.answer.is_none() && row.said.first() == Some(&task);
        if restarts > 0 && self.exchanges.last().filter(failed).is_some() {
            self.exchanges.pop();
        }
        self.fit(0);
        self.exchanges.push(Exchange { pid, said: vec![task], answer: None, exit: None });
    }

    fn of(&mut self, pid: Pid) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().rev().find(|row| row.pid == pid)
    }

    /// Leaves out what is more than may be remembered; so many of the last exchanges stay.
    fn fit(&mut self, stay: usize) {
        let over = |rows: &[Exchange]| {
            let all = || rows.iter().flat_map(|row| row.said.iter().chain(&row.answer));
            let notes = rows.iter().filter(|row| row.answer.is_none()).count();
            let bytes: u64 = all().map(|content| content.bytes).sum();
            all().count() + notes > limits::SESSION_ITEMS_MAX || bytes > limits::SESSION_BYTES_MAX
        };
        while self.exchanges.len() > stay && over(&self.exchanges) {
            self.exchanges.remove(0);
            self.cut = true;
        }
    }
}

/// What becomes of words that nobody answered: a model that is not told would answer them later.
fn unanswered(exit: &Exit) -> String {
    let how = match exit {
        Exit::Exited(code) => format!("exited {code}"),
        Exit::Killed(why) => format!("killed: {why}"),
        Exit::Faulted(why) => format!("faulted: {why}"),
    };
    format!("Note from the kernel: the turn ended without an answer ({how}); do not take it up unasked.")
}

/// What a turn in a session begins with.
pub struct Before {
    pub history: Vec<Item>,
    /// The process of the turn before.
    pub after: Option<Pid>,
    /// None of a session that begins.
    pub label: Option<Label>,
    /// What a program calls it.
    pub talks: Option<Content>,
}

impl Before {
    /// Of a turn without a session: nothing.
    pub fn nothing() -> Self {
        Self { history: vec![], after: None, label: None, talks: None }
    }
}

/// What was said before this task, as far as it is remembered.
pub fn before(step: &mut Step<'_>, lane: &LaneName, task: Content, restarts: u32) -> Before {
    #[cfg(feature = "plant")]
    let lane = &mixed_up(step.state(), lane);
    let Some(mut session) = step.state().sessions.get(lane).cloned() else { return Before::nothing() };
    session.begin(Pid(u64::MAX), task, restarts);
    session.exchanges.pop();
    let label = step.kernel.label_of_session(lane, &session);
    let after = session.exchanges.last().map(|row| row.pid);
    let mut history = Vec::new();
    for row in session.exchanges {
        history.extend(row.said.into_iter().map(|content| Item { role: Role::User, content }));
        match (row.answer, row.exit) {
            (Some(content), _) => history.push(Item { role: Role::Assistant, content }),
            (None, Some(exit)) => {
                let content = step.blob(unanswered(&exit).into_bytes());
                history.push(Item { role: Role::User, content });
            }
            (None, None) => {}
        }
    }
    Before { history, after, label: Some(label), talks: session.talks }
}

/// Planted: the history is that of another session of the agent.
#[cfg(feature = "plant")]
fn mixed_up(state: &State, lane: &LaneName) -> LaneName {
    if lane.session.is_none() || !crate::plant::is(crate::plant::SESSIONS_MIXED) {
        return lane.clone();
    }
    let other = state.sessions.keys().find(|key| key.agent == lane.agent && *key != lane);
    other.unwrap_or(lane).clone()
}

impl Kernel {
    /// The label of what is remembered: that of its turns, and what a model said is at most `workspace`.
    fn label_of_session(&self, lane: &LaneName, session: &Session) -> Label {
        let own = Label::new(Integrity::Workspace, format!("agent:{}", lane.agent));
        self.meaning(session.label).join(&own)
    }

    /// Whose a session is that this caller names.
    fn named(&self, pid: Pid, actor: &str, (agent, slug): (&str, &str)) -> LaneName {
        let by = role::behind(&self.state, pid, actor);
        let from = self.state.processes.get(&pid).map(|process| process.agent.clone());
        let session = SessionName { slug: slug.to_string(), by, from: from.unwrap_or_default() };
        LaneName { agent: agent.to_string(), session: Some(session) }
    }

    /// The session that this caller reads at a path: one of its own, or the one that its own turn goes on
    /// with.
    fn read_at(&self, pid: Pid, actor: &str, path: &TreePath) -> Option<(LaneName, &Session)> {
        let (agent, slug) = of_path(path)?;
        let its_own = self.state.processes.get(&pid).and_then(Process::in_session);
        let its_own = its_own
            .filter(|key| key.agent == agent && key.session.as_ref().is_some_and(|name| name.slug == slug));
        let key = its_own.unwrap_or_else(|| self.named(pid, actor, (agent, slug)));
        let session = self.state.sessions.get(&key)?;
        (!self.hides_label(pid, &self.label_of_session(&key, session))).then_some((key, session))
    }
}

/// A dispatch may go on with the session: what was said in it does not lie below the ceiling.
pub fn is_above(kernel: &Kernel, lane: &LaneName, ceiling: Integrity) -> Result<(), Error> {
    match (kernel.state.sessions.get(lane), &lane.session) {
        (Some(session), Some(name)) => {
            below_ceiling(kernel, &name.slug, (&kernel.label_of_session(lane, session), ceiling))
        }
        _ => Ok(()),
    }
}

fn below_ceiling(kernel: &Kernel, slug: &str, (label, ceiling): (&Label, Integrity)) -> Result<(), Error> {
    if label.integrity >= ceiling || !kernel.has(sink::rule::CEILING) {
        return Ok(());
    }
    let (is, ceiling) = (label.integrity.word(), ceiling.word());
    let message = format!("what was said in session {slug} is {is}, below the ceiling {ceiling}");
    Err(Error::new(Code::Denied, message).argument("session").hint("another session begins with nothing"))
}

/// The lane of a dispatch.
pub fn lane_of(step: &Step<'_>, pid: Pid, agent: &str, slug: Option<&str>) -> LaneName {
    match slug {
        Some(slug) => step.kernel.named(pid, &step.actor, (agent, slug)),
        None => LaneName { agent: agent.to_string(), session: None },
    }
}

/// Whether this operator reads a session at the path.
pub fn is_own(kernel: &Kernel, name: &str, path: &TreePath) -> bool {
    let actor = format!("operator:{name}");
    kernel.read_at(WORKSPACE, &actor, path).is_some() || !names(kernel, WORKSPACE, &actor, path).is_empty()
}

/// The query by which a session is shown, if one is read at the path.
pub fn query(kernel: &Kernel, pid: Pid, actor: &str, call: &Call) -> Option<Query> {
    let Call::Read { path, at: None, version: None, part } = call else { return None };
    let (key, session) = kernel.read_at(pid, actor, path)?;
    let name = key.session.as_ref()?;
    let asks = if name.from.is_empty() { &name.by } else { &name.from };
    let asks = if asks.is_empty() { "operator" } else { asks };
    let mut lines = Vec::new();
    if session.cut {
        lines.push(Spoken::Note(String::from("What was said before is in the log: skep trace")));
    }
    for row in &session.exchanges {
        lines.push(Spoken::Who(asks.to_string()));
        lines.extend(row.said.iter().map(|content| Spoken::Words(*content)));
        match (row.answer, &row.exit) {
            (Some(content), _) => {
                let who = format!("{}, process {}", key.agent, row.pid);
                lines.extend([Spoken::Who(who), Spoken::Words(content)]);
            }
            (None, Some(exit)) => lines.push(Spoken::Note(unanswered(exit))),
            (None, None) => lines.push(Spoken::Note(format!("Process {} is at it.", row.pid))),
        }
    }
    Some(Query::Session { path: path.clone(), unless_file: true, lines, part: *part })
}

/// `read` of a path at which a session may be read: a file that stands there comes first.
pub fn read(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Read { path, .. } = call else { return Err(Facts::mismatch()) };
    let stands = facts.stands();
    let found = query(step.kernel, pid, &step.actor, call).filter(|_| !stands);
    let Some(Query::Session { path: at, lines, part, .. }) = found else {
        return files::read(step, pid, call, facts);
    };
    let place = facts.place()?;
    step.told_of(pid, path, &place);
    facts.hidden();
    let actor = step.actor.clone();
    let label =
        step.kernel.read_at(pid, &actor, path).map(|(key, row)| step.kernel.label_of_session(&key, row));
    if let Some(label) = label.filter(|_| pid != WORKSPACE) {
        let label = step.intern(&label);
        step.saw(pid, path, None, label);
    }
    Ok(Answer::Query(Query::Session { path: at, unless_file: false, lines, part }))
}

/// What is rendered in a directory: sessions, and the directories that lead to them.
pub fn names(kernel: &Kernel, pid: Pid, actor: &str, path: &TreePath) -> Vec<Name> {
    let at: Vec<&str> = path.names().collect();
    let mut found: Vec<Name> = rows_below(kernel, pid, actor, path)
        .filter_map(|key| {
            let slug = &key.session.as_ref()?.slug;
            Some(match at.as_slice() {
                ["home"] => Name { name: key.agent.clone(), node: "dir" },
                ["home", _] => Name { name: String::from("chat"), node: "dir" },
                _ => Name { name: format!("{slug}.md"), node: "file" },
            })
        })
        .collect();
    found.dedup();
    found
}

/// The caller's own sessions that are shown in a directory.
fn rows_below<'k>(
    kernel: &'k Kernel,
    pid: Pid,
    actor: &str,
    path: &TreePath,
) -> impl Iterator<Item = &'k LaneName> + use<'k> {
    let at: Vec<&str> = path.names().collect();
    let of = match at.as_slice() {
        ["home"] => Some(None),
        ["home", agent] | ["home", agent, "chat"] => Some(Some((*agent).to_string())),
        _ => None,
    };
    let own = kernel.named(pid, actor, ("", "")).session;
    let in_it = kernel.state.processes.get(&pid).and_then(Process::in_session);
    let is_own = move |key: &LaneName| {
        let both = key.session.as_ref().zip(own.as_ref());
        let own = both.is_some_and(|(one, own)| (&one.by, &one.from) == (&own.by, &own.from));
        own || Some(key) == in_it.as_ref()
    };
    let shown = move |key: &LaneName| match &of {
        None => false,
        Some(None) => true,
        Some(Some(agent)) => key.agent == *agent,
    };
    let rows = kernel.state.sessions.iter();
    let seen =
        move |key: &LaneName, row: &Session| !kernel.hides_label(pid, &kernel.label_of_session(key, row));
    rows.filter(move |(key, row)| shown(key) && is_own(key) && seen(key, row)).map(|(key, _)| key)
}

/// `list` of a directory in which sessions are shown: beside what stands there.
pub fn list(step: &mut Step<'_>, pid: Pid, path: &TreePath, facts: &mut Found) -> Result<Answer, Error> {
    let actor = step.actor.clone();
    let also = names(step.kernel, pid, &actor, path);
    if also.is_empty() {
        return files::list(step, pid, (path, None), facts);
    }
    let labels: Vec<Label> = rows_below(step.kernel, pid, &actor, path)
        .filter_map(|key| Some(step.kernel.label_of_session(key, step.state().sessions.get(key)?)))
        .collect();
    for label in labels.iter().filter(|_| pid != WORKSPACE) {
        let label = step.intern(label);
        step.saw(pid, path, None, label);
    }
    if facts.stands() {
        return files::list(step, pid, (path, None), facts);
    }
    let place = facts.place()?;
    step.told_of(pid, path, &place);
    // No names, and how many of them are hidden.
    facts.any();
    facts.hidden();
    Ok(Answer::Query(files::listed(step.kernel, pid, &actor, (path, None, step.at))))
}

/// Questions of a write at a path where sessions are read: those of a file, and of a dispatch.
pub fn plan_append(path: &TreePath, write: &Write) -> Vec<Lookup> {
    match (of_path(path), write) {
        (Some((agent, _)), Write::Append(tail)) if tail.bytes <= limits::ARGUMENT_BYTES_MAX => {
            let task = Task { text: tail.hash, inputs: Default::default() };
            process::born_from(agent, Some(task))
        }
        _ => vec![],
    }
}

/// `write` at a path where sessions are read. Where no file stands, what is appended is dispatched, and
/// nothing else is written.
pub fn write(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Write { path, write, origin, .. } = call else { return Err(Facts::mismatch()) };
    let Some((agent, slug)) = of_path(path).filter(|_| !facts.stands()) else {
        return files::write(step, pid, call, facts);
    };
    let tail = match write {
        Write::Append(tail) => *tail,
        Write::Whole { .. } | Write::Patch { .. } | Write::Dir | Write::Link(_) => {
            let message = format!("{path} is the session {slug} of {agent}");
            return Err(Error::new(Code::Denied, message)
                .argument("mode")
                .hint(format!("append to it, and {agent} is told; or take another name")));
        }
        Write::Restore(_) | Write::Resolve { .. } | Write::Begin | Write::Check(_) => {
            return files::write(step, pid, call, facts);
        }
    };
    if tail.bytes > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "the text is larger than 64 KiB").argument("text"));
    }
    process::may_begin(step.kernel, pid, agent, step.at)?;
    let place = facts.place()?;
    step.told_of(pid, path, &place);
    // What the file would hold then is asked in any case.
    facts.any();
    let text = Text { content: tail, origin: *origin };
    process::dispatch(step, pid, (agent, Some(slug), text, Lane::FollowUp), facts)
}
