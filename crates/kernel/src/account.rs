//! How much: the account tree. Every call is reserved at every level before it starts and settled after, so
//! two racing calls cannot both spend the last cent. What was used beyond a limit is debt: it blocks until
//! the limit is raised or its window is over.
//!
//! ```text
//! workspace ⊃ agent:triage ⊃ process:12 ⊃ process:13       money, tokens, calls, effects: every ancestor
//! mount:outbox                                              beside the tree: effects, and money that moves
//! ```
//! A limit counts over a run, an hour, a day or a month; each is counted from what was settled, in UTC.

use crate::{
    Kernel, process,
    state::{Account, ROOT_ACCOUNT, State},
    step::Step,
};
use abi::{
    AccountId, Code, Error, Pid, WORKSPACE,
    agent::{UnknownPrice, Verdict, WhenExhausted},
    halt, limits,
    money::{Amounts, Limit, Nano, Price, Resource, Usage, Window},
    record::{Entry, Exit, Freeze, SetBy},
};
use alloc::{format, string::String, vec::Vec};

/// One UTC day in microseconds.
pub const UTC_DAY_US: u64 = 24 * 3600 * 1_000_000;

/// Why a reservation was refused: the account and the limit that is reached.
pub type Reached = (String, Limit);

impl Account {
    /// Settled in the limit's window, as of this time.
    pub fn used_in(&self, window: Window, at: u64) -> Amounts {
        let number = window.number(at);
        match window {
            Window::Run => self.used,
            Window::Day if self.day == number => self.day_used,
            Window::Hour if self.hour.number == number => self.hour.used,
            Window::Month if self.month.number == number => self.month.used,
            Window::Hour | Window::Day | Window::Month => Amounts::default(),
        }
    }

    /// Settled and reserved of what the limit counts.
    pub fn taken(&self, limit: &Limit, at: u64) -> i64 {
        let used = self.used_in(limit.window, at).get(limit.resource);
        used.saturating_add(self.reserved.get(limit.resource))
    }

    /// The first limit that has no room for these amounts.
    fn refuses(&self, amounts: &Amounts, at: u64) -> Option<Limit> {
        let full = |limit: &&Limit| {
            #[cfg(feature = "plant")]
            if limit.window == Window::Month && crate::plant::is(crate::plant::MONTH_UNCHECKED) {
                return false;
            }
            let taken = self.taken(limit, at);
            match limit.resource {
                // Nobody knows before how much of the input a provider has in its cache: what is used up ends
                // it.
                Resource::TokensCached | Resource::TokensWritten => {
                    amounts.tokens_out > 0 && taken >= limit.max
                }
                resource => {
                    let asked = amounts.get(resource);
                    asked > 0 && taken.saturating_add(asked) > limit.max
                }
            }
        };
        self.limits.iter().find(full).copied()
    }

    /// Whether a limit is reached, or comes near by this share in thousandths.
    pub fn is_near(&self, limit: &Limit, share: u16, at: u64) -> bool {
        let taken = i128::from(self.taken(limit, at)) * 1000;
        limit.max < i64::MAX && taken > 0 && taken >= i128::from(limit.max) * i128::from(share)
    }
}

/// Whether these amounts can be reserved at the account and all above it.
pub fn check(state: &State, account: AccountId, amounts: &Amounts, at: u64) -> Result<(), Reached> {
    let mut next = Some(if state.accounts.contains_key(&account) { account } else { ROOT_ACCOUNT });
    while let Some(row) = next.and_then(|id| state.accounts.get(&id)) {
        if let Some(limit) = row.refuses(amounts, at) {
            return Err((row.name.clone(), limit));
        }
        #[cfg(feature = "plant")]
        if crate::plant::is(crate::plant::CHECK_LEAF_ONLY) {
            return Ok(());
        }
        next = row.parent;
    }
    check_lease(state, amounts)
}

/// The root's other limit: what the node lends to this workspace.
fn check_lease(state: &State, amounts: &Amounts) -> Result<(), Reached> {
    let reserved = state.accounts.get(&ROOT_ACCOUNT).map_or(0, |root| root.reserved.money.0);
    let sum = state.lease_used.saturating_add(reserved).saturating_add(amounts.money.0);
    if amounts.money.0 > 0 && sum > state.lease.0 {
        let limit = Limit { resource: Resource::Money, window: Window::Day, max: state.lease.0 };
        return Err((String::from(halt::NODE), limit));
    }
    Ok(())
}

/// Whether an effect at a mount, which moves so much money there, has room in the tree and at the mount.
pub fn check_effect(
    state: &State,
    account: AccountId,
    (mount, moves): (&str, Nano),
    at: u64,
) -> Result<Amounts, Reached> {
    let reserved = Amounts { effects: 1, ..Amounts::default() };
    check(state, account, &reserved, at)?;
    let beside = state.mount_accounts.get(mount).and_then(|id| state.accounts.get(id));
    let Some(row) = beside else { return Ok(reserved) };
    match row.refuses(&Amounts { money: moves, ..reserved }, at) {
        Some(limit) => Err((row.name.clone(), limit)),
        None => Ok(reserved),
    }
}

/// The price row of a model: as `/sys/models.yaml` and the dated table have it; else, of a workspace that is
/// older than these, by its whole name or by what stands before the first `/`. One that has none costs
/// nothing where policy says that its tokens are counted.
pub fn price(state: &State, model: &str) -> Option<Price> {
    let loaded = state.models.as_ref().and_then(|loaded| loaded.models.price(model));
    let family = model.split('/').next().unwrap_or(model);
    let old = || state.prices.get(model).or_else(|| state.prices.get(family)).copied();
    let unknown = state.policy.as_ref().map(|loaded| loaded.policy.budget.unknown_price);
    let free = || (unknown == Some(UnknownPrice::CountTokens)).then(Price::default);
    loaded.or_else(old).or_else(free)
}

/// What a model call reserves before it starts: all its input, at the highest price input can have, and a
/// first step of output.
pub fn first_reservation(price: &Price, input_bytes: u64, out: u64) -> Amounts {
    let token_in = price.token_in.max(price.token_cached).max(price.token_written);
    let tokens_in = input_bytes.div_ceil(limits::RESERVE_BYTES_PER_TOKEN);
    Price { token_in, ..*price }.amounts(&Usage { tokens_in, tokens_out: out, ..Usage::default() })
}

/// What a top-up of output reserves.
pub fn top_up(price: &Price, tokens: u64) -> Amounts {
    let mut amounts = price.amounts(&Usage { tokens_out: tokens, ..Usage::default() });
    amounts.calls = 0;
    amounts
}

/// The most output tokens, at most `wanted`, that a call with this input can reserve now at every level: for
/// answers that do not stream and cannot be topped up. In whole steps; none if not even one step, or
/// `wanted` if that is less, has room.
pub fn affordable(
    state: &State,
    account: AccountId,
    price: &Price,
    input_bytes: u64,
    wanted: u64,
    at: u64,
) -> Option<u64> {
    let step = limits::OUTPUT_STEP_TOKENS;
    let tokens = |steps: u64| wanted.min(steps.saturating_mul(step));
    let fits =
        |steps: u64| check(state, account, &first_reservation(price, input_bytes, tokens(steps)), at).is_ok();
    // `low` steps fit, more than `high` are not wanted.
    let (mut low, mut high) = (1, wanted.div_ceil(step).max(1));
    if !fits(low) {
        return None;
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Some(tokens(low))
}

/// The tighter of two sets of limits: every limit of both, the lower where both limit the same.
pub fn tighten(given: &[Limit], asked: &[Limit]) -> Vec<Limit> {
    let mut all: Vec<Limit> = given.to_vec();
    for limit in asked {
        match all.iter_mut().find(|old| old.resource == limit.resource && old.window == limit.window) {
            Some(old) => old.max = old.max.min(limit.max),
            None => all.push(*limit),
        }
    }
    all
}

/// A money limit, if there is one.
pub fn money(window: Window, max: Option<Nano>) -> Option<Limit> {
    max.map(|max| Limit { resource: Resource::Money, window, max: max.0 })
}

impl Kernel {
    /// The account of this name.
    pub(crate) fn account_named(&self, name: &str) -> Option<AccountId> {
        self.state.accounts.iter().find(|(_, row)| row.name == name).map(|(id, _)| *id)
    }
}

impl Step<'_> {
    /// Opens an account below another.
    pub fn open_account(&mut self, parent: Option<AccountId>, name: String, limits: Vec<Limit>) -> AccountId {
        let account = self.state().next.account.next();
        self.emit(Entry::AccountOpened { account, parent, name, limits });
        account
    }

    /// Freezes every living process that spends from the account whose limit is reached; or ends it, where
    /// policy says so.
    pub fn exhausted(&mut self, asked: Pid, reached: Reached) -> Error {
        let (name, limit) = reached;
        let hit = self.kernel.account_named(&name);
        let below = |state: &State, account: AccountId| {
            let mut next = Some(account);
            while let Some(id) = next {
                if Some(id) == hit {
                    return true;
                }
                next = state.accounts.get(&id).and_then(|row| row.parent);
            }
            false
        };
        let state = self.state();
        let hits = |(pid, process): (&Pid, &crate::state::Process)| {
            let counts = hit.is_none() || below(state, process.account) || *pid == asked;
            (counts && process.frozen.is_none()).then_some(*pid)
        };
        let pids: Vec<Pid> = state.processes.iter().filter_map(hits).collect();
        let message = format!("the limit of {name} is reached: {limit}");
        let mut hint = halt::raise(&name, &limit);
        if asked != WORKSPACE {
            hint.push_str(&format!(", then skep thaw {asked}"));
        }
        let error = Error::new(Code::Exhausted, message.as_str()).hint(hint);
        let kills = self.when_exhausted() == WhenExhausted::Kill;
        if !pids.is_empty() {
            let how = if kills { "ended" } else { "frozen" };
            self.alarm(format!("{message}; {} process(es) {how}", pids.len()));
        }
        if kills {
            self.end_all(&pids, &message);
        } else if !pids.is_empty() {
            self.emit(Entry::Frozen { pids, why: Freeze::Limit { account: name, limit } });
        }
        error
    }

    /// What policy says of those whose limit is reached.
    pub fn when_exhausted(&self) -> WhenExhausted {
        self.state().policy.as_ref().map(|loaded| loaded.policy.budget.when_exhausted).unwrap_or_default()
    }

    /// Ends these processes, parents first, and what they started.
    pub fn end_all(&mut self, pids: &[Pid], why: &str) {
        for pid in pids {
            process::exit(self, *pid, (Exit::Killed(String::from(why)), Verdict::Failed), None);
        }
    }

    /// Says once a window that a limit of this account, or of one above it, comes near.
    pub fn warn(&mut self, account: AccountId) {
        let Some(share) = self.state().policy.as_ref().and_then(|loaded| loaded.policy.budget.warn) else {
            return;
        };
        let (state, at) = (self.state(), self.at);
        let mut near: Vec<(String, Limit, i64)> = Vec::new();
        let mut next = Some(if state.accounts.contains_key(&account) { account } else { ROOT_ACCOUNT });
        while let Some(row) = next.and_then(|id| state.accounts.get(&id)) {
            let told =
                |limit: &Limit| row.warned.contains(&(limit.resource, limit.window, limit.window.number(at)));
            let rows = row.limits.iter().filter(|limit| row.is_near(limit, share, at) && !told(limit));
            near.extend(rows.map(|limit| (row.name.clone(), *limit, row.taken(limit, at))));
            next = row.parent;
        }
        for (account, limit, taken) in near {
            let taken = limit.resource.show(taken);
            self.alarm(format!("{account} comes near its limit: {taken} of {limit} is used or reserved"));
            self.emit(Entry::Warned { account, limit });
        }
    }

    /// The same of a mount's account.
    pub fn warn_mount(&mut self, mount: &str) {
        if let Some(account) = self.state().mount_accounts.get(mount).copied() {
            self.warn(account);
        }
    }

    /// Sets a limit by account name, as an operator's word.
    pub fn set_limit(&mut self, name: &str, limit: Limit) -> Result<(), Error> {
        let account = self.kernel.account_named(name).ok_or_else(|| {
            Error::new(Code::NotFound, format!("there is no account {name:?}"))
                .argument("account")
                .hint("workspace, agent:NAME, process:PID or mount:NAME; skep budget lists them")
        })?;
        self.emit(Entry::LimitSet { account, limit, by: SetBy::Word });
        Ok(())
    }
}
