//! Places that steer agents, or that tools outside the walls run or obey: what a program changes there waits
//! for an operator, with its bytes, and stands meanwhile only in the view where it was written.
//!
//! ```text
//! ExecWrote ─▶ Proposed (one a file) … Decided ─▶ Wrote, placed        rejected: the view shows what stands
//! ```
//! A view that goes on brings what waits each time it is saved: what is asked already is not asked again,
//! what has become something else is asked anew, what it took back is not asked any more.

use crate::{
    bound, proposal,
    state::{Proposal, State},
    step::Step,
};
use abi::{
    Code, Content, Error, Hash, Pid, ProposalId, VersionId, WORKSPACE,
    bound::{is_guarded_as, names_below},
    call::{Call, Origin, Write},
    label::Label,
    limits,
    path::TreePath,
    record::{Entry, Rule},
    tree::Node,
    view::{Change, Spot},
};
use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

/// What becomes of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is decided with the others.
    Free,
    /// It waits: as this call, or with what does.
    Waits(Option<Call>),
    /// It was decided before, or stands there already.
    Over,
}

/// What waits after a commit, and what was over.
#[derive(Default)]
pub struct Waiting {
    pub paths: BTreeSet<TreePath>,
    pub proposals: Vec<ProposalId>,
    over: BTreeSet<Hash>,
}

/// Whether what a process changes in such places waits: an operator's own hand does not.
fn watches(step: &Step<'_>, pid: Pid) -> bool {
    pid != WORKSPACE || step.keeps
}

/// Whether it is such a place, to something of this kind.
fn is_place(state: &State, path: &TreePath, node: Node) -> bool {
    bound::of(state, path)
        .and_then(|(dir, _)| names_below(path, dir))
        .is_some_and(|at| is_guarded_as(at, node))
}

/// Whether a call of this process that touches these paths has to wait, or cannot be done.
pub fn asks<'a>(step: &Step<'_>, pid: Pid, mut paths: impl Iterator<Item = &'a TreePath>) -> bool {
    let watches = pid != WORKSPACE && step.approved.is_none();
    watches && paths.any(|path| is_place(step.state(), path, Node::File))
}

/// Whether the change touches such a place, so that it is nothing for the other rules yet.
pub fn touches(step: &Step<'_>, pid: Pid, change: &Change) -> bool {
    #[cfg(feature = "plant")]
    if change.node == Node::Gone && crate::plant::is(crate::plant::REMOVALS_UNGUARDED) {
        return false;
    }
    watches(step, pid) && is_place(step.state(), &change.path, change.node)
}

/// Files there are written and removed. What would let something that stands elsewhere become one of them is
/// refused, as the view does.
pub fn may(step: &Step<'_>, pid: Pid, change: &Change) -> Result<(), Error> {
    let leaves = |from: &TreePath| is_place(step.state(), from, change.node);
    let leaves = change.from.as_ref().is_some_and(leaves) && watches(step, pid);
    let arrives = change.from.is_some() && touches(step, pid, change);
    if !arrives && !leaves {
        return Ok(());
    }
    let place = change.from.as_ref().filter(|_| leaves).unwrap_or(&change.path);
    let message = format!("{place} does not move: it steers agents, or tools outside run or obey it");
    Err(Error::new(Code::Denied, message).hint("an operator can do it"))
}

/// Sorts what a command changed.
pub fn sort(
    step: &Step<'_>,
    pid: Pid,
    changes: &[Change],
    (bases, spots): (&[Option<VersionId>], &[Spot]),
) -> Vec<Fate> {
    let rows = || changes.iter().zip(bases).zip(spots);
    let one = |((change, base), spot): ((&Change, &Option<VersionId>), &Spot)| {
        if touches(step, pid, change) { fate(step, (change, *base), spot) } else { Fate::Free }
    };
    let mut fates: Vec<Fate> = rows().map(one).collect();
    // A directory goes when what waits in it has gone.
    let waits =
        |(change, fate): (&Change, &Fate)| matches!(fate, Fate::Waits(_)).then(|| change.path.clone());
    let waiting: Vec<TreePath> = changes.iter().zip(&fates).filter_map(waits).collect();
    for (((change, _), _), fate) in rows().zip(&mut fates) {
        let above = |path: &TreePath| *path != change.path && path.is_below(&change.path);
        if change.node == Node::Gone && *fate == Fate::Free && waiting.iter().any(above) {
            *fate = Fate::Waits(None);
        }
    }
    fates
}

fn fate(step: &Step<'_>, (change, base): (&Change, Option<VersionId>), spot: &Spot) -> Fate {
    let here = spot.here.as_ref();
    let stands = here.map(|here| (here.node, here.content, here.mode));
    let path = change.path.clone();
    let call = match (change.node, here.map(|here| here.node)) {
        (Node::Dir, Some(Node::Dir)) | (Node::Gone, None) => return Fate::Over,
        // What is no file is shown to nobody who could decide.
        (Node::Dir | Node::Link, _) | (Node::Gone, Some(Node::Dir)) => return Fate::Waits(None),
        (Node::Gone, _) => Call::Remove { path, base, tree: false },
        (node, _) if stands == Some((node, change.content, change.mode)) => return Fate::Over,
        _ => {
            let write = Write::Whole { content: change.content, mode: change.mode };
            Call::Write { path, write, base, message: None, origin: Origin::File }
        }
    };
    match step.kernel.volatile.closed.contains_key(&(step.pid, said(&call).hash)) {
        true => Fate::Over,
        false => Fate::Waits(Some(call)),
    }
}

/// The bytes of a call, as a proposal names it.
fn said(call: &Call) -> Content {
    Content::of(&musli::wire::to_vec(call).unwrap_or_default())
}

/// Asks for what waits and is not asked yet.
pub fn hold(step: &mut Step<'_>, changes: &[Change], fates: Vec<Fate>, label: &Label) -> Waiting {
    let mut waiting = Waiting::default();
    for (change, fate) in changes.iter().zip(fates) {
        let asked = match fate {
            Fate::Free => continue,
            Fate::Over => {
                waiting.over.extend(closed_of(step, change));
                continue;
            }
            Fate::Waits(None) => Ok(None),
            Fate::Waits(Some(call)) => ask(step, change, &call, label).map(Some),
        };
        match asked {
            Ok(proposal) => {
                waiting.proposals.extend(proposal);
                waiting.paths.insert(change.path.clone());
            }
            Err(error) => {
                let (call, about) = (String::from("exec"), format!("{}", change.path));
                step.emit(Entry::Refused { call, code: error.code, about });
                step.alarm(format!("{}, which process {} changed: {}", change.path, step.pid, error.message));
            }
        }
    }
    waiting.proposals.sort_unstable();
    waiting
}

fn closed_of(step: &Step<'_>, change: &Change) -> Vec<Hash> {
    let rows = step.kernel.volatile.closed.iter();
    let of_it = rows.filter(|((pid, _), (path, _))| *pid == step.pid && *path == change.path);
    of_it.map(|((_, args), _)| *args).collect()
}

fn ask(step: &mut Step<'_>, change: &Change, call: &Call, label: &Label) -> Result<ProposalId, Error> {
    if change.content.bytes > limits::ARGUMENT_BYTES_MAX {
        let message = "more than 64 KiB cannot be shown to who has to decide; it was not kept";
        return Err(Error::new(Code::TooLarge, message));
    }
    let args = said(call).hash;
    let asked = of(step.state(), step.pid).find(|(_, row)| row.paths.first() == Some(&change.path));
    if let Some((proposal, row)) = asked {
        if row.args.hash == args {
            return Ok(proposal);
        }
        lapse(step, proposal);
    }
    let content = (change.node == Node::File).then_some(change.content);
    let pid = step.pid;
    proposal::hold_call(step, pid, call, (Rule::Guarded, label.clone()), (&change.path, content))?;
    Ok(step.state().next.proposal)
}

/// What of a process waits so.
fn of(state: &State, pid: Pid) -> impl Iterator<Item = (ProposalId, &Proposal)> {
    let rows = state.proposals.iter().filter(move |(_, row)| row.pid == pid && row.rule == Rule::Guarded);
    rows.map(|(id, row)| (*id, row))
}

/// It is not asked any more.
fn lapse(step: &mut Step<'_>, proposal: ProposalId) {
    let Some(row) = step.state().proposals.get(&proposal) else { return };
    let key = (row.pid, row.args.hash);
    step.close_proposal(proposal, Entry::Lapsed { proposal }, None);
    step.kernel.volatile.closed.remove(&key);
}

/// A program that goes on has told all that waits of it: what is not among it, it took back.
pub fn settle(step: &mut Step<'_>, pid: Pid, waiting: &Waiting) {
    let back = |row: &Proposal| !row.paths.iter().all(|path| waiting.paths.contains(path));
    let back: Vec<ProposalId> =
        of(step.state(), pid).filter(|(_, row)| back(row)).map(|(id, _)| id).collect();
    back.into_iter().for_each(|proposal| lapse(step, proposal));
    // What was agreed to once may be asked again; what was turned down is not.
    let closed = &mut step.kernel.volatile.closed;
    closed.retain(|(of, args), (_, is_no)| *of != pid || *is_no || waiting.over.contains(args));
}

/// Whether a process is a program that goes on: it hears nothing of what is decided, its view shows it.
pub fn goes_on(state: &State, pid: Pid) -> bool {
    state.execs.values().any(|exec| exec.of == pid && exec.main)
}

/// Such a proposal was decided, or nobody decided it: a view that still has it written lets it go.
pub fn closed(step: &mut Step<'_>, row: &Proposal, is_no: bool) {
    let Some(path) = row.paths.first() else { return };
    if goes_on(step.state(), row.pid) {
        step.kernel.volatile.closed.insert((row.pid, row.args.hash), (path.clone(), is_no));
    }
}
