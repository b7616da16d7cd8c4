//! launder: chains from outside to a sink, and random programs run twice that differ only in a secret. The
//! chains run in the proving ground, the programs in the kernel's own tests; both print one object:
//!
//!     {"chains":2000,"reached":0,"broken":0,"hops":{…}}      {"programs":10000,"differ":0,"sending":6585}

use super::{Rig, Row, Target};
use serde_json::Value;
use std::process::{Command, Stdio};

/// Chains, and how many the promise asks for.
const CHAINS: &str = "2000";
const CHAINS_MIN: f64 = 200.0;
/// Programs.
const PROGRAMS: &str = "10000";

/// Sinks reached, controls that did not, programs that told.
pub fn launder(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let sim = ["run", "--release", "--locked", "-q", "-p", "sim", "--", "launder", "--seeds", CHAINS];
    let chains = object(rig, &sim, "chains")?;
    let test = ["test", "--release", "--locked", "-q", "-p", "kernel", "--test", "it", "secret::what", "--"];
    let programs = object(rig, &[&test[..], &["--nocapture"]].concat(), "programs")?;
    let number = |of: &Value, key: &str| of[key].as_f64().ok_or_else(|| format!("{of} does not say {key}"));
    let row = |part, target, measured, of: f64| Row {
        name: "launder",
        part,
        target,
        measured,
        unit: "",
        barriers: 0,
        n: of as u64,
    };
    let (n, runs) = (number(&chains, "chains")?, number(&programs, "programs")?);
    Ok(vec![
        row("chains", Target::AtLeast(CHAINS_MIN), n, n),
        row("sinks reached from outside", Target::Exactly(0.0), number(&chains, "reached")?, n),
        row("chains whose controls fail", Target::Exactly(0.0), number(&chains, "broken")?, n),
        row("programs that tell a secret", Target::Exactly(0.0), number(&programs, "differ")?, runs),
    ])
}

/// The object that has this key, among the lines that a command prints.
fn object(rig: &Rig<'_>, args: &[&str], key: &str) -> Result<Value, String> {
    let mut command = Command::new("cargo");
    command.args(args).env("PROGRAMS", PROGRAMS).current_dir(rig.root);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("cargo {}: {error}", args.join(" ")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // The name of a test may stand before it on its line.
    let objects =
        text.lines().filter_map(|line| serde_json::from_str::<Value>(&line[line.find('{')?..]).ok());
    let mut found = objects.filter(|object| object.get(key).is_some());
    found.next().ok_or_else(|| format!("cargo {} says no {key}", args.join(" ")))
}
