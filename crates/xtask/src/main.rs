//! `cargo xtask`: the tools of the project. Development only; nothing that ships depends on it.
//!
//!     cargo xtask test                          everything that CI runs, in its order
//!     cargo xtask tidy                          the house rules; one violation a line
//!     cargo xtask gen [--check]                 manual, JSON schema and clients from the tables
//!     cargo xtask spec [NAME…] [--json]         measure the promises of SPEC.md
//!     cargo xtask sim [--seeds N] [--seed S] [--plant N]     the proving ground
//!     cargo xtask guests                        Codex, opencode, goose, Gemini CLI: their recipes
//!     cargo xtask torture [llama]               hours of it, and cargo-deny where it is installed
//!
//! It is the one crate that may start programs freely: cargo, and the daemon it measures.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods)] // it measures time and runs cargo and the daemon

mod check;
mod faces;
mod llama;
mod rust;
mod spec;
mod tidy;

use std::{env, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or(&[]);
    let result = match args.first().map(String::as_str) {
        Some("test") => check::test(&root(), rest),
        Some("tidy") => tidy::run(&root()),
        Some("gen") => faces::run(&root(), rest),
        Some("spec") => spec::run(&root(), rest),
        Some("sim") => check::sim(&root(), rest),
        Some("guests") => check::guests(&root()),
        Some("torture") => check::torture(&root(), rest),
        _ => Err(
            "hint: test | tidy | gen [--check] | spec [NAME] [--json] | sim [--seeds N] | guests | torture"
                .to_owned(),
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the checkout this was built from.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or(here.clone(), PathBuf::from)
}
