//! Which model a call goes to, what it costs, and how `/sys/models.yaml` changes both.
//!
//! ```text
//! smart ─▶ [a/big, b/big]   a/big failed for good in this turn  ─▶ b/big
//!          the first that the process may use, that has a price and was not given up
//! ```
//! It is looked up at every call: an edit of the file is in force with the next one, and gives another chance
//! to what was given up. Never here: YAML, addresses, secrets, the network.

use crate::{
    Kernel, account,
    authority::Want,
    state::{LoadedModels, State},
    step::Step,
};
use abi::{
    Code, Error, Hash, Micros, Pid,
    agent::AgentDef,
    cap::{Grant, Object, Rights},
    model::{Models, PriceRow, Tier},
    money::Price,
    path::Pattern,
    record::Entry,
};
use alloc::{format, string::String, vec, vec::Vec};

/// What is given up is not asked again by this turn, and the next begins with all its tries.
pub fn fell_back(state: &mut State, pid: Pid, from: &str) {
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::GIVES_UP_NOTHING) {
        return;
    }
    if let Some(process) = state.processes.get_mut(&pid) {
        process.turn.failures = 0;
        process.turn.given_up.push(from.into());
    }
}

/// The model that a call by this name goes to now, and its price.
pub fn choose(kernel: &Kernel, pid: Pid, name: &str, at: Micros) -> Result<(String, Price), Error> {
    let process = kernel.state.processes.get(&pid);
    let given_up = process.map_or(&[][..], |process| &process.turn.given_up);
    let mut refused = None;
    for model in candidates(kernel, name) {
        if given_up.contains(&model) {
            continue;
        }
        match of(kernel, (pid, name), &model, at) {
            Ok(price) => return Ok((model, price)),
            Err(error) => _ = refused.get_or_insert(error),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::new(Code::Unavailable, format!("every model of {name} has failed"))
            .hint("skep model list shows them")
    }))
}

fn candidates(kernel: &Kernel, name: &str) -> Vec<String> {
    let models = kernel.state.models.as_ref().map(|loaded| &loaded.models);
    models.map_or_else(|| vec![String::from(name)], |models| models.candidates(name))
}

/// The price of one of the models that a name stands for, if the process may use it. Who holds a tier's name
/// may use what it stands for, as far as policy does not deny that model by its own name.
fn of(kernel: &Kernel, (pid, name): (Pid, &str), model: &str, at: Micros) -> Result<Price, Error> {
    kernel.not_denied(pid, Want::Model(name), Rights::USE)?;
    let own = kernel.allow(pid, Want::Model(model), Rights::USE, at);
    if let Err(error) = own {
        if name == model || kernel.allow(pid, Want::Model(name), Rights::USE, at).is_err() {
            return Err(error);
        }
        kernel.not_denied(pid, Want::Model(model), Rights::USE)?;
    }
    account::price(&kernel.state, model).ok_or_else(|| {
        Error::new(Code::Denied, format!("model {model} has no price, so no limit could hold it"))
            .argument("model")
            .hint("give it one: prices in /sys/models.yaml; or unknown_price: count-tokens in budget.yaml")
    })
}

/// What an agent needs to use its model: the name that it asks for, or, where policy has nothing for a tier's
/// name, the models that it stands for.
pub fn needs(kernel: &Kernel, def: &AgentDef) -> Vec<Grant> {
    let grant =
        |name: &str| Pattern::word(name).ok().map(|name| Grant::new(Object::Model(name), Rights::USE));
    let Some(need) = grant(&def.model) else { return vec![] };
    let given = |row: &abi::agent::PolicyRow| row.allow.iter().any(|allow| allow.meet(&need).is_some());
    let is_tier = kernel.state.models.as_ref().is_some_and(|loaded| loaded.models.is_tier(&def.model));
    if !is_tier || kernel.policy_rows(&def.name).any(given) {
        return vec![need];
    }
    candidates(kernel, &def.model).iter().filter_map(|name| grant(name)).collect()
}

/// A model of a turn failed for good: whether the turn goes on with another of its tier.
pub fn fall_back(step: &mut Step<'_>, pid: Pid, from: &str) -> bool {
    let Some(name) = step.state().processes.get(&pid).map(|process| process.model.clone()) else {
        return false;
    };
    let given_up = |model: &String| {
        let process = step.state().processes.get(&pid);
        model == from || process.is_some_and(|process| process.turn.given_up.contains(model))
    };
    let rest = candidates(step.kernel, &name).into_iter().filter(|model| !given_up(model));
    let at = step.at;
    let next = rest.into_iter().find(|model| of(step.kernel, (pid, &name), model, at).is_ok());
    let Some(to) = next else { return false };
    step.emit(Entry::FellBack { from: String::from(from), to });
    true
}

/// What the file says is in force.
pub fn load(step: &mut Step<'_>, digest: Hash, models: Models) {
    let stands = |loaded: &LoadedModels| loaded.digest == digest && loaded.models == models;
    if !step.state().models.as_ref().is_some_and(stands) {
        step.emit(Entry::ModelsLoaded { digest, models });
    }
}

/// Tiers and prices, one a line.
pub fn lines(kernel: &Kernel) -> Vec<String> {
    let Some(loaded) = &kernel.state.models else { return vec![] };
    let models = &loaded.models;
    let mut all: Vec<String> = models.tiers.iter().map(|row| format!("tier {}", tier(row))).collect();
    all.extend(models.prices.iter().map(|row| format!("price {}", price(row))));
    all
}

fn tier(row: &Tier) -> String {
    format!("{} {}", row.name, row.models.join(" "))
}

/// Per million tokens, as the file has it.
fn price(row: &PriceRow) -> String {
    let million = |nano: abi::money::Nano| abi::money::Nano(nano.0.saturating_mul(1_000_000));
    let Price { token_in, token_out, token_cached, token_written } = row.price;
    let (read, written) = (million(token_cached), million(token_written));
    format!(
        "{} in {} out {} cached {read} written {written}",
        row.model,
        million(token_in),
        million(token_out)
    )
}

/// What changes from one to the other.
pub fn difference(old: Option<&Models>, new: &Models) -> Vec<String> {
    let none = Models::default();
    let old = old.unwrap_or(&none);
    let mut all = Vec::new();
    let said = |models: &Models| {
        let providers = models.providers.iter().map(|name| format!("provider {name}"));
        let tiers = models.tiers.iter().map(|row| format!("tier {}", tier(row)));
        let prices = models.prices.iter().map(|row| format!("price {}", price(row)));
        providers.chain(tiers).chain(prices).collect::<Vec<_>>()
    };
    let (before, after) = (said(old), said(new));
    all.extend(before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}")));
    all.extend(after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}")));
    all
}
