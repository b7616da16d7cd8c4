//! Sandboxes that are to end: who asked for that is told when all in them is gone, or that it is not.

use crate::{state::Client, step::Step};
use abi::{
    Code, Error, Pid,
    effect::{Effect, SandboxAct},
    limits,
};
use alloc::{collections::BTreeSet, format, vec::Vec};

/// The sandboxes that are to end by these effects: who asked for that hears of it when they have.
pub fn of(effects: &[Effect]) -> BTreeSet<Pid> {
    let ends = |effect: &Effect| match effect {
        Effect::Sandbox { pid, act: SandboxAct::End } => Some(*pid),
        _ => None,
    };
    effects.iter().filter_map(ends).collect()
}

/// Everything in a sandbox has ended.
pub fn ended(step: &mut Step<'_>, pid: Pid) {
    let mut told = Vec::new();
    for (reply, client) in &mut step.kernel.volatile.clients {
        if let Client::Ends { pids, answer } = client
            && pids.remove(&pid)
            && pids.is_empty()
        {
            told.push((*reply, (**answer).clone()));
        }
    }
    for (reply, answer) in told {
        step.forget_client(reply);
        step.reply(reply, Ok(answer));
    }
}

/// It is decided and durable, and not carried out yet.
pub fn late(pids: &BTreeSet<Pid>) -> Error {
    let seconds = limits::SANDBOX_END_US_MAX.checked_div(1_000_000).unwrap_or(0);
    let names = pids.iter().map(|pid| format!("{pid}")).collect::<Vec<_>>().join(", ");
    let message =
        format!("it is done, but what ran in the sandbox of {names} has not ended after {seconds} s");
    Error::new(Code::Unavailable, message).hint(
        "nothing more is asked of the kernel for it; a program that hangs in the host goes when that lets it",
    )
}
