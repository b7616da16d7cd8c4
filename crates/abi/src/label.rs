//! Flow labels: where the bytes came from and who may see them. Combining joins; nothing here lowers a label.

use crate::limits;
use alloc::{collections::BTreeSet, format, string::String};
use core::fmt;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// How far the bytes can be trusted to say what to do. Ordered: less is less trusted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// Bodies of mail and web, tool results, whatever is unknown.
    #[default]
    External,
    /// Bound directories, approved bundles, what agents make of them.
    Workspace,
    /// Typed by an operator, or standing literally in what an operator wrote.
    Operator,
    /// Ships in the binary.
    System,
}

impl Integrity {
    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Workspace => "workspace",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

/// Who may see the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readers {
    /// Anybody.
    #[default]
    Any,
    /// These principals only; none means nobody.
    Only(BTreeSet<String>),
}

impl Readers {
    /// Those who are in both.
    pub fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any, them) | (them, Self::Any) => them.clone(),
            (Self::Only(a), Self::Only(b)) => Self::Only(a.intersection(b).cloned().collect()),
        }
    }
}

/// A flow label. The join is least integrity, union of sources, intersection of readers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Label {
    /// The least trusted of all that went in.
    pub integrity: Integrity,
    /// Mounts and principals it came from, as `mount:mail` or `mount:mail/ID`; at most 64, then mounts only.
    pub sources: BTreeSet<String>,
    /// Who may see it.
    pub readers: Readers,
}

impl Label {
    /// A label of this integrity from one source, for any reader.
    pub fn new(integrity: Integrity, source: impl Into<String>) -> Self {
        Self { integrity, sources: BTreeSet::from([source.into()]), readers: Readers::Any }
    }

    /// What the binary itself ships.
    pub fn system() -> Self {
        Self { integrity: Integrity::System, sources: BTreeSet::new(), readers: Readers::Any }
    }

    /// Both together.
    pub fn join(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let mut sources: BTreeSet<String> = self.sources.union(&other.sources).cloned().collect();
        // A whole mount stands for each of its items, so a collapsed label does not grow again.
        let whole = |source: &String| {
            source
                .split_once('/')
                .is_some_and(|(mount, _)| self.sources.contains(mount) || other.sources.contains(mount))
        };
        sources.retain(|source| !whole(source));
        if sources.contains(MANY) {
            sources = BTreeSet::from([MANY.into()]);
        }
        if sources.len() > limits::LABEL_SOURCES_MAX {
            sources = collapse(&sources);
        }
        let mut readers = self.readers.meet(&other.readers);
        if matches!(&readers, Readers::Only(set) if set.len() > limits::LABEL_READERS_MAX) {
            readers = Readers::Only(BTreeSet::new());
        }
        Self { integrity: self.integrity.min(other.integrity), sources, readers }
    }

    /// Whether going from `self` to `other` loses nothing: `other` is at most as trusted, names at least the
    /// same origins and has at most the same readers.
    pub fn flows_to(&self, other: &Self) -> bool {
        self.join(other) == *other
    }
}

/// What stands for more mounts and principals than a label can name.
const MANY: &str = "many";

/// Sources cut to what stands before the first `/`; above 64 of those, the one word `many`.
fn collapse(sources: &BTreeSet<String>) -> BTreeSet<String> {
    let mounts: BTreeSet<String> =
        sources.iter().filter_map(|source| source.split('/').next()).map(String::from).collect();
    if mounts.len() > limits::LABEL_SOURCES_MAX { BTreeSet::from([MANY.into()]) } else { mounts }
}

impl fmt::Display for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.integrity.word())?;
        for source in &self.sources {
            write!(out, " {source}")?;
        }
        if let Readers::Only(readers) = &self.readers {
            let names: alloc::vec::Vec<&str> = readers.iter().map(String::as_str).collect();
            out.write_str(&format!(" readers={}", names.join(",")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_is_a_lattice() {
        let mail = Label::new(Integrity::External, "mount:mail");
        let typed = Label::new(Integrity::Operator, "operator:anna");
        let both = mail.join(&typed);
        assert_eq!(both.integrity, Integrity::External);
        assert_eq!(both, typed.join(&mail));
        assert_eq!(both.join(&both), both);
        assert!(mail.flows_to(&both) && typed.flows_to(&both) && !both.flows_to(&typed));
    }

    #[test]
    fn many_sources_collapse_to_their_mounts() {
        let mut label = Label::system();
        for ix in 0..70 {
            label = label.join(&Label::new(Integrity::External, format!("mount:mail/{ix}")));
        }
        assert_eq!(label.sources, BTreeSet::from(["mount:mail".into()]));
        assert_eq!(label.integrity, Integrity::External);
    }
}
