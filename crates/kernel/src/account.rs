//! How much: the account tree. Every call is reserved at every level before it starts and settled after, so
//! two racing calls cannot both spend the last cent. What was used beyond a limit is debt: it blocks until
//! the limit is raised or its window is over.

use crate::{
    Kernel,
    state::{Account, ROOT_ACCOUNT, State},
    step::Step,
};
use abi::{
    AccountId, Code, Error, Pid,
    money::{Amounts, Limit, Nano, Price, Resource, Usage, Window},
    record::{Entry, Freeze},
};
use alloc::{format, string::String, vec::Vec};

/// One UTC day in microseconds.
pub const UTC_DAY_US: u64 = 24 * 3600 * 1_000_000;

/// Why a reservation was refused: the account and the limit that is reached.
pub type Reached = (String, Limit);

impl Account {
    /// Settled in the limit's window, as of this time.
    pub fn used_in(&self, window: Window, at: u64) -> Amounts {
        match window {
            Window::Run => self.used,
            Window::Day if self.day == at / UTC_DAY_US => self.day_used,
            Window::Day => Amounts::default(),
        }
    }
}

/// Whether these amounts can be reserved at the account and all above it.
pub fn check(state: &State, account: AccountId, amounts: &Amounts, at: u64) -> Result<(), Reached> {
    let mut next = Some(if state.accounts.contains_key(&account) { account } else { ROOT_ACCOUNT });
    while let Some(row) = next.and_then(|id| state.accounts.get(&id)) {
        for limit in &row.limits {
            let asked = amounts.get(limit.resource);
            let taken = row.used_in(limit.window, at).get(limit.resource);
            let sum = taken.saturating_add(row.reserved.get(limit.resource)).saturating_add(asked);
            if asked > 0 && sum > limit.max {
                return Err((row.name.clone(), *limit));
            }
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
        return Err((String::from("node"), limit));
    }
    Ok(())
}

/// The price row of a model: as `/sys/models.yaml` and the dated table have it; else, of a workspace that is
/// older than these, by its whole name or by what stands before the first `/`.
pub fn price(state: &State, model: &str) -> Option<Price> {
    let loaded = state.models.as_ref().and_then(|loaded| loaded.models.price(model));
    if loaded.is_some() {
        return loaded;
    }
    let family = model.split('/').next().unwrap_or(model);
    state.prices.get(model).or_else(|| state.prices.get(family)).copied()
}

/// What a model call reserves before it starts: all its input, and a first step of output.
pub fn first_reservation(price: &Price, input_bytes: u64, out: u64) -> Amounts {
    let tokens_in = input_bytes.div_ceil(abi::limits::RESERVE_BYTES_PER_TOKEN);
    price.amounts(&Usage { tokens_in, tokens_out: out, ..Usage::default() })
}

/// What a top-up of output reserves.
pub fn top_up(price: &Price, tokens: u64) -> Amounts {
    let mut amounts = price.amounts(&Usage { tokens_out: tokens, ..Usage::default() });
    amounts.calls = 0;
    amounts
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

    /// Freezes every living process that spends from the account whose limit is reached.
    pub fn freeze_for(&mut self, asked: Pid, reached: Reached) -> Error {
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
        let hint = match name.split_once(':') {
            Some(("process", _)) | None => format!("skep budget set {name} {} AMOUNT", limit.window.word()),
            Some(_) => format!("skep budget set {name} {} AMOUNT, then skep thaw PID", limit.window.word()),
        };
        if !pids.is_empty() {
            self.alarm(format!("{message}; {} process(es) frozen", pids.len()));
            self.emit(Entry::Frozen { pids, why: Freeze::Limit { account: name, limit } });
        }
        Error::new(Code::Exhausted, message).hint(hint)
    }

    /// Sets a money limit by account name.
    pub fn set_limit(&mut self, name: &str, window: Window, amount: Nano) -> Result<(), Error> {
        let account = self.kernel.account_named(name).ok_or_else(|| {
            Error::new(Code::NotFound, format!("there is no account {name:?}"))
                .argument("account")
                .hint("workspace, agent:NAME or process:PID; skep budget lists them")
        })?;
        let limit = Limit { resource: Resource::Money, window, max: amount.0 };
        self.emit(Entry::LimitSet { account, limit });
        Ok(())
    }
}
