//! `skep inbox`.

use crate::{
    card::Card,
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    past::{self, Conflict},
    session::{Session, Tone},
};
use abi::Micros;
use serde_json::{Value, json};

/// What waits for your decision: effects, with their exact arguments, and texts that contradict each other
#[derive(Debug, clap::Args)]
pub struct Inbox {
    /// Only this one
    #[arg(value_name = "ID")]
    proposal: Option<u64>,
}

impl Inbox {
    pub fn run(self, session: &mut Session) -> Outcome {
        let ids = match self.proposal {
            Some(id) => vec![id.to_string()],
            None => session.names("/proposals")?,
        };
        let conflicts = if self.proposal.is_some() { Vec::new() } else { past::conflicts(session)? };
        if ids.is_empty() && conflicts.is_empty() {
            session.note("nothing waits for you");
            return Ok(Exit::Fine);
        }
        let file = |id: &String, name: &str| json!({"path": format!("/proposals/{id}/{name}")});
        let statuses = session.calls("read", ids.iter().map(|id| file(id, "status")).collect())?;
        let args = session.calls("read", ids.iter().map(|id| file(id, "args")).collect())?;
        let mut shown = 0;
        for ((id, status), args) in ids.iter().zip(statuses).zip(args) {
            let (status, args) = match (status, args) {
                // Decided between the listing and now.
                (Err(fail), _) if fail.is(abi::Code::NotFound) && self.proposal.is_none() => continue,
                (status, args) => (text(&status?), text(&args?)),
            };
            if session.is_json() {
                session.object(&json!({"proposal": id, "status": status, "args": args}))?;
            } else {
                show(session, id, &Card::parse(&status), &args)?;
            }
            shown += 1;
        }
        for conflict in &conflicts {
            unresolved(session, conflict)?;
        }
        if shown > 0 && !session.is_json() {
            session.hint("skep why ID shows where it comes from; skep approve ID, skep reject ID [REASON]");
        }
        Ok(Exit::Fine)
    }
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

fn text(answer: &Value) -> String {
    answer.get("text").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn show(session: &mut Session, id: &str, card: &Card, args: &str) -> Result<(), Fail> {
    let get = |key: &str| escape::line(card.get(key));
    let place = if card.get("mount").is_empty() { get("about") } else { format!("at {}", get("mount")) };
    let state = session.paint(&format!("{:4}", escape::line(id)), Tone::Held);
    session.say(&format!("{state} {} {place}   {}", get("kind"), get("state")))?;
    session.say(&format!("     by      {} (process {})", get("agent"), get("pid")))?;
    session.say(&format!("     why     {}", reason(&get("rule"), &get("why"))))?;
    session.say(&format!("     label   {}", get("label")))?;
    session.say(&format!("     until   {}", until(card.get("expires"), (session.clock)())))?;
    for line in escape::escape(args.trim_end(), Keep::Lines).lines() {
        session.say(&format!("     | {line}"))?;
    }
    Ok(())
}

fn reason(rule: &str, why: &str) -> String {
    if why.is_empty() { rule.to_owned() } else { format!("{rule}: {why}") }
}

/// A point in time, and how far away it is.
fn until(text: &str, now: Micros) -> String {
    match text.parse::<Micros>() {
        Ok(at) if at > now => {
            format!("{} ({} left), then it is rejected", figures::moment(at, now), figures::length(at - now))
        }
        Ok(at) => figures::moment(at, now),
        Err(_) => escape::line(text),
    }
}
