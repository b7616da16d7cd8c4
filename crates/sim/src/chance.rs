//! Chance from a seed: SplitMix64 (Steele, Lea, Flood 2014). All that is random in a run is drawn from
//! here, so a seed is the whole run.

use abi::Hash;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed for one purpose; streams of different purposes have nothing in common.
    pub fn of(seed: u64, purpose: &[u8]) -> Self {
        Self(Hash::of_fields("sim chance", &[&seed.to_le_bytes(), purpose]).short())
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below this one; 0 below 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// An index of so many.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these, if there is any.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.index(all.len());
        all.get(at)
    }

    /// One of these texts.
    pub fn word(&mut self, all: &[&'static str]) -> &'static str {
        self.pick(all).copied().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream() {
        let row = |seed, purpose: &[u8]| {
            let mut chance = Chance::of(seed, purpose);
            [chance.draw(), chance.draw(), chance.below(10)]
        };
        assert_eq!(row(1, b"a"), row(1, b"a"));
        assert_ne!(row(1, b"a"), row(2, b"a"));
        assert_ne!(row(1, b"a"), row(1, b"b"));
        assert_eq!(Chance::of(1, b"").below(0), 0);
    }
}
