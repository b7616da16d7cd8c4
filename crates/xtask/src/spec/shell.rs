//! shell: a line in the virtual shell, over a view of a tree in memory, each time a new one. The commit of
//! what it changed is that of any command, and is in the promises of `command`.

use super::{Rig, Row, Target, Times};
use sandbox::shell::trial;
use std::path::Path;

const ROUNDS: usize = 5_000;
const LINES: [(&str, &str); 3] = [
    ("echo x > f && cat f", "a line that writes and reads"),
    ("grep -n beta a.txt | cut -d: -f1", "a pipe of two words"),
    ("for i in 1 2 3; do echo $i >> log; done; wc -l < log", "a loop"),
];

/// Measures it.
pub fn shell(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    LINES.iter().map(|(text, part)| row(text, part, rig.root)).collect()
}

fn row(text: &str, part: &'static str, root: &Path) -> Result<Row, String> {
    let spool = root.join("target");
    let mut times = Times::default();
    for time in trial::times(text, ROUNDS, &spool).map_err(|error| error.to_string())? {
        times.push(time);
    }
    let (n, measured) = (times.n(), times.percentile_us(0.5) / 1e3);
    Ok(Row { name: "shell", part, target: Target::AtMost(0.5), measured, unit: "ms", barriers: 0, n })
}
