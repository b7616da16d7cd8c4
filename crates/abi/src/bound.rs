//! Directories of the host that are part of the tree: what is different about what stands in them.

use crate::{
    path::{self, TreePath},
    tree::Node,
};

/// Names that agents or tools obey wherever they stand.
pub const STEERING_NAMES: [&str; 14] = [
    "AGENTS.md",
    "CLAUDE.md",
    "GEMINI.md",
    ".mcp.json",
    ".agents",
    ".claude",
    ".codex",
    ".cursor",
    ".cursorrules",
    ".gemini",
    ".goosehints",
    ".opencode",
    "opencode.json",
    "opencode.jsonc",
];

/// What tools of the operator's run or obey by themselves when they come upon it, outside every wall: at
/// any depth of a bound directory, with all below it.
const HOST_EXECUTED: [&[&str]; 17] = [
    &[".bashrc"],
    &[".devcontainer"],
    &[".direnv"],
    &[".envrc"],
    &[".github", "copilot-instructions.md"],
    &[".github", "workflows"],
    &[".gitmodules"],
    &[".husky"],
    &[".idea"],
    &[".npmrc"],
    &[".pre-commit-config.yaml"],
    &[".profile"],
    &[".vscode"],
    &[".yarnrc.yml"],
    &[".zed"],
    &[".zprofile"],
    &[".zshrc"],
];
/// The same, of names that end so.
const HOST_EXECUTED_END: &str = ".code-workspace";
/// What git obeys or runs in a repository, and in those of its submodules and worktrees: `commondir` says
/// where the others are read instead.
const GIT: [&str; 5] = ["commondir", "config", "config.worktree", "hooks", "info"];
/// An example of a hook is none.
const SAMPLE_END: &str = ".sample";

/// Whether what stands at these names of a bound directory, or above it there, steers agents or is obeyed
/// by tools outside: what a program changes there waits for an operator. Nobody works in what is installed
/// below a scratch directory, where packages bring files of that kind along.
pub fn is_guarded<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
    let mut rest = names;
    loop {
        let here = rest.clone();
        let Some(name) = rest.next() else { return false };
        let begins = |words: &&[&str]| {
            let mut here = here.clone();
            words.iter().all(|word| here.next() == Some(word))
        };
        let steers = STEERING_NAMES.contains(&name) || name.ends_with(HOST_EXECUTED_END);
        if steers || HOST_EXECUTED.iter().any(begins) {
            return true;
        }
        if name == ".git" {
            return git_obeys(rest);
        }
        if path::SCRATCH.contains(&name) {
            return false;
        }
    }
}

/// The same of something of this kind: git follows a file or link called `.git`, and a link called
/// `.github` or so would lend another place's name to what is behind it.
pub fn is_guarded_as<'a>(names: impl DoubleEndedIterator<Item = &'a str> + Clone, node: Node) -> bool {
    let lends = || {
        let last = names.clone().next_back();
        matches!(node, Node::File | Node::Link)
            && last.is_some_and(is_part)
            && !path::is_scratch_below(names.clone())
    };
    is_guarded(names.clone()) || lends()
}

/// The same of the names below `.git`.
fn git_obeys<'a>(mut names: impl Iterator<Item = &'a str> + Clone) -> bool {
    let first = names.next();
    if matches!(first, Some("modules" | "worktrees")) {
        return names.clone().any(|name| GIT.contains(&name)) && !is_sample(names);
    }
    first.is_some_and(|name| GIT.contains(&name)) && !is_sample(names)
}

fn is_sample<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    names.last().is_some_and(|name| name.ends_with(SAMPLE_END))
}

/// Whether nothing is guarded below these names, since something installed lies there.
pub fn is_spared<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| path::SCRATCH.contains(&name))
}

/// Whether a name is part of what is guarded: it neither moves nor is moved onto, since what stands below
/// would become something else by that. Git follows a file of that name, so that it is a directory or
/// guarded itself.
pub fn is_part(name: &str) -> bool {
    name == ".git"
        || HOST_EXECUTED.iter().any(|words| words.first() == Some(&name))
        || is_guarded(core::iter::once(name))
}

/// The names of a path below a bound directory; none if it is not there.
pub fn names_below<'a>(
    path: &'a TreePath,
    dir: &TreePath,
) -> Option<impl DoubleEndedIterator<Item = &'a str> + Clone> {
    let rest = path.as_str().get(dir.as_str().len()..).filter(|_| path.is_below(dir))?;
    Some(rest.split('/').filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_outside_run_is_guarded() {
        let guarded = |path: &str| is_guarded(path.split('/'));
        for path in [
            ".git/hooks/pre-commit",
            ".git/config",
            "vendor/lib/.git/config",
            ".vscode/tasks.json",
            "a/AGENTS.md",
            ".claude/settings.json",
            "x.code-workspace",
            ".github/workflows/ci.yml",
            ".git/commondir",
            ".git/modules/lib/hooks/post-checkout",
            ".git/modules/a/b/config",
            ".git/worktrees/x/commondir",
            ".cursor/mcp.json",
            ".git/hooks/node_modules/x",
        ] {
            assert!(guarded(path), "{path}");
        }
        for path in [
            ".git/objects/aa/bb",
            ".git/HEAD",
            "hooks/pre-commit",
            ".github/README",
            "src/config",
            "AGENTS.md.bak",
            ".git/refs/heads/config",
            ".git/hooks/pre-commit.sample",
            ".git/logs/refs/heads/hooks",
            "node_modules/x/.npmrc",
            "target/package/x/.git/config",
        ] {
            assert!(!guarded(path), "{path}");
        }
        assert!(is_part(".git") && is_part(".github") && is_part("CLAUDE.md") && !is_part("src"));
    }

    #[test]
    fn names_are_those_below() {
        let path = TreePath::parse("/home/a/shop/src/x").unwrap();
        let below = |dir: &str| {
            names_below(&path, &TreePath::parse(dir).unwrap())
                .map(|names| names.collect::<alloc::vec::Vec<_>>())
        };
        assert_eq!(below("/home/a/shop"), Some(alloc::vec!["src", "x"]));
        assert_eq!(below("/home/a/shopping"), None);
        assert_eq!(below("/home/a/shop/src/x"), Some(alloc::vec![]));
    }
}
