//! Budgets, folded anew: what is reserved is the sum of what is live, what is used the sum of what was
//! charged, at every ancestor and in every window. Nothing is admitted over a limit; what goes beyond one is
//! a settled overrun and nothing else. What is charged is what the price makes of the usage, and the bill
//! that a settled call carries names whose it was.

use super::{Finding, finding};
use abi::{
    AccountId, EffectId, Pid,
    agent::UnknownPrice,
    limits,
    model::PriceRow,
    money::{Amounts, Limit, Nano, Price, Resource, Usage, Window},
    record::{Bill, Entry, Record},
};
use std::collections::BTreeMap;

const ROOT: AccountId = AccountId(1);
const HOUR_US: u64 = 3600 * 1_000_000;
const WINDOWS: [Window; 4] = [Window::Run, Window::Hour, Window::Day, Window::Month];

#[derive(Clone, Debug, Default)]
struct Account {
    parent: Option<AccountId>,
    name: String,
    limits: Vec<Limit>,
    reserved: Amounts,
    /// Settled in the present window of each kind.
    used: BTreeMap<Window, Counted>,
    /// The highest money limit there ever was.
    most: BTreeMap<Window, i64>,
}

#[derive(Clone, Debug, Default)]
struct Counted {
    /// Which hour, day, month.
    place: (u64, u64),
    used: Amounts,
    /// Settled beyond what was reserved: what a provider's claim added.
    overrun: i64,
}

/// Which hour, day or month this is: counted over the years one by one, unlike the kernel does.
fn place(window: Window, at: u64) -> (u64, u64) {
    let mut day = at / HOUR_US / 24;
    match window {
        Window::Run => (0, 0),
        Window::Hour => (0, at / HOUR_US),
        Window::Day => (0, day),
        Window::Month => {
            let every = |year: u64, years: u64| year.is_multiple_of(years);
            let leap = |year: u64| (every(year, 4) && !every(year, 100)) || every(year, 400);
            let mut year = 1970;
            while day >= if leap(year) { 366 } else { 365 } {
                day -= if leap(year) { 366 } else { 365 };
                year += 1;
            }
            let february = if leap(year) { 29 } else { 28 };
            let mut month = 0;
            for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
                if day < days {
                    break;
                }
                (day, month) = (day - days, month + 1);
            }
            (year, month)
        }
    }
}

impl Account {
    fn counted(&self, window: Window, at: u64) -> Counted {
        let found = self.used.get(&window).filter(|counted| counted.place == place(window, at));
        found.cloned().unwrap_or_else(|| Counted { place: place(window, at), ..Counted::default() })
    }

    fn used_in(&self, window: Window, at: u64) -> Amounts {
        self.counted(window, at).used
    }

    fn book(&mut self, at: u64, charged: &Amounts, over: i64) {
        for window in WINDOWS {
            let mut counted = self.counted(window, at);
            counted.used = counted.used.plus(charged);
            counted.overrun = counted.overrun.saturating_add(over);
            self.used.insert(window, counted);
        }
    }

    /// What is spent or under way when a limit is set is none of its excess.
    fn bear(&mut self, window: Window, at: u64) {
        let stands = self.used_in(window, at).plus(&self.reserved).money.0;
        self.most.entry(window).and_modify(|most| *most = stands.max(*most));
    }

    /// The first limit that leaves no room for this.
    fn refuses(&self, asked: &Amounts, at: u64) -> Option<String> {
        self.limits.iter().find_map(|limit| {
            let taken = self.used_in(limit.window, at).plus(&self.reserved).get(limit.resource);
            let more = asked.get(limit.resource);
            let cache = matches!(limit.resource, Resource::TokensCached | Resource::TokensWritten);
            let full = match cache {
                true => asked.tokens_out > 0 && taken >= limit.max,
                false => more > 0 && taken.saturating_add(more) > limit.max,
            };
            full.then(|| format!("{more} at {} over {limit}, {taken} taken", self.name))
        })
    }
}

/// A call that lives: where it is reserved, how much; at its mount, how much.
#[derive(Clone, Debug, Default)]
struct Live {
    account: AccountId,
    reserved: Amounts,
    at_mount: Option<(AccountId, Amounts)>,
    model: String,
    run: Pid,
    agent: String,
}

/// All accounts, and what is live.
#[derive(Default)]
pub struct Money {
    accounts: BTreeMap<AccountId, Account>,
    /// Account, run and agent of a process.
    of_process: BTreeMap<Pid, (AccountId, Pid, String)>,
    live: BTreeMap<EffectId, Live>,
    mounts: BTreeMap<String, AccountId>,
    prices: BTreeMap<String, Price>,
    /// Rows of `/sys/models.yaml` and of the dated table, by model or `PROVIDER/*`; the first counts.
    listed: BTreeMap<String, Price>,
    /// Whether a model without a price costs nothing.
    unpriced_is_free: bool,
    warn: Option<u16>,
    lease: i64,
    lease_used: i64,
    /// Nano-units of one top-up step.
    step: i64,
    /// Budgets passed by more than one step and the lies.
    pub overspent: u64,
    /// What model calls came to, by day, agent and model: how many, output tokens, money.
    pub costs: BTreeMap<(u64, String, String), [i64; 3]>,
}

impl Money {
    /// Takes a record; says what is wrong with it.
    pub fn take(&mut self, record: &Record) -> Vec<Finding> {
        let mut found = Vec::new();
        match &record.body {
            Entry::Woke { lease } => (self.lease, self.lease_used) = (lease.0, 0),
            Entry::Leased { lease } => self.lease = lease.0,
            Entry::Priced { model, price } => {
                self.steps(price);
                self.prices.insert(model.clone(), *price);
            }
            Entry::ModelsLoaded { models, .. } => self.list(&models.prices),
            Entry::PolicyLoaded { policy, .. } => {
                self.unpriced_is_free = policy.budget.unknown_price == UnknownPrice::CountTokens;
                self.warn = policy.budget.warn;
            }
            Entry::AccountOpened { account, parent, name, limits } => {
                let mut row = Account { parent: *parent, name: name.clone(), ..Account::default() };
                limits.iter().for_each(|limit| row.limit(*limit));
                self.accounts.insert(*account, row);
                if let Some(mount) = name.strip_prefix("mount:") {
                    self.mounts.insert(mount.to_owned(), *account);
                }
            }
            Entry::LimitSet { account, limit, .. } => {
                if let Some(row) = self.accounts.get_mut(account) {
                    row.limits.retain(|old| (old.resource, old.window) != (limit.resource, limit.window));
                    row.limit(*limit);
                    row.bear(limit.window, record.at);
                }
            }
            Entry::Spawned { pid, account, run, agent, .. } => {
                self.of_process.insert(*pid, (*account, *run, agent.clone()));
            }
            Entry::Exited { pid, .. } => self.exited(*pid),
            Entry::ModelIntended { effect, reserved, model, .. } => {
                let live = Live { reserved: *reserved, model: model.clone(), ..self.of(record) };
                found.extend(self.begin(record, *effect, live));
            }
            Entry::Intended { effect, reserved, mount, moves, .. } => {
                let at = self.mounts.get(mount).copied();
                let amounts = Amounts { effects: reserved.effects, money: *moves, ..Amounts::default() };
                let live =
                    Live { reserved: *reserved, at_mount: at.map(|at| (at, amounts)), ..self.of(record) };
                found.extend(self.begin(record, *effect, live));
            }
            Entry::ModelExtended { effect, reserved, .. } => {
                let account = self.live.get(effect).map_or(ROOT, |live| live.account);
                found.extend(self.admit(record, account, reserved));
                self.live.entry(*effect).and_modify(|live| live.reserved = live.reserved.plus(reserved));
                self.each_above(account, &mut |row| row.reserved = row.reserved.plus(reserved));
            }
            Entry::ModelAnswered { effect, charged, usage, bill, .. } => {
                found.extend(self.billed(record, effect, bill));
                found.extend(self.priced(record, effect, usage, charged));
                found.extend(self.settle(record, effect, Some(*charged)));
            }
            Entry::ModelFailed { effect, charged, bill, .. } | Entry::ModelLost { effect, charged, bill } => {
                found.extend(self.billed(record, effect, bill));
                found.extend(self.settle(record, effect, Some(*charged)));
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

    /// The rows that are in force now.
    fn list(&mut self, rows: &[PriceRow]) {
        self.listed.clear();
        for row in rows {
            self.listed.entry(row.model.clone()).or_insert(row.price);
            self.steps(&row.price);
        }
    }

    /// What a step of output costs at most.
    fn steps(&mut self, price: &Price) {
        let tokens = i64::try_from(limits::OUTPUT_STEP_TOKENS).unwrap_or(i64::MAX);
        self.step = self.step.max(price.token_out.0.saturating_mul(tokens));
    }

    /// Who calls by this record.
    fn of(&self, record: &Record) -> Live {
        let nobody = (ROOT, Pid(0), record.actor.clone());
        let (account, run, agent) = self.of_process.get(&record.pid).cloned().unwrap_or(nobody);
        Live { account, run, agent, ..Live::default() }
    }

    /// Something begins: it is reserved in the tree, and at its mount.
    fn begin(&mut self, record: &Record, effect: EffectId, live: Live) -> Option<Finding> {
        let mut found = self.admit(record, live.account, &live.reserved);
        let reserved = live.reserved;
        self.each_above(live.account, &mut |row| row.reserved = row.reserved.plus(&reserved));
        if let Some((at, amounts)) = live.at_mount
            && let Some(row) = self.accounts.get_mut(&at)
        {
            let what = row.refuses(&amounts, record.at);
            found = found.or(what.map(|what| finding("admission", format!("record {}: {what}", record.seq))));
            row.reserved = row.reserved.plus(&amounts);
        }
        self.live.insert(effect, live);
        found
    }

    /// `bill`: a settled call says whose it was.
    fn billed(&self, record: &Record, effect: &EffectId, bill: &Bill) -> Option<Finding> {
        let live = self.live.get(effect)?;
        let account = self.accounts.get(&live.account).or_else(|| self.accounts.get(&ROOT))?;
        let want = (live.run, live.agent.as_str(), live.model.as_str(), account.name.as_str());
        let have = (bill.run, bill.agent.as_str(), bill.model.as_str(), bill.account.as_str());
        let price = self.price(&live.model).unwrap_or_default();
        (want != have || price != bill.price)
            .then(|| finding("bill", format!("record {}: {have:?}, not {want:?}", record.seq)))
    }

    fn price(&self, model: &str) -> Option<Price> {
        let family = model.split('/').next().unwrap_or(model);
        let all = format!("{family}/*");
        let listed = self.listed.get(model).or_else(|| self.listed.get(&all)).copied();
        let row = self.prices.get(model).or_else(|| self.prices.get(family)).copied();
        listed.or(row).or(self.unpriced_is_free.then(Price::default))
    }

    /// `charge`: every token of every kind costs what its price says.
    fn priced(
        &self,
        record: &Record,
        effect: &EffectId,
        usage: &Usage,
        charged: &Amounts,
    ) -> Option<Finding> {
        let price = self.price(&self.live.get(effect)?.model).unwrap_or_default();
        let of = |tokens: u64, one: Nano| i128::from(tokens.min(i64::MAX as u64)) * i128::from(one.0);
        let sum = of(usage.tokens_in, price.token_in)
            + of(usage.tokens_out, price.token_out)
            + of(usage.tokens_cached, price.token_cached)
            + of(usage.tokens_written, price.token_written);
        let money = sum.min(i128::from(i64::MAX));
        (i128::from(charged.money.0) != money)
            .then(|| finding("charge", format!("record {}: {} and not {money}", record.seq, charged.money.0)))
    }

    /// Who it was is known from the beginning of the call, not from its bill.
    fn cost(&mut self, record: &Record, effect: &EffectId, charged: Option<Amounts>) {
        let live = self.live.get(effect).filter(|live| !live.model.is_empty());
        let Some((live, charged)) = live.zip(charged) else { return };
        let key = (record.at / HOUR_US / 24, live.agent.clone(), live.model.clone());
        let sum = self.costs.entry(key).or_default();
        let more = [1, charged.tokens_out, charged.money.0];
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }

    fn exited(&mut self, pid: Pid) {
        let Some((account, ..)) = self.of_process.remove(&pid) else { return };
        let heir = self.accounts.remove(&account).and_then(|row| row.parent).unwrap_or(ROOT);
        for live in self.live.values_mut().filter(|live| live.account == account) {
            live.account = heir;
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
        let rows = self.above(account);
        let mut rows = rows.iter().filter_map(|id| self.accounts.get(id));
        if let Some(what) = rows.find_map(|row| row.refuses(asked, record.at)) {
            return Some(finding("admission", format!("record {}: {what}", record.seq)));
        }
        let reserved = self.accounts.get(&ROOT).map_or(0, |root| root.reserved.money.0);
        let sum = self.lease_used.saturating_add(reserved).saturating_add(asked.money.0);
        (asked.money.0 > 0 && sum > self.lease)
            .then(|| finding("admission", format!("record {}: {sum} over the lease", record.seq)))
    }

    /// Settles at every ancestor. `overspend`: what is used is within the limit, one step and the overruns.
    fn settle(&mut self, record: &Record, effect: &EffectId, charged: Option<Amounts>) -> Option<Finding> {
        self.cost(record, effect, charged);
        let live = self.live.remove(effect)?;
        let (account, reserved) = (live.account, live.reserved);
        let charged = charged.unwrap_or(reserved);
        let over = charged.money.0.saturating_sub(reserved.money.0).max(0);
        self.lease_used = self.lease_used.saturating_add(charged.money.0);
        self.each_above(account, &mut |row| {
            row.reserved = row.reserved.minus(&reserved);
            row.book(record.at, &charged, over);
        });
        if let Some((at, amounts)) = live.at_mount
            && let Some(row) = self.accounts.get_mut(&at)
        {
            row.reserved = row.reserved.minus(&amounts);
            // It happened, as far as anybody knows.
            if charged.effects > 0 {
                row.book(record.at, &amounts, 0);
            }
        }
        let step = self.step;
        let passed = |row: &Account| {
            row.most.iter().find_map(|(window, most)| {
                let Counted { used, overrun, .. } = row.counted(*window, record.at);
                let (used, allowed) = (used.money.0, most.saturating_add(overrun).saturating_add(step));
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
                let used = row.used_in(limit.window, at).get(limit.resource);
                let reserved = row.reserved.get(limit.resource);
                let taken = i128::from(used.saturating_add(reserved));
                let near = |share: u16| {
                    let most = i128::from(limit.max) * i128::from(share);
                    limit.max < i64::MAX && taken > 0 && taken * 1000 >= most
                };
                let state = match self.warn {
                    _ if near(1000) => "full",
                    Some(share) if near(share) => "near",
                    _ => "fine",
                };
                let (resource, window) = (limit.resource.word(), limit.window.word());
                let max = if limit.max == i64::MAX { "-".to_owned() } else { show(limit.max) };
                let (used, reserved) = (show(used), show(reserved));
                text.push_str(&format!("{} {resource} {window} {used} {reserved} {max} {state}\n", row.name));
            }
        }
        text
    }

    /// `reserved-is-live`: what the root has reserved is the sum of all that is live.
    pub fn check_sums(&self) -> Option<Finding> {
        let live = self.live.values().fold(Amounts::default(), |sum, live| sum.plus(&live.reserved));
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
