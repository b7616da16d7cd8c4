//! Where a literal is named: the facts by which the table of sinks finds that somebody vouched for it.
//!
//! Each looks through a bounded number of bytes; what lies beyond them names nothing.
//! Never here: whether being named is enough. That is the kernel's.

use crate::{
    Trouble, chain,
    lookup::{MATCH_BYTES_MAX, text_of},
    mention,
    schema::Db,
    tree, version,
};
use abi::{
    EffectId, Hash, LabelId, VersionId,
    fact::{Deed, Match},
    limits,
    path::{Pattern, TreePath},
    record::Entry,
    scan::{Folded, quotes_url},
    tree::{Node, Version},
};
use std::collections::{BTreeSet, btree_map::BTreeMap};

/// Which of the literals stand in a blob as whole tokens, and then which of the URLs as whole ones.
pub(crate) fn tokens(
    db: &Db,
    text: &Hash,
    (literals, how): (&[String], Match),
    urls: &[String],
) -> Result<Vec<bool>, Trouble> {
    let Some(bytes) = text_of(db, text)? else { return Ok(vec![false; literals.len() + urls.len()]) };
    let text = Folded::of(&String::from_utf8_lossy(&bytes));
    let literals = literals.iter().map(|literal| match how {
        Match::Quoted => text.has_quoted(literal),
        Match::Token | Match::Bytes => text.has_token(literal),
    });
    Ok(literals.chain(urls.iter().map(|url| text.has_url(url))).collect())
}

/// Labels of the files of a mount's directory in which each literal stands. Only what the mount itself
/// brought to that very place counts: a file that somebody else wrote or moved there vouches for nobody.
pub(crate) fn directory(
    db: &Db,
    mount: &str,
    patterns: &[Pattern],
    literals: &[String],
) -> Result<Vec<BTreeSet<LabelId>>, Trouble> {
    let mut found = vec![BTreeSet::new(); literals.len().min(limits::VOUCHED_MAX)];
    let Ok(top) = TreePath::parse(&format!("/integrations/{mount}")) else { return Ok(found) };
    let actor = format!("mount:{mount}");
    let mut left = limits::DIRECTORY_BYTES_MAX;
    let mut files = BTreeMap::new();
    for pattern in patterns {
        let prefix = pattern.literal_prefix().try_fold(top.clone(), |path, name| path.join(name));
        // More than an operation may hold is no directory that a person keeps.
        let Some(Ok(below)) = prefix.ok().map(|prefix| tree::below(db, &prefix)).transpose()? else {
            continue;
        };
        for (path, _, version) in below {
            let inside = path.as_str().strip_prefix(top.as_str()).unwrap_or("");
            let brought = version.actor == actor && version.path == path;
            if version.node == Node::File && brought && pattern.matches(inside) {
                files.insert(path, version);
            }
        }
    }
    for version in files.values() {
        let bytes = version.content.bytes;
        if bytes > MATCH_BYTES_MAX || bytes > left {
            continue;
        }
        left -= bytes;
        let Some(bytes) = text_of(db, &version.content.hash)? else { continue };
        let text = Folded::of(&String::from_utf8_lossy(&bytes));
        for (labels, literal) in found.iter_mut().zip(literals) {
            if text.has_token(literal) {
                labels.insert(version.label);
            }
        }
    }
    Ok(found)
}

/// What a mount brought. What an agent wrote, or an operator approved of an agent's, quotes nobody: it could
/// have been composed there.
fn came_in(version: &Version) -> bool {
    version.node == Node::File && version.actor.starts_with("mount:")
}

/// Whether a URL stands whole, byte for byte, in the operator's words or in one of these versions, as far as
/// a mount brought it.
pub(crate) fn quoted(
    db: &Db,
    words: Option<&Hash>,
    versions: &[VersionId],
    literal: &str,
) -> Result<bool, Trouble> {
    let said = words.map(|words| text_of(db, words)).transpose()?.flatten();
    if said.is_some_and(|bytes| quotes_url(&String::from_utf8_lossy(&bytes), literal)) {
        return Ok(true);
    }
    let mut left = limits::QUOTED_BYTES_MAX;
    for id in versions.iter().take(limits::QUOTED_VERSIONS_MAX) {
        let Some(version) = version::get(db, *id)?.filter(came_in) else { continue };
        let bytes = version.content.bytes;
        if bytes > MATCH_BYTES_MAX || bytes > left {
            continue;
        }
        left -= bytes;
        let Some(bytes) = text_of(db, &version.content.hash)? else { continue };
        if quotes_url(&String::from_utf8_lossy(&bytes), literal) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An effect that ended: its arguments and what was answered, from the records that name it.
pub(crate) fn deed(db: &Db, effect: &EffectId) -> Result<Option<Deed>, Trouble> {
    let (mut intended, mut ended) = (None, None);
    for seq in mention::places(db, &mention::effect(effect), limits::LISTING_MAX as usize)? {
        let Some((record, _)) = chain::one(db, seq)? else { continue };
        match record.body {
            Entry::Intended { mount, kind, args, .. } => intended = Some((mount, kind, args)),
            Entry::EffectEnded { done, outcome, .. } => ended = Some((done, outcome)),
            _ => {}
        }
    }
    let (Some((mount, kind, args)), Some((done, outcome))) = (intended, ended) else { return Ok(None) };
    let Some(args) = text_of(db, &args.hash)? else { return Ok(None) };
    let answer = text_of(db, &outcome.hash)?.unwrap_or_default();
    Ok(Some(Deed { mount, kind, args, done, answer }))
}
