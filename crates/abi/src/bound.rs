//! Directories of the host that are part of the tree: what is different about what stands in them.

use crate::path::TreePath;

/// Names that agents or tools obey wherever they stand.
pub const STEERING_NAMES: [&str; 5] = ["AGENTS.md", "CLAUDE.md", ".mcp.json", ".agents", ".claude"];

/// What tools of the operator's run or obey by themselves when they come upon it, outside every wall: at any
/// depth of a bound directory, with all below it.
const HOST_EXECUTED: [&[&str]; 14] = [
    &[".bashrc"],
    &[".direnv"],
    &[".envrc"],
    &[".git", "config"],
    &[".git", "hooks"],
    &[".git", "info"],
    &[".github", "workflows"],
    &[".gitmodules"],
    &[".husky"],
    &[".idea"],
    &[".npmrc"],
    &[".profile"],
    &[".vscode"],
    &[".zshrc"],
];
/// The same, of names that end so.
const HOST_EXECUTED_END: &str = ".code-workspace";

/// Whether what stands at these names of a bound directory, or above it there, is kept from programs: it
/// steers agents, or tools outside run it. Programs may read it.
pub fn is_kept<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
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
    }
}

/// Whether a name is part of what is kept: it neither moves nor is moved onto, since what stands below would
/// become something else by that.
pub fn is_part(name: &str) -> bool {
    HOST_EXECUTED.iter().any(|words| words.first() == Some(&name)) || is_kept(core::iter::once(name))
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
    fn what_tools_outside_run_is_kept() {
        let kept = |path: &str| is_kept(path.split('/'));
        for path in [
            ".git/hooks/pre-commit",
            ".git/config",
            "vendor/lib/.git/config",
            ".vscode/tasks.json",
            "a/AGENTS.md",
            ".claude/settings.json",
            "x.code-workspace",
            ".github/workflows/ci.yml",
        ] {
            assert!(kept(path), "{path}");
        }
        for path in [
            ".git/objects/aa/bb",
            ".git/HEAD",
            "hooks/pre-commit",
            ".github/README",
            "src/config",
            "AGENTS.md.bak",
        ] {
            assert!(!kept(path), "{path}");
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
