//! The slow twin of the authority check: no index, no prefix, no union by bits; plain recursion over the
//! derivation tree and over pattern components. Used by tests and the proving ground only; it must agree with
//! the fast check, and with `allow(child) ⇒ allow(parent)`.

use crate::{Kernel, authority::Want, state::State};
use abi::{
    CapId, Micros, Pid,
    cap::{Object, Rights},
    net::{Asked, Hosts, Ports, Reach, reach},
    path::TreePath,
};
use alloc::vec::Vec;

/// What is asked, without borrowing from the kernel's own types.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A right on a path.
    Path(TreePath),
    /// An effect of a mount.
    Effect(alloc::string::String, alloc::string::String),
    /// A connection.
    Net(Asked),
}

impl Kernel {
    /// The fast answer, as every call gets it (policy's denials left out).
    pub fn fast_allows(&self, pid: Pid, ask: &Ask, right: Rights, at: Micros) -> bool {
        let want = match ask {
            Ask::Path(path) => Want::Path(path),
            Ask::Effect(mount, kind) => Want::Effect(mount, kind),
            Ask::Net(asked) => return self.net_rights(pid, asked, at).contains(right),
        };
        self.index.rights(pid, &want, at).contains(right)
    }

    /// The slow answer: each single right comes from some capability that is alive up to its root.
    pub fn slow_allows(&self, pid: Pid, ask: &Ask, right: Rights, at: Micros) -> bool {
        let held: Vec<CapId> =
            self.state.caps.iter().filter(|(_, cap)| cap.holder == pid).map(|(id, _)| *id).collect();
        (0..16)
            .map(|bit| Rights(1 << bit))
            .filter(|bit| right.contains(*bit))
            .all(|bit| held.iter().any(|cap| chain_allows(&self.state, *cap, ask, bit, at, 64)))
    }

    /// Every living capability's chain to its root, for the proving ground: child first.
    pub fn chains(&self) -> Vec<(Pid, Option<Pid>, abi::cap::Grant)> {
        let holder = |id: CapId| self.state.caps.get(&id).map(|cap| cap.holder);
        let row = |cap: &abi::cap::Cap| (cap.holder, cap.parent.and_then(holder), cap.grant.clone());
        self.state.caps.values().map(row).collect()
    }
}

/// Whether the capability, and each one above it, allows this bit.
fn chain_allows(state: &State, id: CapId, ask: &Ask, bit: Rights, at: Micros, fuel: u32) -> bool {
    let Some(cap) = state.caps.get(&id) else { return false };
    let here = cap.grant.rights.contains(bit)
        && cap.grant.expires.is_none_or(|end| at < end)
        && object_has(&cap.grant.object, ask);
    match cap.parent {
        _ if !here || fuel == 0 => false,
        None => true,
        Some(parent) => chain_allows(state, parent, ask, bit, at, fuel - 1),
    }
}

fn object_has(object: &Object, ask: &Ask) -> bool {
    match (object, ask) {
        (Object::Fs(pattern), Ask::Path(path)) => {
            let parts: Vec<&str> = pattern.as_str().split('/').filter(|part| !part.is_empty()).collect();
            let names: Vec<&str> = path.names().collect();
            reads(&parts, &names)
        }
        (Object::Effect { mount, kind }, Ask::Effect(at, of)) => {
            let same = |pattern: &str, word: &str| pattern == "*" || pattern == word;
            same(mount.as_str(), at) && same(kind.as_str(), of)
        }
        (Object::Net { hosts, ports }, Ask::Net(asked)) => names(hosts, asked) && opens(*ports, asked.port),
        _ => false,
    }
}

/// Whether the hosts hold this one.
fn names(hosts: &Hosts, asked: &Asked) -> bool {
    let host = asked.host.as_str();
    let whose = asked.host.address().map_or(Reach::Public, reach);
    match hosts {
        Hosts::All => true,
        Hosts::Any => whose == Reach::Public,
        Hosts::Below(of) => host.len() > of.as_str().len() && host.ends_with(&alloc::format!(".{of}")),
        Hosts::One(one) => one.as_str() == host,
        Hosts::Preset(name) => whose == Reach::Public && asked.presets.iter().any(|preset| preset == name),
        Hosts::Private => whose == Reach::Private,
    }
}

fn opens(ports: Ports, port: u16) -> bool {
    match ports {
        Ports::Any => true,
        Ports::Web => port == 80 || port == 443,
        Ports::One(one) => one == port,
    }
}

/// Whether the components read the names: the textbook recursion.
fn reads(parts: &[&str], names: &[&str]) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"**", rest)), None) => reads(rest, names),
        (Some((&"**", rest)), Some((_, fewer))) => reads(rest, names) || reads(parts, fewer),
        (Some(_), None) => false,
        (Some((part, rest)), Some((name, fewer))) => (*part == "*" || part == name) && reads(rest, fewer),
    }
}
