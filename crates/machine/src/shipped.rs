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
