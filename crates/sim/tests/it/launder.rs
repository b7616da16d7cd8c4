//! Chains from outside to a sink, each with its controls: `sim::launder` says what is carried and how.

use sim::launder::{Hop, run};

/// Chains of the default run, in two halves for two cores; `cargo xtask spec launder` runs 2,000.
const CHAINS: u64 = 120;

fn nothing_gets_through(first: u64) {
    let _together = crate::SOIL.read().unwrap();
    let sum = run(first, CHAINS).unwrap();
    assert_eq!((&sum.broken[..], &sum.reached[..]), (&[][..], &[][..]));
    assert_eq!(sum.chains, CHAINS);
    let never: Vec<&str> =
        Hop::ALL.iter().map(|hop| hop.word()).filter(|word| !sum.hops.contains_key(word)).collect();
    assert_eq!(never, Vec::<&str>::new(), "no chain went these ways");
}

#[test]
fn no_chain_from_outside_reaches_a_sink() {
    nothing_gets_through(1);
}

#[test]
fn nor_does_any_other() {
    nothing_gets_through(1 + CHAINS);
}
