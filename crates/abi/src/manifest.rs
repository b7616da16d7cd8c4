//! What a driver declares of its effects. What a manifest does not list does not exist for that mount.

use alloc::{string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What kind of consequence an effect has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// None outside.
    Pure,
    /// Can be taken back by a declared call, and only the operator sees it.
    Reversible,
    /// Others see it, or it cannot be taken back.
    ExternalIrreversible,
}

/// What may be done when an effect's outcome is unknown after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// Run it again: doing it twice is doing it once.
    Repeat,
    /// Run it again with the same key; the other side drops the second.
    Keyed,
    /// Ask the other side whether it happened, then adopt or repeat.
    Probe,
    /// Nobody can know: hold it in doubt and ask the operator.
    Opaque,
}

/// One kind of effect of one driver.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Kind {
    /// As `mail.send`.
    pub name: String,
    /// Its consequence.
    pub class: Class,
    /// Arguments that say where it goes: receiver, host, thing booked or destroyed.
    pub steering: Vec<String>,
    /// All other arguments it takes.
    pub payload: Vec<String>,
    /// What to do after a crash.
    pub recovery: Recovery,
}

/// All that one driver declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Manifest {
    /// Its effects.
    pub kinds: Vec<Kind>,
}

impl Manifest {
    /// The effect kind of this name.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}
