//! Asking the tree itself, file by file: as it was at an earlier moment, or now when there can be no index.
//! It reads at most `SEARCHED_BYTES_MAX` bytes and looks at `CANDIDATES_MAX` entries, and says when there was
//! more. What a match is, `abi::query` says, as for the index; the order is names first, then newest first.

use super::{
    fold,
    hits::{Ask, Found, Hit},
    snippet,
};
use crate::{
    Trouble,
    chain::Head,
    lookup,
    schema::{Db, Flow},
    tree,
};
use abi::{
    Seq, limits,
    path::TreePath,
    query::Query,
    tree::{Node, Version},
};
use std::cmp::Reverse;

/// What may still be done.
struct Left {
    entries: u32,
    bytes: u64,
}

/// A hit, and whether its name alone is one.
struct Match {
    by_name: bool,
    hit: Hit,
}

/// What is found as of a record, or now.
pub(crate) fn find(tree: (&Db, Head), at: Option<Seq>, ask: &Ask<'_>) -> Result<Found, Trouble> {
    let (db, (seq, _)) = tree;
    let mut found = Found { hits: Vec::new(), indexed: seq, seq, cut: false };
    let query = Query::parse(&ask.sought.query).unwrap_or_default();
    let top = ask.sought.path.clone().unwrap_or_else(TreePath::root);
    let Some(head) = tree::place(db, &top, at)?.head.filter(|_| !query.terms.is_empty()) else {
        return Ok(found);
    };
    let mut left = Left { entries: limits::CANDIDATES_MAX, bytes: limits::SEARCHED_BYTES_MAX };
    let mut matches = Vec::new();
    let mut todo = vec![(top, head)];
    while let Some((path, version)) = todo.pop() {
        if version.node == Node::Dir {
            found.cut |= !enter(db, at, (&path, &version), ask, (&mut todo, &mut left))?;
            continue;
        }
        if !ask.shows(&path) || !ask.wants(&version) {
            continue;
        }
        let Some(rest) = left.bytes.checked_sub(version.content.bytes.min(limits::INDEXED_BYTES_MAX)) else {
            found.cut = true;
            continue;
        };
        left.bytes = rest;
        let Some(text) = fold::text(db, &version)? else { continue };
        if query.holds(path.name(), &text) {
            let (snippet, marks) = snippet::cut(&query, &text);
            let by_name = query.holds(path.name(), "");
            matches.push(Match { by_name, hit: Hit { path, version, snippet, marks } });
        }
    }
    matches.sort_by(|a, b| {
        let key = |of: &Match| (Reverse(of.by_name), Reverse(of.hit.version.mtime));
        key(a).cmp(&key(b)).then_with(|| a.hit.path.cmp(&b.hit.path))
    });
    found.cut |= matches.len() > ask.limit();
    found.hits = matches.into_iter().take(ask.limit()).map(|one| one.hit).collect();
    Ok(found)
}

/// Adds the entries of a directory that may hold something to be seen; whether all of them were.
fn enter(
    db: &Db,
    at: Option<Seq>,
    (dir, version): (&TreePath, &Version),
    ask: &Ask<'_>,
    (todo, left): (&mut Vec<(TreePath, Version)>, &mut Left),
) -> Result<bool, Trouble> {
    let mut all = true;
    tree::children(db, version.file, at, |name, version| {
        if left.entries == 0 {
            all = false;
            return Flow::Stop;
        }
        left.entries -= 1;
        let shown = |path: &TreePath| lookup::visible(path, version.node, &ask.view.shown);
        if let Some(path) = dir.join(&name).ok().filter(shown) {
            todo.push((path, version));
        }
        Flow::Go
    })?;
    Ok(all)
}
