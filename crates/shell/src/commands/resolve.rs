//! `skep resolve`: ends a conflict. The diverged version and the head are both parents of what comes of it.
//!
//! `--take edit` writes one file beside you with both texts in it and the lines that contradict each other
//! marked, as `diff3 -m` does; you edit it with what you like, and `--take FILE` hands it in. No editor is
//! started: nothing here starts processes (docs/decisions/0012).

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    past::{self, Body, Conflict, Content},
    session::Session,
    settle::settle,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use diffy::{ConflictStyle, MergeOptions};
use serde_json::{Value, json};
use std::{fs::File, io::Write, path::Path};

/// How the lines begin that mark what contradicts; a resolution with one of them is not done.
const MARKS: [&str; 3] = ["<<<<<<< ", "||||||| ", ">>>>>>> "];

/// End a conflict: take one of both texts, or one that you make of them
#[derive(Debug, clap::Args)]
pub struct Resolve {
    /// Which file
    path: String,
    /// ours (the version kept beside the head), theirs (the head), edit (write both into a file here), a file
    /// of this host, or - for standard input
    #[arg(long, value_name = "ours|theirs|edit|FILE|-")]
    take: String,
    /// The version kept beside the head, if there are several
    #[arg(long = "version", value_name = "VERSION")]
    conflict: Option<u64>,
    /// The head it was resolved against; it is refused if that has changed
    #[arg(long, value_name = "VERSION")]
    base: Option<u64>,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

impl Resolve {
    pub fn run(self, session: &mut Session) -> Outcome {
        let conflict = self.find(session)?;
        let mut params = json!({"path": conflict.path, "mode": "resolve", "version": conflict.version,
            "base": self.base.unwrap_or(conflict.head), "origin": "file"});
        let Some(map) = params.as_object_mut() else { return Err(Fail::new("no arguments")) };
        match self.take.as_str() {
            "edit" => return edit(session, &conflict),
            "ours" | "theirs" => _ = map.insert("take".into(), json!(self.take)),
            file => {
                map.insert("take".into(), json!("text"));
                let (key, value) = resolution(file, &conflict)?;
                map.insert(key.into(), value);
            }
        }
        map.extend(self.message.map(|message| ("message".into(), json!(message))));
        let answer = session.call("write", params)?;
        settle(session)?;
        told(session, &conflict, &answer)
    }

    fn find(&self, session: &mut Session) -> Result<Conflict, Fail> {
        let all = past::conflicts(session)?;
        let here: Vec<Conflict> = all.into_iter().filter(|conflict| conflict.path == self.path).collect();
        let chosen = match self.conflict {
            Some(id) => here.into_iter().find(|conflict| conflict.version == id),
            None if here.len() > 1 => {
                let ids: Vec<String> = here.iter().map(|one| one.version.to_string()).collect();
                return Err(Fail::usage(format!("{} has {} open conflicts", self.path, ids.len()))
                    .hint(format!("name one with --version: {}", ids.join(", "))));
            }
            None => here.into_iter().next(),
        };
        chosen.ok_or_else(|| {
            let which = self.conflict.map(|id| format!(" of version {id}")).unwrap_or_default();
            Fail::new(format!("no conflict{which} is open at {}", self.path)).hint("skep inbox lists all")
        })
    }
}

/// The bytes that are to stand: of a file of this host, or of standard input.
fn resolution(file: &str, conflict: &Conflict) -> Result<(&'static str, Value), Fail> {
    let bytes = match file {
        "-" => super::write::bounded(&mut std::io::stdin())?,
        file => super::write::read_file(Path::new(file))?,
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Ok(("base64", json!(STANDARD.encode(error.as_bytes())))),
    };
    let marked = text.lines().position(|line| MARKS.iter().any(|mark| line.starts_with(mark)));
    if let Some(line) = marked {
        return Err(Fail::new(format!("line {} of {file} still marks what contradicts", line + 1))
            .hint(format!("edit it, then again; {} stays as it is until then", conflict.path)));
    }
    Ok(("text", json!(text)))
}

/// Both texts in one file here.
fn edit(session: &mut Session, conflict: &Conflict) -> Outcome {
    let [ours, theirs] = [conflict.version, conflict.head].map(|id| text(session, &conflict.path, id));
    let base = conflict.base.map_or(Ok(String::new()), |id| text(session, &conflict.path, id))?;
    let (ours, theirs) = (ours?, theirs?);
    let mut options = MergeOptions::new();
    let merged = options.set_conflict_style(ConflictStyle::Diff3).merge(&base, &ours, &theirs);
    let merged = merged.unwrap_or_else(|marked| marked);
    let name = conflict.path.rsplit('/').next().unwrap_or("file");
    let file = format!("{}+{}.{name}", conflict.version, conflict.head);
    let trouble = |error: std::io::Error| {
        Fail::new(format!("{file}: {error}")).hint("remove it, or hand it in: skep resolve PATH --take FILE")
    };
    File::create_new(&file).and_then(|mut out| out.write_all(merged.as_bytes())).map_err(trouble)?;
    let again = format!(
        "skep resolve {} --version {} --base {} --take ./{file}",
        conflict.path, conflict.version, conflict.head
    );
    if session.is_json() {
        session.object(&json!({"file": file, "then": again}))?;
        return Ok(Exit::Fine);
    }
    session.say(&escape::line(&format!("./{file}")))?;
    session.note(&format!("ours is version {}, theirs the head {}", conflict.version, conflict.head));
    session.hint(&escape::line(&format!("edit it, then {again}")));
    Ok(Exit::Fine)
}

fn text(session: &mut Session, path: &str, id: u64) -> Result<String, Fail> {
    let version = past::version(session, path, id)?;
    let Content { body, .. } = past::content(session, &version)?;
    match body {
        Body::Text(text) => Ok(text),
        Body::Nothing => Ok(String::new()),
        Body::Binary(_) | Body::Large(_) => {
            Err(Fail::new(format!("version {id} of {path} is no small text"))
                .hint("--take ours, --take theirs, or --take FILE with the bytes"))
        }
        Body::Lost(why) => Err(Fail::new(why)),
    }
}

fn told(session: &mut Session, conflict: &Conflict, answer: &Value) -> Outcome {
    if session.is_json() {
        session.object(answer)?;
        return Ok(Exit::Fine);
    }
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    let path = escape::line(&conflict.path);
    let (version, ours, theirs) = (number("version"), conflict.version, conflict.head);
    session
        .say(&format!("{path} version {version} op:{}, made of {ours} and {theirs}", number("operation")))?;
    session.hint(&format!("skep diff {path}@{version}; skep undo op:{} takes it back", number("operation")));
    past::note_conflicts(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_marks_is_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("both");
        let conflict =
            Conflict { version: 3, path: "/a".into(), base: None, head: 2, actor: "agent:x".into() };
        let mut rows = Vec::new();
        for text in ["a\n", "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n", "=======\nheading\n"] {
            std::fs::write(&file, text).unwrap();
            rows.push(resolution(file.to_str().unwrap(), &conflict).is_ok());
        }
        assert_eq!(rows, [true, false, true]);
    }
}
