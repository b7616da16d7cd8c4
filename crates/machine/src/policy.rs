//! `/sys/policy.yaml` and `/sys/budget.yaml`: parsed here, decided on in the kernel.
//!
//! ```yaml
//! format: 1                                # policy.yaml
//! agents:
//!   "*": {deny: [read /**/.env], ask: [], allow: [read /data/**]}
//! ---
//! format: 1                                # budget.yaml
//! workspace: {day: 5.00}
//! agents: {"*": {run: 1.00, day: 2.00}}
//! ```
//! Unknown keys are errors that name the nearest known one; `x-` keys are free. Money is decimal text. A file
//! that does not parse grants nothing: the machine keeps the policy that stands, and a workspace without one
//! starts nothing.

use abi::{
    Code, Error,
    agent::{Policy, PolicyRow},
    cap::Grant,
    limits,
    money::{Limit, Nano, Resource, Window},
    wire,
};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};
use std::collections::BTreeMap;

/// Bytes of one of these files.
pub const FILE_BYTES_MAX: usize = limits::ARGUMENT_BYTES_MAX as usize;
/// Rows of the policy, and grants in one list: each is looked at when a process starts.
const ROWS_MAX: usize = 256;

#[derive(Deserialize)]
struct PolicyFile {
    format: u32,
    #[serde(default)]
    agents: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
struct BudgetFile {
    format: u32,
    #[serde(default)]
    workspace: BTreeMap<String, String>,
    #[serde(default)]
    agents: BTreeMap<String, BTreeMap<String, String>>,
}

/// Both files as one policy.
pub fn parse(policy: &[u8], budget: &[u8]) -> Result<Policy, Error> {
    let rows: PolicyFile = yaml("policy.yaml", policy, &["format", "agents"])?;
    let money: BudgetFile = yaml("budget.yaml", budget, &["format", "workspace", "agents"])?;
    check_format("policy.yaml", rows.format)?;
    check_format("budget.yaml", money.format)?;
    if rows.agents.is_empty() {
        return Err(Error::invalid("policy.yaml", "policy.yaml has no row: no agent could do anything")
            .hint("add agents: {\"*\": {allow: [...]}}"));
    }
    if rows.agents.len() > ROWS_MAX {
        return Err(Error::new(Code::TooLarge, "policy.yaml has more than 256 rows"));
    }
    let mut policy = Policy {
        rows: rows.agents.into_iter().map(row).collect::<Result<_, _>>()?,
        workspace: limits_of("workspace", money.workspace)?,
        agent: Vec::new(),
        run: Vec::new(),
        ..Policy::default()
    };
    for (agent, windows) in money.agents {
        if agent != "*" {
            return Err(Error::invalid("budget.yaml", format!("budget.yaml: agents has a row {agent:?}"))
                .hint("only \"*\" in this version; an AGENT.md can lower its own budget"));
        }
        let all = limits_of("agents", windows)?;
        policy.run = all.iter().filter(|limit| limit.window == Window::Run).copied().collect();
        policy.agent = all.iter().filter(|limit| limit.window == Window::Day).copied().collect();
    }
    Ok(policy)
}

fn check_format(file: &str, format: u32) -> Result<(), Error> {
    if format == 1 {
        return Ok(());
    }
    Err(Error::invalid(file, format!("{file} has format {format}, this version reads format 1"))
        .hint("use a newer skep, or write format: 1"))
}

fn row((agent, lists): (String, BTreeMap<String, Vec<String>>)) -> Result<PolicyRow, Error> {
    if agent != "*" {
        wire::word("policy.yaml", &agent)?;
    }
    let mut row = PolicyRow { agent, deny: Vec::new(), ask: Vec::new(), allow: Vec::new() };
    for (key, words) in lists {
        if words.len() > ROWS_MAX {
            return Err(Error::new(Code::TooLarge, format!("policy.yaml: more than 256 entries in {key}")));
        }
        let list = match key.as_str() {
            "deny" => &mut row.deny,
            "ask" => &mut row.ask,
            "allow" => &mut row.allow,
            _ if key.starts_with("x-") => continue,
            _ => return Err(unknown("policy.yaml", &key, &["deny", "ask", "allow"])),
        };
        for word in words {
            list.push(grant(&word).map_err(|error| error.argument("policy.yaml"))?);
        }
    }
    Ok(row)
}

/// A need in words. `any` stands for `*`, which in YAML would have to be quoted.
pub fn grant(words: &str) -> Result<Grant, Error> {
    match words.trim() {
        "ask any" => Grant::parse("ask *"),
        "apply any" => Grant::parse("apply *"),
        words => Grant::parse(words),
    }
}

fn limits_of(section: &str, windows: BTreeMap<String, String>) -> Result<Vec<Limit>, Error> {
    let mut found = Vec::new();
    for (key, amount) in windows {
        let window = match key.as_str() {
            "day" => Window::Day,
            "run" => Window::Run,
            _ if key.starts_with("x-") => continue,
            _ => return Err(unknown(&format!("budget.yaml: {section}"), &key, &["day", "run"])),
        };
        let max: Nano = amount.parse().map_err(|error: Error| error.argument("budget.yaml"))?;
        found.push(Limit { resource: Resource::Money, window, max: max.0 });
    }
    Ok(found)
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
