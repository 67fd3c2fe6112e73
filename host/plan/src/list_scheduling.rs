//! List scheduling: free slots take the next piece of a list, and bounds of the result.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Slots of one speed, by the time at which each is free.
#[derive(Debug)]
pub(crate) struct FreeSlots {
    free: BinaryHeap<Reverse<u64>>,
}

impl FreeSlots {
    /// Returns `slots` slots that are free at 0; at least one.
    pub(crate) fn new(slots: u64) -> Self {
        let slots = usize::try_from(slots).unwrap_or(usize::MAX).max(1);
        Self { free: std::iter::repeat_n(Reverse(0), slots).collect() }
    }

    /// Gives a piece that takes `time` to the first free slot, and returns when the piece ends.
    pub(crate) fn run(&mut self, time: f64) -> f64 {
        // Times are not negative, so their bits have the order of their values.
        let Some(mut first) = self.free.peek_mut() else { return 0.0 };
        let end = f64::from_bits(first.0) + time.max(0.0);
        first.0 = end.to_bits();
        end
    }
}

/// Returns the time until `pieces`, taken in their order by the first free slot, have all ended. It
/// is at most `2 − 1/m` of the optimum (Graham 1969).
#[must_use]
pub fn makespan(slots: u64, pieces: &[f64]) -> f64 {
    let slots = slots.clamp(1, (pieces.len() as u64).max(1));
    let mut free = FreeSlots::new(slots);
    pieces.iter().map(|piece| free.run(*piece)).fold(0.0, f64::max)
}

/// Returns the time until `pieces` have all ended if the heaviest are taken first. It is at most
/// `4/3 − 1/(3m)` of the optimum (Graham 1969).
#[must_use]
pub fn heaviest_first(slots: u64, pieces: &[f64]) -> f64 {
    let mut sorted = pieces.to_vec();
    sorted.sort_unstable_by(|one, other| other.total_cmp(one));
    makespan(slots, &sorted)
}

/// Returns a time that no order can beat: an equal share of the work, or the heaviest piece.
#[must_use]
pub fn lower_bound(slots: u64, pieces: &[f64]) -> f64 {
    let share = pieces.iter().sum::<f64>() / slots.max(1) as f64;
    pieces.iter().copied().fold(share, f64::max)
}

/// Returns the largest ratio of any order to the optimum on `slots` slots: `2 − 1/m`.
#[must_use]
pub fn any_order_bound(slots: u64) -> f64 {
    2.0 - 1.0 / slots.max(1) as f64
}

/// Returns the largest ratio of heaviest first to the optimum on `slots` slots: `4/3 − 1/(3m)`.
#[must_use]
pub fn heaviest_first_bound(slots: u64) -> f64 {
    4.0 / 3.0 - 1.0 / (3.0 * slots.max(1) as f64)
}

/// Returns the time until slots of different speeds, which pull equal pieces, have done `work`. A
/// slot of speed 1 does one unit of work in one unit of time. Without a slot it is infinite.
#[must_use]
pub fn pulled(work: f64, pieces: u64, speeds: &[f64]) -> f64 {
    let piece = work / pieces.max(1) as f64;
    let mut free = vec![0.0_f64; speeds.len()];
    for _ in 0..pieces {
        let first = free.iter_mut().zip(speeds).filter(|(_, speed)| **speed > 0.0);
        // Of slots that are free at once, the fastest takes the piece.
        let first = first.min_by(|one, other| one.0.total_cmp(other.0).then(other.1.total_cmp(one.1)));
        let Some((end, speed)) = first else { return f64::INFINITY };
        *end += piece / speed;
    }
    free.into_iter().fold(0.0, f64::max)
}

/// Returns the time for `work` that divides without rest between slots of these speeds.
#[must_use]
pub fn fluid(work: f64, speeds: &[f64]) -> f64 {
    work / speeds.iter().filter(|speed| **speed > 0.0).sum::<f64>()
}
