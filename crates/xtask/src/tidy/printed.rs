//! Every command line that Skep prints, and every one in its documents, is one that it takes: texts of the
//! crates that ship, README, SECURITY and docs/how are searched for `skep …`, and clap is asked.
//!
//! ```text
//! "thaw it: skep budget set {name} day AMOUNT, then skep thaw PID shows"
//!     → skep budget set 1 day 1   skep thaw 1
//! ```
//! A line may go on in prose: a beginning of it has to be a command, and what is left has to be plain words.
//! What stands for something is `1`; of `a|b` and `a · b` each is tried, of `[a]` with and without.

use super::{Finding, Source, Tree};
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Crates whose texts a user may see.
const SHIPPED: [&str; 8] = ["abi", "audit", "drivers", "kernel", "machine", "shell", "skep", "store"];
/// Texts that begin so and are not asked about: what keys are derived for, and what only builds with a
/// feature have.
const NOT_COMMANDS: [&str; 3] = ["process token", "event", "otel"];
/// Ways to write one line, at most.
const WAYS_MAX: usize = 64;

/// All of them.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let skep = shell::command();
    let mut found = Vec::new();
    for source in &tree.sources {
        let ships = source.path.contains("/src/") && SHIPPED.contains(&source.crate_name());
        let lines = if ships { literals(source) } else { Vec::new() };
        for (line, text) in lines {
            let wrong = wrong(&skep, &text);
            found.extend(wrong.map(|what| source.finding(line, "say-once", what)));
        }
    }
    let books = tree.books.iter().filter(|(path, _)| {
        ["README.md", "SECURITY.md"].contains(&path.as_str()) || path.starts_with("docs/how/")
    });
    for (path, text) in books {
        for (line, text) in quoted(text) {
            let what = wrong(&skep, &text);
            let finding = |what| Finding { file: path.clone(), line: line + 1, rule: "say-once", what };
            found.extend(what.map(finding));
        }
    }
    found
}

/// Literals of lines that are not tests.
fn literals(source: &Source) -> Vec<(usize, String)> {
    let lines = source.text.lines().zip(source.parts.code.lines()).zip(source.parts.comments.lines());
    let mut found = Vec::new();
    for (number, ((text, code), comments)) in lines.enumerate() {
        if source.tests.get(number).copied().unwrap_or(false) || !text.contains("skep ") {
            continue;
        }
        let blank = code.chars().zip(comments.chars()).map(|(code, comment)| code == ' ' && comment == ' ');
        let shown: String = text.chars().zip(blank).map(|(c, blank)| if blank { c } else { '\n' }).collect();
        let shown = shown.replace("\\\"", "\u{1}").replace('"', "\n").replace('\u{1}', "\"");
        found.extend(shown.split('\n').flat_map(commands).map(|text| (number, text)));
    }
    found
}

/// Lines of code blocks, and what stands between backticks.
fn quoted(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut block) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            block = !block;
            continue;
        }
        if block || line.starts_with("    skep ") {
            found.extend(commands(line).into_iter().map(|text| (number, text)));
        } else {
            let spans = line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("skep "));
            found.extend(spans.flat_map(commands).map(|text| (number, text)));
        }
    }
    found
}

/// The texts that begin with `skep ` and a word, each up to where it certainly ends.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let starts = text.match_indices("skep ").map(|(at, _)| at);
    for at in starts.filter(|at| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || "/.-_".contains(c)))
    {
        let rest = &text[at + "skep ".len()..];
        let rest = rest.split("skep ").next().unwrap_or("");
        let end = ["  ", ";", ", ", ": ", " > ", "…", "`", " (", ". ", ".\u{5c}n", "\\n"];
        let rest = end.iter().fold(rest, |rest, end| rest.split(end).next().unwrap_or(""));
        let rest = rest.trim_end_matches([' ', '·', ',', '.', ':', ')', '\\']).trim();
        let word = rest.starts_with(|c: char| c.is_ascii_lowercase() || "-[".contains(c));
        if word && !NOT_COMMANDS.iter().any(|not| rest.starts_with(not)) {
            found.extend(parted(rest));
        }
    }
    found
}

/// `why ID · op:7 · log PATH`: what begins with no command is another last word of the one before.
fn parted(text: &str) -> Vec<String> {
    let known = |word: &str| shell::command().find_subcommand(word).is_some();
    let mut found: Vec<String> = Vec::new();
    for part in text.split(" · ").map(str::trim) {
        let first = part.split(' ').next().unwrap_or("");
        match found.last().and_then(|last| last.rsplit_once(' ')) {
            Some((head, _)) if !known(first) => found.push(format!("{head} {part}")),
            _ => found.push(part.to_owned()),
        }
    }
    found
}

/// What is wrong with a command line, if anything is.
fn wrong(skep: &clap::Command, text: &str) -> Option<String> {
    let refused = ways(text).into_iter().find(|words| !taken(skep, words))?;
    Some(format!("`skep {}` is printed, and skep does not take it", refused.join(" ")))
}

/// Every way to write a line, with `1` for what stands for something.
fn ways(text: &str) -> Vec<Vec<String>> {
    let mut ways = vec![Vec::new()];
    for part in optional(text) {
        let words: Vec<Vec<String>> = match part {
            Part::Always(words) => alternatives(&words),
            Part::Perhaps(words) => std::iter::once(Vec::new()).chain(alternatives(&words)).collect(),
        };
        let longer = |way: &Vec<String>| {
            let way = way.clone();
            words.iter().map(move |more| [way.clone(), more.clone()].concat())
        };
        ways = ways.iter().flat_map(longer).take(WAYS_MAX).collect();
    }
    ways
}

enum Part {
    Always(String),
    Perhaps(String),
}

/// `restore FILE [--as NAME]` in parts.
fn optional(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for piece in text.split('[') {
        match piece.split_once(']') {
            Some((inside, after)) => {
                parts.extend([Part::Perhaps(inside.to_owned()), Part::Always(after.to_owned())]);
            }
            // What was opened and not closed goes on in the next line.
            None if parts.is_empty() => parts.push(Part::Always(piece.to_owned())),
            None => {}
        }
    }
    parts
}

/// `set ACCOUNT run|day` as words, twice. A bar between spaces parts options that exclude each other.
fn alternatives(text: &str) -> Vec<Vec<String>> {
    let mut ways = vec![Vec::new()];
    let text = text.split(" | ").next().unwrap_or("");
    for word in split(text) {
        let each: Vec<String> = word.split('|').map(stand_in).collect();
        let longer = |way: &Vec<String>| {
            let way = way.clone();
            each.iter().map(move |word| [way.clone(), vec![word.clone()]].concat())
        };
        ways = ways.iter().flat_map(longer).take(WAYS_MAX).collect();
    }
    ways
}

/// Words as a shell takes `"…"` and `'…'` apart.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (ix, part) in text.split(['"', '\'']).enumerate() {
        match ix % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}

/// `op:{operation}` → `op:1`, `PATH@12` → `1@12`.
fn stand_in(word: &str) -> String {
    let (mut out, mut rest) = (String::new(), word);
    while let Some((head, tail)) = rest.split_once('{') {
        out.push_str(head);
        out.push('1');
        rest = tail.split_once('}').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    let names = |part: &str| {
        let sign = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "+-".contains(c);
        let name = part.len() > 1 || part == "N";
        name && part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(sign)
    };
    let parts = out.split_inclusive([':', '@', '=', '/']);
    let shown = |part: &str| {
        let bare = part.trim_end_matches([':', '@', '=', '/']);
        if names(bare) { part.replace(bare, "1") } else { part.to_owned() }
    };
    parts.map(shown).collect()
}

/// Whether clap takes the line, or a beginning of it with nothing but prose behind.
fn taken(skep: &clap::Command, words: &[String]) -> bool {
    let is_prose = |rest: &[String]| {
        let plain = |word: &String| word.chars().all(|c| c.is_lowercase() || "',".contains(c));
        rest.first().is_none_or(plain) && !rest.iter().any(|word| word.starts_with('-'))
    };
    let parse = |words: &[String]| {
        let line = std::iter::once("skep").chain(words.iter().map(String::as_str));
        skep.clone().try_get_matches_from(line).map_err(Box::new)
    };
    // A word that is nearly one of ours is a slip and no prose.
    let slip = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg];
    if parse(words).is_err_and(|error| slip.iter().any(|kind| error.get(*kind).is_some())) {
        return false;
    }
    let mut command = skep;
    let named = words.iter().take_while(|word| {
        let below = command.find_subcommand(word);
        below.inspect(|below| command = below).is_some()
    });
    let named = named.count().max(1);
    (named..=words.len()).rev().any(|end| {
        let (line, rest) = words.split_at(end);
        // A command that is only mentioned is followed by nothing that stands for an argument.
        let mention = |error: Box<clap::Error>| is_mention(&error) && !rest.iter().any(|word| word == "1");
        is_prose(rest) && parse(line).map_or_else(mention, |_| true)
    })
}

/// Help; a command that is named without what it needs; a word of a closed set that is not said.
fn is_mention(error: &clap::Error) -> bool {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::MissingRequiredArgument => true,
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        ErrorKind::InvalidValue => {
            error.get(ContextKind::InvalidValue) == Some(&ContextValue::String("1".to_owned()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_and_what_is_not() {
        let skep = shell::command();
        let refused = |text: &str| -> Vec<String> {
            commands(text).iter().filter_map(|text| wrong(&skep, text)).collect()
        };
        for fine in [
            "hint: skep undo op:{operation} takes it back",
            "skep approve ID · reject ID · answer ID TEXT · endorse PATH",
            "skep why ID · op:7 · PATH      the rule",
            "skep budget set {name} run|day AMOUNT, then skep thaw PID",
            "skep allow KIND VALUE [--mount NAME], skep allow --remove KIND VALUE",
            "the state lies in /home/skep below it; skep.1",
            "skep run \"do it\" -d",
            "skep --help",
        ] {
            assert_eq!(refused(fine), Vec::<String>::new(), "{fine}");
        }
        for bad in [
            "skep thwa PID",
            "skep thaw PID PID",
            "see: skep ps --al",
            "skep policy chekc FILE",
            "skep budget set ACCOUNT week AMOUNT",
            "skep retain PATTERN last N|days N|all",
        ] {
            assert_eq!(refused(bad).len(), 1, "{bad}");
        }
    }
}
