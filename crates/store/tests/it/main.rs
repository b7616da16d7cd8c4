//! The store from outside: scripts of changes against a model in memory, crashes, damage, full disks.

mod backup;
mod ceiling;
mod cost;
mod crash;
mod damage;
mod fold;
mod golden;
mod keep;
mod large;
mod log;
mod lookups;
mod many;
mod model;
mod named;
mod sealed;
mod search;
mod story;
mod undo;
mod wal;
