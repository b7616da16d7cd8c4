//! Which services a host belongs to: what words of a capability as `github` stand for. They are data,
//! `shipped/hosts.txt`.
//!
//! Never here: whether somebody may speak to one.

use crate::shipped;
use abi::net::{Host, Hosts, PRESETS, Ports, parse};
use std::sync::OnceLock;

/// A service and some of its hosts.
type Row = (String, Hosts, Ports);

/// Hosts of the services.
#[derive(Default)]
pub(crate) struct Presets(OnceLock<Vec<Row>>);

impl Presets {
    /// Services that the host belongs to at this port.
    pub fn of(&self, host: &Host, port: u16) -> Vec<String> {
        let rows = self.0.get_or_init(|| rows(shipped::HOSTS));
        let fits = |(_, hosts, ports): &&Row| hosts.has(host, &[]) && ports.includes(Ports::One(port));
        let mut names: Vec<String> = rows.iter().filter(fits).map(|(name, ..)| name.clone()).collect();
        names.dedup();
        names
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
mod tests {
    use super::*;

    #[test]
    fn a_service_is_its_hosts() {
        let presets = Presets::default();
        let of = |host: &str, port| presets.of(&Host::parse(host).unwrap(), port);
        assert_eq!(of("github.com", 443), ["github"]);
        assert_eq!(of("api.github.com", 443), ["github"]);
        for (host, port) in [("github.com", 22), ("notgithub.com", 443), ("github.com.example", 443)] {
            assert_eq!(of(host, port), Vec::<String>::new(), "{host}:{port}");
        }
        assert!(rows(shipped::HOSTS).len() >= 3);
    }
}
