//! The README's first five minutes, line by line, in a home that does not exist yet: what it shows is what is
//! said, to root and to an ordinary user; and what the first screen offers can be done.

use crate::{
    hive::{Hive, Ran},
    users::User,
};
use std::time::Duration;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// A command of the transcript and the lines that are shown below it.
struct Step {
    command: Vec<String>,
    shown: Vec<String>,
}

/// The words of a line, as a shell takes `"…"` apart.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (ix, part) in line.split('"').enumerate() {
        match ix % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}

fn transcript(readme: &str) -> Vec<Step> {
    let block = readme.split("```console\n").nth(1).expect("a console block");
    let block = block.split("```").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step { command: words(command), shown: Vec::new() }),
            None => steps.last_mut().expect("a command first").shown.push(line.to_owned()),
        }
    }
    steps
}

/// Plays it all: every command ends well, and says what is shown below it.
fn play(skep: impl Fn(&[&str]) -> Ran) {
    let steps = transcript(&std::fs::read_to_string(README).unwrap());
    assert!(steps.len() >= 10, "{} commands", steps.len());
    assert!(steps.iter().filter(|step| !step.shown.is_empty()).count() >= 4, "it shows little");
    for Step { command, shown } in steps {
        assert_eq!(command[0], "skep");
        let args: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        let ran = skep(&args).fine();
        assert!(ran.took < Duration::from_secs(10), "{command:?} took {:?}", ran.took);
        if !shown.is_empty() {
            assert_eq!(ran.out.lines().collect::<Vec<_>>(), shown, "{command:?}");
        }
    }
}

#[test]
fn the_readme_tells_what_happens() {
    let hive = Hive::bare();
    play(|args| hive.cli(args));
}

#[test]
fn the_readme_tells_what_happens_to_an_ordinary_user() {
    let user = User::new();
    play(|args| user.skep(args));
}

/// Commands that a screen offers: lines that begin with one, up to the gap before its meaning.
fn offered(screen: &str) -> Vec<String> {
    let lines = screen.lines().filter_map(|line| line.strip_prefix("  skep "));
    lines.map(|line| line.split("   ").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn what_the_first_screens_offer_can_be_done() {
    let user = User::new();
    let asleep = offered(&user.skep(&[]).fine().out);
    assert!(asleep.len() >= 4, "{asleep:?}");
    user.skep(&["up", "-d"]).fine();
    let awake = offered(&user.skep(&[]).fine().out);
    assert!(awake.len() >= 4, "{awake:?}");
    for command in asleep.iter().chain(&awake) {
        let words = words(command);
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        // What needs a model, a key or a person, and what does not end, shows that it is known.
        let waits = ["run", "model", "trace", "why"].contains(&args[0]);
        if waits {
            args.push("--help");
        }
        let ran = user.skep(&args).fine();
        assert!(!waits || ran.out.contains("Usage: skep"), "{command}: {ran:?}");
    }
}
