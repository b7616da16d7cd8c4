//! The tree after one record, read from beside the loop that writes it: what a view is served from. It sees
//! what is committed, and never what is decided and not yet in the file.

use crate::{
    Trouble, blob,
    schema::{self, Db, Flow},
    tree, workspace,
};
use abi::{Content, FileId, LabelId, Seq, call::Part, tree::Version};
use std::path::Path;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name; empty for the root.
    pub name: String,
    /// Its head then.
    pub head: Version,
    /// Label of the name.
    pub named: LabelId,
}

/// A connection that only reads.
pub struct Reader {
    db: Db,
}

impl Reader {
    /// Opens the workspace in this directory.
    pub fn open(dir: &Path) -> Result<Self, Trouble> {
        Ok(Self { db: schema::look(&dir.join(workspace::FILE))? })
    }

    /// The root directory after this record.
    pub fn root(&self, at: Seq) -> Result<Option<Named>, Trouble> {
        let head = tree::head(&self.db, abi::ROOT, Some(at))?;
        Ok(head.map(|head| Named { name: String::new(), named: head.label, head }))
    }

    /// One name in a directory.
    pub fn child(&self, dir: FileId, name: &str, at: Seq) -> Result<Option<Named>, Trouble> {
        let head = tree::step(&self.db, dir, name, Some(at))?;
        head.map(|head| self.found(name.to_owned(), head, at)).transpose()
    }

    /// All of them.
    pub fn list(&self, dir: FileId, at: Seq) -> Result<Vec<Named>, Trouble> {
        let mut rows = Vec::new();
        tree::children(&self.db, dir, Some(at), |name, head| {
            rows.push((name, head));
            Flow::Go
        })?;
        rows.into_iter().map(|(name, head)| self.found(name, head, at)).collect()
    }

    fn found(&self, name: String, head: Version, at: Seq) -> Result<Named, Trouble> {
        let named = tree::name_label(&self.db, head.file, at)?.unwrap_or(head.label);
        Ok(Named { name, head, named })
    }

    /// Bytes of a content, at most a mebibyte of them; none if they are not kept any more.
    pub fn part(&self, content: &Content, part: Part) -> Result<Option<Vec<u8>>, Trouble> {
        blob::part(&self.db, content, part)
    }

    /// Directories in which anything changed between two records, at most so many; none: more than that.
    pub fn changed(&self, (after, upto): (Seq, Seq), most: usize) -> Result<Option<Vec<FileId>>, Trouble> {
        tree::changed(&self.db, (after, upto), most)
    }
}
