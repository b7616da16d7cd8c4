//! Git's objects as loose files (gitformat-loose(5)), and which names git takes.
//!
//! ```text
//! objects/ab/cdef…   zlib of "KIND SIZE\0" and the bytes; the name is the SHA-1 of the same
//! ```
//!
//! Our own code and not a library's: gix-object and gix-odb bring 69 crates for these two lines.

use flate2::{Compression, write::ZlibEncoder};
use sha1::{Digest, Sha1};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

/// The name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oid(pub [u8; 20]);

impl std::fmt::Display for Oid {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// The directory of the objects.
#[derive(Debug)]
pub struct Objects {
    dir: PathBuf,
}

/// An object whose bytes are still coming.
pub struct Coming {
    to: ZlibEncoder<BufWriter<File>>,
    hasher: Sha1,
    left: u64,
    file: PathBuf,
}

impl Objects {
    /// In this directory, which is there.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Keeps a whole object.
    pub fn put(&self, kind: &str, bytes: &[u8]) -> io::Result<Oid> {
        let mut coming = self.begin(kind, bytes.len() as u64)?;
        coming.take(bytes)?;
        self.keep(coming)
    }

    /// Begins an object of so many bytes.
    pub fn begin(&self, kind: &str, bytes: u64) -> io::Result<Coming> {
        let file = self.dir.join("coming");
        let to = ZlibEncoder::new(BufWriter::new(File::create(&file)?), Compression::fast());
        let mut coming = Coming { to, hasher: Sha1::new(), left: bytes, file };
        let head = format!("{kind} {bytes}\0");
        coming.left += head.len() as u64;
        coming.take(head.as_bytes())?;
        Ok(coming)
    }

    /// All bytes have come.
    pub fn keep(&self, coming: Coming) -> io::Result<Oid> {
        let Coming { to, hasher, left, file } = coming;
        if left != 0 {
            return Err(io::Error::other("an object has another length than was said"));
        }
        to.finish()?.flush()?;
        let oid = Oid(hasher.finalize().into());
        let name = oid.to_string();
        let (dir, rest) = name.split_at(2);
        let dir = self.dir.join(dir);
        if !dir.is_dir() {
            fs::create_dir(&dir)?;
        }
        fs::rename(file, dir.join(rest))?;
        Ok(oid)
    }
}

impl Coming {
    /// The next bytes.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::other("an object is longer than was said"))?;
        self.hasher.update(bytes);
        self.to.write_all(bytes)
    }
}

/// Bytes up to which a `.gitattributes` has no line that `git fsck` finds too long.
const ATTRIBUTES_BYTES_MAX: u64 = 2048;

/// Whether `git fsck --strict` takes a file of this name and size. It refuses what some file system could
/// take for `.git`: names that differ by case, by invisible characters (HFS+), by trailing dots and spaces,
/// by a stream or a short name (NTFS). What it would read as its own configuration is refused here as well.
pub fn is_name(name: &str, bytes: u64) -> bool {
    let visible: String = name.chars().filter(|c| !is_ignored(*c)).collect();
    let lower = visible.to_lowercase();
    let odd = lower.split('\\').any(|part| {
        let part = part.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
        part == ".git" || part == "git~1" || part == ".gitmodules" || part.starts_with("gitmod~")
    });
    let short = |prefix: &str| lower.split('\\').any(|part| part.starts_with(prefix));
    let attributes = lower.starts_with(".gitattributes") && bytes > ATTRIBUTES_BYTES_MAX;
    !(odd || short("gi7eba") || attributes)
}

/// Characters that HFS+ passes over in names.
fn is_ignored(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_takes() {
        let rows = [
            ("a.md", true),
            (".gitignore", true),
            ("git", true),
            (".github", true),
            ("x.git", true),
            (".git", false),
            (".GIT", false),
            (".git. .", false),
            (".g\u{200c}it", false),
            ("git~1", false),
            (".git::$INDEX_ALLOCATION", false),
            ("a\\.git", false),
            (".gitmodules", false),
            ("GITMOD~1", false),
            ("gi7eba~1", false),
        ];
        for (name, takes) in rows {
            assert_eq!(is_name(name, 10), takes, "{name:?}");
        }
        assert!(is_name(".gitattributes", 2048) && !is_name(".gitattributes", 2049));
    }

    #[test]
    fn objects_have_the_names_that_git_gives_them() {
        let dir = tempfile::TempDir::new().unwrap();
        let objects = Objects::new(dir.path().to_path_buf());
        // `git hash-object` and `git mktree </dev/null` say so.
        let rows = [
            ("blob", b"".as_slice(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            ("blob", b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
            ("tree", b"", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
        ];
        for (kind, bytes, name) in rows {
            assert_eq!(objects.put(kind, bytes).unwrap().to_string(), name);
            assert!(dir.path().join(&name[..2]).join(&name[2..]).exists());
        }
        let mut short = objects.begin("blob", 3).unwrap();
        short.take(b"ab").unwrap();
        assert!(short.take(b"cd").is_err());
    }
}
