//! lost-update: 64 writers on shared files over the socket of a real daemon, by the test that the default
//! suite runs with fewer edits. It prints one object:
//!
//!     {"edits":12800,"joined":9513,"lost":0,"open":122,"seconds":12.1}

use super::{Rig, Row, Target};
use serde_json::Value;
use std::process::{Command, Stdio};

const TEST: &str = "update::of_many_writers_on_shared_files_no_edit_is_lost";
/// Edits of each of the 64 writers: what fits into three minutes.
const EDITS: u64 = 2_000;

/// Measures it.
pub fn lost_update(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let mut command = Command::new("cargo");
    command.args(["test", "--release", "--locked", "-q", "-p", "skep", "--test", "it", "--", TEST]);
    command.args(["--exact", "--nocapture"]).env("SKEP_EDITS", EDITS.to_string());
    command.current_dir(rig.root).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(|error| format!("the test: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Value = text
        .lines()
        .find_map(|line| serde_json::from_str(line).ok().filter(Value::is_object))
        .ok_or_else(|| format!("the test said nothing: {text:.400}"))?;
    let lost = told["lost"].as_f64().ok_or("the test did not say what was lost")?;
    let n = told["edits"].as_u64().unwrap_or(0);
    if lost == 0.0 && !output.status.success() {
        return Err(format!("the test failed: {told}"));
    }
    let (part, target) = ("64 writers, shared files", Target::Exactly(0.0));
    Ok(vec![Row { name: "lost-update", part, target, measured: lost, unit: "edits", barriers: 0, n }])
}
