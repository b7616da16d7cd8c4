//! A program in a sandbox, simulated: it reads the tree as it was when it began, through the same reader as a
//! view, and makes of it what programs make: files changed, added, moved and taken away. One that lies says
//! what no view would.

use super::desk::Desk;
use crate::{chance::Chance, crowd, known::Known};
use abi::{
    Content, Seq, VersionId, WORKSPACE,
    call::Wall,
    cap::Rights,
    event::{Body, Ran},
    path::TreePath,
    record::{Finish, Port, Used},
    tree::Node,
    view::{Change, Commit, Opened, layer},
};
use machine::job::{Ended, ExecJob};
use std::path::Path;
use store::{Named, Reader};

/// What stands somewhere in its view.
struct Seen {
    path: TreePath,
    found: Named,
}

/// Runs it. None if its files are gone: then nobody waits for it either.
pub fn run(
    (dir, desk): (&Path, &mut Desk),
    job: &ExecJob,
    chance: &mut Chance,
    known: &Known,
) -> Option<Ended> {
    let command = &job.command;
    let how = match chance.below(12) {
        0 => Finish::TimedOut,
        1 => Finish::Refused { message: "no wall".to_owned(), hint: "skep doctor".to_owned() },
        2 => Finish::Signal(11),
        3 => Finish::Exited(1),
        _ => Finish::Exited(0),
    };
    let by_itself = matches!(how, Finish::Exited(_) | Finish::Signal(_));
    let mut blobs = Vec::new();
    let mut commit = made((dir, desk), job, (chance, known), &mut blobs)?;
    if !by_itself {
        commit.changes.clear();
    }
    let output = format!("ran {}", command.exec);
    let bytes = output.len() as u64;
    let ran = Ran { how, wall: Wall::Native, output, whole: None, bytes, used: Used::default() };
    Some((Body::ExecEnded { exec: command.exec, ran, commit, keep: by_itself }, blobs))
}

/// The same of one whose work is a draft: so far, or at its end.
pub fn sketch(at: (&Path, &mut Desk), job: &ExecJob, chance: &mut Chance, known: &Known) -> Option<Ended> {
    let ends = chance.one_in(3);
    let (body, blobs) = run(at, job, chance, known)?;
    let Body::ExecEnded { exec, ran, mut commit, keep } = body else { return None };
    let mut blobs = blobs;
    // One that lies says that it changed what it did not.
    let told = if chance.one_in(20) { &[][..] } else { commit.changes.as_slice() };
    let text = layer(told);
    commit.layer = Some(Box::new(Content::of(&text)));
    blobs.push(text);
    if ends {
        return Some((Body::ExecEnded { exec, ran, commit, keep }, blobs));
    }
    Some((Body::ExecWrote { exec, said: String::new(), commit }, blobs))
}

/// The same of one that goes on, and what it writes is the tree's within seconds.
pub fn keep(at: (&Path, &mut Desk), job: &ExecJob, chance: &mut Chance, known: &Known) -> Option<Ended> {
    let ends = chance.one_in(5);
    let ended = run(at, job, chance, known)?;
    match ended {
        (Body::ExecEnded { exec, commit, keep: true, .. }, blobs) if !ends => {
            Some((Body::ExecWrote { exec, said: String::new(), commit }, blobs))
        }
        ended => Some(ended),
    }
}

/// Where its sandbox is seen to listen meanwhile; none if nobody looks.
pub fn ports(chance: &mut Chance) -> Option<Vec<Port>> {
    let few = chance.below(4);
    let port = |chance: &mut Chance| {
        let (address, program) = (format!("127.0.0.1:{}", 8000 + chance.below(4)), chance.below(2));
        Port { address, program: format!("server{program}") }
    };
    (few > 0).then(|| (1..few).map(|_| port(chance)).collect())
}

fn made(
    (dir, desk): (&Path, &mut Desk),
    job: &ExecJob,
    (chance, known): (&mut Chance, &Known),
    blobs: &mut Vec<Vec<u8>>,
) -> Option<Commit> {
    let plan = &job.command.plan;
    let reader = Reader::open(dir).ok()?;
    let mut commit = Commit::default();
    let mut files = Vec::new();
    for top in ["/data", "/data/d", "/agents/clerk"] {
        let top = TreePath::parse(top).ok()?;
        let shown = plan.rights(top.as_str()).contains(Rights::LIST) || job.command.pid == WORKSPACE;
        if !shown || chance.one_in(4) {
            continue;
        }
        let Some(here) = walk(&reader, &top, plan.seq) else { continue };
        if plan.hidden.contains(&here.head.label) {
            continue;
        }
        commit.told.labels.insert(here.head.label);
        commit.told.homes.insert(here.head.label);
        for found in reader.list(here.head.file, plan.seq).ok()? {
            let path = top.join(&found.name).ok()?;
            let hidden = plan.hidden.contains(&found.head.label) || plan.hidden.contains(&found.named);
            if !hidden {
                commit.told.labels.extend([found.head.label, found.named]);
                files.push(Seen { path, found });
            }
        }
    }
    let mut taken = Vec::new();
    for _ in 0..chance.below(5) {
        let Some(at) = (!files.is_empty()).then(|| chance.index(files.len())) else { break };
        if taken.contains(&at) {
            continue;
        }
        taken.push(at);
        if let Some(seen) = files.get(at) {
            commit.changes.extend(change(seen, plan.rights(seen.path.as_str()), (chance, known), blobs));
            if seen.found.head.node == Node::File && chance.one_in(2) {
                let Named { head, .. } = &seen.found;
                let (path, version, label) = (seen.path.clone(), head.id, head.label);
                commit.told.opened.push(Opened { path, version, label });
            }
        }
    }
    if chance.one_in(2) {
        let path =
            TreePath::parse(chance.word(&["/data/made", "/data/new/deep/f", "/data/d/made.md"])).ok()?;
        commit.changes.push(put(path, None, (chance, blobs)));
    }
    if chance.one_in(6) {
        commit.changes.extend(lie(chance, known, blobs));
    }
    commit.changes.extend(desk.save((&reader, plan), chance, blobs));
    Some(commit)
}

/// What stands there.
pub fn walk(reader: &Reader, path: &TreePath, at: Seq) -> Option<Named> {
    let mut here = reader.root(at).ok()??;
    for name in path.names() {
        here = reader.child(here.head.file, name, at).ok()??;
    }
    Some(here)
}

fn change(
    seen: &Seen,
    rights: Rights,
    (chance, known): (&mut Chance, &Known),
    blobs: &mut Vec<Vec<u8>>,
) -> Option<Change> {
    let Seen { path, found } = seen;
    let head = &found.head;
    let base = Some(head.id);
    let same = |path: TreePath, node, from| {
        let (content, mode, mtime) = (head.content, head.mode, head.mtime);
        Change { path, from, base, node, content, mode, mtime }
    };
    match chance.below(5) {
        0 if rights.contains(Rights::REMOVE) => Some(same(path.clone(), Node::Gone, None)),
        1 if rights.contains(Rights::REMOVE.union(Rights::READ)) => {
            let to = TreePath::parse(&known.path(chance)).ok().filter(|to| !to.is_below(path))?;
            Some(same(to, head.node, Some(path.clone())))
        }
        _ if head.node == Node::File => Some(put(path.clone(), base, (chance, blobs))),
        _ => None,
    }
}

fn put(path: TreePath, base: Option<VersionId>, (chance, blobs): (&mut Chance, &mut Vec<Vec<u8>>)) -> Change {
    // Six lines, as others write them, so that they can be merged; one that nobody else writes.
    let text = crowd::lines_with(chance, 1_000_000 + chance.clone().below(1_000_000_000)).into_bytes();
    let content = Content::of(&text);
    blobs.push(text);
    Change { path, from: None, base, node: Node::File, content, mode: 0o644, mtime: chance.below(9) }
}

/// What no view would say: of any path, from any version.
fn lie(chance: &mut Chance, known: &Known, blobs: &mut Vec<Vec<u8>>) -> Option<Change> {
    let path = TreePath::parse(&known.path(chance)).ok()?;
    let base = chance.one_in(2).then(|| known.version(chance));
    let mut change = put(path, base, (chance, blobs));
    match chance.below(4) {
        0 => change.node = Node::Gone,
        1 => change.from = TreePath::parse(&known.path(chance)).ok(),
        2 => change.node = Node::Dir,
        _ => {}
    }
    Some(change)
}
