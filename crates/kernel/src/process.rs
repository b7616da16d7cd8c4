//! Processes: birth within an agent's budget and capabilities, waiting, signals, lanes, death, restart.
//!
//! Front matter asks, policy grants, the intersection runs; and each capability lies inside one that the
//! spawner holds. When a process ends, what it started ends first, and everything it held is taken back.

use crate::{
    Kernel, apply,
    authority::Want,
    bound, draft, effect, ending, exec, home, login, means, port, proposal, role, session, sink,
    state::{Client, Ended, Phase, State},
    step::{Found, Outcome, Step},
    talk, turn,
};
use abi::{
    CapId, Code, Content, Error, Hash, LabelId, Micros, Pid, ProposalId, ReplyTo, TimerId, VersionId,
    WORKSPACE,
    agent::{AgentDef, Home, Postcondition, Restart, Verdict},
    answer::Answer,
    call::{Call, ProcessKind, Signal, Text},
    cap::{Grant, Object, Rights},
    effect::Effect,
    fact::{Fact, Facts, Lookup, Task},
    label::{Integrity, Label},
    limits,
    money::Nano,
    path::TreePath,
    record::{Entry, Exit, Freeze, TimerFor, WaitOn},
    session::{LaneName, SessionName},
    tree::{Node, Version},
};
use alloc::{collections::BTreeSet, format, string::String, string::ToString, vec, vec::Vec};

mod lane;

pub use lane::{dispatch, steer};

/// Standing intent.
const STANDING: &str = "/AGENTS.md";
/// The argument of `spawn` and `dispatch` that an error of a task names.
const INPUTS: &str = "inputs";
/// The first restart waits so long; each further one twice as long, at most five minutes.
const RESTART_US: u64 = 1_000_000;
const RESTART_US_MAX: u64 = 300_000_000;
/// A process that lived longer than this has not failed at its start: its restarts count from 0 again.
const SETTLED_US: u64 = 600_000_000;
/// Restarts in a row when policy says always.
const RESTARTS_ALWAYS: u32 = 5;

/// Questions of `spawn` and `dispatch`.
pub fn plan_spawn(
    kernel: &Kernel,
    pid: Pid,
    (agent, post): (&str, &[Postcondition]),
    task: Task,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    may_begin(kernel, pid, agent, at)?;
    // A verdict tells what stands in a file: only those who may read it can ask for one.
    post.iter().try_for_each(|post| kernel.allow(pid, Want::Path(post.path()), Rights::READ, at))?;
    Ok(born_from(agent, Some(task)))
}

/// Whether the caller may have this agent do something.
pub fn may_begin(kernel: &Kernel, pid: Pid, agent: &str, at: Micros) -> Result<(), Error> {
    if !kernel.has_policy() {
        return Err(Error::new(Code::Denied, "no policy is loaded, so nothing starts")
            .hint("skep doctor says what is wrong with /sys/policy.yaml"));
    }
    crate::stop::admits(kernel)?;
    kernel.allow(pid, Want::Spawn(agent), Rights::USE, at)
}

/// What an agent is born from: its own file, and the standing intent that every agent reads.
pub fn born_from(agent: &str, task: Option<Task>) -> Vec<Lookup> {
    let standing = TreePath::parse(STANDING).map(|path| Lookup::Path { path, at: None });
    let file = crate::name::of_agent(agent).map(|path| Lookup::Path { path, at: None });
    [Ok(Lookup::Agent { name: agent.to_string(), task }), standing, file].into_iter().flatten().collect()
}

/// Questions of a timer.
pub fn plan_timer(kernel: &Kernel, timer: TimerId, at: Micros) -> Vec<Lookup> {
    let agent = match kernel.state.timers.get(&timer).map(|timer| &timer.purpose) {
        Some(TimerFor::Thin) => {
            let seen = crate::retain::seen(kernel);
            return vec![Lookup::Surplus { rules: kernel.state.retain.clone(), now: at, seen }];
        }
        Some(TimerFor::Restart(pid)) => kernel.state.ended.get(pid).map(|ended| ended.agent.clone()),
        Some(TimerFor::Lane(agent)) => Some(agent.clone()),
        Some(TimerFor::Session(lane)) => Some(lane.agent.clone()),
        Some(
            TimerFor::Proposal(_)
            | TimerFor::Wait(_)
            | TimerFor::Pause(_)
            | TimerFor::Wall(_)
            | TimerFor::LoginDay(_),
        )
        | None => None,
    };
    agent.map(|agent| born_from(&agent, None)).unwrap_or_default()
}

/// What a process is born with.
struct Birth {
    parent: Pid,
    def: AgentDef,
    standing: Option<Version>,
    task: Content,
    label: LabelId,
    own_words: bool,
    post: Vec<Postcondition>,
    budget: Option<Nano>,
    restarts: u32,
    lane: bool,
    /// What lies below it is invisible; never lower than the spawner's.
    ceiling: Integrity,
    /// What the process that it restarts had sent.
    sends: u32,
    /// The operator on whose behalf.
    by: String,
    kind: ProcessKind,
    /// The session that it goes on with.
    session: Option<SessionName>,
    /// An operator said what its program is and where it begins.
    given: bool,
    /// What the program that it begins again called its session.
    talks: Option<Content>,
}

/// The call `spawn`.
pub fn spawn_call(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Spawn { text, post, budget, ceiling, kind, program, .. } = call else {
        return Err(Facts::mismatch());
    };
    let mut from = agent_of(step, pid, facts).map_err(|error| of_file(pid, error))?;
    if let Some(given) = program {
        if pid != WORKSPACE {
            return Err(
                Error::new(Code::Denied, "only an operator says what a run's program is").argument("program")
            );
        }
        from.0.run = given.over(from.0.run.take());
        if from.0.run.is_none() {
            return Err(Error::invalid("program", format!("{} names no command, nor do you", from.0.name)));
        }
    }
    let text = with_inputs(*text, &from.0);
    let mut birth = birth(step, pid, from, text, (post.clone(), *budget));
    birth.ceiling = birth.ceiling.max(*ceiling);
    birth.kind = *kind;
    birth.given = program.is_some();
    born(step, pid, birth)
}

/// The task with its inputs: they are as much the caller's words as its text.
fn with_inputs(text: Text, def: &AgentDef) -> Text {
    Text { content: def.task.unwrap_or(text.content), ..text }
}

/// Spawns and tells who asked for it, who has seen by the answer what the agent's file asks for.
fn born(step: &mut Step<'_>, by: Pid, birth: Birth) -> Result<Answer, Error> {
    let (name, label) = (birth.def.name.clone(), birth.def.label);
    let (pid, withheld) = spawn(step, birth)?;
    let path = crate::name::of_agent(&name);
    if let (Ok(path), false) = (path, withheld.is_empty()) {
        step.saw(by, &path, None, label);
    }
    Ok(Answer::Spawned { pid, withheld })
}

/// What is wrong with an agent's file quotes it: only an operator is told.
fn of_file(by: Pid, error: Error) -> Error {
    if by == WORKSPACE || error.code == Code::NotFound {
        return error;
    }
    if error.argument == INPUTS {
        return Error::new(error.code, "the inputs are not what the agent takes")
            .argument(INPUTS)
            .hint("its AGENT.md declares them; an operator can read it");
    }
    Error::new(error.code, "the agent's AGENT.md is not right, so it cannot be started")
        .argument("agent")
        .hint("an operator sees what is wrong: skep doctor")
}

/// An agent's definition, and the standing intent if there is any.
type Origins = (AgentDef, Option<Version>);

/// Who asks is told whether there is such an agent.
fn agent_of(step: &mut Step<'_>, by: Pid, facts: &mut Found) -> Result<Origins, Error> {
    match facts.any() {
        Some(Fact::Agent(parsed)) => {
            let parsed = parsed.map(|def| shipped(step, def));
            let standing = facts.place()?.head.filter(|head| head.node == Node::File);
            let home = facts.place().ok().and_then(|place| place.home);
            home.iter().for_each(|home| step.told_of_home(by, home));
            Ok((parsed?, standing))
        }
        _ => Err(Facts::mismatch()),
    }
}

/// A recipe that came with the release has no version of the tree, and nobody but us wrote it.
fn shipped(step: &mut Step<'_>, mut def: AgentDef) -> AgentDef {
    if def.version == VersionId::default() {
        def.label = step.intern(&Label::new(Integrity::System, "system:recipe"));
    }
    def
}

fn birth(
    step: &mut Step<'_>,
    parent: Pid,
    (def, standing): Origins,
    text: Text,
    (post, budget): (Vec<Postcondition>, Option<Nano>),
) -> Birth {
    let label = step.kernel.label_of_text(parent, &step.actor, text.origin);
    let label = step.intern(&label);
    let own_words = parent == WORKSPACE && text.origin.is_own_words();
    let task = text.content;
    let ceiling = ceiling_of(step.state(), parent);
    let by = role::behind(step.state(), parent, &step.actor);
    Birth {
        parent,
        def,
        standing,
        task,
        label,
        own_words,
        post,
        budget,
        restarts: 0,
        lane: false,
        ceiling,
        sends: 0,
        by,
        kind: ProcessKind::Turn,
        session: None,
        given: false,
        talks: None,
    }
}

/// The label of all that it begins with: its task, its file, standing intent, skills.
fn told(kernel: &Kernel, birth: &Birth) -> Label {
    let standing = birth.standing.iter().map(|standing| standing.label);
    let skills = birth.def.skills.iter().map(|skill| skill.label);
    let first = kernel.meaning(birth.label).join(&kernel.meaning(birth.def.label));
    standing.chain(skills).fold(first, |all, label| all.join(&kernel.meaning(label)))
}

/// What a process is born with lies above its ceiling.
fn above_ceiling(kernel: &Kernel, label: &Label, ceiling: Integrity) -> Result<(), Error> {
    if label.integrity < ceiling && kernel.has(sink::rule::CEILING) {
        let (is, ceiling) = (label.integrity.word(), ceiling.word());
        return Err(Error::new(
            Code::Denied,
            format!("its task or its files are {is}, below its ceiling {ceiling}"),
        )
        .argument("ceiling")
        .hint("a task that was made under an external label cannot run above it"));
    }
    Ok(())
}

/// Makes a process and starts its turn.
fn spawn(step: &mut Step<'_>, mut birth: Birth) -> Result<(Pid, Vec<String>), Error> {
    let home = home::lent(step.kernel, &mut birth.def);
    let (parent, at) = (birth.parent, step.at);
    room_for_one(step.state(), parent)?;
    let draft = draft::begins(step.kernel, &mut birth.def)?;
    login::may_begin(step, &birth.def)?;
    let def = &birth.def;
    let pid = step.state().next.pid.next();
    let run = step.state().processes.get(&parent).map_or(pid, |process| process.run);
    let mut label = told(step.kernel, &birth);
    let lane = LaneName { agent: def.name.clone(), session: birth.session.clone() };
    session::is_above(step.kernel, &lane, birth.ceiling)?;
    let before = session::before(step, &lane, birth.task, birth.restarts);
    for said in before.label.iter().chain(&home) {
        label = label.join(said);
    }
    above_ceiling(step.kernel, &label, birth.ceiling)?;
    let (grants, mut withheld) = endow(step.kernel, (parent, &birth.by), def, at)?;
    withheld.extend(def.withheld.iter().cloned());
    withheld.extend(login::is_own(def).then(|| String::from(login::NOTE)));
    let account = means::open_accounts(step, (parent, pid), def, birth.budget);
    let wall_us = means::wall(step.state(), def);
    let (label, program) = (step.intern(&label), def.run.clone());
    let kind = if program.is_some() { ProcessKind::Native } else { birth.kind };
    step.emit(Entry::Spawned {
        pid,
        parent,
        run,
        agent: def.name.clone(),
        account,
        label,
        task: birth.task,
        own_words: birth.own_words,
        prompt: def.prompt,
        model: def.model.clone(),
        tools: def.tools.clone(),
        post: birth.post.clone(),
        restart: def.restart,
        restarts: birth.restarts,
        lane: birth.lane,
        withheld: withheld.clone(),
        standing: birth.standing.as_ref().map(|version| version.content),
        budget: birth.budget,
        ceiling: birth.ceiling,
        sends: birth.sends,
        by: birth.by,
        kind,
        wall_us,
        session: lane.session,
        history: before.history,
        after: before.after,
        home: program.as_ref().is_some_and(|program| program.guest.home == Home::Kept),
        draft,
        own_login: login::is_own(def),
    });
    for (within, grant) in grants {
        step.give(pid, Some(within), grant);
    }
    program.iter().filter(|_| birth.given).for_each(|program| bound::lend(step, pid, &program.dir));
    means::start_clock(step, pid, wall_us);
    login::watch(step, pid);
    let (actor, as_pid) = (step.actor.clone(), step.pid);
    match &program {
        Some(program) => exec::main(step, pid, (program, birth.talks.or(before.talks))),
        None => turn::proceed(step, pid),
    }
    step.act_as(as_pid, actor);
    Ok((pid, withheld))
}

/// What is invisible to a process is so to what it starts.
fn ceiling_of(state: &State, parent: Pid) -> Integrity {
    state.processes.get(&parent).map(|process| process.ceiling).unwrap_or_default()
}

fn room_for_one(state: &State, parent: Pid) -> Result<(), Error> {
    let most = state.policy.as_ref().and_then(|loaded| loaded.policy.budget.processes);
    let most = most.map_or(limits::PROCESSES_MAX, |most| limits::PROCESSES_MAX.min(most as usize));
    if state.processes.len() >= most {
        return Err(Error::new(Code::Exhausted, format!("{most} processes run already"))
            .hint("skep ps shows them; processes in /sys/budget.yaml says how many there may be"));
    }
    let mut depth = 0;
    let mut above = parent;
    while let Some(process) = state.processes.get(&above) {
        above = process.parent;
        depth += 1;
    }
    if depth >= limits::PROCESS_DEPTH_MAX {
        return Err(Error::new(Code::Exhausted, "the process tree is 16 deep already"));
    }
    Ok(())
}

/// Grants, each with the capability it lies inside; and needs that were not granted, as words.
type Endowed = (Vec<(CapId, Grant)>, Vec<String>);

/// What the agent gets of what it asks for, each inside one capability of the spawner; and what it does not
/// get.
fn endow(kernel: &Kernel, (spawner, by): (Pid, &str), def: &AgentDef, at: Micros) -> Result<Endowed, Error> {
    let needs: Vec<Grant> = def.needs.iter().cloned().chain(crate::model::needs(kernel, def)).collect();
    let mut given: Vec<(CapId, Grant)> = Vec::new();
    let mut withheld = Vec::new();
    for need in &needs {
        let before = given.len();
        let alive = |grant: &Grant| grant.expires.is_none_or(|end| at < end);
        let askable = |row: &&Grant| can_be_asked(row);
        let rows = kernel.policy_rows(&def.name);
        let rows = rows.flat_map(|row| row.allow.iter().chain(row.ask.iter().filter(askable)));
        let mut all = Vec::new();
        for granted in rows.filter_map(|row| row.meet(need)).filter(alive) {
            all.extend(role::within(kernel, (spawner, by), granted)?);
        }
        for granted in all {
            let known = given.iter().any(|(_, grant)| grant.includes(&granted));
            if let (false, Some(within)) = (known, kernel.parent_of(spawner, &granted)) {
                given.push((within, granted));
            }
        }
        let covered = given.iter().any(|(_, grant)| grant.includes(need));
        if !covered && (given.len() == before || !given.iter().any(|(_, grant)| need.includes(grant))) {
            withheld.push(need.to_string());
        }
    }
    Ok((given, withheld))
}

/// Whether an operator can be asked each time: for effects, for changes of files, for connections. To ask for
/// anything else is to withhold it.
fn can_be_asked(grant: &Grant) -> bool {
    match grant.object {
        Object::Effect { .. } | Object::Net { .. } => true,
        Object::Fs(_) => Rights::WRITING.contains(grant.rights),
        Object::Model(_) | Object::Spawn(_) | Object::Admin(_) | Object::Secret { .. } => false,
    }
}

/// Whoever is told how a process ended has seen what it made. Of one that ended below the ceiling of who asks
/// it is told that it ended, and no more.
pub fn saw_answer(step: &mut Step<'_>, by: Pid, answer: &mut Answer) {
    let Answer::Ended { pid, verdict, result, .. } = answer else { return };
    let label = step.state().ended.get(pid).map(|row| row.label);
    if label.is_some_and(|label| step.kernel.hides(by, label)) {
        (*verdict, *result) = (Verdict::Unverified, None);
        return;
    }
    if let (Some(label), Ok(path)) = (label, TreePath::parse(&format!("/proc/{pid}/result"))) {
        step.saw(by, &path, None, label);
    }
}

/// The call `wait`.
pub fn wait(step: &mut Step<'_>, by: Pid, on: Option<Pid>, proposal: Option<ProposalId>) -> Outcome {
    if let Some(pid) = on {
        if by != WORKSPACE && !step.state().is_above(by, pid) {
            let error = Error::new(Code::Denied, format!("process {pid} is not below process {by}"));
            return Outcome::Now(Err(error.argument("pid")));
        }
        if step.state().processes.contains_key(&pid) {
            return Outcome::Later(WaitOn::Process(pid));
        }
        let dead =
            || Error::new(Code::Dead, format!("process {pid} ended long ago, or never was")).argument("pid");
        let mut answer = step.state().ended.get(&pid).map(|row| ended_answer(pid, row));
        if let Some(answer) = &mut answer {
            saw_answer(step, by, answer);
        }
        return answer.ok_or_else(dead).into();
    }
    if let Some(proposal) = proposal {
        let row = step.state().proposals.get(&proposal).map(|row| (row.pid, row.label));
        if let Some((of, label)) = row.filter(|(_, label)| !step.kernel.hides(by, *label)) {
            if by != WORKSPACE && !step.state().is_above(by, of) {
                let message = format!("proposal {proposal} is not of process {by} or one below it");
                return Outcome::Now(Err(Error::new(Code::Denied, message).argument("proposal")));
            }
            if let Ok(path) = TreePath::parse(&format!("/proposals/{proposal}")) {
                step.saw(by, &path, None, label);
            }
            return Outcome::Later(WaitOn::Proposal(proposal));
        }
        let ruled = step.state().ruled.get(&proposal).map(|ruled| ruled.word());
        let dead = || Error::new(Code::Dead, format!("there is no proposal {proposal}")).argument("proposal");
        return ruled.map(|state| Answer::Ruled { proposal, state, answer: None }).ok_or_else(dead).into();
    }
    Outcome::Later(WaitOn::Time)
}

fn ended_answer(pid: Pid, row: &Ended) -> Answer {
    Answer::Ended { pid, exit: row.exit.clone(), verdict: row.verdict, result: row.result }
}

/// Whether the caller may signal the process: an operator, itself, or one above it.
pub fn may_signal(kernel: &Kernel, pid: Pid, target: Pid) -> Result<Vec<Lookup>, Error> {
    if pid != WORKSPACE && !kernel.state.is_above(pid, target) {
        return Err(
            Error::new(Code::Denied, format!("process {target} is not below process {pid}")).argument("pid")
        );
    }
    if !kernel.state.processes.contains_key(&target) {
        return Err(Error::new(Code::Dead, format!("process {target} is not alive")).argument("pid"));
    }
    Ok(vec![])
}

/// Whether the process stands still on another's word than the caller's: an operator's, or the kernel's own.
fn held_above(state: &State, by: Pid, pid: Pid) -> bool {
    let frozen = state.processes.get(&pid).and_then(|row| row.frozen.as_ref());
    by != WORKSPACE && frozen.is_some_and(|why| *why != Freeze::Asked)
}

/// The call `signal`.
pub fn signal(step: &mut Step<'_>, by: Pid, pid: Pid, signal: Signal) -> Result<Answer, Error> {
    let subtree = step.state().subtree(pid);
    let is_frozen =
        |state: &State, pid: &Pid| state.processes.get(pid).is_some_and(|row| row.frozen.is_some());
    match signal {
        Signal::Freeze => {
            let pids: Vec<Pid> = subtree.into_iter().filter(|pid| !is_frozen(step.state(), pid)).collect();
            if !pids.is_empty() {
                step.emit(Entry::Frozen { pids, why: Freeze::Asked });
            }
        }
        Signal::Thaw => {
            let pids: Vec<Pid> = subtree.into_iter().filter(|pid| is_frozen(step.state(), pid)).collect();
            if pids.is_empty() {
                return Err(Error::new(Code::Invalid, format!("process {pid} is not frozen")).argument("pid"));
            }
            if let Some(held) = pids.iter().find(|pid| held_above(step.state(), by, **pid)) {
                let message =
                    format!("process {held} was frozen by a limit or for a reason an operator must see");
                return Err(Error::new(Code::Denied, message).argument("pid").hint("an operator thaws it"));
            }
            step.emit(Entry::Thawed { pids: pids.clone() });
            for pid in pids {
                if by == WORKSPACE {
                    means::restart_clock(step, pid);
                }
                turn::proceed(step, pid);
                effect::thawed(step, pid);
            }
        }
        Signal::Interrupt if talk::interrupted(step, pid) => {}
        Signal::Interrupt => interrupt(step, pid),
        Signal::Kill => exit(step, pid, (Exit::Killed(String::from("signal")), Verdict::Failed), None),
    }
    Ok(Answer::DONE)
}

/// Ends a turn with what there is.
fn interrupt(step: &mut Step<'_>, pid: Pid) {
    let process = step.state().processes.get(&pid);
    let stated = process.is_some_and(|process| !process.post.is_empty());
    let verdict = if stated { Verdict::Failed } else { Verdict::Unverified };
    // A client has no end of its own: whoever opened its place says that it is over.
    let over = process.is_some_and(|process| process.turn.phase == Phase::Client);
    let how = if over { Exit::Exited(0) } else { Exit::Killed(String::from("interrupt")) };
    exit(step, pid, (how, verdict), None);
}

/// Ends a process: what it started first; then all it held is taken back.
pub fn exit(step: &mut Step<'_>, pid: Pid, (how, verdict): (Exit, Verdict), result: Option<Content>) {
    let subtree = step.state().subtree(pid);
    step.ending.extend(&subtree);
    for child in subtree.into_iter().rev().filter(|child| *child != pid) {
        exit_one(step, child, (Exit::Killed(String::from("its parent ended")), Verdict::Failed), None);
    }
    exit_one(step, pid, (how, verdict), result);
}

fn exit_one(step: &mut Step<'_>, pid: Pid, (how, verdict): (Exit, Verdict), result: Option<Content>) {
    let Some(process) = step.state().processes.get(&pid).cloned() else { return };
    let (actor, as_pid) = (step.actor.clone(), step.pid);
    let calls = step.state().model_calls.iter().filter(|(_, row)| row.pid == pid);
    for effect in calls.map(|(effect, _)| *effect).collect::<Vec<_>>() {
        step.effect(Effect::Cut { effect });
    }
    let timers = step.state().timers.iter();
    let of_pid = |purpose: &TimerFor| {
        [TimerFor::Wait(pid), TimerFor::Pause(pid), TimerFor::Wall(pid), TimerFor::LoginDay(pid)]
            .contains(purpose)
    };
    let gone: Vec<TimerId> = timers.filter(|(_, row)| of_pid(&row.purpose)).map(|(id, _)| *id).collect();
    gone.into_iter().for_each(|timer| {
        step.emit(Entry::TimerGone { timer });
    });
    let held = step.kernel.caps_of(pid).map(|cap| cap.id);
    let caps: BTreeSet<CapId> =
        held.collect::<Vec<_>>().into_iter().flat_map(|cap| step.kernel.derived(cap)).collect();
    if !caps.is_empty() {
        step.emit(Entry::Revoked { caps: caps.into_iter().collect() });
    }
    if let Exit::Faulted(why) = &how {
        step.alarm(format!("process {pid} ({}) was faulted: {why}", process.agent));
    }
    exec::abandon(step, pid, "its process ended");
    proposal::unasked(step, pid);
    port::closed(step, pid);
    let by_itself = matches!(how, Exit::Exited(_));
    let failed = apply::is_failure(&how);
    // Who was told to stop is not begun again, however it ended.
    let killed = matches!(how, Exit::Killed(_)) || talk::is_stopped(step.kernel, pid);
    step.emit(Entry::Exited { pid, exit: how, verdict, result });
    if !by_itself {
        effect::cancel(step, pid, "the process was ended before it was sent");
    }
    step.kernel.volatile.seen.remove(&pid);
    tell_waiting(step, pid);
    if process.lane {
        lane::beckon(step, &LaneName { agent: process.agent.clone(), session: process.session.clone() });
    }
    if !killed {
        restart_later(step, pid, &process, failed);
    }
    step.act_as(as_pid, actor);
}

/// Those who wait for the process, clients and turns, hear how it ended.
fn tell_waiting(step: &mut Step<'_>, pid: Pid) {
    let Some(answer) = step.state().ended.get(&pid).map(|row| ended_answer(pid, row)) else { return };
    let on_it = |client: &Client| matches!(client, Client::On { pid: Some(on), .. } if *on == pid);
    let clients = step.kernel.volatile.clients.values();
    let by: BTreeSet<Pid> = clients.filter(|client| on_it(client)).filter_map(Client::by).collect();
    for by in by {
        let mut answer = answer.clone();
        saw_answer(step, by, &mut answer);
        step.tell_clients(|client| on_it(client) && client.by() == Some(by), &answer);
    }
    step.tell_clients(on_it, &answer);
    turn::resolve(step, WaitOn::Process(pid), &Ok(answer));
}

/// Supervision: a process that failed is begun again with the same task, if its agent says so.
pub fn restart_later(step: &mut Step<'_>, pid: Pid, process: &crate::state::Process, failed: bool) {
    let before = failed_before(process.started, step.at, process.restarts);
    let again = match process.restart {
        Restart::No => false,
        Restart::OnFailure(times) => failed && before < times,
        Restart::Always => before < RESTARTS_ALWAYS,
    };
    // Of a draft there is one process: another would begin without what it wrote.
    if !again || process.parent != WORKSPACE || process.draft {
        return;
    }
    let wait = RESTART_US.saturating_mul(1 << before.min(16)).min(RESTART_US_MAX);
    // Jitter without a random source: a quarter of the wait, by the hash of who asks.
    let jitter = Hash::of_fields("jitter", &[&step.state().id, &pid.0.to_le_bytes()]).short() % (wait / 4);
    step.set_timer(TimerFor::Restart(pid), wait + jitter);
}

/// Restarts that count against a process that lived from then to then.
fn failed_before(started: Micros, ended: Micros, restarts: u32) -> u32 {
    if ended.saturating_sub(started) > SETTLED_US { 0 } else { restarts }
}

/// A timer has run out.
pub fn timer_fired(step: &mut Step<'_>, timer: TimerId, facts: Facts) {
    if let Some(reply) = step.kernel.volatile.timers.remove(&timer) {
        match step.kernel.volatile.clients.remove(&reply) {
            None => {}
            Some(Client::Ends { pids, .. }) => step.reply(reply, Err(ending::late(&pids))),
            Some(_) => step.reply(reply, Ok(Answer::TimedOut { timed_out: true })),
        }
        return;
    }
    let Some(row) = step.state().timers.get(&timer).cloned() else { return };
    if crate::stop::holds(step.state(), &row.purpose) {
        return;
    }
    step.emit(Entry::TimerGone { timer });
    let mut facts = match facts {
        Facts::Found(facts) => Found::of(facts),
        Facts::Refused(_) => return,
    };
    match row.purpose {
        TimerFor::Proposal(proposal) => {
            step.close_proposal(proposal, Entry::Lapsed { proposal }, None);
        }
        TimerFor::Wait(pid) => turn::wait_is_over(step, pid),
        TimerFor::Pause(pid) => turn::pause_is_over(step, pid),
        TimerFor::Restart(pid) => restart(step, pid, &mut facts),
        TimerFor::Lane(agent) => lane::next(step, &LaneName { agent, session: None }, &mut facts),
        TimerFor::Session(lane) => lane::next(step, &lane, &mut facts),
        TimerFor::Thin => crate::retain::thin(step, &mut facts),
        TimerFor::Wall(pid) => means::wall_is_over(step, pid),
        TimerFor::LoginDay(pid) => login::look(step, pid),
    }
}

fn restart(step: &mut Step<'_>, pid: Pid, facts: &mut Found) {
    let Some(ended) = step.state().ended.get(&pid).cloned() else { return };
    let lane = LaneName { agent: ended.agent.clone(), session: ended.session.clone() };
    if session::has_gone_on(step.state(), &lane, pid) {
        return step.alarm(format!("{lane} has gone on since process {pid} failed: it is not begun again"));
    }
    let begun = agent_of(step, WORKSPACE, facts).and_then(|(def, standing)| {
        let birth = Birth {
            given: false,
            parent: WORKSPACE,
            def,
            standing,
            task: ended.task,
            label: ended.task_label,
            own_words: ended.own_words,
            post: ended.post,
            budget: ended.budget,
            restarts: failed_before(ended.started, ended.at, ended.restarts).saturating_add(1),
            lane: lane.session.is_some(),
            ceiling: ended.ceiling,
            sends: ended.sends,
            by: ended.by,
            kind: ProcessKind::Turn,
            session: ended.session,
            talks: ended.talks,
        };
        spawn(step, birth)
    });
    if let Err(error) = begun {
        step.alarm(format!("{} cannot be restarted: {error}", ended.agent));
    }
}

/// Processes whose records the caller may see; none means all.
pub fn visible(state: &State, pid: Pid, of: Option<Pid>) -> Option<BTreeSet<Pid>> {
    let top = match (pid == WORKSPACE, of) {
        (true, None) => return None,
        (true, Some(of)) => of,
        (false, Some(of)) if state.is_above(pid, of) => of,
        (false, _) => pid,
    };
    let ended = state.ended.keys().filter(|row| state.is_above(top, **row));
    Some(state.subtree(top).into_iter().chain(ended.copied()).chain([top]).collect())
}

impl Step<'_> {
    /// What a turn waited for has come: the time it would have waited at most is nobody's any more.
    pub fn forget_waits(&mut self, pid: Pid) {
        self.forget_timers(&TimerFor::Wait(pid));
    }

    /// Timers for this are not needed any more.
    pub fn forget_timers(&mut self, purpose: &TimerFor) {
        let timers = self.state().timers.iter();
        let gone: Vec<TimerId> =
            timers.filter(|(_, row)| row.purpose == *purpose).map(|(id, _)| *id).collect();
        for timer in gone {
            self.emit(Entry::TimerGone { timer });
        }
    }

    /// A timer that survives a restart.
    pub fn set_timer(&mut self, purpose: TimerFor, after_us: u64) {
        let timer = self.state().next.timer.next();
        let due = self.at.saturating_add(after_us);
        self.emit(Entry::TimerSet { timer, purpose, due });
        self.effect(Effect::Timer { timer, after_us });
    }

    /// A timer of a waiting client; gone after a restart, like the client.
    pub fn client_timer(&mut self, reply: ReplyTo, after_us: u64) {
        let volatile = &mut self.kernel.volatile;
        volatile.timers_made = volatile.timers_made.saturating_add(1);
        let timer = TimerId((1 << 63) | volatile.timers_made);
        volatile.timers.insert(timer, reply);
        self.effect(Effect::Timer { timer, after_us });
    }

    /// A timer of what dies with the daemon: it is only looked what time it is.
    pub fn sandbox_timer(&mut self, after_us: u64) {
        let volatile = &mut self.kernel.volatile;
        volatile.timers_made = volatile.timers_made.saturating_add(1);
        let timer = TimerId((1 << 63) | volatile.timers_made);
        self.effect(Effect::Timer { timer, after_us });
    }

    /// The client has gone: nobody waits for this answer.
    pub fn forget_client(&mut self, reply: ReplyTo) {
        self.kernel.volatile.clients.remove(&reply);
        self.kernel.volatile.timers.retain(|_, of| *of != reply);
    }

    /// Answers every client that waits for this.
    pub fn tell_clients(&mut self, waits: impl Fn(&Client) -> bool, answer: &Answer) {
        let clients = self.kernel.volatile.clients.iter();
        let told: Vec<ReplyTo> =
            clients.filter(|(_, client)| waits(client)).map(|(reply, _)| *reply).collect();
        for reply in told {
            self.forget_client(reply);
            self.reply(reply, Ok(answer.clone()));
        }
    }
}
