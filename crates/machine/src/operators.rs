//! Operators who are not the node's own user: let in and sent away, once the kernel has said that it may be.
//!
//! ```text
//! operator add UID NAME   a row in node.db → an entry in the access list of the shared door
//! operator rm NAME        the row goes → its connections are cut, the entry goes
//! ```
//! Never here: what they may do; that is policy, and the kernel's.

use crate::{
    cell::{Cell, Ticket},
    guard::guard,
    journal,
    node::Node,
};
use abi::{Error, ReplyTo, call::Call, control::Control};
use std::sync::Arc;

/// Before anything is decided: whoever runs the node does not leave it, which only the node knows.
pub(crate) fn may_leave(node: &Node, call: &Call) -> Result<(), Error> {
    match call {
        Call::Control { word: Control::Operator { name, uid: None }, .. } => node.registry.may_leave(name),
        _ => Ok(()),
    }
}

/// Carries out what the kernel has let through.
pub(crate) fn carry(
    node: &Arc<Node>,
    cell: &Cell,
    reply: ReplyTo,
    (name, uid): (&str, Option<u32>),
) -> Result<(), Error> {
    match uid {
        Some(uid) => {
            node.registry.add_operator(uid, name)?;
            set(node).inspect_err(|_| {
                // Nobody stands in node.db who cannot be let in.
                let _ = node.registry.remove_operator(name);
            })
        }
        None => {
            let uid = node.registry.remove_operator(name)?;
            let waits = guard(&cell.desk).waiting.get(&reply).and_then(Ticket::client).cloned();
            node.door.cut(uid, (reply, waits.as_ref()));
            // They are out already: the door asks for the user id.
            open_door(node);
            Ok(())
        }
    }
}

/// The door stands open to those who were added before. Who cannot be let in stays out.
pub(crate) fn open_door(node: &Arc<Node>) {
    if let Err(error) = set(node) {
        journal::say("operators", &format!("who was added stays out: {} ({})", error.message, error.hint));
    }
}

fn set(node: &Arc<Node>) -> Result<(), Error> {
    let rows = node.registry.operators().map_err(|trouble| trouble.to_error())?;
    let added: Vec<u32> = rows.iter().map(|(uid, _)| *uid).filter(|uid| !node.registry.owns(*uid)).collect();
    node.annex.set(node, &added)
}

/// `UID NAME owner|added`, and `you` for who asks.
pub(crate) fn page(node: &Node, me: &str) -> String {
    let mut text = String::new();
    for (uid, name) in node.registry.operators().unwrap_or_default() {
        let whose = if node.registry.owns(uid) { "owner" } else { "added" };
        let you = if name == me { " you" } else { "" };
        text.push_str(&format!("{uid} {name} {whose}{you}\n"));
    }
    text
}
