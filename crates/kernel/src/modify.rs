//! An operator changes what a proposal holds, and approves the changed one.
//!
//! ```text
//! decide modify {args}           ─▶ the arguments, what is shown of them, a digest; nothing is decided
//! decide modify {args, digest}   ─▶ Decided (modify: other bytes, another name) ─▶ that effect, that write
//! ```
//! It is a decision like an approval, of other bytes: by who may decide the kind, of what was shown, once,
//! and whatever may have changed meanwhile is checked again. The label stays that of who asked, since the
//! rest is still theirs; where it goes is the operator's word now, and vouches in this run. Who waits hears
//! what was done instead. Never here: a question or an endorsement, which say what they say.

use crate::{
    effect,
    proposal::{self, OPERATOR},
    render,
    sink::{self, Question},
    state::Proposal,
    step::{Found, Step},
    vouch::Vouched,
};
use abi::{
    Code, Content, Error, Hash, ProposalId,
    answer::Answer,
    call::{Call, Fields, Ruling, Write},
    fact::Facts,
    limits,
    manifest::{Class, Kind, Recovery},
    record::{Entry, Rule},
};
use alloc::{collections::BTreeMap, format, string::String, string::ToString, vec, vec::Vec};

/// The one argument of a held write.
const TEXT: &str = "text";
/// Bytes of what who waits is told was done.
const TOLD_BYTES_MAX: usize = 8 * 1024;

/// What a proposal becomes.
struct Changed {
    /// As it will be carried out: a row with other bytes.
    row: Proposal,
    kind: Kind,
    fields: Fields,
    /// The recorded bytes, and those of a write's text.
    bytes: Vec<u8>,
    content: Option<Vec<u8>>,
}

/// Whether what is held can be changed at all.
pub fn may_change(row: &Proposal) -> Result<(), Error> {
    let refused = |message: &str, hint: &str| Err(Error::invalid("verdict", message).hint(hint));
    match (row.mount.as_str(), row.rule) {
        (OPERATOR, Rule::Question) => refused("a question is not modified", "skep answer ID TEXT"),
        (OPERATOR, Rule::Permit) => {
            refused("what a program is about to do is not modified", "skep approve ID, skep reject ID")
        }
        (OPERATOR, _) => refused("an endorsement is not modified", "skep approve ID, skep reject ID"),
        (_, Rule::InDoubt) => {
            refused("what may have happened is not modified", "skep approve ID does it again, as it was")
        }
        _ => Ok(()),
    }
}

/// The call `decide` with the verdict `modify`.
pub fn decide(step: &mut Step<'_>, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Decide { proposal, reason, digest, args: Some(given), .. } = call else {
        return Err(Facts::mismatch());
    };
    let row = step.state().proposals.get(proposal).cloned().ok_or_else(Facts::mismatch)?;
    if step.at >= row.expires {
        return Err(Error::new(Code::Expired, format!("proposal {proposal} has expired")));
    }
    let before = row.args;
    let changed = changed(step, (*proposal, row), given, facts)?;
    let shown = render::shown(step.kernel, &changed.row, &changed.bytes, changed.content.clone());
    let Some(digest) = digest else {
        let (text, digest) = (shown.text, changed.row.digest);
        let pages = abi::page::count(&text) as u64;
        let (proposal, args) = (*proposal, changed.fields);
        return Ok(Answer::Preview { proposal, args, shown: text, digest, pages });
    };
    if changed.row.args == before {
        return Err(Error::invalid("args", "this changes nothing")
            .hint(format!("skep approve {proposal} approves it as it is")));
    }
    if *digest != changed.row.digest || !shown.whole {
        let message = format!("what proposal {proposal} would become is not what was shown");
        return Err(Error::new(Code::Stale, message)
            .argument("digest")
            .hint(format!("look at it again: skep modify {proposal}")));
    }
    carry_out(step, *proposal, (changed, *reason), facts)?;
    Ok(Answer::Ruled { proposal: *proposal, state: "modified", answer: None })
}

fn carry_out(
    step: &mut Step<'_>,
    id: ProposalId,
    (changed, reason): (Changed, Option<Content>),
    facts: &mut Found,
) -> Result<(), Error> {
    let Changed { row, kind, fields, bytes, content } = changed;
    let told = told(&row, &bytes, content.clone());
    let entry = Entry::Decided {
        proposal: id,
        ruling: Ruling::Modify,
        reason,
        args: Some(row.args),
        effect: Some(row.effect),
        digest: Some(row.digest),
        steering: row.steering.clone(),
    };
    if row.mount.is_empty() {
        content.into_iter().for_each(|content| _ = step.blob(content));
        step.blob(bytes.clone());
        proposal::approve_call(step, (id, &row), &bytes, facts)?;
        step.close_proposal(id, entry, Some(told));
        return Ok(());
    }
    proposal::recheck(step.kernel, &row, &bytes, step.at)?;
    walk(step, &row, (&kind, &fields))?;
    step.blob(bytes.clone());
    step.close_proposal(id, entry, Some(told));
    proposal::approve_effect(step, id, row, &bytes)
}

/// The table of sinks, with the operator's word for where it goes: what it would ask is answered, what it
/// refuses stays refused.
fn walk(step: &Step<'_>, row: &Proposal, (kind, fields): (&Kind, &Fields)) -> Result<(), Error> {
    let question = Question { pid: row.pid, mount: &row.mount, kind, fields, at: step.at };
    let label = step.kernel.meaning(row.label);
    if !step.state().processes.contains_key(&row.pid) {
        return step.kernel.is_secret(&question, &label).map_or(Ok(()), Err);
    }
    let count = sink::steering_values(kind, fields).count();
    let (no, yes) = (vec![false; count], vec![true; count]);
    let vouched = Vouched {
        words: no.clone(),
        directory: no.clone(),
        approved: yes,
        standing: no,
        amount: true,
        quoted: true,
        leads_elsewhere: false,
    };
    step.kernel.sink(&question, &label, &vouched).map(|_| ())
}

/// What the proposal becomes with these arguments in place of those of the same name; none takes one out.
fn changed(
    step: &Step<'_>,
    (id, mut row): (ProposalId, Proposal),
    given: &Fields,
    facts: &mut Found,
) -> Result<Changed, Error> {
    may_change(&row)?;
    let bytes = facts.bytes()?;
    if Hash::of(&bytes) != row.args.hash {
        return Err(Error::new(Code::Unavailable, "the recorded bytes are not what was proposed"));
    }
    let content = row.content.map(|_| facts.bytes()).transpose()?;
    let (kind, fields, bytes, content) = if row.mount.is_empty() {
        of_write(&row, (&bytes, content), given)?
    } else {
        let fields: Fields = musli::wire::from_slice(&bytes)
            .map_err(|_| Error::new(Code::Unavailable, "the recorded arguments cannot be read"))?;
        let fields = merged(fields, given);
        let kind = effect::declared(step.kernel, &row.mount, &row.kind, &fields)?;
        effect::check_fields(&kind, &fields)?;
        let bytes = musli::wire::to_vec(&fields).unwrap_or_default();
        (kind, fields, bytes, None)
    };
    let args = Content::of(&bytes);
    effect::check_size(&args)?;
    if args != row.args {
        row.args = args;
        row.content = content.as_ref().map(|content| Content::of(content));
        row.effect = Hash::of_fields("modified", &[&row.effect.0, &id.0.to_le_bytes(), &args.hash.0]);
        let kind_of = (row.mount.as_str(), kind.name.as_str());
        row.steering = sink::steering(&kind, &fields).map(|named| sink::approval(kind_of, named)).collect();
        row.digest = proposal::digest_of(step.kernel, &row.effect, (&row.mount, &kind), &row.args, row.label);
    }
    Ok(Changed { row, kind, fields, bytes, content })
}

fn merged(mut fields: Fields, given: &Fields) -> Fields {
    for (name, values) in given {
        if values.is_empty() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), values.clone());
        }
    }
    fields
}

/// What a held write becomes: kind, arguments, the call's bytes, the text's.
type OfWrite = (Kind, Fields, Vec<u8>, Option<Vec<u8>>);

/// Of a held write its text can be changed, and nothing else: where it goes is what was held.
fn of_write(
    row: &Proposal,
    (bytes, content): (&[u8], Option<Vec<u8>>),
    given: &Fields,
) -> Result<OfWrite, Error> {
    let mut call: Call = musli::wire::from_slice(bytes)
        .map_err(|_| Error::new(Code::Unavailable, "the held call cannot be read"))?;
    let text = content.and_then(|content| String::from_utf8(content).ok());
    let (Call::Write { write: Write::Whole { content, .. }, .. }, Some(text)) = (&mut call, text) else {
        return Err(Error::invalid("verdict", "only the text of a held write is modified")
            .hint("reject it, and write what shall stand there"));
    };
    if let Some(name) = given.keys().find(|name| *name != TEXT) {
        return Err(Error::invalid("args", format!("a held write has no argument {name:?}"))
            .hint("text: what shall stand there"));
    }
    let fields = merged(BTreeMap::from([(TEXT.to_string(), vec![text])]), given);
    let new = match fields.get(TEXT).map(Vec::as_slice) {
        Some([text]) if text.len() as u64 <= limits::ARGUMENT_BYTES_MAX => text.clone().into_bytes(),
        _ => return Err(Error::invalid("args", "text takes one value of at most 64 KiB")),
    };
    *content = Content::of(&new);
    let bytes = musli::wire::to_vec(&call).unwrap_or_default();
    Ok((Kind::new(&row.kind, Class::Reversible, Recovery::Repeat), fields, bytes, Some(new)))
}

/// What who waits is told: what was done instead, its beginning at least.
fn told(row: &Proposal, bytes: &[u8], content: Option<Vec<u8>>) -> String {
    let mut text = render::arguments(row, bytes, content);
    if text.len() > TOLD_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TOLD_BYTES_MAX));
        text.push('…');
    }
    format!("the operator changed it and approved it as changed:\n{text}")
}
