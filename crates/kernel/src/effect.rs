//! Effects and proposals, exactly once.
//!
//! ```text
//! propose ─▶ held: Proposed ─▶ Decided (approve) ─┐        └▶ reject, Lapsed: never
//!        └▶ applied ───────────────────────────────┴▶ Intended ─▶ Dispatched ─▶ EffectEnded | InDoubt
//! ```
//! The id is fixed, and durable, before anything happens. The step from Intended to Dispatched is a record of
//! its own, durable before the driver is called: an effect that is Intended after a crash was provably never
//! sent.

use crate::{
    Kernel, account,
    authority::Want,
    process,
    sink::{self, Question, Verdict},
    state::{Client, EffectRow, Phase, Proposal, Stage},
    step::{Found, Outcome, Step},
    turn,
};
use abi::{
    Code, Content, EffectId, Error, Hash, Micros, Pid, ProposalId, WORKSPACE,
    answer::Answer,
    call::{Call, Fields, Ruling},
    cap::Rights,
    effect::Effect,
    event::{EffectOutcome, Probed},
    fact::{Facts, Haystack, Lookup, Match},
    label::Label,
    limits,
    manifest::{Kind, Recovery},
    money::Amounts,
    path::TreePath,
    record::{Entry, Rule, TimerFor, WaitOn},
};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};

/// Steering values that are looked up in the operator's words, one lookup each; more of them ask.
const NAMED_MAX: usize = limits::LOOKUPS_MAX - 2;

/// Questions of `propose`: under an external label, whether the operator's words name where it goes.
pub fn plan_propose(
    kernel: &Kernel,
    pid: Pid,
    (mount, kind): (&str, &str),
    fields: &Fields,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    kernel.allow(pid, Want::Effect(mount, kind), Rights::ASK, at)?;
    let kind = declared(kernel, mount, kind)?;
    check_fields(kind, fields)?;
    let question = Question { pid, mount, kind, fields, at };
    let Some(words) = kernel.own_words(pid) else { return Ok(vec![]) };
    let unapproved = kernel.unapproved(&question);
    if unapproved.len() > NAMED_MAX {
        return Ok(vec![]);
    }
    let lookup = |value: &&String| Lookup::Match {
        text: Haystack::Blob(words.hash),
        literal: (*value).clone(),
        how: Match::Token,
    };
    Ok(unapproved.iter().map(lookup).collect())
}

/// The effect kind as the mount's manifest declares it; what is not declared does not exist.
fn declared<'a>(kernel: &'a Kernel, mount: &str, kind: &str) -> Result<&'a Kind, Error> {
    let Some(row) = kernel.state.mounts.get(mount) else {
        return Err(Error::new(Code::NotFound, format!("{mount} is not mounted")).argument("mount"));
    };
    row.manifest.kind(kind).ok_or_else(|| {
        let kinds: Vec<&str> = row.manifest.kinds.iter().map(|kind| kind.name.as_str()).collect();
        Error::new(Code::NotFound, format!("{mount} has no effect {kind}"))
            .argument("kind")
            .hint(abi::wire::nearest_hint(kind, &kinds))
    })
}

fn check_fields(kind: &Kind, fields: &Fields) -> Result<(), Error> {
    let known: Vec<&str> = kind.steering.iter().chain(&kind.payload).map(String::as_str).collect();
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::invalid("args", format!("{} has no argument {name:?}", kind.name))
            .hint(abi::wire::nearest_hint(name, &known))),
        None => Ok(()),
    }
}

/// The call `propose`.
pub fn propose(
    step: &mut Step<'_>,
    pid: Pid,
    (mount, kind): (&str, &str),
    fields: &Fields,
    facts: &mut Found,
) -> Outcome {
    match decide_sink(step, pid, (mount, kind), fields, facts) {
        Ok((kind, verdict)) => {
            let args = step.blob(musli::wire::to_vec(fields).unwrap_or_default());
            let intent = Intent { pid, mount: mount.to_string(), kind, args };
            let effect = effect_id(step, &intent);
            match verdict {
                Verdict::Apply(rule) => apply_now(step, effect, intent, rule),
                Verdict::Ask(rule) => hold_effect(step, effect, intent, fields, rule).into(),
            }
        }
        Err(error) => Outcome::Now(Err(error)),
    }
}

/// An effect about to be recorded.
struct Intent {
    pid: Pid,
    mount: String,
    kind: Kind,
    args: Content,
}

fn decide_sink(
    step: &mut Step<'_>,
    pid: Pid,
    (mount, kind): (&str, &str),
    fields: &Fields,
    facts: &mut Found,
) -> Result<(Kind, Verdict), Error> {
    let kind = declared(step.kernel, mount, kind)?.clone();
    let question = Question { pid, mount, kind: &kind, fields, at: step.at };
    let unapproved = step.kernel.unapproved(&question).len();
    let words = step.kernel.own_words(pid).is_some();
    let mut named = words && unapproved > 0 && unapproved <= NAMED_MAX;
    if named {
        for _ in 0..unapproved {
            named &= facts.holds()?;
        }
    }
    let label = step.kernel.label_of(pid, &step.actor);
    let verdict = step.kernel.sink(&question, &label, named)?;
    Ok((kind, verdict))
}

/// The effect's name: run, process, where in the turn (or in the log), kind, canonical arguments.
fn effect_id(step: &Step<'_>, intent: &Intent) -> EffectId {
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
fn intend(
    step: &mut Step<'_>,
    effect: EffectId,
    intent: Intent,
    rule: Rule,
    proposal: Option<ProposalId>,
) -> Result<(), Error> {
    if step.state().effects.contains_key(&effect) {
        return Err(Error::new(Code::Busy, "this very effect is under way"));
    }
    let reserved = Amounts { effects: 1, ..Amounts::default() };
    let process = step.state().processes.get(&intent.pid);
    let account = process.map_or(crate::state::ROOT_ACCOUNT, |process| process.account);
    if let Err(reached) = account::check(step.state(), account, &reserved, step.at) {
        return Err(step.freeze_for(intent.pid, reached));
    }
    let (mount, kind, args) = (intent.mount, intent.kind.name, intent.args);
    let recovery = intent.kind.recovery;
    step.emit(Entry::Intended { effect, mount, kind, args, recovery, rule, proposal, reserved });
    step.effect(Effect::Arm { effect });
    Ok(())
}

fn room_for_proposal(step: &Step<'_>) -> Result<(), Error> {
    if step.state().proposals.len() >= limits::PROPOSALS_MAX {
        return Err(Error::new(Code::Exhausted, format!("{} proposals wait already", limits::PROPOSALS_MAX))
            .hint("skep inbox"));
    }
    Ok(())
}

fn hold_effect(
    step: &mut Step<'_>,
    effect: EffectId,
    intent: Intent,
    fields: &Fields,
    rule: Rule,
) -> Result<Answer, Error> {
    room_for_proposal(step)?;
    let values: Vec<&String> = sink::steering_values(&intent.kind, fields).collect();
    let steering = values.iter().map(|value| sink::approval(&intent.kind.name, value)).collect();
    let named: Vec<&str> = values.iter().map(|value| value.as_str()).take(8).collect();
    let mut about: String = named.join(", ").chars().take(200).collect();
    if values.len() > named.len() || named.join(", ").len() > about.len() {
        about.push_str(&format!(" … {} in all, see args", values.len()));
    }
    let wait_us = limits::IRREVERSIBLE_WAIT_US;
    let label = step.kernel.label_of(intent.pid, &step.actor);
    let held = Held { effect, intent, label, about, paths: vec![], steering, wait_us, content: None };
    Ok(hold(step, held, rule))
}

/// Holds a call that would change a steering place.
pub fn hold_call(
    step: &mut Step<'_>,
    pid: Pid,
    call: &Call,
    (rule, label): (Rule, Label),
    (path, content): (&TreePath, Option<Content>),
) -> Result<Answer, Error> {
    room_for_proposal(step)?;
    let args = step.blob(musli::wire::to_vec(call).unwrap_or_default());
    if args.bytes > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "too large to be held for a decision"));
    }
    let kind = Kind {
        name: call.name().to_string(),
        class: abi::manifest::Class::Reversible,
        steering: vec![],
        payload: vec![],
        recovery: Recovery::Repeat,
    };
    let intent = Intent { pid, mount: String::new(), kind, args };
    let effect = effect_id(step, &intent);
    let about = crate::step::about(call);
    let (paths, wait_us) = (vec![path.clone()], limits::REVERSIBLE_WAIT_US);
    let held = Held { effect, intent, label, about, paths, steering: vec![], wait_us, content };
    Ok(hold(step, held, rule))
}

/// Something about to be proposed.
struct Held {
    effect: EffectId,
    intent: Intent,
    /// Of all that had a part in it: for a held write, of the bytes it would put there.
    label: Label,
    about: String,
    paths: Vec<TreePath>,
    steering: Vec<Hash>,
    wait_us: u64,
    content: Option<Content>,
}

fn hold(step: &mut Step<'_>, held: Held, rule: Rule) -> Answer {
    let Held { effect, intent, label, about, paths, steering, wait_us, content } = held;
    let proposal = step.state().next.proposal.next();
    let label = step.intern(&label);
    let (mount, kind, args) = (intent.mount, intent.kind.name, intent.args);
    // What is decided on: these bytes, there, under this label. Approving anything else is not possible.
    let digest = Hash::of_fields(
        "proposal",
        &[&effect.0, mount.as_bytes(), kind.as_bytes(), &args.hash.0, &label.0.to_le_bytes()],
    );
    let expires = step.at.saturating_add(wait_us);
    step.emit(Entry::Proposed {
        proposal,
        effect,
        mount,
        kind,
        args,
        digest,
        label,
        rule,
        about,
        paths,
        steering,
        expires,
        content,
    });
    step.set_timer(TimerFor::Proposal(proposal), wait_us);
    Answer::held(proposal, rule)
}

/// Questions of `decide`: the recorded bytes, and where a held call goes.
pub fn plan_decide(
    kernel: &Kernel,
    pid: Pid,
    proposal: ProposalId,
    ruling: Ruling,
) -> Result<Vec<Lookup>, Error> {
    if pid != WORKSPACE {
        return Err(Error::new(Code::Denied, "only an operator decides").argument("proposal"));
    }
    let Some(row) = kernel.state.proposals.get(&proposal) else {
        let error = match kernel.state.ruled.get(&proposal) {
            Some(ruled) => {
                Error::new(Code::Dead, format!("proposal {proposal} was {} already", ruled.word()))
            }
            None => Error::new(Code::NotFound, format!("there is no proposal {proposal}")).hint("skep inbox"),
        };
        return Err(error.argument("proposal"));
    };
    if ruling == Ruling::Reject {
        return Ok(vec![]);
    }
    let mut lookups = vec![Lookup::Bytes { hash: row.args.hash }];
    lookups.extend(row.content.iter().map(|content| Lookup::Bytes { hash: content.hash }));
    lookups.extend(row.paths.iter().map(|path| Lookup::Path { path: path.clone(), at: None }));
    Ok(lookups)
}

/// The call `decide`.
pub fn decide(
    step: &mut Step<'_>,
    proposal: ProposalId,
    ruling: Ruling,
    reason: Option<Content>,
    facts: &mut Found,
) -> Result<Answer, Error> {
    let Some(row) = step.state().proposals.get(&proposal).cloned() else { return Err(Facts::mismatch()) };
    if step.at >= row.expires {
        return Err(Error::new(Code::Expired, format!("proposal {proposal} has expired")));
    }
    if ruling == Ruling::Reject {
        step.close_proposal(proposal, Entry::Decided { proposal, ruling, reason });
        return Ok(Answer::Ruled { proposal, state: "rejected" });
    }
    let bytes = facts.bytes()?;
    if Hash::of(&bytes) != row.args.hash {
        return Err(Error::new(Code::Unavailable, "the recorded bytes are not what was proposed"));
    }
    if row.content.is_some() {
        // They may have been purged meanwhile; then there is nothing to approve.
        facts.bytes()?;
    }
    let decided = Entry::Decided { proposal, ruling, reason };
    if row.mount.is_empty() {
        approve_call(step, proposal, &row, &bytes, facts)?;
        step.close_proposal(proposal, decided);
    } else {
        recheck(step.kernel, &row, step.at)?;
        step.close_proposal(proposal, decided);
        approve_effect(step, proposal, row)?;
    }
    Ok(Answer::Ruled { proposal, state: "approved" })
}

/// Approval re-checks what may have changed since: the mount, and the right of the process if it still lives.
fn recheck(kernel: &Kernel, row: &Proposal, at: Micros) -> Result<(), Error> {
    declared(kernel, &row.mount, &row.kind)?;
    let reserved = Amounts { effects: 1, ..Amounts::default() };
    let process = kernel.state.processes.get(&row.pid);
    let account = process.map_or(crate::state::ROOT_ACCOUNT, |process| process.account);
    account::check(&kernel.state, account, &reserved, at).map_err(|(name, limit)| {
        Error::new(Code::Exhausted, format!("the limit of {name} is reached: {limit}"))
    })?;
    process.map_or(Ok(()), |_| kernel.may_propose(row, at))
}

fn approve_effect(step: &mut Step<'_>, proposal: ProposalId, row: Proposal) -> Result<(), Error> {
    let kind = declared(step.kernel, &row.mount, &row.kind)?.clone();
    let actor = step.actor.clone();
    let intent = Intent { pid: row.pid, mount: row.mount, kind, args: row.args };
    // A second try of an effect in doubt is another effect: its name must not meet the first one's.
    let effect = if row.rule == Rule::InDoubt {
        Hash::of_fields("again", &[&row.effect.0, &proposal.0.to_le_bytes()])
    } else {
        row.effect
    };
    step.act_as(row.pid, actor);
    intend(step, effect, intent, row.rule, Some(proposal))
}

/// Carries out a held call on the operator's authority, with the label the proposing process had. An approval
/// is used once, also when the tree has moved on and the call is refused.
fn approve_call(
    step: &mut Step<'_>,
    proposal: ProposalId,
    row: &Proposal,
    bytes: &[u8],
    facts: &mut Found,
) -> Result<(), Error> {
    let call: Call = musli::wire::from_slice(bytes)
        .map_err(|_| Error::new(Code::Unavailable, "the held call cannot be read"))?;
    if step.state().processes.contains_key(&row.pid) {
        step.kernel.may_propose(row, step.at)?;
    }
    step.approved = Some(row.label);
    let outcome = step.carry_out(WORKSPACE, &call, facts);
    step.approved = None;
    match outcome {
        Outcome::Now(Ok(Answer::Diverged { message, .. })) => {
            step.alarm(format!("proposal {proposal} was approved, but: {message}"));
        }
        Outcome::Now(Err(error)) => step.alarm(format!("proposal {proposal} was approved, but: {error}")),
        Outcome::Now(Ok(_)) | Outcome::Later(_) => {}
        Outcome::Model(_) | Outcome::Control(_) | Outcome::Scrub(_) => {}
    }
    Ok(())
}

/// Everything so far is durable: the effect may be handed to its driver, once that is recorded too.
pub fn armed(step: &mut Step<'_>, effect: &EffectId) {
    let Some(row) = step.state().effects.get(effect).cloned() else { return };
    let frozen = step.state().processes.get(&row.pid).is_some_and(|process| process.frozen.is_some());
    if row.stage == Stage::Intended && !frozen {
        dispatch(step, *effect, &row);
    }
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
        step.close_proposal(proposal, Entry::Lapsed { proposal });
    }
    step.act_as_process(row.pid);
    step.cause = Some(row.seq);
    let (done, content) = match outcome {
        EffectOutcome::Done(content) => (true, *content),
        EffectOutcome::Failed(content) => (false, *content),
    };
    step.emit(Entry::EffectEnded { effect: *effect, done, outcome: content });
    let answer = Answer::Effected { effect: *effect, done, outcome: content };
    step.tell_clients(|client| *client == Client::Effect(*effect), &answer);
    turn::resolve(step, WaitOn::Effect(*effect), &Ok(answer));
}

/// After a restart: what each death means for an effect whose outcome is unknown.
pub fn recover(step: &mut Step<'_>, effect: EffectId) {
    let Some(row) = step.state().effects.get(&effect).cloned() else { return };
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
    let kind = declared(step.kernel, &row.mount, &row.kind).cloned().unwrap_or_else(|_| Kind {
        name: row.kind.clone(),
        class: abi::manifest::Class::ExternalIrreversible,
        steering: vec![],
        payload: vec![],
        recovery: Recovery::Opaque,
    });
    let intent = Intent { pid: row.pid, mount: row.mount.clone(), kind, args: row.args };
    let about = format!("effect {effect} may have happened; approve to do it again");
    let wait_us = limits::IRREVERSIBLE_WAIT_US;
    let label = step.kernel.label_of(row.pid, &step.actor);
    let (paths, steering) = (vec![], vec![]);
    let held = Held { effect, intent, label, about, paths, steering, wait_us, content: None };
    let _ = hold(step, held, Rule::InDoubt);
    let error =
        Error::new(Code::Interrupted, "a crash left it open whether it happened; the operator is asked");
    turn::resolve(step, WaitOn::Effect(effect), &Err(error));
}

impl Step<'_> {
    /// A proposal is decided or lapses, as the entry says: its timer goes, and whoever waits for it hears it.
    pub fn close_proposal(&mut self, proposal: ProposalId, entry: Entry) {
        let Some(pid) = self.state().proposals.get(&proposal).map(|row| row.pid) else { return };
        self.emit(entry);
        let timers = self.state().timers.iter();
        let of_it = |purpose: &TimerFor| *purpose == TimerFor::Proposal(proposal);
        let gone: Vec<_> = timers.filter(|(_, row)| of_it(&row.purpose)).map(|(id, _)| *id).collect();
        for timer in gone {
            self.emit(Entry::TimerGone { timer });
        }
        let state = self.state().ruled.get(&proposal).map_or("expired", |ruled| ruled.word());
        let answer = Answer::Ruled { proposal, state };
        let on_it =
            |client: &Client| matches!(client, Client::On { proposal: Some(on), .. } if *on == proposal);
        self.tell_clients(on_it, &answer);
        let waits = self.state().processes.get(&pid).is_some_and(|process| {
            matches!(process.turn.phase, Phase::Waits { on: WaitOn::Proposal(on), .. } if on == proposal)
        });
        turn::resolve(self, WaitOn::Proposal(proposal), &Ok(answer));
        if !waits && self.state().processes.contains_key(&pid) {
            let note = format!("Note from the kernel: proposal {proposal} was {state}.");
            let content = self.blob(note.into_bytes());
            process::steer(self, pid, content, &Label::system());
        }
    }
}
