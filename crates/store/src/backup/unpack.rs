//! Reading a backup back, in a directory of its own. The file may be anybody's: it is believed step by step.
//!
//! ```text
//! each member   regular, of the one name that can come next, no longer than said, its bytes giving its hash
//! all of them   workspace.db of a known format, without triggers or views, sound, its chain proved to `head`
//!               every chunk it names there
//! ```
//!
//! A name in the tar is never used as a path: it is compared with the name that must stand there, which is
//! made here. So nothing can climb out of the directory, come twice, or be a link. Whoever calls removes the
//! directory when this fails.

use super::{COPY, FORMAT, Hashing, MANIFEST, MANIFEST_BYTES_MAX, Manifest, Member};
use crate::{Options, Trouble, Workspace, schema::refused};
use abi::{Hash, Seq};
use rustix::fs::OFlags;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};
use tar::{Archive, Entries, Entry, EntryType};

/// Bytes after the last member: two blocks of zeros, and what other programs round up to.
const END_BYTES_MAX: u64 = 64 * 1024;

type Source = BufReader<File>;

/// Unpacks a backup into a directory that is there and empty, and proves it. Durable when this returns.
pub fn unpack(file: &Path, into: &Path) -> Result<Manifest, Trouble> {
    let mut archive = Archive::new(BufReader::new(open(file)?));
    let members = archive.entries().map_err(|error| refused(file, &error))?;
    let mut reading = Reading { file, into, members: members.raw(true) };
    let manifest = reading.manifest()?;
    for member in &manifest.members {
        let mut entry = reading.next(&member.name)?;
        if keep(file, &mut entry, into, member.bytes, &member.name)? != member.blake3 {
            return Err(Trouble::corrupt(file, format!("{} is not what was backed up", member.name)));
        }
    }
    reading.chunks(manifest.chunks)?;
    ends(file, archive)?;
    prove(&manifest, into).map_err(|trouble| match trouble {
        // The copy lies where nobody can look: it is the backup that is damaged.
        Trouble::Corrupt { what, .. } => Trouble::corrupt(file, format!("{COPY} in it is damaged: {what}")),
        other => other,
    })?;
    settle(into).map_err(|error| refused(into, &error))?;
    Ok(manifest)
}

/// The names of what was unpacked are durable; the bytes are already.
fn settle(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            settle(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

/// A pipe or a device would keep us waiting for ever.
fn open(file: &Path) -> Result<File, Trouble> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let of = |error: io::Error| refused(file, &error);
    let open = OpenOptions::new().read(true).custom_flags(flags).open(file).map_err(of)?;
    if !open.metadata().map_err(of)?.is_file() {
        return Err(Trouble::corrupt(file, "it is not a file"));
    }
    Ok(open)
}

/// The tar, member by member.
struct Reading<'a> {
    file: &'a Path,
    into: &'a Path,
    members: Entries<'a, Source>,
}

impl<'a> Reading<'a> {
    fn corrupt(&self, what: impl Into<String>) -> Trouble {
        Trouble::corrupt(self.file, what)
    }

    /// The next member and the name it has, if there is one.
    fn any(&mut self) -> Result<Option<(String, Entry<'a, Source>)>, Trouble> {
        let Some(entry) = self.members.next() else { return Ok(None) };
        let entry = entry.map_err(|error| self.corrupt(format!("it cannot be read as a tar: {error}")))?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(self.corrupt("it holds something that is not a file"));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        Ok(Some((name, entry)))
    }

    fn next(&mut self, want: &str) -> Result<Entry<'a, Source>, Trouble> {
        match self.any()? {
            Some((name, entry)) if name == want => Ok(entry),
            Some((name, _)) => {
                let name: String = name.chars().take(100).collect();
                Err(self.corrupt(format!("{name:?} stands where {want} should")))
            }
            None => Err(self.corrupt(format!("it ends before {want}"))),
        }
    }

    fn manifest(&mut self) -> Result<Manifest, Trouble> {
        let entry = self.next(MANIFEST)?;
        if entry.size() > MANIFEST_BYTES_MAX {
            return Err(self.corrupt(format!("{MANIFEST} is too long")));
        }
        let mut text = Vec::new();
        entry.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).map_err(|error| refused(self.file, &error))?;
        // The format first: a later one may have another shape.
        let value: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|error| self.corrupt(format!("{MANIFEST} cannot be read: {error}")))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        match u32::try_from(format).unwrap_or(u32::MAX) {
            FORMAT => {}
            0 => return Err(self.corrupt(format!("{MANIFEST} has no format"))),
            found => return Err(Trouble::Newer { file: self.file.to_path_buf(), found, known: FORMAT }),
        }
        let manifest: Manifest = serde_json::from_value(value)
            .map_err(|error| self.corrupt(format!("{MANIFEST} cannot be read: {error}")))?;
        self.check(&manifest.members)?;
        Ok(manifest)
    }

    /// The copy, and segments by name, each once.
    fn check(&self, members: &[Member]) -> Result<(), Trouble> {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let (Some(first), Some(rest)) = (names.first(), names.get(1..)) else {
            return Err(self.corrupt("it has no members"));
        };
        let segment = |name: &&str| name.strip_prefix("log/").is_some_and(super::is_segment);
        let odd = rest.iter().find(|name| !segment(name)).or(Some(first).filter(|name| **name != COPY));
        if odd.is_some() || !rest.is_sorted_by(|a, b| a < b) {
            return Err(self.corrupt("its list of members is not one of a backup"));
        }
        Ok(())
    }

    /// The chunks: each named by its hash, in order, so none comes twice.
    fn chunks(&mut self, count: u64) -> Result<(), Trouble> {
        let mut last = None;
        for _ in 0..count {
            let Some((name, mut entry)) = self.any()? else {
                return Err(self.corrupt("it ends before its last chunk"));
            };
            let hash: Option<Hash> = name.rsplit('/').next().and_then(|hex| hex.parse().ok());
            let Some(hash) = hash.filter(|hash| crate::chunk::name(hash) == name) else {
                let name: String = name.chars().take(100).collect();
                return Err(self.corrupt(format!("{name:?} stands where a chunk should")));
            };
            if last >= Some(hash) {
                return Err(self.corrupt("its chunks are not in order"));
            }
            last = Some(hash);
            let bytes = entry.size();
            if keep(self.file, &mut entry, self.into, bytes, &name)? != hash {
                return Err(self.corrupt(format!("chunk {hash} is not what was backed up")));
            }
        }
        match self.any()? {
            Some(_) => Err(self.corrupt("it holds more than it says")),
            None => Ok(()),
        }
    }
}

/// Writes a member to its place below the directory and says the hash of what came.
fn keep(tar: &Path, from: &mut impl Read, into: &Path, bytes: u64, name: &str) -> Result<Hash, Trouble> {
    let to = into.join(name);
    if let Some(dir) = to.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| refused(dir, &error))?;
    }
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to);
    let mut new = new.map_err(|error| refused(&to, &error))?;
    let mut from = Hashing::new(from.take(bytes));
    io::copy(&mut from, &mut new).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => refused(&to, &error),
        _ => Trouble::corrupt(tar, format!("{name} cannot be read: {error}")),
    })?;
    let (hash, had) = from.end();
    if had != bytes {
        return Err(Trouble::corrupt(tar, format!("{name} is cut off")));
    }
    new.sync_data().map_err(|error| refused(&to, &error))?;
    Ok(hash)
}

/// After the last member there is nothing but zeros, and the two blocks of the end are whole.
fn ends(file: &Path, archive: Archive<Source>) -> Result<(), Trouble> {
    let mut rest = Vec::new();
    let mut source = archive.into_inner().take(END_BYTES_MAX + 1);
    source.read_to_end(&mut rest).map_err(|error| refused(file, &error))?;
    let length = fs::metadata(file).map_err(|error| refused(file, &error))?.len();
    let odd = rest.len() as u64 > END_BYTES_MAX || rest.iter().any(|byte| *byte != 0);
    if odd || !length.is_multiple_of(512) {
        return Err(Trouble::corrupt(file, "it does not end where it should"));
    }
    Ok(())
}

/// What was unpacked is a sound workspace, and the one that the manifest tells of.
fn prove(manifest: &Manifest, into: &Path) -> Result<(), Trouble> {
    let copy = into.join(COPY);
    {
        let db = super::open_copy(&copy)?;
        sound(&db)?;
        for chunk in super::chunks(&db)? {
            let name = crate::chunk::name(&chunk);
            if fs::symlink_metadata(into.join(&name)).is_err() {
                return Err(db.corrupt(format!("chunk {chunk} is missing")));
            }
        }
        let named: Vec<String> = super::segments(&db)?.iter().map(|name| format!("log/{name}")).collect();
        if !named.iter().eq(manifest.members.iter().skip(1).map(|member| &member.name)) {
            return Err(db.corrupt("its sealed segments are not those of the backup"));
        }
    }
    let workspace = Workspace::open(into, &Options::default())?;
    if workspace.head() != (manifest.seq, manifest.head) {
        return Err(Trouble::corrupt(&copy, "its log does not end where the backup says"));
    }
    workspace.replay(Seq(0), &mut |_| {}).map(drop)
}

/// Every page sound; that nothing in it runs by itself was checked when it was opened (`shape`).
fn sound(db: &crate::schema::Db) -> Result<(), Trouble> {
    let found: Option<String> = db.one("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    match found.as_deref() {
        Some("ok") => Ok(()),
        found => Err(db.corrupt(found.unwrap_or("it cannot be checked"))),
    }
}
