//! Act 4: kill -9 with a turn in each state: before its next model call, during one, and after one whose
//! answer is durable but not yet used. In which state each turn was is read from the log afterwards, not
//! assumed.
//!
//! The third state lasts about as long as one commit, so it is met by killing at the moment the answer's
//! record arrives, and the round is repeated if it was missed.

use super::play::{self, act, expect, line};
use crate::{
    Start,
    clock::{self, Deadline},
    fail::Fail,
    figures,
    journal::{Follower, Heard, Row},
    session::Session,
};
use abi::{
    EffectId, Pid,
    record::{Entry, Exit},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Rounds until every state was met.
const ROUNDS_MAX: usize = 8;
/// Half of the time a model call of the script takes.
const HALF_A_CALL: Duration = Duration::from_millis(75);
/// How long the daemon's end of the socket may stay open after kill -9.
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
    while kills < ROUNDS_MAX as u64 && met.len() < 3 {
        let new = round(session, kills)?;
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
fn round(session: &mut Session, number: u64) -> Result<Vec<Pid>, Fail> {
    let start = play::now(session)?;
    let task = |what: &str| format!("Survive a crash{what}, round {}.", number + 1);
    let slow = play::spawn(session, "drafts", "Survive a crash slowly.")?;
    play::until(session, start, "a turn rests before its next call", |row| {
        (row.record.pid == slow && matches!(row.record.body, Entry::ToolWaits { .. })).then_some(())
    })?;
    let mut follower = Follower::new(session, start)?;
    let answered = play::spawn(session, "drafts", &task(""))?;
    clock::pause(HALF_A_CALL);
    let asked = play::spawn(session, "drafts", &task(""))?;
    let deadline = Deadline::after(play::LOG_WAIT);
    loop {
        match follower.next(Some(deadline), None)? {
            Heard::Row(row) if is_answer(&row, answered) => break,
            Heard::Late => expect(false, "a model answers within 15 s", "none did")?,
            Heard::Row(_) | Heard::Woken => {}
        }
    }
    kill(session)?;
    session.start_and_keep(Start::Demo)?;
    Ok(vec![slow, answered, asked])
}

fn is_answer(row: &Row, pid: Pid) -> bool {
    row.record.pid == pid && matches!(row.record.body, Entry::ModelAnswered { .. })
}

/// Kills the daemon and waits until it is dead.
fn kill(session: &mut Session) -> Result<(), Fail> {
    let daemon = session.client()?.peer()?;
    expect(daemon != rustix::process::getpid(), "the daemon is a process of its own", "it is this one")?;
    rustix::process::kill_process(daemon, rustix::process::Signal::KILL)
        .map_err(|error| Fail::new(format!("the daemon cannot be killed: {error}")))?;
    let client = session.disconnect();
    let dead = client.is_none_or(|mut client| client.closed(Deadline::after(DEATH_WAIT)));
    expect(dead, "kill -9 kills", "the daemon lives")
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
