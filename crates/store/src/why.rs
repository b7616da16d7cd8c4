//! Every record that led to something: from it back along the causes, through what its process had seen, to
//! the versions it saw them in and to those who made these, until nothing is left but what came from outside
//! or from an operator.
//!
//! ```text
//! version   ──▶ its record ──▶ its process up to then; the versions it was made from
//! effect, proposal ──▶ the records that name it ──▶ its process up to then; who decided
//! process   ──▶ how it was started ──▶ its parent up to then; what it saw ──▶ versions
//! ```
//!
//! Bounded by `WHY_RECORDS_MAX`; what is cut says so. Never here: what a label means.

use crate::{
    Trouble, chain, mention,
    schema::Db,
    version::{self, number},
};
use abi::{
    Hash, Pid, Seq, VersionId, WORKSPACE,
    call::Subject,
    limits,
    record::{Entry, Record},
};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet};

/// The records, oldest first with their hashes, and whether there are more than are told.
pub struct Reasons {
    /// Them.
    pub records: Vec<(Record, Hash)>,
    /// More led to it than `WHY_RECORDS_MAX`.
    pub cut: bool,
}

/// Something whose reasons are still to be looked for.
#[derive(Clone, Copy)]
enum Thread {
    Record(Seq),
    Version(VersionId),
    /// What a process had seen when this record was written.
    Process(Pid, Seq),
}

#[derive(Default)]
struct Walk {
    found: BTreeMap<Seq, (Record, Hash)>,
    versions: BTreeSet<VersionId>,
    /// Up to where each process has been followed.
    processes: BTreeMap<Pid, Seq>,
    todo: Vec<Thread>,
}

/// See the module; none when there is no such thing.
pub(crate) fn reasons(db: &Db, subject: Subject) -> Result<Option<Reasons>, Trouble> {
    let mut walk = Walk::default();
    let most = limits::WHY_RECORDS_MAX;
    let named = |what: &[u8]| -> Result<Vec<Thread>, Trouble> {
        Ok(mention::places(db, what, most)?.into_iter().map(Thread::Record).collect())
    };
    walk.todo = match subject {
        Subject::Version(id) => version::get(db, id)?.map(|_| Thread::Version(id)).into_iter().collect(),
        Subject::Operation(op) => {
            let sql = "SELECT id FROM versions WHERE op = ? AND id <> 0 ORDER BY id LIMIT ?";
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let read = |row: &rusqlite::Row<'_>| number(row, 0).map(|id| Thread::Version(VersionId(id)));
            db.all(sql, params![op.0.cast_signed(), most], read)?
        }
        Subject::Proposal(id) => named(&mention::proposal(id))?,
        Subject::Effect(id) => named(&mention::effect(&id))?,
        Subject::Label(id) => named(&mention::label(id))?,
        Subject::Process(pid) => {
            let begins = named(&mention::start(pid))?;
            if begins.is_empty() {
                begins
            } else {
                let fate = named(&mention::fate(pid))?;
                [Thread::Process(pid, Seq(u64::MAX))].into_iter().chain(fate).collect()
            }
        }
    };
    if walk.todo.is_empty() {
        return Ok(None);
    }
    while let Some(thread) = walk.todo.pop() {
        if walk.found.len() >= most {
            break;
        }
        walk.follow(db, thread)?;
    }
    let cut = !walk.todo.is_empty();
    Ok(Some(Reasons { records: walk.found.into_values().collect(), cut }))
}

impl Walk {
    fn follow(&mut self, db: &Db, thread: Thread) -> Result<(), Trouble> {
        match thread {
            Thread::Record(seq) => self.record(db, seq),
            Thread::Version(id) => self.version(db, id),
            Thread::Process(pid, upto) => self.process(db, pid, upto),
        }
    }

    /// A record, what caused it, and what its process knew.
    fn record(&mut self, db: &Db, seq: Seq) -> Result<(), Trouble> {
        if self.found.contains_key(&seq) {
            return Ok(());
        }
        let Some((record, hash)) = chain::one(db, seq)? else { return Ok(()) };
        if record.cause != seq {
            self.todo.push(Thread::Record(record.cause));
        }
        match &record.body {
            Entry::Saw { version: Some(version), .. } => self.todo.push(Thread::Version(*version)),
            // Who started it, and the turn whose session it goes on with.
            Entry::Spawned { parent, after, .. } => {
                let both = [Some(*parent), *after].into_iter().flatten();
                self.todo.extend(both.map(|pid| Thread::Process(pid, seq)));
            }
            Entry::Tool { seen, .. } => {
                self.todo.extend(seen.iter().filter_map(|one| one.version).map(Thread::Version));
            }
            Entry::Intended { proposal: Some(id), .. } => self.named(db, &mention::proposal(*id))?,
            // What was decided of it, and what came of that.
            Entry::Proposed { proposal, effect, .. } => {
                self.named(db, &mention::proposal(*proposal))?;
                self.named(db, &mention::effect(effect))?;
            }
            _ => {}
        }
        self.todo.push(Thread::Process(record.pid, seq));
        self.found.insert(seq, (record, hash));
        Ok(())
    }

    fn version(&mut self, db: &Db, id: VersionId) -> Result<(), Trouble> {
        if !self.versions.insert(id) {
            return Ok(());
        }
        let Some(version) = version::get(db, id)? else { return Ok(()) };
        self.todo.extend(version.parents.iter().map(|parent| Thread::Version(*parent)));
        self.todo.push(Thread::Record(version.seq));
        Ok(())
    }

    /// How it was started, and all it had seen until then. The workspace itself is nobody: what it wrote was
    /// an operator's or a mount's, and its record says whose.
    fn process(&mut self, db: &Db, pid: Pid, upto: Seq) -> Result<(), Trouble> {
        let from = self.processes.get(&pid).copied();
        if pid == WORKSPACE || from.is_some_and(|from| from >= upto) {
            return Ok(());
        }
        self.processes.insert(pid, upto);
        let span = (from.unwrap_or_default(), upto);
        let begins = mention::between(db, &mention::start(pid), span, limits::WHY_RECORDS_MAX)?;
        self.todo.extend(begins.into_iter().map(Thread::Record));
        let seen = mention::between(db, &mention::seen(pid), span, limits::WHY_RECORDS_MAX)?;
        self.todo.extend(seen.into_iter().map(Thread::Record));
        Ok(())
    }

    /// All records that name something.
    fn named(&mut self, db: &Db, what: &[u8]) -> Result<(), Trouble> {
        let places = mention::places(db, what, limits::WHY_RECORDS_MAX)?;
        self.todo.extend(places.into_iter().map(Thread::Record));
        Ok(())
    }
}
