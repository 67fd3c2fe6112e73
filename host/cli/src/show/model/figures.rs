//! Statistics: quantiles, stragglers and the load of slots.

use std::collections::BTreeMap;

use frond_root::answer::{STRAGGLER_MS, STRAGGLER_TIMES};

use super::{Fate, Lane, Model};
use crate::show::text::share;

/// Limit on the stragglers that are returned.
const MAX_STRAGGLERS: usize = 5;

/// Quantiles of times, in microseconds.
///
/// By nearest rank: the p-quantile of n sorted values is the one at position ⌈p·n⌉, so it is one of
/// the values (Hyndman and Fan 1996, "Sample Quantiles in Statistical Packages", definition 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Number of values.
    pub n: u64,
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The maximum.
    pub max: u64,
}

impl Quantiles {
    /// Returns the quantiles of `values`, or `None` without values.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let rank = |percent: usize| {
            let rank = values.len().saturating_mul(percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Some(Self { n: values.len() as u64, p50: rank(50), p90: rank(90), p99: rank(99), max: *values.last()? })
    }
}

/// A straggler: a partition with an attempt far above the median.
#[derive(Clone, Debug)]
pub struct Straggler<'a> {
    /// The partition.
    pub lane: &'a Lane,
    /// Duration of its slowest attempt, in microseconds.
    pub time: u64,
    /// That duration divided by the median of the successful attempts.
    pub times_median: f64,
    /// True if the attempt was cut off: it would have taken even longer.
    pub cut_off: bool,
}

/// Load of one slot between the plan and the gather's end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// The slot's number.
    pub slot: u32,
    /// Number of attempts that it ran.
    pub attempts: u64,
    /// Number of these that ran in a warm instance.
    pub warm: u64,
    /// The time that it was busy, in microseconds: not that in which its attempts waited.
    pub busy: u64,
    /// The busy share of the time from the plan to the gather's end, 0 to 1.
    pub share: f64,
}

impl Model {
    /// Returns the durations of the successful attempts.
    #[must_use]
    pub fn leaf_times(&self) -> Option<Quantiles> {
        let succeeded = self.attempts().iter().filter(|one| matches!(one.fate, Fate::Used | Fate::Discarded));
        Quantiles::of(succeeded.map(super::Attempt::time).collect())
    }

    /// Returns the times that attempts waited for a slot.
    #[must_use]
    pub fn queue_times(&self) -> Option<Quantiles> {
        let waits = self.attempts().iter().map(|one| one.start.saturating_sub(one.queued));
        Quantiles::of(waits.collect())
    }

    /// Returns the times that attempts waited without a slot, of those that did.
    #[must_use]
    pub fn wait_times(&self) -> Option<Quantiles> {
        Quantiles::of(self.attempts().iter().map(|one| one.waited).filter(|waited| *waited > 0).collect())
    }

    /// Returns the durations of the merge calls that ended.
    #[must_use]
    pub fn fold_times(&self) -> Option<Quantiles> {
        let times = self.folds.iter().filter_map(|fold| Some(fold.end?.saturating_sub(fold.start)));
        Quantiles::of(times.collect())
    }

    /// Returns the stragglers, slowest first, and the number of those beyond the limit of 5. A
    /// straggler takes at least `STRAGGLER_TIMES` times the median and `STRAGGLER_MS`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio of times")]
    pub fn stragglers(&self) -> (Vec<Straggler<'_>>, u64) {
        let Some(median) = self.leaf_times().map(|times| times.p50).filter(|median| *median > 0) else {
            return (Vec::new(), 0);
        };
        let mut found: Vec<_> = self
            .lanes
            .iter()
            .filter_map(|lane| {
                let slowest = self
                    .attempts_of(lane)
                    .iter()
                    .filter(|one| !matches!(one.fate, Fate::Failed(_)))
                    .max_by_key(|one| one.time())?;
                let times_median = slowest.time() as f64 / median as f64;
                let long = slowest.time() as f64 >= STRAGGLER_MS * 1e3;
                (times_median >= STRAGGLER_TIMES && long).then(|| Straggler {
                    lane,
                    time: slowest.time(),
                    times_median,
                    cut_off: matches!(slowest.fate, Fate::CutOff | Fate::Open),
                })
            })
            .collect();
        found.sort_by_key(|one| (std::cmp::Reverse(one.time), one.lane.index));
        let more = found.len().saturating_sub(MAX_STRAGGLERS);
        found.truncate(MAX_STRAGGLERS);
        (found, more as u64)
    }

    /// Returns the load of each slot that ran an attempt, by slot.
    #[must_use]
    pub fn slots(&self) -> Vec<Slot> {
        let from = self.scattered();
        let to = self.gather_end.map_or(self.until(), |(at, _)| at);
        let window = to.saturating_sub(from);
        let mut slots: BTreeMap<u32, Slot> = BTreeMap::new();
        for one in self.attempts() {
            let idle = Slot { slot: one.slot, attempts: 0, warm: 0, busy: 0, share: 0.0 };
            let slot = slots.entry(one.slot).or_insert(idle);
            slot.attempts += 1;
            slot.warm += u64::from(one.is_warm());
            let within = one.end.min(to).saturating_sub(one.start.max(from));
            slot.busy = slot.busy.saturating_add(within.saturating_sub(one.waited));
        }
        let shared = |slot: Slot| match window {
            0 => slot,
            _ => Slot { share: share(slot.busy.min(window), window), ..slot },
        };
        slots.into_values().map(shared).collect()
    }
}
