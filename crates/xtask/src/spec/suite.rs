//! tests: the whole default suite after a build.

use super::{Rig, Row, Target};
use std::{
    process::{Command, Stdio},
    time::Instant,
};

/// Measures it.
pub fn tests(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    cargo(rig, &["nextest", "run", "--workspace", "--locked", "--no-run"])?;
    let begun = Instant::now();
    cargo(rig, &["nextest", "run", "--workspace", "--locked"])?;
    let measured = begun.elapsed().as_secs_f64();
    let target = Target::AtMost(120.0);
    Ok(vec![Row { name: "tests", part: "after a build", target, measured, unit: "s", barriers: 0, n: 1 }])
}

fn cargo(rig: &Rig<'_>, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(rig.root).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", args.join(" "))) }
}
