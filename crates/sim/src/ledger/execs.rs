//! Commands: each ends once, in the sandbox of a process that lives; what one made is written before its end,
//! by the same process, or none of it is. What listens there is closed before the process ends.

use super::{Finding, finding};
use abi::{
    ExecId, Hash, OpId, Pid, Seq, WORKSPACE,
    record::{Entry, Finish, Record},
    tree::Node,
    view::{Change, Commit},
};
use std::collections::{BTreeMap, BTreeSet};

/// See the file's head.
#[derive(Default)]
pub struct Execs {
    running: BTreeMap<ExecId, (Pid, Seq)>,
    dead: BTreeSet<Pid>,
    /// Contents that only this command makes.
    promised: BTreeMap<Hash, ExecId>,
    /// Operations that hold them.
    wrote: BTreeMap<ExecId, BTreeSet<OpId>>,
    discarded: BTreeSet<ExecId>,
    /// Where sandboxes listen, by whose they are.
    ports: BTreeSet<(Pid, String)>,
}

/// Whether it is a file of its own, decided with the others: what is made in the bound directory may wait.
pub fn stays(change: &Change) -> bool {
    let is_bound = change.path.as_str().starts_with(crate::rig::BOUND);
    change.node == Node::File && change.from.is_none() && !is_bound
}

impl Execs {
    /// What a program made, before anybody decided on it.
    pub fn promised(&mut self, exec: ExecId, made: &Commit) {
        let files = made.changes.iter().filter(|change| stays(change));
        self.promised.extend(files.map(|change| (change.content.hash, exec)));
    }

    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut wrong =
            |check, what: String| found.push(finding(check, format!("record {}: {what}", record.seq)));
        match &record.body {
            Entry::ExecBegun { exec, of, again, .. } => {
                if self.dead.contains(of) {
                    wrong("exec-of-dead", format!("command {exec} of process {of}, which has ended"));
                }
                let known = self.running.insert(*exec, (*of, record.seq)).is_some();
                if known != (*again > 0) {
                    wrong("exec-once", format!("command {exec} began for the {again}th time"));
                }
            }
            Entry::ExecEnded { exec, how, kept, .. } => match self.running.remove(exec) {
                None => wrong("exec-once", format!("command {exec} had ended")),
                Some((of, _)) => {
                    let made = self.wrote.remove(exec).unwrap_or_default();
                    if !kept {
                        self.discarded.insert(*exec);
                    }
                    if !kept && !made.is_empty() {
                        wrong(
                            "exec-whole",
                            format!("command {exec} of {of} was discarded, and wrote {made:?}"),
                        );
                    }
                    if made.len() > 1 {
                        wrong("exec-whole", format!("command {exec} made several operations: {made:?}"));
                    }
                    let by_itself = matches!(how, Finish::Exited(_) | Finish::Signal(_));
                    if *kept && !by_itself {
                        wrong("exec-whole", format!("command {exec} was ended ({how:?}), and kept"));
                    }
                }
            },
            Entry::Wrote { op, changes, .. } => {
                for change in changes {
                    let Some(exec) = self.promised.get(&change.content.hash) else { continue };
                    if self.running.contains_key(exec) {
                        self.wrote.entry(*exec).or_default().insert(*op);
                    } else if self.discarded.contains(exec) {
                        wrong("exec-whole", format!("op {op} has what command {exec} made, discarded"));
                    }
                }
            }
            Entry::Exited { pid, .. } => {
                self.dead.insert(*pid);
                if let Some((_, address)) = self.ports.iter().find(|(of, _)| of == pid) {
                    wrong("port-left", format!("process {pid} ended, and listens at {address}"));
                }
                if let Some((exec, _)) = self.running.iter().find(|(_, (of, _))| of == pid) {
                    wrong("exec-of-dead", format!("process {pid} ended, and its command {exec} runs"));
                }
            }
            Entry::PortOpened { .. } | Entry::PortClosed { .. } => {
                self.port(record).into_iter().for_each(|what| wrong("port-once", what));
            }
            _ => {}
        }
        found
    }

    /// What is wrong with a port that opened or closed.
    fn port(&mut self, record: &Record) -> Option<String> {
        let of = record.pid;
        match &record.body {
            Entry::PortOpened { port } => {
                let is_new = self.ports.insert((of, port.address.clone()));
                let wrong = self.dead.contains(&of) || !is_new;
                wrong.then(|| format!("{of} listens at {} twice, or is dead", port.address))
            }
            Entry::PortClosed { address } => {
                let was = self.ports.remove(&(of, address.clone()));
                (!was).then(|| format!("{of} did not listen at {address}"))
            }
            _ => None,
        }
    }

    /// Commands that never ended.
    pub fn left(&self) -> Vec<Finding> {
        let left = self.running.iter();
        left.map(|(exec, (of, _))| {
            let whose = if *of == WORKSPACE { "the operator".to_owned() } else { format!("process {of}") };
            finding("exec-left", format!("command {exec} of {whose} never ended"))
        })
        .collect()
    }
}
