//! What a client uploads: more bytes than one value holds, in parts, straight into chunk files.
//!
//! ```text
//! write begin ─▶ the kernel: may it? ─▶ number N, for this caller, workspace and path
//! write part N ─▶ here, on the client's own thread: hashed, written · the answer counts the bytes
//! write whole N ─▶ here: the content's name ─▶ the kernel, as any other write of a whole file
//! ```
//!
//! A number is of use only to the connection and the caller that got it, and only for its path, so nobody
//! stages a byte where they may not write. An upload that fails, or whose connection goes, leaves nothing.
//! Never here: a decision.

use crate::{cell::Cell, connection::Connection, node::Node};
use abi::{
    Error,
    call::{Call, Write},
    event::Caller,
    path::TreePath,
    wire::Decoded,
};
use std::{collections::BTreeMap, sync::Arc};
use store::{Manifest, Trouble, Upload};

/// What somebody asked to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    workspace: String,
    caller: Caller,
    path: TreePath,
}

impl Begun {
    /// What this call begins, if it does.
    pub fn of(cell: &Cell, caller: &Caller, call: &Call) -> Option<Self> {
        let Call::Write { path, write: Write::Begin, .. } = call else { return None };
        Some(Self { workspace: cell.name.clone(), caller: caller.clone(), path: path.clone() })
    }
}

/// Whose request it is, and where to.
pub(crate) struct From<'a> {
    pub node: &'a Arc<Node>,
    pub client: &'a Arc<Connection>,
    pub cell: &'a Cell,
    pub caller: &'a Caller,
}

impl From<'_> {
    fn is(&self, begun: &Begun, path: &TreePath) -> bool {
        (&begun.workspace, &begun.caller, &begun.path) == (&self.cell.name, self.caller, path)
    }
}

/// The uploads of one connection.
#[derive(Default)]
pub(crate) struct Uploads {
    open: BTreeMap<u64, (Begun, Upload)>,
}

impl Uploads {
    /// The upload of this number, begun now if it may be; it must be the caller's own, and to this path.
    fn find(&mut self, from: &From<'_>, number: u64, call: &Call) -> Result<&mut Upload, Error> {
        let Call::Write { path, .. } = call else { return Err(unknown(number)) };
        let blobs = from.node.blobs(from.cell)?;
        if let Some(begun) = from.client.take_begun(number, |begun| from.is(begun, path)) {
            self.open.insert(number, (begun, blobs.upload()));
        }
        match self.open.get_mut(&number) {
            Some((begun, upload)) if from.is(begun, path) => Ok(upload),
            _ => Err(unknown(number)),
        }
    }

    /// Nothing more comes under this number.
    fn end(&mut self, from: &From<'_>, number: u64) -> Option<Upload> {
        from.client.end_upload(number);
        self.open.remove(&number).map(|(_, upload)| upload)
    }

    /// The next bytes; answers how many there are now.
    pub fn part(&mut self, from: &From<'_>, number: u64, decoded: &Decoded) -> Result<u64, Error> {
        let upload = self.find(from, number, &decoded.call)?;
        let pushed = decoded.blobs.iter().try_for_each(|bytes| upload.push(bytes));
        let pushed = pushed.map(|()| upload.bytes());
        pushed.map_err(|trouble| self.fail(from, number, &trouble))
    }

    /// That was all: the call is one for these bytes.
    pub fn whole(&mut self, from: &From<'_>, number: u64, call: &mut Call) -> Result<Manifest, Error> {
        self.find(from, number, call)?;
        let Some(upload) = self.end(from, number) else { return Err(unknown(number)) };
        let manifest = upload.finish().map_err(|trouble| self.fail(from, number, &trouble))?;
        if let Call::Write { write: Write::Whole { content, .. }, .. } = call {
            *content = manifest.content();
        }
        Ok(manifest)
    }

    /// It could not be kept; what came of it goes.
    fn fail(&mut self, from: &From<'_>, number: u64, trouble: &Trouble) -> Error {
        drop(self.end(from, number));
        from.node.heard(trouble);
        trouble.to_error().argument("upload")
    }
}

fn unknown(number: u64) -> Error {
    Error::invalid("upload", format!("{number} is no upload of yours to this path on this connection"))
        .hint("write mode begin answers the number")
}
