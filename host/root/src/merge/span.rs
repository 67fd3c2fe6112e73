//! Positions in the content of a plan, and what a partial covers between two of them.

use std::ops::Range;

pub use crate::ledger::Position;

/// Part of a plan's content that a partial covers: from a position up to, but without, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub(super) from: Position,
    pub(super) to: Position,
}

impl Span {
    /// Everything between two positions.
    #[must_use]
    pub fn between(from: Position, to: Position) -> Self {
        Self { from, to }
    }

    /// Position after the last unit.
    #[must_use]
    pub fn to(&self) -> Position {
        self.to
    }

    /// Position of the first unit.
    #[must_use]
    pub fn from(&self) -> Position {
        self.from
    }

    /// The units `range` of a partition of `units` units.
    #[must_use]
    pub fn part(partition: u32, range: &Range<u64>, units: u64) -> Self {
        // Units at the end of a partition reach up to the next one, so that the two are neighbours.
        let to = if range.end == units { (partition + 1, 0) } else { (partition, range.end) };
        Self { from: (partition, range.start), to }
    }
}

impl From<u32> for Span {
    /// A whole partition.
    fn from(partition: u32) -> Self {
        Self { from: (partition, 0), to: (partition + 1, 0) }
    }
}
