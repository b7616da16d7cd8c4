//! Act 4: kill -9 with a turn in each state: before its next model call (it rests in a `wait`), during one,
//! and after one whose answer is durable but not yet used (it was frozen while the model spoke, so that the
//! moment can be met). In which state each turn was is read from the log afterwards, not assumed.

use super::play::{self, act, expect, line};
use crate::{Start, clock::Deadline, fail::Fail, figures, journal::Row, session::Session};
use abi::{
    EffectId, Pid,
    record::{Entry, Exit},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Rounds until every state was met; one does, unless the host is very slow.
const ROUNDS_MAX: u64 = 4;
/// What the turns are asked; each of its model calls takes 150 ms.
const CRASH: &str = "Survive a crash.";
/// How long a process may be dying after kill -9.
const DEATH_WAIT: Duration = Duration::from_secs(5);

/// Where a turn was when the daemon died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its next model call was not begun.
    Before,
    /// One was under way.
    During,
    /// One had ended, and what it asked for was not done.
    After,
}

/// 4: the daemon is killed, comes back, and nothing is bought twice.
pub fn crash(session: &mut Session) -> Result<(), Fail> {
    act(session, 4, "crash")?;
    let mut pids = BTreeSet::new();
    let mut met: BTreeMap<State, u64> = BTreeMap::new();
    let mut kills = 0_u64;
    while kills < ROUNDS_MAX && met.len() < 3 {
        let new = round(session)?;
        kills += 1;
        for pid in &new {
            play::wait(session, *pid)?;
        }
        pids.extend(new.iter().copied());
        let rows = play::log(session)?;
        for state in states(&rows, &new) {
            *met.entry(state).or_default() += 1;
        }
    }
    expect(met.len() == 3, "turns before, during and after a model call", &format!("{met:?}"))?;
    let rows = play::log(session)?;
    for pid in &pids {
        let ended = play::of(&rows, *pid)
            .any(|row| matches!(&row.record.body, Entry::Exited { exit: Exit::Exited(0), .. }));
        expect(ended, &format!("process {pid} completes after the crash"), "it did not")?;
    }
    let (again, unknown) = bought(&rows, &pids)?;
    expect(again == 0, "no completed call is bought again", &again.to_string())?;
    let count = |state| met.get(&state).copied().unwrap_or(0);
    line(
        session,
        &format!(
            "The daemon was killed with -9 {}, with {} under way: {} before a model call, {} during one, {} \
             after one. It came back, and all {} completed.",
            times(kills),
            figures::plural(pids.len() as u64, "turn"),
            count(State::Before),
            count(State::During),
            count(State::After),
            pids.len(),
        ),
    )?;
    line(session, &format!("completed calls bought again {again}"))?;
    line(session, &format!("calls of unknown outcome bought once more {unknown}"))
}

fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

/// Starts three turns, kills the daemon when each is where it should be, and starts it again.
fn round(session: &mut Session) -> Result<Vec<Pid>, Fail> {
    let start = play::now(session)?;
    let signal = |pid: Pid, signal: &str| json!({"pid": pid, "signal": signal});
    let after = play::spawn(session, "drafts", CRASH)?;
    session.call("signal", signal(after, "freeze"))?;
    let before = play::spawn(session, "drafts", "Survive a crash slowly.")?;
    let mut open = BTreeSet::from([after, before]);
    play::until(session, start, "one turn rests and one is frozen after its answer", |row| {
        let is_there = match &row.record.body {
            Entry::ModelAnswered { .. } => row.record.pid == after,
            Entry::ToolWaits { .. } => row.record.pid == before,
            _ => false,
        };
        if is_there {
            open.remove(&row.record.pid);
        }
        open.is_empty().then_some(())
    })?;
    let during = play::spawn(session, "drafts", CRASH)?;
    play::until(session, start, "a model call is under way", |row| {
        let is_there = row.record.pid == during && matches!(row.record.body, Entry::ModelIntended { .. });
        is_there.then_some(())
    })?;
    kill(session)?;
    session.start_and_keep(Start::Demo)?;
    session.call("signal", signal(after, "thaw"))?;
    Ok(vec![before, during, after])
}

/// Kills the daemon and waits until it is dead.
fn kill(session: &mut Session) -> Result<(), Fail> {
    let daemon = session.client()?.peer()?;
    expect(!daemon.is_self(), "the daemon is a process of its own", "it is this one")?;
    daemon.kill()?;
    session.disconnect();
    expect(daemon.ended(Deadline::after(DEATH_WAIT)), "kill -9 kills", "the daemon lives")
}

/// Where each of the turns was when the daemon died the last time.
fn states(rows: &[Row], pids: &[Pid]) -> Vec<State> {
    let woke = rows.iter().rposition(|row| matches!(row.record.body, Entry::Woke { .. })).unwrap_or(0);
    let past = rows.get(..woke).unwrap_or_default();
    pids.iter().filter_map(|pid| state(past, *pid)).collect()
}

/// Where a turn was at the end of these records; none if it had ended.
fn state(rows: &[Row], pid: Pid) -> Option<State> {
    let mut state = None;
    let mut open_tools = 0_u32;
    for row in rows.iter().filter(|row| row.concerns().contains(&pid)) {
        match &row.record.body {
            Entry::Spawned { pid: it, .. } if *it == pid => state = Some(State::Before),
            Entry::ModelIntended { .. } => state = Some(State::During),
            Entry::ModelAnswered { tools, .. } => {
                open_tools = *tools;
                state = Some(State::After);
            }
            Entry::ToolWaits { .. } => state = Some(State::Before),
            Entry::Tool { .. } => {
                open_tools = open_tools.saturating_sub(1);
                state = Some(if open_tools == 0 { State::Before } else { State::After });
            }
            Entry::Exited { pid: it, .. } if *it == pid => state = None,
            _ => {}
        }
    }
    state
}

/// Completed calls that were bought again, and calls of unknown outcome that were bought once more.
fn bought(rows: &[Row], pids: &BTreeSet<Pid>) -> Result<(u64, u64), Fail> {
    let mut answered: BTreeSet<EffectId> = BTreeSet::new();
    let mut steps: BTreeSet<(Pid, EffectId)> = BTreeSet::new();
    let mut asked: BTreeMap<EffectId, u64> = BTreeMap::new();
    let (mut again, mut lost) = (0, 0_u64);
    for row in rows.iter().filter(|row| pids.contains(&row.record.pid)) {
        match &row.record.body {
            Entry::ModelIntended { effect, .. } => {
                *asked.entry(*effect).or_default() += 1;
                again += u64::from(answered.contains(effect));
            }
            Entry::ModelAnswered { effect, .. } => {
                let is_new = answered.insert(*effect) && steps.insert((row.record.pid, *effect));
                again += u64::from(!is_new);
            }
            Entry::ModelLost { .. } => lost += 1,
            _ => {}
        }
    }
    let once_more: u64 = asked.values().map(|times| times.saturating_sub(1)).sum();
    let most = asked.values().copied().max().unwrap_or(0);
    expect(most <= 2, "each call of unknown outcome is bought at most once more", &format!("{most} times"))?;
    expect(
        lost == once_more,
        "every second purchase has a lost first one",
        &format!("{once_more} for {lost}"),
    )?;
    Ok((again, once_more))
}
