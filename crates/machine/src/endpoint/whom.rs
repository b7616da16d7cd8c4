//! Whom a request is for: the model that a program names, as Skep names it.
//!
//! | asked | is |
//! | --- | --- |
//! | `anthropic/claude-x` | what it says, if there is such a provider |
//! | `scripted/x` | the scripted model of these rules, in every format |
//! | `fast` | a tier, which the kernel resolves |
//! | `claude-x` by messages | `anthropic/claude-x`: of the first provider that speaks the format |

use crate::{
    cell::Cell,
    guard::guard,
    models::{self, Provider, resolve::is_scripted},
    node::Node,
    passed::wire,
};
use abi::{
    Error,
    model::{self, provider_of},
    request::Api,
};
use std::{sync::Arc, time::Duration};

/// How long a workspace may take to wake, and how often it is looked at.
const WAKE_STEPS: u32 = 2_000;
const WAKE_STEP: Duration = Duration::from_millis(1);

/// What the workspace's file says; it is read when it wakes.
async fn providers(node: &Arc<Node>, cell: &Arc<Cell>) -> Arc<[Provider]> {
    for step in 0..WAKE_STEPS {
        let known = guard(&cell.providers).clone();
        if !known.is_empty() {
            return known;
        }
        if step == 0 {
            node.want(cell);
        }
        tokio::time::sleep(WAKE_STEP).await;
    }
    Arc::new([])
}

/// The model a program means.
pub(super) async fn meant(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    api: Api,
    asked: &str,
) -> Result<String, Error> {
    let name = model::name("model", asked)?;
    let providers = providers(node, cell).await;
    let tiers = guard(&cell.tiers).clone();
    choose(&providers, &tiers, api, &name)
}

fn choose(providers: &[Provider], tiers: &[String], api: Api, name: &str) -> Result<String, Error> {
    if is_scripted(name) {
        return Ok(name.to_owned());
    }
    let wire = wire(api);
    let hint = || {
        let able: Vec<&str> =
            providers.iter().filter(|row| row.wires.contains(&wire)).map(|row| row.name.as_str()).collect();
        match able.is_empty() {
            true => format!("one that does says so in /sys/models.yaml: wires: [{wire}]"),
            false => format!("providers that speak {wire}: {}", able.join(", ")),
        }
    };
    if let Some(row) = providers.iter().find(|row| name.contains('/') && row.name == provider_of(name)) {
        return match row.wires.contains(&wire) {
            true => Ok(name.to_owned()),
            false => Err(Error::invalid("model", format!("{} does not speak {wire}", row.name)).hint(hint())),
        };
    }
    if tiers.iter().any(|tier| tier == name) {
        return Ok(name.to_owned());
    }
    match providers.iter().find(|row| row.wires.contains(&wire)) {
        Some(row) => model::name("model", &format!("{}/{name}", row.name)),
        None => Err(Error::invalid("model", format!("no provider speaks {wire}")).hint(hint())),
    }
}

/// Models that can be asked for: the tiers, and those of the dated table whose provider is in the file.
pub(super) async fn names(node: &Arc<Node>, cell: &Arc<Cell>) -> Vec<String> {
    let providers = providers(node, cell).await;
    let known =
        |name: &&String| !name.ends_with("/*") && providers.iter().any(|row| row.name == provider_of(name));
    let tiers = guard(&cell.tiers).clone();
    let dated = models::dated().rows.iter().map(|row| &row.model).filter(known);
    tiers.iter().chain(dated).cloned().collect()
}
