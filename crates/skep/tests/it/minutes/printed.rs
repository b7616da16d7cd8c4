//! Commands that output names, taken out of it:
//!
//! ```text
//! hint: skep model add anthropic; or export X=KEY, …        skep model add anthropic
//! hint: skep run "say hello" · skep model list              skep run "say hello" and skep model list
//!   skep doctor      what is wrong on this host             skep doctor
//! ```

use crate::hive::Ran;

/// Words of prose that may follow a command in a sentence.
const PROSE: [&str; 16] = [
    "brings", "starts", "keeps", "shows", "takes", "sets", "lifts", "says", "tells", "and", "or", "then",
    "first", "once", "works", "gives",
];

/// All of them, in order.
pub fn commands(ran: &Ran) -> Vec<String> {
    let hints = ran.err.lines().chain(ran.out.lines()).filter(|line| {
        line.starts_with("hint: ")
            || line.starts_with("  skep ")
            || [" · skep ", "; skep "].iter().any(|sign| line.contains(sign))
    });
    let mut found: Vec<String> = Vec::new();
    for line in hints {
        // What follows a command on a list is its meaning.
        let all = if line.starts_with("  skep ") { 1 } else { usize::MAX };
        for (at, _) in line.match_indices("skep ").take(all) {
            let before = line[..at].chars().next_back();
            if before.is_none_or(|sign| sign == ' ') && !line[..at].ends_with("usage: ") {
                found.push(cut(&line[at..]));
            }
        }
    }
    found
}

/// The command that a text begins with.
fn cut(text: &str) -> String {
    let ends = ["   ", "; ", " · ", ", ", ": ", " ("];
    let end = ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    let words = text[..end].split(' ');
    words.take_while(|word| !PROSE.contains(word)).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The same with something for each word that stands for something.
pub fn filled(command: &str) -> Vec<String> {
    let mut args: Vec<String> = super::words(command).into_iter().skip(1).collect();
    let page = args.first().is_some_and(|word| word == "man");
    for arg in &mut args {
        let value = match arg.as_str() {
            "NAME" if page => "read",
            "SECTION" => "2",
            "AGENT" => "helper",
            "ACCOUNT" => "agent:helper",
            "AMOUNT" => "1",
            "PID" | "ID" => "1",
            other => other,
        };
        *arg = value.to_owned();
    }
    args
}

#[test]
fn a_command_is_found_where_it_is_named() {
    let text = "error: no\nhint: skep model add anthropic keeps it; or export X=KEY\n\
                hint: skep run \"say hello\" · skep model list\nhint: usage: skep ps --all\n";
    let ran = Ran {
        code: 1,
        out: "  skep demo    a bad night, skep or not\n".into(),
        err: text.into(),
        took: std::time::Duration::ZERO,
    };
    let want = ["skep model add anthropic", "skep run \"say hello\"", "skep model list", "skep demo"];
    assert_eq!(commands(&ran), want);
    assert_eq!(filled("skep man SECTION NAME"), ["man", "2", "read"]);
}
