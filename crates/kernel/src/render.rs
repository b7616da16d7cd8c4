//! What can be read of the kernel's state: `/proc`, `/proposals` and parts of `/sys`, rendered at the moment
//! they are read, never stored. Text to `cat`, one `key value` a line.

use crate::{
    Kernel,
    account::UTC_DAY_US,
    authority::Want,
    login,
    state::{Account, Ended, Phase, Ports, Process, Proposal, ROOT_ACCOUNT},
    step::{Found, Step},
};
use abi::{
    Code, Error, Hash, LabelId, Micros, Pid, ProposalId, WORKSPACE,
    agent::Verdict,
    answer::{Answer, Name},
    calendar,
    call::{At, Call, Fields, Write},
    cap::{Cap, Rights},
    fact::{Fact, Facts, Lookup, Query},
    halt,
    label::Readers,
    limits::{IRREVERSIBLE_WAIT_US, REVERSIBLE_WAIT_US},
    manifest::Class,
    money::{Nano, Resource},
    path::TreePath,
    record::{Exit, RULES, Rule, WaitOn},
    tree::Keep,
};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};
use core::fmt::Write as _;

mod halts;
mod question;

use halts::nearness;
pub use halts::{way_out, why};
pub use question::{arguments, effect, escaped, shown};

/// Files of a process.
const OF_PROCESS: [&str; 6] = ["budget", "caps", "ctl", "label", "status", "token"];
/// The file of a process that has a draft: what that changes, a line of JSON each.
const DRAFT: &str = "draft";
/// Files of a proposal.
const OF_PROPOSAL: [&str; 3] = ["args", "shown", "status"];
/// Rendered files of `/sys`.
const OF_SYS: [&str; 20] = [
    "bound",
    "budget",
    "conflicts",
    "ctl",
    "drafts",
    "halts",
    "health",
    "key",
    "models",
    "mounts",
    "operators",
    "policy",
    "ports",
    "principals",
    "retain",
    "rules",
    SECRETS,
    "status",
    "version",
    "workspaces",
];

/// Content by its name, for whoever takes everything along. It has no label, so it is an operator's.
const BLOBS: &str = "blobs";
/// What model calls came to, a file a month.
const COST: &str = "cost";
/// Names of the node's secrets; a value is never read.
const SECRETS: &str = "secrets";

/// Whether the path is rendered and not stored.
pub fn is_rendered(path: &TreePath) -> bool {
    let mut names = path.names();
    match (names.next(), names.next()) {
        (Some("proc" | "proposals"), _) => true,
        (Some("sys"), None) => true,
        (Some("sys"), Some(name)) => name == BLOBS || name == COST || OF_SYS.contains(&name),
        _ => false,
    }
}

/// A rendered thing.
enum Thing<'a> {
    /// Names, and how many were left out since they lie below the ceiling of who asks.
    Dir(Vec<Name>, u64),
    Process(Pid, &'a str),
    Proposal(ProposalId, &'a str),
    Sys(&'a str),
    Blob(Hash),
}

/// What is rendered there for this process: others whose label lies below its ceiling are not there.
fn thing<'a>(kernel: &Kernel, by: Pid, path: &'a TreePath) -> Result<Thing<'a>, Error> {
    let state = &kernel.state;
    let names: Vec<&str> = path.names().collect();
    let missing = || Error::new(Code::NotFound, format!("{path} does not exist")).argument("path");
    match names.as_slice() {
        ["proc"] => {
            let ended = state.ended.iter().map(|(pid, row)| (*pid, row.label));
            let living = state.processes.iter().map(|(pid, row)| (*pid, row.label));
            Ok(dirs(kernel, by, ended.chain(living)))
        }
        ["proposals"] => {
            let rows = state.proposals.iter().map(|(id, row)| (*id, row.label));
            Ok(dirs(kernel, by, rows))
        }
        ["sys"] => {
            let mut names = files(&["budget.yaml", "models.yaml", "policy.yaml"], &OF_SYS);
            let dirs = [BLOBS, COST].map(|name| Name { name: name.to_string(), node: "dir" });
            names.splice(0..0, dirs);
            Ok(Thing::Dir(names, 0))
        }
        // Their names are in the log; a list of them all would be longer than a reply may be.
        ["sys", BLOBS] => Ok(Thing::Dir(vec![], 0)),
        ["sys", BLOBS, hash] => hash.parse().map(Thing::Blob).map_err(|()| missing()),
        // Which months there are, the ledger knows.
        ["sys", COST] => Ok(Thing::Dir(vec![], 0)),
        ["sys", COST, days] if calendar::days(days).is_some() => Ok(Thing::Sys(COST)),
        ["sys", SECRETS, _] => Err(Error::new(Code::Denied, "a secret is never read")
            .hint("skep secret list shows which there are; write another value over it, or remove it")),
        ["proc", pid, rest @ ..] => {
            let pid = pid.parse().map(Pid).map_err(|_| missing())?;
            let label = label_of(kernel, pid).ok_or_else(missing)?;
            if kernel.hides(by, label) {
                return Err(missing());
            }
            let has_draft = state.drafts.contains_key(&pid);
            match rest {
                [] if has_draft => Ok(Thing::Dir(files(&OF_PROCESS, &[DRAFT]), 0)),
                [] => Ok(Thing::Dir(files(&OF_PROCESS, &[]), 0)),
                [DRAFT] if has_draft => Ok(Thing::Process(pid, DRAFT)),
                [file] if OF_PROCESS.contains(file) => Ok(Thing::Process(pid, file)),
                _ => Err(missing()),
            }
        }
        ["proposals", id, rest @ ..] => {
            let id = id.parse().map(ProposalId).map_err(|_| missing())?;
            let row = state.proposals.get(&id).ok_or_else(missing)?;
            if kernel.hides(by, row.label) {
                return Err(missing());
            }
            match rest {
                [] => Ok(Thing::Dir(files(&OF_PROPOSAL, &[]), 0)),
                [file] if OF_PROPOSAL.contains(file) => Ok(Thing::Proposal(id, file)),
                _ => Err(missing()),
            }
        }
        ["sys", file] if OF_SYS.contains(file) => Ok(Thing::Sys(file)),
        _ => Err(missing()),
    }
}

/// The label of a process, living or not.
fn label_of(kernel: &Kernel, pid: Pid) -> Option<LabelId> {
    let living = kernel.state.processes.get(&pid).map(|row| row.label);
    let ended = || kernel.state.ended.get(&pid).map(|row| row.label);
    // Of one that ended long ago only its draft is known.
    living.or_else(ended).or_else(|| kernel.state.drafts.get(&pid).map(|row| row.label))
}

fn dirs<'a, T: core::fmt::Display>(
    kernel: &Kernel,
    by: Pid,
    rows: impl Iterator<Item = (T, LabelId)>,
) -> Thing<'a> {
    let (mut names, mut below) = (Vec::new(), 0);
    for (id, label) in rows {
        if kernel.hides(by, label) {
            below += 1;
        } else {
            names.push(Name { name: id.to_string(), node: "dir" });
        }
    }
    Thing::Dir(names, below)
}

fn files(first: &[&str], more: &[&str]) -> Vec<Name> {
    let mut names: Vec<&str> = first.iter().chain(more).copied().collect();
    names.sort_unstable();
    names.into_iter().map(|name| Name { name: name.to_string(), node: "file" }).collect()
}

/// Authority and questions of reading a rendered path.
pub fn plan(
    kernel: &Kernel,
    pid: Pid,
    path: &TreePath,
    as_of: Option<At>,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    if as_of.is_some() {
        return Err(Error::invalid("at", format!("{path} is rendered now; it has no past"))
            .hint("the log has: skep trace"));
    }
    let own = |of: Pid| pid != WORKSPACE && kernel.state.is_above(pid, of);
    match thing(kernel, pid, path) {
        Ok(Thing::Process(_, "token")) if pid != WORKSPACE => {
            Err(Error::new(Code::Denied, "only an operator may read a process's token"))
        }
        Ok(Thing::Blob(_)) if pid != WORKSPACE => {
            Err(Error::new(Code::Denied, "only an operator may read content by its name"))
        }
        Ok(Thing::Blob(hash)) => Ok(vec![Lookup::Bytes { hash }]),
        Ok(Thing::Process(of, _)) if own(of) => Ok(vec![]),
        found => {
            kernel.allow(pid, Want::Path(path), Rights::READ, at)?;
            match found? {
                // How many pages it shows is part of its status.
                Thing::Proposal(id, _) => {
                    let row = kernel.state.proposals.get(&id);
                    let blobs = row.into_iter().flat_map(|row| [Some(row.args), row.content]).flatten();
                    Ok(blobs.map(|content| Lookup::Bytes { hash: content.hash }).collect())
                }
                Thing::Sys("conflicts") => Ok(crate::conflict::listed(kernel, pid, at)),
                Thing::Dir(..) | Thing::Process(..) | Thing::Sys(_) | Thing::Blob(_) => Ok(vec![]),
            }
        }
    }
}

/// The query by which the machine renders what only it knows.
pub fn query(kernel: &Kernel, pid: Pid, path: &TreePath, at: Micros) -> Option<Query> {
    let names: Vec<&str> = path.names().collect();
    match names.as_slice() {
        ["proc", pid, DRAFT] => {
            let row = pid.parse().ok().and_then(|pid| kernel.state.drafts.get(&Pid(pid)));
            row.map(|row| Query::Content { content: row.layer, part: None })
        }
        ["proc", pid, "token"] => pid.parse().ok().map(|pid| Query::Token { pid: Pid(pid) }),
        ["sys", "health"] => Some(Query::Health),
        ["sys", "workspaces"] => Some(Query::Workspaces),
        ["sys", BLOBS, hash] => hash.parse().ok().map(|hash| Query::Blob { hash }),
        ["sys", "conflicts"] => Some(Query::Conflicts { view: kernel.view(pid, at) }),
        ["sys", "key"] => Some(Query::Key),
        ["sys", "models"] => Some(Query::Models { lines: crate::model::lines(kernel) }),
        ["sys", SECRETS] => Some(Query::Secrets),
        ["sys", COST] => Some(Query::Months),
        ["sys", COST, days] => calendar::days(days).map(|(from, to)| Query::Costs { from, to }),
        ["sys", "operators"] => Some(Query::Operators { me: String::new() }),
        _ => None,
    }
}

/// Reads or lists a rendered path.
pub fn answer(
    step: &mut Step<'_>,
    pid: Pid,
    (path, _): (&TreePath, Option<At>),
    call: &Call,
    facts: &mut Found,
) -> Result<Answer, Error> {
    let lists = matches!(call, Call::List { .. });
    match query(step.kernel, pid, path, step.at) {
        Some(query @ Query::Conflicts { .. }) if !lists => {
            return crate::files::found(step, pid, query, facts);
        }
        Some(Query::Blob { .. }) if !lists && !matches!(facts.any(), Some(Fact::Bytes(Some(_)))) => {
            let what = format!("{path} is not kept");
            return Err(Error::new(Code::NotFound, what)
                .argument("path")
                .hint("it was destroyed, or is large: that is read by its path and version"));
        }
        Some(Query::Content { content, .. }) if !lists => {
            let Call::Read { part, .. } = call else { return Err(Facts::mismatch()) };
            // What is in it is made of what its process saw.
            if let Thing::Process(of, _) = thing(step.kernel, pid, path)? {
                let label = label_of(step.kernel, of);
                label.into_iter().for_each(|label| step.saw(pid, path, None, label));
            }
            return Ok(Answer::Query(Query::Content { content, part: *part }));
        }
        Some(Query::Operators { .. }) if !lists => {
            let me = step.actor.strip_prefix("operator:").unwrap_or_default().to_string();
            return Ok(Answer::Query(Query::Operators { me }));
        }
        Some(query) if lists == (query == Query::Months) => return Ok(Answer::Query(query)),
        _ => {}
    }
    let label = match thing(step.kernel, pid, path)? {
        Thing::Process(of, _) => label_of(step.kernel, of),
        Thing::Proposal(id, _) => step.state().proposals.get(&id).map(|row| row.label),
        Thing::Dir(..) | Thing::Sys(_) | Thing::Blob(_) => None,
    };
    // What is rendered is made of what others saw.
    label.into_iter().for_each(|label| step.saw(pid, path, None, label));
    told_ports(step, pid, path);
    if let Thing::Process(of, "caps") = thing(step.kernel, pid, path)? {
        // A pattern is whatever its giver wrote.
        let given = step.kernel.caps_of(of).filter_map(|cap| step.state().caps.get(&cap.parent?));
        let givers: Vec<Pid> = given.map(|cap| cap.holder).filter(|giver| *giver != WORKSPACE).collect();
        for giver in givers {
            let label = label_of(step.kernel, giver).filter(|label| !step.kernel.hides(pid, *label));
            label.into_iter().for_each(|label| step.saw(pid, path, None, label));
        }
    }
    let kernel: &Kernel = step.kernel;
    let text = match (thing(kernel, pid, path)?, lists) {
        (Thing::Dir(entries, below), true) => return Ok(Answer::Names { entries, below }),
        (Thing::Dir(..), false) => {
            return Err(Error::invalid("path", format!("{path} is a directory")).hint("list it"));
        }
        (_, true) => return Err(Error::invalid("path", format!("{path} is not a directory")).hint("read it")),
        (Thing::Process(of, file), false) => of_process(kernel, pid, (of, file), step.at),
        (Thing::Proposal(id, file), false) => of_proposal(kernel, (id, file), facts)?,
        // Filled by the machine, above.
        (Thing::Blob(_), false) => return Err(Facts::mismatch()),
        (Thing::Sys(file), false) => of_sys(kernel, pid, file, step.at),
    };
    Ok(Answer::Text { text })
}

fn of_process(kernel: &Kernel, by: Pid, (pid, file): (Pid, &str), at: Micros) -> String {
    let state = &kernel.state;
    match (file, state.processes.get(&pid), state.ended.get(&pid)) {
        ("status", Some(process), _) => running(kernel, pid, process, at),
        ("status", None, Some(row)) => ended(kernel, pid, row),
        ("label", ..) => label_lines(kernel, pid),
        ("caps", ..) => {
            let mut text = String::new();
            // One that was given under a label below the reader's ceiling is in force, but not shown.
            let giver = |cap: &Cap| Some(kernel.state.caps.get(&cap.parent?)?.holder);
            let hidden = |cap: &&Cap| {
                let label =
                    giver(cap).filter(|giver| *giver != WORKSPACE).and_then(|of| label_of(kernel, of));
                label.is_some_and(|label| kernel.hides(by, label))
            };
            for cap in kernel.caps_of(pid).filter(|cap| !hidden(cap)) {
                let parent = cap.parent.map_or_else(|| String::from("-"), |parent| parent.to_string());
                let _ = writeln!(text, "{} {parent} {}", cap.id, cap.grant);
            }
            text
        }
        ("budget", Some(process), _) => {
            let mut text = String::new();
            let mut next = Some(process.account);
            while let Some(account) = next.and_then(|id| state.accounts.get(&id)) {
                text.push_str(&limits_of(kernel, account, at));
                next = account.parent;
            }
            text
        }
        _ => String::new(),
    }
}

/// Integrity, sources one a line, readers, ceiling.
fn label_lines(kernel: &Kernel, pid: Pid) -> String {
    let label = label_of(kernel, pid).map(|id| kernel.meaning(id)).unwrap_or_default();
    let living = kernel.state.processes.get(&pid).map(|row| row.ceiling);
    let ceiling = living.or_else(|| kernel.state.ended.get(&pid).map(|row| row.ceiling)).unwrap_or_default();
    let mut text = format!("integrity {}\n", label.integrity.word());
    for source in &label.sources {
        let _ = writeln!(text, "source {source}");
    }
    let readers = match &label.readers {
        Readers::Any => String::from("any"),
        Readers::Only(names) if names.is_empty() => String::from("nobody"),
        Readers::Only(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
    };
    let _ = writeln!(text, "readers {readers}\nceiling {}", ceiling.word());
    text
}

/// State and, after it, what it waits for.
fn state_word(kernel: &Kernel, process: &Process, at: Micros) -> (&'static str, String) {
    if let Some(freeze) = &process.frozen {
        return ("frozen", why(kernel, freeze, at));
    }
    match &process.turn.phase {
        Phase::Ready => ("ready", String::new()),
        Phase::Model { .. } => ("waiting", String::from("model")),
        Phase::Tools { .. } => ("running", String::new()),
        Phase::Paused => ("waiting", String::from("pause")),
        Phase::Client => ("client", String::new()),
        Phase::Native => {
            let rows = kernel.state.execs.values().filter(|row| row.main);
            let of = |row: &&crate::state::ExecRow| {
                kernel.state.processes.get(&row.of).is_some_and(|of| of == process)
            };
            match rows.clone().find(of).and_then(|row| row.works) {
                Some(false) => ("ill", String::from("its health check fails")),
                Some(true) => ("running", String::from("program, and works")),
                None => ("running", String::from("program")),
            }
        }
        Phase::Waits { on, name, about, .. } => {
            let what = match on {
                WaitOn::Process(pid) => format!("process {pid}"),
                WaitOn::Proposal(id) => format!("proposal {id}"),
                WaitOn::Effect(_) => format!("{name} {about}"),
                WaitOn::Time => String::from("time"),
                WaitOn::Exec(exec) => format!("command {exec}"),
            };
            ("waiting", what)
        }
    }
}

fn running(kernel: &Kernel, pid: Pid, process: &Process, at: Micros) -> String {
    let (mut state, mut why) = state_word(kernel, process, at);
    let mut out = process.frozen.as_ref().map(|freeze| way_out(kernel, freeze, pid, at));
    if let (Some(stopped), None) = (&kernel.state.stopped, &process.frozen) {
        (state, why, out) = ("stopped", halt::stopped(&stopped.by), Some(halt::LIFT.to_string()));
    }
    let account = kernel.state.accounts.get(&process.account);
    let used = account.map(|account| account.used).unwrap_or_default();
    let limit = account.and_then(|row| row.limits.iter().find(|limit| limit.resource == Resource::Money));
    let limit = limit.map_or_else(|| String::from("-"), |limit| Nano(limit.max).to_string());
    let label = kernel.meaning(process.label);
    let mut text = String::new();
    let _ =
        writeln!(text, "pid {pid}\nparent {}\nrun {}\nagent {}", process.parent, process.run, process.agent);
    let _ = writeln!(text, "state {state}\nwhy {}", escaped(&why));
    if let Some(out) = out {
        let _ = writeln!(text, "way_out {out}");
    }
    let _ = writeln!(text, "label {label}\nmodel {}", process.model);
    let _ = writeln!(text, "step {}\ncalls {}\ntokens_in {}", process.turn.step, used.calls, used.tokens_in);
    let _ = writeln!(text, "tokens_out {}\ntokens_cached {}", used.tokens_out, used.tokens_cached);
    let _ = writeln!(text, "tokens_written {}", used.tokens_written);
    let _ = writeln!(text, "money {}\nlimit {limit}\nstarted {}", used.money, process.started);
    if process.own_login {
        let left = login::left(&kernel.state, &process.agent, at);
        let left = left.map_or_else(|| String::from("-"), |us| us.to_string());
        let _ = writeln!(text, "own_login {left}");
    }
    let _ = writeln!(text, "age_us {}\ntask {}", at.saturating_sub(process.started), process.task.hash);
    let open = kernel.state.ports.get(&pid).into_iter().flat_map(|row| row.open.keys().map(String::as_str));
    let open: Vec<&str> = open.collect();
    if !open.is_empty() {
        let _ = writeln!(text, "listens {}", open.join(" "));
    }
    text
}

/// What a program is called, and where it listens, is whatever it says: who reads that has seen what it had.
fn told_ports(step: &mut Step<'_>, pid: Pid, path: &TreePath) {
    if path.as_str() != "/sys/ports" {
        return;
    }
    let labels = ports(step.kernel, pid).filter_map(|(of, _)| label_of(step.kernel, of));
    labels.collect::<Vec<LabelId>>().into_iter().for_each(|label| step.saw(pid, path, None, label));
}

fn port_lines(kernel: &Kernel, by: Pid, text: &mut String) {
    for (pid, row) in ports(kernel, by) {
        let agent = kernel.agent_of(pid).unwrap_or("operator");
        for (address, (program, since)) in &row.open {
            let _ = writeln!(text, "{pid} {agent} {address} {since} {}", escaped(program));
        }
    }
}

/// Where programs listen, of the processes that this one may know of.
fn ports(kernel: &Kernel, by: Pid) -> impl Iterator<Item = (Pid, &Ports)> {
    let rows = kernel.state.ports.iter().filter(|(_, row)| !row.open.is_empty());
    let hidden = move |pid: Pid| label_of(kernel, pid).is_some_and(|label| kernel.hides(by, label));
    rows.map(|(pid, row)| (*pid, row)).filter(move |(pid, _)| !hidden(*pid))
}

fn ended(kernel: &Kernel, pid: Pid, row: &Ended) -> String {
    let exit = match &row.exit {
        Exit::Exited(code) => format!("exited {code}"),
        Exit::Killed(why) => format!("killed {why}"),
        Exit::Faulted(why) => format!("faulted {why}"),
    };
    let state = match &row.exit {
        Exit::Exited(_) => "exited",
        Exit::Killed(_) => "killed",
        Exit::Faulted(_) => "faulted",
    };
    let result = row.result.map_or_else(|| String::from("-"), |result| result.hash.to_string());
    let label = kernel.meaning(row.label);
    let used = row.used;
    let mut text = String::new();
    let _ = writeln!(text, "pid {pid}\nparent {}\nrun {}\nagent {}", row.parent, row.run, row.agent);
    let _ =
        writeln!(text, "state {state}\nexit {exit}\nverdict {}\nlabel {label}", verdict_word(row.verdict));
    let _ = writeln!(text, "step {}\ncalls {}\ntokens_in {}", row.step, used.calls, used.tokens_in);
    let _ = writeln!(text, "tokens_out {}\ntokens_cached {}", used.tokens_out, used.tokens_cached);
    let _ = writeln!(text, "tokens_written {}", used.tokens_written);
    let _ = writeln!(text, "money {}\nstarted {}\nended {}", used.money, row.started, row.at);
    let _ = writeln!(text, "result {result}\ntask {}", row.task.hash);
    text
}

fn verdict_word(verdict: Verdict) -> &'static str {
    verdict.word()
}

/// One line a limit: account, resource, window, used, reserved, max, and whether it is `fine`, `near` or
/// `full`.
fn limits_of(kernel: &Kernel, account: &Account, at: Micros) -> String {
    let mut text = String::new();
    for limit in &account.limits {
        let show = |value: i64| limit.resource.show(value);
        let used = show(account.used_in(limit.window, at).get(limit.resource));
        let reserved = show(account.reserved.get(limit.resource));
        let (name, resource, window) = (&account.name, limit.resource.word(), limit.window.word());
        // One that was taken away again.
        let max = if limit.max == i64::MAX { String::from("-") } else { show(limit.max) };
        let state = nearness(kernel, account, limit, at);
        let _ = writeln!(text, "{name} {resource} {window} {used} {reserved} {max} {state}");
    }
    text
}

fn of_proposal(kernel: &Kernel, (id, file): (ProposalId, &str), facts: &mut Found) -> Result<String, Error> {
    let Some(row) = kernel.state.proposals.get(&id) else { return Ok(String::new()) };
    let bytes = facts.bytes();
    let content = row.content.map(|_| facts.bytes()).transpose();
    if file == "args" {
        return Ok(question::arguments(row, &bytes?, content?));
    }
    let shown = bytes.and_then(|bytes| Ok(question::shown(kernel, row, &bytes, content?).text));
    // What has been purged since has no pages, but still a status.
    if file == "shown" { shown } else { Ok(proposal(kernel, id, row, shown.ok().as_deref())) }
}

fn proposal(kernel: &Kernel, id: ProposalId, row: &Proposal, shown: Option<&str>) -> String {
    let mount = if row.mount.is_empty() { "-" } else { &row.mount };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "proposal {id}\nstate proposed\nkind {}\nmount {mount}\npid {}",
        escaped(&row.kind),
        row.pid
    );
    let _ = writeln!(text, "agent {}\nrule {}\nwhy {}", row.agent, row.rule.word(), row.rule.sentence());
    let _ = writeln!(text, "label {}\nabout {}", kernel.meaning(row.label), escaped(&row.about));
    let _ = writeln!(text, "digest {}\nexpires {}\nmade {}", row.digest, row.expires, row.made);
    let _ = writeln!(text, "effect {}\nargs {}", row.effect, row.args.hash);
    let pages = shown.map_or_else(|| String::from("-"), |shown| abi::page::count(shown).to_string());
    let (class, wait_us) = class_of(kernel, row);
    let _ = writeln!(text, "class {class}\nwait_us {wait_us}\npages {pages}");
    let first = row.group.unwrap_or(id);
    let members = crate::proposal::members(kernel, id);
    let members: Vec<String> = members.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "group {first}\nmembers {}", members.join(" "));
    let _ = writeln!(text, "group_digest {}", crate::proposal::group_digest(kernel, id));
    text
}

/// What is decided on: a question, an endorsement, a held call, or an effect of some class; and how long it
/// may wait.
fn class_of(kernel: &Kernel, row: &Proposal) -> (&'static str, u64) {
    match (row.mount.as_str(), row.kind.as_str()) {
        (crate::proposal::OPERATOR, crate::proposal::ASK) => return ("question", REVERSIBLE_WAIT_US),
        (crate::proposal::OPERATOR, crate::proposal::PERMIT) => return ("permission", REVERSIBLE_WAIT_US),
        (crate::proposal::OPERATOR, _) => return ("endorsement", REVERSIBLE_WAIT_US),
        ("", _) => return ("call", REVERSIBLE_WAIT_US),
        _ if row.rule == Rule::InDoubt => return ("doubt", IRREVERSIBLE_WAIT_US),
        _ => {}
    }
    // A kind that its mount does not know any more counts as the worst it can be.
    let known = crate::effect::declared(kernel, &row.mount, &row.kind, &Fields::new());
    let class = known.map_or(Class::ExternalIrreversible, |kind| kind.class);
    (class.word(), crate::proposal::wait_of(class))
}

fn of_sys(kernel: &Kernel, by: Pid, file: &str, at: Micros) -> String {
    let state = &kernel.state;
    let mut text = String::new();
    match file {
        "status" => return status(kernel, at),
        "halts" => return halts::all(kernel, by, at),
        "budget" => {
            state.accounts.values().for_each(|account| text.push_str(&limits_of(kernel, account, at)))
        }
        "mounts" => {
            for (name, mount) in &state.mounts {
                let _ = writeln!(text, "{name} {} {}", mount.driver, mount.argument);
            }
        }
        "principals" => {
            let mut agents: Vec<&str> =
                state.processes.values().map(|process| process.agent.as_str()).collect();
            agents.sort_unstable();
            agents.dedup();
            agents.into_iter().for_each(|agent| {
                let _ = writeln!(text, "agent:{agent}");
            });
            state.mounts.keys().for_each(|mount| {
                let _ = writeln!(text, "mount:{mount}");
            });
        }
        "policy" => {
            if let Some(loaded) = &state.policy {
                let _ = writeln!(text, "digest {}", loaded.digest);
                crate::policy::lines(&loaded.policy).into_iter().for_each(|line| {
                    let _ = writeln!(text, "{line}");
                });
            }
        }
        "ports" => port_lines(kernel, by, &mut text),
        "bound" => {
            for (dir, label) in &state.bound {
                let _ = writeln!(text, "{dir} {}", kernel.meaning(*label).integrity.word());
            }
        }
        "drafts" => {
            for (pid, row) in &state.drafts {
                let works = if state.processes.contains_key(pid) { "works" } else { "waits" };
                let _ = writeln!(text, "{pid} {} {works} {} {}", row.actor, row.changes, row.at);
            }
        }
        "retain" => state.retain.iter().for_each(|rule| {
            let _ = match rule.keep {
                Keep::All => writeln!(text, "{} all", rule.pattern.as_str()),
                Keep::Last(count) => writeln!(text, "{} last {count}", rule.pattern.as_str()),
                Keep::Days(count) => writeln!(text, "{} days {count}", rule.pattern.as_str()),
            };
        }),
        "rules" => {
            let dial = state.policy.as_ref().map(|loaded| loaded.policy.autonomy).unwrap_or_default();
            let _ = writeln!(text, "autonomy {}", dial.word());
            for (number, word, says) in RULES {
                let has = if state.has_rule(number) { "rule" } else { "LACKS" };
                let _ = writeln!(text, "{has} {word}: {says}");
            }
        }
        "version" => {
            let _ = writeln!(text, "skep {}\nlog format {}", env!("CARGO_PKG_VERSION"), crate::wake::FORMAT);
        }
        _ => {}
    }
    text
}

fn status(kernel: &Kernel, at: Micros) -> String {
    let state = &kernel.state;
    let frozen = state.processes.values().filter(|process| process.frozen.is_some()).count();
    let running = state.processes.len() - frozen;
    let root = state.accounts.get(&ROOT_ACCOUNT);
    let today = root.map_or(0, |root| root.used_in(abi::money::Window::Day, at).money.0);
    let is_daily = |limit: &&abi::money::Limit| {
        limit.resource == Resource::Money && limit.window == abi::money::Window::Day
    };
    let limit = root.and_then(|root| root.limits.iter().find(is_daily));
    let limit = limit.map_or_else(|| String::from("-"), |limit| Nano(limit.max).to_string());
    let lacks: Vec<String> = state.lacks.iter().map(u8::to_string).collect();
    let id: String = state.id.iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    });
    let in_doubt = state.effects.values().filter(|row| row.stage == crate::state::Stage::InDoubt).count();
    let policy = state.policy.as_ref().map_or_else(|| String::from("-"), |loaded| loaded.digest.to_string());
    let lacks = if lacks.is_empty() { String::from("-") } else { lacks.join(" ") };
    let mut text = String::new();
    let _ = writeln!(text, "workspace {id}\nseq {}\nprocesses {}", state.seq, state.processes.len());
    let _ = writeln!(text, "running {running}\nfrozen {frozen}\nproposals {}", state.proposals.len());
    let _ = writeln!(text, "in_doubt {in_doubt}\nmoney_today {}\nmoney_limit {limit}", Nano(today));
    let _ = writeln!(text, "day {}\npolicy {policy}\nlacks {lacks}", at / UTC_DAY_US);
    let models = state
        .models
        .as_ref()
        .map_or_else(Vec::new, |loaded| loaded.models.tiers.iter().map(|tier| tier.name.clone()).collect());
    if let Some(stopped) = &state.stopped {
        let _ = writeln!(text, "stopped {}\nstopped_by {}", stopped.at, stopped.by);
    }
    let _ = writeln!(text, "models {}", models.join(" "));
    let some = [("drafts", state.drafts.len()), ("unplaced", state.unplaced.len())];
    for (key, count) in some.into_iter().filter(|(_, count)| *count > 0) {
        let _ = writeln!(text, "{key} {count}");
    }
    text
}
