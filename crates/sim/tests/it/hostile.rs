//! Every fuzz target over its corpus, and over changes of it drawn from a seed. An input that panics or hangs
//! is printed; it becomes a file of `fuzz/corpus/TARGET/` with the repair.

use sim::{
    chance::Chance,
    hostile::{TARGETS, Target, mutated},
};
use std::{fs, path::Path, sync::mpsc, thread, time::Duration};

/// Inputs drawn for each target; together they take about four seconds.
const DRAWN: [(&str, u64); 12] = [
    ("log", 200),
    ("database", 300),
    ("wire", 60_000),
    ("path", 1_200),
    ("frontmatter", 20_000),
    ("manifest", 20_000),
    ("shown", 20_000),
    ("acp", 20_000),
    ("messages", 3_000),
    ("chat", 3_000),
    ("responses", 3_000),
    ("gemini", 3_000),
];
/// No input may take this long, on however slow a machine.
const HANGS: Duration = Duration::from_secs(20);

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Hands the target one input after another, on a thread of its own, so that one that hangs can be named.
fn tried(name: &str, target: Target, inputs: Vec<Vec<u8>>) {
    let (told, hear) = mpsc::channel();
    let run = inputs.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        for input in run {
            target(&input);
            told.send(()).unwrap();
        }
    });
    for input in &inputs {
        if hear.recv_timeout(HANGS).is_err() {
            panic!("{name} panics or hangs at {:?}", input.escape_ascii().to_string());
        }
    }
    thread.unwrap().join().unwrap();
}

#[test]
fn the_corpus_and_changes_of_it_are_survived() {
    let _together = crate::SOIL.read().unwrap();
    for (name, target) in TARGETS {
        let drawn = DRAWN.iter().find(|(of, _)| *of == name).map_or(0, |(_, count)| *count);
        let mut inputs = corpus(name);
        assert!(inputs.len() >= 3, "{name} has no corpus");
        let mut chance = Chance::of(1, name.as_bytes());
        for _ in 0..drawn {
            let (one, other) = (chance.pick(&inputs).unwrap().clone(), chance.pick(&inputs).unwrap().clone());
            let new = mutated(&one, &other, &mut chance);
            inputs.push(new);
        }
        tried(name, target, inputs);
    }
}
