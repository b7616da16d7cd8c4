//! What listens in a sandbox: looked at while something runs there, told when it is not as it was.
//!
//! Looking is two small files of `/proc`, read by whoever watches the command; the kernel walks all sockets
//! of the host for them, so it is not looked where nobody can listen. Whose a socket is, is looked for only
//! when there is another one: that is a walk over all that its programs have open.

use super::{Sandbox, ways};
use crate::{cell::Cell, guard::guard, node::Node, turn::Input};
use abi::{Micros, event::Body, limits, record::Port};
use sandbox::jail::{Jail, Listener};
use std::sync::Arc;

/// It is looked so often.
const LOOK_US: u64 = 1_000_000;

/// What was seen last.
#[derive(Default)]
pub(crate) struct Seen {
    listeners: Vec<Listener>,
    /// As the kernel has it.
    told: Vec<Port>,
    at: Micros,
}

/// When to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// If it was not looked for a while.
    Due,
    /// In any case: the command has ended.
    Now,
}

/// Looks, and tells what is not as it was.
pub(super) fn look(of: (&Arc<Node>, &Arc<Cell>, u64), sandbox: &Sandbox, when: When) {
    let (node, cell, generation) = of;
    let now = node.clock.mono();
    let native = {
        let mut control = guard(&sandbox.control);
        let last = control.ports.at;
        if when == When::Due && last != 0 && now.saturating_sub(last) < LOOK_US {
            return;
        }
        control.ports.at = now;
        if when == When::Due && last == 0 {
            // Nothing listens before it has begun.
            return;
        }
        control.native.clone()
    };
    let jail = native.and_then(|native| native.jail());
    let is_empty = guard(&sandbox.control).ports.told.is_empty();
    if when == When::Now && is_empty && jail.as_ref().is_some_and(|jail| jail.is_alone()) {
        return;
    }
    let mut listeners = jail.as_ref().map(|jail| jail.listeners()).unwrap_or_default();
    listeners.sort_unstable();
    if guard(&sandbox.control).ports.listeners == listeners {
        return;
    }
    let ports = jail.map(|jail| named(&jail, &listeners)).unwrap_or_default();
    let is_new = {
        let seen = &mut guard(&sandbox.control).ports;
        seen.listeners = listeners;
        std::mem::replace(&mut seen.told, ports.clone()) != ports
    };
    if is_new {
        let body = Body::Listens { pid: sandbox.pid, ports };
        node.brought(cell, generation, Input::now(&*node.clock, body, Vec::new()));
    }
}

/// What listens, and the names of whose it is; the daemon's own are left out.
fn named(jail: &Jail, listeners: &[Listener]) -> Vec<Port> {
    let owners = jail.owners(listeners);
    let processes = jail.processes();
    let mut ports: Vec<Port> = Vec::new();
    for (listener, owner) in listeners.iter().zip(owners) {
        if owner.is_none() && ways::PORTS.contains(&listener.address.port()) {
            continue;
        }
        let of = processes.iter().find(|process| Some(process.pid) == owner);
        let program = of.map_or_else(|| "-".to_owned(), |process| plain(&process.name));
        let address = listener.address.to_string();
        // One address may be listened at by several.
        if ports.len() < limits::PORTS_MAX && ports.iter().all(|port| port.address != address) {
            ports.push(Port { address, program });
        }
    }
    ports
}

/// A name as it may be shown: a program calls itself what it likes.
fn plain(name: &str) -> String {
    let plain = |letter: char| if letter.is_control() { '?' } else { letter };
    let mut name: String = name.chars().map(plain).collect();
    while name.len() > limits::PORT_PROGRAM_BYTES_MAX {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_short() {
        let rows = [
            ("python3".to_owned(), "python3".to_owned()),
            ("a\u{1b}[2Jb".to_owned(), "a?[2Jb".to_owned()),
            ("ä".repeat(40), "ä".repeat(32)),
            (String::new(), String::new()),
        ];
        for (name, want) in rows {
            assert_eq!(plain(&name), want);
        }
    }
}
