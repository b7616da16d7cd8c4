//! The log as lines, as strace shows system calls: time, pid, call, short arguments, verdict, label,
//! duration, tokens, cost. Fed with the records in order, since a duration and a label need what came before.

use crate::{
    escape, figures,
    journal::Row,
    session::{self, Ink, Tone},
    table::{Side, fill},
};
use abi::{
    EffectId, LabelId, Micros, Pid, Seq,
    agent::Verdict,
    call::Ruling,
    control::SecretAct,
    event::Stop,
    halt,
    money::{Amounts, Usage},
    record::{Entry, Exit, Finish, WaitOn},
    tree::Change,
};
use std::collections::BTreeMap;

/// Whether a line says what was done, or is bookkeeping that only `--all` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// What was done.
    Act,
    /// How the kernel keeps its books.
    Book,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Place in the log.
    pub seq: Seq,
    /// When.
    pub at: Micros,
    /// Who acted.
    pub pid: Pid,
    /// What was done.
    pub call: &'static str,
    /// To what.
    pub args: String,
    /// How it went.
    pub verdict: String,
    /// Its tone; `Bad` lines are errors.
    pub tone: Tone,
    /// Label of it, or of the process.
    pub label: String,
    /// Since it began.
    pub took: Option<u64>,
    /// Charged.
    pub charged: Option<Amounts>,
    /// See there.
    pub weight: Weight,
}

/// What the lines before have taught.
#[derive(Clone, Debug, Default)]
pub struct Strace {
    labels: BTreeMap<LabelId, String>,
    processes: BTreeMap<Pid, String>,
    began: BTreeMap<EffectId, (Micros, String)>,
}

/// What one kind of record says: call, arguments, verdict, tone, weight.
struct Said(&'static str, String, String, Tone, Weight);

fn good(call: &'static str, args: String, verdict: impl Into<String>) -> Said {
    Said(call, args, verdict.into(), Tone::Good, Weight::Act)
}

fn bad(call: &'static str, args: String, verdict: impl Into<String>) -> Said {
    Said(call, args, verdict.into(), Tone::Bad, Weight::Act)
}

fn held(call: &'static str, args: String, verdict: impl Into<String>) -> Said {
    Said(call, args, verdict.into(), Tone::Held, Weight::Act)
}

fn book(call: &'static str, args: String) -> Said {
    Said(call, args, String::new(), Tone::Good, Weight::Book)
}

impl Strace {
    /// The line of the next record.
    pub fn line(&mut self, row: &Row) -> Line {
        let record = &row.record;
        self.learn(row);
        let said = self
            .model(row)
            .or_else(|| turn(row))
            .or_else(|| self.effect(row))
            .or_else(|| process(row))
            .or_else(|| file(row))
            .unwrap_or_else(|| books(&record.body));
        let Said(call, args, verdict, tone, weight) = said;
        let label = row.label.clone().or_else(|| self.processes.get(&record.pid).cloned());
        let (took, charged) = (self.took(record.at, &record.body), charged(&record.body));
        let label = label.unwrap_or_default();
        Line {
            seq: record.seq,
            at: record.at,
            pid: record.pid,
            call,
            args,
            verdict,
            tone,
            label,
            took,
            charged,
            weight,
        }
    }

    fn learn(&mut self, row: &Row) {
        let (at, pid) = (row.record.at, row.record.pid);
        let (process, label) = match &row.record.body {
            Entry::LabelDefined { id, label } => {
                self.labels.insert(*id, label.to_string());
                return;
            }
            Entry::Spawned { pid, label, .. } => (*pid, *label),
            Entry::Saw { joined, .. } => (pid, *joined),
            Entry::Steered { pid, joined, .. } => (*pid, *joined),
            Entry::ModelIntended { effect, model, step, .. } => {
                self.began.insert(*effect, (at, format!("{model} step {step}")));
                return;
            }
            Entry::Intended { effect, mount, kind, .. } => {
                self.began.insert(*effect, (at, format!("{kind} at {mount}")));
                return;
            }
            _ => return,
        };
        let text = self.labels.get(&label).cloned().or_else(|| row.label.clone()).unwrap_or_default();
        self.processes.insert(process, text);
    }

    fn what(&self, effect: &EffectId) -> String {
        let short = || effect.to_string().chars().take(8).collect();
        self.began.get(effect).map_or_else(short, |(_, what)| what.clone())
    }

    fn took(&self, at: Micros, body: &Entry) -> Option<u64> {
        match body {
            Entry::ModelAnswered { effect, .. }
            | Entry::ModelFailed { effect, .. }
            | Entry::ModelLost { effect, .. }
            | Entry::EffectEnded { effect, .. } => {
                self.began.get(effect).map(|(since, _)| at.saturating_sub(*since))
            }
            _ => None,
        }
    }

    fn model(&self, row: &Row) -> Option<Said> {
        Some(match &row.record.body {
            Entry::ModelIntended { model, step, attempt, .. } => {
                let again = if *attempt > 1 { format!(" attempt {attempt}") } else { String::new() };
                book("intended", format!("{model} step {step}{again}"))
            }
            Entry::ModelAnswered { effect, stop, tools, disbelieved, .. } => {
                let doubt = if *disbelieved { ", usage disbelieved" } else { "" };
                let verdict = match stop {
                    Stop::End => format!("end{doubt}"),
                    Stop::Tools => format!("{}{doubt}", figures::plural(u64::from(*tools), "tool call")),
                    Stop::Length => format!("cut at its length{doubt}"),
                    Stop::Cut => format!("cut{doubt}"),
                };
                good("model", self.what(effect), verdict)
            }
            Entry::ModelFailed { effect, message, again, .. } => {
                let verdict = if *again { "failed, tries again" } else { "failed" };
                let why = row.text(message).map(|why| format!(": {why}")).unwrap_or_default();
                bad("model", format!("{}{why}", self.what(effect)), verdict)
            }
            Entry::ModelLost { effect, .. } => held("model", self.what(effect), "outcome unknown"),
            Entry::ModelExtended { effect, reserved_out, .. } => {
                book("extended", format!("{} to {reserved_out} tokens out", self.what(effect)))
            }
            _ => return None,
        })
    }

    fn effect(&self, row: &Row) -> Option<Said> {
        Some(match &row.record.body {
            Entry::Proposed { proposal, kind, mount, rule, about, .. } => {
                let at = if mount.is_empty() { about.clone() } else { format!("at {mount}") };
                held("propose", format!("{kind} {at}"), format!("held as {proposal}, {}", rule.word()))
            }
            Entry::Decided { proposal, ruling, reason, .. } => {
                let why = reason.as_ref().and_then(|reason| row.text(reason));
                let args =
                    format!("proposal {proposal}{}", why.map(|why| format!(": {why}")).unwrap_or_default());
                match ruling {
                    Ruling::Approve => good("decide", args, "approved"),
                    Ruling::Reject => bad("decide", args, "rejected"),
                    Ruling::Answer => good("decide", args, "answered"),
                    Ruling::Modify => good("decide", args, "modified"),
                }
            }
            Entry::Lapsed { proposal } => bad("decide", format!("proposal {proposal}"), "expired"),
            Entry::Intended { effect, rule, .. } => {
                Said("intend", self.what(effect), rule.word().into(), Tone::Good, Weight::Act)
            }
            Entry::Dispatched { effect } => book("dispatched", self.what(effect)),
            Entry::EffectEnded { effect, done, outcome } => {
                let said = row.text(outcome).map(|said| format!(": {said}")).unwrap_or_default();
                let args = format!("{}{said}", self.what(effect));
                if *done { good("effect", args, "done") } else { bad("effect", args, "failed") }
            }
            Entry::InDoubt { effect } => held("effect", self.what(effect), "in doubt"),
            _ => return None,
        })
    }
}

fn turn(row: &Row) -> Option<Said> {
    Some(match &row.record.body {
        Entry::Tool { name, code, about, fresh, args, .. } => {
            let args =
                if about.is_empty() { row.text(args).unwrap_or_default().to_owned() } else { about.clone() };
            let args = format!("{name} {args}");
            match code {
                Some(code) => bad("tool", args, code.word()),
                None if *fresh => good("tool", args, "ok"),
                None => good("tool", args, "ok, nothing new"),
            }
        }
        Entry::ExecBegun { exec, dir, text, again, .. } => {
            let text = row.text(text).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
            let again = if *again > 0 { "begun again" } else { "" };
            held("exec", format!("{exec} in {dir}: {text}"), again)
        }
        Entry::ExecEnded { exec, how, kept, .. } => {
            let (how, done) = (finished(how), *how == Finish::Exited(0));
            let what = format!("{exec}{}", if *kept { "" } else { ", nothing kept" });
            if done { good("exec-ended", what, how) } else { bad("exec-ended", what, how) }
        }
        Entry::ExecClaimed { exec, claimed, counted, disbelieved } => {
            let sum = |usage: &Usage| {
                let cached = usage.tokens_cached.saturating_add(usage.tokens_written);
                usage.tokens_in.saturating_add(cached).saturating_add(usage.tokens_out)
            };
            let args = format!("{exec} says {} tokens, {} by the ledger", sum(claimed), sum(counted));
            if *disbelieved { bad("claimed", args, "disbelieved") } else { good("claimed", args, "") }
        }
        Entry::ExecPrompted { exec, words, .. } => good(
            "prompted",
            format!("{exec} {}", if words.is_some() { "is told more" } else { "is told" }),
            "",
        ),
        Entry::PortOpened { port } => good("listens", format!("{} at {}", port.program, port.address), ""),
        Entry::PortClosed { address } => good("listens", address.clone(), "no more"),
        Entry::Forwarded { port, at } => good("open", format!("port {port}"), format!("at 127.0.0.1:{at}")),
        Entry::ToolWaits { name, about, on, .. } => {
            let on = match on {
                WaitOn::Process(pid) => format!("waits for {pid}"),
                WaitOn::Proposal(proposal) => format!("waits for proposal {proposal}"),
                WaitOn::Effect(_) => "waits for the effect".into(),
                WaitOn::Time => "waits".into(),
                WaitOn::Exec(exec) => format!("runs as command {exec}"),
            };
            held("tool", format!("{name} {about}"), on)
        }
        Entry::Stalled { repeats, .. } => held("stalled", format!("the same call {repeats} times"), "noted"),
        Entry::Refused { call, code, about } => bad("call", format!("{call} {about}"), code.word()),
        _ => return None,
    })
}

fn process(row: &Row) -> Option<Said> {
    Some(match &row.record.body {
        Entry::Spawned { pid, agent, task, .. } => {
            let task = row.text(task).unwrap_or_default();
            good("spawn", format!("{agent} {task:?}"), format!("pid {pid}"))
        }
        Entry::Exited { pid, exit, verdict, .. } => {
            let args = format!("{pid} {}", ended(exit));
            match (exit, verdict) {
                (Exit::Exited(0), Verdict::Done) => good("exit", args, "done"),
                (Exit::Exited(0), Verdict::Unverified) => good("exit", args, "unverified"),
                (_, verdict) => bad("exit", args, verdict.word()),
            }
        }
        Entry::Frozen { pids, why } => held("freeze", pids_text(pids), halt::why(why, None)),
        Entry::Thawed { pids } => good("thaw", pids_text(pids), ""),
        Entry::Queued { agent, text, .. } => {
            good("dispatch", format!("{agent} {:?}", row.text(text).unwrap_or_default()), "queued")
        }
        Entry::Steered { pid, .. } => good("steer", pid.to_string(), ""),
        Entry::Granted { cap } => book("grant", format!("{} to {}: {}", cap.id, cap.holder, cap.grant)),
        Entry::Revoked { caps } => book("revoke", format!("{} capabilities", caps.len())),
        _ => return None,
    })
}

fn file(row: &Row) -> Option<Said> {
    Some(match &row.record.body {
        Entry::Saw { path, version, .. } => {
            let what = if version.is_some() { "" } else { " (names)" };
            good("saw", format!("{path}{what}"), "label changed")
        }
        Entry::Wrote { op, changes, undoes, .. } => {
            let call = if undoes.is_some() { "undo" } else { "write" };
            let diverged = changes.iter().any(|change| change.diverged);
            let args = changed(changes);
            match diverged {
                true => held(call, args, format!("op:{op} diverged")),
                false => good(call, args, format!("op:{op}")),
            }
        }
        _ => return None,
    })
}

/// The first path of an operation, and how many more.
pub fn changed(changes: &[Change]) -> String {
    let Some(first) = changes.first() else { return String::new() };
    let own = changes.iter().filter(|change| !change.only_marks(first.mtime)).count();
    let first = first.path.as_str();
    match own {
        0 | 1 => first.to_owned(),
        more => format!("{first} and {} more", more - 1),
    }
}

fn books(body: &Entry) -> Said {
    match body {
        Entry::Woke { lease } => {
            Said("woke", format!("lease {lease}"), String::new(), Tone::Good, Weight::Act)
        }
        Entry::Leased { lease } => good("lease", format!("{lease} since it woke"), ""),
        Entry::Mounted { mount, driver, argument, .. } => {
            good("mount", format!("{mount} {driver} {argument}"), "")
        }
        Entry::Unmounted { mount } => good("unmount", mount.clone(), ""),
        Entry::Quarantined { what, .. } => bad("quarantine", what.clone(), "set aside"),
        Entry::ClockJumped { by } => held("clock", format!("jumped by {} s", by / 1_000_000), "noted"),
        Entry::PolicyLoaded { digest, .. } => {
            good("policy", digest.to_string().chars().take(16).collect(), "")
        }
        Entry::ModelsLoaded { digest, .. } => {
            good("models", digest.to_string().chars().take(16).collect(), "")
        }
        Entry::FellBack { from, to } => {
            held("fallback", format!("{from} failed"), format!("goes on with {to}"))
        }
        Entry::SecretSet { name, act } => {
            let act = match act {
                SecretAct::Keep => "kept",
                SecretAct::Lend => "lent to a connection",
                SecretAct::Forget => "destroyed",
            };
            good("secret", name.clone(), act)
        }
        Entry::OperatorSet { name, uid: Some(uid) } => {
            held("operator", format!("{name} is user {uid}"), "let in")
        }
        Entry::OperatorSet { name, uid: None } => good("operator", name.clone(), "no more"),
        Entry::LimitSet { limit, .. } => good("limit", limit.to_string(), ""),
        Entry::Warned { account, limit } => held("budget", format!("{account}: {limit}"), "comes near"),
        Entry::Genesis { lacks, .. } if !lacks.is_empty() => {
            held("genesis", format!("lacks rules {lacks:?}"), "")
        }
        Entry::LabelDefined { id, label } => book("label", format!("{id} is {label}")),
        Entry::AccountOpened { account, name, .. } => book("account", format!("{account} {name}")),
        Entry::Priced { model, .. } => book("price", model.clone()),
        other => book(other.word(), String::new()),
    }
}

fn charged(body: &Entry) -> Option<Amounts> {
    match body {
        Entry::ModelAnswered { charged, .. }
        | Entry::ModelFailed { charged, .. }
        | Entry::ModelLost { charged, .. } => Some(*charged),
        _ => None,
    }
}

/// How a process ended, in words.
pub fn ended(exit: &Exit) -> String {
    match exit {
        Exit::Exited(code) => format!("exited {code}"),
        Exit::Killed(why) => format!("killed ({why})"),
        Exit::Faulted(why) => format!("faulted ({why})"),
    }
}

fn pids_text(pids: &[Pid]) -> String {
    let words: Vec<String> = pids.iter().take(8).map(Pid::to_string).collect();
    words.join(" ")
}

/// Width of each column; the lines of a running trace cannot wait for the longest.
const WIDTHS: [(&str, usize, Side); 9] = [
    ("TIME", 12, Side::Left),
    ("PID", 4, Side::Right),
    ("CALL", 8, Side::Left),
    ("ARGUMENTS", 44, Side::Left),
    ("VERDICT", 24, Side::Left),
    ("LABEL", 20, Side::Left),
    ("TOOK", 7, Side::Right),
    ("TOKENS", 12, Side::Right),
    ("COST", 8, Side::Right),
];

/// The line above the first.
pub fn head() -> String {
    let cells: Vec<String> = WIDTHS.iter().map(|(name, width, side)| fill(name, *width, *side)).collect();
    cells.join("  ").trim_end().to_owned()
}

impl Line {
    /// Its text, aligned and escaped.
    pub fn print(&self, ink: Ink) -> String {
        let tokens = self.charged.map(|charged| {
            let cache = charged.tokens_cached.saturating_add(charged.tokens_written);
            format!("{}+{}", charged.tokens_in.saturating_add(cache), charged.tokens_out)
        });
        let cells = [
            figures::time(self.at),
            if self.pid == abi::WORKSPACE { String::new() } else { self.pid.to_string() },
            self.call.to_owned(),
            self.args.clone(),
            self.verdict.clone(),
            short(&self.label),
            self.took.map(figures::length).unwrap_or_default(),
            tokens.unwrap_or_default(),
            self.charged.map(|charged| figures::money(charged.money)).unwrap_or_default(),
        ];
        let mut out = String::new();
        for ((cell, (name, width, side)), ix) in cells.iter().zip(&WIDTHS).zip(0..) {
            let cell = fill(&figures::cut(&escape::line(cell), *width), *width, *side);
            out.push_str(if ix == 0 { "" } else { "  " });
            let plain = *name != "VERDICT" || self.tone == Tone::Good;
            out.push_str(&if plain { cell } else { session::paint(&cell, self.tone, ink) });
        }
        out.trim_end().to_owned()
    }

    /// Whether the call column, or the tool's name, is this word.
    pub fn is_call(&self, word: &str) -> bool {
        self.call == word || (self.call == "tool" && self.args.split(' ').next() == Some(word))
    }
}

/// A label for a narrow column: integrity, the first source, and how many more.
fn short(label: &str) -> String {
    let mut words = label.split_whitespace();
    let integrity = words.next().unwrap_or_default();
    let first = words.next().map(|source| source.rsplit_once(':').map_or(source, |(_, name)| name));
    match (first, words.count()) {
        (None, _) => integrity.to_owned(),
        (Some(first), 0) => format!("{integrity} {first}"),
        (Some(first), more) => format!("{integrity} {first} +{more}"),
    }
}

/// How a command ended, in a few words.
pub fn finished(how: &Finish) -> String {
    match how {
        Finish::Exited(0) => "done".to_owned(),
        Finish::Exited(status) => format!("status {status}"),
        Finish::Signal(signal) => format!("signal {signal}"),
        Finish::TimedOut => "too long".to_owned(),
        Finish::Over(what) => format!("too much {what}"),
        Finish::Stopped(why) => why.clone(),
        Finish::Refused { message, .. } => message.clone(),
    }
}
