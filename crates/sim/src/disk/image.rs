//! What a power cut may leave, computed from a tape.
//!
//! ```text
//! op ──▶ Disk: each file = what is on the disk + writes not synced since; names not synced
//!                 Lost    none of the writes not synced, no name not synced
//!                 Kept    all of them (the process died, the machine did not)
//!                 Torn n  all of them, but of the last only the first n bytes
//!                 Some s  any subset, each whole or a part of its sectors, drawn from a seed
//! ```
//!
//! What is assumed of the disk is fsync's contract and no more: synced bytes stay, a write changes nothing
//! outside its range, and the first sync of a new log or journal syncs its directory, which is what SQLite
//! does there. Never here: a disk that lies about a sync; the `-shm` file, which no power cut leaves valid
//! and which SQLite makes anew.

use super::tape::{Name, Op};
use crate::chance::Chance;
use std::collections::BTreeMap;

/// Bytes that a disk writes whole.
pub const SECTOR: usize = 512;

/// What happens to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It is lost.
    Lost,
    /// It is there.
    Kept,
    /// It is there, but of the last write only so many bytes.
    Torn(usize),
    /// Some of it is there.
    Some(u64),
}

/// Files by name.
pub type Image = BTreeMap<Name, Vec<u8>>;

/// A disk as a tape goes over it.
#[derive(Clone, Default)]
pub struct Disk {
    files: BTreeMap<Name, File>,
    /// Names that were taken away, but the directory not synced.
    gone: BTreeMap<Name, File>,
}

#[derive(Clone, Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Edit>,
    /// Whether its name is on the disk.
    named: bool,
}

#[derive(Clone)]
enum Edit {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Disk {
    /// One more operation.
    pub fn take(&mut self, op: &Op) {
        match op {
            Op::Made { file } => _ = self.files.insert(file.clone(), File::default()),
            Op::Write { file, offset, bytes } => {
                self.edit(file, Edit::Write(usize::try_from(*offset).unwrap_or(usize::MAX), bytes.clone()));
            }
            Op::Cut { file, size } => {
                self.edit(file, Edit::Cut(usize::try_from(*size).unwrap_or(usize::MAX)))
            }
            Op::Synced { file } => self.synced(file),
            Op::Gone { file, synced } => {
                let old = self.files.remove(file).filter(|old| old.named);
                self.gone.extend(old.map(|old| (file.clone(), old)));
                if *synced {
                    self.directory();
                }
            }
            Op::Renamed { from, to } => {
                let file = self.files.remove(from);
                self.files.extend(file.map(|file| (to.clone(), file)));
                self.directory();
            }
            Op::Began(_) | Op::Stands(_) => {}
        }
    }

    fn edit(&mut self, name: &Name, edit: Edit) {
        self.files.entry(name.clone()).or_default().since.push(edit);
    }

    fn synced(&mut self, name: &Name) {
        let Some(file) = self.files.get_mut(name) else { return };
        for edit in std::mem::take(&mut file.since) {
            edit.apply(&mut file.synced);
        }
        let new_log = !file.named && (name.ends_with("-wal") || name.ends_with("-journal"));
        if new_log {
            self.directory();
        }
    }

    /// The directory is synced: names are what they are.
    fn directory(&mut self) {
        self.files.values_mut().for_each(|file| file.named = true);
        self.gone.clear();
    }

    /// The files after a power cut.
    pub fn image(&self, cut: Cut) -> Image {
        let mut chance = match cut {
            Cut::Some(seed) => Chance::of(seed, b"power cut"),
            Cut::Lost | Cut::Kept | Cut::Torn(_) => Chance::of(0, b""),
        };
        let mut image = Image::new();
        for (name, file) in &self.gone {
            let back = match cut {
                Cut::Lost => true,
                Cut::Kept | Cut::Torn(_) => false,
                Cut::Some(_) => chance.one_in(2),
            };
            if back {
                image.insert(name.clone(), file.after(cut, &mut chance));
            }
        }
        for (name, file) in &self.files {
            let there = match cut {
                Cut::Lost => file.named,
                Cut::Kept | Cut::Torn(_) => true,
                Cut::Some(_) => file.named || chance.one_in(2),
            };
            if there {
                image.insert(name.clone(), file.after(cut, &mut chance));
            }
        }
        image
    }

    /// The same, when the last thing that happened is a write to `torn` of which `bytes` reached the disk.
    pub fn torn(&self, torn: &Name, bytes: usize) -> Image {
        let mut disk = self.clone();
        let last = disk.files.get_mut(torn).and_then(|file| file.since.last_mut());
        if let Some(Edit::Write(_, written)) = last {
            written.truncate(bytes);
        }
        disk.image(Cut::Torn(bytes))
    }
}

impl File {
    fn after(&self, cut: Cut, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        match cut {
            Cut::Lost => {}
            Cut::Kept | Cut::Torn(_) => self.since.iter().for_each(|edit| edit.clone().apply(&mut bytes)),
            Cut::Some(_) => self.since.iter().for_each(|edit| edit.in_part(&mut bytes, chance)),
        }
        bytes
    }
}

impl Edit {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new) => put(bytes, offset, &new),
            Self::Cut(size) => bytes.resize(size, 0),
        }
    }

    /// Not at all, whole, or some of its sectors.
    fn in_part(&self, bytes: &mut Vec<u8>, chance: &mut Chance) {
        match (self, chance.below(6)) {
            (_, 0..=2) => {}
            (Self::Write(offset, new), 3) => {
                for (number, part) in new.chunks(SECTOR).enumerate() {
                    if chance.one_in(2) {
                        put(bytes, offset + number * SECTOR, part);
                    }
                }
            }
            (edit, _) => edit.clone().apply(bytes),
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    let end = offset + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_the_rest_is_up_to_the_cut() {
        let name = |text: &str| Name::from(text);
        let mut disk = Disk::default();
        let write = |offset, bytes: &[u8]| Op::Write { file: name("a-wal"), offset, bytes: bytes.to_vec() };
        disk.take(&Op::Made { file: name("a-wal") });
        disk.take(&write(0, b"one"));
        assert_eq!(disk.image(Cut::Lost), Image::new());
        disk.take(&Op::Synced { file: name("a-wal") });
        disk.take(&write(3, b"two"));
        let rows = [(Cut::Lost, "one"), (Cut::Kept, "onetwo")];
        for (cut, want) in rows {
            assert_eq!(disk.image(cut), Image::from([(name("a-wal"), want.into())]), "{cut:?}");
        }
        assert_eq!(disk.torn(&name("a-wal"), 1), Image::from([(name("a-wal"), b"onet".to_vec())]));
        disk.take(&Op::Gone { file: name("a-wal"), synced: false });
        assert_eq!(disk.image(Cut::Lost), Image::from([(name("a-wal"), b"one".to_vec())]));
        assert_eq!(disk.image(Cut::Kept), Image::new());
    }
}
