//! Budgets, folded anew: what is reserved is the sum of what is live, what is used the sum of what was
//! charged, at every ancestor. Nothing is admitted over a limit; what goes beyond one is a settled overrun
//! and nothing else.

use super::{Finding, finding};
use abi::{
    AccountId, EffectId, Pid, limits,
    money::{Amounts, Limit, Nano, Resource, Window},
    record::{Entry, Record},
};
use std::collections::BTreeMap;

const ROOT: AccountId = AccountId(1);
const UTC_DAY_US: u64 = 24 * 3600 * 1_000_000;

#[derive(Clone, Debug, Default)]
struct Account {
    parent: Option<AccountId>,
    name: String,
    limits: Vec<Limit>,
    used: Amounts,
    reserved: Amounts,
    day: u64,
    day_used: Amounts,
    /// Settled beyond what was reserved: what a provider's claim added.
    overrun: i64,
    day_overrun: i64,
    /// The highest money limit there ever was.
    most: BTreeMap<Window, i64>,
}

impl Account {
    fn used_in(&self, window: Window, at: u64) -> Amounts {
        match window {
            Window::Run => self.used,
            Window::Day if self.day == at / UTC_DAY_US => self.day_used,
            Window::Day => Amounts::default(),
        }
    }
}

/// All accounts, and what is live.
#[derive(Default)]
pub struct Money {
    accounts: BTreeMap<AccountId, Account>,
    of_process: BTreeMap<Pid, AccountId>,
    live: BTreeMap<EffectId, (AccountId, Amounts)>,
    lease: i64,
    lease_used: i64,
    /// Nano-units of one top-up step.
    step: i64,
    /// Budgets passed by more than one step and the lies.
    pub overspent: u64,
}

impl Money {
    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Vec<Finding> {
        let mut found = Vec::new();
        match &record.body {
            Entry::Woke { lease } => (self.lease, self.lease_used) = (lease.0, 0),
            Entry::Leased { lease } => self.lease = lease.0,
            Entry::Priced { price, .. } => {
                let tokens = i64::try_from(limits::OUTPUT_STEP_TOKENS).unwrap_or(i64::MAX);
                self.step = self.step.max(price.token_out.0.saturating_mul(tokens));
            }
            Entry::AccountOpened { account, parent, name, limits } => {
                let day = record.at / UTC_DAY_US;
                let mut row = Account { parent: *parent, name: name.clone(), day, ..Account::default() };
                limits.iter().for_each(|limit| row.limit(*limit));
                self.accounts.insert(*account, row);
            }
            Entry::LimitSet { account, limit } => {
                if let Some(row) = self.accounts.get_mut(account) {
                    row.limits.retain(|old| (old.resource, old.window) != (limit.resource, limit.window));
                    row.limit(*limit);
                }
            }
            Entry::Spawned { pid, account, .. } => {
                self.of_process.insert(*pid, *account);
            }
            Entry::Exited { pid, .. } => self.exited(*pid),
            Entry::ModelIntended { effect, reserved, .. } | Entry::Intended { effect, reserved, .. } => {
                let account = self.of_process.get(&record.pid).copied().unwrap_or(ROOT);
                found.extend(self.admit(record, account, reserved));
                self.live.insert(*effect, (account, *reserved));
                self.each_above(account, &mut |row| row.reserved = row.reserved.plus(reserved));
            }
            Entry::ModelExtended { effect, reserved, .. } => {
                let account = self.live.get(effect).map_or(ROOT, |(account, _)| *account);
                found.extend(self.admit(record, account, reserved));
                self.live.entry(*effect).and_modify(|(_, all)| *all = all.plus(reserved));
                self.each_above(account, &mut |row| row.reserved = row.reserved.plus(reserved));
            }
            Entry::ModelAnswered { effect, charged, .. }
            | Entry::ModelFailed { effect, charged, .. }
            | Entry::ModelLost { effect, charged } => {
                found.extend(self.settle(record, effect, Some(*charged)))
            }
            Entry::EffectEnded { effect, done: true, .. } | Entry::InDoubt { effect } => {
                found.extend(self.settle(record, effect, None));
            }
            Entry::EffectEnded { effect, done: false, .. } => {
                found.extend(self.settle(record, effect, Some(Amounts::default())));
            }
            _ => {}
        }
        found
    }

    fn exited(&mut self, pid: Pid) {
        let Some(account) = self.of_process.remove(&pid) else { return };
        let heir = self.accounts.remove(&account).and_then(|row| row.parent).unwrap_or(ROOT);
        for (at, _) in self.live.values_mut().filter(|(at, _)| *at == account) {
            *at = heir;
        }
    }

    fn above(&self, account: AccountId) -> Vec<AccountId> {
        let mut all = Vec::new();
        let mut next = Some(if self.accounts.contains_key(&account) { account } else { ROOT });
        while let Some((id, row)) = next.and_then(|id| Some((id, self.accounts.get(&id)?))) {
            all.push(id);
            next = row.parent;
        }
        all
    }

    fn each_above(&mut self, account: AccountId, change: &mut dyn FnMut(&mut Account)) {
        for id in self.above(account) {
            self.accounts.entry(id).and_modify(&mut *change);
        }
    }

    /// `admission`: a reservation fits under every limit of every ancestor, and under the lease.
    fn admit(&self, record: &Record, account: AccountId, asked: &Amounts) -> Option<Finding> {
        for row in self.above(account).iter().filter_map(|id| self.accounts.get(id)) {
            for limit in &row.limits {
                let more = asked.get(limit.resource);
                let taken = row.used_in(limit.window, record.at).plus(&row.reserved).get(limit.resource);
                if more > 0 && taken.saturating_add(more) > limit.max {
                    let what = format!("record {}: {more} at {} over {limit}", record.seq, row.name);
                    return Some(finding("admission", format!("{what}, {taken} taken")));
                }
            }
        }
        let reserved = self.accounts.get(&ROOT).map_or(0, |root| root.reserved.money.0);
        let sum = self.lease_used.saturating_add(reserved).saturating_add(asked.money.0);
        (asked.money.0 > 0 && sum > self.lease)
            .then(|| finding("admission", format!("record {}: {sum} over the lease", record.seq)))
    }

    /// Settles at every ancestor. `overspend`: what is used is within the limit, one step and the overruns.
    fn settle(&mut self, record: &Record, effect: &EffectId, charged: Option<Amounts>) -> Option<Finding> {
        let (account, reserved) = self.live.remove(effect)?;
        let charged = charged.unwrap_or(reserved);
        let over = charged.money.0.saturating_sub(reserved.money.0).max(0);
        let day = record.at / UTC_DAY_US;
        self.lease_used = self.lease_used.saturating_add(charged.money.0);
        self.each_above(account, &mut |row| {
            row.reserved = row.reserved.minus(&reserved);
            row.used = row.used.plus(&charged);
            if row.day != day {
                (row.day, row.day_used, row.day_overrun) = (day, Amounts::default(), 0);
            }
            row.day_used = row.day_used.plus(&charged);
            row.overrun = row.overrun.saturating_add(over);
            row.day_overrun = row.day_overrun.saturating_add(over);
        });
        let step = self.step;
        let passed = |row: &Account| {
            row.most.iter().find_map(|(window, most)| {
                let used = row.used_in(*window, record.at).money.0;
                let lies = if *window == Window::Day { row.day_overrun } else { row.overrun };
                let allowed = most.saturating_add(lies).saturating_add(step);
                (used > allowed).then(|| format!("{} used {} of {}", row.name, Nano(used), Nano(*most)))
            })
        };
        let rows = self.above(account);
        let what = rows.iter().filter_map(|id| self.accounts.get(id)).find_map(passed)?;
        self.overspent += 1;
        Some(finding("overspend", format!("record {}: {what}", record.seq)))
    }

    /// Every limit of every account as `/sys/budget` must show it.
    pub fn text(&self, at: u64) -> String {
        let mut text = String::new();
        for row in self.accounts.values() {
            for limit in &row.limits {
                let show = |value: i64| match limit.resource {
                    Resource::Money => Nano(value).to_string(),
                    _ => value.to_string(),
                };
                let used = show(row.used_in(limit.window, at).get(limit.resource));
                let reserved = show(row.reserved.get(limit.resource));
                let (resource, window) = (limit.resource.word(), limit.window.word());
                let max = show(limit.max);
                text.push_str(&format!("{} {resource} {window} {used} {reserved} {max}\n", row.name));
            }
        }
        text
    }

    /// `reserved-is-live`: what the root has reserved is the sum of all that is live.
    pub fn check_sums(&self) -> Option<Finding> {
        let live = self.live.values().fold(Amounts::default(), |sum, (_, amounts)| sum.plus(amounts));
        let reserved = self.accounts.get(&ROOT).map(|root| root.reserved)?;
        (live != reserved).then(|| finding("reserved-is-live", format!("{reserved:?} of {live:?}")))
    }
}

impl Account {
    fn limit(&mut self, limit: Limit) {
        self.limits.push(limit);
        if limit.resource == Resource::Money {
            let most = self.most.entry(limit.window).or_insert(limit.max);
            *most = (*most).max(limit.max);
        }
    }
}
