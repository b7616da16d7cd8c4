//! The tree below a view: read from the store's file, beside the loop that writes it.

use crate::{guard::guard, journal};
use abi::{Content, FileId, LabelId, Micros, Seq, call::Part, limits, tree::Node};
use sandbox::view::{Base, BaseEntry};
use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Mutex},
};
use store::{Named, Reader, Trouble};

/// Connections of one workspace that wait for a question; more than the readers of a view ask at a time are
/// not kept.
const IDLE_MAX: usize = 4;

/// Connections that only read one workspace.
pub(crate) struct Readers {
    dir: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

impl Readers {
    /// Of the workspace in this directory.
    pub fn of(dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { dir, idle: Mutex::default() })
    }

    fn with<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, Trouble>) -> io::Result<T> {
        let kept = guard(&self.idle).pop();
        let reader = match kept {
            Some(reader) => reader,
            None => Reader::open(&self.dir).map_err(|trouble| self.refused(&trouble))?,
        };
        let told = ask(&reader).map_err(|trouble| self.refused(&trouble));
        let mut idle = guard(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(reader);
        }
        told
    }

    fn refused(&self, trouble: &Trouble) -> io::Error {
        journal::say("view", &format!("a view could not be served: {trouble}"));
        io::Error::other(trouble.to_string())
    }

    /// Bytes of a content.
    pub fn read(&self, content: &Content, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < to.len() {
            let left = to.len() - done;
            let length = (left as u64).min(limits::VALUE_BYTES_MAX as u64);
            let part = Part { offset: offset + done as u64, length };
            let bytes = self.with(|reader| reader.part(content, part))?;
            let bytes = bytes.ok_or_else(|| io::Error::other("these bytes are not kept any more"))?;
            let Some(place) = to.get_mut(done..done + bytes.len().min(left)) else { break };
            if bytes.is_empty() {
                break;
            }
            place.copy_from_slice(bytes.get(..place.len()).unwrap_or_default());
            done += bytes.len().min(left);
        }
        Ok(done)
    }

    /// Directories in which anything changed between two records, if those are few.
    pub fn changed(&self, between: (Seq, Seq), most: usize) -> io::Result<Option<Vec<FileId>>> {
        self.with(|reader| reader.changed(between, most))
    }
}

/// The tree after one record.
pub(crate) struct Tree {
    pub readers: Arc<Readers>,
    pub at: Seq,
}

fn entry(found: Named) -> BaseEntry {
    let Named { name, head, named } = found;
    let (file, version, label): (_, _, LabelId) = (head.file, head.id, head.label);
    let mtime: Micros = head.mtime;
    BaseEntry {
        name,
        file,
        node: head.node,
        content: head.content,
        mode: head.mode,
        mtime,
        version,
        label,
        named,
    }
}

impl Base for Tree {
    fn root(&self) -> io::Result<BaseEntry> {
        let found = self.readers.with(|reader| reader.root(self.at))?;
        found.map(entry).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn list(&self, dir: FileId) -> io::Result<Vec<BaseEntry>> {
        let found = self.readers.with(|reader| reader.list(dir, self.at))?;
        Ok(found.into_iter().filter(|row| row.head.node != Node::Gone).map(entry).collect())
    }

    fn child(&self, dir: FileId, name: &str) -> io::Result<Option<BaseEntry>> {
        let found = self.readers.with(|reader| reader.child(dir, name, self.at))?;
        Ok(found.filter(|row| row.head.node != Node::Gone).map(entry))
    }

    fn read(&self, content: &Content, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        self.readers.read(content, offset, to)
    }
}
