//! Where on this host a program is, and which directories it needs to run: found from its name, never from
//! a file of a workspace. They are shown read-only, at their own paths.
//!
//! ```text
//! /usr/bin/git                                   → nothing: the host's programs are shown anyway
//! ~/.local/bin/claude → ~/.local/share/claude/…  → ~/.local/share/claude
//! ~/.nvm/versions/node/v22/bin/codex             → ~/.nvm/versions/node/v22     (bin/, lib/node_modules/)
//! /opt/x/node_modules/.bin/claude → ../@a/c/…    → /opt/x/node_modules
//! #!/usr/bin/env node, and node is in ~/.nvm     → that too
//! ~/.pyenv/shims/python3                         → passed over: it asks files of the home which one is meant
//! ```
//! Never here: a home as a whole, or what people keep keys in.

use crate::fail::Fail;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

/// What every sandbox shows.
const SHOWN: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// Below a home: where keys are.
const NEVER: [&str; 6] = [".ssh", ".aws", ".gnupg", ".config", ".kube", ".docker"];
/// Where version managers (pyenv, rbenv, asdf) have stand-ins.
const SHIMS: &str = "shims";
/// Bytes of a first line that names an interpreter.
const LINE_BYTES: u64 = 256;

/// A program of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The file that is run.
    pub path: PathBuf,
    /// Directories that are shown for it.
    pub tools: BTreeSet<PathBuf>,
    /// Directories that programs are looked for in, besides those of every sandbox.
    pub bins: Vec<PathBuf>,
}

/// Finds a program by its name or path; none that is only inside, or nowhere.
pub fn find(name: &str, path: &str, home: &Path) -> Result<Option<Found>, Fail> {
    let mut found = Found::default();
    let Some(file) = place(name, path) else { return Ok(None) };
    found.path = add(&mut found, &file, home)?;
    if let Some(word) = interpreter(&found.path)
        && let Some(file) = place(&word, path)
    {
        add(&mut found, &file, home)?;
    }
    Ok(Some(found))
}

/// A directory that is to be shown, if it may be.
pub fn may_show(dir: &Path, home: &Path) -> Result<PathBuf, Fail> {
    let refuse = |why: &str| {
        Err(Fail::usage(format!("{} is not shown to programs: {why}", dir.display()))
            .hint("name the directory of the one tool that is needed: --tool DIR"))
    };
    let Ok(real) = std::fs::canonicalize(dir) else { return refuse("it is not there") };
    let home = std::fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
    if home.starts_with(&real) {
        return refuse("it holds your home");
    }
    if NEVER.iter().any(|name| real.starts_with(home.join(name))) {
        return refuse("keys are kept there");
    }
    if !real.is_dir() {
        return refuse("it is no directory");
    }
    Ok(real)
}

fn is_shown(path: &Path) -> bool {
    SHOWN.iter().any(|dir| path.starts_with(dir))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// The file of this name on the path.
fn place(name: &str, path: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return std::path::absolute(name).ok().filter(|file| is_program(file));
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/') && !Path::new(dir).ends_with(SHIMS))
        .map(|dir| Path::new(dir).join(name))
        .find(|file| is_program(file))
}

/// Adds what this file needs; the file itself, behind every link.
fn add(found: &mut Found, file: &Path, home: &Path) -> Result<PathBuf, Fail> {
    let real = std::fs::canonicalize(file)?;
    if is_shown(&real) {
        return Ok(real);
    }
    let dir = may_show(&root(&real, home), home)?;
    found.tools.insert(dir);
    found.bins.extend(real.parent().map(Path::to_owned));
    Ok(real)
}

/// The directory that holds all of what a program came with.
fn root(real: &Path, home: &Path) -> PathBuf {
    let parts: Vec<Component<'_>> = real.components().collect();
    let up_to = |count: usize| parts.iter().take(count).collect::<PathBuf>();
    // Of a package, everything that was installed with it: the outermost directory of packages.
    let modules = parts.iter().position(|part| part.as_os_str() == OsStr::new("node_modules"));
    if let Some(at) = modules {
        let under_lib = at > 0 && parts.get(at - 1).is_some_and(|part| part.as_os_str() == OsStr::new("lib"));
        return up_to(if under_lib { at - 1 } else { at + 1 });
    }
    let share = home.join(".local/share");
    if let Ok(rest) = real.strip_prefix(&share)
        && let Some(first) = rest.components().next()
    {
        return share.join(first);
    }
    let parent = real.parent().unwrap_or(real);
    match parent.file_name() == Some(OsStr::new("bin")) {
        // A prefix of its own; where everything of a home is, the directory of programs alone.
        true => {
            let prefix = parent.parent().unwrap_or(parent);
            let common = prefix == home || prefix == home.join(".local") || home.starts_with(prefix);
            if common { parent.to_owned() } else { prefix.to_owned() }
        }
        false => parent.to_owned(),
    }
}

/// The program that a script is for: `#!/usr/bin/env node`, `#!/opt/x/bin/python`.
fn interpreter(file: &Path) -> Option<String> {
    let mut line = Vec::new();
    File::open(file).ok()?.take(LINE_BYTES).read_to_end(&mut line).ok()?;
    let line = String::from_utf8_lossy(line.strip_prefix(b"#!")?).into_owned();
    let mut words = line.lines().next()?.split_whitespace();
    let first = words.next()?;
    let mut rest = words.filter(|word| !word.starts_with('-'));
    if first.ends_with("/env") { rest.next().map(str::to_owned) } else { Some(first.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn directories_of_tools_are_found_from_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(dir.path()).unwrap().join("home");
        let node = home.join(".nvm/versions/node/v22");
        program(&node.join("bin/node"), "ELF");
        program(&node.join("lib/node_modules/@o/codex/bin/codex.js"), "#!/usr/bin/env node\n");
        symlink("../lib/node_modules/@o/codex/bin/codex.js", node.join("bin/codex")).unwrap();
        program(&home.join(".local/share/claude/versions/2.1"), "ELF");
        fs::create_dir_all(home.join(".local/bin")).unwrap();
        symlink("../share/claude/versions/2.1", home.join(".local/bin/claude")).unwrap();
        program(&home.join("work/node_modules/c/cli.js"), "#!/usr/bin/env node\n");
        program(&home.join("bin/own"), "#!/bin/sh\n");
        program(&home.join(".ssh/odd"), "#!/bin/sh\n");
        program(&home.join(".pyenv/shims/sh"), "#!/usr/bin/env bash\n");
        let path = format!(
            "{0}/.pyenv/shims:{0}/.local/bin:{1}/bin:{0}/bin:/usr/bin:/bin",
            home.display(),
            node.display()
        );
        let tools = |name: &str| {
            let found = find(name, &path, &home).unwrap()?;
            let below = |dir: &PathBuf| dir.strip_prefix(&home).unwrap_or(dir).display().to_string();
            Some(found.tools.iter().map(below).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(tools("sh").as_deref(), Some(""));
        assert_eq!(tools("claude").as_deref(), Some(".local/share/claude"));
        assert_eq!(tools("codex").as_deref(), Some(".nvm/versions/node/v22"));
        assert_eq!(tools("own").as_deref(), Some("bin"));
        let own = home.join("work/node_modules/c/cli.js").display().to_string();
        assert_eq!(tools(&own).as_deref(), Some(".nvm/versions/node/v22 work/node_modules"));
        assert_eq!(tools("nothing-of-this-name"), None);
        assert!(find(&home.join(".ssh/odd").display().to_string(), &path, &home).is_err());
        for dir in ["", ".ssh", ".."] {
            assert!(may_show(&home.join(dir), &home).is_err(), "{dir:?}");
        }
    }
}
