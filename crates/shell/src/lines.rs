//! Where each line of a text comes from: from a version back to those it was made from, line by line.
//!
//! ```text
//! todo: version ▸ its lines that are looked for        newest version first, so that all who come from it
//!   a line that stood in a parent  → goes on there     are done before it is looked at
//!   a line that stood in none      → is this version's
//! ```
//!
//! Of a merge, a line goes to the first of its parents that has it, so to whoever brought it in. Never here:
//! how texts and parents are got, what is printed.

use crate::{compare, fail::Fail};
use std::collections::{BTreeMap, btree_map::Entry};

/// Whose a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This version brought it.
    Of(u64),
    /// It stood in this version already; what came before is out of sight.
    Older(u64),
}

/// What a version was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parents {
    /// These; none at all when it was the first.
    Known(Vec<u64>),
    /// Nobody looks so far back.
    Unknown,
}

/// Versions of a file.
pub trait Past {
    /// The text of a version; none when it has none, or it is not kept.
    fn text(&mut self, version: u64) -> Result<Option<String>, Fail>;
    /// What it was made from.
    fn parents(&self, version: u64) -> Parents;
}

/// A line of the version that is looked at, and the line of the result it stands for.
type Sought = Vec<(usize, usize)>;

/// The origin of every line of a version.
pub fn origins(past: &mut dyn Past, head: u64) -> Result<Vec<Origin>, Fail> {
    let mut texts: BTreeMap<u64, Option<String>> = BTreeMap::new();
    let text = whole(past.text(head)?.unwrap_or_default());
    let count = text.lines().count();
    texts.insert(head, Some(text));
    let mut found = vec![Origin::Of(head); count];
    let mut todo: BTreeMap<u64, Sought> = BTreeMap::new();
    todo.insert(head, (0..count).map(|line| (line, line)).collect());
    while let Some((version, mut sought)) = todo.pop_last() {
        let Some(Some(text)) = texts.remove(&version) else { continue };
        let mut origin = Origin::Of(version);
        let parents = match past.parents(version) {
            Parents::Known(parents) => parents,
            Parents::Unknown => {
                origin = Origin::Older(version);
                Vec::new()
            }
        };
        // A version is younger than what it was made from; anything else would never end.
        for parent in parents.into_iter().filter(|parent| *parent < version) {
            if sought.is_empty() {
                break;
            }
            let old = match texts.entry(parent) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(slot) => slot.insert(past.text(parent)?.map(whole)),
            };
            let Some(old) = old else {
                origin = Origin::Older(version);
                continue;
            };
            let stood = compare::stood(old, &text);
            let place = |line: usize| stood.get(line).copied().flatten();
            let there = todo.entry(parent).or_default();
            there.extend(sought.iter().filter_map(|(line, of)| Some((place(*line)?, *of))));
            sought.retain(|(line, _)| place(*line).is_none());
        }
        for (_, of) in sought {
            if let Some(slot) = found.get_mut(of) {
                *slot = origin;
            }
        }
    }
    Ok(found)
}

/// The text with an end to its last line: a line is the same with it and without.
fn whole(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions by number: text, parents.
    struct Made(BTreeMap<u64, (Option<&'static str>, Parents)>);

    impl Past for Made {
        fn text(&mut self, version: u64) -> Result<Option<String>, Fail> {
            Ok(self.0.get(&version).and_then(|(text, _)| *text).map(str::to_owned))
        }

        fn parents(&self, version: u64) -> Parents {
            self.0.get(&version).map_or(Parents::Unknown, |(_, parents)| parents.clone())
        }
    }

    fn made(rows: &[(u64, Option<&'static str>, &[u64])]) -> Made {
        let row = |(id, text, parents): &(u64, Option<&'static str>, &[u64])| {
            (*id, (*text, Parents::Known(parents.to_vec())))
        };
        Made(rows.iter().map(row).collect())
    }

    #[test]
    fn lines_go_to_who_brought_them() {
        let mut past = made(&[
            (1, Some("a\nb\nc\n"), &[]),
            (2, Some("a\nB\nc\n"), &[1]),
            (3, Some("a\nB\nc\nd"), &[2]),
            (4, Some("a\nB\nc\nd\n"), &[3]),
        ]);
        let of = Origin::Of;
        assert_eq!(origins(&mut past, 4).unwrap(), [of(1), of(2), of(1), of(3)]);
        assert_eq!(origins(&mut past, 1).unwrap(), [of(1); 3]);
    }

    #[test]
    fn a_merge_brings_nothing_of_its_own() {
        let mut past = made(&[
            (1, Some("a\nb\nc\nd\n"), &[]),
            (2, Some("A\nb\nc\nd\n"), &[1]),
            (3, Some("a\nb\nc\nD\n"), &[1]),
            (4, Some("A\nb\nc\nD\n"), &[2, 3]),
            (5, Some("A\nx\nc\nD\n"), &[4]),
        ]);
        let of = Origin::Of;
        assert_eq!(origins(&mut past, 5).unwrap(), [of(2), of(5), of(1), of(3)]);
    }

    #[test]
    fn a_resolution_by_hand_owns_what_neither_had() {
        let mut past = made(&[
            (1, Some("status: open\n"), &[]),
            (2, Some("status: won\n"), &[1]),
            (3, Some("status: lost\n"), &[1]),
            (4, Some("status: won\nby half\n"), &[2, 3]),
        ]);
        assert_eq!(origins(&mut past, 4).unwrap(), [Origin::Of(2), Origin::Of(4)]);
    }

    #[test]
    fn what_is_out_of_sight_is_older() {
        let mut past = made(&[(7, Some("a\nb\n"), &[6]), (6, None, &[5]), (5, Some("a\n"), &[])]);
        assert_eq!(origins(&mut past, 7).unwrap(), [Origin::Older(7); 2]);
        let mut past = made(&[(7, Some("a\nb\n"), &[6]), (6, Some("a\n"), &[])]);
        past.0.insert(6, (Some("a\n"), Parents::Unknown));
        assert_eq!(origins(&mut past, 7).unwrap(), [Origin::Older(6), Origin::Of(7)]);
    }

    #[test]
    fn a_history_that_names_itself_ends() {
        let mut past = made(&[(3, Some("a\n"), &[3, 9]), (9, Some("a\n"), &[3])]);
        assert_eq!(origins(&mut past, 3).unwrap(), [Origin::Of(3)]);
    }
}
