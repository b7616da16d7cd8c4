//! Each planted bug is found, within 500 seeds.

use sim::{
    Plan,
    disk::{Trial, cuts},
    plant,
};

/// Seeds within which a bug must be found.
const SEEDS: u64 = 500;

/// Two halves, so that each core has one: finding them is most of the time that these tests take.
const HALF: usize = plant::BUGS.len() / 2;

#[test]
fn planted_bugs_are_found() {
    find(&plant::BUGS[..HALF]);
}

#[test]
fn planted_bugs_of_the_other_half_are_found() {
    find(&plant::BUGS[HALF..]);
}

fn find(bugs: &[(&str, &str)]) {
    let _alone = crate::SOIL.write().unwrap();
    for (bug, what) in bugs {
        let found = (1..=SEEDS).find_map(|seed| {
            plant::choose(bug).unwrap();
            let report = sim::run(&Plan::of(seed)).unwrap();
            plant::choose("").unwrap();
            report.findings.first().map(|found| (seed, found.check))
        });
        let (seed, check) = found.unwrap_or_else(|| panic!("{bug} ({what}) was not found"));
        println!("{bug} ({what}) was found by {check} at seed {seed}");
        // The control: it is the bug that was found, and not another that nobody planted.
        let without = sim::run(&Plan::of(seed)).unwrap();
        assert_eq!(without.findings, [], "seed {seed} without {bug}");
    }
}

/// The rig of power cuts is tested too: a store that lies about what is durable, in either way, is found by
/// it; the same trials of the store as it is find nothing.
#[test]
fn a_store_that_lies_about_a_commit_is_found_by_a_power_cut() {
    let _alone = crate::SOIL.write().unwrap();
    for (bug, found) in [("store:2", true), ("store:3", true), ("", false)] {
        plant::choose(bug).unwrap();
        let sum = cuts(Trial { seed: 1, share: 40 }).unwrap();
        plant::choose("").unwrap();
        assert_eq!(!sum.findings.is_empty(), found, "{bug:?}: {sum:?}");
    }
}
