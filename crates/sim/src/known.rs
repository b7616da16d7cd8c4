//! What hostile clients and models know of a workspace: ids that live, ids that are dead, paths at every
//! limit.

use crate::chance::Chance;
use abi::{CapId, OpId, Pid, ProposalId, VersionId};

/// Ids seen in the log so far.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Processes alive.
    pub pids: Vec<Pid>,
    /// Highest of each kind; everything below is or was.
    pub pid: Pid,
    /// See `pid`.
    pub version: VersionId,
    /// See `pid`.
    pub op: OpId,
    /// See `pid`.
    pub cap: CapId,
    /// Capabilities alive.
    pub caps: Vec<CapId>,
    /// Proposals that wait.
    pub proposals: Vec<ProposalId>,
    /// Versions of texts that can be merged, and where they stood.
    pub texts: Vec<(String, VersionId)>,
    /// Diverged versions that nobody has resolved, and where they stood.
    pub conflicts: Vec<(String, VersionId)>,
}

/// Plain paths, written again and again so that writers meet.
const PATHS: [&str; 12] = [
    "/data/a",
    "/data/b",
    "/data/c.md",
    "/data/c.md",
    "/data/d/m.txt",
    "/data/d/x",
    "/data/d/y",
    "/data/d/e/z",
    "/data/poison",
    "/data",
    "/data/d",
    "/home/n",
];
/// Paths that steer, are rendered, do not exist, or are a mount's.
const ODD_PATHS: [&str; 14] = [
    "/data/AGENTS.md",
    "/data/d/CLAUDE.md",
    "/data/.claude/x",
    "/agents/clerk/AGENT.md",
    "/sys/policy.yaml",
    "/sys/status",
    "/proc",
    "/proc/1/status",
    "/proposals",
    "/integrations/keyed",
    "/integrations/keyed/m1",
    "/integrations/opaque/m2",
    "/",
    "/data/.env",
];
/// Receivers; some stand in operators' tasks, some only in mails.
pub const RECEIVERS: [&str; 4] =
    ["anna@example.org", "bob@example.org", "mallory@evil.example", "all@lists.example"];

impl Known {
    /// A path, mostly one that others use too.
    pub fn path(&self, chance: &mut Chance) -> String {
        match chance.below(20) {
            0 => chance.word(&ODD_PATHS).to_owned(),
            1 => format!("/data/d/{}", "n".repeat(200 + chance.index(80))),
            2 => format!("/data{}", "/p".repeat(120 + chance.index(12))),
            3 => format!("/data/new{}", chance.below(50)),
            4 | 5 => chance.word(&ODD_PATHS).to_owned(),
            _ => chance.word(&PATHS).to_owned(),
        }
    }

    /// A process, mostly one that lives.
    pub fn pid(&self, chance: &mut Chance) -> Pid {
        match chance.below(8) {
            0 => Pid(chance.below(self.pid.0 + 3)),
            _ => chance.pick(&self.pids).copied().unwrap_or(Pid(1)),
        }
    }

    /// A version that is, was, or never will be.
    pub fn version(&self, chance: &mut Chance) -> VersionId {
        VersionId(chance.below(self.version.0 + 3))
    }

    /// A capability.
    pub fn cap(&self, chance: &mut Chance) -> CapId {
        match chance.below(5) {
            0 => CapId(chance.below(self.cap.0 + 3)),
            _ => chance.pick(&self.caps).copied().unwrap_or(CapId(1)),
        }
    }

    /// A proposal.
    pub fn proposal(&self, chance: &mut Chance) -> ProposalId {
        chance.pick(&self.proposals).copied().unwrap_or(ProposalId(chance.below(9)))
    }
}
