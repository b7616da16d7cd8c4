//! `/sys/policy.yaml` and `/sys/budget.yaml`: parsed here, decided on in the kernel.
//!
//! ```yaml
//! format: 1                                # policy.yaml
//! autonomy: bounded                        # manual | bounded | autonomous
//! agents:
//!   "*": {deny: [read /**/.env], ask: [], allow: [read /data/**]}
//! operators:                               # none: who runs the node is an admin
//!   anna: {role: admin}
//!   tom: {role: member, sees: [/data/marketing/**], decides: [mail.send]}
//! standing: ["mail.send anna@tiles.example", "outbox mail.send bo@tiles.example"]
//! money: {bank: {day: 250.00}}
//! ```
//! `budget.yaml` and the budget of an AGENT.md are read by `budget`.
//!
//! Every error says file, line and column, and what to write instead. Unknown keys name the nearest known
//! one; `x-` keys are free. Money is decimal text. A file that does not parse grants nothing: what stood
//! before goes on standing, and a workspace without a policy starts nothing.

use abi::{
    Code, Error,
    agent::{Autonomy, MoneyRow, OperatorRow, Policy, PolicyRow, Role, Standing},
    cap::Grant,
    limits,
    money::Nano,
    path::Pattern,
    scan, wire,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::collections::BTreeMap;
use tree::Node;

pub(crate) mod budget;
pub(crate) mod tree;

const POLICY: &str = "policy.yaml";
const BUDGET: &str = "budget.yaml";
/// Bytes of front matter.
const FILE_BYTES_MAX: usize = limits::ARGUMENT_BYTES_MAX as usize;

/// Both files as one policy.
pub fn parse(policy: &[u8], money: &[u8]) -> Result<Policy, Error> {
    let mut all = Policy::default();
    rules(&Node::read(POLICY, policy)?, &mut all)?;
    budget::file(&Node::read(BUDGET, money)?, &mut all)?;
    Ok(all)
}

fn rules(file: &Node, all: &mut Policy) -> Result<(), Error> {
    let mut format = None;
    let known = ["format", "autonomy", "agents", "operators", "standing", "money"];
    for (key, node) in file.section(POLICY, &known)? {
        match key {
            "format" => format = Some(node),
            "autonomy" => all.autonomy = autonomy(node)?,
            "agents" => all.rows = agents(node)?,
            "operators" => all.operators = operators(node)?,
            "standing" => all.standing = standing(node)?,
            _ => all.money = moneys(node)?,
        }
    }
    is_format(file, format)?;
    if all.rows.is_empty() {
        return Err(file
            .mark
            .error("policy.yaml has no row: no agent could do anything")
            .hint("add agents: {\"*\": {allow: [...]}}"));
    }
    Ok(())
}

pub(crate) fn is_format(file: &Node, format: Option<&Node>) -> Result<(), Error> {
    let hint = "use a newer skep, or write format: 1";
    let Some(format) = format else {
        return Err(file.mark.error("it says no format").hint("write format: 1"));
    };
    match format.text("format")? {
        "1" => Ok(()),
        other => {
            Err(format.mark.error(format!("this is format {other}, this version reads format 1")).hint(hint))
        }
    }
}

/// A table, checked for its size.
pub(crate) fn rows_of<'a>(node: &'a Node, what: &str) -> Result<&'a [(Node, Node)], Error> {
    let rows = node.map(what)?;
    match rows.get(limits::POLICY_ROWS_MAX) {
        Some((key, _)) => Err(key.mark.wrap(&too_many(what))),
        None => Ok(rows),
    }
}

/// A list, checked for its size.
pub(crate) fn items_of<'a>(node: &'a Node, what: &str) -> Result<&'a [Node], Error> {
    let items = node.list(what)?;
    match items.get(limits::POLICY_ROWS_MAX) {
        Some(item) => Err(item.mark.wrap(&too_many(what))),
        None => Ok(items),
    }
}

fn too_many(what: &str) -> Error {
    let most = limits::POLICY_ROWS_MAX;
    Error::new(Code::TooLarge, format!("{what} has more than {most} rows"))
        .hint("say it with fewer: * and **")
}

fn autonomy(node: &Node) -> Result<Autonomy, Error> {
    let word = node.text("autonomy")?;
    let known = [Autonomy::Manual, Autonomy::Bounded, Autonomy::Autonomous];
    known.into_iter().find(|dial| dial.word() == word).ok_or_else(|| {
        let words = known.map(Autonomy::word);
        node.mark.error(format!("autonomy cannot be {word:?}")).hint(wire::nearest_hint(word, &words))
    })
}

fn agents(node: &Node) -> Result<Vec<PolicyRow>, Error> {
    let mut rows = Vec::new();
    for (key, lists) in rows_of(node, "agents")? {
        let name = key.text("an agent's name")?;
        if name.starts_with("x-") {
            continue;
        }
        let agent = if name == "*" { Ok(name.to_owned()) } else { wire::word(POLICY, name) };
        let agent = agent.map_err(|error| key.mark.wrap(&error))?;
        let mut row = PolicyRow { agent, deny: Vec::new(), ask: Vec::new(), allow: Vec::new(), draft: false };
        for (verb, needs) in lists.section(&format!("agents: {name}"), &["deny", "ask", "allow", "view"])? {
            if verb == "view" {
                row.draft = crate::agents::is_draft(needs)?;
                continue;
            }
            let list = match verb {
                "deny" => &mut row.deny,
                "ask" => &mut row.ask,
                _ => &mut row.allow,
            };
            for need in items_of(needs, verb)? {
                list.push(instead(
                    need,
                    grant(need.text("a need")?),
                    "read PATH, write PATH, ask KIND, model NAME",
                )?);
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn operators(node: &Node) -> Result<Vec<OperatorRow>, Error> {
    let mut rows = Vec::new();
    for (key, about) in rows_of(node, "operators")? {
        let name = key.text("an operator's name")?;
        if name.starts_with("x-") {
            continue;
        }
        let name = wire::word(POLICY, name).map_err(|error| key.mark.wrap(&error))?;
        rows.push(operator(key, name, about)?);
    }
    if !rows.is_empty() && !rows.iter().any(|row| row.role == Role::Admin) {
        return Err(node
            .mark
            .error("no operator is an admin: nobody could ever change this again")
            .hint("write NAME: {role: admin} for one of them"));
    }
    Ok(rows)
}

fn operator(key: &Node, name: String, about: &Node) -> Result<OperatorRow, Error> {
    let mut role = None;
    let (mut sees, mut decides) = (Vec::new(), Vec::new());
    let what = format!("operators: {name}");
    for (word, node) in about.section(&what, &["role", "sees", "decides"])? {
        match word {
            "role" => role = Some(role_of(node)?),
            "sees" => {
                let path = |node: &Node| pattern(node, Pattern::parse, "write a path, as /data/marketing/**");
                sees = items_of(node, "sees")?.iter().map(path).collect::<Result<_, _>>()?;
            }
            _ => {
                let kind = |node: &Node| pattern(node, Pattern::word, "write a kind, as mail.send, or \"*\"");
                decides = items_of(node, "decides")?.iter().map(kind).collect::<Result<_, _>>()?;
            }
        }
    }
    let role = role.ok_or_else(|| {
        key.mark.error(format!("{name} has no role")).hint("write role: admin, or role: member")
    })?;
    if role == Role::Admin && !(sees.is_empty() && decides.is_empty()) {
        let error = key.mark.error(format!("{name} is an admin: sees and decides would take nothing away"));
        return Err(error.hint("leave them out, or write role: member"));
    }
    Ok(OperatorRow { name, role, sees, decides })
}

fn role_of(node: &Node) -> Result<Role, Error> {
    match node.text("role")? {
        "admin" => Ok(Role::Admin),
        "member" => Ok(Role::Member),
        other => Err(node
            .mark
            .error(format!("{other:?} is no role"))
            .hint(wire::nearest_hint(other, &["admin", "member"]))),
    }
}

fn pattern(node: &Node, parse: fn(&str) -> Result<Pattern, Error>, hint: &str) -> Result<Pattern, Error> {
    instead(node, parse(node.text("a pattern")?), hint)
}

/// What was made of the node; an error points at it and says what to write instead.
fn instead<T>(node: &Node, made: Result<T, Error>, hint: &str) -> Result<T, Error> {
    made.map_err(|error| {
        let hint = if error.hint.is_empty() { hint.to_owned() } else { error.hint.clone() };
        node.mark.wrap(&error.hint(hint))
    })
}

fn standing(node: &Node) -> Result<Vec<Standing>, Error> {
    let mut rows: Vec<Standing> = Vec::new();
    for item in items_of(node, "standing")? {
        let row = standing_rule(item.text("a standing rule")?).map_err(|error| item.mark.wrap(&error))?;
        if rows.contains(&row) {
            return Err(item.mark.error("this rule stands already").hint("leave it out"));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// `KIND VALUE`, or `MOUNT KIND VALUE`.
fn standing_rule(words: &str) -> Result<Standing, Error> {
    let hint = "write KIND VALUE, as \"mail.send anna@tiles.example\", or MOUNT KIND VALUE";
    let all: Vec<&str> = words.split_whitespace().collect();
    let (mount, kind, value) = match all.as_slice() {
        [kind, value] => ("*", *kind, *value),
        [mount, kind, value] => (*mount, *kind, *value),
        _ => return Err(Error::invalid(POLICY, format!("{words:?} is no standing rule")).hint(hint)),
    };
    let word = |text: &str| Pattern::word(text).map_err(|error| error.hint(hint));
    if value.len() > limits::STANDING_BYTES_MAX || !scan::is_token(value) {
        let shown: String = value.chars().take(64).collect();
        return Err(Error::invalid(POLICY, format!("{shown:?} is not one whole word or address"))
            .hint("write it whole, as it stands in the argument: no space, quote, comma or * in it"));
    }
    Ok(Standing { mount: word(mount)?, kind: word(kind)?, value: value.to_owned() })
}

fn moneys(node: &Node) -> Result<Vec<MoneyRow>, Error> {
    let mut rows = Vec::new();
    for (key, windows) in rows_of(node, "money")? {
        let mount = key.text("a mount's name")?;
        if mount.starts_with("x-") {
            continue;
        }
        let mount = wire::word(POLICY, mount).map_err(|error| key.mark.wrap(&error))?;
        let mut day = None;
        for (_, amount) in windows.section(&format!("money: {mount}"), &["day"])? {
            day = Some(nano(amount)?);
        }
        let day =
            day.ok_or_else(|| key.mark.error(format!("{mount} has no day")).hint("write {day: 250.00}"))?;
        rows.push(MoneyRow { mount, day });
    }
    Ok(rows)
}

pub(crate) fn nano(node: &Node) -> Result<Nano, Error> {
    node.text("an amount")?.parse().map_err(|error: Error| node.mark.wrap(&error))
}

/// A need in words. `any` stands for `*`, which in YAML would have to be quoted.
pub fn grant(words: &str) -> Result<Grant, Error> {
    match words.trim() {
        "ask any" => Grant::parse("ask *"),
        "apply any" => Grant::parse("apply *"),
        words => Grant::parse(words),
    }
}

/// Reads YAML whose top level has only these keys, or `x-` ones.
pub fn yaml<T: DeserializeOwned>(file: &str, bytes: &[u8], known: &[&str]) -> Result<T, Error> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, format!("{file} is larger than 64 KiB")).argument(file));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| Error::invalid(file, format!("{file} is not UTF-8")))?;
    let keys: BTreeMap<String, IgnoredAny> =
        serde_saphyr::from_str(text).map_err(|error| bad(file, &error))?;
    for key in keys.keys().filter(|key| !key.starts_with("x-")) {
        if !known.contains(&key.as_str()) {
            return Err(unknown(file, key, known));
        }
    }
    serde_saphyr::from_str(text).map_err(|error| bad(file, &error))
}

/// The error for a key that is not known, with the nearest that is.
pub fn unknown(file: &str, key: &str, known: &[&str]) -> Error {
    let shown: String = key.chars().take(64).collect();
    Error::invalid(file, format!("{file} has no key {shown:?}")).hint(wire::nearest_hint(key, known))
}

fn bad(file: &str, error: &serde_saphyr::Error) -> Error {
    let what = error.to_string();
    let first: String = what.lines().next().unwrap_or("not YAML").chars().take(200).collect();
    Error::invalid(file, format!("{file}: {first}"))
}

#[cfg(test)]
mod tests;
