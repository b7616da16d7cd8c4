//! `cargo xtask spec [NAME…] [--json]`: measures the promises of SPEC.md on the real thing, in release.
//!
//! One file a promise below `spec/`, one function a promise: it measures and returns rows. A row is measured
//! against its target here and nowhere else. `--json` prints one object a line:
//!
//!     {"name":"boot","part":"empty","target":20,"measured":6.1,"unit":"ms","barriers":0,"ok":true,"n":30}
//!
//! What is also measured on the bare host is told beside it (`beside`), at the end.
//!
//! The exit status is 0 only if every named promise was measured and holds. No absolute time contains a
//! durable barrier: homes lie on a memory file system, and the barriers on a row's path are a number beside
//! it.

mod bare;
mod beside;
mod boot;
mod call;
mod client;
mod decide;
mod draft;
mod facts;
mod ground;
mod guest;
mod idle;
mod inject;
mod launder;
mod proxy;
mod recover;
mod replay;
mod search;
mod shell;
mod suite;
mod tamper;
mod update;
mod view;
mod walls;
mod why;

use beside::Beside;
use serde_json::json;
use std::{cell::RefCell, path::Path, process::Command, time::Duration};

/// Which way a number must go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// Just this.
    Exactly(f64),
}

impl Target {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtMost(max) => measured <= max,
            Self::AtLeast(min) => measured >= min,
            Self::Exactly(value) => measured == value,
        }
    }

    fn value(self) -> f64 {
        match self {
            Self::AtMost(value) | Self::AtLeast(value) | Self::Exactly(value) => value,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::AtMost(_) => "≤",
            Self::AtLeast(_) => "≥",
            Self::Exactly(_) => "=",
        }
    }
}

/// One measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The promise.
    pub name: &'static str,
    /// Which part of it.
    pub part: &'static str,
    /// What was promised.
    pub target: Target,
    /// What is.
    pub measured: f64,
    /// In what.
    pub unit: &'static str,
    /// Durable barriers on its path that the measured time does not contain.
    pub barriers: u32,
    /// Out of how many repeats.
    pub n: u64,
}

impl Row {
    fn ok(&self) -> bool {
        self.target.holds(self.measured)
    }

    fn json(&self) -> String {
        json!({
            "name": self.name, "part": self.part,
            "target": self.target.value(), "measured": rounded(self.measured),
            "unit": self.unit, "barriers": self.barriers, "ok": self.ok(), "n": self.n,
        })
        .to_string()
    }

    fn line(&self) -> String {
        let target = format!("{} {} {}", self.target.sign(), self.target.value(), self.unit);
        let verdict = if self.ok() { "holds" } else { "MISSED" };
        let barriers = match self.barriers {
            0 => String::new(),
            n => format!(" + {n} barrier"),
        };
        let measured = format!("{} {}{barriers}", rounded(self.measured), self.unit);
        format!("{:<11} {:<34} {target:<16} {measured:<24} {verdict:<7} n={}", self.name, self.part, self.n)
    }
}

/// Three significant places are all that a measurement on a shared machine is worth.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(2 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// Times of a repeated thing.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// How many.
    pub fn n(&self) -> u64 {
        self.0.len() as u64
    }

    /// The time below which this share of them lies (nearest rank), in microseconds.
    pub fn percentile_us(&mut self, share: f64) -> f64 {
        self.0.sort();
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.max(1) - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    }
}

/// What a measuring function may use.
pub struct Rig<'a> {
    /// The checkout.
    pub root: &'a Path,
    /// The daemon and face, built in release.
    pub skep: &'a Path,
    /// What was measured on the bare host too.
    beside: RefCell<Vec<Beside>>,
}

impl Rig<'_> {
    /// Notes what the same work takes on the bare host.
    pub fn beside(&self, work: &'static str, host: &mut Times, ours: &mut Times) {
        self.beside.borrow_mut().push(Beside::of(work, host, ours));
    }
}

type Measure = fn(&Rig<'_>) -> Result<Vec<Row>, String>;

/// Every promise that is measured here, in the order of SPEC.md.
const PROMISES: [(&str, Measure); 29] = [
    ("boot", boot::boot),
    ("idle", idle::idle),
    ("call-read", call::call_read),
    ("call-write", call::call_write),
    ("decide", decide::decide),
    ("replay", replay::replay),
    ("recover", recover::recover),
    ("once", ground::once),
    ("overspend", ground::overspend),
    ("proxy", proxy::proxy),
    ("search", search::search),
    ("growth", ground::growth),
    ("runaway", ground::runaway),
    ("simulate", ground::simulate),
    ("inject", inject::inject),
    ("prompts", inject::prompts),
    ("launder", launder::launder),
    ("tests", suite::tests),
    ("tamper", tamper::tamper),
    ("lost-update", update::lost_update),
    ("command", walls::command),
    ("shell", shell::shell),
    ("wall", walls::wall),
    ("view", view::view),
    ("guest", guest::guest),
    ("draft", draft::draft),
    ("revoke", walls::revoke),
    ("neighbour", walls::neighbour),
    ("why", why::why),
];

/// Measures the named promises, all of them when none is named.
pub fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let json = args.iter().any(|arg| arg == "--json");
    let names: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--json").collect();
    if let Some(unknown) = names.iter().find(|name| !PROMISES.iter().any(|(known, _)| known == *name)) {
        let known: Vec<&str> = PROMISES.iter().map(|(name, _)| *name).collect();
        return Err(format!("no promise is called {unknown:?}\nhint: {}", known.join(" ")));
    }
    if cfg!(debug_assertions) {
        return in_release(root, args);
    }
    let skep = build(root)?;
    let rig = Rig { root, skep: &skep, beside: RefCell::default() };
    let mut broken = Vec::new();
    for (name, measure) in PROMISES.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        match measure(&rig) {
            Ok(rows) => {
                for row in &rows {
                    println!("{}", if json { row.json() } else { row.line() });
                }
                broken.extend(rows.iter().filter(|row| !row.ok()).map(|row| format!("{name} {}", row.part)));
            }
            Err(message) => broken.push(format!("{name} could not be measured: {message}")),
        }
    }
    let beside = rig.beside.into_inner();
    if json {
        beside.iter().for_each(|row| println!("{}", row.json()));
    } else if !beside.is_empty() {
        print!("\n{}", beside::table(&beside));
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n       ")) }
}

/// What measures is built as what is measured: in release.
fn in_release(root: &Path, args: &[String]) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "--locked", "-q", "-p", "xtask", "--", "spec"]).args(args);
    let status = command.current_dir(root).status().map_err(|error| format!("cargo run: {error}"))?;
    if status.success() { Ok(()) } else { Err("not every promise holds".to_owned()) }
}

/// Builds the daemon in release and says where it lies.
fn build(root: &Path) -> Result<std::path::PathBuf, String> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--locked", "-q", "-p", "skep"]).current_dir(root);
    let status = command.status().map_err(|error| format!("cargo build: {error}"))?;
    if !status.success() {
        return Err("the daemon does not build in release".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), std::path::PathBuf::from);
    Ok(target.join("release").join("skep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: Target, measured: f64) -> Row {
        Row { name: "boot", part: "empty", target, measured, unit: "ms", barriers: 1, n: 3 }
    }

    #[test]
    fn ok_is_computed_from_target_and_measured() {
        let rows = [
            (Target::AtMost(2.0), 2.0, true),
            (Target::AtMost(2.0), 2.1, false),
            (Target::AtLeast(2.0), 1.9, false),
            (Target::Exactly(0.0), 0.0, true),
            (Target::Exactly(0.0), 1.0, false),
            (Target::AtMost(2.0), f64::NAN, false),
        ];
        for (target, measured, ok) in rows {
            assert_eq!(row(target, measured).ok(), ok, "{target:?} {measured}");
        }
        let expected = concat!(
            r#"{"barriers":1,"measured":6.12,"n":3,"name":"boot","ok":true,"#,
            r#""part":"empty","target":20.0,"unit":"ms"}"#
        );
        assert_eq!(row(Target::AtMost(20.0), 6.1234).json(), expected);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut times = Times::default();
        (1..=100).rev().for_each(|us| times.push(Duration::from_micros(us)));
        assert_eq!([0.5, 0.99, 1.0].map(|share| times.percentile_us(share).round()), [50.0, 99.0, 100.0]);
        assert!(Times::default().percentile_us(0.5).is_nan());
    }
}
