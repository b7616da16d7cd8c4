//! Where checkpoints are kept: `checkpoints/NAME.jsonl` beside the workspaces, and files an operator names.
//!
//! A line is added and durable before anybody is told; a line that a crash left unfinished is taken away
//! first. A file of more than 64 MiB is put aside as `NAME.old.jsonl`. Runs on workers, since it waits for a
//! disk. Never here: the key.

use crate::{cell::Cell, guard::guard, journal, node::Node, sign::Checkpoint, turn::Room};
use abi::{Code, Error, Hash, Seq, limits};
use rustix::fs::OFlags;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// How every checkpoint begins; a file that begins otherwise is somebody's and is left alone.
const BEGINS: &[u8] = b"{\"";

/// Where the log of an awake workspace stands, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    id: [u8; 16],
    /// The last record.
    pub seq: Seq,
    hash: Hash,
}

impl Point {
    /// Of a room between two turns.
    pub fn of(room: &Room) -> Self {
        let (seq, hash) = room.store().head();
        Self { id: room.kernel().id(), seq, hash }
    }
}

/// Adds a checkpoint to the node's own file. A failure is said, and the next one comes in time.
pub(crate) fn keep(node: &Node, cell: &Cell, point: Point) {
    let dir = node.home.join("checkpoints");
    let file = dir.join(format!("{}.jsonl", cell.name));
    let kept = DirBuilder::new().recursive(true).mode(0o700).create(&dir).and_then(|()| {
        let _one = guard(&node.signing);
        if fs::metadata(&file).is_ok_and(|found| found.len() >= limits::CHECKPOINTS_BYTES_MAX) {
            fs::rename(&file, dir.join(format!("{}.old.jsonl", cell.name)))?;
        }
        append(&file, &line(node, cell, point))
    });
    if let Err(error) = kept {
        journal::say(&cell.name, &format!("no checkpoint in {}: {error}", file.display()));
    }
}

/// Adds one to a file of the host: the word `checkpoint`.
pub(crate) fn export(node: &Node, cell: &Cell, file: &str) -> Result<(), Error> {
    let Some(point) = guard(&cell.state).point else {
        let what = format!("workspace {} has no log yet", cell.name);
        return Err(Error::new(Code::Unavailable, what).hint("try again in a moment"));
    };
    let line = line(node, cell, point);
    let _one = guard(&node.signing);
    append(Path::new(file), &line).map_err(|error| {
        Error::new(Code::Unavailable, format!("no checkpoint was written: {error}"))
            .argument("file")
            .hint("name a file of checkpoints, or one that is not there yet, in a directory you may write to")
    })
}

fn line(node: &Node, cell: &Cell, point: Point) -> String {
    let Point { id, seq, hash } = point;
    node.registry.signer().line(&Checkpoint { id, name: &cell.name, seq, hash, at: node.clock.wall() })
}

/// Adds a line to a file of lines like it; on disk when this returns.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let is_new = fs::symlink_metadata(path).is_err();
    // A link or a pipe would have us write, or wait, somewhere else.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut open = OpenOptions::new();
    open.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = open.custom_flags(flags.bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let end = whole(&mut file, found.len())?;
    if found.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    if end < found.len() {
        file.set_len(end)?;
    }
    file.seek(SeekFrom::Start(end))?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    match path.parent().filter(|_| is_new) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// How much of a file is whole lines; an error if they are not ours.
fn whole(file: &mut File, length: u64) -> io::Result<u64> {
    let foreign = || io::Error::other("it holds something that is no checkpoint");
    let mut first = Vec::new();
    Read::by_ref(file).take(BEGINS.len() as u64).read_to_end(&mut first)?;
    if !BEGINS.starts_with(&first) {
        return Err(foreign());
    }
    let from = length.saturating_sub(limits::CHECKPOINT_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    Read::by_ref(file).take(limits::CHECKPOINT_BYTES_MAX).read_to_end(&mut tail)?;
    match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => Ok(from + last as u64 + 1),
        None if from == 0 => Ok(0),
        None => Err(foreign()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"a\"}\n";

    #[test]
    fn lines_are_added_to_whole_lines_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.jsonl");
        let long = "x".repeat(5000);
        let rows: [(Option<&str>, Option<&str>); 7] = [
            (None, Some(LINE)),
            (Some(""), Some(LINE)),
            (Some("{\"b\"}\n"), Some("{\"b\"}\n{\"a\"}\n")),
            (Some("{\"b\"}\n{\"torn"), Some("{\"b\"}\n{\"a\"}\n")),
            (Some("{"), Some(LINE)),
            (Some("export PATH=1\n"), None),
            (Some(&long), None),
        ];
        for (before, after) in rows {
            let _ = fs::remove_file(&file);
            if let Some(before) = before {
                fs::write(&file, before).unwrap();
            }
            assert_eq!(append(&file, LINE).is_ok(), after.is_some(), "{before:?}");
            assert_eq!(Some(fs::read_to_string(&file).unwrap().as_str()), after.or(before));
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert!(after.is_none() || mode == 0o600, "{before:?} {mode:o}");
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(append(&link, LINE).is_err());
        assert!(append(dir.path(), LINE).is_err());
    }
}
