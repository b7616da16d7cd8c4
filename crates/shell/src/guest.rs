//! A program that an operator runs as a process of an agent: `skep run -- CMD`, and who comes back to it.
//!
//! ```text
//! what is meant (program, tools, directory) ─▶ spawn ─▶ header ─▶ somebody before it ─▶ what it came to
//! ```
//! Every line that is printed is read from the process itself: what was asked for and withheld is not shown
//! as had. Never here: what it may do.

use crate::{
    commands, escape,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Bill, Family},
    past,
    session::{Session, Tone},
    settle::settle,
    strace,
    terminal::{self, Door, Left, Seat, Signals},
    watch,
};
use abi::{Code, Pid, record::Exit as End};
use serde_json::{Map, Value, json};
use std::{
    io::{IsTerminal, stdin},
    path::{Path, PathBuf},
};

mod tools;

use tools::Found;

/// The agent of what has none of its own name.
const GUEST: &str = "guest";
/// Where programs begin that begin in no directory of this machine: what operators and agents share.
const DIR: &str = "/data";
/// Where every sandbox looks for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What of the operator's environment a program is told: how the terminal is, nothing else.
const TOLD: [&str; 3] = ["TERM", "COLORTERM", "NO_COLOR"];

/// What is to be run.
pub struct Wish {
    pub command: Vec<String>,
    pub task: Option<String>,
    pub agent: Option<String>,
    pub tools: Vec<PathBuf>,
    pub budget: Option<String>,
    pub ceiling: Option<String>,
    /// What it writes waits to be kept or dropped.
    pub draft: bool,
    /// It pays at its own service.
    pub own_login: bool,
    /// Where on this machine it begins.
    pub dir: PathBuf,
}

/// What becomes of who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// They sit before it until it ends.
    Sits,
    /// They leave it to itself.
    Leaves,
}

/// Where on this machine the program of this name is, if it is here.
pub fn find(session: &Session, name: &str) -> Result<Option<Found>, Fail> {
    let home = PathBuf::from((session.hands.variable)("HOME").unwrap_or_default());
    let path = (session.hands.variable)("PATH").unwrap_or_default();
    tools::find(name, &path, &home)
}

/// Starts it: what the daemon answered, what of this machine it is shown, where it begins.
pub fn start(session: &mut Session, wish: &Wish, stay: Stay) -> Result<(Value, Found, String), Fail> {
    let name = wish.command.first().map(String::as_str).unwrap_or_default();
    let home = PathBuf::from((session.hands.variable)("HOME").unwrap_or_default());
    let mut found = find(session, name)?.unwrap_or_default();
    for dir in &wish.tools {
        found.tools.insert(tools::may_show(dir, &home)?);
    }
    let place = place(session, &wish.dir)?;
    let params = params(session, (wish, &found), (stay, &place))?;
    Ok((begin(session, wish, params)?, found, place))
}

/// Runs a program as a process of an agent.
pub fn run(session: &mut Session, wish: &Wish, stay: Stay) -> Outcome {
    let name = wish.command.first().cloned().unwrap_or_default();
    let (answer, found, place) = start(session, wish, stay)?;
    if session.is_json() && stay == Stay::Leaves {
        session.object(&answer)?;
    }
    commands::withheld(session, &answer);
    let Some(pid) = answer.get("pid").and_then(Value::as_u64).map(Pid) else {
        return commands::other(session, &answer);
    };
    if stay == Stay::Leaves {
        if !session.is_json() {
            session.say(&pid.to_string())?;
            let draft =
                if wish.draft { format!(", then skep diff {pid}, skep keep {pid}") } else { String::new() };
            session.hint(&format!("skep attach {pid}, skep logs {pid}, skep kill {pid}{draft}"));
        }
        return Ok(Exit::Fine);
    }
    header(session, pid, (&name, &found), (&place, wish.draft))?;
    self::stay(session, pid)
}

/// The name of the agent that a program has by itself.
fn own_agent(command: &[String]) -> String {
    let name = command.first().map(|word| word.rsplit('/').next().unwrap_or_default()).unwrap_or_default();
    let fits = abi::wire::word("agent", name).is_ok();
    if fits { name.to_owned() } else { GUEST.to_owned() }
}

/// Begins it: as the agent that was named, as one of its own name, or as a guest.
fn begin(session: &mut Session, wish: &Wish, mut params: Map<String, Value>) -> Result<Value, Fail> {
    let agent = wish.agent.clone().unwrap_or_else(|| own_agent(&wish.command));
    params.insert("agent".into(), json!(agent));
    match session.call("spawn", Value::Object(params.clone())) {
        Err(fail) if fail.is(Code::NotFound) && wish.agent.is_none() && wish.task.is_none() => {
            params.insert("agent".into(), json!(GUEST));
            session.call("spawn", Value::Object(params))
        }
        Err(fail) if fail.is(Code::NotFound) && wish.task.is_some() => {
            let hint = "known: claude claude-agent-acp codex gemini opencode goose; or say the whole \
                        command behind --";
            Err(Fail::usage(format!("no recipe knows how {agent} is told a task")).hint(hint))
        }
        other => other,
    }
}

fn params(
    session: &Session,
    (wish, found): (&Wish, &Found),
    (stay, place): (Stay, &str),
) -> Result<Map<String, Value>, Fail> {
    let real = found.path.display().to_string();
    let mut program = Map::new();
    match &wish.task {
        // Its recipe says how it is told; here is said only where it is.
        Some(_) if wish.command.len() > 1 => {
            return Err(Fail::usage("--task is told by the recipe: the program stands alone behind --")
                .hint("skep run --task \"repair the test\" -- claude"));
        }
        Some(_) if real.is_empty() => {}
        Some(_) => drop(program.insert("path".into(), json!(real))),
        None => {
            let mut words = wish.command.clone();
            if let (Some(first), false) = (words.first_mut(), found.tools.is_empty()) {
                *first = real;
            }
            program.insert("command".into(), json!(words));
        }
    }
    let bins = found.bins.iter().map(|dir| format!("{}:", dir.display())).collect::<String>();
    let mut env = vec![format!("PATH={bins}{PATH}")];
    let told = |name: &&str| Some(format!("{name}={}", (session.hands.variable)(name)?));
    env.extend(TOLD.iter().filter_map(told));
    let tools: Vec<String> = found.tools.iter().map(|dir| dir.display().to_string()).collect();
    let stdio = match (stdin().is_terminal() || stay == Stay::Leaves, terminal::size()) {
        (true, Some((rows, cols))) => format!("terminal:{rows}x{cols}"),
        (true, None) => "terminal".to_owned(),
        (false, _) => "pipe".to_owned(),
    };
    program.insert("dir".into(), json!(place));
    program.insert("stdio".into(), json!(stdio));
    program.insert("env".into(), json!(env));
    program.insert("tools".into(), json!(tools));
    program.insert("view".into(), json!(if wish.draft { "draft" } else { "live" }));
    if wish.own_login {
        program.insert("login".into(), json!("own"));
    }
    let mut params = Map::new();
    let text = wish.task.clone().unwrap_or_else(|| wish.command.join(" "));
    params.insert("text".into(), json!(text));
    params.insert("origin".into(), json!("argument"));
    params.insert("program".into(), Value::Object(program));
    if let Some(budget) = &wish.budget {
        let _: abi::money::Nano = budget.parse()?;
        params.insert("budget".into(), json!(budget));
    }
    params.extend(wish.ceiling.iter().map(|ceiling| ("ceiling".to_owned(), json!(ceiling))));
    Ok(params)
}

/// Where it begins: where the operator stands, which is part of the workspace from then on. What cannot be is
/// said, and it begins with what all share.
fn place(session: &mut Session, dir: &Path) -> Result<String, Fail> {
    let bound = session.read("/sys/bound")?;
    let dirs: Vec<&str> = bound.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    let here = commands::real(dir);
    let is_bound = |here: &str| {
        let inside =
            |dir: &&str| here.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        dirs.iter().any(inside)
    };
    let tried = here.and_then(|here| {
        if !is_bound(&here) {
            session.control(&format!("bind {here}"))?;
        }
        Ok(here)
    });
    tried.or_else(|fail| {
        session.note(&format!("  not bound  {}: it begins in {DIR}", fail.message));
        Ok(DIR.to_owned())
    })
}

/// What holds for this process, as the kernel has it.
fn header(
    session: &mut Session,
    pid: Pid,
    (name, found): (&str, &Found),
    (begins, draft): (&str, bool),
) -> Result<(), Fail> {
    let status = session.card(&format!("/proc/{pid}/status"))?;
    let caps = session.read(&format!("/proc/{pid}/caps"))?;
    let budget = session.read(&format!("/proc/{pid}/budget"))?;
    let row = |session: &mut Session, key: &str, text: &str| session.note(&format!("  {key:<10} {text}"));
    let at = if found.path.as_os_str().is_empty() { Path::new(name) } else { &found.path };
    let at = escape::line(&at.display().to_string());
    row(session, "program", &format!("{at}   agent: {}", status.get("agent")));
    // Of one that has ended already, what it was allowed is taken back.
    if status.get("exit").is_empty() {
        let held =
            |right: &str| listed(&caps.lines().filter_map(|line| files(line, right)).collect::<Vec<_>>());
        let how = if draft { "as a draft, which you keep or drop" } else { "every change undoable" };
        row(session, "writes", &format!("{}, {how}; begins in {begins}", held("write")));
        let tools = found.tools.iter().map(|dir| escape::line(&dir.display().to_string()));
        let shown = listed(&std::iter::once("/usr".to_owned()).chain(tools).collect::<Vec<_>>());
        row(session, "reads", &format!("{} · of this machine, read-only: {shown}", held("read")));
        row(session, "not", "anything else of this machine, your keys, other agents");
        let hosts = hosts(&caps);
        let hosts = if hosts.is_empty() { String::new() } else { format!(" · {}", hosts.join(", ")) };
        row(session, "network", &format!("the model endpoint{hosts} · more: skep allow {pid} net HOST"));
        if begins != DIR {
            row(
                session,
                "asks",
                "git push, .git/hooks .git/config .github/workflows .mcp.json AGENTS.md CLAUDE.md …",
            );
        }
        let limits: Vec<String> = budget.lines().filter_map(limit).collect();
        let limits = if limits.is_empty() { "none of money".to_owned() } else { limits.join(" · ") };
        let limits = if status.get("own_login").is_empty() { limits } else { own_login(&status, &budget) };
        row(session, "limits", &limits);
    }
    let leave = if stdin().is_terminal() { "detach: Ctrl-\\ then d · " } else { "" };
    row(session, "pid", &format!("{pid}   {leave}again: skep attach {pid}"));
    Ok(())
}

/// Of a line of `/proc/PID/caps`, `ID PARENT fs PATTERN {RIGHTS}`, the files, if this is among the rights.
fn files(line: &str, right: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, _, "fs", pattern, rights, ..] = words.as_slice() else { return None };
    let has = rights.trim_matches(['{', '}']).split(',').any(|one| one == right);
    has.then(|| escape::line(pattern))
}

/// Of the same lines, the hosts, each once; which of them are only looked at.
fn hosts(caps: &str) -> Vec<String> {
    let mut all: Vec<(&str, bool)> = Vec::new();
    for line in caps.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, _, "net", host, rights, ..] = words.as_slice() else { continue };
        let reads = rights.trim_matches(['{', '}']) == "read";
        match all.iter_mut().find(|(known, _)| known == host) {
            Some((_, only)) => *only &= reads,
            None => all.push((host, reads)),
        }
    }
    let shown = |(host, reads): &(&str, bool)| {
        format!("{}{}", escape::line(host), if *reads { " (read)" } else { "" })
    };
    all.iter().map(shown).collect()
}

/// A line of `/proc/PID/budget` about money, as people say it.
fn limit(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [account, "money", window, used, _, most, ..] = words.as_slice() else { return None };
    if *most == "-" {
        return None;
    }
    Some(format!("{account}: {} of {} a {window}", figures::money_text(used), figures::money_text(most)))
}

/// The limits of one that pays at its own service: none of money holds there.
fn own_login(status: &crate::card::Card, budget: &str) -> String {
    let mut all = vec!["money: none, it pays at its own service".to_owned()];
    for line in budget.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [account, "calls", window, used, _, most, ..] = words.as_slice()
            && account.starts_with("login:")
        {
            let every = if *window == "hour" { "an" } else { "a" };
            all.push(format!("{used} of {most} connections {every} {window}"));
        }
    }
    if let Ok(left) = status.get("own_login").parse::<u64>() {
        all.push(format!("{} left today", abi::halt::length(left)));
    }
    all.join(" · ")
}

fn listed(all: &[String]) -> String {
    if all.is_empty() { "nothing".to_owned() } else { all.join(" ") }
}

/// This connection looks at its terminal from now on; false if it has none.
pub fn attach(session: &mut Session, pid: Pid) -> Result<bool, Fail> {
    let words = json!({"path": format!("/proc/{pid}/ctl"), "text": "attach", "origin": "argument"});
    match session.call("write", words) {
        Ok(_) => Ok(true),
        Err(fail) if fail.is(Code::NotFound) || fail.is(Code::Dead) => Ok(false),
        Err(fail) => Err(fail),
    }
}

/// Sits before it until it ends or who sits there leaves.
pub fn stay(session: &mut Session, pid: Pid) -> Outcome {
    let signals = Signals::new()?;
    let params = session.aim(json!({"pid": pid}));
    let end = session.client()?.send("wait", params)?;
    match Seat::new(&signals, Door::Open).sit(session, end)? {
        Left::Ended(answer) => ended(session, pid, &answer?),
        Left::Detached => {
            session.note(&format!("\n{pid} goes on"));
            session.hint(&format!("skep attach {pid}, skep kill {pid}"));
            Ok(Exit::Fine)
        }
        Left::Interrupted => {
            session.call("signal", json!({"pid": pid, "signal": "kill"}))?;
            session.note(&format!("{pid} was ended by Ctrl-C"));
            Ok(Exit::Status(130))
        }
    }
}

/// What it came to, and what one may do next; its status is that of the program.
fn ended(session: &mut Session, pid: Pid, answer: &Value) -> Outcome {
    let end: End = answer
        .get("exit")
        .and_then(|exit| serde_json::from_value(exit.clone()).ok())
        .unwrap_or_else(|| End::Killed("?".into()));
    let status = match &end {
        End::Exited(status) => Exit::Status(u8::try_from(*status).unwrap_or(1)),
        End::Killed(_) | End::Faulted(_) => Exit::Bad,
    };
    if session.is_json() {
        session.object(answer)?;
        return Ok(status);
    }
    settle(session)?;
    let (mut bill, mut family) = (Bill::default(), Family::of(Some(pid)));
    let agent = session.card(&format!("/proc/{pid}/status"))?.get("agent").to_owned();
    let mut span = None;
    journal::of(session, pid, &mut |row| {
        family.has(&row);
        bill.add(&row);
        bill.decided(&row);
        let first = span.map_or(row.record.at, |(first, _)| first);
        span = Some((first, row.record.at));
        Ok(())
    })?;
    let took = span.map_or(0, |(first, last): (u64, u64)| last.saturating_sub(first));
    let how = match &end {
        End::Exited(0) => format!("{agent} ended"),
        other => format!("{agent} {}", strace::ended(other)),
    };
    let tone = if matches!(end, End::Exited(0)) { Tone::Good } else { Tone::Bad };
    let how = session.paint(&escape::line(&how), tone);
    let mut parts = vec![format!("{how} after {}", figures::length(took))];
    if bill.calls > 0 {
        parts.push(figures::plural(bill.calls, "model call"));
        parts.push(figures::money(bill.money));
    }
    if bill.connected > 0 {
        parts.push(figures::plural(bill.connected, "connection"));
    }
    if bill.refused > 0 {
        parts.push(format!("{} refused", figures::plural(bill.refused, "connection")));
    }
    let draft = past::draft(session, pid)?;
    let count = draft.as_ref().map_or(bill.paths.len(), Vec::len) as u64;
    let how = if draft.is_some() { "changed in its draft" } else { "changed" };
    let fresh = match bill.fresh.len() {
        0 => String::new(),
        fresh => format!(", {} new", figures::count(fresh as u64)),
    };
    parts.push(format!("{} {how}{fresh}", figures::plural(count, "file")));
    if bill.closed > 0 || !bill.ports.is_empty() {
        let left = figures::count(bill.ports.len() as u64);
        parts.push(format!("{} closed, {left} left running", figures::plural(bill.closed, "port")));
    }
    session.note(&parts.join(" · "));
    let next = match (&draft, bill.paths.is_empty()) {
        (Some(_), _) => format!("skep diff {pid} · skep keep {pid} · skep drop {pid} · "),
        (None, false) => format!("skep diff {pid} · skep undo {pid} · "),
        (None, true) => String::new(),
    };
    session.note(&format!("  {next}skep trace --pid {pid} · skep logs {pid}"));
    if !bill.held.is_empty() {
        let waits = session.names("/proposals")?;
        bill.held.retain(|id, _| waits.contains(&id.to_string()));
        watch::waiting(session, &bill);
    }
    Ok(status)
}
