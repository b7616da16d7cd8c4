//! Sums of what model calls came to.

use crate::story::{Story, record};
use abi::{
    Hash,
    money::{Amounts, Nano},
    record::{Bill, Entry},
};

/// A provider that claims all there is, twice, stops no workspace.
#[test]
fn sums_stay_at_the_largest_number() {
    let mut story = Story::new();
    let all = Amounts { tokens_in: i64::MAX, tokens_out: 7, money: Nano(i64::MAX), ..Amounts::default() };
    for (seq, charged) in (1..).zip([all, all, Amounts::default()]) {
        let effect = Hash::of(&[seq as u8]);
        story.append(&record(seq, 1, Entry::ModelLost { effect, charged, bill: Bill::default() }));
    }
    let rows = story.workspace.begin().unwrap().costs((0, u64::MAX), 10).unwrap();
    let got: Vec<_> = rows.iter().map(|row| (row.calls, row.charged.tokens_in, row.charged.money)).collect();
    assert_eq!(got, [(3, i64::MAX, Nano(i64::MAX))]);
    assert_eq!(rows[0].charged.tokens_out, 14);
}
