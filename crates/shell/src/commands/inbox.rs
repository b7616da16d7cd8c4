//! `skep inbox`: what waits for a decision. A list shows the beginning of each, a number all of it, page by
//! page, and then the commands that decide it. Never here: a decision.

use super::offer;
use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures, halts, journal,
    matter::{self, Matter, Reach, Width},
    pager::{self, Seen},
    past::{self, Conflict},
    session::{Desk, Session, Tone},
    table::Table,
};
use abi::{ProposalId, Seq, call::Ruling, record::Entry};
use std::collections::BTreeMap;

/// Rows of each matter that a list shows.
const PREVIEW_ROWS: usize = 10;
/// Columns of such a row.
const PREVIEW_COLUMNS: usize = 100;
/// Records at the end of the log in which decisions are looked for.
const PAST_RECORDS: u64 = 20_000;
/// Decisions that are shown.
const PAST_SHOWN: usize = 20;

/// What waits for your decision: effects, questions, endorsements, and texts that contradict each other
#[derive(Debug, clap::Args)]
pub struct Inbox {
    /// All of this one, and of what is decided with it
    #[arg(value_name = "ID", conflicts_with = "past")]
    proposal: Option<u64>,
    /// What was decided last, or expired
    #[arg(long)]
    past: bool,
}

impl Inbox {
    pub fn run(self, session: &mut Session) -> Outcome {
        if self.past {
            return decided(session);
        }
        let Some(id) = self.proposal else { return list(session) };
        let Some(matter) = matter::of(session, id, Reach::All)? else {
            return Err(Fail::new(format!("no proposal {id} waits")).hint("skep inbox, skep inbox --past"));
        };
        if session.is_json() {
            matter.members().try_for_each(|member| session.object(&member.object()))?;
            return Ok(Exit::Fine);
        }
        whole(session, &matter)
    }
}

fn list(session: &mut Session) -> Outcome {
    let matters = matter::all(session)?;
    let conflicts = past::conflicts(session)?;
    if matters.is_empty() && conflicts.is_empty() {
        let stands = halts::say(session)?;
        session.note(if stands { "nothing waits for a decision" } else { "nothing waits for you" });
        return Ok(Exit::Fine);
    }
    for matter in &matters {
        if session.is_json() {
            matter.members().try_for_each(|member| session.object(&member.object()))?;
            continue;
        }
        head(session, matter)?;
        let rows = matter.rows(Width::Whole);
        for row in rows.iter().take(PREVIEW_ROWS) {
            session.say(&format!("     {}", figures::cut(row, PREVIEW_COLUMNS)))?;
        }
        let is_cut = rows.iter().take(PREVIEW_ROWS).any(|row| row.chars().count() > PREVIEW_COLUMNS);
        if rows.len() > PREVIEW_ROWS || is_cut {
            session.say(&format!("     … all of it: skep inbox {}", matter.head.id))?;
        }
    }
    for conflict in &conflicts {
        unresolved(session, conflict)?;
    }
    halts::say(session)?;
    if !session.is_json() && !matters.is_empty() {
        let answer = if matters.iter().any(Matter::is_question) { ", skep answer ID TEXT" } else { "" };
        session
            .hint(&format!("skep approve ID, skep reject ID{answer}; skep why ID shows where it comes from"));
    }
    Ok(Exit::Fine)
}

/// What it is, who wants it, and by which rule it waits.
fn head(session: &mut Session, matter: &Matter) -> Result<(), Fail> {
    let card = &matter.head.card;
    let get = |key: &str| escape::line(card.get(key));
    let state = session.paint(&format!("{:<4}", matter.head.id), Tone::Held);
    let more = match matter.rest.len() {
        0 => String::new(),
        rest => format!("   {} decided at once: {}", rest + 1, matter.ids()),
    };
    session.say(&format!("{state} {}{more}", matter.head.what()))?;
    session.say(&format!("     by      {} (process {})", get("agent"), get("pid")))?;
    session.say(&format!("     why     {}", reason(&get("rule"), &get("why"))))?;
    session.say(&format!("     label   {}", matter::label(card.get("label"))))?;
    session.say(&format!("     age     {}", matter.head.age((session.clock)())))
}

/// All of it, and what decides it.
fn whole(session: &mut Session, matter: &Matter) -> Outcome {
    head(session, matter)?;
    session.say("")?;
    if show(session, matter)? == Seen::Left {
        session.note("not all of it was shown");
        return Ok(Exit::Bad);
    }
    let id = matter.head.id;
    let mut rows: Vec<(String, &str)> = Vec::new();
    if matter.is_question() {
        rows.push((format!("skep answer {id} TEXT"), "the number of a choice will do"));
    } else if matter.is_lost() {
        session.note("what cannot be shown cannot be approved");
    } else if matter.is_short() {
        rows.push((format!("skep approve {id}"), "exactly this, once"));
    } else {
        let what = if matter.rest.is_empty() { "exactly this, once" } else { "exactly these, once" };
        rows.push((format!("skep approve {id} --digest {}", matter.digest()), what));
    }
    if !matter.rest.is_empty() {
        rows.push((format!("skep approve {id} --one"), "only this one"));
    }
    if !["question", "permission", "endorsement", "doubt"].contains(&matter.head.card.get("class"))
        && !matter.is_lost()
    {
        rows.push((format!("skep modify {id} FIELD=VALUE"), "as you change it, once"));
    }
    rows.push((format!("skep reject {id} --reason TEXT"), "the agent is told why"));
    rows.push((format!("skep why {id}"), "where it comes from"));
    let rows: Vec<(&str, &str)> = rows.iter().map(|(command, what)| (command.as_str(), *what)).collect();
    offer(session, &rows)?;
    Ok(Exit::Fine)
}

/// Shows what a decision would be about.
pub fn show(session: &mut Session, matter: &Matter) -> Result<Seen, Fail> {
    let width = if session.desk == Desk::Terminal { Width::Page } else { Width::Whole };
    pager::show(session, &matter.rows(width))
}

/// A conflict, and the command that ends it.
fn unresolved(session: &mut Session, conflict: &Conflict) -> Result<(), Fail> {
    if session.is_json() {
        return session.object(&conflict.object());
    }
    let path = escape::line(&conflict.path);
    let state = session.paint(&format!("{:4}", "two"), Tone::Held);
    session.say(&format!("{state} texts of {path}"))?;
    let base = conflict.base.map(|base| format!(", both made from version {base}")).unwrap_or_default();
    let actor = escape::line(&conflict.actor);
    session.say(&format!("     ours    version {} by {actor}, kept beside the head", conflict.version))?;
    session.say(&format!("     theirs  version {}, the head{base}", conflict.head))?;
    session.say(&format!("     | {}", escape::line(&conflict.command())))
}

fn reason(rule: &str, why: &str) -> String {
    if why.is_empty() { rule.to_owned() } else { format!("{rule}: {why}") }
}

/// What was decided last, newest first.
fn decided(session: &mut Session) -> Outcome {
    let from = session.card("/sys/status")?.number("seq").saturating_sub(PAST_RECORDS);
    let mut asked: BTreeMap<ProposalId, [String; 2]> = BTreeMap::new();
    let mut rows: Vec<[String; 7]> = Vec::new();
    let mut raw = Vec::new();
    let now = (session.clock)();
    journal::read(session, Seq(from), &mut |row| {
        let (id, word, why) = match &row.record.body {
            Entry::Proposed { proposal, kind, mount, about, .. } => {
                let at = if mount.is_empty() { about.clone() } else { format!("at {mount}") };
                asked.insert(*proposal, [format!("{kind} {at}"), row.record.actor.clone()]);
                return Ok(());
            }
            Entry::Decided { proposal, ruling, reason, args, .. } => {
                let word = match ruling {
                    Ruling::Approve => "approved",
                    Ruling::Reject => "rejected",
                    Ruling::Answer => "answered",
                    Ruling::Modify => "modified",
                };
                let why = reason.as_ref().or(args.as_ref()).and_then(|text| row.text(text));
                (*proposal, word, why.unwrap_or_default().to_owned())
            }
            Entry::Lapsed { proposal } => (*proposal, "expired", String::new()),
            _ => return Ok(()),
        };
        let [what, by] = asked.remove(&id).unwrap_or_default();
        let when = figures::moment(row.record.at, now);
        let whom = if word == "expired" { String::new() } else { row.record.actor.clone() };
        rows.push([id.to_string(), what, by, word.to_owned(), whom, when, why]);
        raw.push(row.raw);
        Ok(())
    })?;
    if session.is_json() {
        raw.iter().rev().take(PAST_SHOWN).try_for_each(|row| session.object(row))?;
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(&["ID>", "WHAT", "BY", "DECIDED", "WHOM", "WHEN", "WITH"]);
    for [id, what, by, word, whom, when, why] in rows.iter().rev().take(PAST_SHOWN) {
        table.row([id, &figures::cut(what, 40), by, word, whom, when, &figures::cut(why, 40)]);
    }
    if table.is_empty() {
        session.note("nothing was decided lately");
    } else {
        session.print(&table.print())?;
    }
    Ok(Exit::Fine)
}
