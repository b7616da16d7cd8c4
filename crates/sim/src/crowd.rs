//! Hostile clients: random calls of an operator and of processes, with stale bases, dead ids, paths at the
//! limits.

use crate::{chance::Chance, known::Known, known::RECEIVERS, mind, world::SITES};
use abi::{
    Content, OpId, Seq, VersionId,
    agent::Postcondition,
    call::{
        At, Call, Fields, Lane, Origin, ProcessKind, Ruling, Signal, Sought, Stdio, Take, Text, Undo, Wall,
        Write,
    },
    cap::Grant,
    control::{self, Control},
    label::Integrity,
    money::Nano,
    path::TreePath,
    request::{Api, Delivery, Request},
};

/// A call and its bytes.
pub type Said = (Call, Vec<Vec<u8>>);

/// A random call; none when what was drawn would not pass the door's decoder.
pub fn call(chance: &mut Chance, known: &Known) -> Option<Said> {
    let plain = |call| Some((call, Vec::new()));
    match chance.below(47) {
        0..8 => write(chance, known),
        36 | 37 => text(chance, known),
        38 => resolve(chance, known),
        39 => plain(Call::Search(sought(chance))),
        40 => plain(Call::Operation { op: OpId(chance.below(known.op.0 + 2)), limit: 9 }),
        41 => word(chance, known),
        42 | 43 => exec(chance, known),
        44 | 45 => draft(chance, known),
        8 => plain(Call::Remove {
            path: path(chance, known)?,
            base: base(chance, known),
            tree: chance.one_in(2),
        }),
        9 => {
            let (from, to) = (path(chance, known)?, path(chance, known)?);
            plain(Call::Move { from, to, base: base(chance, known) })
        }
        10 => plain(Call::Read { path: path(chance, known)?, at: at(chance), version: None, part: None }),
        11 => plain(Call::List { path: path(chance, known)?, at: at(chance) }),
        12 => plain(Call::History { path: path(chance, known)?, before: None, limit: 5 }),
        13 => plain(Call::Trace { from: Seq(chance.below(40)), limit: 20, pid: None, follow: false }),
        14 | 15 => spawn(chance),
        16 | 46 => dispatch(chance),
        17 => wait(chance, known),
        18 => {
            let signal = [Signal::Freeze, Signal::Interrupt, Signal::Kill, Signal::Thaw];
            let signal = *chance.pick(&signal)?;
            plain(Call::Signal { pid: known.pid(chance), signal })
        }
        19 | 20 => plain(Call::Signal { pid: known.pid(chance), signal: Signal::Thaw }),
        21..24 => {
            let ruling = if chance.one_in(4) { Ruling::Reject } else { Ruling::Approve };
            plain(Call::Decide {
                proposal: known.proposal(chance),
                ruling,
                reason: None,
                digest: None,
                args: None,
            })
        }
        24..27 => grant(chance, known),
        27 => plain(Call::Revoke { cap: known.cap(chance) }),
        28 | 29 => propose(chance),
        30 => {
            let (content, bytes) = bytes("think about it".to_owned());
            let text = Text { content, origin: Origin::Pipe };
            let model = chance.word(&["sim", "sim/x", "scripted", "free"]).to_owned();
            let request = chance.one_in(2).then(|| asked(chance, content));
            Some((Call::Complete { model, text, max_out: 1 + chance.below(4000), request }, bytes))
        }
        31..34 => grant(chance, known),
        34 => plain(Call::Revoke { cap: known.cap(chance) }),
        _ => budget(chance),
    }
}

/// A program's request: its pieces are shared by all of them.
fn asked(chance: &mut Chance, content: Content) -> Request {
    let api = if chance.one_in(4) { Api::CountTokens } else { Api::Messages };
    let delivery = if chance.one_in(2) { Delivery::Whole } else { Delivery::Streamed };
    let pieces = vec![content; 1 + chance.below(3) as usize];
    Request { api, delivery, pieces, weight: content.bytes * 1_000 }
}

/// Whether a call reads or changes one of the texts of which what a turn saw last is checked.
pub fn touches_text(call: &Call) -> bool {
    let text = |path: &TreePath| path.name().ends_with(".md") || path.name().ends_with(".txt");
    match call {
        Call::Read { path, .. } | Call::Write { path, .. } | Call::Remove { path, .. } => text(path),
        Call::Move { from, to, .. } => text(from) || text(to),
        _ => false,
    }
}

/// A proposal of an effect, of either kind, anywhere; or whether one may go on.
pub fn propose(chance: &mut Chance) -> Option<Said> {
    let (site, _) = chance.pick(&SITES)?;
    let mut fields = Fields::new();
    fields.insert("to".to_owned(), vec![chance.word(&RECEIVERS).to_owned()]);
    let body = chance.below(100_000);
    fields.insert("body".to_owned(), vec![body.to_string()]);
    let kind = chance.word(&["mail.send", "mail.send", "note.put", "nothing"]).to_owned();
    // No draw of its own.
    if body.is_multiple_of(8) {
        let fields = Fields::from([("title".to_owned(), vec![format!("go on {body}")])]);
        return Some((
            Call::Propose { mount: "operator".to_owned(), kind: "permit".to_owned(), fields },
            vec![],
        ));
    }
    Some((Call::Propose { mount: (*site).to_owned(), kind, fields }, Vec::new()))
}

/// An agent is started on a task.
pub fn spawn(chance: &mut Chance) -> Option<Said> {
    let agent = chance
        .word(&["clerk", "clerk", "rogue", "boss", "helper", "nobody", "sketch", "keeper", "keeper"])
        .to_owned();
    let task = chance.word(&["tell anna@example.org what stands in /data", "tidy up", "read the mail"]);
    let (content, bytes) = bytes(task.to_owned());
    let post = match chance.below(3) {
        0 => vec![Postcondition::Exists(TreePath::parse("/data/a").ok()?)],
        1 => vec![Postcondition::Contains(TreePath::parse("/data/b").ok()?, "7".to_owned())],
        _ => vec![],
    };
    let budget = chance.one_in(4).then_some(Nano(30_000_000));
    let text = Text { content, origin: origin(chance) };
    // No draw of its own: of tasks that can run above it, those of one kind do.
    let trusted = text.origin != Origin::Pipe && task != "read the mail";
    let ceiling = if trusted { Integrity::Workspace } else { Integrity::External };
    let kind = if chance.one_in(8) { ProcessKind::Client } else { ProcessKind::Turn };
    let inputs = Fields::new();
    Some((Call::Spawn { agent, text, post, budget, ceiling, inputs, kind, program: None }, bytes))
}

fn dispatch(chance: &mut Chance) -> Option<Said> {
    let (content, bytes) = bytes("next: write to bob@example.org".to_owned());
    let lane = *chance.pick(&[Lane::FollowUp, Lane::Steer, Lane::Interrupt])?;
    let agent = chance.word(&["boss", "clerk"]).to_owned();
    let text = Text { content, origin: origin(chance) };
    let session = slug(text.origin).map(str::to_owned);
    Some((Call::Dispatch { agent, text, lane, inputs: Fields::new(), session }, bytes))
}

/// A command, in a sandbox of the caller's or of another.
fn exec(chance: &mut Chance, known: &Known) -> Option<Said> {
    let (content, bytes) = bytes("make".to_owned());
    let text = Text { content, origin: origin(chance) };
    let pid = chance.one_in(2).then(|| known.pid(chance));
    let dir = match chance.word(&["/", "/data", "/data/d", "-"]) {
        "-" => None,
        dir => Some(TreePath::parse(dir).ok()?),
    };
    let wall = *chance.pick(&[Wall::Auto, Wall::Shell, Wall::Native])?;
    Some((
        Call::Exec { pid, text, dir, wall, timeout_us: 1 + chance.below(9_000_000), stdio: Stdio::Null },
        bytes,
    ))
}

/// In which session: no draw of its own.
fn slug(origin: Origin) -> Option<&'static str> {
    match origin {
        Origin::Typed => Some("main"),
        Origin::Argument => None,
        Origin::File | Origin::Pipe => Some("other"),
    }
}

fn wait(chance: &mut Chance, known: &Known) -> Option<Said> {
    let (pid, proposal) = match chance.below(3) {
        0 => (Some(known.pid(chance)), None),
        1 => (None, Some(known.proposal(chance))),
        _ => (None, None),
    };
    Some((Call::Wait { pid, proposal, timeout_us: Some(chance.below(5_000_000)) }, Vec::new()))
}

fn grant(chance: &mut Chance, known: &Known) -> Option<Said> {
    let grant = Grant::parse(mind::need(chance)).ok()?;
    let expires_us = chance.one_in(4).then(|| chance.below(60_000_000));
    Some((Call::Grant { pid: known.pid(chance), grant, expires_us }, Vec::new()))
}

fn budget(chance: &mut Chance) -> Option<Said> {
    let account = chance.word(&["workspace", "agent:clerk", "agent:boss", "agent:rogue", "process:3"]);
    let amount = chance.word(&["0.10", "1.00", "3.00", "50.00"]);
    let window = if account.starts_with("process") { "run" } else { chance.word(&["hour", "day", "month"]) };
    let counted = ["tokens_in", "tokens_out", "tokens_cached", "tokens_written", "calls", "effects"];
    let limit = match chance.below(4) {
        0 => {
            let resource = chance.word(&counted);
            format!("{resource} {window} {}", chance.word(&["20", "4k", "90k", "5m"]))
        }
        _ => format!("{window} {amount}"),
    };
    let path = TreePath::parse("/sys/ctl").ok()?;
    let word = control::parse(&path, &format!("budget {account} {limit}")).ok()?;
    Some((Call::Control { path, word }, Vec::new()))
}

fn write(chance: &mut Chance, known: &Known) -> Option<Said> {
    let path = path(chance, known)?;
    let (content, mut blobs) = bytes(format!("{}\n", chance.below(1_000_000)));
    let write = match chance.below(12) {
        0 | 1 => Write::Append(content),
        2 => {
            let (find, more) = bytes(chance.below(10).to_string());
            blobs.extend(more);
            Write::Patch { find, put: content }
        }
        3 => Write::Dir,
        4 => Write::Link(content),
        5 => Write::Restore(Undo::Version(known.version(chance))),
        6 => Write::Restore(Undo::Operation(OpId(chance.below(known.op.0 + 2)))),
        7 => Write::Restore(Undo::Process(known.pid(chance))),
        _ => Write::Whole { content, mode: if chance.one_in(5) { 0o755 } else { 0o644 } },
    };
    let base = base(chance, known);
    Some((Call::Write { path, write, base, message: None, origin: origin(chance) }, blobs))
}

/// A text of six lines with one of them changed, made from a version that may be long past.
fn text(chance: &mut Chance, known: &Known) -> Option<Said> {
    let (path, base) = chance.pick(&known.texts).cloned()?;
    let (content, blobs) = bytes(lines(chance));
    let write = Write::Whole { content, mode: 0o644 };
    let path = TreePath::parse(&path).ok()?;
    Some((Call::Write { path, write, base: Some(base), message: None, origin: origin(chance) }, blobs))
}

/// Six lines, one of them new.
pub fn lines(chance: &mut Chance) -> String {
    let new = chance.below(6);
    let line = |ix: u64| if ix == new { chance.below(1_000) } else { ix };
    shown(line)
}

/// Six lines, one of them this.
pub fn lines_with(chance: &mut Chance, number: u64) -> String {
    let new = chance.below(6);
    shown(|ix| if ix == new { number } else { ix })
}

fn shown(line: impl FnMut(u64) -> u64) -> String {
    (0..6).map(line).map(|number| format!("line {number}\n")).collect()
}

fn resolve(chance: &mut Chance, known: &Known) -> Option<Said> {
    let (path, version) = chance.pick(&known.conflicts).cloned()?;
    let (content, blobs) = bytes(lines(chance));
    let take = *chance.pick(&[Take::Ours, Take::Theirs, Take::Text(content)])?;
    let write = Write::Resolve { version, take };
    let path = TreePath::parse(&path).ok()?;
    Some((Call::Write { path, write, base: None, message: None, origin: origin(chance) }, blobs))
}

fn sought(chance: &mut Chance) -> Sought {
    let query = chance.word(&["line", "1", "\"line 3\"", "nothing*", "\" OR NEAR("]).to_owned();
    let (path, author, label, since, until) = (None, None, None, None, None);
    Sought { query, path, author, label, since, until, at: at(chance), limit: 5 }
}

/// A retention rule, or that everything stands still or goes on, or a purge.
fn word(chance: &mut Chance, known: &Known) -> Option<Said> {
    let ctl = TreePath::parse("/sys/ctl").ok()?;
    let text = if chance.one_in(3) {
        format!("purge {} simulated", known.path(chance))
    } else {
        let keep = chance.word(&["last 1", "last 3", "days 1", "all"]);
        match (keep, chance.word(&["/data/**", "/data/c.md", "/data/d/**"])) {
            ("all", "/data/c.md") => "estop".to_owned(),
            ("all", "/data/d/**") | ("days 1", "/data/c.md" | "/data/d/**") => "thaw".to_owned(),
            (keep, path) => format!("retain {path} {keep}"),
        }
    };
    let word = control::parse(&ctl, &text).ok()?;
    Some((Call::Control { path: ctl, word }, Vec::new()))
}

/// Somebody's draft is kept or dropped.
fn draft(chance: &mut Chance, known: &Known) -> Option<Said> {
    let pid = known.pid(chance);
    let path = TreePath::parse(&format!("/proc/{pid}/ctl")).ok()?;
    Some((Call::Control { path, word: Control::Draft { pid, keep: !chance.one_in(4) } }, Vec::new()))
}

fn bytes(text: String) -> (Content, Vec<Vec<u8>>) {
    let bytes = text.into_bytes();
    (Content::of(&bytes), vec![bytes])
}

fn path(chance: &mut Chance, known: &Known) -> Option<TreePath> {
    TreePath::parse(&known.path(chance)).ok()
}

fn base(chance: &mut Chance, known: &Known) -> Option<VersionId> {
    chance.one_in(4).then(|| known.version(chance))
}

fn at(chance: &mut Chance) -> Option<At> {
    chance.one_in(4).then(|| At::Seq(Seq(chance.below(60))))
}

fn origin(chance: &mut Chance) -> Origin {
    let all = [Origin::Typed, Origin::Argument, Origin::Pipe, Origin::File];
    chance.pick(&all).copied().unwrap_or_default()
}
