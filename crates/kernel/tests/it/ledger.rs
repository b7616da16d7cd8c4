//! What the accounts must say, counted again from the log alone: every amount that is reserved belongs to one
//! call or effect that lives, every amount used was charged once, at the account and all above it.

use abi::{
    AccountId, EffectId, LabelId, Pid,
    label::Integrity,
    money::{Amounts, Nano, Resource},
    record::{Entry, Record},
};
use kernel::Kernel;
use std::collections::BTreeMap;

const ROOT: AccountId = AccountId(1);

struct Account {
    parent: Option<AccountId>,
    name: String,
    used: Amounts,
}

/// The second bookkeeper.
#[derive(Default)]
pub struct Ledger {
    accounts: BTreeMap<AccountId, Account>,
    /// What lives: where it is reserved, and how much.
    live: BTreeMap<EffectId, (AccountId, Amounts)>,
    processes: BTreeMap<Pid, AccountId>,
    labels: BTreeMap<Pid, LabelId>,
    ceilings: BTreeMap<Pid, Integrity>,
}

impl Ledger {
    /// Follows one record.
    pub fn follow(&mut self, record: &Record, kernel: &Kernel) {
        let mine = self.processes.get(&record.pid).copied().unwrap_or(ROOT);
        match &record.body {
            Entry::AccountOpened { account, parent, name, .. } => {
                let row = Account { parent: *parent, name: name.clone(), used: Amounts::default() };
                self.accounts.insert(*account, row);
            }
            Entry::Spawned { pid, account, label, parent, ceiling, .. } => {
                self.processes.insert(*pid, *account);
                self.labels.insert(*pid, *label);
                let above = self.ceilings.get(parent).copied().unwrap_or_default();
                assert!(above <= *ceiling, "the ceiling of {pid} is below its parent's");
                self.ceilings.insert(*pid, *ceiling);
                self.is_under_ceiling(*pid, *label, kernel);
            }
            Entry::Saw { joined, .. } => self.rises(record.pid, *joined, kernel),
            Entry::Steered { pid, joined, .. } => self.rises(*pid, *joined, kernel),
            Entry::Exited { pid, .. } => self.exited(*pid),
            Entry::ModelIntended { effect, reserved, .. } | Entry::Intended { effect, reserved, .. } => {
                let before = self.live.insert(*effect, (mine, *reserved));
                assert!(before.is_none(), "an effect is under way twice");
            }
            Entry::ModelExtended { effect, reserved, .. } => {
                let row = self.live.get_mut(effect).expect("extended and not under way");
                row.1 = row.1.plus(reserved);
            }
            Entry::ModelAnswered { effect, charged, .. }
            | Entry::ModelFailed { effect, charged, .. }
            | Entry::ModelLost { effect, charged, .. } => self.settle(effect, charged),
            Entry::EffectEnded { effect, done, .. } => {
                let reserved = self.live[effect].1;
                let charged = if *done { reserved } else { Amounts::default() };
                self.settle(effect, &charged);
            }
            Entry::InDoubt { effect } => {
                let reserved = self.live[effect].1;
                self.settle(effect, &reserved);
            }
            _ => {}
        }
    }

    /// A label never falls while its process lives.
    fn rises(&mut self, pid: Pid, joined: LabelId, kernel: &Kernel) {
        let before = self.labels.insert(pid, joined).expect("a label of nobody");
        let (before, joined) = (kernel.label(before).unwrap(), kernel.label(joined).unwrap());
        assert!(before.flows_to(joined), "the label of {pid} fell from {before} to {joined}");
        self.is_under_ceiling(pid, self.labels[&pid], kernel);
    }

    /// What lies below its ceiling is invisible to a process, so it never lies there itself.
    fn is_under_ceiling(&self, pid: Pid, label: LabelId, kernel: &Kernel) {
        let (label, ceiling) = (kernel.label(label).unwrap(), self.ceilings[&pid]);
        assert!(label.integrity >= ceiling, "{pid} saw {label}, below its ceiling {}", ceiling.word());
    }

    fn exited(&mut self, pid: Pid) {
        let account = self.processes.remove(&pid).expect("nobody ended");
        let gone = self.accounts.remove(&account).expect("an account ended twice");
        let heir = gone.parent.unwrap_or(ROOT);
        self.live.values_mut().filter(|row| row.0 == account).for_each(|row| row.0 = heir);
    }

    fn settle(&mut self, effect: &EffectId, charged: &Amounts) {
        let (account, _) = self.live.remove(effect).expect("settled and not under way");
        let mut next = Some(account);
        while let Some(row) = next.and_then(|id| self.accounts.get_mut(&id)) {
            row.used = row.used.plus(charged);
            next = row.parent;
        }
    }

    fn is_below(&self, account: AccountId, above: AccountId) -> bool {
        let mut next = Some(account);
        while let Some(id) = next {
            if id == above {
                return true;
            }
            next = self.accounts.get(&id).and_then(|row| row.parent);
        }
        false
    }

    /// The lines of `/sys/budget` whose window is the account's whole life: name, resource, used, reserved.
    pub fn lines(&self) -> BTreeMap<(String, &'static str), (String, String)> {
        let mut lines = BTreeMap::new();
        for (id, account) in &self.accounts {
            let mine = self.live.values().filter(|row| self.is_below(row.0, *id));
            let reserved = mine.fold(Amounts::default(), |sum, row| sum.plus(&row.1));
            for resource in Resource::ALL {
                let show = |amounts: &Amounts| match resource {
                    Resource::Money => Nano(amounts.get(resource)).to_string(),
                    resource => amounts.get(resource).to_string(),
                };
                assert!(reserved.get(resource) >= 0, "less than nothing is reserved at {}", account.name);
                let key = (account.name.clone(), resource.word());
                lines.insert(key, (show(&account.used), show(&reserved)));
            }
        }
        lines
    }
}
