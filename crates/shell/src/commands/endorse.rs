//! `skep endorse`: an operator vouches for what a file holds now. Its label rises to `workspace`, for this
//! version only; sources and readers stay.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures, matter,
    pager::{self, Seen},
    past::{self, Body, Version},
    session::{Desk, Session},
};
use abi::page;
use serde_json::{Value, json};

/// Vouch for what a file holds now: what is made of it no longer counts as text from outside
#[derive(Debug, clap::Args)]
pub struct Endorse {
    /// Which file
    path: String,
}

impl Endorse {
    pub fn run(self, session: &mut Session) -> Outcome {
        let path = &self.path;
        let before = past::head(session, path)?;
        if before.node != "file" {
            return Err(Fail::new(format!("no file stands at {path}")).hint("skep ls"));
        }
        if !before.label.starts_with("external") {
            if session.is_json() {
                session.object(&json!({"version": before.id, "unchanged": true}))?;
            } else {
                session.note(&format!("{} needs no word of yours", escape::line(path)));
                session.hint(&format!("its label is {}", matter::label(&before.label)));
            }
            return Ok(Exit::Fine);
        }
        if session.desk == Desk::Terminal && !read(session, &before)? {
            session.note("nothing was endorsed");
            return Ok(Exit::Bad);
        }
        // Of these bytes: if others stand there by now, it is refused.
        let args = json!({"path": path, "version": before.id.to_string()});
        let answer =
            session.call("propose", json!({"mount": "operator", "kind": "endorse", "args": args}))?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
        let after = past::version(session, path, number("version"))?;
        session.say(&format!("{} version {} op:{}", escape::line(path), after.id, number("operation")))?;
        session.say(&format!("  before  {}", matter::label(&before.label)))?;
        session.say(&format!("  after   {}", matter::label(&after.label)))?;
        session.hint(&format!("skep undo op:{} takes it back", number("operation")));
        Ok(Exit::Fine)
    }
}

/// Shows the bytes and asks.
fn read(session: &mut Session, version: &Version) -> Result<bool, Fail> {
    let rows = match past::content(session, version)?.body {
        Body::Text(text) => {
            let text = escape::escape(&text, Keep::Lines);
            page::rows(&text)
                .map(|row| format!("{} {}", if row.goes_on { '+' } else { '|' }, row.text))
                .collect()
        }
        Body::Binary(bytes) => vec![format!("{} that are no text", figures::bytes(bytes))],
        Body::Large(bytes) => vec![format!("{}, too many to show here", figures::bytes(bytes))],
        Body::Nothing => vec!["nothing".to_owned()],
        Body::Lost(why) => return Err(Fail::new(why)),
    };
    session.say(&format!(
        "{} version {} by {}",
        escape::line(&version.path),
        version.id,
        escape::line(&version.actor)
    ))?;
    if pager::show(session, &rows)? == Seen::Left {
        return Ok(false);
    }
    pager::agreed(session, "vouch for it?")
}
