//! Whose a model call is: what makes the record of its end one row of the ledger. And who set what limits it.

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

/// Who said what a limit is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetBy {
    /// An operator's word; it stands until the file says something new.
    #[default]
    Word,
    /// `/sys/budget.yaml` and the agent's own file.
    File,
}
