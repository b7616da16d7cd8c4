//! The proving ground, as the default test run runs it: seeds, a canary that must be reported, planted bugs.

mod disk;
mod ground;
mod host;
mod hostile;
mod launder;
#[cfg(feature = "plant")]
mod planted;

use std::sync::RwLock;

/// A planted bug is alive in the whole process: who plants one holds this alone, all others hold it together.
static SOIL: RwLock<()> = RwLock::new(());
