//! Time in a run: stands still until the rig moves it, jumps when the rig says so, and can be made to
//! break, which ends whatever is being decided as a crash of the machine would.

use abi::Micros;
use machine::clock::{Clock, Given};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a crash that was meant unwinds with.
pub struct Meant;

/// A clock with a fuse.
pub struct Watch {
    given: Given,
    /// Looks at the clock until it breaks; 0 means never.
    fuse: AtomicU64,
}

impl Watch {
    /// One that shows this wall time.
    pub fn at(wall: Micros) -> Self {
        Self { given: Given::at(wall, 1_000_000), fuse: AtomicU64::new(0) }
    }

    /// Time goes on.
    pub fn advance(&self, by: Micros) {
        self.given.advance(by);
    }

    /// The wall clock is set.
    pub fn jump(&self, wall: Micros) {
        self.given.jump(wall);
    }

    /// It will break when it is looked at for this time from now; never, if 0.
    pub fn set_fuse(&self, looks: u64) {
        self.fuse.store(looks, Ordering::Relaxed);
    }

    fn burn(&self) {
        let left = self.fuse.load(Ordering::Relaxed);
        if left > 0 {
            self.fuse.store(left - 1, Ordering::Relaxed);
        }
        if left == 1 {
            std::panic::resume_unwind(Box::new(Meant));
        }
    }
}

impl Clock for Watch {
    fn wall(&self) -> Micros {
        self.burn();
        self.given.wall()
    }

    fn mono(&self) -> Micros {
        self.burn();
        self.given.mono()
    }
}
