//! The only place of this crate that reads a clock or waits for one: a face stamps nothing, but it has to
//! know how long ago something was and when to stop waiting.
#![allow(clippy::disallowed_methods)]

use abi::Micros;
use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Wall time in microseconds since the epoch.
pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// Does nothing for so long.
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// A point in monotonic time after which somebody stops waiting.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    length: Duration,
}

impl Deadline {
    /// So far from now.
    pub fn after(length: Duration) -> Self {
        Self { started: Instant::now(), length }
    }

    /// What is left of it; none when it is over.
    pub fn left(&self) -> Option<Duration> {
        self.length.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero())
    }

    /// How long ago it was made.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
