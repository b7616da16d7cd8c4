//! `/sys/budget.yaml`, and the `budget` of an AGENT.md, which is a row of the same kind.
//!
//! ```yaml
//! format: 1
//! workspace: {day: 5.00, month: 50.00, warn: 0.8, processes: 64, tokens_out: {hour: 400k}}
//! agents:
//!   "*":    {run: 1.00, wall: 30m, calls: {run: 200}}
//!   triage: {day: 0.50}                    # tightened by "*"
//! mounts:
//!   outbox: {effects: {day: 50}}
//!   bank:   {day: 250.00}                  # money that moves there
//! when_exhausted: freeze                   # freeze | kill
//! unknown_price: refuse                    # refuse | count-tokens
//! guests_with_own_login: {calls: {hour: 300}, wall: {day: 8h}}     # of each agent
//! ```
//! Money stands under its window, other resources under their name. Money is decimal text, counts may end in
//! `k` or `m`, times are `90s`, `30m`, `2h`, `1d`. Windows are hours, days and months in UTC; a run is as
//! long as its process, and for the workspace as long as it stands. Nothing is decided here.

use super::{BUDGET, is_format, rows_of, tree::Node};
use abi::{
    Error,
    agent::{AgentBudget, Budget, MountBudget, OwnLogin, Policy, UnknownPrice, WhenExhausted},
    limits,
    money::{Limit, Resource, Window},
    wire,
};

/// Resources that a row can limit besides money.
const COUNTED: [Resource; 6] = [
    Resource::TokensIn,
    Resource::TokensOut,
    Resource::TokensCached,
    Resource::TokensWritten,
    Resource::Calls,
    Resource::Effects,
];

/// The section about programs that pay at their own service.
const OWN_LOGIN: &str = "guests_with_own_login";

/// What a row of a budget says: limits, in the order of their words, and how long a run may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Every limit.
    pub limits: Vec<Limit>,
    /// How long one run may take.
    pub wall_us: Option<u64>,
}

impl Row {
    /// Limits over a run, and those over an hour, a day, a month.
    fn split(self) -> (Vec<Limit>, Vec<Limit>) {
        self.limits.into_iter().partition(|limit| limit.window == Window::Run)
    }
}

/// What an agent's own file asks for: `{run: 0.50, day: 2.00, tokens_out: {run: 400k}, wall: 30m}`.
pub fn row(what: &str, node: &Node) -> Result<Row, Error> {
    let mut row = Row::default();
    let known = words(&Window::ALL, &COUNTED, &["wall"]);
    for (key, node) in node.section(what, &known)? {
        match key {
            "wall" => row.wall_us = Some(duration(node)?),
            key => limit(key, node, (what, &Window::ALL), &mut row.limits)?,
        }
    }
    sort(&mut row.limits);
    Ok(row)
}

/// The whole file.
pub fn file(file: &Node, all: &mut Policy) -> Result<(), Error> {
    let mut format = None;
    let known = ["format", "workspace", "agents", "mounts", "when_exhausted", "unknown_price", OWN_LOGIN];
    let mut budget = Budget::default();
    for (key, node) in file.section(BUDGET, &known)? {
        match key {
            "format" => format = Some(node),
            "workspace" => all.workspace = workspace(node, &mut budget)?,
            "agents" => agents(node, all, &mut budget)?,
            "mounts" => budget.mounts = mounts(node)?,
            OWN_LOGIN => budget.own_login = Some(own_login(node)?),
            "when_exhausted" => {
                let choices = [WhenExhausted::Freeze, WhenExhausted::Kill];
                budget.when_exhausted = choice(key, node, &choices.map(|choice| (choice.word(), choice)))?;
            }
            _ => {
                let choices = [UnknownPrice::Refuse, UnknownPrice::CountTokens];
                budget.unknown_price = choice(key, node, &choices.map(|choice| (choice.word(), choice)))?;
            }
        }
    }
    all.budget = budget;
    is_format(file, format)
}

fn workspace(node: &Node, budget: &mut Budget) -> Result<Vec<Limit>, Error> {
    let mut found = Vec::new();
    let known = words(&Window::ALL, &COUNTED, &["warn", "processes"]);
    for (key, node) in node.section("workspace", &known)? {
        match key {
            "warn" => budget.warn = Some(share(node)?),
            "processes" => budget.processes = Some(processes(node)?),
            key => limit(key, node, ("workspace", &Window::ALL), &mut found)?,
        }
    }
    sort(&mut found);
    Ok(found)
}

fn agents(node: &Node, all: &mut Policy, budget: &mut Budget) -> Result<(), Error> {
    for (key, about) in rows_of(node, "agents")? {
        let name = key.text("an agent's name")?;
        if name.starts_with("x-") {
            continue;
        }
        let of = row(&format!("agents: {name}"), about)?;
        let wall_us = of.wall_us;
        let (run, limits) = of.split();
        if name == "*" {
            (all.run, all.agent, budget.wall_us) = (run, limits, wall_us);
            continue;
        }
        let agent = wire::word(BUDGET, name).map_err(|error| key.mark.wrap(&error))?;
        budget.agents.push(AgentBudget { agent, limits, run, wall_us });
    }
    Ok(())
}

/// `{calls: {hour: 300}, wall: {run: 2h, day: 8h}}`; money cannot be limited where it is not seen.
fn own_login(node: &Node) -> Result<OwnLogin, Error> {
    let mut all = OwnLogin::default();
    for (key, node) in node.section(OWN_LOGIN, &["calls", "wall"])? {
        if key == "calls" {
            limit(key, node, (OWN_LOGIN, &Window::ALL), &mut all.limits)?;
            continue;
        }
        for (window, node) in node.section(&format!("{OWN_LOGIN}: wall"), &["run", "day"])? {
            let us = Some(duration(node)?);
            if window == "run" { all.wall_us = us } else { all.day_us = us }
        }
    }
    sort(&mut all.limits);
    Ok(all)
}

fn mounts(node: &Node) -> Result<Vec<MountBudget>, Error> {
    let windows = [Window::Hour, Window::Day, Window::Month];
    let known = words(&windows, &[Resource::Effects], &[]);
    let mut rows = Vec::new();
    for (key, about) in rows_of(node, "mounts")? {
        let name = key.text("a mount's name")?;
        if name.starts_with("x-") {
            continue;
        }
        let mount = wire::word(BUDGET, name).map_err(|error| key.mark.wrap(&error))?;
        let what = format!("mounts: {name}");
        let mut limits = Vec::new();
        for (key, node) in about.section(&what, &known)? {
            limit(key, node, (&what, &windows), &mut limits)?;
        }
        sort(&mut limits);
        rows.push(MountBudget { mount, limits });
    }
    Ok(rows)
}

/// Keys that a row may have.
fn words(windows: &[Window], resources: &[Resource], more: &[&'static str]) -> Vec<&'static str> {
    let windows = windows.iter().map(|window| window.word());
    windows.chain(resources.iter().map(|resource| resource.word())).chain(more.iter().copied()).collect()
}

/// `day: 5.00`, or `tokens_out: {day: 400k}`.
fn limit(
    key: &str,
    node: &Node,
    (what, windows): (&str, &[Window]),
    found: &mut Vec<Limit>,
) -> Result<(), Error> {
    if let Some(window) = Window::of(key) {
        found.push(Limit { resource: Resource::Money, window, max: amount(Resource::Money, node)? });
        return Ok(());
    }
    let resource = Resource::of(key).unwrap_or_default();
    for (window, node) in node.section(&format!("{what}: {key}"), &words(windows, &[], &[]))? {
        let window = Window::of(window).unwrap_or(Window::Run);
        found.push(Limit { resource, window, max: amount(resource, node)? });
    }
    Ok(())
}

fn amount(resource: Resource, node: &Node) -> Result<i64, Error> {
    let text = node.text(if resource == Resource::Money { "an amount" } else { "a count" })?;
    resource.amount(text).map_err(|error| node.mark.wrap(&error))
}

/// In the order of the words, however they were written.
fn sort(limits: &mut [Limit]) {
    limits.sort_by_key(|limit| (limit.resource.word(), limit.window.word()));
}

/// `0.8`, in thousandths.
fn share(node: &Node) -> Result<u16, Error> {
    let text = node.text("a share")?;
    let nano = text.parse::<abi::money::Nano>().ok().filter(|nano| nano.0 % 1_000_000 == 0);
    let thousandths = nano.and_then(|nano| u16::try_from(nano.0 / 1_000_000).ok());
    thousandths.filter(|share| (1..=1000).contains(share)).ok_or_else(|| {
        node.mark.error(format!("{text:?} is no share of a limit")).hint("write it as 0.8, at most 1")
    })
}

fn processes(node: &Node) -> Result<u32, Error> {
    let text = node.text("a count")?;
    let count = abi::money::count(text).map_err(|error| node.mark.wrap(&error))?;
    let most = limits::PROCESSES_MAX;
    u32::try_from(count).ok().filter(|count| *count > 0 && *count as usize <= most).ok_or_else(|| {
        node.mark.error(format!("there cannot be {text} processes")).hint(format!("from 1 to {most}"))
    })
}

/// `90s`, `30m`, `2h`, `1d`: at least a second, at most a year.
pub(crate) fn duration(node: &Node) -> Result<u64, Error> {
    let text = node.text("a time")?;
    let bad = || node.mark.error(format!("{text:?} is no time")).hint("write it as 90s, 30m, 2h or 1d");
    let unit = text.chars().last().ok_or_else(bad)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(bad()),
    };
    let digits = text.strip_suffix(unit).unwrap_or_default();
    let plain = digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|number| plain && *number > 0).ok_or_else(bad)?;
    let us = number.checked_mul(seconds).filter(|seconds| *seconds <= 366 * 24 * 3600).ok_or_else(bad)?;
    Ok(us * 1_000_000)
}

fn choice<T: Copy>(key: &str, node: &Node, known: &[(&str, T)]) -> Result<T, Error> {
    let word = node.text(key)?;
    known.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        node.mark.error(format!("{key} cannot be {word:?}")).hint(wire::nearest_hint(word, &names))
    })
}
