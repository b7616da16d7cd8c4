//! The README's first five minutes, line by line, in a home that does not exist yet: what it shows is what is
//! said.

use crate::hive::Hive;
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

#[test]
fn the_readme_tells_what_happens() {
    let steps = transcript(&std::fs::read_to_string(README).unwrap());
    assert!(steps.len() >= 10, "{} commands", steps.len());
    assert!(steps.iter().filter(|step| !step.shown.is_empty()).count() >= 4, "it shows little");
    let hive = Hive::bare();
    for Step { command, shown } in steps {
        assert_eq!(command[0], "skep");
        let args: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        let ran = hive.cli(&args).fine();
        assert!(ran.took < Duration::from_secs(10), "{command:?} took {:?}", ran.took);
        if !shown.is_empty() {
            assert_eq!(ran.out.lines().collect::<Vec<_>>(), shown, "{command:?}");
        }
    }
}
