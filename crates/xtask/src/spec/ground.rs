//! once, overspend, growth, runaway, simulate: what the proving ground found. The simulator is run as it is
//! in the default run; the last line it prints is one object, and every number here is read from it:
//!
//!     {"seeds":20,"effects":1811,"duplicated":0,"lost":0,"overspent":0,"failed":0}

use super::{Rig, Row, Target};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// Seeds of the default run.
const SEEDS: u64 = 20;
/// Effects that `once` has to have seen.
const EFFECTS: u64 = 20_000;
/// Planted bugs, and the seeds within which each must be found.
const PLANTS: [&str; 10] = [
    "kernel:1", "kernel:2", "kernel:3", "kernel:4", "kernel:5", "kernel:6", "kernel:7", "kernel:8",
    "store:1", "store:2",
];
/// What counts as no slope of the state: numbers that get longer as they count up, in per cent of it an hour.
const STATE_SLOPE: f64 = 0.1;
const PLANT_SEEDS: &str = "500";

/// Effects duplicated or lost.
pub fn once(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let report = Report::of(rig, &["once", "--json"])?;
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
        row("simulated", Target::AtLeast(EFFECTS as f64), n as f64),
        row("duplicated", Target::Exactly(0.0), report.number("duplicated")?),
        row("lost", Target::Exactly(0.0), report.number("lost")?),
    ])
}

/// Budgets passed by more than one top-up step, with agents racing one budget, crashes, and a provider that
/// lies.
pub fn overspend(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let report = Report::of(rig, &["overspend", "--json"])?;
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

/// What a day of work leaves on the disk, and whether the kernel's state goes on growing.
pub fn growth(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let report = Report::of(rig, &["growth"])?;
    let n = report.number("records")? as u64;
    let row = |part, target, measured, unit| Row {
        name: "growth",
        part,
        target: Target::AtMost(target),
        measured,
        unit,
        barriers: 0,
        n,
    };
    Ok(vec![
        row("disk beside the log, to kept content", 3.0, report.number("factor")?, "×"),
        row("state an hour, after the sixth", STATE_SLOPE, report.number("slope")? * 100.0, "%"),
    ])
}

/// Loops that are stopped in time, and honest runs that are stopped at all.
pub fn runaway(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let report = Report::of(rig, &["runaway"])?;
    let row = |part, target, measured, unit, n: f64| Row {
        name: "runaway",
        part,
        target,
        measured,
        unit,
        barriers: 0,
        n: n as u64,
    };
    let (loops, honest) = (report.number("loops")?, report.number("honest")?);
    Ok(vec![
        row("cases", Target::AtLeast(60.0), loops + honest, "", loops + honest),
        row(
            "most calls that a loop wastes",
            Target::AtMost(12.0),
            report.number("wasted_max")?,
            "calls",
            loops,
        ),
        row("loops stopped late, or not", Target::Exactly(0.0), report.count("late")?, "", loops),
        row(
            "honest runs stopped",
            Target::AtMost(1.0),
            report.count("stopped")? / honest * 100.0,
            "%",
            honest,
        ),
    ])
}

/// Seeds that hold, seeds that repeat, planted bugs that are found.
pub fn simulate(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let report = Report::of(rig, &["--seeds", &SEEDS.to_string()])?;
    let held = report.number("seeds")? - report.number("failed")?;
    let mut same = 0;
    for seed in 1..=SEEDS {
        let run = || sim(rig, &["--seed", &seed.to_string()]).map(|output| output.stdout);
        same += u64::from(run()? == run()?);
    }
    let mut found = 0;
    for plant in PLANTS {
        let output = sim(rig, &["--plant", plant, "--seeds", PLANT_SEEDS])?;
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
        row("planted bugs found within 500", PLANTS.len() as u64, found as f64, PLANTS.len() as u64),
    ])
}

/// What a run found.
struct Report(Value);

impl Report {
    fn of(rig: &Rig<'_>, args: &[&str]) -> Result<Self, String> {
        let output = sim(rig, args)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or("");
        let report = serde_json::from_str(last);
        report.map(Self).map_err(|error| format!("the simulator's last line {last:?}: {error}"))
    }

    fn count(&self, key: &str) -> Result<f64, String> {
        let list = self.0[key].as_array().ok_or_else(|| format!("the simulator did not say {key}"))?;
        Ok(list.len() as f64)
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
