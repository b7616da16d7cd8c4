//! What a sandbox has at `/`, made by its init while that still may mount.
//!
//! ```text
//! 1 gather   as whoever the daemon is: /dev/fuse, a private copy of each mount that is to be shown
//! 2 become   user 1000 of the namespace
//! 3 place    the new root, the copies in it, proc, dev, etc and memory; then the old root goes
//! ```
//!
//! Copies are made before anything is placed, by descriptor: no path of the host is looked up twice, and
//! none after the tree of the agent stands at `/`. Never here: what may be shown; the daemon says it.

use super::{
    Fault, Here,
    spec::{Access, HOME, INSIDE_ID, Limits, MOUNT_POINTS, Part, Plan, Root},
    sys::{self, Deep},
};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
        unmount,
    },
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Device nodes that are shown: those that hold no state of anybody.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// What is made of memory, so that nothing stands there to be mounted on.
const IN_MEMORY: [&str; 4] = ["/etc", "/run", "/tmp", "/var"];

/// Whether something made of memory lies over this path inside.
pub fn is_covered(path: &Path) -> bool {
    IN_MEMORY.iter().any(|dir| path.starts_with(dir))
}
/// Of `/proc`: what tells of the host rather than of the sandbox. Each reads as empty.
const MASKED: [&str; 10] = [
    "cmdline",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "sysrq-trigger",
    "timer_list",
];
/// Of `/proc`: what can be written to change the kernel.
const FROZEN: [&str; 4] = ["bus", "fs", "irq", "sys"];
const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
const READ_WRITE: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// What was gathered before this process became somebody else.
pub struct Gathered {
    fuse: Option<OwnedFd>,
    dir: Option<OwnedFd>,
    devices: Vec<(&'static str, OwnedFd)>,
    parts: Vec<(Part, OwnedFd)>,
    through: Vec<PathBuf>,
    home: Option<OwnedFd>,
}

/// Opens and copies all that is shown. The mounts of this namespace are made private first.
pub fn gather(plan: &Plan) -> Result<Gathered, Fault> {
    let everything =
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", everything).here("making mounts private")?;
    let (mut fuse, mut dir) = (None, None);
    match &plan.root {
        Root::View => {
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            fuse = Some(rustix::fs::open("/dev/fuse", flags, Mode::empty()).here("opening /dev/fuse")?);
        }
        Root::Dir(path) => dir = Some(copy(path, READ_WRITE)?),
    }
    let devices = DEVICES.iter().map(|name| {
        let path = Path::new("/dev").join(name);
        // A device may be written whatever the mount says; no-device is what must not be set here.
        let tree = open_tree(CWD, &path, copying()).here(format!("copying {}", path.display()))?;
        Ok((*name, tree))
    });
    let devices = devices.collect::<Result<_, Fault>>()?;
    let parts = plan.parts.iter().map(|part| {
        let attributes = if part.access == Access::ReadWrite { READ_WRITE } else { READ_ONLY };
        Ok((part.clone(), copy(&part.source, attributes)?))
    });
    let parts = parts.collect::<Result<_, Fault>>()?;
    let home = plan.home.as_deref().map(|path| copy(path, READ_WRITE)).transpose()?;
    let through = plan.through.clone();
    Ok(Gathered { fuse, dir, devices, parts, through, home })
}

/// Mounts the view, so that the daemon can begin to serve it: its descriptor, and the mount.
pub fn view(gathered: &mut Gathered) -> Result<(Option<OwnedFd>, OwnedFd), Fault> {
    if let Some(dir) = gathered.dir.take() {
        return Ok((None, dir));
    }
    let what = "mounting the view";
    let fuse = gathered.fuse.take().ok_or(Errno::BADF).here(what)?;
    let new = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC).here(what)?;
    let id = INSIDE_ID.to_string();
    let settings =
        [("fd", fuse.as_raw_fd().to_string()), ("rootmode", "40000".into()), ("user_id", id.clone())];
    for (key, value) in settings.iter().chain(&[("group_id", id), ("subtype", "skep".into())]) {
        fsconfig_set_string(new.as_fd(), *key, value.as_str()).here(what)?;
    }
    fsconfig_set_flag(new.as_fd(), "default_permissions").here(what)?;
    fsconfig_set_flag(new.as_fd(), "allow_other").here(what)?;
    fsconfig_create(new.as_fd()).here(what)?;
    let mount = fsmount(new.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, SAFE).here(what)?;
    Ok((Some(fuse), mount))
}

/// Puts everything in its place under the new root and leaves the old one.
pub fn place(root: &OwnedFd, gathered: Gathered, limits: &Limits) -> Result<(), Fault> {
    let proc = proc()?;
    // Any directory will do, for the length of two calls; /proc is on every host.
    attach(root, "/proc")?;
    rustix::process::fchdir(root).here("entering the root")?;
    rustix::process::pivot_root(".", ".").here("changing the root")?;
    unmount(".", UnmountFlags::DETACH).here("leaving the old root")?;
    rustix::process::chdir("/").here("entering the root")?;

    attach(&proc, "/proc")?;
    let through = gathered.through.iter().map(|dir| {
        let one = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, dir, one).here(format!("seeing {}", dir.display()))?;
        Ok((dir, tree))
    });
    let through = through.collect::<Result<Vec<_>, Fault>>()?;
    let noexec = SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    for (target, mode, attributes) in [
        ("/tmp", "1777", SAFE),
        ("/run", "755", SAFE),
        ("/var", "755", SAFE),
        ("/etc", "755", noexec),
        ("/dev", "755", noexec),
    ] {
        // A device on this mount is a mount of its own, with its own flags.
        attach(&memory(limits, mode, attributes)?, target)?;
    }
    for (dir, tree) in through {
        fs::create_dir_all(dir).at(dir.display())?;
        attach(&tree, &dir.to_string_lossy())?;
    }
    etc()?;
    dev(gathered.devices, limits)?;
    for (part, tree) in gathered.parts {
        let target = part.target.to_string_lossy();
        if is_covered(&part.target) {
            stand_in(&part, tree.as_fd())?;
        }
        attach(&tree, &target)?;
    }
    symlink("/tmp", "/var/tmp").at("/var/tmp")?;
    fs::create_dir(HOME).at(HOME)?;
    if let Some(home) = gathered.home {
        attach(&home, HOME)?;
    }
    masks()?;
    for target in ["/etc", "/dev"] {
        let mount = open_tree(CWD, target, OpenTreeFlags::OPEN_TREE_CLOEXEC).here(target)?;
        sys::mount_attributes(mount.as_fd(), libc::MOUNT_ATTR_RDONLY, Deep::One).here(target)?;
    }
    Ok(())
}

/// What must be there before a directory can be the root of a test: the mount points and the parents of
/// parts.
pub fn mount_points(dir: &Path, parts: &[Part]) -> std::io::Result<()> {
    for name in MOUNT_POINTS {
        fs::create_dir_all(dir.join(name))?;
    }
    for part in parts.iter().filter(|part| !part.target.starts_with("/etc")) {
        let target = dir.join(part.target.strip_prefix("/").unwrap_or(&part.target));
        if part.source.is_dir() {
            fs::create_dir_all(target)?;
        } else if !target.exists() {
            fs::create_dir_all(target.parent().unwrap_or(dir))?;
            fs::write(target, "")?;
        }
    }
    Ok(())
}

/// The processes of this namespace, none but its own for each. Only allowed while the host's can still be
/// seen.
pub fn proc() -> Result<OwnedFd, Fault> {
    memory_or("proc", &[("hidepid", "invisible".to_owned())], SAFE)
}

fn copying() -> OpenTreeFlags {
    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE
}

/// A private copy of a mount of the host, and of all below it, with these attributes.
fn copy(path: &Path, attributes: u64) -> Result<OwnedFd, Fault> {
    let tree = open_tree(CWD, path, copying()).at(path.display())?;
    sys::mount_attributes(tree.as_fd(), attributes, Deep::All).at(path.display())?;
    Ok(tree)
}

fn attach(mount: &OwnedFd, target: &str) -> Result<(), Fault> {
    move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .here(format!("mounting {target}"))
}

/// A new file system of memory or of the kernel.
fn memory_or(kind: &str, settings: &[(&str, String)], attributes: MountAttrFlags) -> Result<OwnedFd, Fault> {
    let what = || format!("making a {kind}");
    let new = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).here(what())?;
    for (key, value) in settings {
        fsconfig_set_string(new.as_fd(), *key, value.as_str()).here(what())?;
    }
    fsconfig_create(new.as_fd()).here(what())?;
    fsmount(new.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).here(what())
}

fn memory(limits: &Limits, mode: &str, attributes: MountAttrFlags) -> Result<OwnedFd, Fault> {
    let settings = [
        ("size", limits.tmp_bytes.to_string()),
        ("nr_inodes", limits.tmp_files.to_string()),
        ("mode", mode.to_owned()),
    ];
    memory_or("tmpfs", &settings, attributes)
}

fn etc() -> Result<(), Fault> {
    let id = INSIDE_ID;
    let files = [
        (
            "passwd",
            format!(
                "agent:x:{id}:{id}:agent:{HOME}:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            ),
        ),
        ("group", format!("agent:x:{id}:\nnogroup:x:65534:\n")),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n".to_owned()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n".to_owned()),
        ("resolv.conf", String::new()),
        ("shells", "/bin/sh\n/bin/bash\n".to_owned()),
    ];
    for (name, text) in files {
        let path = Path::new("/etc").join(name);
        fs::write(&path, text).at(path.display())?;
    }
    symlink("/proc/self/mounts", "/etc/mtab").at("/etc/mtab")
}

/// A file or directory in memory for a part to be mounted on.
fn stand_in(part: &Part, tree: BorrowedFd<'_>) -> Result<(), Fault> {
    let target = &part.target;
    let parent = target.parent().unwrap_or(Path::new("/etc"));
    fs::create_dir_all(parent).at(parent.display())?;
    let kind = rustix::fs::fstat(tree).at(target.display())?.st_mode;
    match rustix::fs::FileType::from_raw_mode(kind).is_dir() {
        true => fs::create_dir_all(target).at(target.display()),
        false => fs::write(target, "").at(target.display()),
    }
}

fn dev(devices: Vec<(&'static str, OwnedFd)>, limits: &Limits) -> Result<(), Fault> {
    for (name, tree) in devices {
        let target = format!("/dev/{name}");
        fs::write(&target, "").at(&target)?;
        attach(&tree, &target)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("ptmx", "pts/ptmx"),
        ("stderr", "/proc/self/fd/2"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
    ] {
        let link = Path::new("/dev").join(name);
        symlink(target, &link).at(link.display())?;
    }
    for dir in ["/dev/pts", "/dev/shm"] {
        fs::create_dir(dir).at(dir)?;
    }
    let settings =
        [("newinstance", None), ("ptmxmode", Some("0666")), ("mode", Some("620")), ("max", Some("64"))];
    let what = "making a devpts";
    let new = fsopen("devpts", FsOpenFlags::FSOPEN_CLOEXEC).here(what)?;
    for (key, value) in settings {
        match value {
            Some(value) => fsconfig_set_string(new.as_fd(), key, value).here(what)?,
            None => fsconfig_set_flag(new.as_fd(), key).here(what)?,
        }
    }
    fsconfig_create(new.as_fd()).here(what)?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    attach(&fsmount(new.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags).here(what)?, "/dev/pts")?;
    attach(&memory(limits, "1777", SAFE)?, "/dev/shm")
}

fn masks() -> Result<(), Fault> {
    for name in MASKED {
        let target = format!("/proc/{name}");
        cover(&target, "/dev/null", READ_ONLY & !libc::MOUNT_ATTR_NODEV)?;
    }
    for name in FROZEN {
        let target = format!("/proc/{name}");
        cover(&target, &target, READ_ONLY)?;
    }
    Ok(())
}

/// Mounts a copy of one path over another, if that is there on this kernel.
fn cover(target: &str, source: &str, attributes: u64) -> Result<(), Fault> {
    let tree = match open_tree(CWD, source, copying()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.at(source)?,
    };
    sys::mount_attributes(tree.as_fd(), attributes, Deep::All).at(source)?;
    match move_mount(&tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH) {
        Err(Errno::NOENT) => Ok(()),
        other => other.here(format!("covering {target}")),
    }
}
