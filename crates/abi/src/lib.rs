//! The words of Skep: every id, path, label, capability, amount, call, event, effect, record and error.
//!
//! This crate is what all others agree on and the only one that all others may see. It computes on the words
//! (match a pattern, join labels, add amounts, decode a call) and decides nothing: deciding is `kernel`'s.
//! Never here: IO, time, randomness, threads, hash-ordered maps.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used))]

extern crate alloc;

pub mod agent;
pub mod answer;
pub mod bound;
pub mod calendar;
pub mod call;
pub mod cap;
pub mod channel;
pub mod control;
pub mod effect;
pub mod error;
pub mod event;
pub mod fact;
pub mod halt;
pub mod hash;
pub mod ids;
pub mod label;
pub mod limits;
pub mod manifest;
pub mod model;
pub mod money;
pub mod net;
pub mod page;
pub mod path;
pub mod query;
pub mod record;
pub mod request;
pub mod result;
pub mod scan;
pub mod schema;
pub mod session;
pub mod tree;
pub mod view;
pub mod wire;

pub use error::{Code, Error};
pub use hash::{Content, EffectId, Hash};
pub use ids::*;
