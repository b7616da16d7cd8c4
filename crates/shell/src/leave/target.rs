//! A directory that is whole or not there: everything is made beside it, under another name, and the last
//! step is the rename.

use crate::{escape, fail::Fail};
use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Where it is made; gone when this is, unless it was finished.
#[derive(Debug)]
pub struct Target {
    part: PathBuf,
    dir: PathBuf,
}

impl Target {
    /// For a directory that is new, or empty.
    pub fn new(dir: &Path) -> Result<Self, Fail> {
        let dir = std::path::absolute(dir)?;
        let of = |error: io::Error| fail(&dir, &error);
        match fs::read_dir(&dir) {
            Ok(mut names) => {
                if names.next().is_some() {
                    return Err(Fail::new(format!("{} is not empty", shown(&dir)))
                        .hint("name a directory that is not there yet: an export never overwrites"));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(of(error)),
        }
        let Some(above) = dir.parent() else { return Err(Fail::usage("a directory is needed")) };
        let part = above.join(format!(".skep-export-{}", rustix::process::getpid().as_raw_nonzero()));
        // Closed to others: all of a workspace will be in it.
        DirBuilder::new().mode(0o700).create(&part).map_err(|error| fail(&part, &error))?;
        Ok(Self { part, dir })
    }

    /// Where to make it.
    pub fn path(&self) -> &Path {
        &self.part
    }

    /// It is whole: durable, and under its name.
    pub fn finish(self) -> Result<(), Fail> {
        let done = || -> io::Result<()> {
            rustix::fs::syncfs(File::open(&self.part)?)?;
            fs::rename(&self.part, &self.dir)
        };
        done().map_err(|error| fail(&self.dir, &error))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Nothing is there any more when it was finished.
        let _ = fs::remove_dir_all(&self.part);
    }
}

/// A path as a line may show it.
pub fn shown(path: &Path) -> String {
    escape::line(&path.display().to_string())
}

/// The system's refusal, with the path it is about.
pub fn fail(path: &Path, error: &io::Error) -> Fail {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, then try again",
        _ => "check the path; the directory above it must exist and be yours",
    };
    Fail::new(format!("{}: {error}", shown(path))).hint(hint)
}
