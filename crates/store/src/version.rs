//! A version as a row of `versions`: written once, read often, never changed.
//!
//! Numbers that are unsigned outside are kept by their bits, so that no value is lost; those that are
//! compared (`seq`) come from counters and never reach the sign. Never here: which version is the head.

use crate::{
    Trouble,
    schema::{Db, Flow},
};
use abi::{
    Content, FileId, Hash, LabelId, OpId, Pid, Seq, VersionId,
    fact::View,
    limits,
    path::TreePath,
    record::Record,
    tree::{Change, Node, Version},
};
use rusqlite::{Row, params, types::Type};

/// The list of no parents, as stored, in hexadecimal.
pub(crate) const NO_PARENTS: &str = "";

/// A statement that begins with the columns of a version, in the order [`read`] takes them.
macro_rules! select_version {
    ($more:literal) => {
        concat!(
            "SELECT v.id, v.file, v.node, v.hash, v.bytes, v.mode, v.mtime, v.label, v.actor, v.pid, v.op, ",
            "v.seq, v.diverged, v.path, v.message, v.message_bytes, v.parents",
            $more
        )
    };
}
pub(crate) use select_version;

/// Column after those of a version.
pub(crate) const AFTER: usize = 17;

/// A point in the log as a bound: what lies beyond the sign is as good as the end.
pub(crate) fn bound(at: Seq) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A value that is there, but is none of ours.
fn odd(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.into())
}

pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(crate) fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    row.get(column).map(Hash)
}

pub(crate) fn node(row: &Row<'_>, column: usize) -> rusqlite::Result<Node> {
    match row.get::<_, i64>(column)? {
        0 => Ok(Node::File),
        1 => Ok(Node::Dir),
        2 => Ok(Node::Link),
        3 => Ok(Node::Gone),
        _ => Err(odd(column, "no kind of node")),
    }
}

fn node_number(node: Node) -> i64 {
    match node {
        Node::File => 0,
        Node::Dir => 1,
        Node::Link => 2,
        Node::Gone => 3,
    }
}

/// A version from the columns of `select_version!`.
pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Version> {
    let path = TreePath::parse(row.get_ref(13)?.as_str()?).map_err(|_| odd(13, "no path"))?;
    let message = match row.get_ref(14)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(Content { hash: hash(row, 14)?, bytes: number(row, 15)? }),
    };
    Ok(Version {
        id: VersionId(number(row, 0)?),
        file: FileId(number(row, 1)?),
        node: node(row, 2)?,
        content: Content { hash: hash(row, 3)?, bytes: number(row, 4)? },
        mode: row.get(5)?,
        mtime: number(row, 6)?,
        label: LabelId(row.get(7)?),
        actor: row.get(8)?,
        pid: Pid(number(row, 9)?),
        op: OpId(number(row, 10)?),
        seq: Seq(number(row, 11)?),
        diverged: row.get(12)?,
        parents: parents(row.get_ref(16)?.as_blob()?),
        message,
        path,
    })
}

/// Eight bytes a parent, lowest first. A rest that is no whole number is damage the log's hash tells of.
fn parents(bytes: &[u8]) -> Vec<VersionId> {
    bytes.as_chunks().0.iter().map(|id| VersionId(u64::from_le_bytes(*id))).collect()
}

/// Adds the version that a change makes.
pub(crate) fn insert(
    db: &Db,
    record: &Record,
    op: OpId,
    change: &Change,
    message: Option<Content>,
) -> Result<(), Trouble> {
    let parents: Vec<u8> = change.parents.iter().flat_map(|id| id.0.to_le_bytes()).collect();
    let row = params![
        change.version.0.cast_signed(),
        change.file.0.cast_signed(),
        node_number(change.node),
        change.content.hash.0,
        change.content.bytes.cast_signed(),
        change.mode,
        change.mtime.cast_signed(),
        change.label.0,
        record.actor,
        record.pid.0.cast_signed(),
        op.0.cast_signed(),
        record.seq.0.cast_signed(),
        change.diverged,
        change.path.as_str(),
        message.map(|message| message.hash.0),
        message.map_or(0, |message| message.bytes.cast_signed()),
        parents,
    ];
    db.run("INSERT INTO versions VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", row).map(drop)
}

/// Versions that a view shows. What it does not show is left out before the limit, so that nobody hides
/// another's versions behind many of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// They.
    pub versions: Vec<Version>,
    /// How many of those that were looked at lie below the ceiling of who asks.
    pub below: u64,
}

impl Shown {
    /// Takes one more, if it is shown; stops at the limit.
    pub(crate) fn take(&mut self, version: Version, view: &View, limit: u32) -> Flow {
        let most = limit.min(limits::LISTING_MAX) as usize;
        if self.versions.len() >= most {
            return Flow::Stop;
        }
        if view.shows_version(version.path.as_str(), version.label) {
            self.versions.push(version);
        } else if view.shows(version.path.as_str()) {
            self.below = self.below.saturating_add(1);
        }
        if self.versions.len() < most { Flow::Go } else { Flow::Stop }
    }

    /// Of what shows nothing it is not told that there is something.
    pub(crate) fn said(self) -> Self {
        if self.versions.is_empty() { Self::default() } else { self }
    }
}

/// The version of this name.
pub(crate) fn get(db: &Db, id: VersionId) -> Result<Option<Version>, Trouble> {
    db.one(select_version!(" FROM versions v WHERE v.id = ?"), [id.0.cast_signed()], read)
}
