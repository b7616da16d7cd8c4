//! The walls: what a program of an agent sees and can touch.
//!
//! Reading order: `view` (the tree as a process sees it, with what its programs write), `fuse` (a view as
//! ordinary files), `jail` (namespaces, Landlock, seccomp, limits: nothing else can be touched), `shell`
//! (bash over a view in this process, with no host at all), `host` (a directory that is bound, beneath which
//! alone anything is looked at or changed).
//!
//! Never here: a decision on who may what (the kernel compiles it into a view's plan), a path of the tree
//! that is opened on the host but by `host`, a thinner wall where one is missing. `unsafe` only in files that
//! allow it.
#![deny(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used))]

pub mod fuse;
pub mod host;
pub mod jail;
pub mod shell;
pub mod view;
