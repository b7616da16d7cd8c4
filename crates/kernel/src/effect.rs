//! Effects, exactly once.
//!
//! ```text
//! propose ─▶ held (see `proposal`) ─▶ approved ─┐
//!        └▶ applied ────────────────────────────┴▶ Intended ─▶ Dispatched ─▶ EffectEnded | InDoubt
//! ```
//! The id is fixed, and durable, before anything happens. The step from Intended to Dispatched is a record of
//! its own, durable before the driver is called: an effect that is Intended after a crash was provably never
//! sent.

use crate::{
    Kernel, account,
    authority::Want,
    proposal,
    sink::{self, Question, Verdict},
    state::{Client, EffectRow, Proposal, Stage},
    step::{Found, Outcome, Step},
    stop, turn,
};
use abi::{
    Code, Content, EffectId, Error, Hash, Pid, ProposalId, WORKSPACE,
    answer::Answer,
    call::Fields,
    cap::Rights,
    effect::Effect,
    event::{EffectOutcome, Probed},
    fact::{Deed, Fact, Facts, Lookup},
    label::{Integrity, Label},
    limits,
    manifest::{Kind, Recovery},
    money::Nano,
    path::TreePath,
    record::{Entry, Rule, WaitOn},
};
use alloc::{borrow::Cow, format, string::String, string::ToString, vec, vec::Vec};

/// Questions of `propose`: who vouches for where it goes.
pub fn plan_propose(
    kernel: &Kernel,
    pid: Pid,
    (mount, kind): (&str, &str),
    fields: &Fields,
    at: abi::Micros,
) -> Result<Vec<Lookup>, Error> {
    stop::admits(kernel)?;
    kernel.allow(pid, Want::Effect(mount, kind), Rights::ASK, at)?;
    let kind = declared(kernel, mount, kind, fields)?;
    check_fields(&kind, fields)?;
    if mount == proposal::OPERATOR {
        return proposal::plan_ask(kernel, pid, &kind.name, fields, at);
    }
    Ok(kernel.plan_vouch(&Question { pid, mount, kind: &kind, fields, at }))
}

/// The effect kind as the mount's manifest declares it; what is not declared does not exist, or at an open
/// mount counts as the worst.
pub fn declared(kernel: &Kernel, mount: &str, kind: &str, fields: &Fields) -> Result<Kind, Error> {
    let none = |kinds: &[&str]| {
        Error::new(Code::NotFound, format!("{mount} has no effect {kind}"))
            .argument("kind")
            .hint(abi::wire::nearest_hint(kind, kinds))
    };
    if mount == proposal::OPERATOR {
        return proposal::kind_of(kind).ok_or_else(|| none(&["ask", "endorse", "permit"]));
    }
    let Some(row) = kernel.state.mounts.get(mount) else {
        return Err(Error::new(Code::NotFound, format!("{mount} is not mounted")).argument("mount"));
    };
    let found = row.manifest.kind_for(kind, fields.keys().cloned());
    found.map(Cow::into_owned).ok_or_else(|| {
        let kinds: Vec<&str> = row.manifest.kinds.iter().map(|kind| kind.name.as_str()).collect();
        none(&kinds)
    })
}

pub fn check_fields(kind: &Kind, fields: &Fields) -> Result<(), Error> {
    let known: Vec<&str> = kind.arguments().map(String::as_str).collect();
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::invalid("args", format!("{} has no argument {name:?}", kind.name))
            .hint(abi::wire::nearest_hint(name, &known))),
        None => Ok(()),
    }
}

/// Refuses more than can be read back and shown whole to who decides.
pub fn check_size(args: &Content) -> Result<(), Error> {
    if args.bytes > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "arguments are larger than 64 KiB in all").argument("args"));
    }
    Ok(())
}

/// The call `propose`.
pub fn propose(
    step: &mut Step<'_>,
    pid: Pid,
    (mount, kind): (&str, &str),
    fields: &Fields,
    facts: &mut Found,
) -> Outcome {
    let kind = match declared(step.kernel, mount, kind, fields) {
        Ok(kind) => kind,
        Err(error) => return Outcome::Now(Err(error)),
    };
    if mount == proposal::OPERATOR {
        return proposal::ask(step, pid, (kind, fields), facts).into();
    }
    let question = Question { pid, mount, kind: &kind, fields, at: step.at };
    let label = step.kernel.label_of(pid, &step.actor);
    let vouched = step.kernel.vouched(&question, facts);
    match vouched.and_then(|vouched| step.kernel.sink(&question, &label, &vouched)) {
        Ok(verdict) => {
            let args = step.blob(musli::wire::to_vec(fields).unwrap_or_default());
            if let Err(error) = check_size(&args) {
                return Outcome::Now(Err(error));
            }
            let moves = sink::moves(&kind, fields);
            let intent = Intent { pid, mount: mount.to_string(), kind, args, moves };
            let effect = effect_id(step, &intent);
            match verdict {
                Verdict::Apply(rule) => apply_now(step, effect, intent, rule),
                Verdict::Ask(rule) => proposal::hold_effect(step, effect, intent, fields, rule).into(),
            }
        }
        Err(error) => Outcome::Now(Err(error)),
    }
}

/// Questions of taking an effect back.
pub fn plan_revert(kernel: &Kernel, pid: Pid, effect: &EffectId) -> Result<Vec<Lookup>, Error> {
    if pid != WORKSPACE {
        return Err(Error::new(Code::Denied, "only an operator takes an effect back")
            .hint("propose the kind that undoes it"));
    }
    stop::admits(kernel)?;
    Ok(vec![Lookup::Deed { effect: *effect }])
}

/// Takes an effect back by the kind that its driver declares for that, as the operator's act.
pub fn revert(step: &mut Step<'_>, effect: &EffectId, facts: &mut Found) -> Outcome {
    let Some(Fact::Deed(deed)) = facts.any() else { return Outcome::Now(Err(Facts::mismatch())) };
    match reverse(step, effect, deed) {
        Ok((intent, id)) => apply_now(step, id, intent, Rule::Trusted),
        Err(error) => Outcome::Now(Err(error)),
    }
}

fn reverse(step: &mut Step<'_>, effect: &EffectId, deed: Option<Deed>) -> Result<(Intent, EffectId), Error> {
    let none = || Error::new(Code::NotFound, format!("there is no effect {effect} that ended"));
    let deed = deed.ok_or_else(|| none().argument("effect").hint("skep trace shows them"))?;
    let Deed { mount, kind, args, done, answer } = deed;
    if !done {
        return Err(Error::invalid("effect", format!("{kind} at {mount} did not happen")));
    }
    let row = step.state().mounts.get(&mount);
    let undo = row.and_then(|row| row.manifest.kind(&kind)?.undo.clone());
    let undo = undo.ok_or_else(|| {
        Error::invalid("effect", format!("{mount} declares nothing that takes {kind} back"))
    })?;
    let undo = declared(step.kernel, &mount, &undo, &Fields::new())?;
    let told: Fields = musli::wire::from_slice(&args)
        .map_err(|_| Error::new(Code::Unavailable, "the recorded arguments cannot be read"))?;
    let mut fields: Fields =
        told.into_iter().filter(|(name, _)| undo.arguments().any(|it| it == name)).collect();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    for (name, value) in [("effect", effect.to_string()), ("answer", answer)] {
        if undo.arguments().any(|it| it == name) {
            fields.insert(name.to_string(), vec![value]);
        }
    }
    let args = step.blob(musli::wire::to_vec(&fields).unwrap_or_default());
    let moves = sink::moves(&undo, &fields);
    let intent = Intent { pid: WORKSPACE, mount, kind: undo, args, moves };
    let id = effect_id(step, &intent);
    Ok((intent, id))
}

/// An effect about to be recorded.
pub struct Intent {
    pub pid: Pid,
    pub mount: String,
    pub kind: Kind,
    pub args: Content,
    /// Money that it moves at its mount.
    pub moves: Nano,
}

/// The effect's name: run, process, where in the turn (or in the log), kind, canonical arguments.
pub fn effect_id(step: &Step<'_>, intent: &Intent) -> EffectId {
    let state = step.state();
    let process = state.processes.get(&intent.pid);
    let run = process.map_or(WORKSPACE, |process| process.run).0.to_le_bytes();
    let place = match process.map(|process| (&process.turn.phase, process.turn.step)) {
        Some((crate::state::Phase::Tools { next, .. }, number)) => {
            (u64::from(number) << 32) | u64::from(*next)
        }
        _ => (1 << 63) | state.seq.0,
    };
    let (pid, place) = (intent.pid.0.to_le_bytes(), place.to_le_bytes());
    let kind = intent.kind.name.as_bytes();
    let fields = [&state.id[..], &run, &pid, &place, intent.mount.as_bytes(), kind, &intent.args.hash.0];
    Hash::of_fields("effect", &fields)
}

fn apply_now(step: &mut Step<'_>, effect: EffectId, intent: Intent, rule: Rule) -> Outcome {
    match intend(step, effect, intent, rule, None) {
        Ok(()) => Outcome::Later(WaitOn::Effect(effect)),
        Err(error) => Outcome::Now(Err(error)),
    }
}

/// Reserves and records an effect; it is armed, and dispatched when that record is durable.
pub fn intend(
    step: &mut Step<'_>,
    effect: EffectId,
    intent: Intent,
    rule: Rule,
    proposal: Option<ProposalId>,
) -> Result<(), Error> {
    if step.state().effects.contains_key(&effect) {
        return Err(Error::new(Code::Busy, "this very effect is under way"));
    }
    let process = step.state().processes.get(&intent.pid);
    let account = process.map_or(crate::state::ROOT_ACCOUNT, |process| process.account);
    let at_mount = (intent.mount.as_str(), intent.moves);
    let reserved = match account::check_effect(step.state(), account, at_mount, step.at) {
        Ok(reserved) => reserved,
        Err(reached) => return Err(step.exhausted(intent.pid, reached)),
    };
    let (mount, kind, args) = (intent.mount, intent.kind.name, intent.args);
    let recovery = intent.kind.recovery;
    let moves = intent.moves;
    let at = mount.clone();
    step.emit(Entry::Intended { effect, mount, kind, args, recovery, rule, proposal, reserved, moves });
    step.warn(account);
    step.warn_mount(&at);
    step.effect(Effect::Arm { effect });
    Ok(())
}

/// Everything so far is durable: the effect may be handed to its driver, once that is recorded too.
pub fn armed(step: &mut Step<'_>, effect: &EffectId) {
    let Some(row) = step.state().effects.get(effect).cloned() else { return };
    let frozen = step.state().processes.get(&row.pid).is_some_and(|process| process.frozen.is_some())
        || step.state().stopped.is_some();
    if row.stage != Stage::Intended || frozen {
        return;
    }
    // Between the decision and now the right to it may have gone: a policy that denies it, a capability.
    if let Err(error) = step.kernel.may_send(&row, step.at) {
        let content = step.blob(error.message.into_bytes());
        return ended(step, effect, &EffectOutcome::Failed(content));
    }
    dispatch(step, *effect, &row);
}

fn dispatch(step: &mut Step<'_>, effect: EffectId, row: &EffectRow) {
    step.act_as_process(row.pid);
    step.cause = Some(row.seq);
    step.emit(Entry::Dispatched { effect });
    let (mount, kind) = (row.mount.clone(), row.kind.clone());
    step.effect(Effect::Dispatch { effect, mount, kind, args: row.args.hash });
}

/// Ends a process's effects that no driver has seen: they will not happen.
pub fn cancel(step: &mut Step<'_>, pid: Pid, why: &str) {
    let rows = step.state().effects.iter();
    let unsent = |row: &EffectRow| row.pid == pid && row.stage == Stage::Intended;
    let gone: Vec<EffectId> = rows.filter(|(_, row)| unsent(row)).map(|(id, _)| *id).collect();
    let (actor, as_pid) = (step.actor.clone(), step.pid);
    for effect in gone {
        let content = step.blob(why.as_bytes().to_vec());
        ended(step, &effect, &EffectOutcome::Failed(content));
    }
    step.act_as(as_pid, actor);
}

/// After a revocation: effects that no driver has seen and whose process has lost the right to them.
pub fn cancel_without_right(step: &mut Step<'_>) {
    let at = step.at;
    let lost = |kernel: &Kernel, row: &EffectRow| {
        let alive = kernel.state.processes.contains_key(&row.pid);
        let want = Want::Effect(&row.mount, &row.kind);
        alive && row.stage == Stage::Intended && kernel.allow(row.pid, want, Rights::ASK, at).is_err()
    };
    let rows = step.state().effects.values();
    let pids: Vec<Pid> = rows.filter(|row| lost(step.kernel, row)).map(|row| row.pid).collect();
    pids.into_iter().for_each(|pid| cancel(step, pid, "the right to it was revoked before it was sent"));
}

/// Effects that a freeze held back go on.
pub fn thawed(step: &mut Step<'_>, pid: Pid) {
    let rows = step.state().effects.iter();
    let held: Vec<EffectId> =
        rows.filter(|(_, row)| row.pid == pid && row.stage == Stage::Intended).map(|(id, _)| *id).collect();
    for effect in held {
        step.effect(Effect::Arm { effect });
    }
}

/// An effect ended.
pub fn ended(step: &mut Step<'_>, effect: &EffectId, outcome: &EffectOutcome) {
    let Some(row) = step.state().effects.get(effect).cloned() else { return };
    // It is known after all: nobody has to decide whether to do it again.
    let proposals = step.state().proposals.iter();
    let of_it = |row: &Proposal| row.rule == Rule::InDoubt && row.effect == *effect;
    let asked = proposals.filter(|(_, row)| of_it(row)).map(|(id, _)| *id).next();
    if let Some(proposal) = asked {
        step.close_proposal(proposal, Entry::Lapsed { proposal }, None);
    }
    step.act_as_process(row.pid);
    step.cause = Some(row.seq);
    let (done, content) = match outcome {
        EffectOutcome::Done(content) => (true, *content),
        EffectOutcome::Failed(content) => (false, *content),
    };
    let label = answer_label(step.kernel, &row);
    let hidden = label.as_ref().is_some_and(|label| step.kernel.hides_label(row.pid, label));
    if hidden {
        // It is the mount's word, and not among what the process may read of its own.
        step.act_as(WORKSPACE, format!("mount:{}", row.mount));
        step.cause = Some(row.seq);
    }
    step.emit(Entry::EffectEnded { effect: *effect, done, outcome: content });
    let outcome = match label {
        Some(_) if hidden => withheld(step, &row),
        Some(label) => {
            heard(step, &row, &label);
            content
        }
        None => content,
    };
    step.act_as_process(row.pid);
    let answer = Answer::Effected { effect: *effect, done, outcome };
    step.tell_clients(|client| *client == Client::Effect(*effect), &answer);
    turn::resolve(step, WaitOn::Effect(*effect), &Ok(answer));
}

/// The label of what the other side answers to a process. What was never sent, nobody answered.
fn answer_label(kernel: &Kernel, row: &EffectRow) -> Option<Label> {
    if !kernel.has(sink::rule::ANSWER) || row.stage == Stage::Intended {
        return None;
    }
    let mount = kernel.state.mounts.get(&row.mount);
    let kind = mount.and_then(|mount| mount.manifest.kind(&row.kind));
    let integrity = kind.and_then(|kind| kind.answer).unwrap_or_default().min(Integrity::Workspace);
    Some(Label::new(integrity, format!("mount:{}", row.mount)))
}

/// What a process hears instead of an answer that lies below its ceiling: whether it happened.
fn withheld(step: &mut Step<'_>, row: &EffectRow) -> Content {
    let ceiling = step.kernel.ceiling(row.pid).word();
    let text = format!(
        "what {} answered lies below the ceiling of process {}, {ceiling}; the log keeps it",
        row.mount, row.pid
    );
    step.blob(text.into_bytes())
}

/// Whoever asked for an effect hears what the other side answered, and has seen it; also one that has ended
/// meanwhile, since who started it may read its records.
fn heard(step: &mut Step<'_>, row: &EffectRow, label: &Label) {
    let label = step.intern(label);
    if let Ok(path) = TreePath::parse(&format!("/integrations/{}", row.mount)) {
        step.saw(row.pid, &path, None, label);
    }
}

/// After a restart: what each death means for an effect whose outcome is unknown.
pub fn recover(step: &mut Step<'_>, effect: EffectId) {
    let Some(row) = step.state().effects.get(&effect).cloned() else { return };
    if step.state().stopped.is_some() && row.stage == Stage::Dispatched && row.recovery != Recovery::Opaque {
        step.kernel.volatile.put_off.insert(effect);
        return;
    }
    match (row.stage, row.recovery) {
        (Stage::InDoubt, _) => {}
        (Stage::Intended, _) => step.effect(Effect::Arm { effect }),
        #[cfg(feature = "plant")]
        (Stage::Dispatched, _) if crate::plant::is(crate::plant::REDISPATCH_ALWAYS) => {
            dispatch(step, effect, &row);
        }
        (Stage::Dispatched, Recovery::Repeat | Recovery::Keyed) => dispatch(step, effect, &row),
        (Stage::Dispatched, Recovery::Probe) => {
            let (mount, kind) = (row.mount.clone(), row.kind.clone());
            step.effect(Effect::Probe { effect, mount, kind, args: row.args.hash });
        }
        (Stage::Dispatched, Recovery::Opaque) => in_doubt(step, effect, &row),
    }
}

/// In a copy of the workspace: the original carries it out, or has done so, and nobody here can know.
pub fn copied(step: &mut Step<'_>, effect: EffectId) {
    let Some(row) = step.state().effects.get(&effect).cloned() else { return };
    if row.stage != Stage::InDoubt {
        in_doubt(step, effect, &row);
    }
}

/// The other side was asked whether it happened.
pub fn probed(step: &mut Step<'_>, effect: &EffectId, found: &Probed) {
    let Some(row) = step.state().effects.get(effect).cloned() else { return };
    if row.stage != Stage::Dispatched {
        return;
    }
    match found {
        Probed::Happened(content) => ended(step, effect, &EffectOutcome::Done(*content)),
        Probed::Absent if step.state().stopped.is_some() => {
            step.kernel.volatile.put_off.insert(*effect);
        }
        Probed::Absent => dispatch(step, *effect, &row),
        Probed::Unknown => in_doubt(step, *effect, &row),
    }
}

/// Nobody can know: it is never repeated by itself. The operator is asked, other work goes on.
fn in_doubt(step: &mut Step<'_>, effect: EffectId, row: &EffectRow) {
    step.act_as_process(row.pid);
    step.cause = Some(row.seq);
    step.emit(Entry::InDoubt { effect });
    step.alarm(format!("{} at {}: a crash left it open whether it happened", row.kind, row.mount));
    // Also when its mount is gone: approving waits until it is back.
    let kind = declared(step.kernel, &row.mount, &row.kind, &Fields::new());
    let kind = kind.unwrap_or_else(|_| proposal::in_doubt(&row.kind));
    let moves = Nano(0);
    let intent = Intent { pid: row.pid, mount: row.mount.clone(), kind, args: row.args, moves };
    proposal::hold_doubt(step, effect, intent);
    let error =
        Error::new(Code::Interrupted, "a crash left it open whether it happened; the operator is asked");
    turn::resolve(step, WaitOn::Effect(effect), &Err(error));
}
