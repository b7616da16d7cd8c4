//! The sink of a running cell: takes what leaves a turn to whom it is for.

use crate::{
    away::Errand,
    bound::{Bounds, look},
    cell::{Cell, Follower, Gauge, Ticket},
    guard::guard,
    journal,
    node::Node,
    secrets,
    timer::Due,
    turn::{Out, Sink},
    walls::Walls,
    workers::Work,
};
use abi::{
    Pid, ReplyTo,
    record::{Entry, Record},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// Carries what one generation of a cell lets out.
pub(crate) struct Post<'a> {
    pub node: &'a Arc<Node>,
    pub cell: &'a Arc<Cell>,
    pub generation: u64,
}

impl Sink for Post<'_> {
    fn ordered(&mut self, out: Out) {
        self.carry(out);
    }

    fn durable(&mut self, out: Out) {
        self.carry(out);
    }

    fn follows(&self) -> bool {
        !guard(&self.cell.desk).followers.is_empty()
    }
}

impl Post<'_> {
    fn carry(&mut self, out: Out) {
        match out {
            Out::Reply { to, answer } => {
                let ticket = guard(&self.cell.desk).waiting.remove(&to);
                if let Some(ticket) = ticket {
                    if let (Some(client), Ok(answer)) = (ticket.client(), &answer) {
                        secrets::began(self.cell, client, answer);
                    }
                    ticket.answer(to, answer);
                }
            }
            Out::Follow { to, pids } => {
                let mut desk = guard(&self.cell.desk);
                if let Some(client) = desk.waiting.get(&to).and_then(Ticket::client).cloned() {
                    // One connection follows once; the last word counts.
                    desk.followers
                        .retain(|held| !Arc::ptr_eq(&held.client, &client) && !held.client.is_dead());
                    desk.followers.push(Follower { client, pids });
                }
            }
            Out::Records(records) => self.show(&records),
            Out::Providers(providers, tiers) => {
                *guard(&self.cell.providers) = providers;
                *guard(&self.cell.tiers) = tiers;
            }
            Out::Model(job) => {
                if guard(&self.cell.away).leave(Errand::Model(job.effect, job.attempt)) {
                    let gauge = Gauge::new(job.reserved_out);
                    guard(&self.cell.gauges).insert(job.effect, gauge.clone());
                    self.work(Work::Model(job, gauge));
                }
            }
            Out::Dispatch(job) => self.errand(Errand::Send(job.effect), Work::Send(job)),
            Out::Probe(job) => self.errand(Errand::Probe(job.effect), Work::Probe(job)),
            Out::Merge(job) => self.work(Work::Merge(job)),
            Out::Look(job) => look::take(self.node, self.cell, self.generation, *job),
            Out::Exec(_)
            | Out::EndExec { .. }
            | Out::Tell { .. }
            | Out::ExecDecided { .. }
            | Out::Sandbox { .. } => {
                Walls::take(self.node, self.cell, self.generation, out);
            }
            Out::NoticeDecided { number, seq } => self.cell.bounds.decided(number, seq),
            Out::Place(job) => Bounds::place(self.node, self.cell, self.generation, job),
            Out::Upload { to } => self.upload(to),
            Out::Next(input) => guard(&self.cell.state).inbox.push_back(*input),
            Out::Extend { effect, reserved_out } => {
                guard(&self.cell.gauges).get(&effect).inspect(|gauge| gauge.extend(reserved_out));
            }
            Out::Cut { effect } => {
                guard(&self.cell.gauges).get(&effect).inspect(|gauge| gauge.cut());
            }
            Out::Timer { timer, after_us } => {
                let fire = Due::Fire { cell: self.cell.clone(), generation: self.generation, timer };
                self.node.timer.at(self.node.clock.mono().saturating_add(after_us), fire);
            }
            Out::ReadDraft(job) => self.work(Work::Draft(job)),
            Out::Control { reply, word } => self.work(Work::Control(reply, word)),
            Out::Alarm(message) => journal::say(&self.cell.name, &message),
        }
    }

    /// A client may send its bytes, or hears why not.
    fn upload(&self, to: ReplyTo) {
        let mut desk = guard(&self.cell.desk);
        let Some(Ticket::Line { client, begun, .. }) = desk.waiting.get_mut(&to) else { return };
        let admitted = match begun.take() {
            Some(begun) => client.may_upload(to, begun),
            None => Ok(()),
        };
        let Err(error) = admitted else { return };
        let ticket = desk.waiting.remove(&to);
        drop(desk);
        if let Some(ticket) = ticket {
            ticket.answer(to, Err(error));
        }
    }

    fn errand(&self, errand: Errand, work: Work) {
        if guard(&self.cell.away).leave(errand) {
            self.work(work);
        }
    }

    fn work(&self, work: Work) {
        self.node.workers.submit(self.node, self.cell, self.generation, work);
    }

    fn show(&self, records: &[(Record, Value)]) {
        let mut desk = guard(&self.cell.desk);
        desk.followers.retain(|follower| !follower.client.is_dead());
        for follower in &mut desk.followers {
            for (record, shown) in records.iter().filter(|(record, _)| wants(&mut follower.pids, record)) {
                let _ = record;
                let params = json!({ "workspace": self.cell.name, "record": shown });
                follower.client.send_line(notice("record", &params));
            }
        }
    }
}

/// Whether a follower wants this record; what its processes start, it wants too.
fn wants(pids: &mut Option<BTreeSet<Pid>>, record: &Record) -> bool {
    let Some(pids) = pids else { return true };
    if let Entry::Spawned { pid, parent, .. } = &record.body
        && pids.contains(parent)
    {
        pids.insert(*pid);
    }
    let about = match &record.body {
        Entry::Spawned { pid, .. } | Entry::Exited { pid, .. } | Entry::Steered { pid, .. } => Some(*pid),
        Entry::Stalled { pid, .. } => Some(*pid),
        _ => None,
    };
    pids.contains(&record.pid) || about.is_some_and(|pid| pids.contains(&pid))
}

/// A JSON-RPC 2.0 notification.
pub(crate) fn notice(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}
