//! Ledger of a partition that is taken in parts: which of its units are in the answer, which were
//! skipped, and which are given up. The first partial of a unit wins; a partial that overlaps with
//! it is discarded whole. So no unit counts twice, whatever is repeated, reordered or lost.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// Position in the content of a plan: a partition's index, and a unit of it.
pub type Position = (u32, u64);

/// Units of a partition that a stored partial accounts for: those that it covers, and those after
/// them that the answer does not need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartialRange {
    /// First unit.
    pub begin: u64,
    /// Unit after the last that the partial covers.
    pub end: u64,
    /// Unit after the last that is skipped; `end` if none is.
    pub until: u64,
    /// All units of the partition.
    pub of: u64,
}

impl PartialRange {
    /// The units that the partial covers.
    #[must_use]
    pub fn covered(&self) -> Range<u64> {
        self.begin..self.end
    }

    /// The units that the answer does not need.
    #[must_use]
    pub fn skipped(&self) -> Range<u64> {
        self.end..self.until
    }
}

/// Number of units in a range.
pub(crate) fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// Fate of settled units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Their partial is in the answer.
    Taken,
    /// The answer does not need them.
    Skipped,
    /// They will not arrive.
    Lost,
}

/// Units of one partition by fate. Units without a fate are open: an attempt has them, or is to
/// have them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    units: u64,
    /// Settled ranges by their first unit, each with its end. They do not overlap.
    settled: BTreeMap<u64, (u64, Fate)>,
    taken: u64,
    skipped: u64,
    lost: u64,
    /// Ranges that attempts which returned early have left, and that are run again for it.
    left_early: Vec<Range<u64>>,
    /// Number of failed attempts that had a partial accepted.
    failures: u32,
    /// Slot time of the accepted partials.
    pub(crate) used: Duration,
}

impl Ledger {
    /// A ledger of `units` open units.
    #[must_use]
    pub fn new(units: u64) -> Self {
        Self { units, ..Self::default() }
    }

    /// Accepts a partial of these units. False if it overlaps with settled ones: it must be
    /// discarded.
    #[must_use]
    pub fn take(&mut self, range: &Range<u64>) -> bool {
        let is_open = self.is_open(range);
        if is_open {
            self.settle(range.clone(), Fate::Taken);
        }
        is_open
    }

    /// Accounts for a partial, and for what is skipped after it. False if any of it is settled: it
    /// must be discarded.
    #[must_use]
    pub fn account(&mut self, range: &PartialRange) -> bool {
        let is_open = self.is_open(&(range.begin..range.until)) && self.take(&range.covered());
        if is_open {
            self.skip(&range.skipped());
        }
        is_open
    }

    /// Marks the open units of a range as skipped.
    pub fn skip(&mut self, range: &Range<u64>) {
        for gap in self.gaps(range) {
            self.settle(gap, Fate::Skipped);
        }
    }

    /// Gives the open units of a range up.
    pub fn lose(&mut self, range: &Range<u64>) {
        for gap in self.gaps(range) {
            self.settle(gap, Fate::Lost);
        }
    }

    /// True if these units may be run again after an attempt that returned early; at most once.
    pub fn leave_early(&mut self, range: &Range<u64>) -> bool {
        let is_first = !self.left_early.iter().any(|left| left.start < range.end && range.start < left.end);
        if is_first {
            self.left_early.push(range.clone());
        }
        is_first
    }

    /// Counts a failed attempt that had a partial accepted, and returns the number of those so far.
    pub fn count_failure(&mut self) -> u32 {
        self.failures += 1;
        self.failures
    }

    /// Settles open units. They become one entry with neighbours of the same fate.
    fn settle(&mut self, range: Range<u64>, fate: Fate) {
        if range.is_empty() {
            return;
        }
        *match fate {
            Fate::Taken => &mut self.taken,
            Fate::Skipped => &mut self.skipped,
            Fate::Lost => &mut self.lost,
        } += range.end - range.start;
        let Range { mut start, mut end } = range;
        if let Some((begin, (until, of))) = self.settled.range(..start).next_back()
            && (*until, *of) == (start, fate)
        {
            start = *begin;
        }
        if let Some((until, of)) = self.settled.get(&end)
            && *of == fate
        {
            let joined = end;
            end = *until;
            self.settled.remove(&joined);
        }
        self.settled.insert(start, (end, fate));
    }

    /// True if no unit of the range is settled.
    #[must_use]
    pub fn is_open(&self, range: &Range<u64>) -> bool {
        let before = self.settled.range(..range.end).next_back();
        range.is_empty() || (range.end <= self.units && before.is_none_or(|(_, (end, _))| *end <= range.start))
    }

    /// The open units of a range.
    #[must_use]
    pub fn gaps(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        self.unsettled(range, |_| true)
    }

    /// Units of a range without one of the fates that `counts` accepts.
    fn unsettled(&self, range: &Range<u64>, counts: impl Fn(Fate) -> bool) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        let end = range.end.min(self.units);
        let first = self.settled.range(..=at).next_back().map_or(at, |(begin, _)| *begin);
        for (begin, (until, _)) in self.settled.range(first..end.max(first)).filter(|(_, (_, fate))| counts(*fate)) {
            if at < *begin {
                gaps.push(at..*begin);
            }
            at = at.max(*until);
        }
        if at < end {
            gaps.push(at..end);
        }
        gaps
    }

    /// All units.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Units whose partials are in the answer.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Units that the answer does not need.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Units that are neither missing nor open.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.taken + self.skipped
    }

    /// True once every unit has its fate.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.covered() + self.lost == self.units
    }

    /// Ranges that are neither taken nor skipped.
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u64>> {
        self.unsettled(&(0..self.units), |fate| fate != Fate::Lost)
    }

    /// Ranges without a partial in the answer.
    #[must_use]
    pub fn without_partial(&self) -> Vec<Range<u64>> {
        self.unsettled(&(0..self.units), |fate| fate == Fate::Taken)
    }

    /// Part of `weight`, the weight of the whole partition, that `units` of it have.
    #[must_use]
    pub fn weight_of(&self, units: u64, weight: u64) -> u64 {
        part_weight(weight, units, self.units)
    }
}

/// Part of `weight`, the weight of a partition of `of` units, that `units` of them have; the
/// remainder of the division is left out.
#[must_use]
pub fn part_weight(weight: u64, units: u64, of: u64) -> u64 {
    if units == of {
        return weight;
    }
    u64::try_from(u128::from(weight) * u128::from(units) / u128::from(of.max(1))).unwrap_or(u64::MAX)
}
