/* Attempts to get out of a sandbox, one a name. Each says how it went by its exit status:
 *   0  it worked        1  it was refused (why, on standard error)        2  it could not be tried
 * The same program runs outside as the control, where each of them must work. What there is to reach stands in
 * the environment: SECRET a file, TOOLS a directory shown read-only, VICTIM a process, LISTEN a TCP port,
 * and ids of things in the host's IPC namespace. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <grp.h>
#include <unistd.h>

static const char *want(const char *name) {
    const char *value = getenv(name);
    if (!value) { fprintf(stderr, "%s is not set\n", name); exit(2); }
    return value;
}
static int number(const char *name) { return atoi(want(name)); }
static int worked(long code) {
    if (code >= 0) return 0;
    fprintf(stderr, "%s\n", strerror(errno));
    return 1;
}
/* It got as far as the kernel's own code for it, whatever that thought of the arguments. */
static int reached(long code) {
    if (code >= 0 || (errno != EPERM && errno != ENOSYS && errno != EACCES)) return 0;
    fprintf(stderr, "%s\n", strerror(errno));
    return 1;
}
static int opened(const char *path, int flags) { return worked(open(path, flags | O_CLOEXEC, 0666)); }
static int victim_file(const char *file, int flags) {
    char path[256];
    snprintf(path, sizeof path, "/proc/%d/%s", number("VICTIM"), file);
    return opened(path, flags);
}
static const char *in_tools(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", want("TOOLS"), name);
    return path;
}
static int tcp(int family) {
    int fd = socket(family, SOCK_STREAM, 0);
    if (family == AF_INET) {
        struct sockaddr_in to = {.sin_family = family, .sin_port = htons(number("LISTEN"))};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return worked(connect(fd, (struct sockaddr *)&to, sizeof to));
    }
    struct sockaddr_in6 to = {.sin6_family = family, .sin6_port = htons(number("LISTEN6"))};
    to.sin6_addr = in6addr_loopback;
    return worked(connect(fd, (struct sockaddr *)&to, sizeof to));
}
static int local(int abstract) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path + abstract, want(abstract ? "ABSTRACT" : "SOCKET"));
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + abstract + strlen(to.sun_path + abstract);
    return worked(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, length));
}
static int child_of(int flags) {
    pid_t pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid(pid, 0, 0);
    return worked(pid);
}
static int mounted(const char *type) {
    char dir[] = "/tmp/attempt-XXXXXX";
    if (!mkdtemp(dir)) exit(2);
    return worked(mount(type, dir, type, 0, 0));
}
static int below_usr(int how) {
    /* Whether what is read-only can be made writable again. */
    struct { uint64_t set, clear, propagation, userns; } change = {.clear = 1};
    const char *dir = want("TOOLS");
    if (how == 0) return worked(mount(0, dir, 0, MS_REMOUNT | MS_BIND, 0));
    if (how == 1) return worked(syscall(442, AT_FDCWD, dir, 0, &change, sizeof change));
    return worked(umount2(dir, MNT_DETACH));
}
static int mem_of(int pid) {
    char word[8];
    struct iovec to = {word, 8}, from = {(void *)strtoull(want("STACK"), 0, 0), 8};
    return worked(syscall(SYS_process_vm_readv, pid, &to, 1, &from, 1, 0) == 8 ? 0 : -1);
}
static int seize(int pid) { return worked(ptrace(PTRACE_SEIZE, pid, 0, 0)); }
static int pid1_file(const char *file) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", want("INIT"), file);
    return opened(path, O_RDONLY);
}
static int nonempty(const char *path) {
    char text[64];
    int fd = open(path, O_RDONLY);
    if (fd < 0) return worked(-1);
    return read(fd, text, sizeof text) > 0 ? 0 : 1;
}
static int leftover(void) {
    /* Any descriptor above the standard ones, but the one that lists them. */
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    if (!dir) exit(2);
    while ((entry = readdir(dir)))
        if (atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(dir)) return 0;
    return 1;
}
static int named_process(void) {
    /* A process of the host whose arguments have the word. */
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    char path[300], text[256];
    if (!dir) exit(2);
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        ssize_t length = read(fd, text, sizeof text);
        close(fd);
        if (length > 0 && memmem(text, length, want("WORD"), strlen(want("WORD")))) return 0;
    }
    return 1;
}
static int chroot_out(void) {
    /* The classical way: a root below, and the working directory left above it. */
    char dir[] = "/tmp/attempt-XXXXXX";
    if (!mkdtemp(dir)) exit(2);
    if (chroot(dir)) return worked(-1);
    for (int ix = 0; ix < 64; ix++)
        if (chdir("..")) return worked(-1);
    return worked(chroot("."));
}
static int symlink_race(void) {
    /* One name that is now a file here and now a link to the secret, opened meanwhile. */
    if (chdir("/tmp")) exit(2);
    char here[64], link_[64], name[64];
    snprintf(here, 64, "race-%d-a", getpid());
    snprintf(link_, 64, "race-%d-b", getpid());
    snprintf(name, 64, "race-%d", getpid());
    close(open(here, O_CREAT | O_WRONLY, 0600));
    close(open(name, O_CREAT | O_WRONLY, 0600));
    if (symlink(want("SECRET"), link_)) exit(2);
    pid_t pid = fork();
    if (pid == 0)
        for (;;) syscall(SYS_renameat2, AT_FDCWD, link_, AT_FDCWD, name, 2 /* exchange */);
    int out = 1;
    for (time_t end = time(0) + 3; out && time(0) < end; sched_yield()) {
        char text[6] = "";
        int fd = open(name, O_RDONLY);
        if (fd >= 0 && read(fd, text, 6) == 6 && !memcmp(text, "secret", 6)) out = 0;
        if (fd >= 0) close(fd);
    }
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    unlink(here), unlink(link_), unlink(name);
    return out;
}
static int dir_race(void) {
    /* A directory that is exchanged for a link while a path goes through it. */
    if (chdir("/tmp")) exit(2);
    char dir[64], link_[64], path[128], secret[4096];
    snprintf(dir, 64, "way-%d-a", getpid());
    snprintf(link_, 64, "way-%d-b", getpid());
    snprintf(path, 128, "%s/secret", dir);
    strcpy(secret, want("SECRET"));
    *strrchr(secret, '/') = 0;
    mkdir(dir, 0700);
    if (symlink(secret, link_)) exit(2);
    pid_t pid = fork();
    if (pid == 0)
        for (;;) syscall(SYS_renameat2, AT_FDCWD, link_, AT_FDCWD, dir, 2);
    int out = 1;
    for (time_t end = time(0) + 3; out && time(0) < end; sched_yield()) {
        int fd = open(path, O_RDWR);
        if (fd >= 0) { out = 0; close(fd); }
    }
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    rmdir(dir), rmdir(link_), unlink(link_), unlink(dir);
    return out;
}
static int capability(int effective) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{1u << CAP_SYS_ADMIN, 1u << CAP_SYS_ADMIN, 1u << CAP_SYS_ADMIN}};
    if (effective) return worked(syscall(SYS_capset, &head, data));
    syscall(SYS_capset, &head, data);
    return worked(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
}
static int bpf_load(void) {
    struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}};
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2,
                           .insns = (uintptr_t)code, .license = (uintptr_t) "GPL"};
    return worked(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
}
static int perf(void) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr,
                                   .config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1, .exclude_hv = 1};
    return worked(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}
static int handle(int use) {
    struct { struct file_handle head; char bytes[128]; } file = {.head.handle_bytes = 128};
    int mount;
    if (name_to_handle_at(AT_FDCWD, want(use ? "SECRET" : "TOOLS"), &file.head, &mount, 0)) return worked(-1);
    return use ? worked(open_by_handle_at(open("/", O_RDONLY), &file.head, O_RDONLY)) : 0;
}
static int tiocsti(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) exit(2);
    if (fork() == 0) {
        setsid();
        int slave = open(ptsname(master), O_RDWR);
        _exit(worked(ioctl(slave, TIOCSTI, "x")));
    }
    int status;
    wait(&status);
    return WEXITSTATUS(status);
}
static int netlink(int add) {
    int fd = socket(AF_NETLINK, SOCK_RAW, add ? NETLINK_ROUTE : NETLINK_AUDIT);
    if (fd < 0 || !add) return worked(fd);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = 0};
    return worked(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &request));
}
static int discipline(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY), plain = 0;
    if (master < 0) exit(2);
    return worked(ioctl(master, TIOCSETD, &plain));
}
static int route_out(void) {
    /* Whether there is any way to an address that is not this machine: no packet is sent. */
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "192.0.2.53", &to.sin_addr);
    return worked(connect(fd, (struct sockaddr *)&to, sizeof to));
}
static int interface(void) {
    /* Any device of a network but the loopback. */
    struct if_nameindex *all = if_nameindex();
    if (!all) return worked(-1);
    for (; all->if_index; all++)
        if (strcmp(all->if_name, "lo")) return 0;
    return 1;
}
static int old_abi(void) {
#ifdef __x86_64__
    pid_t pid = fork();
    if (pid == 0) {
        long code = 20; /* getpid, as 32-bit programs number it */
        __asm__ volatile("int $0x80" : "+a"(code) : : "memory", "r8", "r9", "r10", "r11");
        _exit(code > 0 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
#else
    return 1;
#endif
}
static int udp(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number("UDP"))};
    struct timeval most = {1, 0};
    char back;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) || send(fd, "x", 1, 0) < 0) return worked(-1);
    return worked(recv(fd, &back, 1, 0));
}
static int limit(int resource) {
    struct rlimit now;
    getrlimit(resource, &now);
    return now.rlim_max > (rlim_t)number("MOST") ? 0 : 1;
}

static int setup(void) {
    /* What the host has of its own IPC, open to all; ids as the environment names them. */
    umask(0);
    int shm = shmget(IPC_PRIVATE, 4096, 0666), sem = semget(IPC_PRIVATE, 1, 0666), msg = msgget(IPC_PRIVATE, 0666);
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};
    mqd_t mq = mq_open(want("MQ"), O_CREAT | O_RDWR, 0666, &attr);
    if (shm < 0 || sem < 0 || msg < 0 || mq < 0) return worked(-1);
    printf("SHM=%d SEM=%d MSG=%d", shm, sem, msg);
    return 0;
}
static int teardown(void) {
    shmctl(number("SHM"), IPC_RMID, 0);
    semctl(number("SEM"), 0, IPC_RMID);
    msgctl(number("MSG"), IPC_RMID, 0);
    return worked(mq_unlink(want("MQ")));
}

struct attempt { const char *name; int (*run)(void); };
#define A(name, ...) static int name(void) { __VA_ARGS__; }
A(read_path, return opened(want("SECRET"), O_RDONLY))
A(write_path, return opened(want("SECRET"), O_WRONLY))
A(truncate_path, return worked(truncate(want("SECRET"), 100)))
A(dots, char p[5000]; snprintf(p, 5000, "../../../../../../../../../../..%s", want("SECRET")); return opened(p, O_RDONLY))
A(proc_root, char p[5000]; snprintf(p, 5000, "/proc/self/root%s", want("SECRET")); return opened(p, O_RDONLY))
A(proc_cwd, char p[5000]; snprintf(p, 5000, "/proc/self/cwd/../../../../..%s", want("SECRET")); return opened(p, O_RDONLY))
A(init_root_path, char p[5000]; snprintf(p, 5000, "/proc/%d/root%s", number("INIT"), want("SECRET")); return opened(p, O_RDONLY))
A(symlink_read, unlink("/tmp/way"); if (symlink(want("SECRET"), "/tmp/way")) exit(2); int r = opened("/tmp/way", O_RDONLY); unlink("/tmp/way"); return r)
A(symlink_write, unlink("/tmp/way2"); if (symlink(want("SECRET"), "/tmp/way2")) exit(2); int r = opened("/tmp/way2", O_WRONLY); unlink("/tmp/way2"); return r)
A(hard_link, unlink(want("BESIDE")); return worked(link(want("SECRET"), want("BESIDE"))))
A(rename_in, return worked(rename(want("MOVED"), want("BESIDE"))))
A(list_outside, return worked(opendir(want("OUTSIDE")) ? 0 : -1))
A(make_outside, char p[5000]; snprintf(p, 5000, "%s/made", want("OUTSIDE")); unlink(p); return opened(p, O_WRONLY | O_CREAT))
A(host_tmp, return opened(want("HOST_TMP"), O_RDONLY))
A(host_shm, return opened(want("HOST_SHM"), O_RDONLY))
A(tool_write, return opened(in_tools("tool"), O_WRONLY))
A(tool_create, unlink(in_tools("new")); return opened(in_tools("new"), O_WRONLY | O_CREAT))
A(tool_chmod, return worked(chmod(in_tools("tool"), 0777)))
A(tool_touch, return worked(utimensat(AT_FDCWD, in_tools("tool"), 0, 0)))
A(tool_xattr, return worked(setxattr(in_tools("tool"), "user.x", "x", 1, 0)))
A(tool_truncate, return worked(truncate(in_tools("tool"), 100)))
A(tool_link, unlink(in_tools("other")); char p[4096]; strcpy(p, in_tools("tool")); return worked(link(p, in_tools("other"))))
A(tool_fallocate, int fd = open(in_tools("tool"), O_RDWR); return fd < 0 ? worked(-1) : worked(fallocate(fd, 0, 0, 8192)))
A(tool_mmap, int fd = open(in_tools("tool"), O_RDONLY); if (fd < 0) exit(2); char p[64]; snprintf(p, 64, "/proc/self/fd/%d", fd); return opened(p, O_RDWR))
A(mount_bind, return worked(mount(want("TOOLS"), "/tmp", 0, MS_BIND, 0)))
A(mount_tmpfs, return mounted("tmpfs"))
A(mount_proc, return mounted("proc"))
A(mount_mqueue, return mounted("mqueue"))
A(mount_devpts, return mounted("devpts"))
A(mount_cgroup, return mounted("cgroup2"))
A(mount_sysfs, return mounted("sysfs"))
A(remount, return below_usr(0))
A(mount_attributes, return below_usr(1))
A(unmount, return below_usr(2))
A(open_tree_, return worked(syscall(428, AT_FDCWD, "/", 1 | AT_RECURSIVE | O_CLOEXEC)))
A(fsopen_, return worked(syscall(430, "tmpfs", 0)))
A(move_mount_, return reached(syscall(429, -1, "", -1, "", 0)))
A(pivot, return reached(syscall(SYS_pivot_root, "/tmp", "/tmp")))
A(mem_node, unlink("/tmp/node"); return worked(mknod("/tmp/node", S_IFCHR | 0666, 0x101)))
A(disk_node, unlink("/tmp/disk"); return worked(mknod("/tmp/disk", S_IFBLK | 0666, 0xfe00)))
A(dev_fuse, return opened("/dev/fuse", O_RDWR))
A(dev_kmsg, return opened("/dev/kmsg", O_RDONLY))
A(set_user, return worked(setuid(0)))
A(set_groups, gid_t g = 0; return worked(setgroups(1, &g)))
A(set_id_program, pid_t p = fork(); if (!p) { execl(want("SETUID"), "x", "who", (char *)0); _exit(2); } int s; waitpid(p, &s, 0); return WEXITSTATUS(s))
A(who, return geteuid() == 0 ? 0 : 1)
A(cap_effective, return capability(1))
A(cap_ambient, return capability(0))
A(new_user, return worked(unshare(CLONE_NEWUSER)))
A(new_user_clone, return child_of(CLONE_NEWUSER))
A(new_mount_clone, return child_of(CLONE_NEWNS))
A(new_net_clone, return child_of(CLONE_NEWNET))
A(new_pid_clone, return child_of(CLONE_NEWPID))
A(new_ipc_clone, return child_of(CLONE_NEWIPC))
A(new_uts_clone, return child_of(CLONE_NEWUTS))
A(new_cgroup_clone, return child_of(CLONE_NEWCGROUP))
A(new_user_clone3, struct { uint64_t w[11]; } a = {{0}}; a.w[0] = CLONE_NEWUSER; a.w[4] = SIGCHLD; pid_t p = syscall(435, &a, 88); if (!p) _exit(0); return worked(p))
A(new_time, return worked(unshare(0x80)))
A(join, int fd = open("/proc/self/ns/uts", O_RDONLY); if (fd < 0) exit(2); return worked(setns(fd, 0)))
A(host_name, return worked(sethostname("taken", 5)))
A(core_pattern, return opened("/proc/sys/kernel/core_pattern", O_WRONLY))
A(sys_panic, return opened("/proc/sys/kernel/panic", O_WRONLY))
A(sys_modprobe, return opened("/proc/sys/vm/overcommit_memory", O_WRONLY))
A(kernel_log, return worked(syscall(SYS_syslog, 3, malloc(64), 64)))
A(proc_kmsg, struct stat s; int fd = open("/proc/kmsg", O_RDONLY); return fd < 0 ? worked(-1) : fstat(fd, &s) || S_ISCHR(s.st_mode))
A(proc_cmdline, return nonempty("/proc/cmdline"))
A(proc_kallsyms, return nonempty("/proc/kallsyms"))
A(proc_timers, return nonempty("/proc/timer_list"))
A(host_sys, return worked(opendir("/sys/kernel") ? 0 : -1))
A(release_agent, return opened("/sys/fs/cgroup/memory/release_agent", O_WRONLY))
A(cgroup_procs, return opened(want("CGROUP"), O_WRONLY))
A(see_victim, return named_process())
A(victim_mem, return victim_file("mem", O_RDWR))
A(victim_environ, return victim_file("environ", O_RDONLY))
A(victim_root, return victim_file("root/", O_RDONLY))
A(victim_exe, return victim_file("exe", O_RDONLY))
A(victim_fd, return victim_file("fd", O_RDONLY))
A(init_environ, return pid1_file("environ"))
A(init_maps, return pid1_file("maps"))
A(init_exe, return pid1_file("exe"))
A(init_root, return pid1_file("root/"))
A(init_fd, return pid1_file("fd"))
A(init_ns, return pid1_file("ns/mnt"))
A(trace_victim, return seize(number("VICTIM")))
A(trace_init, return seize(number("INIT")))
A(trace_child, pid_t p = fork(); if (!p) _exit(worked(ptrace(PTRACE_TRACEME, 0, 0, 0))); int s; waitpid(p, &s, 0); return WEXITSTATUS(s))
A(read_victim, return mem_of(number("VICTIM")))
A(read_init, return mem_of(number("INIT")))
A(steal_fd, int fd = syscall(SYS_pidfd_open, number("VICTIM"), 0); return fd < 0 ? worked(-1) : worked(syscall(SYS_pidfd_getfd, fd, 0, 0)))
A(steal_init_fd, int fd = syscall(SYS_pidfd_open, number("INIT"), 0); return fd < 0 ? worked(-1) : worked(syscall(SYS_pidfd_getfd, fd, 0, 0)))
A(compare, return worked(syscall(SYS_kcmp, number("VICTIM"), getpid(), 0, 0, 0)))
A(signal_victim, return worked(kill(number("VICTIM"), 0)))
A(signal_group, return worked(kill(-number("VICTIM"), 0)))
A(queue_victim, siginfo_t i = {.si_code = SI_QUEUE}; return worked(syscall(SYS_rt_sigqueueinfo, number("VICTIM"), 0, &i)))
A(pidfd_victim, return worked(syscall(SYS_pidfd_open, number("VICTIM"), 0)))
A(limit_victim, struct rlimit l; return worked(prlimit(number("VICTIM"), RLIMIT_CORE, 0, &l)))
A(limit_init, struct rlimit l; return worked(prlimit(number("INIT"), RLIMIT_CORE, 0, &l)))
A(renice_victim, return worked(setpriority(PRIO_PROCESS, number("VICTIM"), 19)))
A(pin_victim, cpu_set_t s; CPU_ZERO(&s); CPU_SET(0, &s); return worked(sched_setaffinity(number("VICTIM"), sizeof s, &s)))
A(tcp4, return tcp(AF_INET))
A(tcp6, return tcp(AF_INET6))
A(abstract, return local(1))
A(socket_file, return local(0))
A(raw, return worked(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)))
A(packet, return worked(socket(AF_PACKET, SOCK_RAW, 0)))
A(vsock, return worked(socket(40, SOCK_STREAM, 0)))
A(audit, return netlink(0))
A(loopback_down, return netlink(1))
A(shared_memory, void *at = shmat(number("SHM"), 0, 0); return at == (void *)-1 ? worked(-1) : 0)
A(message_queue, char m[64]; return worked(msgrcv(number("MSG"), m, 32, 0, IPC_NOWAIT | MSG_EXCEPT | MSG_NOERROR) < 0 && errno != ENOMSG ? -1 : 0))
A(semaphore, return worked(semctl(number("SEM"), 0, GETVAL)))
A(posix_queue, return worked(mq_open(want("MQ"), O_RDONLY)))
A(io_uring, char p[256] = {0}; return worked(syscall(425, 4, p)))
A(userfault, return worked(syscall(SYS_userfaultfd, 1 | O_CLOEXEC)))
A(secret_memory, return reached(syscall(447, 0)))
A(key_add, return worked(syscall(SYS_add_key, "user", "attempt", "x", 1, KEY_SPEC_PROCESS_KEYRING)))
A(key_session, return worked(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1)))
A(key_request, return reached(syscall(SYS_request_key, "user", "attempt", 0, 0)))
A(handle_name, return handle(0))
A(handle_open, return handle(1))
A(fanotify, return worked(fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, 0)))
A(restart, return reached(syscall(SYS_reboot, 0, 0, 0, 0)))
A(swap, return reached(syscall(SYS_swapon, "/nowhere", 0)))
A(accounting, return reached(syscall(SYS_acct, "/nowhere")))
A(quota, return reached(syscall(SYS_quotactl, 0x80000700, "/nowhere", 0, 0)))
A(clock_set, struct timespec t = {-1, -1}; return reached(syscall(SYS_clock_settime, 0, &t)))
A(clock_adjust, char t[512] = {0}; return worked(syscall(SYS_clock_adjtime, 0, t)))
A(pages, return worked(syscall(SYS_move_pages, 0, 0, 0, 0, 0, 0)))
A(execute_readable, return worked(syscall(SYS_personality, 0x0400000)))
A(more_files, return limit(RLIMIT_NOFILE))
A(more_processes, return limit(RLIMIT_NPROC))
A(core_limit, struct rlimit l = {0, 0}; return worked(setrlimit(RLIMIT_CORE, &l)))
A(core_limit_other, struct rlimit l = {0, 0}; return worked(prlimit(0, RLIMIT_CORE, &l, 0)))
A(ldt, char b[64]; return worked(syscall(154, 0, b, 64)))

#define N(name) {#name, name}
static const struct attempt all[] = {
    N(read_path), N(write_path), N(truncate_path), N(dots), N(proc_root), N(proc_cwd), N(init_root_path),
    N(symlink_read), N(symlink_write), N(hard_link), N(rename_in), N(list_outside), N(make_outside),
    N(host_tmp), N(host_shm), N(tool_write), N(tool_create), N(tool_chmod), N(tool_touch), N(tool_xattr),
    N(tool_truncate), N(tool_link), N(tool_fallocate), N(tool_mmap), N(mount_bind), N(mount_tmpfs),
    N(mount_proc), N(mount_mqueue), N(mount_devpts), N(mount_cgroup), N(mount_sysfs), N(remount),
    N(mount_attributes), N(unmount), N(open_tree_), N(fsopen_), N(move_mount_), N(pivot), N(mem_node),
    N(disk_node), N(dev_fuse), N(dev_kmsg), N(set_user), N(set_groups), N(set_id_program),
    N(who), N(setup), N(teardown), N(cap_effective), N(cap_ambient), N(new_user), N(new_user_clone), N(new_mount_clone),
    N(new_net_clone), N(new_pid_clone), N(new_ipc_clone), N(new_uts_clone), N(new_cgroup_clone),
    N(new_user_clone3), N(new_time), N(join), N(host_name), N(core_pattern), N(sys_panic), N(sys_modprobe),
    N(kernel_log), N(proc_kmsg), N(proc_cmdline), N(proc_kallsyms), N(proc_timers),
    N(host_sys), N(release_agent), N(cgroup_procs), N(see_victim), N(victim_mem), N(victim_environ),
    N(victim_root), N(victim_exe), N(victim_fd), N(init_environ), N(init_maps), N(init_exe), N(init_root),
    N(init_fd), N(init_ns), N(trace_victim), N(trace_init), N(trace_child), N(read_victim), N(read_init),
    N(steal_fd), N(steal_init_fd), N(compare), N(signal_victim), N(signal_group), N(queue_victim),
    N(pidfd_victim), N(limit_victim), N(limit_init), N(renice_victim), N(pin_victim), N(tcp4), N(tcp6),
    N(abstract), N(socket_file), N(raw), N(packet), N(vsock), N(audit), N(loopback_down), N(shared_memory),
    N(message_queue), N(semaphore), N(posix_queue), N(io_uring), N(userfault), N(secret_memory), N(key_add),
    N(key_session), N(key_request), N(handle_name), N(handle_open), N(fanotify), N(restart),
    N(swap), N(accounting), N(quota), N(clock_set), N(clock_adjust), N(pages), N(execute_readable),
    N(more_files), N(more_processes), N(ldt), N(core_limit), N(core_limit_other), N(symlink_race), N(dir_race), N(leftover),
    N(chroot_out), N(bpf_load), N(perf), N(tiocsti), N(discipline), N(route_out), N(interface), N(old_abi), N(udp),
};

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    for (size_t ix = 0; ix < sizeof all / sizeof *all; ix++)
        if (!strcmp(all[ix].name, argv[1])) return all[ix].run();
    fprintf(stderr, "no attempt %s\n", argv[1]);
    return 2;
}
