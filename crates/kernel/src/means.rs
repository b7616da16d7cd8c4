//! What a process is given: the account it spends from, and the time it may take. The files give, an agent's
//! own file and whoever starts it can only lower.

use crate::{
    account, login, policy,
    state::{ROOT_ACCOUNT, State},
    step::Step,
};
use abi::{
    AccountId, Pid,
    agent::{AgentDef, WhenExhausted},
    halt::length,
    money::{Limit, Nano, Window},
    record::{Entry, Freeze, TimerFor},
};
use alloc::{format, string::String, vec::Vec};

/// An agent's account and the process's below it; a child spends from its parent process's.
pub fn open_accounts(
    step: &mut Step<'_>,
    (parent, pid): (Pid, Pid),
    def: &AgentDef,
    budget: Option<Nano>,
) -> AccountId {
    let mut given = given(step.state(), &def.name);
    let (windows_own, runs_own) = login::split(step.state());
    if login::is_own(def) {
        given.run = account::tighten(&given.run, &runs_own);
    }
    // What is asked twice is asked as the lower.
    let asked = def.limits.iter().copied().chain(account::money(Window::Run, budget));
    let asked = account::tighten(&[], &asked.collect::<Vec<_>>());
    let (whole, windows): (Vec<_>, Vec<_>) = asked.iter().partition(|limit| limit.window == Window::Run);
    let mut run = account::tighten(&given.run, &whole);
    let own = account::tighten(&given.account, &windows);
    let above = match step.state().processes.get(&parent).map(|process| process.account) {
        Some(account) => {
            run = account::tighten(&run, &own);
            account
        }
        None => agent_account(step, ROOT_ACCOUNT, &format!("agent:{}", def.name), own),
    };
    let above = match login::is_own(def) {
        true => agent_account(step, above, &login::account(&def.name), windows_own),
        false => above,
    };
    step.open_account(Some(above), format!("process:{pid}"), run)
}

/// The account of an agent: its limits are the files', but for those that an operator's word set.
fn agent_account(step: &mut Step<'_>, above: AccountId, name: &str, limits: Vec<Limit>) -> AccountId {
    let Some(account) = step.kernel.account_named(name) else {
        return step.open_account(Some(above), String::from(name), limits);
    };
    let Some(row) = step.state().accounts.get(&account) else { return account };
    let of = |limit: &Limit| (limit.resource, limit.window);
    let worded = row.worded.clone();
    let gone = row.limits.iter().filter(|old| limits.iter().all(|limit| of(limit) != of(old)));
    let gone: Vec<Limit> = gone.map(|old| Limit { max: i64::MAX, ..*old }).collect();
    for limit in limits.into_iter().chain(gone).filter(|limit| !worded.contains(&of(limit))) {
        policy::set_as_file(step, account, limit);
    }
    account
}

/// What the files give an agent.
fn given(state: &State, agent: &str) -> policy::Given {
    state.policy.as_ref().map(|loaded| policy::given(&loaded.policy, agent)).unwrap_or_default()
}

/// How long this process may take: as the files say, or as its agent's own file does, if that is less.
pub fn wall(state: &State, def: &AgentDef) -> Option<u64> {
    let own = login::limits(state).filter(|_| login::is_own(def)).and_then(|limits| limits.wall_us);
    policy::shorter(policy::shorter(given(state, &def.name).wall_us, def.wall_us), own)
}

/// The time that a process may take begins.
pub fn start_clock(step: &mut Step<'_>, pid: Pid, wall_us: Option<u64>) {
    if let Some(us) = wall_us {
        step.set_timer(TimerFor::Wall(pid), us);
    }
}

/// An operator who thaws it gives it as much time once more.
pub fn restart_clock(step: &mut Step<'_>, pid: Pid) {
    let wall_us = step.state().processes.get(&pid).and_then(|process| process.wall_us);
    step.forget_timers(&TimerFor::Wall(pid));
    start_clock(step, pid, wall_us);
    login::watch(step, pid);
}

/// The time is over: it and all it started stand still, or end. Those that stand still already stay so.
pub fn wall_is_over(step: &mut Step<'_>, pid: Pid) {
    let Some(process) = step.state().processes.get(&pid).filter(|process| process.frozen.is_none()) else {
        return;
    };
    let us = process.wall_us.unwrap_or_default();
    let message = format!("process {pid} ({}) has had its time: {}", process.agent, length(us));
    if step.when_exhausted() == WhenExhausted::Kill {
        step.alarm(format!("{message}; it was ended"));
        return step.end_all(&[pid], &format!("its time was over: {}", length(us)));
    }
    let state = step.state();
    let moves = |pid: &Pid| state.processes.get(pid).is_some_and(|row| row.frozen.is_none());
    let pids: Vec<Pid> = state.subtree(pid).into_iter().filter(moves).collect();
    step.alarm(format!("{message}; {} process(es) frozen", pids.len()));
    step.emit(Entry::Frozen { pids, why: Freeze::Wall { us } });
}
