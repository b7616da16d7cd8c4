//! The money a workspace is lent: renewed before a batch when half of it is used or the day has turned.
//!
//! First `node.db` settles and lends anew, then `Leased` tells the kernel: a crash between the two leaves a
//! workspace that believes it has less than it was lent, and every cent settled once (the mark in `node.db`).
//! Never here: what is spent on what.

use crate::{
    cell::Cell,
    guard::guard,
    journal,
    node::Node,
    post::Post,
    registry::{LEASE, day_of},
    turn::{Failed, Input, Room},
};
use abi::{Micros, event::Body, money::Nano};
use kernel::Kernel;
use store::node::Mark;

/// When little is left, it is asked for more no more often than this.
const ASK_US: u64 = 10_000_000;

/// What a workspace was last lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lent {
    /// Beyond what it had reserved then.
    free: Nano,
    /// For which day.
    day: u64,
    /// When; monotonic.
    asked: Micros,
}

impl Lent {
    /// What was granted now.
    pub fn of(granted: Nano, reserved: Nano, wall: Micros, mono: Micros) -> Self {
        Self { free: Nano(granted.0.saturating_sub(reserved.0)), day: day_of(wall), asked: mono }
    }

    /// Whether to ask for more, with so much of the lease left.
    fn is_due(&self, left: Nano, wall: Micros, mono: Micros) -> bool {
        let low = left.0 < LEASE.0 / 2;
        let half = left.0 < self.free.0 / 2;
        day_of(wall) != self.day || (low && (half || mono >= self.asked.saturating_add(ASK_US)))
    }
}

/// Where a kernel stands.
pub(crate) fn mark(kernel: &Kernel) -> Mark {
    Mark { seq: kernel.seq(), spent: kernel.spent() }
}

impl Node {
    /// Renews the lease of an awake workspace if that is due. Without node.db what stands goes on standing.
    pub(crate) fn renew(&self, cell: &Cell, room: &mut Room, post: &mut Post<'_>) -> Result<(), Failed> {
        let kernel = room.kernel();
        let (wall, mono) = (self.clock.wall(), self.clock.mono());
        if !guard(&cell.state).lent.is_due(kernel.lease_left(), wall, mono) {
            return Ok(());
        }
        let (mark, reserved) = (mark(kernel), kernel.reserved());
        let granted = match self.registry.renew(&cell.name, mark, reserved, wall) {
            Ok(granted) => granted,
            Err(trouble) => {
                self.heard(&trouble);
                guard(&cell.state).lent.asked = mono;
                journal::say(&cell.name, &format!("its money is not lent anew: {trouble}"));
                return Ok(());
            }
        };
        guard(&cell.state).lent = Lent::of(granted, reserved, wall, mono);
        let lease = Nano(mark.spent.0.saturating_add(granted.0));
        room.turn(vec![Input::now(&*self.clock, Body::Leased { lease }, Vec::new())], post).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1_000_000;

    #[test]
    fn more_is_asked_for_in_time_and_not_too_often() {
        let full = Lent::of(LEASE, Nano(0), DAY, 0);
        let poor = Lent::of(Nano(1_000), Nano(0), DAY, 0);
        let broke = Lent::of(Nano(50), Nano(50), DAY, 0);
        for (lent, left, wall, mono, due) in [
            (full, LEASE.0, DAY, 1, false),
            (full, LEASE.0 / 2, DAY, 1, false),
            (full, LEASE.0 / 2 - 1, DAY, 1, true),
            (full, LEASE.0, 2 * DAY, 1, true),
            (full, LEASE.0, 2 * DAY - 1, ASK_US, false),
            (poor, 600, DAY, 1, false),
            (poor, 400, DAY, 1, true),
            (poor, 600, DAY, ASK_US, true),
            (broke, 0, DAY, 1, false),
            (broke, 0, DAY, ASK_US, true),
        ] {
            assert_eq!(lent.is_due(Nano(left), wall, mono), due, "{lent:?} {left} {wall} {mono}");
        }
    }
}
