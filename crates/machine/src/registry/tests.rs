//! Money for many: whoever wakes, however many are awake, can buy something.

use super::*;
use abi::Seq;

const SEEDS: Seeds = Seeds { secret: [1; 32], signer: [2; 32] };

fn at(seq: u64, spent: i64) -> Mark {
    Mark { seq: Seq(seq), spent: Nano(spent) }
}

#[test]
fn everybody_awake_at_once_is_lent_something() {
    // Also late on a day on which nearly all has been spent.
    for spent in [0, NODE_DAY.0 * 9 / 10] {
        let home = tempfile::TempDir::new().unwrap();
        let registry = Registry::open(home.path(), &SEEDS, 1000).unwrap();
        let now = DAY_US;
        registry.wake("spender", at(1, 0), Nano(0), now).unwrap();
        let bed = Bed { mark: at(2, spent), due: None, stays: Stays::Asleep };
        registry.sleep("spender", &bed).unwrap();
        let mut least = LEASE;
        for nth in 0..abi::limits::AWAKE_WORKSPACES_MAX {
            least = least.min(registry.wake(&format!("w{nth}"), at(1, 0), Nano(0), now).unwrap());
        }
        // A call of a cheap model reserves less than a tenth of a cent.
        assert!(least > Nano(1_000_000), "{spent} spent before: {least}");
    }
}

#[test]
fn what_is_reserved_is_lent_on_top() {
    let home = tempfile::TempDir::new().unwrap();
    let registry = Registry::open(home.path(), &SEEDS, 1000).unwrap();
    let reserved = Nano(3 * LEASE.0);
    assert_eq!(registry.wake("a", at(1, 0), reserved, 0).unwrap(), Nano(4 * LEASE.0));
    assert_eq!(registry.renew("a", at(5, 7), reserved, DAY_US).unwrap(), Nano(4 * LEASE.0));
    let node = registry.node();
    assert_eq!((node.spent_day(0).unwrap(), node.spent_day(1).unwrap()), (Nano(7), Nano(0)));
}

#[test]
fn the_key_stays_and_another_node_has_another() {
    let home = tempfile::TempDir::new().unwrap();
    let other = tempfile::TempDir::new().unwrap();
    let key = |home: &Path, signer: u8| {
        let seeds = Seeds { secret: [1; 32], signer: [signer; 32] };
        Registry::open(home, &seeds, 1000).unwrap().signer().key()
    };
    let first = key(home.path(), 2);
    assert_eq!(key(home.path(), 3), first);
    assert_ne!(key(other.path(), 3), first);
}
