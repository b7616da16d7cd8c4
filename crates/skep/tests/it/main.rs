//! The real binary, from outside: a real daemon in a home of its own, the real command line, raw lines on the
//! real socket, real kills. Nothing here links to the daemon; `abi` gives the limits and the words only.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods)] // tests start daemons
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod hive;

mod acp;
mod audit;
mod bound;
mod chat;
#[cfg(feature = "guests")]
mod clis;
mod cost;
mod decisions;
mod demo;
mod disks;
mod draft;
mod effects;
mod egress;
mod endpoint;
mod exec;
mod files;
mod git;
mod guarded;
mod guests;
mod halts;
mod hostile;
mod kill;
mod labels;
mod large;
mod leave;
mod manual;
mod minutes;
mod operators;
#[cfg(feature = "otel")]
mod otel;
mod outside;
mod planner;
mod plans;
mod policy;
mod programs;
mod purge;
mod registries;
mod resume;
mod sdk;
mod search;
mod secrets;
mod top;
mod truth;
mod update;
mod users;
