//! The sink table: what may leave, given the label of all that had a part in the decision. First match wins.
//!
//! ```text
//!    no capability: denied · to others, and a secret had a part in it: denied
//! 1  policy says ask, or the dial stands at manual: ask
//! 2  pure, or undoable and only the operator sees it (and no steering place): apply
//! 3  account data: every value in the operator's words, else ask          at any label
//! 4  money: payee vouched or unchanged, amount in words or in the limit    at any label
//!    readers: whoever it goes to may see what had a part in it             at any label
//! 5  label at least workspace: apply
//!    GET: the URL was quoted, byte for byte, and not composed: apply, else ask
//! 6  external: every steering argument vouched (a words, b directory, c approval or standing rule), and
//!    there is one, else ask
//! 7  an unvouched link, attachment or markup, or the sixth such send of the run: ask
//! 8  apply
//! ```
//! A workspace made for a demonstration or a test may lack rules from its genesis on, so that the worth of
//! each can be seen: the tests of this table run each rule with and without it.

use crate::{
    Kernel, account::UTC_DAY_US, authority::Want, guarded, state::Mount, step::Step, vouch::Vouched,
};
use abi::{
    Code, Error, Hash, Micros, Pid, WORKSPACE,
    agent::Autonomy,
    bound::STEERING_NAMES,
    call::Fields,
    cap::Rights,
    label::{Integrity, Label, Readers},
    limits,
    manifest::{Audience, Class, Kind},
    money::Nano,
    path::TreePath,
    record::Rule,
};
use alloc::{format, string::String, vec::Vec};

/// Numbers of `abi::record::RULES`.
pub mod rule {
    pub const ASK: u8 = 1;
    pub const UNDOABLE: u8 = 2;
    pub const ACCOUNT: u8 = 3;
    pub const MONEY: u8 = 4;
    pub const TRUSTED: u8 = 5;
    pub const VOUCHED: u8 = 6;
    pub const PAYLOAD: u8 = 7;
    pub const WORDS: u8 = 8;
    pub const DIRECTORY: u8 = 9;
    pub const APPROVED: u8 = 10;
    pub const READERS: u8 = 11;
    pub const BRAKE: u8 = 12;
    pub const GET: u8 = 13;
    pub const STEERING: u8 = 14;
    pub const CEILING: u8 = 15;
    pub const ANSWER: u8 = 16;
    pub const NET: u8 = 17;
}

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

/// Whether what stands at the path steers agents or tools.
pub fn is_steering(path: &TreePath) -> bool {
    let text = path.as_str();
    let inside =
        |dir: &&str| text.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    STEERING_DIRS.iter().any(inside) || path.names().any(|name| STEERING_NAMES.contains(&name))
}

/// The name under which a value counts as approved for an argument of a kind of a mount.
pub fn approval((mount, kind): (&str, &str), (name, value): (&String, &String)) -> Hash {
    let value = abi::scan::fold(value);
    let fields = [mount.as_bytes(), kind.as_bytes(), name.as_bytes(), value.as_bytes()];
    Hash::of_fields("approved", &fields)
}

/// The arguments that steer, each with its name.
pub fn steering<'a>(kind: &'a Kind, fields: &'a Fields) -> impl Iterator<Item = (&'a String, &'a String)> {
    let of = |name: &'a String| fields.get(name).into_iter().flatten().map(move |value| (name, value));
    kind.steering.iter().flat_map(of)
}

/// Their values.
pub fn steering_values<'a>(kind: &'a Kind, fields: &'a Fields) -> impl Iterator<Item = &'a String> {
    steering(kind, fields).map(|(_, value)| value)
}

/// The amount that an effect moves, as it was written.
pub fn amount_text<'a>(question: &Question<'a>) -> Option<&'a String> {
    match amounts_of(question)? {
        [one] => Some(one),
        _ => None,
    }
}

fn amounts_of<'a>(question: &Question<'a>) -> Option<&'a [String]> {
    let name = question.kind.amount.as_ref()?;
    question.fields.get(name).map(Vec::as_slice)
}

/// Whether it changes something that stands, so that what is not given stays what it is.
fn changes_something(question: &Question<'_>) -> bool {
    let name = question.kind.changes.as_ref();
    name.and_then(|name| question.fields.get(name)).is_some_and(|values| !values.is_empty())
}

/// What is asked of the table.
pub struct Question<'a> {
    pub pid: Pid,
    pub mount: &'a str,
    pub kind: &'a Kind,
    pub fields: &'a Fields,
    pub at: Micros,
}

impl Question<'_> {
    /// Whether only the operator comes to see it.
    fn is_private(&self) -> bool {
        match &self.kind.audience {
            Audience::Operator => true,
            Audience::Others => false,
            Audience::Named(_) => self.audience().next().is_none(),
        }
    }

    /// Whom it reaches, as far as its arguments say.
    fn audience(&self) -> impl Iterator<Item = &String> {
        let names = match &self.kind.audience {
            Audience::Named(names) => names,
            Audience::Others | Audience::Operator => &self.kind.steering,
        };
        names.iter().filter_map(|name| self.fields.get(name)).flatten()
    }
}

/// The rule by which a change waits for an operator, unless it is being carried out on an approval.
pub fn asks<'a>(
    step: &Step<'_>,
    pid: Pid,
    label: &Label,
    paths: impl Iterator<Item = &'a TreePath> + Clone,
) -> Option<Rule> {
    let by_policy = |path| step.kernel.policy_asks(pid, &Want::Path(path), Rights::WRITING);
    if step.approved.is_none() && paths.clone().any(by_policy) {
        return Some(Rule::AskedByPolicy);
    }
    match step.kernel.sink_of_write(label, paths) {
        Verdict::Ask(rule) if step.approved.is_none() => Some(rule),
        Verdict::Ask(_) | Verdict::Apply(_) => None,
    }
}

/// A move, removal, undo or resolution that touches what policy asks for, a guarded place, or a steering
/// place under an external label, is refused, not held: what it would carry could change between the question
/// and the answer. An operator's own hand is the decision.
pub fn not_steering<'a>(
    step: &Step<'_>,
    pid: Pid,
    label: &Label,
    paths: impl Iterator<Item = &'a TreePath> + Clone,
) -> Result<(), Error> {
    if guarded::asks(step, pid, paths.clone()) {
        let message = format!("it touches a guarded place: {}", Rule::Guarded.sentence());
        return Err(Error::new(Code::Denied, message).hint("an operator can do it; a write can be held"));
    }
    not_asked(step, pid, label, paths)
}

/// The same of a command, whose changes of guarded places wait.
pub fn not_asked<'a>(
    step: &Step<'_>,
    pid: Pid,
    label: &Label,
    paths: impl Iterator<Item = &'a TreePath> + Clone,
) -> Result<(), Error> {
    match asks(step, pid, label, paths).filter(|_| pid != WORKSPACE) {
        Some(Rule::AskedByPolicy) => Err(Error::new(Code::Denied, "policy asks for what it touches")
            .hint("an operator can do it; a write can be held")),
        Some(rule) => {
            Err(Error::new(Code::Denied, format!("it touches a steering place, and {}", rule.sentence()))
                .hint("an operator can do it"))
        }
        None => Ok(()),
    }
}

impl Kernel {
    /// The table for a change of the tree: rule 2 unless it is a steering place, then 5, else ask.
    pub(crate) fn sink_of_write<'a>(
        &self,
        label: &Label,
        mut paths: impl Iterator<Item = &'a TreePath>,
    ) -> Verdict {
        if !self.state.has_rule(rule::STEERING) || !paths.any(is_steering) {
            return Verdict::Apply(Rule::Undoable);
        }
        if label.integrity >= Integrity::Workspace {
            return Verdict::Apply(Rule::Trusted);
        }
        Verdict::Ask(Rule::SteeringPlace)
    }

    /// The table, for an effect.
    pub(crate) fn sink(
        &self,
        question: &Question<'_>,
        label: &Label,
        vouched: &Vouched,
    ) -> Result<Verdict, Error> {
        let want = Want::Effect(question.mount, &question.kind.name);
        self.allow(question.pid, want, Rights::ASK, question.at)?;
        if let Some(error) = self.is_secret(question, label) {
            return Err(error);
        }
        let applies = self.allow(question.pid, want, Rights::APPLY, question.at).is_ok();
        if !applies || (self.has(rule::ASK) && self.policy_asks(question.pid, &want, Rights::APPLY)) {
            return Ok(Verdict::Ask(Rule::AskedByPolicy));
        }
        let dial = self.autonomy();
        if dial == Autonomy::Manual && question.pid != WORKSPACE && self.has(rule::ASK) {
            return Ok(Verdict::Ask(Rule::Manual));
        }
        let undoable = question.kind.class == Class::Reversible && question.is_private();
        if self.has(rule::UNDOABLE) && (question.kind.class == Class::Pure || undoable) {
            return Ok(Verdict::Apply(Rule::Undoable));
        }
        if let Some(verdict) = self.always(question, label, vouched)? {
            return Ok(verdict);
        }
        if self.has(rule::TRUSTED) && label.integrity >= Integrity::Workspace {
            return Ok(Verdict::Apply(Rule::Trusted));
        }
        if question.kind.class == Class::Get {
            return Ok(match (self.has(rule::GET), vouched.quoted) {
                (true, true) => Verdict::Apply(Rule::Quoted),
                (true, false) => Verdict::Ask(Rule::Composed),
                (false, _) => Verdict::Apply(Rule::RuleLacking),
            });
        }
        Ok(self.external(question, vouched))
    }

    /// Rules 3, 4 and the readers: at any label.
    fn always(
        &self,
        question: &Question<'_>,
        label: &Label,
        vouched: &Vouched,
    ) -> Result<Option<Verdict>, Error> {
        // Who types at the operator's own connection is the word.
        if question.pid == WORKSPACE {
            return Ok(None);
        }
        let in_words = vouched.words.iter().all(|named| *named) && !vouched.words.is_empty();
        if question.kind.class == Class::Account && self.has(rule::ACCOUNT) && !in_words {
            return Ok(Some(Verdict::Ask(Rule::AccountData)));
        }
        if question.kind.class == Class::Money
            && self.has(rule::MONEY)
            && !(self.payee_stands(question, vouched) && self.amount_stands(question, vouched))
        {
            return Ok(Some(Verdict::Ask(Rule::Money)));
        }
        // Which of many quoted URLs is fetched, and when, can tell what was read. One that the operator named
        // cannot.
        let asked_for = question.kind.class == Class::Get && vouched.words == [true];
        if asked_for || question.is_private() || !self.has(rule::READERS) {
            return Ok(None);
        }
        let Readers::Only(readers) = &label.readers else { return Ok(None) };
        let known = |who: &String| {
            let who = abi::scan::fold(who);
            readers.iter().any(|reader| abi::scan::fold(reader) == who)
        };
        let mut audience = question.audience().peekable();
        // Whoever it is addressed to, others may see it: no list of readers holds them all.
        let listed = matches!(question.kind.audience, Audience::Named(_));
        let reaches = listed && audience.peek().is_some() && audience.all(known);
        Ok((!reaches).then_some(Verdict::Ask(Rule::Readers)))
    }

    /// What a secret had a part in goes nowhere but to the operator: nobody is asked.
    pub(crate) fn is_secret(&self, question: &Question<'_>, label: &Label) -> Option<Error> {
        let leaves = question.kind.class != Class::Pure && !question.is_private();
        let secret = matches!(&label.readers, Readers::Only(readers) if readers.is_empty());
        (leaves && secret && question.pid != WORKSPACE && self.has(rule::READERS)).then(|| {
            let (kind, mount) = (&question.kind.name, question.mount);
            let message = format!("{kind} at {mount}: what had a part in it is secret, nobody may read it");
            Error::new(Code::Denied, message).hint("start a new task that does not read it")
        })
    }

    /// Rules 6 to 8: something external had a part in it.
    fn external(&self, question: &Question<'_>, vouched: &Vouched) -> Verdict {
        let money = question.kind.class == Class::Money;
        let voucher = self.voucher(vouched);
        if self.has(rule::VOUCHED) {
            match voucher {
                None => return Verdict::Ask(Rule::Unvouched),
                // Nothing says where it goes. Money to a payee that does not change was judged before.
                Some(Rule::External) if !money => return Verdict::Ask(Rule::External),
                Some(_) => {}
            }
        }
        // The dial: what can be taken back goes to whom somebody vouched for, whatever it holds and however
        // often.
        if self.autonomy() == Autonomy::Autonomous && question.kind.class == Class::Reversible {
            return Verdict::Apply(Rule::Autonomous);
        }
        if self.has(rule::PAYLOAD) && vouched.leads_elsewhere {
            return Verdict::Ask(Rule::Payload);
        }
        let process = self.state.processes.get(&question.pid);
        let run = process.and_then(|process| self.state.runs.get(&process.run));
        if self.has(rule::BRAKE) && run.is_some_and(|run| run.sends >= limits::SENDS_MAX) {
            return Verdict::Ask(Rule::Brake);
        }
        Verdict::Apply(match voucher {
            None => Rule::RuleLacking,
            Some(_) if money => Rule::MoneyVouched,
            Some(Rule::External) => Rule::RuleLacking,
            Some(rule) => rule,
        })
    }

    /// Who vouches for every steering value: the furthest from the operator's words that was needed.
    /// `External` when there is none to vouch for.
    fn voucher(&self, vouched: &Vouched) -> Option<Rule> {
        let mut weakest = Rule::External;
        for (ix, named) in vouched.words.iter().enumerate() {
            let has = |row: &[bool], number| self.has(number) && row.get(ix).copied().unwrap_or(false);
            let rule = if *named && self.has(rule::WORDS) {
                Rule::OperatorsWords
            } else if has(&vouched.directory, rule::DIRECTORY) {
                Rule::Directory
            } else if has(&vouched.approved, rule::APPROVED) {
                Rule::ApprovedBefore
            } else if has(&vouched.standing, rule::APPROVED) {
                Rule::Standing
            } else {
                return None;
            };
            weakest = further(weakest, rule);
        }
        Some(weakest)
    }

    /// Money: the payee is vouched for, or none is given and it stays who it is.
    fn payee_stands(&self, question: &Question<'_>, vouched: &Vouched) -> bool {
        match self.voucher(vouched) {
            None => false,
            Some(Rule::External) => changes_something(question),
            Some(_) => true,
        }
    }

    /// Money: the amount stands in the operator's words, lies within what may move at the mount today, or is
    /// not given and stays what it is.
    fn amount_stands(&self, question: &Question<'_>, vouched: &Vouched) -> bool {
        let Some(text) = amount_text(question) else {
            return amounts_of(question).is_none() && changes_something(question);
        };
        if vouched.amount {
            return true;
        }
        let Ok(amount) = text.parse::<Nano>() else { return false };
        let rows = self.state.policy.iter().flat_map(|loaded| &loaded.policy.money);
        let most = rows.filter(|row| row.mount == question.mount).map(|row| row.day.0).min().unwrap_or(0);
        let moved = self.state.mounts.get(question.mount).map_or(0, |mount| mount.moved_on(question.at));
        amount.0.checked_add(moved).is_some_and(|sum| sum <= most)
    }

    /// Whether this workspace has the rule.
    pub(crate) fn has(&self, number: u8) -> bool {
        self.state.has_rule(number)
    }

    /// Where the autonomy dial stands.
    pub(crate) fn autonomy(&self) -> Autonomy {
        self.state.policy.as_ref().map(|loaded| loaded.policy.autonomy).unwrap_or_default()
    }
}

/// Of two vouchers the one further from the operator's words.
fn further(one: Rule, other: Rule) -> Rule {
    let rank = |rule: Rule| match rule {
        Rule::External => 0,
        Rule::OperatorsWords => 1,
        Rule::Directory => 2,
        Rule::ApprovedBefore => 3,
        _ => 4,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// Whether an effect that went out by this rule counts for the brake.
pub fn counts(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::OperatorsWords | Rule::Directory | Rule::ApprovedBefore | Rule::Standing | Rule::MoneyVouched
    )
}

/// What an effect of this kind moves: all that it names.
pub fn moves(kind: &Kind, fields: &Fields) -> Nano {
    let amounts = kind.amount.as_ref().and_then(|name| fields.get(name)).into_iter().flatten();
    let each = amounts.filter_map(|text| text.parse::<Nano>().ok());
    Nano(each.fold(0, |sum: i64, amount| sum.saturating_add(amount.0)))
}

impl Mount {
    /// Money that moved here on the day of this time.
    pub fn moved_on(&self, at: Micros) -> i64 {
        if self.moved_day == at / UTC_DAY_US { self.moved.0 } else { 0 }
    }
}
