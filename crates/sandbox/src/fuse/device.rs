//! `/dev/fuse`: a queue of requests for each reader, and mounting by hand.
#![allow(unsafe_code)] // one request to the device that has no safe wrapper

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    ioctl::{Setter, ioctl, opcode},
    mount::{MountFlags, mount},
};
use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);

/// Another descriptor of the same mount, with a queue of its own for what it answers. Where the kernel does
/// not let this process have one, all readers share the queue.
pub(super) fn clone(device: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const CLONE: rustix::ioctl::Opcode = opcode::read::<u32>(229, 0);
    if let Ok(fresh) = rustix::fs::open("/dev/fuse", FLAGS, Mode::empty()) {
        let from = device.as_raw_fd() as u32;
        // SAFETY: needed because rustix knows no request of this device. FUSE_DEV_IOC_CLONE reads one u32,
        // the number of a descriptor, which `Setter` passes by address and which lives until it returns.
        let cloned = unsafe { ioctl(fresh.as_fd(), Setter::<CLONE, u32>::new(from)) };
        if cloned.is_ok() {
            return Ok(fresh);
        }
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(device, 0)?)
}

/// The options of a mount that is served through this descriptor.
pub fn mount_options(device: BorrowedFd<'_>, (uid, gid): (u32, u32)) -> String {
    let fd = device.as_raw_fd();
    format!("fd={fd},rootmode=40000,user_id={uid},group_id={gid},default_permissions,allow_other")
}

/// Mounts at a directory, as only root can; what is mounted has to be served.
pub fn mount_at(dir: &Path, owner: (u32, u32)) -> Result<OwnedFd, Errno> {
    let device = rustix::fs::open("/dev/fuse", FLAGS, Mode::empty())?;
    let options = CString::new(mount_options(device.as_fd(), owner)).map_err(|_| Errno::INVAL)?;
    mount("skep", dir, "fuse", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())?;
    Ok(device)
}
