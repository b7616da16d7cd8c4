//! Answers, as bytes: a header of 16 bytes, and what the question wants.

use crate::view::{Attr, Listed, Sort, Stale};
use rustix::io::Errno;

/// Bytes of the header.
pub(super) const HEADER: usize = 16;

/// So long may be remembered what was answered: until it is said to be stale.
const FOREVER: u64 = 1 << 30;

/// A name that may change without being asked, so long, in seconds. What it is is asked each time.
const OUTSIDE: u64 = 1;

fn name_valid(outside: bool) -> u64 {
    if outside { OUTSIDE } else { FOREVER }
}

fn attr_valid(outside: bool) -> u64 {
    if outside { 0 } else { FOREVER }
}

/// An answer in the making.
pub(super) struct Reply<'a> {
    bytes: &'a mut Vec<u8>,
    owner: (u32, u32),
}

impl<'a> Reply<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>, owner: (u32, u32)) -> Self {
        bytes.clear();
        bytes.resize(HEADER, 0);
        Self { bytes, owner }
    }

    /// How much there is but for the header.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(HEADER)
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn zeros(&mut self, count: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len() + count, 0);
        self
    }

    /// Room of this size, filled by `read`, which says how much it filled.
    pub(super) fn fill(
        &mut self,
        size: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        let from = self.bytes.len();
        self.bytes.resize(from + size, 0);
        let count = read(self.bytes.get_mut(from..).unwrap_or_default())?;
        self.bytes.truncate(from + count);
        Ok(())
    }

    /// `struct fuse_attr`
    fn attr(&mut self, attr: &Attr) {
        let seconds = |time: u64| time / 1_000_000;
        let nanos = |time: u64| (time % 1_000_000) as u32 * 1000;
        self.u64(attr.number).u64(attr.size).u64(attr.kept.div_ceil(512));
        self.u64(seconds(attr.atime)).u64(seconds(attr.mtime)).u64(seconds(attr.ctime));
        self.u32(nanos(attr.atime)).u32(nanos(attr.mtime)).u32(nanos(attr.ctime));
        // A directory's one link counts no directories in it, which tools take as "not counted".
        let (uid, gid) = self.owner;
        self.u32(format(attr.sort) | attr.mode).u32(attr.links).u32(uid).u32(gid);
        self.u32(0).u32(4096).u32(0);
    }

    /// `struct fuse_attr_out`
    pub(super) fn attr_out(&mut self, attr: &Attr) {
        self.u64(attr_valid(attr.outside)).u64(0).attr(attr);
    }

    /// `struct fuse_entry_out`
    pub(super) fn entry(&mut self, attr: &Attr) {
        let (name, face) = (name_valid(attr.outside), attr_valid(attr.outside));
        self.u64(attr.node.0).u64(0).u64(name).u64(face).u64(0).attr(attr);
    }

    /// The same of a name that is not there, which is remembered as well.
    pub(super) fn nothing(&mut self, outside: bool) -> Result<(), Errno> {
        self.u64(0).u64(0).u64(name_valid(outside)).zeros(ENTRY - 24);
        Ok(())
    }

    /// `struct fuse_open_out`
    pub(super) fn open(&mut self, handle: u64, flags: u32) -> Result<(), Errno> {
        self.u64(handle).u32(flags).u32(0);
        Ok(())
    }

    /// One name of a listing, if it still fits.
    pub(super) fn listed(&mut self, listed: &Listed<'_>, size: usize, plus: bool) -> bool {
        let name = listed.name.as_bytes();
        let row = (24 + name.len()).next_multiple_of(8);
        let head = if plus { ENTRY } else { 0 };
        if self.len() + head + row > size {
            return false;
        }
        match (&listed.attr, plus) {
            (Some(attr), true) => self.entry(attr),
            (None, true) => {
                self.zeros(ENTRY);
            }
            (_, false) => {}
        }
        self.u64(listed.number).u64(listed.next).u32(name.len() as u32).u32(format(listed.sort) >> 12);
        self.put(name).zeros(row - 24 - name.len());
        true
    }

    /// The whole, to be sent.
    pub(super) fn sealed(self, unique: u64, result: Result<(), Errno>) -> &'a [u8] {
        let error = match result {
            Ok(()) => 0,
            Err(error) => {
                self.bytes.truncate(HEADER);
                -error.raw_os_error()
            }
        };
        seal(self.bytes, error, unique);
        self.bytes
    }
}

/// An answer that says only how it ended.
pub(super) fn ended(unique: u64, result: Result<(), Errno>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Reply::new(&mut bytes, (0, 0)).sealed(unique, result);
    bytes
}

/// Bytes of `struct fuse_entry_out`.
const ENTRY: usize = 128;

fn seal(bytes: &mut [u8], error: i32, unique: u64) {
    let length = (bytes.len() as u32).to_ne_bytes();
    let fields = length.into_iter().chain(error.to_ne_bytes()).chain(unique.to_ne_bytes());
    bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
}

/// The bits of a mode that say what it is.
fn format(sort: Sort) -> u32 {
    match sort {
        Sort::Fifo => 0o010_000,
        Sort::Dir => 0o040_000,
        Sort::File => 0o100_000,
        Sort::Link => 0o120_000,
        Sort::Socket => 0o140_000,
    }
}

/// A notice to the kernel of what it must forget.
pub(super) fn notice(stale: &Stale) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reply = Reply::new(&mut bytes, (0, 0));
    let code = match stale {
        Stale::Node(node) => {
            // All of its pages.
            reply.u64(node.0).u64(0).u64(0);
            2
        }
        Stale::Entry { dir, name } => {
            reply.u64(dir.0).u32(name.len() as u32).u32(0).put(name.as_bytes()).put(&[0]);
            3
        }
    };
    seal(&mut bytes, code, 0);
    bytes
}
