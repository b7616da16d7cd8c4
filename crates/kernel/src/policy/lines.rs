//! Policy in lines: what is in force, and what a change of it allows, asks and takes away.
//!
//! ```text
//! + helper: write /data/**              becomes allowed
//! ? autonomy: bounded -> manual         asks now
//! - standing: mail.send bo@tiles.example taken away
//! ```
//! Each line is about one thing and complete: what a person reads before they say yes. Of the words that a
//! row has for one need the strongest counts, as in force: an `allow` below a `deny` makes no line.

use crate::render::escaped;
use abi::{
    agent::{Autonomy, Budget, OperatorRow, Policy, PolicyRow, Role, Standing, UnknownPrice},
    cap::Grant,
    money::{Limit, Nano},
    path::Pattern,
};
use alloc::{collections::BTreeSet, format, string::String, string::ToString, vec, vec::Vec};

/// What is in force, one line a thing.
pub fn lines(policy: &Policy) -> Vec<String> {
    let mut all = vec![format!("autonomy {}", policy.autonomy.word())];
    all.extend(policy.operators.iter().map(|row| format!("operator {} {}", row.name, says(row))));
    all.extend(policy.standing.iter().map(|row| format!("standing {}", rule(row))));
    all.extend(policy.money.iter().map(|row| format!("money {} day {}", row.mount, row.day)));
    all.extend(limits_in(policy).into_iter().map(|(name, limit)| {
        format!("limit {name} {} {} {}", limit.resource.word(), limit.window.word(), amount(&limit))
    }));
    all.extend(settings(&policy.budget).into_iter().map(|(name, words, _)| format!("{name} {words}")));
    for row in &policy.rows {
        for (verb, grants) in [("deny", &row.deny), ("ask", &row.ask), ("allow", &row.allow)] {
            all.extend(grants.iter().map(|grant| format!("{verb} {} {}", row.agent, need(grant))));
        }
    }
    all
}

/// What changes from one to the other.
pub fn difference(old: Option<&Policy>, new: &Policy) -> Vec<String> {
    let none = Policy::default();
    let old = old.unwrap_or(&none);
    let mut all = Vec::new();
    dial(old.autonomy, new.autonomy, &mut all);
    operators(&old.operators, &new.operators, &mut all);
    let rules = |policy: &Policy| policy.standing.iter().map(rule).collect::<Vec<_>>();
    listed("standing", (&rules(old), &rules(new)), &mut all);
    money(old, new, &mut all);
    limits(old, new, &mut all);
    settled(&old.budget, &new.budget, &mut all);
    let agents: BTreeSet<&str> = old.rows.iter().chain(&new.rows).map(|row| row.agent.as_str()).collect();
    agents.into_iter().for_each(|agent| needs(agent, (old, new), &mut all));
    all
}

fn dial(old: Autonomy, new: Autonomy, all: &mut Vec<String>) {
    let rank = |dial| match dial {
        Autonomy::Manual => 0,
        Autonomy::Bounded => 1,
        Autonomy::Autonomous => 2,
    };
    let sign = if rank(new) > rank(old) { '+' } else { '?' };
    if old != new {
        all.push(format!("{sign} autonomy: {} -> {}", old.word(), new.word()));
    }
}

fn says(row: &OperatorRow) -> String {
    let words = |patterns: &[Pattern]| match patterns {
        [] => String::from("nothing"),
        some => some.iter().map(|one| escaped(one.as_str())).collect::<Vec<_>>().join(" "),
    };
    match row.role {
        Role::Admin => String::from("admin"),
        Role::Member => format!("member sees {} decides {}", words(&row.sees), words(&row.decides)),
    }
}

fn operators(old: &[OperatorRow], new: &[OperatorRow], all: &mut Vec<String>) {
    match (old, new) {
        ([], [_, ..]) => {
            all.push(String::from(
                "- operators: who is not listed may do nothing; until now who runs the node was an admin",
            ));
        }
        ([_, ..], []) => all.push(String::from(
            "+ operators: none is listed: who runs the node is an admin, all others are nobody",
        )),
        _ => {}
    }
    let names: BTreeSet<&String> = old.iter().chain(new).map(|row| &row.name).collect();
    for name in names {
        let before = old.iter().find(|row| row.name == *name);
        let after = new.iter().find(|row| row.name == *name);
        match (before, after) {
            (None, Some(row)) => all.push(format!("+ operator {name}: {}", says(row))),
            (Some(row), None) => all.push(format!("- operator {name}: {}", says(row))),
            (Some(before), Some(after)) if before.role != after.role => {
                let sign = if after.role == Role::Admin { '+' } else { '-' };
                all.push(format!("{sign} operator {name}: {} -> {}", says(before), says(after)));
            }
            (Some(before), Some(after)) => {
                let text = |patterns: &[Pattern]| patterns.iter().map(|one| escaped(one.as_str())).collect();
                let sees: (Vec<String>, Vec<String>) = (text(&before.sees), text(&after.sees));
                listed(&format!("operator {name} sees"), (&sees.0, &sees.1), all);
                let decides: (Vec<String>, Vec<String>) = (text(&before.decides), text(&after.decides));
                listed(&format!("operator {name} decides"), (&decides.0, &decides.1), all);
            }
            (None, None) => {}
        }
    }
}

/// Lists whose every entry allows something.
fn listed(what: &str, (old, new): (&[String], &[String]), all: &mut Vec<String>) {
    all.extend(new.iter().filter(|row| !old.contains(row)).map(|row| format!("+ {what}: {row}")));
    all.extend(old.iter().filter(|row| !new.contains(row)).map(|row| format!("- {what}: {row}")));
}

fn rule(row: &Standing) -> String {
    let (kind, value) = (&row.kind, escaped(&row.value));
    if row.mount.as_str() == "*" {
        format!("{kind} {value}")
    } else {
        format!("{} {kind} {value}", row.mount)
    }
}

fn money(old: &Policy, new: &Policy, all: &mut Vec<String>) {
    let of = |policy: &Policy, mount: &str| {
        policy.money.iter().find(|row| row.mount == mount).map_or(Nano(0), |row| row.day)
    };
    let mounts: BTreeSet<&String> = old.money.iter().chain(&new.money).map(|row| &row.mount).collect();
    for mount in mounts {
        let (before, after) = (of(old, mount), of(new, mount));
        let sign = if after > before { '+' } else { '-' };
        if before != after {
            all.push(format!("{sign} money {mount}: {before} -> {after} a day to those vouched for"));
        }
    }
}

/// Whose they are, and each limit.
fn limits_in(policy: &Policy) -> Vec<(String, Limit)> {
    let of = |name: &str, limits: &[Limit]| -> Vec<(String, Limit)> {
        limits.iter().map(|limit| (name.to_string(), *limit)).collect()
    };
    let three = [of("workspace", &policy.workspace), of("agent", &policy.agent), of("run", &policy.run)];
    let agents = policy.budget.agents.iter();
    let agents =
        agents.flat_map(|row| of(&format!("agent:{}", row.agent), &[&row.limits[..], &row.run].concat()));
    let mounts = policy.budget.mounts.iter().flat_map(|row| of(&format!("mount:{}", row.mount), &row.limits));
    let logins = policy.budget.own_login.iter().flat_map(|row| of("login", &row.limits));
    three.concat().into_iter().chain(agents).chain(mounts).chain(logins).collect()
}

/// What else the budget says: a name, the words, and how much it allows; higher is more.
fn settings(budget: &Budget) -> Vec<(String, String, u64)> {
    let mut all = Vec::new();
    if let Some(warn) = budget.warn {
        all.push((String::from("warn"), format!("{}.{:03}", warn / 1000, warn % 1000), u64::from(warn)));
    }
    if let Some(processes) = budget.processes {
        all.push((String::from("processes"), processes.to_string(), u64::from(processes)));
    }
    let walls = budget.agents.iter().map(|row| (format!("wall agent:{}", row.agent), row.wall_us));
    let login = budget.own_login.clone().unwrap_or_default();
    let login = [("wall login run", login.wall_us), ("wall login day", login.day_us)]
        .map(|(name, us)| (String::from(name), us));
    let run = [(String::from("wall run"), budget.wall_us)];
    for (name, wall_us) in run.into_iter().chain(walls).chain(login) {
        all.extend(wall_us.map(|us| (name, abi::halt::length(us), us)));
    }
    all.push((String::from("when_exhausted"), budget.when_exhausted.word().to_string(), 0));
    let counts = u64::from(budget.unknown_price == UnknownPrice::CountTokens);
    all.push((String::from("unknown_price"), budget.unknown_price.word().to_string(), counts));
    all
}

fn settled(old: &Budget, new: &Budget, all: &mut Vec<String>) {
    let (old, new) = (settings(old), settings(new));
    let names: BTreeSet<&String> = old.iter().chain(&new).map(|(name, ..)| name).collect();
    for name in names {
        let of = |rows: &[(String, String, u64)]| {
            let row = rows.iter().find(|(other, ..)| other == name);
            row.map_or((String::from("none"), u64::MAX), |(_, words, much)| (words.clone(), *much))
        };
        let (before, after) = (of(&old), of(&new));
        let sign = if after.1 > before.1 { '+' } else { '-' };
        if before != after {
            all.push(format!("{sign} {name}: {} -> {}", before.0, after.0));
        }
    }
}

fn amount(limit: &Limit) -> String {
    limit.resource.show(limit.max)
}

fn limits(old: &Policy, new: &Policy, all: &mut Vec<String>) {
    let (old, new) = (limits_in(old), limits_in(new));
    let find = |rows: &[(String, Limit)], of: &(String, Limit)| {
        let same = |row: &&(String, Limit)| {
            row.0 == of.0 && (row.1.resource, row.1.window) == (of.1.resource, of.1.window)
        };
        rows.iter().find(same).map(|row| row.1)
    };
    let mut push = |of: &(String, Limit), before: Option<Limit>, after: Option<Limit>| {
        let max = |limit: Option<Limit>| limit.map_or(i64::MAX, |limit| limit.max);
        let shown = |limit: Option<Limit>| limit.map_or_else(|| String::from("none"), |limit| amount(&limit));
        let sign = if max(after) > max(before) { '+' } else { '-' };
        if before != after {
            let (name, resource, window) = (&of.0, of.1.resource.word(), of.1.window.word());
            all.push(format!(
                "{sign} limit {name} {resource} {window}: {} -> {}",
                shown(before),
                shown(after)
            ));
        }
    };
    new.iter().for_each(|row| push(row, find(&old, row), Some(row.1)));
    old.iter().filter(|row| find(&new, row).is_none()).for_each(|row| push(row, Some(row.1), None));
}

fn need(grant: &Grant) -> String {
    escaped(&grant.words())
}

/// What a row says of a need: the strongest word of those it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Nothing,
    Allow,
    Ask,
    Deny,
}

fn word(policy: &Policy, agent: &str, grant: &Grant) -> Word {
    let has = |list: fn(&PolicyRow) -> &Vec<Grant>| {
        policy.rows.iter().filter(|row| row.agent == agent).any(|row| list(row).contains(grant))
    };
    match (has(|row| &row.deny), has(|row| &row.ask), has(|row| &row.allow)) {
        (true, _, _) => Word::Deny,
        (_, true, _) => Word::Ask,
        (_, _, true) => Word::Allow,
        _ => Word::Nothing,
    }
}

/// Whether something that is allowed to this agent has a part in the need.
fn allows(policy: &Policy, agent: &str, grant: &Grant) -> bool {
    let rows = policy.rows.iter().filter(|row| row.agent == agent || row.agent == "*" || agent == "*");
    rows.flat_map(|row| &row.allow).any(|allowed| allowed.meet(grant).is_some())
}

fn needs(agent: &str, (old, new): (&Policy, &Policy), all: &mut Vec<String>) {
    let of = |policy: &'_ Policy| -> Vec<Grant> {
        let rows = policy.rows.iter().filter(|row| row.agent == agent);
        rows.flat_map(|row| [&row.deny, &row.ask, &row.allow]).flatten().cloned().collect()
    };
    let grants: BTreeSet<Grant> = of(old).into_iter().chain(of(new)).collect();
    for grant in grants {
        let (before, after) = (word(old, agent, &grant), word(new, agent, &grant));
        let need = need(&grant);
        let line = match (before, after) {
            (before, after) if before == after => continue,
            (_, Word::Allow) => format!("+ {agent}: {need}"),
            (_, Word::Ask) => format!("? {agent}: {need} asks"),
            (_, Word::Deny) => format!("- {agent}: {need} is denied"),
            (Word::Deny, Word::Nothing) => format!("+ {agent}: {need} is denied no more"),
            (Word::Ask, Word::Nothing) if allows(new, agent, &grant) => {
                format!("+ {agent}: {need} asks no more")
            }
            (_, Word::Nothing) => format!("- {agent}: {need}"),
        };
        all.push(line);
    }
}
