//! What simulated programs do where agents or tools outside obey, in the directory that the workspace binds:
//! they write, rewrite and remove there, take that back, and write again what was decided. A view that goes
//! on tells all of it each time, until the kernel says that nothing of it waits.

use super::program::walk;
use crate::{chance::Chance, crowd};
use abi::{
    Content,
    cap::Rights,
    path::TreePath,
    tree::Node,
    view::{Change, Plan},
};
use machine::job::ExecJob;
use std::collections::BTreeMap;
use store::Reader;

/// The directory that is bound.
pub const BOUND: &str = "/data/shop";
/// What people have there when it begins.
pub const STANDS: [&str; 3] = ["/data/shop/a", "/data/shop/AGENTS.md", "/data/shop/.git/hooks/x"];
/// Where programs change something; the first is free.
const PLACES: [&str; 5] = [
    "/data/shop/a",
    "/data/shop/AGENTS.md",
    "/data/shop/.git/hooks/x",
    "/data/shop/.envrc",
    "/data/shop/.husky/pre-push",
];

/// What a program has written there.
#[derive(Default)]
pub struct Desk {
    written: BTreeMap<TreePath, (Change, Vec<u8>)>,
    /// What was let go, which some write again.
    gone: Vec<(Change, Vec<u8>)>,
    /// It goes on when this save is decided.
    job: Option<Box<ExecJob>>,
}

impl Desk {
    /// Changes a little; says all that stands in its view there.
    pub fn save(
        &mut self,
        (reader, plan): (&Reader, &Plan),
        chance: &mut Chance,
        blobs: &mut Vec<Vec<u8>>,
    ) -> Vec<Change> {
        for _ in 0..chance.below(3) {
            self.touch((reader, plan), chance);
        }
        blobs.extend(self.written.values().map(|(_, bytes)| bytes.clone()));
        self.written.values().map(|(change, _)| change.clone()).collect()
    }

    fn touch(&mut self, (reader, plan): (&Reader, &Plan), chance: &mut Chance) {
        let Ok(path) = TreePath::parse(chance.word(&PLACES)) else { return };
        let act = chance.below(6);
        let stands = walk(reader, &path, plan.seq).filter(|found| found.head.node == Node::File);
        let hidden = stands.as_ref().is_some_and(|found| plan.hidden.contains(&found.head.label));
        let needs = Rights::WRITE.union(Rights::CREATE).union(Rights::REMOVE);
        if hidden || !plan.rights(path.as_str()).contains(needs) {
            return;
        }
        let base = stands.map(|found| found.head.id);
        let (node, bytes) = match act {
            0 => return drop(self.written.remove(&path)),
            1 => {
                let again = self.gone.iter().rev().find(|(change, _)| change.path == path);
                let Some((change, bytes)) = again.cloned() else { return };
                self.written.insert(path, (Change { base, ..change }, bytes));
                return;
            }
            2 if base.is_none() => return drop(self.written.remove(&path)),
            2 => (Node::Gone, Vec::new()),
            _ => (
                Node::File,
                crowd::lines_with(chance, 1_000_000 + chance.clone().below(1 << 40)).into_bytes(),
            ),
        };
        let content = if node == Node::Gone { Content::default() } else { Content::of(&bytes) };
        let change = Change { path: path.clone(), from: None, base, node, content, mode: 0o644, mtime: 0 };
        self.written.insert(path, (change, bytes));
    }

    /// It has told what it has, and waits for what becomes of it.
    pub fn told(&mut self, job: ExecJob) {
        self.job = Some(Box::new(job));
    }

    /// A save was decided: what does not wait is the tree's now, or over.
    pub fn decided(&mut self, plan: Plan) -> Option<Box<ExecJob>> {
        let waits = std::mem::take(&mut self.written).into_iter();
        let (written, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            waits.partition(|(path, _)| plan.waits.contains(path));
        self.written = written;
        self.gone.extend(gone.into_values());
        let mut job = self.job.take()?;
        job.command.plan = plan;
        Some(job)
    }
}
