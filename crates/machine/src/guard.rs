//! Locks. A thread that panicked while it held one has already been accounted for (its workspace is dropped),
//! so a poisoned lock is taken as it is. Order where two are held: cell state, then one of desk, errands and
//! mounts, then connection.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Takes the lock.
pub(crate) fn guard<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be told, or until so many microseconds are over.
pub(crate) fn wait<'a, T>(told: &Condvar, held: MutexGuard<'a, T>, at_most_us: u64) -> MutexGuard<'a, T> {
    let most = Duration::from_micros(at_most_us);
    told.wait_timeout(held, most).unwrap_or_else(PoisonError::into_inner).0
}
