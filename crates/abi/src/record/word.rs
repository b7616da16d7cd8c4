//! A word for each kind of entry: what records are called where they are listed.

use super::Entry;

impl Entry {
    /// A word for what it is.
    pub fn word(&self) -> &'static str {
        match self {
            Self::PortOpened { .. } | Self::PortClosed { .. } | Self::Forwarded { .. } => self.of_port(),
            Self::Genesis { .. } => "genesis",
            Self::Woke { .. } => "woke",
            Self::PolicyLoaded { .. } => "policy",
            Self::Priced { .. } => "priced",
            Self::Mounted { .. } => "mounted",
            Self::Unmounted { .. } => "unmounted",
            Self::LabelDefined { .. } => "label",
            Self::AccountOpened { .. } => "account",
            Self::LimitSet { .. } => "limit",
            Self::Spawned { .. } => "spawned",
            Self::Granted { .. } => "granted",
            Self::Revoked { .. } => "revoked",
            Self::Saw { .. } => "saw",
            Self::Wrote { .. } => "wrote",
            Self::Refused { .. } => "refused",
            Self::ModelIntended { .. } => "model",
            Self::ModelExtended { .. } => "model-extended",
            Self::ModelAnswered { .. } => "answered",
            Self::ModelFailed { .. } => "model-failed",
            Self::ModelLost { .. } => "model-lost",
            Self::Tool { .. } => "tool",
            Self::ToolWaits { .. } => "tool-waits",
            Self::Proposed { .. } => "proposed",
            Self::Decided { .. } => "decided",
            Self::Lapsed { .. } => "lapsed",
            Self::Intended { .. } => "intended",
            Self::Dispatched { .. } => "dispatched",
            Self::EffectEnded { .. } => "effect-ended",
            Self::InDoubt { .. } => "in-doubt",
            Self::Exited { .. } => "exited",
            Self::Frozen { .. } => "frozen",
            Self::Thawed { .. } => "thawed",
            Self::Queued { .. } => "queued",
            Self::Dequeued { .. } => "dequeued",
            Self::Steered { .. } => "steered",
            Self::Stalled { .. } => "stalled",
            Self::TimerSet { .. } => "timer",
            Self::TimerGone { .. } => "timer-gone",
            Self::ClockJumped { .. } => "clock-jumped",
            Self::Quarantined { .. } => "quarantined",
            Self::Leased { .. } => "leased",
            Self::Purged { .. } => "purged",
            Self::RetainSet { .. } => "retain",
            Self::Thinned { .. } => "thinned",
            Self::Endorsed { .. } => "endorsed",
            Self::Forked => "forked",
            Self::ModelsLoaded { .. } => "models",
            Self::FellBack { .. } => "fell-back",
            Self::SecretSet { .. } => "secret",
            Self::Stopped => "stopped",
            Self::Lifted => "lifted",
            Self::Warned { .. } => "warned",
            Self::OperatorSet { .. } => "operator",
            Self::ExecBegun { .. } => "exec",
            Self::ExecEnded { .. } => "exec-ended",
            Self::ExecSaid { .. } => "said",
            Self::ExecChecked { .. } => "checked",
            Self::Bound { .. } => "bound",
            Self::Unbound { .. } => "unbound",
            Self::Placed { .. } => "placed",
            Self::Drafted { .. } => "drafted",
            Self::DraftEnded { .. } => "draft-ended",
            Self::Connected { .. } => "connected",
            Self::ExecClaimed { .. } => "claimed",
        }
    }

    fn of_port(&self) -> &'static str {
        match self {
            Self::PortOpened { .. } => "port-opened",
            Self::PortClosed { .. } => "port-closed",
            _ => "forwarded",
        }
    }
}
