//! What CI runs, in its order: cheap before dear, and the test runner's own closing line last. Each step is
//! one program; the first that fails ends the run and is named.

use crate::{faces, tidy};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// Seeds of the nightly run (SPEC.md: simulate).
const NIGHTLY_SEEDS: &str = "10000";
/// Workloads of the store whose every operation is cut and failed in the nightly run (SPEC.md: power-cut).
const NIGHTLY_DISKS: &str = "100";

/// Of the nightly run: ten minutes a target, ten seconds and a gigabyte an input.
const FUZZ_BOUNDS: [&str; 3] = ["-max_total_time=600", "-timeout=10", "-rss_limit_mb=1024"];

/// Format, tidy, what is generated, lints, planted bugs, doc tests, then every other test. Arguments go to
/// the test runner.
pub fn test(root: &Path, args: &[String]) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"])?;
    tidy::run(root)?;
    faces::check(root)?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"])?;
    let nextest = quiet(root, &["nextest", "--version"]);
    let runner: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
    // The daemon that tests start must be the one that stands in the tree.
    cargo(root, &["build", "--locked", "-p", "skep"])?;
    cargo(root, &[runner, &["--locked", "-p", "sim", "-p", "machine", "--features", "plant"]].concat())?;
    otel(root, runner)?;
    if nextest {
        cargo(root, &["test", "--workspace", "--doc", "--locked", "--quiet"])?;
    }
    let extra: Vec<&str> = args.iter().map(String::as_str).collect();
    cargo(root, &[runner, &["--workspace", "--locked"], &extra[..]].concat())
}

/// What only builds with the feature `otel` have. Before the other tests, which start the daemon as it ships.
fn otel(root: &Path, runner: &[&str]) -> Result<(), String> {
    let with = ["--locked", "-p", "shell", "-p", "skep", "--features", "otel"];
    // The tests of `guests` are built here as well, so that they hold when they are run.
    let lints = ["--features", "skep/guests", "--all-targets", "--quiet", "--", "-D", "warnings"];
    cargo(root, &[&["clippy"][..], &with, &lints].concat())?;
    cargo(root, &[runner, &with, &["otel"]].concat())
}

/// Programs that people use already, of the versions that `tests/it/clis/package-lock.json` pins: installed
/// with npm below the target directory (a gigabyte, once), each run by its recipe. All are tried, whichever
/// fails.
pub fn guests(root: &Path) -> Result<(), String> {
    let runner: &[&str] =
        if quiet(root, &["nextest", "--version"]) { &["nextest", "run"] } else { &["test"] };
    let with = ["--workspace", "--locked", "--features", "skep/guests", "--test", "it", "--no-fail-fast"];
    cargo(root, &[runner, &with, &["clis::"]].concat())
}

/// Runs the proving ground with the arguments it was given.
pub fn sim(root: &Path, args: &[String]) -> Result<(), String> {
    let planted = args.iter().any(|arg| arg == "--plant");
    let features: &[&str] = if planted { &["--features", "plant"] } else { &[] };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run: &[&str] = &["run", "--release", "--locked", "-q", "-p", "sim"];
    cargo(root, &[run, features, &["--"], &args[..]].concat())
}

/// The long run: nightly seeds, every power cut and failure of the disk, libFuzzer, a model server and
/// programs that are not ours, and what cargo-deny knows of advisories and sources. `llama` is the server
/// alone.
pub fn torture(root: &Path, args: &[String]) -> Result<(), String> {
    match args {
        [] => {}
        [only] if only == "llama" => return crate::llama::llama(root),
        _ => return Err("hint: torture, or torture llama".to_owned()),
    }
    sim(root, &["--seeds".to_owned(), NIGHTLY_SEEDS.to_owned()])?;
    sim(root, &["disk", "--seeds", NIGHTLY_DISKS].map(str::to_owned))?;
    fuzz(root)?;
    crate::llama::llama(root)?;
    guests(root)?;
    if quiet(root, &["deny", "--version"]) {
        cargo(root, &["deny", "--locked", "check"])
    } else {
        eprintln!("hint: cargo install cargo-deny --locked, to have advisories checked as well");
        Ok(())
    }
}

/// libFuzzer over every target of `fuzz/`, if cargo-fuzz is there. What it grows stays out of the tree.
fn fuzz(root: &Path) -> Result<(), String> {
    let dir = root.join("fuzz");
    if !quiet(&dir, &["fuzz", "--version"]) {
        eprintln!("hint: cargo install cargo-fuzz --locked, to have hostile bytes searched for as well");
        return Ok(());
    }
    let said = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut targets: Vec<String> = fs::read_dir(dir.join("corpus"))
        .and_then(|all| all.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect())
        .map_err(said)?;
    targets.sort();
    for target in targets {
        let (grown, corpus) = (format!("target/grown/{target}"), format!("corpus/{target}"));
        fs::create_dir_all(dir.join(&grown)).map_err(said)?;
        let run = ["fuzz", "run", "--sanitizer", "none", &target, &grown, &corpus, "--"];
        cargo(&dir, &[&run[..], &FUZZ_BOUNDS].concat())?;
    }
    Ok(())
}

/// Runs cargo, shown on stderr with the time it took.
fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    eprintln!("$ cargo {}", args.join(" "));
    let begun = Instant::now();
    let mut command = Command::new("cargo");
    if args.first() == Some(&"fuzz") {
        // It asks the stable compiler for the hooks that only a nightly one hands out.
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    let status = command.args(args).current_dir(root).stdin(Stdio::null()).status();
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
