//! Time: the one seam. Everything that asks what time it is asks a `Clock`; the kernel gets it inside events.

use abi::Micros;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch; may jump.
    fn wall(&self) -> Micros;
    /// Microseconds since some start; never runs backwards.
    fn mono(&self) -> Micros;
}

/// The host's clocks.
pub struct Real {
    start: Instant,
}

impl Real {
    /// Monotonic time starts now.
    #[allow(clippy::disallowed_methods)] // seam: the one place for it
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for Real {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for Real {
    #[allow(clippy::disallowed_methods)] // seam: the one place for it
    fn wall(&self) -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn mono(&self) -> Micros {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Clocks that stand still until somebody sets them: for the simulator and for tests.
pub struct Given {
    wall: AtomicU64,
    mono: AtomicU64,
}

impl Given {
    /// Clocks that show these times.
    pub fn at(wall: Micros, mono: Micros) -> Self {
        Self { wall: AtomicU64::new(wall), mono: AtomicU64::new(mono) }
    }

    /// Both go on by so much.
    pub fn advance(&self, by: Micros) {
        self.wall.fetch_add(by, Ordering::Relaxed);
        self.mono.fetch_add(by, Ordering::Relaxed);
    }

    /// The wall clock jumps; the monotonic one does not.
    pub fn jump(&self, wall: Micros) {
        self.wall.store(wall, Ordering::Relaxed);
    }
}

impl Clock for Given {
    fn wall(&self) -> Micros {
        self.wall.load(Ordering::Relaxed)
    }

    fn mono(&self) -> Micros {
        self.mono.load(Ordering::Relaxed)
    }
}
