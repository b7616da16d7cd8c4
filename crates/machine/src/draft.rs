//! Drafts that are to be kept: what one changes is read, and what has come to stand in bound directories in
//! its places is noticed, so that the kernel decides over what stands there. Runs on worker threads.

use crate::{
    bound::{joined::Joined, publish},
    cell::Cell,
    node::Node,
    walls::{Readers, Tree, Unsealed},
};
use abi::{
    Code, Content, Error, Pid, ReplyTo, Seq,
    event::Body,
    limits, tree,
    view::{self, Bound, Change},
};
use std::{io, sync::Arc};

/// A draft that an operator keeps.
#[derive(Clone, Debug)]
pub struct DraftJob {
    /// Who waits.
    pub reply: ReplyTo,
    /// Whose.
    pub pid: Pid,
    /// Its text.
    pub layer: Content,
    /// Directories of the host that stand in the tree.
    pub bound: Vec<Bound>,
}

impl DraftJob {
    /// What was read.
    pub fn found(&self, read: Result<Vec<Change>, Error>) -> Body {
        Body::DraftRead { reply: self.reply, pid: self.pid, layer: self.layer, read }
    }
}

/// Reads it.
pub(crate) fn run(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    generation: u64,
    job: &DraftJob,
) -> (Body, Vec<Vec<u8>>) {
    (job.found(read(node, cell, generation, job)), Vec::new())
}

fn read(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, job: &DraftJob) -> Result<Vec<Change>, Error> {
    let readers = Readers::of(node.dir(cell));
    let changes = text(&readers, &job.layer)
        .map_err(|error| unread(&error))
        .and_then(|text| view::parse_layer(&text))?;
    for change in &changes {
        let holds = matches!(change.node, tree::Node::File | tree::Node::Link) && change.content.bytes > 0;
        if holds && readers.read(&change.content, 0, &mut [0]).is_err() {
            let message = format!("the bytes of {} are not kept any more", change.path);
            return Err(Error::new(Code::NotFound, message).hint(format!("skep drop {}", job.pid)));
        }
    }
    let places = cell.bounds.open(&job.bound)?;
    let joined = Joined::new(Tree { readers, at: Seq(0) }, cell.bounds.clone(), places);
    let blobs = node.blobs(cell)?;
    cell.bounds.settled();
    publish::abreast((node, cell, generation), &joined, &changes, &blobs).map_err(
        |unsealed| match unsealed {
            Unsealed::Trouble(what) => {
                Error::new(Code::Unavailable, format!("where it belongs cannot be looked at: {what}"))
            }
            Unsealed::TooLarge(error) => error,
        },
    )?;
    Ok(changes)
}

fn text(readers: &Readers, layer: &Content) -> io::Result<Vec<u8>> {
    let bytes = layer.bytes.min(limits::LAYER_BYTES_MAX);
    let mut text = vec![0; usize::try_from(bytes).unwrap_or_default()];
    let count = readers.read(layer, 0, &mut text)?;
    text.truncate(count);
    Ok(text)
}

fn unread(error: &io::Error) -> Error {
    Error::new(Code::Unavailable, format!("the draft cannot be read: {error}")).hint("skep doctor")
}
