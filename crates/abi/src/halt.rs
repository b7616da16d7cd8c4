//! What stands still or comes near a limit, in words: what it is, and the command by which it goes on. The
//! one place where these sentences are made; the kernel's status files and every face say them as they are.
//!
//! ```text
//! Freeze::Limit { agent:helper, $0.50 a day }, of which $0.48 is used, process 12
//!   ▸ why      limit of agent:helper: money $0.50 a day; $0.48 used, the next does not fit
//!   ▸ way_out  skep budget set agent:helper day AMOUNT, then skep thaw 12; or skep kill 12
//! ```

use crate::{
    Pid,
    money::{Limit, Nano, Resource},
    record::Freeze,
};
use alloc::{
    format,
    string::{String, ToString},
};

/// The name by which a freeze calls what the node lends to a workspace.
pub const NODE: &str = "node";
/// Money is rounded up to this in a sentence, unless the limit itself is as small.
const ROUND: i64 = 100_000;

/// How it stands now with a limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Used in its window.
    pub used: i64,
    /// The limit; more than it was, if it was raised since.
    pub max: i64,
}

/// Why a process stands still.
pub fn why(freeze: &Freeze, now: Option<Now>) -> String {
    match freeze {
        Freeze::Asked => "by an operator or its parent".to_string(),
        Freeze::Limit { account, limit } => {
            let used = now.map(|now| match now.used >= limit.max {
                true => format!("; {} used", amount(limit, now.used)),
                false => format!("; {} used, the next does not fit", amount(limit, now.used)),
            });
            format!("limit of {account}: {limit}{}", used.unwrap_or_default())
        }
        Freeze::Loop { calls } => format!("{calls} calls without getting on"),
        Freeze::Lost { .. } => "a model call was lost twice".to_string(),
        Freeze::Wall { us } => format!("its time is over: {}", length(*us)),
    }
}

/// How an operator lets it go on.
pub fn way_out(freeze: &Freeze, pid: Pid, now: Option<Now>) -> String {
    let thaw = match (freeze, now) {
        (Freeze::Limit { limit, .. }, Some(now)) if now.max > limit.max => {
            format!("skep thaw {pid}, the limit is {} now", limit.resource.show(now.max))
        }
        (Freeze::Limit { account, limit }, _) => {
            format!("{}, then skep thaw {pid}", raise(account, limit))
        }
        (Freeze::Wall { .. }, _) => format!("skep thaw {pid} gives it as much time once more"),
        (Freeze::Lost { .. }, _) => format!("skep thaw {pid} buys it once more"),
        (Freeze::Loop { .. }, _) => format!("skep logs {pid} shows which, skep thaw {pid}"),
        (Freeze::Asked, _) => format!("skep thaw {pid}"),
    };
    format!("{thaw}; or skep kill {pid}")
}

/// How a limit is raised.
pub fn raise(account: &str, limit: &Limit) -> String {
    if account == NODE {
        return "all workspaces of this node have spent what it lends in a day; wait until 00:00 UTC"
            .to_string();
    }
    let resource = match limit.resource {
        Resource::Money => String::new(),
        resource => format!("{} ", resource.word()),
    };
    format!("skep budget set {account} {resource}{} AMOUNT", limit.window.word())
}

/// What an account comes to whose limit is near or reached.
pub fn near(limit: &Limit, taken: i64) -> String {
    format!("{} of {limit} used or reserved", amount(limit, taken))
}

/// Who has stopped everything.
pub fn stopped(by: &str) -> String {
    format!("{by} has stopped everything in this workspace")
}

/// How an emergency stop is lifted.
pub const LIFT: &str = "skep thaw --all";

fn amount(limit: &Limit, value: i64) -> String {
    let round = limit.resource == Resource::Money && limit.max >= 100 * ROUND;
    match round {
        true => Nano(value.saturating_add(ROUND - 1).div_euclid(ROUND).saturating_mul(ROUND)).to_string(),
        false => limit.resource.show(value),
    }
}

/// A time as people say it: `30m`, `2h5m`.
pub fn length(us: u64) -> String {
    let seconds = us / 1_000_000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, 0, 0) => format!("{hours}h"),
        (hours, minutes, _) => format!("{hours}h{minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EffectId, money::Window};

    #[test]
    fn every_freeze_says_what_and_how_on() {
        let limit = |account: &str, window, max| Freeze::Limit {
            account: account.into(),
            limit: Limit { resource: Resource::Money, window, max },
        };
        let calls = Limit { resource: Resource::Calls, window: Window::Hour, max: 4 };
        let day = limit("agent:x", Window::Day, 500_000_000);
        let node = "all workspaces of this node have spent what it lends in a day; wait until 00:00 UTC";
        let now = |used, max| Some(Now { used, max });
        let rows = [
            (
                day.clone(),
                now(480_000_001, 500_000_000),
                "limit of agent:x: money $0.50 a day; $0.4801 used, the next does not fit",
                "skep budget set agent:x day AMOUNT, then skep thaw 7; or skep kill 7",
            ),
            (
                day,
                now(510_000_000, 2_000_000_000),
                "limit of agent:x: money $0.50 a day; $0.51 used",
                "skep thaw 7, the limit is $2.00 now; or skep kill 7",
            ),
            (
                limit("process:7", Window::Run, 1_000),
                now(0, 1_000),
                "limit of process:7: money $0.000001 a run; $0.00 used, the next does not fit",
                "skep budget set process:7 run AMOUNT, then skep thaw 7; or skep kill 7",
            ),
            (
                Freeze::Limit { account: "workspace".into(), limit: calls },
                now(4, 4),
                "limit of workspace: calls 4 an hour; 4 used",
                "skep budget set workspace calls hour AMOUNT, then skep thaw 7; or skep kill 7",
            ),
            (
                limit(NODE, Window::Day, 1),
                None,
                "limit of node: money $0.000000001 a day",
                &format!("{node}, then skep thaw 7; or skep kill 7"),
            ),
            (Freeze::Asked, None, "by an operator or its parent", "skep thaw 7; or skep kill 7"),
            (
                Freeze::Loop { calls: 12 },
                None,
                "12 calls without getting on",
                "skep logs 7 shows which, skep thaw 7; or skep kill 7",
            ),
            (
                Freeze::Lost { effect: EffectId::default() },
                None,
                "a model call was lost twice",
                "skep thaw 7 buys it once more; or skep kill 7",
            ),
            (
                Freeze::Wall { us: 1_800_000_000 },
                None,
                "its time is over: 30m",
                "skep thaw 7 gives it as much time once more; or skep kill 7",
            ),
        ];
        for (freeze, now, what, out) in rows {
            assert_eq!((why(&freeze, now).as_str(), way_out(&freeze, Pid(7), now).as_str()), (what, out));
        }
    }
}
