//! `skep why`: what led to something, back to the bytes and the people it came from. The daemon finds the
//! records (`trace {why}`); here they become a tree.

use crate::{
    cause::{self, Causes, Source},
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Row},
    past::{self, Named},
    session::{Session, Tone},
};
use abi::{EffectId, LabelId, OpId, Pid, ProposalId, Seq, VersionId, call::Subject, record::Entry};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Hexadecimal digits of an effect's name.
const EFFECT_DIGITS: usize = 64;

/// What led to it: the rule, the files it came from, who wrote those, and who decided
#[derive(Debug, clap::Args)]
pub struct Why {
    /// A proposal (3), pid:12, op:34, a path or a version of it (PATH@12), effect:HASH (its beginning will
    /// do), label:5, version:12; a number that is no proposal is a process; `label 12`: what raised the label
    /// of process 12
    #[arg(value_name = "WHAT")]
    what: String,
    /// After `label`
    #[arg(value_name = "PID")]
    pid: Option<u64>,
}

impl Why {
    pub fn run(self, session: &mut Session) -> Outcome {
        match (self.what.as_str(), self.pid) {
            ("label", Some(pid)) => {
                let (_, rows) = ask(session, Subject::Process(Pid(pid)))?;
                return super::raised::run(session, &rows, Pid(pid));
            }
            (_, None) => {}
            (what, Some(pid)) => {
                return Err(Fail::usage(format!("{what:?} takes no second word"))
                    .hint(format!("skep why label {pid}")));
            }
        }
        let (subject, rows) = found(session, &self.what)?;
        if session.is_json() {
            rows.iter().try_for_each(|row| session.object(&row.raw))?;
            return Ok(Exit::Fine);
        }
        match subject {
            Subject::Proposal(id) => proposal(session, &rows, id),
            Subject::Process(pid) => process(session, &rows, pid),
            Subject::Version(id) => tree(session, &Causes::of(&rows).of_version(id)),
            Subject::Operation(op) => tree(session, &operation(&rows, op)),
            Subject::Effect(id) => {
                session.say(&format!("effect {id}"))?;
                tree(session, &Causes::of(&rows).of_effect(&id))
            }
            Subject::Label(id) => {
                session.say(&format!("label {id}"))?;
                tree(session, &Causes::of(&rows).of_label(id))
            }
        }
    }
}

/// What is meant, and the records that led to it.
fn found(session: &mut Session, what: &str) -> Result<(Subject, Vec<Row>), Fail> {
    if let Ok(id) = what.parse::<u64>() {
        return match ask(session, Subject::Proposal(ProposalId(id))) {
            Err(fail) if fail.is(abi::Code::NotFound) => {
                ask(session, Subject::Process(Pid(id))).map_err(|fail| match fail.is(abi::Code::NotFound) {
                    true => Fail::new(format!("neither a proposal nor a process {id} was ever here"))
                        .hint("skep inbox, skep ps --all"),
                    false => fail,
                })
            }
            answer => answer,
        };
    }
    let subject = subject(session, what)?;
    ask(session, subject)
}

fn subject(session: &mut Session, what: &str) -> Result<Subject, Fail> {
    let bad = || {
        Fail::usage(format!("{what:?} is nothing that can be asked about"))
            .hint("3, pid:12, op:34, PATH, PATH@12, effect:HASH, label:5")
    };
    if what.starts_with('/') {
        let version = match Named::parse(what)? {
            Named::Version(path, id) => past::version(session, &path, id)?.id,
            _ => past::head(session, what)?.id,
        };
        return Ok(Subject::Version(VersionId(version)));
    }
    let (kind, id) = what.split_once(':').ok_or_else(bad)?;
    if kind == "effect" {
        return effect(session, id).map(Subject::Effect);
    }
    let number: u64 = id.parse().map_err(|_| bad())?;
    Ok(match kind {
        "proposal" => Subject::Proposal(ProposalId(number)),
        "pid" | "process" => Subject::Process(Pid(number)),
        "op" | "operation" => Subject::Operation(OpId(number)),
        "version" => Subject::Version(VersionId(number)),
        "label" => Subject::Label(LabelId(u32::try_from(number).map_err(|_| bad())?)),
        _ => return Err(bad()),
    })
}

/// The effect whose name begins so.
fn effect(session: &mut Session, name: &str) -> Result<EffectId, Fail> {
    let bad = || {
        Fail::usage(format!("{name:?} is no beginning of an effect's name"))
            .hint("4 to 64 hexadecimal digits; skep trace --json shows them")
    };
    if name.len() == EFFECT_DIGITS {
        return name.parse().map_err(|_| bad());
    }
    if name.len() < 4 || name.len() > EFFECT_DIGITS || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let name = name.to_ascii_lowercase();
    let mut found: BTreeSet<EffectId> = BTreeSet::new();
    journal::read(session, Seq(0), &mut |row| {
        let id = match &row.record.body {
            Entry::Intended { effect, .. }
            | Entry::Proposed { effect, .. }
            | Entry::ModelIntended { effect, .. } => effect,
            _ => return Ok(()),
        };
        if id.to_string().starts_with(&name) {
            found.insert(*id);
        }
        Ok(())
    })?;
    match (found.len(), found.first()) {
        (1, Some(id)) => Ok(*id),
        (0, _) => Err(Fail::new(format!("no effect's name begins with {name}")).hint("skep trace --json")),
        (some, _) => {
            Err(Fail::new(format!("{some} effects begin with {name}")).hint("give more digits of it"))
        }
    }
}

/// Asks the daemon.
fn ask(session: &mut Session, subject: Subject) -> Result<(Subject, Vec<Row>), Fail> {
    let word = match subject {
        Subject::Version(id) => format!("version:{id}"),
        Subject::Operation(id) => format!("operation:{id}"),
        Subject::Proposal(id) => format!("proposal:{id}"),
        Subject::Effect(id) => format!("effect:{id}"),
        Subject::Process(id) => format!("pid:{id}"),
        Subject::Label(id) => format!("label:{id}"),
    };
    let mut answer = session.call("trace", json!({ "why": word }))?;
    if answer.get("cut").and_then(Value::as_bool) == Some(true) {
        let most = figures::count(abi::limits::WHY_RECORDS_MAX as u64);
        session.note(&format!("more than {most} records led to it; the oldest are not shown"));
    }
    let records = answer.get_mut("records").map(Value::take);
    let records = records.and_then(|records| records.as_array().cloned()).unwrap_or_default();
    Ok((subject, records.into_iter().filter_map(Row::parse).collect()))
}

fn proposal(session: &mut Session, rows: &[Row], id: ProposalId) -> Outcome {
    let causes = Causes::of(rows);
    let proposed = causes.find(|body| matches!(body, Entry::Proposed { proposal, .. } if *proposal == id));
    let Some(row) = proposed else { return Ok(Exit::Bad) };
    let Entry::Proposed { kind, mount, rule, about, label, effect, .. } = &row.record.body else {
        return Ok(Exit::Bad);
    };
    let place = if mount.is_empty() { about.clone() } else { format!("at {mount}") };
    session.say(&format!("proposal {id}  {} {}", escape::line(kind), escape::line(&place)))?;
    let pid = row.record.pid;
    let by = format!("by          {}, process {pid}{}", row.record.actor, task(&causes, pid));
    session.say(&escape::line(&by))?;
    let tone = session.paint(rule.word(), Tone::Held);
    session.say(&format!("held by     {tone}: {}", rule.sentence()))?;
    let text = row.label.clone().unwrap_or_else(|| format!("label {label}"));
    session.say(&format!("label       {}", escape::line(&text)))?;
    let decided = causes.decided(id);
    if decided.is_empty() {
        session.say("decided     not yet: it waits for you")?;
    }
    for told in decided {
        session.say(&escape::line(&format!("decided     {told}")))?;
    }
    for row in rows {
        if let Entry::EffectEnded { effect: it, done, outcome } = &row.record.body
            && it == effect
        {
            let word = if *done { "done" } else { "failed" };
            let said = row.text(outcome).unwrap_or_default();
            session.say(&escape::line(&format!("effect      {word} {said}")))?;
        }
    }
    sources(session, &causes.of_process(pid, row.record.seq))?;
    session.hint(&format!("skep inbox {id} shows the exact arguments; skep cat PATH reads a source"));
    Ok(Exit::Fine)
}

fn process(session: &mut Session, rows: &[Row], pid: Pid) -> Outcome {
    let causes = Causes::of(rows);
    let began = causes.find(|body| matches!(body, Entry::Spawned { pid: it, .. } if *it == pid));
    let Some(Entry::Spawned { agent, .. }) = began.map(|row| &row.record.body) else { return Ok(Exit::Bad) };
    session.say(&escape::line(&format!("process {pid}  {agent}{}", task(&causes, pid))))?;
    cause::fate(rows, pid).iter().try_for_each(|line| session.say(line))?;
    sources(session, &causes.of_process(pid, Seq(u64::MAX)))?;
    Ok(Exit::Fine)
}

fn operation(rows: &[Row], op: OpId) -> Vec<String> {
    let causes = Causes::of(rows);
    let wrote = causes.find(|body| matches!(body, Entry::Wrote { op: it, .. } if *it == op));
    let Some(Entry::Wrote { changes, .. }) = wrote.map(|row| &row.record.body) else { return Vec::new() };
    let versions: Vec<VersionId> = changes.iter().map(|change| change.version).collect();
    causes.of_changes(&versions)
}

fn task(causes: &Causes<'_>, pid: Pid) -> String {
    let row = causes.find(|body| matches!(body, Entry::Spawned { pid: it, .. } if *it == pid));
    let text = row.and_then(|row| match &row.record.body {
        Entry::Spawned { task, .. } => row.text(task),
        _ => None,
    });
    text.map(|text| format!(", task \"{}\"", figures::cut(text, 60))).unwrap_or_default()
}

fn sources(session: &mut Session, lines: &[String]) -> Result<(), Fail> {
    session.say("sources     what it had read, newest first; the oldest cause stands last")?;
    lines.iter().try_for_each(|line| session.say(&format!("  {line}")))
}

fn tree(session: &mut Session, lines: &[String]) -> Outcome {
    lines.iter().try_for_each(|line| session.say(line))?;
    session.hint("skep diff PATH@VERSION shows what a version changed; skep logs PID what a process did");
    Ok(Exit::Fine)
}

/// What the process of a proposal had read before, newest first.
pub fn sources_of(session: &mut Session, id: ProposalId) -> Result<Vec<Source>, Fail> {
    let (_, rows) = ask(session, Subject::Proposal(id))?;
    let causes = Causes::of(&rows);
    let proposed = causes.find(|body| matches!(body, Entry::Proposed { proposal, .. } if *proposal == id));
    Ok(proposed.map(|row| causes.sources(row.record.pid, row.record.seq)).unwrap_or_default())
}
