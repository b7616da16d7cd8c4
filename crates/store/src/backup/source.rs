//! Making a backup while the workspace goes on: copy → measure → tar under another name → durable → its name.
//!
//! The copy is one read transaction on a connection of its own, so the one writer is never waited for. What
//! the copy names beside the database (segments, chunks) is never changed once it is there; a chunk that is
//! destroyed meanwhile makes the backup fail, which is said. An end in the middle leaves a hidden file beside
//! the one that was wanted, never that one.

use super::{COPY, FORMAT, Hashing, MANIFEST, Manifest, Member};
use crate::{
    Trouble, chain,
    schema::{self, Db, refused},
};
use abi::{
    Hash, Micros, Seq,
    record::{Entry, Record},
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tar::{Builder, EntryType, Header};

/// How long the copy waits for a lock that recovery holds.
const BUSY: Duration = Duration::from_secs(10);

/// What is backed up.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The workspace's directory.
    pub dir: &'a Path,
    /// What it is called.
    pub name: &'a str,
    /// Now.
    pub at: Micros,
    /// Random: names the files that are made on the way.
    pub mark: [u8; 16],
}

/// Files that are gone when this is.
struct Scrap(Vec<PathBuf>);

impl Drop for Scrap {
    fn drop(&mut self) {
        self.0.iter().for_each(|file| drop(fs::remove_file(file)));
    }
}

/// Backs up to a file that is not there yet; it is whole and durable when this returns.
pub fn write(source: &Source<'_>, file: &Path) -> Result<Manifest, Trouble> {
    if fs::symlink_metadata(file).is_ok() {
        return Err(Trouble::Exists { file: file.to_path_buf() });
    }
    let beside = file.parent().unwrap_or(Path::new("/"));
    let mark: String = source.mark.iter().map(|byte| format!("{byte:02x}")).collect();
    let copy = beside.join(format!(".skep-{mark}.db"));
    let part = beside.join(format!(".skep-{mark}.part"));
    // Closed to others before the first byte is in it.
    let of = |error: io::Error| refused(beside, &error);
    new_file(&copy).map_err(of)?;
    let _scrap = Scrap(vec![copy.clone(), schema::beside(&copy, "-journal"), part.clone()]);
    take(source.dir, &copy)?;
    let db = super::open_copy(&copy)?;
    let chunks = super::chunks(&db)?;
    let mut members = vec![super::measure(&copy, COPY)?];
    for name in super::segments(&db)? {
        let name = format!("log/{name}");
        members.push(super::measure(&source.dir.join(&name), &name)?);
    }
    let (seq, head) = chain::head(&db)?;
    let manifest = Manifest {
        format: FORMAT,
        program: format!("skep {}", env!("CARGO_PKG_VERSION")),
        workspace: workspace_id(&db, source.dir)?,
        name: source.name.to_owned(),
        seq,
        head,
        at: source.at,
        members,
        chunks: chunks.len() as u64,
    };
    let mut tar = Tar::new(new_file(&part).map_err(of)?, &part, source.at);
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Trouble::Io { file: part.clone(), what: error.to_string() })?;
    tar.bytes(MANIFEST, &text)?;
    for member in &manifest.members {
        let from = if member.name == COPY { copy.clone() } else { source.dir.join(&member.name) };
        tar.file(&from, member)?;
    }
    for chunk in &chunks {
        tar.chunk(source.dir, chunk)?;
    }
    tar.end()?;
    name_it(&part, file).map_err(|error| refused(file, &error))?;
    File::open(beside).and_then(|dir| dir.sync_all()).map_err(of)?;
    Ok(manifest)
}

fn new_file(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

/// One consistent state of the database, in a file that is there and empty.
fn take(dir: &Path, copy: &Path) -> Result<(), Trouble> {
    let file = dir.join(COPY);
    let connection = schema::attach(&file)?;
    schema::check_workspace(&file, &connection)?;
    let Some(into) = copy.to_str() else {
        return Err(Trouble::Io { file: copy.to_path_buf(), what: "its path is not UTF-8".into() });
    };
    let run = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY)?;
        connection.execute("VACUUM INTO ?1", [into]).map(drop)
    };
    run().map_err(|error| Trouble::of(copy, error))
}

/// The id in the first record, which a sealed segment may hold by now.
fn workspace_id(db: &Db, dir: &Path) -> Result<String, Trouble> {
    let first = chain::records(db, Seq(0), 1, None)?.into_iter().next().map(|(record, _)| record);
    let first = match first.filter(|record| record.seq == Seq(1)) {
        Some(record) => Some(record),
        None => sealed_first(db, dir)?,
    };
    match first.map(|record| record.body) {
        Some(Entry::Genesis { id, .. }) => Ok(id.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Err(db.corrupt("it has no first record")),
    }
}

fn sealed_first(db: &Db, dir: &Path) -> Result<Option<Record>, Trouble> {
    if !super::has(db, "segments")? {
        return Ok(None);
    }
    let sql = "SELECT name FROM segments ORDER BY first LIMIT 1";
    let Some(name) = db.one(sql, [], |row| row.get::<_, String>(0))? else { return Ok(None) };
    let file = dir.join("log").join(name);
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        rusqlite::Connection::open_with_flags(&file, flags).map_err(|error| Trouble::of(&file, error))?;
    let segment = Db::new(file, connection);
    Ok(chain::records(&segment, Seq(0), 1, None)?.into_iter().next().map(|(record, _)| record))
}

/// The file being written.
struct Tar<'a> {
    builder: Builder<BufWriter<File>>,
    file: &'a Path,
    at: Micros,
}

impl<'a> Tar<'a> {
    fn new(to: File, file: &'a Path, at: Micros) -> Self {
        Self { builder: Builder::new(BufWriter::new(to)), file, at }
    }

    fn header(&self, name: &str, bytes: u64) -> Result<Header, Trouble> {
        let mut header = Header::new_ustar();
        header.set_path(name).map_err(|error| refused(self.file, &error))?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.at / 1_000_000);
        header.set_size(bytes);
        header.set_cksum();
        Ok(header)
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let header = self.header(name, bytes.len() as u64)?;
        self.builder.append(&header, bytes).map_err(|error| refused(self.file, &error))
    }

    /// A member that was measured; it must be so still.
    fn file(&mut self, from: &Path, member: &Member) -> Result<(), Trouble> {
        let header = self.header(&member.name, member.bytes)?;
        let open = File::open(from).map_err(|error| refused(from, &error))?;
        let mut open = Hashing::new(open.take(member.bytes));
        self.builder.append(&header, &mut open).map_err(|error| refused(self.file, &error))?;
        if open.end() != (member.blake3, member.bytes) {
            return Err(Trouble::corrupt(from, "it changed while it was copied"));
        }
        Ok(())
    }

    fn chunk(&mut self, dir: &Path, chunk: &Hash) -> Result<(), Trouble> {
        let name = crate::chunk::name(chunk);
        let from = dir.join(&name);
        let bytes = match fs::metadata(&from) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Trouble::corrupt(&from, "it was destroyed while it was copied, or lost"));
            }
            Err(error) => return Err(refused(&from, &error)),
        };
        self.file(&from, &Member { name, bytes, blake3: *chunk })
    }

    /// The end of the archive; durable after this.
    fn end(self) -> Result<(), Trouble> {
        let Self { builder, file, .. } = self;
        let done = builder.into_inner().and_then(|mut out| {
            out.flush()?;
            out.get_ref().sync_all()
        });
        done.map_err(|error| refused(file, &error))
    }
}

/// Gives the finished file its name, which must be free still. Some file systems cannot rename so; a second
/// name for the same file refuses one that is there as well.
fn name_it(part: &Path, file: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match renameat_with(CWD, part, CWD, file, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(part, file)?;
            fs::remove_file(part)
        }
        done => Ok(done?),
    }
}
