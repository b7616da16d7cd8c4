//! An integration by its manifest only: everything about it can be tried, and nothing leaves.
//!
//! ```text
//! DIR/manifest.json        what it declares, the JSON of `abi::manifest::Manifest`; must pass its lint
//! DIR/items/…              delivered as they are, at the same path below the mount; again when they change
//! DIR/answers/KIND.txt     what the other side answers to an effect of that kind; nothing if there is none
//! DIR/sent/<16 digits>.json   written here: what would have been sent, named by the effect
//! ```
//! The smallest manifest that can do something:
//!
//! ```json
//! {"kinds": [{"name": "door.open", "class": "external-irreversible", "recovery": "probe",
//!             "steering": ["door"], "payload": []}]}
//! ```
//! With it a policy and a manifest are tried before anything real is connected.
//!
//! Never here: a connection, a symbolic link followed, a file of the operator's changed.

use crate::{Delivery, Mount, check, shown};
use abi::event::Probed;
use abi::{Code, Content, EffectId, Error, Hash, call::Fields, limits, manifest::Manifest, path::TreePath};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Bytes of a manifest: 256 kinds with all they declare.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// Files that are delivered, and names looked at in `items/`.
const ITEMS_MAX: usize = 1024;
/// Bytes of one poll, so that a full directory does not fill the memory.
const POLL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Length and time of change: a file that has neither of them new is not read again.
type Stamp = (u64, Option<SystemTime>);

/// The driver.
pub struct Rehearse {
    directory: PathBuf,
    manifest: Manifest,
    /// What was offered last of each item, and whether the tree has it.
    offered: Mutex<BTreeMap<TreePath, (Stamp, Hash, bool)>>,
}

impl Rehearse {
    /// Opens the directory; its manifest is read once, as the mount is pinned to it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("manifest.json");
        let wrong = |code: Code, what: String| {
            let message = format!("{}: {what}", path.display());
            Error::new(code, message).argument("argument").hint("the argument is a host directory with it")
        };
        let bytes = within(&path, MANIFEST_BYTES_MAX).map_err(|error| match error.kind() {
            ErrorKind::NotFound => wrong(Code::NotFound, error.to_string()),
            _ => wrong(Code::Unavailable, error.to_string()),
        })?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| wrong(Code::Invalid, error.to_string()))?;
        manifest.lint()?;
        for part in ["items", "sent"] {
            fs::create_dir_all(directory.join(part))
                .map_err(|error| wrong(Code::Unavailable, format!("{part} cannot be made: {error}")))?;
        }
        Ok(Self { directory: directory.to_owned(), manifest, offered: Mutex::default() })
    }

    /// A thread that panicked while it held the lock left the map whole: each change of it is one insert.
    fn offered(&self) -> std::sync::MutexGuard<'_, BTreeMap<TreePath, (Stamp, Hash, bool)>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of `items/`, in their order.
    fn items(&self) -> Result<Vec<(TreePath, PathBuf)>, String> {
        let mut found = Vec::new();
        let mut seen = 0;
        let mut waiting = vec![(TreePath::root(), self.directory.join("items"))];
        while let Some((below, directory)) = waiting.pop() {
            let failed = |error: io::Error| format!("{}: {error}", directory.display());
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                seen += 1;
                if seen > ITEMS_MAX {
                    return Err(format!("items holds more than {ITEMS_MAX} names"));
                }
                // A name that is none in the tree is passed over, and so is what is no plain file.
                let name = entry.file_name();
                let Some(path) = name.to_str().and_then(|name| below.join(name).ok()) else { continue };
                match entry.file_type().map_err(failed)? {
                    kind if kind.is_dir() => waiting.push((path, entry.path())),
                    kind if kind.is_file() => found.push((path, entry.path())),
                    _ => {}
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn file(&self, effect: &EffectId) -> PathBuf {
        let digits: String = effect.to_string().chars().take(16).collect();
        self.directory.join("sent").join(format!("{digits}.json"))
    }

    /// Whether the effect's file stands; an error if the name is taken by something else.
    fn stands(&self, effect: &EffectId) -> Result<bool, String> {
        let path = self.file(effect);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let bytes = match within(&path, 4 * limits::ARGUMENT_BYTES_MAX + MANIFEST_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            read => read.map_err(failed)?,
        };
        let row: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if row["effect"] == effect.to_string() {
            return Ok(true);
        }
        Err(format!("{} stands already and is another effect", path.display()))
    }

    /// Written beside and renamed, so that no half of it ever bears the name.
    fn put(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Result<(), String> {
        let path = self.file(effect);
        let beside = path.with_extension("tmp");
        let text = json!({ "effect": effect.to_string(), "kind": kind, "args": fields });
        let written = || -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(format!("{text:#}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            // The rename itself is durable only with the directory.
            File::open(self.directory.join("sent"))?.sync_all()
        };
        written().map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// The bytes of a plain file, refused when there are more.
fn within(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("larger than {max} bytes")));
    }
    Ok(bytes)
}

impl Mount for Rehearse {
    fn manifest(&self) -> Manifest {
        self.manifest.clone()
    }

    fn poll(&self) -> Result<Vec<Delivery>, String> {
        let mut all = Vec::new();
        let mut total = 0;
        for (path, place) in self.items()? {
            let Ok(about) = fs::symlink_metadata(&place) else { continue };
            let stamp = (about.len(), about.modified().ok());
            let known = self.offered().get(&path).is_some_and(|(was, _, has)| *has && *was == stamp);
            if known || total > POLL_BYTES_MAX {
                continue;
            }
            let mut bytes = Vec::new();
            // One byte more than the machine takes, so that it says of a larger one that it stays outside.
            let read = File::open(&place)
                .and_then(|file| file.take(limits::BLOB_INLINE_BYTES_MAX + 1).read_to_end(&mut bytes));
            if let Err(error) = read {
                return Err(format!("{}: {error}", place.display()));
            }
            total += bytes.len();
            self.offered().insert(path.clone(), (stamp, Hash::of(&bytes), false));
            all.push(Delivery { key: path.name().to_owned(), path, bytes });
        }
        Ok(all)
    }

    fn accept(&self, delivery: &Delivery) {
        if let Some((_, hash, has)) = self.offered().get_mut(&delivery.path) {
            // It may have changed since: only what was accepted is there.
            *has = *hash == Hash::of(&delivery.bytes);
        }
    }

    fn send(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Result<Vec<u8>, String> {
        check(&self.manifest, kind, fields)?;
        // An open mount takes any kind, and not every word is the name of a file.
        let name = abi::wire::word("kind", kind).map_err(|error| error.message)?;
        if !self.stands(effect)? {
            self.put(effect, kind, fields)?;
        }
        let path = self.directory.join("answers").join(format!("{name}.txt"));
        match within(&path, limits::BLOB_INLINE_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(|error| format!("{}: {error}", shown(&path.display().to_string()))),
        }
    }

    fn probe(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Probed {
        if check(&self.manifest, kind, fields).is_err() {
            return Probed::Absent;
        }
        match self.stands(effect) {
            Ok(true) => Probed::Happened(Content::of(b"")),
            Ok(false) => Probed::Absent,
            Err(_) => Probed::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
