//! Checkpoints: signed lines, kept elsewhere, that say which record a log had at a place.
//!
//! ```text
//! {"format":1,"workspace":HEX16,"name":"home","seq":N,"hash":HEX32,"at":µs,"key":HEX32,"signature":HEX64}
//!
//! signed (Ed25519): six fields, each preceded by its length as eight bytes, lowest first
//!   "skep-checkpoint-1" · workspace, 16 bytes · name · seq, 8 bytes · hash, 32 bytes · at, 8 bytes
//! ```
//!
//! One file has lines of one workspace by one key. The last line may be unfinished (a crash while it was
//! written); every other line that is none is told.

use crate::{
    Options,
    bound::{CHECKPOINTS_BYTES_MAX, LINE_BYTES_MAX},
    digest::{Digest, from_hex, to_hex},
    report::{Report, Signed},
};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use std::{collections::BTreeMap, fs, io::Read, path::Path};

/// What a signature is for.
pub const SIGNED: &str = "skep-checkpoint-1";
const FORGED: &str = "this line was not made by that node: use the file that was kept elsewhere";
const OTHER: &str = "name the checkpoints of this workspace";
const BACK: &str =
    "the log was cut or rolled back to an older copy: use a newer one, and ask who had the disk";

/// The bytes that are signed.
pub fn signed_bytes(workspace: &[u8; 16], name: &str, seq: u64, hash: &Digest, at: u64) -> Vec<u8> {
    let (seq, at) = (seq.to_le_bytes(), at.to_le_bytes());
    let fields: [&[u8]; 6] = [SIGNED.as_bytes(), workspace, name.as_bytes(), &seq, hash, &at];
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend((field.len() as u64).to_le_bytes());
        bytes.extend(field);
    }
    bytes
}

/// One line.
struct Mark {
    line: u64,
    workspace: [u8; 16],
    hash: Digest,
}

/// The lines that are signed as they should be, by the record they name.
#[derive(Default)]
pub struct Marks {
    by_seq: BTreeMap<u64, Vec<Mark>>,
    signed: Option<Signed>,
    strange: bool,
}

/// Reads the file of checkpoints, if one is named.
pub fn read(options: &Options, report: &mut Report) -> Marks {
    let mut marks = Marks::default();
    let Some(file) = &options.checkpoint else {
        if options.key.is_some() {
            let hint = "name the file of checkpoints too: --checkpoint FILE";
            report.find(None, "a key alone proves nothing".to_owned(), hint);
        }
        return marks;
    };
    let pinned = options.key.is_some();
    let key = options.key.clone().unwrap_or_default().to_ascii_lowercase();
    if pinned && from_hex::<32>(&key).is_none() {
        let hint = "64 hexadecimal digits, as skep audit key prints them";
        report.find(None, "the key that was named is none".to_owned(), hint);
        return marks;
    }
    marks.signed = Some(Signed { lines: 0, newest: 0, key, pinned });
    let bytes = match load(file) {
        Ok(bytes) => bytes,
        Err(what) => {
            let what = format!("the checkpoints {} cannot be read: {what}", file.display());
            report.find(None, what, "name the file that was kept elsewhere");
            return marks;
        }
    };
    for (line, number) in bytes.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        marks.take(line, number, report);
        if report.is_full() {
            break;
        }
    }
    if marks.by_seq.is_empty() && report.holds() {
        let hint = "name the file that was kept elsewhere";
        report.find(None, "there is no checkpoint in the file of checkpoints".to_owned(), hint);
    }
    marks
}

fn load(file: &Path) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| error.to_string();
    if !fs::metadata(file).map_err(said)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let most = CHECKPOINTS_BYTES_MAX + 1;
    fs::File::open(file).map_err(said)?.take(most).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 == most { Err("it is larger than 64 MiB".to_owned()) } else { Ok(bytes) }
}

impl Marks {
    fn take(&mut self, line: &[u8], number: u64, report: &mut Report) {
        let ended = line.ends_with(b"\n");
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let Some(said) = parse(line) else {
            // An unfinished last line is a crash, not a forgery: it never was a checkpoint.
            if ended {
                report.find(None, format!("line {number} of the checkpoints is none"), FORGED);
            }
            return;
        };
        let Some(signed) = &mut self.signed else { return };
        if signed.key.is_empty() {
            signed.key = to_hex(&said.key);
        }
        if signed.key != to_hex(&said.key) {
            let what = format!("line {number} of the checkpoints is signed with another key");
            return report.find(Some(said.seq), what, FORGED);
        }
        let bytes = signed_bytes(&said.workspace, &said.name, said.seq, &said.hash, said.at);
        let public = UnparsedPublicKey::new(&ED25519, said.key);
        if public.verify(&bytes, &said.signature).is_err() {
            let what = format!("line {number} of the checkpoints is not signed with its key");
            return report.find(Some(said.seq), what, FORGED);
        }
        signed.lines += 1;
        signed.newest = signed.newest.max(said.seq);
        let mark = Mark { line: number, workspace: said.workspace, hash: said.hash };
        self.by_seq.entry(said.seq).or_default().push(mark);
    }

    /// The log has this record at this place.
    pub fn see(&mut self, seq: u64, hash: &Digest, report: &mut Report) {
        let Some(marks) = self.by_seq.get(&seq) else { return };
        for mark in marks.iter().filter(|mark| Some(mark.workspace) == report.workspace) {
            if mark.hash != *hash {
                let what = format!("it is not the record that line {} of the checkpoints signs", mark.line);
                let hint = "the log was written anew from some record on: restore a backup that verifies";
                report.find(Some(seq), what, hint);
                return;
            }
        }
    }

    /// What the log does not reach, and lines of another workspace.
    pub fn finish(mut self, report: &mut Report) {
        let (head, workspace) = (report.head.0, report.workspace);
        for marks in self.by_seq.values() {
            for mark in marks.iter().filter(|mark| Some(mark.workspace) != workspace) {
                if !self.strange {
                    let id = to_hex(&mark.workspace);
                    let what =
                        format!("line {} of the checkpoints is of workspace {id}, not of this", mark.line);
                    report.find(None, what, OTHER);
                }
                self.strange = true;
            }
        }
        if let Some((seq, _)) = self.by_seq.last_key_value().filter(|(seq, _)| **seq > head && !self.strange)
        {
            let first = head.saturating_add(1);
            let what = format!(
                "the log ends at record {head}, and a checkpoint signs record {seq}: {first} on are gone"
            );
            report.find(Some(*seq), what, BACK);
        }
        report.signed = self.signed;
    }
}

/// What a line says.
struct Said {
    workspace: [u8; 16],
    name: String,
    seq: u64,
    hash: Digest,
    at: u64,
    key: [u8; 32],
    signature: [u8; 64],
}

fn parse(line: &[u8]) -> Option<Said> {
    if line.len() > LINE_BYTES_MAX {
        return None;
    }
    let value: Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| value.get(name)?.as_str();
    let number = |name: &str| value.get(name)?.as_u64();
    if number("format")? != 1 {
        return None;
    }
    Some(Said {
        workspace: from_hex(text("workspace")?)?,
        name: text("name")?.to_owned(),
        seq: number("seq")?,
        hash: from_hex(text("hash")?)?,
        at: number("at")?,
        key: from_hex(text("key")?)?,
        signature: from_hex(text("signature")?)?,
    })
}
