//! Commands that run.

use super::books::settle;
use crate::{
    login,
    state::{ExecRow, State},
    talk,
};
use abi::{
    money::Amounts,
    record::{Entry, Record},
};

/// Applies what is about one.
pub fn exec(state: &mut State, record: &Record) {
    match &record.body {
        Entry::ExecBegun { exec, of, text, dir, wall, timeout_us, again, main } => {
            state.next.exec = state.next.exec.max(*exec);
            let (actor, dir, seq) = (record.actor.clone(), dir.clone(), record.seq);
            let (of, text, wall, timeout_us, again) = (*of, *text, *wall, *timeout_us, *again);
            let main = *main;
            state.execs.insert(
                *exec,
                ExecRow { of, actor, text, dir, wall, timeout_us, again, seq, main, works: None, sent: None },
            );
        }
        Entry::ExecEnded { exec, .. } => {
            state.execs.remove(exec);
        }
        Entry::ExecChecked { exec, why } => {
            if let Some(row) = state.execs.get_mut(exec) {
                row.works = Some(why.is_none());
            }
        }
        Entry::ExecPrompted { exec, session, words } => talk::told(state, *exec, (*session, *words)),
        Entry::Connected { asked, .. } => {
            if let Some(account) = login::booked(state, record.pid, asked) {
                settle(state, account, &Amounts::default(), &login::one());
            }
            if asked.reads() {
                return;
            }
            let ran = state.execs.values_mut().filter(|row| row.of == record.pid);
            ran.for_each(|row| _ = row.sent.get_or_insert_with(|| asked.host.as_str().into()));
        }
        _ => {}
    }
}
