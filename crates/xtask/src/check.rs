//! What CI runs, in its order: cheap before dear, and the test runner's own closing line last. Each step is
//! one program; the first that fails ends the run and is named.

use crate::tidy;
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// Seeds of the nightly run (SPEC.md: simulate).
const NIGHTLY_SEEDS: &str = "10000";
/// Workloads of the store whose every operation is cut and failed in the nightly run (SPEC.md: power-cut).
const NIGHTLY_DISKS: &str = "100";

/// Format, lints, tidy, planted bugs, doc tests, then every other test. Arguments go to the test runner.
pub fn test(root: &Path, args: &[String]) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"])?;
    tidy::run(root)?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"])?;
    let nextest = quiet(root, &["nextest", "--version"]);
    let runner: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
    // The daemon that tests start must be the one that stands in the tree.
    cargo(root, &["build", "--locked", "-p", "skep"])?;
    cargo(root, &[runner, &["--locked", "-p", "sim", "-p", "machine", "--features", "plant"]].concat())?;
    if nextest {
        cargo(root, &["test", "--workspace", "--doc", "--locked", "--quiet"])?;
    }
    let extra: Vec<&str> = args.iter().map(String::as_str).collect();
    cargo(root, &[runner, &["--workspace", "--locked"], &extra[..]].concat())
}

/// Runs the proving ground with the arguments it was given.
pub fn sim(root: &Path, args: &[String]) -> Result<(), String> {
    let planted = args.iter().any(|arg| arg == "--plant");
    let features: &[&str] = if planted { &["--features", "plant"] } else { &[] };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run: &[&str] = &["run", "--release", "--locked", "-q", "-p", "sim"];
    cargo(root, &[run, features, &["--"], &args[..]].concat())
}

/// The long run: nightly seeds, every power cut and failure of the disk, and what cargo-deny knows of
/// advisories and sources.
pub fn torture(root: &Path) -> Result<(), String> {
    sim(root, &["--seeds".to_owned(), NIGHTLY_SEEDS.to_owned()])?;
    sim(root, &["disk", "--seeds", NIGHTLY_DISKS].map(str::to_owned))?;
    if quiet(root, &["deny", "--version"]) {
        cargo(root, &["deny", "--locked", "check"])
    } else {
        eprintln!("hint: cargo install cargo-deny --locked, to have advisories checked as well");
        Ok(())
    }
}

/// Runs cargo, shown on stderr with the time it took.
fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    eprintln!("$ cargo {}", args.join(" "));
    let begun = Instant::now();
    let status = Command::new("cargo").args(args).current_dir(root).stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("cargo {}: {error}", args.join(" ")))?;
    if !status.success() {
        return Err(format!("cargo {} failed ({status})", args.join(" ")));
    }
    if begun.elapsed().as_secs() >= 5 {
        eprintln!("  {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Whether the command works here.
fn quiet(root: &Path, args: &[&str]) -> bool {
    let mut command = Command::new("cargo");
    let command = command.args(args).current_dir(root).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
