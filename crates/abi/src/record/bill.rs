//! Whose a model call is: what makes the record of its end one row of the ledger.

use crate::{
    Pid,
    money::{AccountName, Price},
};
use alloc::string::String;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Whose a model call is, and at what price: with it, the record of its end is one row of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Bill {
    /// The run it belongs to; 0: none.
    pub run: Pid,
    /// The agent, or the principal that called by itself.
    pub agent: String,
    /// Which model.
    pub model: String,
    /// The account it is charged to, and all above it.
    pub account: AccountName,
    /// What one token costs.
    pub price: Price,
}
