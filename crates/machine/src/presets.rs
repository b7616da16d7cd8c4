//! Which hosts words of a capability stand for, as `github` or `npm`.
//!
//! ```text
//! github             lines of shipped/hosts.txt: they are the service
//! npm  pypi  crates  what the client on this host is set to: its user's files and environment (npm, pip,
//!                    cargo), and where they say nothing the default that it was built with (ask)
//! ```
//! Files are looked at again when they change, a client is asked again when it does. What opens a registry, a
//! token or a name in a URL, is left where it stands: no part of it is kept. Never here: whether somebody may
//! speak to a host; a name of a registry's host.

use crate::{guard::guard, journal, node::Node, shipped};
use abi::net::{Host, Hosts, PRESETS, Ports, parse};
use ask::Told;
use files::{Files, Variable};
use std::{
    ffi::OsString,
    sync::{Mutex, OnceLock},
};
use url::Url;

mod ask;
mod cargo;
mod files;
mod npm;
mod pip;
mod url;

/// Opens a file of a HOME that is ours to write anew.
pub(crate) const MARK: &str =
    "# Written by skep, as on the host; change or remove this line to keep your own.";

/// A service and some of its hosts.
type Row = (String, Hosts, Ports);

/// The words of those that are asked of a client; in this order everywhere.
const CLIENTS: [&str; 3] = ["npm", "pypi", "crates"];

/// What the files and the environment of its user say to one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Set {
    /// Registries that it asks.
    registries: Vec<Url>,
    /// Whether the one that it was built with is asked too.
    built_in: bool,
    /// What tells the same to a client inside: variables, and a file of its HOME.
    env: Vec<(String, String)>,
    seed: Option<(String, String)>,
}

/// The same of all three, and of what it was read.
struct Sets {
    of: [Set; 3],
    files: Files,
}

/// Hosts of the services.
#[derive(Default)]
pub(crate) struct Presets {
    fixed: OnceLock<Vec<Row>>,
    sets: Mutex<Option<Sets>>,
    told: Mutex<[Option<Told>; 3]>,
}

/// To which services a host belongs, and what of them could not be found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Belongs {
    pub to: Vec<String>,
    /// One sentence; empty if all is known, or matters to nobody here.
    pub lacks: String,
}

impl Presets {
    /// Services that the host belongs to at this port. It may ask a client, and waits for that.
    pub fn of(&self, node: &Node, host: &Host, port: u16) -> Belongs {
        let mut to = self.fixed(host, port);
        if !to.is_empty() {
            return Belongs { to, lacks: String::new() };
        }
        let sets = self.sets(node.options.variable);
        let fits = |urls: &[Url]| urls.iter().any(|url| (&url.host, url.port) == (host, port));
        let mut open = [false; 3];
        for ((name, set), open) in CLIENTS.iter().zip(&sets).zip(&mut open) {
            if fits(&set.registries) {
                to.push((*name).to_owned());
            }
            *open = set.built_in;
        }
        // An address is no client's default.
        if !to.is_empty() || host.address().is_some() || open == [false; 3] {
            return Belongs { to, lacks: String::new() };
        }
        let mut told = guard(&self.told);
        ask::ask(node, open, &mut told);
        let mut lacks = Vec::new();
        let variable = node.options.variable;
        for (index, name) in CLIENTS.iter().enumerate().filter(|(index, _)| open.get(*index) == Some(&true)) {
            match told.get(index).and_then(Option::as_ref).map(|told| (told, &told.found)) {
                Some((_, Ok(urls))) => {
                    let more = if *name == "crates" { cargo::downloads(variable, urls) } else { Vec::new() };
                    if fits(urls) || fits(&more) {
                        to.push((*name).to_owned());
                    }
                }
                Some((told, Err(why))) if told.is_installed => {
                    let age = node.clock.mono().saturating_sub(told.at) / 1_000_000;
                    lacks.push(format!("{name} stands for no host: {why} ({age} s ago)"));
                }
                Some((_, Err(_))) | None => {}
            }
        }
        Belongs { to, lacks: lacks.join("; ") }
    }

    fn fixed(&self, host: &Host, port: u16) -> Vec<String> {
        let rows = self.fixed.get_or_init(|| rows(shipped::HOSTS));
        let fits = |(_, hosts, ports): &&Row| hosts.has(host, &[]) && ports.includes(Ports::One(port));
        let mut names: Vec<String> = rows.iter().filter(fits).map(|(name, ..)| name.clone()).collect();
        names.dedup();
        names
    }

    /// What the clients are set to now.
    fn sets(&self, variable: Variable) -> [Set; 3] {
        let mut sets = guard(&self.sets);
        if let Some(sets) = &*sets
            && sets.files.are_unchanged()
        {
            return sets.of.clone();
        }
        let mut files = Files::new(variable);
        let of = [npm::set(&mut files), pip::set(&mut files), cargo::set(&mut files)];
        if let Some(why) = files.trouble() {
            journal::say("presets", &why);
        }
        *sets = Some(Sets { of: of.clone(), files });
        of
    }

    /// What programs inside find in their environment, so that they ask where the operator's own would.
    pub fn environment(&self, variable: Variable) -> Vec<(OsString, OsString)> {
        let sets = self.sets(variable);
        let env = sets.into_iter().flat_map(|set| set.env);
        env.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// Files of a HOME for the same: path below it, text.
    pub fn seeds(&self, variable: Variable) -> Vec<(String, String)> {
        self.sets(variable).into_iter().filter_map(|set| set.seed).collect()
    }
}

/// Lines `PRESET HOST…`.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(name) = words.next().filter(|name| PRESETS.contains(name)) else { continue };
        let hosts = words.filter_map(|word| parse(word).ok());
        rows.extend(hosts.map(|(hosts, ports)| (name.to_owned(), hosts, ports)));
    }
    rows
}

#[cfg(test)]
mod tests;
