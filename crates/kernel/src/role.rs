//! Operators and their roles, as `/sys/policy.yaml` lists them.
//!
//! ```text
//! none listed   whoever runs the node is an admin; whom an admin has added to it is nobody
//! admin         everything
//! member        sees and changes the part of the tree that is theirs, gives tasks, waits for them, decides
//!               the kinds of proposals that are theirs; nothing else
//! not listed    nothing at all
//! ```
//! Three gates, in the order in which a call meets them: [`admit`] before a question is asked of the store,
//! [`screen`] over what the store answered (a version or a file below may lie elsewhere than the path that
//! was named), [`narrow`] over the answer. What a member starts holds no more of the tree than the member
//! sees: [`within`]. A role is looked up at every call: taking it away is in force at once.
//!
//! Never here: what a process may; that is `authority`.

use crate::{
    Kernel, bound, files, proposal, render, session, sink,
    state::{Phase, Proposal, State},
    step::Step,
};
use abi::{
    Code, Error, Pid, ProposalId, WORKSPACE,
    agent::{OperatorRow, Policy, Role},
    answer::{Answer, Name},
    call::{Call, Lane, Undo, Write},
    cap::{Grant, Object, Rights},
    control::Control,
    event::Caller,
    fact::{Fact, Lookup, Place, Query, View},
    path::{Pattern, TreePath},
    record::{Entry, Freeze},
    session::{LaneName, of_path},
    view::Change,
};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};

/// What of `/sys` every member may read; the last three are cut to what is theirs.
const OPEN: [&str; 5] = ["/sys/rules", "/sys/version", "/sys/conflicts", "/sys/halts", "/sys/status"];

/// Whether an operator is somebody here at all: who was added to the node only by a list, and no list is
/// none.
pub fn known(kernel: &Kernel, caller: &Caller) -> Result<(), Error> {
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::ADDED_ANYWHERE) {
        return Ok(());
    }
    let none = kernel.state.policy.as_ref().is_none_or(|loaded| loaded.policy.operators.is_empty());
    match caller {
        Caller::Added(name) if none => Err(unlisted(name)),
        Caller::Added(_) | Caller::Operator(_) | Caller::Process(_) => Ok(()),
    }
}

fn unlisted(name: &str) -> Error {
    Error::new(Code::Denied, format!("{name} is not listed as an operator of this workspace"))
        .hint(format!("an admin adds {name}: skep operator add {name}"))
}

/// The member of this name; none for who is an admin, an error for who is nobody here.
pub fn member<'k>(kernel: &'k Kernel, name: &str) -> Result<Option<&'k OperatorRow>, Error> {
    let rows =
        kernel.state.policy.as_ref().map(|loaded| loaded.policy.operators.as_slice()).unwrap_or_default();
    if rows.is_empty() {
        return Ok(None);
    }
    match rows.iter().find(|row| row.name == name) {
        Some(row) => Ok((row.role == Role::Member).then_some(row)),
        None => Err(unlisted(name)),
    }
}

/// Whether who made this policy is still an admin under it.
pub fn stays_admin(policy: &Policy, actor: &str) -> Result<(), Error> {
    let name = actor.strip_prefix("operator:").unwrap_or_default();
    let is = |row: &OperatorRow| row.name == name && row.role == Role::Admin;
    if policy.operators.is_empty() || policy.operators.iter().any(is) {
        return Ok(());
    }
    Err(Error::new(Code::Denied, format!("this would take the role of admin from {name}, who writes it"))
        .argument("text")
        .hint(format!("list yourself, {name}: {{role: admin}}; another admin can take it from you")))
}

/// An operator leaves the node: never the last admin. What they began goes no further: programs that show its
/// tokens are ended, turns stand still until somebody decides.
pub fn leaves(step: &mut Step<'_>, name: &str) -> Result<(), Error> {
    let rows = step.state().policy.as_ref().map(|loaded| loaded.policy.operators.as_slice());
    let admin = |row: &&OperatorRow| row.role == Role::Admin;
    let mut admins = rows.unwrap_or_default().iter().filter(admin).map(|row| row.name.as_str());
    if admins.clone().any(|of| of == name) && admins.all(|of| of == name) {
        return Err(Error::new(Code::Denied, format!("{name} is the last admin of this workspace"))
            .argument("text")
            .hint("make another one first: skep operator add NAME --role admin"));
    }
    let own = step.state().processes.iter().filter(|(_, process)| process.by == name);
    let (programs, turns): (Vec<_>, Vec<_>) =
        own.partition(|(_, process)| matches!(process.turn.phase, Phase::Client | Phase::Native));
    let programs: Vec<Pid> = programs.into_iter().map(|(pid, _)| *pid).collect();
    let moves = turns.into_iter().filter(|(_, process)| process.frozen.is_none());
    let pids: Vec<Pid> = moves.map(|(pid, _)| *pid).collect();
    step.end_all(&programs, &format!("{name} is no operator any more"));
    if !pids.is_empty() {
        step.emit(Entry::Frozen { pids, why: Freeze::Asked });
    }
    Ok(())
}

fn sees(row: &OperatorRow, path: &TreePath) -> Result<(), Error> {
    if row.sees.iter().any(|pattern| pattern.matches(path.as_str())) {
        return Ok(());
    }
    Err(Error::new(Code::Denied, format!("{path} is not among what {} sees", row.name))
        .argument("path")
        .hint("an admin lists it under sees in /sys/policy.yaml"))
}

/// What steers agents is an admin's, wherever it stands.
fn changes(state: &State, row: &OperatorRow, path: &TreePath) -> Result<(), Error> {
    sees(row, path)?;
    if sink::is_steering(path) || bound::is_guarded(state, path) {
        return Err(Error::new(Code::Denied, format!("{path} steers agents, and {} is a member", row.name))
            .argument("path")
            .hint("an admin can write it"));
    }
    Ok(())
}

/// A draft was written under what its operator saw then: who keeps it changes what they may change now.
pub fn may_keep(kernel: &Kernel, by: &str, changes_of: &[Change]) -> Result<(), Error> {
    let Some(row) = member(kernel, by.strip_prefix("operator:").unwrap_or_default())? else { return Ok(()) };
    let paths = changes_of.iter().flat_map(|change| [Some(&change.path), change.from.as_ref()]);
    paths.flatten().try_for_each(|path| changes(&kernel.state, row, path))
}

fn never(row: &OperatorRow, call: &Call) -> Error {
    let message = format!("{} is a member, and {} is for admins", row.name, call.name());
    Error::new(Code::Denied, message).hint("an admin can do it, or give another role in /sys/policy.yaml")
}

/// Whether a run is this operator's: they began it, or something did that they began.
fn owns(kernel: &Kernel, row: &OperatorRow, pid: Pid) -> bool {
    let by = kernel.state.processes.get(&pid).map(|process| &process.by);
    by.or_else(|| kernel.state.ended.get(&pid).map(|ended| &ended.by)) == Some(&row.name)
}

fn own(kernel: &Kernel, row: &OperatorRow, pid: Pid) -> Result<(), Error> {
    if owns(kernel, row, pid) {
        return Ok(());
    }
    Err(Error::new(Code::Denied, format!("process {pid} is not one that {} began", row.name)).argument("pid"))
}

/// Whether a proposal is theirs to decide: by its kind, and by where it would write.
fn may_decide(state: &State, row: &OperatorRow, proposal: &Proposal) -> bool {
    row.decides.iter().any(|kind| kind.matches(&proposal.kind))
        && proposal.paths.iter().all(|path| changes(state, row, path).is_ok())
}

fn decides(kernel: &Kernel, row: &OperatorRow, id: ProposalId) -> Result<(), Error> {
    match kernel.state.proposals.get(&id) {
        Some(proposal) if !may_decide(&kernel.state, row, proposal) => {
            let message = format!("proposal {id} is not one that {} decides", row.name);
            Err(Error::new(Code::Denied, message)
                .argument("proposal")
                .hint("an admin lists its kind under decides in /sys/policy.yaml"))
        }
        // That it is gone is told as to anybody.
        Some(_) | None => Ok(()),
    }
}

/// The first gate: what can be said of a call before anything is looked up.
pub fn admit(kernel: &Kernel, name: &str, call: &Call) -> Result<(), Error> {
    let Some(row) = member(kernel, name)? else { return Ok(()) };
    match call {
        Call::List { path, .. } | Call::Read { path, .. } if render::is_rendered(path) => {
            rendered(kernel, row, path)
        }
        // Their own sessions, wherever they are read, and what they say in them.
        Call::List { path, at: None } | Call::Read { path, at: None, version: None, .. }
            if session::is_own(kernel, name, path) =>
        {
            Ok(())
        }
        Call::Write { path, write: Write::Append(_), .. } if of_path(path).is_some() => Ok(()),
        Call::List { path, .. } if row.sees.iter().any(|pattern| files::leads_to(pattern, path)) => Ok(()),
        Call::List { path, .. } | Call::Read { path, .. } | Call::History { path, .. } => sees(row, path),
        Call::Write { write: Write::Restore(Undo::Operation(_) | Undo::Process(_)), .. } => Ok(()),
        Call::Write { path, .. } | Call::Remove { path, .. } => changes(&kernel.state, row, path),
        Call::Move { from, to, .. } => {
            changes(&kernel.state, row, from).and_then(|()| changes(&kernel.state, row, to))
        }
        // Their views are narrowed.
        Call::Search(_) | Call::Operation { .. } => Ok(()),
        // What of the host is shown is an admin's to say.
        Call::Spawn { program: Some(given), .. } if !given.guest.tools.is_empty() => Err(never(row, call)),
        Call::Spawn { post, .. } => post.iter().try_for_each(|post| sees(row, post.path())),
        // A session is of who names it.
        Call::Dispatch { session: Some(_), .. } => Ok(()),
        Call::Dispatch { agent, lane, .. } => lane_is_own(kernel, row, agent, *lane),
        Call::Wait { pid: Some(pid), .. } | Call::Signal { pid, .. } => own(kernel, row, *pid),
        Call::Trace { pid, .. } => pid.map_or(Ok(()), |pid| own(kernel, row, pid)),
        Call::Wait { proposal: Some(id), .. } => waits_for(kernel, row, *id),
        Call::Wait { .. } => Ok(()),
        Call::Decide { proposal, ruling, digest, .. } => {
            let ids = proposal::decided(kernel, *proposal, proposal::shown_of(*ruling, *digest))?;
            ids.into_iter().try_for_each(|id| decides(kernel, row, id))
        }
        Call::Exec { pid: Some(pid), .. } => own(kernel, row, *pid),
        Call::Exec { pid: None, .. }
        | Call::Propose { .. }
        | Call::Revert { .. }
        | Call::Complete { .. }
        | Call::Why(_) => Err(never(row, call)),
        Call::Control {
            word: Control::Attach { pid } | Control::Draft { pid, .. } | Control::Open { pid, .. },
            ..
        } => own(kernel, row, *pid),
        Call::Grant { .. } | Call::Revoke { .. } | Call::Control { .. } => Err(never(row, call)),
    }
}

fn waits_for(kernel: &Kernel, row: &OperatorRow, id: ProposalId) -> Result<(), Error> {
    let asker = kernel.state.proposals.get(&id).map(|proposal| proposal.pid);
    if asker.is_some_and(|pid| owns(kernel, row, pid)) { Ok(()) } else { decides(kernel, row, id) }
}

/// Words join a turn that runs only if it is their own: it may hold what they do not see.
fn lane_is_own(kernel: &Kernel, row: &OperatorRow, agent: &str, lane: Lane) -> Result<(), Error> {
    let common = LaneName { agent: agent.to_string(), session: None };
    match (session::busy(&kernel.state, &common), lane) {
        (None, _) | (_, Lane::FollowUp) => Ok(()),
        (Some(pid), Lane::Steer | Lane::Interrupt) => own(kernel, row, pid),
    }
}

fn rendered(kernel: &Kernel, row: &OperatorRow, path: &TreePath) -> Result<(), Error> {
    let names: Vec<&str> = path.names().collect();
    let number = |text: &str| text.parse().unwrap_or(0);
    match names.as_slice() {
        ["proc" | "proposals"] => Ok(()),
        // The token is the process: who shows it acts as it.
        ["proc", pid, rest @ ..] if rest != ["token"] => own(kernel, row, Pid(number(pid))),
        ["proposals", id, ..] => waits_for(kernel, row, ProposalId(number(id))),
        _ if OPEN.contains(&path.as_str()) => Ok(()),
        _ => sees(row, path).and(Err(Error::new(Code::Denied, format!("{path} is for admins")))),
    }
}

/// What stands where a member reads a session is not there for one who does not see it: neither in what is
/// shown, nor in what is refused.
pub fn blind(kernel: &Kernel, name: &str, call: &Call, facts: &mut [Fact]) {
    let (Call::Read { path, .. } | Call::List { path, .. } | Call::Write { path, .. }) = call else { return };
    let Ok(Some(row)) = member(kernel, name) else { return };
    let is_place = of_path(path).is_some() || session::is_own(kernel, name, path);
    if is_place && changes(&kernel.state, row, path).is_err() {
        for fact in facts {
            match fact {
                Fact::Place(place) => *place = Place::default(),
                Fact::Labels(count, labels) => (*count, *labels) = Default::default(),
                _ => {}
            }
        }
    }
}

/// The second gate: what the store answered lies where the member sees, all of it.
pub fn screen(kernel: &Kernel, name: &str, call: &Call, facts: &[Fact]) -> Result<(), Error> {
    let Some(row) = member(kernel, name)? else { return Ok(()) };
    for fact in facts {
        match fact {
            Fact::Version(Some(version)) => sees(row, &version.path)?,
            Fact::Below(Ok(below)) => {
                below.iter().try_for_each(|(path, ..)| changes(&kernel.state, row, path))?;
                moved(&kernel.state, row, call, below.iter().map(|(path, ..)| path))?;
            }
            Fact::Conflict(Some(conflict)) => {
                sees(row, &conflict.version.path)?;
                changes(&kernel.state, row, &conflict.path)?;
            }
            Fact::Undo(Some(rows)) => {
                for undone in rows {
                    changes(&kernel.state, row, &undone.path)?;
                    undone.moved_from.iter().try_for_each(|(path, _)| changes(&kernel.state, row, path))?;
                    undone.before.iter().try_for_each(|before| sees(row, &before.path))?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where what stands below comes to stand.
fn moved<'a>(
    state: &State,
    row: &OperatorRow,
    call: &Call,
    mut below: impl Iterator<Item = &'a TreePath>,
) -> Result<(), Error> {
    let Call::Move { from, to, .. } = call else { return Ok(()) };
    below.try_for_each(|path| {
        let rest = path.as_str().strip_prefix(from.as_str()).unwrap_or_default();
        changes(state, row, &TreePath::parse(&format!("{to}{rest}"))?)
    })
}

fn view(row: &OperatorRow) -> View {
    View { shown: row.sees.clone(), ..View::default() }
}

/// Questions whose answers are cut to a view: to the member's.
pub fn narrow_questions(kernel: &Kernel, name: &str, lookups: &mut [Lookup]) -> Result<(), Error> {
    let Some(row) = member(kernel, name)? else { return Ok(()) };
    for lookup in lookups {
        match lookup {
            Lookup::Search { view: of, .. }
            | Lookup::Operation { view: of, .. }
            | Lookup::Conflicts { view: of }
            | Lookup::Past { view: of, .. } => *of = view(row),
            _ => {}
        }
    }
    Ok(())
}

/// The third gate: an answer holds only what the member sees, decides and began.
pub fn narrow(kernel: &Kernel, name: &str, call: &Call, answer: &mut Answer) {
    let Ok(Some(row)) = member(kernel, name) else { return };
    match answer {
        Answer::Query(
            Query::List { view: of, .. }
            | Query::Search { view: of, .. }
            | Query::History { view: of, .. }
            | Query::Operation { view: of, .. }
            | Query::Conflicts { view: of },
        ) => *of = view(row),
        Answer::Query(Query::Trace { pids, .. }) => {
            let all = kernel.state.processes.keys().chain(kernel.state.ended.keys()).copied();
            let own = all.filter(|pid| owns(kernel, row, *pid));
            *pids = Some(own.filter(|pid| pids.as_ref().is_none_or(|of| of.contains(pid))).collect());
        }
        Answer::Text { text } => match call {
            Call::Read { path, .. } if path.as_str() == "/sys/status" => *text = own_status(kernel, row),
            Call::Read { path, .. } if path.as_str() == "/sys/halts" => *text = own_halts(kernel, row, text),
            _ => {}
        },
        Answer::Names { entries, .. } => {
            let of_proposals = matches!(call, Call::List { path, .. } if path.as_str() == "/proposals");
            let of_processes = matches!(call, Call::List { path, .. } if path.as_str() == "/proc");
            entries.retain(|Name { name, .. }| match name.parse() {
                Ok(id) if of_proposals => waits_for(kernel, row, ProposalId(id)).is_ok(),
                Ok(pid) if of_processes => owns(kernel, row, Pid(pid)),
                _ => !of_proposals && !of_processes,
            });
        }
        _ => {}
    }
}

/// Where the log ends, whether all stands still, and counts of what is theirs.
fn own_status(kernel: &Kernel, row: &OperatorRow) -> String {
    let state = &kernel.state;
    let own = || state.processes.values().filter(|process| process.by == row.name);
    let frozen = own().filter(|process| process.frozen.is_some()).count();
    let waits = state.proposals.keys().filter(|id| waits_for(kernel, row, **id).is_ok()).count();
    let mut text = format!("seq {}\nprocesses {}\n", state.seq, own().count());
    text.push_str(&format!("running {}\nfrozen {frozen}\nproposals {waits}\n", own().count() - frozen));
    if let Some(stopped) = &state.stopped {
        text.push_str(&format!("stopped {}\nstopped_by {}\n", stopped.at, stopped.by));
    }
    text
}

/// The blocks about their processes, and that all stands still.
fn own_halts(kernel: &Kernel, row: &OperatorRow, text: &str) -> String {
    let is_own = |block: &&str| {
        let pid = block.lines().find_map(|line| line.strip_prefix("pid ")).and_then(|pid| pid.parse().ok());
        pid.map_or_else(|| block.starts_with("halt stopped"), |pid| owns(kernel, row, Pid(pid)))
    };
    text.split_inclusive("\n\n").filter(is_own).collect()
}

/// On whose behalf something begins: of an operator's call the operator, else whoever began who begins it.
pub fn behind(state: &State, parent: Pid, actor: &str) -> String {
    match state.processes.get(&parent) {
        Some(process) => process.by.clone(),
        None => actor.strip_prefix("operator:").unwrap_or_default().to_string(),
    }
}

/// The parts of a grant that lie where the one behind it sees: a process's own capabilities bound its
/// children, so this is asked of what the workspace itself begins.
pub fn within(kernel: &Kernel, (parent, by): (Pid, &str), grant: Grant) -> Result<Vec<Grant>, Error> {
    if parent != WORKSPACE || by.is_empty() || !matches!(grant.object, Object::Fs(_)) {
        return Ok(vec![grant]);
    }
    let Some(row) = member(kernel, by)? else { return Ok(vec![grant]) };
    let part = |pattern: &Pattern| Grant::new(Object::Fs(pattern.clone()), Rights::ALL).meet(&grant);
    Ok(row.sees.iter().filter_map(part).collect())
}
