//! What a new workspace is given: files written as an act of the operator who made it. They are the
//! operator's from then on; a newer release changes none of them.

/// `/sys/policy.yaml`
pub const POLICY: &[u8] = include_bytes!("../shipped/policy.yaml");
/// `/sys/budget.yaml`
pub const BUDGET: &[u8] = include_bytes!("../shipped/budget.yaml");
/// `/sys/models.yaml`
pub const MODELS: &[u8] = include_bytes!("../shipped/models.yaml");
/// The dated table of prices; in no workspace.
pub const PRICES: &[u8] = include_bytes!("../shipped/prices.yaml");
/// `/AGENTS.md`
pub const AGENTS: &[u8] = include_bytes!("../shipped/AGENTS.md");
/// `/agents/helper/AGENT.md`
pub const HELPER: &[u8] = include_bytes!("../shipped/helper.md");

/// Where the policy stands.
pub const POLICY_PATH: &str = "/sys/policy.yaml";
/// Where the budget stands.
pub const BUDGET_PATH: &str = "/sys/budget.yaml";

/// Where tiers, providers and prices stand.
pub const MODELS_PATH: &str = "/sys/models.yaml";

/// Every file, in the order it is written. Policy and budget come last: once they stand they are loaded, and
/// a workspace with a policy is complete.
pub const FILES: [(&str, &[u8]); 5] = [
    ("/AGENTS.md", AGENTS),
    ("/agents/helper/AGENT.md", HELPER),
    (MODELS_PATH, MODELS),
    (POLICY_PATH, POLICY),
    (BUDGET_PATH, BUDGET),
];

/// Agents that every workspace has without a file of its own: recipes of programs that people use already. A
/// file of the workspace by the same name stands before them.
pub const GUESTS: [(&str, &[u8]); 7] = [
    ("guest", include_bytes!("../../../skills/guests/guest/AGENT.md")),
    ("claude", include_bytes!("../../../skills/guests/claude/AGENT.md")),
    ("claude-agent-acp", include_bytes!("../../../skills/guests/claude-agent-acp/AGENT.md")),
    ("codex", include_bytes!("../../../skills/guests/codex/AGENT.md")),
    ("gemini", include_bytes!("../../../skills/guests/gemini/AGENT.md")),
    ("opencode", include_bytes!("../../../skills/guests/opencode/AGENT.md")),
    ("goose", include_bytes!("../../../skills/guests/goose/AGENT.md")),
];

/// The recipe of this name.
pub fn guest(name: &str) -> Option<&'static [u8]> {
    GUESTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Hosts of services, by the words that stand for them.
pub const HOSTS: &str = include_str!("../shipped/hosts.txt");
