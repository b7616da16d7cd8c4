//! shell: a line in the virtual shell, over a view of a tree in memory, each time a new one. The commit of
//! what it changed is that of any command, and is in the promises of `command`.

use super::{Rig, Row, Target, Times, beside};
use sandbox::shell::trial;
use std::path::Path;

const ROUNDS: usize = 5_000;
/// As often by the host's bash, in a directory on disk.
const HOST_ROUNDS: usize = 200;
const LINES: [(&str, &str); 3] = [
    ("echo x > f && cat f", "a line that writes and reads"),
    ("grep -n beta a.txt | cut -d: -f1", "a pipe of two words"),
    ("for i in 1 2 3; do echo $i >> log; done; wc -l < log", "a loop"),
];

/// Measures it.
pub fn shell(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let host = tempfile::tempdir_in(rig.root.join("target")).map_err(|error| error.to_string())?;
    std::fs::write(host.path().join("a.txt"), "alpha\nbeta\ngamma\n").map_err(|error| error.to_string())?;
    LINES.iter().map(|(text, part)| row(rig, text, part, host.path())).collect()
}

fn row(rig: &Rig<'_>, text: &str, part: &'static str, host: &Path) -> Result<Row, String> {
    let spool = rig.root.join("target");
    let mut times = Times::default();
    for time in trial::times(text, ROUNDS, &spool).map_err(|error| error.to_string())? {
        times.push(time);
    }
    rig.beside(part, &mut beside::bash(text, host, HOST_ROUNDS)?, &mut times);
    let (n, measured) = (times.n(), times.percentile_us(0.5) / 1e3);
    Ok(Row { name: "shell", part, target: Target::AtMost(0.5), measured, unit: "ms", barriers: 0, n })
}
