//! Why a process stands still.

use crate::{
    EffectId,
    money::{AccountName, Limit},
};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Why a process was frozen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// By an operator or a parent.
    Asked,
    /// A limit was reached.
    Limit {
        /// Of which account.
        account: AccountName,
        /// Which limit.
        limit: Limit,
    },
    /// It repeats itself without getting on.
    Loop {
        /// Calls without progress.
        calls: u32,
    },
    /// A model call was bought twice and both times the outcome was lost; thawing buys it once more.
    Lost {
        /// Which.
        effect: EffectId,
    },
    /// Its time is over; thawing gives it as much once more.
    Wall {
        /// How long it was given.
        us: u64,
    },
}
