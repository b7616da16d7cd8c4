//! What was decided about directories of this machine is put there a moment later: commands that say that
//! something was done say it when it stands there.

use crate::{
    clock::Deadline,
    fail::Fail,
    figures,
    journal::{Follower, Heard},
    session::Session,
};
use abi::{Seq, record::Entry};
use std::time::Duration;

/// A disk that takes longer is not waited for; it is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until all that is decided stands in its directories.
pub fn settle(session: &mut Session) -> Result<(), Fail> {
    // It is done, whether or not anybody can say where it stands.
    let Ok(status) = session.card("/sys/status") else { return Ok(()) };
    let mut left = status.number("unplaced");
    if left == 0 {
        return Ok(());
    }
    let mut follower = Follower::new(session, Seq(status.number("seq")))?;
    let deadline = Deadline::after(PATIENCE);
    while left > 0 {
        match follower.next(Some(deadline), None)? {
            Heard::Row(row) if matches!(row.record.body, Entry::Placed { .. }) => left -= 1,
            Heard::Row(_) | Heard::Woken | Heard::Preview(..) => {}
            Heard::Late => {
                let what = figures::plural(left, "operation");
                session.note(&format!("{what} still to be put into your directories"));
                break;
            }
        }
    }
    Ok(())
}
