//! One request, answered by the view.

use super::{
    WRITE_BYTES_MAX,
    reply::{self, Reply},
    wire::{self, Op, Request, Setattr},
};
use crate::view::{Access, Attr, Detail, Grow, NodeId, Onto, Set, SetX, Sort, View, When, Whence};
use rustix::io::Errno;

const KEEP_CACHE: u32 = 1 << 1;
const CACHE_DIR: u32 = 1 << 3;
const NOFLUSH: u32 = 1 << 5;

/// What is asked of the kernel, if it can: reads at once, opening with truncation, large requests, names and
/// attributes in listings, cached links, and that pages are only dropped when it is told so. Not asked for:
/// writeback, locks, access lists, opening without a question.
const WANTED: u64 = 1 // ASYNC_READ
    | 1 << 3 // ATOMIC_O_TRUNC
    | 1 << 5 // BIG_WRITES
    | 1 << 13 // DO_READDIRPLUS
    | 1 << 14 // READDIRPLUS_AUTO
    | 1 << 15 // ASYNC_DIO
    | 1 << 18 // PARALLEL_DIROPS
    | 1 << 19 // HANDLE_KILLPRIV: no file has a set-user-id bit
    | 1 << 21 // ABORT_ERROR
    | 1 << 22 // MAX_PAGES
    | 1 << 23 // CACHE_SYMLINKS
    | 1 << 25 // EXPLICIT_INVAL_DATA
    | 1 << 28 // HANDLE_KILLPRIV_V2
    | 1 << 30; // INIT_EXT

/// What becomes of a request.
pub(super) enum Answer<'a> {
    /// It is answered by these bytes.
    Now(&'a [u8]),
    /// It is answered when what was written is lasting, under this name.
    Lasting(u64),
    /// No answer is wanted.
    Nothing,
}

/// The answer to these bytes.
pub(super) fn answer<'a>(view: &View, asked: &[u8], bytes: &'a mut Vec<u8>) -> Answer<'a> {
    let mut reply = Reply::new(bytes, view.owner());
    let request = match wire::parse(asked) {
        Ok(request) => request,
        Err(error) => {
            return match wire::unique_of(asked) {
                Some(unique) => Answer::Now(reply.sealed(unique, Err(error))),
                None => Answer::Nothing,
            };
        }
    };
    match request.op {
        Op::Forget { count } => {
            view.forget(request.node, count);
            Answer::Nothing
        }
        Op::BatchForget { pairs } => {
            wire::forgets(pairs).for_each(|(node, count)| view.forget(node, count));
            Answer::Nothing
        }
        // Nothing here takes long but what waits, and that is answered soon.
        Op::Interrupt => Answer::Nothing,
        Op::Fsync | Op::Fsyncdir | Op::Syncfs if view.may_wait() => Answer::Lasting(request.unique),
        _ => {
            let result = carry_out(view, &request, &mut reply);
            Answer::Now(reply.sealed(request.unique, result))
        }
    }
}

fn carry_out(view: &View, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
    let node = request.node;
    match request.op {
        Op::Init { major, minor, readahead, flags } => init(reply, (major, minor), readahead, flags),
        Op::Lookup { name } => match view.lookup(node, name) {
            Err(Errno::NOENT) => reply.nothing(view.is_outside(node)),
            found => found.map(|attr| reply.entry(&attr)),
        },
        Op::Getattr => view.getattr(node).map(|attr| reply.attr_out(&attr)),
        Op::Setattr(set) => view.setattr(node, set_of(&set)).map(|attr| reply.attr_out(&attr)),
        Op::Readlink => {
            reply.put(view.readlink(node)?.as_bytes());
            Ok(())
        }
        Op::Symlink { name, target } => made(view.symlink(node, name, target), reply),
        Op::Mknod { name, mode } => made(mknod(view, node, name, mode), reply),
        Op::Mkdir { name, mode } => made(view.mkdir(node, name, mode), reply),
        Op::Unlink { name } => view.unlink(node, name),
        Op::Rmdir { name } => view.rmdir(node, name),
        Op::Rename { name, dir, new_name, flags } => view.rename((node, name), (dir, new_name), onto(flags)?),
        Op::Create { name, flags, mode } => create(view, node, name, (flags, mode), reply),
        Op::Tmpfile { mode } => {
            made(view.tmpfile(node, mode), reply)?;
            reply.open(0, KEEP_CACHE | NOFLUSH)
        }
        Op::Open { flags } => {
            view.open(node, access(flags))?;
            let keep = if view.is_as_opened(node) { KEEP_CACHE } else { 0 };
            reply.open(0, keep | NOFLUSH)
        }
        Op::Opendir => {
            let handle = view.opendir(node)?;
            let cached = if view.is_outside(node) { 0 } else { KEEP_CACHE | CACHE_DIR };
            reply.open(handle, cached)
        }
        Op::Readdir { handle, offset, size, plus } => readdir(view, (handle, offset, size, plus), reply),
        Op::Releasedir { handle } => {
            view.releasedir(handle);
            Ok(())
        }
        Op::Statfs => {
            statfs(view, reply);
            Ok(())
        }
        // Locks and descriptors are the kernel's.
        Op::Release | Op::Destroy => Ok(()),
        Op::Link => Err(Errno::PERM),
        Op::Ioctl => Err(Errno::NOTTY),
        // The kernel goes on without asking again, as if it had been done. What is lasting of a command is
        // decided when it has ended.
        Op::Fsync | Op::Fsyncdir | Op::Syncfs | Op::Flush | Op::Other(_) => Err(Errno::NOSYS),
        _ => of_bytes(view, request, reply),
    }
}

/// Contents and extended attributes.
fn of_bytes(view: &View, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
    let node = request.node;
    match request.op {
        Op::Read { offset, size } => {
            let size = (size as usize).min(WRITE_BYTES_MAX);
            reply.fill(size, |room| view.read(node, offset, room))
        }
        Op::Write { offset, bytes } => {
            view.write(node, offset, bytes)?;
            reply.u32(bytes.len() as u32).u32(0);
            Ok(())
        }
        Op::Fallocate { offset, length, mode } => fallocate(view, node, (offset, length), mode),
        Op::Lseek { offset, whence } => {
            let whence = match whence {
                3 => Whence::Data,
                4 => Whence::Hole,
                _ => return Err(Errno::INVAL),
            };
            reply.u64(view.seek(node, offset, whence)?);
            Ok(())
        }
        Op::Getxattr { name, size } => sized(&view.getxattr(node, name)?, size, reply),
        Op::Listxattr { size } => {
            let names = view.listxattr(node)?;
            let names: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
            sized(&names, size, reply)
        }
        Op::Setxattr { name, value, flags } => {
            let how = match flags {
                0 => SetX::Any,
                1 => SetX::Create,
                2 => SetX::Replace,
                _ => return Err(Errno::INVAL),
            };
            view.setxattr(node, name, value, how)
        }
        Op::Removexattr { name } => view.removexattr(node, name),
        _ => Err(Errno::NOSYS),
    }
}

fn init(reply: &mut Reply<'_>, (major, minor): (u32, u32), readahead: u32, flags: u64) -> Result<(), Errno> {
    if major < 7 || (major == 7 && minor < 31) {
        return Err(Errno::PROTO);
    }
    let flags = flags & WANTED;
    let pages = (WRITE_BYTES_MAX / 4096) as u16;
    reply.u32(7).u32(38).u32(readahead).u32(flags as u32);
    // At most so many requests that nobody waits for, and from how many on others wait; times are in µs.
    reply.u16(64).u16(48).u32(WRITE_BYTES_MAX as u32).u32(1000);
    reply.u16(pages).u16(0).u32((flags >> 32) as u32).zeros(28);
    Ok(())
}

fn made(made: Result<Attr, Errno>, reply: &mut Reply<'_>) -> Result<(), Errno> {
    made.map(|attr| reply.entry(&attr))
}

fn access(flags: u32) -> Access {
    // O_ACCMODE, O_TRUNC; what is opened for running is opened for reading.
    let mode = flags & 3;
    Access { read: mode != 1, write: mode != 0, truncate: flags & 0o1000 != 0 }
}

fn create(
    view: &View,
    dir: NodeId,
    name: &[u8],
    (flags, mode): (u32, u32),
    reply: &mut Reply<'_>,
) -> Result<(), Errno> {
    let exclusive = flags & 0o200 != 0;
    let attr = match view.create(dir, name, mode) {
        // Somebody was faster.
        Err(Errno::EXIST) if !exclusive => {
            let attr = view.lookup(dir, name)?;
            view.open(attr.node, access(flags)).inspect_err(|_| view.forget(attr.node, 1))?;
            attr
        }
        other => other?,
    };
    reply.entry(&attr);
    reply.open(0, KEEP_CACHE | NOFLUSH)
}

fn mknod(view: &View, dir: NodeId, name: &[u8], mode: u32) -> Result<Attr, Errno> {
    let sort = match mode & 0o170_000 {
        0 | 0o100_000 => Sort::File,
        0o010_000 => Sort::Fifo,
        0o140_000 => Sort::Socket,
        _ => return Err(Errno::PERM),
    };
    view.mknod(dir, name, mode, sort)
}

fn onto(flags: u32) -> Result<Onto, Errno> {
    match flags {
        0 => Ok(Onto::Replace),
        1 => Ok(Onto::Free),
        2 => Ok(Onto::Exchange),
        _ => Err(Errno::INVAL),
    }
}

fn set_of(set: &Setattr) -> Set {
    let has = |bit: u32| set.valid & 1 << bit != 0;
    let when = |bit: u32, now: u32, (seconds, nanos): (u64, u32)| match (has(bit), has(now)) {
        (false, _) => None,
        (true, true) => Some(When::Now),
        // Before 1970 is 1970.
        (true, false) if seconds > i64::MAX as u64 => Some(When::At(0)),
        (true, false) => {
            let micros = seconds.saturating_mul(1_000_000).saturating_add(u64::from(nanos) / 1000);
            Some(When::At(micros))
        }
    };
    Set {
        mode: has(0).then_some(set.mode),
        uid: has(1).then_some(set.uid),
        gid: has(2).then_some(set.gid),
        size: has(3).then_some(set.size),
        atime: when(4, 7, set.atime),
        mtime: when(5, 8, set.mtime),
    }
}

fn readdir(
    view: &View,
    (handle, offset, size, plus): (u64, u64, u32, bool),
    reply: &mut Reply<'_>,
) -> Result<(), Errno> {
    let size = (size as usize).min(WRITE_BYTES_MAX);
    let detail = if plus { Detail::Attributes } else { Detail::Names };
    view.readdir(handle, offset, detail, &mut |listed| reply.listed(&listed, size, plus))
}

/// `fallocate`: nothing, or KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE.
fn fallocate(view: &View, node: NodeId, (offset, length): (u64, u64), mode: u32) -> Result<(), Errno> {
    let end = offset.checked_add(length).ok_or(Errno::FBIG)?;
    match mode {
        0 => view.allocate(node, offset, end, Grow::Yes),
        1 => view.allocate(node, offset, end, Grow::No),
        3 | 0x11 => view.zero(node, offset, end, Grow::No),
        0x10 => view.zero(node, offset, end, Grow::Yes),
        _ => Err(Errno::OPNOTSUPP),
    }
}

/// What may be asked for its size first.
fn sized(bytes: &[u8], size: u32, reply: &mut Reply<'_>) -> Result<(), Errno> {
    match size {
        0 => {
            reply.u32(bytes.len() as u32).u32(0);
        }
        size if bytes.len() > size as usize => return Err(Errno::RANGE),
        _ => {
            reply.put(bytes);
        }
    }
    Ok(())
}

fn statfs(view: &View, reply: &mut Reply<'_>) {
    let [(bytes, bytes_max), (files, files_max)] = view.usage();
    let free = bytes_max.saturating_sub(bytes) / 4096;
    reply.u64(bytes_max / 4096).u64(free).u64(free);
    reply.u64(files_max).u64(files_max.saturating_sub(files));
    reply.u32(4096).u32(abi::limits::NAME_BYTES_MAX as u32).u32(4096).zeros(28);
}

/// The header is the same for all.
const _: () = assert!(reply::HEADER == 16);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{memory::Memory, tests};
    use abi::cap::Rights;
    use proptest::prelude::*;

    fn asked(opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((wire::HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(opcode.to_ne_bytes());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(node.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes.extend(body);
        bytes
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        // Small numbers, names and ends of names are what leads further.
        let piece = prop_oneof![
            prop::sample::select(vec![0_u64, 1, 2, 3, 8, 16, 4096, u64::MAX, 1 << 40])
                .prop_map(|number| number.to_ne_bytes().to_vec()),
            prop::sample::select(vec![&b"a\0"[..], b"b\0", b"user.x\0", b"\xff\0", b".\0"])
                .prop_map(<[u8]>::to_vec),
            prop::collection::vec(any::<u8>(), 0..9),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn a_time_that_is_no_time_is_the_last_there_is() {
        let set = Setattr { valid: 1 << 5, mtime: (i64::MAX as u64, u32::MAX), ..Setattr::default() };
        assert_eq!(set_of(&set).mtime, Some(When::At(u64::MAX)));
        let before = Setattr { mtime: (u64::MAX, 0), ..set };
        assert_eq!(set_of(&before).mtime, Some(When::At(0)));
    }

    proptest! {
        /// Whatever is asked is answered, or wants no answer; nothing of it ends the server.
        #[test]
        fn anything_may_be_asked(all in prop::collection::vec((0_u32..54, 0_u64..4, body()), 1..30)) {
            let mut plan = tests::plan(&[("/**", Rights::ALL)]);
            plan.quota = abi::view::Quota { bytes: 1 << 20, files: 20 };
            let view = tests::view(&Memory::default(), plan);
            let mut bytes = Vec::new();
            for (opcode, node, body) in all {
                let asked = asked(opcode, node, &body);
                if let Answer::Now(said) = answer(&view, &asked, &mut bytes) {
                    prop_assert_eq!(said.len(), u32::from_ne_bytes(said[..4].try_into().unwrap()) as usize);
                    prop_assert_eq!(&said[8..16], 7_u64.to_ne_bytes());
                }
            }
            view.drain().unwrap();
        }

        /// Even what is no request.
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = wire::parse(&bytes);
        }
    }
}
