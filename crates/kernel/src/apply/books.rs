//! Accounts, as records change them: opened, limited, reserved, settled in every window. No rule is decided
//! here.

use crate::state::{Account, Counted, EffectRow, ROOT_ACCOUNT, State};
use abi::{
    AccountId, Micros, limits,
    money::{Amounts, Nano, Window},
    record::{Entry, SetBy},
};
use alloc::{string::ToString, vec::Vec};

pub fn account(state: &mut State, body: &Entry) {
    match body {
        Entry::AccountOpened { account, parent, name, limits } => {
            state.next.account = state.next.account.max(*account);
            let row = Account {
                parent: *parent,
                name: name.clone(),
                limits: limits.clone(),
                used: Amounts::default(),
                day: Window::Day.number(state.at),
                day_used: Amounts::default(),
                reserved: Amounts::default(),
                hour: Counted::default(),
                month: Counted::default(),
                worded: Vec::new(),
                warned: Vec::new(),
            };
            state.accounts.insert(*account, row);
            if let (None, Some(mount)) = (parent, name.strip_prefix("mount:")) {
                state.mount_accounts.insert(mount.to_string(), *account);
            }
        }
        Entry::LimitSet { account, limit, by } => {
            if let Some(row) = state.accounts.get_mut(account) {
                row.limits.retain(|old| old.resource != limit.resource || old.window != limit.window);
                row.limits.push(*limit);
                let of = (limit.resource, limit.window);
                row.warned.retain(|(resource, window, _)| (*resource, *window) != of);
                row.worded.retain(|worded| *worded != of);
                if *by == SetBy::Word {
                    row.worded.push(of);
                }
            }
        }
        Entry::Warned { account, limit } => {
            let number = limit.window.number(state.at);
            let of = (limit.resource, limit.window);
            if let Some(row) = state.accounts.values_mut().find(|row| row.name == *account) {
                row.warned.retain(|(resource, window, _)| (*resource, *window) != of);
                row.warned.push((limit.resource, limit.window, number));
            }
        }
        _ => {}
    }
}

/// An effect counts at its mount's account too, if that has one: reserved by so many, settled by so many.
/// `reserved` of the row is what was reserved, and nothing once it was settled.
pub fn at_mount(state: &mut State, row: &EffectRow, (reserved, settled): (i64, i64)) {
    let Some(account) = row.mount_account.filter(|_| row.reserved.effects > 0) else { return };
    let times = |times: i64| {
        let money = Nano(row.moves.0.saturating_mul(times));
        Amounts { effects: row.reserved.effects.saturating_mul(times), money, ..Amounts::default() }
    };
    let at = state.at;
    if let Some(account) = state.accounts.get_mut(&account) {
        account.reserved = account.reserved.plus(&times(reserved));
        book(account, at, &times(settled));
    }
}

/// Every account from this one to the root. An account that is gone (its process ended) counts at the root.
fn each_above(state: &mut State, account: AccountId, change: &mut dyn FnMut(&mut Account)) {
    let mut at = if state.accounts.contains_key(&account) { account } else { ROOT_ACCOUNT };
    for _ in 0..=limits::PROCESS_DEPTH_MAX + 4 {
        let Some(row) = state.accounts.get_mut(&at) else { return };
        change(row);
        match row.parent {
            Some(parent) => at = parent,
            None => return,
        }
    }
}

pub fn reserve(state: &mut State, account: AccountId, amounts: &Amounts) {
    each_above(state, account, &mut |row| row.reserved = row.reserved.plus(amounts));
}

pub fn settle(state: &mut State, account: AccountId, reserved: &Amounts, charged: &Amounts) {
    let at = state.at;
    #[cfg(feature = "plant")]
    let account = if crate::plant::is(crate::plant::SETTLE_ONLY_ROOT) { ROOT_ACCOUNT } else { account };
    each_above(state, account, &mut |row| {
        row.reserved = row.reserved.minus(reserved);
        book(row, at, charged);
    });
    state.lease_used = state.lease_used.saturating_add(charged.money.0);
}

/// Books as used, in every window.
fn book(row: &mut Account, at: Micros, charged: &Amounts) {
    row.used = row.used.plus(charged);
    if row.day != Window::Day.number(at) {
        (row.day, row.day_used) = (Window::Day.number(at), Amounts::default());
    }
    row.day_used = row.day_used.plus(charged);
    for (counted, window) in [(&mut row.hour, Window::Hour), (&mut row.month, Window::Month)] {
        let number = window.number(at);
        if counted.number != number {
            *counted = Counted { number, used: Amounts::default() };
        }
        counted.used = counted.used.plus(charged);
    }
}
