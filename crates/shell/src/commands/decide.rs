//! `skep approve`, `skep reject`, `skep answer`. What is decided is what was shown: the digest of it goes
//! along, and the daemon refuses if something else waits there by now. Without a terminal, what takes more
//! than a page, or is more than one, is approved by its digest only.

use super::inbox;
use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    matter::{self, Matter, Reach},
    pager::{self, Seen},
    session::{Desk, Session},
};
use serde_json::{Value, json};

/// Let happen what a proposal holds, exactly as shown, once; what is decided with it, too
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// Which
    #[arg(value_name = "ID")]
    proposal: u64,
    /// What you were shown, as `skep inbox ID` names it
    #[arg(long, value_name = "HEX", conflicts_with = "one")]
    digest: Option<String>,
    /// Only this one
    #[arg(long)]
    one: bool,
}

/// Refuse what a proposal holds, for good; what is decided with it, too
#[derive(Debug, clap::Args)]
pub struct Reject {
    /// Which
    #[arg(value_name = "ID")]
    proposal: u64,
    /// Why; the agent is told
    #[arg(value_name = "REASON", conflicts_with = "reason")]
    why: Option<String>,
    /// Why; the agent is told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// What you were shown, as `skep inbox ID` names it
    #[arg(long, value_name = "HEX", conflicts_with = "one")]
    digest: Option<String>,
    /// Only this one
    #[arg(long)]
    one: bool,
}

/// Answer a question of an agent
#[derive(Debug, clap::Args)]
pub struct Answer {
    /// Which
    #[arg(value_name = "ID")]
    proposal: u64,
    /// The answer; the number of a choice stands for the choice
    #[arg(value_name = "TEXT")]
    text: String,
}

impl Approve {
    pub fn run(self, session: &mut Session) -> Outcome {
        let id = self.proposal;
        if let Some(digest) = self.digest {
            return by_digest(session, (id, "approve"), &digest, None);
        }
        let reach = if self.one { Reach::One } else { Reach::All };
        let Some(matter) = matter::of(session, id, reach)? else { return gone(session, id, "approve") };
        if matter.is_question() {
            return Err(
                Fail::new(format!("proposal {id} is a question")).hint(format!("skep answer {id} TEXT"))
            );
        }
        if matter.is_lost() {
            return Err(Fail::new("what cannot be shown cannot be approved").hint(format!("skep inbox {id}")));
        }
        if !matter.is_short() && session.desk == Desk::Nobody {
            return Err(unseen(&matter));
        }
        if !session.is_json() && inbox::show(session, &matter)? == Seen::Left {
            session.note("not all of it was shown; nothing was decided");
            return Ok(Exit::Bad);
        }
        if !matter.is_short() && !pager::agreed(session, &question(&matter))? {
            session.note("nothing was decided");
            return Ok(Exit::Bad);
        }
        decide(session, &matter, "approve", None)
    }
}

fn question(matter: &Matter) -> String {
    match matter.rest.len() {
        0 => format!("approve proposal {}?", matter.head.id),
        rest => format!("approve all {} of it: {}?", rest + 1, matter.ids()),
    }
}

/// Nobody has seen all of it.
fn unseen(matter: &Matter) -> Fail {
    let id = matter.head.id;
    let hint = format!("skep inbox {id} shows all of it; then skep approve {id} --digest HEX");
    if matter.rest.is_empty() {
        let pages = matter.pages();
        return Fail::new(format!("proposal {id} takes {pages} pages, and nobody was shown them")).hint(hint);
    }
    let ids = matter.ids();
    Fail::new(format!("proposals {ids} are decided together, and nobody was shown them"))
        .hint(format!("{hint}; only this one: skep approve {id} --one"))
}

impl Reject {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (id, why) = (self.proposal, self.why.or(self.reason));
        if let Some(digest) = self.digest {
            return by_digest(session, (id, "reject"), &digest, why.as_deref());
        }
        let reach = if self.one { Reach::One } else { Reach::All };
        let Some(matter) = matter::of(session, id, reach)? else { return gone(session, id, "reject") };
        decide(session, &matter, "reject", why.as_deref())
    }
}

impl Answer {
    pub fn run(self, session: &mut Session) -> Outcome {
        let id = self.proposal;
        let Some(matter) = matter::of(session, id, Reach::One)? else { return gone(session, id, "answer") };
        if !matter.is_question() {
            return Err(Fail::new(format!("proposal {id} is no question"))
                .hint(format!("skep inbox {id} shows it; skep approve {id}, skep reject {id}")));
        }
        let choices = choices(matter.head.shown.as_deref().unwrap_or_default());
        let number = self.text.parse::<usize>().ok().filter(|_| !choices.is_empty());
        let text = match number {
            None => self.text,
            Some(number) => {
                let choice = number.checked_sub(1).and_then(|at| choices.get(at)).cloned();
                let choice = choice.ok_or_else(|| {
                    Fail::usage(format!("there is no choice {number}: there are {}", choices.len()))
                        .hint(format!("skep inbox {id} lists them; any other text is taken as it is"))
                })?;
                session.note(&format!("choice {number}: {}", escape::line(&choice)));
                choice
            }
        };
        decide(session, &matter, "answer", Some(&text))
    }
}

/// The choices of a question, as they were before the kernel made them visible: `choice 2: …`, and what goes
/// on below it as `choice 2| …`.
fn choices(shown: &str) -> Vec<String> {
    let mut choices: Vec<String> = Vec::new();
    for line in shown.lines() {
        let Some(rest) = line.strip_prefix("choice ") else { continue };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        match (rest.split_at(digits).1.split_at_checked(2), choices.last_mut()) {
            (Some((": ", text)), _) => choices.push(plain(text)),
            (Some(("| ", text)), Some(last)) => last.push_str(&plain(text)),
            _ => {}
        }
    }
    choices
}

/// Takes back what the kernel wrote as `\n`, `\\` and `\u{…}`.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let hex = after.strip_prefix("u{").and_then(|after| after.split_once('}'));
        let hidden = hex.and_then(|(hex, after)| {
            Some((u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?, after))
        });
        let (c, after) = match hidden {
            Some(hidden) => hidden,
            None => match after.chars().next() {
                Some('n') => ('\n', after.get(1..).unwrap_or_default()),
                Some('\\') => ('\\', after.get(1..).unwrap_or_default()),
                _ => ('\\', after),
            },
        };
        out.push(c);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// It does not wait: the daemon knows why. A digest that nothing has makes sure that nothing is decided.
fn gone(session: &mut Session, id: u64, verdict: &str) -> Outcome {
    let none = "0".repeat(64);
    let params = json!({"proposal": id, "verdict": verdict, "reason": "", "digest": none});
    session.call("decide", params)?;
    Err(Fail::new(format!("proposal {id} does not wait")).hint("skep inbox"))
}

fn decide(session: &mut Session, matter: &Matter, verdict: &str, reason: Option<&str>) -> Outcome {
    let ids: Vec<u64> = matter.members().map(|member| member.id).collect();
    send(session, (&ids, verdict), matter.digest(), reason)
}

/// By a digest from elsewhere: it says whether it is about one or all of a group.
fn by_digest(
    session: &mut Session,
    (id, verdict): (u64, &str),
    digest: &str,
    reason: Option<&str>,
) -> Outcome {
    let matter = matter::of(session, id, Reach::All)?;
    let all = matter.filter(|matter| matter.digest() == digest);
    let ids = all.map_or_else(|| vec![id], |matter| matter.members().map(|member| member.id).collect());
    send(session, (&ids, verdict), digest, reason)
}

fn send(
    session: &mut Session,
    (ids, verdict): (&[u64], &str),
    digest: &str,
    reason: Option<&str>,
) -> Outcome {
    let id = ids.first().copied().unwrap_or_default();
    let mut params = json!({"proposal": id, "verdict": verdict, "digest": digest});
    if let (Some(reason), Some(map)) = (reason, params.as_object_mut()) {
        map.insert("reason".into(), json!(reason));
    }
    let answer = session.call("decide", params)?;
    if session.is_json() {
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let state = answer.get("state").and_then(Value::as_str).unwrap_or(verdict).to_owned();
    // Of several, one may have been refused when its turn came.
    let left = if ids.len() > 1 { session.names("/proposals")? } else { Vec::new() };
    let (left, done): (Vec<u64>, Vec<u64>) = ids.iter().partition(|id| left.contains(&id.to_string()));
    for id in done {
        session.say(&format!("proposal {id} {}", escape::line(&state)))?;
    }
    for id in &left {
        session.note(&format!("proposal {id} was refused and still waits"));
        session.hint(&format!("skep {verdict} {id} --one says why"));
    }
    Ok(if left.is_empty() { Exit::Fine } else { Exit::Bad })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_visible_is_taken_back() {
        let rows = [
            ("blue", "blue"),
            (r"a\nb\\n", "a\nb\\n"),
            (r"\u{1b}[2J\u{202e}", "\u{1b}[2J\u{202e}"),
            (r"\u{zz}\x\", r"\u{zz}\x\"),
        ];
        for (shown, want) in rows {
            assert_eq!(plain(shown), want, "{shown}");
        }
    }

    #[test]
    fn a_choice_goes_on_below() {
        let shown = "question: choice 9: x\nchoice 1: red\nchoice 2: deep\\n\nchoice 2| blue\nchoice x| y\n";
        assert_eq!(choices(shown), ["red", "deep\nblue"]);
        assert_eq!(choices("question: Why?\n"), [""; 0]);
    }
}
