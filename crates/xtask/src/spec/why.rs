//! why: every record that led to an effect, in a log of 1,000,000, most of them sealed.
//!
//! ```text
//! mail ──▶ scribe reads 50 of them, writes a note ──▶ sender reads it, proposes ──▶ approved ──▶ effect
//! around it: 900 processes that read what the one before wrote, and write: a chain through the whole log
//! ```
//!
//! The first part asks for that effect, whose records lie all over the log; the second for the end of the
//! chain, which leads through more records than `why` follows. What the store finds is measured, without the
//! rendering.

use super::{Rig, Row, Target, Times, client, facts};
use abi::{
    AccountId, Content, FileId, Hash, OpId, Pid, ProposalId, ROOT, Seq, VersionId, WORKSPACE,
    call::{Ruling, Subject},
    limits,
    manifest::Recovery,
    path::TreePath,
    record::{Entry, Record, Rule, Seen},
    tree::{Change, Node},
};
use std::{path::Path, time::Instant};
use store::{Durable, Options, Workspace};

const RECORDS: u64 = 1_000_000;
const BATCH: usize = 1_000;
const REPEATS: u64 = 20;
/// Files that the chain goes through.
const FILES: u64 = 1_000;
/// Records of one process of the chain.
const SPAN: u64 = 1_000;
/// Mails, far apart.
const MAILS: u64 = 50;
/// The processes of the effect; those of the chain come after.
const SCRIBE: Pid = Pid(1_000_001);
const SENDER: Pid = Pid(1_000_002);
const PROPOSAL: ProposalId = ProposalId(1);

/// Measures it.
pub fn why(_: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let options = Options { durable: Durable::Null, pages_max: None, segment: None };
    let said = |trouble: store::Trouble| trouble.to_string();
    let mut workspace = write(home.path(), &options)?;
    // What is sealed lies before both snapshots; what stands in them is not asked for here.
    for seq in [RECORDS - 1, RECORDS] {
        workspace.save_snapshot(Seq(seq), b"snapshot").map_err(said)?;
    }
    while workspace.seal().map_err(said)? {}
    let segments = workspace.segments().map_err(said)?;
    if segments < 8 {
        return Err(format!("only {segments} segments are sealed"));
    }
    let effect = Hash::of(b"effect");
    let most = limits::WHY_RECORDS_MAX as u64;
    let asked = [
        ("an effect of 50 mails, sealed log", Subject::Effect(effect), 108, false),
        ("10,000 records, the most there are", Subject::Process(Pid(900)), most, true),
    ];
    let mut rows = Vec::new();
    for (part, subject, expected, cut) in asked {
        let mut times = Times::default();
        for _ in 0..REPEATS {
            let begun = Instant::now();
            let mut batch = workspace.begin().map_err(said)?;
            let reasons = batch.why(subject).map_err(said)?.ok_or("the log knows nothing of it")?;
            times.push(begun.elapsed());
            if reasons.records.len() as u64 != expected || reasons.cut != cut {
                return Err(format!("{part}: {} records, cut {}", reasons.records.len(), reasons.cut));
            }
        }
        let (measured, n) = (times.percentile_us(0.5) / 1e3, times.n());
        let target = Target::AtMost(200.0);
        rows.push(Row { name: "why", part, target, measured, unit: "ms", barriers: 0, n });
    }
    Ok(rows)
}

/// The log.
fn write(dir: &Path, options: &Options) -> Result<Workspace, String> {
    let said = |trouble: store::Trouble| trouble.to_string();
    let mut workspace = Workspace::create(dir, options).map_err(said)?;
    let mut first = facts::records(4);
    first.push(facts::record(first.len() as u64 + 1, "operator:anna", WORKSPACE, directory()));
    let made = first.len() as u64;
    let end = ending();
    let last = RECORDS - end.len() as u64;
    let middle = (made + 1..=last).map(chain);
    let end =
        end.into_iter().zip(last + 1..).map(|((actor, pid, body), seq)| facts::record(seq, actor, pid, body));
    let mut all = first.into_iter().chain(middle).chain(end).peekable();
    while all.peek().is_some() {
        let mut batch = workspace.begin().map_err(said)?;
        batch.put_blob(b"content").map_err(said)?;
        for record in all.by_ref().take(BATCH) {
            batch.append(&record).map_err(said)?;
        }
        batch.commit().map_err(said)?;
    }
    Ok(workspace)
}

/// `/data`.
fn directory() -> Entry {
    let path = TreePath::parse("/data").unwrap_or_else(|_| TreePath::root());
    let content = Content::default();
    let change = Change {
        file: FileId(2),
        dir: ROOT,
        path,
        node: Node::Dir,
        mode: 0o755,
        ..facts::change(0, RECORDS + 1, content)
    };
    Entry::Wrote { op: OpId(RECORDS), changes: vec![change], message: None, undoes: None }
}

/// A version, numbered like its record.
fn wrote(seq: u64, ix: u64) -> Entry {
    let change = facts::change(ix, seq, Content::of(b"content"));
    Entry::Wrote { op: OpId(seq), changes: vec![change], message: None, undoes: None }
}

fn read(ix: u64, version: u64) -> Entry {
    let seen = vec![Seen { path: facts::path(ix), version: Some(VersionId(version)) }];
    let (args, outcome) = (Content::of(b"content"), Content::of(b"content"));
    let (name, about) = ("read".to_owned(), facts::path(ix).to_string());
    Entry::Tool { step: 1, index: 0, name, args, outcome, code: None, fresh: true, about, seen }
}

/// Where mail N lies in the log.
fn mail(ix: u64) -> u64 {
    (ix + 1) * (RECORDS / (MAILS + 2))
}

/// A record of the middle: a mail that comes, or the chain.
fn chain(seq: u64) -> Record {
    if let Some(ix) = (0..MAILS).find(|ix| mail(*ix) == seq) {
        return facts::record(seq, "mount:mail", WORKSPACE, wrote(seq, FILES + ix));
    }
    let pid = Pid(seq / SPAN + 2);
    let body = match seq % SPAN {
        0 => facts::spawned(pid, AccountId(1)),
        at if at.is_multiple_of(2) => wrote(seq, seq % FILES),
        _ => read((seq - 1) % FILES, seq.saturating_sub(1 + SPAN)),
    };
    let (actor, by) =
        if seq.is_multiple_of(SPAN) { ("operator:anna", WORKSPACE) } else { ("agent:triage", pid) };
    facts::record(seq, actor, by, body)
}

/// The last records: who acts, as which process, what.
fn ending() -> Vec<(&'static str, Pid, Entry)> {
    let mut all = vec![
        ("operator:anna", WORKSPACE, facts::spawned(SCRIBE, AccountId(1))),
        ("operator:anna", WORKSPACE, facts::spawned(SENDER, AccountId(1))),
    ];
    all.extend((0..MAILS).map(|ix| ("agent:scribe", SCRIBE, read(FILES + ix, mail(ix)))));
    let note = RECORDS + 2;
    all.push(("agent:scribe", SCRIBE, wrote(note, FILES + MAILS)));
    all.push(("agent:sender", SENDER, read(FILES + MAILS, note)));
    all.push(("agent:sender", SENDER, proposed()));
    all.push((
        "operator:anna",
        WORKSPACE,
        Entry::Decided {
            proposal: PROPOSAL,
            ruling: Ruling::Approve,
            reason: None,
            args: None,
            effect: None,
            digest: None,
            steering: Vec::new(),
        },
    ));
    let effect = Hash::of(b"effect");
    let intended = Entry::Intended {
        effect,
        mount: "outbox".to_owned(),
        kind: "mail.send".to_owned(),
        args: Content::of(b"content"),
        recovery: Recovery::Opaque,
        rule: Rule::Unvouched,
        proposal: Some(PROPOSAL),
        reserved: abi::money::Amounts::default(),
        moves: abi::money::Nano(0),
    };
    all.push(("agent:sender", SENDER, intended));
    all.push((
        "mount:outbox",
        WORKSPACE,
        Entry::EffectEnded { effect, done: true, outcome: Content::of(b"content") },
    ));
    all
}

fn proposed() -> Entry {
    Entry::Proposed {
        proposal: PROPOSAL,
        effect: Hash::of(b"effect"),
        mount: "outbox".to_owned(),
        kind: "mail.send".to_owned(),
        args: Content::of(b"content"),
        digest: Hash::of(b"content"),
        label: facts::label(0),
        rule: Rule::Unvouched,
        about: "at outbox".to_owned(),
        paths: Vec::new(),
        steering: Vec::new(),
        expires: facts::AT,
        content: None,
        group: None,
        step: 0,
    }
}
