//! What daemon, helper and init say to each other: one packet is one message, descriptors ride along.
//!
//! ```text
//! packet = tag u8 · fields;  u32, u64 little-endian;  bytes = length u32 · bytes;  list = count u32 ·
//! bytes…
//! ```
//!
//! Both ends are the same binary, so there is no version. What comes from a sandbox is read with bounds all
//! the same. Never here: what a message means.

use super::MESSAGE_BYTES_MAX;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{Errno, IoSlice, IoSliceMut},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
};
use std::mem::MaybeUninit;

/// Descriptors in one message: standard three, the report, and those of a start.
pub const FDS_MAX: usize = 16;

/// Writes fields.
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn new(tag: u8) -> Self {
        Self(vec![tag])
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut next = self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        next.0.extend(bytes);
        next
    }

    pub fn list<T: AsRef<[u8]>>(self, items: &[T]) -> Self {
        let first = self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        items.iter().fold(first, |next, item| next.bytes(item.as_ref()))
    }
}

/// Reads fields; `None` is a message that is not whole.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The tag, and what reads the rest.
    pub fn new(message: &'a [u8]) -> Option<(u8, Self)> {
        let (tag, rest) = message.split_first()?;
        Some((*tag, Self(rest)))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub fn i32(&mut self) -> Option<i32> {
        Some(i32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }

    pub fn list(&mut self) -> Option<Vec<Vec<u8>>> {
        let count = self.u32()?;
        // Each item has at least its length: a count beyond the message is a lie.
        if usize::try_from(count).ok()? > self.0.len() / 4 {
            return None;
        }
        (0..count).map(|_| self.bytes().map(<[u8]>::to_vec)).collect()
    }
}

/// Sends one packet.
pub fn send(socket: impl AsFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    if message.len() > MESSAGE_BYTES_MAX || fds.len() > FDS_MAX {
        return Err(Errno::MSGSIZE);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::MSGSIZE);
    }
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Takes one packet; an empty message is the end of the other side.
pub fn receive(socket: impl AsFd) -> Result<(Vec<u8>, Vec<OwnedFd>), Errno> {
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let into = &mut [IoSliceMut::new(&mut buffer)];
        match rustix::net::recvmsg(&socket, into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    buffer.truncate(received.bytes);
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds.collect::<Vec<OwnedFd>>()),
        _ => None,
    });
    Ok((buffer, fds.flatten().collect()))
}
