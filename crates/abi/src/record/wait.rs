//! What is waited for.

use crate::{EffectId, ExecId, Pid, ProposalId, session::LaneName};
use alloc::string::String;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What a turn waits for before its tool call has an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitOn {
    /// A process ends.
    Process(Pid),
    /// A proposal is decided.
    Proposal(ProposalId),
    /// An effect ends.
    Effect(EffectId),
    /// Time passes.
    Time,
    /// A command ends.
    Exec(ExecId),
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerFor {
    /// A proposal expires.
    Proposal(ProposalId),
    /// A turn's `wait` ends.
    Wait(Pid),
    /// A turn goes on after a pause.
    Pause(Pid),
    /// An ended agent is started again with the task it had.
    Restart(Pid),
    /// The next dispatch of an agent's lane begins.
    Lane(String),
    /// Versions that no rule keeps any more are thinned.
    Thin,
    /// The time a process may take is over.
    Wall(Pid),
    /// The next dispatch of a session begins.
    Session(LaneName),
    /// The day's time of an agent's programs at their own service may be over.
    LoginDay(Pid),
}
