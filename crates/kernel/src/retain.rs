//! What is not kept for ever: an operator's rules thin old versions, and a purge destroys the bytes of a
//! file. Both are records; hashes, sizes, names and authors stay, and the log still verifies.

use crate::{
    Kernel,
    files::{self, Wanted},
    step::{Found, Outcome, Step},
};
use abi::{
    Code, Content, Error, VersionId, WORKSPACE,
    answer::Answer,
    call::Origin,
    fact::{Doomed, Fact, Facts},
    limits,
    path::TreePath,
    record::{Entry, TimerFor},
    tree::{Keep, Node, Retain},
};
use alloc::{collections::BTreeSet, format, vec};

/// `purge`: a version that says gone, and the record by which the store destroys the bytes.
pub fn purge(step: &mut Step<'_>, path: &TreePath, reason: &str, facts: &mut Found) -> Outcome {
    match destroy(step, path, reason, facts) {
        Ok(answer) => Outcome::Scrub(answer),
        Err(error) => Outcome::Now(Err(error)),
    }
}

fn destroy(step: &mut Step<'_>, path: &TreePath, reason: &str, facts: &mut Found) -> Result<Answer, Error> {
    let Some(Fact::Purge(doomed)) = facts.any() else { return Err(Facts::mismatch()) };
    let none = || Error::new(Code::NotFound, format!("no file ever stood at {path}")).argument("path");
    let Doomed { files, standing, versions, bytes, kept } = doomed?.ok_or_else(none)?;
    if reason.len() > limits::REASON_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "a reason is at most 1,024 bytes").argument("reason"));
    }
    let reason = step.blob(reason.as_bytes().to_vec());
    let label = step.label_for(WORKSPACE, Origin::Argument);
    let label = step.intern(&label);
    let operation = standing.map(|(dir, head)| {
        let wanted = Wanted {
            pid: WORKSPACE,
            path,
            node: Node::Gone,
            content: Content::default(),
            mode: head.mode,
            label,
            message: Some(reason),
        };
        let mut change = files::change(step, &wanted, head.file, dir);
        change.parents = vec![head.id];
        files::wrote(step, vec![change], Some(reason), None)
    });
    let upto = step.state().next.version;
    step.emit(Entry::Purged { path: path.clone(), files, upto, reason });
    Ok(Answer::Purged { operation, versions, bytes, kept })
}

/// `retain`: the rule of a pattern; what it does not keep goes soon.
pub fn rule(step: &mut Step<'_>, rule: &Retain) -> Result<Answer, Error> {
    let others = step.state().retain.iter().filter(|old| old.pattern != rule.pattern).count();
    if rule.keep != Keep::All && others >= limits::RETAIN_RULES_MAX {
        return Err(Error::new(Code::TooLarge, "a workspace has at most 64 retention rules")
            .hint("retain PATTERN all takes one back"));
    }
    step.emit(Entry::RetainSet { rule: rule.clone() });
    if rule.keep != Keep::All {
        step.set_timer(TimerFor::Thin, 0);
    }
    Ok(Answer::DONE)
}

/// What live processes have seen last: the base of what they write next.
pub fn seen(kernel: &Kernel) -> BTreeSet<VersionId> {
    let turns = kernel.state.processes.values().flat_map(|process| process.seen.values().copied());
    let clients = kernel.volatile.seen.values().flat_map(|seen| seen.values().copied().flatten());
    turns.chain(clients).collect()
}

/// The time has come to thin: what no rule keeps goes, and the next time is set while there are rules.
pub fn thin(step: &mut Step<'_>, facts: &mut Found) {
    let Some(Fact::Surplus(versions)) = facts.any() else { return };
    let more = versions.len() >= limits::THINNED_MAX;
    if !versions.is_empty() {
        step.emit(Entry::Thinned { versions });
    }
    let waits = step.state().timers.values().any(|timer| timer.purpose == TimerFor::Thin);
    if !step.state().retain.is_empty() && !waits {
        step.set_timer(TimerFor::Thin, if more { 0 } else { limits::THIN_EVERY_US });
    }
}
