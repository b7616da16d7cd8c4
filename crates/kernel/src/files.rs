//! The tree: list, read, write, move, remove, history, undo.
//!
//! Base of a write: the version it names; else what its process last saw; else the head. A current base
//! commits; what becomes of a stale one is told in `conflict`. `Stale` means that nothing was written.
//! Nothing is ever overwritten: every change is a version with its parents.

use crate::{
    Kernel,
    authority::Want,
    bound, conflict, draft, guarded, policy, proposal, session, sink,
    step::{Found, Step},
    undo,
};
use abi::{
    Code, Content, Error, FileId, LabelId, Micros, OpId, Pid, VersionId, WORKSPACE,
    answer::Answer,
    call::{At, Call, Origin, Sought, Undo, Write},
    cap::Rights,
    fact::{Edit, Fact, Facts, Lookup, Place, Query},
    label::Label,
    limits,
    path::{self, Pattern, TreePath},
    record::{Entry, Rule},
    tree::{Change, Home, Node, Version},
};
use alloc::{format, vec, vec::Vec};

pub const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

/// Questions of `list`.
pub fn plan_list(
    kernel: &Kernel,
    pid: Pid,
    path: &TreePath,
    as_of: Option<At>,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    // A directory above one that may be listed can be walked; the view cuts its entries.
    let listable = kernel.listable(pid, at);
    if !listable.iter().any(|pattern| leads_to(pattern, path)) {
        kernel.allow(pid, Want::Path(path), Rights::LIST, at)?;
    }
    kernel.not_denied(pid, Want::Path(path), Rights::LIST)?;
    let all =
        [Lookup::Path { path: path.clone(), at: as_of }, Lookup::Names { path: path.clone(), at: as_of }];
    Ok(all.into_iter().chain(kernel.plan_hidden(pid, path, as_of)).collect())
}

/// Whether the pattern can match the path or something below it.
pub fn leads_to(pattern: &Pattern, path: &TreePath) -> bool {
    if pattern.matches(path.as_str()) {
        return true;
    }
    let mut parts = pattern.as_str().split('/').filter(|part| !part.is_empty());
    for name in path.names() {
        match parts.next() {
            Some("**") => return true,
            Some(part) if part == "*" || part == name => {}
            _ => return false,
        }
    }
    true
}

/// Questions of `read`.
pub fn plan_read(
    kernel: &Kernel,
    pid: Pid,
    (path, as_of, version): (&TreePath, Option<At>, Option<VersionId>),
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    kernel.allow(pid, Want::Path(path), Rights::READ, at)?;
    let here = Lookup::Path { path: path.clone(), at: as_of };
    let more = match version {
        Some(version) => Some(Lookup::Version { version }),
        None => kernel.plan_hidden(pid, path, as_of),
    };
    Ok([here].into_iter().chain(more).collect())
}

/// Questions of `history`.
pub fn plan_history(
    kernel: &Kernel,
    pid: Pid,
    (path, before, limit): (&TreePath, Option<VersionId>, u32),
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    kernel.allow(pid, Want::Path(path), Rights::READ, at)?;
    let here = Lookup::Path { path: path.clone(), at: None };
    Ok(vec![here, Lookup::Past { path: path.clone(), before, limit, view: kernel.view(pid, at) }])
}

/// Questions of `write`.
pub fn plan_write(
    kernel: &Kernel,
    pid: Pid,
    (path, write, base): (&TreePath, &Write, Option<VersionId>),
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    if let Write::Restore(undo @ (Undo::Operation(_) | Undo::Process(_))) = write {
        undo::may_ask(kernel, pid, *undo)?;
        return Ok(vec![Lookup::Undo { undo: *undo }]);
    }
    if let Write::Resolve { version, .. } = write {
        return conflict::plan_resolve(kernel, pid, (path, *version), at);
    }
    if policy::is_edited(kernel, pid, path) {
        return policy::plan(path, write);
    }
    may_change(kernel, pid, path)?;
    let may_write = kernel.allow(pid, Want::Path(path), Rights::WRITE, at);
    if may_write.is_err() {
        kernel.allow(pid, Want::Path(path), Rights::CREATE, at)?;
    }
    let here = Lookup::Path { path: path.clone(), at: None };
    let edit = |edit: Edit, base| Lookup::Edit { path: path.clone(), base, edit };
    let seen = || kernel.last_seen(pid, path);
    match write {
        Write::Whole { content, .. } => {
            fits(content)?;
            // What it was made from, in case that is not the head any more and both go together.
            let from = base.or_else(seen).map(|version| Lookup::Version { version });
            Ok([here].into_iter().chain(from).collect())
        }
        Write::Link(content) => {
            fits(content)?;
            Ok(vec![here])
        }
        Write::Begin => Ok(vec![]),
        Write::Check(_) => {
            Err(Error::invalid("mode", "only policy and budget are checked before they stand")
                .hint("skep policy check FILE"))
        }
        // Append's base is the head at commit.
        Write::Append(tail) => Ok(vec![here, edit(Edit::Append(tail.hash), None)]),
        Write::Patch { find, put } => {
            // Whether the text stands there tells what stands there.
            kernel.allow(pid, Want::Path(path), Rights::READ, at)?;
            let base = base.or_else(seen);
            let from = base.map(|version| Lookup::Version { version });
            let edited = edit(Edit::Patch { find: find.hash, put: put.hash }, base);
            Ok([here, edited].into_iter().chain(from).collect())
        }
        Write::Dir => Ok(vec![here]),
        Write::Restore(Undo::Version(version)) => {
            Ok(vec![here, Lookup::Version { version: *version }, Lookup::Kept { version: *version }])
        }
        Write::Restore(Undo::Operation(_) | Undo::Process(_)) | Write::Resolve { .. } => Ok(vec![]),
    }
}

pub fn fits(content: &Content) -> Result<(), Error> {
    if content.bytes > limits::FILE_BYTES_MAX {
        let message = format!("{} bytes; a file holds at most 16 GiB", content.bytes);
        return Err(Error::new(Code::TooLarge, message).argument("text").hint("split it into smaller files"));
    }
    Ok(())
}

/// What nobody writes, and what a process whose work is a draft does not.
pub fn may_change(kernel: &Kernel, pid: Pid, path: &TreePath) -> Result<(), Error> {
    policy::may_stand(kernel, pid, path).and_then(|()| draft::may_change(kernel, pid))
}

/// Questions of `move`.
pub fn plan_move(
    kernel: &Kernel,
    pid: Pid,
    from: &TreePath,
    to: &TreePath,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    may_change(kernel, pid, from)?;
    may_change(kernel, pid, to)?;
    kernel.allow(pid, Want::Path(from), Rights::REMOVE, at)?;
    kernel.allow(pid, Want::Path(to), Rights::CREATE, at)?;
    if to.is_below(from) {
        return Err(Error::invalid("to", "a directory cannot be moved into itself"));
    }
    let path = |path: &TreePath| Lookup::Path { path: path.clone(), at: None };
    Ok(vec![path(from), path(to), Lookup::Below { path: from.clone() }])
}

/// Questions of `remove`.
pub fn plan_remove(kernel: &Kernel, pid: Pid, path: &TreePath, at: Micros) -> Result<Vec<Lookup>, Error> {
    may_change(kernel, pid, path)?;
    kernel.allow(pid, Want::Path(path), Rights::REMOVE, at)?;
    Ok(vec![Lookup::Path { path: path.clone(), at: None }, Lookup::Below { path: path.clone() }])
}

/// `list`: names are content, so the reader's label rises to the join of theirs.
pub fn list(
    step: &mut Step<'_>,
    pid: Pid,
    (path, at): (&TreePath, Option<At>),
    facts: &mut Found,
) -> Result<Answer, Error> {
    let place = facts.place()?;
    let Some(Fact::Labels(_, labels)) = facts.any() else { return Err(Facts::mismatch()) };
    let head = seen_head(step, pid, path, (place, facts))?;
    if head.node != Node::Dir {
        step.told_all_of(pid, path, &head);
        return Err(Error::invalid("path", format!("{path} is not a directory")).hint("read it"));
    }
    // It tells as well which names are not there.
    step.learned_of(pid, path, (Some(head.id), head.label));
    #[cfg(feature = "plant")]
    let labels = if crate::plant::is(crate::plant::LIST_KEEPS_LABEL) { Default::default() } else { labels };
    // The names of what lies below its ceiling are left out of the answer.
    let labels = labels.into_iter().filter(|label| !step.kernel.hides(pid, *label));
    // In a directory of the host names have no version, and the label of all that nobody has changed there.
    let outside = bound::of(step.state(), path).map(|(_, label)| label).filter(|_| at.is_none());
    let outside = outside.filter(|label| !step.kernel.hides(pid, *label));
    for label in labels.chain(outside).collect::<Vec<_>>() {
        step.saw(pid, path, None, label);
    }
    Ok(Answer::Query(listed(step.kernel, pid, &step.actor, (path, at, step.at))))
}

/// What a listing shows: now also the caller's sessions.
pub fn listed(
    kernel: &Kernel,
    pid: Pid,
    actor: &str,
    (path, as_of, at): (&TreePath, Option<At>, Micros),
) -> Query {
    let view = kernel.listing(pid, at);
    let also = if as_of.is_none() { session::names(kernel, pid, actor, path) } else { vec![] };
    Query::List { path: path.clone(), at: as_of, view, also }
}

/// The head of what stands there, if the process may know of it. Whether it does, it is told.
pub fn seen_head(
    step: &mut Step<'_>,
    pid: Pid,
    path: &TreePath,
    (place, facts): (Place, &mut Found),
) -> Result<Version, Error> {
    let hidden = facts.hidden();
    step.told_of(pid, path, &place);
    let head = place.head.filter(|head| !step.kernel.hides(pid, head.label));
    head.ok_or_else(|| step.kernel.missing(pid, path, hidden))
}

/// `read`: the reader's label rises at open.
pub fn read(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Read { path, at, version, part } = call else { return Err(Facts::mismatch()) };
    let head = match version {
        None => {
            let place = facts.place()?;
            seen_head(step, pid, path, (place, facts))?
        }
        Some(id) => {
            let place = facts.place()?;
            step.told_of(pid, path, &place);
            let here = place.head;
            let none =
                || Error::new(Code::NotFound, format!("{path} has no version {id}")).argument("version");
            let Some(Fact::Version(found)) = facts.any() else { return Err(Facts::mismatch()) };
            let found = found.ok_or_else(none)?;
            // A version that was made elsewhere is read by the right to read it there.
            let of_this = found.path == *path || here.is_some_and(|here| here.file == found.file);
            if !of_this || found.node == Node::Gone || step.kernel.hides(pid, found.label) {
                return Err(none());
            }
            step.kernel.allow(pid, Want::Path(&found.path), Rights::READ, step.at)?;
            found
        }
    };
    if head.node == Node::Dir {
        step.told_all_of(pid, path, &head);
        return Err(Error::invalid("path", format!("{path} is a directory")).hint("list it"));
    }
    step.saw(pid, path, Some(head.id), head.label);
    if at.is_none() && version.is_none() {
        step.remember(pid, path, head.id);
    }
    Ok(Answer::Query(Query::Read { path: path.clone(), at: *at, version: *version, part: *part }))
}

/// Where a search looks: it tells which names are not there.
pub fn searched(step: &mut Step<'_>, pid: Pid, sought: &Sought, facts: &mut Found) -> Result<(), Error> {
    let path = sought.path.clone().unwrap_or_else(TreePath::root);
    let place = facts.place()?;
    step.told_of(pid, &path, &place);
    if let Some(head) = &place.head {
        step.learned_of(pid, &path, (Some(head.id), head.label));
    }
    Ok(())
}

/// `search`, and the versions of an operation: the caller has seen every hit.
pub fn found(step: &mut Step<'_>, pid: Pid, query: Query, facts: &mut Found) -> Result<Answer, Error> {
    let Some(Fact::Hits(hits)) = facts.any() else { return Err(Facts::mismatch()) };
    #[cfg(feature = "plant")]
    let hits = if crate::plant::is(crate::plant::SEARCH_KEEPS_LABEL) { Default::default() } else { hits };
    for (path, version, label) in hits {
        if !step.kernel.hides(pid, label) {
            step.saw(pid, &path, Some(version), label);
        }
    }
    Ok(Answer::Query(query))
}

/// One file's change while it is made.
pub struct Wanted<'a> {
    pub pid: Pid,
    pub path: &'a TreePath,
    pub node: Node,
    pub content: Content,
    pub mode: u32,
    pub label: LabelId,
    pub message: Option<Content>,
}

/// `write`, in all modes.
pub fn write(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Write { path, write, base, message, origin } = call else { return Err(Facts::mismatch()) };
    if let Write::Restore(undo @ (Undo::Operation(_) | Undo::Process(_))) = write {
        return undo::take_back(step, pid, *undo, *message, facts);
    }
    match write {
        Write::Resolve { .. } => return conflict::resolve(step, pid, call, facts),
        // The number is the machine's: what the answer is waited for by.
        Write::Begin => return Ok(Answer::Upload { upload: 0 }),
        _ => {}
    }
    if policy::is_edited(step.kernel, pid, path) {
        return policy::write(step, call, facts);
    }
    let place = facts.place()?;
    step.told_of(pid, path, &place);
    // Whether it holds what shall be replaced is told by every answer; else only that something stands there.
    if let Some(head) = &place.head {
        step.kernel.may_touch(pid, path, head.label)?;
        match write {
            Write::Patch { .. } => step.told_all_of(pid, path, head),
            _ => step.learned_of(pid, path, (Some(head.id), head.label)),
        }
    }
    let mut label = step.label_for(pid, *origin);
    let joins = |version: &Version| {
        if step.kernel.hides(pid, version.label) {
            return Err(no_version());
        }
        label = label.join(&step.kernel.meaning(version.label));
        step.kernel.allow(pid, Want::Path(&version.path), Rights::READ, step.at)
    };
    let New { node, content, mode, from } = new_content(write, &place, facts, joins)?;
    let appends = matches!(write, Write::Append(_));
    let seen = step.kernel.last_seen(pid, path);
    let base = if appends { None } else { base.or(seen) };
    if step.approved.is_some() && base.is_none() && place.head.is_some() {
        return Err(Error::new(Code::Stale, format!("{path} has come to stand there since it was proposed")));
    }
    let guarded = guarded::asks(step, pid, core::iter::once(path)).then_some(Rule::Guarded);
    if let Some(rule) = sink::asks(step, pid, &label, core::iter::once(path)).or(guarded) {
        if content.bytes > limits::ARGUMENT_BYTES_MAX {
            return Err(Error::new(Code::TooLarge, "more than 64 KiB cannot be shown to who has to decide")
                .hint("an operator can write it"));
        }
        let held = Write::Whole { content, mode };
        let base = base.or_else(|| place.head.as_ref().map(|head| head.id));
        // Its message is not shown to who decides, so it is no part of what is approved.
        let (write, base) = if node == Node::File { (held, base) } else { (write.clone(), base) };
        let held = Call::Write { path: path.clone(), write, base, message: None, origin: *origin };
        let bytes = (node != Node::Dir).then_some(content);
        return proposal::hold_call(step, pid, &held, (rule, label), (path, bytes));
    }
    let label = step.intern(&label);
    let wanted = Wanted { pid, path, node, content, mode, label, message: *message };
    let from = from.filter(|from| Some(from.id) == base);
    put(step, &wanted, place, (base, from))
}

/// The same for what is not there and for what its caller must not see.
fn no_version() -> Error {
    Error::new(Code::NotFound, "there is no such version").argument("version")
}

/// What the path shall contain.
struct New {
    node: Node,
    content: Content,
    mode: u32,
    /// The version it was made from, as far as that was asked for.
    from: Option<Version>,
}

fn new_content(
    write: &Write,
    place: &Place,
    facts: &mut Found,
    mut joins: impl FnMut(&Version) -> Result<(), Error>,
) -> Result<New, Error> {
    let edited = |facts: &mut Found| match facts.any() {
        Some(Fact::Edited(content)) => content,
        _ => Err(Facts::mismatch()),
    };
    let of_file = |content, mode, from| New { node: Node::File, content, mode, from };
    let kept_mode = place.head.as_ref().map_or(FILE_MODE, |head| head.mode);
    match write {
        Write::Whole { content, mode } => Ok(of_file(*content, *mode, facts.version_if_asked())),
        Write::Append(_) => {
            let content = edited(facts)?;
            // Who may only add learns nothing of what stood there: reading is not asked for, the label joins.
            let _ = place.head.as_ref().map(&mut joins);
            Ok(of_file(content, kept_mode, None))
        }
        Write::Patch { .. } => {
            let content = edited(facts);
            place.head.as_ref().map_or(Ok(()), &mut joins)?;
            // Before what came of the edit is told: that tells what the version holds.
            let from = facts.version_if_asked();
            from.as_ref().map_or(Ok(()), &mut joins)?;
            Ok(of_file(content?, kept_mode, from))
        }
        Write::Dir => Ok(New { node: Node::Dir, content: Content::default(), mode: DIR_MODE, from: None }),
        Write::Link(target) => Ok(New { node: Node::Link, content: *target, mode: 0o777, from: None }),
        Write::Restore(_) => match facts.version()? {
            Some(version) if version.node != Node::Gone => {
                joins(&version)?;
                if !facts.holds()? {
                    let what = format!("the bytes of version {} are not kept any more", version.id);
                    return Err(Error::new(Code::NotFound, what).argument("version").hint("skep log"));
                }
                let Version { node, content, mode, .. } = version;
                Ok(New { node, content, mode, from: None })
            }
            _ => Err(no_version()),
        },
        Write::Resolve { .. } | Write::Begin | Write::Check(_) => Err(Facts::mismatch()),
    }
}

/// The same file again, as a version that bears another label: an endorsement.
pub fn relabel(step: &mut Step<'_>, path: &TreePath, place: &Place, label: &Label) -> Result<Answer, Error> {
    let Some(head) = &place.head else { return Err(Facts::mismatch()) };
    let dir = place.dirs.last().copied().unwrap_or(abi::ROOT);
    let label = step.intern(label);
    if label == head.label {
        return Ok(Answer::Same { version: head.id, unchanged: true });
    }
    let Version { node, content, mode, .. } = *head;
    let wanted = Wanted { pid: WORKSPACE, path, node, content, mode, label, message: None };
    let mut row = change(step, &wanted, head.file, dir);
    row.parents = vec![head.id];
    let version = row.version;
    let operation = wrote(step, vec![row], None, None);
    Ok(Answer::Wrote { operation, version, path: path.clone() })
}

/// Puts it in place: a new head, the same one, or a diverged version.
pub fn put(
    step: &mut Step<'_>,
    wanted: &Wanted<'_>,
    place: Place,
    (base, from): (Option<VersionId>, Option<Version>),
) -> Result<Answer, Error> {
    let Wanted { pid, path, .. } = *wanted;
    if place.blocked {
        return Err(Error::invalid("path", format!("something above {path} is not a directory")));
    }
    let Some(head) = place.head else {
        if base.is_some() {
            // It is gone, and the writer knows it now: written again without a base, it is a new file.
            step.forget(pid, path);
            return Err(Error::new(
                Code::Stale,
                format!("{path} was removed since the base; nothing was written"),
            )
            .argument("base")
            .hint("read its history, or write it anew without a base"));
        }
        step.kernel.allow(pid, Want::Path(path), Rights::CREATE, step.at)?;
        return create(step, wanted, (&place.dirs, place.home.as_ref()));
    };
    if (head.node == Node::Dir) != (wanted.node == Node::Dir) {
        step.told_all_of(pid, path, &head);
        return Err(Error::new(Code::Exists, format!("{path} is a {} already", head.node.word())));
    }
    let same = head.node == wanted.node && head.content == wanted.content && head.mode == wanted.mode;
    // Bytes that fewer may read from now on are another version: that they were the same is told to nobody.
    let readers = |label| step.kernel.meaning(label).readers;
    let narrower = same && readers(head.label).meet(&readers(wanted.label)) != readers(head.label);
    if same && !narrower {
        step.told_all_of(pid, path, &head);
        step.remember(pid, path, head.id);
        return Ok(Answer::Same { version: head.id, unchanged: true });
    }
    step.kernel.allow(pid, Want::Path(path), Rights::WRITE, step.at)?;
    let base = base.unwrap_or(head.id);
    let stale = base != head.id;
    #[cfg(feature = "plant")]
    let stale = stale && !crate::plant::is(crate::plant::STALE_OVERWRITES);
    let dir = place.dirs.last().copied().unwrap_or(abi::ROOT);
    if stale {
        return conflict::stale(step, wanted, (&head, dir), (base, from.as_ref()));
    }
    let mut change = change(step, wanted, head.file, dir);
    change.parents = vec![base];
    let version = change.version;
    let operation = wrote(step, vec![change], wanted.message, None);
    step.remember(pid, path, version);
    Ok(Answer::Wrote { operation, version, path: path.clone() })
}

/// A new file, with the directories that are missing above it.
fn create(
    step: &mut Step<'_>,
    wanted: &Wanted<'_>,
    (dirs, home): (&[FileId], Option<&Home>),
) -> Result<Answer, Error> {
    let mut changes = Vec::new();
    let mut dir = dirs.last().copied().unwrap_or(abi::ROOT);
    let mut file = step.state().next.file;
    let mut version = step.state().next.version;
    let depth = wanted.path.names().count();
    let mut above = TreePath::root();
    for (ix, name) in wanted.path.names().enumerate().take(depth.saturating_sub(1)) {
        above = above.join(name)?;
        // `dirs` begins with the root, so the directory at depth ix + 1 exists if it is in there.
        if ix + 1 < dirs.len() {
            continue;
        }
        file = file.next();
        version = version.next();
        let (node, label) = (Node::Dir, crate::arrival::dir_label(step, &above, wanted.label));
        let missing =
            Wanted { path: &above, node, content: Content::default(), mode: DIR_MODE, label, ..*wanted };
        let mut row = change(step, &missing, file, dir);
        row.version = version;
        changes.push(row);
        dir = file;
    }
    let mut row = change(step, wanted, file.next(), dir);
    row.version = version.next();
    let version = row.version;
    changes.push(row);
    step.mark(wanted.pid, &mut changes, home);
    let operation = wrote(step, changes, wanted.message, None);
    step.remember(wanted.pid, wanted.path, version);
    Ok(Answer::Wrote { operation, version, path: wanted.path.clone() })
}

pub fn change(step: &Step<'_>, wanted: &Wanted<'_>, file: FileId, dir: FileId) -> Change {
    Change {
        file,
        dir,
        path: wanted.path.clone(),
        moved_from: None,
        version: step.state().next.version.next(),
        node: wanted.node,
        content: wanted.content,
        mode: wanted.mode,
        mtime: step.at,
        label: wanted.label,
        parents: vec![],
        diverged: false,
        scratch: path::is_scratch(wanted.path),
    }
}

pub fn wrote(
    step: &mut Step<'_>,
    changes: Vec<Change>,
    message: Option<Content>,
    undoes: Option<Undo>,
) -> OpId {
    let op = step.state().next.op.next();
    step.emit(Entry::Wrote { op, changes, message, undoes });
    op
}

/// `move`: one row, whatever stands below; the name is what changes.
pub fn rename(
    step: &mut Step<'_>,
    pid: Pid,
    (from, to, base): (&TreePath, &TreePath, Option<VersionId>),
    facts: &mut Found,
) -> Result<Answer, Error> {
    let here = facts.place()?;
    let there = facts.place()?;
    let Some(Fact::Below(below)) = facts.any() else { return Err(Facts::mismatch()) };
    step.told_of(pid, from, &here);
    let head = here
        .head
        .ok_or_else(|| Error::new(Code::NotFound, format!("{from} does not exist")).argument("from"))?;
    let below = below?;
    may_touch_all(step, pid, &below)?;
    step.learned_of(pid, from, (Some(head.id), head.label));
    stale_if(step, pid, base, (&head, from))?;
    step.told_of(pid, to, &there);
    if let Some(there) = &there.head {
        step.kernel.may_touch(pid, to, there.label)?;
        step.told_all_of(pid, to, there);
        return Err(Error::new(Code::Exists, format!("{to} exists")).argument("to"));
    }
    let missing = there.dirs.len() < to.names().count();
    if there.blocked || missing {
        return Err(
            Error::new(Code::NotFound, format!("the directory of {to} does not exist")).argument("to")
        );
    }
    let label = step.label_for(pid, Origin::Argument);
    let label = label.join(&step.kernel.meaning(head.label));
    let moved = |(path, ..): &(TreePath, FileId, Version)| {
        let rest = path.as_str().strip_prefix(from.as_str()).unwrap_or_default();
        let long = |_| Error::invalid("to", format!("below {to} a path would be too long"));
        TreePath::parse(&format!("{to}{rest}")).map_err(long)
    };
    // What stands below comes along: from there it steers as much as the directory itself.
    let carried =
        below.iter().fold(label.clone(), |all, (_, _, row)| all.join(&step.kernel.meaning(row.label)));
    let mut touched = below.iter().map(moved).collect::<Result<Vec<_>, _>>()?;
    for (path, (here, ..)) in touched.iter().zip(&below) {
        // Who gives a file another name may come to read it there.
        let may = step.kernel.allow(pid, Want::Path(here), Rights::READ.union(Rights::REMOVE), step.at);
        let may = may.and_then(|()| step.kernel.allow(pid, Want::Path(path), Rights::CREATE, step.at));
        may.map_err(|error| of_below(error, (here, from)))?;
    }
    touched.extend(below.iter().map(|(path, ..)| path.clone()));
    sink::not_steering(step, pid, &carried, touched.iter())?;
    let label = step.intern(&label);
    let Version { node, content, mode, .. } = head;
    let wanted = Wanted { pid, path: to, node, content, mode, label, message: None };
    let mut row = change(step, &wanted, head.file, there.dirs.last().copied().unwrap_or(abi::ROOT));
    row.moved_from = Some(from.clone());
    row.parents = vec![head.id];
    let version = row.version;
    let mut changes = vec![row];
    step.mark(pid, &mut changes, here.home.iter().chain(&there.home));
    let operation = wrote(step, changes, None, None);
    below.iter().for_each(|(path, ..)| step.forget(pid, path));
    step.remember(pid, to, version);
    Ok(Answer::Wrote { operation, version, path: to.clone() })
}

/// A refusal for something below the path that was named: what its name is, is not told.
fn of_below(error: Error, (here, top): (&TreePath, &TreePath)) -> Error {
    if here == top {
        return error;
    }
    Error::new(error.code, format!("below {top} stands what you have no right to change"))
        .hint("ask for more in `needs`")
}

/// Nothing of what an operation takes along lies below the ceiling of who makes it.
fn may_touch_all(step: &Step<'_>, pid: Pid, below: &[(TreePath, FileId, Version)]) -> Result<(), Error> {
    let hidden = below.iter().filter(|(.., row)| step.kernel.hides(pid, row.label)).count();
    match below.first() {
        // What is inside has names that are not to be seen either.
        Some((path, _, top)) if hidden > 0 && !step.kernel.hides(pid, top.label) => {
            let ceiling = step.kernel.ceiling(pid).word();
            let message = format!(
                "{hidden} of what stands in {path} lie below the ceiling of process {pid}, {ceiling}"
            );
            Err(Error::new(Code::Denied, message).argument("path").hint("an operator can do it"))
        }
        Some((path, _, top)) => step.kernel.may_touch(pid, path, top.label),
        None => Ok(()),
    }
}

/// Refuses what was decided on another version, and tells which one stands.
pub fn stale_if(
    step: &mut Step<'_>,
    pid: Pid,
    base: Option<VersionId>,
    (head, path): (&Version, &TreePath),
) -> Result<(), Error> {
    match base {
        Some(base) if base != head.id => {
            step.told_all_of(pid, path, head);
            Err(Error::new(Code::Stale, format!("{path} is at version {} now; nothing was done", head.id))
                .argument("base")
                .hint("read it again"))
        }
        _ => Ok(()),
    }
}

/// `remove`: a version that says gone, for it and with `tree` for all below it.
pub fn remove(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Remove { path, base, tree } = call else { return Err(Facts::mismatch()) };
    let place = facts.place()?;
    step.told_of(pid, path, &place);
    let gone = || Error::new(Code::NotFound, format!("{path} does not exist"));
    let head = place.head.ok_or_else(gone)?;
    let Some(Fact::Below(below)) = facts.any() else { return Err(Facts::mismatch()) };
    let below = below?;
    may_touch_all(step, pid, &below)?;
    step.learned_of(pid, path, (Some(head.id), head.label));
    stale_if(step, pid, *base, (&head, path))?;
    if below.len() > 1 && !tree {
        return Err(Error::invalid("path", format!("{path} is not empty"))
            .hint("remove what is in it, or all of it: tree, skep rm -r"));
    }
    for (here, ..) in &below {
        let may = step.kernel.allow(pid, Want::Path(here), Rights::REMOVE, step.at);
        may.map_err(|error| of_below(error, (here, path)))?;
    }
    let label = step.label_for(pid, Origin::Argument);
    sink::not_steering(step, pid, &label, below.iter().map(|(path, ..)| path))?;
    let mut version = step.state().next.version;
    let mut changes = Vec::new();
    // Deepest first, so that no entry is ever without its directory.
    for (at, dir, old) in below.iter().rev() {
        // Its name goes on standing in the log, and who removed it need not have known it.
        let label = label.join(&step.kernel.meaning(old.label));
        let label = step.intern(&label);
        let wanted = Wanted {
            pid,
            path: at,
            node: Node::Gone,
            content: Content::default(),
            mode: old.mode,
            label,
            message: None,
        };
        version = version.next();
        let mut row = change(step, &wanted, old.file, *dir);
        row.version = version;
        row.parents = vec![old.id];
        changes.push(row);
        step.forget(pid, at);
    }
    step.mark(pid, &mut changes, &place.home);
    let operation = wrote(step, changes, None, None);
    Ok(Answer::Wrote { operation, version, path: path.clone() })
}

/// Directories every workspace begins with.
pub const FIRST_DIRS: [&str; 7] =
    ["/agents", "/data", "/home", "/integrations", "/proc", "/proposals", "/sys"];

/// Makes the first directories, as the workspace itself.
pub fn first_dirs(step: &mut Step<'_>) {
    let label = step.intern(&Label::system());
    let mut changes = Vec::new();
    let mut file = abi::ROOT;
    for (ix, path) in FIRST_DIRS.iter().enumerate() {
        let Ok(path) = TreePath::parse(path) else { continue };
        file = file.next();
        let wanted = Wanted {
            pid: WORKSPACE,
            path: &path,
            node: Node::Dir,
            content: Content::default(),
            mode: DIR_MODE,
            label,
            message: None,
        };
        let mut row = change(step, &wanted, file, abi::ROOT);
        row.version = VersionId(ix as u64 + 1);
        changes.push(row);
    }
    wrote(step, changes, None, None);
}
