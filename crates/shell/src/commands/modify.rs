//! `skep modify`: an operator changes what a proposal holds, is shown what it becomes, and lets that happen.
//!
//! ```text
//! FIELD=VALUE …   these are others; `cc=` takes one out, `body=@FILE` is the text of a host file
//! nothing         all of them in a file beside you; edited, `--file FILE` hands it in
//! ```
//! No editor is started: a file can be opened with anything, and an edit that is interrupted is not lost.
//! What is decided is what was shown, by its digest; without a terminal it is shown with the command that
//! does it.

use super::{inbox, write};
use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    matter::{self, Matter, Member, Reach},
    pager::{self, Seen},
    session::{Desk, Session},
};
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// Change what a proposal holds, and let it happen as changed, once; the agent is told
#[derive(Debug, clap::Args)]
pub struct Modify {
    /// Which
    #[arg(value_name = "ID")]
    proposal: u64,
    /// What shall be another: to=bob@x.example; said twice it is a list, cc= takes it out, body=@FILE is a
    /// file's text; none at all: all of it in a file here, to be edited
    #[arg(value_name = "FIELD=VALUE", conflicts_with = "file")]
    fields: Vec<String>,
    /// The arguments as this file has them, which a modify without arguments wrote
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What you were shown, as the modify before named it
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
}

impl Modify {
    pub fn run(self, session: &mut Session) -> Outcome {
        let id = self.proposal;
        let given = match &self.file {
            Some(file) => match of_file(session, id, file)? {
                Some(given) => given,
                None => {
                    session.note(&format!("nothing was changed; proposal {id} waits as it is"));
                    return Ok(Exit::Fine);
                }
            },
            None if self.fields.is_empty() => return edit(session, id),
            None => of_words(&self.fields)?,
        };
        let preview = preview(session, id, &given)?;
        let text = |key: &str| preview.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let digest = match self.digest {
            Some(digest) => digest,
            None if session.is_json() => {
                session.object(&preview)?;
                return Ok(Exit::Fine);
            }
            None => {
                let digest = text("digest");
                if !agreed(session, id, &text("shown"))? {
                    if session.desk == Desk::Nobody {
                        session.hint(&format!("the same with --digest {digest} lets it happen, once"));
                    }
                    return Ok(Exit::Bad);
                }
                digest
            }
        };
        let params = json!({"proposal": id, "verdict": "modify", "args": given, "digest": digest});
        let answer = session.call("decide", params)?;
        if session.is_json() {
            session.object(&answer)?;
        } else {
            session.say(&format!("proposal {id} modified"))?;
        }
        Ok(Exit::Fine)
    }
}

fn preview(session: &mut Session, id: u64, given: &Value) -> Result<Value, Fail> {
    session.call("decide", json!({"proposal": id, "verdict": "modify", "args": given}))
}

/// Shows what it becomes and asks; nobody says no.
fn agreed(session: &mut Session, id: u64, shown: &str) -> Result<bool, Fail> {
    let Some(matter) = matter::of(session, id, Reach::One)? else {
        return Err(Fail::new(format!("proposal {id} does not wait")).hint("skep inbox"));
    };
    let head = Member { shown: Ok(shown.to_owned()), ..matter.head };
    let matter = Matter { head, rest: Vec::new() };
    session.say(&format!("proposal {id} as changed: {}", matter.head.what()))?;
    if inbox::show(session, &matter)? == Seen::Left {
        session.note("not all of it was shown; nothing was decided");
        return Ok(false);
    }
    let agreed = pager::agreed(session, &format!("let it happen as changed, proposal {id}?"))?;
    if !agreed {
        session.note("nothing was decided");
    }
    Ok(agreed)
}

/// All its arguments in a file here.
fn edit(session: &mut Session, id: u64) -> Outcome {
    let args = current(session, id)?;
    let plain = |values: &Value| match values.as_array().map(Vec::as_slice) {
        Some([one]) => one.clone(),
        _ => values.clone(),
    };
    let plain: Map<String, Value> = args.iter().map(|(name, values)| (name.clone(), plain(values))).collect();
    let text = serde_json::to_string_pretty(&plain).unwrap_or_default();
    let file = format!("proposal-{id}.json");
    let trouble = |error: std::io::Error| {
        Fail::new(format!("{file}: {error}"))
            .hint(format!("remove it, or hand it in: skep modify {id} --file {file}"))
    };
    File::create_new(&file).and_then(|mut out| writeln!(out, "{text}")).map_err(trouble)?;
    let then = format!("skep modify {id} --file {file}");
    if session.is_json() {
        session.object(&json!({"file": file, "then": then}))?;
        return Ok(Exit::Fine);
    }
    session.say(&format!("./{file}"))?;
    session.hint(&format!("edit it, then {then}; or say it at once: skep modify {id} FIELD=VALUE"));
    Ok(Exit::Fine)
}

fn current(session: &mut Session, id: u64) -> Result<Map<String, Value>, Fail> {
    let preview = preview(session, id, &json!({}))?;
    Ok(preview.get("args").and_then(Value::as_object).cloned().unwrap_or_default())
}

/// What a file has changed; none when that is nothing.
fn of_file(session: &mut Session, id: u64, file: &Path) -> Result<Option<Value>, Fail> {
    let shown = escape::line(&file.display().to_string());
    let bytes = write::read_file(file)?;
    let edited = parse(&bytes).map_err(|why| {
        Fail::usage(format!("{shown}: {why}")).hint(format!("skep modify {id} writes one that is right"))
    })?;
    let Some(edited) = edited else { return Ok(None) };
    let before = current(session, id)?;
    Ok(difference(&before, edited))
}

/// An object of text, numbers or lists of them; none of a file that is empty.
fn parse(bytes: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(Some(map)),
        Ok(_) => Err("it is JSON, but no object".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

/// What is another, and an empty list for what is not there any more.
fn difference(before: &Map<String, Value>, edited: Map<String, Value>) -> Option<Value> {
    let list = |value: &Value| match value {
        Value::Array(_) => value.clone(),
        one => json!([one]),
    };
    let gone = before.keys().filter(|name| !edited.contains_key(*name));
    let mut given: Map<String, Value> = gone.map(|name| (name.clone(), json!([]))).collect();
    given.extend(edited.into_iter().filter(|(name, value)| before.get(name) != Some(&list(value))));
    (!given.is_empty()).then_some(Value::Object(given))
}

/// `FIELD=VALUE` each, as arguments of the call.
fn of_words(words: &[String]) -> Result<Value, Fail> {
    let mut given: Map<String, Value> = Map::new();
    for word in words {
        let (name, value) = word.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            Fail::usage(format!("{word:?} names no value")).hint("write it as FIELD=VALUE: to=bob@x.example")
        })?;
        let list = given.entry(name).or_insert_with(|| json!([]));
        let value = match value.strip_prefix('@') {
            // An address as @bob: the sign is said twice.
            Some(rest) if rest.starts_with('@') => rest.to_owned(),
            Some(file) => {
                let bytes = write::read_file(Path::new(file))?;
                String::from_utf8(bytes).map_err(|_| Fail::new(format!("{file} is not UTF-8")))?
            }
            None => value.to_owned(),
        };
        if let (Some(list), false) = (list.as_array_mut(), value.is_empty()) {
            list.push(json!(value));
        }
    }
    Ok(Value::Object(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> Result<Value, Fail> {
        of_words(&all.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn words_become_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("body");
        std::fs::write(&file, "Hello,\nBob\n").unwrap();
        let body = format!("body=@{}", file.display());
        let want = json!({"to": ["a", "b=c"], "cc": [], "body": ["Hello,\nBob\n"], "by": ["@bob"]});
        assert_eq!(words(&["to=a", "to=b=c", "cc=", &body, "by=@@bob"]).unwrap(), want);
        for wrong in ["to", "=a", "body=@/no/such/file"] {
            assert!(words(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_says_what_is_another() {
        let before = json!({"to": ["a"], "cc": ["b", "c"], "body": ["x"]});
        let before = before.as_object().unwrap();
        let rows = [
            (json!({"to": "a", "cc": ["b", "c"], "body": "x"}), None),
            (json!({"to": "b", "cc": ["b", "c"], "body": "x"}), Some(json!({"to": "b"}))),
            (json!({"to": ["a"], "cc": "b", "body": "x"}), Some(json!({"cc": "b"}))),
            (json!({"to": "a", "cc": ["b", "c"]}), Some(json!({"body": []}))),
        ];
        for (edited, want) in rows {
            assert_eq!(difference(before, edited.as_object().unwrap().clone()), want, "{edited}");
        }
        assert_eq!(parse(b" \n").unwrap(), None);
        for (bytes, why) in [(&b"[]"[..], "no object"), (b"{", "not JSON"), (b"\xff", "not UTF-8")] {
            assert!(parse(bytes).unwrap_err().contains(why), "{bytes:?}");
        }
    }
}
