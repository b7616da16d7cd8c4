//! Bytes and attributes.

use super::{
    Attr, Base, NodeId, OUTSIDE, Sort, View,
    data::{Data, Grow, Whence},
    table::{Body, Table},
};
use abi::{Micros, cap::Rights, limits, tree};
use rustix::io::Errno;
use std::sync::Arc;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// To read it, or run it.
    pub read: bool,
    /// To write it.
    pub write: bool,
    /// To begin by emptying it.
    pub truncate: bool,
}

/// Attributes to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Bytes.
    pub size: Option<u64>,
    /// When it was read.
    pub atime: Option<When>,
    /// When its bytes changed.
    pub mtime: Option<When>,
}

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Now.
    Now,
    /// Then.
    At(Micros),
}

/// How an extended attribute is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetX {
    /// Whether or not it is there.
    Any,
    /// If it is not.
    Create,
    /// If it is.
    Replace,
}

/// Attributes that the view answers itself.
const OURS: &str = "user.skep.";

impl Table {
    pub(super) fn data(&self, node: NodeId) -> Result<(Arc<Data>, Arc<dyn Base>), Errno> {
        match &self.node(node)?.body {
            Body::File(data) => Ok((data.clone(), self.base.clone())),
            Body::Dir(_) => Err(Errno::ISDIR),
            Body::Link(_) | Body::Special(_) => Err(Errno::INVAL),
        }
    }
}

impl View {
    /// The bytes of a file, and what they lie over.
    fn data(&self, node: NodeId) -> Result<(Arc<Data>, Arc<dyn Base>), Errno> {
        self.lock().data(node)
    }

    /// The same, written by `write`. It counts when it is there: whoever drained meanwhile has not seen it
    /// whole.
    fn written<T>(
        &self,
        node: NodeId,
        write: impl FnOnce(&Data, &dyn Base) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let (data, base) = {
            let mut table = self.lock();
            table.soil(node);
            table.data(node)?
        };
        let done = write(&data, &*base);
        let mut table = self.lock();
        table.stamp += 1;
        table.soil(node);
        done
    }

    /// Asks for a file to be read or written; what is read of it later was told.
    pub fn open(&self, node: NodeId, access: Access) -> Result<(), Errno> {
        self.meet_node(node)?;
        let mut table = self.lock();
        table.node(node)?;
        if access.read {
            table.allow(node, Rights::READ)?;
            table.tell_opened(node);
        }
        if access.write || access.truncate {
            table.allow(node, Rights::WRITE)?;
        }
        drop(table);
        if access.truncate {
            self.written(node, |data, base| data.resize(base, 0, self.now()))?;
        }
        Ok(())
    }

    /// Bytes from `offset` on; how many there were.
    pub fn read(&self, node: NodeId, offset: u64, to: &mut [u8]) -> Result<usize, Errno> {
        let (data, base) = self.data(node)?;
        data.read(&*base, offset, to).map_err(|_| Errno::IO)
    }

    /// Writes at `offset`.
    pub fn write(&self, node: NodeId, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.written(node, |data, base| data.write(base, Some(offset), bytes, self.now())).map(|_| ())
    }

    /// Writes at the end, wherever it is then; where that was.
    pub fn append(&self, node: NodeId, bytes: &[u8]) -> Result<u64, Errno> {
        self.written(node, |data, base| data.write(base, None, bytes, self.now()))
    }

    /// Zeros from `offset` up to `end`.
    pub fn zero(&self, node: NodeId, offset: u64, end: u64, grow: Grow) -> Result<(), Errno> {
        self.written(node, |data, base| data.zero(base, (offset, end), grow, self.now()))
    }

    /// Lets a file be as large as this, if it is not; there must be room for so much.
    pub fn allocate(&self, node: NodeId, offset: u64, end: u64, grow: Grow) -> Result<(), Errno> {
        let (data, _) = self.data(node)?;
        let [(used, limit), _] = self.usage();
        if end > limits::FILE_BYTES_MAX {
            return Err(Errno::FBIG);
        }
        if end.saturating_sub(offset) > limit.saturating_sub(used) {
            return Err(Errno::DQUOT);
        }
        if grow == Grow::Yes && end > data.shape().size {
            self.written(node, |data, base| data.resize(base, end, self.now()))?;
        }
        Ok(())
    }

    /// The next byte or hole.
    pub fn seek(&self, node: NodeId, offset: u64, whence: Whence) -> Result<u64, Errno> {
        self.data(node)?.0.seek(offset, whence)
    }

    /// The target of a symbolic link.
    pub fn readlink(&self, node: NodeId) -> Result<Arc<str>, Errno> {
        let mut table = self.lock();
        let Body::Link(target) = &table.node(node)?.body else { return Err(Errno::INVAL) };
        let target = target.clone();
        table.allow(node, Rights::READ)?;
        table.tell_opened(node);
        if let Some(target) = target.get() {
            return Ok(target.clone());
        }
        let below = table.node(node)?.below.clone().ok_or(Errno::IO)?;
        let base = table.base.clone();
        drop(table);
        let content = below.entry.content;
        let mut bytes = vec![0; usize::try_from(content.bytes).unwrap_or(0).min(limits::PATH_BYTES_MAX)];
        let count = base.read(&content, 0, &mut bytes).map_err(|_| Errno::IO)?;
        bytes.truncate(count);
        let text = String::from_utf8(bytes).map_err(|_| Errno::IO)?;
        Ok(target.get_or_init(|| Arc::from(text)).clone())
    }

    /// Sets attributes.
    pub fn setattr(&self, node: NodeId, set: Set) -> Result<Attr, Errno> {
        let (uid, gid) = self.owner();
        if set.uid.is_some_and(|id| id != uid) || set.gid.is_some_and(|id| id != gid) {
            return Err(Errno::PERM);
        }
        let mut table = self.lock();
        table.allow(node, Rights::WRITE)?;
        drop(table);
        let now = self.now();
        if let Some(size) = set.size {
            self.written(node, |data, base| data.resize(base, size, now))?;
        }
        let when = |when| if let When::At(time) = when { time } else { now };
        let mut table = self.lock();
        table.stamp += 1;
        let stamp = table.stamp;
        let new_mode = set.mode.map(|mode| mode & 0o777);
        let found = table.node_mut(node)?;
        found.mode = new_mode.unwrap_or(found.mode);
        found.stamp = stamp;
        found.times.ctime = now;
        let data = match &found.body {
            Body::File(data) => Some(data.clone()),
            Body::Link(_) | Body::Dir(_) | Body::Special(_) => None,
        };
        let change = |times: &mut super::data::Times| {
            if let Some(time) = set.atime {
                times.atime = Some(when(time));
            }
            if let Some(time) = set.mtime {
                times.mtime = when(time);
                times.set = true;
            }
        };
        if data.is_none() {
            change(&mut found.times);
        }
        table.soil(node);
        drop(table);
        if let Some(data) = data {
            data.set_times(change);
        }
        self.getattr(node)
    }

    /// An extended attribute.
    pub fn getxattr(&self, node: NodeId, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let name = known_space(name)?;
        let table = self.lock();
        let node = table.node(node)?;
        if let Some(word) = name.strip_prefix(OURS) {
            let entry = &node.below.as_ref().ok_or(Errno::NODATA)?.entry;
            if word == "version" && entry.version.0 >= OUTSIDE {
                return Err(Errno::NODATA);
            }
            return match word {
                "version" => Ok(entry.version.to_string().into_bytes()),
                "label" => Ok(entry.label.to_string().into_bytes()),
                _ => Err(Errno::NODATA),
            };
        }
        node.xattrs.get(name).cloned().ok_or(Errno::NODATA)
    }

    /// Names of the extended attributes that programs set.
    pub fn listxattr(&self, node: NodeId) -> Result<Vec<String>, Errno> {
        let table = self.lock();
        Ok(table.node(node)?.xattrs.keys().cloned().collect())
    }

    /// Sets an extended attribute; it lives as long as the view.
    pub fn setxattr(&self, node: NodeId, name: &[u8], value: &[u8], how: SetX) -> Result<(), Errno> {
        let name = ours_not(name)?.to_owned();
        let mut table = self.lock();
        table.allow(node, Rights::WRITE)?;
        let sort = table.node(node)?.sort();
        if sort != Sort::File && sort != Sort::Dir {
            return Err(Errno::PERM);
        }
        let in_all = table.xattr_bytes;
        let found = table.node_mut(node)?;
        let in_file = found.xattr_bytes();
        let all = &mut found.xattrs;
        match (how, all.contains_key(&name)) {
            (SetX::Create, true) => return Err(Errno::EXIST),
            (SetX::Replace, false) => return Err(Errno::NODATA),
            (SetX::Any | SetX::Create | SetX::Replace, _) => {}
        }
        let gone = all.get(&name).map_or(0, |old| name.len() + old.len());
        let (in_file, in_all) = (in_file.saturating_sub(gone), in_all.saturating_sub(gone));
        let more = name.len() + value.len();
        if in_file + more > limits::XATTR_BYTES_MAX || in_all + more > limits::VIEW_XATTR_BYTES_MAX {
            return Err(Errno::NOSPC);
        }
        all.insert(name, value.to_owned());
        table.xattr_bytes = in_all + more;
        table.soil(node);
        Ok(())
    }

    /// Removes one.
    pub fn removexattr(&self, node: NodeId, name: &[u8]) -> Result<(), Errno> {
        let name = ours_not(name)?;
        let mut table = self.lock();
        table.allow(node, Rights::WRITE)?;
        let removed = table.node_mut(node)?.xattrs.remove(name).ok_or(Errno::NODATA)?;
        table.xattr_bytes = table.xattr_bytes.saturating_sub(name.len() + removed.len());
        Ok(())
    }
}

/// Only what users set is kept.
fn known_space(name: &[u8]) -> Result<&str, Errno> {
    let name = str::from_utf8(name).map_err(|_| Errno::OPNOTSUPP)?;
    if name.starts_with("user.") { Ok(name) } else { Err(Errno::OPNOTSUPP) }
}

fn ours_not(name: &[u8]) -> Result<&str, Errno> {
    let name = known_space(name)?;
    if name.starts_with(OURS) { Err(Errno::PERM) } else { Ok(name) }
}

impl From<tree::Node> for Sort {
    fn from(node: tree::Node) -> Self {
        match node {
            tree::Node::Dir => Self::Dir,
            tree::Node::Link => Self::Link,
            tree::Node::File | tree::Node::Gone => Self::File,
        }
    }
}
