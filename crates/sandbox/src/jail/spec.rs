//! What a sandbox is made of, and what one command in it is: plain data, and how it goes over the wire.

use super::wire::{Reader, Writer};
use rustix::fd::OwnedFd;
use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// Where HOME is inside.
pub const HOME: &str = "/run/home";
/// User and group inside, whatever they are outside.
pub const INSIDE_ID: u32 = 1000;
/// The user outside that a sandbox of a daemon of root runs as; an ordinary user's runs as that user.
pub const OUTSIDE_ID: u32 = 65_533;
/// The top-level directories that the wall fills from the host or with memory. A view shows each of them,
/// empty and unwritable, where the tree has none.
pub const MOUNT_POINTS: [&str; 13] =
    ["bin", "dev", "etc", "lib", "lib32", "lib64", "opt", "proc", "run", "sbin", "tmp", "usr", "var"];
/// What of the host's `/etc` programs need to run at all: no names, no keys, no configuration of services.
const ETC: [&str; 14] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "pki",
    "protocols",
    "services",
    "ssl",
];
/// The directories of the host that hold programs.
const PROGRAMS: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/// What stands at `/`.
#[derive(Clone, Debug)]
pub enum Root {
    /// A FUSE mount; its descriptor comes back from `Starting::take_fuse` and must be served before
    /// `ready`.
    View,
    /// A directory of the host, owned by the user outside: for tests.
    Dir(PathBuf),
}

/// How a part of the host is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can be read and run.
    ReadOnly,
    /// It can be written too.
    ReadWrite,
}

/// A part of the host that is shown inside. Without set-user-id and devices, whatever it has.
#[derive(Clone, Debug)]
pub struct Part {
    /// On the host; symbolic links are followed.
    pub source: PathBuf,
    /// Inside; absolute. Its directory must be there: a mount point of the view, or below a part before it.
    pub target: PathBuf,
    /// How.
    pub access: Access,
}

/// What holds the limits of memory and processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The kernel's counters (cgroups) for memory. Without them nothing starts.
    Cgroup,
    /// Where there are none: processes are still counted by the kernel (RLIMIT_NPROC in a user namespace of
    /// one sandbox), memory only for each process (RLIMIT_DATA), not for their sum. The caller has said so
    /// to whom it concerns.
    EachProcess,
}

/// The limits of a sandbox.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of memory, with what lies in `/tmp`, `/run` and `/dev/shm`.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Share of processors, in hundredths of one; 0 is all there are.
    pub cpu_percent: u32,
    /// Open files of one process.
    pub files: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Seconds of processor time of one process; 0 is no limit.
    pub cpu_seconds: u64,
    /// Bytes of each of `/tmp`, `/run`, `/var`, `/dev/shm`.
    pub tmp_bytes: u64,
    /// Files in each of them.
    pub tmp_files: u64,
    /// Bytes that HOME may hold in all; what fills it beyond is killed.
    pub home_bytes: u64,
    /// Files that it may hold.
    pub home_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            processes: 512,
            cpu_percent: 0,
            files: 4096,
            file_bytes: 4 << 30,
            cpu_seconds: 0,
            tmp_bytes: 512 << 20,
            tmp_files: 100_000,
            home_bytes: 16 << 30,
            home_files: 2_000_000,
        }
    }
}

/// A sandbox to be started.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What stands at `/`.
    pub root: Root,
    /// What of the host is shown; `Spec::new` gives programs, libraries and what they need of `/etc`.
    pub parts: Vec<Part>,
    /// Directories of the root that are seen where memory would lie over them: below `/run`, `/tmp`, `/var`.
    pub through: Vec<PathBuf>,
    /// A directory of the host that is HOME, written without versions.
    pub home: Option<PathBuf>,
    /// Its limits.
    pub limits: Limits,
    /// What must hold them.
    pub need: Need,
    /// Its host name.
    pub hostname: String,
    /// Ports of 127.0.0.1 inside on which the daemon listens, a few; 0 is one that the kernel chooses. They
    /// are there before the first program, so none of them can be another's.
    pub listeners: Vec<u16>,
    /// Environment of every command; `Spec::new` gives PATH, HOME, USER and their like.
    pub env: Vec<(OsString, OsString)>,
}

/// What every command finds in its environment.
pub const ENV: [(&str, &str); 7] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", HOME),
    ("USER", "agent"),
    ("LOGNAME", "agent"),
    ("SHELL", "/bin/bash"),
    ("LANG", "C.UTF-8"),
    ("TMPDIR", "/tmp"),
];

impl Spec {
    /// A sandbox on this root with the programs of the host.
    pub fn new(root: Root) -> Self {
        Self {
            root,
            parts: host_parts(),
            through: Vec::new(),
            home: None,
            limits: Limits::default(),
            need: Need::Cgroup,
            hostname: "skep".to_owned(),
            listeners: Vec::new(),
            env: ENV.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        }
    }

    /// Shows a directory of tools at its own path, to be read and run. The view shows its parents.
    pub fn tool(&mut self, dir: &Path) {
        self.parts.push(Part { source: dir.into(), target: dir.into(), access: Access::ReadOnly });
    }

    pub(super) fn encode(&self, outside: Ids) -> Vec<u8> {
        let (kind, dir) = match &self.root {
            Root::View => (0, Path::new("")),
            Root::Dir(dir) => (1, dir.as_path()),
        };
        let mut out = Writer::new(kind).bytes(dir.as_os_str().as_bytes()).u32(outside.root.into());
        out = out.u32(u32::try_from(self.parts.len()).unwrap_or(u32::MAX));
        for part in &self.parts {
            out = out
                .bytes(part.source.as_os_str().as_bytes())
                .bytes(part.target.as_os_str().as_bytes())
                .u32((part.access == Access::ReadWrite).into());
        }
        out = out.u32(u32::try_from(self.through.len()).unwrap_or(u32::MAX));
        out = self.through.iter().fold(out, |out, dir| out.bytes(dir.as_os_str().as_bytes()));
        out = out.bytes(self.home.as_deref().unwrap_or(Path::new("")).as_os_str().as_bytes());
        out = out.u32(u32::try_from(self.listeners.len()).unwrap_or(u32::MAX));
        out = self.listeners.iter().fold(out, |out, port| out.u32((*port).into()));
        out.bytes(self.hostname.as_bytes())
            .u64(self.limits.memory_bytes)
            .u32(self.limits.processes)
            .u32(self.limits.cpu_percent)
            .u64(self.limits.files)
            .u64(self.limits.file_bytes)
            .u64(self.limits.cpu_seconds)
            .u64(self.limits.tmp_bytes)
            .u64(self.limits.tmp_files)
            .u32((self.need == Need::EachProcess).into())
            .0
    }
}

/// Who a sandbox is outside.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    /// Whether the daemon is root, so that it may choose.
    pub root: bool,
    pub uid: u32,
    pub gid: u32,
}

/// What init needs of a `Spec`.
pub(super) struct Plan {
    pub root: Root,
    pub from_root: bool,
    pub parts: Vec<Part>,
    pub through: Vec<PathBuf>,
    pub home: Option<PathBuf>,
    pub listeners: Vec<u16>,
    pub hostname: Vec<u8>,
    pub limits: Limits,
    pub need: Need,
}

impl Plan {
    pub fn decode(message: &[u8]) -> Option<Self> {
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let (kind, mut read) = Reader::new(message)?;
        let dir = path(read.bytes()?);
        let from_root = read.u32()? == 1;
        let parts = (0..read.u32()?).map(|_| {
            let (source, target) = (path(read.bytes()?), path(read.bytes()?));
            let access = if read.u32()? == 1 { Access::ReadWrite } else { Access::ReadOnly };
            Some(Part { source, target, access })
        });
        let parts = parts.collect::<Option<Vec<Part>>>()?;
        let through = (0..read.u32()?).map(|_| read.bytes().map(path)).collect::<Option<_>>()?;
        Some(Self {
            root: if kind == 0 { Root::View } else { Root::Dir(dir) },
            from_root,
            parts,
            through,
            home: Some(path(read.bytes()?)).filter(|home| !home.as_os_str().is_empty()),
            listeners: (0..read.u32()?)
                .map(|_| u16::try_from(read.u32()?).ok())
                .collect::<Option<Vec<u16>>>()?,
            hostname: read.bytes()?.to_vec(),
            limits: Limits {
                memory_bytes: read.u64()?,
                processes: read.u32()?,
                cpu_percent: read.u32()?,
                files: read.u64()?,
                file_bytes: read.u64()?,
                cpu_seconds: read.u64()?,
                tmp_bytes: read.u64()?,
                tmp_files: read.u64()?,
                // They are watched from outside.
                home_bytes: 0,
                home_files: 0,
            },
            need: if read.u32()? == 1 { Need::EachProcess } else { Need::Cgroup },
        })
    }
}

/// One command.
pub struct Command {
    /// The program and its arguments; a name without `/` is looked for in the PATH inside.
    pub argv: Vec<OsString>,
    /// More environment; it wins over the sandbox's.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts, inside.
    pub cwd: PathBuf,
    /// Standard input, output and error.
    pub stdio: [OwnedFd; 3],
    /// Whether standard input is a terminal that the command is to lead.
    pub terminal: Terminal,
    /// Seconds of processor time of each of its processes; 0 is the sandbox's limit.
    pub cpu_seconds: u64,
    /// Bytes of one file it may write; 0 is the sandbox's limit.
    pub file_bytes: u64,
}

/// What a command's standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// No terminal, or one that is not the command's.
    None,
    /// A terminal that becomes the command's controlling one.
    Controlling,
}

/// What init needs of a `Command`.
pub(super) struct Order {
    pub argv: Vec<Vec<u8>>,
    pub env: Vec<Vec<u8>>,
    pub cwd: Vec<u8>,
    pub terminal: Terminal,
    pub cpu_seconds: u64,
    pub file_bytes: u64,
}

impl Order {
    pub fn encode(tag: u8, base: &[(OsString, OsString)], command: &Command) -> Vec<u8> {
        let given = |name: &OsString| command.env.iter().any(|(mine, _)| mine == name);
        let env = base.iter().filter(|(name, _)| !given(name)).chain(&command.env);
        let env: Vec<Vec<u8>> =
            env.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect();
        let argv: Vec<&[u8]> = command.argv.iter().map(|word| word.as_bytes()).collect();
        Writer::new(tag)
            .list(&argv)
            .list(&env)
            .bytes(command.cwd.as_os_str().as_bytes())
            .u32((command.terminal == Terminal::Controlling).into())
            .u64(command.cpu_seconds)
            .u64(command.file_bytes)
            .0
    }

    pub fn decode(mut read: Reader<'_>) -> Option<Self> {
        Some(Self {
            argv: read.list()?,
            env: read.list()?,
            cwd: read.bytes()?.to_vec(),
            terminal: if read.u32()? == 1 { Terminal::Controlling } else { Terminal::None },
            cpu_seconds: read.u64()?,
            file_bytes: read.u64()?,
        })
    }
}

/// Programs, libraries, and what they need of `/etc`, as far as this host has them.
pub fn host_parts() -> Vec<Part> {
    let dirs = PROGRAMS.iter().map(PathBuf::from);
    let etc = ETC.iter().map(|name| Path::new("/etc").join(name));
    let there = dirs.chain(etc).filter(|path| path.exists());
    there.map(|path| Part { source: path.clone(), target: path, access: Access::ReadOnly }).collect()
}
