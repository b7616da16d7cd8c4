//! One transaction over a workspace: what is appended and asked in it is there together, or not at all.
//!
//! A batch whose writing failed cannot be committed: half of a record is never kept. Dropping it rolls back.

use crate::{
    Trouble, Workspace,
    blob::{self, Kept},
    chain::{self, Head},
    conflict, cost,
    index::{self, Ask, Found, Slot},
    large::Manifest,
    lookup::{self, Listing},
    mention, retain,
    schema::Db,
    tree::{self, Names},
    version::{self, Shown},
    why::{self, Reasons},
};
use abi::{
    Content, Error, FileId, Hash, LabelId, OpId, Pid, Seq, VersionId,
    call::{At, Part, Subject},
    fact::{Cost, Fact, Lookup, View},
    path::TreePath,
    record::Record,
    tree::Version,
};
use std::collections::BTreeSet;

/// An open transaction.
pub struct Batch<'a> {
    workspace: &'a mut Workspace,
    head: Head,
    failed: Option<Trouble>,
}

impl<'a> Batch<'a> {
    pub(crate) fn begin(workspace: &'a mut Workspace) -> Result<Self, Trouble> {
        workspace.db.run("BEGIN IMMEDIATE", [])?;
        let head = workspace.head;
        Ok(Self { workspace, head, failed: None })
    }

    pub(crate) fn db(&self) -> &Db {
        &self.workspace.db
    }

    /// Adds a record to the log, and carries out what it says of the tree.
    pub fn append(&mut self, record: &Record) -> Result<(), Trouble> {
        let written = chain::append(self.db(), self.head, record)
            .and_then(|head| tree::fold(self.db(), record).map(|()| head))
            .and_then(|head| mention::fold(self.db(), record).map(|()| head))
            .and_then(|head| retain::fold(self.db(), record).map(|()| head))
            .and_then(|head| cost::fold(self.db(), record).map(|()| head));
        self.head = self.note(written)?;
        Ok(())
    }

    /// Keeps bytes under their hash: of one value, at most 1 MiB.
    pub fn put_blob(&mut self, bytes: &[u8]) -> Result<Content, Trouble> {
        let written = blob::put(self.db(), bytes);
        self.note(written)
    }

    /// Keeps what was uploaded, if all of it still stands; else what its uploader is told.
    pub fn put_large(&mut self, manifest: &Manifest) -> Result<Result<Kept, Error>, Trouble> {
        let written = blob::put_large(self.db(), manifest);
        self.note(written)
    }

    /// Lets go of what was put in this transaction, since no record came to name it.
    pub fn forget(&mut self, content: &Content) -> Result<(), Trouble> {
        let written = blob::remove(self.db(), &content.hash);
        self.note(written)
    }

    /// Answers the kernel's question; all but `Fill` and `Agent`, which are the machine's.
    pub fn answer(&mut self, lookup: &Lookup) -> Result<Fact, Trouble> {
        let answer = lookup::answer(self.db(), lookup);
        self.note(answer)
    }

    /// What a search finds that this view shows. The index may catch up until it is told to stop; what it
    /// lacks then is not found, and said.
    pub fn search(&mut self, ask: &Ask<'_>, until: &mut dyn FnMut() -> bool) -> Result<Found, Trouble> {
        let Workspace { db, index, options, .. } = &mut *self.workspace;
        let tree = (&*db, self.head);
        let mut found = match lookup::moment(db, ask.sought.at)? {
            Some(at) => index::walk::find(tree, Some(at), ask),
            None => index.find(tree, options, ask, until),
        }?;
        let hits = std::mem::take(&mut found.hits);
        for hit in hits {
            let shown = Names::shown(ask.sought.at);
            if !tree::hides_path(db, &ask.view.below, (hit.version.file, shown))? {
                found.hits.push(hit);
            }
        }
        Ok(found)
    }

    /// Labels of the names by which hits of a search at a moment are shown, directories above them too.
    pub fn named(
        &mut self,
        files: impl IntoIterator<Item = FileId>,
        at: Option<At>,
    ) -> Result<BTreeSet<LabelId>, Trouble> {
        tree::named(self.db(), files, Names::shown(at))
    }

    /// Entries of a directory by name: those that the view matches, or that lead to what it could match, and
    /// that bear no label it must not see.
    pub fn list(&mut self, path: &TreePath, at: Option<At>, view: &View) -> Result<Listing, Trouble> {
        lookup::list(self.db(), path, at, view)
    }

    /// A version by its name.
    pub fn version(&mut self, id: VersionId) -> Result<Option<Version>, Trouble> {
        version::get(self.db(), id)
    }

    /// Versions of the file that stands at a path, or stood there last, that a view shows; newest first.
    pub fn history(
        &mut self,
        path: &TreePath,
        page: (Option<VersionId>, u32),
        view: &View,
    ) -> Result<Shown, Trouble> {
        tree::history(self.db(), path, page, view)
    }

    /// Versions of an operation that a view shows.
    pub fn operation(&mut self, op: OpId, view: &View, limit: u32) -> Result<Shown, Trouble> {
        conflict::operation(self.db(), op, view, limit)
    }

    /// The open conflicts that a view shows: path, diverged version, head.
    pub fn conflicts(&mut self, view: &View) -> Result<Vec<(TreePath, Version, Version)>, Trouble> {
        conflict::open(self.db(), view)
    }

    /// What model calls of the days from one up to, not with, another came to; at most `limit` sums.
    pub fn costs(&mut self, days: (u64, u64), limit: u32) -> Result<Vec<Cost>, Trouble> {
        cost::between(self.db(), days, limit)
    }

    /// The first and the last day on which a model call was booked.
    pub fn cost_days(&mut self) -> Result<Option<(u64, u64)>, Trouble> {
        cost::days(self.db())
    }

    /// Every record that led to something; none when there is no such thing.
    pub fn why(&mut self, subject: Subject) -> Result<Option<Reasons>, Trouble> {
        why::reasons(self.db(), subject)
    }

    /// The record by which bytes were destroyed, if they were.
    pub fn gone(&mut self, hash: &Hash) -> Result<Option<Record>, Trouble> {
        retain::gone(self.db(), hash)
    }

    /// Bytes of a blob, if it is kept and at most 1 MiB.
    pub fn blob(&mut self, hash: &Hash) -> Result<Option<Vec<u8>>, Trouble> {
        blob::get(self.db(), hash)
    }

    /// Some bytes of a content, if it is kept.
    pub fn part(&mut self, content: &Content, part: Part) -> Result<Option<Vec<u8>>, Trouble> {
        blob::part(self.db(), content, part)
    }

    /// At most `limit` records after `from`, oldest first, with their hashes; of these processes or of all.
    pub fn records(
        &mut self,
        from: Seq,
        limit: u32,
        pids: Option<&BTreeSet<Pid>>,
    ) -> Result<Vec<(Record, Hash)>, Trouble> {
        chain::records(self.db(), from, limit, pids)
    }

    /// Makes it all stand. After an error nothing of it does.
    pub fn commit(mut self) -> Result<(), Trouble> {
        if let Some(trouble) = self.failed.take() {
            return Err(trouble);
        }
        #[cfg(feature = "plant")]
        if crate::plant::lies() {
            self.workspace.head = self.head;
            return Ok(());
        }
        self.db().run("COMMIT", [])?;
        self.workspace.head = self.head;
        Ok(())
    }

    /// Remembers that writing failed. What is only too large was not begun; old records are only read.
    fn note<T>(&mut self, written: Result<T, Trouble>) -> Result<T, Trouble> {
        match &written {
            Ok(_) | Err(Trouble::TooLarge { .. } | Trouble::Segment { .. }) => {}
            Err(trouble) => self.failed = Some(trouble.clone()),
        }
        written
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // After a commit, or a rollback by SQLite itself, there is nothing open.
        if !self.db().connection.is_autocommit() {
            // If this fails too, the next BEGIN says so; the file has nothing of it.
            let _ = self.db().run("ROLLBACK", []);
            // What it took in of this batch never was; when it is opened again it sees that.
            if self.head != self.workspace.head {
                self.workspace.index = Slot::Closed;
            }
        }
    }
}
