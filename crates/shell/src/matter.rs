//! What waits for a decision, as the daemon tells it: proposals that are decided together are one matter.
//!
//! ```text
//! /proposals/3/status   kind, rule, label, digest, group, members 3 4, group_digest
//! /proposals/3/shown    what the kernel rendered from the exact bytes; 4 likewise
//!   ▸ Matter { 3, 4 }   as it stood at one moment: all members name the same members and the same digest
//! ```
//!
//! Never here: what of it is printed where, or a decision.

use crate::{
    card::Card,
    escape::{self, Keep},
    fail::Fail,
    figures,
    session::Session,
};
use abi::{Code, Micros, page};
use serde_json::{Value, json};

/// How often a group is read again that changes while it is read.
const TRIES: usize = 3;
/// Keys of a status that are numbers.
const NUMBERS: [&str; 7] = ["proposal", "pid", "expires", "made", "wait_us", "pages", "group"];

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Its status.
    pub card: Card,
    /// What the kernel shows of it; none when its bytes are gone.
    pub shown: Result<String, String>,
}

/// What is decided at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matter {
    /// The oldest.
    pub head: Member,
    /// Those that are decided with it.
    pub rest: Vec<Member>,
}

/// How much of what is decided at once is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the one that is named.
    One,
    /// All that is decided with it.
    All,
}

/// Whether lines are cut so that none is wider than a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// They are; what goes on begins with `+`.
    Page,
    /// As long as they are.
    Whole,
}

impl Member {
    fn number(&self, key: &str) -> u64 {
        self.card.number(key)
    }

    /// What it is, in a few words.
    pub fn what(&self) -> String {
        let get = |key: &str| escape::line(self.card.get(key));
        match (self.card.get("class"), self.card.get("mount")) {
            ("question", _) => "question".to_owned(),
            ("permission", _) => format!("permission: {}", get("about")),
            ("endorsement", _) => format!("endorse {}", get("about")),
            (_, "") => format!("{} {}", get("kind"), get("about")),
            _ => format!("{} at {}", get("kind"), get("mount")),
        }
    }

    /// For `--json`: its status with what it shows.
    pub fn object(&self) -> Value {
        let mut map = self.card.object();
        for key in NUMBERS {
            if map.contains_key(key) {
                map.insert(key.into(), json!(self.number(key)));
            }
        }
        let members: Vec<u64> =
            self.card.get("members").split_whitespace().filter_map(|id| id.parse().ok()).collect();
        map.insert("members".into(), json!(members));
        map.insert("shown".into(), json!(self.shown.as_ref().ok()));
        Value::Object(map)
    }

    /// How long it waits, and how long it may.
    pub fn age(&self, now: Micros) -> String {
        let (expires, wait) = (self.number("expires"), self.number("wait_us"));
        if expires <= now {
            return format!("expired at {}", figures::moment(expires, now));
        }
        let left = format!("expires in {}, then it is rejected", figures::length(expires - now));
        match now.checked_sub(expires.saturating_sub(wait)).filter(|_| wait > 0) {
            Some(age) => format!("{}, {left}", figures::length(age)),
            None => left,
        }
    }
}

impl Matter {
    /// All of it.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.head).chain(&self.rest)
    }

    /// Whether an answer is wanted.
    pub fn is_question(&self) -> bool {
        self.head.card.get("class") == "question"
    }

    /// Whether it is one proposal on one page: then it needs no pages turned, and nobody asked twice.
    pub fn is_short(&self) -> bool {
        self.rest.is_empty() && self.head.number("pages") == 1
    }

    /// What decides all of it.
    pub fn digest(&self) -> &str {
        self.head.card.get(if self.rest.is_empty() { "digest" } else { "group_digest" })
    }

    /// `3`, or `3, 4`.
    pub fn ids(&self) -> String {
        self.members().map(|member| member.id.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Pages it takes, each member's as the kernel counts them.
    pub fn pages(&self) -> u64 {
        self.members().map(|member| member.number("pages").max(1)).sum()
    }

    /// What is shown of it, in rows: what others wrote stands behind `|`, so that none of it can be taken for
    /// a head or a line of ours.
    pub fn rows(&self, width: Width) -> Vec<String> {
        let mut rows = Vec::new();
        let count = self.rest.len() + 1;
        for (at, member) in self.members().enumerate() {
            if count > 1 {
                rows.push(format!("proposal {}, {} of {count}: {}", member.id, at + 1, member.what()));
            }
            match &member.shown {
                Ok(shown) => rows.extend(body(shown, width)),
                Err(why) => rows.push(format!("nothing can be shown: {}", escape::line(why))),
            }
        }
        rows
    }

    /// Whether something of it cannot be shown.
    pub fn is_lost(&self) -> bool {
        self.members().any(|member| member.shown.is_err())
    }
}

fn body(shown: &str, width: Width) -> Vec<String> {
    let shown = escape::escape(shown, Keep::Lines).replace('\t', "\\t");
    match width {
        Width::Whole => shown.lines().map(|line| format!("| {line}")).collect(),
        Width::Page => page::rows(&shown)
            .map(|row| format!("{} {}", if row.goes_on { '+' } else { '|' }, row.text))
            .collect(),
    }
}

/// All that waits, oldest first.
pub fn all(session: &mut Session) -> Result<Vec<Matter>, Fail> {
    let ids: Vec<u64> = session.names("/proposals")?.iter().filter_map(|name| name.parse().ok()).collect();
    let mut matters: Vec<Matter> = Vec::new();
    // What was decided between the listing and now is left out.
    for member in members(session, &ids)?.into_iter().flatten() {
        let group = member.number("group");
        match matters.iter_mut().find(|matter| matter.head.number("group") == group && group > 0) {
            Some(matter) => matter.rest.push(member),
            None => matters.push(Matter { head: member, rest: Vec::new() }),
        }
    }
    Ok(matters)
}

/// A proposal, with all that is decided with it as it stood at one moment; none when it does not wait.
pub fn of(session: &mut Session, id: u64, reach: Reach) -> Result<Option<Matter>, Fail> {
    for _ in 0..TRIES {
        let Some(Some(one)) = members(session, &[id])?.pop() else { return Ok(None) };
        let ids: Vec<u64> =
            one.card.get("members").split_whitespace().filter_map(|id| id.parse().ok()).collect();
        if ids.len() < 2 || reach == Reach::One {
            return Ok(Some(Matter { head: one, rest: Vec::new() }));
        }
        let found: Option<Vec<Member>> = members(session, &ids)?.into_iter().collect();
        let same = |other: &&Member| {
            ["members", "group_digest"].iter().all(|key| other.card.get(key) == one.card.get(key))
        };
        let mut found = found.unwrap_or_default().into_iter();
        if let Some(head) = found.next() {
            let matter = Matter { head, rest: found.collect() };
            if matter.members().all(|member| same(&member)) && matter.rest.len() + 1 == ids.len() {
                return Ok(Some(matter));
            }
        }
    }
    Err(Fail::new(format!("what is decided with proposal {id} changes faster than it can be read"))
        .hint(format!("only this one: skep approve {id} --one")))
}

/// What stands under these numbers; none for one that does not wait.
fn members(session: &mut Session, ids: &[u64]) -> Result<Vec<Option<Member>>, Fail> {
    let file = |id: &u64, name: &str| json!({"path": format!("/proposals/{id}/{name}")});
    // The status first: a digest that is older than what is shown decides nothing.
    let statuses = session.calls("read", ids.iter().map(|id| file(id, "status")).collect())?;
    let shown = session.calls("read", ids.iter().map(|id| file(id, "shown")).collect())?;
    let mut found = Vec::new();
    for (id, (status, shown)) in ids.iter().zip(statuses.into_iter().zip(shown)) {
        let card = match status {
            Err(fail) if fail.is(Code::NotFound) => None,
            status => Some(Card::parse(&text(&status?))),
        };
        let shown = shown.map(|shown| text(&shown)).map_err(|fail| fail.message);
        found.push(card.map(|card| Member { id: *id, card, shown }));
    }
    Ok(found)
}

fn text(answer: &Value) -> String {
    answer.get("text").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A label in words: how far it can be trusted, and where it comes from.
pub fn label(text: &str) -> String {
    let mut words = text.split_whitespace();
    let integrity = words.next().unwrap_or("external");
    let mut sources: Vec<&str> = Vec::new();
    let mut readers = String::new();
    for word in words {
        match word.strip_prefix("readers=") {
            Some(names) => readers = format!("; only {} may see it", names.replace(',', ", ")),
            None => sources.push(word),
        }
    }
    let means = match integrity {
        "system" => ": it came with skep",
        "operator" => ": your own words",
        "workspace" => ": made here, or vouched for",
        "external" => ": text from outside had a part in it",
        _ => "",
    };
    let sources = if sources.is_empty() { String::new() } else { format!(" ({})", sources.join(", ")) };
    escape::line(&format!("{integrity}{sources}{means}{readers}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000;

    fn member(id: u64, shown: &str) -> Member {
        let card = format!(
            "proposal {id}\nkind mail.send\nmount outbox\npages 1\nmembers 3 4\ndigest d{id}\ngroup_digest g\n\
             expires {}\nwait_us {}\n",
            100 * HOUR,
            24 * HOUR
        );
        Member { id, card: Card::parse(&card), shown: Ok(shown.to_owned()) }
    }

    #[test]
    fn what_others_wrote_never_looks_like_a_head() {
        let forged = "to: a\nproposal 4, 2 of 2: nothing\u{1b}[2J\tx\n";
        let matter = Matter { head: member(3, forged), rest: vec![member(4, &"y".repeat(90))] };
        let want = [
            "proposal 3, 1 of 2: mail.send at outbox",
            "| to: a",
            "| proposal 4, 2 of 2: nothing\\u{1b}[2J\\tx",
            "proposal 4, 2 of 2: mail.send at outbox",
            &format!("| {}", "y".repeat(76)),
            &format!("+ {}", "y".repeat(14)),
        ];
        assert_eq!(matter.rows(Width::Page), want);
        assert_eq!((matter.ids().as_str(), matter.digest(), matter.is_short()), ("3, 4", "g", false));
        let one = Matter { head: member(4, ""), rest: Vec::new() };
        assert_eq!((one.ids().as_str(), one.digest(), one.is_short()), ("4", "d4", true));
    }

    #[test]
    fn ages_and_labels_in_words() {
        let rows = [
            (77, "60 m, expires in 23 h, then it is rejected"),
            (100, "expired at 04:00:00"),
            (500, "expired at 1970-01-05 04:00"),
        ];
        for (hour, want) in rows {
            assert_eq!(member(3, "").age(hour * HOUR), want);
        }
        let rows = [
            (
                "external mount:mail operator:anna",
                "external (mount:mail, operator:anna): text from outside had a part in it",
            ),
            (
                "workspace readers=operator:anna,agent:x",
                "workspace: made here, or vouched for; only operator:anna, agent:x may see it",
            ),
            ("operator", "operator: your own words"),
            ("strange\u{202e}", "strange\\u{202e}"),
        ];
        for (text, want) in rows {
            assert_eq!(label(text), want);
        }
    }
}
