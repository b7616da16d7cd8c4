//! `skep search`: the one way to find something by what is in it. One hit: where, how long ago, by whom, and
//! below it the text around what was found.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures, moment,
    session::{Session, Tone},
    table::Table,
};
use abi::Micros;
use serde_json::{Map, Value, json};

/// Files by the words in them and in their names; all words must stand
#[derive(Debug, clap::Args)]
pub struct Search {
    /// Words, '"exactly this"', begin*
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// At or below this path
    #[arg(long)]
    path: Option<String>,
    /// Last written by: operator:NAME, agent:NAME, mount:NAME
    #[arg(long, value_name = "ACTOR")]
    author: Option<String>,
    /// Of this integrity: system, operator, workspace, external
    #[arg(long)]
    label: Option<String>,
    /// Changed at or after: a time, or 10m, 2h, 3d ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Changed before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// As it was then: a record's number, a time, or 10m, 2h, 3d ago
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

impl Search {
    pub fn run(self, session: &mut Session) -> Outcome {
        let now = (session.clock)();
        let params = self.params(now)?;
        let answer = session.call("search", params)?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        let hits = answer.get("hits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // The table aligns and escapes; each of its lines is followed by what was found.
        let mut table = Table::new(&["PATH", "AGE>", "ACTOR"]);
        for hit in hits {
            let age = figures::length(now.saturating_sub(number(hit, "mtime")));
            table.row([text(hit, "path"), &age, text(hit, "actor")]);
        }
        for (row, hit) in table.print().lines().skip(1).zip(hits) {
            session.say(row)?;
            let snippet = snippet(session, hit);
            if !snippet.is_empty() {
                session.say(&format!("    {snippet}"))?;
            }
        }
        if hits.is_empty() {
            session.note("nothing is found");
        }
        told(session, &answer);
        Ok(Exit::Fine)
    }

    fn params(self, now: Micros) -> Result<Value, Fail> {
        let mut params = Map::new();
        params.insert("query".into(), self.words.join(" ").into());
        for (key, value) in [("path", self.path), ("author", self.author), ("label", self.label)] {
            params.extend(value.map(|value| (key.to_owned(), value.into())));
        }
        for (key, value) in [("since_us", self.since), ("until_us", self.until)] {
            if let Some(value) = value {
                params.insert(key.into(), moment::time(&value, now)?.into());
            }
        }
        if let Some(at) = self.at {
            let (key, value) = moment::parse(&at, now)?.argument();
            params.insert(key.into(), value.into());
        }
        params.extend(self.limit.map(|limit| ("limit".to_owned(), json!(limit))));
        Ok(Value::Object(params))
    }
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(of: &Value, key: &str) -> u64 {
    of.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// The text around what was found, which stands out where there is colour.
fn snippet(session: &Session, hit: &Value) -> String {
    let text = text(hit, "snippet");
    let mut out = String::new();
    let mut done = 0;
    let marks = hit.get("marks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for mark in marks {
        let end = |ix: usize| usize::try_from(mark.get(ix)?.as_u64()?).ok();
        let (Some(from), Some(to)) = (end(0), end(1)) else { continue };
        let (Some(before), Some(found)) = (text.get(done..from), text.get(from..to)) else { continue };
        out.push_str(&escape::line(before));
        out.push_str(&session.paint(&escape::line(found), Tone::Strong));
        done = to;
    }
    out.push_str(&escape::line(text.get(done..).unwrap_or_default()));
    out
}

/// What the answer does not show.
fn told(session: &mut Session, answer: &Value) {
    let (indexed, seq) = (number(answer, "indexed"), number(answer, "seq"));
    if indexed < seq {
        let behind = figures::plural(seq - indexed, "record");
        session.note(&format!("the index is {behind} behind: what changed last may be missing; ask again"));
    }
    if answer.get("cut").and_then(Value::as_bool) == Some(true) {
        session.note("there may be more");
        session.hint("more words, --path, --since, or a higher --limit");
    }
}
