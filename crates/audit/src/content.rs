//! Contents: bytes that lie under their hash give that hash.
//!
//! ```text
//! blobs   hash ▸ bytes             at most 64 KiB, in the database
//! large   hash ▸ bytes chunks      chunks: 32 bytes each, in order; the file blobs/ab/HEX has the bytes of
//!                                  chunk HEX, which begins with ab; together they give hash
//! gone    hash ▸ seq               destroyed on purpose, by that record
//! ```
//!
//! Contents that no record names do no harm and are not told.

use crate::{
    bound::CHUNK_BYTES_MAX,
    digest::{Digest, to_hex},
    report::Report,
    source::{self, Source},
};
use std::{collections::BTreeSet, fs, io::Read, path::Path};

const CHANGED: &str = "these bytes were changed on the disk: bring them back from a backup";

/// Reads all of them.
pub fn check(source: &Source, destroyers: &BTreeSet<u64>, report: &mut Report) {
    let sql = "SELECT id, hash, bytes FROM blobs ORDER BY id";
    source.rise(sql, "blobs", report, |report, id, row| {
        report.blobs = report.blobs.saturating_add(1);
        let (Some(hash), Some(bytes)) = (source::digest(row, 1), source::bytes(row, 2)) else {
            return report.find(None, format!("blob {id} is none"), CHANGED);
        };
        if *blake3::hash(bytes).as_bytes() != hash {
            report.find(
                None,
                format!("the bytes of blob {} are not those of its name", to_hex(&hash)),
                CHANGED,
            );
        }
    });
    if source.has("large") {
        let sql = "SELECT rowid, hash, bytes, chunks FROM large ORDER BY rowid";
        source.rise(sql, "large", report, |report, id, row| {
            report.large = report.large.saturating_add(1);
            let (hash, bytes) = (source::digest(row, 1), source::number(row, 2));
            let (Some(hash), Some(bytes), Some(chunks)) = (hash, bytes, source::bytes(row, 3)) else {
                return report.find(None, format!("row {id} of large is none"), CHANGED);
            };
            if let Err(what) = large(&source.dir, &hash, bytes, chunks) {
                report.find(None, format!("the content {}: {what}", to_hex(&hash)), CHANGED);
            }
        });
    }
    if source.has("gone") {
        source.rise("SELECT rowid, seq FROM gone ORDER BY rowid", "gone", report, |report, id, row| {
            report.gone = report.gone.saturating_add(1);
            if !source::number(row, 1).is_some_and(|seq| destroyers.contains(&seq)) {
                let what = format!("row {id} of gone names a record that destroyed nothing");
                report.find(
                    None,
                    what,
                    "nothing was destroyed on purpose there: bring it back from a backup",
                );
            }
        });
    }
}

/// One content in chunk files.
fn large(dir: &Path, hash: &Digest, bytes: u64, chunks: &[u8]) -> Result<(), String> {
    let (chunks, rest) = chunks.as_chunks::<32>();
    if !rest.is_empty() {
        return Err("its list of chunks is none".to_owned());
    }
    let (mut whole, mut length) = (blake3::Hasher::new(), 0_u64);
    for chunk in chunks {
        let name = to_hex(chunk);
        let file = dir.join("blobs").join(name.get(..2).unwrap_or_default()).join(&name);
        let read = read(&file).map_err(|what| format!("its chunk {name}: {what}"))?;
        if blake3::hash(&read).as_bytes() != chunk {
            return Err(format!("the bytes of its chunk {name} are not those of its name"));
        }
        whole.update(&read);
        length = length.saturating_add(read.len() as u64);
    }
    if whole.finalize().as_bytes() != hash || length != bytes {
        return Err("its chunks together are not it".to_owned());
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| error.to_string();
    // Before it is opened: opening a pipe would wait for ever.
    if !fs::symlink_metadata(file).map_err(said)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    fs::File::open(file).map_err(said)?.take(CHUNK_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > CHUNK_BYTES_MAX { Err("it is too long".to_owned()) } else { Ok(bytes) }
}

/// Snapshots are whole or not; that they follow from the log only the kernel could say.
pub fn snapshots(source: &Source, report: &mut Report) {
    let sql = "SELECT seq, hash, bytes FROM snapshots ORDER BY seq";
    let head = report.head.0;
    source.rise(sql, "snapshots", report, |report, seq, row| {
        report.snapshots = report.snapshots.saturating_add(1);
        let whole = match (source::digest(row, 1), source::bytes(row, 2)) {
            (Some(hash), Some(bytes)) => *blake3::hash(bytes).as_bytes() == hash,
            _ => false,
        };
        if !whole || seq.cast_unsigned() > head {
            let what = "the snapshot after it is not whole, or of a log that went on".to_owned();
            report.find(Some(seq.cast_unsigned()), what, "delete the row: the log is replayed instead");
        }
    });
}
