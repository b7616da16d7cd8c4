//! What stands still and which limits are near, as `/sys/halts` tells it: one line each, with what it was and
//! the command by which it goes on. Every command that shows it takes its lines from here.
//!
//! ```text
//! frozen      12 helper: limit of agent:helper: money $0.50 a day; $0.48 used, … · skep budget set …
//! near        workspace: $4.10 of money $5.00 a day used or reserved · skep budget set workspace day AMOUNT
//! stopped     operator:anna has stopped everything in this workspace · skep thaw --all
//! ```
//! Never here: a sentence about why, or what helps; those are the daemon's.

use crate::{
    card::Card,
    escape,
    fail::Fail,
    session::{Ink, Session, Tone, aimed},
};
use abi::Code;
use serde_json::{Value, json};

/// Lines that a command shows of them.
const SHOWN: usize = 8;

/// All that stands still or is near a limit, the gravest first.
struct Halts(Vec<Card>);

/// Reads them. Who may not, or asks an older daemon, is told of none.
fn read(session: &mut Session) -> Result<Halts, Fail> {
    match session.read("/sys/halts") {
        Ok(text) => Ok(parse(&text)),
        Err(fail) if fail.is(Code::Denied) || fail.is(Code::NotFound) => Ok(Halts(Vec::new())),
        Err(fail) => Err(fail),
    }
}

fn parse(text: &str) -> Halts {
    let blocks = text.split("\n\n").map(Card::parse);
    Halts(blocks.filter(|card| !card.get("halt").is_empty()).collect())
}

/// One line each, on standard output; whether there was any.
pub fn say(session: &mut Session) -> Result<bool, Fail> {
    let halts = read(session)?;
    if session.is_json() {
        halts.0.iter().try_for_each(|card| session.object(&object(card)))?;
    } else {
        halts.lines(session).iter().try_for_each(|line| session.say(line))?;
    }
    Ok(!halts.0.is_empty())
}

/// One line each, without colour.
pub fn plain(session: &mut Session) -> Result<Vec<String>, Fail> {
    let ink = std::mem::replace(&mut session.ink, Ink::Plain);
    let lines = read(session).map(|halts| halts.lines(session));
    session.ink = ink;
    lines
}

/// The same beside a table that is the data.
pub fn note(session: &mut Session) -> Result<(), Fail> {
    if session.is_json() {
        return say(session).map(|_| ());
    }
    for line in read(session)?.lines(session) {
        session.note(&line);
    }
    Ok(())
}

fn object(card: &Card) -> Value {
    let mut map = card.object();
    for key in ["pid", "since"] {
        if map.contains_key(key) {
            map.insert(key.into(), json!(card.number(key)));
        }
    }
    Value::Object(map)
}

impl Halts {
    /// One line each; of many the first, and how many more there are.
    fn lines(&self, session: &Session) -> Vec<String> {
        let mut lines: Vec<String> = self.0.iter().take(SHOWN).map(|card| line(session, card)).collect();
        if self.0.len() > SHOWN {
            lines.push(format!("{:12}{} more · skep ps, skep budget", "", self.0.len() - SHOWN));
        }
        lines
    }
}

fn line(session: &Session, card: &Card) -> String {
    let get = |key: &str| escape::line(card.get(key));
    let (word, tone) = match card.get("halt") {
        "stopped" => ("stopped", Tone::Bad),
        "frozen" => ("frozen", Tone::Held),
        "near" => ("near", Tone::Held),
        "full" => ("full", Tone::Bad),
        _ => ("", Tone::Held),
    };
    let whom = match (card.get("pid"), card.get("account")) {
        ("", "") => String::new(),
        ("", _) => format!("{}: ", get("account")),
        _ => format!("{} {}: ", get("pid"), get("agent")),
    };
    let word = session.paint(&format!("{word:<12}"), tone);
    format!("{word}{whom}{} · {}", get("why"), aimed(&session.aim, &get("way_out")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_parted_by_empty_lines() {
        let text =
            "halt frozen\npid 7\nagent x\nwhy asked\nway_out skep thaw 7\n\nhalt near\naccount workspace\n";
        let halts = parse(text);
        let words: Vec<&str> = halts.0.iter().map(|card| card.get("halt")).collect();
        assert_eq!((words, parse("\n").0.len()), (vec!["frozen", "near"], 0));
        let first = halts.0.first().map(object);
        let want =
            json!({"halt": "frozen", "pid": 7, "agent": "x", "why": "asked", "way_out": "skep thaw 7"});
        assert_eq!(first, Some(want));
    }
}
