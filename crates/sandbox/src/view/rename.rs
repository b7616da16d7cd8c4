//! Moving names.

use super::{
    NodeId, Sort, View,
    names::{Locked, sought, wanted},
    scope::Scope,
    table::Table,
};
use abi::{cap::Rights, limits, tree::Node};
use rustix::io::Errno;
use std::sync::Arc;

/// How a rename treats what stands at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Onto {
    /// It is replaced.
    #[default]
    Replace,
    /// It must not be there.
    Free,
    /// The two exchange their places.
    Exchange,
}

/// One end of a rename.
#[derive(Clone, Copy)]
struct End<'a> {
    dir: NodeId,
    name: &'a str,
}

impl View {
    /// Moves a name. A directory below which not everything may be done alike is not moved (`EXDEV`): what
    /// moves it by copying then meets the rights of each file.
    pub fn rename(
        &self,
        (dir, name): (NodeId, &[u8]),
        (new_dir, new_name): (NodeId, &[u8]),
        onto: Onto,
    ) -> Result<(), Errno> {
        let from = End { dir, name: sought(name)? };
        let to = End { dir: new_dir, name: wanted(new_name)? };
        loop {
            let (table, found) = self.find(from.dir, from.name)?;
            let id = found.node.ok_or(Errno::NOENT)?;
            let beside = table.is_beside(id) && table.node(id)?.outside;
            let data = beside.then(|| table.data(id)).transpose().unwrap_or_default();
            drop(table);
            if let Some((data, base)) = data {
                // What it stands over goes from the host before the view has its bytes again.
                data.hold(&*base)?;
            }
            let (table, target) = self.find_to_go(to.dir, to.name)?;
            let replaces_dir = onto == Onto::Replace
                && target.node.is_some_and(|target| target != id && table.names(target).is_ok())
                && table.names(id).is_ok();
            let above = |target| target != id && table.is_inside(id, target);
            if onto == Onto::Replace && target.node.is_some_and(above) {
                return Err(Errno::NOTEMPTY);
            }
            let mut table = match target.node.filter(|_| replaces_dir) {
                Some(_) if table.is_inside(to.dir, id) => return Err(Errno::INVAL),
                Some(target) => {
                    drop(table);
                    self.emptied(target)?
                }
                None => table,
            };
            // Both ends must still be what they were when the last of them was looked at.
            if at(&table, from) == Some(id) && at(&table, to) == target.node {
                table.tell_home(from.dir);
                table.tell_home(to.dir);
                return self.moved(&mut table, (from, id), (to, target.node, target.covers), onto);
            }
        }
    }

    fn moved(
        &self,
        table: &mut Locked<'_>,
        (from, id): (End<'_>, NodeId),
        (to, target, covers): (End<'_>, Option<NodeId>, bool),
        onto: Onto,
    ) -> Result<(), Errno> {
        match (onto, target) {
            (Onto::Free, Some(_)) => return Err(Errno::EXIST),
            (Onto::Exchange, None) => return Err(Errno::NOENT),
            (_, Some(target)) if target == id => return Ok(()),
            (Onto::Replace | Onto::Free | Onto::Exchange, _) => {}
        }
        let guarded = fits(table, id, (from, to), onto)?;
        if let Some(target) = target {
            match onto {
                Onto::Exchange => _ = fits(table, target, (to, from), onto)?,
                Onto::Replace | Onto::Free => replaceable(table, id, target)?,
            }
        }
        let replaces = target.is_some() && onto == Onto::Replace;
        if (replaces || guarded) && table.is_beside(id) {
            table.renew(id)?;
        }
        let now = self.now();
        if let (Onto::Exchange, Some(target)) = (onto, target) {
            place(table, target, from, true, now)?;
            place(table, id, to, true, now)?;
        } else {
            if let Some(target) = target {
                table.unlink(target)?;
            }
            table.stamp += 1;
            let stamp = table.stamp;
            table.vacate(from.dir, &Arc::from(from.name), stamp)?;
            place(table, id, to, covers, now)?;
        }
        table.touch(from.dir, now);
        table.touch(to.dir, now);
        Ok(())
    }
}

fn at(table: &Table, end: End<'_>) -> Option<NodeId> {
    table.names(end.dir).ok()?.slots.get(end.name)?.node
}

/// Whether this node may move there; whether that waits for an operator.
fn fits(table: &mut Table, id: NodeId, (from, to): (End<'_>, End<'_>), onto: Onto) -> Result<bool, Errno> {
    if table.is_inside(to.dir, id) {
        return Err(Errno::INVAL);
    }
    table.allow(id, Rights::REMOVE)?;
    table.may_make_or_replace(to)?;
    let guarded = guards(table, id, (from, to), onto)?;
    if table.holds_mount(id) {
        return Err(Errno::BUSY);
    }
    if table.node(id)?.sort() == Sort::Dir {
        let alike = |scope, rights| matches!(scope, Scope::Same(all) if all.contains(rights));
        let leaves = table.scope(id)?;
        let path = table.path_in(to.dir, to.name)?;
        let arrives = super::scope::below(&table.plan, &path);
        if !alike(leaves, Rights::REMOVE) || !alike(arrives, Rights::CREATE) {
            return Err(Errno::XDEV);
        }
        let (depth, bytes) = table.extent(id);
        let names = path.matches('/').count();
        if names + depth > limits::PATH_DEPTH_MAX || path.len() + bytes > limits::PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
    }
    Ok(guarded)
}

/// Whether an end of this move is such that a change there waits for an operator. Bytes do, which the program
/// has written: whatever else stands somewhere is copied there by who moves it, or stays where it is.
fn guards(table: &Table, id: NodeId, (from, to): (End<'_>, End<'_>), onto: Onto) -> Result<bool, Errno> {
    let node = table.node(id)?;
    let (sort, new) = (node.sort(), node.below.is_none());
    let kind = match sort {
        Sort::Dir => Node::Dir,
        Sort::Link => Node::Link,
        Sort::File | Sort::Fifo | Sort::Socket => Node::File,
    };
    let ends = [from, to];
    if ends.into_iter().any(|end| table.guards(end.dir, end.name, kind)) {
        let written = new || (table.is_beside(id) && onto != Onto::Exchange);
        return match sort {
            Sort::File if written => Ok(true),
            Sort::File | Sort::Dir => Err(Errno::XDEV),
            Sort::Link | Sort::Fifo | Sort::Socket => Err(Errno::ACCESS),
        };
    }
    if ends.into_iter().any(|end| table.keeps_place(end.dir, end.name)) {
        return Err(Errno::ACCESS);
    }
    // What lies in it was nothing to ask for where it is.
    if sort == Sort::Dir && table.spares(from.dir, from.name) && !table.spares(to.dir, to.name) {
        return Err(Errno::XDEV);
    }
    Ok(false)
}

impl Table {
    fn may_make_or_replace(&mut self, to: End<'_>) -> Result<(), Errno> {
        let replaces = at(self, to).is_some();
        match self.may_make(to.dir, to.name) {
            Err(Errno::ACCESS) if replaces && self.rights_in(to.dir, to.name)?.contains(Rights::WRITE) => {
                Ok(())
            }
            other => other,
        }
    }
}

/// Whether this may take the place of that.
fn replaceable(table: &mut Table, id: NodeId, target: NodeId) -> Result<(), Errno> {
    let (new, ours, theirs) = {
        let (node, other) = (table.node(id)?, table.node(target)?);
        (node.below.is_none() || table.is_beside(id), node.sort(), other.sort())
    };
    match (ours, theirs) {
        (Sort::Dir, Sort::Dir) if table.holds_mount(target) => Err(Errno::BUSY),
        (Sort::Dir, Sort::Dir) => table.allow(target, Rights::REMOVE),
        (Sort::Dir, _) => Err(Errno::NOTDIR),
        (_, Sort::Dir) => Err(Errno::ISDIR),
        // A file that was written beside and takes the place is a new content of what stood there.
        (_, _) if new => table.allow(target, Rights::WRITE),
        (_, _) => table.allow(target, Rights::REMOVE),
    }
}

/// Lets a node stand at another name from now on.
fn place(table: &mut Table, id: NodeId, to: End<'_>, covers: bool, now: u64) -> Result<(), Errno> {
    table.stamp += 1;
    let stamp = table.stamp;
    let name: Arc<str> = Arc::from(to.name);
    // An exchange takes the slot as it is; `occupy` keeps what it covers.
    let covers = covers && table.names(to.dir)?.slots.get(to.name).is_none_or(|slot| slot.covers);
    table.occupy(to.dir, name.clone(), id, covers)?;
    let outside = table.node(to.dir)?.outside;
    let node = table.node_mut(id)?;
    node.outside |= outside;
    node.place = Some((to.dir, name));
    node.stamp = stamp;
    node.times.ctime = now;
    let is_dir = node.sort() == Sort::Dir;
    if is_dir {
        table.epoch += 1;
    }
    table.soil(id);
    Ok(())
}
