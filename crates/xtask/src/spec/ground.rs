//! once, overspend, simulate: what the proving ground found. The simulator is run as it is in the default
//! run; the last line it prints is one object, and every number here is read from it:
//!
//!     {"seeds":20,"effects":1811,"duplicated":0,"lost":0,"overspent":0,"failed":0}

use super::{Rig, Row, Target};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// Seeds of the default run.
const SEEDS: u64 = 20;
/// Effects that `once` wants to have seen, and seeds added until it has.
const EFFECTS: f64 = 20_000.0;
const SEEDS_MAX: u64 = 2_000;
/// Planted bugs, and the seeds within which each must be found.
const PLANTS: u64 = 6;
const PLANT_SEEDS: &str = "500";

/// Effects duplicated or lost.
pub fn once(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let mut seeds = SEEDS;
    let mut report = Report::of(rig, seeds)?;
    while report.number("effects")? < EFFECTS && seeds < SEEDS_MAX {
        let share = report.number("effects")?.max(1.0) / EFFECTS;
        seeds = ((seeds as f64 / share * 1.1) as u64 + 1).min(SEEDS_MAX);
        report = Report::of(rig, seeds)?;
    }
    let n = report.number("effects")? as u64;
    let row = |part, target, measured| Row {
        name: "once",
        part,
        target,
        measured,
        unit: "effects",
        barriers: 0,
        n,
    };
    Ok(vec![
        row("simulated", Target::AtLeast(EFFECTS), n as f64),
        row("duplicated", Target::Exactly(0.0), report.number("duplicated")?),
        row("lost", Target::Exactly(0.0), report.number("lost")?),
    ])
}

/// Budgets passed by more than one top-up step.
pub fn overspend(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let report = Report::of(rig, SEEDS)?;
    Ok(vec![Row {
        name: "overspend",
        part: "beyond one top-up step",
        target: Target::Exactly(0.0),
        measured: report.number("overspent")?,
        unit: "budgets",
        barriers: 0,
        n: report.number("seeds")? as u64,
    }])
}

/// Seeds that hold, seeds that repeat, planted bugs that are found.
pub fn simulate(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let report = Report::of(rig, SEEDS)?;
    let held = report.number("seeds")? - report.number("failed")?;
    let mut same = 0;
    for seed in 1..=SEEDS {
        let run = || sim(rig, &["--seed", &seed.to_string()]).map(|output| output.stdout);
        same += u64::from(run()? == run()?);
    }
    let mut found = 0;
    for plant in 1..=PLANTS {
        let output = sim(rig, &["--plant", &plant.to_string(), "--seeds", PLANT_SEEDS])?;
        found += u64::from(output.status.success());
    }
    let row = |part, target: u64, measured, n| Row {
        name: "simulate",
        part,
        target: Target::AtLeast(target as f64),
        measured,
        unit: "",
        barriers: 0,
        n,
    };
    Ok(vec![
        row("seeds that hold", SEEDS, held, SEEDS),
        row("seeds that repeat byte for byte", SEEDS, same as f64, SEEDS),
        row("planted bugs found within 500", PLANTS, found as f64, PLANTS),
    ])
}

/// What a run found.
struct Report(Value);

impl Report {
    fn of(rig: &Rig<'_>, seeds: u64) -> Result<Self, String> {
        let output = sim(rig, &["--seeds", &seeds.to_string()])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or("");
        let report = serde_json::from_str(last);
        report.map(Self).map_err(|error| format!("the simulator's last line {last:?}: {error}"))
    }

    fn number(&self, key: &str) -> Result<f64, String> {
        self.0[key].as_f64().ok_or_else(|| format!("the simulator did not say {key}"))
    }
}

/// One run; planted bugs need a build of their own.
fn sim(rig: &Rig<'_>, args: &[&str]) -> Result<Output, String> {
    let features: &[&str] = if args.contains(&"--plant") { &["--features", "plant"] } else { &[] };
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "--locked", "-q", "-p", "sim"]).args(features).arg("--").args(args);
    command.current_dir(rig.root).stdin(Stdio::null()).stderr(Stdio::null());
    command.output().map_err(|error| format!("the simulator: {error}"))
}
