//! Undo: one new operation that takes another back. What nobody touched since comes back as it was; under
//! later changes of a text an operation is merged out in reverse, and where that is not clean what stood
//! before is kept beside the head. Nothing is ever overwritten; an undo is an operation and can be undone.

use crate::{
    Kernel,
    authority::Want,
    conflict::{self, Merged},
    files::{self, Wanted},
    sink,
    step::{Found, Step},
};
use abi::{
    Code, Content, Error, LabelId, Micros, Pid, WORKSPACE,
    answer::Answer,
    call::{Origin, Undo},
    cap::Rights,
    fact::{Fact, Facts},
    label::Label,
    path::TreePath,
    tree::{Change, Home, Merge, Node, UndoRow},
};
use alloc::{format, vec, vec::Vec};

/// All that a process did is taken back by itself, by one above it, or by an operator: what it did, or did
/// not, is not told to others.
pub fn may_ask(kernel: &Kernel, pid: Pid, undo: Undo) -> Result<(), Error> {
    match undo {
        Undo::Process(of) if pid != WORKSPACE && !kernel.state.is_above(pid, of) => {
            Err(Error::new(Code::Denied, format!("process {of} is not below process {pid}"))
                .argument("pid")
                .hint("undo it by operation, or ask an operator"))
        }
        Undo::Process(_) | Undo::Operation(_) | Undo::Version(_) => Ok(()),
    }
}

/// Undo of an operation or of a process: one new operation; what somebody touched since is listed and left.
pub fn take_back(
    step: &mut Step<'_>,
    pid: Pid,
    undo: Undo,
    message: Option<Content>,
    facts: &mut Found,
) -> Result<Answer, Error> {
    let Some(Fact::Undo(rows)) = facts.any() else { return Err(Facts::mismatch()) };
    // Also a refusal tells what somebody else did, or did not.
    for row in rows.iter().flatten() {
        step.learned_of(pid, &row.path, (Some(row.head), row.label));
    }
    let rows = rows.ok_or_else(|| if pid == WORKSPACE { none(undo) } else { not_yours() })?;

    if undo == Undo::Process(WORKSPACE) {
        return Err(Error::invalid("pid", "what operators and mounts wrote is not one process's work")
            .hint("undo it by operation: skep log, skep undo op:N"));
    }
    may_see(step.kernel, pid, &rows)?;
    for row in &rows {
        // Who may not take it back is not told what was in it.
        let may = may_take_back(step.kernel, pid, row, step.at);
        may.map_err(|error| if pid == WORKSPACE { error } else { not_yours() })?;
    }
    // The answer tells what it touched: names are content.
    for row in &rows {
        step.saw(pid, &row.path, Some(row.head), row.label);
        if let Some(before) = &row.before {
            step.saw(pid, &before.path, Some(before.id), before.label);
        }
        step.told_names(pid, &row.path, &row.told);
        row.homes.iter().for_each(|home| step.told_of_home(pid, home));
    }
    // It knows all that by now, and what it puts back says so.
    let mut back = Back { asker: step.label_for(pid, Origin::Argument), ..Back::default() };
    for row in &rows {
        #[cfg(feature = "plant")]
        let row = &UndoRow {
            untouched: row.untouched || crate::plant::is(crate::plant::UNDO_OVERWRITES),
            ..row.clone()
        };
        // What stands below a directory would come along unseen: an operator's own hand is the decision.
        let carries =
            row.moved_from.is_some() && row.before.as_ref().is_some_and(|row| row.node == Node::Dir);
        if carries && pid != WORKSPACE {
            back.left.push(row.path.clone());
            continue;
        }
        match row.untouched {
            true => back.restore(step, pid, row)?,
            false => back.reverse(step, pid, (undo, row))?,
        }
    }
    if !step.wants.is_empty() {
        return Ok(Answer::DONE);
    }
    back.record(step, pid, (undo, message))
}

/// An undo weighs what stood before against what stands: nothing of that may lie below the ceiling.
fn may_see(kernel: &Kernel, pid: Pid, rows: &[UndoRow]) -> Result<(), Error> {
    let labels = |row: &UndoRow| {
        [Some(row.label), Some(row.made_label), row.before.as_ref().map(|before| before.label)]
    };
    let is_hidden = |row: &&UndoRow| labels(row).into_iter().flatten().any(|label| kernel.hides(pid, label));
    match rows.iter().filter(is_hidden).count() {
        0 => Ok(()),
        hidden => {
            let ceiling = kernel.ceiling(pid).word();
            let message =
                format!("{hidden} of what it touched lie below the ceiling of process {pid}, {ceiling}");
            Err(Error::new(Code::Denied, message).hint("an operator can take it back"))
        }
    }
}

fn none(undo: Undo) -> Error {
    let (what, argument) = match undo {
        Undo::Process(pid) => (format!("process {pid} wrote nothing"), "pid"),
        Undo::Operation(op) => (format!("there is no operation {op}"), "operation"),
        Undo::Version(version) => (format!("there is no version {version}"), "version"),
    };
    Error::new(Code::NotFound, what).argument(argument)
}

/// The same for what is not there and for what is not the caller's to change: neither is told.
fn not_yours() -> Error {
    Error::new(Code::Denied, "there is nothing of that which you may take back")
        .hint("an operator can undo it")
}

/// An undo while it is put together.
#[derive(Default)]
struct Back {
    asker: Label,
    changes: Vec<Change>,
    restored: Vec<TreePath>,
    left: Vec<TreePath>,
    merged: Vec<TreePath>,
    diverged: Vec<TreePath>,
    /// Directories in which a name comes or goes.
    homes: Vec<Home>,
}

impl Back {
    /// Nobody touched it since: what stood before comes back.
    fn restore(&mut self, step: &mut Step<'_>, pid: Pid, row: &UndoRow) -> Result<(), Error> {
        let label = self.label(step, row);
        let old = row.moved_from.as_ref().map(|(path, _)| path);
        sink::not_steering(step, pid, &label, core::iter::once(&row.path).chain(old))?;
        // What comes back to a name, or leaves one, is named again by this.
        let named = row.moved_from.is_some() || row.head_content.is_none();
        let names = row.named.iter().filter(|_| named && row.before.is_some());
        let label = names.fold(label, |all, name| all.join(&step.kernel.meaning(*name)));
        let label = step.intern(&label);
        let change = restoring(step, pid, row, label);
        if named || row.before.is_none() {
            self.homes.extend(row.homes.iter().cloned());
        }
        self.restored.push(change.path.clone());
        self.changes.push(change);
        Ok(())
    }

    /// Of the asker, of what stands, and of what comes back.
    fn label(&self, step: &Step<'_>, row: &UndoRow) -> Label {
        let label = self.asker.join(&step.kernel.meaning(row.label));
        let before = row.before.as_ref().map(|version| step.kernel.meaning(version.label));
        before.map_or(label.clone(), |before| label.join(&before))
    }

    /// Somebody changed it since. An operation's change is merged out from under theirs; where both touch the
    /// same lines, what stood before is kept beside the head. Of a process only what is its own goes.
    fn reverse(&mut self, step: &mut Step<'_>, pid: Pid, (undo, row): (Undo, &UndoRow)) -> Result<(), Error> {
        let contents = (&row.before, row.made_content, row.head_content);
        let (Some(before), Some(made), Some((head, mode)), Undo::Operation(_)) =
            (contents.0, contents.1, contents.2, undo)
        else {
            self.left.push(row.path.clone());
            return Ok(());
        };
        if before.node != Node::File || before.content == head || made == before.content {
            self.left.push(row.path.clone());
            return Ok(());
        }
        let merge = Merge { path: row.path.clone(), base: made, ours: before.content, theirs: head };
        let clean = match conflict::merged(step, &merge) {
            Merged::Asked => return Ok(()),
            Merged::Clean(content) => Some(content),
            Merged::No => None,
        };
        if clean == Some(head) {
            self.left.push(row.path.clone());
            return Ok(());
        }
        let label = self.label(step, row);
        sink::not_steering(step, pid, &label, core::iter::once(&row.path))?;
        let label = step.intern(&label);
        let (content, mode) = clean.map_or((before.content, before.mode), |content| (content, mode));
        let wanted = Wanted { pid, path: &row.path, node: Node::File, content, mode, label, message: None };
        let mut change = files::change(step, &wanted, row.file, row.dir);
        change.diverged = clean.is_none();
        change.parents = if clean.is_some() { vec![row.head, before.id] } else { vec![row.made] };
        let told = if clean.is_some() { &mut self.merged } else { &mut self.diverged };
        told.push(row.path.clone());
        self.changes.push(change);
        Ok(())
    }

    /// Writes the operation, if there is anything to write.
    fn record(
        mut self,
        step: &mut Step<'_>,
        pid: Pid,
        (undo, message): (Undo, Option<Content>),
    ) -> Result<Answer, Error> {
        // Files before the directories they stand in, when both go.
        let order = |a: &Change, b: &Change| {
            (a.node == Node::Gone).cmp(&(b.node == Node::Gone)).then(b.path.cmp(&a.path))
        };
        self.changes.sort_by(order);
        let mut version = step.state().next.version;
        for change in &mut self.changes {
            version = version.next();
            change.version = version;
            if change.diverged {
                continue;
            }
            step.forget(pid, change.moved_from.as_ref().unwrap_or(&change.path));
            if change.node != Node::Gone {
                step.remember(pid, &change.path, change.version);
            }
        }
        let mut changes = core::mem::take(&mut self.changes);
        step.mark(pid, &mut changes, &self.homes);
        let operation = (!changes.is_empty()).then(|| files::wrote(step, changes, message, Some(undo)));
        let Self { restored, left, merged, diverged, .. } = self;
        Ok(Answer::Undone { operation, restored, left, merged, diverged })
    }
}

/// The rights that the same change made by hand would need.
fn may_take_back(kernel: &Kernel, pid: Pid, row: &UndoRow, at: Micros) -> Result<(), Error> {
    let need = if row.before.is_none() { Rights::REMOVE } else { Rights::WRITE };
    files::may_change(kernel, pid, &row.path)?;
    kernel.allow(pid, Want::Path(&row.path), need, at)?;
    // What comes back is read, by the right to read it where it was made.
    if let Some(before) = &row.before {
        kernel.allow(pid, Want::Path(&before.path), Rights::READ, at)?;
    }
    if let Some((old, _)) = &row.moved_from {
        files::may_change(kernel, pid, old)?;
        kernel.allow(pid, Want::Path(&row.path), Rights::REMOVE, at)?;
        kernel.allow(pid, Want::Path(old), Rights::CREATE, at)?;
    }
    Ok(())
}

fn restoring(step: &Step<'_>, pid: Pid, row: &UndoRow, label: LabelId) -> Change {
    let (node, content, mode) = match &row.before {
        Some(before) => (before.node, before.content, before.mode),
        None => (Node::Gone, Content::default(), files::FILE_MODE),
    };
    let (path, dir) = match &row.moved_from {
        Some((path, dir)) => (path, *dir),
        None => (&row.path, row.dir),
    };
    let wanted = Wanted { pid, path, node, content, mode, label, message: None };
    let mut change = files::change(step, &wanted, row.file, dir);
    change.moved_from = row.moved_from.is_some().then(|| row.path.clone());
    change.parents = vec![row.head];
    change
}
