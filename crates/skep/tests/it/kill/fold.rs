//! The reader's own fold of the log into rows of the tree, written from the description of the format and not
//! from the writer's code.
//!
//! ```text
//! versions  one for each change, as the record has it
//! heads     the last change of a file that is not diverged
//! entries   a file stands where its last change of a record puts it, from that record on, until one moves or
//!           removes it
//! ```

use abi::{
    Content, OpId, ROOT,
    record::Record,
    tree::{Change, Node},
};
use std::collections::BTreeMap;

/// A row of `versions`, but its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub file: i64,
    pub node: i64,
    pub hash: Vec<u8>,
    pub bytes: i64,
    pub mode: i64,
    pub mtime: i64,
    pub label: i64,
    pub actor: String,
    pub pid: i64,
    pub op: i64,
    pub seq: i64,
    pub diverged: i64,
    pub path: String,
    pub message: Option<Vec<u8>>,
    pub message_bytes: i64,
    pub parents: Vec<u8>,
}

/// Where a file stood from some record on: directory, name, and the record that ended it.
pub type Stand = (i64, String, Option<i64>);

/// All rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    pub versions: BTreeMap<i64, Version>,
    /// By file.
    pub heads: BTreeMap<i64, i64>,
    /// By file and first record.
    pub entries: BTreeMap<(i64, i64), Stand>,
    /// Since when each file stands where it does.
    live: BTreeMap<i64, i64>,
}

/// What an empty file begins with: the root directory as version 0.
impl Default for Fold {
    fn default() -> Self {
        let root = Version {
            file: 1,
            node: 1,
            hash: vec![0; 32],
            bytes: 0,
            mode: 0o755,
            mtime: 0,
            label: 0,
            actor: "system:kernel".to_owned(),
            pid: 0,
            op: 0,
            seq: 0,
            diverged: 0,
            path: "/".to_owned(),
            message: None,
            message_bytes: 0,
            parents: Vec::new(),
        };
        let (versions, heads) = (BTreeMap::from([(0, root)]), BTreeMap::from([(1, 0)]));
        Self { versions, heads, entries: BTreeMap::new(), live: BTreeMap::new() }
    }
}

impl Fold {
    /// What a record says of the tree.
    pub fn take(
        &mut self,
        record: &Record,
        op: OpId,
        changes: &[Change],
        message: Option<Content>,
    ) -> Result<(), String> {
        let seq = record.seq.0.cast_signed();
        let mut last: BTreeMap<i64, (&Change, bool)> = BTreeMap::new();
        for change in changes {
            let row = version(record, op, change, message);
            if self.versions.insert(change.version.0.cast_signed(), row).is_some() {
                return Err(format!("record {seq} makes version {} again", change.version));
            }
            if change.diverged {
                continue;
            }
            let file = change.file.0.cast_signed();
            self.heads.insert(file, change.version.0.cast_signed());
            let moved = change.moved_from.is_some() || last.get(&file).is_some_and(|(_, moved)| *moved);
            last.insert(file, (change, moved));
        }
        for (file, (change, moved)) in last {
            if change.file != ROOT {
                self.stand(seq, file, change, moved);
            }
        }
        Ok(())
    }

    fn stand(&mut self, seq: i64, file: i64, change: &Change, moved: bool) {
        let gone = change.node == Node::Gone;
        if gone || moved {
            let since = self.live.remove(&file);
            if let Some(entry) = since.and_then(|since| self.entries.get_mut(&(file, since))) {
                entry.2 = Some(seq);
            }
        }
        if !gone && !self.live.contains_key(&file) {
            self.live.insert(file, seq);
            let name = change.path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
            self.entries.insert((file, seq), (change.dir.0.cast_signed(), name, None));
        }
    }
}

fn version(record: &Record, op: OpId, change: &Change, message: Option<Content>) -> Version {
    Version {
        file: change.file.0.cast_signed(),
        node: match change.node {
            Node::File => 0,
            Node::Dir => 1,
            Node::Link => 2,
            Node::Gone => 3,
        },
        hash: change.content.hash.0.to_vec(),
        bytes: change.content.bytes.cast_signed(),
        mode: change.mode.into(),
        mtime: change.mtime.cast_signed(),
        label: change.label.0.into(),
        actor: record.actor.clone(),
        pid: record.pid.0.cast_signed(),
        op: op.0.cast_signed(),
        seq: record.seq.0.cast_signed(),
        diverged: change.diverged.into(),
        path: change.path.as_str().to_owned(),
        message: message.map(|message| message.hash.0.to_vec()),
        message_bytes: message.map_or(0, |message| message.bytes.cast_signed()),
        parents: change.parents.iter().flat_map(|id| id.0.to_le_bytes()).collect(),
    }
}
