//! `skep operator`: a row of policy says what somebody may do in a workspace, a word to the node lets their
//! user in. Added in this order and removed in this order, so that nobody is in of whom policy says nothing.

use super::policy::{Edit, agreed, print};
use crate::{
    card, escape,
    fail::{Exit, Fail, Outcome},
    rules::roster,
    session::{self, Session},
    table::Table,
};
use abi::path::Pattern;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

/// Who may use this node, and as what: other users of this host, at a socket of their own
#[derive(Debug, clap::Args)]
pub struct Operator {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Let a user of this host in, and say what they may do in this workspace
    Add(Add),
    /// Who they are, and what they may do in this workspace
    List,
    /// Let somebody in no more: their connections are cut, what they began stands still
    Rm {
        /// Who
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// What they are called here; also their user on this host, if --uid does not say
    name: String,
    /// admin: everything; member: their part of the tree
    #[arg(long, value_parser = ["admin", "member"])]
    role: String,
    /// What a member sees and changes, as /data/marketing/**
    #[arg(long, value_name = "PATH", num_args = 1..)]
    sees: Vec<String>,
    /// Kinds of proposals that a member decides, as mail.send
    #[arg(long, value_name = "KIND", num_args = 1..)]
    decides: Vec<String>,
    /// Which user of this host
    #[arg(long, value_name = "N|USER")]
    uid: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// One operator, as the node knows them.
struct Known {
    uid: u32,
    name: String,
    is_owner: bool,
    is_me: bool,
}

impl Operator {
    pub fn run(self, session: &mut Session) -> Outcome {
        match self.act {
            None | Some(Act::List) => list(session),
            Some(Act::Add(add)) => add.run(session),
            Some(Act::Rm { name, yes }) => remove(session, &abi::wire::word("name", &name)?, yes),
        }
    }
}

fn known(session: &mut Session) -> Result<Vec<Known>, Fail> {
    let rows = card::rows(&session.read("/sys/operators")?);
    let one = |row: Vec<String>| {
        let cell = |ix: usize| row.get(ix).map(String::as_str).unwrap_or_default();
        let (is_owner, is_me) = (cell(2) == "owner", cell(3) == "you");
        Some(Known { uid: cell(0).parse().ok()?, name: cell(1).to_owned(), is_owner, is_me })
    };
    Ok(rows.into_iter().filter_map(one).collect())
}

/// Whom policy lists, and as what.
fn listed(session: &mut Session) -> Result<Vec<(String, String)>, Fail> {
    let text = session.read("/sys/policy")?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("operator ")?.split_once(' '));
    Ok(rows.map(|(name, says)| (name.to_owned(), says.to_owned())).collect())
}

fn list(session: &mut Session) -> Outcome {
    let (known, listed) = (known(session)?, listed(session)?);
    let mut table = Table::new(&["NAME", "USER>", "HERE", "NOTE"]);
    let names = known.iter().map(|row| (row.name.as_str(), Some(row)));
    let rest = listed.iter().filter(|(name, _)| known.iter().all(|row| row.name != *name));
    for (name, row) in names.chain(rest.map(|(name, _)| (name.as_str(), None))) {
        let says = listed.iter().find(|(of, _)| of == name).map(|(_, says)| says.as_str());
        let says = match (says, row) {
            (Some(says), _) => says,
            (None, Some(row)) if listed.is_empty() && row.is_owner => "admin",
            (None, _) => "nobody",
        };
        if session.is_json() {
            let (uid, owner) = (row.map(|row| row.uid), row.is_some_and(|row| row.is_owner));
            let me = row.is_some_and(|row| row.is_me);
            session.object(&json!({"name": name, "uid": uid, "here": says, "owner": owner, "you": me}))?;
            continue;
        }
        let user = row.map_or_else(String::new, |row| row.uid.to_string());
        let note = match row {
            None => "not let in",
            Some(row) if row.is_me => "you",
            Some(row) if row.is_owner => "runs this node",
            Some(_) => "",
        };
        table.row([name, &user, says, note]);
    }
    if !session.is_json() {
        session.print(&table.print())?;
        session.hint("skep operator add NAME --role member --sees '/data/NAME/**', skep operator rm NAME");
    }
    Ok(Exit::Fine)
}

impl Add {
    fn run(self, session: &mut Session) -> Outcome {
        let name = abi::wire::word("name", &self.name)?;
        self.is_sound()?;
        let uid = uid_of(self.uid.as_deref().unwrap_or(&name))?;
        let (known, listed) = (known(session)?, listed(session)?);
        if let Some(other) =
            known.iter().find(|row| (row.name == name) != (row.uid == uid) || row.is_owner && row.uid == uid)
        {
            let what = format!("{} is user {} of this host, an operator already", other.name, other.uid);
            return Err(Fail::new(escape::line(&what)).hint("skep operator list shows who is who"));
        }
        let says = self.says();
        let edit = match listed.iter().find(|(of, _)| *of == name) {
            Some((_, stands)) if *stands == says => None,
            Some((_, stands)) => {
                let what = format!("{name} is listed already: {stands}");
                return Err(Fail::new(escape::line(&what)).hint(format!(
                    "skep operator rm {name} first, or change the row: docs/how/write-a-policy.md"
                )));
            }
            None => {
                // Who was an admin because nobody was listed stays one.
                let first = known.iter().filter(|row| row.is_owner && listed.is_empty());
                let owners: Vec<String> = first.map(|row| row.name.clone()).collect();
                let rows: Vec<String> = owners
                    .iter()
                    .map(|owner| format!("{owner}: {{role: admin}}"))
                    .chain([format!("{name}: {}", self.row())])
                    .collect();
                let names: Vec<&String> = owners.iter().chain([&name]).collect();
                let meant = |line: &str| {
                    let is = |name: &&&String| line.starts_with(&format!("+ operator {name}: "));
                    line.starts_with("- operators: ") || names.iter().any(|name| is(&name))
                };
                Some(Edit::every(session, |text| roster::add(text, &rows), meant)?)
            }
        };
        let mut changes = edit.as_ref().map(|edit| edit.changes.clone()).unwrap_or_default();
        if !known.iter().any(|row| row.name == name) {
            changes.push(format!("+ user {uid} of this host may connect, as {name}"));
        }
        if !confirmed(session, &changes, self.yes)? {
            return Err(Fail::new("nothing was changed"));
        }
        if let Some(edit) = edit {
            edit.quietly(session, "argument")?;
        }
        session.control(&format!("operator add {uid} {name}")).map_err(|fail| {
            let hint =
                format!("{}; policy lists {name} already: the same command again lets them in", fail.hint);
            fail.hint(hint)
        })?;
        if session.is_json() {
            session.object(&json!({"changes": changes, "name": name, "uid": uid, "here": says}))?;
            return Ok(Exit::Fine);
        }
        let home = session.place.home.display().to_string();
        session.say(&format!("{name} is let in"))?;
        if let Some(closed) = closed_above(session, uid) {
            let shown = escape::line(&closed.display().to_string());
            session.note(&format!("{shown} may be closed to {name}, who has to pass through it"));
            session.hint(&format!("setfacl -m u:{uid}:x {shown}"));
        }
        session.hint(&format!("as {name}: skep --home {} status", escape::line(&home)));
        Ok(Exit::Fine)
    }

    fn is_sound(&self) -> Result<(), Fail> {
        if self.role == "admin" && !(self.sees.is_empty() && self.decides.is_empty()) {
            return Err(Fail::usage("an admin sees and decides everything")
                .hint("leave --sees and --decides out, or say --role member"));
        }
        self.sees.iter().try_for_each(|path| Pattern::parse(path).map(drop))?;
        self.decides.iter().try_for_each(|kind| Pattern::word(kind).map(drop))?;
        Ok(())
    }

    /// The row, as YAML in one line. Text of JSON is text of YAML.
    fn row(&self) -> String {
        let list = |words: &[String]| json!(words).to_string().replace("\",\"", "\", \"");
        match self.role.as_str() {
            "admin" => "{role: admin}".to_owned(),
            _ => format!("{{role: member, sees: {}, decides: {}}}", list(&self.sees), list(&self.decides)),
        }
    }

    /// The same as `/sys/policy` says it.
    fn says(&self) -> String {
        let words = |words: &[String]| if words.is_empty() { "nothing".to_owned() } else { words.join(" ") };
        match self.role.as_str() {
            "admin" => "admin".to_owned(),
            _ => format!("member sees {} decides {}", words(&self.sees), words(&self.decides)),
        }
    }
}

fn remove(session: &mut Session, name: &str, yes: bool) -> Outcome {
    let (known, listed) = (known(session)?, listed(session)?);
    let row = known.iter().find(|row| row.name == name);
    let is_listed = listed.iter().any(|(of, _)| of == name);
    if row.is_none() && !is_listed {
        return Err(Fail::new(format!("{name} is no operator here")).hint("skep operator list shows who is"));
    }
    if row.is_some_and(|row| row.is_owner) {
        return Err(Fail::new(format!("{name} runs this node and cannot be removed"))
            .hint("policy says what they may do in a workspace: docs/how/write-a-policy.md"));
    }
    // Nobody takes the role from themselves: another admin takes the row.
    let is_me = row.is_some_and(|row| row.is_me);
    let edit = match is_listed && !is_me {
        true => {
            let meant = |line: &str| line.starts_with(&format!("- operator {name}: "));
            Some(Edit::every(session, |text| roster::remove(text, name), meant)?)
        }
        false => None,
    };
    let mut changes = edit.as_ref().map(|edit| edit.changes.clone()).unwrap_or_default();
    if let Some(row) = row {
        changes.push(format!("- user {} of this host may connect, as {name}", row.uid));
    }
    if !confirmed(session, &changes, yes)? {
        return Err(Fail::new("nothing was changed"));
    }
    if let Some(edit) = edit {
        edit.quietly(session, "argument")?;
    }
    let answer = match row {
        Some(_) => session.control(&format!("operator rm {name}"))?,
        None => Value::Null,
    };
    if session.is_json() {
        session.object(&json!({"changes": changes, "name": name, "ok": answer.get("ok")}))?;
        return Ok(Exit::Fine);
    }
    session.say(&format!("{name} is no operator any more"))?;
    if is_me && is_listed {
        session.note("your row in policy stands; nobody can use it");
        session.hint(&format!("another admin: skep operator rm {name}"));
    } else {
        session.hint(
            "skep ps shows what stands frozen; rows in other workspaces stay: skep -w NAME operator list",
        );
    }
    Ok(Exit::Fine)
}

fn confirmed(session: &mut Session, changes: &[String], yes: bool) -> Result<bool, Fail> {
    if !session.is_json() {
        print(session, changes)?;
    }
    Ok(yes || changes.is_empty() || agreed(session)?)
}

/// The number of a user of this host.
fn uid_of(user: &str) -> Result<u32, Fail> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        Fail::new(format!("{} is no user in /etc/passwd", escape::line(user)))
            .hint("--uid N says which; id -u USER shows the number")
    })
}

/// The first directory on the way to the shared door that not everybody may pass through.
fn closed_above(session: &Session, uid: u32) -> Option<PathBuf> {
    let shared = session::shared(&session.place.home);
    let mut above: Vec<PathBuf> = shared.parent()?.ancestors().skip(1).map(PathBuf::from).collect();
    above.reverse();
    above.into_iter().find(|dir| {
        let Ok(meta) = fs::metadata(dir) else { return false };
        let owner = std::os::unix::fs::MetadataExt::uid(&meta) == uid;
        !owner && meta.permissions().mode() & 0o001 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_yaml_and_says_what_policy_says() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let add = |role: &str, sees: &[&str], decides: &[&str]| Add {
            name: "tom".into(),
            role: role.into(),
            sees: words(sees),
            decides: words(decides),
            uid: None,
            yes: false,
        };
        let rows = [
            (add("admin", &[], &[]), "{role: admin}", "admin"),
            (
                add("member", &["/data/a b/**", "/home/tom"], &["*"]),
                r#"{role: member, sees: ["/data/a b/**", "/home/tom"], decides: ["*"]}"#,
                "member sees /data/a b/** /home/tom decides *",
            ),
            (
                add("member", &[], &[]),
                "{role: member, sees: [], decides: []}",
                "member sees nothing decides nothing",
            ),
        ];
        for (add, row, says) in rows {
            assert_eq!((add.row().as_str(), add.says().as_str()), (row, says));
        }
        assert!(add("admin", &["/a"], &[]).is_sound().is_err());
        assert!(add("member", &["a"], &[]).is_sound().is_err());
    }
}
