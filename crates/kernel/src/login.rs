//! Programs that are logged in at their own service (`login: own`). What they spend there nobody here can
//! cap, and that is said at every start. What can be limited is how often they speak to it, and how long they
//! are there.
//!
//! ```text
//! agent:gemini ⊃ login:gemini ⊃ process:12        Connected to a host of no preset: a call, booked at each
//! started ── LoginDay ── … ─▶ the day's time of all of them together is over: they stand still, or end
//! ```
//! A connection is what is seen of a call, and programs keep connections: it is the least that they made.
//! Never here: what they say to their service; a price.

use crate::{
    account::{self, UTC_DAY_US},
    state::{DayTime, Process, State},
    step::Step,
};
use abi::{
    AccountId, Code, Error, Micros, Pid,
    agent::{AgentDef, OwnLogin, Policy, WhenExhausted},
    halt::length,
    money::{Amounts, Limit, Window},
    net::Asked,
    record::{Entry, Freeze, TimerFor},
};
use alloc::{format, string::String, vec::Vec};

/// What is said at every start.
pub const NOTE: &str = "a limit of money: it pays at its own service, which nobody here can cap";
/// The day's time is not looked at more often than this.
const LOOK_US: Micros = 1_000_000;

/// Whether a program of this agent pays at its own service.
pub fn is_own(def: &AgentDef) -> bool {
    def.run.as_ref().is_some_and(|run| run.guest.own_login)
}

/// What the files say of all of them.
pub fn limits(state: &State) -> Option<&OwnLogin> {
    state.policy.as_ref()?.policy.budget.own_login.as_ref()
}

/// The name of the account of an agent's programs that pay at their own service.
pub fn account(agent: &str) -> String {
    format!("login:{agent}")
}

/// Whether a connection counts as a call of its service: no registry's, no code host's.
fn counts<'a>(state: &'a State, pid: Pid, asked: &Asked) -> Option<&'a Process> {
    state.processes.get(&pid).filter(|process| process.own_login && asked.presets.is_empty())
}

/// Whether one more connection has room; the limit that is reached stops who reached it.
pub fn room(step: &mut Step<'_>, pid: Pid, asked: &Asked) -> Result<(), Error> {
    let state = step.state();
    let Some(account) = booked(state, pid, asked) else { return Ok(()) };
    account::check(state, account, &one(), step.at).map_err(|reached| step.exhausted(pid, reached))
}

/// What one connection counts.
pub fn one() -> Amounts {
    Amounts { calls: 1, ..Amounts::default() }
}

/// The account that it is booked at, if it counts.
pub fn booked(state: &State, pid: Pid, asked: &Asked) -> Option<AccountId> {
    counts(state, pid, asked).map(|process| process.account)
}

/// Of this agent, who runs.
fn running<'a>(state: &'a State, agent: &'a str) -> impl Iterator<Item = (Pid, &'a Process)> {
    let all = state.processes.iter().map(|(pid, process)| (*pid, process));
    all.filter(move |(_, process)| process.own_login && process.agent == agent)
}

/// How long a process has been there on the day of this moment.
fn today(process: &Process, at: Micros) -> Micros {
    at.saturating_sub(process.started.max(Window::Day.number(at).saturating_mul(UTC_DAY_US)))
}

/// What is left of the day's time for this agent's at their own service, if that is limited.
pub fn left(state: &State, agent: &str, at: Micros) -> Option<Micros> {
    let most = limits(state)?.day_us?;
    let kept = state.login_time.get(agent).filter(|kept| kept.day == Window::Day.number(at));
    let now: Micros = running(state, agent).map(|(_, process)| today(process, at)).sum();
    Some(most.saturating_sub(now.saturating_add(kept.map_or(0, |kept| kept.us))))
}

/// One that ends: how long it was there counts on.
pub fn ended(state: &mut State, process: &Process, at: Micros) {
    if process.own_login {
        let (day, us) = (Window::Day.number(at), today(process, at));
        let kept = state.login_time.entry(process.agent.clone()).or_default();
        let before = if kept.day == day { kept.us } else { 0 };
        *kept = DayTime { day, us: before.saturating_add(us) };
    }
}

/// Whether one more may begin today.
pub fn may_begin(step: &Step<'_>, def: &AgentDef) -> Result<(), Error> {
    if is_own(def) && left(step.state(), &def.name, step.at) == Some(0) {
        let why = format!("{} has had its time at its own service for today", def.name);
        return Err(Error::new(Code::Exhausted, why)
            .hint("see guests_with_own_login in /sys/budget.yaml; days are UTC"));
    }
    Ok(())
}

/// Looks again when the day's time can be over at the earliest.
pub fn watch(step: &mut Step<'_>, pid: Pid) {
    let state = step.state();
    let Some(process) = state.processes.get(&pid).filter(|process| process.own_login) else { return };
    let agent = process.agent.clone();
    step.forget_timers(&TimerFor::LoginDay(pid));
    let state = step.state();
    let many = running(state, &agent).count().max(1) as u64;
    if let Some(left) = left(state, &agent, step.at) {
        step.set_timer(TimerFor::LoginDay(pid), (left / many).max(LOOK_US));
    }
}

/// The time may be over: all of the agent's stand still, or end.
pub fn look(step: &mut Step<'_>, pid: Pid) {
    let state = step.state();
    let Some(process) = state.processes.get(&pid) else { return };
    if left(state, &process.agent, step.at) != Some(0) {
        return watch(step, pid);
    }
    let agent = process.agent.clone();
    let moves = running(state, &agent).filter(|(_, process)| process.frozen.is_none());
    let pids: Vec<Pid> = moves.map(|(pid, _)| pid).collect();
    let us = limits(state).and_then(|limits| limits.day_us).unwrap_or_default();
    let message = format!("{agent} has had its time at its own service for today: {}", length(us));
    if step.when_exhausted() == WhenExhausted::Kill {
        step.alarm(format!("{message}; it was ended"));
        return step.end_all(&pids, &message);
    }
    // Who is thawed is looked at again.
    if !pids.is_empty() {
        step.alarm(format!("{message}; {} process(es) frozen", pids.len()));
        step.emit(Entry::Frozen { pids, why: Freeze::Wall { us } });
    }
}

/// Limits of the account of an agent's, and of each of its runs.
pub fn split(state: &State) -> (Vec<Limit>, Vec<Limit>) {
    let all = limits(state).map(|limits| limits.limits.clone()).unwrap_or_default();
    all.into_iter().partition(|limit| limit.window != Window::Run)
}

/// The former of these, as a policy has them.
pub fn windows(policy: &Policy) -> Vec<Limit> {
    let all = policy.budget.own_login.iter().flat_map(|limits| &limits.limits);
    all.filter(|limit| limit.window != Window::Run).copied().collect()
}
