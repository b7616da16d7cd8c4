//! The street: one arm per event in `plan`, one in `step`. Everything else in this crate is called from here.

use crate::{
    Kernel, arrival, bound, complete, control, draft, effect, ending, exec, files, label, net, port, process,
    proposal, render, role, session, state::Client, state::State, talk, turn, wake,
};
use abi::{
    Code, Content, EffectId, Error, Micros, Pid, ReplyTo, Seq, WORKSPACE,
    answer::Answer,
    call::Call,
    control::Control,
    effect::{Alarm, Decision, Effect, ModelCall},
    event::{Body, Caller, Event},
    fact::{Fact, Facts, Lookup, Place, Query, Task},
    limits,
    path::TreePath,
    record::{Entry, Freeze, Record, Seen, WaitOn},
    tree::{Merge, Version},
};
use alloc::{boxed::Box, format, string::String, string::ToString, vec, vec::Vec};

/// What is known to have to be asked before this event is decided.
pub fn plan(kernel: &Kernel, event: &Event) -> Result<Vec<Lookup>, Error> {
    plan_body(kernel, &event.body, kernel.state.at.max(event.at))
}

fn plan_body(kernel: &Kernel, body: &Body, at: Micros) -> Result<Vec<Lookup>, Error> {
    match body {
        Body::Merged { of, .. } => plan_body(kernel, of, at),
        Body::Call { caller: caller @ (Caller::Operator(name) | Caller::Added(name)), call, .. } => {
            role::known(kernel, caller)?;
            role::admit(kernel, name, call)?;
            let mut lookups = plan_call(kernel, WORKSPACE, call, at)?;
            role::narrow_questions(kernel, name, &mut lookups)?;
            Ok(lookups)
        }
        Body::Call { caller, call, .. } => plan_call(kernel, subject(kernel, caller, at)?, call, at),
        Body::Tool { pid, step, index, name, call, .. } => {
            turn::plan_tool(kernel, (*pid, *step, *index), name, call.as_ref(), at)
        }
        Body::ModelEnded { effect, outcome, .. } => Ok(turn::plan_end(kernel, effect, outcome)),
        Body::Arrived { mount, path, .. } => arrival::plan_arrival(kernel, mount, path),
        Body::TimerFired { timer } => Ok(process::plan_timer(kernel, *timer, at)),
        Body::Noticed { commit, .. } => Ok(bound::plan(kernel, commit)),
        Body::DraftRead { read, .. } => Ok(draft::plan_read(kernel, read)),
        Body::ExecWrote { exec, commit, .. } => Ok(exec::plan_ended(kernel, *exec, Some(commit))),
        Body::ExecEnded { exec, commit, keep, .. } => {
            Ok(exec::plan_ended(kernel, *exec, Some(commit).filter(|_| *keep)))
        }
        Body::Connect { pid, .. } => subject(kernel, &Caller::Process(*pid), at).map(|_| vec![]),
        Body::Genesis { .. }
        | Body::Woke { .. }
        | Body::Restored
        | Body::Leased { .. }
        | Body::PolicyLoaded { .. }
        | Body::ModelsLoaded { .. }
        | Body::Priced { .. }
        | Body::Mounted { .. }
        | Body::Bound { .. }
        | Body::Placed { .. }
        | Body::ControlEnded { .. }
        | Body::Left { .. }
        | Body::ModelProgress { .. }
        | Body::Armed { .. }
        | Body::EffectEnded { .. }
        | Body::EffectProbed { .. }
        | Body::ExecChecked { .. }
        | Body::ExecTold { .. }
        | Body::ExecClaimed { .. }
        | Body::ExecTurned { .. }
        | Body::Unreached { .. }
        | Body::Listens { .. }
        | Body::SandboxEnded { .. }
        | Body::Quarantined { .. } => Ok(vec![]),
    }
}

/// Whom the caller acts as.
fn subject(kernel: &Kernel, caller: &Caller, at: Micros) -> Result<Pid, Error> {
    match caller {
        Caller::Operator(_) | Caller::Added(_) => Ok(WORKSPACE),
        Caller::Process(pid) => match kernel.state.processes.get(pid) {
            None => Err(Error::new(Code::Dead, format!("process {pid} has ended"))),
            Some(process) => match &process.frozen {
                Some(why) => Err(stands(kernel, *pid, why, at)),
                None => crate::stop::admits(kernel).map(|()| *pid),
            },
        },
    }
}

/// What a frozen process is told, and what would help.
fn stands(kernel: &Kernel, pid: Pid, why: &Freeze, at: Micros) -> Error {
    let what = format!("process {pid} is frozen: {}", render::why(kernel, why, at));
    Error::new(Code::Busy, what).argument("pid").hint(render::way_out(kernel, why, pid, at))
}

/// Authority first; then the questions. For turns and for clients alike.
pub fn plan_call(kernel: &Kernel, pid: Pid, call: &Call, at: Micros) -> Result<Vec<Lookup>, Error> {
    match call {
        Call::List { path, at: as_of } | Call::Read { path, at: as_of, .. } if render::is_rendered(path) => {
            render::plan(kernel, pid, path, *as_of, at)
        }
        Call::List { path, at: as_of } => files::plan_list(kernel, pid, path, *as_of, at),
        Call::Read { path, at: as_of, version, .. } => {
            files::plan_read(kernel, pid, (path, *as_of, *version), at)
        }
        Call::Write { path, write, base, .. } => {
            let mut lookups = files::plan_write(kernel, pid, (path, write, *base), at)?;
            lookups.extend(session::plan_append(path, write));
            Ok(lookups)
        }
        Call::Move { from, to, .. } => files::plan_move(kernel, pid, from, to, at),
        Call::Remove { path, .. } => files::plan_remove(kernel, pid, path, at),
        Call::History { path, before, limit } => {
            files::plan_history(kernel, pid, (path, *before, *limit), at)
        }
        Call::Spawn { agent, text, post, inputs, .. } => {
            let task = Task { text: text.content.hash, inputs: inputs.clone() };
            process::plan_spawn(kernel, pid, (agent, post), task, at)
        }
        Call::Dispatch { agent, text, inputs, .. } => {
            let task = Task { text: text.content.hash, inputs: inputs.clone() };
            process::plan_spawn(kernel, pid, (agent, &[]), task, at)
        }
        Call::Propose { mount, kind, fields } => effect::plan_propose(kernel, pid, (mount, kind), fields, at),
        Call::Decide { .. } => proposal::plan_decide(kernel, pid, call),
        Call::Revert { effect } => effect::plan_revert(kernel, pid, effect),
        Call::Control { path, word } => control::plan(kernel, pid, path, word, at),
        Call::Complete { model, .. } => complete::plan(kernel, pid, model, at),
        Call::Exec { .. } => exec::plan(kernel, pid, call, at),
        Call::Signal { pid: target, .. } => process::may_signal(kernel, pid, *target),
        Call::Search(sought) => {
            let path = sought.path.clone().unwrap_or_else(TreePath::root);
            if render::is_rendered(&path) {
                return Err(Error::invalid("path", "what is rendered is not indexed").hint("read it"));
            }
            let top = Lookup::Path { path, at: sought.at };
            Ok(vec![top, Lookup::Search { sought: sought.clone(), view: kernel.searched(pid, at) }])
        }
        Call::Operation { op, .. } => Ok(vec![Lookup::Operation { op: *op, view: kernel.view(pid, at) }]),
        Call::Why(_) if pid != WORKSPACE => {
            Err(Error::new(Code::Denied, "only an operator asks why").hint("trace shows your own records"))
        }
        Call::Why(_) => Ok(vec![]),
        // What a child comes to know later would stream by without being seen.
        Call::Trace { follow: true, .. } if pid != WORKSPACE => {
            Err(Error::new(Code::Denied, "only an operator follows the log").hint("trace it again"))
        }
        Call::Wait { .. } | Call::Grant { .. } | Call::Revoke { .. } | Call::Trace { .. } => Ok(vec![]),
    }
}

/// Decides one event.
pub fn step(kernel: &mut Kernel, event: &Event, facts: Facts) -> Decision {
    let at = kernel.state.at.max(event.at);
    let actor = String::from("system:kernel");
    let mut step = Step {
        kernel,
        at,
        out: Decision::default(),
        actor,
        pid: WORKSPACE,
        first: None,
        cause: None,
        approved: None,
        keeps: false,
        ending: vec![],
        turn: None,
        seen: vec![],
        merges: vec![],
        wants: vec![],
        round: 0,
    };
    step.notice_clocks(event);
    exec::expired(&mut step);
    match &event.body {
        Body::Merged { of, merges, round } => {
            step.merges.clone_from(merges);
            step.round = *round;
            if let Some(reply) = asker(of) {
                step.kernel.volatile.clients.remove(&reply);
            }
            decide(&mut step, of, facts);
        }
        body => decide(&mut step, body, facts),
    }
    if !step.wants.is_empty() {
        let wants = core::mem::take(&mut step.wants);
        step.effect(Effect::Merge(wants));
        if let Some(reply) = asker(&event.body) {
            step.kernel.volatile.clients.insert(reply, Client::Merge);
        }
    }
    step.out
}

/// The client whose call this is.
fn asker(body: &Body) -> Option<ReplyTo> {
    match body {
        Body::Call { reply, .. } => Some(*reply),
        Body::Merged { of, .. } => asker(of),
        _ => None,
    }
}

fn decide(step: &mut Step<'_>, body: &Body, facts: Facts) {
    match body {
        Body::Genesis { id, lacks } => wake::genesis(step, *id, lacks),
        Body::Woke { lease, under_way } => wake::woke(step, *lease, under_way),
        Body::Restored => wake::restored(step),
        Body::Leased { lease } => {
            step.emit(Entry::Leased { lease: *lease });
        }
        Body::PolicyLoaded { digest, policy } => {
            crate::policy::load(step, *digest, policy.clone());
        }
        Body::ModelsLoaded { digest, models } => crate::model::load(step, *digest, models.clone()),
        Body::Priced { model, price } => {
            if step.state().prices.get(model) != Some(price) {
                step.emit(Entry::Priced { model: model.clone(), price: *price });
            }
        }
        Body::Mounted { mount, driver, argument, manifest } => {
            wake::mounted(step, (mount, driver, argument), manifest);
        }
        Body::Bound { dir, external } => bound::bound(step, dir, *external),
        Body::Noticed { number, commit } => bound::noticed(step, *number, commit, facts),
        Body::Placed { seq, failed } => bound::placed(step, *seq, failed),
        Body::DraftRead { reply, pid, layer, read } => {
            draft::read(step, (*reply, *pid, *layer), read, facts);
        }
        Body::ControlEnded { reply, result } => {
            let answer = match step.kernel.volatile.clients.remove(reply) {
                None => return,
                Some(Client::Scrub(answer)) => *answer,
                Some(_) => Answer::DONE,
            };
            step.reply(*reply, result.clone().map(|()| answer));
        }
        // One is never inside another.
        Body::Merged { .. } => {}
        Body::Call { caller, reply, call } => step.call(caller, *reply, call, facts),
        Body::Left { reply } => {
            exec::left(step, *reply);
            step.forget_client(*reply);
        }
        Body::Tool { pid, step: number, index, name, args, call } => {
            turn::tool(step, (*pid, *number, *index), (name, *args), call, facts);
        }
        Body::ModelProgress { effect, tokens_out } => turn::progress(step, effect, *tokens_out),
        Body::ModelEnded { effect, attempt, outcome } => {
            turn::ended(step, effect, *attempt, outcome, facts);
        }
        Body::Armed { effect } => effect::armed(step, effect),
        Body::EffectEnded { effect, outcome } => effect::ended(step, effect, outcome),
        Body::EffectProbed { effect, found } => effect::probed(step, effect, found),
        Body::Arrived { mount, path, content } => arrival::arrived(step, mount, path, *content, facts),
        Body::TimerFired { timer } => process::timer_fired(step, *timer, facts),
        Body::SandboxEnded { pid } => ending::ended(step, *pid),
        Body::Listens { pid, ports } => port::listens(step, *pid, ports),
        Body::ExecChecked { exec, why } => exec::checked(step, *exec, why.as_deref()),
        Body::ExecWrote { exec, said, commit } => exec::wrote(step, *exec, (said, commit), facts),
        Body::Connect { pid, reply, asked } => net::connect(step, (*pid, *reply), asked, facts),
        Body::Unreached { pid, asked, why } => net::unreached(step, *pid, asked, why),
        Body::ExecTold { pid, told } => exec::told(step, *pid, told),
        Body::ExecClaimed { exec, usage } => talk::claimed(step, *exec, *usage),
        Body::ExecTurned { exec, session, turns } => talk::turned(step, *exec, (*session, *turns)),
        Body::ExecEnded { exec, ran, commit, keep } => exec::ended(step, *exec, ran, (commit, *keep), facts),
        Body::Quarantined { digest, what } => {
            step.alarm(format!("an event ({what}) killed the workspace too often and was set aside"));
            step.emit(Entry::Quarantined { digest: *digest, what: what.clone() });
        }
    }
}

/// One event while it is decided.
pub struct Step<'a> {
    pub kernel: &'a mut Kernel,
    pub at: Micros,
    pub out: Decision,
    /// Principal and process the next records carry.
    pub actor: String,
    pub pid: Pid,
    /// The first record of this event: cause of those after it.
    first: Option<Seq>,
    /// What led to the event, if the log knows.
    pub cause: Option<Seq>,
    /// Set while an approved call is carried out: the label it was proposed under; the sink table has been
    /// asked.
    pub approved: Option<abi::LabelId>,
    /// Set while an operator keeps a draft: they look at what comes of it, so that any text is merged.
    pub keeps: bool,
    /// Processes that end in this step: what they waited for is told, but they do not go on.
    pub ending: Vec<Pid>,
    /// The process whose turn's tool call is carried out.
    pub turn: Option<Pid>,
    /// What it came to know by it.
    pub seen: Vec<Seen>,
    /// Merges that have been made for this event.
    pub merges: Vec<(Merge, Option<Content>)>,
    /// Merges it asks for: with any of them, nothing else is decided.
    pub wants: Vec<Merge>,
    /// How often it came with merges.
    pub round: u32,
}

/// How a call goes on.
pub enum Outcome {
    /// It is decided.
    Now(Result<Answer, Error>),
    /// Its answer comes later.
    Later(WaitOn),
    /// A client waits for its own model call.
    Model(abi::EffectId),
    /// A client waits for the machine to carry out a control word.
    Control(Control),
    /// A client waits until what was purged is out of every file.
    Scrub(Answer),
    /// A client waits until the draft of this process is read and kept.
    Draft { pid: Pid, layer: Content },
}

impl From<Result<Answer, Error>> for Outcome {
    fn from(result: Result<Answer, Error>) -> Self {
        Self::Now(result)
    }
}

impl Step<'_> {
    /// The state, to read.
    pub fn state(&self) -> &State {
        &self.kernel.state
    }

    /// Records with this principal and process from now on.
    pub fn act_as(&mut self, pid: Pid, actor: String) {
        self.pid = pid;
        self.actor = actor;
        self.cause = crate::apply::cause_of(self.state(), pid);
    }

    /// Acts as a process, if it is alive.
    pub fn act_as_process(&mut self, pid: Pid) {
        let actor = self.state().processes.get(&pid).map(label::principal);
        self.act_as(pid, actor.unwrap_or_else(|| String::from("system:kernel")));
    }

    /// Writes a record and applies it.
    pub fn emit(&mut self, body: Entry) -> Seq {
        let seq = self.state().seq.next();
        let cause = self.first.or(self.cause).unwrap_or(seq);
        let record = Record { seq, at: self.at, actor: self.actor.clone(), pid: self.pid, cause, body };
        self.kernel.apply(&record);
        exec::follow(self, &record.body);
        bound::follow(self, seq);
        self.out.records.push(record);
        self.first.get_or_insert(seq);
        seq
    }

    /// What comes now has another cause than what was written so far.
    pub fn begin_anew(&mut self) {
        self.act_as(WORKSPACE, String::from("system:kernel"));
        (self.first, self.cause) = (None, None);
    }

    /// Something to do.
    pub fn effect(&mut self, effect: Effect) {
        self.out.effects.push(effect);
    }

    /// Something the operator should hear.
    pub fn alarm(&mut self, message: String) {
        self.out.alarms.push(Alarm { message });
    }

    /// Bytes that a record of this decision names.
    pub fn blob(&mut self, bytes: Vec<u8>) -> Content {
        let content = Content::of(&bytes);
        self.out.blobs.push(bytes);
        content
    }

    /// Answers a client.
    pub fn reply(&mut self, to: ReplyTo, answer: Result<Answer, Error>) {
        self.effect(Effect::Reply { to, answer });
    }

    /// Whether a process has heard of a new source in this event.
    pub fn has_source(&self, pid: Pid) -> bool {
        self.out.records.iter().any(|record| record.pid == pid && matches!(record.body, Entry::Saw { .. }))
    }

    /// A wall clock that jumped against the monotonic one is an alarm; time in the log never runs backwards.
    fn notice_clocks(&mut self, event: &Event) {
        let last = self.kernel.volatile.clocks.replace((event.at, event.mono));
        let Some((wall, mono)) = last else { return };
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let by = (signed(event.at) - signed(wall)).saturating_sub(signed(event.mono) - signed(mono));
        if by.unsigned_abs() > limits::CLOCK_JUMP_US {
            self.alarm(format!("the clock jumped by {} s", by / 1_000_000));
            self.emit(Entry::ClockJumped { by });
        }
    }

    fn call(&mut self, caller: &Caller, reply: ReplyTo, call: &Call, facts: Facts) {
        let pid = match caller {
            Caller::Operator(name) | Caller::Added(name) => {
                self.act_as(WORKSPACE, format!("operator:{name}"));
                WORKSPACE
            }
            Caller::Process(pid) => {
                self.act_as_process(*pid);
                *pid
            }
        };
        let outcome = match facts {
            Facts::Refused(error) => Outcome::Now(Err(error)),
            Facts::Found(facts) => self.of_caller(caller, call, facts),
        };
        if !self.wants.is_empty() {
            return;
        }
        let client = match outcome {
            Outcome::Now(result) => match self.now(call, reply, result) {
                Some(client) => client,
                None => return,
            },
            Outcome::Later(on) => {
                let (process, proposal, timeout) = match call {
                    Call::Wait { pid, proposal, timeout_us } => (*pid, *proposal, *timeout_us),
                    _ => (None, None, None),
                };
                if let Some(after_us) = timeout {
                    self.client_timer(reply, after_us);
                }
                match on {
                    WaitOn::Effect(effect) => Client::Effect(effect),
                    WaitOn::Exec(exec) => {
                        exec::heard_by(self, (pid, exec), reply);
                        Client::Exec { by: pid, exec }
                    }
                    WaitOn::Process(_) | WaitOn::Proposal(_) | WaitOn::Time => {
                        Client::On { by: pid, pid: process, proposal }
                    }
                }
            }
            Outcome::Model(effect) => {
                self.answer_to(effect, reply);
                Client::Model(effect)
            }
            Outcome::Control(word) => {
                self.effect(Effect::Control { reply, word });
                Client::Control
            }
            Outcome::Draft { pid, layer } => {
                let bound = bound::rows(self.state(), WORKSPACE);
                self.effect(Effect::ReadDraft { reply, pid, layer, bound });
                Client::Keep(self.actor.clone())
            }
            Outcome::Scrub(answer) => {
                self.effect(Effect::Scrub { reply });
                Client::Scrub(Box::new(answer))
            }
        };
        self.kernel.volatile.clients.insert(reply, client);
    }

    /// It is decided, and answered: at once, or when the sandboxes that it ends have ended.
    fn now(&mut self, call: &Call, reply: ReplyTo, result: Result<Answer, Error>) -> Option<Client> {
        if matches!(call, Call::Spawn { program: Some(_), .. }) {
            exec::main_heard_by(self, reply);
        }
        if let Err(error) = &result {
            self.refused(call, error);
        }
        let pids = ending::of(&self.out.effects);
        match result {
            Ok(answer) if !pids.is_empty() => {
                self.client_timer(reply, limits::SANDBOX_END_US_MAX);
                Some(Client::Ends { pids, answer: Box::new(answer) })
            }
            result => {
                self.reply(reply, result);
                None
            }
        }
    }

    /// A call of an operator is carried out as the workspace's, within the role of who made it.
    fn of_caller(&mut self, caller: &Caller, call: &Call, facts: Vec<Fact>) -> Outcome {
        let name = match caller {
            Caller::Process(pid) => return self.carry_out(*pid, call, &mut Found::of(facts)),
            Caller::Operator(name) | Caller::Added(name) => name,
        };
        if let Err(error) = role::known(self.kernel, caller) {
            return Outcome::Now(Err(error));
        }
        let mut facts = facts;
        role::blind(self.kernel, name, call, &mut facts);
        if let Err(error) = role::screen(self.kernel, name, call, &facts) {
            return Outcome::Now(Err(error));
        }
        let mut outcome = self.carry_out(WORKSPACE, call, &mut Found::of(facts));
        if let Outcome::Now(Ok(answer)) = &mut outcome {
            role::narrow(self.kernel, name, call, answer);
        }
        outcome
    }

    /// A program's own request streams to whoever brought it.
    fn answer_to(&mut self, effect: EffectId, reply: ReplyTo) {
        for out in &mut self.out.effects {
            if let Effect::Model(ModelCall { effect: of, asked: Some((_, to)), .. }) = out
                && *of == effect
            {
                *to = reply;
            }
        }
    }

    /// A refusal for want of authority is kept; other errors are only told.
    pub fn refused(&mut self, call: &Call, error: &Error) {
        if error.code == Code::Denied {
            let about = about(call);
            self.emit(Entry::Refused { call: call.name().to_string(), code: error.code, about });
        }
    }

    /// Carries out a call of a process (or, as `WORKSPACE`, of an operator) whose plan was answered.
    pub fn carry_out(&mut self, pid: Pid, call: &Call, facts: &mut Found) -> Outcome {
        #[cfg(feature = "plant")]
        if crate::plant::is(crate::plant::PANIC_ON_POISON) {
            assert!(about(call) != "/data/poison", "planted: poison");
        }
        match call {
            Call::List { path, at } | Call::Read { path, at, .. } if render::is_rendered(path) => {
                render::answer(self, pid, (path, *at), call, facts).into()
            }
            Call::List { path, at: None } => session::list(self, pid, path, facts).into(),
            Call::List { path, at } => files::list(self, pid, (path, *at), facts).into(),
            Call::Read { .. } => session::read(self, pid, call, facts).into(),
            Call::Write { .. } => session::write(self, pid, call, facts).into(),
            Call::Move { from, to, base } => files::rename(self, pid, (from, to, *base), facts).into(),
            Call::Remove { .. } => files::remove(self, pid, call, facts).into(),
            Call::Search(sought) => {
                let query =
                    Query::Search { sought: sought.clone(), view: self.kernel.searched(pid, self.at) };
                let looked = files::searched(self, pid, sought, facts);
                looked.and_then(|()| files::found(self, pid, query, facts)).into()
            }
            Call::Operation { op, limit } => {
                let view = self.kernel.view(pid, self.at);
                files::found(self, pid, Query::Operation { op: *op, view, limit: *limit }, facts).into()
            }
            Call::Why(subject) => Outcome::Now(Ok(Answer::Query(Query::Why { subject: *subject }))),
            Call::History { path, before, limit } => {
                if let Ok(place) = facts.place() {
                    self.told_of(pid, path, &place);
                }
                if let Some(Fact::Labels(_, labels)) = facts.any() {
                    self.told_names(pid, path, &labels);
                }
                let (path, before, limit) = (path.clone(), *before, *limit);
                let view = self.kernel.view(pid, self.at);
                Outcome::Now(Ok(Answer::Query(Query::History { path, before, limit, view })))
            }
            Call::Spawn { .. } => process::spawn_call(self, pid, call, facts).into(),
            Call::Dispatch { agent, text, lane, session, .. } => {
                process::dispatch(self, pid, (agent, session.as_deref(), *text, *lane), facts).into()
            }
            Call::Wait { pid: on, proposal, .. } => process::wait(self, pid, *on, *proposal),
            Call::Signal { pid: target, signal } => process::signal(self, pid, *target, *signal).into(),
            Call::Complete { .. } => complete::complete(self, pid, call),
            Call::Exec { .. } => exec::exec(self, pid, call, facts),
            Call::Propose { mount, kind, fields } => effect::propose(self, pid, (mount, kind), fields, facts),
            Call::Decide { .. } => proposal::decide(self, call, facts).into(),
            Call::Revert { effect } => effect::revert(self, effect, facts),
            Call::Grant { pid: to, grant, expires_us } => {
                let given = self.grant(pid, *to, grant.clone(), *expires_us);
                given.map(|cap| Answer::Granted { cap }).into()
            }
            Call::Revoke { cap } => self.revoke(pid, *cap).map(|revoked| Answer::Revoked { revoked }).into(),
            Call::Control { word, .. } => control::carry_out(self, pid, word, facts),
            Call::Trace { from, limit, pid: of, follow } => {
                let pids = process::visible(self.state(), pid, *of);
                self.saw_processes(pid, pids.as_ref());
                let query = Query::Trace { from: *from, limit: *limit, pids, follow: *follow };
                Outcome::Now(Ok(Answer::Query(query)))
            }
        }
    }
}

/// What a call is about: a path, an agent, a mount and kind; for records and messages.
pub fn about(call: &Call) -> String {
    match call {
        Call::List { path, .. }
        | Call::Read { path, .. }
        | Call::Write { path, .. }
        | Call::Control { path, .. }
        | Call::Remove { path, .. }
        | Call::History { path, .. } => path.to_string(),
        Call::Move { from, to, .. } => format!("{from} -> {to}"),
        Call::Spawn { agent, .. } | Call::Dispatch { agent, .. } => agent.clone(),
        Call::Wait { pid, proposal, .. } => match (pid, proposal) {
            (Some(pid), _) => format!("process {pid}"),
            (None, Some(proposal)) => format!("proposal {proposal}"),
            (None, None) => String::from("time"),
        },
        Call::Signal { pid, signal } => format!("{signal:?} {pid}").to_lowercase(),
        Call::Complete { model, .. } => model.clone(),
        Call::Propose { mount, kind, .. } => format!("{kind} at {mount}"),
        Call::Decide { proposal, .. } => format!("proposal {proposal}"),
        Call::Revert { effect } => format!("effect {effect}"),
        Call::Grant { pid, grant, .. } => format!("{grant} to {pid}"),
        Call::Revoke { cap } => format!("capability {cap}"),
        Call::Trace { .. } => String::from("log"),
        Call::Search(sought) => sought.path.as_ref().map_or_else(|| String::from("/"), ToString::to_string),
        Call::Operation { op, .. } => format!("op:{op}"),
        Call::Why(_) => String::from("log"),
        Call::Exec { dir: Some(dir), .. } => format!("in {dir}"),
        Call::Exec { dir: None, .. } => String::from("a command"),
    }
}

/// Facts, taken out in the order they were asked for. A wrong kind is the machine's fault and told as such.
pub struct Found(vec::IntoIter<Fact>);

impl Found {
    /// These facts.
    pub fn of(facts: Vec<Fact>) -> Self {
        Self(facts.into_iter())
    }

    /// The next so many, by themselves.
    pub fn take(&mut self, count: usize) -> Self {
        Self(self.0.by_ref().take(count).collect::<Vec<_>>().into_iter())
    }

    /// The next, whatever it is.
    pub fn any(&mut self) -> Option<Fact> {
        self.0.next()
    }

    /// The next, a version.
    pub fn version(&mut self) -> Result<Option<Version>, Error> {
        match self.0.next() {
            Some(Fact::Version(version)) => Ok(version),
            _ => Err(Facts::mismatch()),
        }
    }

    /// The next, if it is a version: not every plan of a call asks for one.
    pub fn version_if_asked(&mut self) -> Option<Version> {
        let asked = matches!(self.0.as_slice().first(), Some(Fact::Version(_)));
        if asked { self.version().ok().flatten() } else { None }
    }

    /// Whether something stands at the place that comes next.
    pub fn stands(&self) -> bool {
        matches!(self.0.as_slice().first(), Some(Fact::Place(Place { head: Some(_), .. })))
    }

    /// The next, a place.
    pub fn place(&mut self) -> Result<Place, Error> {
        match self.0.next() {
            Some(Fact::Place(place)) => Ok(place),
            _ => Err(Facts::mismatch()),
        }
    }

    /// The next, whether something holds.
    pub fn holds(&mut self) -> Result<bool, Error> {
        match self.0.next() {
            Some(Fact::Holds(holds)) => Ok(holds),
            _ => Err(Facts::mismatch()),
        }
    }

    /// The next, bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        match self.0.next() {
            Some(Fact::Bytes(Some(bytes))) => Ok(bytes),
            Some(Fact::Bytes(None)) => Err(Error::new(Code::NotFound, "the bytes are gone")),
            _ => Err(Facts::mismatch()),
        }
    }

    /// How much of a directory is hidden, if that was asked for: only of those with a ceiling it is.
    pub fn hidden(&mut self) -> u64 {
        match self.0.as_slice().first() {
            Some(Fact::Count(count)) => {
                let count = *count;
                self.0.next();
                count
            }
            _ => 0,
        }
    }

    /// The next, a filled query.
    pub fn filled(&mut self) -> Option<Content> {
        match self.0.next() {
            Some(Fact::Filled(content)) => Some(content),
            _ => None,
        }
    }
}
