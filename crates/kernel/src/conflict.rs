//! Two changes of one version. A text's are merged, if both go together; else the later one is kept beside
//! the head as a diverged version, its writer is told, and somebody resolves it. Never last-write-wins,
//! never markers inside a file.
//!
//! Merging is a worker's: the first decision of an event only asks for it, the event comes again with the
//! result, and is decided anew against the head of that moment.

use crate::{
    Kernel,
    authority::Want,
    files::{self, Wanted},
    sink,
    step::{Found, Step},
};
use abi::{
    Code, Content, Error, FileId, Micros, Pid, VersionId,
    answer::Answer,
    call::{Call, Take, Write},
    cap::Rights,
    fact::{Conflict, Fact, Facts, Lookup},
    limits,
    path::TreePath,
    tree::{Change, Merge, Node, Version},
};
use alloc::{format, vec, vec::Vec};

/// Names of files whose lines can be merged.
const MERGED: [&str; 4] = [".json", ".md", ".txt", ".yaml"];

/// What is known of a merge.
pub enum Merged {
    /// It has been asked for: nothing is decided now.
    Asked,
    /// Both go together.
    Clean(Content),
    /// They do not, or nobody may try.
    No,
}

/// Looks a merge up, or asks for it.
pub fn merged(step: &mut Step<'_>, merge: &Merge) -> Merged {
    let name = merge.path.name();
    let small = |content: &Content| content.bytes <= limits::MERGE_BYTES_MAX;
    let texts = [&merge.base, &merge.ours, &merge.theirs].into_iter().all(small);
    let named = MERGED.iter().any(|end| name.ends_with(end)) && step.approved.is_none();
    if !texts || !(named || step.keeps) {
        return Merged::No;
    }
    match step.merges.iter().find(|(known, _)| known == merge) {
        Some((_, Some(content))) => Merged::Clean(*content),
        Some((_, None)) => Merged::No,
        None if step.round >= limits::MERGE_ROUNDS_MAX || step.wants.len() >= limits::MERGES_MAX => {
            Merged::No
        }
        None => {
            step.wants.push(merge.clone());
            Merged::Asked
        }
    }
}

/// A write whose base is not the head any more.
pub fn stale(
    step: &mut Step<'_>,
    wanted: &Wanted<'_>,
    (head, dir): (&Version, FileId),
    (base, from): (VersionId, Option<&Version>),
) -> Result<Answer, Error> {
    // A base that the writer may not read tells nothing, not even whether it goes together with the head.
    let reads = |from: &Version| {
        let may = step.kernel.allow(wanted.pid, Want::Path(&from.path), Rights::READ, step.at);
        may.is_ok() && !step.kernel.hides(wanted.pid, from.label)
    };
    let of_this = |from: &&Version| from.file == head.file && from.node == Node::File && reads(from);
    if let Some(from) = from.filter(of_this).filter(|_| (wanted.node, head.node) == (Node::File, Node::File))
    {
        let path = wanted.path.clone();
        let merge = Merge { path, base: from.content, ours: wanted.content, theirs: head.content };
        match merged(step, &merge) {
            Merged::Asked => return Ok(Answer::DONE),
            Merged::Clean(content) => {
                let answer = together(step, wanted, (head, dir), (base, content));
                step.told_all_of(wanted.pid, wanted.path, head);
                return Ok(answer);
            }
            Merged::No => {}
        }
    }
    let Wanted { path, message, .. } = *wanted;
    let ours = beside(step, wanted, (head, dir), base);
    let version = ours.version;
    let operation = files::wrote(step, vec![ours], message, None);
    // That it has moved on, and whether both go together, tells of what stands there now; but only once it is
    // told, since the text was written before.
    step.told_all_of(wanted.pid, wanted.path, head);
    let message =
        format!("{path} changed since version {base}; your text is kept beside it as version {version}");
    let (code, theirs) = (Code::Conflict.word(), head.id);
    Ok(Answer::Diverged { code, message, operation, base, ours: version, theirs })
}

fn beside(step: &Step<'_>, wanted: &Wanted<'_>, (head, dir): (&Version, FileId), base: VersionId) -> Change {
    let mut ours = files::change(step, wanted, head.file, dir);
    ours.parents = vec![base];
    ours.diverged = true;
    ours
}

/// Both changes in a new head, made of the writer's version and of the head. The writer goes on from its own:
/// it has not seen the other one's text.
fn together(
    step: &mut Step<'_>,
    wanted: &Wanted<'_>,
    (head, dir): (&Version, FileId),
    (base, content): (VersionId, Content),
) -> Answer {
    let Wanted { pid, path, mode, message, .. } = *wanted;
    let label = step.kernel.meaning(wanted.label).join(&step.kernel.meaning(head.label));
    #[cfg(feature = "plant")]
    let label = if crate::plant::is(crate::plant::MERGE_KEEPS_LABEL) {
        step.kernel.meaning(head.label)
    } else {
        label
    };
    let label = step.intern(&label);
    let ours = beside(step, wanted, (head, dir), base);
    let both = Wanted { pid, path, node: Node::File, content, mode, label, message };
    let mut merge = files::change(step, &both, head.file, dir);
    merge.version = ours.version.next();
    merge.parents = vec![head.id, ours.version];
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::MERGE_FORGETS_PARENT) {
        merge.parents.pop();
    }
    let (version, own) = (merge.version, ours.version);
    let operation = files::wrote(step, vec![ours, merge], message, None);
    // It may have written again while this was merged: then it goes on from that.
    let seen = step.kernel.last_seen(pid, path);
    if step.turn == Some(pid) || seen.is_none_or(|seen| seen == base) {
        step.remember(pid, path, own);
    }
    let message = format!(
        "{path} changed since version {base}; both are in version {version}, yours alone is version {own}"
    );
    Answer::Merged {
        merged: true,
        operation,
        version,
        ours: own,
        theirs: head.id,
        path: path.clone(),
        message,
    }
}

/// Questions of a resolution.
pub fn plan_resolve(
    kernel: &Kernel,
    pid: Pid,
    (path, version): (&TreePath, VersionId),
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    files::may_change(kernel, pid, path)?;
    kernel.allow(pid, Want::Path(path), Rights::WRITE, at)?;
    kernel.allow(pid, Want::Path(path), Rights::READ, at)?;
    Ok(vec![Lookup::Conflict { version }, Lookup::Kept { version }])
}

/// Whether the conflict stands at the path, for who asks: a version below its ceiling is none.
fn is_meant(step: &Step<'_>, pid: Pid, path: &TreePath, found: &Conflict) -> bool {
    let here = found.path == *path || found.version.path == *path;
    here && !step.kernel.hides(pid, found.version.label)
}

/// Resolves a conflict: a new version, made of the diverged one and of the head.
pub fn resolve(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Write { path, write: Write::Resolve { version, take }, base, message, origin } = call else {
        return Err(Facts::mismatch());
    };
    let Some(Fact::Conflict(conflict)) = facts.any() else { return Err(Facts::mismatch()) };
    let Conflict { version: ours, open, head, path: stands, dir, free, named, told, home } =
        conflict.filter(|found| is_meant(step, pid, path, found)).ok_or_else(|| {
            Error::new(Code::NotFound, format!("version {version} is no diverged version of {path}"))
                .argument("version")
                .hint("cat /sys/conflicts")
        })?;
    if !open {
        return Err(
            Error::new(Code::Dead, format!("version {version} is resolved already")).argument("version")
        );
    }
    if !facts.holds()? && *take == Take::Ours {
        let what = format!("the bytes of version {version} are not kept any more");
        return Err(Error::new(Code::NotFound, what).argument("version").hint("take theirs"));
    }
    // Where both are kept, a right to the old name is none to the new one.
    step.kernel.allow(pid, Want::Path(&stands), Rights::READ.union(Rights::WRITE), step.at).map_err(
        |error| Error::new(error.code, format!("{path} stands elsewhere now, where you may not change it")),
    )?;
    step.kernel.allow(pid, Want::Path(&ours.path), Rights::READ, step.at)?;
    step.kernel.may_touch(pid, &stands, head.label)?;
    if stands != *path {
        step.saw(pid, &stands, Some(head.id), head.label);
        step.told_names(pid, &stands, &told);
    }
    home.iter().for_each(|home| step.told_of_home(pid, home));
    files::stale_if(step, pid, *base, (&head, &stands))?;
    let gone = head.node == Node::Gone;
    if gone && *take != Take::Theirs && !free {
        return Err(Error::new(Code::Exists, format!("something else stands at {stands} now"))
            .hint("take theirs, and write the text to another path"));
    }
    files::may_change(step.kernel, pid, &stands)?;
    step.learned_of(pid, &stands, (Some(head.id), head.label));
    step.learned_of(pid, &stands, (Some(ours.id), ours.label));
    let joined = step.kernel.meaning(ours.label).join(&step.kernel.meaning(head.label));
    let joined = joined.join(&step.label_for(pid, *origin));
    let (node, content, mode, label) = match take {
        Take::Ours => (ours.node, ours.content, ours.mode, joined),
        Take::Theirs => {
            let label = step.kernel.meaning(head.label).join(&step.label_for(pid, *origin));
            (head.node, head.content, head.mode, label)
        }
        Take::Text(content) => (Node::File, *content, if gone { ours.mode } else { head.mode }, joined),
    };
    // What was gone is named again by this.
    let label = named.iter().filter(|_| gone).fold(label, |all, name| all.join(&step.kernel.meaning(*name)));
    sink::not_steering(step, pid, &label, core::iter::once(&stands))?;
    let label = step.intern(&label);
    let wanted = Wanted { pid, path: &stands, node, content, mode, label, message: *message };
    let mut change = files::change(step, &wanted, head.file, dir);
    change.parents = vec![head.id, ours.id];
    let version = change.version;
    let mut changes = vec![change];
    step.mark(pid, &mut changes, home.as_deref().filter(|_| gone != (node == Node::Gone)));
    let operation = files::wrote(step, changes, *message, None);
    match node {
        Node::Gone => step.forget(pid, &stands),
        _ => step.remember(pid, &stands, version),
    }
    Ok(Answer::Wrote { operation, version, path: stands })
}

/// The open conflicts, one a line.
pub fn listed(kernel: &Kernel, pid: Pid, at: Micros) -> Vec<Lookup> {
    vec![Lookup::Conflicts { view: kernel.view(pid, at) }]
}
