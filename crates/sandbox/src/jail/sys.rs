//! The system calls of the wall that no library offers safely: each function here is safe to call and wraps
//! the one `unsafe` block it needs. Nothing is decided here, nothing is kept.
#![allow(unsafe_code)]

use rustix::{
    fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{ffi::CString, ptr};

/// The namespaces of a sandbox, as clone(2) takes them.
pub const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// The two sides of a clone.
pub enum Cloned {
    /// The new process.
    Child,
    /// The old one: the child's process id as it sees it, and a descriptor that names it for good.
    Parent(i32, OwnedFd),
}

/// How a child ended: wait(2)'s status, and what it and the children it waited for used.
pub struct Reaped {
    pub pid: i32,
    pub status: i32,
    pub user_us: u64,
    pub system_us: u64,
    /// Largest resident set, bytes.
    pub resident_bytes_max: u64,
}

/// Makes a process that is a copy of this one, in new namespaces (`NAMESPACES`, or 0 for a plain fork).
/// Only for processes with one thread: the copy may then do anything this one may.
pub fn clone(namespaces: i32) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    let flags = i64::from(namespaces | libc::CLONE_PIDFD | libc::SIGCHLD);
    let none = ptr::null_mut::<u8>();
    // SAFETY: needed since no library clones into namespaces. Without CLONE_VM the child has its own copy of
    // the memory and goes on with the stack it is on; the callers have one thread, so no lock is held by a
    // thread that the copy lacks. `pidfd` outlives the call, and the kernel writes one int there.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, &raw mut pidfd, none, none) };
    match pid {
        0 => Ok(Cloned::Child),
        1.. => {
            // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent(i32::try_from(pid).unwrap_or(i32::MAX), pidfd))
        }
        _ => Err(errno()),
    }
}

/// Takes one dead child, if there is one; an error (`CHILD`) if there is no child at all.
pub fn reap() -> Result<Option<Reaped>, Errno> {
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage: it is integers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: needed since the usage of a child comes only so; both pointers are to locals of the right
    // type.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    let us = |time: libc::timeval| {
        let whole = u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000);
        whole.saturating_add(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    if pid < 0 {
        return Err(errno());
    }
    Ok((pid > 0).then(|| Reaped {
        pid,
        status,
        user_us: us(usage.ru_utime),
        system_us: us(usage.ru_stime),
        resident_bytes_max: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    }))
}

/// Becomes another program; comes back only with the reason why not.
pub fn execute(path: &CString, argv: &[CString], env: &[CString]) -> Errno {
    let pointers = |list: &[CString]| {
        list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<*const libc::c_char>>()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: needed since std's exec searches the path of its own environment. All three are C strings or
    // null-terminated arrays of such that live until the call ends.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    errno()
}

/// Ends this process without running anything of the library's.
pub fn end(code: i32) -> ! {
    // SAFETY: needed since std's exit runs what the parent registered; `_exit` has no precondition.
    unsafe { libc::_exit(code) }
}

/// Sends a signal to a process, to a group (`-group`), or to all of this namespace but init (`-1`).
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: needed since rustix cannot address all (-1); kill takes two integers.
    done(unsafe { libc::kill(pid, signal) })
}

/// A descriptor that is readable while a child of this process waits to be taken; the signal itself is
/// blocked from here on.
pub fn child_signals() -> Result<OwnedFd, Errno> {
    // SAFETY: needed since no library of ours has signalfd. The set is a local, made empty before it is
    // used; the descriptor that comes back is new and ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        done(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()))?;
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(errno()),
        }
    }
}

/// As a program expects to be started: no signal blocked, none ignored.
pub fn plain_signals() {
    // SAFETY: needed since an ignored signal outlives execve. SIG_DFL installs no code of ours, and the set
    // is a local made empty.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut());
    }
}

/// Closes every descriptor but these. Only where nothing that owns one of the others is used or dropped
/// after.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    keep.dedup();
    let mut from = 0_u32;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > from {
            // SAFETY: needed since a copy of a process must not hold what its original opened. The callers
            // use nothing but what they keep, and never return into code that owns another.
            done_long(unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) })?;
        }
        from = fd.saturating_add(1);
    }
    Ok(())
}

/// Makes a descriptor number of another's: dup2(2). What was at the number is closed.
pub fn place(fd: BorrowedFd<'_>, number: RawFd) -> Result<(), Errno> {
    // SAFETY: needed since std owns numbers 0 to 2; only called between a fork and its execve, where nothing
    // else uses the number.
    match unsafe { libc::dup2(fd.as_raw_fd(), number) } {
        -1 => Err(errno()),
        _ => Ok(()),
    }
}

/// Takes over a descriptor that this process was started with.
pub fn inherited(number: RawFd) -> OwnedFd {
    // SAFETY: needed since a descriptor crosses execve as a number. Called once, first thing in the
    // process.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Sets attributes of a mount and, if asked, of all below it. `attributes`: of `libc::MOUNT_ATTR_*`.
pub fn mount_attributes(mount: BorrowedFd<'_>, attributes: u64, deep: Deep) -> Result<(), Errno> {
    let wanted =
        libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    let flags = match deep {
        Deep::One => libc::AT_EMPTY_PATH,
        Deep::All => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    // SAFETY: needed since rustix lacks it. The path is an empty C string, the structure a local of the size
    // that is told.
    done_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    })
}

/// How far `mount_attributes` reaches.
#[derive(Clone, Copy)]
pub enum Deep {
    /// This mount.
    One,
    /// It and every mount below.
    All,
}

/// Makes standard input the controlling terminal of this session.
pub fn lead_terminal() -> Result<(), Errno> {
    // SAFETY: needed since std owns number 0 and lends it to nobody who only has the number; TIOCSCTTY takes
    // an integer.
    done(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })
}

/// A terminal of this mount namespace's own: both of its sides, the program's second.
pub fn terminal() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty())?;
    let lock: libc::c_int = 0;
    // SAFETY: needed since no feature of ours has these ioctls. TIOCSPTLCK reads one int, which is a local;
    // TIOCGPTPEER takes open flags and gives a descriptor, which is new and ours.
    unsafe {
        done(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const lock))?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        match libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) {
            slave if slave >= 0 => Ok((master, OwnedFd::from_raw_fd(slave))),
            _ => Err(errno()),
        }
    }
}

/// Makes the control groups that this process is in the roots of what it sees.
pub fn hide_groups() -> Result<(), Errno> {
    // SAFETY: needed since rustix calls every unshare unsafe, for those that share descriptors; a cgroup
    // namespace touches no memory and no descriptor.
    done(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) })
}

/// Asks to be traced by the parent: harmless, and refused only by a list of system calls.
pub fn trace_me() -> Result<(), Errno> {
    let none = ptr::null_mut::<libc::c_void>();
    // SAFETY: needed since no library calls ptrace; PTRACE_TRACEME reads none of its other arguments.
    done_long(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) })
}

/// Switches the loopback device of this network namespace on.
pub fn loopback_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: needed since setting a device up is an ioctl. `ifreq` is integers and a union of such: zero is
    // valid; the name is shorter than its field, the flags are the member that SIOCSIFFLAGS reads.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        done(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request))
    }
}

/// Takes every capability out of the bounding set, also those this library does not know by name.
pub fn drop_bounding_set() -> Result<(), Errno> {
    for number in 0..64_u64 {
        // SAFETY: needed since the numbers go beyond those that rustix names; prctl takes integers here.
        match done(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0_u64, 0_u64, 0_u64) }) {
            Ok(()) => {}
            // Beyond the last that this kernel has.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn done(code: libc::c_int) -> Result<(), Errno> {
    if code < 0 { Err(errno()) } else { Ok(()) }
}

fn done_long(code: libc::c_long) -> Result<(), Errno> {
    if code < 0 { Err(errno()) } else { Ok(()) }
}
