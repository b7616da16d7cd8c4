//! The same work on the bare host and in Skep, in absolute figures: what the ratios of `view` are made of,
//! and what a program costs that is simply started. Printed as the table of SPEC.md "Beside bare host and
//! ext4"; with
//! `--json` an object a line:
//!
//!     {"beside":"read","host_ms":61.2,"ours_ms":142,"ratio":2.32,"n":5}
//!
//! No row of it is a promise. The host's side is measured in the same run: files on the disk below the
//! checkout, and programs started by fork and exec, without a wall, a version or a record.

use super::{Times, rounded};
use serde_json::json;
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// One kind of work: medians of both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beside {
    /// What is done.
    pub work: &'static str,
    /// On the host, in microseconds.
    pub host_us: f64,
    /// Here.
    pub ours_us: f64,
    /// Out of how many repeats.
    pub n: u64,
}

impl Beside {
    /// The medians of these times.
    pub fn of(work: &'static str, host: &mut Times, ours: &mut Times) -> Self {
        let n = host.n().min(ours.n());
        Self { work, host_us: host.percentile_us(0.5), ours_us: ours.percentile_us(0.5), n }
    }

    fn ratio(&self) -> f64 {
        self.ours_us / self.host_us
    }

    /// As a line of JSON.
    pub fn json(&self) -> String {
        json!({
            "beside": self.work, "ratio": rounded(self.ratio()), "n": self.n,
            "host_ms": rounded(self.host_us / 1e3), "ours_ms": rounded(self.ours_us / 1e3),
        })
        .to_string()
    }
}

/// The table as it stands in SPEC.md.
pub fn table(rows: &[Beside]) -> String {
    let mut text =
        String::from("| work | bare host, ext4 | Skep | ratio | n |\n| --- | --: | --: | --: | --: |\n");
    for row in rows {
        let (host, ours) = (time(row.host_us), time(row.ours_us));
        let ratio = rounded(row.ratio());
        text.push_str(&format!("| {} | {host} | {ours} | {ratio} × | {} |\n", row.work, row.n));
    }
    text
}

fn time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", rounded(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", rounded(us / 1e3)),
        us => format!("{} µs", rounded(us)),
    }
}

/// So often a line of the host's own bash, started anew each time in this directory.
pub fn bash(line: &str, dir: &Path, rounds: usize) -> Result<Times, String> {
    let mut times = Times::default();
    for _ in 0..rounds {
        times.push(once(line, dir)?);
    }
    Ok(times)
}

fn once(line: &str, dir: &Path) -> Result<Duration, String> {
    let begun = Instant::now();
    let mut bash = Command::new("/bin/bash");
    let ran = bash.args(["-c", line]).current_dir(dir).stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| format!("bash: {error}"))?;
    if ran.status.success() { Ok(begun.elapsed()) } else { Err(format!("bash on the host: {line} fails")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_finished_markdown() {
        let rows = [
            Beside { work: "read", host_us: 61_234.0, ours_us: 142_000.0, n: 5 },
            Beside { work: "a line", host_us: 1_500.0, ours_us: 300.0, n: 40 },
            Beside { work: "1 GB", host_us: 2e6, ours_us: 3e6, n: 5 },
        ];
        let want = "| work | bare host, ext4 | Skep | ratio | n |\n| --- | --: | --: | --: | --: |\n\
                    | read | 61.2 ms | 142 ms | 2.32 × | 5 |\n| a line | 1.5 ms | 300 µs | 0.2 × | 40 |\n\
                    | 1 GB | 2 s | 3 s | 1.5 × | 5 |\n";
        assert_eq!(table(&rows), want);
        assert_eq!(rows[0].json(), r#"{"beside":"read","host_ms":61.2,"n":5,"ours_ms":142.0,"ratio":2.32}"#);
    }
}
