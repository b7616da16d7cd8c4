//! The walls as programs meet them: real sandboxes on this host, each thing tried inside and, as a control,
//! outside.
#![allow(clippy::disallowed_methods)] // tests read the clock, the environment, and start processes

mod bomb;
mod cell;
mod command;
mod crash;
mod escape;
mod everyday;
mod fuse;
mod listen;
mod ordinary;
mod probe;
mod speed;
mod tools;
