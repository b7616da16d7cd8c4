//! What only the node knows, for who reads it below `/sys`: workspaces, health, its public key, whom models
//! are asked of, names of secrets. Never here: a value of a secret, or anything of a workspace's inside.

use crate::{guard::guard, models::resolve, node::Node, operators, render::Around, secrets};
use abi::Seq;

impl Around for Node {
    fn health(&self) -> String {
        let cells = guard(&self.cells).clone();
        Node::health(self, &cells)
    }

    fn models(&self, workspace: &str) -> String {
        let cell = guard(&self.cells).get(workspace).cloned();
        cell.map(|cell| resolve::page(self, &cell)).unwrap_or_default()
    }

    fn secrets(&self) -> String {
        secrets::list(self)
    }

    fn operators(&self, me: &str) -> String {
        operators::page(self, me)
    }

    fn key(&self) -> String {
        self.registry.signer().key()
    }

    fn workspaces(&self) -> String {
        let rows = self.registry.rows().unwrap_or_default();
        let mut text = String::new();
        for row in rows {
            let cell = guard(&self.cells).get(&row.name).cloned();
            let (awake, seq) = match &cell {
                None => ("asleep", Seq(0)),
                Some(cell) => {
                    let state = guard(&cell.state);
                    let awake = state.room.is_some() || state.running;
                    (if awake { "awake" } else { "asleep" }, state.seq)
                }
            };
            text.push_str(&format!("{} {awake} {seq}\n", row.name));
        }
        text
    }
}
