//! What can be seen in a text before it runs: words that are not here, and whether it runs what cannot be
//! seen.
//!
//! ```text
//!   cargo test | tail -3          needs cargo
//!   f() { ls; }; f                plain: `f` is made here
//!   find . -exec $CMD {} \;       wary: files that are run are looked at first
//!   command -v python3            needs command: the answer is about real programs
//! ```

use super::{Native, words::known};
use bashkit::analysis::{ScriptAnalysis, analyze_with_limits, is_command_wrapper};

/// Depth of what is nested in a text.
pub(super) const DEPTH_MAX: usize = 64;
/// Steps of its parser.
pub(super) const FUEL: usize = 1_000_000;

/// What was seen.
pub(super) enum Screened {
    /// It cannot be run here.
    Needs(String),
    /// All that it runs is here.
    Plain,
    /// It may run files, or words that are made while it runs.
    Wary,
}

/// Looks at a text.
pub(super) fn screen(text: &str, native: Native) -> Screened {
    let Ok(found) = analyze_with_limits(text, DEPTH_MAX, FUEL) else {
        return if native == Native::May { Screened::Needs("bash".to_owned()) } else { Screened::Wary };
    };
    if native == Native::May
        && let Some(word) = missing(text, &found)
    {
        return Screened::Needs(word);
    }
    let names = found.commands.iter().filter_map(|command| command.name.as_deref());
    let runs = |name: &str| name == "find" || is_command_wrapper(name) || !known(name);
    if found.is_opaque() || names.into_iter().any(runs) { Screened::Wary } else { Screened::Plain }
}

/// The first word that is not here.
fn missing(text: &str, found: &ScriptAnalysis) -> Option<String> {
    // What these make can be a word too.
    let names = found.commands.iter().filter_map(|command| command.name.as_deref());
    let makes = names.into_iter().any(|name| ["alias", "eval", "source", "."].contains(&name));
    for command in &found.commands {
        let Some(name) = &command.name else { continue };
        let made = makes || found.functions.contains(name) || name.contains('/');
        if !made && !known(name) {
            return Some(name.clone());
        }
        let asks = |word: &&str| word.starts_with("-v") || word.starts_with("-V");
        let args = command.args.iter().filter_map(Option::as_deref);
        if name == "command" && args.clone().take(1).any(|word| asks(&word)) {
            return Some(name.clone());
        }
    }
    // It is no command, and knows only half of the times.
    if text.lines().any(|line| line.trim_start().starts_with("time ")) {
        return Some("time".to_owned());
    }
    if let Some(word) = unsure(text) {
        return Some(word.to_owned());
    }
    let device = |path: &str| path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/");
    let paths = found.redirects.iter().filter_map(|redirect| redirect.path.as_deref());
    paths.into_iter().find(|path| device(path)).map(str::to_owned)
}

/// Questions that are answered otherwise: of `[[`, whether an empty name stands for a file.
fn unsure(text: &str) -> Option<&str> {
    if !text.contains("[[") {
        return None;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let asks = |pair: &[&str]| match pair {
        ["-a" | "-d" | "-e" | "-r" | "-w" | "-x", name] => name.trim_start_matches('"').starts_with('$'),
        ["-ef" | "-N" | "-G" | "-R" | "-v", _] => true,
        _ => false,
    };
    words.windows(2).any(asks).then_some("[[")
}
