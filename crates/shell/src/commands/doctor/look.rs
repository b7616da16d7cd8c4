//! Plain looks at a home's files, for when no daemon answers: whether each is there, whole at first sight, of
//! a format this program knows, and can be written. Reads headers and lengths, changes nothing.
//!
//! ```text
//! SQLite's header (its file format, section 1.3):   0 magic · 16 page size · 28 pages · 60 format · 68 kind
//! ```

use super::Finding::{self, Bad, Ok as Good};
use abi::limits::{HEALTH_ROWS_MAX, NODE_FORMAT, WORKSPACE_FORMAT};
use rustix::fs::{Access, StatVfsMountFlags, access};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

const HEADER_BYTES: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Bytes of the header of a write-ahead log, and of that of each of its frames.
const LOG_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// What a file must be.
struct Kind {
    mark: [u8; 4],
    format: u32,
}

const NODE: Kind = Kind { mark: *b"SkNd", format: NODE_FORMAT };
const WORKSPACE: Kind = Kind { mark: *b"SkWs", format: WORKSPACE_FORMAT };

/// Everything that is seen in a home without a daemon.
pub fn files(home: &Path) -> Vec<(&'static str, Finding)> {
    let node = home.join("node.db");
    if !home.is_dir() || !node.exists() && !home.join("workspaces").exists() {
        return Vec::new();
    }
    let mut found = vec![("files", writable(home))];
    found.push(("node", one(&node, &NODE)));
    let names = fs::read_dir(home.join("workspaces")).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = names.map(|entry| entry.path()).take(HEALTH_ROWS_MAX).collect();
    dirs.sort();
    found.extend(dirs.iter().map(|dir| ("workspace", one(&dir.join("workspace.db"), &WORKSPACE))));
    found
}

fn writable(home: &Path) -> Finding {
    let shown = home.display();
    let read_only =
        rustix::fs::statvfs(home).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY));
    if read_only {
        return Bad(
            format!("the disk of {shown} is mounted read-only"),
            "the system's log says why; mount it for writing again".into(),
        );
    }
    match access(home, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Good("headers and lengths only; a running daemon looks deeper".into()),
        Err(error) => Bad(format!("{shown} cannot be written: {error}"), format!("chmod 700 {shown}")),
    }
}

fn one(file: &Path, kind: &Kind) -> Finding {
    let shown = file.display().to_string();
    let backup = "set it aside and restore a backup; what is in it is not trusted";
    let mut header = [0; HEADER_BYTES];
    let opened = File::open(file).and_then(|mut open| {
        open.read_exact(&mut header)?;
        open.metadata()
    });
    let bytes = match opened {
        Ok(meta) => meta.len(),
        Err(error) => return unread(&shown, &error),
    };
    if !header.starts_with(MAGIC) || header.get(68..72) != Some(&kind.mark) {
        return Bad(format!("{shown} is not a file of this program, or damaged"), backup.into());
    }
    let format = number(&header, 60);
    if format > kind.format {
        return Bad(
            format!("{shown} has format {format}, this program knows {}", kind.format),
            "run the newer program that wrote it; it is left as it is".into(),
        );
    }
    if let Err(error) = access(file, Access::WRITE_OK) {
        return Bad(format!("{shown} cannot be written: {error}"), format!("chmod 600 {shown}"));
    }
    let page =
        match header.get(16..18).map_or(0, |two| two.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        {
            1 => 65_536,
            page => page,
        };
    let log = fs::metadata(format!("{shown}-wal")).map_or(0, |meta| meta.len());
    // With frames in the log the file may lag behind its header.
    if log == 0 && bytes < page * u64::from(number(&header, 28)) {
        return Bad(format!("{shown} ends in the middle"), backup.into());
    }
    if log > LOG_HEADER_BYTES && !(log - LOG_HEADER_BYTES).is_multiple_of(page + FRAME_HEADER_BYTES) {
        return Bad(
            format!("{shown}-wal is torn: it ends in the middle of a page"),
            "after a power cut nothing that was acknowledged is lost, and the next start heals it; if it was \
             cut by hand, restore a backup"
                .into(),
        );
    }
    Good(format!("{shown}, format {format}"))
}

fn unread(shown: &str, error: &std::io::Error) -> Finding {
    let hint = match error.kind() {
        ErrorKind::NotFound => "it is gone; put it back, or restore a backup: it is never made anew",
        ErrorKind::UnexpectedEof => "it is cut off; restore a backup",
        _ => "make it readable for this user, or check the disk",
    };
    Bad(format!("{shown}: {error}"), hint.into())
}

/// A number of four bytes, the highest first.
fn number(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    header.iter().skip(at).take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a workspace with so many pages of 4,096 bytes, changed by hand.
    fn header(change: fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = vec![0; 2 * 4096];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..18].copy_from_slice(&4096_u16.to_be_bytes());
        bytes[28..32].copy_from_slice(&2_u32.to_be_bytes());
        bytes[60..64].copy_from_slice(&1_u32.to_be_bytes());
        bytes[68..72].copy_from_slice(b"SkWs");
        change(&mut bytes);
        bytes
    }

    #[test]
    fn each_damage_has_its_words() {
        let home = tempfile::TempDir::new().unwrap();
        let file = home.path().join("workspace.db");
        type Row = (fn(&mut Vec<u8>), usize, &'static str);
        let rows: [Row; 8] = [
            (|_| {}, 0, "ok"),
            (|_| {}, 32 + 4096 + 24, "ok"),
            (|_| {}, 32 + 4096, "is torn"),
            (|bytes| bytes.truncate(4096), 0, "ends in the middle"),
            (|bytes| bytes.truncate(50), 0, "cut off"),
            (|bytes| bytes[60..64].fill(9), 0, "has format 151587081"),
            (|bytes| bytes[68] = b'X', 0, "not a file of this program"),
            (|bytes| bytes[0] = b'X', 0, "not a file of this program"),
        ];
        for (change, log, words) in rows {
            fs::write(&file, header(change)).unwrap();
            fs::write(home.path().join("workspace.db-wal"), vec![0; log]).unwrap();
            let said = match one(&file, &WORKSPACE) {
                Good(_) => "ok".to_owned(),
                super::Finding::Lacks(text, hint) | Bad(text, hint) => format!("{text} · {hint}"),
            };
            assert!(said.contains(words), "{words}: {said}");
        }
        fs::remove_file(&file).unwrap();
        assert!(matches!(one(&file, &WORKSPACE), Bad(_, hint) if hint.contains("never made anew")));
    }
}
