//! What a search answers: asked of the store once a call, as JSON twice.
//!
//! The kernel hears every hit before it decides (a search raises the label of who asks), the caller reads
//! them after: both are the same hits, kept between the two. A search lets the index catch up for
//! `CATCH_UP_US_MAX` and then answers from what is there, and says how far that is.

use crate::render::{Page, label};
use abi::{
    FileId, LabelId,
    call::Sought,
    fact::{Fact, View},
    label::{Integrity, Label},
    limits,
};
use kernel::Kernel;
use serde_json::{Value, json};
use store::{Ask, Found, Hit, Trouble};

/// What was found for a call, until the next event is decided.
pub(crate) struct Kept {
    sought: Sought,
    view: View,
    found: Found,
}

impl Page<'_, '_> {
    /// The hits as the kernel hears of them.
    pub(crate) fn sighted(&mut self, sought: &Sought, view: &View) -> Result<Fact, Trouble> {
        let hits = &self.found(sought, view)?.hits;
        let files: Vec<FileId> = hits.iter().map(|hit| hit.version.file).collect();
        let seen = |hit: &Hit| (hit.path.clone(), hit.version.id, hit.version.label);
        let mut all: Vec<_> = hits.iter().map(seen).collect();
        // Their paths are text as well, of whoever chose the names.
        if let Some((path, version, _)) = all.first().cloned() {
            let names = self.batch.named(files, sought.at)?;
            all.extend(names.into_iter().map(|label| (path.clone(), version, label)));
        }
        Ok(Fact::Hits(all))
    }

    /// The hits as the caller reads them; no more than fit one message.
    pub(crate) fn hits(&mut self, sought: &Sought, view: &View) -> Result<Value, Trouble> {
        let kernel = self.kernel;
        let found = self.found(sought, view)?;
        let mut hits = Vec::with_capacity(found.hits.len());
        let (mut cut, mut bytes) = (found.cut, 0);
        for hit in &found.hits {
            let shown = shown(kernel, hit);
            bytes += shown.to_string().len();
            if bytes > limits::VALUE_BYTES_MAX {
                cut = true;
                break;
            }
            hits.push(shown);
        }
        let joined = found.hits.iter().map(|hit| meaning(kernel, hit.version.label));
        let joined = joined.reduce(|all, one| all.join(&one)).map(|label| label.to_string());
        Ok(json!({
            "hits": hits, "label": joined, "indexed": found.indexed, "seq": found.seq, "cut": cut,
        }))
    }

    fn found(&mut self, sought: &Sought, view: &View) -> Result<&Found, Trouble> {
        let known = self.kept.take().filter(|kept| kept.sought == *sought && kept.view == *view);
        let kept = match known {
            Some(kept) => kept,
            None => {
                let (kernel, clock, started) = (self.kernel, self.clock, self.clock.mono());
                let suits = |id| sought.label.is_none_or(|want| integrity(kernel, id) == want);
                let mut late = || clock.mono().saturating_sub(started) > limits::CATCH_UP_US_MAX;
                let found = self.batch.search(&Ask { sought, view, suits: &suits }, &mut late)?;
                Kept { sought: sought.clone(), view: view.clone(), found }
            }
        };
        Ok(&self.kept.insert(kept).found)
    }
}

/// An unknown label counts as external.
fn integrity(kernel: &Kernel, id: LabelId) -> Integrity {
    kernel.label(id).map_or(Integrity::External, |label| label.integrity)
}

fn meaning(kernel: &Kernel, id: LabelId) -> Label {
    kernel.label(id).cloned().unwrap_or_default()
}

fn shown(kernel: &Kernel, hit: &Hit) -> Value {
    let row = &hit.version;
    json!({
        "path": hit.path, "version": row.id, "file": row.file, "label": label(kernel, row.label),
        "actor": row.actor, "mtime": row.mtime, "snippet": hit.snippet, "marks": hit.marks,
    })
}
