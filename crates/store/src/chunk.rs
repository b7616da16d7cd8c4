//! Chunk files: the one place where the bytes of large content meet the disk.
//!
//! ```text
//! blobs/ab/HEX          at most 1 MiB; HEX is the BLAKE3 of the bytes and begins with ab
//! blobs/ab/HEX.N.new    one being written
//!
//! write: HEX.N.new ─ bytes ─ fsync ─ rename to HEX ─▶ sync: blobs/ab, blobs, the workspace's directory
//!                                                     └─▶ only then the commit that names them
//! ```
//!
//! A chunk under its name is whole, is never changed and is hashed again whenever it is read. All reading and
//! writing goes through `read`, `write`, `sync`, `stands` and `remove`. Never here: which chunks there must
//! be, or who may take one away.

use crate::{
    Durable, Trouble,
    schema::{beside, refused},
};
use abi::{Hash, limits};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The directory of all of them, in the workspace's.
const DIR: &str = "blobs";

/// Where a chunk lies in the workspace's directory, and in a backup.
pub(crate) fn name(chunk: &Hash) -> String {
    let hex = chunk.to_string();
    format!("{DIR}/{}/{hex}", hex.get(..2).unwrap_or_default())
}

/// How many chunks make so many bytes.
pub(crate) fn count(bytes: u64) -> u64 {
    bytes.div_ceil(limits::CHUNK_BYTES)
}

/// Bytes of chunk `index` of a content of so many: all are full but the last.
pub(crate) fn length(index: u64, bytes: u64) -> u64 {
    bytes.saturating_sub(index.saturating_mul(limits::CHUNK_BYTES)).min(limits::CHUNK_BYTES)
}

/// The bytes of a chunk, which must be so many and those of its name.
pub(crate) fn read(dir: &Path, chunk: &Hash, bytes: u64) -> Result<Vec<u8>, Trouble> {
    let file = dir.join(name(chunk));
    if !stands(dir, chunk, bytes)? {
        let what = format!("a part of a large file, {bytes} bytes, is missing or of another length");
        return Err(Trouble::corrupt(&file, what));
    }
    let mut held = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    let open = File::open(&file).map_err(|error| refused(&file, &error))?;
    open.take(bytes.saturating_add(1)).read_to_end(&mut held).map_err(|error| refused(&file, &error))?;
    if Hash::of(&held) != *chunk {
        return Err(Trouble::corrupt(&file, "its bytes are not those that were written"));
    }
    Ok(held)
}

/// Whether a chunk lies there in full length; its bytes are not read.
pub(crate) fn stands(dir: &Path, chunk: &Hash, bytes: u64) -> Result<bool, Trouble> {
    let file = dir.join(name(chunk));
    // Looked at before it is opened: opening a pipe would wait for ever.
    match fs::symlink_metadata(&file) {
        Ok(found) => Ok(found.is_file() && found.len() == bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(refused(&file, &error)),
    }
}

/// Puts a chunk under its name, whole or not at all. `serial` is never used twice while this program runs.
pub(crate) fn write(
    dir: &Path,
    chunk: &Hash,
    bytes: &[u8],
    (serial, durable): (u64, Durable),
) -> Result<(), Trouble> {
    let file = dir.join(name(chunk));
    let parent = file.parent().unwrap_or(dir);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.map_err(|error| refused(parent, &error))?;
    let new = beside(&file, &format!(".{serial}.new"));
    let fill = || {
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(bytes)?;
        if durable == Durable::Full {
            out.sync_data()?;
        }
        drop(out);
        fs::rename(&new, &file)
    };
    fill().map_err(|error| {
        // If this fails too, the sweep finds it.
        let _ = fs::remove_file(&new);
        refused(&file, &error)
    })
}

/// Makes the names of chunks durable that begin with one of these bytes.
pub(crate) fn sync(dir: &Path, firsts: &BTreeSet<u8>, durable: Durable) -> Result<(), Trouble> {
    if durable != Durable::Full || firsts.is_empty() {
        return Ok(());
    }
    let all = dir.join(DIR);
    let each = firsts.iter().map(|first| all.join(format!("{first:02x}")));
    for one in each.chain([all.clone(), dir.to_path_buf()]) {
        File::open(&one).and_then(|open| open.sync_all()).map_err(|error| refused(&one, &error))?;
    }
    Ok(())
}

/// Takes a chunk away, if it is there.
pub(crate) fn remove(file: &Path) -> Result<(), Trouble> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(file, &error)),
        _ => Ok(()),
    }
}

/// Hands over every chunk file, finished or not, and whose it is. What has another name is not ours.
pub(crate) fn each(
    dir: &Path,
    take: &mut dyn FnMut(&Hash, &Path) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    for first in entries(&dir.join(DIR))? {
        let two = first.file_name().and_then(|name| name.to_str()).filter(|name| name.len() == 2);
        let Some(two) = two.map(str::to_owned) else { continue };
        for file in entries(&first)? {
            let owned = file.file_name().and_then(|name| name.to_str()).and_then(owner);
            if let Some(chunk) = owned.filter(|chunk| chunk.to_string().starts_with(&two)) {
                take(&chunk, &file)?;
            }
        }
    }
    Ok(())
}

/// The chunk a file's name says it holds, or will hold.
fn owner(name: &str) -> Option<Hash> {
    let (hex, rest) = name.split_once('.').unwrap_or((name, ".new"));
    let ours = rest.ends_with(".new") || rest == ".new";
    hex.parse().ok().filter(|_| ours)
}

/// Files of a directory; none if it is not there or is none.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let all = match fs::read_dir(dir) {
        Ok(all) => all,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(refused(dir, &error)),
    };
    let of = |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.path());
    all.map(of).collect::<Result<_, _>>().map_err(|error| refused(dir, &error))
}
