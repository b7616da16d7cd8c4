//! A workspace as plain files: what stands now, every record, every version, every content.
//!
//! ```text
//! README.txt       what is what
//! tree/            the files as they stand
//! log.jsonl        every record, one a line
//! versions.jsonl   every version of every file, one a line
//! blobs/HASH       every content that is kept, under its BLAKE3
//! ```
//!
//! What the host cannot hold (a path longer than it takes) is left out of `tree/` and counted; its bytes are
//! in `blobs/` all the same.

use super::{
    content::{self, Piece},
    record::{self, Operation},
    shape::{Shape, What},
    target::{Target, fail},
};
use crate::{fail::Fail, session::Session};
use abi::{Content, FileId, Hash, ROOT, tree::Node};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

const README: &str = "A workspace of Skep, in open forms.

tree/            the files as they stood at the last record of log.jsonl
log.jsonl        every record of the log, oldest first: who decided what, when, and which record led to it.
                 A text that a record names by hash is in blobs/; \"texts\" holds its beginning.
versions.jsonl   every version of every file, oldest first; \"hash\" names its content in blobs/
blobs/HASH       every content that is still kept; HASH is its BLAKE3 (b3sum blobs/* shows whether it is whole)

Times are microseconds since 1970, amounts 10^-9 of the currency. Links in tree/ point where they pointed in
the workspace, which may be nowhere here.
";

/// What was made.
#[derive(Debug, Default)]
pub struct Made {
    pub records: u64,
    pub versions: u64,
    pub contents: u64,
    pub destroyed: u64,
    pub files: u64,
    pub left_out: u64,
}

impl Made {
    pub fn to_json(&self) -> Value {
        json!({
            "records": self.records, "versions": self.versions, "contents": self.contents,
            "destroyed": self.destroyed, "files": self.files, "left_out": self.left_out,
        })
    }
}

/// Makes the directory, which is new or empty.
pub fn export(session: &mut Session, dir: &Path) -> Result<Made, Fail> {
    let target = Target::new(dir)?;
    let of = |error: io::Error| fail(dir, &error);
    let mut all = Everything::new(target.path()).map_err(of)?;
    let end = record::end(session)?;
    record::pages(session, end, &mut |session, page| {
        all.note(&page).map_err(of)?;
        all.fetch(session, &page)
    })?;
    let made = all.end().map_err(of)?;
    target.finish()?;
    Ok(made)
}

struct Everything {
    at: PathBuf,
    log: BufWriter<File>,
    versions: BufWriter<File>,
    shape: Shape,
    made: Made,
}

impl Everything {
    fn new(at: &Path) -> io::Result<Self> {
        fs::create_dir(at.join("blobs"))?;
        fs::create_dir(at.join("tree"))?;
        fs::write(at.join("README.txt"), README)?;
        let lines = |name: &str| File::create_new(at.join(name)).map(BufWriter::new);
        let (log, versions) = (lines("log.jsonl")?, lines("versions.jsonl")?);
        Ok(Self { at: at.to_path_buf(), log, versions, shape: Shape::default(), made: Made::default() })
    }

    fn note(&mut self, page: &[Value]) -> io::Result<()> {
        for raw in page {
            writeln!(self.log, "{raw}")?;
            self.made.records += 1;
            let Some(operation) = Operation::of(raw) else { continue };
            for change in &operation.changes {
                let mut row = serde_json::to_value(change).map_err(io::Error::other)?;
                if let Some(map) = row.as_object_mut() {
                    map.insert("operation".into(), json!(operation.op));
                    map.insert("seq".into(), json!(operation.seq));
                    map.insert("actor".into(), json!(operation.actor));
                    map.insert("pid".into(), json!(operation.pid));
                    map.insert("message".into(), json!(operation.message));
                }
                writeln!(self.versions, "{row}")?;
                self.made.versions += 1;
            }
            self.shape.apply(&operation.changes);
        }
        Ok(())
    }

    /// Brings every content that these records name and that is not here yet.
    fn fetch(&mut self, session: &mut Session, page: &[Value]) -> Result<(), Fail> {
        let mut pieces = BTreeMap::new();
        for operation in page.iter().filter_map(Operation::of) {
            for change in operation.changes.into_iter().filter(|change| change.node != Node::Dir) {
                let (content, version, path) = (change.content, change.version, change.path);
                pieces.insert(content.hash, Piece { content, version, path });
            }
        }
        let mut named = BTreeMap::new();
        page.iter().filter_map(|raw| raw.get("body")).for_each(|body| contents(body, &mut named));
        named.retain(|hash, _| *hash != Hash::default() && !self.blob(hash).exists());
        let (small, large): (Vec<Content>, Vec<Content>) = named.into_values().partition(content::is_small);
        content::small(session, &small, &mut |content, bytes| {
            let kept = bytes.map(|bytes| fs::write(self.blob(&content.hash), bytes)).transpose()?;
            self.count(kept.is_some());
            Ok(())
        })?;
        for content in large {
            let whole = match pieces.get(&content.hash) {
                Some(piece) => self.pour(session, piece)?,
                None => false,
            };
            self.count(whole);
        }
        Ok(())
    }

    fn pour(&mut self, session: &mut Session, piece: &Piece) -> Result<bool, Fail> {
        let file = self.blob(&piece.content.hash);
        let mut to = BufWriter::new(File::create_new(&file)?);
        let whole = content::large(session, piece, &mut |_, part| Ok(to.write_all(part)?))?;
        to.flush()?;
        if !whole {
            fs::remove_file(file)?;
        }
        Ok(whole)
    }

    fn blob(&self, hash: &Hash) -> PathBuf {
        self.at.join("blobs").join(hash.to_string())
    }

    fn count(&mut self, kept: bool) {
        self.made.contents += u64::from(kept);
        self.made.destroyed += u64::from(!kept);
    }

    fn end(mut self) -> io::Result<Made> {
        self.log.flush()?;
        self.versions.flush()?;
        let mut todo = vec![(ROOT, self.at.join("tree"))];
        while let Some((dir, at)) = todo.pop() {
            for (name, file, what) in self.shape.children(dir) {
                let to = at.join(name);
                match self.place(&to, &what) {
                    Ok(()) if what.node == Node::Dir => todo.push((file, to)),
                    Ok(()) => self.made.files += 1,
                    Err(error) if is_about_the_name(&error) => self.made.left_out += self.below(file),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(self.made)
    }

    /// How many files and links a file or directory is.
    fn below(&self, file: FileId) -> u64 {
        let (mut count, mut todo) = (0, vec![file]);
        while let Some(file) = todo.pop() {
            let children = self.shape.children(file);
            count += u64::from(children.is_empty());
            todo.extend(children.into_iter().map(|(_, file, _)| file));
        }
        count
    }

    fn place(&self, to: &Path, what: &What) -> io::Result<()> {
        let from = self.blob(&what.content.hash);
        match what.node {
            Node::Dir => fs::create_dir(to),
            Node::Gone => Ok(()),
            Node::Link => symlink(String::from_utf8_lossy(&fs::read(from)?).as_ref(), to),
            Node::File => {
                let mode = if what.mode & 0o111 != 0 { 0o755 } else { 0o644 };
                let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
                io::copy(&mut File::open(from)?, &mut new)?;
                new.set_modified(UNIX_EPOCH + Duration::from_micros(what.mtime))
            }
        }
    }
}

/// The path is too long here, the link's target is none, or its bytes are not kept any more.
fn is_about_the_name(error: &io::Error) -> bool {
    use io::ErrorKind as Of;
    matches!(error.kind(), Of::InvalidFilename | Of::InvalidInput | Of::NotFound)
}

/// Every content that a value names, however deep: `{"hash": HASH, "bytes": COUNT}`.
fn contents(value: &Value, into: &mut BTreeMap<Hash, Content>) {
    match value {
        Value::Object(map) => {
            if let (2, Ok(content)) = (map.len(), serde_json::from_value::<Content>(value.clone())) {
                into.insert(content.hash, content);
            }
            map.values().for_each(|value| contents(value, into));
        }
        Value::Array(rows) => rows.iter().for_each(|value| contents(value, into)),
        _ => {}
    }
}
