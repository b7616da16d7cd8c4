//! The system calls that programs in a sandbox may make: data, with the reason for each group.
//!
//! What `allowed` gives works. What stands in `REFUSED`, or in `REFUSED_WHEN` with these arguments, is
//! answered EPERM. Everything else, also what kernels will have that are not written yet, is answered
//! ENOSYS, so that programs fall back to what is older. `clone3` is among that: its flags lie in memory,
//! where no filter can see them, and libraries then use `clone`. A call of another architecture ends the
//! process.

use libc::c_long;

/// Names of this architecture and of every other.
macro_rules! calls {
    ($($name:ident)*) => { [$(libc::$name),*] };
}

/// A test of one argument: of its lower 32 bits, unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// The argument with this number is this.
    Is(u8, u64),
    /// It is not.
    IsNot(u8, u64),
    /// It has all of these bits.
    Has(u8, u64),
    /// It is a pointer to something: all 64 bits count.
    Given(u8),
}

/// A call that is refused when all tests hold.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Which.
    pub call: c_long,
    /// With what.
    pub when: &'static [Test],
}

/// Refused by name: each is a way to other processes, to the kernel's state, or a large piece of the kernel
/// that programs of agents have no use for.
pub const REFUSED: &[c_long] = &calls! {
    // Other processes' memory, registers and descriptors.
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_pidfd_getfd SYS_kcmp
    SYS_process_madvise SYS_process_mrelease
    // Mounts, roots, namespaces.
    SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick
    SYS_move_mount SYS_open_tree SYS_mount_setattr SYS_unshare SYS_setns
    SYS_sethostname SYS_setdomainname
    // Programs in the kernel, and what watches it.
    SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_fanotify_init SYS_fanotify_mark SYS_lookup_dcookie
    // A second way to do every system call, that no filter sees.
    SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    // Keys of the kernel are of a user, not of a namespace.
    SYS_add_key SYS_request_key SYS_keyctl
    // Files by number, past every directory.
    SYS_open_by_handle_at SYS_name_to_handle_at
    // Memory that no limit can take back.
    SYS_memfd_secret
    // The host itself: modules, restart, swap, quotas, accounting, clocks, its log.
    SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_reboot
    SYS_swapon SYS_swapoff SYS_quotactl SYS_quotactl_fd SYS_acct SYS_settimeofday SYS_clock_settime
    SYS_adjtimex SYS_clock_adjtime SYS_syslog SYS_vhangup SYS_nfsservctl
    // Where memory of others lies.
    SYS_move_pages SYS_migrate_pages
};

/// Namespaces that a `clone` may not make: all of them. CLONE_NEWTIME shares its bit with an exit signal.
const NAMESPACES: [u64; 7] = [
    libc::CLONE_NEWUSER as u64,
    libc::CLONE_NEWNS as u64,
    libc::CLONE_NEWPID as u64,
    libc::CLONE_NEWNET as u64,
    libc::CLONE_NEWIPC as u64,
    libc::CLONE_NEWUTS as u64,
    libc::CLONE_NEWCGROUP as u64,
];

const CORE: u64 = libc::RLIMIT_CORE as u64;

/// Refused with these arguments.
pub const REFUSED_WHEN: &[When] = &[
    When { call: libc::SYS_clone, when: &[Test::Has(0, NAMESPACES[0])] },
    When { call: libc::SYS_clone, when: &[Test::Has(0, NAMESPACES[1])] },
    When { call: libc::SYS_clone, when: &[Test::Has(0, NAMESPACES[2])] },
    When { call: libc::SYS_clone, when: &[Test::Has(0, NAMESPACES[3])] },
    When { call: libc::SYS_clone, when: &[Test::Has(0, NAMESPACES[4])] },
    When { call: libc::SYS_clone, when: &[Test::Has(0, NAMESPACES[5])] },
    When { call: libc::SYS_clone, when: &[Test::Has(0, NAMESPACES[6])] },
    // Sockets: local, internet (an empty network), and netlink, which tells libraries what interfaces there
    // are. Every other family is a way out that no network namespace closes (vsock, Bluetooth), or a large
    // piece of kernel (AF_ALG).
    When {
        call: libc::SYS_socket,
        when: &[
            Test::IsNot(0, libc::AF_UNIX as u64),
            Test::IsNot(0, libc::AF_INET as u64),
            Test::IsNot(0, libc::AF_INET6 as u64),
            Test::IsNot(0, libc::AF_NETLINK as u64),
        ],
    },
    // Of netlink only the routing family (0): the others are conntrack, audit, connectors.
    When { call: libc::SYS_socket, when: &[Test::Is(0, libc::AF_NETLINK as u64), Test::IsNot(2, 0)] },
    When { call: libc::SYS_socketpair, when: &[Test::IsNot(0, libc::AF_UNIX as u64)] },
    // Typing into somebody's terminal; a terminal's console commands.
    When { call: libc::SYS_ioctl, when: &[Test::Is(1, libc::TIOCSTI)] },
    When { call: libc::SYS_ioctl, when: &[Test::Is(1, libc::TIOCLINUX)] },
    // Line disciplines: old drivers of modems and radios, which anybody's terminal would load.
    When { call: libc::SYS_ioctl, when: &[Test::Is(1, libc::TIOCSETD)] },
    // Limits of another process: init has this user too.
    When { call: libc::SYS_prlimit64, when: &[Test::IsNot(0, 0)] },
    // The size of a core dump. It is held at 1, which alone says that there shall be none even where the
    // host pipes them to a program of its own, as root.
    When { call: libc::SYS_setrlimit, when: &[Test::Is(0, CORE)] },
    When { call: libc::SYS_prlimit64, when: &[Test::Is(1, CORE), Test::Given(2)] },
    // Personalities that switch protections of memory off: only the plain one, to ask for it, or 32-bit
    // names and an unmoved address space, which debuggers and old tools set.
    When {
        call: libc::SYS_personality,
        when: &[
            Test::IsNot(0, 0),
            Test::IsNot(0, 0x8),
            Test::IsNot(0, 0x4_0000),
            Test::IsNot(0, 0x4_0008),
            Test::IsNot(0, 0xffff_ffff),
        ],
    },
];

/// What works on every architecture.
const COMMON: &[c_long] = &calls! {
    // Files and directories: what may be touched is decided by the mounts, Landlock and the view.
    SYS_read SYS_write SYS_openat SYS_openat2 SYS_close SYS_close_range SYS_lseek SYS_pread64 SYS_pwrite64
    SYS_readv SYS_writev SYS_preadv SYS_pwritev SYS_preadv2 SYS_pwritev2 SYS_fstat SYS_newfstatat SYS_statx
    SYS_statfs SYS_fstatfs SYS_faccessat SYS_faccessat2 SYS_getdents64 SYS_getcwd SYS_chdir SYS_fchdir
    SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_utimensat SYS_umask
    SYS_truncate SYS_ftruncate SYS_fallocate SYS_fsync SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range
    SYS_fadvise64 SYS_readahead SYS_copy_file_range SYS_sendfile SYS_splice SYS_tee SYS_vmsplice
    SYS_mkdirat SYS_mknodat SYS_unlinkat SYS_renameat2 SYS_linkat SYS_symlinkat SYS_readlinkat
    SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_listxattr
    SYS_llistxattr SYS_flistxattr SYS_removexattr SYS_lremovexattr SYS_fremovexattr
    SYS_flock SYS_fcntl SYS_ioctl SYS_dup SYS_dup3 SYS_pipe2
    SYS_inotify_init1 SYS_inotify_add_watch SYS_inotify_rm_watch
    // Memory of its own.
    SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_msync SYS_madvise SYS_mincore SYS_mlock SYS_mlock2
    SYS_munlock SYS_mlockall SYS_munlockall SYS_brk SYS_memfd_create SYS_mseal SYS_pkey_alloc SYS_pkey_free
    SYS_pkey_mprotect SYS_membarrier SYS_get_mempolicy SYS_set_mempolicy SYS_mbind
    SYS_set_mempolicy_home_node
    // Processes and threads: how many, the limits say; whom they reach, the namespace says.
    SYS_clone SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_wait4 SYS_waitid SYS_kill SYS_tkill
    SYS_tgkill SYS_getpid SYS_getppid SYS_gettid SYS_getpgid SYS_setpgid SYS_getsid SYS_setsid
    SYS_set_tid_address SYS_set_robust_list SYS_get_robust_list SYS_rseq SYS_futex SYS_futex_waitv
    SYS_pidfd_open SYS_pidfd_send_signal SYS_prctl SYS_personality SYS_restart_syscall
    SYS_sched_yield SYS_sched_getaffinity SYS_sched_setaffinity SYS_sched_getparam SYS_sched_setparam
    SYS_sched_getscheduler SYS_sched_setscheduler SYS_sched_getattr SYS_sched_setattr
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_rr_get_interval
    SYS_getpriority SYS_setpriority SYS_ioprio_get SYS_ioprio_set SYS_getcpu
    SYS_getrusage SYS_times SYS_getrlimit SYS_setrlimit SYS_prlimit64 SYS_sysinfo SYS_uname
    // Users: there is one, and no capability to become another.
    SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getgroups SYS_getresuid SYS_getresgid
    SYS_setuid SYS_setgid SYS_setgroups SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setfsuid
    SYS_setfsgid SYS_capget SYS_capset
    // Walls of its own, inside this one.
    SYS_seccomp SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self
    // Signals.
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_rt_sigtimedwait
    SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo SYS_rt_sigsuspend SYS_sigaltstack SYS_signalfd4
    // Time: it can be read and waited for.
    SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday SYS_getitimer
    SYS_setitimer SYS_timer_create SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun SYS_timer_delete
    SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime
    // Waiting for descriptors.
    SYS_ppoll SYS_pselect6 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2
    SYS_io_setup SYS_io_submit SYS_io_getevents SYS_io_cancel SYS_io_destroy
    // Sockets, of the families above.
    SYS_socket SYS_socketpair SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_connect SYS_getsockname
    SYS_getpeername SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg SYS_shutdown
    SYS_setsockopt SYS_getsockopt
    // Messages, semaphores and shared memory of this IPC namespace.
    SYS_msgget SYS_msgctl SYS_msgsnd SYS_msgrcv SYS_semget SYS_semctl SYS_semop SYS_semtimedop
    SYS_shmget SYS_shmat SYS_shmdt SYS_shmctl
    SYS_mq_open SYS_mq_unlink SYS_mq_timedsend SYS_mq_timedreceive SYS_mq_notify SYS_mq_getsetattr
    // Random numbers.
    SYS_getrandom
};

/// The older names of the same, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &calls! {
    SYS_open SYS_creat SYS_stat SYS_lstat SYS_access SYS_readlink SYS_mkdir SYS_rmdir SYS_unlink SYS_link
    SYS_symlink SYS_rename SYS_renameat SYS_chmod SYS_chown SYS_lchown SYS_mknod SYS_utime SYS_utimes
    SYS_futimesat SYS_getdents SYS_dup2 SYS_pipe SYS_poll SYS_select SYS_epoll_create SYS_epoll_wait
    SYS_eventfd SYS_signalfd SYS_inotify_init SYS_fork SYS_vfork SYS_getpgrp SYS_pause
    SYS_alarm SYS_time SYS_arch_prctl
};
/// The older names of the same, which only this architecture has.
#[cfg(target_arch = "aarch64")]
const OLDER: &[c_long] = &calls! { SYS_renameat };

/// What the library has no names for yet; these have one number on every architecture.
const NEWER: &[c_long] = &[
    451, // cachestat: how much of a file is in memory
    452, // fchmodat2
    453, // map_shadow_stack: stacks that cannot be overwritten
    454, 455, 456, // futex_wake, futex_wait, futex_requeue
    463, 464, 465, 466, // setxattrat, getxattrat, listxattrat, removexattrat
];

/// What works.
pub fn allowed() -> impl Iterator<Item = c_long> {
    COMMON.iter().chain(OLDER).chain(NEWER).copied()
}
