//! What mounts deliver: a file below `/integrations/NAME`, with the mount as its source and the label that
//! its manifest gives. Never here: what is proposed to a mount.

use crate::{
    Kernel,
    files::{self, Wanted},
    step::{Found, Step},
};
use abi::{
    Code, Content, Error, LabelId, WORKSPACE,
    fact::{Facts, Lookup},
    label::{Integrity, Label},
    path::TreePath,
    tree::Node,
};
use alloc::{format, string::String, vec, vec::Vec};

/// Where a mount's delivery stands in the tree.
fn delivered(mount: &str, path: &TreePath) -> Result<TreePath, Error> {
    TreePath::parse(&format!("/integrations/{mount}{path}"))
}

/// Questions of a delivery.
pub fn plan_arrival(kernel: &Kernel, mount: &str, path: &TreePath) -> Result<Vec<Lookup>, Error> {
    if !kernel.state.mounts.contains_key(mount) {
        return Err(Error::new(Code::Dead, format!("{mount} is not mounted")));
    }
    Ok(vec![Lookup::Path { path: delivered(mount, path)?, at: None }])
}

/// A mount delivered a file: external, with the mount as its source. The same bytes again change nothing.
pub fn arrived(step: &mut Step<'_>, mount: &str, path: &TreePath, content: Content, facts: Facts) {
    let inside = path;
    let (Facts::Found(facts), Ok(path)) = (facts, delivered(mount, path)) else { return };
    let Ok(place) = Found::of(facts).place() else { return };
    step.act_as(WORKSPACE, format!("mount:{mount}"));
    let label = delivered_label(step, mount, inside);
    let label = step.intern(&label);
    let wanted = Wanted {
        pid: WORKSPACE,
        path: &path,
        node: Node::File,
        content,
        mode: files::FILE_MODE,
        label,
        message: None,
    };
    if let Err(error) =
        files::fits(&content).and_then(|()| files::put(step, &wanted, place, (None, None)).map(|_| ()))
    {
        step.alarm(format!("{mount} delivered {path}, which could not be kept: {error}"));
    }
}

/// The label of what a mount delivers: as its manifest says, external where that says nothing.
fn delivered_label(step: &Step<'_>, mount: &str, inside: &TreePath) -> Label {
    let row = step.state().mounts.get(mount).and_then(|row| row.manifest.brings(inside.as_str()));
    let integrity = row.map(|row| row.integrity).unwrap_or_default().min(Integrity::Workspace);
    let readers = row.map(|row| row.readers.clone()).unwrap_or_default();
    Label { readers, ..Label::new(integrity, format!("mount:{mount}")) }
}

/// The label of a directory that is made for a delivery. Only where the manifest limits the readers of the
/// directory itself does it have fewer than anybody: a private file beside others makes none of them private.
pub fn dir_label(step: &mut Step<'_>, path: &TreePath, label: LabelId) -> LabelId {
    let Some(mount) = step.actor.strip_prefix("mount:").map(String::from) else { return label };
    let inside = path.as_str().strip_prefix(&format!("/integrations/{mount}")).unwrap_or_default();
    let row = step.state().mounts.get(&mount).and_then(|row| row.manifest.brings(inside));
    let readers = row.map(|row| row.readers.clone()).unwrap_or_default();
    let label = Label { readers, ..step.kernel.meaning(label) };
    step.intern(&label)
}
