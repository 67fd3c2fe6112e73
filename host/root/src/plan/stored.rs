//! Partials that the journal has of an earlier run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::ledger::{Ledger, PartialRange, Position};

/// Partials that the journal has of an earlier run, by position: those of whole partitions at
/// unit 0, without a range, and those of parts of others. They do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPartials(BTreeMap<Position, Option<PartialRange>>);

impl StoredPartials {
    /// Adds the partial of a whole partition.
    pub fn add_whole(&mut self, partition: u32) {
        self.0.insert((partition, 0), None);
    }

    /// Adds the partial of a part of a partition.
    pub fn add_part(&mut self, partition: u32, range: PartialRange) {
        self.0.insert((partition, range.begin), Some(range));
    }

    /// Forgets those of partitions from the index `end` on.
    pub(super) fn truncate(&mut self, end: u32) {
        self.0.split_off(&(end, 0));
    }

    /// Number of the partials.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The partial at a position: its range, or `None` for a whole partition.
    #[must_use]
    pub fn get(&self, at: Position) -> Option<Option<PartialRange>> {
        self.0.get(&at).copied()
    }

    /// True if the journal has anything of this partition.
    #[must_use]
    pub fn has(&self, partition: u32) -> bool {
        self.0.range((partition, 0)..=(partition, u64::MAX)).next().is_some()
    }

    /// Positions of the partials behind `after`, up to and including `last`, ascending.
    pub(crate) fn within(&self, after: Option<Position>, last: Position) -> impl Iterator<Item = Position> + '_ {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range((from, Bound::Unbounded)).map(|(at, _)| *at).take_while(move |at| *at <= last)
    }

    /// Partitions of which parts are stored, each with a ledger of those.
    pub(crate) fn begun(&self) -> BTreeMap<u32, Ledger> {
        let mut ledgers: BTreeMap<u32, Ledger> = BTreeMap::new();
        for ((partition, _), range) in &self.0 {
            let Some(range) = range else { continue };
            let ledger = ledgers.entry(*partition).or_insert_with(|| Ledger::new(range.of));
            // The journal has discarded what overlaps.
            _ = ledger.account(range);
        }
        ledgers
    }
}

impl From<BTreeSet<u32>> for StoredPartials {
    /// Partials of whole partitions.
    fn from(whole: BTreeSet<u32>) -> Self {
        Self(whole.into_iter().map(|partition| ((partition, 0), None)).collect())
    }
}
