//! The verifier against real workspaces, made by the store, and against what somebody with the disk does.

mod hostile;
mod rows;
mod tamper;
mod tree;
