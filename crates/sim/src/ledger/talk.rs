//! `history`: a turn begins with exactly what was said before in its session, by whoever it belongs to, and
//! with nothing of any other; one without a session begins with nothing.

use super::{Finding, finding};
use abi::{
    Content, Pid,
    effect::{Item, Role},
    limits,
    record::{Entry, Exit, Record},
    session::SessionName,
};
use std::collections::BTreeMap;

/// Agent, and whose session it is.
type Key = (String, SessionName);

/// A turn of a session: what it was told, what it said, how it ended.
struct Round {
    pid: Pid,
    told: Vec<Content>,
    said: Option<Content>,
    end: Option<Exit>,
}

/// All sessions there were; nothing is forgotten here.
#[derive(Default)]
pub struct Talk {
    rounds: BTreeMap<Key, Vec<Round>>,
    living: BTreeMap<Pid, Key>,
    agents: BTreeMap<Pid, String>,
}

impl Talk {
    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Option<Finding> {
        match &record.body {
            Entry::Spawned { pid, agent, parent, .. } => {
                let from = self.agents.get(parent).cloned().unwrap_or_default();
                self.agents.insert(*pid, agent.clone());
                self.spawned(record, from)
            }
            Entry::Steered { pid, item, .. } => {
                self.round(*pid)?.told.push(item.content);
                None
            }
            Entry::Exited { pid, exit, result, .. } => {
                let (exit, result) = (exit.clone(), *result);
                let round = self.round(*pid)?;
                (round.said, round.end) = (result, Some(exit));
                self.living.remove(pid);
                None
            }
            _ => None,
        }
    }

    fn round(&mut self, pid: Pid) -> Option<&mut Round> {
        let key = self.living.get(&pid)?;
        self.rounds.get_mut(key)?.iter_mut().rev().find(|round| round.pid == pid)
    }

    fn spawned(&mut self, record: &Record, from: String) -> Option<Finding> {
        let Entry::Spawned { pid, agent, task, by, session, history, restarts, .. } = &record.body else {
            return None;
        };
        let wrong = |what: &str| Some(finding("history", format!("process {pid} at {}: {what}", record.seq)));
        let Some(name) = session else {
            return if history.is_empty() { None } else { wrong("it has a history and no session") };
        };
        if (&name.by, &name.from) != (by, &from) {
            return wrong("its session is another's");
        }
        let key = (agent.clone(), name.clone());
        let rounds = self.rounds.entry(key.clone()).or_default();
        if *restarts > 0 && rounds.last().is_some_and(|last| last.said.is_none() && last.told[0] == *task) {
            rounds.pop();
        }
        let wanted = remembered(rounds);
        rounds.push(Round { pid: *pid, told: vec![*task], said: None, end: None });
        self.living.insert(*pid, key);
        if wanted == *history {
            return None;
        }
        wrong(&format!("it began with {} items, of {} that were said", history.len(), wanted.len()))
    }
}

/// The last rounds, as many as fit.
fn remembered(rounds: &[Round]) -> Vec<Item> {
    let mut all: Vec<Vec<Item>> = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for round in rounds.iter().rev() {
        let mut items: Vec<Item> =
            round.told.iter().map(|content| Item { role: Role::User, content: *content }).collect();
        items.extend(round.said.map(|content| Item { role: Role::Assistant, content }));
        count += items.len() + usize::from(round.said.is_none());
        bytes += items.iter().map(|item| item.content.bytes).sum::<u64>();
        if count > limits::SESSION_ITEMS_MAX || bytes > limits::SESSION_BYTES_MAX {
            break;
        }
        if let (None, Some(end)) = (round.said, &round.end) {
            let how = match end {
                Exit::Exited(code) => format!("exited {code}"),
                Exit::Killed(why) => format!("killed: {why}"),
                Exit::Faulted(why) => format!("faulted: {why}"),
            };
            let note = format!(
                "Note from the kernel: the turn ended without an answer ({how}); do not take it up unasked."
            );
            items.push(Item { role: Role::User, content: Content::of(note.as_bytes()) });
        }
        all.push(items);
    }
    all.into_iter().rev().flatten().collect()
}
