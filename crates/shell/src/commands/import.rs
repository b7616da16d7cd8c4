//! `skep import`: a host directory into the tree, through `write` and nothing else.
//!
//! What comes in is nobody's word: its origin is a pipe's, so its label is external. Links are taken as links
//! and never followed; what is no file, directory or link is passed over and counted; a name that cannot be a
//! path of the tree is listed. Directories are read as they are walked, files as they are sent: a tree may be
//! larger than memory.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures::{self, plural},
    session::Session,
    upload::{self, part, put},
};
use abi::{limits, path::TreePath};
use rustix::fs::OFlags;
use serde_json::{Value, json};
use std::{
    fs::{self, File, OpenOptions, ReadDir},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Bytes and requests sent before their answers are read.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCH_MAX: usize = 64;
/// Refusals and names that are shown one by one.
const SHOWN_MAX: u64 = 20;

/// Bring a host directory into the tree; what comes in counts as external
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The directory
    dir: PathBuf,
    /// Where it is put [default: /data/NAME-OF-THE-DIRECTORY]
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
    /// Only say what would be written
    #[arg(long)]
    dry_run: bool,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Write,
    Show,
}

impl Import {
    pub fn run(self, session: &mut Session) -> Outcome {
        let dir = fs::canonicalize(&self.dir).map_err(|error| refused(&self.dir, &error))?;
        let to = match self.to {
            Some(to) => TreePath::parse(&to)?,
            None => {
                let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                TreePath::parse(&format!("/data/{name}")).map_err(|_| {
                    Fail::usage("the directory's name cannot be one in the tree")
                        .hint("name a place: --to PATH")
                })?
            }
        };
        let top = fs::read_dir(&dir).map_err(|error| refused(&dir, &error))?;
        let mode = if self.dry_run { Mode::Show } else { Mode::Write };
        let message = self.message.unwrap_or_else(|| format!("import of {}", shown(&dir)));
        let mut import = Walk { mode, message, batch: Vec::new(), bytes: 0, count: Count::default() };
        import.directory(session, &to)?;
        import.walk(session, top, to.clone())?;
        import.flush(session)?;
        import.count.tell(session, &to, mode)
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Count {
    files: u64,
    dirs: u64,
    links: u64,
    bytes: u64,
    unchanged: u64,
    held: u64,
    other: u64,
    unreadable: u64,
    names: u64,
    refused: u64,
}

impl Count {
    fn tell(&self, session: &mut Session, to: &TreePath, mode: Mode) -> Outcome {
        let bad = self.names + self.unreadable + self.refused > 0;
        let exit = if bad { Exit::Bad } else { Exit::Fine };
        if session.is_json() {
            session.object(&json!({
                "to": to, "files": self.files, "directories": self.dirs, "links": self.links,
                "bytes": self.bytes, "unchanged": self.unchanged, "held": self.held,
                "skipped": self.other, "unreadable": self.unreadable, "names": self.names,
                "refused": self.refused, "dry_run": mode == Mode::Show,
            }))?;
            return Ok(exit);
        }
        let line = format!(
            "{}  {}, {} directories, {}, {}",
            escape::line(to.as_str()),
            plural(self.files, "file"),
            figures::count(self.dirs),
            plural(self.links, "link"),
            figures::bytes(self.bytes),
        );
        session.say(&line)?;
        let notes = [
            (self.unchanged, "stood there already"),
            (self.held, "wait for your decision: skep inbox"),
            (self.other, "passed over: neither file, directory nor link"),
            (self.unreadable, "passed over: they cannot be read"),
            (self.names, "passed over: their names cannot stand in the tree"),
            (self.refused, "refused"),
        ];
        for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
            session.note(&format!("{} {what}", figures::count(count)));
        }
        Ok(exit)
    }
}

/// One import under way.
struct Walk {
    mode: Mode,
    message: String,
    batch: Vec<Value>,
    bytes: usize,
    count: Count,
}

impl Walk {
    fn walk(&mut self, session: &mut Session, top: ReadDir, to: TreePath) -> Result<(), Fail> {
        let mut stack = vec![(top, to)];
        while let Some((names, above)) = stack.last_mut() {
            let Some(entry) = names.next() else {
                stack.pop();
                continue;
            };
            let above = above.clone();
            let Ok(entry) = entry else {
                self.count.unreadable += 1;
                continue;
            };
            let host = entry.path();
            let name = entry.file_name();
            let path = match name.to_str().map(|name| above.join(name)) {
                Some(Ok(path)) => path,
                Some(Err(error)) => {
                    self.name(session, &host, &error.message);
                    continue;
                }
                None => {
                    self.name(session, &host, "the name is not UTF-8");
                    continue;
                }
            };
            if let Some(below) = self.entry(session, &host, &path)? {
                stack.push((below, path));
            }
        }
        Ok(())
    }

    /// One name; what is below it, if it is a directory.
    fn entry(
        &mut self,
        session: &mut Session,
        host: &Path,
        path: &TreePath,
    ) -> Result<Option<ReadDir>, Fail> {
        let Ok(found) = fs::symlink_metadata(host) else {
            self.unreadable(session, host);
            return Ok(None);
        };
        if found.is_dir() {
            let Ok(below) = fs::read_dir(host) else {
                self.unreadable(session, host);
                return Ok(None);
            };
            self.directory(session, path)?;
            return Ok(Some(below));
        }
        if found.is_symlink() {
            self.link(session, host, path)?;
        } else if found.is_file() {
            self.file(session, host, path)?;
        } else {
            self.count.other += 1;
        }
        Ok(None)
    }

    fn directory(&mut self, session: &mut Session, path: &TreePath) -> Result<(), Fail> {
        // The root is there.
        if path.as_str() == "/" {
            return Ok(());
        }
        self.count.dirs += 1;
        self.send(session, json!({"path": path, "mode": "dir"}), 0)
    }

    fn link(&mut self, session: &mut Session, host: &Path, path: &TreePath) -> Result<(), Fail> {
        let Ok(target) = fs::read_link(host) else {
            self.unreadable(session, host);
            return Ok(());
        };
        let Some(target) = target.to_str() else {
            self.name(session, host, "what it points to is not UTF-8");
            return Ok(());
        };
        self.count.links += 1;
        self.send(session, json!({"path": path, "mode": "link", "text": target}), target.len())
    }

    fn file(&mut self, session: &mut Session, host: &Path, path: &TreePath) -> Result<(), Fail> {
        let Ok((mut file, exec, length)) = open(host) else {
            self.unreadable(session, host);
            return Ok(());
        };
        let bytes = match part(&mut file) {
            Ok(bytes) => bytes,
            Err(_) => {
                self.unreadable(session, host);
                return Ok(());
            }
        };
        if bytes.len() < limits::VALUE_BYTES_MAX {
            self.count.files += 1;
            self.count.bytes += bytes.len() as u64;
            let mut params = json!({"path": path, "exec": exec});
            let length = put(&mut params, bytes);
            return self.send(session, params, length);
        }
        self.count.files += 1;
        if self.mode == Mode::Show {
            self.count.bytes += length;
            return self.send(session, json!({"path": path}), 0);
        }
        self.upload(session, (file, bytes), exec, path)
    }

    /// A file larger than a message: in parts, and its version at the end.
    fn upload(
        &mut self,
        session: &mut Session,
        (mut file, first): (File, Vec<u8>),
        exec: bool,
        path: &TreePath,
    ) -> Result<(), Fail> {
        self.flush(session)?;
        let last = json!({"path": path, "exec": exec, "origin": "pipe", "message": self.message});
        match upload::send(session, (first, &mut file), last, &mut |_, _| ()) {
            Ok((count, answer)) => {
                self.count.bytes += count;
                self.answered(&answer);
            }
            Err(fail) if fail.code.is_empty() => return Err(fail),
            Err(fail) => self.refuse(session, path.as_str(), &fail),
        }
        Ok(())
    }

    /// Sends a write, with others when there are some.
    fn send(&mut self, session: &mut Session, mut params: Value, bytes: usize) -> Result<(), Fail> {
        if self.mode == Mode::Show {
            if !session.is_json() {
                let path = params.get("path").and_then(Value::as_str).unwrap_or_default();
                session.say(&escape::line(path))?;
            }
            return Ok(());
        }
        if let Some(map) = params.as_object_mut() {
            map.insert("origin".into(), json!("pipe"));
            map.insert("message".into(), json!(self.message));
        }
        self.batch.push(params);
        self.bytes += bytes;
        if self.batch.len() >= BATCH_MAX || self.bytes >= BATCH_BYTES_MAX {
            self.flush(session)?;
        }
        Ok(())
    }

    fn flush(&mut self, session: &mut Session) -> Result<(), Fail> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let path = |params: &Value| params.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        let paths: Vec<String> = batch.iter().map(path).collect();
        for (reply, path) in session.calls("write", batch)?.into_iter().zip(paths) {
            match reply {
                Ok(answer) => self.answered(&answer),
                // Without a code it is the connection that failed.
                Err(fail) if fail.code.is_empty() => return Err(fail),
                Err(fail) => self.refuse(session, &path, &fail),
            }
        }
        Ok(())
    }

    fn answered(&mut self, answer: &Value) {
        self.count.unchanged += u64::from(answer.get("unchanged").is_some());
        self.count.held += u64::from(answer.get("proposal").is_some());
    }

    fn refuse(&mut self, session: &mut Session, path: &str, fail: &Fail) {
        self.count.refused += 1;
        if self.count.refused <= SHOWN_MAX {
            session.note(&format!("refused: {}: {}", escape::line(path), escape::line(&fail.message)));
        }
    }

    fn name(&mut self, session: &mut Session, host: &Path, why: &str) {
        self.count.names += 1;
        if self.count.names <= SHOWN_MAX {
            session.note(&format!("passed over: {}: {}", shown(host), escape::line(why)));
        }
    }

    fn unreadable(&mut self, session: &mut Session, host: &Path) {
        self.count.unreadable += 1;
        if self.count.unreadable <= SHOWN_MAX {
            session.note(&format!("cannot be read: {}", shown(host)));
        }
    }
}

/// Opens what was a file a moment ago, and is one still: no link is followed, no pipe waited for.
fn open(host: &Path) -> io::Result<(File, bool, u64)> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(host)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((file, found.mode() & 0o111 != 0, found.len()))
}

fn shown(path: &Path) -> String {
    escape::line(&path.display().to_string())
}

fn refused(path: &Path, error: &io::Error) -> Fail {
    Fail::new(format!("{}: {error}", shown(path))).hint("name a directory that you may read")
}
