//! Threads: the one place they are made. Named, and with a small stack: a hundred idle ones must cost little.

use crate::journal;
use std::thread::Builder;

/// Address space for a stack; only pages that are touched count.
const STACK_BYTES: usize = 1024 * 1024;

/// Runs this in a thread of its own; false if the system gives none.
#[allow(clippy::disallowed_methods)] // seam: the one place for it
pub(crate) fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> bool {
    match Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run) {
        Ok(_) => true,
        Err(error) => {
            journal::say("threads", &format!("no thread for {name}: {error}"));
            false
        }
    }
}
