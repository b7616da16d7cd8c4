//! Paths of the tree, and patterns over them.
//!
//! A path is UTF-8 in NFC, absolute, without empty, `.` or `..` components. A pattern's components are
//! literal, `*` (exactly one component) or `**` (any number, also none), nothing else: so whether one pattern
//! lies inside another is decidable, and `includes` decides it.

use crate::{Error, limits};
use alloc::{borrow::ToOwned, collections::BTreeSet, format, string::String, vec, vec::Vec};
use core::{fmt, str::FromStr};
use musli::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::is_nfc;

/// A normalised absolute path; `/` is the root. The only way to make one is to pass the checks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[musli(transparent)]
pub struct TreePath(String);

impl TreePath {
    /// Checks that the text is a path as it must be. Nothing is repaired: what is not normal is `Invalid`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::invalid("path", format!("the path {why}"));
        if text.len() > limits::PATH_BYTES_MAX {
            return Err(bad("is longer than 4096 bytes"));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(bad("is not absolute").hint("start it with /"));
        };
        if rest.is_empty() {
            return Ok(Self("/".to_owned()));
        }
        if rest.split('/').count() > limits::PATH_DEPTH_MAX {
            return Err(bad("is deeper than 128 components"));
        }
        for name in rest.split('/') {
            check_name(name).map_err(bad)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The root, `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, root first; none for the root.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &str {
        self.names().next_back().unwrap_or("")
    }

    /// The directory it stands in; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.0 == "/" {
            return None;
        }
        let cut = self.0.rfind('/')?;
        Some(Self(if cut == 0 { "/".to_owned() } else { self.0.get(..cut)?.to_owned() }))
    }

    /// The entry of this name in this directory.
    pub fn join(&self, name: &str) -> Result<Self, Error> {
        let slash = if self.0 == "/" { "" } else { "/" };
        Self::parse(&format!("{}{slash}{name}", self.0))
    }

    /// Whether this is `other` or stands below it.
    pub fn is_below(&self, other: &Self) -> bool {
        let mut mine = self.names();
        other.names().all(|name| mine.next() == Some(name))
    }
}

/// What is wrong with a component, if anything.
fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("has an empty component"),
        "." | ".." => Err("has a component . or .."),
        _ if name.len() > limits::NAME_BYTES_MAX => Err("has a component longer than 255 bytes"),
        _ if name.contains('\0') => Err("has a NUL character"),
        _ if !is_nfc(name) => Err("is not in Unicode normal form C"),
        _ => Ok(()),
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for TreePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(|error| de::Error::custom(error.message))
    }
}

/// Directories of things that tools make anew: only their current content is kept, and nothing is indexed.
pub(crate) const SCRATCH: [&str; 5] = ["node_modules", "target", ".venv", "__pycache__", ".cache"];

/// Whether only the current content of this path is kept.
pub fn is_scratch(path: &TreePath) -> bool {
    path.names().rev().skip(1).any(|name| SCRATCH.contains(&name))
}

/// The same of the names below a bound directory: what that itself is called does not count.
pub fn is_scratch_below<'a>(names: impl DoubleEndedIterator<Item = &'a str>) -> bool {
    names.rev().skip(1).any(|name| SCRATCH.contains(&name))
}

/// Whether the path is left out of the index: scratch, and what git keeps for itself.
pub fn is_unindexed(path: &TreePath) -> bool {
    is_scratch(path) || path.names().any(|name| name == ".git")
}

/// One component of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Name(&'a str),
    /// `*`
    One,
    /// `**`
    Any,
}

/// A set of paths, or of words: `/data/**`, `/mail/*/new`, `mail.send`, `*`. A word may hold a `/` (a model's
/// name does) and is one whole; a word's `*` is every word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[musli(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern over paths.
    pub fn parse(text: &str) -> Result<Self, Error> {
        TreePath::parse(text).map_err(|mut error| {
            error.argument = "pattern".to_owned();
            error
        })?;
        for name in text.split('/') {
            if name.contains('*') && name != "*" && name != "**" {
                return Err(Error::invalid("pattern", "a * inside a component is not a pattern")
                    .hint("use whole components: * is one, ** is any number"));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The pattern that matches exactly this path, whatever stars are in its names.
    pub fn exactly(path: &TreePath) -> Option<Self> {
        Self::parse(path.as_str()).ok().filter(|_| !path.as_str().contains('*'))
    }

    /// A pattern over words: a word, or `*`.
    pub fn word(text: &str) -> Result<Self, Error> {
        let ok = |c: char| c.is_ascii_alphanumeric() || "._-/:*".contains(c);
        if text.is_empty() || text.len() > limits::WORD_BYTES_MAX || !text.chars().all(ok) {
            return Err(Error::invalid("pattern", format!("{text:?} is not a word or *")));
        }
        if text.contains('*') && text != "*" {
            return Err(Error::invalid("pattern", "a word pattern is a whole word or *"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Everything.
    pub fn everything() -> Self {
        Self("/**".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_of_paths(&self) -> bool {
        self.0.starts_with('/')
    }

    fn parts(&self) -> Vec<Part<'_>> {
        parts_of(&self.0)
    }

    /// The literal components before the first star: what an index can key on.
    pub fn literal_prefix(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty()).take_while(|name| *name != "*" && *name != "**")
    }

    /// Whether the path (or word) is in the set.
    pub fn matches(&self, path: &str) -> bool {
        if !self.is_of_paths() {
            return self.0 == "*" || self.0 == path;
        }
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let mut parts = self.0.split('/').filter(|name| !name.is_empty());
        // The common shapes need no table: literals, and one `**` at the end.
        loop {
            match (parts.next(), names.next()) {
                (None, None) => return true,
                (Some("**"), _) if parts.clone().next().is_none() => return true,
                (Some("**"), _) => return self.matches_slow(path),
                (Some("*"), Some(_)) => {}
                (Some(part), Some(name)) if part == name => {}
                _ => return false,
            }
        }
    }

    /// The same by dynamic programming over (part, name): what `**` in the middle needs.
    fn matches_slow(&self, path: &str) -> bool {
        let parts = self.parts();
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        // reach[i] = the first `ix` parts can match the first i names
        let mut reach = vec![false; names.len() + 1];
        if let Some(first) = reach.first_mut() {
            *first = true;
        }
        for part in &parts {
            let mut next = vec![false; names.len() + 1];
            for (ix, slot) in next.clone().iter().enumerate() {
                let _ = slot;
                let here = reach.get(ix).copied().unwrap_or(false);
                let before = ix.checked_sub(1).and_then(|at| reach.get(at)).copied().unwrap_or(false);
                let name = ix.checked_sub(1).and_then(|at| names.get(at)).copied();
                let chained = ix.checked_sub(1).and_then(|at| next.get(at)).copied().unwrap_or(false);
                let value = match part {
                    Part::Any => here || chained,
                    Part::One => before,
                    Part::Name(want) => before && name == Some(*want),
                };
                if let Some(slot) = next.get_mut(ix) {
                    *slot = value;
                }
            }
            reach = next;
        }
        reach.last().copied().unwrap_or(false)
    }

    /// Whether every path that `other` matches is matched by this one too.
    ///
    /// Both are regular languages over components; `other ⊆ self` is decided by walking `other`'s automaton
    /// with the set of states `self` can be in. A fresh name that neither mentions stands for all names not
    /// mentioned. The walk is bounded: of two patterns for which it would be longer the answer is no, which
    /// grants nothing.
    pub fn includes(&self, other: &Self) -> bool {
        if !self.is_of_paths() || !other.is_of_paths() {
            return self.is_of_paths() == other.is_of_paths() && (self.0 == "*" || self == other);
        }
        let mine = self.parts();
        let theirs = other.parts();
        let start = close(&mine, &[0]);
        let mut seen: BTreeSet<(usize, Vec<usize>)> = BTreeSet::new();
        let mut todo = vec![(0_usize, start)];
        while let Some((at, states)) = todo.pop() {
            if seen.contains(&(at, states.clone())) {
                continue;
            }
            if seen.len() >= limits::PATTERN_STEPS_MAX {
                return false;
            }
            if at == theirs.len() && !states.contains(&mine.len()) {
                return false;
            }
            for (next, letter) in steps(&theirs, at) {
                let moved = letter.map_or_else(|| states.clone(), |letter| advance(&mine, &states, letter));
                todo.push((next, moved));
            }
            seen.insert((at, states));
        }
        true
    }
}

fn parts_of(text: &str) -> Vec<Part<'_>> {
    text.split('/')
        .filter(|name| !name.is_empty())
        .map(|name| match name {
            "*" => Part::One,
            "**" => Part::Any,
            name => Part::Name(name),
        })
        .collect()
}

/// A name that no pattern contains (patterns never hold NUL): stands for "any name not mentioned".
const FRESH: &str = "\0";

/// Moves out of state `at` of an automaton: to which state, reading which letter (`None` reads nothing).
fn steps<'a>(parts: &[Part<'a>], at: usize) -> Vec<(usize, Option<&'a str>)> {
    match parts.get(at) {
        None => vec![],
        Some(Part::Name(name)) => vec![(at + 1, Some(*name))],
        // `*` reads any name; a fresh one is the hardest, since a literal of the other side never matches it.
        Some(Part::One) => vec![(at + 1, Some(FRESH))],
        Some(Part::Any) => vec![(at + 1, None), (at, Some(FRESH))],
    }
}

/// All states reachable without reading: a `**` may be passed.
fn close(parts: &[Part<'_>], states: &[usize]) -> Vec<usize> {
    let mut all: Vec<usize> = states.to_vec();
    let mut ix = 0;
    while let Some(state) = all.get(ix).copied() {
        if parts.get(state) == Some(&Part::Any) && !all.contains(&(state + 1)) {
            all.push(state + 1);
        }
        ix += 1;
    }
    all.sort_unstable();
    all
}

/// The states after reading a letter.
fn advance(parts: &[Part<'_>], states: &[usize], letter: &str) -> Vec<usize> {
    let mut next: Vec<usize> = Vec::new();
    for state in states {
        let to = match parts.get(*state) {
            Some(Part::Any) => *state,
            Some(Part::One) => state + 1,
            Some(Part::Name(name)) if *name == letter => state + 1,
            _ => continue,
        };
        if !next.contains(&to) {
            next.push(to);
        }
    }
    close(parts, &next)
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let parsed = if text.starts_with('/') { Self::parse(&text) } else { Self::word(&text) };
        parsed.map_err(|error| de::Error::custom(error.message))
    }
}

#[cfg(test)]
mod tests;
