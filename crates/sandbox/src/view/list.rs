//! Directories, listed. A listing is what the directory was when it was begun; what is removed meanwhile may
//! still be in it, as POSIX allows.

use super::{
    Attr, BaseEntry, NodeId, ROOT, Sort, View,
    scope::leads,
    table::{Below, Table},
};
use abi::{cap::Rights, limits, tree};
use rustix::io::Errno;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Open directories.
#[derive(Default)]
pub(super) struct Handles {
    next: u64,
    open: BTreeMap<u64, Arc<Handle>>,
    listed: Arc<AtomicUsize>,
}

struct Handle {
    dir: NodeId,
    listing: Mutex<Option<Arc<Listing>>>,
}

/// What a directory was when its listing was begun.
struct Listing {
    items: Vec<Item>,
    /// Names of all listings of the view that are held.
    all: Arc<AtomicUsize>,
}

impl Listing {
    fn new(items: Vec<Item>, all: &Arc<AtomicUsize>) -> Result<Arc<Self>, Errno> {
        let add = |held: usize| {
            let sum = held + items.len();
            (held == 0 || sum <= limits::VIEW_LISTED_MAX).then_some(sum)
        };
        all.fetch_update(Relaxed, Relaxed, add).map_err(|_| Errno::NOMEM)?;
        Ok(Arc::new(Self { items, all: all.clone() }))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.all.fetch_sub(self.items.len(), Relaxed);
    }
}

struct Item {
    name: Arc<str>,
    number: u64,
    sort: Sort,
    /// What is below, if it was not in memory.
    entry: Option<(Arc<Below>, BaseEntry)>,
}

/// Whether a listing brings attributes, which give out references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Names, numbers and sorts.
    Names,
    /// And attributes.
    Attributes,
}

/// One name of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The name; the first two are `.` and `..`.
    pub name: &'a str,
    /// Number of the file.
    pub number: u64,
    /// What it is.
    pub sort: Sort,
    /// Where the listing goes on behind it.
    pub next: u64,
    /// Its attributes and a reference, if they were asked for; never of the first two.
    pub attr: Option<Attr>,
}

impl View {
    /// Opens a directory for listing.
    pub fn opendir(&self, dir: NodeId) -> Result<u64, Errno> {
        let mut table = self.lock();
        let point = table.names(dir)?.point;
        if !point && table.node(dir)?.below.is_some() {
            let listable = table.rights(dir)?.contains(Rights::LIST);
            if !listable && !table.path(dir).is_some_and(|path| leads(&table.plan, &path)) {
                return Err(Errno::ACCESS);
            }
        }
        table.tell_opened(dir);
        table.tell_home(dir);
        drop(table);
        let mut handles = self.handles();
        handles.next += 1;
        let id = handles.next;
        handles.open.insert(id, Arc::new(Handle { dir, listing: Mutex::new(None) }));
        Ok(id)
    }

    /// Closes it.
    pub fn releasedir(&self, handle: u64) {
        self.handles().open.remove(&handle);
    }

    /// Lists from `offset` on (0 begins anew) until `take` has no room for the next.
    pub fn readdir(
        &self,
        handle: u64,
        offset: u64,
        detail: Detail,
        take: &mut dyn FnMut(Listed<'_>) -> bool,
    ) -> Result<(), Errno> {
        let handle = self.handles().open.get(&handle).cloned().ok_or(Errno::BADF)?;
        let listing = {
            let mut listing = handle.listing.lock().unwrap_or_else(PoisonError::into_inner);
            match listing.clone().filter(|_| offset > 0) {
                Some(listing) => listing,
                None => {
                    // What was listed before is not held beside what is now.
                    *listing = None;
                    let items = self.listing(handle.dir)?;
                    let begun = Listing::new(items, &self.handles().listed)?;
                    *listing = Some(begun.clone());
                    begun
                }
            }
        };
        for (ix, item) in listing.items.iter().enumerate().skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            let attr = match detail {
                Detail::Attributes if ix > 1 => match self.attr_of(handle.dir, item) {
                    Some(attr) => Some(attr),
                    None => continue,
                },
                Detail::Attributes | Detail::Names => None,
            };
            let (name, sort, next) = (&*item.name, item.sort, ix as u64 + 1);
            let number = attr.map_or(item.number, |attr| attr.number);
            if !take(Listed { name, number, sort, next, attr }) {
                if let Some(attr) = attr {
                    self.forget(attr.node, 1);
                }
                break;
            }
        }
        Ok(())
    }

    fn attr_of(&self, dir: NodeId, item: &Item) -> Option<Attr> {
        let mut table = self.lock();
        let id = match (table.names(dir).ok()?.slots.get(&item.name), &item.entry) {
            (Some(slot), _) => slot.node?,
            (None, Some((up, entry))) => {
                let same = table.names(dir).ok()?.below.as_ref().is_some_and(|now| Arc::ptr_eq(now, up));
                if !same {
                    return None;
                }
                table.load(dir, up, entry.clone()).ok()??
            }
            (None, None) => return None,
        };
        let face = table.refer(id).ok()?;
        drop(table);
        Some(face.attr())
    }

    fn listing(&self, dir: NodeId) -> Result<Vec<Item>, Errno> {
        loop {
            let table = self.lock();
            let below = table.names(dir)?.below.clone();
            let base = table.base.clone();
            drop(table);
            let entries = match &below {
                Some(below) => base.list(below.entry.file).map_err(|_| Errno::IO)?,
                None => Vec::new(),
            };
            let mut table = self.lock();
            let same = match (&below, &table.names(dir)?.below) {
                (Some(was), Some(is)) => Arc::ptr_eq(was, is) && Arc::ptr_eq(&base, &table.base),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if same {
                return items(&mut table, dir, below, entries);
            }
        }
    }
}

/// What is listed of a directory: dots, what is in memory, what is only below.
fn items(
    table: &mut Table,
    dir: NodeId,
    below: Option<Arc<Below>>,
    entries: Vec<BaseEntry>,
) -> Result<Vec<Item>, Errno> {
    table.lists(dir, &entries)?;
    let node = table.node(dir)?;
    let up = node.place.as_ref().map_or(dir, |(up, _)| *up);
    let up = table.node(up).map_or(ROOT.0, |up| up.number);
    let dot = |name: &str, number| Item { name: Arc::from(name), number, sort: Sort::Dir, entry: None };
    let mut items = vec![dot(".", node.number), dot("..", up)];
    let held: Vec<(Arc<str>, NodeId)> =
        table.names(dir)?.slots.iter().filter_map(|(name, slot)| Some((name.clone(), slot.node?))).collect();
    for (name, id) in held {
        let node = table.node(id)?;
        let (number, sort, below) = (node.number, node.sort(), node.below.clone());
        // What was moved here is shown; what stands here as below is if it may be listed.
        if let Some(below) = below {
            if below.entry.name == *name && !table.listed(dir, &below.entry)? {
                continue;
            }
            table.tell(&below.entry);
        }
        items.push(Item { name, number, sort, entry: None });
    }
    let Some(below) = below else { return Ok(items) };
    for entry in entries {
        if table.names(dir)?.slots.contains_key(entry.name.as_str()) || !table.listed(dir, &entry)? {
            continue;
        }
        table.tell(&entry);
        let sort = match entry.node {
            tree::Node::Dir => Sort::Dir,
            tree::Node::Link => Sort::Link,
            tree::Node::File | tree::Node::Gone => Sort::File,
        };
        let name = Arc::from(entry.name.as_str());
        items.push(Item { name, number: entry.file.0, sort, entry: Some((below.clone(), entry)) });
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_that_are_held_have_a_limit() {
        let all = Arc::new(AtomicUsize::new(0));
        let items = || {
            let item = || Item { name: Arc::from("a"), number: 1, sort: Sort::File, entry: None };
            (0..3).map(|_| item()).collect::<Vec<Item>>()
        };
        let first = Listing::new(items(), &all).unwrap();
        all.fetch_add(limits::VIEW_LISTED_MAX - 6, Relaxed);
        let second = Listing::new(items(), &all).unwrap();
        assert_eq!(Listing::new(items(), &all).err(), Some(Errno::NOMEM));
        drop((first, second));
        assert!(Listing::new(items(), &all).is_ok());
    }
}
