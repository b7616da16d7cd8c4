//! `sim`: runs seeds and says what they found; one line a seed, and at the end one JSON object on one line.
//!
//!     sim [--seeds N] [--seed S] [--steps N] [--plant BUG] [--trace] [--json] [once | overspend]
//!         [--effects N]
//!     sim disk [--seeds N] [--seed S] [--share N] [--plant BUG]
//!                                               power cuts and failing disks, one of N of them all
//!
//! Exit code 0: nothing was found; with `--plant`: the bug was found. The seed of every failure is printed.
#![forbid(unsafe_code)]

use sim::{Mode, Plan, Report, Sum, disk, plant};
use std::process::ExitCode;

/// Seeds of the default run.
const SEEDS: u64 = 20;
/// Effects that `once` wants to have seen.
const EFFECTS: u64 = 20_000;
/// Seeds after which `once` gives up.
const SEEDS_MAX: u64 = 2_000;
/// Seeds of `overspend`.
const RACES: u64 = 5;

/// Chains of `launder`.
const CHAINS: u64 = 200;
/// Seeds of `disk`.
const DISKS: u64 = 4;

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// The loop, in this mode.
    Loop(Mode),
    /// A day of work, and what grows in it.
    Day,
    /// Loops and honest runs.
    Runaway,
    /// Chains of laundering.
    Launder,
    /// The store on a disk that fails; one of so many trials.
    Disk(u64),
}

/// Which lines are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// One a seed, and the sum.
    All,
    /// The same, and what records were reached.
    Trace,
    /// The sum.
    Sum,
}

struct Options {
    first: u64,
    seeds: u64,
    steps: Option<u32>,
    bug: Option<String>,
    what: What,
    effects: u64,
    lines: Lines,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match parse(&args).and_then(|options| go(&options)) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        first: 1,
        seeds: 0,
        steps: None,
        bug: None,
        what: What::Loop(Mode::Mixed),
        effects: 0,
        lines: Lines::All,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let number = |text: &String| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number"));
        match arg.as_str() {
            "--seeds" => options.seeds = number(value()?)?,
            "--seed" => (options.first, options.seeds) = (number(value()?)?, 1),
            "--steps" => options.steps = u32::try_from(number(value()?)?).ok(),
            "--plant" => options.bug = Some(value()?.clone()),
            "--effects" => options.effects = number(value()?)?,
            "--json" => options.lines = Lines::Sum,
            "--trace" => options.lines = Lines::Trace,
            "--share" => options.what = What::Disk(number(value()?)?.max(1)),
            "once" => options.what = What::Loop(Mode::Once),
            "growth" => options.what = What::Day,
            "runaway" => options.what = What::Runaway,
            "launder" => options.what = What::Launder,
            "overspend" => options.what = What::Loop(Mode::Overspend),
            "disk" if options.what == What::Loop(Mode::Mixed) => options.what = What::Disk(1),
            "disk" => {}
            _ => {
                return Err(format!(
                    "{arg:?} is unknown\nhint: --seeds N, --seed S, --plant BUG, once, overspend, disk, \
                     growth, runaway"
                ));
            }
        }
    }
    if options.seeds == 0 {
        (options.seeds, options.effects) = match options.what {
            What::Loop(Mode::Mixed) => (SEEDS, options.effects),
            What::Loop(Mode::Once) => {
                (SEEDS_MAX, options.effects.max(if options.effects == 0 { EFFECTS } else { 0 }))
            }
            What::Loop(Mode::Overspend) => (RACES, options.effects),
            What::Disk(_) => (DISKS, options.effects),
            What::Day | What::Runaway => (1, options.effects),
            What::Launder => (CHAINS, options.effects),
        };
    }
    Ok(options)
}

fn go(options: &Options) -> Result<ExitCode, String> {
    plant::choose(options.bug.as_deref().unwrap_or(""))?;
    if options.bug.is_some() {
        // A planted panic would print its place for every seed.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let mode = match options.what {
        What::Loop(mode) => mode,
        What::Disk(share) => return disks(options, share),
        What::Launder => {
            let sum = sim::launder::run(options.first, options.seeds)?;
            sum.reached.iter().chain(&sum.broken).for_each(|what| eprintln!("{what}"));
            println!("{}", sum.json());
            return Ok(ExitCode::SUCCESS);
        }
        What::Runaway => {
            println!("{}", sim::runaway::run()?.json());
            return Ok(ExitCode::SUCCESS);
        }
        What::Day => {
            println!("{}", sim::day::day()?.json());
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut sum = Sum::default();
    for seed in options.first..options.first + options.seeds {
        let mut plan = Plan { mode, ..Plan::of(seed) };
        plan.steps = options.steps.unwrap_or(plan.steps);
        let report = sim::run(&plan).map_err(|error| format!("no temporary directory: {error}"))?;
        sum.add(&report);
        if options.lines != Lines::Sum || !report.findings.is_empty() {
            show(&report, options.lines);
        }
        let found = options.bug.is_some() && !report.findings.is_empty();
        if found || (options.effects > 0 && sum.effects >= options.effects) {
            break;
        }
    }
    if options.lines == Lines::Trace {
        sum.words.iter().for_each(|(word, count)| println!("{count:>8} {word}"));
    }
    println!("{}", sum.json());
    let good = sum.failed.is_empty() != options.bug.is_some();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Power cuts and failures of every seed; one line for each.
fn disks(options: &Options, share: u64) -> Result<ExitCode, String> {
    let (mut tried, mut found) = (0, 0);
    for seed in options.first..options.first + options.seeds {
        let trial = disk::Trial { seed, share };
        let run = |word: &str, of: fn(disk::Trial) -> std::io::Result<disk::Sum>| {
            let sum = of(trial).map_err(|error| format!("no temporary directory: {error}"))?;
            println!("seed {seed} {word} ops {} tried {} found {}", sum.ops, sum.tried, sum.findings.len());
            sum.findings.iter().for_each(|what| eprintln!("{word} {what}"));
            Ok::<_, String>(sum)
        };
        let sums =
            [run("cuts", disk::cuts)?, run("failures", disk::failures)?, run("purges", disk::purge::purges)?];
        for sum in sums {
            tried += sum.tried;
            found += sum.findings.len();
        }
    }
    println!("{{\"seeds\":{},\"tried\":{tried},\"failed\":{found}}}", options.seeds);
    let good = (found == 0) != options.bug.is_some();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(report: &Report, lines: Lines) {
    if lines != Lines::Sum {
        println!(
            "seed {} trace {:?} records {} turns {} crashes {} effects {}",
            report.seed, report.trace, report.records, report.turns, report.crashes, report.effects
        );
    }
    for found in &report.findings {
        eprintln!("seed {} found {found}", report.seed);
    }
}
