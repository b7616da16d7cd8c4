//! Words of control files: who may say them, and what the kernel does about them itself. Those about the host
//! are carried out by the machine once the record that somebody said them is durable.
//!
//! Never here: what a word looks like as text, or the value of a secret.

use crate::{
    Kernel,
    authority::Want,
    process::{may_signal, signal},
    role,
    state::State,
    step::{Found, Outcome, Step},
    stop,
};
use abi::{
    Code, Error, Micros, Pid, WORKSPACE, answer::Answer, cap::Rights, control::Control, fact::Lookup,
    money::Limit, path::TreePath, record::Entry,
};
use alloc::{format, vec, vec::Vec};

/// The authority for words written to a control file.
pub fn plan(
    kernel: &Kernel,
    pid: Pid,
    path: &TreePath,
    word: &Control,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    match word {
        Control::Signal { pid: target, .. } => may_signal(kernel, pid, *target),
        Control::Mount { .. }
        | Control::Unmount { .. }
        | Control::Workspace { .. }
        | Control::Budget { .. }
        | Control::Down => kernel.allow(pid, Want::Admin(path), Rights::USE, at).map(|()| vec![]),
        Control::Purge { .. }
        | Control::Stop
        | Control::Lift
        | Control::Retain(_)
        | Control::Bind { .. }
        | Control::Unbind { .. }
        | Control::Backup { .. }
        | Control::Restore { .. }
        | Control::Checkpoint { .. }
        | Control::Secret { .. }
        | Control::Operator { .. }
        | Control::Provider { .. }
        | Control::Attach { .. }
        | Control::Draft { .. }
        | Control::Open { .. }
            if pid != WORKSPACE =>
        {
            Err(Error::new(Code::Denied, "only an operator says this word"))
        }
        Control::Purge { path, .. } => {
            crate::files::may_change(kernel, pid, path)?;
            Ok(vec![Lookup::Purge { path: path.clone() }])
        }
        Control::Bind { dir, .. } => crate::bound::may_bind(&kernel.state, dir).map(|()| vec![]),
        Control::Retain(_)
        | Control::Unbind { .. }
        | Control::Stop
        | Control::Lift
        | Control::Backup { .. }
        | Control::Restore { .. }
        | Control::Checkpoint { .. }
        | Control::Secret { .. }
        | Control::Operator { .. }
        | Control::Provider { .. } => Ok(vec![]),
        Control::Draft { pid: of, .. } => crate::draft::plan(kernel, *of),
        Control::Open { pid: of, port, .. } => {
            crate::port::may_open(&kernel.state, *of, *port).map(|()| vec![])
        }
        Control::Attach { pid: of } if kernel.state.processes.contains_key(of) => Ok(vec![]),
        Control::Attach { pid: of } => Err(Error::new(Code::Dead, format!("process {of} is not alive"))),
    }
}

/// Carries out control words; those about the host are the machine's.
pub fn carry_out(step: &mut Step<'_>, by: Pid, word: &Control, facts: &mut Found) -> Outcome {
    match word {
        Control::Signal { pid, signal: kind } => signal(step, by, *pid, *kind).into(),
        Control::Budget { account, window, amount, resource } => {
            let limit = Limit { resource: *resource, window: *window, max: amount.0 };
            step.set_limit(account, limit).map(|()| Answer::DONE).into()
        }
        Control::Mount { name, driver, .. } => match may_mount(step.state(), name, driver) {
            Ok(()) => Outcome::Control(word.clone()),
            Err(error) => Outcome::Now(Err(error)),
        },
        Control::Unmount { name } => {
            if !step.state().mounts.contains_key(name) {
                return Outcome::Now(Err(Error::new(Code::NotFound, format!("{name} is not mounted"))));
            }
            step.emit(Entry::Unmounted { mount: name.clone() });
            Outcome::Control(word.clone())
        }
        Control::Purge { path, reason } => crate::retain::purge(step, path, reason, facts),
        Control::Stop => Outcome::Now(Ok(stop::stop(step))),
        Control::Lift => stop::lift(step).into(),
        Control::Retain(rule) => crate::retain::rule(step, rule).into(),
        Control::Draft { .. } => crate::draft::end(step, word),
        Control::Unbind { dir } => crate::bound::unbind(step, dir).into(),
        Control::Workspace { .. }
        | Control::Down
        | Control::Provider { .. }
        | Control::Attach { .. }
        | Control::Bind { .. } => Outcome::Control(word.clone()),
        Control::Open { pid, port, at } => {
            crate::port::open(step, *pid, (*port, *at));
            Outcome::Control(word.clone())
        }
        Control::Secret { name, act } => {
            step.emit(Entry::SecretSet { name: name.clone(), act: *act });
            Outcome::Control(word.clone())
        }
        Control::Operator { name, uid } => match uid.map_or_else(|| role::leaves(step, name), |_| Ok(())) {
            Ok(()) => {
                step.emit(Entry::OperatorSet { name: name.clone(), uid: *uid });
                Outcome::Control(word.clone())
            }
            Err(error) => Outcome::Now(Err(error)),
        },
        Control::Backup { .. } | Control::Restore { .. } | Control::Checkpoint { .. } => {
            Outcome::Control(word.clone())
        }
    }
}

fn may_mount(state: &State, name: &str, driver: &str) -> Result<(), Error> {
    if state.mounts.contains_key(name) {
        return Err(Error::new(Code::Exists, format!("{name} is mounted already")).argument("name"));
    }
    // A workspace that lacks a rule is for showing what the rule is worth: it may not reach anything real.
    if !state.lacks.is_empty() && !["ram", "maildir", "outbox", "rehearse"].contains(&driver) {
        return Err(Error::new(Code::Denied, format!("a workspace that lacks a rule cannot mount {driver}")));
    }
    Ok(())
}
