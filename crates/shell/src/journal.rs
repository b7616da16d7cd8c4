//! Records of the log as a client gets them: `{RECORD, "label_text": TEXT, "texts": {HASH: TEXT}}`. Reads
//! them page by page and follows them; keeps what the records say about who is below whom. Never here: what
//! to print.

use crate::{
    client::{Client, Got, Note},
    clock::Deadline,
    fail::Fail,
    session::Session,
};
use abi::{
    Content, Pid, ProposalId, Seq,
    record::{Entry, Exit, Record},
    tree::{Change, Node},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    os::unix::net::UnixStream,
};

/// Records asked for at a time.
pub const PAGE: u32 = 2000;

/// A record with the texts it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// It.
    pub record: Record,
    /// The label its body names, in words.
    pub label: Option<String>,
    /// As it came, for `--json`.
    pub raw: Value,
}

impl Row {
    /// Reads one; none when it is of a kind this version does not know.
    pub fn parse(raw: Value) -> Option<Self> {
        let record: Record = serde_json::from_value(raw.clone()).ok()?;
        let label = raw.get("label_text").and_then(Value::as_str).map(str::to_owned);
        Some(Self { record, label, raw })
    }

    /// The beginning of a text it names.
    pub fn text(&self, content: &Content) -> Option<&str> {
        self.raw.get("texts")?.get(content.hash.to_string())?.as_str()
    }

    /// The processes it is about: the one that acted and those its body names.
    pub fn concerns(&self) -> BTreeSet<Pid> {
        let mut pids = BTreeSet::from([self.record.pid]);
        match &self.record.body {
            Entry::Spawned { pid, .. } | Entry::Exited { pid, .. } => pids.extend([*pid]),
            Entry::Stalled { pid, .. } | Entry::Steered { pid, .. } => pids.extend([*pid]),
            Entry::Frozen { pids: named, .. } | Entry::Thawed { pids: named } => pids.extend(named),
            _ => {}
        }
        pids
    }
}

/// A process and all that were started below it, learned from records in order.
#[derive(Clone, Debug, Default)]
pub struct Family {
    root: Option<Pid>,
    pids: BTreeSet<Pid>,
}

impl Family {
    /// Of this process; of everybody when none is given.
    pub fn of(root: Option<Pid>) -> Self {
        Self { root, pids: root.into_iter().collect() }
    }

    /// Whether the record is about one of them. Records are to be shown to it in order.
    pub fn has(&mut self, row: &Row) -> bool {
        if self.root.is_none() {
            return true;
        }
        if let Entry::Spawned { pid, parent, .. } = &row.record.body
            && self.pids.contains(parent)
        {
            self.pids.insert(*pid);
        }
        row.concerns().iter().any(|pid| self.pids.contains(pid))
    }

    /// Whether this process is one of them, as far as is known.
    pub fn holds(&self, pid: Pid) -> bool {
        self.root.is_none() || self.pids.contains(&pid)
    }
}

/// Reads the log after a record to its present end, in order; answers the last place.
pub fn read(
    session: &mut Session,
    after: Seq,
    each: &mut dyn FnMut(Row) -> Result<(), Fail>,
) -> Result<Seq, Fail> {
    pages(session, (after, json!({"limit": PAGE})), each)
}

/// The records of a process and those below it, to their present end.
pub fn of(
    session: &mut Session,
    pid: Pid,
    each: &mut dyn FnMut(Row) -> Result<(), Fail>,
) -> Result<Seq, Fail> {
    pages(session, (Seq(0), json!({"limit": PAGE, "pid": pid})), each)
}

fn pages(
    session: &mut Session,
    (after, mut params): (Seq, Value),
    each: &mut dyn FnMut(Row) -> Result<(), Fail>,
) -> Result<Seq, Fail> {
    let mut at = after;
    loop {
        if let Some(map) = params.as_object_mut() {
            map.insert("from".into(), json!(at.0));
        }
        let answer = session.call("trace", params.clone())?;
        let (last, count) = page(answer, at, each)?;
        if count == 0 || last == at {
            return Ok(at);
        }
        at = last;
    }
}

/// All of it.
pub fn all(session: &mut Session) -> Result<Vec<Row>, Fail> {
    let mut rows = Vec::new();
    read(session, Seq(0), &mut |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// The records of one answer of `trace`; answers the last place and how many.
pub fn page(
    answer: Value,
    at: Seq,
    each: &mut dyn FnMut(Row) -> Result<(), Fail>,
) -> Result<(Seq, usize), Fail> {
    let mut answer = answer;
    let records = match answer.get_mut("records").map(Value::take) {
        Some(Value::Array(records)) => records,
        _ => Vec::new(),
    };
    let count = records.len();
    let mut last = at;
    for raw in records {
        let seq = raw.get("seq").and_then(Value::as_u64).unwrap_or_default();
        last = last.max(Seq(seq));
        if let Some(row) = Row::parse(raw).filter(|_| Seq(seq) > at) {
            each(row)?;
        }
    }
    Ok((last, count))
}

/// What a follower hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The next record.
    Row(Box<Row>),
    /// What a model of this process is just saying.
    Preview(Pid, String),
    /// The other stream can be read.
    Woken,
    /// The time is over.
    Late,
}

/// Reads the log after a record, in order, and goes on as records come; on a connection of its own.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    aim: Value,
    at: Seq,
    waiting: VecDeque<Row>,
    live: bool,
}

impl Follower {
    /// After this record.
    pub fn new(session: &mut Session, after: Seq) -> Result<Self, Fail> {
        let client = session.another()?;
        let aim = session.aim(json!({"limit": PAGE}));
        Ok(Self { client, aim, at: after, waiting: VecDeque::new(), live: false })
    }

    /// The next record; waits for it until a deadline or until the other stream can be read.
    pub fn next(&mut self, until: Option<Deadline>, wake: Option<&UnixStream>) -> Result<Heard, Fail> {
        loop {
            if let Some(row) = self.waiting.pop_front() {
                return Ok(Heard::Row(Box::new(row)));
            }
            if !self.live {
                self.turn_page()?;
                continue;
            }
            match self.client.next(until, wake)? {
                Got::Note(Note::Record(raw)) => self.take(raw),
                Got::Note(Note::Preview(pid, text)) => return Ok(Heard::Preview(Pid(pid), text)),
                Got::TimedOut => return Ok(Heard::Late),
                Got::Woken => return Ok(Heard::Woken),
                Got::Note(Note::Other | Note::Output(_) | Note::Screen { .. }) | Got::Reply(..) => {}
            }
        }
    }

    /// What the log holds already comes in pages; after the last, the daemon is asked to go on by itself.
    fn turn_page(&mut self) -> Result<(), Fail> {
        let mut params = self.aim.clone();
        if let Some(map) = params.as_object_mut() {
            map.insert("from".into(), json!(self.at.0));
        }
        let count = self.page(params.clone())?;
        if count == 0 {
            if let Some(map) = params.as_object_mut() {
                map.insert("follow".into(), json!(true));
            }
            self.live = true;
            self.page(params)?;
        }
        Ok(())
    }

    fn page(&mut self, params: Value) -> Result<usize, Fail> {
        let before = self.at;
        let mut answer = self.client.call("trace", params)?;
        if let Some(Value::Array(records)) = answer.get_mut("records").map(Value::take) {
            records.into_iter().for_each(|raw| self.take(raw));
        }
        Ok(usize::try_from(self.at.0 - before.0).unwrap_or(usize::MAX))
    }

    fn take(&mut self, raw: Value) {
        let seq = Seq(raw.get("seq").and_then(Value::as_u64).unwrap_or_default());
        if seq > self.at {
            self.at = seq;
            self.waiting.extend(Row::parse(raw));
        }
    }
}

/// What a model said, with the tools it asked for: its answer is `{"text": TEXT, "tools": [TOOL]}`. The text
/// itself when it is something else, or only the beginning of an answer.
pub fn said(text: &str) -> (String, Vec<String>) {
    let answer: Option<Value> = serde_json::from_str(text).ok();
    let parts =
        answer.as_ref().and_then(|answer| Some((answer.get("text")?.as_str()?, answer.get("tools")?)));
    let Some((said, tools)) = parts else { return (text.to_owned(), vec![]) };
    let names = tools.as_array().into_iter().flatten().filter_map(|tool| tool.get("name")?.as_str());
    (said.to_owned(), names.map(str::to_owned).collect())
}

/// What waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The first of those that are decided with it.
    pub group: ProposalId,
    /// What it is, in a few words.
    pub what: String,
    /// Whether an answer is wanted.
    pub is_question: bool,
}

/// What a run cost, added up from its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bill {
    /// Model calls that ended, in whatever way.
    pub calls: u64,
    /// Input tokens, cached ones too.
    pub tokens_in: u64,
    /// Those of them that a cache had.
    pub tokens_cached: u64,
    /// Output tokens.
    pub tokens_out: u64,
    /// At list price.
    pub money: abi::money::Nano,
    /// Paths that were changed.
    pub paths: BTreeSet<String>,
    /// Those of them that are files which were not there before.
    pub fresh: BTreeSet<String>,
    /// Where its programs listen, by process, and how many of those are closed again.
    pub ports: BTreeSet<(Pid, String)>,
    pub closed: u64,
    /// How often its programs connected to somebody.
    pub connected: u64,
    /// How often they were not let, or did not get there.
    pub refused: u64,
    /// Proposals it made that still wait.
    pub held: BTreeMap<ProposalId, Held>,
    /// How it ended.
    pub ended: Option<(Exit, abi::agent::Verdict, Option<Content>)>,
}

impl Bill {
    /// Adds one record.
    pub fn add(&mut self, row: &Row) {
        match &row.record.body {
            Entry::ModelAnswered { charged, .. }
            | Entry::ModelFailed { charged, .. }
            | Entry::ModelLost { charged, .. } => self.charge(charged),
            Entry::Wrote { changes, .. } => {
                changes.iter().for_each(|change| self.change(change));
            }
            Entry::Refused { call, .. } if call == "net" => self.refused = self.refused.saturating_add(1),
            Entry::Connected { .. } => self.connected = self.connected.saturating_add(1),
            Entry::PortOpened { port } => _ = self.ports.insert((row.record.pid, port.address.clone())),
            Entry::PortClosed { address } => {
                let was = self.ports.remove(&(row.record.pid, address.clone()));
                self.closed = self.closed.saturating_add(u64::from(was));
            }
            Entry::Proposed { proposal, kind, mount, about, group, .. } => {
                let is_question = mount == "operator" && kind == "ask";
                let what = match (is_question, mount.as_str()) {
                    (true, _) | (_, "operator") => about.clone(),
                    (_, "") => format!("{kind} {about}"),
                    _ => format!("{kind} at {mount}"),
                };
                self.held.insert(*proposal, Held { group: group.unwrap_or(*proposal), what, is_question });
            }
            _ => {}
        }
    }

    fn change(&mut self, change: &Change) {
        let path = change.path.to_string();
        let moved = change.moved_from.as_ref().is_some_and(|from| self.fresh.remove(from.as_str()));
        let is_new = change.parents.is_empty() && !self.paths.contains(&path);
        if change.node == Node::Gone {
            self.fresh.remove(&path);
        } else if moved || (is_new && change.node != Node::Dir && !change.diverged) {
            self.fresh.insert(path.clone());
        }
        self.paths.insert(path);
    }

    /// Somebody decided meanwhile, or time did.
    pub fn decided(&mut self, row: &Row) {
        if let Entry::Decided { proposal, .. } | Entry::Lapsed { proposal } = &row.record.body {
            self.held.remove(proposal);
        }
    }

    /// What still waits, by what is decided at once.
    pub fn waiting(&self) -> Vec<(Vec<ProposalId>, &Held)> {
        let mut groups: BTreeMap<ProposalId, (Vec<ProposalId>, &Held)> = BTreeMap::new();
        for (id, held) in &self.held {
            groups.entry(held.group).or_insert_with(|| (Vec::new(), held)).0.push(*id);
        }
        groups.into_values().collect()
    }

    fn charge(&mut self, charged: &abi::money::Amounts) {
        let count = |amount: i64| u64::try_from(amount).unwrap_or(0);
        self.calls += 1;
        let cache = count(charged.tokens_cached) + count(charged.tokens_written);
        self.tokens_in += count(charged.tokens_in) + cache;
        self.tokens_cached += count(charged.tokens_cached);
        self.tokens_out += count(charged.tokens_out);
        self.money = abi::money::Nano(self.money.0.saturating_add(charged.money.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, pid: u64, body: Value) -> Row {
        let raw = json!({"seq": seq, "at": 1, "actor": "agent:x", "pid": pid, "cause": seq, "body": body});
        Row::parse(raw).expect("a record")
    }

    #[test]
    fn a_family_is_a_process_and_all_below_it() {
        let mut family = Family::of(Some(Pid(2)));
        let frozen = |pids: Value| json!({"frozen": {"pids": pids, "why": "asked"}});
        let rows =
            [(1, frozen(json!([2])), true), (1, frozen(json!([3])), false), (2, frozen(json!([])), true)];
        for (pid, body, want) in rows {
            assert_eq!(family.has(&row(9, pid, body.clone())), want, "{pid} {body}");
        }
    }

    #[test]
    fn an_answer_is_its_text_and_its_tools() {
        let rows = [
            (r#"{"text":"hi","tools":[{"name":"read"},{}]}"#, "hi", vec!["read"]),
            (r#"{"text":"hi"}"#, r#"{"text":"hi"}"#, vec![]),
            (r#"{"text":"hi","tools":[{"na"#, r#"{"text":"hi","tools":[{"na"#, vec![]),
            ("plain", "plain", vec![]),
        ];
        for (raw, text, tools) in rows {
            assert_eq!(said(raw), (text.to_owned(), tools.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn unknown_records_are_passed_over() {
        let raw = json!({"seq": 1, "at": 1, "actor": "a", "pid": 0, "cause": 1, "body": {"invented": {}}});
        assert_eq!(Row::parse(raw), None);
    }
}
