//! tamper: every class of tampering at 1,000 records of a log, against one checkpoint of its end that was
//! exported once. A position counts when the verifier finds something; the true file, verified between the
//! classes, must pass each time, and an older copy must pass without the checkpoint: else finding is no art.

#[path = "../../../audit/tests/it/tamper.rs"]
mod bench;

use super::{Rig, Row, Target, client};
use bench::{Bench, CLASSES, Class};

/// More than positions, since the last record is not one.
const RECORDS: u64 = POSITIONS + 1;
const POSITIONS: u64 = 1_000;

/// Measures it.
pub fn tamper(_: &Rig<'_>) -> Result<Vec<Row>, String> {
    let dir = client::home()?;
    let bench = Bench::new(dir.path(), RECORDS)?;
    let mut rows = Vec::new();
    for class in CLASSES {
        bench.restore()?;
        let control = bench.verify(Some(&bench.checkpoint));
        if !control.holds() {
            return Err(format!("the true file does not pass: {control}"));
        }
        let mut found = 0;
        for at in 1..=POSITIONS {
            bench.tamper(class, at)?;
            found += u64::from(!bench.verify(Some(&bench.checkpoint)).holds());
        }
        if class == Class::RollBack && !bench.verify(None).holds() {
            return Err("an older copy does not pass without a checkpoint".to_owned());
        }
        rows.push(Row {
            name: "tamper",
            part: part(class),
            target: Target::Exactly(100.0),
            measured: found as f64 * 100.0 / POSITIONS as f64,
            unit: "%",
            barriers: 0,
            n: POSITIONS,
        });
    }
    Ok(rows)
}

fn part(class: Class) -> &'static str {
    match class {
        Class::Flip => "flip",
        Class::Insert => "insert",
        Class::Delete => "delete",
        Class::Reorder => "reorder",
        Class::Truncate => "truncate",
        Class::Swap => "swap the log",
        Class::Rehash => "rehash everything",
        Class::RollBack => "roll back",
    }
}
