//! Asking the index: candidates by its words, each checked against the tree as it is now.
//!
//! ```text
//! query ─▶ at most CANDIDATES_MAX files, newest first ─▶ best first ─▶ stands there? shown? wanted? ─▶ limit
//! ```
//!
//! What the caller may not see is left out before the limit. Never here: a hit whose content, place or label
//! is not that of the tree.

use super::{Index, fold, kept, snippet};
use crate::{
    Trouble,
    chain::Head,
    schema::{Db, Flow},
    tree::{self, When},
    version::{hash, number},
};
use abi::{
    FileId, LabelId, Seq,
    call::Sought,
    fact::View,
    limits,
    path::{self, TreePath},
    query::{End, Query},
    tree::{Node, Version},
};
use rusqlite::params;
use std::collections::BTreeMap;

/// How much more a match in a file's name counts than one in its text.
const NAME_WEIGHT: f64 = 5.0;

/// A search, and for whom.
pub struct Ask<'a> {
    /// What is sought.
    pub sought: &'a Sought,
    /// What the caller may see.
    pub view: &'a View,
    /// Whether a label is of the integrity that is sought: only the kernel knows what a label means.
    pub suits: &'a dyn Fn(LabelId) -> bool,
}

/// One file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where it stands, or stood then.
    pub path: TreePath,
    /// Its head.
    pub version: Version,
    /// The text around the first match; empty when too much would have to be read for it.
    pub snippet: String,
    /// Where in the snippet something matches, from byte to byte.
    pub marks: Vec<(u32, u32)>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Up to this record everything was looked at.
    pub indexed: Seq,
    /// The last record there is.
    pub seq: Seq,
    /// There may be more.
    pub cut: bool,
}

impl Ask<'_> {
    /// Whether a version that stands at a path is one of those that are sought and may be seen.
    pub(super) fn wants(&self, version: &Version) -> bool {
        let sought = self.sought;
        version.node == Node::File
            && !self.view.below.contains(&version.label)
            && sought.author.as_ref().is_none_or(|author| *author == version.actor)
            && sought.since.is_none_or(|since| version.mtime >= since)
            && sought.until.is_none_or(|until| version.mtime < until)
            && (sought.label.is_none() || (self.suits)(version.label))
            && !self.view.below.contains(&version.label)
    }

    /// Whether the path is one of those that are sought and that may be seen.
    pub(super) fn shows(&self, path: &TreePath) -> bool {
        self.sought.path.as_ref().is_none_or(|top| path.is_below(top))
            && self.view.shows(path.as_str())
            && !path::is_unindexed(path)
    }

    /// How many hits at most.
    pub(super) fn limit(&self) -> usize {
        self.sought.limit.min(limits::HITS_MAX) as usize
    }
}

/// Words as the index is asked for them. They are letters and digits, so nothing in them is syntax.
fn expression(query: &Query) -> String {
    let terms = query.terms.iter().map(|term| {
        let star = if term.end == End::Open { " *" } else { "" };
        format!("\"{}\"{star}", term.words.join(" "))
    });
    terms.collect::<Vec<String>>().join(" AND ")
}

impl Index {
    /// See the module.
    pub(super) fn find(&self, tree: (&Db, Head), ask: &Ask<'_>) -> Result<Found, Trouble> {
        let mut found = Found { hits: Vec::new(), indexed: self.settled, seq: tree.1.0, cut: false };
        let query = Query::parse(&ask.sought.query).unwrap_or_default();
        if query.terms.is_empty() {
            return Ok(found);
        }
        let candidates = self.candidates(&query, &mut found.cut)?;
        let mut places = Places { tree: tree.0, known: BTreeMap::new() };
        let mut left = limits::SEARCHED_BYTES_MAX;
        for file in candidates {
            let Some((path, version)) = self.check(&mut places, file, ask)? else { continue };
            if found.hits.len() == ask.limit() {
                found.cut = true;
                break;
            }
            let (snippet, marks) = read(tree.0, &query, &version, &mut left)?;
            found.hits.push(Hit { path, version, snippet, marks });
        }
        Ok(found)
    }

    /// Files that hold the words, best first.
    fn candidates(&self, query: &Query, cut: &mut bool) -> Result<Vec<FileId>, Trouble> {
        let sql = "SELECT rowid, bm25(text, ?3, 1.0) FROM text WHERE text MATCH ?1
                   ORDER BY rowid DESC LIMIT ?2";
        let mut all: Vec<(f64, FileId)> = Vec::new();
        let row = params![expression(query), limits::CANDIDATES_MAX.saturating_add(1), NAME_WEIGHT];
        let of = |error| Trouble::of(&self.db.file, error);
        self.db.each(sql, row, |row| {
            let (file, score) = (number(row, 0).map_err(of)?, row.get(1).map_err(of)?);
            *cut |= all.len() == limits::CANDIDATES_MAX as usize;
            if !*cut {
                all.push((score, FileId(file)));
            }
            Ok(Flow::Go)
        })?;
        // The lower the score the better; of equals the newer file.
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        Ok(all.into_iter().map(|(_, file)| file).collect())
    }

    /// A candidate, if what the index says of it is still so and it is sought and may be seen.
    fn check(
        &self,
        places: &mut Places<'_>,
        file: FileId,
        ask: &Ask<'_>,
    ) -> Result<Option<(TreePath, Version)>, Trouble> {
        let Some(path) = places.of(file)?.filter(|path| ask.shows(path)) else { return Ok(None) };
        let Some(version) = tree::head(places.tree, file, None)?.filter(|head| ask.wants(head)) else {
            return Ok(None);
        };
        let indexed =
            self.db.one("SELECT hash FROM docs WHERE file = ?", [kept(file)], |row| hash(row, 0))?;
        Ok((indexed == Some(version.content.hash)).then_some((path, version)))
    }
}

/// A snippet of a version, while there are bytes left to be read for one.
pub(super) fn read(
    tree: &Db,
    query: &Query,
    version: &Version,
    left: &mut u64,
) -> Result<(String, Vec<(u32, u32)>), Trouble> {
    let bytes = version.content.bytes.min(limits::INDEXED_BYTES_MAX);
    let Some(rest) = left.checked_sub(bytes) else { return Ok((String::new(), Vec::new())) };
    *left = rest;
    Ok(fold::text(tree, version)?.map(|text| snippet::cut(query, &text)).unwrap_or_default())
}

/// Where files stand; each directory is walked up once.
struct Places<'a> {
    tree: &'a Db,
    known: BTreeMap<FileId, Option<TreePath>>,
}

impl Places<'_> {
    fn of(&mut self, file: FileId) -> Result<Option<TreePath>, Trouble> {
        let Some((dir, name)) = tree::spot(self.tree, file, When::Now)? else { return Ok(None) };
        let above = match self.known.get(&dir) {
            Some(above) => above,
            None => {
                let above = tree::path_of(self.tree, dir)?;
                self.known.entry(dir).or_insert(above)
            }
        };
        Ok(above.as_ref().and_then(|above| above.join(&name).ok()))
    }
}
