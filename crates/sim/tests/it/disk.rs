//! The store under power cuts and failing disks: a drawn share of all there are. `cargo xtask torture` has
//! all.

use sim::disk::{Trial, cuts, failures, purge::purges};

/// Of the trials of a seed, one in so many.
const CUTS: u64 = 13;
const FAILURES: u64 = 20;

#[test]
fn a_power_cut_takes_nothing_acknowledged_and_leaves_nothing_half() {
    let _together = crate::SOIL.read().unwrap();
    for seed in 1..=2 {
        let sum = cuts(Trial { seed, share: CUTS }).unwrap();
        assert_eq!(sum.findings, Vec::<String>::new(), "{sum:?}");
        assert!(sum.tried > 200, "{sum:?}");
    }
}

#[test]
fn a_disk_that_fails_once_is_told_of_and_loses_nothing() {
    let _together = crate::SOIL.read().unwrap();
    let sum = failures(Trial { seed: 3, share: FAILURES }).unwrap();
    assert_eq!(sum.findings, Vec::<String>::new(), "{sum:?}");
    assert!(sum.tried > 100 && sum.told > sum.tried / 2, "{sum:?}");
}

#[test]
fn a_purge_cut_off_anywhere_goes_on_and_no_power_cut_brings_it_back() {
    let _together = crate::SOIL.read().unwrap();
    let sum = purges(Trial { seed: 1, share: 8 }).unwrap();
    assert_eq!(sum.findings, Vec::<String>::new(), "{sum:?}");
    assert!(sum.tried > 50 && sum.told > 10, "{sum:?}");
}
