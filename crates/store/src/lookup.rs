//! The kernel's questions, answered from the open transaction. Each answer is bounded.
//!
//! Never here: `Fill` and `Agent`, which need the machine; `Search`, which has a batch's own way; a decision.

use crate::{
    Trouble, blob, chain, conflict, named, retain,
    schema::{Db, Flow},
    spot,
    tree::{self, Names},
    undo, version,
};
use abi::{
    Code, Content, Error, Hash, LabelId, Seq, VersionId,
    call::At,
    fact::{Edit, Fact, Haystack, Lookup, Match, View},
    limits,
    path::{Pattern, TreePath},
    scan,
    tree::{Entry, Node, Version},
};
use std::collections::BTreeSet;

/// Bytes of a text that is searched for a literal; of a longer one the answer is no.
pub(crate) const MATCH_BYTES_MAX: u64 = 1024 * 1024;

/// See the module.
pub(crate) fn answer(db: &Db, lookup: &Lookup) -> Result<Fact, Trouble> {
    Ok(match lookup {
        Lookup::Path { path, at } => Fact::Place(tree::place(db, path, moment(db, *at)?)?),
        Lookup::Version { version } => Fact::Version(version::get(db, *version)?),
        Lookup::Names { path, at } => names(db, path, moment(db, *at)?)?,
        Lookup::Hidden { path, at, below } => Fact::Count(hidden(db, path, moment(db, *at)?, below)?),
        Lookup::Past { path, before, limit, view } => {
            past(db, &tree::history(db, path, (*before, *limit), view)?.versions)?
        }
        Lookup::Below { path } => Fact::Below(tree::below(db, path)?),
        Lookup::Match { text, literal, how } => Fact::Holds(holds(db, text, literal, *how)?),
        Lookup::Spots { changes } => {
            let spots = changes.iter().map(|(path, base)| spot::get(db, path, *base));
            Fact::Spots(spots.collect::<Result<_, _>>()?)
        }
        Lookup::Edit { path, base, edit } => Fact::Edited(edited(db, path, *base, edit)?),
        Lookup::Undo { undo } => Fact::Undo(undo::rows(db, undo)?),
        Lookup::Bytes { hash } => {
            let bytes = blob::get(db, hash)?;
            Fact::Bytes(bytes.filter(|bytes| bytes.len() as u64 <= limits::ARGUMENT_BYTES_MAX))
        }
        Lookup::Deed { effect } => Fact::Deed(named::deed(db, effect)?),
        Lookup::Kept { version } => Fact::Holds(conflict::kept(db, *version)?),
        Lookup::Conflict { version } => Fact::Conflict(conflict::get(db, *version)?),
        Lookup::Conflicts { view } => {
            let open = conflict::open(db, view)?;
            hits(db, open.into_iter().map(|(path, ours, _)| (path, ours)).collect())?
        }
        Lookup::Operation { op, view } => {
            let shown = conflict::operation(db, *op, view, limits::LISTING_MAX)?;
            hits(db, shown.versions.into_iter().map(|row| (row.path.clone(), row)).collect())?
        }
        Lookup::Purge { path } => Fact::Purge(retain::doomed(db, path)?),
        Lookup::Surplus { rules, now, seen } => Fact::Surplus(retain::surplus(db, rules, *now, seen)?),
        Lookup::Tokens { text, literals, how, urls } => {
            Fact::Named(named::tokens(db, text, (literals, *how), urls)?)
        }
        Lookup::Directory { mount, patterns, literals } => {
            Fact::Listed(named::directory(db, mount, patterns, literals)?)
        }
        Lookup::Quoted { words, versions, literal } => {
            Fact::Holds(named::quoted(db, words.as_ref(), versions, literal)?)
        }
        Lookup::Fill { .. }
        | Lookup::Agent { .. }
        | Lookup::Search { .. }
        | Lookup::Policy { .. }
        | Lookup::Models { .. } => {
            return Err(db.corrupt("the machine asked the store what only the machine can answer"));
        }
    })
}

/// A moment as the record it means.
pub(crate) fn moment(db: &Db, at: Option<At>) -> Result<Option<Seq>, Trouble> {
    at.map(|at| chain::seq_at(db, at)).transpose()
}

fn names(db: &Db, path: &TreePath, at: Option<Seq>) -> Result<Fact, Trouble> {
    match tree::place(db, path, at)?.head {
        Some(head) if head.node == Node::Dir => {
            let (count, labels) = tree::labels(db, head.file, at)?;
            Ok(Fact::Labels(count, labels))
        }
        _ => Ok(Fact::Labels(0, BTreeSet::new())),
    }
}

fn past(db: &Db, rows: &[Version]) -> Result<Fact, Trouble> {
    let mut labels: BTreeSet<LabelId> = rows.iter().map(|row| row.label).collect();
    labels.extend(tree::named(db, rows.iter().map(|row| row.file), Names::Above)?);
    Ok(Fact::Labels(rows.len() as u64, labels))
}

/// Versions that are shown with their paths, which are text as well: that of whoever chose the names.
fn hits(db: &Db, shown: Vec<(TreePath, Version)>) -> Result<Fact, Trouble> {
    let mut names = tree::named(db, shown.iter().map(|(_, row)| row.file), Names::Above)?;
    shown.iter().for_each(|(_, row)| _ = names.remove(&row.label));
    let first = shown.first().map(|(path, row)| (path.clone(), row.id));
    let mut all: Vec<_> = shown.into_iter().map(|(path, row)| (path, row.id, row.label)).collect();
    if let Some((path, id)) = first {
        all.extend(names.into_iter().map(|label| (path.clone(), id, label)));
    }
    Ok(Fact::Hits(all))
}

/// Entries of a directory that bear one of the labels, or names of one. One that bears such a label itself is
/// not there.
fn hidden(db: &Db, path: &TreePath, at: Option<Seq>, below: &BTreeSet<LabelId>) -> Result<u64, Trouble> {
    let dir = tree::place(db, path, at)?.head;
    let mut count = 0;
    if let Some(dir) = dir.filter(|dir| dir.node == Node::Dir && !below.contains(&dir.label)) {
        let mut trouble = Ok(());
        tree::children(db, dir.file, at, |_, version| match tree::hides(db, below, &version, at) {
            Ok(hides) => {
                count += u64::from(hides);
                Flow::Go
            }
            Err(error) => {
                trouble = Err(error);
                Flow::Stop
            }
        })?;
        trouble?;
    }
    Ok(count)
}

fn holds(db: &Db, text: &Haystack, literal: &str, how: Match) -> Result<bool, Trouble> {
    let hash = match text {
        Haystack::Blob(hash) => *hash,
        Haystack::Path(path) => match tree::place(db, path, None)?.head {
            Some(head) if head.node == Node::File => head.content.hash,
            _ => return Ok(false),
        },
    };
    let Some(bytes) = text_of(db, &hash)? else { return Ok(false) };
    Ok(match how {
        Match::Token => scan::has_token(&String::from_utf8_lossy(&bytes), literal),
        Match::Quoted => scan::Folded::of(&String::from_utf8_lossy(&bytes)).has_quoted(literal),
        Match::Bytes => scan::has_text(&bytes, literal.as_bytes()),
    })
}

/// Bytes that may be searched; what is lost or too large holds nothing.
pub(crate) fn text_of(db: &Db, hash: &Hash) -> Result<Option<Vec<u8>>, Trouble> {
    let found = match blob::get(db, hash) {
        Err(trouble @ Trouble::Corrupt { .. }) if !trouble.is_of(&db.file) => None,
        found => found?,
    };
    Ok(found.filter(|bytes| bytes.len() as u64 <= MATCH_BYTES_MAX))
}

/// Bytes that must be there for an edit; that they are not is the caller's to hear.
fn part(db: &Db, hash: &Hash, what: &str) -> Result<Result<Vec<u8>, Error>, Trouble> {
    let none = || Error::new(Code::Unavailable, format!("the bytes of {what} are not kept any more"));
    match blob::get(db, hash) {
        // A chunk file that was lost or changed is no reason to stop the workspace.
        Err(trouble @ Trouble::Corrupt { .. }) if !trouble.is_of(&db.file) => Ok(Err(trouble.to_error())),
        found => Ok(found?.ok_or_else(none)),
    }
}

/// Shortens `Result<Result<T, Error>, Trouble>` to `T` inside a function that answers the same.
macro_rules! known {
    ($found:expr) => {
        match $found? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        }
    };
}

fn edited(
    db: &Db,
    path: &TreePath,
    base: Option<VersionId>,
    edit: &Edit,
) -> Result<Result<Content, Error>, Trouble> {
    let head = tree::place(db, path, None)?.head;
    if let Some(head) = head.as_ref().filter(|head| head.node != Node::File) {
        let what = format!("{path} is a {}, its bytes cannot be edited", head.node.word());
        return Ok(Err(Error::invalid("path", what)));
    }
    let whole = |version: &Version| match version.content.bytes {
        bytes if bytes > limits::VALUE_BYTES_MAX as u64 => Err(Trouble::TooLarge { bytes }.to_error()),
        _ => Ok(()),
    };
    let bytes = match edit {
        Edit::Append(tail) => {
            if let Some(error) = head.as_ref().and_then(|head| whole(head).err()) {
                return Ok(Err(error));
            }
            let mut bytes = match head {
                Some(head) => known!(part(db, &head.content.hash, "the file")),
                None => Vec::new(),
            };
            bytes.extend(known!(part(db, tail, "what to append")));
            bytes
        }
        Edit::Patch { find, put } => {
            let base = known!(based(db, path, head, base));
            if let Err(error) = whole(&base) {
                return Ok(Err(error));
            }
            let text = known!(part(db, &base.content.hash, "the file"));
            let (find, put) = (known!(part(db, find, "what to find")), known!(part(db, put, "what to put")));
            match replaced(&text, &find, &put) {
                Ok(bytes) => bytes,
                Err(error) => return Ok(Err(error)),
            }
        }
    };
    match blob::put(db, &bytes) {
        Err(Trouble::TooLarge { bytes }) => Ok(Err(Trouble::TooLarge { bytes }.to_error())),
        put => put.map(Ok),
    }
}

/// The version a patch is made against: of this file, whoever names it.
fn based(
    db: &Db,
    path: &TreePath,
    head: Option<Version>,
    base: Option<VersionId>,
) -> Result<Result<Version, Error>, Trouble> {
    let Some(head) = head else {
        return Ok(Err(Error::new(Code::NotFound, format!("nothing stands at {path}")).argument("path")));
    };
    let Some(id) = base.filter(|id| *id != head.id) else { return Ok(Ok(head)) };
    let found = version::get(db, id)?.filter(|base| base.file == head.file && base.node == Node::File);
    let none = || Error::new(Code::NotFound, format!("{id} is no version of {path}")).argument("base");
    Ok(found.ok_or_else(none))
}

/// `text` with `put` for the one place where `find` stands.
fn replaced(text: &[u8], find: &[u8], put: &[u8]) -> Result<Vec<u8>, Error> {
    let bad = |what: &str, hint: &str| Err(Error::invalid("find", what).hint(hint));
    if find.is_empty() {
        return bad("there is nothing to find", "give the text to replace");
    }
    let missing = "the text to find is not in the file";
    let Some(at) = scan::find_text(text, find) else {
        return bad(missing, "read the file again and copy it exactly");
    };
    // One that overlaps the first is a second place too.
    if scan::has_text(text.get(at + 1..).unwrap_or_default(), find) {
        return bad("the text to find is in the file more than once", "give more of what is around it");
    }
    let (before, after) = (text.get(..at), text.get(at + find.len()..));
    Ok([before.unwrap_or_default(), put, after.unwrap_or_default()].concat())
}

/// Entries of a directory, as far as a view shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// They, by name.
    pub entries: Vec<Entry>,
    /// How many were left out, since they lie below the ceiling of who asks.
    pub below: u64,
}

/// See [`crate::Batch::list`].
pub(crate) fn list(db: &Db, path: &TreePath, at: Option<At>, view: &View) -> Result<Listing, Trouble> {
    let at = moment(db, at)?;
    let mut all = Listing::default();
    let mut trouble = Ok(());
    // What cannot be known is hidden, and the answer an error.
    let mut known =
        |hides: Result<bool, Trouble>| hides.map_err(|error| trouble = Err(error)).unwrap_or(true);
    let Some(dir) = tree::place(db, path, at)?.head.filter(|head| head.node == Node::Dir) else {
        return Ok(all);
    };
    tree::children(db, dir.file, at, |name, version| {
        let shown = path.join(&name).is_ok_and(|path| visible(&path, version.node, &view.shown));
        match (shown, shown && known(tree::hides(db, &view.below, &version, at))) {
            (true, false) => all.entries.push(entry(name, version)),
            (true, true) => all.below += 1,
            (false, _) => {}
        }
        if all.entries.len() < limits::LISTING_MAX as usize { Flow::Go } else { Flow::Stop }
    })?;
    trouble?;
    Ok(all)
}

fn entry(name: String, version: Version) -> Entry {
    Entry {
        name,
        node: version.node,
        bytes: if version.node == Node::Dir { 0 } else { version.content.bytes },
        mode: version.mode,
        mtime: version.mtime,
        version: version.id,
        label: version.label,
        actor: version.actor,
    }
}

/// Whether an entry is matched by a pattern, or leads to what could be.
pub(crate) fn visible(path: &TreePath, node: Node, view: &[Pattern]) -> bool {
    view.iter().any(|pattern| pattern.matches(path.as_str()) || (node == Node::Dir && leads(path, pattern)))
}

/// Whether the pattern could match something below the path.
fn leads(path: &TreePath, pattern: &Pattern) -> bool {
    let mut parts = pattern.as_str().split('/').filter(|part| !part.is_empty());
    for name in path.names() {
        match parts.next() {
            Some("**") => return true,
            Some(part) if part == "*" || part == name => {}
            _ => return false,
        }
    }
    parts.next().is_some()
}

#[cfg(test)]
mod tests;
