//! Who vouches for where an effect goes and for what it carries: the questions to the store, and the answers
//! read back in the order they were asked. What it finds is judged in `sink`.
//!
//! Four can vouch: the operator's words at the root of the run (6a), the operator's own directory of the
//! mount (6b), an approval in this run or a standing rule (6c). A URL is quoted when it stands whole in one
//! item that the process has seen.

use crate::{
    Kernel,
    sink::{self, Question, approval},
    step::Found,
};
use abi::{
    Content, Error, Pid, VersionId, WORKSPACE,
    fact::{Fact, Facts, Lookup, Match},
    label::Integrity,
    limits,
    manifest::Class,
    money::Nano,
    path::Pattern,
};
use alloc::{collections::BTreeSet, format, string::String, string::ToString, vec, vec::Vec};

/// What is looked up of an effect: the same from the plan to the decision.
struct Sought {
    /// Steering values, whole tokens.
    values: Vec<String>,
    /// Arguments that name attachments.
    attachments: Vec<String>,
    /// Ways to write the amount.
    amounts: Vec<String>,
    /// URLs in the payload; of a GET the one it fetches.
    urls: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Of each steering value: whether the operator's words hold it.
    pub words: Vec<bool>,
    /// Whether the operator's directory of the mount does.
    pub directory: Vec<bool>,
    /// Whether it was approved in this run.
    pub approved: Vec<bool>,
    /// Whether a standing rule names it.
    pub standing: Vec<bool>,
    /// Whether the amount stands in the operator's words.
    pub amount: bool,
    /// Whether the payload holds a link, attachment or markup that nobody vouched for.
    pub leads_elsewhere: bool,
    /// Of a GET: whether the URL stands whole in the operator's words or in one item that was seen.
    pub quoted: bool,
}

impl Kernel {
    /// The operator's words of the process's run, if the run began with any.
    pub(crate) fn own_words(&self, pid: Pid) -> Option<Content> {
        let run = self.state.processes.get(&pid).and_then(|process| self.state.runs.get(&process.run))?;
        run.own_words.then_some(run.task)
    }

    /// The part of the table that has to ask the store.
    pub(crate) fn plan_vouch(&self, question: &Question<'_>) -> Vec<Lookup> {
        let Some(sought) = self.sought(question) else { return vec![] };
        let Sought { values, attachments, amounts, urls } = sought;
        let mut lookups = Vec::new();
        if let Some(words) = self.own_words(question.pid) {
            let literals: Vec<String> = values.iter().chain(&attachments).chain(&amounts).cloned().collect();
            let urls = if question.kind.class == Class::Get { vec![] } else { urls.clone() };
            // Any word of a task would do for a password.
            let how = if question.kind.class == Class::Account { Match::Quoted } else { Match::Token };
            lookups.push(Lookup::Tokens { text: words.hash, literals, how, urls });
        }
        let patterns = self.directories(question.mount);
        if !patterns.is_empty() && !values.is_empty() {
            let mount = question.mount.to_string();
            lookups.push(Lookup::Directory { mount, patterns, literals: values });
        }
        if question.kind.class == Class::Get {
            let literal = urls.into_iter().next().unwrap_or_default();
            let words = self.own_words(question.pid).map(|words| words.hash);
            lookups.push(Lookup::Quoted { words, versions: self.seen_last(question.pid), literal });
        }
        lookups
    }

    /// The answers to `plan_vouch`, in its order.
    pub(crate) fn vouched(&self, question: &Question<'_>, facts: &mut Found) -> Result<Vouched, Error> {
        let values: Vec<&String> = sink::steering_values(question.kind, question.fields).collect();
        let approved = self.approved_of(question);
        let standing = values.iter().map(|value| self.stands(question, value)).collect();
        let none = || vec![false; values.len()];
        let (words, directory) = (none(), none());
        let payload = payload_of(question).any(|value| abi::scan::has_markup(value));
        let mut vouched = Vouched { words, directory, approved, standing, ..Vouched::default() };
        let Some(sought) = self.sought(question) else {
            vouched.leads_elsewhere = true;
            return Ok(vouched);
        };
        let mut rest = vec![false; sought.attachments.len() + sought.urls.len()];
        if self.own_words(question.pid).is_some() {
            let Some(Fact::Named(named)) = facts.any() else { return Err(Facts::mismatch()) };
            let mut named = named.into_iter();
            let mut take = |count: usize| named.by_ref().take(count).collect::<Vec<bool>>();
            let names = |(named, value): (bool, &String)| named && !abi::scan::is_count(value);
            let said = take(sought.values.len() + sought.attachments.len());
            let said = said.into_iter().zip(sought.values.iter().chain(&sought.attachments)).map(names);
            vouched.words = said.collect();
            let attachments = vouched.words.split_off(sought.values.len());
            vouched.amount = take(sought.amounts.len()).contains(&true);
            let gets = question.kind.class == Class::Get;
            let urls = take(if gets { 0 } else { sought.urls.len() });
            rest = attachments.into_iter().chain(urls).collect();
        }
        if !self.directories(question.mount).is_empty() && !sought.values.is_empty() {
            let Some(Fact::Listed(listed)) = facts.any() else { return Err(Facts::mismatch()) };
            let trusted = |labels: &BTreeSet<abi::LabelId>| {
                labels.iter().any(|label| self.meaning(*label).integrity >= Integrity::Workspace)
            };
            vouched.directory = listed.iter().map(trusted).collect();
        }
        if question.kind.class == Class::Get {
            vouched.quoted = facts.holds()?;
        }
        vouched.leads_elsewhere = payload || rest.contains(&false);
        let disguised = values.iter().enumerate().filter(|(_, value)| !is_plain(value));
        for (ix, _) in disguised {
            for row in [&mut vouched.words, &mut vouched.directory, &mut vouched.standing] {
                row.get_mut(ix).into_iter().for_each(|named| *named = false);
            }
        }
        Ok(vouched)
    }

    /// What has to be looked up; none when that is more than is looked up, and then nothing is vouched for.
    fn sought(&self, question: &Question<'_>) -> Option<Sought> {
        let values: Vec<String> = sink::steering_values(question.kind, question.fields).cloned().collect();
        let of = |names: &[String]| -> Vec<String> {
            names.iter().filter_map(|name| question.fields.get(name)).flatten().cloned().collect()
        };
        let attachments = of(&question.kind.attachments);
        let amounts = sink::amount_text(question).map(|text| ways_to_write(text)).unwrap_or_default();
        let urls: Vec<String> = if question.kind.class == Class::Get {
            // One whole URL and nothing beside it: what is sent along would be composed.
            if values.len() != 1 || payload_of(question).next().is_some() {
                return None;
            }
            values.clone()
        } else {
            let all = payload_of(question).flat_map(|value| abi::scan::links(value));
            all.take(limits::VOUCHED_MAX + 1).collect()
        };
        let count = values.len() + attachments.len() + amounts.len() + urls.len();
        (count <= limits::VOUCHED_MAX).then_some(Sought { values, attachments, amounts, urls })
    }

    /// Where the mount keeps the operator's own directory.
    fn directories(&self, mount: &str) -> Vec<Pattern> {
        let rows = self.state.mounts.get(mount).into_iter().flat_map(|mount| &mount.manifest.brings);
        rows.filter(|row| row.directory).map(|row| row.pattern.clone()).collect()
    }

    fn approved_of(&self, question: &Question<'_>) -> Vec<bool> {
        let process = self.state.processes.get(&question.pid);
        let run = process.and_then(|process| self.state.runs.get(&process.run));
        let kind = (question.mount, question.kind.name.as_str());
        let approved = |named| run.is_some_and(|run| run.approved.contains(&approval(kind, named)));
        sink::steering(question.kind, question.fields).map(approved).collect()
    }

    /// Whether a standing rule of the operator's names this value.
    fn stands(&self, question: &Question<'_>, value: &str) -> bool {
        let rows = self.state.policy.iter().flat_map(|loaded| &loaded.policy.standing);
        let value = abi::scan::fold(value);
        let names = |row: &&abi::agent::Standing| {
            row.mount.matches(question.mount)
                && row.kind.matches(&question.kind.name)
                && abi::scan::fold(&row.value) == value
        };
        rows.filter(names).count() > 0
    }

    /// Versions the process saw last, newest first: what it may quote from.
    fn seen_last(&self, pid: Pid) -> Vec<VersionId> {
        if pid == WORKSPACE {
            return vec![];
        }
        let turn = self.state.processes.get(&pid).into_iter().flat_map(|process| process.seen.values());
        let client = self.volatile.seen.get(&pid).into_iter().flat_map(|seen| seen.values().flatten());
        let all: BTreeSet<VersionId> = turn.chain(client).copied().collect();
        all.into_iter().rev().take(limits::QUOTED_VERSIONS_MAX).collect()
    }
}

/// Whether a value is what it looks like. Tokens are compared folded, but the other side is handed the value
/// as it is: in full width or with blanks around it, it can be somebody else.
fn is_plain(value: &str) -> bool {
    value.trim() == value && abi::scan::is_folded(value) && !value.chars().any(abi::scan::is_hidden)
}

fn payload_of<'a>(question: &'a Question<'_>) -> impl Iterator<Item = &'a String> {
    question.kind.payload.iter().filter_map(|name| question.fields.get(name)).flatten()
}

/// Ways in which a person writes an amount: as it is, without needless noughts, with two decimals, with a
/// comma at the thousands, each also behind a dollar sign.
fn ways_to_write(amount: &str) -> Vec<String> {
    // What is no amount is nothing that was said of one: "all", "the rest".
    let Ok(nano) = amount.parse::<Nano>() else { return vec![] };
    let mut ways = vec![amount.to_string()];
    let whole = nano.0 / 1_000_000_000;
    let fraction = format!("{:09}", nano.0 % 1_000_000_000);
    let short = fraction.trim_end_matches('0');
    for whole in [whole.to_string(), in_thousands(whole)] {
        ways.push(if short.is_empty() { whole.clone() } else { format!("{whole}.{short}") });
        if short.len() <= 2 {
            ways.push(format!("{whole}.{short:0<2}"));
        }
    }
    let dollars: Vec<String> = ways.iter().map(|way| format!("${way}")).collect();
    ways.extend(dollars);
    ways.sort_unstable();
    ways.dedup();
    ways
}

/// `1234567` → `1,234,567`.
fn in_thousands(whole: i64) -> String {
    let digits = whole.to_string();
    let mut text = String::new();
    for (ix, digit) in digits.chars().enumerate() {
        if ix > 0 && (digits.len() - ix).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
