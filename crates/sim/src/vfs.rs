//! A recording and failing SQLite VFS: the unix one with an ear between, and the default of the process from
//! the first watched directory on.
//!
//! ```text
//! SQLite ──▶ [Opened | the unix VFS's own file] ──▶ unix
//!                └ Spot: which tape, which name     every write, cut, sync, name on a tape (disk::tape)
//! ```
//!
//! Files below no watched directory are handed to the unix VFS whole and are never looked at again. A sync of
//! a watched file is written down and not carried out: what a power cut leaves is computed from the tape, so
//! that thousands of runs cost no barrier. Never here: what an operation means, or which one fails.
//!
//! The only file of `sim` with `unsafe`: SQLite takes a VFS as tables of C functions, and there is no other
//! way to hand it one. What all blocks rest on is said once, here:
//!
//! - `file` is memory of at least `szOsFile` bytes, aligned to 8, which SQLite gave to `open` and gives to
//!   every method until `close`; SQLite never calls two methods of one file at a time.
//! - Of a watched file the first [`REAL`] bytes are an [`Opened`] which `open` wrote, and behind them lies
//!   the unix VFS's file, which unix's own `xOpen` made; of any other, all of it is unix's, its methods too.
//! - The unix VFS and its method tables stand as long as the process.
#![allow(unsafe_code)]

use crate::disk::tape::{Act, Answer, Op, Spot, spot};
use rusqlite::ffi::{self, sqlite3_file as File, sqlite3_vfs as Vfs};
use std::{
    ffi::{CStr, c_char, c_int, c_void},
    mem, ptr, slice,
    sync::Once,
};

/// What SQLite holds of a watched file, before the unix VFS's own.
#[repr(C)]
struct Opened {
    base: File,
    spot: *mut Spot,
}

/// Where the unix VFS's file begins; a multiple of its alignment.
const REAL: usize = mem::size_of::<Opened>().next_multiple_of(16);

/// Makes this VFS the default of the process, once.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: needed to ask SQLite for its default VFS. A null name means that, the answer is null or a
        // VFS that stands for good; it is copied, not changed.
        let real = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!real.is_null(), "SQLite has no VFS");
        // SAFETY: not null, and a whole `sqlite3_vfs` by the contract of `sqlite3_vfs_find`.
        let mut ours = unsafe { *real };
        ours.szOsFile += REAL as c_int;
        ours.pNext = ptr::null_mut();
        ours.zName = c"skep-tape".as_ptr();
        ours.pAppData = real.cast();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        let ours: &'static mut Vfs = Box::leak(Box::new(ours));
        // SAFETY: needed to register it. It is never freed, and its other functions are the unix VFS's, which
        // read nothing of the `sqlite3_vfs` they are given but what was copied from the unix one: its
        // `pAppData`, which `xOpen` alone reads, is only ours here since `open` passes on the real VFS.
        let code = unsafe { ffi::sqlite3_vfs_register(ours, 1) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite took no VFS");
    });
}

/// The VFS below ours.
///
/// # Safety
/// `vfs` is the one that [`install`] made.
unsafe fn below<'a>(vfs: *mut Vfs) -> &'a mut Vfs {
    // SAFETY: `install` put the unix VFS there, which stands for good; SQLite's VFS functions read it only.
    unsafe { &mut *(*vfs).pAppData.cast::<Vfs>() }
}

/// The unix VFS's file behind a watched one.
///
/// # Safety
/// `file` is a watched one (see the module).
unsafe fn real(file: *mut File) -> *mut File {
    // SAFETY: `szOsFile` has room for both, so the place is inside what SQLite gave.
    unsafe { file.cast::<u8>().add(REAL).cast() }
}

/// Tape and name of a watched file.
///
/// # Safety
/// `file` is a watched one, between `open` and `close` (see the module).
unsafe fn heard<'a>(file: *mut File) -> &'a Spot {
    // SAFETY: `open` put a leaked box there, which only `close` takes back.
    unsafe { &*(*file.cast::<Opened>()).spot }
}

unsafe extern "C" fn open(
    vfs: *mut Vfs,
    name: ffi::sqlite3_filename,
    file: *mut File,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with the VFS that was registered.
    let under = unsafe { below(vfs) };
    let Some(open) = under.xOpen else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: a name is null (a temporary file) or a C string that lives as long as the file is open.
    let text = if name.is_null() { None } else { unsafe { CStr::from_ptr(name) }.to_str().ok() };
    let Some(found) = text.and_then(spot) else {
        // SAFETY: the arguments as SQLite gave them; the memory is larger than unix needs.
        return unsafe { open(under, name, file, flags, out) };
    };
    // What unix does, it does after this; whether the file stood before is what the tape wants to know.
    let known = found.stood();
    // SAFETY: the place behind ours, large enough by `szOsFile`; the rest as SQLite gave it. SQLite zeroes
    // nothing for us, so the method tables are made null first: a failed open must leave none.
    let code = unsafe {
        (*file).pMethods = ptr::null();
        (*real(file)).pMethods = ptr::null();
        open(under, name, real(file), flags, out)
    };
    if code == ffi::SQLITE_OK {
        found.opened(known);
        let opened = Opened { base: File { pMethods: &METHODS }, spot: Box::into_raw(Box::new(found)) };
        // SAFETY: the first REAL bytes are ours, and aligned; there is nothing there to drop.
        unsafe { ptr::write(file.cast::<Opened>(), opened) };
    }
    code
}

unsafe extern "C" fn delete(vfs: *mut Vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite calls this with the VFS that was registered, and with a C string.
    let (under, text) = unsafe { (below(vfs), CStr::from_ptr(name).to_str().ok()) };
    let found = text.and_then(spot);
    if let Some(answer) = found.as_ref().and_then(|found| found.fate(Act::Delete)) {
        return code(Act::Delete, answer);
    }
    let Some(delete) = under.xDelete else { return ffi::SQLITE_IOERR_DELETE };
    // SAFETY: the arguments as SQLite gave them, the VFS that the function belongs to.
    let done = unsafe { delete(under, name, if found.is_some() { 0 } else { sync }) };
    if let (ffi::SQLITE_OK, Some(found)) = (done, found) {
        found.note(Op::Gone { file: found.name.clone(), synced: sync != 0 });
    }
    done
}

unsafe extern "C" fn close(file: *mut File) -> c_int {
    // SAFETY: a watched file; SQLite calls this once and nothing of it after. Unix's file is closed first,
    // then the box that `open` leaked is taken back, and the method table is made null as SQLite asks.
    unsafe {
        let code = below_close(real(file));
        drop(Box::from_raw((*file.cast::<Opened>()).spot));
        (*file).pMethods = ptr::null();
        code
    }
}

unsafe extern "C" fn read(file: *mut File, data: *mut c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: a watched file.
    let spot = unsafe { heard(file) };
    if let Some(answer) = spot.fate(Act::Read) {
        return code(Act::Read, answer);
    }
    // SAFETY: unix's own file, and the room SQLite gave.
    unsafe { below_read(real(file), data, amount, offset) }
}

unsafe extern "C" fn write(file: *mut File, data: *const c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: a watched file; SQLite promises `amount` readable bytes.
    let (spot, bytes) =
        unsafe { (heard(file), slice::from_raw_parts(data.cast::<u8>(), amount.max(0) as usize)) };
    let fate = spot.fate(Act::Write);
    let kept = match fate {
        None => bytes,
        Some(Answer::Short) => &bytes[..bytes.len() / 2],
        Some(Answer::Refused | Answer::Full) => &[],
    };
    if !kept.is_empty() {
        // SAFETY: unix's own file; of the bytes SQLite gave the first `kept.len()`, at most `amount`.
        let done = unsafe { below_write(real(file), kept.as_ptr().cast(), kept.len() as c_int, offset) };
        if done != ffi::SQLITE_OK {
            return done;
        }
        let offset = offset.max(0).cast_unsigned();
        spot.note(Op::Write { file: spot.name.clone(), offset, bytes: kept.to_vec() });
    }
    fate.map_or(ffi::SQLITE_OK, |answer| code(Act::Write, answer))
}

unsafe extern "C" fn truncate(file: *mut File, size: i64) -> c_int {
    // SAFETY: a watched file.
    let spot = unsafe { heard(file) };
    if let Some(answer) = spot.fate(Act::Cut) {
        return code(Act::Cut, answer);
    }
    // SAFETY: unix's own file.
    let done = unsafe { below_truncate(real(file), size) };
    if done == ffi::SQLITE_OK {
        spot.note(Op::Cut { file: spot.name.clone(), size: size.max(0).cast_unsigned() });
    }
    done
}

unsafe extern "C" fn sync(file: *mut File, _flags: c_int) -> c_int {
    // SAFETY: a watched file.
    let spot = unsafe { heard(file) };
    if let Some(answer) = spot.fate(Act::Sync) {
        return code(Act::Sync, answer);
    }
    spot.note(Op::Synced { file: spot.name.clone() });
    ffi::SQLITE_OK
}

/// What SQLite's unix VFS would have answered: a write that comes to less than was asked means no room.
fn code(act: Act, answer: Answer) -> c_int {
    match (act, answer) {
        (Act::Read, _) => ffi::SQLITE_IOERR_READ,
        (Act::Write, Answer::Refused) => ffi::SQLITE_IOERR_WRITE,
        (Act::Write, Answer::Full | Answer::Short) => ffi::SQLITE_FULL,
        (Act::Cut, _) => ffi::SQLITE_IOERR_TRUNCATE,
        (Act::Sync, _) => ffi::SQLITE_IOERR_FSYNC,
        (Act::Delete, _) => ffi::SQLITE_IOERR_DELETE,
    }
}

/// A method of the unix VFS by the name of its field.
macro_rules! below {
    ($($name:ident $field:ident ($($arg:ident: $type:ty),*) $(-> $out:ty, $none:expr)?;)*) => {$(
        /// # Safety
        /// `file` is unix's own, open; the rest is what SQLite gave.
        unsafe fn $name(file: *mut File, $($arg: $type),*) $(-> $out)? {
            // SAFETY: unix's `xOpen` set the table, which stands for good; the method is its own.
            match unsafe { (*(*file).pMethods).$field } {
                // SAFETY: its own file, and the arguments as SQLite gave them.
                Some(method) => unsafe { method(file, $($arg),*) },
                None => { $($none)? }
            }
        }
    )*};
}

below! {
    below_close xClose() -> c_int, ffi::SQLITE_IOERR_CLOSE;
    below_read xRead(data: *mut c_void, amount: c_int, offset: i64) -> c_int, ffi::SQLITE_IOERR_READ;
    below_write xWrite(data: *const c_void, amount: c_int, offset: i64) -> c_int, ffi::SQLITE_IOERR_WRITE;
    below_truncate xTruncate(size: i64) -> c_int, ffi::SQLITE_IOERR_TRUNCATE;
}

/// A method that only passes on.
macro_rules! pass {
    ($($name:ident $field:ident ($($arg:ident: $type:ty),*) $(-> $out:ty, $none:expr)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut File, $($arg: $type),*) $(-> $out)? {
            // SAFETY: a watched file, so unix's own lies behind it, whose table `xOpen` set and stands for
            // good; the arguments as SQLite gave them.
            unsafe {
                let file = real(file);
                match (*(*file).pMethods).$field {
                    Some(method) => method(file, $($arg),*),
                    None => { $($none)? }
                }
            }
        }
    )*};
}

pass! {
    file_size xFileSize(size: *mut i64) -> c_int, ffi::SQLITE_IOERR_FSTAT;
    lock xLock(level: c_int) -> c_int, ffi::SQLITE_IOERR_LOCK;
    unlock xUnlock(level: c_int) -> c_int, ffi::SQLITE_IOERR_UNLOCK;
    reserved xCheckReservedLock(out: *mut c_int) -> c_int, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK;
    control xFileControl(op: c_int, data: *mut c_void) -> c_int, ffi::SQLITE_NOTFOUND;
    sector_size xSectorSize() -> c_int, 0;
    characteristics xDeviceCharacteristics() -> c_int, 0;
    shm_map xShmMap(page: c_int, bytes: c_int, extend: c_int, out: *mut *mut c_void) -> c_int,
        ffi::SQLITE_IOERR_SHMMAP;
    shm_lock xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int, ffi::SQLITE_IOERR_SHMLOCK;
    shm_barrier xShmBarrier();
    shm_unmap xShmUnmap(delete: c_int) -> c_int, ffi::SQLITE_OK;
    fetch xFetch(offset: i64, amount: c_int, out: *mut *mut c_void) -> c_int, ffi::SQLITE_IOERR;
    unfetch xUnfetch(offset: i64, page: *mut c_void) -> c_int, ffi::SQLITE_IOERR;
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};
