//! Where a program listens.

use alloc::string::String;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// An address, and the program that listens there.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Port {
    /// `ADDRESS:PORT`.
    pub address: String,
    /// The program's name, as its host has it; `-` if nobody knows whose it is.
    pub program: String,
}
