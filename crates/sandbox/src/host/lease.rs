//! Whether anybody has a file open to write into it (fcntl(2), leases).
#![allow(unsafe_code)]

use std::{fs::File, os::fd::AsRawFd};

/// Whether nobody has. Where the file system knows no leases, nobody can be seen, and so it is said.
pub(super) fn nobody_writes(file: &File) -> bool {
    let set = |kind: libc::c_int| {
        // SAFETY: with these commands `fcntl` reads its integer argument and no memory; the descriptor is
        // open as long as `file` is borrowed. It is needed because rustix has no leases.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) }
    };
    if set(libc::F_RDLCK) == 0 {
        set(libc::F_UNLCK);
        return true;
    }
    std::io::Error::last_os_error().raw_os_error() != Some(libc::EAGAIN)
}
