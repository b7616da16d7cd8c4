//! `skep policy`, and what its neighbours need to change policy.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    session::{Session, Tone},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, IsTerminal},
    path::PathBuf,
};

/// The file of rules.
pub const POLICY: &str = "/sys/policy.yaml";
const BUDGET: &str = "/sys/budget.yaml";

/// What agents and operators may do; `policy check` and `policy set` show what a file would change
#[derive(Debug, clap::Args)]
pub struct Policy {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// What this host file would change, or on which line it is wrong; nothing is changed
    Check {
        /// A host file; - is standard input
        file: PathBuf,
        /// It is a budget.yaml
        #[arg(long)]
        budget: bool,
    },
    /// Show what this host file changes, and put it in force
    Set {
        /// A host file; - is standard input
        file: PathBuf,
        /// It is a budget.yaml
        #[arg(long)]
        budget: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Policy {
    pub fn run(self, session: &mut Session) -> Outcome {
        let path = |budget| if budget { BUDGET } else { POLICY };
        match self.act {
            None => show(session),
            Some(Act::Check { file, budget }) => {
                let told = check(session, path(budget), &text_of(&file)?)?;
                if session.is_json() {
                    session.object(&json!({"changes": told}))?;
                    return Ok(Exit::Fine);
                }
                print(session, &told)?;
                Ok(Exit::Fine)
            }
            Some(Act::Set { file, budget, yes }) => {
                // Standing input cannot be both the file and the answer.
                let text = text_of(&file)?;
                let edit = Edit::begin(session, path(budget), text)?;
                if edit.changes.is_empty() {
                    session.note("nothing of what is in force changes");
                } else if !session.is_json() {
                    print(session, &edit.changes)?;
                }
                if !yes && !edit.changes.is_empty() && !agreed(session)? {
                    return Err(Fail::new("nothing was changed"));
                }
                edit.put(session, "file")
            }
        }
    }
}

fn show(session: &mut Session) -> Outcome {
    let path = json!({"path": "/sys/policy"});
    if session.is_json() {
        let answer = session.call("read", path)?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    for line in session.read("/sys/policy")?.lines() {
        session.say(&escape::line(line))?;
    }
    session
        .hint("skep policy check FILE · skep policy set FILE · skep allow KIND VALUE · skep autonomy WORD");
    Ok(Exit::Fine)
}

fn text_of(file: &std::path::Path) -> Result<String, Fail> {
    let bytes = match file.to_str() {
        Some("-") => super::write::bounded(&mut std::io::stdin())?,
        _ => super::write::read_file(file)?,
    };
    String::from_utf8(bytes).map_err(|_| Fail::new("that is no text").hint("policy is YAML, in UTF-8"))
}

/// What the daemon says that a text would change, one line a thing.
pub fn check(session: &mut Session, path: &str, text: &str) -> Result<Vec<String>, Fail> {
    let answer = session.call("write", json!({"path": path, "text": text, "mode": "check"}))?;
    let told = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    Ok(told.lines().map(str::to_owned).collect())
}

/// Prints changes: + becomes allowed, ? asks now, - is taken away.
pub fn print(session: &mut Session, changes: &[String]) -> Result<(), Fail> {
    for line in changes {
        let tone = match line.chars().next() {
            Some('+') => Tone::Held,
            Some('?') => Tone::Strong,
            _ => Tone::Good,
        };
        let (sign, rest) = line.split_at(line.len().min(1));
        let sign = session.paint(sign, tone);
        session.say(&format!("{sign}{}", escape::line(rest)))?;
    }
    if changes.is_empty() {
        session.note("nothing of what is in force changes");
    }
    Ok(())
}

/// Asks whoever sits there; nobody can be asked through a pipe.
pub fn agreed(session: &mut Session) -> Result<bool, Fail> {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::usage("a change of policy asks first, and nobody is here to answer")
            .hint("add --yes, if it is to be in force"));
    }
    session.note("Put this in force? y/N");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim()))
}

fn clever() -> Fail {
    Fail::new(format!("{POLICY} is not written so that this can be put into it"))
        .hint("edit it by hand: skep cat /sys/policy.yaml > policy.yaml, then skep policy set policy.yaml")
}

/// An edit whose changes are known: against the version that was looked at.
pub struct Edit {
    path: &'static str,
    base: Value,
    text: String,
    /// What it changes.
    pub changes: Vec<String>,
}

impl Edit {
    /// Of this text in place of what stands.
    pub fn begin(session: &mut Session, path: &'static str, text: String) -> Result<Self, Fail> {
        let stands = session.call("read", json!({"path": path}))?;
        let base = stands.get("version").cloned().unwrap_or(Value::Null);
        let changes = check(session, path, &text)?;
        Ok(Self { path, base, text, changes })
    }

    /// Of what `make` makes of the text that stands; it has to change exactly what `meant` says. None when it
    /// changes nothing.
    pub fn of(
        session: &mut Session,
        make: impl FnOnce(&str) -> Option<String>,
        meant: impl Fn(&str) -> bool,
    ) -> Result<Option<Self>, Fail> {
        let edit = Self::made(session, make)?;
        match edit.changes.as_slice() {
            [] => Ok(None),
            [one] if meant(one) => Ok(Some(edit)),
            _ => Err(clever()),
        }
    }

    /// The same, where every change has to be one that is meant, and there is one.
    pub fn every(
        session: &mut Session,
        make: impl FnOnce(&str) -> Option<String>,
        meant: impl Fn(&str) -> bool,
    ) -> Result<Self, Fail> {
        let edit = Self::made(session, make)?;
        let is_meant = !edit.changes.is_empty() && edit.changes.iter().all(|line| meant(line));
        if is_meant { Ok(edit) } else { Err(clever()) }
    }

    fn made(session: &mut Session, make: impl FnOnce(&str) -> Option<String>) -> Result<Self, Fail> {
        let stands = session.read(POLICY)?;
        // The daemon has to understand what stands before anything is made of it.
        check(session, POLICY, &stands)?;
        let text = make(&stands).ok_or_else(clever)?;
        Self::begin(session, POLICY, text)
    }

    /// Puts it in force, and says nothing.
    pub fn quietly(self, session: &mut Session, origin: &str) -> Result<(), Fail> {
        let params = json!({"path": self.path, "text": self.text, "base": self.base, "origin": origin});
        session.call("write", params).map(drop)
    }

    /// Puts it in force.
    pub fn put(self, session: &mut Session, origin: &str) -> Outcome {
        let params = json!({"path": self.path, "text": self.text, "base": self.base, "origin": origin});
        let answer = session.call("write", params)?;
        if session.is_json() {
            session.object(&json!({"changes": self.changes, "version": answer.get("version")}))?;
            return Ok(Exit::Fine);
        }
        let version = answer.get("version").and_then(Value::as_u64).unwrap_or_default();
        session.note(&format!("in force: {} version {version}", self.path));
        Ok(Exit::Fine)
    }
}
