//! The daemon in process on a real socket and real files: hostile clients, damaged files, poison.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod agents;
mod bench;
mod client;
mod damage;
mod golden;
mod hostile;
mod life;
#[cfg(feature = "plant")]
mod poison;
mod retention;
mod upload;
