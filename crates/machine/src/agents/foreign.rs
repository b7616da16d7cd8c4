//! A subagent file of Claude Code is a valid AGENT.md: its words in ours.
//!
//! ```text
//! tools: Read, Bash, Task   →   read, bash; withheld: tool Task
//! model: haiku              →   fast
//! hooks: …                  →   withheld: key hooks
//! ```
//! It knows no `needs`: it asks for what its tools are for, below /data, and policy grants as ever. What has
//! no meaning here is told at every start; nothing is ever granted for it.

use super::Front;
use abi::call;

/// The tier for work that wants thought.
pub const SMART: &str = "smart";
const FAST: &str = "fast";

/// Keys that such a file may have and that mean nothing here.
pub const KEYS: [&str; 10] = [
    "permissionMode",
    "maxTurns",
    "mcpServers",
    "hooks",
    "color",
    "memory",
    "background",
    "effort",
    "isolation",
    "initialPrompt",
];

/// What it has that says nothing of tools.
pub const INHERITED: [&str; 4] = ["list", "read", "search", "write"];

/// Their tools, and ours that do the same; none for what no tool of ours does.
const TOOLS: [(&str, &[&str]); 25] = [
    ("Read", &["read"]),
    ("Write", &["write"]),
    ("Edit", &["write"]),
    ("MultiEdit", &["write"]),
    ("Grep", &["search", "list"]),
    ("Glob", &["search", "list"]),
    ("LS", &["list"]),
    ("Agent", &[]),
    ("AskUserQuestion", &[]),
    ("Bash", &[call::BASH]),
    ("BashOutput", &[]),
    ("EnterPlanMode", &[]),
    ("ExitPlanMode", &[]),
    ("KillShell", &[]),
    ("LSP", &[]),
    ("ListMcpResourcesTool", &[]),
    ("NotebookEdit", &[]),
    ("NotebookRead", &[]),
    ("ReadMcpResourceTool", &[]),
    ("Skill", &[]),
    ("SlashCommand", &[]),
    ("Task", &[]),
    ("TodoWrite", &[]),
    ("WebFetch", &[]),
    ("WebSearch", &[]),
];

/// Ours for one of theirs; none if it is not one of theirs. A pattern behind it, as in `Bash(git:*)`, narrows
/// what is not granted anyway.
pub fn tools(word: &str) -> Option<&'static [&'static str]> {
    let name = word.split('(').next().unwrap_or(word).trim();
    // Nothing here narrows what a shell may run.
    let narrowed = name == "Bash" && word.contains('(');
    if name.starts_with("mcp__") || narrowed {
        return Some(&[]);
    }
    TOOLS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// Their tools.
pub fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(theirs, _)| *theirs)
}

/// Whether their word stands for our tool.
pub fn is(word: &str, tool: &str) -> bool {
    tools(word).is_some_and(|ours| ours.contains(&tool))
}

/// Our tier for their model.
pub fn model(word: &str) -> Option<&'static str> {
    match word {
        "opus" | "sonnet" | "inherit" => Some(SMART),
        "haiku" => Some(FAST),
        _ => None,
    }
}

/// Whether a file without needs is one that knows none: it names no tools, or some of theirs.
pub fn knows_no_needs(front: &Front<'_>) -> bool {
    let Some(node) = front.get("tools") else { return true };
    let words = node.words("tools").unwrap_or_default();
    node.is_text() || words.iter().any(|(_, word)| tools(word).is_some())
}

/// What these tools are for.
pub fn needs(tools: &[String]) -> impl Iterator<Item = &'static str> {
    let has = |any: &[&str]| tools.iter().any(|tool| any.contains(&tool.as_str()));
    let runs = has(&[call::BASH]).then_some("exec /data/**");
    let reads = has(&["read", "list", "search", call::BASH]).then_some(["read /AGENTS.md", "read /data/**"]);
    let writes = has(&["write", call::BASH]).then_some("write /data/**");
    reads.into_iter().flatten().chain(writes).chain(runs)
}

/// Keys of the file that mean nothing here, as it will be told.
pub fn ignored(front: &Front<'_>) -> impl Iterator<Item = String> {
    KEYS.iter().filter(|key| front.contains_key(**key)).map(|key| format!("key {key}: it means nothing here"))
}
