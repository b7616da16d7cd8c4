//! Motion: brings the kernel its events and carries out what it decided, in an order a power cut cannot
//! break.
//!
//! ```text
//! door ─▶ node ─▶ cell ─▶ turn ─▶ street: plan → facts → step → append ─▶ commit ─▶ post
//!   ▲ connection    │ pool, timer      (one transaction)                              │
//!   └───────────────┴────────────────── workers: models, mounts ◀─────────────────────┘
//! ```
//!
//! `turn`, `street`, `wake`, `job`, `render`, `tool`, `agents`, `policy` are synchronous functions without
//! threads, sockets or clocks of their own: the simulator drives exactly these. Around them `daemon` puts
//! threads of the standard library, each made in `spawn`. Time comes from `clock`, randomness from `random`.
//!
//! Never here: a decision. Who may, how much, what flows where stands in `kernel`.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used))]

pub mod agents;
mod annex;
mod apart;
mod around;
mod away;
mod ballast;
mod bound;
mod cell;
mod chat;
mod checkpoint;
pub mod clock;
mod connection;
pub mod daemon;
mod door;
pub mod draft;
mod endpoint;
mod exchange;
mod failure;
mod fold;
mod guard;
mod health;
pub mod job;
mod journal;
mod lease;
mod leave;
mod merge;
pub mod models;
mod mounts;
mod node;
mod operators;
mod passed;
pub mod policy;
mod pool;
mod post;
mod presets;
mod random;
mod registry;
pub mod render;
mod search;
mod secrets;
pub mod shipped;
mod sign;
mod spawn;
mod street;
mod timer;
pub mod token;
pub mod tool;
pub mod turn;
mod upload;
mod users;
mod vault;
pub mod wake;
mod walls;
mod workers;

pub use daemon::{Daemon, Error, Options, up};
/// First thing in `main` of whatever starts a daemon: goes on, unless this process is a helper of its walls.
pub use sandbox::jail::entry as enter_wall;

/// What a wall must hold at the least: without a group of its own, memory is limited process by process.
pub const LEAST: sandbox::jail::Need = sandbox::jail::Need::EachProcess;

/// What this host can enforce of a wall, each mechanism proved by trying it.
pub fn prove_walls() -> Vec<sandbox::jail::Mechanism> {
    sandbox::jail::Wall::new("/proc/self/exe").probe()
}
