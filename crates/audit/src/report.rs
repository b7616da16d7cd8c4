//! What was looked at and what is wrong with it, as text for people and as JSON for programs.

use crate::{bound::FINDINGS_MAX, digest::to_hex};
use serde_json::{Value, json};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The record it is about, if it is about one.
    pub seq: Option<u64>,
    /// What is, in one sentence.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// What the checkpoints said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Lines that hold.
    pub lines: u64,
    /// The newest record one of them names.
    pub newest: u64,
    /// The key, in hexadecimal.
    pub key: String,
    /// Whether the caller named this key.
    pub pinned: bool,
}

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was verified.
    pub path: PathBuf,
    /// The id in the first record.
    pub workspace: Option<[u8; 16]>,
    /// Records of the log, sealed ones too.
    pub records: u64,
    /// Place and hash of the last.
    pub head: (u64, [u8; 32]),
    /// Sealed files of old records.
    pub segments: u64,
    /// Versions that follow from the log.
    pub versions: u64,
    /// Contents inside the database.
    pub blobs: u64,
    /// Contents in files beside it.
    pub large: u64,
    /// Contents that were destroyed on purpose; their hashes stay.
    pub gone: u64,
    /// Snapshots, which are whole but not proved.
    pub snapshots: u64,
    /// See [`Signed`]; none without a file of checkpoints.
    pub signed: Option<Signed>,
    /// What is wrong, in the order it was found.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are told.
    pub more: u64,
}

impl Report {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            workspace: None,
            records: 0,
            head: (0, [0; 32]),
            segments: 0,
            versions: 0,
            blobs: 0,
            large: 0,
            gone: 0,
            snapshots: 0,
            signed: None,
            findings: Vec::new(),
            more: 0,
        }
    }

    pub(crate) fn find(&mut self, seq: Option<u64>, what: String, hint: &str) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { seq, what, hint: hint.to_owned() });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Whether there is so much damage that looking on would only count.
    pub(crate) fn is_full(&self) -> bool {
        self.more > 0
    }

    /// Whether everything that was looked at is as it was written.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// What this verification could not prove, in sentences.
    pub fn uncovered(&self) -> Vec<String> {
        let mut said = Vec::new();
        match &self.signed {
            None => said.push(
                "without a checkpoint from elsewhere, an older copy of the file, a shorter log or one that was \
                 rehashed whole cannot be told from the true one"
                    .to_owned(),
            ),
            Some(signed) if signed.newest < self.head.0 => said.push(format!(
                "records {} to {} are newer than the newest checkpoint",
                signed.newest.saturating_add(1),
                self.head.0
            )),
            Some(_) => {}
        }
        if let Some(Signed { pinned: false, .. }) = &self.signed {
            said.push("the key was taken from the checkpoints themselves: name yours with --key".to_owned());
        }
        if !self.holds() {
            said.push("what follows from the log was looked at only up to the first finding".to_owned());
        }
        if self.snapshots > 0 {
            said.push(
                "snapshots only shorten a start: whoever doubts them deletes them, and the log is replayed"
                    .to_owned(),
            );
        }
        said
    }

    /// The same as one object.
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|one| json!({ "seq": one.seq, "what": one.what, "hint": one.hint }))
            .collect();
        let signed = self.signed.as_ref().map(|signed| {
            json!({
                "lines": signed.lines, "newest": signed.newest, "key": signed.key, "pinned": signed.pinned,
            })
        });
        json!({
            "path": self.path.to_string_lossy(), "holds": self.holds(),
            "workspace": self.workspace.map(|id| to_hex(&id)),
            "records": self.records, "head": self.head.0, "hash": to_hex(&self.head.1),
            "segments": self.segments, "versions": self.versions, "blobs": self.blobs, "large": self.large,
            "gone": self.gone, "snapshots": self.snapshots, "checkpoints": signed,
            "findings": findings, "more": self.more, "uncovered": self.uncovered(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "file         {}", plain(&self.path.to_string_lossy()))?;
        let id = self.workspace.map_or_else(|| "unknown".to_owned(), |id| to_hex(&id));
        writeln!(out, "workspace    {id}")?;
        writeln!(out, "records      {}, the last is {}", self.records, self.head.0)?;
        writeln!(out, "hash         {}", to_hex(&self.head.1))?;
        if self.segments > 0 {
            writeln!(out, "segments     {}", self.segments)?;
        }
        writeln!(out, "versions     {}", self.versions)?;
        writeln!(out, "contents     {}, and {} in files", self.blobs, self.large)?;
        if self.gone > 0 {
            writeln!(out, "destroyed    {}, on purpose", self.gone)?;
        }
        if let Some(signed) = &self.signed {
            writeln!(out, "checkpoints  {}, the newest of record {}", signed.lines, signed.newest)?;
            let pinned = if signed.pinned { "as you named it" } else { "not named by you" };
            writeln!(out, "key          {} ({pinned})", plain(&signed.key))?;
        }
        for finding in &self.findings {
            let seq = finding.seq.map_or_else(String::new, |seq| format!("record {seq}: "));
            writeln!(out, "\nfound        {seq}{}", plain(&finding.what))?;
            writeln!(out, "hint         {}", plain(&finding.hint))?;
        }
        if self.more > 0 {
            writeln!(out, "\nand          {} more of the like", self.more)?;
        }
        for said in self.uncovered() {
            writeln!(out, "\nnot proved   {}", plain(&said))?;
        }
        let end = if self.holds() { "it holds" } else { "it does not hold" };
        writeln!(out, "\nverdict      {end}")
    }
}

/// Names in a hostile file reach a terminal only as what they look like.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
