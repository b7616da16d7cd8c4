//! What the kernel asks, read from the bytes that it sends: the FUSE ABI 7.31 to 7.38 as in Linux's
//! `fuse.h`, little or big as the machine is.
//!
//! ```text
//!   u32 length · u32 opcode · u64 unique · u64 node · u32 uid gid pid · u16 extensions, padding
//!   fields of the opcode · names, each ended by a NUL · bytes
//! ```
//!
//! Whatever the bytes are, reading them ends with a request or an error.

use crate::view::NodeId;
use rustix::io::Errno;

/// Bytes of the header.
pub const HEADER: usize = 40;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its name in the answer.
    pub unique: u64,
    /// What it is about.
    pub node: NodeId,
    /// What is asked.
    pub op: Op<'a>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in `fuse.h`
pub enum Op<'a> {
    Init { major: u32, minor: u32, readahead: u32, flags: u64 },
    Lookup { name: &'a [u8] },
    Forget { count: u64 },
    BatchForget { pairs: &'a [u8] },
    Getattr,
    Setattr(Setattr),
    Readlink,
    Symlink { name: &'a [u8], target: &'a [u8] },
    Mknod { name: &'a [u8], mode: u32 },
    Mkdir { name: &'a [u8], mode: u32 },
    Unlink { name: &'a [u8] },
    Rmdir { name: &'a [u8] },
    Rename { name: &'a [u8], dir: NodeId, new_name: &'a [u8], flags: u32 },
    Link,
    Open { flags: u32 },
    Read { offset: u64, size: u32 },
    Write { offset: u64, bytes: &'a [u8] },
    Statfs,
    Release,
    Fsync,
    Setxattr { name: &'a [u8], value: &'a [u8], flags: u32 },
    Getxattr { name: &'a [u8], size: u32 },
    Listxattr { size: u32 },
    Removexattr { name: &'a [u8] },
    Flush,
    Opendir,
    Readdir { handle: u64, offset: u64, size: u32, plus: bool },
    Releasedir { handle: u64 },
    Fsyncdir,
    Create { name: &'a [u8], flags: u32, mode: u32 },
    Tmpfile { mode: u32 },
    Interrupt,
    Destroy,
    Ioctl,
    Fallocate { offset: u64, length: u64, mode: u32 },
    Lseek { offset: u64, whence: u32 },
    Syncfs,
    Other(u32),
}

/// Attributes to be set, those that `valid` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in `fuse.h`
pub struct Setattr {
    pub valid: u32,
    pub size: u64,
    pub atime: (u64, u32),
    pub mtime: (u64, u32),
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Errno> {
        let (first, rest) = self.0.split_at_checked(count).ok_or(Errno::INVAL)?;
        self.0 = rest;
        Ok(first)
    }

    fn u16(&mut self) -> Result<u16, Errno> {
        Ok(u16::from_ne_bytes(self.take(2)?.try_into().map_err(|_| Errno::INVAL)?))
    }

    fn u32(&mut self) -> Result<u32, Errno> {
        Ok(u32::from_ne_bytes(self.take(4)?.try_into().map_err(|_| Errno::INVAL)?))
    }

    fn u64(&mut self) -> Result<u64, Errno> {
        Ok(u64::from_ne_bytes(self.take(8)?.try_into().map_err(|_| Errno::INVAL)?))
    }

    /// Up to the next NUL, which goes too.
    fn name(&mut self) -> Result<&'a [u8], Errno> {
        let end = memchr(self.0).ok_or(Errno::INVAL)?;
        let name = self.take(end)?;
        self.take(1)?;
        Ok(name)
    }

    /// Skips a field.
    fn skip(&mut self, count: usize) -> Result<&mut Self, Errno> {
        self.take(count)?;
        Ok(self)
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == 0)
}

/// The unique name of a request that could not be read, to answer it all the same.
pub fn unique_of(bytes: &[u8]) -> Option<u64> {
    Input(bytes.get(8..16)?).u64().ok()
}

/// Reads a request.
pub fn parse(bytes: &[u8]) -> Result<Request<'_>, Errno> {
    let mut input = Input(bytes);
    let length = input.u32()? as usize;
    let opcode = input.u32()?;
    let unique = input.u64()?;
    let node = NodeId(input.u64()?);
    input.skip(12)?;
    let extensions = usize::from(input.u16()?) * 8;
    input.skip(2)?;
    let end = length.checked_sub(extensions).ok_or(Errno::INVAL)?;
    if length != bytes.len() || end < HEADER {
        return Err(Errno::INVAL);
    }
    let body = bytes.get(HEADER..end).ok_or(Errno::INVAL)?;
    Ok(Request { unique, node, op: op(opcode, Input(body))? })
}

fn op(opcode: u32, mut input: Input<'_>) -> Result<Op<'_>, Errno> {
    let input = &mut input;
    Ok(match opcode {
        1 => Op::Lookup { name: input.name()? },
        2 => Op::Forget { count: input.u64()? },
        3 => Op::Getattr,
        4 => Op::Setattr(setattr(input)?),
        5 => Op::Readlink,
        6 => Op::Symlink { name: input.name()?, target: input.name()? },
        8 => Op::Mknod { mode: input.u32()?, name: input.skip(12)?.name()? },
        9 => Op::Mkdir { mode: input.u32()?, name: input.skip(4)?.name()? },
        10 => Op::Unlink { name: input.name()? },
        11 => Op::Rmdir { name: input.name()? },
        12 => rename(input, 0)?,
        45 => rename(input, 8)?,
        13 => Op::Link,
        14 => Op::Open { flags: input.u32()? },
        15 => Op::Read { offset: input.skip(8)?.u64()?, size: input.u32()? },
        16 => write(input)?,
        17 => Op::Statfs,
        18 => Op::Release,
        20 => Op::Fsync,
        21 => {
            let (size, flags) = (input.u32()? as usize, input.u32()?);
            Op::Setxattr { name: input.name()?, value: input.take(size)?, flags }
        }
        22 => Op::Getxattr { size: input.u32()?, name: input.skip(4)?.name()? },
        23 => Op::Listxattr { size: input.u32()? },
        24 => Op::Removexattr { name: input.name()? },
        25 => Op::Flush,
        26 => init(input)?,
        27 => Op::Opendir,
        28 | 44 => {
            let (handle, offset) = (input.u64()?, input.u64()?);
            Op::Readdir { handle, offset, size: input.u32()?, plus: opcode == 44 }
        }
        29 => Op::Releasedir { handle: input.u64()? },
        30 => Op::Fsyncdir,
        35 => {
            let (flags, mode) = (input.u32()?, input.u32()?);
            Op::Create { flags, mode, name: input.skip(8)?.name()? }
        }
        36 => Op::Interrupt,
        38 => Op::Destroy,
        39 => Op::Ioctl,
        42 => {
            let count = input.u32()? as usize;
            let bytes = count.checked_mul(16).ok_or(Errno::INVAL)?;
            Op::BatchForget { pairs: input.skip(4)?.take(bytes)? }
        }
        43 => {
            let (offset, length) = (input.skip(8)?.u64()?, input.u64()?);
            Op::Fallocate { offset, length, mode: input.u32()? }
        }
        46 => Op::Lseek { offset: input.skip(8)?.u64()?, whence: input.u32()? },
        50 => Op::Syncfs,
        51 => Op::Tmpfile { mode: input.skip(4)?.u32()? },
        other => Op::Other(other),
    })
}

fn init<'a>(input: &mut Input<'a>) -> Result<Op<'a>, Errno> {
    let (major, minor, readahead) = (input.u32()?, input.u32()?, input.u32()?);
    let low = u64::from(input.u32()?);
    // Kernels before 7.36 end here.
    let high = input.u32().map_or(0, u64::from);
    Ok(Op::Init { major, minor, readahead, flags: low | high << 32 })
}

fn rename<'a>(input: &mut Input<'a>, flag_bytes: usize) -> Result<Op<'a>, Errno> {
    let dir = NodeId(input.u64()?);
    let mut flags = Input(input.take(flag_bytes)?);
    let flags = if flag_bytes == 0 { 0 } else { flags.u32()? };
    Ok(Op::Rename { dir, flags, name: input.name()?, new_name: input.name()? })
}

fn write<'a>(input: &mut Input<'a>) -> Result<Op<'a>, Errno> {
    let offset = input.skip(8)?.u64()?;
    let size = input.u32()? as usize;
    Ok(Op::Write { offset, bytes: input.skip(20)?.take(size)? })
}

fn setattr(input: &mut Input<'_>) -> Result<Setattr, Errno> {
    let valid = input.u32()?;
    let size = input.skip(12)?.u64()?;
    let (atime, mtime) = (input.skip(8)?.u64()?, input.u64()?);
    let (atime_ns, mtime_ns) = (input.skip(8)?.u32()?, input.u32()?);
    let mode = input.skip(4)?.u32()?;
    let (uid, gid) = (input.skip(4)?.u32()?, input.u32()?);
    Ok(Setattr { valid, size, atime: (atime, atime_ns), mtime: (mtime, mtime_ns), mode, uid, gid })
}

/// Pairs of node and references.
pub fn forgets(pairs: &[u8]) -> impl Iterator<Item = (NodeId, u64)> {
    pairs.chunks_exact(16).filter_map(|pair| {
        let mut pair = Input(pair);
        Some((NodeId(pair.u64().ok()?), pair.u64().ok()?))
    })
}
