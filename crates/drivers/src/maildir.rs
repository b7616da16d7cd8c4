//! A maildir: every message of `new/` becomes two files of the mount, and moves to `cur/` once both are
//! durable.
//!
//! `/inbox/STEM.eml` are the bytes as they came, `/inbox/STEM.md` the same decoded for a reader
//! (`maildir/decode`). A message over 64 KiB becomes one `/inbox/STEM.txt` that says so; the message itself
//! stays in `cur/`. STEM is the file's name without `.eml` and without flags, made into a valid name of the
//! tree.
//!
//! Both deliveries of a message share its file name as key, and the `.md` comes last: when that is
//! accepted, `new/X` is renamed to `cur/X:2,S`. Until then a poll offers both again.
//!
//! Never here: a message deleted or overwritten, a symbolic link followed, anything sent.

use crate::{Delivery, Mount, shown};
use abi::event::Probed;
use abi::{Code, EffectId, Error, Hash, call::Fields, limits, manifest::Manifest, path::TreePath};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

mod decode;

/// Messages of one poll; the others wait for the next.
const MESSAGES_MAX: usize = 1000;
/// Bytes of one poll, so that a full mailbox does not fill the memory.
const POLL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Names looked at in `new/`: a directory larger than this is read in parts, in no order.
const NAMES_MAX: usize = 100_000;
/// Bytes of one message; larger ones cannot be kept inline.
const MESSAGE_BYTES_MAX: usize = limits::BLOB_INLINE_BYTES_MAX as usize;
/// Bytes of a stem: a name of the tree less its ending and a digest.
const STEM_BYTES_MAX: usize = 200;
/// Names tried in `cur/` when the wanted one is taken.
const PLACES_MAX: usize = 100;
/// Bytes of a file's name in `cur/` before `.99:2,S`, so that the whole fits the 255 of a file system.
const BASE_BYTES_MAX: usize = 248;

/// The driver.
pub struct Maildir {
    directory: PathBuf,
}

/// What a file of `new/` turned out to be.
enum Found {
    Message(Vec<u8>),
    TooLarge(u64),
    /// A directory, a link, or gone meanwhile.
    Nothing,
}

impl Maildir {
    /// Opens a directory that has a `new/`.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let new = directory.join("new");
        if directory.as_os_str().is_empty() || !new.is_dir() {
            let message = format!("{:?} is not a maildir: it has no directory new", directory.display());
            return Err(Error::new(Code::NotFound, message)
                .argument("argument")
                .hint("name the directory that holds new, cur and tmp, as an absolute path"));
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// Names in `new/`, sorted. A name that is not UTF-8 is shown with replacement characters.
    fn names(&self) -> Result<Vec<(String, PathBuf)>, String> {
        let new = self.directory.join("new");
        let failed = |error: io::Error| format!("{}: {error}", new.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&new).map_err(failed)?.take(NAMES_MAX) {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                names.push((name, entry.path()));
            }
        }
        names.sort_unstable();
        names.truncate(MESSAGES_MAX);
        Ok(names)
    }

    fn settle(&self, key: &str) -> io::Result<()> {
        let new = self.directory.join("new");
        let mut from = new.join(key);
        if fs::symlink_metadata(&from).is_err() {
            // The key may be the readable form of a name that is not UTF-8.
            let mut entries = fs::read_dir(&new)?.take(NAMES_MAX).filter_map(Result::ok);
            let found = entries.find(|entry| entry.file_name().to_string_lossy() == key);
            from = found.ok_or(ErrorKind::NotFound)?.path();
        }
        let cur = self.directory.join("cur");
        fs::create_dir_all(&cur)?;
        let base = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let base = base.split(":2,").next().unwrap_or(&base);
        let base = base.get(..base.floor_char_boundary(BASE_BYTES_MAX)).unwrap_or(base);
        for place in 0..PLACES_MAX {
            let more = if place == 0 { String::new() } else { format!(".{place}") };
            let to = cur.join(format!("{base}{more}:2,S"));
            if fs::symlink_metadata(&to).is_err() {
                return fs::rename(&from, &to);
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

fn fetch(path: &Path) -> io::Result<Found> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_file() {
        return Ok(Found::Nothing);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Ok(Found::TooLarge(about.len().max(bytes.len() as u64)));
    }
    Ok(Found::Message(bytes))
}

/// A name of the tree made from a file name. One that had to be changed, or that another file of this poll
/// has taken, gets a digest of the whole name, so that two files never share it by accident.
fn stem(name: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = name.split(":2,").next().unwrap_or(name);
    let plain = plain.strip_suffix(".eml").unwrap_or(plain);
    let odd = |c: char| c.is_control() || c == '/' || c == char::REPLACEMENT_CHARACTER || decode::hides(c);
    let clean: String = plain.nfc().map(|c| if odd(c) { '_' } else { c }).collect();
    let cut = clean.floor_char_boundary(STEM_BYTES_MAX);
    // Cut and normalised once more: neither step alone leaves a name that is short and in form C for sure.
    let clean: String = clean.chars().scan(0, |bytes, c| within(bytes, c, cut)).nfc().collect();
    let changed = clean != plain.nfc().collect::<String>() || clean.is_empty();
    let stem = if changed || taken.contains(&clean) {
        let digest: String = Hash::of(name.as_bytes()).to_string().chars().take(8).collect();
        format!("{clean}-{digest}")
    } else {
        clean
    };
    taken.insert(stem.clone());
    stem
}

fn within(bytes: &mut usize, c: char, max: usize) -> Option<char> {
    *bytes += c.len_utf8();
    (*bytes <= max).then_some(c)
}

/// The deliveries of one file, the one that settles it last.
fn deliveries(key: &str, stem: &str, found: Found) -> Result<Vec<Delivery>, String> {
    let one = |ending: &str, bytes: Vec<u8>| -> Result<Delivery, String> {
        let path = TreePath::parse(&format!("/inbox/{stem}.{ending}"));
        let path = path.map_err(|error| format!("{}: {}", shown(key), error.message))?;
        Ok(Delivery { key: key.to_owned(), path, bytes })
    };
    match found {
        Found::Nothing => Ok(Vec::new()),
        Found::TooLarge(bytes) => {
            let note = format!(
                "A message of {bytes} bytes came as {}: over 64 KiB, so not delivered, but kept in cur.\n",
                shown(key)
            );
            Ok(vec![one("txt", note.into_bytes())?])
        }
        Found::Message(raw) => {
            let decoded = decode::decode(&raw);
            Ok(vec![one("eml", raw)?, one("md", decoded.into_bytes())?])
        }
    }
}

impl Mount for Maildir {
    fn manifest(&self) -> Manifest {
        Manifest::default()
    }

    fn poll(&self) -> Result<Vec<Delivery>, String> {
        let mut all = Vec::new();
        let mut taken = BTreeSet::new();
        let mut bytes = 0;
        let mut failed = None;
        for (key, path) in self.names()? {
            let stem = stem(&key, &mut taken);
            let made = match fetch(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => Err(format!("{}: {error}", path.display())),
                Ok(found) => deliveries(&key, &stem, found),
            };
            match made {
                // One file that cannot be read holds up no other.
                Err(why) => failed = failed.or(Some(why)),
                Ok(made) => {
                    bytes += made.iter().map(|delivery| delivery.bytes.len()).sum::<usize>();
                    all.extend(made);
                }
            }
            if bytes > POLL_BYTES_MAX {
                break;
            }
        }
        match failed {
            Some(why) if all.is_empty() => Err(why),
            _ => Ok(all),
        }
    }

    fn accept(&self, delivery: &Delivery) {
        // The raw bytes come first; the message is done with when the last of its files is durable. If the
        // move fails, the next poll offers the same bytes again, and the same bytes make no new version.
        if !delivery.path.as_str().ends_with(".eml") {
            let _ = self.settle(&delivery.key);
        }
    }

    fn send(&self, _: &EffectId, kind: &str, fields: &Fields) -> Result<Vec<u8>, String> {
        crate::check(&self.manifest(), kind, fields)?;
        Err(format!("a maildir has no effect {:?}", shown(kind)))
    }

    fn probe(&self, _: &EffectId, _: &str, _: &Fields) -> Probed {
        Probed::Absent
    }
}

#[cfg(test)]
mod tests;
