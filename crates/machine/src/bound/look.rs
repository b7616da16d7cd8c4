//! Who names something in a bound directory by a call sees what stands there: it is looked at before the
//! call is decided, and what the tree does not know is noticed, as somebody else's.
//!
//! ```text
//! Call ─▶ Out::Look … Noticed ─▶ the same call, with the names that stand there
//! ```
//! Only what the call names gets a version, and only for who may name it. Never here: what has no versions.

use super::{joined::Joined, publish};
use crate::{
    cell::Cell,
    journal,
    node::Node,
    spawn,
    turn::Input,
    walls::{Readers, Tree, Unsealed},
};
use abi::{
    Content, Seq,
    call::{Call, Write},
    event::Body,
    limits,
    path::TreePath,
    tree,
    view::{Bound, Change},
};
use sandbox::host::Seen;
use std::{io, sync::Arc};

/// A call that waits until it was looked at.
#[derive(Clone, Debug)]
pub struct LookJob {
    /// It.
    pub input: Input,
    /// What it names.
    pub paths: Vec<TreePath>,
    /// Directories of the host that stand in the tree.
    pub bound: Vec<Bound>,
}

/// What was found where a call looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// What stands in the directory that it lists.
    pub names: Vec<Standing>,
}

/// A name of a directory of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    pub node: tree::Node,
    pub bytes: u64,
    pub mode: u32,
    pub mtime: u64,
}

/// What a call names of the tree as it is now.
fn named(call: &Call) -> Vec<&TreePath> {
    match call {
        Call::Read { path, at: None, version: None, .. }
        | Call::List { path, at: None }
        | Call::History { path, .. }
        | Call::Remove { path, .. } => vec![path],
        Call::Write { path, write, .. } => match write {
            Write::Restore(_) | Write::Resolve { .. } | Write::Begin => vec![],
            _ => vec![path],
        },
        Call::Move { from, to, .. } => vec![from, to],
        _ => vec![],
    }
}

impl LookJob {
    /// The call again.
    pub fn seen(self, looked: Looked) -> Input {
        Input { looked: Some(looked), ..self.input }
    }

    /// Of an event that was not looked at yet and names something there.
    pub fn of(input: &Input, bound: impl FnOnce() -> Vec<Bound>) -> Option<Self> {
        let (Body::Call { call, .. } | Body::Tool { call: Ok(call), .. }) = &input.event.body else {
            return None;
        };
        let named = named(call);
        if input.looked.is_some() || named.is_empty() {
            return None;
        }
        let bound = bound();
        let is_there = |path: &&&TreePath| bound.iter().any(|row| path.is_below(&row.dir));
        let paths: Vec<TreePath> = named.iter().filter(is_there).map(|path| (*path).clone()).collect();
        (!paths.is_empty()).then(|| Self { input: input.clone(), paths, bound })
    }
}

/// Looks, on a thread of its own: a directory of the host may take its time.
pub(crate) fn take(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, job: LookJob) {
    let (on, of, again) = (node.clone(), cell.clone(), job.clone());
    let begun = spawn::thread("look", move || {
        let looked = look((&on, &of, generation), &job).unwrap_or_else(|error| {
            journal::say(&of.name, &format!("what stands in a bound directory cannot be looked at: {error}"));
            Looked::default()
        });
        on.brought(&of, generation, job.seen(looked));
    });
    if !begun {
        node.brought(cell, generation, again.seen(Looked::default()));
    }
}

fn look((node, cell, generation): (&Arc<Node>, &Arc<Cell>, u64), job: &LookJob) -> io::Result<Looked> {
    let places = cell.bounds.open(&job.bound).map_err(|error| io::Error::other(error.message))?;
    let readers = Readers::of(node.dir(cell));
    let joined = Joined::new(Tree { readers, at: Seq(0) }, cell.bounds.clone(), places);
    let blobs = node.blobs(cell).map_err(|error| io::Error::other(error.message))?;
    // What was decided and stands nowhere yet is no change of anybody else's.
    cell.bounds.settled();
    let mut changes = Vec::new();
    for path in &job.paths {
        let Some((place, rest)) = joined.place(path) else { continue };
        let seen = place.host.look(&rest)?;
        let is_dir = seen.as_ref().is_some_and(|seen| seen.node == tree::Node::Dir);
        let large = seen.as_ref().is_some_and(|seen| seen.size > limits::LOOK_BYTES_MAX);
        if !large && !place.is_scratch(path, is_dir) {
            let (content, node) = (Content::default(), tree::Node::File);
            changes.push(Change {
                path: path.clone(),
                from: None,
                base: None,
                node,
                content,
                mode: 0,
                mtime: 0,
            });
        }
    }
    publish::abreast((node, cell, generation), &joined, &changes, &blobs).map_err(
        |unsealed| match unsealed {
            Unsealed::Trouble(what) => io::Error::other(what),
            Unsealed::TooLarge(error) => io::Error::other(error.message),
        },
    )?;
    let lists = matches!(
        &job.input.event.body,
        Body::Call { call: Call::List { .. }, .. } | Body::Tool { call: Ok(Call::List { .. }), .. }
    );
    let dir = job.paths.first().filter(|_| lists).and_then(|path| joined.place(path));
    let Some((place, rest)) = dir else { return Ok(Looked::default()) };
    let standing = |(name, seen): (String, Seen)| {
        let Seen { node, size, mode, mtime, .. } = seen;
        Standing { name, node, bytes: size, mode, mtime }
    };
    let most = usize::try_from(limits::LISTING_MAX).unwrap_or(usize::MAX);
    Ok(Looked { names: place.host.list(&rest)?.into_iter().take(most).map(standing).collect() })
}
