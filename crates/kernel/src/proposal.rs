//! What waits for an operator: effects, held calls, questions, endorsements.
//!
//! ```text
//! held: Proposed ─▶ Decided (approve) ─▶ the effect or the call, once
//!                ├▶ Decided (answer)  ─▶ the answer goes to who asked
//!                └▶ Decided (reject), Lapsed: never
//! ```
//!
//! A decision is bound to the digest of what is shown: these bytes, there, by this declaration, under this
//! label. It is used once, and what may have changed meanwhile is checked again. Asks of one process, step
//! and kind are one group: the digest of the group decides all of it, as it was shown and no further.

use crate::{
    Kernel, account,
    authority::Want,
    effect::{self, Intent, declared},
    files, guarded, modify, net, process, render, sink,
    state::{Client, Phase, Proposal},
    step::{Found, Outcome, Step},
    turn,
};
use abi::{
    Code, Content, EffectId, Error, Hash, Micros, Pid, ProposalId, VersionId, WORKSPACE,
    agent::Autonomy,
    answer::Answer,
    call::{Call, Fields, Ruling},
    cap::Rights,
    fact::{Facts, Lookup, Place},
    label::{Integrity, Label},
    limits,
    manifest::{Audience, Class, Kind, Recovery},
    path::TreePath,
    record::{Entry, Rule, TimerFor, WaitOn},
    tree::Node,
};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};

/// The mount that is the operator: what is proposed there is a question or an endorsement.
pub const OPERATOR: &str = "operator";
/// A question.
pub const ASK: &str = "ask";
/// Whether a program may do what it is about to do. A yes gives it nothing that it does not have: what it may
/// is its capabilities', and the wall's.
pub const PERMIT: &str = "permit";
/// The operator shall vouch for a version.
const ENDORSE: &str = "endorse";

/// What an operator can be asked.
pub fn kind_of(name: &str) -> Option<Kind> {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let (steering, payload) = match name {
        ASK => (vec![], names(&["question", "choice"])),
        ENDORSE => (names(&["path"]), names(&["version"])),
        PERMIT => (names(&["title", "path", "file"]), names(&["kind", "input", "old", "new"])),
        _ => return None,
    };
    let audience = Audience::Operator;
    let template = String::from(if name == PERMIT { "May it: {title}" } else { "" });
    Some(Kind {
        template,
        steering,
        payload,
        audience,
        ..Kind::new(name, Class::ExternalIrreversible, Recovery::Repeat)
    })
}

/// The agent of a process that has ended, as what it did names it.
pub fn asker(actor: &str) -> String {
    actor.strip_prefix("agent:").unwrap_or(actor).to_string()
}

/// Questions of what is proposed to the operator.
pub fn plan_ask(
    kernel: &Kernel,
    pid: Pid,
    kind: &str,
    fields: &Fields,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    if kind == ASK {
        let asked = single(fields, "question")?;
        let choices = fields.get("choice").map_or(0, Vec::len);
        if asked.is_empty() || choices > limits::CHOICES_MAX {
            return Err(Error::invalid("args", "a question has a text and at most 16 choices"));
        }
        return Ok(vec![]);
    }
    if kind == PERMIT {
        return single(fields, "title").map(|_| vec![]);
    }
    let path = endorsed_path(fields)?;
    kernel.allow(pid, Want::Path(&path), Rights::READ, at)?;
    let hidden = kernel.plan_hidden(pid, &path, None);
    Ok([Lookup::Path { path, at: None }].into_iter().chain(hidden).collect())
}

fn single<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Error> {
    match fields.get(name).map(Vec::as_slice) {
        Some([value]) => Ok(value),
        _ => Err(Error::invalid("args", format!("{name} takes one value"))),
    }
}

fn endorsed_path(fields: &Fields) -> Result<TreePath, Error> {
    TreePath::parse(single(fields, "path")?).map_err(|error| error.argument("path"))
}

/// A question or an endorsement. A process is always held; an operator who endorses has decided.
pub fn ask(
    step: &mut Step<'_>,
    pid: Pid,
    (kind, fields): (Kind, &Fields),
    facts: &mut Found,
) -> Result<Answer, Error> {
    let name = kind.name.clone();
    let args = step.blob(musli::wire::to_vec(fields).unwrap_or_default());
    effect::check_size(&args)?;
    let intent = Intent { pid, mount: OPERATOR.to_string(), kind, args, moves: Default::default() };
    let effect = effect::effect_id(step, &intent);
    let label = step.kernel.label_of(pid, &step.actor);
    let wait_us = limits::REVERSIBLE_WAIT_US;
    let asks = match name.as_str() {
        ASK => Some(("question", Rule::Question)),
        PERMIT => Some(("title", Rule::Permit)),
        _ => None,
    };
    if let Some((text, rule)) = asks {
        if pid == WORKSPACE {
            return Err(Error::invalid("kind", "an operator has nobody to ask").hint("agents ask"));
        }
        if rule == Rule::Permit && permits(step, pid) {
            return Ok(Answer::DONE);
        }
        let about: String = single(fields, text)?.chars().take(200).collect();
        let (paths, steering) = (vec![], vec![]);
        let held = Held { effect, intent, label, about, paths, steering, wait_us, content: None };
        return hold(step, held, rule);
    }
    let path = endorsed_path(fields)?;
    let place = facts.place()?;
    let head = files::seen_head(step, pid, &path, (place.clone(), facts))?;
    let version = fields.get("version").map(|_| single(fields, "version")).transpose()?;
    let version = version.map_or(Ok(head.id), |text| {
        text.parse().map(VersionId).map_err(|_| Error::invalid("version", "version is a number"))
    })?;
    if version != head.id || head.node != Node::File {
        return Err(Error::new(
            Code::Stale,
            format!("version {version} is not the file that stands at {path}"),
        )
        .argument("version")
        .hint("only what stands is endorsed; restore an older version first"));
    }
    if pid == WORKSPACE {
        return endorse(step, &path, place);
    }
    if head.content.bytes > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "more than 64 KiB cannot be shown to who has to decide")
            .hint("an operator can endorse it: skep endorse PATH"));
    }
    let label = label.join(&step.kernel.meaning(head.label));
    let about = path.to_string();
    let (paths, content) = (vec![path], Some(head.content));
    let held = Held { effect, intent, label, about, paths, steering: vec![], wait_us, content };
    hold(step, held, Rule::Endorse)
}

/// Whether policy has said that this process need not ask before it goes on.
fn permits(step: &Step<'_>, pid: Pid) -> bool {
    let want = Want::Effect(OPERATOR, PERMIT);
    let applies = step.kernel.allow(pid, want, Rights::APPLY, step.at).is_ok();
    applies
        && !step.kernel.policy_asks(pid, &want, Rights::APPLY)
        && step.kernel.autonomy() != Autonomy::Manual
}

/// A process has ended: what it asked before it went on nobody waits for.
pub fn unasked(step: &mut Step<'_>, pid: Pid) {
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::PERMITS_LEFT) {
        return;
    }
    let asked = step.state().proposals.iter().filter(|(_, row)| row.pid == pid && row.rule == Rule::Permit);
    let asked: Vec<ProposalId> = asked.map(|(id, _)| *id).collect();
    for proposal in asked {
        step.close_proposal(proposal, Entry::Lapsed { proposal }, None);
    }
}

/// The same bytes as a new version that the operator vouches for: at most `workspace`, since it was not
/// typed. Sources and readers stay, and the operator is one more source.
fn endorse(step: &mut Step<'_>, path: &TreePath, place: Place) -> Result<Answer, Error> {
    let Some(head) = &place.head else { return Err(Facts::mismatch()) };
    let old = step.kernel.meaning(head.label);
    let mut sources = old.sources.clone();
    sources.insert(step.actor.clone());
    let label = Label { integrity: old.integrity.max(Integrity::Workspace), sources, readers: old.readers };
    files::relabel(step, path, &place, &label)
}

/// Holds an effect for an operator.
pub fn hold_effect(
    step: &mut Step<'_>,
    effect: EffectId,
    intent: Intent,
    fields: &Fields,
    rule: Rule,
) -> Result<Answer, Error> {
    let values: Vec<&String> = sink::steering_values(&intent.kind, fields).collect();
    let kind = (intent.mount.as_str(), intent.kind.name.as_str());
    let steering = sink::steering(&intent.kind, fields).map(|named| sink::approval(kind, named)).collect();
    let named: Vec<&str> = values.iter().map(|value| value.as_str()).take(8).collect();
    let mut about: String = named.join(", ").chars().take(200).collect();
    if values.len() > named.len() || named.join(", ").len() > about.len() {
        about.push_str(&format!(" … {} in all, see shown", values.len()));
    }
    let wait_us = wait_of(intent.kind.class);
    let label = step.kernel.label_of(intent.pid, &step.actor);
    let held = Held { effect, intent, label, about, paths: vec![], steering, wait_us, content: None };
    hold(step, held, rule)
}

/// How long an effect of a class waits for a decision.
pub fn wait_of(class: Class) -> u64 {
    match class {
        Class::Money => limits::MONEY_WAIT_US,
        Class::Pure | Class::Reversible | Class::Get => limits::REVERSIBLE_WAIT_US,
        Class::ExternalIrreversible | Class::Account => limits::IRREVERSIBLE_WAIT_US,
    }
}

/// Holds a call that would change a steering place.
pub fn hold_call(
    step: &mut Step<'_>,
    pid: Pid,
    call: &Call,
    (rule, label): (Rule, Label),
    (path, content): (&TreePath, Option<Content>),
) -> Result<Answer, Error> {
    let args = step.blob(musli::wire::to_vec(call).unwrap_or_default());
    if args.bytes > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "too large to be held for a decision"));
    }
    let kind = Kind::new(call.name(), Class::Reversible, Recovery::Repeat);
    let intent = Intent { pid, mount: String::new(), kind, args, moves: Default::default() };
    let effect = effect::effect_id(step, &intent);
    let about = crate::step::about(call);
    let (paths, wait_us) = (vec![path.clone()], limits::REVERSIBLE_WAIT_US);
    let held = Held { effect, intent, label, about, paths, steering: vec![], wait_us, content };
    hold(step, held, rule)
}

/// Holds what a process shall be given.
pub fn hold_grant(
    step: &mut Step<'_>,
    (effect, intent): (EffectId, Intent),
    about: String,
) -> Result<Answer, Error> {
    let label = step.kernel.label_of(intent.pid, &step.actor);
    let (paths, wait_us) = (vec![], limits::REVERSIBLE_WAIT_US);
    let held = Held { effect, intent, label, about, paths, steering: vec![], wait_us, content: None };
    hold(step, held, Rule::Net)
}

/// An effect in doubt: approving does it again.
pub fn hold_doubt(step: &mut Step<'_>, effect: EffectId, intent: Intent) {
    let about = format!("effect {effect} may have happened; approve to do it again");
    let wait_us = limits::IRREVERSIBLE_WAIT_US;
    let label = step.kernel.label_of(intent.pid, &step.actor);
    let (paths, steering) = (vec![], vec![]);
    let held = Held { effect, intent, label, about, paths, steering, wait_us, content: None };
    propose(step, held, Rule::InDoubt);
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

fn hold(step: &mut Step<'_>, held: Held, rule: Rule) -> Result<Answer, Error> {
    let run = step.state().processes.get(&held.intent.pid).map(|process| process.run);
    let rows = step.state().proposals.values();
    if rows.filter(|row| Some(row.run) == run).count() >= limits::PROPOSALS_RUN_MAX {
        let message = format!("{} proposals of this run wait already", limits::PROPOSALS_RUN_MAX);
        return Err(Error::new(Code::Exhausted, message).hint("wait until the operator has decided some"));
    }
    if step.state().proposals.len() >= limits::PROPOSALS_MAX {
        return Err(Error::new(Code::Exhausted, format!("{} proposals wait already", limits::PROPOSALS_MAX))
            .hint("skep inbox"));
    }
    Ok(propose(step, held, rule))
}

fn propose(step: &mut Step<'_>, held: Held, rule: Rule) -> Answer {
    let Held { effect, intent, label, about, paths, steering, wait_us, content } = held;
    let proposal = step.state().next.proposal.next();
    let label = step.intern(&label);
    let group = group_for(step, &intent, rule);
    let asker = step.state().processes.get(&intent.pid).filter(|_| step.turn == Some(intent.pid));
    let number = asker.map_or(0, |process| process.turn.step);
    let digest = digest_of(step.kernel, &effect, (&intent.mount, &intent.kind), &intent.args, label);
    let (mount, kind, args) = (intent.mount, intent.kind.name, intent.args);
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
        group,
        step: number,
    });
    step.set_timer(TimerFor::Proposal(proposal), wait_us);
    Answer::held(proposal, rule)
}

/// What is decided on: these bytes, there, shown by this template, under this label. Approving anything else
/// is not possible.
pub fn digest_of(
    kernel: &Kernel,
    effect: &EffectId,
    (mount, kind): (&str, &Kind),
    args: &Content,
    label: abi::LabelId,
) -> Hash {
    let label = label.0.to_le_bytes();
    // The whole of what is declared, and who carries it out: a mount of the same name may be another place.
    let kind = musli::wire::to_vec(kind).unwrap_or_default();
    let at = kernel.state.mounts.get(mount);
    let (driver, argument) = at.map_or(("", ""), |at| (at.driver.as_str(), at.argument.as_str()));
    let place = [mount.as_bytes(), driver.as_bytes(), argument.as_bytes()];
    let [mount, driver, argument] = place;
    Hash::of_fields("proposal", &[&effect.0, mount, driver, argument, &kind, &args.hash.0, &label])
}

/// The first proposal of the same process, step and kind, if it still waits and has room.
fn group_for(step: &Step<'_>, intent: &Intent, rule: Rule) -> Option<ProposalId> {
    let same =
        |row: &Proposal| row.pid == intent.pid && row.mount == intent.mount && row.kind == intent.kind.name;
    // A program has no steps: what it changes where it has to ask is decided together.
    let now = match step.turn == Some(intent.pid) {
        true => Some(step.state().processes.get(&intent.pid)?.turn.step),
        false if rule == Rule::Guarded => None,
        false => return None,
    };
    let of_it = |row: &Proposal| same(row) && now.map_or(row.rule == rule, |now| row.step == now);
    let mut rows = step.state().proposals.iter().filter(|(_, row)| of_it(row)).map(|(id, row)| (*id, row));
    let (id, row) = rows.next_back()?;
    let first = row.group.unwrap_or(id);
    (members(step.kernel, first).len() < limits::GROUP_MAX).then_some(first)
}

/// The proposals of a group that still wait, oldest first.
pub fn members(kernel: &Kernel, of: ProposalId) -> Vec<ProposalId> {
    let first = kernel.state.proposals.get(&of).and_then(|row| row.group).unwrap_or(of);
    let rows = kernel.state.proposals.range(first..);
    rows.filter(|(id, row)| **id == first || row.group == Some(first)).map(|(id, _)| *id).collect()
}

/// What decides all of a group, as it stands now.
pub fn group_digest(kernel: &Kernel, of: ProposalId) -> Hash {
    let rows = members(kernel, of).into_iter().filter_map(|id| kernel.state.proposals.get(&id));
    let digests: Vec<[u8; 32]> = rows.map(|row| row.digest.0).collect();
    let fields: Vec<&[u8]> = digests.iter().map(|digest| digest.as_slice()).collect();
    Hash::of_fields("group", &fields)
}

/// What of a decision says which proposals it is about: to modify is about the one that is named, and the
/// digest is that of what it becomes.
pub fn shown_of(ruling: Ruling, digest: Option<Hash>) -> Option<Hash> {
    digest.filter(|_| ruling != Ruling::Modify)
}

/// What a decision is about: one proposal, or all of its group when that is what was shown.
pub fn decided(
    kernel: &Kernel,
    proposal: ProposalId,
    digest: Option<Hash>,
) -> Result<Vec<ProposalId>, Error> {
    let Some(row) = kernel.state.proposals.get(&proposal) else {
        let error = match kernel.state.ruled.get(&proposal) {
            Some(ruled) => {
                Error::new(Code::Dead, format!("proposal {proposal} was {} already", ruled.word()))
            }
            None => Error::new(Code::NotFound, format!("there is no proposal {proposal}")).hint("skep inbox"),
        };
        return Err(error.argument("proposal"));
    };
    match digest {
        None => Ok(vec![proposal]),
        Some(digest) if digest == row.digest => Ok(vec![proposal]),
        Some(digest) if digest == group_digest(kernel, proposal) => Ok(members(kernel, proposal)),
        Some(_) => {
            let what = "or what is decided with it, is not what was shown any more; nothing was decided";
            Err(Error::new(Code::Stale, format!("proposal {proposal}, {what}"))
                .argument("digest")
                .hint(format!("look at it again: skep inbox {proposal}")))
        }
    }
}

/// Questions of `decide`: the recorded bytes, and where a held call goes.
pub fn plan_decide(kernel: &Kernel, pid: Pid, call: &Call) -> Result<Vec<Lookup>, Error> {
    let Call::Decide { proposal, ruling, reason, digest, .. } = call else { return Err(Facts::mismatch()) };
    if pid != WORKSPACE {
        return Err(Error::new(Code::Denied, "only an operator decides").argument("proposal"));
    }
    let ids = decided(kernel, *proposal, shown_of(*ruling, *digest))?;
    let rows = || ids.iter().filter_map(|id| kernel.state.proposals.get(id));
    let is_question = |row: &Proposal| row.mount == OPERATOR && row.kind == ASK;
    match ruling {
        Ruling::Reject => Ok(reason.iter().map(|reason| Lookup::Bytes { hash: reason.hash }).collect()),
        Ruling::Answer if !rows().all(is_question) => {
            Err(Error::invalid("verdict", "this is no question: approve or reject it"))
        }
        Ruling::Answer => match reason {
            Some(reason) => Ok(vec![Lookup::Bytes { hash: reason.hash }]),
            None => Err(Error::invalid("reason", "an answer has a text").hint("skep answer ID TEXT")),
        },
        Ruling::Modify => {
            rows().try_for_each(modify::may_change)?;
            crate::stop::admits(kernel)?;
            Ok(rows().flat_map(lookups_of).collect())
        }
        Ruling::Approve if rows().any(is_question) => {
            Err(Error::invalid("verdict", "this is a question").hint("skep answer ID TEXT"))
        }
        Ruling::Approve => {
            crate::stop::admits(kernel)?;
            Ok(rows().flat_map(lookups_of).collect())
        }
    }
}

fn lookups_of(row: &Proposal) -> Vec<Lookup> {
    let mut lookups = vec![Lookup::Bytes { hash: row.args.hash }];
    lookups.extend(row.content.iter().map(|content| Lookup::Bytes { hash: content.hash }));
    lookups.extend(row.paths.iter().map(|path| Lookup::Path { path: path.clone(), at: None }));
    if row.mount.is_empty() && row.kind == "remove" {
        lookups.extend(row.paths.iter().map(|path| Lookup::Below { path: path.clone() }));
    }
    lookups
}

/// The call `decide`.
pub fn decide(step: &mut Step<'_>, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Decide { proposal, ruling, reason, digest, .. } = call else { return Err(Facts::mismatch()) };
    if *ruling == Ruling::Modify {
        return modify::decide(step, call, facts);
    }
    let ids = decided(step.kernel, *proposal, *digest)?;
    // Who asked hears the answer, or why not.
    let answer = match (ruling, reason) {
        (Ruling::Answer | Ruling::Reject, Some(_)) => {
            Some(String::from_utf8_lossy(&facts.bytes()?).into_owned())
        }
        (Ruling::Approve | Ruling::Modify, _) | (_, None) => None,
    };
    let one = ids.len() == 1;
    for id in ids {
        let Some(row) = step.state().proposals.get(&id).cloned() else { continue };
        let mut own = facts.take(if *ruling == Ruling::Approve { lookups_of(&row).len() } else { 0 });
        let entry = Entry::Decided {
            proposal: id,
            ruling: *ruling,
            reason: *reason,
            args: None,
            effect: None,
            digest: None,
            steering: vec![],
        };
        let outcome = match ruling {
            _ if step.at >= row.expires => {
                Err(Error::new(Code::Expired, format!("proposal {id} has expired")))
            }
            Ruling::Reject | Ruling::Answer => {
                step.close_proposal(id, entry, answer.clone());
                Ok(())
            }
            Ruling::Approve => approve(step, (id, row), entry, (&mut own, digest.is_some())),
            // It is about one, and was decided above.
            Ruling::Modify => Err(Facts::mismatch()),
        };
        match outcome {
            Err(error) if one => return Err(error),
            Err(error) => step.alarm(format!("proposal {id}: {error}")),
            Ok(()) => {}
        }
    }
    let state = match ruling {
        Ruling::Approve => "approved",
        Ruling::Reject => "rejected",
        Ruling::Answer => "answered",
        Ruling::Modify => "modified",
    };
    Ok(Answer::Ruled { proposal: *proposal, state, answer: None })
}

fn approve(
    step: &mut Step<'_>,
    (id, row): (ProposalId, Proposal),
    entry: Entry,
    (facts, by_digest): (&mut Found, bool),
) -> Result<(), Error> {
    let bytes = facts.bytes()?;
    if Hash::of(&bytes) != row.args.hash {
        return Err(Error::new(Code::Unavailable, "the recorded bytes are not what was proposed"));
    }
    // They may have been purged meanwhile; then there is nothing to approve.
    let content = row.content.map(|_| facts.bytes()).transpose()?;
    let shown = render::shown(step.kernel, &row, &bytes, content);
    if !shown.whole {
        let message = format!("proposal {id} cannot be shown, so it cannot be approved");
        return Err(Error::new(Code::Unavailable, message).hint("reject it; the agent can propose again"));
    }
    let pages = abi::page::count(&shown.text);
    if !by_digest && pages > 1 {
        let message = format!("proposal {id} shows {pages} pages: what was not seen cannot be approved");
        return Err(Error::invalid("digest", message)
            .hint(format!("skep inbox {id} shows them all, and then how to approve")));
    }
    if row.rule == Rule::Permit {
        step.close_proposal(id, entry, None);
    } else if row.mount == OPERATOR {
        let place = facts.place()?;
        let path = row.paths.first().ok_or_else(Facts::mismatch)?;
        if place.head.as_ref().map(|head| head.content) != row.content {
            return Err(Error::new(Code::Stale, format!("{path} is not what was proposed any more")));
        }
        endorse(step, path, place)?;
        step.close_proposal(id, entry, None);
    } else if row.mount.is_empty() {
        approve_call(step, (id, &row), &bytes, facts)?;
        step.close_proposal(id, entry, None);
    } else {
        recheck(step.kernel, &row, &bytes, step.at)?;
        step.close_proposal(id, entry, None);
        approve_effect(step, id, row, &bytes)?;
    }
    Ok(())
}

/// Approval re-checks what may have changed since: the mount, what it declares, the right of the process if
/// it still lives, and what may be spent.
pub fn recheck(kernel: &Kernel, row: &Proposal, bytes: &[u8], at: Micros) -> Result<(), Error> {
    // At an open mount every argument is part of what is declared.
    let fields: Fields = musli::wire::from_slice(bytes).unwrap_or_default();
    let kind = declared(kernel, &row.mount, &row.kind, &fields)?;
    let digest = digest_of(kernel, &row.effect, (&row.mount, &kind), &row.args, row.label);
    // One in doubt may have been held while its mount was gone.
    if digest != row.digest && row.rule != Rule::InDoubt {
        let message = format!("{} declares {} in another way since it was proposed", row.mount, row.kind);
        return Err(Error::new(Code::Stale, message).hint("reject it; the agent can propose again"));
    }
    let process = kernel.state.processes.get(&row.pid);
    let account = process.map_or(crate::state::ROOT_ACCOUNT, |process| process.account);
    let at_mount = (row.mount.as_str(), sink::moves(&kind, &fields));
    account::check_effect(&kernel.state, account, at_mount, at).map_err(|(name, limit)| {
        Error::new(Code::Exhausted, format!("the limit of {name} is reached: {limit}"))
    })?;
    match process {
        Some(_) => kernel.may_propose(row, at),
        None if row.pid == WORKSPACE => Ok(()),
        None => kernel.agent_may(&row.agent, Want::Effect(&row.mount, &row.kind), Rights::ASK),
    }
}

/// What an effect counts as whose mount is gone.
pub fn in_doubt(kind: &str) -> Kind {
    Kind::new(kind, Class::ExternalIrreversible, Recovery::Opaque)
}

pub fn approve_effect(step: &mut Step<'_>, id: ProposalId, row: Proposal, bytes: &[u8]) -> Result<(), Error> {
    let fields: Fields = musli::wire::from_slice(bytes)
        .map_err(|_| Error::new(Code::Unavailable, "the recorded arguments cannot be read"))?;
    let kind = declared(step.kernel, &row.mount, &row.kind, &fields)?;
    let moves = sink::moves(&kind, &fields);
    let actor = step.actor.clone();
    let intent = Intent { pid: row.pid, mount: row.mount, kind, args: row.args, moves };
    // A second try of an effect in doubt is another effect: its name must not meet the first one's.
    let effect = if row.rule == Rule::InDoubt {
        Hash::of_fields("again", &[&row.effect.0, &id.0.to_le_bytes()])
    } else {
        row.effect
    };
    step.act_as(row.pid, actor);
    effect::intend(step, effect, intent, row.rule, Some(id))
}

/// Carries out a held call on the operator's authority, with the label the proposing process had. An approval
/// is used once, also when the tree has moved on and the call is refused.
pub fn approve_call(
    step: &mut Step<'_>,
    (id, row): (ProposalId, &Proposal),
    bytes: &[u8],
    facts: &mut Found,
) -> Result<(), Error> {
    let call: Call = musli::wire::from_slice(bytes)
        .map_err(|_| Error::new(Code::Unavailable, "the held call cannot be read"))?;
    if step.state().processes.contains_key(&row.pid) {
        step.kernel.may_propose(row, step.at)?;
    }
    let may = |path: &TreePath| step.kernel.agent_may(&row.agent, Want::Path(path), Rights::WRITE);
    row.paths.iter().try_for_each(may)?;
    step.approved = Some(row.label);
    let outcome = step.carry_out(WORKSPACE, &call, facts);
    step.approved = None;
    match outcome {
        Outcome::Now(Ok(Answer::Diverged { message, .. })) => {
            step.alarm(format!("proposal {id} was approved, but: {message}"));
        }
        Outcome::Now(Err(error)) => step.alarm(format!("proposal {id} was approved, but: {error}")),
        Outcome::Now(Ok(_)) | Outcome::Later(_) => {}
        Outcome::Model(_) | Outcome::Control(_) | Outcome::Scrub(_) | Outcome::Draft { .. } => {}
    }
    Ok(())
}

/// In a copy of the workspace: what was asked in the original is decided there, and what was approved there
/// vouches for nothing here.
pub fn forked(step: &mut Step<'_>) {
    let asked = step.state().proposals.iter().filter(|(_, row)| row.rule != Rule::InDoubt);
    let waiting: Vec<ProposalId> = asked.map(|(id, _)| *id).collect();
    for proposal in waiting {
        step.close_proposal(proposal, Entry::Lapsed { proposal }, None);
    }
    step.act_as(WORKSPACE, String::from("system:kernel"));
    step.emit(Entry::Forked);
}

impl Step<'_> {
    /// A proposal is decided or lapses, as the entry says: its timer goes, and whoever waits for it hears it.
    pub fn close_proposal(&mut self, proposal: ProposalId, entry: Entry, answer: Option<String>) {
        let Some(row) = self.state().proposals.get(&proposal).cloned() else { return };
        let (pid, rule) = (row.pid, row.rule);
        let is_no = matches!(&entry, Entry::Decided { ruling: Ruling::Reject, .. } | Entry::Lapsed { .. });
        if is_no && rule == Rule::Net {
            net::turned_down(self, &row);
        }
        if rule == Rule::Guarded {
            guarded::closed(self, &row, is_no);
        }
        self.emit(entry);
        let timers = self.state().timers.iter();
        let of_it = |purpose: &TimerFor| *purpose == TimerFor::Proposal(proposal);
        let gone: Vec<_> = timers.filter(|(_, row)| of_it(&row.purpose)).map(|(id, _)| *id).collect();
        for timer in gone {
            self.emit(Entry::TimerGone { timer });
        }
        let state = self.state().ruled.get(&proposal).map_or("expired", |ruled| ruled.word());
        let told = Answer::Ruled { proposal, state, answer: answer.clone() };
        let on_it =
            |client: &Client| matches!(client, Client::On { proposal: Some(on), .. } if *on == proposal);
        self.tell_clients(on_it, &told);
        let waits = self.state().processes.get(&pid).is_some_and(|process| {
            matches!(process.turn.phase, Phase::Waits { on: WaitOn::Proposal(on), .. } if on == proposal)
        });
        turn::resolve(self, WaitOn::Proposal(proposal), &Ok(told));
        // Who asked before going on waits for it, or has given up.
        let hears = match rule {
            Rule::Permit => false,
            Rule::Guarded => !guarded::goes_on(self.state(), pid),
            _ => true,
        };
        if !waits && hears && self.state().processes.contains_key(&pid) {
            let said = answer.map(|text| format!(": {text}")).unwrap_or_else(|| String::from("."));
            let note = format!("Note from the kernel: proposal {proposal} was {state}{said}");
            let content = self.blob(note.into_bytes());
            process::steer(self, pid, content, &Label::system());
        }
    }
}
