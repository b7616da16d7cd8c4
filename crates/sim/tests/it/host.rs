//! A directory that people, agents and crashes change at once.

use sim::host::{Goes, play};
use std::sync::PoisonError;

#[test]
fn nothing_of_a_bound_directory_is_lost() {
    let _soil = crate::SOIL.read().unwrap_or_else(PoisonError::into_inner);
    for seed in 1..=40 {
        play(seed, Goes::Noticed).unwrap();
    }
}

/// The control: a copy that goes too early is missed.
#[test]
fn a_copy_that_goes_too_early_is_missed() {
    let _soil = crate::SOIL.read().unwrap_or_else(PoisonError::into_inner);
    assert!((1..=40).any(|seed| play(seed, Goes::Looked).is_err()));
}
