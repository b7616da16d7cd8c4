//! `/sys/halts`: what stands still, and which limits are near or reached: a block of `key value` lines each,
//! parted by empty lines. The sentences are those of `abi::halt`.
//!
//! ```text
//! halt frozen
//! pid 12
//! agent helper
//! why limit of agent:helper: money $0.50 a day; $0.48 used, the next does not fit
//! way_out skep budget set agent:helper day AMOUNT, then skep thaw 12; or skep kill 12
//! ```

use super::label_of;
use crate::{
    Kernel,
    state::{Account, Process},
};
use abi::{Micros, Pid, halt, limits::HALTS_MAX, money::Limit, record::Freeze};
use alloc::{string::String, vec::Vec};
use core::fmt::Write as _;

/// How it stands with the limit by which a process stands still.
fn now(kernel: &Kernel, freeze: &Freeze, at: Micros) -> Option<halt::Now> {
    let Freeze::Limit { account, limit } = freeze else { return None };
    let row = kernel.state.accounts.values().find(|row| row.name == *account)?;
    let same = |other: &&Limit| other.resource == limit.resource && other.window == limit.window;
    let max = row.limits.iter().find(same).map_or(limit.max, |other| other.max);
    Some(halt::Now { used: row.used_in(limit.window, at).get(limit.resource), max })
}

/// Why a process stands still.
pub fn why(kernel: &Kernel, freeze: &Freeze, at: Micros) -> String {
    halt::why(freeze, now(kernel, freeze, at))
}

/// How it goes on.
pub fn way_out(kernel: &Kernel, freeze: &Freeze, pid: Pid, at: Micros) -> String {
    halt::way_out(freeze, pid, now(kernel, freeze, at))
}

/// How near a limit is.
pub fn nearness(kernel: &Kernel, account: &Account, limit: &Limit, at: Micros) -> &'static str {
    let share = kernel.state.policy.as_ref().and_then(|loaded| loaded.policy.budget.warn);
    match share {
        _ if account.is_near(limit, 1000, at) => "full",
        Some(share) if account.is_near(limit, share, at) => "near",
        _ => "fine",
    }
}

/// All of them, as far as this process sees.
pub fn all(kernel: &Kernel, by: Pid, at: Micros) -> String {
    let mut text = String::new();
    let state = &kernel.state;
    if let Some(stopped) = &state.stopped {
        let _ = writeln!(text, "halt stopped\nsince {}", stopped.at);
        let _ = writeln!(text, "why {}\nway_out {}\n", halt::stopped(&stopped.by), halt::LIFT);
    }
    let frozen = state.processes.iter().filter_map(|(pid, row)| Some((*pid, row, row.frozen.as_ref()?)));
    let seen = |pid: Pid| label_of(kernel, pid).is_none_or(|label| !kernel.hides(by, label));
    let frozen: Vec<(Pid, &Process, &Freeze)> = frozen.filter(|(pid, ..)| seen(*pid)).collect();
    for (pid, row, freeze) in frozen.iter().take(HALTS_MAX) {
        let _ = writeln!(text, "halt frozen\npid {pid}\nagent {}", row.agent);
        let (why, out) = (why(kernel, freeze, at), way_out(kernel, freeze, *pid, at));
        let _ = writeln!(text, "why {why}\nway_out {out}\n");
    }
    let told = |account: &Account, limit: &Limit| {
        frozen.iter().any(|(.., freeze)| match freeze {
            Freeze::Limit { account: name, limit: reached } => {
                *name == account.name && reached.resource == limit.resource && reached.window == limit.window
            }
            Freeze::Asked | Freeze::Loop { .. } | Freeze::Lost { .. } | Freeze::Wall { .. } => false,
        })
    };
    let rows = state.accounts.values().flat_map(|row| row.limits.iter().map(move |limit| (row, limit)));
    let rows = rows.filter(|(row, limit)| !told(row, limit));
    let rows = rows.map(|(row, limit)| (row, limit, nearness(kernel, row, limit, at)));
    for (row, limit, word) in rows.filter(|(.., word)| *word != "fine").take(HALTS_MAX) {
        let _ = writeln!(text, "halt {word}\naccount {}", row.name);
        let why = halt::near(limit, row.taken(limit, at));
        let _ = writeln!(text, "why {why}\nway_out {}\n", halt::raise(&row.name, limit));
    }
    if frozen.len() > HALTS_MAX {
        let _ =
            writeln!(text, "halt more\nwhy {} more stand frozen\nway_out skep ps", frozen.len() - HALTS_MAX);
    }
    text
}
