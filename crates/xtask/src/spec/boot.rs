//! boot: from `exec` to the first answered call, on an empty node and on one with 10,000 workspaces on disk.

use super::{
    Rig, Row, Target, Times,
    client::{self, Client, Daemon},
};
use serde_json::json;
use std::path::Path;

const REPEATS: usize = 30;
const WORKSPACES: u32 = 10_000;

/// Measures it.
pub fn boot(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let empty = part(rig, home.path(), "empty", 20.0)?;
    {
        let (daemon, _) = Daemon::start(rig.skep, home.path())?;
        let mut client = Client::connect(home.path())?;
        for ix in 0..WORKSPACES {
            let word = format!("workspace w{ix}");
            client.call("write", json!({"path": "/sys/ctl", "text": word}))?;
        }
        daemon.down()?;
    }
    let full = part(rig, home.path(), "10,000 workspaces", 40.0)?;
    Ok(vec![empty, full])
}

fn part(rig: &Rig<'_>, home: &Path, part: &'static str, target_ms: f64) -> Result<Row, String> {
    // The first start of a home writes what ships; it is not what is promised.
    Daemon::start(rig.skep, home)?.0.down()?;
    let mut times = Times::default();
    for _ in 0..REPEATS {
        let (daemon, took) = Daemon::start(rig.skep, home)?;
        times.push(took);
        daemon.down()?;
    }
    let (target, measured, n) = (Target::AtMost(target_ms), times.percentile_us(0.5) / 1e3, times.n());
    Ok(Row { name: "boot", part, target, measured, unit: "ms", barriers: 0, n })
}
