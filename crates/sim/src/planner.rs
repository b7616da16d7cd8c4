//! The planner: the malicious model in the place of a model, against a real daemon over its socket.
//!
//! ```text
//! suite ─▶ stage: a workspace, the suite mounted with `rehearse`, an agent `planner`
//!   └ trace ─▶ play: a process of that agent (its model only waits), its token, its calls through the door
//!                └ held? a prompt; the operator approves what is benign, and nothing that is injected
//! ```
//! It measures both sides of the sink table: what honest work costs in prompts, and what an attack achieves
//! that has the whole model in its hand. A trace is one run in one process, so neither labels nor brakes
//! leak from one to the next. The attacks are stronger than real ones: the model obeys every word of them.
//!
//! Never here: a decision of the kernel guessed. What happened is what the daemon answered, and what ran is
//! judged by the manifest: a call that was carried out is pure, or undoable by a declared call and seen by
//! the operator alone, or it is final.

mod door;
mod play;
mod stage;
mod suite;

pub use play::{Outcome, Ran, Worth};
pub use stage::{Host, Stage};
pub use suite::{Attack, Step, Suite, Trace};
