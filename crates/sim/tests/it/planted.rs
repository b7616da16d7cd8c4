//! Each planted bug is found, within 500 seeds.

use sim::{Plan, plant};

/// Seeds within which a bug must be found.
const SEEDS: u64 = 500;

#[test]
fn planted_bugs_are_found() {
    let _alone = crate::SOIL.write().unwrap();
    for (bug, what) in plant::BUGS {
        let found = (1..=SEEDS).find_map(|seed| {
            plant::choose(bug).unwrap();
            let report = sim::run(&Plan::of(seed)).unwrap();
            plant::choose("").unwrap();
            report.findings.first().map(|found| (seed, found.check))
        });
        let (seed, check) = found.unwrap_or_else(|| panic!("{bug} ({what}) was not found"));
        println!("{bug} ({what}) was found by {check} at seed {seed}");
    }
}
