//! The sink table: what may leave, given the label of all that had a part in the decision. First match wins.
//!
//! This version holds rules 1, 2, 5, 6a, 6c and the steering places; what it does not know asks, so also a
//! vouched receiver when the payload could lead a reader elsewhere. A workspace made for a demonstration may
//! lack rule 6 from its genesis on, so that the rule's worth can be seen.

use crate::{Kernel, authority::Want};
use abi::{
    Content, Error, Hash, Micros, Pid,
    call::Fields,
    cap::Rights,
    label::{Integrity, Label},
    manifest::{Class, Kind},
    path::TreePath,
    record::Rule,
};
use alloc::{string::String, vec::Vec};

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Do it.
    Apply(Rule),
    /// Hold it for an operator.
    Ask(Rule),
}

/// Directories whose files say what agents are and may do.
const STEERING_DIRS: [&str; 6] =
    ["/agents", "/skills", "/programs", "/triggers", "/memory/constraints", "/sys"];

/// Names that agents or tools obey wherever they stand.
const STEERING_NAMES: [&str; 5] = ["AGENTS.md", "CLAUDE.md", ".mcp.json", ".agents", ".claude"];

/// Whether what stands at the path steers agents or tools.
pub fn is_steering(path: &TreePath) -> bool {
    let text = path.as_str();
    let inside =
        |dir: &&str| text.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    STEERING_DIRS.iter().any(inside) || path.names().any(|name| STEERING_NAMES.contains(&name))
}

/// What the table says of a change of the tree: rule 2 unless it is a steering place, then 5, else ask.
pub fn of_write<'a>(label: &Label, mut paths: impl Iterator<Item = &'a TreePath>) -> Verdict {
    if !paths.any(is_steering) {
        return Verdict::Apply(Rule::Undoable);
    }
    if label.integrity >= Integrity::Workspace {
        return Verdict::Apply(Rule::Trusted);
    }
    Verdict::Ask(Rule::SteeringPlace)
}

/// The name under which a steering value counts as approved for a kind.
pub fn approval(kind: &str, value: &str) -> Hash {
    Hash::of_fields("approved", &[kind.as_bytes(), abi::scan::fold(value).as_bytes()])
}

/// The values of the arguments that steer.
pub fn steering_values<'a>(kind: &'a Kind, fields: &'a Fields) -> impl Iterator<Item = &'a String> {
    kind.steering.iter().filter_map(|name| fields.get(name)).flatten()
}

/// What is asked of the table.
pub struct Question<'a> {
    pub pid: Pid,
    pub mount: &'a str,
    pub kind: &'a Kind,
    pub fields: &'a Fields,
    pub at: Micros,
}

impl Kernel {
    /// The operator's words of the process's run, if the run began with any.
    pub(crate) fn own_words(&self, pid: Pid) -> Option<Content> {
        let run = self.state.processes.get(&pid).and_then(|process| self.state.runs.get(&process.run))?;
        run.own_words.then_some(run.task)
    }

    /// Steering values that nobody has approved in this run: those that the operator's words must name.
    pub(crate) fn unapproved<'a>(&self, question: &Question<'a>) -> Vec<&'a String> {
        let process = self.state.processes.get(&question.pid);
        let run = process.and_then(|process| self.state.runs.get(&process.run));
        let approved =
            |value: &str| run.is_some_and(|run| run.approved.contains(&approval(&question.kind.name, value)));
        steering_values(question.kind, question.fields).filter(|value| !approved(value)).collect()
    }

    /// The table, for an effect. `named` says whether every unapproved steering value stands as a whole token
    /// in the operator's words.
    pub(crate) fn sink(&self, question: &Question<'_>, label: &Label, named: bool) -> Result<Verdict, Error> {
        let want = Want::Effect(question.mount, &question.kind.name);
        self.allow(question.pid, want, Rights::ASK, question.at)?;
        let applies = self.allow(question.pid, want, Rights::APPLY, question.at).is_ok();
        if !applies || self.policy_asks(question.pid, &want, Rights::APPLY) {
            return Ok(Verdict::Ask(Rule::AskedByPolicy));
        }
        match question.kind.class {
            Class::Pure | Class::Reversible => return Ok(Verdict::Apply(Rule::Undoable)),
            Class::ExternalIrreversible => {}
        }
        if label.integrity >= Integrity::Workspace {
            return Ok(Verdict::Apply(Rule::Trusted));
        }
        if !self.state.has_rule(6) {
            return Ok(Verdict::Apply(Rule::RuleLacking));
        }
        if steering_values(question.kind, question.fields).next().is_none() {
            return Ok(Verdict::Ask(Rule::External));
        }
        let approved = self.unapproved(question).is_empty();
        if !approved && !named {
            return Ok(Verdict::Ask(Rule::Unvouched));
        }
        // Rule 7 is not built as it will be: whatever in the payload could lead a reader elsewhere asks.
        let payload = question.kind.payload.iter().filter_map(|name| question.fields.get(name)).flatten();
        if payload.map(String::as_str).any(abi::scan::may_lead_elsewhere) {
            return Ok(Verdict::Ask(Rule::External));
        }
        Ok(Verdict::Apply(if approved { Rule::ApprovedBefore } else { Rule::OperatorsWords }))
    }
}
