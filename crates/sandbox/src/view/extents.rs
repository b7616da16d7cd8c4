//! Which parts of a file were written, and where they lie. What is in no extent shows what is below.

use std::collections::BTreeMap;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub from: u64,
    pub to: u64,
    pub source: Source,
}

/// Where its bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Written: they lie in the spool from here on.
    Spool(u64),
    /// Punched or cut off: zeros.
    Zero,
    /// Never written: what is below.
    Below,
}

#[derive(Clone, Copy, Debug)]
struct Extent {
    to: u64,
    /// Zeros if none.
    at: Option<u64>,
}

/// By first byte; they never overlap.
#[derive(Debug, Default)]
pub(super) struct Extents {
    rows: BTreeMap<u64, Extent>,
}

impl Extents {
    /// The parts of this range, in order, without a gap.
    pub(super) fn parts(&self, from: u64, to: u64) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut at = from;
        let first = self.rows.range(..=from).next_back().map_or(from, |(start, _)| *start);
        for (start, extent) in self.rows.range(first..to.max(first)) {
            if extent.to <= at {
                continue;
            }
            if *start > at {
                parts.push(Part { from: at, to: *start, source: Source::Below });
                at = *start;
            }
            let end = extent.to.min(to);
            let source = extent.at.map_or(Source::Zero, |spool| Source::Spool(spool + (at - start)));
            parts.push(Part { from: at, to: end, source });
            at = end;
        }
        if at < to {
            parts.push(Part { from: at, to, source: Source::Below });
        }
        parts
    }

    /// Takes a range out; where what was written in it lay.
    pub(super) fn cut(&mut self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut freed = Vec::new();
        let first = self.rows.range(..=from).next_back().map_or(from, |(start, _)| *start);
        let hit: Vec<(u64, Extent)> = self
            .rows
            .range(first..to.max(first))
            .filter(|(_, extent)| extent.to > from)
            .map(|(start, extent)| (*start, *extent))
            .collect();
        for (start, extent) in hit {
            self.rows.remove(&start);
            if start < from {
                self.rows.insert(start, Extent { to: from, at: extent.at });
            }
            if extent.to > to {
                let at = extent.at.map(|spool| spool + (to - start));
                self.rows.insert(to, Extent { to: extent.to, at });
            }
            if let Some(spool) = extent.at {
                let (lo, hi) = (start.max(from), extent.to.min(to));
                freed.push((spool + (lo - start), hi - lo));
            }
        }
        freed
    }

    /// Puts a range where nothing is; `at` is none for zeros. Whether it is a row of its own.
    pub(super) fn put(&mut self, from: u64, to: u64, at: Option<u64>) -> bool {
        if let Some((start, before)) = self.rows.range_mut(..from).next_back()
            && before.to == from
            && match (before.at, at) {
                (Some(old), Some(new)) => old + (from - start) == new,
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
        {
            before.to = to;
            return false;
        }
        self.rows.insert(from, Extent { to, at });
        true
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Everything that lies in the spool.
    pub(super) fn spooled(&self) -> impl Iterator<Item = (u64, u64)> {
        self.rows.iter().filter_map(|(start, extent)| extent.at.map(|at| (at, extent.to - start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against one cell a byte.
        #[test]
        fn as_one_cell_a_byte(steps in prop::collection::vec((0_u64..40, 1_u64..12, 0_u8..3), 1..40)) {
            let mut extents = Extents::default();
            let mut cells = [Source::Below; 64];
            let mut next = 1000;
            for (from, len, what) in steps {
                let to = from + len;
                extents.cut(from, to);
                for (ix, cell) in cells[from as usize..to as usize].iter_mut().enumerate() {
                    *cell = match what {
                        0 => Source::Below,
                        1 => Source::Zero,
                        _ => Source::Spool(next + ix as u64),
                    };
                }
                match what {
                    0 => {}
                    1 => { extents.put(from, to, None); }
                    _ => { extents.put(from, to, Some(next)); next += len; }
                }
                let mut seen = Vec::new();
                for part in extents.parts(3, 60) {
                    prop_assert!(part.from < part.to);
                    for at in part.from..part.to {
                        seen.push(match part.source {
                            Source::Spool(spool) => Source::Spool(spool + at - part.from),
                            other => other,
                        });
                    }
                }
                prop_assert_eq!(&seen[..], &cells[3..60]);
            }
        }
    }
}
