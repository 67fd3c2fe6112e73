//! Running shares of one query, numbers of further attempts, and what a cut costs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::cutting::{MAX_PIECES, choose};
use crate::share::{Pace, Part, Share, Stretch};
use crate::work::AttemptId;

/// The most measured times from a claim to the first piece.
const STARTS: usize = 15;

/// Running shares, numbers of further attempts, and what a cut costs.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Ordered, so that the choice between equal rests is always the same.
    running: BTreeMap<AttemptId, Arc<Share>>,
    /// The highest number of the partitions that have more than one attempt.
    numbers: HashMap<u32, u32>,
    /// Number of cuts by partition.
    cuts: HashMap<u32, u32>,
    /// Latest times from a claim to the first piece.
    starts: VecDeque<Duration>,
    /// Moving average of a merge's time.
    merge: Duration,
    /// Units of the successful attempts that ended.
    units: u64,
    /// Time that these took on their slots.
    ran: Duration,
}

impl Shares {
    /// Number of the next attempt at a partition that has had one.
    pub(super) fn number(&mut self, partition: u32) -> u32 {
        let number = self.numbers.entry(partition).or_insert(1);
        *number += 1;
        *number
    }

    pub(super) fn insert(&mut self, id: AttemptId, share: Arc<Share>) {
        self.running.insert(id, share);
    }

    pub(super) fn remove(&mut self, id: AttemptId) {
        self.running.remove(&id);
    }

    /// Records the time from a claim to the first piece.
    pub(super) fn started(&mut self, took: Duration) {
        if self.starts.len() == STARTS {
            self.starts.pop_front();
        }
        self.starts.push_back(took);
    }

    /// Records a successful attempt at units that can be cut, and the time that it took.
    pub(super) fn ended(&mut self, part: &Part, ran: Duration) {
        let Range { start, end } = part.handed_out();
        self.units = self.units.saturating_add(end.saturating_sub(start));
        self.ran = self.ran.saturating_add(ran);
    }

    /// Units a second that a slot takes, by the attempts that ended; `None` before the first.
    pub(super) fn rate(&self) -> Option<f64> {
        let rate = self.units as f64 / self.ran.as_secs_f64();
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }

    /// Records the time of a merge.
    pub(super) fn merged(&mut self, took: Duration) {
        self.merge = if self.merge.is_zero() { took } else { (self.merge * 7 + took) / 8 };
    }

    /// Price of a cut: the median time from a claim to the first piece, and one more merge.
    fn price(&self) -> Duration {
        let mut starts: Vec<_> = self.starts.iter().copied().collect();
        starts.sort_unstable();
        starts.get(starts.len() / 2).copied().unwrap_or_default() + self.merge
    }

    /// The attempt whose share is to be cut.
    pub(super) fn to_cut(&self, now: Instant) -> Option<AttemptId> {
        let few = |id: &AttemptId| self.cuts.get(&id.partition).is_none_or(|cuts| *cuts < MAX_PIECES);
        let pace = |(id, share): (&AttemptId, &Arc<Share>)| -> Option<(AttemptId, Pace)> {
            Some((*id, share.pace(now).filter(|_| few(id))?))
        };
        choose(self.running.iter().filter_map(pace), self.price())
    }

    /// Cuts the share with the longest expected rest. Returns the attempt that had it, and what is
    /// cut off.
    pub(super) fn cut(&mut self, now: Instant) -> Option<(AttemptId, Stretch)> {
        let from = self.to_cut(now)?;
        let stretch = self.running.get(&from)?.cut()?;
        *self.cuts.entry(from.partition).or_default() += 1;
        Some((from, stretch))
    }
}
