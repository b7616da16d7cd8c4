//! A directory of the host that is part of a tree: looked at and changed from its descriptor, never above it
//! and never through a symbolic link.
//!
//! A change is made beside its place and put there in one step (renameat2). What stood there comes out by the
//! same step, so whoever asked for it can compare it with what was expected: nothing is overwritten unseen.
//! What lies beside it after a crash is told by its name ([`Name`]).

use abi::{Micros, path::TreePath, tree::Node};
use rustix::{
    event::{Timespec, poll},
    fs::{
        self, AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Statx, StatxFlags,
        Timestamps, Uid,
    },
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// What is being written, and is nothing yet.
const NEW: &str = ".skep-new-";
/// What is whole: it takes its place next, or came out of it.
const PLACE: &str = ".skep-place-";
/// So often, and with such pauses, is it looked whether somebody still writes into what came out: half a
/// second, which is longer than editors hold a file that they save.
const QUIET_TRIES: usize = 50;
const QUIET_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// How often a place is tried that somebody else changes at the same time.
const TRIES: usize = 64;

/// The name of a change, for what lies beside its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(pub u64, pub usize);

impl Name {
    fn fresh(self) -> String {
        format!("{NEW}{}-{}", self.0, self.1)
    }

    fn place(self) -> String {
        format!("{PLACE}{}-{}", self.0, self.1)
    }
}

/// Whether a name is that of something beside its place.
pub fn is_beside(name: &str) -> bool {
    name.starts_with(NEW) || name.starts_with(PLACE)
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub node: Node,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Which device and file.
    pub place: (u64, u64),
    /// When its bytes changed.
    pub mtime: Micros,
    /// When its bytes and when anything of it changed, as exactly as is known.
    pub times: ((i64, u32), (i64, u32)),
}

impl Seen {
    fn of(stat: &Statx) -> Option<Self> {
        let node = match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::RegularFile => Node::File,
            FileType::Directory => Node::Dir,
            FileType::Symlink => Node::Link,
            _ => return None,
        };
        let time = |time: fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
        let (mtime, ctime) = (time(stat.stx_mtime), time(stat.stx_ctime));
        let micros = mtime.0.saturating_mul(1_000_000).saturating_add(i64::from(mtime.1 / 1000));
        let device = u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor);
        Some(Self {
            node,
            size: if node == Node::Dir { 0 } else { stat.stx_size },
            mode: u32::from(stat.stx_mode) & 0o777,
            place: (device, stat.stx_ino),
            mtime: u64::try_from(micros).unwrap_or(0),
            times: (mtime, ctime),
        })
    }
}

/// The directory.
pub struct HostDir {
    root: OwnedFd,
    /// Whose its files are to be, if that can be chosen.
    owner: Option<(Uid, Gid)>,
}

/// What came out of a place, or was about to go there.
pub struct Beside {
    dir: OwnedFd,
    name: String,
    /// What it is; none if it is no file, directory or link.
    pub seen: Option<Seen>,
}

const LOOK: StatxFlags = StatxFlags::BASIC_STATS;

impl HostDir {
    /// A directory of the host.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let root = fs::openat2(fs::CWD, path, flags, Mode::empty(), resolve)?;
        let stat = fs::fstat(&root)?;
        let owner = rustix::process::geteuid()
            .is_root()
            .then(|| (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)));
        Ok(Self { root, owner })
    }

    /// The user whose directory it is.
    pub fn user(&self) -> io::Result<u32> {
        Ok(fs::fstat(&self.root)?.st_uid)
    }

    fn beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // Something was renamed meanwhile.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// What stands at a path below; none if there is nothing, or nothing that a tree can have.
    pub fn look(&self, path: &str) -> io::Result<Option<Seen>> {
        match self.beneath(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(file) => Ok(Seen::of(&fs::statx(&file, "", AtFlags::EMPTY_PATH, LOOK)?)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of a directory that a tree can have, and what stands there.
    pub fn list(&self, path: &str) -> io::Result<Vec<(String, Seen)>> {
        let dir = match self.beneath(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut all = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." || is_beside(name) || !is_name(name) {
                continue;
            }
            match fs::statx(&dir, name, AtFlags::SYMLINK_NOFOLLOW, LOOK) {
                Ok(stat) => all.extend(Seen::of(&stat).map(|seen| (name.to_owned(), seen))),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    /// A file, to be read, and what it is.
    pub fn file(&self, path: &str) -> io::Result<(File, Seen)> {
        read(self.beneath(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?)
    }

    /// The target of a symbolic link.
    pub fn target(&self, path: &str) -> io::Result<Vec<u8>> {
        let (dir, name) = self.home(path, false)?;
        Ok(fs::readlinkat(&dir, name, Vec::new())?.into_bytes())
    }

    /// The directory of a path, made if it is not there, and its last name.
    fn home<'a>(&self, path: &'a str, make: bool) -> io::Result<(OwnedFd, &'a str)> {
        let (home, name) = path.rsplit_once('/').unwrap_or(("", path));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self.beneath(home, flags) {
            Err(Errno::NOENT) if make && !home.is_empty() => {
                self.dir(home, 0o755)?;
                Ok((self.beneath(home, flags)?, name))
            }
            other => Ok((other?, name)),
        }
    }

    /// Lets a directory stand there, with those above it.
    pub fn dir(&self, path: &str, mode: u32) -> io::Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let (home, name) = self.home(path, true)?;
        match fs::mkdirat(&home, name, Mode::from_raw_mode(mode)) {
            Ok(()) => {
                if let Some((user, group)) = self.owner {
                    fs::chownat(&home, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                Ok(fs::fsync(&home)?)
            }
            Err(Errno::EXIST) => match self.look(path)? {
                Some(Seen { node: Node::Dir, mode: is, .. }) => {
                    if is != mode {
                        let dir = self.beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
                        fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
                    }
                    Ok(())
                }
                Some(_) | None => Err(Errno::EXIST.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a file there; what came out of its place, if something did.
    pub fn put(
        &self,
        path: &str,
        beside: Name,
        (mode, mtime): (u32, Micros),
        write: &mut dyn FnMut(&mut File) -> io::Result<()>,
    ) -> io::Result<Option<Beside>> {
        let (home, name) = self.home(path, true)?;
        let new = beside.fresh();
        forget(&home, &new)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(fs::openat(&home, &new, flags, Mode::RUSR | Mode::WUSR)?);
        let made = write(&mut file).and_then(|()| {
            if let Some((user, group)) = self.owner {
                fs::fchown(&file, Some(user), Some(group))?;
            }
            fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            fs::futimens(&file, &times(mtime))?;
            file.sync_all()
        });
        if let Err(error) = made {
            forget(&home, &new)?;
            return Err(error);
        }
        self.enter(home, name, beside)
    }

    /// Sets the bits and the time of a file.
    pub fn set(&self, path: &str, mode: u32, mtime: Micros) -> io::Result<()> {
        let (file, _) = self.file(path)?;
        fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(fs::futimens(&file, &times(mtime))?)
    }

    /// Puts a symbolic link there; what came out of its place.
    pub fn link(&self, path: &str, beside: Name, target: &[u8]) -> io::Result<Option<Beside>> {
        let (home, name) = self.home(path, true)?;
        let new = beside.fresh();
        forget(&home, &new)?;
        fs::symlinkat(std::ffi::OsStr::from_bytes(target), &home, &new)?;
        if let Some((user, group)) = self.owner {
            fs::chownat(&home, &new, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        self.enter(home, name, beside)
    }

    /// What is new takes its place, in one step.
    fn enter(&self, home: OwnedFd, name: &str, beside: Name) -> io::Result<Option<Beside>> {
        let place = beside.place();
        fs::renameat_with(&home, beside.fresh(), &home, &place, RenameFlags::NOREPLACE)?;
        for _ in 0..TRIES {
            match fs::renameat_with(&home, &place, &home, name, RenameFlags::EXCHANGE) {
                Ok(()) => {
                    fs::fsync(&home)?;
                    let out = Beside::at(home, place)?;
                    if out.seen.is_some_and(|seen| seen.node == Node::Dir) {
                        // A directory is not replaced by something else.
                        fs::renameat_with(&out.dir, &out.name, &out.dir, name, RenameFlags::EXCHANGE)?;
                        forget(&out.dir, &out.name)?;
                        return Err(Errno::ISDIR.into());
                    }
                    return Ok(Some(out));
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            match fs::renameat_with(&home, &place, &home, name, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    fs::fsync(&home)?;
                    return Ok(None);
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::BUSY.into())
    }

    /// Takes what stands there out of its place; none if there is nothing. Directories are taken by `rmdir`.
    pub fn take(&self, path: &str, beside: Name) -> io::Result<Option<Beside>> {
        let (home, name) = match self.home(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let place = beside.place();
        match fs::renameat_with(&home, name, &home, &place, RenameFlags::NOREPLACE) {
            Ok(()) => {
                fs::fsync(&home)?;
                Ok(Some(Beside::at(home, place)?))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an empty directory; whether there was one.
    pub fn rmdir(&self, path: &str) -> io::Result<bool> {
        let (home, name) = match self.home(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match fs::unlinkat(&home, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves what stands there to a free place; false if there is nothing to move.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
        let (old, name) = match self.home(from, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let (new, called) = self.home(to, true)?;
        match fs::renameat_with(&old, name, &new, called, RenameFlags::NOREPLACE) {
            Ok(()) => {
                fs::fsync(&new)?;
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What lies beside a place under this name, after a crash.
    pub fn beside(&self, path: &str, name: Name) -> io::Result<Option<Beside>> {
        let (home, _) = match self.home(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match fs::statx(&home, name.place(), AtFlags::SYMLINK_NOFOLLOW, LOOK) {
            Ok(_) => Ok(Some(Beside::at(home, name.place())?)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Beside {
    fn at(dir: OwnedFd, name: String) -> io::Result<Self> {
        let seen = Seen::of(&fs::statx(&dir, &name, AtFlags::SYMLINK_NOFOLLOW, LOOK)?);
        Ok(Self { dir, name, seen })
    }

    /// Its bytes, if it is a file.
    pub fn file(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(read(fs::openat(&self.dir, &self.name, flags, Mode::empty())?)?.0)
    }

    /// Its target, if it is a link.
    pub fn target(&self) -> io::Result<Vec<u8>> {
        Ok(fs::readlinkat(&self.dir, &self.name, Vec::new())?.into_bytes())
    }

    /// Waits a little until nobody who opened it before it came out writes into it any more.
    pub fn is_quiet(&self) -> io::Result<bool> {
        // What is no file is not written into.
        if self.seen.is_none_or(|seen| seen.node != Node::File) {
            return Ok(true);
        }
        let file = self.file()?;
        for _ in 0..QUIET_TRIES {
            if lease::nobody_writes(&file) {
                return Ok(true);
            }
            poll(&mut [], Some(&QUIET_PAUSE))?;
        }
        Ok(false)
    }

    /// It goes.
    pub fn remove(self) -> io::Result<()> {
        forget(&self.dir, &self.name)
    }

    /// It goes back to a name of its directory, if that is free.
    pub fn put_back(&self, path: &str) -> io::Result<bool> {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        match fs::renameat_with(&self.dir, &self.name, &self.dir, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn read(file: OwnedFd) -> io::Result<(File, Seen)> {
    let seen = Seen::of(&fs::statx(&file, "", AtFlags::EMPTY_PATH, LOOK)?);
    let seen = seen.filter(|seen| seen.node == Node::File).ok_or(Errno::NOENT)?;
    Ok((File::from(file), seen))
}

fn times(mtime: Micros) -> Timestamps {
    let time = fs::Timespec {
        tv_sec: i64::try_from(mtime / 1_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(mtime % 1_000_000).unwrap_or(0).saturating_mul(1000),
    };
    Timestamps { last_access: time, last_modification: time }
}

fn forget(dir: impl AsFd, name: &str) -> io::Result<()> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a tree can have this name.
fn is_name(name: &str) -> bool {
    name.is_ascii() || TreePath::parse(&format!("/{name}")).is_ok()
}

mod lease;

#[cfg(test)]
mod tests;
